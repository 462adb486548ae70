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

/// How many bytes of every command name its operation.
pub(crate) const OP_BYTES: usize = 8;

/// `command`, marked as that of `op`: every command of the world ends with such a mark, which the
/// user's state machine does not see.
#[must_use]
pub fn mark(mut command: Vec<u8>, op: OpId) -> Vec<u8> {
    command.extend(op.0.to_le_bytes());
    command
}

/// A marked command without its mark, and the operation; none if there is no room for a mark.
#[must_use]
pub fn unmark(command: &[u8]) -> Option<(&[u8], OpId)> {
    let (command, mark) = command.split_last_chunk::<OP_BYTES>()?;
    Some((command, OpId(u64::from_le_bytes(*mark))))
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
        let marked = mark(b"put".to_vec(), OpId(7));
        assert_eq!(unmark(&marked), Some((&b"put"[..], OpId(7))));
        let plain = Payload::Command(Request::Plain(&marked).encode());
        assert_eq!(Said::by(&plain), Said::Command { op: OpId(7), session: None });
        assert_eq!(Said::by(&Payload::Noop), Said::Nothing);
        assert_eq!(Said::by(&Payload::Command(Command::from("?"))), Said::Nonsense);
    }
}
