//! The first word on every screen: how the cluster is, with the reason.

use std::fmt;
use std::time::Duration;

use super::data::{BALANCER_LATE, Data};
use super::format::{count, duration, percent, since};
use super::rows::{Row, Status, rows};
use crate::domain::decision::Action;
use crate::state::Document;
use crate::state::as_state::AsStateFile;
use crate::state::events::EventKind;
use crate::state::lb_state::LbStateFile;
use crate::state::vm_state::VmStateFile;

/// How a cluster is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// All that is wanted runs, and all parts speak.
    Healthy,
    /// VMs come or go.
    Scaling,
    /// It works, but not as it should.
    Degraded,
    /// It should be running, and no VM says anything.
    Stale,
    /// It has just begun.
    Starting,
    /// The process that holds it together ended without a word, or its files cannot be read.
    Failed,
    /// It was ended.
    Stopped,
    /// No cluster has ever run in this folder.
    Empty,
}

impl Condition {
    /// The word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Scaling => "SCALING",
            Self::Degraded => "DEGRADED",
            Self::Stale => "STALE",
            Self::Starting => "STARTING",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
            Self::Empty => "EMPTY",
        }
    }

    /// For scripts: 0 for a cluster that works or is about to, 1 for one that is degraded, 2 for
    /// one that does not run.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Healthy | Self::Scaling | Self::Starting => 0,
            Self::Degraded => 1,
            Self::Stale | Self::Failed | Self::Stopped | Self::Empty => 2,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a cluster is, and why that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The word.
    pub condition: Condition,
    /// The reason, as a sentence without its stop.
    pub reason: String,
}

/// How many VMs there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    pub(crate) running: usize,
    pub(crate) booting: usize,
    pub(crate) draining: usize,
    /// Silent or dead.
    pub(crate) lost: usize,
}

impl Census {
    pub(crate) fn of(rows: &[Row<'_>]) -> Self {
        let count = |wanted: &[Status]| rows.iter().filter(|r| wanted.contains(&r.status)).count();
        Self {
            running: count(&[Status::Running]),
            booting: count(&[Status::Booting, Status::Wanted]),
            draining: count(&[Status::Draining]),
            lost: count(&[Status::Silent, Status::Dead]),
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} running", self.running)?;
        let others = [(self.booting, "booting"), (self.draining, "draining"), (self.lost, "lost")];
        others
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, word)| write!(f, " · {number} {word}"))
    }
}

