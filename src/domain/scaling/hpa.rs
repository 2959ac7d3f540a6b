//! The horizontal pod autoscaler of Kubernetes, on mean CPU.
//!
//! Ratio, tolerance and the treatment of pods that are not ready or say nothing are those of
//! `replica_calculator.go`; stabilisation and the limits of a change are those of `horizontal.go`
//! (`behavior` in the API), as documented in
//! <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.

use std::str::FromStr;
use std::time::Duration;

use super::history::History;
use super::parameters::{BadPolicy, Parameters};
use super::{Advice, Member, Situation, ceil, count};
use crate::domain::decision::Check;
use crate::domain::vm::UnknownWord;

/// The autoscaler with its published defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct KubernetesHpa {
    target: f64,
    tolerance: f64,
    up_window: Duration,
    pub(super) down_window: Duration,
    up: Limits,
    down: Limits,
}

/// How much a change may be: the policies of a direction. Each counts what has already changed in
/// the last `period`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    pods: u32,
    percent: f64,
    period: Duration,
    select: Select,
}

/// Which of the two limits holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Select {
    Max,
    Min,
    Disabled,
}

impl FromStr for Select {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "max" => Ok(Self::Max),
            "min" => Ok(Self::Min),
            "disabled" => Ok(Self::Disabled),
            _ => Err(UnknownWord::new(text, "max, min or disabled")),
        }
    }
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
    /// anything.
    pub(super) fn replicas(&self, current: u32, target: f64, tolerance: f64) -> Option<(u32, f64)> {
        let number = self.ready.len() as f64;
        if self.ready.is_empty() {
            return None;
        }
        let sum = self.ready.iter().sum::<f64>();
        let ratio = sum / number / target;
        let within = |ratio: f64| (ratio - 1.0).abs() <= tolerance;
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
        let seconds = Duration::from_secs;
        Ok(Self {
            target: from.number("target", 0.7, 0.01..=1.0, "mean CPU share to aim at")?,
            tolerance: from.number("tolerance", 0.1, 0.0..=1.0, "so near it is left alone")?,
            up_window: from.time("up_window", seconds(0), "it grows to the least of this time")?,
            down_window: from.time("down_window", seconds(300), "it shrinks to the most of it")?,
            up: Limits {
                pods: from.whole("up_pods", 4, 0..=10_000, "VMs that may be added in a period")?,
                percent: from.number("up_percent", 100.0, 0.0..=10_000.0, "or per cent")?,
                period: from.time("up_period", seconds(15), "that period")?,
                select: from.word("up_select", "max", SELECT, "which of the two: max, min")?,
            },
            down: Limits {
                pods: from.whole("down_pods", 0, 0..=10_000, "VMs that may go in a period")?,
                percent: from.number("down_percent", 100.0, 0.0..=100.0, "or per cent")?,
                period: from.time("down_period", seconds(15), "that period")?,
                select: from.word("down_select", "max", SELECT, "which of the two: max, min")?,
            },
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let pods = Pods::of(situation);
        let current = situation.wanted();
        let Some((raw, ratio)) = pods.replicas(current, self.target, self.tolerance) else {
            return Advice::hold(situation, "no VM is ready and has reported".to_owned());
        };
        let raw = raw.clamp(situation.minimum, situation.maximum);
        let up = history.lowest_advice(raw, &situation.now, self.up_window);
        let down = history.highest_advice(raw, &situation.now, self.down_window);
        let stable = current.max(up).min(down);
        let (most, fewest) = (self.most(situation), self.fewest(situation));
        let size = stable.clamp(fewest.min(current), most.max(current));
        let (low, high) = (1.0 - self.tolerance, 1.0 + self.tolerance);
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
            Check::input("VMs at most after the limit of a change", most.into()),
            Check::input("VMs at least after the limit of a change", fewest.into()),
        ];
        let mut reason = format!("{ratio:.2} of target {:.2} over {ready} ready", self.target);
        reason = match raw.cmp(&size) {
            std::cmp::Ordering::Equal => format!("{reason}: {raw} needed"),
            _ => format!("{reason}: {raw} needed, {stable} after stabilisation, {size} allowed"),
        };
        Advice { raw: Some(raw), ..Advice::new(size, reason, checks) }
    }

    /// The most VMs that the limits of a scale-out allow now.
    fn most(&self, situation: &Situation) -> u32 {
        let current = situation.wanted();
        let start = start_of(situation, self.up.period);
        let by_pods = start.saturating_add(self.up.pods);
        let by_percent = ceil(f64::from(start) * (1.0 + self.up.percent / 100.0));
        match self.up.select {
            Select::Max => by_pods.max(by_percent),
            Select::Min => by_pods.min(by_percent),
            Select::Disabled => current,
        }
    }

    /// The fewest VMs that the limits of a scale-in allow now.
    fn fewest(&self, situation: &Situation) -> u32 {
        let current = situation.wanted();
        let start = start_of(situation, self.down.period);
        let by_pods = start.saturating_sub(self.down.pods);
        // Cut off, not rounded: of 72, 10 per cent take 8 away.
        let kept = f64::from(start) * (1.0 - self.down.percent / 100.0);
        let by_percent = ceil(kept.floor());
        match self.down.select {
            Select::Max => by_pods.min(by_percent),
            Select::Min => by_pods.max(by_percent),
            Select::Disabled => current,
        }
    }
}

