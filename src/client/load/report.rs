//! What a load found out: as data, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tally::{Group, Tally, Times};

/// Version of the JSON form; it grows when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What a load found out. Times are in milliseconds, unless the field's name says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// When it began.
    pub began: Timestamp,
    /// Where the requests went.
    pub target: String,
    /// What was sent, in words.
    pub load: String,
    /// The seed of all draws.
    pub seed: u64,
    /// From the beginning to the last answer.
    pub seconds: f64,
    /// Requests that were sent.
    pub sent: u64,
    /// Answered well.
    pub ok: u64,
    /// Answered with anything else.
    pub failed: u64,
    /// Not answered, or not to the end.
    pub lost: u64,
    /// Not answered yet when the load was ended.
    pub unfinished: u64,
    /// Good answers per second.
    pub per_second: f64,
    /// What went wrong, most frequent first.
    pub errors: Vec<Trouble>,
    /// Everything together.
    pub all: Figures,
    /// By kind of request.
    pub workloads: BTreeMap<String, Figures>,
    /// By the VM that answered.
    pub vms: BTreeMap<String, Figures>,
    /// What the VMs cost while the load ran, in US dollars, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars: Option<f64>,
}

/// A kind of failure or loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// What was said the first time.
    pub example: String,
}

/// Figures of good answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// How many.
    pub ok: u64,
    /// How many requests were failed or lost beside them.
    pub failed: u64,
    /// From sending a request to the last byte of its answer.
    pub latency: Spread,
    /// The same from the moment at which the request was due: what a user feels if the client
    /// itself had to wait, for example for a free connection (no coordinated omission).
    pub corrected: Spread,
    /// Time in queues, as the answers say.
    pub queued: Spread,
    /// Corrected latency over the CPU time of the work: 1 is what a VM with nothing else to do and
    /// one core would give.
    pub slowdown: Spread,
    /// CPU seconds of the work.
    pub cpu_seconds: f64,
    /// Answers that took more than one attempt.
    pub repeated: u64,
    /// Attempts altogether.
    pub attempts: u64,
    /// Bytes of the requests' bodies.
    pub bytes_sent: u64,
    /// Bytes of the answers' bodies.
    pub bytes_received: u64,
}

/// How figures are spread. All are 0 if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Half of all are at most this.
    pub p50: f64,
    /// 90 of 100 are at most this.
    pub p90: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// 999 of 1000 are at most this.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of what was recorded in thousandths.
    pub(super) fn of(times: &Times) -> Self {
        let Some(histogram) = times.histogram() else { return Self::default() };
        let at = |part| round(histogram.value_at_quantile(part) as f64 / 1e3);
        Self {
            mean: round(histogram.mean() / 1e3),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: round(Histogram::max(histogram) as f64 / 1e3),
        }
    }
}

/// Thousandths are as fine as anything is measured.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

impl Figures {
    fn of(group: &Group) -> Self {
        Self {
            ok: group.ok,
            failed: group.failed,
            latency: Spread::of(&group.latency),
            corrected: Spread::of(&group.corrected),
            queued: Spread::of(&group.queued),
            slowdown: Spread::of(&group.slowdown),
            cpu_seconds: round(group.cpu.as_secs_f64()),
            repeated: group.repeated,
            attempts: group.attempts,
            bytes_sent: group.bytes_sent,
            bytes_received: group.bytes_received,
        }
    }
}

/// What a report says beside what was counted.
pub(super) struct Frame {
    pub(super) began: Timestamp,
    pub(super) target: String,
    pub(super) load: String,
    pub(super) seed: u64,
    pub(super) took: Duration,
}

