//! When requests are sent, where that does not depend on the answers (an open loop).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

/// Requests per second at the start of a run and at its end; in between it changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At the start.
    pub from: f64,
    /// At the end, and from then on.
    pub to: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| {
            text.trim().parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0)
        };
        let rates = number(from).zip(number(to)).filter(|(from, to)| from + to > 0.0);
        let (from, to) = rates.ok_or_else(|| {
            format!(
                "`{text}` is no rate: requests per second are needed, 20, or FROM..TO for a ramp, \
                 5..50"
            )
        })?;
        Ok(Self { from, to })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ramp() {
            write!(f, "{}..{}/s", self.from, self.to)
        } else {
            write!(f, "{}/s", self.from)
        }
    }
}

impl Rate {
    /// True if it changes.
    pub fn is_ramp(&self) -> bool {
        (self.to - self.from).abs() > f64::EPSILON
    }

    /// Requests per second on average.
    pub fn mean(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }

    /// The time in seconds at which `count` requests are due, for a rate that changes over `over`
    /// seconds: the inverse of its integral. None if so many never are.
    fn reaches(&self, count: f64, over: f64) -> Option<f64> {
        let by_then = self.mean() * over;
        if count > by_then || !self.is_ramp() {
            let (start, left, rate) = if self.is_ramp() {
                (over, count - by_then, self.to)
            } else {
                (0.0, count, self.to)
            };
            return (rate > 0.0).then(|| start + left / rate);
        }
        // count = from·t + (to − from)·t²/(2·over), in the form that stays exact for small terms.
        let bend = (self.to - self.from) / (2.0 * over);
        let root = (self.from * self.from + 4.0 * bend * count).max(0.0).sqrt();
        Some(if count > 0.0 { 2.0 * count / (self.from + root) } else { 0.0 })
    }
}

/// How requests are spread at a given rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Evenly.
    Constant,
    /// As by many people who know nothing of each other: exponential gaps.
    Poisson,
    /// So many at once.
    Burst(u32),
}

impl FromStr for Rhythm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no rhythm: constant, poisson or burst:N is needed");
        match text.split_once(':') {
            None if text == "constant" => Ok(Self::Constant),
            None if text == "poisson" => Ok(Self::Poisson),
            Some(("burst", size)) => {
                let size = size.parse().ok().filter(|size| *size > 0);
                size.map(Self::Burst).ok_or_else(refuse)
            }
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Burst(size) => write!(f, "burst:{size}"),
        }
    }
}

/// The times of requests from the start of a run on, each at or after the one before. It has no
/// end, unless the rate falls to nothing.
#[derive(Debug, Clone)]
pub struct Arrivals {
    rate: Rate,
    /// Seconds over which the rate changes.
    over: f64,
    rhythm: Rhythm,
    rng: Rng,
    next: u64,
    /// How many requests the next one is due after, at a rate of one a second the same in seconds.
    due: f64,
}

impl Arrivals {
    /// Requests at `rate`, which reaches its end after `over`. The same seed gives the same times.
    pub fn new(rate: Rate, rhythm: Rhythm, over: Duration, seed: u64) -> Self {
        Self {
            rate,
            over: over.as_secs_f64(),
            rhythm,
            rng: Rng::with_seed(seed),
            next: 0,
            due: 0.0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let count = match self.rhythm {
            Rhythm::Constant => self.next as f64,
            Rhythm::Poisson => {
                self.due -= (1.0 - self.rng.f64()).ln();
                self.due
            }
            Rhythm::Burst(size) => (self.next - self.next % u64::from(size)) as f64,
        };
        self.next += 1;
        Duration::try_from_secs_f64(self.rate.reaches(count, self.over)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(rate: &str, rhythm: &str, over: u64, count: usize) -> Vec<f64> {
        let (rate, rhythm) = (rate.parse().unwrap(), rhythm.parse().unwrap());
        let arrivals = Arrivals::new(rate, rhythm, Duration::from_secs(over), 7);
        arrivals.take(count).map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_is_even_and_a_burst_comes_at_once() {
        assert_eq!(times("4", "constant", 10, 4), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(times("4", "burst:2", 10, 5), [0.0, 0.0, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn a_ramp_keeps_its_mean_and_its_last_rate() {
        let up = times("0..10", "constant", 10, 60);
        assert!(up[0].abs() < 1e-9 && (up[50] - 10.0).abs() < 1e-6, "{up:?}");
        assert!((up[52] - up[51] - 0.1).abs() < 1e-6, "then 10 a second");
        assert!(up[2] - up[1] > 3.0 * (up[42] - up[41]));
        let down = times("10..0", "constant", 10, 100);
        assert_eq!(down.len(), 51, "after that the rate is 0");
    }

    #[test]
    fn what_cannot_be_a_rate_or_a_rhythm_is_refused() {
        for bad in ["", "0", "-1", "1..x", "nan", "inf", "0..0"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        for bad in ["", "burst", "burst:0", "burst:-1", "constant:1", "Poisson"] {
            assert!(bad.parse::<Rhythm>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn times_never_go_back_and_the_mean_rate_is_kept(
            from in 0.0f64..50.0, to in 1.0f64..50.0, seed: u64,
            rhythm in prop::sample::select(vec![
                Rhythm::Constant, Rhythm::Poisson, Rhythm::Burst(5),
            ]),
        ) {
            let rate = Rate { from, to };
            let over = Duration::from_secs(200);
            let arrivals = Arrivals::new(rate, rhythm, over, seed);
            let times = arrivals.take_while(|at| *at < over).collect::<Vec<_>>();
            prop_assert!(times.is_sorted());
            let expected = rate.mean() * 200.0;
            // Seven standard deviations of a Poisson count, and a burst's remainder.
            let slack = 7.0 * expected.sqrt() + 6.0;
            prop_assert!((times.len() as f64 - expected).abs() <= slack);
        }

        #[test]
        fn the_same_seed_gives_the_same_times(seed: u64) {
            let rate = Rate { from: 3.0, to: 3.0 };
            let of = |seed| Arrivals::new(rate, Rhythm::Poisson, Duration::ZERO, seed).take(20);
            prop_assert!(of(seed).eq(of(seed)));
            prop_assert!(of(seed).ne(of(seed.wrapping_add(1))));
        }
    }
}