const SELECT: &str = "max, min or disabled";

/// The size at the start of a period that ends now.
fn start_of(situation: &Situation, period: Duration) -> u32 {
    let lately = situation.changes.iter().filter(|change| change.ago < period);
    let (mut added, mut removed) = (0_u32, 0_u32);
    for change in lately {
        added = added.saturating_add(change.to.saturating_sub(change.from));
        removed = removed.saturating_add(change.from.saturating_sub(change.to));
    }
    situation.wanted().saturating_add(removed).saturating_sub(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case's name, the shares of the ready pods, how many are unready and missing, how many
    /// there are, the target, and how many there should be.
    type Case = (&'static str, &'static [f64], (u32, u32), u32, f64, u32);

    /// The recorded cases of Kubernetes itself that are about CPU, by their names in
    /// <https://github.com/kubernetes/kubernetes/blob/00067268967ec95a40035bd666374a1caf48dd1a/pkg/controller/podautoscaler/replica_calculator_test.go>,
    /// with CPU as a share of what was requested. A pod whose CPU is "hot" counts as not ready, and
    /// pods that failed or are being deleted do not count, as here.
    #[rustfmt::skip]
    const CASES: [Case; 22] = [
        ("ScaleUp", &[0.3, 0.5, 0.7], (0, 0), 3, 0.3, 5),
        ("ScaleUpUnreadyLessScale", &[0.5, 0.7], (1, 0), 3, 0.3, 4),
        ("ScaleUpHotCpuLessScale", &[0.5, 0.7], (1, 0), 3, 0.3, 4),
        ("ScaleUpUnreadyNoScale", &[0.4], (2, 0), 3, 0.3, 3),
        ("ScaleHotCpuNoScale", &[0.4], (2, 0), 3, 0.3, 3),
        ("ScaleUpIgnoresFailedPods", &[0.5, 0.7], (0, 0), 2, 0.3, 4),
        ("ScaleUpIgnoresDeletionPods", &[0.5, 0.7], (0, 0), 2, 0.3, 4),
        ("ScaleDown", &[0.1, 0.3, 0.5, 0.25, 0.25], (0, 0), 5, 0.5, 3),
        ("ScaleDownIncludeUnreadyPods", &[0.1, 0.3, 0.5], (2, 0), 5, 0.5, 2),
        ("ScaleDownExcludeUnscheduledPods", &[0.1], (4, 0), 5, 0.5, 1),
        ("ScaleDownIgnoreHotCpuPods", &[0.1, 0.3, 0.5], (2, 0), 5, 0.5, 2),
        ("Tolerance", &[1.02, 1.02, 1.02], (0, 0), 3, 1.0, 3),
        ("SuperfluousMetrics", &[4.0, 9.5, 3.0, 7.0], (0, 0), 4, 1.0, 24),
        ("MissingMetrics", &[0.4, 0.095], (0, 2), 4, 1.0, 3),
        ("MissingMetricsNoChangeEq", &[1.0], (0, 1), 2, 1.0, 2),
        ("MissingMetricsNoChangeGt", &[1.9], (0, 1), 2, 1.0, 2),
        ("MissingMetricsNoChangeLt", &[0.6], (0, 1), 2, 1.0, 2),
        ("MissingMetricsUnreadyChange", &[0.45], (1, 1), 3, 0.5, 3),
        ("MissingMetricsUnreadyScaleUp", &[2.0], (1, 1), 3, 0.5, 4),
        ("MissingMetricsUnreadyScaleDown", &[0.1, 0.1], (1, 1), 4, 0.5, 3),
        ("ComputedToleranceAlgImplementation, a little beyond", &[0.5; 10], (0, 0), 10, 0.56, 9),
        ("ComputedToleranceAlgImplementation, a little within", &[0.5; 10], (0, 0), 10, 0.55, 10),
    ];

    #[test]
    fn replicas_are_those_of_the_published_algorithm() {
        for (name, ready, (unready, missing), current, target, expected) in CASES {
            let pods = Pods { ready: ready.to_vec(), unready, missing };
            let (replicas, ratio) = pods.replicas(current, target, 0.1).unwrap();
            assert_eq!(replicas, expected, "{name}: ratio {ratio}");
        }
        // EmptyMetrics.
        assert_eq!(Pods::default().replicas(4, 1.0, 0.1), None);
    }
}
