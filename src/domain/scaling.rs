//! How many VMs there should be.
//!
//! [`decide`] is target tracking on mean CPU: the fleet is sized so that its mean share of CPU
//! comes to a target, `wanted = ceil(warm × mean / target)`, as the Kubernetes horizontal pod
//! autoscaler does it (<https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>,
//! "Algorithm details"), with the big clouds' asymmetry: out at once and by as much as needed, in
//! slowly and one at a time (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html>).

use std::fmt;
use std::time::Duration;

use crate::domain::decision::Direction;
use crate::domain::termination::{Candidate, Termination};
use crate::domain::vm::VmId;
use crate::units::Share;

/// A fleet within this share of its target is left alone (the tolerance of the Kubernetes
/// autoscaler).
const TOLERANCE: f64 = 0.1;

/// The most VMs that one decision adds. A slip of the hand (`minimum="10000"`) can be put right
/// before it has been obeyed whole.
const MOST_AT_ONCE: u32 = 100;

/// The name of this policy in files.
pub const TARGET_TRACKING: &str = "target-tracking";

/// What target tracking aims at, and how patient it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetTracking {
    /// Mean CPU share to aim at; above 0.
    pub target: Share,
    /// How long a VM must have run before its CPU share counts.
    pub warm_up: Duration,
    /// Pause after a scale-out before the next.
    pub scale_out_cooldown: Duration,
    /// Pause after any change before a scale-in.
    pub scale_in_cooldown: Duration,
    /// The time that the CPU shares are means of; told in the reason.
    pub window: Duration,
}

/// One VM that is wanted: its order is `keep` or `add`.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: VmId,
    /// How long it has been running; none while it boots or has not been launched yet.
    pub running_for: Option<Duration>,
    /// Mean CPU share over the window; none when its reports are late or missing.
    pub cpu: Option<Share>,
    /// Requests that it works on or holds.
    pub in_flight: u32,
    /// The autoscaler may take it away: it was not an operator's own wish.
    pub disposable: bool,
}

/// All that a decision is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The VMs that are wanted.
    pub members: Vec<Member>,
    /// Fewest VMs.
    pub minimum: u32,
    /// Most VMs.
    pub maximum: u32,
    /// The size of the fleet is left alone.
    pub paused: bool,
    /// Which VM goes first when there are too many.
    pub termination: Termination,
    /// Time since the last scale-out; none if there was none.
    pub since_out: Option<Duration>,
    /// Time since the last scale-in; none if there was none.
    pub since_in: Option<Duration>,
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
}

/// Decides how many VMs there should be. The result is never below the minimum nor above the
/// maximum, except where an operator's own VMs exceed it, and never smaller than before while a
/// report is late or missing.
pub fn decide(policy: &TargetTracking, situation: &Situation) -> Verdict {
    let wanted = count(situation.members.len());
    let hold = |reason: String| Verdict {
        direction: Direction::Hold,
        from: wanted,
        to: wanted,
        victims: Vec::new(),
        reason,
    };
    if situation.paused {
        return hold("the autoscaler is paused".to_owned());
    }
    if wanted < situation.minimum {
        let reason = format!("{wanted} wanted, the minimum is {}", situation.minimum);
        return out(wanted, situation.minimum, reason);
    }
    if wanted > situation.maximum {
        let reason = format!("{wanted} wanted, the maximum is {}", situation.maximum);
        return scale_in(situation, wanted - situation.maximum, reason).unwrap_or_else(|| {
            hold(format!("{wanted} wanted, more than the maximum, all of them protected or an operator's wish"))
        });
    }
    match Measured::of(policy, situation) {
        Some(measured) => track(policy, situation, &measured, wanted).unwrap_or_else(hold),
        None => hold("no VM has run long enough and reported".to_owned()),
    }
}

/// What the reports of the warm VMs say together.
struct Measured {
    /// VMs past their warm-up that reported in time.
    warm: u32,
    /// Their mean CPU share.
    mean: f64,
    /// VMs that boot or warm up.
    starting: u32,
    /// VMs past their warm-up whose reports are late or missing.
    silent: u32,
}

