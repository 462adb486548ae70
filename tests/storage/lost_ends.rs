//! A log whose acknowledged end is lost: what is left stays, even if the start is interrupted.

use std::collections::BTreeSet;

use quorate::storage::{Disk, DiskError, FileAction, FileName, Storage};
use quorate::types::{Index, Write};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use super::host::{CLUSTER, Host, NODE, bare, config, entry, hard_state, write};
use super::losses::{
    PAGE, flushes, long, mark_at, overwrite, read, remove, segments, zero, zero_flushes,
};

#[test]
fn entries_that_a_lost_flush_had_replaced_are_not_taken_for_committed() {
    let mut host = flushes(&config(), 3);
    let vote = Some(hard_state(1, 1));
    host.persist(Write { hard_state: vote, committed: Index(2), ..write(4, 1, 4..=8) });
    host.settle();
    // The next flush begins another file, replaces entries, and its entries are committed.
    let (mut host, _) = Host::open(host.disk).expect("it opens");
    host.act(Storage::start);
    host.persist(Write { hard_state: Some(hard_state(2, 1)), ..write(1, 2, 5..=12) });
    let vote = Some(hard_state(3, 1));
    host.persist(Write { hard_state: vote, committed: Index(12), ..bare(2) });
    host.settle();
    let mut disk = host.disk;
    let last = segments(&mut disk).into_iter().rfind(|(number, bytes)| {
        read(&mut disk.clone(), FileName::Segment(*number), 0, *bytes).iter().any(|byte| *byte != 0)
    });
    remove(&mut disk, last.expect("there are flushes").0);
    for _ in 0..2 {
        let (_, opened) = Host::open(disk.clone()).expect("the end of the log is lost");
        assert!(opened.lost_end.is_some());
        assert_eq!((opened.last.index, opened.committed), (Index(8), Index(2)));
    }
    let (host, _) = Host::open(disk).expect("as before");
    let (_, opened) = Host::open(host.crash(&BTreeSet::new())).expect("the loss is recorded");
    assert_eq!((opened.last.index, opened.committed), (Index(8), Index(2)));
}

#[test]
fn a_torn_flush_after_a_lost_end_that_the_snapshot_covers_is_dropped() {
    let host = Host::with_nine();
    let (mut host, _) = Host::open(host.disk).expect("it opens");
    host.act(Storage::start);
    for (id, indices) in [(5, 10..=12), (6, 13..=15)] {
        host.persist(write(id, 1, indices));
        host.settle();
    }
    host.take_snapshot(15);
    let mut disk = host.disk;
    remove(&mut disk, 2);
    let (mut host, opened) = Host::open(disk).expect("the end of the log is lost");
    assert!(opened.lost_end.is_some());
    host.act(Storage::start);
    host.settle();
    host.persist(write(1, 1, 16..=18));
    assert!(host.step_silently() && host.step_in_part(), "the header block, and some bodies");
    for _ in 0..2 {
        let (_, opened) = Host::open(host.disk.clone()).expect("the flush is not acknowledged");
        assert_eq!(opened.last.index, Index(15));
    }
}

/// A disk that fails at a change, and at every change after it. It can still be read.
#[derive(Debug)]
struct FailingDisk {
    disk: SimDisk,
    /// The number of operations other than reads that succeed.
    left: usize,
}

impl Disk for FailingDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let changes = !matches!(action, FileAction::Read { .. });
        if changes && self.left == 0 {
            return Err(DiskError::Failed("the power fails".to_owned()));
        }
        self.left -= usize::from(changes);
        self.disk.execute(action)
    }
}

#[test]
fn an_interrupted_start_without_the_end_of_the_log_finds_the_loss_again_or_has_recorded_it() {
    let mut host = flushes(&long(), 20);
    host.act(Storage::close);
    host.settle();
    let mut without = host.crash(&BTreeSet::new());
    zero_flushes(&mut without, (15, 20), (true, true));
    let (mut found_again, mut recorded) = (0, 0);
    for left in 0.. {
        let mut failing = FailingDisk { disk: without.clone(), left };
        let complete = Storage::open(&mut failing, CLUSTER, NODE, &long()).is_ok();
        for kept in [&[][..], &[0], &[1], &[0, 1, 2, 3]] {
            let mut disk = failing.disk.clone();
            let (mut place, kept) = (0, kept.iter().copied().collect::<BTreeSet<usize>>());
            disk.crash(ChangeOrder::PerFile, |_| {
                place += 1;
                kept.contains(&(place - 1))
            });
            let (mut again, opened) = Host::open_with(disk, &long()).expect("it opens again");
            assert!(opened.hard_state.is_uncertain, "the loss is not forgotten after {left}");
            assert_eq!(again.log(), (1..=14).map(|index| entry(0, index)).collect::<Vec<_>>());
            found_again += usize::from(opened.lost_end.is_some());
            recorded += usize::from(opened.lost_end.is_none());
        }
        if complete {
            break;
        }
    }
    assert!(found_again > 0 && recorded > 0, "{found_again} {recorded}");
}

#[test]
fn a_torn_flush_is_known_to_be_lost_if_a_sector_of_the_next_one_is_left() {
    // A power failure has lost the marks, all of the last flush except for a part of its bodies,
    // and bodies of the previous one, which was acknowledged before the last one began.
    let mut disk = flushes(&long(), 4).disk.durable_copy();
    (1..=2).for_each(|seq| zero(&mut disk, FileName::Superblock, mark_at(seq), PAGE));
    zero_flushes(&mut disk, (4, 4), (true, false));
    zero(&mut disk, FileName::Segment(1), long().segment_bytes - 4 * PAGE, 512);
    zero_flushes(&mut disk, (3, 3), (false, true));
    assert_eq!(last_and_damaged(&disk), (Index(3), vec![Index(3)]));
    // Without that part, nothing shows that the previous flush was ever complete.
    zero_flushes(&mut disk, (4, 4), (false, true));
    assert_eq!(last_and_damaged(&disk), (Index(2), Vec::new()));
}

#[test]
fn a_torn_flush_is_known_to_be_lost_if_a_later_file_has_the_headers_of_the_next_one() {
    // A power failure has lost the update of the superblock, the marks, and the bodies of the last
    // flush, the first of its file, and of the previous one.
    let mut before = flushes(&long(), 32).disk.durable_copy();
    let mut disk = flushes(&long(), 33).disk.durable_copy();
    assert!(read(&mut disk, FileName::Segment(2), 0, PAGE).iter().any(|byte| *byte != 0));
    for copy in 0..4 {
        let bytes = read(&mut before, FileName::Superblock, copy << 20, PAGE);
        overwrite(&mut disk, FileName::Superblock, copy << 20, bytes);
    }
    (1..=2).for_each(|seq| zero(&mut disk, FileName::Superblock, mark_at(seq), PAGE));
    zero_flushes(&mut disk, (32, 32), (false, true));
    zero(&mut disk, FileName::Segment(2), long().segment_bytes - PAGE, PAGE);
    assert_eq!(last_and_damaged(&disk), (Index(32), vec![Index(32)]));
}

/// Returns the last index that a start finds, and the damaged ones.
fn last_and_damaged(disk: &SimDisk) -> (Index, Vec<Index>) {
    let opened = Host::open_with(disk.clone(), &long()).expect("the directory opens").1;
    (opened.last.index, opened.damaged.iter().map(|damaged| damaged.id.index).collect())
}
