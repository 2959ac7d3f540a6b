//! How many VMs there should be.
//!
//! [`decide`] asks a [`Policy`] how many it wants and then guards the fleet: the bounds hold, what
//! nobody reports of is not taken away, launches are not unlimited, and a fleet that swings is made
//! to wait. All of it is a pure function of a [`Situation`] and a [`History`].

mod forecast;
mod history;
mod hpa;
mod knative;
mod parameters;
mod policy;
mod queue_depth;
mod schedule;
mod situation;
mod staffing;
mod step;
mod threshold;
mod tracking;

use std::time::Duration;

use crate::domain::decision::{Check, Direction};
use crate::domain::termination::Candidate;
use crate::domain::vm::VmId;

pub use forecast::Daybook;
pub use history::{History, KEPT, Metric, Observation};
pub use parameters::{BadPolicy, Parameter, named};
pub use policy::{DEFAULT, Defaults, POLICIES, Policy};
pub use situation::{Change, Member, Situation};
pub use tracking::TargetTracking;

/// The most VMs that are launched within a minute, unless the fleet itself is larger. A slip of the
/// hand (`minimum="10000"`) can be put right before it has been obeyed whole.
const MOST_LAUNCHES: u32 = 100;
/// The minute of [`MOST_LAUNCHES`].
const LAUNCHES_COUNT: Duration = Duration::from_mins(1);
/// A fleet that turned round more often than this within [`SWINGS_COUNT`] swings.
const MOST_TURNS: usize = 4;
/// The last VM stays until nothing has arrived for so long, and comes back when something does
/// (`cooldownPeriod` of <https://keda.sh/docs/latest/reference/scaledobject-spec/>).
const LAST_STAYS: Duration = Duration::from_mins(5);
/// See [`MOST_TURNS`].
const SWINGS_COUNT: Duration = Duration::from_mins(10);

/// What a policy wants.
#[derive(Debug, Clone, PartialEq)]
struct Advice {
    /// VMs; as many as are wanted already is a hold.
    size: u32,
    /// VMs before the policy's patience had its say, for policies that look back on it.
    raw: Option<u32>,
    reason: String,
    checks: Vec<Check>,
}

impl Advice {
    fn new(size: u32, reason: String, checks: Vec<Check>) -> Self {
        Self { size, raw: None, reason, checks }
    }

    fn hold(situation: &Situation, reason: String) -> Self {
        Self::new(situation.wanted(), reason, Vec::new())
    }
}

/// What to do with the size of the fleet, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Which way.
    pub direction: Direction,
    /// VMs wanted before.
    pub from: u32,
    /// VMs wanted from now on.
    pub to: u32,
    /// The VMs to take away: as many as `from` exceeds `to`.
    pub victims: Vec<VmId>,
    /// The numbers it was made from, as a sentence.
    pub reason: String,
    /// The same numbers one by one.
    pub checks: Vec<Check>,
    /// What the policy asked for before its patience and the bounds had their say, to be kept in
    /// the history; none where it was not asked.
    pub advice: Option<u32>,
}

impl Verdict {
    /// The same, made from this number first.
    fn with(mut self, check: Check) -> Self {
        self.checks.insert(0, check);
        self
    }
}

