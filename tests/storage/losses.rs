//! Log files that are removed, emptied, cut or copied after they were acknowledged: a start and an
//! inspection name the loss in the same words, or everything acknowledged is still there. If only
//! the end of the log is lost, the start makes the node uncertain; otherwise it rejects the log.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate::storage::{
    Disk, DiskError, FileAction, FileName, Inspection, OpenError, Storage, StorageConfig,
    StorageError,
};
use quorate::types::{Index, Write, WriteId};
use quorate_sim::disk::SimDisk;

use super::host::{
    CLUSTER, COPY_STRIDE, Host, NODE, bare, config, entry, formatted, hard_state, snapshot, u64_at,
    write,
};
use super::random::{StoreAndModel, steps};

pub(super) const PAGE: u64 = 4096;

/// A loss of a log file's content.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Removed,
    Zeroed,
    CutToNothing,
    CutInHalf,
    /// Another log file has the content of this one, too.
    CopiedTo(u64),
}

pub(super) fn read(disk: &mut SimDisk, file: FileName, offset: u64, bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).expect("the files are small");
    disk.execute(&FileAction::Read { file, offset, bytes }).expect("the file can be read")
}

pub(super) fn overwrite(disk: &mut SimDisk, file: FileName, offset: u64, bytes: Vec<u8>) {
    for action in [FileAction::Write { file, offset, bytes }, FileAction::Sync { file }] {
        disk.execute(&action).expect("the file can be written");
    }
}

pub(super) fn zero(disk: &mut SimDisk, file: FileName, offset: u64, bytes: u64) {
    overwrite(disk, file, offset, vec![0; usize::try_from(bytes).expect("the files are small")]);
}

fn replace(disk: &mut SimDisk, file: FileName, content: Vec<u8>) {
    for action in
        [FileAction::Create { file, bytes: content.len() as u64 }, FileAction::SyncDirectory]
    {
        disk.execute(&action).expect("there is room");
    }
    overwrite(disk, file, 0, content);
}

pub(super) fn remove(disk: &mut SimDisk, segment: u64) {
    let file = FileName::Segment(segment);
    for action in [FileAction::Remove { file }, FileAction::SyncDirectory] {
        disk.execute(&action).expect("the file can be removed");
    }
}

/// Returns the log files with their sizes.
pub(super) fn segments(disk: &mut SimDisk) -> Vec<(u64, u64)> {
    let files = disk.list().expect("the directory can be listed");
    let segment = |(file, bytes)| match file {
        FileName::Segment(number) => Some((number, bytes)),
        _ => None,
    };
    files.into_iter().filter_map(segment).collect()
}

fn harm(disk: &mut SimDisk, (number, bytes): (u64, u64), harm: Harm) {
    let file = FileName::Segment(number);
    let content = read(disk, file, 0, bytes);
    match harm {
        Harm::Removed => remove(disk, number),
        Harm::Zeroed => zero(disk, file, 0, bytes),
        Harm::CutToNothing => replace(disk, file, Vec::new()),
        Harm::CutInHalf => replace(disk, file, content[..content.len() / 2].to_vec()),
        Harm::CopiedTo(other) => replace(disk, FileName::Segment(other), content),
    }
}

/// Starts a store on a copy of the disk, and returns the host, or the error of the start: that the
/// log has lost its end counts as an error, too. Asserts that an inspection finds the same error.
fn named(disk: &SimDisk, config: &StorageConfig) -> Result<Host, OpenError> {
    let found = Inspection::open(&mut disk.clone(), config);
    let ends_at = found.as_ref().ok().and_then(|found| found.repairable.as_ref()).cloned();
    let damage = found.map(|found| found.damage);
    let mut opened = Host::open_with(disk.clone(), config);
    if let Ok((host, started)) = &mut opened
        && let Some(lost) = started.lost_end.take()
    {
        assert_eq!(damage, Ok(Some(lost.clone())));
        let inspected = ends_at.expect("the start is possible");
        assert_eq!((inspected.last, inspected.base), (started.last, started.base));
        assert_eq!(inspected.lost_end, Some(lost.clone()));
        // A damaged entry, such as a torn copy of the lost flush, waits for a peer.
        if started.damaged.is_empty() {
            continues_uncertain(host.clone(), config);
        }
        return Err(lost.into());
    }
    match (&opened, damage) {
        (Ok((_, opened)), damage) => {
            assert_eq!(
                damage,
                Ok(opened.damage.clone()),
                "an inspection finds no more than a start"
            );
        }
        (Err(OpenError::Failed(error)), Ok(Some(damage))) => assert_eq!(*error, damage),
        (Err(error), damage) => assert_eq!(damage.as_ref().err(), Some(error)),
    }
    opened.map(|(host, _)| host)
}

