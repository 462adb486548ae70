//! Steps of a repair that no script in tests/specs shows, because the disk of a script never
//! rejects correct contents.

use alloc::vec;
use alloc::vec::Vec;

use crate::raft::{Action, Config, Input, Raft};
use crate::types::{
    Acknowledge, Body, DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Instant,
    Lineage, Membership, Message, NodeId, Payload, Restored, SnapshotMeta, Tag, Term, WriteId,
};

/// Returns the durable state of n1, whose log has the entries 1 to `last`.
fn restored(voters: &[u64], last: u64) -> Restored {
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership(voters));
    let entry = |index| Entry { id: id(index), payload: Payload::Noop };
    let state = HardState::new(Term(1), None);
    Restored::with_log(state, Index(last), snapshot, (1..=last).map(entry).collect())
}

/// Starts n1 with this state, and applies the intact entries.
fn start(restored: Restored) -> Raft {
    let config = Config::new(NodeId(1));
    let mut raft = Raft::new(config, restored, 0, Instant::ZERO).expect("it is consistent");
    step(&mut raft, Instant::ZERO, Input::Timeout);
    raft
}

/// Starts n1 with the entries 1 to `last`, all of them in memory.
fn node(voters: &[u64], last: u64) -> Raft {
    start(restored(voters, last))
}

/// Starts n1 with the entries 1 to 9, of which 3 and 4 are damaged. Entry 4 is a membership if
/// `hides_membership`.
fn damaged_node(hides_membership: bool) -> Raft {
    let mut restored = restored(&[1, 2, 3], 9);
    let place = |index, is_membership| DamagedEntry { id: id(index), is_membership };
    restored.damaged = vec![place(3, false), place(4, hides_membership)];
    restored.tail.drain(..4);
    start(restored)
}

fn membership(voters: &[u64]) -> Membership {
    Membership::new(voters.iter().map(|id| NodeId(*id)))
}

fn snapshot(last: u64, voters: &[u64]) -> SnapshotMeta {
    SnapshotMeta::empty(id(last), membership(voters))
}

fn message(from: u64, body: Body) -> Input {
    let (from, to, incarnation) = (NodeId(from), NodeId(1), Incarnation::default());
    Input::Message(Message { from, incarnation, to, term: Term(1), body })
}

fn reply(from: u64, entries: Vec<Entry>, snapshot: Option<SnapshotMeta>) -> Input {
    let snapshot = snapshot.map(Box::new);
    message(from, Body::RequestEntriesReply { entries: entries.into(), snapshot })
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
        Action::ReceiveSnapshot { .. } => Some("ReceiveSnapshot"),
        Action::AdoptSnapshot(_) => Some("AdoptSnapshot"),
        Action::Send(message) => Some(message.body.name()),
        _ => None,
    };
    actions.iter().filter_map(name).filter(|name| !name.contains("Vote")).collect()
}

#[test]
fn rejected_writes_of_contents_in_memory_alternate_with_requests() {
    let mut raft = node(&[1, 2, 3], 4);
    let interval = Config::new(NodeId(1)).heartbeat_interval;
    let mut now = Instant::ZERO;
    assert_eq!(step(&mut raft, now, damaged(3)), ["Repair"]);
    for _ in 0..3 {
        assert_eq!(step(&mut raft, now, Input::Repaired(Vec::new())), [""; 0], "not at once");
        assert!(raft.deadline() <= now.after(interval));
        now = now.after(interval);
        assert_eq!(step(&mut raft, now, Input::Timeout), ["RequestEntries"]);
        step(&mut raft, now, reply(2, Vec::new(), None));
        now = raft.deadline();
        assert_eq!(step(&mut raft, now, Input::Timeout), ["Repair"]);
    }
    assert_eq!(step(&mut raft, now, Input::Repaired(vec![id(3)])), [""; 0]);
    assert_eq!(raft.log().damaged_entries(), 0);
}

