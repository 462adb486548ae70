//! Messages that wait for the disk: S80. A node whose term and vote are durable holds back only
//! messages that reveal entries. A leader thus sends its entries while it writes them itself
//! (thesis §10.2.1).

use quorate::raft::{RoleName, Status};
use quorate::types::MessageKind;

use crate::check::finding::{CheckResult, S80};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, whether it has been uncertain since its start.
#[derive(Clone, Debug)]
pub(super) struct HeldMessages {
    was_uncertain: Vec<bool>,
}

impl Rule for HeldMessages {
    fn new(known: &Known) -> HeldMessages {
        HeldMessages { was_uncertain: vec![false; known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.was_uncertain[known.model.slot(status.id).0] = status.is_uncertain;
        Ok(())
    }

    /// Checks that the step holds back no message, unless it may have acknowledged entries: then it
    /// took entries, a snapshot or a bootstrap probe, or a follower received a snapshot. A reply
    /// about damaged entries may name a snapshot that is already on the disk.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let node = known.model.node(slot);
        let was_uncertain = &mut self.was_uncertain[slot.0];
        *was_uncertain |= status.is_uncertain;
        let (hard_state, before) = (status.hard_state(), known.before);
        let is_durable = node.disk.hard_state == hard_state && node.memory.hard_state == hard_state;
        let may_acknowledge = match known.message {
            Some(message) => matches!(
                message.kind,
                MessageKind::AppendEntries
                    | MessageKind::InstallSnapshot
                    | MessageKind::RequestEntriesReply
                    | MessageKind::BootstrapProbe
            ),
            None => status.role != RoleName::Leader,
        };
        let is_exempt = !known.shows_messages || known.is_fault_input || *was_uncertain;
        let held = before.map_or(usize::MAX, |before| before.outbox_messages);
        if may_acknowledge || is_exempt || !is_durable || status.outbox_messages <= held {
            return Ok(());
        }
        let (id, role, term, is) = (status.id, status.role, status.term, status.outbox_messages);
        S80.violated(format!(
            "{id} is a {role} in term {term} whose term and vote are durable, but the step holds \
             back a message that reveals no entry: {held} messages waited for the disk before it, \
             and {is} after it"
        ))
    }
}
