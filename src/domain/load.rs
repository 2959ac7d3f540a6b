//! What a VM says of itself: how busy it is, and what it has done so far.

use std::time::Duration;

use crate::units::Share;

/// How busy a VM is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Load {
    /// Share of its own vCPUs in use over the last report period.
    pub cpu: Share,
    /// Resident memory of its process, in bytes.
    pub memory_bytes: u64,
    /// Requests being worked on.
    pub in_flight: u32,
    /// Requests that wait for a place to be worked on.
    pub queued: u32,
    /// CPU credits left; none for a type that does not have them. One credit is one vCPU for a
    /// minute.
    pub cpu_credits: Option<f64>,
    /// CPU credits spent that it did not have, and has not earned back: what it would be charged
    /// if it ended now. None for a type without credits.
    pub surplus_credits: Option<f64>,
}

/// What a VM has done since its process started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Served {
    /// Requests answered, failures included.
    pub requests: u64,
    /// Requests answered with a 5xx status.
    pub failures: u64,
    /// CPU time of the threads that did the requests' work.
    pub cpu: Duration,
}
