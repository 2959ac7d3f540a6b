//! Rates and percentiles of the requests that were finished lately.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::Data;
use super::format::since;
use super::history::column_of;
use crate::domain::summary::nearest_rank;
use crate::state::metrics::Metric;

/// The requests of one kind over a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Stats {
    /// How many were finished.
    pub(crate) count: usize,
    /// How many of them per second.
    pub(crate) rate: f64,
    /// How many were answered with a 5xx status.
    pub(crate) failures: usize,
    /// How many took more than one attempt.
    pub(crate) retried: usize,
    /// Median time from arrival to answer, in milliseconds; 0 without requests.
    pub(crate) p50: f64,
    /// 95th percentile of the same.
    pub(crate) p95: f64,
    /// 99th percentile of the same.
    pub(crate) p99: f64,
}

/// All requests of the last `window`, and those of each kind by name.
pub(crate) fn by_workload(data: &Data, window: Duration) -> (Stats, BTreeMap<&str, Stats>) {
    let mut kinds: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    let mut all = Vec::new();
    for metric in data.recent(window) {
        kinds.entry(metric.workload.as_str()).or_default().push(metric);
        all.push(metric);
    }
    // A list that does not reach back so far is divided by the time that it covers.
    let covered = match data.requests.front() {
        Some(first) if data.requests.len() < data.requests_ever => {
            since(data.now, first.at).min(window)
        }
        _ => window,
    };
    let of = |metrics: &[&Metric]| stats(metrics, covered);
    (of(&all), kinds.iter().map(|(kind, metrics)| (*kind, of(metrics))).collect())
}

fn stats(metrics: &[&Metric], window: Duration) -> Stats {
    let mut times = metrics.iter().map(|metric| metric.wall_us).collect::<Vec<_>>();
    times.sort_unstable();
    Stats {
        count: metrics.len(),
        rate: metrics.len() as f64 / window.as_secs_f64().max(1.0),
        failures: metrics.iter().filter(|metric| metric.status >= 500).count(),
        retried: metrics.iter().filter(|metric| metric.attempts > 1).count(),
        p50: percentile(&times, 0.50),
        p95: percentile(&times, 0.95),
        p99: percentile(&times, 0.99),
    }
}

/// A percentile of sorted times, in milliseconds from microseconds; 0 of no times.
fn percentile(sorted: &[u64], share: f64) -> f64 {
    nearest_rank(sorted, share).map_or(0.0, |time| time as f64 / 1000.0)
}

/// Upper bounds of the rows of the latency heat map in milliseconds, slowest first; the first has
/// none.
pub(crate) const BANDS: [f64; 8] =
    [f64::INFINITY, 4000.0, 2000.0, 1000.0, 500.0, 250.0, 125.0, 60.0];

/// How many requests of the last `window` fell into each band and each of `columns` columns of
/// time.
pub(crate) fn heat(data: &Data, window: Duration, columns: usize) -> [Vec<u32>; BANDS.len()] {
    let mut cells = BANDS.map(|_| vec![0; columns]);
    for metric in data.recent(window) {
        let took = metric.wall_us as f64 / 1000.0;
        let band = BANDS.iter().rposition(|bound| took <= *bound).unwrap_or(0);
        let column = column_of(data.now, window, columns, metric.at);
        let cell = column.and_then(|column| cells.get_mut(band)?.get_mut(column));
        if let Some(cell) = cell {
            *cell += 1;
        }
    }
    cells
}

/// Requests per second in each of `columns` columns of the last `window`.
pub(crate) fn rates(data: &Data, window: Duration, columns: usize) -> Vec<f64> {
    let mut counts = vec![0_u32; columns];
    for metric in data.recent(window) {
        let column = column_of(data.now, window, columns, metric.at);
        if let Some(count) = column.and_then(|column| counts.get_mut(column)) {
            *count += 1;
        }
    }
    let seconds = (window.as_secs_f64() / columns.max(1) as f64).max(f64::MIN_POSITIVE);
    counts.into_iter().map(|count| f64::from(count) / seconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<u64> = (1..=100).map(|ms| ms * 1000).collect();
        let shown = [0.5, 0.95, 0.99, 1.0].map(|share| percentile(&times, share).to_string());
        assert_eq!(shown, ["50", "95", "99", "100"]);
        assert_eq!(percentile(&[7000], 0.5).to_string(), "7");
        assert_eq!(percentile(&[], 0.5).to_string(), "0");
    }
}
