//! How a decision changes ASState.xml: pure functions on the document.

use jiff::Timestamp;

use crate::autoscaler::Settings;
use crate::domain::decision::{Action, Decision, Direction};
use crate::domain::scaling::Verdict;
use crate::domain::vm::VmState;
use crate::state::as_state::{AsStateFile, DECISIONS_KEPT, VmOrder};
use crate::state::vm_state::VmStateFile;

/// Who the autoscaler is in the `by` of an order.
pub(super) const BY: &str = "autoscaler";

/// Reads `desired` as a wish where the file does not say what it was before: a person who writes
/// the whole file anew need not know of `settled`. `before` is what this process wrote last.
pub(super) fn notice_wish(file: &mut AsStateFile, before: Option<u32>) {
    file.settled = file.settled.or(before);
}

/// Says what the file does not: one that is new, or that a person wrote, may name no policy and no
/// bounds. One that lists no VMs either wants those that there are. What it does say stands.
pub(super) fn fill_in(
    file: &mut AsStateFile,
    vms: &VmStateFile,
    settings: &Settings,
    now: Timestamp,
) {
    // Whoever deletes the bound has not asked for a fleet without one.
    if file.maximum == u32::MAX {
        file.maximum = settings.maximum.max(file.minimum);
    }
    if !file.policy.is_empty() {
        return;
    }
    file.policy.clone_from(&settings.policy);
    file.parameters.clone_from(&settings.parameters);
    if file.minimum == 0 {
        file.minimum = settings.minimum.min(file.maximum);
    }
    if file.vms.is_empty() {
        let staying =
            vms.vms.iter().filter(|vm| matches!(vm.state, VmState::Booting | VmState::Running));
        let keep = staying.map(|vm| VmOrder {
            instance_type: Some(vm.instance_type.clone()),
            by: Some(BY.to_owned()),
            since: Some(now),
            reason: Some("found running".to_owned()),
            ..VmOrder::new(vm.id.clone(), Action::Keep)
        });
        file.vms = keep.collect();
    }
}

/// Brings the orders up to date with what is: an added VM that runs is kept, a deleted one that
/// is gone is forgotten.
pub(super) fn settle(file: &mut AsStateFile, vms: &VmStateFile) {
    file.vms.retain(|order| order.action != Action::Delete || vms.vm(&order.id).is_some());
    for order in &mut file.vms {
        let runs = vms.vm(&order.id).is_some_and(|vm| vm.state == VmState::Running);
        if order.action == Action::Add && runs {
            order.action = Action::Keep;
        }
    }
    let highest = vms.vms.iter().filter_map(|vm| vm.id.number()).max().unwrap_or(0);
    file.last_vm = file.last_vm.min(u32::MAX.into()).max(highest);
    if file.asked().is_none() {
        file.agree();
    }
}

/// Writes a verdict into the file: VMs of the warm pool and new orders for a scale-out, deletions
/// for a scale-in, and the decision with its reason. Of holds in a row only the last is kept.
pub(super) fn apply(file: &mut AsStateFile, vms: &VmStateFile, verdict: &Verdict, now: Timestamp) {
    for _ in verdict.from..verdict.to {
        if let Some(order) = warm(file, vms) {
            order.warm = false;
            order.by = Some(BY.to_owned());
            order.since = Some(now);
            order.reason = Some(verdict.reason.clone());
            continue;
        }
        let id = file.next_vm_id(|id| vms.vm(id).is_some());
        file.vms.push(VmOrder {
            by: Some(BY.to_owned()),
            since: Some(now),
            reason: Some(verdict.reason.clone()),
            ..VmOrder::new(id, Action::Add)
        });
    }
    for order in file.vms.iter_mut().filter(|order| verdict.victims.contains(&order.id)) {
        order.action = Action::Delete;
        order.by = Some(BY.to_owned());
        order.since = Some(now);
        order.reason = Some(verdict.reason.clone());
    }
    let held_before = file.decisions.last().is_some_and(|d| d.action == Direction::Hold);
    if held_before && verdict.direction == Direction::Hold {
        file.decisions.pop();
    }
    file.decisions.push(Decision {
        at: now,
        action: verdict.direction,
        from: verdict.from,
        to: verdict.to,
        reason: verdict.reason.clone(),
        checks: verdict.checks.clone(),
    });
    let surplus = file.decisions.len().saturating_sub(DECISIONS_KEPT);
    file.decisions.drain(..surplus);
    file.decided_at = Some(now);
    // A wish that launches had to be limited for goes on.
    let asked = file.asked().map(|asked| asked.clamp(file.minimum, file.maximum));
    if asked.is_none_or(|asked| asked <= file.wanted()) {
        file.agree();
    }
}

/// The VM of the warm pool that has been there longest.
fn warm<'a>(file: &'a mut AsStateFile, vms: &VmStateFile) -> Option<&'a mut VmOrder> {
    let launched = |order: &VmOrder| vms.vm(&order.id).map(|vm| vm.launched_at);
    let warm = file.vms.iter_mut().filter(|order| order.warm && order.action != Action::Delete);
    warm.min_by_key(|order| (launched(order).is_none(), launched(order)))
}

#[cfg(test)]
mod tests;
