//! What a client notices when VMs die: nothing, as far as the request may be repeated.

#![cfg(test)]

#[path = "balancer_support/cluster.rs"]
mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::{Act, Client, Cluster, FakeVm, eventually, order, within};
use cumulet::balancer::Settings;
use cumulet::domain::decision::Action;
use cumulet::domain::vm::VmState;

const PARTIAL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
const PARTIAL_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Two VMs of which whichever is asked first does `act`, once, and the other one is well.
async fn one_fails_once(act: Act) -> (Cluster, [FakeVm; 2]) {
    let failed = Arc::new(AtomicBool::new(false));
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    for vm in &vms {
        let (failed, act) = (failed.clone(), act.clone());
        vm.set_script(move |request| {
            // Asked twice about one request: with its head alone and with its body.
            let is_decisive = matches!(act, Act::CloseAtHead) || !request.body.is_empty();
            if is_decisive && !failed.swap(true, Ordering::SeqCst) {
                act.clone()
            } else {
                Act::Echo
            }
        });
    }
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    (cluster, vms)
}

#[tokio::test]
async fn a_vm_that_dies_with_a_picture_costs_the_client_nothing() {
    for act in [
        Act::Close,
        Act::CloseAtHead,
        Act::RawThenClose(b"HTTP/1.1 200 O".to_vec()),
        Act::RawThenClose(PARTIAL.to_vec()),
        Act::RawThenClose(PARTIAL_CHUNK.to_vec()),
        Act::Raw(b"this is not HTTP\r\n\r\n".to_vec()),
        Act::Raw(UNAVAILABLE.to_vec()),
    ] {
        let (cluster, vms) = one_fails_once(act).await;
        let body = vec![b'x'; 300_000];
        let answer = cluster.post("/blurimage", &body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.attempts(), 2);
        assert_eq!(answer.body.len(), 5 + body.len());
        let seen: Vec<_> = vms.iter().flat_map(FakeVm::seen).collect();
        let numbers: Vec<_> =
            seen.iter().map(|r| r.header("x-cumulet-attempts").unwrap()).collect();
        assert!(numbers.contains(&"1") && numbers.contains(&"2"), "{numbers:?}");
        assert_eq!(vms[0].seen().len(), 1, "never twice on the same VM while there is another");
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_vm_that_refuses_connections_is_left_out_until_it_lives_again() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    vms[0].kill();
    eventually(|| async { tokio::net::TcpStream::connect(&vms[0].address).await.is_err() }).await;
    for _ in 0..6 {
        let answer = cluster.post("/blurimage", b"x").await;
        assert_eq!((answer.status(), answer.vm()), (200, "vm-2"));
        assert!(answer.attempts() <= 2);
    }
    cluster.until("/state", |answer| answer.text().contains("it refuses connections")).await;
    vms[0].revive().await;
    cluster.until("/metrics", |a| a.text().contains("cumulet_in_rotation{vm=\"vm-1\"} 1")).await;
    eventually(|| async { cluster.get("/").await.vm() == "vm-1" }).await;
    eventually(|| async {
        let log = cluster.file("events.log");
        log.contains("eject") && log.contains("readmit")
    })
    .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_post_of_unknown_meaning_is_not_done_twice() {
    let (cluster, vms) = one_fails_once(Act::Close).await;
    let answer = cluster.post("/orders", b"x").await;
    assert_eq!((answer.status(), answer.attempts()), (502, 1));
    assert_eq!(vms.iter().map(|vm| vm.seen().len()).sum::<usize>(), 1);
    assert!(answer.text().contains("\"status\":502"), "{}", answer.text());
    eventually(|| async { cluster.file("metrics.txt").contains("status=502") }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_post_of_unknown_meaning_goes_elsewhere_if_nobody_had_it() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    vms[0].kill();
    eventually(|| async { tokio::net::TcpStream::connect(&vms[0].address).await.is_err() }).await;
    for _ in 0..3 {
        assert_eq!(cluster.post("/orders", b"x").await.text(), "vm-2 x");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_that_closes_every_connection_at_once_is_left_out() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    vms[0].slam_the_door();
    for _ in 0..4 {
        assert_eq!(cluster.post("/blurimage", b"x").await.text(), "vm-2 x");
    }
    assert!(cluster.ask_admin("/metrics").await.text().contains("in_rotation{vm=\"vm-1\"} 0"));
    cluster.stop().await;
}

#[tokio::test]
async fn an_address_that_is_none_does_not_keep_a_request_for_ever() {
    let well = FakeVm::start("vm-2").await;
    let cluster = Cluster::start(&[]).await;
    cluster.set_vms(vec![cluster::report("vm-1", VmState::Running, "127.0.0.1:0", 1)]);
    cluster.until("/state", |answer| answer.text().contains("vm-1")).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 1\n")).await;
    cluster.set_vms(vec![well.report()]);
    assert_eq!(client.answer().await.text(), "vm-2 ");
    cluster.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_an_answer() {
    let early = b"HTTP/1.1 415 No\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let vm = FakeVm::start_with("vm-1", move |_| Act::RawAtHead(early.clone())).await;
    let cluster = Cluster::start(&[&vm]).await;
    let answer = cluster.post("/blurimage", &vec![b'x'; 20_000_000]).await;
    assert_eq!((answer.status(), answer.text().as_str(), answer.attempts()), (415, "no", 1));
    assert_eq!(vm.seen().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_nobodys_fault() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    assert_eq!(cluster.post("/orders", b"1").await.status(), 200);
    vm.kill();
    eventually(|| async { vm.open_connections() == 0 }).await;
    vm.revive().await;
    let answer = cluster.post("/orders", b"2").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "vm-1 2"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_that_kills_two_vms_is_kept_from_the_others() {
    let vms: Vec<_> = futures_util::future::join_all(
        (1..=5)
            .map(|n| async move { FakeVm::start_with(&format!("vm-{n}"), |_| Act::Close).await }),
    )
    .await;
    let cluster = Cluster::start(&vms.iter().collect::<Vec<_>>()).await;
    let answer = cluster.post("/raytracer", b"poison").await;
    assert_eq!((answer.status(), answer.attempts()), (500, 2));
    assert!(
        answer.text().contains("2 VMs died while they had this request alone"),
        "{}",
        answer.text()
    );
    let seen = || vms.iter().map(|vm| vm.seen().len()).sum::<usize>();
    assert_eq!(seen(), 2);
    assert!(vms.iter().all(|vm| vm.seen().len() <= 1));
    let again = cluster.post("/raytracer", b"poison").await;
    assert_eq!((again.status(), again.attempts()), (500, 0));
    assert!(again.text().contains("the same request"), "{}", again.text());
    assert_eq!(seen(), 2, "the same bytes do not reach a VM");
    for vm in &vms {
        vm.set_script(|_| Act::Echo);
    }
    assert_eq!(cluster.post("/raytracer", b"harmless").await.status(), 200);
    cluster.stop().await;
}

#[tokio::test]
async fn an_error_of_a_vm_is_its_answer() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops".to_vec())
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let answer = cluster.post("/blurimage", b"x").await;
    assert_eq!((answer.status(), answer.text().as_str(), answer.attempts()), (500, "oops", 1));
    assert_eq!(vm.seen().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_that_answers_with_errors_is_ejected_and_tried_again() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    vms[0].set_script(|_| Act::Raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    let mut errors = 0;
    while errors < 5 {
        errors += u32::from(cluster.post("/blurimage", b"x").await.status() == 500);
    }
    eventually(|| async { cluster.file("events.log").contains("it answered with errors") }).await;
    vms[0].set_script(|_| Act::Echo);
    eventually(|| async { cluster.post("/blurimage", b"x").await.vm() == "vm-1" }).await;
    eventually(|| async { cluster.file("events.log").contains("readmit") }).await;
    cluster.stop().await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_end_of_an_idle_vm_is_heard_of_without_a_request() {
    let mut process = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let mut vm = FakeVm::start("vm-1").await;
    vm.pid = process.id();
    let cluster = Cluster::start(&[&vm]).await;
    cluster.until("/readyz", |answer| answer.status() == 200).await;
    vm.kill();
    process.kill().unwrap();
    process.wait().unwrap();
    cluster.until("/readyz", |answer| answer.status() == 503).await;
    eventually(|| async { cluster.file("events.log").contains("its process has ended") }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_late_answer_is_asked_for_elsewhere_and_the_first_one_taken() {
    let settings = Settings { hedge: true, ..Settings::default() };
    let late = Arc::new(AtomicBool::new(false));
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    for vm in &vms {
        let late = late.clone();
        vm.set_script(move |request| {
            let first = !request.body.is_empty() && !late.swap(true, Ordering::SeqCst);
            if first { Act::Wait } else { Act::Echo }
        });
    }
    let cluster = Cluster::start_with(settings, &[&vms[0], &vms[1]]).await;
    let answer = cluster.post("/blurimage", b"abc").await;
    assert_eq!((answer.status(), answer.attempts()), (200, 2));
    assert!(answer.text().ends_with(" abc"), "{}", answer.text());
    eventually(|| async { vms.iter().map(FakeVm::left).sum::<u32>() == 1 }).await;
    cluster.until("/metrics", |a| a.text().contains("cumulet_hedges_total 1\n")).await;
    for vm in ["vm-1", "vm-2"] {
        let idle = format!("cumulet_in_flight{{vm=\"{vm}\"}} 0");
        cluster.until("/metrics", |answer| answer.text().contains(&idle)).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn when_all_are_full_the_client_hears_it() {
    let full = |_: &cluster::Answer| Act::Raw(UNAVAILABLE.to_vec());
    let vms = [FakeVm::start_with("vm-1", full).await, FakeVm::start_with("vm-2", full).await];
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    cluster.set_orders(vec![order("vm-1", Action::Keep), order("vm-2", Action::Keep)]);
    let answer = cluster.post("/blurimage", b"x").await;
    assert_eq!((answer.status(), answer.attempts()), (503, 2));
    assert!(answer.body.is_empty() && answer.header("retry-after").is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_whose_only_vm_dies_waits_for_its_replacement() {
    let (old, new) = (FakeVm::start("vm-1").await, FakeVm::start("vm-2").await);
    old.set_script(|_| Act::Wait);
    let cluster = Cluster::start(&[&old]).await;
    cluster.set_orders(vec![order("vm-1", Action::Keep)]);
    cluster.until("/state", |answer| answer.text().contains("\"action\": \"keep\"")).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"POST /blurimage HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    old.until_seen(1).await;
    old.kill();
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 1\n")).await;
    cluster.set_vms(vec![new.report()]);
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.attempts()), ("vm-2 abc", 2));
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_that_hangs_loses_its_requests_to_another() {
    let settings = Settings { report_period: Duration::from_millis(100), ..Settings::default() };
    let (hung, well) = (FakeVm::start("vm-1").await, FakeVm::start("vm-2").await);
    hung.set_script(|_| Act::Wait);
    let cluster = Cluster::start_with(settings, &[&hung]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"POST /blurimage HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    hung.until_seen(1).await;
    hung.stop_answering_probes();
    cluster.until("/metrics", |a| a.text().contains("cumulet_in_rotation{vm=\"vm-1\"} 0")).await;
    cluster.set_vms(vec![hung.report_unchanged(), well.report()]);
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.attempts()), ("vm-2 abc", 2));
    cluster.stop().await;
}

#[tokio::test]
async fn an_answer_too_long_to_be_held_streams_and_is_visibly_cut_if_its_vm_dies() {
    let settings = Settings { held_answer_limit: 1000, ..Settings::default() };
    let long = |declared: usize, sent: usize| {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + sent, b'y');
        bytes
    };
    let whole = Act::Raw(long(50_000, 50_000));
    let cut = Act::RawThenClose(long(50_000, 20_000));
    let vm = FakeVm::start_with("vm-1", move |request| {
        if request.head.contains("/cut") { cut.clone() } else { whole.clone() }
    })
    .await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    let answer = cluster.get("/whole").await;
    assert!(answer.whole && answer.body.len() == 50_000);
    let answer = cluster.get("/cut").await;
    assert!(!answer.whole, "a cut answer must not look whole");
    eventually(|| async { cluster.file("metrics.txt").contains("status=502") }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_vm() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"POST /blurimage HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
    vm.until_seen(1).await;
    drop(client);
    eventually(|| async { vm.left() == 1 }).await;
    eventually(|| async { cluster.file("metrics.txt").contains("status=499") }).await;
    cluster.until("/metrics", |a| a.text().contains("cumulet_in_flight{vm=\"vm-1\"} 0")).await;
    cluster.stop().await;
}

/// Three VMs of which one is killed again and again, while eight clients send bodies of so many
/// bytes; not one of them may notice.
async fn kill_under_load(bytes: usize, act: Act) {
    let vms =
        [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await, FakeVm::start("vm-3").await];
    for vm in &vms {
        let act = act.clone();
        vm.set_script(move |_| act.clone());
    }
    let cluster = Arc::new(Cluster::start(&[&vms[0], &vms[1], &vms[2]]).await);
    let load: Vec<_> = (0..8)
        .map(|number| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let body = vec![b'a' + number; bytes];
                for _ in 0..60 {
                    let answer = cluster.post("/enhanceimage", &body).await;
                    assert_eq!(answer.status(), 200, "{} {}", answer.head, answer.text());
                    assert_eq!(answer.body.get(5..), Some(body.as_slice()));
                }
            })
        })
        .collect();
    // So few that what they cost stays within what may be repeated at once.
    for round in 0..6 {
        let vm = &vms[round % 3];
        let before = vm.seen().len();
        eventually(|| async {
            vm.seen().len() > before + 12 || load.iter().all(tokio::task::JoinHandle::is_finished)
        })
        .await;
        vm.kill();
        vm.revive().await;
    }
    for client in load {
        within(client).await.unwrap();
    }
    Arc::into_inner(cluster).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vms_killed_under_load_cost_no_small_request() {
    kill_under_load(20, Act::Echo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vms_killed_under_load_cost_no_large_request() {
    kill_under_load(512 << 10, Act::Echo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vms_killed_under_load_amid_their_answers_cost_no_request() {
    kill_under_load(60_000, Act::Halves).await;
}
