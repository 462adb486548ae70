//! What a person asks the courier, as one command each: how fresh an answer has to be, and how sure
//! a message, is said with each.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate::runtime::{ClientError, Proposed};
use quorate::types::{Acknowledge, Freshness, Membership, NodeId, ReadLevel, Term};

use crate::common::codec;
use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::ReachFlags;
use crate::common::talk::desk::Desk;
use crate::common::talk::message::{Command, Query, Reply};
use crate::common::talk::orders::{self, Look, nonsense, say};
use crate::courier::SYSTEM;

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
        /// Do not wait until it is on any disk: it may be lost, and nobody tells then. If the
        /// courier refuses it, as when there is no such user, nobody tells either
        #[arg(long)]
        fast: bool,
    },
    /// Print the names of accounts, one a line
    List {
        /// Those that it fits: `*` is any letters, or none; `?` is any one
        #[arg(default_value = "*")]
        pattern: String,
        /// Who is to answer, and how fresh.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print what waits, and leave it there
    Waiting {
        /// Who is to answer, and how fresh.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print the last messages sent and received
    History {
        /// Who is to answer, and how fresh.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Print what is kept of every account: its state, what waits by number, its history's length
    Dump {
        /// Who is to answer, and how fresh.
        #[command(flatten)]
        at: AtFlags,
    },
    /// Show every node, who leads, whether their states are the same, and the mode; ends with 0 if
    /// all is well
    Status,
}

/// Who is to answer, and how fresh.
#[derive(Args, Clone, Debug, Default)]
pub struct AtFlags {
    /// Ask this node and no other, which may know less, and say how old its answer is at most: its
    /// id, 2 or n2, or its address
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
    /// Not if that is more than so many seconds; without it any age will do
    #[arg(long, value_name = "SECONDS", requires = "at")]
    within: Option<f64>,
}

/// Which part of the time a node is asked for an answer of a known age before one of any age will
/// do, and whoever knows is asked for a name.
const PART: u32 = 4;
/// An age that every answer has whose age is known.
const ANY_KNOWN_AGE: Duration = Duration::from_secs(86_400 * 365);

/// A desk of the courier; `speaker` speaks there, if it is named.
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
    match order {
        Order::Talk(order) => orders::obey(desk, order),
        Order::Send { to, text, fast: false } => orders::send(desk, to, text.join(" ")),
        Order::Send { to, text, fast: true } => send_fast(desk, to, text.join(" ")),
        Order::List { pattern, at } => look(desk, Look::List(pattern), &at),
        Order::Waiting { at } => look(desk, Look::Waiting, &at),
        Order::History { at } => look(desk, Look::History, &at),
        Order::Dump { at } => look(desk, Look::Dump, &at),
        Order::Status => orders::status(desk),
    }
}

/// Has a message taken by the leader alone, and says what that is worth.
fn send_fast(desk: &Desk, to: String, text: String) -> Done {
    let command = codec::encode(&Command::Send { session: desk.session()?, to, text });
    let client = &desk.reach.client;
    match client.propose_at_most_once(&command, Acknowledge::LeaderOnly)? {
        Proposed::MayBeLost { id } => {
            desk.reach.remember();
            let by = leader_of(desk, id.term);
            let by =
                by.map_or_else(|| format!("the leader of term {}", id.term), |by| by.to_string());
            say(&format!("taken by {by}; may still be lost\n"))
        }
        Proposed::Done { .. } => Err(nonsense()),
    }
}

/// Who leads in this term, if that can still be learned: no term has two leaders.
fn leader_of(desk: &Desk, term: Term) -> Option<NodeId> {
    let client = desk.reach.client.with_deadline(desk.reach.deadline / PART);
    let report = client.report_of_leader().ok()?;
    report.status.leader.filter(|_| report.status.term == term)
}

fn look(desk: &Desk, what: Look, at: &AtFlags) -> Done {
    let Some(node) = &at.at else { return orders::look(desk, what, |query| desk.read(query)) };
    let within = at.within.map(Duration::try_from_secs_f64).transpose();
    let within = within.map_err(|error| Trouble::wrong(format!("--within: {error}")))?;
    let address = address_of(desk, node)?;
    orders::look(desk, what, |query| {
        let (reply, freshness) = read_of(desk, &address, within, query)?;
        say(&format!("{}\n", age(node, freshness)))?;
        Ok(reply)
    })
}

/// What the node at this address has, of an age that it knows; of any age if it knows none, and
/// that will do.
fn read_of(
    desk: &Desk,
    address: &str,
    within: Option<Duration>,
    query: &Query,
) -> Result<(Reply, Freshness), Trouble> {
    match within {
        Some(within) => {
            desk.read_of(address, desk.reach.deadline, ReadLevel::Bounded(within), query)
        }
        None => {
            let known = desk.reach.deadline / PART;
            let told = desk.read_of(address, known, ReadLevel::Bounded(ANY_KNOWN_AGE), query);
            match told {
                Err(trouble) if trouble.exit == Exit::Unreached => {
                    desk.read_of(address, desk.reach.deadline, ReadLevel::Local, query)
                }
                told => told,
            }
        }
    }
}

/// How old an answer of the node may be.
fn age(node: &str, freshness: Freshness) -> String {
    match freshness {
        Freshness::Linearizable => format!("at {node}: up to date"),
        Freshness::Within(age) => format!("at {node}: at most {:.3} s old", age.as_secs_f64()),
        Freshness::Unknown => format!("at {node}: of any age, for it knows no leader"),
    }
}

/// Where a node is that is named by its id; an address is one already.
fn address_of(desk: &Desk, node: &str) -> Result<String, Trouble> {
    if node.contains(':') {
        return Ok(node.to_owned());
    }
    let id = node.trim_start_matches('n').parse().map(NodeId);
    let id = id.map_err(|_| Trouble::wrong(format!("--at: `{node}` is no node and no address")))?;
    let membership = membership(desk)?;
    let member = membership.member(id);
    let none = || Trouble::wrong(format!("--at: there is no {id} among {membership}"));
    Ok(member.ok_or_else(none)?.address.as_str().to_owned())
}

/// The members, as the first node knows them that answers: there may be no leader.
fn membership(desk: &Desk) -> Result<Membership, Trouble> {
    let client = desk.reach.client.with_deadline(desk.reach.deadline / PART);
    let mut told = Err(Trouble::wrong("--nodes: nobody is named"));
    for node in desk.reach.nodes() {
        let report = client.report(node);
        told = report.map(|report| report.membership).map_err(|error: ClientError| error.into());
        if told.is_ok() {
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_old_it_may_be() {
        assert_eq!(age("n2", Freshness::Linearizable), "at n2: up to date");
        let within = Freshness::Within(Duration::from_millis(1234));
        assert_eq!(age("2", within), "at 2: at most 1.234 s old");
        assert!(age("n2", Freshness::Unknown).contains("any age"));
    }
}
