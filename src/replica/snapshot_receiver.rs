//! The receiver of a peer's snapshot: it requests each part, and again after a timeout, until the
//! part arrives.

use core::time::Duration;

use crate::replica::config::ReplicaConfig;
use crate::replica::rate_limiter;
use crate::replica::retry_delay::RetryDelay;
use crate::types::{EntryId, Index, Instant, NodeId, Root, SnapshotMeta, SnapshotPart};

/// The snapshot that is being received, if any.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotReceiver {
    current: Option<Current>,
    inflight_max: usize,
    timeout: Duration,
    /// The maximum size of the parts in flight to one node.
    inflight_bytes_max: u64,
    /// The rate at which a source sends parts, assuming that it is configured like this node.
    bytes_per_second: u64,
    /// The delay between a failed transfer and the start of the next one.
    retry_after: Duration,
    /// The delay after the node found that a snapshot exceeds its limits; it grows, because the
    /// next one is most likely as large.
    too_large_delay: RetryDelay,
    /// The time before which no transfer starts.
    not_before: Instant,
}

#[derive(Clone, Debug)]
struct Current {
    from: NodeId,
    meta: SnapshotMeta,
    /// The requested parts that have not arrived.
    requested: Vec<Request>,
    /// The time that the node waits for a part: at least the part timeout, and twice as long as the
    /// last part took.
    timeout: Duration,
    /// The number of times that parts were requested again since the last part arrived.
    repeats: u32,
    /// The time at which the last part arrived, or at which the transfer began or moved from a
    /// stalled source to another one.
    last_part_at: Instant,
}

/// A request for a part that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    part: SnapshotPart,
    /// The time of the first request.
    at: Instant,
    /// The time of the next request.
    due: Instant,
    /// Whether the part was requested more than once.
    is_repeated: bool,
}

/// While no part arrives, the time between two requests for a part grows up to this many part
/// timeouts, or up to the present timeout if that is longer.
pub(crate) const REPEAT_FACTOR_MAX: u32 = 16;

/// A receiver waits for a silent source for this many part timeouts, or for its present timeout if
/// that is longer. The time in which the source may serve other nodes is added.
const SOURCE_TIMEOUTS: u32 = 4;

impl SnapshotReceiver {
    pub(crate) fn new(config: &ReplicaConfig) -> SnapshotReceiver {
        assert!(config.parts_inflight_max > 0, "a transfer requests parts");
        assert!(!config.part_timeout.is_zero(), "a request takes time");
        let part_bytes = u64::from(config.storage.snapshots.chunk_bytes);
        SnapshotReceiver {
            current: None,
            inflight_max: config.parts_inflight_max,
            timeout: config.part_timeout,
            inflight_bytes_max: part_bytes.saturating_mul(config.parts_inflight_max as u64),
            bytes_per_second: config.snapshot_bytes_per_second,
            retry_after: config.space_retry,
            too_large_delay: RetryDelay::new(config.space_retry),
            not_before: Instant::ZERO,
        }
    }

    /// Decides about a peer's offer: returns true if the store should receive the offered snapshot,
    /// in place of any other. An offer of the snapshot that is being received only changes the node
    /// that later requests go to. The parts in flight are requested again once they are due, or at
    /// once if the transfer has stalled and the offer is from another node. A transfer is not
    /// abandoned for a newer snapshot while its parts arrive, because otherwise a leader that takes
    /// snapshots faster than they travel would never complete one. No transfer starts unless
    /// `may_start` is set, and none starts during the delay after a failure.
    pub(crate) fn on_offer(
        &mut self,
        now: Instant,
        from: NodeId,
        meta: &SnapshotMeta,
        may_start: bool,
    ) -> bool {
        let is_stalled = self.is_stalled(now);
        if let Some(current) = &mut self.current {
            if current.meta.root == meta.root {
                if is_stalled && current.from != from {
                    (current.timeout, current.repeats) = (self.timeout, 0);
                    // The new source gets as much time as the previous one had.
                    current.last_part_at = now;
                    current.requested.clear();
                }
                current.from = from;
                return false;
            }
            if !is_stalled {
                return false;
            }
        }
        if !may_start || now < self.not_before {
            return false;
        }
        self.current = Some(Current {
            from,
            meta: meta.clone(),
            requested: Vec::new(),
            timeout: self.timeout,
            repeats: 0,
            last_part_at: now,
        });
        true
    }

    /// Returns true if requested parts have not arrived for so long that the source may be gone.
    /// After the last part nothing is requested while the store verifies the snapshot.
    fn is_stalled(&self, now: Instant) -> bool {
        let Some(current) = &self.current else { return false };
        let patience = current.timeout.max(self.timeout.saturating_mul(SOURCE_TIMEOUTS));
        let late_at =
            current.last_part_at.after(patience).after(self.queue_time_max(&current.meta));
        !current.requested.is_empty() && now >= late_at
    }

