//! A VM of which each test says what it does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::vm_state::VmReport;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::wire::{Answer, read_body, read_head};
use super::{eventually, report};

/// What a fake VM does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers 200 with its own id, a space and the body of the request.
    Echo,
    /// Sends exactly this and keeps the connection.
    Raw(Vec<u8>),
    /// Sends this and closes.
    RawThenClose(Vec<u8>),
    /// Sends this, and from then on sends back whatever comes.
    Switch(Vec<u8>),
    /// Closes without a byte.
    Close,
    /// Closes when the head is there, before the body is read.
    CloseAtHead,
    /// Answers this when the head is there, and never reads the body.
    RawAtHead(Vec<u8>),
    /// Waits until it is released, then echoes.
    Wait,
    /// Echoes with a pause in the middle of the answer, as long as work takes.
    Halves,
}

/// How long the middle of an answer takes.
const WORK: Duration = Duration::from_millis(10);

type Script = dyn Fn(&Answer) -> Act + Send + Sync;

/// A VM of which each test says what it does.
pub(crate) struct FakeVm {
    pub(crate) id: VmId,
    pub(crate) pid: u32,
    pub(crate) address: String,
    shared: Arc<Shared>,
    listening: Mutex<CancellationToken>,
    reported: Mutex<Option<VmReport>>,
}

struct Shared {
    id: String,
    script: Mutex<Arc<Script>>,
    seen: Mutex<Vec<Answer>>,
    connections: Mutex<u32>,
    left: Mutex<u32>,
    release: Semaphore,
    deaf: AtomicBool,
    slams: AtomicBool,
    open: Arc<()>,
}

impl FakeVm {
    pub(crate) async fn start(id: &str) -> Self {
        Self::start_with(id, |_| Act::Echo).await
    }

