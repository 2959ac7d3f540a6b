//! Recorded loads: requests and when they came, to be sent again.
//!
//! Two kinds of files: our own `metrics.txt`, and comma-separated values with the columns
//! `seconds,workload[,width,height[,format,shapes,lights,antialias,file]]`, named in a first line
//! or in this order. An empty field, or one that is missing, is drawn as for any other request.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};

use super::mix::Workload;
use crate::state::metrics::Metric;
use crate::workload::imaging::{Format, OutputFormat};

/// A request of a trace. What the trace does not say is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When it came, from the first one of the trace on.
    pub at: Duration,
    /// What it asked for.
    pub workload: Workload,
    /// Width and height of the picture or of what was rendered, in pixels.
    pub size: Option<(u32, u32)>,
    /// The picture's file format.
    pub format: Option<Format>,
    /// Shapes of the scene.
    pub shapes: Option<u32>,
    /// Lights of the scene besides the ambient one.
    pub lights: Option<u32>,
    /// Whether it was anti-aliased.
    pub antialias: Option<bool>,
    /// The picture or the scene, instead of one made here.
    pub file: Option<PathBuf>,
}

/// The columns of a trace, in the order that a file without a first line of names has.
pub const COLUMNS: [&str; 9] =
    ["seconds", "workload", "width", "height", "format", "shapes", "lights", "antialias", "file"];

/// Reads a trace of either kind. Its requests come out in the order of their times, the first at
/// zero.
///
/// # Errors
/// Which line cannot be read, and why.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the trace {}", path.display()))?;
    let mut rows = parse(&text).with_context(|| format!("{} is no trace", path.display()))?;
    let Some(first) = rows.iter().map(|row| row.at).min() else {
        bail!("{} has no request in it that can be sent again", path.display());
    };
    rows.sort_by_key(|row| row.at);
    for row in &mut rows {
        row.at -= first;
    }
    Ok(rows)
}

fn parse(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .peekable();
    if lines.peek().is_some_and(|(_, line)| line.starts_with("at=")) {
        return metrics(lines);
    }
    let named = lines.next_if(|(_, line)| {
        line.split(',').next().is_some_and(|field| field.trim().parse::<f64>().is_err())
    });
    let columns = match named {
        None => COLUMNS.to_vec(),
        Some((number, line)) => line
            .split(',')
            .map(|name| {
                let known = COLUMNS.into_iter().find(|known| *known == name.trim());
                known.with_context(|| {
                    let known = COLUMNS.join(", ");
                    format!(
                        "line {number}: there is no column `{}`; there are {known}",
                        name.trim()
                    )
                })
            })
            .collect::<Result<_, _>>()?,
    };
    lines
        .map(|(number, line)| row(&columns, line).with_context(|| format!("line {number}")))
        .collect()
}

fn row(columns: &[&str], line: &str) -> anyhow::Result<Row> {
    let fields = line.split(',').map(str::trim).collect::<Vec<_>>();
    if fields.len() > columns.len() {
        bail!("it has {} fields, there are {} columns", fields.len(), columns.len());
    }
    let fields: HashMap<&str, &str> = columns.iter().copied().zip(fields).collect();
    let seconds: f64 = required(&fields, "seconds")?;
    let at = Duration::try_from_secs_f64(seconds)
        .with_context(|| format!("`seconds` cannot be {seconds}"))?;
    let word: Option<String> = optional(&fields, "format")?;
    let format = word.as_deref().map(format_of).transpose().map_err(anyhow::Error::msg)?;
    let size = optional(&fields, "width")?.zip(optional(&fields, "height")?);
    if size.is_some_and(|(width, height): (u32, u32)| width == 0 || height == 0) {
        bail!("`width` and `height` must be above 0");
    }
    Ok(Row {
        at,
        workload: required(&fields, "workload")?,
        size,
        format,
        shapes: optional(&fields, "shapes")?,
        lights: optional(&fields, "lights")?,
        antialias: optional(&fields, "antialias")?,
        file: optional(&fields, "file")?,
    })
}

fn optional<T: FromStr>(fields: &HashMap<&str, &str>, name: &str) -> anyhow::Result<Option<T>> {
    match fields.get(name).copied().filter(|field| !field.is_empty()) {
        None => Ok(None),
        Some(field) => match field.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("`{name}` cannot be `{field}`"),
        },
    }
}

fn required<T: FromStr>(fields: &HashMap<&str, &str>, name: &str) -> anyhow::Result<T> {
    optional(fields, name)?.with_context(|| format!("`{name}` is missing"))
}

/// The picture format that goes by this word.
///
/// # Errors
/// A sentence about what would be right.
pub fn format_of(word: &str) -> Result<Format, String> {
    match OutputFormat::from_label(word) {
        OutputFormat::As(format) => Ok(format),
        _ => Err(format!("`{word}` is no picture format: jpeg, png, bmp, gif or tiff is needed")),
    }
}

