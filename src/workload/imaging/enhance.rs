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
//!
//! Rows are worked on in threes that share the middle one's histogram: the windows of the other two
//! differ from its window in two rows, and comparing their pixels is cheaper than a histogram.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

mod histogram;

use super::ticker::Ticker;
use crate::workload::kernel::{Kernel, run_with};
use crate::workload::{Cancelled, Instructions};
use histogram::{Column, Window, below_changes};
use std::cmp::Ordering;
use std::ops::Range;

/// Pixels on each side of the centre.
const RADIUS: usize = 50;

/// Side of the window.
const SIDE: usize = 2 * RADIUS + 1;

/// The most columns that are worked on together: their histograms fit the second-level cache.
const TILE: usize = 1024;

/// Rows that share a histogram.
pub(super) const GROUP: usize = 3;

/// Rows and columns of one picture.
#[derive(Debug, Clone, Copy)]
struct Size {
    width: usize,
    height: usize,
}

/// The window around `centre`, moved inside a line of `length` pixels.
fn window(centre: usize, length: usize) -> Range<usize> {
    let start = centre.saturating_sub(RADIUS).min(length.saturating_sub(SIDE));
    start..length.min(start + SIDE)
}

/// Equalises pictures of one size.
pub(super) struct Equaliser {
    instructions: Instructions,
    size: Size,
    /// The result for each rank from 0 to the window's number of pixels.
    levels: Vec<u8>,
}

impl Equaliser {
    pub(super) fn new(instructions: Instructions, width: usize, height: usize) -> Self {
        let area = SIDE.min(width) * SIDE.min(height);
        #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
        let level = |rank| (255 * rank / area) as u8;
        let levels = (0..=area).map(level).collect();
        Self { instructions, size: Size { width, height }, levels }
    }

    /// Pixels of a row.
    pub(super) const fn width(&self) -> usize {
        self.size.width
    }

    /// Cuts the picture into columns.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        let width = self.size.width;
        let most = width.div_ceil(width.div_ceil(TILE));
        let starts = (0..width).step_by(most);
        starts.map(|start| Tile::new(start..width.min(start + most), self.size)).collect()
    }

    /// Rows that the results of `band` depend on, and those that leave the histograms there.
    pub(super) fn rows_for(&self, band: &Range<usize>) -> Range<usize> {
        let height = self.size.height;
        // The last group of the band above shares the histogram of a row inside it.
        let counted = band.start.saturating_sub(GROUP - 1);
        window(counted, height).start..window(band.end - 1, height).end
    }

    /// Equalises a tile's columns of the rows `band`, which are the first for this tile or follow
    /// those that it was equalised in before; writes them to `target`, row by row.
    ///
    /// `row` gives the row of that number, for all of [`Self::rows_for`].
    pub(super) fn equalise<'a>(
        &self,
        tile: &mut Tile,
        row: impl Fn(usize) -> &'a [u8],
        band: Range<usize>,
        target: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        let needed = self.rows_for(&band);
        let results = tile.results.clone();
        let first = needed.start;
        let all: Vec<&[u8]> = needed.map(row).collect();
        let columns = tile.columns.clone();
        let rows: Vec<&[u8]> = all.iter().map(|row| &row[columns.clone()]).collect();
        let source = Source { rows: &rows, first };
        let lines = target.chunks_exact_mut(results.len()).zip(band.clone());
        let mut lines = lines
            .map(|(target, y)| Row { y, centres: &all[y - first][results.clone()], target })
            .peekable();
        while let Some(first) = lines.next() {
            let second = lines.next_if(|_| self.size.width >= SIDE);
            let third = lines.next_if(|_| second.is_some());
            let count = 1 + usize::from(second.is_some()) + usize::from(third.is_some());
            match (second, third) {
                (Some(second), Some(third)) => tile.rank(self, source, second, [first, third]),
                (Some(second), None) => tile.rank(self, source, first, [second]),
                _ => tile.rank(self, source, first, []),
            }
            ticker.spend(8 * (count * results.len()) as u64)?;
        }
        if band.end == self.size.height {
            // Nothing is left to be done: the memory goes to another tile.
            tile.histograms = Vec::new();
        }
        Ok(())
    }
}

/// Rows of a picture in the columns that a tile has histograms of.
#[derive(Clone, Copy)]
struct Source<'a> {
    rows: &'a [&'a [u8]],
    /// The number of the first of them.
    first: usize,
}

