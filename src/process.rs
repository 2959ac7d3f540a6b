//! Processes of this machine: is it alive, is it ours, send it a signal.
//!
//! A process id that stands in a file may have been given to somebody else since. Nothing here
//! sends a signal before it has seen that the process is the one that is meant, by its command
//! line.

pub mod descriptors;
pub mod shell;

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

/// Whether there is a process with this id that still does something. One that has ended and that
/// its parent has not asked about does not: in a container, the first process often never asks.
pub fn is_alive(pid: u32) -> bool {
    raw(pid).is_some_and(|id| test_kill_process(id).is_ok()) && !has_ended(pid)
}

/// Whether Linux says `Z` (zombie) or `X` (dead) of this process, see `proc_pid_stat(5)`. The name
/// before the letter may hold any character, so it is found from the last parenthesis. Elsewhere
/// nothing is known.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let name_ends = stat.iter().rposition(|&byte| byte == b')');
    name_ends.is_some_and(|at| matches!(stat.get(at + 2), Some(b'Z' | b'X')))
}

/// Waits for a process to end. Linux tells at once, see `pidfd_open(2)`; where that cannot be had,
/// or the process is not known, this waits for ever.
pub async fn ended(pid: u32) {
    #[cfg(target_os = "linux")]
    if let Some(ended) = raw(pid).and_then(watch) {
        // A pidfd becomes readable when its process ends.
        if ended.readable().await.is_ok() {
            return;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = pid;
    std::future::pending::<()>().await;
}

#[cfg(target_os = "linux")]
fn watch(pid: Pid) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    use tokio::io::{Interest, unix::AsyncFd};
    let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    #[expect(unsafe_code, reason = "tokio asks for a promise about the file descriptor")]
    // SAFETY: an `OwnedFd` is open and the same for as long as it lives, and it moves in here.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.ok()
}

/// Whether the end of this process's terminal (SIGHUP) is meant to reach it: not under `nohup`, see
/// `SigIgn` in `proc_pid_status(5)`. Where that is not known it is, for the system's answer to it is
/// to end the process at once, and its children would be left.
pub fn hears_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|m| m & 1 == 0)
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

/// Whether the process with this id is the VM with that one.
pub fn is_vm(pid: u32, id: &VmId) -> bool {
    is_alive(pid)
        && roles(Some(pid)).is_ok_and(|found| found.iter().any(|it| it.vm.as_ref() == Some(id)))
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

/// Sends a signal to the `up` that holds a cluster together, after having looked whether the process
/// is one.
///
/// # Errors
/// As [`signal`].
pub fn signal_cluster(pid: u32, sent: Signal) -> Result<(), Error> {
    let what = "a `cumulet up`";
    let words = arguments(pid).unwrap_or_default();
    let words = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>();
    let words = words.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
    match role_of(&words) {
        Some("up") => signal(pid, sent, what),
        _ => Err(Error::NotOurs { pid, what: what.to_owned() }),
    }
}

/// A process that runs a role of some cluster, read from its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleProcess {
    /// Its process id.
    pub pid: u32,
    /// The role: `vm`, `balancer`, `autoscaler`, `functions`.
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

/// The command line of a process, the program first; none if it cannot be read.
pub fn arguments(pid: u32) -> Option<Vec<std::ffi::OsString>> {
    let mut system = System::new().ok()?;
    let pid = sysinfo::Pid::from_u32(pid);
    let command_line = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, command_line);
    Some(system.process(pid)?.cmd().to_vec())
}

/// Whether a program is this one, by its file name: somebody may have given it another.
fn is_ours(program: &str) -> bool {
    let Some(name) = program.rsplit('/').next() else { return false };
    let own = || std::env::current_exe().ok()?.file_name()?.to_str().map(str::to_owned);
    name.starts_with("cumulet") || own().is_some_and(|own| own == name)
}

/// The command in `cumulet COMMAND …`; flags may stand before it.
fn role_of<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (program, arguments) = words.split_first()?;
    if !is_ours(program) {
        return None;
    }
    let mut left = arguments;
    loop {
        left = match left {
            ["--state" | "--config" | "--set", _value, rest @ ..] => rest,
            [flag, rest @ ..] if flag.starts_with('-') => rest,
            // `cumulet autoscaler pause` is a wish, not a role.
            [_, wish, ..] if !wish.starts_with('-') => return None,
            [role, ..] => return Some(role),
            [] => return None,
        };
    }
}

/// Reads `cumulet ROLE [--id ID] [--state DIR]`, as the cluster starts it or as a person types it:
/// flags before the role, or with `=`.
fn recognise(pid: u32, words: &[&str]) -> Option<RoleProcess> {
    let role = role_of(words)?;
    let arguments = words.get(1..)?;
    if !["vm", "balancer", "autoscaler", "functions"].contains(&role) {
        return None;
    }
    let value_of = |flag: &str| {
        arguments.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(flag)? {
            "" => arguments.get(at + 1).copied(),
            rest => rest.strip_prefix('='),
        })
    };
    let vm = if role == "vm" { Some(value_of("--id")?.parse().ok()?) } else { None };
    let state = value_of("--state").map(str::to_owned);
    Some(RoleProcess { pid, role: role.to_owned(), vm, state })
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
        let typed = ["cumulet", "--state", "/tmp/s", "--set", "vms=2", "vm", "--id=vm-3"];
        assert_eq!(recognise(7, &typed), Some(found));
        for other in [
            &["vi", "vm", "--id", "vm-3"][..],
            &["cumulet", "up"],
            &["cumulet", "autoscaler", "pause"],
            &["cumulet", "vm", "--id"],
            &["cumulet", "vm", "--id", "VM 3"],
            &["cumulet"],
            &[],
            &["", "vm"],
        ] {
            assert_eq!(recognise(7, other), None, "{other:?}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_not_alive_although_its_parent_has_not_asked() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(is_alive(child.id()));
        child.kill().unwrap();
        let start = std::time::Instant::now();
        while is_alive(child.id()) {
            assert!(start.elapsed().as_secs() < 60, "the zombie still counts as alive");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.wait().unwrap();
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
