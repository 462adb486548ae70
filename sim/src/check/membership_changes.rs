//! Membership changes in the stabilization phase: a leader takes each step in time (L11).

use quorate::raft::{RoleName, Status};
use quorate::types::{Index, NodeId};

use crate::check::costs::Volume;
use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, L11};
use crate::check::known::Known;
use crate::check::model::DiskRef;
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The step of a membership change that the leader in the core has yet to append.
#[derive(Clone, Debug, Default)]
pub(super) struct MembershipChanges {
    is_stable: bool,
    /// The leader, the index of its membership, and the time from which its deadline counts.
    waits: Option<(NodeId, Index, SimTime)>,
}

impl Rule for MembershipChanges {
    fn new(_: &Known) -> MembershipChanges {
        MembershipChanges::default()
    }

    fn stabilized(&mut self, _: &Known) -> CheckResult {
        self.is_stable = true;
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (id, slot) = (status.id, known.model.slot(status.id));
        let leads = status.role == RoleName::Leader && known.is_in_core(slot);
        if !self.is_stable || !leads {
            return Ok(());
        }
        let electorate = known.model.electorate(slot);
        let membership = &electorate.membership;
        if membership.is_settled() || !is_served_by_core(known, electorate) {
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
        let bound = known.bounds.recovery_time_max(volume(known, slot));
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

/// The most that the new voters may have to receive: the whole log, and five snapshots for each
/// node. Two of them are sent if a later snapshot replaces one that is being sent. The other three
/// stand for the wait for a source that is gone: a node waits up to three times as long as a source
/// needs to serve every node.
fn volume(known: &Known, leader: Slot) -> Volume {
    let log = &known.model.node(leader).memory.log;
    Volume {
        entries: log.last().0,
        entry_bytes: log.bytes_after(Index::ZERO, &known.model.entries),
        snapshot_bytes: 5 * known.model.nodes.len() as u64 * known.snapshot_bytes,
    }
}

/// Whether the core can take the next step: it has all new voters, and a quorum of the membership.
/// Nodes count if they have the disk that the membership names, and are certain of their logs.
fn is_served_by_core(known: &Known, electorate: &Electorate) -> bool {
    let membership = &electorate.membership;
    let counts = |slot: &Slot| {
        let node = known.model.node(*slot);
        known.is_in_core(*slot)
            && node.disk_named_by(membership) == Some(DiskRef::Current)
            && !node.is_uncertain()
    };
    let serving: Nodes = known.model.slots().filter(counts).collect();
    let mut target = membership.target().iter();
    electorate.decision(serving) == Decision::Quorum
        && target.all(|id| serving.contains(known.model.slot(*id)))
}
