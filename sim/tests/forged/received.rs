//! Forged receivers, which take a message and do the wrong thing: S58 to S61.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{AppendOutcome, Body, EntryId, Heartbeat, Index, NodeId, Readiness, Term};

use crate::stage::{Stage, id, noop, voted};

/// Node 1 leads term 1, and nodes 1 to 3 have its first two entries on their disks.
pub(crate) fn led() -> Stage {
    led_on(Stage::new())
}

fn led_on(mut stage: Stage) -> Stage {
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1)]);
    stage
}

/// Like [`led`]; in addition, node 2 took the first entry in a message of node 1; its reply waits.
fn brought() -> Stage {
    let mut stage = led();
    stage.receives(2, 1, 1, entries(EntryId::ZERO, 1, 0));
    stage.changes_status(2, |status| {
        (status.leader, status.outbox_messages) = (Some(NodeId(1)), 1);
    });
    stage
}

/// Node 3 has voted for itself in term 2, with the log of [`led`].
pub(crate) fn candidate() -> Stage {
    let mut stage = led();
    stage.commits(1, 2);
    stage.changes_status(3, |status| {
        (status.term, status.vote) = (Term(2), Some(NodeId(3)));
        status.role = RoleName::Candidate;
    });
    stage.submits(3, Some(voted(2, 3)), &[]);
    stage.flushes(3);
    stage.steps(3);
    [2, 4].into_iter().for_each(|voter| stage.votes(voter, 2, 3));
    stage
}

/// Like [`led`]; in addition, node 3 asks for pre-votes for term 2.
pub(crate) fn pre_candidate() -> Stage {
    let mut stage = led();
    stage.changes_status(3, |status| (status.role, status.leader) = (RoleName::PreCandidate, None));
    stage
}

/// Like [`led`]; in addition, nodes 1 and 2 have committed and applied both entries.
fn applied() -> Stage {
    let mut stage = led();
    [1, 2].into_iter().for_each(|node| {
        stage.commits(node, 2);
        stage.applies(node, 2);
    });
    stage
}

/// Entries of term 1 after `prev`, up to `last`.
pub(crate) fn entries(prev: EntryId, last: u64, committed: u64) -> Body {
    let entries = (prev.index.0 + 1..=last).map(|index| noop(index, 1)).collect();
    Body::AppendEntries { prev, entries, committed: Index(committed) }
}

fn accepted(matched: u64) -> Body {
    Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(matched) })
}

pub(crate) fn vote(granted: bool) -> Body {
    Body::RequestVoteReply { granted, committed: Index::ZERO }
}

pub(crate) fn pre_vote(granted: bool, next_term: u64) -> Body {
    Body::PreVoteReply { next_term: Term(next_term), granted, committed: Index::ZERO }
}

fn heartbeat_reply(verified: u64) -> Body {
    let (round, verified, matched) = (1, Index(verified), Index::ZERO);
    let ready = Readiness::default();
    Body::HeartbeatReply { round, verified, matched, durable: matched, ready }
}

/// Node 2 sends node 1 a request for a read index, and takes the reply.
fn is_answered(stage: &mut Stage, ticket: u64, term: u64, index: u64) {
    let start_id = 7;
    stage.sends(2, 1, 1, Body::ReadIndex { start_id, ticket });
    let reply = Body::ReadIndexReply { start_id, ticket, index: Index(index) };
    stage.receives(2, 1, term, reply);
    stage.steps(2);
}

/// The node becomes a candidate in term 2.
fn campaigns(stage: &mut Stage, node: u64) {
    stage.changes_status(node, |status| {
        (status.term, status.vote) = (Term(2), Some(NodeId(node)));
        status.role = RoleName::Candidate;
    });
}