/// Decides how many VMs there should be. The result is never below the minimum nor above the
/// maximum, except where an operator's own VMs exceed it, and never smaller than before while a
/// report is late or missing.
///
/// A policy that could not be read is given as its error: the bounds and a person's wish hold, and
/// beyond that nothing is changed.
pub fn decide(
    policy: Result<&Policy, &BadPolicy>,
    situation: &Situation,
    history: &History,
) -> Verdict {
    let wanted = situation.wanted();
    if let Some(asked) = situation.asked {
        return obey(situation, asked);
    }
    if situation.paused {
        let check = Check::input("VMs wanted", wanted.into());
        return hold(situation, "the autoscaler is paused".to_owned()).with(check);
    }
    let (minimum, maximum) = (situation.minimum, situation.maximum);
    if wanted < minimum {
        let reason = format!("{wanted} wanted, the minimum is {minimum}");
        let name = "VMs wanted below the minimum";
        let check = Check::compared(name, wanted.into(), minimum.into(), true);
        return grow(situation, minimum, reason).with(check);
    }
    if wanted > maximum {
        let reason = format!("{wanted} wanted, the maximum is {maximum}");
        let shrunk = shrink(situation, wanted - maximum, reason, |member| member.disposable);
        let verdict = shrunk.unwrap_or_else(|| {
            let reason = "more than the maximum, all of them protected or an operator's wish";
            hold(situation, format!("{wanted} wanted, {reason}"))
        });
        let name = "VMs wanted above the maximum";
        return verdict.with(Check::compared(name, wanted.into(), maximum.into(), true));
    }
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => return hold(situation, error.to_string()),
    };
    let advice = policy.advise(situation, history);
    let advice = if policy.follows_load() { awake(advice, situation, history) } else { advice };
    let verdict = guard(policy, situation, &advice);
    Verdict { advice: advice.raw.or(Some(advice.size)), ..verdict }
}

/// The advice to have one VM at least while requests come, or came a while ago: without any,
/// none would be answered, and a policy would see nothing that it could size a fleet by.
fn awake(advice: Advice, situation: &Situation, history: &History) -> Advice {
    let mut lately = history.window(&situation.now, LAST_STAYS);
    let is_used = |past: &Observation| past.rate.unwrap_or(0.0) > 0.0 || past.in_flight > 0.0;
    if advice.size > 0 || situation.maximum == 0 || !lately.any(is_used) {
        return advice;
    }
    let minutes = LAST_STAYS.as_secs_f64() / 60.0;
    let reason = format!("{}, 1 while requests came in the last {minutes} min", advice.reason);
    Advice { size: 1, raw: advice.raw.map(|raw| raw.max(1)), reason, ..advice }
}

/// Holds an advice against the rules that no policy may break.
fn guard(policy: &Policy, situation: &Situation, advice: &Advice) -> Verdict {
    let Advice { size, reason, .. } = advice;
    let wanted = situation.wanted();
    let to = (*size).clamp(situation.minimum, situation.maximum);
    let mut checks = advice.checks.clone();
    let (minimum, maximum) = (situation.minimum.into(), situation.maximum.into());
    if to != *size {
        let (name, bound) = if to > *size {
            ("asked for below the minimum", minimum)
        } else {
            ("asked for above the maximum", maximum)
        };
        checks.push(Check::compared(name, (*size).into(), bound, true));
    }
    let bounded = |reason: &str| {
        if to == *size { reason.to_owned() } else { format!("{reason}, the bounds allow {to}") }
    };
    let verdict = match to.cmp(&wanted) {
        std::cmp::Ordering::Equal => hold(situation, bounded(reason)),
        std::cmp::Ordering::Greater => grow(situation, to, bounded(reason)),
        std::cmp::Ordering::Less => {
            let refused = refuses_fewer(policy.patience(), situation, &mut checks);
            refused.map_or_else(
                || {
                    let take = |member: &Member| member.disposable;
                    shrink(situation, wanted - to, bounded(reason), take).unwrap_or_else(|| {
                        hold(situation, format!("{reason}: every VM is protected or asked for"))
                    })
                },
                |why| hold(situation, format!("{reason}: {why}")),
            )
        }
    };
    checks.extend(verdict.checks);
    Verdict { checks, ..verdict }
}

/// Why the fleet may not shrink, if it may not.
fn refuses_fewer(
    patience: Duration,
    situation: &Situation,
    checks: &mut Vec<Check>,
) -> Option<String> {
    let silent = situation.silent();
    if silent > 0 {
        checks.push(Check::compared("VMs silent", silent.into(), 0.0, true));
        return Some(format!("not shrinking while {silent} of the VMs are silent"));
    }
    let turns = turns(&situation.changes);
    if turns > MOST_TURNS {
        let (since, needed) = (situation.since_change(), patience.saturating_mul(2));
        checks.push(Check::compared("turns in ten minutes", turns as f64, MOST_TURNS as f64, true));
        checks.push(Situation::waited("seconds since the last change", since, needed));
        let left = needed.saturating_sub(since).as_secs_f64();
        if left > 0.0 {
            return Some(format!("it swings, {turns} turns in ten minutes: {left:.0} s more"));
        }
    }
    None
}

