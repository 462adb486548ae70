//! The catalogue of log faults (it calls them operators) with the outcome of recovery for each,
//! and known answers of the checksum.

use std::collections::BTreeSet;

use quorate::storage::{Event, FileAction, FileName, Storage};
use quorate::types::{EntryId, HardState, Index, Term, Write, WriteId};
use quorate_sim::disk::{ChangeOrder, Fault, SimDisk};
use serde::Deserialize;

use super::host::{Host, bare, config, entry, hard_state, write};

#[derive(Deserialize)]
struct Catalogue {
    crc_known_answers: Vec<Answer>,
    operators: Vec<Operator>,
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    hex: String,
    crc32c: String,
}

#[derive(Deserialize)]
struct Operator {
    id: String,
}

fn catalogue() -> Catalogue {
    let text = include_str!("../data/wal/wal_operators.json");
    serde_json::from_str(text).expect("the catalogue is valid JSON")
}

#[test]
fn the_checksum_is_crc32c() {
    for Answer { name, hex, crc32c: expected } in catalogue().crc_known_answers {
        let digit = |place| u8::from_str_radix(&hex[place..place + 2], 16).expect("a byte");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
        assert_eq!(format!("{:08x}", crc32c::crc32c(&bytes)), expected, "{name}");
    }
}

#[test]
fn every_operator_of_the_catalogue_has_its_outcome() {
    for Operator { id } in catalogue().operators {
        match id.as_str() {
            "garbage-tail" => garbage_tail(),
            "bit-flip-middle" => bit_flip_middle(),
            "snapshot-torn" => snapshot_torn(),
            "hardstate-only" => hardstate_only(),
            "truncate-then-append" => truncate_then_append(),
            "fsync-error" => fsync_error(),
            "readonly-recovery" => readonly_recovery(),
            "double-crash" => double_crash(),
            other => panic!("{other} has no outcome here"),
        }
    }
}

fn log_of(disk: SimDisk) -> Vec<EntryId> {
    Host::open(disk).expect("the directory opens").0.log().iter().map(|entry| entry.id).collect()
}

fn ids(runs: &[(u64, std::ops::RangeInclusive<u64>)]) -> Vec<EntryId> {
    let run = |(term, indices): &(u64, std::ops::RangeInclusive<u64>)| {
        let term = Term(*term);
        indices.clone().map(move |index| EntryId::new(term, Index(index))).collect::<Vec<_>>()
    };
    runs.iter().flat_map(run).collect()
}

/// Garbage after the fixed size of a segment is ignored. Garbage in unwritten space is ignored,
/// too, unless a complete flush may have been there.
fn garbage_tail() {
    let mut disk = Host::with_nine().crash(&BTreeSet::new());
    let garbage: Vec<u8> = (0..3000_u32).map(|place| (place * 37 % 251) as u8).collect();
    for number in 1..=4 {
        let file = FileName::Segment(number);
        let offset = config().segment_bytes;
        let bytes = garbage.clone();
        disk.apply(&FileAction::Write { file, offset, bytes }).expect("the file can be written");
        disk.apply(&FileAction::Sync { file }).expect("the file can be synced");
    }
    assert!(Host::open(disk.clone()).is_ok(), "a spare segment with garbage is not used");
    let mut first_only = Host::with_nine().crash(&BTreeSet::new());
    let (file, offset) = (FileName::Segment(1), config().segment_bytes);
    let bytes = garbage.clone();
    first_only.apply(&FileAction::Write { file, offset, bytes }).expect("the file can be written");
    assert_eq!(log_of(first_only.clone()), ids(&[(1, 1..=9)]));
    let bytes = garbage.clone();
    first_only.apply(&FileAction::Write { file, offset: 12_288, bytes }).expect("it can");
    assert_eq!(
        log_of(first_only.clone()),
        ids(&[(1, 1..=9)]),
        "no flush is complete without bodies"
    );
    let (offset, bytes) = (config().segment_bytes - 3 * 4096 - 3000, garbage);
    first_only.apply(&FileAction::Write { file, offset, bytes }).expect("it can");
    let error =
        Host::open(first_only).map(|_| ()).expect_err("unwritten space with garbage is rejected");
    assert!(error.to_string().starts_with("log-0000000000000001 at 12288: "), "{error}");
}

fn bit_flip_middle() {
    let mut disk = Host::with_nine().crash(&BTreeSet::new());
    assert!(disk.flip_bits(FileName::Segment(1), config().segment_bytes - 4096 + 70, 2));
    let (_, opened) = Host::open(disk).expect("peers can repair the entries");
    let indices: Vec<u64> = opened.damaged.iter().map(|damaged| damaged.id.index.0).collect();
    assert_eq!(indices, [1, 2, 3]);
    let error = opened.damage.expect("a node without peers cannot").to_string();
    assert!(error.starts_with("log-0000000000000001 at 28672: "), "{error}");
}

