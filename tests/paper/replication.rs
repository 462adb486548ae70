//! Log replication (§5.3).

use quorate::raft::{Action, MessageRejectReason, RoleName};
use quorate::types::{AppendOutcome, Body, EntryId, Heartbeat, Index, Message, NodeId, Restored};

use super::{append, bodies};
use crate::harness::{
    Cluster, FIVE, FOUR, MessageKind, Node, ONE, THREE, TWO, entries_after, entry_id, log, plain,
    stored, terms, voters,
};

/// A follower of three nodes with this log, in this term.
fn follower(term: u64, terms: &[u64]) -> Node {
    Node::start(plain(ONE), stored(voters(3), term, None, 0, log(terms)))
}

fn accepted(matched: u64) -> Body {
    Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(matched) })
}

fn is_rejection(sent: &[Message]) -> bool {
    let rejected = |message: &Message| {
        matches!(message.body, Body::AppendEntriesReply(AppendOutcome::Rejected { .. }))
    };
    sent.len() == 1 && rejected(&sent[0])
}

/// §5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs
/// in parallel to each of the other servers to replicate the entry."
#[test]
fn a_leader_appends_a_command_and_sends_it_to_all_in_parallel() {
    let mut cluster = Cluster::new(5);
    cluster.elect(ONE);
    cluster.hold();
    cluster.propose(ONE, "data");
    let entry = cluster.node(ONE).log()[1].clone();
    assert_eq!(entry.id, entry_id(1, 2));
    let expected =
        Body::AppendEntries { prev: entry_id(1, 1), entries: [entry].into(), committed: Index(1) };
    let receivers: Vec<NodeId> = cluster
        .network
        .waiting()
        .filter(|message| message.body == expected)
        .map(|message| message.to)
        .collect();
    assert_eq!(receivers, [TWO, THREE, FOUR, FIVE]);
}

/// §5.3: an entry is committed "once the leader that created the entry has replicated it on a
/// majority of the servers".
#[test]
fn an_entry_is_committed_once_a_majority_has_it_and_not_before() {
    for voter_count in 1..=7 {
        let mut cluster = Cluster::new(voter_count);
        cluster.elect(ONE);
        cluster.hold();
        let tag = cluster.propose(ONE, "data");
        cluster.deliver_kinds(&[MessageKind::AppendEntries]);
        for follower in 2..=voter_count {
            let holders = follower - 1;
            let committed = cluster.node(ONE).committed() == 2;
            assert_eq!(committed, holders > voter_count / 2, "{holders} of {voter_count}");
            let from = NodeId(follower);
            cluster.deliver_where(|message| {
                message.from == from && message.body.kind() == MessageKind::AppendEntriesReply
            });
        }
        let outcomes = cluster.node_mut(ONE).take_outcomes();
        assert_eq!(outcomes, [Action::Committed { tag, id: entry_id(1, 2) }]);
    }
}

/// §5.3, figure 2: the follower's "log" is persistent, so acknowledged entries must be durable.
#[test]
fn entries_are_durable_before_they_are_acknowledged() {
    let mut node = follower(1, &[]);
    node.flushes_at_once = false;
    assert_eq!(node.receive(TWO, 1, append(EntryId::ZERO, &[1, 1], 0)), []);
    assert_eq!(node.disk.entries(), []);
    node.flush();
    assert_eq!(terms(node.disk.entries()), [1, 1]);
    assert_eq!(bodies(node.take_sent()), [accepted(2)]);
}

/// §5.3: the leader is one of the majority only once its own disk has the entry; a majority of
/// others commits without it (thesis §10.2.1).
#[test]
fn a_leader_counts_itself_only_once_the_entry_is_durable() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.node_mut(ONE).flushes_at_once = false;
    cluster.isolate(THREE);
    cluster.propose(ONE, "data");
    assert_eq!(cluster.node(TWO).log().len(), 2, "the entry is sent while the leader writes it");
    assert_eq!(cluster.node(ONE).committed(), 1, "node 2 has it, the leader's disk does not");
    cluster.network.heal();
    cluster.heartbeat(ONE);
    assert_eq!(cluster.node(ONE).committed(), 2, "nodes 2 and 3 are a majority");
    assert_eq!(cluster.node(ONE).applied_commands(), ["data"], "its own disk is not needed");
    assert_eq!(cluster.node(ONE).status().durable, Index(1));
}

