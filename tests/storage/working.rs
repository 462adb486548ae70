//! A store without faults: writes are reported, read, compacted and recovered.

use std::collections::BTreeSet;

use quorate::storage::{Disk, Event, FetchId, FileName, OpenError, Storage, StorageConfig};
use quorate::types::{Entry, EntryId, Index, Membership, NodeId, Payload, Term, Write, WriteId};
use quorate_sim::disk::{ChangeOrder, Fault, Pending};

use super::host::{CLUSTER, Host, NODE, bare, config, entry, formatted, hard_state, sized_entry};
use super::host::{identity, membership, snapshot, write};

#[test]
fn persisted_writes_are_recovered_after_a_restart() {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(2, 1)), ..write(1, 2, 1..=3) });
    host.settle();
    assert_eq!(host.events, [Event::Persisted(WriteId(1))]);
    host.persist(Write { committed: Index(3), ..write(2, 2, 4..=40) });
    host.settle();
    assert_eq!(host.persisted(), WriteId(2));
    let written: Vec<_> = (1..=40).map(|index| entry(2, index)).collect();
    assert_eq!(host.log(), written);
    let (mut host, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
    assert_eq!(opened.hard_state, hard_state(2, 1));
    assert_eq!(opened.committed, Index(3));
    assert_eq!(opened.runs, [written[0].id]);
    let memberships: Vec<_> = written.iter().filter_map(Entry::membership).collect();
    assert_eq!((opened.memberships, memberships.len()), (memberships, 10));
    assert_eq!(opened.last, written[39].id);
    assert_eq!(opened.tail, written[40 - opened.tail.len()..]);
    assert!(!opened.tail.is_empty());
    assert_eq!(host.log(), written);
}

#[test]
fn the_largest_membership_fits_for_any_command_bytes_max() {
    let config = StorageConfig {
        segment_bytes: 12 << 10,
        command_bytes_max: 10,
        flush_bytes_max: 200,
        read_bytes_max: 8 << 10,
        ..config()
    };
    let (mut host, _) = Host::open_with(formatted(), &config).expect("the directory opens");
    host.act(Storage::start);
    let membership = |voter| Membership::new([NodeId(voter)]).with_learners((2..=132).map(NodeId));
    assert_eq!(membership(1).violation(), None);
    let entry = |index: u64| {
        let payload = Payload::Membership(membership(1 + index % 2));
        Entry { id: EntryId::new(Term(1), Index(index)), payload }
    };
    let written: Vec<_> = (1..=5).map(entry).collect();
    let hard_state = Some(hard_state(1, 1));
    host.persist(Write { hard_state, entries: written.clone().into(), ..write(1, 1, 1..=1) });
    host.settle();
    assert_eq!(host.persisted(), WriteId(1));
    let disk = host.crash(&BTreeSet::new());
    let (mut host, opened) = Host::open_with(disk, &config).expect("the directory opens");
    assert_eq!(host.log(), written);
    let memberships: Vec<_> = written.iter().filter_map(Entry::membership).collect();
    assert_eq!(opened.memberships, memberships);
}

#[test]
fn a_directory_is_formatted_only_once() {
    let mut disk = formatted();
    let again = Storage::format(&mut disk, identity(), &membership(), &config());
    assert!(matches!(again, Err(OpenError::NotEmpty(_))), "{again:?}");
    drop(Storage::open(&mut disk, CLUSTER, NODE, &config()).expect("the directory opens"));
    let again = Storage::format(&mut disk, identity(), &membership(), &config());
    assert!(matches!(again, Err(OpenError::NotEmpty(_))), "{again:?}");
}

