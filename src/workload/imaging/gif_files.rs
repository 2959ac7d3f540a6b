//! GIF: the first frame, without the canvas around it.

use super::rows::{Channels, Layout, RowSource};
use super::ticker::Ticker;
use crate::workload::Error;
use std::num::NonZeroU64;

/// Decodes the first frame; its size has been checked against the limits.
pub(super) fn decode(input: &[u8], pixels: u64) -> Result<Indexed, Error> {
    let malformed = |reason: &dyn std::fmt::Display| {
        Error::Malformed(format!("the GIF picture cannot be read: {reason}"))
    };
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::Indexed);
    let bytes = NonZeroU64::new(pixels.max(1)).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(gif::MemoryLimit::Bytes(bytes));
    let mut decoder = options.read_info(input).map_err(|error| malformed(&error))?;
    let everywhere = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(|error| malformed(&error))?;
    let frame = frame.ok_or_else(|| malformed(&"it has no frame"))?;
    let palette = frame.palette.as_ref().or(everywhere.as_ref());
    let palette = palette.ok_or_else(|| malformed(&"it has no palette"))?;
    let (known, _) = palette.as_chunks::<3>();
    let layout = Layout {
        width: usize::from(frame.width),
        height: usize::from(frame.height),
        channels: Channels::Rgb,
    };
    let colors = std::array::from_fn(|index| known.get(index).copied().unwrap_or_default());
    Ok(Indexed { layout, colors, indices: frame.buffer.to_vec(), given: 0 })
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
pub(super) fn encode(layout: Layout, samples: &mut [u8]) -> Result<Vec<u8>, Error> {
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
            gif::Frame::from_palette_pixels(width, height, &*samples, greys, None)
        }
        Channels::Rgb => gif::Frame::from_rgb_speed(width, height, samples, SPEED),
        Channels::Rgba => gif::Frame::from_rgba_speed(width, height, samples, SPEED),
    };
    let mut file = Vec::new();
    let mut encoder =
        gif::Encoder::new(&mut file, width, height, &[]).map_err(|error| refused(&error))?;
    encoder.write_frame(&frame).map_err(|error| refused(&error))?;
    drop(encoder);
    Ok(file)
}
