//! Forged snapshots, states, replies and starts: S25 to S27 and U1.

use quorate::machine::Digest;
use quorate::types::{HardState, Index, Membership, NodeId};
use quorate_sim::observe::Seen;

use crate::echo::Echo;
use crate::stage::{Stage, command, id, noop, written};

fn five() -> Membership {
    Membership::new((1..=5).map(NodeId))
}

/// Node 1 leads term 1; two entries, the second that of operation 0, are committed and applied on
/// it.
fn applied_by(workload: Echo) -> Stage {
    let mut stage = Stage::playing(five(), workload);
    stage.wins(1, 1, &[2, 3]);
    stage.proposes();
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.applies(1, 2);
    stage
}

fn applied() -> Stage {
    applied_by(Echo::default())
}

/// Clients that believe in no command at all.
fn doubted() -> Stage {
    applied_by(Echo { believed: 0 })
}

fn other<T>(state: &mut Option<T>)
where
    T: Default,
{
    *state = Some(T::default());
}

crate::forgeries! {
    S25 a_snapshot_of_what_is_not_committed on applied
    "n1 has a snapshot that ends with 3@t1, which is not committed"
    |stage| {
        stage.holds(1, &[noop(3, 1)]);
        stage.has_snapshot(1, id(3, 1), 1);
    }

    S25 two_snapshots_of_one_end_differ on applied
    "the snapshots of n2 and n1 that end with 2@t1 differ"
    |stage| {
        stage.has_snapshot(1, id(2, 1), 1);
        stage.has_snapshot(2, id(1, 1), 2);
        stage.has_snapshot(2, id(2, 1), 2);
    }

    S25 a_snapshot_of_another_log_is_installed on applied
    "n4 installs a snapshot that ends with 2@t2, which is not committed"
    |stage| stage.installs(4, id(2, 2))

    S25 a_state_that_nobody_had_is_restored on applied
    "n4 has a state after 3, though no node has applied more than 2"
    |stage| {
        let (node, index, state) = (NodeId(4), Index(3), Some(Digest::default()));
        stage.sees(Seen::Restored { node, index, state });
    }

    S26 a_machine_is_in_another_state on applied
    "n2 is in another state after 2 than the log leads to"
    |stage| {
        stage.commits(2, 2);
        stage.applies_but(2, &[noop(1, 1), command(2, 1, 0)], |_, states| other(&mut states[1]));
    }

    S26 the_first_machine_is_in_another_state on applied
    "n1 is in another state after 3 than the log leads to"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(3, 1)]);
        stage.commits(1, 3);
        stage.applies_but(1, &[noop(3, 1)], |_, states| other(&mut states[0]));
    }

    S26 a_machine_replies_otherwise on applied
    "n2 replies \"y\" to 2, where the log leads to reply \"x\""
    |stage| {
        stage.commits(2, 2);
        stage.applies_but(2, &[noop(1, 1), command(2, 1, 0)], |executed, _| {
            executed[0].reply = b"y".to_vec();
        });
    }

    S26 a_machine_is_restored_to_another_state on applied
    "n4 is in another state after 2 than the log leads to"
    |stage| {
        let (node, index, state) = (NodeId(4), Index(2), Some(Digest::default()));
        stage.sees(Seen::Restored { node, index, state });
    }

    S26 a_machine_differs_when_it_is_looked_at on applied
    "n1: the same log led to another state at 2@t1"
    |stage| stage.looks(1, |look| other(&mut look.digest))

    S26 a_query_is_answered_otherwise on applied
    "the same state at 2@t1 answers otherwise"
    |stage| {
        let op = stage.asks();
        stage.serves_but(op, 1, 2, |_, answer| answer[0] = 7);
    }

    S26 a_snapshot_cannot_be_restored on applied
    "nothing can start from the snapshot of n1 to 2@t1: the state machine refuses the snapshot: \
     failed to fill whole buffer"
    |stage| stage.freezes(1, |bytes| bytes.truncate(bytes.len() - 1))

    S27 a_node_does_not_start_from_a_sound_disk
    "n1 does not start: no"
    |stage| stage.sees(Seen::Refused { node: NodeId(1), damaged: false, why: "no" })

    S34 a_node_stops_whose_disk_is_sound
    "n1 stops: why not"
    |stage| stage.sees(Seen::Stopped { node: NodeId(1), excused: false, why: "why not" })

    U1 a_reply_is_not_what_the_user_expects on applied
    "entry 3@t1: bad got [98, 97, 100]"
    |stage| {
        stage.proposes();
        stage.all_hold(&[1, 2, 3], &[written(3, 1, 1, b"bad")]);
        stage.commits(1, 3);
        stage.applies_these(1, &[written(3, 1, 1, b"bad")]);
    }

    U1 an_answer_is_not_what_the_user_expects on doubted
    "that many?"
    |stage| {
        let op = stage.asks();
        stage.serves(op, 1, 2);
    }

    U1 a_state_is_not_what_the_user_expects on doubted
    "n1: so many?"
    |stage| stage.looks(1, |_| {})
}

#[test]
fn snapshots_and_states_of_one_log_are_accepted() {
    let mut stage = applied();
    stage.sees(Seen::Refused { node: NodeId(5), damaged: true, why: "no" });
    stage.sees(Seen::Stopped { node: NodeId(5), excused: true, why: "its disk" });
    stage.has_snapshot(1, id(2, 1), 1);
    stage.freezes(1, |_| {});
    stage.looks(1, |_| {});
    stage.installs(4, id(2, 1));
    stage.flushes(4);
    stage.says(4, |status| {
        (status.last, status.durable) = (id(2, 1), Index(2));
        (status.committed, status.snapshot) = (Index(2), Index(2));
    });
    stage.restores(4, 1);
    stage.looks(4, |_| {});
    stage.has_snapshot(2, id(1, 1), 7);
    stage.has_snapshot(4, id(2, 1), 1);
    stage.crashes(4);
    let snapshot = stage.snapshot(id(2, 1), 1);
    stage.starts_with(4, HardState::default(), 2, snapshot, &[]);
    assert_eq!(stage.violation(), None);
}
