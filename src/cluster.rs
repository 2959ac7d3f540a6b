//! `cumulet up`: makes real processes match ASState.xml.
//!
//! Level-triggered: at every change of a file, every exit of a process and four times a second it
//! compares what is wanted with what runs, and takes one step for each VM (`machine.rs`). It only
//! reads ASState.xml, so a decision by the autoscaler, an operator's command and an edit by hand
//! look the same to it. Killed and started again, it finds its processes by their command lines
//! and carries on (`adopt.rs`).

mod adopt;
mod alerts;
mod child;
mod feed;
mod front;
mod health;
mod hold;
mod machine;
mod reconcile;
mod records;
mod role;
mod shutdown;
mod start;
mod succession;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch::{self, Receiver};
use tokio_util::sync::CancellationToken;

use crate::config::Alert;
use crate::domain::restart::{Backoff, LaunchPace};
use crate::domain::retention::Retention;
use crate::domain::vm::VmId;
use crate::state::as_state::AsStateFile;
use crate::state::events::{Event, EventKind};
use crate::state::vm_state::VmStateFile;
use crate::state::watch::{View, Watcher};
use crate::state::{Error, StateFolder};
use child::Exit;
use front::Front;
use hold::Hold;
use machine::Machine;
use role::Role;
use succession::Predecessor;

/// How a cluster is to be run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program to start for each role: this one.
    pub program: PathBuf,
    /// Arguments that every role gets, so that it finds the same settings: `--state` and its
    /// value first, then `--config`, `--set`.
    pub handed_on: Vec<String>,
    /// Port of the balancer, 0 is any free one.
    pub port: u16,
    /// Port of the balancer's admin answers, 0 is any free one.
    pub admin_port: u16,
    /// VMs to start with, if ASState.xml does not say it.
    pub vms: u32,
    /// Type of a VM of which ASState.xml says nothing.
    pub instance_type: String,
    /// Fewest and most VMs, for a new ASState.xml.
    pub bounds: (u32, u32),
    /// How long a draining VM may take to finish what it has.
    pub drain_limit: Duration,
    /// A VM that neither reports nor answers for this long is killed and replaced.
    pub replace_silent_after: Duration,
    /// From the launch of a VM until its silence counts.
    pub health_grace: Duration,
    /// VMs launched in a minute, at most.
    pub launches_per_minute: u32,
    /// How long a VM's last hook may take, beyond the drain limit.
    pub hook_timeout: Duration,
    /// How long what happened is kept.
    pub retention: Retention,
    /// What is to be told to whom.
    pub alerts: Vec<Alert>,
    /// Whether what happens is told on stdout; may change at any time.
    pub narrate: watch::Receiver<bool>,
}

/// How often the cluster looks even if nothing tells it to.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs the cluster until `stop` is cancelled, then drains it and stops it whole; `now` cuts the
/// draining short.
///
/// # Errors
/// If another `up` holds the folder, a port is taken, or the folder cannot be used. If another one
/// takes the folder later (it was removed and made anew), this one ends and leaves its processes to
/// that one.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    stop: CancellationToken,
    now: CancellationToken,
) -> anyhow::Result<()> {
    let untold = feed::Lines::from_now(&folder);
    let restarts = signal(SignalKind::user_defined2()).context("cannot hear SIGUSR2")?;
    let mut cluster = start::start(settings, folder, restarts).await?;
    let narrator = cluster.narrate(untold);
    tokio::spawn(alerts::watch(
        cluster.settings.alerts.clone(),
        cluster.folder.clone(),
        stop.clone(),
    ));
    tokio::spawn(records::tidy(cluster.settings.retention, cluster.folder.clone(), stop.clone()));
    let ended = match cluster.reconcile_until(&stop).await {
        Ok(()) => cluster.shut_down(&now).await,
        taken => taken,
    };
    narrator.finish().await;
    ended
}

/// A running cluster: the one owner of its processes.
struct Cluster {
    settings: Settings,
    folder: StateFolder,
    /// So that no second cluster takes the folder.
    hold: Hold,
    _watcher: Watcher,
    vm_state: Receiver<View<VmStateFile>>,
    as_state: Receiver<View<AsStateFile>>,
    exits: (UnboundedSender<Exit>, UnboundedReceiver<Exit>),
    answers: (UnboundedSender<Answer>, UnboundedReceiver<Answer>),
    machines: HashMap<VmId, Machine>,
    /// VMs that died: how often, and when the next may be launched in their place.
    deaths: HashMap<VmId, (Backoff, Instant)>,
    /// How fast VMs are launched, and whether some wait for it.
    pace: LaunchPace,
    paced: bool,
    /// The time of the last report seen of each VM.
    reported: HashMap<VmId, Timestamp>,
    /// VMs whose answer is awaited.
    asked: HashSet<VmId>,
    /// When it began.
    began: Instant,
    /// What was last told to be wrong with the files.
    problems: Vec<String>,
    /// What last kept this cluster from writing, and is tried again four times a second.
    trouble: Option<String>,
    front: Front,
    balancer: Role,
    /// Balancers before it that still finish what they have.
    predecessors: Vec<Predecessor>,
    /// SIGUSR2: the balancer is to be replaced by a new one.
    restarts: Signal,
    autoscaler: Role,
    functions: Role,
}

/// What a VM's webserver said of itself; none if it said nothing.
struct Answer {
    id: VmId,
    pid: u32,
    nothing_to_do: Option<bool>,
}

impl Cluster {
    /// Says once what keeps it from writing; nothing does without an error.
    fn complain(&mut self, error: Option<Error>) {
        let trouble = error.map(|error| error.to_string());
        if let Some(trouble) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            tracing::error!("{trouble}; trying again");
        }
        self.trouble = trouble;
    }

    /// Records what happened: in events.log, and in this process's own log.
    async fn record(&self, kind: EventKind, vm: Option<&VmId>, detail: String) {
        tracing::info!(event = %kind, vm = vm.map(tracing::field::display), "{detail}");
        let event = Event::now(kind, "cluster", vm.cloned(), detail);
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || folder.append_event(&event)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "cannot record the event");
        }
    }
}
