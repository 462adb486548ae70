//! Disks that are founded with a membership, and disks that are lost.

use quorate::types::{EntryId, Incarnation, Index, Membership, NodeId, SnapshotMeta, Write};
use quorate_sim::observe::Seen;

use crate::echo::Echo;
use crate::stage::{Actor, Stage};

impl Stage {
    /// Three fresh nodes without a membership.
    pub(crate) fn unfounded() -> Stage {
        Stage::among(&[1, 2, 3].map(NodeId), Membership::default(), Echo::default())
    }

    /// The life of the node's disk.
    pub(super) fn disk_of(&self, node: u64) -> Incarnation {
        self.disks.get(&node).copied().unwrap_or(Incarnation(node.into()))
    }

    /// The node loses its disk, and starts on an empty one.
    pub(crate) fn wipes(&mut self, node: u64) {
        let incarnation = Incarnation(100 + u128::from(node));
        self.crashes(node);
        self.disks.insert(node, incarnation);
        *self.actor(node) = Actor::new(NodeId(node));
        self.sees(Seen::Wiped { node: NodeId(node), incarnation });
        self.starts(node);
    }

    /// The node gives its disk the first membership of the cluster.
    pub(crate) fn founds(&mut self, node: u64, membership: &Membership) {
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let install = Some(SnapshotMeta::empty(EntryId::ZERO, membership.clone()));
        let (id, hard_state, entries) = (actor.write, None, Vec::new());
        let write = Write { id, hard_state, committed: Index::ZERO, install, entries };
        actor.pending.push(write.clone());
        self.sees(Seen::Submitted { node: NodeId(node), write: &write });
    }
}
