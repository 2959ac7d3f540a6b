//! Which of eight rays pass a sphere by for certain: a glance in single precision.
//!
//! The exact test asks whether h² − v·v + r² ≥ 0, where v leads from the centre to the ray's origin
//! o and h = v·d. In single precision, with ε = 2⁻²⁴, a centre c, B = |o| + |c| and |d| ≤ 4:
//! rounding o and c and subtracting moves v by at most 2.1 εB; then v·v is off by at most 8.3 εB²
//! and h² by at most 14.2 εB²|d|². Together that is less than 256 ε(|o|² + |c|²), the slack here,
//! beside which the rounding of the exact test is nothing. Whatever is not a number, too large or
//! so small that squares vanish is never passed by.
//!
//! A ray that starts outside and leads away, h > 0, is asked whether v·v > r² alone. With the slack
//! 4(v·v − r²) is more than 10⁻⁵ of (2h)², so that in the exact test, where √((2h)² − 4(v·v − r²))
//! is less than 2h by far more than its rounding, both roots are negative. If h is not quite
//! positive there, its square is nothing beside the slack, and the ray passes the sphere by.
//!
//! A second glance is at spheres that a ray to a light lies in: from inside, nothing is met before
//! the end, which is t away, if v·v + t(2h + t) < r² too. With |d| = 1, t is at most 2r there, and
//! that sum is off by less than 34 ε(|o|² + |c|² + r²); the slack here is 256 ε of the first two and
//! 512 ε of r². So the end is off the surface by at least 2⁻¹⁷ of |o| and of r, beside which the
//! rounding of the exact test is nothing again.

use super::packet::Rays;
use super::scene::Sphere;
use super::simd::{Doubles, Mask, Simd, Singles, each};

/// The share of |o|² + |c|² by which the test is slack: 256 ε.
const SLACK: f32 = 1.0 / (1 << 16) as f32;

/// A sphere in single precision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outline {
    center: [f32; 3],
    /// The square of the radius, rounded up.
    bound: f32,
    /// The square of the radius, and less by 512 ε of it.
    inner: f32,
}

impl Outline {
    #[expect(clippy::cast_possible_truncation, reason = "the slack covers the rounding")]
    pub(super) fn of(sphere: &Sphere) -> Self {
        Self {
            center: sphere.center.to_array().map(|axis| axis as f32),
            bound: (sphere.radius_squared as f32).next_up(),
            inner: (sphere.radius_squared as f32).next_down() * (1.0 - 2.0 * SLACK),
        }
    }

    /// The square of the centre's distance from the origin of coordinates.
    pub(super) fn reach(&self) -> f32 {
        self.center.iter().map(|axis| axis * axis).sum()
    }
}

/// Eight rays in single precision.
pub(super) struct Glance<S: Simd> {
    origin: [S::S; 3],
    direction: [S::S; 3],
    slack: S::S,
}

impl<S: Simd> Glance<S> {
    /// For spheres with a [`Outline::reach`] of at most `reach`.
    #[inline(always)]
    pub(super) fn new(simd: S, rays: &Rays<S>, reach: f32) -> Self {
        let origin = each!(axis => rays.origin[axis].to_singles());
        let square = dot(origin, origin);
        let reach = simd.splat_single(SLACK * reach + f32::MIN_POSITIVE);
        Self {
            origin,
            direction: each!(axis => rays.direction[axis].to_singles()),
            slack: square.about_mul_add(simd.splat_single(SLACK), reach),
        }
    }

    /// One bit for each ray that passes the sphere by.
    #[inline(always)]
    pub(super) fn passes(&self, simd: S, outline: &Outline) -> u32 {
        let v = self.offset_from(simd, outline);
        // Of rays that lead away, as if they led across. NaN stays.
        let along = simd.splat_single(0.0).min(dot(v, self.direction));
        let bound = along.about_mul_add(along, self.slack + simd.splat_single(outline.bound));
        bound.less(dot(v, v)).bits()
    }

    /// One bit for each ray that lies inside the sphere as far as `limit`, if its direction has
    /// length 1.
    #[inline(always)]
    pub(super) fn stays_inside(&self, simd: S, outline: &Outline, limit: S::S) -> u32 {
        let v = self.offset_from(simd, outline);
        let start = dot(v, v) + self.slack;
        let along = dot(v, self.direction);
        let end = limit.about_mul_add(along + along + limit, start);
        let inner = simd.splat_single(outline.inner);
        start.less(inner).bits() & end.less(inner).bits()
    }

    #[inline(always)]
    fn offset_from(&self, simd: S, outline: &Outline) -> [S::S; 3] {
        each!(axis => self.origin[axis] - simd.splat_single(outline.center[axis]))
    }
}

