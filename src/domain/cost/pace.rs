//! How fast one VM computes, next to the others.

use std::time::Duration;

use super::Work;

/// The share of the newest answer in the mean: about the last twenty count.
const NEWEST: f64 = 0.05;
/// No answer counts as more than so many times faster or slower than predicted.
const LARGEST: f64 = 4.0;

/// A running mean of predicted over actual CPU time, of one VM or of all: above 1 it computes
/// faster than predicted. A VM that is throttled by its host, or shares caches with noisy
/// neighbours, falls below 1.
///
/// The mean is of logarithms, so that twice as fast and half as fast even out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    log: f64,
    heard: u32,
}

impl Pace {
    /// Takes in what an answer was predicted to cost and what it cost.
    pub fn hear(&mut self, predicted: Work, actual: Duration) {
        let actual = actual.as_secs_f64();
        if actual > 0.0 && predicted > Work::NONE {
            self.hear_ratio(predicted.seconds() / actual);
        }
    }

    /// Takes in another pace, as if it were an answer.
    pub fn follow(&mut self, other: Self) {
        self.hear_ratio(other.factor());
    }

    fn hear_ratio(&mut self, ratio: f64) {
        self.heard = self.heard.saturating_add(1);
        let log = ratio.clamp(1.0 / LARGEST, LARGEST).ln();
        // The start at 1 counts as an answer, so that a single one does not mean much.
        let share = NEWEST.max(1.0 / (f64::from(self.heard) + 1.0));
        self.log += share * (log - self.log);
    }

    /// How many times as fast as predicted, from ¼ to 4.
    pub fn factor(self) -> f64 {
        self.log.exp()
    }

    /// How many times as fast as one with this `typical` pace; 1 before its first answer.
    pub fn next_to(self, typical: Self) -> f64 {
        if self.heard == 0 { 1.0 } else { (self.log - typical.log).exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Work = Work::from_nanos(1_000_000_000);

    #[test]
    fn a_vm_that_takes_twice_as_long_has_half_the_pace() {
        let mut pace = Pace::default();
        assert!((pace.factor() - 1.0).abs() < 1e-12);
        for _ in 0..200 {
            pace.hear(SECOND, Duration::from_secs(2));
        }
        assert!((pace.factor() - 0.5).abs() < 0.01, "{pace:?}");
    }

    #[test]
    fn a_pace_is_compared_with_the_typical_one() {
        let (mut slow, mut typical) = (Pace::default(), Pace::default());
        for _ in 0..200 {
            slow.hear(SECOND, Duration::from_secs(4));
            typical.hear(SECOND, Duration::from_secs(2));
        }
        assert!((slow.next_to(typical) - 0.5).abs() < 0.01);
        assert!((Pace::default().next_to(typical) - 1.0).abs() < 1e-12, "not known yet");
    }

    #[test]
    fn an_answer_that_cost_nothing_says_nothing() {
        let mut pace = Pace::default();
        pace.hear(SECOND, Duration::ZERO);
        pace.hear(Work::NONE, Duration::from_secs(1));
        assert_eq!(pace, Pace::default());
    }

    proptest! {
        #[test]
        fn whatever_is_heard_the_pace_stays_within_its_bounds(
            answers in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..60),
        ) {
            let mut pace = Pace::default();
            for (predicted, actual) in answers {
                pace.hear(Work::from_nanos(predicted), Duration::from_nanos(actual));
            }
            prop_assert!((0.25..=4.0 + 1e-9).contains(&(pace.factor() + 1e-12)));
        }
    }
}
