//! What the policies look back on.
//!
//! No policy keeps anything of its own: each works out its averages, trends and windows from the
//! observations again at every decision. So an autoscaler that is started again only needs the
//! observations back, and samples.txt has them.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::vm::UnknownWord;

/// How far back the observations go.
pub const KEPT: Duration = Duration::from_hours(1);
/// Observations closer together than this say nothing new.
const APART: Duration = Duration::from_millis(900);

/// The fleet and its work at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observation {
    /// When, counted from any moment that all observations of a history share. It never goes back:
    /// it is not the wall clock.
    pub at: Duration,
    /// VMs that serve and have reported in time.
    pub ready: u32,
    /// VMs that boot or warm up.
    pub starting: u32,
    /// VMs wanted.
    pub wanted: u32,
    /// Mean CPU share of the ready VMs; none while there is none.
    pub cpu: Option<f64>,
    /// vCPUs in use over all ready VMs.
    pub busy: f64,
    /// Mean resident memory of the ready VMs, in MiB.
    pub memory: Option<f64>,
    /// Requests in the system: worked on or waiting, in the VMs and in the balancer.
    pub in_flight: f64,
    /// Those of them that wait.
    pub queued: f64,
    /// Requests that arrive per second; none without a balancer to say so.
    pub rate: Option<f64>,
    /// vCPUs that the arriving work would keep exactly busy; none without a balancer to say so.
    pub offered: Option<f64>,
    /// Work that waits for a VM, in seconds of one vCPU; none without a balancer to say so.
    pub backlog: Option<f64>,
    /// VMs that the policy asked for before its patience and the bounds had their say; none where
    /// it was not asked. What is wanted then is somebody's word.
    pub advice: Option<u32>,
}

/// Observations, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<Observation>);

impl History {
    /// The last observation.
    pub fn last(&self) -> Option<&Observation> {
        self.0.back()
    }

    /// Adds an observation and drops what is older than [`KEPT`]. One that is older than the last,
    /// or hardly newer, only adds its advice.
    pub fn push(&mut self, observation: Observation) {
        if let Some(last) = self.0.back_mut().filter(|last| last.at + APART > observation.at) {
            // A person's word is not lost among the policy's.
            match (last.advice, observation.advice) {
                (Some(before), Some(advice)) => last.advice = Some(before.max(advice)),
                (None, Some(_)) => {}
                (_, None) => (last.advice, last.wanted) = (None, observation.wanted),
            }
            return;
        }
        self.0.push_back(observation);
        let oldest = observation.at.saturating_sub(KEPT);
        while self.0.front().is_some_and(|first| first.at < oldest) {
            self.0.pop_front();
        }
    }

    /// All observations, oldest first, and then `now`.
    pub fn until<'a>(&'a self, now: &'a Observation) -> impl Iterator<Item = &'a Observation> {
        self.0.iter().filter(|past| past.at < now.at).chain(std::iter::once(now))
    }

