//! Requests of all three kinds, and the answer to bad ones.

use std::num::NonZeroUsize;

use base64_simd::STANDARD;
use cumulet::workload::imaging::{self, Filter, OutputFormat};
use cumulet::workload::{FullSpeed, Limits, Run};
use image::ImageFormat;

use crate::cluster::Cluster;
use crate::http;
use crate::support::{SCENE, encoded, picture, render_path};

/// The payload of a data URL.
#[track_caller]
fn payload(answer: &http::Answer, label: &str) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let base64 = text.strip_prefix(&format!("data:image/{label};base64,")).unwrap_or_else(|| {
        panic!("not a data URL of {label}: {}", text.chars().take(60).collect::<String>())
    });
    STANDARD.decode_to_vec(base64).unwrap()
}

#[test]
fn all_three_kinds_of_requests_come_back_as_pictures() {
    let mut cluster = Cluster::start(2, &[]);
    let limits = Limits::default();
    let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };

    let jpeg = encoded(&picture(320, 200), ImageFormat::Jpeg);
    let body = format!("data:image/jpg;base64,{}", STANDARD.encode_to_string(&jpeg));
    let blurred = payload(&cluster.send("/blurimage", body.as_bytes()).unwrap(), "jpg");
    let expected = imaging::apply(Filter::Blur, &jpeg, OutputFormat::SameAsInput, &run).unwrap();
    assert_eq!(blurred, expected.bytes, "the same bytes as the filter gives by itself");

    let png = encoded(&picture(320, 200), ImageFormat::Png);
    let enhanced = cluster.send("/enhanceimage", &png).unwrap();
    assert_eq!(enhanced.header("content-type"), Some("image/png"));
    assert_eq!(image::load_from_memory(&enhanced.body).unwrap().width(), 320);

    let scene = serde_json::json!({ "scene": SCENE }).to_string();
    let rendered = cluster.send(&render_path(160, 120), scene.as_bytes()).unwrap();
    let bmp = image::load_from_memory(&payload(&rendered, "bmp")).unwrap().to_rgb8();
    assert_eq!(bmp.dimensions(), (160, 120));
    let colours = bmp.pixels().collect::<std::collections::HashSet<_>>().len();
    assert!(colours > 500, "a picture with light and shadow, not {colours} colours");

    for answer in [&enhanced, &rendered] {
        assert!(answer.header("x-cumulet-vm").unwrap().starts_with("vm-"));
        assert_eq!(answer.header("x-cumulet-attempts"), Some("1"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(
            answer.header("x-request-id").is_some() && answer.header("server-timing").is_some()
        );
    }
    assert_eq!(cluster.stop(), Some(0));
    let metrics = std::fs::read_to_string(cluster.path().join("metrics.txt")).unwrap();
    assert_eq!(metrics.lines().count(), 3, "one line per request: {metrics}");
    let log = std::fs::read_to_string(cluster.path().join("log/access.log")).unwrap();
    for answer in [&enhanced, &rendered] {
        let (id, vm) =
            (answer.header("x-request-id").unwrap(), answer.header("x-cumulet-vm").unwrap());
        let logged = log.lines().any(|line| line.contains(id) && line.contains(vm));
        assert!(logged, "the access log says that {vm} got {id}: {log}");
    }
}

#[test]
fn bad_input_of_every_kind_gets_its_answer_and_kills_nobody() {
    let cluster = Cluster::start(1, &[]);
    let pid = cluster.running()[0].pid;
    let render = render_path(40, 30);
    for (path, body, status) in [
        ("/blurimage", &b"no picture"[..], 415),
        ("/blurimage", b"data:image/png;base64,!!!!", 400),
        ("/blurimage", b"data:image/png;base64,aGVsbG8=", 415),
        ("/enhanceimage", b"", 400),
        ("/raytracer?scols=4", b"{\"scene\": \"\"}", 400),
        (&render, b"{\"scene\": 7}", 400),
        (&render, b"{\"scene\": \"1 2\"}", 400),
        (&render, b"{", 400),
        ("/nothing-here", b"", 404),
    ] {
        let answer = cluster.send(path, body).unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{path}: {problem}");
    }
    let preflight = http::send(cluster.address(), "OPTIONS", "/blurimage", b"").unwrap();
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
    assert_eq!(cluster.running()[0].pid, pid, "the VM is the same process as before");
}
