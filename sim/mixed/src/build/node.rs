//! A complete node of this build as a guest: its algorithm, its storage, its sessions and its wire
//! format.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::time::Duration;

use quorate_guests::disk::{Bytes, Disk, Entry, Snapshot, Write};
use quorate_guests::guest::{
    Effects, Execution, Guest, Member, NodeId, ReadReply, Statement, Status,
};

use super::disk::{Change, Files};
use super::machine::{Executed, Registers};
use super::quorate::machine::{
    Nonce, Outcome, Proposer, Request, Sequence, SessionId, SessionLimits,
};
use super::quorate::raft::{self, Action, Config, RoleName};
use super::quorate::replica::{
    ComparisonResult, Input, Node, Note, NoteFilter, Output, Replica, ReplicaConfig, Work,
    WorkResult, Worker,
};
use super::quorate::storage::{ClusterId, Completion, Disk as _, Identity, Storage, StorageConfig};
use super::quorate::types::{
    self, Acknowledge, AppendOutcome, Body, Command, Incarnation, Index, Instant, Membership,
    Packet, Payload, Proposal, ReadLevel, SessionBounds, Tag,
};
use super::quorate::wire::{self, ExpectedPeer, Hello, HelloError, Versions};
use crate::frame::Frame;
use crate::mixed::BUILD;
use crate::requests::{Planned, Requests, SESSIONS_MAX, WINDOW};

/// The time between two ticks of a node's clock.
const TICK: Duration = Duration::from_millis(10);
const CLUSTER: u128 = 0x6d69_7865_6400;
/// The bytes of entries in memory: so few that nodes read entries from their disks, which either
/// build may have written.
const TAIL_BYTES_MAX: usize = 2_000;
/// A node with more pending requests than this declines further ones, as a server does.
const REQUESTS_MAX: usize = 64;
/// Tags from here on are those of proposals, and all others the numbers of reads.
const FIRST_PROPOSAL: u64 = 1 << 40;

/// A node of this build.
pub struct Quorate {
    member: Member,
    node: Node,
    worker: Worker<Registers>,
    files: Files,
    executed: Executed,
    /// The rest of the frozen view of the state machine.
    view: VecDeque<u8>,
    ticks: u64,
    proposals: u64,
    requests: Requests,
    /// The writes that the algorithm has submitted, and that are not durable yet.
    submitted: VecDeque<types::Write>,
    /// The outputs that are not carried out yet.
    outputs: VecDeque<Output>,
    effects: Effects<Frame>,
    /// The last hello of each peer that this node accepted.
    accepted: BTreeMap<NodeId, Bytes>,
}

impl Guest for Quorate {
    type Message = Frame;

    fn start(member: &Member, disk: &Disk) -> Quorate {
        let config = config(member);
        let (mut files, mut effects) = (Files::new(&disk.files), Effects::default());
        effects.write(Write::Record(BUILD, vec![member.build as u8]));
        if disk.files.is_empty() {
            effects.write(format_disk(&mut files, member, &config));
            effects.sync();
        }
        let registers = Registers::default();
        let executed = Executed::clone(&registers.executed);
        let cluster = ClusterId(CLUSTER);
        let opened =
            Replica::open(&mut files, cluster, registers, config, member.seed, Instant::ZERO);
        let Replica { mut node, worker } = opened.unwrap_or_else(|error| {
            panic!("{} of build {} cannot open its disk: {error}", member.id, member.build)
        });
        node.record_notes(Some(NoteFilter {
            inputs: |input| matches!(input, raft::Input::Persisted(_)),
            actions: |action| matches!(action, Action::Persist(_)),
        }));
        let mut guest = Quorate {
            member: member.clone(),
            node,
            worker,
            files,
            executed,
            view: VecDeque::new(),
            ticks: 0,
            proposals: 0,
            requests: Requests::default(),
            submitted: VecDeque::new(),
            outputs: VecDeque::new(),
            effects,
            accepted: BTreeMap::new(),
        };
        guest.begin(disk);
        guest
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if self.node.deadline() <= self.now() {
            self.step(Input::Timeout);
        }
    }

