//! CPU time of the current thread.

use std::time::Duration;

/// A stopwatch that runs only while the thread that started it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuClock(Duration);

impl CpuClock {
    pub(super) fn start() -> Self {
        Self(now())
    }

    /// CPU time of this thread since the start. Meant for the thread that started the clock.
    pub(super) fn elapsed(self) -> Duration {
        now().saturating_sub(self.0)
    }
}

#[cfg(unix)]
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Elsewhere time on the clock stands in for CPU time.
#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}
