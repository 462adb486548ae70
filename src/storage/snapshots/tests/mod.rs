//! Snapshots on an in-memory disk: taken, received, served and kept, with a crash, a disk error or
//! a damaged byte at any point.

mod bounds;
mod crash;
mod damage;
mod memory;

use proptest::prelude::*;

use super::format::{HEADER_BYTES, Header, Manifest};
use super::*;
use crate::fixtures::Fixtures;
use crate::types::Term;
use memory::{CLUSTER, CONFIG, Kept, MemoryDisk, Node, content, id, membership};

fn snapshot(index: u64) -> FileName {
    FileName::Snapshot(Index(index))
}

fn partial(index: u64) -> FileName {
    FileName::PartialSnapshot(Index(index))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_taken_snapshot_is_read_back(bytes in 0_usize..4000, seed: u8) {
        let (mut node, content) = (Node::new(), content(bytes, seed));
        let meta = node.take_current(id(7), &content);
        prop_assert_eq!((meta.last, meta.bytes), (id(7), bytes as u64));
        prop_assert_eq!(&meta.membership, &membership());
        prop_assert_eq!(node.content(&meta), content.clone());
        let mut node = node.restarted(Kept::Nothing);
        prop_assert_eq!(node.snapshots.current(), Some(&meta));
        prop_assert_eq!(node.content(&meta), content);
    }

    #[test]
    fn a_received_snapshot_is_the_same_file(bytes in 0_usize..4000, seed: u8) {
        let (mut sender, mut receiver) = (Node::new(), Node::new());
        let meta = sender.take_current(id(7), &content(bytes, seed));
        let event = receiver.receive(&mut sender, &meta, &mut 0);
        prop_assert_eq!(event, Some(SnapshotEvent::Received(meta.clone())));
        prop_assert_eq!(receiver.disk.bytes(snapshot(7)), sender.disk.bytes(snapshot(7)));
        receiver.set_current(&meta);
        let mut receiver = receiver.restarted(Kept::Nothing);
        prop_assert_eq!(receiver.content(&meta), content(bytes, seed));
    }

    #[test]
    fn decoding_any_bytes_never_panics(mut bytes: Vec<u8>, at in 0_usize..4096, byte: u8) {
        let _ = Manifest::decode(bytes.clone());
        let manifest = Manifest::new(id(3), membership(), 600, 512, &[7; 64]);
        let mut header = Header::of(CLUSTER, &manifest).encode();
        let is_same = header[at] == byte;
        header[at] = byte;
        prop_assert_eq!(Header::decode(&header).is_ok(), is_same, "every other header is rejected");
        let mut encoded = manifest.encoded().to_vec();
        let at = at % encoded.len();
        encoded[at] = byte;
        let decoded = Manifest::decode(encoded.clone());
        let is_same = encoded == manifest.encoded();
        prop_assert_eq!(decoded.is_ok_and(|decoded| decoded == manifest), is_same);
        bytes.splice(0..0, manifest.encoded().iter().copied().take(56));
        let _ = Manifest::decode(bytes);
    }
}

#[test]
fn equal_states_have_equal_roots_on_all_nodes() {
    let (mut one, mut other) = (Node::new(), Node::new());
    other.take_current(id(5), b"earlier");
    let meta = one.take_current(id(10), &content(1500, 1));
    assert_eq!(other.take_current(id(10), &content(1500, 1)), meta);
    assert_ne!(Node::new().take_current(id(11), &content(1500, 1)).root, meta.root);
    assert_ne!(Node::new().take_current(id(10), &content(1500, 2)).root, meta.root);
}

#[test]
fn a_snapshot_is_synced_renamed_and_read_back_before_it_is_reported() {
    let mut node = Node::new();
    node.take_current(id(7), &content(600, 0));
    let actions: Vec<&str> = node.disk.actions.iter().map(String::as_str).collect();
    let part = partial(7);
    let complete = snapshot(7);
    let expected = [
        format!("create {part} of 4096"),
        format!("write {part} at 4096, 512 bytes"),
        format!("write {part} at 4608, 88 bytes"),
        format!("write {part} at 8192, 222 bytes"),
        format!("write {part} at 0, 4096 bytes"),
        format!("sync {part}"),
        format!("rename {part} to {complete}"),
        "sync directory".to_owned(),
        format!("read {complete} at 0, 4096 bytes"),
        format!("read {complete} at 4096, 600 bytes"),
        format!("read {complete} at 8192, 222 bytes"),
    ];
    assert_eq!(actions, expected);
}

