//! Many requests in one line: how many there were, how they went, what they cost.

/// What one request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status of the answer.
    pub status: u16,
    /// From its arrival to its answer, in microseconds.
    pub wall_us: u64,
    /// CPU time of the threads that did the work, in microseconds.
    pub cpu_us: Option<u64>,
    /// Elementary operations.
    pub work: Option<u64>,
    /// Bytes of the request's body.
    pub input_bytes: u64,
    /// Bytes of the answer's body.
    pub output_bytes: u64,
}

/// Requests put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Requests.
    pub count: u64,
    /// Those of them answered with a 5xx status: the service's failures, not the client's.
    pub errors: u64,
    /// Elementary operations of all of them.
    pub work: u64,
    /// Bytes that came.
    pub input_bytes: u64,
    /// Bytes that went.
    pub output_bytes: u64,
    wall_us: Vec<u64>,
    cpu_us: Vec<u64>,
}

/// How a quantity is spread, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// What 95 of 100 do not exceed.
    pub p95: u64,
    /// What 99 of 100 do not exceed.
    pub p99: u64,
}

impl Summary {
    /// Takes in a request.
    pub fn add(&mut self, one: &Outcome) {
        self.count += 1;
        self.errors += u64::from(one.status >= 500);
        self.work = self.work.saturating_add(one.work.unwrap_or(0));
        self.input_bytes = self.input_bytes.saturating_add(one.input_bytes);
        self.output_bytes = self.output_bytes.saturating_add(one.output_bytes);
        self.wall_us.push(one.wall_us);
        self.cpu_us.extend(one.cpu_us);
    }

    /// Puts the times in order, so that equal requests make equal summaries.
    #[cfg(all(test, feature = "database"))]
    pub(crate) fn sort(&mut self) {
        self.wall_us.sort_unstable();
        self.cpu_us.sort_unstable();
    }

    /// Times to answer, in microseconds; none without requests.
    pub fn wall_us(&self) -> Option<Spread> {
        spread(&self.wall_us)
    }

    /// CPU times in microseconds, of the requests that a VM worked on; none without any.
    pub fn cpu_us(&self) -> Option<Spread> {
        spread(&self.cpu_us)
    }
}

fn spread(values: &[u64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let sum = sorted.iter().map(|value| *value as f64).sum::<f64>();
    Some(Spread {
        mean: sum / sorted.len() as f64,
        p50: nearest_rank(&sorted, 0.50)?,
        p95: nearest_rank(&sorted, 0.95)?,
        p99: nearest_rank(&sorted, 0.99)?,
    })
}

/// The smallest of the sorted values that at least this share of them does not exceed (the
/// nearest-rank percentile: always a value that was measured); none of no values.
pub fn nearest_rank(sorted: &[u64], share: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(status: u16, wall_us: u64, cpu_us: Option<u64>) -> Outcome {
        Outcome { status, wall_us, cpu_us, work: Some(10), input_bytes: 1, output_bytes: 2 }
    }

    #[test]
    fn an_error_is_the_service_s_failure_and_not_the_client_s() {
        let mut sum = Summary::default();
        for status in [200, 404, 500, 503] {
            sum.add(&answered(status, 5, None));
        }
        assert_eq!((sum.count, sum.errors, sum.work), (4, 2, 40));
        assert_eq!((sum.input_bytes, sum.output_bytes), (4, 8));
    }

    #[test]
    fn what_was_never_measured_has_no_spread() {
        let mut sum = Summary::default();
        assert_eq!(sum.wall_us(), None);
        sum.add(&answered(503, 7, None));
        assert_eq!(sum.cpu_us(), None);
        assert_eq!(sum.wall_us(), Some(Spread { mean: 7.0, p50: 7, p95: 7, p99: 7 }));
    }

    proptest! {
        #[test]
        fn percentiles_are_measured_values_in_order(
            values in proptest::collection::vec(0_u64..1_000_000, 1..200),
        ) {
            let mut sum = Summary::default();
            for wall in &values {
                sum.add(&answered(200, *wall, Some(*wall)));
            }
            let seen = sum.wall_us().unwrap();
            prop_assert!(seen.p50 <= seen.p95 && seen.p95 <= seen.p99);
            prop_assert!([seen.p50, seen.p95, seen.p99].iter().all(|p| values.contains(p)));
            let below = |bound| values.iter().filter(|value| **value <= bound).count() as f64;
            prop_assert!(below(seen.p95) >= values.len() as f64 * 0.95);
            prop_assert_eq!(sum.cpu_us(), sum.wall_us());
        }
    }
}
