//! Forged uncertain nodes: S38, and what other checks (S2, S3, S17, S42) accept and reject after a
//! disk lost its latest contents.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{
    AppendOutcome, Body, Entry, Freshness, HardState, Heartbeat, Index, MachineVersion, ReadLevel,
    Readiness, Term,
};

use crate::stage::{Stage, id, noop, voted};

const GRANT: Body = Body::RequestVoteReply { granted: true, committed: Index::ZERO };
const UNCERTAIN: Readiness = Readiness {
    may_lead: false,
    is_uncertain: true,
    version_max: MachineVersion::FIRST,
    wants_read_lease: false,
};

/// The hard state of an uncertain node.
fn uncertain(hard_state: HardState) -> HardState {
    HardState { is_uncertain: true, ..hard_state }
}

fn heartbeat_reply(ready: Readiness) -> Body {
    heartbeat_reply_in(1, ready)
}

fn heartbeat_reply_in(round: u64, ready: Readiness) -> Body {
    let (verified, matched, durable) = (Index::ZERO, Index::ZERO, Index::ZERO);
    Body::HeartbeatReply { round, verified, matched, durable, ready }
}

impl Stage {
    /// The node becomes certain in the term, durably.
    fn becomes_certain(&mut self, node: u64, term: u64) {
        let hard_state = HardState::new(Term(term), None);
        self.changes_status(node, |status| {
            (status.term, status.vote, status.is_uncertain) = (Term(term), None, false);
        });
        self.submits(node, Some(hard_state), &[]);
        self.flushes(node);
    }

    /// The node asks the leader for the end of its log.
    fn asks_for_end(&mut self, node: u64, leader: u64, term: u64) {
        self.sends(node, leader, term, Body::RequestLogEnd { start_id: 7 });
    }

    /// The leader replies with the end of its log.
    fn replies_end(&mut self, leader: u64, node: u64, term: u64, last: u64) {
        self.sends(leader, node, term, Body::LogEnd { start_id: 7, last: Index(last) });
    }
}

/// Node 1 leads term 1. Node 3 has voted for it and has acknowledged two entries, but its disk was
/// rolled back to the first one.
fn rolled_back() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.copies_disk(3);
    stage.all_hold(&[1, 2, 3], &[noop(2, 1)]);
    stage.acknowledges(3, 1, 1, 2);
    stage.rolls_back_to(3, voted(1, 1), &[noop(1, 1)]);
    stage
}

