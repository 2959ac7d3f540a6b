//! The figures that conditions are about, from the files.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::alerting::Figure;
use crate::domain::vm::VmState;
use crate::state::lb_state::{LbStateFile, LbTarget};
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::state::{Document, StateFolder};

/// What the balancer said longer ago than this is not known any more: it writes every second.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// The time over which failures are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(super) struct Figures {
    balancer: Option<LbStateFile>,
    vms: Option<VmStateFile>,
    /// Requests and failures so far, over the window, oldest first.
    counts: VecDeque<(Duration, u64, u64)>,
}

impl Figures {
    /// Reads the files. `now` is on a clock that only goes forward.
    pub(super) fn look(&mut self, folder: &StateFolder, now: Duration, wall: Timestamp) {
        let fresh = |file: &LbStateFile| {
            let age = file.reported_at.map(|at| wall.duration_since(at));
            age.is_some_and(|age| age.unsigned_abs() <= STALE_AFTER)
        };
        let balancer = read::<LbStateFile>(folder).filter(fresh);
        self.take(balancer, read::<VmStateFile>(folder), now);
    }

    fn take(&mut self, balancer: Option<LbStateFile>, vms: Option<VmStateFile>, now: Duration) {
        if let Some(totals) = balancer.as_ref().map(|file| file.totals) {
            // Counts that fall are those of another balancer.
            if self.counts.back().is_some_and(|(_, requests, _)| *requests > totals.requests) {
                self.counts.clear();
            }
            self.counts.push_back((now, totals.requests, totals.failures));
        }
        // One that is older than the window stays: it is where the window begins.
        while self.counts.get(1).is_some_and(|(at, ..)| now.saturating_sub(*at) >= WINDOW) {
            self.counts.pop_front();
        }
        (self.balancer, self.vms) = (balancer, vms);
    }

    /// A figure; none if it is not known.
    pub(super) fn get(&self, figure: Figure) -> Option<f64> {
        let totals = self.balancer.as_ref().map(|file| file.totals);
        match figure {
            Figure::P50 => self.slowest(|vm| vm.p50_ms),
            Figure::P95 => self.slowest(|vm| vm.p95_ms),
            Figure::P99 => self.slowest(|vm| vm.p99_ms),
            Figure::ErrorRate => self.error_rate(),
            Figure::Rate => totals.map(|totals| totals.rate),
            Figure::InFlight => totals.map(|totals| totals.in_flight as f64),
            Figure::Queued => totals.map(|totals| totals.queued as f64),
            Figure::QueueSeconds => totals.map(|totals| totals.queue_seconds),
            Figure::Cpu => {
                let running = self.running()?;
                let sum = running.iter().map(|vm| vm.load.cpu.get()).sum::<f64>();
                (!running.is_empty()).then(|| sum / running.len() as f64)
            }
            Figure::Memory => {
                let largest = self.running()?.iter().map(|vm| vm.load.memory_bytes).max()?;
                Some(largest as f64 / f64::from(1 << 20))
            }
            Figure::VmsRunning => self.running().map(|running| running.len() as f64),
            Figure::VmsOut => {
                let (running, balancer) = (self.running()?, self.balancer.as_ref()?);
                let out = |vm: &&&VmReport| {
                    balancer.vms.iter().any(|target| target.id == vm.id && !target.in_rotation)
                };
                Some(running.iter().filter(out).count() as f64)
            }
        }
    }

    fn slowest(&self, time: fn(&LbTarget) -> f64) -> Option<f64> {
        let all = self.balancer.as_ref()?.vms.iter().map(time);
        Some(all.fold(0.0, f64::max))
    }

    /// None while nothing was asked for.
    fn error_rate(&self) -> Option<f64> {
        self.balancer.as_ref()?;
        let ((_, requests, failures), (_, now_requests, now_failures)) =
            (self.counts.front()?, self.counts.back()?);
        let asked = now_requests.saturating_sub(*requests);
        (asked > 0).then(|| now_failures.saturating_sub(*failures) as f64 / asked as f64)
    }

    fn running(&self) -> Option<Vec<&VmReport>> {
        let vms = self.vms.as_ref()?.vms.iter();
        Some(vms.filter(|vm| vm.state == VmState::Running).collect())
    }
}

/// A file that cannot be read is as none: others tell of it.
fn read<D: Document>(folder: &StateFolder) -> Option<D> {
    folder.read::<D>().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::lb_state::LbTotals;

    fn balancer(requests: u64, failures: u64) -> LbStateFile {
        let totals = LbTotals { requests, failures, ..LbTotals::default() };
        LbStateFile { totals, ..LbStateFile::default() }
    }

    #[test]
    fn failures_are_those_of_the_last_minute() {
        let mut figures = Figures::default();
        let mut rate = |second, requests, failures| {
            figures.take(Some(balancer(requests, failures)), None, Duration::from_secs(second));
            figures.get(Figure::ErrorRate)
        };
        assert_eq!(rate(0, 100, 50), None);
        assert_eq!(rate(30, 200, 60), Some(0.1));
        assert_eq!(rate(60, 300, 60), Some(0.05));
        assert_eq!(rate(90, 400, 60), Some(0.0));
        // A new balancer counts from nothing.
        assert_eq!(rate(91, 3, 3), None);
        assert_eq!(rate(92, 7, 5), Some(0.5));
    }

    #[test]
    fn what_nobody_says_is_not_known() {
        let mut figures = Figures::default();
        figures.take(None, Some(VmStateFile::default()), Duration::ZERO);
        let known = Figure::ALL.into_iter().filter(|figure| figures.get(*figure).is_some());
        assert_eq!(known.collect::<Vec<_>>(), [Figure::VmsRunning]);
    }
}