    pub(crate) async fn start_with(
        id: &str,
        script: impl Fn(&Answer) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            id: id.to_owned(),
            script: Mutex::new(Arc::new(script)),
            seen: Mutex::default(),
            connections: Mutex::default(),
            left: Mutex::default(),
            release: Semaphore::new(0),
            deaf: AtomicBool::new(false),
            slams: AtomicBool::new(false),
            open: Arc::default(),
        });
        let alive = CancellationToken::new();
        tokio::spawn(shared.clone().serve(listener, alive.clone()));
        Self {
            id: id.parse().unwrap(),
            pid: 1,
            address,
            shared,
            listening: Mutex::new(alive),
            reported: Mutex::default(),
        }
    }

    pub(crate) fn report(&self) -> VmReport {
        self.report_as(VmState::Running)
    }

    pub(crate) fn report_as(&self, state: VmState) -> VmReport {
        let report = report(self.id.as_str(), state, &self.address, self.pid);
        *self.reported.lock().unwrap() = Some(report.clone());
        report
    }

    pub(crate) fn set_script(&self, script: impl Fn(&Answer) -> Act + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Takes up connections and closes them at once.
    pub(crate) fn slam_the_door(&self) {
        self.shared.slams.store(true, Ordering::SeqCst);
    }

    /// Connections that are open on it.
    pub(crate) fn open_connections(&self) -> usize {
        Arc::strong_count(&self.shared.open) - 1
    }

    /// Takes up connections and answers nothing on them, as a stopped process does.
    pub(crate) fn stop_answering_probes(&self) {
        self.shared.deaf.store(true, Ordering::SeqCst);
    }

    /// The report that it gave last, no newer one.
    pub(crate) fn report_unchanged(&self) -> VmReport {
        self.reported.lock().unwrap().clone().expect("a report before")
    }

    /// Closes its port and all its connections, as a killed process does.
    pub(crate) fn kill(&self) {
        self.listening.lock().unwrap().cancel();
    }

    /// Listens again at the same address.
    pub(crate) async fn revive(&self) {
        let listener = loop {
            match TcpListener::bind(&self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let alive = CancellationToken::new();
        *self.listening.lock().unwrap() = alive.clone();
        tokio::spawn(self.shared.clone().serve(listener, alive));
    }

    /// Lets so many waiting requests be answered.
    pub(crate) fn release(&self, count: usize) {
        self.shared.release.add_permits(count);
    }

    /// The requests it got, probes aside.
    pub(crate) fn seen(&self) -> Vec<Answer> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> u32 {
        *self.shared.connections.lock().unwrap()
    }

    /// Connections that were closed on it while a request waited there.
    pub(crate) fn left(&self) -> u32 {
        *self.shared.left.lock().unwrap()
    }

    /// Waits until it has got so many requests.
    pub(crate) async fn until_seen(&self, count: usize) {
        eventually(|| async { self.seen().len() >= count }).await;
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, listener: TcpListener, alive: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = alive.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { return };
            if self.slams.load(Ordering::SeqCst) {
                continue;
            }
            let (this, alive, open) = (self.clone(), alive.clone(), self.open.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = alive.cancelled() => {}
                    _ = this.connection(stream) => {}
                }
                drop(open);
            });
        }
    }

    async fn connection(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut first = true;
        loop {
            let head = read_head(&mut stream).await?;
            let mut request = Answer { head, ..Answer::default() };
            if request.head.starts_with("GET /health ") {
                if self.deaf.load(Ordering::SeqCst) {
                    return std::future::pending().await;
                }
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK: 0.100")
                    .await
                    .ok()?;
                continue;
            }
            if std::mem::take(&mut first) {
                *self.connections.lock().unwrap() += 1;
            }
            let script = self.script.lock().unwrap().clone();
            match script(&request) {
                Act::CloseAtHead => {
                    self.seen.lock().unwrap().push(request);
                    return None;
                }
                Act::RawAtHead(bytes) => {
                    self.seen.lock().unwrap().push(request);
                    stream.get_mut().write_all(&bytes).await.ok()?;
                    return std::future::pending().await;
                }
                _ => {}
            }
            if request.header("expect").is_some() {
                stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
            }
            read_body(&mut stream, &mut request, false).await;
            let act = script(&request);
            self.seen.lock().unwrap().push(request.clone());
            self.act(act, &request, &mut stream).await?;
        }
    }

    async fn act(
        &self,
        act: Act,
        request: &Answer,
        stream: &mut BufReader<TcpStream>,
    ) -> Option<()> {
        match act {
            Act::Raw(bytes) => stream.get_mut().write_all(&bytes).await.ok(),
            Act::RawThenClose(bytes) => {
                stream.get_mut().write_all(&bytes).await.ok()?;
                stream.get_mut().shutdown().await.ok()?;
                None
            }
            Act::Close | Act::CloseAtHead | Act::RawAtHead(_) => None,
            Act::Switch(bytes) => {
                stream.get_mut().write_all(&bytes).await.ok()?;
                send_back(stream).await
            }
            Act::Wait => {
                let mut byte = [0];
                tokio::select! {
                    permit = self.release.acquire() => permit.unwrap().forget(),
                    _ = stream.read(&mut byte) => {
                        *self.left.lock().unwrap() += 1;
                        return None;
                    }
                }
                self.echo(request, stream).await
            }
            Act::Echo => self.echo(request, stream).await,
            Act::Halves => self.halves(request, stream).await,
        }
    }

    async fn halves(&self, request: &Answer, stream: &mut BufReader<TcpStream>) -> Option<()> {
        let answer = self.answer(request);
        let (first, second) = answer.split_at(answer.len() / 2);
        stream.get_mut().write_all(first).await.ok()?;
        tokio::time::sleep(WORK).await;
        stream.get_mut().write_all(second).await.ok()
    }

    async fn echo(&self, request: &Answer, stream: &mut BufReader<TcpStream>) -> Option<()> {
        stream.get_mut().write_all(&self.answer(request)).await.ok()
    }

    fn answer(&self, request: &Answer) -> Vec<u8> {
        let length = self.id.len() + 1 + request.body.len();
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        if !request.head.starts_with("HEAD ") {
            bytes.extend_from_slice(self.id.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(&request.body);
        }
        bytes
    }
}

/// Sends back whatever comes, until nothing more does.
async fn send_back(stream: &mut BufReader<TcpStream>) -> Option<()> {
    let mut bytes = [0; 1024];
    loop {
        let read = stream.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        stream.get_mut().write_all(bytes.get(..read)?).await.ok()?;
    }
}
