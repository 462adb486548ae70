//! Brute-force tests of quorums: each membership is tried with every set of nodes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use quorate::quorum::{Tally, VoteResult, is_quorum, reached};
use quorate::types::{Change, Membership, NodeId, Voters};

/// The largest node id; ids start from 1.
const IDS: u64 = 7;

/// Generates memberships of up to seven voters; about half of them are joint. Few voter sets are
/// empty, and some of the others give one of their voters the casting vote.
fn memberships() -> impl Strategy<Value = Membership> {
    let ids = || btree_set((1..=IDS).prop_map(NodeId), 0..=IDS as usize);
    let set = || (ids(), 0..=IDS as usize).prop_map(|(ids, holder)| voters(ids, holder));
    let learners = btree_set((1..=IDS + 2).prop_map(NodeId), 0..3);
    (set(), set(), any::<bool>(), learners).prop_map(|(incoming, outgoing, joint, learners)| {
        let outgoing = if joint { outgoing } else { Voters::default() };
        membership(&incoming, &outgoing).with_learners(learners)
    })
}

/// Returns these voters; the one at position `holder` has the casting vote, if there is one.
fn voters(ids: BTreeSet<NodeId>, holder: usize) -> Voters {
    let holder = ids.iter().nth(holder).copied();
    Voters::new(ids).with_casting(holder)
}

/// Returns the membership with these voters; not joint if there are no outgoing ones, or both sets
/// are equal. If both have voters, it is built like every joint membership: by a change from the
/// outgoing voters to the incoming ones.
fn membership(incoming: &Voters, outgoing: &Voters) -> Membership {
    let simple = |voters: &Voters| {
        let membership = Membership::new(voters.iter().copied());
        voters.casting().map_or(membership.clone(), |holder| membership.with_casting(holder))
    };
    if outgoing.is_empty() || incoming.is_empty() {
        return simple(incoming).joint_with(outgoing.iter().copied());
    }
    let added = incoming.iter().fold(Change::new(), |change, id| change.voter(*id));
    let removed = outgoing.iter().filter(|id| !incoming.contains(id));
    let change = removed.fold(added, |change, id| change.remove(*id));
    let staged = simple(outgoing).changed(&change.casting(incoming.casting()));
    let staged = staged.expect("voters remain");
    if staged.is_staged() { staged.enter_joint(None) } else { staged }
}

/// Returns every set of ids, those of learners and of other nodes included.
fn all_sets() -> impl Iterator<Item = BTreeSet<NodeId>> {
    (0_u32..1 << (IDS + 2)).map(|bits| {
        (0..IDS + 2).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
    })
}

/// The definition of a quorum (Raft §6): more than half of each voter set that is not empty, or
/// exactly half of it with the holder of its casting vote.
fn decides(membership: &Membership, set: &BTreeSet<NodeId>) -> bool {
    [membership.incoming(), membership.outgoing()].iter().all(|voters| {
        let present = voters.iter().filter(|id| set.contains(id)).count();
        let cast = voters.casting().is_some_and(|holder| set.contains(&holder));
        voters.is_empty() || 2 * present > voters.len() || 2 * present == voters.len() && cast
    })
}

fn has_voters(membership: &Membership) -> bool {
    membership.voters().next().is_some()
}

