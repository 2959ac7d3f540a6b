//! `cumulet cost`: what has been spent and is being spent, on VMs, CPU credits and functions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;

use super::{operate, print};
use crate::config::Config;
use crate::domain::credits::PRICE_PER_SURPLUS_CREDIT;
use crate::domain::function::Usage;
use crate::domain::instance_type::InstanceType;
use crate::state::StateFolder;
use crate::state::function_state::FunctionStateFile;
use crate::state::samples::Sample;
use crate::state::vm_state::VmStateFile;

/// A pause between two lines longer than this is one in which no cluster ran.
pub(super) const LONGEST_GAP: Duration = Duration::from_mins(1);
/// Functions go on as they did in this time: their bill is that of a month, of which this cluster
/// may have run for any part.
const LATELY: Duration = Duration::from_hours(1);
/// How much of the end of a function's log is looked through, in bytes.
const LOG_BYTES: u64 = 64 << 20;
/// Hours of a month, as the big clouds count it.
pub(super) const HOURS_A_MONTH: f64 = 730.0;

/// What the VMs of a history used.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Used {
    /// Time in which any VM reported.
    pub(super) time: Duration,
    /// VM time by instance type.
    pub(super) types: BTreeMap<String, Duration>,
    /// CPU credits spent that had not been earned, and have not been earned back.
    pub(super) surplus_credits: f64,
    /// Requests answered.
    pub(super) requests: u64,
}

/// The last line of a VM.
struct Last {
    at: Timestamp,
    requests: u64,
    surplus: f64,
}

impl Used {
    /// Adds up the reports of a history, oldest first. Each VM is paid for from its first report,
    /// which it makes when it is launched, to its last.
    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut used = Self::default();
        let mut lives = BTreeMap::<&str, Last>::new();
        let mut before = None::<Timestamp>;
        for sample in samples {
            let Sample::Vm { at, vm, instance_type, requests, surplus_credits, .. } = sample else {
                continue;
            };
            used.time += gap(before.replace(*at), *at);
            let surplus = surplus_credits.unwrap_or(0.0);
            // A count that falls is that of a process that took the place of another.
            let last = lives.remove(vm.as_str()).filter(|last| {
                let goes_on = *requests >= last.requests;
                used.surplus_credits += if goes_on { 0.0 } else { last.surplus };
                goes_on
            });
            *used.types.entry(instance_type.clone()).or_default() +=
                gap(last.as_ref().map(|last| last.at), *at);
            used.requests += requests - last.map_or(0, |last| last.requests);
            lives.insert(vm.as_str(), Last { at: *at, requests: *requests, surplus });
        }
        used.surplus_credits += lives.values().map(|last| last.surplus).sum::<f64>();
        used
    }

    /// Dollars for the VMs, as far as their types have a price here.
    pub(super) fn vms(&self, types: &BTreeMap<String, InstanceType>) -> f64 {
        let priced = self.types.iter().filter_map(|(name, time)| {
            Some(types.get(name)?.price_per_hour * time.as_secs_f64() / 3600.0)
        });
        priced.sum()
    }

    /// Dollars for the CPU credits that they had not earned.
    pub(super) fn credits(&self) -> f64 {
        self.surplus_credits * PRICE_PER_SURPLUS_CREDIT
    }
}

/// Time between two lines; none where no cluster ran, and where the clock went back.
fn gap(before: Option<Timestamp>, at: Timestamp) -> Duration {
    let gap = before.and_then(|before| Duration::try_from(at.duration_since(before)).ok());
    gap.filter(|gap| *gap <= LONGEST_GAP).unwrap_or_default()
}

