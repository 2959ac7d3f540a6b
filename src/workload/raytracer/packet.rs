//! Eight rays against one shape.
//!
//! Every expression is rounded in the order written. A hit is kept as its `root`: the number that
//! the direction is multiplied by to reach the point. The `distance`, which decides what is
//! nearer, is measured again from the point, as the widely used Java implementation does.

use super::camera::OFFSET;
use super::scene::{Geometry, Plane, Sphere, Triangle};
use super::simd::{Doubles, Mask, Simd, each};
use super::vector::Vector;

/// Eight points or directions.
pub(super) type Vectors<S> = [<S as Simd>::D; 3];

/// Eight rays.
#[derive(Clone, Copy)]
pub(super) struct Rays<S: Simd> {
    pub(super) origin: Vectors<S>,
    pub(super) direction: Vectors<S>,
}

impl<S: Simd> Rays<S> {
    /// Rays that start just off the points, in directions of any length.
    #[inline(always)]
    pub(super) fn new(simd: S, point: Vectors<S>, direction: Vectors<S>) -> Self {
        let direction = unit(simd, direction);
        Self::from_unit(simd, point, direction)
    }

    /// The same, for directions of length 1.
    #[inline(always)]
    pub(super) fn from_unit(simd: S, point: Vectors<S>, direction: Vectors<S>) -> Self {
        let offset = simd.splat(OFFSET);
        let origin = each!(axis => point[axis] + direction[axis] * offset);
        Self { origin, direction }
    }

    /// The points that so many times the direction lead to.
    #[inline(always)]
    pub(super) fn at(&self, root: S::D) -> Vectors<S> {
        each!(axis => self.origin[axis] + self.direction[axis] * root)
    }
}

#[inline(always)]
pub(super) fn dot<D: Doubles>(a: [D; 3], b: [D; 3]) -> D {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
pub(super) fn subtract<D: Doubles>(a: [D; 3], b: [D; 3]) -> [D; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline(always)]
pub(super) fn scale<D: Doubles>(a: [D; 3], factor: D) -> [D; 3] {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

#[inline(always)]
pub(super) fn splat<S: Simd>(simd: S, v: Vector) -> Vectors<S> {
    [simd.splat(v.x), simd.splat(v.y), simd.splat(v.z)]
}

/// Vectors times the reciprocals of their lengths.
#[inline(always)]
pub(super) fn unit<S: Simd>(simd: S, v: Vectors<S>) -> Vectors<S> {
    scale(v, simd.splat(1.0) / dot(v, v).sqrt())
}

/// A ray that leaves a sphere has a 4c of at least this share of b²: enough that b² − 4c is less
/// than b² however it is rounded, and little for a ray that starts 0.001 off a sphere.
const LEAVING: f64 = 1e-12;

/// Where eight rays meet a shape. Where a ray does not, the numbers mean nothing.
pub(super) struct Meeting<S: Simd> {
    pub(super) hit: S::M,
    pub(super) distance: S::D,
    pub(super) root: S::D,
    /// Whether the ray comes from inside a sphere; none for surfaces.
    pub(super) inside: Option<S::M>,
}

/// Where eight rays, of which those `wanted` count, meet a shape, or none if none of them can.
#[inline(always)]
pub(super) fn meet<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    geometry: &Geometry,
    wanted: u32,
) -> Option<Meeting<S>> {
    match geometry {
        Geometry::Sphere(sphere) => meet_sphere(simd, rays, sphere, wanted),
        Geometry::Plane(plane) => meet_plane(simd, rays, plane, wanted),
        Geometry::Triangle(triangle) => meet_triangle(simd, rays, triangle, wanted),
    }
}

#[inline(always)]
fn meet_sphere<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    sphere: &Sphere,
    wanted: u32,
) -> Option<Meeting<S>> {
    let center = splat(simd, sphere.center);
    sphere_roots(simd, rays, center, simd.splat(sphere.radius_squared), wanted)
}

/// Where rays, of which those `wanted` count, meet spheres, lane by lane.
#[inline(always)]
pub(super) fn sphere_roots<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    center: Vectors<S>,
    radius_squared: S::D,
    wanted: u32,
) -> Option<Meeting<S>> {
    let zero = simd.splat(0.0);
    let v = subtract(rays.origin, center);
    let b = simd.splat(2.0) * dot(v, rays.direction);
    let c = dot(v, v) - radius_squared;
    let square = b * b;
    let discriminant = square - simd.splat(4.0) * c;
    // NaN would not be a miss here, but its distance would be NaN too and never the smallest.
    let real = zero.at_most(discriminant);
    if real.bits() & wanted == 0 {
        return None;
    }
    // From outside (c > 0) and away (b > 0), both roots are negative: the discriminant's root is
    // less than b by more than any rounding. So it is for each ray that a sphere sends off.
    let leaving = zero.less(b) & (square * simd.splat(LEAVING)).less(c);
    if (real & !leaving).bits() & wanted == 0 {
        return None;
    }
    let root = discriminant.sqrt();
    let half = simd.splat(0.5);
    let near = (-b - root) * half;
    let far = (-b + root) * half;
    let (near_behind, far_behind) = (near.less(zero), far.less(zero));
    let inside = near_behind & zero.less(far);
    let root = S::D::select(inside, far, near);
    let path = subtract(rays.at(root), rays.origin);
    let distance = dot(path, path).sqrt();
    Some(Meeting { hit: real & !(near_behind & far_behind), distance, root, inside: Some(inside) })
}

