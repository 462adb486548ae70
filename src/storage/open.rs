//! Formats a directory once, and recovers its content at every start.

use crate::storage::block::FlushSeq;
use crate::storage::body_damage::LogDamage;
use crate::storage::config::StorageConfig;
use crate::storage::directory::{Directory, list, read_copies, storage_error};
use crate::storage::disk::{Completion, Disk, FileAction, FileName, Lane, repeat_exhausted};
use crate::storage::error::{ErrorCause, OpenError, StorageError};
use crate::storage::floor;
use crate::storage::identity::{ClusterId, Identity, Origin};
use crate::storage::log::LogStart;
use crate::storage::operations::Owner;
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::reader::FetchId;
use crate::storage::recovery::{RecoveredLog, UnacknowledgedFlush, recover};
use crate::storage::snapshots::{OpenedSnapshots, Snapshots};
use crate::storage::spare_segments::SpareSegments;
use crate::storage::start_writes::UnwrittenContent;
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::{COPIES, Superblock, SuperblockCopy};
use crate::storage::superblock_updater::{SuperblockUpdater, first_actions};
use crate::types::{
    DamagedEntry, Entry, EntryId, HardState, Index, MachineTraits, Membership, NodeId, Restored,
    SnapshotMeta,
};

/// The recovered content of a directory: everything in [`Restored`] except the applied index and
/// the traits of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedStorage {
    /// The cluster, node and incarnation of the directory.
    pub identity: Identity,
    /// The log that the directory was made from, if it did not begin empty.
    pub origin: Option<Origin>,
    /// The durable term, vote and vote lease, and whether the node is uncertain.
    pub hard_state: HardState,
    /// Whether the state machine was found to have diverged and was not rebuilt since: the snapshot
    /// may be of the wrong state.
    pub is_quarantined: bool,
    /// The highest commit index on disk, or, if the end of the log is lost, in the part that is
    /// left; at least the last index of the current snapshot.
    pub committed: Index,
    /// The snapshot to start from: the current one, or the one before it if the current one is
    /// damaged.
    pub snapshot: SnapshotMeta,
    /// The error about the last flushes of the log, if they were acknowledged and are missing; or
    /// the error about the superblock, if no two of its copies are equal. The node is then
    /// uncertain: another node has to confirm how far its log must reach.
    pub lost_end: Option<StorageError>,
    /// The error about flushes that cannot be read, although the current snapshot covers all their
    /// entries: the log begins after them, and nothing is lost.
    pub covered_loss: Option<StorageError>,
    /// The reason why `snapshot` cannot be read, if neither it nor the one before it can be used.
    /// The node then needs a snapshot from a peer.
    pub snapshot_damage: Option<StorageError>,
    /// The last index of the snapshot before `snapshot`, if its manifest can be read; 0 if there is
    /// none, or if `snapshot` takes the place of a damaged one.
    pub previous_snapshot: Index,
    /// The entry before the first one on disk; not after the last entry of the snapshot.
    pub base: EntryId,
    /// The first entry of each term in the log that is later than the term of the base.
    pub runs: Vec<EntryId>,
    /// The memberships in the log after the snapshot, in ascending order, except for damaged ones.
    pub memberships: Vec<(Index, Membership)>,
    /// The last entry, or the base if the log is empty.
    pub last: EntryId,
    /// The damaged entries after the base, in ascending order.
    pub damaged: Vec<DamagedEntry>,
    /// The error about the damaged entries, for a node that has no peer to repair them. It names
    /// the place of the first.
    pub damage: Option<StorageError>,
    /// The last entries, as many as `tail_bytes_max` allows, and all after the last damaged one.
    pub tail: Vec<Entry>,
}

