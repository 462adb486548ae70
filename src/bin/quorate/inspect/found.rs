//! What was found in a directory, for a person and as JSON.

use std::fmt;
use std::io;

use quorate::storage::{
    Cause, Disk, Failure, FileDisk, FileName, Inspection, OpenError, SnapshotReader, StorageConfig,
};
use quorate::types::{Index, Membership};
use serde_json::{Value, json};

use crate::inspect::entries::Listed;
use crate::table::Table;

/// A directory that was read to its end.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) inspection: Inspection,
    files: Vec<(FileName, u64)>,
    /// Everything that is not what was written.
    pub(super) damage: Vec<Failure>,
}

impl Found {
    /// Reads all of it.
    ///
    /// # Errors
    /// It is no node's, or so damaged that nothing can be said about it.
    pub(super) fn of(disk: &mut FileDisk) -> Result<Found, OpenError> {
        let files = disk.list().map_err(|error| unreadable(&error))?;
        let inspection = Inspection::of(disk, &StorageConfig::default())?;
        let newest = inspection.damaged_snapshot.as_ref().map(|(_, failure)| failure.clone());
        let damage = inspection.damage.iter().cloned().chain(newest).collect();
        let mut found = Found { inspection, files, damage };
        let more = [found.damage_of_snapshot(disk), found.damage_of_entries(disk)];
        found.damage.extend(more.into_iter().flatten());
        Ok(found)
    }

    /// Reads the snapshot in force.
    fn damage_of_snapshot(&self, disk: &mut FileDisk) -> Option<Failure> {
        let opened = &self.inspection.opened;
        let snapshot = &opened.snapshot;
        if snapshot.last.index == Index::ZERO {
            return None;
        }
        let read = match SnapshotReader::open(disk, opened.identity.cluster, snapshot) {
            Err(failure) => return Some(failure),
            Ok(mut reader) => io::copy(&mut reader, &mut io::sink()),
        };
        let error = read.err()?;
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
        Some(inner.cloned().unwrap_or_else(|| unreadable(&error)))
    }

    /// Reads every entry.
    fn damage_of_entries(&mut self, disk: &mut FileDisk) -> Option<Failure> {
        let last = self.inspection.opened.last.index;
        let mut next = self.inspection.opened.base.index.next();
        while next <= last {
            match self.inspection.entries(disk, next, last) {
                Ok(entries) => next = entries.last().map_or(next, |entry| entry.id.index).next(),
                Err(OpenError::Failed(failure)) => return Some(failure),
                Err(error) => return Some(unreadable(&error)),
            }
        }
        None
    }

    fn membership(&self) -> &Membership {
        let opened = &self.inspection.opened;
        opened.memberships.last().map_or(&opened.snapshot.membership, |(_, last)| last)
    }

    pub(super) fn json(&self, listed: &[Listed]) -> Value {
        let opened = &self.inspection.opened;
        let file =
            |(name, bytes): &(FileName, u64)| json!({ "name": name.to_string(), "bytes": bytes });
        let damage = |failure: &Failure| {
            json!({
                "file": failure.file.map(|file| file.to_string()),
                "offset": failure.offset,
                "what": failure.what,
                "advice": failure.cause.advice(),
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
            "entries": listed.iter().map(Listed::json).collect::<Vec<_>>(),
        })
    }
}

fn unreadable(error: &dyn fmt::Display) -> Failure {
    Failure { file: None, offset: 0, what: error.to_string(), cause: Cause::Unreadable }
}

impl fmt::Display for Found {
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
            fact("made from", format!("cluster {} through {}", origin.cluster, origin.last));
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
        fact("committed", format!("{} at least", opened.committed));
        write!(f, "{facts}")?;
        let mut files = Table::default();
        files.row(["file".to_owned(), "bytes".to_owned()]);
        for (name, bytes) in &self.files {
            files.row([name.to_string(), bytes.to_string()]);
        }
        write!(f, "\n{files}\n")?;
        if self.damage.is_empty() {
            writeln!(f, "no damage: every sector is as it was written")?;
        }
        self.damage.iter().try_for_each(|failure| writeln!(f, "damaged: {failure}"))
    }
}