    /// The same as far as they are not older than `window`.
    pub fn window<'a>(
        &'a self,
        now: &'a Observation,
        window: Duration,
    ) -> impl Iterator<Item = &'a Observation> {
        let oldest = now.at.saturating_sub(window);
        let first = self.0.partition_point(|past| past.at < oldest);
        self.0.range(first..).filter(|past| past.at < now.at).chain(std::iter::once(now))
    }

    /// The largest advice within `window`, `now` included; where the policy was not asked, the
    /// fleet that was wanted counts as needed. So does the fleet as it is until advice reaches back
    /// so far: who has not looked for long enough takes nothing away.
    pub fn highest_advice(&self, now: u32, at: &Observation, window: Duration) -> u32 {
        let oldest = at.at.saturating_sub(window);
        let reaches = self.0.iter().find(|past| past.advice.is_some()).map(|first| first.at);
        let unknown = !window.is_zero() && reaches.is_none_or(|first| first > oldest);
        let before = if unknown { at.wanted } else { 0 };
        let past = self.window(at, window).filter(|past| past.at < at.at);
        let needed = past.map(|past| past.advice.unwrap_or(past.wanted)).max();
        now.max(before).max(needed.unwrap_or(0))
    }

    /// Whether more VMs are wanted than `window` ago, and more than were advised since: a person has
    /// asked for them. So it is, too, while the history does not reach back so far.
    pub fn is_asked_for(&self, now: &Observation, window: Duration) -> bool {
        let begins = self.0.front().map_or(now.at, |first| first.at);
        let is_young = now.at.saturating_sub(begins) < window;
        let fewer = || self.window(now, window).any(|past| past.wanted < now.wanted);
        let advised = self.window(now, window).filter_map(|past| past.advice).max();
        (is_young || fewer()) && advised.unwrap_or(0) < now.wanted
    }

    /// The smallest advice within `window`, `now` included.
    pub fn lowest_advice(&self, now: u32, at: &Observation, window: Duration) -> u32 {
        self.window(at, window).filter_map(|past| past.advice).min().map_or(now, |l| l.min(now))
    }

    /// Forgets what the policy advised: it was another policy.
    pub fn forget_advice(&mut self) {
        self.0.iter_mut().for_each(|past| past.advice = None);
    }
}

/// What a policy can watch: a mean over the VMs that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// CPU share, 0 to 1.
    Cpu,
    /// Requests worked on or waiting, per VM.
    InFlight,
    /// Requests that arrive per second, per VM.
    Requests,
    /// Resident memory, in MiB per VM.
    Memory,
}

impl Metric {
    /// The word that stands for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::InFlight => "in-flight",
            Self::Requests => "requests",
            Self::Memory => "memory",
        }
    }

    /// What it is called in a reason.
    pub fn said(self) -> &'static str {
        match self {
            Self::Cpu => "mean cpu",
            Self::InFlight => "requests in flight per VM",
            Self::Requests => "requests per second and VM",
            Self::Memory => "mean memory, MiB",
        }
    }

    /// Its value; none where it is not known.
    pub fn of(self, observation: &Observation) -> Option<f64> {
        let ready = f64::from(observation.ready);
        let per_vm = |sum: f64| (ready > 0.0).then(|| sum / ready);
        match self {
            Self::Cpu => observation.cpu,
            Self::InFlight => per_vm(observation.in_flight),
            Self::Requests => observation.rate.and_then(per_vm),
            Self::Memory => observation.memory,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Metric {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Cpu, Self::InFlight, Self::Requests, Self::Memory]
            .into_iter()
            .find(|metric| metric.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "cpu, in-flight, requests or memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// A history of one observation in five seconds: VMs wanted and advised.
    fn history(seen: impl IntoIterator<Item = (u32, u32)>) -> (History, Observation) {
        let mut history = History::default();
        let mut now = Observation::default();
        for (number, (wanted, advice)) in (0..).zip(seen) {
            let at = Duration::from_secs(5 * number);
            now = Observation { at, wanted, advice: Some(advice), ..Observation::default() };
            history.push(now);
        }
        (history, now)
    }

    #[test]
    fn what_a_person_has_just_asked_for_is_told_from_what_the_load_asked_for() {
        let asked = |seen: &[(usize, (u32, u32))]| {
            let all = seen.iter().flat_map(|(times, what)| vec![*what; *times]);
            let (history, now) = history(all);
            history.is_asked_for(&now, MINUTE)
        };
        assert!(asked(&[(5, (3, 1))]), "a cluster that was just started with three");
        assert!(!asked(&[(20, (3, 1))]), "long ago");
        assert!(asked(&[(20, (1, 1)), (5, (2, 1))]), "one was launched");
        assert!(!asked(&[(20, (1, 1)), (20, (2, 1))]), "and that is long ago");
        assert!(!asked(&[(20, (1, 1)), (1, (1, 3)), (5, (3, 1))]), "a burst wanted three");
    }
}
