//! Packets of every kind, requests of five kinds, and replies of four kinds, with drawn values that
//! are the same in every run.

use std::time::Duration;

use quorate::types::{
    Acknowledge, Address, AppendOutcome, Body, BootstrapPeer, Change, Command, Comparison,
    ComparisonBody, Entry, EntryId, Freshness, Hash128, HashChain, Heartbeat, Incarnation, Index,
    MachineVersion, Membership, MembershipSource, Message, MessageKind, NodeId, Packet, Payload,
    ReadLevel, Readiness, Root, SnapshotMeta, SnapshotPart, SnapshotTransfer, SnapshotTransferBody,
    StateDigest, Term,
};
use quorate::wire::{ClientReply, ClientRequest, ReplyBody, RequestBody};

use crate::draw::Draw;

fn one_of<T: Clone>(draw: &mut Draw, all: &[T]) -> T {
    all[draw.below(all.len() as u64) as usize].clone()
}

fn chance(draw: &mut Draw) -> bool {
    draw.below(2) == 0
}

fn node(draw: &mut Draw) -> NodeId {
    NodeId(draw.number())
}

fn index(draw: &mut Draw) -> Index {
    Index(draw.number())
}

fn id(draw: &mut Draw) -> EntryId {
    EntryId::new(Term(draw.number()), index(draw))
}

fn span(draw: &mut Draw) -> Duration {
    Duration::from_nanos(draw.number())
}

fn wide(draw: &mut Draw) -> u128 {
    u128::from(draw.number()) << 64 | u128::from(draw.number())
}

fn text(draw: &mut Draw) -> String {
    let length = draw.below(20);
    (0..length).map(|_| char::from(b'a' + draw.below(26) as u8)).collect()
}

fn address(draw: &mut Draw) -> Address {
    Address::new(&text(draw)).expect("the address is short")
}

fn membership(draw: &mut Draw) -> Membership {
    let nodes = |draw: &mut Draw, first: u64| {
        let count = draw.below(4);
        (first..=first + count).map(NodeId).collect::<Vec<_>>()
    };
    let mut membership = Membership::new(nodes(draw, 1));
    if chance(draw) {
        membership = membership.joint_with(nodes(draw, 3));
    }
    membership = membership.with_learners(nodes(draw, 9));
    for known in membership.members().to_vec() {
        let (incarnation, address) = (Incarnation(wide(draw)), address(draw));
        let priority = draw.number() as u8;
        membership = membership.with_member(quorate::types::Member {
            incarnation,
            address,
            priority,
            ..known
        });
    }
    membership
}

fn entries(draw: &mut Draw) -> Vec<Entry> {
    let count = draw.below(6);
    (0..count)
        .map(|_| {
            let payload = match draw.below(3) {
                0 => Payload::Noop,
                1 => Payload::Command(Command::from(draw.bytes(100))),
                _ => Payload::Membership(membership(draw)),
            };
            Entry { id: id(draw), payload }
        })
        .collect()
}

fn meta(draw: &mut Draw) -> SnapshotMeta {
    let (last, membership, bytes) = (id(draw), membership(draw), draw.number());
    SnapshotMeta { last, membership, bytes, root: root(draw) }
}

fn root(draw: &mut Draw) -> Root {
    Root(std::array::from_fn(|_| draw.below(256) as u8))
}

fn hash(draw: &mut Draw) -> Option<Hash128> {
    chance(draw).then(|| Hash128(std::array::from_fn(|_| draw.below(256) as u8)))
}

fn outcome(draw: &mut Draw) -> AppendOutcome {
    match draw.below(4) {
        0 => AppendOutcome::Accepted { matched: index(draw) },
        1 => AppendOutcome::Rejected { prev: index(draw), hint: id(draw) },
        2 => AppendOutcome::NoSpace { verified: index(draw) },
        _ => AppendOutcome::Stored { verified: index(draw) },
    }
}

