//! The snapshots of one node: taken, received, served and kept, one file each. Operations go out,
//! completions come in; a snapshot counts only once it is durable under its name and read back.

mod common;
mod finishing;
mod format;
mod load;
mod open;
mod reader;
mod receiving;
mod taking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, OperationId};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{Common, Next, Purpose, Verb};
use crate::storage::snapshots::finishing::Finishing;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::load::wrong_chunk;
use crate::storage::snapshots::receiving::Receiving;
use crate::storage::snapshots::taking::Taking;
use crate::types::{EntryId, Index, Membership, Part, Root, SnapshotMeta};

pub use common::{AbandonReason, SnapshotConfig, SnapshotEvent};
pub(crate) use format::snapshot_root;
pub use reader::SnapshotReader;
pub use receiving::PartOutcome;

/// The snapshots of one node. At most one is being taken or received at a time.
///
/// A file is removed only when the superblock names a snapshot that was seen to be whole since the
/// start: then it and the one before it stay, with whatever is newer. Nothing is removed because
/// it is damaged, or unknown.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    common: Common,
    /// Every snapshot file; with its manifest, if it may be served.
    files: BTreeMap<Index, Option<Arc<Manifest>>>,
    partials: BTreeSet<Index>,
    /// A partial file from before the start that can be gone on with.
    resumable: Option<Arc<Manifest>>,
    /// The snapshot the node stands on; 0 for the empty state.
    in_force: Index,
    work: Option<Work>,
}

/// What [`Snapshots::open`] finds.
#[derive(Clone, Debug)]
pub(crate) struct OpenedSnapshots {
    /// Standing on the snapshot in force, or on the one before it.
    pub(crate) snapshots: Snapshots,
    /// Why the snapshot in force cannot be used. Then the node may start from
    /// [`Snapshots::in_force`] only if its log reaches back to there.
    pub(crate) damage: Option<Failure>,
}

#[derive(Clone, Debug)]
enum Work {
    Taking(Taking),
    Receiving(Receiving),
    Finishing(Finishing),
}

impl Snapshots {
    /// What the disk has, with the snapshot `in_force` read in full. Nothing is changed.
    ///
    /// # Errors
    /// The damage, if neither the snapshot in force nor the one before it is whole.
    pub(crate) fn open<D: Disk>(
        disk: &mut D,
        cluster: ClusterId,
        in_force: &SnapshotMeta,
        config: SnapshotConfig,
    ) -> Result<OpenedSnapshots, Failure> {
        let found = open::look(disk, cluster, in_force)?;
        let snapshots = Snapshots {
            common: Common::new(cluster, config),
            files: found.files,
            partials: found.partials,
            resumable: found.resumable,
            in_force: found.start.unwrap_or_default(),
            work: None,
        };
        Ok(OpenedSnapshots { snapshots, damage: found.damage })
    }

    /// The snapshot the node stands on; none for the empty state, or once it was seen damaged.
    pub(crate) fn in_force(&self) -> Option<&SnapshotMeta> {
        Some(self.files.get(&self.in_force)?.as_ref()?.meta())
    }

    /// The whole snapshot before the one in force. The log after it must be kept: with it, damage
    /// to the one in force can be survived.
    pub(crate) fn previous(&self) -> Option<&SnapshotMeta> {
        let older = self.files.range(..self.in_force).rev();
        older.filter_map(|(_, manifest)| Some(manifest.as_ref()?.meta())).next()
    }

    /// What has happened since the last call, in order.
    pub(crate) fn take_events(&mut self) -> impl Iterator<Item = SnapshotEvent> {
        self.common.events.drain(..)
    }

