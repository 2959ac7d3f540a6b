//! A family of arrivals drawn at random: twelve shapes, fleets of 1 to 200 VMs, and every second
//! one with VMs, boots and works of its own. What one half of the numbers was tuned on, the other
//! half checks.

use std::f64::consts::TAU;
use std::time::Duration;

use cumulet::domain::simulation::Terms;

use super::{STEP, poisson};

/// The shapes, in the order of the numbers.
pub(super) const SHAPES: [&str; 12] = [
    "steady",
    "day in some hours",
    "bursts",
    "flash crowds",
    "saw-tooth, rising",
    "saw-tooth, falling",
    "ramp",
    "on and off",
    "levels of all heights",
    "random walk",
    "quick waves",
    "day, bursts and drift",
];

/// A member of the family.
pub(super) struct Member {
    /// The work that arrives in each step, in vCPUs.
    pub(super) demand: Vec<f64>,
    /// The cluster that it arrives at.
    pub(super) terms: Terms,
    /// Whether that cluster is the one of the named series.
    pub(super) usual: bool,
}

/// Draws the member of this number: the same for the same number.
pub(super) fn member(number: u64) -> Member {
    let random = &mut fastrand::Rng::with_seed(number);
    let usual = (number / 12).is_multiple_of(2);
    let seconds = 3600 * (2 + random.usize(0..3));
    let level = logarithmic(random, 1.0, 200.0);
    let (boot, work, vcpus, heavy) = if usual {
        (60.0, 0.5, 1.0, false)
    } else {
        let vcpus = [1.0, 2.0, 4.0, 8.0][random.usize(0..4)];
        (logarithmic(random, 2.0, 120.0), logarithmic(random, 0.05, 4.0), vcpus, random.bool())
    };
    let level = if usual { level.max(2.0) } else { level * f64::max(1.0, vcpus / 2.0) };
    let shape = shape(number % SHAPES.len() as u64, random, seconds);
    let mean = shape.iter().sum::<f64>() / seconds as f64;
    let second = |rate: &f64| {
        let count = arrivals(random, rate / mean * level / work);
        if heavy { lognormal_sum(random, count) * work } else { count * work }
    };
    let arriving = shape.iter().map(second).collect::<Vec<_>>();
    let demand = arriving.chunks(STEP).map(|step| step.iter().sum::<f64>() / step.len() as f64);
    let demand = demand.collect::<Vec<_>>();
    let terms = Terms {
        vcpus_per_vm: vcpus,
        boot: Duration::from_secs_f64(boot),
        period: Duration::from_secs(STEP as u64),
        minimum: 1,
        maximum: 100_000,
        start: demand.first().map_or(1, |first| (first / vcpus).ceil() as u32 + 1),
        work_per_request: work,
    };
    Member { demand, terms, usual }
}

/// The rate of each second, in any unit.
fn shape(kind: u64, random: &mut fastrand::Rng, seconds: usize) -> Vec<f64> {
    let mut between = |low: f64, high: f64| between(random, low, high);
    let by_time = |rate: &dyn Fn(f64) -> f64| (0..seconds).map(|t| rate(t as f64)).collect();
    match kind {
        // Steady.
        0 => vec![1.0; seconds],
        // A day in some hours.
        1 => {
            let (hours, height, phase) = (between(1.0, 4.0), between(0.3, 0.9), between(0.0, TAU));
            by_time(&|t| 1.0 + height * (TAU * t / 3600.0 / hours + phase).sin())
        }
        2 => bursts(random, seconds),
        3 => flash_crowds(random, seconds),
        // Saw teeth, up and down.
        4 | 5 => {
            let (period, low) = (between(600.0, 3600.0), between(0.1, 0.5));
            let part = |t: f64| t % period / period;
            by_time(&|t| low + (1.6 - low) * if kind == 4 { part(t) } else { 1.0 - part(t) })
        }
        // A ramp over all of it, up or down.
        6 => {
            let (low, up) = (between(0.1, 0.6), between(0.0, 1.0) < 0.5);
            let part = |t: f64| t / seconds as f64;
            by_time(&|t| low + (2.0 - 2.0 * low) * if up { part(t) } else { 1.0 - part(t) })
        }
        // On and off, and levels of all heights.
        7 | 8 => {
            let (on, off) = (between(120.0, 1500.0), between(120.0, 1500.0));
            let (low, mut is_on, mut rates) = (between(0.0, 0.4), true, Vec::new());
            while rates.len() < seconds {
                let usual = if is_on { on } else { off };
                let rate = match (kind, is_on) {
                    (8, _) => between(0.2, 2.0),
                    (_, true) => 1.5,
                    (_, false) => low,
                };
                let length = (usual * between(0.5, 1.5)) as usize;
                rates.extend(std::iter::repeat_n(rate, length));
                is_on = !is_on;
            }
            rates.truncate(seconds);
            rates
        }
        // A random walk.
        9 => {
            let (step, mut at) = (between(0.002, 0.012), 0.0_f64);
            let walk = |_| {
                at = at * 0.9995 + step * normal(random);
                at.exp()
            };
            (0..seconds).map(walk).collect()
        }
        // Quick waves.
        10 => {
            let (period, height) = (between(180.0, 1200.0), between(0.2, 0.8));
            by_time(&|t| 1.0 + height * (TAU * t / period).sin())
        }
        // A day with bursts and drift.
        _ => {
            let parts = [1, 2, 9].map(|kind| shape(kind, random, seconds));
            (0..seconds).map(|t| parts.iter().map(|part| part[t]).product()).collect()
        }
    }
}

fn bursts(random: &mut fastrand::Rng, seconds: usize) -> Vec<f64> {
    let mut rates = vec![1.0; seconds];
    let (gap, mut at) = (between(random, 300.0, 1200.0), 0.0);
    while at < seconds as f64 {
        at -= gap * (1.0 - random.f64()).ln();
        let (length, height) = (between(random, 30.0, 400.0), between(random, 0.3, 2.5));
        rates.iter_mut().skip(at as usize).take(length as usize).for_each(|rate| *rate += height);
    }
    rates
}

fn flash_crowds(random: &mut fastrand::Rng, seconds: usize) -> Vec<f64> {
    let mut rates = vec![0.5; seconds];
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..seconds);
        let height = between(random, 1.0, 5.0);
        let (falls, rises) = (between(random, 200.0, 1500.0), between(random, 1.0, 120.0));
        for (t, rate) in rates.iter_mut().skip(at).enumerate() {
            let t = t as f64;
            *rate += height * (1.0 - (-t / rises).exp()) * (-t / falls).exp();
        }
    }
    rates
}

fn between(random: &mut fastrand::Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * random.f64()
}

fn logarithmic(random: &mut fastrand::Rng, low: f64, high: f64) -> f64 {
    low * (high / low).powf(random.f64())
}

/// A standard normal variate, by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos()
}

/// More than so many are drawn as the normal variate that their sum is nearly.
const MANY: f64 = 100.0;

/// A Poisson variate.
fn arrivals(random: &mut fastrand::Rng, mean: f64) -> f64 {
    if mean < MANY {
        return poisson(random, mean);
    }
    (mean + mean.sqrt() * normal(random)).round().max(0.0)
}

/// The sum of so many works of mean 1 with a heavy tail.
fn lognormal_sum(random: &mut fastrand::Rng, count: f64) -> f64 {
    if count > MANY {
        // The variance of one is e^1.44 − 1.
        return (count + (count * 3.22).sqrt() * normal(random)).max(0.0);
    }
    (0..count as u32).map(|_| (1.2 * normal(random) - 0.72).exp()).sum()
}
