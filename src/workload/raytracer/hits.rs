//! Where rays met shapes, gathered until eight can be shaded together.

use super::packet::{Nearest, Rays, Vectors};
use super::shade::shade;
use super::simd::{ALL, Doubles, LANES, Simd, each};
use super::wave::{Sink, set_bits};
use super::world::{Look, World};
use crate::workload::Error;

/// Up to eight hits.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
pub(super) struct Hits {
    pub(super) point: [[f64; LANES]; 3],
    /// Of the ray that hit.
    pub(super) direction: [[f64; LANES]; 3],
    /// As in [`Nearest`].
    pub(super) code: [u32; LANES],
    /// The node whose colour this is.
    pub(super) node: [u32; LANES],
    /// How many there are.
    length: usize,
}

impl Hits {
    /// Eight hits of rays whose nodes follow each other.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "codes are small whole numbers; of a ray that misses the code is not used"
    )]
    pub(super) fn new<S: Simd>(rays: &Rays<S>, nearest: &Nearest<S>, node: usize) -> Self {
        Self {
            point: lanes::<S>(rays.at(nearest.root)),
            direction: lanes::<S>(rays.direction),
            code: nearest.code.to_array().map(|code| code as u32),
            node: std::array::from_fn(|lane| (node + lane) as u32),
            length: LANES,
        }
    }

    /// One bit for each hit.
    pub(super) const fn active(&self) -> u32 {
        ALL >> (LANES - self.length)
    }

    /// Adds one of eight other hits; there must be room.
    #[inline(always)]
    fn push(&mut self, other: &Self, lane: usize) {
        if self.length == 0 {
            // Lanes without a hit of their own stay alike, so that they cost nothing.
            self.code = [other.code[lane]; LANES];
        }
        let place = self.length % LANES;
        for axis in 0..3 {
            self.point[axis][place] = other.point[axis][lane];
            self.direction[axis][place] = other.direction[axis][lane];
        }
        self.code[place] = other.code[lane];
        self.node[place] = other.node[lane];
        self.length = place + 1;
    }
}

#[inline(always)]
fn lanes<S: Simd>(vectors: Vectors<S>) -> [[f64; LANES]; 3] {
    each!(axis => vectors[axis].to_array())
}

/// Places for hits that wait for others of the same look.
const SHELVES: usize = 16;

/// Hits that wait until there are eight of the same look: those are shaded fastest.
#[derive(Debug, Default)]
pub(super) struct Pending {
    shelves: [Shelf; SHELVES],
    /// Hits of several looks, where a shelf was taken.
    mixed: Hits,
}

#[derive(Debug, Default)]
struct Shelf {
    look: Look,
    hits: Hits,
}

impl Pending {
    /// Takes those of eight hits whose bit is set, and shades what there are eight of.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &mut self,
        simd: S,
        world: &World,
        hits: &Hits,
        lanes: u32,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if lanes == ALL && hits.code == [hits.code[0]; LANES] {
            return shade(simd, world, hits, Some(world.look(hits.code[0])), sink);
        }
        for lane in set_bits(lanes) {
            let look = world.look(hits.code[lane]);
            let Shelf { look: own, hits: waiting } = &mut self.shelves[look.hash() % SHELVES];
            if waiting.length == 0 {
                *own = look;
            }
            if *own == look {
                waiting.push(hits, lane);
                if waiting.length == LANES {
                    shade(simd, world, waiting, Some(look), sink)?;
                    waiting.length = 0;
                }
            } else {
                self.mixed.push(hits, lane);
                self.shade_mixed(simd, world, LANES, sink)?;
            }
        }
        Ok(())
    }

    /// Shades all that wait.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(
        &mut self,
        simd: S,
        world: &World,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        for shelf in 0..SHELVES {
            for lane in 0..self.shelves[shelf].hits.length {
                self.mixed.push(&self.shelves[shelf].hits, lane);
                self.shade_mixed(simd, world, LANES, sink)?;
            }
            self.shelves[shelf].hits.length = 0;
        }
        self.shade_mixed(simd, world, 1, sink)
    }

    /// Shades hits of several looks if there are at least so many.
    #[inline(always)]
    fn shade_mixed<S: Simd>(
        &mut self,
        simd: S,
        world: &World,
        least: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if self.mixed.length < least {
            return Ok(());
        }
        let first = self.mixed.code[0];
        let look = (self.mixed.code == [first; LANES]).then(|| world.look(first));
        shade(simd, world, &self.mixed, look, sink)?;
        self.mixed.length = 0;
        Ok(())
    }
}
