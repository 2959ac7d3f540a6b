//! The Gaussian blur: 65 integer taps along each row, then along each column.
//!
//! The taps are those of the widely used Java library `BoofCV` for radius 32, and so are the
//! rounding to bytes between the two passes and the borders: what lies outside the picture is left
//! out, and the sum is divided by the taps inside.
//!
//! Neighbouring taps differ by at most one. So the sum for the next position is the last sum plus
//! the samples where the taps fall, minus those where they rise: byte additions, no products.
//! A long run of equal steps is kept as a sliding sum itself, and where it has a hole, the sample
//! there is taken back: that leaves 18 additions a sample.
//!
//! Both passes use one routine, which filters down a block of [`LANES`] independent columns. For
//! the pass along rows, [`transpose`](super::transpose) turns 64 rows into such a block.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

use super::ticker::Ticker;
use super::transpose::{FromLanes, LANES, Lanes, ToLanes};
use crate::workload::kernel::{Kernel, run_with};
use crate::workload::{Cancelled, Instructions};
use std::ops::Range;
use std::sync::LazyLock;

/// Taps on each side of the centre.
pub(super) const RADIUS: usize = 32;

/// The first half of the symmetric kernel, the centre last.
const HALF: [i32; RADIUS + 1] = [
    1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 17, 18, 19,
    19, 20, 20, 20, 20,
];

/// All taps.
pub(super) const TAPS: [i32; 2 * RADIUS + 1] = {
    let mut taps = [0; 2 * RADIUS + 1];
    let mut index = 0;
    while index <= RADIUS {
        taps[index] = HALF[index];
        taps[2 * RADIUS - index] = HALF[index];
        index += 1;
    }
    taps
};

/// Taps that are greater by one than the tap before, without those in [`RUN`].
const STEPS: [usize; 5] = [0, 4, 7, 9, 29];

/// A run of taps that are greater by one than the tap before, but for the [`HOLES`].
const RUN: Range<usize> = 11..28;

/// Taps of the run that equal the tap before.
const HOLES: [usize; 2] = [14, 25];

/// A tap that rises by one `index` places from the start falls by one this far from the end.
const MIRROR: usize = 2 * RADIUS + 1;

/// Sum of the taps that lie inside a line of `length` samples when the centre is at `position`.
fn weight(position: usize, length: usize) -> i32 {
    let first = RADIUS.saturating_sub(position);
    let behind = TAPS.len().min(length + RADIUS - position);
    TAPS[first..behind].iter().sum()
}

/// What divides the sums along a line of `length` samples, for every position.
///
/// A result is the sum over its weight, rounded to nearest, halves up. The factor is a little
/// over 1 / weight, so that halves, exact in this arithmetic, come out above.
pub(super) fn factors(length: usize) -> Vec<f32> {
    let whole = factor(TAPS.iter().sum());
    let at = |position: usize| {
        if position >= RADIUS && position + RADIUS < length {
            whole
        } else {
            factor(weight(position, length))
        }
    };
    (0..length).map(at).collect()
}

fn factor(weight: i32) -> f32 {
    const ABOVE: f64 = 1.0 + 2e-6;
    static FACTORS: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let sum: i32 = TAPS.iter().sum();
        #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest f32")]
        let factor = |weight| (ABOVE / f64::from(weight)) as f32;
        (0..=sum).map(factor).collect()
    });
    FACTORS[weight.unsigned_abs() as usize]
}

/// Nominal nanoseconds to filter a sample of all lanes in one direction.
const LANES_COST: u64 = LANES as u64 * 7 / 10;

/// Filters down the columns of a block.
///
/// The block holds `step` interleaved channels: sample `index` of channel `channel` is
/// `source[index * step + channel]`. There are `2 * RADIUS` more samples than results; sample 0
/// stands `RADIUS` before the first result, and what lies outside the picture is zero.
/// `factors` has one entry for each result.
pub(super) struct Slide<'a> {
    pub(super) source: &'a [Lanes],
    pub(super) step: usize,
    pub(super) factors: &'a [f32],
    pub(super) target: &'a mut [Lanes],
}

