//! The bytes of a machine's snapshot: the sessions, then what the user's machine gives.
//!
//! They are described in `docs/FORMAT.md`, section "Commands and sessions". Reading believes
//! nothing: whatever the bytes, it ends in an error or in sessions that some log leads to, and
//! never takes more memory than the stream has bytes.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use crate::machine::digest::Digest;
use crate::machine::request::{Nonce, Sequence, SessionId, SessionLimits};
use crate::machine::sessions::{Session, Sessions, bytes_of};
use crate::types::{EntryId, Index, Term};

/// A machine's state at one entry, to be read as bytes at leisure: later commands do not show.
pub struct Frozen {
    last: EntryId,
    /// What is read next.
    piece: Cursor<Vec<u8>>,
    sessions: btree_map::IntoIter<SessionId, Arc<Session>>,
    user: Box<dyn Read + Send>,
}

/// Why a machine was not restored.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes could not be read, or ended early. The machine is as it was.
    Read(io::Error),
    /// The bytes do not begin as a snapshot of a machine does. The machine is as it was.
    NotASnapshot,
    /// The snapshot was written by a version that this one does not know. The machine is as it
    /// was.
    Version(u32),
    /// The snapshot is that of another entry. The machine is as it was.
    OtherEntry {
        /// The entry it should stand for.
        expected: EntryId,
        /// The entry it says it stands for.
        found: EntryId,
    },
    /// The sessions contradict themselves, as the text says. The machine is as it was.
    Sessions(&'static str),
    /// The user's machine refused its part. Its state does not matter any more: it must be
    /// restored from another snapshot before anything else.
    User(io::Error),
}

/// What stands before the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The last entry that the state covers.
    pub(crate) last: EntryId,
    /// The last entry whose command the user's machine carried out.
    pub(crate) executed: Index,
    /// The rolling hash over all outcomes, if it is known.
    pub(crate) results: Option<Digest>,
}

const MAGIC: [u8; 8] = *b"quorstat";
const VERSION: u32 = 1;
/// Stands in place of a length where a reply is not known.
const UNKNOWN: u32 = u32::MAX;
/// How many bytes of a reply are asked for at once: memory grows with what has come.
const STEP_BYTES: u64 = 64 << 10;

impl Frozen {
    pub(crate) fn new(header: Header, sessions: &Sessions, user: Box<dyn Read + Send>) -> Frozen {
        let mut piece = Vec::new();
        piece.extend(MAGIC);
        piece.extend(VERSION.to_le_bytes());
        piece.extend(encoded_header(&header));
        piece.extend(encoded_counts(sessions));
        let sessions = sessions.open().clone().into_iter();
        Frozen { last: header.last, piece: Cursor::new(piece), sessions, user }
    }

    /// The last entry that the state covers.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.last
    }
}

impl Read for Frozen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some((id, session)) = self.sessions.next() else { break };
            let mut piece = Vec::new();
            encode_session(id, &session, Replies::Kept, &mut piece);
            self.piece = Cursor::new(piece);
        }
        self.user.read(buffer)
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frozen at {}", self.last)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Read(error) => write!(f, "the snapshot cannot be read: {error}"),
            RestoreError::NotASnapshot => f.write_str("these bytes are no snapshot"),
            RestoreError::Version(version) => {
                write!(f, "the snapshot has version {version}, this program knows {VERSION}")
            }
            RestoreError::OtherEntry { expected, found } => {
                write!(f, "the snapshot is of entry {found}, not {expected}")
            }
            RestoreError::Sessions(what) => write!(f, "the snapshot's sessions: {what}"),
            RestoreError::User(error) => {
                write!(f, "the state machine refuses the snapshot: {error}")
            }
        }
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RestoreError::Read(error) | RestoreError::User(error) => Some(error),
            _ => None,
        }
    }
}

/// The digest of the sessions without their replies: a machine that is durable by itself may not
/// know those, and decides the same.
pub(crate) fn digest_of(sessions: &Sessions) -> Digest {
    let mut bytes = encoded_counts(sessions).to_vec();
    for (id, session) in sessions.open() {
        encode_session(*id, session, Replies::LeftOut, &mut bytes);
    }
    Digest::of_bytes(&bytes)
}

