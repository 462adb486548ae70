//! The atlas of damage: three complete nodes with four acknowledged entries, and every set of their
//! copies damaged while the nodes are down. If an intact copy of everything is left, the cluster
//! must serve all of it, take a new write and repair every copy. Otherwise it must serve nothing
//! and acknowledge nothing; and once a lost copy comes back, it must recover like the others.

mod cluster;
mod masks;
mod places;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::storage::{FileName, Inspection};
use quorate::types::{Entry, Index};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use cluster::{Cluster, NODES, config};
use masks::{Atlas, Counts, Mask};

/// The sizes of the commands, in bytes: one sector, and several.
const SIZES: [usize; 4] = [20, 700, 1300, 400];
/// The index of the first command: the leader's first entry is before it.
const FIRST: u64 = 2;
/// The distance between copies of the superblock, in sectors.
const COPY_STRIDE: u64 = (1 << 20) / places::SECTOR;
/// The first sector of the content of a snapshot.
const CHUNK: u64 = 4096 / places::SECTOR;

/// The number of sets of twelve copies.
const MASKS: Mask = 1 << 12;
/// The test suite tries one of this many masks.
const SAMPLE: usize = 29;
const ENDS: [End; 3] = [End::Closed, End::Killed, End::PowerLost];

/// How the nodes ended before the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// They were shut down.
    Closed,
    /// Their processes were killed.
    Killed,
    /// They lost power, and everything that was not synced.
    PowerLost,
}

/// Returns the disks of a cluster that has acknowledged four commands, and the commands.
fn written(end: End, takes_snapshots: bool) -> (Vec<SimDisk>, String) {
    let mut cluster = Cluster::start(Cluster::format());
    cluster.advance(Duration::from_secs(2));
    let leader = cluster.leader().expect("there is a leader");
    let mut lines = String::new();
    for (number, bytes) in (1..).zip(SIZES) {
        let line = format!("{number} ").repeat(bytes)[..bytes].to_owned();
        cluster.propose(leader, &line);
        assert_eq!(cluster.replies(), number);
        lines = lines + &line + "\n";
        cluster.advance(Duration::from_secs(1));
        if takes_snapshots && number % 2 == 1 {
            cluster.take_snapshots();
        }
    }
    assert!(cluster.is_whole());
    if end == End::Closed {
        cluster.close();
    }
    let mut disks = cluster.into_disks();
    for disk in &mut disks {
        disk.crash(ChangeOrder::PerFile, |_| end != End::PowerLost);
    }
    (disks, lines)
}

/// Returns the atlas of four entries on three nodes, with these copies.
fn of_entries(
    name: &'static str,
    end: End,
    copies: impl Fn(&places::Records, usize) -> Vec<places::Sector>,
) -> Atlas {
    let (disks, lines) = written(end, false);
    let entries = entries(&disks[0]);
    assert_eq!(entries.len(), 5);
    let mut places = Vec::new();
    for disk in &disks {
        let records = places::entries(disk);
        for index in FIRST..FIRST + 4 {
            places.push(copies(&records[&Index(index)], places.len()));
        }
    }
    Atlas {
        name,
        disks,
        lines,
        entries,
        copies: places,
        must_recover: each_has_a_copy,
        restored: one_of_each,
    }
}

/// Returns the log of a disk.
fn entries(disk: &SimDisk) -> BTreeMap<Index, Entry> {
    let mut disk = disk.clone();
    let mut found = Inspection::open(&mut disk, &config(NODES[0]).storage).expect("it is intact");
    let (first, last) = (found.opened.base.index.next(), found.opened.last.index);
    let mut entries = BTreeMap::new();
    for index in (first.0..=last.0).map(Index) {
        let read = found.entries(&mut disk, index, index).expect("the log is intact");
        entries.insert(index, read[0].clone());
    }
    entries
}

/// Whether each entry has an intact copy.
fn each_has_a_copy(mask: Mask) -> bool {
    lost_everywhere(mask) == 0
}

/// Returns the entries without an intact copy.
fn lost_everywhere(mask: Mask) -> Mask {
    mask & mask >> 4 & mask >> 8 & 15
}

/// Returns one copy of each entry that has none, not all on the same node.
fn one_of_each(mask: Mask) -> Mask {
    (lost_everywhere(mask) * 0x111) & 0b1000_0100_0011
}

/// Bodies: a damaged one is repaired from another node.
fn bodies(end: End) -> Atlas {
    of_entries("bodies", end, |records, copy| vec![records.body[copy / 4 % records.body.len()]])
}

/// Header blocks: each is rebuilt from the bodies.
fn headers(end: End) -> Atlas {
    let atlas = of_entries("headers", end, |records, _| vec![records.header]);
    Atlas { must_recover: |_| true, ..atlas }
}

/// Both records of an entry: a node that has lost them names the entry, and does not start.
fn headers_and_bodies(end: End) -> Atlas {
    let atlas =
        of_entries("headers and bodies", end, |records, _| vec![records.header, records.body[0]]);
    Atlas { must_recover: two_are_intact, restored: all_but_one_node, ..atlas }
}

/// Header blocks on some nodes, bodies on the others.
fn headers_or_bodies(end: End) -> Atlas {
    let atlas = of_entries("headers or bodies", end, |records, copy| {
        vec![if (copy / 4 + copy) % 2 == 0 { records.header } else { records.body[0] }]
    });
    Atlas { must_recover: |_| true, ..atlas }
}

