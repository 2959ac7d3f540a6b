//! Where the VM is in its life, by the clock, by ASState.xml and by the signal to stop.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::hook::Hooks;
use crate::domain::decision::Action;
use crate::domain::vm::{Failing, Life, VmEvent, VmId};
use crate::process::shell;
use crate::state::StateFolder;
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::events::{Event, EventKind};
use crate::state::watch::{View, Watcher};

/// Where a VM is in its life, and since when it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Phase {
    /// Its life.
    pub(super) life: Life,
    /// When it began to serve; none before.
    pub(super) running_since: Option<Timestamp>,
}

impl Phase {
    fn happen(&mut self, event: VmEvent) -> bool {
        let before = *self;
        self.life = self.life.after(event);
        if self.life.serves() && self.running_since.is_none() {
            self.running_since = Some(Timestamp::now());
        }
        *self != before
    }
}

/// What a VM's life needs from outside.
pub(super) struct Surroundings {
    pub(super) id: VmId,
    pub(super) boot: Duration,
    pub(super) hooks: Hooks,
    /// What hooks find in their environment.
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) folder: StateFolder,
}

impl Surroundings {
    /// Boots: the time of the instance type, then the launch hook.
    async fn boot(&self) -> Result<(), String> {
        tokio::time::sleep(self.boot).await;
        match &self.hooks.launch {
            None => Ok(()),
            Some(command) => match (self.run_hook("launch", command).await, self.hooks.failing) {
                (Err(failure), Failing::Abandon) => Err(failure),
                // That it failed is told.
                _ => Ok(()),
            },
        }
    }

    /// Runs the terminate hook of a VM that had booted.
    pub(super) async fn part(&self, phase: Phase) {
        if let Some(command) = self.hooks.terminate.as_ref().filter(|_| phase.life.has_booted()) {
            // That it failed is told, and no reason to stay.
            let _told = self.run_hook("terminate", command).await;
        }
    }

    async fn run_hook(&self, which: &str, command: &str) -> Result<(), String> {
        let variables =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        let outcome = shell::run(command, &variables, b"", self.hooks.timeout).await;
        let outcome = outcome.map_err(|failure| format!("the {which} hook {failure}"));
        if let Err(failure) = &outcome {
            let (folder, id) = (self.folder.clone(), self.id.clone());
            let event = Event::now(EventKind::Fault, "vm", Some(id), failure.clone());
            let told = tokio::task::spawn_blocking(move || folder.append_event(&event)).await;
            if let Ok(Err(error)) = told {
                tracing::warn!(%error, "cannot record the event");
            }
        }
        outcome
    }
}

/// Keeps the phase right until `stop`, the last thing it sees. A VM that cannot boot tells itself
/// to stop.
///
/// # Errors
/// Why it could not boot.
pub(super) async fn follow(
    phase: watch::Sender<Phase>,
    around: &Surroundings,
    stop: CancellationToken,
) -> Result<(), String> {
    let boot = around.boot();
    let mut boot = std::pin::pin!(boot);
    let mut booting = true;
    let mut orders = Orders::new(&around.folder);
    let happen = |event| phase.send_if_modified(|phase| phase.happen(event));
    let outcome = loop {
        for event in orders.events(&around.id) {
            happen(event);
        }
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            booted = boot.as_mut(), if booting => {
                booting = false;
                match booted {
                    Ok(()) => happen(VmEvent::Booted),
                    Err(failure) => {
                        stop.cancel();
                        break Err(failure);
                    }
                };
            }
            () = orders.changed() => {}
        }
    };
    happen(VmEvent::Stopped);
    outcome
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

    /// What the file as last understood says of this VM. One that it does not list is for the
    /// cluster to stop.
    fn events(&mut self, id: &VmId) -> [VmEvent; 2] {
        let view = self.view.as_mut().map(watch::Receiver::borrow_and_update);
        let order = view.as_ref().and_then(|view| view.document.as_ref()?.order(id));
        events_of(order)
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

fn events_of(order: Option<&VmOrder>) -> [VmEvent; 2] {
    let is = |what: fn(&VmOrder) -> bool| order.is_some_and(what);
    [
        if is(|order| order.warm) { VmEvent::Held } else { VmEvent::Released },
        if is(|order| order.action == Action::Delete) {
            VmEvent::Deleted
        } else {
            VmEvent::Restored
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vm::VmState;

    #[test]
    fn orders_are_events() {
        let order = |action, warm| VmOrder { warm, ..VmOrder::new(VmId::numbered(1), action) };
        let keep = [VmEvent::Released, VmEvent::Restored];
        assert_eq!(events_of(None), keep);
        assert_eq!(events_of(Some(&order(Action::Add, false))), keep);
        let warm = events_of(Some(&order(Action::Add, true)));
        assert_eq!(warm, [VmEvent::Held, VmEvent::Restored]);
        let deleted = events_of(Some(&order(Action::Delete, false)));
        assert_eq!(deleted, [VmEvent::Released, VmEvent::Deleted]);
    }

    #[tokio::test]
    async fn a_failing_launch_hook_ends_the_vm_or_not_as_is_said() {
        let state = tempfile::tempdir().unwrap();
        let around = |command: &str, failing| Surroundings {
            id: VmId::numbered(1),
            boot: Duration::ZERO,
            hooks: Hooks {
                launch: Some(command.to_owned()),
                terminate: None,
                timeout: Duration::from_millis(300),
                failing,
            },
            variables: Vec::new(),
            folder: StateFolder::open(state.path()).unwrap(),
        };
        for bad in ["exit 7", "sleep 600"] {
            let ended = around(bad, Failing::Abandon).boot().await;
            assert!(ended.unwrap_err().starts_with("the launch hook"), "{bad}");
            assert_eq!(around(bad, Failing::Continue).boot().await, Ok(()), "{bad}");
        }
        let told = std::fs::read_to_string(state.path().join("events.log")).unwrap();
        assert_eq!(told.matches("the launch hook").count(), 4, "{told}");
    }

    #[test]
    fn it_runs_from_the_moment_it_serves() {
        let mut phase = Phase::default();
        assert!(phase.happen(VmEvent::Held) && phase.happen(VmEvent::Booted));
        assert_eq!((phase.life.state(), phase.running_since), (VmState::Booting, None));
        assert!(phase.happen(VmEvent::Released));
        let since = phase.running_since;
        assert!(since.is_some() && phase.life.state() == VmState::Running);
        assert!(phase.happen(VmEvent::Deleted) && !phase.happen(VmEvent::Deleted));
        assert_eq!((phase.life.state(), phase.running_since), (VmState::Draining, since));
    }
}
