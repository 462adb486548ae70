//! Damaged files: never served, never started from, never removed for it.

use super::memory::CLUSTER;
use super::*;

/// A node with two snapshots, of 1300 and 1400 bytes.
fn node_with_two() -> (Node, SnapshotMeta, SnapshotMeta) {
    let mut node = Node::new();
    let older = node.take_in_force(id(10), &content(1300, 1));
    let newer = node.take_in_force(id(20), &content(1400, 2));
    (node, older, newer)
}

fn open(disk: &mut MemoryDisk, meta: &SnapshotMeta) -> Result<OpenedSnapshots, Failure> {
    let before = disk.files();
    let opened = Snapshots::open(disk, CLUSTER, meta, CONFIG);
    assert_eq!(disk.files(), before, "opening changes nothing");
    opened
}

/// Every place in a snapshot's file that matters: not what pads the content.
fn places(bytes: &[u8], content: usize) -> impl Iterator<Item = usize> {
    let padding = 4096 + content..8192;
    (0..bytes.len()).step_by(13).filter(move |at| !padding.contains(at))
}

#[test]
fn any_damaged_byte_is_found_and_the_older_snapshot_takes_over() {
    let (node, older, newer) = node_with_two();
    let bytes = node.clone().disk.bytes(snapshot(20)).clone();
    for at in places(&bytes, 1400) {
        let mut disk = node.disk.clone();
        disk.bytes(snapshot(20))[at] ^= 0x40;
        let opened = open(&mut disk, &newer).expect("the older one is whole");
        let damage = opened.damage.expect("the damage is seen");
        assert_eq!(damage.file, Some(snapshot(20)));
        assert!(damage.offset <= at as u64, "{damage} for byte {at}");
        assert_eq!(opened.snapshots.in_force(), Some(&older));
        let mut node = Node { disk, snapshots: opened.snapshots, ..node.clone() };
        let third = node.take_in_force(id(30), b"thirty");
        assert_eq!(node.snapshots.in_force(), Some(&third));
        assert_eq!(node.disk.files(), [10, 20, 30].map(snapshot), "damage is no reason to remove");
    }
}

#[test]
fn without_a_whole_snapshot_the_start_is_refused() {
    let (node, older, newer) = node_with_two();
    let mut disk = node.disk.clone();
    disk.bytes(snapshot(20))[4096 + 600] ^= 1;
    disk.bytes(snapshot(10))[4096] ^= 1;
    let error = open(&mut disk, &newer).expect_err("both are damaged");
    let text = "snapshot-0000000000000014 at 4608: chunk 1 does not have its hash;";
    assert!(error.to_string().starts_with(text), "{error}");
    let mut disk = node.disk.clone();
    let lost = FileAction::Remove { file: snapshot(10) };
    disk.execute(&lost).expect("a disk of memory removes");
    let error = open(&mut disk, &older).expect_err("it is missing");
    assert_eq!((error.offset, error.what.as_str()), (0, "the file is missing"));
    let mut disk = node.disk.clone();
    disk.bytes(snapshot(10)).push(0);
    assert!(open(&mut disk, &older).is_err(), "a file that is too long");
    for bytes in [0, 100, 4096, 5000, 8192] {
        let mut disk = node.disk.clone();
        disk.bytes(snapshot(10)).truncate(bytes);
        assert!(open(&mut disk, &older).is_err(), "a file of {bytes} bytes");
    }
}

#[test]
fn a_file_of_another_kind_is_refused_with_its_reason() {
    let (mut node, _, newer) = node_with_two();
    let mut refused = |cluster: ClusterId, meta: &SnapshotMeta| {
        let opened = Snapshots::open(&mut node.disk, cluster, meta, CONFIG);
        opened.map_or_else(|failure| failure.what, |opened| opened.damage.unwrap().what)
    };
    assert!(refused(ClusterId(7), &newer).ends_with("a snapshot of another cluster"));
    let other = SnapshotMeta { root: Root([1; 32]), ..newer.clone() };
    assert!(refused(CLUSTER, &other).starts_with("snapshot "), "another root");
    let mut header = node.disk.bytes(snapshot(20))[..4096].to_vec();
    header[8] = 2;
    let flaw = Header::decode(&header).expect_err("another version");
    assert_eq!(flaw.text, "version 2; this program reads version 1");
}

#[test]
fn damage_is_never_served_and_said_once() {
    let (mut node, _, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096 + 512] ^= 1;
    let (root, part) = (newer.root, Part::Chunk(1));
    assert!(matches!(node.served(root, Part::Chunk(0))[..], [SnapshotEvent::Part { .. }]));
    let what = "chunk 1 does not have its hash";
    let damaged = SnapshotEvent::Damaged(Failure::damage(snapshot(20), 4608, what));
    let gone = SnapshotEvent::Gone { root, part };
    assert_eq!(node.served(root, part), [damaged, gone.clone()]);
    assert_eq!(node.served(root, part), [gone]);
    let manifest = Part::Manifest(0);
    assert_eq!(node.served(root, manifest), [SnapshotEvent::Gone { root, part: manifest }]);
    assert!(node.disk.files().contains(&snapshot(20)), "it stays");
}

#[test]
fn a_reader_gives_out_nothing_that_is_damaged() {
    let (mut node, _, newer) = node_with_two();
    node.disk.bytes(snapshot(20))[4096 + 1100] ^= 1;
    let mut reader = SnapshotReader::open(&mut node.disk, CLUSTER, &newer).unwrap();
    let mut read = Vec::new();
    let error = std::io::Read::read_to_end(&mut reader, &mut read).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let text = "snapshot-0000000000000014 at 5120: chunk 2 does not have its hash;";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(read, content(1400, 2)[..1024], "what came before was right");
}

#[test]
fn damaged_chunks_of_a_partial_file_are_asked_for_again() {
    let (mut sender, mut receiver) = (Node::new(), Node::new());
    let meta = sender.take_in_force(id(7), &content(512 * 9, 1));
    receiver.fuel = 19;
    assert_eq!(receiver.receive(&mut sender, &meta, &mut 0), None);
    let mut receiver = receiver.restarted(Kept::Everything);
    receiver.disk.bytes(partial(7))[4096 + 700] ^= 1;
    let mut parts = 0;
    let event = receiver.receive(&mut sender, &meta, &mut parts);
    assert_eq!(event, Some(SnapshotEvent::Received(meta.clone())));
    assert!((1..9).contains(&parts), "{parts}");
    assert_eq!(receiver.content(&meta), content(512 * 9, 1));
}
