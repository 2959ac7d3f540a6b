//! The picture that `texmap` pigments show.

use std::io::Cursor;

use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use crate::workload::imaging::{self, Channels};
use crate::workload::{Error, Limits};

/// A decoded texture: texels from the top left, row by row, as red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texture {
    width: usize,
    height: usize,
    texels: Vec<[u8; 3]>,
}

impl Texture {
    /// The texel at texture coordinates of any size; the picture repeats.
    #[inline(always)]
    pub(super) fn texel(&self, across: f64, down: f64) -> [u8; 3] {
        let column = position(wrap(across), self.width);
        let row = position(wrap(down), self.height);
        self.texels[row * self.width + column]
    }

    #[cfg(test)]
    pub(super) fn from_fn(width: u8, height: u8, color: impl Fn(u8, u8) -> [u8; 3]) -> Self {
        let color = &color;
        let texels = (0..height).flat_map(|y| (0..width).map(move |x| color(x, y))).collect();
        Self { width: width.into(), height: height.into(), texels }
    }

    /// One grey texel: stands in for a texture where colours do not matter.
    pub(super) fn plain() -> Self {
        Self { width: 1, height: 1, texels: vec![[128; 3]] }
    }

    /// Width times height.
    pub(super) fn pixels(&self) -> usize {
        self.texels.len()
    }
}

/// Brings a coordinate into 0..1, to the bit as if 1 had been added while it is negative and then
/// subtracted while it is 1 or more: below 2⁵³ each of those steps is exact, except the one that
/// crosses 0. Larger numbers are whole (those steps would never end): 0. NaN and infinities
/// give NaN.
#[inline(always)]
fn wrap(coordinate: f64) -> f64 {
    let fraction = coordinate - coordinate.trunc();
    let positive = if fraction < 0.0 { 1.0 + fraction } else { fraction };
    if positive >= 1.0 { positive - 1.0 } else { positive }
}

/// The column or row that a wrapped coordinate falls on; NaN on the first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is at least 0 or NaN, which becomes 0, and is bounded on the same line"
)]
#[inline(always)]
fn position(wrapped: f64, size: usize) -> usize {
    ((wrapped * size as f64).floor() as usize).min(size - 1)
}

/// Decodes a BMP, PNG, GIF (its first frame), JPEG or TIFF file.
///
/// Alpha is ignored: the colour stored under it counts. 8-bit grey pictures are brightened as
/// [`grey_to_srgb`] says.
///
/// # Errors
/// [`Error::TooLarge`] for a file or picture beyond `limits`, found out before memory is taken
/// for it; [`Error::Unprocessable`] if the bytes are not such a picture.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Texture, Error> {
    let actual = bytes.len() as u64;
    if actual > limits.texture_bytes {
        let (what, allowed) = ("the texture's length in bytes", limits.texture_bytes);
        return Err(Error::TooLarge { what, actual, limit: "texture_bytes", allowed });
    }
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::Unprocessable(format!("The texmap could not be decoded: {why}."))
    };
    let format = image::guess_format(bytes).ok().filter(|format| {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff};
        matches!(format, Bmp | Gif | Jpeg | Png | Tiff)
    });
    let format =
        format.ok_or_else(|| unreadable(&"it is not a BMP, PNG, GIF, JPEG or TIFF picture"))?;
    let decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(|error| unreadable(&error))?;
    let (width, height) = decoder.dimensions();
    let actual = u64::from(width) * u64::from(height);
    if actual > limits.texture_pixels {
        let (what, allowed) = ("the texture's number of pixels", limits.texture_pixels);
        return Err(Error::TooLarge { what, actual, limit: "texture_pixels", allowed });
    }
    if actual == 0 {
        return Err(unreadable(&"it has no pixels"));
    }
    if format == ImageFormat::Jpeg {
        return jpeg(bytes, limits);
    }
    let few_bits = matches!(
        decoder.original_color_type(),
        ExtendedColorType::L1 | ExtendedColorType::L2 | ExtendedColorType::L4
    );
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| unreadable(&error))?;
    Ok(Texture {
        width: width as usize,
        height: height as usize,
        texels: texels(picture, few_bits),
    })
}

/// A JPEG file, to the pixel as existing services decode it.
fn jpeg(bytes: &[u8], limits: &Limits) -> Result<Texture, Error> {
    let picture = imaging::decode(bytes, limits).map_err(|error| match error {
        Error::Malformed(why) | Error::Unsupported(why) => {
            Error::Unprocessable(format!("The texmap could not be decoded: {why}."))
        }
        other => other,
    })?;
    let texels = match picture.channels {
        Channels::Grey => {
            let table = grey_to_srgb();
            picture.samples.iter().map(|grey| [table[usize::from(*grey)]; 3]).collect()
        }
        Channels::Rgb => picture.samples.as_chunks::<3>().0.to_vec(),
        Channels::Rgba => {
            picture.samples.as_chunks::<4>().0.iter().map(|[r, g, b, _]| [*r, *g, *b]).collect()
        }
    };
    Ok(Texture { width: picture.width as usize, height: picture.height as usize, texels })
}

/// The picture's colours. Grey of fewer than 8 bits is a palette, and taken as it is.
fn texels(picture: DynamicImage, few_bits: bool) -> Vec<[u8; 3]> {
    if picture.color().has_color() || few_bits {
        picture.into_rgb8().pixels().map(|pixel| pixel.0).collect()
    } else {
        let table = grey_to_srgb();
        let brightened = |grey: u8| [table[usize::from(grey)]; 3];
        // Of 16 bits, the upper eight count.
        if let DynamicImage::ImageLuma16(grey) = &picture {
            return grey.pixels().map(|pixel| brightened((pixel.0[0] >> 8) as u8)).collect();
        }
        picture.into_luma8().pixels().map(|pixel| brightened(pixel.0[0])).collect()
    }
}

/// What 8-bit grey becomes: the widely used Java implementation takes it for linear light and
/// applies the transfer function of sRGB (IEC 61966-2-1).
fn grey_to_srgb() -> [u8; 256] {
    std::array::from_fn(|grey| {
        let linear = grey as f64 / 255.0;
        let encoded = if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the function maps 0..=1 to 0..=1"
        )]
        let byte = (255.0 * encoded).round() as u8;
        byte
    })
}

#[cfg(test)]
mod tests;
