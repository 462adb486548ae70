//! Replays a recording: the recorded inputs through this program's core, whose actions must be the
//! recorded ones.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::raft::{Input, Raft};
use crate::recording::block::{FRAME_BYTES, Header, Kind, LAYOUT};
use crate::recording::commands::{CommandHasher, Contents};
use crate::recording::decoding::Decoder;
use crate::recording::digest::digest;
use crate::recording::encoding::EncodingError;
use crate::recording::error::{RecordingError, RecordingErrorReason};
use crate::recording::reader::{BlockReader, ReadBlock};
use crate::recording::step::Step;
use crate::types::Instant;

/// A part of a recording that was replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// A segment begins with a checkpoint.
    Segment {
        /// The header of the segment, with its node and its start.
        header: Box<Header>,
        /// Whether its first record follows the last one before it. If not, the node was restarted,
        /// or records were dropped or are missing.
        continues: bool,
    },
    /// A step was taken, with the recorded actions.
    Step(Box<Step>),
}

/// The replay of one recording: an iterator over its parts, which ends after the first error. It
/// holds one block in memory, and the state of the core.
///
/// Several files of one node are one recording: one after the other in `input`, or each by
/// [`Replay::continue_with`], which also continues after a file that is damaged.
pub struct Replay<R> {
    reader: BlockReader<R>,
    /// The state after the last step, once a checkpoint was read.
    raft: Option<Raft>,
    /// The header of the current segment.
    header: Option<Header>,
    /// The number of the next record.
    record: u64,
    records: Option<OpenRecords>,
    /// The offset of the last part, in bytes.
    offset: u64,
    is_over: bool,
}

/// A block of records, and how far it was replayed.
struct OpenRecords {
    block: ReadBlock,
    /// The position of the next record in the body.
    position: usize,
    /// The time of the last record; zero before the first one of the block.
    now: u64,
}

impl<R: Read> Replay<R> {
    /// Returns the replay of the recording that `input` reads.
    pub fn new(input: R) -> Replay<R> {
        Replay {
            reader: BlockReader::new(input),
            raft: None,
            header: None,
            record: 0,
            records: None,
            offset: 0,
            is_over: false,
        }
    }

    /// Continues with the next file of the recording, whether or not the last one was replayed to
    /// its end. If steps are missing between the two, the next segment does not continue.
    pub fn continue_with(&mut self, input: R) {
        self.reader = BlockReader::new(input);
        self.records = None;
        self.is_over = false;
    }

    /// The core after the last step, or at the checkpoint that was read after it. `None` before the
    /// first checkpoint, after a gap until the next checkpoint, and after an error that leaves a
    /// state other than the recorded one.
    pub fn raft(&self) -> Option<&Raft> {
        self.raft.as_ref()
    }

