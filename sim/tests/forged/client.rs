//! Forged outcomes of client operations, and leases: S18 to S21 and S57.

use std::time::Duration;

use quorate::machine::{Digest, Outcome};
use quorate::types::{Body, Freshness, Index, NodeId, ReadLevel};
use quorate_sim::observe::{Executed, Observation, OpId};

use crate::stage::{Stage, admin, command, id, noop, register, request};

/// Node 1 leads term 1; its first entry is committed on nodes 1, 2 and 3 and applied on node 1.
fn led() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage.applies(1, 1);
    stage
}

/// Like [`led`]; in addition, the command of operation 0 is committed at index 2 and applied on
/// node 1.
fn written() -> Stage {
    let mut stage = led();
    stage.proposes();
    stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.applies(1, 2);
    stage
}

/// Like [`led`]; in addition, entry 2 opens a session. Operation 0 is the first command of that
/// session and is executed at index 3.
fn in_session() -> Stage {
    let mut stage = led();
    stage.requests(2, 1);
    stage.all_hold(&[1, 2, 3], &[register(2, 1), request(3, 1, 0, 2, 1)]);
    stage.commits(1, 3);
    stage.applies(1, 3);
    stage
}

/// Like [`in_session`]; in addition, the command is committed again at index 4.
fn repeated() -> Stage {
    let mut stage = in_session();
    stage.confirms(OpId(0), id(3, 1));
    stage.all_hold(&[1, 2, 3], &[request(4, 1, 0, 2, 1)]);
    stage.commits(1, 4);
    stage
}

/// The time that is left in a lease.
const LEFT: Duration = Duration::from_millis(30);

fn reply(bytes: &[u8]) -> Outcome {
    Outcome::Reply(bytes.into())
}

