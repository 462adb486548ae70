//! Damage is distinguished from torn writes, and rejected with file and offset; a file of another
//! node is rejected with the field that differs.

use std::collections::BTreeSet;

use quorate::storage::{ClusterId, Event, FileAction, FileName, OpenError, Storage};
use quorate::types::{Entry, Index, NodeId, Write, WriteId};
use quorate_sim::disk::{ChangeOrder, Fault, SimDisk};

use super::host::{
    CLUSTER, Host, NODE, bare, config, entry, hard_state, identity, membership, sized_entry,
    snapshot, write,
};

const SEGMENT: FileName = FileName::Segment(1);
const MIDDLE: u64 = 4096;

fn read(disk: &mut SimDisk, file: FileName, offset: u64, bytes: usize) -> Vec<u8> {
    disk.apply(&FileAction::Read { file, offset, bytes }).expect("the file can be read")
}

fn overwrite(disk: &mut SimDisk, file: FileName, offset: u64, bytes: &[u8]) {
    let bytes = bytes.to_vec();
    disk.apply(&FileAction::Write { file, offset, bytes }).expect("the file can be written");
    disk.apply(&FileAction::Sync { file }).expect("the file can be synced");
}

/// Returns a crashed disk with three flushes of three entries each in the first segment. The last
/// flush was reported durable, and nothing on the disk proves it.
fn three_flushes() -> SimDisk {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
    for id in 0..3 {
        host.persist(write(id + 2, 1, id * 3 + 1..=id * 3 + 3));
        host.settle();
    }
    host.crash(&BTreeSet::new())
}

fn open_error(disk: &SimDisk) -> OpenError {
    let mut changed = disk.clone();
    let error = Storage::open(&mut changed, CLUSTER, NODE, &config()).expect_err("opening fails");
    let files = |disk: &SimDisk| {
        let mut disk = disk.clone();
        let list = quorate::storage::Disk::list(&mut disk).expect("the directory can be listed");
        let content = list.into_iter().map(|(file, bytes)| {
            (file, read(&mut disk, file, 0, usize::try_from(bytes).expect("small files")))
        });
        content.collect::<Vec<_>>()
    };
    assert!(files(&changed) == files(disk), "a rejected directory is not changed");
    error
}

fn location_of(error: &OpenError) -> (FileName, u64) {
    let OpenError::Failed(failure) = error else { panic!("{error}") };
    (failure.file.expect("the error names a file"), failure.offset)
}

fn recovered_log(disk: SimDisk) -> Vec<Entry> {
    Host::open(disk).expect("the directory opens").0.log()
}

fn entries(last: u64) -> Vec<Entry> {
    (1..=last).map(|index| entry(1, index)).collect()
}

/// Returns the offset of the bodies of the flush with this number, from 0.
fn bodies_at(flush: u64) -> u64 {
    config().segment_bytes - (flush + 1) * 4096
}

/// Returns the indices of the damaged entries with which a directory opens, and the place that the
/// error of a node without peers names.
fn damaged(disk: &SimDisk) -> (Vec<u64>, Option<(FileName, u64)>) {
    let (_, opened) = Host::open(disk.clone()).expect("the directory opens");
    let place = opened.damage.map(|error| location_of(&OpenError::Failed(error)));
    (opened.damaged.iter().map(|damaged| damaged.id.index.0).collect(), place)
}

