//! The audit log: every request that only administrators may send and that the service to clients
//! receives, with its outcome. Of the parts of a recording that are read one after another, it has
//! only the first. Lines about requests that the service rejects are limited in number.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use tracing::info;

use crate::machine::Request;
use crate::runtime::origin::Origin;
use crate::runtime::principal::Role;
use crate::runtime::request::Access;
use crate::wire::{ReplyBody, RequestBody, ServiceRejectReason};

/// The tracing target of the audit log. `docs/SECURITY.md` lists the fields of its lines.
pub const AUDIT_TARGET: &str = "quorate::audit";

/// The longest text of a request in a line, in bytes: a membership change may have a thousand
/// edits.
const REQUEST_BYTES_MAX: usize = 1 << 10;

/// An admin request: one that only administrators may send. Dropping it logs the request, and its
/// outcome if that is known.
pub(super) struct AdminRequest {
    principal: String,
    from: SocketAddr,
    request: String,
    outcome: Option<String>,
}

/// Returns true if the request, which needs this access, is one that only an administrator may
/// send.
pub(super) fn is_admin_request(request: &RequestBody, access: Access) -> bool {
    match access {
        Access::Everyone | Access::Clients => false,
        // The node that forwards a proposal has checked the rights of its client. Only the command
        // shows whether the proposal needs those of an administrator.
        Access::Forwarded => machine_request(request).is_some(),
        Access::Admins => true,
    }
}

/// Returns the kind under which log lines about unread requests of this remote are counted and
/// limited.
pub(super) fn unread_request(origin: &Origin) -> &'static str {
    match origin {
        Origin::Principal(_) => "admin_request_not_read",
        Origin::Address(_) => "plaintext_request_not_read",
    }
}

/// Returns the kind under which log lines about requests of this remote that are rejected for
/// `reason` are counted and limited. Each role and reason has its own kind, so that clients without
/// rights cannot suppress a line about a request of an administrator.
pub(super) fn rejected_request(origin: &Origin, reason: ServiceRejectReason) -> &'static str {
    let role = match origin {
        Origin::Principal(principal) => Some(principal.role()),
        Origin::Address(_) => None,
    };
    match (role, reason) {
        (Some(Role::Admin), ServiceRejectReason::NotAllowed) => "admin_request_not_allowed",
        (Some(Role::Admin), _) => "admin_request_overloaded",
        (Some(Role::Client), ServiceRejectReason::NotAllowed) => "client_request_not_allowed",
        (Some(Role::Client), _) => "client_request_overloaded",
        (Some(Role::Node), ServiceRejectReason::NotAllowed) => "node_request_not_allowed",
        (Some(Role::Node), _) => "node_request_overloaded",
        (None, ServiceRejectReason::NotAllowed) => "plaintext_request_not_allowed",
        (None, _) => "plaintext_request_overloaded",
    }
}

impl AdminRequest {
    /// Returns an admin request of this remote.
    pub(super) fn new(request: &RequestBody, origin: &Origin, from: SocketAddr) -> AdminRequest {
        AdminRequest::with_text(request_text(request), origin, from)
    }

    /// Returns a request, from a remote with the rights of an administrator, whose content was not
    /// read because it is too long or a limit was reached. It may have been an admin request.
    pub(super) fn unread(origin: &Origin, from: SocketAddr) -> AdminRequest {
        AdminRequest::with_text("not known: the request was not read".to_owned(), origin, from)
    }

    fn with_text(request: String, origin: &Origin, from: SocketAddr) -> AdminRequest {
        let principal = match origin {
            Origin::Principal(principal) => principal.to_string(),
            Origin::Address(_) => "none (no certificate)".to_owned(),
        };
        AdminRequest { principal, from, request, outcome: None }
    }

    /// Logs the reply as the outcome of the request.
    pub(super) fn end(mut self, reply: &ReplyBody) {
        self.outcome = Some(outcome_text(reply));
    }
}

impl Drop for AdminRequest {
    fn drop(&mut self) {
        let AdminRequest { principal, from, request, outcome } = self;
        let lost = "not known: the connection ended before the reply, or the node stopped";
        let outcome = outcome.as_deref().unwrap_or(lost);
        info!(target: AUDIT_TARGET, %principal, address = %from, request, outcome, "admin request");
    }
}

/// Returns the text of a request to the state machine that only an administrator may send.
fn machine_request(request: &RequestBody) -> Option<&'static str> {
    let request = match request {
        // A proposal that is rejected here does not name its proposer yet.
        RequestBody::Propose { command, .. } => Request::decode(command)?,
        RequestBody::ProposeFor { command, .. } => Request::in_log(command)?.1,
        _ => return None,
    };
    match request {
        Request::SetBounds(_) => Some("set the bounds of sessions"),
        Request::Admin(_) => Some("send an admin command to the state machine"),
        Request::RaiseVersion(_) => Some("raise the version of the state machine"),
        Request::Plain(_) | Request::Register { .. } | Request::InSession { .. } => None,
    }
}

