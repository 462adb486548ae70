//! The effects of faults that last.

use std::time::Duration;

use crate::faults::{Fault, Lasting};
use crate::observer::Observer;
use crate::values::time::SimTime;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::network::links::Links;
use crate::world::place::Place;

/// The effect of a fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// The links that are blocked.
    Blocked(Links),
    /// Links that go down and up again.
    Flapping { links: Links, period: Duration, until: SimTime, down: bool },
    /// A node that is changed.
    OnNode(Place, Lasting),
    /// A node at which a client reads repeatedly.
    PollingReads { place: Place, period: Duration, until: SimTime },
    /// A copy of a disk that will replace the disk; the node is then down for this duration.
    RollbackPending(Place, Duration),
}

impl Effect {
    /// Returns true if the fault affects the node; `cluster` has all nodes.
    fn affects(&self, place: Place, cluster: &Cluster) -> bool {
        match *self {
            Effect::Blocked(links) | Effect::Flapping { links, .. } => {
                cluster.places().any(|other| links.has(place, other) || links.has(other, place))
            }
            Effect::OnNode(affected, _)
            | Effect::PollingReads { place: affected, .. }
            | Effect::RollbackPending(affected, _) => affected == place,
        }
    }

    /// Counts a fault that takes effect, and the roles of the affected nodes.
    pub(crate) fn count(&self, fault: Fault, cluster: &Cluster, observer: &mut Observer) {
        let affected = cluster.nodes().filter(|node| self.affects(node.place, cluster));
        observer.fault_of_many(fault, affected.filter_map(Node::role));
    }
}
