//! Executes the requests of clients, within their rights and the limits of the service.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info;

use crate::machine::{Proposer, Request};
use crate::runtime::client::Forwarder;
use crate::runtime::config::ServiceConfig;
use crate::runtime::handle::Handle;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::request::{Access, Effect, Operation};
use crate::types::RejectReason;
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The limits of all clients together: pending requests, and the bytes of requests and replies.
#[derive(Clone)]
pub(super) struct ServiceLimits {
    requests: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    kib_max: usize,
}

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
pub(super) struct LimitPermits {
    limits: ServiceLimits,
    _request: OwnedSemaphorePermit,
    kib: Option<OwnedSemaphorePermit>,
}

/// The rights of one client.
#[derive(Clone)]
pub(super) struct Rights {
    /// The principal of the client's certificate; none on a plaintext connection, whose client is
    /// an administrator.
    pub(super) principal: Option<Principal>,
    /// Whether the client is a node that forwards proposals of its own clients, whose roles it has
    /// checked.
    pub(super) forwards: bool,
}

/// The node that executes the requests of clients.
#[derive(Clone)]
pub(in crate::runtime) struct Executor {
    pub(in crate::runtime) handle: Handle,
    /// The forwarder to the leader, if proposals are forwarded.
    pub(in crate::runtime) forwarder: Option<Forwarder>,
}

impl ServiceLimits {
    pub(super) fn new(config: &ServiceConfig) -> ServiceLimits {
        let kib_max = (config.requests_kib_max as usize).min(Semaphore::MAX_PERMITS);
        let requests = Arc::new(Semaphore::new(config.requests_max));
        ServiceLimits { requests, kib: Arc::new(Semaphore::new(kib_max)), kib_max }
    }

    /// Acquires the permits of a request; none if a limit is reached.
    pub(super) fn acquire(&self, body: &RequestBody) -> Option<LimitPermits> {
        let bytes = Operation::of(body).bytes;
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let kib = self.kib(bytes.div_ceil(1 << 10))?;
        Some(LimitPermits { limits: self.clone(), _request: request, kib: Some(kib) })
    }

    fn kib(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(count).ok()?;
        Arc::clone(&self.kib).try_acquire_many_owned(count).ok()
    }
}

impl LimitPermits {
    /// Exchanges the permits of the request for those of its reply. An answer beyond the limit is
    /// replaced by a rejection, because a read can be repeated. The reply to a proposal is sent in
    /// any case, and takes the permits that are available.
    pub(super) fn exchange_for_reply(mut self, body: ReplyBody) -> (ReplyBody, LimitPermits) {
        self.kib = None;
        let ServiceLimits { kib, kib_max, .. } = &self.limits;
        // A reply larger than the whole limit may be sent if no other reply is unwritten.
        let count = |bytes: usize| bytes.div_ceil(1 << 10).min(*kib_max);
        let (body, kib) = match body {
            ReplyBody::Answered { ref answer, .. } => match self.limits.kib(count(answer.len())) {
                Some(kib) => (body, Some(kib)),
                None => (ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded), None),
            },
            ReplyBody::Replied { ref reply, .. } => {
                let room = count(reply.len()).min(kib.available_permits());
                let kib = self.limits.kib(room);
                (body, kib)
            }
            ReplyBody::Registered { .. }
            | ReplyBody::SessionExpired { .. }
            | ReplyBody::OutsideWindow { .. }
            | ReplyBody::Malformed { .. }
            | ReplyBody::MayBeLost { .. }
            | ReplyBody::MembershipChangeCommitted { .. }
            | ReplyBody::LeadershipTransferred
            | ReplyBody::Started
            | ReplyBody::Report(_)
            | ReplyBody::Rejected { .. }
            | ReplyBody::Unknown
            | ReplyBody::ServiceRejected(_)
            | ReplyBody::MachineRejected { .. } => (body, None),
        };
        (body, LimitPermits { kib, ..self })
    }
}

impl Rights {
    /// Returns true if a client with these rights may send the request.
    pub(super) fn allow(&self, request: &RequestBody) -> bool {
        let role = self.principal.as_ref().map(Principal::role);
        let is_admin = role.is_none_or(|role| role == Role::Admin);
        match Operation::of(request).access {
            Access::Everyone => true,
            Access::Clients => role != Some(Role::Node),
            Access::Forwarded => self.forwards && role.is_none_or(|role| role == Role::Node),
            Access::Admins => is_admin,
        }
    }

    /// Writes the client into its proposal. A node has written its clients into what it forwards;
    /// without certificates it proves no client.
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
    /// Executes the request on the node, or on the leader, and returns the reply.
    pub(super) async fn execute(&self, request: RequestBody) -> ReplyBody {
        let Operation { access, effect, .. } = Operation::of(&request);
        if access == Access::Admins || is_order(&request) {
            info!(?request, "administrator request");
        }
        let forwarder = self.forwarder.as_ref().filter(|_| access == Access::Forwarded);
        let forwarded = forwarder.map(|forwarder| (forwarder, request.clone()));
        let reply = self.handle.request(request).await.unwrap_or_else(|| match effect {
            Effect::Change => ReplyBody::Unknown,
            Effect::Read | Effect::Start => self.handle.stopped_reply(),
        });
        match (forwarded, leader_to_forward_to(&reply)) {
            (Some((forwarder, request)), Some(leader)) => {
                forwarder.forward(leader, request).await.unwrap_or(reply)
            }
            (Some(_), None) | (None, _) => reply,
        }
    }
}

/// Returns true for the proposal of an order, which only an administrator may give.
fn is_order(request: &RequestBody) -> bool {
    let RequestBody::ProposeFor { command, .. } = request else { return false };
    Request::in_log(command).is_some_and(|(_, request)| request.is_for_administrators())
}

/// Returns the leader if the request was rejected only because this node does not lead.
fn leader_to_forward_to(reply: &ReplyBody) -> Option<&LeaderHint> {
    match reply {
        ReplyBody::Rejected { reason: RejectReason::NotLeader { .. }, leader: Some(leader) } => {
            (!leader.address.as_str().is_empty()).then_some(leader)
        }
        _ => None,
    }
}

/// Returns the reply that replaces an answer too large for a frame.
pub(super) fn too_large_reply() -> ReplyBody {
    ReplyBody::ServiceRejected(ServiceRejectReason::AnswerTooLarge)
}
