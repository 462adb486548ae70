//! A crash at each step of creating a directory and of a start, even within the creation of a file:
//! the node starts again, with everything that it had reported.

use std::collections::{BTreeMap, BTreeSet};

use quorate::storage::{Disk, DiskError, Event, FileAction, FileName, OpenError, Storage};
use quorate::types::{HardState, Index, Write, WriteId};
use quorate_sim::disk::{ChangeOrder, SimDisk};

use super::broken::act;
use super::host::{
    CLUSTER, Host, NODE, config, hard_state, identity, membership, sized_entry, write,
};

/// A disk that fails for good after a number of steps. Each change is a step, and the creation of a
/// file is several: the file that it replaces is removed, then the new file grows.
#[derive(Clone, Debug)]
struct CutDisk {
    disk: SimDisk,
    steps_left: usize,
}

impl CutDisk {
    /// Creates a file as far as the steps suffice. The system may store the name of a file of which
    /// it has not written everything.
    fn create(&mut self, file: FileName, bytes: u64) -> Result<Vec<u8>, DiskError> {
        let cuts = [None, Some(0), Some(100), Some(bytes / 2), Some(bytes - 1)];
        let Some(cut) = cuts.get(self.steps_left.wrapping_sub(1)) else {
            self.steps_left = self.steps_left.saturating_sub(cuts.len() + 1);
            return self.disk.execute(&FileAction::Create { file, bytes });
        };
        self.steps_left = 0;
        self.disk.execute(&FileAction::Remove { file })?;
        if let Some(bytes) = *cut {
            self.disk.execute(&FileAction::Create { file, bytes })?;
        }
        Err(cut_off())
    }
}

impl Disk for CutDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if let FileAction::Read { .. } | FileAction::DropCache { .. } = action {
            return self.disk.execute(action);
        }
        if self.steps_left == 0 {
            return Err(cut_off());
        }
        if let FileAction::Create { file, bytes } = action {
            return self.create(*file, *bytes);
        }
        self.steps_left -= 1;
        self.disk.execute(action)
    }
}

fn cut_off() -> DiskError {
    DiskError::Failed("the power has failed".to_owned())
}

/// The hard state and the end of the log that a node had reported before it ended.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    hard_state: HardState,
    last: Index,
}

/// Formats the directory if it is empty, starts a store on it, and makes writes durable that fill
/// two segments. Returns what was reported, and the error of the opening.
fn run(disk: &mut CutDisk, mut reported: Reported) -> (Reported, Option<OpenError>) {
    match Storage::format(disk, identity(), &membership(), &config()) {
        Ok(()) | Err(OpenError::NotEmpty(_)) => {}
        Err(error) => return (reported, Some(error)),
    }
    let (mut storage, opened) = match Storage::open(disk, CLUSTER, NODE, &config()) {
        Ok(opened) => opened,
        Err(error) => return (reported, Some(error)),
    };
    assert!(opened.lost_end.is_none() && opened.damage.is_none(), "{opened:?}");
    assert!(opened.hard_state.term >= reported.hard_state.term, "{opened:?}");
    assert!(opened.last.index >= reported.last, "{opened:?} after {reported:?}");
    let mut events = act(&mut storage, disk, Storage::start);
    let (term, last) = (opened.hard_state.term.0 + 1, opened.last.index.0);
    let hard_state = hard_state(term, 1);
    let mut states = BTreeMap::new();
    for id in 1..=6 {
        let entries = [sized_entry(term, last + id, 3000)].into();
        let change = Write { hard_state: Some(hard_state), entries, ..write(id, term, 1..=1) };
        states.insert(WriteId(id), Reported { hard_state, last: Index(last + id) });
        events.extend(act(&mut storage, disk, |storage, events| storage.persist(change, events)));
    }
    events.extend(act(&mut storage, disk, Storage::close));
    for event in events {
        match event {
            Event::Persisted(id) => reported = states[&id],
            Event::Closed | Event::Failed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    (reported, None)
}

/// Cuts a run off after each of its steps. Of the changes that are not durable then, keeps none,
/// all, each prefix and each single one. The next run has to succeed. Returns the number of
/// crashes.
fn cut_everywhere(disk: &SimDisk, before: Reported) -> usize {
    let mut crashes = 0;
    for steps in 0.. {
        let mut cut = CutDisk { disk: disk.clone(), steps_left: steps };
        let (reported, _) = run(&mut cut, before);
        let pending = cut.disk.pending().len();
        for kept in 0..=pending {
            let keeps: [&dyn Fn(usize) -> bool; 2] =
                [&|place| place < kept, &|place| place == kept];
            for keep in keeps {
                let mut crashed = cut.disk.clone();
                let mut place = 0;
                crashed.crash(ChangeOrder::PerFile, |_| {
                    place += 1;
                    keep(place - 1)
                });
                let mut again = CutDisk { disk: crashed, steps_left: usize::MAX };
                let (after, error) = run(&mut again, reported);
                assert_eq!(error, None, "{steps} steps, {kept} of {pending} changes kept");
                assert!(after.last >= Index(reported.last.0 + 6), "everything new is durable");
                crashes += 1;
            }
        }
        if cut.steps_left > 0 {
            return crashes;
        }
    }
    unreachable!("a run ends")
}

#[test]
fn a_directory_that_is_created_opens_after_a_crash_at_any_step() {
    let crashes = cut_everywhere(&SimDisk::default(), Reported::default());
    assert!(crashes > 1000, "{crashes}");
}

#[test]
fn a_directory_in_use_opens_after_a_crash_at_any_step_of_a_start() {
    let host = Host::with_nine();
    let reported = Reported { hard_state: hard_state(1, 1), last: Index(9) };
    let disk = host.crash(&BTreeSet::new());
    let crashes = cut_everywhere(&disk, reported);
    assert!(crashes > 1000, "{crashes}");
}
