//! The consensus part of a node: it connects the algorithm, the log store, snapshots and state
//! comparison.

mod answers;
mod damage;
#[cfg(test)]
pub(in crate::replica) mod disk_order_tests;
mod invariants;
mod notes;
mod recording;
mod snapshots;
mod state_comparison;
mod stopping;
#[cfg(test)]
mod tests;
mod versions;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::raft::{self, Action, Consumer, Raft};
use crate::replica::config::ReplicaConfig;
use crate::replica::hash_chains::HashChains;
use crate::replica::input::Input;
use crate::replica::node::notes::Notes;
use crate::replica::output::{Note, NoteFilter, Output, Work};
use crate::replica::read_conflicts::ReadConflicts;
use crate::replica::recorded_core::Core;
use crate::replica::requests::Requests;
use crate::replica::scrubber::Scrubber;
use crate::replica::snapshots::{SnapshotCounts, Snapshots};
use crate::replica::validation::Validation;
use crate::storage::{Event, FetchId, Storage, StorageError};
use crate::types::{
    Body, Comparisons, HashChain, Index, Instant, MachineUsage, MachineVersion, Message, Packet,
    Payload, PeerStatus, StateVerification, Status,
};

/// A node without its state machine, and without a clock, a network or threads.
///
/// The driver's contract is that of [`Raft`], with an [`Output`] in place of each action: (1) pass
/// one input at a time, with a monotonic `now` sampled after the input arrived; (2) execute every
/// output, and keep the orders that [`Output`] names; (3) pass [`Input::Timeout`] by
/// [`Node::deadline`]; (4) report each completion; (5) after a crash, open the directory again.
///
/// Within a step, the parts of a node pass work to one another through three queues, which are
/// emptied in this order: the algorithm's actions at once, so that the next input finds them
/// carried out; then the store's events, and the events that these cause; then the algorithm's
/// inputs, one at a time. When all three are empty, the node does what is due by the clock. A
/// fourth queue has the outputs, which leave at the end of the step, in the order in which they
/// arose.
#[derive(Clone, Debug)]
pub struct Node {
    config: ReplicaConfig,
    raft: Core,
    storage: Storage,
    requests: Requests,
    read_conflicts: ReadConflicts,
    snapshots: Snapshots,
    scrubber: Scrubber,
    validation: Validation,
    hash_chains: HashChains,
    /// The memory in use and the version of the rules, as the worker last reported them.
    usage: MachineUsage,
    task: Task,
    /// The log reads in progress, with the consumer of each.
    fetches: BTreeMap<FetchId, Consumer>,
    last_fetch: FetchId,
    now: Instant,
    /// The time of the next attempt, while the disk is full or a resource is missing.
    retry_at: Option<Instant>,
    stage: Stage,
    notes: Notes,
    /// The queues of the current step. They are empty between two steps, and keep their memory.
    actions: Vec<Action>,
    events: Vec<Event>,
    inputs: VecDeque<raft::Input>,
    outputs: Vec<Output>,
}

/// The parts of a node that have just started.
pub(crate) struct NodeParts {
    pub(crate) raft: Raft,
    pub(crate) storage: Storage,
    pub(crate) read_conflicts: ReadConflicts,
    pub(crate) snapshots: Snapshots,
    pub(crate) validation: Validation,
    /// The errors about the lost end of the log, and about a lost part that the snapshot covers.
    pub(crate) lost_end: Option<StorageError>,
    pub(crate) covered_loss: Option<StorageError>,
    /// The reason why no snapshot on the disk can be read, if none can; the node has no state then.
    pub(crate) snapshot_damage: Option<StorageError>,
    /// Whether the state was found to have diverged before this start.
    pub(crate) is_quarantined: bool,
    /// The version of the rules that the snapshot requires, if this build does not have it.
    pub(crate) version_required: Option<MachineVersion>,
    pub(crate) hash_chains: HashChains,
    pub(crate) usage: MachineUsage,
}

/// A compaction of the log through `base`: first in the algorithm, by this input, then on disk.
struct Compaction {
    input: raft::Input,
    base: Index,
}

/// The worker's current task, besides queries and views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Idle,
    /// The worker applies entries.
    Applying,
    /// The worker restores the state machine from an installed snapshot.
    Restoring,
    /// The worker rebuilds a state machine in quarantine from a snapshot.
    Rebuilding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Pending writes become durable. The node handles only completions of the disk: it rejects
    /// requests, and ignores other inputs.
    Closing,
    Stopped,
}

