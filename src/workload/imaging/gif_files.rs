//! GIF: the first frame, without the canvas around it.

use super::paced::PacedFile;
use super::rows::{Channels, Layout, RowSource};
use super::ticker::Ticker;
use crate::workload::{Cancelled, Error};
use color_quant::NeuQuant;
use std::collections::HashMap;
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

/// Encodes a picture: grey and up to 256 colours exactly, more through a palette chosen for it.
/// Colours of no opacity at all are one, transparent; others are opaque.
///
/// Takes the samples: they and the palette's indices at once are much.
pub(super) fn encode(
    layout: Layout,
    samples: &mut Vec<u8>,
    ticker: &mut Ticker,
) -> Result<Vec<u8>, Error> {
    let side = |length: usize| {
        u16::try_from(length).map_err(|_| refused(&"it has a side of more than 65535 pixels"))
    };
    let (width, height) = (side(layout.width)?, side(layout.height)?);
    let samples = std::mem::take(samples);
    let Painted { palette, transparent, indices } = match layout.channels {
        Channels::Grey => Painted::grey(samples),
        Channels::Rgb | Channels::Rgba => {
            Painted::colors(&samples, layout.channels.count(), ticker)?
        }
    };
    let buffer = compress(&indices, ticker)?.into();
    let palette = Some(palette);
    let frame = gif::Frame { width, height, palette, transparent, buffer, ..Default::default() };
    let mut file = Vec::new();
    let mut encoder =
        gif::Encoder::new(&mut file, width, height, &[]).map_err(|error| refused(&error))?;
    encoder.write_lzw_pre_encoded_frame(&frame).map_err(|error| refused(&error))?;
    drop(encoder);
    Ok(file)
}

fn refused(reason: &dyn std::fmt::Display) -> Error {
    Error::Unprocessable(format!("a GIF file cannot hold the result: {reason}"))
}

/// What colours without opacity are taken for.
const TRANSPARENT: [u8; 4] = [0; 4];

/// A pixel of three or four channels as red, green, blue and opacity, which is all or nothing.
fn color(pixel: &[u8]) -> [u8; 4] {
    match *pixel {
        [_, _, _, 0] => TRANSPARENT,
        [red, green, blue, ..] => [red, green, blue, u8::MAX],
        _ => TRANSPARENT,
    }
}

/// A picture of at most 256 colours.
struct Painted {
    /// Red, green and blue of each.
    palette: Vec<u8>,
    transparent: Option<u8>,
    /// A byte a pixel.
    indices: Vec<u8>,
}

/// Pixels between two looks at the clock.
const CHUNK: usize = 1 << 14;

impl Painted {
    fn grey(levels: Vec<u8>) -> Self {
        let palette = (0..=u8::MAX).flat_map(|level| [level; 3]).collect();
        Self { palette, transparent: None, indices: levels }
    }

    fn colors(samples: &[u8], channels: usize, ticker: &mut Ticker) -> Result<Self, Cancelled> {
        match Self::exact(samples, channels, ticker)? {
            Some(painted) => Ok(painted),
            None => Self::nearest(samples, channels, ticker),
        }
    }

    /// With the colours that there are; none if they are more than 256.
    fn exact(
        samples: &[u8],
        channels: usize,
        ticker: &mut Ticker,
    ) -> Result<Option<Self>, Cancelled> {
        /// Nominal nanoseconds to look up a colour.
        const COST: usize = 25;
        let (mut known, mut palette) = (HashMap::new(), Vec::new());
        let mut indices = Vec::with_capacity(samples.len() / channels);
        for pixels in samples.chunks(CHUNK * channels) {
            for pixel in pixels.chunks_exact(channels) {
                let color = color(pixel);
                let next = known.len();
                let index = *known.entry(color).or_insert(next);
                let Ok(index_byte) = u8::try_from(index) else { return Ok(None) };
                if index == next {
                    palette.extend_from_slice(&color[..3]);
                }
                indices.push(index_byte);
            }
            ticker.spend((COST * pixels.len() / channels) as u64)?;
        }
        let transparent = known.get(&TRANSPARENT).and_then(|index| u8::try_from(*index).ok());
        Ok(Some(Self { palette, transparent, indices }))
    }

