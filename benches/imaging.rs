//! What blurring and enhancing pictures costs, stage by stage and whole.
//!
//! `cargo bench --bench imaging`. The inputs are made here by seed: smooth value noise in several
//! octaves, discs with hard edges, and noise, so strong that a JPEG file of quality 75 has about two
//! bits a pixel, like a camera's of quality 90.
//!
//! `cargo bench --bench imaging -- --threads` compares one thread with two: see [`threads`].
//!
//! `cargo bench --bench imaging -- --serve` measures on demand, for `compare_imaging.py`: see
//! [`serve`].
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

use cumulet::workload::imaging::{self, Channels, Filter, Format, OutputFormat, Picture};
use cumulet::workload::wire::{data_url, render_json};
use cumulet::workload::{FullSpeed, Instructions, Limits, Run};
use divan::{Bencher, black_box};
use rustix::time::{ClockId, clock_gettime};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn main() {
    if std::env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    println!("{}", imaging::jpeg_description());
    if std::env::args().any(|argument| argument == "--threads") {
        return threads();
    }
    divan::main();
}

/// Prints how long whole requests, base64 to base64, take by the clock on one thread and on two,
/// and the ratio: the shortest of many runs in turns, for whatever else the machine does only
/// lengthens them.
fn threads() {
    println!("{:<8} {:>9}  1 thread, ms  2 threads, ms   ratio", "filter", "size");
    for (size, rounds) in SIZES.into_iter().zip([400, 100, 25]) {
        for (name, filter) in [("blur", Filter::Blur), ("enhance", Filter::Enhance)] {
            let mut least = [f64::INFINITY; 2];
            for _ in 0..rounds {
                for (threads, least) in (1..).zip(&mut least) {
                    let start = Instant::now();
                    black_box(request(Instructions::best(), filter, &input(size).url, threads));
                    *least = least.min(start.elapsed().as_secs_f64() * 1e3);
                }
            }
            let [one, two] = least;
            let size = format!("{}x{}", size.0, size.1);
            println!("{name:<8} {size:>9} {one:>13.2} {two:>14.2} {:>6.2}x", one / two);
        }
    }
}

/// Answers lines from standard input, so that another program can be measured in turns with this
/// one on the same pictures:
///
/// - `picture 512 768` prints the path of the JPEG file of that size;
/// - `filter blur avx2 1 512 768` filters the decoded picture with these instructions on so many
///   threads, `request blur avx2 1 512 768` does a whole request, base64 to base64. Both print
///   the CPU time of all threads and the time on the clock, in milliseconds.
fn serve() {
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["picture", width, height] => {
                let name = format!("cumulet-{width}x{height}.jpg");
                let path = std::env::temp_dir().join(name);
                std::fs::write(&path, &input(parse(width, height)).jpeg).expect("room for a file");
                println!("{}", path.display());
            }
            [what, filter, set, threads, width, height] => {
                let filter = if filter == "blur" { Filter::Blur } else { Filter::Enhance };
                let set = set.parse().expect("instructions of this processor");
                let threads = threads.parse().expect("a number of threads");
                let input = input(parse(width, height));
                // Outside the clock: what the decoder would give.
                let picture = input.picture.clone();
                let start = Instant::now();
                let cpu = if what == "filter" {
                    on_threads(threads, |run| imaging::filter_with(set, filter, picture, run))
                        .expect("a picture")
                        .1
                } else {
                    request(set, filter, &input.url, threads).1
                };
                let wall = start.elapsed();
                println!("{} {}", cpu.as_secs_f64() * 1e3, wall.as_secs_f64() * 1e3);
            }
            _ => println!("this line is not understood: {line}"),
        }
    }
}

/// One of [`SIZES`].
fn parse(width: &str, height: &str) -> (u32, u32) {
    (width.parse().expect("a width"), height.parse().expect("a height"))
}

/// Width and height: 0.4, 2 and 12 megapixels.
const SIZES: [(u32, u32); 3] = [(512, 768), (1752, 1170), (4242, 2830)];

