//! The balancer: takes requests, chooses a VM for each, forwards, repeats what may be repeated.
//!
//! ```text
//!  client ─▶ proxy ── heads checked, cost predicted ─▶ fleet ── which VM, or wait for one
//!              │  ▲                                      ▲ ▲
//!              │  └─ again, elsewhere ─┐   VMState.xml,  │ │  probes of VMs
//!              ▼                       │   ASState.xml ──┘ └─ that seem dead
//!           forward ── pooled connection ─▶ VM
//! ```
//!
//! It knows of VMs what two files say, [`VmStateFile`] and [`AsStateFile`], and what it has seen of
//! them itself; it tells of them in LBState.xml. When a request may be repeated is written down in
//! `docs/adr/0004-the-retry-rule.md`.

mod admin;
mod answer;
mod buffers;
mod delivery;
mod features;
mod finish;
mod fleet;
mod forward;
mod front;
mod headers;
mod hedge;
mod journal;
mod killers;
mod lane;
mod latency;
mod learner;
mod lease;
mod merged;
mod message;
mod overflow;
mod patience;
mod probe;
mod problems;
mod prometheus;
mod proxy;
mod pulse;
mod record;
mod report;
mod sampler;
mod signature;
mod strict;
mod tape;
mod target;
mod totals;
mod tunnel;
mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::balancing::Policy;
use crate::domain::health::Change;
use crate::domain::instance_type::{self, InstanceType};
use crate::domain::overflow::Rules as OverflowRules;
use crate::state::as_state::AsStateFile;
use crate::state::events::{Event, EventKind};
use crate::state::function_state::FunctionStateFile;
use crate::state::functions::FunctionsFile;
use crate::state::vm_state::VmStateFile;
use crate::state::{StateFolder, View, Watcher};
use fleet::{Fleet, Rules};
use journal::Journal;
use learner::Learner;
use overflow::Overflow;
use proxy::Proxy;
use report::Identity;
use sampler::Sampler;
use target::Target;

pub use pulse::raise_priority;

/// How the balancer behaves.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting by itself")]
pub struct Settings {
    /// How a VM is chosen.
    pub policy: Policy,
    /// For how long the requests in progress may go on after a stop.
    pub grace: Duration,
    /// For how long a VM may leave a connection waiting to be taken up.
    pub connect_timeout: Duration,
    /// The longest body of a request, in bytes. Bodies are kept while they are sent on, so that
    /// they can be sent again.
    pub body_limit: u64,
    /// The longest answer that is held until it is whole, in bytes; a longer one streams, and is
    /// cut off if its VM dies.
    pub held_answer_limit: u64,
    /// To how many VMs a request may be sent, one after the other. VMs that take up no connection
    /// do not count.
    pub attempts: u32,
    /// How many requests a VM has at once for each of its vCPUs; 0 is any number.
    pub requests_per_vcpu: u32,
    /// For how long a VM that has just come into service gets less than its share.
    pub slow_start: Duration,
    /// Whether an idle VM is asked too when an answer is late.
    pub hedge: bool,
    /// Whether VMs are reached through the sockets that they offer in the state folder; without, or
    /// where there is none, through their ports.
    pub vm_sockets: bool,
    /// How many requests may wait for a VM at once.
    pub queue_length: u64,
    /// For how long a request may wait for a VM.
    pub queue_deadline: Duration,
    /// How long a request may take, from its arrival to the whole answer.
    pub request_deadline: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a client may take to send the body of a request, while somebody wants it.
    pub body_timeout: Duration,
    /// How long a client may take to read an answer.
    pub answer_timeout: Duration,
    /// How often VMs report. After three periods of silence a VM is suspect.
    pub report_period: Duration,
    /// Whether to write a line for each request to `log/access.log`.
    pub access_log: bool,
    /// Whether to print a line for each request to standard output.
    pub print_requests: bool,
    /// The instance types there are, by name: a VM's type tells its speed.
    pub types: BTreeMap<String, InstanceType>,
    /// When a request that no VM can take in time goes to a function.
    pub overflow: OverflowRules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            grace: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            body_limit: 64 << 20,
            held_answer_limit: 8 << 20,
            attempts: 3,
            requests_per_vcpu: 2,
            slow_start: Duration::from_secs(2),
            hedge: false,
            vm_sockets: true,
            queue_length: 10_000,
            queue_deadline: Duration::from_secs(30),
            request_deadline: Duration::from_mins(5),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_mins(1),
            answer_timeout: Duration::from_mins(1),
            report_period: Duration::from_secs(5),
            access_log: true,
            print_requests: false,
            types: instance_type::built_in(),
            overflow: OverflowRules::default(),
        }
    }
}

/// For how long lines may still be written after the last request.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(5);

