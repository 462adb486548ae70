//! Tests of the ring of files, and of the queue to its thread.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::raft::{Action, Config, Input, Raft, RoleName};
use crate::recording::{FOLDER, Replay, Replayed};
use crate::types::{Acknowledge, Membership, NodeId, Restored, SnapshotMeta, Tag, WriteId};

const BYTES_MAX: u64 = 16 << 10;

/// A node that leads alone, and its recorder.
struct Node {
    raft: Raft,
    recorder: Recorder,
    now: Instant,
    writes: u64,
}

impl Node {
    fn new() -> Node {
        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let config = recorder_config(ClusterId(7), BYTES_MAX, Instant::ZERO);
        let recorder = Recorder::new(RecorderConfig { block_bytes: 200, ..config });
        Node { raft: raft.expect("a valid start"), recorder, now: Instant::ZERO, writes: 0 }
    }

    fn step(&mut self) {
        self.now = self.raft.deadline().max(self.now.after(Duration::from_millis(1)));
        self.recorder.step(&mut self.raft, self.now, Input::Timeout, &mut Vec::new());
    }

    /// Takes an input. The disk and the state machine are fast.
    fn take(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.now = self.now.after(Duration::from_millis(1));
            let mut actions = Vec::new();
            self.recorder.step(&mut self.raft, self.now, input, &mut actions);
            for action in actions {
                match action {
                    Action::Persist(_) => {
                        self.writes += 1;
                        inputs.push_back(Input::Persisted(WriteId(self.writes)));
                    }
                    Action::Apply(entries) => {
                        let last = entries.last().map(|entry| entry.id.index);
                        inputs.extend(last.map(Input::Applied));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes this many inputs: campaigns until the node leads, and then proposals, whose entries
    /// the log keeps. Returns the number of blocks that the ring drops.
    fn append(&mut self, entries: u64, ring: &mut RecordingRing) -> usize {
        let mut dropped = 0;
        for _ in 0..entries {
            match self.raft.status().role {
                RoleName::Leader => {
                    let tag = Tag(self.now.0);
                    self.take(Input::propose(tag, Acknowledge::Quorum, "one command"));
                }
                _ => self.take(Input::Campaign),
            }
            while let Some(block) = self.recorder.next_block() {
                let written = ring.write(&block).expect("the disk has space");
                dropped += usize::from(written.is_none());
            }
        }
        dropped
    }

    /// Shortens the log to nothing.
    fn compact(&mut self) {
        let log = self.raft.log();
        let (last, base) = (log.last(), log.last().index);
        let meta = SnapshotMeta::empty(last, self.raft.membership().clone());
        self.take(Input::SnapshotTaken { meta, base });
        assert_eq!(self.raft.log().base(), last);
    }
}

/// Returns the number of the last step in a recording, and the number of its segments that do not
/// continue the one before, the first one included.
fn last_record(recording: &[u8]) -> (u64, usize) {
    let (mut last, mut gaps) = (0, 0);
    for part in Replay::new(recording) {
        match part.expect("the ring is a recording") {
            Replayed::Segment { continues, .. } => gaps += usize::from(!continues),
            Replayed::Step(step) => last = step.record,
        }
    }
    (last, gaps)
}

#[test]
fn a_ring_goes_on_when_the_state_of_the_node_outgrows_it() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path().join(FOLDER);
    let mut ring = RecordingRing::open(directory.clone(), BYTES_MAX).expect("it opens");
    let mut node = Node::new();
    // A checkpoint takes a third of the ring, and a segment begins before the ring is full.
    let dropped = node.append(500, &mut ring);
    assert!(node.recorder.next_block().is_none() && dropped == 0, "{dropped} blocks");
    let recording = content(&directory);
    let (last, gaps) = last_record(&recording);
    assert!(last > 1_000 && gaps == 1, "record {last}, {gaps} segments do not continue another");
    // No checkpoint fits.
    assert!(node.append(3_000, &mut ring) > 0);
    let kept = content(&directory);
    assert!(kept.len() as u64 <= BYTES_MAX, "{} bytes", kept.len());
    let (before, _) = last_record(&kept);
    assert!(before >= last, "the ring keeps what it has");
    node.compact();
    for _ in 0..20_000 {
        node.step();
        while let Some(block) = node.recorder.next_block() {
            ring.write(&block).expect("the disk has space");
        }
    }
    let (last, _) = last_record(&content(&directory));
    assert!(last > before + 10_000, "it records again: {before}, {last}");
    assert!(content(&directory).len() as u64 <= BYTES_MAX);
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
                assert!(ring.write(&block).expect("the disk has space").is_some(), "it fits");
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
fn a_header_counts_as_written_with_its_checkpoint() {
    let root = tempfile::tempdir().expect("a directory");
    let mut ring = RecordingRing::open(root.path().join(FOLDER), BYTES_MAX).expect("it opens");
    let mut node = Node::new();
    node.step();
    node.recorder.finish_block();
    let blocks = std::iter::from_fn(|| node.recorder.next_block());
    let written: Vec<_> =
        blocks.map(|block| ring.write(&block).expect("the disk has space")).collect();
    assert_eq!(written[0], Some(0), "no file has the header yet");
    let bytes = content(ring.directory()).len() as u64;
    assert!(bytes > 0 && written.into_iter().flatten().sum::<u64>() == bytes);
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
    // Takes steps until the ring is larger than `bytes`, or for 5,000 steps. Returns its largest
    // size.
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
        while let Some(block) = node.recorder.next_block() {
            assert!(ring.write(&block).expect("there is room").is_some());
        }
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
fn a_ring_keeps_its_last_file_if_the_next_checkpoint_does_not_fit() {
    for (free, reason) in [(u64::MAX, TOO_LARGE), (0, DISK_LOW)] {
        let root = tempfile::tempdir().expect("a directory");
        let open = |name| RecordingRing::open(root.path().join(name), BYTES_MAX).expect("it opens");
        let (mut node, mut ring) = (Node::new(), open("small"));
        assert_eq!(node.append(1, &mut ring), 0);
        let kept = content(ring.directory());
        // The file leaves less room than a header needs.
        ring.bytes_now_max = kept.len() as u64 + 10;
        ring.bytes_max = if free == 0 { BYTES_MAX } else { ring.bytes_now_max };
        ring.free_bytes = Box::new(move |_| Some(free));
        let mut node = Node::new();
        assert_eq!(node.append(500, &mut open("large")), 0);
        node.recorder.on_dropped_block();
        assert!(node.append(1, &mut ring) > 0);
        assert_eq!(ring.warned, [reason]);
        assert!(content(ring.directory()) == kept);
    }
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
