//! How a cluster begins: takes the folder, finds what runs, says what should run.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use jiff::Timestamp;
use tokio::sync::mpsc::unbounded_channel;

use super::machine::Machine;
use super::role::Role;
use super::{Cluster, Front, Settings, adopt, child};
use crate::domain::decision::Action;
use crate::domain::scaling;
use crate::domain::vm::VmId;
use crate::process::RoleProcess;
use crate::state::StateFolder;
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::cluster_file::ClusterFile;
use crate::state::events::EventKind;
use crate::state::vm_state::VmStateFile;
use crate::state::watch::Watcher;
use crate::state::xml::Foreign;

/// Who the cluster is in the `by` of an order.
const BY: &str = "cluster";

/// Takes the folder and its survivors and starts the roles.
pub(super) async fn start(settings: Settings, folder: StateFolder) -> anyhow::Result<Cluster> {
    let lock = take(&folder)?;
    let before = folder.read_cluster_file().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of an earlier cluster cannot be read");
        None
    });
    let survivors = adopt::survivors(&folder)?;
    let front = front(&settings, before.as_ref(), &survivors)?;
    let continued = first_orders(&settings, &folder, &survivors)?;
    let watcher = Watcher::start(&folder).context("cannot watch the state folder")?;
    let now = Instant::now();
    let mut cluster = Cluster {
        vm_state: watcher.follow(),
        as_state: watcher.follow(),
        _watcher: watcher,
        _lock: lock,
        exits: unbounded_channel(),
        answers: unbounded_channel(),
        machines: HashMap::new(),
        deaths: HashMap::new(),
        reported: HashMap::new(),
        asked: HashSet::new(),
        front,
        balancer: Role::new("balancer", now),
        autoscaler: Role::new("autoscaler", now),
        settings,
        folder,
    };
    for survivor in survivors {
        cluster.take_over(survivor, now).await;
    }
    if continued > 0 {
        let detail = format!("ASState.xml wants {continued} VMs already: carrying on from it");
        cluster.record(EventKind::Role, None, detail).await;
    }
    cluster.start_roles().await;
    Ok(cluster)
}

/// Locks the folder for this cluster. The kernel gives the lock back when the process ends,
/// however it ends.
fn take(folder: &StateFolder) -> anyhow::Result<File> {
    let path = folder.path().join("cluster.lock");
    let said = || format!("cannot lock {}", path.display());
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(said)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).with_context(said)?;
            bail!(
                "a cluster runs on {} already (process {}): stop it, or choose another folder \
                 with --state",
                folder.path().display(),
                holder.trim()
            );
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(said),
    }
    file.set_len(0).with_context(said)?;
    file.rewind().with_context(said)?;
    writeln!(file, "{}", std::process::id()).with_context(said)?;
    Ok(file)
}

/// Opens the sockets, unless a balancer from before still holds them.
fn front(
    settings: &Settings,
    before: Option<&ClusterFile>,
    survivors: &[RoleProcess],
) -> anyhow::Result<Front> {
    let balancer_lives = survivors.iter().any(|process| process.role == "balancer");
    let addresses = before.and_then(|file| {
        Some((file.balancer.parse::<SocketAddr>().ok()?, file.admin.parse::<SocketAddr>().ok()?))
    });
    match addresses {
        Some((address, admin)) if balancer_lives => Ok(Front::held_elsewhere(address, admin)),
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
        file.vms.retain(|vm| !dead(&vm.id) || crate::process::is_alive(vm.pid));
    })?;
    Ok(folder.update_or(AsStateFile::default, |file: &mut AsStateFile| {
        // Without its process, a VM that was to be deleted is gone already.
        file.vms.retain(|order| order.action != Action::Delete || !dead(&order.id));
        let before = file.wanted();
        if file.vms.is_empty() {
            *file = fresh_orders(settings, file);
        }
        file.desired = file.wanted();
        before
    })?)
}

fn fresh_orders(settings: &Settings, before: &AsStateFile) -> AsStateFile {
    let (minimum, maximum) = settings.bounds;
    let order = |number| VmOrder {
        id: VmId::numbered(number),
        action: Action::Add,
        instance_type: Some(settings.instance_type.clone()),
        by: Some(BY.to_owned()),
        since: Some(Timestamp::now()),
        reason: Some(format!("the cluster starts with {}", settings.vms)),
        foreign: Foreign::default(),
    };
    AsStateFile {
        seq: before.seq,
        policy: scaling::TARGET_TRACKING.to_owned(),
        minimum,
        maximum,
        last_vm: u64::from(settings.vms),
        vms: (1..=u64::from(settings.vms)).map(order).collect(),
        foreign: before.foreign.clone(),
        ..AsStateFile::default()
    }
}

impl Cluster {
    /// A process of an earlier cluster becomes this one's.
    async fn take_over(&mut self, survivor: RoleProcess, now: Instant) {
        let RoleProcess { pid, role, vm, .. } = survivor;
        match (role.as_str(), vm) {
            ("vm", Some(id)) => {
                self.record(EventKind::Role, Some(&id), format!("found running, pid {pid}")).await;
                self.machines.insert(id, Machine { ready: true, ..Machine::new(pid, now) });
            }
            ("balancer", _) if self.balancer.pid().is_none() => self.balancer.started(pid, now),
            ("autoscaler", _) if self.autoscaler.pid().is_none() => {
                self.autoscaler.started(pid, now);
            }
            _ => return,
        }
        child::adopt(pid, self.exits.0.clone());
    }

    /// Writes cluster.toml: the addresses in force.
    pub(super) fn write_addresses(&self) {
        let file = ClusterFile {
            pid: std::process::id(),
            started_at: Timestamp::now(),
            balancer: self.front.address.to_string(),
            admin: self.front.admin.to_string(),
            balancer_pid: self.balancer.pid(),
            autoscaler_pid: self.autoscaler.pid(),
        };
        if let Err(error) = self.folder.write_cluster_file(&file) {
            tracing::error!(%error, "cannot write the addresses of the cluster");
        }
    }
}
