//! The place of a node in the world, and its starts.

use quorate::storage::ClusterId;
use quorate::types::NodeId;

use crate::values::choice::{Key, Kind};

/// The cluster id of every run.
pub(crate) const CLUSTER: ClusterId = ClusterId(0x51);

/// The index of a node in the world's list: its id minus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u8);

/// One start of a node's process, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start {
    pub(crate) place: Place,
    pub(crate) number: u32,
}

impl Start {
    /// Returns the key of a choice in this start.
    pub(crate) fn key(self, kind: Kind, counter: u32) -> Key {
        Key { node: self.place.0 + 1, start_number: self.number, counter, ..kind.key() }
    }
}

impl Place {
    /// Returns the place of node `id`, if it is one of the world's `nodes` nodes.
    pub(crate) fn of(id: NodeId, nodes: usize) -> Option<Place> {
        let place = id.0.checked_sub(1)?;
        ((place as usize) < nodes).then_some(Place(place as u8))
    }

    /// Returns the id of the node at this place.
    pub(crate) fn id(self) -> NodeId {
        NodeId(u64::from(self.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_nodes_have_no_place() {
        assert_eq!(Place::of(NodeId(0), 3), None);
        assert_eq!(Place::of(NodeId(4), 3), None);
        assert_eq!(Place::of(NodeId(3), 3), Some(Place(2)));
    }
}
