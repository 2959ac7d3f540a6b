//! The published cases of Kubernetes, as data of our own.

use super::*;
use crate::domain::scaling::{Change, Observation, named};
use crate::domain::vm::VmId;

#[track_caller]
fn hpa(parameters: &str) -> KubernetesHpa {
    let (_, given) = named(&format!("kubernetes-hpa {parameters}"));
    let mut from = Parameters::new("kubernetes-hpa", &given);
    let policy = KubernetesHpa::read(&mut from).unwrap_or_else(|error| panic!("{error}"));
    from.finish().unwrap_or_else(|error| panic!("{error}"));
    policy
}

/// So many VMs of which nothing is known, within these bounds.
fn fleet(size: u32, (minimum, maximum): (u32, u32)) -> Situation {
    let members = (1..=size).map(|number| Member {
        id: VmId::numbered(number.into()),
        running_for: None,
        cpu: None,
        in_flight: 0,
        vcpus: 1.0,
        disposable: true,
        protected: false,
    });
    let now = Observation { at: Duration::from_hours(2), wanted: size, ..Observation::default() };
    Situation { members: members.collect(), minimum, maximum, now, ..Situation::default() }
}

/// A case's name, the shares of the ready pods, how many are unready and missing, how many
/// there are, the target, and how many there should be.
type Case = (&'static str, &'static [f64], (u32, u32), u32, f64, u32);

/// The recorded cases of Kubernetes itself that are about CPU, by their names in
/// <https://github.com/kubernetes/kubernetes/blob/00067268967ec95a40035bd666374a1caf48dd1a/pkg/controller/podautoscaler/replica_calculator_test.go>,
/// with CPU as a share of what was requested. A pod whose CPU is "hot" counts as not ready, and
/// pods that failed or are being deleted do not count, as here.
#[rustfmt::skip]
const CASES: [Case; 22] = [
    ("ScaleUp", &[0.3, 0.5, 0.7], (0, 0), 3, 0.3, 5),
    ("ScaleUpUnreadyLessScale", &[0.5, 0.7], (1, 0), 3, 0.3, 4),
    ("ScaleUpHotCpuLessScale", &[0.5, 0.7], (1, 0), 3, 0.3, 4),
    ("ScaleUpUnreadyNoScale", &[0.4], (2, 0), 3, 0.3, 3),
    ("ScaleHotCpuNoScale", &[0.4], (2, 0), 3, 0.3, 3),
    ("ScaleUpIgnoresFailedPods", &[0.5, 0.7], (0, 0), 2, 0.3, 4),
    ("ScaleUpIgnoresDeletionPods", &[0.5, 0.7], (0, 0), 2, 0.3, 4),
    ("ScaleDown", &[0.1, 0.3, 0.5, 0.25, 0.25], (0, 0), 5, 0.5, 3),
    ("ScaleDownIncludeUnreadyPods", &[0.1, 0.3, 0.5], (2, 0), 5, 0.5, 2),
    ("ScaleDownExcludeUnscheduledPods", &[0.1], (4, 0), 5, 0.5, 1),
    ("ScaleDownIgnoreHotCpuPods", &[0.1, 0.3, 0.5], (2, 0), 5, 0.5, 2),
    ("Tolerance", &[1.02, 1.02, 1.02], (0, 0), 3, 1.0, 3),
    ("SuperfluousMetrics", &[4.0, 9.5, 3.0, 7.0], (0, 0), 4, 1.0, 24),
    ("MissingMetrics", &[0.4, 0.095], (0, 2), 4, 1.0, 3),
    ("MissingMetricsNoChangeEq", &[1.0], (0, 1), 2, 1.0, 2),
    ("MissingMetricsNoChangeGt", &[1.9], (0, 1), 2, 1.0, 2),
    ("MissingMetricsNoChangeLt", &[0.6], (0, 1), 2, 1.0, 2),
    ("MissingMetricsUnreadyChange", &[0.45], (1, 1), 3, 0.5, 3),
    ("MissingMetricsUnreadyScaleUp", &[2.0], (1, 1), 3, 0.5, 4),
    ("MissingMetricsUnreadyScaleDown", &[0.1, 0.1], (1, 1), 4, 0.5, 3),
    ("ComputedToleranceAlgImplementation, a little beyond", &[0.5; 10], (0, 0), 10, 0.56, 9),
    ("ComputedToleranceAlgImplementation, a little within", &[0.5; 10], (0, 0), 10, 0.55, 10),
];

