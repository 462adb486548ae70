//! A cluster played by hand: every event is written down by the test, none comes from the core.
//!
//! A stage plays honest nodes as tersely as possible, so that a forgery can be one wrong event
//! after an honest prefix. It stops at the first violation.

mod clients;
mod disks;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::log::Log;
use quorate::machine::{Digest, Machine, Request, Sequence, SessionId, SessionLimits};
use quorate::raft::{Config, RoleName, Status};
use quorate::types::{
    AppendOutcome, Body, Entry, EntryId, HardState, Incarnation, Index, Membership, Message,
    NodeId, Payload, Restored, Root, SnapshotMeta, Term, Write, WriteId,
};
use quorate_sim::check::{Bounds, Checks, Costs};
use quorate_sim::observe::{Executed, Look, OpId, Seen, Violation};
use quorate_sim::request::mark;
use quorate_sim::time::SimTime;
use quorate_sim::workload::AnyWorkload;

use crate::echo::{Echo, Player};
use crate::status::follower;

/// What one node would say of itself, and what its disk holds.
#[derive(Clone)]
struct Actor {
    status: Status,
    log: Vec<Entry>,
    disk: (HardState, Index, Vec<Entry>),
    pending: Vec<Write>,
    write: WriteId,
    machine: Machine<Player>,
}

/// The stage.
#[derive(Clone)]
pub(crate) struct Stage {
    membership: Membership,
    checks: Checks,
    now: SimTime,
    actors: BTreeMap<NodeId, Actor>,
    /// The disks of nodes that lost one.
    disks: BTreeMap<u64, Incarnation>,
    next_op: u64,
    violation: Option<Violation>,
}

/// Entry `index@term` with a membership.
pub(crate) fn change(index: u64, term: u64, membership: &Membership) -> Entry {
    Entry { id: id(index, term), payload: Payload::Membership(membership.clone()) }
}

/// Entry `index@term` without a command.
pub(crate) fn noop(index: u64, term: u64) -> Entry {
    Entry { id: id(index, term), payload: Payload::Noop }
}

/// Entry `index@term` with the command of an operation.
pub(crate) fn command(index: u64, term: u64, op: u64) -> Entry {
    written(index, term, op, b"x")
}

