//! A balancer in this process, with a state folder of its own and VMs that do as they are told.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "fake_vm.rs"]
mod fake_vm;
#[path = "wire.rs"]
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use cumulet::balancer::{self, Settings};
use cumulet::domain::decision::Action;
use cumulet::domain::load::{Load, Served};
use cumulet::domain::vm::VmState;
use cumulet::state::StateFolder;
use cumulet::state::as_state::{AsStateFile, VmOrder};
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::xml::Foreign;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use fake_vm::{Act, FakeVm};
pub(crate) use wire::{Answer, Client};

/// Nothing here takes nearly so long, on however busy a machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) struct Cluster {
    pub(crate) folder: StateFolder,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) balancer: JoinHandle<anyhow::Result<()>>,
    directory: tempfile::TempDir,
}

/// A VM as VMState.xml tells of it.
pub(crate) fn report(id: &str, state: VmState, address: &str, pid: u32) -> VmReport {
    let now = Timestamp::now();
    VmReport {
        id: id.parse().unwrap(),
        state,
        address: address.to_owned(),
        socket: None,
        pid,
        instance_type: "local".to_owned(),
        launched_at: now,
        running_since: (state == VmState::Running).then_some(now),
        reported_at: now,
        warm: false,
        load: Load::default(),
        served: Served::default(),
        foreign: Foreign::default(),
    }
}

pub(crate) fn order(id: &str, action: Action) -> VmOrder {
    VmOrder { by: Some("operator".to_owned()), ..VmOrder::new(id.parse().unwrap(), action) }
}

impl Cluster {
    pub(crate) async fn start(vms: &[&FakeVm]) -> Self {
        Self::start_with(Settings::default(), vms).await
    }

    pub(crate) async fn start_with(settings: Settings, vms: &[&FakeVm]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings, vms).await
    }

    /// Starts in a folder that may hold something already.
    pub(crate) async fn start_in(
        directory: tempfile::TempDir,
        settings: Settings,
        vms: &[&FakeVm],
    ) -> Self {
        let folder = StateFolder::open(directory.path()).unwrap();
        write_vms(&folder, vms.iter().map(|vm| vm.report()).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, admin) =
            (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let balancer = tokio::spawn(balancer::run(
            settings,
            folder.clone(),
            listener,
            admin_listener,
            stop.clone(),
        ));
        Self { folder, address, admin, stop, balancer, directory }
    }

    pub(crate) fn set_vms(&self, vms: Vec<VmReport>) {
        write_vms(&self.folder, vms);
    }

    pub(crate) fn set_orders(&self, orders: Vec<VmOrder>) {
        self.folder.update(|file: &mut AsStateFile| file.vms = orders).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        let mut request =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len())
                .into_bytes();
        request.extend_from_slice(body);
        self.send_bytes(&request).await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        self.send_bytes(request.as_bytes()).await
    }

    pub(crate) async fn send_bytes(&self, request: &[u8]) -> Answer {
        let mut client = Client::open(self.address).await;
        client.write(request).await;
        client.answer().await
    }

    pub(crate) async fn ask_admin(&self, path: &str) -> Answer {
        let mut client = Client::open(self.admin).await;
        client.write(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await;
        client.answer().await
    }

    /// Waits until a question to the admin listener is answered as hoped.
    pub(crate) async fn until(&self, path: &str, hoped: impl Fn(&Answer) -> bool) {
        eventually(|| async { hoped(&self.ask_admin(path).await) }).await;
    }

    pub(crate) async fn stop(self) {
        self.stop_and_keep().await;
    }

    /// Stops it and gives its folder.
    pub(crate) async fn stop_and_keep(self) -> tempfile::TempDir {
        self.stop.cancel();
        within(self.balancer).await.unwrap().unwrap();
        self.directory
    }
}

fn write_vms(folder: &StateFolder, vms: Vec<VmReport>) {
    folder.update(|file: &mut VmStateFile| file.vms = vms).unwrap();
}

/// Waits for something that takes no time worth mentioning.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.expect("it did not happen in time")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(question: impl Fn() -> F) {
    within(async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
