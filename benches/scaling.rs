//! Every scaling policy on the same arrivals, in virtual time.
//!
//! `cargo bench --bench scaling` runs the series below; `cargo bench --bench scaling -- FILE.csv`
//! runs a series of one's own: a file with the number of requests of each second, one per line
//! (of several columns the last counts; a line that is no number is passed over).
//! `cargo bench --bench scaling -- --family 240 --from 480` draws so many series at random, of all
//! shapes and sizes, from a number on, and prints what policies make of them, together and by
//! shape; `--policy "staffing hold=120s"` adds one.
//! `--boot SECONDS` and `--work SECONDS` change the boot time and the work of a request.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench prints and may fail, and its figures are small"
)]

#[path = "scaling/family.rs"]
mod family;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use cumulet::domain::elasticity::{Elasticity, Interval};
use cumulet::domain::scaling::{Defaults, Policy, named};
use cumulet::domain::simulation::{self, Terms};
use cumulet::units::Share;

/// What work that overflows costs, in that of a VM's.
const OVERFLOW: f64 = 5.0;
/// Seconds of a step.
const STEP: usize = 5;

const POLICIES: [&str; 9] = [
    "static size=PEAK",
    "threshold cooldown=60s",
    "step cooldown=60s",
    "target-tracking target=0.7",
    "queue-depth per_vm=0.8",
    "kubernetes-hpa",
    "knative",
    "staffing",
    "staffing wait=0.05",
];

/// A series: its name, and the requests of each second.
struct Series {
    name: String,
    counts: Vec<f64>,
}

