//! Every kind of picture gives what the widely used Java implementation made of it.
//!
//! `cargo test --test imaging_goldens -- --nocapture` prints the comparison file by file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use cumulet::workload::imaging::{self, Filter, Format, OutputFormat, Picture, Refusal};
use cumulet::workload::{Error, FullSpeed, Instructions, Limits, Run};
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
    let apply = |set| {
        imaging::apply_with(set, golden.filter, &golden.input, output, &run)
            .unwrap_or_else(|error| panic!("{}: {error}", golden.name))
    };
    let processed = apply(Instructions::best());
    for set in Instructions::available() {
        assert!(apply(set).bytes == processed.bytes, "{} with {set}", golden.name);
    }
    processed
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
            // Portable JPEG codecs are not libjpeg: their pixels are near, their bytes others.
            let is_exact = imaging::jpeg_is_exact() || !golden.name.contains("jpg");
            if is_exact && (greatest > 0 || golden.label == "jpg") {
                wrong.push(golden.name.clone());
            }
            match greatest {
                0 => "equal pixels".to_owned(),
                _ => format!("{:.2} % of samples differ, by up to {greatest}", share * 100.0),
            }
        };
        println!("{:>8} bytes  {:<40} {verdict}", golden.expected.len(), golden.name);
    }
    assert!(wrong.is_empty(), "these differ: {wrong:#?}");
}

fn small_bmp() -> Vec<u8> {
    let samples = (0..=255).flat_map(|level| [level, 255 - level, 7]).collect();
    let picture = Picture { width: 16, height: 16, channels: imaging::Channels::Rgb, samples };
    imaging::encode(&picture, Format::Bmp).unwrap()
}

fn apply_to(input: &[u8], output: OutputFormat) -> Result<imaging::Processed, Error> {
    let limits = Limits { picture_pixels: 150 * 120, ..Limits::default() };
    let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
    imaging::apply(Filter::Blur, input, output, &run)
}

#[test]
fn raw_pictures_come_back_in_their_own_format() {
    for entry in fs::read_dir(folder("in")).unwrap() {
        let path = entry.unwrap().path();
        let input = read(&path);
        if path.extension().is_some_and(|extension| extension == "webp") {
            let error = apply_to(&input, OutputFormat::SameAsInput).unwrap_err();
            assert!(matches!(&error, Error::Unsupported(text) if text.contains("WebP")), "{error}");
            continue;
        }
        let header = imaging::probe_header(&input).unwrap();
        let processed = apply_to(&input, OutputFormat::SameAsInput).unwrap();
        assert_eq!(imaging::probe_header(&processed.bytes), Some(header), "{}", path.display());
        assert!(processed.usage.work > 0);
    }
}

#[test]
fn the_work_counted_depends_on_the_input_alone() {
    for golden in goldens() {
        let (one, many) = (apply(&golden, 1), apply(&golden, 3));
        assert_eq!(one.usage.work, many.usage.work, "{}", golden.name);
        assert!(one.bytes == many.bytes, "{}", golden.name);
    }
}

#[test]
fn a_picture_over_the_limit_is_refused_by_its_header() {
    let header = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x40\0\0\0\x40\0\x08\x02\0\0\0";
    let error = apply_to(header, OutputFormat::SameAsInput).unwrap_err();
    let expected = Error::TooLarge {
        what: "the picture's number of pixels",
        actual: 1 << 28,
        limit: "picture_pixels",
        allowed: 150 * 120,
    };
    assert_eq!(error, expected);
}

#[test]
fn every_cut_picture_is_refused_with_a_reason() {
    for entry in fs::read_dir(folder("in")).unwrap() {
        let path = entry.unwrap().path();
        let input = read(&path);
        if Format::sniff(&input).is_none() {
            continue;
        }
        for kept in [20, 40, input.len() / 2, input.len() * 3 / 5] {
            let error = apply_to(&input[..kept], OutputFormat::SameAsInput);
            let error = error.expect_err(&path.display().to_string());
            assert!(matches!(error, Error::Malformed(_)), "{}: {error:?}", path.display());
            assert!(error.to_string().contains("cannot be read"), "{error}");
        }
    }
}

#[test]
#[cfg(feature = "libjpeg")]
fn a_progressive_picture_that_lacks_scans_is_refused() {
    let input = read(&folder("in").join("z_prog_150x120.jpg"));
    let scans = input.windows(2).enumerate().filter(|(_, marker)| *marker == [0xff, 0xda]);
    let starts: Vec<usize> = scans.map(|(at, _)| at).collect();
    assert!(starts.len() > 3, "a progressive picture has several scans");
    for start in &starts[1..] {
        let error = apply_to(&input[..*start], OutputFormat::SameAsInput).unwrap_err();
        assert!(error.to_string().contains("before its last scan"), "{error}");
    }
}

#[test]
fn no_damage_makes_a_decoder_panic() {
    let mut random = fastrand::Rng::with_seed(3);
    for entry in fs::read_dir(folder("in")).unwrap() {
        let input = read(&entry.unwrap().path());
        for _ in 0..200 {
            let mut damaged = input.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..damaged.len().min(4000));
                damaged[at] = random.u8(..);
            }
            if let Ok(processed) = apply_to(&damaged, OutputFormat::As(Format::Bmp)) {
                assert!(processed.refusal.is_some() || !processed.bytes.is_empty());
            }
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_without_an_error() {
    let refusal = |output| apply_to(&small_bmp(), output).unwrap().refusal;
    assert_eq!(refusal(OutputFormat::from_label("svg+xml")), Some(Refusal::UnknownOutput));
    assert_eq!(refusal(OutputFormat::from_label("BMP")), None);
}

#[test]
fn enhancing_to_bmp_gives_a_grey_palette() {
    let limits = Limits::default();
    let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
    let output = OutputFormat::SameAsInput;
    let file = imaging::apply(Filter::Enhance, &small_bmp(), output, &run).unwrap().bytes;
    assert_eq!(file[28..30], [8, 0], "bits a pixel");
    assert_eq!(file[54..62], [0, 0, 0, 0, 1, 1, 1, 0], "the palette's first colours");
    assert_eq!(file.len(), 54 + 1024 + 16 * 16);
}
