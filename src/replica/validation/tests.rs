//! The evaluation of digests: which replies show that a state is consistent or has diverged.

use super::*;
use crate::raft::Config;

/// Returns a digest of results and state, where 0 is unknown.
fn digest(results: u8, state: u8) -> StateDigest {
    let hash = |number: u8| (number > 0).then_some(Hash128([number; 16]));
    StateDigest { results: hash(results), state: hash(state) }
}

fn round(own: StateDigest, replies: BTreeMap<NodeId, StateDigest>) -> Round {
    let (until, evaluated_for) = (Instant::NEVER, None);
    Round { number: 1, index: Index(9), own, replies, until, evaluated_for }
}

/// Evaluates the replies of the other voters for node 1, which has results 1. A reply of 0 is
/// an unknown digest.
fn result(voters: u64, replies: &[(u64, u8)], over: bool) -> Option<ComparisonResult> {
    let replies = replies.iter().map(|(id, number)| (NodeId(*id), digest(*number, 0))).collect();
    let own = digest(1, 0);
    let round = round(own, replies);
    evaluate(NodeId(1), &round, &Membership::new((1..=voters).map(NodeId)), over)
}

const CONSISTENT: Option<ComparisonResult> = Some(ComparisonResult::Consistent { index: Index(9) });
const DIVERGED: Option<ComparisonResult> = Some(ComparisonResult::Diverged { index: Index(9) });
const NO_MAJORITY: Option<ComparisonResult> =
    Some(ComparisonResult::NoMajority { index: Index(9) });
const INCONCLUSIVE: Option<ComparisonResult> =
    Some(ComparisonResult::Inconclusive { index: Index(9) });
const UNAVAILABLE: Option<ComparisonResult> =
    Some(ComparisonResult::Unavailable { index: Index(9) });

#[test]
fn replies_for_another_index_are_ignored() {
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let mut validation = Validation::new(&config, 7, Index(9), digest(1, 0), Instant::ZERO);
    let mut advance = |replies: &[(u64, u64, u8)]| {
        for (from, index, results) in replies {
            let (from, index) = (NodeId(*from), Index(*index));
            validation.on_reply(from, 8, index, digest(*results, 0));
        }
        let (now, after) = (Instant::ZERO, Index::ZERO);
        validation.advance(now, &membership, after, &mut Vec::new())
    };
    assert_eq!(advance(&[]), None, "the node requests digests");
    assert_eq!(advance(&[(2, 8, 7), (3, 8, 7)]), None, "an earlier start requested that");
    assert_eq!(advance(&[(2, 9, 1)]), CONSISTENT);
}

#[test]
fn a_comparison_is_evaluated_again_after_a_change_of_the_membership() {
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let mut validation = Validation::new(&config, 7, Index(9), digest(1, 0), Instant::ZERO);
    let advance = |validation: &mut Validation, voters: &Membership| {
        validation.advance(Instant::ZERO, voters, Index::ZERO, &mut Vec::new())
    };
    let four = Membership::new((1..=4).map(NodeId));
    assert_eq!(advance(&mut validation, &four), None, "the node requests digests");
    validation.on_reply(NodeId(2), 8, Index(9), digest(1, 0));
    assert_eq!(advance(&mut validation, &four), None, "two of four are not a majority");
    let three = Membership::new((1..=3).map(NodeId));
    assert_eq!(advance(&mut validation, &three), CONSISTENT, "two of three are one");
}

#[test]
fn an_unverified_node_compares_soon_after_it_applies_its_first_entry() {
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let (membership, start) = (Membership::new([1, 2, 3].map(NodeId)), Instant::ZERO);
    // A state machine with durable state of its own, whose log begins at index 1.
    let mut validation = Validation::new(&config, 7, Index::ZERO, digest(1, 0), start);
    validation.reset_verification(start);
    let advance = |validation: &mut Validation, now| {
        let mut outputs = Vec::new();
        assert_eq!(validation.advance(now, &membership, Index::ZERO, &mut outputs), None);
        outputs.len()
    };
    assert_eq!(advance(&mut validation, start), 0, "there is nothing to compare");
    validation.applied(Index(1), digest(2, 0), &mut Vec::new());
    let later = start.after(config.validation_timeout);
    assert_eq!(validation.deadline(), later);
    assert!(!validation.may_serve_reads(later, &membership));
    assert_eq!(advance(&mut validation, later), 2, "the node requests the digests of both");
}

#[test]
fn a_restored_state_answers_no_read_before_it_was_compared() {
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let (voters, now) = (Membership::new([1, 2, 3].map(NodeId)), Instant::ZERO);
    let mut validation = Validation::new(&config, 7, Index::ZERO, digest(1, 0), now);
    assert!(validation.may_serve_reads(now, &voters), "every state machine begins empty");
    validation.on_request(NodeId(2), 1, Index(5), &mut Vec::new());
    validation.restarted(Index(9), digest(1, 0), now);
    validation.assert_invariants();
    assert_eq!(validation.verification(), StateVerification::Unverified);
    assert!(!validation.may_serve_reads(now, &voters));
    let mut outputs = Vec::new();
    assert_eq!(validation.advance(now, &voters, Index(9), &mut outputs), None);
    assert_eq!(outputs.len(), 2, "the node requests the digests of both");
    validation.on_reply(NodeId(2), 8, Index(9), digest(1, 0));
    assert_eq!(validation.advance(now, &voters, Index(9), &mut outputs), CONSISTENT);
    assert!(validation.may_serve_reads(now, &voters));
}

