//! Each policy against its own rule.

use super::*;

/// A fleet of so many VMs of one vCPU, all ready, with this much work in flight.
fn serving(vms: u32, in_flight: f64) -> Situation {
    let cpu = (in_flight / f64::from(vms)).min(1.0);
    let mut situation = fleet(&vec![cpu; vms as usize]);
    situation.period = 5 * SECOND;
    situation.now = Observation {
        at: Duration::from_hours(2),
        ready: vms,
        wanted: vms,
        cpu: Some(cpu),
        busy: cpu * f64::from(vms),
        in_flight,
        ..Observation::default()
    };
    situation
}

/// The same seen every five seconds for a while before, each time with its value of `change`.
fn past(situation: &Situation, ticks: u64, change: impl Fn(u64, &mut Observation)) -> History {
    let mut history = History::default();
    for ago in (1..=ticks).rev() {
        let at = situation.now.at.saturating_sub(Duration::from_secs(5 * ago));
        let mut seen = Observation { at, ..situation.now };
        change(ago, &mut seen);
        history.push(seen);
    }
    history
}

#[track_caller]
fn assert_size(policy: &str, situation: &Situation, history: &History, to: u32) {
    let verdict = super::super::decide(Ok(&read(policy)), situation, history);
    assert_eq!(verdict.to, to, "{policy}: {}, {:?}", verdict.reason, verdict.checks);
}

#[test]
fn a_threshold_must_be_crossed_so_often_in_a_row() {
    let busy = serving(4, 3.6);
    assert_size("threshold samples=3", &busy, &past(&busy, 1, |_, _| ()), 4);
    assert_size("threshold samples=3 step=2", &busy, &past(&busy, 2, |_, _| ()), 6);
    let dip = past(&busy, 5, |ago, seen| seen.cpu = (ago != 1).then_some(0.9));
    assert_size("threshold samples=3", &busy, &dip, 4);
    let after = |seconds| Situation {
        since_out: Some(seconds * SECOND),
        boot: 40 * SECOND,
        ..busy.clone()
    };
    let cooldown = "threshold samples=1 cooldown=20s";
    // It counts from when the VM that was added should serve.
    assert_size(cooldown, &after(59), &History::default(), 4);
    assert_size(cooldown, &after(60), &History::default(), 5);
    let idle = serving(4, 0.4);
    assert_size("threshold samples=1", &idle, &History::default(), 3);
}

#[test]
fn the_step_is_that_of_the_interval_with_its_lower_end() {
    let none = History::default();
    for (cpu, size) in [(0.59, 4), (0.6, 5), (0.79, 5), (0.8, 7), (1.0, 7), (0.3, 3), (0.1, 2)] {
        let policy = "step high=0.6 out=0:1 0.2:3 low=0.3 in=0:1 0.2:2";
        assert_size(policy, &serving(4, cpu * 4.0), &none, size);
    }
    let percent = "step kind=percent out=0:10 in=0:10";
    assert_size(percent, &serving(4, 4.0), &none, 5);
    assert_size("step kind=percent out=0:60", &serving(4, 4.0), &none, 6);
    assert_size("step kind=exact out=0:9", &serving(4, 4.0), &none, 9);
}

#[test]
fn vms_that_warm_up_count_towards_a_step() {
    let mut situation = serving(4, 4.0);
    situation.members.push(member(5, Some(1), Some(0.0)));
    assert_size("step out=0:1", &situation, &History::default(), 5);
    assert_size("step out=0:2", &situation, &History::default(), 6);
    // Its idleness does not count yet.
    assert_size("step high=0.9 out=0:2", &situation, &History::default(), 6);
    for member in &mut situation.members {
        member.cpu = Some(Share::saturating(0.1));
    }
    assert_size("step", &situation, &History::default(), 5);
}

#[test]
fn target_tracking_takes_requests_in_flight_as_well_as_cpu() {
    let situation = serving(4, 12.0);
    let policy = "target-tracking metric=in-flight target=2 out_reports=1";
    assert_size(policy, &situation, &History::default(), 6);
}

