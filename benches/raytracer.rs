//! How fast scenes are read, arranged and traced on one core.
//!
//! `cargo bench --bench raytracer [-- NAME]` prints a table of CPU times: the fastest of several
//! runs, in which all instruction sets take turns. A ray is any ray: from the camera, to a light,
//! reflected or refracted; shading is included. Two threads are compared with one by the clock.
//!
//! `-- SCENE.txt…` measures scenes of your own; `-- SCENE.txt=TEXTURE.bmp` one with a texture.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people who measure")]

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use cumulet::workload::raytracer::{Prepared, Rendered, Scene, View};
use cumulet::workload::{FullSpeed, Instructions, Limits, Run};
use rustix::time::{ClockId, clock_gettime};

/// A scene to be measured.
struct Case {
    name: String,
    scene: String,
    texmap: Option<Vec<u8>>,
}

/// Camera and three lights, one of them ambient.
const HEAD: &str = "0 2 12  0 .5 0  0 1 0  40
3
0 0 0  .3 .3 .35  1 0 0
6 9 8  .9 .85 .8  1 0 0
-5 6 4  .3 .4 .6  .5 .05 .002
";

/// One matte sphere on a floor.
fn simple() -> String {
    format!(
        "{HEAD} 2 solid .8 .2 .1 solid .7 .7 .7  1 .4 .7 0 1 0 0 0
         2  0 0 sphere 0 .5 0 1.5  1 0 plane 0 1 0 1"
    )
}

/// Twelve shapes: a checkered floor, mirrors, glass, highlights.
fn showcase() -> String {
    let mut scene = format!(
        "{HEAD}
         4 checker .9 .9 .9 .2 .2 .3 1.5  solid .95 .95 1 solid .8 .3 .2 solid .2 .6 .3
         4 .3 .7 .2 20 .1 0 0  .05 .1 .8 300 .1 .8 1.5  .2 .5 .6 60 .4 0 0  .3 .7 0 1 0 0 0
         12  0 0 plane 0 1 0 1  3 3 triangle -6 -1 -6  6 -1 -6  0 6 -6\n"
    );
    for i in 0..10 {
        let (x, z) = (f64::from(i % 5) * 1.8 - 3.6, f64::from(i / 5) * 2.5 - 2.0);
        let _ = writeln!(scene, "{} {} sphere {x} 0 {z} .9", 1 + i % 3, 1 + i % 3);
    }
    scene
}

/// Glossy spheres, half of them textured.
fn textured() -> String {
    let mut scene = format!(
        "{HEAD}
         2 texmap wood .3 0 0 .1  0 0 .3 .2  texmap wood .2 .1 0 0  0 .4 .1 0
         2 .4 .7 .3 40 0 0 0  .2 .5 .5 80 .25 0 0
         6  0 0 plane 0 1 0 1\n"
    );
    for i in 0..5 {
        let _ = writeln!(scene, "1 1 sphere {} 0 {} .9", f64::from(i) * 1.9 - 3.8, i % 2);
    }
    scene
}

/// Many spheres in a box above a checkered floor, with two point lights.
fn crowd(count: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut scene = format!(
        "{HEAD} 3 checker .9 .9 .9 .2 .2 .3 1  solid .8 .3 .2 solid .3 .5 .8
         2 .3 .7 .2 30 0 0 0  .2 .6 .4 60 .2 0 0
         {}\n0 0 plane 0 1 0 1.5\n",
        count + 1
    );
    let radius = 2.0 / (count as f64).cbrt();
    for _ in 0..count {
        let mut place = || random.f64() - 0.5;
        let [x, y, z] = [place() * 9.0, place() * 5.0 + 1.5, place() * 9.0];
        let finish = usize::from(random.u8(0..4) == 0);
        let pigment = 1 + random.usize(0..2);
        let _ = writeln!(
            scene,
            "{pigment} {finish} sphere {x:.5} {y:.5} {z:.5} {:.5}",
            radius * (0.3 + random.f64() * 0.4)
        );
    }
    scene
}

/// A small checkered BMP picture.
fn texture() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(64, 64, |x, y| {
        image::Rgb([x * 4, y * 4, (x ^ y) * 4].map(|level| level.to_le_bytes()[0]))
    });
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Bmp).unwrap();
    file.into_inner()
}

