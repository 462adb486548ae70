//! New directories from old ones, on a simulated disk: a survey changes nothing, a new directory is
//! complete or unusable, and corruption loses only the log after it.

use std::io::Read;

use quorate::recovery::{
    Consent, Plan, RecoveryError, RecoveryRejectReason, RecoverySource, Survey, SurveyedDirectory,
};
use quorate::replica::{self, make_uncertain};
use quorate::storage::{
    ClusterId, Completion, Disk, DiskError, Event, FileAction, FileName, Identity, Inspection,
    OpenError, OpenedStorage, Origin, SnapshotConfig, SnapshotEvent, SnapshotReader, Storage,
    StorageConfig,
};
use quorate::types::{
    Command, DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId,
    Payload, Term, Write, WriteId,
};
use quorate_sim::disk::{ChangeOrder, SimDisk};

const OLD: ClusterId = ClusterId(0xc1);
const NEW: ClusterId = ClusterId(0xc2);
const NODE: NodeId = NodeId(3);
const LAST: u64 = 12;

pub(crate) fn small() -> StorageConfig {
    StorageConfig {
        snapshots: SnapshotConfig { chunk_bytes: 512, ..SnapshotConfig::default() },
        segment_bytes: 32 << 10,
        spare_segments: 1,
        command_bytes_max: 4 << 10,
        flush_bytes_max: 8 << 10,
        read_bytes_max: 12 << 10,
        tail_bytes_max: 1 << 10,
    }
}

fn three() -> Membership {
    Membership::new([1, 2, 3].map(NodeId))
}

/// Returns a membership of one node with this incarnation.
pub(crate) fn alone(node: NodeId, incarnation: u128) -> Membership {
    let mut member = Membership::new([node]).members()[0].clone();
    member.incarnation = Incarnation(incarnation);
    Membership::new([node]).with_member(member)
}

/// Returns an entry: every fourth is a membership, the others are commands with their index.
fn entry(index: u64) -> Entry {
    let id = EntryId::new(Term(1 + index / 7), Index(index));
    let payload = match index % 4 {
        3 => Payload::Membership(three().with_learners([NodeId(100 + index)])),
        _ => Payload::Command(Command::from(format!("{index} ").repeat(60).into_bytes())),
    };
    Entry { id, payload }
}

fn content() -> Vec<u8> {
    (0..1300_u32).map(|n| (n % 251) as u8).collect()
}

/// Executes all disk operations, and returns the other events.
fn run(storage: &mut Storage, disk: &mut SimDisk, mut events: Vec<Event>) -> Vec<Event> {
    let mut others = Vec::new();
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

fn act(
    storage: &mut Storage,
    disk: &mut SimDisk,
    act: impl FnOnce(&mut Storage, &mut Vec<Event>),
) -> Vec<Event> {
    let mut events = Vec::new();
    act(storage, &mut events);
    run(storage, disk, events)
}

/// Returns a directory with a snapshot at 4 and a log through 12.
fn old() -> SimDisk {
    old_with_snapshot(4)
}

/// Returns a directory with a snapshot at `covered` and a log through 12.
fn old_with_snapshot(covered: u64) -> SimDisk {
    let (mut storage, mut disk) = logged(&three());
    let storage = &mut storage;
    let membership = entry(3).membership().expect("it is one").1;
    act(storage, &mut disk, |storage, events| {
        assert!(storage.take_snapshot(entry(covered).id, membership, events));
    });
    for chunk in content().chunks(512) {
        act(storage, &mut disk, |it, events| it.write_snapshot(chunk.to_vec(), events));
    }
    let events = act(storage, &mut disk, Storage::end_snapshot);
    let taken = events.into_iter().find_map(|event| match event {
        Event::Snapshot(SnapshotEvent::Taken(meta)) => Some(meta),
        _ => None,
    });
    let taken = taken.expect("the snapshot is taken");
    act(storage, &mut disk, |storage, events| storage.set_snapshot(taken, events));
    disk
}

/// Returns a directory with this first membership and a log through 12.
fn logged(first: &Membership) -> (Storage, SimDisk) {
    let mut disk = SimDisk::default();
    let identity = Identity { cluster: OLD, node: NODE, incarnation: Incarnation(7) };
    Storage::format(&mut disk, identity, first, &small()).expect("a new directory");
    let (mut storage, _) = Storage::open(&mut disk, OLD, NODE, &small()).expect("it opens");
    act(&mut storage, &mut disk, Storage::start);
    let hard_state = Some(HardState::new(Term(2), Some(NodeId(1))));
    for index in 1..=LAST {
        let (id, committed) = (WriteId(index), Index(index.saturating_sub(3)));
        let entries = vec![entry(index)];
        let hard_state = hard_state.filter(|_| index == 1);
        let write = Write { id, hard_state, committed, install: None, entries: entries.into() };
        act(&mut storage, &mut disk, |storage, events| storage.persist(write, events));
    }
    (storage, disk)
}

/// A disk that only allows reads.
struct OnlyRead(SimDisk);

impl Disk for OnlyRead {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.0.list()
    }
    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        assert!(matches!(action, FileAction::Read { .. }), "{action:?} changes the source");
        self.0.execute(action)
    }
}

