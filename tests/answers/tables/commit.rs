//! The leader's commit rule: it counts a quorum, and only for entries of its own term.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::Value;

use quorate::quorum::reached;
use quorate::raft::{Action, Input};
use quorate::types::{AppendOutcome, Body, EntryId, Index, Membership, NodeId, Tag, Term};

use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{
    Cluster, MessageKind, Node, ONE, THREE, TWO, entry_id, log, plain, stored, terms, voters,
};

/// A leader with its log, and the matched index of each voter.
struct Leading {
    leader: NodeId,
    membership: Membership,
    term: u64,
    log: Vec<u64>,
    committed: u64,
    matches: BTreeMap<NodeId, u64>,
}

impl Leading {
    fn matched(&self, id: NodeId) -> u64 {
        self.matches.get(&id).copied().unwrap_or(0)
    }

    /// Returns the commit index by the rule: the highest index that a quorum has, if its entry is
    /// of the leader's term.
    fn committed_by_rule(&self) -> u64 {
        let index = reached(&self.membership, |id| self.matched(id));
        let at = (index as usize).checked_sub(1).map(|at| self.log[at]);
        if at == Some(self.term) { index.max(self.committed) } else { self.committed }
    }

    /// Returns the commit index of a real leader of this term with this log, whose peers
    /// acknowledge exactly their matched entries.
    ///
    /// A leader begins its term with an entry of its own: the first of the term in the log. If the
    /// log has none, that entry is kept from the leader's disk, so that it does not count.
    ///
    /// Some generated states are not reachable: entries of the term are committed, although too few
    /// peers match, and a leader never moves a match back. There the leader commits less, and the
    /// commit index of the case is used.
    fn committed_by_leader(&self) -> u64 {
        let older = self.log.iter().take_while(|&&term| term < self.term).count();
        let own = self.log.len() - older;
        let committed = self.committed.min(older as u64);
        let membership = self.membership.clone();
        let restored = stored(membership, self.term - 1, None, committed, log(&self.log[..older]));
        let mut node = Node::start(plain(self.leader), restored);
        node.flushes_at_once = false;
        node.input(Input::Campaign);
        assert!(node.flush_one(), "a candidate writes its vote");
        for voter in self.others() {
            node.deliver_message(
                voter,
                self.term,
                Body::RequestVoteReply { granted: true, committed: Index::ZERO },
            );
        }
        assert!(node.leads(), "every peer voted for the leader");
        for tag in 1..own as u64 {
            node.propose(tag, "command");
        }
        if own > 0 {
            assert_eq!(terms(&node.log()), self.log, "the leader has the log of the case");
            node.flush();
        }
        // Without space the leader appends nothing: a joint membership is not left meanwhile.
        node.input(Input::DiskFull(true));
        self.acknowledge(&mut node);
        if self.committed > older as u64 {
            return node.committed().max(self.committed);
        }
        node.committed()
    }

    fn others(&self) -> impl Iterator<Item = NodeId> {
        let leader = self.leader;
        self.membership.voters().filter(move |id| *id != leader)
    }

    /// Answers appends like peers whose logs are prefixes of the leader's, until each peer has
    /// acknowledged all of its entries.
    fn acknowledge(&self, node: &mut Node) {
        let has = |index: u64| entry_id(self.log[index as usize - 1], index);
        let mut silent: Vec<NodeId> = self.others().filter(|id| self.matched(*id) == 0).collect();
        let mut sent = VecDeque::from(node.take_sent());
        let mut answered = 0;
        while let Some(message) = sent.pop_front() {
            answered += 1;
            assert!(answered < 1_000, "the leader goes back until the logs agree");
            let to = message.to;
            let Body::AppendEntries { prev, entries, .. } = message.body else { continue };
            if silent.contains(&to) {
                continue;
            }
            let matched = self.matched(to);
            let outcome = if prev.index.0 > matched {
                AppendOutcome::Rejected { prev: prev.index, hint: has(matched) }
            } else {
                let proved = prev.index.0 + entries.len() as u64;
                if proved >= matched {
                    silent.push(to);
                }
                AppendOutcome::Accepted { matched: Index(proved.min(matched)) }
            };
            sent.extend(node.receive(to, self.term, Body::AppendEntriesReply(outcome)));
        }
        silent.sort_unstable();
        assert_eq!(
            silent,
            self.others().collect::<Vec<_>>(),
            "every peer has acknowledged its entries"
        );
    }
}

