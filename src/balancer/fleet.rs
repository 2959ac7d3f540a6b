//! The VMs there are, which of them may be chosen, and the requests that wait for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::lease::{Lease, Visits};
use super::queue::{NoVm, Place};
use super::target::{Tally, Target};
use super::totals::Totals;
use crate::domain::balancing::{self, Candidate, Policy, Reason, Standing};
use crate::domain::cost::Work;
use crate::domain::decision::Action;
use crate::domain::health::{Cause, Change, Event, Phase};
use crate::domain::instance_type::InstanceType;
use crate::domain::vm::VmState;
use crate::state::as_state::AsStateFile;
use crate::state::vm_state::{VmReport, VmStateFile};

/// For so long after its ejection a VM that nobody said would be replaced is waited for.
const HOPE: Duration = Duration::from_secs(5);
/// How often a request that waits asks again, in case that only time has changed something.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the fleet is to know of the settings.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// How a VM is chosen.
    pub(super) policy: Policy,
    /// The period of the VMs' reports.
    pub(super) report_period: Duration,
    /// How many requests may wait.
    pub(super) queue_length: u64,
    /// How long a request may wait.
    pub(super) queue_deadline: Duration,
    /// The instance types, for the speed of a VM.
    pub(super) types: BTreeMap<String, InstanceType>,
    /// Cores of this machine: the vCPUs of a VM without limit.
    pub(super) cores: u32,
}

/// Who is told that a VM went out of rotation or came back.
type Listener = dyn Fn(&Target, Change) + Send + Sync;

/// All VMs that the files tell of.
pub(super) struct Fleet {
    rules: Rules,
    born: Instant,
    inner: Mutex<Inner>,
    /// Counts the changes that may let a waiting request go on.
    changed: watch::Sender<u64>,
    /// Wakes the prober.
    pub(super) probe_wanted: Notify,
    heard: Box<Listener>,
}

#[derive(Default)]
struct Inner {
    targets: Vec<Arc<Target>>,
    vm_state: Arc<VmStateFile>,
    as_state: Arc<AsStateFile>,
    choices: u64,
    totals: Totals,
}

/// A VM for a request.
pub(super) struct Assignment {
    /// The right to use it, given back when dropped.
    pub(super) lease: Lease,
    /// Why this one.
    pub(super) reason: Reason,
}

impl Fleet {
    /// A fleet of nobody. `heard` is told of every VM that goes out of rotation or comes back.
    pub(super) fn new(
        rules: Rules,
        heard: impl Fn(&Target, Change) + Send + Sync + 'static,
    ) -> Self {
        Self {
            rules,
            born: Instant::now(),
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
            probe_wanted: Notify::new(),
            heard: Box::new(heard),
        }
    }

    /// How a VM is chosen.
    pub(super) fn policy(&self) -> Policy {
        self.rules.policy
    }

    /// All VMs, in the order of the file.
    pub(super) fn targets(&self) -> Vec<Arc<Target>> {
        self.inner().targets.clone()
    }

    /// What the files said last.
    pub(super) fn files(&self) -> (Arc<VmStateFile>, Arc<AsStateFile>) {
        let inner = self.inner();
        (inner.vm_state.clone(), inner.as_state.clone())
    }

    /// Counts something.
    pub(super) fn count<R>(&self, change: impl FnOnce(&mut Totals) -> R) -> R {
        change(&mut self.inner().totals)
    }

