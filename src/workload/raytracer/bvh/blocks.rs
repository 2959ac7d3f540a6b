//! Up to eight shapes of a kind side by side.

use super::LARGEST;
use super::build::Bounds;
use crate::workload::raytracer::packet::{Meeting, Rays, Triangles, sphere_roots, triangle_roots};
use crate::workload::raytracer::scene::{Geometry, Sphere, Triangle};
use crate::workload::raytracer::simd::{ALL, LANES, Simd, each};
use crate::workload::raytracer::vector::Vector;

/// The largest ratio `|u|²|w|²/|u × w|²` of a triangle's edges u, w: thinner ones are slivers, whose
/// points are found too inexactly for boxes.
const THINNEST: f64 = 1e7;

/// Squares of lengths of edges that neither overflow nor underflow in what is made of them.
const SQUARES: std::ops::RangeInclusive<f64> = 1e-60..=1e30;

/// Up to eight shapes of one kind.
pub(in super::super) trait Block: Sized {
    /// The shape's box, or none if it is of another kind or cannot be in a hierarchy.
    fn bounds(shape: &Geometry) -> Option<Bounds>;

    /// A block of one to eight shapes with their numbers in file order; all of them have bounds.
    fn new<'a>(shapes: impl Iterator<Item = (u32, &'a Geometry)>) -> Self;

    /// How many shapes it has.
    fn len(&self) -> u32;

    /// Their numbers in file order.
    fn numbers(&self) -> &[u32; LANES];

    /// Where rays meet the shapes, lane by lane.
    fn meet<S: Simd>(&self, simd: S, rays: &Rays<S>) -> Option<Meeting<S>>;
}

/// Up to eight spheres; unused lanes are NaN, which nothing meets.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(in super::super) struct SphereBlock {
    center: [[f64; LANES]; 3],
    radius_squared: [f64; LANES],
    numbers: [u32; LANES],
    length: u32,
}

impl Block for SphereBlock {
    fn bounds(shape: &Geometry) -> Option<Bounds> {
        let Geometry::Sphere(Sphere { center, radius_squared }) = shape else { return None };
        let radius = radius_squared.sqrt();
        let radii = Vector::new(radius, radius, radius);
        Bounds::of(*center - radii, *center + radii)
    }

    fn new<'a>(shapes: impl Iterator<Item = (u32, &'a Geometry)>) -> Self {
        let mut block = Self {
            center: [[f64::NAN; LANES]; 3],
            radius_squared: [f64::NAN; LANES],
            numbers: [0; LANES],
            length: 0,
        };
        for (lane, (number, geometry)) in shapes.take(LANES).enumerate() {
            if let Geometry::Sphere(sphere) = geometry {
                put(&mut block.center, lane, sphere.center);
                block.radius_squared[lane] = sphere.radius_squared;
                block.numbers[lane] = number;
                block.length += 1;
            }
        }
        block
    }

    fn len(&self) -> u32 {
        self.length
    }

    fn numbers(&self) -> &[u32; LANES] {
        &self.numbers
    }

    #[inline(always)]
    fn meet<S: Simd>(&self, simd: S, rays: &Rays<S>) -> Option<Meeting<S>> {
        let center = each!(axis => simd.load(&self.center[axis]));
        sphere_roots(simd, rays, center, simd.load(&self.radius_squared), ALL)
    }
}

/// Up to eight triangles; unused lanes are NaN, which nothing meets.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(in super::super) struct TriangleBlock {
    coefficients: [[f64; LANES]; 3],
    constant: [f64; LANES],
    corner: [[f64; LANES]; 3],
    edges: [[[f64; LANES]; 3]; 2],
    products: [[f64; LANES]; 3],
    denominator: [f64; LANES],
    numbers: [u32; LANES],
    length: u32,
}

