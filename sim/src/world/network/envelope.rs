//! Encoded packets on their way to a node.

use std::sync::Arc;

use quorate::types::Packet;
use quorate::wire;

/// A packet in flight: its encoded bytes.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The number of the packet in the run, from 1; every copy of a packet has its number.
    pub(crate) number: u64,
    bytes: Arc<[u8]>,
}

impl Envelope {
    /// Encodes a packet; returns `None` if the wire format cannot represent it. `encode_buffer` is
    /// reused between calls.
    pub(super) fn encode(
        packet: &Packet,
        number: u64,
        encode_buffer: &mut Vec<u8>,
    ) -> Option<Envelope> {
        encode_buffer.clear();
        wire::encode(packet, encode_buffer).ok()?;
        Some(Envelope { number, bytes: Arc::from(&encode_buffer[..]) })
    }

    /// Decodes the packet, as its receiver does.
    ///
    /// # Panics
    /// If the receiver cannot decode the bytes that the sender encoded.
    pub(crate) fn decode(&self) -> Packet {
        wire::decode(&self.bytes).unwrap_or_else(|error| panic!("unreadable packet: {error}"))
    }
}
