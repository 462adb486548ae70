//! One node with its disk and its clock, stepped by one event at a time.
//!
//! Time is abstract. Every node has its own clock, which advances in only two events: to the node's
//! deadline, and by one election timeout. An instant is kept as a number of election timeouts in
//! the past or in the future; one that is less than a timeout ahead is kept as it is. In scopes
//! with leases or with last survivors, the second event advances the clock by another span (see
//! `Move::TimePasses`), and instants are rounded to multiples of that span.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate::raft::{Action, Input, Raft, RoleName};
use quorate::types::{
    Acknowledge, Body, Command, Entry, EntryId, HardState, Index, Instant, Membership, Message,
    MessageClass, NodeId, ReadLevel, Restored, SnapshotMeta, Tag, Term, Write, WriteId,
};

use crate::scope::{ELECTION_TIMEOUT, HEARTBEAT, STEPS_TO_DEATH, SURVIVOR_STEP, Scope};

/// The time of every clock between two events.
const CLOCK_ORIGIN: Instant = Instant(1_000_000_000_000);
/// The number of election timeouts after which nothing more expires.
const ELECTION_TIMEOUTS_MAX: u64 = 2;

/// One node, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    /// The pending writes, numbered from 1.
    pub(crate) writes: Vec<Write>,
    /// Whether the node crashed and has not started again. Its core has taken no input yet.
    pub(crate) is_down: bool,
}

/// The durable state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) committed: Index,
    pub(crate) entries: Vec<Entry>,
}

/// An event of one node, with its input.
#[derive(Clone, Debug)]
pub(crate) enum NodeEvent {
    Input(Input),
    Timeout,
    TimePasses,
    Flush,
    Crash { parts: u32 },
    Start,
}

/// Entries that a leader committed in a step.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) last: Index,
    /// The active memberships before and after the step; a quorum of either may decide. They differ
    /// if the commit lets the leader append the next membership of a change.
    pub(crate) memberships: [Membership; 2],
}

/// The result of an event.
#[derive(Clone, Debug)]
pub(crate) struct StepResult {
    pub(crate) node: Node,
    pub(crate) messages: Vec<Message>,
    /// The entries that the node committed as a leader.
    pub(crate) commits: Vec<Commit>,
    /// All actions of the node, for traces.
    pub(crate) actions: Vec<Action>,
}

impl Node {
    /// Creates a node that has never run.
    pub(crate) fn fresh(scope: &Scope, id: NodeId) -> Node {
        let disk = Disk::default();
        let raft = disk.start(scope, id);
        let raft = normal_at(&raft, CLOCK_ORIGIN, scope).0;
        Node { raft, disk, writes: Vec::new(), is_down: false }
    }

