//! The store's beginnings: a directory is formatted once, and recovered at every start.

use crate::storage::ahead::Ahead;
use crate::storage::block::FlushSeq;
use crate::storage::config::StorageConfig;
use crate::storage::disk::{Completion, Disk, DiskError, FileAction, FileName};
use crate::storage::failure::{Cause, Failure, OpenError};
use crate::storage::identity::{ClusterId, Identity, Origin};
use crate::storage::keeper::{Keeper, first_actions};
use crate::storage::log::LogStart;
use crate::storage::reader::FetchId;
use crate::storage::recovery::{Recovered, recover};
use crate::storage::snapshots::{OpenedSnapshots, Snapshots};
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::{COPIES, COPY_BYTES, COPY_STRIDE, Copy, Superblock, choose};
use crate::types::{Entry, EntryId, HardState, Index, Membership, NodeId, SnapshotMeta};

/// The highest number of a segment; none comes near it.
const SEGMENT_MAX: u64 = 1 << 62;

/// What a directory held: all that `Restored` needs but how far the machine has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whose directory it is.
    pub identity: Identity,
    /// What it was made from, if it did not begin empty.
    pub origin: Option<Origin>,
    /// Term and vote.
    pub hard_state: HardState,
    /// The highest commit index that was written.
    pub committed: Index,
    /// The snapshot to start from: the one in force, or the one before it if that is damaged.
    pub snapshot: SnapshotMeta,
    /// Where the snapshot before it ends; 0 if there is none.
    pub previous_snapshot: Index,
    /// The entry before the first on disk; at most the snapshot's last.
    pub base: EntryId,
    /// The first entry of each term after the base.
    pub runs: Vec<EntryId>,
    /// The memberships in the log after the snapshot, in ascending order.
    pub memberships: Vec<(Index, Membership)>,
    /// The last entry, or the base.
    pub last: EntryId,
    /// The last entries, as many as `tail_bytes_max` allows.
    pub tail: Vec<Entry>,
}

/// A directory before anything of the log was read.
pub(crate) struct Directory {
    copies: Vec<Copy>,
    pub(crate) superblock: Superblock,
    /// Numbers and sizes, in ascending order.
    pub(crate) segments: Vec<(u64, u64)>,
}

impl Storage {
    /// Makes a directory a node's. Cut short by a crash, it can be done again; a directory that
    /// was ever opened is never formatted.
    ///
    /// # Errors
    /// The directory is in use, the configuration is out of its bounds, or the disk failed.
    pub fn format(
        disk: &mut impl Disk,
        identity: Identity,
        membership: &Membership,
        config: &StorageConfig,
    ) -> Result<(), OpenError> {
        config.check().map_err(OpenError::Config)?;
        let files = list(disk)?;
        if let Some((file, _)) = files.iter().find(|(file, _)| *file != FileName::Superblock) {
            return Err(OpenError::NotEmpty(*file));
        }
        if !files.is_empty() && !is_half_formatted(&copies(disk)?) {
            return Err(OpenError::NotEmpty(FileName::Superblock));
        }
        write_first(disk, &Superblock::new(identity, membership))
    }

    /// Recovers a directory, however the node stopped. Everything that was reported durable is
    /// there, or the answer is an error and nothing has been changed.
    ///
    /// # Errors
    /// The directory is not formatted, is another's, is damaged, or the disk failed.
    pub fn open(
        disk: &mut impl Disk,
        cluster: ClusterId,
        node: NodeId,
        config: &StorageConfig,
    ) -> Result<(Storage, Opened), OpenError> {
        config.check().map_err(OpenError::Config)?;
        let Directory { copies, superblock, segments } = Directory::read(disk)?;
        let identity = Identity { cluster, node, ..superblock.identity };
        if let Some((what, expected, found)) = identity.difference(&superblock.identity) {
            return Err(OpenError::Foreign { file: FileName::Superblock, what, expected, found });
        }
        let (bytes, tail) = (config.segment_bytes, config.tail_bytes_max);
        let recovered = recover(disk, &superblock, &segments, bytes, tail)?;
        let base = recovered.index.base().id.index;
        let snapshots = snapshots(disk, &superblock, base, config)?.snapshots;
        let keeper = Keeper::new(superblock, &copies);
        Storage::begin(disk, config, keeper, snapshots, recovered)
    }

