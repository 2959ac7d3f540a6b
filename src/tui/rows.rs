//! One row per VM: what it says of itself, what is wanted of it and what the balancer sees of it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::data::Data;
use super::format::{self, since};
use super::history::Track;
use crate::domain::decision::Action;
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::VmOrder;
use crate::state::lb_state::LbTarget;
use crate::state::vm_state::VmReport;

/// What a VM is, as far as an onlooker can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    /// It serves.
    Running,
    /// Its process waits for the boot time to pass.
    Booting,
    /// It is wanted, and nothing has been heard of it yet.
    Wanted,
    /// It finishes what it has.
    Draining,
    /// Its reports are late, its process is there: it hangs, or was paused.
    Silent,
    /// Its process is gone without a last word.
    Dead,
    /// It has left.
    Terminated,
}

impl Status {
    /// The word that stands for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Booting => "booting",
            Self::Wanted => "wanted",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Dead => "dead",
            Self::Terminated => "ended",
        }
    }

    /// The sign that stands for it beside its word.
    pub(crate) fn glyph(self) -> &'static str {
        match self {
            Self::Running => "●",
            Self::Booting => "◔",
            Self::Wanted => "○",
            Self::Draining => "◐",
            Self::Silent => "◌",
            Self::Dead => "✖",
            Self::Terminated => "·",
        }
    }

    /// It has a process that a signal can reach.
    pub(crate) fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Booting | Self::Draining | Self::Silent)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One VM.
#[derive(Debug, Clone)]
pub(crate) struct Row<'a> {
    /// Its id.
    pub(crate) id: &'a VmId,
    /// What it is.
    pub(crate) status: Status,
    /// What it said last.
    pub(crate) report: Option<&'a VmReport>,
    /// What is wanted of it.
    pub(crate) order: Option<&'a VmOrder>,
    /// What the balancer sees of it.
    pub(crate) target: Option<&'a LbTarget>,
    /// What it said before.
    pub(crate) track: Option<&'a Track>,
    /// Time since its process started.
    pub(crate) age: Option<Duration>,
    /// Time since its last report.
    pub(crate) silent_for: Option<Duration>,
    /// What is worth knowing of it beyond its numbers.
    pub(crate) note: String,
}

impl Row<'_> {
    /// Share of its CPU in use.
    pub(crate) fn cpu(&self) -> Option<f64> {
        Some(self.report?.load.cpu.get())
    }

    /// Requests it works on or holds.
    pub(crate) fn in_flight(&self) -> Option<u32> {
        let report = self.report?;
        Some(report.load.in_flight.saturating_add(report.load.queued))
    }

    /// Requests it answers per second.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.track?.rate()
    }

    /// The 95th percentile of its time to answer, in milliseconds.
    pub(crate) fn p95(&self) -> Option<f64> {
        self.target.map(|target| target.p95_ms).filter(|p95| *p95 > 0.0)
    }

    /// The name of its instance type, as it says or as it was ordered.
    pub(crate) fn instance_type(&self) -> Option<&str> {
        let reported = self.report.map(|report| report.instance_type.as_str());
        reported.or_else(|| self.order?.instance_type.as_deref())
    }
}

/// A row for each VM that exists or is wanted, in the order of their numbers.
pub(crate) fn rows(data: &Data) -> Vec<Row<'_>> {
    let orders = data.as_state.document.as_ref().map_or(&[][..], |document| &document.vms);
    let reports = data.reports();
    let mut ids = reports.iter().map(|report| &report.id).collect::<Vec<_>>();
    ids.extend(orders.iter().map(|order| &order.id));
    ids.sort_by_key(|id| (id.number().is_none(), id.number(), *id));
    ids.dedup();
    let reports: HashMap<_, _> = reports.iter().map(|report| (&report.id, report)).collect();
    let orders: HashMap<_, _> = orders.iter().map(|order| (&order.id, order)).collect();
    let targets: HashMap<_, _> = data
        .balancer()
        .into_iter()
        .flat_map(|balancer| &balancer.vms)
        .map(|target| (&target.id, target))
        .collect();
    ids.into_iter()
        .map(|id| {
            let (report, order) = (reports.get(id).copied(), orders.get(id).copied());
            row(data, id, report, order, targets.get(id).copied())
        })
        .collect()
}

fn row<'a>(
    data: &'a Data,
    id: &'a VmId,
    report: Option<&'a VmReport>,
    order: Option<&'a VmOrder>,
    target: Option<&'a LbTarget>,
) -> Row<'a> {
    let silent_for = report.map(|report| since(data.now, report.reported_at));
    let status = status(data, report, order, silent_for);
    let mut row = Row {
        id,
        status,
        report,
        order,
        target,
        track: data.history.track(id),
        age: report.map(|report| since(data.now, report.launched_at)),
        silent_for,
        note: String::new(),
    };
    row.note = note(data, &row);
    row
}

fn status(
    data: &Data,
    report: Option<&VmReport>,
    order: Option<&VmOrder>,
    silent_for: Option<Duration>,
) -> Status {
    let Some(report) = report else {
        let leaving = order.is_some_and(|order| order.action == Action::Delete);
        return if leaving { Status::Terminated } else { Status::Wanted };
    };
    let late = silent_for.is_some_and(|time| time > data.known.late_after());
    match report.state {
        VmState::Terminated => Status::Terminated,
        _ if data.gone.contains(&report.pid) => Status::Dead,
        _ if late => Status::Silent,
        VmState::Booting => Status::Booting,
        VmState::Running => Status::Running,
        VmState::Draining => Status::Draining,
    }
}

/// The one thing about a VM that its numbers do not say.
fn note(data: &Data, row: &Row<'_>) -> String {
    let asked = |order: &VmOrder| order.by.as_deref() == Some(crate::operator::BY);
    match (row.status, row.silent_for, row.order, row.target) {
        (Status::Silent, Some(time), ..) => {
            format!("no report for {}, process there", format::duration(time))
        }
        (Status::Dead, Some(time), ..) => {
            format!("process gone, last word {} ago", format::duration(time))
        }
        (Status::Wanted, _, Some(order), _) => match order.since {
            Some(asked) => format!("asked for {} ago", format::duration(since(data.now, asked))),
            None => "asked for".to_owned(),
        },
        (Status::Draining, ..) => match row.in_flight() {
            Some(0) => "nothing left, ends now".to_owned(),
            Some(left) => format!("{left} left to finish"),
            None => String::new(),
        },
        (Status::Running, _, Some(order), _) if order.action == Action::Delete => {
            let who = if asked(order) { "the operator" } else { "the autoscaler" };
            format!("to be drained, asked by {who}")
        }
        (Status::Running, _, _, Some(target)) if !target.in_rotation => {
            format!("out of rotation: {}", target.reason)
        }
        (Status::Running | Status::Booting, _, Some(order), _) if order.protected => {
            "protected".to_owned()
        }
        _ => String::new(),
    }
}
