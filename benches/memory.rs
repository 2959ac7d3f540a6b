//! What a VM needs: how soon it listens, and its memory, idle and at its peak during a request.
//!
//! `cargo bench --bench memory`, on Linux, where processes tell their peak. Each request is the
//! first of a VM of its own, and its growth is held against the size of the decoded picture.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cumulet::workload::imaging::{self, Channels, Format, Picture};
use cumulet::workload::wire::data_url;
use tempfile::TempDir;

/// 12 megapixels.
const SIZE: (u32, u32) = (4242, 2830);
/// A texture whose integers in JSON take 32 MB.
const TEXTURE: (u32, u32) = (1900, 1480);
const MEGABYTE: f64 = 1e6;

const SCENE: &str = "0 1 6  0 0 0  0 1 0  50\n2 0 0 0 1 1 1 1 0 0  -4 6 5 1 1 1 1 0 0\n\
    1 texmap f .5 0 0 0 0 .5 0 0\n1 .2 .6 .4 40 .3 0 1\n1 0 0 sphere 0 0 0 1\n";

fn main() {
    if !cfg!(target_os = "linux") {
        println!("skipped: only Linux tells the peak of another process's memory");
        return;
    }
    let mut starts: Vec<Duration> = (0..21).map(|_| Vm::start().listening_after).collect();
    starts.sort();
    println!("listening after: {:.1?} (fastest {:.1?})", starts[10], starts[0]);
    let vm = Vm::start();
    println!("idle: {:.1} MB resident\n", vm.memory("VmRSS") / MEGABYTE);
    drop(vm);
    println!("{:<34} {:>10} {:>10} {:>8}", "request", "decoded MB", "growth MB", "ratio");
    let picture = picture(SIZE);
    for (format, label) in [(Format::Jpeg, "jpg"), (Format::Png, "png"), (Format::Bmp, "bmp")] {
        let file = imaging::encode(&picture, format).expect("small enough");
        let url = data_url::write(label, &file);
        for path in ["/blurimage", "/enhanceimage"] {
            let name = |form| format!("{path} {} {form}", format.name());
            report(&name("file"), picture.samples.len(), path, &file);
            report(&name("data URL"), picture.samples.len(), path, &url);
        }
    }
    let file = imaging::encode(&picture, Format::Bmp).expect("small enough");
    for label in ["tiff", "gif"] {
        // The label says what the answer is to be.
        let url = data_url::write(label, &file);
        let name = format!("/blurimage BMP data URL to {label}");
        report(&name, picture.samples.len(), "/blurimage", &url);
    }
    let texture = self::picture(TEXTURE);
    let file = imaging::encode(&texture, Format::Bmp).expect("small enough");
    let integers: Vec<String> = file.iter().map(u8::to_string).collect();
    let scene = SCENE.replace('\n', " ");
    let body = format!("{{\"scene\": \"{scene}\", \"texmap\": [{}]}}", integers.join(","));
    println!("\n{:.1} MB of JSON with a texture of {:.1} MB:", mega(body.len()), mega(file.len()));
    let path = "/raytracer?scols=400&srows=300&wcols=400&wrows=300&coff=0&roff=0";
    report("/raytracer", texture.samples.len(), path, body.as_bytes());
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / MEGABYTE
}

/// Sends a request to a VM of its own and prints by how much its memory grew at most.
fn report(name: &str, decoded: usize, path: &str, body: &[u8]) {
    let vm = Vm::start();
    let before = vm.memory("VmRSS");
    // Sets the peak back to what is used now: proc_pid_clear_refs(5).
    fs::write(format!("/proc/{}/clear_refs", vm.process.id()), "5").expect("a peak set back");
    vm.send(path, body);
    let growth = vm.memory("VmHWM") - before;
    let (decoded, growth) = (mega(decoded), growth / MEGABYTE);
    println!("{name:<34} {decoded:>10.1} {growth:>10.1} {:>8.2}", growth / decoded);
}

/// Smooth colours with some noise, of which encoders neither make nothing nor can make nothing.
fn picture((width, height): (u32, u32)) -> Picture {
    let mut random = fastrand::Rng::with_seed(1);
    let samples = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x / 16, y / 12, (x + y) / 24].map(|level| level.to_le_bytes()[0]))
        .map(|level| level.wrapping_add(random.u8(..12)))
        .collect();
    Picture { width, height, channels: Channels::Rgb, samples }
}

/// A VM that runs as a process of its own.
struct Vm {
    process: Child,
    address: String,
    listening_after: Duration,
    _folder: TempDir,
}

impl Vm {
    /// Starts one and waits until it can be connected to.
    fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let begin = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_cumulet"))
            .args(["vm", "--id", "vm-1", "--type", "local", "--listen", &address])
            .args(["--set", "boot_scale=0", "--state"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("a VM");
        while TcpStream::connect(&address).is_err() {
            assert!(begin.elapsed() < Duration::from_mins(1), "the VM listens in the end");
            std::thread::sleep(Duration::from_micros(200));
        }
        let listening_after = begin.elapsed();
        let vm = Self { process, address, listening_after, _folder: folder };
        while !vm.send("/health", b"").contains("x-cumulet-state: running") {
            std::thread::sleep(Duration::from_millis(1));
        }
        vm
    }

    /// Sends a request, reads the answer to its end, and returns its head.
    fn send(&self, path: &str, body: &[u8]) -> String {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: vm\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a head sent");
        stream.write_all(body).expect("a body sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let head = String::from_utf8_lossy(&answer[..answer.len().min(1000)]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        head
    }

    /// A line of `/proc/PID/status`, in bytes.
    fn memory(&self, name: &str) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kibibytes.expect("a line in kB").parse::<f64>().expect("a number") * 1024.0
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It may have ended by itself; that it is gone is all that counts.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
