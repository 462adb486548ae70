//! Elections: timeouts, rounds of votes, and messages of later terms.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use quorate::raft::{Input, RoleName};
use quorate::types::{Body, EntryId, Index, Membership, NodeId, Restored};

use super::{empty_append, in_role, role_named};
use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{Cluster, ELECTION_TICKS, Node, ONE, TICK, TWO, log, plain, stored, voters};

#[test]
fn election_one_round() {
    #[derive(Deserialize)]
    struct Reply {
        frm: u64,
        granted: bool,
    }
    #[derive(Deserialize)]
    struct Case {
        size: u64,
        replies: Vec<Reply>,
        expect_strict: String,
        neutral: String,
        term: u64,
    }
    for file in CaseFile::versions("raft-paper/election_one_round.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut node = Node::start(plain(ONE), Restored::fresh(voters(case.size)));
            node.time_out();
            for Reply { frm, granted } in case.replies {
                node.receive(
                    NodeId(frm),
                    case.term,
                    Body::RequestVoteReply { granted, committed: Index::ZERO },
                );
            }
            assert_eq!(node.term(), case.term);
            // A lost election ends at once, as in etcd.
            assert_eq!(node.role(), role_named(&case.expect_strict));
            assert_eq!(node.leads(), case.neutral == "leader");
            Verdict::Passed
        });
    }
}

#[test]
fn leader_election_network() {
    #[derive(Deserialize)]
    struct Expect {
        role: String,
        term: u64,
    }
    #[derive(Deserialize)]
    struct Case {
        pre_vote: bool,
        n: u64,
        dead: Vec<u64>,
        logs: BTreeMap<u64, Vec<u64>>,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/leader_election_network.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut cluster = Cluster::empty();
            for id in 1..=case.n {
                let terms = case.logs.get(&id).cloned().unwrap_or_default();
                let term = terms.last().copied().unwrap_or(0);
                let mut config = plain(NodeId(id));
                config.pre_vote = case.pre_vote;
                cluster.add(config, stored(voters(case.n), term, None, 0, log(&terms)));
            }
            for dead in case.dead {
                cluster.crash(NodeId(dead));
            }
            cluster.node_mut(ONE).time_out();
            cluster.settle();
            let node = cluster.node(ONE);
            assert_eq!(node.role(), role_named(&case.expect.role));
            assert_eq!(node.term(), case.expect.term);
            Verdict::Passed
        });
    }
}

#[test]
fn promotable() {
    #[derive(Deserialize)]
    struct Case {
        voters: Vec<u64>,
        expect: bool,
    }
    for file in CaseFile::versions("raft-paper/promotable.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let membership = Membership::new(case.voters.into_iter().map(NodeId));
            let mut node = Node::start(plain(ONE), Restored::fresh(membership));
            node.advance(TICK * ELECTION_TICKS * 5);
            let campaigned_in_time = node.term() > 0;
            node.input(Input::Campaign);
            assert_eq!(campaigned_in_time, case.expect, "by its timeout");
            assert_eq!(node.term() > 0, case.expect, "on request");
            Verdict::Passed
        });
    }
}

/// A message of a case; only its kind and its term matter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterTerm {
    #[serde(rename = "type")]
    kind: String,
    frm: u64,
    term: u64,
}

impl LaterTerm {
    /// Returns the body. Its last entry is that of an empty log, because etcd's messages name index
    /// 0 of term 3, which no log here has.
    fn body(&self) -> Body {
        match self.kind.as_str() {
            "append_request" => empty_append(),
            "vote_request" => Body::RequestVote { last: EntryId::ZERO, transfer: false },
            other => panic!("unknown message {other}"),
        }
    }
}

#[test]
fn update_term_from_message() {
    #[derive(Deserialize)]
    struct Expect {
        role: String,
        term: u64,
    }
    #[derive(Deserialize)]
    struct Case {
        role: String,
        message: LaterTerm,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/update_term_from_message.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut node = in_role(role_named(&case.role), 1, &[]);
            node.receive(NodeId(case.message.frm), case.message.term, case.message.body());
            assert_eq!(node.role(), role_named(&case.expect.role));
            assert_eq!(node.term(), case.expect.term);
            Verdict::Passed
        });
    }
}

#[test]
fn all_server_stepdown() {
    #[derive(Deserialize)]
    struct Expect {
        role: String,
        term: u64,
        log_len: usize,
        known_leader: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Case {
        role: String,
        message: LaterTerm,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/all_server_stepdown.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut node = in_role(role_named(&case.role), 1, &[]);
            node.receive(NodeId(case.message.frm), case.message.term, case.message.body());
            let expect = case.expect;
            assert_eq!(node.role(), role_named(&expect.role));
            assert_eq!(node.term(), expect.term);
            assert_eq!(node.log().len(), expect.log_len);
            assert_eq!(node.status().leader, expect.known_leader.map(NodeId));
            Verdict::Passed
        });
    }
}

/// Returns the election timeouts of new nodes, in whole ticks.
fn drawn_ticks(count: u64) -> Vec<u32> {
    let draw = |seed: u64| {
        let membership = voters(3);
        let mut node = Node::seeded(plain(TWO), Restored::fresh(membership), seed);
        let start = node.now();
        node.time_out();
        assert_eq!(node.role(), RoleName::Candidate);
        (node.now().since(start).as_nanos() / TICK.as_nanos()) as u32
    };
    (0..count).map(draw).collect()
}

#[test]
fn election_timeout_distribution() {
    #[derive(Deserialize)]
    struct Case {
        elapsed: u32,
        probability: f64,
        exact: bool,
    }
    let drawn = drawn_ticks(2_000);
    for file in CaseFile::versions("raft-paper/election_timeout_distribution.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            // A timeout between two ticks counts as the earlier tick.
            let elapsed = drawn.iter().filter(|&&ticks| ticks <= case.elapsed).count();
            let frequency = elapsed as f64 / drawn.len() as f64;
            let margin = if case.exact { 0.0 } else { 0.05 };
            assert!((frequency - case.probability).abs() <= margin, "{frequency}");
            Verdict::Passed
        });
    }
}

#[test]
fn election_timeouts_stay_in_their_range_and_fill_it() {
    let drawn: BTreeSet<u32> = drawn_ticks(500).into_iter().collect();
    assert_eq!(drawn, (ELECTION_TICKS..ELECTION_TICKS * 2).collect());
}

#[test]
fn five_nodes_rarely_time_out_in_the_same_tick() {
    let drawn = drawn_ticks(5_000);
    let clash = |round: &&[u32]| {
        let first = round.iter().min();
        round.iter().filter(|ticks| Some(*ticks) == first).count() > 1
    };
    let rounds: Vec<&[u32]> = drawn.chunks(5).collect();
    let clashes = rounds.iter().filter(|round| clash(round)).count();
    assert_eq!(rounds.len(), 1_000);
    assert!(clashes <= 300, "{clashes} of 1000 rounds");
}
