//! The report about a data directory, as text and as JSON.

use std::fmt;
use std::io;

use quorate::storage::{
    Disk, ErrorCause, FileDisk, FileName, Inspection, OpenError, SnapshotReader, StorageConfig,
    StorageError,
};
use quorate::types::{Index, Membership};
use serde_json::{Value, json};

use crate::inspect::entries::ListedEntry;
use crate::table::Table;

/// A data directory that was read completely.
#[derive(Debug)]
pub(super) struct DirectoryReport {
    pub(super) inspection: Inspection,
    files: Vec<(FileName, u64)>,
    /// Every damage that was found.
    pub(super) damage: Vec<StorageError>,
}

impl DirectoryReport {
    /// Reads the whole directory.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not a node's, or too damaged to be read.
    pub(super) fn of(disk: &mut FileDisk) -> Result<DirectoryReport, OpenError> {
        let files = disk.list().map_err(|error| unreadable(&error))?;
        let inspection = Inspection::open(disk, &StorageConfig::default())?;
        let newest = inspection.damaged_snapshot.as_ref().map(|(_, error)| error.clone());
        let damage = inspection.damage.iter().cloned().chain(newest).collect();
        let mut found = DirectoryReport { inspection, files, damage };
        let more = [found.damage_of_snapshot(disk), found.damage_of_entries(disk)];
        found.damage.extend(more.into_iter().flatten());
        Ok(found)
    }

    /// Verifies the current snapshot.
    fn damage_of_snapshot(&self, disk: &mut FileDisk) -> Option<StorageError> {
        let opened = &self.inspection.opened;
        let snapshot = &opened.snapshot;
        if snapshot.last.index == Index::ZERO {
            return None;
        }
        let read = match SnapshotReader::open(disk, opened.identity.cluster, snapshot) {
            Err(error) => return Some(error),
            Ok(mut reader) => io::copy(&mut reader, &mut io::sink()),
        };
        let error = read.err()?;
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StorageError>());
        Some(inner.cloned().unwrap_or_else(|| unreadable(&error)))
    }

    /// Reads every entry of the log.
    fn damage_of_entries(&mut self, disk: &mut FileDisk) -> Option<StorageError> {
        let last = self.inspection.opened.last.index;
        let mut next = self.inspection.opened.base.index.next();
        while next <= last {
            match self.inspection.entries(disk, next, last) {
                Ok(entries) => next = entries.last().map_or(next, |entry| entry.id.index).next(),
                Err(OpenError::Failed(error)) => return Some(error),
                Err(error) => return Some(unreadable(&error)),
            }
        }
        None
    }

    fn membership(&self) -> &Membership {
        let opened = &self.inspection.opened;
        opened.memberships.last().map_or(&opened.snapshot.membership, |(_, last)| last)
    }

    pub(super) fn json(&self, listed: &[ListedEntry]) -> Value {
        let opened = &self.inspection.opened;
        let file =
            |(name, bytes): &(FileName, u64)| json!({ "name": name.to_string(), "bytes": bytes });
        let damage = |error: &StorageError| {
            json!({
                "file": error.file.map(|file| file.to_string()),
                "offset": error.offset,
                "message": error.message,
                "advice": error.cause.advice(),
            })
        };
        json!({
            "cluster": opened.identity.cluster.to_string(),
            "node": opened.identity.node.0,
            "incarnation": opened.identity.incarnation.to_string(),
            "origin": opened.origin.map(|origin| json!({
                "cluster": origin.cluster.to_string(),
                "last": origin.last.index.0,
            })),
            "term": opened.hard_state.term.0,
            "vote": opened.hard_state.vote.map(|node| node.0),
            "committed": opened.committed.0,
            "snapshot": json!({
                "index": opened.snapshot.last.index.0,
                "term": opened.snapshot.last.term.0,
                "bytes": opened.snapshot.bytes,
            }),
            "base": opened.base.index.0,
            "last": json!({ "index": opened.last.index.0, "term": opened.last.term.0 }),
            "membership": self.membership().to_string(),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "damage": self.damage.iter().map(damage).collect::<Vec<_>>(),
            "entries": listed.iter().map(ListedEntry::json).collect::<Vec<_>>(),
        })
    }
}

fn unreadable(error: &dyn fmt::Display) -> StorageError {
    StorageError {
        file: None,
        offset: 0,
        message: error.to_string(),
        cause: ErrorCause::Unreadable,
    }
}

impl fmt::Display for DirectoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = &self.inspection.opened;
        let identity = &opened.identity;
        let (first, last) = (opened.base.index.next(), opened.last);
        let mut facts = Table::default();
        let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
        fact("cluster", identity.cluster.to_string());
        fact("node", identity.node.to_string());
        fact("incarnation", identity.incarnation.to_string());
        if let Some(origin) = opened.origin {
            fact("origin", format!("cluster {} through {}", origin.cluster, origin.last));
        }
        let vote =
            opened.hard_state.vote.map_or(String::new(), |node| format!(", vote for {node}"));
        fact("term", format!("{}{vote}", opened.hard_state.term));
        fact("membership", self.membership().to_string());
        match opened.snapshot.last.index {
            Index::ZERO => fact("snapshot", "none".to_owned()),
            _ => fact("snapshot", {
                format!("through {}, {} bytes", opened.snapshot.last, opened.snapshot.bytes)
            }),
        }
        match first > last.index {
            true => fact("log", format!("empty after {}", opened.base)),
            false => fact("log", format!("entries {first} through {last}")),
        }
        fact("committed", format!("at least {}", opened.committed));
        write!(f, "{facts}")?;
        let mut files = Table::default();
        files.row(["file".to_owned(), "bytes".to_owned()]);
        for (name, bytes) in &self.files {
            files.row([name.to_string(), bytes.to_string()]);
        }
        write!(f, "\n{files}\n")?;
        if self.damage.is_empty() {
            writeln!(f, "no damage: every sector is valid")?;
        }
        self.damage.iter().try_for_each(|error| writeln!(f, "damaged: {error}"))?;
        if !self.damage.is_empty() {
            let id = identity.node.0;
            let replace = format!("quorate members replace {id} ID=ADDRESS");
            writeln!(f, "next: {replace}; without a quorum: quorate recover --help")?;
        }
        Ok(())
    }
}
