//! A VM and the states of its life.
//!
//! ```text
//!            add in ASState          boot delay over, listening
//! (nothing) ───────────────▶ booting ───────────────────────────▶ running ──── delete ───▶ draining
//!                               │                                    │                        │ nothing
//!                               └──────────── process gone ──────────┴──────▶ terminated ◀────┘ in flight
//! ```
//!
//! [`Life`] is this diagram as a state machine, with what it leaves out: a VM of the warm pool
//! stays `booting` although its boot is over, a deletion may be taken back, and a VM that was told
//! to stop cannot turn back.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::function::FunctionName;

/// The name of a VM, unique in its cluster: 1 to 64 characters of `a-z`, `0-9` and `-`.
///
/// It becomes part of file names and command lines, hence the narrow alphabet. Cloning it copies no
/// text: it goes with every request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VmId(Arc<str>);

impl VmId {
    /// The id that the cluster gives to its `number`th VM, `vm-7`.
    pub fn numbered(number: u64) -> Self {
        Self(format!("vm-{number}").into())
    }

    /// The name under which the answers of a function stand where a VM's would, `function-blur`.
    pub fn of_function(name: &FunctionName) -> Self {
        Self(format!("function-{name}").into())
    }

    /// The function whose answers stand under this name; none if it is a VM's.
    pub fn function(&self) -> Option<&str> {
        self.0.strip_prefix("function-")
    }

    /// The number in an id of the form `vm-7`, nothing for a name that a person chose. Beyond 32
    /// bits it is such a name, so that there always is a next number.
    pub fn number(&self) -> Option<u64> {
        self.0.strip_prefix("vm-")?.parse::<u32>().ok().map(u64::from)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for VmId {
    type Err = BadVmId;

    fn from_str(text: &str) -> Result<Self, BadVmId> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadVmId(text.chars().take(80).collect()))
        }
    }
}

/// A text that cannot name a VM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a VM: use 1 to 64 of the characters a-z, 0-9 and -")]
pub struct BadVmId(String);

/// Where a VM is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VmState {
    /// Its process runs and waits for the boot time of its instance type to pass.
    Booting,
    /// It serves requests.
    Running,
    /// It finishes what it has and gets nothing new.
    Draining,
    /// It has left, or is about to: its last word.
    Terminated,
}

impl VmState {
    /// The word that stands for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Terminated => "terminated",
        }
    }
}

/// What happens to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmEvent {
    /// Its boot is over: the time of its type has passed, and its launch hook has succeeded.
    Booted,
    /// It is wanted for the warm pool.
    Held,
    /// It is wanted for work.
    Released,
    /// ASState.xml says `delete`.
    Deleted,
    /// ASState.xml says `keep` or `add` again.
    Restored,
    /// It was told to stop.
    Stopped,
    /// Nothing is in flight any more after it was told to stop, or its time for that is over; or
    /// its process has gone.
    Gone,
}

impl VmEvent {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Booted,
        Self::Held,
        Self::Released,
        Self::Deleted,
        Self::Restored,
        Self::Stopped,
        Self::Gone,
    ];
}

/// Where a VM is in its life, with what decides where it goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Life {
    booted: bool,
    held: bool,
    deleted: bool,
    end: End,
}

/// How near a life is to its end. There is no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum End {
    #[default]
    Ahead,
    Stopping,
    Over,
}

impl Life {
    /// The life after an event. The end is final, a stop is never taken back, and a VM that serves
    /// is not put back into the warm pool.
    #[must_use]
    pub fn after(self, event: VmEvent) -> Self {
        match event {
            VmEvent::Booted => Self { booted: true, ..self },
            VmEvent::Held if self.serves() => self,
            VmEvent::Held => Self { held: true, ..self },
            VmEvent::Released => Self { held: false, ..self },
            VmEvent::Deleted => Self { deleted: true, ..self },
            VmEvent::Restored => Self { deleted: false, ..self },
            VmEvent::Stopped => Self { end: self.end.max(End::Stopping), ..self },
            VmEvent::Gone => Self { end: End::Over, ..self },
        }
    }

    /// The state to report. An order to go is reported whatever else is true, so that the
    /// balancer and the cluster see it heeded.
    pub fn state(self) -> VmState {
        if self.end == End::Over {
            VmState::Terminated
        } else if self.deleted || self.end == End::Stopping {
            VmState::Draining
        } else if self.booted && !self.held {
            VmState::Running
        } else {
            VmState::Booting
        }
    }

