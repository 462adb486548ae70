//! The kinds of events in the digest of a run.

use quorate::replica::Input;
use quorate::types::Packet;

/// The kind of an event; its number is part of the digest.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum EventKind {
    Message = 1,
    Transfer,
    Timeout,
    Disk,
    Done,
    View,
    Propose,
    Read,
    /// A request of the operator, or any other input.
    AdminRequest,
    /// A message or a request reaches a node that is down.
    Undelivered,
    Operation,
    Crash,
    Start,
    Fault,
    /// Nodes compare their state machines.
    Comparison,
}

impl EventKind {
    /// Returns the kind of an input of a node.
    pub(crate) fn of(input: &Input) -> EventKind {
        match input {
            Input::Packet(Packet::Message(_) | Packet::Chained(..)) => EventKind::Message,
            Input::Packet(Packet::Comparison(_)) => EventKind::Comparison,
            Input::Packet(Packet::SnapshotTransfer(_)) => EventKind::Transfer,
            Input::Timeout => EventKind::Timeout,
            Input::Disk(_) => EventKind::Disk,
            Input::WorkDone(_) => EventKind::Done,
            Input::ViewFrozen(_) | Input::ViewRead(_) | Input::ViewFailed => EventKind::View,
            Input::Propose(_) => EventKind::Propose,
            Input::Read { .. } => EventKind::Read,
            _ => EventKind::AdminRequest,
        }
    }
}