    /// With colours chosen by a neural network, each pixel with the nearest of them.
    fn nearest(samples: &[u8], channels: usize, ticker: &mut Ticker) -> Result<Self, Cancelled> {
        /// A tenth of the pixels given to the network teach it.
        const SPEED: i32 = 10;
        /// Of more pixels than these some are left out: teaching cannot be given up.
        const PIXELS: usize = 1 << 19;
        /// Nominal nanoseconds to find the nearest colour.
        const COST: usize = 60;
        let pixels = samples.len() / channels;
        let sample = samples.chunks_exact(channels).step_by(pixels.div_ceil(PIXELS).max(1));
        let sample: Vec<u8> = sample.flat_map(color).collect();
        ticker.look()?;
        let network = NeuQuant::new(SPEED, 256, &sample);
        let index = |color: [u8; 4]| u8::try_from(network.index_of(&color)).unwrap_or_default();
        let mut indices = Vec::with_capacity(pixels);
        let mut transparent = None;
        for pixels in samples.chunks(CHUNK * channels) {
            ticker.spend((COST * pixels.len() / channels) as u64)?;
            indices.extend(pixels.chunks_exact(channels).map(|pixel| {
                let color = color(pixel);
                let index = index(color);
                if color == TRANSPARENT {
                    transparent = Some(index);
                }
                index
            }));
        }
        Ok(Self { palette: network.color_map_rgb(), transparent, indices })
    }
}

/// The indices as GIF files hold them: the bits of one, and what LZW makes of all.
fn compress(indices: &[u8], ticker: &mut Ticker) -> Result<Vec<u8>, Error> {
    /// Nominal nanoseconds to compress a byte.
    const COST: usize = 12;
    // The format wants at least two bits.
    let largest = indices.iter().fold(0b11, |bits, index| bits | index);
    let bits = 8 - largest.leading_zeros().to_le_bytes()[0];
    let mut data = vec![bits];
    let mut encoder = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, bits);
    for chunk in indices.chunks(CHUNK) {
        encoder.into_stream(&mut data).encode(chunk).status.map_err(|error| refused(&error))?;
        ticker.spend((COST * chunk.len()) as u64)?;
    }
    encoder.into_stream(&mut data).encode_all(&[][..]).status.map_err(|error| refused(&error))?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::FullSpeed;

    fn low(number: u16) -> u8 {
        number.to_le_bytes()[0]
    }

    /// Encodes and decodes a picture 100 pixels wide; gives red, green, blue of each pixel.
    fn round_trip(samples: &[u8], channels: Channels) -> Vec<u8> {
        let height = samples.len() / channels.count() / 100;
        let layout = Layout { width: 100, height, channels };
        let mut ticker = Ticker::new(&FullSpeed);
        let file = encode(layout, &mut samples.to_vec(), &mut ticker).unwrap();
        let mut picture = decode(PacedFile::new(&file, &FullSpeed), 1 << 20).unwrap();
        let mut rows = vec![0; 300 * height];
        picture.read(&mut rows, &mut ticker).unwrap();
        rows
    }

    #[test]
    fn up_to_256_colours_are_kept() {
        for colours in [1, 2, 5, 17, 256] {
            let pixel = |place: u16| [place % colours, 3 * (place % colours), 7].map(low);
            let samples: Vec<u8> = (0..5000).flat_map(pixel).collect();
            assert_eq!(round_trip(&samples, Channels::Rgb), samples, "{colours}");
        }
        let greys: Vec<u8> = (0..5000_u16).map(low).collect();
        let same: Vec<u8> = greys.iter().flat_map(|level| [*level; 3]).collect();
        assert_eq!(round_trip(&greys, Channels::Grey), same);
    }

    #[test]
    fn more_colours_become_near_ones() {
        let pixel = |place: u16| [place % 100 * 2, place / 100 * 5, 90].map(low);
        let samples: Vec<u8> = (0..5000).flat_map(pixel).collect();
        let result = round_trip(&samples, Channels::Rgb);
        let distance: usize =
            samples.iter().zip(&result).map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
        assert!(distance < 10 * samples.len(), "{distance}");
    }

    #[test]
    fn pixels_without_opacity_are_transparent() {
        for colours in [4, 1000_u16] {
            let pixel = |place: u16| {
                let opacity = if place.is_multiple_of(3) { 0 } else { 9 };
                [low(place % colours / 4), low(place), 1, opacity]
            };
            let samples: Vec<u8> = (0..6000).flat_map(pixel).collect();
            let layout = Layout { width: 100, height: 60, channels: Channels::Rgba };
            let file = encode(layout, &mut samples.clone(), &mut Ticker::new(&FullSpeed)).unwrap();
            let frame = gif::DecodeOptions::new().read_info(&file[..]).unwrap();
            let frame = frame.into_iter().next().unwrap().unwrap();
            let transparent = frame.transparent.unwrap();
            for (pixel, index) in samples.chunks(4).zip(&*frame.buffer) {
                assert_eq!(pixel[3] == 0, *index == transparent, "{colours}");
            }
        }
    }
}
