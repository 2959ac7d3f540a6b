//! The policy of every first course on the cloud: a high mark, a low mark, one step at a time.
//!
//! As in the big cloud's simple scaling, the cooldown begins when the change before is complete:
//! when the VMs that it added should serve
//! (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-scaling-cooldowns.html>).

use std::time::Duration;

use super::history::{History, Metric};
use super::parameters::{BadPolicy, Parameters};
use super::policy::Defaults;
use super::{Advice, Situation};
use crate::domain::decision::Check;

/// One step out when the metric was above the high mark for so many reports in a row, one step in
/// when it was below the low mark, and a pause after each.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    metric: Metric,
    high: f64,
    low: f64,
    samples: u32,
    step: u32,
    pub(super) cooldown: Duration,
}

impl Threshold {
    pub(super) fn read(from: &mut Parameters, defaults: &Defaults) -> Result<Self, BadPolicy> {
        let metric = from.word("metric", "cpu", "cpu, in-flight, requests or memory", METRIC)?;
        let most = if metric == Metric::Cpu { 1.0 } else { 1e9 };
        let policy = Self {
            metric,
            high: from.number("high", 0.7, 0.0..=most, "above this it grows")?,
            low: from.number("low", 0.3, 0.0..=most, "below this it shrinks")?,
            samples: from.whole("samples", 2, 1..=100, "so many reports in a row")?,
            step: from.whole("step", 1, 1..=100, "VMs at a time")?,
            cooldown: from.time("cooldown", defaults.scale_in_cooldown, "pause after a change")?,
        };
        if policy.low < policy.high {
            Ok(policy)
        } else {
            let (low, high) = (policy.low, policy.high);
            Err(BadPolicy(format!("low={low} must be below high={high} in policy threshold")))
        }
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let name = self.metric.said();
        let Some(now) = self.metric.of(&situation.now) else {
            return Advice::hold(situation, format!("{name} is not known"));
        };
        let (above, below) = (
            self.in_a_row(situation, history, |value| value > self.high),
            self.in_a_row(situation, history, |value| value < self.low),
        );
        let since = situation.since_complete();
        let cooled = since >= self.cooldown;
        let checks = vec![
            Check::compared(&format!("{name} above"), now, self.high, now > self.high),
            Check::compared(&format!("{name} below"), now, self.low, now < self.low),
            enough("reports above in a row", above, self.samples),
            enough("reports below in a row", below, self.samples),
            Situation::waited("seconds since the last change was complete", since, self.cooldown),
        ];
        let wanted = situation.wanted();
        let said = format!("{name} {now:.2}, {} to {}", self.low, self.high);
        let (size, reason) = if above >= self.samples && cooled {
            (wanted.saturating_add(self.step), format!("{said}, above it {above} times in a row"))
        } else if below >= self.samples && cooled {
            (wanted.saturating_sub(self.step), format!("{said}, below it {below} times in a row"))
        } else if above.max(below) >= self.samples {
            (wanted, format!("{said}: cooling down from the last change"))
        } else {
            (wanted, format!("{said}: not outside it {} times in a row", self.samples))
        };
        Advice::new(size, reason, checks)
    }

    /// How often `test` held in a row, up to now.
    fn in_a_row(
        &self,
        situation: &Situation,
        history: &History,
        test: impl Fn(f64) -> bool,
    ) -> u32 {
        let mut row = 0;
        for observation in history.until(&situation.now) {
            row = if self.metric.of(observation).is_some_and(&test) { row + 1 } else { 0 };
        }
        row
    }
}

/// What the parameter `metric` means.
pub(super) const METRIC: &str = "what is watched: cpu, in-flight, requests or memory";

fn enough(name: &str, row: u32, needed: u32) -> Check {
    Check::compared(name, row.into(), needed.into(), row >= needed)
}
