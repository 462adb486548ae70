//! A crash at every disk operation of a few scripts, with every kind of loss, and at every
//! operation of the recovery from it.

use std::collections::BTreeSet;

use quorate::storage::{Disk, DiskError, Event, FileAction, FileName, Opened, Storage};
use quorate::types::{Index, SnapshotMeta, Write, WriteId};
use quorate_sim::disk::SimDisk;

use super::host::{CLUSTER, Host, NODE, bare, config, hard_state, snapshot, write};
use super::model::Model;

/// What a script does next.
#[derive(Clone, Debug)]
enum Act {
    Persist(Write),
    SetSnapshot(SnapshotMeta),
    Forget(u64),
    Close,
    /// The power fails, and it starts again.
    Restart,
    /// Everything under way is finished first.
    Settle,
}

use Act::{Close, Forget, Persist, Restart, SetSnapshot, Settle};

fn with_term(term: u64, write: Write) -> Act {
    Persist(Write { hard_state: Some(hard_state(term, 2)), ..write })
}

fn installs(term: u64, index: u64, write: Write) -> Act {
    Persist(Write { install: Some(snapshot(term, index)), ..write })
}

fn appends() -> Vec<Act> {
    vec![
        with_term(1, write(1, 1, 1..=2)),
        Persist(write(2, 1, 3..=3)),
        Persist(write(3, 1, 4..=20)),
        Settle,
        Persist(write(4, 1, 21..=22)),
    ]
}

/// Inside a batch and across flushes.
fn truncates() -> Vec<Act> {
    vec![
        with_term(1, write(1, 1, 1..=9)),
        Settle,
        with_term(2, write(2, 2, 5..=6)),
        with_term(3, write(3, 3, 6..=8)),
        Settle,
        Persist(write(4, 3, 9..=9)),
    ]
}

/// Until no membership is left of those that were written, and then with another.
fn truncates_memberships() -> Vec<Act> {
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

/// Over several segments.
fn rolls() -> Vec<Act> {
    vec![
        with_term(1, write(1, 1, 1..=10)),
        Settle,
        Persist(write(2, 1, 11..=50)),
        Persist(write(3, 1, 51..=90)),
    ]
}

/// Whole segments, below a snapshot.
fn forgets() -> Vec<Act> {
    vec![
        with_term(1, write(1, 1, 1..=60)),
        Persist(write(2, 1, 61..=100)),
        Settle,
        SetSnapshot(snapshot(1, 80)),
        Settle,
        Forget(75),
        Persist(write(3, 1, 101..=102)),
    ]
}

/// Nothing but the superblock.
fn votes() -> Vec<Act> {
    vec![with_term(1, bare(1)), Settle, with_term(2, bare(2)), with_term(3, bare(3))]
}

/// Over a log, with entries behind the snapshot.
fn installs_over_a_log() -> Vec<Act> {
    let install = Write { hard_state: Some(hard_state(2, 1)), ..write(2, 2, 31..=33) };
    vec![
        with_term(1, write(1, 1, 1..=8)),
        Settle,
        installs(2, 30, install),
        Persist(write(3, 2, 34..=34)),
    ]
}

/// Into an empty log, and stops in good order.
fn installs_and_closes() -> Vec<Act> {
    vec![
        with_term(2, bare(1)),
        installs(2, 12, bare(2)),
        Settle,
        Persist(write(3, 2, 13..=15)),
        Settle,
        Close,
    ]
}

/// Behind a flush that a start wrote once more, at the front of the start's segment, and behind
/// one of its own there.
fn starts_again() -> Vec<Act> {
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

/// A script as far as `operations` of its disk operations, and the state after each write.
struct Run {
    host: Host,
    states: Vec<Model>,
    writes: Vec<Write>,
    snapshots: Vec<SnapshotMeta>,
    /// Whether all of it was done.
    finished: bool,
}

fn run(script: &[Act], bulk_first: bool, operations: usize) -> Run {
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
            Forget(index) => run.host.act(|storage, events| storage.forget(Index(index), events)),
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

/// The host after a power failure and a start. What it has reported it does not forget.
fn start_again(mut host: Host) -> Host {
    let (events, bulk_first) = (std::mem::take(&mut host.events), host.bulk_first);
    let (mut next, _) = Host::open(host.crash(&BTreeSet::new())).expect("it opens");
    (next.events, next.bulk_first) = (events, bulk_first);
    next.act(Storage::start);
    next
}

impl Run {
    /// What may be found after a crash: what was reported is there, and what was submitted later
    /// in part, in its order.
    fn check(&self, (host, opened): (&mut Host, &Opened)) -> Model {
        let reported = self.host.persisted().0 as usize;
        let states = &self.states[reported..];
        let hard_state = host.storage.hard_state();
        let hard = states.iter().rposition(|state| state.hard_state == hard_state);
        let hard = reported + hard.expect("a hard state that was submitted, and none too old");
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
        let (place, mut state) = log.unwrap_or_else(|| panic!("no such log was: {entries:?}"));
        assert!(place <= hard + 1, "entries are never ahead of their hard state");
        let recorded = self.host.events.iter().filter_map(|event| match event {
            Event::SnapshotRecorded(meta) => Some(meta.last),
            _ => None,
        });
        assert!(recorded.max().is_none_or(|last| last <= meta.last), "a recorded snapshot stays");
        assert!(meta == state.snapshot || self.snapshots.contains(&meta), "{meta:?}");
        assert_eq!(opened.memberships, state.memberships_after(meta.last.index));
        (state.hard_state, state.snapshot) = (hard_state, meta);
        state
    }
}

/// Goes on after a recovery: appends, stops, and finds all of it.
fn go_on(mut host: Host, mut model: Model, cut: bool) {
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
    let (mut host, opened) = Host::open(disk).expect("it opens once more");
    assert_eq!(opened.hard_state, model.hard_state);
    assert_eq!(opened.snapshot, model.snapshot);
    assert_eq!(host.log(), model.entries_after(opened.base.index));
    assert_eq!(opened.runs, model.runs_after(opened.base));
    assert_eq!(opened.memberships, model.memberships_after(opened.snapshot.last.index));
    assert_eq!(opened.last, model.last());
}

/// Which of `count` unsynced things survive: none, all, each by itself, every prefix, and some.
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

/// A disk whose power fails after some operations.
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
            return Err(DiskError::Failed("no power".to_owned()));
        }
        self.left -= 1;
        self.disk.execute(action)
    }
}

