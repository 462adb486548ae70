//! The protocol of the directory: requests, each in a message with its type and origin, and
//! replies.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::common::codec;

/// The maximum length of a user name or an origin, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The maximum number of names in one lookup.
pub const NAMES_MAX: usize = 100;

/// An encoded request: its type, its origin and its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The type of the request, which determines the payload.
    pub kind: Kind,
    /// The requester, by convention `name@host`.
    pub origin: String,
    /// The encoded arguments of the request.
    pub payload: Vec<u8>,
}

/// The type of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The type of [`Request::GetUserAddress`].
    GetUserAddress,
    /// The type of [`Request::ConnectUser`].
    ConnectUser,
    /// The type of [`Request::DisconnectUser`].
    DisconnectUser,
    /// The type of [`Request::GetSequenceNumber`].
    GetSequenceNumber,
}

/// A request to the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Returns the addresses of these users.
    GetUserAddress(Vec<String>),
    /// Registers a user at an address.
    ConnectUser(String, SocketAddr),
    /// Removes a user from the directory.
    DisconnectUser(String),
    /// Returns a sequence number larger than all earlier ones.
    GetSequenceNumber,
}

/// A reply of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The requested users in order, with `None` for an unknown user.
    Addresses(Vec<(String, Option<SocketAddr>)>),
    /// The user was registered.
    Connected,
    /// The user was removed from this address.
    Disconnected(SocketAddr),
    /// A unique sequence number.
    Sequence(u64),
    /// The request was rejected and had no effect.
    Rejected(RejectReason),
}

/// The reason for a rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RejectReason {
    /// The user of this name is not connected.
    #[error("user `{0}` is not connected: check the name")]
    UnknownUser(String),
    /// A user of this name is connected with another address or origin.
    #[error(
        "user `{user}` is already connected at {address} by {origin}: disconnect it first, \
        or use another name"
    )]
    Duplicate {
        /// The name of the user.
        user: String,
        /// The registered address of the user.
        address: SocketAddr,
        /// The origin of the registration.
        origin: String,
    },
    /// A name is empty or has more than [`NAME_BYTES_MAX`] bytes.
    #[error("invalid name `{0}`: use 1 to {NAME_BYTES_MAX} bytes")]
    Name(String),
    /// A lookup has no name or more than [`NAMES_MAX`].
    #[error("{0} names in one lookup: use 1 to {NAMES_MAX}")]
    Names(usize),
    /// The limit of users is reached.
    #[error("the limit of users is reached: disconnect one first")]
    Full,
    /// The bytes are not a valid message, or a query that would change the state.
    #[error("invalid request: client and node may have different versions")]
    InvalidRequest,
}

impl Request {
    /// Encodes the request as a message from `origin`.
    #[must_use]
    pub fn encode(&self, origin: &str) -> Vec<u8> {
        let (kind, payload) = match self {
            Request::GetUserAddress(names) => (Kind::GetUserAddress, codec::encode(names)),
            Request::ConnectUser(user, at) => (Kind::ConnectUser, codec::encode(&(user, at))),
            Request::DisconnectUser(user) => (Kind::DisconnectUser, codec::encode(user)),
            Request::GetSequenceNumber => (Kind::GetSequenceNumber, Vec::new()),
        };
        codec::encode(&Message { kind, origin: origin.to_owned(), payload })
    }

    /// Decodes the request of a message; returns `None` if the payload does not match the type.
    #[must_use]
    pub fn of(message: &Message) -> Option<Request> {
        let payload = &message.payload[..];
        Some(match message.kind {
            Kind::GetUserAddress => Request::GetUserAddress(codec::decode(payload)?),
            Kind::ConnectUser => {
                let (user, address) = codec::decode(payload)?;
                Request::ConnectUser(user, address)
            }
            Kind::DisconnectUser => Request::DisconnectUser(codec::decode(payload)?),
            Kind::GetSequenceNumber if payload.is_empty() => Request::GetSequenceNumber,
            Kind::GetSequenceNumber => return None,
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::GetUserAddress(names) => write!(f, "addresses of {}", names.join(", ")),
            Request::ConnectUser(user, address) => write!(f, "connect {user} at {address}"),
            Request::DisconnectUser(user) => write!(f, "disconnect {user}"),
            Request::GetSequenceNumber => f.write_str("next sequence number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_decoded_as_it_was_encoded() {
        let at = "127.0.0.1:9".parse().expect("the address is valid");
        let requests = [
            Request::GetUserAddress(vec!["ann".to_owned(), "bob".to_owned()]),
            Request::ConnectUser("ann".to_owned(), at),
            Request::DisconnectUser("ann".to_owned()),
            Request::GetSequenceNumber,
        ];
        for request in requests {
            let message: Message =
                codec::decode(&request.encode("me")).expect("the message is valid");
            assert_eq!((message.origin.as_str(), Request::of(&message)), ("me", Some(request)));
        }
    }

    #[test]
    fn a_payload_that_does_not_match_the_type_is_rejected() {
        let payload = codec::encode(&7u8);
        for kind in [Kind::GetUserAddress, Kind::ConnectUser, Kind::GetSequenceNumber] {
            let (origin, payload) = (String::new(), payload.clone());
            assert_eq!(Request::of(&Message { kind, origin, payload }), None);
        }
    }
}
