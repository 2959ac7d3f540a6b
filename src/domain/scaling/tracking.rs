//! Target tracking: the fleet is sized so that a mean over its VMs comes to a target.
//!
//! `wanted = ceil(warm × mean / target)`, with the big cloud's two alarms and its asymmetry: out by
//! as much as needed once three points in a row lie above the target, in by one at a time once
//! fifteen in a row lie below nine tenths of it. A point is a report here
//! (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html>). With
//! the target itself as the mark above, availability goes before cost; a fleet that grew for a
//! trifle does not shrink again, because one fewer must fit below nine tenths, too.

use std::fmt;
use std::time::Duration;

use super::history::{History, Metric};
use super::parameters::{BadPolicy, Parameters};
use super::policy::Defaults;
use super::threshold::METRIC;
use super::{Advice, Member, Situation, ceil, count};
use crate::domain::decision::Check;

/// So far below its target, as a share of it, a fleet is too large.
const BELOW: f64 = 0.1;

/// What target tracking aims at, and how patient it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetTracking {
    /// What is to come to the target.
    pub metric: Metric,
    /// The mean to aim at; above 0.
    pub target: f64,
    /// How many reports in a row must lie above the target before it grows.
    out_reports: u32,
    /// How many must lie below nine tenths of it before it shrinks.
    in_reports: u32,
    /// How long a VM must have run before it counts.
    pub warm_up: Duration,
    /// Pause after a scale-out before the next.
    pub scale_out_cooldown: Duration,
    /// Pause after any change before a scale-in.
    pub scale_in_cooldown: Duration,
    /// The time that the CPU shares are means of; told in the reason.
    pub window: Duration,
}

/// What the VMs past their warm-up say together.
struct Measured {
    metric: Metric,
    /// VMs past their warm-up that reported in time.
    warm: u32,
    /// Their mean.
    mean: f64,
    /// Reports in a row above the target, this one included, and below nine tenths of it.
    above: u32,
    below: u32,
    /// VMs that boot or warm up.
    starting: u32,
    /// VMs past their warm-up whose reports are late or missing.
    silent: u32,
}

