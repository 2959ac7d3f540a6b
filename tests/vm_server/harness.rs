//! A VM in this process, and a client that talks to it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet::domain::instance_type::built_in;
use cumulet::state::metrics::Metric;
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::{Document, StateFolder};
use cumulet::units::Share;
use cumulet::vm::{self, Settings};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a condition may take to come true on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// A VM that runs, and its state folder.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) state: StateFolder,
    pub(crate) folder: TempDir,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A `vm-1` without a boot delay and without limits.
pub(crate) fn settings() -> Settings {
    settings_of("local")
}

/// A `vm-1` of that type without a boot delay, which reports often.
pub(crate) fn settings_of(instance_type: &str) -> Settings {
    let instance_type = built_in().remove(instance_type).expect("a built-in type");
    let mut settings = Settings::new("vm-1".parse().expect("an id"), instance_type);
    settings.boot = Duration::ZERO;
    settings.report_every = Duration::from_millis(100);
    settings
}

/// One vCPU so slow that no request is ever finished: two are worked on, the others wait.
pub(crate) fn stuck() -> Settings {
    let mut settings = settings_of("t2.micro");
    settings.vcpu_share = Share::NONE;
    settings
}

impl Server {
    /// Starts a VM and waits until it serves, if it boots at once.
    pub(crate) async fn start(settings: Settings) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in(folder, settings).await
    }

    /// The same with a state folder that is there already.
    pub(crate) async fn start_in(folder: TempDir, settings: Settings) -> Self {
        let boots = !settings.boot.is_zero();
        let state = StateFolder::open(folder.path()).expect("a state folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stop = CancellationToken::new();
        let task = tokio::spawn(vm::run(settings, state.clone(), listener, stop.clone()));
        let server = Self { address, state, folder, stop, task };
        while !boots && server.state_word().await != "running" {
            tokio::task::yield_now().await;
        }
        server
    }

    /// The state of the VM by its own health answer.
    pub(crate) async fn state_word(&self) -> String {
        self.get("/health").await.header("x-cumulet-state").to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, "")).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.send(request(Method::POST, path, body)).await
    }

    /// Sends a request on a connection of its own and waits for the answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        Client::connect(&self.address).await.send(request).await
    }

    /// Sends a request that somebody else waits for.
    pub(crate) fn sending(&self, request: Request<Full<Bytes>>) -> JoinHandle<Reply> {
        let address = self.address.clone();
        tokio::spawn(async move { Client::connect(&address).await.send(request).await })
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stopped(self) -> (StateFolder, TempDir) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("it stops").expect("it does not panic").expect("it ends well");
        (self.state, self.folder)
    }

    /// Its element in VMState.xml.
    pub(crate) fn report(&self) -> Option<VmReport> {
        report(&self.state)
    }

    /// Waits until it reports so.
    pub(crate) async fn reports(&self, what: &str, so: impl Fn(&VmReport) -> bool) -> VmReport {
        let mut last = None;
        eventually(what, async || {
            last = self.report();
            last.as_ref().is_some_and(&so)
        })
        .await;
        last.expect("there is a report")
    }

    /// Waits until it is as busy as that, by its own word.
    pub(crate) async fn is_at(&self, in_flight: u32, queued: u32) {
        let expected = format!(" in_flight={in_flight} queued={queued}");
        eventually(&expected, async || {
            self.get("/health").await.header("x-cumulet-load").ends_with(&expected)
        })
        .await;
    }
}

/// The report of `vm-1`, if there is one.
pub(crate) fn report(state: &StateFolder) -> Option<VmReport> {
    let document: VmStateFile = state.read().ok().flatten()?;
    document.vm(&"vm-1".parse().expect("an id")).cloned()
}

/// The lines of metrics.txt.
pub(crate) fn metrics(state: &StateFolder) -> Vec<Metric> {
    let text = std::fs::read_to_string(state.path().join("metrics.txt")).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a line that says what it should")).collect()
}

/// Where a document lies.
pub(crate) fn path_of<D: Document>(state: &StateFolder) -> PathBuf {
    state.path().join(D::FILE)
}

/// Waits until something is true.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "vm")
        .body(Full::new(body.into()))
        .expect("a request")
}

/// The same request with one header more.
pub(crate) fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().expect("a header"));
    request
}

/// One connection.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, connection }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        let answer = self.sender.send_request(request);
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time");
        Reply::of(answer.expect("an answer, not a dropped connection")).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    async fn of(answer: Response<hyper::body::Incoming>) -> Self {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body to its end").to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The sentence of a problem document.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(document["status"], self.status);
        document["detail"].as_str().expect("a sentence").to_owned()
    }
}

/// A picture that compresses to something, as a file of that format.
pub(crate) fn picture(width: u32, height: u32, format: image::ImageFormat) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let [x, y] = [x, y].map(|v| u8::try_from(v % 251).expect("small"));
        image::Rgb([x, y, x ^ y])
    };
    let picture = image::RgbImage::from_fn(width, height, pixel);
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("an encoded picture");
    bytes.into_inner()
}

/// A scene with a mirror and a floor.
pub(crate) const SCENE: &str = "\
0 1 6  0 0 0  0 1 0  50
2
0 0 0   1 1 1   1 0 0
-4 6 5  1 1 1   1 0 0
2
checker .2 .2 .2  .9 .9 .9  1.3
solid .9 .3 .2
1
.2 .6 .4 40  .3 0 1
2
0 0 plane 0 1 0 1.1
1 0 sphere 0 0 0 1
";

/// The path that renders a whole scene of that size.
pub(crate) fn render_path(width: u32, height: u32) -> String {
    format!(
        "/raytracer?scols={width}&srows={height}&wcols={width}&wrows={height}&coff=0&roff=0&aa=true"
    )
}

/// A request that takes a stuck VM for ever.
pub(crate) fn endless() -> Request<Full<Bytes>> {
    request(Method::POST, &render_path(1_600, 1_200), SCENE)
}
