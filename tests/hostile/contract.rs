//! Drivers that break a rule of the contract, and late or odd ones that keep it.

use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft};
use quorate::types::{
    Acknowledge, AppendOutcome, Body, Command, Entry, EntryId, HardState, Incarnation, Index,
    Instant, Membership, Message, NodeId, Payload, Restored, SnapshotMeta, Tag, Term, WriteId,
};

const START: Instant = Instant(1_000);

/// Returns the leader of a cluster of one node, with one command committed and to be applied.
fn lone() -> (Raft, Instant) {
    let mut config = Config::new(NodeId(1));
    config.tail_bytes_max = 1;
    let restored = Restored::fresh(Membership::new([NodeId(1)]));
    let mut raft = Raft::new(config, restored, 7, START).expect("a node");
    let mut actions = Vec::new();
    let now = raft.deadline();
    raft.step(now, Input::Campaign, &mut actions);
    let tag = Tag(1);
    for write in 1..=2 {
        raft.step(now, Input::Persisted(WriteId(write)), &mut actions);
    }
    raft.step(now, Input::propose(tag, Acknowledge::Quorum, Command::from("a")), &mut actions);
    raft.step(now, Input::Persisted(WriteId(3)), &mut actions);
    assert!(actions.iter().any(|action| matches!(action, Action::Apply(_))), "{actions:?}");
    assert_eq!(raft.status().committed, Index(2));
    (raft, now)
}

fn step(raft: &mut Raft, now: Instant, input: Input) -> Vec<Action> {
    let mut actions = Vec::new();
    raft.step(now, input, &mut actions);
    actions
}

#[test]
fn a_driver_that_keeps_the_contract_causes_no_panic() {
    let (mut raft, now) = lone();
    let actions = step(&mut raft, now, Input::Applied(Index(1)));
    let fetch = Action::Fetch {
        consumer: Consumer::Apply,
        first: Index(2),
        last: Index(2),
        bytes_max: Config::new(NodeId(1)).apply_bytes_max,
    };
    assert_eq!(actions, [fetch]);
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: [entry(2)].into() });
    step(&mut raft, now, Input::Applied(Index(2)));
    // A completion may be repeated, or arrive after that of a later write.
    step(&mut raft, now, Input::Persisted(WriteId(3)));
    step(&mut raft, now, Input::Persisted(WriteId(1)));
    assert_eq!(raft.status().applied, Index(2));
}

fn entry(index: u64) -> Entry {
    let payload = Payload::Command(Command::from("a"));
    Entry { id: EntryId::new(Term(1), Index(index)), payload }
}

#[test]
#[should_panic(expected = "contract: now never goes back")]
fn the_time_decreases() {
    let (mut raft, now) = lone();
    step(&mut raft, Instant(now.0 - 1), Input::Timeout);
}

#[test]
#[should_panic(expected = "contract: only a submitted write is persisted")]
fn a_write_that_was_not_submitted_is_persisted() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Persisted(WriteId(4)));
}

#[test]
#[should_panic(expected = "contract: only entries handed over are applied")]
fn an_entry_is_applied_before_its_batch() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(2)));
}

#[test]
#[should_panic(expected = "contract: the applied index never goes back")]
fn the_applied_index_decreases() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    step(&mut raft, now, Input::Applied(Index(0)));
}

#[test]
#[should_panic(expected = "contract: only a requested fetch is answered")]
fn entries_arrive_without_a_fetch() {
    let (mut raft, now) = lone();
    let entries = vec![entry(1)];
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: entries.into() });
}

#[test]
#[should_panic(expected = "contract: only a requested fetch is answered")]
fn a_fetch_completes_twice() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    let fetched = Input::Fetched { consumer: Consumer::Apply, entries: [entry(2)].into() };
    step(&mut raft, now, fetched.clone());
    step(&mut raft, now, fetched);
}

#[test]
#[should_panic(expected = "contract: a fetch returns consecutive entries from the first index")]
fn a_fetch_returns_other_entries() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: [entry(1)].into() });
}

#[test]
#[should_panic(expected = "contract: a fetch returns consecutive entries from the first index")]
fn a_fetch_returns_more_than_requested() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    let entries = vec![entry(2), entry(3)];
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: entries.into() });
}

/// Returns the single node of [`lone`] with both of its entries applied.
fn applied() -> (Raft, Instant) {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: [entry(2)].into() });
    step(&mut raft, now, Input::Applied(Index(2)));
    (raft, now)
}

fn taken(term: u64, last: u64, base: u64) -> Input {
    taken_by(&[1], term, last, base)
}

/// Returns the report of a snapshot with a membership of these voters.
fn taken_by(voters: &[u64], term: u64, last: u64, base: u64) -> Input {
    let last = EntryId::new(Term(term), Index(last));
    let meta = SnapshotMeta::empty(last, Membership::new(voters.iter().copied().map(NodeId)));
    Input::SnapshotTaken { meta, base: Index(base) }
}

#[test]
fn snapshots_within_the_contract_cause_no_panic() {
    let (mut raft, now) = applied();
    for (last, base) in [(1, 0), (2, 1), (2, 2), (2, 0), (1, 1)] {
        assert_eq!(step(&mut raft, now, taken(1, last, base)), []);
    }
    assert_eq!((raft.status().snapshot, raft.status().base), (Index(2), Index(2)));
}