/// §5.3: "Once a follower learns that a log entry is committed, it applies the entry to its local
/// state machine (in log order)."
#[test]
fn followers_apply_committed_entries_in_log_order() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    for text in ["a", "b", "c"] {
        cluster.propose(ONE, text);
    }
    cluster.heartbeat(ONE);
    for (id, node) in cluster.nodes() {
        assert_eq!(node.applied_commands(), ["a", "b", "c"], "{id}");
    }
}

/// §5.3: the leader "includes that index in future AppendEntries RPCs (including heartbeats) so
/// that the other servers eventually find out."
#[test]
fn followers_learn_the_commit_index_from_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    cluster.propose(ONE, "data");
    cluster.deliver_kinds(&[MessageKind::AppendEntries]);
    cluster.deliver_kinds(&[MessageKind::AppendEntriesReply]);
    assert_eq!(cluster.node(ONE).committed(), 2);
    assert_eq!(cluster.node(TWO).committed(), 1);
    cluster.network.take(|_| true);
    cluster.heartbeat(ONE);
    cluster.deliver_kinds(&[MessageKind::Heartbeat]);
    assert_eq!(cluster.node(TWO).committed(), 2);
}

/// Figure 2, receiver 5: the commit index is "min(leaderCommit, index of last new entry)": later
/// entries may be another leader's.
#[test]
fn a_follower_commits_no_further_than_its_log_is_known_to_agree() {
    let mut node = follower(3, &[1, 1, 2, 2]);
    node.receive(TWO, 3, append(entry_id(1, 1), &[], 4));
    assert_eq!(node.committed(), 1, "the rest of the log is not verified");
    node.receive(TWO, 3, append(entry_id(1, 1), &[1], 4));
    assert_eq!(node.committed(), 2);
    node.receive(TWO, 3, Body::Heartbeat(Heartbeat::new(1, Index(4))));
    assert_eq!(node.committed(), 2, "a heartbeat verifies no entry");
    node.receive(TWO, 3, append(entry_id(1, 2), &[3], 4));
    assert_eq!(node.committed(), 3);
}

/// §5.3: "If followers crash or run slowly, or if network packets are lost, the leader retries
/// AppendEntries RPCs indefinitely [...] until all followers eventually store all log entries."
#[test]
fn a_leader_retries_until_every_follower_has_every_entry() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.isolate(TWO);
    cluster.crash(THREE);
    for text in ["a", "b", "c"] {
        cluster.propose(ONE, text);
        cluster.heartbeat(ONE);
    }
    assert_eq!(cluster.node(ONE).committed(), 1);
    cluster.network.heal();
    cluster.restart(THREE);
    for _ in 0..3 {
        cluster.heartbeat(ONE);
    }
    for (id, node) in cluster.nodes() {
        assert_eq!(node.log(), cluster.node(ONE).log(), "{id}");
        assert_eq!(node.applied_commands(), ["a", "b", "c"], "{id}");
    }
}

/// §5.3: "When sending an AppendEntries RPC, the leader includes the index and term of the entry
/// in its log that immediately precedes the new entries. If the follower does not find an entry in
/// its log with the same index and term, then it refuses the new entries."
#[test]
fn a_follower_without_the_preceding_entry_rejects() {
    let logs: [&[u64]; 4] = [&[], &[1], &[1, 1], &[1, 1, 3]];
    for own in logs {
        let mut node = follower(3, own);
        let sent = node.receive(TWO, 3, append(entry_id(2, 3), &[3, 3], 5));
        assert!(is_rejection(&sent), "{own:?}");
        assert_eq!(terms(&node.log()), own, "nothing changes");
        assert_eq!(node.committed(), 0);
        assert_eq!(node.core().rejected_messages().count(MessageRejectReason::PrevMismatch), 1);
    }
}

/// Figure 2, receiver 3: "If an existing entry conflicts with a new one (same index but different
/// terms), delete the existing entry and all that follow it".
#[test]
fn a_conflicting_entry_is_deleted_with_all_that_follow_it() {
    let mut node = follower(3, &[1, 1, 2, 2, 2]);
    let sent = node.receive(TWO, 3, append(entry_id(1, 1), &[1, 3], 0));
    assert_eq!(bodies(sent), [accepted(3)]);
    assert_eq!(terms(&node.log()), [1, 1, 3]);
}

