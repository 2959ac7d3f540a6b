//! What a decision is made from, beside the past.

use std::time::Duration;

use jiff::civil::DateTime;

use super::count;
use super::history::{Metric, Observation};
use crate::domain::decision::Check;
use crate::domain::termination::Termination;
use crate::domain::vm::VmId;
use crate::units::Share;

/// One VM that is wanted: its order is `keep` or `add`.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: VmId,
    /// How long it has been running; none while it boots or has not been launched yet.
    pub running_for: Option<Duration>,
    /// Mean CPU share over the window; none when its reports are late or missing.
    pub cpu: Option<Share>,
    /// Requests that it works on or holds.
    pub in_flight: u32,
    /// What it can compute, in vCPUs.
    pub vcpus: f64,
    /// The autoscaler may take it away: it was not an operator's own wish.
    pub disposable: bool,
    /// Nothing but a word about this very VM takes it away.
    pub protected: bool,
}

/// A change of the number of VMs wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// How long ago.
    pub ago: Duration,
    /// VMs wanted before it.
    pub from: u32,
    /// VMs wanted after it.
    pub to: u32,
}

/// All that a decision is made from, beside the past.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Situation {
    /// The VMs that are wanted.
    pub members: Vec<Member>,
    /// Fewest VMs.
    pub minimum: u32,
    /// Most VMs.
    pub maximum: u32,
    /// The policy leaves the size of the fleet alone.
    pub paused: bool,
    /// Which VM goes first when there are too many.
    pub termination: Termination,
    /// The size that a person asked for and that has not been obeyed yet.
    pub asked: Option<u32>,
    /// Time since the last scale-out; none if there was none.
    pub since_out: Option<Duration>,
    /// Time since the last scale-in; none if there was none.
    pub since_in: Option<Duration>,
    /// The last changes, oldest first.
    pub changes: Vec<Change>,
    /// The fleet and its work as they are.
    pub now: Observation,
    /// From an order to a VM that serves.
    pub boot: Duration,
    /// Between two reports.
    pub period: Duration,
    /// The local time of day, for schedules; none if it is not known.
    pub local: Option<DateTime>,
    /// The load to expect by the time that a VM ordered now serves, from what was at the same time
    /// of earlier days, in vCPUs; none where nothing that can be trusted is known.
    pub forecast: Option<f64>,
}

impl Situation {
    /// VMs that are wanted.
    pub(super) fn wanted(&self) -> u32 {
        count(self.members.len())
    }

    /// VMs that have run for so long.
    pub(super) fn warm(&self, warm_up: Duration) -> u32 {
        let warm = |m: &&Member| m.running_for.is_some_and(|time| time >= warm_up);
        count(self.members.iter().filter(warm).count())
    }

    /// A metric of the VMs that have run for so long; none where it is not known. CPU shares are
    /// those of these VMs alone; of the other metrics only the sum over all is known.
    pub(super) fn metric_of_warm(&self, metric: Metric, warm_up: Duration) -> Option<f64> {
        let warm = |m: &&Member| m.running_for.is_some_and(|time| time >= warm_up);
        let shares = self.members.iter().filter(warm).filter_map(|member| member.cpu);
        let (number, sum) =
            shares.fold((0_u32, 0.0), |(number, sum), share| (number + 1, sum + share.get()));
        match metric {
            _ if number == 0 => None,
            Metric::Cpu => Some(sum / f64::from(number)),
            other => other.of(&self.now),
        }
    }

    /// Whether so much time has passed since the last change.
    pub(super) fn cooled(&self, cooldown: Duration) -> bool {
        self.since_change() >= cooldown
    }

    pub(super) fn since_change(&self) -> Duration {
        self.since_out.into_iter().chain(self.since_in).min().unwrap_or(Duration::MAX)
    }

    pub(super) fn cooldown_check(&self, cooldown: Duration) -> Check {
        Self::waited("seconds since the last change", self.since_change(), cooldown)
    }

    /// Time since the last change was complete: since VMs ordered then have had the time to boot.
    pub(super) fn since_complete(&self) -> Duration {
        let out = self.since_out.map_or(Duration::MAX, |since| since.saturating_sub(self.boot));
        out.min(self.since_in.unwrap_or(Duration::MAX))
    }

    /// Time that has passed, at most a day, against the time that must.
    pub(super) fn waited(name: &str, passed: Duration, needed: Duration) -> Check {
        let shown = passed.min(Duration::from_hours(24));
        Check::compared(name, shown.as_secs_f64(), needed.as_secs_f64(), passed >= needed)
    }

    /// Mean vCPUs of the VMs that are wanted; 1 where there are none. Never nothing.
    pub(super) fn vcpus_per_vm(&self) -> f64 {
        let sum = self.members.iter().map(|member| member.vcpus.max(0.0)).sum::<f64>();
        let mean = sum / self.members.len() as f64;
        if mean.is_finite() && mean > 0.0 { mean.max(0.01) } else { 1.0 }
    }

    /// VMs that run, and of which nothing has been heard for too long.
    pub(super) fn silent(&self) -> u32 {
        let silent = |m: &&Member| m.running_for.is_some() && m.cpu.is_none();
        count(self.members.iter().filter(silent).count())
    }
}
