//! How the balancer itself is doing: whether it gets a core when it wants one.
//!
//! VMs can keep every core busy. A balancer that has to wait for one delays every request, and no
//! other figure shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The priority that is asked for, -20 (highest) to 19. Below that of system daemons, above that of
/// everything that was started without a wish.
const NICE: i32 = -5;

/// Raises the scheduling priority of this thread and of those that it starts afterwards, which is
/// allowed to root and to whoever has `CAP_SYS_NICE` or an `RLIMIT_NICE` that says so, see
/// `setpriority(2)`. Returns a sentence about what came of it.
pub fn raise_priority() -> String {
    match rustix::process::setpriority_process(None, NICE) {
        Ok(()) => format!("runs before the VMs where cores are short (nice {NICE})"),
        Err(error) => format!(
            "competes with the VMs for cores as an equal: its priority cannot be raised ({error}); \
             `ulimit -e 25` in the shell that starts it, where that is allowed, lets it"
        ),
    }
}

/// How long the threads of this process have waited for a core.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// In all, in nanoseconds.
    waited: AtomicU64,
    /// How often they were given one.
    turns: AtomicU64,
    /// The mean wait before each turn of late, in nanoseconds.
    delay: AtomicU64,
}

impl Pulse {
    /// Takes the figures of the moment; `lag` is how much later than it wanted to the caller got
    /// to ask, which stands in where the system does not count.
    pub(super) fn take(&self, lag: Duration) {
        let lag = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        let before = (self.waited.load(Ordering::Relaxed), self.turns.load(Ordering::Relaxed));
        let (waited, turns) = run_queue().unwrap_or((before.0 + lag, before.1 + 1));
        self.waited.store(waited, Ordering::Relaxed);
        self.turns.store(turns, Ordering::Relaxed);
        // A thread that has ended takes its figures with it.
        let new = (waited.saturating_sub(before.0), turns.saturating_sub(before.1));
        self.delay.store(new.0 / new.1.max(1), Ordering::Relaxed);
    }

    /// The mean wait for a core before each turn of late.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay.load(Ordering::Relaxed))
    }

    /// The time that was waited in all.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }
}

/// Nanoseconds waited and turns taken by all threads of this process, as Linux counts them: the
/// second and the third number of `/proc/PID/task/TID/schedstat`
/// (<https://docs.kernel.org/scheduler/sched-stats.html>). Nothing elsewhere.
fn run_queue() -> Option<(u64, u64)> {
    let mut sum = None;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
            continue;
        };
        let (waited, turns) = parse(&text)?;
        let (all, all_turns) = sum.unwrap_or((0, 0));
        sum = Some((all + waited, all_turns + turns));
    }
    sum
}

fn parse(schedstat: &str) -> Option<(u64, u64)> {
    let mut numbers = schedstat.split_whitespace().skip(1).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_and_turns_are_the_second_and_third_number() {
        assert_eq!(parse("1502 300 7\n"), Some((300, 7)));
        assert_eq!(parse("1502 300\n"), None);
        assert_eq!(parse("a b c"), None);
    }

    #[test]
    fn the_delay_is_that_of_the_turns_since_last_time() {
        let pulse = Pulse::default();
        pulse.take(Duration::from_millis(3));
        let (waited, turns) = (pulse.waited(), pulse.turns.load(Ordering::Relaxed));
        assert!(turns > 0);
        pulse.take(Duration::ZERO);
        assert!(pulse.waited() >= waited && pulse.delay() <= pulse.waited());
    }
}
