//! The bounds of a manifest and of a header: what is beyond them is refused although its hashes are
//! right.

use super::*;
use crate::storage::snapshots::format::PREFIX_BYTES;
use crate::types::NodeId;

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;

fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// A manifest that names this membership, whoever wrote it.
fn naming(membership: &[u8]) -> Vec<u8> {
    let mut bytes = Manifest::new(id(3), voters(0), 0, 512, &[]).encoded().to_vec();
    bytes[40..44].copy_from_slice(&(membership.len() as u32).to_le_bytes());
    bytes.truncate(PREFIX_BYTES as usize);
    bytes.extend(membership);
    bytes
}

#[test]
fn as_many_members_as_are_allowed_come_back() {
    let membership = voters(64).with_learners((65..=MEMBERS_MAX).map(NodeId));
    let manifest = Manifest::new(id(3), membership, 0, 512, &[]);
    assert_eq!(Manifest::decode(manifest.encoded().to_vec()), Ok(manifest));
}

#[test]
#[should_panic(expected = "contract: a node may have the membership")]
fn more_members_are_not_written() {
    let membership = voters(64).with_learners((65..=MEMBERS_MAX + 1).map(NodeId));
    let _ = Manifest::new(id(3), membership, 0, 512, &[]);
}

#[test]
fn no_membership_but_one_that_can_be_is_read() {
    let refusal = |membership: &[u8]| {
        Manifest::decode(naming(membership)).err().map(|flaw| (flaw.offset, flaw.text))
    };
    let refused = |offset, text: &str| Some((offset, text.to_owned()));
    assert_eq!(refusal(&voters(64).encode()), None);
    let learners = |count| voters(1).with_learners((2..=count).map(NodeId)).encode();
    assert_eq!(refusal(&learners(MEMBERS_MAX)), None);
    let many = learners(MEMBERS_MAX + 1);
    assert_eq!(refusal(&many), refused(40, "the membership is too large"));
    for bytes in [&voters(65).encode(), &b"\x01\0"[..], &[], &[0; 3]] {
        assert_eq!(refusal(bytes), refused(48, "no membership is so"), "{bytes:?}");
    }
}

/// What is wrong with a manifest that says these bytes at `offset`.
fn manifest_saying(offset: usize, said: &[u8]) -> Option<String> {
    let mut bytes = Manifest::new(id(3), voters(1), 512, 512, &[7; 32]).encoded().to_vec();
    bytes[offset..offset + said.len()].copy_from_slice(said);
    Manifest::decode(bytes).err().map(|flaw| flaw.text)
}

#[test]
fn chunks_are_neither_too_small_nor_too_large() {
    for (chunk_bytes, taken) in
        [(511_u32, false), (512, true), (1 << 20, true), (1 + (1 << 20), false)]
    {
        let refusal = manifest_saying(12, &chunk_bytes.to_le_bytes());
        assert_eq!(refusal.is_none(), taken, "{chunk_bytes}: {refusal:?}");
    }
}

#[test]
fn a_manifest_is_as_large_as_it_says() {
    let wrong = Some("the manifest's size does not fit what it says");
    assert_eq!(manifest_saying(32, &512_u64.to_le_bytes()), None);
    for bytes in [513, u64::MAX] {
        assert_eq!(manifest_saying(32, &bytes.to_le_bytes()).as_deref(), wrong, "{bytes}");
    }
    // Members that are not there are not read from the hashes.
    assert_eq!(manifest_saying(40, &61_u32.to_le_bytes()).as_deref(), wrong);
    assert_eq!(manifest_saying(44, &[1, 0, 0, 0]).as_deref(), Some("not zero"));
}

#[test]
fn a_header_has_chunks_and_zeros_where_it_must() {
    let manifest = Manifest::new(id(3), voters(1), 512, 512, &[7; 32]);
    let header = Header::of(CLUSTER, &manifest).encode();
    for (offset, said, taken) in [
        (12, 512_u32, true),
        (12, 511, false),
        (12, 1 << 20, true),
        (12, (1 << 20) + 1, false),
        (60, 0, true),
        (60, 1, false),
    ] {
        let mut block = header.clone();
        block[offset..offset + 4].copy_from_slice(&said.to_le_bytes());
        let sum = blake3::hash(&block[..4080]);
        block[4080..].copy_from_slice(&sum.as_bytes()[..16]);
        assert_eq!(Header::decode(&block).is_ok(), taken, "{said} at {offset}");
    }
}

#[test]
fn a_manifest_over_its_bound_is_not_received() {
    let receive = |chunks: usize| {
        let manifest =
            Manifest::new(id(3), voters(1), 512 * chunks as u64, 512, &vec![7; 32 * chunks]);
        let mut node = Node::new();
        assert!(node.snapshots.receive(&mut node.operations, manifest.meta()));
        let piece = manifest.piece(0).expect("there is one");
        let root = manifest.meta().root;
        node.snapshots.part(&mut node.operations, root, Part::Manifest(0), piece)
    };
    // The fixed part and one member take three hashes' place.
    let most = CONFIG.manifest_bytes_max as usize / 32 - 3;
    assert_eq!(receive(most), PartOutcome::Accepted);
    assert_eq!(receive(most + 1), PartOutcome::Wrong);
}
