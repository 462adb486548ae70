//! The actions of the current step, and the count of the messages that the node rejected.

use alloc::vec::Vec;

use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::api::rejected_messages::RejectedMessages;
use crate::types::NodeId;

/// Everything that a step reports to the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Output {
    /// The actions of the current step; empty between two steps.
    #[cfg_attr(feature = "std", serde(skip))]
    actions: Vec<Action>,
    rejected_messages: RejectedMessages,
}

impl Output {
    /// Exchanges this list with the driver's list of actions, at the beginning and at the end of a
    /// step.
    #[inline]
    pub(crate) fn swap(&mut self, actions: &mut Vec<Action>) {
        core::mem::swap(actions, &mut self.actions);
    }

    #[inline]
    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Counts and reports a rejected message.
    #[cold]
    pub(crate) fn reject_message(
        &mut self,
        from: NodeId,
        message: &'static str,
        reason: MessageRejectReason,
    ) {
        self.rejected_messages.add(reason);
        self.push(Action::MessageRejected { from, message, reason });
    }

    pub(crate) fn rejected_messages(&self) -> &RejectedMessages {
        &self.rejected_messages
    }

    /// Panics if an action is left over between two steps.
    pub(crate) fn assert_invariants(&self) {
        assert!(self.actions.is_empty(), "a step returns all of its actions");
    }
}
