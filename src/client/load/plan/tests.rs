use super::*;
use proptest::prelude::*;

fn wanted(seed: u64) -> Wanted {
    Wanted {
        mix: "blur=1,enhance=1,raytrace=2".parse().unwrap(),
        distinct: 5,
        picture_sizes: "log-uniform:0.01..1".parse().unwrap(),
        formats: vec![Format::Jpeg, Format::Png],
        render_sizes: "pareto:0.01..1".parse().unwrap(),
        shapes: "2..50".parse().unwrap(),
        picture_files: Vec::new(),
        scene_files: Vec::new(),
        plain: None,
        seed,
    }
}

fn rows(plan: &Plan, count: u64) -> Vec<Row> {
    (0..count).filter_map(|n| plan.row(n, Duration::from_millis(n))).collect()
}

#[test]
fn the_mix_is_kept_and_every_input_is_used() {
    let plan = Plan::drawn(&wanted(3)).unwrap();
    let rows = rows(&plan, 4000);
    let renders = rows.iter().filter(|row| row.workload == Workload::Raytrace).count();
    // Six standard deviations of 4000 tosses of a coin.
    assert!(renders.abs_diff(2000) < 190, "{renders}");
    let used = (0..4000).filter_map(|n| plan.request(n)).collect::<HashSet<_>>();
    assert_eq!(used.len(), 15);
}

#[test]
fn a_mix_with_a_request_needs_one() {
    let wanted = Wanted { mix: "request=1".parse().unwrap(), ..wanted(1) };
    assert!(Plan::drawn(&wanted).unwrap_err().to_string().contains("--request"));
}

#[test]
fn what_a_trace_leaves_open_is_drawn_and_its_times_are_divided_by_the_speed() {
    let mut rows = rows(&Plan::drawn(&wanted(1)).unwrap(), 20);
    for row in &mut rows {
        (row.size, row.shapes) = (Some((64, 48)), None);
    }
    let plan = Plan::recorded(&wanted(2), &rows, 2.0).unwrap();
    assert_eq!(plan.recorded_times().unwrap()[10], Duration::from_millis(5));
    let row = plan.row(0, Duration::ZERO).unwrap();
    assert_eq!((row.workload, row.size), (rows[0].workload, Some((64, 48))));
    assert_eq!(plan.request(20), None, "the trace has ended");
}

#[test]
fn a_trace_of_very_many_pictures_is_sent_with_fewer() {
    let mut rows = rows(&Plan::drawn(&wanted(1)).unwrap(), 800);
    rows.retain(|row| row.workload == Workload::Blur);
    for (row, width) in rows.iter_mut().zip(200..) {
        row.size = Some((width, 100));
    }
    assert!(rows.len() > MOST_PICTURES);
    let plan = Plan::recorded(&wanted(1), &rows, 1.0).unwrap();
    assert!(plan.asks.len() < MOST_PICTURES, "{}", plan.asks.len());
    let width = plan.row(99, Duration::ZERO).unwrap().size.unwrap().0;
    assert!((280..=320).contains(&width), "{width} instead of 299");
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_requests(seed: u64) {
        let of = |seed| rows(&Plan::drawn(&wanted(seed)).unwrap(), 60);
        prop_assert_eq!(of(seed), of(seed));
        prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
    }

    #[test]
    fn a_list_that_is_replayed_is_the_same_list(seed: u64, other: u64) {
        let sent = rows(&Plan::drawn(&wanted(seed)).unwrap(), 40);
        let replayed = Plan::recorded(&wanted(other), &sent, 1.0).unwrap();
        prop_assert_eq!(rows(&replayed, 50), sent);
    }
}
