//! Every row of the table of requests and answers.

use hyper::Method;
use image::ImageFormat;

use crate::harness::{
    Client, Reply, SCENE, Server, metrics, picture, render_path, request, settings, with,
};

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// The label of a data URL and the bytes in it.
fn data_url(reply: &Reply) -> (&str, Vec<u8>) {
    let text = reply.text().strip_prefix("data:image/").expect("a data URL");
    let (label, payload) = text.split_once(";base64,").expect("a label and base64");
    let bytes = base64_simd::STANDARD.decode_to_vec(payload).expect("base64");
    (label, bytes)
}

fn decoded(bytes: &[u8], format: ImageFormat) -> (u32, u32) {
    let picture = image::load_from_memory_with_format(bytes, format).expect("a picture");
    (picture.width(), picture.height())
}

/// Lines of 76 characters, as the command `base64` writes them.
fn wrapped(text: &str) -> String {
    let lines = text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.collect::<Vec<_>>().join("\r\n")
}

#[tokio::test]
async fn a_data_url_comes_back_as_one_with_its_format_as_sent() {
    let server = Server::start(settings()).await;
    let picture = base64(&picture(40, 30, ImageFormat::Png));
    for path in ["/blurimage", "/enhanceimage"] {
        for (label, format) in [("jpg", ImageFormat::Jpeg), ("PNG", ImageFormat::Png)] {
            for payload in [picture.clone(), wrapped(&picture)] {
                let post =
                    request(Method::POST, path, format!("data:image/{label};base64,{payload}"));
                let form = "application/x-www-form-urlencoded";
                let reply = server.send(with(post, "content-type", form)).await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert!(reply.header("content-type").starts_with("text/plain"), "{reply:?}");
                let (echoed, bytes) = data_url(&reply);
                assert_eq!(echoed, label);
                assert_eq!(decoded(&bytes, format), (40, 30));
            }
        }
    }
}

#[tokio::test]
async fn raw_bytes_come_back_as_the_same_kind_of_picture() {
    let server = Server::start(settings()).await;
    for path in ["/blurimage", "/enhanceimage"] {
        for (format, media_type) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Bmp, "image/bmp"),
            (ImageFormat::Gif, "image/gif"),
            (ImageFormat::Tiff, "image/tiff"),
        ] {
            let reply = server.post(path, picture(40, 30, format)).await;
            assert_eq!(reply.status, 200, "{path} {format:?} {reply:?}");
            assert_eq!(reply.header("content-type"), media_type);
            assert_eq!(decoded(&reply.body, format), (40, 30));
        }
    }
}

/// A form with files, as a browser or `curl -F` sends it.
fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(b"--limit--\r\n");
    ("multipart/form-data; boundary=limit".to_owned(), body)
}

#[tokio::test]
async fn a_form_with_a_file_is_answered_with_raw_bytes() {
    let server = Server::start(settings()).await;
    let (content_type, body) = form(&[("file", &picture(40, 30, ImageFormat::Png))]);
    let post = with(request(Method::POST, "/blurimage", body), "content-type", &content_type);
    let reply = server.send(post).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/png"), "{reply:?}");
    assert_eq!(decoded(&reply.body, ImageFormat::Png), (40, 30));
}

#[tokio::test]
async fn a_scene_in_json_comes_back_as_a_data_url() {
    let server = Server::start(settings()).await;
    let texture: Vec<u32> =
        picture(8, 8, ImageFormat::Bmp).iter().map(|byte| u32::from(*byte)).collect();
    for body in [
        serde_json::json!({ "scene": SCENE }),
        serde_json::json!({ "scene": SCENE, "texmap": texture, "more": true }),
    ] {
        let reply = server.post(&render_path(64, 40), body.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let (label, bytes) = data_url(&reply);
        assert_eq!((label, decoded(&bytes, ImageFormat::Bmp)), ("bmp", (64, 40)));
    }
}

#[tokio::test]
async fn a_plain_scene_or_a_form_comes_back_as_a_picture_of_the_preferred_kind() {
    let server = Server::start(settings()).await;
    let (content_type, body) =
        form(&[("scene", SCENE.as_bytes()), ("texmap", &picture(8, 8, ImageFormat::Png))]);
    let path = render_path(64, 40);
    for (accept, format, media_type) in
        [("*/*", ImageFormat::Bmp, "image/bmp"), ("image/png", ImageFormat::Png, "image/png")]
    {
        let plain = with(request(Method::POST, &path, SCENE), "accept", accept);
        let form = with(request(Method::POST, &path, body.clone()), "accept", accept);
        for post in [plain, with(form, "content-type", &content_type)] {
            let reply = server.send(post).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, media_type));
            assert_eq!(decoded(&reply.body, format), (64, 40));
        }
    }
}

#[tokio::test]
async fn any_method_with_a_body_and_any_longer_path_do_the_same() {
    let server = Server::start(settings()).await;
    let picture = picture(20, 20, ImageFormat::Png);
    let expected = server.post("/blurimage", picture.clone()).await.body;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/blurimage", "/blurimage/", "/blurimagefoo?a=b"] {
            let reply = server.send(request(method.clone(), path, picture.clone())).await;
            assert_eq!((reply.status, &reply.body), (200, &expected), "{method} {path}");
        }
    }
    assert_eq!(server.get("/blurimage").await.status, 405);
}

