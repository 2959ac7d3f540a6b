//! Reads from connections, into memory that is used again and again.
//!
//! Memory that is asked of the system anew for each body costs more than to copy the body twice: the
//! kernel clears every page and maps it at its first touch.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncRead;
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
/// The size of a block that many heads share, in bytes. One that waits long for its answer keeps all
/// of its block: not much more than a buffer of its own would be.
const BLOCK: usize = 16 << 10;

thread_local! {
    /// What comes into empty buffers is read into the free rest of this block and split off.
    static HEADS: RefCell<BytesMut> = RefCell::default();
}

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
/// What comes into an empty one is read into memory that all share: connections that wait have no
/// memory then, none is asked for with each request, and what is read into is mostly in the
/// processor's cache.
pub(super) fn poll_fill(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.is_empty() {
        return HEADS.with_borrow_mut(|block| {
            if block.capacity() < LITTLE_ROOM {
                block.reserve(BLOCK);
            }
            let read = poll_read_buf(Pin::new(stream), cx, &mut block.limit(READ));
            if matches!(read, Poll::Ready(Ok(1..))) {
                *buffer = block.split();
            }
            read
        });
    }
    if buffer.capacity() - buffer.len() < LITTLE_ROOM {
        buffer.reserve(READ);
    }
    poll_read_buf(Pin::new(stream), cx, buffer)
}

/// Reads a part of a long body: what there is, up to `most` bytes; nothing at the end of the connection.
pub(super) fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
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
