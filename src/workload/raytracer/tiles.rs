//! Cuts a window into tiles and shares them out among threads.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::bmp::Bitmap;
use super::camera::{Camera, sample_offsets};
use super::meter::CpuClock;
use super::packet::{Rays, scale, splat, subtract};
use super::render::Counters;
use super::scene::Rgb;
use super::simd::{ALL, Kernel, LANES, Level, Simd, Task, each};
use super::wave::{Stream, Waves};
use super::world::World;
use crate::workload::{Error, Pacer, Run};

/// Pixels along a side of a tile, without anti-aliasing and with it: 256 camera rays each.
const SIDES: [i32; 2] = [16, 8];

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
    world: &World<'_>,
    camera: &Camera,
    run: &Run<'_>,
    level: Level,
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
            level.dispatch(Worker(&job)).map(|counters| (counters, clock.elapsed()))
        };
        let helpers: Vec<_> = (1..threads.get()).map(|_| scope.spawn(helper)).collect();
        let mut result = level.dispatch(Worker(&job)).map(|counters| (counters, Duration::ZERO));
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
    world: &World<'_>,
    camera: &Camera,
    level: Level,
    points: u32,
) -> Result<Counters, Error> {
    level.dispatch(Probe { world, camera, points })
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
    world: &'a World<'a>,
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
        let mut waves = Waves::default();
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
                return Ok(waves.effort.counters);
            }
            let [first, end] = job.grid.tile(number);
            aim(simd, job.camera, pixels(first, end), waves.camera_rays());
            waves.trace(simd, job.world, &mut pause)?;
            paint(job, first, end, &waves);
        }
    }
}

/// The pixels of a tile, in blocks of 4 x 2, so that the rays of a packet stay close together.
fn pixels(first: Pixel, end: Pixel) -> impl Iterator<Item = Pixel> {
    (first[1]..end[1]).step_by(2).flat_map(move |top| {
        (first[0]..end[0]).step_by(4).flat_map(move |left| {
            (top..end[1].min(top + 2))
                .flat_map(move |row| (left..end[0].min(left + 4)).map(move |column| [column, row]))
        })
    })
}

/// Adds the camera rays of some pixels to a stream.
fn aim<S: Simd>(
    simd: S,
    camera: &Camera,
    pixels: impl Iterator<Item = Pixel>,
    stream: &mut Stream,
) {
    let offsets = sample_offsets(camera.view.antialias);
    let mut places = [[0.0; LANES]; 2];
    let mut filled = 0;
    for [column, row] in pixels {
        for (right, up) in offsets {
            places[0][filled] = camera.across(column, *right);
            places[1][filled] = camera.above(row, *up);
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

/// Writes the colours of a tile's pixels.
fn paint(job: &Job<'_>, first: Pixel, end: Pixel, waves: &Waves) {
    let side = job.grid.side.unsigned_abs() as usize;
    let mut tile = [[0; 3]; (SIDES[0] * SIDES[0]) as usize];
    let mut colors = waves.colors();
    for [column, row] in pixels(first, end) {
        let color = if job.camera.view.antialias {
            let mut mean = [0.0; 3];
            for color in colors.by_ref().take(4) {
                mean = std::array::from_fn(|channel| mean[channel] + color[channel] * 0.25);
            }
            mean
        } else {
            colors.next().unwrap_or_default()
        };
        let place = (row - first[1]).unsigned_abs() as usize * side
            + (column - first[0]).unsigned_abs() as usize;
        tile[place] = bytes(color);
    }
    let width = (end[0] - first[0]).unsigned_abs() as usize;
    let mut bitmap = job.bitmap.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (row, line) in (first[1]..end[1]).zip(tile.chunks(side)) {
        let place = first[0].unsigned_abs() as usize;
        bitmap.write(place, row.unsigned_abs() as usize, line[..width].as_flattened());
    }
}

/// A colour as blue, green and red bytes; NaN is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "channels are from 0 to 1 or NaN, and NaN becomes 0"
)]
fn bytes(color: Rgb) -> [u8; 3] {
    let byte = |channel: f32| (f64::from(channel * 255.0) + 0.5) as u8;
    [byte(color[2]), byte(color[1]), byte(color[0])]
}

/// Traces pixels spread evenly over the window.
struct Probe<'a> {
    world: &'a World<'a>,
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
        let mut waves = Waves::default();
        let pixels: Vec<Pixel> = spread(rows, step)
            .flat_map(|row| spread(columns, step).map(move |column| [column, row]))
            .collect();
        let tile = if view.antialias { 64 } else { 256 };
        for pixels in pixels.chunks(tile) {
            aim(simd, self.camera, pixels.iter().copied(), waves.camera_rays());
            waves.trace(simd, self.world, &mut |_| Ok(()))?;
        }
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