impl Node {
    /// Returns a node with these parts.
    pub(crate) fn new(config: ReplicaConfig, parts: NodeParts, now: Instant) -> Node {
        let scrubber = Scrubber::new(config.scrub_period, now, &parts.storage);
        let mut node = Node {
            config,
            raft: parts.raft.into(),
            storage: parts.storage,
            scrubber,
            requests: Requests::default(),
            read_conflicts: parts.read_conflicts,
            snapshots: parts.snapshots,
            validation: parts.validation,
            hash_chains: parts.hash_chains,
            usage: parts.usage,
            task: Task::Idle,
            fetches: BTreeMap::new(),
            last_fetch: FetchId::default(),
            now,
            retry_at: None,
            stage: Stage::Running,
            notes: Notes::default(),
            actions: Vec::new(),
            events: Vec::new(),
            inputs: VecDeque::new(),
            outputs: Vec::new(),
        };
        if node.raft.status().is_uncertain {
            node.outputs.push(Output::StartedUncertain(parts.lost_end));
        }
        let repaired = node.storage.repaired_sectors.take();
        node.outputs.extend(repaired.map(Output::LogRepaired));
        node.outputs.extend(parts.covered_loss.map(Output::LogTrimmed));
        if parts.is_quarantined || parts.snapshot_damage.is_some() {
            node.inputs.push_back(raft::Input::Quarantine(true));
        }
        if !parts.is_quarantined {
            // Clears the mark on the disk. A node that alone is a quorum leaves quarantine, because
            // no other node is sure to have a correct state.
            node.storage.set_quarantined(false, &mut node.events);
        }
        if parts.is_quarantined {
            node.outputs.push(Output::StartedQuarantined);
        }
        node.outputs.extend(parts.snapshot_damage.map(Output::SnapshotDamaged));
        if let Some(required) = parts.version_required {
            node.stop_applying(required);
        }
        node
    }

    /// Appends the first outputs of a started node to `outputs`. Call it once, before any step.
    pub fn start(&mut self, outputs: &mut Vec<Output>) {
        assert_eq!(self.stage, Stage::Running, "contract: a node is started once, before a step");
        outputs.append(&mut self.outputs);
        core::mem::swap(outputs, &mut self.outputs);
        self.storage.start(&mut self.events);
        self.run_until_idle();
        core::mem::swap(outputs, &mut self.outputs);
    }