    /// Applies an event to the node. Returns the panic message if the node panics.
    pub(crate) fn apply(&self, scope: &Scope, event: &NodeEvent) -> Result<StepResult, String> {
        let result = catch_unwind(AssertUnwindSafe(|| self.clone().apply_event(scope, event)));
        result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without a message".to_owned())
        })
    }

    fn apply_event(mut self, scope: &Scope, event: &NodeEvent) -> StepResult {
        let mut run = Run {
            now: CLOCK_ORIGIN,
            messages: Vec::new(),
            commits: Vec::new(),
            actions: Vec::new(),
        };
        match event {
            NodeEvent::Input(input) => run.step(&mut self, scope, input.clone()),
            NodeEvent::Timeout if self.campaigns(scope) => {
                run.step(&mut self, scope, Input::Campaign);
            }
            NodeEvent::Timeout => {
                run.now = CLOCK_ORIGIN.max(self.raft.deadline());
                run.step(&mut self, scope, Input::Timeout);
            }
            NodeEvent::TimePasses if scope.leases.any() => {
                run.now = CLOCK_ORIGIN.after(ELECTION_TIMEOUT / 2)
            }
            NodeEvent::TimePasses if scope.last_survivor && self.is_down => {}
            NodeEvent::TimePasses if scope.last_survivor => {
                run.now = CLOCK_ORIGIN.after(SURVIVOR_STEP)
            }
            NodeEvent::TimePasses => run.now = CLOCK_ORIGIN.after(ELECTION_TIMEOUT),
            NodeEvent::Flush => run.flush(&mut self, scope),
            NodeEvent::Crash { parts } => {
                let id = self.raft.status().id;
                if let Some(write) = self.writes.first() {
                    self.disk.take(write, *parts as usize);
                }
                self.writes.clear();
                self.raft = self.disk.start(scope, id);
                self.is_down = scope.last_survivor;
                if !self.is_down && self.is_due() {
                    run.step(&mut self, scope, Input::Timeout);
                }
            }
            NodeEvent::Start => {
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
        StepResult { node: self, messages, commits, actions }
    }

    /// Returns true if a timeout makes the node campaign. With leases any node that does not lead
    /// may campaign. With last survivors, a node that is not due campaigns only in the election
    /// before the exploration begins (`Moves::elect`).
    fn campaigns(&self, scope: &Scope) -> bool {
        let leads = self.raft.status().role == RoleName::Leader;
        !leads && (scope.leases.any() || scope.last_survivor && !self.is_due())
    }

    /// Returns true if the deadline of the node has passed.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_down && self.raft.deadline() <= CLOCK_ORIGIN
    }

    /// Returns the number of prefixes of the first pending write that a crash can leave.
    pub(crate) fn crash_parts(&self) -> u32 {
        self.writes.first().map_or(1, |write| parts(write) as u32)
    }

    /// Returns every entry in memory.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let log = self.raft.log();
        match log.slice(Index(1), log.last().index, usize::MAX, usize::MAX) {
            quorate::log::Slice::Hot { entries, .. } => entries.to_vec(),
            other => unreachable!("a short log stays in memory: {other:?}"),
        }
    }

    /// Returns the index that a read reflects if the node answers it without another node, or
    /// `None` if it would ask other nodes. Every entry of the log may change the answer.
    pub(crate) fn local_read_index(&self) -> Option<Index> {
        let (mut raft, mut actions) = (self.raft.clone(), Vec::new());
        let (tag, level, conflict) = (Tag(4), ReadLevel::Replica, raft.log().last().index);
        raft.step(CLOCK_ORIGIN, Input::Read { tag, level, conflict }, &mut actions);
        let is_ready = actions.iter().any(|action| matches!(action, Action::ReadReady { .. }));
        let applied = raft.log().applied();
        raft.last_read_index().or_else(|| is_ready.then_some(applied))
    }

    pub(crate) fn election_state(&self) -> ElectionState {
        let HardState { term, vote, .. } = self.disk.hard_state;
        let campaigns_or_leads =
            matches!(self.raft.status().role, RoleName::Candidate | RoleName::Leader);
        ElectionState { term, gave_vote: vote.is_some() && !campaigns_or_leads }
    }
}

/// The durable state of a node in elections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElectionState {
    term: Term,
    /// Whether the node gave its vote in this term, and neither campaigns nor leads in it.
    gave_vote: bool,
}

impl ElectionState {
    /// Returns true if the message can no longer have an effect on the node: it replies to a
    /// request of a term that the node durably left, or in which it durably cannot lead, or it is a
    /// `TimeoutNow` of a term that the node durably left.
    pub(crate) fn ignores(self, message: &Message) -> bool {
        let ElectionState { term, gave_vote } = self;
        let (is_earlier, is_current) = (message.term < term, message.term == term);
        if let Body::PreVoteReply { next_term, .. } = message.body {
            return next_term <= term && message.term <= term;
        }
        match message.body.class() {
            MessageClass::LeaderReply | MessageClass::Reply => {
                is_earlier || (is_current && gave_vote)
            }
            MessageClass::LeaderNotice => is_earlier && message.body == Body::TimeoutNow,
            MessageClass::LeaderRequest | MessageClass::Request => false,
        }
    }
}

/// One event in progress.
struct Run {
    now: Instant,
    messages: Vec<Message>,
    commits: Vec<Commit>,
    actions: Vec<Action>,
}

