//! What must wait for the disk, waits here: the only place that decides when a message may leave.
//!
//! A message must not reveal a term or a vote that a crash could still undo (Raft §5.1, §5.2), and
//! an acknowledgement no entry either (Raft §5.3). Messages therefore wait for the write that
//! makes what they say durable; whatever else a step wants may be carried out at once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::types::{
    AppendOutcome, Body, Entry, HardState, Index, Instant, Message, SnapshotMeta, Term, Write,
    WriteId,
};

/// Writes on their way to the disk, and messages that wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    /// The last write handed to the disk, and the last one known to be durable.
    submitted: WriteId,
    persisted: WriteId,
    /// The last write that carries a hard state, and the last one that carries entries or a
    /// snapshot in their place.
    hard_state_write: WriteId,
    entries_write: WriteId,
    /// Writes on their way, each with the last index it makes durable.
    under_way: VecDeque<(WriteId, Index)>,
    /// Since when the disk is at the first of them.
    under_way_since: Instant,
    /// Messages that wait for a hard state, and acknowledgements that wait for entries too; the
    /// writes they wait for ascend in each.
    held: VecDeque<(WriteId, Message)>,
    held_acknowledgements: VecDeque<(WriteId, Message)>,
    /// What the step under way adds to the next write.
    hard_state: Option<HardState>,
    install: Option<SnapshotMeta>,
    entries: Vec<Entry>,
}

/// What became of a message that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Post {
    /// It may leave at once.
    Leaves(Message),
    /// It waits for the disk.
    Waits,
    /// Too many wait already: it is dropped, as a network might.
    Full,
}

