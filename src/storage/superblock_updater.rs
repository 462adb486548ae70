//! Updates of the superblock: two copies, then the other two, then all of them are read back.

use crate::storage::block::{Digest, FlushSeq};
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::error::{ErrorCause, StorageError};
use crate::storage::operations::{Operations, Owner};
use crate::storage::superblock::{
    COPIES, COPIES_MIN, COPY_BYTES, COPY_STRIDE, Encoded, FILE_BYTES, Superblock, SuperblockCopy,
};

// Two equal copies of an older superblock do not outvote a durable one.
const _: () = assert!(COPIES_MIN > COPIES - 2, "an older superblock is on one copy at most");
const _: () = assert!(COPIES_MIN <= COPIES, "an update can become durable");

/// The durable superblock, the target that was requested, and an update from one to the other.
#[derive(Clone, Debug)]
pub(crate) struct SuperblockUpdater {
    durable: Superblock,
    /// The checksum of the durable superblock.
    digest: Digest,
    target: Superblock,
    /// The number of requests so far; an update satisfies every request made before it began.
    requests: u64,
    /// The requests through this number are durable.
    satisfied: u64,
    update: Option<Update>,
    /// The order in which the copies are written; damaged ones come first.
    order: [usize; COPIES],
    /// The copies that were found damaged, until the store reports them.
    damaged: Vec<usize>,
    /// Whether the update under way, or the next one, writes damaged copies again.
    is_rewrite: bool,
}

#[derive(Clone, Debug)]
struct Update {
    superblock: Superblock,
    /// The encoding of the superblock, the same for every copy.
    copy: Encoded,
    /// The requests through this number are satisfied once the update is durable.
    requests: u64,
    stage: Stage,
    /// The operations that the stage waits for, with the copy that each reads back.
    pending: Vec<(OperationId, Option<usize>)>,
    /// Whether each copy was read back as it was written.
    intact: [bool; COPIES],
}

/// The stage of an update. Each stage begins only after the stage before it has succeeded, so that
/// two copies are always intact and equal, even if a write fails, provided that the disk returns
/// each copy as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    FirstPair,
    SecondPair,
    ReadingBack,
}

impl SuperblockUpdater {
    /// Creates the updater of the superblock that was read from `copies`.
    pub(crate) fn new(durable: Superblock, copies: &[SuperblockCopy]) -> SuperblockUpdater {
        // A damaged copy is written first, and the durable one last. If no two copies are equal,
        // the copy of the update before the durable one proves that the durable one can be used
        // (`superblock::choose`), so that copy is written late, too.
        let rank = |place: &usize| match copies.get(*place) {
            Some(SuperblockCopy::Valid(superblock, _)) if **superblock == durable => 3,
            Some(SuperblockCopy::Valid(_, digest)) if *digest == durable.parent => 2,
            Some(SuperblockCopy::Valid(..)) => 1,
            _ => 0,
        };
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(rank);
        let (target, digest) = (durable.clone(), durable.encode().digest);
        SuperblockUpdater {
            durable,
            digest,
            target,
            requests: 0,
            satisfied: 0,
            update: None,
            order,
            damaged: Vec::new(),
            is_rewrite: false,
        }
    }

    /// Returns the durable superblock.
    pub(crate) fn durable(&self) -> &Superblock {
        &self.durable
    }

    /// Returns the superblock that will be durable once every request is satisfied.
    pub(crate) fn target(&self) -> &Superblock {
        &self.target
    }

    /// Changes the target, and returns the number of the request for
    /// [`SuperblockUpdater::is_durable`].
    pub(crate) fn request(&mut self, change: impl FnOnce(&mut Superblock)) -> u64 {
        self.check();
        change(&mut self.target);
        self.requests += 1;
        self.requests
    }

