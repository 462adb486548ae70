//! The snapshots of one node: taken, received, served and kept, each in one file. A snapshot is
//! complete only once it is durable under its name and was read back.

mod common;
mod failed_reads;
mod finishing;
mod format;
mod load;
mod open;
mod progress;
mod reader;
mod receiving;
pub(crate) mod scrubbing;
mod taking;
#[cfg(test)]
mod tests;
mod verification;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, Lane, OperationId};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{Common, NextStep, OperationKind, Purpose};
use crate::storage::snapshots::failed_reads::FailedReads;
use crate::storage::snapshots::finishing::Finishing;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::chunk_damage;
use crate::storage::snapshots::receiving::Receiving;
use crate::storage::snapshots::scrubbing::{Scrubbing, SnapshotScrubPlace};
use crate::storage::snapshots::taking::Taking;
use crate::storage::snapshots::work::Work;
use crate::types::{EntryId, Index, Membership, Root, SnapshotMeta, SnapshotPart};

pub use common::{AbandonReason, SnapshotConfig, SnapshotEvent};
pub(crate) use format::snapshot_root;
pub(crate) use load::{damaged_before, last_entry_of_snapshot};
pub use reader::SnapshotReader;
pub use receiving::PartOutcome;

/// The snapshots of one node. At most one is taken or received at a time.
///
/// Older snapshots are removed only once the superblock names a snapshot that was verified since
/// the start. Then that snapshot, the one before it and all later ones are kept. Two kinds of files
/// are removed earlier: partial files, when the node begins to take or receive another snapshot,
/// and the files of a snapshot that is abandoned, for example because it differs when it is read
/// back. Apart from that, no file is removed because it is damaged or unknown.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    common: Common,
    /// Every snapshot file, by its last index; with its manifest if the file may be served.
    files: BTreeMap<Index, Option<Arc<Manifest>>>,
    /// The last index of each partial snapshot.
    partials: BTreeSet<Index>,
    /// The manifest of a partial file from before the start that can be completed. It is within its
    /// limit, which may have been higher before the start.
    resumable: Option<Arc<Manifest>>,
    /// The last index of the snapshot that the node started from or recorded; 0 for the empty
    /// state, or if no snapshot can be used.
    current: Index,
    /// The snapshot that is being taken, received or finished.
    work: Option<Work>,
    /// The pass that reads the kept snapshots again, if one is under way.
    scrubbing: Option<Scrubbing>,
    failed_reads: FailedReads,
}

/// The result of [`Snapshots::open`].
#[derive(Clone, Debug)]
pub(crate) struct OpenedSnapshots {
    /// The snapshots. The current one is the snapshot that the superblock names or, if that is
    /// damaged, the newest intact one to which the log reaches back. There is none if no snapshot
    /// can be used.
    pub(crate) snapshots: Snapshots,
    /// The reason why the snapshot that the superblock names cannot be used, if it cannot.
    pub(crate) damage: Option<StorageError>,
}

impl OpenedSnapshots {
    /// Returns the damage of the snapshot that the superblock names, if no older one can be used in
    /// its place.
    pub(crate) fn damage_if_none_usable(&self) -> Option<StorageError> {
        self.damage.clone().filter(|_| self.snapshots.current().is_none())
    }
}

impl Snapshots {
    /// Opens the snapshots of a directory whose log begins after `base`, and reads `current` in
    /// full. Changes nothing.
    ///
    /// # Errors
    /// The error of the disk, if it cannot list its files.
    pub(crate) fn open(
        disk: &mut dyn Disk,
        cluster: ClusterId,
        current: &SnapshotMeta,
        base: Index,
        config: SnapshotConfig,
    ) -> Result<OpenedSnapshots, StorageError> {
        let found = open::scan(disk, cluster, current, base)?;
        let is_whole = found.start.is_some() || current.root == Root::default();
        assert!(is_whole || found.damage.is_some(), "a snapshot that is not used is damaged");
        let limit = config.manifest_bytes_max as usize;
        let snapshots = Snapshots {
            common: Common::new(cluster, config),
            files: found.files,
            partials: found.partials,
            resumable: found.resumable.filter(|manifest| manifest.encoded().len() <= limit),
            current: found.start.unwrap_or_default(),
            work: None,
            scrubbing: None,
            failed_reads: FailedReads::default(),
        };
        snapshots.check();
        Ok(OpenedSnapshots { snapshots, damage: found.damage })
    }

