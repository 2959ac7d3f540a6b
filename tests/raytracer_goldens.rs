//! Pictures made by the widely used Java implementation, to the byte.
//!
//! `cargo test --test raytracer_goldens -- --nocapture` prints the comparison file by file.
//!
//! A file `SCENE[_TEXTURE]_WxH[_wW_..][_aa].png` in `tests/goldens/raytracer` is the picture of
//! `SCENE.txt`. `640x400_w101x77_c301_httproff53` is the window of 101 x 77 pixels of a scene of
//! 640 x 400 at column offset 301 and row offset 53.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and print")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cumulet::workload::raytracer::{Prepared, Rendered, View};
use cumulet::workload::{FullSpeed, Instructions, Limits, Run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/raytracer")
}

/// What a golden file's name asks for.
struct Golden {
    scene: String,
    texture: Option<String>,
    view: View,
}

fn size(text: &str) -> Option<(i32, i32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

fn understand(name: &str) -> Option<Golden> {
    let mut parts = name.strip_suffix(".png")?.split('_').peekable();
    let scene = parts.next()?.to_owned();
    let texture = parts
        .next_if(|part| part.starts_with("tex"))
        .and_then(|texture| texture.rsplit_once('-'))
        .map(|(stem, extension)| format!("{stem}.{extension}"));
    let (columns, rows) = size(parts.next()?)?;
    let mut view = View::full(columns, rows);
    for part in parts {
        if part == "aa" {
            view.antialias = true;
        } else if let Some(window) = part.strip_prefix('w') {
            (view.window_columns, view.window_rows) = size(window)?;
        } else if let Some(offset) = part.strip_prefix("httproff") {
            view.row_offset = offset.parse().ok()?;
        } else {
            view.column_offset = part.strip_prefix('c')?.parse().ok()?;
        }
    }
    // The texture used where the name mentions none.
    let default = scene.contains("texmap").then(|| "tex48x32.bmp".to_owned());
    Some(Golden { scene, texture: texture.or(default), view })
}

fn render_golden(golden: &Golden, instructions: Instructions) -> Rendered {
    let scene = fs::read(folder().join(format!("{}.txt", golden.scene))).unwrap();
    let texmap = golden.texture.as_ref().map(|name| fs::read(folder().join(name)).unwrap());
    let limits = Limits::default();
    let threads = NonZeroUsize::new(2).unwrap();
    let run = Run { threads, pacer: &FullSpeed, limits: &limits };
    let prepared = Prepared::new(&scene, texmap.as_deref(), &run).unwrap();
    prepared.render_with(instructions, &golden.view, &run).unwrap()
}

fn goldens() -> Vec<(String, Golden)> {
    let mut goldens: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("own"))
        .filter_map(|name| understand(&name).map(|golden| (name, golden)))
        .collect();
    goldens.sort_by(|a, b| a.0.cmp(&b.0));
    goldens
}

#[test]
fn every_golden_is_equal_to_the_byte() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 38, "every golden's name is understood");
    println!("{:>8}  {:<52} equal with", "pixels", "picture");
    for (name, golden) in goldens {
        let expected = image::open(folder().join(&name)).unwrap().into_rgb8();
        let mut equal = Vec::new();
        for set in Instructions::available() {
            let rendered = render_golden(&golden, set);
            assert_eq!((rendered.width, rendered.height), expected.dimensions(), "{name}");
            let actual = rendered.rgb();
            let different =
                actual.chunks(3).zip(expected.as_raw().chunks(3)).filter(|(a, b)| a != b).count();
            assert_eq!(different, 0, "pixels of {name} differ with {set}");
            assert_eq!(actual.len(), expected.as_raw().len(), "{name}");
            equal.push(set.to_string());
        }
        println!("{:>8}  {name:<52} {}", expected.as_raw().len() / 3, equal.join(", "));
    }
}
