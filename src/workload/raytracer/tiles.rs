//! Cuts a window into tiles and shares them out among threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use super::bmp::Bitmap;
use super::camera::{Camera, sample_offsets};
use super::meter::CpuClock;
use super::packet::{Rays, scale, splat, subtract};
use super::render::Counters;
use super::scene::Rgb;
use super::simd::{ALL, Kernel, LANES, Simd, Task, dispatch, each};
use super::wave::{Node, Stream, Waves};
use super::world::World;
use crate::workload::{Error, Instructions, Pacer, Run};

/// Pixels along a side of a tile, without anti-aliasing and with it: 256 camera rays each.
const SIDES: [i32; 2] = [16, 8];

/// Pixels of the largest tile.
const TILE_PIXELS: usize = 256;

/// Finished tiles of a thread that may wait for the bitmap.
const MOST_PAINTED: usize = 32;

const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

const LIFT: f64 = 1.0 / (1 << 30) as f64;

/// About how much work, in nominal nanoseconds, a thread does between two checkpoints.
const PACE: u64 = 1_000_000;

/// A pixel of the window: column, and row from the top.
type Pixel = [i32; 2];

/// Renders the window into a bitmap of its size. Returns what the rays did, and the CPU time of
/// threads other than the calling one.
///
/// # Errors
/// [`Error::Cancelled`], and [`Error::Unprocessable`] if something is hit without any light.
pub(super) fn render(
    world: &World,
    camera: &Camera,
    run: &Run<'_>,
    instructions: Instructions,
    bitmap: &mut Bitmap,
) -> Result<(Counters, Duration), Error> {
    let grid = Grid::new(camera);
    let job = Job {
        world,
        camera,
        grid,
        pacer: run.pacer,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        bitmap: Mutex::new(bitmap),
    };
    let threads = run.threads.min(NonZeroUsize::new(grid.tiles()).unwrap_or(NonZeroUsize::MIN));
    std::thread::scope(|scope| {
        let helper = || {
            let clock = CpuClock::start();
            dispatch(instructions, Worker(&job)).map(|counters| (counters, clock.elapsed()))
        };
        let helpers: Vec<_> = (1..threads.get()).map(|_| scope.spawn(helper)).collect();
        let mut result =
            dispatch(instructions, Worker(&job)).map(|counters| (counters, Duration::ZERO));
        for helper in helpers {
            // A panic of a helper is a bug; it goes on in the caller.
            let other = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = match (result, other) {
                (Ok((mut counters, time)), Ok((more, more_time))) => {
                    counters += more;
                    Ok((counters, time + more_time))
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        result
    })
}

/// Traces about so many pixels of the window.
///
/// # Errors
/// [`Error::Unprocessable`] if something is hit without any light.
pub(super) fn probe(
    world: &World,
    camera: &Camera,
    instructions: Instructions,
    points: u32,
) -> Result<Counters, Error> {
    dispatch(instructions, Probe { world, camera, points })
}

/// How the window is cut.
#[derive(Debug, Clone, Copy)]
struct Grid {
    columns: i32,
    rows: i32,
    side: i32,
}

impl Grid {
    fn new(camera: &Camera) -> Self {
        let view = &camera.view;
        let side = SIDES[usize::from(view.antialias)];
        Self { columns: view.window_columns, rows: view.window_rows, side }
    }

    fn across(self) -> usize {
        usize::try_from(self.columns).unwrap_or(0).div_ceil(self.side.unsigned_abs() as usize)
    }

    fn tiles(self) -> usize {
        let down = usize::try_from(self.rows).unwrap_or(0);
        self.across() * down.div_ceil(self.side.unsigned_abs() as usize)
    }

    /// The first column and row of a tile, and the ones after its last.
    fn tile(self, number: usize) -> [Pixel; 2] {
        let place = |place: usize| i32::try_from(place).unwrap_or(0) * self.side;
        let first = [place(number % self.across()), place(number / self.across())];
        let end = [first[0].saturating_add(self.side), first[1].saturating_add(self.side)];
        [first, [end[0].min(self.columns), end[1].min(self.rows)]]
    }
}

/// What the threads share.
struct Job<'a> {
    world: &'a World,
    camera: &'a Camera,
    grid: Grid,
    pacer: &'a dyn Pacer,
    next: AtomicUsize,
    stop: AtomicBool,
    bitmap: Mutex<&'a mut Bitmap>,
}

/// Takes tiles until there are none left.
struct Worker<'a>(&'a Job<'a>);

impl Kernel for Worker<'_> {
    type Output = Result<Counters, Error>;

    fn run(self, simd: impl Simd) -> Self::Output {
        let result = self.work(simd);
        if result.is_err() {
            self.0.stop.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Worker<'_> {
    fn work(&self, simd: impl Simd) -> Result<Counters, Error> {
        let job = self.0;
        let (mut waves, mut patch) = (Waves::default(), Patch::default());
        let mut painted = Vec::new();
        let mut paid = 0;
        let mut pause = |counters: &Counters| {
            let work = counters.work();
            if work - paid >= PACE {
                paid = work;
                if job.stop.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
                job.pacer.checkpoint()?;
            }
            Ok(())
        };
        loop {
            let number = job.next.fetch_add(1, Ordering::Relaxed);
            if number >= job.grid.tiles() || job.stop.load(Ordering::Relaxed) {
                job.write(&mut painted, 0);
                return Ok(waves.effort.counters);
            }
            let [first, end] = job.grid.tile(number);
            patch.set(job.camera, first[0]..end[0], first[1]..end[1]);
            patch.aim(simd, job.camera, waves.camera_rays());
            waves.trace(simd, job.world, &mut pause)?;
            painted.push(Painted::new(job.camera, first, &patch, &waves));
            job.write(&mut painted, MOST_PAINTED);
        }
    }
}

/// Some columns of the window crossed with some rows.
#[derive(Debug, Default)]
struct Patch {
    /// Where the columns lie on the image plane, at the left of the pixel and in its middle.
    across: Vec<[f64; 2]>,
    /// Where the rows lie on the image plane, at the bottom of the pixel and in its middle.
    above: Vec<[f64; 2]>,
    /// The pixels, as places in the two lists.
    order: Vec<[u16; 2]>,
    size: [usize; 2],
}

impl Patch {
    fn set(
        &mut self,
        camera: &Camera,
        columns: impl Iterator<Item = i32>,
        rows: impl Iterator<Item = i32>,
    ) {
        self.across.clear();
        self.across.extend(columns.map(|c| [camera.across(c, 0.0), camera.across(c, 0.5)]));
        self.above.clear();
        self.above.extend(rows.map(|r| [camera.above(r, 0.0), camera.above(r, 0.5)]));
        let size = [self.across.len(), self.above.len()];
        if self.size != size {
            self.size = size;
            self.order.clear();
            self.order.extend(blocks(size));
        }
    }

    /// Adds the pixels' camera rays to a stream.
    fn aim<S: Simd>(&self, simd: S, camera: &Camera, stream: &mut Stream) {
        let samples = sample_offsets(camera.view.antialias);
        let mut places = [[0.0; LANES]; 2];
        let mut filled = 0;
        for [column, row] in &self.order {
            let (across, above) = (self.across[*column as usize], self.above[*row as usize]);
            for [right, up] in samples {
                places[0][filled] = across[*right];
                places[1][filled] = above[*up];
                filled += 1;
                if filled == LANES {
                    simd.run(Launch { simd, camera, places: &places, lanes: ALL, stream });
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            let lanes = ALL >> (LANES - filled);
            simd.run(Launch { simd, camera, places: &places, lanes, stream });
        }
    }
}

/// All places of a patch in blocks of 4 x 2, so that the rays of a packet stay close together.
#[expect(clippy::cast_possible_truncation, reason = "patches have some dozens of columns and rows")]
fn blocks([columns, rows]: [usize; 2]) -> impl Iterator<Item = [u16; 2]> {
    (0..rows).step_by(2).flat_map(move |top| {
        (0..columns).step_by(4).flat_map(move |left| {
            (top..rows.min(top + 2)).flat_map(move |row| {
                (left..columns.min(left + 4)).map(move |column| [column as u16, row as u16])
            })
        })
    })
}

/// Sends rays from the eye through places of the image plane.
struct Launch<'a, S> {
    simd: S,
    camera: &'a Camera,
    /// Right of the middle of the image plane, and above it.
    places: &'a [[f64; LANES]; 2],
    lanes: u32,
    stream: &'a mut Stream,
}

impl<S: Simd> Task for Launch<'_, S> {
    type Output = ();

    #[inline(always)]
    fn work(self) {
        let Self { simd, camera, places, lanes, stream } = self;
        let eye = splat(simd, camera.eye);
        let right = scale(splat(simd, camera.axes[0]), simd.load(&places[0]));
        let up = scale(splat(simd, camera.axes[1]), simd.load(&places[1]));
        let back = scale(splat(simd, camera.axes[2]), simd.splat(-1.0));
        let target = each!(axis => right[axis] + up[axis] + back[axis] + eye[axis]);
        stream.push(&Rays::new(simd, eye, subtract(target, eye)), lanes);
    }
}

/// A finished tile.
struct Painted {
    first: Pixel,
    size: [usize; 2],
    /// Its pixels as the bitmap takes them, row by row.
    bytes: [[u8; 3]; TILE_PIXELS],
}

impl Painted {
    fn new(camera: &Camera, first: Pixel, tile: &Patch, waves: &Waves) -> Self {
        let samples = camera.view.samples() as usize;
        let mut bytes = [[0; 3]; TILE_PIXELS];
        for (colors, [column, row]) in waves.nodes().chunks_exact(samples).zip(&tile.order) {
            let color = match colors {
                [node] => node.color(),
                _ => mean(colors),
            };
            bytes[usize::from(*row) * tile.size[0] + usize::from(*column)] = to_bytes(color);
        }
        Self { first, size: tile.size, bytes }
    }
}

impl Job<'_> {
    /// Writes finished tiles. While another thread does so, up to `waiting` of them wait: that
    /// costs less than to sleep.
    fn write(&self, painted: &mut Vec<Painted>, waiting: usize) {
        let mut bitmap = match self.bitmap.try_lock() {
            Ok(bitmap) => bitmap,
            Err(TryLockError::WouldBlock) if painted.len() <= waiting => return,
            Err(_) => self.bitmap.lock().unwrap_or_else(PoisonError::into_inner),
        };
        for Painted { first, size: [columns, rows], bytes } in painted.drain(..) {
            let [left, top] = first.map(|place| place.unsigned_abs() as usize);
            for (row, line) in (top..top + rows).zip(bytes.chunks(columns)) {
                bitmap.write(left, row, line.as_flattened());
            }
        }
    }
}

/// The mean of four rays, added up in their order.
fn mean(nodes: &[Node]) -> Rgb {
    let mut mean = [0.0; 3];
    for node in nodes {
        for (sum, channel) in mean.iter_mut().zip(node.color()) {
            *sum += channel * 0.25;
        }
    }
    mean
}

/// A colour as blue, green and red bytes, rounded half up; NaN is 0.
#[inline(always)]
fn to_bytes(color: Rgb) -> [u8; 3] {
    // In 2^52 + x, rounded to a whole number, the low bits are x. The 2^-30 lifts halves, and
    // nothing else that 24 bits can say, over the middle.
    let byte = |channel: f32| {
        let level = channel * 255.0;
        let level = f64::from(if level > 0.0 { level } else { 0.0 });
        let [byte, ..] = (level + LIFT + TWO_TO_52).to_bits().to_le_bytes();
        byte
    };
    [byte(color[2]), byte(color[1]), byte(color[0])]
}

/// Traces pixels spread evenly over the window.
struct Probe<'a> {
    world: &'a World,
    camera: &'a Camera,
    points: u32,
}

impl Kernel for Probe<'_> {
    type Output = Result<Counters, Error>;

    fn run(self, simd: impl Simd) -> Self::Output {
        let view = &self.camera.view;
        let (columns, rows) = (view.window_columns.max(0), view.window_rows.max(0));
        let area = f64::from(columns) * f64::from(rows);
        let step = (area / f64::from(self.points.max(1))).sqrt().max(1.0);
        let (mut waves, mut patch) = (Waves::default(), Patch::default());
        patch.set(self.camera, spread(columns, step), spread(rows, step));
        patch.aim(simd, self.camera, waves.camera_rays());
        waves.trace(simd, self.world, &mut |_| Ok(()))?;
        Ok(waves.effort.counters)
    }
}

/// Places about `step` apart in the middle of equal parts of 0..length.
#[expect(clippy::cast_possible_truncation, reason = "lies within 0..length")]
fn spread(length: i32, step: f64) -> impl Iterator<Item = i32> {
    let count = (f64::from(length) / step).ceil() as i32;
    let part = f64::from(length) / f64::from(count.max(1));
    (0..count).map(move |place| ((f64::from(place) + 0.5) * part) as i32)
}

#[cfg(test)]
mod tests;
