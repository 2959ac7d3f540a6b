//! FunctionState.xml: where the functions' service is, and how each function and each trigger does.
//! Written by that service, every second while something changes.

use crate::domain::function::{FunctionName, Usage};
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem};

/// FunctionState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FunctionStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// Where the service takes invocations, `host:port`.
    pub address: String,
    /// Its process; 0 if it has ended.
    pub pid: u32,
    /// The month that the bill is for, `2026-11`, in UTC.
    pub month: String,
    /// Each function that is there, or was used this month.
    pub functions: Vec<FunctionReport>,
    /// Each trigger that is there.
    pub triggers: Vec<TriggerReport>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// How one function does.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionReport {
    /// Which.
    pub name: FunctionName,
    /// Invocations that run.
    pub running: u32,
    /// Environments that wait for the next one.
    pub warm: u32,
    /// What became of invocations this month.
    pub counts: Counts,
    /// What they used.
    pub usage: Usage,
}

/// How one trigger does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerReport {
    /// Which.
    pub name: FunctionName,
    /// Events that are to be tried.
    pub pending: u64,
    /// Events that were answered, as far as they are remembered.
    pub done: u64,
    /// Events that were given up.
    pub dead: u64,
}

/// What became of the invocations of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those that found no environment and waited for one to start.
    pub cold_starts: u64,
    /// Those that were refused because too many ran.
    pub throttled: u64,
    /// Those that gave no answer: the program failed, or took too long or too much memory.
    pub errors: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cold_starts: self.cold_starts.saturating_add(other.cold_starts),
            throttled: self.throttled.saturating_add(other.throttled),
            errors: self.errors.saturating_add(other.errors),
        }
    }
}

impl FunctionStateFile {
    /// What all functions used this month.
    pub fn usage(&self) -> Usage {
        self.functions.iter().fold(Usage::default(), |sum, report| sum.plus(report.usage))
    }
}

impl Document for FunctionStateFile {
    const FILE: &'static str = "FunctionState.xml";
    const ROOT: &'static str = "FunctionState";

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn from_element(root: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(root);
        let mut file = Self {
            seq: document::seq(&mut fields)?,
            address: fields.text("address").unwrap_or_default(),
            pid: fields.whole("pid")?.unwrap_or(0),
            month: fields.text("month").unwrap_or_default(),
            ..Self::default()
        };
        // Follows from the rest.
        fields.text("bill");
        let (mut reports, mut triggers) = (Vec::new(), Vec::new());
        file.foreign = fields.foreign(|child| {
            if child.name == "Trigger" {
                triggers.push(read_trigger(child)?);
                return Ok(true);
            }
            let is_report = child.name == "Function";
            if is_report {
                reports.push(read(child)?);
            }
            Ok(is_report)
        })?;
        file.functions = reports;
        file.triggers = triggers;
        Ok(file)
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self)
            .with("address", &self.address)
            .with("pid", self.pid)
            .with("month", &self.month)
            .with("bill", format!("{:.6}", self.usage().price()));
        for report in &self.functions {
            root.push(
                Element::new("Function")
                    .with("name", &report.name)
                    .with("running", report.running)
                    .with("warm", report.warm)
                    .with("requests", report.usage.requests)
                    .with("coldStarts", report.counts.cold_starts)
                    .with("throttled", report.counts.throttled)
                    .with("errors", report.counts.errors)
                    .with("gbSeconds", report.usage.gb_seconds),
            );
        }
        for report in &self.triggers {
            root.push(
                Element::new("Trigger")
                    .with("name", &report.name)
                    .with("pending", report.pending)
                    .with("done", report.done)
                    .with("dead", report.dead),
            );
        }
        root.with_foreign(&self.foreign)
    }
}

fn read(element: &Element) -> Result<FunctionReport, Problem> {
    let mut fields = Fields::of(element);
    let name = fields.word("name")?;
    Ok(FunctionReport {
        name: fields.required("name", name)?,
        running: fields.whole("running")?.unwrap_or(0),
        warm: fields.whole("warm")?.unwrap_or(0),
        counts: Counts {
            cold_starts: fields.whole("coldStarts")?.unwrap_or(0),
            throttled: fields.whole("throttled")?.unwrap_or(0),
            errors: fields.whole("errors")?.unwrap_or(0),
        },
        usage: Usage {
            requests: fields.whole("requests")?.unwrap_or(0),
            gb_seconds: fields.decimal("gbSeconds")?.unwrap_or(0.0),
        },
    })
}

fn read_trigger(element: &Element) -> Result<TriggerReport, Problem> {
    let mut fields = Fields::of(element);
    let name = fields.word("name")?;
    Ok(TriggerReport {
        name: fields.required("name", name)?,
        pending: fields.whole("pending")?.unwrap_or(0),
        done: fields.whole("done")?.unwrap_or(0),
        dead: fields.whole("dead")?.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            requests: u64, gb_seconds in 0.0..1e12, cold_starts: u64, running: u32, pid: u32
        ) {
            let report = FunctionReport {
                name: "blur".parse().unwrap(),
                running,
                warm: 3,
                counts: Counts { cold_starts, throttled: 1, errors: 2 },
                usage: Usage { requests, gb_seconds },
            };
            let trigger =
                TriggerReport { name: "t".parse().unwrap(), pending: requests, done: 1, dead: 2 };
            let file = FunctionStateFile {
                triggers: vec![trigger],
                address: "127.0.0.1:4".to_owned(),
                pid,
                month: "2026-11".to_owned(),
                functions: vec![report],
                ..FunctionStateFile::default()
            };
            prop_assert_eq!(FunctionStateFile::parse(file.render().as_bytes()), Ok(file));
        }
    }
}
