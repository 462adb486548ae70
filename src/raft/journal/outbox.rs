//! The messages that wait for the disk. Only this file decides when a message may leave.
//!
//! A message must not reveal a term or a vote that a crash could still undo (Raft §5.1, §5.2), and
//! an acknowledgement must not reveal an entry that a crash could undo (Raft §5.3). A message
//! therefore waits for the write that makes its content durable. All other actions of a step may be
//! carried out at once.
//!
//! TLA+: `docs/tla/quorate.tla`, Leave and Persist.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::types::{
    Body, Entries, Entry, HardState, Index, Instant, Message, SnapshotMeta, Term, Write, WriteId,
};

/// The pending writes, and the messages that wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Outbox {
    /// The last write submitted to the disk, and the last one known to be durable.
    submitted: WriteId,
    persisted: WriteId,
    /// The last write with a hard state, and the last one with entries or an installed snapshot.
    hard_state_write: WriteId,
    entries_write: WriteId,
    /// The pending writes, each with the last index that it makes durable.
    pending_writes: VecDeque<(WriteId, Index)>,
    /// When the disk began the first pending write.
    oldest_write_since: Instant,
    /// Messages that wait for a hard state, and acknowledgements that also wait for entries. The
    /// awaited writes ascend in each queue.
    held: VecDeque<(WriteId, Message)>,
    held_acknowledgements: VecDeque<(WriteId, Message)>,
    /// The content that the current step adds to the next write.
    hard_state: Option<HardState>,
    install: Option<Box<SnapshotMeta>>,
    entries: Entries,
}

impl Outbox {
    /// Adds `hard_state` to the next write.
    pub(crate) fn write_hard_state(&mut self, hard_state: HardState) {
        let is_later = self.hard_state.is_none_or(|earlier| earlier.term <= hard_state.term);
        assert!(is_later, "a term only increases");
        self.hard_state = Some(hard_state);
        self.hard_state_write = self.submitted.next();
    }

    /// Adds `entry` to the next write.
    #[inline]
    pub(crate) fn write_entry(&mut self, entry: Entry) {
        self.write_entries(Entries::from(entry));
    }

    /// Adds consecutive entries to the next write.
    #[inline]
    pub(crate) fn write_entries(&mut self, entries: Entries) {
        assert!(!entries.is_empty(), "a write of entries has some");
        let (last, first) = (self.entries.last(), entries.first());
        let follows = |last: &Entry| first.is_none_or(|it| last.id.index.next() == it.id.index);
        assert!(last.is_none_or(follows), "a write has no gap");
        self.entries.append(entries);
        self.entries_write = self.submitted.next();
    }

    /// Adds the installation of a snapshot, which replaces the whole log, to the next write.
    /// Pending writes make no index of the new log durable. An acknowledgement of the old log that
    /// waits for the disk stays valid if the snapshot covers its index, and is dropped otherwise:
    /// the acknowledged entries contradict the committed snapshot although this term's leader sent
    /// them, so that leader is faulty.
    pub(crate) fn write_install(&mut self, meta: SnapshotMeta) {
        assert!(self.entries.is_empty(), "a step installs before it appends");
        for (_, durable) in &mut self.pending_writes {
            *durable = Index::ZERO;
        }
        self.drop_acknowledgements_after(meta.last.index);
        self.install = Some(Box::new(meta));
        self.entries_write = self.submitted.next();
    }

    /// Truncates the pending writes after `last`, because later indices are about to be
    /// overwritten: no pending write makes them durable, and acknowledgements of them are dropped.
    /// An acknowledgement to the current leader is dropped only if that leader has contradicted
    /// itself.
    pub(crate) fn truncate(&mut self, last: Index) {
        assert!(self.entries.is_empty(), "a step truncates the log before it appends");
        for (_, durable) in &mut self.pending_writes {
            *durable = last.min(*durable);
        }
        self.drop_acknowledgements_after(last);
    }

    /// Drops the waiting acknowledgements of indices after `last`.
    fn drop_acknowledgements_after(&mut self, last: Index) {
        let is_valid = |(_, message): &(WriteId, Message)| message.body.acknowledged() <= last;
        self.held.retain(is_valid);
        self.held_acknowledgements.retain(is_valid);
    }

