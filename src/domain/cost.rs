//! What a request will cost, foretold before it is run.
//!
//! ```text
//!  head, first bytes, ─▶ Features ──▶ CostModel ──▶ Work ──▶ over the VM's Pace: its CPU time
//!  some traced rays                      ▲ learns from the CPU time of every answer
//! ```
//!
//! The nominal work of a request is counted or guessed from its features ([`Features`]), by rules
//! that hold on any machine. What a nominal nanosecond costs here is learned ([`CostModel`]), and
//! by how much one VM is faster or slower than the others ([`Pace`]).
//!
//! Choosing a VM bears large errors: with errors of a factor of 1.6 the mean response time under
//! least work left grows by less than 5 %. Staffing and deadlines ask for more.

mod fit;
mod model;
mod pace;

pub use fit::{PRODUCTS, Sums, TERMS};
pub use model::{Accuracy, CostModel, Density, LARGEST_LOG};
pub use pace::{Pace, Typical};

use std::fmt::{self, Write as _};
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use crate::domain::vm::UnknownWord;

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

    /// So many nanoseconds of one vCPU; less than none, or no number, is none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such casts saturate, and NaN becomes 0"
    )]
    pub const fn from_nanos_f64(nanos: f64) -> Self {
        Self(nanos as u64)
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

impl Work {
    /// Adds it to a text as it is shown.
    pub fn append_to(self, text: &mut String) {
        let mut number = itoa::Buffer::new();
        match self.0 {
            0 => text.push_str("0 s"),
            1..1_000_000 => {
                text.push_str(number.format(self.0.div_ceil(1_000)));
                text.push_str(" us");
            }
            1_000_000..100_000_000 => {
                text.push_str(number.format(self.0 / 1_000_000));
                text.push_str(" ms");
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "{:.1} s", self.seconds());
            }
        }
    }
}

impl fmt::Display for Work {
    /// `3.4 s`, `34 ms`, `120 us`: two or three digits are all that a guess deserves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.append_to(&mut text);
        f.pad(&text)
    }
}

/// What kind of work a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
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
    /// The kinds of which the cost is learned.
    pub const WORKLOADS: [Self; 3] = [Self::Blur, Self::Enhance, Self::Raytrace];

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

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::WORKLOADS
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "blur, enhance or raytrace"))
    }
}

/// What the nominal work was counted from. Costs are learned for each of them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum Form {
    /// The size of a JPEG picture.
    Jpeg,
    /// The size of a PNG picture.
    Png,
    /// The size of a GIF picture.
    Gif,
    /// The size of a BMP picture.
    Bmp,
    /// The size of a TIFF picture.
    Tiff,
    /// Some rays traced through a scene of few shapes.
    ShortList,
    /// Some rays traced through a scene of many shapes.
    LongList,
    /// Some rays traced through a scene with a hierarchy.
    Hierarchy,
    /// Little: the length of the body, the window of a render.
    #[default]
    Guessed,
}

impl Form {
    const ALL: [Self; 9] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Bmp,
        Self::Tiff,
        Self::ShortList,
        Self::LongList,
        Self::Hierarchy,
        Self::Guessed,
    ];

    /// The word that stands for it in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::ShortList => "short-list",
            Self::LongList => "long-list",
            Self::Hierarchy => "hierarchy",
            Self::Guessed => "guessed",
        }
    }
}

impl FromStr for Form {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let expected = "jpeg, png, gif, bmp, tiff, short-list, long-list, hierarchy or guessed";
        Self::ALL
            .into_iter()
            .find(|form| form.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, expected))
    }
}

/// What is known of a request before it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// The kind of work.
    pub kind: Kind,
    /// What the nominal work comes from.
    pub form: Form,
    /// Work by the rules that count it, before anything is learned.
    pub nominal: Work,
    /// The part of it that is tests of rays against shapes; none of a picture.
    pub tests: Work,
    /// Bytes of the file or text to be read.
    pub bytes: u64,
}

/// What any request costs, in nanoseconds: parsing, a thread's turn, an answer.
const OVERHEAD_NS: f64 = 60_000.0;
/// Cost of a byte of input, in nanoseconds: reading, base64.
const NS_PER_BYTE: f64 = 2.0;
/// The same for JPEG, with the entropy coding of the input and of an output about as detailed.
const NS_PER_JPEG_BYTE: f64 = 8.0;
/// Bands of density in which pictures count as equally detailed, per doubling.
const BANDS: f64 = 3.0;

impl Features {
    /// Whether little is known.
    pub fn is_guess(&self) -> bool {
        self.form == Form::Guessed
    }

    /// The parts that the cost is a weighted sum of, in nanoseconds; the weights are near 1.
    pub(in crate::domain) fn terms(&self) -> [f64; TERMS] {
        let a_byte = if self.form == Form::Jpeg { NS_PER_JPEG_BYTE } else { NS_PER_BYTE };
        let (tests, others) = (self.tests, self.nominal - self.tests);
        let work = [others, tests].map(|part| part.nanos() as f64);
        [OVERHEAD_NS, work[0], self.bytes as f64 * a_byte, work[1]]
    }

    /// How densely the file of a picture is filled, in bands: a flat picture, a drawing, a
    /// photograph and noise of one size take different times to compress, and neither more nor less
    /// for more bytes. Nothing for a render, and for a picture of unknown size.
    fn density_band(&self) -> Option<i8> {
        let is_picture = matches!(self.kind, Kind::Blur | Kind::Enhance) && !self.is_guess();
        if !is_picture || self.bytes == 0 || self.nominal == Work::NONE {
            return None;
        }
        let density = self.bytes as f64 / self.nominal.nanos() as f64;
        #[expect(clippy::cast_possible_truncation, reason = "such casts saturate")]
        let band = (density.log2() * BANDS).round() as i8;
        Some(band)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in Kind::WORKLOADS {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for form in Form::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
        }
        assert!("other".parse::<Kind>().is_err() && "webp".parse::<Form>().is_err());
    }

    #[test]
    fn work_is_shown_in_the_unit_that_fits() {
        let shown = [0, 800, 120_000, 34_000_000, 800_000_000, 3_400_000_000]
            .map(|nanos| Work::from_nanos(nanos).to_string());
        assert_eq!(shown, ["0 s", "1 us", "120 us", "34 ms", "0.8 s", "3.4 s"]);
    }
}
