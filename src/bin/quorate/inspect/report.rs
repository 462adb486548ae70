//! The report about a data directory, as text and as JSON.

use std::fmt;
use std::io;

use quorate::replica::can_be_repaired;
use quorate::storage::{
    Disk, ErrorCause, FileDisk, FileName, Inspection, OpenError, OpenedStorage, SnapshotReader,
    StorageConfig, StorageError, TornFlush,
};
use quorate::types::{Index, Membership};
use serde_json::{Value, json};

use crate::inspect::entries::{ListedEntry, is_damaged};
use crate::table::Table;

/// A data directory that was read completely.
#[derive(Debug)]
pub(super) struct DirectoryReport {
    pub(super) inspection: Inspection,
    files: Vec<(FileName, u64)>,
    /// Every damage that prevents a start.
    pub(super) damage: Vec<StorageError>,
    /// The damage of entries whose content other members provide once the node runs, or the loss of
    /// the log's end.
    pub(super) repairable: Option<StorageError>,
    /// The damage of the newest snapshot, if a start does not need it: it uses the one before it,
    /// or that of another member.
    replaceable_snapshot: Option<StorageError>,
    /// The damage of snapshots before the one that a start uses.
    older_snapshots: Vec<StorageError>,
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
        let is_repairable = inspection.repairable.as_ref().is_some_and(can_be_repaired);
        let (repairable, fatal) = match is_repairable {
            true => (inspection.damage.clone(), None),
            false => (None, inspection.damage.clone()),
        };
        let is_replaceable = fatal.is_none() && can_be_repaired(&inspection.opened);
        let (replaceable_snapshot, lost_snapshot) = match is_replaceable {
            true => (newest, None),
            false => (None, newest),
        };
        let damage = fatal.into_iter().chain(lost_snapshot).collect();
        let older_snapshots = inspection.damaged_older_snapshots(disk)?;
        let mut found = DirectoryReport {
            inspection,
            files,
            damage,
            repairable,
            replaceable_snapshot,
            older_snapshots,
        };
        let more = [found.damage_of_snapshot(disk)?, found.damage_of_entries(disk)?];
        found.damage.extend(more.into_iter().flatten());
        Ok(found)
    }

    /// Verifies the snapshot that a start would use.
    fn damage_of_snapshot(&self, disk: &mut FileDisk) -> Result<Option<StorageError>, OpenError> {
        let opened = &self.inspection.opened;
        let snapshot = &opened.snapshot;
        if snapshot.last.index == Index::ZERO || opened.snapshot_damage.is_some() {
            return Ok(None);
        }
        let read = match SnapshotReader::open(disk, opened.identity.cluster, snapshot) {
            Err(error) => return damage_or_error(error),
            Ok(mut reader) => io::copy(&mut reader, &mut io::sink()),
        };
        let Err(error) = read else { return Ok(None) };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StorageError>());
        damage_or_error(inner.cloned().unwrap_or_else(|| unreadable(&error)))
    }

    /// Reads every entry of the log.
    fn damage_of_entries(
        &mut self,
        disk: &mut FileDisk,
    ) -> Result<Option<StorageError>, OpenError> {
        let (base, last) = (self.inspection.opened.base.index, self.inspection.opened.last.index);
        let mut next = base.next();
        while next <= last {
            if is_damaged(&self.inspection, next) {
                next = next.next();
                continue;
            }
            match self.inspection.entries(disk, next, last) {
                Ok(entries) => next = entries.last().map_or(next, |entry| entry.id.index).next(),
                Err(OpenError::Failed(error)) => return damage_or_error(error),
                Err(error) => return Ok(Some(unreadable(&error))),
            }
        }
        Ok(None)
    }

    /// Returns the content that a start would recover; if no start is possible, the content that is
    /// certain.
    fn opened(&self) -> &OpenedStorage {
        let repairable = self.inspection.repairable.as_ref().filter(|_| self.repairable.is_some());
        repairable.unwrap_or(&self.inspection.opened)
    }

    /// Returns true if no sector of the log and of the snapshots is damaged.
    pub(super) fn is_intact(&self) -> bool {
        let opened = self.opened();
        let is_log_intact = self.repairable.is_none()
            && opened.damage.is_none()
            && opened.covered_loss.is_none()
            && self.inspection.known_sectors().next().is_none();
        let are_snapshots_intact =
            self.replaceable_snapshot.is_none() && self.older_snapshots.is_empty();
        self.damage.is_empty() && is_log_intact && are_snapshots_intact
    }

    fn membership(&self) -> &Membership {
        self.opened().membership()
    }

    /// Writes what is damaged or torn, and the next command.
    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TornFlush { file, offset, entries: (first, last) } in &self.inspection.torn {
            writeln!(
                f,
                "torn: {file} at {offset}: entries {first} through {last} are incomplete; a start \
                 drops them, because nothing shows that they were acknowledged"
            )?;
        }
        for (file, offset) in self.inspection.known_sectors() {
            writeln!(f, "repairable: {file} at {offset}: a start writes the sector again")?;
        }
        for fault in &self.inspection.superblock_faults {
            writeln!(
                f,
                "superblock: {}; a start does not need it, and a crash can leave it like this",
                fault.without_advice()
            )?;
        }
        if self.is_intact() {
            return writeln!(f, "no damage: every sector of the log and the snapshots is valid");
        }
        self.damage.iter().try_for_each(|error| writeln!(f, "damaged: {error}"))?;
        let opened = self.opened();
        if let Some(lost) = &opened.lost_end {
            writeln!(
                f,
                "lost: {}; the node starts uncertain: it counts in no quorum until a leader has \
                 checked its log, and takes the entries from the other members",
                lost.without_advice()
            )?;
        }
        if let Some(error) = &opened.covered_loss {
            writeln!(
                f,
                "covered: {}; the snapshot has the effect of all that is lost, and a start removes \
                 this part of the log",
                error.without_advice()
            )?;
        }
        if let Some(error) = &opened.damage {
            let (kind, source) = kind_of_damage(opened);
            writeln!(f, "{kind}: {}; {source}", error.without_advice())?;
        }
        if let Some(error) = &self.replaceable_snapshot {
            let source = match self.opened().snapshot_damage {
                Some(_) => "the node rebuilds its state from the snapshot of another member",
                None => "a start uses the snapshot before it and the entries after that",
            };
            writeln!(f, "repairable: {}; {source}", error.without_advice())?;
        }
        for error in &self.older_snapshots {
            writeln!(
                f,
                "older: {}; a start does not need this snapshot, and the next one replaces it",
                error.without_advice()
            )?;
        }
        if self.damage.is_empty() {
            return writeln!(f, "next: start the node with quorate serve");
        }
        let id = self.opened().identity.node.0;
        let replace = format!("quorate members replace {id} ID=ADDRESS");
        writeln!(f, "next: {replace}; without a quorum: quorate recover --help")
    }

    pub(super) fn json(&self, listed: &[ListedEntry]) -> Value {
        let opened = self.opened();
        let file =
            |(name, bytes): &(FileName, u64)| json!({ "name": name.to_string(), "bytes": bytes });
        let damage = |error: &StorageError| {
            json!({
                "file": error.file.map(|file| file.to_string()),
                "offset": error.offset,
                "message": error.message,
                "advice": error.advice(),
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
            "is_uncertain": opened.hard_state.is_uncertain,
            "is_quarantined": opened.is_quarantined,
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
            "repairable_sectors": self.inspection.known_sectors().map(|(file, offset)| json!({
                "file": file.to_string(),
                "offset": offset,
            })).collect::<Vec<_>>(),
            "lost_end": opened.lost_end.as_ref().map(damage),
            "covered_loss": opened.covered_loss.as_ref().map(damage),
            "damaged_entries": opened.damage.as_ref().map(|error| {
                let (needed, covered) = damaged_entries(opened);
                json!({
                    "file": error.file.map(|file| file.to_string()),
                    "offset": error.offset,
                    "repairable": needed,
                    "covered": covered,
                })
            }),
            "damaged_snapshot": self.replaceable_snapshot.as_ref().map(damage),
            "older_snapshots": self.older_snapshots.iter().map(damage).collect::<Vec<_>>(),
            "superblock": self.inspection.superblock_faults.iter().map(|fault| json!({
                "offset": fault.offset,
                "message": fault.message,
            })).collect::<Vec<_>>(),
            "torn": self.inspection.torn.iter().map(|torn| json!({
                "file": torn.file.to_string(),
                "offset": torn.offset,
                "first": torn.entries.0.0,
                "last": torn.entries.1.0,
            })).collect::<Vec<_>>(),
            "entries": listed.iter().map(ListedEntry::json).collect::<Vec<_>>(),
        })
    }
}

