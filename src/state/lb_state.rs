//! LBState.xml: what the balancer sees, replaced every second.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::cost::Kind;
use crate::domain::vm::VmId;
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem, decimal, time};

/// How many of the last choices are in the file.
pub const CHOICES_KEPT: usize = 20;

/// LBState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LbStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// When the balancer wrote it.
    pub reported_at: Option<Timestamp>,
    /// Where it takes requests, `host:port`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// The policy by which it chooses.
    pub policy: String,
    /// How long the balancer's own threads waited for a core before each turn, on average over the
    /// last second, in milliseconds.
    pub scheduling_delay_ms: f64,
    /// Over all VMs, and what no VM had yet.
    pub totals: LbTotals,
    /// How well each workload's cost was foretold lately; a workload that was not asked for is
    /// not there.
    pub predictions: Vec<LbPrediction>,
    /// One element per VM it knows.
    pub vms: Vec<LbTarget>,
    /// The last choices of a VM, oldest first, at most [`CHOICES_KEPT`].
    pub choices: Vec<LbChoice>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// The balancer's sums since it started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LbTotals {
    /// Requests taken.
    pub requests: u64,
    /// Requests being worked on.
    pub in_flight: u64,
    /// Requests that wait for a VM.
    pub queued: u64,
    /// Predicted work of those that wait, in seconds of one vCPU.
    pub queue_seconds: f64,
    /// Requests answered with a 5xx status.
    pub failures: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that were sent to a function because no VM could take them in time.
    pub overflowed: u64,
    /// Requests per second over the last ten seconds.
    pub rate: f64,
    /// Predicted CPU seconds that arrive per second, over the last ten seconds: the number of
    /// vCPUs that would be exactly busy.
    pub offered_load: f64,
}

/// How well the cost of a workload was foretold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbPrediction {
    /// The workload.
    pub workload: Kind,
    /// Answers that a prediction was compared with.
    pub requests: u64,
    /// Mean absolute error over about the last 50 of them, as a share of the actual CPU time.
    pub error: f64,
}

/// The balancer's view of one VM.
#[derive(Debug, Clone, PartialEq)]
pub struct LbTarget {
    /// The VM.
    pub id: VmId,
    /// Whether it gets new requests.
    pub in_rotation: bool,
    /// Why it is in rotation, or why not.
    pub reason: String,
    /// Requests sent and not answered yet.
    pub in_flight: u32,
    /// Predicted work of those, in seconds of one vCPU.
    pub outstanding_seconds: f64,
    /// Requests answered.
    pub served: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Requests that failed here and were sent elsewhere.
    pub retries: u64,
    /// Median time to answer over the last minute or more, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of the same.
    pub p95_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
    /// How often it was ejected.
    pub ejections: u64,
    /// What it can take.
    pub capacity: LbCapacity,
}

/// What a VM can take, as the balancer sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbCapacity {
    /// How many requests it may have at once; none is any number.
    pub cap: Option<u32>,
    /// How many vCPUs' worth of work it does in a second.
    pub speed: f64,
    /// What part of its share it gets: less than 1 while it warms up.
    pub weight: f64,
    /// Requests there that are not this balancer's, as far as it can tell.
    pub foreign: f64,
}

impl Default for LbCapacity {
    fn default() -> Self {
        Self { cap: None, speed: 1.0, weight: 1.0, foreign: 0.0 }
    }
}

/// Why a request went to a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct LbChoice {
    /// When it was sent there.
    pub at: Timestamp,
    /// The request.
    pub request: String,
    /// Which attempt at it.
    pub attempt: u32,
    /// What it asked for.
    pub workload: String,
    /// The predicted work, in seconds of one vCPU.
    pub work_seconds: f64,
    /// How long it had waited for a VM, in milliseconds.
    pub waited_ms: f64,
    /// The VM.
    pub vm: VmId,
    /// The policy, how the VM stood, and the alternatives.
    pub reason: String,
}

