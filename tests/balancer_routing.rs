//! Which VM gets a request, and what happens when none can.

#![cfg(test)]

#[path = "balancer_support/cluster.rs"]
mod cluster;

use std::time::Duration;

use cluster::{Act, Client, Cluster, FakeVm, eventually, order, report, within};
use cumulet::balancer::Settings;
use cumulet::domain::balancing::Policy;
use cumulet::domain::decision::Action;
use cumulet::domain::vm::VmState;
use cumulet::state::as_state::AsStateFile;
use cumulet::state::vm_state::VmReport;

#[tokio::test]
async fn the_vm_with_less_work_gets_the_next_request() {
    let (one, two) = (FakeVm::start("vm-1").await, FakeVm::start("vm-2").await);
    for vm in [&one, &two] {
        vm.set_script(|request| {
            if request.head.starts_with("POST /raytracer") { Act::Wait } else { Act::Echo }
        });
    }
    let cluster = Cluster::start(&[&one, &two]).await;
    let big =
        "POST /raytracer?wcols=4000&wrows=4000 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let mut client = Client::open(cluster.address).await;
    client.write(big.as_bytes()).await;
    eventually(|| async { one.seen().len() + two.seen().len() == 1 }).await;
    let (busy, idle) = if one.seen().is_empty() { (&two, &one) } else { (&one, &two) };
    for _ in 0..5 {
        assert_eq!(cluster.get("/").await.vm(), idle.id.as_str());
    }
    busy.release(1);
    assert_eq!(client.answer().await.vm(), busy.id.as_str());
    cluster.stop().await;
}

#[tokio::test]
async fn the_policy_in_asstate_is_followed_at_once() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1]]).await;
    for (policy, expected) in [(Policy::FillFirst, [4, 0]), (Policy::RoundRobin, [2, 2])] {
        let before = vms.each_ref().map(|vm| vm.seen().len());
        cluster.folder.update(|file: &mut AsStateFile| file.balancing = Some(policy)).unwrap();
        let told = format!("\"policy\": \"{policy}\"");
        cluster.until("/state", |answer| answer.text().contains(&told)).await;
        for _ in 0..4 {
            assert_eq!(cluster.get("/").await.status(), 200);
        }
        let after = vms.each_ref().map(|vm| vm.seen().len());
        assert_eq!([after[0] - before[0], after[1] - before[1]], expected, "{policy}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn whoever_asks_is_told_why() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    assert_eq!(cluster.get("/").await.header("x-cumulet-route"), None);
    let asks = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nX-Cumulet-Explain: 1\r\n\r\n";
    let answer = cluster.send(asks).await;
    let why = "least-in-flight: vm-1: 0 in flight, 0 s of work";
    assert_eq!(answer.header("x-cumulet-route"), Some(why));
    cluster.until("/state", |answer| answer.text().contains(why)).await;
    let told = || async {
        let file = cluster.file("LBState.xml");
        file.contains("<Choice") && file.contains("request=\"mine\"") && file.contains(why)
    };
    eventually(told).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_that_others_use_gets_less() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[]).await;
    let mut busy = vms[0].report();
    busy.load.in_flight = 500;
    cluster.set_vms(vec![busy, vms[1].report()]);
    cluster.until("/state", |answer| answer.text().contains("\"foreign\": 4")).await;
    for _ in 0..4 {
        assert_eq!(cluster.get("/").await.vm(), "vm-2");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_without_cpu_credits_counts_for_its_baseline() {
    let vms = [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await];
    let cluster = Cluster::start(&[]).await;
    let [mut spent, mut rich] = vms.each_ref().map(FakeVm::report);
    for (vm, credits) in [(&mut spent, 0.0), (&mut rich, 30.0)] {
        vm.instance_type = "t2.micro".to_owned();
        vm.load.cpu_credits = Some(credits);
    }
    cluster.set_vms(vec![spent, rich]);
    cluster.until("/state", |answer| answer.text().contains("\"speed\": 0.1")).await;
    for _ in 0..4 {
        assert_eq!(cluster.get("/").await.vm(), "vm-2");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn idle_vms_take_turns() {
    let vms =
        [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await, FakeVm::start("vm-3").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1], &vms[2]]).await;
    for _ in 0..9 {
        assert_eq!(cluster.get("/").await.status(), 200);
    }
    assert_eq!(vms.each_ref().map(|vm| vm.seen().len()), [3, 3, 3]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_vm_to_be_deleted_or_draining_gets_nothing_new() {
    let vms =
        [FakeVm::start("vm-1").await, FakeVm::start("vm-2").await, FakeVm::start("vm-3").await];
    let cluster = Cluster::start(&[&vms[0], &vms[1], &vms[2]]).await;
    cluster.set_orders(vec![order("vm-1", Action::Delete), order("vm-2", Action::Keep)]);
    cluster.set_vms(vec![vms[0].report(), vms[1].report(), vms[2].report_as(VmState::Draining)]);
    let out =
        |answer: &cluster::Answer| answer.text().matches("\"inRotation\": false").count() == 2;
    cluster.until("/state", out).await;
    let before = vms.each_ref().map(|vm| vm.seen().len());
    for _ in 0..6 {
        assert_eq!(cluster.get("/").await.vm(), "vm-2");
    }
    assert_eq!(vms.each_ref().map(|vm| vm.seen().len()), [before[0], before[1] + 6, before[2]]);
    cluster.stop().await;
}

#[tokio::test]
async fn with_nobody_there_and_nobody_coming_the_answer_is_an_empty_503_at_once() {
    let cluster = Cluster::start(&[]).await;
    let answer = cluster.get("/x").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.body.is_empty());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.attempts(), 0);
    assert_eq!(cluster.ask_admin("/readyz").await.status(), 503);
    assert_eq!(cluster.ask_admin("/healthz").await.status(), 200);
    eventually(|| async { cluster.file("metrics.txt").contains("status=503") }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_a_vm_that_boots() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[]).await;
    cluster.set_vms(vec![vm.report_as(VmState::Booting)]);
    cluster.until("/state", |answer| answer.text().contains("booting")).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"POST /blurimage HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 1\n")).await;
    cluster.set_vms(vec![vm.report()]);
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "vm-1 hi"));
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 0\n")).await;
    cluster.stop().await;
}

