use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::strategy::Strategy as _;

use super::*;

fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn color_picture() -> RgbImage {
    RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8 * 40, y as u8 * 90, 7]))
}

#[test]
fn texels_count_from_the_top_left() {
    for format in [ImageFormat::Bmp, ImageFormat::Png, ImageFormat::Tiff] {
        let texture = decode(&encode(color_picture(), format), &Limits::default()).unwrap();
        assert_eq!(texture.texel(0.0, 0.0), [0, 0, 7]);
        assert_eq!(texture.texel(0.99, 0.0), [160, 0, 7]);
        assert_eq!(texture.texel(0.5, 0.99), [80, 180, 7]);
    }
}

#[test]
fn the_colour_under_alpha_counts() {
    let picture = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
    let texture = decode(&encode(picture, ImageFormat::Png), &Limits::default()).unwrap();
    assert_eq!(texture.texel(0.1, 0.1), [10, 20, 30]);
}

#[test]
fn grey_is_brightened_as_the_golden_table_says() {
    let table = include_str!("../../../../tests/goldens/raytracer/gray_to_srgb.txt");
    let table: Vec<u8> = table.trim().split(',').map(|value| value.parse().unwrap()).collect();
    assert_eq!(grey_to_srgb().as_slice(), table);
    let picture = GrayImage::from_fn(256, 1, |x, _| Luma([x as u8]));
    let texture = decode(&encode(picture, ImageFormat::Png), &Limits::default()).unwrap();
    for (grey, expected) in table.into_iter().enumerate() {
        assert_eq!(texture.texel((grey as f64 + 0.5) / 256.0, 0.0), [expected; 3]);
    }
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let file = encode(color_picture(), ImageFormat::Png);
    let few_pixels = Limits { texture_pixels: 14, ..Limits::default() };
    let error = decode(&file, &few_pixels).unwrap_err();
    assert!(matches!(error, Error::TooLarge { actual: 15, limit: "texture_pixels", .. }));
    let few_bytes = Limits { texture_bytes: 10, ..Limits::default() };
    let error = decode(&file, &few_bytes).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: "texture_bytes", .. }));
}

#[test]
fn what_is_no_picture_is_unprocessable() {
    let whole = encode(color_picture(), ImageFormat::Png);
    for bytes in [&b""[..], b"BM", b"no picture", &whole[..whole.len() / 2]] {
        assert!(matches!(decode(bytes, &Limits::default()), Err(Error::Unprocessable(_))));
    }
}

/// As the rules have it: one step after another.
fn wrap_by_steps(mut coordinate: f64) -> f64 {
    while coordinate < 0.0 {
        coordinate += 1.0;
    }
    while coordinate >= 1.0 {
        coordinate -= 1.0;
    }
    coordinate
}

proptest::proptest! {
    #[test]
    fn wrapping_at_once_is_wrapping_step_by_step(
        coordinate in proptest::prop_oneof![
            -5.0..5.0_f64,
            -1e4..1e4_f64,
            -1e-15..1e-15_f64,
            (-50..50).prop_map(f64::from),
            (-50..50).prop_map(|n| f64::from(n).next_down()),
        ],
    ) {
        proptest::prop_assert_eq!(
            wrap(coordinate).abs().to_bits(),
            wrap_by_steps(coordinate).abs().to_bits()
        );
    }

    #[test]
    fn every_coordinate_has_a_texel(across: f64, down: f64) {
        let texture = Texture::from_fn(3, 2, |x, y| [x, y, 0]);
        let [x, y, _] = texture.texel(across, down);
        proptest::prop_assert!(x < 3 && y < 2);
    }
}
