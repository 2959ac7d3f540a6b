//! Waves of rays: all rays of one depth of a tile are traced before any of the next.
//!
//! A ray of the camera may hit, and be reflected and refracted, and so on six times over. Rather
//! than following one ray to its end, each tile traces its camera rays in packets of eight and
//! collects the rays that they give rise to; those, packed densely again, are the next wave. Each
//! ray has a [`Node`] for the colour that it sees. When the last wave is through, the colours are
//! added up from the last node to the first.

use std::ops::Range;

use super::hits::{Hits, Pending};
use super::index::Effort;
use super::packet::Rays;
use super::render::Counters;
use super::scene::Rgb;
use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles, Task, each};
use super::world::World;
use crate::workload::Error;

/// What a ray sees that hits nothing.
const BACKGROUND: Rgb = [128.0 / 255.0; 3];

/// Rays of this depth are the last: what they hit neither reflects nor refracts.
const LAST_DEPTH: usize = 6;

/// Packets that are traced between two looks at the clock.
const BATCH: usize = 8;

/// Stands for no ray.
const NONE: u32 = u32::MAX;

/// What one ray sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Without what reflection and refraction add.
    color: Rgb,
    /// How much of the reflected and of the refracted ray's colour is added.
    gains: [f32; 2],
    /// Their places among the reflected and the refracted rays of the next wave.
    children: [u32; 2],
}

impl Node {
    const MISS: Self = Self { color: BACKGROUND, gains: [0.0; 2], children: [NONE; 2] };
}

/// Rays, their coordinates side by side.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// x, y and z of the origins, then of the directions; there is room behind the last ray for
    /// all lanes of the last push, and of the last packet.
    columns: [Vec<f64>; 6],
    length: usize,
}

impl Stream {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// Adds the rays whose bit is set. Returns the place of the first.
    #[inline(always)]
    pub(super) fn push<S: Simd>(&mut self, rays: &Rays<S>, lanes: u32) -> usize {
        let first = self.length;
        let room = first + LANES;
        let coordinates = rays.origin.iter().chain(&rays.direction);
        // The first lanes, one after the other, are written at once, whatever the others hold.
        let are_first = lanes & (lanes + 1) == 0;
        for (column, coordinates) in self.columns.iter_mut().zip(coordinates) {
            if column.len() < room.next_multiple_of(LANES) {
                column.resize(2 * room.next_multiple_of(LANES), f64::NAN);
            }
            let place = &mut column[first..room];
            let coordinates = coordinates.to_array();
            if are_first {
                place.copy_from_slice(&coordinates);
            } else {
                for (place, lane) in place.iter_mut().zip(set_bits(lanes)) {
                    *place = coordinates[lane];
                }
            }
        }
        self.length += lanes.count_ones() as usize;
        first
    }

    /// Eight rays from a place on, if there is one; those behind the last are anything.
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, first: usize) -> Option<Rays<S>> {
        let column = |number: usize| self.columns[number].get(first..)?.first_chunk::<LANES>();
        Some(Rays {
            origin: each!(axis => simd.load(column(axis)?)),
            direction: each!(axis => simd.load(column(3 + axis)?)),
        })
    }
}

/// The lanes whose bit is set, in order.
#[inline(always)]
pub(super) fn set_bits(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}

/// Where the colours of a wave's rays are: reflected rays (for the first wave those of the camera)
/// from `nodes[starts[0]]` on, refracted ones from `nodes[starts[1]]`.
#[derive(Debug, Clone, Copy)]
struct Level {
    starts: [usize; 2],
    end: usize,
}

/// The memory of one thread, used again for every tile.
#[derive(Debug, Default)]
pub(super) struct Waves {
    /// Reflected and refracted rays of the wave being traced.
    streams: [Stream; 2],
    /// And of the one after.
    next: [Stream; 2],
    nodes: Vec<Node>,
    levels: Vec<Level>,
    pending: Pending,
    pub(super) effort: Effort,
}

/// What shading writes to.
pub(super) struct Sink<'a> {
    pub(super) nodes: &'a mut [Node],
    /// Streams for reflected and refracted rays, if there are to be any.
    pub(super) next: Option<&'a mut [Stream; 2]>,
    pub(super) effort: &'a mut Effort,
    /// Called now and then, with what was done so far.
    pub(super) pause: Pause<'a>,
}

/// Lets a pacer have a say.
pub(super) type Pause<'a> = &'a mut dyn FnMut(&Counters) -> Result<(), Error>;

impl Sink<'_> {
    /// Lets the pacer have a say if much was done since it last had.
    #[inline(always)]
    pub(super) fn look(&mut self) -> Result<(), Error> {
        if self.effort.is_due() { (self.pause)(&self.effort.counters) } else { Ok(()) }
    }

    /// Sets the colours of the lanes whose bit is set.
    #[inline(always)]
    pub(super) fn set_colors<S: Simd>(
        &mut self,
        nodes: &[u32; LANES],
        lanes: u32,
        color: [S::S; 3],
    ) {
        let color = each!(channel => color[channel].to_array());
        for lane in set_bits(lanes) {
            self.nodes[nodes[lane] as usize].color = each!(channel => color[channel][lane]);
        }
    }

    /// Adds reflected (kind 0) or refracted (kind 1) rays, of the lanes whose bit is set, to the
    /// next wave.
    #[inline(always)]
    pub(super) fn spawn<S: Simd>(
        &mut self,
        kind: usize,
        rays: &Rays<S>,
        lanes: u32,
        nodes: &[u32; LANES],
        gains: &[f32; LANES],
    ) {
        let Some(next) = &mut self.next else { return };
        let first = next[kind].push(rays, lanes);
        for (place, lane) in (first..).zip(set_bits(lanes)) {
            let node = &mut self.nodes[nodes[lane] as usize];
            node.children[kind] = u32::try_from(place).unwrap_or(NONE);
            node.gains[kind] = gains[lane];
        }
    }
}

