//! Claims that need one line each in the file of cases.

use serde_json::Value;

use quorate::raft::{Action, Input, RejectReason, RoleName};
use quorate::types::{Body, Change, Entry, Heartbeat, Index, Message, NodeId, Restored, Tag, Term};

use super::{PEERS, in_role};
use crate::answers::cases::{CaseFile, Verdict};
use crate::harness::{
    Cluster, ELECTION_TICKS, MessageKind, Node, ONE, THREE, TICK, TWO, entry_id, log, plain,
    stored, voters,
};

#[test]
fn single_claims() {
    let skips = ["claim-lease-forget-leader"];
    for file in CaseFile::versions("raft-paper/single_claims.json", "cases") {
        file.run(&skips, claim);
    }
}

fn claim(case: &Value) -> Verdict {
    match case["id"].as_str().expect("a claim has an id") {
        "claim-start-as-follower" => start_as_follower(),
        "claim-leader-heartbeat" => leader_heartbeat(),
        "claim-leader-start-replication" => leader_start_replication(),
        "claim-leader-commit-entry" => leader_commit_entry(),
        "claim-learner-no-campaign" => learner_no_campaign(),
        "claim-prevote-selfvote-late" => prevote_selfvote_late(),
        "claim-uncommitted-size-limit" => uncommitted_size_limit(),
        "claim-commit-after-remove" => commit_after_remove(),
        "claim-lease-forget-leader" => {
            return Verdict::Skipped("a follower has no operation that forgets its leader".into());
        }
        other => return Verdict::Skipped(format!("no check for {other}")),
    }
    Verdict::Passed
}

/// Two of three voters are removed, and an entry is proposed meanwhile: once both halves have
/// acknowledged the joint membership, the remaining voter alone commits the entry.
fn commit_after_remove() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    cluster.change(ONE, Change::new().remove(TWO).remove(THREE));
    cluster.propose(ONE, "waits");
    let committed = |cluster: &Cluster| cluster.node(ONE).committed();
    let before = committed(&cluster);
    assert_eq!(cluster.node(ONE).core().membership().incoming().len(), 1);
    // One of the two removed nodes has the joint membership, but not the entry after it.
    let joint = cluster.node(ONE).core().log().membership_index();
    let is_first = |message: &Message| match &message.body {
        Body::AppendEntries { entries, .. } => entries.iter().any(|entry| entry.id.index == joint),
        Body::AppendEntriesReply(_) => true,
        _ => false,
    };
    cluster.deliver_where(|message| message.to == TWO && is_first(message));
    assert_eq!(committed(&cluster), before, "the outgoing half has not acknowledged");
    cluster.deliver_where(|message| message.from == TWO && is_first(message));
    assert!(
        !cluster.node(ONE).core().membership().is_joint(),
        "the joint membership is left at once"
    );
    assert_eq!(committed(&cluster), cluster.node(ONE).last().index.0, "one node decides");
    assert!(committed(&cluster) > joint.0);
}

fn start_as_follower() {
    let fresh = Node::start(plain(ONE), Restored::fresh(voters(3)));
    let restarted = Node::start(plain(ONE), stored(voters(3), 3, Some(ONE), 1, log(&[1, 3])));
    for node in [fresh, restarted] {
        assert_eq!((node.role(), node.status().leader), (RoleName::Follower, None));
    }
}

fn leader_heartbeat() {
    let mut leader = in_role(RoleName::Leader, 1, &[]);
    leader.advance(TICK);
    let sent = leader.take_sent();
    let receivers: Vec<NodeId> = sent
        .iter()
        .filter(|message| message.body.kind() == MessageKind::Heartbeat)
        .map(|message| message.to)
        .collect();
    assert_eq!(receivers, PEERS);
}

