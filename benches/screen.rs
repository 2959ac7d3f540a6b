//! How long the screen takes: a key and a frame while 500 VMs scroll, each screen, and a state folder
//! from its files to the first frame.
//!
//! `cargo bench --bench screen`. The frames are real and go nowhere; what a terminal does with them
//! is its own affair. A frame is to take less than 10 ms, the first one less than 50.
#![expect(clippy::expect_used, reason = "a bench may fail loudly")]

use cumulet::config;
use cumulet::domain::cost::Kind;
use cumulet::domain::decision::Action;
use cumulet::domain::load::{Load, Served};
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::StateFolder;
use cumulet::state::as_state::{AsStateFile, VmOrder};
use cumulet::state::metrics::Metric;
use cumulet::state::samples::Sample;
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::tui::picture::{Shot, Stage};
use cumulet::tui::{Fire, MakeImage, Rebound, Settings, Theme};
use cumulet::units::Share;
use divan::Bencher;
use jiff::Timestamp;
use std::time::Duration;

/// Windows: a large terminal, and the one that every terminal begins with.
const SIZES: [(u16, u16); 2] = [(160, 45), (80, 24)];
const SCREENS: [&str; 6] = ["overview", "instances", "requests", "autoscaler", "events", "cost"];
/// Reports of each VM in samples.txt: a minute of them.
const REPORTS: u64 = 12;
/// Requests in metrics.txt: as many as the screen reads when it is opened.
const REQUESTS: u64 = 4_000;

fn main() {
    divan::main();
}

/// Down the table of 500 VMs, a frame for each row.
#[divan::bench(args = SIZES)]
fn scroll_500_vms(bencher: Bencher, size: (u16, u16)) {
    let folder = Folder::of(500);
    let mut stage = folder.stage("instances", size);
    bencher.bench_local(|| {
        stage.press('j');
        stage.draw().expect("a frame");
    });
}

/// Each screen over 500 VMs.
#[divan::bench(args = SCREENS)]
fn frame_of_500_vms(bencher: Bencher, screen: &str) {
    let folder = Folder::of(500);
    let mut stage = folder.stage(screen, SIZES[0]);
    bencher.bench_local(|| stage.draw().expect("a frame"));
}

/// From the files to the first frame.
#[divan::bench(args = [20, 500])]
fn first_frame(bencher: Bencher, vms: u64) {
    let folder = Folder::of(vms);
    bencher.bench_local(|| folder.stage("overview", SIZES[0]).draw().expect("a frame"));
}

/// A state folder as so many VMs leave it.
struct Folder {
    home: tempfile::TempDir,
}

impl Folder {
    fn of(vms: u64) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = StateFolder::open(home.path()).expect("a state folder");
        let now = Timestamp::now();
        let ago = |seconds: u64| now.checked_sub(Duration::from_secs(seconds)).expect("a time");
        let reports = (1..=vms).map(|vm| report(vm, ago(100), ago(1))).collect::<Vec<_>>();
        for step in (1..REPORTS).rev() {
            for report in &reports {
                let then = VmReport { reported_at: ago(step * 5), ..report.clone() };
                folder.append_sample(&Sample::from(&then)).expect("a line");
            }
        }
        for number in 0..REQUESTS {
            folder
                .append_metric(&request(number, vms, ago(60 - number * 60 / REQUESTS)))
                .expect("a line");
        }
        let orders = (1..=vms).map(|vm| VmOrder::new(VmId::numbered(vm), Action::Keep));
        let orders = orders.collect::<Vec<_>>();
        folder.update(|file: &mut VmStateFile| file.vms = reports).expect("a document");
        folder.update(|file: &mut AsStateFile| file.vms = orders).expect("a document");
        Self { home }
    }

    fn stage(&self, screen: &str, size: (u16, u16)) -> Stage {
        let settings = Settings {
            config: config::Settings::default(),
            read_only: true,
            in_up: false,
            theme: Theme::default(),
            keys: Rebound::default(),
            record: None,
            fire: Fire::by(|_, _| Box::pin(async { Ok(String::new()) })),
            make_image: MakeImage::by(|_, _| Ok(String::new())),
        };
        let folder = StateFolder::existing(self.home.path()).expect("it is there");
        let shot = Shot::of(screen, size).expect("a screen");
        Stage::of_cluster(&settings, &folder, shot).expect("readable files")
    }
}

fn report(vm: u64, launched_at: Timestamp, reported_at: Timestamp) -> VmReport {
    VmReport {
        id: VmId::numbered(vm),
        state: VmState::Running,
        address: format!("127.0.0.1:{}", 20_000 + vm),
        // One that is there: the row of a VM without a process says less.
        socket: None,
        pid: std::process::id(),
        instance_type: "t3.micro".to_owned(),
        launched_at,
        running_since: Some(launched_at),
        reported_at,
        warm: false,
        load: Load {
            cpu: Share::saturating((vm % 100) as f64 / 100.0),
            memory_bytes: (20 + vm % 50) << 20,
            in_flight: u32::try_from(vm % 4).expect("a small number"),
            queued: 0,
            cpu_credits: Some(12.5),
            surplus_credits: None,
        },
        served: Served { requests: 10 * vm, failures: 0, cpu: Duration::from_secs(90) },
        foreign: cumulet::state::xml::Foreign::default(),
    }
}

fn request(number: u64, vms: u64, at: Timestamp) -> Metric {
    let kinds = Kind::WORKLOADS;
    let kind = kinds[usize::try_from(number).expect("a small number") % kinds.len()];
    Metric {
        at,
        request: format!("{number:x}"),
        workload: kind.as_str().to_owned(),
        vm: Some(VmId::numbered(1 + number % vms)),
        status: 200,
        width: Some(640),
        height: Some(480),
        input_bytes: 9_000,
        output_bytes: 9_000,
        queue_us: Some(number % 5 * 700),
        cpu_us: Some(40_000),
        wall_us: 20_000 + number * 7_919 % 900_000,
        work: Some(1_000),
        attempts: 1,
        extra: Vec::new(),
    }
}
