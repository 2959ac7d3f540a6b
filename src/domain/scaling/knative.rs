//! Knative's pod autoscaler: requests in flight over a stable and a panic window.
//!
//! The rule is that of `autoscaler.go` in the serving repository, with its defaults
//! (<https://knative.dev/docs/serving/autoscaling/kpa-specific/>). Whether it panics is worked out
//! again from the observations each time. With more than one VM it starts in panic, as there: until
//! it has seen a stable window it takes nothing away.

use std::time::Duration;

use super::history::{History, Observation};
use super::parameters::{BadPolicy, Parameters};
use super::{Advice, Situation, ceil};
use crate::domain::decision::Check;

/// The autoscaler with its published defaults, on requests per vCPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Knative {
    target: f64,
    pub(super) stable: Duration,
    panic_window: Duration,
    panic_threshold: f64,
    max_up: f64,
    max_down: f64,
}

/// What the windows say at one moment.
struct Wish {
    stable: u32,
    panic: u32,
    /// The panic window asks for so many times the VMs that serve.
    excess: f64,
}

impl Knative {
    pub(super) fn read(from: &mut Parameters) -> Result<Self, BadPolicy> {
        let seconds = Duration::from_secs;
        Ok(Self {
            target: from.number("target", 0.7, 0.01..=1e6, "requests in flight per vCPU")?,
            stable: from.time("stable_window", seconds(60), "time of the steady mean")?,
            panic_window: from.time("panic_window", seconds(6), "time of the quick mean")?,
            panic_threshold: from.number(
                "panic_threshold",
                2.0,
                1.0..=10.0,
                "it panics when the quick mean asks for so many times the VMs that serve",
            )?,
            max_up: from.number("max_scale_up_rate", 1000.0, 1.0..=1e6, "growth at most")?,
            max_down: from.number("max_scale_down_rate", 2.0, 1.0..=1e6, "shrinking at most")?,
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let per_vm = self.target * situation.vcpus_per_vm();
        let observations = history.until(&situation.now).collect::<Vec<_>>();
        let first = observations.first().filter(|first| first.ready > 1);
        let (mut since, mut highest) =
            (first.map(|first| first.at), first.map_or(0, |first| first.ready));
        let mut wish = Wish { stable: 0, panic: 0, excess: 0.0 };
        for (end, observation) in observations.iter().enumerate() {
            wish = self.wish(&observations[..=end], observation, per_vm);
            if wish.excess >= self.panic_threshold {
                since = Some(observation.at);
            } else if since.is_some_and(|since| since + self.stable < observation.at) {
                (since, highest) = (None, 0);
            }
            if since.is_some() {
                highest = highest.max(wish.panic).max(wish.stable);
            }
        }
        let size = if since.is_some() { highest } else { wish.stable };
        let now = situation.now.in_flight;
        let checks = vec![
            Check::input("requests in flight or waiting", now),
            Check::input("requests per VM", per_vm),
            Check::input("VMs needed over the stable window", wish.stable.into()),
            Check::input("VMs needed over the panic window", wish.panic.into()),
            Check::compared(
                "times the VMs that serve, to panic",
                wish.excess,
                self.panic_threshold,
                wish.excess >= self.panic_threshold,
            ),
            Check::compared("most needed in this panic", highest.into(), 0.0, since.is_some()),
        ];
        let mood = if since.is_some() { ", in panic" } else { "" };
        let reason = format!(
            "{now:.1} requests in flight, {per_vm:.2} per VM: {} needed over {} s, \
             {} over {} s{mood}",
            wish.stable,
            self.stable.as_secs_f64(),
            wish.panic,
            self.panic_window.as_secs_f64(),
        );
        let wanted = situation.wanted();
        if size < wanted && history.is_asked_for(&situation.now, self.stable) {
            let seconds = self.stable.as_secs_f64();
            let reason = format!("{reason}, but {wanted} were asked for in the last {seconds} s");
            return Advice { raw: Some(size), ..Advice::new(wanted, reason, checks) };
        }
        Advice { raw: Some(size), ..Advice::new(size, reason, checks) }
    }

    /// What the windows that end with `now`, the last of `seen`, ask for.
    fn wish(&self, seen: &[&Observation], now: &Observation, per_vm: f64) -> Wish {
        let ready = f64::from(now.ready.max(1));
        let mean = |window: Duration| {
            let from = now.at.saturating_sub(window);
            let recent = seen.iter().rev().take_while(|past| past.at >= from);
            let (sum, number) = recent.fold((0.0, 0.0), |(sum, n), o| (sum + o.in_flight, n + 1.0));
            if number > 0.0 { sum / number } else { 0.0 }
        };
        let (most, fewest) = ((self.max_up * ready).ceil(), (ready / self.max_down).floor());
        let (stable, panic) = (mean(self.stable) / per_vm, mean(self.panic_window) / per_vm);
        let bounded = |wish: f64| ceil(wish.ceil().max(fewest).min(most));
        Wish { stable: bounded(stable), panic: bounded(panic), excess: panic.ceil() / ready }
    }
}
