//! Damage that a running node finds: header blocks are rebuilt when a read needs them, and a scrub
//! finds what no read has met.

use std::collections::BTreeSet;

use quorate::storage::{
    Completion, Disk, DiskError, Event, FetchId, FileAction, FileName, SnapshotEvent, Storage,
    StorageConfig,
};
use quorate::types::{EntryId, Index, Term, Write, WriteId};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use super::broken::{
    BrokenDisk, HARMS, Harm, PAGE, SECTOR, act, fetch_all, large, open, overwrite, read, repair,
    restarted, started, truncated,
};
use super::host::{Host, bare, config, hard_state, identity, membership, u64_at, write};

#[test]
fn a_running_node_that_reads_a_damaged_header_block_rebuilds_it() {
    for sample in [large(), truncated(), restarted(true)] {
        let mut rebuilt = 0;
        for (file, sector) in sample.sectors() {
            let is_used = sample.disk.stored(file).contains(&sector);
            let is_header = sector < config().segment_bytes / SECTOR / 2;
            if !is_used || !is_header || sample.bodies.contains_key(&(file, sector)) {
                continue;
            }
            for harm in HARMS {
                let (mut storage, mut disk) = started(&sample.disk);
                disk.harm(file, sector, harm);
                let at = format!("{file} {sector} {harm:?}");
                let (entries, met) = fetch_all(&mut storage, &mut disk);
                assert_eq!((entries, met), (sample.log.clone(), BTreeSet::new()), "{at}");
                let content = |disk: &SimDisk| read(disk, file, sector * SECTOR, SECTOR);
                rebuilt += usize::from(
                    disk.unreadable.is_empty() && content(&disk.disk) == content(&sample.disk),
                );
                // A truncation needs the header of the entry before it.
                let middle = sample.log[sample.log.len() / 2].id.index.0;
                let change =
                    Write { hard_state: Some(hard_state(9, 1)), ..write(9, 9, middle..=middle) };
                let events = act(&mut storage, &mut disk, |storage, events| {
                    storage.persist(change, events);
                });
                assert!(matches!(events[..], [Event::Persisted(_)]), "{at}: {events:?}");
            }
        }
        assert!(rebuilt > 20, "{rebuilt}");
    }
}

