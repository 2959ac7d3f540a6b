//! Who gets which VM, and who waits for one.
//!
//! A VM has so many requests at once as it may; the rest wait here, in one queue for all VMs, so
//! that no request stands behind a long one while another VM is free, and none is lost with a VM
//! that it only waited for. Whoever comes is first offered a VM; only if all are full, or one is
//! yet to come, does it wait. Whenever a place falls free or a VM comes, the queue is gone through
//! in its order, and exactly those that now have a VM are woken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Fleet, Inner};
use crate::balancer::lease::{Lease, Visits};
use crate::balancer::target::Target;
use crate::domain::balancing::{self, Candidate, Demand, Reason, Verdict};
use crate::domain::cost::Work;
use crate::domain::decision::Action;
use crate::domain::health::Phase;
use crate::domain::overflow::Situation;
use crate::domain::vm::VmState;
use crate::domain::waiting::{Fate, Ticket};
use crate::state::as_state::VmOrder;

/// For so long after its ejection a VM that nobody said would be replaced is waited for.
const HOPE: Duration = Duration::from_secs(5);
/// The longest time after which a client is told to try again, in seconds.
const LONGEST_RETRY_AFTER: f64 = 30.0;

/// A VM for a request.
pub(in crate::balancer) struct Assignment {
    /// The right to use it, given back when dropped.
    pub(in crate::balancer) lease: Lease,
    /// Why this one.
    pub(in crate::balancer) reason: Arc<Reason>,
}

/// Why a request gets no VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::balancer) enum NoVm {
    /// None is there and none is coming.
    AtAll(String),
    /// Too many wait already.
    QueueFull(u64),
    /// It has waited long enough.
    WaitedTooLong(Duration),
}

/// One that waits.
pub(super) struct Waiter {
    visits: Visits,
    demand: Demand,
    /// Takes its VM to it.
    hand: oneshot::Sender<Result<Assignment, NoVm>>,
}

/// What a look at the VMs came to.
enum Found {
    Vm(Assignment),
    /// All that may have it are full, or one is yet to come.
    Later,
    Never(NoVm),
}

impl Fleet {
    /// A VM for a request that makes this `demand`, if one is free.
    pub(in crate::balancer) fn free_vm(
        self: &Arc<Self>,
        visits: &Visits,
        demand: Demand,
        now: Instant,
    ) -> Option<Assignment> {
        match self.find(&mut self.inner(), visits, demand, now, None) {
            Found::Vm(assignment) => Some(assignment),
            Found::Later | Found::Never(_) => None,
        }
    }

    /// A VM for a request that makes this `demand`; waits for one, if none is free.
    pub(in crate::balancer) async fn wait_for(
        self: &Arc<Self>,
        visits: &Visits,
        demand: Demand,
    ) -> Result<Assignment, NoVm> {
        let (place, mut outcome) = {
            let mut inner = self.inner();
            let now = Instant::now();
            match self.find(&mut inner, visits, demand, now, None) {
                Found::Vm(assignment) => return Ok(assignment),
                Found::Never(no_vm) => return Err(no_vm),
                Found::Later => {}
            }
            let (hand, outcome) = oneshot::channel();
            let waiter = Waiter { visits: visits.clone(), demand, hand };
            let (speed, age) = (inner.mean_speed(), self.age(now));
            let entered = inner.waiting.enter(demand.work, speed, age, waiter);
            let ticket = entered.map_err(|full| NoVm::QueueFull(full.limit))?;
            (Place { fleet: self.clone(), ticket }, outcome)
        };
        let limit = self.rules.queue_deadline;
        let in_time = tokio::time::timeout(limit, &mut outcome).await;
        drop(place);
        // A VM may have been handed over between the last moment and the leaving of the queue.
        let handed = in_time.map_or_else(|_| outcome.try_recv().ok(), Result::ok);
        handed.unwrap_or(Err(NoVm::WaitedTooLong(limit)))
    }