/// The lines of a history: a state folder with what was set aside there, or a file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn history(path: &Path) -> anyhow::Result<Vec<Sample>> {
    if path.is_dir() {
        return Ok(StateFolder::existing(path)?.tail::<Sample>(u64::MAX)?);
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // A line that is being written, or that another version wrote, tells nothing.
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// All that is shown.
struct Bill {
    used: Used,
    types: BTreeMap<String, InstanceType>,
    /// VMs that there are now, and their dollars per hour.
    now: (usize, f64),
    functions: Usage,
    /// What functions used lately, and how long a cluster ran then.
    lately: (Usage, Duration),
}

pub(super) fn cost(config: &Config, json: bool) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    let samples = folder.tail::<Sample>(u64::MAX)?;
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default().vms;
    let functions = folder.read::<FunctionStateFile>()?.unwrap_or_default();
    let types = config.settings.instance_types.clone();
    let price = |name: &String| types.get(name).map_or(0.0, |kind| kind.price_per_hour);
    let hourly = vms.iter().map(|vm| price(&vm.instance_type)).sum();
    let now = (vms.len(), hourly);
    let since = Timestamp::now() - LATELY;
    let mut lately = (Usage::default(), ran_since(&samples, since));
    for function in &functions.functions {
        let used = folder.function_usage_since(&function.name, since, LOG_BYTES)?;
        lately.0 = lately.0.plus(used);
    }
    let functions = functions.usage();
    let bill = Bill { used: Used::of(&samples), types, now, functions, lately };
    print(&if json { format!("{:#}\n", bill.json()) } else { bill.text() })
}

/// How long a cluster ran since then.
fn ran_since(samples: &[Sample], since: Timestamp) -> Duration {
    let mut before = None;
    let reports = samples.iter().filter_map(|sample| match sample {
        Sample::Vm { at, .. } if *at >= since => Some(*at),
        _ => None,
    });
    reports.map(|at| gap(before.replace(at), at)).sum()
}

impl Bill {
    fn total(&self) -> f64 {
        self.used.vms(&self.types) + self.used.credits() + self.functions.list_price()
    }

    /// The VMs that there are, credits as they were in the mean, and functions as they were lately.
    fn per_hour(&self) -> f64 {
        let an_hour = |dollars: f64, time: Duration| {
            let hours = time.as_secs_f64() / 3600.0;
            if hours > 0.0 { dollars / hours } else { 0.0 }
        };
        let (functions, time) = self.lately;
        self.now.1
            + an_hour(self.used.credits(), self.used.time)
            + an_hour(functions.list_price(), time)
    }

    fn requests(&self) -> u64 {
        self.used.requests.saturating_add(self.functions.requests)
    }