    fn receive(&mut self, from: NodeId, frame: Frame) {
        if self.accepts(from, &frame.hello) {
            let packet = wire::decode(&frame.bytes);
            let packet = packet.unwrap_or_else(|error| {
                panic!("{} cannot read a {} of {from}: {error}", self.name(), frame.name)
            });
            self.step(Input::Packet(packet));
        }
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        if !self.status().leads || self.node.requests_pending() > REQUESTS_MAX {
            return false;
        }
        let planned = self.requests.next();
        let mut proposals = Vec::new();
        for request in planned {
            self.proposals += 1;
            let tag = Tag(FIRST_PROPOSAL + self.proposals);
            let command = self.encode(request, command);
            proposals.push(Proposal { tag, acknowledge: Acknowledge::Quorum, command });
        }
        self.step(Input::Propose(proposals));
        true
    }

    /// Carries out the outputs of all inputs since the last call, so that their writes share
    /// flushes.
    fn take_effects(&mut self, effects: &mut Effects<Frame>) {
        self.carry_out_all();
        effects.0.append(&mut self.effects.0);
    }

    fn status(&self) -> Status {
        let status = self.node.status();
        Status { term: status.term.0, leads: status.role == RoleName::Leader }
    }

    fn read(&mut self, read: u64) -> ReadReply {
        let (tag, level) = (Tag(read), ReadLevel::Linearizable);
        self.step(Input::Read { tag, level, query: Vec::new() });
        ReadReply::Accepted
    }

    fn compact(&mut self, _: Snapshot) {
        self.step(Input::TakeSnapshot);
    }

    fn statement(_: NodeId, _: NodeId, frame: &Frame) -> Statement {
        frame.statement
    }
}

impl Quorate {
    fn name(&self) -> String {
        format!("{} of build {}", self.member.id, self.member.build)
    }

    fn now(&self) -> Instant {
        Instant::ZERO.after(TICK * self.ticks as u32)
    }

    /// Reports the writes of the start, and the term, vote, log and state that it found, and takes
    /// the first step.
    fn begin(&mut self, disk: &Disk) {
        self.take_changes();
        let status = self.node.status();
        let vote = status.vote.map(|node| NodeId(node.0));
        if (disk.term, disk.vote) != (status.term.0, vote) {
            self.effects.write(Write::Term(status.term.0, vote));
        }
        let found = self.found(disk);
        found.into_iter().for_each(|write| self.effects.write(write));
        self.effects.sync();
        if status.applied > Index::ZERO {
            let term = self.node.raft().log().term_at(status.applied);
            let term = term.expect("the log begins at or before the snapshot's last entry");
            self.restored(status.applied.0, term.0);
        }
        let mut outputs = Vec::new();
        self.node.start(&mut outputs);
        self.end_step(outputs);
    }

    /// Returns the writes after which the cluster's log of this node is the one found in the files:
    /// a crash may fall between a write of the files and its report.
    fn found(&self, disk: &Disk) -> Vec<Write> {
        let mut writes = Vec::new();
        let log = self.node.raft().log();
        let (base, last) = (log.base(), log.last().index.0);
        if disk.last() < base.index.0 {
            let (index, term, state) = (base.index.0, base.term.0, Bytes::from([]));
            writes.push(Write::Install(Snapshot { index, term, state }));
        }
        let entries = self.recovered().into_iter().map(|it| (it.id.index.0, entry_of(&it)));
        let is_known = |(index, entry): &(u64, Entry)| disk.holds(*index, entry);
        let new: Vec<(u64, Entry)> = entries.skip_while(is_known).collect();
        match new.first() {
            Some((first, _)) => {
                let after = first - 1;
                let entries = new.into_iter().map(|(_, entry)| entry).collect();
                writes.push(Write::Append(after, entries));
            }
            None if last < disk.last() => writes.push(Write::Append(last, Vec::new())),
            None => {}
        }
        writes
    }

    /// Reads the entries of the log from the files: the node keeps only the last ones in memory.
    fn recovered(&self) -> Vec<types::Entry> {
        let (id, config) = (types::NodeId(self.member.id.0), config(&self.member));
        let mut files = self.files.clone();
        let opened = Storage::open(&mut files, ClusterId(CLUSTER), id, &config.storage);
        opened.expect("the node has just started on this disk").1.tail
    }

