//! The leader's work for clients: proposals and reads; and the membership that a node starts from.

use std::collections::BTreeMap;

use serde::Deserialize;

use quorate::raft::{Input, Raft, RoleName};
use quorate::types::{
    Body, Incarnation, Instant, Membership, Message, NodeId, Restored, SnapshotMeta, Term,
};

use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{Cluster, ELECTION_TICKS, Node, ONE, TICK, entry_id, plain, voters};

#[test]
fn proposal_network() {
    #[derive(Deserialize)]
    struct Case {
        n: u64,
        dead: Vec<u64>,
        expect_committed: bool,
        term: u64,
    }
    for file in CaseFile::versions("raft-paper/proposal_network.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut cluster = Cluster::new(case.n);
            for dead in case.dead {
                cluster.crash(NodeId(dead));
            }
            cluster.campaign(ONE);
            cluster.propose(ONE, "data");
            let expected: &[&str] = if case.expect_committed { &["data"] } else { &[] };
            for (id, node) in cluster.nodes().filter(|(_, node)| node.is_up()) {
                assert_eq!(node.applied_commands(), expected, "on {id}");
            }
            assert_eq!(cluster.node(ONE).term(), case.term);
            Verdict::Passed
        });
    }
}

/// The cluster of a group of read cases.
fn read_cluster(group: &str) -> Cluster {
    let mut cluster = Cluster::empty();
    let membership = match group {
        "learner (voter 1, learner 2)" => voters(1).with_learners([NodeId(2)]),
        "safe" | "lease+check_quorum" => voters(3),
        other => panic!("unknown group {other}"),
    };
    for id in membership.ids() {
        let mut config = plain(id);
        // A heartbeat round gives the same answers as a lease.
        config.check_quorum = group == "lease+check_quorum";
        config.stickiness = config.check_quorum;
        cluster.add(config, Restored::fresh(membership.clone()));
    }
    cluster.elect(ONE);
    cluster
}

#[test]
fn read_index() {
    #[derive(Deserialize)]
    struct Case {
        at: u64,
        proposals_before: u64,
        expect_read_index: u64,
        group: String,
    }
    for file in CaseFile::versions("raft-paper/read_index.json", "cases") {
        let mut clusters: BTreeMap<String, Cluster> = BTreeMap::new();
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let group = case.group.clone();
            let cluster = clusters.entry(group.clone()).or_insert_with(|| read_cluster(&group));
            // The rows build on one another: commands of rows that the sample omits are proposed
            // here.
            while cluster.node(ONE).committed() < case.expect_read_index {
                let proposed = cluster.node(ONE).committed();
                for _ in 0..case.proposals_before {
                    cluster.propose(ONE, "data");
                }
                assert_eq!(cluster.node(ONE).committed(), proposed + case.proposals_before);
            }
            let at = NodeId(case.at);
            let tag = cluster.read(at);
            assert_eq!(cluster.node(at).read_index(tag), Some(case.expect_read_index));
            Verdict::Passed
        });
    }
}

#[test]
fn restore_config() {
    #[derive(Deserialize)]
    struct Case {
        voters: Vec<u64>,
        learners: Vec<u64>,
        outgoing: Vec<u64>,
        learners_next: Vec<u64>,
    }
    for file in CaseFile::versions("raft-paper/restore_config.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            if !case.learners_next.is_empty() {
                return Verdict::Skipped("only a membership change can demote voters".into());
            }
            let ids = |list: &[u64]| list.iter().copied().map(NodeId).collect::<Vec<_>>();
            let membership = Membership::new(ids(&case.voters))
                .joint_with(ids(&case.outgoing))
                .with_learners(ids(&case.learners));
            for id in (1..=7).map(NodeId) {
                let mut node = Node::start(plain(id), Restored::fresh(membership.clone()));
                let restored = node.core().membership();
                assert_eq!(**restored.incoming(), ids(&case.voters));
                assert_eq!(**restored.outgoing(), ids(&case.outgoing));
                assert_eq!(restored.learners().collect::<Vec<_>>(), ids(&case.learners));
                let is_voter = membership.is_voter(id);
                node.advance(TICK * ELECTION_TICKS * 3);
                node.input(Input::Campaign);
                assert_eq!(
                    node.role() != RoleName::Follower,
                    is_voter,
                    "only voters campaign: {id}"
                );
                assert_eq!(node.term() > 0, is_voter);
            }
            if !case.voters.is_empty() {
                (1..=7).for_each(|id| assert_installs_membership(NodeId(id), &membership));
            }
            Verdict::Passed
        });
    }
}

/// Checks that a node without a membership gets it from a snapshot, and campaigns if it is a voter.
fn assert_installs_membership(id: NodeId, membership: &Membership) {
    let mut config = plain(id);
    config.pre_vote = false;
    let restored = Restored::fresh(Membership::default());
    let mut raft = Raft::new(config, restored, 1, Instant::ZERO).expect("a node");
    let last = entry_id(1, 4);
    let meta = SnapshotMeta::empty(last, membership.clone());
    let body = Body::InstallSnapshot { meta: meta.clone() };
    let message = Message {
        from: NodeId(8),
        incarnation: Incarnation::default(),
        to: id,
        term: Term(1),
        body,
    };
    let mut actions = Vec::new();
    raft.step(Instant::ZERO, Input::Message(message), &mut actions);
    raft.step(Instant::ZERO, Input::SnapshotReceived { meta }, &mut actions);
    assert_eq!((raft.membership(), raft.status().last), (membership, last));
    raft.step(Instant::ZERO, Input::Campaign, &mut actions);
    assert_eq!(raft.status().role != RoleName::Follower, membership.is_voter(id));
}
