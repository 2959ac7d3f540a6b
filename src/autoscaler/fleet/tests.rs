use super::*;
use crate::autoscaler::tests::{at_once, report, settings};
use crate::domain::decision::Action;
use crate::state::as_state::VmOrder;

const SECOND: Duration = Duration::from_secs(1);

/// A fleet of one VM, its file, and both clocks.
struct Story {
    fleet: Fleet,
    orders: AsStateFile,
    start: Instant,
    wall: Timestamp,
}

impl Story {
    fn new() -> Self {
        let orders = AsStateFile {
            policy: "target-tracking".to_owned(),
            parameters: at_once(),
            minimum: 1,
            maximum: 20,
            vms: vec![VmOrder {
                by: Some("autoscaler".to_owned()),
                ..VmOrder::new(VmId::numbered(1), Action::Keep)
            }],
            ..AsStateFile::default()
        };
        let start = Instant::now();
        let fleet = Fleet::new(Arc::new(settings()), start);
        Self { fleet, orders, start, wall: Timestamp::now() }
    }

    /// VMState.xml is seen `at` seconds after the start; it was written `written` seconds after.
    fn sees(&mut self, at: u32, written: i32, cpu: f64) {
        let vms = vec![report("vm-1", VmState::Running, cpu, written)];
        let file = VmStateFile { vms, ..VmStateFile::default() };
        self.fleet.observe(&file, self.start + at * SECOND, self.wall);
    }

    fn judges(&mut self, at: u32) -> Verdict {
        self.fleet.judge(&self.orders, self.start + at * SECOND, self.wall).0
    }
}

#[test]
fn shares_are_averaged_over_the_window() {
    let mut story = Story::new();
    for (at, cpu) in [(0, 0.0), (5, 0.0), (10, 0.0), (15, 0.6), (20, 0.6), (25, 0.6)] {
        story.sees(at, i32::try_from(at).unwrap(), cpu);
    }
    // 25 − 15 s: the shares seen at 10, 15, 20 and 25 s are within the window.
    let verdict = story.judges(25);
    assert!(verdict.reason.starts_with("mean cpu 0.45 of 1 warm"), "{}", verdict.reason);
}

#[test]
fn a_vm_without_credits_counts_for_its_baseline_and_is_busy_at_it() {
    let mut story = Story::new();
    let mut throttled = report("vm-1", VmState::Running, 0.1, 0);
    throttled.instance_type = "t2.micro".to_owned();
    throttled.load.cpu_credits = Some(0.0);
    let mut file = VmStateFile { vms: vec![throttled], ..VmStateFile::default() };
    story.fleet.observe(&file, story.start, story.wall);
    let member = |story: &Story| story.fleet.member(&story.orders.vms[0], story.start);
    assert!((member(&story).vcpus - 0.1).abs() < 1e-9, "its baseline");
    assert!(member(&story).cpu.unwrap().get() > 0.99, "all that it may use is in use");
    file.vms[0].load.cpu_credits = Some(30.0);
    file.vms[0].reported_at += jiff::SignedDuration::from_secs(5);
    story.fleet.observe(&file, story.start, story.wall);
    assert!((member(&story).vcpus - 1.0).abs() < 1e-9);
    assert!((member(&story).cpu.unwrap().get() - 0.1).abs() < 1e-9);
}

#[test]
fn a_report_that_does_not_change_grows_old_by_the_readers_clock() {
    let mut story = Story::new();
    story.sees(0, 0, 1.0);
    story.sees(14, 0, 1.0);
    assert!(story.judges(15).reason.starts_with("mean cpu 1.00"));
    assert_eq!(story.judges(16).reason, "no VM has run long enough and reported");
    story.sees(17, 1, 1.0);
    assert!(story.judges(17).reason.starts_with("mean cpu 1.00"), "it is back");
}

#[test]
fn a_replaced_process_starts_from_nothing() {
    let mut story = Story::new();
    story.sees(0, 0, 1.0);
    let mut reborn = report("vm-1", VmState::Booting, 0.0, 1);
    reborn.pid += 1;
    let file = VmStateFile { vms: vec![reborn], ..VmStateFile::default() };
    story.fleet.observe(&file, story.start + SECOND, story.wall);
    assert_eq!(story.judges(1).reason, "no VM has run long enough and reported");
    assert_eq!(story.fleet.census(), (0, 1, 0));
}

