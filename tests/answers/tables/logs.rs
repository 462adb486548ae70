//! The leader's search for the last common entry with a follower's log.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

use quorate::log::Log;
use quorate::types::{
    AppendOutcome, Body, Entry, HardState, Index, Message, NodeId, Restored, SnapshotMeta, Term,
};

use crate::answers::cases::{CaseFile, Verdict, decoded};
use crate::harness::{
    Cluster, MessageKind, ONE, THREE, TWO, entries_after, entry_id, log, stored, terms, voters,
};

#[test]
fn log_find_conflict_by_term() {
    #[derive(Deserialize)]
    struct Case {
        base: (u64, u64),
        first_terms: Vec<u64>,
        index: u64,
        term: u64,
        expect: u64,
    }
    // etcd returns an index outside the log unchanged. Here the result is always an entry of the
    // log, because a hint is sent with its term.
    let outside = [
        "log_find_conflict_by_term-00",
        "log_find_conflict_by_term-19",
        "log_find_conflict_by_term-20",
    ];
    for file in CaseFile::versions("raft-paper/log_find_conflict_by_term.json", "cases") {
        file.run(&outside, |case| {
            let Case { base: (base, base_term), first_terms, index, term, expect } = decoded(case);
            let last = base + first_terms.len() as u64;
            if !(base..=last).contains(&index) {
                return Verdict::Skipped("a hint is always an entry of the log".into());
            }
            let base = entry_id(base_term, base);
            let snapshot = SnapshotMeta::empty(base, voters(3));
            let entries = entries_after(base, &first_terms);
            let restored = Restored::with_log(HardState::default(), base.index, snapshot, entries);
            let log = Log::new(&restored).expect("the case is a valid log");
            let found = log.find_conflict_by_term(Index(index), Term(term));
            // The result below all entries is the base, regardless of its term.
            assert_eq!(found.index.0, expect.max(base.index.0));
            assert_eq!(log.term_at(found.index), Some(found.term), "the result is an entry");
            Verdict::Passed
        });
    }
}

/// Returns the outcomes of the appends from `leader` to `follower`, in order: the `prev` of each
/// rejected one, and that of the accepted one.
fn probes(sent: &[Message], leader: NodeId, follower: NodeId) -> (Vec<u64>, Option<u64>) {
    let mut rejected = Vec::new();
    let mut probed = Vec::new();
    for message in sent {
        match &message.body {
            Body::AppendEntries { prev, .. }
                if (message.from, message.to) == (leader, follower) =>
            {
                probed.push(prev.index.0);
            }
            Body::AppendEntriesReply(outcome) if message.from == follower => match outcome {
                AppendOutcome::Rejected { prev, .. } => rejected.push(prev.0),
                AppendOutcome::Accepted { .. } => return (rejected, probed.last().copied()),
                AppendOutcome::NoSpace { .. } => panic!("the disk has space"),
                AppendOutcome::Stored { .. } => panic!("the node is certain"),
            },
            _ => {}
        }
    }
    (rejected, None)
}

/// Returns a leader and a follower with these logs, and a third node that only votes for the
/// leader.
fn leader_and_follower(
    leader: Vec<Entry>,
    committed: u64,
    follower: Vec<Entry>,
    term: u64,
) -> Cluster {
    let mut cluster = Cluster::stored([
        stored(voters(3), term, None, committed, leader),
        stored(voters(3), term - 1, None, 0, follower),
        stored(voters(3), 0, None, 0, Vec::new()),
    ]);
    cluster.cut(ONE, TWO);
    cluster.hold();
    cluster.campaign(ONE);
    cluster.deliver_kinds(&[MessageKind::RequestVote]);
    cluster.deliver_kinds(&[MessageKind::RequestVoteReply]);
    assert!(cluster.node(ONE).leads(), "the third node votes for it");
    cluster.isolate(THREE);
    cluster.uncut(ONE, TWO);
    cluster
}

#[test]
fn fast_log_backoff() {
    #[derive(Deserialize)]
    struct Case {
        leader_log: Vec<u64>,
        follower_log: Vec<u64>,
        follower_compacted_through: u64,
        match_point: u64,
    }
    for file in CaseFile::versions("raft-paper/fast_log_backoff.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            if case.follower_compacted_through > 0 {
                return Verdict::Skipped("the harness has no compacted logs".into());
            }
            assert_eq!(common_prefix(&case.leader_log, &case.follower_log), case.match_point);
            let rejected = find_match_point(&case.leader_log, &case.follower_log);
            // The hint of the second rejection leads to the match point.
            let third = rejected.get(2).copied().unwrap_or(0);
            assert!(third <= case.match_point + 1, "{rejected:?}");
            Verdict::Passed
        });
    }
}

