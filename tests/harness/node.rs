//! One node: a core, its disk, its state machine and its clock, driven by hand.

use core::time::Duration;
use std::collections::VecDeque;

use quorate::raft::{Action, Config, Input, Raft, Refusal, RejectReason, RoleName, Status};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, Incarnation, Index, Instant, Message, NodeId,
    Payload, Restored, Tag, Term,
};

use super::disk::Disk;

pub(crate) struct Node {
    config: Config,
    /// `None` while the node is down.
    core: Option<Raft>,
    pub(crate) disk: Disk,
    /// Whether a write is durable at once, or only when the test says so.
    pub(crate) flushes_at_once: bool,
    /// Whether entries are applied at once, or only when the test says so.
    pub(crate) applies_at_once: bool,
    to_apply: VecDeque<Entry>,
    applied: Vec<Entry>,
    sent: Vec<Message>,
    outcomes: Vec<Action>,
    refused: Vec<(NodeId, Refusal)>,
    /// How often entries were asked of the disk.
    fetches: u64,
    now: Instant,
    /// Every start draws from another seed, the next after this one.
    seed: u64,
}

impl Node {
    pub(crate) fn start(config: Config, restored: Restored) -> Node {
        let seed = config.id.0 * 1_000;
        Node::seeded(config, restored, seed)
    }

    /// A node whose election timeouts are those of `seed`.
    pub(crate) fn seeded(config: Config, restored: Restored, seed: u64) -> Node {
        let disk = Disk::of(&restored);
        let mut node = Node {
            config,
            core: None,
            disk,
            flushes_at_once: true,
            applies_at_once: true,
            to_apply: VecDeque::new(),
            applied: Vec::new(),
            sent: Vec::new(),
            outcomes: Vec::new(),
            refused: Vec::new(),
            fetches: 0,
            now: Instant::ZERO.after(Duration::from_secs(1)),
            seed,
        };
        node.restart();
        node
    }

    /// Starts the node from what is durable, with a seed of its own for every start.
    pub(crate) fn restart(&mut self) {
        assert!(self.core.is_none(), "{} is up already", self.config.id);
        let restored = self.disk.restored();
        let core = Raft::new(self.config.clone(), restored, self.seed, self.now);
        self.seed += 1;
        self.core = Some(core.expect("the test starts its nodes from a sound state"));
    }