impl OpenedStorage {
    /// Returns the last membership of the log, committed or not, as far as it is known.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.memberships.last().map_or(&self.snapshot.membership, |(_, last)| last)
    }

    /// Returns the damaged entries that the snapshot does not cover.
    pub(crate) fn needed_entries(&self) -> impl Iterator<Item = &DamagedEntry> {
        let covered = self.snapshot.last.index;
        self.damaged.iter().filter(move |damaged| damaged.id.index > covered)
    }

    /// Returns the durable state with which the core starts. `applied` is the last index that the
    /// state machine has applied, at least that of the snapshot.
    #[must_use]
    pub fn restored(self, applied: Index, machine: MachineTraits) -> Restored {
        assert!(applied >= self.snapshot.last.index, "contract: the snapshot is applied");
        Restored {
            incarnation: self.identity.incarnation,
            hard_state: self.hard_state,
            committed: self.committed,
            snapshot: self.snapshot,
            base: self.base,
            runs: self.runs,
            damaged: self.damaged,
            memberships: self.memberships,
            last: self.last.index,
            tail: self.tail,
            applied,
            machine,
        }
    }

    /// Sets the error about a lost end of the log; the node is uncertain if there is one.
    pub(crate) fn with_lost_end(self, lost_end: Option<StorageError>) -> OpenedStorage {
        let is_uncertain = self.hard_state.is_uncertain || lost_end.is_some();
        let hard_state = HardState { is_uncertain, ..self.hard_state };
        OpenedStorage { hard_state, lost_end, ..self }
    }
}

/// A store that was read from a directory, and what the start has to write before it runs.
struct PreparedStart {
    storage: Storage,
    opened: OpenedStorage,
    /// Whether flushes at the end of the log are lost.
    is_cut: bool,
    /// The first flush that the snapshot does not replace, and the commit index.
    log_start: FlushSeq,
    committed: Index,
    unwritten: UnwrittenContent,
    /// The entry before the last flush, if that flush is written again.
    rewritten: Option<EntryId>,
}

impl Storage {
    /// Formats an empty directory for a node. After a crash during the formatting, the call can be
    /// repeated; a directory that was opened once is never formatted again.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not empty, the configuration is out of its bounds, or
    /// the disk is full or failed.
    pub fn format(
        disk: &mut dyn Disk,
        identity: Identity,
        membership: &Membership,
        config: &StorageConfig,
    ) -> Result<(), OpenError> {
        config.check().map_err(|error| OpenError::Config(error.to_string()))?;
        let files = list(disk)?;
        if let Some((file, _)) = files.iter().find(|(file, _)| *file != FileName::Superblock) {
            return Err(OpenError::NotEmpty(*file));
        }
        if !files.is_empty() && !is_half_formatted(&read_copies(disk)?) {
            return Err(OpenError::NotEmpty(FileName::Superblock));
        }
        write_first_superblock(disk, &Superblock::new(identity, membership))
    }

    /// Recovers a directory after a clean shutdown or a crash. Either everything that was reported
    /// durable is recovered; or the end of the log is lost, [`OpenedStorage::lost_end`] says so,
    /// and the node is uncertain; or an error is returned. That holds even if files of the log are
    /// missing, cut or zeroed. The exception is the last flushes after the acknowledged floor.
    /// Their loss is not noticed if no header block of a flush after the first lost one is left;
    /// the loss of the last flush is not noticed even if only one of its sectors is lost.
    /// `docs/RECOVERY.md` says which flushes can be after the floor. Files that hold only entries
    /// covered by the snapshot may be missing. Nothing is written before the whole log was read
    /// successfully, and an error of the writes after that loses nothing.
    ///
    /// An entry with damage only in its content keeps its place in the log, and
    /// [`OpenedStorage::damaged`] lists it: a peer can provide the content for
    /// [`Storage::repair`]. If no snapshot can be read, [`OpenedStorage::snapshot_damage`] says
    /// why: a peer can provide a later one.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not formatted, belongs to another cluster or node, or
    /// is damaged, if the configuration is out of its bounds or too small for the last flush, or if
    /// the disk is full or failed. The text names the file and the offset of damage, and the
    /// entries that are lost with a flush before the end of the log.
    pub fn open(
        disk: &mut dyn Disk,
        cluster: ClusterId,
        node: NodeId,
        config: &StorageConfig,
    ) -> Result<(Storage, OpenedStorage), OpenError> {
        Storage::open_if(disk, cluster, node, config, &mut |_| true)
    }

