//! Grey: from colours, and through the curve between linear light and sRGB.
//!
//! The widely used Java implementation treats grey pictures as linear light, so it sends 16-bit
//! grey and grey with alpha through the sRGB curve of IEC 61966-2-1 when it reads them.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

use crate::workload::Instructions;
use crate::workload::kernel::{Kernel, run_with};
use std::sync::LazyLock;

/// For each linear grey level, the sRGB level nearest to it.
pub(super) static SRGB_OF_LINEAR: LazyLock<[u8; 256]> = LazyLock::new(|| table(srgb_of_linear));

/// What becomes of a grey level that is read as sRGB and written back as linear grey.
///
/// The Java implementation does that to the pixel (0,0) of each grey picture it gives out, which
/// changes 73 of the 256 levels by one.
pub(super) static ROUND_TRIP: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let linear_of_srgb = table(linear_of_srgb);
    SRGB_OF_LINEAR.map(|level| linear_of_srgb[usize::from(level)])
});

fn table(curve: impl Fn(f64) -> f64) -> [u8; 256] {
    let mut table = [0; 256];
    for (level, value) in (0u8..=255).zip(&mut table) {
        *value = to_level(curve(f64::from(level) / 255.0));
    }
    table
}

/// The nearest of 256 levels for a share from 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(super) fn to_level(share: f64) -> u8 {
    (share * 255.0 + 0.5) as u8
}

/// The sRGB transfer function of IEC 61966-2-1, on shares from 0 to 1.
pub(super) fn srgb_of_linear(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

fn linear_of_srgb(srgb: f64) -> f64 {
    if srgb <= 0.040_45 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}

/// Writes `(red + green + blue) / 3` of each pixel to `grey`; a fourth channel is ignored.
///
/// `pixels` holds `channels` bytes a pixel. With one channel they are copied.
pub(super) fn average_channels(
    instructions: Instructions,
    pixels: &[u8],
    channels: usize,
    grey: &mut [u8],
) {
    match channels {
        1 => grey.copy_from_slice(pixels),
        3 => run_with(instructions, Average::<3> { pixels, grey }),
        _ => run_with(instructions, Average::<4> { pixels, grey }),
    }
}

struct Average<'a, const CHANNELS: usize> {
    pixels: &'a [u8],
    grey: &'a mut [u8],
}

impl<const CHANNELS: usize> Kernel for Average<'_, CHANNELS> {
    #[inline(always)]
    fn run(self) {
        let (pixels, _) = self.pixels.as_chunks::<CHANNELS>();
        for (grey, pixel) in self.grey.iter_mut().zip(pixels) {
            let sum = u32::from(pixel[0]) + u32::from(pixel[1]) + u32::from(pixel[2]);
            *grey = third(sum);
        }
    }
}

/// `sum / 3` for a sum of three bytes, by multiplication.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a third of at most 765 fits a byte")]
const fn third(sum: u32) -> u8 {
    ((sum * 21_846) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_exact_for_every_sum() {
        for sum in 0..=765 {
            assert_eq!(u32::from(third(sum)), sum / 3);
        }
    }

    #[test]
    fn the_round_trip_changes_the_recorded_levels() {
        let recorded = include_str!("../../../tests/goldens/imaging/gray_pixel00_roundtrip.txt");
        let (_, pairs) = recorded.split_once(':').expect("a title");
        let mut expected: Vec<u8> = (0..=255).collect();
        for pair in pairs.split_whitespace() {
            let (from, to) = pair.split_once("->").expect("a pair");
            expected[from.parse::<usize>().unwrap()] = to.parse().unwrap();
        }
        assert_eq!(ROUND_TRIP[..], expected);
        let changed = expected.iter().zip(0u8..=255).filter(|(to, from)| **to != *from).count();
        assert_eq!(changed, 73);
    }

    #[test]
    fn linear_grey_brightens() {
        let samples = [(0, 0), (1, 13), (16, 71), (127, 187), (128, 188), (254, 255), (255, 255)];
        for (linear, srgb) in samples {
            assert_eq!(SRGB_OF_LINEAR[linear], srgb, "level {linear}");
        }
    }

    #[test]
    fn the_average_drops_what_division_leaves() {
        let (best, mut grey) = (Instructions::best(), [0; 2]);
        average_channels(best, &[1, 2, 2, 255, 255, 254], 3, &mut grey);
        assert_eq!(grey, [1, 254]);
        average_channels(best, &[1, 2, 2, 99, 3, 3, 3, 0], 4, &mut grey);
        assert_eq!(grey, [1, 3]);
        average_channels(best, &[7, 9], 1, &mut grey);
        assert_eq!(grey, [7, 9]);
    }
}