    fn restored(&mut self, index: u64, term: u64) {
        let state = self.worker.machine().user().machine.encode();
        self.effects.restore(Snapshot { index, term, state });
    }

    fn carry_out_all(&mut self) {
        while let Some(output) = self.outputs.pop_front() {
            self.carry_out(output);
        }
    }

    fn step(&mut self, input: Input) {
        let mut outputs = Vec::new();
        self.node.step(self.now(), input, &mut outputs);
        self.end_step(outputs);
    }

    /// Reports the writes that the step has confirmed as durable, and keeps its outputs for later.
    fn end_step(&mut self, outputs: Vec<Output>) {
        self.outputs.extend(outputs);
        let mut notes = Vec::new();
        self.node.take_notes(&mut notes);
        for note in notes {
            match note {
                Note::RaftAction(Action::Persist(write)) => self.submitted.push_back(write),
                Note::RaftInput(raft::Input::Persisted(last)) => {
                    while let Some(write) = self.submitted.pop_front_if(|write| write.id <= last) {
                        self.persisted(write);
                    }
                }
                _ => {}
            }
        }
    }

    fn persisted(&mut self, write: types::Write) {
        let count = self.effects.0.len();
        if let Some(hard_state) = write.hard_state {
            let vote = hard_state.vote.map(|node| NodeId(node.0));
            self.effects.write(Write::Term(hard_state.term.0, vote));
        }
        if let Some(meta) = write.install {
            let (index, term, state) = (meta.last.index.0, meta.last.term.0, Bytes::from([]));
            self.effects.write(Write::Install(Snapshot { index, term, state }));
        }
        if let Some(first) = write.entries.first() {
            let entries = write.entries.iter().map(entry_of).collect();
            self.effects.write(Write::Append(first.id.index.0 - 1, entries));
        }
        if self.effects.0.len() > count {
            self.effects.sync();
        }
    }