#[inline(always)]
fn dot<V: Singles>(a: [V; 3], b: [V; 3]) -> V {
    a[0].about_mul_add(b[0], a[1].about_mul_add(b[1], a[2] * b[2]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Instructions;
    use crate::workload::raytracer::packet::meet;
    use crate::workload::raytracer::scene::Geometry;
    use crate::workload::raytracer::simd::{ALL, Kernel, LANES, dispatch};
    use crate::workload::raytracer::vector::Vector;

    /// Rays against a sphere: which of them meet it, and which are said to pass it by.
    struct Test([[f64; LANES]; 3], [[f64; LANES]; 3], Sphere);

    impl Kernel for Test {
        type Output = (u32, u32);

        fn run(self, simd: impl Simd) -> (u32, u32) {
            let Self(origin, direction, sphere) = self;
            let rays = Rays {
                origin: each!(axis => simd.load(&origin[axis])),
                direction: each!(axis => simd.load(&direction[axis])),
            };
            let outline = Outline::of(&sphere);
            let passes = Glance::new(simd, &rays, outline.reach()).passes(simd, &outline);
            let meeting = meet(simd, &rays, &Geometry::Sphere(sphere), ALL);
            (meeting.map_or(0, |meeting| meeting.hit.bits()), passes)
        }
    }

    #[test]
    fn no_ray_that_meets_a_sphere_is_said_to_pass_it_by() {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut passing, mut missing) = (0, 0);
        for scale in [1e-30, 1e-19, 1e-6, 1.0, 1e3, 1e9, 1e19, 1e30, 1e160] {
            for round in 0..400 {
                let mut number = || scale * (random.f64() - 0.5);
                let mut vector = || Vector::new(number(), number(), number());
                let (center, mut from) = (vector() * 10.0, vector() * 30.0);
                let radius = vector().x;
                if round % 4 == 0 {
                    // Hardly off the surface.
                    let off = vector().y / scale * 1e-3;
                    from = center + vector().unit() * radius * (1.0 + off);
                }
                let (mut origin, mut direction) = ([[0.0; LANES]; 3], [[0.0; LANES]; 3]);
                for lane in 0..LANES {
                    // At the rim or off it, or away from it.
                    let rim = vector().unit() * radius * (1.0 + vector().y.abs() / scale * 0.4);
                    let sign = if lane % 4 == 0 { -1.0 } else { 1.0 };
                    let along = ((center + rim - from) * sign).unit().to_array();
                    for axis in 0..3 {
                        origin[axis][lane] = from.to_array()[axis];
                        direction[axis][lane] = along[axis];
                    }
                }
                for set in Instructions::available() {
                    let sphere = Sphere::new(center, radius);
                    let (meets, passes) = dispatch(set, Test(origin, direction, sphere));
                    assert_eq!(meets & passes, 0, "{set}, {scale:e}");
                    passing += passes.count_ones();
                    missing += (!meets & ALL).count_ones();
                }
            }
        }
        assert!(passing > 0 && missing > passing, "{passing} of {missing}");
    }

    /// Rays from a sphere's inside, for each how far it is to be followed: which of them the exact
    /// test lets meet the sphere before that, and which are said to stay inside.
    struct Inside([[f64; LANES]; 3], [[f64; LANES]; 3], [f64; LANES], Sphere);

    impl Kernel for Inside {
        type Output = (u32, u32);

        fn run(self, simd: impl Simd) -> (u32, u32) {
            let Self(origin, direction, limit, sphere) = self;
            let rays = Rays {
                origin: each!(axis => simd.load(&origin[axis])),
                direction: each!(axis => simd.load(&direction[axis])),
            };
            let (limit, outline) = (simd.load(&limit), Outline::of(&sphere));
            let glance = Glance::new(simd, &rays, outline.reach());
            let stay = glance.stays_inside(simd, &outline, limit.to_singles());
            let meeting = meet(simd, &rays, &Geometry::Sphere(sphere), ALL);
            let meets =
                meeting.map_or(0, |meeting| (meeting.hit & meeting.distance.less(limit)).bits());
            (meets, stay)
        }
    }

    #[test]
    fn no_ray_that_meets_a_sphere_from_inside_is_said_to_stay() {
        let mut random = fastrand::Rng::with_seed(12);
        let (mut staying, mut within) = (0, 0);
        for scale in [1e-30, 1e-19, 1e-6, 1.0, 1e3, 1e9, 1e19, 1e30, 1e160] {
            for aside in [0.0, 1.0, 1e3] {
                for _ in 0..200 {
                    let mut number = || random.f64() - 0.5;
                    let mut vector = || Vector::new(number(), number(), number()) * scale;
                    let (center, radius) = (vector() * aside, vector().x.abs());
                    let (mut origin, mut direction) = ([[0.0; LANES]; 3], [[0.0; LANES]; 3]);
                    let mut limit = [0.0; LANES];
                    for lane in 0..LANES {
                        // Ends a little inside or outside.
                        let to =
                            center + vector().unit() * radius * (1.0 + vector().y / scale * 1e-3);
                        let from = center + vector().unit() * radius * (vector().y / scale * 2.0);
                        let along = (to - from).unit().to_array();
                        limit[lane] = (to - from).dot(to - from).sqrt();
                        for axis in 0..3 {
                            origin[axis][lane] = from.to_array()[axis];
                            direction[axis][lane] = along[axis];
                        }
                    }
                    for set in Instructions::available() {
                        let sphere = Sphere::new(center, radius);
                        let (meets, stay) = dispatch(set, Inside(origin, direction, limit, sphere));
                        assert_eq!(meets & stay, 0, "{set}, {scale:e}, {aside:e}");
                        staying += stay.count_ones();
                        within += (!meets & ALL).count_ones();
                    }
                }
            }
        }
        assert!(staying > 1000 && within > staying, "{staying} of {within}");
    }
}
