//! The autoscaler: watches VMState.xml, asks [`crate::domain::scaling`] how many VMs there should
//! be, and writes ASState.xml.
//!
//! It holds nothing that it could not find again: killed at any moment and started again, it
//! carries on from the two files and samples.txt. Only the window of CPU shares starts anew, and
//! until it has seen a report it decides nothing.

mod fleet;
mod orders;
mod past;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::domain::decision::Direction;
use crate::domain::instance_type::InstanceType;
use crate::domain::scaling::{Daybook, Defaults, Observation, Verdict};
use crate::domain::termination::Termination;
use crate::state::as_state::AsStateFile;
use crate::state::events::{Event, EventKind};
use crate::state::lb_state::LbStateFile;
use crate::state::samples::{Sample, Seen};
use crate::state::vm_state::VmStateFile;
use crate::state::watch::{View, Watcher};
use crate::state::{Error, StateFolder};
use fleet::Fleet;

/// How the autoscaler is to work.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The policy, where ASState.xml does not say it.
    pub policy: String,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// What policies take where their parameters do not say it.
    pub defaults: Defaults,
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
    /// The instance types there are.
    pub types: BTreeMap<String, InstanceType>,
    /// The type of a VM of which nothing else is said.
    pub instance_type: String,
    /// What the boot time of a type is multiplied with.
    pub boot_scale: f64,
    /// Cores of this machine: what a VM without limits has.
    pub cores: u32,
}

impl Settings {
    /// A type, or the default one.
    fn kind(&self, instance_type: Option<&str>) -> Option<&InstanceType> {
        let name = instance_type.unwrap_or(&self.instance_type);
        self.types.get(name).or_else(|| self.types.get(&self.instance_type))
    }

    /// vCPUs of a VM of a type, or of the default one.
    fn vcpus(&self, instance_type: Option<&str>) -> f64 {
        f64::from(self.kind(instance_type).and_then(|kind| kind.vcpus).unwrap_or(self.cores).max(1))
    }

    /// What is left of them for a VM with so many CPU credits: one that has spent its credits
    /// computes at its baseline, and the rest is lost.
    fn speed(&self, instance_type: Option<&str>, credits: Option<f64>) -> f64 {
        let rule = self.kind(instance_type).and_then(InstanceType::credit_rule);
        let throttled = rule.zip(credits).map(|(rule, credits)| rule.speed(credits));
        throttled.unwrap_or_else(|| self.vcpus(instance_type))
    }

    /// The boot time of the default type. A scale beyond all measure is no help in looking ahead.
    fn boot(&self) -> Duration {
        let boot = self.types.get(&self.instance_type).map_or(Duration::ZERO, |known| known.boot);
        Duration::try_from_secs_f64(boot.as_secs_f64() * self.boot_scale)
            .map_or(Duration::from_mins(10), |boot| boot.min(Duration::from_mins(10)))
    }
}

/// Between two looks when no file changes: late reports are seen by their absence.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes at the end of samples.txt that hold the last hour of a cluster of some VMs.
const AN_HOUR: u64 = 4 << 20;
/// Bytes at the end of samples.txt that hold some days of it.
const DAYS: u64 = 128 << 20;

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
    let lb_state = watcher.follow::<LbStateFile>();
    tracing::info!(policy = settings.policy, "the autoscaler watches");
    let mut autoscaler = Autoscaler::new(settings, folder);
    autoscaler.recall().await;
    let mut reported = false;
    while !stop.is_cancelled() {
        autoscaler.look(&mut vm_state, &lb_state, reported).await;
        reported = tokio::select! {
            () = stop.cancelled() => false,
            changed = vm_state.changed() => changed.is_ok(),
            _ = as_state.changed() => false,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        as_state.mark_unchanged();
    }
    tracing::info!("the autoscaler stops");
    Ok(())
}

struct Autoscaler {
    settings: Arc<Settings>,
    folder: StateFolder,
    fleet: Fleet,
    /// When a hold was last written: holds are told once a period, changes at once.
    told: Option<Instant>,
    /// `desired` as this process wrote it last.
    desired: Option<u32>,
    /// What last kept it from writing, and is tried again at each look.
    trouble: Option<String>,
    /// Earlier days, being read.
    days: Option<JoinHandle<Result<Daybook, Error>>>,
}

/// A decision that was written.
struct Written {
    verdict: Verdict,
    seen: Observation,
    policy: String,
    desired: u32,
}

impl Autoscaler {
    fn new(settings: Settings, folder: StateFolder) -> Self {
        let settings = Arc::new(settings);
        let fleet = Fleet::new(Arc::clone(&settings), Instant::now());
        Self { settings, folder, fleet, told: None, desired: None, trouble: None, days: None }
    }