    /// Changes the target without a request: the change becomes durable with the next update.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Superblock)) {
        change(&mut self.target);
    }

    pub(crate) fn is_durable(&self, request: u64) -> bool {
        self.satisfied >= request
    }

    /// Returns true if a request waits, and no update is under way.
    pub(crate) fn is_stuck(&self) -> bool {
        self.update.is_none() && self.satisfied < self.requests
    }

    /// Requests an update that writes the damaged copies first. Does nothing if an update is under
    /// way, because each update writes every copy, and a copy that is being written may be read
    /// torn.
    pub(crate) fn rewrite_damaged(&mut self, intact: [bool; COPIES]) {
        if self.update.is_none() {
            self.damaged = (0..COPIES).filter(|copy| !intact[*copy]).collect();
            self.order.sort_by_key(|copy| intact[*copy]);
            self.is_rewrite = true;
            self.request(|_| {});
        }
    }

    /// Returns the offset of each copy that was found damaged and is written again, once.
    pub(crate) fn take_damaged(&mut self) -> impl Iterator<Item = u64> {
        self.damaged.drain(..).map(|copy| copy as u64 * COPY_STRIDE)
    }

    /// Returns true if the operations under way read the copies back.
    pub(crate) fn is_reading_back(&self) -> bool {
        self.update.as_ref().is_some_and(|update| update.stage == Stage::ReadingBack)
    }

    /// Begins an update if a request is unsatisfied and no update is under way. It raises the
    /// acknowledged floor to `acknowledged`.
    pub(crate) fn advance(&mut self, acknowledged: FlushSeq, operations: &mut Operations) {
        if self.update.is_some() || self.satisfied == self.requests {
            return;
        }
        let mut superblock = self.target.clone();
        superblock.seq = self.durable.seq + 1;
        superblock.parent = self.digest;
        superblock.ack_floor = superblock.ack_floor.max(acknowledged);
        self.check();
        self.check_successor(&superblock);
        let copy = superblock.encode();
        let waits = self.write_pair(&copy.bytes, Stage::FirstPair, operations);
        let (requested, stage, intact) = (self.requests, Stage::FirstPair, [false; COPIES]);
        self.update =
            Some(Update { superblock, copy, requests: requested, stage, pending: waits, intact });
    }

    /// Writes and syncs the copies of one pair.
    fn write_pair(
        &self,
        bytes: &[u8],
        stage: Stage,
        operations: &mut Operations,
    ) -> Vec<(OperationId, Option<usize>)> {
        let file = FileName::Superblock;
        let (first, second) = self.order.split_at(2);
        let pair = if stage == Stage::FirstPair { first } else { second };
        let write = |copy: &usize| {
            let offset = *copy as u64 * COPY_STRIDE;
            FileAction::Write { file, offset, bytes: bytes.to_vec() }
        };
        let actions = pair.iter().map(write).chain([FileAction::Sync { file }]);
        let request = |action| (operations.request(Owner::Superblock, Lane::Log, action), None);
        actions.map(request).collect()
    }

    /// Handles the result of an operation of the update.
    ///
    /// # Errors
    /// A [`StorageError`] if too few copies were read back as they were written.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        bytes: &[u8],
        operations: &mut Operations,
    ) -> Result<(), StorageError> {
        let mut update =
            self.update.take().expect("the operation belongs to the update in progress");
        let place = update.pending.iter().position(|(waits, _)| *waits == id);
        let (_, copy) = update.pending.remove(place.expect("the update waits for the operation"));
        if let Some(copy) = copy {
            update.intact[copy] = bytes == update.copy.bytes;
        }
        if !update.pending.is_empty() {
            self.update = Some(update);
            return Ok(());
        }
        match update.stage {
            Stage::FirstPair => {
                update.stage = Stage::SecondPair;
                update.pending = self.write_pair(&update.copy.bytes, Stage::SecondPair, operations);
                self.update = Some(update);
                return Ok(());
            }
            Stage::SecondPair => {
                update.stage = Stage::ReadingBack;
                update.pending = read_back(operations);
                self.update = Some(update);
                return Ok(());
            }
            Stage::ReadingBack => {}
        }
        let intact = update.intact.iter().filter(|intact| **intact).count();
        if intact < COPIES_MIN {
            let message = "fewer than three copies were read back as they were written";
            let (file, message) = (Some(FileName::Superblock), message.to_owned());
            return Err(StorageError { file, offset: 0, message, cause: ErrorCause::Disk });
        }
        assert_eq!(update.superblock.seq, self.durable.seq + 1, "superblocks have no gap");
        assert_eq!(update.superblock.parent, self.digest, "a superblock names its parent");
        assert!(update.requests > self.satisfied, "an update satisfies a request");
        (self.durable, self.digest) = (update.superblock, update.copy.digest);
        self.satisfied = update.requests;
        // A copy that this update has failed to write is reported and written again at once, and
        // first. If that fails, too, it waits for the next update or scrub.
        let is_repeated = std::mem::take(&mut self.is_rewrite);
        self.order.sort_by_key(|copy| update.intact[*copy]);
        if intact < COPIES && !is_repeated {
            self.rewrite_damaged(update.intact);
        }
        self.check();
        Ok(())
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        assert!(self.satisfied <= self.requests, "only requests are satisfied");
        if let Some(update) = &self.update {
            assert!(update.requests <= self.requests, "an update follows its requests");
            assert!(update.requests > self.satisfied, "an update is for an unsatisfied request");
            assert!(!update.pending.is_empty(), "an update waits for its operations");
        }
        let places = self.order.iter().fold(0, |places, copy| places | 1 << copy);
        assert_eq!(places, (1 << COPIES) - 1, "the order names each copy once");
    }

    /// Panics if `next` contradicts the durable superblock.
    fn check_successor(&self, next: &Superblock) {
        let (old, new) = (&self.durable.hard_state, &next.hard_state);
        assert!(new.term >= old.term, "the durable term never decreases");
        let may_vote = new.term > old.term || old.vote.is_none() || new.vote == old.vote;
        assert!(may_vote, "a node votes for one candidate in a term");
        assert_eq!(next.identity, self.durable.identity, "a directory keeps its identity");
        assert_eq!(next.origin, self.durable.origin, "a directory keeps its origin");
        assert!(next.log_start >= self.durable.log_start, "a replaced flush stays replaced");
        assert!(next.compacted >= self.durable.compacted, "a compacted entry stays compacted");
    }
}

