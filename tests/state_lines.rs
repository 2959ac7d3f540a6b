//! The files of lines: their formats, and what readers make of torn ones.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::{Debug, Display};
use std::fs;
use std::str::FromStr;

use cumulet::domain::decision::Direction;
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::StateFolder;
use cumulet::state::events::{Event, EventKind};
use cumulet::state::metrics::Metric;
use cumulet::state::samples::{Sample, Seen};
use cumulet::units::Share;
use jiff::Timestamp;
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-21T22:41:05.13Z".parse().unwrap()
}

fn metric() -> Metric {
    Metric {
        at: now(),
        request: "r-1".to_owned(),
        workload: "raytrace".to_owned(),
        vm: Some(VmId::numbered(1)),
        status: 200,
        width: Some(640),
        height: Some(480),
        input_bytes: 1000,
        output_bytes: 2000,
        queue_us: Some(3),
        cpu_us: Some(4000),
        wall_us: 5000,
        work: Some(6_000_000),
        attempts: 1,
        extra: vec![("rays", 7), ("tests", 8), ("antialias", 0)],
    }
}

fn event(detail: &str) -> Event {
    Event {
        at: now(),
        kind: EventKind::Operator,
        role: "operator".to_owned(),
        vm: None,
        detail: detail.to_owned(),
    }
}

/// The value is written as this line, and the line is read as this value.
fn assert_line<T>(value: &T, line: &str)
where
    T: Display + FromStr + PartialEq + Debug,
    T::Err: Debug,
{
    assert_eq!(value.to_string(), line);
    assert_eq!(&line.parse::<T>().unwrap(), value);
}

#[test]
fn metrics_are_frozen() {
    assert_line(
        &metric(),
        "at=2026-11-21T22:41:05.130Z request=r-1 workload=raytrace vm=vm-1 status=200 width=640 \
         height=480 input_bytes=1000 output_bytes=2000 queue_us=3 cpu_us=4000 wall_us=5000 \
         work=6000000 attempts=1 rays=7 tests=8 antialias=0",
    );
    let unknown = Metric {
        vm: None,
        width: None,
        height: None,
        queue_us: None,
        cpu_us: None,
        work: None,
        extra: Vec::new(),
        ..metric()
    };
    assert_line(
        &unknown,
        "at=2026-11-21T22:41:05.130Z request=r-1 workload=raytrace vm=- status=200 width=- \
         height=- input_bytes=1000 output_bytes=2000 queue_us=- cpu_us=- wall_us=5000 work=- \
         attempts=1",
    );
}

#[test]
fn samples_are_frozen() {
    assert_line(
        &Sample::Vm {
            at: now(),
            vm: VmId::numbered(2),
            state: VmState::Running,
            instance_type: "t3.micro".to_owned(),
            cpu: Share::new(0.43).unwrap(),
            memory_bytes: 31_457_280,
            in_flight: 2,
            queued: 0,
            requests: 118,
            failures: 1,
            cpu_credits: None,
            surplus_credits: None,
        },
        "at=2026-11-21T22:41:05.130Z vm=vm-2 state=running type=t3.micro cpu=0.43 \
         memory_bytes=31457280 in_flight=2 queued=0 requests=118 failures=1 cpu_credits=- \
         surplus_credits=-",
    );
    assert_line(
        &Sample::Decision {
            at: now(),
            fleet: 5,
            running: 3,
            booting: 1,
            draining: 1,
            desired: 4,
            offered_load: Some(2.5),
            queue_seconds: None,
            action: Direction::Out,
            reason: "mean cpu 0.86, target 0.60".to_owned(),
            seen: Seen {
                policy: Some("target-tracking".to_owned()),
                cpu: Some(0.86),
                busy: Some(5.16),
                in_flight: Some(7.0),
                queued: Some(1.0),
                rate: None,
                advice: Some(5),
                reaction_ms: Some(2.5),
            },
        },
        "at=2026-11-21T22:41:05.130Z fleet=5 running=3 booting=1 draining=1 desired=4 \
         offered_load=2.5 queue_seconds=- action=out reason=\"mean cpu 0.86, target 0.60\" \
         policy=target-tracking cpu=0.86 busy=5.16 in_flight=7 queued=1 rate=- advice=5 \
         reaction_ms=2.5",
    );
}

