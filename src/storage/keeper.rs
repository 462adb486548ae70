//! Updates the superblock: two copies, then the other two, then all of them read back.

use crate::storage::block::FlushSeq;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::failure::Failure;
use crate::storage::operations::{Operations, Owner};
use crate::storage::superblock::{COPIES, COPY_BYTES, COPY_STRIDE, Copy, FILE_BYTES, Superblock};

/// How many copies must be whole before what an update says is acted upon.
const COPIES_MIN: usize = 3;

/// The superblock that is durable, the one that is wanted, and an update between them.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    durable: Superblock,
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
    asked: u64,
    /// The reads that are to show the copies, and the operations before them.
    reads: Vec<OperationId>,
    others: Vec<OperationId>,
    /// How many copies were read back as they were written.
    whole: usize,
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
        let wanted = durable.clone();
        Keeper { durable, wanted, asked: 0, satisfied: 0, update: None, order }
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
        superblock.parent = self.durable.digest();
        superblock.ack_floor = superblock.ack_floor.max(acknowledged);
        let bytes = superblock.encode();
        let file = FileName::Superblock;
        let mut others = Vec::new();
        for pair in self.order.chunks(2) {
            for copy in pair {
                let (offset, bytes) = (*copy as u64 * COPY_STRIDE, bytes.clone());
                let action = FileAction::Write { file, offset, bytes };
                others.push(operations.ask(Owner::Superblock, Lane::Log, action));
            }
            let action = FileAction::Sync { file };
            others.push(operations.ask(Owner::Superblock, Lane::Log, action));
        }
        let mut read = |copy: usize| {
            let offset = copy as u64 * COPY_STRIDE;
            let action = FileAction::Read { file, offset, bytes: COPY_BYTES };
            operations.ask(Owner::Superblock, Lane::Log, action)
        };
        let reads = (0..COPIES).map(&mut read).collect();
        self.update = Some(Update { superblock, asked: self.asked, reads, others, whole: 0 });
    }

    /// An operation of an update is done.
    ///
    /// # Errors
    /// Too few copies were read back as they were written.
    pub(crate) fn completed(&mut self, id: OperationId, bytes: &[u8]) -> Result<(), Failure> {
        let update = self.update.as_mut().expect("an operation belongs to the update under way");
        if update.reads.contains(&id) {
            update.reads.retain(|read| *read != id);
            update.whole += usize::from(bytes == update.superblock.encode());
        }
        update.others.retain(|other| *other != id);
        if !update.reads.is_empty() || !update.others.is_empty() {
            return Ok(());
        }
        if update.whole < COPIES_MIN {
            let what = "fewer than three copies were read back as they were written";
            let advice = Failure::DISK;
            let (file, what) = (Some(FileName::Superblock), what.to_owned());
            return Err(Failure { file, offset: 0, what, advice });
        }
        let update = self.update.take().expect("it was just looked at");
        (self.durable, self.satisfied) = (update.superblock, update.asked);
        Ok(())
    }
}

/// The actions that make `superblock` the first of a new directory.
pub(crate) fn first_actions(superblock: &Superblock) -> Vec<FileAction> {
    let (file, bytes) = (FileName::Superblock, superblock.encode());
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
    use super::*;
    use crate::storage::identity::{ClusterId, Identity, Incarnation};
    use crate::types::{Index, Membership, NodeId};

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
        for operation in operations.take().collect::<Vec<_>>() {
            let read = match operation.action {
                FileAction::Read { .. } => written.clone(),
                FileAction::Write { bytes, .. } => std::mem::replace(&mut written, bytes),
                _ => Vec::new(),
            };
            keeper.completed(operation.id, &read).expect("the copies are whole");
        }
        assert!(keeper.has(first));
        assert!(!keeper.has(second), "the update was under way when it was asked for");
        keeper.advance(FlushSeq(0), &mut operations);
        assert!(operations.take().count() > 0, "it is written after it");
    }
}