/// A disk that fails after this number of operations.
struct Failing(SimDisk, u64);

impl Disk for Failing {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.0.list()
    }
    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if self.1 == 0 {
            return Err(DiskError::Failed("it fails".to_owned()));
        }
        self.1 -= 1;
        self.0.execute(action)
    }
}

fn survey(disk: &SimDisk) -> Survey {
    let mut survey = Survey::default();
    survey.inspect("old", &mut OnlyRead(disk.clone()), &small());
    survey
}

fn plan(survey: &Survey, cluster: ClusterId, node: NodeId) -> Plan {
    let membership = alone(node, cluster.0 + 1000);
    let plan = Plan::new(survey, None, &[], Consent::TwoClusters, cluster, membership);
    plan.expect("there is a directory")
}

/// Returns the state of the directory, the log after the snapshot, and the snapshot's content.
fn all(disk: &mut SimDisk) -> (OpenedStorage, Vec<Entry>, Vec<u8>) {
    let mut found = Inspection::open(disk, &small()).expect("it can be read");
    assert_eq!(found.damage, None);
    let (first, last) = (found.opened.snapshot.last.index.next(), found.opened.last.index);
    let mut entries: Vec<Entry> = Vec::new();
    while let next = entries.last().map_or(first, |entry| entry.id.index.next())
        && next <= last
    {
        entries.extend(found.entries(disk, next, last).expect("they can be read"));
    }
    let (cluster, snapshot) = (found.opened.identity.cluster, &found.opened.snapshot);
    let mut read = Vec::new();
    let mut reader = SnapshotReader::open(disk, cluster, snapshot).expect("the file exists");
    reader.read_to_end(&mut read).expect("it is whole");
    (found.opened, entries, read)
}

/// Returns the old cluster's entries as the new cluster has them.
fn recovered(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let emptied = |entry: Entry| match entry.payload {
        Payload::Membership(_) => Entry { payload: Payload::Noop, ..entry },
        _ => entry,
    };
    entries.into_iter().map(emptied).collect()
}

#[test]
fn a_survey_changes_nothing_and_finds_the_state_of_a_start() {
    let mut disk = old();
    let survey = survey(&disk);
    let state = survey.directories()[0].state().expect("it can be read").clone();
    let (_, opened) = Storage::open(&mut disk, OLD, NODE, &small()).expect("the directory opens");
    assert_eq!(state.opened, OpenedStorage { tail: Vec::new(), ..opened });
    assert_eq!(state.committed().index, Index(9));
    let table = survey.to_string();
    let row = "old    000000c1  n3    00000007  t2 for n1  4@t1      12@t2  9          {n1 n2 n3}";
    assert!(table.contains(row), "{table}");
    let text = RecoverySource::choose(&survey, None).expect("there is one").to_string();
    assert!(text.contains("continues from old of n3, with its log up to 12@t2"), "{text}");
    assert!(text.contains("entries from 10 through 12 become committed"), "{text}");
    assert!(text.contains("may be lost: those from 10 on"), "{text}");
}

