//! Generated cases of one append request, or one vote request, to a node that has just restarted.

use serde::Deserialize;

use quorate::raft::RoleName;
use quorate::types::{AppendOutcome, Body, Index, Membership, Message, NodeId};

use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{Node, entries_after, entry_id, log, plain, stored, terms};

/// The state of a node in cases of one request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Persisted {
    term: u64,
    vote: Option<u64>,
    commit: u64,
    log: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step<M, E> {
    #[serde(rename = "id")]
    _id: String,
    #[serde(rename = "kind")]
    _kind: String,
    node: u64,
    voters: Vec<u64>,
    persisted: Persisted,
    msg: M,
    expect: E,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendRequest {
    #[serde(rename = "type")]
    kind: String,
    frm: u64,
    term: u64,
    prev_index: u64,
    prev_term: u64,
    entries: Vec<u64>,
    commit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendExpect {
    reply: String,
    term: u64,
    vote: Option<u64>,
    log: Vec<u64>,
    commit: u64,
    match_index: Option<u64>,
    role: String,
    also_allowed: Option<Unprocessed>,
}

/// The result of a follower that acknowledges its committed prefix without a further comparison.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unprocessed {
    log: Vec<u64>,
    commit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteRequest {
    #[serde(rename = "type")]
    kind: String,
    frm: u64,
    term: u64,
    last_index: u64,
    last_term: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteExpect {
    reply: String,
    term: u64,
    vote: Option<u64>,
    role: String,
}

fn started(node: u64, voters: &[u64], persisted: &Persisted) -> Node {
    let membership = Membership::new(voters.iter().copied().map(NodeId));
    let vote = persisted.vote.map(NodeId);
    let entries = log(&persisted.log);
    let restored = stored(membership, persisted.term, vote, persisted.commit, entries);
    Node::start(plain(NodeId(node)), restored)
}

/// Returns the only reply to a request, if there is one.
fn reply_of(sent: &[Message]) -> Option<&Message> {
    assert!(sent.len() <= 1, "one request has one reply: {sent:?}");
    sent.first()
}

#[test]
fn append_requests_change_the_log_as_the_paper_says() {
    for file in CaseFile::versions("oracle/append_step.jsonl", "") {
        file.run(&[], |case| append_step(&decoded(case)));
    }
}

fn append_step(case: &Step<AppendRequest, AppendExpect>) -> Verdict {
    let mut node = started(case.node, &case.voters, &case.persisted);
    assert_eq!(case.msg.kind, "append_request");
    let prev = entry_id(case.msg.prev_term, case.msg.prev_index);
    let body = Body::AppendEntries {
        prev,
        entries: entries_after(prev, &case.msg.entries).into(),
        committed: Index(case.msg.commit),
    };
    let before = node.log();
    let sent = node.receive(NodeId(case.msg.frm), case.msg.term, body);
    let expect = &case.expect;
    let outcome = reply_of(&sent).map(|reply| match reply.body {
        Body::AppendEntriesReply(outcome) => {
            assert_eq!(reply.to, NodeId(case.msg.frm), "the sender is answered");
            assert_eq!(reply.term.0, expect.term, "a reply carries the node's term");
            outcome
        }
        ref other => panic!("an append is answered with {other:?}"),
    });
    let status = node.status();
    match (expect.reply.as_str(), outcome) {
        ("success", Some(AppendOutcome::Accepted { matched })) => {
            let now = (terms(&node.log()), status.committed.0, matched.0);
            let proved = prev.index.0 + case.msg.entries.len() as u64;
            let matched = expect.match_index.unwrap_or(proved);
            let processed = (expect.log.clone(), expect.commit, matched);
            let unprocessed = expect.also_allowed.as_ref().is_some_and(|allowed| {
                now == (allowed.log.clone(), allowed.commit, case.persisted.commit)
            });
            assert!(now == processed || unprocessed, "{now:?} instead of {processed:?}");
        }
        ("reject", Some(AppendOutcome::Rejected { prev: rejected, .. })) => {
            assert_eq!(rejected, prev.index, "the reply names the missing entry");
            assert_eq!(node.log(), before, "a rejected request changes nothing");
        }
        ("reject_or_none", None | Some(AppendOutcome::Rejected { .. })) => {
            assert_eq!(node.log(), before, "a stale request changes nothing");
        }
        (wanted, got) => panic!("{wanted} expected, {got:?} seen"),
    }
    if expect.reply != "success" {
        assert_eq!(terms(&node.log()), expect.log);
        assert_eq!(status.committed.0, expect.commit);
    }
    check_role(&node, &expect.role, expect.term, expect.vote);
    Verdict::Passed
}

#[test]
fn vote_requests_are_answered_as_the_paper_says() {
    for file in CaseFile::versions("oracle/vote_step.jsonl", "") {
        file.run(&[], |case| vote_step(&decoded(case)));
    }
}

fn vote_step(case: &Step<VoteRequest, VoteExpect>) -> Verdict {
    let mut node = started(case.node, &case.voters, &case.persisted);
    assert_eq!(case.msg.kind, "vote_request");
    let last = entry_id(case.msg.last_term, case.msg.last_index);
    let before = node.log();
    let sent = node.receive(
        NodeId(case.msg.frm),
        case.msg.term,
        Body::RequestVote { last, transfer: false },
    );
    let granted = reply_of(&sent).map(|reply| match reply.body {
        Body::RequestVoteReply { granted, .. } => {
            assert_eq!(reply.to, NodeId(case.msg.frm), "the sender is answered");
            assert_eq!(reply.term.0, case.expect.term, "a reply carries the node's term");
            granted
        }
        ref other => panic!("a vote request is answered with {other:?}"),
    });
    match (case.expect.reply.as_str(), granted) {
        ("grant", Some(true)) | ("reject", Some(false)) => {}
        ("reject_or_none", None | Some(false)) => {}
        (wanted, got) => panic!("{wanted} expected, granted = {got:?} seen"),
    }
    assert_eq!(node.log(), before, "a vote request changes no log");
    check_role(&node, &case.expect.role, case.expect.term, case.expect.vote);
    Verdict::Passed
}

/// Checks role, term and vote in the node's status and on its disk.
fn check_role(node: &Node, role: &str, term: u64, vote: Option<u64>) {
    assert_eq!(role, "follower", "one request changes no role");
    let status = node.status();
    assert_eq!(status.role, RoleName::Follower);
    assert_eq!((status.term.0, status.vote), (term, vote.map(NodeId)));
    let durable = node.disk.hard_state();
    assert_eq!(
        (durable.term.0, durable.vote),
        (term, vote.map(NodeId)),
        "the disk has the same term and vote"
    );
}
