//! Why a VM was chosen, as data and as a sentence.

use std::fmt;

use super::{Policy, Standing};
use crate::domain::cost::Work;
use crate::domain::vm::VmId;

/// How many alternatives a reason names.
pub const ALTERNATIVES: usize = 3;

/// Why a VM was chosen. Displays as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The rule.
    pub policy: Policy,
    /// The chosen one as it stood before.
    pub chosen: Rival,
    /// The best of the others, best first, at most [`ALTERNATIVES`].
    pub alternatives: Vec<Rival>,
    /// How many others could have been chosen besides.
    pub others: usize,
}

/// A VM that was chosen or could have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Rival {
    /// Its name.
    pub id: VmId,
    /// Requests it had.
    pub in_flight: u32,
    /// Predicted work of those.
    pub outstanding: Work,
    /// Requests that others had put there.
    pub foreign: f64,
    /// Whether it still got less than its share.
    pub warming_up: bool,
    /// Whether it had as many requests as it may.
    pub full: bool,
    /// How it stood.
    pub standing: Standing,
    /// Whether this request had been there before.
    pub tried: bool,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `write!`, which takes twice the time: there is one for each VM of each request.
        f.write_str(self.id.as_str())?;
        f.write_str(": ")?;
        self.in_flight.fmt(f)?;
        f.write_str(" in flight, ")?;
        self.outstanding.fmt(f)?;
        f.write_str(" of work")?;
        if self.foreign >= 0.5 {
            write!(f, ", {:.0} from elsewhere", self.foreign)?;
        }
        let remarks = [
            (self.full, "full"),
            (self.warming_up, "warming up"),
            (self.standing == Standing::Suspect, "suspect"),
            (self.standing == Standing::Ejected, "ejected"),
            (self.tried, "tried before"),
        ];
        for (_, remark) in remarks.iter().filter(|(holds, _)| *holds) {
            write!(f, ", {remark}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)?;
        f.write_str(": ")?;
        self.chosen.fmt(f)?;
        for rival in &self.alternatives {
            f.write_str("; ")?;
            rival.fmt(f)?;
        }
        if self.others > 0 {
            write!(f, "; and {} more", self.others)?;
        }
        Ok(())
    }
}
