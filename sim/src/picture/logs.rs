//! The log of every node, derived from its writes and its starts.

use std::collections::BTreeMap;
use std::fmt;

use quorate::raft::Status;
use quorate::types::{EntryId, Payload, Write};
use quorate_page::document::{Entry, LogChange};

use crate::picture::text::{self, CommandText};
use crate::record::{Event, EventKind, Record, RecordOrigin, RecordedLog};

/// The maximum number of entries that are shown where the recording of a node begins.
const BEGIN_ENTRIES_MAX: usize = 1_000;

type Log = BTreeMap<u64, Entry>;

/// The change that a write makes to a log.
#[derive(Clone, Debug)]
struct Change {
    /// The last index that the write keeps.
    keep: u64,
    /// Whether the write replaces the whole log.
    replaces: bool,
    entries: Vec<Entry>,
}

/// One node's log in memory and on disk.
#[derive(Clone, Debug, Default)]
struct NodeLogs {
    memory: Log,
    disk: Log,
    /// The changes of the pending writes.
    pending: Vec<Change>,
    /// The log and the pending changes at each copy of the disk, by its number.
    copies: BTreeMap<u16, (Log, Vec<Change>)>,
}

/// The logs of all nodes.
pub(crate) struct Logs<'a> {
    nodes: Vec<NodeLogs>,
    format: CommandText<'a>,
    /// Whether the bytes of the users' commands are known.
    keeps_commands: bool,
}

impl fmt::Debug for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl<'a> Logs<'a> {
    pub(crate) fn new(record: &Record, format: CommandText<'a>) -> Logs<'a> {
        let lacks_commands =
            matches!(record.origin, RecordOrigin::Recordings { keeps_commands: false, .. });
        let keeps_commands = !lacks_commands;
        Logs { nodes: vec![NodeLogs::default(); record.nodes.len()], format, keeps_commands }
    }

    /// The text of an entry. In a recording without commands, each command has bytes of its length.
    fn text(&self, entry: &quorate::types::Entry) -> String {
        match &entry.payload {
            Payload::Command(command) if !self.keeps_commands => {
                format!("command of {} bytes", command.len())
            }
            _ => text::entry(entry, self.format),
        }
    }

    /// The log with which the recording of a node begins: its last entries, as far as they are
    /// known.
    fn begin(&self, log: &RecordedLog) -> Change {
        let skipped = log.ids.len().saturating_sub(BEGIN_ENTRIES_MAX);
        let content = |id: &EntryId| log.contents.iter().find(|entry| entry.id == *id);
        let entry = |id: &EntryId| Entry {
            term: id.term.0,
            text: content(id).map_or("not recorded".to_owned(), |entry| self.text(entry)),
        };
        let entries: Vec<Entry> = log.ids[skipped..].iter().map(entry).collect();
        let last = log.ids.last().map_or(log.base.index.0, |last| last.index.0);
        Change { keep: last - entries.len() as u64, replaces: true, entries }
    }

    /// Records a write that node number `node` submits.
    pub(crate) fn submit(&mut self, node: usize, write: &Write) {
        let installed = write.install.as_ref().map(|meta| meta.last.index.0);
        let first = write.entries.first().map(|entry| entry.id.index.0 - 1);
        let last = self.nodes[node].memory.last_key_value().map_or(0, |(last, _)| *last);
        let entry =
            |entry: &quorate::types::Entry| Entry { term: entry.id.term.0, text: self.text(entry) };
        let change = Change {
            keep: first.or(installed).unwrap_or(last),
            replaces: installed.is_some(),
            entries: write.entries.iter().map(entry).collect(),
        };
        self.nodes[node].pending.push(change);
    }

    /// Whether a log that ends at `last` has all entries of the pending write at this position.
    pub(crate) fn is_fully_written(&self, node: u16, place: usize, last: u64) -> bool {
        let change = self.nodes[usize::from(node)].pending.get(place);
        change.is_none_or(|change| change.keep + change.entries.len() as u64 <= last)
    }

    /// The change of a node's log in an event.
    pub(crate) fn take(
        &mut self,
        node: usize,
        event: &Event,
        status: Option<&Status>,
    ) -> Option<LogChange> {
        if let EventKind::RecordingBegan(log) = &event.kind {
            let change = self.begin(log);
            let mut logs = NodeLogs::default();
            change.apply(&mut logs.memory);
            logs.disk = logs.memory.clone();
            logs.disk.retain(|index, _| *index <= log.durable.0);
            self.nodes[node] = logs;
            return Some(LogChange { keep: change.keep, entries: change.entries });
        }
        let logs = &mut self.nodes[node];
        match &event.kind {
            EventKind::Submitted(_) => {
                let change = logs
                    .pending
                    .last()
                    .filter(|change| change.replaces || !change.entries.is_empty())?;
                change.apply(&mut logs.memory);
                Some(LogChange { keep: change.keep, entries: change.entries.clone() })
            }
            EventKind::Durable(_) if !logs.pending.is_empty() => {
                logs.pending.remove(0).apply(&mut logs.disk);
                None
            }
            EventKind::Wiped => {
                *logs = NodeLogs::default();
                Some(LogChange { keep: 0, entries: Vec::new() })
            }
            EventKind::DiskCopied { copy } => {
                logs.copies.insert(*copy, (logs.disk.clone(), logs.pending.clone()));
                None
            }
            EventKind::RolledBack { copy } => {
                (logs.disk, logs.pending) = logs.copies.remove(copy)?;
                logs.start()
            }
            EventKind::Started { kept, .. } => {
                logs.pending.drain(..).take(kept.len()).for_each(|one| one.apply(&mut logs.disk));
                let last = status.map_or(0, |status| status.last.index.0);
                logs.disk.retain(|index, _| *index <= last);
                logs.start()
            }
            _ => None,
        }
    }
}

impl Change {
    fn apply(&self, log: &mut Log) {
        log.retain(|index, _| !self.replaces && *index <= self.keep);
        log.extend((self.keep + 1..).zip(self.entries.iter().cloned()));
    }
}

impl NodeLogs {
    /// Replaces the log in memory with that on disk, and returns the difference.
    fn start(&mut self) -> Option<LogChange> {
        let differs = |index: &u64| self.memory.get(index) != self.disk.get(index);
        let mut all = self.memory.keys().chain(self.disk.keys());
        let first = all.by_ref().copied().filter(differs).min()?;
        self.memory = self.disk.clone();
        // Entries behind a gap do not follow the kept entries.
        let entries = (first..).map_while(|index| self.disk.get(&index).cloned()).collect();
        Some(LogChange { keep: first - 1, entries })
    }
}
