//! The recording of a node in a bounded ring of files, written by a thread of its own.
//!
//! The driver never waits for the thread. If the queue to it is full, blocks are dropped and
//! counted, and the recording continues with a checkpoint once the queue is empty. The first error
//! of the disk ends the recording; the node runs on.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{Span, info, warn};

use crate::recording::{Block, EXTENSION, Recorder, RecorderConfig};
use crate::runtime::environment::{Environment, Simulation};
use crate::runtime::lanes::Event;
use crate::runtime::metrics::Counts;
use crate::storage::ClusterId;
use crate::types::Instant;

/// The maximum number of blocks that wait for the thread.
const BLOCKS_MAX: usize = 64;

/// The number of segments in a full ring, if no checkpoint is large.
const SEGMENTS: u64 = 8;

/// Returns the configuration of the recorder of a node whose own clock shows `now`. The recording
/// may have `bytes` in all.
pub(super) fn recorder_config(cluster: ClusterId, bytes: u64, now: Instant) -> RecorderConfig {
    let segment_bytes = usize::try_from(bytes / SEGMENTS).unwrap_or(usize::MAX);
    let defaults = RecorderConfig::default();
    let entropy = || Environment::System.entropy() as u64;
    RecorderConfig {
        cluster: cluster.0,
        start: entropy(),
        key: entropy(),
        unix_time: unix_time().checked_sub(Duration::from_nanos(now.0)),
        segment_bytes,
        block_bytes: defaults.block_bytes.min(segment_bytes),
        ..defaults
    }
}

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "operators search by time")]
fn unix_time() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The driver's end of the recording.
pub(super) struct RecordingLane {
    sink: BlockSink,
    counts: Arc<Counts>,
    /// Whether blocks are dropped until the queue is empty.
    is_full: bool,
    /// Whether blocks are dropped until a segment begins, because one before them was dropped.
    skips: bool,
}

/// The receiver of the blocks.
enum BlockSink {
    /// Nothing: the node does not record, or its recording has ended.
    Off,
    /// The thread writes them to the ring of files.
    Thread(Sender<Block>),
    /// The simulation in which the node runs takes them.
    Simulation(Arc<dyn Simulation>),
}

impl RecordingLane {
    /// Returns the lane of a node that writes no files. A simulation takes the blocks.
    pub(super) fn without_files(environment: &Environment, counts: Arc<Counts>) -> RecordingLane {
        let sink = match environment.simulation() {
            Some(simulation) => BlockSink::Simulation(Arc::clone(simulation)),
            None => BlockSink::Off,
        };
        RecordingLane { sink, counts, is_full: false, skips: false }
    }

    /// Starts the thread. It drops its clone of `events` when it ends.
    pub(super) fn start(
        ring: RecordingRing,
        counts: Arc<Counts>,
        events: UnboundedSender<Vec<Event>>,
    ) -> io::Result<RecordingLane> {
        let (sender, blocks) = bounded(BLOCKS_MAX);
        let (span, thread_counts) = (Span::current(), Arc::clone(&counts));
        thread::Builder::new().name("quorate-record".to_owned()).spawn(move || {
            let _within = span.entered();
            write_blocks(ring, &blocks, &thread_counts);
            drop((blocks, events));
        })?;
        counts.disk.recording.set(1);
        let sink = BlockSink::Thread(sender);
        Ok(RecordingLane { sink, counts, is_full: false, skips: false })
    }

