//! Who waits for what: the evidence that what is due is not done (L7).

use std::fmt::Write;

use quorate::raft::RoleName;
use quorate::types::NodeId;

use crate::check::model::{Model, Node};
use crate::check::nodes::{Nodes, Slot};

/// What the node in `slot` waits for, and how the core stands.
pub(super) fn waits(model: &Model, core: Nodes, slot: Slot) -> String {
    let mut says = format!("it waits {}", what(model, core, slot));
    for slot in model.slots().filter(|slot| core.contains(*slot)) {
        let node = model.node(slot);
        // Writing to a string cannot fail.
        let _ = match &node.status {
            None => write!(says, "; {} is down", node.id),
            Some(status) => {
                let (status, last) = (status.to_string(), node.disk.log.last_id());
                write!(says, "; {}, its disk to {last}", status.trim_end())
            }
        };
    }
    says
}

/// What the node needs next.
fn what(model: &Model, core: Nodes, slot: Slot) -> String {
    let Some(own) = model.node(slot).status else { return "to start".to_owned() };
    let in_core = || model.slots().filter(|slot| core.contains(*slot)).map(|slot| model.node(slot));
    let leads = |node: &&Node| node.status.is_some_and(|status| status.role == RoleName::Leader);
    let term = |node: &&Node| node.status.map(|status| status.term);
    let Some(leader) = in_core().filter(leads).max_by_key(term) else {
        return "for a leader: no core node leads".to_owned();
    };
    let Some(head) = leader.status else { return "for a leader".to_owned() };
    if own.term != head.term || own.leader != Some(leader.id) {
        return format!("for word of {}, which leads {}", leader.id, head.term);
    }
    if own.applied < own.committed {
        return format!("to apply {} to {}", own.applied.next(), own.committed);
    }
    if own.committed < head.committed {
        return format!("for {} to {} from {}", own.committed.next(), head.committed, leader.id);
    }
    let last = head.last.index;
    if head.committed == last {
        return format!("for {} to answer: all of its log is committed", leader.id);
    }
    let next = head.committed.next();
    let id = leader.memory.log.id_at(next);
    let has = |node: &&Node| id.is_some() && node.disk.log.id_at(next) == id;
    let names =
        |nodes: Vec<NodeId>| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ");
    let membership = &model.electorate(model.slot(leader.id)).membership;
    let voters = model.nodes.iter().filter(|node| membership.is_voter(node.id));
    let (have, lack): (Vec<&Node>, Vec<&Node>) = voters.partition(has);
    let ids = |nodes: Vec<&Node>| names(nodes.iter().map(|node| node.id).collect());
    format!(
        "for {next} to be committed: of the voters, {} have it on disk and {} do not",
        ids(have),
        ids(lack)
    )
}
