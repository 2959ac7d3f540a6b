//! Two reports side by side.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::report::{Figures, Report, VERSION, short};

/// Reads a report that was written as JSON.
///
/// # Errors
/// If the file cannot be read, is no report, or is one of another version.
pub fn read(path: &Path) -> anyhow::Result<Report> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of `cumulet load --json`", path.display()))?;
    if report.version != VERSION {
        let (path, version) = (path.display(), report.version);
        bail!("{path} is a report of version {version}; this program reads version {VERSION}");
    }
    Ok(report)
}

/// A figure that two reports have.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is of: `all`, or a workload.
    pub of: String,
    /// What it is.
    pub figure: &'static str,
    /// In the first report.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// Which way is better.
    pub better: Better,
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Neither: it says how much was done.
    Neither,
}

impl Row {
    /// The second over the first; none if the first is 0.
    pub fn ratio(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.after / self.before)
    }

    /// A word about the change, if it is more than a twentieth.
    fn verdict(&self) -> &'static str {
        let higher = match self.ratio() {
            Some(ratio) if ratio > 1.05 => true,
            Some(ratio) if ratio < 0.95 => false,
            None if self.after > 0.0 => true,
            _ => return "",
        };
        match (self.better, higher) {
            (Better::Neither, _) => "",
            (Better::Higher, true) | (Better::Lower, false) => "better",
            _ => "worse",
        }
    }
}

/// All figures of both.
pub fn rows(before: &Report, after: &Report) -> Vec<Row> {
    use Better::{Higher, Lower, Neither};
    let mut rows = Vec::new();
    let mut add = |of: &str, figure, better, before, after| {
        rows.push(Row { of: of.to_owned(), figure, before, after, better });
    };
    add("all", "ok", Neither, before.ok as f64, after.ok as f64);
    add("all", "failed", Lower, before.failed as f64, after.failed as f64);
    add("all", "lost", Lower, before.lost as f64, after.lost as f64);
    add("all", "seconds", Neither, before.seconds, after.seconds);
    add("all", "per second", Higher, before.per_second, after.per_second);
    if let (Some(before), Some(after)) = (before.dollars, after.dollars) {
        add("all", "dollars", Lower, before, after);
    }
    let mut of = |name: &str, before: &Figures, after: &Figures| {
        let pairs = [
            ("latency mean, ms", before.corrected.mean, after.corrected.mean),
            ("latency p50, ms", before.corrected.p50, after.corrected.p50),
            ("latency p99, ms", before.corrected.p99, after.corrected.p99),
            ("latency max, ms", before.corrected.max, after.corrected.max),
            ("queued mean, ms", before.queued.mean, after.queued.mean),
            ("slowdown mean", before.slowdown.mean, after.slowdown.mean),
            ("slowdown p99", before.slowdown.p99, after.slowdown.p99),
        ];
        for (figure, before, after) in pairs {
            if before > 0.0 || after > 0.0 {
                add(name, figure, Lower, before, after);
            }
        }
    };
    of("all", &before.all, &after.all);
    for (name, figures) in &before.workloads {
        if let Some(other) = after.workloads.get(name).filter(|_| before.workloads.len() > 1) {
            of(name, figures, other);
        }
    }
    rows
}

