//! The nodes that an operation of the plan concerns.

use quorate::types::NodeId;

use crate::plan::{NodeSelector, Verb};
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
        match verb {
            Verb::Crash(node, ..)
            | Verb::Wipe(node, _)
            | Verb::RollBack(node, ..)
            | Verb::Stop(node, _)
            | Verb::LoadSpike(node, _)
            | Verb::PollReads(node, ..)
            | Verb::Pause(node, _)
            | Verb::Isolate(node, _)
            | Verb::BlockInbound(node, _)
            | Verb::BlockOutbound(node, _)
            | Verb::Strand(node, ..)
            | Verb::Cut(node, ..)
            | Verb::Flap(node, ..)
            | Verb::Clog(node, _)
            | Verb::ClockDrift(node, ..)
            | Verb::ClockStep(node, _)
            | Verb::SlowDisk(node, ..)
            | Verb::SlowApply(node, ..)
            | Verb::Misroute(node, _)
            | Verb::Replay(node, _)
            | Verb::Campaign(node)
            | Verb::FailCall(node, ..)
            | Verb::FillDisk(node, ..)
            | Verb::StallDisk(node, _)
            | Verb::Corrupt(node, _)
            | Verb::MisdirectWrite(node, ..)
            | Verb::LoseWrite(node, _)
            | Verb::Change(node, _)
            | Verb::CancelChange(node)
            | Verb::Transfer(node, _)
            | Verb::MachineFault(node, _) => self.of(*node),
            Verb::Split(..) | Verb::Only(..) | Verb::Request(_) => None,
        }
    }
}
