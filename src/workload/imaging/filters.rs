//! The two filters as stages of the pipeline.

use super::pipeline::{self, Band, Prepared, STRIP, Stages};
use super::rows::{Channels, Layout, RowSink, RowSource};
use super::ticker::Ticker;
use super::{Filter, blur, enhance, grey};
use crate::workload::{Cancelled, Error, Run};
use std::ops::Range;
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
    filter: Filter,
    source: Box<dyn RowSource + '_>,
    sink: Box<dyn RowSink>,
    run: &Run,
) -> Result<(Vec<u8>, Duration), Error> {
    let layout = source.layout();
    match filter {
        Filter::Blur => {
            let stages = Blur::new(layout);
            let bands = bands(layout.height, STRIP, |rows| stages.needs(rows));
            pipeline::run(source, &stages, bands, sink, run)
        }
        Filter::Enhance => {
            let stages = Enhance::new(layout);
            // Histograms are counted anew for each band: few of them, but enough for all threads.
            let rows = (layout.height / (4 * run.threads.get())).clamp(STRIP, 8 * STRIP);
            let bands = bands(layout.height, rows, |rows| stages.size.rows_for(rows));
            pipeline::run(source, &stages, bands, sink, run)
        }
    }
}

fn bands(height: usize, rows: usize, needs: impl Fn(&Range<usize>) -> Range<usize>) -> Vec<Band> {
    let starts = (0..height).step_by(rows);
    let band = |start| {
        let rows = start..height.min(start + rows);
        Band { needs: needs(&rows), rows }
    };
    starts.map(band).collect()
}

/// Grey pictures leave with one pixel changed: see [`grey::ROUND_TRIP`].
fn change_first_pixel(result: &mut [u8]) {
    if let Some(first) = result.first_mut() {
        *first = grey::ROUND_TRIP[usize::from(*first)];
    }
}

struct Blur {
    layout: Layout,
    across: Vec<f32>,
    down: Vec<f32>,
}

impl Blur {
    fn new(layout: Layout) -> Self {
        let (across, down) = (blur::factors(layout.width), blur::factors(layout.height));
        Self { layout, across, down }
    }

    fn needs(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start.saturating_sub(blur::RADIUS)..self.layout.height.min(rows.end + blur::RADIUS)
    }
}

impl Stages for Blur {
    fn prepared_stride(&self) -> usize {
        self.layout.stride()
    }

    fn result_stride(&self) -> usize {
        self.layout.stride()
    }

    fn prepare(
        &self,
        rows: &[u8],
        prepared: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        blur::along_rows(rows, self.layout.channels.count(), &self.across, prepared, ticker)
    }

    fn filter(
        &self,
        band: &Band,
        rows: &Prepared,
        result: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        blur::down_columns(|row| rows.row(row), band.rows.clone(), &self.down, result, ticker)?;
        if band.rows.start == 0 && self.layout.channels == Channels::Grey {
            change_first_pixel(result);
        }
        Ok(())
    }
}

struct Enhance {
    channels: usize,
    size: enhance::Size,
    levels: Vec<u8>,
}

impl Enhance {
    fn new(layout: Layout) -> Self {
        let size = enhance::Size { width: layout.width, height: layout.height };
        Self { channels: layout.channels.count(), size, levels: enhance::levels(size) }
    }
}

impl Stages for Enhance {
    fn prepared_stride(&self) -> usize {
        self.size.width
    }

    fn result_stride(&self) -> usize {
        self.size.width
    }

    fn prepare(&self, rows: &[u8], prepared: &mut [u8], _: &mut Ticker) -> Result<(), Cancelled> {
        grey::average_channels(rows, self.channels, prepared);
        Ok(())
    }

    fn filter(
        &self,
        band: &Band,
        rows: &Prepared,
        result: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled> {
        let rows = |row| rows.row(row);
        enhance::equalise(rows, self.size, band.rows.clone(), &self.levels, result, ticker)?;
        if band.rows.start == 0 {
            change_first_pixel(result);
        }
        Ok(())
    }
}