    /// Whether the current step writes anything.
    #[inline]
    pub(crate) fn has_write(&self) -> bool {
        self.hard_state.is_some() || self.install.is_some() || !self.entries.is_empty()
    }

    /// Returns the write of the current step. The step must [have one](Outbox::has_write).
    #[inline]
    pub(crate) fn submit(&mut self, committed: Index, now: Instant) -> Write {
        assert!(self.has_write(), "a write has content");
        self.submitted = self.submitted.next();
        let (install, entries) = (self.install.take(), core::mem::take(&mut self.entries));
        let installed = install.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
        let last = entries.last().map_or(installed, |entry| entry.id.index);
        if self.pending_writes.is_empty() {
            self.oldest_write_since = now;
        }
        let before = self.pending_writes.back();
        assert!(before.is_none_or(|(id, _)| *id < self.submitted), "writes are numbered in order");
        self.pending_writes.push_back((self.submitted, last));
        let hard_state = self.hard_state.take();
        Write { id: self.submitted, hard_state, committed, install, entries }
    }

    /// When the disk began the first pending write; `None` if no write is pending.
    pub(crate) fn oldest_write_since(&self) -> Option<Instant> {
        (!self.pending_writes.is_empty()).then_some(self.oldest_write_since)
    }

    /// Marks every write up to `write` as durable. Returns the last index that this makes durable.
    #[inline]
    pub(crate) fn persisted(&mut self, write: WriteId, now: Instant) -> Index {
        assert!(write <= self.submitted, "contract: only a submitted write is persisted");
        self.persisted = self.persisted.max(write);
        let mut durable = Index::ZERO;
        while let Some((_, last)) = self.pending_writes.pop_front_if(|(id, _)| *id <= write) {
            durable = durable.max(last);
            self.oldest_write_since = now;
        }
        durable
    }

    /// The write that a message with this body waits for. The message may leave at once if that
    /// write [is durable](Outbox::has_persisted), because then everything that the message reveals
    /// is durable.
    #[inline]
    pub(crate) fn gate(&self, body: &Body) -> WriteId {
        let gate = if body.reveals_entries() {
            self.hard_state_write.max(self.entries_write)
        } else {
            self.hard_state_write
        };
        assert!(gate <= self.submitted.next(), "a message waits for this step's write at most");
        gate
    }

    /// Keeps a message that waits for the write `gate`. Returns false and drops it, as a network
    /// might drop it, if `held_max` messages wait already.
    ///
    /// A candidate's vote requests are always kept, one for each voter: if some of them were always
    /// dropped, it could campaign forever and never win.
    #[inline]
    pub(crate) fn hold(&mut self, gate: WriteId, message: Message, held_max: usize) -> bool {
        assert!(gate > self.persisted, "a message that may leave is sent");
        if self.held() >= held_max && !matches!(message.body, Body::RequestVote { .. }) {
            return false;
        }
        let reveals_entries = message.body.reveals_entries();
        let queue = if reveals_entries { &mut self.held_acknowledgements } else { &mut self.held };
        queue.push_back((gate, message));
        true
    }

    /// Passes the messages whose writes are durable to `send`: first those that wait for a hard
    /// state.
    #[inline]
    pub(crate) fn release(&mut self, mut send: impl FnMut(Message)) {
        let is_durable = |(gate, _): &mut (WriteId, Message)| *gate <= self.persisted;
        for queue in [&mut self.held, &mut self.held_acknowledgements] {
            while let Some((_, message)) = queue.pop_front_if(is_durable) {
                send(message);
            }
        }
    }

    /// Drops the waiting messages of terms before `term`. This matters most for acknowledgements:
    /// their entries may be truncated before the messages could leave.
    pub(crate) fn drop_before(&mut self, term: Term) {
        self.held.retain(|(_, message)| message.term >= term);
        self.held_acknowledgements.retain(|(_, message)| message.term >= term);
    }

