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

/// A number that a decision was made from, and what it was held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What the number is, with its unit, or the condition that it was held against:
    /// `offered load, vCPUs`, `mean cpu above`.
    pub name: String,
    /// The number, to a thousandth.
    pub value: f64,
    /// What it was compared with, to a thousandth; none for a number that was only counted in.
    pub limit: Option<f64>,
    /// Whether the condition that the name states is met; none where nothing was compared.
    pub holds: Option<bool>,
}

impl Check {
    /// A number that was counted in.
    pub fn input(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value: thousandths(value), limit: None, holds: None }
    }

    /// A number that was compared with a limit, and whether the condition that `name` states holds.
    pub fn compared(name: &str, value: f64, limit: f64, holds: bool) -> Self {
        let limit = Some(thousandths(limit));
        Self { limit, holds: Some(holds), ..Self::input(name, value) }
    }
}

/// As files hold it, so that what is read again is what was decided from.
fn thousandths(value: f64) -> f64 {
    let rounded = (value * 1000.0).round() / 1000.0;
    // Adding zero turns -0 into 0.
    if rounded.is_finite() { rounded + 0.0 } else { 0.0 }
}

impl fmt::Display for Check {
    /// `mean cpu above: 0.86 against 0.66, yes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)?;
        if let Some(limit) = self.limit {
            write!(f, " against {limit}")?;
        }
        match self.holds {
            Some(true) => f.write_str(", yes"),
            Some(false) => f.write_str(", no"),
            None => Ok(()),
        }
    }
}

/// A decision on the size of the fleet.
#[derive(Debug, Clone, PartialEq)]
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
    /// The same numbers one by one.
    pub checks: Vec<Check>,
}
