//! Requests for a read index (S74): the reads of a follower share one request, which the follower
//! repeats only after a heartbeat interval.

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Instant, Message, NodeId, Term};

use crate::check::finding::{CheckResult, S74};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, its last request to its present leader, if no reply has arrived since.
#[derive(Clone, Debug)]
pub(super) struct ReadRequests {
    nodes: Vec<Follower>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Follower {
    role: Option<RoleName>,
    term: Term,
    leader: Option<NodeId>,
    /// The time of the last step, by the node's clock.
    stepped: Instant,
    requested: Option<(NodeId, Instant)>,
}

impl Rule for ReadRequests {
    fn new(known: &Known) -> ReadRequests {
        ReadRequests { nodes: vec![Follower::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.nodes[known.model.slot(status.id).0].requested = None;
        Ok(())
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        if let Body::ReadIndexReply { .. } = message.body {
            self.nodes[known.model.slot(id).0].requested = None;
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, role, term, leader, .. } = *status;
        let role = Some(role);
        let node = &mut self.nodes[known.model.slot(id).0];
        if (node.role, node.term, node.leader) != (role, term, leader) || known.is_fault_input {
            node.requested = None;
        }
        (node.role, node.term, node.leader) = (role, term, leader);
        node.stepped = known.own_time;
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::ReadIndex { .. } = message.body else { return Ok(()) };
        let slot = known.model.slot(message.from);
        let node = &mut self.nodes[slot.0];
        if !known.is_prompt(slot) || !known.shows_messages {
            node.requested = None;
            return Ok(());
        }
        let (to, interval) = (message.to, known.bounds.config.heartbeat_interval);
        let before = node.requested.replace((to, node.stepped));
        let is_early =
            before.is_some_and(|(other, at)| other == to && node.stepped < at.after(interval));
        if !is_early {
            return Ok(());
        }
        S74.violated(format!(
            "{} requests a read index from {to} again within {interval:?}, although it has no \
             reply to the previous request",
            message.from
        ))
    }
}