    /// Like [`Storage::open`], but calls `accepts` with the content of a directory for which
    /// [`OpenedStorage::lost_end`], [`OpenedStorage::damage`] or
    /// [`OpenedStorage::snapshot_damage`] is set. If `accepts` returns false, the directory is not
    /// opened, and nothing is written.
    ///
    /// # Errors
    /// Those of [`Storage::open`], and the first of these three errors if the directory is not
    /// accepted.
    pub fn open_if(
        disk: &mut dyn Disk,
        cluster: ClusterId,
        node: NodeId,
        config: &StorageConfig,
        accepts: &mut dyn FnMut(&OpenedStorage) -> bool,
    ) -> Result<(Storage, OpenedStorage), OpenError> {
        config.check().map_err(|error| OpenError::Config(error.to_string()))?;
        let mut patched = PatchedDisk::new(disk);
        let read = Storage::read(&mut patched, cluster, node, config);
        // A read that failed for a reason that is not the disk's may look like damage.
        let PreparedStart {
            mut storage,
            opened,
            is_cut,
            log_start,
            committed,
            mut unwritten,
            rewritten,
        } = patched.checked(read)?;
        let mut damage =
            opened.lost_end.iter().chain(&opened.damage).chain(&opened.snapshot_damage);
        if let Some(damage) = damage.next().filter(|_| !accepts(&opened)) {
            return Err(damage.clone().into());
        }
        let identity = opened.identity;
        unwritten.patches.extend(patched.into_patches());
        storage.repaired_sectors = unwritten.damage();
        unwritten.write(disk, identity)?;
        if is_cut {
            storage.lower_floor(disk, log_start, committed)?;
        } else if opened.lost_end.is_some() {
            storage.updater.request(|superblock| superblock.hard_state.is_uncertain = true);
        }
        if opened.snapshot.last.index < storage.snapshot().last.index {
            storage.fall_back(disk, &opened.snapshot)?;
        }
        storage.begin(disk, rewritten.map(|prev| (prev, committed)))?;
        Ok((storage, opened))
    }

    /// Reads a directory, and returns its content and what a start has to write. Writes nothing.
    fn read(
        disk: &mut PatchedDisk<'_>,
        cluster: ClusterId,
        node: NodeId,
        config: &StorageConfig,
    ) -> Result<PreparedStart, OpenError> {
        let directory = Directory::read(disk)?;
        let found = directory.superblock.identity;
        let identity = Identity { cluster, node, ..found };
        if let Some((field, expected, found)) = identity.first_difference(&found) {
            return Err(OpenError::Mismatch { file: FileName::Superblock, field, expected, found });
        }
        let (bytes, tail) = (config.segment_bytes, config.tail_bytes_max);
        let mut recovered = recover(disk, &directory, bytes, tail)?;
        let Directory { copies, superblock, lone_copy, segments, .. } = directory;
        let base = recovered.index.base().id.index;
        let newest = &superblock.snapshot;
        let found = Snapshots::open(disk, cluster, newest, base, config.snapshots)?;
        if let Some(loss) = loss_without_snapshot(&recovered, superblock.log_start, &found) {
            return Err(loss.clone().into());
        }
        let is_cut = recovered.lost_end.is_some();
        recovered.lost_end = recovered.lost_end.or(lone_copy);
        let updater = SuperblockUpdater::new(superblock, &copies);
        let unwritten = UnwrittenContent::of(&recovered);
        let (log_start, committed) = (recovered.log_start, recovered.committed);
        let rewritten = match recovered.unacknowledged {
            Some(UnacknowledgedFlush::Intact(prev)) => Some(prev),
            _ => None,
        };
        let (mut storage, opened) = Storage::prepare(disk, config, updater, found, recovered)?;
        storage.log.sizes = segments.into_iter().collect();
        Ok(PreparedStart { storage, opened, is_cut, log_start, committed, unwritten, rewritten })
    }

