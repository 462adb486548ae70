//! Appends with group commit, against the disk's own limit.
//!
//! So many clients append in a closed loop: each once more as soon as its append is durable. The
//! store runs on one thread and a second one carries out the lane `Log`. The limit is what the
//! second thread did, done again: the same writes of the same sizes at the same offsets, with the
//! same syncs between them, in a file of the same size that was written in full before.
//!
//! Two limits are given. The bare one is a single thread with nothing to do between two syncs: what
//! the disk can do. The handed one gets each flush from another thread, over the same channels, and
//! answers it: no store that leaves its thread free while the disk works can be faster than that.
//! The store's part is everything else: digests, chains, headers, checksums, and the index.
//!
//! Segments are created before the measurement. Afterwards that is a lane of its own, in which the
//! same number of bytes is written once more, and neither side is charged for it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate::storage::{Event, FileDisk, Storage, StorageConfig};
use quorate::types::{Command, Index, WriteId};

use crate::carrier::{Done, Worker, log_worker, settle, split};
use crate::{Effort, first_write, fresh, median, percent, timed, write};

/// How many clients, the bytes of a command, and the flushes of a round.
const LOADS: [(usize, usize, usize); 6] = [
    (1, 128, 250),
    (64, 128, 250),
    (256, 128, 200),
    (1, 1024, 250),
    (64, 1024, 150),
    (256, 1024, 60),
];
/// What a flush takes beside its entries: its fixed part, and two pages begun.
const PADDING: usize = 12 << 10;
/// The load of the goal, in percent of the handed limit.
const GOAL: (usize, usize) = (64, 128);

/// Measures and prints.
pub(crate) fn report(path: &Path, effort: Effort) {
    let (rounds, share) = match effort {
        Effort::Full => (21, 1),
        Effort::Quick => (9, 3),
        Effort::Smoke => (1, 50),
    };
    println!("\nappends against the same writes and syncs alone, medians of {rounds} rounds");
    println!(
        "{:<20}{:>12}{:>12}{:>12}{:>12}{:>11}{:>11}",
        "", "appends/s", "flush", "handed", "bare", "of handed", "of bare"
    );
    for (clients, bytes, flushes) in LOADS {
        let path = path.join(format!("{clients}-{bytes}"));
        let flushes = flushes.div_ceil(share);
        let mut subject = Subject::new(&path, clients, bytes, flushes * (rounds + 1));
        let mut peer = Peer::new(&path.join("peer"), subject.config.segment_bytes);
        subject.run(flushes);
        let (mut stores, mut handed, mut bares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (time, done) = subject.run(flushes);
            stores.push(time);
            let done = Arc::new(done);
            handed.push(peer.handed(&done));
            bares.push(peer.bare(&done));
        }
        subject.end();
        peer.end();
        let ratio = |limits: &[Duration]| {
            let ratios = limits.iter().zip(&stores).map(|(limit, store)| percent(*limit, *store));
            median(&ratios.collect::<Vec<_>>())
        };
        let micros = |times: &[Duration]| median(times).as_secs_f64() * 1e6 / flushes as f64;
        let goal = if (clients, bytes) == GOAL { "  (goal: 90 %)" } else { "" };
        println!(
            "{:<20}{:>12.0}{:>9.0} µs{:>9.0} µs{:>9.0} µs{:>9.1} %{:>9.1} %{goal}",
            format!("{clients} of {bytes} bytes"),
            clients as f64 * 1e6 / micros(&stores),
            micros(&stores),
            micros(&handed),
            micros(&bares),
            ratio(&handed),
            ratio(&bares),
        );
    }
}

/// A store on its thread, and the clients that append.
struct Subject {
    config: StorageConfig,
    storage: Storage,
    disk: FileDisk,
    worker: Worker<Vec<quorate::storage::Operation>, (Vec<quorate::storage::Completion>, Vec<Done>)>,
    clients: usize,
    command: Command,
    next: Index,
    last_write: WriteId,
}

