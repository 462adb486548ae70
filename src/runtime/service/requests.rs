//! Executes the requests of clients, within their rights and the limits of the service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::machine::Proposer;
use crate::runtime::client::Forwarder;
use crate::runtime::config::ServiceConfig;
use crate::runtime::handle::Handle;
use crate::runtime::origin::Origin;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::request::{Access, Effect};
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
    requests: Permits,
    kib: Permits,
    kib_max: usize,
}

/// The permits of a limit that are available.
struct Permits(AtomicUsize);

/// The limits that count the requests of one connection: its origin's own, and the shared one.
#[derive(Clone)]
pub(super) struct ClientLimits(Arc<[Arc<Quota>; 2]>);

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
pub(super) struct LimitPermits {
    limits: ClientLimits,
    kib: usize,
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
        ClientLimits(Arc::new([own, Arc::clone(shared)]))
    }
}

impl Quota {
    fn new(requests_max: usize, kib_max: usize) -> Arc<Quota> {
        Arc::new(Quota {
            requests: Permits::new(requests_max),
            kib: Permits::new(kib_max),
            kib_max,
        })
    }
}

impl Permits {
    fn new(count: usize) -> Permits {
        Permits(AtomicUsize::new(count))
    }

    /// Takes `count` permits; returns false and takes none if fewer are available.
    fn take(&self, count: usize) -> bool {
        let taken = self.0.fetch_update(AcqRel, Acquire, |available| available.checked_sub(count));
        taken.is_ok()
    }

    fn put_back(&self, count: usize) {
        self.0.fetch_add(count, AcqRel);
    }
}

impl ClientLimits {
    /// Acquires the permits of a request with a command or query of this size; none if a limit is
    /// reached.
    pub(super) fn acquire(&self, bytes: usize) -> Option<LimitPermits> {
        let kib = bytes.div_ceil(1 << 10);
        if !self.take(1, |quota| &quota.requests) {
            return None;
        }
        // Dropping the permits puts back those that were taken.
        let mut permits = LimitPermits { limits: self.clone(), kib: 0 };
        permits.take_kib(kib).then_some(permits)
    }

    /// Takes permits from each limit, or none from any.
    fn take(&self, count: usize, of: impl Fn(&Quota) -> &Permits) -> bool {
        let [own, shared] = &*self.0;
        if !of(own).take(count) {
            return false;
        }
        let taken = of(shared).take(count);
        if !taken {
            of(own).put_back(count);
        }
        taken
    }

    fn put_back(&self, count: usize, of: impl Fn(&Quota) -> &Permits) {
        self.0.iter().for_each(|quota| of(quota).put_back(count));
    }

    /// Returns the KiB that one reply may have when no other reply is unwritten.
    fn kib_max(&self) -> usize {
        self.0.iter().map(|quota| quota.kib_max).min().unwrap_or(0)
    }

    fn available_kib(&self) -> usize {
        self.0.iter().map(|quota| quota.kib.0.load(Relaxed)).min().unwrap_or(0)
    }
}

impl LimitPermits {
    /// Exchanges the permits of the request for those of its reply. An answer beyond the limit is
    /// replaced by a rejection, because a read can be repeated. The reply to a proposal is sent in
    /// any case, and takes the permits that are available.
    pub(super) fn exchange_for_reply(&mut self, body: ReplyBody) -> ReplyBody {
        self.put_back_kib();
        let kib_max = self.limits.kib_max();
        // A reply larger than the whole limit may be sent if no other reply is unwritten.
        let count = |bytes: usize| bytes.div_ceil(1 << 10).min(kib_max);
        match &body {
            ReplyBody::Answered { answer, .. } => match self.take_kib(count(answer.len())) {
                true => body,
                false => ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded),
            },
            ReplyBody::Replied { reply, .. } => {
                self.take_kib(count(reply.len()).min(self.limits.available_kib()));
                body
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
            | ReplyBody::MachineRejected { .. } => body,
        }
    }

    /// Takes the permits of some KiB; returns false if they are not available.
    fn take_kib(&mut self, count: usize) -> bool {
        assert_eq!(self.kib, 0, "the permits of the request are put back before");
        let taken = self.limits.take(count, |quota| &quota.kib);
        self.kib = if taken { count } else { 0 };
        taken
    }

    fn put_back_kib(&mut self) {
        let kib = std::mem::take(&mut self.kib);
        self.limits.put_back(kib, |quota| &quota.kib);
    }
}

impl Drop for LimitPermits {
    fn drop(&mut self) {
        self.put_back_kib();
        self.limits.put_back(1, |quota| &quota.requests);
    }
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
    /// Returns the forwarder for a proposal that this node may have to forward; none for any other
    /// request.
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

/// Returns the reply that replaces an answer too large for a frame.
pub(super) fn too_large_reply() -> ReplyBody {
    ReplyBody::ServiceRejected(ServiceRejectReason::AnswerTooLarge)
}
