//! What the autoscaler remembers of the VMs' reports.
//!
//! Ages are judged by the autoscaler's own clock, from the moment it saw a report change: the
//! wall clock in a report may jump.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};

use super::past::Past;
use crate::autoscaler::Settings;
use crate::domain::decision::Direction;
use crate::domain::scaling::{self, Member, Observation, Policy, Situation, Verdict};
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::units::Share;

/// What is older than so many periods is not believed any more.
const LATE_AFTER_PERIODS: u32 = 3;
/// A boot that took longer than this says more of a clock than of a boot.
const LONGEST_BOOT: Duration = Duration::from_mins(10);

/// All VMs seen, by id, and the past.
#[derive(Debug, Clone)]
pub(super) struct Fleet {
    settings: Arc<Settings>,
    vms: HashMap<VmId, Memory>,
    pub(super) past: Past,
}

/// One VM's recent reports.
#[derive(Debug, Clone)]
struct Memory {
    pid: u32,
    state: VmState,
    instance_type: String,
    in_flight: u32,
    queued: u32,
    resident_bytes: u64,
    cpu_credits: Option<f64>,
    reported_at: Timestamp,
    /// When the last new report was seen.
    seen: Instant,
    running_since: Option<Instant>,
    /// From its launch to its first request, as it says.
    boot: Option<Duration>,
    /// CPU shares of reports made while running, with when they were seen, oldest first.
    cpu: VecDeque<(Instant, Share)>,
}

impl Fleet {
    pub(super) fn new(settings: Arc<Settings>, now: Instant) -> Self {
        Self { settings, vms: HashMap::new(), past: Past::new(now) }
    }

