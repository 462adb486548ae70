//! The limits of the requests of clients and of the program, and of the bytes of requests and
//! replies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{AcquireError, Semaphore};

use crate::machine::Proposer;
use crate::runtime::config::{FORWARDED_PARTS, ServiceConfig};
use crate::runtime::lock::lock;
use crate::runtime::origin::{Origin, OriginNumber};
use crate::types::Entry;
use crate::wire::{ReplyBody, ServiceRejectReason};

/// The maximum number of bytes that a request has in addition to its command or query.
pub(in crate::runtime) const REQUEST_OVERHEAD_BYTES: usize = 1 << 10;

/// The maximum number of bytes that the leader holds for a command in addition to the command
/// itself: the name of its client, and the entry around it.
const COMMAND_OVERHEAD_BYTES: usize = Proposer::BYTES_MAX + Entry::OVERHEAD_BYTES;

/// The maximum number of bytes of a reply to a proposal that is sent without permits. The limits of
/// requests bound the number of such replies.
const SHORT_REPLY: usize = 1 << 10;

/// The limits of pending requests, and of the bytes of requests and replies: those of all clients,
/// those of administrators and nodes, and those of each origin.
#[derive(Clone)]
pub(in crate::runtime) struct ServiceLimits {
    clients: Arc<Quotas>,
    reserved: Arc<Quotas>,
    origins: Arc<Mutex<OriginQuotas>>,
    origin_requests_max: usize,
    origin_kib_max: usize,
    /// The maximum number of requests of one origin in the reserve.
    origin_reserved_max: usize,
}

/// The limits of each connected origin. The flag in the key is true for the limits of an origin in
/// the reserve, which are separate from its limits among clients.
#[derive(Default)]
struct OriginQuotas {
    by_origin: BTreeMap<(Origin, bool), Weak<Quotas>>,
    /// The number of the last origin that connected.
    last: OriginNumber,
}

/// The shares of a limit, each with permits of its own: requests of one share do not use up
/// another. Proposals and reads may have no outcome for as long as the disks of a quorum hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Share {
    /// The proposals to this node.
    Proposals,
    /// The queries of this node's state machine, and the reads of its recording.
    Reads,
    /// All other requests: reports, and the requests of administrators. While such a request waits
    /// for its outcome, the node gives back its permits, because perhaps only another request can
    /// end it: a cancellation ends a membership change, and a transfer ends both. The core itself
    /// has at most one of each, and rejects further ones at once.
    Control,
    /// The requests that this node has forwarded to the leader, where they all count as those of
    /// one origin: this node.
    Forwarded,
}

/// One limit, by [`Share`], and the number of the origin if the limit is that of one origin.
#[derive(Debug)]
struct Quotas {
    shares: [Quota; 4],
    origin: OriginNumber,
    /// The KiB of the last answer to the origin, if there was no room for it; otherwise 0.
    rejected_answer_kib: AtomicUsize,
}

/// One share of a limit of pending requests, and of the KiB of requests and replies.
#[derive(Debug)]
struct Quota {
    requests: Permits,
    kib: Permits,
}

/// The permits of a limit that are available, at most `max`.
#[derive(Debug)]
struct Permits {
    available: Semaphore,
    max: usize,
}

/// The limits that count the requests of one connection, its origin's own and the shared one; or
/// the one limit of the program that runs the node.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct ClientLimits(Arc<[Arc<Quotas>]>);

/// The permits of one request; after [`LimitPermits::exchange_for_reply`], those of its reply.
#[derive(Debug)]
pub(in crate::runtime) struct LimitPermits {
    kib: KibPermits,
}

/// The permits for the KiB of one request or reply.
#[derive(Debug)]
pub(in crate::runtime) struct KibPermits {
    limits: ClientLimits,
    share: Share,
    count: usize,
}

/// Returns the maximum number of places of a reserve that one administrator or node may take: half
/// of them, so that none can keep out all others, but at least two. A node needs two: one for the
/// requests that it forwards, and one for reports.
pub(in crate::runtime) fn share_of_reserve(reserved: usize) -> usize {
    reserved.div_ceil(2).max(2).min(reserved)
}

