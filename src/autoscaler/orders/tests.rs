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
fn a_maximum_that_was_deleted_is_that_of_the_settings() {
    let mut file = orders(&[("vm-1", Action::Keep)]);
    (file.policy, file.minimum) = ("staffing".to_owned(), 2);
    fill_in(&mut file, &reports(&[]), &settings(), Timestamp::now());
    assert_eq!((file.policy.as_str(), file.minimum, file.maximum), ("staffing", 2, 20));
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

/// A command and an edit (`from` to `to`) of the same file are understood alike, and change it.
#[track_caller]
fn assert_same(text: &str, command: impl FnOnce(&StateFolder) -> bool, from: &str, to: &str) {
    assert!(text.contains(from), "{from}");
    let (_by_command, commanded) = folder_with(text);
    assert!(command(&commanded), "{from} to {to}");
    let (_by_hand, edited) = folder_with(&text.replacen(from, to, 1));
    let (_untouched, untouched) = folder_with(text);
    let edited = understood(&edited);
    assert_eq!(understood(&commanded), edited, "{from} to {to}");
    assert_ne!(edited, understood(&untouched), "{from} to {to}");
}

#[test]
fn a_command_about_a_vm_is_an_edit_that_a_person_could_have_made() {
    let text = "<ASState version=\"1\" policy=\"static\" desired=\"2\" settled=\"2\">\
                <VM id=\"vm-1\" action=\"keep\"/><VM id=\"vm-2\" action=\"keep\"/></ASState>";
    let vm = VmId::numbered;
    let added = "<VM id=\"vm-3\" action=\"add\" instanceType=\"t3.small\"/></ASState>";
    let launch = |f: &StateFolder| operator::launch(f, Some("t3.small"), None).is_ok();
    assert_same(text, launch, "</ASState>", added);
    let terminate = |f: &StateFolder| operator::terminate(f, &vm(2)).is_ok();
    assert_same(text, terminate, "\"vm-2\" action=\"keep\"", "\"vm-2\" action=\"delete\"");
    let protect = |f: &StateFolder| operator::protect(f, &vm(1), true).unwrap();
    assert_same(text, protect, "\"vm-1\"", "\"vm-1\" protected=\"true\"");
    let guarded = text.replace("\"vm-2\"", "\"vm-2\" protected=\"true\"");
    let expose = |f: &StateFolder| operator::protect(f, &vm(2), false).unwrap();
    assert_same(&guarded, expose, "protected=\"true\"", "");
}

#[test]
fn a_command_about_the_fleet_is_an_edit_that_a_person_could_have_made() {
    let text = "<ASState version=\"1\" policy=\"static\" desired=\"2\" settled=\"2\" minimum=\"1\" \
                maximum=\"20\" paused=\"false\"><Policy size=\"2\"/><VM id=\"vm-1\" action=\"keep\"/>\
                <VM id=\"vm-2\" action=\"keep\"/></ASState>";
    let desire = |f: &StateFolder| operator::set_desired(f, 4).is_ok();
    assert_same(text, desire, "desired=\"2\"", "desired=\"4\"");
    let limit = |f: &StateFolder| operator::set_limits(f, 2, 9).is_ok();
    let bounds = "minimum=\"2\" maximum=\"9\"";
    assert_same(text, limit, "minimum=\"1\" maximum=\"20\"", bounds);
    let size = [("size".to_owned(), "3".to_owned())];
    let defaults = settings().defaults;
    let policy = |f: &StateFolder| operator::set_policy(f, "static", &size, &defaults).is_ok();
    assert_same(text, policy, "<Policy size=\"2\"/>", "<Policy size=\"3\"/>");
    let pause = |f: &StateFolder| operator::pause_autoscaler(f, true).unwrap();
    assert_same(text, pause, "paused=\"false\"", "paused=\"true\"");
    let paused = text.replace("paused=\"false\"", "paused=\"true\"");
    let resume = |f: &StateFolder| operator::pause_autoscaler(f, false).unwrap();
    assert_same(&paused, resume, "paused=\"true\"", "");
    let half = Share::saturating(0.5);
    let refresh = |f: &StateFolder| operator::refresh(f, half).is_ok();
    let wish = "refresh=\"2026-01-01T00:00:00Z\" refreshShare=\"0.5\"";
    assert_same(text, refresh, "paused=\"false\"", wish);
    let refreshed = text.replace("paused=\"false\"", wish);
    let stop = |f: &StateFolder| operator::stop_refresh(f).unwrap();
    assert_same(&refreshed, stop, wish, "");
}
