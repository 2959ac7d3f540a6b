//! Decodes, filters and encodes a picture at once, strip by strip, on several threads.
//!
//! ```text
//!  source ──read──▶ strips ──prepare──▶ prepared strips ──filter──▶ bands ──write──▶ sink
//!         in order          any order                    any order        in order
//! ```
//!
//! A band of the result needs the prepared strips around it. A filter that goes on from band to band
//! cuts the picture into parts side by side, of which each goes down the picture by itself. Each
//! worker takes whatever can be done next; with one worker each strip goes through all stages while
//! it is in the cache. What a stage computes never depends on who does it or when, so neither does
//! the result.

mod board;

use super::buffers::Buffer;
use super::rows::{RowSink, RowSource};
use super::ticker::{Ticker, thread_cpu_time};
use crate::workload::{Cancelled, Error, Run};
use board::{Board, Done, Task};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rows of a strip.
pub(super) const STRIP: usize = super::transpose::LANES;

/// A part of the result, and what it needs.
pub(super) struct Band {
    /// Its rows.
    pub(super) rows: Range<usize>,
    /// Rows of the source that it depends on.
    pub(super) needs: Range<usize>,
}

impl Band {
    fn strips(&self) -> Range<usize> {
        self.needs.start / STRIP..self.needs.end.div_ceil(STRIP)
    }
}

/// What is done to the rows between source and sink.
pub(super) trait Stages: Sync {
    /// Bytes of a prepared row.
    fn prepared_stride(&self) -> usize;

    /// What can be done to a strip by itself. `rows` and `prepared` have room for [`STRIP`] rows;
    /// if the picture ends before, the content of the rest is arbitrary.
    fn prepare(
        &self,
        rows: &[u8],
        prepared: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled>;

    /// How many parts bands are computed in, side by side.
    fn parts(&self) -> usize;

    /// Bytes of a row of the result in each part.
    fn part_stride(&self, part: usize) -> usize;

    /// Whether a part of a band is computed after that of the band above. If not, in any order.
    fn goes_down(&self) -> bool;

    /// Computes a part of a band of the result from the prepared rows it needs.
    fn filter(
        &self,
        band: &Band,
        part: usize,
        rows: &Prepared,
        result: &mut [u8],
        ticker: &mut Ticker,
    ) -> Result<(), Cancelled>;
}

/// Prepared rows around a band.
pub(super) struct Prepared {
    strips: Vec<Arc<Buffer>>,
    /// The number of the first strip.
    first: usize,
    stride: usize,
}

impl Prepared {
    /// The row of this number in the picture. It has to be one that the band needs.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = row % STRIP * self.stride;
        &self.strips[row / STRIP - self.first][start..start + self.stride]
    }
}

/// Runs a picture through `stages`. `bands` cover the result in order.
///
/// Gives the file written and the CPU time of all threads.
pub(super) fn run(
    source: Box<dyn RowSource + '_>,
    stages: &dyn Stages,
    bands: Vec<Band>,
    sink: Box<dyn RowSink>,
    run: &Run,
) -> Result<(Vec<u8>, Duration), Error> {
    let pipeline = Pipeline::new(source, stages, bands, sink);
    let workers = run.threads.get().min(pipeline.strips);
    let ahead = if workers == 1 { 0 } else { pipeline.widest_need() + 2 * workers };
    let work = |role| {
        let start = thread_cpu_time();
        pipeline.work(role, &mut Ticker::new(run.pacer), ahead);
        thread_cpu_time().saturating_sub(start)
    };
    let cpu = Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        let work = |role| {
            let used = work(role);
            *cpu.lock().unwrap_or_else(PoisonError::into_inner) += used;
        };
        // The scope waits for their work, and panics if one of them did: joining them would wait
        // for the end of the threads as well.
        for _ in 1..workers {
            scope.spawn(move || work(Role::Helper));
        }
        work(Role::Owner);
    });
    let cpu = cpu.into_inner().unwrap_or_else(PoisonError::into_inner);
    let start = thread_cpu_time();
    let file = pipeline.finish(&mut Ticker::new(run.pacer))?;
    Ok((file, cpu + thread_cpu_time().saturating_sub(start)))
}

/// Who a worker is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The thread of the request, which sees to the end of the file.
    Owner,
    /// Another thread. It leaves early, so that nobody has to wait for its end.
    Helper,
}

struct Pipeline<'a> {
    stages: &'a dyn Stages,
    bands: Vec<Band>,
    /// Number of strips.
    strips: usize,
    height: usize,
    source_stride: usize,
    source: Mutex<Box<dyn RowSource + 'a>>,
    sink: Mutex<Box<dyn RowSink>>,
    board: Mutex<Board>,
    changed: Condvar,
    /// How often the board was changed, for those who look at it without holding it.
    posts: AtomicUsize,
}

