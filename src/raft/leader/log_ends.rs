//! The requests of uncertain nodes for the last index of this leader's log. An uncertain node may
//! lack entries that it acknowledged, so it counts in no quorum (docs/REPAIR.md, R3).

use alloc::vec::Vec;

use crate::raft::common::Common;
use crate::types::{Body, Index, NodeId};

/// The requests for the last index of the log, at most one from each peer. A request is answered
/// once an entry that the leader appended after it is on the disks of a quorum, in which no
/// uncertain node counts: from then on, no candidate of a later term whose log ends before that
/// entry wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LogEnds {
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct Waiting {
    id: NodeId,
    /// The `start_id` of the request; the reply repeats it.
    start_id: u64,
    /// The entry that the leader appended after the request.
    entry: Index,
}

impl LogEnds {
    /// Whether this request waits already.
    pub(super) fn contains(&self, id: NodeId, start_id: u64) -> bool {
        self.waiting.iter().any(|waiting| (waiting.id, waiting.start_id) == (id, start_id))
    }

    /// Adds a request after which the leader appended `entry`. A request of an earlier start of the
    /// node is removed.
    pub(super) fn push(&mut self, id: NodeId, start_id: u64, entry: Index) {
        self.waiting.retain(|waiting| waiting.id != id);
        self.waiting.push(Waiting { id, start_id, entry });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Replies to the requests whose entry is at or before `reached`, the last index that a quorum
    /// without any uncertain node has on its disks. The reply has the last index of the log, and
    /// not the commit index: acknowledgements that the node sent before it became uncertain may
    /// still arrive, and let the leader commit entries after its present commit index.
    pub(super) fn answer(&mut self, common: &mut Common, reached: Index) {
        let last = common.log().last().index;
        self.waiting.retain(|Waiting { id, start_id, entry }| {
            let is_answered = *entry <= reached;
            if is_answered {
                common.send(*id, Body::LogEnd { start_id: *start_id, last });
            }
            !is_answered
        });
    }

    /// Panics if a request waits for an entry after `last`, where the log ends, or if two requests
    /// of one node wait.
    pub(super) fn assert_invariants(&self, last: Index) {
        let exist = self.waiting.iter().all(|waiting| waiting.entry <= last);
        assert!(exist, "a request waits for an entry of the log");
        let mut rest = self.waiting.iter();
        while let Some(waiting) = rest.next() {
            let is_last = rest.clone().all(|other| other.id != waiting.id);
            assert!(is_last, "a later request of a node replaces the one before it");
        }
    }
}