#[test]
fn requests_without_a_reply_become_rarer() {
    let mut raft = damaged_node(false);
    let interval = Config::new(NodeId(1)).heartbeat_interval;
    // The start requested the entries.
    let mut waits = Vec::new();
    let mut before = Instant::ZERO;
    while waits.len() < 6 {
        let now = raft.deadline();
        if step(&mut raft, now, Input::Timeout).contains(&"RequestEntries") {
            waits.push(now.since(before).as_nanos() / interval.as_nanos());
            before = now;
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 16]);
    step(&mut raft, before, reply(2, Vec::new(), None));
    let now = before.after(interval * 16);
    assert_eq!(step(&mut raft, now, Input::Timeout), ["RequestEntries"]);
    assert!(raft.deadline() <= now.after(interval), "a reply arrived");
}

/// Answers each of the next requests without any entry, and returns the times between them in
/// heartbeat intervals.
fn waits_between_failed_requests(raft: &mut Raft, count: usize) -> Vec<u128> {
    let interval = Config::new(NodeId(1)).heartbeat_interval.as_nanos();
    let (mut waits, mut before) = (Vec::new(), None);
    while waits.len() < count {
        let now = raft.deadline();
        if step(raft, now, Input::Timeout).contains(&"RequestEntries") {
            waits.extend(before.map(|before| now.since(before).as_nanos() / interval));
            before = Some(now);
            step(raft, now, reply(2, Vec::new(), None));
        }
    }
    waits
}

#[test]
fn an_entry_that_no_member_has_is_requested_less_and_less_often() {
    let mut raft = damaged_node(false);
    step(&mut raft, Instant::ZERO, reply(2, Vec::new(), None));
    let waits = waits_between_failed_requests(&mut raft, 10);
    assert_eq!(waits, [1, 2, 2, 4, 4, 8, 8, 16, 16, 16]);
    // A repaired entry shows that the rest may be found, too.
    let entry = Entry { id: id(3), payload: Payload::Noop };
    let now = raft.deadline();
    assert_eq!(step(&mut raft, now, reply(2, vec![entry], None)), ["Repair"]);
    assert_eq!(step(&mut raft, now, Input::Repaired(vec![id(3)])), ["RequestEntries"]);
    step(&mut raft, now, reply(2, Vec::new(), None));
    assert_eq!(waits_between_failed_requests(&mut raft, 3), [1, 2, 2]);
    // Another entry that is found damaged also makes the waits short again.
    let now = raft.deadline();
    assert_eq!(step(&mut raft, now, damaged(2)), [""; 0], "a request was sent just now");
    step(&mut raft, now, reply(2, Vec::new(), None));
    assert!(raft.deadline() <= now.after(Config::new(NodeId(1)).heartbeat_interval));
    assert_eq!(waits_between_failed_requests(&mut raft, 3), [1, 1, 1]);
}

#[test]
fn members_that_become_known_later_are_asked() {
    let mut raft = node(&[1], 4);
    let interval = Config::new(NodeId(1)).heartbeat_interval;
    assert_eq!(step(&mut raft, Instant::ZERO, damaged(3)), ["Repair"]);
    assert_eq!(step(&mut raft, Instant::ZERO, Input::Repaired(Vec::new())), [""; 0]);
    let now = Instant::ZERO.after(interval);
    assert_eq!(step(&mut raft, now, Input::Timeout), [""; 0], "it knows no other member");
    let next = membership(&[1]).with_learners([NodeId(2)]);
    let entries = vec![Entry { id: id(5), payload: Payload::Membership(next) }];
    let append = Body::AppendEntries { prev: id(4), entries: entries.into(), committed: Index(4) };
    step(&mut raft, now, message(2, append));
    assert!(raft.deadline() <= now.after(interval));
    let now = now.after(interval);
    assert_eq!(step(&mut raft, now, Input::Timeout), ["Repair"]);
    assert_eq!(step(&mut raft, now, Input::Repaired(Vec::new())), [""; 0]);
    assert_eq!(step(&mut raft, now.after(interval), Input::Timeout), ["RequestEntries"]);
}

