//! WBMP, the wireless bitmap (WAP-237, Wireless Application Environment, section 4.5.1): one bit a
//! pixel, read as black and white colours.

use super::header::PictureHeader;
use super::rows::{Channels, Layout, RowSource};
use super::ticker::Ticker;
use crate::workload::Error;

/// Sides from which on a file is not taken for a WBMP: it has no signature but two zero bytes, and
/// the widely used Java reader has these bounds too.
const SIDES: (u32, u32) = (1024, 768);

/// What stands before the pixels.
pub(super) struct Header {
    /// Columns and rows, at least one of each.
    pub(super) size: (u32, u32),
    /// Length of the header in bytes.
    length: usize,
}

/// Reads the header, if these bytes begin like a WBMP file of type 0, the only one there is.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    if !bytes.starts_with(&[0, 0]) {
        return None;
    }
    let mut length = 2;
    let mut next = || {
        let (value, end) = multi_byte(bytes, length)?;
        length = end;
        Some(value)
    };
    let size = (next()?, next()?);
    let fits = (1..SIDES.0).contains(&size.0) && (1..SIDES.1).contains(&size.1);
    fits.then_some(Header { size, length })
}

/// An integer of seven bits a byte, the highest bit set in all bytes but the last, and where it
/// ends.
fn multi_byte(bytes: &[u8], start: usize) -> Option<(u32, usize)> {
    let mut value = 0;
    // Two bytes hold more than any side that is read here.
    for (byte, end) in bytes.get(start..)?.iter().zip(start + 1..).take(4) {
        value = value << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, end));
        }
    }
    None
}

/// A file being decoded: its rows, each in whole bytes, the leftmost pixel in the highest bit.
pub(super) struct Decoder<'a> {
    layout: Layout,
    rows: &'a [u8],
}

/// Starts to read a file whose size has been checked against the limits.
pub(super) fn open(input: &[u8], header: PictureHeader) -> Result<Decoder<'_>, Error> {
    let (width, height) = (header.width as usize, header.height as usize);
    let start = self::header(input).map_or(input.len(), |header| header.length);
    let length = width.div_ceil(8) * height;
    let rows = input.get(start..start + length).ok_or_else(|| {
        Error::Malformed("the WBMP picture cannot be read: it ends too early".to_owned())
    })?;
    // A picture of two levels has a palette, so that a blur of it has colours.
    Ok(Decoder { layout: Layout { width, height, channels: Channels::Rgb }, rows })
}

impl RowSource for Decoder<'_> {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn read(&mut self, rows: &mut [u8], _: &mut Ticker) -> Result<(), Error> {
        for row in rows.chunks_exact_mut(self.layout.stride()) {
            let (bits, rest) = self.rows.split_at(self.layout.width.div_ceil(8));
            self.rows = rest;
            for (column, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let is_white = bits[column / 8] & (0x80 >> (column % 8)) != 0;
                *pixel = [if is_white { 255 } else { 0 }; 3];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channels, Filter, Format, OutputFormat, Refusal, apply, decode};
    use crate::workload::{FullSpeed, Limits, Run};
    use std::num::NonZeroUsize;

    /// 10 x 2 pixels: the first row white but for its last pixel, the second black but for its.
    const FILE: [u8; 8] = [0, 0, 10, 2, 0xff, 0x80, 0x00, 0x40];

    #[test]
    fn one_is_white_and_rows_begin_with_a_byte() {
        let picture = decode(&FILE, &Limits::default()).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (10, 2, Channels::Rgb));
        let white: Vec<usize> = (0..20).filter(|pixel| picture.samples[3 * pixel] == 255).collect();
        assert_eq!(white, [0, 1, 2, 3, 4, 5, 6, 7, 8, 19]);
        assert!(picture.samples.iter().all(|sample| [0, 255].contains(sample)));
    }

    #[test]
    fn sides_of_more_than_seven_bits_take_two_bytes() {
        let file = [&[0, 0, 0x81, 0x02, 1][..], &[0xaa; 17]].concat();
        assert_eq!(decode(&file, &Limits::default()).unwrap().width, 130);
        assert_eq!(Format::sniff(&[0, 0, 0x88, 0x00, 1]), None, "1024 columns");
        assert_eq!(Format::sniff(&[0, 0, 0x80, 0x80, 0x80, 0x80, 0x80]), None);
        assert_eq!(Format::sniff(&[0; 20]), None, "no pixels");
    }

    #[test]
    fn a_file_that_is_cut_is_refused_and_one_that_goes_on_is_not() {
        let error = decode(&FILE[..7], &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("WBMP picture cannot be read: it ends"), "{error}");
        assert!(decode(&[&FILE[..], &[7]].concat(), &Limits::default()).is_ok());
    }

    #[test]
    fn a_result_is_written_in_any_format_but_its_own() {
        let limits = Limits::default();
        let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
        let to = |output| apply(Filter::Enhance, &FILE, output, &run).unwrap();
        assert_eq!(to(OutputFormat::SameAsInput).refusal, Some(Refusal::TwoLevels));
        let png = to(OutputFormat::As(Format::Png)).bytes;
        let picture = decode(&png, &limits).unwrap();
        assert_eq!(picture.samples[1], 255, "white is the brightest");
        assert_eq!(picture.samples[10], 255 / 2, "half of all are black");
    }
}
