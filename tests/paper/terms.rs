//! Terms as a logical clock (§5.1).

use quorate::raft::{Input, MessageRejectReason, RoleName};
use quorate::types::{
    AppendOutcome, Body, EntryId, HardState, Index, Readiness, Restored, SnapshotMeta, Term,
};

use super::{append, bodies, heartbeat, vote_reply};
use crate::harness::{Cluster, Node, ONE, THREE, TWO, entry_id, log, plain, stored, voters};

/// Returns a node of three that has the given role in term 2.
fn in_role(role: RoleName) -> Node {
    let restored = stored(voters(3), 1, None, 0, log(&[1]));
    let mut node = Node::start(plain(ONE), restored);
    match role {
        RoleName::Follower => node.deliver_message(TWO, 2, heartbeat()),
        RoleName::PreCandidate => panic!("the paper has no pre-candidates"),
        RoleName::Candidate => node.input(Input::Campaign),
        RoleName::Leader => {
            node.input(Input::Campaign);
            node.deliver_message(TWO, 2, vote_reply(true));
        }
    }
    node.take_sent();
    assert_eq!((node.role(), node.term()), (role, 2));
    node
}

const ROLES: [RoleName; 3] = [RoleName::Follower, RoleName::Candidate, RoleName::Leader];

/// Requests and replies of another node, for any term. The replies acknowledge index 2, the entry
/// with which the leader under test began its term, so that a leader that ignores their term would
/// count them.
fn any_message() -> [Body; 8] {
    [
        Body::RequestVote { last: entry_id(1, 1), transfer: false },
        vote_reply(true),
        append(entry_id(1, 1), &[], 0),
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(2) }),
        heartbeat(),
        Body::HeartbeatReply {
            round: 1,
            verified: Index(2),
            matched: Index(2),
            durable: Index(2),
            ready: Readiness::default(),
        },
        Body::InstallSnapshot { meta: SnapshotMeta::empty(entry_id(1, 1), voters(3)) },
        Body::InstallSnapshotReply { matched: Index(2) },
    ]
}

/// §5.1: "If one server's current term is smaller than the other's, then it updates its current
/// term to the larger value." "If a candidate or leader discovers that its term is out of date, it
/// immediately reverts to follower state."
#[test]
fn a_later_term_is_adopted_and_makes_every_role_a_follower() {
    for role in ROLES {
        for body in any_message() {
            let mut node = in_role(role);
            node.receive(THREE, 7, body.clone());
            let status = node.status();
            assert_eq!((status.role, status.term.0), (RoleName::Follower, 7), "{role}: {body:?}");
            assert_eq!(node.disk.hard_state().term, Term(7), "the term is durable");
        }
    }
}

/// §5.1: "If a server receives a request with a stale term number, it rejects the request."
#[test]
fn a_request_with_a_stale_term_is_rejected_with_the_current_one() {
    for role in ROLES {
        for request in [
            Body::RequestVote { last: entry_id(1, 1), transfer: false },
            append(EntryId::ZERO, &[1], 1),
        ] {
            let mut node = in_role(role);
            let before = (node.status(), node.log());
            let sent = node.receive(THREE, 1, request);
            assert!(sent.iter().all(|reply| reply.term == Term(2)), "the sender learns the term");
            let rejected = match bodies(sent).as_slice() {
                [Body::RequestVoteReply { granted, .. }] => !granted,
                [Body::AppendEntriesReply(AppendOutcome::Rejected { .. })] => true,
                other => panic!("{other:?}"),
            };
            assert!(rejected, "{role}");
            assert_eq!((node.status(), node.log()), before, "nothing changes");
            assert_eq!(node.core().rejected_messages().count(MessageRejectReason::StaleTerm), 1);
        }
    }
}

/// §5.1: "Each server stores a current term number, which increases monotonically over time."
#[test]
fn a_message_of_an_earlier_term_changes_nothing() {
    for role in ROLES {
        for body in any_message() {
            let mut node = in_role(role);
            let before = (node.status(), node.log(), node.core().peers());
            node.receive(TWO, 1, body.clone());
            let after = (node.status(), node.log(), node.core().peers());
            assert_eq!(after, before, "{role}: {body:?}");
        }
    }
}

/// §5.1, figure 2: the current term and the vote are "updated on stable storage before responding
/// to RPCs".
#[test]
fn a_term_is_durable_before_any_message_reveals_it() {
    let mut node = Node::start(plain(ONE), Restored::fresh(voters(3)));
    node.flushes_at_once = false;
    let requests = [
        Body::RequestVote { last: entry_id(1, 1), transfer: false },
        append(EntryId::ZERO, &[], 0),
    ];
    for (term, request) in (3..).zip(requests) {
        assert_eq!(node.receive(TWO, term, request), [], "no reply leaves before the write");
        assert!(node.disk.hard_state().term < Term(term));
        node.flush();
        assert_eq!(node.disk.hard_state().term, Term(term));
        let sent = node.take_sent();
        assert!(sent.iter().all(|reply| reply.term == Term(term)));
        assert_eq!(sent.len(), 1, "the reply leaves after the write");
    }
}

/// Figure 2: the current term, the vote and the log are "persistent state on all servers".
#[test]
fn term_vote_and_log_survive_a_crash() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.propose(ONE, "data");
    for id in cluster.ids() {
        let before = (cluster.node(id).status(), cluster.node(id).log());
        cluster.crash(id);
        cluster.restart(id);
        let after = (cluster.node(id).status(), cluster.node(id).log());
        assert_eq!((after.0.term, after.0.vote), (before.0.term, before.0.vote));
        assert_eq!((after.0.last, after.1), (before.0.last, before.1));
        let kept = HardState::new(Term(1), Some(ONE));
        assert_eq!(cluster.node(id).disk.hard_state(), kept);
    }
}

/// §5.2: a node that restarts begins as a follower, and knows no leader.
#[test]
fn a_restart_begins_as_a_follower() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.crash(ONE);
    cluster.restart(ONE);
    let status = cluster.node(ONE).status();
    assert_eq!((status.role, status.leader), (RoleName::Follower, None));
}