impl ServiceLimits {
    pub(in crate::runtime) fn new(config: &ServiceConfig) -> ServiceLimits {
        let (all_kib_max, reserved) = (config.requests_kib_max as usize, config.requests_reserved);
        let origin_kib_max = (config.requests_kib_per_origin_max as usize).min(all_kib_max);
        // The leader limits a node that forwards as one origin.
        let forwarded = || Quota::new(config.requests_per_origin_max, origin_kib_max);
        let shared = |requests_max, kib_max| {
            Arc::new(Quotas::new(requests_max, kib_max, forwarded(), OriginNumber::default()))
        };
        ServiceLimits {
            clients: shared(config.requests_max, all_kib_max),
            reserved: shared(reserved, origin_kib_max),
            origins: Arc::default(),
            origin_requests_max: config.requests_per_origin_max,
            origin_kib_max,
            origin_reserved_max: config.requests_per_origin_max.min(share_of_reserve(reserved)),
        }
    }

    /// Returns the limits of a connection: the shared limit, and the limit of its origin, which
    /// counts all connections of that origin. The requests that a node `forwards` count as those of
    /// clients.
    pub(in crate::runtime) fn of(&self, origin: &Origin, forwards: bool) -> ClientLimits {
        let mut origins = lock(&self.origins);
        let is_reserved = origin.has_reserved_places() && !forwards;
        let shared = if is_reserved { &self.reserved } else { &self.clients };
        let key = (origin.clone(), is_reserved);
        let own = origins.by_origin.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            origins.by_origin.retain(|_, quotas| quotas.strong_count() > 0);
            origins.last.0 += 1;
            let requests_max =
                if is_reserved { self.origin_reserved_max } else { self.origin_requests_max };
            let kib_max = self.origin_kib_max;
            let of_forwarded = |max: usize| max.div_ceil(FORWARDED_PARTS);
            let forwarded = Quota::new(of_forwarded(requests_max), of_forwarded(kib_max));
            let own = Arc::new(Quotas::new(requests_max, kib_max, forwarded, origins.last));
            origins.by_origin.insert(key, Arc::downgrade(&own));
            own
        });
        ClientLimits([own, Arc::clone(shared)].into())
    }
}

impl Quotas {
    /// Returns a limit whose shares have these maxima, except the given share of forwarded
    /// requests.
    fn new(requests_max: usize, kib_max: usize, forwarded: Quota, origin: OriginNumber) -> Quotas {
        let quota = || Quota::new(requests_max, kib_max);
        let rejected_answer_kib = AtomicUsize::new(0);
        Quotas { shares: [quota(), quota(), quota(), forwarded], origin, rejected_answer_kib }
    }
}

impl Quota {
    fn new(requests_max: usize, kib_max: usize) -> Quota {
        Quota { requests: Permits::new(requests_max), kib: Permits::new(kib_max) }
    }
}

impl Permits {
    fn new(max: usize) -> Permits {
        let max = max.min(Semaphore::MAX_PERMITS);
        Permits { available: Semaphore::new(max), max }
    }

    /// Takes `count` permits; returns false and takes none if fewer are available.
    fn take(&self, count: usize) -> bool {
        let Ok(count) = u32::try_from(count) else { return false };
        self.available.try_acquire_many(count).map(|taken| taken.forget()).is_ok()
    }

    /// Takes `count` permits, at most 2^32 - 1, once they are available and earlier callers have
    /// theirs.
    async fn wait_and_take(&self, count: usize) -> Result<(), AcquireError> {
        let count = u32::try_from(count).expect("the limits of KiB have 32 bits");
        self.available.acquire_many(count).await.map(|taken| taken.forget())
    }

    fn put_back(&self, count: usize) {
        self.available.add_permits(count);
        assert!(self.available.available_permits() <= self.max, "a permit is put back once");
    }

    /// Returns true if three quarters of all permits are available without `count` of them.
    fn leaves_most(&self, count: usize) -> bool {
        let left = self.available.available_permits().saturating_sub(count);
        left >= self.max - self.max / 4
    }
}