#[test]
fn replicas_are_those_of_the_published_algorithm() {
    for (name, ready, (unready, missing), current, target, expected) in CASES {
        let pods = Pods { ready: ready.to_vec(), unready, missing };
        let (replicas, ratio) = pods.replicas(current, target, (0.1, 0.1)).unwrap();
        assert_eq!(replicas, expected, "{name}: ratio {ratio}");
    }
    // EmptyMetrics.
    assert_eq!(Pods::default().replicas(4, 1.0, (0.1, 0.1)), None);
}

/// A case's parameters, what was changed when (VMs, seconds ago), the bounds, how many VMs there
/// are, how many are desired, and how many there may be.
type RateCase = (&'static str, &'static [(i32, u64)], (u32, u32), u32, u32, u32);

/// Changes as those cases spread them over two minutes.
const UP: &[(i32, u64)] = &[(1, 100), (5, 60), (9, 20)];
const DOWN: &[(i32, u64)] = &[(-1, 100), (-5, 60), (-9, 20)];
const MORE_DOWN: &[(i32, u64)] = &[(-10, 100), (-10, 60), (-10, 20)];
const FOUR_UP: &[(i32, u64)] = &[(8, 105), (12, 75), (9, 45), (11, 15)];
const FOUR_DOWN: &[(i32, u64)] = &[(-8, 105), (-12, 75), (-9, 45), (-11, 15)];

/// `TestScalingWithRules`, and the two tests before it of limits by themselves, in the order of
/// <https://github.com/kubernetes/kubernetes/blob/003e86297d18a8538c9da3619871393f9703bf70/pkg/controller/podautoscaler/horizontal_test.go>;
/// one that stands there twice is here once.
#[rustfmt::skip]
const RATES: [RateCase; 43] = [
    ("up_select=min up=2/60s 50%/60s", &[], (1, 2000), 1, 1000, 2),
    ("down_select=min down=2/60s 50%/60s", &[], (1, 2000), 5, 1, 3),
    ("", &[], (3, 8), 5, 7, 7),
    ("", &[], (2, 8), 3, 1, 2),
    ("", &[], (0, 10), 1, 0, 0),
    ("", &[], (1, 10), 20, 1000, 10),
    ("", &[], (100, 150), 100, 1000, 150),
    ("up=1%/60s", &[], (1, 2000), 3, 1000, 4),
    ("down=20/60s", &[], (3, 2000), 1000, 3, 980),
    ("", &[], (1, 1000), 10, 50, 20),
    ("up=100/60s 100%/60s", &[], (1, 1000), 10, 500, 110),
    ("up=2/60s 100%/60s", &[], (1, 1000), 10, 500, 20),
    ("up=100/60s", &[], (1, 1000), 10, 50, 50),
    ("up=10000/60s", &[], (1, 1000), 10, 50, 50),
    ("up=30/60s", &[], (1, 1000), 10, 50, 40),
    ("up=200%/60s", &[], (1, 1000), 10, 50, 30),
    ("down=20/60s 1%/60s", &[], (1, 1000), 100, 2, 80),
    ("down=2/60s 1%/60s", &[], (1, 1000), 100, 2, 98),
    ("down=100/60s", &[], (1, 1000), 10, 0, 1),
    ("down=100%/60s", &[], (5, 1000), 10, 2, 5),
    ("down=5/60s", &[], (1, 1000), 10, 2, 5),
    ("down=50%/60s", &[], (1, 1000), 10, 5, 5),
    ("up=300/60s", UP, (1, 200), 100, 500, 200),
    ("up=10000%/60s", UP, (1, 200), 100, 500, 200),
    ("up=5/120s", UP, (1, 1000), 100, 500, 100),
    ("up=150/120s", UP, (1, 1000), 100, 500, 235),
    ("up=200%/120s", UP, (1, 1000), 100, 500, 255),
    ("up=300%/300s", &[(4, 60), (-2, 60)], (1, 1000), 6, 24, 16),
    ("", DOWN, (1, 1000), 10, 5, 5),
    ("down=115/120s", DOWN, (1, 1000), 100, 0, 1),
    ("down=130/120s", DOWN, (5, 1000), 100, 0, 5),
    ("down=100%/120s", DOWN, (5, 1000), 100, 2, 5),
    ("down=5/120s", DOWN, (1, 1000), 100, 2, 100),
    ("down=50%/120s", &[(-2, 100), (-4, 60), (-6, 20)], (1, 1000), 100, 0, 56),
    ("down=50%/180s", &[(2, 60), (-4, 60)], (1, 1000), 10, 1, 6),
    ("down=10%/120s", MORE_DOWN, (1, 1000), 100, 0, 100),
    ("down=1000%/120s", MORE_DOWN, (1, 1000), 10, 5, 5),
    ("up=1000/60s", FOUR_UP, (1, 1000), 100, 200, 200),
    ("up=1000/120s 100%/60s", FOUR_UP, (1, 1000), 100, 200, 200),
    ("up=1000/30s 100%/60s", FOUR_UP, (1, 1000), 100, 200, 200),
    ("down=1000/60s", FOUR_DOWN, (1, 1000), 100, 5, 5),
    ("down=1000/120s 100%/60s", FOUR_DOWN, (1, 1000), 100, 5, 5),
    ("down=1000/30s 100%/60s", FOUR_DOWN, (1, 1000), 100, 5, 5),
];

