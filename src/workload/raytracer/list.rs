//! Shapes that are tested one after the other, eight rays at a time.
//!
//! Before that, shapes that none of the eight rays can come near are left out: eight shapes at a
//! time, each in its bounding sphere, in single precision. The rays are taken together as a beam
//! that starts out `width` around the first ray and grows by `spread` with each unit of length. A
//! ray that meets a sphere of radius r at distance t passes its centre at most r away, so the
//! beam's axis passes it at most r + width + spread·t away. What is left out is never met; what
//! stays is tested exactly, so the result does not depend on any of this.
//!
//! All of it allows for rounding, here and in the exact tests: both are off by far less than
//! [`MARGIN`] of the largest coordinate involved, for the reasons given in [`super::bvh`].

use super::bvh::{Block, SphereBlock, TriangleBlock};
use super::glance::{Glance, Outline};
use super::packet::{Meeting, Nearest, Rays, dot, meet};
use super::render::Counters;
use super::scene::Geometry;
use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles, each};
use super::wave::set_bits;

/// By how much a beam is widened, as a share of the largest coordinate of shapes and rays.
const MARGIN: f32 = 2e-5;

/// Beams that spread faster than this come near nearly everything.
const WIDEST_SPREAD: f32 = 0.4;

/// Shapes smaller than this are never left out: their squares would vanish.
const SMALLEST: f32 = 1e-12;

/// With fewer shapes that can be left out of a list it does not pay, measured with 12 and 100
/// spheres.
pub const LONG_LIST: usize = 24;

/// A shape and its number in file order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    number: u32,
    geometry: Geometry,
    /// Of a sphere.
    outline: Option<Outline>,
}

impl Numbered {
    pub(super) fn new(number: u32, geometry: Geometry) -> Self {
        let outline = match &geometry {
            Geometry::Sphere(sphere) => Some(Outline::of(sphere)),
            Geometry::Plane(_) | Geometry::Triangle(_) => None,
        };
        Self { number, geometry, outline }
    }

    /// As [`meet`], after a glance at spheres. With a `limit`, meetings behind it may be left out.
    #[inline(always)]
    fn meet<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        glance: Option<&Glance<S>>,
        limit: Option<S::S>,
        wanted: u32,
    ) -> Option<Meeting<S>> {
        let mut wanted = wanted;
        if let (Some(outline), Some(glance)) = (&self.outline, glance) {
            wanted &= !glance.passes(simd, outline);
            if wanted == 0 {
                return None;
            }
            if let Some(limit) = limit {
                wanted &= !glance.stays_inside(simd, outline, limit);
                if wanted == 0 {
                    return None;
                }
            }
        }
        meet(simd, rays, &self.geometry, wanted)
    }
}

/// Shapes in file order.
#[derive(Debug, Clone)]
pub(super) struct List {
    shapes: Vec<Numbered>,
    /// Bounding spheres of each eight shapes; none if it does not pay.
    outlines: Vec<Outlines>,
    /// The largest coordinate of any bounding sphere.
    reach: f32,
    /// The largest [`Outline::reach`] of any sphere, if there are at least two: a glance at one
    /// does not pay.
    glance: Option<f32>,
}

/// Bounding spheres of eight shapes, infinite for those that have none.
#[derive(Debug, Clone)]
#[repr(align(32))]
struct Outlines {
    center: [[f32; LANES]; 3],
    radius: [f32; LANES],
}

/// Eight rays taken together.
struct Beam<S: Simd> {
    origin: [S::S; 3],
    direction: [S::S; 3],
    /// How far along the rays anything counts.
    limit: S::S,
    width: S::S,
    /// σ / (1 − σ) for a beam that spreads by σ a unit: the t above is at most
    /// (along + r + width) / (1 − σ), where the foot of the centre on the axis is `along` from the
    /// origin.
    growth: S::S,
}

impl List {
    pub(super) fn new(shapes: Vec<Numbered>) -> Self {
        let reaches = || shapes.iter().filter_map(|shape| Some(shape.outline?.reach()));
        let glance = (reaches().count() > 1).then(|| reaches().fold(0.0, f32::max));
        let spheres: Vec<_> = shapes.iter().map(|shape| bounding_sphere(&shape.geometry)).collect();
        if spheres.iter().flatten().count() < LONG_LIST {
            return Self { shapes, outlines: Vec::new(), reach: 0.0, glance };
        }
        let sides = spheres.iter().flatten().flat_map(|(center, radius)| {
            center.iter().map(move |coordinate| coordinate.abs() + radius)
        });
        let reach = sides.fold(0.0, f32::max);
        let outlines = spheres.chunks(LANES).map(Outlines::new).collect();
        Self { shapes, outlines, reach, glance }
    }

