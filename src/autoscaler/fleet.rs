//! What the autoscaler remembers of the VMs' reports.
//!
//! Ages are judged by the autoscaler's own clock, from the moment it saw a report change: the
//! wall clock in a report may jump.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::autoscaler::Settings;
use crate::domain::decision::Direction;
use crate::domain::scaling::{self, Member, Situation, Verdict};
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::AsStateFile;
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::units::Share;

/// A VM whose report is older than so many periods is silent.
const SILENT_AFTER_PERIODS: u32 = 3;

/// All VMs seen, by id.
#[derive(Debug, Clone)]
pub(super) struct Fleet {
    settings: Settings,
    vms: HashMap<VmId, Memory>,
    last_out: Option<Instant>,
    last_in: Option<Instant>,
    /// The decisions that stand in the file were made before this process started.
    read_history: bool,
}

/// One VM's recent reports.
#[derive(Debug, Clone)]
struct Memory {
    pid: u32,
    state: VmState,
    in_flight: u32,
    reported_at: Timestamp,
    /// When the last new report was seen.
    seen: Instant,
    running_since: Option<Instant>,
    /// CPU shares of reports made while running, with when they were seen, oldest first.
    cpu: VecDeque<(Instant, Share)>,
}

impl Fleet {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, vms: HashMap::new(), last_out: None, last_in: None, read_history: false }
    }

    /// Takes in what VMState.xml says now.
    pub(super) fn observe(&mut self, file: &VmStateFile, now: Instant, wall: Timestamp) {
        self.vms.retain(|id, memory| file.vm(id).is_some_and(|report| report.pid == memory.pid));
        for report in &file.vms {
            let window = self.settings.tracking.window;
            match self.vms.get_mut(&report.id) {
                Some(memory) => memory.take_in(report, now, wall, window),
                None => {
                    self.vms.insert(report.id.clone(), Memory::new(report, now, wall));
                }
            }
        }
    }

    /// Remembers a decision of this process for the cooldowns.
    pub(super) fn note_decision(&mut self, direction: Direction, now: Instant) {
        self.read_history = true;
        match direction {
            Direction::Out => self.last_out = Some(now),
            Direction::In => self.last_in = Some(now),
            Direction::Hold => {}
        }
    }

    /// VMs running, booting and draining.
    pub(super) fn census(&self) -> (u32, u32, u32) {
        let count = |state| {
            let number = self.vms.values().filter(|memory| memory.state == state).count();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        (count(VmState::Running), count(VmState::Booting), count(VmState::Draining))
    }

    /// Asks the policy about the VMs that `file` wants.
    pub(super) fn judge(&self, file: &AsStateFile, now: Instant, wall: Timestamp) -> Verdict {
        let known = file.policy == scaling::TARGET_TRACKING;
        if !known {
            let wanted = file.wanted();
            let reason = format!(
                "there is no policy called `{}`; there is {}",
                file.policy,
                scaling::TARGET_TRACKING
            );
            let (direction, victims) = (Direction::Hold, Vec::new());
            return Verdict { direction, from: wanted, to: wanted, victims, reason };
        }
        scaling::decide(&self.settings.tracking, &self.situation(file, now, wall))
    }

    fn situation(&self, file: &AsStateFile, now: Instant, wall: Timestamp) -> Situation {
        let wanted = file.vms.iter().filter(|order| order.counts());
        let members = wanted.map(|order| {
            let memory = self.vms.get(&order.id);
            Member {
                id: order.id.clone(),
                running_for: memory.and_then(|memory| memory.running_for(now)),
                cpu: memory.and_then(|memory| memory.mean_cpu(now, &self.settings)),
                in_flight: memory.map_or(0, |memory| memory.in_flight),
                // What a person asked for stands until a person takes it back.
                disposable: !order.protected
                    && matches!(order.by.as_deref(), Some("autoscaler" | "cluster")),
            }
        });
        Situation {
            members: members.collect(),
            minimum: file.minimum,
            maximum: file.maximum,
            paused: file.paused,
            termination: self.settings.termination,
            since_out: self.since_growth(file, now, wall),
            since_in: self.since(self.last_in, file, Direction::In, now, wall),
        }
    }

    /// Time since the fleet last grew, by whoever's wish: a VM that has just been asked for is not
    /// taken away for being idle.
    fn since_growth(&self, file: &AsStateFile, now: Instant, wall: Timestamp) -> Option<Duration> {
        let asked_for = file.vms.iter().filter(|order| order.counts());
        let youngest = asked_for.filter_map(|order| order.since).max().map(|at| age(at, wall));
        let decided = self.since(self.last_out, file, Direction::Out, now, wall);
        youngest.into_iter().chain(decided).min()
    }

    /// Time since the last decision of a kind: this process's own, else what the file tells.
    fn since(
        &self,
        own: Option<Instant>,
        file: &AsStateFile,
        direction: Direction,
        now: Instant,
        wall: Timestamp,
    ) -> Option<Duration> {
        if let Some(own) = own {
            return Some(now.saturating_duration_since(own));
        }
        if self.read_history {
            return None;
        }
        let decision = file.decisions.iter().rev().find(|d| d.action == direction)?;
        Some(age(decision.at, wall))
    }
}

/// Time since a moment in a file; one that is still to come (the clock was set back) is just now.
fn age(at: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(at)).unwrap_or(Duration::ZERO)
}

impl Memory {
    fn new(report: &VmReport, now: Instant, wall: Timestamp) -> Self {
        let mut memory = Self {
            pid: report.pid,
            state: report.state,
            in_flight: 0,
            reported_at: report.reported_at,
            seen: now,
            running_since: None,
            cpu: VecDeque::new(),
        };
        memory.note(report, now, wall);
        memory
    }

    fn take_in(&mut self, report: &VmReport, now: Instant, wall: Timestamp, window: Duration) {
        if report.reported_at == self.reported_at {
            return;
        }
        self.reported_at = report.reported_at;
        self.seen = now;
        self.note(report, now, wall);
        while self.cpu.len() > 1 && self.cpu.front().is_some_and(|(at, _)| now - *at > window) {
            self.cpu.pop_front();
        }
    }

    fn note(&mut self, report: &VmReport, now: Instant, wall: Timestamp) {
        self.state = report.state;
        self.in_flight = report.load.in_flight.saturating_add(report.load.queued);
        if report.state != VmState::Running {
            return;
        }
        let already = report.running_since.map_or(Duration::ZERO, |since| age(since, wall));
        self.running_since.get_or_insert_with(|| now.checked_sub(already).unwrap_or(now));
        self.cpu.push_back((now, report.load.cpu));
    }

    fn running_for(&self, now: Instant) -> Option<Duration> {
        self.running_since.map(|since| now.saturating_duration_since(since))
    }

    /// Mean over the reports in the window; none if the last report is late.
    fn mean_cpu(&self, now: Instant, settings: &Settings) -> Option<Share> {
        let late = settings.report_every.saturating_mul(SILENT_AFTER_PERIODS);
        if self.cpu.is_empty() || now.saturating_duration_since(self.seen) > late {
            return None;
        }
        let sum = self.cpu.iter().map(|(_, share)| share.get()).sum::<f64>();
        Some(Share::saturating(sum / self.cpu.len() as f64))
    }
}

#[cfg(test)]
mod tests;
