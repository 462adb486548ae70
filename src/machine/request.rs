//! Requests to the state machine, and their encoding as commands of the log.
//!
//! `docs/FORMAT.md`, section "Commands and sessions", specifies the encoding.

use crate::types::text::short_form;
use crate::types::{Command, Index};

/// The id of a client session: the index of the entry that registered it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Index);

/// The sequence number of a request in its session, from 1, in the order of submission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// The random number that identifies one client's registration; never used for another session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

/// The limits of what nodes store for sessions. Each registration in the log carries them, so that
/// nodes with different settings store the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionLimits {
    /// The maximum number of sessions of all clients, from this registration on. Beyond it, the
    /// least recently used session expires. From 1 to [`SessionLimits::SESSIONS_MAX`].
    pub sessions_max: u32,
    /// The size of the session's window: the number of sequence numbers that are accepted, from the
    /// lowest one without an acknowledgement. From 1 to [`SessionLimits::WINDOW_MAX`].
    pub window: u32,
    /// The maximum size of the session's stored replies in bytes. Beyond it, those with the lowest
    /// sequence numbers are dropped. At most [`SessionLimits::REPLIES_BYTES_MAX`].
    pub replies_bytes_max: u32,
}

/// A request to the state machine, which one command of the log encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Executes the command, once for each of its copies in the log.
    Plain(&'a [u8]),
    /// Registers a session, or returns the session that `nonce` has registered.
    Register {
        /// The client's random number for this session.
        nonce: Nonce,
        /// The limits of this session, and of all sessions.
        limits: SessionLimits,
    },
    /// Executes the command at most once in the session.
    InSession {
        /// The id of the session.
        session: SessionId,
        /// The sequence number of the request in the session.
        sequence: Sequence,
        /// The lowest sequence number whose reply the client still waits for, at most `sequence`.
        /// Earlier replies may be dropped, and earlier requests are never executed.
        acknowledged: Sequence,
        /// The command for the user's state machine.
        command: &'a [u8],
    },
}

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const REGISTER: u8 = 1;
const IN_SESSION: u8 = 2;

impl Sequence {
    /// The sequence number of a session's first request.
    pub const FIRST: Sequence = Sequence(1);
    /// The highest sequence number; the room above it keeps arithmetic from overflowing.
    pub const MAX: Sequence = Sequence(1 << 62);

    /// Returns the sequence number after this one.
    #[must_use]
    pub const fn next(self) -> Sequence {
        assert!(self.0 <= Sequence::MAX.0, "the numbers of a session are bounded");
        Sequence(self.0 + 1)
    }
}

impl SessionLimits {
    /// The highest valid `sessions_max`.
    pub const SESSIONS_MAX: u32 = 1 << 20;
    /// The highest valid `window`.
    pub const WINDOW_MAX: u32 = 1 << 10;
    /// The highest valid `replies_bytes_max`, in bytes.
    pub const REPLIES_BYTES_MAX: u32 = 64 << 20;

    /// Returns true if every limit is within its bounds.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=Self::SESSIONS_MAX).contains(&self.sessions_max)
            && (1..=Self::WINDOW_MAX).contains(&self.window)
            && self.replies_bytes_max <= Self::REPLIES_BYTES_MAX
    }
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits { sessions_max: 4096, window: 64, replies_bytes_max: 1 << 16 }
    }
}

impl<'a> Request<'a> {
    /// The maximum number of bytes that a request adds to the user's command.
    pub const OVERHEAD_BYTES_MAX: usize = 26;

    /// Encodes the request as a command of the log.
    ///
    /// # Panics
    /// If a limit or a sequence number is out of its bounds, because it would not decode.
    #[must_use]
    pub fn encode(&self) -> Command {
        assert!(self.is_valid(), "{self:?} is out of bounds");
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        match self {
            Request::Plain(command) => {
                bytes.extend([VERSION, PLAIN]);
                bytes.extend(*command);
            }
            Request::Register { nonce, limits } => {
                bytes.extend([VERSION, REGISTER]);
                bytes.extend(nonce.0.to_le_bytes());
                bytes.extend(limits.sessions_max.to_le_bytes());
                bytes.extend(limits.window.to_le_bytes());
                bytes.extend(limits.replies_bytes_max.to_le_bytes());
            }
            Request::InSession { session, sequence, acknowledged, command } => {
                bytes.extend([VERSION, IN_SESSION]);
                bytes.extend(session.0.0.to_le_bytes());
                bytes.extend(sequence.0.to_le_bytes());
                bytes.extend(acknowledged.0.to_le_bytes());
                bytes.extend(*command);
            }
        }
        assert_eq!(bytes.len(), self.encoded_bytes(), "the capacity was exact");
        debug_assert_eq!(Request::decode(&bytes), Some(*self), "a request decodes to itself");
        Command::from(bytes)
    }

