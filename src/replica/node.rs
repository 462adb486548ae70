//! The half of a node that decides: the algorithm and its log store, and the snapshots that come
//! and go.

mod comparing;
mod snapshots;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::machine::ConflictTest;
use crate::raft::{self, Action, Consumer, Raft};
use crate::replica::chains::Chains;
use crate::replica::config::ReplicaConfig;
use crate::replica::conflicts;
use crate::replica::input::{Done, Input};
use crate::replica::output::{Note, Output, Verdict, Watch, Work};
use crate::replica::requests::Requests;
use crate::replica::snapshots::Snapshots;
use crate::replica::validation::Validation;
use crate::storage::{Event, Failure, FetchId, Storage};
use crate::types::{
    Body, Comparisons, Index, Instant, Packet, PeerStatus, ReadLevel, RejectReason, Standing,
    Status,
};

/// A node without its state machine, without clock, network or threads.
///
/// The contract is that of [`Raft`], with these outputs: (1) one input at a time; `now` is sampled
/// after the input arrived and never goes back; (2) carry out every output, keeping the order of
/// [`Output::Work`], and that of [`Output::Disk`] in each lane; (3) call by [`Node::deadline`];
/// (4) report what finished; (5) after a crash, open the directory again.
#[derive(Clone, Debug)]
pub struct Node {
    config: ReplicaConfig,
    raft: Raft,
    storage: Storage,
    requests: Requests,
    conflict_test: ConflictTest,
    snapshots: Snapshots,
    validation: Validation,
    chains: Chains,
    task: Task,
    /// Reads of the log under way, and whom they are for.
    fetches: BTreeMap<FetchId, Consumer>,
    fetched: FetchId,
    now: Instant,
    /// While the disk is full: when it is tried again.
    space_retry_at: Option<Instant>,
    watch: Option<Watch>,
    stage: Stage,
    /// What the step under way has still to tell the algorithm.
    inputs: VecDeque<raft::Input>,
    /// What it wants done.
    outputs: Vec<Output>,
    /// What happened inside, if that is watched.
    notes: Vec<Note>,
    /// Kept between steps for their memory alone.
    actions: Vec<Action>,
    events: Vec<Event>,
}

/// What the worker has to do with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Idle,
    /// Entries to apply.
    Applies,
    /// A snapshot to start over from.
    Restores,
    /// One that replaces all that the user's machine has.
    Rebuilds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Runs,
    /// What waits for the disk becomes durable; nothing else happens any more.
    Closes,
    Stopped,
}

impl Node {
    /// A node around an algorithm and a store that have just started. `snapshots` is where the last
    /// two snapshots end.
    pub(crate) fn new(
        config: ReplicaConfig,
        raft: Raft,
        storage: Storage,
        conflict_test: ConflictTest,
        snapshots: (Index, Index),
        (validation, chains): (Validation, Chains),
        now: Instant,
    ) -> Node {
        Node {
            snapshots: Snapshots::new(&config, snapshots),
            validation,
            chains,
            task: Task::Idle,
            raft,
            storage,
            requests: Requests::default(),
            conflict_test,
            fetches: BTreeMap::new(),
            fetched: FetchId::default(),
            now,
            space_retry_at: None,
            watch: None,
            stage: Stage::Runs,
            inputs: VecDeque::new(),
            outputs: Vec::new(),
            notes: Vec::new(),
            actions: Vec::new(),
            events: Vec::new(),
            config,
        }
    }

    /// Asks for what a node that has just started wants done.
    pub fn start(&mut self, outputs: &mut Vec<Output>) {
        core::mem::swap(outputs, &mut self.outputs);
        self.storage.start(&mut self.events);
        self.settle();
        core::mem::swap(outputs, &mut self.outputs);
    }