#[test]
fn target_tracking_asks_for_three_reports_above_and_for_fifteen_well_below() {
    let tracking = "target-tracking target=0.5";
    let busy = serving(4, 2.1);
    assert_size(tracking, &busy, &past(&busy, 1, |_, _| ()), 4);
    assert_size(tracking, &busy, &past(&busy, 2, |_, _| ()), 5);
    let dip = past(&busy, 5, |ago, seen| seen.cpu = Some(if ago == 2 { 0.5 } else { 0.9 }));
    assert_size(tracking, &busy, &dip, 4);
    let idle = serving(4, 0.4);
    assert_size(tracking, &idle, &past(&idle, 13, |_, _| ()), 4);
    assert_size(tracking, &idle, &past(&idle, 14, |_, _| ()), 3);
    let near = serving(4, 1.84);
    assert_size(tracking, &near, &past(&near, 90, |_, _| ()), 4);
}

#[test]
fn a_queue_gets_a_vm_for_so_many_requests() {
    let mut situation = serving(10, 1500.0);
    situation.maximum = 100;
    assert_size("queue-depth per_vm=100", &situation, &History::default(), 15);
    situation.now.in_flight = 1090.0;
    assert_size("queue-depth per_vm=100", &situation, &History::default(), 10);
    assert_size("queue-depth per_vm=100 tolerance=0", &situation, &History::default(), 11);
    situation.now.in_flight = 100.0;
    let lately = past(&situation, 60, |ago, seen| seen.advice = Some(if ago > 30 { 8 } else { 1 }));
    assert_size("queue-depth per_vm=100 cooldown=5m", &situation, &lately, 8);
    assert_size("queue-depth per_vm=100 cooldown=2m", &situation, &lately, 1);
}

#[test]
fn the_pod_autoscaler_shrinks_to_the_most_of_its_window_and_grows_within_its_limits() {
    let idle = serving(10, 1.0);
    let before = past(&idle, 80, |ago, seen| seen.advice = Some(if ago == 50 { 7 } else { 2 }));
    assert_size("kubernetes-hpa", &idle, &before, 7);
    assert_size("kubernetes-hpa down_window=2m", &idle, &before, 2);
    assert_size("kubernetes-hpa down_window=0s down=10%/15s", &idle, &before, 9);
    assert_size("kubernetes-hpa down_select=disabled down_window=0s", &idle, &before, 10);
    let mut busy = serving(2, 2.0);
    assert_size("kubernetes-hpa target=0.1", &busy, &History::default(), 6);
    busy.changes = vec![Change { ago: 10 * SECOND, from: 1, to: 2 }];
    assert_size("kubernetes-hpa target=0.1", &busy, &History::default(), 5);
}

#[test]
fn of_72_pods_ten_per_cent_are_eight() {
    let mut idle = serving(72, 1.0);
    idle.maximum = 100;
    assert_size("kubernetes-hpa down=10%/15s down_window=0s", &idle, &History::default(), 64);
}

#[test]
fn knative_panics_on_a_crowd_and_stays_so_for_a_stable_window() {
    let crowd = serving(2, 12.0);
    let calm = |_: u64, seen: &mut Observation| seen.in_flight = 1.4;
    assert_size("knative target=0.7", &crowd, &past(&crowd, 60, calm), 10);
    let mut after = serving(10, 1.4);
    after.now.ready = 10;
    let crowded = past(&after, 60, |ago, seen| {
        (seen.in_flight, seen.ready) = if ago == 8 { (12.0, 2) } else { (1.4, 10) };
    });
    assert_size("knative target=0.7", &after, &crowded, 10);
    let long_ago = past(&after, 60, |ago, seen| {
        (seen.in_flight, seen.ready) = if ago == 20 { (12.0, 2) } else { (1.4, 10) };
    });
    assert_size("knative target=0.7", &after, &long_ago, 5);
}