/// Checks that a store without the end of its log is uncertain, durably, and that the log continues
/// after what is left.
fn continues_uncertain(mut host: Host, config: &StorageConfig) {
    let (before, last) = (host.log(), host.storage.last().index.0);
    assert!(host.storage.hard_state().is_uncertain);
    let (mut again, opened) = Host::open_with(host.clone().crash(&BTreeSet::new()), config)
        .expect("the loss is recorded");
    assert_eq!((opened.lost_end, opened.hard_state.is_uncertain), (None, true));
    assert_eq!(again.log(), before, "an interrupted start keeps what is left");
    host.act(Storage::start);
    host.settle();
    let term = host.storage.last().term.0;
    for (write_id, index) in (1..).zip(last + 1..=last + 6) {
        host.persist(write(write_id, term, index..=index));
        host.settle();
    }
    let (mut host, opened) =
        Host::open_with(host.crash(&BTreeSet::new()), config).expect("nothing more is lost");
    assert_eq!((opened.lost_end, opened.hard_state.is_uncertain), (None, true));
    let entries = before.into_iter().chain((last + 1..=last + 6).map(|index| entry(term, index)));
    assert_eq!(host.log(), entries.collect::<Vec<_>>());
    // The start has written the last flush again, and every flush is marked.
    let mut without = host.disk.clone();
    let files = segments(&mut without);
    files.iter().for_each(|(number, _)| remove(&mut without, *number));
    assert!(Host::open_with(without, config).is_ok_and(|(_, found)| found.lost_end.is_some()));
}

pub(super) fn failure(disk: &SimDisk, config: &StorageConfig) -> StorageError {
    match named(disk, config) {
        Err(OpenError::Failed(failure)) => failure,
        Err(error) => panic!("{error}"),
        Ok(host) => panic!("the log opens and ends at {}", host.storage.last()),
    }
}

/// Harms each log file in each way. Returns the number of harms that were named, and checks each
/// store that opens although its log was harmed.
fn harm_each_segment(disk: &SimDisk, mut check: impl FnMut(Host, ((u64, u64), Harm))) -> usize {
    let mut detected = 0;
    let mut disk = disk.clone();
    let listed = segments(&mut disk);
    // The system has written everything, removals of files too, before a file is harmed.
    let files = disk.list().expect("the directory can be listed").into_iter();
    let syncs = files.map(|(file, _)| FileAction::Sync { file });
    for action in syncs.chain([FileAction::SyncDirectory]) {
        disk.execute(&action).expect("the disk works");
    }
    for segment in &listed {
        let copies = listed.iter().map(|(number, _)| *number).chain([listed.len() as u64 + 90]);
        let copies = copies.filter(|number| *number != segment.0).map(Harm::CopiedTo);
        let harms = [Harm::Removed, Harm::Zeroed, Harm::CutToNothing, Harm::CutInHalf];
        for kind in harms.into_iter().chain(copies) {
            let mut disk = disk.clone();
            harm(&mut disk, *segment, kind);
            match named(&disk, &config()) {
                Err(_) => detected += 1,
                Ok(host) => check(host, (*segment, kind)),
            }
        }
    }
    detected
}