impl Measured {
    fn of(policy: &TargetTracking, situation: &Situation) -> Option<Self> {
        let is_warm = |m: &&Member| m.running_for.is_some_and(|time| time >= policy.warm_up);
        let warm = situation.members.iter().filter(is_warm).collect::<Vec<_>>();
        let shares = warm.iter().filter_map(|member| member.cpu).collect::<Vec<_>>();
        (!shares.is_empty()).then(|| Self {
            warm: count(shares.len()),
            mean: shares.iter().map(|share| share.get()).sum::<f64>() / shares.len() as f64,
            starting: count(situation.members.len() - warm.len()),
            silent: count(warm.len() - shares.len()),
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mean cpu {:.2} of {} warm", self.mean, self.warm)?;
        if self.starting > 0 {
            write!(f, ", {} starting", self.starting)?;
        }
        if self.silent > 0 {
            write!(f, ", {} silent", self.silent)?;
        }
        Ok(())
    }
}

/// Target tracking proper; the error is the reason to hold.
fn track(
    policy: &TargetTracking,
    situation: &Situation,
    measured: &Measured,
    wanted: u32,
) -> Result<Verdict, String> {
    let target = policy.target.get();
    let ratio = measured.mean / target;
    let window = policy.window.as_secs_f64();
    let said = format!("{measured} over {window} s, target {target:.2}");
    // Silent VMs count as exactly on target: nothing is known that would speak for more or fewer.
    let needed = ceil(f64::from(measured.warm) * ratio).saturating_add(measured.silent);
    if ratio > 1.0 + TOLERANCE {
        let to = needed.min(situation.maximum);
        if to <= wanted {
            let why = if wanted >= situation.maximum { "the maximum" } else { "enough" };
            return Err(format!("{said}: {needed} needed, {wanted} wanted already is {why}"));
        }
        cooled(situation.since_out, policy.scale_out_cooldown, "scale-out", &said)?;
        return Ok(out(wanted, to, said));
    }
    if ratio >= 1.0 - TOLERANCE {
        return Err(format!("{said}: within {:.0} % of the target", TOLERANCE * 100.0));
    }
    if wanted <= situation.minimum {
        return Err(format!("{said}: {wanted} wanted already is the minimum"));
    }
    if measured.starting > 0 || measured.silent > 0 {
        return Err(format!("{said}: not shrinking while VMs start or are silent"));
    }
    // One fewer must still be below the target by the tolerance, or it would come straight back.
    let load = f64::from(measured.warm) * measured.mean;
    if load > f64::from(wanted - 1) * target * (1.0 - TOLERANCE) {
        return Err(format!("{said}: {} would be too few", wanted - 1));
    }
    cooled(situation.since_out, policy.scale_in_cooldown, "scale-out", &said)?;
    cooled(situation.since_in, policy.scale_in_cooldown, "scale-in", &said)?;
    scale_in(situation, 1, said.clone())
        .ok_or_else(|| format!("{said}: every VM is protected or an operator's wish"))
}

/// An error that says how long the cooldown still lasts, if it does.
fn cooled(
    since: Option<Duration>,
    cooldown: Duration,
    what: &str,
    said: &str,
) -> Result<(), String> {
    match since.and_then(|since| cooldown.checked_sub(since)).filter(|left| !left.is_zero()) {
        None => Ok(()),
        Some(left) => {
            let left = left.as_secs_f64();
            Err(format!("{said}: cooling down from a {what} for another {left:.0} s"))
        }
    }
}

fn out(from: u32, to: u32, reason: String) -> Verdict {
    let to = to.min(from.saturating_add(MOST_AT_ONCE));
    Verdict { direction: Direction::Out, from, to, victims: Vec::new(), reason }
}

/// Takes away up to `number` disposable VMs, in the order of the termination policy. None if there
/// is no such VM.
fn scale_in(situation: &Situation, number: u32, reason: String) -> Option<Verdict> {
    let candidates = situation.members.iter().filter(|member| member.disposable);
    let candidates = candidates.map(|member| Candidate {
        id: member.id.clone(),
        running_for: member.running_for,
        in_flight: member.in_flight,
    });
    let spare = count(situation.members.len()).saturating_sub(situation.minimum);
    let number = usize::try_from(number.min(spare)).unwrap_or(usize::MAX);
    let victims = situation.termination.choose(candidates.collect(), number);
    let from = count(situation.members.len());
    (!victims.is_empty()).then(|| Verdict {
        direction: Direction::In,
        from,
        to: from - count(victims.len()),
        victims,
        reason,
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
        reason = "`as` saturates, and shares are never negative"
    )]
    {
        (number - 1e-6).ceil() as u32
    }
}

#[cfg(test)]
mod tests;
