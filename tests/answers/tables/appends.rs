//! The follower's handling of append requests and heartbeats.

use serde::Deserialize;

use quorate::raft::MessageRejectReason;
use quorate::types::{AppendOutcome, Body, EntryId, Heartbeat, Index, Message};

use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{Node, ONE, TWO, entries_after, entry_id, log, plain, stored, terms, voters};

/// Returns node 1 of 1, 2, 3 as a follower in `term`, with the given log.
fn follower(term: u64, committed: u64, terms: &[u64]) -> Node {
    Node::start(plain(ONE), stored(voters(3), term, None, committed, log(terms)))
}

fn append(prev: EntryId, terms: &[u64], committed: u64) -> Body {
    let entries = entries_after(prev, terms);
    Body::AppendEntries { prev, entries: entries.into(), committed: Index(committed) }
}

/// Returns the outcome in the only reply.
fn outcome(sent: &[Message]) -> AppendOutcome {
    match sent {
        [Message { body: Body::AppendEntriesReply(outcome), .. }] => *outcome,
        other => panic!("an append has one reply: {other:?}"),
    }
}

fn is_accepted(sent: &[Message]) -> bool {
    matches!(outcome(sent), AppendOutcome::Accepted { .. })
}

#[test]
fn handle_append() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request {
        #[serde(rename = "type")]
        _kind: String,
        frm: u64,
        term: u64,
        prev_term: u64,
        prev_index: u64,
        commit: u64,
        entries: Vec<u64>,
    }
    #[derive(Deserialize)]
    struct Expect {
        last_index: u64,
        commit: u64,
        reply: String,
    }
    #[derive(Deserialize)]
    struct Case {
        message: Request,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/handle_append.json", "cases") {
        file.run(&[], |case| {
            let Case { message, expect } = decoded(case);
            assert_eq!(message.frm, TWO.0);
            let mut node = follower(2, 0, &[1, 2]);
            let prev = entry_id(message.prev_term, message.prev_index);
            let body = append(prev, &message.entries, message.commit);
            let mut term = message.term;
            if message.prev_term > term {
                // A leader of this term has no entry of a later one: this request is dropped and
                // counted. The case is about the log, so a leader of that later term asks next.
                assert_eq!(node.receive(TWO, term, body.clone()), []);
                assert_eq!(
                    node.core().rejected_messages().count(MessageRejectReason::Malformed),
                    1
                );
                assert_eq!((node.last().index.0, node.committed()), (2, 0));
                term = message.prev_term;
            }
            let sent = node.receive(TWO, term, body);
            assert_eq!(is_accepted(&sent), expect.reply == "success");
            assert_eq!(node.last().index.0, expect.last_index);
            assert_eq!(node.committed(), expect.commit);
            Verdict::Passed
        });
    }
}

#[test]
fn handle_heartbeat() {
    #[derive(Deserialize)]
    struct Expect {
        commit: u64,
    }
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        commit: u64,
        heartbeat_commit: u64,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/handle_heartbeat.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            let term = *case.log.last().expect("the log has entries");
            let mut node = follower(term, case.commit, &case.log);
            // The leader of the case knows that the whole log is equal, because the follower said
            // so; here the follower tracks that itself.
            let sent = node.receive(TWO, term, append(node.last(), &[], 0));
            assert!(is_accepted(&sent));
            let committed = Index(case.heartbeat_commit);
            node.receive(TWO, term, Body::Heartbeat(Heartbeat::new(1, committed)));
            assert_eq!(node.committed(), case.expect.commit);
            Verdict::Passed
        });
    }
}

