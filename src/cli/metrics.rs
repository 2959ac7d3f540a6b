//! `cumulet metrics`: the requests of metrics.txt put together.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Usage, operate, print};
use crate::config::{self, Config};
use crate::domain::summary::{Spread, Summary};
use crate::state::table::{By, Filter, Table};
use crate::tui::format;

/// What is asked of the table.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// Only requests for this: blur, enhance, raytrace.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Only requests that this VM answered.
    #[arg(long, value_name = "ID")]
    vm: Option<String>,
    /// Only requests finished since then: so long ago (10m), or a time (2026-11-22T09:00:00Z).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// A line for each, instead of one for all.
    #[arg(long, value_enum, value_name = "COLUMN")]
    group_by: Option<Column>,
    /// As JSON; times in milliseconds.
    #[arg(long)]
    json: bool,
    /// As comma-separated values (RFC 4180); times in milliseconds.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// A column to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Column {
    /// The VM that answered; `-` where none did.
    Vm,
    /// What was asked for.
    Workload,
    /// The hour, in UTC.
    Hour,
    /// The HTTP status.
    Status,
}

impl From<Column> for By {
    fn from(column: Column) -> Self {
        match column {
            Column::Vm => Self::Vm,
            Column::Workload => Self::Workload,
            Column::Hour => Self::Hour,
            Column::Status => Self::Status,
        }
    }
}

pub(super) fn metrics(config: &Config, question: &Question) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    let since = question.since.as_deref().map(|text| since(text, Timestamp::now())).transpose()?;
    let (workload, vm) = (question.workload.clone(), question.vm.clone());
    let filter = Filter { since, workload, vm };
    let table = Table::read(&folder, &filter, question.group_by.map(By::from))?;
    if let Some(why) = &table.without_index {
        note(&format!("metrics.txt itself was read, which takes longer: {why}"));
    }
    if table.not_understood > 0 {
        let lines = usize::try_from(table.not_understood).unwrap_or(usize::MAX);
        note(&format!("{} of metrics.txt not understood", format::count(lines, "line")));
    }
    let groups = in_order(&table);
    let name = question.group_by.and_then(|column| column.to_possible_value());
    let name = name.as_ref().map_or("requests", |value| value.get_name());
    print(&if question.json {
        let rows = groups.iter().map(|(group, sum)| as_json(name, group, sum));
        format!("{:#}\n", Value::Array(rows.collect()))
    } else if question.csv {
        as_csv(name, &groups)
    } else {
        as_text(name, &groups)
    })
}

/// Tells what is beside the answer.
fn note(sentence: &str) {
    // With stderr closed there is nobody to tell.
    let _told = writeln!(std::io::stderr(), "note: {sentence}");
}

/// A moment: so long before now, or itself.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Usage> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    config::time(text)
        .ok()
        .and_then(|ago| now.checked_sub(SignedDuration::try_from(ago).ok()?).ok())
        .ok_or_else(|| {
            Usage(format!(
                "--since {text}: how long ago is needed, for example 10m, or a time such as \
                 2026-11-22T09:00:00Z"
            ))
        })
}

/// The groups as people count them: vm-2 before vm-10.
fn in_order(table: &Table) -> Vec<(&str, &Summary)> {
    let mut groups: Vec<_> = table.groups.iter().map(|(name, sum)| (name.as_str(), sum)).collect();
    groups.sort_by_key(|(name, _)| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = name.get(stem.len()..).and_then(|digits| digits.parse::<u64>().ok());
        (stem, number)
    });
    groups
}

const FIGURES: [&str; 13] = [
    "count",
    "errors",
    "wallMean",
    "wallP50",
    "wallP95",
    "wallP99",
    "cpuMean",
    "cpuP50",
    "cpuP95",
    "cpuP99",
    "work",
    "inputBytes",
    "outputBytes",
];

