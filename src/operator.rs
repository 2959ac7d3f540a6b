//! What a person can ask of a cluster: each a change of ASState.xml with the same force as an edit
//! by hand, or a signal to one VM. The command line and the screen share these functions.

mod replacing;
mod scaling;
mod volley;

use jiff::Timestamp;
use rustix::process::Signal;

use crate::domain::balancing;
use crate::domain::decision::Action;
use crate::domain::scaling::BadPolicy;
use crate::domain::vm::{VmId, VmState};
use crate::process;
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::events::{Event, EventKind};
use crate::state::image::ImageName;
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::state::{self, StateFolder};

pub use replacing::{protect, read_share, refresh, stop_refresh};
pub use scaling::{set_desired, set_limits, set_policy};
pub use volley::Volley;

/// Who the operator is in the `by` of an order.
pub const BY: &str = "operator";

/// Why a wish was not granted. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The VM's process could not be reached.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// There is no VM of this name.
    #[error("there is no VM called {id}; there is {known}")]
    NoSuchVm {
        /// The id that was asked for.
        id: VmId,
        /// The ids that exist.
        known: String,
    },
    /// No cluster runs on this folder.
    #[error("no cluster runs on {0}: start one with `cumulet up`")]
    NoCluster(String),
    /// The policy does not exist, or its parameters make no sense.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// The minimum is above the maximum.
    #[error("the minimum {minimum} is above the maximum {maximum}")]
    Limits {
        /// Fewest VMs, as asked for.
        minimum: u32,
        /// Most VMs, as asked for.
        maximum: u32,
    },
    /// A size outside the limits.
    #[error(
        "{asked} VMs are not allowed: the limits are {minimum} to {maximum}; \
             `cumulet limits MIN MAX` changes them"
    )]
    Desired {
        /// VMs asked for.
        asked: u32,
        /// Fewest VMs.
        minimum: u32,
        /// Most VMs.
        maximum: u32,
    },
    /// The VM is asked for, but it has not reported yet, so its process is not known.
    #[error("{0} has not started yet: try again in a moment")]
    NotStarted(VmId),
    /// The VM is to be deleted.
    #[error("{0} is to be deleted already: nothing can protect it any more")]
    Leaving(VmId),
    /// The VM has another process than the one that was meant.
    #[error("{id} is not process {meant} any more: nothing was done")]
    Another {
        /// The VM.
        id: VmId,
        /// The process that was meant.
        meant: u32,
    },
    /// The VM is on its way out.
    #[error("{id} is {state} and has no process to act on")]
    NotAlive {
        /// The VM.
        id: VmId,
        /// The state it reported last.
        state: VmState,
    },
}

impl Error {
    /// [`Error::NoSuchVm`] with the VMs that the folder knows.
    pub fn unknown_vm(folder: &StateFolder, id: &VmId) -> Self {
        let file = folder.read::<AsStateFile>().ok().flatten().unwrap_or_default();
        let vms = folder.read::<VmStateFile>().ok().flatten().unwrap_or_default();
        no_such_vm(id, &file, &vms)
    }
}

/// Has a new balancer take over from the one that runs: requests go on meanwhile. Returns the
/// process of the old one; once the new one runs, `cluster.toml` names it.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`], [`Error::Process`].
pub fn restart_balancer(folder: &StateFolder) -> Result<Option<u32>, Error> {
    let Some(cluster) = folder.read_cluster_file()? else { return Err(no_cluster(folder)) };
    process::signal_cluster(cluster.pid, Signal::USR2)?;
    tell(folder, EventKind::Operator, None, "a restart of the balancer asked for");
    Ok(cluster.balancer_pid)
}

/// Asks for one more VM, of the given type and image or the cluster's default. Returns its id.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`], also if there is no such image.
pub fn launch(
    folder: &StateFolder,
    instance_type: Option<&str>,
    image: Option<&ImageName>,
) -> Result<VmId, Error> {
    if let Some(image) = image {
        folder.read_image(image)?;
    }
    if folder.read_cluster_file()?.is_none() {
        return Err(no_cluster(folder));
    }
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default();
    let id = change(folder, |file| {
        let id = file.next_vm_id(|id| vms.vm(id).is_some());
        file.vms.push(VmOrder {
            instance_type: instance_type.map(str::to_owned),
            image: image.map(ToString::to_string),
            by: Some(BY.to_owned()),
            since: Some(Timestamp::now()),
            reason: Some("launch asked for".to_owned()),
            ..VmOrder::new(id.clone(), Action::Add)
        });
        id
    })?;
    tell(folder, EventKind::Operator, Some(&id), "launch asked for");
    Ok(id)
}

/// Asks for a VM to be drained and terminated.
///
/// # Errors
/// [`Error::NoSuchVm`], [`Error::NoCluster`], [`Error::State`].
pub fn terminate(folder: &StateFolder, id: &VmId) -> Result<(), Error> {
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default();
    change(folder, |file| {
        if file.order(id).is_none() && vms.vm(id).is_none() {
            return Err(no_such_vm(id, file, &vms));
        }
        if file.order(id).is_none() {
            file.vms.push(VmOrder::new(id.clone(), Action::Delete));
        }
        for order in file.vms.iter_mut().filter(|order| &order.id == id) {
            order.action = Action::Delete;
            order.by = Some(BY.to_owned());
            order.since = Some(Timestamp::now());
            order.reason = Some("terminate asked for".to_owned());
        }
        Ok(())
    })??;
    tell(folder, EventKind::Operator, Some(id), "terminate asked for");
    Ok(())
}

/// Something done to a VM's process, as faults happen: without a word to the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL: it is gone at once, with all it was working on.
    Kill,
    /// SIGSTOP: it hangs.
    Pause,
    /// SIGCONT: it goes on.
    Resume,
}

