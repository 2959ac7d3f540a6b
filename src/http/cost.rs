//! What an answer cost, as a VM says it in a header.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::HeaderValue;

/// What an answer cost its VM; in [`X_CUMULET_WORK`](super::X_CUMULET_WORK) as
/// `work=12500000 cpu_us=14210`, the names and units of metrics.txt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Elementary operations: same input, same number.
    pub work: u64,
    /// CPU time of the threads that did the work.
    pub cpu: Duration,
}

impl Cost {
    /// The value of the header.
    pub fn to_header(self) -> HeaderValue {
        // Cannot fail: it is all letters, digits and punctuation.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("-"))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work={} cpu_us={}", self.work, self.cpu.as_micros())
    }
}

/// A header that does not say what an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`work=NUMBER cpu_us=NUMBER` is expected")]
pub struct NoCost;

impl FromStr for Cost {
    type Err = NoCost;

    /// Words of other names are passed over: a newer version may have more.
    fn from_str(text: &str) -> Result<Self, NoCost> {
        let value = |name: &str| {
            let mut pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name)?.1.parse().ok()
        };
        let cpu = value("cpu_us").map(Duration::from_micros).ok_or(NoCost)?;
        Ok(Self { work: value("work").ok_or(NoCost)?, cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(work: u64, micros: u64) {
            let cost = Cost { work, cpu: Duration::from_micros(micros) };
            let header = cost.to_header();
            prop_assert_eq!(header.to_str().unwrap().parse(), Ok(cost));
        }

        #[test]
        fn whatever_comes_is_a_cost_or_none(text in "(work=|cpu_us=|[0-9]{1,22}| |\\PC){0,6}") {
            let _ = text.parse::<Cost>();
        }
    }

    #[test]
    fn a_header_without_both_figures_says_nothing() {
        for text in ["", "-", "work=1", "cpu_us=1", "work=x cpu_us=1", "work=1,cpu_us=2"] {
            assert_eq!(text.parse::<Cost>(), Err(NoCost), "{text}");
        }
    }
}
