//! The log of every node, told from what it gives to its disk and what is there when it starts.

use std::collections::BTreeMap;
use std::fmt;

use quorate::raft::Status;
use quorate::types::Write;
use quorate_page::document::{Entry, LogChange};

use crate::picture::words::{self, Words};
use crate::record::{Event, What};

type Log = BTreeMap<u64, Entry>;

/// What a write does to a log.
#[derive(Clone, Debug)]
struct Change {
    /// The last index before what it writes.
    keep: u64,
    /// Whether nothing before it stays either.
    replaces: bool,
    entries: Vec<Entry>,
}

/// One node's log in its memory and on its disk.
#[derive(Clone, Debug, Default)]
struct Logbook {
    memory: Log,
    disk: Log,
    /// What is on its way to the disk.
    pending: Vec<Change>,
}

/// The logs of all nodes.
pub(crate) struct Logs<'a> {
    books: Vec<Logbook>,
    words: Words<'a>,
}

impl fmt::Debug for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("books", &self.books).finish_non_exhaustive()
    }
}

impl<'a> Logs<'a> {
    pub(crate) fn new(nodes: usize, words: Words<'a>) -> Logs<'a> {
        Logs { books: vec![Logbook::default(); nodes], words }
    }

    /// Node number `node` gives a write to its disk.
    pub(crate) fn submit(&mut self, node: usize, write: &Write) {
        let installed = write.install.as_ref().map(|meta| meta.last.index.0);
        let first = write.entries.first().map(|entry| entry.id.index.0 - 1);
        let book = &mut self.books[node];
        let last = book.memory.last_key_value().map_or(0, |(last, _)| *last);
        let entry = |entry: &quorate::types::Entry| Entry {
            term: entry.id.term.0,
            text: words::entry(entry, self.words),
        };
        let change = Change {
            keep: first.or(installed).unwrap_or(last),
            replaces: installed.is_some(),
            entries: write.entries.iter().map(entry).collect(),
        };
        book.pending.push(change);
    }

    /// Whether the write in this place of those under way has its last entry in a log that ends at
    /// `last`.
    pub(crate) fn is_whole(&self, node: u16, place: usize, last: u64) -> bool {
        let change = self.books[usize::from(node)].pending.get(place);
        change.is_none_or(|change| change.keep + change.entries.len() as u64 <= last)
    }

    /// How an event changes the log of its node.
    pub(crate) fn take(
        &mut self,
        node: usize,
        event: &Event,
        status: Option<&Status>,
    ) -> Option<LogChange> {
        let book = &mut self.books[node];
        match &event.what {
            What::Submitted(_) => {
                let change = book
                    .pending
                    .last()
                    .filter(|change| change.replaces || !change.entries.is_empty())?;
                change.carry_out(&mut book.memory);
                Some(LogChange { keep: change.keep, entries: change.entries.clone() })
            }
            What::Durable(_) if !book.pending.is_empty() => {
                book.pending.remove(0).carry_out(&mut book.disk);
                None
            }
            What::Wiped => {
                *book = Logbook::default();
                Some(LogChange { keep: 0, entries: Vec::new() })
            }
            What::Started { kept, .. } => {
                book.pending
                    .drain(..)
                    .take(kept.len())
                    .for_each(|one| one.carry_out(&mut book.disk));
                let last = status.map_or(0, |status| status.last.index.0);
                book.disk.retain(|index, _| *index <= last);
                book.start()
            }
            _ => None,
        }
    }
}

impl Change {
    fn carry_out(&self, log: &mut Log) {
        log.retain(|index, _| !self.replaces && *index <= self.keep);
        log.extend((self.keep + 1..).zip(self.entries.iter().cloned()));
    }
}

impl Logbook {
    /// The log in memory becomes that on the disk: how it differs.
    fn start(&mut self) -> Option<LogChange> {
        let differs = |index: &u64| self.memory.get(index) != self.disk.get(index);
        let mut all = self.memory.keys().chain(self.disk.keys());
        let first = all.by_ref().copied().filter(differs).min()?;
        self.memory = self.disk.clone();
        // What stands behind a gap would not follow on what stays.
        let entries = (first..).map_while(|index| self.disk.get(&index).cloned()).collect();
        Some(LogChange { keep: first - 1, entries })
    }
}
