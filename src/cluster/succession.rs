//! A balancer that takes over from another one while requests arrive.
//!
//! ```text
//!   SIGUSR2 ──▶ a successor starts, with the same sockets ──▶ it writes LBState.xml
//!               ──▶ SIGTERM to the one before: takes nothing new, finishes what it has, leaves
//! ```
//!
//! Both take from the same sockets meanwhile, so no connection is refused or has to wait.

use std::time::Instant;

use rustix::process::Signal;

use super::Cluster;
use crate::process;
use crate::state::events::EventKind;
use crate::state::lb_state::LbStateFile;

/// A balancer that is on its way out.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) pid: u32,
    /// It was told to finish and leave.
    told: bool,
}

impl Cluster {
    /// Starts a balancer beside the one that runs.
    pub(super) async fn start_successor(&mut self) {
        let Some(pid) = self.balancer.pid() else { return };
        match self.start_role("balancer") {
            Ok(successor) => {
                self.predecessors.push(Predecessor { pid, told: false });
                self.balancer.started(successor, Instant::now());
                self.write_addresses();
                let detail = format!("the balancer, pid {pid}, gets a successor, pid {successor}");
                self.record(EventKind::Role, None, detail).await;
            }
            Err(error) => {
                let detail = format!("the balancer goes on, no successor can start: {error:#}");
                self.record(EventKind::Crash, None, detail).await;
            }
        }
    }

    /// Tells a predecessor to leave as soon as its successor has said that it serves.
    pub(super) fn retire_predecessors(&mut self) {
        if self.predecessors.iter().all(|before| before.told) {
            return;
        }
        let serving = self.folder.read::<LbStateFile>().ok().flatten().map(|file| file.pid);
        if serving.is_none() || serving != self.balancer.pid() {
            return;
        }
        for before in self.predecessors.iter_mut().filter(|before| !before.told) {
            before.told = true;
            if let Err(error) = process::signal(before.pid, Signal::TERM, "the balancer before") {
                tracing::debug!(%error, "no signal sent");
            }
        }
    }

    /// A process has ended: says whether it was a predecessor, which is no loss.
    pub(super) async fn is_predecessor(&mut self, pid: u32) -> bool {
        let count = self.predecessors.len();
        self.predecessors.retain(|before| before.pid != pid);
        let was = self.predecessors.len() < count;
        if was {
            let detail = format!("the balancer before, pid {pid}, has left");
            self.record(EventKind::Role, None, detail).await;
        }
        was
    }
}
