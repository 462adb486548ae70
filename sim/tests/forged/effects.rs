//! Forged effects of messages on the nodes that take them: S62 to S71, S75 and S80.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{
    AppendOutcome, Body, EntryId, HardState, Heartbeat, Index, NodeId, Readiness, Term,
};

use crate::received::{candidate, entries, led, pre_candidate, pre_vote, vote};
use crate::stage::{Stage, id, noop};

/// Like [`led`]; in addition, nodes 2 and 3 have heard from their leader.
fn heard() -> Stage {
    let mut stage = led();
    [2, 3].into_iter().for_each(|node| hears(&mut stage, node));
    stage
}

/// Like [`led`]; in addition, node 2 has a third entry, of term 1, which node 4, the leader of term
/// 2, lacks.
fn diverged() -> Stage {
    let mut stage = led();
    stage.holds(2, &[noop(3, 1)]);
    stage.enters(4, 1);
    stage.holds(4, &[noop(1, 1), noop(2, 1)]);
    stage.wins_unasked(4, 2, &[3, 5]);
    stage.holds(4, &[noop(3, 2)]);
    stage.receives(2, 4, 2, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.changes_status(2, |status| {
        (status.term, status.vote) = (Term(2), None);
        status.leader = Some(NodeId(4));
    });
    stage.submits(2, Some(HardState::new(Term(2), None)), &[]);
    stage.flushes(2);
    stage
}

/// Like [`led`]; in addition, nodes 2 and 3 have acknowledged both entries, but node 1 has received
/// only the acknowledgement of node 2.
fn uncommitted() -> Stage {
    let mut stage = led();
    [2, 3].into_iter().for_each(|peer| stage.acknowledges(peer, 1, 1, 2));
    stage.receives(1, 2, 1, accepted(2));
    stage.steps(1);
    stage
}

/// Like [`led`]; in addition, node 1 has committed its log and begun two rounds, the first of which
/// nodes 2 and 3 have answered.
fn confirmed() -> Stage {
    let mut stage = uncommitted();
    stage.receives(1, 3, 1, accepted(2));
    stage.commits(1, 2);
    round(&mut stage, 1, 0);
    for peer in [2, 3] {
        stage.receives(1, peer, 1, heartbeat_reply(1));
        stage.steps(1);
    }
    stage.advances_time(Duration::from_millis(50));
    round(&mut stage, 2, 1);
    stage
}

/// Node 1 sends node 2 the heartbeat of a round in its next step.
fn round(stage: &mut Stage, round: u64, confirmed: u64) {
    let heartbeat = Heartbeat { confirmed, ..Heartbeat::new(round, Index(2)) };
    stage.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
}

fn accepted(matched: u64) -> Body {
    Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(matched) })
}

fn heartbeat_reply(round: u64) -> Body {
    let (verified, matched) = (Index(2), Index(2));
    let ready = Readiness::default();
    Body::HeartbeatReply { round, verified, matched, durable: matched, ready }
}

