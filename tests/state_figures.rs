//! The figures in docs/adr, to be measured again on any machine:
//! `cargo test --test state_figures -- --ignored --nocapture`.
//!
//! What a program does itself is given as CPU time of its thread, so that a busy machine matters
//! little; what it waits for is given by the clock.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::time::{Duration, Instant};

use cumulet::domain::load::{Load, Served};
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::xml::Foreign;
use cumulet::state::{Document, StateFolder, View, Watcher};
use cumulet::units::Share;
use jiff::Timestamp;

fn fleet(size: u64) -> VmStateFile {
    let vms = (0..size).map(|number| VmReport {
        id: VmId::numbered(number),
        state: VmState::Running,
        address: "127.0.0.1:40001".to_owned(),
        socket: None,
        pid: 4242,
        instance_type: "t3.micro".to_owned(),
        launched_at: Timestamp::UNIX_EPOCH,
        running_since: Some(Timestamp::UNIX_EPOCH),
        reported_at: Timestamp::UNIX_EPOCH,
        warm: false,
        load: Load { cpu: Share::ALL, cpu_credits: Some(12.5), ..Load::default() },
        served: Served::default(),
        foreign: Foreign::default(),
    });
    VmStateFile { vms: vms.collect(), ..VmStateFile::default() }
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// Medians of the CPU time and of the clock time that it takes.
fn time(rounds: usize, mut act: impl FnMut()) -> (Duration, Duration) {
    let (mut cpus, mut clocks): (Vec<Duration>, Vec<Duration>) = (0..rounds)
        .map(|_| {
            // Back to back, writers would step back to let others have the lock.
            std::thread::sleep(Duration::from_millis(4));
            let (cpu_before, start) = (cpu(), Instant::now());
            act();
            (cpu().saturating_sub(cpu_before), start.elapsed())
        })
        .unzip();
    cpus.sort();
    clocks.sort();
    (cpus[rounds / 2], clocks[rounds / 2])
}

fn update(folder: &Path, size: u64) -> (Duration, Duration) {
    let state = StateFolder::open(folder).unwrap();
    state.update(|file: &mut VmStateFile| *file = fleet(size)).unwrap();
    time(100, || {
        state.update(|file: &mut VmStateFile| file.vms[0].served.requests += 1).unwrap();
    })
}

async fn news(folder: &Path, size: u64) -> (Duration, Duration) {
    let state = StateFolder::open(folder).unwrap();
    let watcher = Watcher::start(&state).unwrap();
    let mut views = watcher.follow::<VmStateFile>();
    state.update(|file: &mut VmStateFile| *file = fleet(size)).unwrap();
    let mut times = Vec::new();
    for _ in 0..100 {
        let writer = state.clone();
        let write = move || {
            writer.update(|file: &mut VmStateFile| file.vms[0].served.requests += 1).unwrap();
            (Instant::now(), writer.read::<VmStateFile>().unwrap().unwrap().seq)
        };
        let (written, seq) = tokio::task::spawn_blocking(write).await.unwrap();
        let is_new =
            |view: &View<VmStateFile>| view.document.as_ref().is_some_and(|file| file.seq >= seq);
        views.wait_for(is_new).await.unwrap();
        times.push(written.elapsed());
    }
    times.sort();
    (times[50], times[99])
}

#[test]
#[ignore = "measures; it asserts nothing"]
fn figures() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("| VMs | bytes | parse | render | place | update: CPU, clock | news: p50, p99 |");
    for size in [3, 50, 500] {
        let text = fleet(size).render();
        let document = fleet(size);
        let parse = time(100, || drop(VmStateFile::parse(text.as_bytes()).unwrap())).0;
        let render = time(100, || drop(document.render())).0;
        for place in [Some("/dev/shm"), None] {
            let folder = match place.filter(|place| Path::new(place).exists()) {
                Some(place) => tempfile::tempdir_in(place).unwrap(),
                None => tempfile::tempdir().unwrap(),
            };
            let (update, update_clock) = update(folder.path(), size);
            let (news, news_p99) = runtime.block_on(news(folder.path(), size));
            println!(
                "| {size} | {} | {parse:.0?} | {render:.0?} | {} | {update:.0?}, \
                 {update_clock:.0?} | {news:.0?}, {news_p99:.0?} |",
                text.len(),
                place.unwrap_or("temporary folder"),
            );
        }
    }
}
