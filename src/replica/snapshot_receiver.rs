//! The receiver of a peer's snapshot: it requests each part, and again after a timeout, until the
//! part arrives.

use core::time::Duration;

use crate::types::{EntryId, Index, Instant, NodeId, Root, SnapshotMeta, SnapshotPart};

/// The snapshot that is being received, if any.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotReceiver {
    current: Option<Current>,
    inflight_max: usize,
    timeout: Duration,
    /// The delay after a failure to store a snapshot, and the time until which none is received.
    retry_after: Duration,
    not_before: Instant,
}

#[derive(Clone, Debug)]
struct Current {
    from: NodeId,
    meta: SnapshotMeta,
    /// The requested parts that have not arrived, each with the time of the next request.
    requested: Vec<(SnapshotPart, Instant)>,
    /// The time at which the last part arrived.
    last_part_at: Instant,
}

/// The number of part timeouts that a receiver waits for a source that sends nothing.
const SOURCE_TIMEOUTS: u32 = 4;

impl SnapshotReceiver {
    /// After a failure to store a snapshot, none is received for `retry_after`.
    pub(crate) fn new(
        inflight_max: usize,
        timeout: Duration,
        retry_after: Duration,
    ) -> SnapshotReceiver {
        assert!(inflight_max > 0, "a transfer requests parts");
        assert!(!timeout.is_zero(), "a request takes time");
        let (current, not_before) = (None, Instant::ZERO);
        SnapshotReceiver { current, inflight_max, timeout, retry_after, not_before }
    }

    /// Decides about a peer's offer: returns true if the store should receive the offered snapshot,
    /// in place of any other. An offer of the snapshot that is being received only changes the node
    /// that sends it. A transfer is not abandoned for a newer snapshot while its parts arrive,
    /// because otherwise a leader that takes snapshots faster than they travel would never complete
    /// one. No transfer starts unless one `may_start`, nor for `retry_after` after a failure.
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
                if current.from != from {
                    current.from = from;
                    current.requested.clear();
                }
                return false;
            }
            if !is_stalled {
                return false;
            }
        }
        if !may_start || now < self.not_before {
            return false;
        }
        self.current =
            Some(Current { from, meta: meta.clone(), requested: Vec::new(), last_part_at: now });
        true
    }

    /// Returns true if requested parts have not arrived for so long that the source may be gone.
    /// After the last part nothing is requested while the store verifies the snapshot.
    fn is_stalled(&self, now: Instant) -> bool {
        let timeout = self.timeout.saturating_mul(SOURCE_TIMEOUTS);
        let is_late = |current: &Current| now >= current.last_part_at.after(timeout);
        self.current
            .as_ref()
            .is_some_and(|current| !current.requested.is_empty() && is_late(current))
    }

    /// Returns true if an own snapshot that ends at `last` may be taken in place of the one being
    /// received: it does not end earlier, or no parts arrive any more.
    pub(crate) fn gives_way_to(&self, last: Index, now: Instant) -> bool {
        let ends_later = |received: EntryId| last >= received.index;
        self.last().is_some_and(ends_later) || self.is_stalled(now)
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
        let again = now.after(self.timeout);
        let current = self.current.as_mut().filter(|current| current.meta.root == root)?;
        // A part that the store cannot take now needs no deadline: it is requested once the store
        // can take it.
        current.requested.retain(|(part, due)| now < *due || wanted.contains(part));
        let mut parts = Vec::new();
        for part in wanted.into_iter().take(self.inflight_max) {
            let room = current.requested.len() < self.inflight_max;
            match current.requested.iter_mut().find(|(requested, _)| *requested == part) {
                Some((_, due)) if now >= *due => *due = again,
                None if room => current.requested.push((part, again)),
                Some(_) | None => continue,
            }
            parts.push(part);
        }
        assert!(parts.len() <= self.inflight_max, "the number of requests is bounded");
        assert!(current.requested.len() <= self.inflight_max, "the parts in flight are bounded");
        debug_assert!(
            parts.iter().all(|part| current.requested.contains(&(*part, again))),
            "every request is repeated after a timeout"
        );
        (!parts.is_empty()).then_some((current.from, parts))
    }

    /// Handles an accepted part.
    pub(crate) fn on_part(&mut self, now: Instant, part: SnapshotPart) {
        if let Some(current) = &mut self.current {
            assert!(now >= current.last_part_at, "the time never goes back");
            current.requested.retain(|(requested, _)| *requested != part);
            current.last_part_at = now;
        }
    }

    /// Ends the transfer, and starts none for `retry_after`: because the snapshot cannot be stored,
    /// so that a full disk is not filled again at once, or because an own one is written instead.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.end();
        self.not_before = now.after(self.retry_after);
    }

    /// Ends the transfer, complete or not.
    pub(crate) fn end(&mut self) {
        self.current = None;
    }

    /// Returns the time at which a part must be requested again.
    pub(crate) fn deadline(&self) -> Instant {
        let requested = self.current.iter().flat_map(|current| &current.requested);
        requested.map(|(_, due)| *due).min().unwrap_or(Instant::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Index, Membership, Term};

    const SECOND: Duration = Duration::from_secs(1);

    fn meta(index: u64) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(index));
        let root = Root([index as u8; 32]);
        SnapshotMeta { root, ..SnapshotMeta::empty(last, Membership::default()) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(SECOND * seconds as u32)
    }

    fn chunks(from: u32) -> Vec<SnapshotPart> {
        (from..9).map(SnapshotPart::Chunk).collect()
    }

    #[test]
    fn parts_are_requested_within_the_bound_and_again_after_the_timeout() {
        let mut receiver = SnapshotReceiver::new(2, SECOND, SECOND);
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
    }

    #[test]
    fn a_due_part_that_the_store_cannot_take_sets_no_deadline() {
        let mut receiver = SnapshotReceiver::new(2, SECOND, SECOND);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        assert_eq!(receiver.request(at(1), meta(5).root, Vec::new()), None);
        assert!(receiver.deadline() > at(1), "the node would wake again and again");
        let first = vec![SnapshotPart::Chunk(0), SnapshotPart::Chunk(1)];
        assert_eq!(receiver.request(at(1), meta(5).root, chunks(0)), Some((NodeId(1), first)));
    }

    #[test]
    fn a_transfer_is_replaced_only_when_no_parts_arrive() {
        let mut receiver = SnapshotReceiver::new(2, SECOND, SECOND);
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
    fn requests_go_to_another_source_of_the_same_snapshot_at_once() {
        let mut receiver = SnapshotReceiver::new(1, SECOND, SECOND);
        receiver.on_offer(at(0), NodeId(1), &meta(5), true);
        receiver.request(at(0), meta(5).root, chunks(0));
        assert!(!receiver.on_offer(at(0), NodeId(2), &meta(5), true));
        assert_eq!(
            receiver.request(at(0), meta(5).root, chunks(0)),
            Some((NodeId(2), vec![SnapshotPart::Chunk(0)]))
        );
    }
}