#[test]
fn a_second_snapshot_waits_until_the_first_one_is_adopted() {
    let now = Instant::ZERO;
    let mut raft = damaged_node(false);
    let (first, second) = (snapshot(5, &[1, 2, 3]), snapshot(7, &[1, 2, 3]));
    let offers = |meta: &SnapshotMeta| reply(2, Vec::new(), Some(meta.clone()));
    assert_eq!(step(&mut raft, now, offers(&first)), ["ReceiveSnapshot"]);
    let received = |meta: &SnapshotMeta| Input::SnapshotReceived { meta: meta.clone() };
    assert_eq!(step(&mut raft, now, received(&first)), ["AdoptSnapshot"]);
    assert_eq!(step(&mut raft, now, offers(&second)), [""; 0]);
    assert_eq!(step(&mut raft, now, received(&second)), [""; 0]);
    step(&mut raft, now, Input::SnapshotTaken { meta: first, base: Index(0) });
    assert_eq!((raft.log().snapshot(), raft.log().damaged_entries()), (id(5), 0));
}

#[test]
fn a_snapshot_of_this_node_may_be_recorded_before_or_in_place_of_an_adopted_one() {
    let now = Instant::ZERO;
    for own in [2, 9] {
        let mut raft = node(&[1, 2, 3], 9);
        let last = raft.log().applying();
        step(&mut raft, now, Input::Applied(last));
        raft.common.journal.evict(0);
        assert_eq!(step(&mut raft, now, damaged(4)), ["RequestEntries"]);
        let meta = snapshot(5, &[1, 2, 3]);
        let received = Input::SnapshotReceived { meta: meta.clone() };
        assert_eq!(step(&mut raft, now, received), ["AdoptSnapshot"]);
        let taken = |meta| Input::SnapshotTaken { meta, base: Index(0) };
        step(&mut raft, now, taken(snapshot(own, &[1, 2, 3])));
        assert_eq!(raft.log().snapshot(), id(own));
        step(&mut raft, now, taken(meta));
        assert_eq!(raft.log().snapshot(), id(own.max(5)));
        assert_eq!(raft.log().damaged_entries(), 0);
        assert!(!raft.common.health.repair.is_adopting(raft.log()));
    }
}

#[test]
fn entries_that_an_adopted_snapshot_covers_are_not_truncated() {
    let now = Instant::ZERO;
    let mut restored = restored(&[1, 2, 3], 9);
    restored.committed = Index(0);
    restored.damaged = vec![DamagedEntry { id: id(3), is_membership: false }];
    restored.tail.drain(..4);
    let mut raft = start(restored);
    let meta = snapshot(5, &[1, 2, 3]);
    let received = Input::SnapshotReceived { meta: meta.clone() };
    assert_eq!(step(&mut raft, now, received), ["AdoptSnapshot"]);
    let other = Entry { id: EntryId::new(Term(2), Index(5)), payload: Payload::Noop };
    let body = Body::AppendEntries { prev: id(4), entries: [other].into(), committed: Index(0) };
    let (from, to, incarnation) = (NodeId(2), NodeId(1), Incarnation::default());
    let conflicting = Message { from, incarnation, to, term: Term(2), body };
    step(&mut raft, now, Input::Message(conflicting));
    step(&mut raft, now, Input::SnapshotTaken { meta, base: Index(0) });
    assert_eq!(raft.log().snapshot(), id(5));
}