#[test]
fn a_flipped_bit_damages_the_entries_of_its_sector_only() {
    let disk = three_flushes();
    // The bodies of a flush are in one sector; the fifth entry has none.
    let starts = [(0, &[][..]), (MIDDLE, &[]), (2 * MIDDLE, &[])];
    let bodies =
        [(bodies_at(0), &[1, 2, 3][..]), (bodies_at(1), &[4, 6]), (bodies_at(2), &[7, 8, 9])];
    for (start, hit) in starts.into_iter().chain(bodies) {
        for sector in 0..8 {
            for bit in [0_u64, 511 * 8 + 7, 77 * 8 + 3] {
                let mut disk = disk.clone();
                let offset = start + sector * 512;
                assert!(disk.flip_bits(SEGMENT, offset + bit / 8, 1 << (bit % 8)));
                // The ninth entry ends in the next sector.
                let hit = match sector {
                    0 => hit,
                    1 if hit.contains(&9) => &[9],
                    _ => &[],
                };
                match hit {
                    [] => assert_eq!(recovered_log(disk), entries(9), "{offset}"),
                    _ => assert_eq!(damaged(&disk), (hit.to_vec(), Some((SEGMENT, offset)))),
                }
            }
        }
    }
}

#[test]
fn an_unwritten_sector_of_the_last_flush_is_torn_even_if_another_is_damaged() {
    let disk = three_flushes();
    for start in [2 * MIDDLE, bodies_at(2)] {
        for sector in 0..8 {
            let mut torn = disk.clone();
            overwrite(&mut torn, SEGMENT, start + sector * 512, &[0; 512]);
            assert_eq!(recovered_log(torn.clone()), entries(6));
            for other in (0..8).filter(|other| *other != sector) {
                let mut torn = torn.clone();
                assert!(torn.flip_bits(SEGMENT, start + other * 512 + 9, 0x10));
                match Host::open(torn) {
                    Ok((mut host, _)) => assert_eq!(host.log(), entries(6)),
                    // Without its first sector a header block does not say what belongs to it.
                    Err(error) => {
                        assert_eq!((start, other), (2 * MIDDLE, 0), "{error}");
                        assert_eq!(location_of(&error), (SEGMENT, start));
                    }
                }
            }
        }
    }
}

#[test]
fn a_torn_flush_stays_dropped_at_later_starts() {
    for begins in [false, true] {
        let mut torn = three_flushes();
        overwrite(&mut torn, SEGMENT, bodies_at(2), &[0; 512]);
        // The node shuts down cleanly, without an entry of its own in the log.
        let mut host = Host::open(torn).expect("the directory opens").0;
        if begins {
            host.act(Storage::start);
        }
        host.act(Storage::close);
        host.settle();
        assert_eq!(recovered_log(host.crash(&BTreeSet::new())), entries(6));
    }
}

#[test]
fn a_flush_below_the_acknowledged_floor_is_never_dropped_silently() {
    // The start rewrites the last flush in the second segment, and continues there.
    let mut host = Host::open(three_flushes()).expect("the directory opens").0;
    host.act(Storage::start);
    host.persist(write(9, 1, 10..=10));
    host.settle();
    host.act(Storage::close);
    host.settle();
    let disk = host.crash(&BTreeSet::new());
    let second = FileName::Segment(2);
    let mut without_header = disk.clone();
    overwrite(&mut without_header, second, MIDDLE, &[0; 4096]);
    assert_eq!(recovered_log(without_header.clone()), entries(10), "the bodies prove the headers");
    overwrite(&mut without_header, second, bodies_at(1), &[0; 4096]);
    let (_, opened) = Host::open(without_header).expect("the node starts uncertain");
    let error = opened.lost_end.expect("the loss is found").to_string();
    assert!(opened.hard_state.is_uncertain && opened.last.index == Index(9));
    assert!(
        error.contains("flush 4 was acknowledged and cannot be read; entry 10 is lost"),
        "{error}"
    );
    let mut without_body = disk.clone();
    overwrite(&mut without_body, second, bodies_at(1), &[0; 512]);
    assert_eq!(recovered_log(without_body), entries(10), "the tenth entry has no body");
    // The start has written the flush of entries 7 to 9 again, so they are damaged and not lost.
    let mut without_body = disk.clone();
    overwrite(&mut without_body, second, bodies_at(0), &[0; 512]);
    assert_eq!(damaged(&without_body), (vec![7, 8, 9], Some((second, bodies_at(0)))));
    assert_eq!(recovered_log(disk), entries(10));
}

