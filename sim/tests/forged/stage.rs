//! A forged cluster: the test writes every event itself, and no event comes from the Raft core.
//!
//! A stage plays honest nodes in few calls, so that a forgery is one wrong event after an honest
//! prefix. The stage stops at the first violation.

mod clients;
mod disks;
mod elections;
mod machines;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::log::Log;
use quorate::machine::{Digest, Machine, Proposer, Request, Sequence, SessionId, SessionLimits};
use quorate::raft::{Config, Lease, Status, Survivor};
use quorate::types::{
    AppendOutcome, Body, Entry, EntryId, HardState, Incarnation, Index, Instant, Membership,
    Message, NodeId, Payload, Restored, Root, SessionBounds, SnapshotMeta, Term, Write, WriteId,
};
use quorate_sim::check::{Bounds, Checks, Costs};
use quorate_sim::observe::{Observation, OpId, Violation};
use quorate_sim::values::time::SimTime;
use quorate_sim::workload::AnyWorkload;
use quorate_sim::workload::request::mark;

use crate::echo::{Echo, Player};
use crate::status::follower;

/// The status and the disk of one played node.
#[derive(Clone)]
struct Actor {
    status: Status,
    log: Vec<Entry>,
    disk: (HardState, Index, Vec<Entry>),
    pending: Vec<Write>,
    write: WriteId,
    machine: Machine<Player>,
}

/// The played cluster with the checks that observe it.
#[derive(Clone)]
pub(crate) struct Stage {
    membership: Membership,
    checks: Checks,
    now: SimTime,
    actors: BTreeMap<NodeId, Actor>,
    /// The current disks of the nodes that lost a disk.
    disks: BTreeMap<u64, Incarnation>,
    next_op: u64,
    violation: Option<Violation>,
}

/// The time between two events.
const STEP: Duration = Duration::from_micros(100);

/// The entry `index@term` with a membership.
pub(crate) fn change(index: u64, term: u64, membership: &Membership) -> Entry {
    Entry { id: id(index, term), payload: Payload::Membership(membership.clone()) }
}

/// The entry `index@term` without a command.
pub(crate) fn noop(index: u64, term: u64) -> Entry {
    Entry { id: id(index, term), payload: Payload::Noop }
}

/// The entry `index@term` with the command of an operation.
pub(crate) fn command(index: u64, term: u64, op: u64) -> Entry {
    written(index, term, op, b"x")
}

