use std::io::Cursor;
use std::num::NonZeroUsize;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::strategy::Strategy as _;

use super::*;
use crate::workload::raytracer::reference;
use crate::workload::raytracer::simd::{Kernel, Singles, dispatch};
use crate::workload::{Cancelled, FullSpeed, Instructions, Limits, Pacer};

fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn decode_within(limits: &Limits, bytes: &[u8]) -> Result<Texture, Error> {
    decode(bytes, &Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits })
}

fn decode_any(bytes: &[u8]) -> Result<Texture, Error> {
    decode_within(&Limits::default(), bytes)
}

/// The texel at texture coordinates, the same with all instructions.
fn texel(texture: &Texture, across: f64, down: f64) -> [u8; 3] {
    let texels = |set| dispatch(set, Look { texture, across, down });
    let expected = texels(Instructions::Portable);
    assert!(Instructions::available().all(|set| texels(set) == expected), "{across} {down}");
    expected
}

struct Look<'a> {
    texture: &'a Texture,
    across: f64,
    down: f64,
}

impl Kernel for Look<'_> {
    type Output = [u8; 3];

    fn run(self, simd: impl Simd) -> [u8; 3] {
        let (across, down) = (simd.splat(self.across), simd.splat(self.down));
        self.texture.texels(simd, across, down).map(|channel| {
            let lanes = channel.to_array();
            assert!(lanes.iter().all(|lane| lane.to_bits() == lanes[0].to_bits()));
            (lanes[0] * 255.0).round() as u8
        })
    }
}

fn color_picture() -> RgbImage {
    RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8 * 40, y as u8 * 90, 7]))
}

#[test]
fn texels_count_from_the_top_left() {
    for format in [ImageFormat::Bmp, ImageFormat::Png, ImageFormat::Tiff] {
        let texture = decode_any(&encode(color_picture(), format)).unwrap();
        assert_eq!(texel(&texture, 0.0, 0.0), [0, 0, 7]);
        assert_eq!(texel(&texture, 0.99, 0.0), [160, 0, 7]);
        assert_eq!(texel(&texture, 0.5, 0.99), [80, 180, 7]);
    }
}

#[test]
fn the_colour_under_alpha_counts() {
    let picture = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
    let texture = decode_any(&encode(picture, ImageFormat::Png)).unwrap();
    assert_eq!(texel(&texture, 0.1, 0.1), [10, 20, 30]);
}

/// What the widely used Java implementation makes of 256 levels of grey.
fn brightened() -> Vec<u8> {
    let table = include_str!("../../../../tests/goldens/raytracer/gray_to_srgb.txt");
    table.trim().split(',').map(|value| value.parse().unwrap()).collect()
}

#[test]
fn grey_of_8_or_16_bits_is_brightened_as_the_golden_table_says() {
    let grey = GrayImage::from_fn(256, 1, |x, _| Luma([x as u8]));
    let wide = image::ImageBuffer::from_fn(256, 1, |x, _| Luma([(x as u16) << 8 | 0xff]));
    let linear = GrayImage::from_fn(256, 1, |x, _| Luma([x as u8]));
    let with_alpha = DynamicImage::ImageLuma8(linear).into_luma_alpha8();
    for file in [
        encode(grey.clone(), ImageFormat::Png),
        encode(grey, ImageFormat::Tiff),
        encode(DynamicImage::ImageLuma16(wide.clone()), ImageFormat::Png),
        encode(DynamicImage::ImageLuma16(wide), ImageFormat::Tiff),
        encode(with_alpha, ImageFormat::Png),
    ] {
        let texture = decode_any(&file).unwrap();
        for (grey, expected) in brightened().into_iter().enumerate() {
            assert_eq!(texel(&texture, (grey as f64 + 0.5) / 256.0, 0.0), [expected; 3]);
        }
    }
}

#[test]
fn of_a_gif_the_first_frame_counts_and_not_the_canvas_around_it() {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 9, 8, &[]).unwrap();
    let mut frame = gif::Frame::from_palette_pixels(2, 1, [1, 0], [5, 6, 7, 8, 9, 10], None);
    (frame.left, frame.top) = (3, 4);
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let texture = decode_any(&file).unwrap();
    assert_eq!((texture.width, texture.height), (2, 1));
    assert_eq!(texture.texels, [[8, 9, 10], [5, 6, 7]]);
}

/// A decoder of JPEG for one kind of picture, transcribed from libjpeg's rules: squares of 16
/// pixels of one colour each, colour at half resolution, quality 75. Every block then has a mean and
/// nothing else, so what decoding gives can be written down without a decoder.
#[cfg(feature = "libjpeg")]
mod squares {
    use super::*;

    const SIDE: usize = 16;

