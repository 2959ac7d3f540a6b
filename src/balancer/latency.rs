//! Times to answer, over the last minute or more and over all time.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How long a histogram fills before the next one takes its place. The percentiles are over the
/// one that fills and the one before it: over 60 to 120 s.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest time that is told apart, an hour in microseconds.
const LONGEST_US: u64 = 3_600_000_000;
/// Upper bounds of the cumulative histogram that goes to Prometheus, in milliseconds.
pub(super) const BOUNDS_MS: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

/// Times to answer of one VM.
#[derive(Clone, Default)]
pub(super) struct Latency {
    filling: Option<(Instant, Histogram<u64>)>,
    before: Option<Histogram<u64>>,
}

/// Times to answer of one VM and one workload, since the balancer began.
#[derive(Clone, Copy, Default)]
pub(super) struct Buckets {
    /// How many were at most as long as each of [`BOUNDS_MS`] and longer than the one before it.
    pub(super) at_most: [u64; BOUNDS_MS.len()],
    /// How many there were.
    pub(super) count: u64,
    /// How long they took together.
    pub(super) sum: Duration,
}

impl Buckets {
    /// An answer that took `time`.
    pub(super) fn record(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        let bound = BOUNDS_MS.iter().position(|&bound| time <= Duration::from_millis(bound));
        if let Some(bucket) = bound.and_then(|bound| self.at_most.get_mut(bound)) {
            *bucket += 1;
        }
    }
}

/// The usual three percentiles, in milliseconds; 0 if nothing was answered lately.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Percentiles {
    /// The median.
    pub(super) p50: f64,
    /// 95 of 100 took at most this.
    pub(super) p95: f64,
    /// 99 of 100 took at most this.
    pub(super) p99: f64,
}

impl Latency {
    /// An answer that took `time`.
    pub(super) fn record(&mut self, time: Duration, now: Instant) {
        self.turn(now);
        if self.filling.is_none() {
            self.filling = new_histogram().map(|histogram| (now, histogram));
        }
        if let Some((_, histogram)) = &mut self.filling {
            let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
            histogram.saturating_record(micros.clamp(1, LONGEST_US));
        }
    }

    /// The percentiles over the last minute or more.
    pub(super) fn percentiles(&mut self, now: Instant) -> Percentiles {
        self.turn(now);
        let filling = self.filling.as_ref().map(|(_, histogram)| histogram);
        let Some(first) = filling.or(self.before.as_ref()) else { return Percentiles::default() };
        let mut all = first.clone();
        if let (Some(_), Some(before)) = (filling, &self.before) {
            // Cannot fail: both have the same bounds and precision.
            let _ = all.add(before);
        }
        let at = |quantile| all.value_at_quantile(quantile) as f64 / 1_000.0;
        Percentiles { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }

    fn turn(&mut self, now: Instant) {
        let Some((since, _)) = &self.filling else { return };
        let age = now.saturating_duration_since(*since);
        if age >= WINDOW {
            let filled = self.filling.take().map(|(_, histogram)| histogram);
            self.before = filled.filter(|_| age < 2 * WINDOW);
        }
    }
}

/// Two significant digits: a few kilobytes for each VM.
fn new_histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, 2).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let mut buckets = Buckets::default();
        for ms in [0, 1, 2, 3, 30_000, 30_001] {
            buckets.record(Duration::from_millis(ms));
        }
        assert_eq!(buckets.at_most, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((buckets.count, buckets.sum), (6, Duration::from_millis(60_007)));
    }

    #[test]
    fn percentiles_are_of_the_last_minute_or_two() {
        let start = Instant::now();
        let mut latency = Latency::default();
        assert_eq!(latency.percentiles(start), Percentiles::default());
        for ms in 1..=100 {
            latency.record(Duration::from_millis(ms), start);
        }
        let first = latency.percentiles(start);
        assert!((first.p50 - 50.0).abs() < 1.0, "{first:?}");
        assert!((first.p99 - 99.0).abs() < 1.0, "{first:?}");

        let later = start + WINDOW + Duration::from_secs(1);
        latency.record(Duration::from_millis(500), later);
        let both = latency.percentiles(later);
        assert!((both.p50 - 50.0).abs() < 2.0, "{both:?}");

        let forgotten = latency.percentiles(later + WINDOW * 2);
        assert_eq!(forgotten, Percentiles::default());
    }
}
