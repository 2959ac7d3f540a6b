//! GIF: the first frame, without the canvas around it.

use super::paced::PacedFile;
use super::rows::{Channels, Layout, RowSource};
use super::ticker::Ticker;
use crate::workload::Error;
use std::num::NonZeroU64;

/// Decodes the first frame; its size has been checked against the limits.
pub(super) fn decode(input: PacedFile, pixels: u64) -> Result<Indexed, Error> {
    let malformed = |reason: &dyn std::fmt::Display| {
        Error::Malformed(format!("the GIF picture cannot be read: {reason}"))
    };
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let bytes = NonZeroU64::new(pixels.max(1)).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(gif::MemoryLimit::Bytes(bytes));
    let decoder = options.read_info(input).map_err(|error| malformed(&error))?;
    let everywhere = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.into_iter().next().ok_or_else(|| malformed(&"it has no frame"))?;
    let frame = frame.map_err(|error| malformed(&error))?;
    let palette = frame.palette.as_ref().or(everywhere.as_ref());
    let palette = palette.ok_or_else(|| malformed(&"it has no palette"))?;
    let (known, _) = palette.as_chunks::<3>();
    let layout = Layout {
        width: usize::from(frame.width),
        height: usize::from(frame.height),
        channels: Channels::Rgb,
    };
    let colors = std::array::from_fn(|index| known.get(index).copied().unwrap_or_default());
    Ok(Indexed { layout, colors, indices: frame.buffer.into_owned(), given: 0 })
}

/// A decoded frame: a byte a pixel, and what they mean.
pub(super) struct Indexed {
    layout: Layout,
    colors: [[u8; 3]; 256],
    indices: Vec<u8>,
    /// Pixels already given out.
    given: usize,
}

impl RowSource for Indexed {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn read(&mut self, rows: &mut [u8], _: &mut Ticker) -> Result<(), Error> {
        let pixels = rows.as_chunks_mut::<3>().0;
        let indices = &self.indices[self.given..self.given + pixels.len()];
        self.given += pixels.len();
        for (pixel, index) in pixels.iter_mut().zip(indices) {
            *pixel = self.colors[usize::from(*index)];
        }
        Ok(())
    }
}

/// Encodes a picture: grey exactly, colours through a palette of 256 chosen for it.
///
/// Takes the samples: a picture, the same with alpha, and its palette's indices at once are much.
pub(super) fn encode(layout: Layout, samples: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
    /// How coarsely colours are sampled to choose the palette, from 1 (all) to 30.
    const SPEED: i32 = 10;
    let refused = |reason: &dyn std::fmt::Display| {
        Error::Unprocessable(format!("a GIF file cannot hold the result: {reason}"))
    };
    let side = |length: usize| {
        u16::try_from(length).map_err(|_| refused(&"it has a side of more than 65535 pixels"))
    };
    let (width, height) = (side(layout.width)?, side(layout.height)?);
    let frame = match layout.channels {
        Channels::Grey => {
            let greys: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
            gif::Frame::from_palette_pixels(width, height, std::mem::take(samples), greys, None)
        }
        Channels::Rgb => {
            add_alpha(samples);
            gif::Frame::from_rgba_speed(width, height, samples, SPEED)
        }
        Channels::Rgba => gif::Frame::from_rgba_speed(width, height, samples, SPEED),
    };
    *samples = Vec::new();
    let mut file = Vec::new();
    let mut encoder =
        gif::Encoder::new(&mut file, width, height, &[]).map_err(|error| refused(&error))?;
    encoder.write_frame(&frame).map_err(|error| refused(&error))?;
    drop(encoder);
    Ok(file)
}

/// Makes red, green, blue into red, green, blue and full alpha, where they stand.
fn add_alpha(samples: &mut Vec<u8>) {
    let pixels = samples.len() / 3;
    samples.resize(4 * pixels, u8::MAX);
    for pixel in (0..pixels).rev() {
        samples.copy_within(3 * pixel..3 * pixel + 3, 4 * pixel);
        samples[4 * pixel + 3] = u8::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_added_in_place() {
        let mut samples: Vec<u8> = (0..12).collect();
        add_alpha(&mut samples);
        assert_eq!(samples, [0, 1, 2, 255, 3, 4, 5, 255, 6, 7, 8, 255, 9, 10, 11, 255]);
    }
}
