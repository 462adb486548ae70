//! Damage at every place of a directory: a start loses nothing but the content of the entries that
//! are hit, and their content is written back in place once it is provided.

use std::collections::BTreeSet;

use quorate::storage::{
    Completion, Disk, DiskError, ErrorCause, Event, FetchId, FileAction, FileName, Inspection,
    OpenError, Storage,
};
use quorate::types::{Entry, EntryId, Index, Payload, Term, Write};
use quorate_sim::disk::ChangeOrder;

use super::broken::{
    BrokenDisk, HARMS, Harm, SECTOR, act, fetch_all, hits, large, open, read, repair,
    repair_or_lack, restarted, started, torn, truncated,
};
use super::host::{CLUSTER, Host, NODE, bare, config, hard_state, snapshot, write};

#[test]
fn each_sector_alone_damages_only_its_entries_and_is_repaired() {
    let samples =
        [(truncated(), 3), (large(), 3), (torn(), 3), (restarted(true), 3), (restarted(false), 2)];
    for (sample, harms) in samples {
        let (mut hits, mut sectors) = (0, 0);
        for (file, sector) in sample.sectors() {
            // A zeroed sector of a flush that may not have been acknowledged is a torn one.
            for harm in [Harm::Unreadable, Harm::Flipped, Harm::Zeroed].into_iter().take(harms) {
                sample.check(file, sector, harm);
                sectors += 1;
                hits += usize::from(sample.bodies.contains_key(&(file, sector)));
            }
        }
        assert!(hits >= 8 && hits < sectors / 4, "{hits} of {sectors}");
    }
}

#[test]
fn two_damaged_sectors_lose_nothing_silently() {
    for sample in [truncated(), large()] {
        let sectors: Vec<_> = sample.sectors();
        let used = |(file, sector): &&(FileName, u64)| sample.disk.stored(*file).contains(sector);
        let used: Vec<_> = sectors.iter().filter(used).copied().collect();
        let (mut opened_count, mut rejected) = (0, 0);
        for (place, (file, sector)) in used.iter().enumerate() {
            for (other_file, other) in used.iter().skip(place + 1).step_by(3) {
                let harm = HARMS[(place + *other as usize) % 3];
                let mut disk = BrokenDisk::new(&sample.disk);
                disk.harm(*file, *sector, Harm::Flipped);
                disk.harm(*other_file, *other, harm);
                let at = format!("{file} {sector}, {other_file} {other} {harm:?}");
                let Ok((mut storage, opened)) = open(&mut disk) else {
                    rejected += 1;
                    continue;
                };
                opened_count += 1;
                let mut expected = sample.hit(*file, *sector..sector + 1);
                expected.extend(sample.hit(*other_file, BrokenDisk::hit(*other, harm)));
                let damaged: BTreeSet<_> = opened.damaged.iter().map(|found| found.id).collect();
                assert_eq!(damaged, expected, "{at}");
                let (entries, met) = fetch_all(&mut storage, &mut disk);
                assert_eq!(met, expected, "{at}");
                assert_eq!(entries.len() + met.len(), sample.log.len(), "{at}");
                let repaired = repair(&mut storage, &mut disk, sample.entries(&expected));
                assert_eq!(repaired.len(), expected.len(), "{at}");
                assert_eq!(fetch_all(&mut storage, &mut disk).0, sample.log, "{at}");
            }
        }
        // Only damage to both a header block and the bodies that prove it is rejected.
        assert!(opened_count > 10 * rejected, "{opened_count} opened, {rejected} rejected");
    }
}

#[test]
fn the_wrong_content_of_a_peer_is_ignored_and_nothing_is_written() {
    let sample = large();
    for (file, sector) in hits(&sample, 1) {
        let mut disk = BrokenDisk::new(&sample.disk);
        disk.harm(file, sector, Harm::Flipped);
        let (mut storage, _) = open(&mut disk).expect("the directory opens");
        let hit = sample.hit(file, sector..sector + 1);
        disk.written.clear();
        for entry in sample.entries(&hit) {
            let EntryId { term, index } = entry.id;
            let Payload::Command(command) = &entry.payload else { panic!("only commands") };
            let mut other = command.to_vec();
            *other.last_mut().expect("it is not empty") ^= 1;
            let mut longer = command.to_vec();
            longer.push(0);
            let wrong = [
                Entry { payload: Payload::Command(other.into()), ..entry.clone() },
                Entry { payload: Payload::Command(longer.into()), ..entry.clone() },
                Entry { payload: Payload::Noop, ..entry.clone() },
                Entry { id: EntryId::new(Term(term.0 + 1), index), ..entry.clone() },
                Entry { id: EntryId::new(term, Index(index.0 + 1)), ..entry.clone() },
                Entry { id: EntryId::new(term, Index(900)), ..entry.clone() },
            ];
            for wrong in wrong {
                assert_eq!(repair(&mut storage, &mut disk, vec![wrong]), []);
            }
        }
        assert_eq!(disk.written, [], "nothing is written");
        // An entry that is not damaged is reported as intact, and is not written either.
        let intact = sample.log.iter().find(|entry| !hit.contains(&entry.id)).cloned();
        let intact = intact.expect("another entry is intact");
        let id = intact.id;
        assert_eq!(repair(&mut storage, &mut disk, vec![intact]), [id]);
        assert_eq!(disk.written, [], "nothing is written");
        let repaired = repair(&mut storage, &mut disk, sample.entries(&hit));
        assert_eq!(repaired.len(), hit.len());
    }
}