    /// Begins to take a snapshot of the state after `last`. Each [`SnapshotEvent::ChunkWanted`] is
    /// answered by [`Snapshots::chunk`] or [`Snapshots::end`]. False if other work is under way,
    /// there is a newer snapshot, or a file for this index, even a damaged one.
    #[must_use]
    pub(crate) fn begin(
        &mut self,
        operations: &mut Operations,
        last: EntryId,
        membership: Membership,
    ) -> bool {
        let is_useful = last.index > self.newest() && !self.files.contains_key(&last.index);
        if self.work.is_some() || !is_useful {
            return false;
        }
        self.remove_partials(operations, None);
        self.partials.insert(last.index);
        let taking = Taking::begin(&mut self.common, operations, last, membership);
        self.work = Some(Work::Taking(taking));
        true
    }

    /// The next chunk of the snapshot being taken: of exactly the configured size, save the last.
    /// Does nothing if the snapshot was given up meanwhile.
    ///
    /// # Panics
    /// If it was not asked for, or has the wrong size.
    pub(crate) fn chunk(&mut self, operations: &mut Operations, bytes: Vec<u8>) {
        if let Some(Work::Taking(taking)) = &mut self.work {
            let next = taking.chunk(&mut self.common, operations, bytes);
            self.go_on(operations, next);
        }
    }

    /// The snapshot being taken has all its content. Does nothing if it was given up meanwhile.
    ///
    /// # Panics
    /// If no chunk was asked for.
    pub(crate) fn end(&mut self, operations: &mut Operations) {
        if let Some(Work::Taking(taking)) = &self.work {
            let next = taking.end(&mut self.common, operations);
            self.go_on(operations, next);
        }
    }

    /// Begins or goes on to receive the snapshot `meta`, in place of other work. Parts of it that
    /// a restart has left are kept; of another snapshot, none. If the snapshot is here already, it
    /// is reported at once. False if there is a newer one, so that it is of no use.
    #[must_use]
    pub(crate) fn receive(&mut self, operations: &mut Operations, meta: &SnapshotMeta) -> bool {
        let here = self.files.get(&meta.last.index).and_then(Option::as_ref);
        let is_here = here.is_some_and(|manifest| manifest.meta() == meta);
        if meta.root == Root::default() || meta.last.index < self.newest() {
            return false;
        }
        if is_here {
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
            Some(_) => self.give_up(operations, AbandonReason::Superseded),
            None => {}
        }
        let resumable = self.resumable.take().filter(|manifest| manifest.meta() == meta);
        self.remove_partials(operations, resumable.as_ref().map(|_| meta.last.index));
        self.partials.insert(meta.last.index);
        let mut next = Next::Stay;
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
        self.go_on(operations, next);
        true
    }

    /// The parts of the snapshot being received that are missing and may be asked for now: those
    /// that were asked for and have not come are among them.
    pub(crate) fn wanted(&self) -> Option<(Root, Vec<Part>)> {
        match &self.work {
            Some(Work::Receiving(receiving)) => {
                Some((receiving.meta().root, receiving.wanted(&self.common)))
            }
            _ => None,
        }
    }

    /// A part of the snapshot `root` has come from a peer.
    pub(crate) fn part(
        &mut self,
        operations: &mut Operations,
        root: Root,
        part: Part,
        bytes: &[u8],
    ) -> PartOutcome {
        match &mut self.work {
            Some(Work::Receiving(receiving)) if receiving.meta().root == root => {
                let (outcome, next) = receiving.part(&mut self.common, operations, part, bytes);
                self.go_on(operations, next);
                outcome
            }
            _ => PartOutcome::NotWanted,
        }
    }

    /// Gives up what is being taken or received, and gives its space back.
    pub(crate) fn abandon(&mut self, operations: &mut Operations) {
        if let Some(work) = self.work.take() {
            let index = work.last().index;
            self.common.forget_work();
            self.partials.remove(&index);
            let mut files = vec![FileName::PartialSnapshot(index)];
            if matches!(&work, Work::Finishing(finishing) if finishing.is_named()) {
                self.files.remove(&index);
                files.push(FileName::Snapshot(index));
            }
            self.common.remove(operations, &files);
        }
    }