    /// Finds again what an earlier process knew. Days take longer to read than an hour: they come
    /// when they come.
    async fn recall(&mut self) {
        let folder = self.folder.clone();
        let read = spawn_blocking(move || {
            (folder.read::<AsStateFile>().ok().flatten(), folder.tail::<Sample>(AN_HOUR))
        });
        if let Ok((orders, samples)) = read.await {
            let samples = samples.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot look back");
                Vec::new()
            });
            let (now, wall) = (Instant::now(), Timestamp::now());
            self.fleet.past.recall(orders.as_ref(), &samples, now, wall);
        }
        let folder = self.folder.clone();
        let days = move || folder.tail::<Sample>(DAYS).map(|samples| past::days_of(&samples));
        self.days = Some(spawn_blocking(days));
    }

    /// Takes in earlier days once they have been read.
    async fn take_in_days(&mut self) {
        if let Some(days) = self.days.take_if(|days| days.is_finished()) {
            match days.await {
                Ok(Ok(days)) => self.fleet.past.recall_days(days),
                Ok(Err(error)) => tracing::warn!(%error, "cannot look back at earlier days"),
                Err(error) => tracing::warn!(%error, "cannot look back at earlier days"),
            }
        }
    }

    /// Reads what the VMs say, decides, and writes the decision if there is something to say. What
    /// a look finds that nobody has `reported` for is no answer to a report.
    async fn look(
        &mut self,
        vm_state: &mut Receiver<View<VmStateFile>>,
        lb_state: &Receiver<View<LbStateFile>>,
        reported: bool,
    ) {
        self.take_in_days().await;
        let Some(vms) = vm_state.borrow_and_update().document.clone() else { return };
        let now = Instant::now();
        self.fleet.observe(&vms, now, Timestamp::now());
        if let Some(balancer) = lb_state.borrow().document.as_ref() {
            self.fleet.past.hear(balancer, now);
        }
        let due = self.told.is_none_or(|told| now - told >= self.settings.report_every);
        // The fleet goes along and comes back: an hour of it is too much to copy at each look.
        let new = Fleet::new(Arc::clone(&self.settings), now);
        let mut fleet = std::mem::replace(&mut self.fleet, new);
        let (folder, settings) = (self.folder.clone(), Arc::clone(&self.settings));
        let looked = Look { now, due, desired: self.desired };
        let done = spawn_blocking(move || {
            let written = upkeep::keep(&folder, settings.warm_pool, &vms)
                .and_then(|()| decide_and_write(&folder, &settings, &mut fleet, &vms, &looked));
            (fleet, written)
        });
        let before = self.trouble.take();
        let written = match done.await {
            Ok((fleet, written)) => {
                self.fleet = fleet;
                written
            }
            // It starts anew, as a new process would.
            Err(error) => return tracing::error!(%error, "the decision was not finished"),
        };
        match written {
            Ok(Some(written)) => self.take_down(written, now, reported).await,
            Ok(None) => {}
            Err(error) => {
                let trouble = error.to_string();
                if before.as_ref() != Some(&trouble) {
                    tracing::error!(%error, "cannot write the decision; trying again");
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// Remembers a decision that was written, and tells of it.
    async fn take_down(&mut self, written: Written, now: Instant, reported: bool) {
        self.told = Some(now);
        self.desired = Some(written.desired);
        let wall = Timestamp::now();
        self.fleet.past.history_for(&written.policy);
        self.fleet.past.note(&written.verdict, written.seen, wall);
        let reaction = self.fleet.reaction(wall).filter(|_| reported);
        let (folder, census) = (self.folder.clone(), self.fleet.census());
        let told = spawn_blocking(move || tell(&folder, census, written, reaction));
        if let Ok(Err(error)) = told.await {
            tracing::warn!(%error, "cannot record the decision");
        }
    }
}

/// Tells the decision in samples.txt and, if it changes anything, in events.log.
fn tell(
    folder: &StateFolder,
    (running, booting, draining): (u32, u32, u32),
    Written { verdict, seen, policy, .. }: Written,
    reaction: Option<Duration>,
) -> Result<(), Error> {
    let Verdict { direction, from, to, reason, .. } = verdict;
    let reaction_ms = reaction.map(|time| time.as_secs_f64() * 1000.0);
    folder.append_sample(&Sample::Decision {
        at: Timestamp::now(),
        fleet: running + booting + draining,
        running,
        booting,
        draining,
        desired: to,
        offered_load: seen.offered,
        queue_seconds: seen.backlog,
        action: direction,
        reason: reason.clone(),
        seen: Seen {
            policy: Some(policy),
            cpu: seen.cpu,
            busy: Some(seen.busy),
            in_flight: Some(seen.in_flight),
            queued: Some(seen.queued),
            rate: seen.rate,
            advice: verdict.advice,
            reaction_ms,
        },
    })?;
    tracing::debug!(%direction, from, to, reason, reaction_ms, "decided");
    if direction == Direction::Hold {
        return Ok(());
    }
    tracing::info!(%direction, from, to, reason, reaction_ms, "scales");
    let detail = format!("{direction} {from} to {to}: {reason}");
    folder.append_event(&Event::now(EventKind::Scale, "autoscaler", None, detail))
}

/// When and why it looks.
struct Look {
    now: Instant,
    /// A hold is to be told, too.
    due: bool,
    /// `desired` as this process wrote it last.
    desired: Option<u32>,
}

/// One decision under the lock of ASState.xml, so that nothing an operator wrote meanwhile is
/// undone. Returns it if it was written.
fn decide_and_write(
    folder: &StateFolder,
    settings: &Settings,
    fleet: &mut Fleet,
    vms: &VmStateFile,
    look: &Look,
) -> Result<Option<Written>, Error> {
    folder.update_if_changed(AsStateFile::default, |file: &mut AsStateFile| {
        let wall = Timestamp::now();
        orders::notice_wish(file, look.desired);
        orders::fill_in(file, vms, settings, wall);
        orders::settle(file, vms);
        let (verdict, seen) = fleet.judge(file, look.now, wall);
        if !look.due && verdict.direction == Direction::Hold && file.asked().is_none() {
            return None;
        }
        orders::apply(file, vms, &verdict, wall);
        Some(Written { verdict, seen, policy: file.policy.clone(), desired: file.desired })
    })
}

#[cfg(test)]
mod tests;
