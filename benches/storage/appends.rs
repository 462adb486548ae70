//! Appends with group commit, against the disk's own limit.
//!
//! A fixed number of clients append in a closed loop: each appends again as soon as its append is
//! durable. The store runs on one thread, and a second thread executes the lane `Log`. The limit
//! repeats the work of the second thread: the same writes of the same sizes at the same offsets,
//! with the same syncs between them, in a file of the same size that was written in full before.
//!
//! With one turn, all clients append together and wait for the same flush: nothing can be prepared
//! while the disk works, so every computation of the store for a flush adds to its latency. With
//! two turns, half of the clients append while the flush of the other half is in progress, and
//! their entries are hashed meanwhile, as with requests that arrive at any time. A flush then has
//! half as many entries.
//!
//! Two limits are printed. The *bare* one is a single thread that only writes and syncs: the limit
//! of the disk. The *relayed* one receives each flush from another thread over the same
//! channels and replies to it: the limit of two threads and the disk. The store's part is the rest:
//! hashes, chains, headers, checksums, and the index. Each thread polls for the other's message for
//! a while before it sleeps, so that no wake-up delays a flush.
//!
//! Segments are created before the measurement. In production a separate lane creates them and
//! fills them with zeros, so that every byte is written twice. Neither side includes that cost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate::storage::{Event, Storage, StorageConfig};
use quorate::types::{Command, Index, WriteId};

use crate::carrier::{Done, LogWorker, Worker, log_worker, settle};
use crate::{Effort, first_write, fresh, median, percent, timed, write};

/// One load: the number of clients and their appends.
#[derive(Clone, Copy, Debug)]
struct Load {
    clients: usize,
    /// The size of each command, in bytes.
    bytes: usize,
    /// The number of groups of clients: 1 if all append together, 2 if two groups alternate.
    turns: usize,
    /// The number of flushes in one round.
    flushes: usize,
}

const LOADS: [Load; 10] = [
    Load { clients: 1, bytes: 128, turns: 1, flushes: 250 },
    Load { clients: 64, bytes: 128, turns: 1, flushes: 250 },
    Load { clients: 64, bytes: 128, turns: 2, flushes: 250 },
    Load { clients: 256, bytes: 128, turns: 1, flushes: 200 },
    Load { clients: 256, bytes: 128, turns: 2, flushes: 200 },
    Load { clients: 1, bytes: 1024, turns: 1, flushes: 250 },
    Load { clients: 64, bytes: 1024, turns: 1, flushes: 150 },
    Load { clients: 64, bytes: 1024, turns: 2, flushes: 150 },
    Load { clients: 256, bytes: 1024, turns: 1, flushes: 60 },
    Load { clients: 256, bytes: 1024, turns: 2, flushes: 60 },
];
/// The bytes of a flush beyond its entries: its fixed part, and two partly filled pages.
const PADDING: usize = 12 << 10;

/// Measures every load and prints a row for each.
pub(crate) fn report(path: &Path, effort: Effort) {
    let (rounds, share) = match effort {
        Effort::Full => (21, 1),
        Effort::Quick => (9, 3),
        Effort::Smoke => (1, 50),
    };
    println!("\nappends against the same writes and syncs alone, medians of {rounds} rounds");
    println!("(goal: 90 % of the bare limit with 64 clients, commands of 128 bytes)");
    println!(
        "{:<30}{:>10}{:>11}{:>11}{:>11}{:>11}{:>10}",
        "", "appends/s", "flush", "relayed", "bare", "of relayed", "of bare"
    );
    for load in LOADS {
        row(path, load, rounds, load.flushes.div_ceil(share));
    }
}

fn row(path: &Path, load: Load, rounds: usize, flushes: usize) {
    let Load { clients, bytes, turns, .. } = load;
    let path = path.join(format!("{clients}-{bytes}-{turns}"));
    let mut subject = Subject::new(&path, load, flushes * (rounds + 1));
    let mut limit = Limit::new(&path.join("limit"), subject.segment_bytes);
    subject.run(flushes);
    let (mut stores, mut relayed, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (time, done) = subject.run(flushes);
        stores.push(time);
        relayed.push(limit.relayed(&done));
        bares.push(limit.bare(&done));
    }
    subject.worker.join();
    limit.worker.join();
    let ratio = |limits: &[Duration]| {
        let ratios = limits.iter().zip(&stores).map(|(limit, store)| percent(*limit, *store));
        median(&ratios.collect::<Vec<_>>())
    };
    let micros = |times: &[Duration]| median(times).as_secs_f64() * 1e6 / flushes as f64;
    println!(
        "{:<30}{:>10.0}{:>8.0} µs{:>8.0} µs{:>8.0} µs{:>9.1} %{:>8.1} %",
        format!("{clients} clients, {bytes} bytes{}", if turns == 1 { "" } else { ", in turns" }),
        (clients / turns) as f64 * 1e6 / micros(&stores),
        micros(&stores),
        micros(&relayed),
        micros(&bares),
        ratio(&relayed),
        ratio(&bares),
    );
}

