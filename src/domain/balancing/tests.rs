use super::*;
use proptest::prelude::*;

fn ids(count: usize) -> Vec<VmId> {
    (1..=count as u64).map(VmId::numbered).collect()
}

fn idle(id: &VmId) -> Candidate<'_> {
    Candidate {
        id,
        standing: Standing::Sound,
        tried: Tried::Never,
        in_flight: 0,
        cap: None,
        foreign: 0.0,
        outstanding: Work::NONE,
        speed: 1.0,
        weight: 1.0,
        reported: 0,
        last_chosen: 0,
    }
}

const SECOND: Work = Work::from_nanos(1_000_000_000);
const DEMAND: Demand = Demand { kind: Kind::Raytrace, work: SECOND };

fn verdict(policy: Policy, candidates: &[Candidate<'_>]) -> Verdict {
    choose(policy, candidates, DEMAND, [7, 3])
}

fn drawn_choice(policy: Policy, candidates: &[Candidate<'_>], draws: [u32; 2]) -> usize {
    match choose(policy, candidates, DEMAND, draws) {
        Verdict::Chosen(choice) => choice.index,
        other => panic!("{policy}: {other:?}"),
    }
}

fn chosen(policy: Policy, candidates: &[Candidate<'_>]) -> usize {
    drawn_choice(policy, candidates, [7, 3])
}

#[test]
fn nobody_is_chosen_from_nobody() {
    assert_eq!(verdict(Policy::LeastWork, &[]), Verdict::Nobody);
}

#[test]
fn least_work_counts_work_and_not_requests() {
    let ids = ids(2);
    let one_long = Candidate { in_flight: 1, outstanding: SECOND + SECOND, ..idle(&ids[0]) };
    let two_short = Candidate { in_flight: 2, outstanding: SECOND, ..idle(&ids[1]) };
    let candidates = [one_long, two_short];
    assert_eq!(chosen(Policy::LeastWork, &candidates), 1);
    assert_eq!(chosen(Policy::LeastInFlight, &candidates), 0);
}

#[test]
fn a_fast_vm_takes_more() {
    let ids = ids(2);
    let slow_idle = Candidate { speed: 0.5, ..idle(&ids[0]) };
    let fast_busy = Candidate { speed: 4.0, in_flight: 2, outstanding: SECOND, ..idle(&ids[1]) };
    let candidates = [slow_idle, fast_busy];
    assert_eq!(chosen(Policy::LeastWork, &candidates), 1);
    assert_eq!(chosen(Policy::LeastInFlight, &candidates), 1);
}

#[test]
fn what_others_have_put_there_counts() {
    let ids = ids(2);
    let shared = Candidate { foreign: 3.0, ..idle(&ids[0]) };
    let own = Candidate { in_flight: 2, outstanding: SECOND + SECOND, ..idle(&ids[1]) };
    for policy in [Policy::LeastInFlight, Policy::LeastWork] {
        assert_eq!(chosen(policy, &[shared.clone(), own.clone()]), 1, "{policy}");
    }
}

#[test]
fn one_that_warms_up_gets_little() {
    let ids = ids(2);
    let fresh = Candidate { weight: 0.1, ..idle(&ids[0]) };
    let busy = Candidate { in_flight: 4, outstanding: SECOND, ..idle(&ids[1]) };
    assert_eq!(chosen(Policy::LeastInFlight, &[fresh.clone(), busy.clone()]), 1);
    assert_eq!(chosen(Policy::LeastInFlight, &[Candidate { weight: 0.5, ..fresh }, busy]), 0);
}

#[test]
fn ties_go_to_the_one_chosen_least_recently() {
    use Policy::{JoinIdleQueue, LeastInFlight, LeastWork, PowerOfTwo, RoundRobin};
    let ids = ids(3);
    let last = [7, 3, 5];
    let candidates: Vec<_> = ids
        .iter()
        .zip(last)
        .map(|(id, last_chosen)| Candidate { last_chosen, ..idle(id) })
        .collect();
    for policy in [LeastInFlight, LeastWork, RoundRobin, JoinIdleQueue] {
        assert_eq!(chosen(policy, &candidates), 1, "{policy}");
    }
    // The first and the third are drawn.
    assert_eq!(drawn_choice(PowerOfTwo, &candidates, [0, 1]), 2);
}

#[test]
fn a_request_does_not_go_twice_in_a_row_to_one_vm() {
    let ids = ids(3);
    let candidates = [
        Candidate { tried: Tried::Last, ..idle(&ids[0]) },
        Candidate { tried: Tried::Before, in_flight: 9, ..idle(&ids[1]) },
        Candidate { standing: Standing::Suspect, outstanding: SECOND, ..idle(&ids[2]) },
    ];
    for policy in Policy::ALL {
        assert_eq!(chosen(policy, &candidates), 2, "{policy}");
        assert_eq!(chosen(policy, &candidates[..2]), 1, "{policy}");
        assert_eq!(chosen(policy, &candidates[..1]), 0, "{policy}");
    }
}

#[test]
fn a_full_vm_is_waited_for_rather_than_a_doubtful_one_used() {
    let ids = ids(2);
    let full = Candidate { in_flight: 2, cap: Some(2), ..idle(&ids[0]) };
    let doubtful = Candidate { standing: Standing::Suspect, ..idle(&ids[1]) };
    for policy in Policy::ALL {
        assert_eq!(verdict(policy, std::slice::from_ref(&full)), Verdict::Full);
        assert_eq!(verdict(policy, &[full.clone(), doubtful.clone()]), Verdict::Full);
    }
    let page = Demand { kind: Kind::Other, ..DEMAND };
    let verdict = choose(Policy::LeastInFlight, &[full], page, [0, 0]);
    assert!(matches!(verdict, Verdict::Chosen(_)), "a page needs no place");
}

#[test]
fn ejected_ones_serve_when_most_others_are_out_and_the_dead_never() {
    let ids = ids(3);
    let standing = |id, standing| Candidate { standing, ..idle(id) };
    let candidates = [
        Candidate { in_flight: 5, ..idle(&ids[0]) },
        standing(&ids[1], Standing::Ejected),
        standing(&ids[2], Standing::Dead),
    ];
    assert_eq!(chosen(Policy::LeastInFlight, &candidates), 1);
    assert_eq!(chosen(Policy::LeastInFlight, &candidates[..2]), 0, "half is not most");
    assert_eq!(verdict(Policy::LeastInFlight, &candidates[2..]), Verdict::Nobody);
}

#[test]
fn by_file_sends_all_to_the_same_one_until_the_next_report() {
    let ids = ids(2);
    let candidates = [
        Candidate { reported: 1, ..idle(&ids[0]) },
        Candidate { in_flight: 50, last_chosen: 50, ..idle(&ids[1]) },
    ];
    assert_eq!(chosen(Policy::ByFile, &candidates), 1);
}

#[test]
fn fill_first_packs_in_the_order_of_the_file() {
    let ids = ids(3);
    let mut candidates: Vec<_> =
        ids.iter().map(|id| Candidate { cap: Some(2), ..idle(id) }).collect();
    let mut packed = Vec::new();
    for _ in 0..6 {
        let index = chosen(Policy::FillFirst, &candidates);
        candidates[index].in_flight += 1;
        packed.push(index);
    }
    assert_eq!(packed, [0, 0, 1, 1, 2, 2]);
    assert_eq!(verdict(Policy::FillFirst, &candidates), Verdict::Full);
    for candidate in &mut candidates {
        candidate.cap = None;
    }
    candidates[1].in_flight = 1;
    assert_eq!(chosen(Policy::FillFirst, &candidates), 1, "without a cap, two for each vCPU");
}

#[test]
fn join_idle_queue_prefers_an_idle_one_and_else_draws() {
    let ids = ids(3);
    let mut candidates: Vec<_> =
        ids.iter().map(|id| Candidate { in_flight: 1, ..idle(id) }).collect();
    for draw in 0..6 {
        let index = drawn_choice(Policy::JoinIdleQueue, &candidates, [draw, 0]);
        assert_eq!(index, draw as usize % 3);
    }
    candidates[2].in_flight = 0;
    for draw in 0..6 {
        assert_eq!(drawn_choice(Policy::JoinIdleQueue, &candidates, [draw, 0]), 2);
    }
}

#[test]
fn weighted_gives_each_its_share() {
    let ids = ids(2);
    let candidates = [Candidate { speed: 3.0, ..idle(&ids[0]) }, idle(&ids[1])];
    let draws = 1_000;
    let first = (0..draws)
        .filter(|draw| drawn_choice(Policy::Weighted, &candidates, [draw * 4_294_967, 0]) == 0)
        .count();
    assert!((740..=760).contains(&first), "{first} of {draws}");
}

#[test]
fn the_reason_names_the_alternatives() {
    let ids = ids(3);
    let candidates = [
        Candidate { outstanding: Work::from_nanos(3_400_000_000), ..idle(&ids[0]) },
        Candidate { in_flight: 1, outstanding: Work::from_nanos(800_000_000), ..idle(&ids[1]) },
        Candidate { in_flight: 2, cap: Some(2), foreign: 2.0, weight: 0.2, ..idle(&ids[2]) },
    ];
    let Verdict::Chosen(choice) = verdict(Policy::LeastWork, &candidates) else { panic!() };
    assert_eq!(
        choice.reason.to_string(),
        "least-work: vm-2: 1 in flight, 0.8 s of work; vm-1: 0 in flight, 3.4 s of work; \
         vm-3: 2 in flight, 0 s of work, 2 from elsewhere, full, warming up"
    );
}

#[test]
fn a_policy_reads_back_from_its_word() {
    for policy in Policy::ALL {
        assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    }
    let refusal = "random".parse::<Policy>().unwrap_err().to_string();
    assert!(refusal.starts_with("`random` is not least-in-flight, least-work, "), "{refusal}");
}

#[test]
fn a_vm_warms_up_in_ten_steps() {
    let ramp = Duration::from_secs(10);
    let tenths = |age, ramp| format!("{:.1}", slow_start(Duration::from_secs(age), ramp));
    let at = |age| tenths(age, ramp);
    assert_eq!([0, 1, 5, 9, 10, 99].map(at), ["0.1", "0.1", "0.5", "0.9", "1.0", "1.0"]);
    assert_eq!(tenths(0, Duration::ZERO), "1.0");
}

#[derive(Debug, Clone)]
struct Drawn {
    standing: Standing,
    tried: Tried,
    in_flight: u32,
    cap: Option<u32>,
    outstanding: u64,
    foreign: f64,
    speed: f64,
    last_chosen: u64,
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let standing = proptest::sample::select(vec![
        Standing::Sound,
        Standing::Suspect,
        Standing::Ejected,
        Standing::Dead,
        Standing::Barred,
    ]);
    let tried = prop_oneof![Just(Tried::Never), Just(Tried::Before), Just(Tried::Last)];
    let load = (0..9_u32, proptest::option::of(0..9_u32), 0..9_u64, 0.0..4.0_f64);
    let one = (standing, tried, load, 0.0..4.0_f64, 0..20_u64).prop_map(
        |(standing, tried, (in_flight, cap, outstanding, foreign), speed, last_chosen)| Drawn {
            standing,
            tried,
            in_flight,
            cap,
            outstanding: outstanding * 100_000_000,
            foreign,
            speed,
            last_chosen,
        },
    );
    proptest::collection::vec(one, 0..12)
}

fn candidates<'a>(ids: &'a [VmId], drawn: &[Drawn]) -> Vec<Candidate<'a>> {
    ids.iter()
        .zip(drawn)
        .map(|(id, d)| Candidate {
            standing: d.standing,
            tried: d.tried,
            in_flight: d.in_flight,
            cap: d.cap,
            foreign: d.foreign,
            outstanding: Work::from_nanos(d.outstanding),
            speed: d.speed,
            last_chosen: d.last_chosen,
            ..idle(id)
        })
        .collect()
}

fn policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(Policy::ALL.to_vec())
}