    /// Returns the current snapshot; `None` for the empty state, if no snapshot can be used, or
    /// after damage to the current one was found.
    pub(crate) fn current(&self) -> Option<&SnapshotMeta> {
        Some(self.files.get(&self.current)?.as_ref()?.meta())
    }

    /// Returns the newest complete snapshot before the current one that is not known to be damaged.
    /// The log after it must be kept, so that the node survives damage to the current one.
    pub(crate) fn previous(&self) -> Option<&SnapshotMeta> {
        let older = self.files.range(..self.current).rev();
        older.filter_map(|(_, manifest)| Some(manifest.as_ref()?.meta())).next()
    }

    /// Returns the events since the last call, in order.
    pub(crate) fn take_events(&mut self) -> impl Iterator<Item = SnapshotEvent> {
        self.common.events.drain(..)
    }

    /// Begins to take a snapshot of the state after `last`. Each [`SnapshotEvent::ReadyForChunk`]
    /// is answered by [`Snapshots::chunk`] or [`Snapshots::end`]. Returns false if another snapshot
    /// is being taken or received, or a complete one is at least as new. A file of this index that
    /// was not verified is replaced, because the node may have stopped before the superblock named
    /// it. A damaged current snapshot is replaced, too, because there may be no later state.
    #[must_use]
    pub(crate) fn begin(
        &mut self,
        operations: &mut Operations,
        last: EntryId,
        membership: Membership,
    ) -> bool {
        let newest = self.newest();
        let replaces_damaged = last.index == newest && self.files.get(&newest) == Some(&None);
        if self.work.is_some() || (last.index <= newest && !replaces_damaged) {
            return false;
        }
        self.remove_partials(operations, None);
        self.partials.insert(last.index);
        let taking = Taking::begin(&mut self.common, operations, last, membership);
        self.work = Some(Work::Taking(taking));
        self.check();
        true
    }

    /// Writes the next chunk of the snapshot being taken: exactly `chunk_bytes` long, except the
    /// last. Does nothing if the snapshot was abandoned meanwhile.
    ///
    /// # Panics
    /// If no chunk was requested, or the chunk has the wrong size.
    pub(crate) fn chunk(&mut self, operations: &mut Operations, bytes: Vec<u8>) {
        if let Some(Work::Taking(taking)) = &mut self.work {
            let next = taking.chunk(&mut self.common, operations, bytes);
            self.advance_work(operations, next);
        }
    }

    /// Ends the snapshot being taken. Does nothing if it was abandoned meanwhile.
    ///
    /// # Panics
    /// If no chunk was requested.
    pub(crate) fn end(&mut self, operations: &mut Operations) {
        if let Some(Work::Taking(taking)) = &self.work {
            let next = taking.end(&mut self.common, operations);
            self.advance_work(operations, next);
        }
    }