#[test]
fn cooldowns_survive_a_restart_and_a_clock_set_back() {
    for (seconds_ago, action) in [(3, "hold"), (-3600, "hold"), (11, "out")] {
        let mut story = Story::new();
        story.sees(0, 0, 1.0);
        story.orders.decisions = vec![crate::domain::decision::Decision {
            at: story.wall - jiff::SignedDuration::from_secs(seconds_ago),
            action: Direction::Out,
            from: 1,
            to: 1,
            reason: String::new(),
            checks: Vec::new(),
        }];
        story.fleet.past.recall(Some(&story.orders), &[], story.start, story.wall);
        let verdict = story.judges(0);
        assert_eq!(verdict.direction.as_str(), action, "{seconds_ago}: {}", verdict.reason);
    }
}

#[test]
fn a_vm_just_asked_for_is_not_taken_away_for_being_idle() {
    let mut story = Story::new();
    let mut second = story.orders.vms[0].clone();
    second.id = VmId::numbered(2);
    second.since = Some(story.wall);
    story.orders.vms.push(second);
    let vms = ["vm-1", "vm-2"].map(|id| report(id, VmState::Running, 0.0, 0)).to_vec();
    story.fleet.observe(&VmStateFile { vms, ..VmStateFile::default() }, story.start, story.wall);
    let verdict = story.judges(0);
    assert_eq!(verdict.direction, Direction::Hold);
    assert!(verdict.reason.contains("cooling down"), "{}", verdict.reason);
    story.orders.vms[1].since = Some(story.wall - jiff::SignedDuration::from_mins(2));
    assert_eq!(story.judges(0).direction, Direction::In);
}

#[test]
fn an_order_of_the_future_holds_nothing_up() {
    let mut story = Story::new();
    story.sees(0, 0, 1.0);
    story.orders.vms[0].since = Some(story.wall + jiff::SignedDuration::from_hours(9000));
    assert_eq!(story.judges(0).direction, Direction::Out);
}

#[test]
fn an_unknown_policy_holds_and_names_the_one_there_is() {
    let mut story = Story::new();
    story.orders.policy = "magic".to_owned();
    let verdict = story.judges(0);
    assert_eq!(verdict.direction, Direction::Hold);
    let reason = "there is no policy called `magic`; there is staffing, target-tracking, ";
    assert!(verdict.reason.starts_with(reason), "{}", verdict.reason);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// VMs that lie, under a wall clock that jumps: what they say, when, and whether at all.
    #[test]
    fn no_lie_makes_the_orders_run_away(
        policy in proptest::sample::select(&[
            "staffing", "target-tracking", "threshold", "step", "kubernetes-hpa", "knative",
            "queue-depth",
        ][..]),
        lies in proptest::collection::vec(
            (0.0..=1.0_f64, proptest::num::u32::ANY, -1_000_000_i32..1_000_000, 0_u8..4),
            1..120,
        ),
    ) {
        let mut story = Story::new();
        story.orders.policy = policy.to_owned();
        story.orders.parameters.clear();
        let (mut before, mut turns, mut way) = (1, 0, Direction::Hold);
        for (tick, (cpu, many, jump, state)) in (1_u32..).zip(lies) {
            let wall = story.wall + jiff::SignedDuration::from_secs(jump.into());
            let state =
                [VmState::Booting, VmState::Running, VmState::Running, VmState::Draining]
                    [usize::from(state)];
            let said = story.orders.vms.iter().map(|order| {
                let mut vm = report(order.id.as_str(), state, cpu, jump);
                (vm.load.in_flight, vm.load.queued) = (many, many);
                vm.load.cpu_credits = Some(f64::from(jump) * 1e300);
                vm.running_since = Some(wall);
                vm
            });
            let file = VmStateFile { vms: said.collect(), ..VmStateFile::default() };
            let now = story.start + 5 * tick * SECOND;
            story.fleet.observe(&file, now, wall);
            let (verdict, seen) = story.fleet.judge(&story.orders, now, wall);
            crate::autoscaler::orders::apply(&mut story.orders, &file, &verdict, wall);
            story.fleet.past.note(&verdict, seen, wall);
            // The cluster ends what is to be deleted.
            story.orders.vms.retain(|order| order.action != Action::Delete);
            let wanted = story.orders.wanted();
            proptest::prop_assert!((1..=20).contains(&wanted), "{policy}: {wanted}");
            proptest::prop_assert_eq!(wanted, verdict.to);
            if wanted != before {
                turns += u32::from(way != Direction::Hold && way != verdict.direction);
                way = verdict.direction;
            }
            before = wanted;
        }
        // Ten minutes at most.
        proptest::prop_assert!(turns <= 16, "{policy}: {turns} turns");
    }
}
