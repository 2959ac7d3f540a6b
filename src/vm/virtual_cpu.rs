//! The emulated vCPUs: holds all that a VM computes to `vCPUs × share` CPU seconds per second.
//!
//! The worker threads hold themselves back: about every millisecond of work each reads its own CPU
//! clock, takes what it used from a budget that all of them share, and sleeps while the budget is
//! in debt. That needs no privilege and no control group, and stays exact when the machine is full.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::domain::credits::Credits;
use crate::domain::instance_type::InstanceType;
use crate::units::Share;
use crate::workload::{Cancelled, Pacer};

/// What an idle VM may compute at once before it is held back: two of the 10 ms in which
/// hypervisors and Linux hand out CPU time.
const BURST: Duration = Duration::from_millis(20);
/// Shorter debts are carried on to the next checkpoint: waking up costs some 50 µs.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// A paused thread looks this often whether anybody still waits for its answer.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// However small its share, a VM gets forward: a thousandth of a vCPU.
const SLOWEST: f64 = 0.001;

/// A token bucket of CPU time. Pure: times are since any one moment, and never go back.
#[derive(Debug, Clone)]
struct Budget {
    /// CPU seconds per second.
    rate: f64,
    /// CPU seconds left; negative is a debt.
    level: f64,
    at: Duration,
}

impl Budget {
    fn new(rate: f64, now: Duration) -> Self {
        Self { rate: rate.max(SLOWEST), level: BURST.as_secs_f64(), at: now }
    }

    /// Takes `used` CPU time and says for how long whoever used it must pause: until the debt is
    /// earned back.
    fn charge(&mut self, used: Duration, now: Duration) -> Duration {
        self.refill(now);
        self.level -= used.as_secs_f64();
        // Bounded, because a duration cannot hold any number of seconds.
        Duration::from_secs_f64((-self.level / self.rate).clamp(0.0, 1e9))
    }

    /// From now on it grows at another speed.
    fn set_rate(&mut self, rate: f64) {
        self.rate = rate.max(SLOWEST);
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at += elapsed;
        self.level = (self.level + elapsed.as_secs_f64() * self.rate).min(BURST.as_secs_f64());
    }
}

/// The vCPUs of one VM.
#[derive(Debug)]
pub(super) struct VirtualCpu {
    started: Instant,
    /// None for a VM without limit.
    allowance: Option<Mutex<Allowance>>,
}

/// What a VM may compute: a budget, whose rate follows from its CPU credits if it has any.
#[derive(Debug)]
struct Allowance {
    budget: Budget,
    account: Option<Account>,
}

/// The CPU credits of a VM.
#[derive(Debug)]
struct Account {
    credits: Credits,
    at: Duration,
    /// How much of a core a vCPU is; more than 0.
    share: f64,
    /// How many times faster than the clock credits are earned and spent.
    scale: f64,
}

impl Account {
    /// Takes in `used` CPU time and the time since the last call. Returns CPU seconds per second
    /// that may be used from now on.
    fn advance(&mut self, used: Duration, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.at);
        self.at += elapsed;
        let scaled = |time: Duration, by: f64| {
            Duration::try_from_secs_f64(time.as_secs_f64() * by).unwrap_or(Duration::MAX)
        };
        self.credits.advance(scaled(elapsed, self.scale), scaled(used, self.scale / self.share));
        self.credits.speed() * self.share
    }
}

impl Allowance {
    fn charge(&mut self, used: Duration, now: Duration) -> Duration {
        if let Some(account) = &mut self.account {
            let rate = account.advance(used, now);
            self.budget.refill(now);
            self.budget.set_rate(rate);
        }
        self.budget.charge(used, now)
    }
}

impl VirtualCpu {
    /// Those of an instance type, each `share` of a core of this machine. CPU credits are earned
    /// and spent `credit_scale` times faster than the clock goes.
    pub(super) fn new(instance_type: &InstanceType, share: Share, credit_scale: f64) -> Self {
        let account = instance_type.credit_rule().map(|rule| Account {
            credits: Credits::new(rule),
            at: Duration::ZERO,
            share: share.get().max(SLOWEST),
            scale: credit_scale,
        });
        let allowance = |vcpus| {
            let budget = Budget::new(f64::from(vcpus) * share.get(), Duration::ZERO);
            Mutex::new(Allowance { budget, account })
        };
        Self { started: Instant::now(), allowance: instance_type.vcpus.map(allowance) }
    }

    /// The account of CPU credits as it is now; none for a type without.
    pub(super) fn credits(&self) -> Option<Credits> {
        let mut allowance = lock(self.allowance.as_ref()?);
        let account = allowance.account.as_mut()?;
        account.advance(Duration::ZERO, self.started.elapsed());
        Some(account.credits)
    }

