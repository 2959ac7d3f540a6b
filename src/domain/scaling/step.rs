//! Step scaling: the further the metric is from its mark, the larger the step.
//!
//! Rules and rounding are those of the big cloud's step scaling policies
//! (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-simple-step.html>).

use std::str::FromStr;
use std::time::Duration;

use super::history::{History, Metric};
use super::parameters::{BadPolicy, Parameters};
use super::policy::Defaults;
use super::threshold::METRIC;
use super::{Advice, Situation};
use crate::domain::decision::Check;
use crate::domain::vm::UnknownWord;

/// Steps by how far the metric lies above the high mark or below the low one.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    metric: Metric,
    high: f64,
    out: Steps,
    low: f64,
    into: Steps,
    kind: Kind,
    least: u32,
    warm_up: Duration,
    pub(super) cooldown: Duration,
}

/// From which distance on which adjustment applies, nearest first. Each reaches to the next, the
/// last without end, so there is no gap and no overlap.
#[derive(Debug, Clone, PartialEq)]
struct Steps(Vec<(f64, f64)>);

/// Measured values that differ by no more are the same but for rounding.
const NEAR: f64 = 1e-9;

/// What the numbers of the steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// VMs more or fewer.
    Change,
    /// The size itself.
    Exact,
    /// Per cent of the VMs that serve.
    Percent,
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "change" => Ok(Self::Change),
            "exact" => Ok(Self::Exact),
            "percent" => Ok(Self::Percent),
            _ => Err(UnknownWord::new(text, "change, exact or percent")),
        }
    }
}

impl Steps {
    fn read(text: &str) -> Result<Self, String> {
        let mut steps = Vec::<(f64, f64)>::new();
        for word in text.split_whitespace() {
            let step = word.split_once(':').and_then(|(from, by)| {
                let (from, by): (f64, f64) = (from.parse().ok()?, by.parse().ok()?);
                ((0.0..=1e9).contains(&from) && (0.0..=1e6).contains(&by)).then_some((from, by))
            });
            let step = step.ok_or_else(|| {
                let word: String = word.chars().take(40).collect();
                format!("`{word}` is not DISTANCE:ADJUSTMENT, for example 0.2:3")
            })?;
            if steps.last().is_some_and(|last| last.0 >= step.0) {
                return Err("the distances must grow".to_owned());
            }
            steps.push(step);
        }
        if steps.is_empty() {
            Err("at least one step is needed".to_owned())
        } else {
            Ok(Self(steps))
        }
    }

    /// The adjustment at a distance, the lower end of each step included. What lies below an end by
    /// no more than a rounding error lies on it.
    fn at(&self, distance: f64) -> Option<f64> {
        self.0.iter().rev().find(|(from, _)| distance + NEAR >= *from).map(|(_, by)| *by)
    }
}

impl Step {
    pub(super) fn read(from: &mut Parameters, defaults: &Defaults) -> Result<Self, BadPolicy> {
        let metric = from.word("metric", "cpu", "cpu, in-flight, requests or memory", METRIC)?;
        let high = from.number("high", 0.6, 0.0..=1e9, "from here on it grows")?;
        let low = from.number("low", 0.3, 0.0..=1e9, "from here down it shrinks")?;
        if low >= high {
            return Err(BadPolicy(format!("low={low} must be below high={high} in policy step")));
        }
        let help = "what the steps add: change, exact or percent";
        let policy = Self {
            metric,
            high,
            out: from.text("out", "0:1 0.2:2", "DISTANCE:ADJUSTMENT above high", Steps::read)?,
            low,
            into: from.text("in", "0:1", "DISTANCE:ADJUSTMENT below low", Steps::read)?,
            kind: from.word("kind", "change", "change, exact or percent", help)?,
            least: from.whole("least", 1, 1..=1000, "fewest VMs of a step in per cent")?,
            warm_up: from.time("warm_up", defaults.warm_up, "a VM counts after this")?,
            cooldown: from.time("cooldown", defaults.scale_in_cooldown, "pause before fewer")?,
        };
        let mut adjustments = policy.out.0.iter().chain(&policy.into.0).map(|(_, by)| *by);
        match adjustments.find(|by| by.fract() > 0.0) {
            Some(by) if policy.kind != Kind::Percent => {
                Err(BadPolicy(format!("a step of {by} VMs in policy step: whole VMs are needed")))
            }
            _ => Ok(policy),
        }
    }

    pub(super) fn advise(&self, situation: &Situation, _: &History) -> Advice {
        let name = self.metric.said();
        let Some(value) = situation.metric_of_warm(self.metric, self.warm_up) else {
            return Advice::hold(situation, format!("{name} is not known"));
        };
        let (above, below) = (value - self.high, self.low - value);
        let warm = situation.warm(self.warm_up);
        let wanted = situation.wanted();
        let checks = vec![
            Check::compared(&format!("{name} at or above"), value, self.high, above >= -NEAR),
            Check::compared(&format!("{name} at or below"), value, self.low, below >= -NEAR),
            Check::input("VMs past their warm-up", warm.into()),
            Check::compared("VMs starting", (wanted - warm).into(), 0.0, wanted > warm),
            situation.cooldown_check(self.cooldown),
        ];
        let said = format!("{name} {value:.2}, {} to {}", self.low, self.high);
        if let Some(by) = self.out.at(above) {
            // VMs that still warm up count as what an earlier step has already added.
            let size = self.adjusted(warm, by, 1.0).max(wanted);
            let held = if size == wanted { ": as many start already" } else { "" };
            return Advice::new(size, format!("{said}: step {by} from {warm}{held}"), checks);
        }
        let Some(by) = self.into.at(below) else {
            return Advice::new(wanted, format!("{said}: within the marks"), checks);
        };
        if wanted > warm {
            return Advice::new(wanted, format!("{said}: not shrinking while VMs start"), checks);
        }
        if !situation.cooled(self.cooldown) {
            let reason = format!("{said}: cooling down from the last change");
            return Advice::new(wanted, reason, checks);
        }
        let size = self.adjusted(warm, by, -1.0).min(wanted);
        Advice::new(size, format!("{said}: step -{by} from {warm}"), checks)
    }

    /// The size after a step. Per cent are rounded towards nothing, but not to nothing.
    fn adjusted(&self, warm: u32, by: f64, sign: f64) -> u32 {
        let change = match self.kind {
            Kind::Exact => return super::ceil(by),
            Kind::Change => by,
            Kind::Percent => {
                let vms = f64::from(warm) * by / 100.0;
                vms.floor().max(f64::from(self.least))
            }
        };
        super::ceil((f64::from(warm) + sign * change).max(0.0))
    }
}