/// The four copies of the superblock of each node.
fn superblocks(end: End) -> Atlas {
    let (disks, lines) = written(end, false);
    let copies = (0..12).map(|copy| vec![(FileName::Superblock, copy % 4 * COPY_STRIDE)]).collect();
    let entries = entries(&disks[0]);
    let name = "superblock copies";
    Atlas {
        name,
        disks,
        lines,
        entries,
        copies,
        must_recover: two_start,
        restored: unreadable_superblocks,
    }
}

/// Returns the copies of the nodes that do not start: two copies must agree.
fn unreadable_superblocks(mask: Mask) -> Mask {
    let nodes = [0xf, 0xf0, 0xf00].into_iter();
    nodes.filter(|node| (mask & node).count_ones() > 2).sum()
}

fn two_start(mask: Mask) -> bool {
    unreadable_superblocks(mask).count_ones() <= 4
}

/// The header and a chunk of the newest snapshot of each node, and of the one before it.
fn snapshots(end: End) -> Atlas {
    let (disks, lines) = written(end, true);
    let entries = entries(&disks[0]);
    assert_eq!(entries.keys().min(), Some(&Index(3)), "the log begins after the first snapshot");
    let part = |copy: usize| {
        let file = FileName::Snapshot(Index([4, 2][copy % 4 / 2]));
        vec![(file, [0, CHUNK][copy % 2])]
    };
    let copies = (0..12).map(part).collect();
    let name = "snapshots";
    Atlas {
        name,
        disks,
        lines,
        entries,
        copies,
        must_recover: one_has_a_state,
        restored: newest_of_one,
    }
}

/// Whether one node can restore its state: from its newest snapshot, or from the one before it and
/// the log.
fn one_has_a_state(mask: Mask) -> bool {
    (0..3).any(|node| mask >> (4 * node) & 0b11 == 0 || mask >> (4 * node) & 0b1100 == 0)
}

fn newest_of_one(mask: Mask) -> Mask {
    0b11 << (4 * (mask % 3))
}

/// Returns every copy of the nodes that do not start, except for one of them.
fn all_but_one_node(mask: Mask) -> Mask {
    let nodes = [0xf, 0xf0, 0xf00];
    let kept = nodes.into_iter().find(|node| mask & node != 0).unwrap_or(0);
    mask & !kept
}

fn two_are_intact(mask: Mask) -> bool {
    all_but_one_node(mask) == 0
}

/// Makes an atlas of nodes that ended in this way.
type MakeAtlas = fn(End) -> Atlas;

/// Every atlas, with the number of masks of each outcome.
const ATLASES: [(MakeAtlas, Counts); 6] = [
    (bodies, Counts { recovered: 2401, without_a_node: 0, waited: 1695, waited_without_a_node: 0 }),
    (headers, Counts { recovered: 4096, without_a_node: 0, waited: 0, waited_without_a_node: 0 }),
    (
        headers_or_bodies,
        Counts { recovered: 4096, without_a_node: 0, waited: 0, waited_without_a_node: 0 },
    ),
    (
        headers_and_bodies,
        Counts { recovered: 1, without_a_node: 45, waited: 0, waited_without_a_node: 4050 },
    ),
    (
        superblocks,
        Counts { recovered: 1331, without_a_node: 1815, waited: 0, waited_without_a_node: 950 },
    ),
    (
        snapshots,
        Counts { recovered: 3367, without_a_node: 0, waited: 729, waited_without_a_node: 0 },
    ),
];

#[test]
fn each_set_of_damaged_bodies_is_repaired_or_waits() {
    let (bodies, counts) = ATLASES[0];
    assert_eq!(bodies(End::Killed).run(0..MASKS), counts);
}

#[test]
fn some_sets_of_damaged_copies_of_each_kind_are_repaired_or_wait() {
    for (place, (atlas, _)) in ATLASES.into_iter().enumerate() {
        for (end, first) in ENDS.into_iter().zip(place as Mask..) {
            let counts = atlas(end).run((first..MASKS).step_by(SAMPLE));
            assert!(counts.recovered + counts.without_a_node > 0);
        }
    }
}

#[test]
#[ignore = "every atlas takes minutes; CONTRIBUTING.md has the command"]
fn the_whole_atlas() {
    for (atlas, counts) in ATLASES {
        for end in ENDS {
            let atlas = atlas(end);
            let found = atlas.run(0..MASKS);
            println!("{} after {end:?}: {found:?}", atlas.name);
            assert_eq!(found, counts);
        }
    }
}

/// An entry without any copy left is in the state of every node that runs: a snapshot covers it.
#[test]
fn entries_that_are_lost_everywhere_while_nodes_run_do_not_stop_writes() {
    let masks = || (0..MASKS).step_by(SAMPLE);
    let lost = masks().filter(|mask| !each_has_a_copy(*mask)).count();
    assert_eq!(bodies(End::Killed).run_while_up(masks()), lost);
}

#[test]
#[ignore = "part of the whole atlas"]
fn the_whole_atlas_while_nodes_run() {
    assert_eq!(bodies(End::Killed).run_while_up(0..MASKS), 1695);
}
