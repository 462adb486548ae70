//! Where the nodes are, as far as the client knows, and which one to ask next.

use crate::types::{Membership, Report};
use crate::wire::LeaderHint;

/// The nodes that a client knows of.
#[derive(Debug)]
pub(super) struct Nodes {
    /// As the user gave them.
    configured: Vec<String>,
    /// As the membership has them; none of those configured.
    learnt: Vec<String>,
    leader: Option<String>,
    /// The place of the node that is asked where any will do.
    place: usize,
}

impl Nodes {
    /// Those configured. Clients that know the same nodes should not all begin with the same one:
    /// `start` tells them apart.
    pub(super) fn new(configured: Vec<String>, start: usize) -> Nodes {
        Nodes { configured, learnt: Vec::new(), leader: None, place: start }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.configured.len() + self.learnt.len()
    }

    /// The one to ask where any will do: the same until it fails.
    pub(super) fn any(&self) -> String {
        let place = self.place % self.count();
        let learnt = || &self.learnt[place - self.configured.len()];
        self.configured.get(place).unwrap_or_else(learnt).clone()
    }

    /// The leader, or whoever may know it.
    pub(super) fn leader(&self) -> String {
        self.leader.clone().unwrap_or_else(|| self.any())
    }

    /// The node at `address` was no use: the next one is asked from now on.
    pub(super) fn failed(&mut self, address: &str) {
        if self.leader.as_deref() == Some(address) {
            self.leader = None;
        }
        if self.any() == address {
            self.place = (self.place + 1) % self.count();
        }
    }

    /// The node at `address` does not lead; perhaps it knows who does.
    pub(super) fn redirected(&mut self, address: &str, leader: Option<&LeaderHint>) {
        let leader = leader.map(|leader| leader.address.as_str());
        match leader.filter(|leader| !leader.is_empty() && *leader != address) {
            Some(leader) => self.leader = Some(leader.to_owned()),
            None => self.failed(address),
        }
    }

    /// The node at `address` did what only the leader does.
    pub(super) fn leads(&mut self, address: &str) {
        if self.leader.as_deref() != Some(address) {
            self.leader = Some(address.to_owned());
        }
    }

    /// A node says who counts, and who leads.
    pub(super) fn learn(&mut self, report: &Report) {
        let members = addresses(&report.membership);
        let unknown = members.filter(|address| !self.configured.iter().any(|own| own == address));
        self.learnt = unknown.map(str::to_owned).collect();
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
