//! The reported data loss against histories of a simple model: nodes elect, replicate, change the
//! membership and commit, and then some survive. The source has every entry that a survivor knows
//! to be committed, and every committed entry if no loss is reported.

use std::collections::BTreeMap;

use quorate::quorum::is_quorum;
use quorate::recovery::{DataLoss, RecoverySource};
use quorate::types::{Change, Membership, NodeId};

use super::directory_states::{Log, state, survey};

const NODES: usize = 5;
const HISTORIES: u64 = 4_000;
const STEPS: u64 = 250;

#[derive(Clone, Default)]
struct Node {
    term: u64,
    log: Log,
    committed: usize,
    /// On the leader of a term: the last index of its log that each node is known to have.
    leads: Option<BTreeMap<usize, usize>>,
}

struct World {
    first: Membership,
    nodes: Vec<Node>,
    /// Every entry that was ever committed.
    committed: Log,
    /// The nodes that are partitioned from the others, as one bit for each.
    cut: usize,
    state: u64,
}

fn id(node: usize) -> NodeId {
    NodeId(node as u64 + 1)
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            first: Membership::default(),
            nodes: vec![Node::default(); NODES],
            committed: Log::new(),
            cut: 0,
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        let voters = 1 + world.draw(NODES);
        world.first = Membership::new((0..voters).map(id));
        if voters.is_multiple_of(2) && world.draw(2) == 0 {
            world.first = world.first.clone().with_casting(id(world.draw(voters)));
        }
        world
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % below
    }

    /// Returns the last membership of a log, and the length of the log up to it.
    fn membership(&self, log: &Log) -> (Membership, usize) {
        let listed = log.iter().enumerate().rev();
        let mut memberships = listed.filter_map(|(at, (_, own))| Some((own.clone()?, at + 1)));
        memberships.next().unwrap_or((self.first.clone(), 0))
    }

    fn campaign(&mut self, candidate: usize, asked: usize) {
        let term = self.nodes.iter().map(|node| node.term).max().unwrap_or(0) + 1;
        let order = |log: &Log| (log.last().map_or(0, |(term, _)| *term), log.len());
        let own = order(&self.nodes[candidate].log);
        let mut granted = Vec::new();
        for voter in (0..NODES).filter(|voter| asked >> voter & 1 == 1 || *voter == candidate) {
            let node = &mut self.nodes[voter];
            (node.term, node.leads) = (term, None);
            if order(&node.log) <= own {
                granted.push(id(voter));
            }
        }
        let (membership, _) = self.membership(&self.nodes[candidate].log);
        if is_quorum(&membership, |voter| granted.contains(&voter)) {
            let node = &mut self.nodes[candidate];
            node.log.push((term, None));
            node.leads = Some(BTreeMap::from([(candidate, node.log.len())]));
        }
    }

    fn replicate(&mut self, leader: usize, follower: usize) {
        let Node { term, log, committed, .. } = self.nodes[leader].clone();
        let node = &mut self.nodes[follower];
        if follower == leader || node.term > term {
            return;
        }
        let through = log.len().min(node.log.len() + 3);
        if node.term < term {
            (node.term, node.leads) = (term, None);
        }
        let same = log.iter().zip(&node.log).take_while(|(a, b)| a == b).count();
        if same < through {
            node.log = log[..through].to_vec();
        }
        node.committed = node.committed.max(committed.min(through));
        let leads = self.nodes[leader].leads.as_mut().expect("the node leads");
        let matched = leads.entry(follower).or_default();
        *matched = through.max(*matched);
    }

    fn commit(&mut self, leader: usize) {
        let Node { term, log, leads, .. } = self.nodes[leader].clone();
        let leads = leads.expect("the node leads");
        let (membership, _) = self.membership(&log);
        let reached = |through: usize| {
            let has = |node: NodeId| leads.get(&(node.0 as usize - 1)) >= Some(&through);
            log[through - 1].0 == term && is_quorum(&membership, has)
        };
        if let Some(through) = (1..=log.len()).rev().find(|through| reached(*through)) {
            let node = &mut self.nodes[leader];
            node.committed = node.committed.max(through);
            let known = self.committed.len().min(through);
            assert_eq!(self.committed[..known], log[..known], "committed entries never change");
            if through > known {
                self.committed = log[..through].to_vec();
            }
        }
    }

    fn append(&mut self, leader: usize) {
        let Node { term, log, committed, .. } = self.nodes[leader].clone();
        let (membership, at) = self.membership(&log);
        let own_term = committed > 0 && log[committed - 1].0 == term;
        let mut payload = None;
        if at <= committed && own_term && self.draw(2) == 0 {
            payload = if membership.is_staged() {
                Some(membership.enter_joint((self.draw(2) == 0).then(|| id(leader))))
            } else if membership.is_joint() {
                Some(membership.leave_joint())
            } else {
                let wanted = 1 + self.draw((1 << NODES) - 1);
                let votes = |node: usize| wanted >> node & 1 == 1;
                let mut change = Change::new();
                for node in (0..NODES).filter(|node| votes(*node)) {
                    change = change.voter(id(node));
                }
                for gone in membership.voters().filter(|gone| !votes(gone.0 as usize - 1)) {
                    change = change.remove(gone);
                }
                membership.changed(&change).ok()
            };
        }
        let node = &mut self.nodes[leader];
        node.log.push((term, payload));
        let length = node.log.len();
        node.leads.as_mut().expect("the node leads").insert(leader, length);
    }

    fn step(&mut self) {
        if self.draw(20) == 0 {
            self.cut = self.draw(1 << NODES);
        }
        let node = self.draw(NODES);
        if self.cut >> node & 1 == 1 {
            return;
        }
        if self.nodes[node].leads.is_none() {
            if self.draw(3) == 0 {
                let voters = self.draw(1 << NODES);
                self.campaign(node, voters & !self.cut);
            }
            return;
        }
        match self.draw(4) {
            0 => self.append(node),
            1 => self.commit(node),
            _ => {
                let follower = self.draw(NODES);
                if self.cut >> follower & 1 == 0 {
                    self.replicate(node, follower);
                }
            }
        }
    }
}

