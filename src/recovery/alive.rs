//! Whether those who are alive, or could be, need no recovery.

use crate::quorum::is_quorum;
use crate::recovery::choice::Choice;
use crate::recovery::refusal::Refusal;
use crate::types::NodeId;

/// Refuses if those who answered, `alive`, or the directories that are whole together with them,
/// can decide without any recovery.
pub(crate) fn refuse_if_needless(choice: &Choice, alive: &[NodeId]) -> Result<(), Refusal> {
    let lives = |id: NodeId| alive.contains(&id);
    let members = |wanted: &dyn Fn(NodeId) -> bool| -> Vec<NodeId> {
        choice.membership().ids().filter(|id| wanted(*id)).collect()
    };
    if choice.memberships.iter().any(|membership| is_quorum(membership, lives)) {
        return Err(Refusal::QuorumAlive(alive.to_vec()));
    }
    let at_hand = |id: NodeId| lives(id) || choice.whole.contains(&id);
    if is_quorum(choice.membership(), at_hand) {
        return Err(Refusal::QuorumAtHand(members(&at_hand)));
    }
    let unknown: Vec<NodeId> =
        alive.iter().copied().filter(|id| !choice.looked_at.contains(id)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(Refusal::NotLookedAt(unknown)) }
}
