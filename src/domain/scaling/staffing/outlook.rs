//! The load that is expected by the time a VM ordered now serves.
//!
//! Holt's method follows level and trend (C. C. Holt, 1957, reprinted in International Journal of
//! Forecasting 20, 2004); the trend is damped (E. S. Gardner and E. `McKenzie`, Management Science
//! 31, 1985), and a jump that chance does not explain is believed at once.

use super::super::history::Observation;

/// Time in which the level forgets, in seconds: some reports, so that one odd report does not launch
/// a VM. This and the next four were chosen on one family of arrivals in virtual time and checked on
/// another (`cargo bench --bench scaling -- --family`); none is sharp.
const LEVEL: f64 = 20.0;
/// Time in which the trend forgets, in seconds. A quicker one mistakes chance for a trend.
const TREND: f64 = 480.0;
/// Time for which a trend is believed to last, in seconds.
const LASTS: f64 = 60.0;
/// Time in which the usual deviation from what was expected is forgotten, in seconds.
const USUAL: f64 = 300.0;
/// More than so many standard deviations above what was expected is no chance.
const JUMP: f64 = 4.0;
/// Standard deviation of a normal variate of which the mean deviation is 1, `√(π/2)`.
const DEVIATION: f64 = 1.2533;

/// What Holt's method makes of the past.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outlook {
    /// vCPUs now.
    pub(super) level: f64,
    /// vCPUs more per second.
    pub(super) trend: f64,
    /// Mean deviation from what was expected an observation before.
    deviation: f64,
}

/// A moment of the past, and what was expected at it. Steps are equally far apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// The load, in vCPUs: a mean over the step.
    pub(super) load: f64,
    /// What was expected a horizon later, in vCPUs.
    pub(super) ahead: f64,
    /// The variance that chance gives to a load of one vCPU: see [`chance`].
    pub(super) chance: f64,
}

impl Outlook {
    /// Follows the demand, observed every `period` seconds or so, and forecasts it over `horizon`
    /// seconds at each step of `step` seconds. A step without observations is like the one before.
    pub(super) fn follow<'a>(
        seen: impl Iterator<Item = &'a Observation>,
        horizon: f64,
        period: f64,
        step: f64,
    ) -> (Self, Vec<Step>) {
        let mut state = Self::default();
        let mut steps = Vec::<Step>::new();
        let (mut begin, mut last, mut here) = (0.0, None::<f64>, 0.0);
        for observation in seen {
            let (at, load) = (observation.at.as_secs_f64(), demand(observation));
            match last.replace(at) {
                None => (state.level, begin) = (load, at),
                Some(before) => {
                    let deviation = chance(observation, load, period).sqrt();
                    state.take_in(load, (at - before).max(0.001), deviation);
                }
            }
            let ahead = state.after(horizon);
            let newest = Step { load, ahead, chance: chance(observation, 1.0, period) };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour")]
            let number = ((at - begin) / step) as usize;
            let is_same = number < steps.len();
            if let Some(same) = steps.last_mut().filter(|_| is_same) {
                here += 1.0;
                *same = Step { load: same.load + (load - same.load) / here, ..newest };
            } else {
                here = 1.0;
                let before = steps.last().copied().unwrap_or(newest);
                steps.resize(number, before);
                steps.push(newest);
            }
        }
        (state, steps)
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
    pub(super) fn after(&self, horizon: f64) -> f64 {
        self.level + self.trend.max(0.0) * LASTS * (1.0 - (-horizon / LASTS).exp())
    }
}

/// The variance that chance alone gives to a load of so many vCPUs: that of arrivals that know
/// nothing of each other, of which each keeps a vCPU busy for its work, as a mean over a report
/// period. Requests much longer than the period give the square-root rule in its pure form; short
/// ones even out within it.
pub(super) fn chance(observation: &Observation, load: f64, period: f64) -> f64 {
    let rate = observation.rate.filter(|rate| *rate > 0.0);
    let work = rate.map_or(f64::INFINITY, |rate| demand(observation) / rate);
    load / (1.0 + period / work.max(0.001))
}

/// The demand that an observation shows, in vCPUs. Predictions can be too low, and CPU shares
/// saturate: the larger of the two is nearer to the truth. Without a balancer each request counts
/// as one vCPU.
pub(super) fn demand(observation: &Observation) -> f64 {
    // Adding zero turns -0 into 0.
    observation.offered.unwrap_or(observation.in_flight).max(observation.busy) + 0.0
}

/// Where [`demand`] comes from.
pub(super) fn source(observation: &Observation) -> &'static str {
    match observation.offered {
        Some(offered) if offered >= observation.busy => "offered load, vCPUs",
        None if observation.in_flight >= observation.busy => "requests in flight, vCPUs",
        _ => "busy, vCPUs",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(times: impl IntoIterator<Item = (f64, f64)>) -> Vec<Observation> {
        let at = |(seconds, offered)| Observation {
            at: Duration::from_secs_f64(seconds),
            offered: Some(offered),
            ..Observation::default()
        };
        times.into_iter().map(at).collect()
    }

    #[test]
    fn a_ramp_is_seen_ahead_and_a_fall_is_not_trusted() {
        let ramp = |slope: f64| {
            let at = |tick: u32| (f64::from(tick) * 5.0, 100.0 + slope * f64::from(tick) * 5.0);
            Outlook::follow(seen((0..120).map(at)).iter(), 60.0, 5.0, 5.0)
        };
        let (rising, steps) = ramp(0.1);
        // At 595 s the load is 159.5, and 165.5 a minute later; the damped trend sees most of it.
        let ahead = rising.after(60.0);
        assert!((161.5..165.5).contains(&ahead), "{ahead}, {rising:?}");
        assert_eq!(steps.len(), 120);
        assert!(steps[119].ahead > steps[119].load + 2.0, "{:?}", steps[119]);
        let (falling, _) = ramp(-0.1);
        assert!((falling.after(60.0) - falling.level).abs() < 1e-9, "{falling:?}");
    }

    #[test]
    fn steps_are_means_and_a_gap_is_filled_with_what_was_before_it() {
        let times = [(10.0, 1.0), (11.0, 2.0), (12.0, 3.0), (15.2, 4.0), (31.0, 8.0)];
        let (_, steps) = Outlook::follow(seen(times).iter(), 10.0, 1.0, 5.0);
        let loads = steps.iter().map(|step| step.load).collect::<Vec<_>>();
        assert_eq!(loads, [2.0, 4.0, 4.0, 4.0, 8.0]);
    }
}
