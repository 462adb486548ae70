//! The client subcommands of the coordinator, and the output of the replies.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::common::connection::{ClusterConnection, ConnectionFlags, node_address};
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::output::Output;
use crate::coordinator::keys::{self, Keys};
use crate::coordinator::message::{Command, Query, Reply};
use crate::coordinator::{SYSTEM, status};

/// The client subcommands of the coordinator.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Set the value of a key; returns once every live node has it
    Put {
        /// Key to set, 1 to 64 bytes
        key: String,
        /// New value, up to 1,024 bytes
        value: String,
        /// Set the value only if this is the current value
        #[arg(long = "if", value_name = "VALUE", conflicts_with = "if_absent")]
        expected: Option<String>,
        /// Set the value only if the key has no value
        #[arg(long)]
        if_absent: bool,
    },
    /// Print the value of a key
    Get {
        /// Key to read, 1 to 64 bytes
        key: String,
        /// The node to read from.
        #[command(flatten)]
        flags: ReadFlags,
    },
    /// Print all keys and values, one line each
    List {
        /// The node to read from.
        #[command(flatten)]
        flags: ReadFlags,
    },
    /// Delete a key and print its value
    Delete {
        /// Key to delete, 1 to 64 bytes
        key: String,
    },
    /// Show all nodes: the coordinator, suspended nodes, and nodes that may answer reads locally;
    /// exits with 0 if there is a coordinator, and all nodes are active, answer, and have a usable
    /// state
    Status,
}

/// The node to read from; the answer is linearizable on every node.
#[derive(Args, Clone, Debug)]
pub struct ReadFlags {
    /// Read from this node only
    #[arg(long, value_name = "ADDRESS", value_parser = node_address)]
    at: Option<String>,
}

/// Returns a client whose writes are acknowledged once every live node has them.
///
/// # Errors
/// A flag is invalid, or a certificate is missing.
pub fn connect(flags: &ConnectionFlags) -> CommandResult<ClusterConnection> {
    flags.connect(SYSTEM, keys::configure)
}

/// Runs a subcommand and prints its result.
///
/// # Errors
/// The request was rejected, not answered, or its outcome is unknown.
pub fn run(connection: &ClusterConnection, command: ClientCommand) -> CommandResult {
    match command {
        ClientCommand::Put { key, value, expected: None, if_absent: false } => {
            propose(connection, &Command::Put { key, value })
        }
        ClientCommand::Put { key, value, expected, .. } => {
            propose(connection, &Command::PutIf { key, expected, value })
        }
        ClientCommand::Delete { key } => propose(connection, &Command::Delete { key }),
        ClientCommand::Get { key, flags } => get(connection, &flags, key),
        ClientCommand::List { flags } => list(connection, &flags),
        ClientCommand::Status => status::show(connection),
    }
}

/// Proposes a command and prints its result; a rejection is an error.
fn propose(connection: &ClusterConnection, command: &Command) -> CommandResult {
    match connection.run(async |calls| Keys::new(calls).propose(command).await)? {
        Reply::Put => {}
        Reply::Deleted(value) => {
            connection.output.print_result(&value, json!({ "value": value }))?;
        }
        Reply::Rejected(reason) => return Err(CommandError::new(Exit::Rejected, reason)),
        Reply::Value(_) | Reply::Pairs(_) => return Err(CommandError::unknown_reply()),
    }
    Ok(Exit::Success)
}

/// Reads from one node, which answers locally if it has a lease.
fn get(connection: &ClusterConnection, flags: &ReadFlags, key: String) -> CommandResult {
    let (at, query) = (flags.at.as_deref(), Query::Get(key));
    let reply = connection.run(async |calls| Keys::new(calls).read(at, &query).await)?;
    print_answer(connection.output, reply)
}

fn list(connection: &ClusterConnection, flags: &ReadFlags) -> CommandResult {
    let print = |page| print_answer(connection.output, page).map(drop);
    let at = flags.at.as_deref();
    connection.run(async |calls| Keys::new(calls).pages(at, print).await)?;
    Ok(Exit::Success)
}

/// Prints the answer to a query; a rejection is an error.
fn print_answer(output: Output, reply: Reply) -> CommandResult {
    match reply {
        Reply::Value(value) => {
            output.print(&value, json!({ "value": value }))?;
        }
        Reply::Pairs(page) => {
            for (key, value) in page {
                let object = json!({ "key": key, "value": value });
                output.print(format_args!("{key} {value}"), object)?;
            }
        }
        Reply::Rejected(reason) => return Err(CommandError::new(Exit::Rejected, reason)),
        Reply::Put | Reply::Deleted(_) => return Err(CommandError::unexpected_reply()),
    }
    Ok(Exit::Success)
}
