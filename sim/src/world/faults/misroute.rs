//! Misrouted messages, which no correct node would send to this receiver and which a correct node
//! rejects, and replays of old messages.
//!
//! None of them is a forgery that could break safety: a misrouted message never carries a vote or
//! an acknowledgement that a voter of the cluster has not given and that would count.

use quorate::log::Log;
use quorate::raft::{RoleName, Status};
use quorate::types::{
    AppendOutcome, Body, Entry, EntryId, Heartbeat, Index, Message, NodeId, Payload, Readiness,
    Term,
};

use crate::faults::Fault;
use crate::settings::Settings;
use crate::values::choice::{Draw, Key, Kind};
use crate::world::cluster::node::Node;
use crate::world::network::Network;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::run::Setup;

/// The id of a node outside the cluster.
const NON_MEMBER: NodeId = NodeId(200);

/// Delivers misrouted messages to a node, one after the other.
pub(crate) fn misroute(node: &Node, count: u32, network: &mut Network, run: &mut Run) {
    for number in 0..count {
        if let Some((message, role)) = misrouted_message(node, number, network, &run.setup) {
            run.observer.fault(Fault::Misroute, Some(role));
            // A message for another node was sent to that node; no node has sent the others.
            let is_sent = message.to != node.place.id();
            network.inject(message, node.place, is_sent, run);
        }
    }
}

/// Delivers old messages to their receiver once more.
pub(crate) fn replay(node: &Node, count: u32, network: &mut Network, run: &mut Run) {
    let (place, Some(running)) = (node.place, node.running()) else { return };
    let key = node.start().key(Kind::Replay, running.counts.steps);
    let old = network.past.iter().filter(|message| message.to == place.id());
    let old: Vec<&Message> = old.collect();
    if old.is_empty() {
        return;
    }
    let choices = &run.setup.choices;
    let pick = |peer| old[choices.choose(Key { peer, ..key }, old.len() as u64) as usize].clone();
    let again: Vec<Message> = (0..count).map(|number| pick(number as u16)).collect();
    run.observer.fault(Fault::Replay, node.role());
    for message in again {
        network.inject(message, place, true, run);
    }
}

/// Draws a misrouted message that the node would reject in its state, if there is one.
fn misrouted_message(
    node: &Node,
    number: u32,
    network: &Network,
    setup: &Setup,
) -> Option<(Message, RoleName)> {
    let (place, running) = (node.place, node.running()?);
    let (status, step) = (&running.status, running.counts.steps);
    let key = node.start().key(Kind::Misroute, step << 3);
    let mut draw = setup.choices.draw(Key { peer: number as u16, ..key });
    let nodes = setup.settings.nodes().max(2);
    let steps = draw.between(1, u64::from(nodes - 1)) as u8;
    let from = Place((place.0 + steps) % nodes).id();
    let message = match draw.below(8) {
        0 => misaddressed(place, &network.past, &mut draw),
        1 => Some(malformed(status, from, &mut draw)),
        2 | 3 => Some(from_non_member(status, &mut draw)),
        4 => impossible_reply(status, from, &mut draw),
        5 | 6 => overwrites_committed(status, running.node.raft().log()),
        _ => second_leader(status, from),
    };
    message.map(|message| (message, status.role))
}

/// Returns a copy of an old message for another node, or one from the node to itself if no message
/// is remembered.
fn misaddressed(place: Place, old: &[Message], draw: &mut Draw<'_>) -> Option<Message> {
    if old.is_empty() {
        let body = Body::Heartbeat(Heartbeat::new(1, Index::ZERO));
        return Some(message_from(place.id(), place.id(), Term(1), body));
    }
    let message = &old[draw.below(old.len() as u64) as usize];
    (message.to != place.id()).then(|| message.clone())
}

/// Returns a message of a node that never lost its disk.
fn message_from(from: NodeId, to: NodeId, term: Term, body: Body) -> Message {
    Message { from, incarnation: Settings::incarnation(from, 0), to, term, body }
}

/// Returns a message with a term, an index or an order that no node ever sends.
fn malformed(status: &Status, from: NodeId, draw: &mut Draw<'_>) -> Message {
    let term = status.term.next();
    let beyond = Index(Index::MAX.0 + 1);
    let noop = |term, index| Entry { id: EntryId::new(term, index), payload: Payload::Noop };
    let append = |prev, entries: Vec<Entry>| {
        let entries = entries.into();
        Body::AppendEntries { prev, entries, committed: Index::ZERO }
    };
    let (term, body) = match draw.below(6) {
        0 => (Term(Term::MAX.0 + 1), Body::Heartbeat(Heartbeat::new(1, Index::ZERO))),
        1 => (term, Body::Heartbeat(Heartbeat::new(1, beyond))),
        2 => (term, append(EntryId::ZERO, vec![noop(term, Index(1)), noop(term, Index(3))])),
        3 => (term, append(EntryId::ZERO, vec![noop(term.next(), Index(1))])),
        4 => {
            let last = EntryId::new(term.next(), Index(1));
            (term, Body::RequestVote { last, transfer: false })
        }
        _ => (term, append(EntryId::new(term, beyond), Vec::new())),
    };
    message_from(from, status.id, term, body)
}

/// Returns a reply from a node outside the cluster, which would count if a member had sent it.
fn from_non_member(status: &Status, draw: &mut Draw<'_>) -> Message {
    let body = match draw.below(4) {
        0 => Body::RequestVoteReply { granted: true, committed: Index::ZERO },
        1 => {
            let matched = status.last.index;
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        }
        2 => Body::HeartbeatReply {
            round: 1,
            verified: status.last.index,
            matched: Index::ZERO,
            durable: Index::ZERO,
            ready: Readiness::default(),
        },
        _ => Body::PreVoteReply {
            next_term: status.term.next(),
            granted: true,
            committed: Index::ZERO,
        },
    };
    message_from(NON_MEMBER, status.id, status.term, body)
}

/// Returns a reply to a leader that acknowledges entries that no log ever has. The acknowledged
/// index is near the largest one, because a paused leader may append entries before it takes the
/// reply.
fn impossible_reply(status: &Status, from: NodeId, draw: &mut Draw<'_>) -> Option<Message> {
    let matched = Index(Index::MAX.0 - draw.below(1_000));
    let body = Body::AppendEntriesReply(AppendOutcome::Accepted { matched });
    let leads = status.role == RoleName::Leader;
    leads.then(|| message_from(from, status.id, status.term, body))
}

/// Returns a message of the node's leader that would overwrite a committed entry.
fn overwrites_committed(status: &Status, log: &Log) -> Option<Message> {
    let from = status.leader.filter(|leader| *leader != status.id)?;
    // The entry must be of an earlier term: with the leader's term it would be the same entry.
    let earlier = Term(status.term.0 - 1);
    let last = log.find_conflict_by_term(status.committed, earlier);
    let prev = last.index.previous();
    let prev = EntryId::new(log.term_at(prev)?, prev);
    if last.index <= log.base().index || last.term >= status.term {
        return None;
    }
    let id = EntryId::new(status.term, last.index);
    let entries = Entry { id, payload: Payload::Noop }.into();
    let body = Body::AppendEntries { prev, entries, committed: Index::ZERO };
    Some(message_from(from, status.id, status.term, body))
}

/// Returns a heartbeat of a second leader of the same term.
fn second_leader(status: &Status, from: NodeId) -> Option<Message> {
    status.leader.filter(|leader| *leader != from)?;
    let body = Body::Heartbeat(Heartbeat::new(1, Index::ZERO));
    Some(message_from(from, status.id, status.term, body))
}
