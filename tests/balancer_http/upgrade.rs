//! Other protocols that begin on a connection.

use super::cluster::{Act, Client, Cluster, FakeVm, eventually};

const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s\r\n\r\n";

#[tokio::test]
async fn another_protocol_passes_as_it_is() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Switch(SWITCH.to_vec())).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    // The client does not wait: what follows the head belongs to the other protocol.
    client.write(&[ASK, b"\0first\n"].concat()).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("connection"), Some("upgrade"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s"));
    assert!(client.first_bytes_contain("\0first\n").await);
    client.write(b"GET / HTTP/1.1\n\nnot a request").await;
    assert!(client.first_bytes_contain("not a request").await);
    let got = vm.seen().remove(0);
    assert_eq!(got.header("upgrade"), Some("websocket"));
    assert_eq!(got.header("connection"), Some("upgrade"));
    let in_flight = |count: u32| format!("cumulet_in_flight{{vm=\"vm-1\"}} {count}");
    cluster.until("/metrics", |a| a.text().contains(&in_flight(1))).await;
    drop(client);
    cluster.until("/metrics", |a| a.text().contains(&in_flight(0))).await;
    cluster.stop().await;
}

#[tokio::test]
async fn an_upgrade_asked_for_in_vain_ends_the_connection() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    let hidden = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write(&[ASK, hidden].concat()).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    assert!(client.next_answer().await.is_none());
    assert_eq!(vm.seen().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn http2_is_not_upgraded_to_and_http1_goes_on() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
               Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    for _ in 0..2 {
        client.write(ask.as_bytes()).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (200, None));
    }
    let got = vm.seen().remove(0);
    assert_eq!((got.header("upgrade"), got.header("http2-settings")), (None, None));
    cluster.stop().await;
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_does_not_begin() {
    let vm = FakeVm::start_with("vm-1", |_| Act::RawThenClose(SWITCH.to_vec())).await;
    let cluster = Cluster::start(&[&vm]).await;
    let answer = cluster.post("/orders", b"x").await;
    assert_eq!(answer.status(), 502, "{}", answer.head);
    cluster.stop().await;
}

#[tokio::test]
async fn a_tunnel_ends_when_its_vm_dies() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Switch(SWITCH.to_vec())).await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut client = Client::open(cluster.address).await;
    client.write(ASK).await;
    assert_eq!(client.head().await.status(), 101);
    vm.kill();
    assert!(!client.first_bytes_contain("anything").await, "the connection ends");
    drop(client);
    eventually(|| async { cluster.file("LBState.xml").contains("inFlight=\"0\"") }).await;
    cluster.stop().await;
}
