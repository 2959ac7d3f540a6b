//! How fast scenes are read, indexed and traced, by CPU time of one core.
//!
//! `cargo bench --bench raytracer [-- NAME]` prints a table: the median of several runs. A ray is
//! any ray: from the camera, to a light, reflected or refracted; shading is included.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use cumulet::workload::raytracer::{RenderRequest, Rendered, View, render};
use cumulet::workload::{FullSpeed, Limits, Run};

/// A scene and the sizes at which it is rendered.
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
        image::Rgb([(x * 4) as u8, (y * 4) as u8, ((x ^ y) * 4) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Bmp).unwrap();
    file.into_inner()
}

fn run(case: &Case, view: View, threads: usize) -> Rendered {
    let limits = Limits::default();
    let request =
        RenderRequest { scene: case.scene.as_bytes(), texmap: case.texmap.as_deref(), view };
    let threads = NonZeroUsize::new(threads).unwrap();
    render(&request, &Run { threads, pacer: &FullSpeed, limits: &limits }).unwrap()
}

/// The run with the median CPU time.
fn median(case: &Case, view: View, runs: usize) -> Rendered {
    let mut all: Vec<_> = (0..runs).map(|_| run(case, view, 1)).collect();
    all.sort_by_key(|rendered| rendered.usage.cpu);
    all.swap_remove(runs / 2)
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
        "{:<15} {:>10} {:>9} {:>10} {:>10} {:>9} {:>8}",
        "scene", "size", "cpu ms", "setup ms", "rays", "Mrays/s", "ns/work"
    );
    for case in cases.iter().filter(|case| filter.as_ref().is_none_or(|f| case.name.contains(f))) {
        let setup = median(case, View::full(1, 1), 5).usage.cpu;
        for (columns, rows) in [(400, 300), (1600, 1200)] {
            let rendered =
                median(case, View::full(columns, rows), if columns == 400 { 9 } else { 3 });
            report(case.name, &rendered, setup);
        }
    }
}

fn report(name: &str, rendered: &Rendered, setup: Duration) {
    let counters = &rendered.counters;
    let rays = counters.primary + counters.secondary + counters.shadow;
    let cpu = rendered.usage.cpu;
    let tracing = cpu.saturating_sub(setup).as_secs_f64();
    println!(
        "{name:<15} {:>10} {:>9.2} {:>10.2} {:>10} {:>9.1} {:>8.2}",
        format!("{}x{}", rendered.width, rendered.height),
        cpu.as_secs_f64() * 1e3,
        setup.as_secs_f64() * 1e3,
        rays,
        rays as f64 / tracing / 1e6,
        cpu.as_nanos() as f64 / rendered.usage.work as f64,
    );
}
