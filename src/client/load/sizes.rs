//! How large inputs are: a distribution, written in one word.

use std::fmt;
use std::str::FromStr;

/// A distribution of sizes between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    shape: Shape,
    low: f64,
    high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Fixed,
    Uniform,
    LogUniform,
    /// Its tail index; the smaller, the heavier the tail.
    Pareto(f64),
}

/// The tail index of a Pareto distribution that names none: about that of the CPU times of Unix
/// processes (Harchol-Balter and Downey, "Exploiting process lifetime distributions for dynamic
/// load balancing", 1997).
const TAIL: f64 = 1.1;

impl Sizes {
    /// The size that a share `part` (0 to 1) of all draws stays below.
    pub fn quantile(&self, part: f64) -> f64 {
        let (low, high) = (self.low, self.high);
        match self.shape {
            Shape::Fixed => low,
            Shape::Uniform => low + part * (high - low),
            Shape::LogUniform => low * (high / low).powf(part),
            // The inverse of the bounded Pareto distribution function.
            Shape::Pareto(tail) => {
                let kept = 1.0 - (low / high).powf(tail);
                low / (1.0 - part * kept).powf(1.0 / tail)
            }
        }
    }
}

const WANTED: &str = "a number, LOW..HIGH, uniform:LOW..HIGH, log-uniform:LOW..HIGH or \
                      pareto:LOW..HIGH[:TAIL] is needed, for example log-uniform:0.05..2";

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("`{text}` says no sizes{why}: {WANTED}");
        let number = |text: &str| {
            text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0)
        };
        if let Some(size) = number(text) {
            return Ok(Self { shape: Shape::Fixed, low: size, high: size });
        }
        let (word, bounds) = text.split_once(':').unwrap_or(("uniform", text));
        let (bounds, tail) = match bounds.split_once(':') {
            Some((bounds, tail)) if word == "pareto" => {
                (bounds, number(tail).ok_or_else(|| refuse("; its tail is no number"))?)
            }
            _ => (bounds, TAIL),
        };
        let (low, high) = bounds.split_once("..").ok_or_else(|| refuse(""))?;
        let (low, high) = number(low).zip(number(high)).ok_or_else(|| refuse(""))?;
        if low > high {
            return Err(refuse("; the lower bound is above the upper one"));
        }
        let shape = match word {
            "uniform" => Shape::Uniform,
            "log-uniform" => Shape::LogUniform,
            "pareto" => Shape::Pareto(tail),
            _ => return Err(refuse("")),
        };
        let shape = if (high - low).abs() < f64::EPSILON { Shape::Fixed } else { shape };
        Ok(Self { shape, low, high })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.low, self.high);
        match self.shape {
            Shape::Fixed => write!(f, "{low}"),
            Shape::Uniform => write!(f, "uniform:{low}..{high}"),
            Shape::LogUniform => write!(f, "log-uniform:{low}..{high}"),
            Shape::Pareto(tail) => write!(f, "pareto:{low}..{high}:{tail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_for_sizes() {
        let median = |text: &str| text.parse::<Sizes>().unwrap().quantile(0.5);
        assert!((median("2") - 2.0).abs() < 1e-9);
        assert!((median("1..3") - 2.0).abs() < 1e-9);
        assert!((median("log-uniform:0.1..10") - 1.0).abs() < 1e-9);
        assert!(median("pareto:1..1000") < median("log-uniform:1..1000"));
        assert!(median("pareto:1..1000:0.5") > median("pareto:1..1000:2"));
        for bad in ["", "x", "-1", "0", "3..1", "normal:1..2", "1..", "pareto:1..2:x", "uniform:2"]
        {
            let error = bad.parse::<Sizes>().unwrap_err();
            assert!(error.contains("is needed"), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_rise_from_the_lower_bound_to_the_upper(
            word in prop::sample::select(vec!["uniform", "log-uniform", "pareto"]),
            low in 0.01f64..10.0, width in 0.0f64..100.0, a in 0.0f64..=1.0, b in 0.0f64..=1.0,
        ) {
            let high = low + width;
            let sizes: Sizes = format!("{word}:{low}..{high}").parse().unwrap();
            let (small, large) = (sizes.quantile(a.min(b)), sizes.quantile(a.max(b)));
            let slack = 1e-9 * high;
            prop_assert!(low - slack <= small && small <= large + slack && large <= high + slack);
            prop_assert_eq!(sizes.to_string().parse::<Sizes>(), Ok(sizes));
        }
    }
}