    /// Writes what must be certain before the start: a last flush that nobody may have synced is
    /// written once more, and the superblock says how far the log is certain.
    fn begin(
        disk: &mut impl Disk,
        config: &StorageConfig,
        keeper: Keeper,
        snapshots: Snapshots,
        recovered: Recovered,
    ) -> Result<(Storage, Opened), OpenError> {
        let (ready, next) = (recovered.ready, recovered.next_segment);
        let start = LogStart {
            index: recovered.index,
            // Written once more, a flush keeps its number: it does not matter whether the first
            // one is still there.
            next_seq: match recovered.unacknowledged {
                Some(_) => recovered.last_seq,
                None => recovered.last_seq.next(),
            },
            acknowledged: keeper.durable().ack_floor,
            ahead: Ahead::new(ready, next, config.segment_bytes),
        };
        let mut storage = Storage::assemble(config.clone(), keeper, snapshots, start);
        storage.litter = recovered.litter;
        let last = storage.last().index;
        if let Some(prev) = recovered.unacknowledged {
            let entries = storage.fetch_all(disk, prev.index.next(), last)?;
            storage.write_again(disk, entries, recovered.committed)?;
        }
        storage.keeper.ask(|superblock| superblock.clean = false);
        storage.run(disk)?;
        let tail = match recovered.tail_first {
            first if first <= last => storage.fetch_all(disk, first, last)?,
            _ => Vec::new(),
        };
        let (runs, memberships) = (recovered.runs, recovered.memberships);
        let opened = storage.describe(disk, recovered.committed, runs, memberships)?;
        Ok((storage, Opened { tail, ..opened }))
    }

    /// What the directory holds, but for the tail; the log has memberships at these indices.
    pub(crate) fn describe(
        &mut self,
        disk: &mut impl Disk,
        committed: Index,
        runs: Vec<EntryId>,
        memberships_at: Vec<Index>,
    ) -> Result<Opened, OpenError> {
        let durable = self.keeper.durable().clone();
        let covered = durable.snapshot.last.index;
        let snapshot = match self.snapshots.in_force() {
            Some(older) if older.last.index < covered => older.clone(),
            _ => durable.snapshot.clone(),
        };
        let first = snapshot.last.index.next();
        let mut memberships = Vec::new();
        for index in memberships_at.into_iter().filter(|index| *index >= first) {
            let entries = self.fetch_all(disk, index, index)?;
            memberships.extend(entries.iter().filter_map(Entry::membership));
        }
        Ok(Opened {
            identity: durable.identity,
            origin: durable.origin,
            hard_state: durable.hard_state,
            committed: committed.max(covered),
            snapshot,
            previous_snapshot: self.previous_snapshot(),
            base: self.base(),
            runs,
            memberships,
            last: self.last(),
            tail: Vec::new(),
        })
    }

    /// Writes the last flush once more, in a new segment: what can be read may yet be lost.
    fn write_again(
        &mut self,
        disk: &mut impl Disk,
        entries: Vec<Entry>,
        committed: Index,
    ) -> Result<(), OpenError> {
        let seq: FlushSeq = self.log.acknowledged();
        self.segments_ahead = 1;
        self.log.queue.push_whole(entries, committed);
        self.run(disk)?;
        self.segments_ahead = 0;
        if self.log.acknowledged() == seq { Err(OpenError::Full) } else { Ok(()) }
    }

    /// All entries from `first` to `last`.
    fn fetch_all(
        &mut self,
        disk: &mut impl Disk,
        first: Index,
        last: Index,
    ) -> Result<Vec<Entry>, OpenError> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let next = all.last().map_or(first, |entry| entry.id.index.next());
            if next > last {
                return Ok(all);
            }
            let entries = self.fetch_some(disk, next, last)?;
            assert!(!entries.is_empty(), "the log has every entry between its ends");
            all.extend(entries);
        }
    }

    /// Entries from `first` on, none after `last`; none at all if the log does not have the first.
    pub(crate) fn fetch_some(
        &mut self,
        disk: &mut impl Disk,
        first: Index,
        last: Index,
    ) -> Result<Vec<Entry>, OpenError> {
        let mut all = Vec::new();
        let mut events = Vec::new();
        self.fetch(FetchId(0), first, last, usize::MAX, &mut events);
        for event in self.carry_out(disk, events)? {
            if let Event::Fetched { entries, .. } = event {
                all.extend(entries);
            }
        }
        Ok(all)
    }

    /// Does what waits for nothing, until nothing is left.
    fn run(&mut self, disk: &mut impl Disk) -> Result<(), OpenError> {
        let mut events = Vec::new();
        self.advance(&mut events);
        self.carry_out(disk, events).map(drop)
    }

    /// Carries the operations out, those that follow included, and gives the other events.
    pub(crate) fn carry_out(
        &mut self,
        disk: &mut impl Disk,
        mut events: Vec<Event>,
    ) -> Result<Vec<Event>, OpenError> {
        let mut others = Vec::new();
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                match event {
                    Event::Disk(operation) => {
                        let result = disk.execute(&operation.action);
                        let completion = Completion { id: operation.id, result };
                        self.completed(completion, &mut events);
                    }
                    Event::Failed(failure) => return Err(failure.into()),
                    other => others.push(other),
                }
            }
        }
        Ok(others)
    }
}