#[test]
fn the_last_two_snapshots_are_kept() {
    let mut node = Node::new();
    let metas: Vec<SnapshotMeta> =
        (1..=4).map(|n| node.take_current(id(n * 10), &content(700, n as u8))).collect();
    assert_eq!(node.disk.files(), [snapshot(30), snapshot(40)]);
    assert_eq!(node.snapshots.current(), Some(&metas[3]));
    assert_eq!(node.snapshots.previous(), Some(&metas[2]));
    let node = node.restarted(Kept::Nothing);
    assert_eq!(node.snapshots.previous(), Some(&metas[2]));
}

#[test]
fn no_snapshot_is_removed_before_the_superblock_names_the_next() {
    let mut node = Node::new();
    node.take_current(id(10), b"ten");
    node.take_current(id(20), b"twenty");
    let Some(SnapshotEvent::Taken(_)) = node.take(id(30), b"thirty") else { panic!("not taken") };
    assert_eq!(node.disk.files(), [10, 20, 30].map(snapshot));
    // The superblock still names the second one: a start removes neither older nor newer files.
    let node = node.restarted(Kept::Nothing);
    assert_eq!(node.disk.files(), [10, 20, 30].map(snapshot));
    assert_eq!(node.snapshots.current().map(|meta| meta.last), Some(id(20)));
}

#[test]
fn a_snapshot_that_the_superblock_does_not_name_is_taken_again() {
    let (mut node, content) = (Node::new(), content(700, 3));
    let earlier = node.take_current(id(20), b"twenty");
    let Some(SnapshotEvent::Taken(meta)) = node.take(id(30), &content) else { panic!("not taken") };
    let mut node = node.restarted(Kept::Nothing);
    assert_eq!(node.snapshots.current(), Some(&earlier), "the superblock does not name the last");
    node.disk.bytes(snapshot(30))[4096 + 600] ^= 1;
    assert_eq!(node.take(id(30), &content), Some(SnapshotEvent::Taken(meta.clone())));
    node.set_current(&meta);
    assert!(node.settle());
    let mut node = node.restarted(Kept::Nothing);
    assert_eq!(node.snapshots.current(), Some(&meta));
    assert_eq!(node.content(&meta), content);
}

#[test]
fn only_one_newer_snapshot_is_taken_or_received_at_a_time() {
    let mut node = Node::new();
    let operations = &mut node.operations;
    assert!(node.snapshots.begin(operations, id(10), membership()));
    assert!(!node.snapshots.begin(operations, id(11), membership()), "a snapshot is being taken");
    let older = SnapshotMeta { root: Root([1; 32]), ..SnapshotMeta::empty(id(9), membership()) };
    assert!(!node.snapshots.receive(operations, &older), "older than the snapshot being taken");
    let newer = SnapshotMeta { root: Root([1; 32]), ..SnapshotMeta::empty(id(12), membership()) };
    assert!(node.snapshots.receive(operations, &newer));
    assert!(node.settle());
    let (last, reason) = (id(10), AbandonReason::Superseded);
    assert_eq!(node.events.pop_front(), Some(SnapshotEvent::Abandoned { last, reason }));
    assert_eq!(node.events.pop_front(), None);
    assert_eq!(node.disk.files(), []);
    node.snapshots.abandon(&mut node.operations);
    assert_eq!(node.snapshots.parts_to_request(), None);
    node.take_current(id(20), b"twenty");
    assert!(!node.snapshots.begin(&mut node.operations, id(20), membership()));
    assert!(
        !node.snapshots.receive(&mut node.operations, &newer),
        "older than the current snapshot"
    );
}

#[test]
fn a_snapshot_that_exists_is_not_received_again() {
    let mut node = Node::new();
    let meta = node.take_current(id(10), b"ten");
    assert!(node.snapshots.receive(&mut node.operations, &meta));
    assert!(node.settle());
    assert_eq!(node.events.pop_front(), Some(SnapshotEvent::Received(meta.clone())));
    let other = SnapshotMeta { root: Root([1; 32]), ..meta };
    assert!(
        !node.snapshots.receive(&mut node.operations, &other),
        "another snapshot with the same index"
    );
}

