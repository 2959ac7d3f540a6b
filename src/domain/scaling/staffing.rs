//! Staffing: as many vCPUs as the work that arrives will need by the time a VM could be there, and
//! room for chance.
//!
//! The offered load `R` is the number of vCPUs that the arriving work would keep exactly busy. It
//! does not saturate as CPU shares do: twice the arrivals are twice `R`, however few VMs there are.
//! Holt's method follows its level and trend (C. C. Holt, 1957, reprinted in International Journal
//! of Forecasting 20, 2004), so that what is ordered now fits the load when it has booted.
//!
//! The room for chance is the larger of two. One is that of the square-root rule: `R + β √R` vCPUs
//! make an arrival wait with a probability that depends on `β` alone, whatever the size (S. Halfin
//! and W. Whitt, Operations Research 29, 1981). `√R` is the standard deviation of the number of
//! requests at work; where requests are short, what counts is how much work a report period brings,
//! which varies less. The other is what the forecasts of the last hour fell short by: no more than
//! it in all but the share `wait` of them (split conformal prediction: J. Lei and others, Journal
//! of the American Statistical Association 113, 2018). So a load that moves more than chance would
//! move it gets the room that it has shown to need, and a single jump an hour does not.

use std::collections::VecDeque;
use std::time::Duration;

use super::history::{History, Observation};
use super::parameters::{BadPolicy, Parameters};
use super::policy::Defaults;
use super::{Advice, Situation, ceil};
use crate::domain::decision::Check;

/// Time in which the level forgets, in seconds: some reports, so that one odd report does not launch
/// a VM. This and the next four were chosen on one family of arrivals in virtual time and checked on
/// another (`cargo bench --bench scaling -- --family`); none is sharp.
const LEVEL: f64 = 20.0;
/// Time in which the trend forgets, in seconds. A quicker one mistakes chance for a trend.
const TREND: f64 = 480.0;
/// Time for which a trend is believed to last, in seconds (a damped trend: E. S. Gardner and
/// E. `McKenzie`, Management Science 31, 1985).
const LASTS: f64 = 60.0;
/// Time in which the usual deviation from what was expected is forgotten, in seconds.
const USUAL: f64 = 300.0;
/// More than so many standard deviations above what was expected is no chance.
const JUMP: f64 = 4.0;
/// Standard deviation of a normal variate of which the mean deviation is 1, `√(π/2)`.
const DEVIATION: f64 = 1.2533;
/// Less than this many vCPUs is no load.
const NOTHING: f64 = 0.001;

/// What staffing aims at, and how patient it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Staffing {
    wait: f64,
    beta: f64,
    /// None: as the boot asks for.
    hold: Option<Duration>,
    /// The longest hold where nothing is said.
    cooldown: Duration,
    band: f64,
    clear: Duration,
    forecast: bool,
}

/// What Holt's method makes of the past.
#[derive(Debug, Clone, Copy, Default)]
struct Outlook {
    /// vCPUs now.
    level: f64,
    /// vCPUs more per second.
    trend: f64,
    /// Mean deviation from what was expected a period before.
    deviation: f64,
}

