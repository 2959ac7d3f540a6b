//! What came of the requests so far.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::mix::Workload;
use super::wire::Timing;

/// What came of a request that was answered well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done<'a> {
    pub(super) workload: Workload,
    pub(super) vm: Option<&'a str>,
    /// From when it was sent to its last byte.
    pub(super) latency: Duration,
    /// The same from when it was due.
    pub(super) corrected: Duration,
    pub(super) timing: Timing,
    pub(super) attempts: u32,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// Why a request does not count as answered well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// An answer came, and it is not what was asked for.
    Failed { kind: String, example: String },
    /// No whole answer came.
    Lost { kind: String, example: String },
}

/// All requests of a load so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) lost: u64,
    pub(super) all: Group,
    pub(super) workloads: BTreeMap<Workload, Group>,
    pub(super) vms: BTreeMap<String, Group>,
    /// By kind: how many, and what the first one said.
    pub(super) errors: BTreeMap<String, (u64, String)>,
}

/// Requests that have something in common. Of those that failed only the number is known: how fast
/// a refusal comes says nothing about the answers.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) latency: Times,
    pub(super) corrected: Times,
    pub(super) queued: Times,
    /// Response time over service time, in thousandths.
    pub(super) slowdown: Times,
    pub(super) cpu: Duration,
    pub(super) repeated: u64,
    pub(super) attempts: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// A histogram of three significant digits, made when it is needed. Times are in microseconds.
#[derive(Debug, Default)]
pub(super) struct Times(Option<Histogram<u32>>);

impl Times {
    fn record(&mut self, value: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows as needed; only memory bounds it.
            let _grown = histogram.record(value);
        }
    }

    fn record_time(&mut self, time: Duration) {
        self.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The histogram, if anything is in it.
    pub(super) fn histogram(&self) -> Option<&Histogram<u32>> {
        self.0.as_ref()
    }
}

impl Group {
    fn add(&mut self, done: &Done) {
        self.ok += 1;
        self.latency.record_time(done.latency);
        self.corrected.record_time(done.corrected);
        if let Some(queued) = done.timing.queued {
            self.queued.record_time(queued);
        }
        if let Some(cpu) = done.timing.cpu.filter(|cpu| !cpu.is_zero()) {
            self.cpu += cpu;
            let slowdown = done.corrected.as_secs_f64() / cpu.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded")]
            self.slowdown.record((slowdown * 1000.0).round() as u64);
        }
        self.attempts += u64::from(done.attempts);
        self.repeated += u64::from(done.attempts > 1);
        self.bytes_sent += done.bytes_sent;
        self.bytes_received += done.bytes_received;
    }
}

impl Tally {
    pub(super) fn add(&mut self, done: &Done) {
        self.all.add(done);
        self.workloads.entry(done.workload).or_default().add(done);
        let vm = done.vm.unwrap_or("?");
        if let Some(group) = self.vms.get_mut(vm) {
            group.add(done);
        } else {
            self.vms.entry(vm.to_owned()).or_default().add(done);
        }
    }

    pub(super) fn add_trouble(&mut self, workload: Workload, vm: Option<&str>, trouble: Trouble) {
        let (kind, example) = match trouble {
            Trouble::Failed { kind, example } => {
                self.failed += 1;
                (kind, example)
            }
            Trouble::Lost { kind, example } => {
                self.lost += 1;
                (kind, example)
            }
        };
        self.all.failed += 1;
        self.workloads.entry(workload).or_default().failed += 1;
        if let Some(vm) = vm {
            self.vms.entry(vm.to_owned()).or_default().failed += 1;
        }
        self.errors.entry(kind).or_insert((0, example)).0 += 1;
    }

    /// Requests of which nothing has come yet.
    pub(super) fn in_flight(&self) -> u64 {
        self.sent - self.all.ok - self.failed - self.lost
    }
}
