//! Forged snapshots, states, replies and starts: S25 to S27, S34, S37, S53 and U1.

use quorate::machine::Digest;
use quorate::types::{HardState, Index, Membership, NodeId};
use quorate_sim::observe::Observation;

use crate::echo::Echo;
use crate::stage::{Stage, command, id, noop, register, request, written};

fn five() -> Membership {
    Membership::new((1..=5).map(NodeId))
}

/// Node 1 leads term 1 and has committed and applied two entries, the second with the command of
/// operation 0.
fn applied_by(workload: Echo) -> Stage {
    let mut stage = Stage::with_workload(five(), workload);
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

/// Like [`applied`]; in addition, two more entries that open a session and use it.
fn in_session() -> Stage {
    let mut stage = applied();
    stage.requests(3, 1);
    stage.all_hold(&[1, 2, 3], &[register(3, 1), request(4, 1, 1, 3, 1)]);
    stage.commits(1, 4);
    stage.applies(1, 4);
    stage
}

/// The position in a snapshot at which the entry that last used its first session is named.
const SESSION_USED: usize = 138;

/// A stage whose workload accepts no command.
fn doubted() -> Stage {
    applied_by(Echo { accepted: 0 })
}

/// Node 1 leads term 1, with state machines that are durable themselves, and has committed an entry
/// that its own disk lacks.
fn durable() -> Stage {
    committed_by_others(Stage::of_durable_machines())
}

/// Like [`durable`], with state machines in memory.
fn in_memory() -> Stage {
    committed_by_others(Stage::new())
}

fn committed_by_others(mut stage: Stage) -> Stage {
    stage.wins(1, 1, &[2, 3, 4]);
    stage.all_hold(&[1, 2, 3, 4], &[noop(1, 1)]);
    stage.takes(1, &[noop(2, 1)]);
    stage.all_hold(&[2, 3, 4], &[noop(2, 1)]);
    stage.commits(1, 2);
    stage
}

fn other<T>(state: &mut Option<T>)
where
    T: Default,
{
    *state = Some(T::default());
}

crate::forgeries! {
    S25 a_snapshot_covers_an_uncommitted_entry on applied
    "n1 takes a snapshot that ends with 3@t1, which is not a committed entry"
    |stage| {
        stage.holds(1, &[noop(3, 1)]);
        stage.has_snapshot(1, id(3, 1), 1);
    }

    S25 two_snapshots_with_the_same_last_entry_differ on applied
    "n2 takes a snapshot up to 2@t1 that differs from n1's snapshot up to the same entry"
    |stage| {
        stage.has_snapshot(1, id(2, 1), 1);
        stage.has_snapshot(2, id(1, 1), 2);
        stage.has_snapshot(2, id(2, 1), 2);
    }

    S25 snapshots_differ_although_another_node_forgot_replies on applied
    "n3 takes a snapshot up to 2@t1 that differs from n1's snapshot up to the same entry"
    |stage| {
        let (node, index) = (NodeId(2), Index(2));
        stage.observes(Observation::Restored { node, index, state: None });
        stage.has_snapshot(2, id(2, 1), 3);
        stage.has_snapshot(1, id(2, 1), 1);
        stage.has_snapshot(3, id(2, 1), 2);
    }

    S25 a_node_adopts_a_snapshot_that_no_node_took on applied
    "n3 takes a snapshot up to 2@t1 that differs from n1's snapshot up to the same entry"
    |stage| {
        stage.has_snapshot(1, id(2, 1), 1);
        stage.sends_snapshot_part(2, 3, 9);
        stage.has_snapshot(3, id(2, 1), 9);
    }

    S25 a_snapshot_of_a_different_log_is_installed on applied
    "n4 installs a snapshot that ends with 2@t2, which is not a committed entry"
    |stage| stage.installs(4, id(2, 2))

    S25 a_state_beyond_every_node_is_restored on applied
    "n4 has a state at index 3, but no node has applied more than index 2"
    |stage| {
        let (node, index, state) = (NodeId(4), Index(3), Some(Digest::default()));
        stage.observes(Observation::Restored { node, index, state });
    }

    S37 a_snapshot_is_ahead_of_the_log_on_the_disk on in_memory
    "n1 takes a snapshot that ends with 2@t1, but the log on its disk ends at index 1"
    |stage| {
        stage.applies(1, 2);
        stage.has_snapshot(1, id(1, 1), 1);
        stage.has_snapshot(1, id(2, 1), 2);
    }

    S37 a_durable_state_machine_is_ahead_of_the_log_on_the_disk on durable
    "n1's state machine makes its own state durable and applies index 2, but the log on its disk \
     ends at index 1"
    |stage| {
        stage.applies(1, 1);
        stage.applies_these(1, &[noop(2, 1)]);
    }

    S26 a_state_machine_has_a_wrong_state on applied
    "n2's state after index 2 differs from the state of a machine without faults"
    |stage| {
        stage.commits(2, 2);
        stage.applies_with(2, &[noop(1, 1), command(2, 1, 0)], |_, states| other(&mut states[1]));
    }

    S26 the_first_state_machine_has_a_wrong_state on applied
    "n1's state after index 3 differs from the state of a machine without faults"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(3, 1)]);
        stage.commits(1, 3);
        stage.applies_with(1, &[noop(3, 1)], |_, states| other(&mut states[0]));
    }

    S26 a_state_machine_sends_a_wrong_reply on applied
    "n2 replies \"y\" to the command at index 2, but the expected outcome is reply \"x\""
    |stage| {
        stage.commits(2, 2);
        stage.applies_with(2, &[noop(1, 1), command(2, 1, 0)], |executed, _| {
            executed[0].reply = b"y".to_vec();
        });
    }

    S26 a_state_machine_is_restored_to_a_wrong_state on applied
    "n4's state after index 2 differs from the state of a machine without faults"
    |stage| {
        let (node, index, state) = (NodeId(4), Index(2), Some(Digest::default()));
        stage.observes(Observation::Restored { node, index, state });
    }

    S26 an_inspected_state_machine_differs on applied
    "n1: the same log led to another state at 2@t1"
    |stage| stage.inspects(1, |look| other(&mut look.digest))

    S26 a_query_has_a_wrong_answer on applied
    "the same state at 2@t1 gives a different answer"
    |stage| {
        let op = stage.reads();
        stage.serves_with(op, 1, 2, |_, answer| answer[0] = 7);
    }

    S26 a_snapshot_cannot_be_restored on applied
    "a state machine cannot start from n1's snapshot up to 2@t1: the state machine rejects the \
     snapshot: failed to fill whole buffer"
    |stage| stage.freezes(1, |bytes| bytes.truncate(bytes.len() - 1))

    S53 a_snapshot_names_another_executed_command on applied
    "n1 takes a snapshot up to 2@t1 that names index 0 as the last one that its state \
     machine executed, but the last one is 2"
    |stage| stage.freezes(1, |bytes| bytes[28..36].fill(0))

    S53 a_snapshot_has_another_version on applied
    "n1 takes a snapshot up to 2@t1 that has version 3 (library 1) of the rules, but the log \
     has reached version 0 (library 1)"
    |stage| {
        // Only the first of some snapshots is restored.
        stage.freezes(1, |_| {});
        stage.freezes(1, |bytes| bytes[53] = 3);
    }

    S53 a_session_of_a_snapshot_was_used_at_another_time on in_session
    "n1 takes a snapshot up to 4@t1 whose sessions differ from those that result from the log \
     (for example in a limit, a last use or an executed request)"
    |stage| stage.freezes(1, |bytes| bytes[SESSION_USED] = 3)

    S27 a_node_fails_to_start_from_an_undamaged_disk
    "n1 fails to start from an undamaged disk: an error"
    |stage| {
        let (node, reason) = (NodeId(1), "an error");
        stage.observes(Observation::StartFailed { node, damaged: false, reason });
    }

    S34 a_node_stops_with_an_undamaged_disk
    "n1 stops although no fault justifies it: an error"
    |stage| {
        let (node, reason) = (NodeId(1), "an error");
        stage.observes(Observation::Stopped { node, justified: false, reason });
    }

    U1 a_reply_fails_the_workloads_model on applied
    "entry 3@t1: bad got [98, 97, 100]"
    |stage| {
        stage.proposes();
        stage.all_hold(&[1, 2, 3], &[written(3, 1, 1, b"bad")]);
        stage.commits(1, 3);
        stage.applies_these(1, &[written(3, 1, 1, b"bad")]);
    }

    U1 an_answer_fails_the_workloads_model on doubted
    "too many commands in the answer"
    |stage| {
        let op = stage.reads();
        stage.serves(op, 1, 2);
    }

    U1 a_state_fails_the_workloads_model on doubted
    "n1: too many commands in the state"
    |stage| stage.inspects(1, |_| {})
}

