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
    /// Bytes taken that were not yet paid for.
    taken: usize,
}

impl<'a> PacedFile<'a> {
    pub(super) fn new(file: &'a [u8], pacer: &'a dyn Pacer) -> Self {
        Self { file: Cursor::new(file), ticker: Ticker::new(pacer), taken: 0 }
    }

    fn pay(&mut self) -> Result<()> {
        let cost = BYTE_COST * std::mem::take(&mut self.taken) as u64;
        self.ticker.spend(cost).map_err(|_| std::io::Error::other("the request was given up"))
    }
}

impl Read for PacedFile<'_> {
    fn read(&mut self, target: &mut [u8]) -> Result<usize> {
        let length = target.len().min(CHUNK);
        let read = self.file.read(&mut target[..length])?;
        self.taken += read;
        self.pay()?;
        Ok(read)
    }
}

impl BufRead for PacedFile<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.pay()?;
        let rest = self.file.fill_buf()?;
        Ok(&rest[..rest.len().min(CHUNK)])
    }

    fn consume(&mut self, bytes: usize) {
        self.taken += bytes;
        self.file.consume(bytes);
    }
}

impl Seek for PacedFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::imaging::{self, Channels, Filter, Format, OutputFormat, Picture};
    use crate::workload::{Cancelled, Error, Limits, Run};
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Gives up after some calls, for good.
    struct Impatient(AtomicU32);

    impl Pacer for Impatient {
        fn checkpoint(&self) -> std::result::Result<(), Cancelled> {
            let less = |left: u32| left.checked_sub(1);
            let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            left.map(drop).map_err(|_| Cancelled)
        }
    }

    #[test]
    fn a_file_is_read_whole_with_looks_at_the_clock_between() {
        let file: Vec<u8> = (0..400_000_u32).map(|byte| byte.to_le_bytes()[1]).collect();
        let pacer = Impatient(AtomicU32::new(100));
        let (mut read, mut buffered) = (Vec::new(), Vec::new());
        PacedFile::new(&file, &pacer).read_to_end(&mut read).unwrap();
        assert_eq!(100 - pacer.0.load(Ordering::Relaxed), 6);
        let mut source = PacedFile::new(&file, &pacer);
        while let Some(length) = Some(source.fill_buf().unwrap().len()).filter(|length| *length > 0)
        {
            buffered.extend_from_slice(&source.fill_buf().unwrap()[..length]);
            source.consume(length);
        }
        assert!(read == file && buffered == file);
        assert!(
            PacedFile::new(&file, &Impatient(AtomicU32::new(2))).read_to_end(&mut read).is_err()
        );
    }

    #[test]
    fn decoding_that_is_given_up_is_not_taken_for_a_broken_file() {
        let mut random = fastrand::Rng::with_seed(3);
        let samples = (0..400 * 300 * 3).map(|_| random.u8(..)).collect();
        let picture = Picture { width: 400, height: 300, channels: Channels::Rgb, samples };
        for format in [Format::Gif, Format::Bmp, Format::Tiff, Format::Png] {
            let file = imaging::encode(&picture, format).unwrap();
            let mut outcomes = [0; 2];
            for patience in 0..30 {
                let pacer = Impatient(AtomicU32::new(patience));
                let limits = Limits::default();
                let run = Run { threads: NonZeroUsize::MIN, pacer: &pacer, limits: &limits };
                match imaging::decode_colors(&file, &run) {
                    Ok(_) => outcomes[0] += 1,
                    Err(error) => {
                        assert_eq!(error, Error::Cancelled, "{format:?} after {patience}");
                        outcomes[1] += 1;
                    }
                }
            }
            assert!(outcomes.iter().all(|count| *count > 0), "{format:?}: {outcomes:?}");
        }
    }

    #[test]
    fn writing_a_gif_file_can_be_given_up() {
        let mut random = fastrand::Rng::with_seed(4);
        let samples = (0..400 * 300 * 3).map(|_| random.u8(..)).collect();
        let picture = Picture { width: 400, height: 300, channels: Channels::Rgb, samples };
        let file = imaging::encode(&picture, Format::Bmp).unwrap();
        let apply = |format, patience| {
            let pacer = Impatient(AtomicU32::new(patience));
            let limits = Limits::default();
            let run = Run { threads: NonZeroUsize::MIN, pacer: &pacer, limits: &limits };
            let output = OutputFormat::As(format);
            let result = imaging::apply(Filter::Blur, &file, output, &run);
            (result.map(drop), patience - pacer.0.load(Ordering::Relaxed))
        };
        let (whole, looks) = apply(Format::Gif, u32::MAX);
        let (_, others) = apply(Format::Bmp, u32::MAX);
        assert!(
            whole.is_ok() && looks > others + 5,
            "{looks} looks at the clock, {others} for BMP"
        );
        for patience in others..looks {
            assert_eq!(apply(Format::Gif, patience).0, Err(Error::Cancelled), "after {patience}");
        }
    }
}