/// Serves requests on `listener` and questions about itself on `admin` until `stop`, then lets the
/// requests in progress finish.
///
/// # Errors
/// If the state folder cannot be watched, or a socket has no address.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    listener: TcpListener,
    admin: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("asking for the balancer's own address")?;
    let (journal, writer) =
        Journal::start(folder.clone(), settings.print_requests, settings.access_log)
            .context("starting the thread that writes the journal and its access log")?;
    let events = journal.clone();
    let fleet = Arc::new(Fleet::new(rules(&settings, &folder), move |target, change| {
        events.event(event_of(target, change));
    }));
    let watcher = Watcher::start(&folder).context("watching the state folder")?;
    let vm_states = watcher.follow::<VmStateFile>();
    let as_states = watcher.follow::<AsStateFile>();
    take_in(&fleet, &vm_states, &as_states);
    let overflow = Arc::new(Overflow::new(settings.overflow.clone()));
    let functions = (watcher.follow(), watcher.follow());

    let learner = Arc::new(Learner::open(&folder));
    let sampler = Sampler::start().context("starting the thread that samples renders")?;

    let background = CancellationToken::new();
    let _cancels_background = background.clone().drop_guard();
    let upkeep = [
        tokio::spawn(background.clone().run_until_cancelled_owned(follow(
            fleet.clone(),
            vm_states,
            as_states,
        ))),
        tokio::spawn(background.clone().run_until_cancelled_owned(probe::run(fleet.clone()))),
        tokio::spawn(
            background
                .clone()
                .run_until_cancelled_owned(follow_functions(overflow.clone(), functions)),
        ),
    ];
    let keeper = tokio::spawn(learner::keep(learner.clone(), folder.clone(), background.clone()));
    let identity =
        Identity { address: address.to_string(), pid: std::process::id(), pulse: Arc::default() };
    let reports = tokio::spawn(report::run(
        fleet.clone(),
        learner.clone(),
        folder.clone(),
        identity.clone(),
        stop.clone(),
        background.clone(),
    ));
    let questions = tokio::spawn(admin::serve(
        admin,
        fleet.clone(),
        learner.clone(),
        (identity, watcher.follow()),
        background.clone(),
    ));

    let grace = settings.grace;
    let limits = front_limits(&settings);
    let proxy = Arc::new(Proxy::new(settings, fleet, journal.clone(), learner, sampler, overflow));
    let finished = front::serve(proxy, listener, limits, stop, grace).await;
    if !finished {
        tracing::warn!(
            "some requests were cut off: they took longer than {grace:?} after the stop"
        );
    }
    background.cancel();
    for task in upkeep {
        task.await.context("a task of the balancer's upkeep")?;
    }
    keeper.await.context("the task that keeps what was learned")?;
    reports.await.context("the task that writes LBState.xml")?;
    questions.await.context("the admin listener")?;
    drop(watcher);
    end_journal(&journal, writer).await;
    Ok(())
}

fn front_limits(settings: &Settings) -> strict::Limits {
    strict::Limits {
        head: settings.head_timeout,
        body: settings.body_timeout,
        answer: settings.answer_timeout,
    }
}

fn rules(settings: &Settings, folder: &StateFolder) -> Rules {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Rules {
        policy: settings.policy,
        report_period: settings.report_period,
        queue_length: settings.queue_length,
        queue_deadline: settings.queue_deadline,
        types: settings.types.clone(),
        requests_per_vcpu: settings.requests_per_vcpu,
        slow_start: settings.slow_start,
        cores: u32::try_from(cores).unwrap_or(1),
        sockets_in: settings.vm_sockets.then(|| folder.path().to_owned()),
    }
}

/// Keeps the fleet as the files say.
async fn follow(
    fleet: Arc<Fleet>,
    mut vm_states: watch::Receiver<View<VmStateFile>>,
    mut as_states: watch::Receiver<View<AsStateFile>>,
) {
    loop {
        let changed = tokio::select! {
            changed = vm_states.changed() => changed,
            changed = as_states.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        vm_states.mark_unchanged();
        as_states.mark_unchanged();
        take_in(&fleet, &vm_states, &as_states);
    }
}

/// Keeps the functions that requests may overflow to as the files say.
async fn follow_functions(
    overflow: Arc<Overflow>,
    (mut defined, mut states): (
        watch::Receiver<View<FunctionsFile>>,
        watch::Receiver<View<FunctionStateFile>>,
    ),
) {
    loop {
        let defined_now = defined.borrow_and_update().document.clone();
        let state_now = states.borrow_and_update().document.clone();
        if let (Some(defined), Some(state)) = (defined_now, state_now) {
            overflow.update(&defined, &state, Instant::now());
        }
        let changed = tokio::select! {
            changed = defined.changed() => changed,
            changed = states.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn take_in(
    fleet: &Arc<Fleet>,
    vm_states: &watch::Receiver<View<VmStateFile>>,
    as_states: &watch::Receiver<View<AsStateFile>>,
) {
    let (vms, orders) = (vm_states.borrow().clone(), as_states.borrow().clone());
    for problem in [&vms.problem, &orders.problem].into_iter().flatten() {
        tracing::warn!(%problem, "the last good view stays in force");
    }
    fleet.update(vms.document, orders.document, Instant::now());
}

fn event_of(target: &Target, change: Change) -> Event {
    let (kind, detail) = match change {
        Change::Ejected(cause) => (EventKind::Eject, format!("out of rotation: {cause}")),
        Change::Readmitted => {
            (EventKind::Readmit, "back in rotation: it answered a probe".to_owned())
        }
    };
    let vm = Some(target.id.clone());
    Event { at: Timestamp::now(), kind, role: "balancer".to_owned(), vm, detail }
}

async fn end_journal(journal: &Journal, writer: JoinHandle<()>) {
    let journal = journal.clone();
    let ended = tokio::task::spawn_blocking(move || {
        journal.end();
        writer.join()
    });
    let ended = tokio::time::timeout(JOURNAL_PATIENCE, ended).await;
    if !matches!(ended, Ok(Ok(Ok(())))) {
        tracing::warn!("the last lines of the journal were not written");
    }
}
