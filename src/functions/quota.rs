//! Holds a process that knows nothing of it to a share of the CPUs, and to its memory.
//!
//! Every 20 ms the CPU time that the process has used is read. While it is ahead of its share the
//! process group stands still (`SIGSTOP`), until time has caught up (`SIGCONT`). That needs no
//! privilege. Over a time T what it computes is `vCPUs × T`, within what it can use between two
//! looks (20 ms on each core) and what an idle one may have at once (50 ms of its share); a
//! process that it starts counts once it has been waited for. A peak of memory between two looks is
//! missed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What an idle process may have at once, as time of its share.
const BURST: f64 = 0.05;

/// A share of CPU time. Pure.
#[derive(Debug, Clone)]
struct Quota {
    vcpus: f64,
    /// CPU seconds left; negative is a debt.
    left: f64,
}

impl Quota {
    fn new(vcpus: f64) -> Self {
        Self { vcpus, left: vcpus * BURST }
    }

    /// In the last `elapsed` so much CPU time was `used`. Whether the process may go on.
    fn advance(&mut self, elapsed: Duration, used: Duration) -> bool {
        let earned = elapsed.as_secs_f64() * self.vcpus;
        self.left = (self.left + earned - used.as_secs_f64()).min(self.vcpus * BURST);
        self.left >= 0.0
    }
}

/// Reads what a process uses.
struct Meter {
    system: System,
    pid: sysinfo::Pid,
}

impl Meter {
    fn new(pid: u32) -> Option<Self> {
        Some(Self { system: System::new().ok()?, pid: sysinfo::Pid::from_u32(pid) })
    }

    /// CPU time since its start, and resident memory in bytes.
    fn read(&mut self) -> Option<(Duration, u64)> {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), true, what);
        let process = self.system.process(self.pid)?;
        Some((Duration::from_millis(process.accumulated_cpu_time()), process.memory()))
    }
}

/// Holds the process group of `pid` to so many vCPUs, for as long as this is polled. Ends when the
/// process has more than `memory` bytes resident.
pub(super) async fn hold(pid: u32, vcpus: f64, memory: u64) {
    let Some(mut meter) = Meter::new(pid) else { return std::future::pending().await };
    let mut quota = Quota::new(vcpus);
    let (mut used, _) = meter.read().unwrap_or_default();
    let (mut at, mut goes) = (Instant::now(), true);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // It has ended: whoever waits for its answer sees that.
        let Some((total, resident)) = meter.read() else { return std::future::pending().await };
        if resident > memory {
            return;
        }
        let now = Instant::now();
        let may = quota.advance(now - at, total.saturating_sub(used));
        (at, used) = (now, total);
        if may != goes {
            signal(pid, if may { Signal::CONT } else { Signal::STOP });
            goes = may;
        }
    }
}

/// Sends a signal to the group of a process that was started as its leader and has not been waited
/// for, so that the number is still its own.
pub(super) fn signal(leader: u32, signal: Signal) {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = group.map(|group| kill_process_group(group, signal)) {
        tracing::debug!(%error, leader, "no signal sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A process that computes on `cores` cores whenever it may is held to its share.
        #[test]
        fn a_greedy_process_gets_its_share(vcpus in 0.07..5.8, cores in 1_u32..8) {
            let mut quota = Quota::new(vcpus);
            let (mut goes, mut used) = (true, 0.0);
            let looks = 5_000_u32;
            for _ in 0..looks {
                let step = if goes { LOOK_EVERY * cores } else { Duration::ZERO };
                used += step.as_secs_f64();
                goes = quota.advance(LOOK_EVERY, step);
            }
            let time = (LOOK_EVERY * looks).as_secs_f64();
            let fair = (vcpus * time).min(f64::from(cores) * time);
            let slack = vcpus * BURST + LOOK_EVERY.as_secs_f64() * f64::from(cores);
            prop_assert!((used - fair).abs() <= slack + 1e-6, "{used} of {fair}");
        }
    }
}
