//! One life of one VM as the balancer sees it: its numbers, its health, its idle connections.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::latency::{Buckets, Latency};
use super::upstream::Connection;
use crate::domain::balancing::{self, Foreign, Standing};
use crate::domain::cost::{Kind, Pace, Work};
use crate::domain::health::{Cause, Health, Phase};
use crate::domain::vm::VmId;

/// An idle connection is not used after this time: below the 30 s after which a VM closes one that
/// sends nothing, so that requests rarely meet a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// More idle connections than this are not kept.
const IDLE_CONNECTIONS: usize = 256;

/// One life of one VM: another process or address under the same name is another target.
pub(super) struct Target {
    /// The VM.
    pub(super) id: VmId,
    /// The same as it stands in the heads of answers.
    pub(super) name: HeaderValue,
    /// Its process.
    pub(super) pid: u32,
    /// Where it listens, `host:port`.
    pub(super) address: String,
    /// Its socket on this machine, if it offers one that is to be used.
    pub(super) socket: Option<PathBuf>,
    /// How many vCPUs' worth of work it does in a second.
    pub(super) speed: f64,
    /// How many requests it may have at once; none is any number.
    pub(super) cap: Option<u32>,
    /// Whether it is a function, which serves when no VM can.
    pub(super) is_function: bool,
    /// Cancelled when this life is over.
    pub(super) over: CancellationToken,
    state: Mutex<State>,
    idle: Mutex<Idle>,
}

/// What changes about a target.
pub(super) struct State {
    /// What the files say against sending it requests; nothing if it may have them.
    pub(super) barred: Option<String>,
    /// Since when it serves again, after a time in which it did not; none if it was found serving.
    pub(super) serving_since: Option<Instant>,
    /// What became of the last requests.
    pub(super) health: Health,
    /// Since when it is ejected.
    pub(super) out_since: Option<Instant>,
    /// Requests sent and not answered yet.
    pub(super) in_flight: u32,
    /// The most of those lately.
    peak: Peak,
    /// Predicted work of those in flight.
    pub(super) outstanding: Work,
    /// How fast it computes, by what its answers cost and were foretold to cost.
    pub(super) pace: Pace,
    /// The most vCPUs that its CPU credits leave it, by its last report; none for a type without.
    pub(super) throttled_to: Option<f64>,
    /// Requests that others have put there.
    pub(super) foreign: Foreign,
    /// What it had in flight and queued by its last report.
    pub(super) reported: u32,
    /// The number of the last choice that fell on it.
    pub(super) last_chosen: u64,
    /// What it has done since the balancer started, under this name.
    pub(super) tally: Tally,
    /// Its last report, and when that was first seen.
    pub(super) report: (Option<Timestamp>, Instant),
    /// Ends the attempts that wait for an answer, when it is found hanging.
    hung: CancellationToken,
    /// How often that happened.
    pub(super) hangs: u32,
}

/// The most requests that were in flight at once during the last one to two [`PEAK_OVER`].
struct Peak {
    from: Instant,
    now: u32,
    before: u32,
}

/// A VM has counted its requests at most so long ago when its word arrives.
const PEAK_OVER: Duration = Duration::from_secs(1);

impl Peak {
    fn note(&mut self, in_flight: u32, now: Instant) -> u32 {
        let age = now.saturating_duration_since(self.from);
        if age >= PEAK_OVER {
            let before = if age < PEAK_OVER * 2 { self.now } else { in_flight };
            *self = Self { from: now, now: in_flight, before };
        }
        self.now = self.now.max(in_flight);
        self.now.max(self.before)
    }
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
    /// The same by workload, in the order of [`Kind::ALL`].
    pub(super) by_kind: [Buckets; Kind::ALL.len()],
}

#[derive(Default)]
struct Idle {
    /// In the order in which they were put back.
    connections: VecDeque<(Connection, Instant)>,
    retired: bool,
}

