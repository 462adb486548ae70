//! What a person asks the chat, as one command each.

use clap::Subcommand;
use quorate::types::ReadLevel;

use crate::chat::SYSTEM;
use crate::common::exit::{Done, Trouble};
use crate::common::reach::ReachFlags;
use crate::common::talk::desk::Desk;
use crate::common::talk::orders::{self, Look};

/// What can be asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// What changes something, but for sending.
    #[command(flatten)]
    Talk(orders::Order),
    /// Send a message, also to somebody who is not logged in; prints its number
    Send {
        /// To whom
        to: String,
        /// What it says
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Print the names of accounts, one a line
    List {
        /// Those that it fits: `*` is any letters, or none; `?` is any one
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Print what waits, and leave it there
    Waiting,
    /// Print the last messages sent and received
    History,
    /// Print what is kept of every account: its state, what waits by number, its history's length
    Dump {
        /// As the node at this address has it, which may be old
        node: Option<String>,
    },
    /// Show every node, who is primary, and the mode; ends with 0 if all is well
    Status,
}

/// A desk of the chat; `speaker` speaks there, if it is named.
///
/// # Errors
/// What is wrong with the flags.
pub fn desk(flags: &ReachFlags, speaker: Option<String>) -> Result<Desk, Trouble> {
    Ok(Desk::new(flags.reach(SYSTEM, |_| {})?, speaker))
}

/// Asks, and prints what came of it.
///
/// # Errors
/// Why there is no answer.
pub fn obey(desk: &Desk, order: Order) -> Done {
    let look = |what| orders::look(desk, what, |query| desk.read(query));
    match order {
        Order::Talk(order) => orders::obey(desk, order),
        Order::Send { to, text } => orders::send(desk, to, text.join(" ")),
        Order::List { pattern } => look(Look::List(pattern)),
        Order::Waiting => look(Look::Waiting),
        Order::History => look(Look::History),
        Order::Dump { node: None } => look(Look::Dump),
        Order::Dump { node: Some(node) } => {
            let deadline = desk.reach.deadline;
            orders::look(desk, Look::Dump, |query| {
                let told = desk.read_of(&node, deadline, ReadLevel::Local, query);
                told.map(|(reply, _)| reply)
            })
        }
        Order::Status => orders::status(desk),
    }
}
