//! The encoding of a machine's snapshot: the sessions, then the bytes of the user's state machine.
//!
//! `docs/FORMAT.md`, section "Commands and sessions", specifies it. Decoding arbitrary bytes
//! returns an error, or sessions that some log could produce, and its memory grows only with the
//! bytes that the stream really has.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use crate::machine::digest::Digest;
use crate::machine::proposer::Proposer;
use crate::machine::request::{
    BOUNDS_BYTES, Nonce, Sequence, SessionId, SessionLimits, decode_bounds, decode_version,
    encode_bounds, encode_version,
};
use crate::machine::session::{Owner, Session, bytes_of};
use crate::machine::sessions::Sessions;
use crate::types::text::texts;
use crate::types::{EntryId, Index, MachineVersion, Term};

/// A frozen view of a machine's state at one entry, to be read as bytes. Later commands do not
/// change it.
pub struct FrozenView {
    last: EntryId,
    /// The encoded bytes to read next.
    piece: Cursor<Vec<u8>>,
    sessions: btree_map::IntoIter<SessionId, Arc<Session>>,
    user: Box<dyn Read + Send>,
}

/// The error that prevented the restore of a machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes could not be read, or ended early. The machine is unchanged.
    Read(io::Error),
    /// The bytes do not start with the magic bytes of a snapshot. The machine is unchanged.
    NotASnapshot,
    /// The snapshot has an unsupported version. The machine is unchanged.
    Version(u32),
    /// The snapshot does not end at the requested entry. The machine is unchanged.
    OtherEntry {
        /// The last entry that the snapshot should cover.
        expected: EntryId,
        /// The last entry according to the snapshot.
        found: EntryId,
    },
    /// The state follows rules that this build does not have. The machine is unchanged.
    BuildTooOld {
        /// The version of the rules at the end of the snapshot.
        required: MachineVersion,
        /// The highest version of the rules that this build has.
        max: MachineVersion,
    },
    /// The header or the sessions are invalid, as the text describes. The machine is unchanged.
    Sessions(&'static str),
    /// The user's state machine rejected its part. Its state is invalid: the machine can neither
    /// apply nor answer until a restore succeeds.
    User(io::Error),
}

/// The header of a snapshot, before the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The last entry that the state covers.
    pub(crate) last: EntryId,
    /// The last entry that the user's state machine executed: a command, an admin command or a
    /// raise of its version.
    pub(crate) executed: Index,
    /// The rolling hash over all applied entries and their outcomes, if it is known.
    pub(crate) results: Option<Digest>,
    /// The version of the rules after that entry, by which the state is encoded.
    pub(crate) version: MachineVersion,
}

const MAGIC: [u8; 8] = *b"quorstat";
const VERSION: u32 = 2;
/// The length that marks a reply that is unknown or was dropped.
const UNKNOWN: u32 = u32::MAX;
/// The maximum number of reply bytes to read at once, so that memory grows with the bytes read.
const STEP_BYTES: u64 = 64 << 10;

impl FrozenView {
    pub(crate) fn new(
        header: Header,
        sessions: &Sessions,
        user: Box<dyn Read + Send>,
    ) -> FrozenView {
        assert!(header.executed <= header.last.index, "only applied commands are executed");
        let mut piece = Vec::new();
        piece.extend(MAGIC);
        piece.extend(VERSION.to_le_bytes());
        piece.extend(encoded_header(&header));
        piece.extend(encoded_counts(sessions));
        let sessions = sessions.open().clone().into_iter();
        FrozenView { last: header.last, piece: Cursor::new(piece), sessions, user }
    }

    /// Returns the last entry that the state covers.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.last
    }
}

impl Read for FrozenView {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some((id, session)) = self.sessions.next() else { break };
            let mut piece = Vec::new();
            encode_session(id, &session, Replies::Included, &mut piece);
            self.piece = Cursor::new(piece);
        }
        self.user.read(buffer)
    }
}

impl fmt::Debug for FrozenView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frozen at {}", self.last)
    }
}