    /// Stops the node; what was not durable, in flight to it or in its memory is gone.
    pub(crate) fn crash(&mut self) {
        self.core = None;
        self.disk.crash();
        self.to_apply.clear();
        self.applied.clear();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// Takes an input and carries out what follows from it, save for messages.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(core) = &mut self.core else { return };
            let mut actions = Vec::new();
            core.step(self.now, input, &mut actions);
            for action in actions {
                self.carry_out(action, &mut inputs);
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

    /// What the core takes for its log is what it had written, to the last entry.
    fn assert_memory_matches_disk(&self) {
        let (log, written) = (self.core().log(), self.log());
        assert_eq!(log.last(), written.last().map_or(EntryId::ZERO, |entry| entry.id));
        assert!(written.iter().all(|entry| log.has(entry.id)), "every entry is known by its id");
        let durable = self.disk.entries().len() as u64;
        assert!(log.durable().0 <= durable, "what is taken for durable is on the disk");
    }

    fn carry_out(&mut self, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Send(message) => {
                assert_eq!(message.from, self.config.id, "a node speaks for itself");
                assert_ne!(message.to, self.config.id, "a node does not write to itself");
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
                inputs.push_back(Input::Fetched { consumer, entries });
            }
            Action::Committed { .. }
            | Action::Rejected { .. }
            | Action::Unknown { .. }
            | Action::Changed { .. }
            | Action::Resigned { .. }
            | Action::ReadReady { .. } => self.outcomes.push(action),
            Action::Refused { from, reason, .. } => self.refused.push((from, reason)),
            Action::RoleChanged { .. } | Action::MembershipChanged(_) => {}
            other => panic!("the harness knows no {other:?}"),
        }
    }

    /// Hands the waiting batch to the state machine, which takes it in order and without a gap.
    fn take_to_apply(&mut self) -> Option<Index> {
        for entry in self.to_apply.drain(..) {
            let next = Index(self.applied.len() as u64 + 1);
            assert_eq!(entry.id.index, next, "{} applies in order", self.config.id);
            self.applied.push(entry);
        }
        let last = self.applied.last()?.id.index;
        (last > self.status().applied).then_some(last)
    }

    /// Lets the state machine take what waits for it.
    pub(crate) fn apply(&mut self) {
        if let Some(index) = self.take_to_apply() {
            self.input(Input::Applied(index));
        }
    }

    /// Makes the oldest waiting write durable; says whether there was one.
    pub(crate) fn flush_one(&mut self) -> bool {
        let flushed = self.disk.flush_one();
        if let Some(id) = flushed {
            self.input(Input::Persisted(id));
        }
        flushed.is_some()
    }

    /// Makes every waiting write durable, and those that follow from it.
    pub(crate) fn flush(&mut self) {
        while self.flush_one() {}
    }

    /// Hands the node a message.
    pub(crate) fn hear(&mut self, from: NodeId, term: u64, body: Body) {
        let to = self.config.id;
        self.input(Input::Message(Message {
            from,
            incarnation: Incarnation::default(),
            to,
            term: Term(term),
            body,
        }));
    }

    /// Hands the node a message and returns all it has sent and nobody has taken yet.
    pub(crate) fn receive(&mut self, from: NodeId, term: u64, body: Body) -> Vec<Message> {
        self.hear(from, term, body);
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

    /// What the node refused since its first start, oldest first.
    pub(crate) fn refused(&self) -> &[(NodeId, Refusal)] {
        &self.refused
    }

    pub(crate) fn fetches(&self) -> u64 {
        self.fetches
    }

    /// Lets time pass on this node's clock; the node is called at each of its deadlines.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(deadline) = self.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.input(Input::Timeout);
            assert!(
                self.deadline() > Some(self.now),
                "{} has dealt with the deadline that came",
                self.config.id
            );
        }
        self.now = end;
    }

    /// Lets time pass on this node's clock, without a call at any deadline.
    pub(crate) fn oversleep(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Lets time pass up to the node's next deadline, and calls it there.
    pub(crate) fn time_out(&mut self) {
        let deadline = self.deadline().expect("the node is up");
        assert_ne!(deadline, Instant::NEVER, "the node waits for something");
        let span = deadline.since(self.now);
        self.advance(span);
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.core.as_ref().map(Raft::deadline)
    }

    pub(crate) fn core(&self) -> &Raft {
        self.core.as_ref().expect("the node is up")
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

    /// The whole log, as far as it was handed to the disk.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.disk.submitted_entries()
    }

    /// What the state machine was given since the last start.
    pub(crate) fn applied(&self) -> &[Entry] {
        &self.applied
    }

    /// The commands among what was applied, as text.
    pub(crate) fn applied_commands(&self) -> Vec<String> {
        let command = |entry: &Entry| match &entry.payload {
            Payload::Noop | Payload::Membership(_) => None,
            Payload::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
        };
        self.applied.iter().filter_map(command).collect()
    }

    /// The index at which the read of this tag became ready, if it did.
    pub(crate) fn read_index(&self, tag: Tag) -> Option<u64> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Action::ReadReady { tag: ready, index, .. } if *ready == tag => Some(index.0),
            _ => None,
        })
    }

    /// Why the proposal or read of this tag was rejected, if it was.
    pub(crate) fn rejection(&self, tag: Tag) -> Option<RejectReason> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Action::Rejected { tag: rejected, reason } if *rejected == tag => Some(*reason),
            _ => None,
        })
    }
}
