//! Tests of the layout of recorded values, and of reading them back.

#[allow(dead_code, reason = "a recording has no packets and no requests of clients")]
#[path = "../../tests/wire/drawn.rs"]
mod drawn;

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::draw::Draw;
use crate::fixtures::Fixtures;
use crate::raft::{Config, Consumer, Input, Lease, Raft, Survivor, Suspension};
use crate::recording::block::{BlockWriter, FRAME_BYTES, Header, Kind, LAYOUT};
use crate::recording::commands::{CommandHasher, Contents};
use crate::recording::decoding::Decoder;
use crate::types::{
    Acknowledge, Body, Change, Command, DamagedEntry, Entry, EntryId, Incarnation, Index, Instant,
    Membership, Message, MessageKind, NodeId, Payload, Proposal, ReadLevel, Restored, SnapshotMeta,
    Tag, Term, WriteId,
};

fn body(value: &impl Serialize, contents: Contents) -> Vec<u8> {
    let mut block = BlockWriter::new(contents, CommandHasher::Original { key: 5 });
    block.value(value).expect("it has an encoding");
    block.take(Kind::Records).bytes()[FRAME_BYTES..].to_vec()
}

/// Checks that a value survives encoding, and that no prefix decodes; returns its bytes.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Vec<u8> {
    let body = body(value, Contents::Kept);
    let mut decoder = Decoder::new(&body, Contents::Kept);
    assert_eq!(decoder.value::<T>().as_ref(), Ok(value));
    assert!(decoder.is_at_end(), "{value:?}");
    for end in 0..body.len() {
        let cut = Decoder::new(&body[..end], Contents::Kept).value::<T>();
        assert!(cut.is_err(), "{value:?} cut at {end}");
    }
    body
}

/// One input of each kind, in the order of declaration.
fn inputs() -> Vec<Input> {
    let (tag, id) = (Tag(300), EntryId::new(Term(2), Index(7)));
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let meta = SnapshotMeta { bytes: 1 << 40, ..SnapshotMeta::empty(id, membership.clone()) };
    let command = Payload::Command(Command::from("put"));
    let entries: Vec<Entry> = [Payload::Noop, command, Payload::Membership(membership)]
        .into_iter()
        .map(|payload| Entry { id, payload })
        .collect();
    let body =
        Body::AppendEntries { prev: id, entries: entries.clone().into(), committed: Index(5) };
    let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation(u128::MAX - 1));
    let proposal =
        Proposal { tag, acknowledge: Acknowledge::Quorum, command: Command::from("a command") };
    vec![
        Input::Message(Message { from, incarnation, to, term: Term(2), body }),
        Input::Timeout,
        Input::Persisted(WriteId(u64::MAX)),
        Input::Applied(Index(128)),
        Input::Fetched { consumer: Consumer::Peer(to), entries: entries.into() },
        Input::Damaged(vec![DamagedEntry { id, is_membership: true }]),
        Input::Repaired(vec![id]),
        Input::Propose(vec![proposal]),
        Input::Read { tag, level: ReadLevel::Lease, conflict: Index(9) },
        Input::ChangeMembership { tag, change: Change::new().voter(NodeId(4)) },
        Input::CancelMembershipChange { tag },
        Input::TransferLeadership { tag, to: Some(to) },
        Input::SnapshotTaken { meta: meta.clone(), base: Index(3) },
        Input::SnapshotReceived { meta: meta.clone() },
        Input::DiskFull(true),
        Input::Campaign,
        Input::Quarantine(false),
        Input::Rebuild { meta },
        Input::AppendNoop,
    ]
}