#[test]
fn the_error_of_a_directory_that_cannot_be_read_asks_to_try_again() {
    let error = Inspection::open(&mut Failing(old(), 0), &small()).expect_err("no read succeeds");
    assert!(error.to_string().ends_with("once it can be read, try again"), "{error}");
}

#[test]
fn a_log_that_cannot_be_read_is_damage_and_not_that_of_a_sole_voter() {
    let (_, mut disk) = logged(&alone(NODE, 7));
    let marked = make_uncertain(&mut disk.clone(), &small()).expect("others can check its log");
    assert_eq!(marked.membership().incoming().len(), 3);
    let file = FileName::Segment(1);
    disk.execute(&FileAction::Remove { file }).expect("the file exists");
    let failed = make_uncertain(&mut disk, &small());
    let is_damage = matches!(failed, Err(replica::OpenError::Storage(OpenError::Failed(_))));
    assert!(is_damage, "the membership is lost: {failed:?}");
}

#[test]
fn a_new_directory_has_the_whole_log_without_the_old_memberships() {
    let disk = old();
    let survey = survey(&disk);
    let plan = plan(&survey, NEW, NodeId(1));
    let mut target = SimDisk::default();
    let mut source = OnlyRead(disk);
    plan.create_directory(&mut source, NodeId(1), &mut target, &small()).expect("there is room");
    // The whole directory is durable.
    target.crash(ChangeOrder::PerFile, |_| false);
    let (opened, entries, read) = all(&mut target);
    let identity =
        Identity { cluster: NEW, node: NodeId(1), incarnation: Incarnation(0xc2 + 1000) };
    assert_eq!(opened.identity, identity);
    assert_eq!(opened.origin, Some(Origin { cluster: OLD, last: entry(LAST).id }));
    assert_eq!(opened.hard_state, HardState::new(Term(2), None));
    assert_eq!((opened.base, opened.committed), (entry(4).id, Index(LAST)));
    assert_eq!(opened.snapshot.membership, alone(NodeId(1), 0xc2 + 1000));
    assert_eq!(opened.memberships, [], "the new cluster never has the old memberships");
    assert_eq!(entries, recovered((5..=LAST).map(entry)));
    assert_eq!(read, content());
    let (_, started) = Storage::open(&mut target, NEW, NodeId(1), &small()).expect("it starts");
    assert_eq!(started.last, entry(LAST).id);
    assert!(matches!(
        Storage::open(&mut target, OLD, NodeId(1), &small()),
        Err(OpenError::Mismatch { field: "cluster", .. })
    ));
}

#[test]
fn a_recovered_cluster_can_be_recovered_again() {
    let mut disks = vec![old()];
    for (cluster, node) in [(0xc2, 1), (0xc3, 2), (0xc4, 3)] {
        let before = disks.last().expect("one before").clone();
        let plan = plan(&survey(&before), ClusterId(cluster), NodeId(node));
        let mut target = SimDisk::default();
        let made =
            plan.create_directory(&mut OnlyRead(before), NodeId(node), &mut target, &small());
        made.expect("there is room");
        disks.push(target);
    }
    let taken = alone(NodeId(1), 77);
    let old =
        Plan::new(&survey(&disks[3]), None, &[], Consent::TwoClusters, ClusterId(0xc3), taken);
    assert_eq!(
        old,
        Err(RecoveryRejectReason::SameCluster(ClusterId(0xc3))),
        "its origin has that id"
    );
    let (opened, entries, read) = all(&mut disks[3]);
    assert_eq!(opened.origin, Some(Origin { cluster: ClusterId(0xc3), last: entry(LAST).id }));
    assert_eq!(entries, recovered((5..=LAST).map(entry)));
    assert_eq!((opened.hard_state.term, read), (Term(2), content()));
    let mut both = Survey::default();
    both.inspect("third", &mut disks[2].clone(), &small());
    both.inspect("fourth", &mut disks[3].clone(), &small());
    assert!(RecoverySource::choose(&both, None).is_err(), "they are of two clusters");
    assert!(both.to_string().contains("created from cluster 000000c3, from its log up to 12@t2"));
}

