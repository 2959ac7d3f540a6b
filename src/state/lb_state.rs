//! LBState.xml: what the balancer sees, replaced every second.

use jiff::Timestamp;

use crate::domain::vm::VmId;
use crate::state::xml::Foreign;

/// LBState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LbStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// When the balancer wrote it.
    pub reported_at: Option<Timestamp>,
    /// Where it takes requests, `host:port`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// The policy by which it chooses.
    pub policy: String,
    /// Over all VMs, and what no VM had yet.
    pub totals: LbTotals,
    /// One element per VM it knows.
    pub vms: Vec<LbTarget>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// The balancer's sums since it started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LbTotals {
    /// Requests taken.
    pub requests: u64,
    /// Requests being worked on.
    pub in_flight: u64,
    /// Requests that wait for a VM.
    pub queued: u64,
    /// Predicted work of those that wait, in seconds of one vCPU.
    pub queue_seconds: f64,
    /// Requests answered with a 5xx status.
    pub failures: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests per second over the last ten seconds.
    pub rate: f64,
    /// Predicted CPU seconds that arrive per second, over the last ten seconds: the number of
    /// vCPUs that would be exactly busy.
    pub offered_load: f64,
}

/// The balancer's view of one VM.
#[derive(Debug, Clone, PartialEq)]
pub struct LbTarget {
    /// The VM.
    pub id: VmId,
    /// Whether it gets new requests.
    pub in_rotation: bool,
    /// Why it is in rotation, or why not.
    pub reason: String,
    /// Requests sent and not answered yet.
    pub in_flight: u32,
    /// Predicted work of those, in seconds of one vCPU.
    pub outstanding_seconds: f64,
    /// Requests answered.
    pub served: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Requests that failed here and were sent elsewhere.
    pub retries: u64,
    /// Median time to answer over the last minute or more, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of the same.
    pub p95_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
}
