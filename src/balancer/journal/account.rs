//! All that is told of one request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Version};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::balancing::Reason;
use crate::domain::cost::{Kind, Work};
use crate::domain::vm::VmId;
use crate::state::access::{self, Access};
use crate::state::metrics::Metric;

/// All that is known of a request in the end.
#[derive(Debug)]
pub(in crate::balancer) struct Account {
    /// When it came.
    pub(in crate::balancer) at: Timestamp,
    /// Its id.
    pub(in crate::balancer) request: HeaderValue,
    /// Its method.
    pub(in crate::balancer) method: Method,
    /// Its path and query; none if it asked for none.
    pub(in crate::balancer) path: Option<PathAndQuery>,
    /// The kind of work it asked for.
    pub(in crate::balancer) kind: Kind,
    /// What that was predicted to cost.
    pub(in crate::balancer) work: Work,
    /// How many requests waited for a VM when it came.
    pub(in crate::balancer) waiting: u64,
    /// Who sent it.
    pub(in crate::balancer) client: HeaderValue,
    /// Its version of HTTP.
    pub(in crate::balancer) version: Version,
    /// How long its head took to come.
    pub(in crate::balancer) head_time: Duration,
    /// What the last VM took.
    pub(in crate::balancer) pace: Pace,
    /// How it ended.
    pub(in crate::balancer) end: End,
    /// The VM it was sent to last.
    pub(in crate::balancer) vm: Option<VmId>,
    /// How often it was sent to a VM.
    pub(in crate::balancer) attempts: u32,
    /// How long it waited for VMs.
    pub(in crate::balancer) queued: Duration,
    /// The status that the client saw, or would have seen.
    pub(in crate::balancer) status: u16,
    /// From its arrival to its end.
    pub(in crate::balancer) total: Duration,
    /// Bytes of its body.
    pub(in crate::balancer) input_bytes: u64,
    /// Bytes of the answer's body.
    pub(in crate::balancer) output_bytes: u64,
    /// Whether the answer is a VM's, which then accounts for it in metrics.txt.
    pub(in crate::balancer) by_vm: bool,
    /// Why this VM, or why none.
    pub(in crate::balancer) why: Why,
}

/// How long a VM took over a request.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::balancer) struct Pace {
    /// To take up a connection; nothing if one was kept from before.
    pub(in crate::balancer) connect: Duration,
    /// To begin its answer after that.
    pub(in crate::balancer) answer: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) enum End {
    /// With a VM's answer.
    Whole,
    /// With an answer of the balancer's own.
    Refused,
    /// With the beginning of a VM's answer.
    CutShort,
    /// Its client left.
    ClientLeft,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Refused => "refused",
            Self::CutShort => "cut-short",
            Self::ClientLeft => "client-left",
        }
    }
}

/// The reason for what became of a request.
#[derive(Debug)]
pub(in crate::balancer) enum Why {
    /// Nobody has got to it yet.
    Nothing,
    /// A VM was chosen.
    Chosen(Arc<Reason>),
    /// It was refused.
    Because(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Chosen(reason) => reason.fmt(f),
            Self::Because(sentence) => f.write_str(sentence),
        }
    }
}

impl Account {
    /// The line for people:
    /// `12:30:01.123 POST /blurimage → vm-2 200 34 ms (queue 0, attempts 1) least-work: …`.
    pub(super) fn line(&self, zone: &TimeZone) -> String {
        let at = self.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f");
        let vm = self.vm.as_ref().map_or("-", VmId::as_str);
        format!(
            "{at} {} {} → {vm} {} {} ms (queue {}, attempts {}) {}",
            self.method,
            printable(self.path()),
            self.status,
            self.total.as_millis(),
            self.waiting,
            self.attempts,
            self.why,
        )
    }

    fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }

    /// The line in the access log.
    pub(super) fn access(&self) -> Access<'_> {
        Access {
            at: self.at,
            request: text_of(&self.request),
            client: text_of(&self.client),
            http: match self.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            method: self.method.as_str(),
            path: self.path(),
            status: self.status,
            vm: self.vm.as_ref(),
            attempts: self.attempts,
            waiting: self.waiting,
            head_us: us(self.head_time),
            queue_us: us(self.queued),
            connect_us: us(self.pace.connect),
            vm_us: us(self.pace.answer),
            total_us: us(self.total),
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            end: self.end.word(),
            predicted_us: self.work.nanos() / 1_000,
            why: match &self.why {
                Why::Nothing => access::Why::Because(""),
                Why::Chosen(reason) => access::Why::Chosen(reason),
                Why::Because(sentence) => access::Why::Because(sentence),
            },
        }
    }

    /// The line in metrics.txt, unless the VM writes it.
    pub(super) fn metric(&self) -> Option<Metric> {
        (!self.by_vm).then(|| Metric {
            at: Timestamp::now(),
            request: text_of(&self.request).to_owned(),
            workload: self.kind.as_str().to_owned(),
            vm: None,
            status: self.status,
            width: None,
            height: None,
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            queue_us: Some(us(self.queued)),
            cpu_us: None,
            wall_us: us(self.total),
            work: None,
            attempts: self.attempts,
            extra: Vec::new(),
        })
    }
}

/// What ids and addresses are: visible ASCII.
fn text_of(name: &HeaderValue) -> &str {
    // Cannot fail, for that reason.
    name.to_str().unwrap_or_default()
}

/// Whole microseconds.
fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A path that can be shown: at most 80 characters, none of which moves a cursor.
fn printable(path: &str) -> String {
    path.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::balancing::{Policy, Rival, Standing};

    fn account() -> Account {
        Account {
            at: "2026-11-21T12:30:01.123Z".parse().unwrap(),
            request: HeaderValue::from_static("r-1"),
            method: Method::POST,
            path: Some(PathAndQuery::from_static("/blurimage")),
            kind: Kind::Blur,
            work: Work::from_nanos(1),
            waiting: 0,
            client: HeaderValue::from_static("127.0.0.1"),
            version: Version::HTTP_11,
            head_time: Duration::ZERO,
            pace: Pace::default(),
            end: End::Whole,
            vm: Some(VmId::numbered(2)),
            attempts: 1,
            queued: Duration::ZERO,
            status: 200,
            total: Duration::from_millis(34),
            input_bytes: 10,
            output_bytes: 20,
            by_vm: true,
            why: Why::Chosen(Arc::new(Reason {
                policy: Policy::LeastWork,
                chosen: Rival {
                    id: VmId::numbered(2),
                    in_flight: 0,
                    outstanding: Work::NONE,
                    foreign: 0.0,
                    warming_up: false,
                    full: false,
                    standing: Standing::Sound,
                    tried: false,
                },
                alternatives: Vec::new(),
                others: 0,
            })),
        }
    }

    #[test]
    fn a_request_is_told_in_one_line() {
        assert_eq!(
            account().line(&TimeZone::UTC),
            "12:30:01.123 POST /blurimage → vm-2 200 34 ms (queue 0, attempts 1) \
             least-work: vm-2: 0 in flight, 0 s of work"
        );
    }

    #[test]
    fn only_what_no_vm_has_finished_is_accounted_for_here() {
        assert_eq!(account().metric(), None);
        let refused = Account { status: 503, by_vm: false, ..account() };
        let metric = refused.metric().unwrap();
        assert_eq!((metric.vm, metric.status, metric.workload.as_str()), (None, 503, "blur"));
    }
}