#[test]
fn the_term_is_the_highest_of_any_directory() {
    let disk = old();
    let mut directories = survey(&disk).directories().to_vec();
    let mut other = directories[0].state().expect("it can be read").clone();
    other.opened.identity.node = NodeId(2);
    other.opened.hard_state = HardState::new(Term(9), Some(NodeId(2)));
    directories.push(SurveyedDirectory { location: "other".to_owned(), result: Ok(other) });
    let plan = plan(&Survey::from_directories(directories), NEW, NODE);
    assert_eq!(plan.source().location, "old");
    let mut target = SimDisk::default();
    plan.create_directory(&mut OnlyRead(disk), NODE, &mut target, &small()).expect("there is room");
    assert_eq!(all(&mut target).0.hard_state, HardState::new(Term(9), None));
}

#[test]
fn an_incomplete_directory_is_unusable() {
    let source = old();
    let survey = survey(&source);
    let plan = plan(&survey, NEW, NODE);
    let mut unfinished = 0;
    for operations in 0.. {
        let mut target = Failing(SimDisk::default(), operations);
        let made =
            plan.create_directory(&mut OnlyRead(source.clone()), NODE, &mut target, &small());
        let mut disk = target.0;
        let mut asked = operations;
        disk.crash(ChangeOrder::PerFile, |_| {
            asked += 1;
            asked.is_multiple_of(2)
        });
        if made.is_ok() {
            break;
        }
        match Storage::open(&mut disk.clone(), NEW, NODE, &small()) {
            Ok((_, opened)) => assert_eq!(opened.last, entry(LAST).id, "complete or not at all"),
            Err(_) => unfinished += 1,
        }
        let again =
            plan.create_directory(&mut OnlyRead(source.clone()), NODE, &mut disk.clone(), &small());
        let is_empty = disk.list() == Ok(Vec::new());
        assert_eq!(again.is_ok(), is_empty, "existing files are kept: {again:?}");
    }
    assert!(unfinished > 20, "{unfinished}");
}

#[test]
fn a_full_disk_is_reported_as_full() {
    let source = old();
    let plan = plan(&survey(&source), NEW, NODE);
    for capacity in [100, 6 << 10, 20 << 10, 40 << 10] {
        let mut target = SimDisk::default();
        target.set_capacity(Some(capacity));
        let made =
            plan.create_directory(&mut OnlyRead(source.clone()), NODE, &mut target, &small());
        assert_eq!(made, Err(RecoveryError::Target(OpenError::Full)), "{capacity}");
    }
}

#[test]
fn a_source_that_changed_since_the_survey_is_rejected() {
    let mut disk = old();
    let plan = plan(&survey(&disk), NEW, NODE);
    let mut target = SimDisk::default();
    let not_member = plan.create_directory(&mut disk, NodeId(8), &mut target, &small());
    assert_eq!(not_member, Err(RecoveryError::NotMember(NodeId(8))));
    let (mut storage, _) = Storage::open(&mut disk, OLD, NODE, &small()).expect("it opens");
    act(&mut storage, &mut disk, Storage::start);
    let (id, committed, entries) = (WriteId(1), Index(12), vec![entry(13)]);
    let write = Write { id, hard_state: None, committed, install: None, entries: entries.into() };
    act(&mut storage, &mut disk, |storage, events| storage.persist(write, events));
    let made = plan.create_directory(&mut disk, NODE, &mut target, &small());
    assert_eq!(made, Err(RecoveryError::SourceChanged));
    assert_eq!(target.list(), Ok(Vec::new()));
}

