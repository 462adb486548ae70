//! Subcommands that add and remove nodes of a running cluster.

use clap::Subcommand;
use quorate::runtime::ClientError;
use quorate::types::{Address, Change, NodeId};
use serde_json::json;

use crate::common::connection::ClusterConnection;
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::number::number;
use crate::common::serve::NodeAddress;

/// Membership changes. Each command waits until its change is complete.
#[derive(Clone, Debug, Subcommand)]
pub enum MemberCommand {
    /// Add a node that was started with --join; it becomes a voter once it has caught up
    Add {
        /// Id and address of the node: 4=127.0.0.1:7604
        node: NodeAddress,
    },
    /// Remove a node, running or not
    Remove {
        /// Id of the node; it must not be given to another node
        #[arg(value_parser = number(1..=u64::MAX))]
        id: u64,
    },
    /// Cancel a pending change that waits for a new node
    CancelChange,
}

/// Changes the membership and prints the new members.
///
/// # Errors
/// The change was rejected, or its outcome is unknown.
pub fn change(connection: &ClusterConnection, command: &MemberCommand) -> CommandResult {
    let client = &connection.client;
    match command {
        MemberCommand::Add { node: NodeAddress { id, address } } => {
            let address = Address::new(&address.to_string()).expect("a socket address is short");
            let change = Change::new().voter(*id).address(*id, address);
            client.change_membership(change).map_err(|error| with_pending_node(error, *id))?;
        }
        MemberCommand::Remove { id } => {
            let removed = client.change_membership(Change::new().remove(NodeId(*id)));
            removed.map_err(CommandError::from)?;
        }
        MemberCommand::CancelChange => drop(client.cancel_membership_change()?),
    }
    // The change is complete even if no report is available.
    if let Ok(report) = client.report_of_leader() {
        connection.remember_members(&report.membership);
        let membership = &report.membership;
        let members = membership.members().iter().map(|member| {
            json!({
                "node": member.id.0,
                "address": member.address.as_str(),
                "is_voter": membership.is_voter(member.id),
            })
        });
        let members: Vec<_> = members.collect();
        let object = json!({ "members": members, "membership": membership.to_string() });
        connection.output.print_result(format_args!("members: {membership}"), object)?;
    }
    Ok(Exit::Success)
}

/// Returns the error of an addition, with the hint that the change may wait for the new node.
fn with_pending_node(error: ClientError, id: NodeId) -> CommandError {
    let error = CommandError::from(error);
    match error.exit {
        Exit::Unknown => CommandError {
            text: format!(
                "{}; the change may wait for {id} to catch up; `cancel-change` cancels it",
                error.text
            ),
            ..error
        },
        _ => error,
    }
}
