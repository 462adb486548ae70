//! Counting, against brute force: every set of voters is tried.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use quorate::quorum::{Tally, Verdict, is_quorum, reached};
use quorate::types::{Membership, NodeId};

/// Ids are from 1 to this.
const IDS: u64 = 7;

/// A membership of up to seven voters, every other one joint; few have an empty half.
fn memberships() -> impl Strategy<Value = Membership> {
    let half = || btree_set((1..=IDS).prop_map(NodeId), 0..=IDS as usize);
    let learners = btree_set((1..=IDS + 2).prop_map(NodeId), 0..3);
    (half(), half(), any::<bool>(), learners).prop_map(|(incoming, outgoing, joint, learners)| {
        let outgoing = if joint { outgoing } else { BTreeSet::new() };
        Membership::new(incoming).joint_with(outgoing).with_learners(learners)
    })
}

/// Every set of ids, those of learners and strangers included.
fn all_sets() -> impl Iterator<Item = BTreeSet<NodeId>> {
    (0_u32..1 << (IDS + 2)).map(|bits| {
        (0..IDS + 2).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
    })
}

/// The definition (Raft §6): more than half of each half that has voters.
fn decides(membership: &Membership, set: &BTreeSet<NodeId>) -> bool {
    [membership.incoming(), membership.outgoing()].iter().all(|half| {
        let present = half.iter().filter(|id| set.contains(id)).count();
        half.is_empty() || 2 * present > half.len()
    })
}

fn has_voters(membership: &Membership) -> bool {
    membership.voters().next().is_some()
}

fn swapped(membership: &Membership) -> Membership {
    Membership::new(membership.outgoing().to_vec()).joint_with(membership.incoming().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quorum_is_more_than_half_of_each_half(membership in memberships()) {
        for set in all_sets() {
            let counted = is_quorum(&membership, |id| set.contains(&id));
            prop_assert_eq!(counted, decides(&membership, &set), "{:?}", set);
        }
    }

    /// What two leaders decide by quorums of one membership, some node knows of both.
    #[test]
    fn any_two_quorums_share_a_voter(membership in memberships()) {
        prop_assume!(has_voters(&membership));
        let voters: BTreeSet<NodeId> = membership.voters().into_iter().collect();
        let quorums: Vec<BTreeSet<NodeId>> = all_sets()
            .filter(|set| set.is_subset(&voters))
            .filter(|set| is_quorum(&membership, |id| set.contains(&id)))
            .collect();
        prop_assert!(quorums.contains(&voters), "all voters together decide");
        for one in &quorums {
            for other in &quorums {
                prop_assert!(!one.is_disjoint(other), "{:?} and {:?}", one, other);
            }
        }
    }

    /// While a membership is joint, what it decides also binds each half alone.
    #[test]
    fn a_joint_quorum_meets_every_quorum_of_either_half(membership in memberships()) {
        for half in [membership.incoming(), membership.outgoing()] {
            let alone = Membership::new(half.to_vec());
            for set in all_sets().filter(|set| is_quorum(&membership, |id| set.contains(&id))) {
                prop_assert!(is_quorum(&alone, |id| set.contains(&id)));
            }
        }
    }

    #[test]
    fn what_is_reached_is_the_highest_number_a_quorum_has(
        membership in memberships(),
        acknowledged in btree_map((1..=IDS + 2).prop_map(NodeId), 0_u64..12, 0..=IDS as usize),
    ) {
        let acked = |id: NodeId| acknowledged.get(&id).copied().unwrap_or(0);
        let has = |index: u64| -> BTreeSet<NodeId> {
            (1..=IDS + 2).map(NodeId).filter(|id| acked(*id) >= index).collect()
        };
        let highest = (0_u64..12).filter(|index| decides(&membership, &has(*index))).max();
        let expected = if has_voters(&membership) { highest } else { Some(u64::MAX) };
        prop_assert_eq!(Some(reached(&membership, acked)), expected);
        prop_assert_eq!(Some(reached(&swapped(&membership), acked)), expected, "halves are equal");
    }

    #[test]
    fn what_is_reached_never_falls(
        membership in memberships(),
        acknowledged in btree_map((1..=IDS).prop_map(NodeId), 0_u64..12, 0..=IDS as usize),
        news in (1..=IDS).prop_map(NodeId),
        more in 1_u64..5,
    ) {
        let acked = |id: NodeId| acknowledged.get(&id).copied().unwrap_or(0);
        let later = |id: NodeId| acked(id) + if id == news { more } else { 0 };
        prop_assert!(reached(&membership, acked) <= reached(&membership, later));
    }

    #[test]
    fn an_election_is_open_while_the_silent_can_still_decide_it(
        membership in memberships(),
        votes in btree_map((1..=IDS + 2).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
    ) {
        let tally = counted(&votes);
        let granted: BTreeSet<NodeId> =
            votes.iter().filter(|(_, granted)| **granted).map(|(id, _)| *id).collect();
        // Every way in which those who have not answered may answer yet.
        let may_win = all_sets().any(|set| {
            set.is_superset(&granted)
                && set.iter().all(|id| votes.get(id).copied().unwrap_or(true))
                && decides(&membership, &set)
        });
        let expected = match (decides(&membership, &granted), may_win) {
            (true, _) => Verdict::Won,
            (false, true) => Verdict::Pending,
            (false, false) => Verdict::Lost,
        };
        prop_assert_eq!(tally.verdict(&membership), expected);
        prop_assert_eq!(tally.verdict(&swapped(&membership)), expected, "halves are equal");
    }

    /// Nobody can be won over once the verdict is in, whoever answers next.
    #[test]
    fn a_verdict_is_final(
        membership in memberships(),
        votes in btree_map((1..=IDS).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
        voter in (1..=IDS).prop_map(NodeId),
        granted in any::<bool>(),
    ) {
        let mut tally = counted(&votes);
        let before = tally.verdict(&membership);
        tally.count(voter, granted);
        if before != Verdict::Pending {
            prop_assert_eq!(tally.verdict(&membership), before);
        }
    }

    /// Two candidates of one term cannot both win: whoever grants one does not grant the other.
    #[test]
    fn two_candidates_never_both_win(
        membership in memberships(),
        choice in btree_map((1..=IDS).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
    ) {
        prop_assume!(has_voters(&membership));
        let first = counted(&choice);
        let second = counted(&choice.iter().map(|(id, granted)| (*id, !granted)).collect());
        let both = [first, second].map(|tally| tally.verdict(&membership));
        prop_assert_ne!(both, [Verdict::Won, Verdict::Won]);
    }
}

fn counted(votes: &BTreeMap<NodeId, bool>) -> Tally {
    let mut tally = Tally::default();
    for (id, granted) in votes {
        tally.count(*id, *granted);
    }
    tally
}