impl Staffing {
    pub(super) fn read(from: &mut Parameters, defaults: &Defaults) -> Result<Self, BadPolicy> {
        let wait = from.number("wait", 0.085, 0.001..=0.9, "chance that work finds no VM")?;
        Ok(Self {
            wait,
            beta: beta(wait),
            hold: from.time_or("hold", "auto", "it shrinks to the most of this; auto: boot / 4")?,
            cooldown: defaults.scale_in_cooldown,
            band: from.number("band", 0.03, 0.0..=0.5, "share of the fleet not worth a change")?,
            clear: from.time("clear", Duration::from_secs(30), "time to work off a backlog")?,
            forecast: from.word(
                "forecast",
                "true",
                "true or false",
                "whether the same time yesterday counts",
            )?,
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let now = &situation.now;
        let horizon = (situation.boot + situation.period).as_secs_f64();
        let period = situation.period.as_secs_f64();
        let (outlook, mut short) = Outlook::of(history.until(now), horizon, period);
        let ahead = outlook.after(horizon);
        let yesterday = situation.forecast.filter(|_| self.forecast);
        let load = yesterday.map_or(ahead, |seen| ahead.max(seen));
        let short = quantile(&mut short, 1.0 - self.wait);
        let room = (self.beta * chance(now, load, period).sqrt()).max(short);
        let backlog = now.backlog.unwrap_or(0.0) / self.clear.as_secs_f64().max(1.0);
        let need = if load < NOTHING { backlog } else { load + room + backlog };
        let raw = ceil(need / situation.vcpus_per_vm());
        let (size, held) = self.patient(situation, history, raw);
        let wanted = f64::from(situation.wanted());
        let mut checks = vec![
            Check::input(source(now), demand(now)),
            Check::input("level, vCPUs", outlook.level),
            Check::input("trend, vCPUs per minute", outlook.trend * 60.0),
            Check::input("seconds ahead", horizon),
            Check::input("load expected then, vCPUs", load),
            Check::input("chance of waiting", self.wait),
            Check::input("forecasts fell short by, vCPUs", short),
            Check::input("room for chance, vCPUs", room),
            Check::input("backlog, vCPUs to work it off", backlog),
            Check::input("vCPUs per VM", situation.vcpus_per_vm()),
            Check::compared(
                "VMs needed above those wanted",
                raw.into(),
                wanted,
                f64::from(raw) > wanted,
            ),
            Check::compared(
                "most needed lately below",
                held.into(),
                wanted,
                f64::from(held) < wanted,
            ),
            Check::compared(
                "VMs to change, worth it",
                f64::from(held.max(raw)) - wanted,
                self.least_change(situation.wanted()).into(),
                size != situation.wanted(),
            ),
        ];
        if let Some(seen) = yesterday {
            checks.push(Check::input("load at the same time yesterday, vCPUs", seen));
        }
        let asked_for = held < situation.wanted() && self.keeps(situation, history);
        let sizes = (raw, held, size);
        let reason = self.reason(situation, sizes, (demand(now), load, room), asked_for);
        Advice { raw: Some(raw), ..Advice::new(size, reason, checks) }
    }

    /// What can be had back within a short boot need not be kept for long, but some reports must
    /// agree.
    fn hold(&self, situation: &Situation) -> Duration {
        let auto = || (situation.boot / 4).max(situation.period * 3).min(self.cooldown);
        self.hold.unwrap_or_else(auto)
    }

    pub(super) fn patience(&self) -> Duration {
        self.hold.unwrap_or(self.cooldown)
    }

    /// Out at once; in to the most that was needed lately, and only by what is worth it.
    fn patient(&self, situation: &Situation, history: &History, raw: u32) -> (u32, u32) {
        let held = history.highest_advice(raw, &situation.now, self.hold(situation));
        let wanted = situation.wanted();
        let least = self.least_change(wanted);
        if raw < wanted && self.keeps(situation, history) {
            return (wanted, held);
        }
        let aim = if raw > wanted { raw } else { held.min(wanted) };
        (if aim.abs_diff(wanted) < least { wanted } else { aim }, held)
    }

    /// What a person has just asked for is not taken back at once.
    fn keeps(&self, situation: &Situation, history: &History) -> bool {
        history.is_asked_for(&situation.now, self.patience())
    }

    fn least_change(&self, wanted: u32) -> u32 {
        ceil(f64::from(wanted) * self.band).max(1)
    }

    fn reason(
        &self,
        situation: &Situation,
        (raw, held, size): (u32, u32, u32),
        (load, ahead, room): (f64, f64, f64),
        asked_for: bool,
    ) -> String {
        let horizon = (situation.boot + situation.period).as_secs_f64();
        let wanted = situation.wanted();
        let said = format!(
            "{} {load:.2} vCPUs, {ahead:.2} expected in {horizon:.0} s, {room:.2} for chance: \
             {raw} needed",
            source(&situation.now).trim_end_matches(", vCPUs"),
        );
        if size != wanted || raw == wanted {
            return said;
        }
        if held >= wanted && raw < wanted {
            return format!(
                "{said}, {held} in the last {:.0} s",
                self.hold(situation).as_secs_f64()
            );
        }
        if asked_for {
            let patience = self.patience().as_secs_f64();
            return format!("{said}, but {wanted} were asked for in the last {patience:.0} s");
        }
        format!("{said}, {wanted} is near enough")
    }
}

impl Outlook {
    /// Follows the demand through observations made every `period` seconds or so. Tells, too, what
    /// each forecast over `horizon` seconds fell short by.
    fn of<'a>(
        seen: impl Iterator<Item = &'a Observation>,
        horizon: f64,
        period: f64,
    ) -> (Self, Vec<f64>) {
        let mut state = Self::default();
        let mut last = None::<f64>;
        let mut forecasts = VecDeque::<(f64, f64)>::new();
        let mut short = Vec::new();
        for observation in seen {
            let (at, value) = (observation.at.as_secs_f64(), demand(observation));
            match last.replace(at) {
                None => state.level = value,
                Some(before) => {
                    let deviation = chance(observation, value, period).sqrt();
                    state.take_in(value, (at - before).max(0.001), deviation);
                }
            }
            let mut due = None;
            while forecasts.front().is_some_and(|(then, _)| *then <= at) {
                due = forecasts.pop_front();
            }
            short.extend(due.map(|(_, forecast)| value - forecast));
            forecasts.push_back((at + horizon, state.after(horizon)));
        }
        (state, short)
    }

    /// Takes in the demand after `time` seconds; `deviation` is what chance makes of it where
    /// requests are alike. Weights follow from the time, so that observations need not be equally
    /// far apart.
    fn take_in(&mut self, value: f64, time: f64, deviation: f64) {
        let weight = |forgets: f64| 1.0 - (-time / forgets).exp();
        let expected = self.level + self.trend * time;
        let above = value - expected;
        // Requests of very different sizes make larger waves.
        let jump = JUMP * deviation.max(DEVIATION * self.deviation);
        self.deviation += weight(USUAL) * (above.abs().min(jump) - self.deviation);
        if above > jump {
            // The balancer's figure is a mean over ten seconds, so half of a jump that has just
            // happened is still to be seen. It says nothing of a trend.
            self.level = value + above;
            return;
        }
        let before = self.level;
        self.level = (expected + weight(LEVEL) * above).max(0.0);
        self.trend += weight(TREND) * ((self.level - before) / time - self.trend);
    }

    /// The demand in so many seconds. A falling trend is not trusted: it is the hold that decides
    /// how fast a fleet shrinks.
    fn after(&self, horizon: f64) -> f64 {
        self.level + self.trend.max(0.0) * LASTS * (1.0 - (-horizon / LASTS).exp())
    }
}

/// The value that this share of all is not above; 0 where there are none.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of values"
    )]
    let at = (values.len() as f64 * share) as usize;
    match values.len().checked_sub(1) {
        None => 0.0,
        Some(last) => *values.select_nth_unstable_by(at.min(last), f64::total_cmp).1,
    }
}