    /// Takes in what the files say now. A file that is missing says nothing new.
    pub(super) fn update(
        &self,
        vm_state: Option<Arc<VmStateFile>>,
        as_state: Option<Arc<AsStateFile>>,
        now: Instant,
    ) {
        let mut inner = self.inner();
        inner.vm_state = vm_state.unwrap_or_else(|| inner.vm_state.clone());
        inner.as_state = as_state.unwrap_or_else(|| inner.as_state.clone());
        let (reports, orders) = (inner.vm_state.clone(), inner.as_state.clone());
        let before = std::mem::take(&mut inner.targets);
        for report in &reports.vms {
            let known = before.iter().find(|target| target.id == report.id);
            let target = match known {
                Some(target) if target.pid == report.pid && target.address == report.address => {
                    target.clone()
                }
                _ => Arc::new(self.new_life(report, known, now)),
            };
            target.state().barred = barred(report, &orders);
            self.hear_report(&target, report, now);
            inner.targets.push(target);
        }
        for gone in before.iter().filter(|old| !inner.targets.iter().any(|t| Arc::ptr_eq(t, old))) {
            gone.retire();
        }
        drop(inner);
        self.wake();
    }

    fn new_life(&self, report: &VmReport, before: Option<&Arc<Target>>, now: Instant) -> Target {
        let tally = before.map_or_else(Tally::default, |old| old.state().tally.clone());
        let known = self.rules.types.get(&report.instance_type);
        let speed = known.map_or(1, |known| known.threads(self.rules.cores));
        Target::new(
            report.id.clone(),
            report.pid,
            report.address.clone(),
            f64::from(speed),
            (report.reported_at, now),
            tally,
        )
    }

    fn hear_report(&self, target: &Target, report: &VmReport, now: Instant) {
        let mut state = target.state();
        if state.report.0 == report.reported_at {
            return;
        }
        state.report = (report.reported_at, now);
        drop(state);
        self.tell(target, Event::Reported, now);
    }

    /// Looks for VMs whose reports are late: three periods without a new one, by this process's
    /// own clock. A report that was read is as old as the reading of it.
    pub(super) fn check_reports(&self, now: Instant) {
        let late = self.rules.report_period * 3;
        for target in self.targets() {
            let age = now.saturating_duration_since(target.state().report.1);
            if age > late {
                self.tell(&target, Event::ReportsLate, now);
            }
        }
    }

    /// Takes in what happened to a VM.
    pub(super) fn tell(&self, target: &Target, event: Event, now: Instant) {
        let mut state = target.state();
        let before = state.health.phase();
        let change = state.health.on(event, now.saturating_duration_since(self.born));
        let after = state.health.phase();
        match change {
            Some(Change::Ejected(cause)) => {
                state.out_since = Some(now);
                state.tally.ejections += 1;
                target.drop_idle();
                if cause == Cause::Hangs {
                    std::mem::take(&mut state.hung).cancel();
                }
            }
            Some(Change::Readmitted) => state.out_since = None,
            None if event == Event::ReusedClosed => target.drop_idle(),
            None => {}
        }
        let is_due = state.health.next_probe().is_some();
        let in_service = state.barred.is_none();
        drop(state);
        if let Some(change) = change.filter(|_| in_service) {
            (self.heard)(target, change);
        }
        if before != after {
            self.wake();
        }
        if is_due {
            self.probe_wanted.notify_one();
        }
    }

