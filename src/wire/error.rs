//! Errors of decoding and encoding frames.

use crate::types::text::texts;
use crate::wire::kind::{Kind, WIRE_VERSION};

/// A frame that cannot be decoded, or a packet that cannot be encoded. After a decoding error the
/// connection must be closed, because what follows on it cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// The offset of the frame in bytes, from the start of the connection or of the decoded bytes.
    pub offset: u64,
    /// The error in this frame.
    pub error: FrameError,
}

/// An error in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame does not start with the magic bytes: the sender speaks another protocol.
    Magic {
        /// The first four bytes of the frame.
        found: [u8; 4],
    },
    /// The checksum in the header does not match the header.
    HeaderChecksum {
        /// The checksum in the header.
        claimed: u32,
        /// The checksum of the received bytes.
        found: u32,
    },
    /// A reserved byte of the header is not zero.
    Reserved,
    /// The frame has another version than frames of its kind have.
    Version {
        /// The version in the header.
        found: u16,
    },
    /// The kind of the frame is unknown.
    Kind {
        /// The number of the kind in the header.
        found: u8,
    },
    /// The kind is not allowed here: a connection starts with one hello, and continues with the
    /// kinds that belong to it. Or the bytes are of a different kind than the one to decode.
    UnexpectedKind {
        /// The kind of the frame that was found.
        found: Kind,
    },
    /// The body is longer than [`Kind::bytes_max`].
    TooLong {
        /// The kind of the frame.
        kind: Kind,
        /// The length of its body in bytes.
        length: usize,
    },
    /// The bytes end before the frame does.
    Truncated {
        /// The number of bytes that are present.
        present: usize,
        /// The length of the frame, or of its header if that is incomplete.
        needed: usize,
    },
    /// There are more bytes after the frame.
    TrailingBytes {
        /// The number of bytes that are present.
        present: usize,
        /// The length of the frame in bytes.
        needed: usize,
    },
    /// The checksum in the header does not match the body.
    BodyChecksum {
        /// The checksum in the header.
        claimed: u32,
        /// The checksum of the received body.
        found: u32,
    },
    /// The body does not decode, or the packet does not encode.
    Body {
        /// The kind of the frame.
        kind: Kind,
        /// A description of the error.
        reason: String,
    },
}

texts! { WireError:
    Self { offset, error } => "frame at byte {offset}: {error}";
}

texts! { FrameError:
    Self::Magic { found } =>
        "it starts with \"{}\" instead of the magic bytes", found.escape_ascii();
    Self::HeaderChecksum { claimed, found } =>
        "the header has checksum {found:08x}, but claims {claimed:08x}";
    Self::Reserved => "a reserved byte of the header is not zero";
    Self::Version { found } =>
        "it has version {found}, but this program reads version {WIRE_VERSION}, and 0 for a hello";
    Self::Kind { found } => "{found} is not a known kind";
    Self::UnexpectedKind { found } => "a frame of kind {found} is not allowed here";
    Self::TooLong { kind, length } =>
        "a body of {length} bytes is too long for kind {kind}: the maximum is {}", kind.bytes_max();
    Self::Truncated { present, needed } => "it is truncated: {present} bytes of {needed}";
    Self::TrailingBytes { present, needed } =>
        "there are trailing bytes: the frame has {needed} bytes of {present}";
    Self::BodyChecksum { claimed, found } =>
        "the body has checksum {found:08x}, but the header claims {claimed:08x}";
    Self::Body { kind, reason } => "invalid body of kind {kind}: {reason}";
}

impl std::error::Error for WireError {}
