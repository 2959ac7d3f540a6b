//! How a cluster ends: nothing new, everything finished, nothing left behind.

use std::time::Duration;

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::process;
use crate::state::as_state::AsStateFile;
use crate::state::events::EventKind;
use crate::state::lb_state::LbStateFile;
use crate::state::vm_state::VmStateFile;

/// What a process may take beyond the drain limit and its hook to leave.
const GRACE: Duration = Duration::from_secs(5);
/// What a killed process may take to be gone.
const BURIAL: Duration = Duration::from_secs(10);

impl Cluster {
    /// Stops the autoscaler, so that nothing is replaced; the balancer, once what it took is
    /// answered; the functions' service; then the VMs. `now` cuts the waiting short.
    ///
    /// # Errors
    /// If a process survives SIGKILL.
    pub(super) async fn shut_down(&mut self, now: &CancellationToken) -> anyhow::Result<()> {
        self.record(EventKind::Role, None, "stopping".to_owned()).await;
        let before = self.predecessors.iter().map(|before| before.pid);
        let roles = [self.autoscaler.pid(), self.balancer.pid()].into_iter().flatten();
        let roles = roles.chain(before).chain(self.functions.pid()).collect::<Vec<_>>();
        self.front.close();
        for role in roles.iter().copied() {
            self.end(vec![role], now).await;
        }
        let vms = self.machines.values().map(|machine| machine.pid).collect::<Vec<_>>();
        self.end(vms.clone(), now).await;
        self.sweep().await;
        self.record(EventKind::Role, None, "stopped".to_owned()).await;
        let left = roles.into_iter().chain(vms).filter(|pid| process::is_alive(*pid));
        let left = left.map(|pid| pid.to_string()).collect::<Vec<_>>();
        anyhow::ensure!(left.is_empty(), "these processes survived SIGKILL: {}", left.join(", "));
        Ok(())
    }

    /// Tells processes to finish and leave, and kills those that do not within the drain limit, or
    /// as soon as `now` is cancelled.
    async fn end(&mut self, mut pids: Vec<u32>, now: &CancellationToken) {
        for pid in &pids {
            // A stopped process cannot leave before it goes on.
            for signal in [Signal::TERM, Signal::CONT] {
                if let Err(error) = process::signal(*pid, signal, "of this cluster") {
                    tracing::debug!(%error, "no signal sent");
                }
            }
        }
        let limit = self.settings.drain_limit + self.settings.hook_timeout + GRACE;
        tokio::select! {
            () = self.wait_for(&mut pids) => return,
            () = now.cancelled() => {}
            () = tokio::time::sleep(limit) => {}
        }
        for pid in &pids {
            let detail = format!("process {pid} did not leave in time: killed");
            self.record(EventKind::Terminate, None, detail).await;
            if let Err(error) = process::signal(*pid, Signal::KILL, "of this cluster") {
                tracing::debug!(%error, "no signal sent");
            }
        }
        let _gone = tokio::time::timeout(BURIAL, self.wait_for(&mut pids)).await;
    }

    /// Waits until all of `pids` have ended, taking out each that has.
    async fn wait_for(&mut self, pids: &mut Vec<u32>) {
        pids.retain(|pid| process::is_alive(*pid));
        while !pids.is_empty() {
            let Some(exit) = self.exits.1.recv().await else { return };
            pids.retain(|pid| *pid != exit.pid);
        }
    }

    /// Takes out of the files what no longer exists.
    async fn sweep(&self) {
        let folder = self.folder.clone();
        let swept = tokio::task::spawn_blocking(move || {
            folder.sweep_sockets(|id, pid| process::is_vm(pid, id));
            [
                folder.update_if_changed(VmStateFile::default, |file: &mut VmStateFile| {
                    file.vms.retain(|vm| process::is_vm(vm.pid, &vm.id));
                }),
                folder.update_if_changed(AsStateFile::default, |file: &mut AsStateFile| {
                    file.vms.clear();
                    file.agree();
                }),
                folder.update_if_changed(LbStateFile::default, |file: &mut LbStateFile| {
                    file.vms.clear();
                }),
                folder.remove_cluster_file(),
            ]
        });
        for error in swept.await.into_iter().flatten().filter_map(Result::err) {
            tracing::error!(%error, "a file could not be swept");
        }
    }
}
