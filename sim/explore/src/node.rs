//! One node with its disk and its clock, moved by one event at a time.
//!
//! Time is abstracted here. Every node has a clock of its own, which stands still but for two
//! moves: to the node's deadline, and on by one patience. What is kept of an instant is how many
//! patiences ago it was, or ahead it is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate::raft::{Action, Input, Raft, RoleName};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, HardState, Index, Instant, Membership, Message,
    NodeId, ReadLevel, Restored, SnapshotMeta, Tag, Term, Write, WriteId,
};

use crate::scope::{HEARTBEAT, PATIENCE, STEP, STEPS_TO_DEATH, Scope};

/// Where every clock stands between two moves.
const NOON: Instant = Instant(1_000_000_000_000);
/// After so many patiences nothing more runs out.
const PATIENCES_MAX: u64 = 2;

/// One node, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    /// Writes on their way, numbered from 1.
    pub(crate) writes: Vec<Write>,
    /// It has crashed, and not started again: its core has taken no input yet.
    pub(crate) is_down: bool,
}

/// What is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) committed: Index,
    pub(crate) entries: Vec<Entry>,
}

/// What a node is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Input(Input),
    Timeout,
    Lapse,
    Flush,
    Crash { parts: u32 },
    Start,
}

/// What a leader committed in a step.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) last: Index,
    /// Who counted before the step and after it: what it commits may let it append the membership
    /// that decides the rest.
    pub(crate) counted: [Membership; 2],
}

/// What a move led to.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) node: Node,
    pub(crate) messages: Vec<Message>,
    /// What it committed as a leader.
    pub(crate) commits: Vec<Commit>,
    /// Everything the node wanted, for traces.
    pub(crate) actions: Vec<Action>,
}

impl Node {
    /// A node that has never run.
    pub(crate) fn fresh(scope: &Scope, id: NodeId) -> Node {
        let disk = Disk::default();
        let raft = disk.start(scope, id);
        let raft = normal_at(&raft, NOON, scope).0;
        Node { raft, disk, writes: Vec::new(), is_down: false }
    }

