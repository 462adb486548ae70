//! The bounds of a superblock, with the offsets of `docs/FORMAT.md`.

use super::identity;
use crate::storage::block::Digest;
use crate::storage::superblock::{COPY_BYTES, Copy, Superblock};
use crate::types::{Membership, NodeId};

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;
const SUM_OFFSET: usize = COPY_BYTES - 16;

fn nodes(count: u64) -> impl Iterator<Item = NodeId> {
    (1..=count).map(NodeId)
}

/// A copy that says these bytes at `offset`, and is sealed so.
fn saying(offset: usize, said: &[u8]) -> Vec<u8> {
    let mut bytes = Superblock::new(identity(), &Membership::new(nodes(3))).encode();
    bytes[offset..offset + said.len()].copy_from_slice(said);
    let sum = Digest::of(&bytes[..SUM_OFFSET]);
    bytes[SUM_OFFSET..].copy_from_slice(&sum.0);
    bytes
}

fn is_valid(bytes: &[u8]) -> bool {
    matches!(Copy::read(bytes), Copy::Valid(..))
}

#[test]
fn as_many_members_as_are_allowed_come_back() {
    let membership = Membership::new(nodes(MEMBERS_MAX / 2))
        .joint_with(nodes(MEMBERS_MAX / 4))
        .with_learners((1000..1000 + MEMBERS_MAX / 4).map(NodeId));
    assert_eq!(membership.listed(), Membership::MEMBERS_MAX);
    let superblock = Superblock::new(identity(), &membership);
    let Copy::Valid(read, _) = Copy::read(&superblock.encode()) else { panic!("it is whole") };
    assert_eq!(*read, superblock);
}

#[test]
#[should_panic(expected = "contract: a membership of at most 448 ids")]
fn more_members_are_not_written() {
    let membership = Membership::new(nodes(MEMBERS_MAX)).joint_with([NodeId(1)]);
    let _ = Superblock::new(identity(), &membership).encode();
}

#[test]
fn more_members_are_not_read() {
    // The room after them is zeros, so that every count in question finds its ids.
    for (counts, taken) in [([448_u16, 0, 0], true), ([448, 1, 0], false), ([0, 224, 225], false)] {
        let said: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        assert_eq!(is_valid(&saying(176, &said)), taken, "{counts:?}");
    }
}
