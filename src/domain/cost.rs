//! What a request will cost, guessed before it is run.
//!
//! A guess from what is known when the choice is made: the path, the query and the first bytes of
//! the body. It ranks requests (a rendering of a megapixel is not a ping) and its error is in the
//! tens of per cent, which choosing the VM with the least work left bears well: with errors of a
//! factor of 1.6 its mean response time grows by less than 5 %.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

/// An amount of computing, in nanoseconds of one vCPU. Adding and taking away saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Work(u64);

impl Work {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// So many nanoseconds of one vCPU.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds of one vCPU.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// In seconds of one vCPU.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::NONE, Add::add)
    }
}

impl fmt::Display for Work {
    /// `3.4 s`, `34 ms`, `120 us`: two or three digits are all that a guess deserves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 s"),
            1..1_000_000 => write!(f, "{} us", self.0.div_ceil(1_000)),
            1_000_000..100_000_000 => write!(f, "{} ms", self.0 / 1_000_000),
            _ => write!(f, "{:.1} s", self.seconds()),
        }
    }
}

/// What kind of work a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Blur a picture.
    Blur,
    /// Enhance the contrast of a picture.
    Enhance,
    /// Render a window of a scene.
    Raytrace,
    /// Anything else: a page, a health check.
    #[default]
    Other,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Blur, Self::Enhance, Self::Raytrace, Self::Other];

    /// Its place in [`Kind::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Blur => 0,
            Self::Enhance => 1,
            Self::Raytrace => 2,
            Self::Other => 3,
        }
    }

    /// The word for it in files and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blur => "blur",
            Self::Enhance => "enhance",
            Self::Raytrace => "raytrace",
            Self::Other => "other",
        }
    }
}

/// What is known of a request before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// The kind of work.
    pub kind: Kind,
    /// Length of its body in bytes, if it was declared.
    pub body_bytes: Option<u64>,
    /// Width times height of the picture in its body, if its head was read.
    pub picture_pixels: Option<u64>,
    /// Width times height of the window to render, if the query names one.
    pub window_pixels: Option<u64>,
    /// Whether each pixel of the window takes four rays.
    pub antialias: bool,
}

/// What any request costs: parsing, a thread's turn, an answer.
const OVERHEAD_NS: u64 = 100_000;
/// Cost of a byte of body: reading, base64, entropy coding.
const NS_PER_BYTE: u64 = 2;
/// Decoding, box blur and encoding of a pixel of a photograph, as measured on one core.
const BLUR_NS_PER_PIXEL: u64 = 8;
/// The same with local histogram equalisation instead of the blur.
const ENHANCE_NS_PER_PIXEL: u64 = 13;
/// Pixels that a byte of a picture stands for when its head was not read: a photograph as JPEG has
/// about two bits a pixel, and base64 adds a third.
const PIXELS_PER_BYTE: u64 = 3;
/// A picture of unknown size and unknown length.
const PICTURE_PIXELS: u64 = 1_000_000;
/// Cost of a camera ray with the shadow and mirror rays that follow it, in a scene of few shapes.
const NS_PER_RAY: u64 = 200;
/// Bytes of scene text after which a ray costs a nanosecond more: a shape takes about a hundred
/// bytes to write down and, most of the time, a bounding box spares its test.
const SCENE_BYTES_PER_NS: u64 = 50;
/// What exceeds this is texture, not scene.
const SCENE_BYTES: u64 = 64 << 10;
/// A window of unknown size: VGA.
const WINDOW_PIXELS: u64 = 640 * 480;
/// Rays per pixel with antialiasing.
const SAMPLES: u64 = 4;

/// Guesses the work of a request. More pixels, more bytes or antialiasing never lower the guess.
pub fn predict(features: &Features) -> Work {
    let bytes = features.body_bytes.unwrap_or(0);
    let pixels = || {
        features.picture_pixels.unwrap_or_else(|| {
            features.body_bytes.map_or(PICTURE_PIXELS, |b| b.saturating_mul(PIXELS_PER_BYTE))
        })
    };
    let computing = match features.kind {
        Kind::Blur => pixels().saturating_mul(BLUR_NS_PER_PIXEL),
        Kind::Enhance => pixels().saturating_mul(ENHANCE_NS_PER_PIXEL),
        Kind::Raytrace => {
            let samples = if features.antialias { SAMPLES } else { 1 };
            let per_ray = NS_PER_RAY + bytes.min(SCENE_BYTES) / SCENE_BYTES_PER_NS;
            let rays = features.window_pixels.unwrap_or(WINDOW_PIXELS).saturating_mul(samples);
            rays.saturating_mul(per_ray)
        }
        Kind::Other => 0,
    };
    let nanos =
        OVERHEAD_NS.saturating_add(bytes.saturating_mul(NS_PER_BYTE)).saturating_add(computing);
    Work::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_features() -> impl Strategy<Value = Features> {
        let kind = prop_oneof![
            Just(Kind::Blur),
            Just(Kind::Enhance),
            Just(Kind::Raytrace),
            Just(Kind::Other)
        ];
        let number = || proptest::option::of(any::<u64>());
        (kind, number(), number(), number(), any::<bool>()).prop_map(
            |(kind, body_bytes, picture_pixels, window_pixels, antialias)| Features {
                kind,
                body_bytes,
                picture_pixels,
                window_pixels,
                antialias,
            },
        )
    }

    proptest! {
        #[test]
        fn more_to_do_never_costs_less(features in any_features(), more in any::<u64>()) {
            let cost = predict(&features);
            let grown = |value: Option<u64>| value.map(|v| v.saturating_add(more));
            let larger = [
                Features { body_bytes: grown(features.body_bytes), ..features },
                Features { picture_pixels: grown(features.picture_pixels), ..features },
                Features { window_pixels: grown(features.window_pixels), ..features },
                Features { antialias: true, ..features },
            ];
            for other in larger {
                prop_assert!(predict(&other) >= cost, "{other:?} below {features:?}");
            }
        }
    }

    #[test]
    fn a_rendering_outweighs_a_picture_and_a_picture_a_ping() {
        let ping = predict(&Features::default());
        let photo = Features { picture_pixels: Some(2_000_000), ..Features::default() };
        let blur = predict(&Features { kind: Kind::Blur, ..photo });
        let enhance = predict(&Features { kind: Kind::Enhance, ..photo });
        let render = predict(&Features {
            kind: Kind::Raytrace,
            window_pixels: Some(1_920_000),
            antialias: true,
            ..Features::default()
        });
        assert!(ping < blur && blur < enhance && enhance < render);
        assert_eq!(blur.to_string(), "16 ms");
    }

    #[test]
    fn work_is_shown_in_the_unit_that_fits() {
        let shown = [0, 800, 120_000, 34_000_000, 800_000_000, 3_400_000_000]
            .map(|nanos| Work::from_nanos(nanos).to_string());
        assert_eq!(shown, ["0 s", "1 us", "120 us", "34 ms", "0.8 s", "3.4 s"]);
    }
}