impl ClientLimits {
    /// Returns the limits of the program that runs the node, in each share.
    pub(in crate::runtime) fn of_program(requests_max: usize, kib_max: u32) -> ClientLimits {
        let forwarded = Quota::new(0, 0);
        let origin = OriginNumber::default();
        ClientLimits(
            [Arc::new(Quotas::new(requests_max, kib_max as usize, forwarded, origin))].into(),
        )
    }

    /// Acquires the permits of a request of the program, once they are available. A command or
    /// query beyond the whole limit takes all of it, so it waits until the program has no other in
    /// this share. Returns `None` if the limits are closed.
    pub(in crate::runtime) async fn wait_and_acquire(
        &self,
        share: Share,
        bytes: usize,
    ) -> Option<LimitPermits> {
        let [quotas] = &*self.0 else { panic!("contract: only the program waits") };
        let quota = &quotas.shares[share as usize];
        let kib = self.kib(share, bytes).min(quota.kib.max);
        quota.requests.wait_and_take(1).await.ok()?;
        // Dropping the permits puts back those that were taken.
        let mut permits =
            LimitPermits { kib: KibPermits { limits: self.clone(), share, count: 0 } };
        quota.kib.wait_and_take(kib).await.ok()?;
        permits.kib.count = kib;
        Some(permits)
    }

    /// Returns the number of the origin; the default one for the program.
    pub(in crate::runtime) fn origin(&self) -> OriginNumber {
        self.0[0].origin
    }

    /// Returns true if the last answer to the origin was rejected, and would be rejected again as
    /// the answer to a query of this size, because of the answers to the origin that are not
    /// written.
    pub(in crate::runtime) fn answers_are_full(&self, query_bytes: usize) -> bool {
        let own = &self.0[0];
        let free = own.shares[Share::Reads as usize].kib.available.available_permits();
        // The answer takes the place of the query.
        let room = free + self.kib(Share::Reads, query_bytes);
        own.rejected_answer_kib.load(Ordering::SeqCst) > room
    }

    /// Ends all waits for permits, also later ones.
    pub(in crate::runtime) fn close(&self) {
        let quotas = self.0.iter().flat_map(|quotas| &quotas.shares);
        quotas.flat_map(|quota| [&quota.requests, &quota.kib]).for_each(|it| it.available.close());
    }

    /// Acquires the permits of a request with a command or query of this size; `None` if a limit is
    /// reached.
    pub(in crate::runtime) fn acquire(&self, share: Share, bytes: usize) -> Option<LimitPermits> {
        self.acquire_kib(share, self.kib(share, bytes))
    }

    /// Returns the KiB that a command or query of this size counts. A command counts together with
    /// the bytes that the leader adds to it, so that even empty commands are limited. A command
    /// that fits without these bytes counts at most as much as the whole limit, so that the longest
    /// command is accepted alone.
    fn kib(&self, share: Share, bytes: usize) -> usize {
        let alone = bytes.div_ceil(1 << 10);
        match share {
            Share::Reads | Share::Control => alone,
            Share::Proposals | Share::Forwarded => {
                let whole = bytes.saturating_add(COMMAND_OVERHEAD_BYTES).div_ceil(1 << 10);
                whole.min(self.kib_max(share)).max(alone)
            }
        }
    }

    /// Acquires the permits of a partly received request, by the size of its frame, which is longer
    /// than its command or query by up to [`REQUEST_OVERHEAD_BYTES`]. The received part does not
    /// show whether the request is a proposal, so it may have permits of either share: a long query
    /// can arrive even while proposals without an outcome use up their share. It gets KiB of reads
    /// only if three quarters of them stay available, because it may be a proposal, too.
    pub(in crate::runtime) fn acquire_incomplete(&self, bytes: usize) -> Option<LimitPermits> {
        let kib = bytes.saturating_sub(REQUEST_OVERHEAD_BYTES).div_ceil(1 << 10);
        let proposals = self.acquire_kib(Share::Proposals, kib);
        proposals.or_else(|| {
            let mut quotas = self.quotas(Share::Reads);
            let leaves_most = quotas.all(|quota| quota.kib.leaves_most(kib));
            leaves_most.then(|| self.acquire_kib(Share::Reads, kib)).flatten()
        })
    }