#[test]
fn log_append_overwrite() {
    #[derive(Deserialize)]
    struct Expect {
        log: Vec<u64>,
        last: u64,
        first_unstable: u64,
    }
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        first: u64,
        entries: Vec<u64>,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/log_append_overwrite.json", "cases") {
        file.run(&[], |case| {
            let Case { log, first, entries, expect } = decoded(case);
            let term = *log.iter().chain(&entries).max().expect("the log has entries") + 1;
            let mut node = follower(term, 0, &log);
            node.flushes_at_once = false;
            node.receive(TWO, term, append(id_before(&log, first), &entries, 0));
            assert_eq!(terms(&node.log()), expect.log);
            assert_eq!(node.last().index.0, expect.last);
            // Equal entries stay: only different entries are written, possibly none.
            let written = first_written(&node);
            let differs = first_difference(&log, &expect.log);
            assert_eq!(written, if log == expect.log { 0 } else { differs });
            assert!(expect.first_unstable <= differs, "etcd writes no less");
            Verdict::Passed
        });
    }
}

#[test]
fn log_find_conflict() {
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        first: u64,
        entries: Vec<u64>,
        expect: u64,
    }
    for file in CaseFile::versions("raft-paper/log_find_conflict.json", "cases") {
        file.run(&[], |case| {
            let Case { log, first, entries, expect } = decoded(case);
            let mut node = follower(4, 0, &log);
            node.flushes_at_once = false;
            node.receive(TWO, 4, append(id_before(&log, first), &entries, 0));
            assert_eq!(first_written(&node), expect);
            Verdict::Passed
        });
    }
}

/// Returns the id of the entry before `first` in a log of these terms.
fn id_before(terms: &[u64], first: u64) -> EntryId {
    let index = first - 1;
    entry_id(if index == 0 { 0 } else { terms[index as usize - 1] }, index)
}

/// Returns the first index that is not written yet, or 0 if there is none.
fn first_written(node: &Node) -> u64 {
    let entries = node.disk.waiting().flat_map(|write| &write.entries);
    entries.map(|entry| entry.id.index.0).min().unwrap_or(0)
}

/// Returns the first index at which two logs differ.
fn first_difference(a: &[u64], b: &[u64]) -> u64 {
    1 + a.iter().zip(b).take_while(|(x, y)| x == y).count() as u64
}

#[test]
fn log_maybe_append() {
    #[derive(Deserialize)]
    struct Expect {
        accepted: Option<bool>,
        #[serde(default)]
        error: bool,
        commit: Option<u64>,
        last_new: Option<u64>,
        log: Option<Vec<u64>>,
    }
    #[derive(Deserialize)]
    struct Case {
        log: Vec<u64>,
        commit: u64,
        prev_index: u64,
        prev_term: u64,
        leader_commit: u64,
        entries: Vec<u64>,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/log_maybe_append.json", "cases") {
        file.run(&[], |case| {
            let Case { log, commit, prev_index, prev_term, leader_commit, entries, expect } =
                decoded(case);
            let mut node = follower(4, commit, &log);
            let prev = entry_id(prev_term, prev_index);
            let sent = node.receive(TWO, 4, append(prev, &entries, leader_commit));
            if expect.error {
                assert_eq!(sent, [], "an append that contradicts a committed entry gets no reply");
                assert_eq!(
                    node.core()
                        .rejected_messages()
                        .count(MessageRejectReason::ConflictsWithCommitted),
                    1
                );
                assert_eq!((terms(&node.log()), node.committed()), (log, commit));
                return Verdict::Passed;
            }
            let accepted = expect.accepted.expect("a case without error is accepted or not");
            match outcome(&sent) {
                AppendOutcome::Accepted { matched } => {
                    assert!(accepted);
                    assert_eq!(Some(matched.0), expect.last_new);
                }
                AppendOutcome::Rejected { prev, .. } => {
                    assert!(!accepted);
                    assert_eq!(prev.0, prev_index);
                }
                AppendOutcome::NoSpace { .. } => panic!("the disk has space"),
                AppendOutcome::Stored { .. } => panic!("the node is certain"),
            }
            assert_eq!(Some(node.committed()), expect.commit);
            assert_eq!(Some(terms(&node.log())), expect.log);
            Verdict::Passed
        });
    }
}