    /// Drops every waiting message, because the node is uncertain from now on.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
        self.held_acknowledgements.clear();
    }

    /// The write that makes the latest hard state durable.
    pub(crate) fn hard_state_write(&self) -> WriteId {
        self.hard_state_write
    }

    #[inline]
    pub(crate) fn has_persisted(&self, write: WriteId) -> bool {
        write <= self.persisted
    }

    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.held.len() + self.held_acknowledgements.len()
    }

    pub(crate) fn assert_invariants(&self) {
        assert!(self.persisted <= self.submitted, "only submitted writes are durable");
        let pending = self.pending_writes.front();
        assert!(
            pending.is_none_or(|(id, _)| *id > self.persisted),
            "a durable write is not pending"
        );
        let unfinished = self.submitted.0 - self.persisted.0;
        assert!(self.pending_writes.len() as u64 == unfinished, "each unfinished write is pending");
        let indices = self.pending_writes.iter().filter(|(_, last)| *last > Index::ZERO);
        assert!(
            indices.is_sorted_by_key(|(_, last)| *last),
            "an entry is durable no later than the entries after it"
        );
        let gates = self.hard_state_write.max(self.entries_write);
        assert!(gates <= self.submitted, "a step submits the writes that messages wait for");
        assert!(self.hard_state.is_none(), "a step submits its hard state");
        assert!(self.install.is_none(), "a step submits its installed snapshot");
        assert!(self.entries.is_empty(), "a step submits its entries");
        for queue in [&self.held, &self.held_acknowledgements] {
            assert!(
                queue.iter().is_sorted_by_key(|(gate, _)| *gate),
                "held messages are in write order"
            );
            let next = queue.front();
            assert!(
                next.is_none_or(|(gate, _)| *gate > self.persisted),
                "no held message may leave"
            );
        }
    }
}

#[cfg(feature = "explore")]
impl Outbox {
    /// Renumbers the writes from the first one that is not durable. Returns the previous number of
    /// the last durable write.
    pub(crate) fn renumber(&mut self) -> WriteId {
        let durable = self.persisted;
        let later = |write: WriteId| WriteId(write.0.saturating_sub(durable.0));
        self.submitted = later(self.submitted);
        self.persisted = later(self.persisted);
        self.hard_state_write = later(self.hard_state_write);
        self.entries_write = later(self.entries_write);
        let held = self.held.iter_mut().chain(&mut self.held_acknowledgements);
        held.for_each(|(gate, _)| *gate = later(*gate));
        self.pending_writes.iter_mut().for_each(|(write, ..)| *write = later(*write));
        durable
    }

