//! Many requests, and a report of how they were answered.
//!
//! ```text
//!  plan ── which request is number n ──┐
//!                                      ├─▶ sent over a pool ─▶ checked ─▶ tally ─▶ report
//!  pace ── when number n is due ───────┘
//! ```
//!
//! The loop is closed (so many at once, the next one when an answer is there) or open (at times of
//! its own). An open loop counts from the moment at which a request was due, so that a server that
//! stands still is not spared the requests that it kept from being sent (G. Tene, "How not to
//! measure latency", 2013).

pub mod arrivals;
pub mod ask;
pub mod bill;
mod check;
pub mod compare;
pub mod mix;
mod pacer;
pub(super) mod paint;
pub mod plan;
pub mod report;
pub mod sizes;
mod tally;
pub mod trace;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use arrivals::{Arrivals, Rate, Rhythm};
use ask::Ready;
use check::References;
use plan::Plan;
use report::{Frame, Report};
use tally::{Done, Tally};
use wire::{Lost, Pool};

/// A load: what, when, how long, where to.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server, `host:port`.
    pub address: String,
    /// What is sent.
    pub plan: Plan,
    /// When.
    pub pace: Pace,
    /// No more requests than this.
    pub requests: Option<u64>,
    /// Nothing is sent that is not due within this time.
    pub duration: Option<Duration>,
    /// A request that has no answer after this time is lost.
    pub timeout: Duration,
    /// The seed of all draws.
    pub seed: u64,
    /// The load in words, for the report.
    pub words: String,
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// So many at once; the next one when an answer is there.
    Closed {
        /// How many.
        concurrency: u32,
    },
    /// At times of their own.
    Open {
        /// When.
        times: Times,
        /// No more than so many at once; the others wait, and that counts as their latency.
        at_most: Option<u32>,
    },
}

/// The times of an open loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Times {
    /// At a rate, which changes over a time if it is a ramp.
    Rate(Rate, Rhythm, Duration),
    /// At these times from the start on.
    Recorded(Vec<Duration>),
}

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Requests sent so far.
    pub sent: u64,
    /// Answered well so far.
    pub ok: u64,
    /// Failed and lost so far.
    pub bad: u64,
    /// Sent and not answered yet.
    pub in_flight: u64,
    /// Median and 99th percentile of latency so far, in milliseconds.
    pub latency: (f64, f64),
}

impl Times {
    /// When each request is due, from the start on.
    pub fn due(&self, seed: u64) -> Box<dyn Iterator<Item = Duration> + Send> {
        match self {
            Self::Rate(rate, rhythm, over) => Box::new(Arrivals::new(*rate, *rhythm, *over, seed)),
            Self::Recorded(times) => Box::new(times.clone().into_iter()),
        }
    }
}

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Sends a load, tells its progress four times a second, and reports what came of it. Once `stop`
/// is cancelled nothing more is sent or waited for.
///
/// # Errors
/// If inputs cannot be read or made, or the address cannot be one.
pub async fn run(
    load: Load,
    stop: CancellationToken,
    mut tell: impl FnMut(&Progress),
) -> anyhow::Result<Report> {
    let plan = load.plan.clone();
    let inputs = tokio::task::spawn_blocking(move || plan.ready()).await??;
    let began = Timestamp::now();
    let sender = Arc::new(Sender {
        pool: Pool::new(&load.address)?,
        references: References::new(inputs.len()),
        inputs,
        plan: load.plan,
        timeout: load.timeout,
        name: format!("load-{:x}", began.as_millisecond()),
        begin: Instant::now(),
        next: AtomicU64::new(0),
        requests: load.requests.unwrap_or(u64::MAX),
        duration: load.duration.unwrap_or(Duration::MAX),
        tally: Mutex::default(),
    });
    let tasks = TaskTracker::new();
    let sending = sender.clone().send_all(load.pace, load.seed, tasks.clone());
    let all = async {
        sending.await;
        tasks.close();
        tasks.wait().await;
    };
    let telling = async {
        let mut ticks = tokio::time::interval(TELL_EVERY);
        loop {
            ticks.tick().await;
            tell(&sender.progress());
        }
    };
    tokio::select! {
        () = all => {}
        () = stop.cancelled() => {}
        () = telling => {}
    }
    let frame = Frame {
        began,
        target: load.address,
        load: load.words,
        seed: load.seed,
        took: sender.begin.elapsed(),
    };
    let report = Report::of(frame, &sender.lock());
    Ok(report)
}

