//! The cost of the store relative to the disk below it: appends, recovery, and memory.
//!
//! `cargo bench --bench storage` prints three tables; with `-- --quick` smaller ones, in less than
//! 20 seconds; with `-- appends`, `-- memory` or `-- recovery` only that table. Every figure with a
//! goal is a ratio to a baseline that is measured alternately with it, because absolute times
//! depend on the machine.
//! The files are real, below `target/`, and never on a tmpfs, where a sync costs nothing.

mod appends;
mod carrier;
mod memory;
mod recovery;

use std::path::Path;
use std::time::Duration;

use quorate::storage::{ClusterId, FileDisk, Identity, Storage, StorageConfig};
use quorate::types::{
    Command, Entry, EntryId, Incarnation, Index, Membership, NodeId, Payload, Term,
};
use quorate::types::{HardState, Write, WriteId};

const CLUSTER: ClusterId = ClusterId(1);
const NODE: NodeId = NodeId(1);

/// The size of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// The size from which published figures come.
    Full,
    /// `--quick`: fewer rounds, for a first impression.
    Quick,
    /// `cargo test --benches`: one round, to check that the benchmark still runs.
    Smoke,
}

fn main() {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let effort = match (has("--bench"), has("--quick")) {
        (false, _) => Effort::Smoke,
        (true, true) => Effort::Quick,
        (true, false) => Effort::Full,
    };
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory of its own");
    if is_tmpfs(root.path()) {
        eprintln!("{} is on a tmpfs, where a sync costs nothing", root.path().display());
        std::process::exit(1);
    }
    // Memory comes first, while nothing else has raised the peak of the process.
    let all = !["memory", "appends", "recovery"].into_iter().any(has);
    if all || has("memory") {
        memory::report(&root.path().join("memory"), effort);
    }
    if all || has("appends") {
        appends::report(&root.path().join("appends"), effort);
    }
    if all || has("recovery") {
        recovery::report(&root.path().join("recovery"), effort);
    }
}

#[cfg(target_os = "linux")]
fn is_tmpfs(path: &Path) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let found = rustix::fs::statfs(path).expect("the directory was just made");
    found.f_type as u64 == TMPFS_MAGIC
}

#[cfg(not(target_os = "linux"))]
fn is_tmpfs(_: &Path) -> bool {
    false
}

/// Opens a new directory for one node.
fn fresh(path: &Path, config: &StorageConfig) -> (FileDisk, Storage) {
    let mut disk = FileDisk::open(path).expect("a new directory");
    let identity = Identity { cluster: CLUSTER, node: NODE, incarnation: Incarnation(1) };
    let members = Membership::new([NODE]);
    Storage::format(&mut disk, identity, &members, config).expect("an empty directory");
    let (storage, _) = Storage::open(&mut disk, CLUSTER, NODE, config).expect("a formatted one");
    (disk, storage)
}

/// Returns the first write: the term of all entries.
fn first_write() -> Write {
    let hard_state = Some(HardState::new(Term(1), Some(NODE)));
    Write { hard_state, ..write(WriteId(1), Index(1), 0, &Command::from("")) }
}

/// Returns a write of `count` entries from `first` on.
fn write(id: WriteId, first: Index, count: usize, command: &Command) -> Write {
    let entry = |index| Entry {
        id: EntryId::new(Term(1), Index(index)),
        payload: Payload::Command(command.clone()),
    };
    let entries = (first.0..first.0 + count as u64).map(entry).collect();
    Write { id, hard_state: None, committed: first.previous(), install: None, entries }
}

/// Returns the time that `work` takes.
#[expect(clippy::disallowed_methods, reason = "a measurement is about real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    work();
    start.elapsed()
}

fn median<T: Copy + PartialOrd>(of: &[T]) -> T {
    let mut sorted = of.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    sorted[sorted.len() / 2]
}

/// Returns `part` as a percentage of `whole`.
fn percent(part: Duration, whole: Duration) -> f64 {
    100.0 * part.as_secs_f64() / whole.as_secs_f64()
}
