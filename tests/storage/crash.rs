//! A crash at every disk operation of a few scripts, with many subsets of lost changes, and at
//! every operation of the recovery from it.

use std::collections::BTreeSet;

use quorate::storage::{Disk, DiskError, Event, FileAction, FileName, OpenedStorage, Storage};
use quorate::types::{Index, SnapshotMeta, Write, WriteId};
use quorate_sim::disk::{Pending, SimDisk};

use super::host::{CLUSTER, Host, NODE, bare, config, hard_state, snapshot, write};
use super::model::Model;

/// The first sector of a mark of the floor, and the distance of the marks, in sectors.
const MARK: u64 = 1024;
const MARK_STRIDE: u64 = 2048;

/// A step of a script.
#[derive(Clone, Debug)]
enum Step {
    Persist(Write),
    SetSnapshot(SnapshotMeta),
    Compact(u64),
    Close,
    /// Crashes, and starts again.
    Restart,
    /// Executes all requested operations.
    Settle,
}

use Step::{Close, Compact, Persist, Restart, SetSnapshot, Settle};

fn with_term(term: u64, write: Write) -> Step {
    Persist(Write { hard_state: Some(hard_state(term, 2)), ..write })
}

fn installs(term: u64, index: u64, write: Write) -> Step {
    Persist(Write { install: Some(Box::new(snapshot(term, index))), ..write })
}

fn appends() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=2)),
        Persist(write(2, 1, 3..=3)),
        Persist(write(3, 1, 4..=20)),
        Settle,
        Persist(write(4, 1, 21..=22)),
    ]
}

/// Truncates within a batch and across flushes.
fn truncates() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=9)),
        Settle,
        with_term(2, write(2, 2, 5..=6)),
        with_term(3, write(3, 3, 6..=8)),
        Settle,
        Persist(write(4, 3, 9..=9)),
    ]
}

/// Truncates all memberships that were written, and then writes others.
fn truncates_memberships() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=8)),
        Settle,
        with_term(2, write(2, 2, 4..=4)),
        Settle,
        with_term(3, write(3, 3, 2..=2)),
        Settle,
        Persist(write(4, 3, 3..=4)),
        with_term(4, write(5, 4, 3..=3)),
    ]
}

/// Fills several log segments with entries.
fn fills_segments() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=10)),
        Settle,
        Persist(write(2, 1, 11..=50)),
        Persist(write(3, 1, 51..=90)),
    ]
}

/// Compacts whole segments below a snapshot.
fn compacts() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=60)),
        Persist(write(2, 1, 61..=100)),
        Settle,
        SetSnapshot(snapshot(1, 80)),
        Settle,
        Compact(75),
        Persist(write(3, 1, 101..=102)),
    ]
}

/// Updates only the superblock.
fn votes() -> Vec<Step> {
    vec![with_term(1, bare(1)), Settle, with_term(2, bare(2)), with_term(3, bare(3))]
}

/// Installs a snapshot over a log, with entries after the snapshot.
fn installs_over_a_log() -> Vec<Step> {
    let install = Write { hard_state: Some(hard_state(2, 1)), ..write(2, 2, 31..=33) };
    vec![
        with_term(1, write(1, 1, 1..=8)),
        Settle,
        installs(2, 30, install),
        Persist(write(3, 2, 34..=34)),
    ]
}

/// Installs a snapshot over an empty log, and shuts down cleanly.
fn installs_and_closes() -> Vec<Step> {
    vec![
        with_term(2, bare(1)),
        installs(2, 12, bare(2)),
        Settle,
        Persist(write(3, 2, 13..=15)),
        Settle,
        Close,
    ]
}

/// Appends after a flush that a start has rewritten at the front of a new segment, and after a
/// further flush there.
fn starts_again() -> Vec<Step> {
    vec![
        with_term(1, write(1, 1, 1..=3)),
        Settle,
        Restart,
        Persist(write(2, 1, 4..=5)),
        Settle,
        Restart,
        with_term(2, write(3, 2, 6..=7)),
        Persist(write(4, 2, 8..=8)),
        Settle,
        Persist(write(5, 2, 9..=11)),
    ]
}

