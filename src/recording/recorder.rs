//! The recorder of one node: it turns the inputs of the core into the blocks of a recording.

use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use crate::raft::{Action, Input, Raft};
use crate::recording::block::{Block, BlockWriter, FORMAT, Header, Kind, LAYOUT};
use crate::recording::commands::{CommandHasher, Contents};
use crate::recording::digest::digest;
use crate::recording::encoding::{CodecResult, Sink};
use crate::types::Instant;

/// The identity of a recording, the form of its commands, and the sizes of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderConfig {
    /// The id of the cluster, as the driver names it; 0 for none.
    pub cluster: u128,
    /// A number that identifies this start of the node, such as the seed of the core.
    pub start: u64,
    /// The recorded form of users' commands.
    pub contents: Contents,
    /// The secret key of the hashes of commands. A reader of the recording who knows it can test a
    /// guess about a command, so draw it at random and store it nowhere.
    pub key: u64,
    /// The time since the Unix epoch at the origin of the node's clock, if the driver knows it.
    pub unix_time: Option<Duration>,
    /// The bytes of records after which the next step begins a new segment with a checkpoint; twice
    /// the size of the segment's checkpoint, if that is more.
    pub segment_bytes: usize,
    /// The bytes of a whole segment, with its checkpoint, after which the next step begins a new
    /// segment even before `segment_bytes`, unless the records have fewer bytes than the
    /// checkpoint. The last block of a segment may exceed this size.
    pub segment_bytes_max: usize,
    /// The bytes of records after which a block ends; its last record may exceed this size.
    pub block_bytes: usize,
    /// The time after which the next step ends a block that is not full. A crash loses the current
    /// block, which has the records of at most this time and one step, and the blocks that the
    /// driver has not written yet.
    pub block_delay: Duration,
}

impl Default for RecorderConfig {
    /// The configuration for a ring of files of 64 MiB in all.
    fn default() -> RecorderConfig {
        RecorderConfig {
            cluster: 0,
            start: 0,
            contents: Contents::Hashed,
            key: 0,
            unix_time: None,
            segment_bytes: 8 << 20,
            segment_bytes_max: 64 << 20,
            block_bytes: 64 << 10,
            block_delay: Duration::from_millis(250),
        }
    }
}

/// Records the inputs of a [`Raft`], with a digest of the actions of each step. It writes nothing
/// itself: the driver takes the finished blocks after each step, and appends them to a file.
#[derive(Clone, Debug)]
pub struct Recorder {
    config: RecorderConfig,
    commands: CommandHasher,
    /// The number of steps since the start, recorded or not.
    records: u64,
    /// Whether the next record needs a checkpoint before it.
    needs_checkpoint: bool,
    /// The bytes of the blocks of records finished since the last checkpoint, and those of the
    /// checkpoint.
    records_bytes: usize,
    checkpoint_bytes: usize,
    /// The records of the current block.
    current: BlockWriter,
    /// The time of the first record in the current block, and of the last one.
    block_since: Instant,
    last_now: Instant,
    finished: VecDeque<Block>,
}

impl Recorder {
    /// Returns a recorder for a node that starts now. Its first step begins with a checkpoint.
    #[must_use]
    pub fn new(config: RecorderConfig) -> Recorder {
        // A replay does not know the key, and needs none if the bytes are kept.
        let key = if config.contents == Contents::Kept { 0 } else { config.key };
        let commands = CommandHasher::Original { key };
        Recorder {
            commands,
            records: 0,
            needs_checkpoint: true,
            records_bytes: 0,
            checkpoint_bytes: 0,
            current: BlockWriter::new(config.contents, commands),
            block_since: Instant::ZERO,
            last_now: Instant::ZERO,
            finished: VecDeque::new(),
            config,
        }
    }

    /// Calls [`Raft::step`] and records the input. The recorder of a node must see every step.
    pub fn step(&mut self, raft: &mut Raft, now: Instant, input: Input, actions: &mut Vec<Action>) {
        let before = actions.len();
        let is_begun = self.begin_record(raft, now, &input).is_ok();
        raft.step(now, input, actions);
        self.records += 1;
        if is_begun {
            self.end_record(now, &actions[before..]);
        } else {
            // The next record must not follow this one, which is missing.
            self.finish_block();
            self.needs_checkpoint = true;
        }
    }

