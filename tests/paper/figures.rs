//! Figures 7 and 8. Figure 7 with its exact numbers is a case in `tests/answers`.

use quorate::types::NodeId;

use crate::harness::{
    Cluster, FIVE, FOUR, MessageKind, ONE, THREE, TWO, log, stored, terms, voters,
};

/// Figure 7: "When the leader at the top comes to power, it is possible that any of scenarios (a–f)
/// could occur in follower logs." The leader makes each log equal to its own, without special
/// actions.
#[test]
fn figure_7_the_leader_makes_every_log_equal() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [(&str, &[u64]); 6] = [
        ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ("b", &[1, 1, 1, 4]),
        ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ("e", &[1, 1, 1, 4, 4, 4, 4]),
        ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ];
    let logs = core::iter::once(leader).chain(followers.map(|(_, terms)| terms));
    let mut cluster = Cluster::stored(logs.map(|terms| stored(voters(7), 7, None, 0, log(terms))));
    cluster.elect(ONE);
    cluster.heartbeat(ONE);
    let expected = cluster.node(ONE).log();
    assert_eq!(terms(&expected), [leader, &[8]].concat());
    for ((name, _), id) in followers.iter().zip((2..).map(NodeId)) {
        assert_eq!(cluster.node(id).log(), expected, "{name}");
        assert_eq!(cluster.node(id).applied(), expected, "{name}");
    }
}

/// Figure 8 (a) and (b): S1 leads term 2 and replicates its entry to S2 alone; S1 crashes, and S5
/// is elected in term 3 by S3, S4 and itself, and takes an entry of its own.
///
/// Here each entry is the empty entry that begins a leader's term.
fn up_to_b() -> Cluster {
    let disk = || stored(voters(5), 1, None, 1, log(&[1]));
    let mut cluster = Cluster::stored([disk(), disk(), disk(), disk(), disk()]);
    // (a) All votes arrive, but only S2 gets the entry.
    cluster.hold();
    cluster.campaign(ONE);
    vote(&mut cluster);
    cluster.deliver_where(|message| message.to == TWO);
    cluster.network.take(|_| true);
    expect_logs(&cluster, [&[1, 2], &[1, 2], &[1], &[1], &[1]]);
    // (b) S5 gets its votes, but none of its entries arrives.
    cluster.crash(ONE);
    cluster.campaign(FIVE);
    vote(&mut cluster);
    cluster.network.take(|_| true);
    expect_logs(&cluster, [&[1, 2], &[1, 2], &[1], &[1], &[1, 3]]);
    cluster
}

/// Figure 8 (c): S5 crashes; S1 restarts, is elected in term 4, and replicates its entry of term 2
/// to S3, so that it is on a majority.
fn up_to_c() -> Cluster {
    let mut cluster = up_to_b();
    cluster.crash(FIVE);
    cluster.restart(ONE);
    while !cluster.node(ONE).leads() {
        cluster.campaign(ONE);
        vote(&mut cluster);
    }
    cluster.network.take(|_| true);
    assert_eq!(cluster.node(ONE).term(), 4);
    // The entry of term 2 reaches S3, and S1 learns that S2 has it, too; its own entry of term 4
    // does not arrive. The real leader sends both at once, so the test forges the earlier request.
    let [first, second] = [0, 1].map(|at| cluster.node(ONE).log()[at].clone());
    cluster.give(ONE, TWO, second.id, Vec::new());
    cluster.give(ONE, THREE, first.id, vec![second]);
    cluster.deliver_kinds(&[MessageKind::AppendEntriesReply]);
    cluster.network.take(|_| true);
    expect_logs(&cluster, [&[1, 2, 4], &[1, 2], &[1, 2], &[1], &[1, 3]]);
    let matched: Vec<u64> =
        cluster.node(ONE).core().peers().iter().map(|peer| peer.matched.0).collect();
    assert_eq!(matched, [2, 2, 0, 0], "S1 knows that a majority has the entry of term 2");
    cluster
}

/// Delivers only vote requests and replies.
fn vote(cluster: &mut Cluster) {
    cluster.deliver_kinds(&[MessageKind::RequestVote]);
    cluster.deliver_kinds(&[MessageKind::RequestVoteReply]);
}

fn expect_logs(cluster: &Cluster, expected: [&[u64]; 5]) {
    for (id, expected) in (1..).map(NodeId).zip(expected) {
        assert_eq!(terms(&cluster.node(id).log()), expected, "{id}");
    }
}

/// Figure 8 (c): "the log entry from term 2 has been replicated on a majority of the servers, but
/// it is not committed."
#[test]
fn figure_8_c_an_old_entry_on_a_majority_is_not_committed() {
    let cluster = up_to_c();
    assert_eq!(cluster.node(ONE).committed(), 1, "only the initially committed entry");
    assert!(cluster.nodes().all(|(_, node)| !node.is_up() || node.committed() == 1));
}

/// Figure 8 (d): "If S1 crashes as in (d), S5 could be elected leader (with votes from S2, S3, and
/// S4) and overwrite the entry with its own entry from term 3."
#[test]
fn figure_8_d_another_leader_may_overwrite_the_old_entry() {
    let mut cluster = up_to_c();
    cluster.crash(ONE);
    cluster.restart(FIVE);
    cluster.network.take(|_| true);
    cluster.release();
    while !cluster.node(FIVE).leads() {
        cluster.campaign(FIVE);
    }
    assert_eq!(cluster.node(FIVE).term(), 5);
    cluster.restart(ONE);
    cluster.heartbeat(FIVE);
    cluster.heartbeat(FIVE);
    expect_logs(&cluster, [&[1, 3, 5]; 5]);
    assert!(cluster.nodes().all(|(_, node)| node.committed() == 3));
}

/// Figure 8 (e): "if S1 replicates an entry from its current term on a majority of the servers
/// before crashing, as in (e), then this entry is committed (S5 cannot win an election). At this
/// point all preceding entries in the log are committed as well."
#[test]
fn figure_8_e_an_entry_of_the_current_term_commits_the_old_entry() {
    let mut cluster = up_to_c();
    cluster.release();
    cluster.isolate(FOUR);
    cluster.heartbeat(ONE);
    cluster.heartbeat(ONE);
    assert_eq!(cluster.node(ONE).committed(), 3);
    cluster.crash(ONE);
    cluster.network.heal();
    cluster.restart(FIVE);
    for _ in 0..5 {
        cluster.campaign(FIVE);
        assert_eq!(cluster.leaders(), [], "S5 cannot win an election");
    }
    cluster.elect(TWO);
    cluster.restart(ONE);
    cluster.heartbeat(TWO);
    cluster.heartbeat(TWO);
    assert!(cluster.nodes().all(|(_, node)| terms(node.applied())[..3] == [1, 2, 4]));
}
