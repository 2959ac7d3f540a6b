//! The VMs there are, which of them may be chosen, and the requests that wait for one.

mod dispatch;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::target::{State, Tally, Target};
use super::totals::Totals;
use crate::domain::balancing::{Demand, Policy, Reason};
use crate::domain::cost::{Kind, Work};
use crate::domain::decision::Action;
use crate::domain::health::{Change, Event};
use crate::domain::hedging::Lateness;
use crate::domain::instance_type::InstanceType;
use crate::domain::retries::Budget;
use crate::domain::vm::VmState;
use crate::domain::waiting::Waiting;
use crate::state::as_state::AsStateFile;
use crate::state::lb_state::CHOICES_KEPT;
use crate::state::socket_name;
use crate::state::vm_state::{VmReport, VmStateFile};
pub(super) use dispatch::{Assignment, NoVm};

/// Of the requests that come so many may be repeated; see [`Budget`].
const RETRY_SHARE: f64 = 0.2;
/// And so many besides.
const RETRIES_PER_SECOND: f64 = 3.0;
/// Of the requests that come so many may have a second VM asked.
const HEDGE_SHARE: f64 = 0.02;
/// And so many besides: one in ten seconds.
const HEDGES_PER_SECOND: f64 = 0.1;

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
    /// How many requests a VM has at once for each of its vCPUs; 0 is any number.
    pub(super) requests_per_vcpu: u32,
    /// How long a VM that has just come, or come back, gets less than its share.
    pub(super) slow_start: Duration,
    /// The state folder, if VMs are reached through their sockets in it.
    pub(super) sockets_in: Option<PathBuf>,
}

/// Who is told that a VM went out of rotation or came back.
type Listener = dyn Fn(&Target, Change) + Send + Sync;

/// All VMs that the files tell of.
pub(super) struct Fleet {
    rules: Rules,
    born: Instant,
    inner: Mutex<Inner>,
    /// Wakes the prober.
    pub(super) probe_wanted: Notify,
    heard: Box<Listener>,
}

/// The requests that wait for a VM.
type Queue = Waiting<dispatch::Waiter>;

struct Inner {
    targets: Vec<Arc<Target>>,
    vm_state: Arc<VmStateFile>,
    as_state: Arc<AsStateFile>,
    /// Whether the files have been read before.
    knows: bool,
    /// How VMs are chosen now.
    policy: Policy,
    choices: u64,
    waiting: Queue,
    retries: Budget,
    hedges: Budget,
    /// How long VMs take by their predictions, by workload in the order of [`Kind::ALL`].
    lateness: [Lateness; Kind::ALL.len()],
    /// The last choices, oldest first.
    recent: VecDeque<Chosen>,
    totals: Totals,
}

/// One of the last choices.
#[derive(Clone)]
pub(super) struct Chosen {
    /// When.
    pub(super) at: Timestamp,
    /// The request.
    pub(super) request: HeaderValue,
    /// Which attempt at it.
    pub(super) attempt: u32,
    /// What it asked for.
    pub(super) kind: Kind,
    /// What that was predicted to cost.
    pub(super) work: Work,
    /// How long it had waited.
    pub(super) waited: Duration,
    /// Which VM, and why.
    pub(super) reason: Arc<Reason>,
}

impl Fleet {
    /// A fleet of nobody. `heard` is told of every VM that goes out of rotation or comes back.
    pub(super) fn new(
        rules: Rules,
        heard: impl Fn(&Target, Change) + Send + Sync + 'static,
    ) -> Self {
        let inner = Inner {
            targets: Vec::new(),
            vm_state: Arc::default(),
            as_state: Arc::default(),
            knows: false,
            policy: rules.policy,
            choices: 0,
            waiting: Waiting::new(rules.queue_length),
            retries: Budget::new(RETRY_SHARE, RETRIES_PER_SECOND),
            hedges: Budget::new(HEDGE_SHARE, HEDGES_PER_SECOND),
            lateness: Default::default(),
            recent: VecDeque::with_capacity(CHOICES_KEPT),
            totals: Totals::default(),
        };
        Self {
            rules,
            born: Instant::now(),
            inner: Mutex::new(inner),
            probe_wanted: Notify::new(),
            heard: Box::new(heard),
        }
    }

    /// How a VM is chosen.
    pub(super) fn policy(&self) -> Policy {
        self.inner().policy
    }

