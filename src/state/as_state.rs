//! ASState.xml: what should be. Written by the autoscaler, by an operator's command and by a
//! person's editor, with the same force; the others only read it.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::balancing::Policy;
use crate::domain::decision::{Action, Check, Decision};
use crate::domain::vm::VmId;
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem, decimal, time};
use crate::units::Share;

/// How many of the last decisions stay in the file.
pub const DECISIONS_KEPT: usize = 20;

/// ASState.xml.
///
/// The default is what a file says that says nothing: no VMs, no bounds, not paused.
#[derive(Debug, Clone, PartialEq)]
pub struct AsStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// When the autoscaler last wrote it; none before its first word.
    pub decided_at: Option<Timestamp>,
    /// The scaling policy in force; empty if the file does not say.
    pub policy: String,
    /// The policy's parameters, as somebody wrote them.
    pub parameters: Vec<(String, String)>,
    /// VMs wanted: those to keep and those to add. A file that does not say wants as many as it
    /// has elements for. Whoever changes it asks for that size: it then differs from `settled`.
    pub desired: u32,
    /// What `desired` was when the elements were last brought in line with it; none if the file
    /// does not say.
    pub settled: Option<u32>,
    /// The fewest that the autoscaler may want.
    pub minimum: u32,
    /// The most that the autoscaler may want; `u32::MAX`, which the file leaves out, is no limit.
    pub maximum: u32,
    /// The autoscaler leaves the size of the fleet alone.
    pub paused: bool,
    /// All VMs are to be replaced; none if not.
    pub refresh: Option<Refresh>,
    /// How the balancer is to choose VMs; none is as its settings say.
    pub balancing: Option<Policy>,
    /// The highest number given to a VM in this cluster's life, so that no id is given twice.
    pub last_vm: u64,
    /// What is wanted of each VM.
    pub vms: Vec<VmOrder>,
    /// The last decisions, oldest first, at most [`DECISIONS_KEPT`].
    pub decisions: Vec<Decision>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// A wish that every VM be replaced, some at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refresh {
    /// VMs launched before this are replaced.
    pub before: Timestamp,
    /// How much of the fleet is replaced at a time.
    pub share: Share,
}

impl Refresh {
    /// The share of the fleet where nobody says another.
    pub const SHARE: f64 = 0.25;
}

/// What should become of one VM.
#[derive(Debug, Clone, PartialEq)]
pub struct VmOrder {
    /// Its id.
    pub id: VmId,
    /// What should become of it.
    pub action: Action,
    /// The type it is to be launched as; none is the cluster's default.
    pub instance_type: Option<String>,
    /// The image it is to be launched from; none is the cluster's settings alone.
    pub image: Option<String>,
    /// No scale-in and no refresh takes it away.
    pub protected: bool,
    /// It is to boot and then wait until it is wanted: the warm pool.
    pub warm: bool,
    /// The VM that it takes the place of, as soon as it runs.
    pub replaces: Option<VmId>,
    /// Who wants it: `autoscaler`, `operator`, or whatever a person wrote.
    pub by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Attributes and elements that this version does not know, kept.
    pub foreign: Foreign,
}

impl AsStateFile {
    /// What is wanted of the VM with this id.
    pub fn order(&self, id: &VmId) -> Option<&VmOrder> {
        self.vms.iter().find(|vm| &vm.id == id)
    }

