//! Reads the blocks of a recording, with a bounded memory: one block at a time.

use std::io::{ErrorKind, Read};

use crate::recording::block::{FORMAT, FRAME_BYTES, Header, Kind, MAGIC, checksum};
use crate::recording::commands::Contents;
use crate::recording::decoding::Decoder;
use crate::recording::encoding::EncodingError;
use crate::recording::error::{RecordingError, RecordingErrorReason};

/// A block whose checksum is right.
pub(super) struct ReadBlock {
    /// The offset of the block in the file.
    pub(super) offset: u64,
    pub(super) kind: Kind,
    /// The whole block, with its frame.
    pub(super) bytes: Vec<u8>,
}

impl ReadBlock {
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[FRAME_BYTES..]
    }

    /// Decodes the body of a header.
    pub(super) fn header(&self) -> Result<Header, RecordingErrorReason> {
        let mut decoder = Decoder::new(self.body(), Contents::Kept);
        let invalid = |error: EncodingError| RecordingErrorReason::Invalid(error.0);
        let found = decoder.number().map_err(invalid)?;
        if found != FORMAT {
            return Err(RecordingErrorReason::OtherFormat { found });
        }
        decoder.value().map_err(invalid)
    }
}

/// The blocks of a recording, in order.
pub(super) struct BlockReader<R> {
    input: R,
    offset: u64,
}

impl<R: Read> BlockReader<R> {
    pub(super) fn new(input: R) -> BlockReader<R> {
        BlockReader { input, offset: 0 }
    }

    /// Reads the next block; `None` at the end of the input.
    pub(super) fn read(&mut self) -> Result<Option<ReadBlock>, RecordingError> {
        let offset = self.offset;
        self.read_block().map_err(|reason| RecordingError { offset, reason })
    }

    fn read_block(&mut self) -> Result<Option<ReadBlock>, RecordingErrorReason> {
        let mut bytes = Vec::new();
        self.read_up_to(FRAME_BYTES as u64, &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(RecordingErrorReason::NotABlock);
        }
        if bytes.len() < FRAME_BYTES {
            let missing = (FRAME_BYTES - bytes.len()) as u64;
            return Err(RecordingErrorReason::Cut { missing });
        }
        let field = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes);
        let (length, expected) = (field(8).expect("four bytes"), field(12).expect("four bytes"));
        let whole = FRAME_BYTES as u64 + u64::from(length);
        // Memory is allocated for what the file has, not for the length that the frame claims.
        self.read_up_to(whole, &mut bytes)?;
        let missing = whole.saturating_sub(bytes.len() as u64);
        if missing > 0 {
            return Err(RecordingErrorReason::Cut { missing });
        }
        if checksum(&bytes) != expected || bytes[5..8] != [0; 3] {
            return Err(RecordingErrorReason::Damaged);
        }
        let kind = match bytes[4] {
            1 => Kind::Header,
            2 => Kind::Checkpoint,
            3 => Kind::Records,
            kind => return Err(RecordingErrorReason::Invalid(format!("kind {kind}"))),
        };
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Ok(Some(ReadBlock { offset, kind, bytes }))
    }

    /// Reads until `bytes` has `length` bytes, or the file ends.
    fn read_up_to(&mut self, length: u64, bytes: &mut Vec<u8>) -> Result<(), RecordingErrorReason> {
        // A length of 32 bits and a frame exceed the `usize` of some systems.
        let missing = length.saturating_sub(bytes.len() as u64);
        match self.input.by_ref().take(missing).read_to_end(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(RecordingErrorReason::Io(error)),
        }
    }
}
