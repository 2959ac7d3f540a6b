//! One VM as the cluster sees it: a process, and how far it is on its way out.
//!
//! ```text
//!             delete                nothing in flight, or the drain limit
//!   Live ───────────────▶ Draining ──────────────────────────────────────▶ Stopping ──▶ (exit)
//!    ▲ ◀──────────────────   │                 no order at all ───────────────▲  │ too long: SIGKILL
//!    │    keep again                                                             ▼
//!    └── silent for too long, also while draining: SIGKILL ──────────────▶ Killed ──▶ (exit)
//! ```
//!
//! A pure state machine: time comes in, a [`Step`] goes out.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::decision::Action;

/// A VM must be idle for this long before it is stopped: the balancer obeys a deletion within
/// milliseconds of the file's change, but a request may be on its way to the VM just then.
const IDLE_BEFORE_STOP: Duration = Duration::from_millis(500);
/// A stopped VM that is still there after its drain limit, its hook and this is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What the cluster does next with a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// Ask its webserver how it is.
    AskHealth,
    /// Tell it to finish and leave (SIGTERM).
    Stop,
    /// End it (SIGKILL).
    Kill(&'static str),
}

/// How far a VM is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is to stay.
    Live,
    /// It gets nothing new. By its own word it had nothing to do at `idle_since`, and in every
    /// answer during `idle_for` after that.
    Draining { since: Instant, idle_since: Option<Instant>, idle_for: Duration },
    /// It was told to leave.
    Stopping { since: Instant, why: &'static str },
    /// It was killed.
    Killed,
}

/// How patient the cluster is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) drain_limit: Duration,
    pub(super) replace_silent_after: Duration,
    /// From its launch until its silence counts.
    pub(super) health_grace: Duration,
    /// How long its last hook may take.
    pub(super) hook_timeout: Duration,
}

/// A VM's process and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) pid: u32,
    pub(super) launched: Instant,
    pub(super) phase: Phase,
    /// It has reported that it serves.
    pub(super) ready: bool,
    /// When it was last heard of: a new report or an answer.
    pub(super) heard: Instant,
    /// Since when ASState.xml had its last order, by its own word.
    pub(super) ordered: Option<Timestamp>,
}

impl Machine {
    pub(super) fn new(pid: u32, now: Instant) -> Self {
        Self { pid, launched: now, phase: Phase::Live, ready: false, heard: now, ordered: None }
    }

    /// What to do, given what ASState.xml wants of it (`None`: it is not in the file at all).
    pub(super) fn step(&mut self, order: Option<Action>, patience: Patience, now: Instant) -> Step {
        self.phase = match (self.phase, order) {
            (Phase::Live, Some(Action::Delete)) => {
                Phase::Draining { since: now, idle_since: None, idle_for: Duration::ZERO }
            }
            (Phase::Draining { .. }, Some(Action::Keep | Action::Add)) => Phase::Live,
            (Phase::Live | Phase::Draining { .. }, None) => {
                return self.stop("ASState.xml does not list it", now);
            }
            (phase, _) => phase,
        };
        let heard = self.heard.max(self.launched + patience.health_grace);
        let silent = now.saturating_duration_since(heard);
        let leaving = patience.drain_limit + patience.hook_timeout + STOP_GRACE;
        match self.phase {
            Phase::Live | Phase::Draining { .. } if silent >= patience.replace_silent_after => {
                self.kill("it neither reports nor answers")
            }
            Phase::Live if silent >= patience.replace_silent_after / 2 => Step::AskHealth,
            Phase::Draining { idle_for, .. } if idle_for >= IDLE_BEFORE_STOP => {
                self.stop("nothing in flight", now)
            }
            Phase::Draining { since, .. } if now - since >= patience.drain_limit => {
                self.stop("the drain limit has passed", now)
            }
            Phase::Draining { .. } => Step::AskHealth,
            Phase::Stopping { since, .. } if now - since >= leaving => {
                self.kill("it did not leave when told to")
            }
            Phase::Live | Phase::Stopping { .. } | Phase::Killed => Step::Wait,
        }
    }

    fn stop(&mut self, why: &'static str, now: Instant) -> Step {
        self.phase = Phase::Stopping { since: now, why };
        Step::Stop
    }

    fn kill(&mut self, why: &'static str) -> Step {
        self.phase = Phase::Killed;
        Step::Kill(why)
    }

