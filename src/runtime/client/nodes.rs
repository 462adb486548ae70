//! The nodes that a client knows, and the choice of the node for the next attempt.

use crate::types::{Membership, Report};
use crate::wire::LeaderHint;

/// The addresses of the nodes that a client knows.
#[derive(Debug)]
pub(super) struct Nodes {
    /// The addresses of the configuration.
    configured: Vec<String>,
    /// The addresses from the membership, without the configured ones.
    learned: Vec<String>,
    leader: Option<String>,
    /// The index of the node for requests that any node accepts.
    current: usize,
}

impl Nodes {
    /// Returns the configured nodes. `start` selects the first node to try, so that clients with
    /// the same configuration spread over the nodes.
    pub(super) fn new(configured: Vec<String>, start: usize) -> Nodes {
        Nodes { configured, learned: Vec::new(), leader: None, current: start }
    }

    /// Returns the number of known nodes.
    pub(super) fn count(&self) -> usize {
        self.configured.len() + self.learned.len()
    }

    /// Returns the node for requests that any node accepts: the same one until it or the leader
    /// fails, or the number of known nodes changes.
    pub(super) fn any(&self) -> String {
        let index = self.current % self.count();
        let from_learned = || &self.learned[index - self.configured.len()];
        self.configured.get(index).unwrap_or_else(from_learned).clone()
    }

    /// Returns the leader, or any node while it is unknown.
    pub(super) fn leader(&self) -> String {
        self.leader.clone().unwrap_or_else(|| self.any())
    }

    /// Records a failure of the node at `address`: the next node is tried from now on. After a
    /// failure of the leader, that is also not the node that may have named it and would again.
    pub(super) fn mark_failed(&mut self, address: &str) {
        if self.leader.take_if(|leader| leader == address).is_some() {
            self.current = (self.current + 1) % self.count();
        }
        if self.any() == address {
            self.current = (self.current + 1) % self.count();
        }
    }

    /// Records that the node at `address` does not lead, and which leader it named.
    pub(super) fn follow_hint(&mut self, address: &str, leader: Option<&LeaderHint>) {
        let leader = leader.map(|leader| leader.address.as_str());
        match leader.filter(|leader| !leader.is_empty() && *leader != address) {
            Some(leader) => self.leader = Some(leader.to_owned()),
            None => self.mark_failed(address),
        }
    }

    /// Records that the node at `address` has replied to a request that only the leader executes:
    /// the node leads, or forwards to the leader.
    pub(super) fn set_leader(&mut self, address: &str) {
        self.leader = Some(address.to_owned());
    }

    /// Takes over the membership from a report and, while the leader is unknown, the leader.
    pub(super) fn learn(&mut self, report: &Report) {
        let members = addresses(&report.membership);
        let unknown = members.filter(|address| !self.configured.iter().any(|own| own == address));
        self.learned = unknown.map(str::to_owned).collect();
        let leader = report.status.leader.and_then(|leader| report.membership.member(leader));
        if let (None, Some(leader)) = (&self.leader, leader)
            && !leader.address.as_str().is_empty()
        {
            self.leader = Some(leader.address.as_str().to_owned());
        }
    }
}

fn addresses(membership: &Membership) -> impl Iterator<Item = &str> {
    let addresses = membership.members().iter().map(|member| member.address.as_str());
    addresses.filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, NodeId};

    const NODES: usize = 4;

    fn address(node: usize) -> String {
        format!("n{node}:1")
    }

    fn hint(node: usize) -> LeaderHint {
        let address = Address::new(&address(node)).expect("it is short");
        LeaderHint { id: NodeId(node as u64), address }
    }

    /// The address of a node that never answers.
    const GONE: usize = NODES;

    /// A cluster of [`NODES`] nodes; those that are reachable name a leader.
    #[derive(Clone, Copy, Debug)]
    struct Cluster {
        leader: usize,
        /// The bits of the nodes that do not answer.
        down: u32,
        /// The bits of the nodes that name [`GONE`] instead of the leader.
        stale: u32,
    }

    impl Cluster {
        /// Makes one attempt to reach the leader, and returns whether it did.
        fn attempt(self, nodes: &mut Nodes) -> bool {
            let tried = nodes.leader();
            let node = (0..=GONE).find(|node| address(*node) == tried).expect("a known node");
            let is_leader = node == self.leader;
            match () {
                () if node == GONE || self.down >> node & 1 == 1 => nodes.mark_failed(&tried),
                () if is_leader => nodes.set_leader(&tried),
                () if self.stale >> node & 1 == 1 => nodes.follow_hint(&tried, Some(&hint(GONE))),
                () => nodes.follow_hint(&tried, Some(&hint(self.leader))),
            }
            is_leader
        }
    }

    #[test]
    fn a_client_finds_the_leader_once_it_has_tried_each_node_and_the_one_that_they_name() {
        let clusters = (0..NODES).flat_map(|leader| {
            let reachable = (0..1 << NODES).filter(move |down| down >> leader & 1 == 0);
            reachable.map(move |down| Cluster { leader, down, stale: 0 })
        });
        let clusters: Vec<Cluster> = clusters.collect();
        for (before, after) in
            clusters.iter().flat_map(|it| clusters.iter().map(move |to| (it, to)))
        {
            for start in 0..NODES {
                let mut nodes = Nodes::new((0..NODES).map(address).collect(), start);
                for cluster in [before, after] {
                    // An earlier leader may be tried first.
                    let attempts = (0..=NODES + 1).position(|_| cluster.attempt(&mut nodes));
                    assert!(attempts.is_some(), "from {start}, {before:?}, then {after:?}");
                    assert!(cluster.attempt(&mut nodes), "the client stays with the leader");
                }
            }
        }
    }

    #[test]
    fn a_client_finds_the_leader_although_other_nodes_name_one_that_never_answers() {
        for (leader, start) in (0..NODES).flat_map(|leader| (0..NODES).map(move |it| (leader, it)))
        {
            for stale in 0..1 << NODES {
                let cluster = Cluster { leader, down: 0, stale };
                let mut nodes = Nodes::new((0..NODES).map(address).collect(), start);
                let found = (0..2 * NODES).any(|_| cluster.attempt(&mut nodes));
                assert!(found, "from {start}, {cluster:?}");
            }
        }
    }

    #[test]
    fn a_node_for_any_request_stays_in_use_until_it_fails_and_then_each_other_is_tried() {
        for start in 0..NODES {
            let mut nodes = Nodes::new((0..NODES).map(address).collect(), start);
            let mut tried: Vec<String> = Vec::new();
            for _ in 0..NODES {
                let current = nodes.any();
                let other = if current == address(0) { 1 } else { 0 };
                nodes.mark_failed(&address(other));
                assert_eq!(nodes.any(), current, "it has not failed");
                nodes.mark_failed(&current);
                tried.push(current);
            }
            tried.sort();
            assert_eq!(tried, (0..NODES).map(address).collect::<Vec<_>>());
        }
    }
}