    /// Begins or continues to receive the snapshot `meta`, in place of other work in progress.
    /// Parts that were received before a restart are kept if they are of this snapshot. If the
    /// snapshot is already complete, the store reports it at once and abandons any other that it is
    /// receiving. Returns false for the empty state, or if another snapshot, complete or being
    /// taken, is at least as new.
    #[must_use]
    pub(crate) fn receive(&mut self, operations: &mut Operations, meta: &SnapshotMeta) -> bool {
        let here = self.files.get(&meta.last.index).and_then(Option::as_ref);
        let is_here = here.is_some_and(|manifest| manifest.meta() == meta);
        if meta.root == Root::default() || meta.last.index < self.newest() {
            return false;
        }
        if is_here {
            if self.work.as_ref().is_some_and(Work::is_received) {
                self.abandon_with(operations, AbandonReason::Superseded);
            }
            self.common.events.push(SnapshotEvent::Received(meta.clone()));
            return true;
        }
        match &self.work {
            _ if meta.last.index == self.newest() => return false,
            Some(Work::Receiving(receiving)) if receiving.meta() == meta => return true,
            Some(Work::Finishing(finishing)) if finishing.manifest().meta() == meta => return true,
            Some(work) if !work.is_received() && work.last().index >= meta.last.index => {
                return false;
            }
            Some(_) => self.abandon_with(operations, AbandonReason::Superseded),
            None => {}
        }
        let resumable = self.resumable.take().filter(|manifest| manifest.meta() == meta);
        self.remove_partials(operations, resumable.as_ref().map(|_| meta.last.index));
        self.partials.insert(meta.last.index);
        let mut next = NextStep::Continue;
        let receiving = match resumable {
            None => Receiving::begin(meta.clone()),
            Some(manifest) => {
                let (receiving, follows) =
                    Receiving::resume(&mut self.common, operations, manifest);
                next = follows;
                receiving
            }
        };
        self.work = Some(Work::Receiving(receiving));
        self.check();
        self.advance_work(operations, next);
        true
    }

    /// Returns the root of the snapshot being received, and its missing parts that may be requested
    /// now, including those that were requested before and have not arrived.
    pub(crate) fn parts_to_request(&self) -> Option<(Root, Vec<SnapshotPart>)> {
        match &self.work {
            Some(Work::Receiving(receiving)) => {
                Some((receiving.meta().root, receiving.wanted(&self.common)))
            }
            _ => None,
        }
    }

    /// Handles a part of the snapshot `root` that a peer has sent.
    pub(crate) fn part(
        &mut self,
        operations: &mut Operations,
        root: Root,
        part: SnapshotPart,
        bytes: &[u8],
    ) -> PartOutcome {
        match &mut self.work {
            Some(Work::Receiving(receiving)) if receiving.meta().root == root => {
                let (outcome, next) = receiving.part(&mut self.common, operations, part, bytes);
                self.advance_work(operations, next);
                outcome
            }
            _ => PartOutcome::NotNeeded,
        }
    }

    /// Abandons the snapshot being taken or received, and frees its space.
    pub(crate) fn abandon(&mut self, operations: &mut Operations) {
        self.check();
        if let Some(work) = self.work.take() {
            let index = work.last().index;
            self.common.abandon_work();
            self.partials.remove(&index);
            let mut files = vec![FileName::PartialSnapshot(index)];
            let is_named = matches!(&work, Work::Finishing(finishing) if finishing.is_named());
            // The file of the current snapshot is kept, and can be replaced again.
            if is_named && index != self.current {
                self.files.remove(&index);
                files.push(FileName::Snapshot(index));
            }
            self.common.remove(operations, &files);
        }
        self.check();
    }

    /// Reads a part of the snapshot `root` for a peer: [`SnapshotEvent::Part`],
    /// [`SnapshotEvent::PartUnreadable`] or [`SnapshotEvent::PartUnavailable`] follows, or no event
    /// if this chunk is being read already or `serving_max` reads are pending.
    pub(crate) fn serve(&mut self, operations: &mut Operations, root: Root, part: SnapshotPart) {
        let mut whole = self.files.values().flatten();
        let manifest = whole.find(|manifest| manifest.meta().root == root).cloned();
        match (part, manifest) {
            (SnapshotPart::Manifest(number), Some(manifest)) if number < manifest.pieces() => {
                let bytes = manifest.piece(number).expect("the piece number is in range");
                self.common.events.push(SnapshotEvent::Part { root, part, bytes: bytes.into() });
            }
            (SnapshotPart::Chunk(number), Some(manifest)) if number < manifest.chunks() => {
                self.read_for_peer(operations, manifest, number);
            }
            _ => self.common.events.push(SnapshotEvent::PartUnavailable { root, part }),
        }
    }

    /// Begins a pass that reads the kept snapshots again, or continues one at `place`.
    pub(crate) fn begin_scrub(&mut self, place: SnapshotScrubPlace) {
        self.scrubbing = Some(Scrubbing::new(place, &self.files));
    }

