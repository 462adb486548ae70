//! `quorate members`: who is in the cluster.

use clap::{Args, Subcommand};
use quorate::runtime::ClientError;
use quorate::types::{Address, Change, EntryId, Membership, NodeId};
use serde_json::json;

use crate::client::ClientFlags;
use crate::exit::{Exit, Trouble, warn};
use crate::output::report;
use crate::values::NodeAt;

/// What `members` takes.
#[derive(Args, Debug)]
pub(crate) struct MembersFlags {
    #[command(subcommand)]
    order: Members,
}

const WAITS: &str = "see `quorate status`: a new voter is waited for until it has the log, or \
     until `quorate members give-up`";
const NOT_HEARD: &str = "the change is complete, but who is in the cluster now was not heard";

/// How the members are changed. Each waits until the change is complete.
#[derive(Debug, Subcommand)]
enum Members {
    /// Add a node that waits to join: it gets the log, and then a vote
    #[command(after_help = "\
Example, with a node started by
  quorate serve --id 4 --data-dir d4 --listen 127.0.0.1:7104 --join 1=127.0.0.1:7101
this lets it in:
  quorate members add 4=127.0.0.1:7104")]
    Add {
        /// Its id, and where the others reach it
        node: NodeAt,
        /// It stores everything, but gets no vote
        #[arg(long)]
        learner: bool,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Give a learner a vote
    #[command(after_help = "Example:\n  quorate members promote 4")]
    Promote {
        /// Its id
        id: u64,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Remove a node, whether it runs or not
    #[command(after_help = "Example:\n  quorate members remove 4")]
    Remove {
        /// Its id, which is never used again
        id: u64,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Put a node that waits to join in the place of another, in one step
    #[command(after_help = "Example:\n  quorate members replace 3 4=127.0.0.1:7104")]
    Replace {
        /// The id of the one that goes
        id: u64,
        /// The one that comes
        node: NodeAt,
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Give up a change that waits for new voters to get the log
    #[command(after_help = "Example:\n  quorate members give-up")]
    GiveUp {
        #[command(flatten)]
        client: ClientFlags,
    },
}

pub(crate) fn run(flags: &MembersFlags, json: bool) -> Result<Exit, Trouble> {
    let (client, change) = match &flags.order {
        Members::Add { node, learner: true, client } => {
            (client, Some(Change::new().learner(node.id).address(node.id, named(node))))
        }
        Members::Add { node, client, .. } => (client, Some(with(Change::new(), node))),
        Members::Promote { id, client } => (client, Some(Change::new().voter(NodeId(*id)))),
        Members::Remove { id, client } => (client, Some(Change::new().remove(NodeId(*id)))),
        Members::Replace { id, node, client } => {
            (client, Some(with(Change::new().remove(NodeId(*id)), node)))
        }
        Members::GiveUp { client } => (client, None),
    };
    let promoted = match &flags.order {
        Members::Promote { id, .. } => Some(NodeId(*id)),
        _ => None,
    };
    let (at, now) = client.run(async |client| {
        if let Some(id) = promoted
            && !client.report_of_leader().await?.membership.is_member(id)
        {
            // A vote for a node without an address would be waited for until it is given up.
            return Err(Trouble::new(Exit::Refused, format!("{id} is no member: add it")));
        }
        let at: Result<EntryId, ClientError> = match change {
            Some(change) => client.change_membership(change).await,
            None => client.give_up_change().await,
        };
        let at = at.map_err(|error| waits(error.into()))?;
        Ok((at, client.report_of_leader().await.map(|report| report.membership)))
    })?;
    if let Err(error) = &now {
        warn(json, format!("{NOT_HEARD}: {error}: see `quorate status`"));
    }
    report(json, &told(at, now.ok().as_ref(), json));
    Ok(Exit::Done)
}

/// The same trouble, with what may be the matter if a change is not complete in time.
fn waits(trouble: Trouble) -> Trouble {
    match trouble.exit {
        Exit::Unknown => Trouble { text: format!("{}; {WAITS}", trouble.text), ..trouble },
        _ => trouble,
    }
}

/// What is said of a change that is complete, and of the members it led to, if they are known.
fn told(at: EntryId, now: Option<&Membership>, json: bool) -> String {
    let text = now.map(Membership::to_string);
    match (json, text) {
        (true, text) => json!({ "index": at.index.0, "membership": text }).to_string(),
        (false, Some(text)) => format!("members: {text}"),
        (false, None) => format!("members: changed, at index {}", at.index),
    }
}

fn with(change: Change, node: &NodeAt) -> Change {
    change.voter(node.id).address(node.id, named(node))
}

fn named(node: &NodeAt) -> Address {
    Address::new(&node.address.to_string()).expect("a socket address is short")
}

#[cfg(test)]
mod tests {
    use quorate::types::{Index, Term};

    use super::*;

    #[test]
    fn a_change_is_told_whether_or_not_its_end_is_known() {
        let at = EntryId::new(Term(2), Index(7));
        let now = Membership::new([NodeId(1), NodeId(2)]);
        assert_eq!(told(at, Some(&now), false), "members: {n1 n2}");
        assert_eq!(told(at, Some(&now), true), r#"{"index":7,"membership":"{n1 n2}"}"#);
        assert_eq!(told(at, None, false), "members: changed, at index 7");
        assert_eq!(told(at, None, true), r#"{"index":7,"membership":null}"#);
    }
}