#[test]
fn a_later_term_is_adopted_and_an_earlier_message_changes_nothing() {
    let mut stage = led();
    stage.receives(2, 4, 2, Body::RequestVote { last: id(2, 1), transfer: false });
    stage.votes(2, 2, 4);
    stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
    stage.steps(2);
    stage.receives(2, 4, 7, Body::PreVote { next_term: Term(8), last: id(2, 1) });
    stage.steps(2);
    stage.receives_for(2, 3, 1, 9, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.steps(2);
    // A node that has recently heard from a leader may ignore a candidate.
    stage.changes_status(3, |status| status.leader = Some(NodeId(1)));
    stage.receives(3, 4, 2, Body::RequestVote { last: id(2, 1), transfer: false });
    stage.steps(3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn entries_are_acknowledged_and_committed_once_they_were_taken() {
    let mut stage = brought();
    stage.acknowledges(2, 1, 1, 1);
    stage.receives(2, 1, 1, entries(id(1, 1), 2, 1));
    stage.commits(2, 1);
    stage.sends(2, 1, 1, heartbeat_reply(2));
    stage.commits(1, 2);
    stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
    stage.commits(2, 2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn an_offered_snapshot_may_be_acknowledged_in_a_later_term() {
    let mut stage = brought();
    stage.commits(1, 2);
    let meta = stage.snapshot(id(2, 1), 7);
    stage.receives(2, 1, 1, Body::InstallSnapshot { meta });
    stage.steps(2);
    stage.enters(2, 2);
    stage.commits(2, 2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn acknowledgements_and_votes_count_once_they_were_taken() {
    let mut stage = led();
    stage.acknowledges(2, 1, 1, 2);
    stage.receives(1, 2, 1, accepted(2));
    stage.steps(1);
    stage.counts_as_matched(1, 2, 2);
    stage.receives(1, 2, 1, accepted(1));
    stage.steps(1);
    stage.counts_as_matched(1, 2, 2);
    assert_eq!(stage.violation(), None);
    let mut stage = candidate();
    stage.receives(3, 2, 2, vote(true));
    stage.steps(3);
    stage.receives(3, 4, 2, vote(true));
    stage.leads(3, 2);
    assert_eq!(stage.violation(), None);
    let mut stage = pre_candidate();
    stage.receives(3, 2, 1, pre_vote(true, 2));
    stage.steps(3);
    stage.receives(3, 4, 1, pre_vote(true, 2));
    campaigns(&mut stage, 3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_forwarded_read_is_answered_after_the_reply_to_its_request() {
    let mut stage = applied();
    is_answered(&mut stage, 1, 1, 1);
    let op = stage.reads();
    is_answered(&mut stage, 2, 1, 2);
    stage.serves(op, 2, 2);
    assert_eq!(stage.violation(), None);
    // A node that has led since the read began may have its own read index.
    let op = stage.reads();
    stage.steps(1);
    stage.serves(op, 1, 2);
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S58 a_later_term_is_not_adopted on led
    "n2 in term t1 takes n4's RequestVoteReply of term t2, but stays in term t1"
    |stage| {
        stage.receives(2, 4, 2, vote(false));
        stage.steps(2);
    }

    S58 a_message_of_an_earlier_term_lengthens_the_vote_lease on led
    "n2 in term t2 takes n1's Heartbeat of term t1, and changes its vote lease"
    |stage| {
        stage.enters(2, 2);
        stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
        stage.changes_status(2, |status| status.vote_lease = Duration::from_millis(300));
    }

    S58 a_request_for_a_pre_vote_changes_the_term on led
    "n2 in term t1 takes n4's PreVote of term t2, and changes its term"
    |stage| {
        stage.receives(2, 4, 2, Body::PreVote { next_term: Term(3), last: id(2, 1) });
        stage.changes_status(2, |status| (status.term, status.vote) = (Term(2), None));
    }

    S58 a_message_for_another_node_changes_the_term on led
    "n2 in term t1 takes n4's Heartbeat to n3 of term t2, and changes its term"
    |stage| {
        stage.receives_for(2, 3, 4, 2, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.changes_status(2, |status| (status.term, status.vote) = (Term(2), None));
    }

    S58 a_node_enters_a_term_that_no_message_named on led
    "n2 in term t1 takes n4's RequestVoteReply of term t2, and enters term t3"
    |stage| {
        stage.receives(2, 4, 2, vote(false));
        stage.changes_status(2, |status| (status.term, status.vote) = (Term(3), None));
    }

    S59 a_node_acknowledges_an_entry_that_it_did_not_take on brought
    "n2 reports in term t1 that its log equals the leader's up to index 2, but the messages of \
     that term that it took, and snapshots, show that only up to index 1"
    |stage| {
        let outcome = AppendOutcome::Stored { verified: Index(2) };
        stage.sends(2, 1, 1, Body::AppendEntriesReply(outcome));
    }

    S59 a_rejected_append_counts_as_equal on brought
    "n2 reports in term t1 that its log equals the leader's up to index 2, but the messages of \
     that term that it took, and snapshots, show that only up to index 1"
    |stage| {
        let prev = id(3, 1);
        stage.receives(2, 1, 1, entries(prev, 3, 0));
        stage.steps(2);
        stage.sends(2, 1, 1, heartbeat_reply(2));
    }

    S59 a_node_commits_what_its_leader_did_not_name on brought
    "n2 commits index 1 in term t1, but its log is known to equal the leader's only up to index 1, \
     and the commit index that the leader has named is 0"
    |stage| {
        stage.commits(1, 2);
        stage.commits(2, 1);
    }

    S59 a_node_commits_beyond_the_entries_that_it_took on brought
    "n2 commits index 2 in term t1, but its log is known to equal the leader's only up to index 1, \
     and the commit index that the leader has named is 2"
    |stage| {
        stage.commits(1, 2);
        stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
        stage.commits(2, 2);
    }

    S60 a_leader_counts_more_than_the_reply_says on led
    "n1 leads term t1 and counts n2's log as matched up to index 2 after n2's AppendEntriesReply \
     of term t1, which acknowledges index 1; until then it counted index 0"
    |stage| {
        stage.acknowledges(2, 1, 1, 2);
        stage.receives(1, 2, 1, accepted(1));
        stage.steps(1);
        stage.counts_as_matched(1, 2, 2);
    }

    S60 a_candidate_counts_a_vote_that_was_not_granted on candidate
    "n3 becomes leader in term t2, but has received votes of that term only from n2, n3, which is \
     not a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.receives(3, 2, 2, vote(true));
        stage.steps(3);
        stage.receives(3, 4, 2, vote(false));
        stage.leads(3, 2);
    }

    S60 a_pre_vote_for_another_term_counts on pre_candidate
    "n3 becomes candidate in term t2, but has received pre-votes of that term only from n2, n3, \
     which is not a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.receives(3, 2, 1, pre_vote(true, 2));
        stage.steps(3);
        stage.receives(3, 4, 1, pre_vote(true, 1));
        campaigns(stage, 3);
    }

    S61 a_read_is_answered_after_the_reply_to_an_earlier_request on applied
    "n2 answers read 0 with the read index 2, but has taken no reply with that index to a request \
     that it sent after 1.004700 s, when the read began"
    |stage| {
        is_answered(stage, 1, 1, 2);
        let op = stage.reads();
        stage.serves(op, 2, 2);
    }

    S61 a_read_is_answered_with_another_index_than_the_leaders on applied
    "n2 answers read 0 with the read index 1, but has taken no reply with that index to a request \
     that it sent after 1.004400 s, when the read began"
    |stage| {
        let op = stage.reads();
        is_answered(stage, 1, 1, 2);
        stage.serves(op, 2, 1);
    }

    S61 a_read_reply_of_an_earlier_term_counts on applied
    "n2 answers read 0 with the read index 2, but has taken no reply with that index to a request \
     that it sent after 1.004400 s, when the read began"
    |stage| {
        let op = stage.reads();
        stage.enters(2, 2);
        is_answered(stage, 1, 1, 2);
        stage.serves(op, 2, 2);
    }
}
