//! A driver for whole nodes in one process: it executes their outputs, advances time, and drops
//! packets to nodes that are not running.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Cursor, Read};

use quorate::machine::{FrozenView, Outcome, Proposer, Request, StateMachine};
use quorate::raft::{Config, RoleName};
use quorate::replica::{Input, OpenError, Output, Replica, ReplicaConfig};
use quorate::storage::{ClusterId, Completion, Disk};
use quorate::types::{Acknowledge, Command, Index, Instant, NodeId, ReadLevel, Tag};

/// The maximum number of steps that a wait may take.
const STEPS_MAX: u32 = 1_000_000;

/// The state machine: a list of lines. Its reply to each new line is the number of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(pub(crate) String);

impl StateMachine for Lines {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0.push_str(&String::from_utf8_lossy(command));
        self.0.push('\n');
        self.0.lines().count().to_string().into_bytes()
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

/// A node, its disk, and the last frozen view of its state machine.
pub(crate) struct Host<D>(pub(crate) Replica<Lines>, pub(crate) D, Option<FrozenView>);

/// The nodes of one cluster, their shared clock, and the events still to come.
pub(crate) struct Cluster<D> {
    pub(crate) id: ClusterId,
    pub(crate) nodes: BTreeMap<NodeId, Host<D>>,
    pub(crate) inputs: VecDeque<(NodeId, Input)>,
    pub(crate) now: Instant,
    tag: Tag,
    pub(crate) ended: BTreeMap<Tag, Option<Outcome>>,
    answer: Option<Vec<u8>>,
}

/// Returns a configuration with small segments and frequent snapshots.
pub(crate) fn config(id: NodeId) -> ReplicaConfig {
    let mut config = ReplicaConfig::new(Config::new(id));
    config.storage.segment_bytes = 16 << 20;
    config.storage.spare_segments = 1;
    config.snapshot_entries = 20;
    config.trailing_entries = 5;
    config
}

impl<D: Disk> Cluster<D> {
    pub(crate) fn new(id: ClusterId) -> Cluster<D> {
        Cluster {
            id,
            nodes: BTreeMap::new(),
            inputs: VecDeque::new(),
            now: Instant::ZERO,
            tag: Tag(0),
            ended: BTreeMap::new(),
            answer: None,
        }
    }

    /// Starts a node on its directory.
    pub(crate) fn start(&mut self, id: NodeId, mut disk: D) -> Result<(), OpenError> {
        let seed = self.now.0 ^ id.0; // random, in a real cluster
        let lines = Lines::default();
        let mut replica = Replica::open(&mut disk, self.id, lines, config(id), seed, self.now)?;
        let mut outputs = Vec::new();
        replica.node.start(&mut outputs);
        self.nodes.insert(id, Host(replica, disk, None));
        self.carry_out(id, outputs);
        Ok(())
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = |host: &Host<D>| host.0.node.status().role == RoleName::Leader;
        self.nodes.iter().find(|(_, host)| leads(host)).map(|(id, _)| *id)
    }

    /// Advances time and carries out every event until `done` returns true.
    pub(crate) fn settle(&mut self, done: impl Fn(&Cluster<D>) -> bool) {
        for _ in 0..STEPS_MAX {
            if done(self) {
                return;
            }
            let (id, input) = self.inputs.pop_front().unwrap_or_else(|| {
                let deadlines = self.nodes.iter().map(|(id, host)| (host.0.node.deadline(), *id));
                let (deadline, id) = deadlines.min().expect("there are nodes");
                self.now = self.now.max(deadline);
                (id, Input::Timeout)
            });
            let Some(Host(replica, ..)) = self.nodes.get_mut(&id) else { continue };
            let mut outputs = Vec::new();
            replica.node.step(self.now, input, &mut outputs);
            self.carry_out(id, outputs);
        }
        panic!("the expected state is not reached");
    }

    fn carry_out(&mut self, id: NodeId, outputs: Vec<Output>) {
        let Host(replica, disk, view) = self.nodes.get_mut(&id).expect("the node runs");
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
                Output::Work(work) => Input::WorkDone(replica.worker.execute(work, disk)),
                Output::FreezeView => match replica.worker.freeze() {
                    Some(frozen) => {
                        let last = frozen.last();
                        *view = Some(frozen);
                        Input::ViewFrozen(last)
                    }
                    None => Input::ViewFailed,
                },
                Output::ReadView { bytes } => {
                    let (mut read, view) = (Vec::new(), view.as_mut().expect("it was frozen"));
                    view.take(bytes as u64).read_to_end(&mut read).expect("it is in memory");
                    Input::ViewRead(read)
                }
                Output::DropView => {
                    *view = None;
                    continue;
                }
                Output::Answered { answer, .. } => {
                    self.answer = Some(answer);
                    continue;
                }
                Output::Replied { tag, outcome, .. } => {
                    self.ended.insert(tag, Some(outcome));
                    continue;
                }
                Output::MembershipChangeCommitted { tag, .. }
                | Output::Rejected { tag, .. }
                | Output::Unknown { tag } => {
                    self.ended.insert(tag, None);
                    continue;
                }
                Output::Stopped(failure) => panic!("{id}: {failure}"),
                _ => continue,
            };
            self.inputs.push_back((id, input));
        }
    }

    /// Passes an input to the leader, once there is one.
    pub(crate) fn input_to_leader(&mut self, input: impl FnOnce(Tag) -> Input) -> Tag {
        self.settle(|cluster| cluster.leader().is_some());
        let leader = self.leader().expect("the cluster has a leader");
        self.tag = Tag(self.tag.0 + 1);
        self.inputs.push_back((leader, input(self.tag)));
        self.tag
    }

    /// Proposes a command to the leader, and does not wait.
    pub(crate) fn send(&mut self, command: Command) -> Tag {
        self.input_to_leader(|tag| Input::propose(tag, Acknowledge::Default, command))
    }

    /// Returns the reply to a command; `None` if it was rejected or its outcome is unknown.
    pub(crate) fn request(&mut self, command: Command) -> Option<Outcome> {
        let tag = self.send(command);
        self.settle(|cluster| cluster.ended.contains_key(&tag));
        self.ended.remove(&tag).flatten()
    }

    /// Adds a line, and waits until the leader has applied it.
    pub(crate) fn add(&mut self, line: &str) {
        let outcome = self.request(Request::Plain(line.as_bytes()).encode_for(Proposer::Unnamed));
        assert!(matches!(outcome, Some(Outcome::Reply(_))), "{line}: {outcome:?}");
    }

    /// Waits until all running nodes have applied the same entries.
    pub(crate) fn agree(&mut self) {
        self.settle(|cluster| {
            let applied = |host: &Host<D>| {
                let status = host.0.node.status();
                (status.applied, status.last.index)
            };
            let mut all = cluster.nodes.values().map(applied);
            let first = all.next().expect("there are nodes");
            cluster.leader().is_some() && first.0 == first.1 && all.all(|other| other == first)
        });
    }

    /// Returns the answer of a linearizable read.
    pub(crate) fn read(&mut self) -> String {
        self.answer = None;
        let level = ReadLevel::Linearizable;
        let answer = loop {
            let now = self.now;
            let tag = self.input_to_leader(|tag| Input::Read { tag, level, query: Vec::new() });
            self.settle(|cluster| cluster.answer.is_some() || cluster.ended.contains_key(&tag));
            if let Some(answer) = self.answer.take() {
                break answer;
            }
            // A node that has just started verifies its state first.
            self.settle(|cluster| cluster.now > now);
        };
        String::from_utf8(answer).expect("lines are text")
    }
}