    /// VMs wanted: those to keep and those to add, without the warm pool and without those that
    /// are about to take another's place.
    pub fn wanted(&self) -> u32 {
        let wanted = self.vms.iter().filter(|vm| vm.counts()).count();
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    /// The size that somebody asked for by changing `desired`, until it has been obeyed.
    pub fn asked(&self) -> Option<u32> {
        self.settled.is_some_and(|settled| settled != self.desired).then_some(self.desired)
    }

    /// Says that as many VMs are desired as there are elements for.
    pub fn agree(&mut self) {
        self.desired = self.wanted();
        self.settled = Some(self.desired);
    }

    /// A new id that is not `taken`, never given before in this cluster's life. After 2³² of them
    /// numbers come again, from 1 on.
    pub fn next_vm_id(&mut self, taken: impl Fn(&VmId) -> bool) -> VmId {
        let highest = self.vms.iter().filter_map(|vm| vm.id.number()).max().unwrap_or(0);
        let mut number = self.last_vm.max(highest);
        loop {
            number = if number < u64::from(u32::MAX) { number + 1 } else { 1 };
            let id = VmId::numbered(number);
            if self.order(&id).is_none() && !taken(&id) {
                self.last_vm = number;
                return id;
            }
        }
    }
}

impl Default for AsStateFile {
    fn default() -> Self {
        Self {
            seq: 0,
            decided_at: None,
            policy: String::new(),
            parameters: Vec::new(),
            desired: 0,
            settled: None,
            minimum: 0,
            maximum: u32::MAX,
            paused: false,
            refresh: None,
            balancing: None,
            last_vm: 0,
            vms: Vec::new(),
            decisions: Vec::new(),
            foreign: Foreign::default(),
        }
    }
}

impl Document for AsStateFile {
    const FILE: &'static str = "ASState.xml";
    const ROOT: &'static str = "ASState";

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
            decided_at: fields.time("decidedAt")?,
            policy: fields.text("policy").unwrap_or_default(),
            ..Self::default()
        };
        let desired = fields.whole("desired")?;
        file.settled = fields.whole("settled")?;
        file.minimum = fields.whole("minimum")?.unwrap_or(file.minimum);
        file.maximum = fields.whole("maximum")?.unwrap_or(file.maximum);
        file.paused = fields.truth("paused")?.unwrap_or(false);
        let (before, share) = (fields.time("refresh")?, fields.share("refreshShare")?);
        let share = share.unwrap_or(Share::saturating(Refresh::SHARE));
        file.refresh = before.map(|before| Refresh { before, share });
        file.balancing = fields.word("balancing")?;
        file.last_vm = fields.whole("lastVm")?.unwrap_or(0);
        if file.minimum > file.maximum {
            let (minimum, maximum) = (file.minimum, file.maximum);
            let message = format!("minimum {minimum} of <ASState> is more than maximum {maximum}");
            return Err(Problem::new(root.at, message));
        }
        let mut ids = HashSet::new();
        let mut parts = Vec::new();
        let mut policies = 0;
        file.foreign = fields.foreign(|child| {
            match child.name.as_str() {
                "VM" => {
                    let order = VmOrder::from_element(child)?;
                    if !ids.insert(order.id.clone()) {
                        return Err(document::twice(child, &order.id));
                    }
                    file.vms.push(order);
                }
                "Policy" if policies > 0 => {
                    return Err(Problem::new(child.at, "a second <Policy> in <ASState>"));
                }
                "Policy" => {
                    policies += 1;
                    let mut foreign = Fields::of(child).foreign(|_| Ok(false))?;
                    file.parameters = std::mem::take(&mut foreign.attributes);
                    parts.push(("Policy".to_owned(), foreign));
                }
                "Decision" => {
                    let (decision, foreign) = read_decision(child)?;
                    parts.push((part_of(&decision), foreign));
                    file.decisions.push(decision);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        for (name, part) in parts {
            file.foreign.keep_part(name, part);
        }
        file.desired = desired.unwrap_or_else(|| file.wanted());
        Ok(file)
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self)
            .with_some("decidedAt", self.decided_at.map(time))
            .with("policy", &self.policy)
            .with("desired", self.desired)
            .with_some("settled", self.settled)
            .with("minimum", self.minimum)
            .with_some("maximum", Some(self.maximum).filter(|most| *most != u32::MAX))
            .with("paused", self.paused)
            .with_some("refresh", self.refresh.map(|refresh| time(refresh.before)))
            .with_some("refreshShare", self.refresh.map(|refresh| decimal(refresh.share.get())))
            .with_some("balancing", self.balancing)
            .with_some("lastVm", Some(self.last_vm).filter(|last| *last != 0));
        if !self.parameters.is_empty() {
            let policy = Element::new("Policy");
            let policy =
                self.parameters.iter().fold(policy, |made, (key, value)| made.with(key, value));
            root.push(self.foreign.restore("Policy", policy));
        }
        self.vms.iter().for_each(|vm| root.push(vm.to_element()));
        for decision in &self.decisions {
            let mut element = Element::new("Decision")
                .with("at", time(decision.at))
                .with("action", decision.action)
                .with("from", decision.from)
                .with("to", decision.to)
                .with("reason", &decision.reason);
            decision.checks.iter().for_each(|check| element.push(write_check(check)));
            root.push(self.foreign.restore(&part_of(decision), element));
        }
        root.with_foreign(&self.foreign)
    }
}

impl VmOrder {
    /// An order that says no more than it must.
    pub fn new(id: VmId, action: Action) -> Self {
        Self {
            id,
            action,
            instance_type: None,
            image: None,
            protected: false,
            warm: false,
            replaces: None,
            by: None,
            since: None,
            reason: None,
            foreign: Foreign::default(),
        }
    }

    /// Whether it counts among the VMs wanted: the fleet that the autoscaler sizes.
    pub fn counts(&self) -> bool {
        self.action != Action::Delete && !self.warm && self.replaces.is_none()
    }

    fn from_element(element: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(element);
        let id = fields.word("id")?;
        let action = fields.word("action")?;
        Ok(Self {
            id: fields.required("id", id)?,
            action: fields.required("action", action)?,
            instance_type: fields.text("instanceType"),
            image: fields.text("image"),
            protected: fields.truth("protected")?.unwrap_or(false),
            warm: fields.truth("warm")?.unwrap_or(false),
            replaces: fields.word("replaces")?,
            by: fields.text("by"),
            since: fields.time("since")?,
            reason: fields.text("reason"),
            foreign: fields.foreign(|_| Ok(false))?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new("VM")
            .with("id", &self.id)
            .with("action", self.action)
            .with_some("instanceType", self.instance_type.as_ref())
            .with_some("image", self.image.as_ref())
            .with_some("protected", self.protected.then_some(true))
            .with_some("warm", self.warm.then_some(true))
            .with_some("replaces", self.replaces.as_ref())
            .with_some("by", self.by.as_ref())
            .with_some("since", self.since.map(time))
            .with_some("reason", self.reason.as_ref())
            .with_foreign(&self.foreign)
    }
}

/// Reads `<Decision>`, and what is unknown in it.
fn read_decision(element: &Element) -> Result<(Decision, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let at = fields.time("at")?;
    let action = fields.word("action")?;
    let from = fields.whole("from")?;
    let to = fields.whole("to")?;
    let mut decision = Decision {
        at: fields.required("at", at)?,
        action: fields.required("action", action)?,
        from: fields.required("from", from)?,
        to: fields.required("to", to)?,
        reason: fields.text("reason").unwrap_or_default(),
        checks: Vec::new(),
    };
    let foreign = fields.foreign(|child| {
        let check = if child.name == "Check" { read_check(child)? } else { None };
        let known = check.is_some();
        decision.checks.extend(check);
        Ok(known)
    })?;
    Ok((decision, foreign))
}

/// Reads `<Check>`. One that has more to it than this version knows is none of ours: it is kept as
/// it stands.
fn read_check(element: &Element) -> Result<Option<Check>, Problem> {
    let mut fields = Fields::of(element);
    let (name, value) = (fields.text("name"), fields.number("value")?);
    let check = Check {
        name: fields.required("name", name)?,
        value: fields.required("value", value)?,
        limit: fields.number("limit")?,
        holds: fields.truth("holds")?,
    };
    Ok(fields.foreign(|_| Ok(false))?.is_empty().then_some(check))
}

fn write_check(check: &Check) -> Element {
    Element::new("Check")
        .with("name", &check.name)
        .with("value", decimal(check.value))
        .with_some("limit", check.limit.map(decimal))
        .with_some("holds", check.holds)
}

/// What tells one decision from another, as the file shows it.
fn part_of(decision: &Decision) -> String {
    let Decision { at, action, from, to, .. } = decision;
    format!("Decision {} {action} {from} {to}", time(*at))
}