    /// Returns the next finished block. The driver appends the blocks to a file in this order.
    pub fn next_block(&mut self) -> Option<Block> {
        self.finished.pop_front()
    }

    /// Ends the current block, so that [`Recorder::next_block`] returns all that is recorded.
    pub fn finish_block(&mut self) {
        if !self.current.is_empty() {
            self.records_bytes += self.current.len();
            self.finished.push_back(self.current.take(Kind::Records));
        }
    }

    /// Handles a block that the driver dropped, for example because its queue is full: the next
    /// step begins a new segment, so that a replay continues there.
    pub fn on_dropped_block(&mut self) {
        self.needs_checkpoint = true;
    }

    fn begin_record(&mut self, raft: &Raft, now: Instant, input: &Input) -> CodecResult<()> {
        if self.needs_checkpoint {
            self.finish_block();
            self.begin_segment(raft)?;
        }
        if self.current.is_empty() {
            self.current.number(self.records);
            (self.block_since, self.last_now) = (now, Instant::ZERO);
        }
        let since = now.0 - self.last_now.0;
        self.current.value(&(since, input))?;
        self.last_now = now;
        Ok(())
    }

    fn end_record(&mut self, now: Instant, actions: &[Action]) {
        self.current.raw(&digest(actions, self.commands).to_le_bytes());
        let is_full = self.current.len() >= self.config.block_bytes;
        if is_full || now.since(self.block_since) >= self.config.block_delay {
            self.finish_block();
        }
        self.needs_checkpoint = self.records_bytes >= self.records_bytes_max();
    }

    /// The bytes of records after which a segment ends. They are at least twice those of the
    /// checkpoint, which is then at most a third of the segment. If `segment_bytes_max` leaves less
    /// room, they are at least as many as those of the checkpoint, which is then at most a half.
    fn records_bytes_max(&self) -> usize {
        let wanted = self.config.segment_bytes.max(2 * self.checkpoint_bytes);
        let room = self.config.segment_bytes_max.saturating_sub(self.checkpoint_bytes);
        wanted.min(room.max(self.checkpoint_bytes))
    }

    fn begin_segment(&mut self, raft: &Raft) -> CodecResult<()> {
        let mut block = BlockWriter::new(self.config.contents, self.commands);
        // As large as the last one, with some room.
        block.reserve(self.checkpoint_bytes + self.checkpoint_bytes / 8);
        block.value(raft)?;
        let checkpoint = block.take(Kind::Checkpoint);
        block.number(FORMAT);
        block.value(&Header {
            layout: LAYOUT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.config.cluster,
            node: raft.status().id,
            start: self.config.start,
            first_record: self.records,
            keeps_commands: self.config.contents == Contents::Kept,
            unix_time: self.config.unix_time,
        })?;
        self.records_bytes = 0;
        self.checkpoint_bytes = checkpoint.bytes().len();
        self.needs_checkpoint = false;
        self.finished.extend([block.take(Kind::Header), checkpoint]);
        Ok(())
    }
}

/// A [`Raft`] whose steps are recorded, for drivers of the core.
#[derive(Clone, Debug)]
pub struct Recorded {
    raft: Raft,
    recorder: Recorder,
}

impl Recorded {
    /// Returns a core that has just started, with its recorder.
    #[must_use]
    pub fn new(raft: Raft, config: RecorderConfig) -> Recorded {
        Recorded { raft, recorder: Recorder::new(config) }
    }

    /// Calls [`Raft::step`] and records the input. Take the finished blocks after each call.
    pub fn step(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        self.recorder.step(&mut self.raft, now, input, actions);
    }

    /// The recorder, which has the finished blocks.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }
}

impl Deref for Recorded {
    type Target = Raft;

    fn deref(&self) -> &Raft {
        &self.raft
    }
}