    /// The offset of the last part in its file, in bytes: that of its record or of its checkpoint.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn advance(&mut self) -> Result<Option<Replayed>, RecordingError> {
        loop {
            if let Some(open) = self.records.take() {
                let offset = open.block.offset + (FRAME_BYTES + open.position) as u64;
                let step = self.step(open);
                if let Some(step) = step.map_err(|reason| RecordingError { offset, reason })? {
                    self.offset = offset;
                    return Ok(Some(Replayed::Step(Box::new(step))));
                }
            }
            let Some(block) = self.reader.read()? else { return Ok(None) };
            let offset = block.offset;
            let opened = self.open(block);
            if let Some(segment) = opened.map_err(|reason| RecordingError { offset, reason })? {
                self.offset = offset;
                return Ok(Some(segment));
            }
        }
    }

    /// Begins to replay a block. The records of a block are then replayed one by one.
    fn open(&mut self, block: ReadBlock) -> Result<Option<Replayed>, RecordingErrorReason> {
        match block.kind {
            Kind::Header => {
                let header = block.header()?;
                if header.layout != LAYOUT {
                    let (found, version) = (header.layout, header.version);
                    return Err(RecordingErrorReason::OtherLayout { found, version });
                }
                let last = self.header.replace(header);
                let header = self.header.as_ref().expect("the header was just set");
                let is_next = header.first_record == self.record;
                if !is_next || last.is_none_or(|last| last.start != header.start) {
                    self.raft = None;
                    self.record = header.first_record;
                }
                Ok(None)
            }
            Kind::Checkpoint => self.checkpoint(&block).map(Some),
            Kind::Records => {
                let mut decoder = Decoder::new(block.body(), Contents::Kept);
                let first = decoder.number().map_err(invalid)?;
                if self.raft.is_none() || first != self.record {
                    let reason = format!("record {first} where {} is next", self.record);
                    return Err(RecordingErrorReason::Invalid(reason));
                }
                let position = decoder.position();
                self.records = Some(OpenRecords { block, position, now: 0 });
                Ok(None)
            }
        }
    }

    fn checkpoint(&mut self, block: &ReadBlock) -> Result<Replayed, RecordingErrorReason> {
        let Some(header) = &self.header else {
            let reason = "a checkpoint without a header".to_owned();
            return Err(RecordingErrorReason::Invalid(reason));
        };
        let mut decoder = Decoder::new(block.body(), header.contents());
        // A forged state may break an assertion.
        let decoded = catch_unwind(AssertUnwindSafe(|| decoder.value::<Raft>()));
        let recorded = match decoded {
            Ok(decoded) => decoded.map_err(invalid)?,
            Err(panic) => return Err(RecordingErrorReason::Invalid(panic_message(&*panic))),
        };
        if !decoder.is_at_end() {
            let reason = "bytes after the state of a checkpoint".to_owned();
            return Err(RecordingErrorReason::Invalid(reason));
        }
        let replayed = self.raft.take();
        let continues = replayed.is_some();
        if let Some(replayed) = replayed.filter(|replayed| *replayed != recorded) {
            let lines = Box::new(first_difference(&recorded, &replayed));
            return Err(RecordingErrorReason::StateDiffers { record: self.record, lines });
        }
        self.raft = Some(recorded);
        Ok(Replayed::Segment { header: Box::new(header.clone()), continues })
    }

    /// Takes the next step of a block; `None` at its end.
    fn step(&mut self, open: OpenRecords) -> Result<Option<Step>, RecordingErrorReason> {
        let header = self.header.as_ref().expect("records follow a header");
        let raft = self.raft.as_mut().expect("records follow a checkpoint");
        let mut decoder = Decoder::at(open.block.body(), open.position, header.contents());
        if decoder.is_at_end() {
            return Ok(None);
        }
        let (since, input): (u64, Input) = decoder.value().map_err(invalid)?;
        let recorded = decoder.take(4).map_err(invalid)?;
        let recorded = u32::from_le_bytes(recorded.try_into().expect("four bytes"));
        let position = decoder.position();
        let Some(now) = open.now.checked_add(since) else {
            return Err(RecordingErrorReason::Invalid("a time exceeds 64 bits".to_owned()));
        };
        let commands = match header.contents() {
            Contents::Kept => CommandHasher::Original { key: 0 },
            Contents::Hashed => CommandHasher::StandIn,
        };
        let record = self.record;
        let mut actions = Vec::new();
        let stepped = input.clone();
        let step = || raft.step(Instant(now), stepped, &mut actions);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            let message = panic_message(&*panic);
            self.raft = None;
            return Err(RecordingErrorReason::Panicked { record, message });
        }
        let is_equal = digest(&actions, commands) == recorded;
        let step = Step { record, now: Instant(now), input, actions };
        if !is_equal {
            self.raft = None;
            return Err(RecordingErrorReason::ActionsDiffer(Box::new(step)));
        }
        self.record = self.record.saturating_add(1);
        self.records = Some(OpenRecords { position, now, ..open });
        Ok(Some(step))
    }
}

impl<R: Read> Iterator for Replay<R> {
    type Item = Result<Replayed, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

fn invalid(error: EncodingError) -> RecordingErrorReason {
    RecordingErrorReason::Invalid(error.0)
}

/// The text of a panic, which is almost always a string.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text").to_owned()
}

/// Returns the first lines in which two states differ, of the recorded one and of the replayed one.
fn first_difference(recorded: &Raft, replayed: &Raft) -> (String, String) {
    let (recorded, replayed) = (format!("{recorded:#?}"), format!("{replayed:#?}"));
    let mut lines = recorded.lines().zip(replayed.lines());
    let differing = lines.find(|(recorded, replayed)| recorded != replayed);
    let (recorded, replayed) = differing.unwrap_or(("fewer lines", "more lines"));
    (recorded.trim().to_owned(), replayed.trim().to_owned())
}