impl<'a> Source<'a> {
    fn row(self, y: usize) -> &'a [u8] {
        self.rows[y - self.first]
    }
}

/// A row of a tile, and where its results go.
struct Row<'a> {
    /// Its number in the picture.
    y: usize,
    centres: &'a [u8],
    target: &'a mut [u8],
}

/// The histograms of some neighbouring columns, on their way down the picture.
#[derive(Clone)]
pub(super) struct Tile {
    /// Columns of the picture whose results this tile gives.
    results: Range<usize>,
    /// Columns of the picture that have a histogram here: the windows of all results.
    columns: Range<usize>,
    size: Size,
    /// The window's rows, which are counted; empty at first.
    counted: Range<usize>,
    histograms: Vec<Column>,
}

impl Tile {
    fn new(results: Range<usize>, size: Size) -> Self {
        let columns =
            window(results.start, size.width).start..window(results.end - 1, size.width).end;
        Self { histograms: Vec::new(), counted: 0..0, results, columns, size }
    }

    /// Columns of its results.
    pub(super) fn width(&self) -> usize {
        self.results.len()
    }

    /// Counts the rows of a window that is the last one or stands below it.
    fn move_to(&mut self, instructions: Instructions, source: Source, wanted: Range<usize>) {
        if self.counted.is_empty() {
            self.count(source, wanted);
            return;
        }
        while self.counted != wanted {
            if wanted.start - self.counted.start >= GROUP {
                self.move_down::<GROUP>(instructions, source);
            } else {
                self.move_down::<1>(instructions, source);
            }
        }
    }

    fn move_down<const BY: usize>(&mut self, instructions: Instructions, source: Source) {
        let Range { start, end } = self.counted;
        let leaving = std::array::from_fn(|row| source.row(start + row));
        let entering = std::array::from_fn(|row| source.row(end + row));
        run_with(instructions, MoveDown::<BY> { tile: self, leaving, entering });
        self.counted = start + BY..end + BY;
    }

    /// Gives the results of a row and of some of the rows next to it; those need windows of
    /// [`SIDE`] columns.
    fn rank<const OTHERS: usize>(
        &mut self,
        equaliser: &Equaliser,
        source: Source,
        centre: Row,
        others: [Row; OTHERS],
    ) {
        self.move_to(equaliser.instructions, source, window(centre.y, self.size.height));
        let others = others.map(|row| {
            let (leaving, entering) = self.change_to(source, window(row.y, self.size.height));
            Neighbour { row, leaving, entering }
        });
        let kernel = RankRows { tile: self, levels: &equaliser.levels, centre, others };
        run_with(equaliser.instructions, kernel);
    }

    /// The row that leaves and the row that enters for a window that is the one counted, where
    /// both are the same, or the one above or below.
    fn change_to<'a>(&self, source: Source<'a>, wanted: Range<usize>) -> (&'a [u8], &'a [u8]) {
        let (first, last) = (self.counted.start, self.counted.end - 1);
        match wanted.start.cmp(&first) {
            Ordering::Less => (source.row(last), source.row(wanted.start)),
            Ordering::Equal => (source.row(first), source.row(first)),
            Ordering::Greater => (source.row(first), source.row(wanted.end - 1)),
        }
    }

    /// Counts the first window's rows.
    fn count(&mut self, source: Source, wanted: Range<usize>) {
        /// Columns whose histograms fit the first-level cache.
        const BLOCK: usize = 64;
        self.histograms = vec![Column::EMPTY; self.columns.len()];
        for (block, histograms) in self.histograms.chunks_mut(BLOCK).enumerate() {
            for y in wanted.clone() {
                for (histogram, level) in histograms.iter_mut().zip(&source.row(y)[block * BLOCK..])
                {
                    histogram.levels[usize::from(*level)] += 1;
                }
            }
        }
        self.counted = wanted;
        for histogram in &mut self.histograms {
            histogram.count_below();
        }
    }
}

/// Moves all histograms of a tile down by some rows.
struct MoveDown<'a, const BY: usize> {
    tile: &'a mut Tile,
    /// Pixels of the tile's columns.
    leaving: [&'a [u8]; BY],
    entering: [&'a [u8]; BY],
}

impl<const BY: usize> Kernel for MoveDown<'_, BY> {
    #[inline(always)]
    fn run(self) {
        let Self { leaving, entering, tile: Tile { histograms, .. } } = self;
        let columns = histograms.len();
        let leaving = leaving.map(|row| &row[..columns]);
        let entering = entering.map(|row| &row[..columns]);
        for (column, histogram) in histograms.iter_mut().enumerate() {
            let mut below = histogram.below;
            for row in 0..BY {
                let (leaving, entering) = (leaving[row][column], entering[row][column]);
                let changes = below_changes(leaving, entering);
                for (below, change) in below.iter_mut().zip(changes) {
                    *below = below.wrapping_add(change);
                }
                histogram.levels[usize::from(leaving)] -= 1;
                histogram.levels[usize::from(entering)] += 1;
            }
            histogram.below = below;
        }
    }
}

