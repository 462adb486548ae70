//! Executes the requests of clients, within their rights.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::machine::Proposer;
use crate::runtime::client::Forwarder;
use crate::runtime::handle::Handle;
use crate::runtime::origin::Origin;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::recording_reader::RecordingReader;
use crate::runtime::request::{Access, Effect, RecordingPart};
use crate::types::RejectReason;
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The client at the other end of a connection.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) origin: Origin,
    pub(super) from: SocketAddr,
    pub(super) rights: Rights,
}

/// The rights of one client.
#[derive(Clone)]
pub(super) struct Rights {
    /// The principal of the client's certificate; `None` on a plaintext connection, whose client is
    /// an administrator.
    pub(super) principal: Option<Principal>,
    /// Whether the client may forward the proposals of clients of its own, whose rights it has
    /// checked. It may if this node accepts forwarded proposals, and the client's hello names this
    /// node. With certificates, the client must also be a node.
    pub(super) forwards: bool,
}

/// The node that executes the requests of clients, and its connection to the leader.
#[derive(Clone)]
pub(in crate::runtime) struct Executor {
    pub(in crate::runtime) handle: Handle,
    /// The forwarder to the leader, if proposals are forwarded.
    pub(in crate::runtime) forwarder: Option<Forwarder>,
    /// The reader of the node's recording, if it has one.
    pub(in crate::runtime) recording: Option<Arc<RecordingReader>>,
}

impl Rights {
    /// Returns true if a client with these rights may send a request that needs this access.
    pub(super) fn allow(&self, access: Access) -> bool {
        let role = self.principal.as_ref().map(Principal::role);
        let is_admin = role.is_none_or(|role| role == Role::Admin);
        match access {
            Access::Everyone => true,
            Access::Clients => role != Some(Role::Node),
            Access::Forwarded => self.forwards && role.is_none_or(|role| role == Role::Node),
            Access::Admins => is_admin,
        }
    }

    /// Writes the name of the client into its proposal. A forwarded proposal has the name of its
    /// client already; without certificates that name is not proven, and is removed.
    pub(super) fn stamp(&self, request: RequestBody) -> RequestBody {
        match (request, &self.principal) {
            (RequestBody::Propose { acknowledge, command }, principal) => {
                let proposer = match principal {
                    None => Proposer::Unnamed,
                    Some(principal) => principal.proposer().expect("nodes do not propose"),
                };
                RequestBody::ProposeFor { acknowledge, command: proposer.stamp(&command) }
            }
            (RequestBody::ProposeFor { acknowledge, command }, None) => {
                let request = Proposer::split(&command).map_or(&*command, |(_, request)| request);
                RequestBody::ProposeFor { acknowledge, command: Proposer::Unnamed.stamp(request) }
            }
            (request, _) => request,
        }
    }
}

impl Executor {
    /// Returns the forwarder for a proposal that this node may have to forward; `None` for any
    /// other request.
    pub(super) fn forwarder_of(&self, request: &RequestBody) -> Option<&Forwarder> {
        let is_proposal = matches!(request, RequestBody::ProposeFor { .. });
        self.forwarder.as_ref().filter(|_| is_proposal)
    }

    /// Returns the reply to a request that the node did not reply to, because it has stopped.
    pub(super) fn stopped_reply(&self, effect: Effect) -> ReplyBody {
        match effect {
            Effect::Change => ReplyBody::Unknown,
            Effect::Read | Effect::Start => self.handle.stopped_reply(),
        }
    }
}

/// Returns the leader if the request was rejected only because this node does not lead.
pub(super) fn leader_to_forward_to(reply: &ReplyBody) -> Option<&LeaderHint> {
    match reply {
        ReplyBody::Rejected { reason: RejectReason::NotLeader { .. }, leader: Some(leader) } => {
            (!leader.address.as_str().is_empty()).then_some(leader)
        }
        _ => None,
    }
}

/// Returns the part of the recording with this file and offset; a rejection if there is none.
pub(super) async fn recording_reply(
    recording: Option<&RecordingReader>,
    file: u64,
    offset: u64,
) -> ReplyBody {
    let part = match recording {
        Some(recording) => recording.part(file, offset).await,
        None => None,
    };
    match part {
        Some(RecordingPart { file, offset, newest, bytes }) => {
            ReplyBody::RecordingPart { file, offset, newest, bytes }
        }
        None => ReplyBody::ServiceRejected(ServiceRejectReason::NoRecording),
    }
}

/// Returns the reply that replaces an answer too large for a frame.
pub(super) fn too_large_reply() -> ReplyBody {
    ReplyBody::ServiceRejected(ServiceRejectReason::AnswerTooLarge)
}
