use std::time::Duration;

use super::*;
use crate::autoscaler::tests::{report, settings};
use crate::domain::vm::VmId;
use crate::operator;
use crate::state::StateFolder;
use crate::state::cluster_file::ClusterFile;
use crate::units::Share;

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

/// A cluster's folder with this ASState.xml.
fn folder_with(text: &str) -> (tempfile::TempDir, StateFolder) {
    let parent = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(parent.path()).unwrap();
    std::fs::write(parent.path().join("ASState.xml"), text).unwrap();
    let running = ClusterFile {
        pid: 1,
        started_at: Timestamp::UNIX_EPOCH,
        balancer: String::new(),
        admin: String::new(),
        balancer_pid: None,
        autoscaler_pid: None,
    };
    folder.write_cluster_file(&running).unwrap();
    (parent, folder)
}

/// What the autoscaler makes of a file, without who wrote it and when.
fn understood(folder: &StateFolder) -> AsStateFile {
    let mut file = folder.read::<AsStateFile>().unwrap().unwrap();
    settle(&mut file, &reports(&[("vm-1", VmState::Running), ("vm-2", VmState::Running)]));
    (file.seq, file.last_vm) = (0, 0);
    for order in &mut file.vms {
        (order.by, order.since, order.reason) = (None, None, None);
    }
    if let Some(refresh) = &mut file.refresh {
        refresh.before = Timestamp::UNIX_EPOCH;
    }
    file
}

#[test]
fn every_command_is_an_edit_that_a_person_could_have_made() {
    let text = "<ASState version=\"1\" policy=\"static\" desired=\"2\" settled=\"2\" minimum=\"1\" \
                maximum=\"20\" paused=\"false\"><VM id=\"vm-1\" action=\"keep\"/>\
                <VM id=\"vm-2\" action=\"keep\"/></ASState>";
    let paused = text.replace("paused=\"false\"", "paused=\"true\"");
    let guarded = text.replace("id=\"vm-2\"", "id=\"vm-2\" protected=\"true\"");
    let refreshed = text.replace("version", "refresh=\"2026-01-01T00:00:00Z\" version");
    let vm = VmId::numbered;
    let wait = [("wait".to_owned(), "0.1".to_owned())];
    let defaults = settings().defaults;
    let half = Share::saturating(0.5);
    let wishes: [(&str, &dyn Fn(&StateFolder) -> bool, &str, &str); 11] = [
        (
            text,
            &|f| operator::launch(f, Some("t3.small"), None).is_ok(),
            "</ASState>",
            "<VM id=\"vm-3\" action=\"add\" instanceType=\"t3.small\"/></ASState>",
        ),
        (
            text,
            &|f| operator::terminate(f, &vm(2)).is_ok(),
            "\"vm-2\" action=\"keep\"",
            "\"vm-2\" action=\"delete\"",
        ),
        (text, &|f| operator::set_desired(f, 4).is_ok(), "desired=\"2\"", "desired=\"4\""),
        (
            text,
            &|f| operator::set_limits(f, 2, 9).is_ok(),
            "minimum=\"1\" maximum=\"20\"",
            "minimum=\"2\" maximum=\"9\"",
        ),
        (
            text,
            &|f| operator::set_policy(f, "staffing", &wait, &defaults).is_ok(),
            "\"static\" desired=\"2\" settled=\"2\" minimum=\"1\" maximum=\"20\" paused=\"false\">",
            "\"staffing\" desired=\"2\" settled=\"2\" minimum=\"1\" maximum=\"20\" \
             paused=\"false\"><Policy wait=\"0.1\"/>",
        ),
        (
            text,
            &|f| operator::pause_autoscaler(f, true).unwrap(),
            "paused=\"false\"",
            "paused=\"true\"",
        ),
        (&paused, &|f| operator::pause_autoscaler(f, false).unwrap(), "paused=\"true\"", ""),
        (
            text,
            &|f| operator::protect(f, &vm(1), true).unwrap(),
            "id=\"vm-1\"",
            "id=\"vm-1\" protected=\"true\"",
        ),
        (&guarded, &|f| operator::protect(f, &vm(2), false).unwrap(), "protected=\"true\"", ""),
        (
            text,
            &|f| operator::refresh(f, half).is_ok(),
            "version",
            "refresh=\"2026-01-01T00:00:00Z\" refreshShare=\"0.5\" version",
        ),
        (
            &refreshed,
            &|f| operator::stop_refresh(f).unwrap(),
            "refresh=\"2026-01-01T00:00:00Z\"",
            "",
        ),
    ];
    for (before, command, from, to) in wishes {
        assert!(before.contains(from), "{from}");
        let (_by_command, commanded) = folder_with(before);
        assert!(command(&commanded), "{from} to {to}");
        let (_by_hand, edited) = folder_with(&before.replacen(from, to, 1));
        let (commanded, edited) = (understood(&commanded), understood(&edited));
        assert_eq!(commanded, edited, "{from} to {to}");
        let (_untouched, untouched) = folder_with(before);
        assert_ne!(edited, understood(&untouched), "{from} to {to}");
    }
}