    /// A peer wants a part of the snapshot `root`: [`SnapshotEvent::Part`] or
    /// [`SnapshotEvent::Gone`] follows, or nothing if too much is being read already.
    pub(crate) fn serve(&mut self, operations: &mut Operations, root: Root, part: Part) {
        let mut whole = self.files.values().flatten();
        let manifest = whole.find(|manifest| manifest.meta().root == root).cloned();
        match (part, manifest) {
            (Part::Manifest(number), Some(manifest)) if number < manifest.pieces() => {
                let bytes = manifest.piece(number).expect("there are more pieces than that");
                self.common.events.push(SnapshotEvent::Part { root, part, bytes: bytes.into() });
            }
            (Part::Chunk(number), Some(manifest)) if number < manifest.chunks() => {
                self.read_for_peer(operations, manifest, number);
            }
            _ => self.common.events.push(SnapshotEvent::Gone { root, part }),
        }
    }

    /// The superblock names `meta`, durably: what is older than the snapshot before it goes. Does
    /// nothing unless `meta` was seen to be whole.
    pub(crate) fn put_in_force(&mut self, operations: &mut Operations, meta: &SnapshotMeta) {
        if meta.root == Root::default() {
            return;
        }
        let named = self.files.get(&meta.last.index).and_then(Option::as_ref);
        if named.is_none_or(|manifest| manifest.meta() != meta) {
            // It is damaged, and no other may go for it.
            return;
        }
        self.in_force = meta.last.index;
        let previous = self.previous().map_or(Index::ZERO, |previous| previous.last.index);
        let newer = self.files.split_off(&previous);
        let older = std::mem::replace(&mut self.files, newer);
        let mut files: Vec<FileName> = older.into_keys().map(FileName::Snapshot).collect();
        let at_work = self.work.as_ref().map(|work| work.last().index);
        let useless = |index: &Index| *index <= meta.last.index && Some(*index) != at_work;
        files.extend(self.partials.extract_if(.., |i| useless(i)).map(FileName::PartialSnapshot));
        let resumable = self.resumable.take();
        self.resumable = resumable.filter(|partial| !useless(&partial.meta().last.index));
        self.common.remove(operations, &files);
    }

    /// An operation of this part of the store is done.
    ///
    /// # Errors
    /// It failed in a way that leaves unknown what the disk has. This is final: nothing may be
    /// asked of the snapshots after it.
    ///
    /// # Panics
    /// If it was not asked for, or is reported twice.
    pub(crate) fn complete(
        &mut self,
        operations: &mut Operations,
        id: OperationId,
        place: (Option<FileName>, u64),
        result: Result<Vec<u8>, DiskError>,
    ) -> Result<(), Failure> {
        let done = self.common.under_way.remove(&id);
        let done = done.expect("contract: an operation that was asked for is completed, and once");
        match result {
            Err(DiskError::Full) if done.verb == Verb::Fill => {
                // Only an unfinished snapshot is touched, and that is given up.
                if done.purpose.is_work() {
                    self.give_up(operations, AbandonReason::Full);
                }
            }
            Err(error) if done.verb != Verb::Read => {
                return Err(Failure::disk(place.0, place.1, &error));
            }
            result => self.on_done(operations, done.purpose, result),
        }
        Ok(())
    }

    fn on_done(
        &mut self,
        operations: &mut Operations,
        purpose: Purpose,
        result: Result<Vec<u8>, DiskError>,
    ) {
        let common = &mut self.common;
        let next = match (purpose, &mut self.work) {
            (Purpose::Serve(manifest, chunk), _) => return self.on_served(manifest, chunk, result),
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
            (Purpose::Check(run), Some(Work::Finishing(finishing))) => {
                finishing.on_check(common, operations, run, result)
            }
            (purpose, _) => unreachable!("{purpose:?} belongs to no work under way"),
        };
        self.go_on(operations, next);
    }

