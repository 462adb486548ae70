//! Three nodes elect a leader, commit two commands and answer a read, in virtual time. There is no
//! thread, socket, file or clock: `run_until` and `step`, below, are the whole driver.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::{Action, Config, Input, Raft, StartError};
use quorate::types::{Acknowledge, Index, Instant, Membership, NodeId, ReadLevel, Restored, Tag};

/// The nodes, their shared clock, and the inputs still to come: when and at which node.
struct Cluster {
    nodes: BTreeMap<NodeId, Raft>,
    now: Instant,
    pending: Vec<(Instant, NodeId, Input)>,
}

fn main() -> Result<(), StartError> {
    let ids = [NodeId(1), NodeId(2), NodeId(3)];
    let mut cluster = Cluster { nodes: BTreeMap::new(), now: Instant::ZERO, pending: Vec::new() };
    for id in ids {
        let (disk, seed) = (Restored::fresh(Membership::new(ids)), id.0);
        cluster.nodes.insert(id, Raft::new(Config::new(id), disk, seed, cluster.now)?);
    }
    println!("Columns: time, node, role, term, last/durable/committed/applied, event.");

    println!("\nNo node leads. The first election timeout starts an election.");
    cluster.run_until(|nodes| nodes.values().all(|node| node.status().applied == Index(1)));

    println!("\nThe leader takes two commands.");
    let leader = cluster.nodes[&ids[0]].status().leader.expect("a leader was elected");
    for (tag, command) in [(Tag(1), "x = 1"), (Tag(2), "y = 2")] {
        let acknowledge = Acknowledge::Default;
        cluster.step(leader, Input::propose(tag, acknowledge, command));
    }
    cluster.run_until(|nodes| nodes.values().all(|node| node.status().applied == Index(3)));

    println!("\nA follower takes a linearizable read.");
    let follower = ids[usize::from(leader == ids[0])];
    let (tag, level, conflict) = (Tag(3), ReadLevel::Linearizable, Index::ZERO);
    cluster.step(follower, Input::Read { tag, level, conflict });
    cluster.run_until(|nodes| nodes[&follower].status().reads_waiting == 0);
    Ok(())
}

impl Cluster {
    /// Jumps to the next event, an input or a node's deadline, until `is_done` returns true.
    fn run_until(&mut self, is_done: impl Fn(&BTreeMap<NodeId, Raft>) -> bool) {
        while !is_done(&self.nodes) {
            let deadlines = self.nodes.iter().map(|(id, node)| (node.deadline(), *id));
            let (deadline, waiting) = deadlines.min().expect("there are three nodes");
            let first = (0..self.pending.len()).min_by_key(|at| self.pending[*at].0);
            let (now, id, input) = match first.filter(|at| self.pending[*at].0 <= deadline) {
                Some(first) => self.pending.remove(first),
                None => (deadline, waiting, Input::Timeout),
            };
            self.now = now;
            self.step(id, input);
        }
    }

    /// Passes one input to a node, prints it, and carries out the node's actions.
    fn step(&mut self, id: NodeId, input: Input) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let (event, mut actions) = (input.to_string(), Vec::new());
        node.step(self.now, input, &mut actions);
        let columns = format!("{}  {}", self.now, node.status());
        println!("{columns}  {event}");
        for action in actions {
            println!("{columns}  * {action}");
            let (micros, to, input) = match action {
                Action::Send(message) => (1000, message.to, Input::Message(message)),
                Action::Persist(write) => (100, id, Input::Persisted(write.id)),
                Action::Apply(batch) => (100, id, Input::Applied(batch[batch.len() - 1].id.index)),
                _ => continue,
            };
            self.pending.push((self.now.after(Duration::from_micros(micros)), to, input));
        }
    }
}