    pub(super) const fn len(&self) -> usize {
        self.shapes.len()
    }

    /// What tests of its shapes are counted as.
    pub(super) const fn counter<'c>(&self, counters: &'c mut Counters) -> &'c mut u64 {
        if self.outlines.is_empty() { &mut counters.tests } else { &mut counters.sifted }
    }

    /// The nearest shape of each of eight rays, of which those in `active` count. Of equally near
    /// shapes the first one in file order.
    #[inline(always)]
    pub(super) fn nearest<S: Simd>(&self, simd: S, rays: &Rays<S>, active: u32) -> Nearest<S> {
        let mut best = Nearest::nothing(simd);
        let glance = self.glance(simd, rays);
        let rays = (rays, glance.as_ref());
        if self.outlines.is_empty() {
            for shape in &self.shapes {
                improve(simd, rays, active, shape, &mut best);
            }
            return best;
        }
        let beam = Beam::new(simd, rays.0, active, simd.splat(f64::INFINITY), self.reach);
        for (block, shapes) in self.shapes.chunks(LANES).enumerate() {
            for lane in set_bits(self.candidates(simd, beam.as_ref(), block, shapes.len())) {
                improve(simd, rays, active, &shapes[lane], &mut best);
            }
        }
        best
    }

    /// Which of eight rays, of those `wanted`, meet a shape nearer than `limit`. Adds to `tests`
    /// how many shapes each ray would have to be tested against, were it alone and none left out.
    #[inline(always)]
    pub(super) fn blocked<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        limit: S::D,
        wanted: u32,
        tests: &mut u64,
    ) -> u32 {
        let mut open = Open { lanes: wanted, passed: 0, tests };
        let glance = self.glance(simd, rays);
        let rays = (rays, glance.as_ref());
        if self.outlines.is_empty() {
            for (place, shape) in self.shapes.iter().enumerate() {
                open.shut(simd, rays, limit, shape, place);
                if open.lanes == 0 {
                    break;
                }
            }
        } else {
            let beam = Beam::new(simd, rays.0, wanted, limit, self.reach);
            'blocks: for (block, shapes) in self.shapes.chunks(LANES).enumerate() {
                for lane in set_bits(self.candidates(simd, beam.as_ref(), block, shapes.len())) {
                    open.shut(simd, rays, limit, &shapes[lane], block * LANES + lane);
                    if open.lanes == 0 {
                        break 'blocks;
                    }
                }
            }
        }
        open.pass(self.shapes.len());
        wanted & !open.lanes
    }

    /// A glance at the spheres, where it pays.
    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, rays: &Rays<S>) -> Option<Glance<S>> {
        let reach = self.glance.filter(|_| S::GLANCES)?;
        Some(Glance::new(simd, rays, reach))
    }

    /// Shapes of a block, which has so many, that the beam may meet.
    #[inline(always)]
    fn candidates<S: Simd>(
        &self,
        simd: S,
        beam: Option<&Beam<S>>,
        block: usize,
        length: usize,
    ) -> u32 {
        let all = ALL >> (LANES - length);
        match (beam, self.outlines.get(block)) {
            (Some(beam), Some(outlines)) => all & !outlines.missed(simd, beam),
            _ => all,
        }
    }
}

/// Takes a shape for those rays to which it is nearer than the nearest so far.
#[inline(always)]
fn improve<S: Simd>(
    simd: S,
    (rays, glance): (&Rays<S>, Option<&Glance<S>>),
    active: u32,
    shape: &Numbered,
    best: &mut Nearest<S>,
) {
    let Some(meeting) = shape.meet(simd, rays, glance, None, active) else { return };
    let nearer = meeting.hit & meeting.distance.less(best.distance);
    let code = 2.0 * f64::from(shape.number);
    let outside = simd.splat(code);
    let code = match meeting.inside {
        Some(inside) => S::D::select(inside, simd.splat(code + 1.0), outside),
        None => outside,
    };
    best.distance = S::D::select(nearer, meeting.distance, best.distance);
    best.root = S::D::select(nearer, meeting.root, best.root);
    best.code = S::D::select(nearer, code, best.code);
}

/// Rays that have met nothing so far.
struct Open<'a> {
    lanes: u32,
    /// Shapes that are counted for these rays.
    passed: usize,
    tests: &'a mut u64,
}

