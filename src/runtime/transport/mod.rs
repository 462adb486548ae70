//! The transport of packets between nodes: one TCP connection per peer, lane and direction, opened
//! on demand.
//!
//! The calling side sends packets; the called side sends only keepalives. Like a network, the
//! transport may drop packets: the core resends what is still needed.

pub(super) mod connection_registry;
mod custom;
pub(super) mod handshake;
#[cfg(feature = "tls")]
mod handshake_turns;
mod incoming;
mod lane;
mod lane_queue;
pub(super) mod link;
mod named_addresses;
mod other_protocol;
mod outgoing;
mod peers;
mod pending_handshakes;
#[cfg(feature = "tls")]
mod received_bytes;
#[cfg(test)]
mod tests;

pub use custom::{PacketInbox, Transport};
pub(super) use handshake::Handshake;
pub(super) use incoming::{ConnectionHandler, InboundQueues, Listener};
pub(super) use peers::Peers;
