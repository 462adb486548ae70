//! Updates the superblock: two copies, then the other two, then all of them read back.

use crate::storage::block::{Digest, FlushSeq};
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::failure::{Cause, Failure};
use crate::storage::operations::{Operations, Owner};
use crate::storage::superblock::{
    COPIES, COPY_BYTES, COPY_STRIDE, Copy, Encoded, FILE_BYTES, Superblock,
};

/// How many copies must be whole before what an update says is acted upon.
const COPIES_MIN: usize = 3;

/// The superblock that is durable, the one that is wanted, and an update between them.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    durable: Superblock,
    /// The checksum of what is durable.
    digest: Digest,
    wanted: Superblock,
    /// Counts what was asked for; an update satisfies every request before it began.
    asked: u64,
    satisfied: u64,
    update: Option<Update>,
    /// In which order the copies are written: those that are not whole come first.
    order: [usize; COPIES],
}

#[derive(Clone, Debug)]
struct Update {
    superblock: Superblock,
    /// One copy of it.
    copy: Encoded,
    asked: u64,
    stage: Stage,
    /// What the stage waits for.
    waits: Vec<OperationId>,
    /// How many copies were read back as they were written.
    whole: usize,
}

/// How far an update is. Each stage is asked for only when the one before has succeeded: whatever
/// fails, two copies are whole and equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    FirstPair,
    SecondPair,
    ReadingBack,
}

impl Keeper {
    /// Of a superblock read from `copies`.
    pub(crate) fn new(durable: Superblock, copies: &[Copy]) -> Keeper {
        let stands = |place: &usize| match copies.get(*place) {
            Some(Copy::Valid(superblock, _)) => **superblock == durable,
            _ => false,
        };
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(stands);
        let (wanted, digest) = (durable.clone(), durable.encode().digest);
        Keeper { durable, digest, wanted, asked: 0, satisfied: 0, update: None, order }
    }

    /// What is durable.
    pub(crate) fn durable(&self) -> &Superblock {
        &self.durable
    }

    /// What will be durable once nothing is under way.
    pub(crate) fn wanted(&self) -> &Superblock {
        &self.wanted
    }

    /// Changes what is wanted. The request is satisfied once [`Keeper::has`] says so.
    pub(crate) fn ask(&mut self, change: impl FnOnce(&mut Superblock)) -> u64 {
        change(&mut self.wanted);
        self.asked += 1;
        self.asked
    }

    pub(crate) fn has(&self, request: u64) -> bool {
        self.satisfied >= request
    }

    /// Begins an update if one is wanted and none is under way.
    pub(crate) fn advance(&mut self, acknowledged: FlushSeq, operations: &mut Operations) {
        if self.update.is_some() || self.satisfied == self.asked {
            return;
        }
        let mut superblock = self.wanted.clone();
        superblock.seq = self.durable.seq + 1;
        superblock.parent = self.digest;
        superblock.ack_floor = superblock.ack_floor.max(acknowledged);
        let copy = superblock.encode();
        let waits = self.write_pair(&copy.bytes, Stage::FirstPair, operations);
        let (asked, stage, whole) = (self.asked, Stage::FirstPair, 0);
        self.update = Some(Update { superblock, copy, asked, stage, waits, whole });
    }

    /// Writes the copies of one pair, durably.
    fn write_pair(
        &self,
        bytes: &[u8],
        stage: Stage,
        operations: &mut Operations,
    ) -> Vec<OperationId> {
        let file = FileName::Superblock;
        let (first, second) = self.order.split_at(2);
        let pair = if stage == Stage::FirstPair { first } else { second };
        let write = |copy: &usize| {
            let offset = *copy as u64 * COPY_STRIDE;
            FileAction::Write { file, offset, bytes: bytes.to_vec() }
        };
        let actions = pair.iter().map(write).chain([FileAction::Sync { file }]);
        actions.map(|action| operations.ask(Owner::Superblock, Lane::Log, action)).collect()
    }

    /// An operation of an update is done.
    ///
    /// # Errors
    /// Too few copies were read back as they were written.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        bytes: &[u8],
        operations: &mut Operations,
    ) -> Result<(), Failure> {
        let mut update = self.update.take().expect("an operation is of the update under way");
        update.waits.retain(|waits| *waits != id);
        if update.stage == Stage::ReadingBack {
            update.whole += usize::from(bytes == update.copy.bytes);
        }
        if !update.waits.is_empty() {
            self.update = Some(update);
            return Ok(());
        }
        match update.stage {
            Stage::FirstPair => {
                update.stage = Stage::SecondPair;
                update.waits = self.write_pair(&update.copy.bytes, Stage::SecondPair, operations);
                self.update = Some(update);
                return Ok(());
            }
            Stage::SecondPair => {
                update.stage = Stage::ReadingBack;
                update.waits = read_back(operations);
                self.update = Some(update);
                return Ok(());
            }
            Stage::ReadingBack => {}
        }
        if update.whole < COPIES_MIN {
            let what = "fewer than three copies were read back as they were written";
            let (file, what) = (Some(FileName::Superblock), what.to_owned());
            return Err(Failure { file, offset: 0, what, cause: Cause::Disk });
        }
        (self.durable, self.digest) = (update.superblock, update.copy.digest);
        self.satisfied = update.asked;
        Ok(())
    }
}

/// Reads every copy.
fn read_back(operations: &mut Operations) -> Vec<OperationId> {
    let read = |copy: usize| {
        let (file, offset) = (FileName::Superblock, copy as u64 * COPY_STRIDE);
        let action = FileAction::Read { file, offset, bytes: COPY_BYTES };
        operations.ask(Owner::Superblock, Lane::Log, action)
    };
    (0..COPIES).map(read).collect()
}

/// The actions that make `superblock` the first of a new directory.
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

    #[test]
    fn what_is_asked_during_an_update_waits_for_the_next() {
        let (cluster, node, incarnation) = (ClusterId(1), NodeId(1), Incarnation(1));
        let identity = Identity { cluster, node, incarnation };
        let durable = Superblock::new(identity, &Membership::new([node]));
        let (mut keeper, mut operations) = (Keeper::new(durable, &[]), Operations::default());
        let first = keeper.ask(|superblock| superblock.clean = true);
        keeper.advance(FlushSeq(0), &mut operations);
        let second = keeper.ask(|superblock| superblock.committed = Index(7));
        keeper.advance(FlushSeq(0), &mut operations);
        let mut written = Vec::new();
        let mut asked: VecDeque<Operation> = operations.take().collect();
        while let Some(operation) = asked.pop_front() {
            let read = match operation.action {
                FileAction::Read { .. } => written.clone(),
                FileAction::Write { bytes, .. } => std::mem::replace(&mut written, bytes),
                _ => Vec::new(),
            };
            let done = keeper.completed(operation.id, &read, &mut operations);
            done.expect("the copies are whole");
            asked.extend(operations.take());
        }
        assert!(keeper.has(first));
        assert!(!keeper.has(second), "the update was under way when it was asked for");
        keeper.advance(FlushSeq(0), &mut operations);
        assert!(operations.take().count() > 0, "it is written after it");
    }
}