    fn per_request(&self) -> Option<f64> {
        (self.requests() > 0).then(|| self.total() / self.requests() as f64)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, amount: String, dollars: Option<f64>| {
            let dollars =
                dollars.map_or_else(|| "no price known".to_owned(), |d| format!("${d:.6}"));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<14} {amount:<28} {dollars:>16}");
        };
        for (name, time) in &self.used.types {
            let hours = time.as_secs_f64() / 3600.0;
            let price = self.types.get(name).map(|kind| kind.price_per_hour * hours);
            line(name, format!("{hours:.3} VM hours"), price);
        }
        let surplus = format!("{:.3} beyond those earned", self.used.surplus_credits);
        line("CPU credits", surplus, Some(self.used.credits()));
        let calls = format!("{} invocations this month", self.functions.requests);
        line("functions", calls, Some(self.functions.list_price()));
        let requests = format!("{} requests", self.requests());
        line("together", requests, Some(self.total()));
        if let Some(each) = self.per_request() {
            line("a million", "requests like these".to_owned(), Some(each * 1e6));
        }
        let now = format!("with the {} VMs of now", self.now.0);
        line("an hour", now.clone(), Some(self.per_hour()));
        line("a month", now, Some(self.per_hour() * HOURS_A_MONTH));
        let (functions, time) = self.lately;
        if functions.requests > 0 {
            let minutes = time.as_secs_f64() / 60.0;
            let said = "of these two, functions as in the last";
            let _ = writeln!(text, "{said} {minutes:.1} min that the cluster ran");
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let types = self.used.types.iter().map(|(name, time)| {
            let hours = time.as_secs_f64() / 3600.0;
            let price = self.types.get(name).map(|kind| kind.price_per_hour * hours);
            json!({"instanceType": name, "vmHours": hours, "dollars": price})
        });
        json!({
            "vms": types.collect::<Vec<_>>(),
            "surplusCredits": self.used.surplus_credits,
            "surplusCreditsDollars": self.used.credits(),
            "functionInvocations": self.functions.requests,
            "functionsDollars": self.functions.list_price(),
            "functionsDollarsAfterFreeTier": self.functions.price(),
            "dollars": self.total(),
            "requests": self.requests(),
            "dollarsPerRequest": self.per_request(),
            "vmsNow": self.now.0,
            "functionsSeconds": self.lately.1.as_secs_f64(),
            "dollarsPerHour": self.per_hour(),
            "dollarsPerMonth": self.per_hour() * HOURS_A_MONTH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance_type::built_in;

    fn report(second: u32, vm: &str, kind: &str, requests: u32, surplus: &str) -> Sample {
        let at = format!("2026-11-21T22:{:02}:{:02}Z", second / 60, second % 60);
        let line = format!(
            "at={at} vm={vm} state=running type={kind} cpu=0.5 memory_bytes=1 in_flight=1 \
             queued=0 requests={requests} failures=0 cpu_credits=- surplus_credits={surplus}"
        );
        line.parse().unwrap()
    }

    #[test]
    fn vms_of_mixed_types_are_paid_for_while_they_report_and_requests_over_all_their_lives() {
        let samples = [
            report(0, "vm-1", "m5.large", 3, "-"),
            report(0, "vm-2", "t3.micro", 0, "0"),
            report(30, "vm-1", "m5.large", 9, "-"),
            report(30, "vm-2", "t3.micro", 4, "6"),
            // Another process took the place of vm-1.
            report(40, "vm-1", "m5.large", 2, "-"),
            // No cluster ran.
            report(600, "vm-1", "m5.large", 5, "-"),
            report(636, "vm-1", "m5.large", 5, "-"),
        ];
        let used = Used::of(&samples);
        let seconds = |name: &str| used.types[name].as_secs();
        assert_eq!((seconds("m5.large"), seconds("t3.micro")), (30 + 36, 30));
        assert_eq!((used.time.as_secs(), used.requests), (40 + 36, 9 + 4 + 5));
        let dollars = (66.0 * 0.096 + 30.0 * 0.0104) / 3600.0;
        assert!((used.vms(&built_in()) - dollars).abs() < 1e-12);
        assert!((used.credits() - 6.0 * 0.05 / 60.0).abs() < 1e-12);
    }

    #[test]
    fn an_hour_is_that_of_the_vms_of_now_and_a_month_is_730_of_them() {
        let used = Used::of(&[
            report(0, "vm-1", "c5.large", 0, "-"),
            report(36, "vm-1", "c5.large", 100, "-"),
        ]);
        let functions = Usage { requests: 100, gb_seconds: 0.0 };
        // Most of the month's invocations were made before.
        let lately = (Usage { requests: 10, gb_seconds: 0.0 }, Duration::from_secs(36));
        let bill = Bill { used, types: built_in(), now: (3, 0.3), functions, lately };
        let list = functions.list_price();
        assert!((bill.per_hour() - (0.3 + 10.0 * list)).abs() < 1e-9, "{}", bill.per_hour());
        assert!(bill.text().contains("functions as in the last 0.6 min"), "{}", bill.text());
        let each = (built_in()["c5.large"].price_per_hour / 100.0 + list) / 200.0;
        assert!((bill.per_request().unwrap() - each).abs() < 1e-12);
        assert!(bill.text().contains("a month"), "{}", bill.text());
        let none = Usage::default();
        let lately = (none, Duration::ZERO);
        let empty = Bill { used: Used::default(), functions: none, lately, ..bill };
        assert!((empty.per_hour() - 0.3).abs() < 1e-12);
        assert_eq!((empty.per_request(), empty.total()), (None, 0.0));
    }
}
