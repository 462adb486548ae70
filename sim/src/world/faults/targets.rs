//! The nodes that an operation of the plan concerns.

use quorate::types::NodeId;

use crate::faults::{NodeSelector, Verb};
use crate::world::cluster::Cluster;
use crate::world::place::Place;

/// The nodes that selectors stand for when an operation is executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    nodes: usize,
    /// The node that met the trigger.
    pub(crate) it: Option<Place>,
    other: Option<Place>,
    leader: Option<Place>,
}

impl Targets {
    /// Returns the nodes of an operation, with the node that met its trigger and that node's peer.
    pub(crate) fn new(cluster: &Cluster, it: Option<Place>, other: Option<Place>) -> Targets {
        Targets { nodes: cluster.len(), it, other: other.or(it), leader: cluster.leader() }
    }

    /// Returns the place of the selected node, if there is one.
    pub(crate) fn of(&self, node: NodeSelector) -> Option<Place> {
        match node {
            NodeSelector::Node(id) => self.place(id),
            NodeSelector::It => self.it,
            NodeSelector::Other => self.other,
            NodeSelector::Leader => self.leader,
        }
    }

    fn place(&self, id: NodeId) -> Option<Place> {
        Place::of(id, self.nodes)
    }

    /// Returns the place of the first node of an operation, if it has one.
    pub(crate) fn first_of(&self, verb: &Verb) -> Option<Place> {
        verb.extent().nodes.first().and_then(|node| self.of(*node))
    }
}