    /// Moves the node. An error is what it panicked with.
    pub(crate) fn told(&self, scope: &Scope, told: &Told) -> Result<Moved, String> {
        let moved = catch_unwind(AssertUnwindSafe(|| self.clone().moved(scope, told)));
        moved.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without a word".to_owned())
        })
    }

    fn moved(mut self, scope: &Scope, told: &Told) -> Moved {
        let mut run =
            Run { now: NOON, messages: Vec::new(), commits: Vec::new(), actions: Vec::new() };
        match told {
            Told::Input(input) => run.step(&mut self, scope, input.clone()),
            Told::Timeout if self.campaigns(scope) => {
                run.step(&mut self, scope, Input::Campaign);
            }
            Told::Timeout => {
                run.now = NOON.max(self.raft.deadline());
                run.step(&mut self, scope, Input::Timeout);
            }
            Told::Lapse if scope.leases.any() => run.now = NOON.after(PATIENCE / 2),
            Told::Lapse if scope.survives && self.is_down => {}
            Told::Lapse if scope.survives => run.now = NOON.after(STEP),
            Told::Lapse => run.now = NOON.after(PATIENCE),
            Told::Flush => run.flush(&mut self, scope),
            Told::Crash { parts } => {
                let id = self.raft.status().id;
                if let Some(write) = self.writes.first() {
                    self.disk.take(write, *parts as usize);
                }
                self.writes.clear();
                self.raft = self.disk.start(scope, id);
                self.is_down = scope.survives;
                if !self.is_down && self.is_due() {
                    run.step(&mut self, scope, Input::Timeout);
                }
            }
            Told::Start => {
                self.is_down = false;
                if self.is_due() {
                    run.step(&mut self, scope, Input::Timeout);
                }
            }
        }
        self.raft.assert_invariants();
        let (raft, durable) = normal_at(&self.raft, run.now, scope);
        self.raft = raft;
        for write in &mut self.writes {
            write.id = WriteId(write.id.0 - durable.0);
        }
        let Run { messages, commits, actions, .. } = run;
        Moved { node: self, messages, commits, actions }
    }

    /// Whether it campaigns when it is told of the time: where there are leases anybody may, and
    /// where survivors go on, whoever is not due is told in order to.
    fn campaigns(&self, scope: &Scope) -> bool {
        let leads = self.raft.status().role == RoleName::Leader;
        !leads && (scope.leases.any() || scope.survives && !self.is_due())
    }

    /// Whether the node wants to be told of the time by now.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_down && self.raft.deadline() <= NOON
    }

    /// In how many ways a crash can cut the first write on its way short: at each of its parts.
    pub(crate) fn crash_parts(&self) -> u32 {
        self.writes.first().map_or(1, |write| parts(write) as u32)
    }

    /// Every entry in memory.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let log = self.raft.log();
        match log.slice(Index(1), log.last().index, usize::MAX, usize::MAX) {
            quorate::log::Slice::Hot(entries) => entries,
            quorate::log::Slice::Cold { .. } => unreachable!("a short log stays in memory"),
        }
    }

    /// How much of the log an answer to a read would have, that the node gives without asking
    /// anybody; none if it would ask.
    pub(crate) fn answers(&self) -> Option<Index> {
        let status = self.raft.status();
        let ready = |conflict: Index| {
            let (mut raft, mut actions) = (self.raft.clone(), Vec::new());
            let (tag, level) = (Tag(4), ReadLevel::Replica);
            raft.step(NOON, Input::Read { tag, level, conflict }, &mut actions);
            actions.into_iter().find_map(|action| match action {
                Action::ReadReady { index, .. } => Some(index),
                _ => None,
            })
        };
        let at_once = ready(Index::ZERO)?;
        // With a loan it waits for what may change the answer.
        let waits_for = (status.applied.0..=status.last.index.0).rev().map(Index);
        let mut waits_for = waits_for.take_while(|index| ready(*index).is_none());
        match status.role {
            RoleName::Leader => Some(at_once),
            _ => Some(waits_for.next().unwrap_or(status.applied)),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let HardState { term, vote, .. } = self.disk.hard_state;
        let stands = matches!(self.raft.status().role, RoleName::Candidate | RoleName::Leader);
        Standing { term, is_out: vote.is_some() && !stands }
    }
}

/// How a node durably stands in elections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    term: Term,
    /// It gave its vote in this term, and neither leads nor stands in it.
    is_out: bool,
}

impl Standing {
    /// Whether the message can change nothing for the node any more, whatever else happens: it
    /// answers what the node asked in a term that it durably left, or durably does not lead.
    pub(crate) fn is_past(self, message: &Message) -> bool {
        let Standing { term, is_out } = self;
        match &message.body {
            Body::PreVoteReply { next_term, .. } => *next_term <= term && message.term <= term,
            body if body.is_reply() => message.term < term || (message.term == term && is_out),
            Body::TimeoutNow => message.term < term,
            _ => false,
        }
    }
}

/// One move under way.
struct Run {
    now: Instant,
    messages: Vec<Message>,
    commits: Vec<Commit>,
    actions: Vec<Action>,
}

impl Run {
    /// One input, and what an idle driver does at once: what is to be applied is applied, and
    /// where disks are fast, what is to be written is durable.
    fn step(&mut self, node: &mut Node, scope: &Scope, input: Input) {
        let mut actions = Vec::new();
        let (before, counted) = (node.raft.status(), node.raft.membership().clone());
        node.raft.step(self.now, input, &mut actions);
        let status = node.raft.status();
        // One that has no vote any more leads no longer once it has committed that.
        let leads = before.role == RoleName::Leader || status.role == RoleName::Leader;
        if leads && before.term == status.term && status.committed > before.committed {
            let counted = [counted, node.raft.membership().clone()];
            self.commits.push(Commit { last: status.committed, counted });
        }
        for action in actions {
            self.actions.push(action.clone());
            match action {
                Action::Send(message) => self.messages.push(message),
                Action::Persist(write) => {
                    node.writes.push(write);
                    if !scope.slow_disks {
                        self.flush(node, scope);
                    }
                }
                Action::Apply(entries) => {
                    let last = entries.last().expect("a batch is not empty").id.index;
                    self.step(node, scope, Input::Applied(last));
                }
                Action::Restore(_) | Action::ReceiveSnapshot { .. } | Action::Fetch { .. } => {
                    unreachable!("no snapshots are taken, and a short log stays in memory")
                }
                _ => {}
            }
        }
    }

