//! log/access.log: one line per request that the balancer has taken, whatever became of it, with
//! where its time went. The times are those that `HAProxy`'s HTTP log gives
//! (<https://docs.haproxy.org/3.2/configuration.html#8.2.3>), in microseconds.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use super::logfmt::Builder;
use crate::domain::vm::VmId;

/// The file in the log folder.
pub const FILE: &str = "access.log";

/// What became of one request.
pub struct Access<'a> {
    /// When it came.
    pub at: Timestamp,
    /// Its id, as the client knows it.
    pub request: &'a str,
    /// Who sent it.
    pub client: IpAddr,
    /// Its version of HTTP: `1.0`, `1.1` or `2`.
    pub http: &'static str,
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
    /// The status that the client saw, or 499 if it left before.
    pub status: u16,
    /// The VM it was sent to last.
    pub vm: Option<&'a VmId>,
    /// To how many VMs it was sent, one after the other.
    pub attempts: u32,
    /// How many requests waited for a VM when it came.
    pub waiting: u64,
    /// From the first to the last byte of its head, if that came in pieces.
    pub head_us: u64,
    /// How long it waited for VMs.
    pub queue_us: u64,
    /// How long the last VM took to take up a connection; 0 if one was kept from before.
    pub connect_us: u64,
    /// How long the last VM took to begin its answer, once connected.
    pub vm_us: u64,
    /// From its arrival to the end of its answer.
    pub total_us: u64,
    /// Bytes of its body.
    pub input_bytes: u64,
    /// Bytes of the answer's body.
    pub output_bytes: u64,
    /// How it ended: `whole`, `refused`, `cut-short` or `client-left`.
    pub end: &'static str,
    /// What it was predicted to cost, in microseconds of one vCPU.
    pub predicted_us: u64,
    /// Why this VM, or why none.
    pub why: &'a dyn fmt::Display,
}

impl Access<'_> {
    /// Adds the line, with its end, to others.
    pub fn append_to(&self, lines: &mut String) {
        let line = Builder::behind(std::mem::take(lines))
            .pair("at", format_args!("{:.3}", self.at))
            .pair("request", self.request)
            .pair("client", self.client)
            .word("http", self.http)
            .pair("method", self.method)
            .pair("path", self.path)
            .number("status", self.status.into())
            .word("vm", self.vm.map_or("-", VmId::as_str))
            .number("attempts", self.attempts.into())
            .number("waiting", self.waiting)
            .number("head_us", self.head_us)
            .number("queue_us", self.queue_us)
            .number("connect_us", self.connect_us)
            .number("vm_us", self.vm_us)
            .number("total_us", self.total_us)
            .number("input_bytes", self.input_bytes)
            .number("output_bytes", self.output_bytes)
            .word("end", self.end)
            .number("predicted_us", self.predicted_us)
            .pair("why", self.why);
        *lines = line.into_text();
        lines.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line() {
        let access = Access {
            at: "2026-11-21T12:30:01.123Z".parse().unwrap(),
            request: "r-1",
            client: [127, 0, 0, 1].into(),
            http: "1.1",
            method: "POST",
            path: "/blur\n image",
            status: 200,
            vm: Some(&VmId::numbered(2)),
            attempts: 1,
            waiting: 3,
            head_us: 0,
            queue_us: 1500,
            connect_us: 80,
            vm_us: 34_000,
            total_us: 36_000,
            input_bytes: 10,
            output_bytes: 20,
            end: "whole",
            predicted_us: 30_000,
            why: &"least-work: vm-2",
        };
        let mut lines = "before\n".to_owned();
        access.append_to(&mut lines);
        assert_eq!(
            lines,
            "before\nat=2026-11-21T12:30:01.123Z request=r-1 client=127.0.0.1 http=1.1 method=POST \
             path=\"/blur\\n image\" status=200 vm=vm-2 attempts=1 waiting=3 head_us=0 \
             queue_us=1500 connect_us=80 vm_us=34000 total_us=36000 input_bytes=10 \
             output_bytes=20 end=whole predicted_us=30000 why=\"least-work: vm-2\"\n"
        );
    }
}