/// The variance that chance alone gives to a load of so many vCPUs: that of arrivals that know
/// nothing of each other, of which each keeps a vCPU busy for its work, as a mean over a report
/// period. Requests much longer than the period give the square-root rule in its pure form; short
/// ones even out within it.
fn chance(observation: &Observation, load: f64, period: f64) -> f64 {
    let rate = observation.rate.filter(|rate| *rate > 0.0);
    let work = rate.map_or(f64::INFINITY, |rate| demand(observation) / rate);
    load / (1.0 + period / work.max(0.001))
}

/// The demand that an observation shows, in vCPUs. Predictions can be too low, and CPU shares
/// saturate: the larger of the two is nearer to the truth. Without a balancer each request counts
/// as one vCPU.
fn demand(observation: &Observation) -> f64 {
    // Adding zero turns -0 into 0.
    observation.offered.unwrap_or(observation.in_flight).max(observation.busy) + 0.0
}

fn source(observation: &Observation) -> &'static str {
    match observation.offered {
        Some(offered) if offered >= observation.busy => "offered load, vCPUs",
        None if observation.in_flight >= observation.busy => "requests in flight, vCPUs",
        _ => "busy, vCPUs",
    }
}

/// The `β` for which the chance of waiting is `wait`: `1 / (1 + β Φ(β) / φ(β))` falls from 1 at 0.
fn beta(wait: f64) -> f64 {
    let chance = |beta: f64| {
        let density = (-beta * beta / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        1.0 / (1.0 + beta * normal(beta) / density)
    };
    let (mut low, mut high) = (0.0, 8.0);
    // Each step halves the interval: after 50 it is below the rounding errors.
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if chance(middle) > wait { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The distribution of the standard normal, by its Taylor series
/// `1/2 + φ(x) (x + x³/3 + x⁵/15 + …)` (G. Marsaglia, Journal of Statistical Software 11, 2004).
fn normal(x: f64) -> f64 {
    let (mut sum, mut term, mut next) = (x, x, 3.0);
    while term.abs() > 1e-16 * sum.abs() {
        term *= x * x / next;
        sum += term;
        next += 2.0;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_is_that_of_the_published_table() {
        // Halfin and Whitt: β 1 waits in 22.3 % of the cases, 1.5 in 8.5 %, 2 in 2.7 %.
        for (wait, expected) in [(0.2233, 1.0), (0.0847, 1.5), (0.0269, 2.0)] {
            assert!((beta(wait) - expected).abs() < 0.005, "{wait}: {}", beta(wait));
        }
    }

    #[test]
    fn a_quantile_is_not_exceeded_by_more_than_its_share() {
        let mut values = (0..100_u8).rev().map(f64::from).collect::<Vec<_>>();
        assert!((quantile(&mut values, 0.9) - 90.0).abs() < 1e-9);
        assert!((quantile(&mut values, 1.0) - 99.0).abs() < 1e-9);
        assert!((quantile(&mut [3.0], 0.1) - 3.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.9).abs() < 1e-9);
    }

    #[test]
    fn a_jump_once_in_an_hour_does_not_make_room_for_another() {
        let at = |tick: u32| Observation {
            at: Duration::from_secs(u64::from(tick) * 5),
            // The mean of ten seconds.
            offered: Some(match tick {
                0..300 => 10.0,
                300 => 55.0,
                _ => 100.0,
            }),
            ..Observation::default()
        };
        let seen = (0..720).map(at).collect::<Vec<_>>();
        let (_, mut short) = Outlook::of(seen.iter(), 60.0, 5.0);
        assert!(quantile(&mut short, 0.9) < 1.0);
        assert!(quantile(&mut short, 0.999) > 80.0);
    }

    #[test]
    fn a_ramp_is_seen_ahead_and_a_fall_is_not_trusted() {
        let ramp = |slope: f64| {
            let at = move |tick: u32| Observation {
                at: Duration::from_secs(u64::from(tick) * 5),
                offered: Some(100.0 + slope * f64::from(tick) * 5.0),
                ..Observation::default()
            };
            let seen = (0..120).map(at).collect::<Vec<_>>();
            Outlook::of(seen.iter(), 60.0, 5.0)
        };
        let (rising, mut short) = ramp(0.1);
        // At 595 s the load is 159.5, and 165.5 a minute later. What the damped trend leaves of
        // that is what the forecasts fell short by.
        let ahead = rising.after(60.0) + quantile(&mut short, 0.9);
        assert!((165.0..171.0).contains(&ahead), "{ahead}, {rising:?}");
        let (falling, _) = ramp(-0.1);
        assert!((falling.after(60.0) - falling.level).abs() < 1e-9, "{falling:?}");
    }
}
