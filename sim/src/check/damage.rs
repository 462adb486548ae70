//! Damaged entries of the nodes' logs: what a node acknowledges (S35), and what it regards as
//! repaired (S36). The content of a repaired entry needs no check of its own: it is applied, or sent
//! to other nodes, like that of any other entry (S8, S11).

use std::collections::BTreeSet;

use quorate::types::{EntryId, Index, NodeId, Write};

use crate::check::finding::{CheckResult, S35, S36};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, the entries of its log that it knows to be damaged.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    damaged: Vec<BTreeSet<Index>>,
}

impl Rule for Damage {
    fn new(known: &Known) -> Damage {
        Damage { damaged: vec![BTreeSet::new(); known.model.nodes.len()] }
    }

    fn crashed(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.damaged[known.model.slot(node).0].clear();
        Ok(())
    }

    fn entries_damaged(&mut self, known: &Known, id: NodeId, entries: &[EntryId]) -> CheckResult {
        let slot = known.model.slot(id);
        let log = &known.model.node(slot).memory.log;
        // A read may return an entry that was truncated in the meantime.
        let in_log = entries.iter().filter(|entry| log.id_at(entry.index) == Some(**entry));
        self.damaged[slot.0].extend(in_log.map(|entry| entry.index));
        Ok(())
    }

    /// Forgets the damaged entries that a write truncates or replaces by a snapshot.
    fn submitted(&mut self, known: &Known, node: NodeId, write: &Write) -> CheckResult {
        let damaged = &mut self.damaged[known.model.slot(node).0];
        if write.install.is_some() {
            damaged.clear();
        }
        if let Some(first) = write.entries.first() {
            damaged.split_off(&first.id.index);
        }
        Ok(())
    }

    fn entries_repaired(
        &mut self,
        known: &Known,
        id: NodeId,
        entries: &[EntryId],
        missing: &[EntryId],
    ) -> CheckResult {
        let damaged = &mut self.damaged[known.model.slot(id).0];
        entries.iter().for_each(|entry| _ = damaged.remove(&entry.index));
        let Some(missing) = missing.first() else { return Ok(()) };
        S36.violated(format!(
            "{id} regards its damaged entry {missing} as repaired, but its disk does not hold the \
             entry"
        ))
    }

    fn acknowledged(&mut self, known: &Known, id: NodeId, matched: Index) -> CheckResult {
        let slot = known.model.slot(id);
        let snapshot = known.model.node(slot).status.map(|status| status.snapshot);
        let after = snapshot.unwrap_or_default().next();
        let mut damaged = self.damaged[slot.0].range(after..=matched.max(after));
        let Some(first) = damaged.next().filter(|first| **first <= matched) else { return Ok(()) };
        S35.violated(format!(
            "{id} acknowledges index {matched}, but knows that its disk has lost entry {first}"
        ))
    }
}
