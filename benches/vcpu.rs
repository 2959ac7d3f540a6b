//! How exactly a VM gets the CPU time that its type allows: asked and got, side by side.
//!
//! `cargo bench --bench vcpu`. Each VM runs in this process under more work than it can do; what it
//! got is what the kernel says that the process used, its webserver included. The first line is a
//! VM without limit: more than that this machine had not to give just then.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use cumulet::domain::instance_type::{InstanceType, built_in};
use cumulet::state::StateFolder;
use cumulet::units::Share;
use cumulet::vm::{self, Settings};
use http_body_util::Full;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Per cent of one core.
const ASKED: [u32; 6] = [5, 10, 20, 50, 100, 200];
/// How long each is measured, after it has settled.
const MEASURED: Duration = Duration::from_secs(10);
const SETTLING: Duration = Duration::from_secs(1);

/// A scene that takes minutes.
const PATH: &str = "/raytracer?scols=6000&srows=6000&wcols=6000&wrows=6000&coff=0&roff=0&aa=true";
const SCENE: &str = "0 1 6  0 0 0  0 1 0  50\n2\n0 0 0   1 1 1   1 0 0\n-4 6 5  1 1 1   1 0 0\n2\n\
                     checker .2 .2 .2  .9 .9 .9  1.3\nsolid .9 .3 .2\n1\n.2 .6 .4 40  .3 0 1\n2\n\
                     0 0 plane 0 1 0 1.1\n1 0 sphere 0 0 0 1\n";

#[tokio::main]
async fn main() {
    let local = built_in().remove("local").expect("it is built in");
    println!("no limit: {:6.1} %", 100.0 * used_by(local.clone()).await);
    println!("{:>8} {:>8} {:>8}", "asked", "got", "error");
    for asked in ASKED {
        let wanted = f64::from(asked) / 100.0;
        let got = used_by(with_speed(&local, asked)).await;
        println!("{asked:6} % {:6.1} % {:+6.1} %", 100.0 * got, 100.0 * (got / wanted - 1.0));
    }
}

/// A type of that speed: whole vCPUs, or a baseline that no credits ever raise.
fn with_speed(local: &InstanceType, percent: u32) -> InstanceType {
    let share = Share::new(f64::from(percent) / 100.0).ok().filter(|share| *share < Share::ALL);
    let (vcpus, baseline) = (percent.div_ceil(100), share);
    InstanceType { vcpus: Some(vcpus), baseline, ..local.clone() }
}

/// CPU seconds per second of a VM of that type under more work than it can do.
async fn used_by(instance_type: InstanceType) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = StateFolder::open(folder.path()).expect("a state folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let settings = Settings {
        boot: Duration::ZERO,
        drain_limit: Duration::ZERO,
        ..Settings::new("vm-1".parse().expect("an id"), instance_type)
    };
    let stop = CancellationToken::new();
    let vm = tokio::spawn(vm::run(settings, state, listener, stop.clone()));
    tokio::time::sleep(SETTLING).await;
    let clients = (0..2).map(|_| tokio::spawn(send(address.clone()))).collect::<Vec<_>>();
    tokio::time::sleep(SETTLING).await;
    let (begin, before) = (Instant::now(), process_cpu());
    tokio::time::sleep(MEASURED).await;
    let got = process_cpu().saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
    assert!(clients.iter().all(|client| !client.is_finished()), "the work has an end");
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    stop.cancel();
    vm.await.expect("it does not panic").expect("it ends well");
    got
}

async fn send(address: String) {
    let stream = TcpStream::connect(&address).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    let request = Request::post(PATH).header("host", "vm").body(Full::new(Bytes::from(SCENE)));
    let answer = sender.send_request(request.expect("a request"));
    let (_answer, _connection) = tokio::join!(answer, connection);
}

/// CPU time of this process so far.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // A CPU clock starts at zero with its process and is never negative.
    Duration::try_from(time).unwrap_or_default()
}
