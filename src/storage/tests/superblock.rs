//! Limits of the fields of a superblock, at the offsets of `docs/FORMAT.md`.

use super::identity;
use crate::storage::block::{Digest, FlushSeq};
use crate::storage::superblock::{COPY_BYTES, Superblock, SuperblockCopy};
use crate::types::{Index, Membership, NodeId, Term};

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;
const SUM_OFFSET: usize = COPY_BYTES - 16;

fn nodes(count: u64) -> impl Iterator<Item = NodeId> {
    (1..=count).map(NodeId)
}

/// Returns a copy with these bytes at `offset`, and a valid checksum.
fn with_bytes(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = Superblock::new(identity(), &Membership::new(nodes(3))).encode().bytes;
    bytes[offset..offset + value.len()].copy_from_slice(value);
    let sum = Digest::of(&bytes[..SUM_OFFSET]);
    bytes[SUM_OFFSET..].copy_from_slice(&sum.0);
    bytes
}

fn is_valid(bytes: &[u8]) -> bool {
    matches!(SuperblockCopy::read(bytes), SuperblockCopy::Valid(..))
}

#[test]
fn a_membership_of_the_largest_size_is_read_back() {
    let membership = Membership::new(nodes(64))
        .joint_with(nodes(3))
        .with_learners((65..=MEMBERS_MAX).map(NodeId));
    assert_eq!(membership.violation(), None);
    let superblock = Superblock::new(identity(), &membership);
    let SuperblockCopy::Valid(read, _) = SuperblockCopy::read(&superblock.encode().bytes) else {
        panic!("the copy is valid")
    };
    assert_eq!(*read, superblock);
}

#[test]
#[should_panic(expected = "contract: the membership is valid")]
fn a_membership_above_the_largest_size_is_not_written() {
    let membership = Membership::new(nodes(MEMBERS_MAX)).joint_with([NodeId(1)]);
    let _ = Superblock::new(identity(), &membership).encode();
}

#[test]
fn an_invalid_membership_is_rejected() {
    let encoded = |membership: &Membership| {
        let bytes = membership.encode();
        [&(bytes.len() as u16).to_le_bytes()[..], &bytes].concat()
    };
    for (voters, learners, accepted) in
        [(3, 0, true), (3, 129, true), (3, 130, false), (64, 0, true), (65, 0, false)]
    {
        let learners = (1000..1000 + learners).map(NodeId);
        let membership = Membership::new(nodes(voters)).with_learners(learners);
        assert_eq!(is_valid(&with_bytes(216, &encoded(&membership))), accepted, "{membership}");
    }
    let [three, two] = [3, 2].map(|voters| encoded(&Membership::new(nodes(voters))));
    assert!(!is_valid(&with_bytes(216, &two[..1])), "longer than its length field");
    assert!(!is_valid(&with_bytes(218, &two[2..])), "shorter than its length field");
    assert!(!is_valid(&with_bytes(216, &(three.len() as u16 - 1).to_le_bytes())));
    assert!(!is_valid(&with_bytes(216, &u16::MAX.to_le_bytes())), "a length beyond the copy");
}

#[test]
fn numbers_above_their_maximum_are_rejected() {
    let (term, index, flush) = (Term::MAX.0, Index::MAX.0, FlushSeq::MAX.0);
    for (field, offset, highest) in [
        ("number of the update", 56, flush),
        ("term", 80, term),
        ("committed", 104, index),
        ("log start", 112, flush),
        ("acknowledged", 120, flush),
        ("snapshot term", 128, term),
        ("snapshot index", 136, index),
    ] {
        assert!(is_valid(&with_bytes(offset, &highest.to_le_bytes())), "{field}");
        assert!(!is_valid(&with_bytes(offset, &(highest + 1).to_le_bytes())), "{field}");
    }
    assert!(!is_valid(&with_bytes(112, &0_u64.to_le_bytes())), "flushes are numbered from 1");
}

#[test]
fn unknown_flags_are_rejected() {
    assert!(is_valid(&with_bytes(12, &31_u32.to_le_bytes())));
    assert!(!is_valid(&with_bytes(12, &32_u32.to_le_bytes())));
}

#[test]
fn a_copy_of_another_version_or_size_is_rejected() {
    assert!(!is_valid(&with_bytes(0, b"Q_ORASUP")));
    assert_eq!(SuperblockCopy::read(&with_bytes(8, &0_u32.to_le_bytes())), SuperblockCopy::Bad);
    assert_eq!(
        SuperblockCopy::read(&with_bytes(8, &2_u32.to_le_bytes())),
        SuperblockCopy::Newer(2)
    );
    let mut longer = with_bytes(8, &1_u32.to_le_bytes());
    longer.push(0);
    assert_eq!(SuperblockCopy::read(&longer), SuperblockCopy::Bad);
    for length in [1, 100, SUM_OFFSET, COPY_BYTES - 1] {
        assert_eq!(SuperblockCopy::read(&longer[..length]), SuperblockCopy::Bad, "{length}");
    }
}
