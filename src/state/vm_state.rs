//! VMState.xml: what is. Each VM replaces its own element, never anybody else's.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::load::{Load, Served};
use crate::domain::vm::{VmId, VmState};
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem, decimal, milliseconds, time};

/// VMState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VmStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// The VMs, in the order of the file.
    pub vms: Vec<VmReport>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// One VM's word on itself.
#[derive(Debug, Clone, PartialEq)]
pub struct VmReport {
    /// Its id.
    pub id: VmId,
    /// Where it is in its life.
    pub state: VmState,
    /// Where its webserver listens, `host:port`.
    pub address: String,
    /// Its socket, a path from the state folder: the same webserver for those on this machine, at
    /// less cost. None if it offers none.
    pub socket: Option<String>,
    /// Its process.
    pub pid: u32,
    /// The name of its instance type.
    pub instance_type: String,
    /// When its process started.
    pub launched_at: Timestamp,
    /// When it became `running`; none while it boots.
    pub running_since: Option<Timestamp>,
    /// When it wrote this. For people: readers judge age by their own clock since they last saw
    /// the report change.
    pub reported_at: Timestamp,
    /// It has booted, or will have, and is held back until it is wanted: its state stays
    /// `booting` and it gets no requests.
    pub warm: bool,
    /// How busy it is.
    pub load: Load,
    /// What it has done.
    pub served: Served,
    /// Attributes and elements that this version does not know, kept.
    pub foreign: Foreign,
}

impl VmStateFile {
    /// The report of the VM with this id.
    pub fn vm(&self, id: &VmId) -> Option<&VmReport> {
        self.vms.iter().find(|vm| &vm.id == id)
    }
}

impl Document for VmStateFile {
    const FILE: &'static str = "VMState.xml";
    const ROOT: &'static str = "VMState";

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn from_element(root: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(root);
        let seq = document::seq(&mut fields)?;
        let mut vms = Vec::new();
        let mut ids = HashSet::new();
        let foreign = fields.foreign(|child| {
            if child.name != "VM" {
                return Ok(false);
            }
            let vm = VmReport::from_element(child)?;
            if !ids.insert(vm.id.clone()) {
                return Err(document::twice(child, &vm.id));
            }
            vms.push(vm);
            Ok(true)
        })?;
        Ok(Self { seq, vms, foreign })
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self);
        self.vms.iter().for_each(|vm| root.push(vm.to_element()));
        root.with_foreign(&self.foreign)
    }
}

impl VmReport {
    fn from_element(element: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(element);
        let id = fields.word("id")?;
        let state = fields.word("state")?;
        let address = fields.text("address");
        let socket = fields.text("socket");
        let pid = fields.whole("pid")?;
        let instance_type = fields.text("instanceType");
        let launched_at = fields.time("launchedAt")?;
        let running_since = fields.time("runningSince")?;
        let reported_at = fields.time("reportedAt")?;
        let warm = fields.truth("warm")?.unwrap_or(false);
        let mut vm = Self {
            id: fields.required("id", id)?,
            state: fields.required("state", state)?,
            address: fields.required("address", address)?,
            socket,
            pid: fields.required("pid", pid)?,
            instance_type: fields.required("instanceType", instance_type)?,
            launched_at: fields.required("launchedAt", launched_at)?,
            running_since,
            reported_at: fields.required("reportedAt", reported_at)?,
            warm,
            load: Load::default(),
            served: Served::default(),
            foreign: Foreign::default(),
        };
        let mut parts: Vec<(String, Foreign)> = Vec::new();
        let mut foreign = fields.foreign(|child| {
            let part = match child.name.as_str() {
                "Load" | "Served" if parts.iter().any(|(name, _)| *name == child.name) => {
                    let message = format!("a second <{}> in the same <VM>", child.name);
                    return Err(Problem::new(child.at, message));
                }
                "Load" => read_load(child, &mut vm.load)?,
                "Served" => read_served(child, &mut vm.served)?,
                _ => return Ok(false),
            };
            parts.push((child.name.clone(), part));
            Ok(true)
        })?;
        for (name, part) in parts {
            foreign.keep_part(name, part);
        }
        vm.foreign = foreign;
        Ok(vm)
    }

    fn to_element(&self) -> Element {
        let mut vm = Element::new("VM")
            .with("id", &self.id)
            .with("state", self.state)
            .with("address", &self.address)
            .with("pid", self.pid)
            .with("instanceType", &self.instance_type)
            .with("launchedAt", time(self.launched_at))
            .with_some("runningSince", self.running_since.map(time))
            .with("reportedAt", time(self.reported_at))
            .with_some("warm", self.warm.then_some(true))
            .with_some("socket", self.socket.as_ref());
        let load = Element::new("Load")
            .with("cpu", decimal(self.load.cpu.get()))
            .with("memoryBytes", self.load.memory_bytes)
            .with("inFlight", self.load.in_flight)
            .with("queued", self.load.queued)
            .with_some("cpuCredits", self.load.cpu_credits.map(decimal))
            .with_some("surplusCredits", self.load.surplus_credits.map(decimal));
        let served = Element::new("Served")
            .with("requests", self.served.requests)
            .with("failures", self.served.failures)
            .with("cpuSeconds", milliseconds(self.served.cpu));
        vm.push(self.foreign.restore("Load", load));
        vm.push(self.foreign.restore("Served", served));
        vm.with_foreign(&self.foreign)
    }
}

/// Reads `<Load>` and gives back what is unknown in it. What it does not say is 0.
fn read_load(element: &Element, load: &mut Load) -> Result<Foreign, Problem> {
    let mut fields = Fields::of(element);
    load.cpu = fields.share("cpu")?.unwrap_or_default();
    load.memory_bytes = fields.whole("memoryBytes")?.unwrap_or(0);
    load.in_flight = fields.whole("inFlight")?.unwrap_or(0);
    load.queued = fields.whole("queued")?.unwrap_or(0);
    load.cpu_credits = fields.decimal("cpuCredits")?;
    load.surplus_credits = fields.decimal("surplusCredits")?;
    fields.foreign(|_| Ok(false))
}

/// Reads `<Served>` and gives back what is unknown in it. What it does not say is 0.
fn read_served(element: &Element, served: &mut Served) -> Result<Foreign, Problem> {
    let mut fields = Fields::of(element);
    served.requests = fields.whole("requests")?.unwrap_or(0);
    served.failures = fields.whole("failures")?.unwrap_or(0);
    served.cpu = fields.seconds("cpuSeconds")?.unwrap_or_default();
    fields.foreign(|_| Ok(false))
}