/// A store on its thread, and the clients that append to it.
struct Subject {
    load: Load,
    segment_bytes: u64,
    storage: Storage,
    worker: LogWorker,
    command: Command,
    next: Index,
    last_write: WriteId,
}

impl Subject {
    /// Opens a store with room for `flushes` flushes in one segment.
    fn new(path: &Path, load: Load, flushes: usize) -> Subject {
        let flush = load.clients / load.turns * (load.bytes + StorageConfig::ENTRY_BYTES);
        let flush = flush + flush / 100 + PADDING;
        let segment_bytes = (flushes * flush).next_multiple_of(1 << 20).max(16 << 20) as u64;
        let config = StorageConfig { segment_bytes, spare_segments: 2, ..StorageConfig::default() };
        let (mut disk, mut storage) = fresh(path, &config);
        let mut events = Vec::new();
        storage.start(&mut events);
        storage.persist(first_write(), &mut events);
        settle(&mut storage, &mut disk, events, drop);
        let command = Command::from(vec![7; load.bytes]);
        let (next, last_write) = (Index(1), WriteId(1));
        Subject {
            load,
            segment_bytes,
            storage,
            worker: log_worker(disk),
            command,
            next,
            last_write,
        }
    }

    /// Runs `flushes` flushes, each with an append of every client whose turn it is.
    fn run(&mut self, flushes: usize) -> (Duration, Vec<Done>) {
        let mut done = Vec::new();
        let time = timed(|| self.append(flushes, &mut done));
        (time, done)
    }

    fn append(&mut self, flushes: usize, done: &mut Vec<Done>) {
        let (mut left, mut ready) = (flushes, self.load.turns);
        // The number of requests to the worker that it has not answered. It can exceed one: the
        // next flush may be sent before the write of a floor mark is answered.
        let mut in_progress = 0;
        let mut events = Vec::new();
        loop {
            // The disk's next operations come first, then the clients that have a reply.
            let mut operations = Vec::new();
            for event in events.drain(..) {
                match event {
                    Event::Disk(operation) => operations.push(operation),
                    Event::Persisted(_) => ready += 1,
                    event => panic!("unexpected event: {event:?}"),
                }
            }
            if !operations.is_empty() {
                self.worker.requests.send(operations).expect("the worker waits for requests");
                in_progress += 1;
            }
            if ready > 0 && left > 0 {
                (ready, left) = (ready - 1, left - 1);
                self.submit(&mut events);
            } else if in_progress > 0 {
                let (completions, more) = self.worker.answer();
                done.extend(more);
                in_progress -= 1;
                for completion in completions {
                    self.storage.completed(completion, &mut events);
                }
            } else {
                return;
            }
        }
    }

    /// Appends one command for each client whose turn it is.
    fn submit(&mut self, events: &mut Vec<Event>) {
        let count = self.load.clients / self.load.turns;
        self.last_write = WriteId(self.last_write.0 + 1);
        let write = write(self.last_write, self.next, count, &self.command);
        self.next = Index(self.next.0 + count as u64);
        self.storage.persist(write, events);
    }
}

/// The limit: repeats the writes and syncs of the lane `Log`.
struct Limit {
    file: Arc<File>,
    bytes: Vec<u8>,
    worker: Worker<Vec<Done>, ()>,
}

impl Limit {
    fn new(path: &Path, bytes: u64) -> Limit {
        let file = File::create_new(path).expect("a new file");
        let zeros = vec![0; 1 << 20];
        for piece in 0..bytes >> 20 {
            file.write_all_at(&zeros, piece << 20).expect("the disk has space");
        }
        file.sync_all().expect("a disk that works");
        let file = Arc::new(file);
        let (theirs, bytes) = (Arc::clone(&file), vec![7; 8 << 20]);
        let content = bytes.clone();
        let worker = Worker::new(move |flush: Vec<Done>| {
            flush.iter().for_each(|done| repeat(&theirs, &content, *done));
        });
        Limit { file, bytes, worker }
    }

    /// Repeats the operations on this thread, one after the other.
    fn bare(&mut self, done: &[Done]) -> Duration {
        timed(|| done.iter().for_each(|done| repeat(&self.file, &self.bytes, *done)))
    }

    /// Repeats the operations on the worker, one flush at a time, each with a reply.
    fn relayed(&mut self, done: &[Done]) -> Duration {
        timed(|| {
            for flush in done.split_inclusive(|done| matches!(done, Done::Sync)) {
                self.worker.requests.send(flush.to_vec()).expect("the worker waits for requests");
                self.worker.answer();
            }
        })
    }
}

fn repeat(file: &File, bytes: &[u8], done: Done) {
    match done {
        Done::Write(offset, length) => file.write_all_at(&bytes[..length], offset),
        Done::Sync => file.sync_data(),
    }
    .expect("a disk that works");
}