impl Fault {
    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Pause => Signal::STOP,
            Self::Resume => Signal::CONT,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// Does `fault` to a VM; if a process is `meant`, only while the VM is that very process. Returns the
/// id of its process.
///
/// # Errors
/// [`Error::NoSuchVm`], [`Error::NotStarted`], [`Error::NotAlive`], [`Error::Another`],
/// [`Error::Process`], [`Error::State`].
pub fn inflict(
    folder: &StateFolder,
    id: &VmId,
    meant: Option<u32>,
    fault: Fault,
) -> Result<u32, Error> {
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default();
    let Some(VmReport { pid, state, .. }) = vms.vm(id).cloned() else {
        let file = folder.read::<AsStateFile>()?.unwrap_or_default();
        return Err(match file.order(id) {
            Some(_) => Error::NotStarted(id.clone()),
            None => no_such_vm(id, &file, &vms),
        });
    };
    if state == VmState::Terminated {
        return Err(Error::NotAlive { id: id.clone(), state });
    }
    if let Some(meant) = meant.filter(|meant| *meant != pid) {
        return Err(Error::Another { id: id.clone(), meant });
    }
    process::signal_vm(pid, id, fault.signal())?;
    tell(
        folder,
        EventKind::Fault,
        Some(id),
        &format!("{} by the operator, pid {pid}", fault.told()),
    );
    Ok(pid)
}

/// Pauses the autoscaler, or lets it go on. Returns whether that changed anything.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`].
pub fn pause_autoscaler(folder: &StateFolder, paused: bool) -> Result<bool, Error> {
    let changed = change(folder, |file| std::mem::replace(&mut file.paused, paused) != paused)?;
    if changed {
        let told = if paused { "autoscaler paused" } else { "autoscaler resumed" };
        tell(folder, EventKind::Operator, None, told);
    }
    Ok(changed)
}

/// Has the balancer choose VMs by `policy` from now on. Returns whether that changed anything.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`].
pub fn balance_by(folder: &StateFolder, policy: balancing::Policy) -> Result<bool, Error> {
    let changed = change(folder, |file| file.balancing.replace(policy) != Some(policy))?;
    if changed {
        tell(folder, EventKind::Operator, None, &format!("balancing by {policy} asked for"));
    }
    Ok(changed)
}

/// Changes ASState.xml of a cluster that exists.
fn change<R>(folder: &StateFolder, change: impl FnOnce(&mut AsStateFile) -> R) -> Result<R, Error> {
    if folder.read::<AsStateFile>()?.is_none() {
        return Err(no_cluster(folder));
    }
    Ok(folder.update(|file: &mut AsStateFile| {
        let (desired, wanted) = (file.desired, file.wanted());
        let result = change(file);
        // More or fewer elements are as many more or fewer desired; a size that is asked for and
        // has not been obeyed yet stays asked for.
        if file.desired == desired && file.wanted() != wanted && file.asked().is_none() {
            file.agree();
        }
        result
    })?)
}

fn no_cluster(folder: &StateFolder) -> Error {
    Error::NoCluster(folder.path().display().to_string())
}

fn no_such_vm(id: &VmId, file: &AsStateFile, vms: &VmStateFile) -> Error {
    let mut known = vms.vms.iter().map(|vm| &vm.id).collect::<Vec<_>>();
    known.extend(file.vms.iter().map(|order| &order.id));
    known.sort_by_key(|id| (id.number(), *id));
    known.dedup();
    let known = known.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    Error::NoSuchVm { id: id.clone(), known }
}

/// What was done is done, whether or not the log can be written.
fn tell(folder: &StateFolder, kind: EventKind, vm: Option<&VmId>, detail: &str) {
    let event = Event::now(kind, BY, vm.cloned(), detail.to_owned());
    if let Err(error) = folder.append_event(&event) {
        tracing::warn!(%error, "cannot record the event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::cluster_file::ClusterFile;

    fn stopped() -> (tempfile::TempDir, StateFolder) {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(parent.path()).unwrap();
        folder.update(|_: &mut AsStateFile| ()).unwrap();
        (parent, folder)
    }

    #[test]
    fn nothing_is_launched_where_no_cluster_would_see_it() {
        let (_parent, folder) = stopped();
        let refused = launch(&folder, None, None).unwrap_err().to_string();
        assert!(refused.starts_with("no cluster runs on"), "{refused}");
        assert_eq!(folder.read::<AsStateFile>().unwrap().unwrap().vms, []);
    }

    #[test]
    fn a_vm_that_has_not_reported_yet_is_known_but_cannot_be_killed() {
        let (_parent, folder) = stopped();
        let running = ClusterFile {
            pid: 1,
            started_at: Timestamp::UNIX_EPOCH,
            balancer: String::new(),
            admin: String::new(),
            balancer_pid: None,
            autoscaler_pid: None,
        };
        folder.write_cluster_file(&running).unwrap();
        let id = launch(&folder, Some("local"), None).unwrap();
        let refused = inflict(&folder, &id, None, Fault::Kill).unwrap_err().to_string();
        assert_eq!(refused, "vm-1 has not started yet: try again in a moment");
        let unknown =
            inflict(&folder, &VmId::numbered(2), None, Fault::Kill).unwrap_err().to_string();
        assert_eq!(unknown, "there is no VM called vm-2; there is vm-1");
        terminate(&folder, &id).unwrap();
        let order = folder.read::<AsStateFile>().unwrap().unwrap().vms.remove(0);
        assert_eq!((order.action, order.by.as_deref()), (Action::Delete, Some(BY)));
    }
}