/// The greatest deviation of the noise, in levels.
const NOISE: f32 = 24.0;

/// One input in the forms that the stages take.
struct Input {
    picture: Picture,
    jpeg: Vec<u8>,
    url: Vec<u8>,
}

impl Input {
    fn new(size: (u32, u32)) -> Self {
        let picture = photograph(size, 1);
        let jpeg = imaging::encode(&picture, Format::Jpeg).expect("small enough");
        let bits = jpeg.len() as f64 * 8.0 / (f64::from(size.0) * f64::from(size.1));
        assert!((1.2..2.8).contains(&bits), "{bits} bits a pixel are not like a photograph's");
        let url = data_url::write("jpg", &jpeg);
        Self { picture, jpeg, url }
    }
}

/// Gives the input of a size, made once.
fn input(size: (u32, u32)) -> &'static Input {
    static INPUTS: [OnceLock<Input>; SIZES.len()] = [const { OnceLock::new() }; SIZES.len()];
    let index = SIZES.iter().position(|known| *known == size).expect("one of the sizes");
    INPUTS[index].get_or_init(|| Input::new(size))
}

/// A picture with the statistics of a photograph.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
fn photograph((width, height): (u32, u32), seed: u64) -> Picture {
    /// Wavelength in pixels and strength of each octave.
    const OCTAVES: [(f32, f32); 5] =
        [(256.0, 60.0), (64.0, 24.0), (16.0, 8.0), (4.0, 4.0), (2.0, 3.0)];
    let mut random = fastrand::Rng::with_seed(seed);
    let lattice: [f32; 4096] = std::array::from_fn(|_| random.f32() * 2.0 - 1.0);
    let discs: Vec<(f32, f32, f32, [f32; 3])> = (0..24)
        .map(|_| {
            let radius = 20.0 + random.f32() * width as f32 / 8.0;
            let colour = std::array::from_fn(|_| random.f32() * 120.0 - 60.0);
            (random.f32() * width as f32, random.f32() * height as f32, radius, colour)
        })
        .collect();
    let mut samples = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x as f32, y as f32);
            let octave = |(length, strength): &(f32, f32)| {
                strength * value_noise(&lattice, x / length, y / length)
            };
            let grey = 120.0 + OCTAVES.iter().map(octave).sum::<f32>();
            let tint = 30.0 * value_noise(&lattice, y / 300.0, x / 300.0);
            let mut colour = [grey + tint, grey, grey - tint];
            for (left, top, radius, shade) in &discs {
                if (x - left).hypot(y - top) < *radius {
                    colour.iter_mut().zip(shade).for_each(|(value, shade)| *value += shade);
                }
            }
            // The sum of three uniform numbers is close to a normal one.
            let noise = (random.f32() + random.f32() + random.f32() - 1.5) * NOISE;
            samples.extend(colour.map(|value| (value + noise) as u8));
        }
    }
    Picture { width, height, channels: Channels::Rgb, samples }
}

/// Interpolates a lattice of random numbers smoothly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "x and y are small")]
fn value_noise(lattice: &[f32; 4096], x: f32, y: f32) -> f32 {
    let at = |column: f32, row: f32| lattice[(column as usize * 31 + row as usize * 97) % 4096];
    let (column, row) = (x.floor(), y.floor());
    let smooth = |share: f32| share * share * (3.0 - 2.0 * share);
    let (across, down) = (smooth(x - column), smooth(y - row));
    let mix = |one: f32, other: f32, share: f32| one + (other - one) * share;
    let above = mix(at(column, row), at(column + 1.0, row), across);
    let below = mix(at(column, row + 1.0), at(column + 1.0, row + 1.0), across);
    mix(above, below, down)
}

/// Runs `work` with this many threads.
fn on_threads<T>(threads: usize, work: impl FnOnce(&Run) -> T) -> T {
    let limits = Limits::default();
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    work(&Run { threads, pacer: &FullSpeed, limits: &limits })
}