    /// Records durably that the node of this directory is uncertain: its log may lack entries that
    /// it acknowledged, for example because the directory is an older copy (docs/REPAIR.md, R3).
    ///
    /// # Errors
    /// Those of [`Storage::open`].
    pub fn make_uncertain(disk: &mut dyn Disk, config: &StorageConfig) -> Result<(), OpenError> {
        let identity = Directory::read(disk)?.superblock.identity;
        let (mut storage, _) = Storage::open(disk, identity.cluster, identity.node, config)?;
        storage.updater.request(|superblock| superblock.hard_state.is_uncertain = true);
        storage.run(disk)
    }

    /// Returns the store of a recovered log, and its content. Nothing is written.
    fn prepare(
        disk: &mut dyn Disk,
        config: &StorageConfig,
        updater: SuperblockUpdater,
        found: OpenedSnapshots,
        recovered: RecoveredLog,
    ) -> Result<(Storage, OpenedStorage), OpenError> {
        let snapshot_damage = found.damage_if_none_usable();
        let snapshots = found.snapshots;
        let (spare, next) = (recovered.spare_segments, recovered.next_segment);
        let is_rewritten = matches!(recovered.unacknowledged, Some(UnacknowledgedFlush::Intact(_)));
        let start = LogStart {
            index: recovered.index,
            // The rewritten flush keeps its number: it does not matter whether the first copy is
            // still on disk.
            next_seq: match is_rewritten {
                true => recovered.last_seq,
                false => recovered.last_seq.next(),
            },
            acknowledged: match is_rewritten {
                true => FlushSeq(recovered.last_seq.0 - 1),
                false => recovered.last_seq,
            },
            spare_segments: SpareSegments::new(spare, next, config.segment_bytes),
        };
        let mut storage = Storage::assemble(config.clone(), updater, snapshots, start);
        storage.unused_segments = recovered.unused_segments;
        storage.resume_scrub();
        let last = storage.last().index;
        let tail = match recovered.tail_first {
            first if first <= last => storage.fetch_all(disk, first, last)?,
            _ => Vec::new(),
        };
        let (runs, memberships) = (recovered.runs, recovered.memberships);
        let opened = storage.describe(disk, recovered.committed, runs, memberships)?;
        let LogDamage { entries: damaged, error: damage, .. } = recovered.damage;
        let covered_loss = recovered.covered_loss;
        let found =
            OpenedStorage { tail, damaged, damage, snapshot_damage, covered_loss, ..opened };
        Ok((storage, found.with_lost_end(recovered.lost_end)))
    }

    /// Records durably that the node is uncertain, because flushes through the floor are missing,
    /// and lowers the floor to the last flush that is left. `log_start` is the first flush that the
    /// snapshot does not replace, and `committed` the commit index of what is left.
    fn lower_floor(
        &mut self,
        disk: &mut dyn Disk,
        log_start: FlushSeq,
        committed: Index,
    ) -> Result<(), OpenError> {
        let acknowledged = self.log.acknowledged();
        self.updater.request(|superblock| {
            superblock.hard_state.is_uncertain = true;
            (superblock.ack_floor, superblock.log_start) = (acknowledged, log_start);
            superblock.committed = committed;
        });
        self.run(disk)?;
        // The marks are overwritten only now: until the superblock is durable, they show the loss
        // to the next start.
        for mark in floor::marks(self.log.floor(), &self.identity()) {
            self.operations.request(Owner::Floor, Lane::Log, mark);
        }
        Ok(())
    }

    /// Completes recovery with the writes that must precede the start: it writes the last flush
    /// again if that flush may not have been synced, and records the acknowledged floor in the
    /// superblock. `rewritten` is the entry before that flush, and the commit index.
    fn begin(
        &mut self,
        disk: &mut dyn Disk,
        rewritten: Option<(EntryId, Index)>,
    ) -> Result<(), OpenError> {
        if let Some((prev, committed)) = rewritten {
            assert!(prev.index < self.last().index, "the last flush has entries");
            let entries = self.fetch_all(disk, prev.index.next(), self.last().index)?;
            self.rewrite_last_flush(disk, entries, committed)?;
        }
        self.mark_floor();
        self.updater.request(|superblock| superblock.clean = false);
        self.run(disk)
    }

