//! Damaged files are never served, never started from, and never removed because of the damage.

use super::memory::{CLUSTER, CRASHES};
use super::*;
use crate::storage::snapshots::failed_reads::FAILED_READS_MAX;

/// Returns a node with two snapshots, of 1300 and 1400 bytes.
fn node_with_two() -> (Node, SnapshotMeta, SnapshotMeta) {
    let mut node = Node::new();
    let older = node.take_current(id(10), &content(1300, 1));
    let newer = node.take_current(id(20), &content(1400, 2));
    (node, older, newer)
}

/// Opens a directory without an intact snapshot, and returns the damage of the newest one.
fn damage_without_a_snapshot(disk: &mut MemoryDisk, meta: &SnapshotMeta) -> StorageError {
    let opened = open(disk, meta).expect("the directory can be listed");
    assert_eq!(opened.snapshots.current(), None);
    opened.damage.expect("the damage is found")
}

fn open(disk: &mut MemoryDisk, meta: &SnapshotMeta) -> Result<OpenedSnapshots, StorageError> {
    let before = disk.files();
    let opened = Snapshots::open(disk, CLUSTER, meta, Index::ZERO, CONFIG);
    assert_eq!(disk.files(), before, "opening changes nothing");
    opened
}

/// Returns every 13th offset of a snapshot file except those in the padding after the content.
fn places(bytes: &[u8], content: usize) -> impl Iterator<Item = usize> {
    let padding = 4096 + content..8192;
    (0..bytes.len()).step_by(13).filter(move |at| !padding.contains(at))
}

#[test]
fn any_damaged_byte_is_found_and_the_older_snapshot_is_used() {
    let (node, older, newer) = node_with_two();
    let bytes = node.clone().disk.bytes(snapshot(20)).clone();
    for at in places(&bytes, 1400) {
        let mut disk = node.disk.clone();
        disk.bytes(snapshot(20))[at] ^= 0x40;
        let opened = open(&mut disk, &newer).expect("the older one is intact");
        let damage = opened.damage.expect("the damage is found");
        assert_eq!(damage.file, Some(snapshot(20)));
        assert!(damage.offset <= at as u64, "{damage} for byte {at}");
        assert_eq!(opened.snapshots.current(), Some(&older));
        let mut node = Node { disk, snapshots: opened.snapshots, ..node.clone() };
        let third = node.take_current(id(30), b"thirty");
        assert_eq!(node.snapshots.current(), Some(&third));
        assert_eq!(node.disk.files(), [10, 20, 30].map(snapshot), "no damaged file is removed");
    }
}

#[test]
fn the_snapshot_before_a_damaged_one_is_used_if_the_log_reaches_back_to_it() {
    let (mut node, older, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096] ^= 1;
    for (base, expected) in [(9, Some(&older)), (10, Some(&older)), (11, None)] {
        let opened = Snapshots::open(&mut node.disk, CLUSTER, &newer, Index(base), CONFIG);
        let opened = opened.expect("the directory can be listed");
        assert_eq!(opened.snapshots.current(), expected, "a log after {base}");
    }
}

#[test]
fn without_an_intact_snapshot_there_is_no_current_one() {
    let (node, older, newer) = node_with_two();
    let mut disk = node.disk.clone();
    disk.bytes(snapshot(20))[4096 + 600] ^= 1;
    disk.bytes(snapshot(10))[4096] ^= 1;
    let error = damage_without_a_snapshot(&mut disk, &newer);
    let text = "snapshot-0000000000000014 at 4608: chunk 1 does not match its hash;";
    assert!(error.to_string().starts_with(text), "{error}");
    let mut disk = node.disk.clone();
    let lost = FileAction::Remove { file: snapshot(10) };
    disk.execute(&lost).expect("a memory disk removes files");
    let error = damage_without_a_snapshot(&mut disk, &older);
    assert_eq!((error.offset, error.message.as_str()), (0, "the file is missing"));
    let mut disk = node.disk.clone();
    disk.bytes(snapshot(10)).push(0);
    damage_without_a_snapshot(&mut disk, &older);
    for bytes in [0, 100, 4096, 5000, 8192] {
        let mut disk = node.disk.clone();
        disk.bytes(snapshot(10)).truncate(bytes);
        damage_without_a_snapshot(&mut disk, &older);
    }
}

