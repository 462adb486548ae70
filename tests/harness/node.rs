//! A node of the harness: a core with its disk, state machine and clock, which the test drives.

use core::time::Duration;
use std::collections::VecDeque;

use quorate::raft::{Action, Config, Input, Raft, RejectReason, RoleName, Status};
use quorate::recording::{Contents, Recorded, RecorderConfig};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, Incarnation, Index, Instant, Message, NodeId,
    Payload, Restored, Tag, Term,
};

use super::disk::Disk;

pub(crate) struct Node {
    config: Config,
    /// `None` while the node is down.
    core: Option<Recorded>,
    /// The recording of every start; `contents` says how it keeps commands.
    recording: Vec<u8>,
    pub(crate) contents: Contents,
    pub(crate) disk: Disk,
    /// The time by which the wall clock of later starts is ahead.
    pub(crate) clock_ahead: Duration,
    /// Whether a write is durable at once, or only when the test flushes it.
    pub(crate) flushes_at_once: bool,
    /// Whether entries are applied at once, or only when the test applies them.
    pub(crate) applies_at_once: bool,
    to_apply: VecDeque<Entry>,
    applied: Vec<Entry>,
    sent: Vec<Message>,
    outcomes: Vec<Action>,
    /// The number of reads of entries from the disk.
    fetches: u64,
    now: Instant,
    /// The seed of the next start; each start has another one.
    seed: u64,
}

impl Node {
    pub(crate) fn start(config: Config, restored: Restored) -> Node {
        let seed = config.id.0 * 1_000;
        Node::seeded(config, restored, seed)
    }

    /// Returns a node with the election timeouts of `seed`.
    pub(crate) fn seeded(config: Config, restored: Restored, seed: u64) -> Node {
        let disk = Disk::of(&restored);
        let mut node = Node {
            config,
            core: None,
            recording: Vec::new(),
            contents: Contents::Hashed,
            clock_ahead: Duration::ZERO,
            disk,
            flushes_at_once: true,
            applies_at_once: true,
            to_apply: VecDeque::new(),
            applied: Vec::new(),
            sent: Vec::new(),
            outcomes: Vec::new(),
            fetches: 0,
            now: Instant::ZERO.after(Duration::from_secs(1)),
            seed,
        };
        node.restart();
        node
    }

    /// Starts the node from its durable state, with a new seed.
    pub(crate) fn restart(&mut self) {
        assert!(self.core.is_none(), "{} is up already", self.config.id);
        let restored = self.disk.restored();
        let core = Raft::new(self.config.clone(), restored, self.seed, self.now);
        let core = core.expect("the durable state is valid");
        let config = RecorderConfig {
            start: self.seed,
            contents: self.contents,
            unix_time: Some(self.clock_ahead),
            key: !self.seed,
            segment_bytes: 4096,
            block_bytes: 512,
            ..RecorderConfig::default()
        };
        self.seed += 1;
        self.core = Some(Recorded::new(core, config));
    }

