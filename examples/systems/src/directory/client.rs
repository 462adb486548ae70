//! The client subcommands of the directory, and the output of the replies.

use std::net::SocketAddr;

use clap::Subcommand;
use quorate::types::{Acknowledge, ReadLevel};
use serde_json::json;

use crate::common::cluster_status;
use crate::common::connection::{ClusterConnection, ConnectionFlags};
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::number::number_of_32_bits;
use crate::common::output::Output;
use crate::directory::SYSTEM;
use crate::directory::message::{RejectReason, Reply, Request};

/// The client subcommands of the directory.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Print the addresses of users, one line each
    Lookup {
        /// Names of the users
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
    },
    /// Register a user at an address
    Connect {
        /// Name of the user
        user: String,
        /// Address of the user: 10.0.0.9:5000
        address: SocketAddr,
    },
    /// Remove a user from the directory
    Disconnect {
        /// Name of the user
        user: String,
    },
    /// Print the next sequence number, larger than all earlier ones
    Next {
        /// Number of sequence numbers to print, one line each
        #[arg(default_value = "1", value_parser = number_of_32_bits(1))]
        count: u32,
    },
    /// Show all nodes and the leader; exits with 0 if there is a leader, all nodes answer and no
    /// state differs
    Status,
}

/// Returns a client whose writes are acknowledged once every live replica has them.
///
/// # Errors
/// A flag is invalid, or a certificate is missing.
pub fn connect(flags: &ConnectionFlags) -> CommandResult<ClusterConnection> {
    flags.connect(SYSTEM, |config| config.acknowledge = Acknowledge::AllLive)
}

/// Runs a subcommand and prints its result; `origin` names the requester.
///
/// # Errors
/// The request was rejected, not answered, or its outcome is unknown.
pub fn run(connection: &ClusterConnection, origin: &str, command: ClientCommand) -> CommandResult {
    match command {
        ClientCommand::Lookup { users } => {
            let request = Request::GetUserAddress(users).encode(origin);
            let reply = connection.read(None, ReadLevel::Linearizable, &request)?;
            print_addresses(connection.output, reply)
        }
        ClientCommand::Connect { user, address } => {
            propose(connection, origin, &Request::ConnectUser(user, address))?;
            Ok(Exit::Success)
        }
        ClientCommand::Disconnect { user } => {
            propose(connection, origin, &Request::DisconnectUser(user))?;
            Ok(Exit::Success)
        }
        ClientCommand::Next { count } => {
            for _ in 0..count {
                // A number that nothing reads would be wasted.
                if !propose(connection, origin, &Request::GetSequenceNumber)? {
                    break;
                }
            }
            Ok(Exit::Success)
        }
        ClientCommand::Status => cluster_status::print_status(connection),
    }
}

/// Proposes a request and prints its result; a rejection is an error. Returns false if nothing
/// reads standard output any more.
fn propose(connection: &ClusterConnection, origin: &str, request: &Request) -> CommandResult<bool> {
    match connection.propose(&request.encode(origin))? {
        Reply::Rejected(reason) => Err(CommandError::new(Exit::Rejected, reason)),
        Reply::Connected => Ok(true),
        Reply::Disconnected(address) => {
            let object = json!({ "was_at": address });
            connection.output.print_result(format_args!("was at {address}"), object)
        }
        Reply::Sequence(number) => {
            connection.output.print_result(number, json!({ "number": number }))
        }
        Reply::Addresses(_) => Err(CommandError::unknown_reply()),
    }
}

/// Prints the answer to a lookup; an unknown user is an error.
fn print_addresses(output: Output, reply: Reply) -> CommandResult {
    let addresses = match reply {
        Reply::Addresses(addresses) => addresses,
        Reply::Rejected(reason) => return Err(CommandError::new(Exit::Rejected, reason)),
        _ => return Err(CommandError::unexpected_reply()),
    };
    for (user, address) in &addresses {
        let shown = address.map_or("-".to_owned(), |address| address.to_string());
        let object = json!({ "user": user, "address": address });
        output.print(format_args!("{user} {shown}"), object)?;
    }
    match addresses.into_iter().find(|(_, address)| address.is_none()) {
        Some((unknown, _)) => {
            Err(CommandError::new(Exit::Rejected, RejectReason::UnknownUser(unknown)))
        }
        None => Ok(Exit::Success),
    }
}