#[test]
fn a_flush_that_another_followed_is_never_dropped() {
    let disk = three_flushes();
    // The second flush is lost, the third is intact.
    let mut hole = disk.clone();
    overwrite(&mut hole, SEGMENT, MIDDLE, &[0; 4096]);
    assert_eq!(recovered_log(hole.clone()), entries(9), "the bodies prove the headers");
    overwrite(&mut hole, SEGMENT, bodies_at(1), &[0; 4096]);
    assert_eq!(location_of(&open_error(&hole)).0, SEGMENT);
    // A third segment is in use, and an earlier one is lost.
    let mut host = Host::fresh();
    host.flush_each(1..=12);
    let mut disk = host.crash(&BTreeSet::new());
    for file in [FileName::Segment(1), FileName::Segment(2)] {
        let mut lost = disk.clone();
        lost.apply(&FileAction::Remove { file }).expect("the file can be removed");
        let error = open_error(&lost);
        assert!(matches!(error, OpenError::Failed(_)), "{error}");
    }
    let zeroed = [0, config().segment_bytes - 4096];
    zeroed.iter().for_each(|at| overwrite(&mut disk, FileName::Segment(2), *at, &[0; 512]));
    open_error(&disk);
}

/// Returns a disk that lost synced sectors.
fn lose(disk: &SimDisk, file: FileName, lost: &[(u64, usize)]) -> SimDisk {
    let mut disk = disk.clone();
    for (offset, sectors) in lost {
        overwrite(&mut disk, file, *offset, &vec![0; sectors * 512]);
    }
    disk
}

/// Loses the first flush of `file`, which another flush follows: the header block, each of its
/// sectors alone, the bodies, and all of it.
fn loses_the_first_flush(disk: &SimDisk, file: FileName) {
    let (header, bodies) = ((0, 8), (bodies_at(0), 8));
    assert_eq!(location_of(&open_error(&lose(disk, file, &[header, bodies]))), (file, 0));
    let whole = recovered_log(disk.clone());
    assert_eq!(recovered_log(lose(disk, file, &[header])), whole);
    for sector in 0..8 {
        assert_eq!(recovered_log(lose(disk, file, &[(sector * 512, 1)])), whole);
    }
    match damaged(&lose(disk, file, &[bodies])) {
        (hit, Some(place)) => assert_eq!((hit.is_empty(), place), (false, (file, bodies.0))),
        (hit, None) => assert_eq!(hit, [0; 0], "the flush has empty bodies only"),
    }
}

#[test]
fn a_segment_without_its_first_flush_is_rejected_if_a_second_follows() {
    // The first segment of a new directory.
    loses_the_first_flush(&three_flushes(), SEGMENT);
    // The segment of a start that rewrote a flush, and of one that did not.
    for (closes, segment, last) in [(false, 2, 10), (true, 3, 11)] {
        let mut host = Host::open(three_flushes()).expect("the directory opens").0;
        if closes {
            host.act(Storage::close);
            host.settle();
            host = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens again").0;
        }
        host.act(Storage::start);
        for index in 10..=last {
            host.persist(write(index, 1, index..=index));
            host.settle();
        }
        // The flush after the lost one is the last that was reported.
        let file = FileName::Segment(segment);
        let disk = host.clone().crash(&BTreeSet::new());
        assert_ne!(read(&mut disk.clone(), file, MIDDLE, 512), [0; 512]);
        assert_eq!(read(&mut disk.clone(), file, 2 * MIDDLE, 512), [0; 512]);
        assert_eq!(recovered_log(disk.clone()), entries(last));
        loses_the_first_flush(&disk, file);
        // A third flush follows in the segment.
        host.persist(write(last + 1, 1, last + 1..=last + 1));
        host.settle();
        loses_the_first_flush(&host.crash(&BTreeSet::new()), file);
    }
}

