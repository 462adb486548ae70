//! Requests to the state machine, and their encoding as commands of the log.
//!
//! `docs/FORMAT.md`, section "Commands and sessions", specifies the encoding.

use crate::machine::proposer::Proposer;
use crate::types::text::short_form;
use crate::types::{Command, Index, MachineVersion, SessionBounds};

/// The id of a client session: the index of the entry that registered it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Index);

/// The sequence number of a request in its session, from 1, in the order of submission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// The random number that identifies one client's registration; never used for another session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

/// The limits that a client asks for its session. A registration beyond the replicated
/// [`SessionBounds`] is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionLimits {
    /// The size of the session's window: the number of sequence numbers that are accepted, from the
    /// lowest one without an acknowledgement. From 1 to [`SessionBounds::WINDOW_MAX`].
    pub window: u32,
    /// The maximum size of the session's stored replies in bytes. Beyond it, those with the lowest
    /// sequence numbers are dropped; a single larger reply is not stored. At most
    /// [`SessionBounds::REPLIES_BYTES_PER_SESSION_MAX`].
    pub replies_bytes_max: u32,
}

/// A request to the state machine, which one command of the log encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Executes the command, once for each of its copies in the log.
    Plain(&'a [u8]),
    /// Registers a session, or returns the open session that the proposer has registered with
    /// `nonce`.
    Register {
        /// The client's random number for this session.
        nonce: Nonce,
        /// The limits of this session.
        limits: SessionLimits,
    },
    /// Executes the command at most once, however many copies of the request the log has.
    InSession {
        /// The id of the session.
        session: SessionId,
        /// The sequence number of the request in the session.
        sequence: Sequence,
        /// The lowest sequence number whose reply the client still waits for, at most `sequence`.
        /// Replies before it may be dropped, and requests before it are not executed from then on.
        acknowledged: Sequence,
        /// The command for the user's state machine.
        command: &'a [u8],
    },
    /// Sets the bounds of all sessions; sessions beyond the new bounds expire, the least recently
    /// used ones first. For administrators.
    SetBounds(SessionBounds),
    /// Executes an administrator's command in the user's state machine. For administrators.
    Admin(&'a [u8]),
    /// Raises the version of the rules by which later commands are applied. A part of the version
    /// that is not higher than the present one stays as it is. For administrators.
    RaiseVersion(MachineVersion),
}

const VERSION: u8 = 2;
const PLAIN: u8 = 0;
const REGISTER: u8 = 1;
const IN_SESSION: u8 = 2;
const SET_BOUNDS: u8 = 3;
const ADMIN: u8 = 4;
const RAISE_VERSION: u8 = 5;

/// The size of an encoded raise of the version, in bytes.
const RAISE_BYTES: usize = 10;

/// The size of encoded bounds, in bytes.
pub(crate) const BOUNDS_BYTES: usize = 40;

const _: () = assert!(BOUNDS_BYTES == 6 * 4 + 2 * 8, "each bound has its bytes");
const _: () = assert!(
    Sequence::MAX.0 + SessionBounds::WINDOW_MAX as u64 <= u64::MAX / 2,
    "the end of a window does not overflow"
);

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
    /// Returns true if every limit is within its bounds.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=SessionBounds::WINDOW_MAX).contains(&self.window)
            && self.replies_bytes_max <= SessionBounds::REPLIES_BYTES_PER_SESSION_MAX
    }
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits { window: 64, replies_bytes_max: 1 << 16 }
    }
}

impl<'a> Request<'a> {
    /// The maximum number of bytes that a request adds to the user's command. The proposer adds up
    /// to [`Proposer::BYTES_MAX`] more.
    pub const OVERHEAD_BYTES_MAX: usize = 26;

