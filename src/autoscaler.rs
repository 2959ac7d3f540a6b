//! The autoscaler: watches VMState.xml, asks [`crate::domain::scaling`] how many VMs there should
//! be, and writes ASState.xml.
//!
//! It holds nothing that it could not find again: killed at any moment and started again, it
//! carries on from the two files. Only the window of CPU shares starts anew, and until it has seen
//! a report it decides nothing.

mod fleet;
mod orders;
mod upkeep;

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::domain::decision::Direction;
use crate::domain::scaling::{TargetTracking, Verdict};
use crate::domain::termination::Termination;
use crate::state::as_state::AsStateFile;
use crate::state::events::{Event, EventKind};
use crate::state::lb_state::LbStateFile;
use crate::state::samples::Sample;
use crate::state::vm_state::VmStateFile;
use crate::state::watch::{View, Watcher};
use crate::state::{Error, StateFolder};
use fleet::Fleet;

/// How the autoscaler is to work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The policy's figures.
    pub tracking: TargetTracking,
    /// Fewest VMs, where ASState.xml does not say it.
    pub minimum: u32,
    /// Most VMs, where ASState.xml does not say it.
    pub maximum: u32,
    /// Which VM goes first when there are too many.
    pub termination: Termination,
    /// VMs that have booted and wait to be wanted.
    pub warm_pool: u32,
    /// How often a VM reports.
    pub report_every: Duration,
}

/// Between two looks when no file changes: late reports are seen by their absence.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs until `stop` is cancelled.
///
/// # Errors
/// If the state folder cannot be watched. A file that cannot be read or written later is logged,
/// and tried again at the next look.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let watcher = Watcher::start(&folder).context("cannot watch the state folder")?;
    let mut vm_state = watcher.follow::<VmStateFile>();
    let mut as_state = watcher.follow::<AsStateFile>();
    let mut autoscaler = Autoscaler::new(settings, folder);
    tracing::info!(target_cpu = settings.tracking.target.get(), "the autoscaler watches");
    while !stop.is_cancelled() {
        autoscaler.look(&mut vm_state).await;
        tokio::select! {
            () = stop.cancelled() => {}
            _ = vm_state.changed() => {}
            _ = as_state.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        as_state.mark_unchanged();
    }
    tracing::info!("the autoscaler stops");
    Ok(())
}

struct Autoscaler {
    settings: Settings,
    folder: StateFolder,
    fleet: Fleet,
    /// When a hold was last written: holds are told once a period, changes at once.
    told: Option<Instant>,
    /// What last kept it from writing, and is tried again at each look.
    trouble: Option<String>,
}

impl Autoscaler {
    fn new(settings: Settings, folder: StateFolder) -> Self {
        Self { settings, folder, fleet: Fleet::new(settings), told: None, trouble: None }
    }

