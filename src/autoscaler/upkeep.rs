//! What keeps the orders in shape whatever the size of the fleet: VMs that take another's place,
//! the refresh, and the warm pool.

use jiff::Timestamp;

use super::orders::BY;
use crate::domain::decision::Action;
use crate::domain::refresh::{self, Member, Next};
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::events::{Event, EventKind};
use crate::state::vm_state::VmStateFile;
use crate::state::{Error, StateFolder};

/// Brings the orders in shape, and tells what is worth telling.
///
/// # Errors
/// If ASState.xml or events.log cannot be read or written.
pub(super) fn keep(folder: &StateFolder, warm_pool: u32, vms: &VmStateFile) -> Result<(), Error> {
    let now = Timestamp::now();
    let change = |file: &mut AsStateFile| {
        succeed(file, vms, now);
        let told = refresh(file, vms, now);
        keep_warm(file, vms, warm_pool, now);
        told
    };
    // A file that is missing or broken is for the decision to put right, which knows what runs.
    let Some(before) = folder.read::<AsStateFile>().ok().flatten() else { return Ok(()) };
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(());
    }
    let told = folder.update_if_changed(AsStateFile::default, change)?;
    match told {
        None => Ok(()),
        Some(told) => folder.append_event(&Event::now(EventKind::Scale, BY, None, told)),
    }
}

/// A VM that runs takes the place of the one that it replaces, which is to be deleted then. If that
/// one was to go anyway, so is its successor; if nobody lists it, there is nothing to replace.
fn succeed(file: &mut AsStateFile, vms: &VmStateFile, now: Timestamp) {
    for at in 0..file.vms.len() {
        let order = &file.vms[at];
        let (Some(before), true) = (order.replaces.clone(), order.action != Action::Delete) else {
            continue;
        };
        let (id, runs) = (order.id.clone(), runs(vms, &order.id));
        let place = file.vms.iter().position(|other| other.id == before && other.id != id);
        match place.map(|place| (place, file.vms[place].action)) {
            None => file.vms[at].replaces = None,
            Some((_, Action::Delete)) => {
                delete(
                    &mut file.vms[at],
                    format!("{before} went, and nobody is to replace it"),
                    now,
                );
            }
            Some((place, _)) if runs => {
                delete(&mut file.vms[place], format!("{id} takes its place"), now);
                file.vms[at].replaces = None;
            }
            Some(_) => {}
        }
    }
}

fn runs(vms: &VmStateFile, id: &VmId) -> bool {
    vms.vm(id).is_some_and(|vm| vm.state == VmState::Running)
}

fn delete(order: &mut VmOrder, reason: String, now: Timestamp) {
    order.action = Action::Delete;
    order.by = Some(BY.to_owned());
    order.since = Some(now);
    order.reason = Some(reason);
}

/// One step of a refresh. Returns what to tell when it is done.
fn refresh(file: &mut AsStateFile, vms: &VmStateFile, now: Timestamp) -> Option<String> {
    let wish = file.refresh.as_mut()?;
    // One that is still to come would never be done.
    wish.before = wish.before.min(now);
    let wish = *wish;
    let is_old = |order: &VmOrder| {
        let launched = vms.vm(&order.id).map(|vm| vm.launched_at);
        !order.protected && launched.is_some_and(|at| at < wish.before)
    };
    for order in &mut file.vms {
        if order.warm && order.action != Action::Delete && is_old(order) {
            delete(order, "refresh: the warm pool is filled anew".to_owned(), now);
        }
    }
    let members = file.vms.iter().filter(|order| order.counts()).map(|order| Member {
        id: order.id.clone(),
        is_old: is_old(order),
        has_successor: file.vms.iter().any(|it| it.replaces.as_ref() == Some(&order.id)),
    });
    let members = members.collect::<Vec<_>>();
    let draining = file.vms.iter().filter(|order| order.action == Action::Delete).count();
    match refresh::next(&members, draining, wish.share) {
        Next::Done => {
            file.refresh = None;
            let kept = file.vms.iter().filter(|order| order.protected).count();
            let kept = if kept == 0 { String::new() } else { format!(", {kept} protected kept") };
            Some(format!("refresh done{kept}: every VM was launched after {}", wish.before))
        }
        Next::Replace(ids) => {
            for before in ids {
                launch_successor(file, vms, before, now);
            }
            None
        }
    }
}

/// Orders a VM like the one that it replaces.
fn launch_successor(file: &mut AsStateFile, vms: &VmStateFile, before: VmId, now: Timestamp) {
    let Some(order) = file.order(&before).cloned() else { return };
    let id = file.next_vm_id(|id| vms.vm(id).is_some());
    file.vms.push(VmOrder {
        since: Some(now),
        reason: Some(format!("refresh: to take the place of {before}")),
        replaces: Some(before),
        id,
        action: Action::Add,
        ..order
    });
}

