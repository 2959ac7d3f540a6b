//! Instance refresh: every VM is replaced, a share of the fleet at a time, and none goes before
//! the one that takes its place serves. So the fleet never has fewer VMs than before.

use crate::domain::vm::VmId;
use crate::units::Share;

/// A VM of the fleet, as a refresh sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: VmId,
    /// It was launched before the refresh was asked for, and may be replaced.
    pub is_old: bool,
    /// Another VM is on its way to take its place.
    pub has_successor: bool,
}

/// What a refresh does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// VMs for which successors are to be launched; none while others are on their way.
    Replace(Vec<VmId>),
    /// Nothing is left to replace.
    Done,
}

/// The next step of a refresh, with so many VMs that are still draining. At most `share` of the
/// fleet, and one at least, is on its way in or out.
pub fn next(members: &[Member], draining: usize, share: Share) -> Next {
    let on_their_way = members.iter().filter(|member| member.has_successor).count();
    let left = members.iter().filter(|member| member.is_old && !member.has_successor);
    let left = left.map(|member| member.id.clone()).collect::<Vec<_>>();
    if left.is_empty() && on_their_way == 0 && draining == 0 {
        return Next::Done;
    }
    let places = at_a_time(members.len(), share).saturating_sub(on_their_way + draining);
    Next::Replace(left.into_iter().take(places).collect())
}

/// How many of so many VMs a share is: rounded down, and one at least.
fn at_a_time(fleet: usize, share: Share) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and shares are never negative"
    )]
    let places = (fleet as f64 * share.get()) as usize;
    places.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn old(number: u64) -> Member {
        Member { id: VmId::numbered(number), is_old: true, has_successor: false }
    }

    #[test]
    fn a_quarter_of_eight_are_two_at_a_time() {
        let mut fleet = (1..=8).map(old).collect::<Vec<_>>();
        let quarter = Share::saturating(0.25);
        assert_eq!(next(&fleet, 0, quarter), Next::Replace([1, 2].map(VmId::numbered).to_vec()));
        fleet[0].has_successor = true;
        fleet[1].has_successor = true;
        assert_eq!(next(&fleet, 0, quarter), Next::Replace(Vec::new()));
        fleet.remove(0);
        assert_eq!(next(&fleet, 1, quarter), Next::Replace(Vec::new()), "vm-1 drains");
        assert_eq!(next(&fleet[1..], 0, quarter), Next::Replace(vec![VmId::numbered(3)]));
    }

    #[test]
    fn the_smallest_share_is_one_vm_and_an_empty_fleet_is_done() {
        let fleet = [old(1), old(2)];
        assert_eq!(next(&fleet, 0, Share::NONE), Next::Replace(vec![VmId::numbered(1)]));
        assert_eq!(next(&[], 0, Share::ALL), Next::Done);
        assert_eq!(next(&[], 1, Share::ALL), Next::Replace(Vec::new()), "the last one drains");
    }

    proptest! {
        /// Successors become members and their predecessors go, in any order.
        #[test]
        fn it_ends_with_all_replaced_and_never_more_than_its_share_on_the_way(
            size in 1u64..40,
            share in 0.0f64..=1.0,
            arrivals in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let share = Share::saturating(share);
            let most = at_a_time(usize::try_from(size).unwrap(), share);
            let mut fleet = (1..=size).map(old).collect::<Vec<_>>();
            let mut number = size;
            for arrival in arrivals {
                let Next::Replace(chosen) = next(&fleet, 0, share) else {
                    prop_assert!(fleet.iter().all(|member| !member.is_old));
                    return Ok(());
                };
                for member in fleet.iter_mut().filter(|member| chosen.contains(&member.id)) {
                    member.has_successor = true;
                }
                let waiting = (0..fleet.len()).filter(|&at| fleet[at].has_successor);
                let waiting = waiting.collect::<Vec<_>>();
                prop_assert!((1..=most).contains(&waiting.len()));
                let arrived = waiting[arrival.index(waiting.len())];
                number += 1;
                fleet[arrived] = Member { is_old: false, ..old(number) };
                prop_assert_eq!(fleet.len() as u64, size);
            }
            prop_assert!(false, "{size} VMs were not replaced in 200 steps");
        }
    }
}
