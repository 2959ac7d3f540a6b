//! One worker's pace: when to let the pacer have a say, and how much CPU time it used.

use crate::workload::{Cancelled, Pacer};
use std::time::Duration;

/// Counts a worker's progress in nominal time and calls the pacer about once a millisecond.
pub(super) struct Ticker<'a> {
    pacer: &'a dyn Pacer,
    /// Nominal nanoseconds since the pacer was last called.
    since: u64,
}

impl<'a> Ticker<'a> {
    const PERIOD: u64 = 1_000_000;

    pub(super) fn new(pacer: &'a dyn Pacer) -> Self {
        Self { pacer, since: 0 }
    }

    /// Says that work of about so many nanoseconds was done.
    pub(super) fn spend(&mut self, nanoseconds: u64) -> Result<(), Cancelled> {
        self.since += nanoseconds;
        if self.since < Self::PERIOD {
            return Ok(());
        }
        self.look()
    }

    /// Lets the pacer have a say at once.
    pub(super) fn look(&mut self) -> Result<(), Cancelled> {
        self.since = 0;
        self.pacer.checkpoint()
    }
}

/// CPU time that the calling thread has used so far.
pub(super) fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
