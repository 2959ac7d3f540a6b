//! Local histogram equalisation of a grey picture.
//!
//! Each pixel becomes 255 × the share of pixels in the 101 × 101 window around it that are not
//! brighter than it; a window that would leave the picture is moved inside. This is the local
//! equalisation of the widely used Java library `BoofCV`, with radius 50.
//!
//! Every column of the picture has a histogram of the window's rows, which moves down with them.
//! The window's histogram moves along the row by adding one column and taking one away: vector
//! additions, the same for any picture. Beside the 256 levels each histogram counts the levels
//! below each sixteenth of the range, so that a rank takes one such count and one vector of levels.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

use super::simd::{Kernel, run_widest};
use super::ticker::Ticker;
use crate::workload::Cancelled;
use std::ops::Range;

/// Pixels on each side of the centre.
const RADIUS: usize = 50;

/// Side of the window.
const SIDE: usize = 2 * RADIUS + 1;

/// Levels that are counted exactly inside one segment.
const SEGMENT: usize = 16;

/// Segments of the range of levels.
const SEGMENTS: usize = 256 / SEGMENT;

/// Columns that are worked on together: their histograms fit the second-level cache.
const TILE: usize = 1024;

/// Rows and columns of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Size {
    /// Rows that the results of `band` depend on.
    pub(super) fn rows_for(self, band: &Range<usize>) -> Range<usize> {
        window(band.start, self.height).start..window(band.end - 1, self.height).end
    }
}

/// The window around `centre`, moved inside a line of `length` pixels.
fn window(centre: usize, length: usize) -> Range<usize> {
    let start = centre.saturating_sub(RADIUS).min(length.saturating_sub(SIDE));
    start..length.min(start + SIDE)
}

/// The result for each rank from 0 to the window's number of pixels.
pub(super) fn levels(size: Size) -> Vec<u8> {
    let area = SIDE.min(size.width) * SIDE.min(size.height);
    #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
    let level = |rank| (255 * rank / area) as u8;
    (0..=area).map(level).collect()
}

/// Equalises the rows `band` of a picture; writes them to `target`.
///
/// `row` gives the row of that number, for all of [`Size::rows_for`].
pub(super) fn equalise<'a>(
    row: impl Fn(usize) -> &'a [u8],
    size: Size,
    band: Range<usize>,
    levels: &[u8],
    target: &mut [u8],
    ticker: &mut Ticker,
) -> Result<(), Cancelled> {
    let needed = size.rows_for(&band);
    let offset = needed.start;
    let rows: Vec<&[u8]> = needed.map(row).collect();
    for start in (0..size.width).step_by(TILE) {
        let end = size.width.min(start + TILE);
        let columns = window(start, size.width).start..window(end - 1, size.width).end;
        let mut tile = Tile::new(start..end, columns, size.width);
        let mut height = offset..offset;
        for (y, target) in band.clone().zip(target.chunks_exact_mut(size.width)) {
            let wanted = window(y, size.height);
            if height.is_empty() {
                tile.begin(&rows[wanted.start - offset..wanted.end - offset]);
            } else if wanted != height {
                let (leaving, entering) = (rows[height.start - offset], rows[height.end - offset]);
                run_widest(MoveDown { tile: &mut tile, leaving, entering });
            }
            height = wanted;
            run_widest(RankRow {
                tile: &tile,
                centres: rows[y - offset],
                levels,
                target: &mut target[start..end],
            });
            ticker.spend(8 * (end - start) as u64)?;
        }
    }
    Ok(())
}

/// How often each level occurs in one column of the window: at most [`SIDE`] times.
#[derive(Clone)]
#[repr(align(32))]
struct Column {
    levels: [u8; 256],
    /// Pixels whose level is below each segment.
    below: [u8; SEGMENTS],
}

/// How often each level occurs in the window: at most [`SIDE`]² times.
#[derive(Clone)]
#[repr(align(64))]
struct Window {
    levels: [u16; 256],
    /// Pixels whose level is below each segment.
    below: [u16; SEGMENTS],
}

impl Window {
    const EMPTY: Self = Self { levels: [0; 256], below: [0; SEGMENTS] };

    /// Moves along the row by one column.
    #[inline(always)]
    fn exchange(&mut self, entering: &Column, leaving: &Column) {
        for level in 0..256 {
            let change =
                u16::from(entering.levels[level]).wrapping_sub(leaving.levels[level].into());
            self.levels[level] = self.levels[level].wrapping_add(change);
        }
        for segment in 0..SEGMENTS {
            let change =
                u16::from(entering.below[segment]).wrapping_sub(leaving.below[segment].into());
            self.below[segment] = self.below[segment].wrapping_add(change);
        }
    }

    /// Pixels that are not brighter than `level`.
    #[inline(always)]
    fn rank(&self, level: u8) -> usize {
        let (segments, _) = self.levels.as_chunks::<SEGMENT>();
        let segment = usize::from(level) / SEGMENT;
        let mask = &UP_TO[usize::from(level) % SEGMENT];
        let mut sum = 0;
        for index in 0..SEGMENT {
            sum += segments[segment][index] & mask[index];
        }
        usize::from(self.below[segment] + sum)
    }
}

