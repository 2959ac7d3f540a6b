//! BMP: reading by the `image` crate, writing here.

use super::rows::{Channels, Layout, RowSink};
use super::ticker::Ticker;
use crate::workload::Error;

/// Bytes of the file header and the information header.
const HEADERS: u32 = 14 + 40;

/// A file being written, from its last row, which stands first, to its first.
struct Writer {
    file: Vec<u8>,
    layout: Layout,
    /// Bytes of a row with its padding.
    padded: usize,
    /// Where the next row ends.
    end: usize,
}

/// Starts to write a BMP file: 24 bits for RGB, 8 bits with a grey palette for grey.
pub(super) fn create(layout: Layout) -> Result<Box<dyn RowSink>, Error> {
    let (bits, colours) = match layout.channels {
        Channels::Grey => (8u16, 256u32),
        _ => (24, 0),
    };
    let start = HEADERS + colours * 4;
    let padded = layout.stride().next_multiple_of(4);
    let pixels = padded * layout.height;
    let size = start as usize + pixels;
    let refused = |_| Error::Unprocessable("a BMP file cannot hold more than 4 GiB".to_owned());
    let mut file = Vec::with_capacity(size);
    file.extend(b"BM");
    for number in [u32::try_from(size).map_err(refused)?, 0, start, 40] {
        file.extend(number.to_le_bytes());
    }
    for side in [layout.width, layout.height] {
        file.extend(u32::try_from(side).map_err(refused)?.to_le_bytes());
    }
    file.extend(1u16.to_le_bytes());
    file.extend(bits.to_le_bytes());
    for number in [0, u32::try_from(pixels).map_err(refused)?, 0, 0, colours, colours] {
        file.extend(number.to_le_bytes());
    }
    for level in (0..=255u8).take(colours as usize) {
        file.extend([level, level, level, 0]);
    }
    file.resize(size, 0);
    Ok(Box::new(Writer { file, layout, padded, end: size }))
}

impl RowSink for Writer {
    fn write(&mut self, rows: &[u8], _: &mut Ticker) -> Result<(), Error> {
        let stride = self.layout.stride();
        for row in rows.chunks_exact(stride) {
            let start = self.end - self.padded;
            let target = &mut self.file[start..start + stride];
            self.end = start;
            if self.layout.channels == Channels::Grey {
                target.copy_from_slice(row);
                continue;
            }
            let (pixels, _) = row.as_chunks::<3>();
            for (target, [red, green, blue]) in target.as_chunks_mut::<3>().0.iter_mut().zip(pixels)
            {
                *target = [*blue, *green, *red];
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Ticker) -> Result<Vec<u8>, Error> {
        Ok(self.file)
    }
}
