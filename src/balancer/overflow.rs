//! Requests that no VM can take in time, and the functions that take them instead.
//!
//! The functions' service answers requests as a VM does, so each built-in function is one more
//! target, outside the fleet. A request waits in the queue and is looked at now and then whether it
//! should go there; it leaves the queue in that moment, so it is never in both places. A function
//! that gives no answer says so with 503, and the request waits for a VM again, for good.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fleet::{Assignment, Fleet, NoVm};
use super::lease::{Lease, Visits};
use super::target::{Tally, Target};
use crate::domain::balancing::Demand;
use crate::domain::cost::Kind;
use crate::domain::function::{Code, Function};
use crate::domain::overflow::{Mode, Rules, decide};
use crate::domain::vm::VmId;
use crate::state::function_state::FunctionStateFile;
use crate::state::functions::FunctionsFile;

/// How often a request that waits is looked at again: how things stand changes with VMs that boot.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The functions that requests may overflow to.
pub(super) struct Overflow {
    rules: Rules,
    functions: Mutex<Vec<Known>>,
}

struct Known {
    kind: Kind,
    function: Function,
    target: Arc<Target>,
}

/// Who is to answer a request.
pub(super) enum Place {
    /// A VM.
    Vm(Assignment),
    /// A function, for this reason.
    Function(Lease, String),
}

impl Overflow {
    /// By these rules; no function is known yet.
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, functions: Mutex::default() }
    }

    /// Takes in what the files say now.
    pub(super) fn update(&self, defined: &FunctionsFile, state: &FunctionStateFile, now: Instant) {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *functions);
        if state.pid != 0 {
            let first_of = |kind| {
                let mut all = defined.functions.iter().map(|(function, _)| function);
                all.find(|it| it.code == Code::BuiltIn(kind)).map(|it| (kind, it.clone()))
            };
            for (kind, function) in Kind::ALL.into_iter().filter_map(first_of) {
                let id = VmId::of_function(&function.name);
                let same = |known: &&Known| {
                    let target = &known.target;
                    target.id == id && target.pid == state.pid && target.address == state.address
                };
                let target = before.iter().find(same).map(|known| known.target.clone());
                let target = target.unwrap_or_else(|| target_of(id, &function, state, now));
                functions.push(Known { kind, function, target });
            }
        }
        for old in before {
            if !functions.iter().any(|known| Arc::ptr_eq(&known.target, &old.target)) {
                old.target.retire();
            }
        }
    }

    /// Who is to answer a request that makes this `demand`: a VM, as soon as one is free, or a
    /// function, if the rules have it so and it has not been to one.
    pub(super) async fn place(
        &self,
        fleet: &Arc<Fleet>,
        visits: &Visits,
        demand: Demand,
    ) -> Result<Place, NoVm> {
        let mut waiting = pin!(fleet.wait_for(visits, demand));
        if self.rules.mode == Mode::Off || visits.have_been_to_a_function() {
            return waiting.await.map(Place::Vm);
        }
        let begun = Instant::now();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                found = &mut waiting => {
                    let offer = || self.offer(fleet, demand, begun.elapsed());
                    return match found {
                        Ok(assignment) => Ok(Place::Vm(assignment)),
                        Err(no_vm) => offer().ok_or(no_vm),
                    };
                }
                () = tokio::time::sleep(pause) => {
                    if let Some(place) = self.offer(fleet, demand, begun.elapsed()) {
                        return Ok(place);
                    }
                }
            }
            pause = LOOK_EVERY;
        }
    }

    /// A function for a request that has waited so long, if the rules have it so and the function
    /// may run once more.
    fn offer(&self, fleet: &Arc<Fleet>, demand: Demand, waited: Duration) -> Option<Place> {
        let situation = fleet.situation(waited);
        let functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = functions.iter().find(|known| known.kind == demand.kind)?;
        if known.target.state().in_flight >= known.function.concurrency {
            return None;
        }
        let reason = decide(&self.rules, demand.work, &situation, &known.function)?;
        let lease = Lease::new(fleet.clone(), known.target.clone(), demand, 0, Instant::now());
        Some(Place::Function(lease, reason))
    }
}

fn target_of(
    id: VmId,
    function: &Function,
    state: &FunctionStateFile,
    now: Instant,
) -> Arc<Target> {
    let (speed, cap) = (function.vcpus(), Some(function.concurrency));
    let target =
        Target::new(id, state.pid, state.address.clone(), speed, cap, now, Tally::default());
    Arc::new(target.into_function())
}
