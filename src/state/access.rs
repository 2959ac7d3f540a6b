//! log/access.log: one line per request that the balancer has taken, whatever became of it, with
//! where its time went. The times are those that `HAProxy`'s HTTP log gives
//! (<https://docs.haproxy.org/3.2/configuration.html#8.2.3>), in microseconds.

use jiff::Timestamp;

use super::logfmt::{push_number, push_value};
use crate::domain::balancing::Reason;
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
    pub client: &'a str,
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
    pub why: Why<'a>,
}

/// The reason for what became of a request.
#[derive(Debug, Clone, Copy)]
pub enum Why<'a> {
    /// A VM was chosen.
    Chosen(&'a Reason),
    /// This sentence; an empty one says nothing.
    Because(&'a str),
}

/// A line is about so long.
const USUAL_BYTES: usize = 512;

impl Access<'_> {
    /// Adds the line, with its end, to others, whose moments `clock` has told.
    ///
    /// This is done for every request, and by way of `write!` took a fifth of all instructions that
    /// the balancer spends on one: hence by hand.
    pub fn append_to(&self, lines: &mut String, clock: &mut Clock) {
        lines.reserve(USUAL_BYTES);
        lines.push_str("at=");
        clock.append_to(lines, self.at);
        lines.push_str(" request=");
        push_value(lines, self.request);
        lines.push_str(" client=");
        push_value(lines, self.client);
        lines.push_str(" http=");
        lines.push_str(self.http);
        lines.push_str(" method=");
        push_value(lines, self.method);
        lines.push_str(" path=");
        push_value(lines, self.path);
        lines.push_str(" status=");
        push_number(lines, self.status.into());
        lines.push_str(" vm=");
        lines.push_str(self.vm.map_or("-", VmId::as_str));
        self.append_figures_to(lines);
        lines.push_str(" why=");
        match self.why {
            // It has spaces, and nothing in it that needs an escape.
            Why::Chosen(reason) => {
                lines.push('"');
                reason.append_to(lines);
                lines.push('"');
            }
            Why::Because(sentence) => push_value(lines, sentence),
        }
        lines.push('\n');
    }

    fn append_figures_to(&self, lines: &mut String) {
        for (key, number) in [
            (" attempts=", self.attempts.into()),
            (" waiting=", self.waiting),
            (" head_us=", self.head_us),
            (" queue_us=", self.queue_us),
            (" connect_us=", self.connect_us),
            (" vm_us=", self.vm_us),
            (" total_us=", self.total_us),
            (" input_bytes=", self.input_bytes),
            (" output_bytes=", self.output_bytes),
        ] {
            lines.push_str(key);
            push_number(lines, number);
        }
        lines.push_str(" end=");
        lines.push_str(self.end);
        lines.push_str(" predicted_us=");
        push_number(lines, self.predicted_us);
    }
}

/// Writes moments, of which most lie within the same second as the one before.
#[derive(Debug, Default)]
pub struct Clock {
    /// The second that was written last, and its text without the `Z` at its end.
    last: Option<(i64, String)>,
}

impl Clock {
    /// Adds a moment to the millisecond, `2026-11-21T12:30:01.123Z`.
    fn append_to(&mut self, text: &mut String, at: Timestamp) {
        let at = at.max(Timestamp::UNIX_EPOCH);
        let second = at.as_second();
        if self.last.as_ref().is_none_or(|(last, _)| *last != second) {
            let whole = format!("{at:.0}");
            self.last = Some((second, whole.trim_end_matches('Z').to_owned()));
        }
        text.push_str(self.last.as_ref().map_or("", |(_, whole)| whole));
        let thousandth = u64::from(at.subsec_nanosecond().unsigned_abs()) / 1_000_000;
        text.push('.');
        for digit in [thousandth / 100, thousandth / 10 % 10, thousandth % 10] {
            push_number(text, digit);
        }
        text.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_one_line() {
        let access = Access {
            at: "2026-11-21T12:30:01.123Z".parse().unwrap(),
            request: "r-1",
            client: "127.0.0.1",
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
            why: Why::Because("the queue is full"),
        };
        let mut lines = "before\n".to_owned();
        access.append_to(&mut lines, &mut Clock::default());
        assert_eq!(
            lines,
            "before\nat=2026-11-21T12:30:01.123Z request=r-1 client=127.0.0.1 http=1.1 method=POST \
             path=\"/blur\\n image\" status=200 vm=vm-2 attempts=1 waiting=3 head_us=0 \
             queue_us=1500 connect_us=80 vm_us=34000 total_us=36000 input_bytes=10 \
             output_bytes=20 end=whole predicted_us=30000 why=\"the queue is full\"\n"
        );
    }

    proptest! {
        #[test]
        fn moments_are_written_as_the_calendar_has_them(
            moments in proptest::collection::vec(0_i64..4_000_000_000_000_000, 1..9),
        ) {
            let mut clock = Clock::default();
            for at in moments.into_iter().map(|micros| Timestamp::from_microsecond(micros).unwrap()) {
                let mut text = String::new();
                clock.append_to(&mut text, at);
                prop_assert_eq!(text, format!("{at:.3}"));
            }
        }
    }
}
