//! The cost of requests that were never seen, foretold: against the work that VMs count, which is
//! the same on every machine. `cargo bench --bench cost_model` judges by CPU time.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and draws its requests by rough sums"
)]

#[path = "../benches/cost_model/mix.rs"]
#[expect(dead_code, reason = "CPU time is for the bench")]
mod mix;

use std::time::Duration;

use cumulet::domain::cost::CostModel;
use mix::{Outcome, Request};

/// Learns from one mix what work is counted, and gives the outcomes of another.
fn learn_and_judge(learned_from: &[Request], judged_by: &[Request]) -> (CostModel, Vec<Outcome>) {
    let mut model = CostModel::default();
    let run = |request: &Request| request.run(|| Duration::ZERO);
    for request in learned_from {
        let Outcome { features, work, .. } = run(request);
        let predicted = model.predict(&features);
        model.learn(&features, predicted, Duration::from_nanos(work), 1.0);
    }
    let outcomes = judged_by.iter().map(run).collect();
    (model, outcomes)
}

fn fit(model: &CostModel, outcomes: &[Outcome]) -> (f64, f64) {
    let pair =
        |outcome: &Outcome| (model.predict(&outcome.features).nanos() as f64, outcome.work as f64);
    mix::fit(&outcomes.iter().map(pair).collect::<Vec<_>>())
}

#[test]
fn the_work_of_pictures_is_foretold_within_twelve_per_cent() {
    let (model, outcomes) = learn_and_judge(&mix::pictures(1, 60, 0.6), &mix::pictures(3, 60, 0.6));
    let (explained, error) = fit(&model, &outcomes);
    assert!(error <= 0.12 && explained >= 0.97, "R2 {explained:.3}, error {error:.3}");
}

#[test]
fn the_work_of_renders_is_foretold_within_fifteen_per_cent() {
    let (model, outcomes) = learn_and_judge(&mix::renders(2, 60, 4.0), &mix::renders(4, 60, 4.0));
    let (explained, error) = fit(&model, &outcomes);
    assert!(error <= 0.15 && explained >= 0.97, "R2 {explained:.3}, error {error:.3}");
    let sampled = outcomes.iter().filter(|outcome| outcome.sampling.is_some()).count();
    assert!(sampled >= 30, "only {sampled} of 60 were sampled");
}
