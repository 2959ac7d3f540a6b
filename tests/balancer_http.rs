//! The balancer as a proxy: what it changes about messages, what it refuses, what it bears.

#![cfg(test)]

#[path = "balancer_http/cases.rs"]
mod cases;
#[path = "balancer_http/clients.rs"]
mod clients;
#[path = "balancer_support/cluster.rs"]
mod cluster;
#[path = "balancer_http/http2.rs"]
mod http2;
#[path = "balancer_http/sockets.rs"]
mod sockets;
#[path = "balancer_http/upgrade.rs"]
mod upgrade;

use std::time::Duration;

use cluster::{Act, Client, Cluster, FakeVm, eventually};
use cumulet::balancer::Settings;

#[tokio::test]
async fn what_concerns_one_connection_is_not_passed_on() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(
            b"HTTP/1.1 200 OK\r\nConnection: x-secret, content-length\r\nX-Secret: 1\r\n\
              Keep-Alive: timeout=5\r\nServer-Timing: cpu;dur=3\r\nX-Mine: 2\r\n\
              Content-Length: 2\r\n\r\nok"
                .to_vec(),
        )
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let answer = cluster
        .send(
            "GET /a?b=c HTTP/1.1\r\nHost: shop:8000\r\nConnection: x-private\r\nX-Private: 1\r\n\
             TE: trailers\r\nX-Forwarded-For: 10.0.0.9\r\nX-Request-Id: mine-1\r\n\
             Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        )
        .await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.header("x-secret"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("x-mine"), Some("2"));
    assert_eq!(answer.header("via"), Some("1.1 cumulet"));
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!((answer.vm(), answer.attempts()), ("vm-1", 1));
    let timing = answer.headers("server-timing").join(", ");
    assert!(timing.contains("cpu;dur=3") && timing.contains("lb;dur="), "{timing}");

    let got = vm.seen().remove(0);
    assert!(got.head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{}", got.head);
    assert_eq!(got.headers("host"), ["shop:8000"]);
    assert_eq!(got.header("x-private"), None);
    assert_eq!((got.header("te"), got.header("connection")), (Some("trailers"), Some("te")));
    assert_eq!(got.header("x-forwarded-for"), Some("10.0.0.9, 127.0.0.1"));
    assert_eq!(got.header("x-request-id"), Some("mine-1"));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(got.header("traceparent"), Some(trace), "a trace goes on to the VM");
    assert_eq!(got.header("x-cumulet-attempts"), Some("1"));
    cluster.stop().await;
}

#[tokio::test]
async fn every_form_of_target_and_method_arrives() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    for (request, line, host) in [
        ("GET http://real/x HTTP/1.1\r\nHost: fake\r\n", "GET /x HTTP/1.1", "real"),
        ("GET http://real HTTP/1.1\r\nHost: fake\r\n", "GET / HTTP/1.1", "real"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", "OPTIONS * HTTP/1.1", "a"),
        ("OPTIONS /x HTTP/1.1\r\nHost: a\r\n", "OPTIONS /x HTTP/1.1", "a"),
        ("DELETE /x HTTP/1.1\r\nHost: a\r\n", "DELETE /x HTTP/1.1", "a"),
        ("BREW /pot HTTP/1.1\r\nHost: a\r\n", "BREW /pot HTTP/1.1", "a"),
        ("GET /old HTTP/1.0\r\nHost: a\r\n", "GET /old HTTP/1.1", "a"),
    ] {
        let answer = cluster.send(&format!("{request}\r\n")).await;
        assert_eq!(answer.status(), 200, "{request}");
        let got = vm.seen().pop().unwrap();
        assert_eq!(got.head.lines().next(), Some(line));
        assert_eq!(got.headers("host"), [host], "{request}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn connect_and_trace_are_not_served_and_options_may_end_here() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    assert_eq!(cluster.send("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").await.status(), 405);
    assert_eq!(cluster.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").await.status(), 405);
    let end = "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    assert_eq!(cluster.send(end).await.status(), 204);
    assert!(vm.seen().is_empty());
    cluster.stop().await;
}

#[tokio::test]
async fn head_answers_have_a_length_and_no_body_and_the_connection_goes_on() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    for _ in 0..3 {
        client.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer_to("HEAD").await;
        assert_eq!((answer.status(), answer.header("content-length")), (200, Some("5")));
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "vm-1 ");
    }
    assert_eq!(vm.connections(), 1, "one connection to the VM is used again and again");
    cluster.stop().await;
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    let requests = [0, 1, 2, 3, 4]
        .map(|n| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{n}"));
    client.write(requests.concat().as_bytes()).await;
    for n in 0..5 {
        assert_eq!(client.answer().await.text(), format!("vm-1 {n}"));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client
        .write(
            b"POST /blurimage HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n",
        )
        .await;
    assert_eq!(client.interim().await, 100);
    client.write(b"hello").await;
    assert_eq!(client.answer().await.text(), "vm-1 hello");
    assert_eq!(vm.seen()[0].header("expect"), None);
    cluster.stop().await;
}

#[tokio::test]
async fn large_bodies_pass_in_chunks_and_at_length() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let body: Vec<u8> = (0..12_000_000_u32).map(|n| (n % 251) as u8).collect();
    let answer = cluster.post("/blurimage", &body).await;
    assert!(answer.whole && answer.body.get(5..) == Some(body.as_slice()));
    let mut request = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(70_001) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nX-Trailer: dropped\r\n\r\n");
    let answer = cluster.send_bytes(&request).await;
    assert!(answer.whole && answer.body.get(5..) == Some(body.as_slice()));
    assert_eq!(vm.seen()[1].header("x-trailer"), None);
    cluster.stop().await;
}

#[tokio::test]
async fn a_get_may_have_a_body() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let head = "GET /x HTTP/1.1\r\nHost: a\r\n";
    let fixed = cluster.send(&format!("{head}Content-Length: 2\r\n\r\nhi")).await;
    assert_eq!(fixed.text(), "vm-1 hi");
    let chunked = cluster
        .send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))
        .await;
    assert_eq!(chunked.text(), "vm-1 hi");
    cluster.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_the_limit_named() {
    let settings = Settings { body_limit: 100_000, ..Settings::default() };
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    let declared = cluster.post("/blurimage", &vec![b'x'; 3_000_000]).await;
    assert_eq!(declared.status(), 413);
    assert!(declared.text().contains("100000 bytes"), "{}", declared.text());
    assert_eq!(declared.header("connection"), Some("close"));
    assert!(vm.seen().is_empty());

    let mut request = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..50 {
        request.extend_from_slice(b"2710\r\n");
        request.resize(request.len() + 10_000, b'z');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let streamed = cluster.send_bytes(&request).await;
    assert_eq!(streamed.status(), 413);
    let exact = cluster.post("/x", &vec![b'x'; 100_000]).await;
    assert_eq!(exact.status(), 200);
    cluster.stop().await;
}

#[tokio::test]
async fn a_slow_answer_is_given_up_at_the_deadline() {
    let settings = Settings { request_deadline: Duration::from_millis(300), ..Settings::default() };
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("no answer came within 300ms"), "{}", answer.text());
    cluster.stop().await;
}

#[tokio::test]
async fn answers_that_are_not_http_are_not_passed_on() {
    for raw in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let vm =
            FakeVm::start_with("vm-1", move |_| Act::RawThenClose(raw.as_bytes().to_vec())).await;
        let cluster = Cluster::start(&[&vm]).await;
        let answer = cluster.post("/orders", b"x").await;
        assert_eq!(answer.status(), 502, "{raw:?}: {}", answer.head);
        cluster.stop().await;
    }
}