/// A report of a VM with one vCPU, which has two requests at once.
fn small(vm: &FakeVm) -> VmReport {
    VmReport { instance_type: "t2.micro".to_owned(), ..vm.report() }
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
}

/// A render of a square window of so many columns.
fn render(columns: u32) -> String {
    post(&format!(
        "/raytracer?wcols={columns}&wrows={columns}&scols={columns}&srows={columns}&coff=0&roff=0&aa=false"
    ))
}

async fn open_with(cluster: &Cluster, request: &str) -> Client {
    let mut client = Client::open(cluster.address).await;
    client.write(request.as_bytes()).await;
    client
}

async fn until_queued(cluster: &Cluster, count: u32) {
    let line = format!("cumulet_queue_length {count}\n");
    cluster.until("/metrics", |answer| answer.text().contains(&line)).await;
}

#[tokio::test]
async fn a_vm_has_so_many_requests_at_once_and_the_shortest_of_the_rest_comes_next() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[]).await;
    cluster.set_vms(vec![small(&vm)]);
    cluster.until("/readyz", |answer| answer.status() == 200).await;
    let mut clients = Vec::new();
    for columns in [9, 8] {
        clients.push(open_with(&cluster, &render(columns)).await);
    }
    vm.until_seen(2).await;
    for (count, columns) in (1..).zip([4000, 30, 300]) {
        clients.push(open_with(&cluster, &render(columns)).await);
        until_queued(&cluster, count).await;
    }
    eventually(|| async { cluster.file("LBState.xml").contains("queued=\"3\"") }).await;
    for seen in 3..=5 {
        assert_eq!(vm.seen().len(), seen - 1, "no more at once than it may have");
        vm.release(1);
        vm.until_seen(seen).await;
    }
    let order: Vec<_> = vm.seen()[2..].iter().map(|r| r.head[..25].to_owned()).collect();
    let expected = ["wcols=30&", "wcols=300", "wcols=400"];
    assert!(order.iter().zip(expected).all(|(head, part)| head.ends_with(part)), "{order:?}");
    vm.release(2);
    for client in &mut clients {
        assert_eq!(client.answer().await.status(), 200);
    }
    until_queued(&cluster, 0).await;
    cluster.stop().await;
}