/// Both as a table, and what makes them hard to compare.
pub fn text(before: &Report, after: &Report) -> String {
    let mut out = String::new();
    if before.load != after.load || before.seed != after.seed {
        out.push_str("These are different loads:\n");
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "A: {} to {}, seed {}", before.load, before.target, before.seed);
    let _ = writeln!(out, "B: {} to {}, seed {}\n", after.load, after.target, after.seed);
    let _ = writeln!(out, "{:<10} {:<18} {:>10} {:>10} {:>7}", "", "", "A", "B", "B/A");
    for row in rows(before, after) {
        let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let [a, b] = [row.before, row.after].map(|figure| {
            // Most whole numbers here are counts.
            if figure.fract() == 0.0 { format!("{figure:.0}") } else { short(figure) }
        });
        let line = format!(
            "{:<10} {:<18} {a:>10} {b:>10} {ratio:>7}  {}",
            row.of,
            row.figure,
            row.verdict()
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Both as JSON: a list of figures.
pub fn to_json(before: &Report, after: &Report) -> Value {
    let row = |row: Row| {
        json!({
            "of": row.of, "figure": row.figure,
            "a": row.before, "b": row.after, "ratio": row.ratio(),
        })
    };
    rows(before, after).into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::load::mix::Workload;
    use crate::client::load::report::Frame;
    use crate::client::load::tally::{Done, Tally, Trouble};
    use crate::client::load::wire::Timing;

    /// A report of ten requests that took so long each, and of one that was lost.
    fn report(milliseconds: u64) -> Report {
        let mut tally = Tally { sent: 11, ..Tally::default() };
        for number in 1..=10 {
            let time = Duration::from_millis(milliseconds).saturating_mul(number);
            let cpu = Some(Duration::from_millis(10));
            tally.add(&Done {
                workload: Workload::Blur,
                vm: Some("vm-1"),
                latency: time,
                corrected: time + Duration::from_millis(milliseconds),
                timing: Timing { cpu, queued: None },
                attempts: 1 + u32::from(number == 3),
                bytes_sent: 100,
                bytes_received: 200,
            });
        }
        let (kind, example) = ("no connection".to_owned(), "refused".to_owned());
        tally.add_trouble(Workload::Blur, None, Trouble::Lost { kind, example });
        let frame = Frame {
            began: "2026-11-22T08:00:00Z".parse().unwrap(),
            target: "127.0.0.1:8000".to_owned(),
            load: "blur=1 at 10/s constant".to_owned(),
            seed: 1,
            took: Duration::from_secs(1),
        };
        Report::of(frame, &tally)
    }

    #[test]
    fn a_report_says_what_was_counted() {
        let report = report(10);
        assert_eq!((report.sent, report.ok, report.lost, report.unfinished), (11, 10, 1, 0));
        assert!(!report.is_good());
        let all = &report.all;
        assert!((all.latency.mean - 55.0).abs() < 0.1 && (all.corrected.max - 110.0).abs() < 0.1);
        assert!((all.slowdown.p50 - 6.0).abs() < 0.01 && (all.cpu_seconds - 0.1).abs() < 1e-9);
        assert_eq!((all.repeated, all.attempts, all.bytes_received), (1, 11, 2000));
        assert_eq!(report.vms["vm-1"].failed, 0, "nobody knows which VM would have answered");
        let text = report.text();
        for said in [
            "11 sent in 1.0 s: 10 ok, 0 failed, 1 lost",
            "1 × no connection: refused",
            "vm-1",
            "From when they were sent: mean 55.0",
            "11 attempts",
        ] {
            assert!(text.contains(said), "{said} is not in\n{text}");
        }
    }

    #[test]
    fn a_report_survives_a_file_and_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let mut report = report(10);
        std::fs::write(&path, serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), report);
        report.version += 1;
        std::fs::write(&path, serde_json::to_string(&report).unwrap()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("version 2"));
        std::fs::write(&path, "{}").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is no report"));
    }

    #[test]
    fn the_slower_one_is_called_worse() {
        let (fast, slow) = (report(10), report(20));
        let worse = text(&fast, &slow);
        assert!(worse.contains("latency mean, ms") && worse.contains("2.00  worse"), "{worse}");
        assert!(!worse.contains("different loads") && !worse.contains("better"), "{worse}");
        assert!(text(&slow, &fast).contains("0.50  better"));
        let same = text(&fast, &fast);
        assert!(!same.contains("worse") && !same.contains("better"), "{same}");
        let other = Report { seed: 2, ..fast.clone() };
        assert!(text(&fast, &other).starts_with("These are different loads"));
        let figures = to_json(&fast, &slow);
        let mean = figures.as_array().unwrap().iter().find(|row| row["figure"] == "slowdown mean");
        assert!((mean.unwrap()["ratio"].as_f64().unwrap() - 2.0).abs() < 0.01);
    }
}