impl Outbox {
    /// The next write makes `hard_state` durable.
    pub(crate) fn write_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = Some(hard_state);
        self.hard_state_write = self.submitted.next();
    }

    /// The next write makes `entry` durable.
    pub(crate) fn write_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.entries_write = self.submitted.next();
    }

    /// The next write puts the snapshot in the place of the whole log: writes on their way make
    /// nothing of the new log durable. An acknowledgement of the old one stays true if the snapshot
    /// covers it. One beyond would be of a leader that contradicts itself, and is void.
    pub(crate) fn write_install(&mut self, meta: SnapshotMeta) {
        assert!(self.entries.is_empty(), "a step installs before it appends");
        for (_, durable) in &mut self.under_way {
            *durable = Index::ZERO;
        }
        self.void_after(meta.last.index);
        self.install = Some(meta);
        self.entries_write = self.submitted.next();
    }

    /// Every index after `last` is about to be overwritten: writes on their way no longer make it
    /// durable, and nobody acknowledges it any more. Within a term only a leader that contradicts
    /// itself gets that far.
    pub(crate) fn truncate(&mut self, last: Index) {
        assert!(self.entries.is_empty(), "a step cuts the log before it appends");
        for (_, durable) in &mut self.under_way {
            *durable = last.min(*durable);
        }
        self.void_after(last);
    }

    /// Nobody acknowledges an index after `last` any more.
    fn void_after(&mut self, last: Index) {
        let stands = |(_, message): &(WriteId, Message)| message.body.acknowledged() <= last;
        self.held.retain(stands);
        self.held_acknowledgements.retain(stands);
    }

    /// The write the step under way wants, if it wants one.
    pub(crate) fn take_write(&mut self, committed: Index, now: Instant) -> Option<Write> {
        if self.hard_state.is_none() && self.install.is_none() && self.entries.is_empty() {
            return None;
        }
        self.submitted = self.submitted.next();
        let (install, entries) = (self.install.take(), core::mem::take(&mut self.entries));
        let installed = install.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
        let last = entries.last().map_or(installed, |entry| entry.id.index);
        if self.under_way.is_empty() {
            self.under_way_since = now;
        }
        self.under_way.push_back((self.submitted, last));
        let hard_state = self.hard_state.take();
        Some(Write { id: self.submitted, hard_state, committed, install, entries })
    }

    /// Since when the disk is at the write it is at.
    pub(crate) fn under_way_since(&self) -> Option<Instant> {
        (!self.under_way.is_empty()).then_some(self.under_way_since)
    }

    /// Writes up to `write` are durable. Returns the last index that this makes durable.
    pub(crate) fn persisted(&mut self, write: WriteId, now: Instant) -> Index {
        assert!(write <= self.submitted, "contract: only a write that was asked for is persisted");
        self.persisted = self.persisted.max(write);
        let mut durable = Index::ZERO;
        while let Some((_, last)) = self.under_way.pop_front_if(|(id, _)| *id <= write) {
            durable = durable.max(last);
            self.under_way_since = now;
        }
        durable
    }

    /// Gives the message back if it may leave at once, and keeps it otherwise, within `held_max`.
    ///
    /// A candidate's requests are kept in any case, one for each voter: with some of them always
    /// dropped it could stand for ever and never win.
    pub(crate) fn post(&mut self, message: Message, held_max: usize) -> Post {
        let full = self.held() >= held_max && !matches!(message.body, Body::RequestVote { .. });
        let (queue, gate) = match message.body {
            Body::AppendEntriesReply(AppendOutcome::Accepted { .. })
            | Body::InstallSnapshotReply { .. }
            | Body::Founded { .. } => {
                (&mut self.held_acknowledgements, self.hard_state_write.max(self.entries_write))
            }
            _ => (&mut self.held, self.hard_state_write),
        };
        if gate <= self.persisted {
            return Post::Leaves(message);
        }
        if full {
            return Post::Full;
        }
        queue.push_back((gate, message));
        Post::Waits
    }

    /// The next message that may leave by now.
    pub(crate) fn release(&mut self) -> Option<Message> {
        let may_leave = |(gate, _): &mut (WriteId, Message)| *gate <= self.persisted;
        let next = self.held.pop_front_if(may_leave);
        next.or_else(|| self.held_acknowledgements.pop_front_if(may_leave)).map(|(_, m)| m)
    }

    /// The node left every term before `term`: what it meant to say in them is void. An
    /// acknowledgement above all, for its entries may be cut before it could leave.
    pub(crate) fn forget_before(&mut self, term: Term) {
        self.held.retain(|(_, message)| message.term >= term);
        self.held_acknowledgements.retain(|(_, message)| message.term >= term);
    }

    /// Numbers the writes from the first that is not durable on. Returns the number that the last
    /// durable one had.
    pub(crate) fn renumber(&mut self) -> WriteId {
        let durable = self.persisted;
        let later = |write: WriteId| WriteId(write.0.saturating_sub(durable.0));
        self.submitted = later(self.submitted);
        self.persisted = later(self.persisted);
        self.hard_state_write = later(self.hard_state_write);
        self.entries_write = later(self.entries_write);
        let held = self.held.iter_mut().chain(&mut self.held_acknowledgements);
        held.for_each(|(gate, _)| *gate = later(*gate));
        self.under_way.iter_mut().for_each(|(write, ..)| *write = later(*write));
        durable
    }

    /// The one instant it knows; only means something while a write is under way.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.under_way_since
    }

    /// The write that makes the latest hard state durable.
    pub(crate) fn hard_state_write(&self) -> WriteId {
        self.hard_state_write
    }

    pub(crate) fn has_persisted(&self, write: WriteId) -> bool {
        write <= self.persisted
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len() + self.held_acknowledgements.len()
    }

    pub(crate) fn assert_invariants(&self) {
        assert!(self.persisted <= self.submitted, "what is durable was submitted");
        assert!(self.hard_state.is_none(), "a step submits what it changed");
        assert!(self.install.is_none(), "a step submits what it installed");
        assert!(self.entries.is_empty(), "a step submits what it appended");
        for queue in [&self.held, &self.held_acknowledgements] {
            assert!(queue.iter().is_sorted_by_key(|(gate, _)| *gate), "they wait in order");
            let next = queue.front();
            assert!(next.is_none_or(|(gate, _)| *gate > self.persisted), "what may leave has left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn alive(term: u64) -> Message {
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

    fn released(outbox: &mut Outbox) -> Vec<Message> {
        core::iter::from_fn(|| outbox.release()).collect()
    }

    #[test]
    fn an_acknowledgement_waits_for_its_entries_and_a_sign_of_life_does_not() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        assert_eq!(outbox.post(accepted(1, 1), 9), Post::Waits);
        assert_eq!(outbox.post(alive(1), 9), Post::Leaves(alive(1)));
        let write = outbox.take_write(Index(0), Instant::ZERO).expect("an entry is to be written");
        assert_eq!(released(&mut outbox), []);
        assert_eq!(outbox.persisted(write.id, Instant::ZERO), Index(1));
        assert_eq!(released(&mut outbox), [accepted(1, 1)]);
    }

    #[test]
    fn everything_waits_for_a_new_term() {
        let mut outbox = Outbox::default();
        outbox.write_hard_state(HardState::new(Term(2), None));
        assert_eq!(outbox.post(alive(2), 9), Post::Waits);
        let write = outbox.take_write(Index(0), Instant::ZERO).expect("a term is to be written");
        outbox.persisted(write.id, Instant::ZERO);
        assert_eq!(released(&mut outbox), [alive(2)]);
    }

    #[test]
    fn what_was_to_be_said_in_an_earlier_term_is_void() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        outbox.post(accepted(1, 1), 9);
        let first = outbox.take_write(Index(0), Instant::ZERO).expect("an entry is to be written");
        outbox.write_hard_state(HardState::new(Term(2), None));
        outbox.forget_before(Term(2));
        outbox.take_write(Index(0), Instant::ZERO);
        outbox.persisted(first.id, Instant::ZERO);
        assert_eq!(released(&mut outbox), []);
    }

    #[test]
    fn a_full_outbox_drops_answers_and_keeps_a_candidates_requests() {
        let mut outbox = Outbox::default();
        outbox.write_hard_state(HardState::new(Term(2), None));
        assert_eq!(outbox.post(alive(2), 1), Post::Waits);
        assert_eq!(outbox.post(alive(2), 1), Post::Full);
        let request = message(2, Body::RequestVote { last: EntryId::ZERO, transfer: false });
        assert_eq!(outbox.post(request, 1), Post::Waits);
    }

    #[test]
    fn a_cut_entry_does_not_become_durable() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 1));
        outbox.write_entry(entry(1, 2));
        let first = outbox.take_write(Index(0), Instant::ZERO).expect("entries are to be written");
        outbox.truncate(Index(1));
        outbox.write_entry(entry(2, 2));
        let second = outbox.take_write(Index(0), Instant::ZERO).expect("an entry is to be written");
        assert_eq!(outbox.persisted(first.id, Instant::ZERO), Index(1));
        assert_eq!(outbox.persisted(second.id, Instant::ZERO), Index(2));
    }

    #[test]
    fn an_installed_snapshot_takes_over_from_the_entries_on_their_way() {
        let mut outbox = Outbox::default();
        outbox.write_entry(entry(1, 9));
        let first = outbox.take_write(Index(0), Instant::ZERO).expect("an entry is to be written");
        let last = EntryId::new(Term(1), Index(5));
        outbox.write_install(SnapshotMeta::empty(last, Membership::default()));
        let installed = message(1, Body::InstallSnapshotReply { matched: Index(5) });
        assert_eq!(outbox.post(installed.clone(), 9), Post::Waits);
        let second =
            outbox.take_write(Index(0), Instant::ZERO).expect("a snapshot is to be installed");
        assert_eq!(
            outbox.persisted(first.id, Instant::ZERO),
            Index(0),
            "the entries are of the log before"
        );
        assert_eq!(released(&mut outbox), []);
        assert_eq!(outbox.persisted(second.id, Instant::ZERO), Index(5));
        assert_eq!(released(&mut outbox), [installed]);
    }

    #[test]
    fn a_disk_that_gets_on_is_at_its_next_write_since_the_one_before() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.under_way_since(), None);
        let write = |outbox: &mut Outbox, index, now| {
            outbox.write_entry(entry(1, index));
            outbox.take_write(Index(0), Instant(now)).expect("an entry is to be written").id
        };
        let first = write(&mut outbox, 1, 10);
        let second = write(&mut outbox, 2, 20);
        assert_eq!(outbox.under_way_since(), Some(Instant(10)));
        outbox.persisted(first, Instant(70));
        assert_eq!(outbox.under_way_since(), Some(Instant(70)));
        outbox.persisted(second, Instant(90));
        assert_eq!(outbox.under_way_since(), None);
        write(&mut outbox, 3, 500);
        assert_eq!(outbox.under_way_since(), Some(Instant(500)));
    }

    #[test]
    #[should_panic(expected = "contract: only a write that was asked for is persisted")]
    fn a_write_never_asked_for_is_a_broken_contract() {
        Outbox::default().persisted(WriteId(1), Instant::ZERO);
    }
}
