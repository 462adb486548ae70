//! What a person asks the orders, as one command each, and how the replies read.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use quorate::runtime::{Answered, ClientError, blocking::Client};
use quorate::types::{Freshness, ReadLevel};

use crate::common::codec;
use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::{Reach, ReachFlags};
use crate::common::show;
use crate::orders::SYSTEM;
use crate::orders::message::{Order, Query, Record, Refusal, Reply};

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Place an order, as the customer's next one, and print its record
    Place {
        /// Who orders
        customer: String,
        /// Who is to do it
        engineer: String,
        /// Who took it down
        admin: String,
        /// Which of the customer's orders it is: only as this one, and once, however often it is
        /// placed
        #[arg(long, value_name = "N")]
        number: Option<u64>,
    },
    /// Print the number of a customer's last order
    Last {
        /// Who ordered
        customer: String,
        /// Who is asked, and how fresh the answer is to be
        #[command(flatten)]
        how: How,
    },
    /// Print the record of an order
    Show {
        /// Who ordered
        customer: String,
        /// Which of the customer's orders
        number: u64,
        /// Who is asked, and how fresh the answer is to be
        #[command(flatten)]
        how: How,
    },
    /// Print every customer and the number of its last order, one line for each
    List {
        /// Who is asked, and how fresh the answer is to be
        #[command(flatten)]
        how: How,
    },
    /// Show every node, and who leads; ends with 0 if somebody does and all of them answer
    Status,
}

/// Who is asked, and how fresh the answer is to be.
#[derive(Args, Clone, Debug)]
pub struct How {
    /// Ask this node and no other
    #[arg(long, value_name = "ADDRESS")]
    at: Option<String>,
    /// How fresh the answer is to be
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "any")]
    level: Level,
}

/// How fresh an answer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Linearizable; where no leader is found for half of the timeout, local and marked
    Any,
    /// With every order that was answered before
    Linearizable,
    /// What the node has, at once, and marked: it may lack the latest orders
    Local,
}

/// What stands behind each line of an answer that may be old.
const MARK: &str = " (local: it may be old)";

/// A client of the orders.
///
/// # Errors
/// What is wrong with the flags.
pub fn reach(flags: &ReachFlags) -> Result<Reach, Trouble> {
    flags.reach(SYSTEM, |_| ())
}

/// Asks, and prints what came of it.
///
/// # Errors
/// Why there is no answer.
pub fn obey(reach: &Reach, ask: Ask) -> Done {
    match ask {
        Ask::Place { customer, engineer, admin, number } => {
            place(reach, &Order { customer, number, engineer, admin })
        }
        Ask::Last { customer, how } => last(read(reach, &how, &Query::Last(customer))?),
        Ask::Show { customer, number, how } => {
            print(read(reach, &how, &Query::Find(customer, number))?)
        }
        Ask::List { how } => list(reach, &how),
        Ask::Status => show::status(reach),
    }
}

fn place(reach: &Reach, order: &Order) -> Done {
    let told = reach.client.propose(&codec::encode(order))?;
    reach.remember();
    match reply(&told)? {
        Reply::Placed(record) => {
            println!("{record}");
            Ok(Exit::Done)
        }
        Reply::Refused(refusal) => Err(Trouble::new(Exit::No, refusal)),
        _ => Err(nonsense()),
    }
}

/// An answer, and what marks it if it may be old.
struct Told {
    reply: Reply,
    mark: &'static str,
}

fn list(reach: &Reach, how: &How) -> Done {
    let mut after = None;
    loop {
        let told = read(reach, how, &Query::Customers(after))?;
        after = match &told.reply {
            Reply::Customers(page) => page.last().map(|(customer, _)| customer.clone()),
            _ => None,
        };
        print(told)?;
        if after.is_none() {
            return Ok(Exit::Done);
        }
    }
}

/// Prints of an order its customer and its number alone.
fn last(Told { reply, mark }: Told) -> Done {
    match reply {
        Reply::Found(Record { customer, number, .. }) => {
            let reply = Reply::Customers(vec![(customer, number)]);
            print(Told { reply, mark })
        }
        reply => print(Told { reply, mark }),
    }
}

/// Prints an answer; what is refused is a no.
fn print(Told { reply, mark }: Told) -> Done {
    match reply {
        Reply::Found(record) => println!("{record}{mark}"),
        Reply::Customers(page) => {
            let mut text = String::new();
            for (customer, last) in page {
                let _ = writeln!(text, "{customer} {last}{mark}");
            }
            print!("{text}");
        }
        Reply::Refused(refusal) => {
            return Err(Trouble::new(Exit::No, format_args!("{refusal}{mark}")));
        }
        Reply::Placed(_) => return Err(nonsense()),
    }
    Ok(Exit::Done)
}

/// Reads as fresh as is asked for. What is marked is the answer, by what its node says of it.
fn read(reach: &Reach, how: &How, query: &Query) -> Result<Told, Trouble> {
    let query = codec::encode(query);
    let ask = |client: &Client, level| match &how.at {
        Some(address) => client.read_at(address, level, &query),
        None => client.read(level, &query),
    };
    let answered: Answered = match how.level {
        Level::Linearizable => ask(&reach.client, ReadLevel::Linearizable),
        Level::Local => ask(&reach.client, ReadLevel::Local),
        Level::Any => {
            let half = reach.client.with_deadline(reach.deadline / 2);
            match ask(&half, ReadLevel::Linearizable) {
                Err(ClientError::NotProposed(_)) => ask(&half, ReadLevel::Local),
                answered => answered,
            }
        }
    }?;
    reach.remember();
    let mark = if answered.freshness == Freshness::Linearizable { "" } else { MARK };
    Ok(Told { reply: reply(&answered.answer)?, mark })
}

fn reply(bytes: &[u8]) -> Result<Reply, Trouble> {
    codec::decode(bytes).ok_or_else(nonsense)
}

/// The node replied to something else than it was asked.
fn nonsense() -> Trouble {
    Trouble::new(Exit::Refused, Refusal::Malformed)
}
