//! The blocks of a recording: the frame of each, and the body of a header.
//!
//! `docs/RECORDING.md` has the format.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::recording::commands::{CommandHasher, Contents, HASH_BYTES};
use crate::recording::encoding::{CodecResult, EncodingError, Sink, encode};
use crate::types::NodeId;

/// The version of the format: of frames, headers and the order of blocks.
pub const FORMAT: u64 = 1;

/// The layout of states and inputs. It changes with the fields of the core's state, and with the
/// inputs; a test notices that.
pub const LAYOUT: u64 = 2;

/// The first bytes of every block.
pub(super) const MAGIC: [u8; 4] = *b"QRec";

/// The size of the frame before the body of a block.
pub(super) const FRAME_BYTES: usize = 16;

/// The size of the largest block, in bytes; its length has to fit in the 32 bits of the frame.
const BLOCK_BYTES_MAX: usize = 1 << 31;

/// A kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header = 1,
    Checkpoint = 2,
    Records = 3,
}

/// The first block of a segment: the origin of the recording, and how to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The layout of states and inputs.
    pub layout: u64,
    /// The version of the library that recorded.
    pub version: String,
    /// The id of the cluster, as the driver names it.
    pub cluster: u128,
    /// The id of the node that recorded.
    pub node: NodeId,
    /// The number that identifies this start of the node.
    pub start: u64,
    /// The number of the first record after this header, counted from 0 over all steps since the
    /// start.
    pub first_record: u64,
    /// Whether the bytes of commands were kept.
    pub keeps_commands: bool,
    /// The time since the Unix epoch at the origin of the node's clock, if the driver knows it.
    pub unix_time: Option<Duration>,
}

impl Header {
    /// Returns how the recording keeps the users' commands.
    #[must_use]
    pub fn contents(&self) -> Contents {
        if self.keeps_commands { Contents::Kept } else { Contents::Hashed }
    }
}

/// A block of a recording: bytes to append to the current segment, or the first bytes of a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    bytes: Vec<u8>,
    begins_segment: bool,
}

impl Block {
    /// The bytes of the block, to be appended to a file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the block begins a segment, which can be replayed without the segments before it: a
    /// driver that keeps only the end of a recording begins a new file here.
    #[must_use]
    pub fn begins_segment(&self) -> bool {
        self.begins_segment
    }
}

/// The body of a block that is being written, with room for its frame.
#[derive(Clone, Debug)]
pub(super) struct BlockWriter {
    bytes: Vec<u8>,
    contents: Contents,
    commands: CommandHasher,
}

impl BlockWriter {
    pub(super) fn new(contents: Contents, commands: CommandHasher) -> BlockWriter {
        BlockWriter { bytes: vec![0; FRAME_BYTES], contents, commands }
    }

    /// Makes room for this many bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a value. After an error the block is unchanged.
    pub(super) fn value(&mut self, value: &impl Serialize) -> CodecResult<()> {
        let before = self.bytes.len();
        let encoded = encode(value, self).and_then(|()| match self.bytes.len() {
            ..=BLOCK_BYTES_MAX => Ok(()),
            bytes => Err(EncodingError(format!("{bytes} bytes are too many for a block"))),
        });
        if encoded.is_err() {
            self.bytes.truncate(before);
        }
        encoded
    }

    /// Appends bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Ends the block, and leaves an empty one.
    pub(super) fn take(&mut self, kind: Kind) -> Block {
        let room = Vec::with_capacity(if kind == Kind::Records { self.bytes.len() } else { 0 });
        let mut bytes = std::mem::replace(&mut self.bytes, room);
        self.bytes.resize(FRAME_BYTES, 0);
        let length = u32::try_from(bytes.len() - FRAME_BYTES).expect("a block has a bound");
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = kind as u8;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        Block { bytes, begins_segment: kind == Kind::Header }
    }
}

impl Sink for BlockWriter {
    #[inline]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn wide_number(&mut self, number: u128) {
        self.raw(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    fn command(&mut self, command: &[u8]) {
        match self.contents {
            Contents::Kept => self.bytes(command),
            Contents::Hashed => {
                self.number(command.len() as u64);
                let hash = self.commands.hash(command);
                self.raw(&hash[..command.len().min(HASH_BYTES)]);
            }
        }
    }
}

/// The checksum of a complete block: of its kind and length, and of its body.
pub(super) fn checksum(block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[4..12]), &block[FRAME_BYTES..])
}
