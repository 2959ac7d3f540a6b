//! How fast scenes are read, arranged and traced on one core.
//!
//! `cargo bench --bench raytracer [-- NAME]` prints a table of CPU times: medians of several runs.
//! A ray is any ray: from the camera, to a light, reflected or refracted; shading is included.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people who measure")]

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use cumulet::workload::raytracer::{Prepared, Rendered, Scene, View};
use cumulet::workload::{FullSpeed, Limits, Run};
use rustix::time::{ClockId, clock_gettime};

/// A scene to be measured.
struct Case {
    name: &'static str,
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

/// Renders with the median CPU time.
fn median(prepared: &Prepared, view: View, run: &Run<'_>, times: usize) -> Rendered {
    let mut all: Vec<_> = (0..times).map(|_| prepared.render(&view, run).unwrap()).collect();
    all.sort_by_key(|rendered| rendered.usage.cpu);
    all.swap_remove(times / 2)
}

/// The median CPU time that something takes, in milliseconds.
fn cpu_time(mut work: impl FnMut()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let start = now();
            work();
            now() - start
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[4]
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let case = |name, scene| Case { name, scene, texmap: None };
    let cases = [
        case("simple", simple()),
        case("showcase", showcase()),
        Case { name: "textured", scene: textured(), texmap: Some(texture()) },
        case("10 spheres", crowd(10)),
        case("100 spheres", crowd(100)),
        case("1000 spheres", crowd(1_000)),
        case("100000 spheres", crowd(100_000)),
    ];
    println!(
        "{:<15} {:>9} {:>10} {:>10} {:>9} {:>10} {:>8} {:>8}",
        "scene", "parse ms", "arrange ms", "size", "trace ms", "rays", "Mrays/s", "ns/work"
    );
    for case in &cases {
        if filter.as_ref().is_none_or(|filter| case.name.contains(filter)) {
            measure(case);
        }
    }
}

fn measure(case: &Case) {
    let limits = Limits::default();
    let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
    let (text, texmap) = (case.scene.as_bytes(), case.texmap.as_deref());
    let parse = cpu_time(|| drop(Scene::parse(text, &limits).unwrap()));
    let prepare = cpu_time(|| drop(Prepared::new(text, texmap, &run).unwrap()));
    let prepared = Prepared::new(text, texmap, &run).unwrap();
    for (columns, rows, times) in [(400, 300, 9), (1600, 1200, 3)] {
        let rendered = median(&prepared, View::full(columns, rows), &run, times);
        let counters = &rendered.counters;
        let rays = counters.primary + counters.secondary + counters.shadow;
        let seconds = rendered.usage.cpu.as_secs_f64();
        println!(
            "{:<15} {parse:>9.2} {:>10.2} {:>10} {:>9.2} {rays:>10} {:>8.1} {:>8.2}",
            case.name,
            prepare - parse,
            format!("{columns}x{rows}"),
            seconds * 1e3,
            rays as f64 / seconds / 1e6,
            seconds * 1e9 / rendered.usage.work as f64,
        );
    }
}
