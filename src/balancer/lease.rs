//! The right of one request to use one VM, and which VMs it has used before.

use std::sync::Arc;
use std::time::Instant;

use super::fleet::Fleet;
use super::target::Target;
use crate::domain::balancing::Tried;
use crate::domain::cost::Work;
use crate::domain::health::Event;

/// One request's claim on one VM: counted there until it is dropped.
pub(super) struct Lease {
    fleet: Arc<Fleet>,
    /// The VM.
    pub(super) target: Arc<Target>,
    work: Work,
    begun: Instant,
}

impl Lease {
    /// Counts a request of so much `work` at `target`, chosen by the choice of this number.
    pub(super) fn new(fleet: Arc<Fleet>, target: Arc<Target>, work: Work, choice: u64) -> Self {
        let mut state = target.state();
        state.in_flight += 1;
        state.outstanding = state.outstanding + work;
        state.last_chosen = choice;
        drop(state);
        Self { fleet, target, work, begun: Instant::now() }
    }

    /// Tells the fleet what happened to the VM with this request.
    pub(super) fn tell(&self, event: Event) {
        self.fleet.tell(&self.target, event, Instant::now());
    }

    /// The VM has answered with this status.
    pub(super) fn answered(&self, status: u16) {
        let now = Instant::now();
        let mut state = self.target.state();
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = state.tally.answered.get_mut(class) {
            *count += 1;
        }
        state.tally.latency.record(now.saturating_duration_since(self.begun), now);
        drop(state);
        self.tell(Event::Answered);
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
        let mut state = self.target.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.outstanding = state.outstanding - self.work;
    }
}

/// Which VMs a request has been to.
#[derive(Default)]
pub(super) struct Visits {
    tried: Vec<Arc<Target>>,
    declined: Vec<Arc<Target>>,
}

impl Visits {
    /// It was sent to this VM, in vain.
    pub(super) fn note(&mut self, target: &Arc<Target>) {
        self.tried.push(target.clone());
    }

    /// This VM lives and will not have it.
    pub(super) fn note_declined(&mut self, target: &Arc<Target>) {
        self.declined.push(target.clone());
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