    /// Takes in an answer of its webserver.
    pub(super) fn answered(&mut self, nothing_to_do: bool, now: Instant) {
        self.heard = now;
        if let Phase::Draining { idle_since, idle_for, .. } = &mut self.phase {
            *idle_since = nothing_to_do.then(|| idle_since.unwrap_or(now));
            *idle_for = idle_since.map_or(Duration::ZERO, |since| now - since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        drain_limit: Duration::from_mins(1),
        replace_silent_after: Duration::from_secs(30),
        health_grace: Duration::ZERO,
        hook_timeout: Duration::from_secs(10),
    };

    fn machine() -> (Machine, Instant) {
        let now = Instant::now();
        (Machine::new(1, now), now)
    }

    #[test]
    fn a_deleted_vm_is_stopped_only_once_it_has_been_idle() {
        let (mut vm, start) = machine();
        let delete = Some(Action::Delete);
        assert_eq!(vm.step(delete, PATIENCE, start), Step::AskHealth);
        vm.answered(false, start + SECOND);
        assert_eq!(vm.step(delete, PATIENCE, start + 2 * SECOND), Step::AskHealth);
        vm.answered(true, start + 2 * SECOND);
        assert_eq!(vm.step(delete, PATIENCE, start + 2 * SECOND), Step::AskHealth);
        vm.answered(false, start + 2 * SECOND + SECOND / 4);
        assert_eq!(vm.step(delete, PATIENCE, start + 3 * SECOND), Step::AskHealth, "busy again");
        vm.answered(true, start + 3 * SECOND);
        assert_eq!(vm.step(delete, PATIENCE, start + 4 * SECOND), Step::AskHealth, "said once");
        vm.answered(true, start + 4 * SECOND);
        assert_eq!(vm.step(delete, PATIENCE, start + 4 * SECOND), Step::Stop);
        assert_eq!(vm.step(delete, PATIENCE, start + 5 * SECOND), Step::Wait);
    }

    #[test]
    fn a_change_of_mind_while_draining_brings_it_back() {
        let (mut vm, start) = machine();
        vm.step(Some(Action::Delete), PATIENCE, start);
        assert_eq!(vm.step(Some(Action::Keep), PATIENCE, start), Step::Wait);
        assert_eq!(vm.phase, Phase::Live);
    }

    #[test]
    fn draining_and_stopping_have_limits() {
        let (mut vm, start) = machine();
        vm.step(Some(Action::Delete), PATIENCE, start);
        let limit = start + 60 * SECOND;
        vm.answered(false, limit);
        assert_eq!(vm.step(Some(Action::Delete), PATIENCE, limit), Step::Stop);
        assert_eq!(vm.step(Some(Action::Keep), PATIENCE, limit + SECOND), Step::Wait, "too late");
        assert_eq!(vm.step(None, PATIENCE, limit + 74 * SECOND), Step::Wait, "its hook may run");
        assert!(matches!(vm.step(None, PATIENCE, limit + 75 * SECOND), Step::Kill(_)));
        assert_eq!(vm.step(None, PATIENCE, limit + 999 * SECOND), Step::Wait);
    }

    #[test]
    fn a_draining_vm_that_hangs_is_not_waited_for() {
        let (mut vm, start) = machine();
        let delete = Some(Action::Delete);
        assert_eq!(vm.step(delete, PATIENCE, start + 29 * SECOND), Step::AskHealth);
        assert!(matches!(vm.step(delete, PATIENCE, start + 30 * SECOND), Step::Kill(_)));
    }

    #[test]
    fn a_vm_that_nobody_wants_is_told_to_leave() {
        let (mut vm, start) = machine();
        assert_eq!(vm.step(None, PATIENCE, start), Step::Stop);
        assert_eq!(vm.step(None, PATIENCE, start), Step::Wait);
    }

    #[test]
    fn silence_does_not_count_before_the_grace_is_over() {
        let (mut vm, start) = machine();
        let patience = Patience { health_grace: 60 * SECOND, ..PATIENCE };
        let keep = Some(Action::Keep);
        assert_eq!(vm.step(keep, patience, start + 74 * SECOND), Step::Wait);
        assert_eq!(vm.step(keep, patience, start + 75 * SECOND), Step::AskHealth);
        assert!(matches!(vm.step(keep, patience, start + 90 * SECOND), Step::Kill(_)));
    }

    #[test]
    fn a_silent_vm_is_asked_and_then_replaced() {
        let (mut vm, start) = machine();
        let keep = Some(Action::Keep);
        assert_eq!(vm.step(keep, PATIENCE, start + 14 * SECOND), Step::Wait);
        assert_eq!(vm.step(keep, PATIENCE, start + 15 * SECOND), Step::AskHealth);
        vm.answered(false, start + 16 * SECOND);
        assert_eq!(vm.step(keep, PATIENCE, start + 30 * SECOND), Step::Wait, "it answered");
        assert!(matches!(vm.step(keep, PATIENCE, start + 46 * SECOND), Step::Kill(_)));
        assert_eq!(vm.phase, Phase::Killed);
    }
}