/// Entry `index@term` with a command of these bytes.
pub(crate) fn written(index: u64, term: u64, op: u64, bytes: &[u8]) -> Entry {
    let command = Request::Plain(&mark(bytes.to_vec(), OpId(op), 0)).encode();
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// Entry `index@term` that opens a session.
pub(crate) fn register(index: u64, term: u64) -> Entry {
    let nonce = quorate::machine::Nonce(u128::from(index));
    let limits = SessionLimits { sessions_max: 1, ..SessionLimits::default() };
    let command = Request::Register { nonce, limits }.encode();
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// Entry `index@term` with the command of an operation, as a request of a session.
pub(crate) fn request(index: u64, term: u64, op: u64, session: u64, sequence: u64) -> Entry {
    let command = &mark(b"x".to_vec(), OpId(op), 0)[..];
    let (session, sequence) = (SessionId(Index(session)), Sequence(sequence));
    let acknowledged = Sequence(1);
    let command = Request::InSession { session, sequence, acknowledged, command }.encode();
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry id `index@term`.
pub(crate) fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

/// The hard state of `term` with a vote.
pub(crate) fn voted(term: u64, vote: u64) -> HardState {
    HardState::new(Term(term), Some(NodeId(vote)))
}

impl Actor {
    fn new(id: NodeId) -> Actor {
        let status = follower(id, Term::ZERO);
        let disk = (HardState::default(), Index::ZERO, Vec::new());
        let machine = Machine::new(Player::default());
        Actor { status, log: Vec::new(), disk, pending: Vec::new(), write: WriteId::ZERO, machine }
    }
}

fn replace(log: &mut Vec<Entry>, entries: &[Entry]) {
    if let Some(first) = entries.first() {
        log.retain(|entry| entry.id.index < first.id.index);
    }
    log.extend_from_slice(entries);
}

impl Stage {
    /// Five fresh nodes, all started.
    pub(crate) fn new() -> Stage {
        Stage::with(Membership::new((1..=5).map(NodeId)))
    }

    /// Fresh nodes of `membership`, all started.
    pub(crate) fn with(membership: Membership) -> Stage {
        Stage::playing(membership, Echo::default())
    }

    /// As [`Stage::with`], with clients of `workload`.
    pub(crate) fn playing(membership: Membership, workload: Echo) -> Stage {
        let nodes: Vec<NodeId> = membership.ids().collect();
        Stage::among(&nodes, membership, workload)
    }

    /// As [`Stage::with`], in a world of six nodes: some may be strangers.
    pub(crate) fn of_six(membership: Membership) -> Stage {
        Stage::among(&[1, 2, 3, 4, 5, 6].map(NodeId), membership, Echo::default())
    }

    fn among(nodes: &[NodeId], membership: Membership, workload: Echo) -> Stage {
        let bounds = Bounds::of(&Config::new(NodeId(1)), Costs::default());
        let checks = Checks::new(nodes, &membership, bounds, &AnyWorkload::new(workload));
        let actors = nodes.iter().map(|id| (*id, Actor::new(*id))).collect();
        let now = SimTime(1_000_000_000);
        let (disks, next_op, violation) = (BTreeMap::new(), 0, None);
        let mut stage = Stage { membership, checks, now, actors, disks, next_op, violation };
        nodes.iter().for_each(|node| stage.starts(node.0));
        stage
    }

    /// What the checks said of the last event, if anything.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Lets time pass.
    pub(crate) fn waits(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Shows the checks an event, 100 microseconds after the one before.
    pub(crate) fn sees(&mut self, seen: Seen<'_>) {
        assert_eq!(self.violation, None, "the stage went on after a violation");
        self.waits(Duration::from_micros(100));
        self.violation = self.checks.see(self.now, seen).err();
    }

    fn actor(&mut self, node: u64) -> &mut Actor {
        self.actors.get_mut(&NodeId(node)).expect("a member")
    }

    /// The node starts from its disk.
    pub(crate) fn starts(&mut self, node: u64) {
        let (hard_state, committed, log) = self.actor(node).disk.clone();
        self.starts_from(node, hard_state, committed.0, &log);
        self.steps(node);
    }

    /// The node starts from this disk; nothing of it is heard yet.
    pub(crate) fn starts_from(
        &mut self,
        node: u64,
        hard_state: HardState,
        hint: u64,
        log: &[Entry],
    ) {
        let empty = SnapshotMeta::empty(EntryId::ZERO, self.first_of(node));
        self.starts_with(node, hard_state, hint, empty, log);
        self.actor(node).disk = (hard_state, Index(hint), log.to_vec());
    }

    /// The node starts from this disk, with a log that begins after a snapshot; its state machine
    /// is in the state of the snapshot.
    pub(crate) fn starts_with(
        &mut self,
        node: u64,
        hard_state: HardState,
        hint: u64,
        snapshot: SnapshotMeta,
        log: &[Entry],
    ) {
        let restored = Restored::with_log(hard_state, Index(hint), snapshot.clone(), log.to_vec());
        let log = Log::new(&restored).expect("the forger knows what a log is");
        let state = self.state_at(snapshot.last.index);
        let actor = self.actor(node);
        *actor = Actor::new(NodeId(node));
        actor.status.term = hard_state.term;
        actor.status.vote = hard_state.vote;
        actor.status.last = log.last();
        actor.status.durable = log.durable();
        actor.status.committed = log.committed();
        actor.status.applied = log.applied();
        actor.status.snapshot = log.snapshot().index;
        actor.status.base = log.base().index;
        actor.log = restored.tail.clone();
        let status = actor.status;
        let membership = snapshot.membership;
        let (node, membership, status, log) = (NodeId(node), &membership, &status, &log);
        self.sees(Seen::Started { node, membership, status, log, state });
    }

    /// The state of an honest machine after `index`, if one of the nodes is there.
    fn state_at(&self, index: Index) -> Option<Digest> {
        let mut machines = self.actors.values().map(|actor| &actor.machine);
        let found = machines.find(|machine| machine.applied().index == index);
        found.map_or(Machine::new(Player::default()).results(), Machine::results)
    }

    /// The node crashes: what is not on its disk is gone.
    pub(crate) fn crashes(&mut self, node: u64) {
        self.sees(Seen::Crashed { node: NodeId(node) });
    }

    /// The node takes an input, after which its state is what the stage makes of it.
    pub(crate) fn steps(&mut self, node: u64) {
        self.says(node, |_| {});
    }

    /// The node takes an input that changes its state so.
    pub(crate) fn says(&mut self, node: u64, change: impl FnOnce(&mut Status)) {
        let actor = self.actor(node);
        change(&mut actor.status);
        let status = actor.status;
        let memberships = actor.log.iter().filter_map(Entry::membership);
        let last = memberships.map(|(_, membership)| membership).next_back();
        let membership = &last.unwrap_or_else(|| self.first_of(node));
        self.sees(Seen::Stepped { node: NodeId(node), status: &status, membership });
    }

    /// The membership that the node's directory was made with: a new disk has none.
    fn first_of(&self, node: u64) -> Membership {
        let is_new = self.disks.contains_key(&node);
        if is_new { Membership::default() } else { self.membership.clone() }
    }

    /// The node takes an input, and goes by this membership since.
    pub(crate) fn goes_by(&mut self, node: u64, membership: &Membership) {
        let status = self.actor(node).status;
        self.sees(Seen::Stepped { node: NodeId(node), status: &status, membership });
    }

    /// The operator hears that a change is complete.
    pub(crate) fn completes(&mut self, node: u64, id: EntryId) {
        self.sees(Seen::Changed { node: NodeId(node), id });
    }

    /// The node gives a write to its disk.
    pub(crate) fn submits(&mut self, node: u64, hard_state: Option<HardState>, entries: &[Entry]) {
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let committed = actor.status.committed;
        let write = Write {
            id: actor.write,
            hard_state,
            committed,
            install: None,
            entries: entries.to_vec(),
        };
        replace(&mut actor.log, entries);
        actor.pending.push(write.clone());
        self.sees(Seen::Submitted { node: NodeId(node), write: &write });
    }

    /// The node gives its disk a snapshot that takes the place of its log.
    pub(crate) fn installs(&mut self, node: u64, last: EntryId) {
        let meta = self.snapshot(last, 1);
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let (id, committed) = (actor.write, last.index);
        let (install, entries) = (Some(meta), Vec::new());
        let write = Write { id, hard_state: None, committed, install, entries };
        actor.log.clear();
        actor.pending.push(write.clone());
        self.sees(Seen::Submitted { node: NodeId(node), write: &write });
    }

    /// A snapshot that ends with `last`, named by `root`.
    pub(crate) fn snapshot(&self, last: EntryId, root: u8) -> SnapshotMeta {
        SnapshotMeta {
            root: Root([root; 32]),
            ..SnapshotMeta::empty(last, self.membership.clone())
        }
    }

    /// The disk of the node has done the next write.
    pub(crate) fn flushes(&mut self, node: u64) {
        let write = self.actor(node).pending.remove(0);
        self.flushed(node, &write);
    }

    /// The disk of the node has done this write.
    pub(crate) fn flushed(&mut self, node: u64, write: &Write) {
        let disk = &mut self.actor(node).disk;
        disk.0 = write.hard_state.unwrap_or(disk.0);
        disk.1 = write.committed;
        replace(&mut disk.2, &write.entries);
        self.sees(Seen::Durable { node: NodeId(node), write });
    }

    /// The next write the disk of the node has to do, taken from it.
    pub(crate) fn pending(&mut self, node: u64) -> Write {
        self.actor(node).pending.remove(0)
    }

    /// The node makes term and vote durable.
    pub(crate) fn votes(&mut self, node: u64, term: u64, vote: u64) {
        self.says(node, |status| {
            (status.term, status.vote) = (Term(term), Some(NodeId(vote)));
            (status.role, status.leader) = (RoleName::Follower, None);
        });
        self.submits(node, Some(voted(term, vote)), &[]);
        self.flushes(node);
    }

    /// The node makes the term durable, without a vote.
    pub(crate) fn enters(&mut self, node: u64, term: u64) {
        let hard_state = HardState::new(Term(term), None);
        self.says(node, |status| {
            (status.term, status.vote) = (Term(term), None);
            (status.role, status.leader) = (RoleName::Follower, None);
        });
        self.submits(node, Some(hard_state), &[]);
        self.flushes(node);
    }

    /// The node leads the term from now on.
    pub(crate) fn leads(&mut self, node: u64, term: u64) {
        self.says(node, |status| {
            (status.term, status.role) = (Term(term), RoleName::Leader);
            status.leader = Some(NodeId(node));
        });
    }

    /// The node asks the others for their votes, they grant them durably, and it leads.
    pub(crate) fn wins(&mut self, node: u64, term: u64, voters: &[u64]) {
        self.says(node, |status| {
            (status.term, status.vote) = (Term(term), Some(NodeId(node)));
            (status.role, status.leader) = (RoleName::Candidate, None);
        });
        self.submits(node, Some(voted(term, node)), &[]);
        self.flushes(node);
        self.steps(node);
        for voter in voters {
            let last = self.actor(node).status.last;
            self.sends(node, *voter, term, Body::RequestVote { last, transfer: false });
            self.votes(*voter, term, node);
            self.sends(*voter, node, term, Body::RequestVoteReply { granted: true });
        }
        self.leads(node, term);
    }

    /// The node has the entries in memory and gives them to its disk.
    pub(crate) fn takes(&mut self, node: u64, entries: &[Entry]) {
        let last = entries.last().expect("entries").id;
        let first = entries[0].id.index;
        self.says(node, |status| {
            status.last = last;
            status.durable = status.durable.min(first.previous());
        });
        self.submits(node, None, entries);
    }

    /// The node has the entries in memory and on its disk.
    pub(crate) fn holds(&mut self, node: u64, entries: &[Entry]) {
        self.takes(node, entries);
        self.flushes(node);
        let last = entries.last().expect("entries").id.index;
        self.says(node, |status| status.durable = last);
    }

    /// Several nodes have the entries in memory and on their disks.
    pub(crate) fn all_hold(&mut self, nodes: &[u64], entries: &[Entry]) {
        nodes.iter().for_each(|node| self.holds(*node, entries));
    }

    /// The node's commit index is this from now on.
    pub(crate) fn commits(&mut self, node: u64, index: u64) {
        self.says(node, |status| status.committed = Index(index));
    }

    /// The node's state machine applies the next entries up to `index`.
    pub(crate) fn applies(&mut self, node: u64, index: u64) {
        let actor = self.actor(node);
        let applied = actor.status.applied;
        let batch: Vec<Entry> = actor.log[applied.0 as usize..index as usize].to_vec();
        self.applies_these(node, &batch);
        self.says(node, |status| status.applied = Index(index));
    }

    /// The node's state machine applies these entries.
    pub(crate) fn applies_these(&mut self, node: u64, entries: &[Entry]) {
        self.applies_but(node, entries, |_, _| {});
    }

    /// The node's state machine applies these entries, but shows something else of it.
    pub(crate) fn applies_but(
        &mut self,
        node: u64,
        entries: &[Entry],
        change: impl FnOnce(&mut Vec<Executed>, &mut Vec<Option<Digest>>),
    ) {
        let machine = &mut self.actor(node).machine;
        // What follows nothing is a forgery, and an honest machine would not take it.
        let mut next = machine.applied().index.next();
        let mut states = Vec::new();
        for entry in entries {
            if entry.id.index == next && machine.applied().term <= entry.id.term {
                machine.apply(std::slice::from_ref(entry));
                next = next.next();
            }
            states.push(machine.results());
        }
        let mut executed = machine.user().take_executed();
        change(&mut executed, &mut states);
        let (executed, states) = (&executed[..], &states[..]);
        self.sees(Seen::Applied { node: NodeId(node), entries, executed, states });
    }

    /// The node's state machine is looked at, changed like this.
    pub(crate) fn looks(&mut self, node: u64, change: impl FnOnce(&mut Look<'_>)) {
        let machine = self.actor(node).machine.clone();
        let digest = machine.digest().expect("it is in memory");
        let (applied, results) = (machine.applied(), machine.results());
        let user = machine.user().as_any_machine();
        let mut look = Look { applied, digest, results, machine: &user };
        change(&mut look);
        self.sees(Seen::Looked { node: NodeId(node), look });
    }

    /// The node's state machine is frozen; its bytes are changed like this.
    pub(crate) fn freezes(&mut self, node: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut frozen = self.actor(node).machine.snapshot().expect("it is in memory");
        let (last, mut bytes) = (frozen.last(), Vec::new());
        std::io::Read::read_to_end(&mut frozen, &mut bytes).expect("it is in memory");
        change(&mut bytes);
        self.sees(Seen::Frozen { node: NodeId(node), last, bytes: &bytes });
    }

    /// The node has a snapshot that ends with `last`, named by `root`.
    pub(crate) fn has_snapshot(&mut self, node: u64, last: EntryId, root: u8) {
        let meta = self.snapshot(last, root);
        self.sees(Seen::SnapshotTaken { node: NodeId(node), meta: &meta });
    }

    /// The node's state machine starts over from another one's snapshot.
    pub(crate) fn restores(&mut self, node: u64, from: u64) {
        self.actor(node).machine = self.actor(from).machine.clone();
        let machine = &self.actor(node).machine;
        let (index, state) = (machine.applied().index, machine.results());
        self.sees(Seen::Restored { node: NodeId(node), index, state });
    }

    /// One node sends another a message.
    pub(crate) fn sends(&mut self, from: u64, to: u64, term: u64, body: Body) {
        let incarnation = self.disk_of(from);
        let (from, to, term) = (NodeId(from), NodeId(to), Term(term));
        let message = Message { from, incarnation, to, term, body };
        self.sees(Seen::Sent { message: &message });
    }

    /// One node acknowledges another's entries.
    pub(crate) fn acknowledges(&mut self, from: u64, to: u64, term: u64, matched: u64) {
        let outcome = AppendOutcome::Accepted { matched: Index(matched) };
        self.sends(from, to, term, Body::AppendEntriesReply(outcome));
    }

    /// A leader takes another node's disk to equal its own log up to `matched`.
    pub(crate) fn counts(&mut self, node: u64, peer: u64, matched: u64) {
        let (node, peer, matched) = (NodeId(node), NodeId(peer), Index(matched));
        self.sees(Seen::Counted { node, peer, matched });
    }

    /// The storm is over for these nodes.
    pub(crate) fn calms(&mut self, core: &[u64]) {
        let core: Vec<NodeId> = core.iter().copied().map(NodeId).collect();
        self.sees(Seen::Calm { core: &core });
    }

    /// Nothing is asked of the cluster from now on.
    pub(crate) fn idles(&mut self) {
        self.sees(Seen::Idle);
    }

    /// The run is over.
    pub(crate) fn ends(&mut self) {
        self.sees(Seen::Ended);
    }
}