    fn charge(&self, used: Duration) -> Duration {
        match &self.allowance {
            Some(allowance) => lock(allowance).charge(used, self.started.elapsed()),
            None => Duration::ZERO,
        }
    }
}

/// An allowance has no state in between: one that a panic left behind is as good as any.
fn lock(allowance: &Mutex<Allowance>) -> std::sync::MutexGuard<'_, Allowance> {
    allowance.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pacer of one request. Its threads must be new ones: what a thread used before its first
/// checkpoint is taken to be this request's.
#[derive(Debug)]
pub(super) struct JobPacer {
    cpu: Arc<VirtualCpu>,
    cancelled: CancellationToken,
    charged_nanos: AtomicU64,
}

thread_local! {
    /// How much of this thread's CPU time has been charged.
    static CHARGED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl JobPacer {
    /// A pacer on these vCPUs, for work that ends when `cancelled`.
    pub(super) fn new(cpu: Arc<VirtualCpu>, cancelled: CancellationToken) -> Self {
        Self { cpu, cancelled, charged_nanos: AtomicU64::new(0) }
    }

    /// CPU time of the request so far.
    pub(super) fn charged(&self) -> Duration {
        Duration::from_nanos(self.charged_nanos.load(Ordering::Relaxed))
    }

    /// Charges what no checkpoint has seen: this thread's time since its last one, and what other
    /// threads used after theirs, known from the `total` of the request. Called at its end, so
    /// that the answer leaves no earlier than a real VM could have sent it.
    pub(super) fn settle(&self, total: Duration) -> Result<(), Cancelled> {
        let own = since_last_charge();
        let others = total.saturating_sub(self.charged() + own);
        self.charge(own + others)
    }

    fn charge(&self, used: Duration) -> Result<(), Cancelled> {
        let nanos = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.charged_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.pause(self.cpu.charge(used))
    }

    fn pause(&self, pause: Duration) -> Result<(), Cancelled> {
        let begin = Instant::now();
        let mut left = if pause < SHORTEST_PAUSE { Duration::ZERO } else { pause };
        loop {
            if self.cancelled.is_cancelled() {
                return Err(Cancelled);
            }
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LONGEST_PAUSE));
            left = pause.saturating_sub(begin.elapsed());
        }
    }
}

impl Pacer for JobPacer {
    fn checkpoint(&self) -> Result<(), Cancelled> {
        self.charge(since_last_charge())
    }
}

/// CPU time of the calling thread since the last call from it.
fn since_last_charge() -> Duration {
    let now = thread_cpu();
    now.saturating_sub(CHARGED.replace(now))
}