#[test]
fn a_missing_first_segment_is_rejected_although_the_next_is_torn() {
    // Four flushes fill the first segment, and the fifth is alone in the second.
    let mut host = Host::fresh();
    for id in 1..=5 {
        host.settle();
        host.persist(Write { entries: [sized_entry(0, id, 4000)].into(), ..bare(id) });
    }
    // The superblock does not record yet that the second segment is in use.
    while host.persisted() < WriteId(5) {
        assert!(host.step(), "the fifth flush is durable at last");
    }
    let mut disk = host.crash(&BTreeSet::new());
    disk.apply(&FileAction::Remove { file: SEGMENT }).expect("the file can be removed");
    overwrite(&mut disk, FileName::Segment(2), config().segment_bytes - 512, &[0; 512]);
    assert_eq!(location_of(&open_error(&disk)), (FileName::Segment(2), 0));
}

#[test]
fn a_file_of_another_cluster_node_or_version_is_rejected() {
    let mut disk = three_flushes();
    let open = |disk: &mut SimDisk, cluster, node| {
        let error = Storage::open(disk, cluster, node, &config())
            .expect_err("the directory belongs to another node");
        error.to_string()
    };
    let text = open(&mut disk, ClusterId(0xc2), NODE);
    let (ours, theirs) = (ClusterId(0xc2), ClusterId(0xc1));
    assert_eq!(text, format!("superblock: cluster is {theirs}, expected {ours}"));
    let text = open(&mut disk, CLUSTER, NodeId(4));
    assert_eq!(text, "superblock: node is n3, expected n4");
    // A segment of another node's directory.
    let mut other = SimDisk::default();
    let mut theirs = identity();
    theirs.node = NodeId(9);
    Storage::format(&mut other, theirs, &membership(), &config()).expect("a new directory");
    let (mut storage, _) =
        Storage::open(&mut other, CLUSTER, NodeId(9), &config()).expect("the directory opens");
    let mut host = Host::open(three_flushes()).expect("the directory opens").0;
    let mut events = Vec::new();
    storage.start(&mut events);
    std::mem::swap(&mut host.storage, &mut storage);
    std::mem::swap(&mut host.disk, &mut other);
    host.act(|_, all| all.append(&mut events));
    host.persist(write(1, 0, 1..=1));
    host.settle();
    let segment = read(&mut host.disk, SEGMENT, 0, 32 << 10);
    let mut mixed = disk.clone();
    overwrite(&mut mixed, SEGMENT, 0, &segment);
    let text = open_error(&mixed).to_string();
    assert_eq!(text, "log-0000000000000001: node is n9, expected n3");
    let mut newer = disk.clone();
    overwrite(&mut newer, SEGMENT, 8, &2_u32.to_le_bytes());
    assert_eq!(recovered_log(newer.clone()), entries(9), "only the version is damaged");
    overwrite(&mut newer, SEGMENT, 508, &[1; 4]);
    let text = open_error(&newer).to_string();
    assert_eq!(text, "log-0000000000000001: version is 2, expected 1");
    let mut newer = disk.clone();
    for copy in 0..4 {
        overwrite(&mut newer, FileName::Superblock, (copy << 20) + 8, &7_u32.to_le_bytes());
    }
    let text = open_error(&newer).to_string();
    assert_eq!(text, "superblock: version is 7, expected 1");
}

#[test]
fn two_copies_of_the_superblock_suffice_and_one_does_not() {
    let disk = three_flushes();
    for mask in 0_u64..16 {
        let mut disk = disk.clone();
        for copy in (0..4).filter(|copy| mask >> copy & 1 == 1) {
            assert!(disk.flip_bits(FileName::Superblock, (copy << 20) + 100, 1));
        }
        match mask.count_ones() {
            0..=2 => assert_eq!(recovered_log(disk), entries(9)),
            _ => assert_eq!(location_of(&open_error(&disk)), (FileName::Superblock, 0)),
        }
    }
}