#[test]
fn segments_covered_by_the_snapshot_are_removed() {
    let mut host = Host::fresh();
    host.flush_each(1..=30);
    host.act(|storage, events| storage.compact(Index(30), events));
    host.settle();
    assert_eq!(host.storage.base().index, Index(0), "no snapshot covers them");
    let meta = snapshot(0, 20);
    host.set_snapshot(&meta);
    assert_eq!(host.events.last(), Some(&Event::SnapshotRecorded(meta.clone())));
    host.act(|storage, events| storage.compact(Index(18), events));
    host.settle();
    let base = host.storage.base().index;
    assert!(base > Index(10) && base <= Index(18), "{base}");
    let expected: Vec<_> = (base.0 + 1..=30).map(|index| entry(0, index)).collect();
    assert_eq!(host.log(), expected);
    let (mut host, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
    assert_eq!((opened.base.index, opened.snapshot), (base, meta));
    assert_eq!(host.log(), expected);
}

#[test]
fn a_failed_removal_leaves_no_gap() {
    for fault in [Fault::RemoveFails, Fault::SyncDirectoryFails] {
        let mut host = with_sixty();
        host.disk.arm(fault, 0);
        host.act(|storage, events| storage.compact(Index(58), events));
        // Requested operations are executed although the store has failed meanwhile.
        host.settle();
        assert!(matches!(host.events.last(), Some(Event::Failed(_))), "{fault:?}");
        let (_, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the directory opens");
        assert_eq!(opened.last.index, Index(60), "{fault:?}");
    }
}

#[test]
fn a_torn_flush_may_remain_in_a_new_segment() {
    let mut host = Host::fresh();
    let mut id = 0;
    // Until the next flush begins a segment: its first write goes to the start of the file.
    let begins = loop {
        id += 1;
        let mut next = host.clone();
        next.persist(write(id, 0, id..=id));
        let before = next.disk.pending().len();
        assert!(next.step_silently(), "the headers");
        let first = next.disk.pending()[before];
        let begins = match first {
            Pending::Sector { file: FileName::Segment(number), sector: 0, .. } => number > 1,
            _ => false,
        };
        if begins {
            break next;
        }
        host.persist(write(id, 0, id..=id));
        host.settle();
    };
    let mut disk = begins.disk;
    disk.crash(ChangeOrder::Prefix, |_| true);
    for _ in 0..3 {
        // Opens, and crashes before anything is removed.
        let (host, opened) = Host::open(disk).expect("the directory opens");
        assert_eq!(opened.last.index, Index(id - 1));
        disk = host.crash(&BTreeSet::new());
    }
}

#[test]
fn a_disk_found_full_at_opening_is_reported_by_start() {
    // The second flush, whose mark the crash lost, is rewritten in the only spare segment, and
    // there is no room for another.
    let config = StorageConfig { spare_segments: 1, ..config() };
    let (mut host, _) = Host::open_with(formatted(), &config).expect("the directory opens");
    host.act(Storage::start);
    host.settle();
    host.flush_each(1..=2);
    let mut disk = host.crash(&BTreeSet::new());
    let used: u64 = disk.list().expect("it lists").iter().map(|(_, bytes)| bytes).sum();
    disk.set_capacity(Some(used));
    let (mut host, _) = Host::open_with(disk, &config).expect("there is a segment left");
    host.act(Storage::start);
    host.settle();
    assert_eq!(host.events, [Event::Full(true)]);
    host.disk.set_capacity(None);
    host.act(Storage::retry);
    host.settle();
    assert_eq!(host.events.last(), Some(&Event::Full(false)));
}

#[test]
fn a_removed_segment_makes_room_for_a_spare_one() {
    let mut host = with_sixty();
    let used: u64 = host.disk.list().expect("it lists").iter().map(|(_, bytes)| bytes).sum();
    host.disk.set_capacity(Some(used));
    let mut index = 60;
    while host.events.last() != Some(&Event::Full(true)) {
        index += 1;
        host.events.clear();
        host.flush_each(index..=index);
    }
    host.act(|storage, events| storage.compact(Index(58), events));
    host.settle();
    assert_eq!(host.events.last(), Some(&Event::Full(false)), "without a retry");
}

/// Returns a store with one spare segment that is closed while a write waits for more of them. The
/// disk has room for `room` more bytes, if that is not `None`.
fn closed_under_load(room: Option<u64>) -> Host {
    let config = StorageConfig { spare_segments: 1, ..config() };
    let (mut host, _) = Host::open_with(formatted(), &config).expect("the directory opens");
    host.act(Storage::start);
    host.settle();
    host.persist(write(1, 0, 1..=1));
    host.settle();
    let used: u64 = host.disk.list().expect("it lists").iter().map(|(_, bytes)| bytes).sum();
    host.disk.set_capacity(room.map(|room| used + room));
    let entries = (2..=60).map(|index| sized_entry(0, index, 4000)).collect();
    host.persist(Write { entries, ..write(2, 0, 2..=2) });
    host.act(Storage::close);
    host.settle();
    host
}

#[test]
fn a_store_closes_after_the_writes_that_need_more_segments_than_there_are() {
    let host = closed_under_load(None);
    assert_eq!(host.events.last(), Some(&Event::Closed));
    assert_eq!(host.persisted(), WriteId(2), "more than three segments were filled");
}

#[test]
fn a_store_closes_although_the_disk_has_no_room_for_the_pending_writes() {
    let host = closed_under_load(Some(40 << 10));
    assert_eq!(host.events.last(), Some(&Event::Closed));
    assert_eq!(host.persisted(), WriteId(1), "the other write is lost");
    let (_, opened) = Host::open(host.disk).expect("the directory opens");
    assert!(opened.last.index >= Index(1) && opened.lost_end.is_none());
}

#[test]
fn the_commit_index_in_the_superblock_never_falls() {
    let mut host = Host::with_nine();
    // No flush names these commit indices, only the superblock.
    for (id, committed, expected) in [(11, 7, 7), (12, 0, 7), (13, 8, 8), (14, 5, 8)] {
        let change = Write { hard_state: Some(hard_state(id, 1)), ..bare(id) };
        host.persist(Write { committed: Index(committed), ..change });
        host.settle();
        let opened = Host::open(host.disk.clone()).expect("the directory opens").1;
        assert_eq!(opened.committed, Index(expected), "after {id}");
    }
}

/// Returns a store with sixty flushes, which the current snapshot covers.
fn with_sixty() -> Host {
    let mut host = Host::fresh();
    host.flush_each(1..=60);
    host.set_snapshot(&snapshot(0, 60));
    host
}

/// Returns the events that follow this request if the log is compacted after each number of steps.
fn compacted_meanwhile(request: impl Fn(&mut Storage, &mut Vec<Event>)) -> Vec<Vec<Event>> {
    let mut host = with_sixty();
    host.events.clear();
    host.act(request);
    let mut all = Vec::new();
    host.compact_at_each_step(Index(58), |compacted| all.push(compacted.events));
    all
}

#[test]
fn a_segment_is_not_removed_while_it_is_read() {
    let first = |storage: &mut Storage, events: &mut Vec<Event>| {
        storage.fetch(FetchId(7), Index(1), Index(3), 1 << 20, events);
    };
    let outcomes = compacted_meanwhile(first);
    assert!(outcomes.len() > 2, "a fetch takes several reads");
    for events in outcomes {
        let [Event::Fetched { id: FetchId(7), entries }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(*entries, (1..=3).map(|index| entry(0, index)).collect::<Vec<_>>());
    }
}

#[test]
fn a_segment_is_not_removed_while_it_is_repaired() {
    let mut host = with_sixty();
    let body = config().segment_bytes - 4096;
    assert!(host.disk.flip_bits(FileName::Segment(1), body + 20, 1));
    host.act(|storage, events| storage.repair(vec![entry(0, 1)], events));
    // Removals overtake the writes of the repair.
    host.bulk_first = true;
    let steps = host.compact_at_each_step(Index(58), drop);
    assert!(steps > 3, "a repair reads, writes and reads again");
    assert!(host.events.contains(&Event::Repaired(vec![entry(0, 1).id])), "{:?}", host.events);
}

#[test]
fn a_segment_is_not_removed_while_it_is_scrubbed() {
    let outcomes = compacted_meanwhile(|storage, events| storage.scrub(1 << 20, events));
    assert!(outcomes.len() > 2, "a scrub takes several reads");
    for events in outcomes {
        let is_good = |event: &Event| matches!(event, Event::Scrubbed { .. });
        assert!(events.iter().all(is_good), "{events:?}");
    }
}