#[test]
fn knative_starts_in_panic_and_keeps_the_most_of_both_windows_in_it() {
    let mut idle = serving(8, 1.4);
    idle.now.in_flight = 0.7;
    assert_size("knative target=0.7", &idle, &History::default(), 8);
    assert_size("knative target=0.7", &idle, &past(&idle, 11, |_, _| ()), 8);
    assert_size("knative target=0.7", &idle, &past(&idle, 14, |_, _| ()), 4);
    assert_size("knative target=0.7", &serving(1, 0.7), &History::default(), 1);
    // Most VMs have gone, and half of the load: the stable window still asked for twenty then.
    let mut halved = serving(20, 7.0);
    (halved.maximum, halved.now.ready) = (50, 4);
    let seen = past(&halved, 60, |ago, seen| {
        (seen.in_flight, seen.ready) = if ago < 10 { (7.0, 4) } else { (14.0, 20) };
    });
    assert_size("knative target=0.7", &halved, &seen, 20);
}

#[test]
fn staffing_follows_the_offered_load_and_not_the_saturated_cpu() {
    let mut busy = serving(4, 4.0);
    busy.now.offered = Some(9.0);
    let steady = past(&busy, 30, |_, seen| seen.rate = Some(0.1));
    busy.now.rate = Some(0.1);
    // Long requests: nine vCPUs and 1.6 × √9 for chance.
    assert_size("staffing", &busy, &steady, 14);
    assert_size("staffing wait=0.0269", &busy, &steady, 15);
    // Longer without any waves: no room would have cost least.
    let calm = past(&busy, 120, |_, seen| seen.rate = Some(0.1));
    assert_size("staffing", &busy, &calm, 9);
}

#[test]
fn staffing_shrinks_to_the_most_of_its_hold_and_not_for_a_trifle() {
    let mut idle = serving(10, 0.1);
    idle.now.offered = Some(0.1);
    let lately = past(&idle, 60, |ago, seen| seen.advice = Some(if ago == 10 { 6 } else { 1 }));
    assert_size("staffing hold=60s", &idle, &lately, 6);
    assert_size("staffing hold=30s", &idle, &lately, 1);
    let nearly = past(&idle, 60, |_, seen| seen.advice = Some(9));
    assert_size("staffing hold=60s band=0.2", &idle, &nearly, 10);
}

#[test]
fn an_autoscaler_that_has_just_started_takes_nothing_away() {
    let idle = serving(3, 0.0);
    for policy in ["staffing hold=60s", "kubernetes-hpa", "queue-depth tolerance=0"] {
        assert_size(policy, &idle, &History::default(), 3);
        assert_size(policy, &idle, &past(&idle, 5, |_, seen| seen.advice = Some(1)), 3);
        assert_size(policy, &idle, &past(&idle, 90, |_, seen| seen.advice = Some(1)), 1);
    }
}

#[test]
fn a_size_asked_for_by_hand_is_not_taken_back_at_once() {
    let idle = serving(20, 0.0);
    // Two until a person asked for twenty, so many reports ago.
    let asked = |when| {
        past(&idle, 60, |ago, seen| {
            seen.wanted = if ago > when { 2 } else { 20 };
            seen.advice = (ago != when).then_some(0);
        })
    };
    for (policy, later) in [("staffing", 1), ("knative", 10), ("queue-depth cooldown=1m", 1)] {
        assert_size(policy, &idle, &asked(10), 20);
        assert_size(policy, &idle, &asked(14), later);
    }
}

