//! Chaos tests of the directory: client operations and invariants.

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::{Object, Workload};

use crate::common::codec;
use crate::directory::machine::Directory;
use crate::directory::message::{Message, Reply, Request};

/// The number of users; small, so that operations conflict.
const USERS: u64 = 4;

/// Clients that connect, disconnect and look up users, and request sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The last sequence number that a client received.
    last: u64,
}

fn user(draw: &mut Draw<'_>) -> String {
    format!("user{}", draw.below(USERS))
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
        request.encode("chaos")
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let names = (0..=draw.below(3)).map(|_| user(draw)).collect();
        Request::GetUserAddress(names).encode("chaos")
    }

    fn describe_command(&self, command: &[u8]) -> String {
        let message = codec::decode(command);
        let request = message.and_then(|message: Message| Request::of(&message));
        request.map_or_else(|| "invalid request".to_owned(), |request| request.to_string())
    }

    /// Returns the object of the history check: the whole directory is one linearizable object.
    fn object(&self) -> Option<Object> {
        Some(Object::machine(Directory::default))
    }

    /// Checks that sequence numbers increase and are never repeated.
    fn check_reply(&mut self, _: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("the reply cannot be decoded")?;
        let Reply::Sequence(number) = reply else { return Ok(()) };
        let before = std::mem::replace(&mut self.last, number);
        match number > before {
            true => Ok(()),
            false => Err(format!("sequence number {number} was returned after {before}")),
        }
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
    use quorate_sim::chaos;

    use super::*;

    #[test]
    fn sequence_numbers_increase_and_lookups_are_linearizable_in_every_chaos_run() {
        let tally =
            chaos::run(Clients::default(), 10..20).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.commands_committed > 0, "no command was committed");
    }

    #[test]
    fn a_repeated_sequence_number_is_detected() {
        let mut clients = Clients::default();
        let given = codec::encode(&Reply::Sequence(1));
        assert_eq!(clients.check_reply(&[], &given), Ok(()));
        assert!(clients.check_reply(&[], &given).is_err());
    }
}
