//! The nodes that an operation of the plan concerns.

use crate::faults::{NodeSelector, SelectLinks};
use crate::world::cluster::Cluster;
use crate::world::network::links::Links;
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
            NodeSelector::Node(id) => Place::of(id, self.nodes),
            NodeSelector::It => self.it,
            NodeSelector::Other => self.other,
            NodeSelector::Leader => self.leader,
        }
    }

    /// Returns the selected links, if their nodes are known.
    pub(crate) fn links(&self, select: &SelectLinks<'_>) -> Option<Links> {
        let selected = select(&|node| self.of(node).map(Place::id))?;
        let places = (0..self.nodes).map(|place| Place(place as u8));
        Some(Links::between(places, |from, to| selected(from.id(), to.id())))
    }
}
