//! Tests of applying entries, and of snapshots.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::slice;

use super::*;
use crate::types::{Command, SessionBounds, Term};

mod bounds;
mod owners;
mod versions;

const LIMITS: SessionLimits = SessionLimits { window: 3, replies_bytes_max: 10 };
/// The bounds of every machine here: two sessions of one principal, and four of all.
const BOUNDS: SessionBounds =
    SessionBounds { sessions_max: 4, sessions_per_principal_max: 2, ..SessionBounds::DEFAULT };

/// A state machine that appends the text of each command. It replies with the length of the text,
/// and the command.
#[derive(Clone, Debug, Default)]
struct Notes {
    text: Vec<u8>,
    /// The index of the last command in the text, for a state machine with durable state.
    applied: Option<Index>,
    rejects: Cell<bool>,
}

impl StateMachine for Notes {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.text.extend(command);
        if let Some(applied) = &mut self.applied {
            assert!(*applied < index, "a durable state machine gets each command once");
            *applied = index;
        }
        let mut reply = self.text.len().to_string().into_bytes();
        reply.extend(command);
        reply
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        [&self.text, query].concat()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.text.clone()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        if self.rejects.get() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.text.clear();
        snapshot.read_to_end(&mut self.text).map(|_| ())
    }

    fn applied(&self) -> Option<Index> {
        self.applied
    }
}

fn entry(index: u64, payload: Payload) -> Entry {
    Entry { id: EntryId::new(Term(1), Index(index)), payload }
}

/// Returns entries with consecutive indices from `first` on.
fn log(first: u64, requests: &[Request<'_>]) -> Vec<Entry> {
    log_of(Proposer::Unnamed, first, requests)
}

/// Returns the same entries on behalf of `proposer`.
fn log_of(proposer: Proposer<'_>, first: u64, requests: &[Request<'_>]) -> Vec<Entry> {
    let commands = requests.iter().map(|request| Payload::Command(request.encode_for(proposer)));
    (first..).zip(commands).map(|(index, command)| entry(index, command)).collect()
}

fn register(nonce: u128) -> Request<'static> {
    Request::Register { nonce: Nonce(nonce), limits: LIMITS }
}

fn request(session: u64, sequence: u64, acknowledged: u64, command: &str) -> Request<'_> {
    Request::InSession {
        session: SessionId(Index(session)),
        sequence: Sequence(sequence),
        acknowledged: Sequence(acknowledged),
        command: command.as_bytes(),
    }
}

fn reply(text: &str) -> Outcome {
    Outcome::Reply(Arc::from(text.as_bytes()))
}

fn registered(session: u64) -> Outcome {
    Outcome::Registered(SessionId(Index(session)))
}

/// Returns a machine before the first entry.
fn empty() -> Machine<Notes> {
    let mut machine = Machine::new(Notes::default());
    machine.sessions = Sessions::within(BOUNDS);
    machine
}

