//! A cluster at one instant, as text and as JSON: for `cumulet top --once`, for pipes and for
//! scripts.

mod json;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::data::{Data, Known};
use super::format::{self, UNKNOWN, count, duration};
use super::rows::{Row, rows};
use super::verdict::{Census, judge, mean_cpu};
use super::{functions, scaler, source, stats};
use crate::config;
use crate::state::{Error, StateFolder};

pub(crate) use json::as_json;

pub use super::verdict::{Condition, Verdict};

/// Over how long requests are counted.
const LAST_MINUTE: Duration = Duration::from_mins(1);
/// How many events the text ends with.
const EVENTS_SHOWN: usize = 8;

/// A cluster at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot(Data);

impl Snapshot {
    /// Reads a state folder as it stands. The settings tell how often VMs report, what instance
    /// types cost and what the autoscaler's cooldowns are.
    ///
    /// # Errors
    /// If a file of lines cannot be read. A broken document is part of the picture, not an error.
    pub fn read(
        folder: &StateFolder,
        settings: &config::Settings,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let known = Known::of(settings, TimeZone::system());
        let mut data = Data::new(Arc::new(known), now);
        data.take_in(source::read_once(folder, now)?);
        Ok(Self(data))
    }

    /// How the cluster is, and why that is said.
    pub fn verdict(&self) -> Verdict {
        judge(&self.0)
    }

    /// The whole picture with stable field names. Times are RFC 3339, durations are seconds,
    /// shares lie between 0 and 1; what is not known is null.
    pub fn to_json(&self) -> Value {
        as_json(&self.0)
    }
}

/// The picture as text, at most `width` columns wide.
pub fn text(snapshot: &Snapshot, width: usize) -> String {
    let data = &snapshot.0;
    let verdict = judge(data);
    let rows = rows(data);
    let mut out = Text { lines: String::new(), width };
    out.line(&format!("{}  {}", verdict.condition, verdict.reason));
    if verdict.condition == Condition::Empty {
        out.line("start one with `cumulet up`");
        return out.lines;
    }
    out.line("");
    out.line(&files(data));
    out.line(&cluster(data, &rows));
    out.line(&balancer(data));
    out.line(&autoscaler(data));
    if let Some((functions, bill)) = functions::summary(data).zip(functions::bill(data)) {
        out.line(&format!("functions   {functions}, {bill} this month"));
    }
    if !rows.is_empty() {
        out.line("");
        out.line(&heading(width));
        for row in &rows {
            out.line(&row_text(row, width));
        }
    }
    if !data.events.is_empty() {
        out.line("");
        let skipped = data.events.len().saturating_sub(EVENTS_SHOWN);
        for event in data.events.iter().skip(skipped) {
            let vm = event.vm.as_ref().map(|id| format!("{id} ")).unwrap_or_default();
            let clock = format::clock(event.at, &data.known.zone);
            out.line(&format!("{clock}  {:<9} {vm}{}", event.kind, event.detail));
        }
    }
    out.lines
}

struct Text {
    lines: String,
    width: usize,
}

impl Text {
    fn line(&mut self, text: &str) {
        self.lines.push_str(format::cut(text, self.width).trim_end());
        self.lines.push('\n');
    }
}

fn ago(age: Option<Duration>) -> String {
    age.map_or_else(|| UNKNOWN.to_owned(), |age| format!("{} ago", duration(age)))
}

fn files(data: &Data) -> String {
    let mut line = String::from("files       ");
    let seqs = [
        ("VMState", data.vm_state.document.as_ref().map(|d| d.seq), data.vm_state_age()),
        ("ASState", data.as_state.document.as_ref().map(|d| d.seq), data.as_state_age()),
        ("LBState", data.lb_state.document.as_ref().map(|d| d.seq), data.lb_state_age()),
    ];
    for (name, seq, age) in seqs {
        // Writing to a String cannot fail.
        let _ = match seq {
            Some(seq) => write!(line, "{name} #{seq} {}   ", ago(age)),
            None => write!(line, "{name} {UNKNOWN}   "),
        };
    }
    line
}

