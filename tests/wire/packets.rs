//! Arbitrary packets, which round-trip through their encoding.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use quorate::types::{
    Address, AppendOutcome, Body, BootstrapPeer, Command, Comparison, ComparisonBody, Entry,
    EntryId, Hash128, HashChain, Heartbeat, Incarnation, Index, MachineVersion, Member, Membership,
    MembershipSource, Message, MessageKind, NodeId, Packet, Payload, PendingTransition, Readiness,
    Root, SnapshotMeta, SnapshotPart, SnapshotTransfer, SnapshotTransferBody, StateDigest, Term,
};
use quorate::wire::{FRAME_HEADER_BYTES, FrameError, Kind, WireError, decode, encode};

fn any_index() -> impl Strategy<Value = Index> {
    any::<u64>().prop_map(Index)
}

fn any_term() -> impl Strategy<Value = Term> {
    any::<u64>().prop_map(Term)
}

fn any_id() -> impl Strategy<Value = EntryId> {
    (any_term(), any_index()).prop_map(|(term, index)| EntryId { term, index })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let command = prop::collection::vec(any::<u8>(), 0..200);
    let payload = prop_oneof![
        Just(Payload::Noop),
        command.prop_map(|bytes| Payload::Command(Command::from(bytes))),
        any_membership().prop_map(Payload::Membership),
    ];
    (any_id(), payload).prop_map(|(id, payload)| Entry { id, payload })
}

fn any_heartbeat() -> impl Strategy<Value = Heartbeat> {
    let span = || any::<u64>().prop_map(Duration::from_nanos);
    let rounds = (any::<u64>(), any::<u64>(), any::<u64>());
    (rounds, any_index(), span(), span()).prop_map(
        |((round, confirmed, echo), committed, vote_lease, read_lease)| Heartbeat {
            round,
            committed,
            confirmed,
            echo,
            vote_lease,
            read_lease,
        },
    )
}

fn any_readiness() -> impl Strategy<Value = Readiness> {
    let parts = (any::<bool>(), any::<bool>(), any::<u32>(), any::<u32>());
    parts.prop_map(|(wants_read_lease, may_lead, user, library)| {
        let (is_uncertain, version_max) = (!may_lead, MachineVersion { user, library });
        Readiness { wants_read_lease, may_lead, is_uncertain, version_max }
    })
}

fn any_outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        any_index().prop_map(|matched| AppendOutcome::Accepted { matched }),
        (any_index(), any_id()).prop_map(|(prev, hint)| AppendOutcome::Rejected { prev, hint }),
        any_index().prop_map(|verified| AppendOutcome::NoSpace { verified }),
        any_index().prop_map(|verified| AppendOutcome::Stored { verified }),
    ]
}

fn any_membership() -> impl Strategy<Value = Membership> {
    let nodes = || prop::collection::vec((1u64..20).prop_map(NodeId), 0..6);
    let member = (1u64..20, any::<u128>(), "[a-z:0-9]{0,20}", any::<u8>());
    let members = prop::collection::vec(member, 0..4);
    (nodes(), nodes(), nodes(), members).prop_map(|(incoming, outgoing, learners, members)| {
        let mut membership = Membership::new(incoming).joint_with(outgoing).with_learners(learners);
        for (id, incarnation, address, priority) in members {
            let Some(known) = membership.member(NodeId(id)) else { continue };
            let incarnation = Incarnation(incarnation);
            let address = Address::new(&address).expect("the address is short");
            let member = Member { incarnation, address, priority, ..known.clone() };
            membership = membership.with_member(member);
        }
        membership
    })
}

fn any_source() -> impl Strategy<Value = MembershipSource> {
    use MembershipSource::{Log, Reply, Snapshot};
    prop_oneof![Just(Reply), Just(Log), Just(Snapshot)]
}

fn any_bootstrap_peer() -> impl Strategy<Value = BootstrapPeer> {
    (any::<u64>(), any::<u128>(), any::<u64>()).prop_map(|(id, incarnation, start_id)| {
        BootstrapPeer { id: NodeId(id), incarnation: Incarnation(incarnation), start_id }
    })
}

fn any_meta() -> impl Strategy<Value = SnapshotMeta> {
    (any_id(), any_membership(), any::<u64>(), any::<[u8; 32]>()).prop_map(
        |(last, membership, bytes, root)| SnapshotMeta {
            last,
            membership,
            bytes,
            root: Root(root),
        },
    )
}

