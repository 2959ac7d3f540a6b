//! LBState.xml: what the balancer sees, written every second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::fleet::{Chosen, Fleet};
use super::learner::Learner;
use super::pulse::Pulse;
use super::target::Target;
use crate::domain::cost::{Accuracy, Kind};
use crate::state::StateFolder;
use crate::state::lb_state::{LbCapacity, LbChoice, LbPrediction, LbStateFile, LbTarget, LbTotals};

/// How often the file is written.
const PERIOD: Duration = Duration::from_secs(1);

/// Who writes.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Where the balancer takes requests.
    pub(super) address: String,
    /// Its process.
    pub(super) pid: u32,
    /// Whether it gets a core when it wants one.
    pub(super) pulse: Arc<Pulse>,
}

/// Writes the file every second until `end`, and once more then. After `stop` it leaves the file to a
/// balancer that has taken over, if there is one.
pub(super) async fn run(
    fleet: Arc<Fleet>,
    learner: Arc<Learner>,
    folder: StateFolder,
    identity: Identity,
    stop: CancellationToken,
    end: CancellationToken,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            biased;
            () = end.cancelled() => true,
            due = ticks.tick() => {
                identity.pulse.take(due.elapsed());
                false
            }
        };
        let seen = snapshot(&fleet, &learner, &identity, Instant::now());
        let (folder, stopping) = (folder.clone(), stop.is_cancelled());
        let written = tokio::task::spawn_blocking(move || {
            folder.update_if_changed(LbStateFile::default, |file: &mut LbStateFile| {
                if stopping && file.pid != seen.pid {
                    return;
                }
                let (seq, foreign) = (file.seq, std::mem::take(&mut file.foreign));
                *file = LbStateFile { seq, foreign, ..seen };
            })
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "LBState.xml was not written");
        }
        if is_last {
            return;
        }
    }
}

/// What the balancer sees at `now`.
pub(super) fn snapshot(
    fleet: &Fleet,
    learner: &Learner,
    identity: &Identity,
    now: Instant,
) -> LbStateFile {
    let vms = fleet.targets().iter().map(|target| line(fleet, target, now)).collect();
    let predictions = learner.accuracy().into_iter().map(prediction).collect();
    let (queued, queued_work) = fleet.queue();
    let totals = fleet.count(|totals| {
        let (rate, offered_load) = totals.rates(now);
        LbTotals {
            requests: totals.requests,
            in_flight: totals.in_flight,
            queued,
            queue_seconds: queued_work.seconds(),
            failures: totals.failures,
            retries: totals.retries,
            overflowed: totals.overflowed,
            rate,
            offered_load,
        }
    });
    LbStateFile {
        reported_at: Some(Timestamp::now()),
        address: identity.address.clone(),
        pid: identity.pid,
        policy: fleet.policy().to_string(),
        scheduling_delay_ms: identity.pulse.delay().as_secs_f64() * 1e3,
        totals,
        predictions,
        vms,
        choices: fleet.recent().iter().map(choice).collect(),
        ..LbStateFile::default()
    }
}

fn prediction((kind, accuracy): (Kind, Accuracy)) -> LbPrediction {
    LbPrediction { workload: kind, requests: accuracy.answers, error: accuracy.error }
}

fn choice(chosen: &Chosen) -> LbChoice {
    LbChoice {
        at: chosen.at,
        request: chosen.request.to_str().unwrap_or_default().to_owned(),
        attempt: chosen.attempt,
        workload: chosen.kind.as_str().to_owned(),
        work_seconds: chosen.work.seconds(),
        waited_ms: chosen.waited.as_secs_f64() * 1e3,
        vm: chosen.reason.chosen.id.clone(),
        reason: chosen.reason.to_string(),
    }
}

fn line(fleet: &Fleet, target: &Target, now: Instant) -> LbTarget {
    let mut state = target.state();
    let percentiles = state.tally.latency.percentiles(now);
    LbTarget {
        id: target.id.clone(),
        in_rotation: state.standing().is_in_rotation(),
        reason: state.reason(),
        in_flight: state.in_flight,
        outstanding_seconds: state.outstanding.seconds(),
        served: state.tally.answered.iter().sum(),
        failures: state.tally.failures,
        retries: state.tally.retries,
        p50_ms: percentiles.p50,
        p95_ms: percentiles.p95,
        p99_ms: percentiles.p99,
        ejections: state.tally.ejections,
        capacity: LbCapacity {
            cap: target.cap,
            speed: target.speed_of(&state, fleet.age(now)),
            weight: fleet.weight(&state, now),
            foreign: state.foreign.at(fleet.age(now)),
        },
    }
}
