//! A sample of every kind of packet, and the fixtures of frames, because nodes of different
//! releases must decode each other's frames.

use std::time::Duration;

use quorate::types::{
    Address, AppendOutcome, Body, BootstrapPeer, Change, Command, Comparison, ComparisonBody,
    Entry, EntryId, Hash128, HashChain, Heartbeat, Incarnation, Index, MachineVersion, Membership,
    MembershipSource, Message, MessageKind, NodeId, Packet, Payload, Readiness, Root, SnapshotMeta,
    SnapshotPart, SnapshotTransfer, SnapshotTransferBody, StateDigest, Term,
};
use quorate::wire::{Hello, Versions, decode};

use super::packets::frame;
use super::{clients, drawn};
use crate::draw::Draw;
use crate::fixtures::Fixtures;

/// The number of a variant of [`AppendOutcome`] on the wire, which never changes.
fn number_of_outcome(outcome: &AppendOutcome) -> u32 {
    match outcome {
        AppendOutcome::Accepted { .. } => 0,
        AppendOutcome::Rejected { .. } => 1,
        AppendOutcome::NoSpace { .. } => 2,
        AppendOutcome::Stored { .. } => 3,
    }
}

/// The numbers of a [`SnapshotTransferBody`] and of its part on the wire, which never change.
fn numbers_of_transfer(body: &SnapshotTransferBody) -> (u32, Option<u32>) {
    let number_of_part = |part: &SnapshotPart| match part {
        SnapshotPart::Manifest(_) => 0,
        SnapshotPart::Chunk(_) => 1,
    };
    match body {
        SnapshotTransferBody::Request(part) => (0, Some(number_of_part(part))),
        SnapshotTransferBody::Bytes(part, _) => (1, Some(number_of_part(part))),
        SnapshotTransferBody::Gone => (2, None),
    }
}

/// Returns a membership of two voters, the second with the casting vote, with a staged change that
/// replaces the second voter by a third.
fn staged() -> Membership {
    let two = Membership::new([1, 2].map(NodeId)).with_casting(NodeId(2));
    let change = Change::new()
        .voter(NodeId(3))
        .remove(NodeId(2))
        .address(NodeId(3), Address::new("three:7000").expect("the address is short"))
        .incarnation(NodeId(3), Incarnation(0x0333))
        .priority(NodeId(1), 200);
    two.changed(&change).expect("the change is valid")
}

/// The number of a variant of [`Payload`] on the wire, which never changes.
fn number_of_payload(payload: &Payload) -> u32 {
    match payload {
        Payload::Noop => 0,
        Payload::Command(_) => 1,
        Payload::Membership(_) => 2,
    }
}