impl Kernel for Slide<'_> {
    #[inline(always)]
    fn run(mut self) {
        for channel in 0..self.step {
            match self.step {
                1 => self.channel::<1>(channel),
                3 => self.channel::<3>(channel),
                _ => self.channel::<4>(channel),
            }
        }
    }
}

impl Slide<'_> {
    #[inline(always)]
    fn channel<const STEP: usize>(&mut self, channel: usize) {
        let source = &self.source[channel..];
        let (mut totals, mut run) = first_sums::<STEP>(source);
        let rows = self.target[channel..].iter_mut().step_by(STEP);
        for ((target, factor), at) in rows.zip(self.factors).zip((0..).step_by(STEP)) {
            round(&totals, *factor, target);
            // The window of the next result ends one sample further on; behind the last result
            // there is none, and none is needed.
            let Some(window) = source.get(at..=at + MIRROR * STEP) else { break };
            advance::<STEP>(window, &mut run, &mut totals);
        }
    }
}

/// The sums for the first result, and by how much the falling run exceeds the rising one.
#[inline(always)]
fn first_sums<const STEP: usize>(source: &[Lanes]) -> ([i32; LANES], [i16; LANES]) {
    let mut totals = [0; LANES];
    for (samples, tap) in source.iter().step_by(STEP).zip(TAPS) {
        for lane in 0..LANES {
            totals[lane] += i32::from(samples[lane]) * tap;
        }
    }
    let mut run = [0; LANES];
    for index in RUN {
        let (rises, falls) = (&source[index * STEP], &source[(MIRROR - index) * STEP]);
        for lane in 0..LANES {
            run[lane] += i16::from(falls[lane]) - i16::from(rises[lane]);
        }
    }
    (totals, run)
}

/// Moves the sums on by one sample. `window` begins with the first sample of the sums before.
#[inline(always)]
fn advance<const STEP: usize>(window: &[Lanes], run: &mut [i16; LANES], totals: &mut [i32; LANES]) {
    let at = |index: usize| &window[index * STEP];
    let pair = |index: usize| (at(index), at(MIRROR - index));
    let (steps, holes) = (STEPS.map(pair), HOLES.map(pair));
    let mut differences = [0; LANES];
    for lane in 0..LANES {
        let mut difference = run[lane];
        for (rise, fall) in steps {
            difference += i16::from(fall[lane]) - i16::from(rise[lane]);
        }
        for (rise, fall) in holes {
            difference += i16::from(rise[lane]) - i16::from(fall[lane]);
        }
        differences[lane] = difference;
    }
    let (rise_out, rise_in) = (at(RUN.start), at(RUN.end));
    let (fall_out, fall_in) = (at(MIRROR + 1 - RUN.end), at(MIRROR + 1 - RUN.start));
    for lane in 0..LANES {
        run[lane] += i16::from(rise_out[lane]) - i16::from(rise_in[lane]);
        run[lane] += i16::from(fall_in[lane]) - i16::from(fall_out[lane]);
    }
    for lane in 0..LANES {
        totals[lane] += i32::from(differences[lane]);
    }
}

/// Divides and rounds: adding 2^23 leaves the nearest whole number in the lowest bits of an `f32`.
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn round(totals: &[i32; LANES], factor: f32, target: &mut Lanes) {
    const SHIFT: f32 = 8_388_608.0;
    const SHIFTED_ZERO: i32 = SHIFT.to_bits().cast_signed();
    for lane in 0..LANES {
        let quotient = totals[lane] as f32 * factor + SHIFT;
        // The clamp changes nothing; the compiler has an instruction for it that narrows as well.
        target[lane] = (quotient.to_bits().cast_signed() - SHIFTED_ZERO).clamp(0, 255) as u8;
    }
}