    /// How many requests wait, and their predicted work.
    pub(super) fn queue(&self) -> (u64, Work) {
        let inner = self.inner();
        (inner.waiting.len(), inner.waiting.work())
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

    /// A request of so much `work` has come; says how many wait before it.
    pub(super) fn arrived(&self, work: Work, now: Instant) -> u64 {
        let mut inner = self.inner();
        inner.totals.arrived(work, now);
        inner.totals.in_flight += 1;
        let age = self.age(now);
        inner.retries.pay_in(age);
        inner.hedges.pay_in(age);
        inner.waiting.len()
    }

    /// A VM took `time` for a request that made this `demand`.
    pub(super) fn took(&self, time: Duration, demand: Demand) {
        self.inner().lateness[demand.kind.index()].heard(time, demand.work);
    }

    /// After what time the answer to such a request is late.
    pub(super) fn late_after(&self, demand: Demand) -> Duration {
        self.inner().lateness[demand.kind.index()].late_after(demand.work)
    }

    /// Takes a repetition out of the budget, if there is one.
    pub(super) fn may_repeat(&self, now: Instant) -> bool {
        let age = self.age(now);
        self.inner().retries.take(age)
    }

    /// A request is sent to a VM.
    pub(super) fn chosen(&self, chosen: Chosen) {
        let mut inner = self.inner();
        inner.totals.retries += u64::from(chosen.attempt > 1);
        if inner.recent.len() == CHOICES_KEPT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(chosen);
    }

    /// The last choices, oldest first.
    pub(super) fn recent(&self) -> Vec<Chosen> {
        self.inner().recent.iter().cloned().collect()
    }

    /// Counts something.
    pub(super) fn count<R>(&self, change: impl FnOnce(&mut Totals) -> R) -> R {
        change(&mut self.inner().totals)
    }

    /// Takes in what the files say now. A file that is missing says nothing new.
    pub(super) fn update(
        self: &Arc<Self>,
        vm_state: Option<Arc<VmStateFile>>,
        as_state: Option<Arc<AsStateFile>>,
        now: Instant,
    ) {
        let mut inner = self.inner();
        inner.vm_state = vm_state.unwrap_or_else(|| inner.vm_state.clone());
        inner.as_state = as_state.unwrap_or_else(|| inner.as_state.clone());
        inner.policy = inner.as_state.balancing.unwrap_or(self.rules.policy);
        let (reports, orders) = (inner.vm_state.clone(), inner.as_state.clone());
        // VMs that were there before this balancer are warm.
        let warm = !std::mem::replace(&mut inner.knows, true);
        let before = std::mem::take(&mut inner.targets);
        let mut reported = Vec::new();
        for report in &reports.vms {
            let known = before.iter().find(|target| target.id == report.id);
            let target = match known {
                Some(target) if target.pid == report.pid && target.address == report.address => {
                    target.clone()
                }
                _ => {
                    let target = Arc::new(self.new_life(report, known, now));
                    tokio::spawn(watch::until_its_end(self.clone(), target.clone()));
                    target
                }
            };
            target.state().bar(barred(report, &orders), now, warm);
            if self.hear_report(&target, report, now) {
                reported.push(target.clone());
            }
            inner.targets.push(target);
        }
        for gone in before.iter().filter(|old| !inner.targets.iter().any(|t| Arc::ptr_eq(t, old))) {
            gone.retire();
        }
        drop(inner);
        for target in reported {
            self.tell(&target, Event::Reported, now);
        }
        self.dispatch(now);
    }

    fn new_life(&self, report: &VmReport, before: Option<&Arc<Target>>, now: Instant) -> Target {
        let tally = before.map_or_else(Tally::default, |old| old.state().tally.clone());
        let known = self.rules.types.get(&report.instance_type);
        let speed = known.map_or(1, |known| known.threads(self.rules.cores));
        let cap = known.and_then(|known| known.concurrency(self.rules.requests_per_vcpu));
        let own = socket_name(&report.id, report.pid);
        let offered = report.socket.as_ref().filter(|name| **name == own);
        let socket = self.rules.sockets_in.as_ref().zip(offered);
        let target = Target::new(
            report.id.clone(),
            report.pid,
            report.address.clone(),
            f64::from(speed),
            cap,
            now,
            tally,
        );
        target.with_socket(socket.map(|(folder, name)| folder.join(name)))
    }

    /// Takes in a report; says whether it is a new one.
    fn hear_report(&self, target: &Target, report: &VmReport, now: Instant) -> bool {
        let inside = report.load.in_flight.saturating_add(report.load.queued);
        let mut state = target.state();
        if state.report.0 == Some(report.reported_at) {
            return false;
        }
        state.report = (Some(report.reported_at), now);
        state.reported = inside;
        let rule = self.rules.types.get(&report.instance_type).and_then(InstanceType::credit_rule);
        state.throttled_to = rule.zip(report.load.cpu_credits).map(|(rule, left)| rule.speed(left));
        state.hear_load(inside, now, self.age(now));
        true
    }

    /// Whether at least one VM may get a request.
    pub(super) fn is_ready(&self) -> bool {
        self.inner().targets.iter().any(|target| target.state().standing().is_in_rotation())
    }

    /// What part of its share a VM in this state is to get.
    pub(super) fn weight(&self, state: &State, now: Instant) -> f64 {
        state.weight(now, self.rules.slow_start)
    }

    /// Since this balancer began.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
