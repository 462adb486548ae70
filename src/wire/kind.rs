//! The kinds of frames, and how long each may be.

use std::fmt;

/// The version of the packets that this library writes, and the only one it reads.
pub const WIRE_VERSION: u16 = 1;

/// The version in the header of a hello. Header and hello never change their layout, or two nodes
/// could not find out what they have in common.
const HELLO_VERSION: u16 = 0;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A [`crate::wire::Hello`].
    Hello = 1,
    /// A message without entries.
    Control = 2,
    /// A message with entries, `AppendEntries`.
    Append = 3,
    /// A step of a snapshot's transfer.
    Transfer = 4,
    /// A message with entries, `AppendEntries`, and the chain of their predecessor.
    Chained = 5,
    /// A question or an answer about the state machines.
    Comparison = 6,
    /// Nothing but that the sender is there.
    Pulse = 7,
    /// A [`crate::wire::ClientHello`].
    ClientHello = 8,
    /// A [`crate::wire::ClientRequest`].
    Request = 9,
    /// A [`crate::wire::ClientReply`].
    Reply = 10,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Kind; 10] = [
        Kind::Hello,
        Kind::Control,
        Kind::Append,
        Kind::Transfer,
        Kind::Chained,
        Kind::Comparison,
        Kind::Pulse,
        Kind::ClientHello,
        Kind::Request,
        Kind::Reply,
    ];

    /// How long the body may be, in bytes.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            // It comes from someone who has not said yet who it is.
            Kind::Hello | Kind::ClientHello => 4 << 10,
            Kind::Control | Kind::Comparison => 64 << 10,
            Kind::Append | Kind::Chained | Kind::Request | Kind::Reply => 8 << 20,
            // A part of at most 1 MiB, and what it is a part of.
            Kind::Transfer => (1 << 20) + (1 << 10),
            Kind::Pulse => 0,
        }
    }

    /// The version in the header of such a frame.
    pub(super) fn version(self) -> u16 {
        if self.greets() { HELLO_VERSION } else { WIRE_VERSION }
    }

    /// Whether a connection begins with it, and has no second one.
    pub(super) fn greets(self) -> bool {
        matches!(self, Kind::Hello | Kind::ClientHello)
    }

    /// Whether it has a place on a connection that began with `hello`; on a new one if with none.
    pub(super) fn may_follow(self, hello: Option<Kind>) -> bool {
        match hello {
            None => self.greets(),
            Some(_) if self.greets() => false,
            Some(hello) => {
                let is_client = matches!(self, Kind::Request | Kind::Reply);
                self == Kind::Pulse || is_client == (hello == Kind::ClientHello)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Hello => "hello",
            Kind::Control => "control",
            Kind::Append => "append",
            Kind::Transfer => "transfer",
            Kind::Chained => "chained",
            Kind::Comparison => "comparison",
            Kind::Pulse => "pulse",
            Kind::ClientHello => "client hello",
            Kind::Request => "request",
            Kind::Reply => "reply",
        })
    }
}
