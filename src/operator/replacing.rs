//! Which VMs are replaced, and which are not.

use jiff::Timestamp;

use super::{Error, change, no_cluster, tell};
use crate::domain::decision::Action;
use crate::domain::vm::VmId;
use crate::state::StateFolder;
use crate::state::as_state::Refresh;
use crate::state::events::EventKind;
use crate::units::Share;

/// Protects a VM from scale-in and refresh, or no longer. Returns whether that changed anything.
///
/// # Errors
/// [`Error::NoSuchVm`] for one that ASState.xml does not list, [`Error::Leaving`],
/// [`Error::NoCluster`], [`Error::State`].
pub fn protect(folder: &StateFolder, id: &VmId, protected: bool) -> Result<bool, Error> {
    let changed = change(folder, |file| {
        let order = file.vms.iter_mut().find(|order| &order.id == id)?;
        if order.action == Action::Delete {
            return Some(Err(Error::Leaving(id.clone())));
        }
        Some(Ok(std::mem::replace(&mut order.protected, protected) != protected))
    })?;
    let changed = changed.ok_or_else(|| Error::unknown_vm(folder, id))??;
    if changed {
        let told = if protected { "protected" } else { "no longer protected" };
        tell(folder, EventKind::Operator, Some(id), told);
    }
    Ok(changed)
}

/// Reads a share of the fleet, `25%` or `0.25`.
///
/// # Errors
/// A sentence with what would be one.
pub fn read_share(text: &str) -> Result<Share, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    let share = number.ok().and_then(|number| Share::new(number).ok());
    share
        .filter(|share| share.get() > 0.0)
        .ok_or_else(|| format!("{text}: a share above 0 % and up to 100 % is needed, such as 25%"))
}

/// Asks for every VM to be replaced, a share of the fleet at a time. Returns how many VMs that are.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`].
pub fn refresh(folder: &StateFolder, share: Share) -> Result<u32, Error> {
    if folder.read_cluster_file()?.is_none() {
        return Err(no_cluster(folder));
    }
    let count = change(folder, |file| {
        file.refresh = Some(Refresh { before: Timestamp::now(), share });
        let replaced = file.vms.iter().filter(|order| order.counts() && !order.protected);
        u32::try_from(replaced.count()).unwrap_or(u32::MAX)
    })?;
    let percent = share.get() * 100.0;
    let told = format!("refresh asked for: {count} VMs, {percent:.0} % at a time");
    tell(folder, EventKind::Operator, None, &told);
    Ok(count)
}

/// Stops a refresh: what is on its way ends, nothing more is replaced. Returns whether there was
/// one.
///
/// # Errors
/// [`Error::NoCluster`], [`Error::State`].
pub fn stop_refresh(folder: &StateFolder) -> Result<bool, Error> {
    let stopped = change(folder, |file| file.refresh.take().is_some())?;
    if stopped {
        tell(folder, EventKind::Operator, None, "refresh stopped");
    }
    Ok(stopped)
}
