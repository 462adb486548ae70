//! The bounds of a manifest and of a header: what is beyond them is refused although its hashes are
//! right.

use super::*;
use crate::types::NodeId;

/// As many members without addresses as a membership may have.
const MEMBERS_MAX: u64 = 132;

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
    assert_eq!(manifest_saying(40, &5_u32.to_le_bytes()).as_deref(), wrong);
    assert_eq!(manifest_saying(52, &[1, 0, 0, 0]).as_deref(), Some("not zero"));
}

#[test]
fn a_manifest_with_members_out_of_order_is_refused() {
    let mut bytes = naming([2, 0, 0]);
    let (first, second) = (bytes[56..64].to_vec(), bytes[64..72].to_vec());
    bytes[56..64].copy_from_slice(&second);
    bytes[64..72].copy_from_slice(&first);
    let flaw = Manifest::decode(bytes).expect_err("they descend");
    assert_eq!(flaw.text, "the members are not in order");
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
    // The fixed part and one member take two hashes' place.
    let most = CONFIG.manifest_bytes_max as usize / 32 - 2;
    assert_eq!(receive(most), PartOutcome::Accepted);
    assert_eq!(receive(most + 1), PartOutcome::Wrong);
}
