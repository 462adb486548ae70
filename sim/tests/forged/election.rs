//! Forged terms, votes and leaders: S1 to S5 and S7.

use quorate::types::{
    AppendOutcome, Beat, Body, EntryId, HardState, Index, Membership, NodeId, Readiness, Term,
};

use crate::stage::{Stage, voted};

/// Voters 1 to 3 are replaced by 3 to 5.
fn joint() -> Stage {
    let ids = |ids: [u64; 3]| ids.map(NodeId);
    Stage::with(Membership::new(ids([3, 4, 5])).joint_with(ids([1, 2, 3])))
}

/// A learner beside three voters.
fn with_learner() -> Stage {
    Stage::with(Membership::new([1, 2, 3].map(NodeId)).with_learners([NodeId(4)]))
}

const HEARTBEAT: Body = Body::Heartbeat(Beat::new(1, Index::ZERO));
const GRANT: Body = Body::RequestVoteReply { granted: true };

crate::forgeries! {
    S1 two_nodes_lead_one_term
    "two leaders in t1: n1 (elected 1.002500s), n4 (elected 1.002600s)"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.leads(4, 1);
    }

    S1 a_restarted_leader_leads_on
    "two leaders in t1: n1 (elected 1.002500s), n1 (elected 1.002900s)"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.crashes(1);
        stage.starts(1);
        stage.leads(1, 1);
    }

    S1 a_follower_speaks_as_leader
    "n4 speaks as the leader of t1, which n1 won"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.enters(4, 1);
        stage.sends(4, 5, 1, HEARTBEAT);
    }

    S1 a_candidate_speaks_as_leader
    "n4 speaks as the leader of t1, which nobody won"
    |stage| {
        stage.votes(4, 1, 4);
        stage.sends(4, 5, 1, HEARTBEAT);
    }

    S2 a_minority_elects
    "n1 leads t1 with durable votes of n1, n2, which is no quorum of {n1 n2 n3 n4 \
     n5}"
    |stage| stage.wins(1, 1, &[2])

    S2 a_repeated_grant_counts_twice
    "n1 leads t1 with durable votes of n1, n2, which is no quorum of {n1 n2 n3 n4 \
     n5}"
    |stage| {
        stage.votes(1, 1, 1);
        stage.votes(2, 1, 1);
        stage.sends(2, 1, 1, GRANT);
        stage.sends(2, 1, 1, GRANT);
        stage.leads(1, 1);
    }

    S2 a_vote_of_an_earlier_term_counts
    "n1 leads t2 with durable votes of n1, which is no quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.votes(2, 1, 1);
        stage.votes(3, 1, 1);
        stage.votes(1, 2, 1);
        stage.leads(1, 2);
    }

    S2 one_half_of_a_joint_membership_elects on joint
    "n1 leads t1 with durable votes of n1, n2, n3, which is no quorum of {n3 n4 n5} from \
     {n1 n2 n3}"
    |stage| stage.wins(1, 1, &[2, 3])

    S23 a_learner_elects on with_learner
    "n1 leads t1 with durable votes of n1, n4, which is no quorum of {n1 n2 n3} learners {n4}"
    |stage| stage.wins(1, 1, &[4])

    S3 a_second_vote_is_durable
    "n4 makes a vote for n2 in t1 durable after one for n1"
    |stage| {
        stage.votes(4, 1, 1);
        stage.votes(4, 1, 2);
    }

    S3 a_vote_is_forgotten_and_given_again
    "n4 makes a vote for n2 in t1 durable after one for n1"
    |stage| {
        stage.votes(4, 1, 1);
        stage.enters(4, 1);
        stage.crashes(4);
        stage.starts(4);
        stage.votes(4, 1, 2);
    }

    S3 a_vote_is_sent_to_another
    "n4 sends n2 its vote in t1, which it gave to n1"
    |stage| {
        stage.votes(4, 1, 1);
        stage.sends(4, 2, 1, GRANT);
    }

    S3 a_voter_stands_itself
    "n4 stands for election in t1, in which it voted for n1"
    |stage| {
        stage.votes(4, 1, 1);
        stage.sends(4, 2, 1, Body::RequestVote { last: EntryId::ZERO, transfer: false });
    }

    S4 a_grant_is_sent_before_it_is_durable
    "n4 sends n1 its vote in t1 before the vote is durable"
    |stage| {
        stage.enters(4, 1);
        stage.says(4, |status| status.vote = Some(NodeId(1)));
        stage.submits(4, Some(voted(1, 1)), &[]);
        stage.sends(4, 1, 1, GRANT);
    }

    S4 votes_are_asked_for_before_the_own_is_durable
    "n4 asks for votes in t1 before its vote for itself is durable"
    |stage| {
        stage.submits(4, Some(voted(1, 4)), &[]);
        stage.sends(4, 1, 1, Body::RequestVote { last: EntryId::ZERO, transfer: false });
    }

    S4 a_leader_counts_its_own_vote_too_early
    "n1 leads t1 before its vote for itself is durable"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        [2, 3, 4].into_iter().for_each(|voter| stage.votes(voter, 1, 1));
        stage.leads(1, 1);
    }

    S5 a_refusal_is_sent_before_the_term_is_durable
    "n4 sends n1 RequestVoteReply in t3 while its disk has t0"
    |stage| {
        stage.submits(4, Some(HardState::new(Term(3), None)), &[]);
        stage.sends(4, 1, 3, Body::RequestVoteReply { granted: false });
    }

    S5 a_round_is_answered_before_the_term_is_durable
    "n4 sends n1 HeartbeatReply in t3 while its disk has t0"
    |stage| {
        let (verified, matched) = (Index::ZERO, Index::ZERO);
        let (durable, ready) = (Index::ZERO, Readiness::default());
        let reply = Body::HeartbeatReply { round: 1, verified, matched, durable, ready };
        stage.sends(4, 1, 3, reply);
    }

    S5 a_pre_vote_is_answered_before_the_term_is_durable
    "n4 sends n1 PreVoteReply in t3 while its disk has t0"
    |stage| {
        let next_term = Term(4);
        stage.sends(4, 1, 3, Body::PreVoteReply { next_term, granted: true });
    }

    S5 an_append_is_rejected_before_the_term_is_durable
    "n4 sends n1 AppendEntriesReply in t3 while its disk has t0"
    |stage| {
        let rejected = AppendOutcome::Rejected { prev: Index(7), hint: EntryId::ZERO };
        stage.sends(4, 1, 3, Body::AppendEntriesReply(rejected));
    }

    S5 a_read_is_answered_before_the_term_is_durable
    "n4 sends n1 ReadIndexReply in t3 while its disk has t0"
    |stage| {
        let (boot, ticket, index) = (1, 1, Index::ZERO);
        stage.sends(4, 1, 3, Body::ReadIndexReply { boot, ticket, index });
    }

    S7 the_term_on_a_disk_falls
    "the term on n1's disk falls from t2 to t1"
    |stage| {
        stage.votes(1, 2, 1);
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.flushes(1);
    }

    S7 the_term_in_memory_falls
    "n1's term falls from t2 to t1"
    |stage| {
        stage.says(1, |status| status.term = Term(2));
        stage.says(1, |status| status.term = Term(1));
    }

    S7 a_restart_finds_no_term
    "the term on n1's disk falls from t1 to t0"
    |stage| {
        stage.votes(1, 1, 1);
        stage.crashes(1);
        stage.starts_from(1, HardState::default(), 0, &[]);
    }

    S7 memory_is_behind_the_disk
    "n1 is in t2 though its disk has t3"
    |stage| {
        stage.submits(1, Some(voted(3, 1)), &[]);
        stage.flushes(1);
        stage.says(1, |status| status.term = Term(2));
    }

    S7 a_restarted_node_is_behind_its_disk
    "n1 is in t1 though its disk has t2"
    |stage| {
        stage.votes(1, 2, 1);
        stage.crashes(1);
        stage.starts_from(1, voted(2, 1), 0, &[]);
        stage.says(1, |status| status.term = Term(1));
    }
}
