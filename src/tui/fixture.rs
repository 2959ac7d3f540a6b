//! A cluster for tests: the same at every run, at any size.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::data::Known;
use super::model::{Model, Options};
use super::news::{ClusterWord, News, Word};
use super::theme::Theme;
use super::update::{Message, update};
use crate::config;
use crate::domain::cost::Kind;
use crate::domain::decision::{Action, Check, Decision, Direction};
use crate::domain::function::Usage;
use crate::domain::load::{Load, Served};
use crate::domain::vm::{VmId, VmState};
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::cluster_file::ClusterFile;
use crate::state::events::{Event, EventKind};
use crate::state::function_state::{Counts, FunctionReport, FunctionStateFile};
use crate::state::lb_state::{LbCapacity, LbChoice, LbPrediction, LbStateFile, LbTarget, LbTotals};
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::state::xml::Foreign;
use crate::units::Share;

/// The time of the last look: 14:02:34.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T14:02:34.500Z".parse().unwrap()
}

pub(crate) fn ago(seconds: u64) -> Timestamp {
    now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

pub(crate) fn known() -> Arc<Known> {
    Arc::new(Known::of(&config::Settings::default(), TimeZone::UTC))
}

pub(crate) fn model(news: News) -> Model {
    let options = Options { read_only: false, in_up: false };
    let mut model = Model::new(known(), now(), options, Theme::default());
    update(&mut model, Message::News(Box::new(news)));
    model
}

/// A number that looks arbitrary and is always the same, 0 to 1.
fn noise(seed: u64) -> f64 {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) ^ seed;
    (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / f64::from(1 << 24)
}

fn report(vm: u64, state: VmState, age: u64, cpu: f64, reported: u64) -> VmReport {
    let running_since = (state != VmState::Booting).then(|| ago(age.saturating_sub(2)));
    VmReport {
        id: VmId::numbered(vm),
        state,
        address: format!("127.0.0.1:{}", 40_000 + vm),
        socket: None,
        pid: u32::try_from(41_200 + vm).unwrap(),
        instance_type: "t3.micro".to_owned(),
        launched_at: ago(age),
        running_since,
        reported_at: ago(reported),
        warm: false,
        load: Load {
            cpu: Share::saturating(cpu),
            memory_bytes: (40 + 3 * vm) << 20,
            in_flight: u32::try_from(vm % 4).unwrap(),
            queued: 0,
            cpu_credits: Some(12.5),
            surplus_credits: None,
        },
        served: Served { requests: 1800 / vm, failures: 0, cpu: Duration::from_secs(90) },
        foreign: Foreign::default(),
    }
}

pub(crate) fn order(vm: u64, action: Action, by: &str) -> VmOrder {
    VmOrder {
        instance_type: Some("t3.micro".to_owned()),
        by: Some(by.to_owned()),
        since: Some(ago(12)),
        reason: Some("mean cpu 0.78 of 4 warm over 15 s, target 0.60".to_owned()),
        ..VmOrder::new(VmId::numbered(vm), action)
    }
}

/// A cluster that scales: four VMs run, one drains, one boots.
pub(crate) fn scaling() -> News {
    let vms = vec![
        report(1, VmState::Running, 734, 0.82, 1),
        report(2, VmState::Running, 734, 0.76, 2),
        report(4, VmState::Running, 461, 0.91, 1),
        report(5, VmState::Draining, 311, 0.33, 3),
        report(6, VmState::Running, 112, 0.64, 4),
        report(7, VmState::Booting, 3, 0.08, 1),
    ];
    let mut orders = [1, 2, 4, 6].map(|vm| order(vm, Action::Keep, "autoscaler")).to_vec();
    orders.push(order(5, Action::Delete, "operator"));
    orders.push(order(7, Action::Add, "autoscaler"));
    News {
        at: now(),
        vm_state: Some(word(VmStateFile { seq: 412, vms, foreign: Foreign::default() })),
        as_state: Some(word(AsStateFile {
            seq: 57,
            decided_at: Some(ago(3)),
            policy: "target-tracking".to_owned(),
            desired: 5,
            minimum: 2,
            maximum: 8,
            vms: orders,
            decisions: vec![decision(3, Direction::Out, 4, 5, 0.78)],
            ..AsStateFile::default()
        })),
        lb_state: Some(word(balancer())),
        functions: Some(word(functions())),
        cluster: Some(ClusterWord { file: Some(cluster()), alive: true }),
        gone: Some(std::collections::BTreeSet::new()),
        samples: samples(),
        events: events(),
        metrics: metrics(),
    }
}

/// As [`scaling`], after so many decisions at which work for `vcpus` vCPUs arrived.
pub(crate) fn loaded(decisions: u64, vcpus: f64) -> News {
    let mut news = scaling();
    news.samples = (1..=decisions)
        .rev()
        .map(|step| Sample::Decision {
            at: ago(step * 5),
            fleet: 1,
            running: 1,
            booting: 0,
            draining: 0,
            desired: 1,
            offered_load: Some(vcpus),
            queue_seconds: Some(0.0),
            action: Direction::Hold,
            reason: reason(0.9),
            seen: crate::state::samples::Seen::default(),
        })
        .collect();
    news
}

/// As [`scaling`], but all VMs fell silent.
pub(crate) fn stale() -> News {
    let mut news = scaling();
    let later = now().checked_add(Duration::from_mins(1)).unwrap();
    news.at = later;
    news.gone = Some([41_204].into());
    news
}

fn word<D>(document: D) -> Word<D> {
    Word { document: Some(Arc::new(document)), problem: None }
}

fn cluster() -> ClusterFile {
    ClusterFile {
        pid: 41_000,
        started_at: ago(734),
        balancer: "127.0.0.1:8000".to_owned(),
        admin: "127.0.0.1:8001".to_owned(),
        balancer_pid: Some(41_001),
        autoscaler_pid: Some(41_002),
    }
}

fn reason(cpu: f64) -> String {
    format!("mean cpu {cpu:.2} of 4 warm over 15 s, target 0.60")
}

fn decision(seconds: u64, action: Direction, from: u32, to: u32, cpu: f64) -> Decision {
    let checks = vec![
        Check::input("target", 0.6),
        Check::compared("mean cpu above", cpu, 0.66, cpu > 0.66),
        Check::compared("mean cpu below", cpu, 0.54, cpu < 0.54),
        Check::input("VMs needed", to.into()),
        Check::compared("seconds since a scale-out, to grow", 107.0, 30.0, true),
        Check::compared("seconds since a change, to shrink", 107.0, 300.0, false),
    ];
    Decision { at: ago(seconds), action, from, to, reason: reason(cpu), checks }
}

fn balancer() -> LbStateFile {
    let target = |vm: u64, in_rotation: bool, reason: &str| LbTarget {
        id: VmId::numbered(vm),
        in_rotation,
        reason: reason.to_owned(),
        in_flight: u32::try_from(vm % 4).unwrap(),
        outstanding_seconds: 0.4,
        served: 1800 / vm,
        failures: 0,
        retries: 0,
        p50_ms: 41.0,
        p95_ms: 500.0 + 70.0 * vm as f64,
        p99_ms: 1400.0,
        ejections: 0,
        capacity: LbCapacity::default(),
    };
    LbStateFile {
        seq: 734,
        reported_at: Some(ago(0)),
        address: "127.0.0.1:8000".to_owned(),
        pid: 41_001,
        policy: "least-work".to_owned(),
        scheduling_delay_ms: 0.1,
        totals: LbTotals {
            requests: 5628,
            in_flight: 12,
            queued: 0,
            queue_seconds: 0.0,
            failures: 1,
            retries: 3,
            overflowed: 0,
            rate: 15.9,
            offered_load: 2.71,
        },
        predictions: vec![
            LbPrediction { workload: Kind::Blur, requests: 2104, error: 0.07 },
            LbPrediction { workload: Kind::Raytrace, requests: 1407, error: 0.11 },
        ],
        vms: vec![
            target(1, true, "answers"),
            target(2, true, "answers"),
            target(4, true, "answers"),
            target(5, false, "to be deleted"),
            target(6, true, "answers"),
            target(7, false, "boots"),
        ],
        choices: choices(),
        foreign: Foreign::default(),
    }
}

/// Two functions, one of which has taken what no VM could.
fn functions() -> FunctionStateFile {
    let report = |name: &str, running, warm, requests, counts| FunctionReport {
        name: name.parse().unwrap(),
        running,
        warm,
        counts,
        usage: Usage { requests, gb_seconds: requests as f64 * 0.25 },
    };
    let counts = Counts { cold_starts: 4, throttled: 2, errors: 0 };
    FunctionStateFile {
        seq: 31,
        address: "127.0.0.1:40100".to_owned(),
        pid: 41_003,
        month: "2026-11".to_owned(),
        functions: vec![
            report("blur", 1, 3, 120, counts),
            report("enhance", 0, 0, 0, Counts::default()),
        ],
        triggers: Vec::new(),
        foreign: Foreign::default(),
    }
}

/// Why the last requests of [`metrics`] went where they did.
fn choices() -> Vec<LbChoice> {
    let choice = |number: u64, attempt: u32, vm: u64| LbChoice {
        at: ago(600 - number),
        request: format!("{:x}", 0x7c00 + number),
        attempt,
        workload: "blur".to_owned(),
        work_seconds: 0.041,
        waited_ms: 0.3,
        vm: VmId::numbered(vm),
        reason: format!(
            "least-work: vm-{vm}: 1 in flight, 0.041 s of work; vm-6: 2 in flight, 0.110 s of work"
        ),
    };
    let last = (580..600).filter(|number| number % 3 != 0);
    last.map(|number| choice(number, 1, [1, 2, 4, 6][usize::try_from(number % 4).unwrap()]))
        .collect()
}

/// Ten minutes of reports and decisions.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for step in (1..=120_u64).rev() {
        let seconds = step * 5;
        let wave = (step as f64 / 20.0).sin().mul_add(0.18, 0.55);
        for (vm, age) in [(1, 734), (2, 734), (4, 461), (5, 311), (6, 112)] {
            if age < seconds {
                continue;
            }
            let cpu = wave + 0.1 * noise(step * 10 + vm);
            let mut before = report(vm, VmState::Running, age, cpu, seconds);
            before.served.requests = (1800 / vm).saturating_sub(step * 4);
            samples.push(Sample::from(&before));
        }
        let moved = matches!(step, 110 | 92 | 22);
        let fleet = if step > 110 { 2 } else { 4 };
        samples.push(Sample::Decision {
            at: ago(seconds),
            fleet,
            running: fleet,
            booting: 0,
            draining: 0,
            desired: fleet + u32::from(moved),
            offered_load: Some(wave * 4.0),
            queue_seconds: Some(0.2),
            action: if moved { Direction::Out } else { Direction::Hold },
            reason: reason(wave),
            seen: crate::state::samples::Seen::default(),
        });
    }
    samples
}

