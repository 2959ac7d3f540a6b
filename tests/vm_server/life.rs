//! Booting, draining, stopping.

use std::time::Duration;

use cumulet::domain::decision::Action;
use cumulet::domain::vm::VmState;
use cumulet::state::as_state::{AsStateFile, VmOrder};
use cumulet::units::Share;
use hyper::Method;
use tokio::net::TcpStream;

use crate::harness::{
    SCENE, Server, endless, metrics, render_path, report, request, settings, settings_of, stuck,
};

/// Writes what should become of `vm-1`.
fn order(server: &Server, action: Action) {
    let order = VmOrder {
        by: Some("operator".to_owned()),
        ..VmOrder::new("vm-1".parse().unwrap(), action)
    };
    server.state.update::<AsStateFile, _>(|file| file.vms = vec![order]).unwrap();
}

#[tokio::test]
async fn a_vm_that_boots_is_there_and_does_no_work_yet() {
    let mut settings = settings();
    settings.boot = Duration::from_hours(1);
    let server = Server::start(settings).await;
    let booting = server.reports("it boots", |vm| vm.state == VmState::Booting).await;
    assert_eq!((booting.running_since, &booting.address), (None, &server.address));
    let reply = server.post("/blurimage", "x").await;
    assert_eq!((reply.status, reply.body.len()), (503, 0));
    assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 3_500, "{reply:?}");
    let health = server.get("/health").await;
    assert_eq!((health.text(), health.header("x-cumulet-state")), ("OK: 0.000", "booting"));
}

#[tokio::test]
async fn a_vm_runs_once_the_boot_delay_is_over() {
    let mut settings = settings();
    settings.boot = Duration::from_millis(50);
    settings.report_every = Duration::from_hours(1);
    let server = Server::start(settings).await;
    let running = server.reports("it runs", |vm| vm.state == VmState::Running).await;
    let since = running.running_since.expect("a time");
    let boot = since.duration_since(running.launched_at);
    assert!(boot >= jiff::SignedDuration::from_millis(50), "{boot:?}");
    assert_eq!(server.post(&render_path(8, 6), SCENE).await.status, 200);
}

#[tokio::test]
async fn an_order_to_go_drains_and_may_be_taken_back() {
    let server = Server::start(settings()).await;
    order(&server, Action::Delete);
    server.reports("it drains", |vm| vm.state == VmState::Draining).await;
    assert_eq!(server.state_word().await, "draining");
    // What was sent before the balancer knew is still answered.
    assert_eq!(server.post(&render_path(8, 6), SCENE).await.status, 200);
    order(&server, Action::Keep);
    server.reports("it runs again", |vm| vm.state == VmState::Running).await;
    assert_eq!(server.state_word().await, "running");
}

#[tokio::test]
async fn a_stop_lets_what_is_in_progress_finish_and_takes_nothing_new() {
    let mut settings = settings_of("t2.micro");
    settings.vcpu_share = Share::saturating(0.2);
    settings.drain_limit = Duration::from_mins(10);
    let server = Server::start(settings).await;
    let path = render_path(500, 400);
    let renders: Vec<_> =
        (0..4).map(|_| server.sending(request(Method::POST, &path, SCENE))).collect();
    server.is_at(2, 2).await;
    server.stop.cancel();
    server.reports("it drains", |vm| vm.state == VmState::Draining).await;
    crate::harness::eventually("it accepts nothing", async || {
        TcpStream::connect(&server.address).await.is_err()
    })
    .await;
    let (state, _folder) = server.stopped().await;
    for render in renders {
        assert_eq!(render.await.unwrap().status, 200);
    }
    let last = report(&state).unwrap();
    assert_eq!((last.state, last.served.requests), (VmState::Terminated, 4));
    assert_eq!((last.load.in_flight, last.load.queued), (0, 0));
    assert_eq!(metrics(&state).len(), 4);
}

#[tokio::test]
async fn what_exceeds_the_drain_limit_is_given_up_and_told_so() {
    let mut settings = stuck();
    settings.drain_limit = Duration::from_millis(50);
    let server = Server::start(settings).await;
    let renders: Vec<_> = (0..3).map(|_| server.sending(endless())).collect();
    server.is_at(2, 1).await;
    let (state, _folder) = server.stopped().await;
    for render in renders {
        let reply = render.await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (503, 0));
    }
    assert_eq!(report(&state).unwrap().state, VmState::Terminated);
    assert_eq!(metrics(&state).len(), 3);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_stop() {
    let server = Server::start(settings()).await;
    let mut idle = crate::harness::Client::connect(&server.address).await;
    assert_eq!(idle.send(request(Method::GET, "/test", "")).await.status, 200);
    let (state, _folder) = server.stopped().await;
    assert_eq!(report(&state).unwrap().state, VmState::Terminated);
}