    fn flush(&mut self, node: &mut Node, scope: &Scope) {
        let write = node.writes.remove(0);
        node.disk.take(&write, parts(&write));
        self.step(node, scope, Input::Persisted(write.id));
    }
}

impl Disk {
    /// A start from what is durable. Every start draws the same chances: the explorer makes up
    /// for it with every order of timeouts, and nobody reads.
    fn start(&self, scope: &Scope, id: NodeId) -> Raft {
        let Disk { hard_state, committed, entries } = self.clone();
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, scope.membership.clone());
        let restored = Restored::with_log(hard_state, committed, snapshot, entries);
        Raft::new(scope.config(id), restored, 0, NOON)
            .expect("what a disk has, can be started from")
    }

    /// The first `count` parts of the write become durable.
    fn take(&mut self, write: &Write, count: usize) {
        let mut rest = count;
        if let Some(hard_state) = write.hard_state.filter(|_| rest > 0) {
            self.hard_state = hard_state;
            rest -= 1;
        }
        for entry in write.entries.iter().take(rest) {
            let kept = usize::try_from(entry.id.index.0 - 1).expect("the log is short");
            assert!(kept <= self.entries.len(), "a write leaves no gap");
            self.entries.truncate(kept);
            self.entries.push(entry.clone());
        }
        if count > 0 {
            self.committed = self.committed.max(write.committed);
        }
    }
}

/// How many parts of a write can become durable one after the other.
fn parts(write: &Write) -> usize {
    usize::from(write.hard_state.is_some()) + write.entries.len()
}

/// The node at noon, every instant as many whole patiences away as it was. Where all clocks run
/// alike half ones count, and heartbeats take no time at all: an instant is the nearest of them.
fn normal_at(raft: &Raft, now: Instant, scope: &Scope) -> (Raft, WriteId) {
    let patience = u64::try_from(PATIENCE.as_nanos()).expect("a patience is short");
    raft.normal_form(|instant| {
        if scope.survives {
            return in_steps(now, instant);
        }
        if scope.leases.any() {
            let half = patience / 2;
            let origin = now.0 - 2 * PATIENCES_MAX * half;
            let halves = (instant.0.saturating_sub(origin) + half / 2) / half;
            return Instant(NOON.0 - 2 * PATIENCES_MAX * half + halves * half);
        }
        let past = (now.since(instant).as_nanos() as u64 / patience).min(PATIENCES_MAX);
        let ahead = instant.since(now).as_nanos() as u64;
        let ahead = if ahead < patience { ahead } else { ahead / patience * patience };
        Instant(NOON.0 - past * patience + ahead)
    })
}

/// Where survivors go on, an instant is some steps past, at most as many as death takes; or ahead:
/// with the next heartbeat, which takes no time, or by the next step.
fn in_steps(now: Instant, instant: Instant) -> Instant {
    let step = STEP.as_nanos() as u64;
    if instant > now.after(HEARTBEAT) {
        return NOON.after(STEP);
    }
    if instant > now {
        return NOON.after(HEARTBEAT);
    }
    let steps = (now.since(instant).as_nanos() as u64 / step).min(STEPS_TO_DEATH.into());
    Instant(NOON.0 - steps * step)
}

/// A proposal of a user.
pub(crate) fn proposal() -> Input {
    Input::propose(Tag(1), Acknowledge::Quorum, Command::from("x"))
}