#[test]
fn an_adopted_snapshot_answers_the_proposals_that_it_commits() {
    let now = Instant::ZERO;
    let mut raft = node(&[1, 2, 3], 1);
    let in_term_2 = |body| {
        let (from, to, incarnation) = (NodeId(2), NodeId(1), Incarnation::default());
        Input::Message(Message { from, incarnation, to, term: Term(2), body })
    };
    step(&mut raft, now, Input::Campaign);
    let pre_vote = Body::PreVoteReply { next_term: Term(2), granted: true, committed: Index(1) };
    step(&mut raft, now, message(2, pre_vote));
    step(&mut raft, now, Input::Persisted(WriteId(1)));
    let vote = Body::RequestVoteReply { granted: true, committed: Index(1) };
    step(&mut raft, now, in_term_2(vote));
    step(&mut raft, now, Input::propose(Tag(1), Acknowledge::Quorum, "x"));
    step(&mut raft, now, Input::Persisted(WriteId(3)));
    let last = EntryId::new(Term(2), Index(3));
    assert_eq!(raft.log().last(), last);
    step(&mut raft, now, Input::Damaged(vec![DamagedEntry { id: last, is_membership: false }]));
    let meta = SnapshotMeta::empty(last, membership(&[1, 2, 3]));
    let mut actions = Vec::new();
    raft.step(now, Input::SnapshotReceived { meta }, &mut actions);
    raft.assert_invariants();
    let committed =
        |action: &Action| matches!(action, Action::Committed { tag: Tag(1), id } if *id == last);
    assert!(actions.iter().any(committed), "{actions:?}");
}

#[test]
fn snapshots_from_nonmembers_and_with_other_memberships_are_rejected() {
    let now = Instant::ZERO;
    let mut raft = damaged_node(false);
    let meta = snapshot(5, &[1, 2, 3]);
    assert_eq!(step(&mut raft, now, reply(9, Vec::new(), Some(meta.clone()))), [""; 0]);
    let wrong = snapshot(5, &[1, 2, 9]);
    assert_eq!(step(&mut raft, now, reply(2, Vec::new(), Some(wrong.clone()))), [""; 0]);
    assert_eq!(step(&mut raft, now, Input::SnapshotReceived { meta: wrong.clone() }), [""; 0]);
    assert_eq!(step(&mut raft, now, reply(2, Vec::new(), Some(meta))), ["ReceiveSnapshot"]);
    let mut raft = damaged_node(true);
    let asked = step(&mut raft, now, reply(2, Vec::new(), Some(wrong)));
    assert_eq!(asked, ["ReceiveSnapshot"], "the membership may have changed");
}

#[test]
fn a_snapshot_of_a_diverged_log_is_not_adopted() {
    let now = Instant::ZERO;
    let mut restored = restored(&[1, 2, 3], 9);
    restored.committed = Index(0);
    restored.snapshot.membership =
        membership(&[1, 2, 3]).with_lineage(Lineage { by: NodeId(1), at: id(7) });
    restored.damaged = vec![DamagedEntry { id: id(3), is_membership: true }];
    restored.tail.drain(..4);
    let mut raft = start(restored);
    let meta = snapshot(5, &[1, 2, 3]);
    assert_eq!(step(&mut raft, now, reply(2, Vec::new(), Some(meta.clone()))), [""; 0]);
    assert_eq!(step(&mut raft, now, Input::SnapshotReceived { meta }), [""; 0]);
}

#[test]
fn a_membership_that_the_disk_did_not_take_is_not_used() {
    let now = Instant::ZERO;
    let mut raft = damaged_node(true);
    let content = |voters: &[u64]| {
        vec![Entry { id: id(4), payload: Payload::Membership(membership(voters)) }]
    };
    let noop = vec![Entry { id: id(3), payload: Payload::Noop }];
    assert_eq!(step(&mut raft, now, reply(2, content(&[1, 9]), None)), ["Repair"]);
    step(&mut raft, now, Input::Repaired(Vec::new()));
    let both = [noop, content(&[1, 9])].concat();
    assert_eq!(step(&mut raft, now, reply(2, both, None)), ["Repair"]);
    // The disk had the right content of entry 4 from before, and lacked entry 3 in its sector.
    step(&mut raft, now, Input::Repaired(vec![id(3), id(4)]));
    assert_eq!(*raft.membership(), membership(&[1, 2, 3]));
    assert!(raft.log().has_unknown_membership());
    assert_eq!(step(&mut raft, now, reply(2, content(&[1, 2, 4]), None)), ["Repair"]);
    step(&mut raft, now, Input::Repaired(vec![id(4)]));
    assert_eq!(*raft.membership(), membership(&[1, 2, 4]));
    assert_eq!(raft.log().damaged_entries(), 0);
}
