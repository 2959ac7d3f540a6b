//! Who does what: the tasks of a pipeline, and when each can be done.

use super::Pipeline;
use crate::workload::Error;
use crate::workload::imaging::buffers::Buffer;
use std::collections::VecDeque;
use std::sync::Arc;

/// Something a worker can do.
pub(super) enum Task {
    /// Read the next strip.
    Read(usize),
    /// Prepare a strip that was read.
    Prepare(usize, Buffer),
    /// Filter a part of a band from its prepared strips.
    Filter(Piece, Vec<Arc<Buffer>>),
    /// Write the next band, given in parts.
    Write(Vec<Buffer>),
}

/// A part of a band, both by number.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) band: usize,
    pub(super) part: usize,
}

/// What a finished task gave.
pub(super) enum Done {
    Read(usize, Buffer),
    Prepared(usize, Buffer),
    Filtered(Piece, Buffer),
    Written,
}

/// Who may do what.
pub(super) struct Board {
    /// The next strip to read; nobody may while one is being read.
    pub(super) next_read: usize,
    pub(super) reading: bool,
    /// Strips that were read.
    pub(super) read: VecDeque<(usize, Buffer)>,
    /// Strips that were prepared, until the last band that needs them is done.
    pub(super) prepared: Vec<Option<Arc<Buffer>>>,
    /// For each strip, bands that still need it.
    pub(super) users: Vec<usize>,
    /// Strips that nothing needs any more.
    pub(super) released: usize,
    /// For each part of each band, strips that it waits for, and the part above.
    pub(super) waiting_for: Vec<usize>,
    /// What can be filtered.
    pub(super) ready: VecDeque<Piece>,
    /// Parts of bands that nobody has begun to filter.
    pub(super) untaken: usize,
    /// For each band, the parts that are filtered, until it is written.
    pub(super) filtered: Vec<Vec<Option<Buffer>>>,
    /// The next band to write; nobody may while one is being written.
    pub(super) next_write: usize,
    pub(super) writing: bool,
    /// Workers that found nothing to do.
    pub(super) idle: usize,
    pub(super) failure: Option<Error>,
}

impl Pipeline<'_> {
    /// The most useful task: first what frees memory; but while fewer than `ahead` strips are
    /// about, reading comes before the filter, since it cannot be shared.
    pub(super) fn choose(&self, board: &mut Board, ahead: usize) -> Option<Task> {
        if !board.writing
            && let parts = &mut board.filtered[board.next_write]
            && parts.iter().all(Option::is_some)
        {
            board.writing = true;
            return Some(Task::Write(std::mem::take(parts).into_iter().flatten().collect()));
        }
        let can_read = !board.reading && board.next_read < self.strips;
        let few = board.next_read - board.released < ahead;
        if !(can_read && few) {
            if let Some(piece) = board.ready.pop_front() {
                board.untaken -= 1;
                let strips = self.bands[piece.band].strips();
                let rows = board.prepared[strips].iter().flatten().cloned().collect();
                return Some(Task::Filter(piece, rows));
            }
            if let Some((strip, rows)) = board.read.pop_front() {
                return Some(Task::Prepare(strip, rows));
            }
        }
        can_read.then(|| {
            board.reading = true;
            Task::Read(board.next_read)
        })
    }

    /// Takes what a task gave, and sees what can be done with it.
    pub(super) fn post(&self, board: &mut Board, done: Done) {
        match done {
            Done::Read(strip, rows) => {
                board.reading = false;
                board.next_read += 1;
                board.read.push_back((strip, rows));
            }
            Done::Prepared(strip, rows) => {
                if board.users[strip] == 0 {
                    board.released += 1;
                    return;
                }
                board.prepared[strip] = Some(Arc::new(rows));
                let first = self.bands.partition_point(|band| band.strips().end <= strip);
                for (index, band) in self.bands.iter().enumerate().skip(first) {
                    if !band.strips().contains(&strip) {
                        break;
                    }
                    for part in 0..self.stages.parts() {
                        self.wait_less(board, Piece { band: index, part });
                    }
                }
            }
            Done::Filtered(piece @ Piece { band, part }, result) => {
                board.filtered[band][part] = Some(result);
                if self.stages.goes_down() && band + 1 < self.bands.len() {
                    self.wait_less(board, Piece { band: band + 1, ..piece });
                }
                for strip in self.bands[band].strips() {
                    board.users[strip] -= 1;
                    if board.users[strip] == 0 {
                        board.prepared[strip] = None;
                        board.released += 1;
                    }
                }
            }
            Done::Written => {
                board.writing = false;
                board.next_write += 1;
            }
        }
    }

    /// Says that one of those things is there that a part of a band waits for.
    fn wait_less(&self, board: &mut Board, piece: Piece) {
        let waiting_for = &mut board.waiting_for[piece.band * self.stages.parts() + piece.part];
        *waiting_for -= 1;
        if *waiting_for == 0 {
            board.ready.push_back(piece);
        }
    }
}