#[test]
fn corruption_loses_only_the_log_after_it() {
    let disk = old();
    let (whole, entries, _) = all(&mut disk.clone());
    let (mut damaged, mut lengths) = (0, Vec::new());
    let places =
        (1..=3).flat_map(|segment| (0..32 << 10).step_by(300).map(move |at| (segment, at)));
    for (segment, offset) in places {
        let (mut rotten, file) = (disk.clone(), FileName::Segment(segment));
        let read = FileAction::Read { file, offset, bytes: 1 };
        let byte = rotten.execute(&read).expect("the file exists")[0] ^ 1;
        let write = FileAction::Write { file, offset, bytes: vec![byte] };
        rotten.execute(&write).expect("it is there");
        let starts = Storage::open(&mut rotten.clone(), OLD, NODE, &small()).is_ok();
        let mut guarded = OnlyRead(rotten);
        let mut found = Inspection::open(&mut guarded, &small()).expect("the snapshot is whole");
        let is_repairable = found.damage.is_none() || found.repairable.is_some();
        assert_eq!(is_repairable, starts, "{file} at {offset}");
        let last = found.opened.last;
        assert!(last >= entry(4).id && last <= entry(LAST).id);
        lengths.push(last.index.0);
        if found.damage.is_none() {
            assert_eq!(last, entry(LAST).id, "the snapshot covers the damage");
        }
        damaged += u32::from(found.damage.is_some() || !found.opened.damaged.is_empty());
        assert!(found.opened.committed <= whole.committed);
        let mut next = Index(5);
        while next <= last.index {
            let read = found.entries(&mut guarded, next, last.index).expect("it is certain");
            let first = next.0 as usize - 5;
            assert_eq!(read, entries[first..first + read.len()]);
            next = Index(next.0 + read.len() as u64);
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(damaged > 20, "{damaged}");
    assert!(lengths.len() > 3, "earlier corruption loses more: {lengths:?}");
}

#[test]
fn damaged_entries_that_the_snapshot_covers_lose_nothing() {
    const COVERED: u64 = 6;
    let disk = old_with_snapshot(COVERED);
    let (mut covered, mut salvaged) = (0, 0);
    let used = |segment| disk.stored(FileName::Segment(segment));
    let sectors =
        (1..=3).flat_map(|segment| used(segment).into_iter().map(move |at| (segment, at)));
    for (segment, sector) in sectors {
        let (mut rotten, file) = (disk.clone(), FileName::Segment(segment));
        assert!(rotten.flip_bits(file, sector * 512 + 100, 1));
        let started = Storage::open(&mut rotten.clone(), OLD, NODE, &small());
        let Ok((_, opened)) = started else { continue };
        let needs = |found: &DamagedEntry| found.id.index > Index(COVERED);
        if opened.damaged.is_empty() || opened.damaged.iter().any(needs) {
            continue;
        }
        covered += 1;
        let survey = survey(&rotten);
        let state = survey.directories()[0].state().expect("it can be read");
        assert_eq!((&state.damage, state.opened.last), (&None, entry(LAST).id), "{file} {sector}");
        assert_eq!(state.opened.damaged, opened.damaged);
        let source = RecoverySource::choose(&survey, None).expect("it can be read");
        assert_eq!(source.undamaged, [NODE]);
        let mut target = SimDisk::default();
        let plan = plan(&survey, NEW, NODE);
        let mut source = OnlyRead(rotten.clone());
        plan.create_directory(&mut source, NODE, &mut target, &small()).expect("there is room");
        assert_eq!(all(&mut target).1, recovered((COVERED + 1..=LAST).map(entry)));
        // If there is also damage after the snapshot, the log is salvaged up to that damage.
        for later in used(3) {
            let mut once = disk.clone();
            for disk in [&mut once, &mut rotten] {
                assert!(disk.flip_bits(FileName::Segment(3), later * 512 + 100, 1));
            }
            let [once, twice] = [&mut once, &mut rotten.clone()]
                .map(|disk| Inspection::open(disk, &small()).expect("the snapshot is whole"));
            assert_eq!(twice.opened.last, once.opened.last, "{file} {sector} and {later}");
            assert_eq!(twice.damage.is_some(), once.damage.is_some());
            salvaged += u32::from(once.damage.is_some());
            assert!(rotten.flip_bits(FileName::Segment(3), later * 512 + 100, 1));
        }
    }
    assert!(covered > 0 && salvaged > 0, "{covered} {salvaged}");
}

#[test]
fn the_verified_part_of_a_damaged_log_is_recovered() {
    let mut disk = old();
    let files = disk.list().expect("the directory can be listed");
    let is_used =
        |file: &FileName| matches!(file, FileName::Segment(_)) && !disk.stored(*file).is_empty();
    let last = files.iter().rfind(|(file, _)| is_used(file));
    let (file, end) = *last.expect("there are segments");
    // The header block of the first flush, and the bodies that could replace it.
    for (offset, bytes) in [(0, 512), (end - 4096, 4096)] {
        let write = FileAction::Write { file, offset, bytes: vec![1; bytes] };
        disk.execute(&write).expect("the file exists");
    }
    let survey = survey(&disk);
    let state = survey.directories()[0].state().expect("the snapshot is whole").clone();
    assert!(state.damage.is_some() && survey.to_string().contains("before the damage"));
    let plan = plan(&survey, NEW, NODE);
    let mut target = SimDisk::default();
    plan.create_directory(&mut OnlyRead(disk), NODE, &mut target, &small()).expect("there is room");
    let (opened, entries, _) = all(&mut target);
    assert_eq!(opened.last, state.opened.last);
    assert_eq!(entries, recovered((5..=opened.last.index.0).map(entry)));
}

/// Returns a directory of a node with these flushes: the terms of the entries from an index on, and
/// the commit index. A flush without entries writes a later term.
fn directory(node: u64, flushes: &[(u64, &[u64], u64)]) -> SimDisk {
    let (mut disk, node) = (SimDisk::default(), NodeId(node));
    let identity = Identity { cluster: OLD, node, incarnation: Incarnation(7) };
    Storage::format(&mut disk, identity, &three(), &small()).expect("a new directory");
    let (mut storage, _) = Storage::open(&mut disk, OLD, node, &small()).expect("it opens");
    act(&mut storage, &mut disk, Storage::start);
    for (id, (first, terms, committed)) in (1..).zip(flushes) {
        let entry = |(index, term): (u64, &u64)| Entry {
            id: EntryId::new(Term(*term), Index(index)),
            payload: Payload::Command(Command::from(format!("{term} ").repeat(60).into_bytes())),
        };
        let entries: Vec<Entry> = (*first..).zip(*terms).map(entry).collect();
        let term = terms.last().map_or(Term(9), |term| Term(*term));
        let write = Write {
            id: WriteId(id),
            hard_state: Some(HardState::new(term, None)),
            committed: Index(*committed),
            install: None,
            entries: entries.into(),
        };
        act(&mut storage, &mut disk, |storage, events| storage.persist(write, events));
    }
    disk
}

#[test]
fn an_entry_that_a_lost_flush_had_replaced_is_not_taken_for_committed() {
    let common: (u64, &[u64], u64) = (1, &[1, 1, 1], 0);
    // Node 3 wrote the entries 4 and 5 alone, replaced them, and knows that entry 6 is committed.
    let rotten = directory(3, &[common, (4, &[1, 1], 3), (4, &[2, 2, 2], 3), (7, &[], 6)]);
    let whole = directory(2, &[common, (4, &[2, 2, 2], 3)]);
    let file = FileName::Segment(1);
    let mut found = 0;
    for offset in rotten.stored(file).into_iter().map(|sector| sector * 512 + 100) {
        let mut rotten = rotten.clone();
        assert!(rotten.flip_bits(file, offset, 1));
        let mut survey = Survey::default();
        survey.inspect("rotten", &mut OnlyRead(rotten), &small());
        let state = survey.directories()[0].state().expect("it has a superblock").clone();
        assert_eq!(state.named_committed, Index(6));
        survey.inspect("whole", &mut OnlyRead(whole.clone()), &small());
        let source = RecoverySource::choose(&survey, None).expect("it can be read");
        assert_eq!(source.last, EntryId::new(Term(2), Index(6)), "{file} at {offset}");
        found += u32::from(state.opened.last == EntryId::new(Term(1), Index(5)));
    }
    assert!(found > 0, "the third flush was damaged");
}