#[test]
fn changes_are_limited_as_in_the_published_cases() {
    for (parameters, changes, bounds, current, desired, expected) in RATES {
        let policy = hpa(parameters);
        let mut situation = fleet(current, bounds);
        situation.changes = changes
            .iter()
            .map(|&(by, ago)| Change {
                ago: Duration::from_secs(ago),
                from: if by < 0 { by.unsigned_abs() } else { 0 },
                to: if by < 0 { 0 } else { by.unsigned_abs() },
            })
            .collect();
        let allowed = policy.allowed(desired, &situation).clamp(bounds.0, bounds.1);
        assert_eq!(allowed, expected, "{parameters}: {changes:?}, {current} to {desired}");
    }
}

/// What was recommended (VMs, minutes ago), how many VMs there are and are desired, the windows up
/// and down in minutes, and the size after stabilisation.
type WindowCase = (&'static [(u32, u64)], u32, u32, (u32, u32), u32);

/// `TestNormalizeDesiredReplicasWithBehavior`, in its order. What is a hundred minutes old there is
/// fifty here, older than any window in either case.
#[rustfmt::skip]
const WINDOWS: [WindowCase; 11] = [
    (&[], 100, 5, (0, 0), 5),
    (&[(4, 2), (5, 1)], 100, 3, (0, 3), 5),
    (&[(4, 2), (5, 1)], 1, 7, (5, 0), 4),
    (&[(1, 2), (2, 1)], 100, 3, (5, 0), 3),
    (&[(4, 2), (5, 1)], 1, 3, (0, 5), 3),
    (&[(10, 10), (9, 9)], 100, 3, (0, 0), 3),
    (&[(10, 10), (9, 9)], 1, 100, (0, 0), 100),
    (&[(10, 10), (9, 9), (5, 2), (4, 1)], 100, 3, (0, 3), 5),
    (&[(10, 50), (9, 3), (5, 2), (6, 1)], 1, 100, (5, 0), 5),
    (&[(2, 50), (3, 3)], 2, 1, (5, 5), 2),
    (&[(2, 50), (1, 3)], 2, 3, (5, 5), 2),
];

#[test]
fn recommendations_are_stabilised_as_in_the_published_cases() {
    for (recommended, current, desired, (up, down), expected) in WINDOWS {
        let policy = hpa(&format!("up_window={up}m down_window={down}m"));
        let situation = fleet(current, (0, 1000));
        // One that has looked for less long than its window takes nothing away; the published
        // cases look at recommendations alone.
        let long_ago = [(desired, 55)];
        let mut history = History::default();
        for &(advice, minutes) in long_ago.iter().chain(recommended) {
            let at = situation.now.at.saturating_sub(Duration::from_mins(minutes));
            history.push(Observation { at, advice: Some(advice), ..situation.now });
        }
        let stable = policy.stabilised(desired, &situation, &history);
        assert_eq!(stable, expected, "{recommended:?}, {current} to {desired}");
    }
}

#[test]
fn a_tolerance_holds_in_its_own_direction() {
    let pods = |cpu: f64| Pods { ready: vec![cpu; 10], ..Pods::default() };
    for (cpu, expected) in [(0.59, 12), (0.55, 11), (0.5, 10), (0.4, 10), (0.3, 6)] {
        let (replicas, _) = pods(cpu).replicas(10, 0.5, (0.3, 0.0)).unwrap();
        assert_eq!(replicas, expected, "{cpu}");
    }
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    for bad in ["", "4", "0/15s", "4/0s", "4/31m", "-1%/15s", "NaN%/15s", "4.5/15s", "inf%/1m"] {
        let given = vec![("up".to_owned(), bad.to_owned())];
        let mut from = Parameters::new("kubernetes-hpa", &given);
        let refused = KubernetesHpa::read(&mut from).unwrap_err().to_string();
        assert!(refused.starts_with("up of policy kubernetes-hpa: "), "{bad}: {refused}");
    }
}