/// Requests a read of every copy.
fn read_back(operations: &mut Operations) -> Vec<(OperationId, Option<usize>)> {
    let read = |copy: usize| {
        let (file, offset) = (FileName::Superblock, copy as u64 * COPY_STRIDE);
        let action = FileAction::Read { file, offset, bytes: COPY_BYTES };
        (operations.request(Owner::Superblock, Lane::Log, action), Some(copy))
    };
    (0..COPIES).map(read).collect()
}

/// Returns the actions that write `superblock` as the first one of a new directory.
pub(crate) fn first_actions(superblock: &Superblock) -> Vec<FileAction> {
    let (file, bytes) = (FileName::Superblock, superblock.encode().bytes);
    let write = |copy: usize| {
        let offset = copy as u64 * COPY_STRIDE;
        FileAction::Write { file, offset, bytes: bytes.clone() }
    };
    let create = FileAction::Create { file, bytes: FILE_BYTES };
    let sync = FileAction::Sync { file };
    let first = [create, FileAction::SyncDirectory, write(0), write(1), sync.clone()];
    first.into_iter().chain([write(2), write(3), sync]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::storage::disk::Operation;
    use crate::storage::identity::{ClusterId, Identity};
    use crate::types::{Incarnation, Index, Membership, NodeId};

    fn updater() -> SuperblockUpdater {
        let (cluster, node, incarnation) = (ClusterId(1), NodeId(1), Incarnation(1));
        let identity = Identity { cluster, node, incarnation };
        SuperblockUpdater::new(Superblock::new(identity, &Membership::new([node])), &[])
    }

    /// Completes the update under way. With `damages`, one copy is not read back as it was written.
    fn complete(updater: &mut SuperblockUpdater, operations: &mut Operations, damages: bool) {
        let (mut written, mut read) = (Vec::new(), 0);
        let mut requested: VecDeque<Operation> = operations.take().collect();
        while let Some(operation) = requested.pop_front() {
            let reads = matches!(operation.action, FileAction::Read { .. });
            let bytes = match operation.action {
                FileAction::Read { .. } if damages && read == 0 => Vec::new(),
                FileAction::Read { .. } => written.clone(),
                FileAction::Write { bytes, .. } => std::mem::replace(&mut written, bytes),
                _ => Vec::new(),
            };
            read += u32::from(reads);
            let done = updater.completed(operation.id, &bytes, operations);
            done.expect("three copies are intact");
            requested.extend(operations.take());
        }
    }

    #[test]
    fn each_copy_that_an_update_damages_is_written_again_once() {
        // The bits are the updates that damage a copy.
        for damages in 0..1_u32 << 6 {
            let (mut updater, mut operations) = (updater(), Operations::default());
            let mut rewrites = false;
            for update in 0..6 {
                if !rewrites {
                    updater.request(|_| {});
                }
                updater.advance(FlushSeq(0), &mut operations);
                assert!(updater.update.is_some(), "a request begins an update");
                let is_damaged = damages >> update & 1 == 1;
                complete(&mut updater, &mut operations, is_damaged);
                rewrites = is_damaged && !rewrites;
                assert_eq!(updater.is_stuck(), rewrites, "update {update} of {damages:b}");
            }
        }
    }

    #[test]
    fn a_request_during_an_update_waits_for_the_next_update() {
        let (mut updater, mut operations) = (updater(), Operations::default());
        let first = updater.request(|superblock| superblock.clean = true);
        updater.advance(FlushSeq(0), &mut operations);
        let second = updater.request(|superblock| superblock.committed = Index(7));
        updater.advance(FlushSeq(0), &mut operations);
        complete(&mut updater, &mut operations, false);
        assert!(updater.is_durable(first));
        assert!(!updater.is_durable(second), "the update was under way at the request");
        updater.advance(FlushSeq(0), &mut operations);
        assert!(operations.take().count() > 0, "the next update follows");
    }
}
