//! The messages between nodes: frames of the wire format.

use std::fmt;

use quorate_guests::disk::Bytes;
use quorate_guests::guest::Statement;

/// A frame, after the hello that begins a connection of its sender.
#[derive(Clone)]
pub struct Frame {
    /// The name of the packet, for traces.
    pub(crate) name: &'static str,
    /// The frame of the sender's hello.
    pub(crate) hello: Bytes,
    /// The frame of the packet.
    pub(crate) bytes: Bytes,
    /// The state of the sender's disk that the packet reveals.
    pub(crate) statement: Statement,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.name, self.bytes.len())
    }
}
