//! Requests of a node that lacks a part of its log: S82. For the contents of damaged entries it
//! asks one member after the other, because some may be down or lack the contents, too. For the end
//! of a log that it is uncertain of, it asks its leader. It repeats each request only after a
//! heartbeat interval, or once its disk may have repaired an entry.

use std::collections::BTreeSet;

use quorate::raft::Status;
use quorate::types::{Body, EntryId, Instant, Message, NodeId};

use crate::check::finding::{CheckResult, S82};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The maximum number of requests in a row, after the first one, to one of several members. The
/// node may have dropped requests to the others, because too many messages waited for its disk.
const REPEATS_MAX: u32 = 2;

/// For each node, its last requests.
#[derive(Clone, Debug)]
pub(super) struct RepairRequests {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The time of the last step, by the node's clock.
    stepped: Instant,
    leader: Option<NodeId>,
    /// The member that the node asked last for contents, and the time of the request; no time if
    /// the node may repeat the request at once.
    asked: Option<(NodeId, Option<Instant>)>,
    /// The number of requests in a row to that member before the last one.
    repeats: u32,
    /// The time of the last request for the end of the log.
    end_requested: Option<Instant>,
}

impl Rule for RepairRequests {
    fn new(known: &Known) -> RepairRequests {
        RepairRequests { nodes: vec![Node::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.nodes[known.model.slot(status.id).0] = Node::default();
        Ok(())
    }

    fn entries_repaired(&mut self, known: &Known, id: NodeId, _: &[EntryId]) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(id).0];
        node.asked = node.asked.map(|(member, _)| (member, None));
        Ok(())
    }

    /// The node may ask again as soon as its disk has repaired what a reply contains.
    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        if let Body::RequestEntriesReply { .. } = message.body {
            let node = &mut self.nodes[known.model.slot(id).0];
            node.asked = node.asked.map(|(member, _)| (member, None));
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(status.id).0];
        (node.stepped, node.leader) = (known.own_time, status.leader);
        if status.damaged_entries == 0 {
            node.asked = None;
        }
        let before = known.status_before(status);
        if before.is_none_or(|before| before.is_uncertain != status.is_uncertain) {
            node.end_requested = None;
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let slot = known.model.slot(message.from);
        let node = &mut self.nodes[slot.0];
        let (id, interval) = (message.from, known.bounds.config.heartbeat_interval);
        let is_early = |at: Instant| node.stepped < at.after(interval);
        match message.body {
            Body::RequestEntries { .. } if !known.is_prompt(slot) => {
                node.asked = None;
                Ok(())
            }
            Body::RequestEntries { .. } => {
                let membership = &known.model.electorate(slot).membership;
                let mut others: BTreeSet<NodeId> = membership.ids().chain(node.leader).collect();
                others.remove(&id);
                let before = node.asked.replace((message.to, Some(node.stepped)));
                let Some((asked, at)) = before else { return Ok(()) };
                let is_same = asked == message.to && others.len() > 1;
                node.repeats = if is_same { node.repeats + 1 } else { 0 };
                if node.repeats > REPEATS_MAX {
                    return S82.violated(format!(
                        "{id} asks {asked} {} times in a row for the contents of damaged entries, \
                         although it could ask {} members",
                        node.repeats + 1,
                        others.len()
                    ));
                }
                if !at.is_some_and(is_early) {
                    return Ok(());
                }
                S82.violated(format!(
                    "{id} asks {} for the contents of damaged entries within {interval:?} after it \
                     asked {asked}, and has repaired no entry since",
                    message.to
                ))
            }
            Body::RequestLogEnd { .. } => {
                let is_prompt = known.is_prompt(slot);
                let before = node.end_requested.replace(node.stepped);
                if !is_prompt {
                    node.end_requested = None;
                }
                if !is_prompt || !before.is_some_and(is_early) {
                    return Ok(());
                }
                S82.violated(format!(
                    "{id} asks {} for the end of the log again within {interval:?}",
                    message.to
                ))
            }
            _ => Ok(()),
        }
    }
}