#[test]
fn a_file_of_another_cluster_root_or_version_is_rejected() {
    let (mut node, _, newer) = node_with_two();
    let mut error_of = |cluster: ClusterId, meta: &SnapshotMeta| {
        let opened = Snapshots::open(&mut node.disk, cluster, meta, Index::ZERO, CONFIG);
        opened.map_or_else(|failure| failure.message, |opened| opened.damage.unwrap().message)
    };
    assert!(error_of(ClusterId(7), &newer).ends_with("the snapshot belongs to another cluster"));
    let other = SnapshotMeta { root: Root([1; 32]), ..newer.clone() };
    assert!(
        error_of(CLUSTER, &other).starts_with("the file holds snapshot "),
        "a snapshot with another root"
    );
    let mut header = node.disk.bytes(snapshot(20))[..4096].to_vec();
    header[8] = 2;
    let error = Header::decode(&header).expect_err("another version");
    assert_eq!(error.message, "version 2; this program reads version 1");
}

#[test]
fn damage_is_never_served_and_is_reported_once() {
    let (mut node, _, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096 + 512] ^= 1;
    let (root, part) = (newer.root, SnapshotPart::Chunk(1));
    assert!(matches!(node.served(root, SnapshotPart::Chunk(0))[..], [SnapshotEvent::Part { .. }]));
    let message = "chunk 1 does not match its hash";
    let damaged = SnapshotEvent::Damaged(StorageError::damage(snapshot(20), 4608, message));
    let gone = SnapshotEvent::PartUnavailable { root, part };
    assert_eq!(node.served(root, part), [damaged, gone.clone()]);
    assert_eq!(node.served(root, part), [gone]);
    let manifest = SnapshotPart::Manifest(0);
    assert_eq!(
        node.served(root, manifest),
        [SnapshotEvent::PartUnavailable { root, part: manifest }]
    );
    assert!(node.disk.files().contains(&snapshot(20)), "the damaged file is kept");
}

/// Makes an action of the disk fail: the next one, or the one that follows `after` others.
fn fail_next(node: &mut Node, after: usize) {
    let error = DiskError::Failed("it fails".to_owned());
    node.disk.fails = Some((node.disk.actions.len() + after, error));
}

#[test]
fn a_part_whose_read_fails_is_read_again_before_it_counts_as_damaged() {
    let (mut node, _, newer) = node_with_two();
    let (root, part) = (newer.root, SnapshotPart::Chunk(1));
    let unreadable = SnapshotEvent::PartUnreadable { root, part };
    for _ in 0..5 {
        for _ in 1..FAILED_READS_MAX {
            fail_next(&mut node, 0);
            assert_eq!(node.served(root, part), std::slice::from_ref(&unreadable));
        }
        assert!(matches!(node.served(root, part)[..], [SnapshotEvent::Part { .. }]));
    }
    for _ in 1..FAILED_READS_MAX {
        fail_next(&mut node, 0);
        assert_eq!(node.served(root, part), std::slice::from_ref(&unreadable));
    }
    fail_next(&mut node, 0);
    let damaged = SnapshotEvent::Damaged(StorageError::damage(snapshot(20), 4608, "it fails"));
    let gone = SnapshotEvent::PartUnavailable { root, part };
    assert_eq!(node.served(root, part), [damaged, gone]);
}

#[test]
fn a_single_failed_read_of_a_scrub_or_of_a_start_is_no_damage() {
    let (node, _, newer) = node_with_two();
    let mut scrubbed = node.clone();
    let before = scrubbed.disk.actions.len();
    let whole = scrubbed.scrubbed();
    for at in 0..scrubbed.disk.actions.len() - before {
        let mut node = node.clone();
        fail_next(&mut node, at);
        let (bytes, damaged) = node.scrubbed();
        assert_eq!(damaged, whole.1);
        // A failed read counts like one that succeeds.
        assert!((whole.0..=whole.0 + (1 << 20)).contains(&bytes), "{bytes}");
    }
    let mut opened = node.disk.clone();
    open(&mut opened, &newer).expect("it opens");
    for at in 0..opened.actions.len() - before {
        let mut node = node.clone();
        fail_next(&mut node, at);
        let opened = open(&mut node.disk, &newer).expect("it opens");
        assert_eq!((opened.damage, opened.snapshots.current()), (None, Some(&newer)));
    }
}

