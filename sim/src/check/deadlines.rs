//! Deadlines in the stabilization phase: a core node answers requests (L2) and catches up (L5)
//! within a bound derived from the run's settings.

use std::collections::BTreeMap;

use quorate::raft::{RejectReason, Status};
use quorate::types::{Index, NodeId, Tag};

use crate::check::costs::Volume;
use crate::check::finding::{CheckResult, L2, L5};
use crate::check::known::Known;
use crate::check::log::Log;
use crate::check::model::DiskRef;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::check::wait_reason::describe_wait;
use crate::values::time::SimTime;

/// The requests and catch-ups that the core must complete in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    /// The requests that nodes received and have not answered.
    requests: BTreeMap<Tag, PendingRequest>,
    stabilization: Option<Stabilization>,
}

/// A request that a node received and has not answered.
#[derive(Clone, Copy, Debug)]
struct PendingRequest {
    slot: Slot,
    at: SimTime,
    /// Whether the node may answer only after every live voter has the entry.
    for_all_live: bool,
}

/// The state of the stabilization phase.
#[derive(Clone, Debug)]
struct Stabilization {
    since: SimTime,
    /// The core nodes that lag, each with the time from which its deadline counts and the index
    /// that it must apply.
    behind: BTreeMap<Slot, (SimTime, Index)>,
    /// For each leader, the time until which it counts a voter outside the core as live although
    /// that voter lacks a committed entry.
    held_back: BTreeMap<Slot, SimTime>,
    /// The time until which a core node needed a snapshot. A deadline that allows no time for
    /// snapshots counts from this time at the earliest.
    lagged_until: SimTime,
    /// The lowest applied index of a core node, at the start of the phase or at a later start of
    /// that node.
    applied: Index,
    /// The earliest time at which a deadline may expire.
    next: SimTime,
}

impl Rule for Deadlines {
    fn new(_: &Known) -> Deadlines {
        Deadlines::default()
    }

    fn request_received(&mut self, known: &Known, node: NodeId, tag: Tag) -> CheckResult {
        let (slot, at) = (known.model.slot(node), known.now);
        self.requests.insert(tag, PendingRequest { slot, at, for_all_live: false });
        if let Some(stabilization) = &mut self.stabilization {
            stabilization.next = stabilization.next.min(at);
        }
        Ok(())
    }

    fn request_for_all_live(&mut self, _: &Known, tag: Tag) -> CheckResult {
        self.requests.entry(tag).and_modify(|request| request.for_all_live = true);
        Ok(())
    }

    fn request_answered(&mut self, _: &Known, tag: Tag, _: Option<RejectReason>) -> CheckResult {
        self.requests.remove(&tag);
        Ok(())
    }

    fn crashed(&mut self, known: &Known, node: NodeId) -> CheckResult {
        let slot = known.model.slot(node);
        self.requests.retain(|_, request| request.slot != slot);
        Ok(())
    }

    /// Records a reply that a leader received from a peer. A voter outside the core that replies
    /// but never receives the committed entries delays every proposal that waits for all live
    /// voters, forever if the fault that separates it is permanent.
    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, _: Index) -> CheckResult {
        let Some(stabilization) = &mut self.stabilization else { return Ok(()) };
        let model = &known.model;
        let (leader, peer) = (model.slot(id), model.slot(peer));
        let electorate = model.electorate(leader);
        let committed = model.node(leader).status.map_or(Index::ZERO, |status| status.committed);
        let which = || model.node(peer).disk_named_by(&electorate.membership);
        let lacks = |of: &Log| of.id_at(committed) != model.committed.id_at(committed);
        let answers = || electorate.is_voter(peer) && which() == Some(DiskRef::Current);
        let until = known.now.after(known.bounds.config.election_timeout_max);
        if !known.is_in_core(peer) && answers() && lacks(&model.node(peer).disk.log) {
            stabilization.held_back.insert(leader, until);
        }
        Ok(())
    }

    /// Starts the stabilization phase, with deadlines for the nodes of the core.
    fn stabilized(&mut self, known: &Known) -> CheckResult {
        let Known { model, now, .. } = known;
        let slots = || model.slots().filter(|slot| known.is_in_core(*slot));
        let target = model.committed.last();
        let statuses = slots().filter_map(|slot| model.node(slot).status);
        let least = statuses.map(|status| status.applied).min().unwrap_or(target);
        let applied = |slot| model.node(slot).status.map_or(Index::ZERO, |status| status.applied);
        let behind = slots().filter(|slot| applied(*slot) < target);
        let behind = behind.map(|slot| (slot, (*now, target))).collect();
        self.stabilization = Some(Stabilization {
            since: *now,
            behind,
            held_back: BTreeMap::new(),
            lagged_until: *now,
            applied: least,
            next: *now,
        });
        Ok(())
    }

    /// Starts the catch-up deadline of a core node that starts with this status.
    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (model, now, applied) = (&known.model, known.now, status.applied);
        let slot = model.slot(status.id);
        let Some(stabilization) = self.stabilization.as_mut().filter(|_| known.is_in_core(slot))
        else {
            return Ok(());
        };
        let target = model.committed.last();
        if applied < target {
            stabilization.behind.insert(slot, (now, target));
        }
        stabilization.applied = stabilization.applied.min(applied);
        stabilization.next = stabilization.next.min(now);
        Ok(())
    }

    /// Ends the catch-up deadline of a node that has applied the index that it must apply.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Some(stabilization) = &mut self.stabilization else { return Ok(()) };
        let slot = known.model.slot(status.id);
        if stabilization.behind.get(&slot).is_some_and(|(_, target)| *target <= status.applied) {
            stabilization.behind.remove(&slot);
        }
        Ok(())
    }
}