impl Subject {
    fn new(path: &Path, clients: usize, bytes: usize, flushes: usize) -> Subject {
        let flush = clients * (bytes + StorageConfig::ENTRY_BYTES);
        let flush = flush + flush / 100 + PADDING;
        let segment_bytes = (flushes * flush).next_multiple_of(1 << 20).max(16 << 20) as u64;
        let config = StorageConfig {
            segment_bytes,
            segments_ahead: 1,
            ..StorageConfig::default()
        };
        let (mut disk, mut storage) = fresh(path, &config);
        let mut events = Vec::new();
        storage.start(&mut events);
        storage.persist(first_write(), &mut events);
        settle(&mut storage, &mut disk, events, drop);
        let worker = log_worker(disk.clone());
        let command = Command::from(vec![7; bytes]);
        let (next, last_write) = (Index(1), WriteId(1));
        Subject { config, storage, disk, worker, clients, command, next, last_write }
    }

    /// So many flushes, each with an append of every client.
    fn run(&mut self, flushes: usize) -> (Duration, Vec<Done>) {
        let mut done = Vec::new();
        let time = timed(|| {
            for _ in 0..flushes {
                self.append(&mut done);
            }
        });
        (time, done)
    }

    /// All clients append, and wait.
    fn append(&mut self, done: &mut Vec<Done>) {
        self.last_write = WriteId(self.last_write.0 + 1);
        let write = write(self.last_write, self.next, self.clients, &self.command);
        self.next = Index(self.next.0 + self.clients as u64);
        let mut durable = false;
        let mut events = Vec::new();
        self.storage.persist(write, &mut events);
        while !durable {
            let mut other = |event| durable |= event == Event::Persisted(self.last_write);
            let log = split(&mut self.storage, &mut self.disk, &mut events, &mut other);
            if durable {
                return;
            }
            self.worker.requests.send(log).expect("the worker waits for requests");
            let (completions, more) = self.worker.answers.recv().expect("and answers them");
            done.extend(more);
            for completion in completions {
                self.storage.completed(completion, &mut events);
            }
        }
    }

    fn end(self) {
        self.worker.join();
    }
}

/// Does what the store's thread did.
struct Peer {
    file: Arc<File>,
    bytes: Vec<u8>,
    worker: Worker<Vec<Done>, ()>,
}

impl Peer {
    fn new(path: &Path, bytes: u64) -> Peer {
        let file = File::create_new(path).expect("a new file");
        let zeros = vec![0; 1 << 20];
        for piece in 0..bytes >> 20 {
            file.write_all_at(&zeros, piece << 20).expect("there is room");
        }
        file.sync_all().expect("a disk that works");
        let file = Arc::new(file);
        let (theirs, bytes) = (Arc::clone(&file), vec![7; 8 << 20]);
        let content = bytes.clone();
        let worker = Worker::new(move |flush: Vec<Done>| {
            flush.iter().for_each(|done| repeat(&theirs, &content, *done));
        });
        Peer { file, bytes, worker }
    }

    /// On this thread, one after the other.
    fn bare(&mut self, done: &[Done]) -> Duration {
        timed(|| done.iter().for_each(|done| repeat(&self.file, &self.bytes, *done)))
    }

    /// On the worker, a flush at a time, each answered.
    fn handed(&mut self, done: &[Done]) -> Duration {
        timed(|| {
            for flush in done.split_inclusive(|done| matches!(done, Done::Sync)) {
                self.worker.requests.send(flush.to_vec()).expect("the worker waits for requests");
                self.worker.answers.recv().expect("and answers them");
            }
        })
    }

    fn end(self) {
        self.worker.join();
    }
}

fn repeat(file: &File, bytes: &[u8], done: Done) {
    match done {
        Done::Write(offset, length) => file.write_all_at(&bytes[..length], offset),
        Done::Sync => file.sync_data(),
    }
    .expect("a disk that works");
}
