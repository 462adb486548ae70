//! The state of a repair. The whole room changes it, because a request, a reply and the end of a
//! write each concern several fields.

use core::time::Duration;

use crate::log::Log;
use crate::types::{EntryId, Index, Instant, Membership, NodeId};

/// The repair under way. It is empty while no entry is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Repair {
    /// The member that was asked last.
    pub(super) asked: Option<NodeId>,
    /// The number of requests so far for the entries after `through`.
    pub(super) requests: usize,
    /// The last index of which contents arrived, or for which every member was asked: the next
    /// request is for later entries, or begins again at the first damaged one.
    pub(super) through: Index,
    /// The time of the next request, or of the next write of contents that are still in memory.
    pub(super) due: Instant,
    /// Whether contents in memory are written then, if there are some. Otherwise a member is asked,
    /// because the contents in memory may share a sector with others.
    pub(super) is_memory_next: bool,
    /// Whether a write of contents is under way.
    pub(super) is_writing: bool,
    /// The last entry of the snapshot that the disk was last asked to adopt.
    pub(super) adopting: Option<EntryId>,
    /// The content under way, if it is a membership that this node does not know.
    pub(super) membership: Option<(Index, Membership)>,
    /// When this node's leadership was first blocked by an entry that it can neither commit nor
    /// send.
    pub(super) blocked_since: Option<Instant>,
}

impl Default for Repair {
    fn default() -> Repair {
        Repair {
            asked: None,
            requests: 0,
            through: Index::ZERO,
            due: Instant::ZERO,
            is_memory_next: true,
            is_writing: false,
            adopting: None,
            membership: None,
            blocked_since: None,
        }
    }
}

impl Repair {
    /// The time of the next step; `Instant::NEVER` if none is due before another input.
    pub(crate) fn deadline(&self, log: &Log) -> Instant {
        if self.is_writing || log.damaged_entries() == 0 { Instant::NEVER } else { self.due }
    }

    /// Forgets the requests so far, because no entry is damaged any more. A write under way
    /// continues.
    pub(super) fn forget_requests(&mut self) {
        (self.asked, self.requests, self.through) = (None, 0, Index::ZERO);
        (self.due, self.is_memory_next, self.blocked_since) = (Instant::ZERO, true, None);
    }

    /// Goes on to the entries after `last`.
    pub(super) fn pass(&mut self, last: Index) {
        (self.through, self.requests) = (last, 0);
    }

    /// Whether a damaged entry after the commit index has kept this node, which leads, from
    /// committing since `span` before `now` or longer. Such a leader has no other way on than to
    /// let another node lead, because an entry that a leader has sent is never truncated by itself.
    pub(crate) fn has_blocked_for(&self, span: Duration, now: Instant) -> bool {
        self.blocked_since.is_some_and(|since| now >= since.after(span))
    }

    /// Whether the disk still has to adopt a snapshot. It ignores the request if it has a later
    /// one, which is the log's then, or will be.
    pub(crate) fn is_adopting(&self, log: &Log) -> bool {
        self.adopting.is_some_and(|last| last.index > log.snapshot().index)
    }

    /// Whether the disk has adopted the snapshot that ends with `last`, as it was asked to do.
    pub(crate) fn end_adoption(&mut self, last: EntryId) -> bool {
        self.adopting.take_if(|adopting| *adopting == last).is_some()
    }

    /// Panics if the state contradicts the log.
    pub(crate) fn assert_invariants(&self, log: &Log) {
        let has_damage = log.damaged_entries() > 0;
        assert!(has_damage || self.blocked_since.is_none(), "only damage blocks a leader");
        assert!(self.is_writing || self.membership.is_none(), "contents are kept during a write");
    }
}

#[cfg(feature = "explore")]
impl Repair {
    /// The instants in the state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        [&mut self.due].into_iter().chain(&mut self.blocked_since)
    }
}