#[test]
fn the_last_vm_stays_while_requests_come_and_comes_back_for_one() {
    let mut idle = Situation { minimum: 0, ..serving(1, 0.0) };
    let used = |when| {
        past(&idle, 90, |ago, seen| {
            seen.advice = Some(0);
            seen.rate = Some(if ago == when { 0.1 } else { 0.0 });
        })
    };
    assert_size("staffing", &idle, &used(59), 1);
    assert_size("staffing", &idle, &used(61), 0);
    idle.members.clear();
    idle.now = Observation { ready: 0, wanted: 0, rate: Some(0.1), ..idle.now };
    for policy in ["staffing", "queue-depth", "static"] {
        let size = u32::from(policy != "static");
        assert_size(policy, &idle, &past(&idle, 90, |_, seen| seen.rate = Some(0.0)), size);
    }
    let closed = Situation { maximum: 0, ..idle };
    assert_size("staffing", &closed, &History::default(), 0);
}

#[test]
fn staffing_without_a_balancer_takes_the_larger_of_requests_and_cpu() {
    let none = History::default();
    assert_size("staffing wait=0.23", &serving(2, 9.0), &none, 12);
    let mut hidden = serving(2, 0.0);
    (hidden.now.busy, hidden.now.in_flight) = (2.0, 0.0);
    assert_size("staffing wait=0.23", &hidden, &none, 4);
}

#[test]
fn staffing_expects_what_was_yesterday() {
    let mut quiet = serving(2, 1.0);
    quiet.forecast = Some(9.0);
    assert_size("staffing wait=0.23", &quiet, &History::default(), 12);
    assert_size("staffing wait=0.23 forecast=false", &quiet, &History::default(), 2);
}

#[test]
fn a_static_fleet_keeps_its_size() {
    let none = History::default();
    assert_size("static", &serving(4, 40.0), &none, 4);
    assert_size("static size=7", &serving(4, 0.0), &none, 7);
    assert_size("static size=70", &serving(4, 0.0), &none, 20);
}

#[test]
fn nonsense_is_refused_with_what_would_be_right() {
    for (policy, said) in [
        ("magic", "there is no policy called `magic`; there is staffing, target-tracking"),
        ("staffing waits=0.1", "policy staffing has no parameter `waits`; it has wait, hold"),
        ("staffing wait=NaN", "wait=NaN of policy staffing: a number from 0.001 to 0.9 is needed"),
        ("staffing wait=0.1 wait=0.2", "`wait` of policy staffing twice"),
        ("staffing hold=-5s", "a time from 0s to 1h"),
        ("staffing hold=9999h", "a time from 0s to 1h"),
        ("threshold high=0.2 low=0.5", "low=0.5 must be below high=0.2"),
        ("step out=0.5:1 0.2:2", "the distances must grow"),
        ("step out=x", "`x` is not DISTANCE:ADJUSTMENT"),
        ("step in=0:1.5", "a step of 1.5 VMs in policy step: whole VMs are needed"),
        ("kubernetes-hpa up=4", "`4` is not VMs/PERIOD or PERCENT%/PERIOD"),
        ("static size=-3", "`-3` is neither a number of VMs nor as-it-is"),
        ("scheduled", "at least one time is needed"),
        ("knative target=0", "a number from 0.01"),
        ("target-tracking target=1.5", "a number from 0.01 to 1 is needed"),
    ] {
        let (name, parameters) = named(policy);
        let refused = Policy::read(&name, &parameters, &DEFAULTS).unwrap_err().to_string();
        assert!(refused.contains(said), "{policy}: {refused}");
    }
}

#[test]
fn staffing_orders_ahead_of_a_load_that_has_come_every_ten_minutes() {
    let mut calm = serving(1, 0.2);
    calm.boot = Duration::from_mins(1);
    // A wave of 100 s began ten minutes before the one that begins so many steps from now.
    let before = |steps: u64| {
        past(&calm, 600, |ago, seen| {
            seen.offered = Some(if (ago + steps) % 120 > 100 { 12.0 } else { 0.2 });
        })
    };
    let mut now = calm.clone();
    now.now.offered = Some(0.2);
    assert_size("staffing", &now, &before(60), 1);
    let verdict = super::super::decide(Ok(&read("staffing")), &now, &before(8));
    assert!(verdict.to >= 12, "{}", verdict.reason);
    assert!(verdict.reason.contains("as 600 s before"), "{}", verdict.reason);
}