#[inline(always)]
fn meet_plane<S: Simd>(simd: S, rays: &Rays<S>, plane: &Plane, wanted: u32) -> Option<Meeting<S>> {
    let coefficients = splat(simd, plane.coefficients);
    plane_roots(simd, rays, coefficients, simd.splat(plane.constant), wanted)
}

/// Roots of at least this size are told from 0 by a product, without a division. Any such number
/// does; with this one the product is not subnormal, which would be slow.
const LEAST_ROOT: f64 = 1e-200;

/// Where rays meet planes, lane by lane.
#[inline(always)]
fn plane_roots<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    coefficients: Vectors<S>,
    constant: S::D,
    wanted: u32,
) -> Option<Meeting<S>> {
    // Parallel rays give infinities or NaN, which are never nearer than anything.
    let denominator = dot(coefficients, rays.direction);
    let height = dot(coefficients, rays.origin) + constant;
    // Away from the plane: the root is negative, and not so small that it is rounded to -0.
    let least = denominator * denominator * simd.splat(LEAST_ROOT);
    if least.less(height * denominator).bits() & wanted == wanted {
        return None;
    }
    let root = -height / denominator;
    let hit = simd.splat(0.0).at_most(root);
    (hit.bits() & wanted != 0).then_some(Meeting { hit, distance: root, root, inside: None })
}

#[inline(always)]
fn meet_triangle<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    triangle: &Triangle,
    wanted: u32,
) -> Option<Meeting<S>> {
    let triangles = Triangles {
        coefficients: splat(simd, triangle.plane.coefficients),
        constant: simd.splat(triangle.plane.constant),
        corner: splat(simd, triangle.corner),
        edges: [splat(simd, triangle.edges[0]), splat(simd, triangle.edges[1])],
        products: each!(product => simd.splat(triangle.products[product])),
        denominator: simd.splat(triangle.denominator),
    };
    triangle_roots(simd, rays, &triangles, wanted)
}

/// Eight triangles, as in [`Triangle`].
pub(super) struct Triangles<S: Simd> {
    pub(super) coefficients: Vectors<S>,
    pub(super) constant: S::D,
    pub(super) corner: Vectors<S>,
    pub(super) edges: [Vectors<S>; 2],
    pub(super) products: [S::D; 3],
    pub(super) denominator: S::D,
}

/// Where rays meet triangles, lane by lane.
#[inline(always)]
pub(super) fn triangle_roots<S: Simd>(
    simd: S,
    rays: &Rays<S>,
    triangles: &Triangles<S>,
    wanted: u32,
) -> Option<Meeting<S>> {
    let plane = plane_roots(simd, rays, triangles.coefficients, triangles.constant, wanted)?;
    let point = rays.at(plane.root);
    let from_corner = subtract(point, triangles.corner);
    let [uu, uw, ww] = triangles.products;
    let (mu, mw) = (dot(from_corner, triangles.edges[0]), dot(from_corner, triangles.edges[1]));
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let s = (uw * mw - ww * mu) / triangles.denominator;
    let t = (uw * mu - uu * mw) / triangles.denominator;
    // NaN, which very thin triangles yield, is not outside.
    let outside = s.less(zero) | one.less(s) | t.less(zero) | one.less(s + t);
    let hit = plane.hit & !outside;
    if hit.bits() & wanted == 0 {
        return None;
    }
    let path = subtract(point, rays.origin);
    Some(Meeting { hit, distance: dot(path, path).sqrt(), root: plane.root, inside: None })
}

/// The nearest shape of each of eight rays.
#[derive(Clone, Copy)]
pub(super) struct Nearest<S: Simd> {
    pub(super) distance: S::D,
    pub(super) root: S::D,
    /// Twice the shape's number, plus 1 if the ray comes from inside it; −1 for none.
    pub(super) code: S::D,
}

impl<S: Simd> Nearest<S> {
    #[inline(always)]
    pub(super) fn nothing(simd: S) -> Self {
        Self { distance: simd.splat(f64::INFINITY), root: simd.splat(0.0), code: simd.splat(-1.0) }
    }
}
