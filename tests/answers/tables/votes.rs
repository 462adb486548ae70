//! Votes: which candidates get a node's vote, in every role.

use serde::Deserialize;
use serde_json::Value;

use quorate::raft::{Input, RoleName};
use quorate::types::{Body, Index, NodeId, Term};

use super::{PEERS, granted, in_role, role_named};
use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{Node, ONE, TWO, entries_after, entry_id, log, plain, stored, voters};

/// A vote request of a case, in the node's own term if the case names none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    frm: u64,
    term: Option<u64>,
    last_index: u64,
    last_term: u64,
}

#[test]
fn follower_vote() {
    #[derive(Deserialize)]
    struct Persisted {
        term: u64,
        vote: Option<u64>,
        commit: u64,
        log: Vec<u64>,
    }
    #[derive(Deserialize)]
    struct Case {
        persisted: Persisted,
        request: Request,
        expect: String,
        term_after: u64,
        vote_after: Option<u64>,
    }
    for file in CaseFile::versions("raft-paper/follower_vote.json", "cases") {
        file.run(&[], |case| {
            let Case { persisted, request, expect, term_after, vote_after } = decoded(case);
            let vote = persisted.vote.map(NodeId);
            let entries = log(&persisted.log);
            let restored = stored(voters(3), persisted.term, vote, persisted.commit, entries);
            let mut node = Node::start(plain(ONE), restored);
            node.flushes_at_once = false;
            let last = entry_id(request.last_term, request.last_index);
            let term = request.term.expect("the request has a term");
            let mut sent = node.receive(
                NodeId(request.frm),
                term,
                Body::RequestVote { last, transfer: false },
            );
            if !sent.is_empty() {
                let durable = node.disk.hard_state();
                let revealed = (Term(term_after), vote_after.map(NodeId));
                assert_eq!(
                    (durable.term, durable.vote),
                    revealed,
                    "the vote is durable before its reply"
                );
            }
            node.flush();
            sent.extend(node.take_sent());
            assert_eq!(granted(&sent), Some(expect == "grant"));
            let durable = node.disk.hard_state();
            assert_eq!((durable.term.0, durable.vote), (term_after, vote_after.map(NodeId)));
            Verdict::Passed
        });
    }
}

#[test]
fn recv_vote_request() {
    #[derive(Deserialize)]
    struct Case {
        pre: bool,
        log: Vec<u64>,
        term: u64,
        vote: Option<u64>,
        request: Request,
        expect: String,
    }
    for file in CaseFile::versions("raft-paper/recv_vote_request.json", "cases") {
        file.run(&[], |case| {
            let Case { pre, log: terms, term, vote, request, expect } = decoded(case);
            if pre && vote.is_some_and(|vote| vote != request.frm) {
                // etcd's table has pre-votes for the voter's own term, in which it has voted. A
                // pre-vote here is for the next term, in which the voter has given no vote yet.
                return Verdict::Skipped("a pre-vote is about the term after the vote".into());
            }
            let restored = stored(voters(3), term, vote.map(NodeId), 0, log(&terms));
            let mut node = Node::start(plain(ONE), restored);
            let last = entry_id(request.last_term, request.last_index);
            let body = if pre {
                Body::PreVote { next_term: Term(term + 1), last }
            } else {
                Body::RequestVote { last, transfer: false }
            };
            let sent = node.receive(NodeId(request.frm), term, body);
            assert_eq!(granted(&sent), Some(expect == "grant"));
            assert_eq!((node.role(), node.term()), (RoleName::Follower, term));
            Verdict::Passed
        });
    }
}

#[test]
fn recv_vote_request_nonfollower() {
    #[derive(Deserialize)]
    struct Case {
        role: String,
        vote: u64,
        term: u64,
        request: Request,
        expect: String,
    }
    for file in CaseFile::versions("raft-paper/recv_vote_request_nonfollower.json", "cases") {
        file.run(&[], |case| {
            let Case { role, vote, term, request, expect } = decoded(case);
            let role = role_named(&role);
            let mut node = if role == RoleName::PreCandidate {
                // A pre-candidate that has voted for itself has lost an election in this term.
                let mut config = plain(ONE);
                config.pre_vote = true;
                let restored = stored(voters(3), term, Some(NodeId(vote)), 0, log(&[2, 2]));
                let mut node = Node::start(config, restored);
                node.input(Input::Campaign);
                node.take_sent();
                node
            } else {
                in_role(role, term, &[2, 2])
            };
            assert_eq!(node.status().vote, Some(NodeId(vote)), "the case is set up");
            let last = entry_id(request.last_term, request.last_index);
            let sent = node.receive(
                NodeId(request.frm),
                term,
                Body::RequestVote { last, transfer: false },
            );
            assert_eq!(granted(&sent), Some(expect == "grant"));
            assert_eq!((node.role(), node.term()), (role, term), "nothing changes");
            Verdict::Passed
        });
    }
}