#[tokio::test]
async fn bytes_after_an_answer_do_not_become_the_next_one() {
    let vm = FakeVm::start_with("vm-1", |request| {
        if request.head.contains("/first") {
            Act::Raw(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
              Content-Length: 6\r\n\r\npoison"
                    .to_vec(),
            )
        } else {
            Act::Echo
        }
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    for _ in 0..5 {
        assert_eq!(cluster.get("/first").await.text(), "ok");
        assert_eq!(cluster.get("/second").await.text(), "vm-1 ");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_refused_body_does_not_become_the_next_request() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno".to_vec())
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = hidden.len();
    let post = format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{hidden}");
    client.write(post.as_bytes()).await;
    assert_eq!(client.answer().await.status(), 404);
    client.write(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 404);
    let paths: Vec<_> = vm.seen().iter().map(|got| got.head[..6].to_owned()).collect();
    assert_eq!(paths, ["POST /", "GET /n"]);
    cluster.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::RawThenClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec())
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    for _ in 0..2 {
        let answer = cluster.get("/").await;
        assert_eq!(
            (answer.text().as_str(), answer.header("content-length")),
            ("until the end", Some("13"))
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn what_a_vm_tells_of_its_progress_comes_before_its_answer() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(
            b"HTTP/1.1 100 Continue\r\n\r\n\
              HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
                .to_vec(),
        )
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nvia: 1.1 cumulet\r\n\r\n";
    assert!(client.first_bytes_contain(&format!("{hints}HTTP/1.1 200 OK")).await);
    assert!(client.first_bytes_contain("\r\n\r\nwhole").await);
    cluster.stop().await;
}

#[tokio::test]
async fn events_stream_as_they_come() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
              Transfer-Encoding: chunked\r\n\r\n6\r\ndata 1\r\n"
                .to_vec(),
        )
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.first_bytes_contain("data 1").await);
    drop(client);
    cluster.until("/metrics", |a| a.text().contains("cumulet_in_flight{vm=\"vm-1\"} 0")).await;
    eventually(|| async { cluster.file("metrics.txt").contains("status=499") }).await;
    cluster.stop().await;
}