impl Waves {
    /// The stream that takes a tile's camera rays, emptied.
    pub(super) fn camera_rays(&mut self) -> &mut Stream {
        self.streams.iter_mut().chain(&mut self.next).for_each(Stream::clear);
        self.nodes.clear();
        self.levels.clear();
        &mut self.streams[0]
    }

    /// Traces the camera rays and all that follows from them. `pause` is called now and then.
    ///
    /// # Errors
    /// Those of `pause`, and [`Error::Unprocessable`] if there is no light and something is hit.
    pub(super) fn trace<S: Simd>(
        &mut self,
        simd: S,
        world: &World,
        pause: Pause<'_>,
    ) -> Result<(), Error> {
        self.effort.counters.primary += self.streams[0].len() as u64;
        for depth in 0..=LAST_DEPTH {
            let lengths = self.streams.each_ref().map(Stream::len);
            let start = self.nodes.len();
            let end = start + lengths[0] + lengths[1];
            if start == end {
                break;
            }
            self.nodes.resize(end, Node::MISS);
            let starts = [start, start + lengths[0]];
            self.levels.push(Level { starts, end });
            for (stream, start) in self.streams.iter().zip(starts) {
                let mut sink = Sink {
                    nodes: &mut self.nodes,
                    next: (depth < LAST_DEPTH).then_some(&mut self.next),
                    effort: &mut self.effort,
                    pause,
                };
                trace_stream(simd, world, stream, start, &mut self.pending, &mut sink)?;
            }
            std::mem::swap(&mut self.streams, &mut self.next);
            self.next.iter_mut().for_each(Stream::clear);
            self.effort.counters.secondary +=
                (self.streams[0].len() + self.streams[1].len()) as u64;
        }
        self.gather();
        Ok(())
    }

    /// What the camera rays see, once traced.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes[..self.levels.first().map_or(0, |level| level.end)]
    }

    /// Adds what reflected and refracted rays see to the colours of the rays they stem from.
    fn gather(&mut self) {
        for pair in self.levels.windows(2).rev() {
            let [level, next] = pair else { continue };
            let (nodes, later) = self.nodes.split_at_mut(level.end);
            for node in &mut nodes[level.starts[0]..] {
                for kind in 0..2 {
                    if node.children[kind] != NONE {
                        let child = next.starts[kind] - level.end + node.children[kind] as usize;
                        node.add(later[child].color, kind);
                    }
                }
            }
        }
    }
}

impl Node {
    pub(super) const fn color(&self) -> Rgb {
        self.color
    }

    fn add(&mut self, color: Rgb, kind: usize) {
        let gain = self.gains[kind].clamp(0.0, 1.0);
        for (sum, channel) in self.color.iter_mut().zip(color) {
            *sum = (*sum + channel * gain).clamp(0.0, 1.0);
        }
    }
}

fn trace_stream<S: Simd>(
    simd: S,
    world: &World,
    stream: &Stream,
    start: usize,
    pending: &mut Pending,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    for first in (0..stream.length).step_by(BATCH * LANES) {
        let rays = first..stream.length.min(first + BATCH * LANES);
        simd.run(Batch { simd, world, stream, rays, start, pending: &mut *pending, sink })?;
        (sink.pause)(&sink.effort.counters)?;
    }
    simd.run(Rest { simd, world, pending, sink })
}

/// Some rays of a stream whose nodes begin at `start`.
struct Batch<'a, 'b, S> {
    simd: S,
    world: &'a World,
    stream: &'a Stream,
    rays: Range<usize>,
    start: usize,
    pending: &'a mut Pending,
    sink: &'a mut Sink<'b>,
}

impl<S: Simd> Task for Batch<'_, '_, S> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn work(self) -> Result<(), Error> {
        let Self { simd, world, stream, rays, start, pending, sink } = self;
        for first in rays.clone().step_by(LANES) {
            let active = ALL >> (LANES - (rays.end - first).min(LANES));
            let Some(rays) = stream.load(simd, first) else { break };
            let nearest = world.index.nearest(simd, &rays, active, sink.effort);
            let hit = simd.splat(0.0).at_most(nearest.code).bits() & active;
            sink.look()?;
            if hit != 0 {
                let hits = Hits::new(&rays, &nearest, start + first);
                pending.add(simd, world, &hits, hit, sink)?;
            }
        }
        Ok(())
    }
}

/// Shades what is left when a stream ends.
struct Rest<'a, 'b, S> {
    simd: S,
    world: &'a World,
    pending: &'a mut Pending,
    sink: &'a mut Sink<'b>,
}

impl<S: Simd> Task for Rest<'_, '_, S> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn work(self) -> Result<(), Error> {
        self.pending.finish(self.simd, self.world, self.sink)
    }
}
