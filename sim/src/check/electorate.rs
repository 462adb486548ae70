//! The voters of a membership and their quorums. The checks count votes independently of
//! `src/quorum`, so that a counting bug there is not repeated here.

use std::collections::BTreeSet;

use quorate::types::{Membership, NodeId, Voters};

use crate::check::nodes::{Nodes, Slot};

/// A membership and its voters, as positions in the checks' list of nodes.
#[derive(Clone, Debug)]
pub(crate) struct Electorate {
    /// The membership that names the voters.
    pub(crate) membership: Membership,
    incoming: VoterSet,
    /// The outgoing voters of a joint membership.
    outgoing: Option<VoterSet>,
}

/// One set of voters that needs a majority of its own (Raft §6).
#[derive(Clone, Debug)]
struct VoterSet {
    voters: Nodes,
    /// The number of voters, including voters that are not nodes of this world.
    size: u32,
    casting: Option<Slot>,
}

/// Whether a set of nodes is a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The nodes are a quorum.
    Quorum,
    /// The nodes are a quorum only if those of them without a vote are counted too.
    QuorumWithNonVoters,
    /// The nodes are not a quorum.
    NoQuorum,
}

/// The largest number of voters for which all subsets are enumerated.
const ENUMERATED_VOTERS_MAX: usize = 12;

impl VoterSet {
    fn new(nodes: &[NodeId], voters: &Voters) -> VoterSet {
        let slot = |id: &NodeId| nodes.iter().position(|node| node == id).map(Slot);
        let size = u32::try_from(voters.len()).expect("voters are few");
        let casting = voters.casting().as_ref().and_then(slot);
        VoterSet { voters: voters.iter().filter_map(slot).collect(), size, casting }
    }

    /// Whether `nodes` decide for this set of voters: as a majority, or as half with the holder of
    /// the casting vote. Each node of `non_voters` counts as one more vote.
    fn decides(&self, nodes: Nodes, non_voters: Nodes) -> bool {
        let votes = 2 * (nodes.intersection(self.voters).count() + non_voters.count());
        let casting = self.casting.is_some_and(|holder| nodes.contains(holder));
        votes > self.size || votes == self.size && votes > 0 && casting
    }
}

impl Electorate {
    /// Creates the electorate of `membership`, with positions in the list `nodes`.
    pub(crate) fn new(nodes: &[NodeId], membership: &Membership) -> Electorate {
        let outgoing = (!membership.outgoing().is_empty()).then_some(membership.outgoing());
        Electorate {
            membership: membership.clone(),
            incoming: VoterSet::new(nodes, membership.incoming()),
            outgoing: outgoing.map(|voters| VoterSet::new(nodes, voters)),
        }
    }

    /// Whether the node has a vote.
    pub(super) fn is_voter(&self, slot: Slot) -> bool {
        self.voters().contains(slot)
    }

    fn voters(&self) -> Nodes {
        let outgoing = self.outgoing.as_ref().map_or(Nodes::default(), |set| set.voters);
        self.incoming.voters.union(outgoing)
    }

    fn voter_sets(&self) -> impl Iterator<Item = &VoterSet> {
        [Some(&self.incoming), self.outgoing.as_ref()].into_iter().flatten()
    }

    /// Decides whether `nodes` are a quorum: a majority of each voter set, or exactly half of an
    /// even set if the holder of its casting vote is included.
    pub(crate) fn decision(&self, nodes: Nodes) -> Decision {
        let non_voters = nodes.difference(self.voters());
        if self.voter_sets().all(|set| set.decides(nodes, Nodes::default())) {
            Decision::Quorum
        } else if self.voter_sets().all(|set| set.decides(nodes, non_voters)) {
            Decision::QuorumWithNonVoters
        } else {
            Decision::NoQuorum
        }
    }

    /// Whether every quorum of one membership shares a node with every quorum of the other. Returns
    /// true without a test if there are more voters than can be enumerated.
    pub(super) fn quorums_intersect(&self, other: &Electorate) -> bool {
        let both = [&self.membership, &other.membership];
        let voters: BTreeSet<NodeId> =
            both.iter().flat_map(|membership| membership.voters()).collect();
        let voters: Vec<NodeId> = voters.into_iter().collect();
        if voters.len() > ENUMERATED_VOTERS_MAX {
            return true;
        }
        let ours = Electorate::new(&voters, &self.membership);
        let theirs = Electorate::new(&voters, &other.membership);
        let all: Nodes = (0..voters.len()).map(Slot).collect();
        (0..1_u32 << voters.len()).all(|set| {
            let some: Nodes =
                (0..voters.len()).filter(|place| set >> place & 1 == 1).map(Slot).collect();
            ours.decision(some) != Decision::Quorum
                || theirs.decision(all.difference(some)) != Decision::Quorum
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
        assert_eq!(decision(&four, &[1, 2, 3]), Decision::Quorum);
        assert_eq!(decision(&four, &[1, 4]), Decision::Quorum);
        assert_eq!(decision(&four, &[1, 2]), Decision::NoQuorum);
        let three = Membership::new(ids(&[1, 2, 3])).with_casting(NodeId(3));
        assert_eq!(decision(&three, &[3]), Decision::NoQuorum);
        assert_eq!(decision(&Membership::new(ids(&[1, 2])), &[1]), Decision::NoQuorum);
        assert_eq!(decision(&Membership::default(), &[]), Decision::NoQuorum);
    }

    #[test]
    fn each_voter_set_needs_a_majority_and_non_voters_do_not_count() {
        let joint = Membership::new(ids(&[3, 4, 5])).joint_with(ids(&[1, 2, 3]));
        assert_eq!(decision(&joint, &[1, 2, 3]), Decision::NoQuorum);
        assert_eq!(decision(&joint, &[2, 3, 4]), Decision::Quorum);
        let three = Membership::new(ids(&[1, 2, 3])).with_learners(ids(&[4]));
        assert_eq!(decision(&three, &[1, 4]), Decision::QuorumWithNonVoters);
        assert_eq!(decision(&three, &[1, 5]), Decision::QuorumWithNonVoters);
        assert_eq!(decision(&three, &[1, 2, 4]), Decision::Quorum);
    }

    #[test]
    fn quorums_of_a_joint_change_intersect_and_those_of_a_direct_change_do_not() {
        let electorate = |membership: &Membership| Electorate::new(&[], membership);
        let three = Membership::new(ids(&[1, 2, 3]));
        let five = Membership::new(ids(&[1, 2, 3, 4, 5]));
        let joint = Membership::new(ids(&[1, 2, 3, 4, 5])).joint_with(ids(&[1, 2, 3]));
        assert!(!electorate(&three).quorums_intersect(&electorate(&five)));
        assert!(electorate(&three).quorums_intersect(&electorate(&joint)));
        assert!(electorate(&joint).quorums_intersect(&electorate(&five)));
        let cast =
            |holder| electorate(&Membership::new(ids(&[1, 2, 3, 4])).with_casting(NodeId(holder)));
        assert!(cast(1).quorums_intersect(&cast(1)));
        assert!(
            !cast(1).quorums_intersect(&cast(2)),
            "moving the casting vote in one step is unsafe"
        );
    }
}
