//! events.log: what happened to the cluster, one line per thing.
//!
//! The cluster closes the file in parts and removes the oldest (`state/records.rs`); a person
//! may remove any of it at any time: the next line starts it anew.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::logfmt::{BadLine, Builder, Line, Pairs};
use super::xml::time;
use crate::domain::vm::{UnknownWord, VmId};

/// A thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Who says so: `cluster`, `balancer`, `autoscaler`, `vm`, `operator`.
    pub role: String,
    /// The VM it happened to, if it happened to one.
    pub vm: Option<VmId>,
    /// The rest, as a sentence for people.
    pub detail: String,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A VM's process was started.
    Launch,
    /// A VM serves requests.
    Ready,
    /// A VM gets nothing new.
    Drain,
    /// A VM was ended on purpose.
    Terminate,
    /// A VM ended by itself.
    Crash,
    /// The balancer took a VM out of rotation.
    Eject,
    /// The balancer took a VM back into rotation.
    Readmit,
    /// The autoscaler decided on the size of the fleet.
    Scale,
    /// A person asked for something.
    Operator,
    /// Something was broken on purpose, or a file was found broken.
    Fault,
    /// A role started, stopped or was started again.
    Role,
    /// An alert of the settings fires, or does no longer.
    Alert,
}

impl EventKind {
    const ALL: [Self; 12] = [
        Self::Launch,
        Self::Ready,
        Self::Drain,
        Self::Terminate,
        Self::Crash,
        Self::Eject,
        Self::Readmit,
        Self::Scale,
        Self::Operator,
        Self::Fault,
        Self::Role,
        Self::Alert,
    ];

    /// The word that stands for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Terminate => "terminate",
            Self::Crash => "crash",
            Self::Eject => "eject",
            Self::Readmit => "readmit",
            Self::Scale => "scale",
            Self::Operator => "operator",
            Self::Fault => "fault",
            Self::Role => "role",
            Self::Alert => "alert",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "a kind of event, such as launch or crash"))
    }
}

impl Event {
    /// A thing that happens just now.
    pub fn now(kind: EventKind, role: &str, vm: Option<VmId>, detail: String) -> Self {
        Self { at: Timestamp::now(), kind, role: role.to_owned(), vm, detail }
    }
}

impl Line for Event {
    const FILE: &'static str = "events.log";
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Builder::default()
            .pair("at", time(self.at))
            .pair("event", self.kind)
            .pair("role", &self.role)
            .known("vm", self.vm.as_ref())
            .pair("detail", &self.detail);
        line.fmt(f)
    }
}

impl FromStr for Event {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let pairs = Pairs::parse(line)?;
        Ok(Self {
            at: pairs.required("at")?,
            kind: pairs.required("event")?,
            role: pairs.required("role")?,
            vm: pairs.optional("vm")?,
            detail: pairs.required("detail")?,
        })
    }
}
