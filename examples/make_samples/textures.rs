//! Wood and marble by formula. Both repeat without a seam.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use crate::noise::{hash, mix, octaves, wave};

/// Width and height of a texture in pixels.
const SIZE: u32 = 256;

/// Four planks, each with its own shade and its own cut through the rings of the tree.
pub(crate) fn wood() -> anyhow::Result<Vec<u8>> {
    const DARK: [f64; 3] = [92.0, 50.0, 24.0];
    const LIGHT: [f64; 3] = [201.0, 142.0, 86.0];
    painted(|across, down| {
        let place = down * 4.0;
        let plank = (0_u8..4).rev().find(|&plank| place >= f64::from(plank)).unwrap_or(0);
        let within = place - f64::from(plank);
        let seed = 100 * u64::from(plank);
        let shade = hash(i64::from(plank), 0, 7);
        // Along the board things change slowly: few lattice cells across, many down.
        let bend = octaves(across * 2.0, within * 2.0, (2, 64), 3, seed);
        let rings = wave(within * 2.3 + 3.1 * bend + shade);
        let fibre = octaves(across * 4.0, within * 24.0, (4, 512), 3, seed + 50);
        let joint = (across - shade).abs().min(within.min(1.0 - within) / 4.0);
        let groove = (joint * 110.0).min(1.0);
        let brightness = 0.25 + 0.30 * rings + 0.38 * fibre + 0.22 * (shade - 0.5);
        blend(DARK, LIGHT, brightness).map(|channel| channel * (0.45 + 0.55 * groove))
    })
}

/// White stone with thin grey veins, folded by noise.
pub(crate) fn marble() -> anyhow::Result<Vec<u8>> {
    const STONE: [f64; 3] = [240.0, 237.0, 230.0];
    const CLOUD: [f64; 3] = [204.0, 206.0, 212.0];
    const VEIN: [f64; 3] = [96.0, 104.0, 122.0];
    painted(|across, down| {
        let fold = octaves(across * 3.0, down * 3.0, (3, 3), 6, 1);
        let cloud = octaves(across * 4.0, down * 4.0, (4, 4), 5, 20);
        let broad = wave(across + down + 2.6 * fold).powi(10);
        let fine = wave(2.0 * across - down + 3.4 * fold + 0.8 * cloud).powi(24);
        let stone = blend(STONE, CLOUD, 1.6 * (cloud - 0.3));
        blend(blend(stone, VEIN, 0.75 * broad), VEIN, 0.5 * fine)
    })
}

/// A colour between two, each channel 0 to 255; `share` is brought to 0..1.
fn blend(from: [f64; 3], to: [f64; 3], share: f64) -> [f64; 3] {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|channel| mix(from[channel], to[channel], share))
}

/// A 24-bit BMP file whose pixels are a function of their place, both coordinates from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "channels are 0 to 255 before they are rounded"
)]
fn painted(colour: impl Fn(f64, f64) -> [f64; 3]) -> anyhow::Result<Vec<u8>> {
    let picture = RgbImage::from_fn(SIZE, SIZE, |column, row| {
        let [across, down] = [column, row].map(|at| (f64::from(at) + 0.5) / f64::from(SIZE));
        Rgb(colour(across, down).map(|channel| channel.round() as u8))
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Bmp)?;
    Ok(file.into_inner())
}
