//! Application of entries: in order (S15), not ahead of the log on the disk (S37), equal on all
//! nodes (S11), and complete at the end of the run (S18). S11, S15 and S18 have parts in
//! other files.

use quorate::types::{Entry, Index, NodeId, SnapshotMeta};

use crate::check::finding::{CheckResult, S11, S15, S18, S37};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The last index that each node's state machine has applied.
#[derive(Clone, Debug)]
pub(super) struct Apply {
    applied: Vec<Index>,
}

impl Rule for Apply {
    fn new(known: &Known) -> Apply {
        Apply { applied: vec![Index::ZERO; known.model.nodes.len()] }
    }

    fn before_applied(&mut self, known: &Known, id: NodeId, entries: &[Entry]) -> CheckResult {
        let model = &known.model;
        let node_applied = &mut self.applied[model.slot(id).0];
        let committed = model.of(id).status.map_or(Index::ZERO, |status| status.committed);
        for entry in entries {
            let (index, applied) = (entry.id.index, *node_applied);
            if index != applied.next() {
                return S15.violated(format!(
                    "{id} applies index {index} directly after index {applied}"
                ));
            }
            if index > committed {
                return S15.violated(format!(
                    "{id} applies index {index}, but its commit index is {committed}"
                ));
            }
            let decided = model.committed.id_at(index);
            if decided != Some(entry.id) || !model.entries.has(entry) {
                let decided = decided.unwrap_or_default();
                let difference = if decided == entry.id { " with different content" } else { "" };
                let entry = entry.id;
                return S11.violated(format!(
                    "{id} applies entry {entry}, but the committed entry at that index is \
                     {decided}{difference}"
                ));
            }
            *node_applied = index;
        }
        let (held, applied) = (model.of(id).disk.log.last(), *node_applied);
        if known.bounds.machine_is_durable && applied > held {
            return S37.violated(format!(
                "{id}'s state machine makes its own state durable and applies index {applied}, but \
                 the log on its disk ends at index {held}"
            ));
        }
        Ok(())
    }

    /// Checks that the disk has the last entry of a snapshot: if the log ended before that entry,
    /// it would have a gap after a crash.
    fn snapshot_taken(&mut self, known: &Known, id: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let log = &known.model.of(id).disk.log;
        let (last, held) = (meta.last, log.last());
        if held >= last.index {
            return Ok(());
        }
        S37.violated(format!(
            "{id} takes a snapshot that ends with {last}, but the log on its disk ends at index \
             {held}"
        ))
    }

    // `index` is the last applied index of a state machine that starts: empty, from a snapshot, or
    // from its own durable state.
    fn machine_started(&mut self, known: &Known, node: NodeId, index: Index) -> CheckResult {
        self.applied[known.model.slot(node).0] = index;
        Ok(())
    }

    /// Checks, at the end of the run, that the nodes of the core that are still members have
    /// applied all acknowledged commands.
    fn ended(&mut self, known: &Known) -> CheckResult {
        let acknowledged = known.operations.acknowledged;
        for slot in known.members_at_rest() {
            let (id, applied) = (known.model.node(slot).id, self.applied[slot.0]);
            if applied < acknowledged {
                return S18.violated(format!(
                    "{id} has applied only index {applied} at the end of the run, but index \
                     {acknowledged} was acknowledged to a client"
                ));
            }
        }
        Ok(())
    }
}