    /// Queues the finished blocks. Returns false if the recording has ended.
    pub(super) fn take(&mut self, recorder: &mut Recorder) -> bool {
        let sender = match &self.sink {
            BlockSink::Off => return false,
            BlockSink::Thread(sender) => sender,
            BlockSink::Simulation(simulation) => {
                while let Some(block) = recorder.next_block() {
                    simulation.record(&block);
                }
                return true;
            }
        };
        if self.is_full && sender.is_empty() {
            recorder.on_dropped_block();
            (self.is_full, self.skips) = (false, true);
        }
        while let Some(block) = recorder.next_block() {
            self.skips &= !block.begins_segment();
            if self.is_full || self.skips {
                self.counts.disk.recording_dropped.add(1);
                continue;
            }
            match sender.try_send(block) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    self.is_full = true;
                    self.counts.disk.recording_dropped.add(1);
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.sink = BlockSink::Off;
                    return false;
                }
            }
        }
        true
    }
}

/// Writes blocks until the driver is gone or the disk fails.
fn write_blocks(mut ring: RecordingRing, blocks: &Receiver<Block>, counts: &Counts) {
    for block in blocks {
        match ring.write(&block) {
            Ok(()) => counts.disk.recording_bytes.add(block.bytes().len() as u64),
            Err(error) => {
                counts.disk.recording.set(0);
                let directory = ring.directory.display();
                warn!(%directory, %error, "the recording has ended; the node runs without it");
                return;
            }
        }
    }
}

/// Returns the free space of the directory's file system, in bytes, if it can be found out.
type FreeBytes = Box<dyn Fn(&Path) -> Option<u64> + Send>;

/// A ring of files, each with one segment. The oldest are removed so that all together have a
/// bounded size. While its file system has less free space than that size, the ring grows by one
/// segment at most, so that a log that grows finds this space.
pub(super) struct RecordingRing {
    directory: PathBuf,
    bytes_max: u64,
    /// The size that the ring may have at present: `bytes_max`, or the size that it had when the
    /// free space was found to be low.
    bytes_now_max: u64,
    free_bytes: FreeBytes,
    /// The number and the size of each file, in ascending order.
    files: VecDeque<(u64, u64)>,
    /// The file of the current segment, the last one.
    current: Option<File>,
}

impl RecordingRing {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the ring in `directory`, which is created if it is missing.
    pub(super) fn open(directory: PathBuf, bytes_max: u64) -> io::Result<RecordingRing> {
        create_directory(&directory)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if let Some(number) = number_of(&entry.path()) {
                files.push((number, entry.metadata()?.len()));
            }
        }
        files.sort_unstable();
        info!(directory = %directory.display(), bytes_max, "recording");
        Ok(RecordingRing {
            directory,
            bytes_max,
            bytes_now_max: bytes_max,
            free_bytes: Box::new(free_bytes),
            files: files.into(),
            current: None,
        })
    }

    fn write(&mut self, block: &Block) -> io::Result<()> {
        if block.begins_segment() {
            self.begin_file()?;
        }
        let bytes = block.bytes().len() as u64;
        let current = self.files.back().map_or(0, |(_, bytes)| *bytes);
        if current + bytes > self.bytes_now_max {
            let text = "the state and the inputs of one segment exceed the recording's size";
            return Err(io::Error::other(text));
        }
        while self.files.len() > 1 && self.bytes() + bytes > self.bytes_now_max {
            let (oldest, _) = self.files.pop_front().expect("there is more than one");
            match fs::remove_file(self.path(oldest)) {
                // An operator may have moved the file away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        let (Some(file), Some((_, size))) = (&mut self.current, self.files.back_mut()) else {
            return Err(io::Error::other("a recording begins with a segment"));
        };
        if let Err(error) = file.write_all(block.bytes()) {
            // A reader of the concatenated files would not find the file after an incomplete block.
            let _ = file.set_len(*size);
            return Err(error);
        }
        *size += bytes;
        Ok(())
    }

    /// The size of all files.
    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    fn begin_file(&mut self) -> io::Result<()> {
        self.limit_growth()?;
        let number = self.files.back().map_or(1, |(last, _)| last + 1);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.current = Some(options.open(self.path(number))?);
        self.files.push_back((number, 0));
        Ok(())
    }

    /// Lets the ring grow by one segment at most while its file system has little free space. It
    /// has that room after every start, so that the starts of a node that crashes again and again
    /// do not remove one file each.
    ///
    /// # Errors
    /// An [`io::Error`] if the ring is smaller than two segments; its files are kept.
    fn limit_growth(&mut self) -> io::Result<()> {
        let is_low = (self.free_bytes)(&self.directory).is_some_and(|free| free < self.bytes_max);
        if !is_low {
            self.bytes_now_max = self.bytes_max;
        } else if self.bytes_now_max == self.bytes_max {
            let (bytes, segment) = (self.bytes(), self.bytes_max / SEGMENTS);
            if bytes < 2 * segment {
                let text = format!("its file system has less than {} bytes free", self.bytes_max);
                return Err(io::Error::other(text));
            }
            self.bytes_now_max = (bytes + segment).min(self.bytes_max);
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(file_name(number))
    }
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Returns the name of a file of the ring.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:010}.{EXTENSION}")
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }
}

