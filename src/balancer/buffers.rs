//! Reads from connections, into memory that is used again and again.
//!
//! Memory that is asked of the system anew for each body costs more than to copy the body twice: the
//! kernel clears every page and maps it at its first touch.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// The size of a buffer, in bytes: what a socket has to give at once, mostly.
const SIZE: usize = 64 << 10;
/// So many unused ones are kept: 2 MiB.
const KEPT: usize = 32;
/// A read that fills less of a buffer than this is copied out of it, so that a body that comes in
/// crumbs does not hold many times its size.
const WORTH_KEEPING: usize = SIZE / 4;

/// So much is read at once into a connection's own buffer, or room for so much made in it.
const READ: usize = 8 << 10;
/// As long as there is room for so much, it serves on: heads and short bodies that were split off
/// still share its memory.
const LITTLE_ROOM: usize = 2 << 10;

static UNUSED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A part of a body; its memory is used again afterwards.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

fn unused() -> Vec<u8> {
    let unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner).pop();
    unused.unwrap_or_else(|| Vec::with_capacity(SIZE))
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
    if unused.len() < KEPT {
        unused.push(buffer);
    }
}

/// Reads into a connection's own buffer, at least a byte unless the connection has ended.
///
/// What comes into an empty one is read into memory that all share and copied: connections that wait
/// have no memory then, and what is read into is always in the processor's cache.
pub(super) fn poll_fill(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.is_empty() {
        let mut shared = unused();
        let read = poll_read_buf(Pin::new(stream), cx, &mut (&mut shared).limit(READ));
        if matches!(read, Poll::Ready(Ok(1..))) {
            *buffer = BytesMut::from(shared.as_slice());
        }
        give_back(shared);
        return read;
    }
    if buffer.capacity() - buffer.len() < LITTLE_ROOM {
        buffer.reserve(READ);
    }
    poll_read_buf(Pin::new(stream), cx, buffer)
}

/// Reads a part of a long body: what there is, up to `most` bytes; nothing at the end of the connection.
pub(super) fn poll_read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    most: u64,
) -> Poll<io::Result<Bytes>> {
    let mut buffer = unused();
    let most = usize::try_from(most).unwrap_or(SIZE).min(SIZE);
    let read = poll_read_buf(Pin::new(stream), cx, &mut (&mut buffer).limit(most));
    if !matches!(read, Poll::Ready(Ok(WORTH_KEEPING..))) {
        let bytes = Bytes::copy_from_slice(&buffer);
        give_back(buffer);
        ready!(read)?;
        return Poll::Ready(Ok(bytes));
    }
    Poll::Ready(Ok(Bytes::from_owner(Lent(buffer))))
}