/// Figure 2, receiver 3 and 4: only a conflict deletes, and only "entries not already in the log"
/// are appended; a request overtaken by a later one removes nothing.
#[test]
fn an_old_request_does_not_shorten_the_log() {
    let mut node = follower(1, &[]);
    node.receive(TWO, 1, append(EntryId::ZERO, &[1, 1, 1], 0));
    node.flushes_at_once = false;
    let sent = node.receive(TWO, 1, append(EntryId::ZERO, &[1], 0));
    assert_eq!(bodies(sent), [accepted(1)], "an append only verifies the entries that it carries");
    assert_eq!(terms(&node.log()), [1, 1, 1]);
    assert!(node.disk.waiting().next().is_none(), "no write is submitted");
}

/// §5.5: "Raft RPCs are idempotent": a request received twice does no harm.
#[test]
fn a_request_received_twice_does_no_harm() {
    let mut node = follower(2, &[1]);
    let request = append(entry_id(1, 1), &[2, 2], 2);
    let first = node.receive(TWO, 2, request.clone());
    let before = (node.status(), node.log());
    assert_eq!(node.receive(TWO, 2, request), first);
    assert_eq!((node.status(), node.log()), before);
}

/// §5.3: requests may be reordered; the consistency check rejects the later one until the earlier
/// one has arrived.
#[test]
fn a_request_that_overtakes_another_has_no_effect() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    cluster.propose(ONE, "a");
    cluster.propose(ONE, "b");
    let mut to_two = cluster
        .network
        .take(|message| message.to == TWO && message.body.kind() == MessageKind::AppendEntries);
    assert_eq!(to_two.len(), 2, "the leader pipelines");
    let second = to_two.pop().expect("there are two");
    let before = cluster.node(TWO).log();
    let node = cluster.node_mut(TWO);
    let sent = node.receive(second.from, second.term.0, second.body);
    assert!(is_rejection(&sent));
    assert_eq!(node.log(), before);
    cluster.release();
    cluster.heartbeat(ONE);
    cluster.heartbeat(ONE);
    for (id, node) in cluster.nodes() {
        assert_eq!(node.applied_commands(), ["a", "b"], "{id}");
    }
}

/// §5.3, figure 3, leader append-only: "a leader never overwrites or deletes entries in its log;
/// it only appends new entries."
#[test]
fn a_leader_never_overwrites_its_own_log() {
    let mut cluster = Cluster::stored([
        stored(voters(3), 3, None, 0, log(&[1, 3])),
        stored(voters(3), 3, None, 0, log(&[1, 2, 2, 2])),
        stored(voters(3), 3, None, 0, log(&[1])),
    ]);
    cluster.elect(ONE);
    cluster.heartbeat(ONE);
    assert_eq!(terms(&cluster.node(ONE).log()), [1, 3, 4]);
    // A node that claims to lead the same term is rejected, with any entries.
    let forged = append(entry_id(1, 1), &[4, 4], 3);
    let sent = cluster.node_mut(ONE).receive(TWO, 4, forged);
    assert_eq!(sent, []);
    assert_eq!(terms(&cluster.node(ONE).log()), [1, 3, 4]);
    assert_eq!(
        cluster.node(ONE).core().rejected_messages().count(MessageRejectReason::SecondLeader),
        1
    );
}

/// §5.3, log matching: "If two entries in different logs have the same index and term, then the
/// logs are identical in all preceding entries." The harness checks it after every exchange; this
/// test tries every pair of six logs.
#[test]
fn logs_match_up_to_the_last_common_entry() {
    let logs: [&[u64]; 6] =
        [&[], &[1, 1, 1], &[1, 1, 2, 2], &[1, 1, 2, 3, 3], &[1, 4, 4], &[1, 1, 1, 5]];
    for ours in logs {
        for theirs in logs {
            let mut cluster = Cluster::stored([
                stored(voters(3), 5, None, 0, log(ours)),
                stored(voters(3), 5, None, 0, log(theirs)),
                stored(voters(3), 5, None, 0, Vec::new()),
            ]);
            cluster.elect_up_to_date(&[ONE, TWO]);
            let leader = cluster.leaders()[0];
            cluster.propose(leader, "data");
            cluster.heartbeat(leader);
            cluster.heartbeat(leader);
            for (id, node) in cluster.nodes() {
                assert_eq!(node.log(), cluster.node(leader).log(), "{id}: {ours:?} {theirs:?}");
                assert_eq!(node.applied(), cluster.node(leader).applied(), "{id}");
            }
        }
    }
}

