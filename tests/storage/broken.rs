//! A disk with damaged sectors, sample directories, and what each of their sectors holds.

use std::collections::{BTreeMap, BTreeSet};

use quorate::storage::{
    Completion, Disk, DiskError, Event, FetchId, FileAction, FileName, OpenError, OpenedStorage,
    Storage,
};
use quorate::types::{Entry, EntryId, Index, Term, Write};
use quorate_sim::disk::{ChangeOrder, Pending, SimDisk};

use super::host::{CLUSTER, Host, NODE, bare, config, hard_state, sized_entry, u64_at};
use super::mutated;

pub(super) const SECTOR: u64 = 512;
pub(super) const PAGE: u64 = 4096;

/// A way in which a sector is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    Flipped,
    Zeroed,
    /// The disk cannot read the page of the sector until the whole page is written.
    Unreadable,
}

pub(super) const HARMS: [Harm; 3] = [Harm::Flipped, Harm::Zeroed, Harm::Unreadable];

/// A disk with pages that cannot be read. Like a file system, it fails a write to a part of such a
/// page, because it has to read the rest first.
#[derive(Clone, Debug)]
pub(super) struct BrokenDisk {
    pub(super) disk: SimDisk,
    pub(super) unreadable: BTreeSet<(FileName, u64)>,
    /// The writes to segments: file and offset, and the bytes.
    pub(super) written: Vec<(FileName, u64, Vec<u8>)>,
}

impl BrokenDisk {
    pub(super) fn new(disk: &SimDisk) -> BrokenDisk {
        BrokenDisk { disk: disk.clone(), unreadable: BTreeSet::new(), written: Vec::new() }
    }

