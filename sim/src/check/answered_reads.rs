//! Forwarded reads on the node that answers them (S61): the read index comes from the reply to a
//! request that the node sent after the read had begun (thesis §6.4).

use std::collections::VecDeque;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Freshness, Index, Message, NodeId, ReadLevel};

use crate::check::finding::{CheckResult, S61};
use crate::check::known::Known;
use crate::check::rule::{Answer, Rule};
use crate::values::time::SimTime;

/// The number of requests, and of replies, remembered for each node.
const REMEMBERED_MAX: usize = 64;

/// Each node's requests for a read index, and the replies to them.
#[derive(Clone, Debug)]
pub(super) struct AnsweredReads {
    nodes: Vec<Requests>,
}

/// The read index requests of a node since its start.
#[derive(Clone, Debug, Default)]
struct Requests {
    /// The requests, each with the time at which the node first sent it.
    sent: VecDeque<Request>,
    /// The replies that the node took from the leader of its term, each with the time of the
    /// request.
    replies: VecDeque<(SimTime, Index)>,
    /// The time of the latest request that was dropped, or whose reply was dropped, because of
    /// [`REMEMBERED_MAX`].
    forgotten: Option<SimTime>,
    /// The last time at which the node led. As the leader, it took the read index of its pending
    /// reads from its own commit index, and not from a reply.
    led: Option<SimTime>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    start_id: u64,
    ticket: u64,
    at: SimTime,
}

impl Rule for AnsweredReads {
    fn new(known: &Known) -> AnsweredReads {
        AnsweredReads { nodes: vec![Requests::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let requests = &mut self.nodes[known.model.slot(status.id).0];
        requests.sent.clear();
        requests.replies.clear();
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        if status.role == RoleName::Leader {
            self.nodes[known.model.slot(status.id).0].led = Some(known.now);
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        if let Body::ReadIndex { start_id, ticket } = message.body {
            let request = Request { start_id, ticket, at: known.now };
            self.nodes[known.model.slot(message.from).0].remember(request);
        }
        Ok(())
    }

    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let Body::ReadIndexReply { start_id, ticket, index } = message.body else { return Ok(()) };
        let slot = known.model.slot(node);
        let counts =
            known.model.node(slot).status.is_some_and(|status| {
                status.role == RoleName::Follower && status.term == message.term
            });
        if counts && message.to == node {
            self.nodes[slot.0].reply(start_id, ticket, index);
        }
        Ok(())
    }

    /// Checks the answer of a node to a linearizable read, if the node has not led since the read
    /// began.
    fn before_read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let Answer { op, node, freshness, index, .. } = answer;
        let read = known.operations.read(op);
        let read = read.filter(|read| read.level == ReadLevel::Linearizable);
        let Some(read) = read.filter(|_| freshness == Freshness::Linearizable) else {
            return Ok(());
        };
        let requests = &self.nodes[known.model.slot(node).0];
        let is_since = |at: Option<SimTime>| at.is_some_and(|at| at >= read.since);
        let skips = is_since(requests.led) || is_since(requests.forgotten);
        let is_reply =
            |(requested, of): &(SimTime, Index)| *requested >= read.since && *of == index;
        if skips || !known.shows_messages || requests.replies.iter().any(is_reply) {
            return Ok(());
        }
        S61.violated(format!(
            "{node} answers read {} with the read index {index}, but has taken no reply with that \
             index to a request that it sent after {} s, when the read began",
            op.0, read.since
        ))
    }
}

impl Requests {
    /// Remembers a request when the node sends it for the first time.
    fn remember(&mut self, request: Request) {
        let is_same = |it: &Request| (it.start_id, it.ticket) == (request.start_id, request.ticket);
        if self.sent.iter().rev().any(is_same) {
            return;
        }
        if self.sent.len() == REMEMBERED_MAX {
            let oldest = self.sent.pop_front().map(|oldest| oldest.at);
            self.forgotten = self.forgotten.max(oldest);
        }
        self.sent.push_back(request);
    }

    fn reply(&mut self, start_id: u64, ticket: u64, index: Index) {
        let is_same = |it: &&Request| (it.start_id, it.ticket) == (start_id, ticket);
        let Some(request) = self.sent.iter().rev().find(is_same) else { return };
        let at = request.at;
        if self.replies.len() == REMEMBERED_MAX {
            let oldest = self.replies.pop_front().map(|(at, _)| at);
            self.forgotten = self.forgotten.max(oldest);
        }
        self.replies.push_back((at, index));
    }
}
