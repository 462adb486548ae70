//! A custom driver for the core and the store, without tokio: three nodes in one process,
//! each with a directory. It lists every action of the core and every event of the store, so it
//! stops compiling if a new version adds one. The store needs the feature `unstable`.
//! `cargo run --example own_driver`

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, Input, Raft};
use quorate::storage::{
    ClusterId, Completion, Disk, Event, FetchId, FileDisk, Identity, Storage, StorageConfig,
};
use quorate::types::{
    Acknowledge, Entry, Incarnation, Index, Instant, MachineTraits, Membership, NodeId, Payload,
};
use quorate::types::{RoleName, Tag};

const CLUSTER: ClusterId = ClusterId(9);
const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// One node: the core, the store with its disk, and a list of words as the state machine.
struct Node {
    raft: Raft,
    storage: Storage,
    disk: FileDisk,
    /// The consumers of the fetches in progress, by their numbers.
    fetches: BTreeMap<FetchId, Consumer>,
    words: Vec<String>,
}

/// All nodes, the inputs that wait for them, and the proposals that have ended.
struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    inputs: VecDeque<(NodeId, Input)>,
    now: Instant,
    committed: Vec<Tag>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let directory = |id: NodeId| root.path().join(id.to_string());
    let config = StorageConfig { segment_bytes: 16 << 20, spare_segments: 1, ..Default::default() };
    for id in IDS {
        let incarnation = Incarnation(u128::from(id.0)); // random, in a real cluster
        let identity = Identity { cluster: CLUSTER, node: id, incarnation };
        let mut disk = FileDisk::open(directory(id))?;
        Storage::format(&mut disk, identity, &Membership::new(IDS), &config)?;
    }
    for (start, word) in ["hello", "again"].into_iter().enumerate() {
        let disks = IDS.map(|id| (id, FileDisk::open(directory(id))));
        let mut cluster = Cluster::start(disks, &config, start as u64)?;
        cluster.run_until(|cluster| cluster.leader().is_some());
        let leader = cluster.leader().expect("it was elected");
        let proposal = Input::propose(Tag(1), Acknowledge::Default, word);
        cluster.inputs.push_back((leader, proposal));
        cluster.run_until(|cluster| {
            cluster.committed == [Tag(1)]
                && cluster.nodes.values().all(|node| node.words.len() > start)
        });
        println!("start {start}: every node has {:?}", cluster.nodes[&leader].words);
    }
    Ok(())
}

