//! Decisions about the fleet, with their reasons.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::domain::vm::UnknownWord;

/// What should become of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It runs and stays; if it dies it is replaced.
    Keep,
    /// It is to be launched; it becomes `keep` once it runs.
    Add,
    /// It gets nothing new, drains and is terminated.
    Delete,
}

impl Action {
    /// The word that stands for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Add => "add",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Keep, Self::Add, Self::Delete]
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "keep, add or delete"))
    }
}

/// Which way a decision moves the size of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// More VMs.
    Out,
    /// Fewer VMs.
    In,
    /// As many as before.
    Hold,
}

impl Direction {
    /// The word that stands for it in files and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Hold => "hold",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Direction {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Out, Self::In, Self::Hold]
            .into_iter()
            .find(|direction| direction.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "out, in or hold"))
    }
}

/// A decision on the size of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// Which way.
    pub action: Direction,
    /// VMs wanted before it.
    pub from: u32,
    /// VMs wanted after it.
    pub to: u32,
    /// The numbers it was made from, as a sentence.
    pub reason: String,
}
