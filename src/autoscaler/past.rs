//! What the autoscaler remembers of the past: observations, changes, days, and the balancer's last
//! word.
//!
//! All of it can be found again: when the autoscaler starts, it reads the changes from ASState.xml
//! and the rest from samples.txt. Times run on a clock of the process's own, which starts a day
//! after its zero so that there is room for what was before; the wall clock only tells how long
//! ago a line was written.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::fleet::age;
use crate::domain::decision::Direction;
use crate::domain::scaling::{Change, Daybook, History, KEPT, Observation, Verdict};
use crate::state::as_state::AsStateFile;
use crate::state::lb_state::{LbStateFile, LbTotals};
use crate::state::samples::{Sample, Seen};

/// Where the clock stands when the process starts.
const START: Duration = Duration::from_hours(24);

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Past {
    origin: Instant,
    history: History,
    /// The policy whose advice the history holds.
    policy: Option<String>,
    /// Changes with their times, oldest first.
    changes: VecDeque<(Duration, u32, u32)>,
    days: Daybook,
    balancer: Option<Heard>,
}

/// What the balancer said last.
#[derive(Debug, Clone, Copy)]
struct Heard {
    seq: u64,
    /// When it was first seen.
    at: Duration,
    totals: LbTotals,
}

impl Past {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            origin: now,
            history: History::default(),
            policy: None,
            changes: VecDeque::new(),
            days: Daybook::default(),
            balancer: None,
        }
    }

    /// A moment on the clock of the observations.
    pub(super) fn at(&self, now: Instant) -> Duration {
        START + now.saturating_duration_since(self.origin)
    }

    /// Takes in what an earlier process left in the files.
    pub(super) fn recall(
        &mut self,
        orders: Option<&AsStateFile>,
        samples: &[Sample],
        now: Instant,
        wall: Timestamp,
    ) {
        let clock = self.at(now);
        for decision in orders.iter().flat_map(|file| &file.decisions) {
            if decision.action != Direction::Hold {
                let at = clock.saturating_sub(age(decision.at, wall));
                self.changes.push_back((at, decision.from, decision.to));
            }
        }
        for sample in samples {
            let Some((at, observation, seen)) = observed(sample) else { continue };
            let ago = age(at, wall);
            if ago > KEPT || at > wall {
                continue;
            }
            if self.policy != seen.policy {
                self.history.forget_advice();
                self.policy.clone_from(&seen.policy);
            }
            self.history.push(Observation { at: clock.saturating_sub(ago), ..observation });
        }
    }

    /// Takes in the loads of earlier days; what was noted since the process started follows them.
    pub(super) fn recall_days(&mut self, days: Daybook) {
        self.days = days;
    }

    /// Takes in what the balancer says now.
    pub(super) fn hear(&mut self, file: &LbStateFile, now: Instant) {
        if self.balancer.is_none_or(|heard| heard.seq != file.seq) {
            let at = self.at(now);
            self.balancer = Some(Heard { seq: file.seq, at, totals: file.totals });
        }
    }

    /// What the balancer says, if it was said within `late`.
    pub(super) fn balancer(&self, now: Instant, late: Duration) -> Option<LbTotals> {
        let heard = self.balancer.filter(|heard| self.at(now).saturating_sub(heard.at) <= late)?;
        Some(heard.totals)
    }

    /// The history for a policy. Advice of another policy is none of its business.
    pub(super) fn history_for(&mut self, policy: &str) -> &History {
        if self.policy.as_deref() != Some(policy) {
            self.history.forget_advice();
            self.policy = Some(policy.to_owned());
        }
        &self.history
    }

    /// Remembers a decision that was written.
    pub(super) fn note(&mut self, verdict: &Verdict, seen: Observation, wall: Timestamp) {
        let wanted = if verdict.advice.is_none() { verdict.to } else { seen.wanted };
        self.history.push(Observation { advice: verdict.advice, wanted, ..seen });
        if let Some(offered) = seen.offered {
            self.days.push(wall, offered);
        }
        if verdict.direction != Direction::Hold {
            self.changes.push_back((seen.at, verdict.from, verdict.to));
        }
        let oldest = seen.at.saturating_sub(KEPT);
        while self.changes.front().is_some_and(|(at, ..)| *at < oldest) {
            self.changes.pop_front();
        }
    }

    /// The changes, oldest first.
    pub(super) fn changes(&self, now: Instant) -> Vec<Change> {
        let clock = self.at(now);
        let change = |&(at, from, to)| Change { ago: clock.saturating_sub(at), from, to };
        self.changes.iter().map(change).collect()
    }

    /// Time since the last change in a direction.
    pub(super) fn since(&self, direction: Direction, now: Instant) -> Option<Duration> {
        let grew = |(_, from, to): &(Duration, u32, u32)| match direction {
            Direction::Out => to >= from,
            Direction::In => to < from,
            Direction::Hold => false,
        };
        let (at, ..) = self.changes.iter().rev().find(|change| grew(change))?;
        Some(self.at(now).saturating_sub(*at))
    }

    /// The load to expect while a VM ordered now boots, from earlier days.
    pub(super) fn forecast(&self, wall: Timestamp, ahead: Duration) -> Option<f64> {
        let minutes = i64::try_from(ahead.as_secs().div_ceil(60)).unwrap_or(0);
        self.days.expected(wall, minutes)
    }
}

/// The loads that samples tell of, day by day.
pub(super) fn days_of(samples: &[Sample]) -> Daybook {
    let mut days = Daybook::default();
    for sample in samples {
        if let Sample::Decision { at, offered_load: Some(load), .. } = sample {
            days.push(*at, *load);
        }
    }
    days
}

/// What a decision in samples.txt was made from.
fn observed(sample: &Sample) -> Option<(Timestamp, Observation, &Seen)> {
    let Sample::Decision {
        at, running, booting, desired, offered_load, queue_seconds, seen, ..
    } = sample
    else {
        return None;
    };
    let observation = Observation {
        at: Duration::ZERO,
        ready: *running,
        starting: *booting,
        wanted: *desired,
        cpu: seen.cpu,
        busy: seen.busy.unwrap_or(0.0),
        memory: None,
        in_flight: seen.in_flight.unwrap_or(0.0),
        queued: seen.queued.unwrap_or(0.0),
        rate: seen.rate,
        offered: *offered_load,
        backlog: *queue_seconds,
        advice: seen.advice,
    };
    Some((*at, observation, seen))
}