#[tokio::test]
async fn what_waits_survives_its_vms_and_pages_do_not_wait() {
    let (old, new) = (FakeVm::start("vm-1").await, FakeVm::start("vm-2").await);
    old.set_script(|request| if request.head.starts_with("GET") { Act::Echo } else { Act::Wait });
    let cluster = Cluster::start(&[]).await;
    cluster.set_vms(vec![small(&old)]);
    cluster.until("/readyz", |answer| answer.status() == 200).await;
    cluster.set_orders(vec![order("vm-1", Action::Keep)]);
    cluster.until("/state", |answer| answer.text().contains("\"action\": \"keep\"")).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(open_with(&cluster, &post("/blurimage")).await);
    }
    old.until_seen(2).await;
    until_queued(&cluster, 3).await;
    assert_eq!(cluster.get("/").await.vm(), "vm-1", "a page needs no place");
    old.kill();
    cluster.set_vms(vec![new.report()]);
    for (index, client) in clients.iter_mut().enumerate() {
        let answer = client.answer().await;
        let attempts = if index < 2 { 2 } else { 1 };
        assert_eq!((answer.status(), answer.vm()), (200, "vm-2"));
        assert!(answer.attempts() <= attempts, "{}", answer.head);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_takes_nobodys_turn() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[]).await;
    cluster.set_vms(vec![small(&vm)]);
    cluster.until("/readyz", |answer| answer.status() == 200).await;
    let mut served = [
        open_with(&cluster, &post("/blurimage")).await,
        open_with(&cluster, &post("/blurimage")).await,
    ];
    vm.until_seen(2).await;
    let leaves = open_with(&cluster, &post("/blurimage")).await;
    until_queued(&cluster, 1).await;
    let mut stays = open_with(&cluster, &post("/blurimage")).await;
    until_queued(&cluster, 2).await;
    drop(leaves);
    until_queued(&cluster, 1).await;
    vm.release(3);
    assert_eq!(stays.answer().await.status(), 200);
    for client in &mut served {
        assert_eq!(client.answer().await.status(), 200);
    }
    assert_eq!(vm.seen().len(), 3);
    cluster.stop().await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_full_vm_gets_an_empty_503() {
    let settings = Settings { queue_deadline: Duration::from_millis(200), ..Settings::default() };
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start_with(settings, &[]).await;
    cluster.set_vms(vec![small(&vm)]);
    cluster.until("/readyz", |answer| answer.status() == 200).await;
    let _served = [
        open_with(&cluster, &post("/blurimage")).await,
        open_with(&cluster, &post("/blurimage")).await,
    ];
    vm.until_seen(2).await;
    let answer = cluster.post("/blurimage", b"x").await;
    assert_eq!((answer.status(), answer.body.len()), (503, 0));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(vm.seen().len(), 2);
    vm.release(2);
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_a_vm_that_was_ordered_and_not_for_ever() {
    let settings = Settings { queue_deadline: Duration::from_millis(200), ..Settings::default() };
    let cluster = Cluster::start_with(settings, &[]).await;
    cluster.set_orders(vec![order("vm-1", Action::Add)]);
    cluster.until("/state", |answer| answer.text().contains("\"action\": \"add\"")).await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header("x-cumulet-reason").unwrap().contains("no VM could take it within"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let settings = Settings { queue_length: 1, ..Settings::default() };
    let cluster = Cluster::start_with(settings, &[]).await;
    cluster.set_orders(vec![order("vm-1", Action::Add)]);
    cluster.until("/state", |answer| answer.text().contains("\"action\": \"add\"")).await;
    let mut first = Client::open(cluster.address).await;
    first.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 1\n")).await;
    assert_eq!(cluster.get("/").await.status(), 503);
    drop(first);
    cluster.until("/metrics", |answer| answer.text().contains("cumulet_queue_length 0\n")).await;
    cluster.stop().await;
}

#[tokio::test]
async fn another_process_under_the_same_name_is_another_vm() {
    let (old, new) = (FakeVm::start("vm-1").await, FakeVm::start("vm-1").await);
    let cluster = Cluster::start(&[&old]).await;
    assert_eq!(cluster.get("/").await.status(), 200);
    old.kill();
    cluster.set_vms(vec![report("vm-1", VmState::Running, &new.address, 2)]);
    cluster.until("/state", |answer| answer.text().contains("\"pid\": 2")).await;
    assert_eq!(cluster.get("/").await.status(), 200);
    assert_eq!((old.seen().len(), new.seen().len()), (1, 1));
    cluster.stop().await;
}

#[tokio::test]
async fn the_state_is_told_in_files_and_to_the_admin() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    for _ in 0..3 {
        cluster.get("/").await;
    }
    assert_eq!(cluster.ask_admin("/readyz").await.status(), 200);
    let metrics = cluster.ask_admin("/metrics").await.text();
    assert!(metrics.contains("cumulet_requests_total{vm=\"vm-1\",class=\"2xx\"} 3"), "{metrics}");
    assert!(
        metrics.contains("duration_seconds_count{vm=\"vm-1\",workload=\"other\"} 3"),
        "{metrics}"
    );
    assert_eq!(cluster.ask_admin("/nothing").await.status(), 404);
    eventually(|| async { cluster.file("LBState.xml").contains("served=\"3\"") }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_more() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::open(cluster.address).await;
        client.write(b"POST /blurimage HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
        clients.push(client);
    }
    vm.until_seen(8).await;
    cluster.stop.cancel();
    eventually(|| async { tokio::net::TcpStream::connect(cluster.address).await.is_err() }).await;
    vm.release(8);
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "vm-1 x");
    }
    within(cluster.balancer).await.unwrap().unwrap();
}