    /// Records that this snapshot is the current one in place of a later one that cannot be read.
    /// The log reaches back to this one, and the next snapshot may end before the unreadable one.
    fn fall_back(&mut self, disk: &mut dyn Disk, older: &SnapshotMeta) -> Result<(), OpenError> {
        self.updater.request(|superblock| {
            let unreadable = std::mem::replace(&mut superblock.snapshot, older.clone());
            superblock.committed = superblock.committed.max(unreadable.last.index);
            assert!(superblock.compacted <= older.last.index, "the log reaches back to it");
        });
        self.run(disk)?;
        self.recorded_index = older.last.index;
        Ok(())
    }

    /// Returns the recovered content except the tail. `memberships_at` are the indices at which the
    /// log has memberships.
    pub(crate) fn describe(
        &mut self,
        disk: &mut dyn Disk,
        committed: Index,
        runs: Vec<EntryId>,
        memberships_at: Vec<Index>,
    ) -> Result<OpenedStorage, OpenError> {
        let durable = self.updater.durable().clone();
        let covered = durable.snapshot.last.index;
        let snapshot = match self.snapshots.current() {
            Some(older) if older.last.index < covered => older.clone(),
            _ => durable.snapshot.clone(),
        };
        let first = snapshot.last.index.next();
        let (base, last) = (self.base().index, self.last().index);
        assert!(base < first, "the log begins at or before the end of the snapshot");
        assert!(last.next() >= first, "the log has the last entry of the snapshot");
        let mut memberships = Vec::new();
        for index in memberships_at.into_iter().filter(|index| *index >= first) {
            let entries = self.fetch_all(disk, index, index)?;
            memberships.extend(entries.iter().filter_map(Entry::membership));
        }
        Ok(OpenedStorage {
            identity: durable.identity,
            origin: durable.origin,
            hard_state: durable.hard_state,
            is_quarantined: durable.is_quarantined,
            committed: committed.max(covered),
            snapshot,
            lost_end: None,
            covered_loss: None,
            snapshot_damage: None,
            previous_snapshot: self.previous_snapshot(),
            base: self.base(),
            runs,
            memberships,
            last: self.last(),
            damaged: Vec::new(),
            damage: None,
            tail: Vec::new(),
        })
    }

    /// Writes the last flush again, in a new segment, because a readable flush may not be durable.
    fn rewrite_last_flush(
        &mut self,
        disk: &mut dyn Disk,
        entries: Vec<Entry>,
        committed: Index,
    ) -> Result<(), OpenError> {
        if !self.is_one_flush(&entries) {
            let text = "the last flush, which has to be written again, is larger than \
                        flush_bytes_max: start the node once with the earlier limits";
            return Err(OpenError::Config(text.to_owned()));
        }
        let seq: FlushSeq = self.log.acknowledged();
        self.spare_segments_target = 1;
        self.log.queue.push_single_flush(entries, committed);
        self.run(disk)?;
        self.spare_segments_target = 0;
        let is_written = self.log.acknowledged() != seq;
        assert!(!is_written || self.log.acknowledged() == seq.next(), "one flush is written again");
        if is_written { Ok(()) } else { Err(OpenError::Full) }
    }