impl Run {
    /// Steps the node with one input. Then does what an idle driver would: applies committed
    /// entries, and flushes writes at once unless disks are slow.
    fn step(&mut self, node: &mut Node, scope: &Scope, input: Input) {
        let mut actions = Vec::new();
        let (before, memberships) = (node.raft.status(), node.raft.membership().clone());
        node.raft.step(self.now, input, &mut actions);
        let status = node.raft.status();
        // A leader that is no longer a voter steps down when it commits its removal.
        let leads = before.role == RoleName::Leader || status.role == RoleName::Leader;
        if leads && before.term == status.term && status.committed > before.committed {
            let memberships = [memberships, node.raft.membership().clone()];
            self.commits.push(Commit { last: status.committed, memberships });
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
    /// Starts a node from its durable state. Every start uses the same random seed. The election
    /// timeouts come from it, and the explorer tries every order of them; so does the id of the
    /// start, which matters only to reads, and no user of a scope requests one.
    fn start(&self, scope: &Scope, id: NodeId) -> Raft {
        let Disk { hard_state, committed, entries } = self.clone();
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, scope.membership.clone());
        let restored = Restored::with_log(hard_state, committed, snapshot, entries);
        Raft::new(scope.config(id), restored, 0, CLOCK_ORIGIN)
            .expect("a node starts from its own durable state")
    }

    /// Makes the first `count` parts of the write durable.
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

/// Returns the number of parts of a write that can become durable one after the other.
fn parts(write: &Write) -> usize {
    usize::from(write.hard_state.is_some()) + write.entries.len()
}

/// Returns the node with its clock at the origin, and every instant rounded to a whole number of
/// election timeouts from the origin, unless it is less than one timeout in the future. With leases
/// an instant is rounded to the nearest half timeout, which removes the microseconds between
/// heartbeats. Scopes with last survivors use [`in_steps`]. Also returns the number that the last
/// durable write had: later writes are renumbered from it.
fn normal_at(raft: &Raft, now: Instant, scope: &Scope) -> (Raft, WriteId) {
    let timeout = u64::try_from(ELECTION_TIMEOUT.as_nanos())
        .expect("an election timeout fits u64 nanoseconds");
    raft.normal_form(|instant| {
        if scope.last_survivor {
            return in_steps(now, instant);
        }
        if scope.leases.any() {
            let half = timeout / 2;
            let origin = now.0 - 2 * ELECTION_TIMEOUTS_MAX * half;
            let halves = (instant.0.saturating_sub(origin) + half / 2) / half;
            return Instant(CLOCK_ORIGIN.0 - 2 * ELECTION_TIMEOUTS_MAX * half + halves * half);
        }
        let past = (now.since(instant).as_nanos() as u64 / timeout).min(ELECTION_TIMEOUTS_MAX);
        let ahead = instant.since(now).as_nanos() as u64;
        let ahead = if ahead < timeout { ahead } else { ahead / timeout * timeout };
        Instant(CLOCK_ORIGIN.0 - past * timeout + ahead)
    })
}

/// Rounds an instant for a scope with last survivors: a past instant to a whole number of steps, at
/// most [`STEPS_TO_DEATH`], and a future instant to the next heartbeat or to the next step.
fn in_steps(now: Instant, instant: Instant) -> Instant {
    let step = SURVIVOR_STEP.as_nanos() as u64;
    if instant > now.after(HEARTBEAT) {
        return CLOCK_ORIGIN.after(SURVIVOR_STEP);
    }
    if instant > now {
        return CLOCK_ORIGIN.after(HEARTBEAT);
    }
    let steps = (now.since(instant).as_nanos() as u64 / step).min(STEPS_TO_DEATH.into());
    Instant(CLOCK_ORIGIN.0 - steps * step)
}

/// Returns the proposal of a user.
pub(crate) fn proposal() -> Input {
    Input::propose(Tag(1), Acknowledge::Quorum, Command::from("x"))
}

#[cfg(test)]
mod tests {
    use quorate::types::{Entries, Heartbeat, Incarnation, Payload};

    use super::*;
    use crate::scopes;

    #[test]
    fn a_read_under_a_read_lease_waits_for_the_verified_entries() {
        let scope = scopes::named("read-lease").expect("the scope exists");
        let noop =
            |index| Entry { id: EntryId::new(Term(1), Index(index)), payload: Payload::Noop };
        let entries = (1..=3).map(noop).collect();
        let hard_state = HardState::new(Term(1), None);
        let disk = Disk { hard_state, committed: Index(1), entries };
        let raft = disk.start(&scope, NodeId(2));
        let mut node = Node { raft, disk, writes: Vec::new(), is_down: false };
        let mut receive = |body| {
            let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation::default());
            let message = Message { from, incarnation, to, term: Term(2), body };
            let event = NodeEvent::Input(Input::Message(message));
            node = node.apply(&scope, &event).expect("no panic").node;
            node.local_read_index()
        };
        let prev = EntryId::new(Term(1), Index(2));
        let (entries, committed) = (Entries::default(), Index(1));
        receive(Body::AppendEntries { prev, entries, committed });
        let first = Heartbeat { vote_lease: ELECTION_TIMEOUT, ..Heartbeat::new(1, committed) };
        assert_eq!(receive(Body::Heartbeat(first)), None, "the node has no read lease");
        let second = Heartbeat { round: 2, echo: 1, read_lease: ELECTION_TIMEOUT, ..first };
        assert_eq!(receive(Body::Heartbeat(second)), Some(Index(2)), "entry 3 is not verified");
        let third = Heartbeat { round: 3, echo: 2, committed: Index(2), ..second };
        assert_eq!(receive(Body::Heartbeat(third)), Some(Index(2)), "entry 2 is applied");
    }
}