texts! { RestoreError:
    Self::Read(error) => "the snapshot cannot be read: {error}";
    Self::NotASnapshot => "these bytes are not a snapshot";
    Self::Version(version) =>
        "the snapshot has version {version}, but this program supports {VERSION}";
    Self::OtherEntry { expected, found } => "the snapshot ends at entry {found}, not at {expected}";
    Self::BuildTooOld { required, max } =>
        "the snapshot has version {required} of the rules by which commands are applied, but this \
         build has them up to {max} only: install the newer build";
    Self::Sessions(error) => "the snapshot is invalid: {error}";
    Self::User(error) => "the state machine rejects the snapshot: {error}";
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RestoreError::Read(error) | RestoreError::User(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns the digest of the sessions without their replies. Replies are left out because a node
/// whose state machine has durable state of its own may not know them, and because they do not
/// decide which requests are executed.
pub(crate) fn digest_of(sessions: &Sessions) -> Digest {
    let mut bytes = encoded_counts(sessions).to_vec();
    for (id, session) in sessions.open() {
        encode_session(*id, session, Replies::Omitted, &mut bytes);
    }
    Digest::of_bytes(&bytes)
}

/// Decodes the header and the sessions, which precede the bytes of the user's state machine. Fails
/// if the state follows rules beyond version `max`.
pub(crate) fn read_header_and_sessions(
    reader: &mut dyn Read,
    max: MachineVersion,
) -> Result<(Header, Sessions), RestoreError> {
    if array(reader)? != MAGIC {
        return Err(RestoreError::NotASnapshot);
    }
    let version = number(reader)?;
    if version != VERSION {
        return Err(RestoreError::Version(version));
    }
    let header = read_header(reader)?;
    let required = header.version;
    if !required.is_within(max) {
        return Err(RestoreError::BuildTooOld { required, max });
    }
    let bounds = decode_bounds(&array(reader)?);
    if let Some(error) = bounds.error() {
        return Err(RestoreError::Sessions(error));
    }
    let mut sessions = Sessions::within(bounds);
    let mut used = BTreeSet::new();
    for _ in 0..number(reader)? {
        let (id, session) = read_session(reader, header.last.index)?;
        if !used.insert(session.used) {
            return Err(RestoreError::Sessions("two sessions used by one entry"));
        }
        sessions.insert(id, session).map_err(RestoreError::Sessions)?;
    }
    Ok((header, sessions))
}

/// Whether the encoding of sessions includes the replies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replies {
    Included,
    Omitted,
}

fn encoded_header(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(header.last.term.0.to_le_bytes());
    bytes.extend(header.last.index.0.to_le_bytes());
    bytes.extend(header.executed.0.to_le_bytes());
    bytes.push(u8::from(header.results.is_some()));
    bytes.extend(header.results.unwrap_or_default().0);
    bytes.extend(encode_version(header.version));
    bytes
}

/// Encodes the bounds and the number of sessions.
fn encoded_counts(sessions: &Sessions) -> [u8; BOUNDS_BYTES + 4] {
    let count = u32::try_from(sessions.open().len()).expect("sessions_max bounds the number");
    let mut bytes = [0; BOUNDS_BYTES + 4];
    bytes[..BOUNDS_BYTES].copy_from_slice(&encode_bounds(sessions.bounds()));
    bytes[BOUNDS_BYTES..].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn encode_session(id: SessionId, session: &Session, replies: Replies, bytes: &mut Vec<u8>) {
    let count = u32::try_from(session.executed.len()).expect("the window bounds the number");
    assert!(id.0 <= session.used, "a session is used from its registration on");
    let SessionLimits { window, replies_bytes_max } = session.limits;
    assert!(count <= window, "requests beyond the window are not executed");
    bytes.extend(id.0.0.to_le_bytes());
    bytes.extend(&session.owner[..]);
    bytes.extend(session.nonce.0.to_le_bytes());
    bytes.extend(window.to_le_bytes());
    bytes.extend(replies_bytes_max.to_le_bytes());
    bytes.extend(session.used.0.to_le_bytes());
    bytes.extend(session.floor.0.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for (sequence, reply) in &session.executed {
        bytes.extend(sequence.0.to_le_bytes());
        match reply {
            _ if replies == Replies::Omitted => {}
            None => bytes.extend(UNKNOWN.to_le_bytes()),
            Some(reply) => {
                let length = u32::try_from(reply.len()).expect("replies_bytes_max bounds it");
                bytes.extend(length.to_le_bytes());
                bytes.extend(&reply[..]);
            }
        }
    }
}

fn read_header(reader: &mut dyn Read) -> Result<Header, RestoreError> {
    let last = EntryId::new(Term(long(reader)?), Index(long(reader)?));
    let executed = Index(long(reader)?);
    let is_known: [u8; 1] = array(reader)?;
    let digest = Digest(array(reader)?);
    let results = match is_known {
        [0] if digest == Digest::default() => None,
        [1] => Some(digest),
        _ => return Err(RestoreError::Sessions("the results hash is inconsistent")),
    };
    let version = decode_version(&array(reader)?);
    if version.library < MachineVersion::FIRST.library {
        return Err(RestoreError::Sessions("the version of the rules is invalid"));
    }
    if last.term > Term::MAX || last.index > Index::MAX || executed > last.index {
        return Err(RestoreError::Sessions("an entry id is out of bounds"));
    }
    Ok(Header { last, executed, results, version })
}

fn read_session(reader: &mut dyn Read, last: Index) -> Result<(SessionId, Session), RestoreError> {
    let id = SessionId(Index(long(reader)?));
    let owner = read_owner(reader)?;
    let nonce = Nonce(u128::from_le_bytes(array(reader)?));
    let window = number(reader)?;
    let replies_bytes_max = number(reader)?;
    let used = Index(long(reader)?);
    let floor = Sequence(long(reader)?);
    let limits = SessionLimits { window, replies_bytes_max };
    if id.0 == Index::ZERO || used < id.0 || last < used {
        return Err(RestoreError::Sessions("the index of a session is invalid"));
    }
    if !limits.is_valid() || !(Sequence::FIRST..=Sequence::MAX).contains(&floor) {
        return Err(RestoreError::Sessions("the limits of a session are invalid"));
    }
    let executed = BTreeMap::new();
    let mut session = Session { owner, nonce, limits, used, floor, executed, replies_bytes: 0 };
    for _ in 0..number(reader)? {
        read_executed(reader, &mut session)?;
    }
    Ok((id, session))
}

/// Decodes the owner of a session.
fn read_owner(reader: &mut dyn Read) -> Result<Owner, RestoreError> {
    let mut bytes = array::<1>(reader)?.to_vec();
    if bytes[0] != Proposer::Unnamed.encode()[0] {
        let length: [u8; 1] = array(reader)?;
        bytes.extend(length);
        bytes.extend(read_bytes(reader, u64::from(length[0]))?);
    }
    match Proposer::split(&bytes) {
        Some((_, [])) => Ok(Owner::from(bytes)),
        _ => Err(RestoreError::Sessions("the owner of a session is invalid")),
    }
}

/// Decodes one request that the session has executed.
fn read_executed(reader: &mut dyn Read, session: &mut Session) -> Result<(), RestoreError> {
    let sequence = Sequence(long(reader)?);
    let is_ascending = session.executed.last_key_value().is_none_or(|(last, _)| *last < sequence);
    if !is_ascending || !(session.floor..session.end()).contains(&sequence) {
        return Err(RestoreError::Sessions("a request is out of order or outside the window"));
    }
    let length = number(reader)?;
    let room = u64::from(session.limits.replies_bytes_max) - session.replies_bytes;
    let reply = match length {
        UNKNOWN => None,
        _ if u64::from(length) > room => {
            return Err(RestoreError::Sessions("more bytes of replies than the limit"));
        }
        _ => Some(Arc::from(read_bytes(reader, u64::from(length))?)),
    };
    session.replies_bytes += bytes_of(&reply);
    session.executed.insert(sequence, reply);
    Ok(())
}

fn read_bytes(reader: &mut dyn Read, length: u64) -> Result<Vec<u8>, RestoreError> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        let step = STEP_BYTES.min(length - bytes.len() as u64);
        let count = reader.take(step).read_to_end(&mut bytes).map_err(RestoreError::Read)?;
        if (count as u64) < step {
            return Err(RestoreError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(bytes)
}

fn array<const N: usize>(reader: &mut dyn Read) -> Result<[u8; N], RestoreError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(RestoreError::Read)?;
    Ok(bytes)
}

fn number(reader: &mut dyn Read) -> Result<u32, RestoreError> {
    array(reader).map(u32::from_le_bytes)
}

fn long(reader: &mut dyn Read) -> Result<u64, RestoreError> {
    array(reader).map(u64::from_le_bytes)
}