/// Mean CPU share of the VMs that run.
pub(crate) fn mean_cpu(rows: &[Row<'_>]) -> Option<f64> {
    let shares = rows
        .iter()
        .filter(|row| row.status == Status::Running)
        .filter_map(Row::cpu)
        .collect::<Vec<_>>();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// How the cluster is.
pub(crate) fn judge(data: &Data) -> Verdict {
    let rows = rows(data);
    let (condition, reason) = absent(data, &rows)
        .or_else(|| unheard(data, &rows))
        .or_else(|| impaired(data, &rows))
        .or_else(|| moving(&rows))
        .unwrap_or_else(|| (Condition::Healthy, all_well(data, &rows)));
    Verdict { condition, reason }
}

type Judged = Option<(Condition, String)>;

/// There is no cluster, or not any more.
fn absent(data: &Data, rows: &[Row<'_>]) -> Judged {
    let freshest = rows.iter().filter_map(|row| row.silent_for).min();
    let fresh = freshest.is_some_and(|age| age <= data.known.late_after());
    if let Some(file) = &data.cluster.file {
        let reason = format!("its process {} ended without a word", file.pid);
        return (!data.cluster.alive && !fresh).then_some((Condition::Failed, reason));
    }
    if fresh {
        return None;
    }
    if let Some(problem) = unreadable(data) {
        return Some((Condition::Failed, problem));
    }
    let stopped = data.events.iter().rev().find(|event| {
        event.kind == EventKind::Role && event.role == "cluster" && event.vm.is_none()
    });
    let ago = |at| format!("{} ago", duration(since(data.now, at)));
    match (stopped.filter(|event| event.detail == "stopped"), freshest) {
        (Some(event), _) => Some((Condition::Stopped, format!("it was stopped {}", ago(event.at)))),
        (None, Some(age)) => {
            let reason = format!("no cluster runs here; a VM's last word is {} old", duration(age));
            Some((Condition::Stopped, reason))
        }
        (None, None) if data.as_state.document.is_some() || !data.events.is_empty() => {
            Some((Condition::Stopped, "no cluster runs here".to_owned()))
        }
        (None, None) => {
            Some((Condition::Empty, "no cluster has run in this folder yet".to_owned()))
        }
    }
}

/// A document that nothing good is known of.
fn unreadable(data: &Data) -> Option<String> {
    let vm_state = data.vm_state.problem.clone().filter(|_| data.vm_state.document.is_none());
    vm_state.or_else(|| data.as_state.problem.clone().filter(|_| data.as_state.document.is_none()))
}

/// There should be a cluster, and it does not speak.
fn unheard(data: &Data, rows: &[Row<'_>]) -> Judged {
    let speaking =
        |row: &&Row<'_>| matches!(row.status, Status::Running | Status::Booting | Status::Draining);
    if rows.iter().any(|row| speaking(&row)) {
        let none_ran =
            !rows.iter().any(|row| row.report.is_some_and(|report| report.running_since.is_some()));
        let reason = || {
            let booting = rows.iter().filter(|row| row.status == Status::Booting).count();
            format!("{} of {} booting, none serves yet", booting, count(rows.len(), "VM"))
        };
        return none_ran.then(|| (Condition::Starting, reason()));
    }
    if let Some(problem) = unreadable(data) {
        return Some((Condition::Failed, problem));
    }
    match rows.iter().filter_map(|row| row.silent_for).min() {
        Some(age) => {
            let due = duration(data.known.report_every);
            let reason = format!("no word from any VM for {}, due every {due}", duration(age));
            Some((Condition::Stale, reason))
        }
        None if rows.is_empty() => {
            Some((Condition::Starting, "nothing has been written yet".to_owned()))
        }
        None => {
            let reason = format!("{} asked for, none has reported yet", count(rows.len(), "VM"));
            Some((Condition::Starting, reason))
        }
    }
}

/// It works, but something is wrong.
fn impaired(data: &Data, rows: &[Row<'_>]) -> Judged {
    let lost = rows.iter().filter(|row| matches!(row.status, Status::Silent | Status::Dead));
    let lost = lost.map(|row| format!("{} {}", row.id, row.status)).collect::<Vec<_>>();
    let reason = if !lost.is_empty() {
        listed(&lost)
    } else if data.cluster.file.is_some() && !data.cluster.alive {
        "the cluster's process is gone: nobody replaces a VM that dies".to_owned()
    } else {
        broken(data)
            .or_else(|| late_roles(data))
            .or_else(|| failures(data))
            .or_else(|| nothing_in_rotation(data, rows))?
    };
    Some((Condition::Degraded, reason))
}

fn broken(data: &Data) -> Option<String> {
    let problems = [
        (VmStateFile::FILE, &data.vm_state.problem),
        (AsStateFile::FILE, &data.as_state.problem),
        (LbStateFile::FILE, &data.lb_state.problem),
    ];
    let (file, problem) = problems.into_iter().find_map(|(f, p)| Some((f, p.as_ref()?)))?;
    Some(format!("{file} is not usable, its last good word counts: {problem}"))
}

fn late_roles(data: &Data) -> Option<String> {
    let balancer = data.lb_state_age().filter(|age| *age > BALANCER_LATE);
    if let Some(age) = balancer {
        return Some(format!("the balancer has written nothing for {}", duration(age)));
    }
    // Once it has spoken, it speaks at least once a report period.
    let last = data.as_state.document.as_ref()?.decided_at?;
    let age = since(data.now, last);
    let late = age > data.known.late_after().max(BALANCER_LATE);
    late.then(|| format!("the autoscaler has written nothing for {}", duration(age)))
}

/// Too many of the last requests failed.
fn failures(data: &Data) -> Option<String> {
    const LATELY: Duration = Duration::from_secs(30);
    /// One request in so many may fail before that is the first thing to say.
    const BEARABLE: usize = 100;
    let (mut all, mut failed) = (0_usize, 0_usize);
    for metric in data.recent(LATELY) {
        all += 1;
        failed += usize::from(metric.status >= 500);
    }
    (failed * BEARABLE > all)
        .then(|| format!("{failed} of {} failed in the last 30 s", count(all, "request")))
}

fn nothing_in_rotation(data: &Data, rows: &[Row<'_>]) -> Option<String> {
    let balancer = data.balancer()?;
    let running = rows.iter().any(|row| row.status == Status::Running);
    let none = running && !balancer.vms.iter().any(|target| target.in_rotation);
    none.then(|| "the balancer has no VM in rotation".to_owned())
}

/// VMs come or go.
fn moving(rows: &[Row<'_>]) -> Judged {
    let leaving = |row: &Row<'_>| row.order.is_some_and(|order| order.action == Action::Delete);
    let moves = rows
        .iter()
        .filter(|row| {
            matches!(row.status, Status::Booting | Status::Wanted | Status::Draining)
                || row.status == Status::Running && leaving(row)
        })
        .map(|row| match row.status {
            Status::Running => format!("{} leaving", row.id),
            status => format!("{} {status}", row.id),
        })
        .collect::<Vec<_>>();
    (!moves.is_empty()).then(|| (Condition::Scaling, listed(&moves)))
}

fn all_well(data: &Data, rows: &[Row<'_>]) -> String {
    let running = rows.iter().filter(|row| row.status == Status::Running).count();
    let cpu = mean_cpu(rows).map(|cpu| format!(", mean cpu {}", percent(cpu))).unwrap_or_default();
    let paused = data.as_state.document.as_ref().is_some_and(|document| document.paused);
    let paused = if paused { ", the autoscaler is paused" } else { "" };
    format!("{}{cpu}{paused}", count(running, "VM") + " serving")
}

/// The first few of a list, and how many more there are.
fn listed(words: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = words.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