/// Blurs along the rows of a strip of [`LANES`] rows.
///
/// `rows` holds `LANES` rows of `width * channels` bytes each, `target` as many.
pub(super) fn along_rows(
    instructions: Instructions,
    rows: &[u8],
    channels: usize,
    factors: &[f32],
    target: &mut [u8],
    ticker: &mut Ticker,
) -> Result<(), Cancelled> {
    /// Results at a time: what a chunk reads and writes then fits the second-level cache.
    const CHUNK: usize = 256;
    let width = factors.len();
    let stride = width * channels;
    let mut source = vec![[0; LANES]; (CHUNK + 2 * RADIUS) * channels];
    let mut results = vec![[0; LANES]; CHUNK * channels];
    for start in (0..width).step_by(CHUNK) {
        let end = width.min(start + CHUNK);
        let inside = start.saturating_sub(RADIUS)..width.min(end + RADIUS);
        let before = (inside.start + RADIUS - start) * channels;
        let behind = before + inside.len() * channels;
        source[..before].fill([0; LANES]);
        source[behind..].fill([0; LANES]);
        let results = &mut results[..(end - start) * channels];
        run_with(
            instructions,
            ToLanes {
                rows,
                stride,
                first: inside.start * channels,
                lanes: &mut source[before..behind],
            },
        );
        run_with(
            instructions,
            Slide {
                source: &source[..(end - start + 2 * RADIUS) * channels],
                step: channels,
                factors: &factors[start..end],
                target: results,
            },
        );
        run_with(
            instructions,
            FromLanes { lanes: results, rows: target, stride, first: start * channels },
        );
        ticker.spend(LANES_COST * results.len() as u64)?;
    }
    Ok(())
}

/// Blurs down the columns: writes the rows `band` of the result to `target`.
///
/// `row` gives the row of that number, already blurred along itself; `factors` has one entry for
/// each row of the whole picture.
pub(super) fn down_columns<'a>(
    instructions: Instructions,
    row: impl Fn(usize) -> &'a [u8],
    band: Range<usize>,
    factors: &[f32],
    target: &mut [u8],
    ticker: &mut Ticker,
) -> Result<(), Cancelled> {
    let height = factors.len();
    let stride = row(band.start).len();
    let inside = band.start.saturating_sub(RADIUS)..height.min(band.end + RADIUS);
    let before = inside.start + RADIUS - band.start;
    let rows: Vec<&[u8]> = inside.map(row).collect();
    let mut source = vec![[0; LANES]; band.len() + 2 * RADIUS];
    let mut results = vec![[0; LANES]; band.len()];
    for start in (0..stride).step_by(LANES) {
        let count = LANES.min(stride - start);
        for (lanes, row) in source[before..].iter_mut().zip(&rows) {
            lanes[..count].copy_from_slice(&row[start..start + count]);
        }
        run_with(
            instructions,
            Slide {
                source: &source,
                step: 1,
                factors: &factors[band.clone()],
                target: &mut results,
            },
        );
        for (row, lanes) in target.chunks_exact_mut(stride).zip(&results) {
            row[start..start + count].copy_from_slice(&lanes[..count]);
        }
        ticker.spend(LANES_COST * band.len() as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_are_the_known_kernel() {
        assert_eq!(TAPS.iter().sum::<i32>(), 634);
        for index in 1..=RADIUS {
            let is_step = STEPS.contains(&index) || RUN.contains(&index) && !HOLES.contains(&index);
            assert_eq!(TAPS[index] - TAPS[index - 1], i32::from(is_step), "tap {index}");
        }
    }

    #[test]
    fn division_is_exact_for_every_sum_and_weight() {
        // Every number of taps inside, from either side or both.
        let lengths =
            (1..=2 * RADIUS + 1).flat_map(|length| (0..length).map(move |at| (at, length)));
        let mut weights: Vec<i32> = lengths.map(|(at, length)| weight(at, length)).collect();
        weights.sort_unstable();
        weights.dedup();
        for weight in weights {
            let factor = factor(weight);
            for sums in (0..=255 * weight).collect::<Vec<_>>().chunks(LANES) {
                let mut totals = [0; LANES];
                totals[..sums.len()].copy_from_slice(sums);
                let mut target = [0; LANES];
                round(&totals, factor, &mut target);
                for (sum, result) in sums.iter().zip(target) {
                    assert_eq!((sum + weight / 2) / weight, i32::from(result), "{sum} / {weight}");
                }
            }
        }
    }
}
