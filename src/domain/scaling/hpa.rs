//! The horizontal pod autoscaler of Kubernetes, on mean CPU.
//!
//! Ratio, tolerance and the treatment of pods that are not ready or say nothing are those of
//! `replica_calculator.go`; stabilisation and the limits of a change are those of `horizontal.go`,
//! as documented in
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.

mod rules;

use std::time::Duration;

use super::history::History;
use super::parameters::{BadPolicy, Parameters};
use super::{Advice, Member, Situation, ceil, count};
use crate::domain::decision::Check;
use rules::{Names, Rules};

/// The autoscaler with its published defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct KubernetesHpa {
    target: f64,
    up: Rules,
    down: Rules,
}

/// The pods by what is known of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Pods {
    /// CPU shares of those that are ready and reported.
    pub(super) ready: Vec<f64>,
    /// Those that have not been ready for a whole report.
    pub(super) unready: u32,
    /// Those that are ready and say nothing.
    pub(super) missing: u32,
}

impl Pods {
    fn of(situation: &Situation) -> Self {
        let mut pods = Self::default();
        for Member { running_for, cpu, .. } in &situation.members {
            // A report that began before the pod was ready says nothing of its work.
            match (running_for.is_some_and(|time| time >= situation.period), cpu) {
                (false, _) => pods.unready += 1,
                (true, None) => pods.missing += 1,
                (true, Some(share)) => pods.ready.push(share.get()),
            }
        }
        pods
    }

    /// Replicas by the published formula, and the ratio that they come from; none if no pod says
    /// anything. The tolerance is that below the target and that above it.
    pub(super) fn replicas(
        &self,
        current: u32,
        target: f64,
        tolerance: (f64, f64),
    ) -> Option<(u32, f64)> {
        let number = self.ready.len() as f64;
        if self.ready.is_empty() {
            return None;
        }
        let sum = self.ready.iter().sum::<f64>();
        let ratio = sum / number / target;
        let within = |ratio: f64| (1.0 - tolerance.0..=1.0 + tolerance.1).contains(&ratio);
        let count_unready = self.unready > 0 && ratio > 1.0;
        if !count_unready && self.missing == 0 {
            let replicas = if within(ratio) { current } else { ceil(number * ratio) };
            return Some((replicas, ratio));
        }
        // Those that say nothing are taken to speak against the change, if there is one.
        let missing = if (ratio - 1.0).abs() > 0.0 { f64::from(self.missing) } else { 0.0 };
        let assumed = if ratio < 1.0 { missing * target.max(1.0) } else { 0.0 };
        let unready = if count_unready { f64::from(self.unready) } else { 0.0 };
        let counted = number + missing + unready;
        let again = (sum + assumed) / counted / target;
        let flips = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
        if within(again) || flips {
            return Some((current, again));
        }
        let replicas = ceil(again * counted);
        let contradicts =
            (again < 1.0 && replicas > current) || (again > 1.0 && replicas < current);
        Some((if contradicts { current } else { replicas }, again))
    }
}

impl KubernetesHpa {
    pub(super) fn read(from: &mut Parameters) -> Result<Self, BadPolicy> {
        let up = Names {
            tolerance: ("up_tolerance", "so little above the target is left alone"),
            window: ("up_window", Duration::ZERO, "it grows to the least of this time"),
            limits: ("up", "4/15s 100%/15s", "what may be added: VMs/PERIOD, PERCENT%/PERIOD"),
            select: "up_select",
        };
        let down = Names {
            tolerance: ("down_tolerance", "so little below the target is left alone"),
            window: ("down_window", Duration::from_mins(5), "it shrinks to the most of this time"),
            limits: ("down", "100%/15s", "what may go: VMs/PERIOD, PERCENT%/PERIOD"),
            select: "down_select",
        };
        Ok(Self {
            target: from.number("target", 0.7, 0.01..=1.0, "mean CPU share to aim at")?,
            up: Rules::read(from, &up)?,
            down: Rules::read(from, &down)?,
        })
    }

    /// How long it waits before a scale-in.
    pub(super) fn patience(&self) -> Duration {
        self.down.window
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let pods = Pods::of(situation);
        let current = situation.wanted();
        let tolerance = (self.down.tolerance, self.up.tolerance);
        let Some((raw, ratio)) = pods.replicas(current, self.target, tolerance) else {
            return Advice::hold(situation, "no VM is ready and has reported".to_owned());
        };
        let raw = raw.clamp(situation.minimum, situation.maximum);
        let (up, down) = self.recommended(raw, situation, history);
        let stable = self.stabilised(raw, situation, history);
        let size = self.allowed(stable, situation);
        let (low, high) = (1.0 - self.down.tolerance, 1.0 + self.up.tolerance);
        let ready = count(pods.ready.len());
        let checks = vec![
            Check::input("target", self.target),
            Check::compared("ratio to the target above", ratio, high, ratio > high),
            Check::compared("ratio to the target below", ratio, low, ratio < low),
            Check::input("VMs ready", ready.into()),
            Check::input("VMs not ready", pods.unready.into()),
            Check::input("VMs silent", pods.missing.into()),
            Check::input("VMs needed", raw.into()),
            Check::compared("least needed lately above", up.into(), current.into(), up > current),
            Check::compared(
                "most needed lately below",
                down.into(),
                current.into(),
                down < current,
            ),
            Check::input("VMs at most in one change", self.up.most(situation).into()),
            Check::input("VMs at least in one change", self.down.fewest(situation).into()),
        ];
        let mut reason = format!("{ratio:.2} of target {:.2} over {ready} ready", self.target);
        reason = match raw.cmp(&size) {
            std::cmp::Ordering::Equal => format!("{reason}: {raw} needed"),
            _ => format!("{reason}: {raw} needed, {stable} after stabilisation, {size} allowed"),
        };
        Advice { raw: Some(raw), ..Advice::new(size, reason, checks) }
    }

    /// The least and the most of what was needed in the windows, `raw` now.
    fn recommended(&self, raw: u32, situation: &Situation, history: &History) -> (u32, u32) {
        (
            history.lowest_advice(raw, &situation.now, self.up.window),
            history.highest_advice(raw, &situation.now, self.down.window),
        )
    }

    /// The size that the windows leave of what is needed.
    fn stabilised(&self, raw: u32, situation: &Situation, history: &History) -> u32 {
        let (up, down) = self.recommended(raw, situation, history);
        situation.wanted().max(up).min(down)
    }

    /// What the limits of a change leave of a size.
    fn allowed(&self, size: u32, situation: &Situation) -> u32 {
        size.clamp(self.down.fewest(situation), self.up.most(situation))
    }
}

#[cfg(test)]
mod tests;
