//! Whether a VM may be trusted with a request, from what happened to the last ones.
//!
//! ```text
//!            a reused connection closed, a probe unanswered, reports late,
//!            an answer long overdue
//!        ┌──────────────────────────────────────────────────────────────▶ suspect
//!        │ ◀───────────────── a request or a probe answered ────────────────┘ │
//!      sound                                                                  │
//!        │ ◀── a probe answered ──┐                                           │
//!        └────────────────────▶ out ◀─────────────────────────────────────────┘
//!          its process ended; connection refused or not taken up; a fresh connection closed
//!          early; five errors in a row; or a probe unanswered *and* reports late
//! ```
//!
//! A busy CPU is not death. A VM whose vCPUs are taken by long requests may leave a probe waiting
//! for seconds, and to eject it then would push its load onto the others until they all fail. So a
//! probe without an answer makes a VM no worse than suspect while its reports still come: the
//! report takes microseconds of CPU every few seconds, which a busy process finds and a stopped
//! one does not. Only both together, or a sign that no load can give (the kernel refuses a
//! connection only when nobody listens), put a VM out.
//!
//! A VM that answers every request with an error lives, and by its probes it is well. It is ejected
//! for a second, then tried again, and if it has not mended, for twice as long, and so on. The same
//! growing pause holds for a VM that comes back and dies again.

use std::fmt;
use std::time::Duration;

/// How long after a failed probe the next one comes; each pause is twice the one before.
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two probes.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// So many errors in a row get a VM ejected (Envoy's `consecutive_5xx`).
pub const ERRORS_TO_EJECT: u32 = 5;
/// For how long it is ejected the first time.
pub const FIRST_EJECTION: Duration = Duration::from_secs(1);
/// The longest time that a VM is kept out that answers its probes.
pub const LONGEST_EJECTION: Duration = Duration::from_mins(1);
/// Whoever goes out so soon after it came back is kept out for twice as long.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Whether one more VM can be ejected for its errors, of `all` that should serve, of which `ejected`
/// are out for theirs: three of ten, and always one. When more than that fail, it is more likely
/// the requests that are at fault (Envoy's `max_ejection_percent`).
pub fn can_spare(ejected: usize, all: usize) -> bool {
    ejected == 0 || (ejected + 1) * 10 <= all * 3
}

/// What happened to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It answered a request.
    Answered,
    /// It answered a request with an error of its own (5xx), or with something that is not HTTP.
    Failed {
        /// Whether it may be ejected for that, see [`can_spare`].
        can_spare: bool,
    },
    /// It takes far longer for a request than was predicted.
    Overdue,
    /// Its process has ended.
    Died,
    /// It refused a connection.
    Refused,
    /// It did not take up a connection in time.
    NotTakenUp,
    /// It closed a fresh connection without a whole answer, or any connection amid an answer.
    CutShort,
    /// It closed a kept connection before any byte of an answer: it is dead, or it had just
    /// closed what it thought idle.
    ReusedClosed,
    /// It answered a probe.
    ProbeAnswered,
    /// It did not answer a probe in time, though it took up the connection.
    ProbeUnanswered,
    /// Its last report is three periods old.
    ReportsLate,
    /// It refused the connection of a probe.
    ProbeRefused,
    /// It reported.
    Reported,
}

/// Why a VM is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its process has ended.
    Died,
    /// It refuses connections.
    Refuses,
    /// It takes up no connections.
    TakesNone,
    /// It closed a connection early.
    ClosesEarly,
    /// It answers with errors.
    Fails,
    /// It left a probe without an answer.
    Unanswered,
    /// It takes too long.
    Overdue,
    /// Its reports are late.
    Silent,
    /// It neither reports nor answers.
    Hangs,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Died => "its process has ended",
            Self::Fails => "it answered with errors, several in a row",
            Self::Overdue => "it takes far longer than was predicted",
            Self::Refuses => "it refuses connections",
            Self::TakesNone => "it takes up no connections",
            Self::ClosesEarly => "it closed a connection before its answer was whole",
            Self::Unanswered => "it left a probe without an answer",
            Self::Silent => "its reports are late",
            Self::Hangs => "its reports are late and it answers no probe",
        })
    }
}

/// Where a VM stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is wrong.
    Sound,
    /// Something is odd; it gets requests only if no sound VM is there.
    Suspect(Cause),
    /// It gets no requests until a probe is answered.
    Out(Cause),
}

/// A change that people should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It went out of rotation.
    Ejected(Cause),
    /// It came back into rotation.
    Readmitted,
}

/// The health of one life of one VM. Times are since any fixed moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    phase: Phase,
    silent: bool,
    next_probe: Option<Duration>,
    pause: Duration,
    /// Errors in a row.
    errors: u32,
    /// How often in a row it went out soon after it had come back.
    relapses: u32,
    /// When it came back last.
    returned: Option<Duration>,
    /// Until when no answered probe brings it back.
    kept_out_until: Duration,
}

impl Default for Health {
    /// A VM that says it runs is believed.
    fn default() -> Self {
        Self {
            phase: Phase::Sound,
            silent: false,
            next_probe: None,
            pause: FIRST_PAUSE,
            errors: 0,
            relapses: 0,
            returned: None,
            kept_out_until: Duration::ZERO,
        }
    }
}

