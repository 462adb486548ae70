//! The claims of the paper about safety (§5.4).

use quorate::raft::{Action, Input, MessageRejectReason};
use quorate::types::{AppendOutcome, Body, Index, NodeId, Tag};

use super::{bodies, vote_reply};
use crate::harness::{
    Cluster, FIVE, FOUR, Node, ONE, THREE, TWO, entry_id, log, plain, stored, terms, voters,
};

/// §5.4.1: "If the logs have last entries with different terms, then the log with the later term
/// is more up-to-date. If the logs end with the same term, then whichever log is longer is more
/// up-to-date." A voter denies its vote if its own log is more up-to-date.
#[test]
fn a_vote_goes_only_to_a_log_that_is_at_least_as_up_to_date() {
    let own: &[u64] = &[1, 2, 2];
    let candidates = [
        (entry_id(0, 0), false),
        (entry_id(1, 100), false),
        (entry_id(2, 2), false),
        (entry_id(2, 3), true),
        (entry_id(2, 4), true),
        (entry_id(3, 1), true),
    ];
    for (last, granted) in candidates {
        let mut node = Node::start(plain(ONE), stored(voters(3), 4, None, 0, log(own)));
        let sent = node.receive(TWO, 5, Body::RequestVote { last, transfer: false });
        assert_eq!(bodies(sent), [vote_reply(granted)], "{last}");
        let behind = node.core().rejected_messages().count(MessageRejectReason::LogBehind);
        assert_eq!(behind, u64::from(!granted));
    }
}

/// §5.4.1: the vote compares logs, not commit indices: a voter need not know the commit index.
#[test]
fn an_uncommitted_entry_counts_as_much_as_a_committed_one_in_votes() {
    for committed in [0, 2] {
        let disk = stored(voters(3), 2, None, committed, log(&[1, 2]));
        let mut node = Node::start(plain(ONE), disk);
        let sent =
            node.receive(TWO, 3, Body::RequestVote { last: entry_id(1, 9), transfer: false });
        let committed = Index(committed);
        assert_eq!(bodies(sent), [Body::RequestVoteReply { granted: false, committed }]);
    }
}

/// §5.4.1: "a candidate must contact a majority of the cluster in order to be elected, which means
/// that every committed entry must be present in at least one of those servers."
#[test]
fn a_candidate_without_a_committed_entry_is_not_elected() {
    let mut cluster = Cluster::new(5);
    cluster.elect(ONE);
    cluster.isolate(FOUR);
    cluster.isolate(FIVE);
    cluster.propose(ONE, "kept");
    cluster.network.heal();
    cluster.crash(ONE);
    for id in [FOUR, FIVE] {
        cluster.campaign(id);
        assert_eq!(cluster.leaders(), [], "{id} lacks a committed entry");
    }
    cluster.elect(TWO);
    assert_eq!(cluster.node(TWO).applied_commands(), ["kept"]);
}

/// §5.4.3, leader completeness: every leader elected after an entry is committed has the entry. The
/// test lets each majority with the leader store the entry; then, in each majority, each member
/// campaigns.
#[test]
fn every_later_leader_has_every_committed_entry() {
    let all = [ONE, TWO, THREE, FOUR, FIVE];
    let majorities =
        || (0_u32..32).filter(|set| set.count_ones() == 3).map(|set| members(&all, set));
    let mut elected = 0;
    for storing in majorities().filter(|storing| storing.contains(&ONE)) {
        for voting in majorities() {
            for candidate in voting.clone() {
                let mut cluster = Cluster::new(5);
                cluster.elect(ONE);
                separate(&mut cluster, &storing);
                cluster.propose(ONE, "kept");
                assert_eq!(cluster.node(ONE).applied_commands(), ["kept"]);
                cluster.network.heal();
                separate(&mut cluster, &voting);
                cluster.campaign(candidate);
                if cluster.node(candidate).leads() {
                    elected += 1;
                    assert_eq!(terms(&cluster.node(candidate).log())[..2], [1, 1]);
                }
            }
        }
    }
    assert!(elected > 100, "some of them are elected: {elected}");
}

fn members(all: &[NodeId], set: u32) -> Vec<NodeId> {
    let chosen = |(at, _): &(usize, &NodeId)| set >> at & 1 == 1;
    all.iter().enumerate().filter(chosen).map(|(_, id)| *id).collect()
}

