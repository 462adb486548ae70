//! Three complete nodes on simulated disks. Messages and disk operations take no time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use quorate::machine::{FrozenView, Outcome, Proposer, Request, StateMachine};
use quorate::raft::{Config, RoleName};
use quorate::replica::{Input, Output, Replica, ReplicaConfig, StateVerification};
use quorate::storage::{ClusterId, Completion, Disk, Identity};
use quorate::types::{
    Acknowledge, Freshness, Incarnation, Index, Instant, Membership, NodeId, ReadLevel, Tag,
};
use quorate_sim::disk::{SectorDamage, SimDisk};

use super::places::Sector;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xa7);
pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The period in which a node reads its disk again.
pub(crate) const SCRUB_PERIOD: Duration = Duration::from_secs(5);

/// A state machine that lists the commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(String);

impl StateMachine for Lines {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0.push_str(&String::from_utf8_lossy(command));
        self.0.push('\n');
        Vec::new()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.clone()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        snapshot.read_to_string(&mut self.0).map(drop)
    }
}

/// A node that runs, or its disk.
struct Host {
    disk: SimDisk,
    running: Option<Replica<Lines>>,
    view: Option<FrozenView>,
    /// The error because of which the node does not run.
    error: Option<String>,
}

/// Three nodes, and the inputs that wait for them.
pub(crate) struct Cluster {
    hosts: Vec<Host>,
    inputs: VecDeque<(usize, Input)>,
    now: Instant,
    tags: u64,
    replies: u64,
    /// The answers to reads, with their freshness.
    answers: BTreeMap<Tag, (Freshness, String)>,
}