#[test]
fn a_shared_sector_is_written_once_all_its_entries_were_provided() {
    let sample = large();
    let places = hits(&sample, 2);
    assert!(!places.is_empty());
    for (file, sector) in places {
        let mut disk = BrokenDisk::new(&sample.disk);
        disk.harm(file, sector, Harm::Flipped);
        let (mut storage, _) = open(&mut disk).expect("the directory opens");
        disk.written.clear();
        let hit = sample.hit(file, sector..sector + 1);
        let mut entries = sample.entries(&hit);
        let last = entries.pop().expect("two entries share the sector");
        let mut lacking = hit.clone();
        for entry in entries {
            lacking.remove(&entry.id);
            // A read that met the sector may have been for this entry only.
            let result = repair_or_lack(&mut storage, &mut disk, vec![entry]);
            assert_eq!(result, (vec![], lacking.clone()));
        }
        assert_eq!(disk.written, [], "the other entry has bytes in the sector, too");
        let all = repair(&mut storage, &mut disk, vec![last]);
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), hit);
        let content = read(&sample.disk, file, sector * SECTOR, SECTOR);
        assert_eq!(disk.written, [(file, sector * SECTOR, content)], "one sector is written");
    }
}

#[test]
fn a_crash_at_any_operation_of_a_repair_damages_no_other_entry() {
    let sample = large();
    let mut pages: Vec<_> = hits(&sample, 1).iter().map(|(file, at)| (*file, at / 8 * 8)).collect();
    pages.dedup();
    for (file, first) in pages {
        let mut harmed = BrokenDisk::new(&sample.disk);
        for sector in first..first + 8 {
            harmed.harm(file, sector, Harm::Flipped);
        }
        let hit = sample.hit(file, first..first + 8);
        let (host, _) = Host::open(harmed.disk).expect("the directory opens");
        for kept in 0..40_u64 {
            let mut host = host.clone();
            let provided = sample.entries(&hit);
            host.act(|storage, events| storage.repair(provided, events));
            let mut steps = 0;
            while steps < kept / 2 && host.step() {
                steps += 1;
            }
            let kept: BTreeSet<usize> = (0..64).filter(|bit| kept >> (bit % 6) & 1 == 1).collect();
            let mut disk = BrokenDisk::new(&host.crash(&kept));
            let (mut storage, opened) = open(&mut disk).expect("the directory opens");
            let left: BTreeSet<_> = opened.damaged.iter().map(|found| found.id).collect();
            assert!(left.is_subset(&hit), "{left:?} of {hit:?}");
            let repaired = repair(&mut storage, &mut disk, sample.entries(&left));
            assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), left);
            assert_eq!(fetch_all(&mut storage, &mut disk).0, sample.log);
        }
    }
}

#[test]
fn a_running_node_that_reads_damage_reports_it_and_goes_on() {
    let sample = large();
    for (file, sector) in hits(&sample, 1) {
        for harm in HARMS {
            let mut disk = BrokenDisk::new(&sample.disk);
            let (mut storage, opened) = open(&mut disk).expect("the directory opens");
            assert_eq!(opened.damaged, []);
            act(&mut storage, &mut disk, Storage::start);
            disk.harm(file, sector, harm);
            let hit = sample.hit(file, BrokenDisk::hit(sector, harm));
            let (entries, met) = fetch_all(&mut storage, &mut disk);
            assert_eq!(met, hit, "{file} {sector} {harm:?}");
            assert_eq!(entries.len() + met.len(), sample.log.len());
            let repaired = repair(&mut storage, &mut disk, sample.entries(&hit));
            assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), hit);
            assert_eq!(fetch_all(&mut storage, &mut disk), (sample.log.clone(), BTreeSet::new()));
        }
    }
}