fn any_body() -> impl Strategy<Value = Body> {
    let entries = prop::collection::vec(any_entry(), 0..20);
    let contents = prop::collection::vec(any_entry(), 0..20);
    prop_oneof![
        (any_term(), any_id()).prop_map(|(next_term, last)| Body::PreVote { next_term, last }),
        (any_term(), any::<bool>(), any_index()).prop_map(|(next_term, granted, committed)| {
            Body::PreVoteReply { next_term, granted, committed }
        }),
        (any_id(), any::<bool>()).prop_map(|(last, transfer)| Body::RequestVote { last, transfer }),
        Just(Body::TimeoutNow),
        Just(Body::TakeoverAllowed),
        Just(Body::LogIsComplete),
        (any_id(), any_index()).prop_map(|(first, last)| Body::RequestEntries { first, last }),
        (contents, prop::option::of(any_meta().prop_map(Box::new))).prop_map(
            |(entries, snapshot)| {
                Body::RequestEntriesReply { entries: entries.into(), snapshot }
            }
        ),
        Just(Body::UnknownIncarnation),
        prop::collection::vec(any_bootstrap_peer(), 0..6)
            .prop_map(|seen| Body::BootstrapProbe { seen }),
        (any::<u64>(), any_membership(), any_source()).prop_map(
            |(start_id, membership, source)| Body::Bootstrapped { start_id, membership, source }
        ),
        (any::<bool>(), any_index())
            .prop_map(|(granted, committed)| Body::RequestVoteReply { granted, committed }),
        any::<u64>().prop_map(|start_id| Body::RequestLogEnd { start_id }),
        (any::<u64>(), any_index()).prop_map(|(start_id, last)| Body::LogEnd { start_id, last }),
        Just(Body::LogRolledBack),
        (any_id(), entries, any_index()).prop_map(|(prev, entries, committed)| {
            Body::AppendEntries { prev, entries: entries.into(), committed }
        }),
        any_outcome().prop_map(Body::AppendEntriesReply),
        any_heartbeat().prop_map(Body::Heartbeat),
        (any::<u64>(), any_index(), any_index(), any_readiness()).prop_map(
            |(round, verified, matched, ready)| Body::HeartbeatReply {
                round,
                verified,
                matched,
                durable: matched,
                ready,
            },
        ),
        (any::<u64>(), any::<u64>())
            .prop_map(|(start_id, ticket)| Body::ReadIndex { start_id, ticket }),
        (any::<u64>(), any::<u64>(), any_index())
            .prop_map(|(start_id, ticket, index)| Body::ReadIndexReply { start_id, ticket, index }),
        any_meta().prop_map(|meta| Body::InstallSnapshot { meta }),
        any_index().prop_map(|matched| Body::InstallSnapshotReply { matched }),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    (any::<u64>(), any::<u64>(), any_term(), any_body()).prop_map(|(from, to, term, body)| {
        Message {
            from: NodeId(from),
            incarnation: Incarnation::default(),
            to: NodeId(to),
            term,
            body,
        }
    })
}

fn any_transfer() -> impl Strategy<Value = SnapshotTransfer> {
    let part = || {
        prop_oneof![
            any::<u32>().prop_map(SnapshotPart::Manifest),
            any::<u32>().prop_map(SnapshotPart::Chunk),
        ]
    };
    let bytes = prop::collection::vec(any::<u8>(), 0..2000);
    let body = prop_oneof![
        part().prop_map(SnapshotTransferBody::Request),
        (part(), bytes).prop_map(|(part, bytes)| SnapshotTransferBody::Bytes(part, bytes.into())),
        Just(SnapshotTransferBody::Gone),
    ];
    (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), body).prop_map(|(from, to, root, body)| {
        SnapshotTransfer { from: NodeId(from), to: NodeId(to), root: Root(root), body }
    })
}

fn any_append() -> impl Strategy<Value = Message> {
    let entries = prop::collection::vec(any_entry(), 0..20);
    (any_message(), any_id(), entries, any_index()).prop_map(
        |(message, prev, entries, committed)| Message {
            body: Body::AppendEntries { prev, entries: entries.into(), committed },
            ..message
        },
    )
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    let hash = || prop::option::of(any::<[u8; 16]>().prop_map(Hash128));
    let state_digest = (hash(), hash()).prop_map(|(results, state)| StateDigest { results, state });
    let body = prop_oneof![
        (any::<u64>(), any_index())
            .prop_map(|(round, index)| ComparisonBody::Request { round, index }),
        (any::<u64>(), any_index(), state_digest).prop_map(|(round, index, state_digest)| {
            ComparisonBody::Reply { round, index, state_digest }
        }),
        any_index().prop_map(|after| ComparisonBody::WantSnapshot { after }),
        any_meta().prop_map(|meta| ComparisonBody::OfferSnapshot { meta }),
    ];
    (any::<u64>(), any::<u64>(), body).prop_map(|(from, to, body)| Comparison {
        from: NodeId(from),
        to: NodeId(to),
        body,
    })
}

/// Generates packets and messages of every kind.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        4 => any_message().prop_map(Packet::Message),
        1 => any_transfer().prop_map(Packet::SnapshotTransfer),
        1 => (any_append(), any::<u64>())
            .prop_map(|(message, chain)| Packet::Chained(message, HashChain(chain))),
        1 => any_comparison().prop_map(Packet::Comparison),
    ]
}

/// Returns the frame of a packet.
pub(crate) fn frame(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, &mut bytes).expect("the value is within the bounds");
    bytes
}