/// Returns a node whose newest snapshot is found damaged while it is served.
fn with_known_damage() -> (Node, SnapshotMeta, SnapshotMeta) {
    let (mut node, older, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096 + 512] ^= 1;
    node.disk.execute(&FileAction::Sync { file: snapshot(20) }).expect("the file exists");
    let found = node.served(newer.root, SnapshotPart::Chunk(1));
    assert!(matches!(found[..], [SnapshotEvent::Damaged(_), _]), "{found:?}");
    (node, older, newer)
}

#[test]
fn a_damaged_current_snapshot_is_replaced_at_its_own_index() {
    for seed in [2, 3] {
        let (mut node, _, newer) = with_known_damage();
        assert!(!node.snapshots.begin(&mut node.operations, id(19), membership()));
        let meta = node.take_current(id(20), &content(1400, seed));
        assert_eq!(meta == newer, seed == 2, "equal states have equal roots");
        assert_eq!(node.snapshots.current(), Some(&meta));
        assert_eq!(node.disk.files(), [10, 20].map(snapshot));
        assert!(!node.snapshots.begin(&mut node.operations, id(20), membership()), "it is intact");
        let part = node.served(meta.root, SnapshotPart::Chunk(1));
        assert!(matches!(part[..], [SnapshotEvent::Part { .. }]), "{part:?}");
        let mut node = node.restarted(Kept::Nothing);
        assert_eq!(node.content(&meta), content(1400, seed));
    }
}

#[test]
fn a_crash_while_a_damaged_snapshot_is_replaced_leaves_one_that_can_be_used() {
    let mut replaced = BTreeSet::new();
    for (seed, kept) in [2, 3].into_iter().flat_map(|seed| CRASHES.map(|kept| (seed, kept))) {
        for operations in 0.. {
            let (mut node, older, newer) = with_known_damage();
            node.operations_left = operations;
            let taken = node.take(id(20), &content(1400, seed));
            node.disk.crash(kept);
            let opened = open(&mut node.disk, &newer).expect("it opens");
            let current = opened.snapshots.current().expect("one can be used").clone();
            let is_replaced = current == newer;
            assert!(is_replaced || current == older, "the superblock names no other one");
            assert_eq!(opened.damage.is_none(), is_replaced);
            let expected = if is_replaced { content(1400, 2) } else { content(1300, 1) };
            assert_eq!(node.content(&current), expected);
            replaced.insert((seed, is_replaced));
            if taken.is_some() {
                assert_eq!(is_replaced, seed == 2, "{taken:?}");
                break;
            }
        }
    }
    let expected = BTreeSet::from([(2, false), (2, true), (3, false)]);
    assert_eq!(replaced, expected, "only equal states have equal roots");
}

#[test]
fn a_replacement_that_is_read_back_wrong_leaves_the_file_to_be_replaced_again() {
    let (node, ..) = with_known_damage();
    let mut counted = node.clone();
    let before = counted.disk.actions.len();
    counted.take(id(20), &content(1400, 2));
    let end = counted.disk.actions.len() - before;
    let mut abandoned = 0;
    for at in 0..end {
        let mut node = node.clone();
        let is_read = counted.disk.actions[before + at].starts_with("read ");
        if !is_read {
            continue;
        }
        fail_next(&mut node, at);
        let ended = node.take(id(20), &content(1400, 2));
        let is_abandoned = matches!(ended, Some(SnapshotEvent::Abandoned { .. }));
        assert!(is_abandoned, "{ended:?}");
        abandoned += 1;
        assert!(node.settle());
        assert_eq!(node.disk.files(), [10, 20].map(snapshot));
        let meta = node.take_current(id(20), &content(1400, 2));
        assert_eq!(node.snapshots.current(), Some(&meta));
    }
    assert!(abandoned >= 3, "the header, the chunks and the manifest are read back");
}