#[test]
fn a_truncated_entry_is_not_repaired_any_more() {
    let sample = large();
    let (file, sector) = hits(&sample, 2)[0];
    let mut disk = BrokenDisk::new(&sample.disk);
    disk.harm(file, sector, Harm::Flipped);
    let (mut storage, _) = open(&mut disk).expect("the directory opens");
    act(&mut storage, &mut disk, Storage::start);
    let hit = sample.hit(file, sector..sector + 1);
    let first = hit.first().expect("entries share the sector").index;
    let last = hit.last().expect("entries share the sector").index;
    // The write truncates the last entry of the sector; a repair of the others no longer needs its
    // content.
    let change = Write { hard_state: Some(hard_state(2, 1)), ..write(9, 2, last.0..=last.0) };
    act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
    let expected: Vec<_> = hit.iter().filter(|id| id.index < last).copied().collect();
    assert_eq!(repair(&mut storage, &mut disk, sample.entries(&hit)), expected);
    let change = write(10, 2, first.0..=first.0);
    act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
    assert_eq!(repair(&mut storage, &mut disk, sample.entries(&hit)), []);
}

#[test]
fn a_shared_sector_needs_no_content_of_compacted_entries() {
    let sample = large();
    for (file, sector) in hits(&sample, 2) {
        let hit = sample.hit(file, sector..sector + 1);
        let compacted = *hit.first().expect("entries share the sector");
        let (mut storage, mut disk) = started(&sample.disk);
        let meta = snapshot(compacted.term.0, compacted.index.0);
        act(&mut storage, &mut disk, |storage, events| storage.set_snapshot(meta, events));
        act(&mut storage, &mut disk, |storage, events| storage.compact(compacted.index, events));
        disk.harm(file, sector, Harm::Flipped);
        let needed: BTreeSet<_> = hit.iter().filter(|id| **id != compacted).copied().collect();
        let repaired = repair(&mut storage, &mut disk, sample.entries(&needed));
        assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), needed, "{file} {sector}");
        // No start takes the zeros in the sector for the content of the compacted entry.
        disk.disk.crash(ChangeOrder::PerFile, |_| false);
        let found = Inspection::open(&mut disk, &config()).expect("the directory is readable");
        assert_eq!((found.damage, found.opened.base), (None, compacted));
        let (mut storage, opened) = open(&mut disk).expect("the directory opens");
        assert_eq!((opened.damaged, opened.base), (Vec::new(), compacted));
        let (entries, damaged) = fetch_all(&mut storage, &mut disk);
        let kept = sample.log.iter().filter(|entry| entry.id > compacted).cloned();
        assert_eq!((entries, damaged), (kept.collect(), BTreeSet::new()));
    }
}

#[test]
fn a_read_under_way_ends_before_an_entry_that_a_repair_has_overwritten_because_it_is_gone() {
    let sample = large();
    for ((file, sector), truncates) in
        hits(&sample, 2).into_iter().flat_map(|place| [(place, false), (place, true)])
    {
        let (mut storage, mut disk) = started(&sample.disk);
        let hit = sample.hit(file, sector..sector + 1);
        let mut kept = hit.clone();
        let (first, last) = (kept.pop_first(), kept.pop_last());
        let (first, last) = first.zip(last).expect("entries share the sector");
        let mut events = Vec::new();
        storage.fetch(FetchId(1), first.index, last.index, 9_000, &mut events);
        let [Event::Disk(headers)] = &std::mem::take(&mut events)[..] else { panic!("{events:?}") };
        let result = disk.execute(&headers.action);
        storage.completed(Completion { id: headers.id, result }, &mut events);
        let [Event::Disk(bodies)] = &events[..] else { panic!("{events:?}") };
        let gone = if truncates {
            let change = write(9, 2, last.index.0..=last.index.0);
            let change = Write { hard_state: Some(hard_state(2, 1)), ..change };
            act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
            last
        } else {
            let meta = snapshot(first.term.0, first.index.0);
            act(&mut storage, &mut disk, |storage, events| storage.set_snapshot(meta, events));
            act(&mut storage, &mut disk, |storage, events| storage.compact(first.index, events));
            first
        };
        disk.harm(file, sector, Harm::Flipped);
        let provided = hit.iter().filter(|id| **id != gone).copied().collect();
        let repaired = repair(&mut storage, &mut disk, sample.entries(&provided));
        assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), provided, "{file} {sector}");
        let result = disk.execute(&bodies.action);
        let events = act(&mut storage, &mut disk, |storage, events| {
            storage.completed(Completion { id: bodies.id, result }, events);
        });
        let before = sample.log.iter().filter(|entry| entry.id >= first && entry.id < gone);
        let fetched = Event::Fetched { id: FetchId(1), entries: before.cloned().collect() };
        assert_eq!(events, [fetched], "{file} {sector} {truncates}");
    }
}

