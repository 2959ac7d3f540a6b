//! HTTP/2 by prior knowledge, on the port that speaks HTTP/1 too.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cluster::{Act, Cluster, FakeVm, eventually, within};

async fn connect(cluster: &Cluster) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(cluster.address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(cluster: &Cluster, path: &str, body: &'static [u8]) -> Request<Full<Bytes>> {
    Request::post(format!("http://{}{path}", cluster.address))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn requests_share_a_connection_and_arrive_as_http1() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let sender = connect(&cluster).await;
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(tokio::spawn(sender.clone().send_request(request(&cluster, "/x", b"hello"))));
    }
    for answer in asked {
        let answer = within(answer).await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
        assert!(answer.headers().contains_key("x-request-id"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "vm-1 hello");
    }
    let got = vm.seen().remove(0);
    assert!(got.head.starts_with("POST /x HTTP/1.1\r\n"), "{}", got.head);
    assert_eq!(got.headers("host"), [cluster.address.to_string()]);
    assert_eq!(got.headers("cookie"), ["a=1; b=2"]);
    assert_eq!(got.header("via"), Some("2 cumulet"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_work_and_the_others_go_on() {
    let vm = FakeVm::start_with("vm-1", |request| {
        if request.head.contains("/slow") { Act::Wait } else { Act::Echo }
    })
    .await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut sender = connect(&cluster).await;
    let slow = tokio::spawn(sender.clone().send_request(request(&cluster, "/slow", b"")));
    vm.until_seen(1).await;
    slow.abort();
    eventually(|| async { vm.left() == 1 }).await;
    let answer = within(sender.send_request(request(&cluster, "/", b""))).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    cluster.stop().await;
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Opens a connection by hand and sends what `flood` makes. Says whether it was cut off before the
/// flood was over.
async fn is_cut_off(cluster: &Cluster, mut flood: impl FnMut(u32) -> Vec<u8>) -> bool {
    let stream = TcpStream::connect(cluster.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    write.write_all(&frame(4, 0, 0, b"")).await.unwrap();
    let reading = tokio::spawn(async move {
        // It ends with or without an error, when the other side has had enough.
        let _ended = read.read_to_end(&mut Vec::new()).await;
    });
    for number in 0..200_000 {
        if reading.is_finished() || write.write_all(&flood(number)).await.is_err() {
            within(reading).await.unwrap();
            return true;
        }
    }
    false
}

/// `POST / http` with an authority, in HPACK's static table and one literal.
const HEADERS: &[u8] = &[0x83, 0x84, 0x86, 0x41, 0x01, b'a'];

/// `content-length: 100` after those.
const A_HUNDRED: &[u8] = &[0x5c, 3, b'1', b'0', b'0'];

#[tokio::test]
async fn a_body_that_is_broken_off_as_if_all_were_well_never_passes_for_a_whole_one() {
    let vm = FakeVm::start("vm-1").await;
    let cluster = Cluster::start(&[&vm]).await;
    let mut stream = TcpStream::connect(cluster.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).await.unwrap();
    for (stream_id, headers) in [(1, [HEADERS, A_HUNDRED].concat()), (3, HEADERS.to_vec())] {
        let begun = [frame(1, 0x4, stream_id, &headers), frame(0, 0, stream_id, b"0123456789")];
        stream.write_all(&begun.concat()).await.unwrap();
        eventually(|| async { vm.open_connections() > 0 }).await;
        stream.write_all(&frame(3, 0, stream_id, &[0; 4])).await.unwrap();
        let lines = (stream_id as usize).div_ceil(2);
        eventually(|| async { cluster.file("log/access.log").lines().count() == lines }).await;
        eventually(|| async { vm.open_connections() == 0 }).await;
    }
    let answer = cluster.post("/next", b"whole").await;
    assert_eq!(answer.text(), "vm-1 whole");
    let whole = vm.seen().iter().filter(|request| request.whole).count();
    assert_eq!(whole, 1, "{:?}", vm.seen());
    cluster.stop().await;
}

#[tokio::test]
async fn floods_are_cut_off() {
    let vm = FakeVm::start_with("vm-1", |_| Act::Wait).await;
    let cluster = Cluster::start(&[&vm]).await;
    let rapid_reset = |number: u32| {
        let stream = 2 * number + 1;
        [frame(1, 0x4, stream, HEADERS), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
    };
    assert!(is_cut_off(&cluster, rapid_reset).await, "streams opened and reset at once");
    let continuation = |number: u32| match number {
        0 => frame(1, 0, 1, HEADERS),
        _ => frame(9, 0, 1, &[[0x40, 0x01, b'x', 0x7f, 0x80, 0x01], [b'y'; 6]].concat()),
    };
    assert!(is_cut_off(&cluster, continuation).await, "headers without end");
    cluster.stop().await;
}