/// The node takes a heartbeat of node 1, the leader of term 1.
fn hears(stage: &mut Stage, node: u64) {
    stage.receives(node, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.changes_status(node, |status| status.leader = Some(NodeId(1)));
}

/// Node 2 replies to node 1 with this outcome, in the step that took its entries.
fn rejects(stage: &mut Stage, outcome: AppendOutcome) {
    stage.sends_at_once(2, 1, 1, Body::AppendEntriesReply(outcome));
}

fn request_vote(last: EntryId) -> Body {
    Body::RequestVote { last, transfer: false }
}

/// The node becomes a pre-candidate in its term.
fn asks_for_pre_votes(stage: &mut Stage, node: u64) {
    stage.changes_status(node, |status| {
        (status.role, status.leader) = (RoleName::PreCandidate, None);
    });
}

/// The node takes node 5's request for a pre-vote, and replies in the same step.
fn replies_to_pre_vote(stage: &mut Stage, granted: bool) {
    let request = Body::PreVote { next_term: Term(2), last: id(2, 1) };
    stage.sends(5, 2, 1, request.clone());
    stage.receives(2, 5, 1, request);
    stage.sends_in_step(2, 5, 1, pre_vote(granted, 2));
}

#[test]
fn a_conflicting_entry_is_replaced_and_the_append_takes_effect() {
    let mut stage = diverged();
    let body = Body::AppendEntries {
        prev: id(2, 1),
        entries: vec![noop(3, 2)].into(),
        committed: Index::ZERO,
    };
    stage.receives(2, 4, 2, body);
    stage.changes_status(2, |status| (status.last, status.durable) = (id(3, 2), Index(2)));
    stage.submits(2, None, &[noop(3, 2)]);
    assert_eq!(stage.violation(), None);
}

#[test]
fn votes_and_campaigns_after_the_election_timeout_are_accepted() {
    let mut stage = heard();
    stage.advances_time(Duration::from_millis(300));
    replies_to_pre_vote(&mut stage, true);
    asks_for_pre_votes(&mut stage, 3);
    stage.receives(2, 5, 2, request_vote(id(2, 1)));
    stage.votes(2, 2, 5);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut stage = confirmed();
    stage.advances_time(Duration::from_millis(600));
    stage.changes_status(1, |status| (status.role, status.leader) = (RoleName::Follower, None));
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S62 a_follower_writes_entries_that_it_has_again on led
    "n2 writes the entries 2@t1 to 2@t1 in term t1, but its log has all entries of the message \
     that it took"
    |stage| {
        stage.receives(2, 1, 1, entries(id(1, 1), 2, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        stage.submits(2, None, &[noop(2, 1)]);
    }

    S62 a_follower_truncates_its_log_without_a_conflict on diverged
    "n2 writes the entries 2@t1 to 3@t2 in term t2, but its log lacks the entries 3@t2 to 3@t2 of \
     the message that it took"
    |stage| {
        let body = Body::AppendEntries {
            prev: id(1, 1),
            entries: vec![noop(2, 1), noop(3, 2)].into(),
            committed: Index::ZERO,
        };
        stage.receives(2, 4, 2, body);
        stage.changes_status(2, |status| (status.last, status.durable) = (id(3, 2), Index(1)));
        stage.submits(2, None, &[noop(2, 1), noop(3, 2)]);
    }

    S63 a_pre_candidate_ignores_the_leader_of_its_term on pre_candidate
    "n3 takes a request of n1, the leader of term t1, but is a pre-candidate in term t1 and \
     follows no leader"
    |stage| {
        stage.receives(3, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.steps(3);
    }

    S63 a_follower_does_not_append_an_entry on led
    "n2 takes entries up to 3@t1 in term t1 that follow its log, which should then end with 3@t1, \
     but ends with 2@t1"
    |stage| {
        stage.receives(2, 1, 1, entries(id(2, 1), 3, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
    }

    S63 a_follower_does_not_commit_with_the_entries on led
    "n2 takes entries up to 2@t1 in term t1 with commit index 2, but commits only index 0"
    |stage| {
        stage.commits(1, 2);
        stage.receives(2, 1, 1, entries(id(1, 1), 2, 2));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
    }

    S63 a_follower_does_not_acknowledge_entries_again on led
    "n2 has taken n1's entries up to index 2 in term t1, and all of them are durable, but the step \
     has not acknowledged that index"
    |stage| {
        stage.receives(2, 1, 1, entries(EntryId::ZERO, 2, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        stage.steps(1);
    }

    S63 a_follower_rejects_entries_that_follow_its_log on led
    "n2 rejects the entries after 2@t1 that n1 sent it, although its log has 2@t1"
    |stage| {
        stage.receives(2, 1, 1, entries(id(2, 1), 2, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        rejects(stage, AppendOutcome::Rejected { prev: Index(2), hint: id(1, 1) });
    }

    S63 a_follower_hints_at_an_entry_that_it_does_not_have on led
    "n2 rejects the entries after 4@t1 that n1 sent it, and its hint is entry 3@t1, which is not \
     in its log"
    |stage| {
        stage.receives(2, 1, 1, entries(id(4, 1), 5, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        rejects(stage, AppendOutcome::Rejected { prev: Index(4), hint: id(3, 1) });
    }

    S63 a_follower_hints_at_an_entry_before_the_last_one_that_may_match on led
    "n2 rejects the entries after 4@t1 that n1 sent it, and its hint is entry 1@t1, although its \
     log may match up to the next entry 2@t1"
    |stage| {
        stage.receives(2, 1, 1, entries(id(4, 1), 5, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        rejects(stage, AppendOutcome::Rejected { prev: Index(4), hint: id(1, 1) });
    }

    S63 a_follower_with_free_space_rejects_entries_for_lack_of_space on led
    "n2 replies NoSpace to the entries after 2@t1 that n1 sent it, but its disk is not full"
    |stage| {
        stage.receives(2, 1, 1, entries(id(2, 1), 2, 0));
        stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
        rejects(stage, AppendOutcome::NoSpace { verified: Index(2) });
    }

    S64 a_voter_rejects_a_candidate_without_a_reason on led
    "n2 does not vote for n5 in term t2, although n5's log is not behind, and n2 has not \
     voted for another node, hears no leader and does not withhold its vote"
    |stage| {
        stage.receives(2, 5, 2, request_vote(id(2, 1)));
        stage.changes_status(2, |status| (status.term, status.vote) = (Term(2), None));
    }

    S64 a_voter_rejects_a_pre_vote_without_a_reason on heard
    "n2 grants n5 no pre-vote for term t2, although n5's log is not behind, and n2 neither hears a \
     leader nor withholds its vote"
    |stage| {
        stage.advances_time(Duration::from_millis(300));
        replies_to_pre_vote(stage, false);
    }

    S65 a_node_that_hears_its_leader_votes on heard
    "n2 enters term t2 for n5's request for a vote, although it has heard from its leader within \
     the shortest election timeout"
    |stage| {
        stage.advances_time(Duration::from_millis(290));
        stage.receives(2, 5, 2, request_vote(id(2, 1)));
        stage.changes_status(2, |status| {
            (status.term, status.vote, status.leader) = (Term(2), Some(NodeId(5)), None);
        });
    }

    S65 a_node_that_hears_its_leader_grants_a_pre_vote on heard
    "n2 grants n5 a pre-vote for term t2, although it has heard from its leader within the \
     shortest election timeout"
    |stage| replies_to_pre_vote(stage, true)

    S66 a_follower_campaigns_too_early on heard
    "n2 becomes pre-candidate in term t1 290.3ms after it last heard from a leader, voted or \
     changed its role, but the shortest election timeout is 300ms"
    |stage| {
        stage.advances_time(Duration::from_millis(290));
        asks_for_pre_votes(stage, 2);
    }

    S66 a_vote_does_not_restart_the_election_timeout on heard
    "n2 becomes pre-candidate in term t2 200.3ms after it last heard from a leader, voted or \
     changed its role, but the shortest election timeout is 300ms"
    |stage| {
        stage.advances_time(Duration::from_millis(300));
        stage.receives(2, 5, 2, request_vote(id(2, 1)));
        stage.votes(2, 2, 5);
        stage.advances_time(Duration::from_millis(200));
        asks_for_pre_votes(stage, 2);
    }

    S67 a_leader_does_not_commit_with_the_last_reply on uncommitted
    "n1 leads term t1 and commits only index 0, but a quorum of {n1 n2 n3 n4 n5} has acknowledged \
     its log up to index 2"
    |stage| {
        stage.receives(1, 3, 1, accepted(2));
        stage.steps(1);
    }

    S68 a_candidate_does_not_win_with_the_last_vote on candidate
    "n3 is still a candidate in term t2, but has received the votes for term t2 of n2, n3, n4, \
     which is a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        for voter in [2, 4] {
            stage.receives(3, voter, 2, vote(true));
            stage.steps(3);
        }
    }

    S68 a_pre_candidate_does_not_campaign_with_the_last_pre_vote on led
    "n3 is still a pre-candidate in term t1, but has received the pre-votes for term t2 of n2, n3, \
     n4, which is a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.receives(3, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.changes_status(3, |status| status.leader = Some(NodeId(1)));
        stage.advances_time(Duration::from_millis(300));
        asks_for_pre_votes(stage, 3);
        for voter in [2, 4] {
            stage.receives(3, voter, 1, pre_vote(true, 2));
            stage.steps(3);
        }
    }

    S68 a_candidate_that_a_majority_rejects_does_not_give_up on candidate
    "n3 is still a candidate in term t2, but n2, n4, n5 have rejected it in the election of term \
     t2, and the other nodes are no quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        for voter in [2, 4, 5] {
            stage.receives(3, voter, 2, vote(false));
            stage.steps(3);
        }
    }

    S68 a_pre_candidate_that_a_majority_rejects_does_not_give_up on led
    "n3 is still a pre-candidate in term t1, but n2, n4, n5 have rejected it in the election of \
     term t2, and the other nodes are no quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.receives(3, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.changes_status(3, |status| status.leader = Some(NodeId(1)));
        stage.advances_time(Duration::from_millis(300));
        asks_for_pre_votes(stage, 3);
        for voter in [2, 4, 5] {
            stage.receives(3, voter, 1, pre_vote(false, 2));
            stage.steps(3);
        }
    }

    S68 a_candidate_gives_up_after_one_rejection on candidate
    "n3 gives up as a candidate in term t2 after a RequestVoteReply, although only n2 have \
     rejected it, and the other nodes are a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.receives(3, 2, 2, vote(false));
        stage.changes_status(3, |status| status.role = RoleName::Follower);
    }

    S80 a_reply_to_a_heartbeat_waits_for_the_disk on led
    "n2 is a follower in term t1 whose term and vote are durable, but the step holds back a \
     message that reveals no entry: 0 messages waited for the disk before it, and 1 after it"
    |stage| {
        stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.changes_status(2, |status| {
            (status.leader, status.outbox_messages) = (Some(NodeId(1)), 1);
        });
    }

    S80 entries_wait_for_the_leaders_disk on heard
    "n1 is a leader in term t1 whose term and vote are durable, but the step holds back a message \
     that reveals no entry: 0 messages waited for the disk before it, and 1 after it"
    |stage| stage.changes_status(1, |status| status.outbox_messages = 1)

    S69 a_leader_stays_without_a_quorum on confirmed
    "n1 leads term t1 and begins round 3, but has not heard from a quorum of {n1 n2 n3 n4 n5} \
     within the longest election timeout"
    |stage| {
        stage.advances_time(Duration::from_millis(600));
        round(stage, 3, 1);
    }

    S69 a_leader_steps_down_although_it_hears_a_quorum on confirmed
    "n1 steps down as the leader of term t1, although it has heard from a quorum of {n1 n2 n3 n4 \
     n5} within the longest election timeout, and can write and lead"
    |stage| {
        stage.advances_time(Duration::from_millis(500));
        stage.changes_status(1, |status| (status.role, status.leader) = (RoleName::Follower, None));
    }

    S70 a_node_does_not_write_its_vote on heard
    "n2 reports term t2 and a vote for n5, with a vote lease of 0ns, but has submitted term t1 and \
     a vote for n1, with a vote lease of 0ns to its disk"
    |stage| {
        stage.advances_time(Duration::from_millis(300));
        stage.receives(2, 5, 2, request_vote(id(2, 1)));
        stage.changes_status(2, |status| {
            (status.term, status.vote, status.leader) = (Term(2), Some(NodeId(5)), None);
        });
        stage.changes_status(2, |status| status.vote_lease = Duration::from_millis(1));
    }

    S70 a_node_reports_an_entry_that_it_does_not_write on heard
    "n2 reports a log that ends with 3@t1, but has submitted one that ends with 2@t1 to its disk"
    |stage| {
        stage.changes_status(2, |status| status.last = id(3, 1));
        stage.changes_status(2, |status| status.leader = None);
    }

    S70 a_node_reports_an_applied_index_that_its_machine_has_not_reached on heard
    "n1 reports that index 2 is applied, but its state machine has applied only index 1"
    |stage| {
        stage.commits(1, 2);
        stage.applies(1, 1);
        stage.changes_status(1, |status| status.applied = Index(2));
    }

    S71 a_leader_sends_an_entry_that_its_log_does_not_have on heard
    "n1 leads term t1 and sends n2 a message with entry 3@t1, which is not in its log"
    |stage| stage.sends(1, 2, 1, entries(id(2, 1), 3, 0))

    S71 a_leader_names_a_commit_index_that_it_does_not_have on heard
    "n1 sends n2 its Heartbeat with commit index 2 in term t1, but has committed only index 0"
    |stage| stage.sends(1, 2, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))))

    S71 a_candidate_names_an_earlier_end_of_its_log on candidate
    "n3 sends n2 its RequestVote in term t2 with a log that ends with 1@t1, but its log ends with \
     2@t1"
    |stage| {
        stage.receives(3, 2, 2, vote(true));
        stage.steps(3);
        stage.sends(3, 2, 2, request_vote(id(1, 1)));
    }

    S71 a_voter_names_an_earlier_commit_index on heard
    "n2 sends n5 its PreVoteReply with commit index 0 in term t1, but has committed index 2"
    |stage| {
        stage.commits(1, 2);
        stage.receives(2, 1, 1, entries(id(2, 1), 2, 2));
        stage.changes_status(2, |status| status.committed = Index(2));
        stage.advances_time(Duration::from_millis(300));
        replies_to_pre_vote(stage, true);
    }

    S75 a_pre_candidate_keeps_a_read_that_waits_for_the_lost_leader on heard
    "n3 is a pre-candidate in term t1 and has applied every committed entry, but still has reads \
     that wait for a leader: 1"
    |stage| {
        stage.changes_status(3, |status| status.reads_waiting = 1);
        stage.advances_time(Duration::from_millis(300));
        asks_for_pre_votes(stage, 3);
    }

    S75 a_follower_keeps_a_read_without_a_leader on heard
    "n2 is a follower in term t1 that has heard from no leader and given no vote for 20.0005s, but \
     still has reads that wait for a leader: 1; the longest election timeout is 600ms"
    |stage| {
        stage.changes_status(2, |status| status.reads_waiting = 1);
        for _ in 0..2 {
            stage.advances_time(Duration::from_secs(10));
            stage.steps(2);
        }
    }
}