    /// Takes one input and appends the resulting outputs to `outputs`. A stopped node rejects
    /// requests and ignores everything else; so does a node that is shutting down, except for
    /// completions of the disk.
    ///
    /// # Panics
    /// If the driver breaks the contract; the message names the rule.
    pub fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        assert!(now >= self.now, "contract: now never goes back");
        self.now = now;
        core::mem::swap(outputs, &mut self.outputs);
        match (self.stage, input) {
            (Stage::Running, input) => self.receive(input),
            (Stage::Closing, Input::Disk(done)) => self.storage.completed(done, &mut self.events),
            (Stage::Closing, Input::Timeout) if self.storage.is_exhausted() => self.retry(),
            (_, input) => self.reject_stopped(input),
        }
        self.run_until_idle();
        core::mem::swap(outputs, &mut self.outputs);
    }

    /// Returns the time by which the driver must pass [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let retry_at = self.retry_at.unwrap_or(Instant::NEVER);
        match self.stage {
            Stage::Running => {}
            // The end of the shutdown may wait for a read that has to be repeated.
            Stage::Closing if self.storage.is_exhausted() => return retry_at,
            Stage::Closing | Stage::Stopped => return Instant::NEVER,
        }
        self.raft
            .deadline()
            .min(self.snapshots.deadline())
            .min(self.scrubber.deadline())
            .min(self.validation.deadline())
            .min(retry_at)
    }

    /// Sets the filter for the [`Note`]s that the node records for traces and checks. Without a
    /// filter it records none.
    pub fn record_notes(&mut self, filter: Option<NoteFilter>) {
        self.notes.filter = filter;
    }

    /// Appends the notes since the last call to `notes`. Call it after each step.
    pub fn take_notes(&mut self, notes: &mut Vec<Note>) {
        notes.append(&mut self.notes.recorded);
    }

    /// Returns a summary of the node's consensus state.
    #[must_use]
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    /// Returns the replication progress of each peer; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.raft.peers()
    }

    /// Returns the last known verification of the node's state machine.
    #[must_use]
    pub fn verification(&self) -> StateVerification {
        self.validation.verification()
    }

    /// Returns the version of the rules that the log has reached, if this build does not have it.
    #[must_use]
    pub fn version_required(&self) -> Option<MachineVersion> {
        self.validation.version_required()
    }

    /// Returns how long after the last step the node may answer reads from its own state, under a
    /// leader or read lease; zero if it may not.
    #[must_use]
    pub fn lease_remaining(&self) -> Duration {
        if !self.may_serve_reads() {
            return Duration::ZERO;
        }
        // The algorithm counts from its own last step, which may be earlier than the node's.
        self.raft.lease_remaining().saturating_sub(self.now.since(self.raft.now()))
    }

    /// Returns the number of comparisons of results and hash chains since the start, by result.
    #[must_use]
    pub fn comparisons(&self) -> Comparisons {
        self.validation.comparisons
    }

    /// Returns the memory that the client sessions and the user's state take, and the version of
    /// the rules.
    #[must_use]
    pub fn usage(&self) -> MachineUsage {
        self.usage
    }

    /// Returns the counts of the node's snapshots since its start.
    #[must_use]
    pub fn snapshot_counts(&self) -> SnapshotCounts {
        self.snapshots.counts
    }

    /// Returns the number of bytes that the node has read again to find damage, and the number of
    /// passes through all durable data that it has ended, since its start.
    #[must_use]
    pub fn scrub_counts(&self) -> (u64, u64) {
        self.scrubber.counts()
    }

    /// Returns the consensus algorithm of the node.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Returns the log store of the node.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Returns the number of requests without an outcome.
    #[must_use]
    pub fn requests_pending(&self) -> usize {
        self.requests.len()
    }

    fn receive(&mut self, input: Input) {
        match input {
            Input::Packet(Packet::Message(message)) => self.on_message(message, None),
            Input::Packet(Packet::Chained(message, chain)) => {
                self.on_message(message, Some(chain));
            }
            Input::Packet(Packet::SnapshotTransfer(transfer)) => self.on_transfer(transfer),
            Input::Packet(Packet::Comparison(comparison)) => self.on_comparison(comparison),
            Input::Timeout => self.on_timeout(),
            Input::Disk(completion) => self.storage.completed(completion, &mut self.events),
            Input::WorkDone(done) => self.on_done(done),
            Input::ViewFrozen(last) => self.snapshots.on_frozen(last),
            Input::ViewRead(bytes) => {
                let (storage, events) = (&mut self.storage, &mut self.events);
                self.snapshots.on_viewed(self.now, bytes, storage, events);
            }
            Input::ViewFailed => {
                let (storage, events) = (&mut self.storage, &mut self.events);
                let progress = self.snapshots.on_view_failed(self.now, storage, events);
                self.on_snapshot_progress(progress);
            }
            Input::Propose(proposals) => self.on_propose(proposals),
            Input::Read { tag, level, query } => self.on_read(tag, level, query),
            Input::ChangeMembership { tag, change } => {
                self.requests.propose(tag);
                self.inputs.push_back(raft::Input::ChangeMembership { tag, change });
            }
            Input::CancelMembershipChange { tag } => {
                self.requests.propose(tag);
                self.inputs.push_back(raft::Input::CancelMembershipChange { tag });
            }
            Input::TransferLeadership { tag, to } => {
                self.requests.propose(tag);
                self.inputs.push_back(raft::Input::TransferLeadership { tag, to });
            }
            Input::Campaign => self.inputs.push_back(raft::Input::Campaign),
            Input::TakeSnapshot => self.snapshots.demand(),
            Input::Close => {
                self.end_requests();
                self.stage = Stage::Closing;
                self.storage.close(&mut self.events);
            }
        }
    }

    fn on_timeout(&mut self) {
        if self.raft.deadline() <= self.now {
            self.inputs.push_back(raft::Input::Timeout);
        }
        self.retry();
    }

    /// Lets the store try again what it could not do, if that is due.
    fn retry(&mut self) {
        if self.retry_at.is_some_and(|at| at <= self.now) {
            self.retry_at = Some(self.now.after(self.config.space_retry));
            self.storage.retry(&mut self.events);
        }
    }

    /// Sets the time of the next attempt, if the store waits for space or for a resource.
    fn schedule_retry(&mut self) {
        let waits = self.storage.is_full() || self.storage.is_exhausted();
        let next = self.retry_at.unwrap_or(self.now.after(self.config.space_retry));
        self.retry_at = waits.then_some(next);
    }

    /// Handles a message. An append stops the node if its hash chain does not match the log, or if
    /// it has a command that is longer than the store accepts.
    fn on_message(&mut self, message: Message, chain: Option<HashChain>) {
        let comparisons = &mut self.validation.comparisons;
        let checked = self.hash_chains.check(&message, chain, comparisons);
        match checked.and_then(|()| self.check_lengths(&message)) {
            Ok(()) => self.inputs.push_back(raft::Input::Message(message)),
            Err(failure) => self.stop(failure),
        }
    }

    /// Fails if the message has a command that is longer than the store accepts, in an entry that
    /// the algorithm would append.
    fn check_lengths(&self, message: &Message) -> Result<(), StorageError> {
        let Body::AppendEntries { entries, .. } = &message.body else { return Ok(()) };
        let bytes_max = self.config.storage.command_bytes_max;
        let too_long = entries.iter().find_map(|entry| match &entry.payload {
            Payload::Command(command) if command.len() > bytes_max => {
                Some((entry.id, command.len()))
            }
            _ => None,
        });
        let is_appended = |id| message.term >= self.raft.status().term && !self.raft.log().has(id);
        match too_long.filter(|(id, _)| is_appended(*id)) {
            Some((id, bytes)) => Err(StorageError::long_command(id, message.from, bytes)),
            None => Ok(()),
        }
    }

    /// Passes events and inputs between the algorithm and the store until there are none.
    fn run_until_idle(&mut self) {
        loop {
            self.drain_events();
            if self.stage != Stage::Running {
                return self.inputs.clear();
            }
            match self.inputs.pop_front() {
                Some(input) => self.step_raft(input),
                None => {
                    self.validate();
                    if let Some(compaction) = self.start_rebuild() {
                        self.compact(compaction);
                    }
                    let is_usable = self.validation.is_usable();
                    let (storage, events) = (&mut self.storage, &mut self.events);
                    self.snapshots.write_frozen(self.now, self.raft.log(), storage, events);
                    self.snapshots.cover_damage(self.now, self.raft.log());
                    self.snapshots.advance(self.now, is_usable, storage, events, &mut self.outputs);
                    self.scrubber.advance(self.now, storage, events);
                    if self.events.is_empty() && self.inputs.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    fn step_raft(&mut self, input: raft::Input) {
        self.notes.input(&input);
        let finds_damage = matches!(input, raft::Input::Damaged(_));
        let mut actions = core::mem::take(&mut self.actions);
        self.raft.step(self.now, input, &mut actions);
        for action in &actions {
            if let Action::Persist(write) = action {
                self.hash_chains.write(write);
            }
        }
        for action in actions.drain(..) {
            self.notes.action(&action);
            self.execute(action);
        }
        self.actions = actions;
        if let Some(lost) = finds_damage.then(|| self.lost_entry()).flatten() {
            self.stop(lost);
        }
    }

    fn compact(&mut self, Compaction { input, base }: Compaction) {
        self.step_raft(input);
        self.storage.compact(base, &mut self.events);
    }

    fn execute(&mut self, action: Action) {
        match action {
            Action::Send(message) => {
                self.outputs.push(Output::Send(self.hash_chains.packet(message)));
            }
            Action::Persist(write) => self.storage.persist(write, &mut self.events),
            Action::Apply(entries) => {
                assert_eq!(self.task, Task::Idle, "the worker has one batch at a time");
                self.task = Task::Applying;
                self.snapshots.count(&entries);
                self.outputs.push(Output::Work(Work::Apply(entries)));
            }
            Action::Fetch { consumer, first, last, bytes_max } => {
                assert!(first <= last, "a fetch requests at least one entry");
                self.last_fetch = FetchId(self.last_fetch.0 + 1);
                self.fetches.insert(self.last_fetch, consumer);
                self.storage.fetch(self.last_fetch, first, last, bytes_max, &mut self.events);
            }
            Action::Repair(entries) => self.storage.repair(entries, &mut self.events),
            Action::AdoptSnapshot(meta) => self.storage.set_snapshot(meta, &mut self.events),
            Action::UnknownIncarnation { from } => {
                self.outputs.push(Output::UnknownIncarnation { from })
            }
            Action::LogUncertain { from } => self.outputs.push(Output::LogUncertain { from }),
            Action::LogCertain => self.outputs.push(Output::LogCertain),
            Action::DivergedLog { from } => self.outputs.push(Output::DivergedLog { from }),
            Action::RolledBackDisk { node, acknowledged, durable } => {
                self.outputs.push(Output::RolledBackDisk { node, acknowledged, durable });
            }
            Action::ActiveMembershipChanged(membership) => {
                self.outputs.push(Output::ActiveMembershipChanged(membership));
            }
            Action::MembershipChangeCommitted { tag, id } => {
                self.requests.end(tag);
                self.outputs.push(Output::MembershipChangeCommitted { tag, id });
            }
            Action::LeadershipTransferred { tag } => {
                self.requests.end(tag);
                self.outputs.push(Output::LeadershipTransferred { tag });
            }
            Action::Committed { tag, id } => self.on_committed(tag, id),
            Action::MayBeLost { tag, id } => {
                self.requests.end(tag);
                self.outputs.push(Output::MayBeLost { tag, id });
            }
            Action::Rejected { tag, reason } => {
                self.requests.end(tag);
                self.outputs.push(Output::Rejected { tag, reason });
            }
            Action::Unknown { tag, id } => {
                self.requests.end_at(tag, id.index);
                self.outputs.push(Output::Unknown { tag });
            }
            Action::ReadReady { tag, index, freshness } => {
                self.on_read_ready(tag, index, freshness);
            }
            Action::ReceiveSnapshot { from, meta } => self.on_snapshot_offer(from, meta),
            Action::Restore(meta) => self.on_restore(meta),
            Action::RoleChanged { role, term, leader, cause } => {
                self.outputs.push(Output::RoleChanged { role, term, leader, cause });
            }
            Action::MessageRejected { from, message, reason } => {
                self.outputs.push(Output::MessageRejected { from, message, reason });
            }
        }
    }

    /// Handles the events of the store, and the events that these cause.
    fn drain_events(&mut self) {
        while !self.events.is_empty() {
            let mut events = core::mem::take(&mut self.events);
            for event in events.drain(..) {
                if self.stage != Stage::Stopped {
                    self.on_event(event);
                }
            }
            if self.events.is_empty() {
                self.events = events;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Disk(operation) => self.outputs.push(Output::Disk(operation)),
            Event::Persisted(write) => self.inputs.push_back(raft::Input::Persisted(write)),
            Event::Fetched { id, entries } => {
                let consumer =
                    self.fetches.remove(&id).expect("only requested entries are fetched");
                self.inputs.push_back(raft::Input::Fetched { consumer, entries: entries.into() });
            }
            Event::Damaged(entries) => self.on_damaged(entries),
            Event::DamagedHeaders(damage) => self.outputs.push(Output::DamagedHeaders(damage)),
            Event::DamagedSuperblock(damage) => {
                self.outputs.push(Output::DamagedSuperblock(damage))
            }
            Event::Repaired(ids) => self.inputs.push_back(raft::Input::Repaired(ids)),
            Event::Scrubbed { bytes, pass_ended } => {
                self.scrubber.on_scrubbed(self.now, bytes, pass_ended, &self.storage);
            }
            Event::Full(full) => {
                self.schedule_retry();
                self.inputs.push_back(raft::Input::DiskFull(full));
            }
            Event::Exhausted(error) => {
                self.schedule_retry();
                self.outputs.push(Output::Exhausted(error));
            }
            Event::Snapshot(event) => self.on_snapshot_event(event),
            // A node that is closing takes no step. The first snapshot that the node records after
            // its next start compacts the log.
            Event::SnapshotRecorded(_) if self.stage != Stage::Running => {}
            Event::SnapshotRecorded(meta) => {
                if let Some(compaction) = self.on_snapshot_recorded(meta) {
                    self.compact(compaction);
                }
            }
            Event::Closed => {
                self.stage = Stage::Stopped;
                self.outputs.push(Output::Closed);
            }
            Event::Failed(failure) => self.stop(failure),
        }
    }
}