proptest! {
    #[test]
    fn every_policy_keeps_the_rules_that_come_before_it(
        drawn in drawn(),
        policy in policy(),
        draws: [u32; 2],
    ) {
        let ids = ids(drawn.len());
        let candidates = candidates(&ids, &drawn);
        let panic = is_panic(&candidates);
        let may = |c: &Candidate<'_>| match c.standing {
            Standing::Dead | Standing::Barred => false,
            Standing::Ejected => panic && c.tried != Tried::Last,
            Standing::Sound | Standing::Suspect => true,
        };
        let eligible: Vec<_> = candidates.iter().filter(|c| may(c)).collect();
        match choose(policy, &candidates, DEMAND, draws) {
            Verdict::Nobody => prop_assert!(eligible.is_empty()),
            Verdict::Full => {
                let first = eligible.iter().map(|c| c.tried).min();
                let full = |c: &Candidate<'_>| c.cap.is_some_and(|cap| c.in_flight >= cap);
                prop_assert!(eligible.iter().any(|c| Some(c.tried) == first && full(c)));
            }
            Verdict::Chosen(choice) => {
                let best = &candidates[choice.index];
                prop_assert!(may(best));
                prop_assert!(best.cap.is_none_or(|cap| best.in_flight < cap));
                for other in &eligible {
                    prop_assert!(best.tried <= other.tried);
                    let as_good = panic || best.standing <= other.standing;
                    prop_assert!(as_good || best.tried < other.tried);
                }
                let rivals = choice.reason.alternatives.len() + choice.reason.others;
                prop_assert_eq!(rivals + 1, eligible.len());
                prop_assert_eq!(&choice.reason.chosen.id, best.id);
            }
        }
    }

    #[test]
    fn nobody_of_the_same_class_would_be_better(drawn in drawn()) {
        let ids = ids(drawn.len());
        let candidates = candidates(&ids, &drawn);
        for policy in [Policy::LeastWork, Policy::LeastInFlight] {
            let Verdict::Chosen(choice) = verdict(policy, &candidates) else { continue };
            let panic = is_panic(&candidates);
            let field = Field { policy, candidates: &candidates, demand: DEMAND, panic };
            let best = &candidates[choice.index];
            let alike = |c: &&Candidate<'_>| field.class(c) == field.class(best) && field.has_room(c);
            for other in candidates.iter().filter(alike) {
                if policy == Policy::LeastWork {
                    prop_assert!(field.done_after(best) <= field.done_after(other));
                } else {
                    prop_assert!(crowding(best) <= crowding(other));
                }
            }
        }
    }
}
