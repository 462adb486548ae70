//! The directory in the simulator's storms: what its clients ask for, and what must always hold.

use quorate_sim::choice::Draw;
use quorate_sim::observe::OpId;
use quorate_sim::workload::{Object, Workload};

use crate::common::codec;
use crate::directory::machine::Directory;
use crate::directory::message::{Message, Reply, Request};

/// How many users there are: few, so that operations meet.
const USERS: u64 = 4;

/// Clients that connect, disconnect and look up a few users, and draw numbers.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The last number that any of them was given.
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
        request.wrapped("storm")
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let names = (0..=draw.below(3)).map(|_| user(draw)).collect();
        Request::GetUserAddress(names).wrapped("storm")
    }

    fn words(&self, command: &[u8]) -> String {
        let message = codec::decode(command);
        let request = message.and_then(|message: Message| Request::of(&message));
        request.map_or_else(|| "no request".to_owned(), |request| request.to_string())
    }

    /// Lookups are linearizable, and nobody ever sees two directories.
    fn object(&self) -> Option<Object> {
        Some(Object::machine(Directory::default))
    }

    /// A number is given once, and none after a larger one.
    fn check_reply(&mut self, _: &[u8], reply: &[u8]) -> Result<(), String> {
        let reply = codec::decode(reply).ok_or("it replies what is no reply")?;
        let Reply::Sequence(number) = reply else { return Ok(()) };
        let before = std::mem::replace(&mut self.last, number);
        match number > before {
            true => Ok(()),
            false => Err(format!("number {number} was given after number {before}")),
        }
    }

    fn check_state(&self, machine: &Directory) -> Result<(), String> {
        match machine.last() == self.last {
            true => Ok(()),
            false => Err(format!("it stands at {}, and {} was given", machine.last(), self.last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_sim::storms::storms;

    use super::*;

    #[test]
    fn numbers_only_go_up_and_lookups_are_linearizable_in_every_storm() {
        let tally = storms(Clients::default(), 0..20).unwrap_or_else(|fallen| panic!("{fallen}"));
        assert!(tally.commands_committed > 0, "nothing was asked");
    }

    #[test]
    fn a_number_that_is_given_twice_is_noticed() {
        let mut clients = Clients::default();
        let given = codec::encode(&Reply::Sequence(1));
        assert_eq!(clients.check_reply(&[], &given), Ok(()));
        assert!(clients.check_reply(&[], &given).is_err());
    }
}
