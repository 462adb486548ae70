//! The state machine of the directory: users and their addresses, and sequence numbers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::directory::message::{Message, NAME_BYTES_MAX, NAMES_MAX, RejectReason, Reply, Request};

/// The maximum number of connected users.
pub const USERS_MAX: usize = 100_000;

/// The state machine: connected users, and the last sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    users: BTreeMap<String, UserEntry>,
    last: u64,
}

/// The address of a user, and the origin of its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UserEntry {
    address: SocketAddr,
    origin: String,
}

impl Directory {
    /// Returns the last sequence number; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    fn connect(&mut self, user: String, address: SocketAddr, origin: String) -> Reply {
        if let Some(invalid) = [&user, &origin].into_iter().find(|name| !is_name(name)) {
            return invalid_name(invalid);
        }
        match self.users.get(&user) {
            Some(entry) if entry.address == address && entry.origin == origin => Reply::Connected,
            Some(UserEntry { address, origin }) => {
                let (address, origin) = (*address, origin.clone());
                Reply::Rejected(RejectReason::Duplicate { user, address, origin })
            }
            None if self.users.len() >= USERS_MAX => Reply::Rejected(RejectReason::Full),
            None => {
                self.users.insert(user, UserEntry { address, origin });
                Reply::Connected
            }
        }
    }

    fn disconnect(&mut self, user: String) -> Reply {
        if !is_name(&user) {
            return invalid_name(&user);
        }
        match self.users.remove(&user) {
            Some(UserEntry { address, .. }) => Reply::Disconnected(address),
            None => Reply::Rejected(RejectReason::UnknownUser(user)),
        }
    }

    fn next(&mut self) -> Reply {
        self.last = self.last.checked_add(1).expect("sequence numbers do not overflow");
        Reply::Sequence(self.last)
    }

    fn addresses(&self, names: Vec<String>) -> Reply {
        if !(1..=NAMES_MAX).contains(&names.len()) {
            return Reply::Rejected(RejectReason::Names(names.len()));
        }
        if let Some(invalid) = names.iter().find(|name| !is_name(name)) {
            return invalid_name(invalid);
        }
        let entry = |name: String| {
            let address = self.users.get(&name).map(|entry| entry.address);
            (name, address)
        };
        Reply::Addresses(names.into_iter().map(entry).collect())
    }

    fn execute(&mut self, message: &[u8]) -> Reply {
        let Some((origin, request)) = decode_request(message) else {
            return Reply::Rejected(RejectReason::InvalidRequest);
        };
        match request {
            Request::ConnectUser(user, address) => self.connect(user, address, origin),
            Request::DisconnectUser(user) => self.disconnect(user),
            Request::GetSequenceNumber => self.next(),
            Request::GetUserAddress(names) => self.addresses(names),
        }
    }
}

impl StateMachine for Directory {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        codec::encode(&self.execute(command))
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match decode_request(query) {
            Some((_, Request::GetUserAddress(names))) => self.addresses(names),
            _ => Reply::Rejected(RejectReason::InvalidRequest),
        })
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let users = self.users.clone().into_iter();
        let row = |(user, UserEntry { address, origin })| Row::User(user, address, origin);
        rows::write(std::iter::once(Row::Last(self.last)).chain(users.map(row)))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        *self = Directory::default();
        rows::read(snapshot, |row| match row {
            Row::Last(last) => self.last = last,
            Row::User(user, address, origin) => {
                self.users.insert(user, UserEntry { address, origin });
            }
        })
    }

    /// Returns the test that a change of a user conflicts with lookups of that user. Sequence
    /// numbers conflict with no lookup, and nothing changes the rejection of too many names.
    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::new(|query| match decode_request(query) {
            Some((_, Request::GetUserAddress(names))) if names.len() <= NAMES_MAX => {
                Box::new(move |command| match decode_request(command) {
                    Some((_, Request::ConnectUser(user, _) | Request::DisconnectUser(user))) => {
                        names.contains(&user)
                    }
                    _ => false,
                })
            }
            _ => Box::new(|_| false),
        })
    }
}

/// One row of a snapshot: the last sequence number, or a user.
#[derive(serde::Serialize, serde::Deserialize)]
enum Row {
    Last(u64),
    User(String, SocketAddr, String),
}