    /// Takes one input and appends to `outputs` what is to be done. A node that has stopped does
    /// nothing any more.
    ///
    /// # Panics
    /// If the driver breaks the contract; the message names the rule.
    pub fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        assert!(now >= self.now, "contract: now never goes back");
        self.now = now;
        core::mem::swap(outputs, &mut self.outputs);
        match (self.stage, input) {
            (Stage::Runs, input) => self.receive(input),
            (Stage::Closes, Input::Disk(done)) => self.storage.completed(done, &mut self.events),
            (_, input) => self.decline(input),
        }
        self.settle();
        core::mem::swap(outputs, &mut self.outputs);
    }

    /// When the node wants [`Input::Timeout`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if self.stage != Stage::Runs {
            return Instant::NEVER;
        }
        self.raft
            .deadline()
            .min(self.snapshots.deadline())
            .min(self.validation.deadline())
            .min(self.space_retry_at.unwrap_or(Instant::NEVER))
    }

    /// Which [`Note`]s are wanted, if any are: they tell traces and checks what happens inside.
    pub fn watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }

    /// Appends to `notes` what happened inside since the last call, or since it is watched: to be
    /// taken after each step.
    pub fn take_notes(&mut self, notes: &mut Vec<Note>) {
        notes.append(&mut self.notes);
    }

    /// The node's state at a glance.
    #[must_use]
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    /// How far each peer is; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.raft.peers()
    }

    /// What is known of the node's state machine.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.validation.standing()
    }

    /// For how long from the last step on it may answer reads by itself; zero if it may not.
    #[must_use]
    pub fn lease_left(&self) -> Duration {
        if self.may_answer() { self.raft.lease_left() } else { Duration::ZERO }
    }

    /// How often results and chains were compared since the start, and what with.
    #[must_use]
    pub fn comparisons(&self) -> Comparisons {
        self.validation.comparisons
    }

    /// How many snapshots the node took of its own state, and how many it received whole, since
    /// its start.
    #[must_use]
    pub fn snapshots_come(&self) -> (u64, u64) {
        self.snapshots.come
    }

    /// The algorithm's part.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The store's part.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Requests that have no outcome yet.
    #[must_use]
    pub fn requests_waiting(&self) -> usize {
        self.requests.len()
    }

    /// Panics if the node's parts contradict one another.
    pub fn assert_invariants(&self) {
        self.raft.assert_invariants();
        assert!(self.inputs.is_empty(), "a step tells the algorithm all it has to");
        assert!(self.outputs.is_empty(), "a step hands out all it wants");
    }

    fn receive(&mut self, input: Input) {
        match input {
            Input::Packet(Packet::Message(message)) => {
                let append = matches!(message.body, Body::AppendEntries { .. });
                self.validation.comparisons.chains_unavailable += u64::from(append);
                self.tell(raft::Input::Message(message));
            }
            Input::Packet(Packet::Chained(message, chain)) => self.on_chained(message, chain),
            Input::Packet(Packet::Transfer(transfer)) => self.on_transfer(transfer),
            Input::Packet(Packet::Comparison(comparison)) => self.on_comparison(comparison),
            Input::Timeout => self.on_timeout(),
            Input::Disk(completion) => self.storage.completed(completion, &mut self.events),
            Input::Done(done) => self.on_done(done),
            Input::Frozen(last) => {
                let (storage, events) = (&mut self.storage, &mut self.events);
                let membership = self.raft.log().membership_at(last.index);
                let membership = membership.filter(|membership| !membership.is_nobody());
                self.snapshots.on_frozen(last, membership, storage, events);
            }
            Input::Viewed(bytes) => {
                let (storage, events) = (&mut self.storage, &mut self.events);
                self.snapshots.on_viewed(self.now, bytes, storage, events);
            }
            Input::ViewFailed => {
                self.snapshots.on_view_failed(&mut self.storage, &mut self.events);
            }
            Input::Propose(proposals) => {
                proposals.iter().for_each(|proposal| self.requests.propose(proposal.tag));
                self.tell(raft::Input::Propose(proposals));
            }
            Input::Read { tag, .. } if !self.may_answer() => {
                self.outputs.push(Output::Rejected { tag, reason: RejectReason::Unverified });
            }
            Input::Read { tag, level, query } => {
                let conflict = match level {
                    ReadLevel::Replica => {
                        conflicts::last(self.raft.log(), &query, &self.conflict_test)
                    }
                    _ => Index::ZERO,
                };
                self.requests.read(tag, query);
                self.tell(raft::Input::Read { tag, level, conflict });
            }
            Input::ChangeMembership { tag, change } => {
                self.requests.propose(tag);
                self.tell(raft::Input::ChangeMembership { tag, change });
            }
            Input::GiveUpChange { tag } => {
                self.requests.propose(tag);
                self.tell(raft::Input::GiveUpChange { tag });
            }
            Input::Transfer { tag, to } => {
                self.requests.propose(tag);
                self.tell(raft::Input::Transfer { tag, to });
            }
            Input::Campaign => self.tell(raft::Input::Campaign),
            Input::TakeSnapshot => self.snapshots.demand(),
            Input::Close => {
                self.end_requests();
                self.stage = Stage::Closes;
                self.storage.close(&mut self.events);
            }
        }
    }

    /// A stopped node answers those who ask, and hears nobody else.
    fn decline(&mut self, input: Input) {
        let stopped = |tag| Output::Rejected { tag, reason: RejectReason::Stopped };
        match input {
            Input::Propose(proposals) => {
                self.outputs.extend(proposals.into_iter().map(|proposal| stopped(proposal.tag)));
            }
            Input::Read { tag, .. }
            | Input::ChangeMembership { tag, .. }
            | Input::GiveUpChange { tag }
            | Input::Transfer { tag, .. } => self.outputs.push(stopped(tag)),
            _ => {}
        }
    }

    fn on_timeout(&mut self) {
        if self.raft.deadline() <= self.now {
            self.tell(raft::Input::Timeout);
        }
        if self.space_retry_at.is_some_and(|at| at <= self.now) {
            self.space_retry_at = Some(self.now.after(self.config.space_retry));
            self.storage.retry_space(&mut self.events);
        }
    }

    fn may_answer(&self) -> bool {
        self.validation.may_answer(self.now, self.raft.membership())
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Applied { last, outcomes, imprints } => {
                self.task = Task::Idle;
                for (index, outcome) in outcomes {
                    let waits = self.raft.waits_for_all_live(index);
                    self.outputs.extend(self.requests.applied(index, outcome, waits));
                }
                for (index, imprint) in (last.0 + 1 - imprints.len() as u64..).zip(imprints) {
                    self.validation.applied(Index(index), imprint, &mut self.outputs);
                }
                self.tell(raft::Input::Applied(last));
            }
            Done::Answered { tag, .. } if !self.may_answer() => {
                self.requests.answered(tag);
                self.outputs.push(Output::Rejected { tag, reason: RejectReason::Unverified });
            }
            Done::Answered { tag, applied, answer } => {
                let (index, freshness) = self.requests.answered(tag);
                self.outputs.push(Output::Answered { tag, freshness, index, applied, answer });
            }
            Done::Restored { last, imprint } => {
                let rebuilt = core::mem::replace(&mut self.task, Task::Idle) == Task::Rebuilds;
                if rebuilt {
                    self.outputs.push(Output::Judged(Verdict::Rebuilt { index: last }));
                    self.tell(raft::Input::Quarantine(false));
                }
                // Whoever was found wrong meanwhile still is: the user's machine may have kept what
                // it had.
                if rebuilt || self.validation.stands() {
                    self.validation.restarted(last, imprint, self.now);
                }
                self.tell(raft::Input::Applied(last));
            }
            Done::Failed(failure) => self.stop(failure),
        }
    }

    fn tell(&mut self, input: raft::Input) {
        self.inputs.push_back(input);
    }

    /// Lets the algorithm and the store work until neither has anything for the other.
    fn settle(&mut self) {
        loop {
            self.drain_events();
            if self.stage != Stage::Runs {
                return self.inputs.clear();
            }
            match self.inputs.pop_front() {
                Some(input) => self.step_raft(input),
                None => {
                    self.validate();
                    self.rebuild();
                    let stands = self.validation.stands();
                    let (storage, events) = (&mut self.storage, &mut self.events);
                    self.snapshots.advance(self.now, stands, storage, events, &mut self.outputs);
                    if self.events.is_empty() && self.inputs.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    fn step_raft(&mut self, input: raft::Input) {
        if self.watch.is_some_and(|watch| (watch.took)(&input)) {
            self.notes.push(Note::Took(input.clone()));
        }
        let mut actions = core::mem::take(&mut self.actions);
        self.raft.step(self.now, input, &mut actions);
        for action in &actions {
            if let Action::Persist(write) = action {
                self.chains.write(write);
            }
        }
        for action in actions.drain(..) {
            if self.watch.is_some_and(|watch| (watch.wants)(&action)) {
                self.notes.push(Note::Wants(action.clone()));
            }
            self.carry_out(action);
        }
        self.actions = actions;
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(message) => self.send(message),
            Action::Persist(write) => self.storage.persist(write, &mut self.events),
            Action::Apply(entries) => {
                assert_eq!(self.task, Task::Idle, "the machine has one batch at a time");
                self.task = Task::Applies;
                self.snapshots.count(&entries);
                self.outputs.push(Output::Work(Work::Apply(entries)));
            }
            Action::Fetch { consumer, first, last, bytes_max } => {
                self.fetched = FetchId(self.fetched.0 + 1);
                self.fetches.insert(self.fetched, consumer);
                self.storage.fetch(self.fetched, first, last, bytes_max, &mut self.events);
            }
            Action::Stranger { from } => self.outputs.push(Output::Stranger { from }),
            Action::Forked { from } => self.outputs.push(Output::Forked { from }),
            Action::OlderImage { node, acknowledged, durable } => {
                self.outputs.push(Output::OlderImage { node, acknowledged, durable });
            }
            Action::MembershipChanged(membership) => {
                self.outputs.push(Output::MembershipChanged(membership));
            }
            Action::Changed { tag, id } => {
                self.requests.end(tag);
                self.outputs.push(Output::Changed { tag, id });
            }
            Action::Resigned { tag } => {
                self.requests.end(tag);
                self.outputs.push(Output::Resigned { tag });
            }
            Action::Committed { tag, id } if !self.validation.stands() => {
                self.requests.end_at(tag, id.index);
                self.outputs.push(Output::Unknown { tag });
            }
            Action::Committed { tag, id } => {
                self.outputs.extend(self.requests.committed(tag, id));
            }
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
            Action::ReadReady { tag, .. } if !self.may_answer() => {
                self.requests.end(tag);
                self.outputs.push(Output::Rejected { tag, reason: RejectReason::Unverified });
            }
            Action::ReadReady { tag, index, freshness } => {
                let query = self.requests.ready(tag, index, freshness);
                self.outputs.push(Output::Work(Work::Query { tag, query }));
            }
            Action::ReceiveSnapshot { from, meta } => self.on_snapshot_offer(from, meta),
            Action::Restore(meta) => self.on_restore(meta),
            Action::RoleChanged { role, term, leader } => {
                self.outputs.push(Output::RoleChanged { role, term, leader });
            }
            Action::Refused { from, message, reason } => {
                self.outputs.push(Output::Refused { from, message, reason });
            }
        }
    }

    /// Hands on what the store says, and what it says to that.
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
            Event::Persisted(write) => self.tell(raft::Input::Persisted(write)),
            Event::Fetched { id, entries } => {
                let consumer = self.fetches.remove(&id).expect("only what was fetched comes");
                self.tell(raft::Input::Fetched { consumer, entries });
            }
            Event::Full(full) => {
                self.space_retry_at = full.then(|| self.now.after(self.config.space_retry));
                self.tell(raft::Input::DiskFull(full));
            }
            Event::Snapshot(event) => self.on_snapshot_event(event),
            Event::SnapshotRecorded(meta) => self.on_snapshot_recorded(meta),
            Event::Closed => {
                self.stage = Stage::Stopped;
                self.outputs.push(Output::Closed);
            }
            Event::Failed(failure) => self.stop(failure),
        }
    }

    fn note(&mut self, note: impl FnOnce() -> Note) {
        if self.watch.is_some() {
            self.notes.push(note());
        }
    }

    /// The node stops for good.
    fn stop(&mut self, failure: Failure) {
        self.stage = Stage::Stopped;
        self.end_requests();
        self.outputs.push(Output::Stopped(failure));
    }

    /// What users wait for ends now.
    fn end_requests(&mut self) {
        let (proposals, reads) = self.requests.take_all();
        self.outputs.extend(proposals.into_iter().map(|tag| Output::Unknown { tag }));
        let stopped = |tag| Output::Rejected { tag, reason: RejectReason::Stopped };
        self.outputs.extend(reads.into_iter().map(stopped));
    }
}
