//! Explanations of missing progress, and of what did not happen.

use quorate::raft::{MessageRejectReason, RejectReason, RoleName};
use quorate::types::{AppendOutcome, Body, EntryId, Index, ReadLevel, Tag};
use quorate_sim::explain::why_not_leader;
use quorate_sim::observe::OpId;
use quorate_sim::record::{EventKind, InputKind, Sent};
use quorate_sim::values::time::SimTime;

use super::{Stage, becomes_leader, entry, node, text};

#[test]
fn a_cluster_without_a_leader_is_explained() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, |now| now.role = RoleName::PreCandidate);
    let explanation = stage.explained("L2");
    assert!(explanation.cause.starts_with("no node wins an election"), "{}", text(&explanation));
}

#[test]
fn a_leader_that_does_not_commit_an_entry_on_a_quorum_is_explained() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    for id in [2, 3] {
        let submission = stage.writes(id, 1, &[entry(1, 1)]);
        stage.durable(id, submission, 1);
    }
    stage.takes(2, None, InputKind::Disk, |now| now.last = entry(1, 1));
    let (prev, entries, committed) = (EntryId::ZERO, Vec::new().into(), Index::ZERO);
    stage.sends(2, 3, 1, Body::AppendEntries { prev, entries, committed });
    // An event takes a millisecond, and the leader learns of the write within a second.
    (0..1_100).for_each(|_| _ = stage.takes(2, None, InputKind::Timeout, |_| {}));
    let explanation = stage.explained("L1");
    let cause = "n2 leads term t1 and does not commit entry 1@t1 of its own term, although it was \
                 durable on n2 and n3, a quorum of {n1 n2 n3}, at ";
    assert!(explanation.cause.starts_with(cause), "{}", text(&explanation));
    let unlearned = ", which n2 has not learned: it sent n3 its last AppendEntries at ";
    assert!(explanation.cause.contains(unlearned), "{}", text(&explanation));
}

#[test]
fn entries_after_a_rejected_index_are_named() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    let append = |stage: &mut Stage| {
        let (prev, entries, committed) = (entry(1, 4), Vec::new().into(), Index::ZERO);
        stage.sends(2, 3, 1, Body::AppendEntries { prev, entries, committed })
    };
    let mut sent = append(&mut stage);
    let mut again = None;
    for _ in 0..3 {
        stage.receives(3, sent, |_| {});
        let reason = MessageRejectReason::PrevMismatch;
        let message = "AppendEntries";
        stage.push(3, None, EventKind::MessageRejected { from: node(2), message, reason });
        let rejected = AppendOutcome::Rejected { prev: Index(4), hint: EntryId::ZERO };
        let reply = stage.sends(3, 2, 1, Body::AppendEntriesReply(rejected));
        stage.receives(2, reply, |now| (now.last, now.committed) = (entry(1, 4), Index(4)));
        sent = append(&mut stage);
        again = again.or(Some(sent));
    }
    let explanation = stage.explained_as("L5", "n3 has not applied index 4 within 9s");
    let named = "n2 sends n3 again an AppendEntries after 4, which n3 had rejected";
    assert!(explanation.cause.ends_with(named), "{}", text(&explanation));
    assert!(explanation.facts.iter().any(|fact| Some(fact.id) == again), "{}", text(&explanation));
}

#[test]
fn a_node_that_is_behind_and_its_missing_snapshot_are_explained() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    stage.takes(2, None, InputKind::Disk, |now| {
        (now.last, now.committed) = (entry(1, 3), Index(2));
    });
    for _ in 0..3 {
        let text = "gone of f36610bf".to_owned();
        let sent = Sent { to: node(3), message: None, text, delivery: None };
        stage.push(2, None, EventKind::Sent(Box::new(sent)));
    }
    let explanation = stage.explained_as("L5", "n3 has not applied index 2 within 9s");
    assert!(explanation.cause.starts_with("n3 waits for n2, the leader"), "{}", text(&explanation));
    assert!(
        text(&explanation).contains("n2 replies to n3 that it cannot send the snapshot"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn rejections_are_counted_by_their_reason() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        let reason = MessageRejectReason::LogBehind;
        stage.push(
            1,
            None,
            EventKind::MessageRejected { from: node(3), message: "RequestVote", reason },
        );
    }
    let end = SimTime(u64::MAX);
    let lines = why_not_leader(&stage.record, node(3), SimTime(u64::MAX - 1), end);
    assert!(lines[0].starts_with("nothing happens in this time: "), "{lines:?}");
    let lines = why_not_leader(&stage.record, node(3), SimTime(0), end);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert!(
        line.starts_with(
            "n1 rejected n3's RequestVote because its own log is more up to date (3 times"
        ),
        "{line}"
    );
    let others = why_not_leader(&stage.record, node(2), SimTime(0), end);
    assert_eq!(
        others,
        ["n2 requested no vote in this time: it was down or led already, its election \
             timeout did not expire, or it may not campaign (no vote, quarantine, vote lease or \
             stuck disk)"]
    );
}

#[test]
fn a_client_whose_command_every_node_rejects_is_named() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    stage.push(1, None, EventKind::Invoked { op: OpId(4), level: None, command: Box::default() });
    for (node, tag, reason) in [
        (2, 1, RejectReason::Transferring),
        (1, 2, RejectReason::NoLeader),
        (1, 3, RejectReason::NoLeader),
        (1, 4, RejectReason::NoLeader),
        (2, 5, RejectReason::Transferring),
    ] {
        let (op, tag) = (Some(OpId(4)), Tag(tag));
        let request = stage.push(node, None, EventKind::RequestReceived { client: 3, op, tag });
        let rejected = Some(reason);
        stage.push(node, Some(request), EventKind::RequestAnswered { tag, rejected });
    }
    let explanation = stage.explained("L1");
    let expected = format!(
        "n2 rejects operation 4, a command, 2 times so far: {}; the client has sent it 5 times \
         since the stabilization phase began",
        RejectReason::Transferring
    );
    assert_eq!(explanation.cause, expected, "{}", text(&explanation));
}

#[test]
fn a_read_that_a_node_never_answers_is_named() {
    let mut stage = Stage::new();
    stage.push(1, None, EventKind::Stabilized((1..=3).map(node).collect()));
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    let level = Some(ReadLevel::Linearizable);
    stage.push(1, None, EventKind::Invoked { op: OpId(4), level, command: Box::default() });
    let request = EventKind::RequestReceived { client: 3, op: Some(OpId(4)), tag: Tag(1) };
    stage.push(3, None, request);
    let explanation = stage.explained("L1");
    assert!(
        explanation.cause.starts_with("n3 receives operation 4, a read, and never answers"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_request_of_the_operator_that_a_node_never_answers_is_named() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_leader);
    let request = InputKind::OperatorRequest("transfer leadership to n3".to_owned());
    let taken = stage.takes(2, None, request, |_| {});
    let at = stage.record.event(taken).own_at;
    let explanation = stage.explained_as("L1", "n2 has not answered #9, 5s after the fault phase");
    let cause = format!(
        "n2 takes the operator's request at {at} s, and never answers it: transfer leadership to n3"
    );
    assert_eq!(explanation.cause, cause, "{}", text(&explanation));
}
