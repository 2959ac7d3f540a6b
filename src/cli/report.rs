//! `cumulet scale-report`: how well the fleet followed the load, and what it cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::cost::{HOURS_A_MONTH, LONGEST_GAP, Used, history};
use super::operate::known_type;
use super::{Usage, print};
use crate::config::Config;
use crate::domain::credits::PRICE_PER_SURPLUS_CREDIT;
use crate::domain::elasticity::{Elasticity, Interval};
use crate::domain::instance_type::InstanceType;
use crate::domain::scaling::{Policy, named};
use crate::domain::simulation::{self, Terms};
use crate::state::samples::Sample;

/// What is to be reported on.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Histories: files such as samples.txt, or state folders; without any, this cluster's.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Beside each, what the same load would have made of another policy, `NAME key=value …`.
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// … and of VMs of another type.
    #[arg(long = "type", value_name = "TYPE")]
    instance_type: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What work that overflows is taken to cost, in that of a VM's: about what a second of a function
/// costs against one of a small VM.
const OVERFLOW_PRICE: f64 = 5.0;

/// One history, measured.
struct Column {
    name: String,
    policy: String,
    instance_type: String,
    metrics: Elasticity,
    vcpus: f64,
    /// For VMs and CPU credits.
    dollars: f64,
    /// Requests answered; none for one that was only thought through.
    requests: Option<u64>,
    /// From reports to the decisions made upon them, in milliseconds, in order; none for one that
    /// was only thought through.
    reactions: Vec<f64>,
}

/// What a file of samples tells.
struct Recorded {
    policy: String,
    instance_type: String,
    intervals: Vec<Interval>,
    used: Used,
    reactions: Vec<f64>,
}

pub(super) fn scale_report(config: &Config, wish: &Report) -> anyhow::Result<()> {
    let here = vec![config.settings.state.clone()];
    let files = if wish.files.is_empty() { &here } else { &wish.files };
    let mut columns = Vec::new();
    for path in files {
        let recorded = Recorded::read(path, &config.settings.instance_type)?;
        columns.push(recorded.column(config, path.display().to_string())?);
        if wish.policy.is_some() || wish.instance_type.is_some() {
            columns.push(replay(config, &recorded, wish)?);
        }
    }
    if wish.json {
        let columns = columns.iter().map(Column::json).collect::<Vec<_>>();
        return print(&format!("{:#}\n", serde_json::Value::from(columns)));
    }
    print(&table(&columns))
}

impl Recorded {
    /// Reads a history.
    fn read(path: &Path, default_type: &str) -> anyhow::Result<Self> {
        let recorded = Self::of(&history(path)?, default_type);
        anyhow::ensure!(
            !recorded.intervals.is_empty(),
            "{} tells of fewer than two decisions: there is nothing to measure yet",
            path.display()
        );
        Ok(recorded)
    }

    fn of(samples: &[Sample], default_type: &str) -> Self {
        let mut policy = String::new();
        let mut types = BTreeMap::<&str, u32>::new();
        let mut reactions = Vec::new();
        let mut moments = Vec::<(Timestamp, Interval)>::new();
        for sample in samples {
            match sample {
                Sample::Vm { instance_type, .. } => *types.entry(instance_type).or_default() += 1,
                Sample::Decision { at, fleet, running, desired, offered_load, seen, .. } => {
                    if let Some(name) = &seen.policy {
                        policy.clone_from(name);
                    }
                    reactions.extend(seen.reaction_ms);
                    let interval = Interval {
                        length: Duration::ZERO,
                        demand: offered_load.or(seen.busy).unwrap_or(0.0).max(0.0),
                        ready: *running,
                        paid: *fleet,
                        wanted: *desired,
                    };
                    moments.push((*at, interval));
                }
            }
        }
        reactions.sort_by(f64::total_cmp);
        let most = types.into_iter().max_by_key(|(_, number)| *number);
        Self {
            policy,
            instance_type: most.map_or(default_type, |(name, _)| name).to_owned(),
            intervals: intervals(&moments),
            used: Used::of(samples),
            reactions,
        }
    }

