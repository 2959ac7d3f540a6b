//! The right of one request to use one VM, and which VMs it has used before.

use std::sync::Arc;
use std::time::Instant;

use hyper::header::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::message::Fields;
use super::target::Target;
use crate::domain::balancing::{Demand, Tried};
use crate::domain::health::Event;
use crate::http::X_CUMULET_LOAD;

/// One request's claim on one VM: counted there until it is dropped.
pub(super) struct Lease {
    fleet: Arc<Fleet>,
    /// The VM.
    pub(super) target: Arc<Target>,
    demand: Demand,
    /// Since when.
    pub(super) begun: Instant,
    /// How often the VM had been found hanging before.
    hangs: u32,
}

impl Lease {
    /// Counts a request that makes this `demand` at `target`, chosen by the choice of this number.
    pub(super) fn new(
        fleet: Arc<Fleet>,
        target: Arc<Target>,
        demand: Demand,
        choice: u64,
        now: Instant,
    ) -> Self {
        let mut state = target.state();
        state.take_on(demand.work, choice, now);
        let hangs = state.hangs;
        drop(state);
        Self { fleet, target, demand, begun: now, hangs }
    }

    /// Cancelled when the VM is found hanging, if it has not been since this began.
    pub(super) fn hung(&self) -> CancellationToken {
        self.target.state().hung_since(self.hangs)
    }

    /// Takes in the load that the VM tells of in the head of an answer.
    pub(super) fn hear_load(&self, fields: &Fields) {
        if let Some(inside) = fields.get(&X_CUMULET_LOAD).and_then(inside) {
            let now = Instant::now();
            self.target.state().hear_load(inside, now, self.fleet.age(now));
        }
    }

    /// Tells the fleet what happened to the VM with this request.
    pub(super) fn tell(&self, event: Event) {
        self.fleet.tell(&self.target, event, Instant::now());
    }

    /// The VM has answered with this status.
    pub(super) fn answered(&self, status: u16, now: Instant) {
        let mut state = self.target.state();
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = state.tally.answered.get_mut(class) {
            *count += 1;
        }
        let time = now.saturating_duration_since(self.begun);
        state.tally.latency.record(time, now);
        // Cannot be out of bounds: there is one for each kind.
        state.tally.by_kind[self.demand.kind.index()].record(time);
        drop(state);
        if status < 400 && !self.target.is_function {
            self.fleet.took(time, self.demand);
        }
        let event =
            if status >= 500 { Event::Failed { can_spare: false } } else { Event::Answered };
        self.fleet.tell(&self.target, event, now);
    }

    /// How many other requests the VM may have had when it broke off. Those that share its fate may
    /// have left already, so this is the most that it had lately.
    pub(super) fn company(&self) -> u32 {
        self.target.state().peak(Instant::now()).saturating_sub(1)
    }

    /// The VM has not answered; the request is sent elsewhere, or not.
    pub(super) fn failed(&self, retried: bool) {
        let mut state = self.target.state();
        state.tally.failures += 1;
        state.tally.retries += u64::from(retried);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.fleet.release(&self.target, self.demand.work);
    }
}

/// The requests inside a VM by its header `cpu=0.430 in_flight=2 queued=0`.
fn inside(load: &HeaderValue) -> Option<u32> {
    let fields = load.to_str().ok()?;
    let number = |name: &str| {
        let value = fields.split(' ').find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
        value?.parse::<u32>().ok()
    };
    Some(number("in_flight")?.saturating_add(number("queued")?))
}

/// Which VMs a request has been to.
#[derive(Clone, Default)]
pub(super) struct Visits {
    tried: Vec<Arc<Target>>,
    declined: Vec<Arc<Target>>,
}

impl Visits {
    /// Whether it has been nowhere yet.
    pub(super) fn is_none(&self) -> bool {
        self.tried.is_empty() && self.declined.is_empty()
    }

    /// It was sent to this VM, in vain.
    pub(super) fn note(&mut self, target: &Arc<Target>) {
        self.tried.push(target.clone());
    }

    /// This VM lives and will not have it.
    pub(super) fn note_declined(&mut self, target: &Arc<Target>) {
        self.declined.push(target.clone());
    }

    /// Whether it has been to a function.
    pub(super) fn have_been_to_a_function(&self) -> bool {
        self.tried.iter().any(|target| target.is_function)
    }

    /// Whether this VM would not have it.
    pub(super) fn declined(&self, target: &Target) -> bool {
        self.declined.iter().any(|other| std::ptr::eq(other.as_ref(), target))
    }

    /// Whether it has been to this VM.
    pub(super) fn tried(&self, target: &Target) -> Tried {
        let is_it = |other: &Arc<Target>| std::ptr::eq(other.as_ref(), target);
        match self.tried.last() {
            Some(last) if is_it(last) => Tried::Last,
            _ if self.tried.iter().any(is_it) => Tried::Before,
            _ => Tried::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_a_vm_is_read_from_its_answer_and_nonsense_is_not() {
        let inside = |text: &'static str| inside(&HeaderValue::from_static(text));
        assert_eq!(inside("cpu=0.430 in_flight=2 queued=5"), Some(7));
        assert_eq!(inside("in_flight=4294967295 queued=5"), Some(u32::MAX));
        for nonsense in ["", "in_flight=-1 queued=0", "in_flight=2", "queued=2 in_flight="] {
            assert_eq!(inside(nonsense), None, "{nonsense}");
        }
    }
}
