//! Messages that no correct node would send here and now, each of which a correct node refuses by
//! itself; and old messages that come again.
//!
//! None of them is a forgery that could break safety: a stray never carries a vote or an
//! acknowledgement that a voter of the cluster has not given and that would count.

use quorate::log::Log;
use quorate::raft::{RoleName, Status};
use quorate::types::{
    AppendOutcome, Beat, Body, Entry, EntryId, Index, Message, NodeId, Payload, Readiness, Term,
};

use crate::choice::{Draw, Key, Kind};
use crate::fault::Fault;
use crate::settings::Settings;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::Place;

/// A node that is in no cluster.
const STRANGER: NodeId = NodeId(200);

impl World {
    /// Stray messages reach a node, one after the other.
    pub(super) fn strays(&mut self, place: Place, count: u32, witness: &mut Witness) {
        for number in 0..count {
            if let Some((message, role)) = self.stray(place, number) {
                witness.fault(Fault::Stray, Some(role));
                self.arrives_now(place, message, witness);
            }
        }
    }

    /// A stray message for a node, if there is one that it would refuse in its state.
    fn stray(&self, place: Place, number: u32) -> Option<(Message, RoleName)> {
        let node = &self.nodes[place.0 as usize];
        let running = node.running.as_deref()?;
        let (status, step) = (running.status, running.counts.steps);
        let counter = step << 6 | number << 3;
        let key = Key { node: place.0 + 1, counter, ..Kind::Stray.key() };
        let mut draw = self.choices.draw(Key { incarnation: node.incarnation, ..key });
        let nodes = self.settings.nodes().max(2);
        let steps = draw.between(1, u64::from(nodes - 1)) as u8;
        let from = Place((place.0 + steps) % nodes).id();
        let message = match draw.below(8) {
            0 => self.misaddressed(place, &mut draw),
            1 => Some(malformed(&status, from, &mut draw)),
            2 | 3 => Some(of_a_stranger(&status, &mut draw)),
            4 => impossible_answer(&status, from, &mut draw),
            5 | 6 => overwriting(&status, running.node.raft().log()),
            _ => second_leader(&status, from),
        };
        message.map(|message| (message, status.role))
    }

    /// A copy of an old message that was meant for another node.
    fn misaddressed(&self, place: Place, draw: &mut Draw<'_>) -> Option<Message> {
        let old = self.network.old();
        if old.is_empty() {
            let body = Body::Heartbeat(Beat::new(1, Index::ZERO));
            return Some(said(place.id(), place.id(), Term(1), body));
        }
        let message = &old[draw.below(old.len() as u64) as usize];
        (message.to != place.id()).then(|| message.clone())
    }

    /// Old messages reach the node they were meant for once more.
    pub(super) fn replay(&mut self, place: Place, count: u32, witness: &mut Witness) {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return };
        let (counter, role) = (running.counts.steps, running.status.role);
        let key = Key { node: place.0 + 1, counter, ..Kind::Replay.key() };
        let mut draw = self.choices.draw(Key { incarnation: node.incarnation, ..key });
        let old: Vec<&Message> =
            self.network.old().iter().filter(|message| message.to == place.id()).collect();
        if old.is_empty() {
            return;
        }
        let again: Vec<Message> = (0..count).map(|_| (*draw.pick(&old)).clone()).collect();
        witness.fault(Fault::Replay, Some(role));
        for message in again {
            self.arrives_now(place, message, witness);
        }
    }
}

/// A message of a node that never lost its disk.
fn said(from: NodeId, to: NodeId, term: Term, body: Body) -> Message {
    Message { from, incarnation: Settings::incarnation(from, 0), to, term, body }
}

/// Something with a term, an index or an order that no node ever sends.
fn malformed(status: &Status, from: NodeId, draw: &mut Draw<'_>) -> Message {
    let term = status.term.next();
    let beyond = Index(Index::MAX.0 + 1);
    let noop = |term, index| Entry { id: EntryId::new(term, index), payload: Payload::Noop };
    let append = |prev, entries| Body::AppendEntries { prev, entries, committed: Index::ZERO };
    let (term, body) = match draw.below(6) {
        0 => (Term(Term::MAX.0 + 1), Body::Heartbeat(Beat::new(1, Index::ZERO))),
        1 => (term, Body::Heartbeat(Beat::new(1, beyond))),
        2 => (term, append(EntryId::ZERO, vec![noop(term, Index(1)), noop(term, Index(3))])),
        3 => (term, append(EntryId::ZERO, vec![noop(term.next(), Index(1))])),
        4 => {
            let last = EntryId::new(term.next(), Index(1));
            (term, Body::RequestVote { last, transfer: false })
        }
        _ => (term, append(EntryId::new(term, beyond), Vec::new())),
    };
    said(from, status.id, term, body)
}

/// A node outside the cluster speaks as if it were of it.
fn of_a_stranger(status: &Status, draw: &mut Draw<'_>) -> Message {
    let body = match draw.below(4) {
        0 => Body::RequestVoteReply { granted: true },
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
        _ => Body::PreVoteReply { next_term: status.term.next(), granted: true },
    };
    said(STRANGER, status.id, status.term, body)
}

/// A leader is told that a peer has what the leader itself has not.
fn impossible_answer(status: &Status, from: NodeId, draw: &mut Draw<'_>) -> Option<Message> {
    let matched = Index(status.last.index.0 + draw.between(1, 1_000));
    let body = Body::AppendEntriesReply(AppendOutcome::Accepted { matched });
    let leads = status.role == RoleName::Leader;
    leads.then(|| said(from, status.id, status.term, body))
}

/// The leader of the node's term seems to want a committed entry overwritten.
fn overwriting(status: &Status, log: &Log) -> Option<Message> {
    let from = status.leader.filter(|leader| *leader != status.id)?;
    // The entry must be of an earlier term: with the term of the leader it would be the same one.
    let earlier = Term(status.term.0 - 1);
    let last = log.back_to(status.committed, earlier);
    let prev = last.index.previous();
    let prev = EntryId::new(log.term_at(prev)?, prev);
    if last.index <= log.base().index || last.term >= status.term {
        return None;
    }
    let id = EntryId::new(status.term, last.index);
    let entries = vec![Entry { id, payload: Payload::Noop }];
    let body = Body::AppendEntries { prev, entries, committed: Index::ZERO };
    Some(said(from, status.id, status.term, body))
}

/// Another node claims to lead the term that has a leader.
fn second_leader(status: &Status, from: NodeId) -> Option<Message> {
    status.leader.filter(|leader| *leader != from)?;
    let body = Body::Heartbeat(Beat::new(1, Index::ZERO));
    Some(said(from, status.id, status.term, body))
}