/// Cuts all links except those among `side`.
fn separate(cluster: &mut Cluster, side: &[NodeId]) {
    for id in cluster.ids() {
        if !side.contains(&id) {
            cluster.isolate(id);
        }
    }
}

/// §5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log
/// entries from the leader's current term are committed by counting replicas".
#[test]
fn an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    let accepted = |matched: u64| {
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(matched) })
    };
    let mut node = Node::start(plain(ONE), stored(voters(3), 1, None, 0, log(&[1, 1])));
    node.flushes_at_once = false;
    node.input(Input::Campaign);
    node.flush_one();
    node.deliver_message(TWO, 2, vote_reply(true));
    assert_eq!((node.leads(), node.last()), (true, entry_id(2, 3)));
    for peer in [TWO, THREE] {
        node.deliver_message(peer, 2, accepted(2));
    }
    assert_eq!(node.committed(), 0, "the old entries are on all nodes, which does not commit them");
    node.flush();
    assert_eq!(node.committed(), 0, "only one node has the entry of this term");
    node.deliver_message(TWO, 2, accepted(3));
    assert_eq!(node.committed(), 3, "a majority has it and all earlier entries");
}

/// §5.4.2: "once an entry from the current term has been committed in this way, then all prior
/// entries are committed indirectly because of the Log Matching Property."
#[test]
fn an_entry_of_the_current_term_commits_all_before_it() {
    let mut cluster = Cluster::stored([
        stored(voters(3), 4, None, 0, log(&[1, 2, 4])),
        stored(voters(3), 4, None, 0, log(&[1])),
        stored(voters(3), 4, None, 0, log(&[1, 3])),
    ]);
    cluster.elect(ONE);
    cluster.heartbeat(ONE);
    for (id, node) in cluster.nodes() {
        assert_eq!((node.committed(), terms(node.applied())), (4, vec![1, 2, 4, 5]), "{id}");
    }
}

/// §5.4.2: "log entries retain their original term numbers when a leader replicates entries from
/// previous terms."
#[test]
fn an_old_entry_keeps_its_term_under_a_new_leader() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.isolate(ONE);
    cluster.node_mut(ONE).propose(1, "old");
    cluster.settle();
    cluster.uncut(ONE, TWO);
    cluster.heartbeat(ONE);
    cluster.crash(ONE);
    cluster.network.heal();
    cluster.elect(TWO);
    assert_eq!(terms(&cluster.node(TWO).log()), [1, 1, 2]);
    assert_eq!(cluster.node(THREE).applied_commands(), ["old"]);
}

/// §5.4.3, state machine safety: a leader that was cut off cannot have committed the entries that
/// its successor overwrites; the outcome of their proposals is unknown.
#[test]
fn an_uncommitted_entry_of_a_deposed_leader_may_be_replaced() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.isolate(ONE);
    let lost = cluster.propose(ONE, "lost");
    cluster.elect(TWO);
    cluster.propose(TWO, "kept");
    cluster.network.heal();
    cluster.heartbeat(TWO);
    cluster.heartbeat(TWO);
    for (id, node) in cluster.nodes() {
        assert_eq!(node.applied_commands(), ["kept"], "{id}");
    }
    let outcomes = cluster.node_mut(ONE).take_outcomes();
    assert_eq!(outcomes, [Action::Unknown { tag: lost, id: entry_id(1, 2) }]);
}

/// §5.4.3: the outcome of this proposal is really unknown: another successor may commit it.
#[test]
fn an_uncommitted_entry_of_a_deposed_leader_may_be_kept() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.cut(ONE, THREE);
    cluster.hold();
    let open: Tag = cluster.propose(ONE, "open");
    cluster.deliver_where(|message| message.to == TWO);
    cluster.network.take(|_| true);
    cluster.isolate(ONE);
    cluster.release();
    cluster.elect(TWO);
    cluster.network.heal();
    cluster.heartbeat(TWO);
    for (id, node) in cluster.nodes() {
        assert_eq!(node.applied_commands(), ["open"], "{id}");
    }
    let outcomes = cluster.node_mut(ONE).take_outcomes();
    assert_eq!(outcomes, [Action::Unknown { tag: open, id: entry_id(1, 2) }]);
}