#[test]
fn a_quarantined_node_asks_one_voter_after_the_other_for_a_snapshot() {
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let (voters, mut now) = (Membership::new([1, 2, 3].map(NodeId)), Instant::ZERO);
    let mut validation = Validation::new(&config, 7, Index(9), digest(1, 0), now);
    validation.quarantine(now);
    let mut outputs = Vec::new();
    for _ in 0..4 {
        assert_eq!(validation.advance(now, &voters, Index(9), &mut outputs), None);
        now = validation.deadline();
    }
    let asked = outputs.iter().filter_map(|output| match output {
        Output::Send(Packet::Comparison(Comparison { to, .. })) => Some(to.0),
        _ => None,
    });
    assert!(asked.eq([2, 3, 2, 3]), "one of them may be down");
}

#[test]
fn a_majority_decides_as_soon_as_it_is_known() {
    assert_eq!(result(3, &[], false), None);
    assert_eq!(result(3, &[(2, 1)], false), CONSISTENT);
    assert_eq!(result(3, &[(2, 7)], false), None);
    assert_eq!(result(3, &[(2, 7), (3, 7)], false), DIVERGED);
    assert_eq!(result(5, &[(2, 1), (3, 7)], false), None);
    assert_eq!(result(5, &[(2, 1), (3, 7), (4, 1)], false), CONSISTENT);
    assert_eq!(result(5, &[(2, 7), (3, 7), (4, 7)], false), DIVERGED);
}

#[test]
fn unknown_digests_count_for_no_state() {
    assert_eq!(result(3, &[(2, 0), (3, 0)], false), UNAVAILABLE);
    assert_eq!(result(3, &[(2, 0)], false), None);
    assert_eq!(result(3, &[(2, 0)], true), UNAVAILABLE);
    assert_eq!(result(3, &[], true), UNAVAILABLE);
    assert_eq!(result(5, &[(2, 1), (3, 0), (4, 0), (5, 0)], true), UNAVAILABLE);
    assert_eq!(result(3, &[(2, 7), (3, 0)], true), INCONCLUSIVE);
    assert_eq!(result(3, &[(2, 7)], true), INCONCLUSIVE);
}

#[test]
fn no_majority_is_reported_once_none_is_possible() {
    assert_eq!(result(2, &[(2, 7)], false), NO_MAJORITY);
    assert_eq!(result(3, &[(2, 7), (3, 8)], false), NO_MAJORITY);
    assert_eq!(result(4, &[(2, 1), (3, 7), (4, 7)], false), NO_MAJORITY);
    assert_eq!(result(4, &[(2, 1), (3, 7)], true), INCONCLUSIVE);
    assert_eq!(result(5, &[(2, 7), (3, 8), (4, 9)], false), NO_MAJORITY);
}

#[test]
fn a_learner_compares_its_state_with_the_voters_and_is_not_counted() {
    let own = digest(1, 0);
    let membership = Membership::new([2, 3, 4].map(NodeId)).with_learners([NodeId(1)]);
    let result = |two, three| {
        let replies = [(NodeId(2), digest(two, 0)), (NodeId(3), digest(three, 0))].into();
        evaluate(NodeId(1), &round(own, replies), &membership, false)
    };
    assert_eq!(result(1, 1), CONSISTENT);
    assert_eq!(result(7, 7), DIVERGED);
    assert_eq!(result(1, 7), None);
}

#[test]
fn states_and_results_are_evaluated_separately() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let result = |own, two, three| {
        let replies = [(NodeId(2), two), (NodeId(3), three)].into();
        evaluate(NodeId(1), &round(own, replies), &membership, true)
    };
    assert_eq!(result(digest(1, 1), digest(1, 1), digest(1, 1)), CONSISTENT);
    assert_eq!(result(digest(1, 1), digest(1, 7), digest(1, 7)), DIVERGED);
    assert_eq!(result(digest(1, 1), digest(7, 1), digest(7, 1)), DIVERGED);
    assert_eq!(
        result(digest(0, 1), digest(7, 1), digest(7, 1)),
        CONSISTENT,
        "this node's results are unknown"
    );
    assert_eq!(
        result(digest(1, 1), digest(1, 0), digest(1, 0)),
        CONSISTENT,
        "states are not hashed"
    );
    assert_eq!(result(digest(1, 1), digest(1, 7), digest(1, 0)), INCONCLUSIVE);
    assert_eq!(result(digest(0, 1), digest(7, 0), digest(7, 0)), UNAVAILABLE);
}