    fn column(&self, config: &Config, name: String) -> anyhow::Result<Column> {
        let kind = kind(config, &self.instance_type)?;
        Ok(Column {
            name,
            policy: self.policy.clone(),
            instance_type: self.instance_type.clone(),
            metrics: Elasticity::of(&self.intervals, vcpus(kind)),
            vcpus: vcpus(kind),
            dollars: self.used.vms(&config.settings.instance_types) + self.used.credits(),
            requests: Some(self.used.requests),
            reactions: self.reactions.clone(),
        })
    }
}

/// What was so from each decision to the next.
fn intervals(moments: &[(Timestamp, Interval)]) -> Vec<Interval> {
    let pairs = moments.windows(2).filter_map(|pair| {
        let [(at, interval), (next, _)] = pair else { return None };
        let length = Duration::try_from(next.duration_since(*at)).ok()?;
        (length <= LONGEST_GAP && !length.is_zero()).then_some(Interval { length, ..*interval })
    });
    pairs.collect()
}

/// Thinks the load of a history through with another policy, or other VMs.
fn replay(config: &Config, recorded: &Recorded, wish: &Report) -> anyhow::Result<Column> {
    let name = wish.instance_type.as_ref().unwrap_or(&recorded.instance_type);
    let kind = kind(config, name)?;
    let text = wish.policy.as_ref().unwrap_or(&recorded.policy);
    let (policy_name, parameters) = named(text);
    let defaults = config.settings.autoscaler.policy_defaults();
    let (policy, _) = Policy::read(&policy_name, &parameters, &defaults)
        .map_err(|error| Usage(format!("--policy {text}: {error}")))?;
    let period = config.settings.report_every;
    let demand = resampled(&recorded.intervals, period);
    let boot = Duration::try_from_secs_f64(kind.boot.as_secs_f64() * config.settings.boot_scale);
    let scaling = &config.settings.autoscaler;
    let work = recorded.intervals.iter().map(|i| i.demand * i.length.as_secs_f64()).sum::<f64>();
    let terms = Terms {
        vcpus_per_vm: vcpus(kind),
        boot: boot.unwrap_or(LONGEST_GAP),
        period,
        minimum: scaling.minimum,
        maximum: scaling.maximum,
        start: recorded.intervals.first().map_or(1, |first| first.ready.max(1)),
        work_per_request: (work / (recorded.used.requests.max(1) as f64)).max(1e-6),
    };
    let metrics = Elasticity::of(&simulation::run(&policy, &demand, &terms), terms.vcpus_per_vm);
    Ok(Column {
        name: "the same load".to_owned(),
        policy: text.clone(),
        instance_type: name.clone(),
        dollars: price(kind, &metrics),
        metrics,
        vcpus: terms.vcpus_per_vm,
        requests: None,
        reactions: Vec::new(),
    })
}

/// Dollars for VMs of one type, and for the CPU credits that they spent together beyond what they
/// earned together, where the type goes on without.
fn price(kind: &InstanceType, metrics: &Elasticity) -> f64 {
    let hours = metrics.vm_seconds / 3600.0;
    let done = metrics.work_seconds - metrics.overflow_seconds;
    let surplus = match kind.credit_rule() {
        Some(rule) if rule.unlimited => (done / 60.0 - rule.per_hour * hours).max(0.0),
        _ => 0.0,
    };
    hours * kind.price_per_hour + surplus * PRICE_PER_SURPLUS_CREDIT
}

/// The demand at the end of every period.
fn resampled(intervals: &[Interval], period: Duration) -> Vec<f64> {
    let mut demand = Vec::new();
    let mut left = Duration::ZERO;
    for interval in intervals {
        left += interval.length;
        while left >= period {
            demand.push(interval.demand);
            left = left.saturating_sub(period);
        }
    }
    demand
}

fn kind<'a>(config: &'a Config, name: &str) -> Result<&'a InstanceType, Usage> {
    known_type(config, name)?;
    Ok(&config.settings.instance_types[name])
}

fn vcpus(kind: &InstanceType) -> f64 {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    kind.vcpus.map_or_else(|| cores() as f64, f64::from).max(1.0)
}

impl Column {
    fn hours(&self) -> f64 {
        self.metrics.time.as_secs_f64() / 3600.0
    }

