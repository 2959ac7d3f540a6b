//! A mix of requests such as clients send, drawn by seed: what the cost model is judged by.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use cumulet::domain::cost::{Features, Kind, Work};
use cumulet::workload::foresight::{self, LOOKED_AT, Sampling};
use cumulet::workload::imaging::{self, Filter, OutputFormat};
use cumulet::workload::raytracer::{RenderRequest, View, render};
use cumulet::workload::wire::{data_url, query, render_json};
use cumulet::workload::{FullSpeed, Limits, Run};
use fastrand::Rng;

/// A request for work.
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// The query of a render.
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
}

/// What was foretold of a request and what it cost.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) features: Features,
    /// What the features say before anything is learned.
    pub(crate) work: u64,
    pub(crate) cpu: Duration,
    /// CPU time of tracing some rays beforehand.
    pub(crate) sampling: Option<Duration>,
}

/// Renders: 1 to 120 shapes, 1 to 5 lights, windows and whole pictures up to `most` times
/// 160 x 120, every fourth with antialiasing.
pub(crate) fn renders(seed: u64, count: usize, most: f64) -> Vec<Request> {
    let mut random = Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let scene = scene(&mut random);
            let query = window(&mut random, most);
            let body =
                format!("{{\"scene\": \"{}\", \"texmap\": null}}", scene.replace('\n', "\\n"));
            Request { kind: Kind::Raytrace, query, body: body.into_bytes() }
        })
        .collect()
}

fn window(random: &mut Rng, most: f64) -> String {
    let scale = most.powf(random.f64());
    let [columns, rows] = [(160.0 * scale) as u32, (120.0 * scale) as u32];
    let (wide, high, left, up) = if random.u8(0..3) == 0 {
        let part = |random: &mut Rng, whole: u32| random.u32(whole / 3..=whole);
        let (wide, high) = (part(random, columns), part(random, rows));
        (wide, high, random.u32(0..=columns - wide), random.u32(0..=rows - high))
    } else {
        (columns, rows, 0, 0)
    };
    let antialias = random.u8(0..4) == 0;
    format!(
        "scols={columns}&srows={rows}&wcols={wide}&wrows={high}&coff={left}&roff={up}&aa={antialias}"
    )
}

fn scene(random: &mut Rng) -> String {
    let (far, height) = (6.0 + random.f64() * 10.0, 1.0 + random.f64() * 4.0);
    let mut text = format!("0 {height:.2} {far:.2}\n0 0.5 0\n0 1 0\n40\n");
    let lights = random.usize(1..=5);
    let _ = writeln!(text, "{}\n0 0 0 .3 .3 .3 1 0 0", lights + 1);
    for _ in 0..lights {
        let mut place = || random.f64() * 20.0 - 10.0;
        let (x, y, z) = (place(), place().abs() + 2.0, place());
        let _ = writeln!(text, "{x:.2} {y:.2} {z:.2} .7 .7 .7 1 0 0");
    }
    text += "4\nchecker .9 .9 .9 .2 .2 .3 1.5\nsolid .8 .3 .2\nsolid .2 .6 .3\nsolid .9 .9 1\n";
    text += "4\n.3 .7 0 1 0 0 0\n.3 .6 .4 40 0 0 0\n.1 .4 .6 80 .4 0 0\n.05 .1 .8 200 .1 .8 1.5\n";
    // Matte, glossy, with mirrors, with glass.
    let finishes = random.usize(1..=4);
    let shapes = 120_f64.powf(random.f64()).round() as usize;
    let floor = usize::from(random.bool());
    let _ = writeln!(text, "{}", shapes + floor);
    if floor == 1 {
        text += "0 0 plane 0 1 0 1\n";
    }
    let size = 3.0 / (shapes as f64).cbrt();
    for _ in 0..shapes {
        let mut place = |spread: f64| (random.f64() - 0.5) * spread;
        let [x, y, z] = [place(9.0), place(4.0) + 1.0, place(7.0)];
        let (pigment, finish) = (random.usize(1..4), random.usize(0..finishes));
        if random.u8(0..5) == 0 {
            let mut corner = || (random.f64() - 0.5) * 2.0 * size;
            let corners: Vec<String> = (0..3)
                .map(|_| format!("{:.3} {:.3} {:.3}", x + corner(), y + corner(), z + corner()))
                .collect();
            let _ = writeln!(text, "{pigment} {finish} triangle {}", corners.join(" "));
        } else {
            let radius = size * (0.2 + random.f64() * 0.5);
            let _ = writeln!(text, "{pigment} {finish} sphere {x:.3} {y:.3} {z:.3} {radius:.3}");
        }
    }
    text
}

/// Pictures from 0.05 to `most` megapixels, JPEG, PNG and BMP: photographs, mosaics, noise and flat ones;
/// to be blurred and enhanced in turn.
pub(crate) fn pictures(seed: u64, count: usize, most: f64) -> Vec<Request> {
    let mut random = Rng::with_seed(seed);
    (0..count)
        .map(|number| {
            let kind = if number % 2 == 0 { Kind::Blur } else { Kind::Enhance };
            let pixels = 0.05e6 * (most / 0.05).powf(random.f64());
            let ratio = 0.6 + random.f64();
            let (width, height) = ((pixels * ratio).sqrt() as u32, (pixels / ratio).sqrt() as u32);
            let content = random.u8(0..4);
            let picture = image::RgbImage::from_fn(width, height, |x, y| {
                image::Rgb(pixel(&mut random, content, x, y))
            });
            let (label, file) = encode(&mut random, &picture);
            Request { kind, query: String::new(), body: data_url::write(label, &file) }
        })
        .collect()
}

