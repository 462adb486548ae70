//! Packets as bincode writes them. No other file knows of bincode.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize};

use crate::types::{Body, Chain, Entry, Message, Packet, TransferBody};
use crate::wire::error::{Flaw, WireError};
use crate::wire::form::{
    OwnedChained, OwnedComparison, OwnedMessage, OwnedTransfer, SharedChained, SharedComparison,
    SharedMessage, SharedTransfer,
};
use crate::wire::frame::{FRAME_HEADER_BYTES, Header, append, open};
use crate::wire::kind::Kind;

/// Little-endian integers of fixed size, and no more than `MAX` bytes in all.
type Bounded<const MAX: usize> = Configuration<LittleEndian, Fixint, Limit<MAX>>;

/// Room for a frame without entries or bytes, reserved at once.
const PLAIN_BYTES: usize = FRAME_HEADER_BYTES + 128;

/// Appends the packet's frame to `into`. The bytes of entries are copied once.
///
/// # Errors
/// A [`WireError`] if the packet is beyond the bounds that [`decode`] keeps: then `into` is as it
/// was. No packet of a node is whose configured bounds are below those of [`Kind::bytes_max`] and
/// [`crate::wire::APPEND_ENTRIES_MAX`].
pub fn encode(packet: &Packet, into: &mut Vec<u8>) -> Result<(), WireError> {
    let kind = kind_of(packet);
    into.reserve(PLAIN_BYTES + payload_bytes(packet));
    let written = append(kind, into, |into| match packet {
        Packet::Message(message) => write(kind, &SharedMessage(message), into),
        Packet::Chained(message, chain) => write(kind, &SharedChained(message, chain.0), into),
        Packet::Transfer(transfer) => write(kind, &SharedTransfer(transfer), into),
        Packet::Comparison(comparison) => write(kind, &SharedComparison(comparison), into),
    });
    written.map_err(|flaw| WireError { offset: 0, flaw })
}

/// Appends a frame to `into` that says nothing but that the sender is there.
pub fn pulse(into: &mut Vec<u8>) {
    append(Kind::Pulse, into, |_| Ok(())).expect("nothing is short enough");
}

/// Reads bytes that are one frame with a packet.
///
/// # Errors
/// A [`WireError`] if they are anything else.
pub fn decode(bytes: &[u8]) -> Result<Packet, WireError> {
    let packet = open(bytes).and_then(|(header, body)| decode_body(&header, body));
    packet.map_err(|flaw| WireError { offset: 0, flaw })
}

/// Reads the body of a frame whose checksum was right.
pub(super) fn decode_body(header: &Header, body: &[u8]) -> Result<Packet, Flaw> {
    const CONTROL_MAX: usize = Kind::Control.bytes_max();
    const APPEND_MAX: usize = Kind::Append.bytes_max();
    const TRANSFER_MAX: usize = Kind::Transfer.bytes_max();
    const COMPARISON_MAX: usize = Kind::Comparison.bytes_max();
    let kind = header.kind;
    let packet = match kind {
        Kind::Hello | Kind::Pulse | Kind::ClientHello | Kind::Request | Kind::Reply => {
            return Err(Flaw::Place { found: kind });
        }
        Kind::Control => Packet::Message(read::<OwnedMessage, CONTROL_MAX>(kind, body)?.0),
        Kind::Append => Packet::Message(read::<OwnedMessage, APPEND_MAX>(kind, body)?.0),
        Kind::Transfer => Packet::Transfer(read::<OwnedTransfer, TRANSFER_MAX>(kind, body)?.0),
        Kind::Chained => {
            let OwnedChained(message, chain) = read::<OwnedChained, APPEND_MAX>(kind, body)?;
            Packet::Chained(message, Chain(chain))
        }
        Kind::Comparison => {
            Packet::Comparison(read::<OwnedComparison, COMPARISON_MAX>(kind, body)?.0)
        }
    };
    let expected = kind_of(&packet);
    if expected != kind {
        return Err(Flaw::Body { kind, reason: format!("it belongs in one of kind {expected}") });
    }
    Ok(packet)
}

/// The kind of frame that a packet travels in.
fn kind_of(packet: &Packet) -> Kind {
    match packet {
        Packet::Message(Message { body: Body::AppendEntries { .. }, .. }) => Kind::Append,
        Packet::Chained(Message { body: Body::AppendEntries { .. }, .. }, _) => Kind::Chained,
        Packet::Message(_) | Packet::Chained(..) => Kind::Control,
        Packet::Transfer(_) => Kind::Transfer,
        Packet::Comparison(_) => Kind::Comparison,
    }
}

/// About how many bytes the packet has beside its plain fields; rather more than fewer.
fn payload_bytes(packet: &Packet) -> usize {
    match packet {
        Packet::Message(message) | Packet::Chained(message, _) => match &message.body {
            Body::AppendEntries { entries, .. } => entries.iter().map(Entry::bytes).sum(),
            _ => 0,
        },
        Packet::Comparison(_) => 0,
        Packet::Transfer(transfer) => match &transfer.body {
            TransferBody::Bytes(_, bytes) => bytes.len(),
            TransferBody::Request(_) | TransferBody::Gone => 0,
        },
    }
}

fn bounded<const MAX: usize>() -> Bounded<MAX> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX>()
}

/// Writes a body.
pub(super) fn write(kind: Kind, value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), Flaw> {
    // A limit binds only what is read; what is written is measured when its frame is closed.
    let written = bincode::serde::encode_into_std_write(value, into, bounded::<{ usize::MAX }>());
    let refused =
        |error: bincode::error::EncodeError| Flaw::Body { kind, reason: error.to_string() };
    written.map(|_| ()).map_err(refused)
}

/// Reads the whole of a body, within `MAX` bytes.
pub(super) fn read<'de, T: Deserialize<'de>, const MAX: usize>(
    kind: Kind,
    body: &'de [u8],
) -> Result<T, Flaw> {
    let refuse = |reason| Flaw::Body { kind, reason };
    let (value, consumed) = bincode::serde::borrow_decode_from_slice(body, bounded::<MAX>())
        .map_err(|error| refuse(error.to_string()))?;
    if consumed != body.len() {
        return Err(refuse(format!("it goes on after {consumed} of {} bytes", body.len())));
    }
    Ok(value)
}
