//! What tables are sorted by.

use std::cmp::Ordering;

use super::model::{Model, Screen};
use super::rows::Row;
use crate::state::metrics::Metric;

/// What rows of VMs can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Id,
    State,
    Cpu,
    Memory,
    InFlight,
    Rate,
    P95,
    Failures,
    Age,
}

impl Sort {
    pub(crate) const ALL: [Self; 9] = [
        Self::Id,
        Self::State,
        Self::Cpu,
        Self::Memory,
        Self::InFlight,
        Self::Rate,
        Self::P95,
        Self::Failures,
        Self::Age,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::State => "state",
            Self::Cpu => "cpu",
            Self::Memory => "mem",
            Self::InFlight => "flight",
            Self::Rate => "req/s",
            Self::P95 => "p95",
            Self::Failures => "err",
            Self::Age => "age",
        }
    }
}

/// What requests can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestSort {
    At,
    Took,
    Queue,
    Tries,
    Code,
    Size,
    Kind,
    To,
}

impl RequestSort {
    pub(crate) const ALL: [Self; 8] = [
        Self::At,
        Self::Took,
        Self::Queue,
        Self::Tries,
        Self::Code,
        Self::Size,
        Self::Kind,
        Self::To,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::At => "at",
            Self::Took => "took",
            Self::Queue => "queue",
            Self::Tries => "tries",
            Self::Code => "code",
            Self::Size => "size",
            Self::Kind => "kind",
            Self::To => "to",
        }
    }

    /// What comes last is shown first: numbers from the largest down, names from `a` on.
    pub(crate) fn compare(self, a: &Metric, b: &Metric) -> Ordering {
        let pixels =
            |it: &Metric| it.width.zip(it.height).map(|(w, h)| u64::from(w) * u64::from(h));
        match self {
            Self::At => Ordering::Equal,
            Self::Took => a.wall_us.cmp(&b.wall_us),
            Self::Queue => a.queue_us.cmp(&b.queue_us),
            Self::Tries => a.attempts.cmp(&b.attempts),
            Self::Code => a.status.cmp(&b.status),
            Self::Size => pixels(a).cmp(&pixels(b)),
            Self::Kind => b.workload.cmp(&a.workload),
            Self::To => b.vm.cmp(&a.vm),
        }
    }
}

impl Sort {
    pub(crate) fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        fn by(a: Option<f64>, b: Option<f64>) -> Ordering {
            a.unwrap_or(-1.0).total_cmp(&b.unwrap_or(-1.0))
        }
        let memory = |row: &Row<'_>| row.report.map(|report| report.load.memory_bytes);
        let failures = |row: &Row<'_>| row.report.map(|report| report.served.failures);
        match self {
            Self::Id => Ordering::Equal,
            Self::State => a.status.cmp(&b.status),
            Self::Cpu => by(a.cpu(), b.cpu()),
            Self::Memory => memory(a).cmp(&memory(b)),
            Self::InFlight => a.in_flight().cmp(&b.in_flight()),
            Self::Rate => by(a.rate(), b.rate()),
            Self::P95 => by(a.p95(), b.p95()),
            Self::Failures => failures(a).cmp(&failures(b)),
            Self::Age => a.age.cmp(&b.age),
        }
    }
}

/// Turns the table of the screen round.
pub(crate) fn reverse(model: &mut Model) {
    if model.screen == Screen::Requests {
        model.request_ascending = !model.request_ascending;
        model.places.request = None;
    } else {
        model.descending = !model.descending;
    }
}

/// Sorts the table of the screen by its next column.
pub(crate) fn by_next(model: &mut Model) {
    if model.screen == Screen::Requests {
        let all = RequestSort::ALL;
        let at = all.iter().position(|sort| *sort == model.request_sort).unwrap_or(0);
        model.request_sort = all[(at + 1) % all.len()];
        model.request_ascending = false;
        model.places.request = None;
        return;
    }
    let at = Sort::ALL.iter().position(|sort| *sort == model.sort).unwrap_or(0);
    model.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
    // Whoever sorts by a number looks for the largest.
    model.descending = !matches!(model.sort, Sort::Id | Sort::State);
}
