//! Read index requests that a follower forwards to its leader: the part of S20 about the reply.

use std::collections::VecDeque;

use quorate::types::{Body, Index, Message, Term};

use crate::check::finding::{CheckResult, S20};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// The state of the cluster when a node first sent a read index request.
#[derive(Clone, Copy, Debug)]
struct ForwardedRead {
    start_id: u64,
    ticket: u64,
    /// The latest term that a leader had won.
    won: Term,
    /// The highest index at which a completed operation took effect.
    floor: Index,
}

/// The last read index requests of each node.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    reads: Vec<VecDeque<ForwardedRead>>,
}

/// The number of requests remembered for each node; replies to earlier requests are not checked.
const REMEMBERED_MAX: usize = 32;

impl Rule for Forwarded {
    fn new(known: &Known) -> Forwarded {
        Forwarded { reads: vec![VecDeque::new(); known.model.nodes.len()] }
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        if let Body::ReadIndex { start_id, ticket } = message.body {
            let (won, floor) = (known.won, known.operations.floor());
            let read = ForwardedRead { start_id, ticket, won, floor };
            self.remember(known.model.slot(message.from), read);
        } else if let Body::ReadIndexReply { start_id, ticket, index } = message.body {
            let read = &self.reads[known.model.slot(message.to).0];
            let is_same =
                |read: &&ForwardedRead| (read.start_id, read.ticket) == (start_id, ticket);
            if let Some(read) = read.iter().rev().find(is_same) {
                return check_reply(message, *read, index);
            }
        }
        Ok(())
    }
}

impl Forwarded {
    /// Remembers a request when the node sends it for the first time; a request that is sent again
    /// keeps its first record.
    fn remember(&mut self, slot: Slot, new: ForwardedRead) {
        let read = &mut self.reads[slot.0];
        let key = |read: &ForwardedRead| (read.start_id, read.ticket);
        if read.iter().any(|old| key(old) == key(&new)) {
            return;
        }
        if read.len() == REMEMBERED_MAX {
            read.pop_front();
        }
        read.push_back(new);
    }
}

/// Checks a reply: the leader must have taken its commit index, and confirmed its leadership, after
/// it received the request.
fn check_reply(message: &Message, read: ForwardedRead, index: Index) -> CheckResult {
    let (from, to, term) = (message.from, message.to, message.term);
    let ForwardedRead { won, floor, .. } = read;
    if term < won {
        return S20.violated(format!(
            "{from} answers {to}'s read index request in term {term}, but another leader had won \
             term {won} before {to} sent the request"
        ));
    }
    if index < floor {
        return S20.violated(format!(
            "{from} answers {to}'s read index request with index {index}, but an operation at \
             index {floor} was completed before {to} sent the request"
        ));
    }
    Ok(())
}