fn bodies() -> Vec<(&'static str, Body)> {
    let id = |term, index| EntryId::new(Term(term), Index(index));
    let entries = vec![
        Entry { id: id(2, 12), payload: Payload::Noop },
        Entry { id: id(3, 13), payload: Payload::Command(Command::from("set x 1")) },
        Entry { id: id(3, 14), payload: Payload::Command(Command::from("")) },
        Entry { id: id(3, 15), payload: Payload::Membership(staged()) },
    ];
    let contents = entries[..2].to_vec();
    let accepted = AppendOutcome::Accepted { matched: Index(14) };
    let no_space = AppendOutcome::NoSpace { verified: Index(12) };
    let stored = AppendOutcome::Stored { verified: Index(14) };
    let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let membership =
        Membership::new(nodes(&[1, 2, 3])).joint_with(nodes(&[1, 2])).with_learners(nodes(&[4]));
    let root = Root([0xab; 32]);
    let meta = SnapshotMeta { last: id(3, 14), membership, bytes: 0x01_0000_0000, root };
    let rejected = AppendOutcome::Rejected { prev: Index(11), hint: id(1, 9) };
    let heartbeat = Heartbeat {
        confirmed: 76,
        echo: 75,
        vote_lease: Duration::from_millis(300),
        read_lease: Duration::from_millis(250),
        ..Heartbeat::new(77, Index(10))
    };
    let mut bodies = vec![
        ("PreVote", Body::PreVote { next_term: Term(4), last: id(3, 14) }),
        (
            "PreVoteReply",
            Body::PreVoteReply { next_term: Term(4), granted: true, committed: Index(15) },
        ),
        ("RequestVote", Body::RequestVote { last: id(3, 14), transfer: false }),
        ("RequestVote-transfer", Body::RequestVote { last: id(3, 14), transfer: true }),
        ("RequestVoteReply", Body::RequestVoteReply { granted: false, committed: Index(15) }),
        (
            "AppendEntries",
            Body::AppendEntries { prev: id(2, 11), entries: entries.into(), committed: Index(10) },
        ),
        ("AppendEntriesReply-accepted", Body::AppendEntriesReply(accepted)),
        ("AppendEntriesReply-rejected", Body::AppendEntriesReply(rejected)),
        ("AppendEntriesReply-no-space", Body::AppendEntriesReply(no_space)),
        ("AppendEntriesReply-stored", Body::AppendEntriesReply(stored)),
        ("Heartbeat", Body::Heartbeat(heartbeat)),
        (
            "HeartbeatReply",
            Body::HeartbeatReply {
                round: 77,
                verified: Index(14),
                matched: Index(13),
                durable: Index(15),
                ready: Readiness {
                    wants_read_lease: true,
                    may_lead: false,
                    is_uncertain: false,
                    version_max: MachineVersion { user: 3, library: 1 },
                },
            },
        ),
        ("ReadIndex", Body::ReadIndex { start_id: 0xb007, ticket: 5 }),
        ("ReadIndexReply", Body::ReadIndexReply { start_id: 0xb007, ticket: 5, index: Index(14) }),
        ("InstallSnapshot", Body::InstallSnapshot { meta: meta.clone() }),
        ("InstallSnapshotReply", Body::InstallSnapshotReply { matched: Index(14) }),
    ];
    bodies.extend(participation_bodies());
    bodies.extend(repair_bodies(contents, meta));
    bodies
}

/// Returns the messages about the nodes and disks that take part, and the request to campaign.
fn participation_bodies() -> Vec<(&'static str, Body)> {
    let seen = BootstrapPeer { id: NodeId(1), incarnation: Incarnation(0x0111), start_id: 0xb007 };
    vec![
        ("TimeoutNow", Body::TimeoutNow),
        (
            "BootstrapProbe",
            Body::BootstrapProbe { seen: vec![seen, BootstrapPeer::unknown(NodeId(2))] },
        ),
        (
            "Bootstrapped",
            Body::Bootstrapped {
                start_id: 0xb007,
                membership: staged(),
                source: MembershipSource::Log,
            },
        ),
        ("UnknownIncarnation", Body::UnknownIncarnation),
        ("TakeoverAllowed", Body::TakeoverAllowed),
        ("LogIsComplete", Body::LogIsComplete),
    ]
}

/// Returns the messages about damaged entries and uncertain logs.
fn repair_bodies(contents: Vec<Entry>, snapshot: SnapshotMeta) -> Vec<(&'static str, Body)> {
    let first = EntryId::new(Term(2), Index(12));
    vec![
        ("RequestEntries", Body::RequestEntries { first, last: Index(14) }),
        (
            "RequestEntriesReply",
            Body::RequestEntriesReply { entries: contents.into(), snapshot: None },
        ),
        (
            "RequestEntriesReply-snapshot",
            Body::RequestEntriesReply { entries: [].into(), snapshot: Some(Box::new(snapshot)) },
        ),
        ("RequestLogEnd", Body::RequestLogEnd { start_id: 0xb007 }),
        ("LogEnd", Body::LogEnd { start_id: 0xb007, last: Index(14) }),
        ("LogRolledBack", Body::LogRolledBack),
    ]
}