/// A script executed up to `operations` disk operations, and the state after each write.
struct Run {
    host: Host,
    states: Vec<Model>,
    writes: Vec<Write>,
    snapshots: Vec<SnapshotMeta>,
    /// Whether the whole script was executed.
    finished: bool,
}

fn run(script: &[Step], bulk_first: bool, operations: usize) -> Run {
    let mut host = Host::fresh();
    host.bulk_first = bulk_first;
    let (states, writes, snapshots) = (vec![Model::new()], Vec::new(), Vec::new());
    let mut run = Run { host, states, writes, snapshots, finished: false };
    let mut left = operations;
    for act in script.iter().cloned().chain([Settle]) {
        match act {
            Persist(write) => {
                run.states.push(run.states[run.writes.len()].after(&write));
                run.writes.push(write.clone());
                run.host.persist(write);
            }
            SetSnapshot(meta) => {
                run.snapshots.push(meta.clone());
                run.host.act(|storage, events| storage.set_snapshot(meta, events));
            }
            Compact(index) => run.host.act(|storage, events| storage.compact(Index(index), events)),
            Close => run.host.act(Storage::close),
            Restart => run.host = start_again(run.host),
            Settle => loop {
                if left == 0 {
                    return run;
                }
                if !run.host.step() {
                    break;
                }
                left -= 1;
            },
        }
    }
    run.finished = true;
    run
}

/// Crashes and restarts the host, and keeps its reported events.
fn start_again(mut host: Host) -> Host {
    let (events, bulk_first) = (std::mem::take(&mut host.events), host.bulk_first);
    let (mut next, _) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
    (next.events, next.bulk_first) = (events, bulk_first);
    next.act(Storage::start);
    next
}

impl Run {
    /// Checks the recovered state: reported writes are complete, and later writes are present at
    /// most in part, in order. Returns the matching model.
    fn check(&self, (host, opened): (&mut Host, &OpenedStorage)) -> Model {
        let reported = self.host.persisted().0 as usize;
        let states = &self.states[reported..];
        let hard_state = host.storage.hard_state();
        let hard = states.iter().rposition(|state| state.hard_state == hard_state);
        let hard =
            reported + hard.expect("a submitted hard state, at least as new as the reported one");
        let meta = host.storage.snapshot().clone();
        let base = host.storage.base();
        let entries = host.log();
        assert!(base.index <= meta.last.index, "the log reaches back to the snapshot");
        let found = |state: &Model| {
            state.entries_after(base.index) == entries
                && state.last() == host.storage.last()
                && state.snapshot.last <= meta.last
        };
        let parts = self.states[reported..].iter().zip(&self.writes[reported..]);
        let mut possible: Vec<(usize, Model)> = vec![(reported, self.states[reported].clone())];
        for (place, (state, write)) in parts.enumerate() {
            let during = state.during(write).into_iter();
            possible.extend(during.map(|state| (reported + place, state)));
        }
        let log = possible.into_iter().find(|(_, state)| found(state));
        let (place, mut state) =
            log.unwrap_or_else(|| panic!("the recovered log matches no state: {entries:?}"));
        assert!(place <= hard + 1, "entries are never newer than the hard state");
        let recorded = self.host.events.iter().filter_map(|event| match event {
            Event::SnapshotRecorded(meta) => Some(meta.last),
            _ => None,
        });
        assert!(
            recorded.max().is_none_or(|last| last <= meta.last),
            "a recorded snapshot survives"
        );
        assert!(meta == state.snapshot || self.snapshots.contains(&meta), "{meta:?}");
        assert_eq!(opened.memberships, state.memberships_after(meta.last.index));
        (state.hard_state, state.snapshot) = (hard_state, meta);
        state
    }
}

