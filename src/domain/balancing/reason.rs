//! Why a VM was chosen, as data and as a sentence.

use std::fmt::{self, Write as _};

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

impl Rival {
    fn append_to(&self, text: &mut String) {
        text.push_str(self.id.as_str());
        text.push_str(": ");
        text.push_str(itoa::Buffer::new().format(self.in_flight));
        text.push_str(" in flight, ");
        self.outstanding.append_to(text);
        text.push_str(" of work");
        if self.foreign >= 0.5 {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {:.0} from elsewhere", self.foreign);
        }
        let remarks = [
            (self.full, ", full"),
            (self.warming_up, ", warming up"),
            (self.standing == Standing::Suspect, ", suspect"),
            (self.standing == Standing::Ejected, ", ejected"),
            (self.tried, ", tried before"),
        ];
        for (_, remark) in remarks.iter().filter(|(holds, _)| *holds) {
            text.push_str(remark);
        }
    }
}

impl Reason {
    /// Adds the sentence to a text: letters, digits, spaces and `-.,:;`. As [`fmt::Display`], in a
    /// tenth of its time: it goes into the log with every request.
    pub fn append_to(&self, text: &mut String) {
        text.push_str(self.policy.as_str());
        text.push_str(": ");
        self.chosen.append_to(text);
        for rival in &self.alternatives {
            text.push_str("; ");
            rival.append_to(text);
        }
        if self.others > 0 {
            text.push_str("; and ");
            text.push_str(itoa::Buffer::new().format(self.others));
            text.push_str(" more");
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.append_to(&mut text);
        f.write_str(&text)
    }
}