#[test]
fn events_are_frozen() {
    assert_line(
        &event("asked for \"less\"\nby hand"),
        "at=2026-11-21T22:41:05.130Z event=operator role=operator vm=- \
         detail=\"asked for \\\"less\\\"\\nby hand\"",
    );
    assert_line(
        &Event { vm: Some(VmId::numbered(3)), kind: EventKind::Crash, ..event("-") },
        "at=2026-11-21T22:41:05.130Z event=crash role=operator vm=vm-3 detail=\"-\"",
    );
}

#[test]
fn a_line_that_is_not_understood_says_why() {
    for (line, words) in [
        ("at", "column 1: `key=value` is expected"),
        ("at=1 x", "column 6: `key=value` is expected"),
        ("at=", "column 4: a value is expected"),
        ("at=\"1", "column 4: the quotes do not end"),
        ("at=\"\\x\"", "bad escape"),
        ("at=\"\\u12\"", "bad escape"),
        ("at=\"1\"2", "column 7: a space is expected"),
        ("at=noon", "`at` cannot be `noon`"),
        ("event=crash", "`at` is missing"),
    ] {
        let said = line.parse::<Event>().unwrap_err().to_string();
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[test]
fn readers_pass_over_what_is_torn_or_strange() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    assert_eq!(state.tail::<Event>(1000).unwrap(), []);
    state.append_event(&event("one")).unwrap();
    let path = folder.path().join("events.log");
    let mut text = fs::read_to_string(&path).unwrap();
    let line = text.clone();
    text.push_str("strange line\n");
    text.push_str(&line.replace("one", "two"));
    text.push_str(line.trim_end());
    fs::write(&path, &text).unwrap();
    let details = |bytes| {
        let events = state.tail::<Event>(bytes).unwrap();
        events.into_iter().map(|event| event.detail).collect::<Vec<_>>()
    };
    assert_eq!(details(u64::MAX), ["one", "two"]);
    // From the end: the torn line, the second whole one, one byte of the first.
    let end = 2 * line.len() as u64 - 1;
    assert_eq!(details(end), ["two"]);
    assert_eq!(details(end - 1), [""; 0]);
    assert_eq!(details(0), [""; 0]);
    fs::remove_dir_all(folder.path()).unwrap();
    state.append_metric(&metric()).unwrap();
    assert_eq!(state.tail::<Metric>(u64::MAX).unwrap(), [metric()]);
}

#[test]
fn lines_of_many_threads_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let state = state.clone();
            scope.spawn(move || {
                let detail = number.to_string().repeat(2000);
                for _ in 0..50 {
                    state.append_event(&event(&detail)).unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(folder.path().join("events.log")).unwrap();
    let events = state.tail::<Event>(u64::MAX).unwrap();
    assert_eq!((events.len(), text.lines().count()), (200, 200));
    assert!(events.iter().all(|event| event.detail.len() == 2000));
}

proptest! {
    #[test]
    fn any_text_fits_in_a_line(
        detail in proptest::collection::vec(any::<char>(), 0..20), role in ".*",
    ) {
        let detail: String = detail.into_iter().collect();
        let event = Event { role, ..event(&detail) };
        let line = event.to_string();
        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(line.parse::<Event>().unwrap(), event);
    }

    #[test]
    fn any_line_is_read_or_refused(line in "[a-z=\" \\\\u0-9-]{0,30}|\\PC*") {
        let _ = line.parse::<Event>();
        let _ = line.parse::<Metric>();
        let _ = line.parse::<Sample>();
    }
}
