//! The policies by name.

use std::time::Duration;

use super::history::History;
use super::hpa::KubernetesHpa;
use super::knative::Knative;
use super::parameters::{BadPolicy, Parameter, Parameters};
use super::queue_depth::QueueDepth;
use super::schedule::{Schedule, Static};
use super::staffing::Staffing;
use super::step::Step;
use super::threshold::Threshold;
use super::tracking::TargetTracking;
use super::{Advice, Situation};
use crate::units::Share;

/// What a policy takes where its parameters do not say it: the settings of the autoscaler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Mean CPU share to aim at.
    pub target_cpu: Share,
    /// How long a VM must have run before its CPU share counts.
    pub warm_up: Duration,
    /// Pause after a scale-out before the next.
    pub scale_out_cooldown: Duration,
    /// Pause after any change before a scale-in.
    pub scale_in_cooldown: Duration,
    /// The time that CPU shares are means of.
    pub window: Duration,
}

/// The policy of a cluster of which nothing else is said.
pub const DEFAULT: &str = "staffing";

/// How many VMs there should be, as a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    /// As many as arrivals and their work ask for, with a margin for chance: the default.
    Staffing(Staffing),
    /// As many as keep a measure at its target.
    TargetTracking(TargetTracking),
    /// One step more above a mark, one fewer below another.
    Threshold(Threshold),
    /// Adjustments by how far a measure is from its mark.
    Step(Step),
    /// The Horizontal Pod Autoscaler's rule.
    KubernetesHpa(KubernetesHpa),
    /// Knative's rule: a stable window, and one for panic.
    Knative(Knative),
    /// So many as keep the backlog of each VM short.
    QueueDepth(QueueDepth),
    /// Sizes by the time of day.
    Scheduled(Schedule),
    /// Always the same.
    Static(Static),
}

/// Every policy: its name and what it does, in a line.
pub const POLICIES: [(&str, &str); 9] = [
    ("staffing", "offered load and its trend, with room for a chosen chance of waiting"),
    ("target-tracking", "mean CPU, requests in flight or requests per second near a target"),
    ("threshold", "one step out above a high mark, one step in below a low mark"),
    ("step", "the further from the mark, the larger the step"),
    ("kubernetes-hpa", "the horizontal pod autoscaler: ratio to a target, stabilised"),
    ("knative", "requests in flight over a stable and a panic window"),
    ("queue-depth", "so many requests per VM"),
    ("scheduled", "sizes by weekday and time of day"),
    ("static", "always the same size"),
];

impl Policy {
    /// Reads a policy from its name and parameters, and tells the parameters in force.
    ///
    /// # Errors
    /// [`BadPolicy`]: no such policy, no such parameter, or a value that makes no sense.
    pub fn read(
        name: &str,
        given: &[(String, String)],
        defaults: &Defaults,
    ) -> Result<(Self, Vec<Parameter>), BadPolicy> {
        let Some((name, _)) = POLICIES.iter().find(|(known, _)| *known == name) else {
            let names = POLICIES.map(|(name, _)| name).join(", ");
            let shown: String = name.chars().take(80).collect();
            return Err(BadPolicy(format!(
                "there is no policy called `{shown}`; there is {names}"
            )));
        };
        let mut from = Parameters::new(name, given);
        let policy = match *name {
            "staffing" => Self::Staffing(Staffing::read(&mut from, defaults)?),
            "target-tracking" => Self::TargetTracking(TargetTracking::read(&mut from, defaults)?),
            "threshold" => Self::Threshold(Threshold::read(&mut from, defaults)?),
            "step" => Self::Step(Step::read(&mut from, defaults)?),
            "kubernetes-hpa" => Self::KubernetesHpa(KubernetesHpa::read(&mut from)?),
            "knative" => Self::Knative(Knative::read(&mut from)?),
            "queue-depth" => Self::QueueDepth(QueueDepth::read(&mut from)?),
            "scheduled" => Self::Scheduled(Schedule::read(&mut from)?),
            // The table has no other name.
            _ => Self::Static(Static::read(&mut from)?),
        };
        Ok((policy, from.finish()?))
    }

    /// How many VMs it wants now.
    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        match self {
            Self::Staffing(policy) => policy.advise(situation, history),
            Self::TargetTracking(policy) => policy.advise(situation, history),
            Self::Threshold(policy) => policy.advise(situation, history),
            Self::Step(policy) => policy.advise(situation, history),
            Self::KubernetesHpa(policy) => policy.advise(situation, history),
            Self::Knative(policy) => policy.advise(situation, history),
            Self::QueueDepth(policy) => policy.advise(situation, history),
            Self::Scheduled(policy) => policy.advise(situation),
            Self::Static(policy) => policy.advise(situation),
        }
    }

    /// Whether its sizes come from what arrives, and not from a person's word.
    pub(super) fn follows_load(&self) -> bool {
        !matches!(self, Self::Scheduled(_) | Self::Static(_))
    }

    /// How long it waits before a scale-in.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Staffing(policy) => policy.patience(),
            Self::TargetTracking(policy) => policy.scale_in_cooldown,
            Self::Threshold(policy) => policy.cooldown,
            Self::Step(policy) => policy.cooldown,
            Self::KubernetesHpa(policy) => policy.patience(),
            Self::Knative(policy) => policy.stable,
            Self::QueueDepth(policy) => policy.cooldown,
            Self::Scheduled(_) | Self::Static(_) => Duration::ZERO,
        }
    }
}