impl Report {
    pub(super) fn of(frame: Frame, tally: &Tally) -> Self {
        let seconds = frame.took.as_secs_f64();
        let errors = tally.errors.iter().map(|(kind, (count, example))| Trouble {
            kind: kind.clone(),
            count: *count,
            example: example.clone(),
        });
        let mut errors = errors.collect::<Vec<_>>();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        let workloads = tally.workloads.iter();
        Self {
            version: VERSION,
            began: frame.began,
            target: frame.target,
            load: frame.load,
            seed: frame.seed,
            seconds: round(seconds),
            sent: tally.sent,
            ok: tally.all.ok,
            failed: tally.failed,
            lost: tally.lost,
            unfinished: tally.in_flight(),
            per_second: round(tally.all.ok as f64 / seconds.max(1e-9)),
            errors,
            all: Figures::of(&tally.all),
            workloads: workloads
                .map(|(workload, group)| (workload.as_str().to_owned(), Figures::of(group)))
                .collect(),
            vms: tally.vms.iter().map(|(vm, group)| (vm.clone(), Figures::of(group))).collect(),
            dollars: None,
        }
    }

    /// True if every request that was sent and waited for was answered well.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.lost == 0
    }

    /// The report as a person reads it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (all, seconds) = (&self.all, self.seconds);
        writeln!(out, "{} to {}, seed {}", self.load, self.target, self.seed)?;
        write!(out, "{} sent in {seconds:.1} s: {} ok", self.sent, self.ok)?;
        write!(out, ", {} failed, {} lost", self.failed, self.lost)?;
        if self.unfinished > 0 {
            write!(out, ", {} unfinished", self.unfinished)?;
        }
        writeln!(out, "; {:.1}/s", self.per_second)?;
        for error in &self.errors {
            writeln!(out, "  {} × {}: {}", error.count, error.kind, error.example)?;
        }
        write!(out, "\n{:<12} {:>8} {:>6}", "latency, ms", "ok", "failed")?;
        for title in ["mean", "p50", "p90", "p99", "p99.9", "max", "slowdown", "p99"] {
            write!(out, " {title:>9}")?;
        }
        out.push('\n');
        row(out, "all", all)?;
        if self.workloads.len() > 1 {
            for (name, figures) in &self.workloads {
                row(out, name, figures)?;
            }
        }
        for (name, figures) in self.vms.iter().filter(|(name, _)| *name != "?") {
            row(out, name, figures)?;
        }
        out.push('\n');
        if all.latency != all.corrected {
            let Spread { mean, p50, p99, max, .. } = all.latency;
            writeln!(
                out,
                "Counted from when requests were due. From when they were sent: mean {}, p50 {}, \
                 p99 {}, max {}.",
                short(mean),
                short(p50),
                short(p99),
                short(max)
            )?;
        }
        if all.queued.max > 0.0 {
            let Spread { mean, p99, max, .. } = all.queued;
            let (mean, p99, max) = (short(mean), short(p99), short(max));
            writeln!(out, "In queues: mean {mean}, p99 {p99}, max {max} ms.")?;
        }
        if all.cpu_seconds > 0.0 {
            let cores = all.cpu_seconds / seconds.max(1e-9);
            writeln!(out, "Work: {:.2} CPU s, {cores:.2} cores.", all.cpu_seconds)?;
        }
        if all.repeated > 0 {
            let (repeated, attempts) = (all.repeated, all.attempts);
            writeln!(out, "{repeated} answers took more than one attempt; {attempts} attempts.")?;
        }
        if let Some(dollars) = self.dollars {
            let each = if self.ok > 0 { dollars / self.ok as f64 * 1e6 } else { 0.0 };
            writeln!(out, "VMs: ${dollars:.6}, ${each:.2} per million requests.")?;
        }
        Ok(())
    }
}

fn row(out: &mut String, name: &str, figures: &Figures) -> std::fmt::Result {
    let Spread { mean, p50, p90, p99, p999, max, .. } = figures.corrected;
    write!(out, "{name:<12} {:>8} {:>6}", figures.ok, figures.failed)?;
    for time in [mean, p50, p90, p99, p999, max, figures.slowdown.mean, figures.slowdown.p99] {
        write!(out, " {:>9}", short(time))?;
    }
    out.push('\n');
    Ok(())
}

/// Three significant digits, or the whole number.
pub(super) fn short(number: f64) -> String {
    match number {
        n if n >= 99.95 => format!("{n:.0}"),
        n if n >= 9.995 => format!("{n:.1}"),
        n if n >= 0.9995 => format!("{n:.2}"),
        n if n > 0.0 => format!("{n:.3}"),
        _ => "0".to_owned(),
    }
}