    /// Takes in what VMState.xml says now.
    pub(super) fn observe(&mut self, file: &VmStateFile, now: Instant, wall: Timestamp) {
        self.vms.retain(|id, memory| file.vm(id).is_some_and(|report| report.pid == memory.pid));
        for report in &file.vms {
            let window = self.settings.defaults.window;
            match self.vms.get_mut(&report.id) {
                Some(memory) => memory.take_in(report, now, wall, window),
                None => {
                    self.vms.insert(report.id.clone(), Memory::new(report, now, wall));
                }
            }
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

    /// From the newest report to now; none if its clock is ahead.
    pub(super) fn reaction(&self, wall: Timestamp) -> Option<Duration> {
        let newest = self.vms.values().map(|memory| memory.reported_at).max()?;
        Duration::try_from(wall.duration_since(newest)).ok()
    }

    /// Asks the policy about the VMs that `file` wants. Tells what it saw, too.
    pub(super) fn judge(
        &mut self,
        file: &AsStateFile,
        now: Instant,
        wall: Timestamp,
    ) -> (Verdict, Observation) {
        let policy = Policy::read(&file.policy, &file.parameters, &self.settings.defaults);
        let policy = policy.map(|(policy, _)| policy);
        let situation = self.situation(file, now, wall);
        let history = self.past.history_for(&file.policy);
        (scaling::decide(policy.as_ref(), &situation, history), situation.now)
    }

    fn situation(&self, file: &AsStateFile, now: Instant, wall: Timestamp) -> Situation {
        let wanted = file.vms.iter().filter(|order| order.counts());
        let members = wanted.map(|order| self.member(order, now)).collect::<Vec<_>>();
        let (boot, period) = (self.boot(), self.settings.report_every);
        Situation {
            now: self.observation(&members, now),
            minimum: file.minimum,
            maximum: file.maximum,
            paused: file.paused,
            termination: self.settings.termination,
            asked: file.asked(),
            since_out: self.since_growth(file, now, wall),
            since_in: self.past.since(Direction::In, now),
            changes: self.past.changes(now),
            boot,
            period,
            local: Some(wall.to_zoned(TimeZone::system()).datetime()),
            forecast: self.past.forecast(wall, boot + period),
            members,
        }
    }

    fn member(&self, order: &VmOrder, now: Instant) -> Member {
        let memory = self.vms.get(&order.id);
        let named = memory.map(|memory| &memory.instance_type).or(order.instance_type.as_ref());
        Member {
            id: order.id.clone(),
            running_for: memory.and_then(|memory| memory.running_for(now)),
            cpu: memory.and_then(|memory| memory.mean_cpu(now, &self.settings)),
            in_flight: memory.map_or(0, |memory| memory.in_flight),
            vcpus: self
                .settings
                .speed(named.map(String::as_str), memory.and_then(|memory| memory.cpu_credits)),
            // What a person asked for stands until a person takes it back.
            disposable: matches!(order.by.as_deref(), Some("autoscaler" | "cluster")),
            protected: order.protected,
        }
    }

    /// The fleet and its work as they are.
    fn observation(&self, members: &[Member], now: Instant) -> Observation {
        let ready = members.iter().filter(|member| member.cpu.is_some()).collect::<Vec<_>>();
        let mean = |sum: f64| (!ready.is_empty()).then(|| sum / ready.len() as f64);
        let memories = || ready.iter().filter_map(|member| self.vms.get(&member.id));
        let vcpus = |memory: &Memory| self.settings.vcpus(Some(&memory.instance_type));
        let bytes = memories().map(|memory| memory.resident_bytes as f64).sum::<f64>();
        let waiting = memories().map(|memory| f64::from(memory.queued)).sum::<f64>();
        let held = memories().map(|memory| f64::from(memory.in_flight)).sum::<f64>();
        let late = self.settings.report_every.saturating_mul(LATE_AFTER_PERIODS);
        let balancer = self.past.balancer(now, late);
        let queued = waiting + balancer.map_or(0.0, |totals| totals.queued as f64);
        let starting = members.iter().filter(|member| member.running_for.is_none()).count();
        Observation {
            at: self.past.at(now),
            ready: count(ready.len()),
            starting: count(starting),
            wanted: count(members.len()),
            cpu: mean(ready.iter().filter_map(|m| m.cpu).map(Share::get).sum()),
            busy: memories().map(|memory| memory.last_cpu() * vcpus(memory)).sum(),
            memory: mean(bytes / f64::from(1 << 20)),
            in_flight: balancer.map_or(held, |totals| (totals.in_flight + totals.queued) as f64),
            queued,
            rate: balancer.map(|totals| totals.rate),
            offered: balancer.map(|totals| totals.offered_load),
            backlog: balancer.map(|totals| totals.queue_seconds),
            advice: None,
        }
    }

    /// From an order to a VM that serves: as it was with those that run, else as the type says.
    fn boot(&self) -> Duration {
        let mut boots = self.vms.values().filter_map(|memory| memory.boot).collect::<Vec<_>>();
        boots.sort_unstable();
        boots.get(boots.len() / 2).copied().unwrap_or_else(|| self.settings.boot())
    }

    /// Time since the fleet last grew, by whoever's wish: a VM that has just been asked for is not
    /// taken away for being idle. An order of the future, written before the clock was set back,
    /// says nothing: it would hold everything until its time comes.
    fn since_growth(&self, file: &AsStateFile, now: Instant, wall: Timestamp) -> Option<Duration> {
        let asked_for = file.vms.iter().filter(|order| order.counts());
        let since = asked_for.filter_map(|order| order.since).filter(|since| *since <= wall);
        let youngest = since.max().map(|at| age(at, wall));
        let decided = self.past.since(Direction::Out, now);
        youngest.into_iter().chain(decided).min()
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Time since a moment in a file; one that is still to come (the clock was set back) is just now.
pub(super) fn age(at: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(wall.duration_since(at)).unwrap_or(Duration::ZERO)
}

impl Memory {
    fn new(report: &VmReport, now: Instant, wall: Timestamp) -> Self {
        let mut memory = Self {
            pid: report.pid,
            state: report.state,
            instance_type: report.instance_type.clone(),
            in_flight: 0,
            queued: 0,
            resident_bytes: 0,
            cpu_credits: None,
            boot: None,
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
        self.queued = report.load.queued;
        self.resident_bytes = report.load.memory_bytes;
        self.cpu_credits = report.load.cpu_credits;
        if report.state != VmState::Running {
            return;
        }
        let already = report.running_since.map_or(Duration::ZERO, |since| age(since, wall));
        self.running_since.get_or_insert_with(|| now.checked_sub(already).unwrap_or(now));
        self.boot = report
            .running_since
            .and_then(|since| Duration::try_from(since.duration_since(report.launched_at)).ok())
            .filter(|boot| *boot <= LONGEST_BOOT);
        self.cpu.push_back((now, report.load.cpu));
    }

    fn last_cpu(&self) -> f64 {
        self.cpu.back().map_or(0.0, |(_, share)| share.get())
    }

    fn running_for(&self, now: Instant) -> Option<Duration> {
        self.running_since.map(|since| now.saturating_duration_since(since))
    }

    /// Mean over the reports in the window; none if the last report is late.
    fn mean_cpu(&self, now: Instant, settings: &Settings) -> Option<Share> {
        let late = settings.report_every.saturating_mul(LATE_AFTER_PERIODS);
        if self.cpu.is_empty() || now.saturating_duration_since(self.seen) > late {
            return None;
        }
        let sum = self.cpu.iter().map(|(_, share)| share.get()).sum::<f64>();
        // The share is of all its vCPUs. One that is throttled is busy at less.
        let kind = Some(self.instance_type.as_str());
        let all = settings.vcpus(kind) / settings.speed(kind, self.cpu_credits).max(0.001);
        Some(Share::saturating(all * sum / self.cpu.len() as f64))
    }
}

#[cfg(test)]
mod tests;
