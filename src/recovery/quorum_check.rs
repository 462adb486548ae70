//! The check that a recovery is needed, because no quorum is alive or can be started.

use crate::quorum::is_quorum;
use crate::recovery::reject_reason::RecoveryRejectReason;
use crate::recovery::source::RecoverySource;
use crate::types::NodeId;

/// Rejects the recovery if the `alive` nodes are a quorum, or form one together with the nodes
/// whose directories are undamaged.
///
/// # Errors
/// A [`RecoveryRejectReason`], also if the directory of an alive node was not surveyed.
pub(crate) fn reject_if_quorum_available(
    source: &RecoverySource,
    alive: &[NodeId],
) -> Result<(), RecoveryRejectReason> {
    let is_alive = |id: NodeId| alive.contains(&id);
    let members = |selected: &dyn Fn(NodeId) -> bool| -> Vec<NodeId> {
        source.membership().ids().filter(|id| selected(*id)).collect()
    };
    if source.memberships.iter().any(|membership| is_quorum(membership, is_alive)) {
        return Err(RecoveryRejectReason::QuorumAlive(alive.to_vec()));
    }
    let is_available = |id: NodeId| is_alive(id) || source.undamaged.contains(&id);
    if is_quorum(source.membership(), is_available) {
        return Err(RecoveryRejectReason::QuorumAvailable(members(&is_available)));
    }
    let unknown: Vec<NodeId> =
        alive.iter().copied().filter(|id| !source.surveyed.contains(id)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(RecoveryRejectReason::NotSurveyed(unknown)) }
}
