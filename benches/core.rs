//! CPU time of one committed entry: three nodes in memory, with a network and disks that take no
//! time, compared with a floor, which does the same copies and counts without a protocol.
//!
//! The third side is the same three nodes with a recorder each, whose blocks are dropped.
//!
//! `cargo bench` prints a table. All sides are measured alternately. Compare the ratio of the
//! medians: absolute times depend on the machine.

use std::collections::VecDeque;
use std::time::Duration;

use quorate::raft::{Action, Config, Input, Raft};
use quorate::recording::{Recorder, RecorderConfig};
use quorate::types::{
    Acknowledge, Command, Index, Instant, Membership, NodeId, Restored, Tag, WriteId,
};

/// The payload of every command.
const BYTES: [u8; 128] = [7; 128];
const ROUNDS: usize = 21;

/// The loads: name, proposals outstanding at a time, and entries measured.
const LOADS: [(&str, usize, usize); 3] = [
    ("one at a time", 1, 20_000),
    ("batches of 64", 64, 64_000),
    ("1,000 at a time", 1_000, 64_000),
];

fn main() {
    // `cargo test --benches` only checks that the benchmark still runs.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (rounds, share) = if measures { (ROUNDS, 1) } else { (1, 100) };
    println!(
        "CPU time per committed entry: 3 nodes in memory, {}-byte commands, medians of {rounds}\n",
        BYTES.len()
    );
    println!("{:<18}{:>12}{:>12}{:>9}{:>12}", "", "quorate", "floor", "ratio", "recorded");
    for (name, batch, entries) in LOADS {
        let (mut core, mut floor, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            core.push(per_entry(&mut Cluster::new(), batch, entries / share));
            recorded.push(per_entry(&mut Cluster::recorded(), batch, entries / share));
            floor.push(per_entry(&mut Floor::default(), batch, entries / share));
        }
        let (core, floor, recorded) = (median(core), median(floor), median(recorded));
        let tenths = 10 * core / floor.max(1);
        let ratio = format!("{}.{}", tenths / 10, tenths % 10);
        println!("{name:<18}{core:>9} ns{floor:>9} ns{ratio:>9}{recorded:>9} ns");
    }
}

/// A system under test that commits commands.
trait Commit {
    /// Proposes `batch` commands and returns once a quorum has them and the proposer knows it.
    fn commit(&mut self, batch: usize);
}

/// Returns the nanoseconds per entry, measured over `entries` entries after a quarter as many to
/// warm up.
fn per_entry(subject: &mut impl Commit, batch: usize, entries: usize) -> u128 {
    let batches = entries.div_ceil(batch);
    for _ in 0..batches.div_ceil(4) {
        subject.commit(batch);
    }
    let start = cpu_time();
    for _ in 0..batches {
        subject.commit(batch);
    }
    (cpu_time() - start).as_nanos() / (batches * batch) as u128
}

fn median(mut of: Vec<u128>) -> u128 {
    of.sort_unstable();
    of[of.len() / 2]
}

/// Three nodes whose messages arrive in order, and whose disks flush once no message is left.
struct Cluster {
    nodes: [Raft; 3],
    recorders: Option<[Recorder; 3]>,
    inputs: VecDeque<(NodeId, Input)>,
    unflushed: [Option<WriteId>; 3],
    committed: usize,
    actions: Vec<Action>,
}

impl Cluster {
    /// Returns a cluster in which node 1 leads.
    fn new() -> Cluster {
        Cluster::with(None)
    }

    /// Returns such a cluster, with a recorder for each node.
    fn recorded() -> Cluster {
        let recorder = |_| Recorder::new(RecorderConfig::default());
        Cluster::with(Some([0, 1, 2].map(recorder)))
    }