    pub(super) fn harm(&mut self, file: FileName, sector: u64, harm: Harm) {
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
    pub(super) fn hit(sector: u64, harm: Harm) -> std::ops::Range<u64> {
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

pub(super) fn overwrite(disk: &mut SimDisk, file: FileName, offset: u64, bytes: Vec<u8>) {
    for action in [FileAction::Write { file, offset, bytes }, FileAction::Sync { file }] {
        disk.execute(&action).expect("the file can be written");
    }
}

pub(super) fn read(disk: &SimDisk, file: FileName, offset: u64, bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).expect("the files are small");
    let read = disk.clone().execute(&FileAction::Read { file, offset, bytes });
    read.expect("the file can be read")
}

pub(super) fn open(disk: &mut BrokenDisk) -> Result<(Storage, OpenedStorage), OpenError> {
    Storage::open(disk, CLUSTER, NODE, &config())
}

/// Opens and starts a store on a copy of the disk, which must open.
pub(super) fn started(disk: &SimDisk) -> (Storage, BrokenDisk) {
    let mut disk = BrokenDisk::new(disk);
    let (mut storage, _) = open(&mut disk).expect("the directory opens");
    act(&mut storage, &mut disk, Storage::start);
    (storage, disk)
}

/// Calls a store, and executes its operations in their order. Returns the other events.
pub(super) fn act(
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

/// Provides the contents of entries; returns the entries that are intact afterwards.
pub(super) fn repair(
    storage: &mut Storage,
    disk: &mut impl Disk,
    entries: Vec<Entry>,
) -> Vec<EntryId> {
    repair_or_lack(storage, disk, entries).0
}

/// Provides the contents of entries; returns those that are intact then, and those that are still
/// lacking because they share a sector with a provided one.
pub(super) fn repair_or_lack(
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
pub(super) fn fetch_all(
    storage: &mut Storage,
    disk: &mut impl Disk,
) -> (Vec<Entry>, BTreeSet<EntryId>) {
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
pub(super) fn bodies(disk: &SimDisk, log: &[Entry]) -> (Places, BTreeSet<(FileName, u64)>) {
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
pub(super) type Places = BTreeMap<(FileName, u64), Vec<EntryId>>;

/// A directory, and what it contains.
pub(super) struct Sample {
    pub(super) disk: SimDisk,
    pub(super) log: Vec<Entry>,
    pub(super) bodies: Places,
    /// The sectors with bytes of truncated entries, whose content is lost, and of torn flushes.
    pub(super) dead: BTreeSet<(FileName, u64)>,
}

impl Sample {
    pub(super) fn of(disk: SimDisk) -> Sample {
        let log = Host::open(disk.clone()).expect("the directory opens").0.log();
        let (bodies, dead) = bodies(&disk, &log);
        Sample { disk, log, bodies, dead }
    }

    /// Returns the entries of these ids.
    pub(super) fn entries(&self, ids: &BTreeSet<EntryId>) -> Vec<Entry> {
        self.log.iter().filter(|entry| ids.contains(&entry.id)).cloned().collect()
    }

    pub(super) fn sectors(&self) -> Vec<(FileName, u64)> {
        let files = self.disk.clone().list().expect("the directory can be listed");
        let segments = files.iter().filter(|(file, _)| matches!(file, FileName::Segment(_)));
        segments
            .flat_map(|(file, bytes)| (0..bytes / SECTOR).map(|sector| (*file, sector)))
            .collect()
    }

    /// Returns the entries that are damaged with these sectors.
    pub(super) fn hit(
        &self,
        file: FileName,
        sectors: impl Iterator<Item = u64>,
    ) -> BTreeSet<EntryId> {
        let hit = sectors.filter_map(|sector| self.bodies.get(&(file, sector)));
        hit.flatten().copied().collect()
    }

    /// Checks a harm of one sector: what a start finds, and its repair.
    pub(super) fn check(&self, file: FileName, sector: u64, harm: Harm) {
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
        // The damaged sector has its content again, if its file was kept.
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
pub(super) fn truncated() -> Sample {
    Sample::of(mutated::image())
}

/// Flushes of several pages, whose entries share sectors or fill more than one.
pub(super) fn large() -> Sample {
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

/// Several starts, so that each segment has a single flush, and some flushes were written again or
/// are torn. The last flush is known to be acknowledged if the node has stopped cleanly.
pub(super) fn restarted(stops: bool) -> Sample {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
    for id in 0..4_u64 {
        let index = 2 * id + 1;
        let entries = [(index, 30), (index + 1, 600)];
        let entries = entries.map(|(index, bytes)| sized_entry(1, index, bytes)).into();
        host.persist(Write { entries, ..bare(id + 2) });
        host.settle();
        // Another flush is torn: the crash keeps its header block only.
        host.persist(Write { entries: [sized_entry(1, index + 2, 50)].into(), ..bare(id + 9) });
        let (next, _) = Host::open(host.crash(&(0..8).collect())).expect("the directory opens");
        host = next;
        host.act(Storage::start);
        host.settle();
    }
    if stops {
        host.act(Storage::close);
        host.settle();
    }
    Sample::of(host.crash(&BTreeSet::new()))
}

/// Several starts, every other one after a crash during a flush. The last sectors of that flush
/// never arrived, the start dropped it, and its entries were written again in the next segment. A
/// segment has one or two flushes, of which the second may be torn.
pub(super) fn torn() -> Sample {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
    let mut torn = BTreeSet::new();
    for id in 0..6_u64 {
        let flush = |id: u64| {
            let entries = [(2 * id + 1, 30), (2 * id + 2, 3000)];
            entries.map(|(index, bytes)| sized_entry(1, index, bytes)).into()
        };
        host.persist(Write { entries: flush(id), ..bare(id + 2) });
        host.settle();
        if id % 2 == 0 {
            host.persist(Write { entries: flush(id + 1), ..bare(id + 9) });
            assert!(host.step_silently() && host.step_silently(), "the headers and the bodies");
        }
        let mut disk = host.disk;
        let place = |pending: Pending| match pending {
            Pending::Sector { file: file @ FileName::Segment(_), sector, .. } => {
                Some((file, sector))
            }
            _ => None,
        };
        let written: Vec<_> = disk.pending().into_iter().filter_map(place).collect();
        let lost = written.iter().rev().take(3);
        let lost: BTreeSet<_> = lost.copied().collect();
        disk.crash(ChangeOrder::PerFile, |pending| {
            place(pending).is_none_or(|place| !lost.contains(&place))
        });
        torn.extend(written);
        (host, _) = Host::open(disk).expect("the directory opens");
        host.act(Storage::start);
        host.settle();
    }
    host.act(Storage::close);
    host.settle();
    assert_eq!(torn.len(), 3 * 16, "three flushes with a page of headers and one of bodies");
    let mut sample = Sample::of(host.crash(&BTreeSet::new()));
    // No start writes the sectors of a torn flush again.
    sample.bodies.retain(|place, _| !torn.contains(place));
    sample.dead.extend(torn);
    sample
}

/// Returns each place of a body whose sector damages at least `count` entries.
pub(super) fn hits(sample: &Sample, count: usize) -> Vec<(FileName, u64)> {
    let hit = |place: &&(FileName, u64)| sample.bodies[*place].len() >= count;
    sample.bodies.keys().filter(hit).copied().collect()
}