#[test]
#[should_panic(expected = "contract: a snapshot covers applied entries only")]
fn a_snapshot_covers_an_unapplied_entry() {
    let (mut raft, now) = lone();
    step(&mut raft, now, taken(1, 2, 0));
}

#[test]
#[should_panic(expected = "contract: a snapshot ends with an entry of the log")]
fn a_snapshot_is_taken_of_another_log() {
    let (mut raft, now) = applied();
    step(&mut raft, now, taken(9, 2, 0));
}

#[test]
#[should_panic(expected = "contract: a snapshot has the membership at its index")]
fn a_snapshot_is_taken_with_another_membership() {
    let (mut raft, now) = applied();
    step(&mut raft, now, taken_by(&[1, 2], 1, 2, 0));
}

#[test]
#[should_panic(expected = "contract: only entries that a snapshot covers are compacted")]
fn the_log_is_compacted_beyond_the_snapshot() {
    let (mut raft, now) = applied();
    step(&mut raft, now, taken(1, 1, 2));
}

#[test]
#[should_panic(expected = "contract: only a requested snapshot is received")]
fn a_snapshot_arrives_that_was_not_requested() {
    let restored = Restored::fresh(Membership::new([NodeId(1), NodeId(2)]));
    let mut raft = Raft::new(Config::new(NodeId(1)), restored, 7, START).expect("a node");
    let last = EntryId::new(Term(1), Index(1));
    let meta = SnapshotMeta::empty(last, Membership::new([NodeId(1)]));
    step(&mut raft, START, Input::SnapshotReceived { meta });
}

/// Returns a leader of three that is fetching the entries for node 2 from entry 2 on.
fn fetching() -> Raft {
    let mut config = Config::new(NodeId(1));
    config.pre_vote = false;
    let voters = Membership::new([NodeId(1), NodeId(2), NodeId(3)]);
    let entries = (1..=4).map(entry).collect();
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, voters);
    let hard_state = HardState::new(Term(1), None);
    let mut restored = Restored::with_log(hard_state, Index(4), snapshot, entries);
    restored.tail.clear();
    restored.applied = Index(4);
    let mut raft = Raft::new(config, restored, 7, START).expect("a node");
    step(&mut raft, START, Input::Campaign);
    step(&mut raft, START, Input::Persisted(WriteId(1)));
    receive(&mut raft, 3, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    let hint = EntryId::new(Term(1), Index(1));
    let outcome = AppendOutcome::Rejected { prev: Index(4), hint };
    let actions = receive(&mut raft, 2, Body::AppendEntriesReply(outcome));
    let fetches = |action: &Action| matches!(action, Action::Fetch { first: Index(2), .. });
    assert!(actions.iter().any(fetches), "{actions:?}");
    raft
}

fn receive(raft: &mut Raft, from: u64, body: Body) -> Vec<Action> {
    let message = Message {
        from: NodeId(from),
        incarnation: Incarnation::default(),
        to: NodeId(1),
        term: Term(2),
        body,
    };
    step(raft, START, Input::Message(message))
}

fn sends(actions: &[Action], name: &str) -> usize {
    let named = |action: &&Action| match action {
        Action::Send(message) => message.body.name() == name,
        _ => false,
    };
    actions.iter().filter(named).count()
}

#[test]
fn an_empty_fetch_sends_no_append() {
    let mut raft = fetching();
    let consumer = Consumer::Peer(NodeId(2));
    let actions = step(&mut raft, START, Input::Fetched { consumer, entries: [].into() });
    assert_eq!(sends(&actions, "AppendEntries"), 0, "{actions:?}");
    let entries = (2..=4).map(entry).collect();
    let actions = step(&mut raft, START, Input::Fetched { consumer, entries });
    assert_eq!(sends(&actions, "AppendEntries"), 1, "{actions:?}");
}

#[test]
fn entries_compacted_during_a_fetch_are_not_sent() {
    for answer in [Vec::new(), (2..=4).map(entry).collect()] {
        let mut raft = fetching();
        let actions = step(&mut raft, START, taken_by(&[1, 2, 3], 1, 4, 3));
        assert_eq!(sends(&actions, "InstallSnapshot"), 1, "{actions:?}");
        let consumer = Consumer::Peer(NodeId(2));
        let actions = step(&mut raft, START, Input::Fetched { consumer, entries: answer.into() });
        assert_eq!(actions, []);
    }
}

#[test]
fn a_late_driver_causes_no_panic() {
    let (mut raft, now) = lone();
    let late = now.after(Duration::from_secs(86_400));
    let actions = step(&mut raft, late, Input::Timeout);
    assert_eq!(actions, []);
    let message = Message {
        from: NodeId(2),
        incarnation: Incarnation::default(),
        to: NodeId(1),
        term: Term(9),
        body: Body::RequestVote { last: EntryId::new(Term(9), Index(9)), transfer: false },
    };
    step(&mut raft, late, Input::Message(message));
    raft.assert_invariants();
}