impl Target {
    /// A new life of the VM `id`, whose name has this `tally` so far.
    pub(super) fn new(
        id: VmId,
        pid: u32,
        address: String,
        speed: f64,
        cap: Option<u32>,
        now: Instant,
        tally: Tally,
    ) -> Self {
        let state = State {
            barred: Some("just found".to_owned()),
            serving_since: None,
            health: Health::default(),
            out_since: None,
            in_flight: 0,
            peak: Peak { from: now, now: 0, before: 0 },
            outstanding: Work::NONE,
            pace: Pace::default(),
            throttled_to: None,
            foreign: Foreign::default(),
            reported: 0,
            last_chosen: 0,
            tally,
            report: (None, now),
            hung: CancellationToken::new(),
            hangs: 0,
        };
        let over = CancellationToken::new();
        let (state, idle) = (Mutex::new(state), Mutex::default());
        // Cannot fail: an id is letters, digits and hyphens.
        let name = HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static("-"));
        let (socket, is_function) = (None, false);
        Self { id, name, pid, address, socket, speed, cap, is_function, over, state, idle }
    }

    /// The same with a socket, if it offers one.
    pub(super) fn with_socket(self, socket: Option<PathBuf>) -> Self {
        Self { socket, ..self }
    }

    /// The same as a function.
    pub(super) fn into_function(self) -> Self {
        Self { is_function: true, ..self }
    }

    /// How many vCPUs' worth of work it does in a second, in this state of it; `age` is the fleet's.
    pub(super) fn speed_of(&self, state: &State, age: Duration) -> f64 {
        state.allowed(self.speed) * state.pace.factor(age)
    }

    /// Its numbers, locked.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was put back last and is still open: a few stay warm, the rest age out.
    pub(super) fn take_idle(&self, now: Instant) -> Option<Connection> {
        let is_old = |since: &Instant| now.saturating_duration_since(*since) > IDLE_TIMEOUT;
        let mut idle = self.idle();
        while idle.connections.front().is_some_and(|(_, since)| is_old(since)) {
            idle.connections.pop_front();
        }
        while let Some((connection, _)) = idle.connections.pop_back() {
            if connection.is_silent() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put_back(&self, connection: Connection, now: Instant) {
        let mut idle = self.idle();
        if !idle.retired && idle.connections.len() < IDLE_CONNECTIONS {
            idle.connections.push_back((connection, now));
        }
    }

    /// Drops the idle connections: they are of no use to a dead process.
    pub(super) fn drop_idle(&self) {
        self.idle().connections.clear();
    }

    /// Drops the idle connections and keeps no more: this life is over.
    pub(super) fn retire(&self) {
        self.over.cancel();
        let mut idle = self.idle();
        idle.retired = true;
        idle.connections.clear();
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is left of this many vCPUs.
    pub(super) fn allowed(&self, vcpus: f64) -> f64 {
        self.throttled_to.map_or(vcpus, |most| most.min(vcpus))
    }

    /// It is found hanging.
    pub(super) fn hangs(&mut self) {
        self.hangs = self.hangs.wrapping_add(1);
        std::mem::take(&mut self.hung).cancel();
    }

    /// Cancelled when it is found hanging; at once if it was since it had hung so often.
    pub(super) fn hung_since(&self, hangs: u32) -> CancellationToken {
        if self.hangs == hangs {
            return self.hung.clone();
        }
        let token = CancellationToken::new();
        token.cancel();
        token
    }

    /// A request of so much `work` is sent to it, by the choice of this number.
    pub(super) fn take_on(&mut self, work: Work, choice: u64, now: Instant) {
        self.in_flight += 1;
        self.peak.note(self.in_flight, now);
        self.outstanding = self.outstanding + work;
        self.last_chosen = choice;
    }

    /// The VM says that it has `inside` requests; `age` is `now` as [`Foreign`] counts.
    pub(super) fn hear_load(&mut self, inside: u32, now: Instant, age: Duration) {
        let own = self.peak.note(self.in_flight, now);
        self.foreign.heard(inside, own, age);
    }

    /// The most requests it had at once in the last second or two.
    pub(super) fn peak(&mut self, now: Instant) -> u32 {
        self.peak.note(self.in_flight, now)
    }

    /// Takes in what the files say against sending it requests. One that comes into service warms
    /// up, unless it is `warm`.
    pub(super) fn bar(&mut self, barred: Option<String>, now: Instant, warm: bool) {
        if self.barred.is_some() && barred.is_none() && !warm {
            self.serving_since = Some(now);
        }
        self.barred = barred;
    }

    /// What part of its share it is to get.
    pub(super) fn weight(&self, now: Instant, ramp: Duration) -> f64 {
        let age = |since| now.saturating_duration_since(since);
        self.serving_since.map_or(1.0, |since| balancing::slow_start(age(since), ramp))
    }

    /// Whether it may be chosen.
    pub(super) fn standing(&self) -> Standing {
        match (&self.barred, self.health.phase()) {
            (Some(_), _) => Standing::Barred,
            (None, Phase::Out(Cause::Fails)) => Standing::Ejected,
            (None, Phase::Out(_)) => Standing::Dead,
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
