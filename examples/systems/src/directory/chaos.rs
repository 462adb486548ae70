//! Chaos tests of the directory: client operations and invariants.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::{Object, Workload};

use crate::common::codec;
use crate::directory::machine::Directory;
use crate::directory::message::{Message, RejectReason, Reply, Request};

/// The number of users; small, so that operations conflict.
const USERS: u64 = 4;
/// The origin of every request.
const ORIGIN: &str = "chaos";

/// Clients that connect, disconnect and look up users, and request sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The last sequence number, according to the log.
    last: u64,
    /// The addresses of the connected users, according to the log.
    users: BTreeMap<String, SocketAddr>,
}

fn user(draw: &mut Draw<'_>) -> String {
    format!("user{}", draw.below(USERS))
}

impl Clients {
    /// Applies a request to the model and returns the expected reply.
    fn apply(&mut self, request: Request) -> Reply {
        match request {
            Request::ConnectUser(user, address) => match self.users.get(&user) {
                Some(current) if *current != address => {
                    let (address, origin) = (*current, ORIGIN.to_owned());
                    Reply::Rejected(RejectReason::Duplicate { user, address, origin })
                }
                _ => {
                    self.users.insert(user, address);
                    Reply::Connected
                }
            },
            Request::DisconnectUser(user) => match self.users.remove(&user) {
                Some(address) => Reply::Disconnected(address),
                None => Reply::Rejected(RejectReason::UnknownUser(user)),
            },
            Request::GetUserAddress(users) => self.addresses(users),
            Request::GetSequenceNumber => {
                self.last += 1;
                Reply::Sequence(self.last)
            }
        }
    }

    fn addresses(&self, users: Vec<String>) -> Reply {
        let entry = |user: String| {
            let address = self.users.get(&user).copied();
            (user, address)
        };
        Reply::Addresses(users.into_iter().map(entry).collect())
    }
}

fn decode_request(message: &[u8]) -> Option<Request> {
    codec::decode(message).and_then(|message: Message| Request::of(&message))
}

fn check_equal(reply: &Reply, expected: &Reply) -> Result<(), String> {
    match reply == expected {
        true => Ok(()),
        false => Err(format!("the reply is {reply:?}, expected {expected:?}")),
    }
}

impl Workload for Clients {
    type Machine = Directory;

    fn machine(&self) -> Directory {
        Directory::default()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let request = match draw.below(4) {
            0 | 1 => Request::GetSequenceNumber,
            2 => Request::ConnectUser(user(draw), ([10, 0, 0, 1], (op.0 % 60_000) as u16).into()),
            _ => Request::DisconnectUser(user(draw)),
        };
        request.encode(ORIGIN)
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let names = (0..=draw.below(3)).map(|_| user(draw)).collect();
        Request::GetUserAddress(names).encode(ORIGIN)
    }

    fn describe_command(&self, command: &[u8]) -> String {
        let request = decode_request(command);
        request.map_or_else(|| "invalid request".to_owned(), |request| request.to_string())
    }

    /// Returns the object of the history check: the whole directory is one linearizable object.
    fn object(&self) -> Option<Object> {
        Some(Object::machine(Directory::default))
    }

    /// Checks that sequence numbers increase and are never repeated, and that users are connected
    /// and disconnected as the replies say.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let request = decode_request(command).ok_or("the command cannot be decoded")?;
        let reply = codec::decode(reply).ok_or("the reply cannot be decoded")?;
        check_equal(&reply, &self.apply(request))
    }

    /// Checks that a lookup has the addresses of the connected users.
    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let Some(Request::GetUserAddress(users)) = decode_request(query) else {
            return Err("the query is not a lookup".to_owned());
        };
        let answer = codec::decode(answer).ok_or("the answer cannot be decoded")?;
        check_equal(&answer, &self.addresses(users))
    }

    fn check_state(&self, machine: &Directory) -> Result<(), String> {
        match machine.last() == self.last {
            true => Ok(()),
            false => Err(format!(
                "the last sequence number is {}, expected {}",
                machine.last(),
                self.last
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::chaos;

    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn sequence_numbers_increase_and_lookups_are_linearizable_in_every_chaos_run() {
        let tally =
            chaos::run(Clients::default(), 10..20).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.commands_committed > 0, "no command was committed");
    }

    #[test]
    fn a_repeated_sequence_number_is_detected() {
        let mut clients = Clients::default();
        let next = Request::GetSequenceNumber.encode(ORIGIN);
        let given = codec::encode(&Reply::Sequence(1));
        assert_eq!(clients.check_reply(&next, &given), Ok(()));
        assert!(clients.check_reply(&next, &given).is_err());
    }

    #[test]
    fn replies_and_lookups_that_differ_from_the_log_are_detected() {
        let ann = || "ann".to_owned();
        let requests = [
            Request::DisconnectUser(ann()),
            Request::ConnectUser(ann(), at(1)),
            Request::ConnectUser(ann(), at(1)),
            Request::ConnectUser(ann(), at(2)),
            Request::DisconnectUser(ann()),
        ];
        let lookup = Request::GetUserAddress(vec![ann()]).encode(ORIGIN);
        let (mut clients, mut machine) = (Clients::default(), Directory::default());
        for request in requests {
            let (command, before) = (request.encode(ORIGIN), machine.clone());
            let reply = machine.apply(Index(1), &command);
            for wrong in [Reply::Connected, Reply::Disconnected(at(1)), Reply::Sequence(1)] {
                let wrong = codec::encode(&wrong);
                let is_wrong = clients.clone().check_reply(&command, &wrong).is_err();
                assert_eq!(is_wrong, wrong != reply, "{request}");
            }
            assert_eq!(clients.check_reply(&command, &reply), Ok(()), "{request}");
            assert_eq!(clients.check_answer(&lookup, &machine.query(&lookup)), Ok(()));
            let is_stale = clients.check_answer(&lookup, &before.query(&lookup)).is_err();
            assert_eq!(is_stale, machine != before, "{request}");
        }
    }
}