    /// Luminance and the two chrominances of a colour, in 16-bit fixed point.
    fn encode_color([red, green, blue]: [u8; 3]) -> [i32; 3] {
        let [r, g, b] = [red, green, blue].map(i32::from);
        [
            (19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16,
            (-11_059 * r - 21_709 * g + 32_768 * b + 8_388_608 + 32_767) >> 16,
            (32_768 * r - 27_439 * g - 5_329 * b + 8_388_608 + 32_767) >> 16,
        ]
    }

    /// What is left of a block's sample after a transform whose only coefficient is eight times its
    /// distance from 128, divided by the table's first entry and rounded.
    fn quantise(sample: i32, entry: i32) -> i32 {
        let coefficient = 8 * (sample - 128);
        let quantised = coefficient.signum() * ((coefficient.abs() + entry / 2) / entry);
        ((quantised * entry + 4) >> 3) + 128
    }

    /// Chrominance at full resolution: 9/16 of the sample, 3/16 of its neighbours towards the
    /// pixel, 1/16 of the one across.
    fn upsample(
        plane: impl Fn(usize, usize) -> i32,
        [wide, high]: [usize; 2],
        at: [usize; 2],
    ) -> i32 {
        let towards = |place: usize, size: usize| {
            let other = if place.is_multiple_of(2) {
                (place / 2).saturating_sub(1)
            } else {
                (place / 2 + 1).min(size - 1)
            };
            (place / 2, other)
        };
        let ((x, x_other), (y, y_other)) = (towards(at[0], wide), towards(at[1], high));
        let column = |x| 3 * plane(x, y) + plane(x, y_other);
        let bias = if at[0].is_multiple_of(2) { 8 } else { 7 };
        (3 * column(x) + column(x_other) + bias) >> 4
    }

    fn decode_color([y, cb, cr]: [i32; 3]) -> [u8; 3] {
        let (cb, cr) = (cb - 128, cr - 128);
        [
            y + ((91_881 * cr + 32_768) >> 16),
            y + ((-22_554 * cb - 46_802 * cr + 32_768) >> 16),
            y + ((116_130 * cb + 32_768) >> 16),
        ]
        .map(|channel| channel.clamp(0, 255) as u8)
    }

    #[test]
    fn a_jpeg_texture_is_what_libjpegs_rules_say() {
        let colors: Vec<[u8; 3]> =
            (0..12u8).map(|n| [n * 23, 255 - n * 19, n.wrapping_mul(77)]).collect();
        let (columns, rows) = (4, 3);
        let (width, height) = (columns * SIDE, rows * SIDE);
        let square = |x: usize, y: usize| colors[y / SIDE * columns + x / SIDE];
        let picture = imaging::Picture {
            width: width as u32,
            height: height as u32,
            channels: imaging::Channels::Rgb,
            samples: (0..height).flat_map(|y| (0..width).flat_map(move |x| square(x, y))).collect(),
        };
        let file = imaging::encode(&picture, imaging::Format::Jpeg).unwrap();
        let texture = decode_any(&file).unwrap();
        assert_eq!((texture.width, texture.height), (width, height));
        let half = [width / 2, height / 2];
        for (place, texel) in texture.texels.iter().enumerate() {
            let at = [place % width, place / width];
            let chrominance = |channel: usize| {
                upsample(|x, y| quantise(encode_color(square(2 * x, 2 * y))[channel], 9), half, at)
            };
            let luminance = quantise(encode_color(square(at[0], at[1]))[0], 8);
            let expected = decode_color([luminance, chrominance(1), chrominance(2)]);
            assert_eq!(*texel, expected, "{at:?}");
        }
    }

    #[test]
    fn a_grey_jpeg_texture_is_brightened() {
        let levels: Vec<u8> = (0..=255).step_by(15).collect();
        let width = levels.len() * SIDE;
        let picture = imaging::Picture {
            width: width as u32,
            height: SIDE as u32,
            channels: imaging::Channels::Grey,
            samples: (0..width * SIDE).map(|place| levels[place % width / SIDE]).collect(),
        };
        let file = imaging::encode(&picture, imaging::Format::Jpeg).unwrap();
        let texture = decode_any(&file).unwrap();
        let table = brightened();
        for (place, texel) in texture.texels.iter().enumerate() {
            let level = levels[place % width / SIDE];
            assert_eq!(*texel, [table[usize::from(level)]; 3], "{place}");
        }
    }
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let file = encode(color_picture(), ImageFormat::Png);
    let few_pixels = Limits { texture_pixels: 14, ..Limits::default() };
    let error = decode_within(&few_pixels, &file).unwrap_err();
    assert!(matches!(error, Error::TooLarge { actual: 15, limit: "texture_pixels", .. }));
    let few_bytes = Limits { texture_bytes: 10, ..Limits::default() };
    let error = decode_within(&few_bytes, &file).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: "texture_bytes", .. }));
}

/// Nobody waits.
struct Nobody;

impl Pacer for Nobody {
    fn checkpoint(&self) -> Result<(), Cancelled> {
        Err(Cancelled)
    }
}

#[test]
fn decoding_a_large_texture_can_be_given_up() {
    let file = encode(RgbImage::new(900, 900), ImageFormat::Png);
    let limits = Limits::default();
    let run = Run { threads: NonZeroUsize::MIN, pacer: &Nobody, limits: &limits };
    assert_eq!(decode(&file, &run), Err(Error::Cancelled));
}

#[test]
fn what_is_no_picture_is_unprocessable() {
    let whole = encode(color_picture(), ImageFormat::Png);
    for bytes in [&b""[..], b"BM", b"no picture", &whole[..whole.len() / 2]] {
        assert!(matches!(decode_any(bytes), Err(Error::Unprocessable(_))));
    }
}

proptest::proptest! {
    #[test]
    fn coordinates_of_any_size_have_the_texel_that_the_rules_say(
        coordinates in proptest::array::uniform2(proptest::prop_oneof![
            -5.0..5.0_f64,
            -1e4..1e4_f64,
            -1e-15..1e-15_f64,
            (-50..50).prop_map(f64::from),
            (-50..50).prop_map(|n| f64::from(n).next_down()),
            proptest::num::f64::ANY,
        ]),
    ) {
        let texture = Texture::from_fn(7, 5, |x, y| [x, y, 200]);
        let [across, down] = coordinates;
        let expected = reference::texel(&texture, across, down);
        proptest::prop_assert_eq!(texel(&texture, across, down), expected);
    }
}
