//! Four-colour (CMYK) pictures.
//!
//! Converted as the widely used Java implementation does without a colour profile: the product of
//! what the inks let through, taken as linear light and encoded as sRGB.

use crate::workload::imaging::grey::{srgb_of_linear, to_level};

/// A row of ink values, and how to read them.
pub(super) struct Inks {
    /// Cyan, magenta, yellow, black of each pixel.
    pub(super) row: Vec<u8>,
    /// Whether 255 means no ink, as in files of Adobe's programs.
    inverted: bool,
}

impl Inks {
    pub(super) fn new(width: usize, inverted: bool) -> Self {
        Self { row: vec![0; width * 4], inverted }
    }

    /// Writes the row as RGB.
    pub(super) fn convert(&self, rgb: &mut [u8]) {
        let (inks, _) = self.row.as_chunks::<4>();
        for (pixel, ink) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(inks) {
            *pixel = convert(*ink, self.inverted);
        }
    }
}

fn convert(inks: [u8; 4], inverted: bool) -> [u8; 3] {
    let [cyan, magenta, yellow, black] = inks.map(|ink| {
        let share = f64::from(ink) / 255.0;
        if inverted { share } else { 1.0 - share }
    });
    [cyan, magenta, yellow].map(|passed| to_level(srgb_of_linear(passed * black)))
}

/// Whether a JPEG file has Adobe's marker (APP14), whose inks are stored inverted.
pub(super) fn has_adobe_marker(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            0xee if jpeg.get(at + 4..at + 9) == Some(b"Adobe") => return true,
            0xda => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    false
}