/// Reads what comes before the user's part.
pub(crate) fn read_front(reader: &mut dyn Read) -> Result<(Header, Sessions), RestoreError> {
    if array(reader)? != MAGIC {
        return Err(RestoreError::NotASnapshot);
    }
    let version = number(reader)?;
    if version != VERSION {
        return Err(RestoreError::Version(version));
    }
    let header = read_header(reader)?;
    let sessions_max = number(reader)?;
    let count = number(reader)?;
    if sessions_max > SessionLimits::SESSIONS_MAX {
        return Err(RestoreError::Sessions("a bound beyond all bounds"));
    }
    let mut sessions = Sessions::with_room(sessions_max);
    for _ in 0..count {
        let (id, session) = read_session(reader, header.last.index)?;
        sessions.insert(id, session).map_err(RestoreError::Sessions)?;
    }
    Ok((header, sessions))
}

/// Whether replies are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replies {
    Kept,
    LeftOut,
}

fn encoded_header(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(header.last.term.0.to_le_bytes());
    bytes.extend(header.last.index.0.to_le_bytes());
    bytes.extend(header.executed.0.to_le_bytes());
    bytes.push(u8::from(header.results.is_some()));
    bytes.extend(header.results.unwrap_or_default().0);
    bytes
}

fn encoded_counts(sessions: &Sessions) -> [u8; 8] {
    let count = u32::try_from(sessions.open().len()).expect("sessions_max bounds the number");
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&sessions.sessions_max().to_le_bytes());
    bytes[4..].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn encode_session(id: SessionId, session: &Session, replies: Replies, bytes: &mut Vec<u8>) {
    let count = u32::try_from(session.executed.len()).expect("the window bounds the number");
    bytes.extend(id.0.0.to_le_bytes());
    bytes.extend(session.nonce.0.to_le_bytes());
    bytes.extend(session.window.to_le_bytes());
    bytes.extend(session.replies_bytes_max.to_le_bytes());
    bytes.extend(session.used.0.to_le_bytes());
    bytes.extend(session.floor.0.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for (sequence, reply) in &session.executed {
        bytes.extend(sequence.0.to_le_bytes());
        match reply {
            _ if replies == Replies::LeftOut => {}
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
        _ => return Err(RestoreError::Sessions("a hash both known and unknown")),
    };
    if last.term > Term::MAX || last.index > Index::MAX || executed > last.index {
        return Err(RestoreError::Sessions("entries that no log has"));
    }
    Ok(Header { last, executed, results })
}

fn read_session(reader: &mut dyn Read, last: Index) -> Result<(SessionId, Session), RestoreError> {
    let id = SessionId(Index(long(reader)?));
    let nonce = Nonce(u128::from_le_bytes(array(reader)?));
    let window = number(reader)?;
    let replies_bytes_max = number(reader)?;
    let used = Index(long(reader)?);
    let floor = Sequence(long(reader)?);
    let limits = SessionLimits { sessions_max: 1, window, replies_bytes_max };
    if id.0 == Index::ZERO || used < id.0 || last < used {
        return Err(RestoreError::Sessions("a session of no entry"));
    }
    if !limits.is_valid() || !(Sequence::FIRST..=Sequence::MAX).contains(&floor) {
        return Err(RestoreError::Sessions("a session beyond all bounds"));
    }
    let executed = BTreeMap::new();
    let mut session =
        Session { nonce, window, replies_bytes_max, used, floor, executed, replies_bytes: 0 };
    for _ in 0..number(reader)? {
        read_executed(reader, &mut session)?;
    }
    Ok((id, session))
}

/// Reads one request that the session has carried out.
fn read_executed(reader: &mut dyn Read, session: &mut Session) -> Result<(), RestoreError> {
    let sequence = Sequence(long(reader)?);
    let is_ascending = session.executed.last_key_value().is_none_or(|(last, _)| *last < sequence);
    if !is_ascending || !(session.floor..session.end()).contains(&sequence) {
        return Err(RestoreError::Sessions("a request outside the window"));
    }
    let length = number(reader)?;
    let room = u64::from(session.replies_bytes_max) - session.replies_bytes;
    let reply = match length {
        UNKNOWN => None,
        _ if u64::from(length) > room => {
            return Err(RestoreError::Sessions("more bytes of replies than their bound"));
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