/// A pixel of a photograph (0), a mosaic (1), noise (2) or a flat picture (3).
fn pixel(random: &mut Rng, content: u8, x: u32, y: u32) -> [u8; 3] {
    let wave = |length: f64, phase: f64| {
        (f64::from(x) / length + phase).sin() + (f64::from(y) / length * 1.3).cos()
    };
    match content {
        0 => {
            let base = 120.0 + 35.0 * wave(90.0, 0.0) + 14.0 * wave(17.0, 1.0);
            let noise = (random.f64() + random.f64() - 1.0) * 18.0;
            [base + noise, base * 0.9 + noise, base * 0.7 + 30.0 + noise].map(|level| level as u8)
        }
        1 => {
            let tile = (x / 23).wrapping_mul(2_654_435_761) ^ (y / 17).wrapping_mul(40_503);
            let [red, green, blue, _] = tile.to_le_bytes();
            [red, green, blue]
        }
        2 => [random.u8(..), random.u8(..), random.u8(..)],
        _ => [90, 140, 200],
    }
}

fn encode(random: &mut Rng, picture: &image::RgbImage) -> (&'static str, Vec<u8>) {
    let mut file = std::io::Cursor::new(Vec::new());
    let kind = random.u8(0..5);
    let (label, written) = match kind {
        0..3 => {
            let quality = random.u8(60..=97);
            let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
            ("jpg", picture.write_with_encoder(encoder))
        }
        3 => ("png", picture.write_to(&mut file, image::ImageFormat::Png)),
        _ => ("bmp", picture.write_to(&mut file, image::ImageFormat::Bmp)),
    };
    written.unwrap();
    (label, file.into_inner())
}

impl Request {
    /// Foretells the request as the balancer does, then does it as a VM does.
    pub(crate) fn run(&self, clock: impl Fn() -> Duration) -> Outcome {
        let began = clock();
        let (features, sampled) = self.features();
        let sampling = sampled.then(|| clock().saturating_sub(began));
        let began = clock();
        let work = self.work();
        Outcome { features, work, cpu: clock().saturating_sub(began), sampling }
    }

    /// What is known before, and whether rays were traced for it.
    fn features(&self) -> (Features, bool) {
        let length = Some(self.body.len() as u64);
        let start = self.body.get(..LOOKED_AT).unwrap_or(&self.body);
        match self.kind {
            Kind::Blur => (foresight::picture(Filter::Blur, start, length), false),
            Kind::Enhance => (foresight::picture(Filter::Enhance, start, length), false),
            Kind::Raytrace | Kind::Other => {
                let guessed = foresight::render(&self.query, length);
                let worth = guessed.nominal >= Work::from_nanos(1_000_000);
                let sampled = worth
                    .then(|| Sampling::of(&self.query, &self.body, true, length))
                    .flatten()
                    .map(|sampling| sampling.run().unwrap());
                (sampled.unwrap_or(guessed), sampled.is_some())
            }
        }
    }

    /// Does the request on one thread, and gives the work that is counted.
    fn work(&self) -> u64 {
        let limits = Limits::default();
        let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
        let filter = match self.kind {
            Kind::Blur => Filter::Blur,
            Kind::Enhance => Filter::Enhance,
            Kind::Raytrace | Kind::Other => return self.render(&run),
        };
        let sent = data_url::parse(&self.body).unwrap();
        let output = OutputFormat::from_label(sent.label);
        let done = imaging::apply(filter, &sent.payload, output, &run).unwrap();
        std::hint::black_box(data_url::write(sent.label, &done.bytes));
        done.usage.work
    }

    fn render(&self, run: &Run<'_>) -> u64 {
        let wanted = query::parse(&self.query).unwrap();
        let sent = render_json::parse(&self.body, run.limits).unwrap();
        let view = View {
            scene_columns: wanted.scols,
            scene_rows: wanted.srows,
            window_columns: wanted.wcols,
            window_rows: wanted.wrows,
            column_offset: wanted.coff,
            row_offset: wanted.roff,
            antialias: wanted.aa,
        };
        let request = RenderRequest { scene: sent.scene.as_bytes(), texmap: None, view };
        let done = render(&request, run).unwrap();
        std::hint::black_box(data_url::write("bmp", &done.bmp));
        done.usage.work
    }
}

/// How well predictions fit: the share of the variance they explain, and the mean absolute error
/// as a share of the truth.
pub(crate) fn fit(pairs: &[(f64, f64)]) -> (f64, f64) {
    let count = pairs.len() as f64;
    let mean = pairs.iter().map(|(_, truth)| truth).sum::<f64>() / count;
    let squares =
        |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(|p| of(p).powi(2)).sum::<f64>();
    let explained = 1.0 - squares(&|(p, t)| p - t) / squares(&|(_, t)| t - mean);
    let error = pairs.iter().map(|(p, t)| (p / t - 1.0).abs()).sum::<f64>() / count;
    (explained, error)
}
