//! Which VM goes first when there are too many.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::vm::{UnknownWord, VmId};

/// The order in which VMs are taken away. Those that boot always go before those that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Termination {
    /// The one with the fewest requests, the younger of two.
    #[default]
    FewestInFlight,
    /// The one that has run longest.
    Oldest,
    /// The one that has run shortest.
    Newest,
    /// The one nearest to the end of an hour of its life, where hours are what is paid for.
    ClosestToBillingHour,
}

impl Termination {
    const ALL: [Self; 4] =
        [Self::FewestInFlight, Self::Oldest, Self::Newest, Self::ClosestToBillingHour];

    /// The word that stands for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FewestInFlight => "fewest-in-flight",
            Self::Oldest => "oldest",
            Self::Newest => "newest",
            Self::ClosestToBillingHour => "closest-to-billing-hour",
        }
    }

    /// Takes away up to `number` of the candidates. Ties go to the younger, then by id, so that the
    /// same candidates always give the same victims.
    pub fn choose(self, mut candidates: Vec<Candidate>, number: usize) -> Vec<VmId> {
        candidates.sort_by_key(|candidate| {
            let age = candidate.running_for.unwrap_or_default();
            let first = match self {
                Self::FewestInFlight => Duration::from_secs(candidate.in_flight.into()),
                Self::Oldest => Duration::MAX.saturating_sub(age),
                Self::Newest => age,
                Self::ClosestToBillingHour => until_next_hour(age),
            };
            (candidate.running_for.is_some(), first, age, Reverse(candidate.id.clone()))
        });
        candidates.into_iter().take(number).map(|candidate| candidate.id).collect()
    }
}

fn until_next_hour(age: Duration) -> Duration {
    const HOUR: Duration = Duration::from_hours(1);
    HOUR.saturating_sub(Duration::from_nanos_u128(age.as_nanos() % HOUR.as_nanos()))
}

/// A VM that may be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: VmId,
    /// How long it has been running; none while it boots.
    pub running_for: Option<Duration>,
    /// Requests that it works on or holds.
    pub in_flight: u32,
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Termination {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        const ALLOWED: &str = "fewest-in-flight, oldest, newest or closest-to-billing-hour";
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| UnknownWord::new(text, ALLOWED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(number: u64, minutes: Option<u64>, in_flight: u32) -> Candidate {
        let running_for = minutes.map(Duration::from_mins);
        Candidate { id: VmId::numbered(number), running_for, in_flight }
    }

    #[test]
    fn each_policy_has_its_own_victim() {
        let fleet = [
            candidate(1, Some(300), 4),
            candidate(2, Some(58), 2),
            candidate(3, Some(10), 9),
            candidate(4, Some(90), 0),
        ];
        for (policy, victim) in [("fewest-in-flight", 4), ("oldest", 1), ("newest", 3)] {
            let chosen = policy.parse::<Termination>().unwrap().choose(fleet.to_vec(), 1);
            assert_eq!(chosen, [VmId::numbered(victim)], "{policy}");
        }
        let policy = Termination::ClosestToBillingHour;
        assert_eq!(policy.choose(fleet.to_vec(), 2), [2, 4].map(VmId::numbered));
        let refused = "random".parse::<Termination>().unwrap_err().to_string();
        assert!(refused.starts_with("`random` is not fewest-in-flight, oldest"), "{refused}");
    }

    #[test]
    fn one_that_boots_goes_before_any_that_runs() {
        for policy in Termination::ALL {
            let fleet = vec![candidate(1, Some(59), 0), candidate(2, None, 0)];
            assert_eq!(policy.choose(fleet, 1), [VmId::numbered(2)], "{policy}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_the_candidates_makes_no_difference(
            fleet in prop::collection::vec((prop::option::of(0u64..200), 0u32..4), 0..12),
            number in 0usize..12,
        ) {
            let numbered = fleet.iter().zip(1..);
            let fleet: Vec<_> =
                numbered.map(|((age, busy), number)| candidate(number, *age, *busy)).collect();
            let reversed: Vec<_> = fleet.iter().rev().cloned().collect();
            for policy in Termination::ALL {
                let chosen = policy.choose(fleet.clone(), number);
                prop_assert_eq!(chosen.len(), number.min(fleet.len()));
                prop_assert_eq!(chosen, policy.choose(reversed.clone(), number));
            }
        }
    }
}
