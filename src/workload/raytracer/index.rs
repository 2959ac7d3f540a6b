//! A scene's shapes, arranged so that rays find the nearest one fast.
//!
//! Few shapes are all tested, eight rays at a time. Of many, spheres and triangles go into
//! hierarchies that each ray descends alone; planes, which have no box, and oddities stay in a list.

use super::bvh::{Block, Bvh, Found, Ray, SphereBlock, Stack, TriangleBlock};
use super::list::{List, Numbered};
use super::packet::{Nearest, Rays};
use super::render::Counters;
use super::scene::{Geometry, Shape};
use super::simd::{Doubles, LANES, Simd, each};
use super::vector::Vector;
use super::wave::set_bits;
use crate::workload::{Cancelled, Pacer};

/// From so many shapes of a kind on a hierarchy pays, measured with spheres spread evenly.
pub(super) const LEAST: usize = 128;

/// What a thread keeps and counts while it traces.
#[derive(Debug, Default)]
pub(super) struct Effort {
    pub(super) counters: Counters,
    stack: Stack,
    /// Tests at the last look at the clock.
    looked: u64,
}

impl Effort {
    /// Whether it is time for a look at the clock: one ray or light may take a test against each
    /// of a million shapes.
    #[inline(always)]
    pub(super) fn is_due(&mut self) -> bool {
        /// About a millisecond's.
        const TESTS_A_LOOK: u64 = 1 << 20;
        let Counters { tests, sifted, visits, .. } = self.counters;
        let tests = tests + sifted + LANES as u64 * visits;
        let is_due = tests - self.looked >= TESTS_A_LOOK;
        if is_due {
            self.looked = tests;
        }
        is_due
    }
}

/// All shapes that can be hit.
#[derive(Debug, Clone)]
pub(super) struct Index {
    spheres: Option<Bvh<SphereBlock>>,
    triangles: Option<Bvh<TriangleBlock>>,
    /// Those in no hierarchy, in file order.
    others: List,
}

impl Index {
    /// Arranges shapes given in file order; kinds with fewer than `least` get no hierarchy.
    ///
    /// # Errors
    /// [`Cancelled`] if the pacer says so.
    pub(super) fn new(
        shapes: &[Shape],
        least: usize,
        pacer: &dyn Pacer,
    ) -> Result<Self, Cancelled> {
        let spheres = Bvh::<SphereBlock>::build(shapes, least, pacer)?;
        let triangles = Bvh::<TriangleBlock>::build(shapes, least, pacer)?;
        let is_arranged = |geometry: &Geometry| match geometry {
            Geometry::Sphere(_) => spheres.is_some() && SphereBlock::bounds(geometry).is_some(),
            Geometry::Triangle(_) => {
                triangles.is_some() && TriangleBlock::bounds(geometry).is_some()
            }
            Geometry::Plane(_) => false,
        };
        let others = (0..)
            .zip(shapes)
            .filter(|(_, shape)| !is_arranged(&shape.geometry))
            .map(|(number, shape)| Numbered::new(number, shape.geometry))
            .collect();
        let others = List::new(others);
        Ok(Self { spheres, triangles, others })
    }

    /// How many shapes are in hierarchies.
    pub(super) fn arranged(&self) -> u64 {
        self.spheres.as_ref().map_or(0, Bvh::len) + self.triangles.as_ref().map_or(0, Bvh::len)
    }

    const fn is_list(&self) -> bool {
        self.spheres.is_none() && self.triangles.is_none()
    }

    /// The nearest shape of each of eight rays, of which those in `active` count.
    #[inline(always)]
    pub(super) fn nearest<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        active: u32,
        effort: &mut Effort,
    ) -> Nearest<S> {
        *self.others.counter(&mut effort.counters) +=
            u64::from(active.count_ones()) * self.others.len() as u64;
        let best = self.others.nearest(simd, rays, active);
        if self.is_list() { best } else { self.descend(simd, rays, active, &best, effort) }
    }

    /// Goes on from the nearest of the shapes in no hierarchy.
    #[inline(always)]
    fn descend<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        active: u32,
        best: &Nearest<S>,
        effort: &mut Effort,
    ) -> Nearest<S> {
        let lanes = Lanes::new(rays);
        let (mut distance, mut root, mut code) =
            (best.distance.to_array(), best.root.to_array(), best.code.to_array());
        for lane in set_bits(active) {
            let ray = lanes.ray(lane);
            let mut found = Found { distance: distance[lane], root: root[lane], code: code[lane] };
            let Effort { stack, counters, .. } = &mut *effort;
            if let Some(spheres) = &self.spheres {
                spheres.nearest(simd, &ray, &mut found, stack, counters);
            }
            if let Some(triangles) = &self.triangles {
                triangles.nearest(simd, &ray, &mut found, stack, counters);
            }
            (distance[lane], root[lane], code[lane]) = (found.distance, found.root, found.code);
        }
        Nearest { distance: simd.load(&distance), root: simd.load(&root), code: simd.load(&code) }
    }

    /// Which of eight rays, of those `wanted`, meet anything nearer than `limit`.
    #[inline(always)]
    pub(super) fn blocked<S: Simd>(
        &self,
        simd: S,
        rays: &Rays<S>,
        limit: S::D,
        wanted: u32,
        effort: &mut Effort,
    ) -> u32 {
        effort.counters.shadow += u64::from(wanted.count_ones());
        let tests = self.others.counter(&mut effort.counters);
        let mut shut = self.others.blocked(simd, rays, limit, wanted, tests);
        if self.is_list() || shut == wanted {
            return shut;
        }
        let (lanes, limits) = (Lanes::new(rays), limit.to_array());
        for lane in set_bits(wanted & !shut) {
            shut |= u32::from(self.shuts(simd, &lanes.ray(lane), limits[lane], effort)) << lane;
        }
        shut
    }
}

impl Index {
    /// Whether a ray meets a shape of a hierarchy nearer than `limit`.
    #[inline(always)]
    fn shuts<S: Simd>(&self, simd: S, ray: &Ray, limit: f64, effort: &mut Effort) -> bool {
        let Effort { stack, counters, .. } = effort;
        if let Some(spheres) = &self.spheres
            && spheres.blocks(simd, ray, limit, stack, counters)
        {
            return true;
        }
        match &self.triangles {
            Some(triangles) => triangles.blocks(simd, ray, limit, stack, counters),
            None => false,
        }
    }
}

/// Eight rays taken apart.
struct Lanes {
    origin: [[f64; LANES]; 3],
    direction: [[f64; LANES]; 3],
}

impl Lanes {
    #[inline(always)]
    fn new<S: Simd>(rays: &Rays<S>) -> Self {
        Self {
            origin: each!(axis => rays.origin[axis].to_array()),
            direction: each!(axis => rays.direction[axis].to_array()),
        }
    }

    #[inline(always)]
    fn ray(&self, lane: usize) -> Ray {
        let [x, y, z] = &self.origin;
        let origin = Vector::new(x[lane], y[lane], z[lane]);
        let [x, y, z] = &self.direction;
        Ray { origin, direction: Vector::new(x[lane], y[lane], z[lane]) }
    }
}
