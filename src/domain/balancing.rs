//! Which VM gets a request.
//!
//! A choice is a pure function of what is known of the VMs, of the request, and of two random
//! numbers that come in from outside. It says *who*, or that all are full, or that nobody may have
//! the request at all; and it says why, with the alternatives.
//!
//! What is known of a VM is of two ages. The balancer's own count of requests is exact: it has sent
//! them. What others have put there stands in reports, which are as old as a report period, or in
//! the VM's last answer; see [`Foreign`]. To choose by the reports alone is the classic mistake:
//! between two reports all requests go to the VM that was idle in the last one (Mitzenmacher, *How
//! useful is old information?*, IEEE TPDS 11(1), 2000). [`Policy::ByFile`] is here to show it.

mod foreign;
mod policy;
mod reason;

use std::cmp::Ordering;
use std::time::Duration;

use crate::domain::cost::{Kind, Work};
use crate::domain::vm::VmId;

pub use foreign::Foreign;
pub use policy::Policy;
pub use reason::{ALTERNATIVES, Reason, Rival};

/// Whether a VM may get a request at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It may.
    Sound,
    /// It may, if there is no sound one: something about it is odd and being looked into.
    Suspect,
    /// It may not, for it keeps failing; but it lives, and is used when most others are out.
    Ejected,
    /// It may not: as far as anybody knows nobody is there.
    Dead,
    /// It may not: it boots, drains, or is to be deleted.
    Barred,
}

impl Standing {
    /// Whether it gets requests as things go.
    pub fn is_in_rotation(self) -> bool {
        matches!(self, Self::Sound | Self::Suspect)
    }
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
    /// How many it may have at once; none is any number.
    pub cap: Option<u32>,
    /// Requests that others have put there, see [`Foreign`].
    pub foreign: f64,
    /// Predicted work of those in flight.
    pub outstanding: Work,
    /// How many vCPUs' worth of work it does in a second.
    pub speed: f64,
    /// What part of its share it is to get, above 0 and up to 1, see [`slow_start`].
    pub weight: f64,
    /// Requests that it had in flight and queued by its last report, up to a period old.
    pub reported: u32,
    /// When it was last chosen, as the number of that choice; 0 for never.
    pub last_chosen: u64,
}

/// What a request asks of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// The kind of work.
    pub kind: Kind,
    /// How much was predicted.
    pub work: Work,
}

impl Demand {
    /// Whether it takes one of the places that a VM has. A page or a health check does not: VMs
    /// answer those however busy they are.
    pub fn takes_place(self) -> bool {
        self.kind != Kind::Other
    }
}

/// What came of looking for a VM.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// This one.
    Chosen(Choice),
    /// There are VMs that may have it, and each has as many requests as it may.
    Full,
    /// No VM may have it.
    Nobody,
}

/// A choice and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Place of the chosen one in the list of candidates.
    pub index: usize,
    /// Why that one.
    pub reason: Reason,
}

