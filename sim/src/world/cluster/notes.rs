//! Processes the notes of a node's step: the inputs and actions of the algorithm.

use quorate::raft::{self, Action, RoleName};
use quorate::replica::{Note, NoteFilter};
use quorate::storage::Storage;
use quorate::types::{Body, EntryId, Index, Message, MessageClass, NodeId, Tag, Write};

use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::place::{CLUSTER, Place};
use crate::world::run::Run;
use crate::world::scheduler::Scheduler;

/// The notes that every run needs. Applied entries and most messages are not among them.
pub(super) const NEEDED_NOTES: NoteFilter = NoteFilter {
    inputs: |input| match input {
        raft::Input::Message(message) => {
            // A leader counts a peer as live by its replies.
            message.body.class() == MessageClass::LeaderReply
                || message.body == Body::TakeoverAllowed
        }
        raft::Input::Persisted(_) | raft::Input::Fetched { .. } => true,
        raft::Input::Damaged(_) | raft::Input::Repaired(_) => true,
        _ => false,
    },
    actions: |action| match action {
        Action::Send(message) => message.body.acknowledged() > Index::ZERO,
        Action::Apply(_) => false,
        _ => true,
    },
};

impl Cluster {
    /// Records the writes that were reported to the node as durable in its last step.
    pub(crate) fn note_durable(&mut self, place: Place, notes: &[Note], run: &mut Run) {
        let mut writes = 0;
        for note in notes {
            let Note::RaftInput(raft::Input::Persisted(through)) = note else { continue };
            let Some(running) = self[place].running_mut() else { continue };
            let (mut bootstrap, mut is_certain) = (None, false);
            while let Some(write) = running.writes.pop_durable(*through) {
                let durable = Observation::Durable { node: place.id(), write: &write };
                run.observe(durable);
                writes += 1;
                is_certain |= write.hard_state.is_some_and(|hard| !hard.is_uncertain);
                bootstrap = write.install.filter(|meta| meta.last == EntryId::ZERO).or(bootstrap);
            }
            self[place].disk.rolled_back &= !is_certain;
            if let Some(meta) = bootstrap {
                self.note_bootstrap(place, Index::ZERO, &meta.membership, run);
            }
        }
        run.observer.reach_if(writes > 1, Spot::GroupFlush);
    }
}

impl Node {
    /// Records the entries that the node learned, in its last step, to be damaged or repaired.
    pub(crate) fn note_damage(&self, notes: &[Note], run: &mut Run) {
        for note in notes {
            match note {
                Note::RaftInput(raft::Input::Damaged(entries)) => {
                    run.observer.reach(Spot::DamageKnown);
                    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
                    let node = self.place.id();
                    run.observe(Observation::EntriesDamaged { node, entries: &ids });
                }
                Note::RaftInput(raft::Input::Repaired(entries)) => self.note_repaired(entries, run),
                _ => {}
            }
        }
    }

    /// Processes the notes of a step.
    pub(crate) fn take_notes(&mut self, notes: &mut Vec<Note>, run: &mut Run) {
        let (now, node) = (run.scheduler.now(), self.place.id());
        let Some(running) = self.running() else { return notes.clear() };
        let status = running.status;
        for note in notes.drain(..) {
            match note {
                Note::RaftInput(input) => {
                    if run.observer.is_traced() {
                        run.observer.input(now, &status, &input.to_string());
                    }
                    if let raft::Input::Message(message) = &input {
                        self.note_heard(message, &run.scheduler);
                    }
                    if let raft::Input::Fetched { entries, .. } = input {
                        run.observer.fetched(entries.len());
                    }
                }
                Note::RaftAction(action) => {
                    match &action {
                        Action::Send(message) if message.body.acknowledged() > Index::ZERO => {
                            let (term, matched) = (message.term, message.body.acknowledged());
                            run.observe(Observation::Acknowledged { node, term, matched });
                        }
                        _ => {}
                    }
                    run.observer.action(now, &status, &action);
                    match action {
                        Action::LogCertain => run.observer.reach(Spot::CertainAgain),
                        Action::AdoptSnapshot(_) => run.observer.reach(Spot::SnapshotAdopted),
                        Action::Repair(_) => {
                            self.disk.entry_damage_faults_at_repair = self.disk.entry_damage_faults
                        }
                        Action::Persist(write) => self.note_submitted(write, run),
                        Action::Committed { tag, id } => {
                            self.note_committed(tag, id, run);
                        }
                        Action::Fetch { consumer, first, last, .. } => {
                            run.observer.fetches(consumer, last.0 - first.0 + 1, self.start_number);
                        }
                        _ => {}
                    }
                }
                Note::SnapshotTaken(meta) => {
                    run.observe(Observation::SnapshotTaken { node, meta: &meta });
                }
                Note::SnapshotReceived(meta) => run.observer.received_snapshot(now, node, &meta),
            }
        }
    }

