//! What each VM reported over the last half hour, for charts and rates.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::format::since;
use crate::domain::vm::{VmId, VmState};
use crate::state::samples::Sample;

/// How far back reports are kept: the longest window that can be shown.
pub(crate) const KEPT: Duration = Duration::from_mins(30);
/// How many reports of one VM are kept, whatever their age.
const POINTS: usize = 4_000;
/// How many VMs are remembered; beyond it those that have been gone longest are forgotten.
const TRACKS: usize = 2_000;
/// A rate is measured over this time, or over two reports where they are further apart.
const RATE_OVER: Duration = Duration::from_secs(15);

/// The reports of all VMs, those that are gone included.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    tracks: BTreeMap<VmId, Track>,
    /// The earliest report that was ever taken in.
    pub(crate) begins: Option<Timestamp>,
}

/// One VM's reports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    /// The name of its instance type.
    pub(crate) instance_type: String,
    /// Its reports, oldest first.
    pub(crate) points: VecDeque<Point>,
    /// How the time between its reports was spent, over all reports ever taken in.
    pub(crate) spent: Spent,
    /// The first report ever taken in.
    pub(crate) first: Timestamp,
}

/// Time of a VM that is paid for, by what it did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spent {
    /// All of it.
    pub(crate) total: Duration,
    /// While it booted.
    pub(crate) booting: Duration,
    /// While it ran below 30 % CPU.
    pub(crate) idle: Duration,
    /// Seconds weighted by the CPU share in use.
    pub(crate) busy_seconds: f64,
}

/// One report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// When.
    pub(crate) at: Timestamp,
    /// Where the VM was in its life.
    pub(crate) state: VmState,
    /// Share of its CPU in use, 0 to 1.
    pub(crate) cpu: f64,
    /// Resident memory in bytes.
    pub(crate) memory: u64,
    /// Requests being worked on.
    pub(crate) in_flight: u32,
    /// Requests answered since its process started.
    pub(crate) requests: u64,
}

/// The fleet in one column of a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Column {
    /// Mean CPU share of the VMs that ran; none if none did.
    pub(crate) cpu: Option<f64>,
    /// VMs that ran.
    pub(crate) running: usize,
}

impl History {
    /// Takes in a report; one that is not newer than the last of its VM is known already.
    pub(crate) fn take_in(&mut self, sample: &Sample) {
        let Sample::Vm {
            at, vm, state, instance_type, cpu, memory_bytes, in_flight, requests, ..
        } = sample
        else {
            return;
        };
        let point = Point {
            at: *at,
            state: *state,
            cpu: cpu.get(),
            memory: *memory_bytes,
            in_flight: *in_flight,
            requests: *requests,
        };
        let track = self.tracks.entry(vm.clone()).or_insert_with(|| Track {
            instance_type: instance_type.clone(),
            points: VecDeque::new(),
            spent: Spent::default(),
            first: *at,
        });
        track.push(point);
        self.begins = Some(self.begins.map_or(*at, |begins| begins.min(*at)));
        if self.tracks.len() > TRACKS {
            let oldest = self.tracks.iter().min_by_key(|(_, track)| track.last_at());
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.tracks.remove(&id);
            }
        }
    }

    /// The reports of a VM.
    pub(crate) fn track(&self, id: &VmId) -> Option<&Track> {
        self.tracks.get(id)
    }

    /// All VMs of which there are reports.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (&VmId, &Track)> {
        self.tracks.iter()
    }

    /// The fleet over `window` up to `now`, in `columns` columns. A report counts for `lasting`
    /// after it was made: a VM that falls silent leaves the mean.
    pub(crate) fn fleet(
        &self,
        now: Timestamp,
        window: Duration,
        columns: usize,
        lasting: Duration,
    ) -> Vec<Column> {
        let ends = column_ends(now, window, columns);
        let mut sums = vec![(0.0, 0_usize); columns];
        for track in self.tracks.values() {
            for (sum, point) in sums.iter_mut().zip(track.sampled(&ends, lasting)) {
                if let Some(point) = point.filter(|point| point.state == VmState::Running) {
                    sum.0 += point.cpu;
                    sum.1 += 1;
                }
            }
        }
        sums.into_iter()
            .map(|(sum, running)| Column {
                cpu: (running > 0).then(|| sum / running as f64),
                running,
            })
            .collect()
    }
}

impl Track {
    fn push(&mut self, point: Point) {
        if let Some(last) = self.points.back() {
            if point.at <= last.at {
                return;
            }
            self.spent.add(last, since(point.at, last.at));
        }
        self.points.push_back(point);
        let old = |first: &Point| since(point.at, first.at) > KEPT;
        while self.points.len() > POINTS || self.points.front().is_some_and(old) {
            self.points.pop_front();
        }
    }

    fn last_at(&self) -> Option<Timestamp> {
        self.points.back().map(|point| point.at)
    }

    /// Requests answered per second over the last reports; none before the second report.
    pub(crate) fn rate(&self) -> Option<f64> {
        let last = self.points.back()?;
        let earlier = self.points.iter().rev().skip(1).take_while(|point| {
            // A smaller count means that its process was started anew.
            point.requests <= last.requests
        });
        let mut first = None;
        for point in earlier {
            first = Some(point);
            if since(last.at, point.at) >= RATE_OVER {
                break;
            }
        }
        let first = first?;
        let seconds = since(last.at, first.at).as_secs_f64();
        (seconds > 0.0).then(|| (last.requests - first.requests) as f64 / seconds)
    }

