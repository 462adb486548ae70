//! Forged campaigns: S49, S50 and S52.

use std::time::Duration;

use quorate::types::{Body, EntryId, Heartbeat, Index, NodeId, Readiness, Term};

use crate::stage::{Stage, id, noop, voted};

/// Node 1 leads term 1, and nodes 1 to 3 have its first two entries, node 4 only the first.
fn led() -> Stage {
    let mut stage = Stage::of_pre_votes();
    pre_votes(&mut stage, 1, 1, &[2, 3]);
    stage.wins(1, 1, &[2, 3, 4]);
    stage.all_hold(&[1, 2, 3, 4], &[noop(1, 1)]);
    stage.all_hold(&[1, 2, 3], &[noop(2, 1)]);
    stage
}

/// The voters grant a node their pre-votes for a term.
fn pre_votes(stage: &mut Stage, node: u64, next_term: u64, voters: &[u64]) {
    let (next_term, committed) = (Term(next_term), Index::ZERO);
    for voter in voters {
        let last = stage.last_of(node);
        stage.sends(node, *voter, 0, Body::PreVote { next_term, last });
        let granted = Body::PreVoteReply { next_term, granted: true, committed };
        stage.sends_in_step(*voter, node, 0, granted);
    }
}

/// The node votes for itself in a term.
fn votes_for_itself(stage: &mut Stage, node: u64, term: u64) {
    stage.changes_status(node, |status| (status.term, status.vote) = (Term(term), None));
    stage.submits(node, Some(voted(term, node)), &[]);
    stage.flushes(node);
}

/// Node 1 names a commit index to node 3, which follows it.
fn names_committed(stage: &mut Stage, index: u64) {
    let heartbeat = Body::Heartbeat(Heartbeat::new(1, Index(index)));
    stage.changes_status(3, |status| status.leader = Some(NodeId(1)));
    stage.receives(3, 1, 1, heartbeat);
    stage.steps(3);
}

/// Node 2 reports to its leader, node 1, whether it may lead.
fn reports(stage: &mut Stage, round: u64, may_lead: bool) {
    let (verified, matched, durable) = (Index(2), Index(2), Index(2));
    let ready = Readiness { may_lead, ..Readiness::default() };
    stage.receives(1, 2, 1, Body::HeartbeatReply { round, verified, matched, durable, ready });
    stage.steps(1);
}

#[test]
fn a_node_that_may_lead_again_is_asked_and_a_whole_log_gets_a_pre_vote() {
    let mut stage = led();
    reports(&mut stage, 1, false);
    reports(&mut stage, 2, true);
    reports(&mut stage, 1, false);
    stage.sends_in_step(1, 2, 1, Body::TimeoutNow);
    names_committed(&mut stage, 2);
    // Until then the voter hears its leader.
    stage.advances_time(Duration::from_secs(10));
    pre_votes(&mut stage, 2, 2, &[3]);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_campaign_after_pre_votes_or_a_transfer_is_accepted() {
    let mut stage = led();
    stage.sends_in_step(1, 2, 1, Body::TimeoutNow);
    votes_for_itself(&mut stage, 2, 2);
    stage.sends(2, 3, 2, Body::RequestVote { last: id(2, 1), transfer: true });
    pre_votes(&mut stage, 3, 3, &[1, 2]);
    votes_for_itself(&mut stage, 3, 3);
    stage.sends(3, 1, 3, Body::RequestVote { last: id(2, 1), transfer: false });
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S49 a_candidate_claims_that_its_leader_asked_it on led
    "n2 requests votes in term t2 at the request of a leader, but no leader of term t1 asked it to \
     campaign"
    |stage| {
        votes_for_itself(stage, 2, 2);
        stage.sends(2, 3, 2, Body::RequestVote { last: id(2, 1), transfer: true });
    }

    S49 a_candidate_has_too_few_pre_votes on led
    "n2 requests votes in term t2 with pre-votes of n2, n3, which is not a quorum of {n1 n2 n3 n4 \
     n5}"
    |stage| {
        pre_votes(stage, 2, 2, &[3]);
        votes_for_itself(stage, 2, 2);
        stage.sends(2, 3, 2, Body::RequestVote { last: id(2, 1), transfer: false });
    }

    S50 a_vote_goes_to_a_shorter_log on led
    "n3 votes in term t2 for n4, whose log ends with entry 1@t1, but its own log ends with entry \
     2@t1"
    |stage| {
        stage.sends(1, 4, 1, Body::TimeoutNow);
        votes_for_itself(stage, 4, 2);
        stage.sends(4, 3, 2, Body::RequestVote { last: id(1, 1), transfer: true });
        stage.changes_status(3, |status| {
            (status.term, status.vote) = (Term(2), Some(NodeId(4)));
        });
    }

    S50 a_pre_vote_goes_to_a_shorter_log on led
    "n3 grants a pre-vote for term t2 to n4, whose log ends with entry 1@t1, but its own log ends \
     with entry 2@t1"
    |stage| pre_votes(stage, 4, 2, &[3])

    S50 a_pre_vote_is_granted_for_the_current_term on led
    "n5 grants n4 a pre-vote for term t1, but is in term t1"
    |stage| {
        stage.enters(5, 1);
        stage.sends(4, 5, 0, Body::PreVote { next_term: Term(1), last: EntryId::ZERO });
        let (next_term, granted, committed) = (Term(1), true, Index::ZERO);
        stage.sends_in_step(5, 4, 1, Body::PreVoteReply { next_term, granted, committed });
    }

    S50 a_vote_goes_to_a_log_without_a_committed_entry on led
    "n3 votes in term t2 for n2, whose log ends with entry 2@t1, but a leader has named index 3 as \
     committed"
    |stage| {
        names_committed(stage, 3);
        stage.sends(1, 2, 1, Body::TimeoutNow);
        votes_for_itself(stage, 2, 2);
        stage.sends(2, 3, 2, Body::RequestVote { last: id(2, 1), transfer: true });
        stage.changes_status(3, |status| {
            (status.term, status.vote, status.leader) = (Term(2), Some(NodeId(2)), None);
        });
    }

    S50 a_pre_vote_goes_to_a_log_without_a_committed_entry on led
    "n3 grants a pre-vote for term t2 to n2, whose log ends with entry 2@t1, but a leader has \
     named index 3 as committed"
    |stage| {
        names_committed(stage, 3);
        pre_votes(stage, 2, 2, &[3]);
    }

    S52 a_leader_asks_a_node_that_may_not_lead on led
    "n1 leads term t1 and asks n2 to campaign, although that node has reported in round 2 that it \
     may not lead"
    |stage| {
        reports(stage, 1, true);
        stage.sends_in_step(1, 2, 1, Body::TimeoutNow);
        reports(stage, 2, false);
        reports(stage, 1, true);
        stage.sends_in_step(1, 2, 1, Body::TimeoutNow);
    }

    S52 a_leader_asks_a_node_without_its_last_entry on led
    "n1 leads term t1 and asks n4 to campaign, but n4's disk has its log up to index 1 only, and \
     the leader's log ends with entry 2@t1"
    |stage| stage.sends_in_step(1, 4, 1, Body::TimeoutNow)
}
