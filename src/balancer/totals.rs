//! The balancer's sums since it started, and how much came in the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::cost::Work;

/// The rates are over this much time.
const RECENT: Duration = Duration::from_secs(10);
/// One place in the ring of recent arrivals.
const SLOT: Duration = Duration::from_secs(1);

/// Sums over all requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// Requests taken.
    pub(super) requests: u64,
    /// Requests being worked on, those that wait included.
    pub(super) in_flight: u64,
    /// Requests answered with a 5xx status.
    pub(super) failures: u64,
    /// Attempts beyond the first.
    pub(super) retries: u64,
    /// Requests for which a second VM was asked because the first was late.
    pub(super) hedges: u64,
    /// Requests that were sent to a function because no VM could take them in time.
    pub(super) overflowed: u64,
    /// Requests that the balancer answered by itself, by the first digit of the status (index 0:
    /// 1xx).
    pub(super) own_answers: [u64; 5],
    /// Requests whose client left before the answer.
    pub(super) cancelled: u64,
    arrivals: VecDeque<Arrivals>,
}

/// What came within one second.
#[derive(Debug, Clone)]
struct Arrivals {
    since: Instant,
    requests: u32,
    work: Work,
}

impl Totals {
    /// A request of so much predicted work came.
    pub(super) fn arrived(&mut self, work: Work, now: Instant) {
        self.requests += 1;
        match self.arrivals.back_mut() {
            Some(slot) if now.saturating_duration_since(slot.since) < SLOT => {
                slot.requests += 1;
                slot.work = slot.work + work;
            }
            _ => self.arrivals.push_back(Arrivals { since: now, requests: 1, work }),
        }
        self.forget(now);
    }

    /// Requests per second, and predicted seconds of one vCPU per second, over the last ten
    /// seconds.
    pub(super) fn rates(&mut self, now: Instant) -> (f64, f64) {
        self.forget(now);
        let requests: u32 = self.arrivals.iter().map(|slot| slot.requests).sum();
        let work: Work = self.arrivals.iter().map(|slot| slot.work).sum();
        let seconds = RECENT.as_secs_f64();
        (f64::from(requests) / seconds, work.seconds() / seconds)
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |slot: &Arrivals| now.saturating_duration_since(slot.since) >= RECENT;
        while self.arrivals.front().is_some_and(is_old) {
            self.arrivals.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_ten_seconds() {
        let start = Instant::now();
        let mut totals = Totals::default();
        for second in 0..20 {
            let now = start + Duration::from_secs(second);
            for _ in 0..5 {
                totals.arrived(Work::from_nanos(400_000_000), now);
            }
        }
        let (rate, load) = totals.rates(start + Duration::from_secs(19));
        assert!((rate - 5.0).abs() < 1e-9, "{rate}");
        assert!((load - 2.0).abs() < 1e-9, "{load}");
        assert_eq!(totals.rates(start + Duration::from_mins(1)), (0.0, 0.0));
        assert_eq!(totals.requests, 100);
    }
}
