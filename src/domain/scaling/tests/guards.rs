//! What no policy may do, whatever it is told.

use super::*;
use crate::domain::simulation::{self, Terms};

/// Every policy, with parameters that make it quick.
const QUICK: [&str; 9] = [
    "staffing hold=0s",
    "target-tracking target=0.5 out_reports=1 in_reports=1 scale_out_cooldown=0s \
     scale_in_cooldown=0s",
    "threshold samples=1 cooldown=0s step=5",
    "step cooldown=0s out=0:5 in=0:5",
    "kubernetes-hpa down_window=0s",
    "knative",
    "queue-depth cooldown=0s",
    "scheduled times=00:00 500",
    "static size=500",
];

#[test]
fn a_person_is_obeyed_within_the_limits_even_while_paused() {
    let asked = |asked, paused| Situation { asked: Some(asked), paused, ..fleet(&[0.6, 0.6]) };
    for paused in [false, true] {
        assert_verdict(&asked(5, paused), Direction::Out, 5, "5 asked for by hand");
        let most = "50 asked for by hand, 1 to 20 are allowed";
        assert_verdict(&asked(50, paused), Direction::Out, 20, most);
    }
    let mut own = asked(1, false);
    own.members.iter_mut().for_each(|member| member.disposable = false);
    assert_verdict(&own, Direction::In, 1, "1 asked for by hand");
}

#[test]
fn launches_are_limited_by_the_minute() {
    let change = |seconds| Change { ago: seconds * SECOND, from: 1, to: 101 };
    let many = Situation { minimum: 1000, maximum: 1000, ..fleet(&vec![1.0; 101]) };
    let lately = Situation { changes: vec![change(59)], ..many.clone() };
    assert_eq!(decide(&policy(), &lately).direction, Direction::Hold);
    let earlier = Situation { changes: vec![change(61)], ..many };
    assert_eq!(decide(&policy(), &earlier).to, 202);
}

#[test]
fn a_fleet_that_swings_waits_twice_as_long_before_it_shrinks() {
    let swing = |n: u64| Change {
        ago: Duration::from_secs(90 + 60 * (5 - n)),
        from: if n.is_multiple_of(2) { 2 } else { 4 },
        to: if n.is_multiple_of(2) { 4 } else { 2 },
    };
    let mut situation = fleet(&[0.1, 0.1]);
    situation.since_in = Some(90 * SECOND);
    situation.changes = (0..6).map(swing).collect();
    let verdict = decide(&policy(), &situation);
    assert_eq!(verdict.direction, Direction::Hold);
    assert!(verdict.reason.contains("it swings, 5 turns in ten minutes: 30 s more"), "{verdict:?}");
    situation.since_in = Some(120 * SECOND);
    assert_eq!(decide(&policy(), &situation).direction, Direction::In);
    situation.since_in = Some(90 * SECOND);
    situation.changes.truncate(4);
    assert_eq!(decide(&policy(), &situation).direction, Direction::In);
}

prop_compose! {
    /// Figures as a VM that lies, or a balancer that is confused, would give them.
    fn any_observation()(
        ready in 0_u32..40,
        cpu in proptest::option::of(any::<f64>()),
        sums in (any::<f64>(), any::<f64>(), any::<f64>()),
        balancer in proptest::option::of((any::<f64>(), any::<f64>(), any::<f64>())),
        advice in proptest::option::of(0_u32..50),
        at in 0_u64..7200,
    ) -> Observation {
        Observation {
            at: Duration::from_secs(at),
            ready,
            starting: 0,
            wanted: ready,
            cpu,
            busy: sums.0,
            memory: Some(sums.1),
            in_flight: sums.2,
            queued: sums.1,
            rate: balancer.map(|figures| figures.0),
            offered: balancer.map(|figures| figures.1),
            backlog: balancer.map(|figures| figures.2),
            advice,
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_reported_the_bounds_hold_and_what_is_silent_stays(
        situation in any_situation(),
        now in any_observation(),
        before in proptest::collection::vec(any_observation(), 0..20),
        policy in proptest::sample::select(&QUICK[..]),
    ) {
        let mut history = History::default();
        for seen in before {
            history.push(seen);
        }
        let situation = Situation { now, ..situation };
        let verdict = super::super::decide(Ok(&read(policy)), &situation, &history);
        let wanted = count(situation.members.len());
        let silent = situation.members.iter().any(|m| m.running_for.is_some() && m.cpu.is_none());
        if verdict.direction == Direction::Out {
            prop_assert!(verdict.to <= situation.maximum && verdict.to > wanted);
        }
        if verdict.direction == Direction::In {
            prop_assert!(verdict.to >= situation.minimum && verdict.to < wanted);
            prop_assert!(!silent || wanted > situation.maximum, "{:?}", verdict);
        }
        prop_assert!(!verdict.reason.is_empty());
        prop_assert!(verdict.checks.iter().all(|check| check.value.is_finite()));
    }

    #[test]
    fn no_load_makes_a_fleet_run_away_or_swing_for_long(
        period in 6_usize..60,
        high in 1.0..60.0,
        policy in proptest::sample::select(&["staffing", "kubernetes-hpa", "threshold"][..]),
    ) {
        let terms = Terms {
            vcpus_per_vm: 1.0,
            boot: 20 * SECOND,
            period: 5 * SECOND,
            minimum: 1,
            maximum: 80,
            start: 1,
            work_per_request: 0.5,
        };
        let demand = (0..720).map(|tick| if tick / period % 2 == 0 { high } else { 0.5 });
        let run = simulation::run(&read(policy), &demand.collect::<Vec<_>>(), &terms);
        let sizes = run.iter().map(|interval| interval.wanted).collect::<Vec<_>>();
        prop_assert!(sizes.iter().all(|size| (1..=80).contains(size)));
        let moves = sizes.windows(2).map(|pair| pair[1].cmp(&pair[0])).collect::<Vec<_>>();
        for ten_minutes in moves.windows(120) {
            let moved = ten_minutes.iter().filter(|way| way.is_ne()).collect::<Vec<_>>();
            let turns = moved.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert!(turns <= 12, "{policy}: {turns} turns in ten minutes");
        }
    }
}