    /// An idle VM for a request that is being worked on elsewhere, if there is one and the budget
    /// for such second copies allows it.
    pub(in crate::balancer) fn idle_vm(
        self: &Arc<Self>,
        visits: &Visits,
        demand: Demand,
        now: Instant,
    ) -> Option<Assignment> {
        let mut inner = self.inner();
        let found = match self.find(&mut inner, visits, demand, now, Some(1)) {
            Found::Vm(assignment) => assignment,
            Found::Later | Found::Never(_) => return None,
        };
        let allowed = inner.hedges.take(self.age(now));
        // Giving a VM back takes the lock.
        drop(inner);
        allowed.then_some(found)
    }

    /// Goes through the queue: something has changed that may let one that waits go on.
    pub(in crate::balancer) fn dispatch(self: &Arc<Self>, now: Instant) {
        let mut inner = self.inner();
        if !inner.waiting.is_empty() {
            self.dispatch_from(&mut inner, now).hand_out(inner);
        }
    }

    /// A request of so much `work` has left `target`.
    pub(in crate::balancer) fn release(self: &Arc<Self>, target: &Target, work: Work) {
        let mut inner = self.inner();
        let mut state = target.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.outstanding = state.outstanding - work;
        drop(state);
        if !inner.waiting.is_empty() {
            self.dispatch_from(&mut inner, Instant::now()).hand_out(inner);
        }
    }

    /// Seconds after which it is worth asking again: the time in which the VMs would have done what
    /// waits, if the predictions hold.
    pub(in crate::balancer) fn retry_after(&self) -> u32 {
        let inner = self.inner();
        let speed: f64 = inner.speeds().sum();
        let seconds = inner.waiting.work().seconds() / speed.max(1.0);
        let seconds = Duration::from_secs_f64(seconds.min(LONGEST_RETRY_AFTER).ceil()).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
    }

    /// How it stands with the VMs for a request that has waited so long.
    pub(in crate::balancer) fn situation(&self, waited: Duration) -> Situation {
        let inner = self.inner();
        let serving = inner.serving();
        Situation {
            waiting: inner.waiting.work(),
            requests: inner.waiting.len(),
            running: serving.map(|target| target.state().outstanding).sum(),
            speed: inner.speeds().sum(),
            scaling: inner.is_scaling(),
            waited,
        }
    }

    fn dispatch_from(self: &Arc<Self>, inner: &mut Inner, now: Instant) -> HandOut {
        // Taken out meanwhile, for the choice needs the rest of `inner`.
        let limit = self.rules.queue_length;
        let mut waiting = std::mem::replace(&mut inner.waiting, super::Queue::new(limit));
        let served = waiting.serve(|waiter, _| {
            match self.find(inner, &waiter.visits, waiter.demand, now, None) {
                Found::Vm(assignment) => Fate::Leaves(Ok(assignment)),
                Found::Never(no_vm) => Fate::Leaves(Err(no_vm)),
                // Who has been nowhere yet may go wherever anybody may.
                Found::Later if waiter.visits.is_none() => Fate::Stop,
                Found::Later => Fate::Stays,
            }
        });
        inner.waiting = waiting;
        HandOut(served)
    }

    /// Looks for a VM; `cap`, if any, takes the place of what each VM may have at once.
    fn find(
        self: &Arc<Self>,
        inner: &mut Inner,
        visits: &Visits,
        demand: Demand,
        now: Instant,
        cap: Option<u32>,
    ) -> Found {
        let age = self.age(now);
        let candidates: Vec<Candidate<'_>> = inner
            .targets
            .iter()
            .map(|target| {
                let known = self.candidate(target, visits, now, age);
                Candidate { cap: cap.or(known.cap), ..known }
            })
            .collect();
        let draws = [fastrand::u32(..), fastrand::u32(..)];
        match balancing::choose(inner.policy, &candidates, demand, draws) {
            Verdict::Chosen(choice) => match inner.targets.get(choice.index) {
                Some(target) => {
                    inner.choices += 1;
                    let lease =
                        Lease::new(self.clone(), target.clone(), demand, inner.choices, now);
                    Found::Vm(Assignment { lease, reason: Arc::new(choice.reason) })
                }
                None => Found::Never(NoVm::AtAll("the chosen VM is gone".to_owned())),
            },
            Verdict::Full => Found::Later,
            Verdict::Nobody if inner.somebody_comes(visits, now) => Found::Later,
            Verdict::Nobody => Found::Never(NoVm::AtAll(
                "no VM runs that could take it, and none is coming".to_owned(),
            )),
        }
    }