fn heartbeat(draw: &mut Draw) -> Heartbeat {
    Heartbeat {
        confirmed: draw.number(),
        echo: draw.number(),
        vote_lease: span(draw),
        read_lease: span(draw),
        ..Heartbeat::new(draw.number(), index(draw))
    }
}

fn machine_version(draw: &mut Draw) -> MachineVersion {
    MachineVersion { user: draw.below(9) as u32, library: 1 + draw.below(3) as u32 }
}

fn heartbeat_reply(draw: &mut Draw) -> Body {
    let ready = Readiness {
        wants_read_lease: chance(draw),
        may_lead: chance(draw),
        is_uncertain: chance(draw),
        version_max: machine_version(draw),
    };
    let (round, verified, matched) = (draw.number(), index(draw), index(draw));
    Body::HeartbeatReply { round, verified, matched, durable: index(draw), ready }
}

fn bootstrap_peers(draw: &mut Draw) -> Vec<BootstrapPeer> {
    let count = draw.below(5);
    (0..count)
        .map(|_| BootstrapPeer {
            id: node(draw),
            incarnation: Incarnation(wide(draw)),
            start_id: draw.number(),
        })
        .collect()
}

fn body(draw: &mut Draw, kind: MessageKind) -> Body {
    let sources = [MembershipSource::Reply, MembershipSource::Log, MembershipSource::Snapshot];
    let (first, second) = (draw.number(), draw.number());
    match kind {
        MessageKind::PreVote => Body::PreVote { next_term: Term(first), last: id(draw) },
        MessageKind::PreVoteReply => Body::PreVoteReply {
            next_term: Term(first),
            granted: chance(draw),
            committed: Index(second),
        },
        MessageKind::RequestVote => Body::RequestVote { last: id(draw), transfer: chance(draw) },
        MessageKind::RequestVoteReply => {
            Body::RequestVoteReply { granted: chance(draw), committed: Index(first) }
        }
        MessageKind::AppendEntries => Body::AppendEntries {
            prev: id(draw),
            entries: entries(draw).into(),
            committed: Index(first),
        },
        MessageKind::AppendEntriesReply => Body::AppendEntriesReply(outcome(draw)),
        MessageKind::Heartbeat => Body::Heartbeat(heartbeat(draw)),
        MessageKind::HeartbeatReply => heartbeat_reply(draw),
        MessageKind::ReadIndex => Body::ReadIndex { start_id: first, ticket: second },
        MessageKind::ReadIndexReply => {
            Body::ReadIndexReply { start_id: first, ticket: second, index: index(draw) }
        }
        MessageKind::InstallSnapshot => Body::InstallSnapshot { meta: meta(draw) },
        MessageKind::InstallSnapshotReply => Body::InstallSnapshotReply { matched: Index(first) },
        MessageKind::TimeoutNow => Body::TimeoutNow,
        MessageKind::BootstrapProbe => Body::BootstrapProbe { seen: bootstrap_peers(draw) },
        MessageKind::Bootstrapped => Body::Bootstrapped {
            start_id: first,
            membership: membership(draw),
            source: one_of(draw, &sources),
        },
        MessageKind::UnknownIncarnation => Body::UnknownIncarnation,
        MessageKind::TakeoverAllowed => Body::TakeoverAllowed,
        MessageKind::LogIsComplete => Body::LogIsComplete,
        MessageKind::RequestEntries => Body::RequestEntries { first: id(draw), last: Index(first) },
        MessageKind::RequestEntriesReply => Body::RequestEntriesReply {
            entries: entries(draw).into(),
            snapshot: chance(draw).then(|| Box::new(meta(draw))),
        },
        MessageKind::RequestLogEnd => Body::RequestLogEnd { start_id: first },
        MessageKind::LogEnd => Body::LogEnd { start_id: first, last: Index(second) },
        MessageKind::LogRolledBack => Body::LogRolledBack,
    }
}

