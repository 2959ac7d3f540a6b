//! So many requests per VM: the rule of queue workers.
//!
//! As event-driven autoscalers for containers apply it to a queue (`queueLength` and
//! `scaleOnInFlight` of <https://keda.sh/docs/latest/scalers/aws-sqs/>), with the tolerance of the
//! pod autoscaler that they hand their figure to, and with the cooldown before fewer.

use std::time::Duration;

use super::history::History;
use super::parameters::{BadPolicy, Parameters};
use super::{Advice, Situation, ceil};
use crate::domain::decision::Check;

/// `ceil(requests / per_vm)`, if that differs from what there is by more than a tolerance.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDepth {
    per_vm: f64,
    in_flight: bool,
    tolerance: f64,
    pub(super) cooldown: Duration,
}

impl QueueDepth {
    pub(super) fn read(from: &mut Parameters) -> Result<Self, BadPolicy> {
        let pause = Duration::from_mins(5);
        Ok(Self {
            per_vm: from.number("per_vm", 5.0, 0.001..=1e6, "requests that one VM may have")?,
            in_flight: from.word(
                "in_flight",
                "true",
                "true or false",
                "whether those worked on count beside those that wait",
            )?,
            tolerance: from.number("tolerance", 0.1, 0.0..=1.0, "so near it is left alone")?,
            cooldown: from.time("cooldown", pause, "it shrinks to the most of this time")?,
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let now = &situation.now;
        let requests = if self.in_flight { now.in_flight } else { now.queued };
        let wanted = situation.wanted();
        let ratio = requests / self.per_vm / f64::from(wanted.max(1));
        let is_near = wanted > 0 && (ratio - 1.0).abs() <= self.tolerance;
        let raw = if is_near { wanted } else { ceil(requests / self.per_vm) };
        let held = history.highest_advice(raw, now, self.cooldown);
        let size = if raw >= wanted { raw } else { held.min(wanted) };
        let what =
            if self.in_flight { "requests in flight or waiting" } else { "requests waiting" };
        let checks = vec![
            Check::input(what, requests),
            Check::input("requests per VM", self.per_vm),
            Check::compared("off what there is for, share", ratio - 1.0, self.tolerance, !is_near),
            Check::compared(
                "VMs needed above those wanted",
                raw.into(),
                wanted.into(),
                raw > wanted,
            ),
            Check::compared("most needed lately below", held.into(), wanted.into(), held < wanted),
        ];
        let seconds = self.cooldown.as_secs_f64();
        let mut reason = format!("{requests:.0} {what}, {} per VM: {raw} needed", self.per_vm);
        if raw < wanted && size == wanted {
            reason = format!("{reason}, {held} in the last {seconds} s");
        }
        Advice { raw: Some(raw), ..Advice::new(size, reason, checks) }
    }
}