/// A row as it stands in a file of comma-separated values.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let (width, height) = self.size.unzip();
        write!(
            f,
            "{:.6},{},{},{},{},{},{},{},{}",
            self.at.as_secs_f64(),
            self.workload.as_str(),
            text(width),
            text(height),
            text(self.format.map(|format| format.name().to_lowercase())),
            text(self.shapes),
            text(self.lights),
            text(self.antialias),
            text(self.file.as_ref().map(|path| path.display())),
        )
    }
}

/// The requests of a `metrics.txt`: they came `wall_us` before they were finished.
fn metrics<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut came = Vec::new();
    for (number, line) in lines {
        let metric: Metric = line.parse().with_context(|| format!("line {number}"))?;
        // A workload that is not known here cannot be sent again.
        let Ok(workload) = metric.workload.parse() else { continue };
        let extra = |name| metric.extra.iter().find(|(key, _)| *key == name).map(|(_, n)| *n);
        let count = |name| extra(name).and_then(|number| u32::try_from(number).ok());
        came.push(metric.at.as_microsecond() - i64::try_from(metric.wall_us).unwrap_or(i64::MAX));
        rows.push(Row {
            at: Duration::ZERO,
            workload,
            size: metric.width.zip(metric.height).filter(|(w, h)| *w > 0 && *h > 0),
            format: None,
            shapes: count("primitives"),
            lights: count("lights").map(|lights| lights.saturating_sub(1)),
            antialias: extra("antialias").map(|number| number > 0),
            file: None,
        });
    }
    let first = came.iter().min().copied().unwrap_or_default();
    for (row, came) in rows.iter_mut().zip(came) {
        row.at = Duration::from_micros(came.abs_diff(first));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bare(at: Duration, workload: Workload) -> Row {
        Row {
            at,
            workload,
            size: None,
            format: None,
            shapes: None,
            lights: None,
            antialias: None,
            file: None,
        }
    }

    #[test]
    fn two_columns_are_enough() {
        let rows = parse("# by hand\n0.5,blur\n\n1,raytrace\n").unwrap();
        let half = Duration::from_millis(500);
        assert_eq!(rows, [bare(half, Workload::Blur), bare(half * 2, Workload::Raytrace)]);
    }

    #[test]
    fn named_columns_come_in_any_order() {
        let rows = parse("workload,shapes,seconds\nraytrace,7,0\n").unwrap();
        let expected = Row { shapes: Some(7), ..bare(Duration::ZERO, Workload::Raytrace) };
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_with_its_number() {
        for (text, said) in [
            ("0,blur\nx,blur", "line 2: `seconds` cannot be `x`"),
            ("-1,blur", "line 1: `seconds` cannot be -1"),
            ("0,blurr", "line 1: `workload` cannot be `blurr`"),
            ("0", "line 1: `workload` is missing"),
            ("0,blur,4,0", "line 1: `width` and `height` must be above 0"),
            ("0,blur,4,4,webp", "line 1: `webp` is no picture format"),
            ("seconds,wrokload\n", "line 1: there is no column `wrokload`"),
            ("seconds,workload\n0,blur,1", "line 2: it has 3 fields, there are 2 columns"),
            ("at=yesterday", "line 1: "),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }

    #[test]
    fn our_own_metrics_are_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.txt");
        let line = |second, workload, wall| {
            format!(
                "at=2026-11-22T08:00:0{second}.000Z request=a workload={workload} vm=vm-1 \
                 status=200 width=40 height=30 input_bytes=1 output_bytes=1 queue_us=0 cpu_us=1 \
                 wall_us={wall} work=1 attempts=1 primitives=7 lights=3 antialias=1\n"
            )
        };
        let text = line(4, "blur", 500_000) + &line(5, "raytrace", 3_000_000) + &line(6, "x", 1);
        std::fs::write(&path, text).unwrap();
        let rows = read(&path).unwrap();
        let told = rows.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            told,
            ["0.000000,raytrace,40,30,,7,2,true,", "1.500000,blur,40,30,,7,2,true,"],
            "in the order in which they came"
        );
    }

    #[test]
    fn a_trace_of_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.csv");
        std::fs::write(&path, "seconds,workload\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("has no request in it"));
    }

    proptest! {
        #[test]
        fn any_row_is_read_as_it_was_written(
            micros in 0u64..1 << 40, size in proptest::option::of((1u32.., 1u32..)),
            shapes: Option<u32>, lights: Option<u32>, antialias: Option<bool>,
            workload in prop::sample::select(super::super::mix::ALL.to_vec()),
        ) {
            let at = Duration::from_micros(micros);
            let row = Row { size, shapes, lights, antialias, ..bare(at, workload) };
            let read = parse(&row.to_string()).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert!(read[0].at.abs_diff(at) < Duration::from_micros(2));
            prop_assert_eq!(&Row { at, ..read[0].clone() }, &row);
        }

        #[test]
        fn reading_never_panics(text in "(at=|seconds,)?[0-9a-z,.=\\n-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
