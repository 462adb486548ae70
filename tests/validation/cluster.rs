//! Three complete nodes, a network that delivers at once, and state machines with injected errors.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate::machine::{FrozenView, Outcome, Proposer, Request, StateMachine};
use quorate::raft::{Config, RejectReason, RoleName};
use quorate::replica::{
    ComparisonResult, Input, Node, Output, Replica, ReplicaConfig, StateVerification, Work, Worker,
};
use quorate::storage::{ClusterId, Completion, Disk, FileName, Identity, StorageError};
use quorate::types::{
    Acknowledge, Incarnation, Index, Instant, MachineRejectReason, MachineVersion, Membership,
    NodeId, Packet, ReadLevel, Tag,
};
use quorate_sim::disk::SimDisk;

const CLUSTER: ClusterId = ClusterId(7);

/// A state machine with a sum of command lengths, and a hidden count of commands that no reply
/// shows. With the next command, one of `errors` is added to the sum and one to the count. From
/// version 1 on, a command counts ten times its length.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    sum: u64,
    hidden: u64,
    /// The index of the last command.
    applied: Index,
    /// Whether the state counts as durable.
    is_durable: bool,
    version: u32,
    version_max: u32,
    errors: Errors,
}

/// The errors to add to the sum and to the hidden count.
type Errors = Arc<[AtomicU64; 2]>;

impl StateMachine for Tally {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.applied = index;
        let [error, hidden_error] = &*self.errors;
        let each = if self.version == 0 { 1 } else { 10 };
        self.sum += each * command.len() as u64 + error.swap(0, Ordering::Relaxed);
        self.hidden += 1 + hidden_error.swap(0, Ordering::Relaxed);
        self.sum.to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.sum.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let numbers = [self.sum, self.hidden, self.applied.0];
        Box::new(io::Cursor::new(numbers.map(u64::to_le_bytes).concat()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        for number in [&mut self.sum, &mut self.hidden, &mut self.applied.0] {
            let mut bytes = [0; 8];
            snapshot.read_exact(&mut bytes)?;
            *number = u64::from_le_bytes(bytes);
        }
        Ok(())
    }

    fn version_max(&self) -> u32 {
        self.version_max
    }

    fn set_version(&mut self, index: Index, version: u32) {
        (self.applied, self.version) = (index, version);
    }

    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.version = version;
        self.restore(snapshot)
    }

    fn applied(&self) -> Option<Index> {
        self.is_durable.then_some(self.applied)
    }
}

/// An output for users and operators.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Reply(u64),
    /// The reply to a raise of the version.
    Raised,
    Refused(MachineRejectReason),
    BuildTooOld {
        required: u32,
        max: u32,
    },
    Answer(u64),
    Rejected(RejectReason),
    Unknown,
    StateCompared(ComparisonResult),
    Stopped(StorageError),
}

struct Host {
    disk: SimDisk,
    /// The running node; `None` while it is down.
    running: Option<Running>,
    errors: Errors,
    starts: u64,
    /// The highest version of the node's build at its next start.
    version_max: u32,
    /// The work for a paused worker; `None` if the worker is not paused.
    pending_work: Option<Vec<Work>>,
}

struct Running {
    node: Node,
    worker: Worker<Tally>,
    view: Option<FrozenView>,
}

pub(crate) struct Cluster {
    hosts: Vec<Host>,
    now: Instant,
    in_flight: VecDeque<Packet>,
    /// The comparison messages that a partition dropped.
    late: Vec<Packet>,
    /// The nodes that are partitioned from all others.
    partitioned: Vec<u64>,
    tags: u64,
    pub(crate) events: Vec<(u64, Event)>,
    configure: fn(&mut ReplicaConfig),
    /// Whether the states of the state machines count as durable.
    is_durable: bool,
}

impl Cluster {
    /// Starts three voters, of which node 1 leads.
    pub(crate) fn new(configure: fn(&mut ReplicaConfig)) -> Cluster {
        Cluster::with_states(false, configure)
    }

    /// Starts three voters, of which node 1 leads, whose states count as durable or not.
    pub(crate) fn with_states(is_durable: bool, configure: fn(&mut ReplicaConfig)) -> Cluster {
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let mut cluster = Cluster {
            hosts: Vec::new(),
            now: Instant(1),
            in_flight: VecDeque::new(),
            late: Vec::new(),
            partitioned: Vec::new(),
            tags: 0,
            events: Vec::new(),
            configure,
            is_durable,
        };
        for id in 1..=3 {
            let mut disk = SimDisk::default();
            let incarnation = Incarnation(u128::from(id));
            let identity = Identity { cluster: CLUSTER, node: NodeId(id), incarnation };
            let config = cluster.config(id);
            Replica::<Tally>::create(&mut disk, identity, &membership, &config)
                .expect("it is empty");
            let errors = Errors::default();
            let version_max = 0;
            cluster.hosts.push(Host {
                disk,
                running: None,
                errors,
                starts: 0,
                version_max,
                pending_work: None,
            });
            cluster.start(id);
        }
        cluster.input(1, Input::Campaign);
        assert_eq!(cluster.leader(), Some(1));
        cluster
    }