    fn acquire_kib(&self, share: Share, kib: usize) -> Option<LimitPermits> {
        if !self.take(share, 1, |quota| &quota.requests) {
            return None;
        }
        // Dropping the permits puts back those that were taken.
        let mut kib_permits = KibPermits { limits: self.clone(), share, count: 0 };
        let has_room = kib_permits.take(kib);
        let permits = LimitPermits { kib: kib_permits };
        has_room.then_some(permits)
    }

    /// Takes permits from each limit, or none from any.
    fn take(&self, share: Share, count: usize, of: impl Fn(&Quota) -> &Permits) -> bool {
        let Some(taken) = self.quotas(share).position(|quota| !of(quota).take(count)) else {
            return true;
        };
        self.quotas(share).take(taken).for_each(|quota| of(quota).put_back(count));
        false
    }

    fn put_back(&self, share: Share, count: usize, of: impl Fn(&Quota) -> &Permits) {
        self.quotas(share).for_each(|quota| of(quota).put_back(count));
    }

    /// Returns the KiB that one request or reply may have when there is no other.
    fn kib_max(&self, share: Share) -> usize {
        self.quotas(share).map(|quota| quota.kib.max).min().expect("there is a limit")
    }

    fn quotas(&self, share: Share) -> impl Iterator<Item = &Quota> {
        self.0.iter().map(move |quotas| &quotas.shares[share as usize])
    }
}

impl LimitPermits {
    /// Exchanges the KiB of the request for those of its reply, if that is an answer to a read, a
    /// part of a recording or a long reply to a proposal. Beyond the limits, an answer is replaced
    /// by a rejection, because a read can be repeated. The reply to a proposal is replaced by an
    /// unknown outcome, because a client with a session gets the reply when it sends the request
    /// again.
    pub(in crate::runtime) fn exchange_for_reply(&mut self, body: ReplyBody) -> ReplyBody {
        let (bytes, replacement) = match &body {
            ReplyBody::Answered { answer, .. } => {
                let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
                (answer.len(), overloaded)
            }
            ReplyBody::RecordingPart { bytes, .. } => {
                (bytes.len(), ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded))
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
        let kib = bytes.div_ceil(1 << 10).min(self.kib.limits.kib_max(self.kib.share));
        if self.kib.take_for_reply(kib) { body } else { replacement }
    }

    /// Returns the limits that count the request.
    pub(in crate::runtime) fn limits(&self) -> &ClientLimits {
        &self.kib.limits
    }

    /// Returns the share that the request counts against.
    pub(in crate::runtime) fn share(&self) -> Share {
        self.kib.share
    }

    /// Returns the permits for the KiB. They count until the caller drops them, even after the
    /// request and its reply have ended.
    pub(in crate::runtime) fn split_off_kib(&mut self) -> KibPermits {
        let (limits, share) = (self.kib.limits.clone(), self.kib.share);
        std::mem::replace(&mut self.kib, KibPermits { limits, share, count: 0 })
    }
}

impl KibPermits {
    /// Changes the number of held KiB to `count`; returns false and changes nothing if a limit has
    /// no room for it. Takes only the difference, so that no other request can take the held KiB in
    /// between.
    fn take(&mut self, count: usize) -> bool {
        let more = count.saturating_sub(self.count);
        let granted = self.limits.take(self.share, more, |quota| &quota.kib);
        if granted {
            let fewer = self.count.saturating_sub(count);
            self.limits.put_back(self.share, fewer, |quota| &quota.kib);
            self.count = count;
        }
        granted
    }

    /// Does the same as [`KibPermits::take`] for a reply, and records the KiB of an answer for
    /// which there is no room.
    fn take_for_reply(&mut self, count: usize) -> bool {
        let granted = self.take(count);
        if self.share == Share::Reads {
            let rejected = if granted { 0 } else { count };
            self.limits.0[0].rejected_answer_kib.store(rejected, Ordering::SeqCst);
        }
        granted
    }
}

impl Drop for KibPermits {
    fn drop(&mut self) {
        self.limits.put_back(self.share, self.count, |quota| &quota.kib);
    }
}

impl Drop for LimitPermits {
    fn drop(&mut self) {
        let KibPermits { limits, share, .. } = &self.kib;
        limits.put_back(*share, 1, |quota| &quota.requests);
    }
}

#[cfg(test)]
mod tests;