fn events() -> Vec<Event> {
    let event = |seconds: u64, kind, role: &str, vm: Option<u64>, detail: &str| Event {
        at: ago(seconds),
        kind,
        role: role.to_owned(),
        vm: vm.map(VmId::numbered),
        detail: detail.to_owned(),
    };
    vec![
        event(734, EventKind::Role, "cluster", None, "starting"),
        event(310, EventKind::Crash, "cluster", Some(3), "ended by signal 9 (pid 41203)"),
        event(309, EventKind::Launch, "cluster", Some(5), "launched, pid 41205"),
        event(306, EventKind::Ready, "cluster", Some(5), "serves requests"),
        event(110, EventKind::Scale, "autoscaler", None, "out 3 to 4: mean cpu 0.81, target 0.60"),
        event(22, EventKind::Operator, "operator", Some(5), "terminate asked for"),
        event(21, EventKind::Drain, "cluster", Some(5), "gets nothing new"),
        event(
            6,
            EventKind::Eject,
            "balancer",
            Some(4),
            "out of rotation: 3 answers in a row failed",
        ),
        event(3, EventKind::Scale, "autoscaler", None, "out 4 to 5: mean cpu 0.78, target 0.60"),
    ]
}

fn metrics() -> Vec<Metric> {
    let kinds =
        [("blur", 40_000_u64, 640), ("enhance", 120_000, 1280), ("raytrace", 980_000, 1024)];
    (0..600_u64)
        .map(|number| {
            let (workload, base, width) = kinds[usize::try_from(number % 7 % 3).unwrap()];
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let wall_us = (base as f64 * (0.7 + noise(number))) as u64;
            Metric {
                at: ago(600 - number),
                request: format!("{:x}", 0x7c00 + number),
                workload: workload.to_owned(),
                vm: Some(match number % 15 {
                    14 => VmId::of_function(&workload.parse().unwrap()),
                    _ => VmId::numbered([1, 2, 4, 6][usize::try_from(number % 4).unwrap()]),
                }),
                status: if number == 400 { 503 } else { 200 },
                width: Some(width),
                height: Some(480),
                input_bytes: 9_000,
                output_bytes: 9_000,
                queue_us: Some(number % 5 * 700),
                cpu_us: Some(base),
                wall_us,
                work: Some(1_000),
                attempts: if number % 90 == 0 { 2 } else { 1 },
                extra: Vec::new(),
            }
        })
        .collect()
}

/// A fleet of any size, for benches and for scrolling.
pub(crate) fn many(number: u64) -> News {
    let vms = (1..=number).map(|vm| report(vm, VmState::Running, 100, noise(vm), 1)).collect();
    let mut news = scaling();
    news.vm_state = Some(word(VmStateFile { seq: 1, vms, foreign: Foreign::default() }));
    news
}