#[test]
fn nothing_is_lost_if_no_loss_is_reported() {
    let (mut nothing, mut lost, mut changed) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let mut world = World::new(seed + 1);
        for _ in 0..STEPS {
            world.step();
        }
        for survivors in 1_usize..1 << NODES {
            let left: Vec<usize> = (0..NODES).filter(|n| survivors >> n & 1 == 1).collect();
            let own = |node: &usize| {
                let Node { log, committed, .. } = &world.nodes[*node];
                state(*node as u64 + 1, &world.first, log, *committed)
            };
            let source = RecoverySource::choose(&survey(left.iter().map(own).collect()), None);
            let source = source.expect("every directory can be read");
            let chosen = &world.nodes[source.node.0 as usize - 1].log;
            for node in &left {
                let known = &world.nodes[*node].log[..world.nodes[*node].committed];
                assert!(chosen.starts_with(known), "seed {seed}: entries known to node {node}");
            }
            assert!(chosen.starts_with(&world.committed[..source.committed.0 as usize]));
            let is_complete = chosen.starts_with(&world.committed);
            nothing += u32::from(source.loss == DataLoss::None);
            lost += u32::from(!is_complete);
            changed += u32::from(source.membership() != &world.first);
            if source.loss == DataLoss::None {
                assert!(
                    is_complete,
                    "seed {seed}, survivors {survivors:05b}: {:?}",
                    world.committed
                );
            }
        }
    }
    assert!(nothing > 10_000 && lost > 1_000 && changed > 1_000, "{nothing} {lost} {changed}");
}