    /// Records the entries that the node regards as repaired. A membership is not among them as
    /// long as the node has its content only on the disk.
    fn note_repaired(&self, entries: &[EntryId], run: &mut Run) {
        let Some(running) = self.running() else { return };
        let log = running.node.raft().log();
        let is_known =
            |id: &&EntryId| log.first_damaged_after(id.index.previous()) != Some(id.index);
        let entries: Vec<EntryId> = entries.iter().filter(is_known).copied().collect();
        if entries.is_empty() {
            return;
        }
        let leads = running.status.role == RoleName::Leader;
        run.observer.reach(Spot::EntriesRepaired);
        run.observer.reach_if(leads, Spot::LeaderRepaired);
        let missing = if run.observer.has_checks() { self.missing(&entries, run) } else { vec![] };
        let node = self.place.id();
        run.observe(Observation::EntriesRepaired { node, entries: &entries, missing: &missing });
    }

    /// Returns those of the entries that the durable log lacks; none if a fault since the request
    /// of the repair, or other damage, may be the reason.
    fn missing(&self, entries: &[EntryId], run: &Run) -> Vec<EntryId> {
        let disk = &self.disk;
        if disk.is_damaged() || disk.entry_damage_faults != disk.entry_damage_faults_at_repair {
            return Vec::new();
        }
        let (mut copy, config) = (disk.device.durable_copy(), &run.setup.settings.storage);
        let opened = Storage::open(&mut copy, CLUSTER, self.place.id(), config);
        let damaged = opened.map(|(_, opened)| opened.damaged).unwrap_or_default();
        let is_damaged = |id: &&EntryId| damaged.iter().any(|damaged| damaged.id == **id);
        entries.iter().filter(is_damaged).copied().collect()
    }

    /// Records a reply to a leader from a member with the disk that the membership names.
    fn note_heard(&mut self, message: &Message, scheduler: &Scheduler) {
        let own = self.clock.read(scheduler.now());
        let Some(running) = self.life.running_mut() else { return };
        let leads = running.status.role == RoleName::Leader && running.status.term == message.term;
        let member = running.node.raft().membership().member(message.from);
        if message.body.class() == MessageClass::LeaderReply
            && leads
            && member.is_some_and(|member| member.accepts_incarnation(message.incarnation))
        {
            running.leadership.hear(message.from, message.term, own);
        }
    }

    /// Records the commit of a proposal that is answered only once every live voter has it.
    fn note_committed(&mut self, tag: Tag, id: EntryId, run: &mut Run) {
        let (now, node) = (run.scheduler.now(), self.place.id());
        let own = self.clock.read(now);
        let Some(running) = self.life.running_mut() else { return };
        if !running.requests.for_all_live.remove(&tag) {
            return;
        }
        let timeout = run.setup.settings.config.election_timeout_max;
        let live: Vec<NodeId> = running.leadership.live(id.term, own, timeout).collect();
        run.observer.reach(Spot::AnsweredByAllLive);
        run.observe(Observation::AllLiveAcknowledged { node, id, live: &live });
    }

    /// Records a write that the algorithm has submitted to its storage.
    fn note_submitted(&mut self, write: Write, run: &mut Run) {
        let node = self.place.id();
        run.scheduler.fold(write.id.0 << 16 ^ write.entries.len() as u64);
        run.observe(Observation::Submitted { node, write: &write });
        let Some(running) = self.life.running_mut() else { return };
        if let Some(replaced) = running.writes.submit(write) {
            run.observer.truncates(node, replaced);
        }
    }
}
