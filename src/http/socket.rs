//! Streams through sockets of the file system.

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use tokio::net::UnixStream;

/// So much may be under way in one direction before its sender must wait, in bytes. Without being
/// asked Linux allows 208 KiB (`net.core.wmem_default`) and macOS 8 KiB (`net.local.stream.sendspace`),
/// and both ends of a picture of megabytes would be woken for each of those.
const UNDER_WAY: usize = 512 << 10;

/// Gives a stream room for long bodies, as far as the system allows it.
pub fn widen(stream: &UnixStream) {
    let sending = set_socket_send_buffer_size(stream, UNDER_WAY);
    if let Err(error) = sending.and_then(|()| set_socket_recv_buffer_size(stream, UNDER_WAY)) {
        tracing::debug!(%error, "a socket keeps its small buffers");
    }
}