fn cluster(data: &Data, rows: &[Row<'_>]) -> String {
    let up = data.uptime().map(|up| format!(" · up {}", duration(up))).unwrap_or_default();
    let cpu = mean_cpu(rows).map(|cpu| format!(" · mean cpu {}", format::percent(cpu)));
    format!("cluster     {}{}{up}", Census::of(rows), cpu.unwrap_or_default())
}

fn balancer(data: &Data) -> String {
    let Some(balancer) = data.balancer() else { return format!("balancer    {UNKNOWN}") };
    let totals = &balancer.totals;
    let (last, _) = stats::by_workload(data, LAST_MINUTE);
    let p95 = if last.count > 0 {
        format!(" · p95 {}", format::milliseconds(last.p95))
    } else {
        String::new()
    };
    let to_functions = match totals.overflowed {
        0 => String::new(),
        number => format!(" · {number} to functions"),
    };
    format!(
        "balancer    http://{} · {} req/s{p95} · {} in flight · {} queued · {} · {} failed · {} \
         retried{to_functions}",
        format::reachable(&balancer.address),
        format::rate(totals.rate),
        totals.in_flight,
        totals.queued,
        count(usize::try_from(totals.requests).unwrap_or(usize::MAX), "request"),
        totals.failures,
        totals.retries
    )
}

fn autoscaler(data: &Data) -> String {
    let Some(document) = &data.as_state.document else { return format!("autoscaler  {UNKNOWN}") };
    let last = document.decisions.last().map(|decision| {
        let age = format::since(data.now, decision.at);
        let size = if decision.from == decision.to {
            decision.to.to_string()
        } else {
            format!("{}→{}", decision.from, decision.to)
        };
        format!(" · {} {size} {} ago: {}", decision.action, duration(age), decision.reason)
    });
    format!("autoscaler  {}{}", scaler::bounds(data), last.unwrap_or_default())
}

/// A line of the table, in the columns that fit into `width`.
fn columns(cells: &[(String, usize, bool, usize)], width: usize) -> String {
    let mut line = String::new();
    for (text, wide, right, from) in cells {
        if width < *from {
            continue;
        }
        // Writing to a String cannot fail.
        let _ =
            if *right { write!(line, "{text:>wide$}  ") } else { write!(line, "{text:<wide$}  ") };
    }
    line
}

fn heading(width: usize) -> String {
    cells(
        ["id", "state", "type", "cpu", "mem", "flight", "req/s", "p95", "served", "err", "age"]
            .map(str::to_owned),
        "address",
        "pid",
        "note",
        width,
    )
}

fn cells(first: [String; 11], address: &str, pid: &str, note: &str, width: usize) -> String {
    /// Width, aligned to the right, and the width of the whole from which the column is shown.
    const SHAPE: [(usize, bool, usize); 11] = [
        (6, false, 0),
        (8, false, 0),
        (9, false, 90),
        (4, true, 0),
        (5, true, 0),
        (6, true, 0),
        (6, true, 0),
        (6, true, 70),
        (7, true, 80),
        (4, true, 60),
        (7, true, 0),
    ];
    let mut cells = first
        .into_iter()
        .zip(SHAPE)
        .map(|(text, (wide, right, from))| (text, wide, right, from))
        .collect::<Vec<_>>();
    cells.push((address.to_owned(), 15, false, 140));
    cells.push((pid.to_owned(), 7, true, 120));
    cells.push((note.to_owned(), 1, false, 102));
    columns(&cells, width)
}

fn row_text(row: &Row<'_>, width: usize) -> String {
    let some = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let report = row.report;
    let first = [
        row.id.to_string(),
        row.status.to_string(),
        some(row.instance_type().map(str::to_owned)),
        some(row.cpu().map(format::percent)),
        some(report.map(|report| format::bytes(report.load.memory_bytes))),
        some(row.in_flight().map(|number| number.to_string())),
        some(row.rate().map(format::rate)),
        some(row.p95().map(format::milliseconds)),
        some(report.map(|report| report.served.requests.to_string())),
        some(report.map(|report| report.served.failures.to_string())),
        some(row.age.map(duration)),
    ];
    let address = report.map_or(UNKNOWN, |report| &report.address);
    let pid = some(report.map(|report| report.pid.to_string()));
    cells(first, address, &pid, &row.note, width)
}

#[cfg(test)]
mod tests;
