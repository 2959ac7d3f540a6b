mod guards;
mod policies;

use super::*;
use crate::units::Share;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

const DEFAULTS: Defaults = Defaults {
    target_cpu: Share::ALL,
    warm_up: Duration::from_secs(5),
    scale_out_cooldown: Duration::from_secs(10),
    scale_in_cooldown: Duration::from_mins(1),
    window: Duration::from_secs(15),
};

/// A policy as somebody would write it.
#[track_caller]
fn read(text: &str) -> Policy {
    let (name, parameters) = named(text);
    Policy::read(&name, &parameters, &DEFAULTS).unwrap_or_else(|error| panic!("{error}")).0
}

fn policy() -> Policy {
    read("target-tracking target=0.6 out_reports=1 in_reports=1")
}

/// What the policy says of a fleet without a past.
fn decide(policy: &Policy, situation: &Situation) -> Verdict {
    super::decide(Ok(policy), situation, &History::default())
}

fn member(number: u64, running_for: Option<u64>, cpu: Option<f64>) -> Member {
    Member {
        id: VmId::numbered(number),
        running_for: running_for.map(Duration::from_secs),
        cpu: cpu.map(Share::saturating),
        in_flight: 0,
        vcpus: 1.0,
        disposable: true,
        protected: false,
    }
}

fn fleet(shares: &[f64]) -> Situation {
    Situation {
        members: (1..).zip(shares).map(|(n, cpu)| member(n, Some(100 + n), Some(*cpu))).collect(),
        minimum: 1,
        maximum: 20,
        ..Situation::default()
    }
}

#[track_caller]
fn assert_verdict(situation: &Situation, direction: Direction, to: u32, reason: &str) {
    let verdict = decide(&policy(), situation);
    assert_eq!((verdict.direction, verdict.to), (direction, to), "{}", verdict.reason);
    assert_eq!(verdict.reason, reason);
}

#[test]
fn a_busy_fleet_grows_in_proportion() {
    assert_verdict(
        &fleet(&[0.9, 0.8, 1.0]),
        Direction::Out,
        5,
        "mean cpu 0.90 of 3 warm over 15 s, target 0.60",
    );
}

#[test]
fn a_fleet_near_its_target_is_left_alone() {
    assert_verdict(
        &fleet(&[0.56, 0.6]),
        Direction::Hold,
        2,
        "mean cpu 0.58 of 2 warm over 15 s, target 0.60: less than 10 % below the target",
    );
}

#[test]
fn vms_that_boot_count_as_capacity_to_come() {
    let mut situation = fleet(&[0.9, 0.9]);
    situation.members.push(member(3, None, None));
    assert_verdict(
        &situation,
        Direction::Hold,
        3,
        "mean cpu 0.90 of 2 warm, 1 starting over 15 s, target 0.60: 3 needed, 3 wanted already \
         is enough",
    );
}

#[test]
fn a_cooldown_holds_and_says_for_how_long() {
    let situation = Situation { since_out: Some(4 * SECOND), ..fleet(&[1.0]) };
    assert_verdict(
        &situation,
        Direction::Hold,
        1,
        "mean cpu 1.00 of 1 warm over 15 s, target 0.60: cooling down from a scale-out for \
         another 6 s",
    );
}

#[test]
fn an_idle_fleet_shrinks_by_one_and_the_idlest_youngest_goes() {
    let mut situation = fleet(&[0.1, 0.1, 0.1]);
    situation.members[0].in_flight = 2;
    let verdict = decide(&policy(), &situation);
    assert_eq!((verdict.direction, verdict.from, verdict.to), (Direction::In, 3, 2));
    assert_eq!(verdict.victims, [VmId::numbered(2)], "vm-3 has run longer, vm-1 is busy");
}

#[test]
fn a_silent_vm_keeps_the_fleet_from_shrinking_but_not_from_growing() {
    let mut situation = fleet(&[0.1, 0.1]);
    situation.members.push(member(3, Some(100), None));
    assert_eq!(decide(&policy(), &situation).direction, Direction::Hold);
    for member in &mut situation.members[..2] {
        member.cpu = Some(Share::ALL);
    }
    assert_eq!(decide(&policy(), &situation).to, 5);
}