/// For each place in a segment, all bits for the levels up to it.
static UP_TO: [[u16; SEGMENT]; SEGMENT] = {
    let mut masks = [[0; SEGMENT]; SEGMENT];
    let mut place = 0;
    while place < SEGMENT {
        let mut level = 0;
        while level <= place {
            masks[place][level] = u16::MAX;
            level += 1;
        }
        place += 1;
    }
    masks
};

/// The histograms of some neighbouring columns.
struct Tile {
    /// Columns of the picture whose results this tile gives.
    results: Range<usize>,
    /// Columns of the picture that have a histogram here: the windows of all results.
    columns: Range<usize>,
    /// Columns of the whole picture.
    width: usize,
    histograms: Vec<Column>,
    /// The window of the first result.
    first: Window,
}

impl Tile {
    fn new(results: Range<usize>, columns: Range<usize>, width: usize) -> Self {
        let empty = Column { levels: [0; 256], below: [0; SEGMENTS] };
        let histograms = vec![empty; columns.len()];
        Self { results, columns, width, histograms, first: Window::EMPTY }
    }

    /// Counts the first window's rows.
    fn begin(&mut self, rows: &[&[u8]]) {
        for row in rows {
            for (histogram, level) in self.histograms.iter_mut().zip(&row[self.columns.clone()]) {
                histogram.levels[usize::from(*level)] += 1;
            }
        }
        for histogram in &mut self.histograms {
            let (segments, _) = histogram.levels.as_chunks::<SEGMENT>();
            let mut below = 0;
            for (segment, count) in segments.iter().zip(&mut histogram.below) {
                *count = below;
                below += segment.iter().sum::<u8>();
            }
        }
        for histogram in &self.histograms[..SIDE.min(self.width)] {
            for (count, add) in self.first.levels.iter_mut().zip(&histogram.levels) {
                *count += u16::from(*add);
            }
            for (count, add) in self.first.below.iter_mut().zip(&histogram.below) {
                *count += u16::from(*add);
            }
        }
    }
}

/// Moves all histograms of a tile down by one row.
struct MoveDown<'a> {
    tile: &'a mut Tile,
    leaving: &'a [u8],
    entering: &'a [u8],
}

impl Kernel for MoveDown<'_> {
    #[inline(always)]
    fn run(self) {
        let Tile { columns, histograms, first, width, .. } = self.tile;
        let leaving = &self.leaving[columns.clone()];
        let entering = &self.entering[columns.clone()];
        for ((histogram, leaving), entering) in histograms.iter_mut().zip(leaving).zip(entering) {
            let changes = below_changes(*leaving, *entering);
            for (below, change) in histogram.below.iter_mut().zip(changes) {
                *below = below.wrapping_add(change);
            }
            histogram.levels[usize::from(*leaving)] -= 1;
            histogram.levels[usize::from(*entering)] += 1;
        }
        for (leaving, entering) in leaving.iter().zip(entering).take(SIDE.min(*width)) {
            let changes = below_changes(*leaving, *entering);
            for (below, change) in first.below.iter_mut().zip(changes) {
                // The sign of the change is carried over to the wider count.
                *below = below.wrapping_add_signed(i16::from(change.cast_signed()));
            }
            first.levels[usize::from(*leaving)] -= 1;
            first.levels[usize::from(*entering)] += 1;
        }
    }
}

/// What is added to the counts below each segment when one level takes another's place, as a
/// number with sign in eight bits.
#[inline(always)]
fn below_changes(leaving: u8, entering: u8) -> [u8; SEGMENTS] {
    const FIRST: [u8; SEGMENTS] = {
        let mut first = [0; SEGMENTS];
        let mut level = 0u8;
        let mut segment = 0;
        while segment < SEGMENTS {
            first[segment] = level;
            level = level.wrapping_add(16);
            segment += 1;
        }
        first
    };
    let mut changes = [0; SEGMENTS];
    for segment in 0..SEGMENTS {
        let (entered, left) = (entering < FIRST[segment], leaving < FIRST[segment]);
        changes[segment] = u8::from(entered).wrapping_sub(u8::from(left));
    }
    changes
}

/// Gives the results of one row of a tile.
struct RankRow<'a> {
    tile: &'a Tile,
    /// The row of the picture, all of it.
    centres: &'a [u8],
    levels: &'a [u8],
    target: &'a mut [u8],
}

impl Kernel for RankRow<'_> {
    #[inline(always)]
    fn run(self) {
        let Tile { results, columns, histograms, first, width } = self.tile;
        let mut sums = first.clone();
        let mut current = window(results.start, *width);
        for ((x, level), target) in
            results.clone().zip(&self.centres[results.clone()]).zip(self.target)
        {
            let wanted = window(x, *width);
            if wanted != current {
                let entering = &histograms[current.end - columns.start];
                sums.exchange(entering, &histograms[current.start - columns.start]);
                current = wanted;
            }
            *target = self.levels[sums.rank(*level)];
        }
    }
}
