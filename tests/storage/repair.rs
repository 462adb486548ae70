//! Damage at every place of a directory: a start loses nothing but the content of the entries that
//! are hit, and their content is written back in place once it is provided.

use std::collections::{BTreeMap, BTreeSet};

use quorate::storage::{
    Completion, Disk, DiskError, Event, FetchId, FileAction, FileName, OpenError, OpenedStorage,
    Storage,
};
use quorate::types::{Entry, EntryId, Index, Payload, Term, Write};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use super::host::{CLUSTER, Host, NODE, bare, config, hard_state, sized_entry, u64_at, write};
use super::mutated;

const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

/// A way in which a sector is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Flipped,
    Zeroed,
    /// The disk cannot read the page of the sector until the whole page is written.
    Unreadable,
}

const HARMS: [Harm; 3] = [Harm::Flipped, Harm::Zeroed, Harm::Unreadable];

/// A disk with pages that cannot be read. Like a file system, it fails a write to a part of such a
/// page, because it has to read the rest first.
#[derive(Clone, Debug)]
struct BrokenDisk {
    disk: SimDisk,
    unreadable: BTreeSet<(FileName, u64)>,
    /// The writes to segments: file and offset, and the bytes.
    written: Vec<(FileName, u64, Vec<u8>)>,
}

impl BrokenDisk {
    fn new(disk: &SimDisk) -> BrokenDisk {
        BrokenDisk { disk: disk.clone(), unreadable: BTreeSet::new(), written: Vec::new() }
    }

    fn harm(&mut self, file: FileName, sector: u64, harm: Harm) {
        let offset = sector * SECTOR;
        match harm {
            Harm::Flipped => assert!(self.disk.flip_bits(file, offset + sector % 500, 0x40)),
            Harm::Zeroed => overwrite(&mut self.disk, file, offset, vec![0; 512]),
            Harm::Unreadable => {
                self.unreadable.insert((file, offset / PAGE));
            }
        }
    }

    /// Returns the sectors that a harm of one sector damages.
    fn hit(sector: u64, harm: Harm) -> std::ops::Range<u64> {
        match harm {
            Harm::Unreadable => sector / 8 * 8..sector / 8 * 8 + 8,
            _ => sector..sector + 1,
        }
    }
}

impl Disk for BrokenDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let broken = Err(DiskError::Failed("Input/output error (os error 5)".to_owned()));
        match action {
            FileAction::Read { file, offset, bytes } => {
                let pages = offset / PAGE..(offset + *bytes as u64).div_ceil(PAGE);
                if pages.into_iter().any(|page| self.unreadable.contains(&(*file, page))) {
                    return broken;
                }
            }
            FileAction::Write { file, offset, bytes } => {
                let end = offset + bytes.len() as u64;
                for page in offset / PAGE..end.div_ceil(PAGE) {
                    let is_whole = page * PAGE >= *offset && (page + 1) * PAGE <= end;
                    if self.unreadable.contains(&(*file, page)) && !is_whole {
                        return broken;
                    }
                    self.unreadable.remove(&(*file, page));
                }
                if matches!(file, FileName::Segment(_)) {
                    self.written.push((*file, *offset, bytes.clone()));
                }
            }
            _ => {}
        }
        self.disk.execute(action)
    }
}

fn overwrite(disk: &mut SimDisk, file: FileName, offset: u64, bytes: Vec<u8>) {
    for action in [FileAction::Write { file, offset, bytes }, FileAction::Sync { file }] {
        disk.execute(&action).expect("the file can be written");
    }
}

fn read(disk: &SimDisk, file: FileName, offset: u64, bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).expect("the files are small");
    let read = disk.clone().execute(&FileAction::Read { file, offset, bytes });
    read.expect("the file can be read")
}

fn open(disk: &mut BrokenDisk) -> Result<(Storage, OpenedStorage), OpenError> {
    Storage::open(disk, CLUSTER, NODE, &config())
}

/// Calls a store, and executes its operations in their order. Returns the other events.
fn act(
    storage: &mut Storage,
    disk: &mut impl Disk,
    act: impl FnOnce(&mut Storage, &mut Vec<Event>),
) -> Vec<Event> {
    let (mut events, mut others) = (Vec::new(), Vec::new());
    act(storage, &mut events);
    while !events.is_empty() {
        for event in std::mem::take(&mut events) {
            match event {
                Event::Disk(operation) => {
                    let result = disk.execute(&operation.action);
                    storage.completed(Completion { id: operation.id, result }, &mut events);
                }
                other => others.push(other),
            }
        }
    }
    others
}

/// Provides the contents of entries; returns those that are intact then.
fn repair(storage: &mut Storage, disk: &mut impl Disk, entries: Vec<Entry>) -> Vec<EntryId> {
    repair_or_lack(storage, disk, entries).0
}

