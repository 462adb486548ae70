//! The entries in a node's memory: S39.

use quorate::raft::Status;
use quorate::types::{EntryId, Index, NodeId, Write};

use crate::check::finding::{CheckResult, S39};
use crate::check::known::Known;
use crate::check::log::Log;
use crate::check::model::Model;
use crate::check::rule::Rule;

/// For each node, the entries in its memory, if they are known.
#[derive(Clone, Debug)]
pub(super) struct EntriesInMemory {
    kept: Vec<Option<Kept>>,
}

/// The entries in one node's memory: those of its log from `first` on.
#[derive(Clone, Copy, Debug)]
struct Kept {
    first: Index,
    /// The last entry of the log.
    last: EntryId,
}

impl Rule for EntriesInMemory {
    fn new(known: &Known) -> EntriesInMemory {
        EntriesInMemory { kept: vec![None; known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.kept[known.model.slot(status.id).0] = None;
        Ok(())
    }

    /// An installed snapshot replaces the log, in memory as well.
    fn submitted(&mut self, known: &Known, node: NodeId, write: &Write) -> CheckResult {
        if write.install.is_some() {
            self.kept[known.model.slot(node).0] = None;
        }
        Ok(())
    }

    /// Checks the number of bytes of entries in memory: it is the size of a suffix of the log, and
    /// an entry after the base of the log leaves memory only because of the bound.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Known { model, before, bounds, .. } = known;
        let log = &model.of(status.id).memory.log;
        let kept = &mut self.kept[model.slot(status.id).0];
        if status.last != log.last_id() {
            // The driver lags: the model does not yet have the entries that the driver still has to
            // submit to the disk.
            *kept = None;
            return Ok(());
        }
        let same = |before: &Status| {
            (before.id, before.last, before.tail_bytes)
                == (status.id, status.last, status.tail_bytes)
        };
        if before.as_ref().is_some_and(same) && kept.is_some() {
            return Ok(());
        }
        let bytes = status.tail_bytes as u64;
        let continued = kept.filter(|kept| kept.last == EntryId::ZERO || log.has(kept.last));
        let from = continued.map_or(Index::ZERO.next(), |kept| kept.first);
        let first = first_with(model, log, from, bytes);
        let id = status.id;
        let Some(first) = first else {
            return S39.violated(format!(
                "{id} counts {bytes} bytes of entries in memory, but no suffix of its log, which \
                 ends with {}, has that size",
                status.last
            ));
        };
        *kept = Some(Kept { first, last: status.last });
        let Some(was) = continued.filter(|was| was.first < first) else { return Ok(()) };
        let dropped = first.previous();
        let with = log.bytes_after(dropped.previous(), &model.entries);
        let max = bounds.tail_bytes_max as u64;
        if dropped <= status.base || with > max {
            return Ok(());
        }
        S39.violated(format!(
            "{id} drops entries {} to {dropped} from memory, but with entry {dropped} it would \
             hold only {with} bytes of entries, and the bound is {max} bytes",
            was.first
        ))
    }
}

/// Returns the first index, at or after `from`, of the suffix of the log whose entries have exactly
/// `bytes` bytes; `None` if no suffix has that size. The suffix after the last entry is empty.
fn first_with(model: &Model, log: &Log, from: Index, bytes: u64) -> Option<Index> {
    let of = |first: Index| log.bytes_after(first.previous(), &model.entries);
    let end = log.last().next();
    let from = from.min(end);
    // Usually no entry, or only a few, have left memory since the last check.
    let near = (from.0..=end.0).map(Index).take(4).find(|first| of(*first) <= bytes);
    let first = near.unwrap_or_else(|| {
        let (mut low, mut high) = (from.0, end.0);
        while low < high {
            let middle = low + (high - low) / 2;
            if of(Index(middle)) <= bytes { high = middle } else { low = middle + 1 }
        }
        Index(low)
    });
    (of(first) == bytes).then_some(first)
}
