//! What clients say to the directory and are told: requests, each wrapped in a message that names
//! its type and who asks, and replies.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::common::codec;

/// The most letters, in bytes, of a user's name and of an origin.
pub const NAME_BYTES_MAX: usize = 64;
/// The most names in one lookup.
pub const NAMES_MAX: usize = 100;

/// One request as it travels: what it is, who asks, and the rest of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What is asked for: it says how the payload reads.
    pub kind: Kind,
    /// Who asks: `name@host`, or whatever a client calls itself.
    pub origin: String,
    /// What belongs to the request, as its kind has it.
    pub payload: Vec<u8>,
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Where users are.
    GetUserAddress,
    /// A user is somewhere from now on.
    ConnectUser,
    /// A user is nowhere any more.
    DisconnectUser,
    /// The next number.
    GetSequenceNumber,
}

/// What is asked of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Where these users are; each is answered by itself.
    GetUserAddress(Vec<String>),
    /// This user is here from now on.
    ConnectUser(String, SocketAddr),
    /// This user is nowhere any more.
    DisconnectUser(String),
    /// A number that is larger than every one given before.
    GetSequenceNumber,
}

/// What the directory replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Each user that was asked for, in that order; none is where an unknown one is.
    Addresses(Vec<(String, Option<SocketAddr>)>),
    /// The user is connected.
    Connected,
    /// The user is not connected any more; this is where it was.
    Disconnected(SocketAddr),
    /// The number is the client's alone.
    Sequence(u64),
    /// Nothing happened.
    Refused(Refusal),
}

/// Why the directory does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Nobody of this name is connected.
    UnknownUser(String),
    /// A user of this name is connected already, elsewhere.
    Duplicate {
        /// The name.
        user: String,
        /// Where that user is.
        address: SocketAddr,
        /// Who connected it.
        origin: String,
    },
    /// A name is empty, or has more than [`NAME_BYTES_MAX`] bytes.
    Name(String),
    /// A lookup has no name, or more than [`NAMES_MAX`].
    Names(usize),
    /// There is no room for another user.
    Full,
    /// The bytes are no message, or a query that would change something.
    Malformed,
}

impl Request {
    /// The request as it travels, from `origin`.
    #[must_use]
    pub fn wrapped(&self, origin: &str) -> Vec<u8> {
        let (kind, payload) = match self {
            Request::GetUserAddress(names) => (Kind::GetUserAddress, codec::encode(names)),
            Request::ConnectUser(user, at) => (Kind::ConnectUser, codec::encode(&(user, at))),
            Request::DisconnectUser(user) => (Kind::DisconnectUser, codec::encode(user)),
            Request::GetSequenceNumber => (Kind::GetSequenceNumber, Vec::new()),
        };
        codec::encode(&Message { kind, origin: origin.to_owned(), payload })
    }

    /// The request in a message; none if there is another thing in it than its type says.
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
            Request::GetUserAddress(names) => write!(f, "where are {}", names.join(", ")),
            Request::ConnectUser(user, address) => write!(f, "connect {user} at {address}"),
            Request::DisconnectUser(user) => write!(f, "disconnect {user}"),
            Request::GetSequenceNumber => f.write_str("next number"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownUser(user) => {
                write!(f, "nobody called `{user}` is connected: see how the name is written")
            }
            Refusal::Duplicate { user, address, origin } => write!(
                f,
                "`{user}` is connected at {address} already, by {origin}: disconnect it first, \
                 or take another name"
            ),
            Refusal::Name(name) => {
                write!(f, "`{name}` is no name: one has 1 to {NAME_BYTES_MAX} bytes")
            }
            Refusal::Names(count) => {
                write!(f, "{count} names in one lookup: give 1 to {NAMES_MAX}")
            }
            Refusal::Full => f.write_str("the directory is full: disconnect somebody first"),
            Refusal::Malformed => f.write_str(
                "the node does not understand that: client and node are of different versions",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_out_of_its_message_as_it_went_in() {
        let at = "127.0.0.1:9".parse().expect("it is an address");
        let requests = [
            Request::GetUserAddress(vec!["ann".to_owned(), "bob".to_owned()]),
            Request::ConnectUser("ann".to_owned(), at),
            Request::DisconnectUser("ann".to_owned()),
            Request::GetSequenceNumber,
        ];
        for request in requests {
            let message: Message = codec::decode(&request.wrapped("me")).expect("it is a message");
            assert_eq!((message.origin.as_str(), Request::of(&message)), ("me", Some(request)));
        }
    }

    #[test]
    fn a_message_with_another_payload_than_its_type_has_is_no_request() {
        let payload = codec::encode(&7u8);
        for kind in [Kind::GetUserAddress, Kind::ConnectUser, Kind::GetSequenceNumber] {
            let (origin, payload) = (String::new(), payload.clone());
            assert_eq!(Request::of(&Message { kind, origin, payload }), None);
        }
    }
}