fn transfers() -> Vec<(&'static str, SnapshotTransferBody)> {
    vec![
        ("Request-manifest", SnapshotTransferBody::Request(SnapshotPart::Manifest(0))),
        ("Request-chunk", SnapshotTransferBody::Request(SnapshotPart::Chunk(258))),
        (
            "Bytes-manifest",
            SnapshotTransferBody::Bytes(SnapshotPart::Manifest(1), [1, 2, 3].into()),
        ),
        ("Bytes-chunk", SnapshotTransferBody::Bytes(SnapshotPart::Chunk(2), [255; 5].into())),
        ("Gone", SnapshotTransferBody::Gone),
    ]
}

/// Returns a packet of every kind, with its name.
pub(crate) fn samples() -> Vec<(&'static str, Packet)> {
    let (from, to) = (NodeId(0x0102_0304_0506_0708), NodeId(2));
    let incarnation = Incarnation(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let message_of = |body| Message { from, incarnation, to, term: Term(3), body };
    let message = |(name, body)| (name, Packet::Message(message_of(body)));
    let root = Root(std::array::from_fn(|place| place as u8));
    let transfer =
        |(name, body)| (name, Packet::SnapshotTransfer(SnapshotTransfer { from, to, root, body }));
    let comparison = |(name, body)| (name, Packet::Comparison(Comparison { from, to, body }));
    let append = bodies().into_iter().map(|(_, body)| body);
    let append = append.filter(|body| matches!(body, Body::AppendEntries { .. }));
    let chained = append.take(1).map(|body| {
        ("Chained", Packet::Chained(message_of(body), HashChain(0x0123_4567_89ab_cdef)))
    });
    let messages = bodies().into_iter().map(message);
    let others = transfers().into_iter().map(transfer).chain(chained);
    messages.chain(others).chain(comparisons().into_iter().map(comparison)).collect()
}

fn comparisons() -> Vec<(&'static str, ComparisonBody)> {
    let hash = |first: u8| Some(Hash128(std::array::from_fn(|place| first + place as u8)));
    let known = StateDigest { results: hash(0), state: hash(16) };
    let (round, index) = (7, Index(1024));
    let meta = bodies().into_iter().find_map(|(_, body)| match body {
        Body::InstallSnapshot { meta } => Some(meta),
        _ => None,
    });
    let meta = meta.expect("there is a sample");
    vec![
        ("Request", ComparisonBody::Request { round, index }),
        ("Reply-known", ComparisonBody::Reply { round, index, state_digest: known }),
        (
            "Reply-unknown",
            ComparisonBody::Reply { round, index, state_digest: StateDigest::default() },
        ),
        ("WantSnapshot", ComparisonBody::WantSnapshot { after: Index(9) }),
        ("OfferSnapshot", ComparisonBody::OfferSnapshot { meta }),
    ]
}

/// The number of a variant of [`ComparisonBody`] on the wire, which never changes.
fn number_of_comparison(body: &ComparisonBody) -> u32 {
    match body {
        ComparisonBody::Request { .. } => 0,
        ComparisonBody::Reply { .. } => 1,
        ComparisonBody::WantSnapshot { .. } => 2,
        ComparisonBody::OfferSnapshot { .. } => 3,
    }
}

fn hello() -> Hello {
    Hello {
        versions: Versions { oldest: 1, newest: 0x0203 },
        cluster: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        from: NodeId(1),
        to: NodeId(2),
        incarnation: 0xfedc_ba98_7654_3210,
        start_id: 0x0102_0304_0506_0708,
        address: Address::default(),
    }
}

#[test]
fn the_fixtures_of_frames_are_written_and_read() {
    let mut fixtures = Fixtures::of("frames", u64::from(Versions::SUPPORTED.newest));
    let mut bytes = Vec::new();
    hello().encode(&mut bytes);
    fixtures.value("Hello", &bytes, |kept| assert_eq!(Hello::decode(kept), Ok(hello())));
    for (name, packet) in samples() {
        fixtures.value(name, &frame(&packet), |kept| assert_eq!(decode(kept), Ok(packet)));
    }
    clients::add_samples(&mut fixtures);
    let mut draw = Draw(1);
    for kind in MessageKind::ALL {
        for number in 0..16 {
            let packet = Packet::Message(drawn::message(&mut draw, *kind));
            fixtures.hash(&format!("{}-drawn-{number}", kind.name()), &frame(&packet));
        }
    }
    for number in 0..64 {
        let packet = drawn::other_packet(&mut draw);
        fixtures.hash(&format!("packet-drawn-{number}"), &frame(&packet));
    }
    for number in 0..64 {
        let (request, reply) = (drawn::request(&mut draw), drawn::reply(&mut draw));
        fixtures.hash(&format!("request-drawn-{number}"), &clients::request_frame(&request));
        fixtures.hash(&format!("reply-drawn-{number}"), &clients::reply_frame(&reply));
    }
    fixtures.finish();
}

#[test]
fn the_numbers_of_variants_do_not_change() {
    let number_at = |bytes: &[u8], place: usize| {
        u32::from_le_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
    };
    let mut bodies = Vec::new();
    let mut outcomes = Vec::new();
    let mut transfers = Vec::new();
    let mut comparisons = Vec::new();
    for (name, packet) in samples() {
        let bytes = frame(&packet);
        match &packet {
            Packet::Message(message) => {
                let place = 32 + 8 + 16 + 8 + 8;
                bodies.push(message.body.kind() as u32);
                assert_eq!(number_at(&bytes, place), message.body.kind() as u32, "{name}");
                if let Body::AppendEntries { entries, .. } = &message.body {
                    // prev, the number of entries, and the first one's id.
                    let payload = &entries[0].payload;
                    let found = number_at(&bytes, place + 4 + 16 + 8 + 16);
                    assert_eq!(found, number_of_payload(payload), "{name}");
                    let last = entries.last().expect("there are several");
                    let Payload::Membership(last) = &last.payload else { panic!("a membership") };
                    let found = bytes.len() - 8 - last.bytes() - 8 - 4;
                    assert_eq!(number_at(&bytes, found), 2, "{name}");
                }
                if let Body::AppendEntriesReply(outcome) = &message.body {
                    outcomes.push(number_of_outcome(outcome));
                    assert_eq!(number_at(&bytes, place + 4), number_of_outcome(outcome), "{name}");
                }
            }
            Packet::Chained(message, _) => {
                let place = 32 + 8 + 16 + 8 + 8;
                assert_eq!(number_at(&bytes, place), message.body.kind() as u32, "{name}");
            }
            Packet::Comparison(comparison) => {
                let number = number_of_comparison(&comparison.body);
                assert_eq!(number_at(&bytes, 32 + 8 + 8), number, "{name}");
                comparisons.push(number);
            }
            Packet::SnapshotTransfer(transfer) => {
                let place = 32 + 8 + 8 + 32;
                let (number, part) = numbers_of_transfer(&transfer.body);
                transfers.push((number, part));
                assert_eq!(number_at(&bytes, place), number, "{name}");
                let found = part.map(|_| number_at(&bytes, place + 4));
                assert_eq!(found, part, "{name}");
            }
        }
    }
    bodies.dedup();
    assert_eq!(comparisons, [0, 1, 1, 2, 3]);
    let kinds = MessageKind::ALL.iter().map(|kind| *kind as u32);
    assert!(bodies.iter().copied().eq(kinds), "each message has a sample: {bodies:?}");
    assert!(outcomes.iter().copied().eq(0..outcomes.len() as u32), "{outcomes:?}");
    assert_eq!(transfers, [(0, Some(0)), (0, Some(1)), (1, Some(0)), (1, Some(1)), (2, None)]);
}
