//! Writes pictures as uncompressed 24-bit BMP files.
//!
//! Layout after Microsoft's documentation of `BITMAPFILEHEADER` and `BITMAPINFOHEADER`: two
//! headers of 14 and 40 bytes, then the rows from the bottom up, each pixel as blue, green, red,
//! each row padded with zeros to a multiple of four bytes.

use crate::workload::Error;

/// Where the rows begin.
const HEADER: usize = 54;

/// A picture that is filled in pixel by pixel and is a BMP file at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    width: usize,
    height: usize,
    file: Vec<u8>,
}

impl Bitmap {
    /// A black picture.
    ///
    /// # Errors
    /// [`Error::Unprocessable`] if a BMP file cannot be that large: its length has 32 bits.
    pub(super) fn new(width: u32, height: u32) -> Result<Self, Error> {
        let too_large = || {
            Error::Unprocessable(format!(
                "A picture of {width} x {height} pixels does not fit in a BMP file: \
                 ask for a smaller window."
            ))
        };
        let size = row_bytes(width)
            .checked_mul(u64::from(height))
            .and_then(|rows| u32::try_from(rows.checked_add(HEADER as u64)?).ok())
            .ok_or_else(too_large)?;
        let mut file = vec![0; usize::try_from(size).map_err(|_| too_large())?];
        file[..HEADER].copy_from_slice(&header(width, height, size));
        Ok(Self { width: width as usize, height: height as usize, file })
    }

    /// Sets some pixels of a row, counted from the top, from `column` on. The bytes are those of
    /// the file: blue, green, red.
    pub(super) fn write(&mut self, column: usize, row: usize, pixels: &[u8]) {
        let start = self.row_start(row) + 3 * column;
        self.file[start..start + pixels.len()].copy_from_slice(pixels);
    }

    /// The finished file.
    pub(super) fn into_file(self) -> Vec<u8> {
        self.file
    }

    fn row_start(&self, row: usize) -> usize {
        let stride = (self.file.len() - HEADER) / self.height;
        HEADER + (self.height - 1 - row) * stride
    }
}

/// The rows of a file made by [`Bitmap`], from the top down, as red, green, blue.
pub(super) fn rgb_rows(file: &[u8], width: u32) -> Vec<u8> {
    let rows = file.get(HEADER..).unwrap_or_default();
    let stride = usize::try_from(row_bytes(width)).unwrap_or(usize::MAX);
    let mut rgb = Vec::with_capacity(file.len());
    for row in rows.chunks_exact(stride).rev() {
        for pixel in row[..3 * width as usize].chunks_exact(3) {
            rgb.extend([pixel[2], pixel[1], pixel[0]]);
        }
    }
    rgb
}

const fn row_bytes(width: u32) -> u64 {
    (width as u64 * 3).next_multiple_of(4)
}

fn header(width: u32, height: u32, size: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"BM");
    put(2, &size.to_le_bytes());
    put(10, &54_u32.to_le_bytes());
    put(14, &40_u32.to_le_bytes());
    put(18, &width.to_le_bytes());
    put(22, &height.to_le_bytes());
    put(26, &1_u16.to_le_bytes());
    put(28, &24_u16.to_le_bytes());
    put(34, &(size - 54).to_le_bytes());
    header
}

#[cfg(test)]
mod tests;