/// Returns the configuration of a node: segments that hold four small flushes, and few bytes of the
/// log in memory.
pub(crate) fn config(id: NodeId) -> ReplicaConfig {
    let mut config = ReplicaConfig::new(Config::new(id));
    config.raft.command_bytes_max = 4 << 10;
    config.raft.tail_bytes_max = 1 << 10;
    config.storage.segment_bytes = 32 << 10;
    config.storage.spare_segments = 1;
    config.storage.command_bytes_max = 4 << 10;
    config.storage.flush_bytes_max = 8 << 10;
    config.storage.read_bytes_max = 12 << 10;
    config.storage.tail_bytes_max = 1 << 10;
    config.storage.snapshots.chunk_bytes = 512;
    config.trailing_entries = 0;
    config.scrub_period = SCRUB_PERIOD;
    config
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, id) in self.hosts.iter().zip(NODES) {
            match (&host.running, &host.error) {
                (Some(replica), _) => writeln!(f, "{id}: {:?}", replica.node.status())?,
                (None, error) => writeln!(f, "{id}: {error:?}")?,
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Returns the disks of a new cluster of three voters.
    pub(crate) fn format() -> Vec<SimDisk> {
        let membership = Membership::new(NODES);
        let format = |id: NodeId| {
            let mut disk = SimDisk::default();
            let incarnation = Incarnation(u128::from(id.0));
            let identity = Identity { cluster: CLUSTER, node: id, incarnation };
            let made = Replica::<Lines>::create(&mut disk, identity, &membership, &config(id));
            made.expect("the disk is empty");
            disk
        };
        NODES.map(format).into()
    }

    /// Starts three nodes on their disks, as far as they accept them.
    pub(crate) fn start(disks: Vec<SimDisk>) -> Cluster {
        let host = |disk| Host { disk, running: None, view: None, error: None };
        let mut cluster = Cluster {
            hosts: disks.into_iter().map(host).collect(),
            inputs: VecDeque::new(),
            now: Instant(1),
            tags: 0,
            replies: 0,
            answers: BTreeMap::new(),
        };
        for (node, id) in NODES.into_iter().enumerate() {
            let host = &mut cluster.hosts[node];
            let lines = Lines::default();
            match Replica::open(&mut host.disk, CLUSTER, lines, config(id), id.0, Instant(1)) {
                Err(error) => host.error = Some(error.to_string()),
                Ok(mut replica) => {
                    let mut outputs = Vec::new();
                    replica.node.start(&mut outputs);
                    host.running = Some(replica);
                    cluster.execute(node, outputs);
                }
            }
        }
        cluster.run();
        cluster
    }

    /// Stops all nodes, and returns their disks as they are.
    pub(crate) fn into_disks(self) -> Vec<SimDisk> {
        self.hosts.into_iter().map(|host| host.disk).collect()
    }

    /// Shuts down all nodes in order.
    pub(crate) fn close(&mut self) {
        (0..3).for_each(|node| self.inputs.push_back((node, Input::Close)));
        self.run();
    }

    /// Lets every node take a snapshot.
    pub(crate) fn take_snapshots(&mut self) {
        (0..3).for_each(|node| self.inputs.push_back((node, Input::TakeSnapshot)));
        self.advance(Duration::from_secs(1));
    }

    /// Damages a sector of a running node, so that its next read from the disk finds the damage.
    pub(crate) fn damage_sector(&mut self, node: usize, (file, sector): Sector, how: SectorDamage) {
        let disk = &mut self.hosts[node].disk;
        disk.forget_cache();
        assert!(disk.damage_sector(file, sector, how), "{file} has the sector");
    }

    /// Returns the leader of the highest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let status = |node: &usize| {
            let status = self.hosts[*node].running.as_ref()?.node.status();
            (status.role == RoleName::Leader).then_some(status.term)
        };
        (0..3).filter(|node| status(node).is_some()).max_by_key(status)
    }

    /// Returns the number of snapshots that running nodes have taken.
    pub(crate) fn snapshots_taken(&self) -> u64 {
        let running = self.hosts.iter().filter_map(|host| host.running.as_ref());
        running.map(|replica| replica.node.snapshot_counts().taken).sum()
    }

    /// Whether all running nodes are without damage, certain and not in quarantine, and have
    /// applied the same entries.
    pub(crate) fn is_whole(&self) -> bool {
        let running: Vec<_> = self.hosts.iter().filter_map(|host| host.running.as_ref()).collect();
        let applied = |replica: &Replica<Lines>| replica.worker.machine().applied().index;
        running.iter().all(|replica| {
            let status = replica.node.status();
            !status.is_uncertain
                && status.damaged_entries == 0
                && replica.node.verification() != StateVerification::Quarantined
                && applied(replica) == applied(running[0])
        })
    }

    /// Returns the error for which this node does not run.
    pub(crate) fn error(&self, node: usize) -> Option<&str> {
        self.hosts[node].error.as_deref()
    }

    /// Returns the commands that the node has applied; `None` if it does not run.
    pub(crate) fn lines(&self, node: usize) -> Option<&str> {
        Some(&self.hosts[node].running.as_ref()?.worker.machine().user().0)
    }

    /// Proposes a command at a node.
    pub(crate) fn propose(&mut self, node: usize, line: &str) {
        let command = Request::Plain(line.as_bytes()).encode_for(Proposer::Unnamed);
        let tag = self.tag();
        self.inputs.push_back((node, Input::propose(tag, Acknowledge::Quorum, command)));
        self.run();
    }

    /// Returns the number of commands that were acknowledged.
    pub(crate) fn replies(&self) -> u64 {
        self.replies
    }

    /// Requests a read at every node.
    pub(crate) fn read(&mut self, level: ReadLevel) {
        for node in 0..3 {
            let tag = self.tag();
            self.inputs.push_back((node, Input::Read { tag, level, query: Vec::new() }));
        }
        self.run();
    }

    /// Returns the answers of all reads since the last call.
    pub(crate) fn take_answers(&mut self) -> impl Iterator<Item = (Freshness, String)> {
        std::mem::take(&mut self.answers).into_values()
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    /// Advances the time, with a timeout for each node at its deadlines.
    pub(crate) fn advance(&mut self, span: Duration) {
        let until = self.now.after(span);
        let deadline = |host: &Host| {
            host.running.as_ref().map_or(Instant::NEVER, |running| running.node.deadline())
        };
        loop {
            let next = self.hosts.iter().map(deadline).min().expect("there are nodes");
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            for node in 0..3 {
                if deadline(&self.hosts[node]) <= self.now {
                    self.inputs.push_back((node, Input::Timeout));
                    self.run();
                }
            }
        }
    }

    fn run(&mut self) {
        while let Some((node, input)) = self.inputs.pop_front() {
            let Some(replica) = &mut self.hosts[node].running else { continue };
            let mut outputs = Vec::new();
            replica.node.step(self.now, input, &mut outputs);
            replica.node.assert_invariants();
            self.execute(node, outputs);
        }
    }

    fn execute(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            let host = &mut self.hosts[node];
            let Some(replica) = &mut host.running else { return };
            let input = match output {
                Output::Send(packet) => {
                    let to = packet.to().0 as usize - 1;
                    self.inputs.push_back((to, Input::Packet(packet)));
                    continue;
                }
                Output::Disk(operation) => {
                    let result = host.disk.execute(&operation.action);
                    Input::Disk(Completion { id: operation.id, result })
                }
                Output::Work(work) => Input::WorkDone(replica.worker.execute(work, &mut host.disk)),
                Output::FreezeView => {
                    host.view = replica.worker.freeze();
                    let last = host.view.as_ref().map(FrozenView::last);
                    last.map_or(Input::ViewFailed, Input::ViewFrozen)
                }
                Output::ReadView { bytes } => {
                    let mut piece = Vec::new();
                    let view = host.view.as_mut().expect("it was frozen");
                    view.take(bytes as u64).read_to_end(&mut piece).expect("it is in memory");
                    Input::ViewRead(piece)
                }
                Output::DropView => {
                    host.view = None;
                    continue;
                }
                Output::Replied { outcome: Outcome::Reply(_), .. } => {
                    self.replies += 1;
                    continue;
                }
                Output::Answered { tag, freshness, answer, .. } => {
                    let answer = String::from_utf8(answer).expect("the answers are text");
                    self.answers.insert(tag, (freshness, answer));
                    continue;
                }
                Output::Stopped(error) => {
                    host.error = Some(error.to_string());
                    host.running = None;
                    return;
                }
                _ => continue,
            };
            self.inputs.push_back((node, input));
        }
    }
}
