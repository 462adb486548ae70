//! The limits of the requests of clients, and of the bytes of requests and replies.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::runtime::config::ServiceConfig;
use crate::runtime::origin::Origin;
use crate::wire::{ReplyBody, ServiceRejectReason};

/// The most bytes of a reply to a proposal that is sent without permits. The limits of requests
/// bound the number of such replies.
const SHORT_REPLY: usize = 1 << 10;

/// The limits of pending requests, and of the bytes of requests and replies: those of all clients,
/// those of administrators and nodes, and those of each origin.
#[derive(Clone)]
pub(in crate::runtime) struct ServiceLimits {
    clients: Arc<Quota>,
    reserved: Arc<Quota>,
    /// The limits of each origin that is connected.
    origins: Arc<Mutex<BTreeMap<Origin, Weak<Quota>>>>,
    origin_requests_max: usize,
    origin_kib_max: usize,
}

/// One limit of pending requests, and of the KiB of requests and replies.
#[derive(Debug)]
struct Quota {
    requests: Permits,
    kib: Permits,
    kib_max: usize,
}

/// The permits of a limit that are available.
#[derive(Debug)]
struct Permits(AtomicUsize);

/// The limits that count the requests of one connection: its origin's own, and the shared one.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct ClientLimits(Arc<[Arc<Quota>; 2]>);

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
#[derive(Debug)]
pub(in crate::runtime) struct LimitPermits {
    limits: ClientLimits,
    kib: usize,
}

impl ServiceLimits {
    pub(in crate::runtime) fn new(config: &ServiceConfig) -> ServiceLimits {
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
    /// The requests that a node `forwards` are those of clients.
    pub(in crate::runtime) fn of(&self, origin: &Origin, forwards: bool) -> ClientLimits {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let is_reserved = origin.is_reserved() && !forwards;
        let shared = if is_reserved { &self.reserved } else { &self.clients };
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
    pub(in crate::runtime) fn acquire(&self, bytes: usize) -> Option<LimitPermits> {
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
}

impl LimitPermits {
    /// Exchanges the KiB of the request for those of its reply, if that is an answer to a read or a
    /// long reply to a proposal. Beyond the limits, an answer is replaced by a rejection, because a
    /// read can be repeated, and the reply to a proposal by an unknown outcome, because a client
    /// with a session gets it when it asks again.
    pub(in crate::runtime) fn exchange_for_reply(&mut self, body: ReplyBody) -> ReplyBody {
        let (bytes, replacement) = match &body {
            ReplyBody::Answered { answer, .. } => {
                let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
                (answer.len(), overloaded)
            }
            ReplyBody::Replied { reply, .. } if reply.len() > SHORT_REPLY => {
                (reply.len(), ReplyBody::Unknown)
            }
            ReplyBody::Replied { .. }
            | ReplyBody::Registered { .. }
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
            | ReplyBody::MachineRejected { .. } => return body,
        };
        // A reply larger than the whole limit may be sent if no other reply is unwritten.
        let kib = bytes.div_ceil(1 << 10).min(self.limits.kib_max());
        if self.take_kib(kib) { body } else { replacement }
    }

    /// Changes the number of KiB; returns false, and keeps it, if more are not available. Fewer are
    /// always granted, so that no other request can take those of a reply in between.
    fn take_kib(&mut self, count: usize) -> bool {
        let more = count.saturating_sub(self.kib);
        let granted = self.limits.take(more, |quota| &quota.kib);
        if granted {
            self.limits.put_back(self.kib.saturating_sub(count), |quota| &quota.kib);
            self.kib = count;
        }
        granted
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