crate::forgeries! {
    S38 an_uncertain_node_makes_a_vote_durable on rolled_back
    "n3 is uncertain, but makes a vote for n4 in term t2 durable"
    |stage| {
        stage.submits(3, Some(uncertain(voted(2, 4))), &[]);
        stage.flushes(3);
    }

    S38 an_uncertain_node_grants_a_vote on rolled_back
    "n3 is uncertain, but grants a vote to n1 in term t1"
    |stage| stage.sends(3, 1, 1, GRANT)

    S38 an_uncertain_node_grants_a_pre_vote on rolled_back
    "n3 is uncertain, but grants a pre-vote to n4 in term t1"
    |stage| {
        let (next_term, committed) = (Term(2), Index::ZERO);
        stage.sends(3, 4, 1, Body::PreVoteReply { next_term, granted: true, committed });
    }

    S38 an_uncertain_node_campaigns on rolled_back
    "n3 is uncertain, but its role in term t1 is pre-candidate"
    |stage| {
        stage.changes_status(3, |status| {
            (status.role, status.is_uncertain) = (RoleName::PreCandidate, true);
        });
    }

    S38 an_uncertain_node_requests_a_pre_vote on rolled_back
    "n3 is uncertain, but sends PreVote to n4 in term t1"
    |stage| stage.sends(3, 4, 1, Body::PreVote { next_term: Term(2), last: id(1, 1) })

    S38 an_uncertain_node_acknowledges on rolled_back
    "n3 is uncertain, but acknowledges index 1 to n1 in term t1"
    |stage| stage.acknowledges(3, 1, 1, 1)

    S38 an_uncertain_node_confirms_a_round on rolled_back
    "n3 is uncertain, but confirms a round to n1 in term t1"
    |stage| stage.sends(3, 1, 1, heartbeat_reply(Readiness::default()))

    S38 an_uncertain_node_requests_a_read_lease on rolled_back
    "n3 is uncertain, but wants a read lease in its reply to n1 in term t1"
    |stage| {
        let ready = Readiness { wants_read_lease: true, ..UNCERTAIN };
        stage.sends(3, 1, 1, heartbeat_reply(ready));
    }

    S38 an_uncertain_node_leads on uncertain_leader
    "n3 is uncertain, but its role in term t1 is leader"
    |stage| stage.leads(3, 1)

    S38 an_uncertain_node_serves_a_bounded_read on rolled_back
    "n3 is uncertain, but serves read 0 of freshness `within 1s` without the leader"
    |stage| {
        let second = Duration::from_secs(1);
        let read = stage.reads_at_level(ReadLevel::Bounded(second));
        stage.serves_as(read, 3, 0, Freshness::Within(second));
    }

    S38 an_uncertain_node_completes_a_quorum on rolled_back
    "n1 commits index 3, but that entry is not durable on a quorum of {n1 n2 n3 n4 n5}: n1 has \
     3@t1 on disk, n2 has 3@t1 on disk, n3 has 3@t1 on disk and n3 is uncertain, the log on n4's \
     disk ends at index 0, the log on n5's disk ends at index 0; an uncertain node does not count"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(3, 1)]);
        stage.holds(3, &[noop(2, 1), noop(3, 1)]);
        stage.commits(1, 3);
    }

    S42 a_later_leader_forgets_what_a_rolled_back_peer_acknowledged on forgotten_vote
    "n1 leads term t3 and counts n3's log as matched up to index 0, but counted index 1 before"
    |stage| {
        stage.wins(1, 3, &[2, 4]);
        stage.enters(3, 3);
        stage.acknowledges(3, 1, 3, 1);
        stage.counts_as_matched(1, 3, 1);
        stage.counts_as_matched(1, 3, 0);
    }

    S38 a_node_becomes_certain_by_itself on rolled_back
    "n3 becomes certain in term t1 with a durable log up to index 1, but no leader has confirmed \
     the end of its log since its start"
    |stage| stage.becomes_certain(3, 1)

    S38 a_node_becomes_certain_with_a_shorter_log on asked_for_end
    "n3 becomes certain in term t1 with a durable log up to index 2, but the leader of term t1 has \
     named entry 3@t1"
    |stage| {
        stage.replies_end(1, 3, 1, 3);
        stage.holds(3, &[noop(2, 1)]);
        stage.becomes_certain(3, 1);
    }

    S38 a_node_becomes_certain_by_a_reply_to_an_earlier_start on asked_for_end
    "n3 becomes certain in term t1 with a durable log up to index 3, but no leader has confirmed \
     the end of its log since its start"
    |stage| {
        stage.replies_end(1, 3, 1, 3);
        stage.holds(3, &[noop(2, 1), noop(3, 1)]);
        stage.crashes(3);
        stage.starts(3);
        stage.becomes_certain(3, 1);
    }

    S38 a_leader_confirms_its_log_without_a_new_entry on rolled_back
    "n1 confirms the end of the log to n3 in term t1, but no entry that it appended since n3's \
     request is durable on a quorum of {n1 n2 n3 n4 n5} without n3"
    |stage| {
        stage.asks_for_end(3, 1, 1);
        stage.replies_end(1, 3, 1, 2);
    }

    S38 a_leader_counts_the_asking_node on rolled_back
    "n1 confirms the end of the log to n3 in term t1, but no entry that it appended since n3's \
     request is durable on a quorum of {n1 n2 n3 n4 n5} without n3"
    |stage| {
        stage.asks_for_end(3, 1, 1);
        stage.all_hold(&[1, 2], &[noop(3, 1)]);
        stage.holds(3, &[noop(2, 1), noop(3, 1)]);
        stage.replies_end(1, 3, 1, 3);
    }

    S38 a_leader_confirms_less_than_it_appended on asked_for_end
    "n1 confirms the end of the log to n3 as index 2, but it appended entry 3 since n3's request"
    |stage| stage.replies_end(1, 3, 1, 2)

    S38 a_leader_confirms_a_part_of_its_log on asked_for_end
    "n1 confirms the end of the log to n3 in term t1 as index 3, but its own log ended at index 4"
    |stage| {
        stage.holds(1, &[noop(4, 1)]);
        stage.sends_in_step(1, 3, 1, Body::LogEnd { start_id: 7, last: Index(3) });
    }

    S38 a_leader_confirms_more_than_its_log on asked_for_end
    "n1 confirms the end of the log to n3 as index 9, but its own log ends at index 3"
    |stage| stage.replies_end(1, 3, 1, 9)

    S3 a_vote_on_the_copy_is_changed on rolled_back
    "n3 makes a vote for n4 in term t1 durable, but it already made a vote for n1 in that term \
     durable"
    |stage| {
        stage.submits(3, Some(uncertain(voted(1, 4))), &[]);
        stage.flushes(3);
    }

    S2 a_forgotten_vote_counts_after_the_node_is_certain on forgotten_vote
    "n5 becomes leader of term t2 with durable votes of n4, n5, which is not a quorum of {n1 n2 n3 \
     n4 n5}"
    |stage| {
        stage.votes(5, 2, 5);
        stage.votes(4, 2, 5);
        stage.leads(5, 2);
    }

    S17 an_intact_disk_makes_its_node_uncertain
    "n1 restarts with term t1 and a vote for n1, marked as uncertain, but its disk held term t1 \
     and a vote for n1 before the restart"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.crashes(1);
        stage.starts_from(1, uncertain(voted(1, 1)), 0, &[noop(1, 1)]);
    }

    S17 an_uncertain_node_loses_its_copy on rolled_back
    "n3 restarts with a log that ends with 0@t0, but the log on its disk ended with 1@t1 before \
     the restart"
    |stage| {
        stage.crashes(3);
        stage.starts_from(3, uncertain(voted(1, 1)), 0, &[]);
    }

    S17 a_lost_end_leaves_an_unknown_log
    "n2 restarts with a log that ends with 1@t1, but the log on its disk ended with 1@t2 before \
     the restart"
    |stage| {
        stage.wins(1, 2, &[2, 3]);
        stage.all_hold(&[1, 2], &[noop(1, 2)]);
        stage.crashes(2);
        stage.starts_damaged(2, uncertain(voted(2, 1)), &[noop(1, 1)]);
    }
}

