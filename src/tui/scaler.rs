//! What the autoscaler did, may do next and when: read from its decisions and the settings.

use std::time::Duration;

use super::data::{BALANCER_LATE, Data};
use super::format::{duration, percent, since};
use crate::domain::decision::Direction;

/// The share of CPU that the autoscaler aims at: what its last reason says, else the settings. The
/// settings of whoever looks need not be those of the cluster.
pub(crate) fn target(data: &Data) -> f64 {
    data.decisions
        .iter()
        .rev()
        .find_map(|decided| number_after(&decided.reason, "target "))
        .filter(|target| *target > 0.0 && *target <= 1.0)
        .unwrap_or_else(|| data.known.autoscaler.target_cpu.get())
}

/// The number that follows `words` in a reason.
pub(crate) fn number_after(reason: &str, words: &str) -> Option<f64> {
    let (_, after) = reason.split_once(words)?;
    let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
    after.get(..end)?.trim_end_matches('.').parse().ok()
}

/// How long until the autoscaler may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cooldowns {
    /// Until it may add VMs; zero is now.
    pub(crate) out: Duration,
    /// Until it may take one away; zero is now.
    pub(crate) into: Duration,
}

/// What is left of the cooldowns.
pub(crate) fn cooldowns(data: &Data) -> Cooldowns {
    let settings = &data.known.autoscaler;
    let last =
        |action| data.decisions.iter().rev().find(|decided| decided.action == action).map(|d| d.at);
    let left = |action, cooldown: Duration| {
        last(action).map_or(Duration::ZERO, |at| cooldown.saturating_sub(since(data.now, at)))
    };
    let mut cooldowns = Cooldowns {
        out: left(Direction::Out, settings.scale_out_cooldown),
        into: left(Direction::Out, settings.scale_in_cooldown)
            .max(left(Direction::In, settings.scale_in_cooldown)),
    };
    // The autoscaler itself knows best: it also counts what others changed.
    if let Some((last, told)) = data
        .decisions
        .back()
        .and_then(|last| Some((last, number_after(&last.reason, "for another ")?)))
    {
        let told = Duration::try_from_secs_f64(told).unwrap_or(Duration::ZERO);
        let told = told.saturating_sub(since(data.now, last.at));
        let grows = number_after(&last.reason, "mean cpu ") > number_after(&last.reason, "target ");
        let side = if grows { &mut cooldowns.out } else { &mut cooldowns.into };
        *side = told.max(*side);
    }
    cooldowns
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
        format!("may not grow, {wanted} is the maximum")
    } else {
        format!("may grow {}", said(out))
    };
    let into = if wanted <= document.minimum {
        format!("may not shrink, {wanted} is the minimum")
    } else {
        format!("may shrink {}", said(into))
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
    let target = percent(target(data));
    format!("{state} · {policy} {target} cpu · {} to {most}", document.minimum)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::scaling::{
        self, History, Member, Metric, Policy, Situation, TargetTracking,
    };
    use crate::domain::vm::VmId;
    use crate::units::Share;

    /// Guards the wording that both sides rely on.
    #[test]
    fn the_target_is_found_in_a_reason_that_the_policy_wrote() {
        let policy = TargetTracking {
            metric: Metric::Cpu,
            target: 0.55,
            warm_up: Duration::ZERO,
            scale_out_cooldown: Duration::ZERO,
            scale_in_cooldown: Duration::ZERO,
            window: Duration::from_secs(15),
        };
        let member = Member {
            id: VmId::numbered(1),
            running_for: Some(Duration::from_mins(1)),
            cpu: Some(Share::saturating(0.9)),
            in_flight: 0,
            vcpus: 2.0,
            disposable: true,
            protected: false,
        };
        let situation =
            Situation { members: vec![member], minimum: 1, maximum: 8, ..Situation::default() };
        let policy = Policy::TargetTracking(policy);
        let verdict = scaling::decide(Ok(&policy), &situation, &History::default());
        assert_eq!(number_after(&verdict.reason, "target "), Some(0.55), "{}", verdict.reason);
        assert_eq!(number_after(&verdict.reason, "mean cpu "), Some(0.90), "{}", verdict.reason);
        assert_eq!(number_after("paused", "target "), None);
    }

    #[test]
    fn a_cooldown_that_the_autoscaler_told_of_counts_down() {
        let mut data = Data::new(crate::tui::fixture::known(), crate::tui::fixture::now());
        let told = |reason: &str| crate::tui::data::Decided {
            at: crate::tui::fixture::ago(4),
            action: Direction::Hold,
            from: Some(3),
            to: 3,
            reason: reason.to_owned(),
            seen: None,
        };
        let cooling = "over 15 s, target 0.60: cooling down from a scale-out for another 44 s";
        data.decisions = [told(&format!("mean cpu 0.10 of 3 warm {cooling}"))].into();
        let left = cooldowns(&data);
        assert_eq!((left.out.as_secs(), left.into.as_secs()), (0, 40));
        data.decisions = [told(&format!("mean cpu 0.90 of 3 warm {cooling}"))].into();
        let left = cooldowns(&data);
        assert_eq!((left.out.as_secs(), left.into.as_secs()), (40, 0));
    }
}
