//! What a VM writes into the state folder, and what it leaves alone.

use cumulet::domain::vm::VmState;
use cumulet::state::vm_state::VmStateFile;
use cumulet::state::{Document, StateFolder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::{
    SCENE, Server, endless, eventually, path_of, render_path, settings, settings_of, stuck,
};

#[tokio::test]
async fn a_report_says_who_and_where_and_how_busy() {
    let server = Server::start(settings_of("t3.micro")).await;
    server.post(&render_path(64, 40), SCENE).await;
    server.post("/blurimage", "no picture").await;
    let report = server.reports("two are served", |vm| vm.served.requests == 2).await;
    assert_eq!((&report.address, report.pid), (&server.address, std::process::id()));
    assert_eq!(report.instance_type, "t3.micro");
    assert!(report.reported_at >= report.running_since.unwrap());
    assert!(report.running_since.unwrap() >= report.launched_at);
    assert!(report.load.memory_bytes > 1 << 20, "{report:?}");
    assert!(!report.served.cpu.is_zero(), "{report:?}");
    assert_eq!(report.served.failures, 0);
    assert!(report.load.cpu_credits.is_some() && report.load.surplus_credits.is_some());
}

#[tokio::test]
async fn the_reported_socket_is_the_same_server_until_its_end() {
    let server = Server::start(settings()).await;
    let report = server.reports("it runs", |vm| vm.state == VmState::Running).await;
    let path = server.state.path().join(report.socket.unwrap());
    assert_eq!(path, server.state.path().join(format!("sockets/vm-1.{}", std::process::id())));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let asks = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(asks).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("x-cumulet-vm: vm-1\r\n"), "{answer}");
    let _state = server.stopped().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_vm_without_room_for_a_socket_serves_at_its_port() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("sockets"), "in the way").unwrap();
    let server = Server::start_in(folder, settings()).await;
    let report = server.reports("it runs", |vm| vm.state == VmState::Running).await;
    assert_eq!((&report.address, report.socket), (&server.address, None));
}

#[tokio::test]
async fn the_reported_cpu_is_the_share_of_its_own_vcpus() {
    let server = Server::start(stuck()).await;
    let endless = server.sending(endless());
    // One vCPU of which hardly anything is given to it is busy all the same.
    server.reports("it is busy", |vm| vm.load.cpu.get() > 0.99).await;
    endless.abort();
    server.reports("it is idle", |vm| vm.load.cpu.get() < 0.01).await;
}

#[tokio::test]
async fn what_others_wrote_survives() {
    let folder = TempDir::new().unwrap();
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<VMState version="1" seq="7" colour="green">
  <VM id="vm-0" state="running" address="127.0.0.1:1" pid="1" instanceType="local"
      launchedAt="2026-01-01T00:00:00.000Z" reportedAt="2026-01-01T00:00:00.000Z" rack="12">
    <Load cpu="0.5" memoryBytes="1" inFlight="1" queued="2"/>
    <Served requests="3" failures="0" cpuSeconds="4.000"/>
  </VM>
  <VM id="vm-1" state="terminated" address="127.0.0.1:2" pid="2" instanceType="local"
      launchedAt="2026-01-01T00:00:00.000Z" reportedAt="2026-01-01T00:00:00.000Z" note="mine">
    <Load cpu="0" memoryBytes="0" inFlight="0" queued="0"/>
    <Served requests="0" failures="0" cpuSeconds="0.000"/>
  </VM>
</VMState>
"#;
    std::fs::write(folder.path().join(VmStateFile::FILE), text).unwrap();
    let before = VmStateFile::parse(text.as_bytes()).unwrap();
    let server = Server::start_in(folder, settings()).await;
    server.reports("it runs", |vm| vm.state == VmState::Running).await;
    let after: VmStateFile = server.state.read().unwrap().unwrap();
    assert_eq!(after.vms[0], before.vms[0]);
    assert_eq!(after.vms[1].foreign, before.vms[1].foreign);
    assert_eq!(after.foreign, before.foreign);
    assert_eq!(after.vms.len(), 2);
    assert!(after.seq > 7);
}

#[tokio::test]
async fn a_report_that_was_removed_or_broken_comes_back() {
    let server = Server::start(settings()).await;
    server.reports("it runs", |vm| vm.state == VmState::Running).await;
    let path = path_of::<VmStateFile>(&server.state);
    server.state.update::<VmStateFile, _>(|file| file.vms.clear()).unwrap();
    server.reports("it is back", |_| true).await;
    std::fs::write(&path, "<VMState version=").unwrap();
    server.reports("it is back", |_| true).await;
    std::fs::remove_file(&path).unwrap();
    server.reports("it is back", |_| true).await;
}

#[tokio::test]
async fn a_state_folder_that_vanishes_comes_back_with_the_next_report() {
    let server = Server::start(settings()).await;
    server.reports("it runs", |vm| vm.state == VmState::Running).await;
    std::fs::remove_dir_all(server.folder.path()).unwrap();
    server.reports("it reports again", |vm| vm.state == VmState::Running).await;
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written_stops_neither_service_nor_the_end() {
    let server = Server::start(settings()).await;
    server.reports("it runs", |vm| vm.state == VmState::Running).await;
    let path = server.folder.path().to_owned();
    eventually("a file stands where the folder was", async || {
        // A report may make the folder anew in between.
        std::fs::remove_dir_all(&path).is_ok() && std::fs::write(&path, "in the way").is_ok()
    })
    .await;
    for _ in 0..3 {
        assert_eq!(server.post(&render_path(8, 6), SCENE).await.status, 200);
    }
    std::fs::remove_file(&path).unwrap();
    server.reports("it reports again", |vm| vm.served.requests == 3).await;
    eventually("a file stands where the folder was", async || {
        std::fs::remove_dir_all(&path).is_ok() && std::fs::write(&path, "in the way").is_ok()
    })
    .await;
    let (_state, folder) = server.stopped().await;
    std::fs::remove_file(folder.path()).unwrap();
}

#[tokio::test]
async fn each_report_leaves_a_sample() {
    let server = Server::start(settings()).await;
    let samples = |state: &StateFolder| {
        std::fs::read_to_string(state.path().join("samples.txt")).unwrap_or_default()
    };
    eventually("three samples", async || samples(&server.state).lines().count() >= 3).await;
    let (state, _folder) = server.stopped().await;
    let text = samples(&state);
    assert!(text.lines().all(|line| line.contains(" vm=vm-1 state=")), "{text}");
    assert!(text.lines().last().unwrap().contains(" state=terminated "), "{text}");
}