fn request_text(request: &RequestBody) -> String {
    match request {
        RequestBody::Propose { .. } | RequestBody::ProposeFor { .. } => {
            machine_request(request).unwrap_or("propose a command").to_owned()
        }
        RequestBody::ChangeMembership(change) => {
            bounded_text(format_args!("change the membership: {change}"))
        }
        RequestBody::CancelMembershipChange => "cancel the membership change".to_owned(),
        RequestBody::TransferLeadership(Some(to)) => format!("transfer the leadership to {to}"),
        RequestBody::TransferLeadership(None) => "transfer the leadership".to_owned(),
        RequestBody::Campaign => "start an election".to_owned(),
        RequestBody::TakeSnapshot => "take a snapshot".to_owned(),
        RequestBody::ReadRecording { file, .. } => format!("read the recording from file {file}"),
        RequestBody::Read { .. } => "read".to_owned(),
        RequestBody::Report => "report".to_owned(),
    }
}

/// Returns the text, or its first [`REQUEST_BYTES_MAX`] bytes and a note that it is cut.
fn bounded_text(text: fmt::Arguments<'_>) -> String {
    let mut bounded = BoundedText(String::new());
    match bounded.write_fmt(text) {
        Ok(()) => bounded.0,
        Err(fmt::Error) => format!("{} … (cut after {} bytes)", bounded.0, bounded.0.len()),
    }
}

/// A text of at most [`REQUEST_BYTES_MAX`] bytes. Writing more fails, and keeps the first bytes.
struct BoundedText(String);

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(REQUEST_BYTES_MAX - self.0.len());
        self.0.push_str(&text[..end]);
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

fn outcome_text(reply: &ReplyBody) -> String {
    match reply {
        ReplyBody::MembershipChangeCommitted { id } => format!("done: committed at {id}"),
        // The reply is the state machine's, which may have declined the command.
        ReplyBody::Replied { id, .. } => format!("applied at {id}"),
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
        | ReplyBody::Report(_)
        | ReplyBody::RecordingPart { .. } => "answered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::machine::Proposer;
    use crate::runtime::principal::Principal;
    use crate::types::{
        Acknowledge, Address, Change, EntryId, Index, MachineVersion, NodeId, SessionBounds, Term,
    };

    #[test]
    fn a_request_to_the_state_machine_is_named_before_and_after_it_is_accepted() {
        let version = MachineVersion::FIRST;
        for (request, text) in [
            (Request::SetBounds(SessionBounds::DEFAULT), "set the bounds of sessions"),
            (Request::Admin(b"command"), "send an admin command to the state machine"),
            (Request::RaiseVersion(version), "raise the version of the state machine"),
            (Request::Plain(b"command"), "propose a command"),
        ] {
            let acknowledge = Acknowledge::Quorum;
            let refused = RequestBody::Propose { acknowledge, command: request.encode() };
            assert_eq!(request_text(&refused), text);
            let command = request.encode_for(Proposer::Admin("ops"));
            let accepted = RequestBody::ProposeFor { acknowledge, command };
            assert_eq!(request_text(&accepted), text);
        }
    }

    #[test]
    fn the_lines_about_rejected_requests_are_limited_by_role_and_reason() {
        let (client, admin) = (Principal::client("app"), Principal::admin("ops"));
        let named = [client, admin, Some(Principal::Node(NodeId(2)))];
        let origins = named.into_iter().flatten().map(Origin::Principal);
        let origins = origins.chain([Origin::new(None, [127, 0, 0, 1].into())]);
        let reasons = [ServiceRejectReason::NotAllowed, ServiceRejectReason::Overloaded];
        let kinds: BTreeSet<&str> = origins
            .flat_map(|origin| reasons.map(|reason| rejected_request(&origin, reason)))
            .collect();
        assert_eq!(kinds.len(), 8, "{kinds:?}");
    }

    #[test]
    fn a_long_request_is_cut() {
        let address = Address::new(&"ä".repeat(127)).expect("it is short");
        let change = (1..=1000)
            .fold(Change::new(), |change, id| change.address(NodeId(id), address.clone()));
        let text = request_text(&RequestBody::ChangeMembership(change));
        assert!(text.starts_with("change the membership: n1@ä"), "{text}");
        assert!(text.ends_with("ä … (cut after 1024 bytes)"), "{text}");
        assert!(text.len() < REQUEST_BYTES_MAX + 64, "{}", text.len());
        let short = RequestBody::ChangeMembership(Change::new().remove(NodeId(2)));
        assert_eq!(request_text(&short), "change the membership: -n2");
    }

    #[test]
    fn the_outcome_says_only_what_is_known_of_a_request() {
        let id = EntryId::new(Term(1), Index(7));
        let applied = ReplyBody::Replied { id, reply: [].into() };
        assert_eq!(outcome_text(&applied), format!("applied at {id}"));
        let may_be_lost = ReplyBody::MayBeLost { id };
        assert_eq!(outcome_text(&may_be_lost), "unknown: it may take effect, or not");
    }
}
