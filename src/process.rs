//! Processes of this machine: is it alive, is it ours, send it a signal.
//!
//! A process id that stands in a file may have been given to somebody else since. Nothing here
//! sends a signal before it has seen that the process is the one that is meant, by its command
//! line.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::domain::vm::VmId;

/// Why a process could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such process, or it is somebody else's by now.
    #[error("process {pid} is not {what} (any more)")]
    NotOurs {
        /// The process id that was tried.
        pid: u32,
        /// What it should have been.
        what: String,
    },
    /// The system refused.
    #[error("cannot signal process {pid}: {source}")]
    Refused {
        /// The process id that was tried.
        pid: u32,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system's table of processes cannot be read.
    #[error("cannot read the table of processes: {0}")]
    NoTable(String),
}

/// Whether there is a process with this id (a zombie counts).
pub fn is_alive(pid: u32) -> bool {
    raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Sends a signal to a process that the caller knows to be the one that is meant: its own child
/// that has not been waited for, or one it has just recognised.
///
/// # Errors
/// [`Error::NotOurs`] if there is no such process, [`Error::Refused`] if the system refuses.
pub fn signal(pid: u32, signal: Signal, what: &str) -> Result<(), Error> {
    let gone = || Error::NotOurs { pid, what: what.to_owned() };
    match kill_process(raw(pid).ok_or_else(gone)?, signal) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::SRCH) => Err(gone()),
        Err(errno) => Err(Error::Refused { pid, source: errno.into() }),
    }
}

/// Sends a signal to the VM with this id, after having looked whether the process is that VM.
///
/// # Errors
/// As [`signal`], and [`Error::NoTable`].
pub fn signal_vm(pid: u32, id: &VmId, sent: Signal) -> Result<(), Error> {
    let what = format!("the VM {id}");
    let is_it = roles(Some(pid))?.iter().any(|found| found.vm.as_ref() == Some(id));
    if is_it { signal(pid, sent, &what) } else { Err(Error::NotOurs { pid, what }) }
}

/// A process that runs a role of some cluster, read from its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleProcess {
    /// Its process id.
    pub pid: u32,
    /// The role: `vm`, `balancer`, `autoscaler`.
    pub role: String,
    /// For a VM, its id.
    pub vm: Option<VmId>,
    /// The state folder it was told to use.
    pub state: Option<String>,
}

/// The processes of this machine that run a role, or just the one with the given id.
///
/// # Errors
/// [`Error::NoTable`].
pub fn roles(only: Option<u32>) -> Result<Vec<RoleProcess>, Error> {
    let mut system = System::new().map_err(|error| Error::NoTable(error.to_string()))?;
    let pid = only.map(sysinfo::Pid::from_u32);
    let which = pid.as_slice();
    let which =
        if only.is_some() { ProcessesToUpdate::Some(which) } else { ProcessesToUpdate::All };
    let command_lines = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(which, true, command_lines);
    let found = system.processes().values().filter(|process| process.thread_kind().is_none());
    Ok(found
        .filter_map(|process| {
            let arguments =
                process.cmd().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>();
            let words = arguments.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
            recognise(process.pid().as_u32(), &words)
        })
        .collect())
}

/// Reads `cumulet ROLE [--id ID] [--state DIR]` as the cluster starts it.
fn recognise(pid: u32, words: &[&str]) -> Option<RoleProcess> {
    let (program, arguments) = words.split_first()?;
    let name = program.rsplit('/').next()?;
    let role = *arguments.first()?;
    if !name.starts_with("cumulet") || !["vm", "balancer", "autoscaler"].contains(&role) {
        return None;
    }
    let value_of = |flag: &str| {
        let at = arguments.iter().position(|word| *word == flag)?;
        arguments.get(at + 1).copied()
    };
    Some(RoleProcess {
        pid,
        role: role.to_owned(),
        vm: value_of("--id").and_then(|id| id.parse().ok()),
        state: value_of("--state").map(str::to_owned),
    })
}

fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_recognised_by_its_command_line_and_nothing_else_is() {
        let vm = ["/opt/cumulet", "vm", "--id", "vm-3", "--state", "/tmp/s"];
        let found = recognise(7, &vm).unwrap();
        assert_eq!(found.vm, Some(VmId::numbered(3)));
        assert_eq!(found.state.as_deref(), Some("/tmp/s"));
        assert_eq!(recognise(7, &["cumulet", "balancer", "--state", "x"]).unwrap().vm, None);
        for other in
            [&["vi", "vm", "--id", "vm-3"][..], &["cumulet", "up"], &["cumulet"], &[], &["", "vm"]]
        {
            assert_eq!(recognise(7, other), None, "{other:?}");
        }
    }

    #[test]
    fn a_process_that_is_not_the_vm_gets_no_signal() {
        let own = std::process::id();
        let refused = signal_vm(own, &VmId::numbered(1), Signal::KILL).unwrap_err();
        assert!(matches!(refused, Error::NotOurs { .. }), "{refused}");
        assert!(is_alive(own));
        assert!(!is_alive(0) && !is_alive(u32::MAX));
    }
}
