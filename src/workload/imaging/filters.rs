//! The two filters as stages of the pipeline.

use super::pipeline::{self, Band, Prepared, STRIP, Stages};
use super::rows::{Channels, Layout, RowSink, RowSource};
use super::ticker::Ticker;
use super::{Filter, blur, enhance, grey};
use crate::workload::{Cancelled, Error, Instructions, Run};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The channels of a filter's result.
pub(super) fn result_channels(filter: Filter, channels: Channels) -> Channels {
    match filter {
        Filter::Blur => channels,
        Filter::Enhance => Channels::Grey,
    }
}

/// Runs a whole picture through `filter`.
pub(super) fn run(
    instructions: Instructions,
    filter: Filter,
    source: Box<dyn RowSource + '_>,
    sink: Box<dyn RowSink>,
    run: &Run,
) -> Result<(Vec<u8>, Duration), Error> {
    let layout = source.layout();
    match filter {
        Filter::Blur => {
            let stages = Blur::new(instructions, layout);
            let rows =
                |left| if run.threads.get() > 1 && left <= 2 * STRIP { STRIP / 2 } else { STRIP };
            let bands = bands(layout.height, rows, |rows| stages.needs(rows));
            pipeline::run(source, &stages, bands, sink, run)
        }
        Filter::Enhance => {
            let stages = Enhance::new(instructions, layout, run.threads.get());
            let rows = |left| stages.rows(layout, left, run.threads.get());
            let bands = bands(layout.height, rows, |rows| stages.equaliser.rows_for(rows));
            pipeline::run(source, &stages, bands, sink, run)
        }
    }
}

/// Cuts the result into bands of so many rows as `rows` says, given how many are left.
fn bands(
    height: usize,
    rows: impl Fn(usize) -> usize,
    needs: impl Fn(&Range<usize>) -> Range<usize>,
) -> Vec<Band> {
    let mut bands = Vec::new();
    let mut start = 0;
    while start < height {
        let rows = start..height.min(start + rows(height - start));
        start = rows.end;
        bands.push(Band { needs: needs(&rows), rows });
    }
    bands
}

/// Grey pictures leave with one pixel changed: see [`grey::ROUND_TRIP`].
fn change_first_pixel(result: &mut [u8]) {
    if let Some(first) = result.first_mut() {
        *first = grey::ROUND_TRIP[usize::from(*first)];
    }
}

struct Blur {
    instructions: Instructions,
    layout: Layout,
    across: Vec<f32>,
    down: Vec<f32>,
}

impl Blur {
    fn new(instructions: Instructions, layout: Layout) -> Self {
        let (across, down) = (blur::factors(layout.width), blur::factors(layout.height));
        Self { instructions, layout, across, down }
    }

    fn needs(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start.saturating_sub(blur::RADIUS)..self.layout.height.min(rows.end + blur::RADIUS)
    }
}

impl Stages for Blur {
    fn prepared_stride(&self) -> usize {
        self.layout.stride()
    }

    fn parts(&self) -> usize {
        1
    }

    fn part_stride(&self, _: usize) -> usize {
        self.layout.stride()
    }

    fn goes_down(&self) -> bool {
        false
    }

    fn prepare(
        &self,
        rows: &[u8],
        prepared: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        let channels = self.layout.channels.count();
        blur::along_rows(self.instructions, rows, channels, &self.across, prepared, ticker)
    }

    fn filter(
        &self,
        band: &Band,
        _: usize,
        rows: &Prepared,
        result: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        let (row, down) = (|row| rows.row(row), &self.down);
        blur::down_columns(self.instructions, row, band.rows.clone(), down, result, ticker)?;
        if band.rows.start == 0 && self.layout.channels == Channels::Grey {
            change_first_pixel(result);
        }
        Ok(())
    }
}

struct Enhance {
    instructions: Instructions,
    channels: usize,
    equaliser: enhance::Equaliser,
    /// The picture's columns; one worker at a time goes on with a tile.
    tiles: Vec<Mutex<enhance::Tile>>,
    /// Columns of each tile.
    widths: Vec<usize>,
    /// Whether tiles go on from band to band. Several threads cannot share a single tile; to count
    /// its histograms anew for each band costs less than two of half the width.
    goes_down: bool,
}

impl Enhance {
    fn new(instructions: Instructions, layout: Layout, threads: usize) -> Self {
        let equaliser = enhance::Equaliser::new(instructions, layout.width, layout.height);
        let tiles = equaliser.tiles();
        Self {
            instructions,
            channels: layout.channels.count(),
            equaliser,
            goes_down: threads == 1 || tiles.len() > 1,
            widths: tiles.iter().map(enhance::Tile::width).collect(),
            tiles: tiles.into_iter().map(Mutex::new).collect(),
        }
    }

    /// Rows of the next band, where so many are `left`.
    fn rows(&self, layout: Layout, left: usize, threads: usize) -> usize {
        /// So low a picture needs little memory but for the histograms.
        const FLAT: usize = 32;
        let Layout { width, height, .. } = layout;
        if width > FLAT * height {
            // Tile after tile is done with, lest the histograms of all are in memory.
            return left;
        }
        // Towards the end ever fewer, so that all threads come to the end together.
        let shared = |least, most| {
            let rows = (left / (threads + 1)).next_multiple_of(enhance::GROUP).clamp(least, most);
            if left < rows + least { left } else { rows }
        };
        if threads == 1 {
            // Where there are several tiles, each leaves the cache between two bands.
            64 * enhance::GROUP
        } else if self.goes_down {
            shared(4 * enhance::GROUP, 16 * enhance::GROUP)
        } else if left == height {
            STRIP
        } else {
            shared(16 * enhance::GROUP, 64 * enhance::GROUP)
        }
    }
}

impl Stages for Enhance {
    fn prepared_stride(&self) -> usize {
        self.equaliser.width()
    }

    fn parts(&self) -> usize {
        self.widths.len()
    }

    fn part_stride(&self, part: usize) -> usize {
        self.widths[part]
    }

    fn goes_down(&self) -> bool {
        self.goes_down
    }

    fn prepare(&self, rows: &[u8], prepared: &mut [u8], _: &mut Ticker) -> Result<(), Cancelled> {
        grey::average_channels(self.instructions, rows, self.channels, prepared);
        Ok(())
    }

    fn filter(
        &self,
        band: &Band,
        part: usize,
        rows: &Prepared,
        result: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        let rows = |row| rows.row(row);
        let mut shared = self.tiles[part].lock().unwrap_or_else(PoisonError::into_inner);
        if self.goes_down {
            self.equaliser.equalise(&mut shared, rows, band.rows.clone(), result, ticker)?;
        } else {
            let mut own = shared.clone();
            drop(shared);
            self.equaliser.equalise(&mut own, rows, band.rows.clone(), result, ticker)?;
        }
        if band.rows.start == 0 && part == 0 {
            change_first_pixel(result);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