#[tokio::test]
async fn the_small_answers_are_as_small_as_agreed() {
    let server = Server::start(settings()).await;
    let test = server.get("/test").await;
    assert_eq!((test.status, test.text()), (200, "OK"));
    let health = server.get("/health").await;
    assert_eq!((health.status, health.text()), (200, "OK: 0.000"));
    assert_eq!(health.header("x-cumulet-state"), "running");
    let root = server.get("/").await;
    assert_eq!((root.status, root.text()), (200, "vm-1 is running\n"));
    let browser = with(request(Method::GET, "/", ""), "accept", "text/html,*/*;q=0.8");
    let page = server.send(browser).await;
    assert!(page.header("content-type").starts_with("text/html"), "{:?}", page.headers);
    assert!(page.text().starts_with("<!doctype html>"));
    assert!(page.body.len() < 20_000, "the page stays small: {}", page.body.len());
}

#[tokio::test]
async fn options_of_anything_allows_it_without_a_body() {
    let server = Server::start(settings()).await;
    for path in ["/", "/blurimage", "/raytracer?x=1", "/no/such/thing"] {
        let reply = server.send(request(Method::OPTIONS, path, "")).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("access-control-allow-methods").contains("POST"));
        assert!(reply.header("access-control-allow-headers").contains("Content-Type"));
    }
}

#[tokio::test]
async fn what_nothing_answers_is_a_problem_that_says_so() {
    let server = Server::start(settings()).await;
    let missing = server.post("/blur", "x").await;
    assert_eq!(missing.status, 404);
    assert!(missing.detail().contains("/blurimage"));
    let refused = server.post("/health", "x").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
    assert!(refused.detail().contains("not POST"));
}

#[tokio::test]
async fn every_answer_says_who_gave_it_and_how_busy_it_is() {
    let server = Server::start(settings()).await;
    let picture = picture(20, 20, ImageFormat::Png);
    for (method, path, body) in [
        (Method::GET, "/health", Vec::new()),
        (Method::GET, "/nothing", Vec::new()),
        (Method::OPTIONS, "/", Vec::new()),
        (Method::POST, "/blurimage", picture),
        (Method::POST, "/blurimage", b"no picture".to_vec()),
    ] {
        let sent = with(request(method, path, body), "x-request-id", "mine-1");
        let reply = server.send(with(sent, "x-cumulet-attempts", "3")).await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(reply.header("x-cumulet-vm"), "vm-1");
        assert_eq!(reply.header("x-request-id"), "mine-1");
        assert_eq!(reply.header("x-cumulet-attempts"), "3");
        assert!(reply.header("x-cumulet-load").ends_with(" in_flight=0 queued=0"), "{reply:?}");
        assert!(reply.header("server-timing").contains("total;dur="), "{reply:?}");
        let length = if reply.status == 204 { "" } else { &reply.body.len().to_string() };
        assert_eq!(reply.header("content-length"), length, "{path}");
    }
    let (first, second) = (server.get("/test").await, server.get("/test").await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.header("x-cumulet-attempts"), "1");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(settings()).await;
    let mut client = Client::connect(&server.address).await;
    for _ in 0..3 {
        let render = request(Method::POST, &render_path(32, 20), SCENE);
        assert_eq!(client.send(render).await.status, 200);
        assert_eq!(client.send(request(Method::POST, "/blurimage", "bad")).await.status, 415);
        assert_eq!(client.send(request(Method::HEAD, "/health", "")).await.body.len(), 0);
    }
}

#[tokio::test]
async fn each_request_for_work_leaves_one_line_with_its_features() {
    let server = Server::start(settings()).await;
    let picture = picture(40, 30, ImageFormat::Png);
    let sent = picture.len() as u64;
    let blur = with(request(Method::POST, "/blurimage", picture), "x-request-id", "first");
    let blurred = server.send(blur).await;
    server.post(&render_path(64, 40), SCENE).await;
    server.post("/enhanceimage", "no picture").await;
    server.get("/health").await;
    let (state, _folder) = server.stopped().await;
    let lines = metrics(&state);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((&*lines[0].request, &*lines[0].workload), ("first", "blur"));
    assert_eq!((lines[0].width, lines[0].height), (Some(40), Some(30)));
    assert_eq!((lines[0].input_bytes, lines[0].output_bytes), (sent, blurred.body.len() as u64));
    assert!(lines[0].cpu_us > Some(0) && lines[0].work > Some(0), "{:?}", lines[0]);
    let features: Vec<&str> = lines[1].extra.iter().map(|(name, _)| *name).collect();
    assert_eq!((&*lines[1].workload, lines[1].status), ("raytrace", 200));
    assert_eq!(features, ["rays", "tests", "scene_bytes", "primitives", "lights", "antialias"]);
    assert_eq!((lines[2].status, lines[2].work), (415, None));
}