    fn config(&self, id: u64) -> ReplicaConfig {
        let mut config = ReplicaConfig::new(Config::new(NodeId(id)));
        config.validation_entries = 8;
        (self.configure)(&mut config);
        config
    }

    fn host(&mut self, id: u64) -> &mut Host {
        &mut self.hosts[id as usize - 1]
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        &self.hosts[id as usize - 1].running.as_ref().expect("the node runs").node
    }

    fn tally(&self, id: u64) -> &Tally {
        self.hosts[id as usize - 1].running.as_ref().expect("the node runs").worker.machine().user()
    }

    pub(crate) fn sum(&self, id: u64) -> u64 {
        self.tally(id).sum
    }

    pub(crate) fn hidden(&self, id: u64) -> u64 {
        self.tally(id).hidden
    }

    pub(crate) fn verification(&self, id: u64) -> StateVerification {
        self.node(id).verification()
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = |id: &u64| {
            let running = self.hosts[*id as usize - 1].running.as_ref();
            running.is_some_and(|running| running.node.status().role == RoleName::Leader)
        };
        (1..=3).filter(|id| !self.partitioned.contains(id)).find(leads)
    }

    pub(crate) fn start(&mut self, id: u64) {
        let (config, now, is_durable) = (self.config(id), self.now, self.is_durable);
        let host = self.host(id);
        host.starts += 1;
        let (errors, version_max) = (host.errors.clone(), host.version_max);
        let machine = Tally { errors, version_max, is_durable, ..Tally::default() };
        let seed = id << 32 | host.starts;
        let replica = Replica::open(&mut host.disk, CLUSTER, machine, config, seed, now);
        let Replica { node, worker } = replica.expect("its disk is intact");
        assert_eq!(node.usage(), worker.machine().usage(), "the memory of the restored state");
        host.running = Some(Running { node, worker, view: None });
        let mut outputs = Vec::new();
        self.host(id).running.as_mut().expect("the node runs").node.start(&mut outputs);
        self.execute_all(id, outputs);
        self.deliver();
    }

    /// Restarts the node with a build that has the rules up to this version.
    pub(crate) fn install(&mut self, id: u64, version_max: u32) {
        self.crash(id);
        self.host(id).version_max = version_max;
        self.start(id);
    }

    /// Raises the version at the leader, and returns the immediate outcome.
    pub(crate) fn raise(&mut self, user: u32) -> Option<Event> {
        let version = MachineVersion { user, ..MachineVersion::FIRST };
        let command = Request::RaiseVersion(version).encode_for(Proposer::Unnamed);
        let (tag, before) = (self.tag(), self.events.len());
        let leader = self.leader().expect("there is a leader");
        self.input(leader, Input::propose(tag, Acknowledge::Default, command));
        let mut events = self.events[before..].iter().filter(|(by, _)| *by == leader);
        events.next().map(|(_, event)| event.clone())
    }

    /// Flips a bit in every snapshot file of the node, and returns the number of files.
    pub(crate) fn damage_snapshots(&mut self, id: u64) -> usize {
        let disk = &mut self.host(id).disk;
        let files = disk.list().expect("a simulated disk lists its files");
        let snapshots = files.iter().filter(|(file, _)| matches!(file, FileName::Snapshot(_)));
        snapshots.filter(|(file, _)| disk.flip_bits(*file, 64, 1)).count()
    }

    pub(crate) fn crash(&mut self, id: u64) {
        self.host(id).running = None;
    }

    /// Partitions the node from all others.
    pub(crate) fn partition(&mut self, id: u64) {
        self.partitioned.push(id);
    }

    pub(crate) fn heal(&mut self) {
        self.partitioned.clear();
    }

    /// Adds an error to the sum of the node's state machine with the next command.
    pub(crate) fn inject_error(&mut self, id: u64, by: u64) {
        self.host(id).errors[0].store(by, Ordering::Relaxed);
    }

    /// Corrupts the hidden count of the node's state machine with the next command.
    pub(crate) fn corrupt(&mut self, id: u64) {
        self.host(id).errors[1].store(1000, Ordering::Relaxed);
    }

    /// Pauses the node's worker.
    pub(crate) fn pause_worker(&mut self, id: u64) {
        self.host(id).pending_work = Some(Vec::new());
    }

    /// Returns the pending work of a paused worker.
    pub(crate) fn pending_work(&self, id: u64) -> &[Work] {
        self.hosts[id as usize - 1].pending_work.as_deref().unwrap_or_default()
    }

    /// Resumes the worker, which executes its pending work.
    pub(crate) fn resume_worker(&mut self, id: u64) {
        let work = self.host(id).pending_work.take().unwrap_or_default();
        self.execute_all(id, work.into_iter().map(Output::Work).collect());
        self.deliver();
    }

    /// Delivers the dropped comparison messages from this node.
    pub(crate) fn deliver_late(&mut self, from: u64) {
        let late = std::mem::take(&mut self.late);
        self.in_flight.extend(late.into_iter().filter(|packet| packet.from().0 == from));
        self.deliver();
    }