    fn candidate<'a>(
        &self,
        target: &'a Target,
        visits: &Visits,
        now: Instant,
        age: Duration,
    ) -> Candidate<'a> {
        let state = target.state();
        let standing =
            if visits.declined(target) { balancing::Standing::Barred } else { state.standing() };
        Candidate {
            id: &target.id,
            standing,
            tried: visits.tried(target),
            in_flight: state.in_flight,
            cap: target.cap,
            foreign: state.foreign.at(age),
            outstanding: state.outstanding,
            speed: target.speed_of(&state, age),
            weight: self.weight(&state, now),
            reported: state.reported,
            last_chosen: state.last_chosen,
        }
    }
}

impl Inner {
    /// Whether there is a VM to hope for when nobody can be chosen.
    fn somebody_comes(&self, visits: &Visits, now: Instant) -> bool {
        let target = |id| self.targets.iter().find(|target| &target.id == id);
        let declined = |id| target(id).is_some_and(|target| visits.declined(target));
        let boots = self.vm_state.vms.iter().any(|report| {
            let order = self.as_state.order(&report.id).map(|order| order.action);
            report.state == VmState::Booting && order != Some(Action::Delete)
        });
        let ordered = || {
            let wanted = |action| matches!(action, Action::Add | Action::Keep);
            self.as_state.vms.iter().any(|o| wanted(o.action) && !declined(&o.id))
        };
        let ejected = || {
            self.targets.iter().any(|target| {
                let state = target.state();
                let recent = |since| now.saturating_duration_since(since) < HOPE;
                state.barred.is_none()
                    && matches!(state.health.phase(), Phase::Out(_))
                    && state.out_since.is_some_and(recent)
            })
        };
        boots || ordered() || ejected()
    }

    /// The speeds of the VMs that get requests, by their types.
    fn speeds(&self) -> impl Iterator<Item = f64> + '_ {
        self.serving().map(|target| target.state().allowed(target.speed))
    }

    /// The VMs that get requests.
    fn serving(&self) -> impl Iterator<Item = &Arc<Target>> + '_ {
        self.targets.iter().filter(|target| target.state().standing().is_in_rotation())
    }

    /// Whether a VM that will take requests boots, or is ordered and has not reported yet.
    fn is_scaling(&self) -> bool {
        let wanted = |order: &&VmOrder| order.action != Action::Delete && !order.warm;
        self.as_state.vms.iter().filter(wanted).any(|order| {
            let report = self.vm_state.vms.iter().find(|report| report.id == order.id);
            report.is_none_or(|report| report.state == VmState::Booting)
        })
    }

    /// Their mean; 1 if there are none.
    fn mean_speed(&self) -> f64 {
        let (sum, count) = self.speeds().fold((0.0, 0.0), |(sum, n), speed| (sum + speed, n + 1.0));
        if count > 0.0 { sum / count } else { 1.0 }
    }
}

/// VMs on their way to those that have waited for them.
#[must_use = "who waits is to get its VM"]
struct HandOut(Vec<(Waiter, Result<Assignment, NoVm>)>);

impl HandOut {
    /// Hands them over, without the lock: if one has left meanwhile, its VM is given back, which
    /// takes the lock.
    fn hand_out(self, inner: std::sync::MutexGuard<'_, Inner>) {
        drop(inner);
        for (waiter, outcome) in self.0 {
            // If it has left it needs no VM any more.
            let _ = waiter.hand.send(outcome);
        }
    }
}

/// A place in the queue, given up when dropped.
struct Place {
    fleet: Arc<Fleet>,
    ticket: Ticket,
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.fleet.inner().waiting.leave(self.ticket);
        // Dropped only now: the lock is given back.
        drop(left);
    }
}