/// Draws a message of this kind.
pub(crate) fn message(draw: &mut Draw, kind: MessageKind) -> Message {
    Message {
        from: node(draw),
        incarnation: Incarnation(wide(draw)),
        to: node(draw),
        term: Term(draw.number()),
        body: body(draw, kind),
    }
}

/// Draws a packet that is not a [`Packet::Message`].
pub(crate) fn other_packet(draw: &mut Draw) -> Packet {
    let (from, to) = (node(draw), node(draw));
    let number = draw.number() as u32;
    let part = one_of(draw, &[SnapshotPart::Manifest(number), SnapshotPart::Chunk(number)]);
    let (round, at) = (draw.number(), index(draw));
    let transfer = |root, body| Packet::SnapshotTransfer(SnapshotTransfer { from, to, root, body });
    let comparison = |body| Packet::Comparison(Comparison { from, to, body });
    match draw.below(8) {
        0 => transfer(root(draw), SnapshotTransferBody::Request(part)),
        1 => transfer(root(draw), SnapshotTransferBody::Bytes(part, draw.bytes(200).into())),
        2 => transfer(root(draw), SnapshotTransferBody::Gone),
        3 => comparison(ComparisonBody::Request { round, index: at }),
        4 => {
            let state_digest = StateDigest { results: hash(draw), state: hash(draw) };
            comparison(ComparisonBody::Reply { round, index: at, state_digest })
        }
        5 => comparison(ComparisonBody::WantSnapshot { after: at }),
        6 => comparison(ComparisonBody::OfferSnapshot { meta: meta(draw) }),
        _ => {
            let message = message(draw, MessageKind::AppendEntries);
            Packet::Chained(message, HashChain(draw.number()))
        }
    }
}

fn change(draw: &mut Draw) -> Change {
    let edits = draw.below(8);
    (0..edits).fold(Change::new(), |change, _| {
        let id = node(draw);
        match draw.below(9) {
            0 => change.voter(id),
            1 => change.learner(id),
            2 => change.suspend(id),
            3 => change.remove(id),
            4 => change.casting(Some(id)),
            5 => change.casting(None),
            6 => change.incarnation(id, Incarnation(wide(draw))),
            7 => change.address(id, address(draw)),
            _ => change.priority(id, draw.number() as u8),
        }
    })
}

/// Draws a request of one of five kinds.
pub(crate) fn request(draw: &mut Draw) -> ClientRequest {
    let levels = [
        ReadLevel::Linearizable,
        ReadLevel::Lease,
        ReadLevel::Replica,
        ReadLevel::Bounded(span(draw)),
        ReadLevel::Local,
    ];
    use Acknowledge::{AllLive, Default, LeaderOnly, Quorum};
    let acknowledge = one_of(draw, &[Default, Quorum, AllLive, LeaderOnly]);
    let command = Command::from(draw.bytes(200));
    let body = match draw.below(5) {
        0 => RequestBody::Propose { acknowledge, command },
        1 => RequestBody::Read { level: one_of(draw, &levels), query: draw.bytes(100) },
        2 => RequestBody::ChangeMembership(change(draw)),
        3 => RequestBody::TransferLeadership(chance(draw).then(|| node(draw))),
        _ => RequestBody::ProposeFor { acknowledge, command },
    };
    ClientRequest { number: draw.number(), body }
}

/// Draws a reply of one of four kinds.
pub(crate) fn reply(draw: &mut Draw) -> ClientReply {
    let freshness = [Freshness::Linearizable, Freshness::Within(span(draw)), Freshness::Unknown];
    let id = id(draw);
    let body = match draw.below(4) {
        0 => ReplyBody::Replied { id, reply: draw.bytes(200).into() },
        1 => ReplyBody::Registered { id, session: index(draw) },
        2 => ReplyBody::MayBeLost { id },
        _ => ReplyBody::Answered {
            freshness: one_of(draw, &freshness),
            index: index(draw),
            applied: index(draw),
            answer: draw.bytes(200),
        },
    };
    ClientReply { number: draw.number(), body }
}
