//! Forged answers to clients: S18 to S21.

use std::time::Duration;

use quorate::machine::{Digest, Outcome};
use quorate::types::{Body, Freshness, Index, NodeId, ReadLevel};
use quorate_sim::observe::{Executed, OpId, Seen};

use crate::stage::{Stage, command, id, noop, register, request};

/// Node 1 leads term 1, and its first entry is committed on 1, 2 and 3 and applied on 1.
fn led() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage.applies(1, 1);
    stage
}

/// As before, and operation 0 proposed `a`, which is committed at 2 and applied on 1.
fn written() -> Stage {
    let mut stage = led();
    stage.proposes();
    stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.applies(1, 2);
    stage
}

/// As at first, and entry 2 opens a session, in which operation 0 is the first request: it is
/// carried out at 3.
fn in_session() -> Stage {
    let mut stage = led();
    stage.requests(2, 1);
    stage.all_hold(&[1, 2, 3], &[register(2, 1), request(3, 1, 0, 2, 1)]);
    stage.commits(1, 3);
    stage.applies(1, 3);
    stage
}

/// As before, and the request is committed again, at 4.
fn repeated() -> Stage {
    let mut stage = in_session();
    stage.confirms(OpId(0), id(3, 1));
    stage.all_hold(&[1, 2, 3], &[request(4, 1, 0, 2, 1)]);
    stage.commits(1, 4);
    stage
}

fn reply(bytes: &[u8]) -> Outcome {
    Outcome::Reply(bytes.into())
}