    fn per_hour(&self) -> f64 {
        if self.hours() > 0.0 { self.dollars / self.hours() } else { 0.0 }
    }

    fn per_request(&self) -> Option<f64> {
        self.requests.filter(|n| *n > 0).map(|requests| self.dollars / requests as f64)
    }

    /// The time that this share of the decisions took at most.
    fn reaction(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let at = (self.reactions.len() as f64 * share) as usize;
        self.reactions.get(at).copied()
    }

    /// Names, values and the digits they are shown with.
    fn figures(&self) -> Vec<(&'static str, Option<f64>, usize)> {
        let m = &self.metrics;
        vec![
            ("hours", Some(self.hours()), 3),
            ("too few VMs, θ_U %", Some(100.0 * m.under_accuracy), 2),
            ("too many VMs, θ_O %", Some(100.0 * m.over_accuracy), 2),
            ("time with too few, τ_U %", Some(100.0 * m.under_time), 2),
            ("time with too many, τ_O %", Some(100.0 * m.over_time), 2),
            ("instability, υ %", Some(100.0 * m.instability), 2),
            ("changes per hour", Some(m.changes_per_hour()), 1),
            ("VM hours", Some(m.vm_seconds / 3600.0), 3),
            ("vCPU hours of work", Some(m.work_seconds / 3600.0), 3),
            ("work beyond the VMs %", Some(100.0 * m.overflow()), 2),
            ("cost per work, overflow at 5×", Some(m.cost(self.vcpus, OVERFLOW_PRICE)), 3),
            ("dollars", Some(self.dollars), 6),
            ("dollars per hour", Some(self.per_hour()), 6),
            ("dollars per month at this rate", Some(self.per_hour() * HOURS_A_MONTH), 2),
            ("requests", self.requests.map(|n| n as f64), 0),
            ("dollars per 1000 requests", self.per_request().map(|price| 1000.0 * price), 6),
            ("report to decision, median ms", self.reaction(0.5), 2),
            ("report to decision, p99 ms", self.reaction(0.99), 2),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let m = &self.metrics;
        json!({
            "name": self.name,
            "policy": self.policy,
            "instanceType": self.instance_type,
            "seconds": m.time.as_secs_f64(),
            "underAccuracy": m.under_accuracy,
            "overAccuracy": m.over_accuracy,
            "underTime": m.under_time,
            "overTime": m.over_time,
            "instability": m.instability,
            "changesPerHour": m.changes_per_hour(),
            "vmSeconds": m.vm_seconds,
            "workSeconds": m.work_seconds,
            "overflow": m.overflow(),
            "cost": m.cost(self.vcpus, OVERFLOW_PRICE),
            "reactionMedianMs": self.reaction(0.5),
            "reactionP99Ms": self.reaction(0.99),
            "dollars": self.dollars,
            "dollarsPerHour": self.per_hour(),
            "dollarsPerMonth": self.per_hour() * HOURS_A_MONTH,
            "requests": self.requests,
            "dollarsPerRequest": self.per_request(),
        })
    }
}

/// The columns side by side, a figure a line.
fn table(columns: &[Column]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, cells: Vec<String>| {
        let _ = write!(text, "{name:<32}");
        for cell in &cells {
            let _ = write!(text, "  {cell:>18}");
        }
        text.push('\n');
    };
    let shown = |said: &str| -> String {
        let long = said.chars().count();
        said.chars().skip(long.saturating_sub(18)).collect()
    };
    line("history", columns.iter().map(|column| shown(&column.name)).collect());
    line("policy", columns.iter().map(|column| shown(&column.policy)).collect());
    line("type", columns.iter().map(|column| shown(&column.instance_type)).collect());
    let figures = columns.iter().map(Column::figures).collect::<Vec<_>>();
    for (row, (name, ..)) in figures.first().into_iter().flatten().enumerate() {
        let cell = |column: &Vec<(&str, Option<f64>, usize)>| {
            let value =
                column.get(row).and_then(|(_, value, digits)| Some((value.as_ref()?, digits)));
            value.map_or_else(|| "-".to_owned(), |(value, &digits)| format!("{value:.digits$}"))
        };
        line(name, figures.iter().map(cell).collect());
    }
    text
}

#[cfg(test)]
mod tests;