/// The entry `index@term` with a command of these bytes.
pub(crate) fn written(index: u64, term: u64, op: u64, bytes: &[u8]) -> Entry {
    let command = Request::Plain(&mark(bytes.to_vec(), OpId(op), 0)).encode_for(Proposer::Unnamed);
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry `index@term` that opens a session.
pub(crate) fn register(index: u64, term: u64) -> Entry {
    let nonce = quorate::machine::Nonce(u128::from(index));
    let limits = SessionLimits::default();
    let command = Request::Register { nonce, limits }.encode_for(Proposer::Unnamed);
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry `index@term` with an admin command.
pub(crate) fn admin(index: u64, term: u64) -> Entry {
    let command = Request::Admin(b"x").encode_for(Proposer::Admin("a"));
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry `index@term` with bounds that exclude every session of [`register`].
pub(crate) fn narrow_window(index: u64, term: u64) -> Entry {
    let bounds = SessionBounds { window_max: 1, ..SessionBounds::DEFAULT };
    let command = Request::SetBounds(bounds).encode_for(Proposer::Unnamed);
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry `index@term` with an operation's command in a session.
pub(crate) fn request(index: u64, term: u64, op: u64, session: u64, sequence: u64) -> Entry {
    let command = &mark(b"x".to_vec(), OpId(op), 0)[..];
    let (session, sequence) = (SessionId(Index(session)), Sequence(sequence));
    let acknowledged = Sequence(1);
    let command = Request::InSession { session, sequence, acknowledged, command }
        .encode_for(Proposer::Unnamed);
    Entry { id: id(index, term), payload: Payload::Command(command) }
}

/// The entry id `index@term`.
pub(crate) fn id(index: u64, term: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

/// A joint membership in which voters 3 to 5 replace voters 1 to 3.
pub(crate) fn joint() -> Stage {
    let ids = |ids: [u64; 3]| ids.map(NodeId);
    Stage::with(Membership::new(ids([3, 4, 5])).joint_with(ids([1, 2, 3])))
}

/// The hard state of `term` with a vote for node `vote`.
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

/// The bytes of the last entries of a log, as many as the default bound of a node's memory allows.
fn bytes_in_memory(log: &[Entry]) -> usize {
    let max = Config::new(NodeId(1)).tail_bytes_max;
    let sizes = log.iter().rev().map(Entry::bytes);
    let sums = sizes.scan(0, |sum, bytes| {
        *sum += bytes;
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= max).last().unwrap_or(0)
}

fn replace(log: &mut Vec<Entry>, entries: &[Entry]) {
    if let Some(first) = entries.first() {
        log.retain(|entry| entry.id.index < first.id.index);
    }
    log.extend_from_slice(entries);
}

impl Stage {
    /// Five new nodes, all started.
    pub(crate) fn new() -> Stage {
        Stage::with(Membership::new((1..=5).map(NodeId)))
    }

    /// The nodes of `membership`, new and all started.
    pub(crate) fn with(membership: Membership) -> Stage {
        Stage::with_workload(membership, Echo::default())
    }

    /// Like [`Stage::with`], with clients of `workload`.
    pub(crate) fn with_workload(membership: Membership, workload: Echo) -> Stage {
        let nodes: Vec<NodeId> = membership.ids().collect();
        Stage::in_world(&nodes, membership, workload, |_| {})
    }

    /// Like [`Stage::with`], in a world of six nodes, some of which may not be members.
    pub(crate) fn of_six(membership: Membership) -> Stage {
        Stage::in_world(&[1, 2, 3, 4, 5, 6].map(NodeId), membership, Echo::default(), |_| {})
    }

    /// Like [`Stage::new`], with state machines that keep durable state of their own.
    pub(crate) fn of_durable_machines() -> Stage {
        let nodes = [1, 2, 3, 4, 5].map(NodeId);
        let durable = |bounds: &mut Bounds| bounds.machine_is_durable = true;
        Stage::in_world(&nodes, Membership::new(nodes), Echo::default(), durable)
    }

    /// Like [`Stage::new`], with candidates that ask for pre-votes.
    pub(crate) fn of_pre_votes() -> Stage {
        let nodes = [1, 2, 3, 4, 5].map(NodeId);
        let asks = |bounds: &mut Bounds| bounds.config.pre_vote = true;
        Stage::in_world(&nodes, Membership::new(nodes), Echo::default(), asks)
    }

    /// Like [`Stage::new`], with leaders that hold leases. The rate of a clock may be off by
    /// `drift_ppm` parts per million.
    pub(crate) fn of_leases(drift_ppm: u32) -> Stage {
        let nodes = [1, 2, 3, 4, 5].map(NodeId);
        let lease = Lease { drift_ppm, read_leases: false };
        let leases = |bounds: &mut Bounds| bounds.config.lease = Some(lease);
        Stage::in_world(&nodes, Membership::new(nodes), Echo::default(), leases)
    }

    /// Three nodes in survivor mode: those that are left may continue without the others.
    pub(crate) fn of_survivors() -> Stage {
        let nodes = [1, 2, 3].map(NodeId);
        let survive = |bounds: &mut Bounds| {
            bounds.config.survivor = Some(Survivor { after: Duration::from_secs(4) });
        };
        Stage::in_world(&nodes, Membership::new(nodes), Echo::default(), survive)
    }

    /// Like [`Stage::new`], with nodes that take a snapshot after every entry, keep no older
    /// entries, and compare their states every second.
    pub(crate) fn of_frequent_snapshots() -> Stage {
        Stage::of_frequent_snapshots_by(false)
    }

    /// Like [`Stage::of_frequent_snapshots`]; the state machines may be durable themselves.
    pub(crate) fn of_frequent_snapshots_by(durable_machines: bool) -> Stage {
        let nodes = [1, 2, 3, 4, 5].map(NodeId);
        let often = |bounds: &mut Bounds| {
            bounds.machine_is_durable = durable_machines;
            bounds.replica.snapshot_entries = 1;
            bounds.replica.trailing_entries = 0;
            bounds.replica.validation_period = Duration::from_secs(1);
        };
        Stage::in_world(&nodes, Membership::new(nodes), Echo::default(), often)
    }

    fn in_world(
        nodes: &[NodeId],
        membership: Membership,
        workload: Echo,
        change: impl FnOnce(&mut Bounds),
    ) -> Stage {
        let mut bounds = Bounds::of(&Config::new(NodeId(1)), Costs::default());
        bounds.replica.validation_period = Duration::from_secs(3600);
        bounds.config.pre_vote = false;
        change(&mut bounds);
        let checks = Checks::new(nodes, &membership, bounds, &AnyWorkload::new(workload));
        let actors = nodes.iter().map(|id| (*id, Actor::new(*id))).collect();
        let now = SimTime(1_000_000_000);
        let (disks, next_op, violation) = (BTreeMap::new(), 0, None);
        let mut stage = Stage { membership, checks, now, actors, disks, next_op, violation };
        nodes.iter().for_each(|node| stage.starts(node.0));
        stage
    }

    /// The violation of the last event, if there is one.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Advances the simulated time by `span`.
    pub(crate) fn advances_time(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// Passes an observation to the checks, 100 microseconds after the previous one.
    pub(crate) fn observes(&mut self, seen: Observation<'_>) {
        self.advances_time(STEP);
        let sender = match &seen {
            Observation::Sent { message } => Some(message.from),
            Observation::ComparisonSent { comparison } => Some(comparison.from),
            Observation::TransferSent { transfer } => Some(transfer.from),
            Observation::StateCompared { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(node) = sender {
            self.observes_at_once(Observation::OutputDelayed { node });
        }
        assert_eq!(self.violation, None, "the stage continued after a violation");
        self.violation = self.checks.observe(self.now, seen).err();
    }

    /// Passes an observation to the checks, at the time of the previous one.
    pub(crate) fn observes_at_once(&mut self, seen: Observation<'_>) {
        assert_eq!(self.violation, None, "the stage continued after a violation");
        self.violation = self.checks.observe(self.now, seen).err();
    }

    fn actor(&mut self, node: u64) -> &mut Actor {
        self.actors.get_mut(&NodeId(node)).expect("the node is in the world")
    }

    /// The node starts from its disk and takes an input.
    pub(crate) fn starts(&mut self, node: u64) {
        let (hard_state, committed, log) = self.actor(node).disk.clone();
        self.starts_from(node, hard_state, committed.0, &log);
        self.steps(node);
    }

    /// The node starts from these contents of its disk.
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

    /// The node starts from a disk with a snapshot and a log after it; its state machine is in the
    /// state of the snapshot.
    pub(crate) fn starts_with(
        &mut self,
        node: u64,
        hard_state: HardState,
        hint: u64,
        snapshot: SnapshotMeta,
        log: &[Entry],
    ) {
        self.starts_from_disk((hard_state, Index(hint), snapshot, false), node, log);
    }

    /// The node starts from a disk with this hard state, commit index, and snapshot before the log;
    /// it may be damaged.
    fn starts_from_disk(
        &mut self,
        (hard_state, hint, snapshot, damaged): (HardState, Index, SnapshotMeta, bool),
        node: u64,
        log: &[Entry],
    ) {
        let restored = Restored::with_log(hard_state, hint, snapshot.clone(), log.to_vec());
        let log = Log::new(&restored).expect("the forged log is well formed");
        let state = self.state_at(snapshot.last.index);
        let actor = self.actor(node);
        *actor = Actor::new(NodeId(node));
        actor.status.term = hard_state.term;
        actor.status.vote = hard_state.vote;
        actor.status.is_uncertain = hard_state.is_uncertain;
        actor.status.last = log.last();
        actor.status.durable = log.durable();
        actor.status.committed = log.committed();
        actor.status.applied = log.applied();
        actor.status.snapshot = log.snapshot().index;
        actor.status.base = log.base().index;
        actor.status.tail_bytes = bytes_in_memory(&restored.tail);
        actor.log = restored.tail.clone();
        let status = actor.status;
        let membership = snapshot.membership;
        let (node, membership, status, log) = (NodeId(node), &membership, &status, &log);
        let (quarantined, own_time) = (false, self.own_time());
        self.observes(Observation::Started {
            node,
            membership,
            status,
            log,
            state,
            damaged,
            quarantined,
            own_time,
        });
    }

    /// The state of a correct state machine after `index`, if a node has applied up to there.
    fn state_at(&self, index: Index) -> Option<Digest> {
        let mut machines = self.actors.values().map(|actor| &actor.machine);
        let found = machines.find(|machine| machine.applied().index == index);
        found.map_or(Machine::new(Player::default()).results(), Machine::results)
    }

    /// The node crashes and loses everything that is not on its disk.
    pub(crate) fn crashes(&mut self, node: u64) {
        self.observes(Observation::Crashed { node: NodeId(node) });
    }

    /// The node takes an input without a change of its status.
    pub(crate) fn steps(&mut self, node: u64) {
        self.changes_status(node, |_| {});
    }

    /// The last entry of the node's log.
    pub(crate) fn last_of(&mut self, node: u64) -> EntryId {
        self.actor(node).status.last
    }

    /// The node takes an input that changes its status.
    pub(crate) fn changes_status(&mut self, node: u64, change: impl FnOnce(&mut Status)) {
        let actor = self.actor(node);
        change(&mut actor.status);
        let status = actor.status;
        let memberships = actor.log.iter().filter_map(Entry::membership);
        let last = memberships.map(|(_, membership)| membership).next_back();
        let membership = &last.unwrap_or_else(|| self.first_of(node));
        let own_time = self.own_time();
        self.observes(Observation::Stepped {
            node: NodeId(node),
            own_time,
            status: &status,
            membership,
        });
    }

    /// The time of the next event, by every node's clock.
    fn own_time(&self) -> Instant {
        Instant(self.now.after(STEP).0)
    }

    /// The first membership on the node's disk; a replaced disk has none, and neither has a node
    /// that is not a member at first.
    fn first_of(&self, node: u64) -> Membership {
        let has_none = self.disks.contains_key(&node) || !self.membership.is_member(NodeId(node));
        if has_none { Membership::default() } else { self.membership.clone() }
    }

    /// The node takes an input, and uses this membership from then on.
    pub(crate) fn uses_membership(&mut self, node: u64, membership: &Membership) {
        let status = self.actor(node).status;
        let own_time = self.own_time();
        self.observes(Observation::Stepped {
            node: NodeId(node),
            own_time,
            status: &status,
            membership,
        });
    }

    /// The node reports a membership change as complete.
    pub(crate) fn completes(&mut self, node: u64, id: EntryId) {
        self.observes(Observation::MembershipChangeCommitted { node: NodeId(node), id });
    }

    /// The node submits a write to its disk.
    pub(crate) fn submits(&mut self, node: u64, hard_state: Option<HardState>, entries: &[Entry]) {
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let committed = actor.status.committed;
        let write = Write {
            id: actor.write,
            hard_state,
            committed,
            install: None,
            entries: entries.to_vec().into(),
        };
        replace(&mut actor.log, entries);
        actor.pending.push(write.clone());
        self.observes(Observation::Submitted { node: NodeId(node), write: &write });
    }

    /// The node submits a snapshot that replaces its log.
    pub(crate) fn installs(&mut self, node: u64, last: EntryId) {
        let meta = self.snapshot(last, 1);
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let (id, committed) = (actor.write, last.index);
        let (install, entries) = (Some(Box::new(meta)), Vec::new());
        let write = Write { id, hard_state: None, committed, install, entries: entries.into() };
        actor.log.clear();
        actor.pending.push(write.clone());
        self.observes(Observation::Submitted { node: NodeId(node), write: &write });
    }

    /// A snapshot that ends with `last` and has the root `root`.
    pub(crate) fn snapshot(&self, last: EntryId, root: u8) -> SnapshotMeta {
        SnapshotMeta {
            root: Root([root; 32]),
            ..SnapshotMeta::empty(last, self.membership.clone())
        }
    }

    /// The node's disk completes the next write.
    pub(crate) fn flushes(&mut self, node: u64) {
        let write = self.actor(node).pending.remove(0);
        self.flushed(node, &write);
    }

    /// The node's disk completes this write.
    pub(crate) fn flushed(&mut self, node: u64, write: &Write) {
        let disk = &mut self.actor(node).disk;
        disk.0 = write.hard_state.unwrap_or(disk.0);
        disk.1 = write.committed;
        replace(&mut disk.2, &write.entries);
        self.observes(Observation::Durable { node: NodeId(node), write });
    }

    /// Removes and returns the next pending write of the node's disk.
    pub(crate) fn pending(&mut self, node: u64) -> Write {
        self.actor(node).pending.remove(0)
    }

    /// The node appends the entries in memory and submits them to its disk.
    pub(crate) fn takes(&mut self, node: u64, entries: &[Entry]) {
        let last = entries.last().expect("the write has entries").id;
        let first = entries[0].id.index;
        let mut log = self.actor(node).log.clone();
        replace(&mut log, entries);
        self.changes_status(node, |status| {
            status.last = last;
            status.tail_bytes = bytes_in_memory(&log);
            status.durable = status.durable.min(first.previous());
        });
        self.submits(node, None, entries);
    }

    /// The node appends the entries in memory and on its disk.
    pub(crate) fn holds(&mut self, node: u64, entries: &[Entry]) {
        self.takes(node, entries);
        self.flushes(node);
        let last = entries.last().expect("the write has entries").id.index;
        self.changes_status(node, |status| status.durable = last);
    }

    /// Several nodes append the entries in memory and on their disks.
    pub(crate) fn all_hold(&mut self, nodes: &[u64], entries: &[Entry]) {
        nodes.iter().for_each(|node| self.holds(*node, entries));
    }

    /// The node advances its commit index.
    pub(crate) fn commits(&mut self, node: u64, index: u64) {
        self.changes_status(node, |status| status.committed = Index(index));
    }

    /// One node sends a message to another.
    pub(crate) fn sends(&mut self, from: u64, to: u64, term: u64, body: Body) {
        let message = self.message(from, to, term, body);
        self.observes(Observation::Sent { message: &message });
    }

    /// The node takes an input, and sends a message in the same step.
    pub(crate) fn sends_in_step(&mut self, from: u64, to: u64, term: u64, body: Body) {
        self.steps(from);
        self.sends_at_once(from, to, term, body);
    }

    /// The node sends a message in its last step.
    pub(crate) fn sends_at_once(&mut self, from: u64, to: u64, term: u64, body: Body) {
        let message = self.message(from, to, term, body);
        self.observes_at_once(Observation::Sent { message: &message });
    }

    fn message(&self, from: u64, to: u64, term: u64, body: Body) -> Message {
        let incarnation = self.disk_of(from);
        let (from, to, term) = (NodeId(from), NodeId(to), Term(term));
        Message { from, incarnation, to, term, body }
    }

    /// The node takes a message in its next step.
    pub(crate) fn receives(&mut self, node: u64, from: u64, term: u64, body: Body) {
        self.receives_for(node, node, from, term, body);
    }

    /// The node takes a message that is addressed to the node `to`.
    pub(crate) fn receives_for(&mut self, node: u64, to: u64, from: u64, term: u64, body: Body) {
        let message = self.message(from, to, term, body);
        self.observes(Observation::Delivered { node: NodeId(node), message: &message });
    }

    /// One node acknowledges another node's entries.
    pub(crate) fn acknowledges(&mut self, from: u64, to: u64, term: u64, matched: u64) {
        let outcome = AppendOutcome::Accepted { matched: Index(matched) };
        self.sends(from, to, term, Body::AppendEntriesReply(outcome));
    }

    /// A leader counts a peer's log as matched up to `matched`.
    pub(crate) fn counts_as_matched(&mut self, node: u64, peer: u64, matched: u64) {
        let (node, peer, matched) = (NodeId(node), NodeId(peer), Index(matched));
        self.observes(Observation::PeerMatched { node, peer, matched });
    }

    /// The stabilization phase begins with these nodes as its core.
    pub(crate) fn stabilizes(&mut self, core: &[u64]) {
        let core: Vec<NodeId> = core.iter().copied().map(NodeId).collect();
        self.observes(Observation::Stabilized { core: &core });
    }

    /// The cluster becomes idle.
    pub(crate) fn idles(&mut self) {
        self.observes(Observation::Idle);
    }

    /// The whole run ends.
    pub(crate) fn ends(&mut self) {
        self.observes(Observation::Ended);
    }
}
