//! The state of a repair. All of `src/raft/repair/` changes it, because a request, a reply and the
//! end of a write each concern several fields.

use core::time::Duration;

use crate::log::Log;
use crate::types::{EntryId, Index, Instant, Membership, NodeId};

/// The maximum of [`Repair::doublings`] and of [`Repair::rounds`].
const DOUBLINGS_MAX: u32 = 4;

/// The repair under way. While no entry is damaged, it has no requests, but a write or an adoption
/// may still be under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Repair {
    /// The member that was asked last.
    pub(super) asked: Option<NodeId>,
    /// The number of requests so far for the entries after `through`.
    pub(super) requests: usize,
    /// The wait after the next request is two to the power of this number, in heartbeat intervals.
    pub(super) doublings: u32,
    /// The number of times in a row that this node requested all damaged entries and got replies,
    /// but could repair no entry; `doublings` is at least this number.
    pub(super) rounds: u32,
    /// Whether a member has replied since the requests began at the first damaged entry.
    pub(super) is_answered: bool,
    /// The last index whose content arrived, or for which every member was asked. The next request
    /// is for later damaged entries or, if there are none, begins again at the first damaged one.
    pub(super) through: Index,
    /// The time of the next request, or of the next write of contents that are still in memory.
    pub(super) due: Instant,
    /// Whether the next step, at `due`, writes contents that are still in memory, if there are any.
    /// Otherwise it asks a member, because those contents may share a sector with entries that are
    /// missing.
    pub(super) is_memory_next: bool,
    /// Whether a write of contents is under way.
    pub(super) is_writing: bool,
    /// The last entry of the snapshot that this node last asked its disk to adopt.
    pub(super) adopting: Option<EntryId>,
    /// The content that is being written, if it is a membership that this node does not know.
    pub(super) membership: Option<(Index, Membership)>,
    /// The time since which an entry after the commit index has been damaged: as the leader, this
    /// node could neither commit nor send it.
    pub(super) blocked_since: Option<Instant>,
}

impl Default for Repair {
    fn default() -> Repair {
        Repair {
            asked: None,
            requests: 0,
            doublings: 0,
            rounds: 0,
            is_answered: false,
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

    /// Forgets the requests so far, because no entry is damaged now. A write under way continues.
    #[inline]
    pub(super) fn forget_requests(&mut self) {
        (self.asked, self.requests) = (None, 0);
        self.through = Index::ZERO;
        self.progressed();
        (self.due, self.is_memory_next, self.blocked_since) = (Instant::ZERO, true, None);
    }

    /// Records that an entry was repaired, or that another one is damaged: `doublings` and `rounds`
    /// begin again at zero.
    pub(super) fn progressed(&mut self) {
        (self.doublings, self.rounds, self.is_answered) = (0, 0, false);
    }

    /// Records a reply. The wait between two requests falls to the wait that `rounds` sets, and not
    /// below that until an entry is repaired.
    pub(super) fn answered(&mut self) {
        (self.doublings, self.is_answered) = (self.rounds, true);
    }

    /// Records that the requests begin again at the first damaged entry.
    pub(super) fn restarted(&mut self) {
        if core::mem::take(&mut self.is_answered) {
            self.rounds = (self.rounds + 1).min(DOUBLINGS_MAX);
            self.doublings = self.doublings.max(self.rounds);
        }
    }

    /// The time after a write that repaired no entry until the next step.
    pub(super) fn pause(&self, interval: Duration) -> Duration {
        interval.saturating_mul(1 << self.rounds)
    }

    /// Records a request to `member` at `now`. The time until the next request doubles while none
    /// is answered: the replies may be under way on a slow connection, which more requests would
    /// fill with copies of the same contents.
    pub(super) fn requested(&mut self, member: NodeId, interval: Duration, now: Instant) {
        self.due = now.after(interval.saturating_mul(1 << self.doublings));
        self.asked = Some(member);
        self.requests += 1;
        self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
    }

    /// Whether a write of contents is under way.
    #[cfg(feature = "std")]
    pub(crate) fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// Makes the next request ask for entries after `last`.
    pub(super) fn request_after(&mut self, last: Index) {
        (self.through, self.requests) = (last, 0);
    }

    /// Whether an entry after the commit index has been damaged for at least `span` before `now`. A
    /// leader then lets another node lead, because it can neither commit nor send the entry, and a
    /// leader never truncates its own log (Raft §5.3).
    pub(crate) fn has_blocked_for(&self, span: Duration, now: Instant) -> bool {
        self.blocked_since.is_some_and(|since| now >= since.after(span))
    }

    /// Whether the disk still has to adopt a snapshot. A disk that has a later snapshot ignores the
    /// request; the log has that snapshot too, or will have it.
    pub(crate) fn is_adopting(&self, log: &Log) -> bool {
        self.adopting.is_some_and(|last| last.index > log.snapshot().index)
    }

    /// Ends the adoption of the snapshot that ends with `last`. Returns false if the disk was not
    /// asked to adopt it.
    pub(crate) fn end_adoption(&mut self, last: EntryId) -> bool {
        self.adopting.take_if(|adopting| *adopting == last).is_some()
    }

    /// Panics if the state contradicts the log.
    pub(crate) fn assert_invariants(&self, log: &Log) {
        let has_damage = log.damaged_entries() > 0;
        assert!(has_damage || self.blocked_since.is_none(), "only damage blocks a leader");
        assert!(self.is_writing || self.membership.is_none(), "contents are kept during a write");
        assert!(self.rounds <= self.doublings, "the wait is at least the one that the rounds set");
        let is_committed = self.adopting.is_none_or(|last| last.index <= log.committed());
        assert!(is_committed, "the entries that a snapshot replaces are not truncated meanwhile");
    }
}

#[cfg(feature = "explore")]
impl Repair {
    /// The instants in the state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        [&mut self.due].into_iter().chain(&mut self.blocked_since)
    }
}
