use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn features(kind: Kind, form: Form, nominal_ms: u64, bytes: u64) -> Features {
    let nominal = Work::from_nanos(nominal_ms * MS);
    Features { kind, form, nominal, tests: Work::NONE, bytes }
}

fn learn(model: &mut CostModel, features: &Features, actual: Duration) {
    let predicted = model.predict(features);
    model.learn(features, predicted, actual, 1.0);
}

/// What a machine would take on which the terms weigh so much, times `noise`.
fn cost(features: &Features, weights: [f64; TERMS], noise: f64) -> Duration {
    let nanos: f64 = features.terms().iter().zip(weights).map(|(term, w)| term * w).sum();
    Duration::from_secs_f64(nanos * noise / 1e9)
}

fn any_kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(vec![Kind::Blur, Kind::Enhance, Kind::Raytrace, Kind::Other])
}

fn any_features() -> impl Strategy<Value = Features> {
    let form = proptest::sample::select(Form::ALL.to_vec());
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    (any_kind(), form, numbers).prop_map(|(kind, form, (nominal, tests, bytes))| {
        let [nominal, tests] = [nominal, nominal.min(tests)].map(Work::from_nanos);
        Features { kind, form, nominal, tests, bytes }
    })
}

/// Requests as they come: from 1 ms to 10 s, a byte for each 10 to 1000 ns.
fn usual() -> impl Strategy<Value = Features> {
    (0.0..4.0_f64, 1.0..3.0_f64).prop_map(|(log_ms, log_ns_a_byte)| {
        let nominal = Work::from_nanos_f64(10_f64.powf(log_ms) * 1e6);
        let bytes = Work::from_nanos_f64(nominal.nanos() as f64 / 10_f64.powf(log_ns_a_byte));
        let (kind, form, bytes) = (Kind::Blur, Form::Jpeg, bytes.nanos());
        Features { kind, form, nominal, tests: Work::NONE, bytes }
    })
}

#[test]
fn the_first_prediction_is_the_nominal_work_and_what_goes_with_it() {
    let blur = features(Kind::Blur, Form::Jpeg, 16, 1_000_000);
    assert_eq!(CostModel::default().predict(&blur).to_string(), "24 ms");
    let ping = CostModel::default().predict(&Features::default());
    assert_eq!(ping.to_string(), "60 us");
}

#[test]
fn a_machine_of_half_the_speed_is_known_after_a_few_answers_and_for_all_kinds() {
    let mut model = CostModel::default();
    let (blur, enhance) =
        (features(Kind::Blur, Form::Jpeg, 16, 0), features(Kind::Enhance, Form::Png, 30, 0));
    for _ in 0..20 {
        learn(&mut model, &blur, cost(&blur, [2.0; TERMS], 1.0));
    }
    let off = |features: &Features| {
        model.predict(features).seconds() / cost(features, [2.0; TERMS], 1.0).as_secs_f64()
    };
    assert!((off(&blur) - 1.0).abs() < 0.05, "{}", off(&blur));
    assert!((off(&enhance) - 1.0).abs() < 0.1, "{}", off(&enhance));
}

#[test]
fn flat_pictures_and_noise_are_told_apart_by_how_densely_their_files_are_filled() {
    let mut model = CostModel::default();
    let [flat, photograph, noise] =
        [60_000, 7_000_000, 9_000_000].map(|bytes| features(Kind::Blur, Form::Png, 50, bytes));
    // Neither in the order of their bytes nor any sum of a part for each.
    let truth = [(flat, 20), (photograph, 80), (noise, 45)];
    for _ in 0..30 {
        for (picture, milliseconds) in &truth {
            learn(&mut model, picture, Duration::from_millis(*milliseconds));
        }
    }
    for (picture, milliseconds) in &truth {
        let ratio = model.predict(picture).seconds() * 1e3 / *milliseconds as f64;
        assert!((ratio - 1.0).abs() < 0.1, "{milliseconds} ms: {ratio}");
    }
}

