//! The wire format. A connection carries frames: a [`Hello`] first, then packets; or a
//! [`ClientHello`], then requests and replies. Each frame has a header with its kind, its length
//! and its checksums. `docs/FORMAT.md` has the layout.
//!
//! Decoding accepts any bytes: it returns a packet, or a [`WireError`] that names the error and its
//! place. Memory grows with the bytes that have arrived, never with a claimed length. Each packet
//! has exactly one encoding: bytes that decode encode to the same bytes. The checksums detect bugs
//! and corruption; TLS protects against attackers.
//!
//! ```
//! use quorate::types::{Incarnation, Body, EntryId, Message, NodeId, Packet, Term};
//! use quorate::wire::{decode, encode};
//!
//! let body = Body::RequestVote { last: EntryId::ZERO, transfer: false };
//! let (from, incarnation, to) = (NodeId(1), Incarnation(0xd15c), NodeId(2));
//! let message = Message { from, incarnation, to, term: Term(7), body };
//! let packet = Packet::Message(message);
//! let mut bytes = Vec::new();
//! encode(&packet, &mut bytes)?;
//! assert_eq!(decode(&bytes)?, packet);
//!
//! bytes[40] ^= 1;
//! let error = decode(&bytes).unwrap_err().to_string();
//! assert!(error.starts_with("frame at byte 0: the body has checksum"), "{error}");
//! # Ok::<(), quorate::wire::WireError>(())
//! ```

mod client;
mod codec;
mod error;
mod frame;
mod hello;
mod kind;
mod reader;

pub use client::ServiceRejectReason;
#[cfg(feature = "tokio")]
pub(crate) use frame::MAGIC;

unstable_use! {
    client::{ClientHello, ClientHelloError, ClientReply}, // feature `unstable`
    client::{ClientRequest, LeaderHint, ReplyBody, RequestBody}, // feature `unstable`
    codec::{decode, decode_value, encode, encode_keepalive, encode_value}, // feature `unstable`
    error::{FrameError, WireError}, // feature `unstable`
    frame::FRAME_HEADER_BYTES, // feature `unstable`
    hello::{AcceptedHello, ExpectedPeer, Hello, HelloError, Versions}, // feature `unstable`
    kind::{Kind, WIRE_VERSION}, // feature `unstable`
    reader::{Frame, FrameReader}, // feature `unstable`
}