/// The previous snapshot, with the log after it, replaces a damaged one.
fn snapshot_torn() {
    let mut host = Host::with_nine();
    for index in [4, 8] {
        host.take_snapshot(index);
    }
    let mut disk = host.crash(&BTreeSet::new());
    let file = FileName::Snapshot(Index(8));
    assert!(disk.flip_bits(file, 64, 0xff));
    let (_, opened) = Host::open(disk.clone()).expect("the directory opens");
    assert_eq!(opened.snapshot.last.index, Index(4));
    assert!(disk.flip_bits(FileName::Snapshot(Index(4)), 64, 0xff));
    let (_, opened) = Host::open(disk).expect("a peer can provide a snapshot");
    let damage = opened.snapshot_damage.expect("neither snapshot is intact").to_string();
    assert!(damage.starts_with("snapshot-0000000000000008 at 0: "), "{damage}");
    assert_eq!(opened.snapshot.last.index, Index(8));
}

/// A vote whose superblock update was interrupted was never granted.
fn hardstate_only() {
    let mut host = Host::with_nine();
    host.persist(Write { hard_state: Some(hard_state(2, 3)), ..bare(9) });
    for kept in [BTreeSet::new(), BTreeSet::from([0]), (0..8).collect()] {
        let mut host = host.clone();
        host.step_silently();
        host.step_silently();
        let (host, opened) = Host::open(host.crash(&kept)).expect("the directory opens");
        assert_eq!(opened.hard_state, hard_state(1, 1));
        assert_eq!(host.storage.last().index, Index(9));
    }
}

/// Whether the node is uncertain is stored with its term and vote, and stays until it is changed.
#[test]
fn an_uncertain_node_stays_uncertain() {
    let mut disk = Host::with_nine().crash(&BTreeSet::new());
    Storage::make_uncertain(&mut disk, &config()).expect("the directory opens");
    let (mut host, opened) = Host::open(disk).expect("the directory opens");
    assert_eq!(opened.hard_state, HardState { is_uncertain: true, ..hard_state(1, 1) });
    host.persist(write(9, 1, 10..=12));
    host.settle();
    let (mut host, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
    assert!(opened.hard_state.is_uncertain, "no write of entries changes it");
    host.persist(Write { hard_state: Some(hard_state(2, 3)), ..bare(10) });
    host.settle();
    let (_, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
    assert_eq!(opened.hard_state, hard_state(2, 3));
}

fn truncate_then_append() {
    let mut host = Host::with_nine();
    let later = HardState::new(Term(2), None);
    host.persist(Write { hard_state: Some(later), ..write(9, 2, 5..=6) });
    let (old, new) = (ids(&[(1, 1..=9)]), ids(&[(1, 1..=4), (2, 5..=6)]));
    let (mut olds, mut news) = (0, 0);
    loop {
        let pending = host.disk.pending().len();
        for kept in 0..=pending {
            let found = log_of(host.clone().crash(&(0..kept).collect()));
            assert!(found == old || found == new, "{found:?}");
            olds += usize::from(found == old);
            news += usize::from(found == new);
        }
        if !host.step() {
            break;
        }
    }
    assert!(olds > 0 && news > 0);
}

fn fsync_error() {
    let mut host = Host::with_nine();
    host.disk.arm(Fault::SyncFails { sectors: 3 }, 0);
    host.persist(write(9, 1, 10..=10));
    host.persist(write(10, 1, 11..=11));
    host.settle();
    assert!(matches!(host.events.last(), Some(Event::Failed(_))));
    assert_eq!(host.persisted(), WriteId(4), "no write after the error is acknowledged");
}

fn readonly_recovery() {
    let disk = Host::with_nine().crash(&BTreeSet::new());
    let (first, opened) = Host::open(disk).expect("the directory opens");
    let (mut again, opened_again) = Host::open(first.disk).expect("the directory opens again");
    assert_eq!(opened, opened_again);
    assert_eq!(again.log(), (1..=9).map(|index| entry(1, index)).collect::<Vec<_>>());
}

/// Recovery is interrupted by a disk error at each of its operations, and all unsynced changes are
/// lost; `crash.rs` tests other losses.
fn double_crash() {
    let disk = Host::with_nine().crash(&BTreeSet::new());
    for fault in [Fault::WriteFails { sectors: 0 }, Fault::SyncFails { sectors: 1 }] {
        for after in 0..8 {
            let mut disk = disk.clone();
            disk.arm(fault, after);
            let mut interrupted = disk.clone();
            let node = super::host::NODE;
            let open = Storage::open(&mut interrupted, super::host::CLUSTER, node, &config());
            drop(open);
            interrupted.disarm();
            interrupted.crash(ChangeOrder::PerFile, |_| false);
            assert_eq!(log_of(interrupted), ids(&[(1, 1..=9)]));
        }
    }
}
