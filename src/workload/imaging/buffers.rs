//! A bounded store of byte buffers, so that strips of pictures reuse memory that is already mapped.
//!
//! The first touch of fresh pages costs the kernel about a third of a nanosecond a byte: for a
//! picture of 36 MB that is 13 ms, a tenth of a whole request.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// The most bytes that wait for reuse.
const KEPT_BYTES: usize = 48 << 20;

static KEPT: Mutex<Kept> = Mutex::new(Kept { buffers: Vec::new(), bytes: 0 });

struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Kept {
    /// The smallest kept buffer that holds `length` bytes without wasting more than it uses.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| {
            buffer.capacity() >= length && buffer.capacity() / 2 <= length.max(4096)
        };
        let candidates = self.buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let (index, _) = candidates.min_by_key(|(_, buffer)| buffer.capacity())?;
        let buffer = self.buffers.swap_remove(index);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps `buffer`, and lets go of those that waited longest if there are too many.
    fn put(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > KEPT_BYTES / 2 {
            return;
        }
        self.bytes += buffer.capacity();
        self.buffers.push(buffer);
        while self.bytes > KEPT_BYTES {
            let oldest = self.buffers.remove(0);
            self.bytes -= oldest.capacity();
        }
    }
}

/// Bytes that return to the store when dropped. Their content at first is arbitrary.
#[derive(Debug)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// `length` bytes of any content.
    pub(super) fn take(length: usize) -> Self {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take(length);
        let mut bytes = kept.unwrap_or_default();
        bytes.resize(length, 0);
        Self(bytes)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).put(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_reused() {
        let mut kept = Kept { buffers: Vec::new(), bytes: 0 };
        for _ in 0..100 {
            kept.put(vec![0; 1 << 20]);
        }
        assert!(kept.bytes <= KEPT_BYTES);
        assert_eq!(kept.buffers.len(), 48);
        assert!(kept.take(1 << 20).is_some());
        assert!(kept.take(1 << 10).is_none(), "a far larger buffer would be wasted on it");
        assert_eq!(kept.bytes, 47 << 20);
        kept.put(vec![0; 40 << 20]);
        assert_eq!(kept.bytes, 47 << 20, "giants are not kept");
    }
}
