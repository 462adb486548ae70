//! Rejected requests: S87. A node rejects a request only for a reason that holds: another node
//! leads, its disk is full, or entries or reads are pending.

use std::collections::BTreeMap;

use quorate::raft::{RejectReason, RoleName, Status};
use quorate::types::{NodeId, Tag};

use crate::check::finding::{CheckResult, S87};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// The requests that nodes have not answered.
#[derive(Clone, Debug, Default)]
pub(super) struct RejectedRequests {
    requests: BTreeMap<Tag, Request>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    slot: Slot,
    /// Whether the node may answer only after every live voter has the entry.
    for_all_live: bool,
}

impl Rule for RejectedRequests {
    fn new(_: &Known) -> RejectedRequests {
        RejectedRequests::default()
    }

    fn request_received(&mut self, known: &Known, node: NodeId, tag: Tag) -> CheckResult {
        let slot = known.model.slot(node);
        self.requests.insert(tag, Request { slot, for_all_live: false });
        Ok(())
    }

    fn request_for_all_live(&mut self, _: &Known, tag: Tag) -> CheckResult {
        self.requests.entry(tag).and_modify(|request| request.for_all_live = true);
        Ok(())
    }

    fn crashed(&mut self, known: &Known, node: NodeId) -> CheckResult {
        let slot = known.model.slot(node);
        self.requests.retain(|_, request| request.slot != slot);
        Ok(())
    }

    /// Checks the reason for a rejection in the node's last step.
    fn request_answered(
        &mut self,
        known: &Known,
        tag: Tag,
        rejected: Option<RejectReason>,
    ) -> CheckResult {
        let Some(Request { slot, .. }) = self.requests.remove(&tag) else { return Ok(()) };
        let Some(reason) = rejected.filter(|_| !known.is_late) else { return Ok(()) };
        let Some(status) = known.model.node(slot).status else { return Ok(()) };
        let before = known.status_before(&status).filter(|before| before.id == status.id);
        let Some(before) = before.filter(|_| !known.model.last_survivor_enabled) else {
            return Ok(());
        };
        let is_true = match reason {
            RejectReason::NotLeader { leader } => {
                let leads = |it: &Status| it.role == RoleName::Leader;
                let is_named = leader == before.leader || leader == status.leader;
                is_named && !(leads(&before) && leads(&status))
            }
            RejectReason::DiskFull => before.disk_full || status.disk_full,
            RejectReason::Busy => self.may_be_busy(known, slot, &before, &status),
            _ => true,
        };
        if is_true {
            return Ok(());
        }
        let Status { id, role, term, .. } = status;
        S87.violated(format!(
            "{id} rejects request {tag} with the reason \"{reason}\", but is a {role} in term \
             {term} that has nothing pending and no full disk, or knows another leader"
        ))
    }
}

impl RejectedRequests {
    /// Whether entries or reads are pending at the node, or it has not committed an entry of its
    /// term as a leader.
    fn may_be_busy(&self, known: &Known, slot: Slot, before: &Status, status: &Status) -> bool {
        let committed = known.model.committed.id_at(before.committed).unwrap_or_default();
        let is_leader = [before, status].iter().any(|it| it.role == RoleName::Leader);
        let is_new = is_leader && committed.term != before.term;
        let has_entries = before.applied.min(before.durable) < before.last.index
            || status.last.index > before.last.index;
        let has_reads = before.reads_waiting > 0 || status.reads_waiting > 0;
        let mut others = self.requests.values().filter(|request| request.slot == slot);
        let waits_for_all = others.any(|request| request.for_all_live);
        is_new || (is_leader && has_entries) || has_reads || (is_leader && waits_for_all)
    }
}