    fn with(recorders: Option<[Recorder; 3]>) -> Cluster {
        let ids = [NodeId(1), NodeId(2), NodeId(3)];
        let start = |id: NodeId| {
            let disk = Restored::fresh(Membership::new(ids));
            Raft::new(Config::new(id), disk, id.0, Instant::ZERO).expect("a valid start")
        };
        let mut cluster = Cluster {
            nodes: ids.map(start),
            recorders,
            inputs: VecDeque::from([(ids[0], Input::Campaign)]),
            unflushed: [None; 3],
            committed: 0,
            actions: Vec::new(),
        };
        cluster.settle();
        assert_eq!(cluster.nodes[0].status().committed, Index(1), "node 1 leads");
        cluster
    }

    /// Delivers every message and flushes every disk, repeatedly, until nothing is in flight.
    fn settle(&mut self) {
        loop {
            while let Some((id, input)) = self.inputs.pop_front() {
                self.step(id, input);
            }
            for (id, unflushed) in (1..).map(NodeId).zip(&mut self.unflushed) {
                let flushed = unflushed.take().map(|write| (id, Input::Persisted(write)));
                self.inputs.extend(flushed);
            }
            if self.inputs.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self, id: NodeId, input: Input) {
        let at = id.0 as usize - 1;
        let raft = &mut self.nodes[at];
        if let Some(recorders) = &mut self.recorders {
            recorders[at].step(raft, Instant::ZERO, input, &mut self.actions);
            while recorders[at].next_block().is_some() {}
        } else {
            raft.step(Instant::ZERO, input, &mut self.actions);
        }
        for action in self.actions.drain(..) {
            match action {
                Action::Send(message) => {
                    self.inputs.push_back((message.to, Input::Message(message)));
                }
                Action::Persist(write) => self.unflushed[at] = Some(write.id),
                Action::Apply(entries) => {
                    let last = entries.last().expect("a batch is never empty").id.index;
                    self.inputs.push_back((id, Input::Applied(last)));
                }
                Action::Committed { .. } => self.committed += 1,
                Action::Rejected { reason, .. } => panic!("a proposal was rejected: {reason}"),
                _ => {}
            }
        }
    }
}

impl Commit for Cluster {
    fn commit(&mut self, batch: usize) {
        let goal = self.committed + batch;
        for _ in 0..batch {
            let command = Command::from(&BYTES[..]);
            self.step(NodeId(1), Input::propose(Tag(0), Acknowledge::Quorum, command));
        }
        self.settle();
        assert_eq!(self.committed, goal, "every proposal is committed");
    }
}

/// The work of any replication: three logs with a copy of each command, the length of each log, and
/// the second largest of the three lengths as the commit index.
#[derive(Default)]
struct Floor {
    logs: [Vec<Box<[u8]>>; 3],
    messages: VecDeque<(usize, Vec<Box<[u8]>>)>,
    replies: VecDeque<(usize, usize)>,
    matched: [usize; 3],
    committed: usize,
}

impl Commit for Floor {
    fn commit(&mut self, batch: usize) {
        let commands = vec![Box::from(&BYTES[..]); batch];
        self.messages.extend([1, 2].map(|follower| (follower, commands.clone())));
        self.logs[0].extend(commands);
        self.matched[0] = self.logs[0].len();
        while let Some((follower, commands)) = self.messages.pop_front() {
            self.logs[follower].extend(commands);
            self.replies.push_back((follower, self.logs[follower].len()));
        }
        while let Some((follower, length)) = self.replies.pop_front() {
            self.matched[follower] = length;
            let mut sorted = self.matched;
            sorted.sort_unstable();
            self.committed = sorted[1];
        }
        assert_eq!(self.committed, self.logs[0].len(), "every command is committed");
    }
}

/// The CPU time of this thread, or the elapsed time where the system does not report it.
fn cpu_time() -> Duration {
    // The kernel updates its accounting at a context switch.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = account.and_then(|account| account.split(' ').next()?.parse().ok());
    nanos.filter(|nanos| *nanos > 0).map_or_else(wall_time, Duration::from_nanos)
}

#[expect(clippy::disallowed_methods, reason = "a measurement is about real time")]
fn wall_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