/// Decodes a message into its origin and its request.
fn decode_request(message: &[u8]) -> Option<(String, Request)> {
    let message: Message = codec::decode(message)?;
    Request::of(&message).map(|request| (message.origin, request))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// Returns the rejection of a name that is not valid. The rejection has only the beginning of the
/// name, because the size of a reply is bounded.
fn invalid_name(name: &str) -> Reply {
    Reply::Rejected(RejectReason::Name(name.chars().take(NAME_BYTES_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Applies a request with the origin `me`.
    fn apply(directory: &mut Directory, request: Request) -> Reply {
        let reply = directory.apply(Index(1), &request.encode("me"));
        codec::decode(&reply).expect("it is a reply")
    }

    fn ann() -> String {
        "ann".to_owned()
    }

    #[test]
    fn one_lookup_returns_several_users() {
        let mut directory = Directory::default();
        assert_eq!(apply(&mut directory, Request::ConnectUser(ann(), at(1))), Reply::Connected);
        let names = vec!["bob".to_owned(), ann()];
        let reply = directory.query(&Request::GetUserAddress(names).encode("me"));
        let expected = vec![("bob".to_owned(), None), (ann(), Some(at(1)))];
        assert_eq!(codec::decode(&reply), Some(Reply::Addresses(expected)));
    }

    #[test]
    fn a_duplicate_user_is_rejected_and_a_repeated_registration_is_not() {
        let mut directory = Directory::default();
        let connect = |port| Request::ConnectUser(ann(), at(port));
        assert_eq!(apply(&mut directory, connect(1)), Reply::Connected);
        assert_eq!(apply(&mut directory, connect(1)), Reply::Connected, "the request is repeated");
        let (user, address, origin) = (ann(), at(1), "me".to_owned());
        let duplicate = Reply::Rejected(RejectReason::Duplicate { user, address, origin });
        assert_eq!(apply(&mut directory, connect(2)), duplicate);
        let disconnect = Request::DisconnectUser(ann());
        assert_eq!(apply(&mut directory, disconnect.clone()), Reply::Disconnected(at(1)));
        let unknown = Reply::Rejected(RejectReason::UnknownUser(ann()));
        assert_eq!(apply(&mut directory, disconnect), unknown);
    }

    #[test]
    fn requests_out_of_bounds_are_rejected() {
        let mut directory = Directory::default();
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in [String::new(), long] {
            for request in [
                Request::ConnectUser(name.clone(), at(1)),
                Request::DisconnectUser(name.clone()),
                Request::GetUserAddress(vec![ann(), name.clone()]),
            ] {
                let reply = apply(&mut directory, request);
                assert!(matches!(reply, Reply::Rejected(RejectReason::Name(_))), "{reply:?}");
            }
        }
        for count in [0, NAMES_MAX + 1] {
            let reply = apply(&mut directory, Request::GetUserAddress(vec![ann(); count]));
            assert_eq!(reply, Reply::Rejected(RejectReason::Names(count)));
        }
        let reply = directory.query(&Request::GetSequenceNumber.encode("me"));
        assert_eq!(codec::decode(&reply), Some(Reply::Rejected(RejectReason::InvalidRequest)));
        assert_eq!(directory, Directory::default(), "the state is unchanged");
    }

    #[test]
    fn sequence_numbers_increase_and_continue_after_a_snapshot() {
        let mut directory = Directory::default();
        assert_eq!(apply(&mut directory, Request::ConnectUser(ann(), at(1))), Reply::Connected);
        for number in 1..=3 {
            let reply = apply(&mut directory, Request::GetSequenceNumber);
            assert_eq!(reply, Reply::Sequence(number));
        }
        let mut restored = Directory { last: 99, ..Directory::default() };
        restored.restore(&mut directory.snapshot()).expect("it is a snapshot");
        assert_eq!(restored, directory);
        assert_eq!(apply(&mut restored, Request::GetSequenceNumber), Reply::Sequence(4));
    }

    #[test]
    fn a_lookup_waits_only_for_commands_on_its_users() {
        let test = Directory::default().conflict_test();
        let lookup = Request::GetUserAddress(vec![ann()]).encode("me");
        let changes = |request: Request| test.may_change(&lookup, &request.encode("you"));
        assert!(changes(Request::ConnectUser(ann(), at(1))));
        assert!(changes(Request::DisconnectUser(ann())));
        assert!(!changes(Request::DisconnectUser("bob".to_owned())));
        assert!(!changes(Request::GetSequenceNumber));
    }
}
