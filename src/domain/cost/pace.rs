//! How fast one VM computes, next to the others.

use std::time::Duration;

use super::Work;

/// The share of the newest answer in a VM's mean: about the last twenty count.
const NEWEST: f64 = 0.05;
/// The same in the mean of all VMs, which is what theirs are compared with.
const NEWEST_OF_ALL: f64 = 0.02;
/// What is taken for granted of a VM, that it is like the others, counts as so many answers: a few
/// that were foretold badly shall not bring it into disrepute.
const PRIOR: f64 = 8.0;
/// No answer counts as more than so many times faster or slower than predicted.
const LARGEST: f64 = 4.0;
/// Half of what was heard is forgotten after so long, or a VM that once was slow, and has got
/// nothing since, could never show that it no longer is.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// A difference of up to so much, as a logarithm (15 %), is that of the predictions and not of the
/// VMs. Taken for real, however small, it would send every request to the same one of idle VMs.
const UNSURE: f64 = 0.14;

/// A running mean of how fast one VM is next to the typical one, by what its answers were predicted
/// to cost and did. One that shares caches with noisy neighbours falls below 1.
///
/// The mean is of logarithms, so that twice as fast and half as fast even out. Times are ages of
/// the same clock, and a moment before the last one counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    log: f64,
    heard: f64,
    at: Duration,
}

impl Pace {
    /// Takes in an answer for which the VM was `ratio` times as fast as the typical one.
    pub fn hear(&mut self, ratio: f64, now: Duration) {
        let kept = self.kept(now);
        self.at = self.at.max(now);
        self.heard = self.heard * kept + 1.0;
        let share = NEWEST.max(1.0 / (self.heard + PRIOR));
        let before = self.log * kept;
        self.log = before + share * (bounded(ratio).ln() - before);
    }

    /// How many times as fast as the typical VM, from ¼ to 4; 1 as long as the difference may as
    /// well be chance.
    pub fn factor(self, now: Duration) -> f64 {
        if self.log.abs() < UNSURE {
            return 1.0;
        }
        let log = self.log * self.kept(now);
        if log.abs() < UNSURE { 1.0 } else { log.exp() }
    }

    /// What is left of what was heard.
    fn kept(self, now: Duration) -> f64 {
        let since = now.saturating_sub(self.at);
        (-since.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }
}

/// The pace of all VMs together: how many times as fast as predicted they are. It is that of the VM
/// that costs are foretold for, so it comes to 1 as predictions are learned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Typical {
    log: f64,
    heard: u32,
}

impl Typical {
    /// Takes in what an answer was predicted to cost and what it cost; says how many times as fast
    /// as the typical VM its VM was. Nothing, if the answer says nothing of it.
    pub fn compare(&mut self, predicted: Work, actual: Duration) -> Option<f64> {
        let actual = actual.as_secs_f64();
        if actual <= 0.0 || predicted <= Work::NONE {
            return None;
        }
        let log = bounded(predicted.seconds() / actual).ln();
        self.heard = self.heard.saturating_add(1);
        let share = NEWEST_OF_ALL.max(1.0 / (f64::from(self.heard) + 1.0));
        self.log += share * (log - self.log);
        Some((log - self.log).exp())
    }
}

fn bounded(ratio: f64) -> f64 {
    ratio.clamp(1.0 / LARGEST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Work = Work::from_nanos(1_000_000_000);
    const NOW: Duration = Duration::from_secs(100);

    fn after(ratio: f64, answers: u32) -> Pace {
        let mut pace = Pace::default();
        for _ in 0..answers {
            pace.hear(ratio, NOW);
        }
        pace
    }

    #[test]
    fn a_vm_that_takes_twice_as_long_as_others_has_half_their_pace() {
        let (mut slow, mut fast) = (Pace::default(), Pace::default());
        let mut typical = Typical::default();
        for _ in 0..500 {
            fast.hear(typical.compare(SECOND, Duration::from_secs(2)).unwrap(), NOW);
            slow.hear(typical.compare(SECOND, Duration::from_secs(4)).unwrap(), NOW);
        }
        let ratio = fast.factor(NOW) / slow.factor(NOW);
        assert!((ratio - 2.0).abs() < 0.05, "{fast:?} {slow:?}");
    }

    #[test]
    fn what_all_have_in_common_is_no_difference_between_them() {
        let (mut pace, mut typical) = (Pace::default(), Typical::default());
        for _ in 0..200 {
            pace.hear(typical.compare(SECOND, Duration::from_secs(3)).unwrap(), NOW);
        }
        assert!((pace.factor(NOW) - 1.0).abs() < 1e-12, "{pace:?}");
    }

    #[test]
    fn small_differences_and_few_answers_are_chance() {
        assert!((after(1.1, 500).factor(NOW) - 1.0).abs() < 1e-12);
        assert!((after(0.8, 3).factor(NOW) - 1.0).abs() < 1e-12);
        assert!(after(0.5, 100).factor(NOW) < 0.6);
    }

    #[test]
    fn what_was_heard_is_forgotten() {
        let pace = after(0.5, 100);
        assert!(pace.factor(NOW + HALF_LIFE) > 0.65, "half of it");
        assert!((pace.factor(NOW + HALF_LIFE * 4) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_answer_that_cost_nothing_says_nothing() {
        let mut typical = Typical::default();
        assert_eq!(typical.compare(SECOND, Duration::ZERO), None);
        assert_eq!(typical.compare(Work::NONE, Duration::from_secs(1)), None);
        assert_eq!(typical, Typical::default());
    }

    proptest! {
        #[test]
        fn whatever_is_heard_and_when_the_pace_stays_within_its_bounds(
            answers in proptest::collection::vec(
                (any::<u64>(), any::<u64>(), any::<u32>()),
                0..60,
            ),
            asked in any::<u64>(),
        ) {
            let (mut pace, mut typical) = (Pace::default(), Typical::default());
            for (predicted, actual, at) in answers {
                let (predicted, actual) = (Work::from_nanos(predicted), Duration::from_nanos(actual));
                if let Some(ratio) = typical.compare(predicted, actual) {
                    pace.hear(ratio, Duration::from_millis(at.into()));
                }
            }
            let factor = pace.factor(Duration::from_millis(asked));
            prop_assert!((0.25..=4.0 + 1e-9).contains(&(factor + 1e-12)));
        }
    }
}
