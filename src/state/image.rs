//! Images: what a VM is launched from, each a file `images/NAME.toml` of the state folder.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a VM was, for others to be launched as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// When it was made.
    pub created_at: Timestamp,
    /// The VM that it was made from.
    pub from: String,
    /// The instance type of a VM launched from it, if nobody says another.
    pub instance_type: String,
    /// The workloads that it serves: what `cumulet image test` tries.
    pub workloads: Vec<String>,
    /// Settings of the VM, by their names in `cumulet.toml`. They beat all others.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// The name of an image: 1 to 64 characters of `a-z`, `0-9` and `-`, because it names a file too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName(String);

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ImageName {
    type Err = BadImageName;

    fn from_str(text: &str) -> Result<Self, BadImageName> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadImageName(text.chars().take(80).collect()))
        }
    }
}

/// A text that cannot name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name an image: use 1 to 64 of the characters a-z, 0-9 and -")]
pub struct BadImageName(String);