impl Block for TriangleBlock {
    fn bounds(shape: &Geometry) -> Option<Bounds> {
        let Geometry::Triangle(triangle) = shape else { return None };
        let [uu, _, ww] = triangle.products;
        let measurable = SQUARES.contains(&uu)
            && SQUARES.contains(&ww)
            && -triangle.denominator * THINNEST >= uu * ww;
        if !measurable {
            return None;
        }
        let Triangle { corner, edges: [u, w], .. } = *triangle;
        // The edges are rounded, so their ends may miss the corners by a last bit; the margin of
        // the boxes covers that.
        let (second, third) = (corner + u, corner + w);
        let fold = |pick: fn(f64, f64) -> f64| {
            Vector::new(
                pick(corner.x, pick(second.x, third.x)),
                pick(corner.y, pick(second.y, third.y)),
                pick(corner.z, pick(second.z, third.z)),
            )
        };
        Bounds::of(fold(f64::min), fold(f64::max))
    }

    fn new<'a>(shapes: impl Iterator<Item = (u32, &'a Geometry)>) -> Self {
        let nothing = [[f64::NAN; LANES]; 3];
        let mut block = Self {
            coefficients: nothing,
            constant: [f64::NAN; LANES],
            corner: nothing,
            edges: [nothing; 2],
            products: nothing,
            denominator: [f64::NAN; LANES],
            numbers: [0; LANES],
            length: 0,
        };
        for (lane, (number, geometry)) in shapes.take(LANES).enumerate() {
            if let Geometry::Triangle(triangle) = geometry {
                put(&mut block.coefficients, lane, triangle.plane.coefficients);
                block.constant[lane] = triangle.plane.constant;
                put(&mut block.corner, lane, triangle.corner);
                put(&mut block.edges[0], lane, triangle.edges[0]);
                put(&mut block.edges[1], lane, triangle.edges[1]);
                for (row, product) in block.products.iter_mut().zip(triangle.products) {
                    row[lane] = product;
                }
                block.denominator[lane] = triangle.denominator;
                block.numbers[lane] = number;
                block.length += 1;
            }
        }
        block
    }

    fn len(&self) -> u32 {
        self.length
    }

    fn numbers(&self) -> &[u32; LANES] {
        &self.numbers
    }

    #[inline(always)]
    fn meet<S: Simd>(&self, simd: S, rays: &Rays<S>) -> Option<Meeting<S>> {
        let triangles = Triangles {
            coefficients: each!(axis => simd.load(&self.coefficients[axis])),
            constant: simd.load(&self.constant),
            corner: each!(axis => simd.load(&self.corner[axis])),
            edges: [
                each!(axis => simd.load(&self.edges[0][axis])),
                each!(axis => simd.load(&self.edges[1][axis])),
            ],
            products: each!(product => simd.load(&self.products[product])),
            denominator: simd.load(&self.denominator),
        };
        triangle_roots(simd, rays, &triangles, ALL)
    }
}

fn put(columns: &mut [[f64; LANES]; 3], lane: usize, vector: Vector) {
    for (column, value) in columns.iter_mut().zip(vector.to_array()) {
        column[lane] = value;
    }
}

impl Bounds {
    /// Centre and radius of the sphere around the box.
    pub(in super::super) fn sphere(&self) -> ([f32; 3], f32) {
        let center = each!(axis => f32::midpoint(self.low[axis], self.high[axis]));
        let half = each!(axis => self.high[axis] - center[axis]);
        (center, (half[0] * half[0] + half[1] * half[1] + half[2] * half[2]).sqrt())
    }

    /// A box in single precision around one in double precision, if it is finite and not huge.
    #[expect(clippy::cast_possible_truncation, reason = "the next single is taken where needed")]
    fn of(low: Vector, high: Vector) -> Option<Self> {
        let in_reach = |v: Vector| v.to_array().iter().all(|axis| axis.abs() <= LARGEST);
        (in_reach(low) && in_reach(high)).then(|| Self {
            low: low.to_array().map(|axis| (axis as f32).next_down()),
            high: high.to_array().map(|axis| (axis as f32).next_up()),
        })
    }
}