    /// For each end of a column the last report that was made by then, where it is not older than
    /// `lasting`.
    pub(crate) fn sampled<'a>(
        &'a self,
        ends: &'a [Timestamp],
        lasting: Duration,
    ) -> impl Iterator<Item = Option<Point>> + 'a {
        let mut points = self.points.iter().peekable();
        let mut last: Option<(Point, Timestamp)> = None;
        ends.iter().map(move |end| {
            let mut newer = None;
            while let Some(point) = points.next_if(|point| point.at <= *end) {
                newer = Some(*point);
            }
            // Arithmetic on time is slow beside comparing it: once per report, not per column.
            let until = |point: Point| point.at.checked_add(lasting).unwrap_or(Timestamp::MAX);
            last = newer.map(|point| (point, until(point))).or(last);
            last.filter(|(_, until)| end <= until).map(|(point, _)| point)
        })
    }
}

impl Spent {
    fn add(&mut self, before: &Point, time: Duration) {
        /// Below this share of its CPU a VM counts as idle.
        const IDLE_BELOW: f64 = 0.3;
        self.total += time;
        self.busy_seconds += before.cpu * time.as_secs_f64();
        match before.state {
            VmState::Booting => self.booting += time,
            _ if before.cpu < IDLE_BELOW => self.idle += time,
            _ => {}
        }
    }
}

/// When each column of a chart ends, oldest first; the last one ends now.
pub(crate) fn column_ends(now: Timestamp, window: Duration, columns: usize) -> Vec<Timestamp> {
    let end = |column: usize| {
        let left = (columns - column - 1) as f64 / columns as f64;
        now.checked_sub(window.mul_f64(left)).unwrap_or(Timestamp::MIN)
    };
    (0..columns).map(end).collect()
}

/// The column that a time falls into; none if it lies outside the window.
pub(crate) fn column_of(
    now: Timestamp,
    window: Duration,
    columns: usize,
    at: Timestamp,
) -> Option<usize> {
    let age = since(now, at);
    if age >= window || at > now || columns == 0 {
        return None;
    }
    let from_right = age.as_secs_f64() / window.as_secs_f64() * columns as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to columns")]
    let from_right = from_right as usize;
    columns.checked_sub(from_right + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Share;

    fn report(vm: u64, second: i64, cpu: f64, requests: u64) -> Sample {
        Sample::Vm {
            at: Timestamp::from_second(second).unwrap(),
            vm: VmId::numbered(vm),
            state: VmState::Running,
            instance_type: "t3.micro".to_owned(),
            cpu: Share::saturating(cpu),
            memory_bytes: 0,
            in_flight: 0,
            queued: 0,
            requests,
            failures: 0,
            cpu_credits: None,
            surplus_credits: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_fleet_is_the_mean_of_the_vms_that_ran_and_silence_ends_a_vms_share() {
        let mut history = History::default();
        history.take_in(&report(1, 1000, 0.2, 0));
        history.take_in(&report(2, 1000, 0.6, 0));
        history.take_in(&report(1, 1030, 0.4, 0));
        let seconds = Duration::from_secs;
        let columns = history.fleet(at(1030), seconds(40), 4, seconds(15));
        let running: Vec<_> = columns.iter().map(|column| column.running).collect();
        assert_eq!(running, [2, 2, 0, 1]);
        assert_eq!(columns[0].cpu, Some(0.4));
        assert_eq!(columns[2].cpu, None);
        assert_eq!(columns[3].cpu, Some(0.4));
    }

    #[test]
    fn a_report_that_is_known_already_changes_nothing() {
        let mut history = History::default();
        history.take_in(&report(1, 1000, 0.2, 5));
        let before = history.clone();
        history.take_in(&report(1, 1000, 0.9, 7));
        history.take_in(&report(1, 990, 0.9, 7));
        assert_eq!(before.track(&VmId::numbered(1)), history.track(&VmId::numbered(1)));
    }

    #[test]
    fn a_rate_is_measured_over_the_last_reports_and_never_across_a_restart() {
        let mut history = History::default();
        let rate = |history: &History| history.track(&VmId::numbered(1)).unwrap().rate();
        history.take_in(&report(1, 1000, 0.2, 1000));
        assert_eq!(rate(&history), None);
        history.take_in(&report(1, 1005, 0.2, 1050));
        assert_eq!(rate(&history), Some(10.0));
        history.take_in(&report(1, 1010, 0.2, 3));
        assert_eq!(rate(&history), None);
        history.take_in(&report(1, 1015, 0.2, 23));
        assert_eq!(rate(&history), Some(4.0));
    }

    #[test]
    fn paid_time_is_told_by_what_the_vm_did_in_it() {
        let mut history = History::default();
        history.take_in(&report(1, 1000, 0.1, 0));
        history.take_in(&report(1, 1010, 0.5, 0));
        history.take_in(&report(1, 1030, 0.5, 0));
        let spent = history.track(&VmId::numbered(1)).unwrap().spent;
        assert_eq!((spent.total.as_secs(), spent.idle.as_secs()), (30, 10));
        assert!((spent.busy_seconds - 11.0).abs() < 1e-9, "{}", spent.busy_seconds);
    }

    proptest! {
        #[test]
        fn a_time_falls_into_the_column_that_ends_after_it(
            age in 0_i64..600_000, columns in 1_usize..300
        ) {
            let now = Timestamp::from_millisecond(1_000_000_000).unwrap();
            let window = Duration::from_mins(10);
            let at = Timestamp::from_millisecond(1_000_000_000 - age).unwrap();
            let column = column_of(now, window, columns, at).unwrap();
            let ends = column_ends(now, window, columns);
            prop_assert!(ends[column] >= at);
            prop_assert!(column == 0 || ends[column - 1] <= at);
        }
    }
}
