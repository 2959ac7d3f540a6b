//! Holds this process to the memory of its instance type.
//!
//! On Linux the kernel counts what a process may write to of its own (`RLIMIT_DATA`, see
//! `setrlimit(2)`; since Linux 4.7 that is heap, large allocations and thread stacks): an
//! allocation beyond the limit fails and ends the process, as running out of memory ends it on a
//! real instance. That needs no privilege. Where there is no such limit, the process looks at its
//! resident memory ten times a second, which misses a short peak.

use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// How often the resident memory is looked at where the system keeps no limit.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a shell says of a process that was killed (128 + SIGKILL), as the kernel does it.
const KILLED: i32 = 137;

/// Holds this process to so many bytes from now on. Says how.
///
/// # Errors
/// If the memory cannot be limited nor even be looked at.
pub fn hold_to(bytes: u64) -> std::io::Result<&'static str> {
    if by_the_kernel(bytes) {
        return Ok("RLIMIT_DATA");
    }
    std::thread::Builder::new().name("memory".to_owned()).spawn(move || {
        let mut meter = Meter::default();
        while meter.resident_bytes() <= bytes {
            std::thread::sleep(LOOK_EVERY);
        }
        // The last words are what the cluster tells of the end.
        tracing::error!("out of memory: more than {bytes} bytes resident");
        std::process::exit(KILLED);
    })?;
    Ok("a look at its resident memory ten times a second")
}

/// Whether the kernel keeps the limit.
#[cfg(target_os = "linux")]
fn by_the_kernel(bytes: u64) -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Data, limit).is_ok()
}

/// Other kernels accept the limit and do not count large allocations.
#[cfg(not(target_os = "linux"))]
fn by_the_kernel(_bytes: u64) -> bool {
    false
}

/// Tells the resident memory of this process.
#[derive(Debug, Default)]
pub(super) struct Meter {
    system: Option<System>,
}

impl Meter {
    /// Resident memory in bytes, 0 where the system does not tell.
    pub(super) fn resident_bytes(&mut self) -> u64 {
        if self.system.is_none() {
            self.system = System::new().ok();
        }
        let Some(system) = &mut self.system else { return 0 };
        let pid = Pid::from_u32(std::process::id());
        let memory = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, memory);
        system.process(pid).map_or(0, sysinfo::Process::memory)
    }
}