impl Cluster {
    fn start<E: Error + 'static>(
        disks: [(NodeId, Result<FileDisk, E>); 3],
        config: &StorageConfig,
        start: u64,
    ) -> Result<Cluster, Box<dyn Error>> {
        let (nodes, inputs, now) = (BTreeMap::new(), VecDeque::new(), Instant::ZERO);
        let mut cluster = Cluster { nodes, inputs, now, committed: Vec::new() };
        for (id, disk) in disks {
            let mut disk = disk?;
            let (storage, opened) = Storage::open(&mut disk, CLUSTER, id, config)?;
            // The words are in memory only: the core applies the whole log again.
            let restored = opened.restored(Index::ZERO, MachineTraits::default());
            let seed = start * 3 + id.0; // random, in a real cluster
            let raft = Raft::new(Config::new(id), restored, seed, now)?;
            let (fetches, words) = (BTreeMap::new(), Vec::new());
            let mut node = Node { raft, storage, disk, fetches, words };
            let mut events = Vec::new();
            node.storage.start(&mut events);
            let inputs = node.pump(events);
            cluster.inputs.extend(inputs.into_iter().map(|input| (id, input)));
            cluster.nodes.insert(id, node);
        }
        Ok(cluster)
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |node: &Node| node.raft.status().role == RoleName::Leader;
        self.nodes.iter().find(|(_, node)| leads(node)).map(|(id, _)| *id)
    }

    /// Passes the waiting inputs, and advances the time when there are none, until `is_done`.
    fn run_until(&mut self, is_done: impl Fn(&Cluster) -> bool) {
        while !is_done(self) {
            let (id, input) = self.inputs.pop_front().unwrap_or_else(|| {
                let deadlines = self.nodes.iter().map(|(id, node)| (node.raft.deadline(), *id));
                let (deadline, id) = deadlines.min().expect("there are three nodes");
                self.now = self.now.max(deadline);
                (id, Input::Timeout)
            });
            self.now = self.now.after(Duration::from_micros(1));
            let node = self.nodes.get_mut(&id).expect("all nodes run");
            let mut actions = Vec::new();
            node.raft.step(self.now, input, &mut actions);
            for action in actions {
                self.carry_out(id, action);
            }
        }
    }

    /// Carries out one action. The first arms of the match answer the core; the last ones are
    /// reports.
    fn carry_out(&mut self, id: NodeId, action: Action) {
        let node = self.nodes.get_mut(&id).expect("all nodes run");
        let mut events = Vec::new();
        match action {
            Action::Send(message) => {
                self.inputs.push_back((message.to, Input::Message(message)));
            }
            Action::Persist(write) => node.storage.persist(write, &mut events),
            Action::Apply(entries) => {
                let last = node.apply(&entries);
                self.inputs.push_back((id, Input::Applied(last)));
            }
            Action::Fetch { consumer, first, last, bytes_max } => {
                let fetch = FetchId(node.fetches.keys().next_back().map_or(0, |last| last.0 + 1));
                node.fetches.insert(fetch, consumer);
                node.storage.fetch(fetch, first, last, bytes_max, &mut events);
            }
            Action::Repair(entries) => node.storage.repair(entries, &mut events),
            Action::Restore(_) | Action::ReceiveSnapshot { .. } | Action::AdoptSnapshot(_) => {
                unreachable!("no node takes a snapshot")
            }
            Action::Committed { tag, .. } => self.committed.push(tag),
            Action::Rejected { tag, reason } => panic!("{tag} was rejected: {reason}"),
            Action::Unknown { tag, .. } => panic!("the outcome of {tag} is unknown"),
            Action::MayBeLost { .. }
            | Action::MembershipChangeCommitted { .. }
            | Action::ReadReady { .. }
            | Action::LeadershipTransferred { .. }
            | Action::RoleChanged { .. }
            | Action::ActiveMembershipChanged(_)
            | Action::UnknownIncarnation { .. }
            | Action::DivergedLog { .. }
            | Action::RolledBackDisk { .. }
            | Action::LogUncertain { .. }
            | Action::LogCertain
            | Action::MessageRejected { .. } => {}
        }
        let node = self.nodes.get_mut(&id).expect("all nodes run");
        let inputs = node.pump(events);
        self.inputs.extend(inputs.into_iter().map(|input| (id, input)));
    }
}

impl Node {
    fn apply(&mut self, entries: &[Entry]) -> Index {
        for entry in entries {
            if let Payload::Command(command) = &entry.payload {
                self.words.push(String::from_utf8_lossy(command).into_owned());
            }
        }
        entries.last().expect("a batch is not empty").id.index
    }

    /// Executes the operations of the store until it requests no more. Returns the inputs for the
    /// core. A driver with a thread for each disk lane does the same, one completion at a time.
    fn pump(&mut self, events: Vec<Event>) -> Vec<Input> {
        let (mut events, mut inputs) = (VecDeque::from(events), Vec::new());
        while let Some(event) = events.pop_front() {
            match event {
                Event::Disk(operation) => {
                    let result = self.disk.execute(&operation.action);
                    let (completion, mut next) = (Completion { id: operation.id, result }, vec![]);
                    self.storage.completed(completion, &mut next);
                    events.extend(next);
                }
                Event::Persisted(write) => inputs.push(Input::Persisted(write)),
                Event::Fetched { id, entries } => {
                    let consumer = self.fetches.remove(&id).expect("it was requested");
                    inputs.push(Input::Fetched { consumer, entries: entries.into() });
                }
                Event::Damaged(entries) => inputs.push(Input::Damaged(entries)),
                Event::Repaired(entries) => inputs.push(Input::Repaired(entries)),
                Event::Full(is_full) => inputs.push(Input::DiskFull(is_full)),
                Event::Failed(error)
                | Event::Exhausted(Some(error))
                | Event::DamagedHeaders(error)
                | Event::DamagedSuperblock(error) => panic!("{error}"),
                Event::Scrubbed { .. }
                | Event::SnapshotRecorded(_)
                | Event::Exhausted(None)
                | Event::Snapshot(_)
                | Event::Closed => unreachable!("it was not requested"),
            }
        }
        inputs
    }
}
