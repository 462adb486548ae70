//! The client subcommands of the courier, with flags for the freshness of answers and the
//! acknowledgement of messages.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate::runtime::{ClientError, ProposalOutcome};
use quorate::types::{Acknowledge, Freshness, Membership, NodeId, ReadLevel, Term};
use serde_json::json;

use crate::common::calls::checked;
use crate::common::codec;
use crate::common::connection::{ConnectionFlags, node_address};
use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::messaging::client::UserClient;
use crate::common::messaging::commands::{self, View};
use crate::common::messaging::message::{Command, Query, Reply};
use crate::common::time::time;
use crate::courier::SYSTEM;

/// The client subcommands of the courier.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// The subcommands shared with the chat.
    #[command(flatten)]
    Messaging(commands::MessagingCommand),
    /// Send a message to a user, logged in or not; prints its number
    Send {
        /// Name of the receiver
        to: String,
        /// Text of the message
        #[arg(required = true)]
        text: Vec<String>,
        /// Return when the leader has accepted the message, before it is durable. It may be lost or
        /// rejected (e.g. for an unknown user) without an error
        #[arg(long)]
        fast: bool,
    },
    /// Print the user names, one per line
    List {
        /// Pattern of names: `*` matches any characters, `?` matches one
        #[arg(default_value = "*")]
        pattern: String,
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print the waiting messages without acknowledging them
    Waiting {
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print the last messages sent and received
    History {
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print every account: login state, the numbers of the waiting messages, history length
    Dump {
        /// The node to read from and the freshness of the answer.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Show all nodes, the leader, whether the states agree, and the mode; exits with 0 if there is
    /// a leader, all nodes answer and no state differs
    Status,
}

/// The node to read from and the freshness of the answer.
#[derive(Args, Clone, Debug, Default)]
pub struct AtFlags {
    /// Read only from this node, given by its id (2 or n2) or address, and print the maximum age of
    /// the answer
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
    /// Maximum age of the answer [default: any age]
    #[arg(long, value_name = "TIME", requires = "at", value_parser = time)]
    within: Option<Duration>,
}

/// The deadline divided by this number is the time limit of a request for an answer of known age,
/// after which an answer of any age is accepted. The lookup of a leader or of an address has the
/// same limit.
const DEADLINE_PART: u32 = 4;
/// A maximum age that every answer of known age meets.
const ANY_KNOWN_AGE: Duration = Duration::from_secs(86_400 * 365);

/// Returns a client that acts for `user`, by default the last user who logged in.
///
/// # Errors
/// A flag is invalid, or a certificate is missing.
pub fn connect(flags: &ConnectionFlags, user: Option<String>) -> CommandResult<UserClient> {
    Ok(UserClient::new(flags.connect(SYSTEM, |_| {})?, user))
}

/// Runs a subcommand and prints its result.
///
/// # Errors
/// The request was rejected, not answered, or its outcome is unknown.
pub fn run(client: &UserClient, command: ClientCommand) -> CommandResult {
    match command {
        ClientCommand::Messaging(command) => commands::run(client, command),
        ClientCommand::Send { to, text, fast: false } => commands::send(client, to, text.join(" ")),
        ClientCommand::Send { to, text, fast: true } => send_fast(client, to, text.join(" ")),
        ClientCommand::List { pattern, at } => print_view(client, View::List(pattern), &at),
        ClientCommand::Waiting { at } => print_view(client, View::Waiting, &at),
        ClientCommand::History { at } => print_view(client, View::History, &at),
        ClientCommand::Dump { at } => print_view(client, View::Dump, &at),
        ClientCommand::Status => commands::status(client),
    }
}

/// Sends a message that only the leader acknowledges, and prints that it may be lost.
fn send_fast(client: &UserClient, to: String, text: String) -> CommandResult {
    let command = codec::encode(&Command::Send { session: client.session()?, to, text });
    let outcome = client
        .connection
        .client
        .propose_at_most_once(checked(&command)?, Acknowledge::LeaderOnly)?;
    match outcome {
        ProposalOutcome::MayBeLost { id } => {
            client.connection.remember();
            let leader = match leader_of(client, id.term) {
                Some(leader) => leader.to_string(),
                None => format!("the leader of term {}", id.term),
            };
            let object = json!({ "accepted_by": leader, "term": id.term.0, "may_be_lost": true });
            let text = format!("accepted by {leader}; may still be lost");
            client.connection.output.print_result(text, object)?;
            Ok(Exit::Success)
        }
        ProposalOutcome::Done { .. } => Err(CommandError::unknown_reply()),
    }
}

/// Returns the leader of this term if a node still reports it; a term has at most one leader.
fn leader_of(client: &UserClient, term: Term) -> Option<NodeId> {
    let deadline = client.connection.deadline / DEADLINE_PART;
    let report = client.connection.client.with_deadline(deadline).report_of_leader().ok()?;
    report.status.leader.filter(|_| report.status.term == term)
}

fn print_view(client: &UserClient, view: View, at: &AtFlags) -> CommandResult {
    let Some(node) = &at.at else {
        return commands::print_view(client, view, |query| client.read(query));
    };
    let address = address_of(client, node)?;
    commands::print_view(client, view, |query| {
        let (reply, freshness) = read_of(client, &address, at.within, query)?;
        let age_max_ms = match freshness {
            Freshness::Linearizable => Some(0),
            // A bound is rounded up.
            Freshness::Within(age) => Some(age.as_nanos().div_ceil(1_000_000)),
            Freshness::Unknown => None,
        };
        let age = age(node, freshness);
        let reply = reply.map_err(|error| with_age(error, &age))?;
        let object = json!({ "at": node, "age_max_ms": age_max_ms });
        client.connection.output.print(age, object)?;
        Ok(reply)
    })
}

/// Returns the error of a rejection with its age, because the reason may no longer hold.
fn with_age(rejection: CommandError, age: &str) -> CommandError {
    CommandError { text: format!("{} ({age})", rejection.text), ..rejection }
}

/// Reads from the node at this address. The answer, which may be a rejection, has a known age,
/// unless the node does not know the age and the user set no limit.
fn read_of(
    client: &UserClient,
    address: &str,
    within: Option<Duration>,
    query: &Query,
) -> CommandResult<(CommandResult<Reply>, Freshness)> {
    match within {
        Some(within) => {
            client.read_of(address, client.connection.deadline, ReadLevel::Bounded(within), query)
        }
        None => {
            let deadline = client.connection.deadline;
            let known_age = ReadLevel::Bounded(ANY_KNOWN_AGE);
            let reply = client.read_of(address, deadline / DEADLINE_PART, known_age, query);
            match reply {
                Err(error) if error.exit == Exit::Unavailable => {
                    client.read_of(address, deadline, ReadLevel::Local, query)
                }
                reply => reply,
            }
        }
    }
}

/// Returns the maximum age of an answer, as text.
fn age(node: &str, freshness: Freshness) -> String {
    match freshness {
        Freshness::Linearizable => format!("at {node}: up to date"),
        Freshness::Within(age) => format!("at {node}: at most {:.3} s old", age.as_secs_f64()),
        Freshness::Unknown => format!("at {node}: of any age, because no leader confirmed it"),
    }
}

/// Returns the address of a node that is given by id or address.
fn address_of(client: &UserClient, node: &str) -> CommandResult<String> {
    if node.contains(':') {
        let invalid = |error| CommandError::usage(format!("--at: {error}"));
        return node_address(node).map_err(invalid);
    }
    let id = node.trim_start_matches('n').parse().map(NodeId);
    let id = id.map_err(|_| {
        CommandError::usage(format!("--at: `{node}` is not a node id or an address"))
    })?;
    let membership = membership(client)?;
    let member = membership.member(id);
    let unknown = || CommandError::usage(format!("--at: {id} is not a member of {membership}"));
    Ok(member.ok_or_else(unknown)?.address.as_str().to_owned())
}

/// Returns the membership that the first answering node reports, with or without a leader.
fn membership(client: &UserClient) -> CommandResult<Membership> {
    let connection = &client.connection;
    let client = connection.client.with_deadline(connection.deadline / DEADLINE_PART);
    let mut membership = Err(CommandError::usage("--nodes: no address"));
    for node in connection.nodes() {
        let report = client.report(node);
        membership =
            report.map(|report| report.membership).map_err(|error: ClientError| error.into());
        if membership.is_ok() {
            break;
        }
    }
    membership
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_an_answer_is_printed() {
        assert_eq!(age("n2", Freshness::Linearizable), "at n2: up to date");
        let within = Freshness::Within(Duration::from_millis(1234));
        assert_eq!(age("2", within), "at 2: at most 1.234 s old");
        assert!(age("n2", Freshness::Unknown).contains("any age"));
    }

    #[test]
    fn a_rejection_has_an_age() {
        let rejection = CommandError::new(Exit::Rejected, "log in again");
        let error = with_age(rejection, &age("n2", Freshness::Within(Duration::from_millis(70))));
        assert_eq!(error.text, "log in again (at n2: at most 0.070 s old)");
        assert_eq!(error.exit, Exit::Rejected);
    }
}
