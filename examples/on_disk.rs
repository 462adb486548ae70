//! Three whole nodes in one process, each with a directory of its own: they count, they all stop,
//! they start again from their disks, and the count is there. `Cluster::settle` is the driver.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Cursor, Read};

use quorate::machine::{Frozen, Request, StateMachine};
use quorate::raft::{Config, RoleName};
use quorate::replica::{Input, Output, Replica, ReplicaConfig};
use quorate::storage::{ClusterId, Completion, Disk, FileDisk, Identity};
use quorate::types::{
    Acknowledge, Incarnation, Index, Instant, Membership, NodeId, ReadLevel, Tag,
};

const CLUSTER: ClusterId = ClusterId(7);
const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The state machine: a number that every command makes one more.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        self.0.to_le_bytes().to_vec()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.to_le_bytes()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// A node, its disk, and the last frozen view of its state.
struct Host(Replica<Counter>, FileDisk, Option<Frozen>);

/// The nodes, the time they share, and what has still to happen.
struct Cluster {
    nodes: Vec<Host>,
    inputs: VecDeque<(NodeId, Input)>,
    now: Instant,
    answer: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let config = |id| {
        let mut config = ReplicaConfig::new(Config::new(id));
        config.storage.segment_bytes = 16 << 20;
        config.snapshot_entries = 400;
        config
    };
    let open = |start: u64| -> Result<Cluster, Box<dyn Error>> {
        let mut cluster = Cluster {
            nodes: Vec::new(),
            inputs: VecDeque::new(),
            now: Instant::ZERO,
            answer: None,
        };
        for id in IDS {
            let mut disk = FileDisk::open(root.path().join(id.to_string()))?;
            if start == 1 {
                let incarnation = Incarnation(u128::from(id.0)); // random, in a real cluster
                let identity = Identity { cluster: CLUSTER, node: id, incarnation };
                Replica::<Counter>::create(
                    &mut disk,
                    identity,
                    &Membership::new(IDS),
                    &config(id),
                )?;
            }
            let seed = start << 8 | id.0; // random, and another at every start, in a real cluster
            let (counter, now) = (Counter::default(), cluster.now);
            let replica = Replica::open(&mut disk, CLUSTER, counter, config(id), seed, now)?;
            cluster.nodes.push(Host(replica, disk, None));
        }
        cluster.start();
        Ok(cluster)
    };

    let mut cluster = open(1)?;
    cluster.count(1_000);
    println!("counted to {:?}, on three disks", cluster.read());
    drop(cluster);
    let mut cluster = open(2)?;
    println!("all stopped and started again: {:?}", cluster.read());
    Ok(())
}

impl Cluster {
    fn start(&mut self) {
        for id in IDS {
            let mut outputs = Vec::new();
            self.nodes[id.0 as usize - 1].0.node.start(&mut outputs);
            self.carry_out(id, outputs);
        }
        self.settle(|cluster| cluster.leader().is_some());
    }

    fn leader(&self) -> Option<NodeId> {
        let leads =
            |id: &NodeId| self.nodes[id.0 as usize - 1].0.node.status().role == RoleName::Leader;
        IDS.into_iter().find(leads)
    }

    /// Lets time pass and everything happen until `done`.
    fn settle(&mut self, done: impl Fn(&Cluster) -> bool) {
        while !done(self) {
            let next = self.inputs.pop_front().unwrap_or_else(|| {
                let deadline = |id: &NodeId| self.nodes[id.0 as usize - 1].0.node.deadline();
                let id = IDS.into_iter().min_by_key(deadline).expect("there are nodes");
                self.now = self.now.max(deadline(&id));
                (id, Input::Timeout)
            });
            let (id, input) = next;
            let mut outputs = Vec::new();
            self.nodes[id.0 as usize - 1].0.node.step(self.now, input, &mut outputs);
            self.carry_out(id, outputs);
        }
    }

    fn carry_out(&mut self, id: NodeId, outputs: Vec<Output>) {
        let Host(replica, disk, view) = &mut self.nodes[id.0 as usize - 1];
        for output in outputs {
            let input = match output {
                Output::Send(packet) => {
                    self.inputs.push_back((packet.to(), Input::Packet(packet)));
                    continue;
                }
                Output::Disk(operation) => {
                    let result = disk.execute(&operation.action);
                    Input::Disk(Completion { id: operation.id, result })
                }
                Output::Work(work) => Input::Done(replica.worker.execute(work, disk)),
                Output::Freeze => match replica.worker.freeze() {
                    Some(frozen) => {
                        let last = frozen.last();
                        *view = Some(frozen);
                        Input::Frozen(last)
                    }
                    None => Input::ViewFailed,
                },
                Output::View { bytes } => {
                    let mut read = Vec::new();
                    let view = view.as_mut().expect("a view was frozen");
                    match view.take(bytes as u64).read_to_end(&mut read) {
                        Ok(_) => Input::Viewed(read),
                        Err(_) => Input::ViewFailed,
                    }
                }
                Output::Answered { answer, .. } => {
                    self.answer = answer.try_into().ok().map(u64::from_le_bytes);
                    continue;
                }
                Output::Stopped(failure) => panic!("{id}: {failure}"),
                _ => continue,
            };
            self.inputs.push_back((id, input));
        }
    }

    fn count(&mut self, times: u64) {
        let leader = self.leader().expect("the cluster has settled on a leader");
        for tag in (1..=times).map(Tag) {
            let command = Request::Plain(b"one more").encode();
            self.inputs.push_back((
                leader,
                Input::Propose { tag, acknowledge: Acknowledge::Default, command },
            ));
        }
        let applied = |cluster: &Cluster| {
            cluster.nodes.iter().all(|Host(node, ..)| node.worker.machine().user().0 == times)
        };
        self.settle(applied);
    }

    fn read(&mut self) -> u64 {
        let leader = self.leader().expect("the cluster has settled on a leader");
        self.inputs.push_back((
            leader,
            Input::Read { tag: Tag(0), level: ReadLevel::Linearizable, query: Vec::new() },
        ));
        self.answer = None;
        self.settle(|cluster| cluster.answer.is_some());
        self.answer.expect("it was waited for")
    }
}