    fn go_on(&mut self, operations: &mut Operations, next: Next) {
        match next {
            Next::Stay => {}
            Next::Abandon(reason) => self.give_up(operations, reason),
            Next::Finish(manifest) => {
                let received = self.work.as_ref().is_some_and(Work::is_received);
                let finishing = Finishing::begin(&mut self.common, operations, manifest, received);
                self.work = Some(Work::Finishing(finishing));
            }
            Next::Done(manifest) => {
                let received = self.work.as_ref().is_some_and(Work::is_received);
                self.work = None;
                let meta = manifest.meta().clone();
                self.partials.remove(&meta.last.index);
                self.files.insert(meta.last.index, Some(manifest));
                let event = if received { SnapshotEvent::Received } else { SnapshotEvent::Taken };
                self.common.events.push(event(meta));
            }
        }
    }

    fn give_up(&mut self, operations: &mut Operations, reason: AbandonReason) {
        let last = self.work.as_ref().map(Work::last).expect("only work under way is given up");
        self.abandon(operations);
        self.common.events.push(SnapshotEvent::Abandoned { last, reason });
    }

    /// The newest whole snapshot's index, or that of the one in force.
    fn newest(&self) -> Index {
        let mut newest = self.files.iter().rev().filter(|(_, manifest)| manifest.is_some());
        newest.next().map_or(self.in_force, |(index, _)| *index).max(self.in_force)
    }

    /// Removes every partial file but one.
    fn remove_partials(&mut self, operations: &mut Operations, kept: Option<Index>) {
        let others = self.partials.extract_if(.., |index| Some(*index) != kept);
        let files: Vec<FileName> = others.map(FileName::PartialSnapshot).collect();
        self.resumable = None;
        self.common.remove(operations, &files);
    }

    fn read_for_peer(&mut self, operations: &mut Operations, manifest: Arc<Manifest>, chunk: u32) {
        let serving: Vec<&Purpose> = (self.common.under_way.values().map(|asked| &asked.purpose))
            .filter(|purpose| matches!(purpose, Purpose::Serve(..)))
            .collect();
        let purpose = Purpose::Serve(manifest, chunk);
        let is_read = serving.contains(&&purpose);
        if is_read || serving.len() >= self.common.config.serving_max as usize {
            return;
        }
        let Purpose::Serve(manifest, _) = &purpose else { unreachable!("it was made here") };
        let file = FileName::Snapshot(manifest.meta().last.index);
        let bytes = usize::try_from(manifest.bytes(&(chunk..chunk + 1))).expect("at most 1 MiB");
        let read = FileAction::Read { file, offset: manifest.offset(chunk), bytes };
        self.common.ask(operations, purpose, read);
    }

    fn on_served(
        &mut self,
        manifest: Arc<Manifest>,
        chunk: u32,
        result: Result<Vec<u8>, DiskError>,
    ) {
        let (root, part) = (manifest.meta().root, Part::Chunk(chunk));
        let file = FileName::Snapshot(manifest.meta().last.index);
        let mut damage = wrong_chunk(file, &manifest, chunk);
        match result {
            Ok(bytes) if manifest.has(chunk, &bytes) => {
                let bytes = bytes.into();
                return self.common.events.push(SnapshotEvent::Part { root, part, bytes });
            }
            Ok(_) => {}
            Err(error) => damage.what = error.to_string(),
        }
        let kept = self.files.get_mut(&manifest.meta().last.index);
        if let Some(kept) = kept.filter(|kept| kept.as_ref() == Some(&manifest)) {
            *kept = None;
            self.common.events.push(SnapshotEvent::Damaged(damage));
        }
        self.common.events.push(SnapshotEvent::Gone { root, part });
    }
}

impl Work {
    fn last(&self) -> EntryId {
        match self {
            Work::Taking(taking) => taking.last(),
            Work::Receiving(receiving) => receiving.meta().last,
            Work::Finishing(finishing) => finishing.manifest().meta().last,
        }
    }

    fn is_received(&self) -> bool {
        match self {
            Work::Taking(_) => false,
            Work::Receiving(_) => true,
            Work::Finishing(finishing) => finishing.received,
        }
    }
}
