//! The client subcommands of the orders system, and the output of the replies.

use clap::{Args, Subcommand, ValueEnum};
use quorate::runtime::{ClientError, ReadReply, blocking::Client};
use quorate::types::{Freshness, ReadLevel};
use serde_json::{Value, json};

use crate::common::calls::checked;
use crate::common::cluster_status;
use crate::common::codec;
use crate::common::connection::{ClusterConnection, ConnectionFlags, node_address};
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::number::number;
use crate::common::output::Output;
use crate::orders::SYSTEM;
use crate::orders::message::{Order, Query, Record, Reply};

/// The client subcommands of the orders system.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Place the next order of a customer and print its record
    Place {
        /// Name of the customer
        customer: String,
        /// Engineer who executes the order
        engineer: String,
        /// Administrator who accepted the order
        admin: String,
        /// Place only as this order number of the customer; makes the command safe to repeat
        #[arg(long, value_name = "N", value_parser = number(1..=u64::MAX))]
        number: Option<u64>,
    },
    /// Print the number of the last order of a customer
    Last {
        /// Name of the customer
        customer: String,
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        flags: ReadFlags,
    },
    /// Print the record of an order
    Show {
        /// Name of the customer
        customer: String,
        /// Number of the order
        #[arg(value_parser = number(1..=u64::MAX))]
        number: u64,
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        flags: ReadFlags,
    },
    /// Print all customers and the numbers of their last orders, one line each
    List {
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        flags: ReadFlags,
    },
    /// Show all nodes and the leader; exits with 0 if there is a leader, all nodes answer and no
    /// state differs
    Status,
}

/// The node to read from and the freshness of the answer.
#[derive(Args, Clone, Debug)]
pub struct ReadFlags {
    /// Read from this node only
    #[arg(long, value_name = "ADDRESS", value_parser = node_address)]
    at: Option<String>,
    /// Freshness of the answer
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "any")]
    level: ReadFreshness,
}

/// The required freshness of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadFreshness {
    /// Linearizable; if no leader answers within half of the timeout, the local state of a node,
    /// marked as possibly stale
    Any,
    /// Linearizable: includes every acknowledged order
    Linearizable,
    /// The local state of the node, marked as possibly stale
    Local,
}

/// The text after each line of an answer that may be stale.
const MARK: &str = " (local: may be stale)";

/// Returns a client of the orders system.
///
/// # Errors
/// A flag is invalid, or a certificate is missing.
pub fn connect(flags: &ConnectionFlags) -> CommandResult<ClusterConnection> {
    flags.connect(SYSTEM, |_| ())
}

/// Runs a subcommand and prints its result.
///
/// # Errors
/// The request was rejected, not answered, or its outcome is unknown.
pub fn run(connection: &ClusterConnection, command: ClientCommand) -> CommandResult {
    match command {
        ClientCommand::Place { customer, engineer, admin, number } => {
            place(connection, &Order { customer, number, engineer, admin })
        }
        ClientCommand::Last { customer, flags } => {
            last(connection.output, read(connection, &flags, &Query::Last(customer))?)
        }
        ClientCommand::Show { customer, number, flags } => {
            let found = read(connection, &flags, &Query::Find(customer, number))?;
            print(connection.output, found)
        }
        ClientCommand::List { flags } => list(connection, &flags),
        ClientCommand::Status => cluster_status::print_status(connection),
    }
}

fn place(connection: &ClusterConnection, order: &Order) -> CommandResult {
    match connection.propose(&codec::encode(order))? {
        Reply::Placed(record) => {
            connection.output.print_result(&record, json!(record))?;
            Ok(Exit::Success)
        }
        Reply::Rejected(reason) => Err(CommandError::new(Exit::Rejected, reason)),
        _ => Err(CommandError::unknown_reply()),
    }
}

/// A reply that may be stale.
struct FreshReply {
    reply: Reply,
    may_be_stale: bool,
}

fn list(connection: &ClusterConnection, flags: &ReadFlags) -> CommandResult {
    let mut after = None;
    loop {
        let page = read(connection, flags, &Query::Customers(after))?;
        after = match &page.reply {
            Reply::Customers(customers) => customers.last().map(|(customer, _)| customer.clone()),
            _ => None,
        };
        print(connection.output, page)?;
        if after.is_none() {
            return Ok(Exit::Success);
        }
    }
}

/// Prints the customer and the number of an order, without the rest of its record.
fn last(output: Output, FreshReply { reply, may_be_stale }: FreshReply) -> CommandResult {
    match reply {
        Reply::Found(Record { customer, number, .. }) => {
            let reply = Reply::Customers(vec![(customer, number)]);
            print(output, FreshReply { reply, may_be_stale })
        }
        reply => print(output, FreshReply { reply, may_be_stale }),
    }
}

/// Prints a reply; a rejection is an error.
fn print(output: Output, FreshReply { reply, may_be_stale }: FreshReply) -> CommandResult {
    let mark = if may_be_stale { MARK } else { "" };
    let marked = |mut object: Value| {
        object["may_be_stale"] = json!(may_be_stale);
        object
    };
    match reply {
        Reply::Found(record) => {
            output.print(format_args!("{record}{mark}"), marked(json!(record)))?;
        }
        Reply::Customers(page) => {
            for (customer, last) in page {
                let object = marked(json!({ "customer": customer, "last": last }));
                output.print(format_args!("{customer} {last}{mark}"), object)?;
            }
        }
        Reply::Rejected(reason) => {
            return Err(CommandError::new(Exit::Rejected, format_args!("{reason}{mark}")));
        }
        Reply::Placed(_) => return Err(CommandError::unexpected_reply()),
    }
    Ok(Exit::Success)
}

/// Reads with the required freshness. The reply may be stale unless the node reports it as
/// linearizable.
fn read(
    connection: &ClusterConnection,
    flags: &ReadFlags,
    query: &Query,
) -> CommandResult<FreshReply> {
    let query = codec::encode(query);
    let query = checked(&query)?;
    let request = |client: &Client, level| match &flags.at {
        Some(address) => client.read_at(address, level, query),
        None => client.read(level, query),
    };
    let answer: ReadReply = match flags.level {
        ReadFreshness::Linearizable => request(&connection.client, ReadLevel::Linearizable),
        ReadFreshness::Local => request(&connection.client, ReadLevel::Local),
        ReadFreshness::Any => {
            let half = connection.client.with_deadline(connection.deadline / 2);
            match request(&half, ReadLevel::Linearizable) {
                Err(ClientError::NotExecuted(_)) => request(&half, ReadLevel::Local),
                answer => answer,
            }
        }
    }?;
    let may_be_stale = answer.freshness != Freshness::Linearizable;
    Ok(FreshReply { reply: connection.decode(&answer.answer)?, may_be_stale })
}
