//! Quorums, computed from the definition and independently of the core's code.

use quorate::types::{Membership, NodeId, Voters};

/// Returns true if the nodes of `set` are a quorum: a majority of the incoming voters and, in a
/// joint membership, of the outgoing ones.
pub(crate) fn is_quorum(membership: &Membership, set: &[NodeId]) -> bool {
    is_majority(membership.incoming(), set)
        && (membership.outgoing().is_empty() || is_majority(membership.outgoing(), set))
}

/// Returns true if `set` contains a majority of the voters: more than half of them, or exactly half
/// including the holder of the casting vote.
fn is_majority(voters: &Voters, set: &[NodeId]) -> bool {
    let twice = 2 * voters.iter().filter(|voter| set.contains(voter)).count();
    let casting = voters.casting().is_some_and(|holder| set.contains(&holder));
    twice > voters.len() || (twice == voters.len() && casting)
}

/// Returns true if `set` contains all voters. With last survivors a commit needs them all, because
/// each may become the last survivor.
pub(crate) fn has_all_voters(membership: &Membership, set: &[NodeId]) -> bool {
    membership.voters().all(|voter| set.contains(&voter))
}

/// Returns true if every quorum of `one` intersects every quorum of `other`. Tries all sets.
pub(crate) fn quorums_intersect(one: &Membership, other: &Membership) -> bool {
    let mut ids: Vec<NodeId> = one.ids().chain(other.ids()).collect();
    ids.sort_unstable();
    ids.dedup();
    let subset = |mask: u32| -> Vec<NodeId> {
        let places = (0..ids.len()).filter(|place| mask & (1 << place) != 0);
        places.map(|place| ids[place]).collect()
    };
    // Of two disjoint quorums, one is in the complement of the other, which then is a quorum too.
    (0..1_u32 << ids.len())
        .all(|mask| !(is_quorum(one, &subset(mask)) && is_quorum(other, &subset(!mask))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[u64]) -> Membership {
        Membership::new(ids.iter().copied().map(NodeId))
    }

    #[test]
    fn quorums_intersect_after_one_voter_change_and_not_after_two() {
        assert!(quorums_intersect(&of(&[1, 2, 3]), &of(&[1, 2, 3, 4])));
        assert!(!quorums_intersect(&of(&[1, 2, 3]), &of(&[1, 4, 5])));
        let joint = of(&[1, 4, 5]).joint_with([1, 2, 3].map(NodeId));
        assert!(
            quorums_intersect(&of(&[1, 2, 3]), &joint)
                && quorums_intersect(&joint, &of(&[1, 4, 5]))
        );
    }

    #[test]
    fn quorums_do_not_intersect_if_the_casting_vote_moves_in_one_step() {
        let held = |holder| of(&[1, 2]).with_casting(NodeId(holder));
        assert!(quorums_intersect(&held(1), &held(1)));
        assert!(!quorums_intersect(&held(1), &held(2)));
    }
}
