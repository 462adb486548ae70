//! What the log's commands say of the operations that they are for.

use quorate::machine::{Request, Sequence, SessionId};
use quorate::types::Payload;

/// The number of one client operation, from 0 in the order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What an entry's payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// No user's command: an empty entry, or a session's registration.
    Nothing,
    /// The command of an operation.
    Command {
        /// The operation.
        op: OpId,
        /// The session it was asked in, and its number there.
        session: Option<(SessionId, Sequence)>,
    },
    /// Bytes that no client of the world sends.
    Nonsense,
}

/// How many bytes a mark has: padding's length, operation.
pub(crate) const MARK_BYTES: usize = 12;

/// The user's `command`, marked as that of `op`, and padded to `length` bytes if it is shorter. Every
/// command of the world is so; the user's state machine sees neither mark nor padding.
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

/// A marked command as the user made it, and the operation; none if it has no mark.
#[must_use]
pub fn unmark(command: &[u8]) -> Option<(&[u8], OpId)> {
    let (command, op) = command.split_last_chunk()?;
    let (command, padding) = command.split_last_chunk()?;
    let length = command.len().checked_sub(u32::from_le_bytes(*padding) as usize)?;
    Some((&command[..length], OpId(u64::from_le_bytes(*op))))
}

impl Said {
    /// What `payload` says.
    pub(crate) fn by(payload: &Payload) -> Said {
        let Payload::Command(command) = payload else { return Said::Nothing };
        let (command, session) = match Request::decode(command) {
            Some(Request::Plain(command)) => (command, None),
            Some(Request::InSession { session, sequence, command, .. }) => {
                (command, Some((session, sequence)))
            }
            Some(Request::Register { .. }) => return Said::Nothing,
            None => return Said::Nonsense,
        };
        match unmark(command) {
            Some((_, op)) => Said::Command { op, session },
            None => Said::Nonsense,
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
        let plain = Payload::Command(Request::Plain(&marked).encode());
        assert_eq!(Said::by(&plain), Said::Command { op: OpId(7), session: None });
        assert_eq!(Said::by(&Payload::Noop), Said::Nothing);
        assert_eq!(Said::by(&Payload::Command(Command::from("?"))), Said::Nonsense);
    }
}
