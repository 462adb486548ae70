//! Who decides under a membership: counted here by heads, apart from the core's own counting, so
//! that a mistake there is none here too.

use std::collections::BTreeSet;

use quorate::types::{Membership, NodeId, Voters};

use crate::check::nodes::{Nodes, Slot};

/// A membership, and the nodes that decide under it.
#[derive(Clone, Debug)]
pub(super) struct Electorate {
    /// The membership.
    pub(super) membership: Membership,
    incoming: Half,
    /// Only while it is joint.
    outgoing: Option<Half>,
}

/// Voters that decide together.
#[derive(Clone, Debug)]
struct Half {
    voters: Nodes,
    /// How many there are, those included that the world does not have.
    size: u32,
    casting: Option<Slot>,
}

/// What a set of nodes comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// They decide.
    Made,
    /// They would if each of them had a vote.
    ByStrangers,
    /// They do not.
    None,
}

/// Up to how many voters of two memberships all sets of them are tried.
const TRIED_MAX: usize = 12;

impl Half {
    fn new(nodes: &[NodeId], voters: &Voters) -> Half {
        let slot = |id: &NodeId| nodes.iter().position(|node| node == id).map(Slot);
        let size = u32::try_from(voters.len()).expect("voters are few");
        let casting = voters.casting().as_ref().and_then(slot);
        Half { voters: voters.iter().filter_map(slot).collect(), size, casting }
    }

    /// Whether `nodes` decide, if `strangers` voted with them.
    fn decides(&self, nodes: Nodes, strangers: Nodes) -> bool {
        let votes = 2 * (nodes.within(self.voters).count() + strangers.count());
        let casting = self.casting.is_some_and(|holder| nodes.contains(holder));
        votes > self.size || votes == self.size && votes > 0 && casting
    }
}

impl Electorate {
    /// Who of `nodes` decides under `membership`.
    pub(super) fn new(nodes: &[NodeId], membership: &Membership) -> Electorate {
        let outgoing = (!membership.outgoing().is_empty()).then_some(membership.outgoing());
        Electorate {
            membership: membership.clone(),
            incoming: Half::new(nodes, membership.incoming()),
            outgoing: outgoing.map(|voters| Half::new(nodes, voters)),
        }
    }

    /// Whether the node has a vote.
    pub(super) fn is_voter(&self, slot: Slot) -> bool {
        self.voters().contains(slot)
    }

    fn voters(&self) -> Nodes {
        let outgoing = self.outgoing.as_ref().map_or(Nodes::default(), |half| half.voters);
        self.incoming.voters.and(outgoing)
    }

    fn halves(&self) -> impl Iterator<Item = &Half> {
        [Some(&self.incoming), self.outgoing.as_ref()].into_iter().flatten()
    }

    /// What `nodes` come to: a majority of each half decides, or of an even half so many that the
    /// holder of its casting vote is among them.
    pub(super) fn decision(&self, nodes: Nodes) -> Decision {
        let strangers = nodes.without(self.voters());
        if self.halves().all(|half| half.decides(nodes, Nodes::default())) {
            Decision::Made
        } else if self.halves().all(|half| half.decides(nodes, strangers)) {
            Decision::ByStrangers
        } else {
            Decision::None
        }
    }

    /// Whether any two sets that decide, one under each membership, share a node: none decides
    /// under the one while the rest decides under the other. Too many voters are not tried.
    pub(super) fn shares_quorums(&self, other: &Electorate) -> bool {
        let both = [&self.membership, &other.membership];
        let voters: BTreeSet<NodeId> =
            both.iter().flat_map(|membership| membership.voters()).collect();
        let voters: Vec<NodeId> = voters.into_iter().collect();
        if voters.len() > TRIED_MAX {
            return true;
        }
        let ours = Electorate::new(&voters, &self.membership);
        let theirs = Electorate::new(&voters, &other.membership);
        let all: Nodes = (0..voters.len()).map(Slot).collect();
        (0..1_u32 << voters.len()).all(|set| {
            let some: Nodes =
                (0..voters.len()).filter(|place| set >> place & 1 == 1).map(Slot).collect();
            ours.decision(some) != Decision::Made
                || theirs.decision(all.without(some)) != Decision::Made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn decision(membership: &Membership, of: &[u64]) -> Decision {
        let nodes = ids(&[1, 2, 3, 4, 5, 6]);
        let slots = of.iter().map(|id| Slot(*id as usize - 1));
        Electorate::new(&nodes, membership).decision(slots.collect())
    }

    #[test]
    fn a_majority_decides_and_half_only_with_the_casting_vote() {
        let four = Membership::new(ids(&[1, 2, 3, 4])).with_casting(NodeId(4));
        assert_eq!(decision(&four, &[1, 2, 3]), Decision::Made);
        assert_eq!(decision(&four, &[1, 4]), Decision::Made);
        assert_eq!(decision(&four, &[1, 2]), Decision::None);
        let three = Membership::new(ids(&[1, 2, 3])).with_casting(NodeId(3));
        assert_eq!(decision(&three, &[3]), Decision::None);
        assert_eq!(decision(&Membership::new(ids(&[1, 2])), &[1]), Decision::None);
        assert_eq!(decision(&Membership::default(), &[]), Decision::None);
    }

    #[test]
    fn each_half_decides_and_nobody_else_counts() {
        let joint = Membership::new(ids(&[3, 4, 5])).joint_with(ids(&[1, 2, 3]));
        assert_eq!(decision(&joint, &[1, 2, 3]), Decision::None);
        assert_eq!(decision(&joint, &[2, 3, 4]), Decision::Made);
        let three = Membership::new(ids(&[1, 2, 3])).with_learners(ids(&[4]));
        assert_eq!(decision(&three, &[1, 4]), Decision::ByStrangers);
        assert_eq!(decision(&three, &[1, 9 - 4]), Decision::ByStrangers);
        assert_eq!(decision(&three, &[1, 2, 4]), Decision::Made);
    }

    #[test]
    fn quorums_of_a_joint_step_meet_and_of_a_jump_do_not() {
        let electorate = |membership: &Membership| Electorate::new(&[], membership);
        let three = Membership::new(ids(&[1, 2, 3]));
        let five = Membership::new(ids(&[1, 2, 3, 4, 5]));
        let joint = Membership::new(ids(&[1, 2, 3, 4, 5])).joint_with(ids(&[1, 2, 3]));
        assert!(!electorate(&three).shares_quorums(&electorate(&five)));
        assert!(electorate(&three).shares_quorums(&electorate(&joint)));
        assert!(electorate(&joint).shares_quorums(&electorate(&five)));
        let cast =
            |holder| electorate(&Membership::new(ids(&[1, 2, 3, 4])).with_casting(NodeId(holder)));
        assert!(cast(1).shares_quorums(&cast(1)));
        assert!(!cast(1).shares_quorums(&cast(2)), "the vote alone never changes hands");
    }
}
