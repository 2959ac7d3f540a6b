//! The scenes with so many shapes that nobody would write them by hand.

use std::fmt::Write;

/// The angle between one seed of a sunflower and the next, in radians: π (3 − √5).
const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;

/// Spheres laid out like the seeds of a sunflower (Vogel 1979), coloured by ring.
pub(crate) fn crowd() -> String {
    const SPHERES: u32 = 560;
    const HEAD: &str = "\
0 7.4 12.4
0 -.35 .55
0 1 0
34

4
0 0 0  1 1 1  1 0 0
7 12 6  .95 .90 .80  1 0 0
-9 8 4  .22 .27 .40  1 0 0
2 5 -40  1 .55 .45  .3 .005 .002

9
solid .20 .26 .44
solid .05 .06 .09
solid .98 .80 .22
solid .96 .50 .12
solid .88 .16 .16
solid .74 .10 .42
solid .36 .16 .62
solid .12 .30 .74
solid .06 .56 .62

4
.55 .55 0 1 0 0 0
.30 .40 .10 20 .28 0 0
.14 .64 .70 110 .16 0 0
.03 .12 .95 400 .80 0 0
";
    let mut shapes = vec!["0 0 sphere 0 -4 0 46".to_owned(), "1 1 plane 0 1 0 0".to_owned()];
    shapes.push("1 3 sphere 0 .95 0 .95".to_owned());
    for seed in 0..SPHERES {
        // The middle belongs to the mirror.
        let place = f64::from(seed + 18);
        let (sine, cosine) = (GOLDEN_ANGLE * place).sin_cos();
        let distance = 0.215 * place.sqrt();
        let radius = 0.125 + 0.004 * distance * distance;
        let pigment = 2 + (7 * seed / SPHERES);
        let (x, z) = (distance * cosine, distance * sine);
        shapes.push(format!("{pigment} 2 sphere {x:.3} {radius:.3} {z:.3} {radius:.3}"));
    }
    scene(HEAD, &shapes)
}

/// A sphere with nine smaller ones on it, each with nine smaller ones, and so on: Haines's
/// sphereflake ("A proposal for standard graphics environments", 1987).
pub(crate) fn snowflake() -> String {
    const HEAD: &str = "\
1.1 2.9 6.6
0 1.45 0
0 1 0
34

4
0 0 0  1 1 1  1 0 0
6 10 7  .92 .88 .80  1 0 0
-8 6 4  .26 .32 .46  1 0 0
-10 5 -36  1 .66 .50  .3 .006 .002

6
solid .26 .36 .58
checker .70 .72 .76  .16 .20 .30  1.4
solid .80 .86 .96
solid .56 .70 .94
solid .34 .50 .86
solid .90 .66 .30

3
.55 .55 0 1 0 0 0
.22 .50 0 1 .12 0 0
.10 .42 .80 160 .34 0 0
";
    let mut shapes = vec!["0 0 sphere 0 -4 0 44".to_owned(), "1 1 plane 0 1 0 .0004".to_owned()];
    let heart = Ball { middle: [0.0, 1.5, 0.0], radius: 0.9, outwards: unit([0.35, 1.0, 0.45]) };
    grow(&heart, 0, &mut shapes);
    scene(HEAD, &shapes)
}

struct Ball {
    middle: [f64; 3],
    radius: f64,
    /// Away from the ball that this one grows on; of length 1.
    outwards: [f64; 3],
}

fn grow(ball: &Ball, depth: usize, shapes: &mut Vec<String>) {
    /// How many generations there are: 1 + 9 + 81 + 729 spheres.
    const GENERATIONS: usize = 4;
    let [x, y, z] = ball.middle;
    let pigment = [5, 2, 3, 4][depth];
    shapes.push(format!("{pigment} 2 sphere {x:.4} {y:.4} {z:.4} {:.4}", ball.radius));
    if depth + 1 == GENERATIONS {
        return;
    }
    // Six around the equator and three on the outer half, as in the original.
    let around = (0..6).map(|child| (f64::from(child) * 60.0, 0.0));
    let above = (0..3).map(|child| (30.0 + f64::from(child) * 120.0, 54.7));
    for (longitude, latitude) in around.chain(above) {
        let direction = towards(ball.outwards, longitude, latitude);
        let radius = ball.radius / 3.0;
        let reach = ball.radius + radius;
        let middle = std::array::from_fn(|axis| ball.middle[axis] + reach * direction[axis]);
        grow(&Ball { middle, radius, outwards: direction }, depth + 1, shapes);
    }
}

/// The direction at a longitude and latitude, in degrees, of a globe whose north is `north`.
fn towards(north: [f64; 3], longitude: f64, latitude: f64) -> [f64; 3] {
    let seed = if north[0].abs() < 0.6 { [1.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0] };
    let east = unit(cross(seed, north));
    let forth = cross(north, east);
    let (east_share, forth_share) = longitude.to_radians().sin_cos();
    let (up, out) = latitude.to_radians().sin_cos();
    std::array::from_fn(|axis| {
        up * north[axis] + out * (east_share * east[axis] + forth_share * forth[axis])
    })
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
    vector.map(|part| part / length)
}

fn scene(head: &str, shapes: &[String]) -> String {
    let mut text = format!("{head}\n{}\n", shapes.len());
    for shape in shapes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{shape}");
    }
    text
}