#[test]
fn headers_that_cannot_be_read_for_another_reason_than_the_disk_are_not_called_damaged() {
    struct Unopened(DiskError);

    impl Disk for Unopened {
        fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
            unreachable!("a running store lists no files")
        }

        fn execute(&mut self, _: &FileAction) -> Result<Vec<u8>, DiskError> {
            Err(self.0.clone())
        }
    }

    let fetch = |error: DiskError| {
        let (mut storage, _) = started(&large().disk);
        act(&mut storage, &mut Unopened(error), |storage, events| {
            storage.fetch(FetchId(1), Index(1), Index(1), 900, events);
        })
    };
    let text = || "cannot open log-0000000000000001".to_owned();
    let events = fetch(DiskError::Environment(text()));
    let [Event::Failed(error)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.cause, ErrorCause::Environment, "{error}");
    let events = fetch(DiskError::Exhausted(text()));
    let [Event::Exhausted(Some(error))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.cause, ErrorCause::Exhausted, "{error}");
}

#[test]
fn a_superblock_with_two_copies_that_can_be_read_suffices() {
    let sample = large();
    for mask in 1_u64..15 {
        let mut disk = BrokenDisk::new(&sample.disk);
        let copies: Vec<u64> = (0..4).filter(|copy| mask >> copy & 1 == 1).collect();
        for copy in &copies {
            disk.harm(FileName::Superblock, copy << 11, Harm::Unreadable);
        }
        match open(&mut disk) {
            Ok(_) => {
                assert!(copies.len() <= 2);
                assert_eq!(disk.unreadable, BTreeSet::new(), "a start writes all copies");
            }
            Err(error) => {
                assert!(copies.len() > 2);
                assert!(error.to_string().contains("Input/output error"), "{error}");
            }
        }
    }
}

#[test]
fn a_start_that_does_not_accept_damaged_entries_writes_nothing() {
    let sample = large();
    for (file, sector) in hits(&sample, 1) {
        let mut disk = BrokenDisk::new(&sample.disk);
        disk.harm(file, sector, Harm::Flipped);
        let before = disk.disk.clone();
        let hit = sample.hit(file, sector..sector + 1);
        let rejected = Storage::open_if(&mut disk, CLUSTER, NODE, &config(), &mut |opened| {
            assert_eq!(opened.damaged.len(), hit.len());
            false
        });
        let Err(OpenError::Failed(error)) = rejected else { panic!("the damage is an error") };
        assert_eq!((error.file, error.offset), (Some(file), sector * SECTOR), "{error}");
        assert!(error.to_string().contains("damaged; nothing was changed"), "{error}");
        assert_eq!(disk.disk.pending(), []);
        for (file, bytes) in before.clone().list().expect("the directory can be listed") {
            assert!(read(&disk.disk, file, 0, bytes) == read(&before, file, 0, bytes), "{file}");
        }
    }
    let mut disk = BrokenDisk::new(&sample.disk);
    let intact = Storage::open_if(&mut disk, CLUSTER, NODE, &config(), &mut |_| false);
    assert!(intact.is_ok(), "an intact directory is not questioned");
}

/// The entry before the first one of the log is only in the first header block. Its index and its
/// chain follow from the next entry, and its term from the snapshot; a wrong term is harmless.
#[test]
fn the_first_header_block_after_a_compaction_is_rebuilt() {
    for (before, first, covered) in [(1, 1, 6), (1, 2, 6), (1, 2, 4), (1, 2, 5)] {
        let term = |index: u64| if index <= 4 { before } else { first };
        let mut host = Host::fresh();
        host.persist(Write { hard_state: Some(hard_state(2, 1)), ..bare(1) });
        // A segment holds four flushes of one entry.
        for index in 1..=10 {
            host.persist(write(index + 1, term(index), index..=index));
            host.settle();
        }
        let meta = snapshot(term(covered), covered);
        host.set_snapshot(&meta);
        host.act(|storage, events| storage.compact(Index(4), events));
        host.settle();
        let log = host.log();
        assert_eq!(log[0].id, EntryId::new(Term(first), Index(5)));
        let disk = host.crash(&BTreeSet::new());
        for sector in 0..8 {
            let mut broken = BrokenDisk::new(&disk);
            broken.harm(FileName::Segment(2), sector, Harm::Flipped);
            let term_taken = if covered == 4 || sector > 0 { before } else { first };
            let base = EntryId::new(Term(term_taken), Index(4));
            let found = Inspection::open(&mut broken, &config()).expect("it is readable");
            assert_eq!((found.damage, found.opened.base), (None, base));
            // The second start reads what the first one wrote.
            for start in 0..2 {
                let (mut storage, opened) = open(&mut broken).expect("the block is rebuilt");
                assert_eq!((opened.damaged, opened.base), (Vec::new(), base), "start {start}");
                act(&mut storage, &mut broken, Storage::start);
                assert_eq!(fetch_all(&mut storage, &mut broken), (log.clone(), BTreeSet::new()));
                broken.disk.crash(ChangeOrder::PerFile, |_| false);
            }
        }
    }
}
