//! Executes the requests of clients, within their rights and the limits of the service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::machine::Proposer;
use crate::runtime::client::Forwarder;
use crate::runtime::config::ServiceConfig;
use crate::runtime::handle::Handle;
use crate::runtime::origin::Origin;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::request::{Access, Effect, Operation};
use crate::types::RejectReason;
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// The limits of pending requests, and of the bytes of requests and replies: those of all clients,
/// those of administrators and nodes, and those of each origin.
#[derive(Clone)]
pub(super) struct ServiceLimits {
    clients: Arc<Quota>,
    reserved: Arc<Quota>,
    /// The limits of each origin that is connected.
    origins: Arc<Mutex<BTreeMap<Origin, Weak<Quota>>>>,
    origin_requests_max: usize,
    origin_kib_max: usize,
}

/// One limit of pending requests, and of the KiB of requests and replies.
struct Quota {
    requests: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    kib_max: usize,
}

/// The limits that count the requests of one connection: its origin's own, and the shared one.
#[derive(Clone)]
pub(super) struct ClientLimits([Arc<Quota>; 2]);

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
pub(super) struct LimitPermits {
    limits: ClientLimits,
    _requests: Vec<OwnedSemaphorePermit>,
    kib: Vec<OwnedSemaphorePermit>,
}

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
        let all_kib_max = config.requests_kib_max as usize;
        let origin_kib_max = (config.requests_kib_per_origin_max as usize).min(all_kib_max);
        ServiceLimits {
            clients: Quota::new(config.requests_max, all_kib_max),
            reserved: Quota::new(config.requests_reserved, origin_kib_max),
            origins: Arc::default(),
            origin_requests_max: config.requests_per_origin_max,
            origin_kib_max,
        }
    }

    /// Returns the limits of a connection, whose own part is that of all connections of its origin.
    pub(super) fn of(&self, origin: &Origin) -> ClientLimits {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = if origin.is_reserved() { &self.reserved } else { &self.clients };
        let own = origins.get(origin).and_then(Weak::upgrade).unwrap_or_else(|| {
            origins.retain(|_, quota| quota.strong_count() > 0);
            let own = Quota::new(self.origin_requests_max, self.origin_kib_max);
            origins.insert(origin.clone(), Arc::downgrade(&own));
            own
        });
        ClientLimits([own, Arc::clone(shared)])
    }
}

impl Quota {
    fn new(requests_max: usize, kib_max: usize) -> Arc<Quota> {
        let kib_max = kib_max.min(Semaphore::MAX_PERMITS);
        let requests = Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS));
        let (requests, kib) = (Arc::new(requests), Arc::new(Semaphore::new(kib_max)));
        Arc::new(Quota { requests, kib, kib_max })
    }
}

impl ClientLimits {
    /// Acquires the permits of a request; none if a limit is reached.
    pub(super) fn acquire(&self, body: &RequestBody) -> Option<LimitPermits> {
        let bytes = Operation::of(body).bytes;
        let requests = self.0.iter().map(|quota| {
            let requests = Arc::clone(&quota.requests);
            requests.try_acquire_owned().ok()
        });
        let requests = requests.collect::<Option<Vec<_>>>()?;
        let kib = self.kib(bytes.div_ceil(1 << 10))?;
        Some(LimitPermits { limits: self.clone(), _requests: requests, kib })
    }

    /// Acquires the permits of some KiB from each limit, or none from any.
    fn kib(&self, count: usize) -> Option<Vec<OwnedSemaphorePermit>> {
        let count = u32::try_from(count).ok()?;
        let permits = self.0.iter().map(|quota| {
            let kib = Arc::clone(&quota.kib);
            kib.try_acquire_many_owned(count).ok()
        });
        permits.collect()
    }

    /// Returns the KiB that one reply may have when no other reply is unwritten.
    fn kib_max(&self) -> usize {
        self.0.iter().map(|quota| quota.kib_max).min().unwrap_or(0)
    }

    fn available_kib(&self) -> usize {
        self.0.iter().map(|quota| quota.kib.available_permits()).min().unwrap_or(0)
    }
}

impl LimitPermits {
    /// Exchanges the permits of the request for those of its reply. An answer beyond the limit is
    /// replaced by a rejection, because a read can be repeated. The reply to a proposal is sent in
    /// any case, and takes the permits that are available.
    pub(super) fn exchange_for_reply(mut self, body: ReplyBody) -> (ReplyBody, LimitPermits) {
        self.kib = Vec::new();
        let kib_max = self.limits.kib_max();
        // A reply larger than the whole limit may be sent if no other reply is unwritten.
        let count = |bytes: usize| bytes.div_ceil(1 << 10).min(kib_max);
        let (body, kib) = match body {
            ReplyBody::Answered { ref answer, .. } => match self.limits.kib(count(answer.len())) {
                Some(kib) => (body, Some(kib)),
                None => (ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded), None),
            },
            ReplyBody::Replied { ref reply, .. } => {
                let room = count(reply.len()).min(self.limits.available_kib());
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
        (body, LimitPermits { kib: kib.unwrap_or_default(), ..self })
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
