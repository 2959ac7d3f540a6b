//! Commands that act on a running cluster.

use super::{Usage, print};
use crate::config::Config;
use crate::domain::vm::VmId;
use crate::operator::{self, Fault};
use crate::state::StateFolder;
use crate::state::image::ImageName;

pub(super) fn launch(
    config: &Config,
    instance_type: Option<&str>,
    image: Option<&ImageName>,
) -> anyhow::Result<()> {
    if let Some(name) = instance_type {
        known_type(config, name)?;
    }
    let id = operator::launch(&folder(config)?, instance_type, image)?;
    let what = match (instance_type, image) {
        (None, None) => "as the default type".to_owned(),
        (Some(name), None) => format!("as {name}"),
        (None, Some(image)) => format!("from image {image}"),
        (Some(name), Some(image)) => format!("as {name} from image {image}"),
    };
    print(&format!("{id} will be launched {what}\n"))
}

pub(super) fn protect(config: &Config, id: &VmId, protected: bool) -> anyhow::Result<()> {
    let changed = operator::protect(&folder(config)?, id, protected)?;
    print(&match (protected, changed) {
        (true, true) => format!("no scale-in and no refresh takes {id} away\n"),
        (true, false) => format!("{id} was protected already\n"),
        (false, true) => format!("{id} is no longer protected\n"),
        (false, false) => format!("{id} was not protected\n"),
    })
}

pub(super) fn refresh(config: &Config, share: &str, stop: bool) -> anyhow::Result<()> {
    let folder = folder(config)?;
    if stop {
        let stopped = operator::stop_refresh(&folder)?;
        return print(if stopped { "nothing more is replaced\n" } else { "no refresh goes on\n" });
    }
    let share =
        operator::read_share(share).map_err(|problem| Usage(format!("--share {problem}")))?;
    let count = operator::refresh(&folder, share)?;
    print(&format!("{count} VMs will be replaced; `cumulet events --follow` tells how it goes\n"))
}

pub(super) fn terminate(config: &Config, id: &VmId) -> anyhow::Result<()> {
    operator::terminate(&folder(config)?, id)?;
    print(&format!("{id} gets nothing new; it ends once it has finished what it has\n"))
}

pub(super) fn kill(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, None, Fault::Kill)?;
    print(&format!("{id} killed (pid {pid})\n"))
}

pub(super) fn pause(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, None, Fault::Pause)?;
    print(&format!("{id} hangs (pid {pid}); `cumulet resume {id}` lets it go on\n"))
}

pub(super) fn resume(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, None, Fault::Resume)?;
    print(&format!("{id} goes on (pid {pid})\n"))
}

pub(super) fn pause_autoscaler(config: &Config, paused: bool) -> anyhow::Result<()> {
    let changed = operator::pause_autoscaler(&folder(config)?, paused)?;
    print(match (paused, changed) {
        (true, true) => "the autoscaler leaves the size of the fleet alone\n",
        (true, false) => "the autoscaler was paused already\n",
        (false, true) => "the autoscaler decides again\n",
        (false, false) => "the autoscaler was not paused\n",
    })
}

/// The folder of a cluster that exists.
pub(super) fn folder(config: &Config) -> anyhow::Result<StateFolder> {
    Ok(StateFolder::existing(&config.settings.state)?)
}

/// # Errors
/// A usage error that lists the types there are.
pub(super) fn known_type(config: &Config, name: &str) -> Result<(), Usage> {
    let types = &config.settings.instance_types;
    if types.contains_key(name) {
        return Ok(());
    }
    let names = types.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(Usage(format!("no instance type is called `{name}`; there are {names}")))
}