    /// The VMs whose probe is due, marked as being probed, and when to look again.
    pub(super) fn take_due_probes(&self, now: Instant) -> (Vec<Arc<Target>>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for target in self.targets() {
            let mut state = target.state();
            // One that boots or drains gets no requests, so its health decides nothing.
            let Some(at) = state.health.next_probe().filter(|_| state.barred.is_none()) else {
                continue;
            };
            let at = self.born + at;
            if at <= now {
                state.health.probing();
                drop(state);
                due.push(target);
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        (due, next)
    }

    /// Whether at least one VM may get a request.
    pub(super) fn is_ready(&self) -> bool {
        self.inner().targets.iter().any(|target| target.state().standing() != Standing::Out)
    }

    /// A VM for a request of so much `work`, at once or not at all.
    pub(super) fn assign(
        self: &Arc<Self>,
        visits: &Visits,
        work: Work,
        now: Instant,
    ) -> Result<Assignment, NoVm> {
        let mut inner = self.inner();
        let targets: Vec<&Arc<Target>> =
            inner.targets.iter().filter(|target| !visits.declined(target)).collect();
        let candidates: Vec<Candidate<'_>> =
            targets.iter().map(|target| candidate(target, visits)).collect();
        let Some(choice) = balancing::choose(self.rules.policy, &candidates, work) else {
            return Err(inner.who_comes(visits, now));
        };
        let Some(target) = targets.get(choice.index).map(|target| Arc::clone(target)) else {
            return Err(NoVm::AtAll("the chosen VM is gone".to_owned()));
        };
        inner.choices += 1;
        let lease = Lease::new(self.clone(), target, work, inner.choices);
        Ok(Assignment { lease, reason: choice.reason })
    }

    /// A VM for a request of so much `work`; waits for one that comes, if none is there.
    pub(super) async fn wait_for(
        self: &Arc<Self>,
        visits: &Visits,
        work: Work,
    ) -> Result<Assignment, NoVm> {
        let mut changed = self.changed.subscribe();
        let began = Instant::now();
        let mut place = None;
        loop {
            changed.borrow_and_update();
            let now = Instant::now();
            match self.assign(visits, work, now) {
                Err(NoVm::YetTo(_)) => {}
                outcome => return outcome,
            }
            let waited = now.saturating_duration_since(began);
            if waited >= self.rules.queue_deadline {
                return Err(NoVm::WaitedTooLong(waited));
            }
            if place.is_none() {
                place = Some(Place::take(self.clone(), self.rules.queue_length, work)?);
            }
            let patience = ASK_AGAIN.min(self.rules.queue_deadline.saturating_sub(waited));
            // Time out or change, the answer is to ask again.
            let _ = tokio::time::timeout(patience, changed.changed()).await;
        }
    }

    fn wake(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What there is to hope for when nobody can be chosen.
    fn who_comes(&self, visits: &Visits, now: Instant) -> NoVm {
        let ordered = |action| {
            let orders = self.as_state.vms.iter();
            orders.filter(move |order| order.action == action)
        };
        let target = |id| self.targets.iter().find(|target| &target.id == id);
        let declined = |id| target(id).is_some_and(|target| visits.declined(target));
        for report in &self.vm_state.vms {
            let order = self.as_state.order(&report.id).map(|order| order.action);
            if report.state == VmState::Booting && order != Some(Action::Delete) {
                return NoVm::YetTo(format!("{} boots", report.id));
            }
        }
        if let Some(order) = ordered(Action::Add).find(|order| !declined(&order.id)) {
            return NoVm::YetTo(format!("{} is to be launched", order.id));
        }
        if let Some(order) = ordered(Action::Keep).find(|order| !declined(&order.id)) {
            return NoVm::YetTo(format!("{} is to be kept, so it will be replaced", order.id));
        }
        let ejected = self.targets.iter().find(|target| {
            let state = target.state();
            let recent = |since| now.saturating_duration_since(since) < HOPE;
            state.barred.is_none()
                && matches!(state.health.phase(), Phase::Out(_))
                && state.out_since.is_some_and(recent)
        });
        match ejected {
            Some(target) => NoVm::YetTo(format!("{} was ejected just now", target.id)),
            None => NoVm::AtAll("no VM runs that could take it, and none is coming".to_owned()),
        }
    }
}

/// What the files say against sending requests to a VM.
fn barred(report: &VmReport, orders: &AsStateFile) -> Option<String> {
    match orders.order(&report.id) {
        Some(order) if order.action == Action::Delete => Some(match &order.reason {
            Some(reason) => format!("to be deleted: {reason}"),
            None => "to be deleted".to_owned(),
        }),
        _ if report.state != VmState::Running => Some(report.state.to_string()),
        _ => None,
    }
}

fn candidate<'a>(target: &'a Target, visits: &Visits) -> Candidate<'a> {
    let state = target.state();
    Candidate {
        id: &target.id,
        standing: state.standing(),
        tried: visits.tried(target),
        in_flight: state.in_flight,
        outstanding: state.outstanding,
        speed: target.speed * state.pace.factor(),
        last_chosen: state.last_chosen,
    }
}