crate::forgeries! {
    S18 an_uncommitted_command_is_acknowledged on led
    "operation 0 is acknowledged at 2@t1, which is not in the log committed to 1@t1"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.confirms(op, id(2, 1));
    }

    S18 a_command_is_acknowledged_where_another_is on written
    "operation 1 is acknowledged at 2@t1, where another is"
    |stage| {
        let op = stage.proposes();
        stage.confirms(op, id(2, 1));
    }

    S18 a_command_is_acknowledged_in_another_term on written
    "operation 1 is acknowledged at 2@t2, which is not in the log committed to 2@t1"
    |stage| {
        let op = stage.proposes();
        stage.confirms(op, id(2, 2));
    }

    S18 an_acknowledged_command_is_missing_at_the_end on led
    "n3 has applied 0 at the end, though 2 is acknowledged"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.applies(1, 2);
        stage.confirms(op, id(2, 1));
        [2, 3].into_iter().for_each(|node| stage.commits(node, 2));
        stage.applies(2, 2);
        stage.calms(&[1, 2, 3]);
        stage.idles();
        stage.ends();
    }

    S19 a_command_is_committed_twice on written
    "operation 0 is committed at 2 and at 3@t1"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(3, 1, 0)]);
        stage.commits(1, 3);
    }

    S19 a_command_nobody_proposed_is_committed on led
    "2@t1 commits a command that nobody proposed"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
    }

    S19 a_rejected_command_is_committed on led
    "operation 0, rejected, is committed at 2@t1"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.rejects(op);
        stage.commits(1, 2);
    }

    S19 a_committed_command_is_rejected on led
    "operation 0, committed at 2, is rejected"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.rejects(op);
    }

    S19 a_request_is_carried_out_twice on repeated
    "operation 0 is carried out at 3 and again at 4"
    |stage| {
        stage.applies_but(1, &[request(4, 1, 0, 2, 1)], |executed, _| {
            executed.push(Executed { index: Index(4), reply: b"x".to_vec() });
        });
    }

    S19 an_entry_without_a_command_is_carried_out on led
    "2 is carried out, though it holds no command"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[register(2, 1)]);
        stage.commits(1, 2);
        stage.applies_but(1, &[register(2, 1)], |executed, _| {
            executed.push(Executed { index: Index(2), reply: Vec::new() });
        });
    }

    S19 a_reply_comes_before_the_command_is_carried_out on led
    "operation 0 has a reply at 2@t1, though it was not carried out by then"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.confirms(op, id(2, 1));
    }

    S19 a_repetition_has_another_reply on repeated
    "operation 0 has another reply at 4@t1 than before"
    |stage| {
        stage.applies(1, 4);
        stage.tells(OpId(0), id(4, 1), &reply(b"y"));
    }

    S19 a_reply_is_not_what_the_log_leads_to on written
    "operation 0 is told reply \"y\" of 2, which leads to reply \"x\""
    |stage| stage.tells(OpId(0), id(2, 1), &reply(b"y"))

    S19 a_session_is_said_to_be_over_and_is_not on in_session
    "operation 0 is told session expired of 3, which leads to reply \"x\""
    |stage| stage.tells(OpId(0), id(3, 1), &Outcome::SessionExpired)

    S19 a_command_outside_a_session_is_declined on written
    "operation 0 comes to session expired"
    |stage| stage.tells(OpId(0), id(2, 1), &Outcome::SessionExpired)

    S19 a_command_outside_a_session_is_answered_twice on written
    "operation 0 ends twice"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        stage.confirms(OpId(0), id(2, 1));
    }

    S19 a_request_is_committed_in_another_session on in_session
    "4@t1 commits a command that nobody proposed"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[request(4, 1, 0, 1, 1)]);
        stage.commits(1, 4);
    }

    S19 an_operation_ends_twice on led
    "operation 0 ends Rejected after Unknown"
    |stage| {
        let op = stage.proposes();
        stage.sees(Seen::Unknown { op });
        stage.rejects(op);
    }

    S19 an_operation_never_ends on led
    "operation 0 has no outcome at the end"
    |stage| {
        stage.asks();
        stage.calms(&[1]);
        stage.idles();
        stage.ends();
    }

    S20 a_read_misses_an_acknowledged_write on written
    "n2 serves read 1 at read index 1, below 2, which was complete before the read"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        let op = stage.asks();
        stage.commits(2, 1);
        stage.applies(2, 1);
        stage.serves(op, 2, 1);
    }

    S20 a_read_goes_back_behind_another on written
    "n2 serves read 2 at read index 1, below 2, which was complete before the read"
    |stage| {
        let ahead = stage.asks();
        stage.serves(ahead, 1, 1);
        stage.commits(2, 1);
        stage.applies(2, 1);
        let op = stage.asks();
        stage.serves(op, 2, 1);
    }

    S20 a_read_is_served_before_its_index_is_applied on written
    "n2 serves read 1 with 1 applied, below read index 2"
    |stage| {
        stage.commits(2, 2);
        stage.applies(2, 1);
        let op = stage.asks();
        stage.serves(op, 2, 2);
    }

    S20 a_read_is_served_from_another_state on written
    "n1 serves read 1 from a state that is not the committed one at 2"
    |stage| {
        let op = stage.asks();
        stage.serves_but(op, 1, 2, |state, _| *state = Some(Digest::default()));
    }

    S20 a_superseded_leader_serves_a_read on led
    "n1 serves read 0 in t1, though t2 was won before the read"
    |stage| {
        stage.wins(2, 2, &[3, 4]);
        let op = stage.asks();
        stage.serves(op, 1, 1);
    }

    S20 a_superseded_leader_answers_forwarded_reads on led
    "n1 answers the reads of n3 in t1, though t2 was won before it was asked"
    |stage| {
        stage.wins(2, 2, &[4, 5]);
        stage.sends(3, 1, 1, Body::ReadIndex { boot: 7, ticket: 1 });
        stage.sends(1, 3, 1, Body::ReadIndexReply { boot: 7, ticket: 1, index: Index(1) });
    }

    S20 a_leader_answers_forwarded_reads_with_an_old_index on written
    "n1 answers the reads of n3 with 1, below 2, which was complete before it was asked"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        stage.sends(3, 1, 1, Body::ReadIndex { boot: 7, ticket: 1 });
        stage.sends(1, 3, 1, Body::ReadIndexReply { boot: 7, ticket: 1, index: Index(1) });
    }

    S20 a_read_shows_what_is_not_committed on led
    "n1 serves read 1 from a state that is not the committed one at 2"
    |stage| {
        stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        let op = stage.asks();
        let (node, index, applied) = (NodeId(1), Index(1), Index(2));
        let (state, answer) = (Some(Digest::default()), &[1][..]);
        let freshness = Freshness::Linearizable;
        stage.sees(Seen::ReadServed { op, node, freshness, index, applied, state, answer });
    }

    S20 a_read_is_served_with_less_than_was_asked_for on written
    "n1 serves read 1, which is to be linearizable, with what is of any age"
    |stage| {
        let op = stage.asks();
        stage.serves_as(op, 1, 2, Freshness::Unknown);
    }

    S20 a_bounded_read_is_older_than_its_bound on written
    "n1 serves read 1, which is to be within 1s, with what is within 2s"
    |stage| {
        let op = stage.asks_for(ReadLevel::Bounded(Duration::from_secs(1)));
        stage.serves_as(op, 1, 2, Freshness::Within(Duration::from_secs(2)));
    }

    S20 a_bounded_read_is_older_than_it_says on written
    "n3 serves read 2 at read index 0, below 2, which was complete 1s before the read"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        let second = Duration::from_secs(1);
        let op = stage.asks_for(ReadLevel::Bounded(second));
        stage.serves_as(op, 3, 0, Freshness::Within(second));
        stage.waits(second);
        let op = stage.asks_for(ReadLevel::Bounded(second));
        stage.serves_as(op, 3, 0, Freshness::Within(second));
    }

    S21 a_lease_outlasts_a_commit on written
    "n3 serves read 2, by lease, with 0 applied, though 2 was committed before the read, and 2 may \
     change the answer"
    |stage| {
        let op = stage.asks_for(ReadLevel::Local);
        stage.serves_as(op, 3, 0, Freshness::Unknown);
        let op = stage.asks_for(ReadLevel::Lease);
        stage.serves(op, 3, 0);
    }

    S21 a_loan_outlasts_a_commit_while_a_clock_is_astray on written
    "n3 serves read 1, by replica, with 0 applied, though 2 was committed before the read, and 2 \
     may change the answer; the clock of n1 is beyond what leases allow for, since 1.005700s"
    |stage| {
        stage.sees(Seen::Astray { node: NodeId(1) });
        let op = stage.asks_for(ReadLevel::Replica);
        stage.serves(op, 3, 0);
    }
}
