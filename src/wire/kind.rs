//! The kinds of frames, and the maximum length of each.

use crate::types::text::closed_list;

/// The version of the wire format that this library writes, and the only one that it reads.
pub const WIRE_VERSION: u16 = 1;

/// The version in the header of a hello. The layout of headers and hellos never changes, because
/// two nodes use them to find their common version.
const HELLO_VERSION: u16 = 0;

closed_list! {
/// The kind of a frame, which determines its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A [`crate::wire::Hello`] from a node.
    Hello = 1 => "hello",
    /// A consensus message of a kind that carries no entries of the log.
    Control = 2 => "control",
    /// A consensus message of a kind that carries entries of the log, even if it has none:
    /// `AppendEntries` without a hash chain, or `RequestEntriesReply`.
    Append = 3 => "append",
    /// A message of a snapshot transfer.
    SnapshotTransfer = 4 => "snapshot transfer",
    /// An `AppendEntries` message with the hash chain of its `prev` entry.
    Chained = 5 => "chained",
    /// A message of a state comparison.
    Comparison = 6 => "comparison",
    /// A keepalive with an empty body: the sender is alive.
    Keepalive = 7 => "keepalive",
    /// A [`crate::wire::ClientHello`], from a client or from the node.
    ClientHello = 8 => "client hello",
    /// A [`crate::wire::ClientRequest`] from a client.
    Request = 9 => "request",
    /// A [`crate::wire::ClientReply`] from the node.
    Reply = 10 => "reply",
}
}

const _: () = {
    let mut place = 0;
    while place < Kind::ALL.len() {
        let kind = Kind::ALL[place];
        assert!(kind as usize == place + 1, "the numbers on the wire have no gap");
        assert!(kind.bytes_max() <= u32::MAX as usize, "a header has room for any length");
        assert!(kind.bytes_max() <= Kind::Append.bytes_max(), "bulk frames are the longest");
        place += 1;
    }
};

impl Kind {
    /// Returns the maximum length of the body in bytes.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            // The sender has not identified itself yet.
            Kind::Hello | Kind::ClientHello => 4 << 10,
            Kind::Control | Kind::Comparison => 64 << 10,
            Kind::Append | Kind::Chained | Kind::Request | Kind::Reply => 8 << 20,
            // A part of at most 1 MiB, and the fields that identify it.
            Kind::SnapshotTransfer => (1 << 20) + (1 << 10),
            Kind::Keepalive => 0,
        }
    }

    /// Returns the version in the header of a frame of this kind.
    pub(super) fn version(self) -> u16 {
        if self.is_hello() { HELLO_VERSION } else { WIRE_VERSION }
    }

    /// Returns true for the two hellos, one of which is the first frame of each connection.
    pub(super) fn is_hello(self) -> bool {
        matches!(self, Kind::Hello | Kind::ClientHello)
    }

    /// Returns true if the kind is allowed on a connection whose hello was of kind `hello`; `None`
    /// is a connection without a hello yet.
    pub(super) fn may_follow(self, hello: Option<Kind>) -> bool {
        match hello {
            None => self.is_hello(),
            Some(_) if self.is_hello() => false,
            Some(hello) => {
                let is_client = matches!(self, Kind::Request | Kind::Reply);
                self == Kind::Keepalive || is_client == (hello == Kind::ClientHello)
            }
        }
    }
}