/// An answer that says that it cost so many microseconds of CPU time.
fn costly(cpu_us: u32) -> Act {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cumulet-Work: work=1 cpu_us=";
    Act::Raw(format!("{head}{cpu_us}\r\n\r\nok").into_bytes())
}

/// The beginning of a PNG file of 640 x 480.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";

#[tokio::test]
async fn what_answers_cost_is_learned_and_kept() {
    let vm = FakeVm::start_with("vm-1", |_| costly(20_000)).await;
    let cluster = Cluster::start(&[&vm]).await;
    for _ in 0..40 {
        let answer = cluster.post("/blurimage", PNG).await;
        assert_eq!(answer.header("x-cumulet-work"), Some("work=1 cpu_us=20000"));
    }
    let metrics = cluster.ask_admin("/metrics").await.text();
    assert!(metrics.contains("cumulet_predictions_total{workload=\"blur\"} 40"), "{metrics}");
    eventually(|| async {
        let view = cluster.file("LBState.xml");
        view.contains("<Prediction workload=\"blur\" requests=\"40\"")
    })
    .await;
    let directory = cluster.stop_and_keep().await;
    let model = std::fs::read_to_string(directory.path().join("CostModel.xml")).unwrap();
    assert!(model.contains("<Fit workload=\"blur\" form=\"png\""), "{model}");

    // One that starts here knows it from the first request on.
    let cluster = Cluster::start_in(directory, Settings::default(), &[&vm]).await;
    cluster.post("/blurimage", PNG).await;
    let state = cluster.ask_admin("/state").await.text();
    assert!(state.contains("\"requests\": 41"), "{state}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_damaged_cost_model_is_put_aside_and_learned_anew() {
    let vm = FakeVm::start_with("vm-1", |_| costly(20_000)).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("CostModel.xml"), "<CostModel version=\"1\"").unwrap();
    let cluster = Cluster::start_in(directory, Settings::default(), &[&vm]).await;
    assert_eq!(cluster.post("/blurimage", PNG).await.status(), 200);
    let directory = cluster.stop_and_keep().await;
    let names: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("CostModel.xml.broken-")), "{names:?}");
    let model = std::fs::read_to_string(directory.path().join("CostModel.xml")).unwrap();
    assert!(model.contains("<Accuracy workload=\"blur\" requests=\"1\""), "{model}");
}

#[tokio::test]
async fn without_a_model_the_lines_of_finished_requests_are_learned_from() {
    let vm = FakeVm::start("vm-1").await;
    let directory = tempfile::tempdir().unwrap();
    let line = "at=2026-11-21T12:30:01.123Z request=r workload=raytrace vm=vm-1 status=200 \
                width=640 height=480 input_bytes=900 output_bytes=1 queue_us=0 cpu_us=400000 \
                wall_us=1 work=30000000 attempts=1 antialias=0\n";
    std::fs::write(directory.path().join("metrics.txt"), line.repeat(30)).unwrap();
    let cluster = Cluster::start_in(directory, Settings::default(), &[&vm]).await;
    let query = "scols=640&srows=480&wcols=640&wrows=480&coff=0&roff=0&aa=false";
    cluster.post(&format!("/raytracer?{query}"), &[b' '; 900]).await;
    eventually(|| async {
        // 0.4 s within the last ten; by the rule of thumb it would be some 0.006.
        let view = cluster.file("LBState.xml");
        let load = view.split("offeredLoad=\"").nth(1).and_then(|rest| rest.split('"').next());
        load.and_then(|load| load.parse().ok()).is_some_and(|load: f64| load > 0.02)
    })
    .await;
    cluster.stop().await;
}
