//! After the storm: requests are answered (L2), and who lags or starts catches up (L5), within a
//! bound that the run's settings give.

use std::collections::BTreeMap;

use quorate::types::{Index, SnapshotMeta, Tag};

use crate::check::bounds::Bounds;
use crate::check::costs::Volume;
use crate::check::finding::{L2, L5, Verdict};
use crate::check::log::Log;
use crate::check::model::{Model, Which};
use crate::check::nodes::{Nodes, Slot};
use crate::check::waits::waits;
use crate::time::SimTime;

/// What is due of the core.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// The requests that nodes took and did not answer.
    asked: BTreeMap<Tag, Asked>,
    /// The bytes of the largest snapshot so far.
    snapshot_bytes: u64,
    calm: Option<Calm>,
}

/// A request that a node took.
#[derive(Clone, Copy, Debug)]
struct Asked {
    slot: Slot,
    at: SimTime,
    /// Whether it is to be answered only once every live voter has it.
    for_all_live: bool,
}

/// Since the storm is over.
#[derive(Clone, Debug)]
struct Calm {
    core: Nodes,
    since: SimTime,
    /// Each node of the core that lags: since when, and how far it has to get.
    behind: BTreeMap<Slot, (SimTime, Index)>,
    /// Until when each leader takes a voter outside the core for alive that lacks an entry.
    held_back: BTreeMap<Slot, SimTime>,
    /// The least that any of the core had applied at first.
    applied: Index,
    /// Nothing is overdue before this.
    next: SimTime,
}

impl Due {
    /// A node took a request.
    pub(super) fn asked(&mut self, slot: Slot, tag: Tag, now: SimTime) {
        self.asked.insert(tag, Asked { slot, at: now, for_all_live: false });
        if let Some(calm) = &mut self.calm {
            calm.next = calm.next.min(now);
        }
    }

    /// A request is to be answered only once every live voter has it.
    pub(super) fn for_all_live(&mut self, tag: Tag) {
        if let Some(asked) = self.asked.get_mut(&tag) {
            asked.for_all_live = true;
        }
    }

    /// A node answered a request.
    pub(super) fn answered(&mut self, tag: Tag) {
        self.asked.remove(&tag);
    }

    /// A node forgets what it was asked.
    pub(super) fn crashed(&mut self, slot: Slot) {
        self.asked.retain(|_, asked| asked.slot != slot);
    }

    /// A leader took a peer's answer. A voter that answers and does not get what is committed holds
    /// back what all live voters are to have, for ever if a fault outside the core stays.
    pub(super) fn counted(
        &mut self,
        model: &Model,
        bounds: &Bounds,
        (leader, peer): (Slot, Slot),
        now: SimTime,
    ) {
        let Some(calm) = self.calm.as_mut().filter(|calm| !calm.core.contains(peer)) else {
            return;
        };
        let electorate = model.electorate(leader);
        let committed = model.node(leader).status.map_or(Index::ZERO, |status| status.committed);
        let which = model.node(peer).named_by(&electorate.membership);
        let lacks = |of: &Log| of.id_at(committed) != model.committed.id_at(committed);
        let answers = which == Some(Which::Present) && electorate.is_voter(peer);
        if answers && lacks(&model.node(peer).disk.log) {
            calm.held_back.insert(leader, now.after(bounds.config.election_timeout_max));
        }
    }

    pub(super) fn snapshot(&mut self, meta: &SnapshotMeta) {
        self.snapshot_bytes = self.snapshot_bytes.max(meta.bytes);
    }

    /// The storm is over: from now on these nodes are due.
    pub(super) fn calm(&mut self, model: &Model, core: Nodes, now: SimTime) {
        let slots = || model.slots().filter(|slot| core.contains(*slot));
        let target = model.committed.last();
        let statuses = slots().filter_map(|slot| model.node(slot).status);
        let least = statuses.map(|status| status.applied).min().unwrap_or(target);
        let applied = |slot| model.node(slot).status.map_or(Index::ZERO, |status| status.applied);
        let behind = slots().filter(|slot| applied(*slot) < target);
        let behind = behind.map(|slot| (slot, (now, target))).collect();
        let (since, held_back, next) = (now, BTreeMap::new(), now);
        self.calm = Some(Calm { core, since, behind, held_back, applied: least, next });
    }

    /// A node of the core starts, and has applied so much.
    pub(super) fn started(&mut self, model: &Model, slot: Slot, applied: Index, now: SimTime) {
        let Some(calm) = self.calm.as_mut().filter(|calm| calm.core.contains(slot)) else { return };
        let target = model.committed.last();
        if applied < target {
            calm.behind.insert(slot, (now, target));
        }
        calm.applied = calm.applied.min(applied);
        calm.next = calm.next.min(now);
    }

    /// A node has applied so much.
    pub(super) fn applied(&mut self, slot: Slot, applied: Index) {
        let Some(calm) = &mut self.calm else { return };
        if calm.behind.get(&slot).is_some_and(|(_, target)| *target <= applied) {
            calm.behind.remove(&slot);
        }
    }

    /// Time has come to `now`.
    pub(super) fn look(&mut self, model: &Model, bounds: &Bounds, now: SimTime) -> Verdict {
        let Some(calm) = self.calm.as_mut().filter(|calm| calm.next <= now) else { return Ok(()) };
        let bound = bounds.due(calm.volume(model, self.snapshot_bytes));
        calm.next = SimTime(u64::MAX);
        for (tag, Asked { slot, at, for_all_live }) in &self.asked {
            if !calm.core.contains(*slot) {
                continue;
            }
            let held_back = calm.held_back.get(slot).filter(|_| *for_all_live);
            let since = calm.since.max(*at).max(held_back.copied().unwrap_or_default());
            if now.since(since) >= bound {
                let (id, waits) = (model.node(*slot).id, waits(model, calm.core, *slot));
                return L2.broken(format!(
                    "{id} has not answered {tag} within {bound:?} of {since}s: {waits}"
                ));
            }
            calm.next = calm.next.min(since.after(bound));
        }
        let members = &model.committed.electorate().membership;
        for (slot, (since, target)) in &mut calm.behind {
            let id = model.node(*slot).id;
            if !members.is_member(id) {
                // Nobody sends it anything; if it becomes a member, it has all the time again.
                *since = now;
            } else if now.since(*since) >= bound {
                let waits = waits(model, calm.core, *slot);
                return L5.broken(format!(
                    "{id} has not applied {target} within {bound:?} of {since}s: {waits}"
                ));
            }
            calm.next = calm.next.min(since.after(bound));
        }
        Ok(())
    }
}

impl Calm {
    /// What the core may have to send, write and apply: from what the last of them had at first to
    /// the end of the longest log anywhere, and each peer a snapshot if one lags that far.
    fn volume(&self, model: &Model, snapshot_bytes: u64) -> Volume {
        let slots = || model.slots().filter(|slot| self.core.contains(*slot));
        let longest = model.nodes.iter().map(|node| &node.memory.log).max_by_key(|log| log.last());
        let longest = longest.expect("there are nodes");
        let base = slots().filter_map(|slot| model.node(slot).status).map(|status| status.base);
        let ends = slots().map(|slot| model.node(slot).memory.log.last());
        let lags = ends.min() < base.max();
        let peers = model.nodes.len() as u64 - 1;
        Volume {
            entries: longest.last().0.saturating_sub(self.applied.0),
            entry_bytes: longest.bytes_after(self.applied, &model.entries),
            // A snapshot may give way to a later one while it travels.
            snapshot_bytes: if lags { 2 * peers * snapshot_bytes } else { 0 },
        }
    }
}
