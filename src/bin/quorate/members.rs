//! `quorate members`: changes the membership of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use quorate::runtime::{Client, ClientError};
use quorate::types::{Address, Change, EntryId, Membership, NodeId};
use serde_json::json;

use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult, Exit, warn};
use crate::output::report;
use crate::values::{NodeAddress, parse_id};

/// The flags of `members`.
#[derive(Args, Debug)]
pub(crate) struct MembersFlags {
    #[command(subcommand)]
    change: Members,
}

const ADVICE: &str = "see `quorate status`: the change completes once new voters have the log; \
     `quorate members cancel` cancels it";
const UNCONFIRMED: &str = "the change is complete, but the new membership is unknown";

/// The time limit for the answer of a voter at its new address.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The membership changes. Each command waits until the change is complete.
#[derive(Debug, Subcommand)]
enum Members {
    /// Add a node that waits to join: as a voter, once it has the log, or as a learner
    #[command(after_help = "\
Example: start the node,
  quorate serve --id 4 --data-dir d4 --listen 127.0.0.1:7104 \\
    --join 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103
then add it:
  quorate members add 4=127.0.0.1:7104")]
    Add {
        /// Id and address of the new node: 4=10.0.0.4:7100
        node: NodeAddress,
        /// Add the node as a learner, which replicates the log without a vote; a voter is demoted
        #[arg(long)]
        learner: bool,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Promote a learner to a voter
    #[command(after_help = "Example:\n  quorate members promote 4")]
    Promote {
        /// Id of the learner
        #[arg(value_parser = parse_id)]
        id: u64,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Remove a member, which may be down
    #[command(after_help = "Example:\n  quorate members remove 4")]
    Remove {
        /// Id of the member; never give this id to another node
        #[arg(value_parser = parse_id)]
        id: u64,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Replace a member with a node that waits to join, in one change
    #[command(after_help = "Example:\n  quorate members replace 3 4=127.0.0.1:7104")]
    Replace {
        /// Id of the member to remove
        #[arg(value_parser = parse_id)]
        id: u64,
        /// Id and address of the new node: 4=10.0.0.4:7100
        node: NodeAddress,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Cancel a pending membership change that waits for new voters to catch up
    #[command(after_help = "Example:\n  quorate members cancel")]
    Cancel {
        #[command(flatten)]
        client: ClientFlags,
    },
}

pub(crate) fn run(flags: &MembersFlags, json: bool) -> CommandResult {
    let (client, change) = match &flags.change {
        Members::Add { node, learner: true, client } => {
            (client, Some(Change::new().learner(node.id).address(node.id, address_of(node))))
        }
        Members::Add { node, client, .. } => (client, Some(with_voter(Change::new(), node))),
        Members::Promote { id, client } => (client, Some(Change::new().voter(NodeId(*id)))),
        Members::Remove { id, client } => (client, Some(Change::new().remove(NodeId(*id)))),
        Members::Replace { id, node, client } => {
            (client, Some(with_voter(Change::new().remove(NodeId(*id)), node)))
        }
        Members::Cancel { client } => (client, None),
    };
    let named = match &flags.change {
        Members::Add { node, .. } => Some((node, None)),
        Members::Replace { id, node, .. } => Some((node, Some(NodeId(*id)))),
        _ => None,
    };
    let promoted = match &flags.change {
        Members::Promote { id, .. } => Some(NodeId(*id)),
        _ => None,
    };
    if let Some((node, Some(removed))) = named
        && node.id == removed
    {
        let (id, address) = (node.id.0, node.address);
        let text = format!(
            "the new node has the id of the one that it replaces, {id}: give it an id that no node \
             had before; or, if node {id} only moves to another address, start it there, and then \
             use `quorate members add {id}={address}`"
        );
        return Err(CommandError::invalid_input(text));
    }
    let (at, now) = client.run(async |client| {
        // The leader's log has every committed change, whatever its state machine has applied.
        if let Some(id) = promoted
            && !client.report_of_leader().await?.membership.is_member(id)
        {
            // A voter without an address would block the change until it is cancelled.
            let text = format!("{id} is not a member: add it first");
            return Err(CommandError::new(Exit::Rejected, text));
        }
        if let Some((node, removed)) = named {
            let membership = client.report_of_leader().await?.membership;
            check_address(&client, &membership, node, removed).await?;
        }
        let at: Result<EntryId, ClientError> = match change {
            Some(change) => client.change_membership(change).await,
            None => client.cancel_membership_change().await,
        };
        let at = at.map_err(|error| with_advice(error.into()))?;
        Ok((at, client.report_of_leader().await.map(|report| report.membership)))
    })?;
    if let Err(error) = &now {
        warn(json, format!("{UNCONFIRMED}: {error}: see `quorate status`"));
    }
    report(json, &result_text(at, now.ok().as_ref(), json));
    Ok(Exit::Done)
}

/// Checks that the address of a node is not that of another member, except of the one that it
/// replaces. A voter may get another address only if it answers there: otherwise a mistyped id
/// would cut off a running voter, and two such mistakes would leave three voters without a quorum.
async fn check_address(
    client: &Client,
    membership: &Membership,
    node: &NodeAddress,
    removed: Option<NodeId>,
) -> CommandResult<()> {
    let (id, address) = (node.id, address_of(node));
    let rejected = |text: String| Err(CommandError::new(Exit::Rejected, text));
    let ip = node.address.ip().to_canonical();
    if node.address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
        return Err(CommandError::invalid_input(format!(
            "no other node can reach {}: give the address and the port at which the others reach \
             node {id}",
            node.address
        )));
    }
    let others = membership.members().iter();
    for other in others.filter(|other| other.id != id && Some(other.id) != removed) {
        if names(&other.address, node.address).await {
            return rejected(format!("{} is the address of {}", node.address, other.id));
        }
    }
    let Some(member) = membership.member(id) else { return Ok(()) };
    if names(&member.address, node.address).await {
        return Ok(());
    }
    if membership.is_voter(id) {
        let answer = client.with_deadline(ANSWER_TIME_MAX).report(address.as_str()).await;
        if !answer.is_ok_and(|report| report.status.id == id) {
            let (known, named) = (&member.address, node.address);
            return rejected(format!(
                "{id} is a member at {known} already, and does not answer at {named}: use another \
                 id for another node, or start {id} there before you change its address"
            ));
        }
    }
    Ok(())
}

/// Returns true if the address of a member, however it is written, is `other`, or is a host name
/// that resolves to it.
async fn names(address: &Address, other: SocketAddr) -> bool {
    let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    let found = match address.as_str().parse() {
        Ok(found) => vec![found],
        // A name that cannot be resolved now names no address.
        Err(_) => match tokio::net::lookup_host(address.as_str()).await {
            Ok(found) => found.collect(),
            Err(_) => Vec::new(),
        },
    };
    found.into_iter().any(|found| canonical(found) == canonical(other))
}

/// Adds advice to the error of a change that did not complete in time.
fn with_advice(error: CommandError) -> CommandError {
    match error.exit {
        Exit::Unknown => CommandError { text: format!("{}; {ADVICE}", error.text), ..error },
        _ => error,
    }
}

/// Returns the text or JSON for a complete change, with the new membership if it is known.
fn result_text(at: EntryId, now: Option<&Membership>, json: bool) -> String {
    let text = now.map(Membership::to_string);
    match (json, text) {
        (true, text) => json!({ "index": at.index.0, "membership": text }).to_string(),
        (false, Some(text)) => format!("members: {text}"),
        (false, None) => format!("members: changed at index {}", at.index),
    }
}

fn with_voter(change: Change, node: &NodeAddress) -> Change {
    change.voter(node.id).address(node.id, address_of(node))
}

fn address_of(node: &NodeAddress) -> Address {
    Address::new(&node.address.to_string()).expect("a socket address is short")
}

#[cfg(test)]
mod tests {
    use quorate::types::{Index, Term};

    use super::*;

    #[tokio::test]
    async fn addresses_are_compared_in_any_form() {
        let other = "127.0.0.1:7101".parse().expect("an address");
        let is_same = async |text| names(&Address::new(text).expect("it is short"), other).await;
        for text in ["127.0.0.1:7101", "[::ffff:127.0.0.1]:7101", "[::FFFF:7f00:1]:7101"] {
            assert!(is_same(text).await, "{text}");
        }
        assert!(is_same("LocalHost:7101").await);
        for text in ["127.0.0.1:7102", "127.0.0.2:7101", "", "no such name"] {
            assert!(!is_same(text).await, "{text}");
        }
    }

    #[test]
    fn a_complete_change_is_reported_with_or_without_the_new_membership() {
        let at = EntryId::new(Term(2), Index(7));
        let now = Membership::new([NodeId(1), NodeId(2)]);
        assert_eq!(result_text(at, Some(&now), false), "members: {n1 n2}");
        assert_eq!(result_text(at, Some(&now), true), r#"{"index":7,"membership":"{n1 n2}"}"#);
        assert_eq!(result_text(at, None, false), "members: changed at index 7");
        assert_eq!(result_text(at, None, true), r#"{"index":7,"membership":null}"#);
    }
}