/// Lets a leader find the last common entry with a follower, and checks the properties of every
/// correct search. Returns the `prev` of every rejected append.
fn find_match_point(ours: &[u64], theirs: &[u64]) -> Vec<u64> {
    let match_point = common_prefix(ours, theirs);
    let term = ours.iter().chain(theirs).max().copied().unwrap_or(0) + 1;
    let mut cluster = leader_and_follower(log(ours), 0, log(theirs), term);
    let mut rejections = 0;
    while cluster.deliver_next() {
        let (rejected, accepted) = probes(cluster.network.sent(), ONE, TWO);
        if accepted.is_none() && rejected.len() > rejections {
            rejections = rejected.len();
            assert_eq!(cluster.node(TWO).log(), log(theirs), "a rejection changes no log");
            assert!(rejections <= ours.len() + 1, "each rejection leads to an earlier index");
        }
    }
    let (rejected, accepted) = probes(cluster.network.sent(), ONE, TWO);
    let accepted = accepted.expect("the leader finds the match point");
    assert!(accepted <= match_point, "nothing beyond the common prefix is accepted");
    let conflict = |terms: &[u64]| {
        let mut terms = terms[match_point as usize..].to_vec();
        terms.dedup();
        terms.len()
    };
    let conflicts = conflict(ours).min(conflict(theirs));
    assert!(rejected.len() <= conflicts + 1, "{rejected:?} for {conflicts} terms");
    assert!(rejected.is_sorted_by(|a, b| a > b), "each probe is at an earlier index");
    cluster.release();
    assert_eq!(cluster.node(TWO).log(), cluster.node(ONE).log());
    rejected
}

/// Generates two logs that can occur together: after a common prefix, ours continues in even terms
/// and theirs in odd ones; ours may first go on in the last common term.
fn two_logs() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    let runs = || vec((1_u64..4, 1_usize..6), 0..6);
    (runs(), 0_usize..4, runs(), runs()).prop_map(|(shared, longer, ours, theirs)| {
        let mut base: Vec<u64> = Vec::new();
        extend(&mut base, &shared, 2);
        let mut own = base.clone();
        if let Some(last) = base.last() {
            own.extend(vec![*last; longer]);
        }
        extend(&mut own, &ours, 0);
        extend(&mut base, &theirs, 1);
        (own, base)
    })
}

/// Appends `runs` of equal terms, each given as half the increase of the term, and a length. With
/// `parity` 0 or 1, a term is one larger if its remainder modulo 2 would not be `parity`.
fn extend(log: &mut Vec<u64>, runs: &[(u64, usize)], parity: u64) {
    for (steps, length) in runs {
        let mut term = log.last().copied().unwrap_or(0) + 2 * steps;
        if parity < 2 && term % 2 != parity {
            term += 1;
        }
        log.extend(vec![term; *length]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_leader_finds_the_match_point_within_a_round_trip_per_term((ours, theirs) in two_logs()) {
        find_match_point(&ours, &theirs);
    }
}

fn common_prefix(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).take_while(|(x, y)| x == y).count() as u64
}

#[test]
fn leader_sync_follower_log() {
    #[derive(Deserialize)]
    struct Expect {
        follower_log_prefix: Vec<u64>,
    }
    #[derive(Deserialize)]
    struct Case {
        leader_log: Vec<u64>,
        leader_term: u64,
        follower_log: Vec<u64>,
        follower_term: u64,
        expect: Expect,
    }
    for file in CaseFile::versions("raft-paper/leader_sync_follower_log.json", "cases") {
        file.run(&[], |case| {
            let case: Case = decoded(case);
            assert_eq!(case.follower_term, case.leader_term - 1);
            let committed = case.leader_log.len() as u64;
            let (leader, follower) = (log(&case.leader_log), log(&case.follower_log));
            let mut cluster = leader_and_follower(leader, committed, follower, case.leader_term);
            cluster.release();
            cluster.propose(ONE, "data");
            cluster.heartbeat(ONE);
            let synced = cluster.node(TWO).log();
            assert_eq!(synced, cluster.node(ONE).log());
            let mut expected = case.expect.follower_log_prefix;
            // The new leader's own entry, then the proposed one.
            expected.extend([case.leader_term + 1; 2]);
            assert_eq!(terms(&synced), expected);
            Verdict::Passed
        });
    }
}