/// The number of a file of the ring; none for any other file.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    let number = path.file_stem()?.to_str()?.parse().ok()?;
    let name = file_name(number);
    path.file_name().filter(|found| **found == *name).map(|_| number)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::raft::{Config, Input, Raft};
    use crate::recording::{FOLDER, Replay, Replayed};
    use crate::types::{Membership, NodeId, Restored};

    const BYTES_MAX: u64 = 16 << 10;

    /// A node that leads alone, and its recorder.
    struct Node {
        raft: Raft,
        recorder: Recorder,
        now: Instant,
    }

    impl Node {
        fn new() -> Node {
            let restored = Restored::fresh(Membership::new([NodeId(1)]));
            let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
            let config = recorder_config(ClusterId(7), BYTES_MAX, Instant::ZERO);
            let recorder = Recorder::new(RecorderConfig { block_bytes: 200, ..config });
            Node { raft: raft.expect("a valid start"), recorder, now: Instant::ZERO }
        }

        fn step(&mut self) {
            self.now = self.raft.deadline().max(self.now.after(Duration::from_millis(1)));
            self.recorder.step(&mut self.raft, self.now, Input::Timeout, &mut Vec::new());
        }
    }

    fn counts() -> Arc<Counts> {
        Arc::new(Counts::new(NodeId(1), ClusterId(7)))
    }

    fn content(directory: &Path) -> Vec<u8> {
        let entries = fs::read_dir(directory).expect("it exists").flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().flat_map(|path| fs::read(path).expect("it is a file")).collect()
    }

    #[test]
    fn a_ring_keeps_the_last_segments_within_its_size() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join(FOLDER);
        let mut node = Node::new();
        for start in 0..2 {
            let mut ring = RecordingRing::open(directory.clone(), BYTES_MAX).expect("it opens");
            node.recorder.on_dropped_block();
            for _ in 0..5_000 {
                node.step();
                while let Some(block) = node.recorder.next_block() {
                    ring.write(&block).expect("the disk has space");
                }
                let bytes = content(&directory).len() as u64;
                assert!(bytes <= BYTES_MAX, "{bytes} bytes in start {start}");
            }
        }
        let recording = content(&directory);
        assert!(recording.len() as u64 > BYTES_MAX / 2, "{} bytes", recording.len());
        let mut segments = 0;
        for part in Replay::new(&recording[..]) {
            let part = part.expect("the ring is a recording");
            segments += usize::from(matches!(part, Replayed::Segment { .. }));
        }
        assert!(segments > 4, "{segments} segments");
    }

    #[test]
    fn a_ring_does_not_grow_into_the_last_free_space() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join(FOLDER);
        let free = Arc::new(AtomicU64::new(BYTES_MAX));
        let open = |directory: &Path| {
            let mut ring = RecordingRing::open(directory.to_owned(), BYTES_MAX)?;
            let free = Arc::clone(&free);
            ring.free_bytes = Box::new(move |_| Some(free.load(Ordering::Relaxed)));
            Ok::<_, io::Error>(ring)
        };
        let (mut node, mut ring) = (Node::new(), open(&directory).expect("it opens"));
        // Returns the largest size until the ring is larger than `bytes`.
        let mut run = |bytes: u64| {
            let mut largest = 0;
            for _ in 0..5_000 {
                node.step();
                while let Some(block) = node.recorder.next_block() {
                    ring.write(&block).expect("there is room");
                }
                largest = largest.max(content(&directory).len() as u64);
                if largest > bytes {
                    break;
                }
            }
            largest
        };
        let found = run(BYTES_MAX / 2);
        free.store(BYTES_MAX - 1, Ordering::Relaxed);
        let kept = run(BYTES_MAX);
        assert!(kept < found + BYTES_MAX / 4, "{found} bytes, and then {kept}");
        assert!(!directory.join(file_name(1)).exists(), "it still records");
        free.store(BYTES_MAX, Ordering::Relaxed);
        let grown = run(BYTES_MAX * 7 / 8);
        assert!(grown > BYTES_MAX * 7 / 8, "{grown} bytes");

        free.store(BYTES_MAX - 1, Ordering::Relaxed);
        let before = content(&directory).len() as u64;
        for _ in 0..20 {
            let (mut node, mut ring) = (Node::new(), open(&directory).expect("it opens"));
            node.step();
            let block = node.recorder.next_block().expect("a segment begins");
            ring.write(&block).expect("there is room");
        }
        let after = content(&directory).len() as u64;
        assert!(after > before - BYTES_MAX / 4, "20 starts: {before} bytes, and then {after}");

        free.store(0, Ordering::Relaxed);
        let empty = root.path().join("empty");
        let mut ring = open(&empty).expect("it opens");
        let mut node = Node::new();
        node.step();
        let block = node.recorder.next_block().expect("a segment begins");
        let error = ring.write(&block).expect_err("there is no space").to_string();
        assert_eq!(error, "its file system has less than 16384 bytes free");
        assert_eq!(fs::read_dir(&empty).expect("it exists").count(), 0);
    }

    #[test]
    fn a_full_queue_drops_blocks_until_it_is_empty_and_then_continues_with_a_checkpoint() {
        let (sender, blocks) = bounded(4);
        let counts = counts();
        let mut lane = RecordingLane {
            sink: BlockSink::Thread(sender),
            counts: Arc::clone(&counts),
            is_full: false,
            skips: false,
        };
        let (mut node, mut recording) = (Node::new(), Vec::new());
        for round in 0..3 {
            for _ in 0..300 {
                node.step();
                assert!(lane.take(&mut node.recorder));
            }
            assert_eq!(blocks.len(), 4, "the queue is full in round {round}");
            blocks.try_iter().for_each(|block| recording.extend_from_slice(block.bytes()));
        }
        let parts: Result<Vec<Replayed>, _> = Replay::new(&recording[..]).collect();
        let parts = parts.expect("no dropped block is in the middle of a segment");
        let breaks =
            parts.iter().filter(|part| matches!(part, Replayed::Segment { continues: false, .. }));
        assert_eq!(breaks.count(), 3);
    }

    #[test]
    fn a_failed_write_ends_the_recording() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join(FOLDER);
        let ring = RecordingRing::open(directory.clone(), BYTES_MAX).expect("it opens");
        fs::remove_dir(&directory).expect("it is empty");
        let (counts, (events, mut ended)) = (counts(), tokio::sync::mpsc::unbounded_channel());
        let mut lane = RecordingLane::start(ring, counts, events).expect("a thread starts");
        let mut node = Node::new();
        node.step();
        node.recorder.finish_block();
        lane.take(&mut node.recorder);
        assert!(ended.blocking_recv().is_none(), "the thread has ended");
        node.step();
        node.recorder.finish_block();
        assert!(!lane.take(&mut node.recorder));
    }
}
