//! One life of one VM as the balancer sees it: its numbers, its health, its idle connections.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::latency::Latency;
use super::tape::Reader;
use crate::domain::balancing::Standing;
use crate::domain::cost::{Pace, Work};
use crate::domain::health::{Health, Phase};
use crate::domain::vm::VmId;

/// An idle connection is not used after this time: below the 30 s after which a VM closes one that
/// sends nothing, so that requests rarely meet a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// More idle connections than this are not kept.
const IDLE_CONNECTIONS: usize = 256;

/// A connection that takes the next request.
pub(super) type Connection = SendRequest<Reader>;

/// One life of one VM: another process or address under the same name is another target.
pub(super) struct Target {
    /// The VM.
    pub(super) id: VmId,
    /// Its process.
    pub(super) pid: u32,
    /// Where it listens, `host:port`.
    pub(super) address: String,
    /// How many vCPUs' worth of work it does in a second.
    pub(super) speed: f64,
    state: Mutex<State>,
    idle: Mutex<Idle>,
}

/// What changes about a target.
pub(super) struct State {
    /// What the files say against sending it requests; nothing if it may have them.
    pub(super) barred: Option<String>,
    /// What became of the last requests.
    pub(super) health: Health,
    /// Since when it is ejected.
    pub(super) out_since: Option<Instant>,
    /// Requests sent and not answered yet.
    pub(super) in_flight: u32,
    /// Predicted work of those.
    pub(super) outstanding: Work,
    /// How fast it computes, by what its answers cost and were foretold to cost.
    pub(super) pace: Pace,
    /// The number of the last choice that fell on it.
    pub(super) last_chosen: u64,
    /// What it has done since the balancer started, under this name.
    pub(super) tally: Tally,
    /// Its last report, and when that was first seen.
    pub(super) report: (Timestamp, Instant),
    /// Ends the attempts that wait for an answer, when it is found hanging.
    pub(super) hung: CancellationToken,
}

/// Counters of one VM.
#[derive(Clone, Default)]
pub(super) struct Tally {
    /// Requests answered, by the first digit of the status (index 0: 1xx).
    pub(super) answered: [u64; 5],
    /// Attempts that failed.
    pub(super) failures: u64,
    /// Requests that failed here and were sent elsewhere.
    pub(super) retries: u64,
    /// How often it was ejected.
    pub(super) ejections: u64,
    /// Times to answer.
    pub(super) latency: Latency,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Connection, Instant)>,
    retired: bool,
}

impl Target {
    /// A new life of the VM `id`, whose name has this `tally` so far.
    pub(super) fn new(
        id: VmId,
        pid: u32,
        address: String,
        speed: f64,
        report: (Timestamp, Instant),
        tally: Tally,
    ) -> Self {
        let state = State {
            barred: None,
            health: Health::default(),
            out_since: None,
            in_flight: 0,
            outstanding: Work::NONE,
            pace: Pace::default(),
            last_chosen: 0,
            tally,
            report,
            hung: CancellationToken::new(),
        };
        Self { id, pid, address, speed, state: Mutex::new(state), idle: Mutex::default() }
    }

    /// Its numbers, locked.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was put back last and is ready: a few stay warm, the rest age out.
    pub(super) fn take_idle(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle();
        idle.connections.retain(|(connection, since)| {
            !connection.is_closed() && now.saturating_duration_since(*since) <= IDLE_TIMEOUT
        });
        let youngest =
            idle.connections.iter().rposition(|(connection, _)| connection.is_ready())?;
        Some(idle.connections.remove(youngest).0)
    }

    /// Keeps a connection for the next request.
    pub(super) fn put_back(&self, connection: Connection, now: Instant) {
        let mut idle = self.idle();
        if !idle.retired && idle.connections.len() < IDLE_CONNECTIONS && !connection.is_closed() {
            idle.connections.push((connection, now));
        }
    }

    /// Drops the idle connections: they are of no use to a dead process.
    pub(super) fn drop_idle(&self) {
        self.idle().connections.clear();
    }

    /// Drops the idle connections and keeps no more: this life is over.
    pub(super) fn retire(&self) {
        let mut idle = self.idle();
        idle.retired = true;
        idle.connections.clear();
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it may be chosen.
    pub(super) fn standing(&self) -> Standing {
        match (&self.barred, self.health.phase()) {
            (Some(_), _) | (None, Phase::Out(_)) => Standing::Out,
            (None, Phase::Suspect(_)) => Standing::Suspect,
            (None, Phase::Sound) => Standing::Sound,
        }
    }

    /// Why it is in rotation, or why not.
    pub(super) fn reason(&self) -> String {
        match (&self.barred, self.health.phase()) {
            (Some(reason), _) => reason.clone(),
            (None, Phase::Sound) => "running".to_owned(),
            (None, Phase::Suspect(cause)) => format!("suspect: {cause}"),
            (None, Phase::Out(cause)) => format!("ejected: {cause}"),
        }
    }
}
