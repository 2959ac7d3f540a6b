//! The picture that `texmap` pigments show.

use crate::workload::{Error, Run, imaging};

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

/// Decodes a picture file of any kind that is read here, of a GIF its first frame.
///
/// Alpha is ignored: the colour stored under it counts. Grey pictures are brightened.
///
/// # Errors
/// [`Error::TooLarge`] for a file or picture beyond the limits, found out before memory is taken
/// for it; [`Error::Unprocessable`] if the bytes are not such a picture; [`Error::Cancelled`].
pub(super) fn decode(bytes: &[u8], run: &Run<'_>) -> Result<Texture, Error> {
    let (actual, allowed) = (bytes.len() as u64, run.limits.texture_bytes);
    if actual > allowed {
        let what = "the texture's length in bytes";
        return Err(Error::TooLarge { what, actual, limit: "texture_bytes", allowed });
    }
    let picture = imaging::decode_colors(bytes, run).map_err(|error| match error {
        Error::Malformed(why) | Error::Unsupported(why) => {
            Error::Unprocessable(format!("The texmap could not be decoded: {why}."))
        }
        other => other,
    })?;
    Ok(Texture {
        width: picture.width as usize,
        height: picture.height as usize,
        texels: picture.pixels,
    })
}

#[cfg(test)]
mod tests;
