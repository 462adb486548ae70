//! The evidence for deadlines that the core misses: what a node waits for (L2, L5), and the state
//! of every core node (L2, L5, L10).

use quorate::raft::RoleName;
use quorate::types::NodeId;

use crate::check::known::Known;
use crate::check::model::Node;
use crate::check::nodes::Slot;

/// Describes what the node in `slot` waits for, and the state of every core node.
pub(super) fn describe_wait(known: &Known, slot: Slot) -> String {
    format!("it waits {}; {}", describe_need(known, slot), describe_core(known))
}

/// Describes the state of every core node.
pub(super) fn describe_core(known: &Known) -> String {
    let describe = |node: &Node| match &node.status {
        None => format!("{} is down", node.id),
        Some(status) => {
            let (status, last) = (status.to_string(), node.disk.log.last_id());
            format!("{}, disk up to {last}", status.trim_end())
        }
    };
    in_core(known).map(describe).collect::<Vec<_>>().join("; ")
}

/// The nodes of the core.
fn in_core(known: &Known) -> impl Iterator<Item = &Node> {
    let slots = known.model.slots().filter(|slot| known.is_in_core(*slot));
    slots.map(|slot| known.model.node(slot))
}

/// Describes what the node needs next, as the end of a sentence that begins "it waits".
fn describe_need(known: &Known, slot: Slot) -> String {
    let model = &known.model;
    let Some(own) = model.node(slot).status else { return "to start".to_owned() };
    let leads = |node: &&Node| node.status.is_some_and(|status| status.role == RoleName::Leader);
    let term = |node: &&Node| node.status.map(|status| status.term);
    let Some(leader) = in_core(known).filter(leads).max_by_key(term) else {
        return "for a leader: no core node leads".to_owned();
    };
    let Some(leader_status) = leader.status else { return "for a leader".to_owned() };
    if own.term != leader_status.term || own.leader != Some(leader.id) {
        return format!(
            "for a message from {}, the leader of term {}",
            leader.id, leader_status.term
        );
    }
    if own.applied < own.committed {
        return format!("to apply indices {} to {}", own.applied.next(), own.committed);
    }
    if own.committed < leader_status.committed {
        return format!(
            "for indices {} to {}, which leader {} has committed",
            own.committed.next(),
            leader_status.committed,
            leader.id,
        );
    }
    let last = leader_status.last.index;
    if leader_status.committed == last {
        if own.id == leader.id {
            return "although it leads, and its whole log is committed and applied".to_owned();
        }
        return format!("for a reply from leader {}, whose whole log is committed", leader.id);
    }
    let next = leader_status.committed.next();
    let id = leader.memory.log.id_at(next);
    let has = |node: &&Node| id.is_some() && node.disk.log.id_at(next) == id;
    let names =
        |nodes: Vec<NodeId>| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ");
    let membership = &model.electorate(model.slot(leader.id)).membership;
    let voters = model.nodes.iter().filter(|node| membership.is_voter(node.id));
    let (have, lack): (Vec<&Node>, Vec<&Node>) = voters.partition(has);
    let ids = |nodes: Vec<&Node>| names(nodes.iter().map(|node| node.id).collect());
    format!(
        "for the commit of index {next}: voters [{}] have the entry on disk, voters [{}] do not",
        ids(have),
        ids(lack)
    )
}
