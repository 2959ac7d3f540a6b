//! When an answer is so late that a second VM is to be asked, and the first answer taken.
//!
//! "Hedged requests" of Dean and Barroso, *The tail at scale*, CACM 56(2), 2013: a second copy after
//! the 95th percentile costs a few per cent and cuts the tail. Here requests are CPU work of very
//! different size, so what counts is not how long an answer takes but how long by its prediction;
//! and a copy on a VM that is busy would only make everybody slower, so it goes to an idle one, or
//! nowhere.

use std::time::Duration;

use crate::domain::cost::Work;

/// A request is late after so many times the time in which 95 % are answered.
const MARGIN: f64 = 2.0;
/// Nothing is late before this: a hiccup of the machine takes longer.
const SOONEST: Duration = Duration::from_millis(20);
/// How much one answer moves the estimate.
const STEP: f64 = 0.1;
/// The percentile.
const QUANTILE: f64 = 0.95;
/// Where the estimate begins: VMs share their vCPUs among several requests.
const PRIOR: f64 = 4.0;

/// The 95th percentile of time taken over time predicted, estimated from one answer after the
/// other: each above it raises it, each below it lowers it, in such a proportion that it stands
/// still where one in twenty is above (Robbins and Monro, *A stochastic approximation method*,
/// 1951).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lateness {
    p95: f64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { p95: PRIOR }
    }
}

impl Lateness {
    /// An answer took `time` where so much `work` had been predicted.
    pub fn heard(&mut self, time: Duration, work: Work) {
        if work == Work::NONE {
            return;
        }
        let ratio = time.as_secs_f64() / work.seconds();
        let step = if ratio > self.p95 { STEP * QUANTILE } else { -STEP * (1.0 - QUANTILE) };
        self.p95 = (self.p95 * step.exp()).clamp(0.01, 1e4);
    }

    /// After what time the answer to a request of so much `work` is late.
    pub fn late_after(&self, work: Work) -> Duration {
        let seconds = MARGIN * self.p95 * work.seconds();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(SOONEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Work = Work::from_nanos(1_000_000_000);

    #[test]
    fn one_in_twenty_is_above_the_estimate() {
        let mut lateness = Lateness::default();
        // Ratios from 0 to 10, as if drawn evenly: steps of the golden section.
        let ratios = (0..20_000).map(|n| (f64::from(n) * 0.618_033_988_75).fract() * 10.0);
        ratios.for_each(|ratio| lateness.heard(Duration::from_secs_f64(ratio), SECOND));
        let late = lateness.late_after(SECOND).as_secs_f64() / MARGIN;
        assert!((8.5..=10.5).contains(&late), "{late}");
    }

    proptest! {
        #[test]
        fn it_stays_a_number_whatever_it_hears(heard in proptest::collection::vec(any::<(u64, u64)>(), 0..99)) {
            let mut lateness = Lateness::default();
            for (nanos, work) in heard {
                lateness.heard(Duration::from_nanos(nanos), Work::from_nanos(work));
            }
            prop_assert!(lateness.p95.is_finite() && lateness.p95 > 0.0);
            prop_assert!(lateness.late_after(SECOND) >= SOONEST);
        }
    }
}
