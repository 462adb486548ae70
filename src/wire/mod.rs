//! Messages as bytes. A connection carries frames: a [`Hello`] first, then packets; or a
//! [`ClientHello`], then requests and replies. Each stands behind a header with its kind, its
//! length and its checksums. `docs/FORMAT.md` has the layout.
//!
//! Reading is total: whatever the bytes are, the answer is a packet or a [`WireError`] that says
//! what is wrong and where, and memory grows with the bytes that have arrived, never with a length
//! that somebody claims. There is one encoding of each packet: what decodes, encodes to the same
//! bytes. Checksums are against bugs and broken cables; against attackers there is TLS.
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
mod form;
mod frame;
mod hello;
mod kind;
mod reader;

pub use client::{
    ClientHello, ClientHelloError, ClientReply, ClientRequest, Denial, LeaderHint, Told, Wanted,
};
pub use codec::{decode, encode, pulse};
pub use error::{Flaw, WireError};
pub use form::APPEND_ENTRIES_MAX;
pub use frame::FRAME_HEADER_BYTES;
pub use hello::{Accept, Expected, Hello, HelloError, Versions};
pub use kind::{Kind, WIRE_VERSION};
pub use reader::{Frame, FrameReader};
