//! The table of requests: what metrics.txt says, by any column.
//!
//! Whoever asks reads `metrics.db`, an index over metrics.txt and samples.txt that is brought up to
//! date first. It holds nothing that the text does not say, so nobody has to keep it safe: where it
//! is missing, damaged or cannot be written, the text answers the same question, more slowly.

#[cfg(feature = "database")]
mod columns;
#[cfg(feature = "database")]
mod database;
mod lines;
#[cfg(feature = "database")]
mod soundness;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::metrics::Metric;
use super::{Error, StateFolder};
use crate::domain::summary::{Outcome, Summary};

/// Which requests are meant: those that all of it is true of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Finished then or later, to the microsecond.
    pub since: Option<Timestamp>,
    /// What was asked for.
    pub workload: Option<String>,
    /// The VM that answered.
    pub vm: Option<String>,
}

/// By what requests are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The VM that answered, `-` for none.
    Vm,
    /// What was asked for.
    Workload,
    /// The hour in which they were finished, in UTC.
    Hour,
    /// The status of the answer.
    Status,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The groups by name; one named `all` if they are not put together by anything.
    pub groups: BTreeMap<String, Summary>,
    /// Lines of metrics.txt that were not understood, and so are not in it.
    pub not_understood: u64,
    /// Why the text had to be read, if the index could not be used.
    pub without_index: Option<String>,
}

/// What the table knows of a request.
struct Row {
    at: Timestamp,
    workload: String,
    vm: Option<String>,
    outcome: Outcome,
}

impl Table {
    /// Reads the table of a state folder, which may be another's copy that cannot be written to.
    ///
    /// # Errors
    /// If metrics.txt cannot be read.
    pub fn read(folder: &StateFolder, filter: &Filter, by: Option<By>) -> Result<Self, Error> {
        #[cfg(feature = "database")]
        let without_index = match database::read(folder, filter, by) {
            Ok(table) => return Ok(table),
            Err(error) => Some(error.to_string()),
        };
        #[cfg(not(feature = "database"))]
        let without_index = None;
        Ok(Self { without_index, ..Self::of_text(folder, filter, by)? })
    }

    /// Reads the text itself, line by line.
    ///
    /// # Errors
    /// If metrics.txt cannot be read.
    pub fn of_text(folder: &StateFolder, filter: &Filter, by: Option<By>) -> Result<Self, Error> {
        let mut table = Self::default();
        for part in folder.parts::<Metric>()? {
            let mut lines = lines::Lines::of(part);
            while let Some(line) = lines.next_line()? {
                match line.parse::<Metric>() {
                    Ok(metric) => {
                        let row = Row::from(metric);
                        if filter.takes(&row) {
                            table.add(by, &row);
                        }
                    }
                    Err(_) => table.not_understood += 1,
                }
            }
        }
        Ok(table)
    }

    fn add(&mut self, by: Option<By>, row: &Row) {
        let name = match by {
            None => "all".to_owned(),
            Some(By::Vm) => row.vm.clone().unwrap_or_else(|| "-".to_owned()),
            Some(By::Workload) => row.workload.clone(),
            Some(By::Hour) => row.at.strftime("%Y-%m-%dT%H:00Z").to_string(),
            Some(By::Status) => row.outcome.status.to_string(),
        };
        self.groups.entry(name).or_default().add(&row.outcome);
    }
}

impl Filter {
    fn takes(&self, row: &Row) -> bool {
        self.since.is_none_or(|since| row.at.as_microsecond() >= since.as_microsecond())
            && self.workload.as_ref().is_none_or(|workload| *workload == row.workload)
            && self.vm.as_ref().is_none_or(|vm| Some(vm) == row.vm.as_ref())
    }
}

impl From<Metric> for Row {
    fn from(metric: Metric) -> Self {
        Self {
            at: metric.at,
            workload: metric.workload,
            vm: metric.vm.map(|vm| vm.to_string()),
            outcome: Outcome {
                status: metric.status,
                wall_us: metric.wall_us,
                cpu_us: metric.cpu_us,
                work: metric.work,
                input_bytes: metric.input_bytes,
                output_bytes: metric.output_bytes,
            },
        }
    }
}
