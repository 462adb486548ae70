//! Arbitrary packets, and that each comes back from its bytes.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use quorate::types::{
    Address, AppendOutcome, Beat, Body, Bringer, Chain, Command, Comparison, ComparisonBody, Entry,
    EntryId, Fate, Founder, Hash128, Imprint, Incarnation, Index, Member, Membership, Message,
    NodeId, Packet, Part, Payload, Readiness, Root, SnapshotMeta, Term, Transfer, TransferBody,
};
use quorate::wire::{
    APPEND_ENTRIES_MAX, FRAME_HEADER_BYTES, Flaw, Kind, WireError, decode, encode,
};

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

fn any_beat() -> impl Strategy<Value = Beat> {
    let span = || any::<u64>().prop_map(Duration::from_nanos);
    let rounds = (any::<u64>(), any::<u64>(), any::<u64>());
    (rounds, any_index(), span(), span()).prop_map(
        |((round, confirmed, echo), committed, promise, loan)| Beat {
            round,
            committed,
            confirmed,
            echo,
            promise,
            loan,
        },
    )
}

fn any_outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        any_index().prop_map(|matched| AppendOutcome::Accepted { matched }),
        (any_index(), any_id()).prop_map(|(prev, hint)| AppendOutcome::Rejected { prev, hint }),
        any_index().prop_map(|verified| AppendOutcome::NoSpace { verified }),
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
            let address = Address::new(&address).expect("it is short");
            let member = Member { incarnation, address, priority, ..known.clone() };
            membership = membership.with_member(member);
        }
        membership
    })
}

fn any_bringer() -> impl Strategy<Value = Bringer> {
    prop_oneof![Just(Bringer::Answer), Just(Bringer::Log), Just(Bringer::Snapshot)]
}

