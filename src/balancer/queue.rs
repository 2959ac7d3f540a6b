//! The requests that wait for a VM, and why one stops waiting.

use std::sync::Arc;
use std::time::Duration;

use super::fleet::Fleet;
use crate::domain::cost::Work;

/// Why a request gets no VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoVm {
    /// None is there; this one comes, or comes back.
    YetTo(String),
    /// None is there and none is coming.
    AtAll(String),
    /// Too many wait already.
    QueueFull(u64),
    /// It has waited long enough.
    WaitedTooLong(Duration),
}

/// A place in the queue, given back when dropped.
pub(super) struct Place {
    fleet: Arc<Fleet>,
    work: Work,
}

impl Place {
    /// The next place, if fewer than `limit` are taken.
    pub(super) fn take(fleet: Arc<Fleet>, limit: u64, work: Work) -> Result<Self, NoVm> {
        let admitted = fleet.count(|totals| {
            let admitted = totals.queued < limit;
            if admitted {
                totals.queued += 1;
                totals.queued_work = totals.queued_work + work;
            }
            admitted
        });
        if admitted { Ok(Self { fleet, work }) } else { Err(NoVm::QueueFull(limit)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let work = self.work;
        self.fleet.count(|totals| {
            totals.queued = totals.queued.saturating_sub(1);
            totals.queued_work = totals.queued_work - work;
        });
    }
}
