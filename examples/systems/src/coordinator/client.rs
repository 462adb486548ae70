//! What a person asks, as one command each, and how the replies read.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use quorate::types::{Acknowledge, ReadLevel};

use crate::common::codec;
use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::{Reach, ReachFlags};
use crate::coordinator::message::{Command, Query, Refusal, Reply};
use crate::coordinator::{SYSTEM, status};

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Put a value at a key; done once every live node has it
    Put {
        /// The key
        key: String,
        /// Its value
        value: String,
        /// Only if the key has this value now
        #[arg(long = "if", value_name = "VALUE", conflicts_with = "if_absent")]
        expected: Option<String>,
        /// Only if the key has no value now
        #[arg(long)]
        if_absent: bool,
    },
    /// Print the value of a key
    Get {
        /// The key
        key: String,
        /// Who is asked
        #[command(flatten)]
        whom: Whom,
    },
    /// Print every key and its value, one line for each
    List {
        /// Who is asked
        #[command(flatten)]
        whom: Whom,
    },
    /// Take a key's value away, and print it
    Delete {
        /// The key
        key: String,
    },
    /// Show every node: who coordinates, who was removed, and who may answer by itself; ends with 0
    /// if one coordinates, and all are in the set and answer
    Status,
}

/// Who is asked. Whoever it is, the answer has every write that was answered before.
#[derive(Args, Clone, Debug)]
pub struct Whom {
    /// Ask this node and no other
    #[arg(long, value_name = "ADDRESS")]
    at: Option<String>,
}

/// A client: a write is answered once every live node has it.
///
/// # Errors
/// What is wrong with the flags.
pub fn reach(flags: &ReachFlags) -> Result<Reach, Trouble> {
    flags.reach(SYSTEM, |config| config.acknowledge = Acknowledge::AllLive)
}

/// Asks, and prints what came of it.
///
/// # Errors
/// Why there is no answer.
pub fn obey(reach: &Reach, ask: Ask) -> Done {
    match ask {
        Ask::Put { key, value, expected: None, if_absent: false } => {
            tell(order(reach, &Command::Put { key, value })?)
        }
        Ask::Put { key, value, expected, .. } => {
            tell(order(reach, &Command::PutIf { key, expected, value })?)
        }
        Ask::Delete { key } => tell(order(reach, &Command::Delete { key })?),
        Ask::Get { key, whom } => tell(read(reach, &whom, &Query::Get(key))?),
        Ask::List { whom } => list(reach, &whom),
        Ask::Status => status::show(reach),
    }
}

fn order(reach: &Reach, command: &Command) -> Result<Reply, Trouble> {
    let told = reach.client.propose(&codec::encode(command))?;
    reach.remember();
    reply(&told)
}

/// Asks one node, which answers by itself where it may.
fn read(reach: &Reach, whom: &Whom, query: &Query) -> Result<Reply, Trouble> {
    let query = codec::encode(query);
    let answered = match &whom.at {
        Some(address) => reach.client.read_at(address, ReadLevel::Replica, &query)?,
        None => reach.client.read(ReadLevel::Replica, &query)?,
    };
    reach.remember();
    reply(&answered.answer)
}

fn list(reach: &Reach, whom: &Whom) -> Done {
    let mut after = None;
    loop {
        let told = read(reach, whom, &Query::Pairs(after))?;
        after = match &told {
            Reply::Pairs(page) => page.last().map(|(key, _)| key.clone()),
            _ => None,
        };
        tell(told)?;
        if after.is_none() {
            return Ok(Exit::Done);
        }
    }
}

fn reply(bytes: &[u8]) -> Result<Reply, Trouble> {
    codec::decode(bytes).ok_or_else(|| Trouble::new(Exit::Refused, Refusal::Malformed))
}

/// Prints a reply; what is refused is a no.
fn tell(reply: Reply) -> Done {
    match reply {
        Reply::Put => {}
        Reply::Value(value) | Reply::Deleted(value) => println!("{value}"),
        Reply::Pairs(page) => {
            let mut text = String::new();
            for (key, value) in page {
                let _ = writeln!(text, "{key} {value}");
            }
            print!("{text}");
        }
        Reply::Refused(refusal) => return Err(Trouble::new(Exit::No, refusal)),
    }
    Ok(Exit::Done)
}