impl Deadlines {
    /// Checks all deadlines at the time of the observation.
    #[inline]
    pub(super) fn check(&mut self, known: &Known) -> CheckResult {
        let (model, now) = (&known.model, known.now);
        let Some(stabilization) =
            self.stabilization.as_mut().filter(|stabilization| stabilization.next <= now)
        else {
            return Ok(());
        };
        let needs_snapshot = needs_snapshot(known);
        let bound = known.bounds.recovery_time_max(stabilization.volume(known, needs_snapshot));
        stabilization.next = SimTime(u64::MAX);
        let mut earliest = stabilization.lagged_until;
        if needs_snapshot {
            // The check looks again soon, to learn when the last snapshot has arrived.
            stabilization.lagged_until = now.after(known.bounds.config.election_timeout_min);
            stabilization.next = stabilization.lagged_until;
            earliest = SimTime::default();
        }
        // The time of a request counts from its arrival at the driver, which may hold it for a
        // while.
        let bound_of_request = bound + known.bounds.gather;
        for (tag, PendingRequest { slot, at, for_all_live }) in &self.requests {
            if !known.is_in_core(*slot) {
                continue;
            }
            let held_back = stabilization.held_back.get(slot).filter(|_| *for_all_live);
            let since = stabilization.since.max(*at).max(held_back.copied().unwrap_or_default());
            let since = earliest.max(since);
            if now.since(since) >= bound_of_request {
                let (id, waits) = (model.node(*slot).id, describe_wait(known, *slot));
                return L2.violated(format!(
                    "{id} has not answered request {tag} within {bound_of_request:?} after {since} \
                     s: {waits}"
                ));
            }
            stabilization.next = stabilization.next.min(since.after(bound_of_request));
        }
        for (slot, (since, target)) in &mut stabilization.behind {
            let id = model.node(*slot).id;
            if !known.is_member(*slot) {
                // A node outside the membership receives nothing, so its deadline counts from the
                // time at which it becomes a member.
                *since = now;
            }
            let since = earliest.max(*since);
            if now.since(since) >= bound {
                let waits = describe_wait(known, *slot);
                return L5.violated(format!(
                    "{id} has not applied index {target} within {bound:?} after {since} s: {waits}"
                ));
            }
            stabilization.next = stabilization.next.min(since.after(bound));
        }
        Ok(())
    }
}

impl Stabilization {
    /// The most that the core may have to send, write and apply: all entries from the lowest
    /// applied index to the end of the longest log and, if a node `needs_snapshot`, five snapshots
    /// for each node.
    fn volume(&self, known: &Known, needs_snapshot: bool) -> Volume {
        let model = &known.model;
        let longest = model.nodes.iter().map(|node| &node.memory.log).max_by_key(|log| log.last());
        let longest = longest.expect("there are nodes");
        let nodes = model.nodes.len() as u64;
        Volume {
            entries: longest.last().0.saturating_sub(self.applied.0),
            entry_bytes: longest.bytes_after(self.applied, &model.entries),
            // Two snapshots for each node, because a later snapshot may replace one that is being
            // sent. Three more, because a node may first wait for a source that is gone, up to
            // three times as long as a source needs to serve every node.
            snapshot_bytes: if needs_snapshot { 5 * nodes * known.snapshot_bytes } else { 0 },
        }
    }
}

/// Whether the log of a core node ends before the base of another one's log.
fn needs_snapshot(known: &Known) -> bool {
    let model = &known.model;
    let slots = || model.slots().filter(|slot| known.is_in_core(*slot));
    let base = slots().filter_map(|slot| model.node(slot).status).map(|status| status.base);
    let ends = slots().map(|slot| model.node(slot).memory.log.last());
    ends.min() < base.max()
}
