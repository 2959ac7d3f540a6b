//! Clients that are slow, leave, or end in odd ways; and what is passed on beside heads and bodies.

use std::time::Duration;

use cumulet::balancer::Settings;

use super::cluster::{Act, Client, Cluster, FakeVm, eventually};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_head_that_drips_is_cut_off_after_a_total_time() {
    let settings = Settings { head_timeout: SHORT, ..Settings::default() };
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    let dripping = async {
        loop {
            client.write(b"A: b\r\n").await;
            if let Ok(answer) =
                tokio::time::timeout(Duration::from_millis(20), client.next_answer()).await
            {
                break answer;
            }
        }
    };
    let answer = dripping.await.expect("an answer");
    assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
    assert!(answer.text().contains("the head of the request did not come within 300ms"));
    assert!(vm.seen().is_empty());
    cluster.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off_after_a_total_time() {
    let settings = Settings { body_timeout: SHORT, ..Settings::default() };
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    for head in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
        let mut client = Client::open(cluster.address).await;
        client.write(format!("POST /blurimage HTTP/1.1\r\nHost: a\r\n{head}").as_bytes()).await;
        let answer = loop {
            client.write(b"1\r\n1\r\n").await;
            if let Ok(answer) =
                tokio::time::timeout(Duration::from_millis(20), client.next_answer()).await
            {
                break answer.expect("an answer");
            }
        };
        assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
        assert!(answer.text().contains("the body of the request did not come within 300ms"));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let settings = Settings { answer_timeout: SHORT, ..Settings::default() };
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start_with(settings, &[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    // Longer than what the system keeps for a reader that may come yet.
    let body = vec![b'x'; 40_000_000];
    let mut post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())
        .into_bytes();
    post.extend_from_slice(&body);
    client.write(&post).await;
    cluster.until("/metrics", |a| a.text().contains("cumulet_cancelled_total 1")).await;
    assert!(!client.answer().await.whole, "it was cut off");
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_work_and_one_that_half_closes_has_gone() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[&vm]).await;
    for (round, half) in [(1, false), (2, true)] {
        let mut client = Client::open(cluster.address).await;
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        vm.until_seen(round).await;
        let rest = if half {
            client.half_close().await
        } else {
            drop(client);
            None
        };
        eventually(|| async { vm.left() as usize == round }).await;
        drop(rest);
    }
    eventually(|| async { cluster.file("metrics.txt").matches("status=499").count() == 2 }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_amid_a_head_is_told_so() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    let mut client = client.half_close().await.expect("it is open");
    let answer = client.answer().await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("the connection ended before the head did"));
    cluster.stop().await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let vm = FakeVm::start_with("vm-1", |_| {
        Act::Raw(
            b"HTTP/1.1 200 OK\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nok\r\n0\r\nX-Check: 7\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let answer = cluster
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 5\r\n\r\n",
        )
        .await;
    assert_eq!(answer.text(), "ok");
    let sent = vm.seen().remove(0).trailers.to_lowercase();
    assert!(sent.contains("x-sum: 5"), "{sent:?}");
    assert!(answer.whole && answer.header("trailer") == Some("X-Check"), "{}", answer.head);
    assert!(answer.trailers.to_lowercase().contains("x-check: 7"), "{:?}", answer.trailers);
    // A client that does not say it understands them gets none.
    let answer = cluster.post("/", b"").await;
    assert_eq!((answer.status(), answer.trailers.as_str()), (200, ""));
    cluster.stop().await;
}

#[tokio::test]
async fn a_trailer_never_becomes_a_header() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    cluster
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTrailer: Content-Length, X-Role\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nX-Role: admin\r\n\r\n",
        )
        .await;
    let got = vm.seen().remove(0);
    assert_eq!((got.header("content-length"), got.header("x-role")), (None, None));
    assert!(!got.trailers.to_lowercase().contains("content-length"), "{:?}", got.trailers);
    cluster.stop().await;
}

const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n6\r\ndata 1\r\n";

#[tokio::test]
async fn a_client_that_leaves_amid_its_body_is_missed_though_its_answer_has_begun() {
    let vm = FakeVm::start_with("vm-1", |_| Act::RawAtHead(EVENTS.to_vec())).await;
    let cluster = Cluster::start(&[&vm]).await;
    for framing in ["Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n64\r\nabc"]
    {
        let mut client = Client::open(cluster.address).await;
        client.write(format!("POST /e HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes()).await;
        assert!(client.first_bytes_contain("data 1").await);
        drop(client);
        cluster.until("/metrics", |a| a.text().contains("cumulet_in_flight{vm=\"vm-1\"} 0")).await;
    }
    let lines = || cluster.file("log/access.log").matches("status=499").count();
    eventually(|| async { lines() == 2 }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_head_of_a_stream_of_events_is_a_whole_answer() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let vm = FakeVm::start_with("vm-1", |_| Act::Raw(head.to_vec())).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    for _ in 0..2 {
        client.write(b"HEAD /e HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer_to("HEAD").await.status(), 200);
    }
    assert_eq!(vm.connections(), 1);
    let lines = || cluster.file("log/access.log").matches("end=whole").count();
    eventually(|| async { lines() == 2 }).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_says_no_more_gets_the_answers_before_its_last() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Halves).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut client = client.half_close().await.unwrap();
    assert_eq!(client.answer().await.status(), 200);
    cluster.stop().await;
}

#[tokio::test]
async fn many_empty_lines_and_tiny_chunks_are_borne() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut request = "\r\n".repeat(1000);
    request.push_str("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    request.push_str("1;x=\"y\"\r\na\r\n");
    request.push_str(&"1\r\na\r\n".repeat(20_000));
    request.push_str("0\r\n\r\n");
    let answer = cluster.send(&request).await;
    assert!(answer.whole && answer.body.len() == 20_006);
    cluster.stop().await;
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    for byte in b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" {
        client.write(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.text(), "vm-1 hi");
    cluster.stop().await;
}
