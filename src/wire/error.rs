//! What can be wrong with the bytes of a connection.

use std::fmt;

use crate::wire::kind::{Kind, WIRE_VERSION};

/// A frame that cannot be read, or a packet that cannot be sent. The connection is of no use any
/// more: nobody knows where its next frame begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Where the frame begins, in bytes from the start of the connection, or of the bytes that
    /// were to be decoded.
    pub offset: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It does not begin as frames do: whoever sends this speaks something else.
    Magic {
        /// What it begins with.
        found: [u8; 4],
    },
    /// The header does not have the checksum it claims.
    HeaderChecksum {
        /// What it claims.
        claimed: u32,
        /// What it has.
        found: u32,
    },
    /// A byte of the header that has no meaning in this version is not zero.
    Reserved,
    /// Its format is of another version.
    Version {
        /// Its version.
        found: u16,
    },
    /// There is no such kind of frame.
    Kind {
        /// What the header says.
        found: u8,
    },
    /// A connection begins with a hello, has no second one, and then only what goes with it; or a
    /// packet was expected and something else found.
    Place {
        /// What was found where it has no place.
        found: Kind,
    },
    /// It is longer than its kind may be.
    TooLong {
        /// Its kind.
        kind: Kind,
        /// The length of its body in bytes.
        length: usize,
    },
    /// The bytes end within it.
    CutShort {
        /// How many bytes there are.
        present: usize,
        /// How many the frame has, as far as that is known.
        needed: usize,
    },
    /// The bytes go on after it.
    GoesOn {
        /// How many bytes there are.
        present: usize,
        /// How many the frame has.
        needed: usize,
    },
    /// The body does not have the checksum that the header claims.
    BodyChecksum {
        /// What the header claims.
        claimed: u32,
        /// What the body has.
        found: u32,
    },
    /// The body says nothing: why, in words.
    Body {
        /// The frame's kind.
        kind: Kind,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame at byte {}: {}", self.offset, self.flaw)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Magic { found } => {
                write!(f, "it begins with \"{}\": no frame does", found.escape_ascii())
            }
            Flaw::HeaderChecksum { claimed, found } => {
                write!(f, "the header has checksum {found:08x}, and claims {claimed:08x}")
            }
            Flaw::Reserved => f.write_str("a reserved byte of the header is not zero"),
            Flaw::Version { found } => {
                write!(f, "it is of version {found}, and this node reads {WIRE_VERSION}")
            }
            Flaw::Kind { found } => write!(f, "no kind has the number {found}"),
            Flaw::Place { found } => write!(f, "a frame of kind {found} has no place here"),
            Flaw::TooLong { kind, length } => {
                let max = kind.bytes_max();
                write!(f, "{length} bytes are too many for kind {kind}: {max} at most")
            }
            Flaw::CutShort { present, needed } => {
                write!(f, "it is cut short: {present} bytes of {needed}")
            }
            Flaw::GoesOn { present, needed } => {
                write!(f, "it ends after {needed} bytes of {present}")
            }
            Flaw::BodyChecksum { claimed, found } => {
                write!(f, "the body has checksum {found:08x}, and the header claims {claimed:08x}")
            }
            Flaw::Body { kind, reason } => write!(f, "no body of kind {kind}: {reason}"),
        }
    }
}

impl std::error::Error for WireError {}