/// §5.3: "the leader must find the latest log entry where the two logs agree": each rejection moves
/// it back at least one entry, and past a whole term.
#[test]
fn a_leader_goes_back_a_term_at_a_time_until_the_logs_agree() {
    // The follower has ten entries of each of ten terms, and the leader has none of them.
    let ours: Vec<u64> = [vec![1], vec![20; 200]].concat();
    let theirs: Vec<u64> = [vec![1], (2..12).flat_map(|term| [term; 10]).collect()].concat();
    let mut cluster = Cluster::stored([
        stored(voters(3), 20, None, 0, log(&ours)),
        stored(voters(3), 20, None, 0, log(&theirs)),
        stored(voters(3), 20, None, 0, Vec::new()),
    ]);
    cluster.cut(ONE, THREE);
    cluster.elect(ONE);
    assert_eq!(cluster.node(TWO).log(), cluster.node(ONE).log());
    let rejections = cluster.network.sent().iter().filter(|message| {
        matches!(message.body, Body::AppendEntriesReply(AppendOutcome::Rejected { .. }))
    });
    assert!(rejections.count() <= 11, "one round trip for each term at most");
}

/// §5.3: "a leader does not need to take any special actions to restore log consistency when it
/// comes to power."
#[test]
fn a_new_leader_makes_every_log_equal() {
    let logs: [&[u64]; 5] =
        [&[1, 1, 4], &[1, 1], &[1, 1, 2, 2, 2, 2], &[], &[1, 1, 3, 3, 3, 3, 3, 3]];
    let mut cluster = Cluster::stored(logs.map(|terms| stored(voters(5), 4, None, 0, log(terms))));
    cluster.elect(ONE);
    cluster.heartbeat(ONE);
    let expected = cluster.node(ONE).log();
    assert_eq!(terms(&expected), [1, 1, 4, 5]);
    assert!(cluster.nodes().all(|(_, node)| node.log() == expected));
}

/// §5.3: "a single slow follower will not impact performance."
#[test]
fn one_slow_follower_delays_no_commit() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.node_mut(THREE).flushes_at_once = false;
    for _ in 0..100 {
        cluster.propose(ONE, "data");
    }
    assert_eq!(cluster.node(ONE).committed(), 101);
    assert_eq!(cluster.node(TWO).applied().len(), 101);
    assert_eq!(cluster.node(THREE).role(), RoleName::Follower);
}

/// §5.5: "If a server crashes after completing an RPC but before responding, then it will receive
/// the same RPC again after it restarts."
#[test]
fn a_crashed_follower_catches_up_after_its_restart() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    cluster.propose(ONE, "data");
    cluster.deliver_kinds(&[MessageKind::AppendEntries]);
    // It has written the entry, and its reply is lost in the crash.
    cluster.network.take(|_| true);
    cluster.crash(TWO);
    cluster.release();
    cluster.restart(TWO);
    cluster.heartbeat(ONE);
    cluster.heartbeat(ONE);
    assert_eq!(cluster.node(TWO).applied_commands(), ["data"]);
    assert_eq!(cluster.node(TWO).log().len(), 2, "the log has the entry once");
}

/// Figure 2: a follower stores no entry with a term or an index that its leader did not send.
#[test]
fn a_follower_stores_exactly_what_the_leader_sent() {
    let mut node = Node::start(plain(ONE), Restored::fresh(voters(3)));
    let entries = entries_after(EntryId::ZERO, &[1, 1, 2, 5]);
    let body = Body::AppendEntries {
        prev: EntryId::ZERO,
        entries: entries.clone().into(),
        committed: Index(3),
    };
    node.receive(TWO, 5, body);
    assert_eq!(node.log(), entries);
    assert_eq!(node.applied(), &entries[..3]);
}