impl Directory {
    /// Reads the superblock, and notes what else there is.
    pub(crate) fn read(disk: &mut impl Disk) -> Result<Directory, OpenError> {
        let files = list(disk)?;
        if !files.iter().any(|(file, _)| *file == FileName::Superblock) {
            return Err(OpenError::NotFormatted);
        }
        let copies = copies(disk)?;
        let superblock = choose(&copies)?.clone();
        let segment = |(file, bytes): &(FileName, u64)| match file {
            FileName::Segment(number) => Some((*number, *bytes)),
            _ => None,
        };
        let segments: Vec<(u64, u64)> = files.iter().filter_map(segment).collect();
        if let Some((number, _)) = segments.last().filter(|(number, _)| *number > SEGMENT_MAX) {
            let what = "no segment has so high a number";
            return Err(Failure::damage(FileName::Segment(*number), 0, what).into());
        }
        Ok(Directory { copies, superblock, segments })
    }
}

/// The snapshots, standing on one that is whole and that the log, which begins after `base`,
/// reaches back to; with the damage, if that is not the one in force.
pub(crate) fn snapshots(
    disk: &mut impl Disk,
    superblock: &Superblock,
    base: Index,
    config: &StorageConfig,
) -> Result<OpenedSnapshots, OpenError> {
    let (cluster, in_force) = (superblock.identity.cluster, &superblock.snapshot);
    let found = Snapshots::open(disk, cluster, in_force, config.snapshots)?;
    let start = found.snapshots.in_force().map_or(Index::ZERO, |meta| meta.last.index);
    match found.damage {
        // The log does not reach back to the snapshot before the damaged one.
        Some(damage) if start < base => Err(damage.into()),
        _ => Ok(found),
    }
}

/// Writes the first superblock of a directory, which can be opened from then on.
pub(crate) fn write_first(disk: &mut impl Disk, superblock: &Superblock) -> Result<(), OpenError> {
    for action in first_actions(superblock) {
        disk.execute(&action).map_err(|error| failure(&action, error))?;
    }
    let whole = |copy: &Copy| matches!(copy, Copy::Valid(other, _) if **other == *superblock);
    if !copies(disk)?.iter().all(whole) {
        let what = "what was written was not read back";
        let file = Some(FileName::Superblock);
        return Err(Failure { file, offset: 0, what: what.to_owned(), cause: Cause::Disk }.into());
    }
    Ok(())
}

/// Whether formatting was begun, and certainly not finished: the second pair of copies is
/// untouched, or the first is whole and nothing ever followed.
fn is_half_formatted(copies: &[Copy]) -> bool {
    let first = |copy: &&Copy| matches!(copy, Copy::Valid(superblock, _) if superblock.seq == 1);
    let whole = copies.iter().filter(first).count();
    let later = copies.iter().any(|copy| matches!(copy, Copy::Valid(_, _) if !first(&copy)));
    let untouched = copies.iter().skip(2).all(|copy| *copy == Copy::Zero);
    let first_pair = copies.iter().take(2).filter(first).count() == 2;
    let newer = copies.iter().any(|copy| matches!(copy, Copy::Newer(_)));
    !later && !newer && whole < COPIES && (untouched || first_pair)
}

/// The copies of the superblock; one the file is too short for is as if never written.
fn copies(disk: &mut impl Disk) -> Result<Vec<Copy>, OpenError> {
    let read = |copy: usize| {
        let offset = copy as u64 * COPY_STRIDE;
        let file = FileName::Superblock;
        let action = FileAction::Read { file, offset, bytes: COPY_BYTES };
        let bytes = disk.execute(&action).map_err(|error| failure(&action, error))?;
        Ok(Copy::read(&bytes))
    };
    (0..COPIES).map(read).collect()
}

pub(crate) fn list(disk: &mut impl Disk) -> Result<Vec<(FileName, u64)>, OpenError> {
    disk.list().map_err(|error| Failure::disk(None, 0, &error).into())
}

fn failure(action: &FileAction, error: DiskError) -> OpenError {
    let (file, offset) = action.place();
    match error {
        DiskError::Full => OpenError::Full,
        DiskError::Failed(_) => Failure::disk(file, offset, &error).into(),
    }
}
