//! What happens to VMs, and who is to be probed.

use std::sync::Arc;
use std::time::Instant;

use super::Fleet;
use crate::balancer::target::Target;
use crate::domain::balancing::Standing;
use crate::domain::health::{self, Cause, Change, Event};
use crate::process;

impl Fleet {
    /// Looks for VMs whose reports are late: three periods without a new one, by this process's
    /// own clock. A report that was read is as old as the reading of it.
    pub(in crate::balancer) fn check_reports(self: &Arc<Self>, now: Instant) {
        let late = self.rules.report_period * 3;
        for target in self.targets() {
            let age = now.saturating_duration_since(target.state().report.1);
            if age > late {
                self.tell(&target, Event::ReportsLate, now);
            }
        }
    }

    /// Takes in what happened to a VM.
    pub(in crate::balancer) fn tell(self: &Arc<Self>, target: &Target, event: Event, now: Instant) {
        let event = match event {
            Event::Failed { .. } => Event::Failed { can_spare: self.can_spare_one() },
            other => other,
        };
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
                    state.hangs();
                }
            }
            Some(Change::Readmitted) => {
                state.out_since = None;
                state.serving_since = Some(now);
            }
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
            self.dispatch(now);
        }
        if is_due {
            self.probe_wanted.notify_one();
        }
    }

    /// Whether one more VM may be ejected for its errors.
    fn can_spare_one(&self) -> bool {
        let (mut ejected, mut all) = (0, 0);
        for target in &self.inner().targets {
            let standing = target.state().standing();
            all += usize::from(standing != Standing::Barred);
            ejected += usize::from(standing == Standing::Ejected);
        }
        health::can_spare(ejected, all)
    }

    /// The VMs whose probe is due, marked as being probed, and when to look again.
    pub(in crate::balancer) fn take_due_probes(
        &self,
        now: Instant,
    ) -> (Vec<Arc<Target>>, Option<Instant>) {
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
}

/// Hears of the end of a VM's process, as long as the files tell of it. Its requests, if it had
/// any, find out for themselves; this is for the next ones.
pub(super) async fn until_its_end(fleet: Arc<Fleet>, target: Arc<Target>) {
    let over = target.over.clone();
    if over.run_until_cancelled(process::ended(target.pid)).await.is_some() {
        fleet.tell(&target, Event::Died, Instant::now());
    }
}
