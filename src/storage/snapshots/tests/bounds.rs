//! Limits of a manifest and of a header: a value beyond its limit is rejected although the hashes
//! are valid.

use super::*;
use crate::storage::snapshots::format::PREFIX_BYTES;
use crate::types::NodeId;

const MEMBERS_MAX: u64 = Membership::MEMBERS_MAX as u64;

fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// Returns a manifest with this encoded membership, valid or not.
fn manifest_with(membership: &[u8]) -> Vec<u8> {
    let mut bytes = Manifest::new(id(3), voters(0), 0, 512, &[]).encoded().to_vec();
    bytes[40..44].copy_from_slice(&(membership.len() as u32).to_le_bytes());
    bytes.truncate(PREFIX_BYTES as usize);
    bytes.extend(membership);
    bytes
}

#[test]
fn a_membership_of_the_largest_size_is_read_back() {
    let membership = voters(64).with_learners((65..=MEMBERS_MAX).map(NodeId));
    let manifest = Manifest::new(id(3), membership, 0, 512, &[]);
    assert_eq!(Manifest::decode(manifest.encoded().to_vec()), Ok(manifest));
}

#[test]
#[should_panic(expected = "contract: the membership is valid")]
fn a_membership_above_the_largest_size_is_not_written() {
    let membership = voters(64).with_learners((65..=MEMBERS_MAX + 1).map(NodeId));
    let _ = Manifest::new(id(3), membership, 0, 512, &[]);
}

#[test]
fn an_invalid_membership_is_rejected() {
    let error = |membership: &[u8]| {
        Manifest::decode(manifest_with(membership)).err().map(|error| (error.offset, error.message))
    };
    let rejected = |offset, text: &str| Some((offset, text.to_owned()));
    assert_eq!(error(&voters(64).encode()), None);
    let learners = |count| voters(1).with_learners((2..=count).map(NodeId)).encode();
    assert_eq!(error(&learners(MEMBERS_MAX)), None);
    let many = learners(MEMBERS_MAX + 1);
    assert_eq!(error(&many), rejected(40, "the membership is too large"));
    for bytes in [&voters(65).encode(), &b"\x01\0"[..], &[], &[0; 3]] {
        assert_eq!(error(bytes), rejected(48, "the membership is invalid"), "{bytes:?}");
    }
}

/// Returns the error of a manifest with these bytes at `offset`, if it is rejected.
fn error_of_manifest_with(offset: usize, value: &[u8]) -> Option<String> {
    let mut bytes = Manifest::new(id(3), voters(1), 512, 512, &[7; 32]).encoded().to_vec();
    bytes[offset..offset + value.len()].copy_from_slice(value);
    Manifest::decode(bytes).err().map(|error| error.message)
}

#[test]
fn a_chunk_size_out_of_bounds_is_rejected() {
    for (chunk_bytes, accepted) in
        [(511_u32, false), (512, true), (1 << 20, true), (1 + (1 << 20), false)]
    {
        let error = error_of_manifest_with(12, &chunk_bytes.to_le_bytes());
        assert_eq!(error.is_none(), accepted, "{chunk_bytes}: {error:?}");
    }
}

#[test]
fn a_manifest_of_the_wrong_size_is_rejected() {
    let wrong = Some("the size of the manifest contradicts its fields");
    assert_eq!(error_of_manifest_with(32, &512_u64.to_le_bytes()), None);
    for bytes in [513, u64::MAX] {
        assert_eq!(error_of_manifest_with(32, &bytes.to_le_bytes()).as_deref(), wrong, "{bytes}");
    }
    // A membership length that is too large does not make the membership extend into the hashes.
    assert_eq!(error_of_manifest_with(40, &61_u32.to_le_bytes()).as_deref(), wrong);
    assert_eq!(
        error_of_manifest_with(44, &[1, 0, 0, 0]).as_deref(),
        Some("reserved bytes are not zero")
    );
}

#[test]
fn a_header_with_invalid_fields_is_rejected() {
    let manifest = Manifest::new(id(3), voters(1), 512, 512, &[7; 32]);
    let header = Header::of(CLUSTER, &manifest).encode();
    for (offset, value, accepted) in [
        (12, 512_u32, true),
        (12, 511, false),
        (12, 1 << 20, true),
        (12, (1 << 20) + 1, false),
        (60, 0, true),
        (60, 1, false),
    ] {
        let mut block = header.clone();
        block[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        let sum = blake3::hash(&block[..4080]);
        block[4080..].copy_from_slice(&sum.as_bytes()[..16]);
        assert_eq!(Header::decode(&block).is_ok(), accepted, "{value} at {offset}");
    }
}

#[test]
fn a_first_piece_with_another_size_of_the_membership_is_corrupt() {
    let manifest = Manifest::new(id(3), voters(1), 512 * 30, 512, &[7; 32 * 30]);
    let (root, encoded) = (manifest.meta().root, manifest.encoded());
    let mut node = Node::new();
    assert!(node.snapshots.receive(&mut node.operations, manifest.meta()));
    let mut give = |number: u32, piece: &[u8]| {
        node.snapshots.part(&mut node.operations, root, SnapshotPart::Manifest(number), piece)
    };
    let size = u32::from_le_bytes([encoded[40], encoded[41], encoded[42], encoded[43]]);
    for wrong in [size - 1, size + 1, size + 512] {
        let mut piece = encoded[..512].to_vec();
        piece[40..44].copy_from_slice(&wrong.to_le_bytes());
        assert_eq!(give(0, &piece), PartOutcome::Corrupt, "{wrong} instead of {size}");
    }
    for (number, piece) in (0..).zip(encoded.chunks(512)) {
        assert_eq!(give(number, piece), PartOutcome::Accepted, "piece {number}");
    }
}

#[test]
fn a_manifest_above_its_limit_is_not_received() {
    let receive = |chunks: usize| -> (PartOutcome, Vec<SnapshotEvent>) {
        let manifest =
            Manifest::new(id(3), voters(1), 512 * chunks as u64, 512, &vec![7; 32 * chunks]);
        let mut node = Node::new();
        assert!(node.snapshots.receive(&mut node.operations, manifest.meta()));
        let piece = manifest.piece(0).expect("a manifest has a first piece");
        let root = manifest.meta().root;
        let part = SnapshotPart::Manifest(0);
        let outcome = node.snapshots.part(&mut node.operations, root, part, piece);
        (outcome, node.snapshots.take_events().collect())
    };
    // The fixed part and one member take the space of three hashes.
    let most = CONFIG.manifest_bytes_max as usize / 32 - 3;
    assert_eq!(receive(most), (PartOutcome::Accepted, vec![]));
    let manifest_bytes = PREFIX_BYTES + voters(1).encode().len() as u64 + 32 * (most + 1) as u64;
    let manifest_bytes_max = 4096;
    let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max };
    let abandoned = SnapshotEvent::Abandoned { last: id(3), reason };
    assert_eq!(receive(most + 1), (PartOutcome::TooLarge, vec![abandoned]));
}