#[test]
fn vote_from_any_state() {
    #[derive(Deserialize)]
    struct Expect {
        reply: String,
        role: String,
        term_delta: u64,
        vote: Value,
    }
    #[derive(Deserialize)]
    struct Case {
        role: String,
        pre: bool,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/vote_from_any_state.json", "cases") {
        file.run(&[], |case| {
            let Case { role, pre, expect } = decoded(case);
            let role = role_named(&role);
            let campaigned = matches!(role, RoleName::Candidate | RoleName::Leader);
            let term = if campaigned { 2 } else { 1 };
            let mut node = in_role(role, term, &[]);
            let before = node.status();
            let sent = if pre {
                // The candidate is in the same term and would campaign in the next one.
                let last = entry_id(term, 42);
                node.receive(TWO, term, Body::PreVote { next_term: Term(term + 1), last })
            } else {
                node.receive(
                    TWO,
                    term + 1,
                    Body::RequestVote { last: entry_id(term + 1, 42), transfer: false },
                )
            };
            assert_eq!(granted(&sent), Some(expect.reply == "grant"));
            assert_eq!(node.role(), role_named(&expect.role));
            assert_eq!(node.term(), term + expect.term_delta);
            let vote = match expect.vote.as_u64() {
                Some(vote) => Some(NodeId(vote)),
                None => {
                    assert_eq!(expect.vote, "unchanged");
                    before.vote
                }
            };
            assert_eq!(node.status().vote, vote);
            Verdict::Passed
        });
    }
}

#[test]
fn voter_log_up_to_date() {
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        request: Request,
        expect: String,
    }
    for file in CaseFile::versions("raft-paper/voter_log_up_to_date.json", "cases") {
        file.run(&[], |case| {
            let Case { log: terms, request, expect } = decoded(case);
            let term = terms.last().copied().unwrap_or(0);
            let restored = stored(voters(2), term, None, 0, log(&terms));
            let mut node = Node::start(plain(ONE), restored);
            let last = entry_id(request.last_term, request.last_index);
            let term = request.term.expect("the request has a term");
            let sent = node.receive(
                NodeId(request.frm),
                term,
                Body::RequestVote { last, transfer: false },
            );
            assert_eq!(granted(&sent), Some(expect == "grant"));
            Verdict::Passed
        });
    }
}

#[test]
fn log_up_to_date() {
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        last_index: u64,
        last_term: u64,
        expect: bool,
    }
    for file in CaseFile::versions("raft-paper/log_up_to_date.json", "cases") {
        file.run(&[], |case| {
            let Case { log: terms, last_index, last_term, expect } = decoded(case);
            let own = *terms.last().expect("the log has entries");
            let mut node = Node::start(plain(ONE), stored(voters(3), own, None, 0, log(&terms)));
            let last = entry_id(last_term, last_index);
            let term = own.max(last_term) + 1;
            let sent = node.receive(TWO, term, Body::RequestVote { last, transfer: false });
            assert_eq!(granted(&sent), Some(expect));
            assert_eq!(last >= node.last(), expect, "the ids compare in the same way");
            Verdict::Passed
        });
    }
}

#[test]
fn vote_request_content() {
    #[derive(Deserialize)]
    struct Expect {
        term: u64,
        last_index: u64,
        last_term: u64,
        to: Vec<u64>,
    }
    #[derive(Deserialize)]
    struct Case {
        entries: Vec<u64>,
        append_term: u64,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/vote_request_content.json", "cases") {
        file.run(&[], |case| {
            let Case { entries, append_term, expect } = decoded(case);
            let mut node = Node::start(plain(ONE), stored(voters(3), 0, None, 0, Vec::new()));
            let prev = entry_id(0, 0);
            let entries = entries_after(prev, &entries);
            let append = Body::AppendEntries { prev, entries: entries.into(), committed: Index(0) };
            node.receive(TWO, append_term, append);
            node.time_out();
            let last = entry_id(expect.last_term, expect.last_index);
            let sent = node.take_sent();
            assert_eq!(sent.len(), expect.to.len());
            assert_eq!(expect.to, PEERS.map(|peer| peer.0));
            for (message, to) in sent.iter().zip(PEERS) {
                assert_eq!((message.to, message.term.0), (to, expect.term));
                assert_eq!(message.body, Body::RequestVote { last, transfer: false });
            }
            Verdict::Passed
        });
    }
}
