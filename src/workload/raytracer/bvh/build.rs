//! Builds hierarchies.
//!
//! From the top down: a node's shapes are cut in two where the surface area heuristic says
//! (`MacDonald` and Booth, 1990; in bins, I. Wald, "On fast Construction of SAH-based
//! Bounding Volume Hierarchies", 2007), then the largest part again, until there are eight parts.
//! A leaf costs as much as its blocks of eight, so cuts tend to leave full blocks.

use super::{Block, Bvh, LEAF, Node};
use crate::workload::raytracer::scene::Shape;
use crate::workload::raytracer::simd::LANES;
use crate::workload::{Cancelled, Pacer};

/// Where cuts along an axis are considered.
const BINS: usize = 16;

/// Beyond this depth parts are simply halved, so that no input makes the tree deep.
const DEEPEST_HEURISTIC: u32 = 24;

/// Shapes sorted into parts between two checkpoints: about a millisecond.
const PACE: usize = 20_000;

/// A box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Bounds {
    pub(super) low: [f32; 3],
    pub(super) high: [f32; 3],
}

impl Bounds {
    const NOTHING: Self = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    fn include(&mut self, other: &Self) {
        for axis in 0..3 {
            self.low[axis] = smaller(self.low[axis], other.low[axis]);
            self.high[axis] = larger(self.high[axis], other.high[axis]);
        }
    }

    /// Half the surface.
    fn area(&self) -> f32 {
        let size: [f32; 3] = std::array::from_fn(|axis| self.high[axis] - self.low[axis]);
        size[0] * size[1] + size[1] * size[2] + size[2] * size[0]
    }
}

/// Cheaper than `f32::min`, which has to care about NaN.
fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// A shape to be placed.
#[derive(Debug, Clone, Copy)]
struct Entry {
    bounds: Bounds,
    /// Its place among the shapes given.
    shape: u32,
}

impl Entry {
    /// Twice the middle of the box.
    fn middle(&self, axis: usize) -> f32 {
        self.bounds.low[axis] + self.bounds.high[axis]
    }
}

/// A range of entries that is one child of a node, so far.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    bounds: Bounds,
}

impl Part {
    const fn len(&self) -> usize {
        self.end - self.start
    }
}

struct Builder<'a, B> {
    shapes: &'a [Shape],
    entries: Vec<Entry>,
    nodes: Vec<Node>,
    blocks: Vec<B>,
    pacer: &'a dyn Pacer,
    unpaid: usize,
}

impl<B: Block> Bvh<B> {
    /// Builds a hierarchy of those shapes that it can hold; none if they are fewer than `least`.
    ///
    /// # Errors
    /// [`Cancelled`] if the pacer says so.
    pub(in super::super) fn build(
        shapes: &[Shape],
        least: usize,
        pacer: &dyn Pacer,
    ) -> Result<Option<Self>, Cancelled> {
        let entry = |(shape, bounds): (u32, Option<Bounds>)| Some(Entry { bounds: bounds?, shape });
        let bounds = shapes.iter().map(|shape| B::bounds(&shape.geometry));
        let entries: Vec<Entry> = (0..).zip(bounds).filter_map(entry).collect();
        if entries.len() < least.max(1) {
            return Ok(None);
        }
        let blocks = Vec::with_capacity(entries.len() / 4);
        let mut builder = Builder { shapes, entries, nodes: Vec::new(), blocks, pacer, unpaid: 0 };
        let all = builder.part(0, builder.entries.len());
        builder.node(all, 0)?;
        let sides = all.bounds.low.iter().chain(&all.bounds.high);
        let reach = sides.fold(0.0_f32, |reach, side| reach.max(side.abs()));
        Ok(Some(Self { nodes: builder.nodes, blocks: builder.blocks, reach: f64::from(reach) }))
    }
}

