//! Tables of claims of the Raft paper, in `tests/data/raft-paper`.

mod appends;
mod claims;
mod commit;
mod elections;
mod leaders;
mod logs;
mod progress;
mod votes;

use quorate::raft::RoleName;
use quorate::types::{Body, EntryId, Index, Message, NodeId};

use crate::harness::{Node, ONE, THREE, TWO, log, plain, stored, voters};

/// Returns the role that a case names.
pub(crate) fn role_named(name: &str) -> RoleName {
    match name {
        "follower" => RoleName::Follower,
        "pre_candidate" => RoleName::PreCandidate,
        "candidate" => RoleName::Candidate,
        "leader" => RoleName::Leader,
        other => panic!("unknown role {other}"),
    }
}

/// Returns node 1 of 1, 2, 3 in the given role and term, with a log of the given terms. A leader
/// has one entry of its own at the end.
fn in_role(role: RoleName, term: u64, terms: &[u64]) -> Node {
    let campaigned = matches!(role, RoleName::Candidate | RoleName::Leader);
    let stored_term = if campaigned { term - 1 } else { term };
    let mut config = plain(ONE);
    config.pre_vote = role == RoleName::PreCandidate;
    let mut node = Node::start(config, stored(voters(3), stored_term, None, 0, log(terms)));
    if role != RoleName::Follower {
        node.input(quorate::raft::Input::Campaign);
    }
    if role == RoleName::Leader {
        node.receive(TWO, term, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    }
    node.take_sent();
    assert_eq!((node.role(), node.term()), (role, term), "the case is set up");
    node
}

/// An empty append request of a leader with an empty log.
fn empty_append() -> Body {
    Body::AppendEntries { prev: EntryId::ZERO, entries: [].into(), committed: Index::ZERO }
}

/// Whether the only reply in `sent` grants the vote; `None` if there is no reply.
fn granted(sent: &[Message]) -> Option<bool> {
    assert!(sent.len() <= 1, "one request has one reply: {sent:?}");
    sent.first().map(|reply| match reply.body {
        Body::RequestVoteReply { granted, .. } | Body::PreVoteReply { granted, .. } => granted,
        ref other => panic!("a vote request is answered with {other:?}"),
    })
}

/// The peers of node 1 in a cluster of three.
const PEERS: [NodeId; 2] = [TWO, THREE];