    /// Its boot is over.
    pub fn has_booted(self) -> bool {
        self.booted
    }

    /// It belongs to the warm pool.
    pub fn is_held(self) -> bool {
        self.held
    }

    /// Its boot is over, and it was not held back: it works on requests that still come, whatever
    /// it is told.
    pub fn serves(self) -> bool {
        self.booted && !self.held
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for VmState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Booting, Self::Running, Self::Draining, Self::Terminated]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "booting, running, draining or terminated"))
    }
}

/// What becomes of a VM whose launch hook failed or took too long: the default result of a lifecycle
/// hook in the cloud
/// (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html>). A VM at
/// its end is terminated either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failing {
    /// It ends, and is replaced like any that crashed.
    #[default]
    Abandon,
    /// It serves all the same.
    Continue,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Abandon => "abandon",
            Self::Continue => "continue",
        })
    }
}

impl FromStr for Failing {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "abandon" => Ok(Self::Abandon),
            "continue" => Ok(Self::Continue),
            _ => Err(UnknownWord::new(text, "abandon or continue")),
        }
    }
}

/// A word that is not one of the few that a place allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not {allowed}")]
pub struct UnknownWord {
    word: String,
    allowed: &'static str,
}

impl UnknownWord {
    /// The word as found, and the words that would have been right.
    pub fn new(word: &str, allowed: &'static str) -> Self {
        Self { word: word.chars().take(80).collect(), allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [VmState; 4] =
        [VmState::Booting, VmState::Running, VmState::Draining, VmState::Terminated];

    /// A life in each state: new, in the warm pool, serving, deleted before and after its boot,
    /// told to stop, over.
    fn lives() -> [(&'static str, Life); 7] {
        use VmEvent::{Booted, Deleted, Gone, Held, Stopped};
        let after =
            |events: &[VmEvent]| events.iter().fold(Life::default(), |life, e| life.after(*e));
        [
            ("booting", after(&[])),
            ("warm", after(&[Held, Booted])),
            ("running", after(&[Booted])),
            ("deleted booting", after(&[Deleted])),
            ("deleted running", after(&[Booted, Deleted])),
            ("stopping", after(&[Booted, Stopped])),
            ("terminated", after(&[Booted, Gone])),
        ]
    }

    #[test]
    fn every_event_in_every_state() {
        use VmState::{Booting as B, Draining as D, Running as R, Terminated as T};
        // Booted, Held, Released, Deleted, Restored, Stopped, Gone
        let table = [
            ("booting", [R, B, B, D, B, D, T]),
            ("warm", [B, B, R, D, B, D, T]),
            ("running", [R, R, R, D, R, D, T]),
            ("deleted booting", [D, D, D, D, B, D, T]),
            ("deleted running", [D, D, D, D, R, D, T]),
            ("stopping", [D, D, D, D, D, D, T]),
            ("terminated", [T, T, T, T, T, T, T]),
        ];
        for ((name, life), (row, expected)) in lives().into_iter().zip(table) {
            assert_eq!(name, row);
            let got = VmEvent::ALL.map(|event| life.after(event).state());
            assert_eq!(got, expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_events_leaves_the_diagram(
            events in prop::collection::vec(prop::sample::select(&VmEvent::ALL[..]), 0..40),
        ) {
            use VmState::{Booting, Draining, Running, Terminated};
            let mut life = Life::default();
            for event in events {
                let (before, end) = (life.state(), life.end);
                life = life.after(event);
                let drawn = match (before, life.state()) {
                    (before, after) if before == after => true,
                    (Booting, Running) => life.booted && !life.held,
                    (Booting | Running, Draining) => true,
                    // Restored before it was told to stop.
                    (Draining, Booting | Running) => event == VmEvent::Restored && end == End::Ahead,
                    (_, Terminated) => event == VmEvent::Gone,
                    _ => false,
                };
                prop_assert!(drawn, "{before} to {} by {event:?}", life.state());
            }
        }

        #[test]
        fn a_word_of_a_state_is_read_as_that_state(state in prop::sample::select(&STATES[..])) {
            prop_assert_eq!(state.as_str().parse::<VmState>(), Ok(state));
        }
    }
}