    /// Encodes the request as a client sends it. The server that proposes it adds the proposer.
    ///
    /// # Panics
    /// If a limit, a bound or a sequence number is not valid, because it would not decode.
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
            Request::SetBounds(bounds) => {
                bytes.extend([VERSION, SET_BOUNDS]);
                bytes.extend(encode_bounds(bounds));
            }
            Request::Admin(command) => {
                bytes.extend([VERSION, ADMIN]);
                bytes.extend(*command);
            }
            Request::RaiseVersion(version) => {
                bytes.extend([VERSION, RAISE_VERSION]);
                bytes.extend(encode_version(*version));
            }
        }
        assert_eq!(bytes.len(), self.encoded_bytes(), "the capacity was exact");
        debug_assert_eq!(Request::decode(&bytes), Some(*self), "a request decodes to itself");
        Command::from(bytes)
    }

    /// Encodes the request as a command of the log, on behalf of `proposer`.
    ///
    /// # Panics
    /// Under the same conditions as [`Request::encode`].
    #[must_use]
    pub fn encode_for(&self, proposer: Proposer<'_>) -> Command {
        proposer.stamp(&self.encode())
    }

    /// Decodes the proposer and the request in a command of the log; `None` if either is malformed
    /// or out of bounds.
    #[must_use]
    pub fn in_log(command: &'a [u8]) -> Option<(Proposer<'a>, Request<'a>)> {
        let (proposer, request) = Proposer::split(command)?;
        Some((proposer, Request::decode(request)?))
    }

    /// Returns the version that a command of the log raises the rules to; `None` for any other
    /// command, and if the proposer is not an administrator. It is cheap for other commands.
    #[must_use]
    pub fn raised_version(command: &[u8]) -> Option<MachineVersion> {
        let (_, request) = command.split_last_chunk::<RAISE_BYTES>()?;
        if request[..2] != [VERSION, RAISE_VERSION] {
            return None;
        }
        match Request::in_log(command)? {
            (proposer, Request::RaiseVersion(version)) if proposer.is_administrator() => {
                Some(version)
            }
            _ => None,
        }
    }

    /// Decodes the request of a client; `None` if it is malformed or out of bounds.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Request<'a>> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        let request = match (version, kind) {
            (VERSION, PLAIN) => Request::Plain(rest),
            (VERSION, REGISTER) => decode_register(rest)?,
            (VERSION, IN_SESSION) => decode_in_session(rest)?,
            (VERSION, SET_BOUNDS) => Request::SetBounds(decode_bounds(rest.try_into().ok()?)),
            (VERSION, ADMIN) => Request::Admin(rest),
            (VERSION, RAISE_VERSION) => {
                Request::RaiseVersion(decode_version(rest.try_into().ok()?))
            }
            _ => return None,
        };
        request.is_valid().then_some(request)
    }

    /// Returns true if only an administrator may send the request.
    #[must_use]
    pub fn is_for_administrators(&self) -> bool {
        match self {
            Request::SetBounds(_) | Request::Admin(_) | Request::RaiseVersion(_) => true,
            Request::Plain(_) | Request::Register { .. } | Request::InSession { .. } => false,
        }
    }

    fn is_valid(&self) -> bool {
        match self {
            Request::Plain(_) | Request::Admin(_) | Request::RaiseVersion(_) => true,
            Request::SetBounds(bounds) => bounds.error().is_none(),
            Request::Register { limits, .. } => limits.is_valid(),
            Request::InSession { sequence, acknowledged, .. } => {
                (Sequence::FIRST..=*sequence).contains(acknowledged) && *sequence <= Sequence::MAX
            }
        }
    }

    /// Returns the size of the encoded request.
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self {
            Request::Plain(command) | Request::Admin(command) => 2 + command.len(),
            Request::Register { .. } => 26,
            Request::SetBounds(_) => 2 + BOUNDS_BYTES,
            Request::RaiseVersion(_) => RAISE_BYTES,
            Request::InSession { command, .. } => Self::OVERHEAD_BYTES_MAX + command.len(),
        }
    }
}

fn decode_register(bytes: &[u8]) -> Option<Request<'_>> {
    let (nonce, rest) = bytes.split_first_chunk()?;
    let (window, rest) = rest.split_first_chunk()?;
    let (replies_bytes_max, rest) = rest.split_first_chunk()?;
    let limits = SessionLimits {
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

/// Encodes the bounds, in the order of their declaration.
pub(crate) fn encode_bounds(bounds: &SessionBounds) -> [u8; BOUNDS_BYTES] {
    let SessionBounds {
        sessions_max,
        sessions_per_principal_max,
        window_max,
        requests_per_principal_max,
        requests_max,
        replies_bytes_per_session_max,
        replies_bytes_per_principal_max,
        replies_bytes_max,
    } = *bounds;
    let short = [
        sessions_max,
        sessions_per_principal_max,
        window_max,
        requests_per_principal_max,
        requests_max,
        replies_bytes_per_session_max,
    ];
    let long = [replies_bytes_per_principal_max, replies_bytes_max];
    let mut bytes = [0; BOUNDS_BYTES];
    let (shorts, longs) = bytes.split_at_mut(4 * short.len());
    for (place, value) in shorts.chunks_exact_mut(4).zip(short) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    for (place, value) in longs.chunks_exact_mut(8).zip(long) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    debug_assert_eq!(decode_bounds(&bytes), *bounds, "encoded bounds can be read back");
    bytes
}

/// Decodes bounds, which may be invalid.
pub(crate) fn decode_bounds(bytes: &[u8; BOUNDS_BYTES]) -> SessionBounds {
    let short =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
    SessionBounds {
        sessions_max: short(0),
        sessions_per_principal_max: short(4),
        window_max: short(8),
        requests_per_principal_max: short(12),
        requests_max: short(16),
        replies_bytes_per_session_max: short(20),
        replies_bytes_per_principal_max: long(24),
        replies_bytes_max: long(32),
    }
}

/// Encodes a version: the user's, then the library's.
pub(crate) fn encode_version(version: MachineVersion) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&version.user.to_le_bytes());
    bytes[4..].copy_from_slice(&version.library.to_le_bytes());
    bytes
}

