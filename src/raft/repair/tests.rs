//! Steps of a repair that no script shows, because its disk never rejects right contents.

use alloc::vec;
use alloc::vec::Vec;

use crate::raft::{Action, Config, Input, Raft};
use crate::types::{
    Body, DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Instant, Membership,
    Message, NodeId, Payload, Restored, SnapshotMeta, Term,
};

/// Returns n1 with the entries 1 to `last`, all of them in memory.
fn node(voters: &[u64], last: u64) -> Raft {
    let membership = Membership::new(voters.iter().map(|id| NodeId(*id)));
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    let entry = |index| Entry { id: id(index), payload: Payload::Noop };
    let state = HardState::new(Term(1), None);
    let restored =
        Restored::with_log(state, Index(last), snapshot, (1..=last).map(entry).collect());
    Raft::new(Config::new(NodeId(1)), restored, 0, Instant::ZERO).expect("it is consistent")
}

fn id(index: u64) -> EntryId {
    EntryId::new(Term(1), Index(index))
}

fn damaged(index: u64) -> Input {
    Input::Damaged(vec![DamagedEntry { id: id(index), is_membership: false }])
}

/// Returns the writes and requests of the repair that the input causes at `now`.
fn step(raft: &mut Raft, now: Instant, input: Input) -> Vec<&'static str> {
    let mut actions = Vec::new();
    raft.step(now, input, &mut actions);
    raft.assert_invariants();
    let name = |action: &Action| match action {
        Action::Repair(_) => Some("Repair"),
        Action::Send(message) => Some(message.body.name()),
        _ => None,
    };
    actions.iter().filter_map(name).filter(|name| !name.contains("Vote")).collect()
}

#[test]
fn contents_in_memory_that_do_not_match_alternate_with_requests() {
    let mut raft = node(&[1, 2, 3], 4);
    let interval = Config::new(NodeId(1)).heartbeat_interval;
    let mut now = Instant::ZERO;
    assert_eq!(step(&mut raft, now, damaged(3)), ["Repair"]);
    for _ in 0..3 {
        assert_eq!(step(&mut raft, now, Input::Repaired(Vec::new())), [""; 0], "not at once");
        assert!(raft.deadline() <= now.after(interval));
        now = now.after(interval);
        assert_eq!(step(&mut raft, now, Input::Timeout), ["RequestEntries"]);
        now = now.after(interval);
        assert_eq!(step(&mut raft, now, Input::Timeout), ["Repair"]);
    }
    assert_eq!(step(&mut raft, now, Input::Repaired(vec![id(3)])), [""; 0]);
    assert_eq!(raft.log().damaged_entries(), 0);
}

#[test]
fn members_that_become_known_later_are_asked() {
    let membership = Membership::new([NodeId(1)]);
    let mut raft = node(&[1], 4);
    let interval = Config::new(NodeId(1)).heartbeat_interval;
    assert_eq!(step(&mut raft, Instant::ZERO, damaged(3)), ["Repair"]);
    assert_eq!(step(&mut raft, Instant::ZERO, Input::Repaired(Vec::new())), [""; 0]);
    let now = Instant::ZERO.after(interval);
    assert_eq!(step(&mut raft, now, Input::Timeout), [""; 0], "it knows no other member");
    let message = Message {
        from: NodeId(2),
        incarnation: Incarnation::default(),
        to: NodeId(1),
        term: Term(1),
        body: Body::AppendEntries {
            prev: id(4),
            entries: vec![Entry {
                id: id(5),
                payload: Payload::Membership(membership.with_learners([NodeId(2)])),
            }],
            committed: Index(4),
        },
    };
    step(&mut raft, now, Input::Message(message));
    assert!(raft.deadline() <= now.after(interval));
    let now = now.after(interval);
    assert_eq!(step(&mut raft, now, Input::Timeout), ["Repair"]);
    assert_eq!(step(&mut raft, now, Input::Repaired(Vec::new())), [""; 0]);
    assert_eq!(step(&mut raft, now.after(interval), Input::Timeout), ["RequestEntries"]);
}