/// How often the fleet turned from growing to shrinking or back lately.
fn turns(changes: &[Change]) -> usize {
    let lately = changes.iter().filter(|c| c.ago <= SWINGS_COUNT && c.from != c.to);
    let ways = lately.map(|change| change.to > change.from).collect::<Vec<_>>();
    ways.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Does what a person asked for, as far as the bounds allow it.
fn obey(situation: &Situation, asked: u32) -> Verdict {
    let wanted = situation.wanted();
    let to = asked.clamp(situation.minimum, situation.maximum);
    let mut reason = format!("{asked} asked for by hand");
    if to != asked {
        let (minimum, maximum) = (situation.minimum, situation.maximum);
        reason = format!("{reason}, {minimum} to {maximum} are allowed");
    }
    let verdict = match to.cmp(&wanted) {
        std::cmp::Ordering::Equal => hold(situation, reason.clone()),
        std::cmp::Ordering::Greater => grow(situation, to, reason.clone()),
        // A person's wish reaches the VMs that a person asked for, too.
        std::cmp::Ordering::Less => shrink(situation, wanted - to, reason.clone(), |_| true)
            .unwrap_or_else(|| hold(situation, reason.clone())),
    };
    verdict.with(Check::input("VMs asked for by hand", asked.into()))
}

fn hold(situation: &Situation, reason: String) -> Verdict {
    let wanted = situation.wanted();
    Verdict {
        direction: Direction::Hold,
        from: wanted,
        to: wanted,
        victims: Vec::new(),
        reason,
        checks: Vec::new(),
        advice: None,
    }
}

/// Adds VMs up to `to`, as far as the limit of launches allows it.
fn grow(situation: &Situation, to: u32, reason: String) -> Verdict {
    let from = situation.wanted();
    let lately = situation.changes.iter().filter(|change| change.ago < LAUNCHES_COUNT);
    let launched = lately.map(|change| change.to.saturating_sub(change.from)).sum::<u32>();
    let most = MOST_LAUNCHES.max(from.saturating_sub(launched));
    let limited = to.min(from.saturating_add(most.saturating_sub(launched)));
    let check =
        Check::compared("VMs launched in this minute", launched.into(), most.into(), limited < to);
    let checks = if limited < to { vec![check] } else { Vec::new() };
    if limited == from {
        let held = hold(situation, format!("{reason}: {launched} launched within a minute"));
        return Verdict { checks, ..held };
    }
    Verdict { direction: Direction::Out, to: limited, checks, ..hold(situation, reason) }
}

/// Takes away up to `number` of the VMs that `may` go and are not protected: those that an operator
/// did not ask for first, and of these in the order of the termination policy. None if there is no
/// such VM.
fn shrink(
    situation: &Situation,
    number: u32,
    reason: String,
    may: impl Fn(&Member) -> bool,
) -> Option<Verdict> {
    let candidates = |disposable: bool| {
        let members = situation.members.iter().filter(|member| !member.protected && may(member));
        let members = members.filter(|member| member.disposable == disposable);
        let candidates = members.map(|member| Candidate {
            id: member.id.clone(),
            running_for: member.running_for,
            in_flight: member.in_flight,
        });
        candidates.collect::<Vec<_>>()
    };
    let from = situation.wanted();
    let spare = from.saturating_sub(situation.minimum);
    let number = usize::try_from(number.min(spare)).unwrap_or(usize::MAX);
    let mut victims = situation.termination.choose(candidates(true), number);
    let left = number.saturating_sub(victims.len());
    victims.extend(situation.termination.choose(candidates(false), left));
    let to = from - count(victims.len());
    (!victims.is_empty()).then(|| Verdict {
        direction: Direction::In,
        to,
        victims,
        ..hold(situation, reason)
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The smallest whole number that is not less. Measured shares carry rounding errors: what
/// exceeds a whole number by less than a millionth is that number.
fn ceil(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates: what is negative or no number is 0"
    )]
    {
        (number - 1e-6).ceil() as u32
    }
}

#[cfg(test)]
mod tests;