#[test]
fn nothing_known_is_a_reason_to_hold() {
    let mut situation = fleet(&[]);
    situation.members = vec![member(1, Some(1), Some(1.0)), member(2, None, None)];
    assert_verdict(&situation, Direction::Hold, 2, "no VM has run long enough and reported");
}

#[test]
fn bounds_are_restored_and_operators_vms_are_left() {
    let too_few = Situation { minimum: 4, ..fleet(&[0.1]) };
    assert_verdict(&too_few, Direction::Out, 4, "1 wanted, the minimum is 4");
    let mut too_many = Situation { maximum: 2, ..fleet(&[1.0, 1.0, 1.0, 1.0]) };
    assert_verdict(&too_many, Direction::In, 2, "4 wanted, the maximum is 2");
    for member in &mut too_many.members {
        member.disposable = false;
    }
    assert_eq!(decide(&policy(), &too_many).direction, Direction::Hold);
}

#[test]
fn a_slip_of_the_hand_is_not_obeyed_at_once() {
    let situation = Situation { minimum: 1_000_000, maximum: 1_000_000, ..fleet(&[0.1]) };
    assert_verdict(&situation, Direction::Out, 101, "1 wanted, the minimum is 1000000");
}

#[test]
fn a_paused_autoscaler_holds_even_below_its_minimum() {
    let situation = Situation { paused: true, minimum: 3, ..fleet(&[1.0]) };
    assert_verdict(&situation, Direction::Hold, 1, "the autoscaler is paused");
}

prop_compose! {
    fn any_member()(
        number in 1_u64..1000,
        running in proptest::option::of(0_u64..1000),
        cpu in proptest::option::of(0.0..=1.0),
        in_flight in 0_u32..50,
        disposable: bool,
    ) -> Member {
        Member { in_flight, disposable, ..member(number, running, cpu) }
    }
}

prop_compose! {
    fn any_situation()(
        members in proptest::collection::vec(any_member(), 0..40),
        minimum in 0_u32..20,
        above in 0_u32..20,
        paused: bool,
        since_out in proptest::option::of(0_u64..200),
        since_in in proptest::option::of(0_u64..200),
    ) -> Situation {
        Situation {
            members, minimum, maximum: minimum + above, paused,
            since_out: since_out.map(Duration::from_secs),
            since_in: since_in.map(Duration::from_secs),
            ..Situation::default()
        }
    }
}

proptest! {
    #[test]
    fn a_change_ends_within_the_bounds_and_names_its_victims(situation in any_situation()) {
        let verdict = decide(&policy(), &situation);
        prop_assert!(!verdict.reason.is_empty());
        prop_assert_eq!(verdict.from as usize, situation.members.len());
        match verdict.direction {
            Direction::Hold => prop_assert_eq!(verdict.from, verdict.to),
            Direction::Out => {
                prop_assert!(verdict.to > verdict.from && verdict.to <= situation.maximum);
                prop_assert!(verdict.victims.is_empty());
            }
            Direction::In => {
                prop_assert!(verdict.to >= situation.minimum);
                prop_assert_eq!(verdict.victims.len(), (verdict.from - verdict.to) as usize);
                for victim in &verdict.victims {
                    prop_assert!(situation.members.iter().any(|m| &m.id == victim && m.disposable));
                }
            }
        }
    }

    #[test]
    fn nothing_happens_inside_a_cooldown(situation in any_situation()) {
        let within_bounds =
            (situation.minimum..=situation.maximum).contains(&count(situation.members.len()));
        prop_assume!(within_bounds);
        let situation = Situation { since_out: Some(SECOND), ..situation };
        prop_assert_eq!(decide(&policy(), &situation).direction, Direction::Hold);
    }

    #[test]
    fn a_busier_fleet_never_wants_fewer(
        shares in proptest::collection::vec(0.0..=1.0, 1..20),
        more in 0.0..=1.0,
    ) {
        let busier: Vec<f64> = shares.iter().map(|share| share + (1.0 - share) * more).collect();
        prop_assert!(decide(&policy(), &fleet(&busier)).to >= decide(&policy(), &fleet(&shares)).to);
    }
}
