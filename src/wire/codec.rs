//! The bincode encoding of packets and of users' values. No other file uses bincode.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize};

use crate::types::{Body, Entry, Packet, SnapshotTransferBody};
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::{FRAME_HEADER_BYTES, Header, append, open};
use crate::wire::kind::Kind;

/// The bincode configuration: little-endian integers of fixed size, and at most `MAX` bytes.
type Bounded<const MAX: usize> = Configuration<LittleEndian, Fixint, Limit<MAX>>;

/// The bytes to reserve for a frame, in addition to its entries or snapshot bytes.
const PLAIN_BYTES: usize = FRAME_HEADER_BYTES + 128;

/// Appends the packet's frame to `into`, and copies the bytes of entries only once.
///
/// # Errors
/// A [`WireError`] if the packet exceeds the bounds that [`decode`] enforces; `into` is then
/// unchanged. A node whose configured bounds are within [`Kind::bytes_max`] and
/// [`Body::ENTRIES_MAX`] sends no such packet.
pub fn encode(packet: &Packet, into: &mut Vec<u8>) -> Result<(), WireError> {
    let (kind, start) = (kind_of(packet), into.len());
    into.reserve(PLAIN_BYTES + payload_bytes(packet));
    let written = append(kind, into, |into| match packet {
        Packet::Message(message) => write(kind, message, into),
        Packet::Chained(message, chain) => write(kind, &(message, chain), into),
        Packet::SnapshotTransfer(transfer) => write(kind, transfer, into),
        Packet::Comparison(comparison) => write(kind, comparison, into),
    });
    assert_eq!(into.len() > start, written.is_ok(), "only a valid packet has a frame");
    debug_assert!(written.is_err() || open(&into[start..]).is_ok_and(|(it, _)| it.kind == kind));
    debug_assert!(
        written.is_err() || decode(&into[start..]).as_ref() == Ok(packet),
        "an encoded packet decodes to itself"
    );
    written.map_err(|error| WireError { offset: 0, error })
}

/// Appends a keepalive frame to `into`.
pub fn encode_keepalive(into: &mut Vec<u8>) {
    append(Kind::Keepalive, into, |_| Ok(())).expect("an empty body is within the bound");
}

/// Decodes bytes that are exactly one frame with a packet.
///
/// # Errors
/// A [`WireError`] if they are not.
pub fn decode(bytes: &[u8]) -> Result<Packet, WireError> {
    let packet = open(bytes).and_then(|(header, body)| decode_body(&header, body));
    packet.map_err(|error| WireError { offset: 0, error })
}

/// Decodes the body of a frame whose checksum is verified.
pub(super) fn decode_body(header: &Header, body: &[u8]) -> Result<Packet, FrameError> {
    const CONTROL_MAX: usize = Kind::Control.bytes_max();
    const APPEND_MAX: usize = Kind::Append.bytes_max();
    const TRANSFER_MAX: usize = Kind::SnapshotTransfer.bytes_max();
    const COMPARISON_MAX: usize = Kind::Comparison.bytes_max();
    let kind = header.kind;
    let packet = match kind {
        Kind::Hello | Kind::Keepalive | Kind::ClientHello | Kind::Request | Kind::Reply => {
            return Err(FrameError::UnexpectedKind { found: kind });
        }
        Kind::Control => Packet::Message(read::<_, CONTROL_MAX>(kind, body)?),
        Kind::Append => Packet::Message(read::<_, APPEND_MAX>(kind, body)?),
        Kind::SnapshotTransfer => Packet::SnapshotTransfer(read::<_, TRANSFER_MAX>(kind, body)?),
        Kind::Chained => {
            let (message, chain) = read::<_, APPEND_MAX>(kind, body)?;
            Packet::Chained(message, chain)
        }
        Kind::Comparison => Packet::Comparison(read::<_, COMPARISON_MAX>(kind, body)?),
    };
    let expected = kind_of(&packet);
    if expected != kind {
        return Err(FrameError::Body { kind, reason: format!("its packet is of kind {expected}") });
    }
    Ok(packet)
}

/// Encodes a value of a user's type: integers as little-endian bytes of fixed size, the fields of a
/// struct one after another, a variant of an enum by its number.
///
/// # Errors
/// The value's own error, as text, if it cannot be serialized.
pub fn encode_value(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let encoded = bincode::serde::encode_to_vec(value, bounded::<{ usize::MAX }>());
    encoded.map_err(|error| error.to_string())
}