/// Decodes a version, which this build may not have.
pub(crate) fn decode_version(bytes: &[u8; 8]) -> MachineVersion {
    let [a, b, c, d, e, f, g, h] = *bytes;
    MachineVersion {
        user: u32::from_le_bytes([a, b, c, d]),
        library: u32::from_le_bytes([e, f, g, h]),
    }
}

short_form!(SessionId: "s{}", 0);
short_form!(Sequence: ".{}", 0);
short_form!(Nonce: "nonce {:x}", 0);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { window: 0x0304, replies_bytes_max: 0x0506 };

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
        let version = MachineVersion { user: 0x0201, library: 3 };
        let golden: [(Request<'_>, &[u8]); 6] = [
            (Request::Plain(b"put"), b"\x02\x00put"),
            (
                Request::Register { nonce: Nonce(0x0f0e), limits: LIMITS },
                b"\x02\x01\x0e\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
                  \x04\x03\0\0\x06\x05\0\0",
            ),
            (
                in_session(0x33, 0x22),
                b"\x02\x02\x11\0\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0put",
            ),
            (
                Request::SetBounds(SessionBounds::DEFAULT),
                b"\x02\x03\0\0\x01\0\0\x10\0\0\0\x04\0\0\0\0\x01\0\0\0\x04\0\0\0\x40\0\
                  \0\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0",
            ),
            (Request::Admin(b"grow"), b"\x02\x04grow"),
            (Request::RaiseVersion(version), b"\x02\x05\x01\x02\0\0\x03\0\0\0"),
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
        assert_eq!(Request::decode(b"\x01\x00put"), None, "another version");
        assert_eq!(Request::decode(b"\x02\x06put"), None, "another kind");
        let raise = Request::RaiseVersion(MachineVersion::FIRST).encode();
        assert_eq!(Request::decode(&raise[..raise.len() - 1]), None);
        assert_eq!(Request::decode(&[&*raise, &[0]].concat()), None);
        assert_eq!(Request::decode(&[&[2, 3][..], &[0; BOUNDS_BYTES]].concat()), None);
        let mut bytes = in_session(2, 2).encode().to_vec();
        for (sequence, acknowledged) in [(2u64, 3u64), (2, 0), (0, 0), ((1 << 62) + 1, 1)] {
            bytes[10..18].copy_from_slice(&sequence.to_le_bytes());
            bytes[18..26].copy_from_slice(&acknowledged.to_le_bytes());
            assert_eq!(Request::decode(&bytes), None, "{sequence} {acknowledged}");
        }
        let register = Request::Register { nonce: Nonce(7), limits: LIMITS }.encode();
        for (at, value) in [
            (18, 0),
            (18, SessionBounds::WINDOW_MAX + 1),
            (22, SessionBounds::REPLIES_BYTES_PER_SESSION_MAX + 1),
        ] {
            let mut bytes = register.to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert_eq!(Request::decode(&bytes), None, "{value} at {at}");
        }
    }

    #[test]
    fn only_an_administrators_raise_has_a_version() {
        for version in [0, 1, u32::MAX].map(|user| MachineVersion { user, library: 2 }) {
            let raise = Request::RaiseVersion(version);
            for proposer in [Proposer::Unnamed, Proposer::Admin("ops")] {
                let command = raise.encode_for(proposer);
                assert_eq!(Request::raised_version(&command), Some(version));
                assert_eq!(Request::raised_version(&command[1..]), None, "no proposer");
            }
            let client = raise.encode_for(Proposer::Client("app"));
            assert_eq!(Request::raised_version(&client), None);
            // A command of a user whose last bytes look like a raise.
            let look_alike = Request::Plain(&raise.encode()).encode_for(Proposer::Unnamed);
            assert_eq!(Request::raised_version(&look_alike), None);
        }
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn a_request_out_of_bounds_is_never_encoded() {
        let _ = in_session(1, 2).encode();
    }
}