/// Returns an `AppendEntries` message with these commands.
fn append(commands: impl IntoIterator<Item = Command>) -> Packet {
    let entry = |(place, command)| Entry {
        id: EntryId::new(Term(3), Index(place)),
        payload: Payload::Command(command),
    };
    let entries = (1..).zip(commands).map(entry).collect();
    let body = Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO };
    Packet::Message(Message {
        from: NodeId(1),
        incarnation: Incarnation::default(),
        to: NodeId(2),
        term: Term(3),
        body,
    })
}

/// Returns the error of encoding a packet, which leaves the bytes before it unchanged.
fn encode_error(packet: &Packet) -> FrameError {
    let mut bytes = vec![1, 2];
    let WireError { offset: 0, error } = encode(packet, &mut bytes).expect_err("it is too large")
    else {
        panic!("the offset is 0");
    };
    assert_eq!(bytes, [1, 2]);
    error
}

#[test]
fn every_kind_of_message_is_drawn() {
    let mut runner = TestRunner::deterministic();
    let bodies = any_body();
    let mut draw = || bodies.new_tree(&mut runner).expect("it is drawn").current();
    let drawn: BTreeSet<&str> = (0..500).map(|_| draw().kind().name()).collect();
    assert_eq!(drawn, MessageKind::ALL.iter().map(|kind| kind.name()).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_round_trips(packet in any_packet()) {
        let mut bytes = vec![7; 3];
        encode(&packet, &mut bytes).expect("the value is within the bounds");
        prop_assert_eq!(&bytes[..3], &[7; 3]);
        prop_assert_eq!(decode(&bytes[3..]), Ok(packet));
    }
}

#[test]
fn a_packet_at_its_bounds_round_trips_and_a_larger_one_is_rejected() {
    let full = append(vec![Command::from("x"); Body::ENTRIES_MAX]);
    assert_eq!(decode(&frame(&full)), Ok(full));
    let many = append(vec![Command::from("x"); Body::ENTRIES_MAX + 1]);
    let FrameError::Body { kind: Kind::Append, reason } = encode_error(&many) else {
        panic!("too many")
    };
    assert!(reason.contains("4097"), "{reason}");

    let fixed = frame(&append([Command::from("")])).len() - FRAME_HEADER_BYTES;
    let largest = Kind::Append.bytes_max() - fixed;
    let large = append([Command::from(vec![5; largest])]);
    assert_eq!(decode(&frame(&large)), Ok(large));
    let larger = append([Command::from(vec![5; largest + 1])]);
    let length = Kind::Append.bytes_max() + 1;
    assert_eq!(encode_error(&larger), FrameError::TooLong { kind: Kind::Append, length });
}

#[test]
fn an_invalid_membership_is_not_encoded() {
    let packet = |body| {
        Packet::Message(Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(3),
            body,
        })
    };
    let offer = |membership: Membership| {
        packet(Body::InstallSnapshot { meta: SnapshotMeta::empty(EntryId::ZERO, membership) })
    };
    let append = |membership: Membership| {
        let payload = Payload::Membership(membership);
        let entries = vec![Entry { id: EntryId::new(Term(3), Index(1)), payload }];
        packet(Body::AppendEntries {
            prev: EntryId::ZERO,
            entries: entries.into(),
            committed: Index::ZERO,
        })
    };
    let of = |members: u64| Membership::new([NodeId(1)]).with_learners((2..=members).map(NodeId));
    let leaves = Member { pending: PendingTransition::Remove, ..Member::new(NodeId(1)) };
    for (invalid, reason) in [
        (of(133), "larger than 3584 bytes"),
        (Membership::new((1..=65).map(NodeId)), "more than 64 voters"),
        (of(2).with_member(leaves), "n1 has two conflicting roles"),
    ] {
        for packet in [offer(invalid.clone()), append(invalid)] {
            let error = encode_error(&packet);
            let FrameError::Body { reason: found, .. } = error else { panic!("{error}") };
            assert!(found.contains(reason), "{found}");
        }
    }
    for packet in [offer(of(132)), append(of(132))] {
        assert_eq!(decode(&frame(&packet)), Ok(packet));
    }
    let probe = |peers| {
        let seen = vec![BootstrapPeer::unknown(NodeId(1)); peers];
        packet(Body::BootstrapProbe { seen })
    };
    assert_eq!(decode(&frame(&probe(132))), Ok(probe(132)));
    let FrameError::Body { reason, .. } = encode_error(&probe(133)) else { panic!("too many") };
    assert!(reason.contains("a list of 133"), "{reason}");
}

#[test]
fn a_part_of_one_mebibyte_round_trips() {
    let bytes: Arc<[u8]> = vec![3; 1 << 20].into();
    let body = SnapshotTransferBody::Bytes(SnapshotPart::Chunk(u32::MAX), bytes);
    let transfer = SnapshotTransfer { from: NodeId(1), to: NodeId(2), root: Root([9; 32]), body };
    let packet = Packet::SnapshotTransfer(transfer);
    assert_eq!(decode(&frame(&packet)), Ok(packet));
}