#[test]
fn parts_may_be_lost_repeated_late_or_corrupt() {
    let (mut sender, mut receiver) = (Node::new(), Node::new());
    let content = content(512 * 20 + 30, 3);
    let meta = sender.take_current(id(7), &content);
    let root = meta.root;
    assert!(receiver.snapshots.receive(&mut receiver.operations, &meta));
    let mut corrupt = 0;
    for round in 0_usize.. {
        assert!(round < 1000, "the transfer ends");
        assert!(receiver.settle());
        let Some((_, wanted)) = receiver.snapshots.parts_to_request() else { break };
        for (number, part) in wanted.into_iter().enumerate() {
            let mut bytes = sender.part(root, part);
            let operations = &mut receiver.operations;
            let mut give =
                |root, bytes: &[u8]| receiver.snapshots.part(operations, root, part, bytes);
            // One corrupt piece invalidates the whole manifest, so its pieces are correct from some
            // round on.
            let is_correct = round > 8 && matches!(part, SnapshotPart::Manifest(_));
            match if is_correct { 3 } else { (round + number) % 4 } {
                0 => {
                    bytes[round % 20] ^= 1;
                    corrupt += usize::from(give(root, &bytes) == PartOutcome::Corrupt);
                }
                1 => assert_eq!(give(root, &bytes[1..]), PartOutcome::Corrupt),
                2 => assert_eq!(give(Root([9; 32]), &bytes), PartOutcome::NotNeeded),
                _ => {
                    let accepted = give(root, &bytes) == PartOutcome::Accepted;
                    assert!(accepted || (round <= 8 && matches!(part, SnapshotPart::Manifest(_))));
                    assert_eq!(
                        give(root, &bytes),
                        PartOutcome::NotNeeded,
                        "a second copy is not needed"
                    );
                }
            }
        }
    }
    assert!(corrupt > 3, "corrupt parts were detected: {corrupt}");
    assert_eq!(receiver.events.pop_front(), Some(SnapshotEvent::Received(meta.clone())));
    assert_eq!(receiver.content(&meta), content);
}

#[test]
fn a_restart_resumes_a_partial_file_unless_the_root_differs() {
    let (mut sender, mut receiver) = (Node::new(), Node::new());
    let (old, new) = (content(512 * 20, 1), content(512 * 30, 2));
    let first = sender.take_current(id(7), &old);
    receiver.operations_left = 20;
    let mut before = 0;
    assert_eq!(receiver.receive(&mut sender, &first, &mut before), None);
    let receiver = receiver.restarted(Kept::Nothing);

    let mut after = 0;
    let mut same = receiver.clone();
    let event = same.receive(&mut sender, &first, &mut after);
    assert_eq!(event, Some(SnapshotEvent::Received(first.clone())));
    assert_eq!(same.content(&first), old);
    let kept = before + 20 - after;
    assert!(after < 20 && kept > 0, "{after} parts were requested after {before}");

    let mut other_sender = Node::new();
    let second = other_sender.take_current(id(7), &new);
    let (mut other, mut parts) = (receiver, 0);
    let event = other.receive(&mut other_sender, &second, &mut parts);
    assert_eq!(event, Some(SnapshotEvent::Received(second.clone())));
    assert_eq!(other.content(&second), new);
    assert_eq!(parts, 30 + manifest_pieces(&mut other_sender, second.root));
}

#[test]
fn a_partial_file_with_too_large_a_manifest_is_not_resumed() {
    for (chunks, fits) in [(100, true), (200, false)] {
        let hashes = vec![7; 32 * chunks];
        let manifest = Manifest::new(id(7), membership(), 512 * chunks as u64, 512, &hashes);
        let (mut disk, file) = (MemoryDisk::default(), partial(7));
        let write = |offset, bytes: &[u8]| FileAction::Write { file, offset, bytes: bytes.into() };
        for action in [
            FileAction::Create { file, bytes: HEADER_BYTES },
            write(0, &Header::of(CLUSTER, &manifest).encode()),
            write(manifest.file_offset(), manifest.encoded()),
        ] {
            disk.execute(&action).expect("the disk has space");
        }
        let node = Node::open(disk, SnapshotMeta::default()).expect("the directory opens");
        assert_eq!(node.snapshots.resumable.is_some(), fits, "{chunks}");
    }
}

#[test]
fn received_chunks_are_synced_a_few_at_a_time() {
    let (mut sender, mut receiver) = (Node::new(), Node::new());
    let meta = sender.take_current(id(7), &content(512 * 20, 1));
    assert!(receiver.receive(&mut sender, &meta, &mut 0).is_some());
    let sync = format!("sync {}", partial(7));
    let syncs = receiver.disk.actions.iter().filter(|action| **action == sync).count();
    assert_eq!(syncs, 11, "the manifest, each two chunks but the last ones, and all of it");
}

/// Returns the number of pieces of a manifest that the node serves.
fn manifest_pieces(node: &mut Node, root: Root) -> usize {
    let is_part = |event: &SnapshotEvent| matches!(event, SnapshotEvent::Part { .. });
    (0..).take_while(|n| is_part(&node.served(root, SnapshotPart::Manifest(*n))[0])).count()
}