/// Chooses the VM for a request, by `policy`.
///
/// One that is [`Standing::Dead`] or [`Standing::Barred`] is never chosen. One that was not tried
/// yet comes before one that was, and the one tried last comes last of all, so that a request never
/// goes to the same VM twice in a row while there is another; then a sound one comes before a
/// suspect one. Of the VMs that come first by these rules one with room gets the request; if none
/// has room the request is to wait for one of them. Among those with room `policy` decides, then
/// the fewest in flight, then the one chosen least recently.
///
/// If more than half of those that should serve are ejected or dead, health no longer tells the
/// good from the bad: then all that live are chosen from alike (Envoy's panic threshold), but for the
/// one that has just failed this request.
pub fn choose(
    policy: Policy,
    candidates: &[Candidate<'_>],
    demand: Demand,
    draws: [u32; 2],
) -> Verdict {
    let field = Field { policy, candidates, demand, panic: is_panic(candidates) };
    let Some(first) = candidates.iter().filter_map(|candidate| field.class(candidate)).min() else {
        return Verdict::Nobody;
    };
    let Some(index) = field.pick(first, draws) else { return Verdict::Full };
    match field.reason(index) {
        Some(reason) => Verdict::Chosen(Choice { index, reason }),
        None => Verdict::Nobody,
    }
}

/// Whether more than half of the VMs that should serve do not.
fn is_panic(candidates: &[Candidate<'_>]) -> bool {
    let (mut out, mut all) = (0_usize, 0_usize);
    for candidate in candidates.iter().filter(|c| c.standing != Standing::Barred) {
        all += 1;
        out += usize::from(!candidate.standing.is_in_rotation());
    }
    out * 2 > all
}

/// The share of its requests that a VM gets which serves since `age`, while it warms up over
/// `ramp`: a tenth at first, all in the end, in steps of a tenth. Caches are cold and speeds unknown
/// at first, and an empty VM would draw every request to itself.
pub fn slow_start(age: Duration, ramp: Duration) -> f64 {
    if age >= ramp {
        return 1.0;
    }
    // Cannot be 0: `ramp` is longer than `age`.
    let share = age.as_secs_f64() / ramp.as_secs_f64();
    ((share * 10.0).ceil() / 10.0).clamp(0.1, 1.0)
}

/// What a choice is made from.
struct Field<'a> {
    policy: Policy,
    candidates: &'a [Candidate<'a>],
    demand: Demand,
    panic: bool,
}

/// What comes before the policy; the smaller is chosen first.
type Class = (Tried, Standing);

impl<'a> Field<'a> {
    fn class(&self, candidate: &Candidate<'_>) -> Option<Class> {
        let standing = match candidate.standing {
            Standing::Dead | Standing::Barred => return None,
            // It has just failed this very request: it has to be seen to live first.
            Standing::Ejected if !self.panic || candidate.tried == Tried::Last => return None,
            Standing::Sound => Standing::Sound,
            Standing::Suspect | Standing::Ejected if self.panic => Standing::Sound,
            other => other,
        };
        Some((candidate.tried, standing))
    }

    fn has_room(&self, candidate: &Candidate<'_>) -> bool {
        let is_full = candidate.cap.is_some_and(|cap| candidate.in_flight >= cap);
        !(self.demand.takes_place() && is_full)
    }

    /// The place of the chosen one of `class`; none if none of it has room.
    fn pick(&self, class: Class, draws: [u32; 2]) -> Option<usize> {
        let open = || {
            self.candidates.iter().enumerate().filter(move |(_, candidate)| {
                self.class(candidate) == Some(class) && self.has_room(candidate)
            })
        };
        let best = |a: &(usize, &Candidate<'_>), b: &(usize, &Candidate<'_>)| self.rank(*a, *b);
        let chosen = match self.policy {
            Policy::PowerOfTwo => {
                let count = open().count();
                let first = draws[0] as usize % count.max(1);
                let others = count.saturating_sub(1).max(1);
                let second = (first + 1 + draws[1] as usize % others) % count.max(1);
                [open().nth(first), open().nth(second)].into_iter().flatten().min_by(best)
            }
            Policy::Weighted => {
                let share = |candidate: &Candidate<'_>| pace(candidate);
                let total: f64 = open().map(|(_, candidate)| share(candidate)).sum();
                let mut left = total * f64::from(draws[0]) / (f64::from(u32::MAX) + 1.0);
                let chosen = open().find(|(_, candidate)| {
                    left -= share(candidate);
                    left < 0.0
                });
                chosen.or_else(|| open().next_back())
            }
            Policy::JoinIdleQueue => {
                let idle = open().filter(|(_, c)| c.in_flight == 0 && c.foreign < 0.5);
                let count = open().count().max(1);
                idle.min_by(best).or_else(|| open().nth(draws[0] as usize % count))
            }
            _ => open().min_by(best),
        };
        chosen.map(|(index, _)| index)
    }