#[test]
fn a_snapshot_of_sessions_is_accepted() {
    let mut stage = in_session();
    stage.freezes(1, |_| {});
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_snapshot_that_a_node_adopts_may_lack_replies() {
    let mut stage = applied();
    let (node, index) = (NodeId(2), Index(2));
    stage.observes(Observation::Restored { node, index, state: None });
    stage.has_snapshot(2, id(2, 1), 3);
    stage.has_snapshot(1, id(2, 1), 1);
    stage.sends_snapshot_part(2, 3, 3);
    stage.has_snapshot(3, id(2, 1), 3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn snapshots_and_states_of_one_log_are_accepted() {
    let mut stage = applied();
    stage.observes(Observation::StartFailed { node: NodeId(5), damaged: true, reason: "no" });
    stage.observes(Observation::Stopped { node: NodeId(5), justified: true, reason: "its disk" });
    stage.has_snapshot(1, id(2, 1), 1);
    stage.freezes(1, |_| {});
    stage.inspects(1, |_| {});
    stage.installs(4, id(2, 1));
    stage.flushes(4);
    stage.changes_status(4, |status| {
        (status.last, status.durable) = (id(2, 1), Index(2));
        (status.committed, status.snapshot) = (Index(2), Index(2));
    });
    stage.restores(4, 1);
    stage.inspects(4, |_| {});
    stage.has_snapshot(2, id(1, 1), 7);
    stage.has_snapshot(4, id(2, 1), 1);
    stage.crashes(4);
    let snapshot = stage.snapshot(id(2, 1), 1);
    stage.starts_with(4, HardState::default(), 2, snapshot, &[]);
    assert_eq!(stage.violation(), None);
}