/// A crash at every operation of the recovery, and the recovery from that.
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
        for subset in subsets(failing.pending().len(), operations as u64).iter().step_by(5) {
            let mut place = 0;
            let mut crashed = failing.clone();
            crashed.crash(quorate_sim::disk::ChangeOrder::PerFile, |_| {
                place += 1;
                subset.contains(&(place - 1))
            });
            let (mut host, opened) =
                Host::open(crashed).expect("it opens after a crash of recovery");
            let found = run.check((&mut host, &opened));
            assert_eq!(found, *expected, "recovery is the same however often");
        }
    }
    unreachable!("a recovery comes to its end")
}

fn crash_everywhere(name: &str, script: &[Act], bulk_first: bool) {
    let mut opened = 0;
    for operations in 0.. {
        let run = run(script, bulk_first, operations);
        let mut under_way = run.host.clone();
        // The operation under way: its effects are pending, its completion is not reported.
        under_way.step_silently();
        let pending = under_way.disk.pending().len();
        for (number, subset) in subsets(pending, operations as u64).into_iter().enumerate() {
            let disk = under_way.clone().crash(&subset);
            let context = || format!("{name}: {operations} operations, kept {subset:?}");
            let (mut host, found) =
                Host::open(disk.clone()).unwrap_or_else(|error| panic!("{}: {error}", context()));
            let model = run.check((&mut host, &found));
            opened += 1;
            if number % 16 == 1 {
                opened += crash_while_recovering(&run, &disk, &model);
            }
            go_on(host, model, number % 2 == 0);
        }
        if run.finished {
            assert!(opened > 100, "{name}: it crashed {opened} times");
            return;
        }
    }
}

fn crash_in_both_orders(name: &str, script: &[Act]) {
    for bulk_first in [false, true] {
        crash_everywhere(name, script, bulk_first);
    }
}

/// An operation fails, at every place of a script. Those behind it are carried out, or not, or fail
/// too: nothing keeps the store from starting again with everything that was reported.
fn fail_everywhere(name: &str, script: &[Act], bulk_first: bool) {
    for operations in 0.. {
        let run = run(script, bulk_first, operations);
        if run.finished {
            assert!(operations > 10, "{name}: it failed {operations} times");
            return;
        }
        let behind: [fn(&mut Host) -> bool; 3] =
            [|_| false, Host::step_silently, Host::step_in_part];
        for (way, step) in behind.into_iter().enumerate() {
            let mut failing = run.host.clone();
            if !failing.fail() {
                continue;
            }
            while step(&mut failing) {}
            let pending = failing.disk.pending().len();
            for kept in [BTreeSet::new(), (0..pending).collect()] {
                let (mut host, opened) = Host::open(failing.clone().crash(&kept))
                    .unwrap_or_else(|error| panic!("{name}: {operations}, {way}: {error}"));
                run.check((&mut host, &opened));
            }
        }
    }
}

#[test]
fn a_failure_anywhere() {
    for bulk_first in [false, true] {
        fail_everywhere("append", &appends(), bulk_first);
        fail_everywhere("truncate", &truncates(), bulk_first);
        fail_everywhere("roll", &rolls(), bulk_first);
        fail_everywhere("forget", &forgets(), bulk_first);
        fail_everywhere("vote", &votes(), bulk_first);
        fail_everywhere("start again", &starts_again(), bulk_first);
        fail_everywhere("install", &installs_over_a_log(), bulk_first);
    }
}

#[test]
fn a_crash_anywhere_while_appending() {
    crash_in_both_orders("append", &appends());
}

#[test]
fn a_crash_anywhere_after_a_start() {
    crash_in_both_orders("start again", &starts_again());
}

#[test]
fn a_crash_anywhere_while_truncating() {
    crash_in_both_orders("truncate", &truncates());
    crash_in_both_orders("truncate memberships", &truncates_memberships());
}

#[test]
fn a_crash_anywhere_while_rolling() {
    crash_in_both_orders("roll", &rolls());
}

#[test]
fn a_crash_anywhere_while_forgetting() {
    crash_in_both_orders("forget", &forgets());
}

#[test]
fn a_crash_anywhere_while_the_superblock_is_updated() {
    crash_in_both_orders("vote", &votes());
}

#[test]
fn a_crash_anywhere_while_a_snapshot_is_installed() {
    crash_in_both_orders("install over a log", &installs_over_a_log());
    crash_in_both_orders("install and close", &installs_and_closes());
}