/// The figures in the order of [`FIGURES`]; times in milliseconds, nothing where nothing is known.
fn figures(sum: &Summary) -> [Value; FIGURES.len()] {
    let times = |spread: Option<Spread>| {
        let milliseconds = |of: fn(&Spread) -> f64| {
            // To the microsecond, which is what was measured.
            json!(spread.as_ref().map(|spread| of(spread).round() / 1000.0))
        };
        [
            milliseconds(|spread| spread.mean),
            milliseconds(|spread| spread.p50 as f64),
            milliseconds(|spread| spread.p95 as f64),
            milliseconds(|spread| spread.p99 as f64),
        ]
    };
    let [wall_mean, wall_50, wall_95, wall_99] = times(sum.wall_us());
    let [cpu_mean, cpu_50, cpu_95, cpu_99] = times(sum.cpu_us());
    [
        json!(sum.count),
        json!(sum.errors),
        wall_mean,
        wall_50,
        wall_95,
        wall_99,
        cpu_mean,
        cpu_50,
        cpu_95,
        cpu_99,
        json!(sum.work),
        json!(sum.input_bytes),
        json!(sum.output_bytes),
    ]
}

fn as_json(name: &str, group: &str, sum: &Summary) -> Value {
    let figures = FIGURES.iter().map(|figure| (*figure).to_owned()).zip(figures(sum));
    Value::Object([(name.to_owned(), json!(group))].into_iter().chain(figures).collect())
}

fn as_csv(name: &str, groups: &[(&str, &Summary)]) -> String {
    let mut text = format!("{name},{}\r\n", FIGURES.join(","));
    for (group, sum) in groups {
        let cell = |value: Value| if value.is_null() { String::new() } else { value.to_string() };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{},{}\r", quoted(group), figures(sum).map(cell).join(","));
    }
    text
}

/// A cell as RFC 4180 has it: in quotes where it holds what would end it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn as_text(name: &str, groups: &[(&str, &Summary)]) -> String {
    if groups.is_empty() {
        return "no such requests\n".to_owned();
    }
    let times = |spread: Option<Spread>| {
        let shown = |us: f64| format::milliseconds(us / 1000.0);
        spread.map_or_else(
            || [format::UNKNOWN; 4].map(str::to_owned),
            |s| [shown(s.mean), shown(s.p50 as f64), shown(s.p95 as f64), shown(s.p99 as f64)],
        )
    };
    let mut rows = vec![
        [name, "count", "errors", "mean", "p50", "p95", "p99", "cpu mean", "cpu p50", "cpu p95"]
            .into_iter()
            .chain(["cpu p99", "work", "in", "out"])
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    ];
    for (group, sum) in groups {
        let mut row = vec![(*group).to_owned(), sum.count.to_string(), sum.errors.to_string()];
        row.extend(times(sum.wall_us()));
        row.extend(times(sum.cpu_us()));
        row.push(format!("{:.3e}", sum.work as f64));
        row.extend([sum.input_bytes, sum.output_bytes].map(format::bytes));
        rows.push(row);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| format::columns(cell)).max().unwrap_or(0)
    };
    let widths = (0..rows.first().map_or(0, Vec::len)).map(width).collect::<Vec<_>>();
    let mut text = String::new();
    for row in &rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - format::columns(cell).min(*width));
            let pieces = if at == 0 { ["", cell, &gap] } else { ["  ", &gap, cell] };
            text.extend(pieces);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::summary::Outcome;

    #[test]
    fn since_is_a_moment_or_a_time_before_now() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let read = |text| since(text, now).map(|moment| moment.to_string());
        assert_eq!(read("10m").unwrap(), "2026-11-22T09:50:00Z");
        assert_eq!(read("2026-11-22T09:00:00Z").unwrap(), "2026-11-22T09:00:00Z");
        assert!(read("yesterday").unwrap_err().to_string().contains("10m"));
    }

    #[test]
    fn groups_come_as_people_count_them() {
        let mut table = Table::default();
        for name in ["vm-10", "-", "vm-2", "gpu"] {
            table.groups.insert(name.to_owned(), Summary::default());
        }
        let names = in_order(&table).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names, ["-", "gpu", "vm-2", "vm-10"]);
    }

    #[test]
    fn a_name_with_a_comma_stays_one_cell_and_what_is_not_known_is_empty() {
        let mut sum = Summary::default();
        sum.add(&Outcome {
            status: 503,
            wall_us: 1500,
            cpu_us: None,
            work: None,
            input_bytes: 7,
            output_bytes: 0,
        });
        let text = as_csv("vm", &[("a,\"b\"", &sum)]);
        assert_eq!(text.lines().nth(1).unwrap(), "\"a,\"\"b\"\"\",1,1,1.5,1.5,1.5,1.5,,,,,0,7,0");
    }
}
