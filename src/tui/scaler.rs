//! What the autoscaler did, may do next and when: read from its decisions and the settings.

use std::time::Duration;

use super::data::{BALANCER_LATE, Data};
use super::format::{duration, percent, since};
use super::steer;
use crate::domain::decision::{Check, Direction};
use crate::domain::scaling::Metric;

/// The levels of mean CPU that the policy in force goes by, the lowest first; empty for a policy that
/// goes by something else.
pub(crate) fn marks(data: &Data) -> Vec<f64> {
    let Some((name, parameters)) = steer::parameters_in_force(data) else { return Vec::new() };
    let value = |wanted: &str| {
        parameters.iter().find(|p| p.name == wanted).map(|parameter| parameter.value.as_str())
    };
    if value("metric").is_some_and(|metric| metric != Metric::Cpu.as_str()) {
        return Vec::new();
    }
    let names: &[&str] = match name.as_str() {
        "target-tracking" | "kubernetes-hpa" => &["target"],
        "threshold" | "step" => &["low", "high"],
        _ => &[],
    };
    names.iter().filter_map(|name| value(name)?.parse().ok()).collect()
}

/// `60% cpu`, `30–70% cpu`; nothing for a policy that goes by something else.
pub(crate) fn marks_text(marks: &[f64]) -> Option<String> {
    match marks {
        [] => None,
        [one] => Some(format!("{} cpu", percent(*one))),
        [low, .., high] => Some(format!("{:.0}–{} cpu", low * 100.0, percent(*high))),
    }
}

/// How long until the autoscaler may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cooldowns {
    /// Until it may add VMs; zero is now.
    pub(crate) out: Duration,
    /// Until it may take one away; zero is now.
    pub(crate) into: Duration,
}

/// What is left of the cooldowns: each decision tells how much of them had passed.
pub(crate) fn cooldowns(data: &Data) -> Cooldowns {
    let mut cooldowns = Cooldowns::default();
    let Some(last) = data.decisions.iter().rev().find(|decided| !decided.checks.is_empty()) else {
        return cooldowns;
    };
    // A decision that changed the fleet starts them again.
    let moved = last.action != Direction::Hold;
    for check in last.checks.iter().filter(|check| check.name.starts_with("seconds since")) {
        let passed = if moved { 0.0 } else { check.value };
        let left = check.limit.unwrap_or(0.0) - passed;
        let left = Duration::try_from_secs_f64(left.max(0.0)).unwrap_or_default();
        let left = left.saturating_sub(since(data.now, last.at));
        let grows = check.name.ends_with("to grow");
        let shrinks = !grows;
        // The one pause of this policy is for both.
        let both = data.as_state.document.as_ref().is_some_and(|file| file.policy == "threshold");
        if grows || both {
            cooldowns.out = cooldowns.out.max(left);
        }
        if shrinks || both {
            cooldowns.into = cooldowns.into.max(left);
        }
    }
    cooldowns
}

/// The policies that shrink to the most that was needed within a time; the time, if that is what
/// keeps the fleet as it is.
fn held_by_the_past(data: &Data) -> Option<String> {
    let last = data.decisions.back()?;
    let held = |check: &&Check| check.name == "most needed lately below";
    last.checks.iter().find(held).filter(|check| check.holds == Some(false))?;
    let (_, parameters) = steer::parameters_in_force(data)?;
    let time = parameters.iter().find(|p| matches!(p.name, "hold" | "down_window"))?;
    // As the policy's dialog puts it.
    let time = if time.value == "auto" { "boot/4" } else { &time.value };
    Some(format!("shrinks after {time} of less"))
}