/// What the requests of a load share.
struct Sender {
    pool: Pool,
    inputs: Vec<Ready>,
    plan: Plan,
    references: References,
    timeout: Duration,
    /// What the ids of the requests begin with.
    name: String,
    begin: Instant,
    next: AtomicU64,
    requests: u64,
    duration: Duration,
    tally: Mutex<Tally>,
}

impl Sender {
    /// Sends until the load is at its end. Open loops leave requests in `tasks`.
    async fn send_all(self: Arc<Self>, pace: Pace, seed: u64, tasks: TaskTracker) {
        match pace {
            Pace::Closed { concurrency } => {
                for _ in 0..concurrency {
                    let sender = self.clone();
                    tasks.spawn(async move {
                        while sender.begin.elapsed() < sender.duration
                            && let Some((number, input)) = sender.next()
                        {
                            sender.send(number, input, None).await;
                        }
                    });
                }
            }
            Pace::Open { times, at_most } => {
                let places = at_most.map(|most| Arc::new(Semaphore::new(most as usize)));
                let mut due = pacer::start(times.due(seed), self.begin, self.duration);
                // What was due before the end is sent, even if it is late by now.
                while let Some(due) = due.recv().await {
                    let Some((number, input)) = self.next() else { break };
                    let (sender, places) = (self.clone(), places.clone());
                    tasks.spawn(async move {
                        // The semaphore is never closed, so a place is always given.
                        let _place = match &places {
                            Some(places) => places.acquire().await.ok(),
                            None => None,
                        };
                        sender.send(number, input, Some(due)).await;
                    });
                }
            }
        }
    }

    /// The number and the input of the next request. None at the end of the load.
    fn next(&self) -> Option<(u64, usize)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let input = (number < self.requests).then(|| self.plan.request(number)).flatten()?;
        Some((number, input))
    }

    async fn send(&self, number: u64, input: usize, due: Option<Instant>) {
        let Some(ready) = self.inputs.get(input) else { return };
        let workload = ready.workload;
        let sent = Instant::now();
        self.lock().sent += 1;
        let id = format!("{}-{number}", self.name);
        let exchange = self.pool.exchange(ready, &id, self.references.known(input));
        let outcome = tokio::time::timeout(self.timeout, exchange).await;
        let mut answer = match outcome.unwrap_or(Err(Lost::TooLate)) {
            Ok(answer) => answer,
            Err(lost) => {
                return self.lock().add_trouble(workload, None, check::lost(&lost));
            }
        };
        let checked = self.references.check(input, ready, &mut answer).await;
        let vm = answer.vm.as_deref();
        if let Err(trouble) = checked {
            return self.lock().add_trouble(workload, vm, trouble);
        }
        let latency = answer.at.duration_since(sent);
        self.lock().add(&Done {
            workload,
            vm,
            latency,
            corrected: due.map_or(latency, |due| answer.at.duration_since(due)),
            timing: answer.timing,
            attempts: answer.attempts,
            bytes_sent: ready.body.len() as u64,
            bytes_received: answer.bytes,
        });
    }

    fn progress(&self) -> Progress {
        let tally = self.lock();
        let at = |part| {
            let histogram = tally.all.corrected.histogram();
            histogram.map_or(0.0, |times| times.value_at_quantile(part) as f64 / 1e3)
        };
        Progress {
            elapsed: self.begin.elapsed(),
            sent: tally.sent,
            ok: tally.all.ok,
            bad: tally.failed + tally.lost,
            in_flight: tally.in_flight(),
            latency: (at(0.5), at(0.99)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
