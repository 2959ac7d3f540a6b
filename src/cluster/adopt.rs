//! Finds what an earlier cluster on the same folder left running.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{self, RoleProcess};
use crate::state::StateFolder;
use crate::state::cluster_file::ClusterFile;

/// What a killed process may take to be gone, and to give back its port.
const BURIAL: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The processes on this machine whose command lines say that they work on this state folder.
///
/// # Errors
/// If the table of processes cannot be read.
pub(super) fn survivors(folder: &StateFolder) -> Result<Vec<RoleProcess>, process::Error> {
    let own = canonical(folder.path());
    let found = process::roles(None)?;
    Ok(found
        .into_iter()
        .filter(|role| role.state.as_deref().is_some_and(|path| canonical(Path::new(path)) == own))
        .collect())
}

/// The path without links and dots; as it stands where it does not exist.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The addresses that `cluster.toml` names.
pub(super) fn addresses(file: &ClusterFile) -> Option<(SocketAddr, SocketAddr)> {
    Some((file.balancer.parse().ok()?, file.admin.parse().ok()?))
}

/// Tells those that a cluster can carry on with from those that it cannot: a balancer of which
/// `cluster.toml` does not say where it listens, and a second one of what there is one of.
pub(super) fn sort(
    mut found: Vec<RoleProcess>,
    before: Option<&ClusterFile>,
) -> (Vec<RoleProcess>, Vec<RoleProcess>) {
    let known = before.filter(|file| addresses(file).is_some()).and_then(|file| file.balancer_pid);
    found.sort_by_key(|process| process.pid);
    let (mut useful, mut useless) = (Vec::<RoleProcess>::new(), Vec::new());
    for process in found {
        let is_second = useful.iter().any(|it| it.role == process.role && it.vm == process.vm);
        let is_lost = process.role == "balancer" && known != Some(process.pid);
        if is_second || is_lost { useless.push(process) } else { useful.push(process) }
    }
    (useful, useless)
}

/// Ends processes at once, and waits until they are gone. Says what was done.
pub(super) async fn end(processes: Vec<RoleProcess>) -> Vec<String> {
    let mut said = Vec::new();
    for RoleProcess { pid, role, .. } in processes {
        match process::signal(pid, Signal::KILL, &role) {
            Ok(()) => said.push(format!("ended a {role} from before, pid {pid}: of no use")),
            Err(error) => tracing::debug!(%error, "no signal sent"),
        }
        let gone = async {
            while process::is_alive(pid) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _in_time = tokio::time::timeout(BURIAL, gone).await;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, role: &str, vm: Option<&str>) -> RoleProcess {
        let vm = vm.map(|id| id.parse().unwrap());
        RoleProcess { pid, role: role.to_owned(), vm, state: None }
    }

    #[test]
    fn a_cluster_carries_on_with_one_of_each_and_a_balancer_that_clients_can_find() {
        let found = vec![
            process(9, "vm", Some("vm-1")),
            process(2, "balancer", None),
            process(3, "balancer", None),
            process(4, "autoscaler", None),
            process(5, "autoscaler", None),
            process(6, "vm", Some("vm-1")),
            process(7, "vm", Some("vm-2")),
        ];
        let pids = |found: &[RoleProcess]| found.iter().map(|it| it.pid).collect::<Vec<_>>();
        let file = ClusterFile {
            pid: 1,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            balancer: "127.0.0.1:8000".to_owned(),
            admin: "127.0.0.1:8001".to_owned(),
            balancer_pid: Some(3),
            autoscaler_pid: None,
        };
        let (useful, useless) = sort(found.clone(), Some(&file));
        assert_eq!((pids(&useful), pids(&useless)), (vec![3, 4, 6, 7], vec![2, 5, 9]));
        let (useful, useless) = sort(found, None);
        assert_eq!((pids(&useful), pids(&useless)), (vec![4, 6, 7], vec![2, 3, 5, 9]));
    }
}