impl<'a> Pipeline<'a> {
    fn new(
        source: Box<dyn RowSource + 'a>,
        stages: &'a dyn Stages,
        bands: Vec<Band>,
        sink: Box<dyn RowSink>,
    ) -> Self {
        let layout = source.layout();
        let strips = layout.height.div_ceil(STRIP);
        let mut users = vec![0; strips];
        for strip in bands.iter().flat_map(Band::strips) {
            users[strip] += stages.parts();
        }
        let waiting_for = |index: usize, band: &Band| {
            let above = usize::from(stages.goes_down() && index > 0);
            std::iter::repeat_n(band.strips().len() + above, stages.parts())
        };
        let waiting_for =
            bands.iter().enumerate().flat_map(|(index, band)| waiting_for(index, band)).collect();
        let parts = || (0..stages.parts()).map(|_| None).collect();
        let board = Board {
            next_read: 0,
            reading: false,
            read: VecDeque::new(),
            prepared: (0..strips).map(|_| None).collect(),
            users,
            released: 0,
            waiting_for,
            ready: VecDeque::new(),
            untaken: bands.len() * stages.parts(),
            filtered: bands.iter().map(|_| parts()).collect(),
            next_write: 0,
            writing: false,
            idle: 0,
            failure: None,
        };
        Self {
            stages,
            bands,
            strips,
            height: layout.height,
            source_stride: layout.stride(),
            source: Mutex::new(source),
            sink: Mutex::new(sink),
            board: Mutex::new(board),
            changed: Condvar::new(),
            posts: AtomicUsize::new(0),
        }
    }

    /// Strips that a band needs at most.
    fn widest_need(&self) -> usize {
        self.bands.iter().map(|band| band.strips().len()).max().unwrap_or(0)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until the file is complete or something fails; a helper, until nothing is left that
    /// can be shared.
    fn work(&self, role: Role, ticker: &mut Ticker, ahead: usize) {
        let alarm = Alarm(self);
        let mut board = self.board();
        while board.failure.is_none() && board.next_write < self.bands.len() {
            if board.untaken == 0 && role == Role::Helper {
                break;
            }
            let Some(task) = self.choose(&mut board, ahead) else {
                board = if board.untaken == 0 { self.watch(board) } else { self.sleep(board) };
                continue;
            };
            drop(board);
            let done = self.perform(task, ticker);
            board = self.board();
            match done {
                Ok(done) => self.post(&mut board, done),
                Err(error) => board.failure = board.failure.take().or(Some(error)),
            }
            self.posts.fetch_add(1, Ordering::Relaxed);
            if board.idle > 0 {
                // Awake they would only wait for the board.
                drop(board);
                self.changed.notify_all();
                board = self.board();
            }
        }
        drop(board);
        drop(alarm);
    }

    /// Waits until something has changed.
    fn sleep<'b>(&self, mut board: MutexGuard<'b, Board>) -> MutexGuard<'b, Board> {
        board.idle += 1;
        board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
        board.idle -= 1;
        board
    }

    /// Waits for the last bands, which are small: being woken would take longer.
    fn watch<'b>(&'b self, board: MutexGuard<'b, Board>) -> MutexGuard<'b, Board> {
        const MOST: Duration = Duration::from_micros(100);
        let (posts, start) = (self.posts.load(Ordering::Relaxed), Instant::now());
        drop(board);
        while self.posts.load(Ordering::Relaxed) == posts && start.elapsed() < MOST {
            std::hint::spin_loop();
        }
        let board = self.board();
        if self.posts.load(Ordering::Relaxed) == posts { self.sleep(board) } else { board }
    }

    fn perform(&self, task: Task, ticker: &mut Ticker) -> Result<Done, Error> {
        Ok(match task {
            Task::Read(strip) => {
                let rows = STRIP.min(self.height - strip * STRIP);
                let mut buffer = Buffer::take(STRIP * self.source_stride);
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                source.read(&mut buffer[..rows * self.source_stride], ticker)?;
                ticker.spend(buffer.len() as u64)?;
                Done::Read(strip, buffer)
            }
            Task::Prepare(strip, rows) => {
                let mut prepared = Buffer::take(STRIP * self.stages.prepared_stride());
                self.stages.prepare(&rows, &mut prepared, ticker)?;
                Done::Prepared(strip, prepared)
            }
            Task::Filter(piece, strips) => {
                let band = &self.bands[piece.band];
                let stride = self.stages.part_stride(piece.part);
                let mut result = Buffer::take(band.rows.len() * stride);
                let first = band.strips().start;
                let rows = Prepared { strips, first, stride: self.stages.prepared_stride() };
                self.stages.filter(band, piece.part, &rows, &mut result, ticker)?;
                Done::Filtered(piece, result)
            }
            Task::Write(parts) => {
                let result = self.join(parts);
                let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.write(&result, ticker)?;
                ticker.spend(result.len() as u64)?;
                Done::Written
            }
        })
    }

    /// Makes whole rows of the parts of a band.
    fn join(&self, mut parts: Vec<Buffer>) -> Buffer {
        if parts.len() == 1
            && let Some(whole) = parts.pop()
        {
            return whole;
        }
        let mut joined = Buffer::take(parts.iter().map(|part| part.len()).sum());
        let stride: usize = (0..parts.len()).map(|part| self.stages.part_stride(part)).sum();
        let mut left = 0;
        for (index, part) in parts.iter().enumerate() {
            let width = self.stages.part_stride(index);
            for (row, part) in joined.chunks_exact_mut(stride).zip(part.chunks_exact(width)) {
                row[left..left + width].copy_from_slice(part);
            }
            left += width;
        }
        joined
    }

    fn finish(self, ticker: &mut Ticker) -> Result<Vec<u8>, Error> {
        let board = self.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        match board.failure {
            Some(error) => Err(error),
            None => self.sink.into_inner().unwrap_or_else(PoisonError::into_inner).finish(ticker),
        }
    }
}

/// Stops the other workers if its own one panics, since they would wait for it for ever.
struct Alarm<'a, 'b>(&'a Pipeline<'b>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut board = self.0.board();
            board.failure = Some(Error::Cancelled);
            self.0.posts.fetch_add(1, Ordering::Relaxed);
            drop(board);
            self.0.changed.notify_all();
        }
    }
}
