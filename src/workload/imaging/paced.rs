//! A file in memory that, while it is read, lets a pacer have a say.
//!
//! Decoders that only give whole pictures can be given up by failing their next read.

use super::ticker::Ticker;
use crate::workload::Pacer;
use std::io::{BufRead, Cursor, Read, Result, Seek, SeekFrom};

/// Bytes that are given out at a time: decompressed a thousandfold they take some milliseconds.
const CHUNK: usize = 8 << 10;

/// Nominal nanoseconds that decoders take for a byte.
const BYTE_COST: u64 = 16;

/// A file that is being read.
pub(super) struct PacedFile<'a> {
    file: Cursor<&'a [u8]>,
    ticker: Ticker<'a>,
}

impl<'a> PacedFile<'a> {
    pub(super) fn new(file: &'a [u8], pacer: &'a dyn Pacer) -> Self {
        Self { file: Cursor::new(file), ticker: Ticker::new(pacer) }
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        let given_up = |_| std::io::Error::other("the request was given up");
        self.ticker.spend(BYTE_COST * bytes as u64).map_err(given_up)
    }
}

impl Read for PacedFile<'_> {
    fn read(&mut self, target: &mut [u8]) -> Result<usize> {
        let length = target.len().min(CHUNK);
        let read = self.file.read(&mut target[..length])?;
        self.spend(read)?;
        Ok(read)
    }
}

impl BufRead for PacedFile<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        let length = self.file.fill_buf()?.len().min(CHUNK);
        self.spend(length)?;
        Ok(&self.file.fill_buf()?[..length])
    }

    fn consume(&mut self, bytes: usize) {
        self.file.consume(bytes);
    }
}

impl Seek for PacedFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.file.seek(to)
    }
}