    /// When the disk began the first pending write; meaningless while no write is pending.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.oldest_write_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AppendOutcome;
    use crate::types::{EntryId, Incarnation, Membership, NodeId, Payload, Readiness};

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Noop }
    }

    fn message(term: u64, body: Body) -> Message {
        Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(term),
            body,
        }
    }

    fn accepted(term: u64, matched: u64) -> Message {
        let outcome = AppendOutcome::Accepted { matched: Index(matched) };
        message(term, Body::AppendEntriesReply(outcome))
    }

    fn heartbeat_reply(term: u64) -> Message {
        message(
            term,
            Body::HeartbeatReply {
                round: 1,
                verified: Index(0),
                matched: Index(0),
                durable: Index(0),
                ready: Readiness::default(),
            },
        )
    }

    fn may_leave(outbox: &Outbox, message: &Message) -> bool {
        outbox.has_persisted(outbox.gate(&message.body))
    }

    fn keep(outbox: &mut Outbox, message: Message, held_max: usize) -> bool {
        let gate = outbox.gate(&message.body);
        outbox.hold(gate, message, held_max)
    }

    fn released(outbox: &mut Outbox) -> Vec<Message> {
        let mut released = Vec::new();
        outbox.release(|message| released.push(message));
        released
    }

    #[test]
    fn an_acknowledgement_waits_for_its_entries_and_a_heartbeat_reply_does_not() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        assert!(may_leave(&outbox, &heartbeat_reply(1)));
        assert!(!may_leave(&outbox, &accepted(1, 1)));
        keep(&mut outbox, accepted(1, 1), 9);
        let write = outbox.submit(Index(0), Instant::ZERO);
        assert_eq!(released(&mut outbox), []);
        assert_eq!(outbox.persisted(write.id, Instant::ZERO), Index(1));
        assert_eq!(released(&mut outbox), [accepted(1, 1)]);
    }

    #[test]
    fn every_message_waits_for_a_new_term() {
        let mut outbox = Outbox::default();
        outbox.write_hard_state(HardState::new(Term(2), None));
        assert!(!may_leave(&outbox, &heartbeat_reply(2)));
        keep(&mut outbox, heartbeat_reply(2), 9);
        let write = outbox.submit(Index(0), Instant::ZERO);
        outbox.persisted(write.id, Instant::ZERO);
        assert_eq!(released(&mut outbox), [heartbeat_reply(2)]);
    }

    #[test]
    fn messages_of_an_earlier_term_are_dropped() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        keep(&mut outbox, accepted(1, 1), 9);
        let first = outbox.submit(Index(0), Instant::ZERO);
        outbox.write_hard_state(HardState::new(Term(2), None));
        outbox.drop_before(Term(2));
        outbox.submit(Index(0), Instant::ZERO);
        outbox.persisted(first.id, Instant::ZERO);
        assert_eq!(released(&mut outbox), []);
    }

    #[test]
    fn a_full_outbox_drops_replies_and_keeps_vote_requests() {
        let mut outbox = Outbox::default();
        outbox.write_hard_state(HardState::new(Term(2), None));
        assert!(keep(&mut outbox, heartbeat_reply(2), 1));
        assert!(!keep(&mut outbox, heartbeat_reply(2), 1));
        let request = message(2, Body::RequestVote { last: EntryId::ZERO, transfer: false });
        assert!(keep(&mut outbox, request, 1));
    }

    #[test]
    fn a_truncated_entry_does_not_become_durable() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        outbox.write_entry(entry(1, 2));
        let first = outbox.submit(Index(0), Instant::ZERO);
        outbox.truncate(Index(1));
        outbox.write_entry(entry(2, 2));
        let second = outbox.submit(Index(0), Instant::ZERO);
        assert_eq!(outbox.persisted(first.id, Instant::ZERO), Index(1));
        assert_eq!(outbox.persisted(second.id, Instant::ZERO), Index(2));
    }

    #[test]
    fn an_installed_snapshot_replaces_the_pending_entries() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 9));
        let first = outbox.submit(Index(0), Instant::ZERO);
        let last = EntryId::new(Term(1), Index(5));
        outbox.write_install(SnapshotMeta::empty(last, Membership::default()));
        let installed = message(1, Body::InstallSnapshotReply { matched: Index(5) });
        assert!(keep(&mut outbox, installed.clone(), 9));
        let second = outbox.submit(Index(0), Instant::ZERO);
        assert_eq!(
            outbox.persisted(first.id, Instant::ZERO),
            Index(0),
            "the entries belong to the replaced log"
        );
        assert_eq!(released(&mut outbox), []);
        assert_eq!(outbox.persisted(second.id, Instant::ZERO), Index(5));
        assert_eq!(released(&mut outbox), [installed]);
    }

    #[test]
    fn the_next_write_starts_when_the_previous_one_ends() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.oldest_write_since(), None);
        let write = |outbox: &mut Outbox, index, now| {
            outbox.write_entry(entry(1, index));
            outbox.submit(Index(0), Instant(now)).id
        };
        let first = write(&mut outbox, 1, 10);
        let second = write(&mut outbox, 2, 20);
        assert_eq!(outbox.oldest_write_since(), Some(Instant(10)));
        outbox.persisted(first, Instant(70));
        assert_eq!(outbox.oldest_write_since(), Some(Instant(70)));
        outbox.persisted(second, Instant(90));
        assert_eq!(outbox.oldest_write_since(), None);
        write(&mut outbox, 3, 500);
        assert_eq!(outbox.oldest_write_since(), Some(Instant(500)));
    }

    #[test]
    #[should_panic(expected = "contract: only a submitted write is persisted")]
    fn an_unsubmitted_write_breaks_the_contract() {
        Outbox::default().persisted(WriteId(1), Instant::ZERO);
    }
}
