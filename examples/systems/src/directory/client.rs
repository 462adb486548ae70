//! What a person asks the directory, as one command each, and how the replies read.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::Subcommand;
use quorate::types::{Acknowledge, ReadLevel};

use crate::common::codec;
use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::{Reach, ReachFlags};
use crate::common::show;
use crate::directory::SYSTEM;
use crate::directory::message::{Refusal, Reply, Request};

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// Print where users are, one line for each
    Lookup {
        /// Their names
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
    /// Say that a user is at an address from now on
    Connect {
        /// Its name
        user: String,
        /// Where it is: 10.0.0.9:5000
        address: SocketAddr,
    },
    /// Say that a user is nowhere any more
    Disconnect {
        /// Its name
        user: String,
    },
    /// Print a number that nobody was given before, larger than all of them
    Next {
        /// How many, one line for each
        #[arg(default_value = "1")]
        count: u32,
    },
    /// Show every node, and who leads; ends with 0 if somebody does and all of them answer
    Status,
}

/// A client of the directory: a write is answered once every live replica has it.
///
/// # Errors
/// What is wrong with the flags.
pub fn reach(flags: &ReachFlags) -> Result<Reach, Trouble> {
    flags.reach(SYSTEM, |config| config.acknowledge = Acknowledge::AllLive)
}

/// Asks, and prints what came of it; `origin` is who asks.
///
/// # Errors
/// Why there is no answer.
pub fn obey(reach: &Reach, origin: &str, order: Order) -> Done {
    match order {
        Order::Lookup { users } => look_up(reach, origin, users),
        Order::Connect { user, address } => {
            tell(propose(reach, origin, &Request::ConnectUser(user, address))?)
        }
        Order::Disconnect { user } => tell(propose(reach, origin, &Request::DisconnectUser(user))?),
        Order::Next { count } => {
            for _ in 0..count {
                tell(propose(reach, origin, &Request::GetSequenceNumber)?)?;
            }
            Ok(Exit::Done)
        }
        Order::Status => show::status(reach),
    }
}

fn look_up(reach: &Reach, origin: &str, users: Vec<String>) -> Done {
    let request = Request::GetUserAddress(users).wrapped(origin);
    let read = reach.client.read(ReadLevel::Linearizable, &request)?;
    reach.remember();
    tell(reply(&read.answer)?)
}

fn propose(reach: &Reach, origin: &str, request: &Request) -> Result<Reply, Trouble> {
    let told = reach.client.propose(&request.wrapped(origin))?;
    reach.remember();
    reply(&told)
}

fn reply(bytes: &[u8]) -> Result<Reply, Trouble> {
    codec::decode(bytes).ok_or_else(|| Trouble::new(Exit::Refused, Refusal::Malformed))
}

/// Prints a reply; what the directory refused is a no.
fn tell(reply: Reply) -> Done {
    match reply {
        Reply::Refused(refusal) => Err(Trouble::new(Exit::No, refusal)),
        Reply::Connected => Ok(Exit::Done),
        Reply::Disconnected(address) => {
            println!("was at {address}");
            Ok(Exit::Done)
        }
        Reply::Sequence(number) => {
            println!("{number}");
            Ok(Exit::Done)
        }
        Reply::Addresses(places) => {
            let mut text = String::new();
            for (user, address) in &places {
                let address = address.map_or("-".to_owned(), |address| address.to_string());
                let _ = writeln!(text, "{user} {address}");
            }
            print!("{text}");
            match places.into_iter().find(|(_, address)| address.is_none()) {
                Some((unknown, _)) => Err(Trouble::new(Exit::No, Refusal::UnknownUser(unknown))),
                None => Ok(Exit::Done),
            }
        }
    }
}