/// Returns the indices of the damaged entries that a start needs, and of those that its snapshot
/// covers.
fn damaged_entries(opened: &OpenedStorage) -> (Vec<u64>, Vec<u64>) {
    let indices = opened.damaged.iter().map(|entry| entry.id.index.0);
    indices.partition(|index| *index > opened.snapshot.last.index.0)
}

/// Returns the kind of the damage of entries, and what a start does about it.
fn kind_of_damage(opened: &OpenedStorage) -> (&'static str, String) {
    let (needed, covered) = damaged_entries(opened);
    match (needed.is_empty(), covered.last()) {
        (true, _) => {
            ("covered", "the snapshot has their effect, and no start needs them".to_owned())
        }
        (false, None) => ("repairable", "the node takes them from the other members".to_owned()),
        (false, Some(last)) => {
            let text = format!(
                "the node takes those after {last} from the other members; the snapshot has the \
                 effect of the others, and no start needs them"
            );
            ("repairable", text)
        }
    }
}

/// Returns the damage that a read has found.
///
/// # Errors
/// The error of the read, if it says nothing about the bytes on the disk.
fn damage_or_error(error: StorageError) -> Result<Option<StorageError>, OpenError> {
    match error.cause {
        ErrorCause::Environment | ErrorCause::Exhausted | ErrorCause::Replaced => {
            Err(OpenError::Failed(StorageError { cause: ErrorCause::Unreadable, ..error }))
        }
        _ => Ok(Some(error)),
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
        let opened = self.opened();
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
        if opened.hard_state.is_uncertain {
            fact("uncertain", "the log may lack acknowledged entries: waits for a leader".into());
        }
        if opened.is_quarantined {
            fact("quarantined", "the state machine diverged: the snapshot may be wrong".into());
        }
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
        self.write_findings(f)
    }
}

