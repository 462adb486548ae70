//! The mark that ties a command in the log to the client operation that it belongs to.

use std::fmt;

use quorate::machine::{Proposer, Request, Sequence, SessionId};
use quorate::types::Payload;

use crate::workload::principal::Principal;

/// The number of a client operation, from 0 in the order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

impl fmt::Display for OpId {
    /// Writes the number in decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The client operation that an entry's payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadOrigin {
    /// No operation: an empty entry, a membership, the registration of a session, bounds of the
    /// administrator, or the malformed bytes of a hostile client.
    NoOperation,
    /// An admin command or a raise of the version, which may change any answer.
    Admin,
    /// The command of an operation.
    Command {
        /// The operation of the command.
        op: OpId,
        /// The session of the operation, and its sequence number there, if it has one.
        session: Option<(SessionId, Sequence)>,
    },
    /// A command without a mark, which no client of the simulator sends.
    Unmarked,
}

/// The number of bytes of a mark: the length of the padding (4 bytes) and the operation (8 bytes).
pub(crate) const MARK_BYTES: usize = 12;

/// Returns the user's `command`, marked with its operation, and padded if it would otherwise be
/// shorter than `length` bytes with the mark. Every command of a run has this form; the user's
/// state machine sees neither mark nor padding.
///
/// # Panics
/// If the padding is 4 GiB or longer.
#[must_use]
pub fn mark(mut command: Vec<u8>, op: OpId, length: usize) -> Vec<u8> {
    let padding = length.saturating_sub(command.len() + MARK_BYTES);
    command.resize(command.len() + padding, 0);
    let padding = u32::try_from(padding).expect("commands are short");
    command.extend(padding.to_le_bytes());
    command.extend(op.0.to_le_bytes());
    command
}

/// Splits a marked command into the user's command and the operation; `None` if the command is too
/// short for its mark and padding.
#[must_use]
pub fn unmark(command: &[u8]) -> Option<(&[u8], OpId)> {
    let (command, op) = command.split_last_chunk()?;
    let (command, padding) = command.split_last_chunk()?;
    let length = command.len().checked_sub(u32::from_le_bytes(*padding) as usize)?;
    Some((&command[..length], OpId(u64::from_le_bytes(*op))))
}

impl PayloadOrigin {
    /// Returns the operation that `payload` belongs to.
    pub(crate) fn of(payload: &Payload) -> PayloadOrigin {
        let Payload::Command(command) = payload else { return PayloadOrigin::NoOperation };
        let Some((proposer, request)) = Proposer::split(command) else {
            return PayloadOrigin::Unmarked;
        };
        let (command, session) = match Request::decode(request) {
            Some(Request::Plain(command)) => (command, None),
            Some(Request::InSession { session, sequence, command, .. }) => {
                (command, Some((session, sequence)))
            }
            Some(Request::Admin(_) | Request::RaiseVersion(_)) => return PayloadOrigin::Admin,
            Some(Request::Register { .. } | Request::SetBounds(_)) => {
                return PayloadOrigin::NoOperation;
            }
            None if Principal::is_hostile(proposer) => return PayloadOrigin::NoOperation,
            None => return PayloadOrigin::Unmarked,
        };
        match unmark(command) {
            Some((_, op)) => PayloadOrigin::Command { op, session },
            None => PayloadOrigin::Unmarked,
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::Command;

    use super::*;

    #[test]
    fn a_mark_names_the_operation_in_and_outside_sessions() {
        let marked = mark(b"put".to_vec(), OpId(7), 40);
        assert_eq!(marked.len(), 40);
        assert_eq!(unmark(&marked), Some((&b"put"[..], OpId(7))));
        let long = mark(vec![1; 50], OpId(8), 40);
        assert_eq!(unmark(&long), Some((&[1; 50][..], OpId(8))));
        let plain = Payload::Command(Request::Plain(&marked).encode_for(Proposer::Unnamed));
        assert_eq!(
            PayloadOrigin::of(&plain),
            PayloadOrigin::Command { op: OpId(7), session: None }
        );
        let admin = Payload::Command(Request::Admin(b"o").encode_for(Proposer::Unnamed));
        assert_eq!(PayloadOrigin::of(&admin), PayloadOrigin::Admin);
        assert_eq!(PayloadOrigin::of(&Payload::Noop), PayloadOrigin::NoOperation);
        assert_eq!(
            PayloadOrigin::of(&Payload::Command(Command::from("?"))),
            PayloadOrigin::Unmarked
        );
    }
}