fn swapped(joint: &Membership) -> Membership {
    match joint.is_joint() && !joint.incoming().is_empty() {
        true => membership(joint.outgoing(), joint.incoming()),
        false => joint.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quorum_is_more_than_half_of_each_voter_set(membership in memberships()) {
        for set in all_sets() {
            let counted = is_quorum(&membership, |id| set.contains(&id));
            prop_assert_eq!(counted, decides(&membership, &set), "{:?}", set);
        }
    }

    /// Some voter takes part in both of any two decisions by quorums of one membership.
    #[test]
    fn any_two_quorums_share_a_voter(membership in memberships()) {
        prop_assume!(has_voters(&membership));
        let voters: BTreeSet<NodeId> = membership.voters().collect();
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

    /// A decision of a joint membership is also a decision of each of its voter sets alone.
    #[test]
    fn a_joint_quorum_is_a_quorum_of_each_voter_set(membership in memberships()) {
        for voters in [membership.incoming(), membership.outgoing()] {
            let alone = self::membership(voters, &Voters::default());
            for set in all_sets().filter(|set| is_quorum(&membership, |id| set.contains(&id))) {
                prop_assert!(is_quorum(&alone, |id| set.contains(&id)));
            }
        }
    }

    #[test]
    fn reached_is_the_highest_number_of_a_quorum(
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
        let swapped = reached(&swapped(&membership), acked);
        prop_assert_eq!(Some(swapped), expected, "the order of the voter sets is irrelevant");
    }

    #[test]
    fn reached_never_decreases(
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
    fn an_election_is_pending_while_missing_answers_can_win_it(
        membership in memberships(),
        votes in btree_map((1..=IDS + 2).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
    ) {
        let tally = counted(&votes);
        let granted: BTreeSet<NodeId> =
            votes.iter().filter(|(_, granted)| **granted).map(|(id, _)| *id).collect();
        // Every possible combination of the answers that are missing.
        let may_win = all_sets().any(|set| {
            set.is_superset(&granted)
                && set.iter().all(|id| votes.get(id).copied().unwrap_or(true))
                && decides(&membership, &set)
        });
        let expected = match (decides(&membership, &granted), may_win) {
            (true, _) => VoteResult::Won,
            (false, true) => VoteResult::Pending,
            (false, false) => VoteResult::Lost,
        };
        prop_assert_eq!(tally.result(&membership), expected);
        let swapped = tally.result(&swapped(&membership));
        prop_assert_eq!(swapped, expected, "the order of the voter sets is irrelevant");
    }

    /// The result of an election is final, regardless of later answers.
    #[test]
    fn an_election_result_is_final(
        membership in memberships(),
        votes in btree_map((1..=IDS).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
        voter in (1..=IDS).prop_map(NodeId),
        granted in any::<bool>(),
    ) {
        let mut tally = counted(&votes);
        let before = tally.result(&membership);
        tally.count(voter, granted);
        if before != VoteResult::Pending {
            prop_assert_eq!(tally.result(&membership), before);
        }
    }

    /// Two candidates of one term cannot both win: a voter grants its vote to only one of them.
    #[test]
    fn two_candidates_never_both_win(
        membership in memberships(),
        choice in btree_map((1..=IDS).prop_map(NodeId), any::<bool>(), 0..=IDS as usize),
    ) {
        prop_assume!(has_voters(&membership));
        let first = counted(&choice);
        let second = counted(&choice.iter().map(|(id, granted)| (*id, !granted)).collect());
        let both = [first, second].map(|tally| tally.result(&membership));
        prop_assert_ne!(both, [VoteResult::Won, VoteResult::Won]);
    }
}

fn counted(votes: &BTreeMap<NodeId, bool>) -> Tally {
    let mut tally = Tally::default();
    for (id, granted) in votes {
        tally.count(*id, *granted);
    }
    tally
}

/// Returns every set of up to `ids` voters, with and without every holder of the casting vote.
fn all_voters(ids: u64) -> Vec<Voters> {
    let sets = (1_u32..1 << ids).map(|bits| {
        (0..ids).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
    });
    sets.flat_map(|set: BTreeSet<NodeId>| (0..=set.len()).map(move |at| voters(set.clone(), at)))
        .collect()
}

/// Returns the sets of the ids from 1 to `ids` that are quorums, one bit for each: bit `s` stands
/// for the set that has the id `i + 1` if `s` has the bit `i`.
fn quorums(membership: &Membership, ids: u64) -> u128 {
    (0_u32..1 << ids)
        .filter(|set| is_quorum(membership, |id| set >> (id.0 - 1) & 1 == 1))
        .fold(0, |quorums, set| quorums | 1 << set)
}

/// Whether a quorum of `one` and a quorum of `other` share no node, where both are [`quorums`] of 7
/// ids. The complement of a set `s` is `127 - s`; a set that contains a quorum is one itself.
fn are_apart(one: u128, other: u128) -> bool {
    one & other.reverse_bits() != 0
}

/// A joint membership decides if both of its voter sets decide, and only then.
#[test]
fn every_joint_membership_of_five_decides_as_both_voter_sets() {
    const FEW: u64 = 5;
    let all: Vec<(Voters, u128)> = all_voters(FEW)
        .into_iter()
        .map(|voters| (voters.clone(), quorums(&membership(&voters, &Voters::default()), FEW)))
        .collect();
    for (incoming, one) in &all {
        for (outgoing, other) in all.iter().filter(|(outgoing, _)| outgoing != incoming) {
            let joint = membership(incoming, outgoing);
            assert!(joint.is_joint() && joint.incoming() == incoming, "{joint}");
            assert_eq!(quorums(&joint, FEW), one & other, "{joint}");
        }
    }
}

/// Any two quorums share a voter if both are of one voter set, if both are of a joint membership,
/// or if one is of a voter set and the other of a joint membership that contains this set.
#[test]
fn quorums_of_consecutive_memberships_of_seven_overlap() {
    let no_voters = Voters::default();
    let all: Vec<u128> =
        all_voters(IDS).iter().map(|set| quorums(&membership(set, &no_voters), IDS)).collect();
    assert_eq!(all.len(), 575, "every set with every holder, and without");
    for one in &all {
        assert!(!are_apart(*one, *one));
        for other in &all {
            let joint = one & other;
            assert_ne!(joint, 0, "all voters together decide");
            assert!(
                !are_apart(joint, *one) && !are_apart(joint, *other) && !are_apart(joint, joint)
            );
        }
    }
}

/// Every change needs a joint membership, even one of the casting vote alone: in one step, two
/// halves of the voters could decide against each other.
#[test]
fn two_holders_of_one_casting_vote_decide_independently() {
    let four = |holder| Membership::new([1, 2, 3, 4].map(NodeId)).with_casting(NodeId(holder));
    let half = |ids: [u64; 2]| move |id: NodeId| ids.contains(&id.0);
    assert!(is_quorum(&four(1), half([1, 2])));
    assert!(is_quorum(&four(3), half([3, 4])));
    let one_more = Membership::new([1, 2, 3, 4, 5].map(NodeId));
    assert!(is_quorum(&one_more, |id| id.0 >= 3) && is_quorum(&four(1), |id| id.0 < 3));
}
