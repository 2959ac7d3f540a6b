//! Every kind of picture gives what the widely used Java implementation made of it.
//!
//! `cargo test --test imaging_goldens -- --nocapture` prints the comparison file by file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use cumulet::workload::imaging::{self, Filter, Format, OutputFormat, Picture, Refusal};
use cumulet::workload::{FullSpeed, Limits, Run};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/imaging").join(name)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One expected file: what it was made from, and how.
struct Golden {
    name: String,
    input: Vec<u8>,
    filter: Filter,
    label: &'static str,
    expected: Vec<u8>,
}

/// All files of `out/`, which are named like `input_png_blur.jpg`.
fn goldens() -> Vec<Golden> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let golden = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (stem, label) = name.rsplit_once('.').unwrap();
        let (source, filter) = stem.rsplit_once('_').unwrap();
        let (source, kind) = source.rsplit_once('_').unwrap();
        Golden {
            input: read(&folder("in").join(format!("{source}.{kind}"))),
            filter: if filter == "blur" { Filter::Blur } else { Filter::Enhance },
            label: if label == "png" { "png" } else { "jpg" },
            expected: read(path),
            name,
        }
    };
    paths.iter().map(golden).collect()
}

fn apply(golden: &Golden, threads: usize) -> imaging::Processed {
    let limits = Limits::default();
    let run =
        Run { threads: NonZeroUsize::new(threads).unwrap(), pacer: &FullSpeed, limits: &limits };
    let output = OutputFormat::from_label(golden.label);
    imaging::apply(golden.filter, &golden.input, output, &run)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name))
}

fn decode(file: &[u8]) -> Picture {
    imaging::decode(file, &Limits::default()).unwrap()
}

/// Share of samples that differ, and the greatest difference.
fn difference(one: &Picture, other: &Picture) -> (f64, u8) {
    assert_eq!((one.width, one.height), (other.width, other.height));
    assert_eq!(one.channels, other.channels);
    let differences = one.samples.iter().zip(&other.samples).map(|(a, b)| a.abs_diff(*b));
    let differing = differences.clone().filter(|difference| *difference > 0).count();
    (differing as f64 / one.samples.len() as f64, differences.max().unwrap_or(0))
}

#[test]
fn every_golden_is_reproduced() {
    let mut wrong = Vec::new();
    for golden in goldens() {
        let processed = apply(&golden, 1);
        let verdict = if golden.expected.is_empty() {
            assert_eq!(processed.refusal, Some(Refusal::Alpha(Format::Jpeg)), "{}", golden.name);
            assert!(processed.bytes.is_empty());
            "empty, as it should be".to_owned()
        } else if processed.bytes == golden.expected {
            "equal bytes".to_owned()
        } else {
            let (share, greatest) =
                difference(&decode(&processed.bytes), &decode(&golden.expected));
            if greatest > 0 || (golden.label == "jpg" && imaging::jpeg_is_exact()) {
                wrong.push(golden.name.clone());
            }
            match greatest {
                0 => "equal pixels".to_owned(),
                _ => format!("{:.2} % of samples differ, by up to {greatest}", share * 100.0),
            }
        };
        println!("{:<40} {verdict}", golden.name);
    }
    assert!(wrong.is_empty(), "these differ: {wrong:#?}");
}
