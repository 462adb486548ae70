//! Each rule of the contract, broken by a driver.

use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft};
use quorate::types::{
    Body, Command, Entry, EntryId, Index, Instant, Membership, Message, NodeId, Payload, Restored,
    Tag, Term, WriteId,
};

const START: Instant = Instant(1_000);

/// A node that is a cluster of its own, leads it, and has one command committed and handed over.
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
    raft.step(now, Input::Propose { tag, command: Command::from("a") }, &mut actions);
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
fn the_contract_kept_is_no_trouble() {
    let (mut raft, now) = lone();
    let actions = step(&mut raft, now, Input::Applied(Index(1)));
    let fetch = Action::Fetch {
        consumer: Consumer::Apply,
        first: Index(2),
        last: Index(2),
        bytes_max: Config::new(NodeId(1)).apply_bytes_max,
    };
    assert_eq!(actions, [fetch]);
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: vec![entry(2)] });
    step(&mut raft, now, Input::Applied(Index(2)));
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
fn time_goes_back() {
    let (mut raft, now) = lone();
    step(&mut raft, Instant(now.0 - 1), Input::Timeout);
}

#[test]
#[should_panic(expected = "contract: only a write that was asked for is persisted")]
fn a_write_never_asked_for_is_persisted() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Persisted(WriteId(4)));
}

#[test]
#[should_panic(expected = "contract: only what was handed over is applied")]
fn more_is_applied_than_was_handed_over() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(2)));
}

#[test]
#[should_panic(expected = "contract: what is applied stays applied")]
fn less_is_applied_than_before() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    step(&mut raft, now, Input::Applied(Index(0)));
}

#[test]
#[should_panic(expected = "contract: only what a fetch asked for is fetched")]
fn what_no_fetch_asked_for_is_fetched() {
    let (mut raft, now) = lone();
    let entries = vec![entry(1)];
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries });
}

#[test]
#[should_panic(expected = "contract: only what a fetch asked for is fetched")]
fn a_fetch_is_answered_twice() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    let fetched = Input::Fetched { consumer: Consumer::Apply, entries: vec![entry(2)] };
    step(&mut raft, now, fetched.clone());
    step(&mut raft, now, fetched);
}

#[test]
#[should_panic(expected = "contract: a fetch gives consecutive entries from the first one")]
fn a_fetch_gives_other_entries() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries: vec![entry(1)] });
}

#[test]
#[should_panic(expected = "contract: a fetch gives consecutive entries from the first one")]
fn a_fetch_gives_more_than_was_asked_for() {
    let (mut raft, now) = lone();
    step(&mut raft, now, Input::Applied(Index(1)));
    let entries = vec![entry(2), entry(3)];
    step(&mut raft, now, Input::Fetched { consumer: Consumer::Apply, entries });
}

#[test]
fn a_late_driver_is_no_trouble() {
    let (mut raft, now) = lone();
    let late = now.after(Duration::from_secs(86_400));
    let actions = step(&mut raft, late, Input::Timeout);
    assert_eq!(actions, []);
    let message = Message {
        from: NodeId(2),
        to: NodeId(1),
        term: Term(9),
        body: Body::RequestVote { last: EntryId::new(Term(9), Index(9)) },
    };
    step(&mut raft, late, Input::Message(message));
    raft.assert_invariants();
}
