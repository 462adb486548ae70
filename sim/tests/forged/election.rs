//! Forged terms, votes and leaders: S1 to S5, S7, S23 and S56.

use quorate::types::{
    AppendOutcome, Body, EntryId, HardState, Heartbeat, Index, Membership, NodeId, Readiness, Term,
};

use crate::stage::{Stage, joint, voted};

/// Three voters and one learner.
fn with_learner() -> Stage {
    Stage::with(Membership::new([1, 2, 3].map(NodeId)).with_learners([NodeId(4)]))
}

const HEARTBEAT: Body = Body::Heartbeat(Heartbeat::new(1, Index::ZERO));
const GRANT: Body = Body::RequestVoteReply { granted: true, committed: Index::ZERO };

crate::forgeries! {
    S1 two_nodes_lead_one_term
    "term t1 has two leaders: n1, elected at 1.002500 s, and n4, elected at 1.002600 s"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.leads(4, 1);
    }

    S1 a_restarted_leader_keeps_leading
    "term t1 has two leaders: n1, elected at 1.002500 s, and n1, elected at 1.002900 s"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.crashes(1);
        stage.starts(1);
        stage.leads(1, 1);
    }

    S56 a_node_names_a_leader_that_has_not_won
    "n4 names n2 as the leader of term t1, but n1 has won that term"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.enters(4, 1);
        stage.changes_status(4, |status| status.leader = Some(NodeId(1)));
        stage.changes_status(4, |status| status.leader = Some(NodeId(2)));
    }

    S56 a_node_names_the_leader_of_the_term_before
    "n4 names n1 as the leader of term t2, but no node has won that term"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.enters(4, 1);
        stage.changes_status(4, |status| status.leader = Some(NodeId(1)));
        stage.changes_status(4, |status| status.term = Term(2));
    }

    S1 a_follower_sends_a_leader_message
    "n4 sends a message as the leader of term t1, but n1 won that term"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.enters(4, 1);
        stage.sends(4, 5, 1, HEARTBEAT);
    }

    S1 a_candidate_sends_a_leader_message
    "n4 sends a message as the leader of term t1, but no node won that term"
    |stage| {
        stage.votes(4, 1, 4);
        stage.sends(4, 5, 1, HEARTBEAT);
    }

    S2 a_minority_elects_a_leader
    "n1 becomes leader of term t1 with durable votes of n1, n2, which is not a quorum of {n1 n2 \
     n3 n4 n5}"
    |stage| stage.wins(1, 1, &[2])

    S2 a_repeated_grant_counts_twice
    "n1 becomes leader of term t1 with durable votes of n1, n2, which is not a quorum of {n1 n2 \
     n3 n4 n5}"
    |stage| {
        stage.votes(1, 1, 1);
        stage.votes(2, 1, 1);
        stage.sends(2, 1, 1, GRANT);
        stage.sends(2, 1, 1, GRANT);
        stage.leads(1, 1);
    }

    S2 a_vote_of_an_earlier_term_counts
    "n1 becomes leader of term t2 with durable votes of n1, which is not a quorum of {n1 n2 n3 n4 \
     n5}"
    |stage| {
        stage.votes(2, 1, 1);
        stage.votes(3, 1, 1);
        stage.votes(1, 2, 1);
        stage.leads(1, 2);
    }

    S2 one_majority_of_a_joint_membership_elects_a_leader on joint
    "n1 becomes leader of term t1 with durable votes of n1, n2, n3, which is not a quorum of {n3 \
     n4 n5} from {n1 n2 n3}"
    |stage| stage.wins(1, 1, &[2, 3])

    S23 a_learner_elects_a_leader on with_learner
    "n1 becomes leader of term t1 with durable votes of n1, n4, which is not a quorum of {n1 n2 \
     n3} learners {n4}"
    |stage| stage.wins(1, 1, &[4])

    S3 a_second_vote_is_durable
    "n4 makes a vote for n2 in term t1 durable, but it already made a vote for n1 in that term \
     durable"
    |stage| {
        stage.votes(4, 1, 1);
        stage.votes(4, 1, 2);
    }

    S3 a_forgotten_vote_is_given_again
    "n4 makes a vote for n2 in term t1 durable, but it already made a vote for n1 in that term \
     durable"
    |stage| {
        stage.votes(4, 1, 1);
        stage.enters(4, 1);
        stage.crashes(4);
        stage.starts(4);
        stage.votes(4, 1, 2);
    }

    S3 a_vote_is_sent_to_another_candidate
    "n4 sends its vote in term t1 to n2, but it voted for n1 in that term"
    |stage| {
        stage.votes(4, 1, 1);
        stage.sends(4, 2, 1, GRANT);
    }

    S3 a_voter_requests_votes_after_voting
    "n4 requests votes for itself in term t1, but it voted for n1 in that term"
    |stage| {
        stage.votes(4, 1, 1);
        stage.sends(4, 2, 1, Body::RequestVote { last: EntryId::ZERO, transfer: false });
    }

    S4 a_grant_is_sent_before_it_is_durable
    "n4 sends its vote in term t1 to n1 before that vote is durable"
    |stage| {
        stage.enters(4, 1);
        stage.changes_status(4, |status| status.vote = Some(NodeId(1)));
        stage.submits(4, Some(voted(1, 1)), &[]);
        stage.sends(4, 1, 1, GRANT);
    }

    S4 votes_are_requested_before_the_own_vote_is_durable
    "n4 requests votes in term t1 before its own vote for itself is durable"
    |stage| {
        stage.submits(4, Some(voted(1, 4)), &[]);
        stage.sends(4, 1, 1, Body::RequestVote { last: EntryId::ZERO, transfer: false });
    }

    S4 a_leader_counts_its_own_vote_too_early
    "n1 becomes leader of term t1 before its own vote for itself is durable"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        [2, 3, 4].into_iter().for_each(|voter| stage.votes(voter, 1, 1));
        stage.leads(1, 1);
    }

    S5 a_rejected_vote_is_sent_before_the_term_is_durable
    "n4 sends n1 its RequestVoteReply in term t3, but the term on n4's disk is t0"
    |stage| {
        stage.submits(4, Some(HardState::new(Term(3), None)), &[]);
        stage.sends(4, 1, 3, Body::RequestVoteReply { granted: false, committed: Index::ZERO });
    }

    S5 a_heartbeat_reply_is_sent_before_the_term_is_durable
    "n4 sends n1 its HeartbeatReply in term t3, but the term on n4's disk is t0"
    |stage| {
        let (verified, matched) = (Index::ZERO, Index::ZERO);
        let (durable, ready) = (Index::ZERO, Readiness::default());
        let reply = Body::HeartbeatReply { round: 1, verified, matched, durable, ready };
        stage.sends(4, 1, 3, reply);
    }

    S5 a_pre_vote_reply_is_sent_before_the_term_is_durable
    "n4 sends n1 its PreVoteReply in term t3, but the term on n4's disk is t0"
    |stage| {
        let (next_term, committed) = (Term(4), Index::ZERO);
        stage.sends(4, 1, 3, Body::PreVoteReply { next_term, granted: true, committed });
    }

    S5 an_append_reply_is_sent_before_the_term_is_durable
    "n4 sends n1 its AppendEntriesReply in term t3, but the term on n4's disk is t0"
    |stage| {
        let rejected = AppendOutcome::Rejected { prev: Index(7), hint: EntryId::ZERO };
        stage.sends(4, 1, 3, Body::AppendEntriesReply(rejected));
    }

    S5 a_read_index_reply_is_sent_before_the_term_is_durable
    "n4 sends n1 its ReadIndexReply in term t3, but the term on n4's disk is t0"
    |stage| {
        let (start_id, ticket, index) = (1, 1, Index::ZERO);
        stage.sends(4, 1, 3, Body::ReadIndexReply { start_id, ticket, index });
    }

    S7 the_term_on_a_disk_decreases
    "the term on n1's disk decreases from t2 to t1"
    |stage| {
        stage.votes(1, 2, 1);
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.flushes(1);
    }

    S7 the_term_in_memory_decreases
    "n1's term decreases from t2 to t1"
    |stage| {
        stage.changes_status(1, |status| status.term = Term(2));
        stage.changes_status(1, |status| status.term = Term(1));
    }

    S7 a_restart_loses_the_term
    "the term on n1's disk decreases from t1 to t0"
    |stage| {
        stage.votes(1, 1, 1);
        stage.crashes(1);
        stage.starts_from(1, HardState::default(), 0, &[]);
    }

    S7 memory_is_behind_the_disk
    "n1 reports term t2, but its disk holds the later term t3"
    |stage| {
        stage.submits(1, Some(voted(3, 1)), &[]);
        stage.flushes(1);
        stage.changes_status(1, |status| status.term = Term(2));
    }

    S7 a_restarted_node_is_behind_its_disk
    "n1 reports term t1, but its disk holds the later term t2"
    |stage| {
        stage.votes(1, 2, 1);
        stage.crashes(1);
        stage.starts_from(1, voted(2, 1), 0, &[]);
        stage.changes_status(1, |status| status.term = Term(1));
    }
}