    /// Decodes the request in a command of the log; `None` if it is malformed or out of bounds.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Request<'a>> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        let request = match (version, kind) {
            (VERSION, PLAIN) => Request::Plain(rest),
            (VERSION, REGISTER) => decode_register(rest)?,
            (VERSION, IN_SESSION) => decode_in_session(rest)?,
            _ => return None,
        };
        request.is_valid().then_some(request)
    }

    fn is_valid(&self) -> bool {
        match self {
            Request::Plain(_) => true,
            Request::Register { limits, .. } => limits.is_valid(),
            Request::InSession { sequence, acknowledged, .. } => {
                (Sequence::FIRST..=*sequence).contains(acknowledged) && *sequence <= Sequence::MAX
            }
        }
    }

    fn encoded_bytes(&self) -> usize {
        match self {
            Request::Plain(command) => 2 + command.len(),
            Request::Register { .. } => 30,
            Request::InSession { command, .. } => Self::OVERHEAD_BYTES_MAX + command.len(),
        }
    }
}

fn decode_register(bytes: &[u8]) -> Option<Request<'_>> {
    let (nonce, rest) = bytes.split_first_chunk()?;
    let (sessions_max, rest) = rest.split_first_chunk()?;
    let (window, rest) = rest.split_first_chunk()?;
    let (replies_bytes_max, rest) = rest.split_first_chunk()?;
    let limits = SessionLimits {
        sessions_max: u32::from_le_bytes(*sessions_max),
        window: u32::from_le_bytes(*window),
        replies_bytes_max: u32::from_le_bytes(*replies_bytes_max),
    };
    let nonce = Nonce(u128::from_le_bytes(*nonce));
    rest.is_empty().then_some(Request::Register { nonce, limits })
}

fn decode_in_session(bytes: &[u8]) -> Option<Request<'_>> {
    let (session, rest) = bytes.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (acknowledged, command) = rest.split_first_chunk()?;
    Some(Request::InSession {
        session: SessionId(Index(u64::from_le_bytes(*session))),
        sequence: Sequence(u64::from_le_bytes(*sequence)),
        acknowledged: Sequence(u64::from_le_bytes(*acknowledged)),
        command,
    })
}

short_form!(SessionId: "s{}", 0);
short_form!(Sequence: ".{}", 0);
short_form!(Nonce: "nonce {:x}", 0);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits =
        SessionLimits { sessions_max: 0x0102, window: 0x0304, replies_bytes_max: 0x0506 };

    fn in_session(sequence: u64, acknowledged: u64) -> Request<'static> {
        Request::InSession {
            session: SessionId(Index(0x11)),
            sequence: Sequence(sequence),
            acknowledged: Sequence(acknowledged),
            command: b"put",
        }
    }

    #[test]
    fn the_encoding_is_that_of_the_format_document() {
        let golden: [(Request<'_>, &[u8]); 3] = [
            (Request::Plain(b"put"), b"\x01\x00put"),
            (
                Request::Register { nonce: Nonce(0x0f0e), limits: LIMITS },
                b"\x01\x01\x0e\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
                  \x02\x01\0\0\x04\x03\0\0\x06\x05\0\0",
            ),
            (
                in_session(0x33, 0x22),
                b"\x01\x02\x11\0\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0put",
            ),
        ];
        for (request, bytes) in golden {
            assert_eq!(&*request.encode(), bytes, "{request:?}");
            assert_eq!(Request::decode(bytes), Some(request));
        }
    }

    #[test]
    fn a_truncated_or_longer_registration_does_not_decode() {
        let whole = Request::Register { nonce: Nonce(7), limits: LIMITS }.encode();
        for length in 0..whole.len() {
            assert_eq!(Request::decode(&whole[..length]), None, "{length} bytes");
        }
        let longer = [&*whole, &[0]].concat();
        assert_eq!(Request::decode(&longer), None);
        let bare = in_session(2, 1).encode();
        assert_eq!(Request::decode(&bare[..Request::OVERHEAD_BYTES_MAX - 1]), None);
        assert!(Request::decode(&bare[..Request::OVERHEAD_BYTES_MAX]).is_some());
    }

    #[test]
    fn invalid_requests_do_not_decode() {
        assert_eq!(Request::decode(b"\x02\x00put"), None, "another version");
        assert_eq!(Request::decode(b"\x01\x03put"), None, "another kind");
        let mut bytes = in_session(2, 2).encode().to_vec();
        for (sequence, acknowledged) in [(2u64, 3u64), (2, 0), (0, 0), ((1 << 62) + 1, 1)] {
            bytes[10..18].copy_from_slice(&sequence.to_le_bytes());
            bytes[18..26].copy_from_slice(&acknowledged.to_le_bytes());
            assert_eq!(Request::decode(&bytes), None, "{sequence} {acknowledged}");
        }
        let register = Request::Register { nonce: Nonce(7), limits: LIMITS }.encode();
        for (at, value) in [
            (18, 0),
            (18, SessionLimits::SESSIONS_MAX + 1),
            (22, 0),
            (22, SessionLimits::WINDOW_MAX + 1),
            (26, SessionLimits::REPLIES_BYTES_MAX + 1),
        ] {
            let mut bytes = register.to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert_eq!(Request::decode(&bytes), None, "{value} at {at}");
        }
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn a_request_out_of_bounds_is_never_encoded() {
        let _ = in_session(1, 2).encode();
    }
}
