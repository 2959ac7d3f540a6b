//! Whatever is sent, there is an answer that says what is wrong, never a dropped connection.

use std::time::Duration;

use hyper::Method;
use image::ImageFormat;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{SCENE, Server, picture, render_path, request, settings, with};

#[tokio::test]
async fn a_bad_render_request_is_named() {
    let server = Server::start(settings()).await;
    let json = |scene: &str| serde_json::json!({ "scene": scene }).to_string();
    let no_columns = "/raytracer?srows=3&wcols=4&wrows=3&coff=0&roff=0";
    let good = render_path(4, 3);
    let odd_flag = good.replace("scols=4", "scols=four");
    let huge = render_path(100_000, 100_000);
    for (path, body, status, word) in [
        ("/raytracer", json(SCENE), 400, "scols"),
        (no_columns, json(SCENE), 400, "scols"),
        (&*odd_flag, json(SCENE), 400, "scols"),
        (&*good, "{\"scene\": ".to_owned(), 400, ""),
        (&*good, "{\"texmap\": []}".to_owned(), 400, "scene"),
        (&*good, "{\"scene\": 7}".to_owned(), 400, "scene"),
        (&*good, json("0 1 2"), 400, ""),
        (&*good, String::new(), 400, ""),
        (&*good, json(&SCENE.replace("sphere", "cube")), 400, "cube"),
        (&*good, json(&SCENE.replace("1 0 sphere", "9 0 sphere")), 422, "9"),
        (&*huge, json(SCENE), 413, "window_pixels"),
    ] {
        let reply = server.post(path, body.clone()).await;
        assert_eq!(reply.status, status, "{path} {body}: {reply:?}");
        let detail = reply.detail();
        assert!(detail.contains(word), "{path} {body}: {detail}");
    }
}

#[tokio::test]
async fn a_bad_picture_is_named() {
    let server = Server::start(settings()).await;
    let png = picture(40, 30, ImageFormat::Png);
    let jpeg = picture(40, 30, ImageFormat::Jpeg);
    let data_url = |payload: &str| format!("data:image/jpg;base64,{payload}").into_bytes();
    let text = base64_simd::STANDARD.encode_to_string(b"this is no picture at all");
    for (body, status) in [
        (Vec::new(), 400),
        (b"data:image/jpg;base64".to_vec(), 400),
        (data_url("&&&&"), 400),
        (data_url(&text), 415),
        (b"plain text".to_vec(), 415),
        (png[..png.len() / 2].to_vec(), 400),
        (jpeg[..40].to_vec(), 400),
    ] {
        for path in ["/blurimage", "/enhanceimage"] {
            let reply = server.post(path, body.clone()).await;
            let sent = String::from_utf8_lossy(&body);
            assert_eq!(reply.status, status, "{path} {sent}: {reply:?}");
            assert!(reply.detail().len() > 10, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_label_that_nothing_writes_gets_the_empty_answer_that_clients_know() {
    let server = Server::start(settings()).await;
    let png = base64_simd::STANDARD.encode_to_string(picture(8, 8, ImageFormat::Png));
    for label in ["webp", "svg+xml"] {
        let reply = server.post("/blurimage", format!("data:image/{label};base64,{png}")).await;
        let expected = format!("data:image/{label};base64,");
        assert_eq!((reply.status, reply.text()), (200, &*expected));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_its_announced_length_or_on_the_way() {
    let mut settings = settings();
    settings.body_bytes = 100_000;
    let server = Server::start(settings).await;
    let reply = server.post("/blurimage", vec![0; 3_000_000]).await;
    assert_eq!(reply.status, 413);
    assert!(reply.detail().contains("`body_bytes` is 100000"), "{}", reply.detail());

    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /blurimage HTTP/1.1\r\nhost: vm\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"8000\r\n".as_slice(), &vec![0; 0x8000], b"\r\n"].concat();
    for _ in 0..10 {
        stream.write_all(&chunk).await.unwrap();
    }
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on_or_not() {
    let mut settings = settings();
    settings.body_bytes = 100_000;
    let server = Server::start(settings).await;
    for (length, expected) in [(90_000, "HTTP/1.1 100 "), (110_000, "HTTP/1.1 413 ")] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let head = format!(
            "POST /blurimage HTTP/1.1\r\nhost: vm\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn bodies_that_together_are_too_much_are_sent_elsewhere() {
    let mut settings = settings();
    settings.all_bodies_bytes = 50_000;
    let server = Server::start(settings).await;
    let mut first = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /blurimage HTTP/1.1\r\nhost: vm\r\ncontent-length: 41000\r\n\r\n";
    first.write_all(&[head.as_bytes(), &vec![0; 40_000]].concat()).await.unwrap();
    server.is_at(0, 1).await;
    crate::harness::eventually("the second is refused", async || {
        let second = server.post("/blurimage", vec![0; 20_000]).await;
        (second.status, second.header("retry-after")) == (503, "1")
    })
    .await;
    drop(first);
    server.is_at(0, 0).await;
    assert_eq!(server.post("/blurimage", vec![0; 20_000]).await.status, 415);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_leaves_no_trace() {
    let server = Server::start(settings()).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /blurimage HTTP/1.1\r\nhost: vm\r\ncontent-length: 1000\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    server.is_at(0, 1).await;
    drop(stream);
    server.is_at(0, 0).await;
}

#[tokio::test]
async fn an_unusable_request_id_is_replaced() {
    let server = Server::start(settings()).await;
    let long = "x".repeat(1_000);
    let sent = with(request(Method::GET, "/test", ""), "x-request-id", &long);
    let reply = server.send(sent).await;
    assert_eq!(reply.header("x-request-id").len(), 12);
    let sent = with(request(Method::GET, "/test", ""), "x-cumulet-attempts", "many");
    assert_eq!(server.send(sent).await.header("x-cumulet-attempts"), "1");
}

/// The head of the next answer, or nothing if the connection is dropped.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4_096];
    let read = tokio::time::timeout(Duration::from_mins(1), stream.read(&mut bytes)).await;
    let length = read.expect("an answer in time").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}
