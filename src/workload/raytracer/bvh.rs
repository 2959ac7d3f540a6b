//! Finds the few shapes that a ray may meet among many: a bounding volume hierarchy.
//!
//! Eight children to a node, their boxes in single precision; a ray is tested against the eight
//! boxes at once, and at the leaves against up to eight shapes at once, in double precision and
//! exactly as without a hierarchy (after I. Wald et al., "Getting Rid of Packets", 2008, and
//! H. Dammertz et al., "Shallow Bounding Volume Hierarchies", 2008).
//!
//! # Why nothing is lost
//! Rounded arithmetic takes a ray to meet a sphere of radius r that it misses by a little: the
//! rounding error of the discriminant, below 16·2⁻⁵³·v² for a centre at distance v, lets it pass
//! at a distance of up to r + 5·10⁻⁸·v. Triangles admitted here (see [`Block::bounds`]) are no worse.
//! Boxes are tested in single precision, whose errors move their sides by less than 6·10⁻⁷ of the
//! largest coordinate involved. All boxes are therefore grown by [`MARGIN`] of that coordinate,
//! which depends on the ray and costs nothing: the ray's origin is moved instead. Rays and shapes
//! for which this reasoning fails (not finite, huge, slivers) never get here.

mod blocks;
mod build;

pub(super) use blocks::{Block, SphereBlock, TriangleBlock};

use super::packet::{Rays, splat};
use super::render::Counters;
use super::simd::{Doubles, LANES, Mask, Simd, Singles, each};
use super::vector::Vector;
use super::wave::set_bits;

/// Coordinates of shapes and origins of rays are at most this, to be finite in all that follows.
pub(super) const LARGEST: f64 = 1e12;

/// How much boxes are grown, as a share of the largest coordinate of boxes and ray.
const MARGIN: f64 = 4e-6;

/// Directions along an axis are at least this, so that their reciprocals are finite.
const LEAST_DIRECTION: f32 = 1e-18;

/// A child is a leaf's block if this bit is set, and otherwise a node.
const LEAF: u32 = 1 << 31;

/// Eight boxes and what is in them.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Node {
    /// For each axis the lower sides, then the upper ones. Unused children are inside out.
    sides: [[[f32; LANES]; 2]; 3],
    children: [u32; LANES],
}

impl Node {
    const EMPTY: Self = Self {
        sides: [[[f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]]; 3],
        children: [LEAF; LANES],
    };
}

/// A hierarchy over shapes of one kind.
#[derive(Debug, Clone)]
pub(super) struct Bvh<B> {
    nodes: Vec<Node>,
    blocks: Vec<B>,
    /// The largest coordinate of any box.
    reach: f64,
}

/// One ray.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ray {
    pub(super) origin: Vector,
    pub(super) direction: Vector,
}

impl Ray {
    #[inline(always)]
    fn splat<S: Simd>(&self, simd: S) -> Rays<S> {
        Rays { origin: splat(simd, self.origin), direction: splat(simd, self.direction) }
    }

    /// Whether boxes can be trusted with the ray: see the module's documentation.
    fn is_ordinary(&self) -> bool {
        let [x, y, z] = self.origin.to_array().map(f64::abs);
        let square = self.direction.dot(self.direction);
        x <= LARGEST && y <= LARGEST && z <= LARGEST && (square - 1.0).abs() <= 1e-6
    }

    /// Whether the ray has a direction at all: with NaN in it nothing is ever met.
    fn can_hit(&self) -> bool {
        [self.origin, self.direction].iter().all(|v| !v.to_array().iter().any(|axis| axis.is_nan()))
    }
}

/// The nearest shape of one ray, as in [`super::packet::Nearest`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) distance: f64,
    pub(super) root: f64,
    pub(super) code: f64,
}

/// Nodes and blocks yet to be looked at, and how far away they begin.
pub(super) type Stack = Vec<(f32, u32)>;

/// A ray made ready for boxes.
struct Probe<S: Simd> {
    near: [S::S; 3],
    far: [S::S; 3],
    reciprocal: [S::S; 3],
    /// Which of the two sides of a box the ray comes to first.
    first: [usize; 3],
}

impl<S: Simd> Probe<S> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the margin covers the rounding")]
    fn new(simd: S, ray: &Ray, reach: f64) -> Self {
        let origin = ray.origin.to_array();
        let direction = each!(axis => {
            let along = ray.direction.to_array()[axis] as f32;
            if along.abs() < LEAST_DIRECTION { LEAST_DIRECTION.copysign(along) } else { along }
        });
        let largest = origin.iter().fold(reach, |largest, axis| largest.max(axis.abs()));
        let margin = largest * MARGIN;
        let outward = each!(axis => margin.copysign(f64::from(direction[axis])));
        Self {
            near: each!(axis => simd.splat_single((origin[axis] + outward[axis]) as f32)),
            far: each!(axis => simd.splat_single((origin[axis] - outward[axis]) as f32)),
            reciprocal: each!(axis => simd.splat_single(1.0 / direction[axis])),
            first: each!(axis => usize::from(direction[axis] < 0.0)),
        }
    }

    /// Which boxes of a node the ray meets before `limit`, and where it enters them.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the margin covers the rounding")]
    fn meet(&self, simd: S, node: &Node, limit: f64) -> (u32, [f32; LANES]) {
        let enter = each!(axis => {
            let side = simd.load_single(&node.sides[axis][self.first[axis]]);
            (side - self.near[axis]) * self.reciprocal[axis]
        });
        let leave = each!(axis => {
            let side = simd.load_single(&node.sides[axis][1 - self.first[axis]]);
            (side - self.far[axis]) * self.reciprocal[axis]
        });
        let enter = enter[0].max(enter[1]).max(enter[2]).max(simd.splat_single(0.0));
        let leave = leave[0].min(leave[1]).min(leave[2]).min(simd.splat_single(limit as f32));
        (enter.at_most(leave).bits(), enter.to_array())
    }
}