#[test]
fn a_density_that_costs_next_to_nothing_does_not_spoil_its_form() {
    let mut model = CostModel::default();
    let [usual, odd] = [9_000_000, 2_000].map(|bytes| features(Kind::Blur, Form::Png, 50, bytes));
    for round in 0..100 {
        if round >= 50 {
            learn(&mut model, &odd, Duration::from_micros(100));
        }
        for _ in 0..3 {
            learn(&mut model, &usual, Duration::from_millis(70));
        }
    }
    let ratio = model.predict(&usual).seconds() * 1e3 / 70.0;
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn the_error_is_the_mean_of_the_last_answers() {
    let mut model = CostModel::default();
    let blur = features(Kind::Blur, Form::Jpeg, 100, 0);
    let actual = Duration::from_millis(100);
    for _ in 0..10 {
        model.learn(&blur, Work::from_nanos(125 * MS), actual, 1.0);
    }
    let (kind, accuracy) = model.accuracy().next().unwrap();
    assert_eq!((kind, accuracy.answers), (Kind::Blur, 10));
    assert!((accuracy.error - 0.25).abs() < 1e-9, "{accuracy:?}");
}

#[test]
fn costs_that_make_no_sense_teach_nothing() {
    let mut model = CostModel::default();
    let blur = features(Kind::Blur, Form::Jpeg, 100, 0);
    for (actual, pace) in [
        (Duration::ZERO, 1.0),
        (Duration::MAX, 1.0),
        (Duration::from_secs(1), f64::NAN),
        (Duration::from_secs(1), -1.0),
        (Duration::from_secs(1), f64::INFINITY),
    ] {
        model.learn(&blur, Work::NONE, actual, pace);
    }
    model.learn(&Features::default(), Work::NONE, Duration::from_secs(1), 1.0);
    assert_eq!(model, CostModel::default());
}

proptest! {
    #[test]
    fn more_to_do_of_the_same_kind_never_costs_less(
        seen in proptest::collection::vec((any_features(), any::<u64>()), 0..30),
        features in any_features(),
        more in any::<u64>(),
    ) {
        let mut model = CostModel::default();
        for (seen, nanos) in &seen {
            learn(&mut model, seen, Duration::from_nanos(*nanos));
        }
        let cost = model.predict(&features);
        let nominal = features.nominal + Work::from_nanos(more);
        let tests = features.tests + (nominal - features.nominal);
        let bytes = features.bytes.saturating_add(more);
        let larger = [
            Features { nominal, ..features },
            Features { nominal, tests, ..features },
            Features { bytes, ..features },
        ];
        for larger in larger.into_iter().filter(|f| f.density_band() == features.density_band()) {
            prop_assert!(model.predict(&larger) >= cost, "{larger:?} below {features:?}");
        }
    }

    #[test]
    fn what_was_restored_predicts_the_same(
        seen in proptest::collection::vec((any_features(), 1_u64..u64::MAX), 0..30),
        features in any_features(),
    ) {
        let mut model = CostModel::default();
        for (seen, nanos) in &seen {
            learn(&mut model, seen, Duration::from_nanos(*nanos));
        }
        let classes: Vec<_> = model.classes().map(|(key, sums)| (key, *sums)).collect();
        let restored = CostModel::restored(classes, model.densities(), model.accuracy());
        prop_assert_eq!(restored.predict(&features), model.predict(&features));
        prop_assert_eq!(restored, model);
    }

    #[test]
    fn one_wild_answer_in_ten_does_little_harm(
        requests in proptest::collection::vec((usual(), 0.9..1.1_f64, -2.0..2.0_f64), 150..200),
        weights in [0.5..2.0_f64, 0.5..2.0_f64, 0.5..2.0_f64, 0.5..2.0_f64],
    ) {
        let mut model = CostModel::default();
        for (index, (request, noise, wild)) in requests.iter().enumerate() {
            let factor = if index % 10 == 9 { 10_f64.powf(*wild) } else { *noise };
            learn(&mut model, request, cost(request, weights, factor));
        }
        let errors = requests.iter().map(|(request, ..)| {
            let truth = cost(request, weights, 1.0).as_secs_f64();
            (model.predict(request).seconds() / truth - 1.0).abs()
        });
        let mean = errors.sum::<f64>() / requests.len() as f64;
        // Taken at their word, the wild ones would make it ten times that.
        prop_assert!(mean < 0.3, "{mean}");
    }
}