#[cfg(test)]
mod tests {
    use quorate::storage::{ClusterId, Identity, Storage};
    use quorate::types::{DamagedEntry, EntryId, Incarnation, NodeId, SnapshotMeta, Term};

    use super::*;

    #[test]
    fn only_damaged_entries_after_the_snapshot_are_repairable() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = FileDisk::open(directory.path()).expect("it opens");
        let (cluster, node, incarnation) = (ClusterId(7), NodeId(1), Incarnation(1));
        let identity = Identity { cluster, node, incarnation };
        let members = Membership::new([1, 2, 3].map(NodeId));
        Storage::format(&mut disk, identity, &members, &StorageConfig::default()).expect("empty");
        let mut report = DirectoryReport::of(&mut disk).expect("it is readable");
        let id = |index| EntryId::new(Term(1), Index(index));
        for (damaged, kind, source, needed) in [
            ([3, 7], "covered", "the snapshot has their effect, and no start needs them", 0),
            ([8, 9], "repairable", "the node takes them from the other members", 2),
            ([7, 8], "repairable", "the node takes those after 7 from the other members;", 1),
        ] {
            let opened = &mut report.inspection.opened;
            opened.snapshot = SnapshotMeta::empty(id(7), members.clone());
            opened.damaged =
                damaged.map(|index| DamagedEntry { id: id(index), is_membership: false }).into();
            opened.damage = Some(unreadable(&"the sector is damaged"));
            let text = report.to_string();
            let line = text.lines().find(|line| line.contains("the sector is damaged"));
            let line = line.expect("the damage is named");
            assert!(line.starts_with(&format!("{kind}: ")) && line.contains(source), "{line}");
            let json = &report.json(&[])["damaged_entries"];
            let count = |key: &str| json[key].as_array().map(Vec::len);
            assert_eq!((count("repairable"), count("covered")), (Some(needed), Some(2 - needed)));
        }
    }
}
