//! Membership changes in the stabilization phase: each step of one follows in time (L11).

use quorate::raft::{RoleName, Status};
use quorate::types::{Index, Membership, NodeId, SnapshotMeta};

use crate::check::costs::Volume;
use crate::check::finding::{CheckResult, L11};
use crate::check::known::Known;
use crate::check::model::DiskRef;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The step of a membership change that the leader of the core waits with.
#[derive(Clone, Debug, Default)]
pub(super) struct MembershipChanges {
    is_stable: bool,
    /// The leader, the index of its membership, and the time from which its deadline counts.
    waits: Option<(NodeId, Index, SimTime)>,
    /// The size of the largest snapshot so far, in bytes.
    snapshot_bytes: u64,
}

impl Rule for MembershipChanges {
    fn new(_: &Known) -> MembershipChanges {
        MembershipChanges::default()
    }

    fn stabilized(&mut self, _: &Known) -> CheckResult {
        self.is_stable = true;
        Ok(())
    }

    fn snapshot_taken(&mut self, _: &Known, _: NodeId, meta: &SnapshotMeta) -> CheckResult {
        self.snapshot_bytes = self.snapshot_bytes.max(meta.bytes);
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (id, slot) = (status.id, known.model.slot(status.id));
        let leads = status.role == RoleName::Leader && known.is_in_core(slot);
        if !self.is_stable || !leads {
            return Ok(());
        }
        let membership = &known.model.electorate(slot).membership;
        if membership.is_settled() || !is_served_by_core(known, membership) {
            self.waits = None;
            return Ok(());
        }
        let memberships = known.model.node(slot).memory.log.electorates();
        let index = memberships.last().map_or(Index::ZERO, |(index, _)| *index);
        let since = match self.waits {
            Some((leader, at, since)) if (leader, at) == (id, index) => since,
            _ => known.now,
        };
        self.waits = Some((id, index, since));
        let bound = known.bounds.recovery_time_max(self.volume(known, slot));
        if known.now.since(since) <= bound {
            return Ok(());
        }
        L11.violated(format!(
            "{id} leads term {} and has appended no step after the membership {membership} at \
             index {index} within {bound:?} after {since} s",
            status.term
        ))
    }
}

impl MembershipChanges {
    /// The most that a new voter has to receive: the whole log, and two snapshots.
    fn volume(&self, known: &Known, leader: Slot) -> Volume {
        let log = &known.model.node(leader).memory.log;
        Volume {
            entries: log.last().0,
            entry_bytes: log.bytes_after(Index::ZERO, &known.model.entries),
            snapshot_bytes: 2 * self.snapshot_bytes,
        }
    }
}

/// Whether every node that the change needs is in the core, has the disk that the membership names,
/// and is certain of its log.
fn is_served_by_core(known: &Known, membership: &Membership) -> bool {
    let mut needed = membership.voters().chain(membership.target().iter().copied());
    needed.all(|id| {
        let slot = known.model.slot(id);
        let node = known.model.node(slot);
        known.is_in_core(slot)
            && node.disk_named_by(membership) == Some(DiskRef::Current)
            && !node.is_uncertain()
    })
}
