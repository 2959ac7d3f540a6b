//! A balancer in this process, with a state folder of its own and VMs that do as they are told.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cumulet::balancer::{self, Settings};
use cumulet::domain::decision::Action;
use cumulet::domain::load::{Load, Served};
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::StateFolder;
use cumulet::state::as_state::{AsStateFile, VmOrder};
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::xml::Foreign;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes nearly so long, on however busy a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) folder: StateFolder,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) balancer: JoinHandle<anyhow::Result<()>>,
    directory: tempfile::TempDir,
}

/// A VM as VMState.xml tells of it.
pub(crate) fn report(id: &str, state: VmState, address: &str, pid: u32) -> VmReport {
    let now = Timestamp::now();
    VmReport {
        id: id.parse().unwrap(),
        state,
        address: address.to_owned(),
        pid,
        instance_type: "t2.micro".to_owned(),
        launched_at: now,
        running_since: (state == VmState::Running).then_some(now),
        reported_at: now,
        load: Load::default(),
        served: Served::default(),
        foreign: Foreign::default(),
    }
}

pub(crate) fn order(id: &str, action: Action) -> VmOrder {
    VmOrder {
        id: id.parse().unwrap(),
        action,
        instance_type: None,
        by: Some("operator".to_owned()),
        since: None,
        reason: None,
        foreign: Foreign::default(),
    }
}

impl Cluster {
    pub(crate) async fn start(vms: &[&FakeVm]) -> Self {
        Self::start_with(Settings::default(), vms).await
    }

    pub(crate) async fn start_with(settings: Settings, vms: &[&FakeVm]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(directory.path()).unwrap();
        write_vms(&folder, vms.iter().map(|vm| vm.report()).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, admin) =
            (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let balancer = tokio::spawn(balancer::run(
            settings,
            folder.clone(),
            listener,
            admin_listener,
            stop.clone(),
        ));
        Self { folder, address, admin, stop, balancer, directory }
    }

    pub(crate) fn set_vms(&self, vms: Vec<VmReport>) {
        write_vms(&self.folder, vms);
    }

    pub(crate) fn set_orders(&self, orders: Vec<VmOrder>) {
        self.folder.update(|file: &mut AsStateFile| file.vms = orders).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        let mut request =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len())
                .into_bytes();
        request.extend_from_slice(body);
        self.send_bytes(&request).await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        self.send_bytes(request.as_bytes()).await
    }

    pub(crate) async fn send_bytes(&self, request: &[u8]) -> Answer {
        let mut client = Client::open(self.address).await;
        client.write(request).await;
        client.answer().await
    }

    pub(crate) async fn ask_admin(&self, path: &str) -> Answer {
        let mut client = Client::open(self.admin).await;
        client.write(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await;
        client.answer().await
    }

    /// Waits until a question to the admin listener is answered as hoped.
    pub(crate) async fn until(&self, path: &str, hoped: impl Fn(&Answer) -> bool) {
        eventually(|| async { hoped(&self.ask_admin(path).await) }).await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within(self.balancer).await.unwrap().unwrap();
    }
}

fn write_vms(folder: &StateFolder, vms: Vec<VmReport>) {
    folder.update(|file: &mut VmStateFile| file.vms = vms).unwrap();
}

/// Waits for something that takes no time worth mentioning.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.expect("it did not happen in time")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(question: impl Fn() -> F) {
    within(async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A connection to the balancer.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(within(TcpStream::connect(address)).await.unwrap()))
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        // The other end may have answered and closed before it has read all.
        let _ = within(self.0.get_mut().write_all(bytes)).await;
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        within(read_answer(&mut self.0, method)).await.expect("an answer")
    }

    /// The next answer, if another one comes before the other end closes.
    pub(crate) async fn next_answer(&mut self) -> Option<Answer> {
        within(read_answer(&mut self.0, "GET")).await
    }

    /// The status of an answer before the answer.
    pub(crate) async fn interim(&mut self) -> u16 {
        let head = within(read_head(&mut self.0)).await.expect("an interim answer");
        Answer { head, ..Answer::default() }.status()
    }

    /// Reads until this text has come.
    pub(crate) async fn first_bytes_contain(&mut self, text: &str) -> bool {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            match within(self.0.read_u8()).await {
                Ok(byte) => seen.push(byte),
                Err(_) => return false,
            }
        }
        true
    }
}

/// A message as it came, head and body apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its head had announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn vm(&self) -> &str {
        self.header("x-cumulet-vm").unwrap_or("?")
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.header("x-cumulet-attempts").unwrap().parse().unwrap()
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn read_answer(stream: &mut BufReader<TcpStream>, method: &str) -> Option<Answer> {
    loop {
        let head = read_head(stream).await?;
        let mut answer = Answer { head, ..Answer::default() };
        if answer.status() < 200 {
            continue;
        }
        let has_no_body = method == "HEAD" || matches!(answer.status(), 204 | 304);
        if has_no_body {
            answer.whole = true;
        } else {
            read_body(stream, &mut answer, true).await;
        }
        return Some(answer);
    }
}

async fn read_body(stream: &mut BufReader<TcpStream>, message: &mut Answer, to_end: bool) {
    if let Some(length) = message.header("content-length") {
        let length: usize = length.parse().unwrap();
        message.whole = read_exactly(stream, &mut message.body, length).await;
    } else if message.header("transfer-encoding").is_some() {
        message.whole = read_chunks(stream, &mut message.body).await.is_some();
    } else if to_end {
        message.whole = stream.read_to_end(&mut message.body).await.is_ok();
    } else {
        message.whole = true;
    }
}

async fn read_exactly(
    stream: &mut BufReader<TcpStream>,
    into: &mut Vec<u8>,
    length: usize,
) -> bool {
    let mut limited = stream.take(length as u64);
    matches!(limited.read_to_end(into).await, Ok(read) if read == length)
}

async fn read_chunks(stream: &mut BufReader<TcpStream>, into: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.ok()?);
        }
        let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        if !read_exactly(stream, into, length).await {
            return None;
        }
        stream.read_u16().await.ok()?;
        if length == 0 {
            return Some(());
        }
    }
}

/// What a fake VM does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers 200 with its own id, a space and the body of the request.
    Echo,
    /// Sends exactly this and keeps the connection.
    Raw(Vec<u8>),
    /// Sends this and closes.
    RawThenClose(Vec<u8>),
    /// Closes without a byte.
    Close,
    /// Closes when the head is there, before the body is read.
    CloseAtHead,
    /// Waits until it is released, then echoes.
    Wait,
}

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
            let (this, alive) = (self.clone(), alive.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = alive.cancelled() => {}
                    _ = this.connection(stream) => {}
                }
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
                    let mut nothing = [0];
                    stream.read(&mut nothing).await.ok()?;
                    return None;
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
            if matches!(script(&request), Act::CloseAtHead) {
                self.seen.lock().unwrap().push(request);
                return None;
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
            Act::Close | Act::CloseAtHead => None,
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
        }
    }

    async fn echo(&self, request: &Answer, stream: &mut BufReader<TcpStream>) -> Option<()> {
        let length = self.id.len() + 1 + request.body.len();
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        if !request.head.starts_with("HEAD ") {
            bytes.extend_from_slice(self.id.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(&request.body);
        }
        stream.get_mut().write_all(&bytes).await.ok()
    }
}