    fn take_changes(&mut self) {
        for change in self.files.changes.drain(..) {
            match change {
                Change::File(name, change) => self.effects.write(Write::File(name, change)),
                Change::Sync => self.effects.sync(),
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(packet) => self.send(&packet),
            Output::Disk(operation) => {
                let result = self.files.execute(&operation.action);
                let syncs = matches!(self.files.changes.last(), Some(Change::Sync));
                if !syncs {
                    self.take_changes();
                }
                // The sync comes after the writes that the node then regards as durable.
                self.step(Input::Disk(Completion { id: operation.id, result }));
                self.take_changes();
            }
            Output::Work(work) => self.work(work),
            Output::FreezeView => {
                let input = match self.worker.freeze() {
                    Some(mut frozen) => {
                        let mut bytes = Vec::new();
                        frozen.read_to_end(&mut bytes).expect("a view in memory can be read");
                        self.view = bytes.into();
                        Input::ViewFrozen(frozen.last())
                    }
                    None => Input::ViewFailed,
                };
                self.step(input);
            }
            Output::ReadView { bytes } => {
                let count = bytes.min(self.view.len());
                let bytes = self.view.drain(..count).collect();
                self.step(Input::ViewRead(bytes));
            }
            Output::Replied { outcome: Outcome::Registered(session), .. } => {
                self.requests.registered(session.0.0);
            }
            Output::Answered { tag, .. } => self.effects.answer(tag.0),
            output => self.report(&output),
        }
    }

    /// Panics if the output is an alarm: no node finds damage or another state in these clusters.
    fn report(&self, output: &Output) {
        let is_alarm = matches!(
            output,
            Output::Stopped(_)
                | Output::UnknownIncarnation { .. }
                | Output::DivergedLog { .. }
                | Output::RolledBackDisk { .. }
                | Output::DamagedHeaders(_)
                | Output::DamagedSuperblock(_)
                | Output::LogUncertain { .. }
                | Output::StartedUncertain(_)
                | Output::LogTrimmed(_)
                | Output::SnapshotDamaged(_)
                | Output::StartedQuarantined
                | Output::KeptSnapshotDamaged(_)
                | Output::StateCompared(
                    ComparisonResult::Diverged { .. } | ComparisonResult::NoMajority { .. },
                )
        );
        assert!(!is_alarm, "{} reports {output:?}", self.name());
    }

    fn work(&mut self, work: Work) {
        let applied = match &work {
            Work::Apply(entries) => entries.to_vec(),
            _ => Vec::new(),
        };
        let restored = match &work {
            Work::Restore(meta) | Work::Rebuild(meta) => Some(meta.last.term.0),
            _ => None,
        };
        let done = self.worker.execute(work, &mut self.files);
        match &done {
            WorkResult::Applied { last, outcomes, .. } => {
                let outcomes: BTreeMap<Index, &Outcome> =
                    outcomes.iter().map(|(index, outcome)| (*index, outcome)).collect();
                let executed: BTreeMap<u64, Bytes> = self.executed.take().into_iter().collect();
                // The node passes the rest of a batch to the worker again.
                for entry in applied.into_iter().filter(|entry| entry.id.index <= *last) {
                    let index = entry.id.index;
                    let none = || Bytes::from([]);
                    let command = executed.get(&index.0).cloned().unwrap_or_else(none);
                    let outcome = outcomes.get(&index).map_or_else(none, |it| outcome_bytes(it));
                    let execution = Execution { command, outcome };
                    self.effects.execute(index.0, entry_of(&entry), execution);
                }
            }
            WorkResult::Restored { last, .. } => {
                let term = restored.expect("only a restoration restores");
                self.restored(last.0, term);
            }
            WorkResult::TooOld { required } => {
                panic!("{} lacks the rules {required:?}", self.name())
            }
            WorkResult::Failed(error) => panic!("{} cannot restore: {error}", self.name()),
            WorkResult::Answered { .. } => {}
        }
        self.step(Input::WorkDone(done));
    }

    fn send(&mut self, packet: &Packet) {
        let to = packet.to();
        let from = types::NodeId(self.member.id.0);
        let hello = super::hello(CLUSTER, from, to, incarnation(self.member.id));
        let (mut greeting, mut bytes) = (Vec::new(), Vec::new());
        hello.encode(&mut greeting);
        wire::encode(packet, &mut bytes).expect("a node's packets are within their bounds");
        let (name, statement) = statement_of(packet);
        let frame = Frame { name, hello: greeting.into(), bytes: bytes.into(), statement };
        self.effects.send(NodeId(to.0), frame);
    }

    /// Returns whether a connection that begins with this hello is accepted.
    fn accepts(&mut self, from: NodeId, hello: &Bytes) -> bool {
        if self.accepted.get(&from) == Some(hello) {
            return true;
        }
        let read = Hello::decode(hello);
        let read = read.unwrap_or_else(|error| {
            panic!("{} cannot read the hello of {from}: {error}", self.name())
        });
        let expected = ExpectedPeer {
            cluster: CLUSTER,
            origin: None,
            local: types::NodeId(self.member.id.0),
            peer: Some(types::NodeId(from.0)),
            incarnation: Some(incarnation(from)),
        };
        match read.check(&expected) {
            Ok(_) => {
                self.accepted.insert(from, Bytes::clone(hello));
                true
            }
            // The connection is rejected as long as the two nodes run builds without a common
            // version of the protocol.
            Err(HelloError::Version { .. }) => false,
            Err(error) => panic!("{} rejects {from}: {error}", self.name()),
        }
    }

    fn encode(&self, planned: Planned, command: &[u8]) -> Command {
        let request = match planned {
            Planned::Bounds => Request::SetBounds(SessionBounds {
                sessions_max: SESSIONS_MAX,
                sessions_per_principal_max: SESSIONS_MAX,
                ..SessionBounds::DEFAULT
            }),
            Planned::Register(number) => Request::Register {
                nonce: Nonce(u128::from(self.member.seed) << 64 | u128::from(number)),
                limits: SessionLimits { window: WINDOW, replies_bytes_max: 100 },
            },
            Planned::Plain => Request::Plain(command),
            Planned::InSession(session, sequence, acknowledged) => Request::InSession {
                session: SessionId(Index(session)),
                sequence: Sequence(sequence),
                acknowledged: Sequence(acknowledged),
                command,
            },
            Planned::Misplaced(session, sequence) => Request::InSession {
                session: SessionId(Index(session)),
                sequence: Sequence(sequence),
                acknowledged: Sequence(1),
                command: &[],
            },
        };
        request.encode_for(Proposer::Unnamed)
    }
}

/// Formats the disk of a node before its first start. An operator does so, therefore no crash
/// leaves a part of it.
fn format_disk(files: &mut Files, member: &Member, config: &ReplicaConfig) -> Write {
    let (cluster, node) = (ClusterId(CLUSTER), types::NodeId(member.id.0));
    let identity = Identity { cluster, node, incarnation: Incarnation(incarnation(member.id)) };
    let voters = Membership::new(member.nodes.iter().map(|node| types::NodeId(node.0)));
    let created = Replica::<Registers>::create(files, identity, &voters, config);
    created.unwrap_or_else(|error| panic!("{} cannot format its disk: {error}", member.id));
    let writes = files.changes.drain(..).filter_map(|change| match change {
        Change::File(name, change) => Some(Write::File(name, change)),
        Change::Sync => None,
    });
    Write::All(writes.collect())
}

/// The incarnation of a node's disk, which is formatted once.
fn incarnation(node: NodeId) -> u128 {
    u128::from(node.0) + 100
}

fn config(member: &Member) -> ReplicaConfig {
    let least = TICK * member.election_ticks.0.max(member.heartbeat_ticks * 3);
    let most = TICK * member.election_ticks.1;
    let mut raft = Config::new(types::NodeId(member.id.0));
    raft.heartbeat_interval = TICK * member.heartbeat_ticks;
    raft.election_timeout_min = least;
    raft.election_timeout_max = most.max(least * 2);
    raft.pre_vote = member.pre_vote;
    raft.check_quorum = member.check_quorum;
    raft.stickiness = member.check_quorum;
    // The cluster's own check of committed entries knows majorities alone.
    raft.casting_vote = false;
    raft.command_bytes_max = 4 << 10;
    raft.message_entries_max = 16;
    raft.tail_bytes_max = TAIL_BYTES_MAX;
    let mut config = ReplicaConfig::new(raft);
    config.storage = StorageConfig {
        segment_bytes: 64 << 10,
        spare_segments: 1,
        command_bytes_max: (4 << 10).max(Membership::BYTES_MAX),
        flush_bytes_max: 16 << 10,
        read_bytes_max: 64 << 10,
        ..StorageConfig::default()
    };
    config.storage.snapshots.chunk_bytes = 512;
    config.trailing_entries = 5;
    config.part_timeout = most;
    config.validation_entries = 16;
    config.validation_period = most * 4;
    config.validation_timeout = most;
    config.validate_states = true;
    config
}

fn entry_of(entry: &types::Entry) -> Entry {
    let command = match &entry.payload {
        Payload::Noop => Bytes::from([]),
        Payload::Command(command) => Bytes::from(&command[..]),
        Payload::Membership(membership) => Bytes::from(membership.encode()),
    };
    Entry { term: entry.id.term.0, command }
}

fn outcome_bytes(outcome: &Outcome) -> Bytes {
    match outcome {
        Outcome::Reply(reply) => Bytes::from([&b"reply "[..], reply].concat()),
        other => Bytes::from(format!("{other:?}").into_bytes()),
    }
}

/// Returns the name of a packet, and its statement about its sender's disk.
fn statement_of(packet: &Packet) -> (&'static str, Statement) {
    let message = match packet {
        Packet::Message(message) | Packet::Chained(message, _) => message,
        Packet::SnapshotTransfer(_) => return ("snapshot transfer", Statement::default()),
        Packet::Comparison(_) => return ("comparison", Statement::default()),
    };
    let term = Some(message.term.0);
    let (from, to) = (NodeId(message.from.0), NodeId(message.to.0));
    let statement = match &message.body {
        Body::RequestVote { .. } => Statement { term, vote: Some(from), log: None },
        Body::RequestVoteReply { granted: true, .. } => {
            Statement { term, vote: Some(to), log: None }
        }
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched, .. }) => {
            Statement { term, vote: None, log: Some(matched.0) }
        }
        _ => Statement { term, ..Statement::default() },
    };
    (message.body.name(), statement)
}
