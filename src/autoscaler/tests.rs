//! A look, from the reports to the written decision.

use super::*;
use crate::domain::load::{Load, Served};
use crate::domain::vm::VmState;
use crate::state::vm_state::VmReport;
use crate::units::Share;

/// Parameters that make target tracking act on one report.
pub(super) fn at_once() -> Vec<(String, String)> {
    ["out_reports", "in_reports"].map(|name| (name.to_owned(), "1".to_owned())).into()
}

pub(super) fn settings() -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        policy: "target-tracking".to_owned(),
        parameters: at_once(),
        defaults: Defaults {
            target_cpu: Share::saturating(0.6),
            warm_up: 5 * second,
            scale_out_cooldown: 10 * second,
            scale_in_cooldown: 60 * second,
            window: 15 * second,
        },
        minimum: 1,
        maximum: 20,
        termination: Termination::default(),
        warm_pool: 0,
        report_every: 5 * second,
        types: crate::domain::instance_type::built_in(),
        instance_type: "t3.micro".to_owned(),
        boot_scale: 1.0,
        cores: 2,
    }
}

/// A report of a VM that has been running since the epoch, made `at` seconds after it.
pub(super) fn report(id: &str, state: VmState, cpu: f64, at: i32) -> VmReport {
    let epoch = Timestamp::UNIX_EPOCH;
    VmReport {
        id: id.parse().unwrap(),
        state,
        address: "127.0.0.1:1".to_owned(),
        socket: None,
        pid: 1,
        instance_type: "local".to_owned(),
        launched_at: epoch,
        running_since: (state == VmState::Running).then_some(epoch),
        reported_at: epoch + jiff::SignedDuration::from_secs(at.into()),
        warm: false,
        load: Load { cpu: Share::saturating(cpu), ..Load::default() },
        served: Served::default(),
        foreign: crate::state::xml::Foreign::default(),
    }
}

#[test]
fn a_decision_is_written_beside_what_an_operator_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(folder.path()).unwrap();
    let vms = VmStateFile {
        vms: vec![report("vm-1", VmState::Running, 1.0, 0)],
        ..VmStateFile::default()
    };
    let now = Instant::now();
    let mut fleet = Fleet::new(Arc::new(settings()), now);
    fleet.observe(&vms, now, Timestamp::now());
    let look = |fleet: &mut Fleet, due| {
        let look = Look { now, due, desired: None };
        decide_and_write(&folder, &settings(), fleet, &vms, &look).unwrap()
    };
    let first = look(&mut fleet, true).unwrap().verdict;
    assert_eq!(first.direction, Direction::Hold, "its VM was ordered just now");
    folder
        .update(|file: &mut AsStateFile| {
            file.vms[0].since = None;
            file.maximum = 2;
        })
        .unwrap();
    let written = look(&mut fleet, false).unwrap();
    assert_eq!(written.verdict.to, 2, "no more than the maximum that was written meanwhile");
    let seq = folder.read::<AsStateFile>().unwrap().unwrap().seq;
    fleet.past.note(&written.verdict, written.seen, Timestamp::now());
    assert!(look(&mut fleet, false).is_none());
    let after = folder.read::<AsStateFile>().unwrap().unwrap().seq;
    assert_eq!(after, seq, "a hold that is not due writes nothing");
}