    /// Returns the longest time until a source that serves every member sends the next part: it
    /// sends one part at a time, and first those that the other members requested before. Without
    /// this time, a receiver would abandon each slow source for another slow one, and complete no
    /// transfer.
    fn queue_time_max(&self, meta: &SnapshotMeta) -> Duration {
        let members = meta.membership.members().len() as u64;
        let bytes = self.inflight_bytes_max.min(meta.bytes).saturating_mul(members);
        rate_limiter::duration(bytes, self.bytes_per_second)
    }

    /// Returns true if the node may take a snapshot of its own state that ends at `last` in place
    /// of the one being received: its own does not end earlier, or no more parts of the other
    /// arrive.
    pub(crate) fn gives_way_to(&self, last: Index, now: Instant) -> bool {
        let is_covered = |received: EntryId| received.index <= last;
        self.last().is_some_and(is_covered) || self.is_stalled(now)
    }

    /// Returns the root hash of the snapshot being received.
    pub(crate) fn root(&self) -> Option<Root> {
        self.current.as_ref().map(|current| current.meta.root)
    }

    /// Returns the node that sends the snapshot.
    pub(crate) fn from(&self) -> Option<NodeId> {
        self.current.as_ref().map(|current| current.from)
    }

    /// Returns the last entry that the snapshot being received covers.
    pub(crate) fn last(&self) -> Option<EntryId> {
        self.current.as_ref().map(|current| current.meta.last)
    }

    /// Returns the node to send requests to now, and the parts to request. `wanted` are the parts
    /// of `root` that the store can take, in its order.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        root: Root,
        wanted: Vec<SnapshotPart>,
    ) -> Option<(NodeId, Vec<SnapshotPart>)> {
        let inflight_max = self.inflight_max;
        let current = self.current.as_mut().filter(|current| current.meta.root == root)?;
        // A part that the store cannot take now needs no deadline: it is requested once the store
        // can take it.
        current.requested.retain(|request| now < request.due || wanted.contains(&request.part));
        let is_due = |part: &SnapshotPart| {
            current.requested.iter().any(|it| it.part == *part && now >= it.due)
        };
        if wanted.iter().take(inflight_max).any(is_due) {
            current.repeats += 1;
        }
        let due = now.after(current.repeat_delay(self.timeout));
        let mut parts = Vec::new();
        for part in wanted.into_iter().take(inflight_max) {
            let room = current.requested.len() < inflight_max;
            match current.requested.iter_mut().find(|request| request.part == part) {
                Some(request) if now >= request.due => {
                    (request.due, request.is_repeated) = (due, true);
                }
                None if room => {
                    current.requested.push(Request { part, at: now, due, is_repeated: false });
                }
                Some(_) | None => continue,
            }
            parts.push(part);
        }
        assert!(parts.len() <= inflight_max, "the number of requests is bounded");
        assert!(current.requested.len() <= inflight_max, "the parts in flight are bounded");
        (!parts.is_empty()).then_some((current.from, parts))
    }

    /// Handles an accepted part. The other requested parts follow it on the same connection, so the
    /// node waits a whole timeout for them from now on.
    pub(crate) fn on_part(&mut self, now: Instant, part: SnapshotPart) {
        let least = self.timeout;
        let Some(current) = &mut self.current else { return };
        assert!(now >= current.last_part_at, "the time never goes back");
        let before = std::mem::replace(&mut current.last_part_at, now);
        let arrived = current.requested.iter().position(|request| request.part == part);
        let Some(request) = arrived.map(|place| current.requested.swap_remove(place)) else {
            return;
        };
        let waited = now.since(request.at);
        let took = match (request.is_repeated, current.repeats) {
            (false, _) => waited,
            // A part that was requested with this one has already raised the timeout.
            (true, 0) => waited.min(current.timeout / 2 + now.since(before)),
            // The part may answer a repeated request: the wait before that may have been for a lost
            // message.
            (true, _) => waited.min(current.repeat_delay(least)),
        };
        current.timeout = least.max(took.saturating_mul(2));
        current.repeats = 0;
        let due = now.after(current.timeout);
        current.requested.iter_mut().for_each(|request| request.due = request.due.max(due));
    }

    /// Ends the transfer, and starts no other one for `retry_after`: either the snapshot cannot be
    /// stored, and a full disk must not be filled again at once, or the node writes a snapshot of
    /// its own instead.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.end();
        self.not_before = now.after(self.retry_after);
    }

    /// Ends the transfer of a snapshot that is larger than this node's limits allow.
    pub(crate) fn too_large(&mut self, now: Instant) {
        self.end();
        self.not_before = now.after(self.too_large_delay.next());
    }

    /// Ends the transfer, because the snapshot is complete.
    pub(crate) fn received(&mut self) {
        self.end();
        self.too_large_delay.reset();
    }

    /// Ends the transfer, complete or not.
    pub(crate) fn end(&mut self) {
        self.current = None;
    }

    /// Returns the time at which a part must be requested again.
    pub(crate) fn deadline(&self) -> Instant {
        let requested = self.current.iter().flat_map(|current| &current.requested);
        requested.map(|request| request.due).min().unwrap_or(Instant::NEVER)
    }
}

