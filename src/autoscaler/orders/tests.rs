use std::time::Duration;

use super::*;
use crate::autoscaler::tests::{report, settings};

fn orders(list: &[(&str, Action)]) -> AsStateFile {
    let order = |(id, action): &(&str, Action)| VmOrder::new(id.parse().unwrap(), *action);
    AsStateFile { vms: list.iter().map(order).collect(), ..AsStateFile::default() }
}

fn reports(list: &[(&str, VmState)]) -> VmStateFile {
    let vms = list.iter().map(|(id, state)| report(id, *state, 0.5, 0)).collect();
    VmStateFile { vms, ..VmStateFile::default() }
}

fn listed(file: &AsStateFile) -> Vec<String> {
    file.vms.iter().map(|order| format!("{} {}", order.id, order.action)).collect()
}

fn verdict(direction: Direction, from: u32, to: u32, victims: &[&str]) -> Verdict {
    let victims = victims.iter().map(|id| id.parse().unwrap()).collect();
    let reason = "because".to_owned();
    Verdict { direction, from, to, victims, reason, checks: Vec::new(), advice: None }
}

#[test]
fn what_runs_is_kept_and_what_is_gone_is_forgotten() {
    let mut file = orders(&[
        ("vm-1", Action::Keep),
        ("vm-2", Action::Add),
        ("vm-3", Action::Add),
        ("vm-4", Action::Delete),
        ("vm-5", Action::Delete),
    ]);
    let vms = reports(&[
        ("vm-1", VmState::Running),
        ("vm-2", VmState::Booting),
        ("vm-3", VmState::Running),
        ("vm-4", VmState::Draining),
    ]);
    settle(&mut file, &vms);
    assert_eq!(listed(&file), ["vm-1 keep", "vm-2 add", "vm-3 keep", "vm-4 delete"]);
    assert_eq!(file.desired, 3);
}

#[test]
fn a_dead_vm_that_is_wanted_stays_wanted() {
    let mut file = orders(&[("vm-1", Action::Keep)]);
    settle(&mut file, &reports(&[]));
    assert_eq!(listed(&file), ["vm-1 keep"]);
}

#[test]
fn new_ids_were_never_given_before() {
    let mut file = orders(&[("vm-1", Action::Keep), ("mine", Action::Keep)]);
    let vms = reports(&[("vm-7", VmState::Running)]);
    settle(&mut file, &vms);
    apply(&mut file, &vms, &verdict(Direction::Out, 2, 4, &[]), Timestamp::now());
    assert_eq!(listed(&file), ["vm-1 keep", "mine keep", "vm-8 add", "vm-9 add"]);
    file.vms.truncate(2);
    apply(&mut file, &vms, &verdict(Direction::Out, 2, 3, &[]), Timestamp::now());
    assert_eq!(file.vms[2].id.as_str(), "vm-10");
}

#[test]
fn a_scale_in_deletes_its_victims_and_says_why() {
    let mut file = orders(&[("vm-1", Action::Keep), ("vm-2", Action::Keep)]);
    let now = Timestamp::now();
    apply(&mut file, &reports(&[]), &verdict(Direction::In, 2, 1, &["vm-2"]), now);
    assert_eq!(listed(&file), ["vm-1 keep", "vm-2 delete"]);
    let order = &file.vms[1];
    assert_eq!((order.by.as_deref(), order.since), (Some("autoscaler"), Some(now)));
    assert_eq!((file.desired, file.decisions.len()), (1, 1));
}

#[test]
fn of_holds_in_a_row_the_last_is_kept_and_decisions_are_bounded() {
    let mut file = orders(&[]);
    for round in 0..50_u32 {
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(round.into());
        let direction = if round % 10 == 0 { Direction::Out } else { Direction::Hold };
        apply(&mut file, &reports(&[]), &verdict(direction, 1, 1, &[]), at);
    }
    let kinds = file.decisions.iter().map(|d| d.action.as_str()).collect::<Vec<_>>();
    assert_eq!(kinds, ["out", "hold"].repeat(5));
    for _ in 0..50 {
        apply(&mut file, &reports(&[]), &verdict(Direction::Out, 1, 1, &[]), Timestamp::now());
    }
    assert_eq!(file.decisions.len(), DECISIONS_KEPT);
}

#[test]
fn without_a_file_what_runs_is_wanted() {
    let vms = reports(&[("vm-1", VmState::Running), ("vm-2", VmState::Draining)]);
    let mut file = AsStateFile::default();
    fill_in(&mut file, &vms, &settings(), Timestamp::now());
    assert_eq!(listed(&file), ["vm-1 keep"]);
    assert_eq!((file.policy.as_str(), file.minimum, file.maximum), ("target-tracking", 1, 20));
}

#[test]
fn what_a_short_file_by_hand_does_say_stands() {
    let vms = reports(&[("vm-1", VmState::Running), ("vm-2", VmState::Running)]);
    let mut file = orders(&[("vm-1", Action::Keep), ("vm-9", Action::Add)]);
    (file.paused, file.minimum) = (true, 30);
    fill_in(&mut file, &vms, &settings(), Timestamp::now());
    assert_eq!(listed(&file), ["vm-1 keep", "vm-9 add"]);
    assert_eq!((file.paused, file.minimum, file.maximum), (true, 30, 30));
}

#[test]
fn an_absurd_number_does_not_keep_new_ids_from_being_found() {
    let absurd = "vm-18446744073709551615";
    let mut file = orders(&[(absurd, Action::Keep)]);
    file.last_vm = u64::MAX;
    let vms = reports(&[(absurd, VmState::Running)]);
    settle(&mut file, &vms);
    apply(&mut file, &vms, &verdict(Direction::Out, 1, 3, &[]), Timestamp::now());
    assert_eq!(file.vms.len(), 3);
}