impl Document for LbStateFile {
    const FILE: &'static str = "LBState.xml";
    const ROOT: &'static str = "LBState";

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
            reported_at: fields.time("reportedAt")?,
            address: fields.text("address").unwrap_or_default(),
            pid: fields.whole("pid")?.unwrap_or(0),
            policy: fields.text("policy").unwrap_or_default(),
            scheduling_delay_ms: fields.decimal("schedulingDelayMs")?.unwrap_or(0.0),
            ..Self::default()
        };
        let mut ids = HashSet::new();
        let mut totals = None;
        let mut parts = Vec::new();
        file.foreign = fields.foreign(|child| {
            match child.name.as_str() {
                "Totals" => {
                    let (read, foreign) = read_totals(child)?;
                    if totals.replace(read).is_some() {
                        return Err(Problem::new(child.at, "a second <Totals> in <LBState>"));
                    }
                    parts.push(("Totals".to_owned(), foreign));
                }
                "Prediction" => {
                    let (prediction, foreign) = read_prediction(child)?;
                    if file.predictions.iter().any(|p| p.workload == prediction.workload) {
                        let word = prediction.workload.as_str();
                        let message = format!("a second <Prediction> for the workload `{word}`");
                        return Err(Problem::new(child.at, message));
                    }
                    parts.push((prediction_part(prediction.workload), foreign));
                    file.predictions.push(prediction);
                }
                "VM" => {
                    let (target, foreign) = read_target(child)?;
                    if !ids.insert(target.id.clone()) {
                        return Err(document::twice(child, &target.id));
                    }
                    parts.push((part_of(&target.id), foreign));
                    file.vms.push(target);
                }
                "Choice" => {
                    let (choice, foreign) = read_choice(child)?;
                    parts.push((part_of_choice(&choice), foreign));
                    file.choices.push(choice);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        for (name, part) in parts {
            file.foreign.keep_part(name, part);
        }
        file.totals = totals.unwrap_or_default();
        Ok(file)
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self)
            .with_some("reportedAt", self.reported_at.map(time))
            .with("address", &self.address)
            .with("pid", self.pid)
            .with("policy", &self.policy)
            .with("schedulingDelayMs", decimal(self.scheduling_delay_ms));
        root.push(self.foreign.restore("Totals", self.totals.to_element()));
        for prediction in &self.predictions {
            let part = prediction_part(prediction.workload);
            root.push(self.foreign.restore(&part, prediction.to_element()));
        }
        for target in &self.vms {
            root.push(self.foreign.restore(&part_of(&target.id), target.to_element()));
        }
        for choice in &self.choices {
            root.push(self.foreign.restore(&part_of_choice(choice), choice.to_element()));
        }
        root.with_foreign(&self.foreign)
    }
}

impl LbTotals {
    fn to_element(self) -> Element {
        Element::new("Totals")
            .with("requests", self.requests)
            .with("inFlight", self.in_flight)
            .with("queued", self.queued)
            .with("queueSeconds", decimal(self.queue_seconds))
            .with("failures", self.failures)
            .with("retries", self.retries)
            .with_some("overflowed", Some(self.overflowed).filter(|number| *number > 0))
            .with("rate", decimal(self.rate))
            .with("offeredLoad", decimal(self.offered_load))
    }
}

impl LbPrediction {
    fn to_element(self) -> Element {
        Element::new("Prediction")
            .with("workload", self.workload.as_str())
            .with("requests", self.requests)
            .with("error", decimal(self.error))
    }
}

impl LbTarget {
    fn to_element(&self) -> Element {
        Element::new("VM")
            .with("id", &self.id)
            .with("inRotation", self.in_rotation)
            .with("reason", &self.reason)
            .with("inFlight", self.in_flight)
            .with("outstandingSeconds", decimal(self.outstanding_seconds))
            .with("served", self.served)
            .with("failures", self.failures)
            .with("retries", self.retries)
            .with("p50Ms", decimal(self.p50_ms))
            .with("p95Ms", decimal(self.p95_ms))
            .with("p99Ms", decimal(self.p99_ms))
            .with("ejections", self.ejections)
            .with_some("cap", self.capacity.cap)
            .with("speed", decimal(self.capacity.speed))
            .with("weight", decimal(self.capacity.weight))
            .with("foreign", decimal(self.capacity.foreign))
    }
}

impl LbChoice {
    fn to_element(&self) -> Element {
        Element::new("Choice")
            .with("at", time(self.at))
            .with("request", &self.request)
            .with("attempt", self.attempt)
            .with("workload", &self.workload)
            .with("workSeconds", decimal(self.work_seconds))
            .with("waitedMs", decimal(self.waited_ms))
            .with("vm", &self.vm)
            .with("reason", &self.reason)
    }
}

/// Reads `<Totals>`, and what is unknown in it.
fn read_totals(element: &Element) -> Result<(LbTotals, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let totals = LbTotals {
        requests: fields.whole("requests")?.unwrap_or(0),
        in_flight: fields.whole("inFlight")?.unwrap_or(0),
        queued: fields.whole("queued")?.unwrap_or(0),
        queue_seconds: fields.decimal("queueSeconds")?.unwrap_or(0.0),
        failures: fields.whole("failures")?.unwrap_or(0),
        retries: fields.whole("retries")?.unwrap_or(0),
        overflowed: fields.whole("overflowed")?.unwrap_or(0),
        rate: fields.decimal("rate")?.unwrap_or(0.0),
        offered_load: fields.decimal("offeredLoad")?.unwrap_or(0.0),
    };
    Ok((totals, fields.foreign(|_| Ok(false))?))
}

/// Reads `<Prediction>`, and what is unknown in it.
fn read_prediction(element: &Element) -> Result<(LbPrediction, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let workload = fields.word("workload")?;
    let prediction = LbPrediction {
        workload: fields.required("workload", workload)?,
        requests: fields.whole("requests")?.unwrap_or(0),
        error: fields.decimal("error")?.unwrap_or(0.0),
    };
    Ok((prediction, fields.foreign(|_| Ok(false))?))
}

/// What tells one `<Prediction>` from another.
fn prediction_part(workload: Kind) -> String {
    format!("Prediction {}", workload.as_str())
}

/// Reads `<VM>`, and what is unknown in it.
fn read_target(element: &Element) -> Result<(LbTarget, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let id = fields.word("id")?;
    let in_rotation = fields.truth("inRotation")?;
    let target = LbTarget {
        id: fields.required("id", id)?,
        in_rotation: fields.required("inRotation", in_rotation)?,
        reason: fields.text("reason").unwrap_or_default(),
        in_flight: fields.whole("inFlight")?.unwrap_or(0),
        outstanding_seconds: fields.decimal("outstandingSeconds")?.unwrap_or(0.0),
        served: fields.whole("served")?.unwrap_or(0),
        failures: fields.whole("failures")?.unwrap_or(0),
        retries: fields.whole("retries")?.unwrap_or(0),
        p50_ms: fields.decimal("p50Ms")?.unwrap_or(0.0),
        p95_ms: fields.decimal("p95Ms")?.unwrap_or(0.0),
        p99_ms: fields.decimal("p99Ms")?.unwrap_or(0.0),
        ejections: fields.whole("ejections")?.unwrap_or(0),
        capacity: LbCapacity {
            cap: fields.whole("cap")?,
            speed: fields.decimal("speed")?.unwrap_or(1.0),
            weight: fields.decimal("weight")?.unwrap_or(1.0),
            foreign: fields.decimal("foreign")?.unwrap_or(0.0),
        },
    };
    Ok((target, fields.foreign(|_| Ok(false))?))
}

/// Reads `<Choice>`, and what is unknown in it.
fn read_choice(element: &Element) -> Result<(LbChoice, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let at = fields.time("at")?;
    let vm = fields.word("vm")?;
    let choice = LbChoice {
        at: fields.required("at", at)?,
        vm: fields.required("vm", vm)?,
        request: fields.text("request").unwrap_or_default(),
        attempt: fields.whole("attempt")?.unwrap_or(1),
        workload: fields.text("workload").unwrap_or_default(),
        work_seconds: fields.decimal("workSeconds")?.unwrap_or(0.0),
        waited_ms: fields.decimal("waitedMs")?.unwrap_or(0.0),
        reason: fields.text("reason").unwrap_or_default(),
    };
    Ok((choice, fields.foreign(|_| Ok(false))?))
}

/// What tells one `<Choice>` from another.
fn part_of_choice(choice: &LbChoice) -> String {
    format!("Choice {} {} {}", time(choice.at), choice.request, choice.attempt)
}

/// What tells one `<VM>` from another.
fn part_of(id: &VmId) -> String {
    format!("VM {id}")
}
