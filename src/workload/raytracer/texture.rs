//! The picture that `texmap` pigments show.

use super::simd::{Doubles, LANES, Simd, each};
use crate::workload::{Error, Run, imaging};

/// A decoded texture: texels from the top left, row by row, as red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texture {
    width: usize,
    height: usize,
    texels: Vec<[u8; 3]>,
}

impl Texture {
    /// The texels at eight pairs of texture coordinates of any size, each channel from 0 to 1; the
    /// picture repeats.
    #[inline(always)]
    pub(super) fn texels<S: Simd>(&self, simd: S, across: S::D, down: S::D) -> [S::S; 3] {
        let columns = positions(simd, across, self.width);
        let rows = positions(simd, down, self.height);
        let places = (rows * simd.splat(self.width as f64) + columns).to_array();
        let mut channels = [[0.0; LANES]; 3];
        for (lane, place) in places.into_iter().enumerate() {
            for (row, byte) in channels.iter_mut().zip(self.texels[whole(place)]) {
                row[lane] = f32::from(byte);
            }
        }
        each!(channel => simd.load_single(&channels[channel]) / simd.splat_single(255.0))
    }

    #[cfg(test)]
    pub(super) fn from_fn(width: u8, height: u8, color: impl Fn(u8, u8) -> [u8; 3]) -> Self {
        let color = &color;
        let texels = (0..height).flat_map(|y| (0..width).map(move |x| color(x, y))).collect();
        Self { width: width.into(), height: height.into(), texels }
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    #[cfg(test)]
    pub(super) fn at(&self, column: usize, row: usize) -> [u8; 3] {
        self.texels[row * self.width + column]
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

/// Brings coordinates into 0..1, to the bit as if 1 had been added while they are negative and then
/// subtracted while they are 1 or more: below 2⁵³ each of those steps is exact, except the one that
/// crosses 0. Larger numbers are whole (those steps would never end): 0. NaN and infinities
/// give NaN.
#[inline(always)]
fn wrap<S: Simd>(simd: S, coordinate: S::D) -> S::D {
    let one = simd.splat(1.0);
    let fraction = coordinate - coordinate.trunc();
    let positive = S::D::select(fraction.less(simd.splat(0.0)), one + fraction, fraction);
    S::D::select(one.at_most(positive), positive - one, positive)
}

/// The columns or rows that coordinates fall on; NaN on the first.
#[inline(always)]
fn positions<S: Simd>(simd: S, coordinate: S::D, size: usize) -> S::D {
    let (first, last) = (simd.splat(0.0), simd.splat(size as f64 - 1.0));
    let place = (wrap(simd, coordinate) * simd.splat(size as f64)).floor();
    let place = S::D::select(last.less(place), last, place);
    S::D::select(first.at_most(place), place, first)
}

/// A whole number from 0 to below 2⁵².
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "no texture has more texels than addresses")]
fn whole(number: f64) -> usize {
    const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
    // The sum's low bits are the number.
    ((number + TWO_TO_52).to_bits() - TWO_TO_52.to_bits()) as usize
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
