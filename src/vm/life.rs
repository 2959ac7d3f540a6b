//! Where the VM is in its life, by the clock, by ASState.xml and by the signal to stop.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::decision::Action;
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::AsStateFile;
use crate::state::folder::StateFolder;
use crate::state::watch::{View, Watcher};

/// What decides the state of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Phase {
    /// When the boot delay was over; none before.
    pub(super) running_since: Option<Timestamp>,
    /// ASState.xml says `delete`.
    pub(super) unwanted: bool,
    /// The process was told to stop.
    pub(super) stopping: bool,
}

impl Phase {
    /// The state to report. An order to go is reported whatever else is true, so that the
    /// balancer and the cluster see it heeded.
    pub(super) fn state(self) -> VmState {
        if self.unwanted || self.stopping {
            VmState::Draining
        } else if self.running_since.is_none() {
            VmState::Booting
        } else {
            VmState::Running
        }
    }
}

/// Keeps the phase right until `stop`, the last thing it sees.
pub(super) async fn follow(
    phase: watch::Sender<Phase>,
    id: VmId,
    boot: Duration,
    folder: StateFolder,
    stop: CancellationToken,
) {
    let boot = tokio::time::sleep(boot);
    let mut boot = std::pin::pin!(boot);
    let mut orders = Orders::new(&folder);
    loop {
        let unwanted = orders.unwanted(&id);
        phase
            .send_if_modified(|phase| std::mem::replace(&mut phase.unwanted, unwanted) != unwanted);
        let booting = phase.borrow().running_since.is_none();
        tokio::select! {
            () = stop.cancelled() => break,
            () = boot.as_mut(), if booting => {
                phase.send_modify(|phase| phase.running_since = Some(Timestamp::now()));
            }
            () = orders.changed() => {}
        }
    }
    phase.send_modify(|phase| phase.stopping = true);
}

/// ASState.xml, as far as it can be watched.
struct Orders {
    view: Option<watch::Receiver<View<AsStateFile>>>,
    /// Watches as long as it lives.
    _watcher: Option<Watcher>,
}

impl Orders {
    fn new(folder: &StateFolder) -> Self {
        match Watcher::start(folder) {
            Ok(watcher) => Self { view: Some(watcher.follow()), _watcher: Some(watcher) },
            Err(error) => {
                tracing::error!(%error, "cannot watch ASState.xml: serving until told to stop");
                Self { view: None, _watcher: None }
            }
        }
    }

    /// Whether the file as last understood says `delete` for this VM.
    fn unwanted(&mut self, id: &VmId) -> bool {
        let Some(view) = &mut self.view else { return false };
        let view = view.borrow_and_update();
        let order = view.document.as_ref().and_then(|document| document.order(id));
        order.is_some_and(|order| order.action == Action::Delete)
    }

    /// Waits for the file to change.
    async fn changed(&mut self) {
        if let Some(view) = &mut self.view
            && view.changed().await.is_ok()
        {
            return;
        }
        // Nobody watches any more: there will be no further change.
        self.view = None;
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_from_the_boot_and_the_orders() {
        let booted = Some(Timestamp::UNIX_EPOCH);
        for (running_since, unwanted, stopping, expected) in [
            (None, false, false, VmState::Booting),
            (booted, false, false, VmState::Running),
            (None, true, false, VmState::Draining),
            (booted, true, false, VmState::Draining),
            (booted, false, true, VmState::Draining),
            (None, false, true, VmState::Draining),
        ] {
            let phase = Phase { running_since, unwanted, stopping };
            assert_eq!(phase.state(), expected, "{phase:?}");
        }
    }
}
