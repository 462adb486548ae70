//! The audit log: every order of an administrator that the service to clients receives, with its
//! outcome. Lines about orders that the service rejects are limited in number.

use std::net::SocketAddr;

use tracing::info;

use crate::machine::Request;
use crate::runtime::origin::Origin;
use crate::runtime::request::Access;
use crate::wire::{ReplyBody, RequestBody};

/// The tracing target of the audit log. `docs/SECURITY.md` lists the fields of its lines.
pub const AUDIT_TARGET: &str = "quorate::audit";

/// An order that was received. Its outcome is logged once it is known, or when this is dropped.
pub(super) struct Order {
    principal: String,
    from: SocketAddr,
    order: String,
    outcome: Option<String>,
    /// Whether nothing is logged, because a rejected order was counted instead.
    left_out: bool,
}

impl Order {
    /// Returns the order in a request of this remote, which needs this access; none if every client
    /// may send the request.
    pub(super) fn of(
        request: &RequestBody,
        access: Access,
        origin: &Origin,
        from: SocketAddr,
    ) -> Option<Order> {
        let is_order = match access {
            Access::Everyone | Access::Clients => false,
            // The node that forwards a proposal has checked the rights of its client, but the
            // request does not say whether the proposal is an order.
            Access::Forwarded => machine_order(request).is_some(),
            Access::Admins => true,
        };
        if !is_order {
            return None;
        }
        let principal = match origin {
            Origin::Principal(principal) => principal.to_string(),
            Origin::Address(_) => "none (no certificate)".to_owned(),
        };
        Some(Order { principal, from, order: order_text(request), outcome: None, left_out: false })
    }

    /// Logs the reply as the outcome of the order.
    pub(super) fn end(mut self, reply: &ReplyBody) {
        self.outcome = Some(outcome_text(reply));
    }

    /// Ends the order without a line in the log.
    pub(super) fn leave_out(mut self) {
        self.left_out = true;
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        let Order { principal, from, order, outcome, left_out } = self;
        if *left_out {
            return;
        }
        let lost = "not known: the connection ended before the reply, or the node stopped";
        let outcome = outcome.as_deref().unwrap_or(lost);
        info!(target: AUDIT_TARGET, %principal, address = %from, order, outcome, "order");
    }
}

/// Returns the text of an order to the state machine, which only an administrator may give.
fn machine_order(request: &RequestBody) -> Option<&'static str> {
    let request = match request {
        // A proposal that is rejected here does not name its proposer yet.
        RequestBody::Propose { command, .. } => Request::decode(command)?,
        RequestBody::ProposeFor { command, .. } => Request::in_log(command)?.1,
        _ => return None,
    };
    match request {
        Request::SetBounds(_) => Some("set the bounds of sessions"),
        Request::Order(_) => Some("give an order to the state machine"),
        Request::RaiseVersion(_) => Some("raise the version of the state machine"),
        Request::Plain(_) | Request::Register { .. } | Request::InSession { .. } => None,
    }
}

fn order_text(request: &RequestBody) -> String {
    match request {
        RequestBody::Propose { .. } | RequestBody::ProposeFor { .. } => {
            machine_order(request).unwrap_or("propose a command").to_owned()
        }
        RequestBody::ChangeMembership(change) => format!("change the membership: {change}"),
        RequestBody::CancelMembershipChange => "cancel the membership change".to_owned(),
        RequestBody::TransferLeadership(Some(to)) => format!("transfer the leadership to {to}"),
        RequestBody::TransferLeadership(None) => "transfer the leadership".to_owned(),
        RequestBody::Campaign => "start an election".to_owned(),
        RequestBody::TakeSnapshot => "take a snapshot".to_owned(),
        RequestBody::Read { .. } => "read".to_owned(),
        RequestBody::Report => "report".to_owned(),
    }
}

fn outcome_text(reply: &ReplyBody) -> String {
    match reply {
        ReplyBody::MembershipChangeCommitted { id } => format!("done: committed at {id}"),
        ReplyBody::Replied { id, .. } => format!("done: applied at {id}"),
        ReplyBody::LeadershipTransferred => "done".to_owned(),
        ReplyBody::Started => "started".to_owned(),
        ReplyBody::Rejected { reason, .. } => format!("rejected: {reason}"),
        ReplyBody::ServiceRejected(reason) => format!("rejected: {reason}"),
        ReplyBody::MachineRejected { reason, .. } => format!("rejected: {reason}"),
        ReplyBody::Unknown | ReplyBody::MayBeLost { .. } => {
            "unknown: it may take effect, or not".to_owned()
        }
        ReplyBody::Registered { .. }
        | ReplyBody::SessionExpired { .. }
        | ReplyBody::OutsideWindow { .. }
        | ReplyBody::Malformed { .. }
        | ReplyBody::Answered { .. }
        | ReplyBody::Report(_) => "answered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Proposer;
    use crate::types::{Acknowledge, EntryId, Index, MachineVersion, SessionBounds, Term};

    #[test]
    fn an_order_to_the_state_machine_is_named_before_and_after_it_is_accepted() {
        let version = MachineVersion::FIRST;
        for (request, text) in [
            (Request::SetBounds(SessionBounds::DEFAULT), "set the bounds of sessions"),
            (Request::Order(b"order"), "give an order to the state machine"),
            (Request::RaiseVersion(version), "raise the version of the state machine"),
            (Request::Plain(b"command"), "propose a command"),
        ] {
            let acknowledge = Acknowledge::Quorum;
            let refused = RequestBody::Propose { acknowledge, command: request.encode() };
            assert_eq!(order_text(&refused), text);
            let command = request.encode_for(Proposer::Admin("ops"));
            let accepted = RequestBody::ProposeFor { acknowledge, command };
            assert_eq!(order_text(&accepted), text);
        }
    }

    #[test]
    fn an_applied_order_is_done_and_one_that_may_be_lost_is_not() {
        let id = EntryId::new(Term(1), Index(7));
        let applied = ReplyBody::Replied { id, reply: [].into() };
        assert_eq!(outcome_text(&applied), format!("done: applied at {id}"));
        let may_be_lost = ReplyBody::MayBeLost { id };
        assert_eq!(outcome_text(&may_be_lost), "unknown: it may take effect, or not");
    }
}