#[test]
fn damage_read_by_a_fetch_is_reported_before_the_entries_that_precede_it() {
    let mut host = Host::open(three_flushes()).expect("the directory opens").0;
    assert!(host.disk.flip_bits(SEGMENT, bodies_at(0) + 60, 1));
    host.act(|storage, events| {
        storage.fetch(quorate::storage::FetchId(1), Index(1), Index(9), 1 << 20, events);
    });
    host.settle();
    let [Event::Damaged(damaged), Event::Fetched { entries, .. }] = &host.events[..] else {
        panic!("{:?}", host.events)
    };
    let ids = |range: std::ops::RangeInclusive<u64>| range.map(|index| entry(1, index).id);
    assert_eq!(
        damaged.iter().map(|damaged| damaged.id).collect::<Vec<_>>(),
        ids(1..=3).collect::<Vec<_>>()
    );
    assert!(damaged[2].is_membership && !damaged[1].is_membership);
    assert_eq!(*entries, []);
}

#[test]
fn a_failed_write_or_sync_stops_the_store() {
    let faults = [Fault::SyncFails { sectors: 0 }, Fault::WriteFails { sectors: 1 }];
    for fault in faults {
        for after in 0..3 {
            let mut host = Host::fresh();
            host.settle();
            host.disk.arm(fault, after);
            host.flush_each(1..=4);
            let reported = host.persisted();
            let failed = |event: &&Event| matches!(event, Event::Failed(_));
            assert_eq!(host.events.iter().filter(failed).count(), 1, "{:?}", host.events);
            assert!(
                matches!(host.events.last(), Some(Event::Failed(_))),
                "no event follows the error"
            );
            assert!(reported < WriteId(4));
            let before = host.events.len();
            host.persist(write(5, 0, 5..=5));
            host.act(Storage::retry);
            host.act(Storage::close);
            host.settle();
            assert_eq!(host.events.len(), before, "a failed store ignores requests");
            // The page cache shows writes that the disk lacks: the next start must write what it
            // reports.
            let (mut next, opened) = Host::open(host.disk.clone()).expect("the directory opens");
            assert!(opened.last.index.0 >= reported.0);
            next.disk.forget_cache();
            next.disk.crash(ChangeOrder::PerFile, |_| false);
            let (mut again, _) = Host::open(next.disk).expect("the directory opens");
            let expected = (1..=opened.last.index.0).map(|index| entry(0, index));
            assert_eq!(again.log(), expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_full_disk_is_reported_early_and_space_is_used_again_without_a_restart() {
    let mut host = Host::fresh();
    host.settle();
    host.disk.set_capacity(Some((3 << 20) + 4096 + 4 * (32 << 10)));
    let mut written = 0;
    while !host.events.contains(&Event::Full(true)) {
        written += 1;
        host.persist(write(written, 0, written..=written));
        host.settle();
    }
    let reported_at = host.persisted();
    assert_eq!(reported_at, WriteId(written), "writes go on while spare segments are left");
    for _ in 0..40 {
        written += 1;
        host.persist(write(written, 0, written..=written));
        host.settle();
    }
    let stopped_at = host.persisted();
    assert!(
        stopped_at.0 >= reported_at.0 + 8,
        "the spare segments are used: {reported_at} {stopped_at}"
    );
    assert!(stopped_at < WriteId(written), "writes wait once no segment is left");
    host.persist(Write { hard_state: Some(hard_state(9, 1)), ..bare(written + 1) });
    host.act(|storage, events| storage.set_snapshot(snapshot(0, stopped_at.0), events));
    host.settle();
    host.act(|storage, events| storage.compact(Index(stopped_at.0), events));
    host.settle();
    assert_eq!(host.persisted(), WriteId(written + 1), "removed segments make room");
    host.disk.set_capacity(None);
    host.act(Storage::retry);
    host.settle();
    assert_eq!(host.events.last(), Some(&Event::Full(false)));
    let count = |full| host.events.iter().filter(|event| **event == Event::Full(full)).count();
    assert_eq!((count(true), count(false)), (1, 1));
}
