//! Pictures made by the widely used Java implementation, to the byte.
//!
//! A file `SCENE[_TEXTURE]_WxH[_wW_..][_aa].png` in `tests/goldens/raytracer` is the picture of
//! `SCENE.txt`. `640x400_w101x77_c301_httproff53` is the window of 101 x 77 pixels of a scene of
//! 640 x 400 at column offset 301 and row offset 53.
#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cumulet::workload::raytracer::{RenderRequest, Rendered, View, render};
use cumulet::workload::{FullSpeed, Limits, Run};

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

fn render_golden(golden: &Golden, threads: usize) -> Rendered {
    let scene = fs::read(folder().join(format!("{}.txt", golden.scene))).unwrap();
    let texmap = golden.texture.as_ref().map(|name| fs::read(folder().join(name)).unwrap());
    let request = RenderRequest { scene: &scene, texmap: texmap.as_deref(), view: golden.view };
    let limits = Limits::default();
    let threads = NonZeroUsize::new(threads).unwrap();
    render(&request, &Run { threads, pacer: &FullSpeed, limits: &limits }).unwrap()
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
    for (name, golden) in goldens {
        let expected = image::open(folder().join(&name)).unwrap().into_rgb8();
        let rendered = render_golden(&golden, 2);
        assert_eq!((rendered.width, rendered.height), expected.dimensions(), "{name}");
        let actual = rendered.rgb();
        let different =
            actual.chunks(3).zip(expected.as_raw().chunks(3)).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "pixels of {name} differ");
        assert_eq!(actual.len(), expected.as_raw().len(), "{name}");
    }
}