/// Returns the highest flush that a mark on the disk or the superblock records, at the offsets of
/// `docs/FORMAT.md`.
fn floor(disk: &mut SimDisk) -> u64 {
    let file = FileName::Superblock;
    let marks = [0, 1].map(|mark| u64_at(&read(disk, file, mark_at(mark), PAGE), 56));
    let copies = [0, 1, 2, 3].map(|copy| read(disk, file, copy * COPY_STRIDE, PAGE));
    let is_whole = |copy: &Vec<u8>| {
        let (content, sum) = copy.split_at(copy.len() - 16);
        blake3::hash(content).as_bytes().starts_with(sum)
    };
    let twice =
        |copy: &&Vec<u8>| is_whole(copy) && copies.iter().filter(|other| other == copy).count() > 1;
    let recorded = copies.iter().filter(twice).map(|copy| u64_at(copy, 120));
    recorded.chain(marks).max().expect("there are marks")
}

impl StoreAndModel {
    /// Checks that a store that was opened after a harm has what was acknowledged.
    fn has_everything(&self, mut host: Host, harm: ((u64, u64), Harm)) {
        let (model, base) = (self.model(), host.storage.base().index);
        assert_eq!(host.storage.last(), model.last(), "{harm:?}");
        assert_eq!(host.storage.hard_state(), model.hard_state, "{harm:?}");
        assert!(base <= host.storage.snapshot().last.index, "{harm:?}");
        assert_eq!(host.log(), model.entries_after(base), "{harm:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_harmed_log_file_is_named_or_loses_nothing(steps in steps()) {
        let mut pair = StoreAndModel::new();
        for step in &steps {
            pair.execute(step);
        }
        pair.host.settle();
        // The process was killed, or the power failed: then the marks since the last sync are lost.
        let killed = pair.host.disk.clone();
        let failed = pair.host.clone().crash(&BTreeSet::new());
        let check = |host, harm| pair.has_everything(host, harm);
        let detected = [killed, failed].map(|disk| harm_each_segment(&disk, check));
        prop_assert!(detected[0] >= detected[1], "marks detect no less: {detected:?}");
    }

    #[test]
    fn a_log_file_harmed_under_way_loses_only_flushes_after_the_floor(
        steps in steps(),
        kept in any::<u64>(),
    ) {
        let mut pair = StoreAndModel::new();
        for step in &steps {
            pair.execute(step);
        }
        let mut killed = pair.host.disk.clone();
        if let Some((last, _)) = pair.host.marked.last_key_value() {
            prop_assert!(floor(&mut killed) + 1 >= *last, "at most one mark is not written");
        }
        let kept = (0..64).filter(|place| kept >> place & 1 == 1).collect();
        let failed = pair.host.clone().crash(&kept);
        for mut disk in [killed, failed] {
            let marked = pair.host.marked.get(&floor(&mut disk)).copied().unwrap_or_default();
            harm_each_segment(&disk, |mut host, harm| {
                let ends = (host.storage.last(), host.storage.base());
                let found = pair.state_of(ends, &host.log(), pair.reported(marked));
                assert!(found.is_some(), "{harm:?} loses more: {ends:?} after {marked:?}");
            });
        }
    }
}

/// Returns a store with `count` flushes of one entry each, all acknowledged.
pub(super) fn flushes(config: &StorageConfig, count: u64) -> Host {
    let (mut host, _) = Host::open_with(formatted(), config).expect("a formatted directory opens");
    host.act(Storage::start);
    host.flush_each(1..=count);
    host
}

/// Returns a configuration in which twenty flushes fill no segment.
pub(super) fn long() -> StorageConfig {
    StorageConfig { segment_bytes: 256 << 10, ..config() }
}

/// Returns the offset of the mark of flush `seq` in the file of the superblock.
pub(super) fn mark_at(seq: u64) -> u64 {
    seq % 2 * COPY_STRIDE + COPY_STRIDE / 2
}

/// Zeroes the header blocks or the bodies of the flushes from `first` through `last` in the first
/// segment, which are one page each.
pub(super) fn zero_flushes(
    disk: &mut SimDisk,
    (first, last): (u64, u64),
    (headers, bodies): (bool, bool),
) {
    let (file, pages) = (FileName::Segment(1), last - first + 1);
    if headers {
        zero(disk, file, (first - 1) * PAGE, pages * PAGE);
    }
    if bodies {
        zero(disk, file, long().segment_bytes - last * PAGE, pages * PAGE);
    }
}

#[test]
fn the_last_flushes_are_known_to_be_lost_after_a_kill_even_if_nothing_of_them_is_left() {
    let host = flushes(&long(), 20);
    for lost in 1..=20 {
        let first = 21 - lost;
        for parts in [(true, true), (true, false), (false, true)] {
            let mut disk = host.disk.clone();
            zero_flushes(&mut disk, (first, 20), parts);
            if parts != (true, true) {
                // Headers are rebuilt from bodies, and the bodies are damaged at most.
                let host = named(&disk, &long()).expect("the flushes are known");
                assert_eq!(host.storage.last().index, Index(20));
                continue;
            }
            let error = failure(&disk, &long());
            assert_eq!(error.file, Some(FileName::Segment(1)), "{error}");
            if lost < 20 {
                assert_eq!(error.offset, (first - 1) * PAGE, "{error}");
                let range = match lost {
                    1 => {
                        "flush 20 was acknowledged and cannot be read; entry 20 is lost".to_owned()
                    }
                    _ => format!(
                        "flushes {first} through 20 were acknowledged and cannot be read; entries \
                         {first} through 20 are lost"
                    ),
                };
                assert_eq!(error.message, format!("no intact flush is here: {range}"));
            }
        }
    }
}

#[test]
fn missing_files_are_named_with_the_entries_that_they_held() {
    // Four flushes fill a segment: the files 1 to 5 have flushes, and three are spare.
    let host = flushes(&config(), 18);
    let lost = |from: u64, through: u64| {
        format!(
            "flushes {from} through {through} were acknowledged and cannot be read; entries {from} \
             through {through} are lost"
        )
    };
    let removed = |numbers: &[u64]| {
        let mut disk = host.disk.clone();
        numbers.iter().for_each(|number| remove(&mut disk, *number));
        failure(&disk, &config())
    };
    for (numbers, file, from, through) in
        [(&[2, 3][..], 2, 5, 12), (&[4, 5], 4, 13, 18), (&[3], 3, 9, 12), (&[5], 5, 17, 18)]
    {
        let error = removed(numbers);
        assert_eq!((error.file, error.offset), (Some(FileName::Segment(file)), 0), "{error}");
        assert_eq!(error.message, format!("the file is missing: {}", lost(from, through)));
    }
    let error = removed(&[1]);
    assert_eq!((error.file, error.offset), (Some(FileName::Segment(1)), 0), "{error}");
    assert!(error.message.ends_with("entries 1 through 4 are lost"), "{error}");
    let error = removed(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(error.file, Some(FileName::Segment(5)), "{error}");
    assert!(error.message.ends_with(&lost(1, 18)), "{error}");
    let mut cut = host.disk.clone();
    harm(&mut cut, (5, config().segment_bytes), Harm::CutToNothing);
    let error = failure(&cut, &config());
    assert_eq!((error.file, error.offset), (Some(FileName::Segment(5)), 0), "{error}");
    assert_eq!(error.message, format!("the file ends after 0 bytes: {}", lost(17, 18)));
}

#[test]
fn a_power_failure_hides_at_most_the_flushes_since_the_segment_was_begun() {
    let host = flushes(&long(), 20);
    let durable = host.clone().crash(&BTreeSet::new());
    let without = |range, parts| {
        let mut disk = durable.clone();
        zero_flushes(&mut disk, range, parts);
        named(&disk, &long()).map(|host| host.storage.last().index)
    };
    for first in 1..=20 {
        match without((first, 20), (true, true)) {
            Ok(last) => assert_eq!(last, Index(first - 1)),
            Err(error) => assert_eq!(first, 1, "{error}"),
        }
        // Without a header block the bodies of a flush are no evidence of it: only the floor, which
        // records the first flush, is.
        assert_eq!(without((first, 20), (true, false)), Ok(Index((first - 1).max(1))));
        // A header block is evidence of every flush before it.
        if first < 20 {
            assert!(without((first, 19), (true, true)).is_err());
            assert_eq!(without((first, 19), (true, false)), Ok(Index(20)));
        }
        // The entries of the last flush are torn, those of the others damaged.
        assert_eq!(without((first, 20), (false, true)), Ok(Index(19)));
    }
    // One sector of the last flush suffices.
    for offset in [19 * PAGE, 20 * PAGE - 512, long().segment_bytes - 20 * PAGE] {
        let mut disk = durable.clone();
        zero(&mut disk, FileName::Segment(1), offset, 512);
        let host = named(&disk, &long()).expect("the flush passes for torn");
        assert_eq!(host.storage.last().index, Index(19));
    }
    // Any update of the superblock, here the clean shutdown, ends this.
    let mut closed = host;
    closed.act(Storage::close);
    closed.settle();
    let mut disk = closed.crash(&BTreeSet::new());
    zero_flushes(&mut disk, (20, 20), (true, true));
    assert!(failure(&disk, &long()).message.ends_with("entry 20 is lost"));
}

#[test]
fn a_power_failure_before_a_segment_is_recorded_hides_its_first_flush_and_the_file_before() {
    // Four flushes fill the first segment; the fifth is acknowledged, and nothing after that done.
    let mut host = flushes(&config(), 4);
    host.persist(write(5, 0, 5..=5));
    while host.persisted() < WriteId(5) {
        assert!(host.step(), "the fifth flush is durable at last");
    }
    let killed = host.disk.clone();
    let failed = host.clone().crash(&BTreeSet::new());
    let without = |disk: &SimDisk, first: u64| {
        let mut disk = disk.clone();
        remove(&mut disk, 2);
        if first < 5 {
            zero_flushes(&mut disk, (first, 4), (true, false));
            let bodies = config().segment_bytes - 4 * PAGE;
            zero(&mut disk, FileName::Segment(1), bodies, (5 - first) * PAGE);
        }
        named(&disk, &config()).map(|host| host.storage.last().index)
    };
    assert_eq!(without(&killed, 5), Ok(Index(4)), "the mark of the fifth flush is not written");
    assert!(without(&killed, 4).is_err());
    for first in 2..=5 {
        assert_eq!(without(&failed, first), Ok(Index(first - 1)));
    }
    assert!(without(&failed, 1).is_err());
    // Then the superblock records the segment.
    host.settle();
    assert!(without(&host.crash(&BTreeSet::new()), 5).is_err());
}

#[test]
fn an_older_copy_of_the_last_flush_shows_that_later_ones_may_be_lost() {
    let failed = flushes(&long(), 20).crash(&BTreeSet::new());
    let (started, _) = Host::open_with(failed, &long()).expect("it opens");
    let mut disk = started.disk;
    remove(&mut disk, 2);
    let error = failure(&disk, &long());
    assert_eq!((error.file, error.offset), (Some(FileName::Segment(2)), 0), "{error}");
    let message = "the file is missing: only an older copy of flush 20 is left; every entry from \
                   21 on may be lost";
    assert_eq!(error.message, message);
}

#[test]
fn a_file_with_flushes_that_a_snapshot_replaced_may_be_missing() {
    let mut host = flushes(&config(), 8);
    let first = read(&mut host.disk, FileName::Segment(1), 0, config().segment_bytes);
    let install = Some(Box::new(snapshot(2, 30)));
    host.persist(Write { hard_state: Some(hard_state(2, 1)), install, ..bare(9) });
    host.settle();
    let missing = |host: &Host| {
        let mut disk = host.disk.clone();
        remove(&mut disk, 2);
        named(&disk, &config()).expect("nothing is lost").storage.last().index
    };
    assert_eq!(missing(&host), Index(30));
    // Flushes before and after the missing ones make no difference.
    replace(&mut host.disk, FileName::Segment(1), first);
    assert_eq!(missing(&host), Index(30));
    host.persist(write(10, 2, 31..=31));
    host.settle();
    assert_eq!(missing(&host), Index(31));
}

#[test]
fn the_first_flush_after_a_received_snapshot_is_recorded_like_that_of_a_segment() {
    let mut host = flushes(&config(), 1);
    let install = Some(Box::new(snapshot(2, 30)));
    host.persist(Write { hard_state: Some(hard_state(2, 1)), install, ..bare(2) });
    host.persist(write(3, 2, 31..=31));
    host.settle();
    let mut disk = host.crash(&BTreeSet::new());
    remove(&mut disk, 1);
    assert!(failure(&disk, &config()).message.contains("the file is missing"));
}

#[test]
fn files_of_a_smaller_configured_size_are_not_taken_for_cut() {
    let mut host = flushes(&config(), 6);
    host.act(Storage::close);
    host.settle();
    let smaller = StorageConfig {
        segment_bytes: 16 << 10,
        command_bytes_max: 1000,
        flush_bytes_max: 2048,
        ..config()
    };
    let (mut host, _) = Host::open_with(host.disk, &smaller).expect("it opens");
    host.act(Storage::start);
    host.flush_each(7..=12);
    let mut found = 0;
    for segment in segments(&mut host.disk) {
        let mut disk = host.disk.clone();
        harm(&mut disk, segment, Harm::Zeroed);
        let Err(OpenError::Failed(error)) = named(&disk, &smaller).map(drop) else { continue };
        found += 1;
        assert!(!error.message.starts_with("the file ends"), "{segment:?}: {error}");
    }
    assert!(found >= 4, "the files with flushes are missed: {found}");
}

#[test]
fn a_damaged_mark_is_no_error_and_the_other_one_is_used() {
    let host = flushes(&long(), 20);
    for damaged in [&[0, 1][..], &[0], &[1]] {
        let mut disk = host.disk.clone();
        for mark in damaged {
            let offset = mark_at(*mark) + 60;
            let byte = read(&mut disk, FileName::Superblock, offset, 1)[0];
            overwrite(&mut disk, FileName::Superblock, offset, vec![byte ^ 1]);
        }
        let (mut opened, _) = Host::open_with(disk.clone(), &long()).expect("it opens");
        let entries = (1..=20).map(|index| entry(0, index));
        assert_eq!(opened.log(), entries.collect::<Vec<_>>());
        zero_flushes(&mut disk, (11, 20), (true, true));
        match damaged.len() {
            // As in a directory without marks, the superblock alone knows the first flush.
            2 => assert!(named(&disk, &long()).is_ok()),
            _ => assert!(failure(&disk, &long()).message.contains("flushes 11 through ")),
        }
    }
}

/// A disk on which some marks of the floor cannot be read until they are written again.
#[derive(Debug)]
struct UnreadableMarks {
    disk: SimDisk,
    /// The offsets of the marks.
    marks: BTreeSet<u64>,
    /// The number of reads that failed.
    failed: usize,
}

impl Disk for UnreadableMarks {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Read { file: FileName::Superblock, offset, .. }
                if self.marks.contains(offset) =>
            {
                self.failed += 1;
                return Err(DiskError::Failed("uncorrectable error".to_owned()));
            }
            FileAction::Write { file: FileName::Superblock, offset, bytes } => {
                assert_eq!(bytes.len() as u64, PAGE, "only a whole page needs no read");
                self.marks.remove(offset);
            }
            _ => {}
        }
        self.disk.execute(action)
    }
}

#[test]
fn a_mark_that_cannot_be_read_prevents_no_start_and_is_repaired() {
    let host = flushes(&long(), 20);
    for marks in [&[0, 1][..], &[0], &[1]] {
        let marks = marks.iter().map(|mark| mark_at(*mark)).collect();
        let mut disk = UnreadableMarks { disk: host.disk.clone(), marks, failed: 0 };
        let found = Inspection::open(&mut disk, &long()).expect("the directory is readable");
        assert_eq!((found.damage, found.opened.last.index), (None, Index(20)));
        let (_, opened) = Storage::open(&mut disk, CLUSTER, NODE, &long()).expect("it opens");
        assert_eq!(opened.last.index, Index(20));
        assert!(disk.failed > 0, "a mark was read");
        assert!(disk.marks.len() < 2, "a start writes a mark");
    }
}