    /// Who comes first among those between whom the policy decides.
    fn rank(&self, a: (usize, &Candidate<'_>), b: (usize, &Candidate<'_>)) -> Ordering {
        let (place, a) = a;
        let (other_place, b) = b;
        let by_policy = match self.policy {
            Policy::LeastWork => self.done_after(a).total_cmp(&self.done_after(b)),
            Policy::LeastInFlight | Policy::PowerOfTwo => crowding(a).total_cmp(&crowding(b)),
            Policy::RoundRobin | Policy::JoinIdleQueue => a.last_chosen.cmp(&b.last_chosen),
            Policy::Weighted => pace(b).total_cmp(&pace(a)),
            Policy::ByFile => a.reported.cmp(&b.reported).then(place.cmp(&other_place)),
            Policy::FillFirst => match (is_filled(a), is_filled(b)) {
                (false, false) => place.cmp(&other_place),
                (true, true) => crowding(a).total_cmp(&crowding(b)),
                (a, b) => a.cmp(&b),
            },
        };
        by_policy.then(a.in_flight.cmp(&b.in_flight)).then(a.last_chosen.cmp(&b.last_chosen))
    }

    /// Seconds until `candidate` would have done all that it has and this request besides. Of the
    /// requests of others only the number is known: each counts as one like this.
    fn done_after(&self, candidate: &Candidate<'_>) -> f64 {
        let own = (candidate.outstanding + self.demand.work).seconds();
        (own + candidate.foreign * self.demand.work.seconds()) / pace(candidate)
    }

    fn reason(&self, index: usize) -> Option<Reason> {
        let chosen = self.rival(self.candidates.get(index)?);
        let order = |candidate: (usize, &'a Candidate<'a>)| {
            self.class(candidate.1).map(|class| (class, !self.has_room(candidate.1), candidate))
        };
        let mut best = [None; ALTERNATIVES];
        let mut others = 0;
        let rivals = self.candidates.iter().enumerate().filter(|(at, _)| *at != index);
        for rival in rivals.filter_map(order) {
            others += 1;
            let mut rival = Some(rival);
            // Whoever comes first takes the place, and the one who had it goes on to the next.
            for place in &mut best {
                let before = match (&rival, &*place) {
                    (Some((class, full, one)), Some((other_class, other_full, other))) => {
                        let by_class = (class, full).cmp(&(other_class, other_full));
                        by_class.then_with(|| self.rank(*one, *other)) == Ordering::Less
                    }
                    (one, _) => one.is_some(),
                };
                if before {
                    std::mem::swap(place, &mut rival);
                }
            }
        }
        let mut alternatives = Vec::with_capacity(others.min(ALTERNATIVES));
        alternatives.extend(best.iter().flatten().map(|(_, _, (_, rival))| self.rival(rival)));
        others -= alternatives.len();
        Some(Reason { policy: self.policy, chosen, others, alternatives })
    }

    fn rival(&self, candidate: &Candidate<'_>) -> Rival {
        Rival {
            id: candidate.id.clone(),
            in_flight: candidate.in_flight,
            outstanding: candidate.outstanding,
            foreign: candidate.foreign,
            warming_up: candidate.weight < 1.0,
            full: !self.has_room(candidate),
            standing: candidate.standing,
            tried: candidate.tried != Tried::Never,
        }
    }
}

/// Requests per vCPU if `candidate` got one more.
fn crowding(candidate: &Candidate<'_>) -> f64 {
    (f64::from(candidate.in_flight) + candidate.foreign + 1.0) / pace(candidate)
}

/// Whether it has as many requests as it may, or, where there is no such limit, two for each vCPU.
fn is_filled(candidate: &Candidate<'_>) -> bool {
    let most = candidate.cap.map_or(2.0 * candidate.speed, f64::from);
    f64::from(candidate.in_flight) >= most
}

/// The work that it is to get in a second: its speed, as far as it has warmed up. Can be divided
/// by.
fn pace(candidate: &Candidate<'_>) -> f64 {
    let speed = if candidate.speed > 0.0 { candidate.speed } else { 1.0 };
    let weight = if candidate.weight > 0.0 { candidate.weight } else { 1.0 };
    speed * weight
}

#[cfg(test)]
mod tests;