/// Continues after a recovery: appends, crashes, and recovers all of it.
fn continue_after_recovery(mut host: Host, mut model: Model, cut: bool) {
    host.act(Storage::start);
    let last = model.last();
    let cuts = cut && last.index > host.storage.snapshot().last.index;
    let first = if cuts { last.index.0 } else { last.index.0 + 1 };
    let term = model.hard_state.term.0 + 1;
    let later =
        Write { hard_state: Some(hard_state(term, 1)), ..write(9, term, first..=first + 3) };
    host.events.clear();
    host.persist(later.clone());
    host.settle();
    assert_eq!(host.events, [Event::Persisted(WriteId(9))]);
    model = model.after(&later);
    let disk = host.crash(&BTreeSet::new());
    let (mut host, opened) = Host::open(disk).expect("the directory opens again");
    assert_eq!(opened.hard_state, model.hard_state);
    assert_eq!(opened.snapshot, model.snapshot);
    assert_eq!(host.log(), model.entries_after(opened.base.index));
    assert_eq!(opened.runs, model.runs_after(opened.base));
    assert_eq!(opened.memberships, model.memberships_after(opened.snapshot.last.index));
    assert_eq!(opened.last, model.last());
}

/// Returns subsets of the unsynced changes that survive: none, all, each alone, every prefix, and
/// random ones. The padding of a mark is left out: the disk is the same with and without it.
fn subsets_of(disk: &SimDisk, seed: u64) -> Vec<BTreeSet<usize>> {
    let is_padding = |change: &Pending| match change {
        Pending::Sector { file: FileName::Superblock, sector, .. } => {
            (MARK + 1..MARK + 8).contains(&(sector % MARK_STRIDE))
        }
        _ => false,
    };
    let pending = disk.pending();
    let changes: Vec<usize> =
        (0..pending.len()).filter(|place| !is_padding(&pending[*place])).collect();
    let subsets = subsets(changes.len(), seed);
    subsets.iter().map(|subset| subset.iter().map(|place| changes[*place]).collect()).collect()
}

fn subsets(count: usize, seed: u64) -> Vec<BTreeSet<usize>> {
    let mut subsets = vec![BTreeSet::new(), (0..count).collect()];
    for place in 0..count.min(40) {
        subsets.push(BTreeSet::from([place]));
        subsets.push((0..place).collect());
        subsets.push((0..count).filter(|other| *other != place).collect());
    }
    let mut state = seed | 1;
    for _ in 0..6 {
        let mut draw = || {
            state =
                state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            state >> 63 == 0
        };
        subsets.push((0..count).filter(|_| draw()).collect());
    }
    subsets.sort();
    subsets.dedup();
    subsets
}

/// A disk that fails after some operations.
struct Failing<'a> {
    disk: &'a mut SimDisk,
    left: usize,
}

impl Disk for Failing<'_> {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if self.left == 0 {
            return Err(DiskError::Failed("power failure".to_owned()));
        }
        self.left -= 1;
        self.disk.execute(action)
    }
}

/// Crashes at every operation of the recovery, and recovers from that; returns the number of
/// operations.
fn crash_while_recovering(run: &Run, disk: &SimDisk, expected: &Model) -> usize {
    for operations in 0.. {
        let mut failing = disk.clone();
        let open = Storage::open(
            &mut Failing { disk: &mut failing, left: operations },
            CLUSTER,
            NODE,
            &config(),
        );
        if open.is_ok() {
            return operations;
        }
        for subset in subsets_of(&failing, operations as u64).iter().step_by(5) {
            let mut place = 0;
            let mut crashed = failing.clone();
            crashed.crash(quorate_sim::disk::ChangeOrder::PerFile, |_| {
                place += 1;
                subset.contains(&(place - 1))
            });
            let (mut host, opened) =
                Host::open(crashed).expect("it opens after a crash of recovery");
            let found = run.check((&mut host, &opened));
            assert_eq!(found, *expected, "a repeated recovery has the same result");
        }
    }
    unreachable!("recovery ends")
}

