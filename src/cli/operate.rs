//! Commands that act on a running cluster.

use std::time::{Duration, Instant};

use super::{Usage, print};
use crate::config::Config;
use crate::domain::vm::VmId;
use crate::operator::{self, Fault};
use crate::state::StateFolder;

pub(super) fn launch(config: &Config, instance_type: Option<&str>) -> anyhow::Result<()> {
    if let Some(name) = instance_type {
        known_type(config, name)?;
    }
    let id = operator::launch(&folder(config)?, instance_type)?;
    let instance_type = instance_type.unwrap_or("the default type");
    print(&format!("{id} will be launched as {instance_type}\n"))
}

pub(super) fn terminate(config: &Config, id: &VmId) -> anyhow::Result<()> {
    operator::terminate(&folder(config)?, id)?;
    print(&format!("{id} gets nothing new; it ends once it has finished what it has\n"))
}

pub(super) fn kill(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, Fault::Kill)?;
    print(&format!("{id} killed (pid {pid})\n"))
}

pub(super) fn pause(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, Fault::Pause)?;
    print(&format!("{id} hangs (pid {pid}); `cumulet resume {id}` lets it go on\n"))
}

pub(super) fn resume(config: &Config, id: &VmId) -> anyhow::Result<()> {
    let pid = operator::inflict(&folder(config)?, id, Fault::Resume)?;
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

/// The time in which a new balancer has started, on however busy a machine.
const TAKEOVER: Duration = Duration::from_secs(30);

pub(super) fn restart_balancer(config: &Config) -> anyhow::Result<()> {
    let folder = folder(config)?;
    let before = operator::restart_balancer(&folder)?;
    let asked = Instant::now();
    while asked.elapsed() < TAKEOVER {
        let now = folder.read_cluster_file()?.and_then(|file| file.balancer_pid);
        if let (Some(pid), true) = (now, now != before) {
            let left = before.map(|pid| format!("; pid {pid} finishes what it has"));
            return print(&format!("the balancer is pid {pid} now{}\n", left.unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("no new balancer has started within {TAKEOVER:?}: `cumulet events` may say why")
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
