//! The bounds of a manifest and of a header: what is beyond them is refused although its hashes are
//! right.

use super::*;
use crate::types::NodeId;

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;

fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// A manifest of so many incoming voters, outgoing voters and learners, whoever wrote it.
fn naming(counts: [u64; 3]) -> Vec<u8> {
    let mut bytes = Manifest::new(id(3), voters(0), 0, 512, &[]).encoded().to_vec();
    for (list, count) in counts.into_iter().enumerate() {
        let at = 40 + list * 4;
        bytes[at..at + 4].copy_from_slice(&(count as u32).to_le_bytes());
        let first = 1000 * (list as u64 + 1);
        bytes.extend((first..first + count).flat_map(u64::to_le_bytes));
    }
    bytes
}

#[test]
fn as_many_members_as_are_allowed_come_back() {
    let membership = voters(MEMBERS_MAX / 2).joint_with((1..=MEMBERS_MAX / 2).map(NodeId));
    let manifest = Manifest::new(id(3), membership, 0, 512, &[]);
    assert_eq!(Manifest::decode(manifest.encoded().to_vec()), Ok(manifest));
}

#[test]
#[should_panic(expected = "contract: a membership of at most 448 ids")]
fn more_members_are_not_written() {
    let _ = Manifest::new(id(3), voters(MEMBERS_MAX).joint_with([NodeId(1)]), 0, 512, &[]);
}

#[test]
fn more_members_are_not_read() {
    let refusal = |counts| Manifest::decode(naming(counts)).err().map(|flaw| flaw.text);
    assert_eq!(refusal([448, 0, 0]), None);
    assert_eq!(refusal([400, 40, 8]), None);
    for counts in [[449, 0, 0], [0, 448, 1], [200, 200, 49]] {
        assert_eq!(refusal(counts).as_deref(), Some("too many members"), "{counts:?}");
    }
}