crate::forgeries! {
    S18 an_uncommitted_command_is_acknowledged on led
    "operation 0 is acknowledged as entry 2@t1, but the committed log, which ends with 1@t1, does \
     not contain that entry"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.confirms(op, id(2, 1));
    }

    S18 a_command_is_acknowledged_at_the_entry_of_another on written
    "operation 1 is acknowledged as entry 2@t1, but that entry belongs to another operation"
    |stage| {
        let op = stage.proposes();
        stage.confirms(op, id(2, 1));
    }

    S18 a_command_is_acknowledged_in_another_term on written
    "operation 1 is acknowledged as entry 2@t2, but the committed log, which ends with 2@t1, does \
     not contain that entry"
    |stage| {
        let op = stage.proposes();
        stage.confirms(op, id(2, 2));
    }

    S18 an_acknowledged_command_is_not_applied_at_the_end on led
    "n3 has applied only index 0 at the end of the run, but index 2 was acknowledged to a client"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.applies(1, 2);
        stage.confirms(op, id(2, 1));
        [2, 3].into_iter().for_each(|node| stage.commits(node, 2));
        stage.applies(2, 2);
        stage.stabilizes(&[1, 2, 3]);
        stage.idles();
        stage.ends();
    }

    S19 a_command_is_committed_twice on written
    "operation 0 has no session, but its command is committed twice: at index 2 and as entry 3@t1"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(3, 1, 0)]);
        stage.commits(1, 3);
    }

    S19 a_command_without_a_proposal_is_committed on led
    "entry 2@t1 is committed, but no client proposed its command"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
    }

    S19 a_rejected_command_is_committed on led
    "operation 0 was rejected, but its command is committed as entry 2@t1"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.rejects(op);
        stage.commits(1, 2);
    }

    S19 a_committed_command_is_rejected on led
    "operation 0 is rejected, but its command is committed at index 2"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.rejects(op);
    }

    S19 a_request_is_executed_twice on repeated
    "operation 0 is executed at index 3 and again at index 4"
    |stage| {
        stage.applies_with(1, &[request(4, 1, 0, 2, 1)], |executed, _| {
            executed.push(Executed { index: Index(4), reply: b"x".to_vec() });
        });
    }

    S19 an_entry_without_a_command_is_executed on led
    "a state machine executes a command at index 2, but the entry there holds no command"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[register(2, 1)]);
        stage.commits(1, 2);
        stage.applies_with(1, &[register(2, 1)], |executed, _| {
            executed.push(Executed { index: Index(2), reply: Vec::new() });
        });
    }

    S19 a_reply_precedes_the_execution_of_its_command on led
    "operation 0 has a reply for entry 2@t1, but no state machine had executed its command by \
     that index"
    |stage| {
        let op = stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.commits(1, 2);
        stage.confirms(op, id(2, 1));
    }

    S19 a_retry_has_a_different_reply on repeated
    "operation 0 has a reply for entry 4@t1 that differs from its earlier reply"
    |stage| {
        stage.applies(1, 4);
        stage.replies(OpId(0), id(4, 1), &reply(b"y"));
    }

    S19 a_reply_differs_from_the_result_of_the_log on written
    "operation 0 receives the outcome reply \"y\" for index 2, but the expected outcome is \
     reply \"x\""
    |stage| stage.replies(OpId(0), id(2, 1), &reply(b"y"))

    S19 a_live_session_is_reported_as_expired on in_session
    "operation 0 receives the outcome session expired for index 3, but the expected outcome is \
     reply \"x\""
    |stage| stage.replies(OpId(0), id(3, 1), &Outcome::SessionExpired)

    S19 a_command_without_a_session_is_rejected_as_expired on written
    "operation 0 has the outcome session expired, but only a command in a session can have it"
    |stage| stage.replies(OpId(0), id(2, 1), &Outcome::SessionExpired)

    S19 a_command_without_a_session_has_two_replies on written
    "operation 0 has no session, but it has two replies"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        stage.confirms(OpId(0), id(2, 1));
    }

    S19 a_request_is_committed_in_another_session on in_session
    "entry 4@t1 is committed, but no client proposed its command"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[request(4, 1, 0, 1, 1)]);
        stage.commits(1, 4);
    }

    S19 an_operation_has_two_outcomes on led
    "operation 0 has the second outcome \"rejected\" after its first outcome \"unknown\""
    |stage| {
        let op = stage.proposes();
        stage.observes(Observation::Unknown { op });
        stage.rejects(op);
    }

    S19 an_operation_has_no_outcome on led
    "operation 0 has no outcome at the end of the run"
    |stage| {
        stage.reads();
        stage.stabilizes(&[1]);
        stage.idles();
        stage.ends();
    }

    S20 a_read_misses_an_acknowledged_write on written
    "n2 serves read 1 at read index 1, but an operation at index 2 was completed before \
     the read began"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        let op = stage.reads();
        stage.commits(2, 1);
        stage.applies(2, 1);
        stage.serves(op, 2, 1);
    }

    S20 a_read_is_older_than_an_earlier_read on written
    "n2 serves read 2 at read index 1, but an operation at index 2 was completed before \
     the read began"
    |stage| {
        let ahead = stage.reads();
        stage.serves(ahead, 1, 1);
        stage.commits(2, 1);
        stage.applies(2, 1);
        let op = stage.reads();
        stage.serves(op, 2, 1);
    }

    S20 a_read_is_served_before_its_index_is_applied on written
    "n2 serves read 1 after it applied only index 1, but the read index is 2"
    |stage| {
        stage.commits(2, 2);
        stage.applies(2, 1);
        let op = stage.reads();
        stage.serves(op, 2, 2);
    }

    S20 a_read_is_served_from_a_wrong_state on written
    "n1 serves read 1 from a state that differs from the committed state at index 2"
    |stage| {
        let op = stage.reads();
        stage.serves_with(op, 1, 2, |state, _| *state = Some(Digest::default()));
    }

    S20 a_superseded_leader_serves_a_read on led
    "n1 serves read 0 in term t1, but another leader had won term t2 before the read began"
    |stage| {
        stage.wins(2, 2, &[3, 4]);
        let op = stage.reads();
        stage.serves(op, 1, 1);
    }

    S20 a_superseded_leader_answers_a_forwarded_read on led
    "n1 answers n3's read index request in term t1, but another leader had won term t2 before n3 \
     sent the request"
    |stage| {
        stage.wins(2, 2, &[4, 5]);
        stage.sends(3, 1, 1, Body::ReadIndex { start_id: 7, ticket: 1 });
        stage.sends(1, 3, 1, Body::ReadIndexReply { start_id: 7, ticket: 1, index: Index(1) });
    }

    S20 a_forwarded_read_has_an_old_read_index on written
    "n1 answers n3's read index request with index 1, but an operation at index 2 was completed \
     before n3 sent \
     the request"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        stage.sends(3, 1, 1, Body::ReadIndex { start_id: 7, ticket: 1 });
        stage.sends(1, 3, 1, Body::ReadIndexReply { start_id: 7, ticket: 1, index: Index(1) });
    }

    S20 a_read_shows_an_uncommitted_entry on led
    "n1 serves read 1 from a state that differs from the committed state at index 2"
    |stage| {
        stage.proposes();
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        let op = stage.reads();
        let (node, index, applied) = (NodeId(1), Index(1), Index(2));
        let (state, answer) = (Some(Digest::default()), &[1][..]);
        let freshness = Freshness::Linearizable;
        let read = Observation::ReadServed { op, node, freshness, index, applied, state, answer };
        stage.observes(read);
    }

    S20 a_read_is_less_fresh_than_required on written
    "n1 serves read 1 at the level `linearizable` with an answer of freshness `of any age`, which \
     does not satisfy that level"
    |stage| {
        let op = stage.reads();
        stage.serves_as(op, 1, 2, Freshness::Unknown);
    }

    S20 a_bounded_read_is_older_than_its_bound on written
    "n1 serves read 1 at the level `within 1s` with an answer of freshness `within 2s`, which does \
     not satisfy that level"
    |stage| {
        let op = stage.reads_at_level(ReadLevel::Bounded(Duration::from_secs(1)));
        stage.serves_as(op, 1, 2, Freshness::Within(Duration::from_secs(2)));
    }

    S20 a_bounded_read_is_older_than_its_stated_age on written
    "n3 serves read 2 at read index 0, but an operation at index 2 was completed more than 1s \
     before the read began"
    |stage| {
        stage.confirms(OpId(0), id(2, 1));
        let second = Duration::from_secs(1);
        let op = stage.reads_at_level(ReadLevel::Bounded(second));
        stage.serves_as(op, 3, 0, Freshness::Within(second));
        stage.advances_time(second);
        let op = stage.reads_at_level(ReadLevel::Bounded(second));
        stage.serves_as(op, 3, 0, Freshness::Within(second));
    }

    S21 a_leased_read_misses_a_committed_command on written
    "n3 serves read 2 (by lease) after it applied only index 0, but index 2 was committed before \
     the read began and the command at index 2 may change the answer"
    |stage| {
        let op = stage.reads_at_level(ReadLevel::Local);
        stage.serves_as(op, 3, 0, Freshness::Unknown);
        let op = stage.reads_at_level(ReadLevel::Lease);
        stage.serves(op, 3, 0);
    }

    S21 a_replica_read_misses_an_admin_command on led
    "n3 serves read 0 (by replica) after it applied only index 0, but index 2 was committed before \
     the read began and the command at index 2 may change the answer"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[admin(2, 1)]);
        stage.commits(1, 2);
        let op = stage.reads_at_level(ReadLevel::Replica);
        stage.serves(op, 3, 0);
    }

    S57 a_node_holds_a_lease_while_another_leads on written
    "n3 holds a lease in term t1 for another 30ms by its own clock, but another node leads term \
     t2, or led it"
    |stage| {
        stage.observes(Observation::LeaseHeld { node: NodeId(3), left: LEFT });
        stage.wins(2, 2, &[4, 5]);
        stage.observes(Observation::LeaseHeld { node: NodeId(2), left: LEFT });
        stage.observes(Observation::LeaseHeld { node: NodeId(3), left: LEFT });
    }

    S21 a_replica_read_misses_a_commit_while_a_clock_drifts on written
    "n3 serves read 1 (by replica) after it applied only index 0, but index 2 was committed \
     before the read began and the command at index 2 may change the answer; the clock of n1 \
     exceeded the drift bound of the leases at 1.005700 s, so leases may not hold"
    |stage| {
        stage.observes(Observation::ClockBoundExceeded { node: NodeId(1) });
        let op = stage.reads_at_level(ReadLevel::Replica);
        stage.serves(op, 3, 0);
    }
}
