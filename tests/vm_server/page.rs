//! The page in a real browser: it must really send work and show the pictures that come back.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::{Client, Server, settings};

/// Uses the page as a person would, and tells what it shows.
const DRIVER: &str = r"{
const until = async (what, test) => {
  for (let i = 0; i < 6000; i++) {
    if (test()) return
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  throw new Error('never: ' + what)
}
const holding = file => { const held = new DataTransfer(); held.items.add(file); return held }
const choose = file => { $('picture').files = holding(file).files; $('picture').onchange() }
const drop = file => {
  const event = new DragEvent('drop', { dataTransfer: holding(file), cancelable: true })
  $('picture-drop').dispatchEvent(event)
}
async function use(kind, prepare) {
  document.querySelector(`[data-kind=${kind}]`).click()
  prepare()
  delete document.body.dataset.done
  $('send').click()
  await until(kind + ' is done', () => document.body.dataset.done)
  if ($('result').src) await $('result').decode()
  const first = $('log').tBodies[0].rows[0]
  return {
    done: document.body.dataset.done,
    size: [$('result').naturalWidth, $('result').naturalHeight],
    status: $('status').textContent,
    row: first ? Array.from(first.cells, cell => cell.textContent) : [],
    rows: $('log').tBodies[0].rows.length,
    visible: $('figure').offsetHeight > 0,
  }
}
async function drive() {
  const canvas = document.createElement('canvas')
  canvas.width = 120; canvas.height = 80
  canvas.getContext('2d').fillRect(20, 20, 40, 40)
  const jpeg = await new Promise(resolve => canvas.toBlob(resolve, 'image/jpeg'))
  const file = new File([jpeg], 'square.jpg', { type: 'image/jpeg' })
  return {
    unprepared: (() => { $('send').click(); return $('status').textContent })(),
    bad: await use('blur', () => choose(new File(['no picture'], 'bad.jpg'))),
    blur: await use('blur', () => choose(file)),
    enhance: await use('enhance', () => drop(file)),
    raytrace: await use('raytrace', () => { $('scols').value = 96; $('srows').value = 60 }),
    window: await use('raytrace', () => { $('wcols').value = 30; $('wrows').value = 20 }),
    many: await use('raytrace', () => { $('times').value = 5 }),
  }
}
drive()
  .catch(error => ({ error: String(error.stack || error) }))
  .then(verdict => fetch('verdict', { method: 'POST', body: JSON.stringify(verdict) }))
}";

/// Stands between browser and VM, as the balancer does, and adds the driver to the page.
async fn stand_between(address: String, verdicts: mpsc::Sender<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let service = service_fn(move |request: Request<Incoming>| {
        let (address, verdicts) = (address.clone(), verdicts.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            if head.uri.path() == "/verdict" {
                verdicts.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
                return Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())));
            }
            let is_page = head.uri.path() == "/";
            let request = Request::from_parts(head, Full::new(body));
            let reply = Client::connect(&address).await.send(request).await;
            let mut answer = Response::builder().status(reply.status);
            *answer.headers_mut().unwrap() = reply.headers.clone();
            if !is_page {
                return Ok(answer.body(Full::new(reply.body)).unwrap());
            }
            let page = format!("{}<script>{DRIVER}</script>", reply.text());
            answer.headers_mut().unwrap().remove("content-length");
            Ok(answer.body(Full::new(page.into())).unwrap())
        }
    });
    let (stop, grace) = (CancellationToken::new(), Duration::ZERO);
    tokio::spawn(cumulet::http::server::serve(listener, service, stop, grace));
    own
}

fn browse(url: &str, profile: &TempDir) -> Child {
    let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    Command::new(&program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
        .args(["--disable-component-update", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}; name one by CHROMIUM"))
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test --test vm_server page -- --ignored"]
async fn the_page_sends_work_and_shows_what_comes_back() {
    let server = Server::start(settings()).await;
    let (sender, mut verdicts) = mpsc::channel(1);
    let between = stand_between(server.address.clone(), sender).await;
    let profile = TempDir::new().unwrap();
    let mut browser = browse(&format!("http://{between}/"), &profile);
    let verdict = tokio::time::timeout(Duration::from_mins(3), verdicts.recv()).await;
    browser.kill().await.unwrap();
    let verdict = verdict.expect("the browser tells in time").unwrap();

    assert_eq!(verdict["unprepared"], "Choose a picture first.", "{verdict:#}");
    assert_eq!(verdict["bad"]["done"], "failed", "{verdict:#}");
    let status = verdict["bad"]["status"].as_str().unwrap();
    assert!(status.contains("no JPEG, PNG"), "{status}");
    for (kind, verb, width, height, rows) in [
        ("blur", "blurred", 120, 80, 1),
        ("enhance", "enhanced", 120, 80, 2),
        ("raytrace", "rendered", 96, 60, 3),
        ("window", "rendered", 30, 20, 4),
        ("many", "5 of 5 done", 30, 20, 9),
    ] {
        let shown = &verdict[kind];
        assert_eq!(shown["done"], "ok", "{verdict:#}");
        assert_eq!(shown["size"], serde_json::json!([width, height]), "{verdict:#}");
        assert_eq!((&shown["row"][0], &shown["rows"]), (&"vm-1".into(), &rows.into()));
        assert_eq!((&shown["row"][5], &shown["visible"]), (&"1".into(), &true.into()));
        assert!(shown["status"].as_str().unwrap().contains(verb), "{verdict:#}");
    }
}