/// Fills the warm pool, or takes away what this program put there and is too much.
fn keep_warm(file: &mut AsStateFile, vms: &VmStateFile, size: u32, now: Timestamp) {
    let is_warm = |order: &&mut VmOrder| order.warm && order.action != Action::Delete;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let there = file.vms.iter_mut().filter(is_warm).count();
    for _ in there..size {
        let id = file.next_vm_id(|id| vms.vm(id).is_some());
        file.vms.push(VmOrder {
            warm: true,
            by: Some(BY.to_owned()),
            since: Some(now),
            reason: Some(format!("the warm pool has {size}")),
            ..VmOrder::new(id, Action::Add)
        });
    }
    let surplus = there.saturating_sub(size);
    let own = file.vms.iter_mut().filter(is_warm).filter(|it| it.by.as_deref() == Some(BY));
    for order in own.take(surplus) {
        delete(order, format!("the warm pool has {size}"), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaler::tests::report;
    use crate::state::as_state::Refresh;
    use crate::units::Share;

    fn keep_order(number: u64) -> VmOrder {
        VmOrder::new(VmId::numbered(number), Action::Keep)
    }

    fn fleet(orders: impl IntoIterator<Item = VmOrder>) -> AsStateFile {
        AsStateFile { vms: orders.into_iter().collect(), ..AsStateFile::default() }
    }

    fn running(ids: &[&str]) -> VmStateFile {
        let vms = ids.iter().map(|id| report(id, VmState::Running, 0.5, 0)).collect();
        VmStateFile { vms, ..VmStateFile::default() }
    }

    fn actions(file: &AsStateFile) -> Vec<(String, &'static str)> {
        file.vms.iter().map(|order| (order.id.to_string(), order.action.as_str())).collect()
    }

    #[test]
    fn a_successor_takes_the_place_only_once_it_runs() {
        let heir = VmOrder {
            replaces: Some(VmId::numbered(1)),
            ..VmOrder::new(VmId::numbered(2), Action::Add)
        };
        let mut file = fleet([keep_order(1), heir]);
        assert_eq!(file.wanted(), 1, "it does not count before");
        let now = Timestamp::now();
        succeed(&mut file, &running(&["vm-1"]), now);
        assert_eq!(file.order(&VmId::numbered(1)).unwrap().action, Action::Keep);
        succeed(&mut file, &running(&["vm-1", "vm-2"]), now);
        assert_eq!(file.order(&VmId::numbered(1)).unwrap().action, Action::Delete);
        assert_eq!((file.wanted(), file.vms[1].replaces.as_ref()), (1, None));
    }

    #[test]
    fn a_successor_of_one_that_goes_goes_too_and_of_nobody_is_like_any_other() {
        let heir = |number, of| VmOrder {
            replaces: Some(VmId::numbered(of)),
            ..VmOrder::new(VmId::numbered(number), Action::Add)
        };
        let gone = VmOrder::new(VmId::numbered(1), Action::Delete);
        let mut file = fleet([gone, heir(2, 1), heir(3, 77), heir(4, 4)]);
        succeed(&mut file, &running(&[]), Timestamp::now());
        let expected = [("vm-1", "delete"), ("vm-2", "delete"), ("vm-3", "add"), ("vm-4", "add")];
        assert_eq!(actions(&file), expected.map(|(id, action)| (id.to_owned(), action)));
        assert_eq!(file.wanted(), 2);
    }

    #[test]
    fn a_refresh_goes_on_by_itself_to_its_end_and_leaves_the_protected() {
        let safe = VmOrder { protected: true, ..keep_order(3) };
        let mut file = fleet([keep_order(1), keep_order(2), safe]);
        let before = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(10);
        file.refresh = Some(Refresh { before, share: Share::saturating(0.4) });
        let mut vms = running(&["vm-1", "vm-2", "vm-3"]);
        let now = Timestamp::now();
        for round in 0.. {
            assert!(round < 20, "never done: {:?}", actions(&file));
            succeed(&mut file, &vms, now);
            let told = refresh(&mut file, &vms, now);
            assert_eq!(file.wanted(), 3);
            let live = vms.vms.iter().filter(|vm| {
                file.order(&vm.id).is_some_and(|order| order.action != Action::Delete)
            });
            assert!(live.count() >= 3, "none goes before its successor runs");
            if let Some(told) = told {
                assert!(told.starts_with("refresh done, 1 protected kept"), "{told}");
                break;
            }
            // What the cluster does meanwhile.
            for order in file.vms.clone() {
                let reported = vms.vm(&order.id).is_some();
                if order.action == Action::Delete {
                    vms.vms.retain(|vm| vm.id != order.id);
                    file.vms.retain(|it| it.id != order.id);
                } else if !reported {
                    let mut vm = report(order.id.as_str(), VmState::Running, 0.5, 0);
                    vm.launched_at = before;
                    vms.vms.push(vm);
                }
            }
        }
        let ids = file.vms.iter().map(|order| order.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids, ["vm-3", "vm-4", "vm-5"]);
    }

    #[test]
    fn the_warm_pool_is_filled_and_emptied_and_does_not_count() {
        let mine = VmOrder { warm: true, ..VmOrder::new("mine".parse().unwrap(), Action::Add) };
        let mut file = fleet([keep_order(1), mine]);
        let now = Timestamp::now();
        keep_warm(&mut file, &running(&["vm-1"]), 3, now);
        assert_eq!(file.vms.iter().filter(|order| order.warm).count(), 3);
        assert_eq!(file.wanted(), 1);
        keep_warm(&mut file, &running(&["vm-1"]), 0, now);
        let expected = [("vm-1", "keep"), ("mine", "add"), ("vm-2", "delete"), ("vm-3", "delete")];
        assert_eq!(actions(&file), expected.map(|(id, action)| (id.to_owned(), action)));
    }
}
