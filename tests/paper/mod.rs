//! Claims of the Raft paper, one test per claim, named like the claim and with the section that it
//! comes from; `bootstrap.rs` tests the bootstrap, which the paper leaves out. The paper: Ongaro
//! and Ousterhout, "In Search of an Understandable Consensus Algorithm", extended version.

mod bootstrap;
mod clients;
mod elections;
mod figures;
mod replication;
mod safety;
mod snapshots;
mod terms;

use quorate::types::{Body, EntryId, Heartbeat, Index, Message};

use crate::harness::entries_after;

/// An append request with entries of these terms.
fn append(prev: EntryId, terms: &[u64], committed: u64) -> Body {
    let entries = entries_after(prev, terms);
    Body::AppendEntries { prev, entries: entries.into(), committed: Index(committed) }
}

/// The heartbeat of a leader's first round.
fn heartbeat() -> Body {
    Body::Heartbeat(Heartbeat::new(1, Index::ZERO))
}

/// A reply to a vote request of a node that knows of no committed entry.
fn vote_reply(granted: bool) -> Body {
    Body::RequestVoteReply { granted, committed: Index::ZERO }
}

/// Returns the bodies of the messages.
fn bodies(sent: Vec<Message>) -> Vec<Body> {
    sent.into_iter().map(|message| message.body).collect()
}
