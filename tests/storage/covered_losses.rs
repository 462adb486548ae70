//! Flushes that cannot be read, between flushes that can: if the snapshot covers their entries, the
//! log begins after them.

use std::collections::BTreeSet;

use quorate::storage::{Inspection, Storage};
use quorate::types::{Index, Write};

use super::host::{Host, bare, config, entry, hard_state, write};
use super::losses::{failure, remove, segments};

#[test]
fn lost_flushes_that_the_snapshot_covers_are_removed() {
    // Four flushes fill a segment: entries 5 through 8 are in the second one.
    for (covered, opens) in [(12, true), (8, true), (7, false)] {
        let mut host = Host::fresh();
        host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
        for index in 1..=18 {
            host.persist(write(index + 1, 1, index..=index));
            host.settle();
        }
        host.take_snapshot(covered);
        let mut disk = host.disk.clone();
        remove(&mut disk, 2);
        if !opens {
            let error = failure(&disk, &config());
            assert!(error.message.contains("entries 5 through 8 are lost"), "{error}");
            continue;
        }
        let found = Inspection::open(&mut disk.clone(), &config()).expect("it can be read");
        let (mut host, opened) = Host::open_with(disk, &config()).expect("nothing is needed");
        let loss = opened.covered_loss.expect("the loss is named");
        assert!(loss.message.contains("entries 5 through 8 are lost"), "{loss}");
        assert_eq!((found.opened.covered_loss, found.damage), (Some(loss), None));
        assert_eq!((opened.base.index, opened.last.index), (Index(8), Index(18)));
        let rest: Vec<_> = (9..=18).map(|index| entry(1, index)).collect();
        assert_eq!(host.log(), rest);
        host.act(Storage::start);
        host.settle();
        assert_eq!(segments(&mut host.disk.clone()).first().map(|(number, _)| *number), Some(3));
        host.persist(write(30, 1, 19..=19));
        host.settle();
        let (mut host, opened) =
            Host::open_with(host.crash(&BTreeSet::new()), &config()).expect("the log goes on");
        assert_eq!((opened.covered_loss, opened.last.index), (None, Index(19)));
        assert_eq!(host.log().len(), 11);
    }
}
