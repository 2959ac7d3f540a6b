//! The formats whose files the `image` crate reads: BMP and TIFF; and TIFF, which it writes.

use super::Format;
use super::grey::SRGB_OF_LINEAR;
use super::paced::PacedFile;
use super::rows::{Channels, Decoded, Layout};
use super::samples::{high_bytes, nearest_bytes, repeat_grey};
use crate::workload::Error;
use image::codecs::{
    bmp::BmpDecoder,
    tiff::{TiffDecoder, TiffEncoder},
};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError};
use std::io::Cursor;

/// Decodes a BMP picture; its size has been checked against the limits.
pub(super) fn decode_bmp(input: PacedFile) -> Result<Decoded, Error> {
    let decoder = BmpDecoder::new(input);
    let decoder = decoder.map_err(|error| explain(Format::Bmp, &error))?;
    decode(decoder, Format::Bmp)
}

/// Decodes a TIFF picture whose size is at most `pixels`.
pub(super) fn decode_tiff(input: PacedFile, pixels: u64) -> Result<Decoded, Error> {
    let explain = |error: ImageError| explain(Format::Tiff, &error);
    let mut decoder = TiffDecoder::new(input).map_err(explain)?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(8).saturating_add(16 << 20));
    decoder.set_limits(limits).map_err(explain)?;
    decode(decoder, Format::Tiff)
}

fn explain(format: Format, error: &ImageError) -> Error {
    let name = format.name();
    match error {
        ImageError::Unsupported(reason) => {
            Error::Unsupported(format!("this kind of {name} picture is not read here: {reason}"))
        }
        reason => Error::Malformed(format!("the {name} picture cannot be read: {reason}")),
    }
}

fn decode(decoder: impl ImageDecoder, format: Format) -> Result<Decoded, Error> {
    let (width, height) = decoder.dimensions();
    let (stored, given) = (decoder.original_color_type(), decoder.color_type());
    let size = usize::try_from(decoder.total_bytes()).map_err(|_| {
        Error::Malformed(format!(
            "the {} picture cannot be read: its size overflows",
            format.name()
        ))
    })?;
    let mut samples = vec![0; size];
    decoder.read_image(&mut samples).map_err(|error| explain(format, &error))?;
    let (channels, samples) = arrange(stored, given, samples).ok_or_else(|| {
        let name = format.name();
        Error::Unsupported(format!("{name} pictures with {given:?} pixels are not read here"))
    })?;
    let layout = Layout { width: width as usize, height: height as usize, channels };
    let is_linear_grey = channels == Channels::Grey && given == ColorType::L8;
    Ok(Decoded::new(layout, samples, is_linear_grey))
}

/// Brings decoded samples to eight bits and one, three or four channels, like those of PNG.
fn arrange(
    stored: ExtendedColorType,
    given: ColorType,
    samples: Vec<u8>,
) -> Option<(Channels, Vec<u8>)> {
    use ExtendedColorType::{L1, L2, L4};
    Some(match given {
        ColorType::L8 if matches!(stored, L1 | L2 | L4) => {
            (Channels::Rgb, repeat_grey(samples.into_iter()))
        }
        ColorType::L8 => (Channels::Grey, samples),
        ColorType::L16 => {
            let grey = high_bytes(&to_big_endian(samples));
            (Channels::Grey, grey.into_iter().map(brighten).collect())
        }
        ColorType::La8 => {
            (Channels::Rgb, repeat_grey(samples.chunks_exact(2).map(|pixel| brighten(pixel[0]))))
        }
        ColorType::Rgb8 => (Channels::Rgb, samples),
        ColorType::Rgba8 => (Channels::Rgba, samples),
        ColorType::Rgb16 => (Channels::Rgb, nearest_bytes(&to_big_endian(samples))),
        ColorType::Rgba16 => (Channels::Rgba, nearest_bytes(&to_big_endian(samples))),
        _ => return None,
    })
}

fn brighten(level: u8) -> u8 {
    SRGB_OF_LINEAR[usize::from(level)]
}

/// The `image` crate gives 16-bit samples in this machine's order of bytes.
fn to_big_endian(mut samples: Vec<u8>) -> Vec<u8> {
    for sample in samples.as_chunks_mut::<2>().0 {
        *sample = u16::from_ne_bytes(*sample).to_be_bytes();
    }
    samples
}

/// Encodes a TIFF picture, uncompressed.
pub(super) fn encode_tiff(layout: Layout, samples: &mut [u8]) -> Result<Vec<u8>, Error> {
    let colours = match layout.channels {
        Channels::Grey => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
        Channels::Rgba => ExtendedColorType::Rgba8,
    };
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut file = Cursor::new(Vec::with_capacity(samples.len() + 4096));
    TiffEncoder::new(&mut file)
        .write_image(samples, side(layout.width), side(layout.height), colours)
        .map_err(|error| {
            Error::Unprocessable(format!("a TIFF file cannot hold the result: {error}"))
        })?;
    Ok(file.into_inner())
}