/// Reads all durable data once, in parts. Returns the damaged entries and the bytes that were read.
fn scrub_all(storage: &mut Storage, disk: &mut impl Disk) -> (BTreeSet<EntryId>, u64) {
    let (mut damaged, mut total) = (BTreeSet::new(), 0);
    for _ in 0..1000 {
        for event in act(storage, disk, |storage, events| storage.scrub(6000, events)) {
            match event {
                Event::Damaged(found) => damaged.extend(found.iter().map(|found| found.id)),
                Event::DamagedSuperblock(_) => {}
                Event::Scrubbed { bytes, pass_ended: false } => total += bytes,
                Event::Scrubbed { bytes, pass_ended: true } => return (damaged, total + bytes),
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("a pass ends");
}

#[test]
fn a_scrub_finds_each_damaged_sector_that_is_in_use() {
    for sample in [large(), truncated()] {
        let (mut storage, mut disk) = started(&sample.disk);
        assert_eq!(scrub_all(&mut storage, &mut disk).0, BTreeSet::new());
        let whole = scrub_all(&mut storage, &mut disk).1;
        assert!(whole > 10 * PAGE, "{whole}");
        for (file, sector) in sample.sectors() {
            let is_used = sample.disk.stored(file).contains(&sector);
            if !is_used || sample.dead.contains(&(file, sector)) {
                continue;
            }
            for harm in HARMS {
                let at = format!("{file} {sector} {harm:?}");
                let (mut storage, mut disk) = (storage.clone(), disk.clone());
                disk.harm(file, sector, harm);
                let hit = sample.hit(file, BrokenDisk::hit(sector, harm));
                assert_eq!(scrub_all(&mut storage, &mut disk).0, hit, "{at}");
                repair(&mut storage, &mut disk, sample.entries(&hit));
                assert_eq!(scrub_all(&mut storage, &mut disk).0, BTreeSet::new(), "{at}");
                let content = |disk: &SimDisk| read(disk, file, sector * SECTOR, SECTOR);
                assert!(content(&disk.disk) == content(&sample.disk), "{at}");
            }
        }
    }
}

#[test]
fn a_scrub_finds_the_bodies_that_a_file_lost_because_it_was_cut() {
    let sample = large();
    let (mut storage, mut disk) = started(&sample.disk);
    let file = HEADERS.0;
    let first = *sample.bodies.keys().find(|(in_file, _)| *in_file == file).expect("it has bodies");
    let content = |disk: &mut BrokenDisk, bytes| read(&disk.disk, file, 0, bytes);
    let whole = content(&mut disk, config().segment_bytes);
    let kept = usize::try_from(first.1 * SECTOR).expect("the file is small");
    for action in [
        FileAction::Remove { file },
        FileAction::Create { file, bytes: kept as u64 },
        FileAction::SyncDirectory,
        FileAction::Write { file, offset: 0, bytes: whole[..kept].to_vec() },
        FileAction::Sync { file },
    ] {
        disk.disk.execute(&action).expect("the file can be written");
    }
    let lost = sample.hit(file, first.1..config().segment_bytes / SECTOR);
    assert_eq!(scrub_all(&mut storage, &mut disk).0, lost);
    repair(&mut storage, &mut disk, sample.entries(&lost));
    assert_eq!(scrub_all(&mut storage, &mut disk).0, BTreeSet::new());
}

/// The first sector of the header block of the second flush.
const HEADERS: (FileName, u64) = (FileName::Segment(1), 8);

#[test]
fn a_header_block_that_cannot_be_rebuilt_is_reported_once_and_hides_nothing_after_it() {
    let sample = large();
    let (mut storage, mut disk) = started(&sample.disk);
    let (file, sector) = HEADERS;
    let bodies = first_body(&sample.disk, sector);
    // A later flush is damaged, too.
    let third = sample.bodies.iter().find(|(_, ids)| ids[0].index.0 == 7).expect("it has bodies");
    for sector in [sector, bodies, third.0.1] {
        disk.harm(file, sector, Harm::Flipped);
    }
    let (mut found, mut damaged) = (Vec::new(), BTreeSet::new());
    for _ in 0..200 {
        for event in act(&mut storage, &mut disk, |storage, events| storage.scrub(6000, events)) {
            match event {
                Event::DamagedHeaders(error) => found.push(error),
                Event::Damaged(entries) => damaged.extend(entries.iter().map(|found| found.id)),
                Event::Scrubbed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].file, found[0].offset), (Some(file), sector * SECTOR));
    let text = found[0].to_string();
    assert!(text.contains("cannot be rebuilt; entries 4 through 6 are lost"), "{text}");
    assert_eq!(damaged, sample.hit(file, third.0.1..third.0.1 + 1));
}

#[test]
fn header_blocks_after_one_that_cannot_be_rebuilt_are_rebuilt_or_reported() {
    let sample = large();
    let (file, third) = (HEADERS.0, HEADERS.1 + 8);
    for is_lost in [false, true] {
        let (mut storage, mut disk) = started(&sample.disk);
        disk.harm(file, 0, Harm::Flipped);
        disk.harm(file, first_body(&sample.disk, 0), Harm::Flipped);
        disk.harm(file, third, Harm::Flipped);
        if is_lost {
            disk.harm(file, first_body(&sample.disk, third), Harm::Flipped);
        }
        let mut found = Vec::new();
        for _ in 0..200 {
            let scrub = |storage: &mut Storage, events: &mut _| storage.scrub(6000, events);
            let damage = act(&mut storage, &mut disk, scrub).into_iter();
            found.extend(damage.filter_map(|event| match event {
                Event::DamagedHeaders(error) => Some(error.to_string()),
                _ => None,
            }));
        }
        assert!(found[0].contains("entries 1 through 3 are lost"), "{found:?}");
        if is_lost {
            assert!(found[1].contains("entries 7 through 9 are lost"), "{found:?}");
            assert_eq!(found.len(), 2, "{found:?}");
            continue;
        }
        assert_eq!(found.len(), 1, "{found:?}");
        let content = |disk: &SimDisk| read(disk, file, third * SECTOR, SECTOR);
        assert!(content(&disk.disk) == content(&sample.disk), "the bodies prove the block");
        let events = act(&mut storage, &mut disk, |storage, events| {
            storage.fetch(FetchId(1), Index(8), Index(8), 900, events);
        });
        let entries = vec![sample.log[7].clone()];
        assert_eq!(events, [Event::Fetched { id: FetchId(1), entries }]);
    }
}

/// Returns the sector with the first body of the flush whose header block begins at this sector.
fn first_body(disk: &SimDisk, headers: u64) -> u64 {
    u64_at(&read(disk, HEADERS.0, headers * SECTOR, SECTOR), 128) / SECTOR
}

#[test]
fn a_repair_of_an_entry_rebuilds_its_damaged_header_block() {
    let sample = large();
    // The third flush: the second sector of its bodies has no copy of a header.
    let (file, headers) = (HEADERS.0, HEADERS.1 + 8);
    let body = first_body(&sample.disk, headers) + 1;
    for harm in HARMS {
        let (mut storage, mut disk) = started(&sample.disk);
        disk.harm(file, headers, harm);
        disk.harm(file, body, Harm::Flipped);
        let hit = sample.hit(file, body..body + 1);
        assert_eq!(hit.len(), 1);
        let repaired = repair(&mut storage, &mut disk, sample.entries(&hit));
        assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), hit, "{harm:?}");
        assert_eq!(disk.unreadable, BTreeSet::new());
        for sector in [headers, body] {
            let content = |disk: &SimDisk| read(disk, file, sector * SECTOR, SECTOR);
            assert!(content(&disk.disk) == content(&sample.disk), "{harm:?}");
        }
    }
}

#[test]
fn a_scrub_writes_a_stale_copy_of_the_superblock_again() {
    let sample = large();
    let mut disk = BrokenDisk::new(&sample.disk);
    let (mut storage, _) = open(&mut disk).expect("the directory opens");
    let stale = read(&disk.disk, FileName::Superblock, 2 << 20, PAGE);
    let change = Write { hard_state: Some(hard_state(8, 1)), ..bare(30) };
    act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
    // The disk has lost the write of one copy.
    overwrite(&mut disk.disk, FileName::Superblock, 2 << 20, stale.clone());
    assert_eq!(scrub_all(&mut storage, &mut disk).0, BTreeSet::new());
    assert!(read(&disk.disk, FileName::Superblock, 2 << 20, PAGE) != stale);
}

#[test]
fn a_scrub_writes_damaged_copies_of_the_superblock_again() {
    let sample = large();
    let (mut storage, mut disk) = started(&sample.disk);
    for set in 1..16 {
        for harm in HARMS {
            let damaged = || (0..4).filter(|copy| set >> copy & 1 == 1);
            damaged().for_each(|copy| disk.harm(FileName::Superblock, copy << 11, harm));
            let events = act(&mut storage, &mut disk, |storage, events| storage.scrub(1, events));
            let reported = events.iter().filter_map(|event| match event {
                Event::DamagedSuperblock(error) => Some(error.offset >> 20),
                _ => None,
            });
            assert!(reported.eq(damaged()), "{set:b} {harm:?}: {events:?}");
            assert_eq!(scrub_all(&mut storage, &mut disk).0, BTreeSet::new());
            let copies =
                [0, 1, 2, 3].map(|copy| read(&disk.disk, FileName::Superblock, copy << 20, PAGE));
            assert!(copies.iter().all(|other| *other == copies[0]), "{set:b} {harm:?}");
        }
    }
}

#[test]
fn a_scrub_reads_the_kept_snapshots_after_the_log() {
    let mut host = Host::with_nine();
    let taken = [4, 8].map(|index| host.take_snapshot(index));
    let mut disk = host.disk.clone();
    let whole = {
        let (damaged, whole) = scrub_all(&mut host.storage.clone(), &mut disk);
        assert_eq!(damaged, BTreeSet::new());
        whole
    };
    assert!(whole > taken.iter().map(|meta| meta.bytes + 8192).sum());
    assert!(whole <= host.storage.durable_bytes());
    assert!(disk.flip_bits(FileName::Snapshot(Index(4)), 4096, 1));
    let mut damaged = Vec::new();
    for _ in 0..50 {
        for event in
            act(&mut host.storage, &mut disk, |storage, events| storage.scrub(6000, events))
        {
            match event {
                Event::Snapshot(SnapshotEvent::Damaged(error)) => damaged.push(error.file),
                Event::Scrubbed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(damaged, [Some(FileName::Snapshot(Index(4)))], "several passes report it once");
}

#[test]
fn a_pass_continues_after_a_restart() {
    let mut host = Host::with_nine();
    for index in [4, 8] {
        host.take_snapshot(index);
    }
    let whole = scrub_all(&mut host.storage.clone(), &mut host.disk.clone()).1;
    for parts in 0.. {
        let (mut storage, mut disk) = (host.storage.clone(), host.disk.clone());
        let mut before = 0;
        for _ in 0..parts {
            for event in act(&mut storage, &mut disk, |storage, events| storage.scrub(1, events)) {
                let Event::Scrubbed { bytes, pass_ended } = event else { panic!("{event:?}") };
                if pass_ended {
                    assert!(parts > 8, "{parts}");
                    return;
                }
                before += bytes;
            }
        }
        let closed = act(&mut storage, &mut disk, Storage::close);
        assert_eq!(closed, [Event::Closed]);
        let (mut storage, mut disk) = started(&disk);
        let after = scrub_all(&mut storage, &mut disk).1;
        // The copies of the superblock, or the header of a snapshot, are read again.
        let again = (before + after).checked_sub(whole).expect("everything is read");
        assert!(again <= 4 * PAGE, "{parts}: {before} + {after}, not {whole}");
        // The next pass is a whole one again.
        assert_eq!(scrub_all(&mut storage, &mut disk).1, whole, "after {parts} parts");
    }
}

/// The chunks of the snapshot of [`with_large_snapshot`]; each is one piece of a scrub.
const CHUNKS: u64 = 12;
const CHUNK: usize = 1 << 20;

/// Returns a disk with a large snapshot.
fn with_large_snapshot() -> SimDisk {
    let mut host = Host::with_nine();
    let meta = host.take_snapshot_of(9, (0..CHUNKS).map(|byte| vec![byte as u8; CHUNK]));
    assert_eq!(meta.bytes, CHUNKS * CHUNK as u64);
    host.disk
}

/// Scrubs this many pieces after each start until the scrub finds the damaged last chunk, which is
/// damaged only while the node runs, not when it starts. `end` ends the node. Returns the number of
/// starts.
fn starts_until_damage(
    disk: &SimDisk,
    pieces: usize,
    end: impl Fn(&mut Storage, &mut BrokenDisk),
) -> usize {
    let is_damage = |event: &Event| matches!(event, Event::Snapshot(SnapshotEvent::Damaged(_)));
    let mut disk = disk.clone();
    for starts in 1..20 {
        let (mut storage, mut running) = started(&disk);
        let flip = |disk: &mut BrokenDisk| {
            let last_chunk = CHUNKS * CHUNK as u64;
            assert!(disk.disk.flip_bits(FileName::Snapshot(Index(9)), last_chunk, 1));
        };
        flip(&mut running);
        for _ in 0..pieces {
            let scrub = |storage: &mut Storage, events: &mut _| storage.scrub(CHUNK as u64, events);
            if act(&mut storage, &mut running, scrub).iter().any(is_damage) {
                return starts;
            }
        }
        end(&mut storage, &mut running);
        flip(&mut running);
        disk = running.disk;
    }
    panic!("the scrub does not reach the last chunk");
}

#[test]
fn a_pass_through_a_large_snapshot_ends_although_the_node_restarts_often() {
    let disk = with_large_snapshot();
    let starts = starts_until_damage(&disk, 3, |storage, disk| {
        assert_eq!(act(storage, disk, Storage::close), [Event::Closed]);
    });
    assert!((5..10).contains(&starts), "{starts}");
}

#[test]
fn a_pass_through_a_large_snapshot_ends_although_the_node_is_killed_often() {
    let disk = with_large_snapshot();
    let starts = starts_until_damage(&disk, 6, |_, disk| {
        disk.disk.crash(ChangeOrder::PerFile, |_| false);
    });
    assert!((3..7).contains(&starts), "{starts}");
}

#[test]
fn a_place_of_a_scrub_that_does_not_exist_any_more_does_no_harm() {
    let sample = large();
    let (mut storage, mut disk) = started(&sample.disk);
    let whole = scrub_all(&mut storage, &mut disk).1;
    let copy = read(&disk.disk, FileName::Superblock, 0, PAGE);
    for segment in [0, 1, 2, 7, u64::MAX - (1 << 32), u64::MAX - 1, u64::MAX] {
        for offset in [0, 1, 511, 512, 4096, 1 << 40, u64::MAX] {
            let mut forged = copy.clone();
            forged[4056..4064].copy_from_slice(&u64::to_le_bytes(segment));
            forged[4064..4072].copy_from_slice(&u64::to_le_bytes(offset));
            let sum = blake3::hash(&forged[..4080]);
            forged[4080..].copy_from_slice(&sum.as_bytes()[..16]);
            let mut disk = BrokenDisk::new(&disk.disk);
            for copy in 0..4 {
                overwrite(&mut disk.disk, FileName::Superblock, copy << 20, forged.clone());
            }
            let (mut storage, _) = open(&mut disk).expect("the directory opens");
            act(&mut storage, &mut disk, Storage::start);
            let (damaged, rest) = scrub_all(&mut storage, &mut disk);
            assert!(damaged.is_empty() && rest <= whole, "{segment} {offset}");
            assert_eq!(scrub_all(&mut storage, &mut disk), (BTreeSet::new(), whole));
        }
    }
}

#[test]
fn a_failed_read_of_a_snapshot_counts_like_one_that_succeeds() {
    let mut host = Host::with_nine();
    let taken = host.take_snapshot(4);
    // The pass reads the superblock and the log first.
    let mut disk = host.disk.clone();
    let (mut parts, mut failed) = (0, Vec::new());
    while failed.len() < 3 {
        parts += 1;
        assert!(parts < 99, "the pass reaches the snapshot");
        let mut events = Vec::new();
        host.storage.scrub(1, &mut events);
        while !events.is_empty() {
            match events.remove(0) {
                Event::Disk(operation) => {
                    let is_snapshot = matches!(
                        operation.action,
                        FileAction::Read { file: FileName::Snapshot(_), .. }
                    );
                    let result = match is_snapshot {
                        true => Err(DiskError::Failed("it fails".to_owned())),
                        false => disk.execute(&operation.action),
                    };
                    let completion = Completion { id: operation.id, result };
                    let mut next = Vec::new();
                    host.storage.completed(completion, &mut next);
                    for event in &next {
                        if let (Event::Scrubbed { bytes, .. }, true) = (event, is_snapshot) {
                            failed.push(*bytes);
                        }
                    }
                    events.extend(next);
                }
                Event::Scrubbed { .. } | Event::Snapshot(SnapshotEvent::Damaged(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(failed.iter().all(|bytes| *bytes > 0), "{failed:?} of {}", taken.bytes);
}

/// Returns a store with a snapshot of the twelve entries in its first segment and nine entries in
/// the second. The header block that begins at this sector of the first segment is damaged.
fn with_damaged_headers(sector: u64) -> Host {
    let mut host = Host::with_nine();
    for id in 3..7 {
        host.persist(write(id + 2, 1, id * 3 + 1..=id * 3 + 3));
        host.settle();
    }
    host.take_snapshot(12);
    host.events.clear();
    assert!(host.disk.flip_bits(HEADERS.0, sector * SECTOR + 40, 1));
    host
}

#[test]
fn a_header_block_is_rebuilt_although_flushes_go_on_and_no_later_one_is_called_damaged() {
    let (mut disk, config) =
        (SimDisk::default(), StorageConfig { segment_bytes: 1 << 20, ..config() });
    Storage::format(&mut disk, identity(), &membership(), &config).expect("a new directory");
    let (mut host, _) = Host::open_with(disk, &config).expect("a formatted directory opens");
    host.act(Storage::start);
    host.flush_each(1..=10);
    assert!(host.disk.flip_bits(FileName::Segment(1), 6 * PAGE + 40, 0x40));
    host.act(|storage, events| storage.fetch(FetchId(1), Index(7), Index(7), 900, events));
    let mut last = 10;
    while !host.events.iter().any(|event| matches!(event, Event::Fetched { .. })) {
        last += 1;
        assert!(last < 60, "each flush requires another read");
        host.bulk_first = false;
        host.persist(write(last, 0, last..=last));
        while host.persisted() < WriteId(last) {
            assert!(host.step(), "the write becomes durable");
        }
        host.bulk_first = true;
        host.step();
    }
    host.settle();
    host.events.retain(|event| !matches!(event, Event::Persisted(_)));
    let [Event::Fetched { entries, .. }] = &host.events[..] else { panic!("{:?}", host.events) };
    assert_eq!(entries.len(), 1, "nothing is damaged");
    assert_eq!(host.log().len() as u64, last);
}

#[test]
fn a_read_that_waits_for_headers_ends_if_its_segment_is_compacted_meanwhile() {
    let mut host = with_damaged_headers(HEADERS.1);
    host.act(|storage, events| storage.fetch(FetchId(7), Index(5), Index(6), 600, events));
    host.compact_at_each_step(Index(12), |mut host| {
        assert_eq!(host.storage.base().index, Index(12));
        let fetched = |event: &Event| matches!(event, Event::Fetched { id: FetchId(7), .. });
        let count = host.events.iter().filter(|event| fetched(event)).count();
        assert_eq!(count, 1, "{:?}", host.events);
        assert_eq!(host.log().len(), 9);
    });
}

#[test]
fn a_read_of_a_lost_block_ends_if_its_segment_is_compacted_during_the_last_disk_read() {
    let mut host = with_damaged_headers(HEADERS.1);
    let bodies = first_body(&host.disk, HEADERS.1);
    assert!(host.disk.flip_bits(HEADERS.0, bodies * SECTOR + 40, 1));
    host.act(|storage, events| storage.fetch(FetchId(7), Index(5), Index(6), 600, events));
    let is_lost = |event: &Event| matches!(event, Event::DamagedHeaders(_));
    while !host.events.iter().any(is_lost) {
        assert!(host.step(), "the block cannot be rebuilt");
    }
    // The headers are now read for the last time.
    host.act(|storage, events| storage.compact(Index(12), events));
    host.settle();
    let fetched: Vec<&Event> =
        host.events.iter().filter(|event| matches!(event, Event::Fetched { .. })).collect();
    assert_eq!(fetched, [&Event::Fetched { id: FetchId(7), entries: Vec::new() }]);
    host.assert_not_failed();
}

#[test]
fn a_truncation_that_waits_for_headers_goes_on_if_their_segment_is_compacted_meanwhile() {
    let mut host = with_damaged_headers(HEADERS.1 + 16);
    let change = Write { hard_state: Some(hard_state(2, 1)), ..write(20, 2, 13..=14) };
    host.persist(change);
    host.compact_at_each_step(Index(12), |mut host| {
        assert_eq!(host.storage.base().index, Index(12));
        assert_eq!(host.persisted(), WriteId(20));
        let ids: Vec<EntryId> = host.log().iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [13, 14].map(|index| EntryId::new(Term(2), Index(index))));
    });
}