/// The states of nodes that start, campaign and lead, with leases, last survivor or suspension.
fn states() -> Vec<Raft> {
    let own = NodeId(1);
    let mut config = Config::new(own);
    config.lease = Some(Lease { drift_ppm: 100, read_leases: true });
    config.survivor = Some(Survivor { after: Duration::from_secs(60) });
    let alone = Raft::new(config, Restored::fresh(Membership::new([own])), 7, Instant(0));
    let three = Restored::fresh(Membership::new([1, 2, 3].map(NodeId)));
    let mut config = Config::new(own);
    config.suspension = Some(Suspension {
        after: Duration::from_secs(60),
        voters_min: 1,
        pause: Duration::from_secs(90),
    });
    let three = Raft::new(config, three, 7, Instant(0));
    let campaign = vec![Input::Campaign];
    let [first, second] = [1, 2].map(|write| Input::Persisted(WriteId(write)));
    let propose = Input::propose(Tag(1), Acknowledge::Quorum, "a command");
    let lead = vec![Input::Campaign, first, second, propose];
    let mut states = Vec::new();
    for (raft, inputs) in [(alone, lead), (three, campaign)] {
        let mut raft = raft.expect("a valid start");
        states.push(raft.clone());
        for input in inputs {
            raft.step(Instant(1_000_000), input, &mut Vec::new());
            states.push(raft.clone());
        }
    }
    states
}

#[test]
fn every_input_and_every_state_comes_back() {
    inputs().iter().for_each(|input| drop(round_trip(input)));
    states().iter().for_each(|state| drop(round_trip(state)));
}

/// Returns a header as the first block of a segment has it.
fn header() -> Header {
    Header {
        layout: LAYOUT,
        version: "0.1.0".to_owned(),
        cluster: u128::MAX - 7,
        node: NodeId(300),
        start: 7,
        first_record: 1 << 40,
        keeps_commands: true,
        unix_time: Some(Duration::from_millis(1_700_000_000_123)),
    }
}

/// These bytes change with the fields of the state, the inputs or the encoding: raise `LAYOUT`
/// then, because a recording of another layout must not be read. If only a decision of the core
/// changed in the first steps of a node, accept the new hashes of the states and keep `LAYOUT`.
#[test]
fn the_fixtures_of_recordings_are_written_and_read() {
    fn decoded<T: DeserializeOwned>(kept: &[u8]) -> T {
        Decoder::new(kept, Contents::Kept).value().expect("it is of this layout")
    }
    let mut fixtures = Fixtures::of("recording", LAYOUT);
    fixtures.value("header", &round_trip(&header()), |kept| {
        assert_eq!(decoded::<Header>(kept), header());
    });
    for (number, input) in inputs().iter().enumerate() {
        fixtures.value(&format!("input-{number}"), &round_trip(input), |kept| {
            assert_eq!(decoded::<Input>(kept), *input);
        });
    }
    let mut draw = Draw(1);
    for kind in MessageKind::ALL {
        for number in 0..8 {
            let input = Input::Message(drawn::message(&mut draw, *kind));
            fixtures.hash(&format!("{}-drawn-{number}", kind.name()), &round_trip(&input));
        }
    }
    for (number, state) in states().iter().enumerate() {
        fixtures.hash(&format!("state-{number}"), &round_trip(state));
    }
    fixtures.finish();
}

#[test]
fn a_hashed_command_comes_back_with_its_length_and_its_hash() {
    let original = CommandHasher::Original { key: 5 };
    for length in [0, 1, 7, 8, 9, 64, 127, 128, 129, 1000] {
        let text: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        let body = body(&Command::from(&text[..]), Contents::Hashed);
        let mut decoder = Decoder::new(&body, Contents::Hashed);
        let stand_in: Command = decoder.value().expect("it is intact");
        assert_eq!(stand_in.len(), text.len());
        let hashed = length.min(8);
        let (recorded, replayed) = (original.hash(&text), CommandHasher::StandIn.hash(&stand_in));
        assert_eq!(recorded[..hashed], replayed[..hashed]);
        let again = super::digest::digest(&[applies(&stand_in)], CommandHasher::StandIn);
        assert_eq!(super::digest::digest(&[applies(&text)], original), again);
    }
}

fn applies(command: &[u8]) -> crate::raft::Action {
    let payload = Payload::Command(Command::from(command));
    crate::raft::Action::Apply([Entry { id: EntryId::ZERO, payload }].into())
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let contents = [Contents::Hashed, Contents::Kept];
    assert!(contents.iter().all(|it| Decoder::new(&huge, *it).value::<Command>().is_err()));
    assert!(Decoder::new(&huge, Contents::Kept).value::<Vec<Index>>().is_err());
}