/// A row whose window is the one counted but for two rows.
struct Neighbour<'a> {
    row: Row<'a>,
    /// Pixels, in the tile's columns, of the row that its window has not, and of the row that only
    /// its window has.
    leaving: &'a [u8],
    entering: &'a [u8],
}

/// Gives the results of the row in the middle of the rows counted, and of some next to it.
struct RankRows<'a, const OTHERS: usize> {
    tile: &'a Tile,
    levels: &'a [u8],
    centre: Row<'a>,
    others: [Neighbour<'a>; OTHERS],
}

impl<const OTHERS: usize> Kernel for RankRows<'_, OTHERS> {
    #[inline(always)]
    fn run(self) {
        let Self { tile, levels, centre, mut others } = self;
        let mut sliding = Sliding::new(tile);
        for (place, x) in tile.results.clone().enumerate() {
            sliding.move_to(x);
            let rank = sliding.sums.rank(centre.centres[place]);
            centre.target[place] = levels[usize::from(rank)];
            let start = sliding.window.start - tile.columns.start;
            for Neighbour { row, leaving, entering } in &mut others {
                let (Some(leaving), Some(entering)) =
                    (leaving[start..].first_chunk(), entering[start..].first_chunk())
                else {
                    return; // Each window has SIDE columns, and all are in the tile.
                };
                let level = row.centres[place];
                let change = rank_change(leaving, entering, level);
                let rank = sliding.sums.rank(level).wrapping_add(change);
                row.target[place] = levels[usize::from(rank)];
            }
        }
    }
}

/// The window's histogram on its way along a row.
struct Sliding<'a> {
    tile: &'a Tile,
    sums: Window,
    /// The window's columns.
    window: Range<usize>,
}

impl<'a> Sliding<'a> {
    #[inline(always)]
    fn new(tile: &'a Tile) -> Self {
        let window = window(tile.results.start, tile.size.width);
        let mut sums = Window::EMPTY;
        for histogram in &tile.histograms[..window.len()] {
            sums.add(histogram);
        }
        Self { tile, sums, window }
    }

    /// Moves to the window around `x`, which is this one or the next.
    #[inline(always)]
    fn move_to(&mut self, x: usize) {
        let wanted = window(x, self.tile.size.width);
        if wanted == self.window {
            return;
        }
        let histograms = &self.tile.histograms;
        let first = self.tile.columns.start;
        self.sums
            .exchange(&histograms[self.window.end - first], &histograms[self.window.start - first]);
        self.window = wanted;
    }
}

/// By how much the rank of `level` grows when one row of the window takes another's place; modulo
/// 2^16.
#[inline(always)]
fn rank_change(leaving: &[u8; SIDE], entering: &[u8; SIDE], level: u8) -> u16 {
    const LANES: usize = 32;
    /// Added to each lane to keep it positive.
    const BIAS: u8 = 4;
    /// The last vector overlaps the one before by all but five lanes.
    const LAST: [u8; LANES] = {
        let mut last = [0; LANES];
        let mut lane = 4 * LANES - SIDE;
        while lane < LANES {
            last[lane] = 1;
            lane += 1;
        }
        last
    };
    let [first, second, third, last] = [0, LANES, 2 * LANES, SIDE - LANES];
    let mut counts = [0; LANES];
    for lane in 0..LANES {
        let is_in = |row: &[u8; SIDE], start: usize| u8::from(row[start + lane] <= level);
        let entered = is_in(entering, first) + is_in(entering, second) + is_in(entering, third);
        let left = is_in(leaving, first) + is_in(leaving, second) + is_in(leaving, third);
        let entered_last = is_in(entering, last) & LAST[lane];
        let left_last = is_in(leaving, last) & LAST[lane];
        counts[lane] = BIAS + entered + entered_last - left - left_last;
    }
    let sum: u16 = counts.iter().map(|count| u16::from(*count)).sum();
    sum.wrapping_sub(u16::from(BIAS) * 32)
}