fn crash_everywhere(name: &str, script: &[Step], bulk_first: bool) {
    let mut opened = 0;
    for operations in 0.. {
        let run = run(script, bulk_first, operations);
        let mut under_way = run.host.clone();
        // The operation under way: its effects are pending, and its completion is not reported.
        under_way.step_silently();
        let subsets = subsets_of(&under_way.disk, operations as u64);
        for (number, subset) in subsets.into_iter().enumerate() {
            let disk = under_way.clone().crash(&subset);
            let context = || format!("{name}: {operations} operations, kept {subset:?}");
            let (mut host, found) =
                Host::open(disk.clone()).unwrap_or_else(|error| panic!("{}: {error}", context()));
            let model = run.check((&mut host, &found));
            opened += 1;
            if number % 16 == 1 {
                opened += crash_while_recovering(&run, &disk, &model);
            }
            continue_after_recovery(host, model, number % 2 == 0);
        }
        if run.finished {
            assert!(opened > 100, "{name}: only {opened} crashes");
            return;
        }
    }
}

fn crash_in_both_orders(name: &str, script: &[Step]) {
    for bulk_first in [false, true] {
        crash_everywhere(name, script, bulk_first);
    }
}

/// Fails an operation at every position of a script. The operations after it are dropped, executed,
/// or torn: the store always recovers everything that was reported.
fn fail_everywhere(name: &str, script: &[Step], bulk_first: bool) {
    for operations in 0.. {
        let run = run(script, bulk_first, operations);
        if run.finished {
            assert!(operations > 10, "{name}: only {operations} errors");
            return;
        }
        let afterwards: [fn(&mut Host) -> bool; 3] =
            [|_| false, Host::step_silently, Host::step_in_part];
        for (number, step) in afterwards.into_iter().enumerate() {
            let mut failing = run.host.clone();
            if !failing.fail() {
                continue;
            }
            while step(&mut failing) {}
            let pending = failing.disk.pending().len();
            for kept in [BTreeSet::new(), (0..pending).collect()] {
                let (mut host, opened) = Host::open(failing.clone().crash(&kept))
                    .unwrap_or_else(|error| panic!("{name}: {operations}, {number}: {error}"));
                run.check((&mut host, &opened));
            }
        }
    }
}

#[test]
fn a_disk_error_at_any_operation_loses_nothing_reported() {
    for bulk_first in [false, true] {
        fail_everywhere("append", &appends(), bulk_first);
        fail_everywhere("truncate", &truncates(), bulk_first);
        fail_everywhere("fill segments", &fills_segments(), bulk_first);
        fail_everywhere("compact", &compacts(), bulk_first);
        fail_everywhere("vote", &votes(), bulk_first);
        fail_everywhere("start again", &starts_again(), bulk_first);
        fail_everywhere("install", &installs_over_a_log(), bulk_first);
    }
}

#[test]
fn a_crash_at_any_operation_of_appending_loses_nothing_reported() {
    crash_in_both_orders("append", &appends());
}

#[test]
fn a_crash_at_any_operation_after_a_start_loses_nothing_reported() {
    crash_in_both_orders("start again", &starts_again());
}

#[test]
fn a_crash_at_any_operation_of_truncating_loses_nothing_reported() {
    crash_in_both_orders("truncate", &truncates());
    crash_in_both_orders("truncate memberships", &truncates_memberships());
}

#[test]
fn a_crash_at_any_operation_of_changing_segments_loses_nothing_reported() {
    crash_in_both_orders("fill segments", &fills_segments());
}

#[test]
fn a_crash_at_any_operation_of_compacting_loses_nothing_reported() {
    crash_in_both_orders("compact", &compacts());
}

#[test]
fn a_crash_at_any_operation_of_a_superblock_update_loses_nothing_reported() {
    crash_in_both_orders("vote", &votes());
}

#[test]
fn a_crash_at_any_operation_of_a_snapshot_install_loses_nothing_reported() {
    crash_in_both_orders("install over a log", &installs_over_a_log());
    crash_in_both_orders("install and close", &installs_and_closes());
}