/// Decodes bytes that [`encode_value`] returned for one value; at most `MAX` bytes.
///
/// # Errors
/// A description of the error, if the bytes are not such a value.
pub fn decode_value<'de, T: Deserialize<'de>, const MAX: usize>(
    bytes: &'de [u8],
) -> Result<T, String> {
    let decoded = bincode::serde::borrow_decode_from_slice(bytes, bounded::<MAX>());
    let (value, consumed) = decoded.map_err(|error| error.to_string())?;
    if consumed != bytes.len() {
        return Err(format!("trailing bytes after {consumed} of {} bytes", bytes.len()));
    }
    Ok(value)
}

/// Returns the kind of frame for a packet.
fn kind_of(packet: &Packet) -> Kind {
    match packet {
        Packet::Message(message) if message.body.is_bulk() => Kind::Append,
        Packet::Chained(message, _) if message.body.is_bulk() => Kind::Chained,
        Packet::Message(_) | Packet::Chained(..) => Kind::Control,
        Packet::SnapshotTransfer(_) => Kind::SnapshotTransfer,
        Packet::Comparison(_) => Kind::Comparison,
    }
}

/// Returns an upper estimate of the size of the packet's entries or snapshot bytes.
fn payload_bytes(packet: &Packet) -> usize {
    match packet {
        Packet::Message(message) | Packet::Chained(message, _) => {
            let (Body::AppendEntries { entries, .. } | Body::RequestEntriesReply { entries, .. }) =
                &message.body
            else {
                return 0;
            };
            entries.iter().map(Entry::bytes).sum()
        }
        Packet::Comparison(_) => 0,
        Packet::SnapshotTransfer(transfer) => match &transfer.body {
            SnapshotTransferBody::Bytes(_, bytes) => bytes.len(),
            SnapshotTransferBody::Request(_) | SnapshotTransferBody::Gone => 0,
        },
    }
}

fn bounded<const MAX: usize>() -> Bounded<MAX> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX>()
}

/// Encodes a body and appends it to `into`.
pub(super) fn write(
    kind: Kind,
    value: &impl Serialize,
    into: &mut Vec<u8>,
) -> Result<(), FrameError> {
    // The limit applies to reads only; the length of a written body is checked with its header.
    let written = bincode::serde::encode_into_std_write(value, into, bounded::<{ usize::MAX }>());
    let body_error =
        |error: bincode::error::EncodeError| FrameError::Body { kind, reason: error.to_string() };
    written.map(|_| ()).map_err(body_error)
}

/// Decodes a complete body of at most `MAX` bytes.
pub(super) fn read<'de, T: Deserialize<'de>, const MAX: usize>(
    kind: Kind,
    body: &'de [u8],
) -> Result<T, FrameError> {
    decode_value::<T, MAX>(body).map_err(|reason| FrameError::Body { kind, reason })
}

/// Decodes the value at the start of a body. Returns it with its size in bytes.
fn read_start<'de, T: Deserialize<'de>, const MAX: usize>(
    kind: Kind,
    body: &'de [u8],
) -> Result<(T, usize), FrameError> {
    bincode::serde::borrow_decode_from_slice(body, bounded::<MAX>())
        .map_err(|error| FrameError::Body { kind, reason: error.to_string() })
}

/// Appends the frame of a hello with these fields, and a text with its length, unless it is empty.
pub(super) fn append_hello(kind: Kind, fields: &impl Serialize, text: &str, into: &mut Vec<u8>) {
    let body = |into: &mut Vec<u8>| {
        write(kind, fields, into)?;
        if !text.is_empty() {
            let length = u16::try_from(text.len()).expect("the text of a hello is short");
            into.extend(length.to_le_bytes());
            into.extend(text.as_bytes());
        }
        Ok(())
    };
    append(kind, into, body).expect("a hello is within its bound");
}

/// Decodes the fields of a hello, which take `bytes` bytes. Further bytes of a later version's
/// hello are ignored.
pub(super) fn read_hello<'de, T: Deserialize<'de>>(
    kind: Kind,
    bytes: usize,
    body: &'de [u8],
) -> Result<T, FrameError> {
    const MAX: usize = Kind::Hello.bytes_max();
    if body.len() < bytes {
        return Err(FrameError::Body { kind, reason: format!("{} bytes of {bytes}", body.len()) });
    }
    let (fields, consumed) = read_start::<T, MAX>(kind, body)?;
    assert_eq!(consumed, bytes, "the fields of a hello have a fixed size");
    Ok(fields)
}