#[test]
fn missing_parts_are_unavailable_and_reads_for_peers_are_bounded() {
    let mut node = Node::new();
    let meta = node.take_current(id(7), &content(512 * 5, 0));
    let unavailable = |root, part| vec![SnapshotEvent::PartUnavailable { root, part }];
    let other = Root([3; 32]);
    assert_eq!(
        node.served(other, SnapshotPart::Chunk(0)),
        unavailable(other, SnapshotPart::Chunk(0))
    );
    assert_eq!(
        node.served(meta.root, SnapshotPart::Chunk(5)),
        unavailable(meta.root, SnapshotPart::Chunk(5))
    );
    let far = SnapshotPart::Manifest(u32::MAX);
    assert_eq!(node.served(meta.root, far), unavailable(meta.root, far));
    for chunk in [0, 0, 1, 2, 3] {
        node.snapshots.serve(&mut node.operations, meta.root, SnapshotPart::Chunk(chunk));
    }
    assert_eq!(node.operations.take().count(), CONFIG.serving_max as usize);
}

#[test]
fn an_offer_of_a_complete_snapshot_ends_what_is_being_received() {
    let mut node = Node::new();
    let Some(SnapshotEvent::Taken(meta)) = node.take(id(7), &content(600, 0)) else {
        panic!("the snapshot is taken")
    };
    let other = SnapshotMeta { last: id(9), root: Root([9; 32]), ..meta.clone() };
    assert!(node.snapshots.receive(&mut node.operations, &other));
    assert!(node.snapshots.parts_to_request().is_some());
    assert!(node.snapshots.receive(&mut node.operations, &meta));
    assert_eq!(node.snapshots.parts_to_request(), None);
    let (last, reason) = (other.last, AbandonReason::Superseded);
    let events: Vec<_> = node.snapshots.take_events().collect();
    assert_eq!(events, [SnapshotEvent::Abandoned { last, reason }, SnapshotEvent::Received(meta)]);
    let next = node.take(id(8), &content(600, 1));
    assert!(matches!(next, Some(SnapshotEvent::Taken(_))), "{next:?}");
}

#[test]
fn a_snapshot_with_too_large_a_manifest_is_abandoned() {
    let mut node = Node::new();
    let chunks = CONFIG.manifest_bytes_max as usize / 32;
    let last = id(7);
    let abandoned = |manifest_bytes| {
        let manifest_bytes_max = CONFIG.manifest_bytes_max.into();
        let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max };
        Some(SnapshotEvent::Abandoned { last, reason })
    };
    let at_a_chunk = node.take(last, &content(512 * (chunks + 1), 0));
    assert_eq!(at_a_chunk, abandoned(4096 + 32));
    // The fixed part and the membership come on top of the hashes.
    let at_its_end = node.take(last, &content(512 * chunks, 0));
    let reason = match at_its_end {
        Some(SnapshotEvent::Abandoned { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let is_larger = matches!(
        reason,
        AbandonReason::TooLarge { manifest_bytes: 4097.., manifest_bytes_max: 4096 }
    );
    assert!(is_larger, "{reason:?}");
    assert!(node.settle());
    assert_eq!(node.disk.files(), []);
    let fits = node.take(last, &content(512 * (chunks - 5), 0));
    assert!(matches!(fits, Some(SnapshotEvent::Taken(_))), "{fits:?}");
}

/// Returns the file of a snapshot of this content that ends at index 70.
fn file_of(content: &[u8]) -> (SnapshotMeta, Vec<u8>) {
    let mut node = Node::new();
    let meta = node.take_current(EntryId::new(Term(3), Index(70)), content);
    (meta, node.disk.bytes(snapshot(70)).to_vec())
}

#[test]
fn the_fixtures_of_snapshots_are_written_and_read() {
    let mut fixtures = Fixtures::of("snapshot", 1);
    for bytes in [1, 1100] {
        let (meta, file) = file_of(&content(bytes, 5));
        fixtures.value(&format!("content-{bytes}"), &file, |kept| {
            let mut node = Node::new();
            node.take_current(EntryId::new(Term(3), Index(70)), &content(bytes, 5));
            *node.disk.bytes(snapshot(70)) = kept.to_vec();
            assert_eq!(node.content(&meta), content(bytes, 5));
        });
    }
    for bytes in (0..64).map(|number| number * number * 5) {
        fixtures.hash(&format!("drawn-{bytes}"), &file_of(&content(bytes, bytes as u8)).1);
    }
    fixtures.finish();
}
