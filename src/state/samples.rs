//! samples.txt: the history that reports and policies are judged by. One line per report of a VM
//! and one per decision of the autoscaler.
//!
//! The cluster closes the file in parts and removes the oldest (`state/records.rs`); a person
//! may remove any of it at any time: the next line starts it anew.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::logfmt::{BadLine, Builder, Line, Pairs};
use super::vm_state::VmReport;
use super::xml::{decimal, time};
use crate::domain::decision::Direction;
use crate::domain::vm::{VmId, VmState};
use crate::units::Share;

/// A line of the history.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// What a VM reported.
    Vm {
        /// When it reported.
        at: Timestamp,
        /// Which VM.
        vm: VmId,
        /// Where it was in its life.
        state: VmState,
        /// The name of its instance type.
        instance_type: String,
        /// Share of its own vCPUs in use over the report period.
        cpu: Share,
        /// Resident memory, in bytes.
        memory_bytes: u64,
        /// Requests being worked on.
        in_flight: u32,
        /// Requests that waited.
        queued: u32,
        /// Requests answered since it started.
        requests: u64,
        /// Those of them answered with a 5xx status.
        failures: u64,
        /// CPU credits left; none for a type that does not have them.
        cpu_credits: Option<f64>,
        /// CPU credits spent beyond those; none for a type that does not have them.
        surplus_credits: Option<f64>,
    },
    /// What the autoscaler decided, and what it saw.
    Decision {
        /// When it decided.
        at: Timestamp,
        /// VMs there were, in any state.
        fleet: u32,
        /// Those of them that served.
        running: u32,
        /// Those of them that booted.
        booting: u32,
        /// Those of them that drained.
        draining: u32,
        /// VMs wanted from now on.
        desired: u32,
        /// CPU seconds of work that arrived per second; none without a balancer to say so.
        offered_load: Option<f64>,
        /// Seconds of work of one vCPU that waited; none without a balancer to say so.
        queue_seconds: Option<f64>,
        /// Which way it went.
        action: Direction,
        /// Why.
        reason: String,
        /// What else it was decided from.
        seen: Seen,
    },
}

/// What a decision was made from, beside what every line of one says. None is not known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// The policy in force.
    pub policy: Option<String>,
    /// Mean CPU share of the VMs that served.
    pub cpu: Option<f64>,
    /// vCPUs in use.
    pub busy: Option<f64>,
    /// Requests worked on or waiting.
    pub in_flight: Option<f64>,
    /// Those of them that waited.
    pub queued: Option<f64>,
    /// Requests that arrived per second.
    pub rate: Option<f64>,
    /// VMs that the policy asked for before its patience and the bounds had their say.
    pub advice: Option<u32>,
    /// Milliseconds from the report of the VM that it was decided upon to the written decision; none
    /// for one that the clock asked for.
    pub reaction_ms: Option<f64>,
}

impl Seen {
    fn from_pairs(pairs: &Pairs) -> Result<Self, BadLine> {
        Ok(Self {
            policy: pairs.optional("policy")?,
            cpu: pairs.optional("cpu")?,
            busy: pairs.optional("busy")?,
            in_flight: pairs.optional("in_flight")?,
            queued: pairs.optional("queued")?,
            rate: pairs.optional("rate")?,
            advice: pairs.optional("advice")?,
            reaction_ms: pairs.optional("reaction_ms")?,
        })
    }

    fn add_to(&self, line: Builder) -> Builder {
        line.known("policy", self.policy.as_ref())
            .known("cpu", self.cpu.map(decimal))
            .known("busy", self.busy.map(decimal))
            .known("in_flight", self.in_flight.map(decimal))
            .known("queued", self.queued.map(decimal))
            .known("rate", self.rate.map(decimal))
            .known("advice", self.advice)
            .known("reaction_ms", self.reaction_ms.map(decimal))
    }
}

impl From<&VmReport> for Sample {
    fn from(report: &VmReport) -> Self {
        Self::Vm {
            at: report.reported_at,
            vm: report.id.clone(),
            state: report.state,
            instance_type: report.instance_type.clone(),
            cpu: report.load.cpu,
            memory_bytes: report.load.memory_bytes,
            in_flight: report.load.in_flight,
            queued: report.load.queued,
            requests: report.served.requests,
            failures: report.served.failures,
            cpu_credits: report.load.cpu_credits,
            surplus_credits: report.load.surplus_credits,
        }
    }
}

impl Line for Sample {
    const FILE: &'static str = "samples.txt";
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self {
            Self::Vm {
                at,
                vm,
                state,
                instance_type,
                cpu,
                memory_bytes,
                in_flight,
                queued,
                requests,
                failures,
                cpu_credits,
                surplus_credits,
            } => Builder::default()
                .pair("at", time(*at))
                .pair("vm", vm)
                .pair("state", state)
                .pair("type", instance_type)
                .pair("cpu", decimal(cpu.get()))
                .pair("memory_bytes", memory_bytes)
                .pair("in_flight", in_flight)
                .pair("queued", queued)
                .pair("requests", requests)
                .pair("failures", failures)
                .known("cpu_credits", cpu_credits.map(decimal))
                .known("surplus_credits", surplus_credits.map(decimal)),
            Self::Decision {
                at,
                fleet,
                running,
                booting,
                draining,
                desired,
                offered_load,
                queue_seconds,
                action,
                reason,
                seen,
            } => seen.add_to(
                Builder::default()
                    .pair("at", time(*at))
                    .pair("fleet", fleet)
                    .pair("running", running)
                    .pair("booting", booting)
                    .pair("draining", draining)
                    .pair("desired", desired)
                    .known("offered_load", offered_load.map(decimal))
                    .known("queue_seconds", queue_seconds.map(decimal))
                    .pair("action", action)
                    .pair("reason", reason),
            ),
        };
        line.fmt(f)
    }
}

impl FromStr for Sample {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let pairs = Pairs::parse(line)?;
        let at = pairs.required("at")?;
        if pairs.0.iter().any(|(key, _)| key == "fleet") {
            return Ok(Self::Decision {
                at,
                fleet: pairs.required("fleet")?,
                running: pairs.required("running")?,
                booting: pairs.required("booting")?,
                draining: pairs.required("draining")?,
                desired: pairs.required("desired")?,
                offered_load: pairs.optional("offered_load")?,
                queue_seconds: pairs.optional("queue_seconds")?,
                action: pairs.required("action")?,
                reason: pairs.required("reason")?,
                seen: Seen::from_pairs(&pairs)?,
            });
        }
        Ok(Self::Vm {
            at,
            vm: pairs.required("vm")?,
            state: pairs.required("state")?,
            instance_type: pairs.required("type")?,
            cpu: pairs.required("cpu")?,
            memory_bytes: pairs.required("memory_bytes")?,
            in_flight: pairs.required("in_flight")?,
            queued: pairs.required("queued")?,
            requests: pairs.required("requests")?,
            failures: pairs.required("failures")?,
            cpu_credits: pairs.optional("cpu_credits")?,
            surplus_credits: pairs.optional("surplus_credits")?,
        })
    }
}