impl Open<'_> {
    /// Takes away the rays that meet a shape, the one at `place`, nearer than `limit`.
    #[inline(always)]
    fn shut<S: Simd>(
        &mut self,
        simd: S,
        (rays, glance): (&Rays<S>, Option<&Glance<S>>),
        limit: S::D,
        shape: &Numbered,
        place: usize,
    ) {
        let near = Some(limit.to_singles());
        let Some(meeting) = shape.meet(simd, rays, glance, near, self.lanes) else { return };
        let shut = (meeting.hit & meeting.distance.less(limit)).bits() & self.lanes;
        if shut != 0 {
            self.pass(place + 1);
            self.lanes &= !shut;
        }
    }

    /// Counts the shapes before `place`.
    #[inline(always)]
    fn pass(&mut self, place: usize) {
        *self.tests += u64::from(self.lanes.count_ones()) * (place - self.passed) as u64;
        self.passed = place;
    }
}

impl Outlines {
    fn new(spheres: &[Option<([f32; 3], f32)>]) -> Self {
        let mut outlines = Self { center: [[0.0; LANES]; 3], radius: [f32::INFINITY; LANES] };
        for (lane, sphere) in spheres.iter().enumerate() {
            if let Some((center, radius)) = sphere {
                for (row, coordinate) in outlines.center.iter_mut().zip(center) {
                    row[lane] = *coordinate;
                }
                outlines.radius[lane] = *radius;
            }
        }
        outlines
    }

    /// Those that the beam certainly misses; none where anything is NaN.
    #[inline(always)]
    fn missed<S: Simd>(&self, simd: S, beam: &Beam<S>) -> u32 {
        let path = each!(axis => simd.load_single(&self.center[axis]) - beam.origin[axis]);
        let along = sum(each!(axis => path[axis] * beam.direction[axis]));
        let along = along.max(simd.splat_single(0.0)).min(beam.limit);
        let off = each!(axis => path[axis] - beam.direction[axis] * along);
        let square = sum(each!(axis => off[axis] * off[axis]));
        let near = simd.load_single(&self.radius) + beam.width;
        let bound = near + (near + along) * beam.growth;
        (bound * bound).less(square).bits()
    }
}

impl<S: Simd> Beam<S> {
    /// None if the rays go too far apart, or are not ones to reason about.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the margin covers the rounding")]
    fn new(simd: S, rays: &Rays<S>, wanted: u32, limit: S::D, reach: f32) -> Option<Self> {
        let lane = wanted.trailing_zeros() as usize % LANES;
        let origin = each!(axis => rays.origin[axis].to_array()[lane]);
        let direction = each!(axis => rays.direction[axis].to_array()[lane]);
        let [least, most] = [simd.splat(1.0 - 1e-6), simd.splat(1.0 + 1e-6)];
        let length = dot(rays.direction, rays.direction);
        let is_unit = least.at_most(length) & length.at_most(most);
        let apart = each!(axis => (rays.origin[axis] - simd.splat(origin[axis])).to_singles());
        let apart = sum(each!(axis => apart[axis] * apart[axis]));
        let turned =
            each!(axis => (rays.direction[axis] - simd.splat(direction[axis])).to_singles());
        let turned = sum(each!(axis => turned[axis] * turned[axis]));
        let is_number = apart.at_most(simd.splat_single(f32::INFINITY)).bits();
        if wanted & !(is_unit.bits() & is_number) != 0 {
            return None;
        }
        let (wanted, zero) = (simd.mask(wanted).narrow(), simd.splat_single(0.0));
        let largest = |values: S::S| S::S::select(wanted, values, zero).largest();
        let spread = largest(turned).sqrt() * (1.0 + MARGIN);
        if spread > WIDEST_SPREAD {
            return None;
        }
        let reach = origin.iter().fold(reach, |reach, axis| reach.max(axis.abs() as f32));
        let width = largest(apart).sqrt() * (1.0 + MARGIN) + MARGIN * reach;
        Some(Self {
            origin: each!(axis => simd.splat_single(origin[axis] as f32)),
            direction: each!(axis => simd.splat_single(direction[axis] as f32)),
            limit: simd.splat_single(largest(limit.to_singles())),
            width: simd.splat_single(width),
            growth: simd.splat_single(spread / (1.0 - spread)),
        })
    }
}

#[inline(always)]
fn sum<V: Singles>(parts: [V; 3]) -> V {
    parts[0] + parts[1] + parts[2]
}

/// Centre and radius of a sphere around a shape, if rays that meet it come near it at all: the
/// same that can be in a hierarchy.
#[expect(clippy::cast_possible_truncation, reason = "the margin covers the rounding")]
fn bounding_sphere(geometry: &Geometry) -> Option<([f32; 3], f32)> {
    let (center, radius) = match geometry {
        Geometry::Sphere(sphere) => {
            SphereBlock::bounds(geometry)?;
            (sphere.center.to_array().map(|axis| axis as f32), sphere.radius_squared.sqrt() as f32)
        }
        _ => TriangleBlock::bounds(geometry)?.sphere(),
    };
    (radius >= SMALLEST).then_some((center, radius))
}

#[cfg(test)]
mod tests;
