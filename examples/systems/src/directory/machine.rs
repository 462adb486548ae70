//! The directory's state, and what requests do to it. It knows nothing of nodes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::directory::message::{Message, NAME_BYTES_MAX, NAMES_MAX, Refusal, Reply, Request};

/// The most users that are connected at the same time.
pub const USERS_MAX: usize = 100_000;

/// Users and where they are, and the last number given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    users: BTreeMap<String, Place>,
    last: u64,
}

/// Where a user is, and who connected it there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    address: SocketAddr,
    origin: String,
}

impl Directory {
    /// The last number given; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    fn connect(&mut self, user: String, address: SocketAddr, origin: String) -> Reply {
        if let Some(wrong) = [&user, &origin].into_iter().find(|name| !is_name(name)) {
            return Reply::Refused(Refusal::Name(wrong.chars().take(NAME_BYTES_MAX).collect()));
        }
        match self.users.get(&user) {
            Some(there) if there.address == address && there.origin == origin => Reply::Connected,
            Some(Place { address, origin }) => {
                let (address, origin) = (*address, origin.clone());
                Reply::Refused(Refusal::Duplicate { user, address, origin })
            }
            None if self.users.len() >= USERS_MAX => Reply::Refused(Refusal::Full),
            None => {
                self.users.insert(user, Place { address, origin });
                Reply::Connected
            }
        }
    }

    fn disconnect(&mut self, user: String) -> Reply {
        match self.users.remove(&user) {
            Some(Place { address, .. }) => Reply::Disconnected(address),
            None => Reply::Refused(Refusal::UnknownUser(user)),
        }
    }

    fn next(&mut self) -> Reply {
        self.last = self.last.checked_add(1).expect("nobody lives to ask for so many");
        Reply::Sequence(self.last)
    }

    fn addresses(&self, names: Vec<String>) -> Reply {
        if !(1..=NAMES_MAX).contains(&names.len()) {
            return Reply::Refused(Refusal::Names(names.len()));
        }
        let place = |name: String| {
            let address = self.users.get(&name).map(|place| place.address);
            (name, address)
        };
        Reply::Addresses(names.into_iter().map(place).collect())
    }

    fn carry_out(&mut self, message: &[u8]) -> Reply {
        let Some((origin, request)) = opened(message) else {
            return Reply::Refused(Refusal::Malformed);
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
        codec::encode(&self.carry_out(command))
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match opened(query) {
            Some((_, Request::GetUserAddress(names))) => self.addresses(names),
            _ => Reply::Refused(Refusal::Malformed),
        })
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let users = self.users.clone().into_iter();
        let row = |(user, Place { address, origin })| Row::User(user, address, origin);
        rows::write(std::iter::once(Row::Last(self.last)).chain(users.map(row)))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        *self = Directory::default();
        rows::read(snapshot, |row| match row {
            Row::Last(last) => self.last = last,
            Row::User(user, address, origin) => {
                self.users.insert(user, Place { address, origin });
            }
        })
    }

    /// Numbers change no lookup, and a user's comings and goings only those that name it.
    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::new(|query, command| match (opened(query), opened(command)) {
            (Some((_, Request::GetUserAddress(names))), Some((_, request))) => match request {
                Request::ConnectUser(user, _) | Request::DisconnectUser(user) => {
                    names.contains(&user)
                }
                Request::GetSequenceNumber | Request::GetUserAddress(_) => false,
            },
            _ => false,
        })
    }
}

/// One row of a snapshot.
#[derive(serde::Serialize, serde::Deserialize)]
enum Row {
    Last(u64),
    User(String, SocketAddr, String),
}

/// Who asks, and for what.
fn opened(message: &[u8]) -> Option<(String, Request)> {
    let message: Message = codec::decode(message)?;
    Request::of(&message).map(|request| (message.origin, request))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Has the directory carry out a request of `me`.
    fn ask(directory: &mut Directory, request: Request) -> Reply {
        let told = directory.apply(Index(1), &request.wrapped("me"));
        codec::decode(&told).expect("it is a reply")
    }

    fn ann() -> String {
        "ann".to_owned()
    }

    #[test]
    fn several_users_are_looked_up_at_once() {
        let mut directory = Directory::default();
        assert_eq!(ask(&mut directory, Request::ConnectUser(ann(), at(1))), Reply::Connected);
        let names = vec!["bob".to_owned(), ann()];
        let told = directory.query(&Request::GetUserAddress(names).wrapped("me"));
        let expected = vec![("bob".to_owned(), None), (ann(), Some(at(1)))];
        assert_eq!(codec::decode(&told), Some(Reply::Addresses(expected)));
    }

    #[test]
    fn a_second_user_of_a_name_is_refused_and_the_same_one_is_not() {
        let mut directory = Directory::default();
        let connect = |port| Request::ConnectUser(ann(), at(port));
        assert_eq!(ask(&mut directory, connect(1)), Reply::Connected);
        assert_eq!(ask(&mut directory, connect(1)), Reply::Connected, "it asks once more");
        let (user, address, origin) = (ann(), at(1), "me".to_owned());
        let duplicate = Reply::Refused(Refusal::Duplicate { user, address, origin });
        assert_eq!(ask(&mut directory, connect(2)), duplicate);
        let disconnect = Request::DisconnectUser(ann());
        assert_eq!(ask(&mut directory, disconnect.clone()), Reply::Disconnected(at(1)));
        let unknown = Reply::Refused(Refusal::UnknownUser(ann()));
        assert_eq!(ask(&mut directory, disconnect), unknown);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut directory = Directory::default();
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in [String::new(), long] {
            let told = ask(&mut directory, Request::ConnectUser(name, at(1)));
            assert!(matches!(told, Reply::Refused(Refusal::Name(_))), "{told:?}");
        }
        for count in [0, NAMES_MAX + 1] {
            let told = ask(&mut directory, Request::GetUserAddress(vec![ann(); count]));
            assert_eq!(told, Reply::Refused(Refusal::Names(count)));
        }
        let told = directory.query(&Request::GetSequenceNumber.wrapped("me"));
        assert_eq!(codec::decode(&told), Some(Reply::Refused(Refusal::Malformed)));
        assert_eq!(directory, Directory::default(), "nothing happened");
    }

    #[test]
    fn numbers_go_up_and_go_on_after_a_snapshot() {
        let mut directory = Directory::default();
        assert_eq!(ask(&mut directory, Request::ConnectUser(ann(), at(1))), Reply::Connected);
        for number in 1..=3 {
            let told = ask(&mut directory, Request::GetSequenceNumber);
            assert_eq!(told, Reply::Sequence(number));
        }
        let mut restored = Directory { last: 99, ..Directory::default() };
        restored.restore(&mut directory.snapshot()).expect("it is a snapshot");
        assert_eq!(restored, directory);
        assert_eq!(ask(&mut restored, Request::GetSequenceNumber), Reply::Sequence(4));
    }

    #[test]
    fn a_lookup_waits_only_for_whoever_it_names() {
        let test = Directory::default().conflict_test();
        let lookup = Request::GetUserAddress(vec![ann()]).wrapped("me");
        let changes = |request: Request| test.may_change(&lookup, &request.wrapped("you"));
        assert!(changes(Request::ConnectUser(ann(), at(1))));
        assert!(changes(Request::DisconnectUser(ann())));
        assert!(!changes(Request::DisconnectUser("bob".to_owned())));
        assert!(!changes(Request::GetSequenceNumber));
    }
}