/// Like [`rolled_back`]; node 3 has asked for the end of the log, and a quorum without it has a
/// later entry.
fn asked_for_end() -> Stage {
    let mut stage = rolled_back();
    stage.enters(4, 1);
    stage.holds(4, &[noop(1, 1), noop(2, 1)]);
    stage.asks_for_end(3, 1, 1);
    stage.all_hold(&[1, 2, 4], &[noop(3, 1)]);
    stage
}

/// Node 3 voted for itself in term 1 before its disk was copied. Then two other nodes voted for it,
/// and its disk was rolled back to the copy.
fn uncertain_leader() -> Stage {
    let mut stage = Stage::new();
    stage.votes(3, 1, 3);
    stage.copies_disk(3);
    [1, 2].into_iter().for_each(|voter| stage.votes(voter, 1, 3));
    stage.rolls_back_to(3, voted(1, 3), &[]);
    stage
}

/// Node 3 has voted for node 5 in term 2, has forgotten that, and is certain again in term 1.
fn forgotten_vote() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 4]);
    stage.copies_disk(3);
    stage.votes(3, 2, 5);
    stage.rolls_back_to(3, HardState::default(), &[]);
    stage.asks_for_end(3, 1, 1);
    stage.all_hold(&[1, 2, 4], &[noop(1, 1)]);
    stage.replies_end(1, 3, 1, 1);
    stage.submits(3, Some(uncertain(HardState::new(Term(1), None))), &[noop(1, 1)]);
    stage.flushes(3);
    stage.becomes_certain(3, 1);
    stage
}