/// Provides the contents of entries; returns those that are intact then, and those that are still
/// lacking because they share a sector with a provided one.
fn repair_or_lack(
    storage: &mut Storage,
    disk: &mut impl Disk,
    entries: Vec<Entry>,
) -> (Vec<EntryId>, BTreeSet<EntryId>) {
    let events = act(storage, disk, |storage, events| storage.repair(entries, events));
    match &events[..] {
        [Event::Repaired(ids)] => (ids.clone(), BTreeSet::new()),
        [Event::Damaged(lacking), Event::Repaired(ids)] => {
            (ids.clone(), lacking.iter().map(|entry| entry.id).collect())
        }
        _ => panic!("a repair is answered once: {events:?}"),
    }
}

/// Fetches the whole log; entries that are damaged are listed, and skipped.
fn fetch_all(storage: &mut Storage, disk: &mut impl Disk) -> (Vec<Entry>, BTreeSet<EntryId>) {
    let (mut entries, mut damaged): (Vec<Entry>, BTreeSet<EntryId>) = Default::default();
    let (mut next, last) = (storage.base().index.next(), storage.last().index);
    while next <= last {
        let events = act(storage, disk, |storage, events| {
            storage.fetch(FetchId(1), next, last, 900, events);
        });
        let mut met = Vec::new();
        for event in events {
            match event {
                Event::Damaged(found) => met = found,
                Event::Fetched { entries: fetched, .. } => {
                    assert!(fetched.len() + met.len() > 0, "a fetch returns something");
                    next = fetched.last().map_or(next, |entry| entry.id.index.next());
                    entries.extend(fetched);
                }
                other => panic!("{other:?}"),
            }
        }
        if let Some(first) = met.first().filter(|first| first.id.index == next) {
            next = first.id.index.next();
        }
        damaged.extend(met.iter().map(|found| found.id));
    }
    (entries, damaged)
}

/// The entries with bytes of their bodies in each sector, computed from the header blocks as
/// `docs/FORMAT.md` describes them.
///
/// Also returns the sectors with bytes of entries that are not part of the log any more.
fn bodies(disk: &SimDisk, log: &[Entry]) -> (Places, BTreeSet<(FileName, u64)>) {
    let mut latest: BTreeMap<EntryId, BTreeSet<(FileName, u64)>> = BTreeMap::new();
    for (file, bytes) in disk.clone().list().expect("the directory can be listed") {
        if !matches!(file, FileName::Segment(_)) {
            continue;
        }
        let mut offset = 0;
        while offset < bytes {
            let zone = read(disk, file, offset, bytes - offset);
            let payload: Vec<u8> =
                zone.chunks(512).flat_map(|sector| sector[..508].to_vec()).collect();
            if !payload.starts_with(b"QUORALOG") {
                break;
            }
            let count = u32::from_le_bytes(payload[12..16].try_into().expect("four bytes"));
            let (start, mut position) = (u64_at(&payload, 128), 0);
            for record in payload[144..].chunks(56).take(count as usize) {
                let id = EntryId::new(Term(u64_at(record, 0)), Index(u64_at(record, 8)));
                let length = u64::from(u32::from_le_bytes(record[20..24].try_into().expect("4")));
                let body = position + 56..position + 56 + length;
                position = body.end;
                let sectors = body.map(|place| (file, start / SECTOR + place / 508));
                latest.insert(id, sectors.collect());
            }
            offset += (144 + 56 * u64::from(count)).div_ceil(508).div_ceil(8) * PAGE;
        }
    }
    let mut bodies = Places::new();
    for entry in log {
        for place in latest.remove(&entry.id).unwrap_or_default() {
            bodies.entry(place).or_default().push(entry.id);
        }
    }
    (bodies, latest.into_values().flatten().collect())
}

/// The entries with bytes of their bodies in each sector.
type Places = BTreeMap<(FileName, u64), Vec<EntryId>>;

/// A directory, and what it contains.
struct Sample {
    disk: SimDisk,
    log: Vec<Entry>,
    bodies: Places,
    /// The sectors with bytes of truncated entries, whose content is lost.
    dead: BTreeSet<(FileName, u64)>,
}

impl Sample {
    fn of(disk: SimDisk) -> Sample {
        let log = Host::open(disk.clone()).expect("the directory opens").0.log();
        let (bodies, dead) = bodies(&disk, &log);
        Sample { disk, log, bodies, dead }
    }

    /// Returns the entries of these ids.
    fn entries(&self, ids: &BTreeSet<EntryId>) -> Vec<Entry> {
        self.log.iter().filter(|entry| ids.contains(&entry.id)).cloned().collect()
    }

    fn sectors(&self) -> Vec<(FileName, u64)> {
        let files = self.disk.clone().list().expect("the directory can be listed");
        let segments = files.iter().filter(|(file, _)| matches!(file, FileName::Segment(_)));
        segments
            .flat_map(|(file, bytes)| (0..bytes / SECTOR).map(|sector| (*file, sector)))
            .collect()
    }

    /// Returns the entries that are damaged with these sectors.
    fn hit(&self, file: FileName, sectors: impl Iterator<Item = u64>) -> BTreeSet<EntryId> {
        let hit = sectors.filter_map(|sector| self.bodies.get(&(file, sector)));
        hit.flatten().copied().collect()
    }