#[test]
fn a_scrub_finds_any_damaged_byte_of_each_kept_snapshot_once() {
    let (node, ..) = node_with_two();
    let sizes: usize =
        [10, 20].map(|index| node.clone().disk.bytes(snapshot(index)).len()).iter().sum();
    let padding = [1300, 1400].map(|bytes| 4096 - bytes).iter().sum::<usize>();
    assert_eq!(node.clone().scrubbed(), ((sizes - padding) as u64, Vec::new()));
    for (index, size) in [(10, 1300), (20, 1400)] {
        let bytes = node.clone().disk.bytes(snapshot(index)).clone();
        for at in places(&bytes, size) {
            let mut node = node.clone();
            node.disk.bytes(snapshot(index))[at] ^= 0x40;
            let (_, events) = node.scrubbed();
            let [SnapshotEvent::Damaged(damage)] = &events[..] else { panic!("{at}: {events:?}") };
            assert_eq!(damage.file, Some(snapshot(index)));
            assert!(damage.offset <= at as u64, "{damage} for byte {at}");
            assert_eq!(node.scrubbed().1, Vec::new(), "it is reported once");
            assert_eq!(node.disk.files(), [10, 20].map(snapshot), "no damaged file is removed");
        }
    }
}

#[test]
fn a_scrub_reads_the_disk_rather_than_a_cache() {
    let (mut node, ..) = node_with_two();
    let before = node.disk.actions.len();
    node.scrubbed();
    let actions = &node.disk.actions[before..];
    assert!(actions.len() >= 12, "{actions:?}");
    for pair in actions.chunks(2) {
        let file = pair[0].strip_prefix("drop the cache of ").expect("it comes before each read");
        assert!(pair[1].starts_with(&format!("read {file} at ")), "{pair:?}");
    }
}

#[test]
fn a_scrub_continues_after_snapshots_that_are_removed_meanwhile() {
    let (mut node, _, newer) = node_with_two();
    node.snapshots.begin_scrub(SnapshotScrubPlace::default());
    assert!(node.snapshots.scrub(&mut node.operations));
    assert!(node.settle());
    node.take_current(id(30), &content(900, 3));
    assert_eq!(node.disk.files(), [20, 30].map(snapshot));
    let mut read = 0;
    while node.snapshots.scrub(&mut node.operations) {
        assert!(node.settle());
        read += node.snapshots.take_scrubbed().expect("a piece was read");
    }
    // The third one was read back when it was written.
    assert!(read > newer.bytes && read < newer.bytes + 8192, "{read}");
    assert!(!node.snapshots.is_scrubbing());
    assert_eq!(node.events, []);
}

#[test]
fn a_scrub_ends_although_snapshots_are_taken_all_the_time() {
    let (mut node, ..) = node_with_two();
    node.snapshots.begin_scrub(SnapshotScrubPlace::default());
    let mut pieces = 0;
    while node.snapshots.scrub(&mut node.operations) {
        pieces += 1;
        assert!(node.settle() && pieces < 10);
        node.take_current(id(30 + pieces), &content(900, 3));
    }
}

#[test]
fn a_reader_returns_no_damaged_bytes() {
    let (mut node, _, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096 + 1100] ^= 1;
    let mut reader = SnapshotReader::open(&mut node.disk, CLUSTER, &newer).unwrap();
    let mut read = Vec::new();
    let error = std::io::Read::read_to_end(&mut reader, &mut read).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let text = "snapshot-0000000000000014 at 5120: chunk 2 does not match its hash;";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(read, content(1400, 2)[..1024], "the chunks before it are correct");
}

#[test]
fn damaged_chunks_of_a_partial_file_are_requested_again() {
    let (mut sender, mut receiver) = (Node::new(), Node::new());
    let meta = sender.take_current(id(7), &content(512 * 9, 1));
    receiver.operations_left = 19;
    assert_eq!(receiver.receive(&mut sender, &meta, &mut 0), None);
    let mut receiver = receiver.restarted(Kept::Everything);
    receiver.disk.bytes(partial(7))[4096 + 700] ^= 1;
    let mut parts = 0;
    let event = receiver.receive(&mut sender, &meta, &mut parts);
    assert_eq!(event, Some(SnapshotEvent::Received(meta.clone())));
    assert!((1..9).contains(&parts), "{parts}");
    assert_eq!(receiver.content(&meta), content(512 * 9, 1));
}
