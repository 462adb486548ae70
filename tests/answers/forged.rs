//! Forged clusters, each of which violates one property that the harness checks.

use quorate::types::{Body, Incarnation, Index, Membership, Message, Restored, Term};

use crate::harness::{Cluster, FOUR, ONE, Safety, THREE, TWO, log, plain, stored, voters};

#[test]
#[should_panic(expected = "election safety")]
fn two_leaders_of_one_term_are_detected() {
    let mut cluster = Cluster::empty();
    for id in [ONE, TWO] {
        // Each leads its own cluster of one node, and both are put into this one.
        cluster.add(plain(id), Restored::fresh(Membership::new([id])));
    }
    cluster.campaign(ONE);
    cluster.campaign(TWO);
}

#[test]
#[should_panic(expected = "log matching")]
fn logs_that_do_not_match_are_detected() {
    let disks = [&[1, 2, 3], &[2, 2, 3]].map(|terms| stored(voters(2), 3, None, 0, log(terms)));
    Cluster::stored(disks).settle();
}

#[test]
#[should_panic(expected = "state machine safety")]
fn different_entries_applied_at_one_index_are_detected() {
    let disks = [&[1, 2], &[1, 3]].map(|terms| stored(voters(2), 3, None, 2, log(terms)));
    let mut cluster = Cluster::stored(disks);
    cluster.campaign(ONE);
}

#[test]
#[should_panic(expected = "voted twice")]
fn two_votes_of_one_node_in_one_term_are_detected() {
    let mut safety = Safety::default();
    for to in [THREE, FOUR] {
        let body = Body::RequestVoteReply { granted: true, committed: Index::ZERO };
        safety.observe_sent(&Message {
            from: ONE,
            incarnation: Incarnation::default(),
            to,
            term: Term(3),
            body,
        });
    }
}
