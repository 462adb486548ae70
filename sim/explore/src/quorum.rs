//! Which sets of nodes decide, counted by the definition and not by the core's own code.

use quorate::types::{Membership, NodeId, Voters};

/// Whether the nodes of `set` decide under the membership: a quorum of each half does.
pub(crate) fn decides(membership: &Membership, set: &[NodeId]) -> bool {
    half_decides(membership.incoming(), set)
        && (membership.outgoing().is_empty() || half_decides(membership.outgoing(), set))
}

/// A set Q of the voters V is a quorum if 2·|Q| > |V|, or if 2·|Q| = |V| and the casting vote is
/// in Q.
fn half_decides(voters: &Voters, set: &[NodeId]) -> bool {
    let twice = 2 * voters.iter().filter(|voter| set.contains(voter)).count();
    let casting = voters.casting().is_some_and(|holder| set.contains(&holder));
    twice > voters.len() || (twice == voters.len() && casting)
}

/// Whether all that have a vote are in the set: each may be the last survivor.
pub(crate) fn all_decide(membership: &Membership, set: &[NodeId]) -> bool {
    membership.voters().all(|voter| set.contains(&voter))
}

/// Whether every quorum of the one shares a node with every quorum of the other, by trying all.
pub(crate) fn always_meet(one: &Membership, other: &Membership) -> bool {
    let mut ids: Vec<NodeId> = one.ids().chain(other.ids()).collect();
    ids.sort_unstable();
    ids.dedup();
    let subset = |mask: u32| -> Vec<NodeId> {
        let places = (0..ids.len()).filter(|place| mask & (1 << place) != 0);
        places.map(|place| ids[place]).collect()
    };
    // Two disjoint sets, as large as can be, are a set and all the rest.
    (0..1_u32 << ids.len())
        .all(|mask| !(decides(one, &subset(mask)) && decides(other, &subset(!mask))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[u64]) -> Membership {
        Membership::new(ids.iter().copied().map(NodeId))
    }

    #[test]
    fn one_voter_more_or_less_meets_and_two_do_not() {
        assert!(always_meet(&of(&[1, 2, 3]), &of(&[1, 2, 3, 4])));
        assert!(!always_meet(&of(&[1, 2, 3]), &of(&[1, 4, 5])));
        let joint = of(&[1, 4, 5]).joint_with([1, 2, 3].map(NodeId));
        assert!(always_meet(&of(&[1, 2, 3]), &joint) && always_meet(&joint, &of(&[1, 4, 5])));
    }

    #[test]
    fn the_casting_vote_does_not_change_hands_in_one_step() {
        let held = |holder| of(&[1, 2]).with_casting(NodeId(holder));
        assert!(always_meet(&held(1), &held(1)));
        assert!(!always_meet(&held(1), &held(2)));
    }
}