/// A generated case with the expected commit index.
fn generated(case: &Value) -> (Leading, u64) {
    #[derive(Deserialize)]
    struct Expect {
        commit: u64,
    }
    #[derive(Deserialize)]
    struct Case {
        node: u64,
        incoming: Vec<u64>,
        outgoing: Option<Vec<u64>>,
        term: u64,
        log: Vec<u64>,
        commit: u64,
        r#match: BTreeMap<u64, u64>,
        expect: Expect,
    }
    let case: Case = decoded(case);
    let outgoing = case.outgoing.unwrap_or_default().into_iter().map(NodeId);
    let incoming = case.incoming.into_iter().map(NodeId);
    let leading = Leading {
        leader: NodeId(case.node),
        membership: Membership::new(incoming).joint_with(outgoing),
        term: case.term,
        log: case.log,
        committed: case.commit,
        matches: case.r#match.into_iter().map(|(id, index)| (NodeId(id), index)).collect(),
    };
    (leading, case.expect.commit)
}

#[test]
fn the_commit_rule_gives_the_generated_answers() {
    for file in CaseFile::versions("oracle/leader_commit.jsonl", "") {
        file.run(&[], |case| {
            let (leading, expected) = generated(case);
            assert_eq!(leading.committed_by_rule(), expected);
            Verdict::Passed
        });
    }
}

#[test]
fn a_leader_commits_the_generated_answers() {
    for file in CaseFile::versions("oracle/leader_commit.jsonl", "") {
        file.run(&[], |case| {
            let (leading, expected) = generated(case);
            assert_eq!(leading.committed_by_leader(), expected);
            Verdict::Passed
        });
    }
}

#[test]
fn commit_rule() {
    #[derive(Deserialize)]
    struct Case {
        matches: Vec<u64>,
        log: Vec<u64>,
        term: u64,
        expect: u64,
    }
    for file in CaseFile::versions("raft-paper/commit_rule.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let leading = Leading {
                leader: ONE,
                membership: voters(case.matches.len() as u64),
                term: case.term,
                log: case.log,
                committed: 0,
                matches: (1..).map(NodeId).zip(case.matches).collect(),
            };
            assert_eq!(leading.committed_by_rule(), case.expect);
            assert_eq!(leading.committed_by_leader(), case.expect);
            Verdict::Passed
        });
    }
}

#[test]
fn leader_only_commits_current_term() {
    #[derive(Deserialize)]
    struct Case {
        ack_index: u64,
        expect_commit: u64,
    }
    for file in CaseFile::versions("raft-paper/leader_only_commits_current_term.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let leading = Leading {
                leader: ONE,
                membership: voters(2),
                term: 3,
                log: vec![1, 2, 3, 3],
                committed: 0,
                matches: BTreeMap::from([(ONE, 4), (TWO, case.ack_index)]),
            };
            assert_eq!(leading.committed_by_leader(), case.expect_commit);
            Verdict::Passed
        });
    }
}

#[test]
fn leader_acknowledge_commit() {
    #[derive(Deserialize)]
    struct Case {
        size: u64,
        acks: Vec<u64>,
        expect_committed: bool,
    }
    for file in CaseFile::versions("raft-paper/leader_acknowledge_commit.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let mut cluster = Cluster::new(case.size);
            cluster.elect(ONE);
            cluster.heartbeat(ONE);
            assert!(
                cluster.nodes().all(|(_, node)| node.committed() == 1),
                "the empty entry is committed"
            );
            cluster.hold();
            let tag = cluster.propose(ONE, "data");
            cluster.deliver_kinds(&[MessageKind::AppendEntries]);
            let acks: Vec<NodeId> = case.acks.into_iter().map(NodeId).collect();
            cluster.deliver_where(|message| {
                message.body.kind() == MessageKind::AppendEntriesReply
                    && acks.contains(&message.from)
            });
            assert_eq!(cluster.node(ONE).committed() == 2, case.expect_committed);
            let id = entry_id(1, 2);
            let outcomes = cluster.node_mut(ONE).take_outcomes();
            let expected = vec![Action::Committed { tag, id }];
            assert_eq!(outcomes, if case.expect_committed { expected } else { Vec::new() });
            Verdict::Passed
        });
    }
}

#[test]
fn leader_commit_preceding() {
    #[derive(Deserialize)]
    struct Expect {
        committed_terms_strict: Vec<u64>,
    }
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        term: u64,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/leader_commit_preceding.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let restored = stored(voters(3), case.term, None, 0, log(&case.log));
            let fresh = || stored(voters(3), 0, None, 0, Vec::new());
            let mut cluster = Cluster::stored([restored, fresh(), fresh()]);
            cluster.elect(ONE);
            cluster.propose(ONE, "some data");
            cluster.heartbeat(ONE);
            for id in [ONE, TWO, THREE] {
                let applied = cluster.node(id).applied();
                assert_eq!(terms(applied), case.expect.committed_terms_strict, "on {id}");
            }
            let tag = Tag(1);
            let id = EntryId::new(Term(3), cluster.node(ONE).last().index);
            let outcomes = cluster.node_mut(ONE).take_outcomes();
            assert_eq!(outcomes, [Action::Committed { tag, id }]);
            Verdict::Passed
        });
    }
}