fn any_founder() -> impl Strategy<Value = Founder> {
    (any::<u64>(), any::<u128>(), any::<u64>()).prop_map(|(id, incarnation, boot)| Founder {
        id: NodeId(id),
        incarnation: Incarnation(incarnation),
        boot,
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
    prop_oneof![
        (any_term(), any_id()).prop_map(|(next_term, last)| Body::PreVote { next_term, last }),
        (any_term(), any::<bool>())
            .prop_map(|(next_term, granted)| Body::PreVoteReply { next_term, granted }),
        (any_id(), any::<bool>()).prop_map(|(last, transfer)| Body::RequestVote { last, transfer }),
        Just(Body::TimeoutNow),
        Just(Body::Counted),
        Just(Body::Vouch),
        Just(Body::Stranger),
        prop::collection::vec(any_founder(), 0..6).prop_map(|met| Body::Meet { met }),
        (any::<u64>(), any_membership(), any_bringer())
            .prop_map(|(boot, membership, bringer)| Body::Founded { boot, membership, bringer }),
        any::<bool>().prop_map(|granted| Body::RequestVoteReply { granted }),
        (any_id(), entries, any_index()).prop_map(|(prev, entries, committed)| {
            Body::AppendEntries { prev, entries, committed }
        }),
        any_outcome().prop_map(Body::AppendEntriesReply),
        any_beat().prop_map(Body::Heartbeat),
        (any::<u64>(), any_index(), any_index(), any::<bool>(), any::<bool>()).prop_map(
            |(round, verified, matched, borrows, leads)| Body::HeartbeatReply {
                round,
                verified,
                matched,
                durable: matched,
                ready: Readiness { borrows, leads },
            },
        ),
        (any::<u64>(), any::<u64>()).prop_map(|(boot, ticket)| Body::ReadIndex { boot, ticket }),
        (any::<u64>(), any::<u64>(), any_index())
            .prop_map(|(boot, ticket, index)| Body::ReadIndexReply { boot, ticket, index }),
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

fn any_transfer() -> impl Strategy<Value = Transfer> {
    let part =
        || prop_oneof![any::<u32>().prop_map(Part::Manifest), any::<u32>().prop_map(Part::Chunk),];
    let bytes = prop::collection::vec(any::<u8>(), 0..2000);
    let body = prop_oneof![
        part().prop_map(TransferBody::Request),
        (part(), bytes).prop_map(|(part, bytes)| TransferBody::Bytes(part, bytes.into())),
        Just(TransferBody::Gone),
    ];
    (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), body).prop_map(|(from, to, root, body)| {
        Transfer { from: NodeId(from), to: NodeId(to), root: Root(root), body }
    })
}

fn any_append() -> impl Strategy<Value = Message> {
    let entries = prop::collection::vec(any_entry(), 0..20);
    (any_message(), any_id(), entries, any_index()).prop_map(
        |(message, prev, entries, committed)| Message {
            body: Body::AppendEntries { prev, entries, committed },
            ..message
        },
    )
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    let hash = || prop::option::of(any::<[u8; 16]>().prop_map(Hash128));
    let imprint = (hash(), hash()).prop_map(|(results, state)| Imprint { results, state });
    let body = prop_oneof![
        (any::<u64>(), any_index()).prop_map(|(round, index)| ComparisonBody::Ask { round, index }),
        (any::<u64>(), any_index(), imprint).prop_map(|(round, index, imprint)| {
            ComparisonBody::Answer { round, index, imprint }
        }),
        any_index().prop_map(|after| ComparisonBody::Want { after }),
        any_meta().prop_map(|meta| ComparisonBody::Offer { meta }),
    ];
    (any::<u64>(), any::<u64>(), body).prop_map(|(from, to, body)| Comparison {
        from: NodeId(from),
        to: NodeId(to),
        body,
    })
}

/// Any packet at all.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        4 => any_message().prop_map(Packet::Message),
        1 => any_transfer().prop_map(Packet::Transfer),
        1 => (any_append(), any::<u64>())
            .prop_map(|(message, chain)| Packet::Chained(message, Chain(chain))),
        1 => any_comparison().prop_map(Packet::Comparison),
    ]
}

/// The frame of a packet.
pub(crate) fn frame(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(packet, &mut bytes).expect("it is within the bounds");
    bytes
}

/// An `AppendEntries` with these commands.
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

/// What `encode` says against a packet; it leaves the bytes before it alone.
fn refusal(packet: &Packet) -> Flaw {
    let mut bytes = vec![1, 2];
    let WireError { offset: 0, flaw } = encode(packet, &mut bytes).expect_err("it is too large")
    else {
        panic!("nothing stands before it");
    };
    assert_eq!(bytes, [1, 2]);
    flaw
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_comes_back(packet in any_packet()) {
        let mut bytes = vec![7; 3];
        encode(&packet, &mut bytes).expect("it is within the bounds");
        prop_assert_eq!(&bytes[..3], &[7; 3]);
        prop_assert_eq!(decode(&bytes[3..]), Ok(packet));
    }
}

#[test]
fn a_packet_at_its_bounds_comes_back_and_one_beyond_is_refused() {
    let full = append(vec![Command::from("x"); APPEND_ENTRIES_MAX]);
    assert_eq!(decode(&frame(&full)), Ok(full));
    let many = append(vec![Command::from("x"); APPEND_ENTRIES_MAX + 1]);
    let Flaw::Body { kind: Kind::Append, reason } = refusal(&many) else { panic!("too many") };
    assert!(reason.contains("4097"), "{reason}");

    let fixed = frame(&append([Command::from("")])).len() - FRAME_HEADER_BYTES;
    let largest = Kind::Append.bytes_max() - fixed;
    let large = append([Command::from(vec![5; largest])]);
    assert_eq!(decode(&frame(&large)), Ok(large));
    let larger = append([Command::from(vec![5; largest + 1])]);
    let length = Kind::Append.bytes_max() + 1;
    assert_eq!(refusal(&larger), Flaw::TooLong { kind: Kind::Append, length });
}

#[test]
fn a_membership_that_no_node_may_have_is_not_sent() {
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
        packet(Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO })
    };
    let of = |members: u64| Membership::new([NodeId(1)]).with_learners((2..=members).map(NodeId));
    let leaves = Member { fate: Fate::Leaves, ..Member::new(NodeId(1)) };
    for (refused, reason) in [
        (of(133), "more than 3584 bytes"),
        (Membership::new((1..=65).map(NodeId)), "more than 64 nodes"),
        (of(2).with_member(leaves), "n1 is to become two things"),
    ] {
        for packet in [offer(refused.clone()), append(refused)] {
            let Flaw::Body { reason: found, .. } = refusal(&packet) else { panic!("refused") };
            assert!(found.contains(reason), "{found}");
        }
    }
    for packet in [offer(of(132)), append(of(132))] {
        assert_eq!(decode(&frame(&packet)), Ok(packet));
    }
    let meet = |founders| packet(Body::Meet { met: vec![Founder::unknown(NodeId(1)); founders] });
    assert_eq!(decode(&frame(&meet(132))), Ok(meet(132)));
    let Flaw::Body { reason, .. } = refusal(&meet(133)) else { panic!("too many founders") };
    assert!(reason.contains("a list of 133"), "{reason}");
}

#[test]
fn a_part_of_one_mebibyte_comes_back() {
    let bytes: Arc<[u8]> = vec![3; 1 << 20].into();
    let body = TransferBody::Bytes(Part::Chunk(u32::MAX), bytes);
    let transfer = Transfer { from: NodeId(1), to: NodeId(2), root: Root([9; 32]), body };
    let packet = Packet::Transfer(transfer);
    assert_eq!(decode(&frame(&packet)), Ok(packet));
}
