//! What a history is taken to say.

use super::*;

fn sample(line: &str) -> Sample {
    line.parse().unwrap()
}

fn decision(second: u32, running: u32, offered: f64) -> Sample {
    let at = format!("2026-11-21T22:{:02}:{:02}Z", second / 60, second % 60);
    sample(&format!(
        "at={at} fleet={running} running={running} booting=0 draining=0 desired={running} \
         offered_load={offered} queue_seconds=0 action=hold reason=x policy=staffing"
    ))
}

#[test]
fn what_is_beyond_the_credits_earned_is_paid_for_where_the_type_goes_on() {
    let types = crate::domain::instance_type::built_in();
    let metrics = Elasticity {
        vm_seconds: 3600.0,
        work_seconds: 5000.0,
        overflow_seconds: 200.0,
        ..Elasticity::default()
    };
    // 80 credits spent, 12 earned.
    let expected = 0.0104 + 68.0 * 0.05 / 60.0;
    assert!((price(&types["t3.micro"], &metrics) - expected).abs() < 1e-9);
    assert!((price(&types["t2.micro"], &metrics) - 0.0116).abs() < 1e-9);
}

fn report(second: u32, requests: u32) -> Sample {
    let at = format!("2026-11-21T22:00:{second:02}Z");
    sample(&format!(
        "at={at} vm=vm-1 state=running type=m5.large cpu=0.5 memory_bytes=1 in_flight=1 \
         queued=0 requests={requests} failures=0 cpu_credits=-"
    ))
}

#[test]
fn a_history_is_what_was_between_its_decisions_without_the_time_no_cluster_ran() {
    let samples = [
        decision(0, 1, 2.0),
        decision(10, 2, 3.0),
        decision(20, 2, 1.0),
        decision(600, 1, 1.0),
        decision(605, 1, 1.0),
    ];
    let recorded = Recorded::of(&samples, "t3.micro");
    let seen = recorded.intervals.iter().map(|i| (i.length.as_secs(), i.demand, i.ready));
    assert_eq!(seen.collect::<Vec<_>>(), [(10, 2.0, 1), (10, 3.0, 2), (5, 1.0, 1)]);
    assert_eq!(
        (recorded.policy.as_str(), recorded.instance_type.as_str()),
        ("staffing", "t3.micro")
    );
    assert_eq!(resampled(&recorded.intervals, Duration::from_secs(5)), [2.0, 2.0, 3.0, 3.0, 1.0]);
}

#[test]
fn requests_are_counted_over_the_lives_of_a_vm() {
    let samples = [report(0, 3), report(5, 9), report(10, 2), report(15, 4)];
    let recorded = Recorded::of(&samples, "t3.micro");
    assert_eq!((recorded.used.requests, recorded.instance_type.as_str()), (13, "m5.large"));
}
