//! The highest index, round or time that a quorum of a membership has reached.
//!
//! TLA+: `docs/tla/quorate.tla`, IsMajority and IsQuorum.

use crate::types::{Membership, NodeId, Voters};

/// Returns the highest number that a quorum has reached, where `reached` returns each voter's
/// number.
///
/// With acknowledged indices this is the commit index (Raft §5.3), with heartbeat rounds the last
/// confirmed round (thesis §6.4), and with contact times the last contact with a quorum
/// (thesis §6.2). `u64::MAX` if the membership has no voter.
///
/// # Panics
/// If a voter set has more than [`Membership::VOTERS_MAX`] voters; no node starts with such a
/// membership.
#[inline]
pub fn reached(membership: &Membership, reached: impl Fn(NodeId) -> u64) -> u64 {
    let incoming = voter_set_reached(membership.incoming(), &reached);
    let outgoing = voter_set_reached(membership.outgoing(), &reached);
    incoming.min(outgoing)
}

/// Whether the members for which `members` returns true include a quorum.
pub fn is_quorum(membership: &Membership, members: impl Fn(NodeId) -> bool) -> bool {
    reached(membership, |id| u64::from(members(id))) > 0
}

/// Returns the highest number that a strict majority of `voters` has reached, or that half of an
/// even number of voters has reached if the holder of the casting vote is among them.
#[inline]
fn voter_set_reached(voters: &Voters, reached: &impl Fn(NodeId) -> u64) -> u64 {
    const MAX: usize = Membership::VOTERS_MAX;
    if voters.is_empty() {
        return u64::MAX;
    }
    assert!(voters.len() <= MAX, "a voter set has {} voters", voters.len());
    // Most voter sets are small: a small array is cleared faster.
    if voters.len() <= FEW {
        decide::<FEW>(voters, reached)
    } else {
        decide::<MAX>(voters, reached)
    }
}

/// The size up to which a voter set counts as small.
const FEW: usize = 8;

/// Does the work of [`voter_set_reached`] for at most `N` voters.
fn decide<const N: usize>(voters: &Voters, reached: &impl Fn(NodeId) -> u64) -> u64 {
    let mut descending = [0_u64; N];
    for (slot, voter) in descending.iter_mut().zip(voters.iter()) {
        *slot = reached(*voter);
    }
    let descending = &mut descending[..voters.len()];
    descending.sort_unstable_by(|a, b| b.cmp(a));
    let majority = descending[voters.len() / 2];
    let decided = match voters.casting() {
        Some(holder) if voters.can_split() => {
            majority.max(reached(holder).min(descending[voters.len() / 2 - 1]))
        }
        _ => majority,
    };
    let count = || descending.iter().filter(|number| **number >= decided).count();
    debug_assert!(2 * count() >= voters.len(), "fewer than half of the voters decide nothing");
    decided
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u64]) -> impl Iterator<Item = NodeId> {
        list.iter().copied().map(NodeId)
    }

    #[test]
    fn a_majority_of_each_voter_set_decides() {
        let simple = Membership::new(ids(&[1, 2, 3, 4]));
        assert_eq!(reached(&simple, |id| id.0 * 10), 20);

        let joint = Membership::new(ids(&[1, 2, 3])).joint_with(ids(&[3, 4, 5]));
        assert_eq!(reached(&joint, |id| id.0 * 10), 20);
        assert_eq!(reached(&joint, |id| 100 - id.0 * 10), 60);
    }

    #[test]
    fn a_membership_without_voters_reaches_everything() {
        assert_eq!(reached(&Membership::default(), |_| 0), u64::MAX);
        assert!(is_quorum(&Membership::default(), |_| false));
    }

    #[test]
    fn half_of_an_even_set_decides_with_its_casting_vote() {
        let four = Membership::new(ids(&[1, 2, 3, 4])).with_casting(NodeId(2));
        assert!(is_quorum(&four, |id| id.0 <= 2));
        assert!(!is_quorum(&four, |id| id.0 >= 3));
        assert!(!is_quorum(&four, |id| id.0 == 2));
        assert_eq!(reached(&four, |id| 100 - id.0 * 10), 80);
        assert_eq!(reached(&four, |id| id.0 * 10), 20);
        let three = Membership::new(ids(&[1, 2, 3])).with_casting(NodeId(2));
        assert!(!is_quorum(&three, |id| id.0 == 2), "an odd set never needs the vote");
    }

    #[test]
    fn half_of_an_even_set_without_a_casting_vote_is_no_quorum() {
        let membership = Membership::new(ids(&[1, 2, 3, 4]));
        assert!(!is_quorum(&membership, |id| id.0 <= 2));
        assert!(is_quorum(&membership, |id| id.0 <= 3));
    }
}
