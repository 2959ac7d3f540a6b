//! One emulated VM: a process with a webserver, so many vCPUs of a certain speed, a slow boot and a
//! report every few seconds.
//!
//! ```text
//!  connection ──▶ service ──▶ route ──▶ body ──▶ admission ──▶ job, on threads of its own
//!                                                  (queue)      paced by virtual_cpu
//!                    ◀── answer, with the VM's load ◀──────────────┘
//!                                     │
//!                                  ledger ──▶ metrics.txt
//!  ASState.xml ──▶ life ──▶ phase ──▶ report ──▶ VMState.xml, samples.txt
//! ```
//!
//! The rule while it drains: it goes on serving whatever still comes. The balancer is who stops
//! sending, and what it sent before it knew must not fail. Only the signal to stop ends service:
//! then nothing new is accepted and what is in progress may finish.

mod accept;
mod admission;
mod body;
mod complaint;
pub mod environment;
mod hook;
pub mod job;
mod ledger;
mod life;
mod machine;
mod memory;
mod occupancy;
mod priority;
mod register;
mod report;
mod route;
mod service;
mod virtual_cpu;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::domain::instance_type::InstanceType;
use crate::domain::vm::VmId;
use crate::http::server;
use crate::state::{SocketPlace, StateFolder};
use crate::units::Share;
use crate::workload::Limits;

use life::Surroundings;
use machine::Machine;

pub use hook::Hooks;
pub use memory::hold_to as hold_to_memory;

/// How one VM is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub id: VmId,
    /// What it has.
    pub instance_type: InstanceType,
    /// How much of a core of this machine each of its vCPUs is. A type without a number of vCPUs
    /// is never held back.
    pub vcpu_share: Share,
    /// How many times faster than the clock CPU credits are earned and spent.
    pub credit_scale: f64,
    /// Commands of the user's at its launch and its end.
    pub hooks: Hooks,
    /// From the start until it is `running`, already scaled.
    pub boot: Duration,
    /// Time between two reports; also the window over which the load is measured.
    pub report_every: Duration,
    /// How long requests in progress may go on after the signal to stop.
    pub drain_limit: Duration,
    /// Bounds on what one request may ask for.
    pub limits: Limits,
    /// Bytes of one request's body.
    pub body_bytes: u64,
    /// Bytes of the bodies of all requests inside the VM.
    pub all_bodies_bytes: u64,
    /// Requests that may wait for a place to be worked on.
    pub longest_queue: u32,
    /// How many requests it works on at once for each of its vCPUs; 0 is any number.
    pub requests_per_vcpu: u32,
}

impl Settings {
    /// A VM of that type with everything else at its default.
    pub fn new(id: VmId, instance_type: InstanceType) -> Self {
        Self {
            id,
            boot: instance_type.boot,
            instance_type,
            vcpu_share: Share::ALL,
            credit_scale: 1.0,
            hooks: Hooks::default(),
            report_every: Duration::from_secs(5),
            drain_limit: Duration::from_secs(30),
            limits: Limits::default(),
            body_bytes: 64 << 20,
            all_bodies_bytes: 1 << 30,
            longest_queue: 1_000,
            requests_per_vcpu: 2,
        }
    }
}

/// After the drain limit, work that is given up may take so long to say so to its client.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs a VM that answers at `listener` until `stop` is cancelled and what was in progress then has
/// finished or the drain limit has passed. Its last word in VMState.xml is `terminated`.
///
/// A state folder that cannot be written does not stop it from serving.
///
/// # Errors
/// If the listener has no address, or the launch hook fails.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("cannot tell the address of the VM's socket")?;
    let around = Arc::new(surroundings(&settings, &address, &folder));
    let drain_limit = settings.drain_limit;
    let (ledger, booked) = ledger::open(folder.clone());
    let socket = open_socket(&folder, &settings.id);
    let name = socket.as_ref().map(|(_, place)| place.name.clone());
    let machine = Arc::new(Machine::new(settings, address.to_string(), name, ledger));

    let living = {
        let (phase, around, stop) = (machine.phase.clone(), Arc::clone(&around), stop.clone());
        tokio::spawn(async move { life::follow(phase, &around, stop).await })
    };
    let end = CancellationToken::new();
    let reporting = tokio::spawn(report::keep(Arc::clone(&machine), folder, end.clone()));
    let giving_up = tokio::spawn(give_up_after(stop.clone(), drain_limit, Arc::clone(&machine)));

    let service = {
        let machine = Arc::clone(&machine);
        service_fn(move |request| {
            let machine = Arc::clone(&machine);
            async move { Ok(service::answer(machine, request).await) }
        })
    };
    let grace = drain_limit + LAST_WORDS;
    let beside = {
        let (service, stop) = (service.clone(), stop.clone());
        async move {
            match socket {
                Some((socket, _place)) => server::serve(socket, service, stop, grace).await,
                None => true,
            }
        }
    };
    let at_port = server::serve(listener, service, stop, grace);
    let (finished, finished_beside) = tokio::join!(at_port, beside);
    if !(finished && finished_beside) {
        tracing::warn!("stopping although some answers have not been sent yet");
    }
    giving_up.abort();
    machine.ledger.close();
    let lived = living.await.unwrap_or_else(|error| Err(format!("its life ended badly: {error}")));
    if let Err(error) = booked.await {
        tracing::error!(%error, "the task for metrics ended badly");
    }
    let phase = *machine.phase.borrow();
    around.part(phase).await;
    end.cancel();
    if let Err(error) = reporting.await {
        tracing::error!(%error, "the task for reports ended badly");
    }
    lived.map_err(anyhow::Error::msg)
}

/// Listens at a socket in the state folder too, if that can be.
fn open_socket(folder: &StateFolder, id: &VmId) -> Option<(UnixListener, SocketPlace)> {
    let opened = folder.open_socket(id, std::process::id()).map_err(anyhow::Error::from);
    let listening = opened.and_then(|(listener, place)| {
        listener.set_nonblocking(true)?;
        Ok((UnixListener::from_std(listener)?, place))
    });
    listening.inspect_err(|error| tracing::warn!("no socket beside the port: {error}")).ok()
}

fn surroundings(settings: &Settings, address: &SocketAddr, folder: &StateFolder) -> Surroundings {
    Surroundings {
        id: settings.id.clone(),
        boot: settings.boot,
        hooks: settings.hooks.clone(),
        variables: vec![
            ("VM_ID", settings.id.to_string()),
            ("VM_ADDRESS", address.to_string()),
            ("VM_TYPE", settings.instance_type.name.clone()),
            ("CUMULET_STATE", folder.path().display().to_string()),
        ],
        folder: folder.clone(),
    }
}

/// Cancels all work when the drain limit has passed.
async fn give_up_after(stop: CancellationToken, limit: Duration, machine: Arc<Machine>) {
    stop.cancelled().await;
    tokio::time::sleep(limit).await;
    tracing::warn!("giving up what is still in progress {limit:?} after the signal to stop");
    machine.give_up.cancel();
}
