//! Pictures and scenes to send, made here: the same seed gives the same bytes.

use std::fmt::Write;

use fastrand::Rng;

use crate::workload::Error;
use crate::workload::imaging::{self, Channels, Format, Picture};

/// Discs on a picture: edges, which a plain gradient lacks.
const DISCS: u32 = 24;

/// A picture file. What is on it compresses about as a photograph does: gradients, edges and the
/// noise of a sensor.
///
/// # Errors
/// If files of this format cannot be so large.
pub(in crate::client) fn picture(
    width: u32,
    height: u32,
    format: Format,
    seed: u64,
) -> Result<Vec<u8>, Error> {
    let mut rng = Rng::with_seed(seed);
    let slope = [(); 3].map(|()| (rng.u32(40..160), rng.u32(40..160)));
    let (columns, rows) = (width as usize, height as usize);
    let mut samples = Vec::with_capacity(columns * rows * 3);
    for row in 0..height {
        for column in 0..width {
            let noise = u32::from(rng.u8(..12));
            for (across, down) in slope {
                let level = across * column / width + down * row / height / 2 + noise;
                samples.push(level.to_le_bytes()[0]);
            }
        }
    }
    for _ in 0..DISCS {
        let middle = (rng.i64(0..i64::from(width)), rng.i64(0..i64::from(height)));
        let radius = rng.i64(1..=i64::from(width.min(height) / 6).max(1));
        let colour = [rng.u8(..), rng.u8(..), rng.u8(..)];
        disc(&mut samples, (columns, rows), middle, radius, colour);
    }
    imaging::encode(&Picture { width, height, channels: Channels::Rgb, samples }, format)
}

/// Mixes a disc into a picture, half and half, so that the noise below shows through.
fn disc(
    samples: &mut [u8],
    (columns, rows): (usize, usize),
    middle: (i64, i64),
    radius: i64,
    colour: [u8; 3],
) {
    let inside = |at: i64, end: usize| usize::try_from(at).unwrap_or(0).min(end);
    for row in inside(middle.1 - radius, rows)..inside(middle.1 + radius + 1, rows) {
        // Rows are below 2³², so this cannot wrap.
        let above = i64::try_from(row).unwrap_or(i64::MAX) - middle.1;
        let half = (radius * radius - above * above).max(0).isqrt();
        let from = inside(middle.0 - half, columns);
        let to = inside(middle.0 + half + 1, columns);
        let line = samples.get_mut((row * columns + from) * 3..(row * columns + to) * 3);
        for pixel in line.into_iter().flat_map(|line| line.chunks_exact_mut(3)) {
            for (level, tint) in pixel.iter_mut().zip(colour) {
                *level = level.midpoint(tint);
            }
        }
    }
}

/// Everything of a scene but its lights beyond the ambient one and its spheres.
const HEAD: &str = "0 3.2 11\n0 1 0\n0 1 0\n38\n";
const PIGMENTS: &str = "\
6
checker .82 .82 .80  .22 .24 .30  1.4
solid .86 .12 .10
solid .95 .70 .12
solid .12 .50 .28
solid .14 .30 .80
solid .85 .85 .90
";
/// Matt, glossy, glass and mirror.
const FINISHES: &str = "\
4
.20 .70 0 1 0 0 0
.15 .60 .70 90 .15 0 0
.05 .20 .80 200 .10 .70 1.4
.05 .15 .90 400 .75 0 0
";

/// A scene of `shapes` spheres, the first of which is replaced by the floor, and `lights` lights
/// besides the ambient one.
pub(in crate::client) fn scene(shapes: u32, lights: u32, seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let mut between = |low: f64, high: f64| low + rng.f64() * (high - low);
    let mut text = format!("{HEAD}{}\n0 0 0  .4 .4 .45  1 0 0\n", lights + 1);
    // Writing to a string cannot fail.
    for _ in 0..lights {
        let (x, y, z) = (between(-9.0, 9.0), between(5.0, 12.0), between(2.0, 12.0));
        let share = between(0.5, 1.0) / f64::from(lights);
        let _ = writeln!(text, "{x:.2} {y:.2} {z:.2}  {share:.3} {share:.3} {share:.3}  1 0 0");
    }
    text.push_str(PIGMENTS);
    text.push_str(FINISHES);
    let _ = writeln!(text, "{shapes}");
    for shape in 0..shapes {
        if shape == 0 {
            text.push_str("0 1 plane 0 1 0 0\n");
            continue;
        }
        let radius = between(0.2, 0.2 + 1.6 / f64::from(shapes).sqrt());
        let (x, z) = (between(-5.0, 5.0), between(-7.0, 4.0));
        let pigment = 1 + shape % 5;
        let finish = shape % 4;
        let _ = writeln!(text, "{pigment} {finish} sphere {x:.3} {radius:.3} {z:.3} {radius:.3}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Limits;
    use crate::workload::imaging::probe_header;
    use crate::workload::raytracer::Scene;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn pictures_have_the_size_and_format_asked_for_and_follow_their_seed(
            width in 1u32..300, height in 1u32..300, seed: u64,
            format in prop::sample::select(vec![Format::Jpeg, Format::Png, Format::Bmp]),
        ) {
            let file = picture(width, height, format, seed).unwrap();
            let header = probe_header(&file).unwrap();
            prop_assert_eq!((header.width, header.height), (width, height));
            prop_assert_eq!(header.format, format);
            prop_assert!(imaging::decode(&file, &Limits::default()).is_ok());
            prop_assert_eq!(picture(width, height, format, seed).unwrap(), file);
        }

        #[test]
        fn scenes_can_be_read_and_follow_their_seed(
            shapes in 1u32..200, lights in 1u32..9, seed: u64,
        ) {
            let text = scene(shapes, lights, seed);
            prop_assert!(Scene::parse(text.as_bytes(), &Limits::default()).is_ok(), "{}", text);
            prop_assert_eq!(text.lines().filter(|line| line.contains("sphere")).count() + 1,
                            shapes as usize);
            prop_assert!(shapes < 3 || scene(shapes, lights, seed ^ 1) != text);
        }
    }
}
