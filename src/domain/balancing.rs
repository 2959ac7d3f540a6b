//! Which VM gets a request.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::domain::cost::Work;
use crate::domain::vm::{UnknownWord, VmId};

/// How a VM is chosen among those that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// The VM that would have done this request first, if the predictions hold: the least
    /// predicted work, with this request, over its speed. "Least work left" of the queueing
    /// literature (Harchol-Balter, *Performance Modeling and Design of Computer Systems*, 2013,
    /// ch. 24).
    #[default]
    LeastWork,
    /// The VM with the fewest requests, with this one, over its speed.
    LeastInFlight,
    /// Each in turn.
    RoundRobin,
}

impl Policy {
    const ALL: [Self; 3] = [Self::LeastWork, Self::LeastInFlight, Self::RoundRobin];

    /// The word that stands for it in settings and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastWork => "least-work",
            Self::LeastInFlight => "least-in-flight",
            Self::RoundRobin => "round-robin",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, "least-work, least-in-flight or round-robin"))
    }
}

/// Whether a VM may get a request at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It may.
    Sound,
    /// It may, if there is no sound one: something about it is odd and being looked into.
    Suspect,
    /// It may not: it boots, drains, is to be deleted, or was ejected.
    Out,
}

/// Whether a VM was already tried with this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tried {
    /// Not yet.
    Never,
    /// It was, but another one after it.
    Before,
    /// It was the last one tried.
    Last,
}

/// A VM as the choice sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<'a> {
    /// Its name.
    pub id: &'a VmId,
    /// Whether it may be chosen.
    pub standing: Standing,
    /// Whether it was already tried with this request.
    pub tried: Tried,
    /// Requests sent to it and not answered yet.
    pub in_flight: u32,
    /// Predicted work of those.
    pub outstanding: Work,
    /// How many vCPUs' worth of work it does in a second.
    pub speed: f64,
    /// When it was last chosen, as the number of that choice; 0 for never.
    pub last_chosen: u64,
}

/// A choice and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Place of the chosen one in the list of candidates.
    pub index: usize,
    /// Why that one.
    pub reason: Reason,
}

/// Why a VM was chosen. Displays as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The rule.
    pub policy: Policy,
    /// The chosen one as it stood before.
    pub chosen: Rival,
    /// The best of the others, best first, at most [`ALTERNATIVES`].
    pub alternatives: Vec<Rival>,
    /// How many others could have been chosen besides.
    pub others: usize,
}

/// How many alternatives a reason names.
pub const ALTERNATIVES: usize = 3;

/// A VM that was chosen or could have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Rival {
    /// Its name.
    pub id: VmId,
    /// Requests it had.
    pub in_flight: u32,
    /// Predicted work of those.
    pub outstanding: Work,
    /// Whether it was suspect.
    pub suspect: bool,
    /// Whether this request had been there before.
    pub tried: bool,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} in flight, {} of work", self.id, self.in_flight, self.outstanding)?;
        if self.suspect {
            f.write_str(", suspect")?;
        }
        if self.tried {
            f.write_str(", tried before")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.policy, self.chosen)?;
        for rival in &self.alternatives {
            write!(f, "; {rival}")?;
        }
        if self.others > 0 {
            write!(f, "; and {} more", self.others)?;
        }
        Ok(())
    }
}