impl TargetTracking {
    pub(super) fn read(from: &mut Parameters, defaults: &Defaults) -> Result<Self, BadPolicy> {
        let metric = from.word("metric", "cpu", "cpu, in-flight, requests or memory", METRIC)?;
        let (default, most) = match metric {
            Metric::Cpu => (defaults.target_cpu.get(), 1.0),
            Metric::InFlight => (2.0, 1e6),
            Metric::Requests => (10.0, 1e6),
            Metric::Memory => (512.0, 1e6),
        };
        Ok(Self {
            metric,
            target: from.number("target", default, 0.01..=most, "the mean to aim at")?,
            out_reports: from.whole("out_reports", 3, 1..=100, "above it so often, it grows")?,
            in_reports: from.whole("in_reports", 15, 1..=100, "below 0.9 of it, it shrinks")?,
            warm_up: from.time("warm_up", defaults.warm_up, "a VM counts after this")?,
            scale_out_cooldown: from.time(
                "scale_out_cooldown",
                defaults.scale_out_cooldown,
                "pause after a scale-out before the next",
            )?,
            scale_in_cooldown: from.time(
                "scale_in_cooldown",
                defaults.scale_in_cooldown,
                "pause after any change before a scale-in",
            )?,
            window: defaults.window,
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let Some(measured) = Measured::of(self, situation, history) else {
            return Advice::hold(situation, "no VM has run long enough and reported".to_owned());
        };
        let window = self.window.as_secs_f64();
        let said = format!("{measured} over {window} s, target {:.2}", self.target);
        let wanted = situation.wanted();
        let (size, reason) = match self.track(situation, &measured, &said) {
            Ok(size) => (size, said),
            Err(reason) => (wanted, reason),
        };
        Advice::new(size, reason, self.checks(situation, &measured))
    }

    /// The size it asks for; the error is the reason to hold.
    fn track(&self, situation: &Situation, measured: &Measured, said: &str) -> Result<u32, String> {
        let wanted = situation.wanted();
        let ratio = measured.mean / self.target;
        if ratio > 1.0 {
            let to = self.needed(measured).min(situation.maximum);
            if to <= wanted {
                let why = if wanted >= situation.maximum { "the maximum" } else { "enough" };
                let needed = self.needed(measured);
                return Err(format!("{said}: {needed} needed, {wanted} wanted already is {why}"));
            }
            in_a_row(measured.above, self.out_reports, said)?;
            cooled(situation.since_out, self.scale_out_cooldown, "scale-out", said)?;
            return Ok(to);
        }
        if ratio >= 1.0 - BELOW {
            return Err(format!("{said}: less than {:.0} % below the target", BELOW * 100.0));
        }
        if wanted <= situation.minimum {
            return Err(format!("{said}: {wanted} wanted already is the minimum"));
        }
        if measured.starting > 0 || measured.silent > 0 {
            return Err(format!("{said}: not shrinking while VMs start or are silent"));
        }
        // One fewer must still be that far below the target, or it would come straight back.
        if measured.load() > self.bearable(wanted - 1) {
            return Err(format!("{said}: {} would be too few", wanted - 1));
        }
        in_a_row(measured.below, self.in_reports, said)?;
        cooled(situation.since_out, self.scale_in_cooldown, "scale-out", said)?;
        cooled(situation.since_in, self.scale_in_cooldown, "scale-in", said)?;
        Ok(wanted - 1)
    }

    /// Silent VMs count as exactly on target: nothing is known that would speak for more or fewer.
    fn needed(&self, measured: &Measured) -> u32 {
        ceil(measured.load() / self.target).saturating_add(measured.silent)
    }

    /// The mark below which the fleet is too large.
    fn low(&self) -> f64 {
        self.target * (1.0 - BELOW)
    }

    /// The load under which a fleet of this size is safely below its target.
    fn bearable(&self, size: u32) -> f64 {
        f64::from(size) * self.low()
    }

    /// How often in a row, `now` last, the metric lay above the high and below the low mark.
    fn in_a_row(&self, situation: &Situation, history: &History, now: f64) -> (u32, u32) {
        let before = history.until(&situation.now).filter(|past| past.at < situation.now.at);
        let points = before.map(|past| self.metric.of(past)).chain(std::iter::once(Some(now)));
        points.fold((0, 0), |(above, below), point| {
            let again = |row: u32, is: bool| if is { row + 1 } else { 0 };
            (
                again(above, point.is_some_and(|value| value > self.target)),
                again(below, point.is_some_and(|value| value < self.low())),
            )
        })
    }

    fn checks(&self, situation: &Situation, measured: &Measured) -> Vec<Check> {
        let (mean, name) = (measured.mean, self.metric.said());
        let (high, low) = (self.target, self.low());
        let enough = |name: &str, row: u32, needed: u32| {
            Check::compared(name, row.into(), needed.into(), row >= needed)
        };
        let unready = measured.starting + measured.silent;
        let fewer = self.bearable(situation.wanted().saturating_sub(1));
        let since = |since: Option<Duration>| since.unwrap_or(Duration::MAX);
        let out = since(situation.since_out);
        let into = out.min(since(situation.since_in));
        vec![
            Check::input("target", self.target),
            Check::compared(&format!("{name} above"), mean, high, mean > high),
            Check::compared(&format!("{name} below"), mean, low, mean < low),
            enough("reports above in a row", measured.above, self.out_reports),
            enough("reports below in a row", measured.below, self.in_reports),
            Check::input("VMs past their warm-up", measured.warm.into()),
            Check::input("VMs needed", self.needed(measured).into()),
            Check::compared("VMs starting or silent", unready.into(), 0.0, unready > 0),
            Check::compared(
                "load fits on one fewer",
                measured.load(),
                fewer,
                measured.load() <= fewer,
            ),
            Situation::waited("seconds since a scale-out, to grow", out, self.scale_out_cooldown),
            Situation::waited("seconds since a change, to shrink", into, self.scale_in_cooldown),
        ]
    }
}

impl Measured {
    fn of(policy: &TargetTracking, situation: &Situation, history: &History) -> Option<Self> {
        let is_warm = |m: &&Member| m.running_for.is_some_and(|time| time >= policy.warm_up);
        let warm = situation.members.iter().filter(is_warm).collect::<Vec<_>>();
        let heard = warm.iter().filter(|member| member.cpu.is_some()).count();
        let mean = situation.metric_of_warm(policy.metric, policy.warm_up)?;
        let (above, below) = policy.in_a_row(situation, history, mean);
        Some(Self {
            metric: policy.metric,
            warm: count(heard),
            mean,
            above,
            below,
            starting: count(situation.members.len() - warm.len()),
            silent: count(warm.len() - heard),
        })
    }

    /// What all of them bear together, in the unit of the metric.
    fn load(&self) -> f64 {
        f64::from(self.warm) * self.mean
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.2} of {} warm", self.metric.said(), self.mean, self.warm)?;
        if self.starting > 0 {
            write!(f, ", {} starting", self.starting)?;
        }
        if self.silent > 0 {
            write!(f, ", {} silent", self.silent)?;
        }
        Ok(())
    }
}

/// An error that says how many reports are still needed, if any are.
fn in_a_row(row: u32, needed: u32, said: &str) -> Result<(), String> {
    if row < needed { Err(format!("{said}: {row} of {needed} reports in a row")) } else { Ok(()) }
}

/// An error that says how long the cooldown still lasts, if it does.
fn cooled(
    since: Option<Duration>,
    cooldown: Duration,
    what: &str,
    said: &str,
) -> Result<(), String> {
    match since.and_then(|since| cooldown.checked_sub(since)).filter(|left| !left.is_zero()) {
        None => Ok(()),
        Some(left) => {
            let left = left.as_secs_f64();
            Err(format!("{said}: cooling down from a {what} for another {left:.0} s"))
        }
    }
}