/// A whole request: data URL in, data URL out.
///
/// Gives the answer, and the CPU time of all threads.
fn request(set: Instructions, filter: Filter, url: &[u8], threads: usize) -> (Vec<u8>, Duration) {
    let start = thread_time();
    let picture = data_url::parse(url).expect("a data URL");
    let output = OutputFormat::from_label(picture.label);
    let before = thread_time();
    let processed = on_threads(threads, |run| {
        imaging::apply_with(set, filter, &picture.payload, output, run).expect("a picture")
    });
    let after = thread_time();
    let answer = data_url::write(picture.label, &processed.bytes);
    let own = before.saturating_sub(start) + thread_time().saturating_sub(after);
    (answer, own + processed.usage.cpu)
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a time after its start")
}

#[divan::bench(args = SIZES)]
fn blur_request(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| request(Instructions::best(), Filter::Blur, black_box(&input.url), 1));
}

#[divan::bench(args = SIZES)]
fn blur_request_on_two_threads(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| request(Instructions::best(), Filter::Blur, black_box(&input.url), 2));
}

#[divan::bench(args = SIZES)]
fn enhance_request(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| request(Instructions::best(), Filter::Enhance, black_box(&input.url), 1));
}

#[divan::bench(args = SIZES)]
fn enhance_request_on_two_threads(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| request(Instructions::best(), Filter::Enhance, black_box(&input.url), 2));
}

/// The filter and little else: BMP files are only copied.
#[divan::bench(args = SIZES)]
fn blur_bmp_to_bmp(bencher: Bencher, size: (u32, u32)) {
    let bmp = imaging::encode(&input(size).picture, Format::Bmp).expect("small enough");
    bencher.bench(|| {
        on_threads(1, |run| {
            imaging::apply(Filter::Blur, black_box(&bmp), OutputFormat::SameAsInput, run)
        })
    });
}

#[divan::bench(args = SIZES)]
fn enhance_bmp_to_bmp(bencher: Bencher, size: (u32, u32)) {
    let bmp = imaging::encode(&input(size).picture, Format::Bmp).expect("small enough");
    bencher.bench(|| {
        on_threads(1, |run| {
            imaging::apply(Filter::Enhance, black_box(&bmp), OutputFormat::SameAsInput, run)
        })
    });
}

#[divan::bench(args = SIZES)]
fn decode_jpeg(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| imaging::decode(black_box(&input.jpeg), &Limits::default()));
}

#[divan::bench(args = SIZES)]
fn encode_jpeg(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| imaging::encode(black_box(&input.picture), Format::Jpeg));
}

#[divan::bench(args = SIZES)]
fn decode_base64(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| data_url::parse(black_box(&input.url)));
}

/// As `base64` prints it, with a line feed every 76 characters.
#[divan::bench(args = SIZES)]
fn decode_base64_in_lines(bencher: Bencher, size: (u32, u32)) {
    let lines = input(size).url.chunks(76).collect::<Vec<_>>().join(&b'\n');
    bencher.bench(|| data_url::parse(black_box(&lines)));
}

#[divan::bench(args = SIZES)]
fn encode_base64(bencher: Bencher, size: (u32, u32)) {
    let input = input(size);
    bencher.bench(|| data_url::write("jpg", black_box(&input.jpeg)));
}

/// A texture of one megabyte as scripts send it: one integer and four spaces a byte.
#[divan::bench(args = ["    ", ""])]
fn texture_of_a_megabyte(bencher: Bencher, indent: &str) {
    let mut random = fastrand::Rng::with_seed(1);
    let numbers: Vec<String> = (0..1 << 20).map(|_| format!("{indent}{}", random.u8(..))).collect();
    let body = format!(r#"{{"scene": "", "texmap": [{}]}}"#, numbers.join(","));
    let limits = Limits::default();
    bencher.bench(|| render_json::parse(black_box(body.as_bytes()), &limits));
}