impl Current {
    /// Returns the time after which a part is requested again. It doubles with every repetition,
    /// because otherwise a slow connection would carry only copies of the same parts.
    fn repeat_delay(&self, part_timeout: Duration) -> Duration {
        let factor = 1_u32.checked_shl(self.repeats).unwrap_or(u32::MAX);
        let longest = self.timeout.max(part_timeout.saturating_mul(REPEAT_FACTOR_MAX));
        self.timeout.saturating_mul(factor).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::raft::Config;
    use crate::types::{Index, Membership, Term};

    const SECOND: Duration = Duration::from_secs(1);

    fn meta(index: u64) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(index));
        let root = Root([index as u8; 32]);
        SnapshotMeta { root, ..SnapshotMeta::empty(last, Membership::default()) }
    }

    fn receiver(parts_inflight_max: usize) -> SnapshotReceiver {
        let mut config = ReplicaConfig::new(Config::new(NodeId(3)));
        config.parts_inflight_max = parts_inflight_max;
        config.snapshot_bytes_per_second = 1_000;
        config.storage.snapshots.chunk_bytes = 2_000;
        SnapshotReceiver::new(&config)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(SECOND * seconds as u32)
    }

    fn chunks(from: u32) -> Vec<SnapshotPart> {
        (from..9).map(SnapshotPart::Chunk).collect()
    }

    #[test]
    fn parts_are_requested_within_the_bound_and_again_after_the_timeout() {
        let mut receiver = receiver(2);
        assert_eq!(receiver.request(at(0), meta(5).root, chunks(0)), None, "nothing was offered");
        assert!(receiver.on_offer(at(0), NodeId(1), &meta(5), true));
        let (first, second) = (SnapshotPart::Chunk(0), SnapshotPart::Chunk(1));
        assert_eq!(
            receiver.request(at(0), meta(5).root, chunks(0)),
            Some((NodeId(1), vec![first, second]))
        );
        assert_eq!(receiver.request(at(0), meta(5).root, chunks(0)), None);
        receiver.on_part(at(0), first);
        assert_eq!(
            receiver.request(at(0), meta(5).root, chunks(1)),
            Some((NodeId(1), vec![SnapshotPart::Chunk(2)]))
        );
        assert_eq!(receiver.deadline(), at(1));
        let again = vec![second, SnapshotPart::Chunk(2)];
        assert_eq!(receiver.request(at(1), meta(5).root, chunks(1)), Some((NodeId(1), again)));
        assert_eq!(receiver.deadline(), at(3), "the delay doubles");
    }

    /// A source that sends one part after the other, each in `part_time` seconds. Returns the
    /// number of parts that it sent until the receiver had 40.
    fn parts_sent(part_time: u64) -> usize {
        let mut receiver = receiver(4);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        let (mut queue, mut sent, mut missing) = (VecDeque::new(), 0, (0..40).collect::<Vec<_>>());
        for second in 0..40_000 {
            if second % part_time == 0
                && let Some(part) = queue.pop_front()
            {
                sent += 1;
                if let Some(place) =
                    missing.iter().position(|chunk| SnapshotPart::Chunk(*chunk) == part)
                {
                    missing.remove(place);
                    receiver.on_part(at(second), part);
                }
            }
            let wanted = missing.iter().copied().map(SnapshotPart::Chunk).collect();
            let requested = receiver.request(at(second), meta(5).root, wanted);
            queue.extend(requested.into_iter().flat_map(|(_, parts)| parts));
            if missing.is_empty() {
                return sent;
            }
        }
        panic!("the transfer never completes")
    }

    #[test]
    fn a_slow_connection_carries_at_most_twice_as_many_parts_as_needed() {
        for part_time in [1, 2, 5, 20] {
            assert!(parts_sent(part_time) <= 80, "each takes {part_time} s");
        }
    }

    #[test]
    fn a_due_part_that_the_store_cannot_take_sets_no_deadline() {
        let mut receiver = receiver(2);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        assert_eq!(receiver.request(at(1), meta(5).root, Vec::new()), None);
        assert!(receiver.deadline() > at(1), "the node would wake again and again");
        let first = vec![SnapshotPart::Chunk(0), SnapshotPart::Chunk(1)];
        assert_eq!(receiver.request(at(1), meta(5).root, chunks(0)), Some((NodeId(1), first)));
    }

    #[test]
    fn a_transfer_is_replaced_only_when_no_parts_arrive() {
        let mut receiver = receiver(2);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        receiver.on_part(at(2), SnapshotPart::Chunk(0));
        assert!(!receiver.on_offer(at(5), NodeId(1), &meta(9), true));
        assert_eq!(receiver.root(), Some(meta(5).root));
        assert!(!receiver.on_offer(at(6), NodeId(1), &meta(9), false));
        assert_eq!(receiver.root(), Some(meta(5).root), "no transfer may start");
        assert!(receiver.on_offer(at(6), NodeId(1), &meta(9), true));
        assert_eq!(receiver.root(), Some(meta(9).root));
        receiver.request(at(6), meta(9).root, vec![SnapshotPart::Chunk(0)]);
        receiver.on_part(at(7), SnapshotPart::Chunk(0));
        let is_replaced = receiver.on_offer(at(60), NodeId(1), &meta(12), true);
        assert!(!is_replaced, "the store verifies it");
    }

    #[test]
    fn an_outage_raises_the_timeout_of_later_parts_by_a_bounded_time() {
        let mut receiver = receiver(4);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        for second in 0..600 {
            receiver.request(at(second), meta(5).root, chunks(0));
        }
        for part in 0..4 {
            receiver.on_part(at(600 + u64::from(part)), SnapshotPart::Chunk(part));
        }
        receiver.request(at(604), meta(5).root, chunks(4));
        let timeout = receiver.deadline().since(at(604));
        assert!(timeout <= SECOND * 2 * (REPEAT_FACTOR_MAX + 4), "{timeout:?}");
    }

    #[test]
    fn the_delay_after_too_large_snapshots_begins_again_after_one_that_fits() {
        let mut receiver = receiver(2);
        let first = receiver.retry_after;
        (0..3).for_each(|_| receiver.too_large(at(0)));
        receiver.received();
        receiver.too_large(at(0));
        assert!(!receiver.on_offer(at(0), NodeId(1), &meta(5), true));
        assert!(receiver.on_offer(at(0).after(first), NodeId(1), &meta(5), true));
    }

    #[test]
    fn a_source_that_serves_every_member_has_time_for_all_their_parts() {
        let mut receiver = receiver(2);
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let offer =
            |index, bytes| SnapshotMeta { bytes, membership: membership.clone(), ..meta(index) };
        receiver.on_offer(at(0), NodeId(1), &offer(5, 1 << 20), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        // Each of three members has two parts of 2 s in flight.
        assert!(!receiver.on_offer(at(15), NodeId(2), &offer(9, 1_000), true));
        assert!(receiver.on_offer(at(16), NodeId(2), &offer(9, 1_000), true));
        receiver.request(at(16), meta(9).root, chunks(0));
        // A whole snapshot takes 1 s.
        assert!(!receiver.on_offer(at(22), NodeId(1), &offer(12, 1_000), true));
        assert!(receiver.on_offer(at(23), NodeId(1), &offer(12, 1_000), true));
    }

    #[test]
    fn later_requests_go_to_another_source_of_the_same_snapshot() {
        let mut receiver = receiver(2);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        assert!(!receiver.on_offer(at(0), NodeId(2), &meta(5), true));
        let repeated = receiver.request(at(0), meta(5).root, chunks(0));
        assert_eq!(repeated, None, "the parts of the first source are under way");
        receiver.on_part(at(0), SnapshotPart::Chunk(0));
        let third = vec![SnapshotPart::Chunk(2)];
        assert_eq!(receiver.request(at(0), meta(5).root, chunks(1)), Some((NodeId(2), third)));
        let due = receiver.request(at(1), meta(5).root, chunks(1));
        assert_eq!(due, Some((NodeId(2), vec![SnapshotPart::Chunk(1), SnapshotPart::Chunk(2)])));
    }

    #[test]
    fn a_stalled_transfer_goes_on_with_another_source_at_once() {
        let mut receiver = receiver(1);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        receiver.request(at(1), meta(5).root, chunks(0));
        assert!(receiver.deadline() > at(2));
        receiver.request(at(3), meta(5).root, chunks(0));
        assert!(receiver.deadline() > at(6));
        assert!(!receiver.on_offer(at(6), NodeId(2), &meta(5), true));
        let first = vec![SnapshotPart::Chunk(0)];
        assert_eq!(receiver.request(at(6), meta(5).root, chunks(0)), Some((NodeId(2), first)));
    }
}
