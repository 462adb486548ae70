//! What the Raft paper says must happen, one test per claim, named like the claim and with the
//! section it comes from: Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm", the extended version.

#[path = "../harness/mod.rs"]
mod harness;

mod clients;
mod elections;
mod figures;
mod founding;
mod replication;
mod safety;
mod snapshots;
mod terms;

use quorate::types::{Beat, Body, EntryId, Index, Message};

use harness::entries_after;

/// An append request of entries with these terms.
fn append(prev: EntryId, terms: &[u64], committed: u64) -> Body {
    let entries = entries_after(prev, terms);
    Body::AppendEntries { prev, entries, committed: Index(committed) }
}

/// A heartbeat of a leader's first round.
fn heartbeat() -> Body {
    Body::Heartbeat(Beat::new(1, Index::ZERO))
}

/// An answer to a vote request.
fn ballot(granted: bool) -> Body {
    Body::RequestVoteReply { granted }
}

/// What messages say, without who said it to whom.
fn bodies(sent: Vec<Message>) -> Vec<Body> {
    sent.into_iter().map(|message| message.body).collect()
}