/// The CPU clock of the calling thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // A CPU clock starts at zero with its thread and is never negative.
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance_type::built_in;
    use proptest::prelude::*;

    /// `threads` spinning threads in simulated time on a machine with a core for each: works a
    /// chunk, is charged, sleeps as told and a little longer. Returns CPU seconds per second.
    fn simulate(rate: f64, chunks_us: &[u64], overshoot_us: u64, seconds: u64) -> f64 {
        let end = Duration::from_secs(seconds);
        let mut budget = Budget::new(rate, Duration::ZERO);
        let mut used = Duration::ZERO;
        let chunk = |index: usize| Duration::from_micros(chunks_us[index]);
        let mut chunk_ends: Vec<Duration> = (0..chunks_us.len()).map(chunk).collect();
        loop {
            let first = (0..chunk_ends.len()).min_by_key(|&index| chunk_ends[index]).unwrap();
            let now = chunk_ends[first];
            if now >= end {
                return used.as_secs_f64() / end.as_secs_f64();
            }
            used += chunk(first);
            let mut pause = budget.charge(chunk(first), now);
            if pause < SHORTEST_PAUSE {
                pause = Duration::ZERO;
            } else {
                pause += Duration::from_micros(overshoot_us);
            }
            chunk_ends[first] = now + pause + chunk(first);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn busy_threads_get_their_share_and_each_the_chunk_that_it_is_at(
            rate in 0.05f64..2.0,
            chunks_us in prop::collection::vec(200u64..3_000, 2..8),
            overshoot_us in 0u64..500,
        ) {
            let seconds = 60;
            let got = simulate(rate, &chunks_us, overshoot_us, seconds) * seconds as f64;
            let asked = rate * seconds as f64;
            let begun = chunks_us.iter().sum::<u64>() as f64 / 1e6;
            // A debt that the shortest pause would pay stops nobody yet.
            let carried_on = rate * SHORTEST_PAUSE.as_secs_f64();
            let bound = BURST.as_secs_f64() + carried_on + begun;
            prop_assert!((got - asked).abs() <= bound + 1e-6, "asked {asked} s, got {got} s");
        }

        #[test]
        fn no_window_gets_more_than_its_rate_and_one_burst(
            rate in 0.05f64..4.0,
            steps in prop::collection::vec((0u64..50_000, 0u64..5_000), 1..200),
        ) {
            let mut budget = Budget::new(rate, Duration::ZERO);
            let (mut now, mut used) = (Duration::ZERO, Duration::ZERO);
            for (idle_us, work_us) in steps {
                let work = Duration::from_micros(work_us);
                now += Duration::from_micros(idle_us) + work;
                used += work;
                now += budget.charge(work, now);
                let allowed = now.as_secs_f64() * rate + BURST.as_secs_f64();
                prop_assert!(used.as_secs_f64() <= allowed + 1e-6, "{used:?} by {now:?}");
            }
        }
    }

    #[test]
    fn a_vm_without_credits_computes_at_its_baseline_and_faster_once_it_has_some() {
        let cpu = VirtualCpu::new(&a_type(Some(1), Some(0.1)), Share::ALL, 60.0);
        let mut allowance = cpu.allowance.unwrap().into_inner().unwrap();
        let mut spin = |from: Duration, seconds: u64| {
            let (mut now, mut used) = (from, Duration::ZERO);
            let chunk = Duration::from_millis(1);
            while now < from + Duration::from_secs(seconds) {
                now += chunk;
                used += chunk;
                now += allowance.charge(chunk, now);
            }
            used.as_secs_f64() / now.saturating_sub(from).as_secs_f64()
        };
        let at_first = spin(Duration::ZERO, 60);
        assert!((at_first / 0.1 - 1.0).abs() < 0.05, "{at_first}");
        // Ten minutes of rest are ten hours of earning: 60 credits, 36 s at full speed and more.
        let rested = spin(Duration::from_mins(11), 30);
        assert!((rested - 1.0).abs() < 0.05, "{rested}");
    }

    #[test]
    fn threads_below_their_share_are_never_held_back() {
        let mut budget = Budget::new(2.0, Duration::ZERO);
        for millisecond in 1..1_000 {
            let now = Duration::from_millis(millisecond);
            assert_eq!(budget.charge(Duration::from_micros(1_900), now), Duration::ZERO);
        }
    }

    #[test]
    fn a_share_of_nothing_still_gets_forward() {
        let mut budget = Budget::new(0.0, Duration::ZERO);
        let pause = budget.charge(BURST + Duration::from_millis(1), Duration::ZERO);
        assert!(pause.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{pause:?}");
    }

    /// A type with that many vCPUs, burstable from `baseline` if there is one.
    fn a_type(vcpus: Option<u32>, baseline: Option<f64>) -> InstanceType {
        let earned = baseline.unwrap_or(0.0) * f64::from(vcpus.unwrap_or(0)) * 60.0;
        InstanceType {
            vcpus,
            baseline: baseline.map(Share::saturating),
            credits_per_hour: earned,
            max_credits: 24.0 * earned,
            ..built_in().remove("local").unwrap()
        }
    }

    fn spin_until(pacer: &JobPacer, charged: Duration) -> Result<(), Cancelled> {
        while pacer.charged() < charged {
            pacer.checkpoint()?;
        }
        Ok(())
    }

    #[test]
    fn a_held_back_thread_takes_the_time_that_its_share_takes() {
        let cpu = Arc::new(VirtualCpu::new(&a_type(Some(1), None), Share::saturating(0.2), 1.0));
        let pacer = JobPacer::new(cpu, CancellationToken::new());
        let begin = Instant::now();
        let done = std::thread::scope(|scope| {
            scope.spawn(|| spin_until(&pacer, Duration::from_millis(60))).join()
        });
        assert_eq!(done.unwrap(), Ok(()));
        // 60 ms less the burst of 20 ms at a fifth of a core, less a carried debt of 1 ms.
        assert!(begin.elapsed() >= Duration::from_millis(195), "{:?}", begin.elapsed());
    }

    #[test]
    fn cancelling_wakes_a_thread_that_would_have_paused_for_minutes() {
        let cpu = Arc::new(VirtualCpu::new(&a_type(Some(1), None), Share::NONE, 1.0));
        let cancelled = CancellationToken::new();
        let pacer = JobPacer::new(cpu, cancelled.clone());
        let done = std::thread::scope(|scope| {
            let work = scope.spawn(|| spin_until(&pacer, Duration::from_hours(1)));
            cancelled.cancel();
            work.join()
        });
        assert_eq!(done.unwrap(), Err(Cancelled));
    }

    #[test]
    fn a_vm_without_limit_is_charged_and_never_pauses() {
        let cpu = Arc::new(VirtualCpu::new(&a_type(None, None), Share::NONE, 1.0));
        let pacer = JobPacer::new(Arc::clone(&cpu), CancellationToken::new());
        assert_eq!(cpu.charge(Duration::from_secs(100)), Duration::ZERO);
        assert_eq!(pacer.settle(Duration::from_secs(5)), Ok(()));
        assert!(pacer.charged() >= Duration::from_secs(5));
    }
}
