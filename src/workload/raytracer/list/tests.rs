use super::*;
use crate::workload::Instructions;
use crate::workload::raytracer::scene::Sphere;
use crate::workload::raytracer::simd::{Kernel, dispatch};
use crate::workload::raytracer::vector::Vector;

fn list(count: u32, random: &mut fastrand::Rng) -> List {
    let mut place = || random.f64() * 10.0 - 5.0;
    let sphere = |number| {
        let center = Vector::new(place(), place(), place());
        let geometry = Geometry::Sphere(Sphere::new(center, 0.05 + place().abs() / 10.0));
        Numbered::new(number, geometry)
    };
    List::new((0..count).map(sphere).collect())
}

/// Eight rays as they lie in memory.
struct Packet {
    origin: [[f64; LANES]; 3],
    direction: [[f64; LANES]; 3],
}

impl Packet {
    /// Rays that hit nothing.
    const EMPTY: Self = Self { origin: [[f64::NAN; LANES]; 3], direction: [[f64::NAN; LANES]; 3] };
}

/// Rays from near one point in similar directions.
fn bundle(spread: f64, random: &mut fastrand::Rng) -> Packet {
    let mut number = |scale: f64| (random.f64() - 0.5) * scale;
    let (from, to) = ([number(12.0), number(12.0), number(12.0)], [number(2.0), number(2.0), 1.0]);
    let mut packet = Packet::EMPTY;
    for lane in 0..LANES {
        let direction = to.map(|axis| axis + number(spread));
        let unit = Vector::new(direction[0], direction[1], direction[2]).unit().to_array();
        for axis in 0..3 {
            packet.origin[axis][lane] = from[axis] + number(spread);
            packet.direction[axis][lane] = unit[axis];
        }
    }
    packet
}

/// How many shapes the rays might meet; fails if one that they do meet is not among them.
struct Count<'a>(&'a List, &'a Packet);

impl Kernel for Count<'_> {
    type Output = usize;

    fn run(self, simd: impl Simd) -> usize {
        let Self(list, packet) = self;
        let rays = Rays {
            origin: each!(axis => simd.load(&packet.origin[axis])),
            direction: each!(axis => simd.load(&packet.direction[axis])),
        };
        let beam = Beam::new(simd, &rays, ALL, simd.splat(f64::INFINITY), list.reach);
        let mut candidates = 0;
        for (block, shapes) in list.shapes.chunks(LANES).enumerate() {
            let near = list.candidates(simd, beam.as_ref(), block, shapes.len());
            candidates += near.count_ones() as usize;
            for (lane, shape) in shapes.iter().enumerate() {
                let met = meet(simd, &rays, &shape.geometry, ALL).map_or(0, |m| m.hit.bits());
                assert!(met == 0 || near >> lane & 1 == 1, "a shape that is met was left out");
            }
        }
        candidates
    }
}

#[test]
fn what_is_met_is_never_left_out() {
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..400 {
        let list = list(1 + round % 40, &mut random);
        for spread in [0.0, 1e-6, 0.01, 0.1, 0.5, 3.0] {
            let packet = bundle(spread, &mut random);
            for set in Instructions::available() {
                dispatch(set, Count(&list, &packet));
            }
        }
    }
}

#[test]
fn most_of_what_narrow_beams_miss_is_left_out() {
    let mut random = fastrand::Rng::with_seed(6);
    let list = list(100, &mut random);
    let candidates: usize = (0..100)
        .map(|_| dispatch(Instructions::best(), Count(&list, &bundle(0.01, &mut random))))
        .sum();
    assert!(candidates < 100 * 100 / 4, "{candidates} of 10 000 are left");
}

#[test]
fn rays_that_hit_nothing_leave_everything_in() {
    let list = list(30, &mut fastrand::Rng::with_seed(7));
    assert_eq!(dispatch(Instructions::best(), Count(&list, &Packet::EMPTY)), 30);
}