/// What rendering a view took at best.
struct Measured {
    instructions: Instructions,
    rendered: Rendered,
    /// In seconds by the clock, with one thread and with two.
    wall: [f64; 2],
}

/// Renders a view with each instruction set in turn, as often as `times`.
fn take_turns(prepared: &Prepared, view: View, run: &Run<'_>, times: usize) -> Vec<Measured> {
    let render = |instructions, threads| {
        let run = Run { threads: NonZeroUsize::new(threads).unwrap(), ..*run };
        let start = Instant::now();
        let rendered = prepared.render_with(instructions, &view, &run).unwrap();
        (rendered, start.elapsed().as_secs_f64())
    };
    let mut all: Vec<Measured> = Instructions::available()
        .map(|instructions| {
            let (rendered, wall) = render(instructions, 1);
            Measured { instructions, rendered, wall: [wall, f64::INFINITY] }
        })
        .collect();
    for _ in 0..times {
        for best in &mut all {
            for threads in [1, 2] {
                let (rendered, wall) = render(best.instructions, threads);
                best.wall[threads - 1] = best.wall[threads - 1].min(wall);
                if threads == 1 && rendered.usage.cpu < best.rendered.usage.cpu {
                    best.rendered = rendered;
                }
            }
        }
    }
    all
}

/// The least CPU time that something takes, in milliseconds.
fn cpu_time(mut work: impl FnMut()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let mut least = f64::INFINITY;
    for _ in 0..9 {
        let start = now();
        work();
        least = least.min(now() - start);
    }
    least
}

/// The bench's own scenes.
fn cases() -> Vec<Case> {
    let case = |name: &str, scene| Case { name: name.to_owned(), scene, texmap: None };
    vec![
        case("simple", simple()),
        case("showcase", showcase()),
        Case { texmap: Some(texture()), ..case("textured", textured()) },
        case("10 spheres", crowd(10)),
        case("100 spheres", crowd(100)),
        case("1000 spheres", crowd(1_000)),
        case("100000 spheres", crowd(100_000)),
    ]
}

/// A scene from a file, with the texture behind `=` if there is one.
fn case_from_file(argument: &str) -> Case {
    let (scene, texture) = match argument.split_once('=') {
        Some((scene, texture)) => (scene, Some(texture)),
        None => (argument, None),
    };
    let name = Path::new(scene).file_stem().unwrap().to_string_lossy().into_owned();
    let texmap = texture.map(|path| std::fs::read(path).unwrap());
    Case { name, scene: std::fs::read_to_string(scene).unwrap(), texmap }
}

fn main() {
    let arguments: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let (files, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.contains(".txt"));
    let mut cases: Vec<_> = files.iter().map(|file| case_from_file(file)).collect();
    if cases.is_empty() {
        cases = self::cases();
        cases.retain(|case| names.is_empty() || names.iter().any(|name| case.name.contains(*name)));
    }
    println!(
        "{:<15} {:>8} {:>10} {:>9} {:>10}  instructions    trace ms  Mrays/s  ns/work  2 threads",
        "scene", "parse ms", "arrange ms", "size", "rays"
    );
    cases.iter().for_each(measure);
}

fn measure(case: &Case) {
    let limits = Limits::default();
    let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
    let (text, texmap) = (case.scene.as_bytes(), case.texmap.as_deref());
    let parse = cpu_time(|| drop(Scene::parse(text, &limits).unwrap()));
    let prepare = cpu_time(|| drop(Prepared::new(text, texmap, &run).unwrap()));
    let prepared = Prepared::new(text, texmap, &run).unwrap();
    for (columns, rows, times) in [(400, 300, 40), (1600, 1200, 8)] {
        for best in take_turns(&prepared, View::full(columns, rows), &run, times) {
            let counters = &best.rendered.counters;
            let rays = counters.primary + counters.secondary + counters.shadow;
            let seconds = best.rendered.usage.cpu.as_secs_f64();
            println!(
                "{:<15} {parse:>8.2} {:>10.2} {:>9} {rays:>10}  {:<12} {:>11.2} {:>8.1} {:>8.2} {:>9.2}x",
                case.name,
                prepare - parse,
                format!("{columns}x{rows}"),
                best.instructions,
                seconds * 1e3,
                rays as f64 / seconds / 1e6,
                seconds * 1e9 / best.rendered.usage.work as f64,
                best.wall[0] / best.wall[1],
            );
        }
    }
}
