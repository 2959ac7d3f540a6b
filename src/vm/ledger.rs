//! The line in metrics.txt of every finished request, written beside the request's path.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::complaint::Complaint;
use crate::state::StateFolder;
use crate::state::metrics::Metric;

/// Lines that may wait for a slow disk; beyond, lines are lost rather than requests.
const WAITING_LINES: usize = 10_000;

/// Takes the lines.
#[derive(Debug)]
pub(super) struct Ledger {
    lines: mpsc::Sender<Metric>,
    closed: CancellationToken,
    lost: AtomicU64,
}

impl Ledger {
    /// Hands a line over. Never waits.
    pub(super) fn book(&self, line: Metric) {
        if self.lines.try_send(line).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // Each power of two: enough to notice, too little to fill a disk that is slow already.
            if lost.is_power_of_two() {
                tracing::warn!(lost, "lines of metrics.txt are lost: the disk is too slow");
            }
        }
    }

    /// No more lines will come: the task ends when all have been written.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

/// A ledger, and the task that writes its lines.
pub(super) fn open(folder: StateFolder) -> (Ledger, JoinHandle<()>) {
    let (lines, taken) = mpsc::channel(WAITING_LINES);
    let closed = CancellationToken::new();
    let task = tokio::spawn(write(folder, taken, closed.clone()));
    (Ledger { lines, closed, lost: AtomicU64::new(0) }, task)
}

async fn write(folder: StateFolder, mut taken: mpsc::Receiver<Metric>, closed: CancellationToken) {
    let mut complaint = Complaint::about("lines of metrics.txt");
    loop {
        let mut lines = Vec::new();
        tokio::select! {
            biased;
            count = taken.recv_many(&mut lines, WAITING_LINES) => if count == 0 { return },
            () = closed.cancelled() => taken.close(),
        }
        let folder = folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            lines.iter().try_for_each(|line| folder.append_metric(line))
        });
        match written.await {
            Ok(written) => complaint.hear(&written),
            Err(error) => tracing::error!(%error, "writing metrics ended badly"),
        }
    }
}
