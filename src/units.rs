//! Small types that carry units, so that two numbers that mean different things cannot be swapped.

use std::fmt;
use std::str::FromStr;

/// A share of something, 0 (none of it) to 1 (all of it).
///
/// Never NaN and never outside its bounds, so it can be compared, averaged and written to a file
/// without a second look.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

impl Share {
    /// Nothing of it.
    pub const NONE: Self = Self(0.0);
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// A share that must lie between 0 and 1.
    ///
    /// # Errors
    /// [`NotAShare`] for a number outside 0 to 1, and for NaN.
    pub fn new(value: f64) -> Result<Self, NotAShare> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(NotAShare(value)) }
    }

    /// The share nearest to a measured value: measuring errors put it a little outside the bounds
    /// (clocks are read one after the other). NaN, from 0 out of 0, is no share at all.
    pub fn saturating(value: f64) -> Self {
        if value.is_nan() { Self::NONE } else { Self(value.clamp(0.0, 1.0)) }
    }

    /// The number, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Share {
    /// Three decimals: a thousandth of a CPU over five seconds is 5 ms, less than a reader needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        text.parse().map_err(|_| NotAShare(f64::NAN)).and_then(Self::new)
    }
}

/// A number that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not a number between 0 and 1")]
pub struct NotAShare(pub f64);
