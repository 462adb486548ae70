//! The client subcommands of the chat.

use clap::Subcommand;
use quorate::types::ReadLevel;

use crate::chat::SYSTEM;
use crate::common::connection::{ConnectionFlags, node_address};
use crate::common::exit::CommandResult;
use crate::common::messaging::client::UserClient;
use crate::common::messaging::commands::{self, View};

/// The client subcommands of the chat.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// The subcommands shared with the courier.
    #[command(flatten)]
    Messaging(commands::MessagingCommand),
    /// Send a message to a user, logged in or not; prints its number
    Send {
        /// Name of the receiver
        to: String,
        /// Text of the message
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Print the user names, one per line
    List {
        /// Pattern of names: `*` matches any characters, `?` matches one
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Print the waiting messages without acknowledging them
    Waiting,
    /// Print the last messages sent and received
    History,
    /// Print every account: login state, the numbers of the waiting messages, history length
    Dump {
        /// Address of a node to read from; the answer may be stale
        #[arg(value_parser = node_address)]
        node: Option<String>,
    },
    /// Show all nodes, the primary and the mode; exits with 0 if there is a primary, all nodes
    /// answer and no state differs
    Status,
}

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
    let show = |view| commands::print_view(client, view, |query| client.read(query));
    match command {
        ClientCommand::Messaging(command) => commands::run(client, command),
        ClientCommand::Send { to, text } => commands::send(client, to, text.join(" ")),
        ClientCommand::List { pattern } => show(View::List(pattern)),
        ClientCommand::Waiting => show(View::Waiting),
        ClientCommand::History => show(View::History),
        ClientCommand::Dump { node: None } => show(View::Dump),
        ClientCommand::Dump { node: Some(node) } => {
            let deadline = client.connection.deadline;
            commands::print_view(client, View::Dump, |query| {
                client.read_of(&node, deadline, ReadLevel::Local, query)?.0
            })
        }
        ClientCommand::Status => commands::status(client),
    }
}
