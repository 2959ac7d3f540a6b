//! What all tasks of one VM share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::admission::{Admission, Place, Waiting};
use super::body::{Bounds, Received};
use super::job::{self, Job, Output};
use super::ledger::Ledger;
use super::life::Phase;
use super::occupancy::Occupancy;
use super::priority;
use super::register::Register;
use super::virtual_cpu::{JobPacer, VirtualCpu};
use crate::domain::credits::Credits;
use crate::domain::load::Served;
use crate::http::Problem;
use crate::units::Share;
use crate::workload::{Error, Run};

/// One VM, as its tasks and threads see it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) settings: Settings,
    /// Where it listens, `host:port`.
    pub(super) address: String,
    /// Its socket, a path from the state folder, if it offers one.
    pub(super) socket: Option<String>,
    pub(super) launched_at: Timestamp,
    /// Where it is in its life.
    pub(super) phase: watch::Sender<Phase>,
    pub(super) admission: Arc<Admission>,
    pub(super) bodies: Bounds,
    pub(super) ledger: Ledger,
    pub(super) register: Arc<Register>,
    /// Cancelled when work in progress is no longer waited for.
    pub(super) give_up: CancellationToken,
    started: Instant,
    threads: NonZeroUsize,
    cpu: Arc<VirtualCpu>,
    occupancy: Mutex<Occupancy>,
    served: Mutex<Served>,
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct Done {
    /// Its output, or why there is none.
    pub(super) result: Result<Output, Error>,
    /// CPU time of its threads.
    pub(super) cpu: Duration,
}

impl Machine {
    pub(super) fn new(
        settings: Settings,
        address: String,
        socket: Option<String>,
        ledger: Ledger,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let instance_type = &settings.instance_type;
        let threads = instance_type.threads(cores);
        let vcpus = instance_type.vcpus.unwrap_or(cores);
        Self {
            address,
            socket,
            launched_at: Timestamp::now(),
            phase: watch::Sender::new(Phase::default()),
            admission: Admission::new(
                instance_type.concurrency(settings.requests_per_vcpu),
                settings.longest_queue,
            ),
            bodies: Bounds::new(settings.body_bytes, settings.all_bodies_bytes),
            ledger,
            register: Arc::default(),
            give_up: CancellationToken::new(),
            started: Instant::now(),
            threads: NonZeroUsize::new(threads as usize).unwrap_or(NonZeroUsize::MIN),
            cpu: Arc::new(VirtualCpu::new(
                instance_type,
                settings.vcpu_share,
                settings.credit_scale,
            )),
            occupancy: Mutex::new(Occupancy::new(vcpus, settings.report_every, Duration::ZERO)),
            served: Mutex::new(Served::default()),
            settings,
        }
    }

    /// Lets a request in, to wait for its turn.
    ///
    /// # Errors
    /// 503 while the VM boots, and when too many wait already.
    pub(super) fn let_in(&self) -> Result<Waiting, Problem> {
        if self.phase.borrow().running_since.is_none() {
            if self.phase.borrow().life.is_held() {
                let detail = format!("{} waits in the warm pool", self.settings.id);
                return Err(Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail));
            }
            let left = self.settings.boot.saturating_sub(self.started.elapsed());
            let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            let detail = format!("{} is booting", self.settings.id);
            return Err(Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, seconds, detail));
        }
        self.admission.arrive().map_err(|_| {
            let detail = format!("the queue of {} is full", self.settings.id);
            Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail)
        })
    }

    /// Does a job on threads of its own. Whoever no longer waits for this cancels the job, which
    /// then leaves its place within about a millisecond.
    ///
    /// # Errors
    /// Those of [`on_own_thread`].
    pub(super) async fn work(self: &Arc<Self>, job: Job, place: Place) -> Result<Done, Problem> {
        let cancelled = self.give_up.child_token();
        let _on_leaving = cancelled.clone().drop_guard();
        let machine = Arc::clone(self);
        on_own_thread(move || {
            let Job { kind, head, body: Received { bytes, held } } = job;
            let done = machine.perform(|run| job::perform(kind, &head, bytes, run), cancelled);
            // Before the answer, which tells the load without this request.
            drop((held, place));
            done
        })
        .await
    }

    fn perform(
        &self,
        job: impl FnOnce(&Run<'_>) -> Result<Output, Error>,
        cancelled: CancellationToken,
    ) -> Done {
        let _busy = Busy::begin(self);
        let pacer = JobPacer::new(Arc::clone(&self.cpu), cancelled);
        let run = Run { threads: self.threads, pacer: &pacer, limits: &self.settings.limits };
        let mut result = job(&run);
        let total = result.as_ref().map_or(Duration::ZERO, |output| output.usage.cpu);
        if let Err(cancelled) = pacer.settle(total) {
            result = Err(cancelled.into());
        }
        let cpu = pacer.charged();
        self.lock_served().cpu += cpu;
        Done { result, cpu }
    }

    /// Counts an answer to a request for work.
    pub(super) fn count(&self, status: StatusCode) {
        let mut served = self.lock_served();
        served.requests += 1;
        served.failures += u64::from(status.is_server_error());
    }

    /// What it has done so far.
    pub(super) fn served(&self) -> Served {
        *self.lock_served()
    }

    /// Its account of CPU credits; none for a type without.
    pub(super) fn credits(&self) -> Option<Credits> {
        self.cpu.credits()
    }

    /// The share of its vCPUs in use over the last report period.
    pub(super) fn cpu_share(&self) -> Share {
        let now = self.started.elapsed();
        self.lock_occupancy().share(now)
    }

    fn lock_served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_occupancy(&self) -> MutexGuard<'_, Occupancy> {
        self.occupancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does something that may take long on a new thread: its CPU clock is then that of this work
/// alone, and the threads that write files never wait behind it.
///
/// # Errors
/// 500 if it panicked, 503 if the system has no more threads.
async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let (sender, done) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("job".to_owned()).spawn(move || {
        priority::stand_back();
        // If there is nobody to tell, the client has left.
        let _ = sender.send(work());
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot start a thread for a request");
        let detail = "the machine has no more threads";
        return Err(Problem::retry_later(StatusCode::SERVICE_UNAVAILABLE, 1, detail));
    }
    done.await.map_err(|_| {
        let detail = "the request made the VM stumble; this is a fault of the program, please \
                      report it with the request";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })
}

/// Marks the threads of a job as in use, until it is dropped, by a panic too.
struct Busy<'a> {
    machine: &'a Machine,
    threads: u32,
}

impl<'a> Busy<'a> {
    fn begin(machine: &'a Machine) -> Self {
        let threads = u32::try_from(machine.threads.get()).unwrap_or(u32::MAX);
        let mut occupancy = machine.lock_occupancy();
        occupancy.begin(threads, machine.started.elapsed());
        drop(occupancy);
        Self { machine, threads }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut occupancy = self.machine.lock_occupancy();
        occupancy.end(self.threads, self.machine.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_a_problem_and_no_more() {
        assert_eq!(on_own_thread(|| 7).await, Ok(7));
        let stumbled = on_own_thread(|| panic!("on purpose")).await;
        let problem: Problem = stumbled.map(|()| 0).unwrap_err();
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