fn leader_start_replication() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    let before = cluster.network.sent().len();
    cluster.propose(ONE, "data");
    let node = cluster.node(ONE);
    let entry = node.log().pop().expect("the entry is in the leader's log");
    assert_eq!(entry.id, entry_id(1, 2));
    assert_eq!(node.disk.entries().last(), Some(&entry), "the entry is on the leader's disk");
    assert_eq!(node.committed(), 1, "the entry is not committed before it is acknowledged");
    let appends = cluster.network.sent()[before..].iter();
    let receivers: Vec<NodeId> = appends
        .filter_map(|message| match &message.body {
            Body::AppendEntries { prev, entries, .. } if entries[..] == [entry.clone()] => {
                assert_eq!(*prev, entry_id(1, 1));
                Some(message.to)
            }
            _ => None,
        })
        .collect();
    assert_eq!(receivers, PEERS);
}

fn leader_commit_entry() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    let before = cluster.network.sent().len();
    let tag = cluster.propose(ONE, "data");
    let outcomes = cluster.node_mut(ONE).take_outcomes();
    assert_eq!(outcomes, [Action::Committed { tag, id: entry_id(1, 2) }]);
    assert_eq!(cluster.node(ONE).applied_commands(), ["data"]);
    for peer in PEERS {
        let news = cluster.network.sent()[before..].iter();
        let committed =
            news.filter(|message| message.to == peer).filter_map(|message| match message.body {
                Body::AppendEntries { committed, .. }
                | Body::Heartbeat(Heartbeat { committed, .. }) => Some(committed),
                _ => None,
            });
        assert_eq!(committed.max(), Some(Index(2)), "{peer} learns the commit index");
        assert_eq!(cluster.node(peer).applied_commands(), ["data"]);
    }
}

fn learner_no_campaign() {
    let membership = voters(1).with_learners([TWO]);
    let mut learner = Node::start(plain(TWO), Restored::fresh(membership));
    learner.advance(TICK * ELECTION_TICKS * 10);
    learner.input(Input::Campaign);
    assert_eq!((learner.role(), learner.term()), (RoleName::Follower, 0));
    assert_eq!(learner.take_sent(), []);
}

/// The node's own pre-vote counts at once, so it cannot arrive late; a late pre-vote of a peer does
/// not count either.
fn prevote_selfvote_late() {
    let mut node = in_role(RoleName::PreCandidate, 1, &[]);
    let reply = Body::PreVoteReply { next_term: Term(2), granted: true, committed: Index::ZERO };
    node.receive(TWO, 1, reply.clone());
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 2));
    for peer in [ONE, TWO, THREE] {
        node.receive(peer, 1, reply.clone());
    }
    assert_eq!(node.role(), RoleName::Candidate, "pre-votes elect no leader");
    node.receive(THREE, 2, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    assert_eq!(node.role(), RoleName::Leader);
}

/// An empty command also counts here, because every entry takes memory. Its bytes are released
/// later than the claim says, once it is applied.
fn uncommitted_size_limit() {
    const ENTRIES: usize = 16;
    let entry_bytes = Entry::OVERHEAD_BYTES + 4;
    let mut cluster = Cluster::configured(3, |config| {
        config.command_bytes_max = 4;
        config.unapplied_bytes_max = ENTRIES * entry_bytes;
    });
    cluster.elect(ONE);
    cluster.hold();
    let tags: Vec<Tag> = (0..ENTRIES).map(|_| cluster.propose(ONE, "data")).collect();
    let refused = cluster.propose(ONE, "");
    assert_eq!(cluster.node(ONE).reject_reason(refused), Some(RejectReason::Busy));
    assert!(tags.iter().all(|tag| cluster.node(ONE).reject_reason(*tag).is_none()));
    assert_eq!(cluster.node(ONE).status().unapplied_bytes, ENTRIES * entry_bytes);
    cluster.release();
    assert_eq!(cluster.node(ONE).status().unapplied_bytes, 0);
    assert_eq!(cluster.node(ONE).committed(), 1 + ENTRIES as u64);
    let accepted = cluster.propose(ONE, "");
    assert_eq!(cluster.node(ONE).reject_reason(accepted), None);
}