    /// Returns the place at which the pass under way continues after a restart.
    pub(crate) fn scrub_place(&self) -> Option<SnapshotScrubPlace> {
        self.scrubbing.as_ref().map(Scrubbing::restart_place)
    }

    /// Returns true during a pass that reads the kept snapshots again.
    pub(crate) fn is_scrubbing(&self) -> bool {
        self.scrubbing.is_some()
    }

    /// Reads the next piece of the pass; [`Snapshots::take_scrubbed`] returns its size afterwards.
    /// Returns false, and ends the pass, if none is left.
    pub(crate) fn scrub(&mut self, operations: &mut Operations) -> bool {
        let scrubbing = self.scrubbing.as_mut().expect("a pass is under way");
        let Some(verification) = scrubbing.next(&self.files) else {
            self.scrubbing = None;
            return false;
        };
        let (file, offset, bytes) = verification.piece();
        operations.drop_cache(Lane::Bulk, file);
        let read = FileAction::Read { file, offset, bytes };
        self.common.request(operations, Purpose::Scrub, read);
        true
    }

    /// Returns the size in bytes of the piece that [`Snapshots::scrub`] has read, once.
    pub(crate) fn take_scrubbed(&mut self) -> Option<u64> {
        self.scrubbing.as_mut()?.read_bytes.take()
    }

    /// Whether the file belongs to a snapshot, or an operation of any snapshot is pending, such as
    /// the removal of a file.
    pub(crate) fn uses(&self, file: FileName) -> bool {
        let is_known = self.files.keys().any(|last| file == FileName::Snapshot(*last))
            || self.partials.iter().any(|last| file == FileName::PartialSnapshot(*last));
        is_known || !self.common.pending.is_empty()
    }