impl<B: Block> Builder<'_, B> {
    fn part(&self, start: usize, end: usize) -> Part {
        let mut bounds = Bounds::NOTHING;
        for entry in &self.entries[start..end] {
            bounds.include(&entry.bounds);
        }
        Part { start, end, bounds }
    }

    /// Adds a node for some entries, and all below it. Returns its number.
    fn node(&mut self, all: Part, depth: u32) -> Result<u32, Cancelled> {
        let number = self.nodes.len();
        self.nodes.push(Node::EMPTY);
        let mut parts = [all; LANES];
        let mut count = 1;
        while count < LANES {
            let splittable = (0..count).filter(|part| parts[*part].len() > LANES);
            let largest = splittable
                .max_by(|a, b| parts[*a].bounds.area().total_cmp(&parts[*b].bounds.area()));
            let Some(largest) = largest else { break };
            let [left, right] = self.cut(&parts[largest], depth)?;
            parts[largest] = left;
            parts[count] = right;
            count += 1;
        }
        for (lane, part) in parts.into_iter().take(count).enumerate() {
            let child =
                if part.len() <= LANES { self.leaf(&part) } else { self.node(part, depth + 1)? };
            let node = &mut self.nodes[number];
            node.children[lane] = child;
            for axis in 0..3 {
                node.sides[axis][0][lane] = part.bounds.low[axis];
                node.sides[axis][1][lane] = part.bounds.high[axis];
            }
        }
        Ok(u32::try_from(number).unwrap_or(LEAF - 1))
    }

    fn leaf(&mut self, part: &Part) -> u32 {
        let shapes = self.entries[part.start..part.end]
            .iter()
            .map(|entry| (entry.shape, &self.shapes[entry.shape as usize].geometry));
        self.blocks.push(B::new(shapes));
        LEAF | u32::try_from(self.blocks.len() - 1).unwrap_or(0)
    }

    /// Cuts a part in two, neither of them empty.
    fn cut(&mut self, part: &Part, depth: u32) -> Result<[Part; 2], Cancelled> {
        self.unpaid += part.len();
        if self.unpaid >= PACE {
            self.unpaid = 0;
            self.pacer.checkpoint()?;
        }
        let best = if depth < DEEPEST_HEURISTIC { self.best_cut(part) } else { None };
        let (start, end) = (part.start, part.end);
        let Some((cut, [left, right])) = best else {
            let middle = usize::midpoint(start, end);
            return Ok([self.part(start, middle), self.part(middle, end)]);
        };
        let middle = start + cut.divide(&mut self.entries[start..end]);
        Ok([Part { start, end: middle, bounds: left }, Part { start: middle, end, bounds: right }])
    }

    /// The cheapest cut, and the boxes of its sides; none if all shapes have the same middle.
    fn best_cut(&self, part: &Part) -> Option<(Cut, [Bounds; 2])> {
        let entries = &self.entries[part.start..part.end];
        let mut middles = Bounds::NOTHING;
        for entry in entries {
            let middle = std::array::from_fn(|axis| entry.middle(axis));
            middles.include(&Bounds { low: middle, high: middle });
        }
        let size = |axis: usize| middles.high[axis] - middles.low[axis];
        let axis = (0..3).max_by(|a, b| size(*a).total_cmp(&size(*b)))?;
        if size(axis) <= 0.0 {
            return None;
        }
        let scale = BINS as f32 / size(axis);
        let cut = Cut { axis, origin: middles.low[axis], scale, bin: 0 };
        let mut bins = [(Bounds::NOTHING, 0_usize); BINS];
        for entry in entries {
            let (bounds, count) = &mut bins[cut.bin_of(entry)];
            bounds.include(&entry.bounds);
            *count += 1;
        }
        let bin = cheapest(&bins)?;
        let sides = [&bins[..=bin], &bins[bin + 1..]].map(|side| {
            let mut all = Bounds::NOTHING;
            for (bounds, _) in side {
                all.include(bounds);
            }
            all
        });
        Some((Cut { bin, ..cut }, sides))
    }
}

/// The last bin of the left side of the cheapest cut that leaves something on both sides.
fn cheapest(bins: &[(Bounds, usize); BINS]) -> Option<usize> {
    let cost = |bounds: &Bounds, count: usize| bounds.area() * count.div_ceil(LANES) as f32;
    let mut right = [0.0; BINS];
    let (mut bounds, mut count) = (Bounds::NOTHING, 0);
    for bin in (1..BINS).rev() {
        bounds.include(&bins[bin].0);
        count += bins[bin].1;
        right[bin - 1] = if count == 0 { f32::INFINITY } else { cost(&bounds, count) };
    }
    let (mut bounds, mut count) = (Bounds::NOTHING, 0);
    let mut best = None;
    let mut least = f32::INFINITY;
    for bin in 0..BINS - 1 {
        bounds.include(&bins[bin].0);
        count += bins[bin].1;
        if count > 0 && cost(&bounds, count) + right[bin] < least {
            least = cost(&bounds, count) + right[bin];
            best = Some(bin);
        }
    }
    best
}

/// A plane between two bins along an axis.
#[derive(Debug, Clone, Copy)]
struct Cut {
    axis: usize,
    origin: f32,
    scale: f32,
    /// The last bin of the left side.
    bin: usize,
}

impl Cut {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and bounded on the same line"
    )]
    fn bin_of(&self, entry: &Entry) -> usize {
        (((entry.middle(self.axis) - self.origin) * self.scale) as usize).min(BINS - 1)
    }

    /// Moves the entries of the left side to the front and says how many they are.
    fn divide(&self, entries: &mut [Entry]) -> usize {
        let (mut left, mut right) = (0, entries.len());
        while left < right {
            if self.bin_of(&entries[left]) <= self.bin {
                left += 1;
            } else {
                right -= 1;
                entries.swap(left, right);
            }
        }
        left
    }
}
