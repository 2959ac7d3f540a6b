//! A load that comes again: waves, saw teeth, a job every ten minutes.
//!
//! The forecast for a moment of such a load is what was there one period before (the seasonal
//! naive method: R. J. Hyndman and G. Athanasopoulos, Forecasting: Principles and Practice, third
//! edition, 5.2). The period is the one that would have forecast the last minutes best, and it is
//! believed if it had done far better than the forecasts that were made.

use super::outlook::Step;

/// Its errors have to be below this share of those of the forecasts that were made.
const FAR_BETTER: f64 = 0.5;
/// By how much that share has to be smaller for a longer period: every period has multiples.
const BETTER: f64 = 0.02;
/// Fewest and most steps that are compared. Over a calm alone everything repeats.
const COMPARED: [usize; 2] = [60, 300];
/// Least share of a period that has to be seen a second time.
const SEEN_AGAIN: f64 = 0.3;
/// Steps on each side over which a load is smoothed, so that chance is not taken for a pattern.
const SMOOTHED: usize = 2;

/// Raises each forecast, made `horizon` steps ahead, to the most that came in that time a period
/// before. Gives the period in steps; none where nothing repeats.
pub(super) fn lift(steps: &mut [Step], horizon: usize) -> Option<usize> {
    let load = smoothed(steps);
    let period = period(steps, &load, horizon)?;
    for (step, start) in steps[period..].iter_mut().zip(0..) {
        let end = (start + horizon + 1).min(start + period);
        let most = load[start..end].iter().copied().fold(0.0, f64::max);
        step.ahead = step.ahead.max(most);
    }
    Some(period)
}

fn period(steps: &[Step], load: &[f64], horizon: usize) -> Option<usize> {
    let count = load.len();
    let [fewest, most] = COMPARED;
    // What the forecasts were off by, together, from each step on.
    let mut off = vec![0.0; count + 1];
    for step in (horizon..count).rev() {
        off[step] = off[step + 1] + (load[step] - steps[step - horizon].ahead).abs();
    }
    let (mut best, mut found) = (FAR_BETTER, None);
    for period in horizon + 2..count.saturating_sub(fewest) {
        let compared = most.min(count - period);
        if (compared as f64) < SEEN_AGAIN * period as f64 {
            break;
        }
        let first = count - compared;
        let bound = off[first] * if found.is_some() { best - BETTER } else { best };
        let (mut sum, pairs) = (0.0, (&load[first..], &load[first - period..count - period]));
        for (now, then) in pairs.0.chunks(16).zip(pairs.1.chunks(16)) {
            sum += now.iter().zip(then).map(|(now, then)| (now - then).abs()).sum::<f64>();
            if sum >= bound {
                break;
            }
        }
        if sum < bound {
            (best, found) = (sum / off[first], Some(period));
        }
    }
    found
}

fn smoothed(steps: &[Step]) -> Vec<f64> {
    let mean = |step: usize| {
        let around = &steps[step.saturating_sub(SMOOTHED)..steps.len().min(step + SMOOTHED + 1)];
        around.iter().map(|step| step.load).sum::<f64>() / around.len() as f64
    };
    (0..steps.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a load that was always expected to stay as it was lately.
    fn steps(load: impl Fn(usize) -> f64) -> Vec<Step> {
        let lately =
            |at: usize| (0..5).map(|back| load(at.saturating_sub(back))).sum::<f64>() / 5.0;
        (0..720).map(|at| Step { load: load(at), ahead: lately(at), chance: 1.0 }).collect()
    }

    #[test]
    fn a_saw_tooth_is_seen_coming_and_its_fall_costs_nothing() {
        // Falls from 100 to 10 in 200 steps, and jumps.
        let tooth = |at: usize| 100.0 - 0.45 * (at % 200) as f64;
        let mut all = steps(tooth);
        assert_eq!(lift(&mut all, 13), Some(200));
        // Ten steps before the jump; and long before it.
        assert!(all[590].ahead > 90.0, "{:?}", all[590]);
        assert!(all[500].ahead < tooth(500) + 2.0, "{:?}", all[500]);
    }

    #[test]
    fn chance_and_a_single_jump_are_no_pattern() {
        let mut random = fastrand::Rng::with_seed(3);
        let noise = (0..720).map(|_| 10.0 + 4.0 * random.f64()).collect::<Vec<_>>();
        assert_eq!(lift(&mut steps(|at| noise[at]), 13), None);
        assert_eq!(lift(&mut steps(|at| if at < 500 { 10.0 } else { 50.0 }), 13), None);
        assert_eq!(lift(&mut steps(|_| 10.0), 13), None);
        assert_eq!(lift(&mut steps(|_| 10.0)[..5], 13), None);
        assert_eq!(lift(&mut [], 13), None);
    }
}