    /// Checks a harm of one sector: what a start finds, and its repair.
    fn check(&self, file: FileName, sector: u64, harm: Harm) {
        let at = format!("{file} sector {sector} {harm:?}");
        let mut disk = BrokenDisk::new(&self.disk);
        disk.harm(file, sector, harm);
        let (mut storage, opened) = open(&mut disk).unwrap_or_else(|error| panic!("{at}: {error}"));
        let expected = self.hit(file, BrokenDisk::hit(sector, harm));
        let damaged: BTreeSet<EntryId> = opened.damaged.iter().map(|found| found.id).collect();
        assert_eq!(damaged, expected, "{at}");
        assert_eq!(opened.last, self.log.last().expect("there are entries").id, "{at}");
        assert_eq!(opened.damage.is_some(), !expected.is_empty(), "{at}");
        let readable: Vec<Entry> =
            self.log.iter().filter(|entry| !expected.contains(&entry.id)).cloned().collect();
        assert!(readable.ends_with(&opened.tail), "{at}");
        let memberships: Vec<_> = readable.iter().filter_map(Entry::membership).collect();
        assert!(memberships.ends_with(&opened.memberships), "{at}");
        let failed = act(&mut storage, &mut disk, Storage::start);
        assert_eq!(failed, [], "{at}");
        assert_eq!(fetch_all(&mut storage, &mut disk), (readable, expected.clone()), "{at}");
        let repaired = repair(&mut storage, &mut disk, self.entries(&expected));
        assert_eq!(repaired.into_iter().collect::<BTreeSet<_>>(), expected, "{at}");
        let intact = fetch_all(&mut storage, &mut disk);
        assert_eq!(intact, (self.log.clone(), BTreeSet::new()), "{at}");
        // What was damaged in a file that stays is as it was before.
        let files = disk.disk.list().expect("the directory can be listed");
        let is_used =
            self.disk.stored(file).contains(&sector) && !self.dead.contains(&(file, sector));
        if is_used && files.iter().any(|(name, _)| *name == file) {
            let (now, before) = (
                read(&disk.disk, file, sector * SECTOR, SECTOR),
                read(&self.disk, file, sector * SECTOR, SECTOR),
            );
            assert!(now == before, "{at}: the sector differs");
        }
        disk.disk.crash(ChangeOrder::PerFile, |_| false);
        let (mut again, opened) = open(&mut disk).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!((opened.damaged, opened.damage), (Vec::new(), None), "{at}");
        assert_eq!(fetch_all(&mut again, &mut disk).0, self.log, "{at}");
    }
}

/// Three segments in use, a truncated log, a snapshot and spare segments. The superblock knows that
/// every flush was acknowledged.
fn truncated() -> Sample {
    Sample::of(mutated::image())
}

/// Flushes of several pages, whose entries share sectors or fill more than one.
fn large() -> Sample {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
    let sizes = [[10, 700, 0], [300, 300, 300], [2000, 1, 1500]];
    for (id, sizes) in sizes.into_iter().enumerate() {
        let first = 3 * id as u64 + 1;
        let entries = (first..).zip(sizes).map(|(index, bytes)| sized_entry(1, index, bytes));
        host.persist(Write { entries: entries.collect(), ..bare(id as u64 + 2) });
        host.settle();
    }
    // A flush with a header block of more than one page.
    let entries = (10..90).map(|index| sized_entry(1, index, 0)).collect();
    host.persist(Write { entries, ..bare(9) });
    host.settle();
    host.act(Storage::close);
    host.settle();
    Sample::of(host.crash(&BTreeSet::new()))
}

#[test]
fn each_sector_alone_damages_only_its_entries_and_is_repaired() {
    for sample in [truncated(), large()] {
        let (mut hits, mut sectors) = (0, 0);
        for (file, sector) in sample.sectors() {
            for harm in HARMS {
                sample.check(file, sector, harm);
                sectors += 1;
                hits += usize::from(sample.bodies.contains_key(&(file, sector)));
            }
        }
        assert!(hits > 9 && hits < sectors / 4, "{hits} of {sectors}");
    }
}

/// Returns each place of a body whose sector damages at least `count` entries.
fn hits(sample: &Sample, count: usize) -> Vec<(FileName, u64)> {
    let hit = |place: &&(FileName, u64)| sample.bodies[*place].len() >= count;
    sample.bodies.keys().filter(hit).copied().collect()
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
        // Only a header block and the bodies that prove it are rejected.
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
        // An entry that is not damaged is intact, and is not written either.
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
    // The write truncates the last of them; the others need no content of it any more.
    let change = Write { hard_state: Some(hard_state(2, 1)), ..write(9, 2, last.0..=last.0) };
    act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
    let expected: Vec<_> = hit.iter().filter(|id| id.index < last).copied().collect();
    assert_eq!(repair(&mut storage, &mut disk, sample.entries(&hit)), expected);
    let change = write(10, 2, first.0..=first.0);
    act(&mut storage, &mut disk, |storage, events| storage.persist(change, events));
    assert_eq!(repair(&mut storage, &mut disk, sample.entries(&hit)), []);
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