impl<B: Block> Bvh<B> {
    /// Improves on the nearest shape found so far. Of equally near shapes the first in file order
    /// is the nearest.
    #[inline(always)]
    pub(super) fn nearest<S: Simd>(
        &self,
        simd: S,
        ray: &Ray,
        best: &mut Found,
        stack: &mut Stack,
        counters: &mut Counters,
    ) {
        let rays = ray.splat(simd);
        if !ray.is_ordinary() {
            if ray.can_hit() {
                self.nearest_of_all(simd, &rays, best, counters);
            }
            return;
        }
        let probe = Probe::new(simd, ray, self.reach);
        stack.clear();
        stack.push((0.0, 0));
        while let Some((distance, child)) = stack.pop() {
            if f64::from(distance) > best.distance {
                continue;
            }
            if child & LEAF == 0 {
                counters.visits += 1;
                let node = &self.nodes[child as usize];
                let (met, distances) = probe.meet(simd, node, best.distance);
                push_sorted(stack, node, met, &distances);
            } else {
                let block = &self.blocks[(child & !LEAF) as usize];
                counters.visits += 1;
                improve(simd, &rays, block, best);
            }
        }
    }

    /// Whether the ray meets anything nearer than `limit`.
    #[inline(always)]
    pub(super) fn blocks<S: Simd>(
        &self,
        simd: S,
        ray: &Ray,
        limit: f64,
        stack: &mut Stack,
        counters: &mut Counters,
    ) -> bool {
        let (rays, limits) = (ray.splat(simd), simd.splat(limit));
        if !ray.is_ordinary() {
            return ray.can_hit() && self.any_of_all(simd, &rays, limits, counters);
        }
        let probe = Probe::new(simd, ray, self.reach);
        stack.clear();
        stack.push((0.0, 0));
        while let Some((_, child)) = stack.pop() {
            if child & LEAF == 0 {
                counters.visits += 1;
                let node = &self.nodes[child as usize];
                let (met, _) = probe.meet(simd, node, limit);
                for lane in set_bits(met) {
                    stack.push((0.0, node.children[lane]));
                }
            } else {
                let block = &self.blocks[(child & !LEAF) as usize];
                counters.visits += 1;
                if is_met(simd, &rays, block, limits) {
                    return true;
                }
            }
        }
        false
    }

    /// How many shapes it holds.
    pub(super) fn len(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.len())).sum()
    }

    /// As [`Self::nearest`], for rays that boxes cannot be trusted with.
    #[inline(always)]
    fn nearest_of_all<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        best: &mut Found,
        counters: &mut Counters,
    ) {
        for block in &self.blocks {
            counters.visits += 1;
            improve(simd, rays, block, best);
        }
    }

    /// As [`Self::blocks`], for rays that boxes cannot be trusted with.
    #[inline(always)]
    fn any_of_all<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        limits: S::D,
        counters: &mut Counters,
    ) -> bool {
        for block in &self.blocks {
            counters.visits += 1;
            if is_met(simd, rays, block, limits) {
                return true;
            }
        }
        false
    }
}

/// Whether a ray meets a shape of a block nearer than `limits`.
#[inline(always)]
fn is_met<S: Simd, B: Block>(simd: S, rays: &Rays<S>, block: &B, limits: S::D) -> bool {
    match block.meet(simd, rays) {
        Some(meeting) => (meeting.hit & meeting.distance.less(limits)).bits() != 0,
        None => false,
    }
}

/// Adds the children that were met, the nearest last.
#[inline(always)]
fn push_sorted(stack: &mut Stack, node: &Node, met: u32, distances: &[f32; LANES]) {
    let bottom = stack.len();
    for lane in set_bits(met) {
        stack.push((distances[lane], node.children[lane]));
        let mut place = stack.len() - 1;
        while place > bottom && stack[place - 1].0 < stack[place].0 {
            stack.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// Tests a ray against a block.
#[inline(always)]
#[expect(clippy::float_cmp, reason = "ties are exact")]
fn improve<S: Simd, B: Block>(simd: S, rays: &Rays<S>, block: &B, best: &mut Found) {
    let Some(meeting) = block.meet(simd, rays) else { return };
    let candidates = (meeting.hit & meeting.distance.at_most(simd.splat(best.distance))).bits();
    if candidates == 0 {
        return;
    }
    let (distances, roots) = (meeting.distance.to_array(), meeting.root.to_array());
    let inside = meeting.inside.map_or(0, Mask::bits);
    for lane in set_bits(candidates) {
        let code = 2.0 * f64::from(block.numbers()[lane]) + f64::from(inside >> lane & 1);
        let distance = distances[lane];
        if distance < best.distance || distance == best.distance && code < best.code {
            *best = Found { distance, root: roots[lane], code };
        }
    }
}

#[cfg(test)]
mod tests;