/// Chooses the VM for a request of so much predicted `work`; nothing if none may be chosen.
///
/// A VM that is [`Standing::Out`] is never chosen. One that was not tried yet comes before one
/// that was, and the one tried last comes last of all, so that a request never goes to the same VM
/// twice in a row while there is another; then a sound one comes before a suspect one. Among
/// equals of these `policy` decides, then the fewest in flight, then the one chosen least
/// recently.
pub fn choose(policy: Policy, candidates: &[Candidate<'_>], work: Work) -> Option<Choice> {
    let mut eligible: Vec<(usize, &Candidate<'_>)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.standing != Standing::Out)
        .collect();
    eligible.sort_by(|(_, a), (_, b)| rank(policy, a, b, work));
    let (&(index, chosen), rest) = eligible.split_first()?;
    let named = rest.iter().take(ALTERNATIVES);
    Some(Choice {
        index,
        reason: Reason {
            policy,
            chosen: rival(chosen),
            alternatives: named.map(|(_, candidate)| rival(candidate)).collect(),
            others: rest.len().saturating_sub(ALTERNATIVES),
        },
    })
}

fn rank(policy: Policy, a: &Candidate<'_>, b: &Candidate<'_>, work: Work) -> Ordering {
    let by_policy = match policy {
        Policy::LeastWork => done_after(a, work).total_cmp(&done_after(b, work)),
        Policy::LeastInFlight => crowding(a).total_cmp(&crowding(b)),
        Policy::RoundRobin => a.last_chosen.cmp(&b.last_chosen),
    };
    (a.tried, a.standing)
        .cmp(&(b.tried, b.standing))
        .then(by_policy)
        .then(a.in_flight.cmp(&b.in_flight))
        .then(a.last_chosen.cmp(&b.last_chosen))
}

/// Seconds until `candidate` would have done all that it has and `work` besides.
fn done_after(candidate: &Candidate<'_>, work: Work) -> f64 {
    (candidate.outstanding + work).seconds() / speed(candidate)
}

/// Requests per vCPU if `candidate` got one more.
fn crowding(candidate: &Candidate<'_>) -> f64 {
    (f64::from(candidate.in_flight) + 1.0) / speed(candidate)
}

/// A speed that can be divided by.
fn speed(candidate: &Candidate<'_>) -> f64 {
    if candidate.speed > 0.0 { candidate.speed } else { 1.0 }
}

fn rival(candidate: &Candidate<'_>) -> Rival {
    Rival {
        id: candidate.id.clone(),
        in_flight: candidate.in_flight,
        outstanding: candidate.outstanding,
        suspect: candidate.standing == Standing::Suspect,
        tried: candidate.tried != Tried::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(count: usize) -> Vec<VmId> {
        (1..=count as u64).map(VmId::numbered).collect()
    }

    fn idle(id: &VmId) -> Candidate<'_> {
        Candidate {
            id,
            standing: Standing::Sound,
            tried: Tried::Never,
            in_flight: 0,
            outstanding: Work::NONE,
            speed: 1.0,
            last_chosen: 0,
        }
    }

    const SECOND: Work = Work::from_nanos(1_000_000_000);

    fn chosen(policy: Policy, candidates: &[Candidate<'_>]) -> usize {
        choose(policy, candidates, SECOND).unwrap().index
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(choose(Policy::LeastWork, &[], SECOND), None);
    }

    #[test]
    fn least_work_counts_work_and_not_requests() {
        let ids = ids(2);
        let one_long = Candidate { in_flight: 1, outstanding: SECOND + SECOND, ..idle(&ids[0]) };
        let two_short = Candidate { in_flight: 2, outstanding: SECOND, ..idle(&ids[1]) };
        let candidates = [one_long, two_short];
        assert_eq!(chosen(Policy::LeastWork, &candidates), 1);
        assert_eq!(chosen(Policy::LeastInFlight, &candidates), 0);
    }

    #[test]
    fn a_fast_vm_takes_more() {
        let ids = ids(2);
        let slow_idle = Candidate { speed: 0.5, ..idle(&ids[0]) };
        let fast_busy =
            Candidate { speed: 4.0, in_flight: 2, outstanding: SECOND, ..idle(&ids[1]) };
        let candidates = [slow_idle, fast_busy];
        assert_eq!(chosen(Policy::LeastWork, &candidates), 1);
        assert_eq!(chosen(Policy::LeastInFlight, &candidates), 1);
    }

    #[test]
    fn ties_go_to_the_one_chosen_least_recently() {
        let ids = ids(3);
        let last = [7, 3, 5];
        let candidates: Vec<_> = ids
            .iter()
            .zip(last)
            .map(|(id, last_chosen)| Candidate { last_chosen, ..idle(id) })
            .collect();
        for policy in Policy::ALL {
            assert_eq!(chosen(policy, &candidates), 1, "{policy}");
        }
    }

    #[test]
    fn a_request_does_not_go_twice_in_a_row_to_one_vm() {
        let ids = ids(3);
        let candidates = [
            Candidate { tried: Tried::Last, ..idle(&ids[0]) },
            Candidate { tried: Tried::Before, in_flight: 9, ..idle(&ids[1]) },
            Candidate { standing: Standing::Suspect, outstanding: SECOND, ..idle(&ids[2]) },
        ];
        assert_eq!(chosen(Policy::LeastWork, &candidates), 2);
        assert_eq!(chosen(Policy::LeastWork, &candidates[..2]), 1);
        assert_eq!(chosen(Policy::LeastWork, &candidates[..1]), 0);
    }

    #[test]
    fn the_reason_names_the_alternatives() {
        let ids = ids(2);
        let candidates = [
            Candidate { outstanding: Work::from_nanos(3_400_000_000), ..idle(&ids[0]) },
            Candidate { in_flight: 1, outstanding: Work::from_nanos(800_000_000), ..idle(&ids[1]) },
        ];
        let choice = choose(Policy::LeastWork, &candidates, SECOND).unwrap();
        assert_eq!(
            choice.reason.to_string(),
            "least-work: vm-2: 1 in flight, 0.8 s of work; vm-1: 0 in flight, 3.4 s of work"
        );
    }

    #[test]
    fn a_policy_reads_back_from_its_word() {
        for policy in Policy::ALL {
            assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
        }
        let refusal = "random".parse::<Policy>().unwrap_err().to_string();
        assert_eq!(refusal, "`random` is not least-work, least-in-flight or round-robin");
    }

    #[derive(Debug, Clone)]
    struct Drawn {
        standing: Standing,
        tried: Tried,
        in_flight: u32,
        outstanding: u64,
        speed: f64,
        last_chosen: u64,
    }

    fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
        let standing =
            prop_oneof![Just(Standing::Sound), Just(Standing::Suspect), Just(Standing::Out)];
        let tried = prop_oneof![Just(Tried::Never), Just(Tried::Before), Just(Tried::Last)];
        let one = (standing, tried, 0..9_u32, 0..9_u64, 0.0..4.0_f64, 0..20_u64).prop_map(
            |(standing, tried, in_flight, outstanding, speed, last_chosen)| Drawn {
                standing,
                tried,
                in_flight,
                outstanding: outstanding * 100_000_000,
                speed,
                last_chosen,
            },
        );
        proptest::collection::vec(one, 0..12)
    }

    fn candidates<'a>(ids: &'a [VmId], drawn: &[Drawn]) -> Vec<Candidate<'a>> {
        ids.iter()
            .zip(drawn)
            .map(|(id, d)| Candidate {
                id,
                standing: d.standing,
                tried: d.tried,
                in_flight: d.in_flight,
                outstanding: Work::from_nanos(d.outstanding),
                speed: d.speed,
                last_chosen: d.last_chosen,
            })
            .collect()
    }

    proptest! {
        #[test]
        fn somebody_is_chosen_exactly_if_somebody_may_be(drawn in drawn(), policy in 0..3_usize) {
            let ids = ids(drawn.len());
            let candidates = candidates(&ids, &drawn);
            let some = candidates.iter().any(|c| c.standing != Standing::Out);
            let choice = choose(Policy::ALL[policy], &candidates, SECOND);
            prop_assert_eq!(choice.is_some(), some);
            if let Some(choice) = choice {
                prop_assert_ne!(candidates[choice.index].standing, Standing::Out);
                let rivals = choice.reason.alternatives.len() + choice.reason.others;
                let eligible =
                    candidates.iter().filter(|c| c.standing != Standing::Out).count();
                prop_assert_eq!(rivals + 1, eligible);
            }
        }

        #[test]
        fn nobody_of_the_same_standing_would_be_done_sooner(drawn in drawn()) {
            let ids = ids(drawn.len());
            let candidates = candidates(&ids, &drawn);
            if let Some(choice) = choose(Policy::LeastWork, &candidates, SECOND) {
                let best = &candidates[choice.index];
                for other in candidates.iter().filter(|c| c.standing != Standing::Out) {
                    prop_assert!((best.tried, best.standing) <= (other.tried, other.standing));
                    if (other.tried, other.standing) == (best.tried, best.standing) {
                        prop_assert!(done_after(best, SECOND) <= done_after(other, SECOND));
                    }
                }
            }
        }
    }
}
