//! How a cluster begins: takes the folder, finds what runs, says what should run.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc::unbounded_channel;

use super::hold::Hold;
use super::machine::Machine;
use super::role::Role;
use super::{Cluster, Front, Settings, adopt, child};
use crate::domain::decision::Action;
use crate::domain::restart::LaunchPace;
use crate::domain::vm::VmId;
use crate::process::{self, RoleProcess};
use crate::state::StateFolder;
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::cluster_file::ClusterFile;
use crate::state::events::EventKind;
use crate::state::vm_state::VmStateFile;
use crate::state::watch::Watcher;

/// Who the cluster is in the `by` of an order.
const BY: &str = "cluster";

/// Takes the folder and its survivors and starts the roles.
pub(super) async fn start(
    settings: Settings,
    folder: StateFolder,
    restarts: Signal,
) -> anyhow::Result<Cluster> {
    let hold = Hold::take(folder.path())?;
    let before = folder.read_cluster_file().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of an earlier cluster cannot be read");
        None
    });
    let (survivors, useless) = adopt::sort(adopt::survivors(&folder)?, before.as_ref());
    let ended = adopt::end(useless).await;
    let front = front(&settings, before.as_ref(), &survivors)?;
    let continued = first_orders(&settings, &folder, &survivors)?;
    let watcher = Watcher::start(&folder).context("cannot watch the state folder")?;
    let now = Instant::now();
    let mut cluster = Cluster {
        vm_state: watcher.follow(),
        as_state: watcher.follow(),
        _watcher: watcher,
        hold,
        exits: unbounded_channel(),
        answers: unbounded_channel(),
        machines: HashMap::new(),
        deaths: HashMap::new(),
        pace: LaunchPace::new(settings.launches_per_minute),
        paced: false,
        reported: HashMap::new(),
        asked: HashSet::new(),
        began: now,
        problems: Vec::new(),
        trouble: None,
        front,
        balancer: Role::new("balancer", now),
        predecessors: Vec::new(),
        restarts,
        autoscaler: Role::new("autoscaler", now),
        functions: Role::new("functions", now),
        settings,
        folder,
    };
    for said in ended {
        cluster.record(EventKind::Role, None, said).await;
    }
    for survivor in survivors {
        cluster.take_over(survivor, now).await;
    }
    if continued > 0 {
        let detail = format!("ASState.xml wants {continued} VMs already: carrying on from it");
        cluster.record(EventKind::Role, None, detail).await;
    }
    if let Err(error) = try_socket(&cluster.folder) {
        let detail = format!("VMs are reached by their ports alone: {error}");
        cluster.record(EventKind::Role, None, detail).await;
    }
    cluster.start_roles().await;
    cluster.write_addresses();
    Ok(cluster)
}

/// Whether VMs can have sockets in the folder, by its whole path, as they are told it, and under as
/// long a name as most will have.
///
/// # Errors
/// Why not.
fn try_socket(folder: &StateFolder) -> anyhow::Result<()> {
    let folder = StateFolder::existing(&std::path::absolute(folder.path())?)?;
    folder.open_socket(&VmId::numbered(9_999), std::process::id())?;
    Ok(())
}

/// Opens the sockets, unless a balancer from before still holds them.
fn front(
    settings: &Settings,
    before: Option<&ClusterFile>,
    survivors: &[RoleProcess],
) -> anyhow::Result<Front> {
    let balancer = survivors.iter().find(|process| process.role == "balancer");
    match (before.and_then(adopt::addresses), balancer) {
        (Some((address, admin)), Some(balancer)) => {
            Ok(Front::held_by(balancer.pid, address, admin))
        }
        _ => Front::open(settings.port, settings.admin_port),
    }
}

/// Writes what should run, unless the file says it already: after a crash, or because a person
/// wrote it. Returns how many VMs it wanted then.
fn first_orders(
    settings: &Settings,
    folder: &StateFolder,
    survivors: &[RoleProcess],
) -> anyhow::Result<u32> {
    let dead = |id: &VmId| !survivors.iter().any(|process| process.vm.as_ref() == Some(id));
    folder.update_or(VmStateFile::default, |file: &mut VmStateFile| {
        file.vms.retain(|vm| process::is_vm(vm.pid, &vm.id));
    })?;
    folder.sweep_sockets(|id, pid| process::is_vm(pid, id));
    Ok(folder.update_or(AsStateFile::default, |file: &mut AsStateFile| {
        // Without its process, a VM that was to be deleted is gone already.
        file.vms.retain(|order| order.action != Action::Delete || !dead(&order.id));
        let before = file.wanted();
        if file.vms.is_empty() {
            *file = fresh_orders(settings, file);
        }
        file.agree();
        before
    })?)
}

fn fresh_orders(settings: &Settings, before: &AsStateFile) -> AsStateFile {
    let (minimum, maximum) = settings.bounds;
    let vms = settings.vms.min(maximum);
    let order = |number| VmOrder {
        instance_type: Some(settings.instance_type.clone()),
        by: Some(BY.to_owned()),
        since: Some(Timestamp::now()),
        reason: Some(format!("the cluster starts with {vms}")),
        ..VmOrder::new(VmId::numbered(number), Action::Add)
    };
    let mut fresh = AsStateFile {
        seq: before.seq,
        minimum,
        maximum,
        last_vm: vms.into(),
        vms: (1..=vms.into()).map(order).collect(),
        balancing: before.balancing,
        foreign: before.foreign.clone(),
        ..AsStateFile::default()
    };
    fresh.agree();
    fresh
}

impl Cluster {
    /// A process of an earlier cluster becomes this one's.
    async fn take_over(&mut self, survivor: RoleProcess, now: Instant) {
        let RoleProcess { pid, role, vm, .. } = survivor;
        let role = match (role.as_str(), vm) {
            (_, Some(id)) => return self.take_over_vm(id, pid).await,
            (name, None) => self.role(name),
        };
        role.started(pid, now);
        child::adopt(pid, self.exits.0.clone());
    }

    /// A VM that this cluster did not launch becomes its own.
    pub(super) async fn take_over_vm(&mut self, id: VmId, pid: u32) {
        self.record(EventKind::Role, Some(&id), format!("found running, pid {pid}")).await;
        self.machines.insert(id, Machine { ready: true, ..Machine::new(pid, Instant::now()) });
        child::adopt(pid, self.exits.0.clone());
    }

    /// Takes the folder again if it was removed and says in it once more what nobody else would.
    ///
    /// # Errors
    /// If another cluster was faster.
    pub(super) fn keep_folder(&mut self) -> anyhow::Result<()> {
        if self.hold.is_in_force() && self.folder.path().join(ClusterFile::FILE).exists() {
            return Ok(());
        }
        if let Err(error) = StateFolder::open(self.folder.path()) {
            self.complain(Some(error));
            return Ok(());
        }
        if !self.hold.is_in_force() {
            self.hold = Hold::take(self.folder.path())?;
        }
        self.write_addresses();
        Ok(())
    }

    /// Writes cluster.toml: the addresses in force.
    pub(super) fn write_addresses(&mut self) {
        let file = ClusterFile {
            pid: std::process::id(),
            started_at: Timestamp::now(),
            balancer: self.front.address.to_string(),
            admin: self.front.admin.to_string(),
            balancer_pid: self.balancer.pid(),
            autoscaler_pid: self.autoscaler.pid(),
        };
        self.complain(self.folder.write_cluster_file(&file).err());
    }
}