    /// Reads all entries from `first` through `last`.
    fn fetch_all(
        &mut self,
        disk: &mut dyn Disk,
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
            let end = all.last().map(|entry| entry.id.index);
            assert!(end >= Some(next) && end <= Some(last), "each read returns the next entries");
        }
    }

    /// Reads entries from `first` on and none after `last`; returns no entries if the log lacks
    /// `first`.
    pub(crate) fn fetch_some(
        &mut self,
        disk: &mut dyn Disk,
        first: Index,
        last: Index,
    ) -> Result<Vec<Entry>, OpenError> {
        let mut all = Vec::new();
        let mut events = Vec::new();
        self.fetch(FetchId(0), first, last, usize::MAX, &mut events);
        let mut damaged = None;
        for event in self.carry_out(disk, events)? {
            match event {
                Event::Fetched { entries, .. } => all.extend(entries),
                Event::Damaged(entries) => damaged = entries.first().copied(),
                _ => {}
            }
        }
        match damaged {
            Some(DamagedEntry { id, .. }) if all.is_empty() => {
                let message = format!("entry {id} is damaged");
                Err(StorageError { file: None, offset: 0, message, cause: ErrorCause::Damage }
                    .into())
            }
            _ => Ok(all),
        }
    }

    /// Takes every step that is possible, and executes the operations until none is left.
    fn run(&mut self, disk: &mut dyn Disk) -> Result<(), OpenError> {
        let mut events = Vec::new();
        self.advance(&mut events);
        self.carry_out(disk, events).map(drop)
    }

    /// Executes the operations among the events, and those that follow from them. Returns the other
    /// events.
    pub(crate) fn carry_out(
        &mut self,
        disk: &mut dyn Disk,
        mut events: Vec<Event>,
    ) -> Result<Vec<Event>, OpenError> {
        let mut others = Vec::new();
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                match event {
                    Event::Disk(operation) => {
                        let action = &operation.action;
                        let result = match action {
                            FileAction::Read { .. } => repeat_exhausted(|| disk.execute(action)),
                            _ => disk.execute(action),
                        };
                        let completion = Completion { id: operation.id, result };
                        self.completed(completion, &mut events);
                    }
                    // Nothing repeats the reads that wait, and nothing was lost.
                    Event::Failed(failure) | Event::Exhausted(Some(failure)) => {
                        return Err(failure.into());
                    }
                    other => others.push(other),
                }
            }
        }
        Ok(others)
    }
}

/// Returns the error about lost flushes, if the newest snapshot is damaged. A start must then
/// reject the directory: the snapshot before the newest one needs the rest of the log, which the
/// start would remove. `log_start` is that of the superblock.
pub(crate) fn loss_without_snapshot<'a>(
    recovered: &'a RecoveredLog,
    log_start: FlushSeq,
    found: &OpenedSnapshots,
) -> Option<&'a StorageError> {
    found.damage.as_ref()?;
    // After this loss, no entry after the newest snapshot is left.
    let lost_end = recovered.lost_end.as_ref().filter(|_| recovered.log_start > log_start);
    recovered.covered_loss.as_ref().or(lost_end)
}

/// Writes the first superblock of a directory; from then on the directory can be opened.
pub(crate) fn write_first_superblock(
    disk: &mut dyn Disk,
    superblock: &Superblock,
) -> Result<(), OpenError> {
    for action in first_actions(superblock) {
        disk.execute(&action).map_err(|error| storage_error(&action, error))?;
    }
    let intact = |copy: &SuperblockCopy| match copy {
        SuperblockCopy::Valid(other, _) => **other == *superblock,
        _ => false,
    };
    if !read_copies(disk)?.iter().all(intact) {
        let message = "the superblock read back differs from the one written".to_owned();
        let file = Some(FileName::Superblock);
        return Err(StorageError { file, offset: 0, message, cause: ErrorCause::Disk }.into());
    }
    Ok(())
}

/// Returns true if formatting was certainly interrupted: no later superblock was written, some of
/// the first copies are missing, and the second pair is untouched or the first pair complete.
fn is_half_formatted(copies: &[SuperblockCopy]) -> bool {
    let first = |copy: &&SuperblockCopy| match copy {
        SuperblockCopy::Valid(superblock, _) => superblock.seq == 1,
        _ => false,
    };
    let formatted = copies.iter().filter(first).count();
    let later =
        copies.iter().any(|copy| matches!(copy, SuperblockCopy::Valid(_, _) if !first(&copy)));
    let untouched = copies.iter().skip(2).all(|copy| *copy == SuperblockCopy::Zero);
    let first_pair = copies.iter().take(2).filter(first).count() == 2;
    let newer = copies.iter().any(|copy| matches!(copy, SuperblockCopy::Newer(_)));
    !later && !newer && formatted < COPIES && (untouched || first_pair)
}
