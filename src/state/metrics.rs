//! metrics.txt: one line per finished request.
//!
//! The cluster closes the file in parts and removes the oldest (`state/records.rs`); a person
//! may remove any of it at any time: the next line starts it anew.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::logfmt::{BadLine, Builder, Line, Pairs};
use super::xml::time;
use crate::domain::vm::VmId;

/// What one request asked for and what it cost. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// When it was finished.
    pub at: Timestamp,
    /// Its id, as the client knows it.
    pub request: String,
    /// What was asked for, for example `blur`.
    pub workload: String,
    /// The VM that answered; none if no VM did.
    pub vm: Option<VmId>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Width in pixels of the picture, or of the window that was rendered.
    pub width: Option<u32>,
    /// Height of the same.
    pub height: Option<u32>,
    /// Bytes of the request's body.
    pub input_bytes: u64,
    /// Bytes of the answer's body.
    pub output_bytes: u64,
    /// How long it waited before it was worked on.
    pub queue_us: Option<u64>,
    /// CPU time of the threads that did the work.
    pub cpu_us: Option<u64>,
    /// From its arrival to its answer.
    pub wall_us: u64,
    /// Elementary operations: same input, same number.
    pub work: Option<u64>,
    /// How many VMs it was sent to, one after the other.
    pub attempts: u32,
    /// What only this workload has, by one of the names in [`EXTRA`].
    pub extra: Vec<(&'static str, u64)>,
}

/// The fields that only some workloads have, in the order in which they are written.
pub const EXTRA: [&str; 6] = ["rays", "tests", "scene_bytes", "primitives", "lights", "antialias"];

impl Line for Metric {
    const FILE: &'static str = "metrics.txt";
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Builder::default()
            .pair("at", time(self.at))
            .pair("request", &self.request)
            .pair("workload", &self.workload)
            .known("vm", self.vm.as_ref())
            .pair("status", self.status)
            .known("width", self.width)
            .known("height", self.height)
            .pair("input_bytes", self.input_bytes)
            .pair("output_bytes", self.output_bytes)
            .known("queue_us", self.queue_us)
            .known("cpu_us", self.cpu_us)
            .pair("wall_us", self.wall_us)
            .known("work", self.work)
            .pair("attempts", self.attempts);
        for (key, value) in &self.extra {
            line = line.pair(key, value);
        }
        line.fmt(f)
    }
}

impl FromStr for Metric {
    type Err = BadLine;

    /// Fields that are not known here are passed over: a newer version may have more.
    fn from_str(line: &str) -> Result<Self, BadLine> {
        let pairs = Pairs::parse(line)?;
        let mut extra = Vec::new();
        for key in EXTRA {
            extra.extend(pairs.optional(key)?.map(|value| (key, value)));
        }
        Ok(Self {
            at: pairs.required("at")?,
            request: pairs.required("request")?,
            workload: pairs.required("workload")?,
            vm: pairs.optional("vm")?,
            status: pairs.required("status")?,
            width: pairs.optional("width")?,
            height: pairs.optional("height")?,
            input_bytes: pairs.required("input_bytes")?,
            output_bytes: pairs.required("output_bytes")?,
            queue_us: pairs.optional("queue_us")?,
            cpu_us: pairs.optional("cpu_us")?,
            wall_us: pairs.required("wall_us")?,
            work: pairs.optional("work")?,
            attempts: pairs.required("attempts")?,
            extra,
        })
    }
}
