//! How well a supply of VMs followed the demand for them: the metrics of elasticity by which two
//! policies are compared.
//!
//! Definitions and names are those of the SPEC Research Group's "Ready for Rain? A View from SPEC
//! Research on the Future of Cloud Metrics" (SPEC-RG-2016-01): accuracy `θ`, time share `τ` and
//! instability `υ`.

use std::time::Duration;

/// The fleet over a while in which nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interval {
    /// How long it was.
    pub length: Duration,
    /// Work that arrived, in vCPUs that it would keep busy.
    pub demand: f64,
    /// VMs that served.
    pub ready: u32,
    /// VMs that were paid for: those that served, booted or drained.
    pub paid: u32,
    /// VMs wanted.
    pub wanted: u32,
}

/// The metrics of a history. Shares are of 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Elasticity {
    /// Time looked at.
    pub time: Duration,
    /// `θ_U`: mean of the VMs that were missing, as a share of those needed.
    pub under_accuracy: f64,
    /// `θ_O`: mean of the VMs that were too many, as a share of those needed.
    pub over_accuracy: f64,
    /// `τ_U`: share of the time in which VMs were missing.
    pub under_time: f64,
    /// `τ_O`: share of the time in which VMs were too many.
    pub over_time: f64,
    /// υ: share of the time in which supply and demand moved in different ways.
    pub instability: f64,
    /// Changes of the number of VMs wanted.
    pub changes: u32,
    /// Seconds of VMs that were paid for.
    pub vm_seconds: f64,
    /// Work that arrived, in seconds of one vCPU.
    pub work_seconds: f64,
    /// The part of it that arrived beyond what the VMs that served could do at once.
    pub overflow_seconds: f64,
}

impl Elasticity {
    /// Measures a history, given what a VM can compute, in vCPUs.
    pub fn of(intervals: &[Interval], vcpus_per_vm: f64) -> Self {
        let needed = |interval: &Interval| (interval.demand / vcpus_per_vm - 1e-9).ceil().max(0.0);
        let mut sums = Self::default();
        for interval in intervals {
            let seconds = interval.length.as_secs_f64();
            let (needed, ready) = (needed(interval), f64::from(interval.ready));
            // Where nothing is needed, what is there too much is counted against one VM.
            let against = needed.max(1.0);
            sums.time += interval.length;
            sums.under_accuracy += (needed - ready).max(0.0) / against * seconds;
            sums.over_accuracy += (ready - needed).max(0.0) / against * seconds;
            sums.under_time += if needed > ready { seconds } else { 0.0 };
            sums.over_time += if ready > needed { seconds } else { 0.0 };
            sums.vm_seconds += f64::from(interval.paid) * seconds;
            sums.work_seconds += interval.demand * seconds;
            sums.overflow_seconds += (interval.demand - ready * vcpus_per_vm).max(0.0) * seconds;
        }
        for pair in intervals.windows(2) {
            let [before, after] = pair else { continue };
            let supply = after.ready.cmp(&before.ready);
            let demand = needed(after).total_cmp(&needed(before));
            let seconds = after.length.as_secs_f64();
            sums.instability += if supply == demand { 0.0 } else { seconds };
            sums.changes += u32::from(after.wanted != before.wanted);
        }
        let time = sums.time.as_secs_f64();
        let share = |sum: f64| if time > 0.0 { sum / time } else { 0.0 };
        Self {
            under_accuracy: share(sums.under_accuracy),
            over_accuracy: share(sums.over_accuracy),
            under_time: share(sums.under_time),
            over_time: share(sums.over_time),
            instability: share(sums.instability),
            ..sums
        }
    }

    /// Changes per hour.
    pub fn changes_per_hour(&self) -> f64 {
        let hours = self.time.as_secs_f64() / 3600.0;
        if hours > 0.0 { f64::from(self.changes) / hours } else { 0.0 }
    }

    /// Share of the work that arrived beyond what the VMs could do at once.
    pub fn overflow(&self) -> f64 {
        if self.work_seconds > 0.0 { self.overflow_seconds / self.work_seconds } else { 0.0 }
    }

    /// Seconds of vCPUs paid for per second of work, where what overflows is done elsewhere at once
    /// for `price` times as much. 1 is perfect.
    pub fn cost(&self, vcpus_per_vm: f64, price: f64) -> f64 {
        let paid = self.vm_seconds * vcpus_per_vm;
        if self.work_seconds > 0.0 {
            paid / self.work_seconds + price * self.overflow()
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(demand: f64, ready: u32) -> Interval {
        let length = Duration::from_secs(10);
        Interval { length, demand, ready, paid: ready, wanted: ready }
    }

    #[test]
    fn the_metrics_are_those_of_the_definitions() {
        // Needed 4, 4, 2, 2; there 4, 3, 3, 4.
        let history = [interval(4.0, 4), interval(3.5, 3), interval(2.0, 3), interval(1.2, 4)];
        let metrics = Elasticity::of(&history, 1.0);
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        close(metrics.under_accuracy, 0.25 / 4.0);
        close(metrics.over_accuracy, (0.5 + 1.0) / 4.0);
        close(metrics.under_time, 0.25);
        close(metrics.over_time, 0.5);
        // Supply and demand moved: −/=, =/−, +/=.
        close(metrics.instability, 0.75);
        assert_eq!(metrics.changes, 2);
        close(metrics.overflow(), 0.5 / 10.7);
        close(metrics.cost(1.0, 5.0), 14.0 / 10.7 + 5.0 * 0.5 / 10.7);
    }

    #[test]
    fn an_empty_history_has_no_metrics_and_no_nan() {
        let metrics = Elasticity::of(&[], 2.0);
        assert_eq!(metrics, Elasticity::default());
        assert_eq!((metrics.cost(2.0, 5.0), metrics.changes_per_hour()), (0.0, 0.0));
    }
}