    /// Reads what the VMs say, decides, and writes the decision if there is something to say.
    async fn look(&mut self, vm_state: &mut Receiver<View<VmStateFile>>) {
        let Some(vms) = vm_state.borrow_and_update().document.clone() else { return };
        let now = Instant::now();
        self.fleet.observe(&vms, now, Timestamp::now());
        let due = self.told.is_none_or(|told| now - told >= self.settings.report_every);
        let (fleet, settings, folder) = (self.fleet.clone(), self.settings, self.folder.clone());
        let written = tokio::task::spawn_blocking(move || {
            upkeep::keep(&folder, &settings, &vms)?;
            decide_and_write(&folder, &settings, &fleet, &vms, now, due)
        })
        .await;
        let before = self.trouble.take();
        match written {
            Ok(Ok(Some(verdict))) => {
                self.told = Some(now);
                self.fleet.note_decision(verdict.direction, now);
                let (folder, census) = (self.folder.clone(), self.fleet.census());
                let told = tokio::task::spawn_blocking(move || tell(&folder, census, verdict));
                if let Ok(Err(error)) = told.await {
                    tracing::warn!(%error, "cannot record the decision");
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                let trouble = error.to_string();
                if before.as_ref() != Some(&trouble) {
                    tracing::error!(%error, "cannot write the decision; trying again");
                }
                self.trouble = Some(trouble);
            }
            Err(error) => tracing::error!(%error, "the decision was not finished"),
        }
    }
}

/// Tells the decision in samples.txt and, if it changes anything, in events.log.
fn tell(
    folder: &StateFolder,
    (running, booting, draining): (u32, u32, u32),
    verdict: Verdict,
) -> Result<(), Error> {
    // What the balancer does not say is not known.
    let totals = folder.read::<LbStateFile>().ok().flatten().map(|document| document.totals);
    let Verdict { direction, from, to, reason, .. } = verdict;
    folder.append_sample(&Sample::Decision {
        at: Timestamp::now(),
        fleet: running + booting + draining,
        running,
        booting,
        draining,
        desired: to,
        offered_load: totals.map(|totals| totals.offered_load),
        queue_seconds: totals.map(|totals| totals.queue_seconds),
        action: direction,
        reason: reason.clone(),
    })?;
    if direction == Direction::Hold {
        return Ok(());
    }
    tracing::info!(%direction, from, to, reason, "scales");
    let detail = format!("{direction} {from} to {to}: {reason}");
    folder.append_event(&Event::now(EventKind::Scale, "autoscaler", None, detail))
}

/// One decision under the lock of ASState.xml, so that nothing an operator wrote meanwhile is
/// undone. Returns the verdict if it was written.
fn decide_and_write(
    folder: &StateFolder,
    settings: &Settings,
    fleet: &Fleet,
    vms: &VmStateFile,
    now: Instant,
    due: bool,
) -> Result<Option<Verdict>, Error> {
    folder.update_if_changed(AsStateFile::default, |file: &mut AsStateFile| {
        orders::fill_in(file, vms, settings, Timestamp::now());
        orders::settle(file, vms);
        let verdict = fleet.judge(file, now, Timestamp::now());
        let told = due || verdict.direction != Direction::Hold;
        if told {
            orders::apply(file, vms, &verdict, Timestamp::now());
        }
        told.then_some(verdict)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::load::{Load, Served};
    use crate::domain::vm::VmState;
    use crate::state::vm_state::VmReport;
    use crate::units::Share;

    pub(super) fn settings() -> Settings {
        let second = Duration::from_secs(1);
        Settings {
            tracking: TargetTracking {
                target: Share::saturating(0.6),
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
        }
    }

    /// A report of a VM that has been running since the epoch, made `at` seconds after it.
    pub(super) fn report(id: &str, state: VmState, cpu: f64, at: i32) -> VmReport {
        let epoch = Timestamp::UNIX_EPOCH;
        VmReport {
            id: id.parse().unwrap(),
            state,
            address: "127.0.0.1:1".to_owned(),
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
        let mut fleet = Fleet::new(settings());
        fleet.observe(&vms, now, Timestamp::now());
        let first = decide_and_write(&folder, &settings(), &fleet, &vms, now, true).unwrap();
        assert_eq!(first.unwrap().direction, Direction::Hold, "its VM was ordered just now");
        folder
            .update(|file: &mut AsStateFile| {
                file.vms[0].since = None;
                file.maximum = 2;
            })
            .unwrap();
        let verdict = decide_and_write(&folder, &settings(), &fleet, &vms, now, false).unwrap();
        assert_eq!(verdict.unwrap().to, 2, "no more than the maximum that was written meanwhile");
        let seq = folder.read::<AsStateFile>().unwrap().unwrap().seq;
        fleet.note_decision(Direction::Out, now);
        assert_eq!(decide_and_write(&folder, &settings(), &fleet, &vms, now, false).unwrap(), None);
        let after = folder.read::<AsStateFile>().unwrap().unwrap().seq;
        assert_eq!(after, seq, "a hold that is not due writes nothing");
    }
}
