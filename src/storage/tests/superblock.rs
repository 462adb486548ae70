//! The bounds of a superblock, with the offsets of `docs/FORMAT.md`.

use super::identity;
use crate::storage::block::{Digest, FlushSeq};
use crate::storage::superblock::{COPY_BYTES, Copy, Superblock};
use crate::types::{Index, Membership, NodeId, Term};

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;
const SUM_OFFSET: usize = COPY_BYTES - 16;

fn nodes(count: u64) -> impl Iterator<Item = NodeId> {
    (1..=count).map(NodeId)
}

/// A copy that says these bytes at `offset`, and is sealed so.
fn saying(offset: usize, said: &[u8]) -> Vec<u8> {
    let mut bytes = Superblock::new(identity(), &Membership::new(nodes(3))).encode().bytes;
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
    let membership = Membership::new(nodes(64))
        .joint_with(nodes(3))
        .with_learners((65..=MEMBERS_MAX).map(NodeId));
    assert_eq!(membership.flaw(), None);
    let superblock = Superblock::new(identity(), &membership);
    let Copy::Valid(read, _) = Copy::read(&superblock.encode().bytes) else {
        panic!("it is whole")
    };
    assert_eq!(*read, superblock);
}

#[test]
#[should_panic(expected = "contract: a node may have the membership")]
fn more_members_are_not_written() {
    let membership = Membership::new(nodes(MEMBERS_MAX)).joint_with([NodeId(1)]);
    let _ = Superblock::new(identity(), &membership).encode();
}

#[test]
fn no_membership_but_one_that_can_be_is_read() {
    let said = |membership: &Membership| {
        let bytes = membership.encode();
        [&(bytes.len() as u16).to_le_bytes()[..], &bytes].concat()
    };
    for (voters, learners, taken) in
        [(3, 0, true), (3, 129, true), (3, 130, false), (64, 0, true), (65, 0, false)]
    {
        let learners = (1000..1000 + learners).map(NodeId);
        let membership = Membership::new(nodes(voters)).with_learners(learners);
        assert_eq!(is_valid(&saying(216, &said(&membership))), taken, "{membership}");
    }
    let [three, two] = [3, 2].map(|voters| said(&Membership::new(nodes(voters))));
    assert!(!is_valid(&saying(216, &two[..1])), "shorter than it says");
    assert!(!is_valid(&saying(186, &two[2..])), "longer than it says");
    assert!(!is_valid(&saying(216, &(three.len() as u16 - 1).to_le_bytes())));
    assert!(!is_valid(&saying(216, &u16::MAX.to_le_bytes())), "longer than a copy");
}

#[test]
fn numbers_end_where_arithmetic_is_still_safe() {
    let (term, index, flush) = (Term::MAX.0, Index::MAX.0, FlushSeq::MAX.0);
    for (what, offset, highest) in [
        ("number of the update", 56, flush),
        ("term", 80, term),
        ("committed", 104, index),
        ("log start", 112, flush),
        ("acknowledged", 120, flush),
        ("snapshot term", 128, term),
        ("snapshot index", 136, index),
    ] {
        assert!(is_valid(&saying(offset, &highest.to_le_bytes())), "{what}");
        assert!(!is_valid(&saying(offset, &(highest + 1).to_le_bytes())), "{what}");
    }
    assert!(!is_valid(&saying(112, &0_u64.to_le_bytes())), "flushes are numbered from 1");
}

#[test]
fn only_known_flags_are_set() {
    assert!(is_valid(&saying(12, &15_u32.to_le_bytes())));
    assert!(!is_valid(&saying(12, &16_u32.to_le_bytes())));
}

#[test]
fn a_copy_is_of_this_version_and_of_its_size() {
    assert!(!is_valid(&saying(0, b"Q_ORASUP")));
    assert_eq!(Copy::read(&saying(8, &0_u32.to_le_bytes())), Copy::Bad);
    assert_eq!(Copy::read(&saying(8, &2_u32.to_le_bytes())), Copy::Newer(2));
    let mut longer = saying(8, &1_u32.to_le_bytes());
    longer.push(0);
    assert_eq!(Copy::read(&longer), Copy::Bad);
    for length in [1, 100, SUM_OFFSET, COPY_BYTES - 1] {
        assert_eq!(Copy::read(&longer[..length]), Copy::Bad, "{length}");
    }
}