fn main() {
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench").collect::<Vec<_>>();
    let value = |name: &str, default: f64| {
        let at = arguments.iter().position(|word| word == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (boot, work) = (value("--boot", 60.0), value("--work", 0.5));
    let seed = value("--seed", 1000.0);
    let drawn = value("--family", 0.0) as u64;
    if drawn > 0 {
        let from = value("--from", 480.0) as u64;
        let asked = arguments.windows(2).filter(|pair| pair[0] == "--policy");
        let asked = asked.map(|pair| pair[1].clone()).collect::<Vec<_>>();
        return compare(&(from..from + drawn), &asked);
    }
    let files =
        arguments.iter().filter(|word| Path::new(word).extension().is_some_and(|it| it == "csv"));
    let mut series = files.map(|path| from_csv(path)).collect::<Vec<_>>();
    if series.is_empty() {
        series = synthetic(seed);
    }
    let mut sums = vec![Sum::default(); POLICIES.len() + 1];
    for Series { name, counts } in &series {
        let demand = counts
            .chunks(STEP)
            .map(|step| step.iter().sum::<f64>() / step.len() as f64 * work)
            .collect::<Vec<_>>();
        let peak = demand.iter().copied().fold(0.0, f64::max);
        let mean = demand.iter().sum::<f64>() / demand.len() as f64;
        println!("\n{name}: {} s, mean {mean:.1} VMs, peak {peak:.1}", counts.len());
        println!(
            "{:<28} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>9} {:>6}",
            "policy", "θ_U %", "θ_O %", "τ_U %", "τ_O %", "υ %", "changes", "overflow", "cost"
        );
        let terms = Terms {
            vcpus_per_vm: 1.0,
            boot: Duration::from_secs_f64(boot),
            period: Duration::from_secs(STEP as u64),
            minimum: 1,
            maximum: 100_000,
            start: demand.first().map_or(1, |first| first.ceil() as u32 + 1),
            work_per_request: work,
        };
        for (sum, text) in sums.iter_mut().zip(POLICIES) {
            let text = text.replace("PEAK", &format!("{:.0}", peak.ceil()));
            sum.add(&text, &simulation::run(&policy(&text), &demand, &terms));
        }
        sums.last_mut().unwrap().add("oracle", &simulation::oracle(&demand, &terms));
    }
    println!("\nall together: cost and overflow, of all work");
    for sum in &sums {
        let total = sum.total();
        println!("{:<28} {:>6.3} {:>8.2} %", sum.name, total.0, 100.0 * total.1);
    }
}

/// Runs the policies that need no tuning by hand, and others that were asked for, over some of the
/// family.
fn compare(numbers: &std::ops::Range<u64>, others: &[String]) {
    let usual = ["kubernetes-hpa", "knative", "staffing", "oracle"].map(str::to_owned);
    let policies = &[&usual, others].concat()[..];
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let part = |first| {
        let mut tables = Tables::new(policies.len());
        let own = numbers.clone().skip(first).step_by(threads);
        own.for_each(|number| tables.run(number, policies));
        tables
    };
    let mut tables = Tables::new(policies.len());
    std::thread::scope(|scope| {
        let parts = (0..threads).map(|first| scope.spawn(move || part(first)));
        let parts = parts.collect::<Vec<_>>();
        for part in parts {
            tables.add(&part.join().unwrap());
        }
    });
    let terms = ["boot 60 s, work 0.5 s", "boots, works, VMs at random"];
    for (row, said) in tables.terms.iter().zip(terms) {
        println!("\n{said}: {} series", row[0].series);
        println!("{:<28} {:>6} {:>9} {:>8}", "policy", "cost", "overflow", "changes");
        for (total, name) in row.iter().zip(policies) {
            let (cost, overflow, changes) = total.means();
            println!("{name:<28} {cost:>6.3} {overflow:>7.2} % {changes:>8.1}");
        }
    }
    print!("\n{:<24} ", "cost, overflow");
    for name in policies {
        print!("{name:>18.18}");
    }
    println!();
    for (row, shape) in tables.shapes.iter().zip(family::SHAPES) {
        print!("{shape:<24} ");
        for (cost, overflow, _) in row.iter().map(Total::means) {
            print!("{cost:>9.3} {overflow:>6.2} %");
        }
        println!();
    }
}

/// What each policy made of the family.
struct Tables {
    /// On the named series' terms, and on others.
    terms: [Vec<Total>; 2],
    shapes: [Vec<Total>; family::SHAPES.len()],
}

/// Sums over some series.
#[derive(Default, Clone, Copy)]
struct Total {
    cost: f64,
    overflow: f64,
    changes: f64,
    series: f64,
}

impl Tables {
    fn new(policies: usize) -> Self {
        let row = || vec![Total::default(); policies];
        Self { terms: std::array::from_fn(|_| row()), shapes: std::array::from_fn(|_| row()) }
    }

    fn run(&mut self, number: u64, policies: &[String]) {
        let family::Member { demand, terms, usual } = family::member(number);
        for (column, name) in policies.iter().enumerate() {
            let run = match name.as_str() {
                "oracle" => simulation::oracle(&demand, &terms),
                name => simulation::run(&policy(name), &demand, &terms),
            };
            let m = Elasticity::of(&run, terms.vcpus_per_vm);
            let total = Total {
                cost: m.cost(terms.vcpus_per_vm, OVERFLOW),
                overflow: m.overflow(),
                changes: m.changes_per_hour(),
                series: 1.0,
            };
            self.terms[usize::from(!usual)][column].add(&total);
            self.shapes[number as usize % family::SHAPES.len()][column].add(&total);
        }
    }

    fn add(&mut self, other: &Self) {
        let rows = self.terms.iter_mut().chain(&mut self.shapes);
        for (row, others) in rows.zip(other.terms.iter().chain(&other.shapes)) {
            row.iter_mut().zip(others).for_each(|(total, it)| total.add(it));
        }
    }
}

impl Total {
    fn add(&mut self, other: &Self) {
        self.cost += other.cost;
        self.overflow += other.overflow;
        self.changes += other.changes;
        self.series += other.series;
    }

    /// Cost, overflow in per cent and changes an hour: each series weighs the same.
    fn means(&self) -> (f64, f64, f64) {
        let mean = |sum: f64| sum / self.series.max(1.0);
        (mean(self.cost), 100.0 * mean(self.overflow), mean(self.changes))
    }
}

/// What a policy did over several series.
#[derive(Debug, Clone, Default)]
struct Sum {
    name: String,
    cost: f64,
    overflow: f64,
    series: f64,
}

impl Sum {
    fn add(&mut self, name: &str, intervals: &[Interval]) {
        let m = Elasticity::of(intervals, 1.0);
        let cost = m.cost(1.0, OVERFLOW);
        println!(
            "{name:<28} {:>7.2} {:>7.1} {:>7.2} {:>7.1} {:>7.1} {:>8.1} {:>7.2} % {cost:>6.3}",
            100.0 * m.under_accuracy,
            100.0 * m.over_accuracy,
            100.0 * m.under_time,
            100.0 * m.over_time,
            100.0 * m.instability,
            m.changes_per_hour(),
            100.0 * m.overflow(),
        );
        name.split('=').next().unwrap().clone_into(&mut self.name);
        if !name.starts_with("static") {
            name.clone_into(&mut self.name);
        }
        self.cost += cost;
        self.overflow += m.overflow();
        self.series += 1.0;
    }

    /// Each series weighs the same, whatever its length.
    fn total(&self) -> (f64, f64) {
        (self.cost / self.series, self.overflow / self.series)
    }
}

fn policy(text: &str) -> Policy {
    let defaults = Defaults {
        target_cpu: Share::saturating(0.7),
        warm_up: Duration::from_secs(5),
        scale_out_cooldown: Duration::from_secs(10),
        scale_in_cooldown: Duration::from_mins(1),
        window: Duration::from_secs(15),
    };
    let (name, parameters) = named(text);
    Policy::read(&name, &parameters, &defaults).unwrap().0
}

fn from_csv(path: &str) -> Series {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let last = |line: &str| line.rsplit([',', ';', '\t', ' ']).next()?.trim().parse().ok();
    let counts = text.lines().filter_map(last).filter(|n: &f64| n.is_finite() && *n >= 0.0);
    Series { name: path.to_owned(), counts: counts.collect() }
}

/// Arrivals a second at a time in seconds.
type Rate<'a> = Box<dyn Fn(f64) -> f64 + 'a>;

/// Four hours each: a mean rate by the second, and chance around it.
fn synthetic(seed: f64) -> Vec<Series> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let wave = |t: f64, hours: f64| (t / 3600.0 / hours * std::f64::consts::TAU).sin();
    let crowd = |t: f64, at: f64| if t < at { 0.0 } else { (-(t - at) / 900.0).exp() };
    let mut bursts = Vec::new();
    let mut at = 0.0;
    while at < 4.0 * 3600.0 {
        at += -600.0 * random.f64().ln();
        bursts.push((at, at + 60.0 + 240.0 * random.f64(), 0.5 + 2.0 * random.f64()));
    }
    let burst = |t: f64| -> f64 {
        bursts.iter().filter(|(from, to, _)| (*from..*to).contains(&t)).map(|b| b.2).sum()
    };
    let shapes: [(&str, Rate<'_>); 6] = [
        ("steady", Box::new(|_| 60.0)),
        ("small", Box::new(move |t| 3.0 + 2.0 * wave(t, 1.0))),
        ("diurnal", Box::new(move |t| 60.0 + 50.0 * wave(t, 4.0))),
        ("bursts", Box::new(move |t| 40.0 * (1.0 + burst(t)))),
        ("flash crowd", Box::new(move |t| 30.0 + 200.0 * (crowd(t, 3000.0) + crowd(t, 9500.0)))),
        ("saw-tooth", Box::new(|t| 20.0 + 80.0 * (t % 1800.0) / 1800.0)),
    ];
    let series = shapes.map(|(name, rate)| {
        let counts = (0..4 * 3600).map(|t| poisson(&mut random, rate(f64::from(t)))).collect();
        Series { name: name.to_owned(), counts }
    });
    series.into()
}

/// A Poisson variate: arrivals of a second, one exponential pause after the other.
fn poisson(random: &mut fastrand::Rng, mean: f64) -> f64 {
    let (mut time, mut arrivals) = (0.0, 0.0);
    loop {
        time += -(1.0 - random.f64()).ln() / mean.max(1e-9);
        if time > 1.0 {
            return arrivals;
        }
        arrivals += 1.0;
    }
}