#[track_caller]
fn accepted(stage: &Stage) {
    assert_eq!(stage.violation(), None);
}

#[test]
fn what_a_node_did_before_the_loss_counts() {
    let mut acknowledged = rolled_back();
    acknowledged.counts_as_matched(1, 3, 2);
    acknowledged.commits(1, 2);
    accepted(&acknowledged);

    let mut voted = Stage::new();
    voted.copies_disk(3);
    voted.votes(3, 1, 1);
    voted.sends(3, 1, 1, GRANT);
    voted.rolls_back_to(3, HardState::default(), &[]);
    voted.wins(1, 1, &[2]);
    accepted(&voted);
}

#[test]
fn a_certain_node_votes_again_in_a_term_whose_vote_it_has_forgotten() {
    let mut stage = forgotten_vote();
    stage.votes(3, 2, 4);
    stage.sends(3, 4, 2, GRANT);
    accepted(&stage);
}

#[test]
fn an_uncertain_node_follows_and_becomes_certain() {
    let mut stage = asked_for_end();
    stage.sends(1, 3, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.sends(3, 1, 1, heartbeat_reply(UNCERTAIN));
    // Round 0 confirms nothing: it replies to a heartbeat of an earlier term.
    stage.sends(3, 2, 1, heartbeat_reply_in(0, Readiness::default()));
    stage.replies_end(1, 3, 1, 3);
    stage.holds(3, &[noop(2, 1), noop(3, 1)]);
    let stored = AppendOutcome::Stored { verified: Index(3) };
    stage.sends(3, 1, 1, Body::AppendEntriesReply(stored));
    let read = stage.reads_at_level(ReadLevel::Local);
    stage.serves_as(read, 3, 0, Freshness::Unknown);
    stage.becomes_certain_with_vote(3);
    stage.acknowledges(3, 1, 1, 3);
    stage.commits(1, 3);
    accepted(&stage);
}

impl Stage {
    /// The node, which has voted for node 1 in term 1, becomes certain in that term.
    fn becomes_certain_with_vote(&mut self, node: u64) {
        self.changes_status(node, |status| status.is_uncertain = false);
        self.submits(node, Some(voted(1, 1)), &[]);
        self.flushes(node);
    }
}

#[test]
fn a_damaged_disk_may_lose_the_end_of_its_log_or_a_truncation() {
    let mut shorter = Stage::new();
    shorter.wins(1, 1, &[2, 3]);
    shorter.all_hold(&[1, 2], &[noop(1, 1), noop(2, 1)]);
    shorter.crashes(2);
    shorter.starts_damaged(2, uncertain(voted(1, 1)), &[noop(1, 1)]);
    accepted(&shorter);

    let mut earlier = Stage::new();
    earlier.wins(1, 1, &[2, 3]);
    let old: Vec<Entry> = vec![noop(1, 1), noop(2, 1)];
    earlier.all_hold(&[1, 2], &old);
    earlier.wins_unasked(3, 2, &[2, 4]);
    earlier.all_hold(&[3, 2], &[noop(1, 2)]);
    earlier.crashes(2);
    earlier.starts_damaged(2, uncertain(voted(2, 3)), &old);
    accepted(&earlier);
}
