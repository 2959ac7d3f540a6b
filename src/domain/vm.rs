//! A VM and the states of its life.
//!
//! ```text
//!            add in ASState          boot delay over, listening
//! (nothing) ───────────────▶ booting ───────────────────────────▶ running ──── delete ───▶ draining
//!                               │                                    │                        │ nothing
//!                               └──────────── process gone ──────────┴──────▶ terminated ◀────┘ in flight
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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