    /// Returns the sizes of the kept snapshots together, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().flatten().map(|manifest| manifest.file_bytes()).sum()
    }

    /// Makes `meta`, which the superblock durably names, the current snapshot. Removes the files
    /// that are older than the snapshot before it, and partial files that do not end later than
    /// `meta`. Does nothing unless `meta` was verified.
    pub(crate) fn set_current(&mut self, operations: &mut Operations, meta: &SnapshotMeta) {
        if meta.root == Root::default() {
            return;
        }
        let named = self.files.get(&meta.last.index).and_then(Option::as_ref);
        if named.is_none_or(|manifest| manifest.meta() != meta) {
            // The snapshot is damaged or missing, so the files that could replace it are kept.
            return;
        }
        assert!(meta.last.index >= self.current, "the current snapshot is never older than before");
        self.current = meta.last.index;
        let previous = self.previous().map_or(Index::ZERO, |previous| previous.last.index);
        let newer = self.files.split_off(&previous);
        let older = std::mem::replace(&mut self.files, newer);
        self.failed_reads.retain(|last| self.files.contains_key(&last));
        let mut files: Vec<FileName> = older.into_keys().map(FileName::Snapshot).collect();
        let in_progress = self.work.as_ref().map(|work| work.last().index);
        let is_obsolete = |index: &Index| *index <= meta.last.index && Some(*index) != in_progress;
        let obsolete = self.partials.extract_if(.., |index| is_obsolete(index));
        files.extend(obsolete.map(FileName::PartialSnapshot));
        let resumable = self.resumable.take();
        self.resumable = resumable.filter(|partial| !is_obsolete(&partial.meta().last.index));
        assert!(!files.contains(&FileName::Snapshot(self.current)), "the current snapshot is kept");
        self.check();
        self.common.remove(operations, &files);
    }

    /// Handles the result of an operation of the snapshots.
    ///
    /// # Errors
    /// A [`StorageError`] if the operation failed, unless it was a read, a write for which the file
    /// system had no room, or the creation of a file for which a resource was missing. The error is
    /// final: no method may be called after it.
    ///
    /// # Panics
    /// If the operation was not requested, or is completed twice.
    pub(crate) fn complete(
        &mut self,
        operations: &mut Operations,
        id: OperationId,
        file: Option<FileName>,
        offset: u64,
        result: Result<Vec<u8>, DiskError>,
    ) -> Result<(), StorageError> {
        let done = self.common.pending.remove(&id);
        let done = done.expect("contract: an operation that was requested is completed once");
        match result {
            // Only an unfinished snapshot is affected, and it is abandoned.
            Err(DiskError::Full)
                if matches!(done.kind, OperationKind::Create | OperationKind::Write) =>
            {
                if done.purpose.is_work() {
                    self.abandon_with(operations, AbandonReason::Full);
                }
            }
            Err(error @ DiskError::Exhausted(_)) if done.kind == OperationKind::Create => {
                if done.purpose.is_work() {
                    let error = StorageError::disk(file, offset, &error);
                    self.abandon_with(operations, AbandonReason::Exhausted(error));
                }
            }
            Err(error) if done.kind != OperationKind::Read => {
                return Err(StorageError::disk(file, offset, &error));
            }
            result => self.on_done(operations, done.purpose, result),
        }
        self.check();
        Ok(())
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        let has_current = self.current == Index::ZERO || self.files.contains_key(&self.current);
        assert!(has_current, "the current snapshot has a file");
        if let Some(work) = &self.work {
            let index = work.last().index;
            let replaces = index == self.current && self.current().is_none();
            assert!(
                index > self.current || replaces,
                "work is on a snapshot after the current one, or replaces that one"
            );
            assert!(self.partials.contains(&index), "the file of unfinished work is known");
            assert!(self.resumable.is_none(), "work has taken or dropped the partial file");
        } else {
            debug_assert!(!self.common.is_busy(), "only work under way waits for operations");
        }
        if let Some(partial) = &self.resumable {
            let index = partial.meta().last.index;
            assert!(
                self.partials.contains(&index),
                "a partial file that can be completed is known"
            );
        }
        debug_assert!(
            self.files.iter().all(|(index, manifest)| {
                manifest.as_ref().is_none_or(|manifest| manifest.meta().last.index == *index)
            }),
            "the name of a file is the last index of its snapshot"
        );
    }

    fn on_done(
        &mut self,
        operations: &mut Operations,
        purpose: Purpose,
        result: Result<Vec<u8>, DiskError>,
    ) {
        let common = &mut self.common;
        let next = match (purpose, &mut self.work) {
            (Purpose::Serve(manifest, chunk), _) => {
                return self.on_chunk_read_for_peer(manifest, chunk, result);
            }
            (Purpose::Scrub, _) => return self.on_scrubbed(result),
            (Purpose::Abandoned | Purpose::Removal, _) => return,
            (Purpose::Step, Some(Work::Taking(taking))) => taking.on_step(common),
            (Purpose::Step, Some(Work::Receiving(receiving))) => {
                receiving.on_step(common, operations)
            }
            (Purpose::Step, Some(Work::Finishing(finishing))) => {
                finishing.on_step(common, operations, result)
            }
            (Purpose::Chunk(number), Some(Work::Receiving(receiving))) => {
                receiving.on_chunk(common, operations, number)
            }
            (Purpose::Check(run), Some(Work::Receiving(receiving))) => {
                receiving.on_check(common, operations, run, result)
            }
            (purpose, _) => unreachable!("{purpose:?} without work under way"),
        };
        self.advance_work(operations, next);
    }

    fn advance_work(&mut self, operations: &mut Operations, next: NextStep) {
        match next {
            NextStep::Continue => {}
            NextStep::Abandon(reason) => self.abandon_with(operations, reason),
            NextStep::Finish(manifest) => {
                let received = self.work.as_ref().is_some_and(Work::is_received);
                let finishing = Finishing::begin(&mut self.common, operations, manifest, received);
                self.work = Some(Work::Finishing(finishing));
            }
            NextStep::Done(manifest) => {
                let received = self.work.as_ref().is_some_and(Work::is_received);
                let meta = manifest.meta().clone();
                let work = self.work.take().map(|work| work.last());
                assert_eq!(work, Some(meta.last), "the work that ends is the work under way");
                self.partials.remove(&meta.last.index);
                self.files.insert(meta.last.index, Some(manifest));
                let event = if received { SnapshotEvent::Received } else { SnapshotEvent::Taken };
                self.common.events.push(event(meta));
            }
        }
    }

    fn abandon_with(&mut self, operations: &mut Operations, reason: AbandonReason) {
        let last = self.work.as_ref().map(Work::last).expect("only work under way is abandoned");
        self.abandon(operations);
        self.common.events.push(SnapshotEvent::Abandoned { last, reason });
    }

    /// Returns the last index of the newest complete snapshot, or of the current one.
    fn newest(&self) -> Index {
        let mut newest = self.files.iter().rev().filter(|(_, manifest)| manifest.is_some());
        newest.next().map_or(self.current, |(index, _)| *index).max(self.current)
    }

    /// Removes every partial file except `kept`.
    fn remove_partials(&mut self, operations: &mut Operations, kept: Option<Index>) {
        let others = self.partials.extract_if(.., |index| Some(*index) != kept);
        let files: Vec<FileName> = others.map(FileName::PartialSnapshot).collect();
        self.resumable = None;
        self.common.remove(operations, &files);
    }

    fn read_for_peer(&mut self, operations: &mut Operations, manifest: Arc<Manifest>, chunk: u32) {
        let serving: Vec<&Purpose> =
            (self.common.pending.values().map(|operation| &operation.purpose))
                .filter(|purpose| matches!(purpose, Purpose::Serve(..)))
                .collect();
        let purpose = Purpose::Serve(manifest, chunk);
        let is_read = serving.contains(&&purpose);
        if is_read || serving.len() >= self.common.config.serving_max as usize {
            return;
        }
        let Purpose::Serve(manifest, _) = &purpose else {
            unreachable!("the purpose was created here")
        };
        let file = FileName::Snapshot(manifest.meta().last.index);
        assert!(chunk < manifest.chunks(), "the snapshot has the chunk that is read for a peer");
        let bytes = usize::try_from(manifest.bytes(&(chunk..chunk + 1))).expect("at most 1 MiB");
        let read = FileAction::Read { file, offset: manifest.offset(chunk), bytes };
        self.common.request(operations, purpose, read);
    }

    fn on_chunk_read_for_peer(
        &mut self,
        manifest: Arc<Manifest>,
        chunk: u32,
        result: Result<Vec<u8>, DiskError>,
    ) {
        let (root, part) = (manifest.meta().root, SnapshotPart::Chunk(chunk));
        let last = manifest.meta().last.index;
        let mut damage = chunk_damage(FileName::Snapshot(last), &manifest, chunk);
        if self.failed_reads.is_repeated((last, damage.offset), &result) {
            return self.common.events.push(SnapshotEvent::PartUnreadable { root, part });
        }
        match result {
            Ok(bytes) if manifest.chunk_matches(chunk, &bytes) => {
                let bytes = bytes.into();
                return self.common.events.push(SnapshotEvent::Part { root, part, bytes });
            }
            Ok(_) => {}
            Err(error) => damage.message = error.to_string(),
        }
        self.on_damaged(&manifest, damage);
        self.common.events.push(SnapshotEvent::PartUnavailable { root, part });
    }

    fn on_scrubbed(&mut self, result: Result<Vec<u8>, DiskError>) {
        let scrubbing = self.scrubbing.as_mut().expect("a pass is under way");
        let place = scrubbing.place();
        if place.is_some_and(|place| self.failed_reads.is_repeated(place, &result)) {
            scrubbing.on_failed();
        } else if let Some((manifest, damage)) = scrubbing.on_read(self.common.cluster, result) {
            self.on_damaged(&manifest, damage);
        }
    }

    /// Handles damage to the file of this snapshot, if it is still kept.
    fn on_damaged(&mut self, manifest: &Arc<Manifest>, damage: StorageError) {
        let kept = self.files.get_mut(&manifest.meta().last.index);
        if let Some(kept) = kept.filter(|kept| kept.as_ref() == Some(manifest)) {
            *kept = None;
            self.failed_reads.retain(|last| last != manifest.meta().last.index);
            self.common.events.push(SnapshotEvent::Damaged(damage));
        }
    }
}