/// Returns a machine that has applied `requests` from index 1 on, and their outcomes.
fn after(requests: &[Request<'_>]) -> (Machine<Notes>, Vec<Outcome>) {
    let mut machine = empty();
    let outcomes = machine.apply(&log(1, requests));
    (machine, outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn bytes_of(machine: &Machine<Notes>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frozen = machine.snapshot().expect("the machine is caught up");
    assert_eq!(frozen.last(), machine.applied());
    frozen.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_plain_command_is_executed_every_time() {
    let (machine, outcomes) = after(&[Request::Plain(b"a"), Request::Plain(b"a")]);
    assert_eq!(outcomes, [reply("1a"), reply("2a")]);
    assert_eq!(machine.query(b"?"), b"aa?");
}

#[test]
fn an_entry_without_a_command_has_no_outcome_and_invalid_bytes_are_malformed() {
    let mut machine = empty();
    let odd = Payload::Command(Command::from("hello"));
    let outcomes = machine.apply(&[entry(1, Payload::Noop), entry(2, odd)]);
    assert_eq!(outcomes, [(Index(2), Outcome::Malformed)]);
    assert_eq!(machine.applied().index, Index(2));
    assert_eq!(machine.query(b""), b"");
}

#[test]
fn a_retry_gets_the_first_reply() {
    let (machine, outcomes) = after(&[register(7), request(1, 1, 1, "a"), request(1, 1, 1, "a")]);
    assert_eq!(outcomes, [registered(1), reply("1a"), reply("1a")]);
    assert_eq!(machine.query(b""), b"a");
}

#[test]
fn pipelined_requests_in_any_order_are_each_executed_once() {
    let requests =
        [register(7), request(1, 3, 1, "c"), request(1, 1, 1, "a"), request(1, 3, 1, "c")];
    let more = [request(1, 2, 1, "b"), request(1, 1, 1, "a"), request(1, 2, 1, "b")];
    let (_, outcomes) = after(&[&requests[..], &more].concat());
    let first = [registered(1), reply("1c"), reply("2a"), reply("1c")];
    assert_eq!(outcomes, [&first[..], &[reply("3b"), reply("2a"), reply("3b")]].concat());
}

#[test]
fn requests_below_the_acknowledged_number_are_never_executed() {
    let requests = [register(7), request(1, 1, 1, "a"), request(1, 3, 3, "c")];
    // The second request was never executed, and will not be.
    let more = [request(1, 1, 1, "a"), request(1, 2, 1, "b"), request(1, 3, 1, "c")];
    let (machine, outcomes) = after(&[&requests[..], &more].concat());
    let expired = Outcome::SessionExpired;
    assert_eq!(outcomes[3..], [expired.clone(), expired, reply("2c")]);
    assert_eq!(machine.query(b""), b"ac");
}

#[test]
fn a_request_beyond_the_window_is_not_executed_until_there_is_room() {
    let (machine, outcomes) =
        after(&[register(7), request(1, 4, 1, "d"), request(1, 3, 1, "c"), request(1, 4, 2, "d")]);
    assert_eq!(outcomes[1..], [Outcome::OutsideWindow, reply("1c"), reply("2d")]);
    assert_eq!(machine.query(b""), b"cd");
}

#[test]
fn one_nonce_opens_one_session() {
    let (_, outcomes) = after(&[register(7), register(8), register(7)]);
    assert_eq!(outcomes, [registered(1), registered(2), registered(1)]);
}

#[test]
fn the_session_used_least_recently_expires() {
    let requests = [register(7), register(8), request(1, 1, 1, "a"), register(9)];
    let more = [request(2, 1, 1, "b"), request(1, 1, 1, "a"), request(4, 1, 1, "c"), register(8)];
    let (_, outcomes) = after(&[&requests[..], &more].concat());
    assert_eq!(outcomes[4..7], [Outcome::SessionExpired, reply("1a"), reply("2c")]);
    assert_eq!(outcomes[7], registered(8), "its nonce expired with it");
}

#[test]
fn replies_beyond_the_limit_are_dropped_and_never_recomputed() {
    // The replies are "4aaaa", "8bbbb" and "12cccc": 16 bytes, with room for 10.
    let requests =
        [register(7), request(1, 1, 1, "aaaa"), request(1, 2, 1, "bbbb"), request(1, 1, 1, "aaaa")];
    let more = [request(1, 3, 1, "cccc"), request(1, 1, 1, "aaaa"), request(1, 2, 1, "bbbb")];
    let (mut machine, outcomes) = after(&[&requests[..], &more].concat());
    assert_eq!(outcomes[3], reply("4aaaa"), "ten bytes fit");
    assert_eq!(outcomes[5..], [Outcome::SessionExpired, Outcome::SessionExpired]);
    assert_eq!(machine.query(b""), b"aaaabbbbcccc");
    // A reply larger than the limit does not displace the others.
    let large =
        log(8, &[request(1, 4, 3, "dddddddddd"), request(1, 4, 3, ""), request(1, 3, 3, "cccc")]);
    let outcomes = machine.apply(&large);
    assert_eq!(outcomes[0].1, reply("22dddddddddd"));
    assert_eq!(outcomes[1].1, Outcome::SessionExpired);
    assert_eq!(outcomes[2].1, reply("12cccc"));
}

#[test]
#[should_panic(expected = "entries are consecutive")]
fn a_gap_between_entries_panics() {
    let (mut machine, _) = after(&[register(7)]);
    machine.apply(&log(3, &[register(8)]));
}

/// Returns a machine with two sessions, one of which has a dropped reply.
fn busy() -> Machine<Notes> {
    let requests = [register(7), request(1, 1, 1, "a"), request(1, 3, 1, "c"), register(8)];
    let more = [request(4, 1, 1, "dddddddddd"), Request::Plain(b"x")];
    after(&[&requests[..], &more].concat()).0
}

#[test]
fn a_snapshot_restores_the_whole_state() {
    let first = busy();
    let bytes = bytes_of(&first);
    let mut second = empty();
    second.apply(&log(1, &[register(99), Request::Plain(b"other")]));
    second.restore(first.applied(), &mut &bytes[..]).unwrap();
    assert_eq!(bytes_of(&second), bytes);
    assert_eq!(second.digest().unwrap(), first.digest().unwrap());
    assert_eq!(second.results(), first.results());
    let mut both = [first, second];
    let rest = [
        request(1, 3, 1, "c"),
        request(4, 1, 1, "d"),
        register(8),
        register(10),
        request(1, 4, 4, ""),
    ];
    let outcomes = both.each_mut().map(|machine| machine.apply(&log(7, &rest)));
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(bytes_of(&both[0]), bytes_of(&both[1]));
}

#[test]
fn the_encoding_is_that_of_the_format_document() {
    let (machine, _) = after(&[register(7), request(1, 1, 1, "a"), request(1, 3, 1, "0123456789")]);
    let bytes = bytes_of(&machine);
    let long = |value: u64| value.to_le_bytes().to_vec();
    let short = |value: u32| value.to_le_bytes().to_vec();
    let results = machine.results().expect("all outcomes are known");
    let expected = [
        [b"quorstat".to_vec(), short(2)].concat(),
        [long(1), long(3), long(3), vec![1], results.0.to_vec()].concat(),
        [short(0), short(1)].concat(),
        [short(4), short(2), short(1024), short(65536), short(262_144), short(4 << 20)].concat(),
        [long(16 << 20), long(64 << 20), short(1)].concat(),
        [long(1), vec![0], 7u128.to_le_bytes().to_vec(), short(3), short(10)].concat(),
        [long(3), long(1), short(2)].concat(),
        [long(1), short(2), b"1a".to_vec()].concat(),
        [long(3), short(u32::MAX)].concat(),
        b"a0123456789".to_vec(),
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(results.to_string(), "31d34c568a250aefa2fc6d0579c02a06");
}

#[test]
fn later_commands_do_not_change_a_snapshot() {
    let mut machine = busy();
    let mut frozen = machine.snapshot().unwrap();
    let expected = bytes_of(&machine);
    machine.apply(&log(7, &[request(1, 4, 4, "later"), register(9)]));
    let mut bytes = Vec::new();
    frozen.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

#[test]
fn a_snapshot_may_be_read_on_another_thread() {
    let machine = busy();
    let frozen = machine.snapshot().unwrap();
    let reader = std::thread::spawn(move || {
        let mut frozen = frozen;
        let mut bytes = Vec::new();
        frozen.read_to_end(&mut bytes).map(|_| bytes)
    });
    assert_eq!(reader.join().expect("reading does not panic").unwrap(), bytes_of(&machine));
}

#[test]
fn a_truncated_snapshot_leaves_the_machine_unchanged() {
    let bytes = bytes_of(&busy());
    let front = bytes.len() - busy().user().text.len();
    let last = busy().applied();
    for length in 0..front {
        let mut machine = after(&[Request::Plain(b"kept")]).0;
        let error = machine.restore(last, &mut &bytes[..length]).expect_err("it is truncated");
        assert!(matches!(error, RestoreError::Read(_)), "{length} bytes: {error}");
        assert_eq!(machine.apply(&log(2, &[Request::Plain(b"!")])), [(Index(2), reply("5!"))]);
    }
}

/// Asserts that the machine is restored from its own snapshot.
fn assert_round_trips(machine: &Machine<Notes>, bit: usize) {
    let bytes = bytes_of(machine);
    let mut again = empty();
    let restored = again.restore(machine.applied(), &mut &bytes[..]);
    assert!(restored.is_ok(), "bit {bit}: {restored:?}");
    assert_eq!(bytes_of(&again), bytes, "bit {bit}");
}

#[test]
fn a_flipped_bit_is_rejected_or_gives_a_valid_machine() {
    let bytes = bytes_of(&busy());
    let last = busy().applied();
    let mut rejected = 0;
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let mut machine = empty();
        match machine.restore(last, &mut &forged[..]) {
            Err(_) => rejected += 1,
            Ok(()) => {
                assert_round_trips(&machine, bit);
                machine.apply(&log(7, &[register(8), request(1, 4, 4, "e"), register(11)]));
                assert_round_trips(&machine, bit);
            }
        }
    }
    assert!(rejected > 400, "only {rejected} were rejected");
}

#[test]
fn errors_in_a_snapshot_are_named() {
    let bytes = bytes_of(&busy());
    let last = busy().applied();
    let restore = |at: usize, value: u8| {
        let mut forged = bytes.clone();
        forged[at] = value;
        empty().restore(last, &mut &forged[..]).unwrap_err().to_string()
    };
    assert_eq!(restore(0, b'x'), "these bytes are not a snapshot");
    assert_eq!(restore(8, 9), "the snapshot has version 9, but this program supports 2");
    assert_eq!(restore(20, 9), "the snapshot ends at entry 9@t1, not at 6@t1");
    let invalid = |error: &str| format!("the snapshot is invalid: {error}");
    assert_eq!(restore(36, 2), invalid("the results hash is inconsistent"));
    let bound = "the sessions of a principal must be at least 1, and at most those of all";
    assert_eq!(restore(65, 0), invalid(bound));
    assert_eq!(restore(65, 1), invalid("more sessions than the bounds allow"));
}

#[test]
fn a_reply_length_beyond_the_end_of_a_snapshot_is_a_read_error() {
    const LARGE: u32 = BOUNDS.replies_bytes_per_session_max;
    let (machine, _) = after(&[
        Request::Register {
            nonce: Nonce(1),
            limits: SessionLimits { replies_bytes_max: LARGE, ..LIMITS },
        },
        request(1, 1, 1, "a"),
    ]);
    let mut bytes = bytes_of(&machine);
    let length_at = bytes.len() - b"1a".len() - b"a".len() - 4;
    bytes[length_at..length_at + 4].copy_from_slice(&LARGE.to_le_bytes());
    let error = empty().restore(machine.applied(), &mut &bytes[..]);
    assert!(matches!(error, Err(RestoreError::Read(_))), "{error:?}");
}

#[test]
fn a_machine_whose_restore_failed_applies_nothing_until_a_restore_succeeds() {
    let first = busy();
    let bytes = bytes_of(&first);
    let mut second = empty();
    second.user().rejects.set(true);
    let error =
        second.restore(first.applied(), &mut &bytes[..]).expect_err("the state machine rejects it");
    assert!(matches!(error, RestoreError::User(_)));
    let mut broken = second.clone();
    let applies = std::panic::AssertUnwindSafe(|| broken.apply(&log(1, &[register(1)])));
    assert!(std::panic::catch_unwind(applies).is_err(), "an invalid machine applies nothing");
    second.user().rejects.set(false);
    second.restore(first.applied(), &mut &bytes[..]).unwrap();
    assert_eq!(bytes_of(&second), bytes);
}

/// Returns a machine before a restart, and the one after it, whose user's state is durable and
/// which was restored from the snapshot at entry 2.
fn restarted(requests: &[Request<'_>]) -> (Machine<Notes>, Machine<Notes>) {
    let durable = Notes { applied: Some(Index::ZERO), ..Notes::default() };
    let mut before = Machine::new(durable);
    before.apply(&log(1, &requests[..2]));
    let bytes = bytes_of(&before);
    let at = before.applied();
    before.apply(&log(3, &requests[2..]));
    let mut machine = Machine::new(before.user().clone());
    machine.restore(at, &mut &bytes[..]).unwrap();
    (before, machine)
}

#[test]
fn a_durable_state_machine_gets_no_command_twice() {
    let requests =
        [register(7), request(1, 1, 1, "a"), request(1, 2, 2, "b"), Request::Plain(b"c")];
    let (before, mut machine) = restarted(&requests);
    assert_eq!(machine.applied().index, Index(2));
    assert!(machine.snapshot().is_none(), "the sessions are behind");
    assert_eq!(machine.digest().unwrap(), None);
    assert_eq!(machine.apply(&log(3, &requests[2..])), []);
    assert_eq!(machine.query(b""), b"abc");
    assert_eq!(machine.digest().unwrap(), before.digest().unwrap());
    assert_eq!(machine.results(), None, "some replies are unknown");

    let more = log(5, &[request(1, 2, 2, "b"), request(1, 3, 2, "d"), request(1, 3, 2, "d")]);
    let outcomes = machine.apply(&more).into_iter().map(|(_, outcome)| outcome);
    let expected = [Outcome::SessionExpired, reply("4d"), reply("4d")];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    let mut before = before;
    before.apply(&more);
    assert_eq!(machine.digest().unwrap(), before.digest().unwrap());
}

#[test]
fn a_durable_state_machine_keeps_a_state_that_is_as_late_as_the_snapshot() {
    let requests = [Request::Plain(b"a"), register(7), register(8)];
    let (_, machine) = restarted(&requests);
    machine.user().rejects.set(true);
    let mut again = Machine::new(machine.user().clone());
    let bytes = bytes_of(&machine);
    again.restore(machine.applied(), &mut &bytes[..]).unwrap();
    assert_eq!(again.results(), None, "the state that is kept may have diverged");
    assert_eq!(bytes_of(&again), bytes);
}

#[test]
fn a_durable_state_machine_is_restored_from_a_later_snapshot() {
    let (later, _) = after(&[Request::Plain(b"a"), Request::Plain(b"b")]);
    let durable = Notes { text: b"a".to_vec(), applied: Some(Index(1)), ..Notes::default() };
    let mut machine = Machine::new(durable);
    machine.restore(later.applied(), &mut &bytes_of(&later)[..]).unwrap();
    assert_eq!(machine.query(b""), b"ab");
}

/// A state machine with durable state: the indices of the commands that it has executed.
#[derive(Clone, Debug, Default)]
struct Indices(Vec<u64>);

impl StateMachine for Indices {
    fn apply(&mut self, index: Index, _: &[u8]) -> Vec<u8> {
        self.0.push(index.0);
        Vec::new()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|index| index.to_le_bytes()).collect();
        Box::new(Cursor::new(bytes))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let indices = bytes.chunks_exact(8).map(|index| index.try_into().expect("eight bytes"));
        self.0 = indices.map(u64::from_le_bytes).collect();
        Ok(())
    }

    fn applied(&self) -> Option<Index> {
        Some(self.0.last().map_or(Index::ZERO, |last| Index(*last)))
    }
}

/// Asserts that `machine`, restored from the snapshot at entry 3 of a log of five commands,
/// executes the last two of them, and that their outcomes are known.
fn assert_executes_the_rest(mut machine: Machine<Indices>) {
    let commands = log(1, &b"abcde".each_ref().map(|byte| Request::Plain(slice::from_ref(byte))));
    let mut before = Machine::new(Indices::default());
    before.apply(&commands[..3]);
    let mut snapshot = before.snapshot().expect("it is caught up");
    machine.restore(before.applied(), &mut snapshot).unwrap();
    assert_eq!(machine.user().0, [1, 2, 3]);
    assert!(machine.snapshot().is_some(), "it is caught up");
    let outcomes = machine.apply(&commands[3..]);
    assert_eq!(outcomes, [4, 5].map(|index| (Index(index), reply(""))));
    assert_eq!(machine.user().0, [1, 2, 3, 4, 5]);
    before.apply(&commands[3..]);
    assert_eq!((machine.results(), before.results().is_some()), (before.results(), true));
}

#[test]
fn a_restored_state_executes_every_command_after_the_snapshot() {
    assert_executes_the_rest(Machine::new(Indices::default()));
    assert_executes_the_rest(Machine::new(Indices(vec![1])));
}

#[test]
fn a_discarded_state_executes_the_commands_after_the_snapshot_again() {
    let mut machine = Machine::new(Indices(vec![1, 2, 3, 4, 5]));
    machine.discard_state();
    assert_executes_the_rest(machine);
}

#[test]
#[should_panic(expected = "the state is invalid until a restore succeeds")]
fn a_discarded_state_answers_no_query() {
    let mut machine = Machine::new(Indices::default());
    machine.discard_state();
    let _ = machine.query(b"");
}

#[test]
fn results_distinguish_outcomes_that_digests_do_not() {
    let (first, _) = after(&[Request::Plain(b"a"), Request::Plain(b"")]);
    let (second, _) = after(&[Request::Plain(b"a"), register(1)]);
    assert_ne!(first.results(), second.results());
    let mut odd = empty();
    odd.apply(&log(1, &[Request::Plain(b"a")]));
    let noop = [entry(2, Payload::Noop)];
    odd.apply(&noop);
    assert_ne!(first.results(), odd.results());
    assert_eq!(first.digest().unwrap(), odd.digest().unwrap(), "the same state");
}