impl Health {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When it is to be probed next; none if there is no need.
    pub fn next_probe(&self) -> Option<Duration> {
        self.next_probe
    }

    /// A probe is under way: no other one until its outcome is known.
    pub fn probing(&mut self) {
        self.next_probe = None;
    }

    /// Takes in what happened at `now`. That reports are late may be said again and again; only the
    /// first time counts, until the next report.
    pub fn on(&mut self, event: Event, now: Duration) -> Option<Change> {
        if event == Event::ReportsLate && self.silent {
            return None;
        }
        let before = self.phase;
        self.silent = match event {
            Event::ReportsLate => true,
            Event::Reported => false,
            _ => self.silent,
        };
        self.errors = match event {
            Event::Answered => 0,
            Event::Failed { .. } => self.errors.saturating_add(1),
            _ => self.errors,
        };
        self.phase = self.phase_after(event, now);
        let change = match (before, self.phase) {
            (Phase::Out(_), Phase::Out(_)) => None,
            (_, Phase::Out(cause)) => Some(Change::Ejected(cause)),
            (Phase::Out(_), _) => Some(Change::Readmitted),
            _ => None,
        };
        match change {
            Some(Change::Ejected(cause)) => self.keep_out(cause, now),
            Some(Change::Readmitted) => self.returned = Some(now),
            None => {}
        }
        self.schedule(event, before, now);
        change
    }

    /// Decides until when it stays out however well it looks.
    fn keep_out(&mut self, cause: Cause, now: Duration) {
        let is_relapse = self.returned.is_some_and(|at| now.saturating_sub(at) < STABLE_AFTER);
        self.relapses = if is_relapse { self.relapses.saturating_add(1) } else { 0 };
        self.errors = 0;
        let doublings = |times: u32| 1_u32 << times.min(16);
        let pause = match (cause, self.relapses) {
            (Cause::Fails, relapses) => FIRST_EJECTION.saturating_mul(doublings(relapses)),
            // One that died and lives again is welcome; the second time it is waited for.
            (_, 0) => Duration::ZERO,
            (_, relapses) => FIRST_PAUSE.saturating_mul(doublings(relapses - 1)),
        };
        self.kept_out_until = now.saturating_add(pause.min(LONGEST_EJECTION));
    }

    fn phase_after(&self, event: Event, now: Duration) -> Phase {
        use Phase::{Out, Sound, Suspect};
        match (self.phase, event) {
            (_, Event::Refused | Event::ProbeRefused) => Out(Cause::Refuses),
            (_, Event::Died) => Out(Cause::Died),
            (_, Event::NotTakenUp) => Out(Cause::TakesNone),
            (_, Event::CutShort) => Out(Cause::ClosesEarly),
            (Sound | Suspect(_), Event::Failed { can_spare: true })
                if self.errors >= ERRORS_TO_EJECT =>
            {
                Out(Cause::Fails)
            }
            (Out(cause), Event::ProbeAnswered) if now < self.kept_out_until => Out(cause),
            (_, Event::ProbeAnswered)
            | (Suspect(_), Event::Answered)
            | (Suspect(Cause::Silent), Event::Reported) => Sound,
            (Sound | Suspect(_), Event::ProbeUnanswered) if self.silent => Out(Cause::Hangs),
            (Sound | Suspect(_), Event::ProbeUnanswered) => Suspect(Cause::Unanswered),
            (Sound, Event::ReusedClosed) => Suspect(Cause::ClosesEarly),
            (Sound, Event::Overdue) => Suspect(Cause::Overdue),
            (Sound, Event::ReportsLate) => Suspect(Cause::Silent),
            (phase, _) => phase,
        }
    }

    fn schedule(&mut self, event: Event, before: Phase, now: Duration) {
        let probed =
            matches!(event, Event::ProbeAnswered | Event::ProbeUnanswered | Event::ProbeRefused);
        let was_out = matches!(before, Phase::Out(_));
        match self.phase {
            Phase::Sound if !self.silent => {
                self.pause = FIRST_PAUSE;
                self.next_probe = None;
            }
            Phase::Sound if probed || before != Phase::Sound => {
                self.pause = FIRST_PAUSE;
                self.next_probe = Some(now.saturating_add(LONGEST_PAUSE));
            }
            Phase::Sound => {}
            _ if probed => {
                let next = now.saturating_add(self.pause);
                self.next_probe = Some(match self.phase {
                    // A probe before that would change nothing.
                    Phase::Out(_) if now < self.kept_out_until => self.kept_out_until,
                    _ => next,
                });
                self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
            Phase::Suspect(_) if before == Phase::Sound => self.probe_at_once(now),
            Phase::Out(Cause::Fails) if !was_out => {
                self.pause = FIRST_PAUSE;
                self.next_probe = Some(self.kept_out_until);
            }
            Phase::Out(_) if !was_out => self.probe_at_once(now),
            _ => {}
        }
    }

    fn probe_at_once(&mut self, now: Duration) {
        self.pause = FIRST_PAUSE;
        self.next_probe = Some(now);
    }
}

#[cfg(test)]
mod tests;
