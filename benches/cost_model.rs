//! How well the cost of requests is foretold that the model has never seen.
//!
//! `cargo bench --bench cost_model` learns from one mix of requests, then judges by another, drawn
//! by another seed: the share of the variance explained (R²) and the mean absolute error, of the
//! CPU time and of the counted work. The CPU time of a request is the median of three runs, minutes
//! apart; by how much they differ is printed as well, for no model foretells that. With a number
//! behind `--` the seeds of the mixes begin there, otherwise at 1.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people who measure"
)]

#[path = "cost_model/mix.rs"]
mod mix;

use std::time::Duration;

use cumulet::domain::cost::{CostModel, Kind};
use mix::{Outcome, Request};
use rustix::time::{ClockId, clock_gettime};

/// Requests of each sort to learn from, and as many to be judged by.
const COUNT: usize = 120;
/// How often each is run; the median counts.
const RUNS: usize = 3;

fn cpu_clock() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn learn(model: &mut CostModel, outcome: &Outcome, cost: Duration) {
    let predicted = model.predict(&outcome.features);
    model.learn(&outcome.features, predicted, cost, 1.0);
}

fn main() {
    let mix = |seed| {
        let mut requests = mix::pictures(seed, 2 * COUNT, 5.6);
        requests.extend(mix::renders(seed + 1, COUNT, 10.0));
        fastrand::Rng::with_seed(seed).shuffle(&mut requests);
        requests
    };
    let seed = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let (learned_from, judged_by) = (mix(seed), mix(seed + 2));
    let (mut by_cpu, mut by_work) = (CostModel::default(), CostModel::default());
    println!("{:<22} {:>8} {:>16} {:>16}", "", "requests", "CPU time", "counted work");
    println!("{:<22} {:>8} {:>7} {:>8} {:>7} {:>8}", "", "", "R2", "error", "R2", "error");
    let run = || [&learned_from, &judged_by].map(|mix| run(mix));
    let runs: [_; RUNS] = std::array::from_fn(|_| run());
    let [learned_from, judged_by] =
        [0, 1].map(|mix| runs.each_ref().map(|run| run[mix].as_slice()));
    let [lessons, outcomes] = [medians(learned_from), medians(judged_by)];
    report("before", &outcomes, &by_cpu, &by_work);
    for lesson in &lessons {
        learn(&mut by_cpu, lesson, lesson.cpu);
        learn(&mut by_work, lesson, Duration::from_nanos(lesson.work));
    }
    report("learned", &outcomes, &by_cpu, &by_work);
    report_sampling(&outcomes);
    report_noise(judged_by, &outcomes);
}

fn run(requests: &[Request]) -> Vec<Outcome> {
    // The first run of anything pays for fresh memory.
    for request in requests.iter().take(5) {
        let _ = request.run(cpu_clock);
    }
    requests.iter().map(|request| request.run(cpu_clock)).collect()
}

/// Of each request the run with the median CPU time.
fn medians(runs: [&[Outcome]; RUNS]) -> Vec<Outcome> {
    let count = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let median = |at: usize| {
        let mut same = runs.map(|run| run[at]);
        same.sort_by_key(|outcome| outcome.cpu);
        same[RUNS / 2]
    };
    (0..count).map(median).collect()
}

/// By how much the CPU time of a request differs when it is run again.
fn report_noise(runs: [&[Outcome]; RUNS], medians: &[Outcome]) {
    let all = runs.iter().flat_map(|run| run.iter().zip(medians));
    let off =
        all.map(|(once, usual)| (once.cpu.as_secs_f64() / usual.cpu.as_secs_f64() - 1.0).abs());
    let off: Vec<f64> = off.collect();
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    println!("noise: a run differs from the median of {RUNS} by {:.1} % in the mean", mean * 100.0);
}

fn report(when: &str, outcomes: &[Outcome], by_cpu: &CostModel, by_work: &CostModel) {
    let of = |kind: Kind| outcomes.iter().filter(move |outcome| outcome.features.kind == kind);
    for kind in Kind::WORKLOADS {
        line(&format!("{when} {}", kind.as_str()), of(kind), by_cpu, by_work);
    }
    let renders = of(Kind::Raytrace).filter(|outcome| outcome.sampling.is_some());
    line(&format!("{when} sampled"), renders, by_cpu, by_work);
}

fn line<'a>(
    name: &str,
    outcomes: impl Iterator<Item = &'a Outcome>,
    by_cpu: &CostModel,
    by_work: &CostModel,
) {
    let (of_cpu, of_work): (Vec<_>, Vec<_>) = outcomes
        .map(|outcome| {
            let [cpu, work] =
                [by_cpu, by_work].map(|model| model.predict(&outcome.features).nanos() as f64);
            ((cpu, outcome.cpu.as_nanos() as f64), (work, outcome.work as f64))
        })
        .unzip();
    let ((cpu_r2, cpu_error), (work_r2, work_error)) = (mix::fit(&of_cpu), mix::fit(&of_work));
    println!(
        "{name:<22} {:>8} {cpu_r2:>7.3} {:>7.1}% {work_r2:>7.3} {:>7.1}%",
        of_cpu.len(),
        cpu_error * 100.0,
        work_error * 100.0
    );
}

fn report_sampling(outcomes: &[Outcome]) {
    let sampled = || outcomes.iter().filter_map(|outcome| Some((outcome, outcome.sampling?)));
    let mut shares: Vec<f64> = sampled()
        .map(|(outcome, sampling)| sampling.as_secs_f64() / outcome.cpu.as_secs_f64())
        .collect();
    shares.sort_by(f64::total_cmp);
    let (spent, all): (Vec<f64>, Vec<f64>) = sampled()
        .map(|(outcome, sampling)| (sampling.as_secs_f64(), outcome.cpu.as_secs_f64()))
        .unzip();
    println!(
        "sampling: {} of {} renders, {:.2} % of their CPU time together; of each: median {:.2} %, \
         at most {:.2} %",
        shares.len(),
        outcomes.iter().filter(|outcome| outcome.features.kind == Kind::Raytrace).count(),
        spent.iter().sum::<f64>() / all.iter().sum::<f64>() * 100.0,
        shares.get(shares.len() / 2).unwrap_or(&0.0) * 100.0,
        shares.last().unwrap_or(&0.0) * 100.0,
    );
}
