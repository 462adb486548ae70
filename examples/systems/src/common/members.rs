//! How nodes are added and removed while the others serve.

use clap::Subcommand;
use quorate::runtime::ClientError;
use quorate::types::{Address, Change, NodeId};

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::reach::Reach;
use crate::common::serve::NodeAt;

/// How the members are changed. Each waits until the change is complete.
#[derive(Clone, Debug, Subcommand)]
pub enum Members {
    /// Add a node that was started with --join: it gets everything, and then a vote
    Add {
        /// Its id, and where the others reach it: 4=127.0.0.1:7604
        node: NodeAt,
    },
    /// Remove a node, whether it runs or not
    Remove {
        /// Its id, which is never used again
        id: u64,
    },
    /// Give up a change that waits for a new node
    GiveUp,
}

/// Has it done, and prints who is in the cluster then.
///
/// # Errors
/// Why it was not, or why that is not known.
pub fn change(reach: &Reach, members: &Members) -> Done {
    let client = &reach.client;
    match members {
        Members::Add { node: NodeAt { id, address } } => {
            let address = Address::new(&address.to_string()).expect("a socket address is short");
            let change = Change::new().voter(*id).address(*id, address);
            client.change_membership(change).map_err(|error| waits(error, *id))?;
        }
        Members::Remove { id } => {
            let removed = client.change_membership(Change::new().remove(NodeId(*id)));
            removed.map_err(Trouble::from)?;
        }
        Members::GiveUp => drop(client.give_up_change()?),
    }
    // The change is complete: who cannot tell of it now may look later.
    if let Ok(report) = client.report_of_leader() {
        reach.remember_members(&report.membership);
        println!("members: {}", report.membership);
    }
    Ok(Exit::Done)
}

/// The same trouble, with what may be the matter if a new node is waited for.
fn waits(error: ClientError, id: NodeId) -> Trouble {
    let trouble = Trouble::from(error);
    match trouble.exit {
        Exit::Unknown => Trouble {
            text: format!(
                "{}; {id} is waited for, until it has everything or `give-up`",
                trouble.text
            ),
            ..trouble
        },
        _ => trouble,
    }
}