    /// Proposes a command of one byte at the leader.
    pub(crate) fn propose(&mut self) {
        let leader = self.leader().expect("there is a leader");
        self.propose_at(leader);
    }

    pub(crate) fn propose_at(&mut self, id: u64) {
        let command = Request::Plain(b"x").encode_for(Proposer::Unnamed);
        let tag = self.tag();
        self.input(id, Input::propose(tag, Acknowledge::Default, command));
    }

    /// Reads the sum at the node, and returns the immediate outcome.
    pub(crate) fn read(&mut self, id: u64) -> Option<Event> {
        let (tag, before) = (self.tag(), self.events.len());
        self.input(id, Input::Read { tag, level: ReadLevel::Linearizable, query: Vec::new() });
        let mut events = self.events[before..].iter().filter(|(by, _)| *by == id);
        events
            .find(|(_, event)| matches!(event, Event::Answer(_) | Event::Rejected(_)))
            .map(|(_, event)| event.clone())
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    /// Advances the time; each node gets its timeouts.
    pub(crate) fn advance(&mut self, span: Duration) {
        let until = self.now.after(span);
        loop {
            let deadline = |host: &Host| {
                host.running.as_ref().map_or(Instant::NEVER, |running| running.node.deadline())
            };
            let next = self.hosts.iter().map(deadline).min().unwrap_or(Instant::NEVER);
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            for id in 1..=3 {
                let host = &self.hosts[id as usize - 1];
                if deadline(host) <= self.now {
                    self.input(id, Input::Timeout);
                }
            }
        }
        self.now = until;
    }

    pub(crate) fn input(&mut self, id: u64, input: Input) {
        self.step(id, input);
        self.deliver();
    }

    /// Returns the results of the node's comparisons since the start of the test.
    pub(crate) fn results(&self, id: u64) -> Vec<ComparisonResult> {
        let of = self.events.iter().filter(|(by, _)| *by == id);
        of.filter_map(|(_, event)| match event {
            Event::StateCompared(result) => Some(*result),
            _ => None,
        })
        .collect()
    }

    fn step(&mut self, id: u64, input: Input) {
        let now = self.now;
        let Some(running) = &mut self.host(id).running else { return };
        let mut outputs = Vec::new();
        running.node.step(now, input, &mut outputs);
        running.node.assert_invariants();
        self.execute_all(id, outputs);
    }

    fn deliver(&mut self) {
        while let Some(packet) = self.in_flight.pop_front() {
            let (from, to) = (packet.from().0, packet.to().0);
            if !self.partitioned.contains(&from) && !self.partitioned.contains(&to) {
                self.step(to, Input::Packet(packet));
            } else if matches!(packet, Packet::Comparison(_)) {
                self.late.push(packet);
            }
        }
    }

    fn execute_all(&mut self, id: u64, outputs: Vec<Output>) {
        for output in outputs {
            let input = self.execute(id, output);
            if let Some(input) = input {
                self.step(id, input);
            }
        }
    }

    fn execute(&mut self, id: u64, output: Output) -> Option<Input> {
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let host = &mut self.hosts[id as usize - 1];
        let running = host.running.as_mut()?;
        let event = match output {
            Output::Send(packet) => {
                self.in_flight.push_back(packet);
                return None;
            }
            Output::Disk(operation) => {
                let result = host.disk.execute(&operation.action);
                return Some(Input::Disk(Completion { id: operation.id, result }));
            }
            Output::Work(work) if host.pending_work.is_some() => {
                host.pending_work.get_or_insert_default().push(work);
                return None;
            }
            Output::Work(work) => {
                let done = running.worker.execute(work, &mut host.disk);
                return Some(Input::WorkDone(done));
            }
            Output::FreezeView => {
                running.view = running.worker.freeze();
                let last = running.view.as_ref().map(FrozenView::last);
                return Some(last.map_or(Input::ViewFailed, Input::ViewFrozen));
            }
            Output::ReadView { bytes } => {
                let mut piece = Vec::new();
                let view = running.view.as_mut().expect("it was frozen");
                view.take(bytes as u64).read_to_end(&mut piece).expect("it is in memory");
                return Some(Input::ViewRead(piece));
            }
            Output::DropView => {
                running.view = None;
                return None;
            }
            Output::Replied { outcome: Outcome::Reply(reply), .. } => match reply.is_empty() {
                true => Event::Raised,
                false => Event::Reply(number(&reply)),
            },
            Output::Replied { outcome: Outcome::Rejected(reason), .. } => Event::Refused(reason),
            Output::BuildTooOld { required, max } => {
                Event::BuildTooOld { required: required.user, max: max.user }
            }
            Output::Answered { answer, .. } => Event::Answer(number(&answer)),
            Output::Rejected { reason, .. } => Event::Rejected(reason),
            Output::Unknown { .. } => Event::Unknown,
            Output::StateCompared(result) => Event::StateCompared(result),
            Output::Stopped(failure) => {
                host.running = None;
                Event::Stopped(failure)
            }
            _ => return None,
        };
        self.events.push((id, event));
        None
    }
}