    /// Crashes the node: pending writes and its memory are lost.
    pub(crate) fn crash(&mut self) {
        self.core = None;
        self.disk.crash();
        self.to_apply.clear();
        self.applied.clear();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// Passes an input to the core, and executes its actions except for messages.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(core) = &mut self.core else { return };
            let mut actions = Vec::new();
            core.step(self.now, input, &mut actions);
            while let Some(block) = core.recorder().next_block() {
                self.recording.extend_from_slice(block.bytes());
            }
            for action in actions {
                self.execute(action, &mut inputs);
            }
            if self.flushes_at_once {
                inputs.extend(self.disk.flush_all().map(Input::Persisted));
            }
            if self.applies_at_once {
                inputs.extend(self.take_to_apply().map(Input::Applied));
            }
        }
        self.assert_memory_matches_disk();
    }

    /// Asserts that the core's log equals the submitted log.
    fn assert_memory_matches_disk(&self) {
        let (log, written) = (self.core().log(), self.log());
        assert_eq!(log.last(), written.last().map_or(EntryId::ZERO, |entry| entry.id));
        assert!(written.iter().all(|entry| log.has(entry.id)), "every entry is known by its id");
        let durable = self.disk.entries().len() as u64;
        assert!(log.durable().0 <= durable, "entries reported durable are on disk");
    }

    fn execute(&mut self, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Send(message) => {
                assert_eq!(message.from, self.config.id, "the sender is the node");
                assert_ne!(message.to, self.config.id, "a node sends no message to itself");
                self.sent.push(message);
            }
            Action::Persist(write) => self.disk.submit(write),
            Action::Apply(entries) => {
                assert!(!entries.is_empty(), "an empty batch is never applied");
                assert!(self.to_apply.is_empty(), "one batch is applied at a time");
                self.to_apply.extend(entries);
            }
            Action::Fetch { consumer, first, last, .. } => {
                self.fetches += 1;
                let entries = self.disk.read(first, last);
                inputs.push_back(Input::Fetched { consumer, entries: entries.into() });
            }
            Action::Committed { .. }
            | Action::Rejected { .. }
            | Action::Unknown { .. }
            | Action::MembershipChangeCommitted { .. }
            | Action::LeadershipTransferred { .. }
            | Action::ReadReady { .. } => self.outcomes.push(action),
            Action::MessageRejected { .. }
            | Action::RoleChanged { .. }
            | Action::ActiveMembershipChanged(_) => {}
            other => panic!("the harness does not support {other:?}"),
        }
    }

    /// Applies the pending batch, and asserts that indices are consecutive.
    fn take_to_apply(&mut self) -> Option<Index> {
        for entry in self.to_apply.drain(..) {
            let next = Index(self.applied.len() as u64 + 1);
            assert_eq!(entry.id.index, next, "{} applies in order", self.config.id);
            self.applied.push(entry);
        }
        let last = self.applied.last()?.id.index;
        (last > self.status().applied).then_some(last)
    }

    /// Applies the pending batch, and reports it to the core.
    pub(crate) fn apply(&mut self) {
        if let Some(index) = self.take_to_apply() {
            self.input(Input::Applied(index));
        }
    }

    /// Makes the oldest pending write durable. Returns true if there was one.
    pub(crate) fn flush_one(&mut self) -> bool {
        let flushed = self.disk.flush_one();
        if let Some(id) = flushed {
            self.input(Input::Persisted(id));
        }
        flushed.is_some()
    }

    /// Makes every pending write durable, and those that follow from it.
    pub(crate) fn flush(&mut self) {
        while self.flush_one() {}
    }

    /// Delivers a message to the node.
    pub(crate) fn deliver_message(&mut self, from: NodeId, term: u64, body: Body) {
        let to = self.config.id;
        self.input(Input::Message(Message {
            from,
            incarnation: Incarnation::default(),
            to,
            term: Term(term),
            body,
        }));
    }

    /// Delivers a message to the node, and returns all messages that it has sent.
    pub(crate) fn receive(&mut self, from: NodeId, term: u64, body: Body) -> Vec<Message> {
        self.deliver_message(from, term, body);
        self.take_sent()
    }

    pub(crate) fn propose(&mut self, tag: u64, text: &str) {
        self.input(Input::propose(Tag(tag), Acknowledge::Quorum, Command::from(text)));
    }

    pub(crate) fn take_sent(&mut self) -> Vec<Message> {
        core::mem::take(&mut self.sent)
    }

    pub(crate) fn take_outcomes(&mut self) -> Vec<Action> {
        core::mem::take(&mut self.outcomes)
    }

    pub(crate) fn fetches(&self) -> u64 {
        self.fetches
    }

    /// Advances this node's clock, with a timeout at each deadline.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(deadline) = self.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.input(Input::Timeout);
            assert!(
                self.deadline() > Some(self.now),
                "{} has a later deadline after the timeout",
                self.config.id
            );
        }
        self.now = end;
    }

    /// Advances this node's clock, without timeouts.
    pub(crate) fn oversleep(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Advances the clock to the node's next deadline, with a timeout there.
    pub(crate) fn time_out(&mut self) {
        let deadline = self.deadline().expect("the node is up");
        assert_ne!(deadline, Instant::NEVER, "the node has a deadline");
        let span = deadline.since(self.now);
        self.advance(span);
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.core.as_ref().map(|core| core.deadline())
    }

    pub(crate) fn core(&self) -> &Raft {
        self.core.as_ref().expect("the node is up")
    }

    /// Returns the recording of all starts, with every step that was taken.
    pub(crate) fn finish_recording(&mut self) -> &[u8] {
        if let Some(core) = &mut self.core {
            core.recorder().finish_block();
            while let Some(block) = core.recorder().next_block() {
                self.recording.extend_from_slice(block.bytes());
            }
        }
        &self.recording
    }

    /// Drops every finished block, as a driver with a full queue does.
    pub(crate) fn drop_block(&mut self) {
        if let Some(core) = &mut self.core {
            core.recorder().finish_block();
            while core.recorder().next_block().is_some() {}
            core.recorder().on_dropped_block();
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn status(&self) -> Status {
        self.core().status()
    }

    pub(crate) fn role(&self) -> RoleName {
        self.status().role
    }

    pub(crate) fn leads(&self) -> bool {
        self.is_up() && self.role() == RoleName::Leader
    }

    pub(crate) fn term(&self) -> u64 {
        self.status().term.0
    }

    pub(crate) fn committed(&self) -> u64 {
        self.status().committed.0
    }

    pub(crate) fn last(&self) -> EntryId {
        self.status().last
    }

    /// Returns the whole log that was submitted to the disk.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.disk.submitted_entries()
    }

    /// Returns the entries applied since the last start.
    pub(crate) fn applied(&self) -> &[Entry] {
        &self.applied
    }

    /// Returns the applied commands, as text.
    pub(crate) fn applied_commands(&self) -> Vec<String> {
        let command = |entry: &Entry| match &entry.payload {
            Payload::Noop | Payload::Membership(_) => None,
            Payload::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
        };
        self.applied.iter().filter_map(command).collect()
    }

    /// Returns the read index of the read with this tag, if it is ready.
    pub(crate) fn read_index(&self, tag: Tag) -> Option<u64> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Action::ReadReady { tag: ready, index, .. } if *ready == tag => Some(index.0),
            _ => None,
        })
    }

    /// Returns the reason for which the request with this tag was rejected, if it was.
    pub(crate) fn reject_reason(&self, tag: Tag) -> Option<RejectReason> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Action::Rejected { tag: rejected, reason } if *rejected == tag => Some(*reason),
            _ => None,
        })
    }
}
