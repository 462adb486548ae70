//! The check that a recovery is needed, because no quorum is alive or can be started.

use crate::quorum::is_quorum;
use crate::recovery::directory_state::DirectoryState;
use crate::recovery::reject_reason::RecoveryRejectReason;
use crate::recovery::source::{RecoverySource, undamaged};
use crate::types::{Membership, NodeId};

/// Rejects the recovery if the `alive` nodes are a quorum, or form one together with the nodes
/// whose directories are undamaged. `states` are those of the cluster's directories.
///
/// # Errors
/// A [`RecoveryRejectReason`], which may also be that the directory of an alive node was not
/// surveyed.
pub(crate) fn reject_if_quorum_available(
    source: &RecoverySource,
    states: &[&DirectoryState],
    alive: &[NodeId],
) -> Result<(), RecoveryRejectReason> {
    let is_alive = |id: NodeId| alive.contains(&id);
    let members = |selected: &dyn Fn(NodeId) -> bool| -> Vec<NodeId> {
        source.membership().ids().filter(|id| selected(*id)).collect()
    };
    // The log of a node that joined later begins with an empty membership: the node does not know
    // the memberships before the one that added it.
    let known = || source.memberships.iter().filter(|membership| !membership.is_empty());
    if known().any(|membership| is_quorum(membership, is_alive)) {
        assert!(!alive.is_empty(), "a quorum has nodes");
        return Err(RecoveryRejectReason::QuorumAlive(alive.to_vec()));
    }
    let is_available = |id: NodeId| is_alive(id) || source.undamaged.contains(&id);
    if is_quorum(source.membership(), is_available) {
        return Err(RecoveryRejectReason::QuorumAvailable(members(&is_available)));
    }
    for membership in known() {
        if let Some(nodes) = quorum_without_later(source, states, membership, alive) {
            return Err(RecoveryRejectReason::QuorumAvailable(nodes));
        }
    }
    let unknown: Vec<NodeId> =
        alive.iter().copied().filter(|id| !source.surveyed.contains(id)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(RecoveryRejectReason::NotSurveyed(unknown)) }
}

/// Returns the available nodes whose own last membership is this one, if they are a quorum of it:
/// they can elect a leader, although the log of the source has a later membership. That later
/// membership is then not committed, unless last survivors continued with it, which needs no
/// quorum.
fn quorum_without_later(
    source: &RecoverySource,
    states: &[&DirectoryState],
    membership: &Membership,
    alive: &[NodeId],
) -> Option<Vec<NodeId>> {
    let undamaged = undamaged(states, membership);
    let may_start = |state: &&&DirectoryState| {
        let node = state.opened.identity.node;
        state.membership() == membership
            && membership.is_member(node)
            && (alive.contains(&node) || undamaged.contains(&node))
    };
    let mut nodes: Vec<NodeId> =
        states.iter().filter(may_start).map(|state| state.opened.identity.node).collect();
    nodes.sort_unstable();
    assert!(nodes.windows(2).all(|pair| pair[0] < pair[1]), "each node has one directory");
    let has_later_survivors = membership.lineages() != source.membership().lineages();
    (!has_later_survivors && is_quorum(membership, |node| nodes.contains(&node))).then_some(nodes)
}