/// When the autoscaler may act next, in words.
pub(crate) fn next(data: &Data) -> String {
    let Some(document) = &data.as_state.document else { return "no autoscaler yet".to_owned() };
    if document.paused {
        return "paused: it leaves the size of the fleet alone".to_owned();
    }
    let spoke = document.decided_at.map(|at| since(data.now, at));
    let late = data.known.late_after().max(BALANCER_LATE);
    match spoke {
        None => return "it has decided nothing yet".to_owned(),
        Some(age) if age > late => {
            return format!("unknown: it has said nothing for {}", duration(age));
        }
        Some(_) => {}
    }
    let Cooldowns { out, into } = cooldowns(data);
    let wanted = document.wanted();
    let said = |time: Duration| {
        if time.is_zero() { "now".to_owned() } else { format!("in {}", duration(ceil(time))) }
    };
    let out = if wanted >= document.maximum {
        format!("may not grow above {wanted}")
    } else {
        format!("may grow {}", said(out))
    };
    let into = if wanted <= document.minimum {
        format!("may not shrink below {wanted}")
    } else {
        held_by_the_past(data).unwrap_or_else(|| format!("may shrink {}", said(into)))
    };
    format!("{out} · {into}")
}

/// A countdown that has not ended yet never shows 0.
fn ceil(time: Duration) -> Duration {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(seconds)
}

/// The bounds in force, in words.
pub(crate) fn bounds(data: &Data) -> String {
    let Some(document) = &data.as_state.document else { return String::new() };
    let policy = if document.policy.is_empty() { "no policy" } else { &document.policy };
    let most = match document.maximum {
        u32::MAX => "no limit".to_owned(),
        most => most.to_string(),
    };
    let state = if document.paused { "PAUSED" } else { "on" };
    let marks = marks_text(&marks(data)).map(|text| format!(" {text}")).unwrap_or_default();
    let refresh = document
        .refresh
        .as_ref()
        .map(|refresh| format!(" · refresh, {} at a time", percent(refresh.share.get())));
    let refresh = refresh.unwrap_or_default();
    format!("{state} · {policy}{marks} · {} to {most}{refresh}", document.minimum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{ago, model, scaling};

    fn with(policy: &str, parameters: &[(&str, &str)]) -> Data {
        let mut news = scaling();
        let mut file = (**news.as_state.as_ref().unwrap().document.as_ref().unwrap()).clone();
        policy.clone_into(&mut file.policy);
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        file.parameters = parameters.iter().map(own).collect();
        news.as_state.as_mut().unwrap().document = Some(std::sync::Arc::new(file));
        model(news).live
    }

    #[test]
    fn a_level_of_cpu_is_shown_only_for_a_policy_that_goes_by_it() {
        assert_eq!(marks(&with("target-tracking", &[("target", "0.55")])), [0.55]);
        assert_eq!(marks(&with("threshold", &[])), [0.3, 0.7]);
        assert_eq!(marks(&with("staffing", &[])), [0.0; 0]);
        assert_eq!(marks(&with("target-tracking", &[("metric", "requests")])), [0.0; 0]);
        assert_eq!(marks_text(&[0.3, 0.7]).unwrap(), "30–70% cpu");
    }

    #[test]
    fn a_cooldown_that_the_autoscaler_told_of_counts_down() {
        let mut data = with("target-tracking", &[]);
        let decided = |action, passed, limit| crate::tui::data::Decided {
            at: ago(4),
            action,
            from: Some(3),
            to: 3,
            reason: String::new(),
            checks: vec![
                Check::compared("seconds since a scale-out, to grow", passed, limit, false),
                Check::compared("seconds since a change, to shrink", passed, 4.0 * limit, false),
            ],
            seen: None,
        };
        let left = |data: &Data| {
            let Cooldowns { out, into } = cooldowns(data);
            (out.as_secs(), into.as_secs())
        };
        data.decisions = [decided(Direction::Hold, 10.0, 20.0)].into();
        assert_eq!(left(&data), (6, 66));
        data.decisions = [decided(Direction::Out, 100.0, 20.0)].into();
        assert_eq!(left(&data), (16, 76), "it starts again with the change");
        data.decisions = [decided(Direction::Hold, 100.0, 20.0)].into();
        assert_eq!(left(&data), (0, 0));
    }
}
