//! Leader election (§5.2).

use core::time::Duration;
use std::collections::BTreeSet;

use quorate::raft::{Input, MessageRejectReason, RoleName};
use quorate::types::{Body, EntryId, NodeId, Restored, Term};

use super::{append, bodies, heartbeat, vote_reply};
use crate::harness::{
    Cluster, FIVE, FOUR, MessageKind, Node, ONE, THREE, TICK, TWO, entry_id, log, plain, stored,
    voters,
};

/// A node that has never run, in a cluster of `voter_count` voters.
fn fresh(voter_count: u64) -> Node {
    Node::start(plain(ONE), Restored::fresh(voters(voter_count)))
}

/// §5.2: "When servers start up, they begin as followers."
#[test]
fn a_node_starts_as_a_follower() {
    assert_eq!(fresh(3).role(), RoleName::Follower);
    let used = Node::start(plain(ONE), stored(voters(3), 4, Some(ONE), 2, log(&[1, 4])));
    assert_eq!(used.role(), RoleName::Follower);
}

/// §5.2: "A server remains in follower state as long as it receives valid RPCs from a leader or
/// candidate."
#[test]
fn a_follower_with_leader_contact_stays_a_follower() {
    let mut node = fresh(3);
    let just_short = node.config().election_timeout_min - TICK;
    for request in [heartbeat(), append(EntryId::ZERO, &[], 0)].into_iter().cycle().take(20) {
        node.deliver_message(TWO, 1, request);
        node.advance(just_short);
        assert_eq!(node.role(), RoleName::Follower);
    }
    node.advance(node.config().election_timeout_max);
    assert_eq!(node.role(), RoleName::Candidate, "the election timeout has passed");
}

/// Figure 2, rules for followers: the election timeout restarts after "granting vote to candidate".
/// A rejected candidate does not keep a node from campaigning itself.
#[test]
fn a_granted_vote_restarts_the_election_timeout_and_a_rejected_one_does_not() {
    for (last, granted) in [(entry_id(1, 1), true), (EntryId::ZERO, false)] {
        let mut node = Node::start(plain(ONE), stored(voters(3), 1, None, 0, log(&[1])));
        let deadline = node.deadline();
        node.advance(TICK);
        let sent = node.receive(TWO, 2, Body::RequestVote { last, transfer: false });
        assert_eq!(bodies(sent), [vote_reply(granted)]);
        assert_eq!(node.deadline() != deadline, granted);
    }
}

/// §5.2: "To begin an election, a follower increments its current term and transitions to
/// candidate state. It then votes for itself and issues RequestVote RPCs in parallel to each of
/// the other servers in the cluster."
#[test]
fn a_follower_without_leader_contact_campaigns() {
    let mut node = Node::start(plain(ONE), stored(voters(5), 6, Some(TWO), 0, log(&[2, 5])));
    node.time_out();
    let status = node.status();
    assert_eq!((status.role, status.term.0), (RoleName::Candidate, 7));
    assert_eq!(status.vote, Some(ONE));
    let sent = node.take_sent();
    let receivers: Vec<NodeId> = sent.iter().map(|message| message.to).collect();
    assert_eq!(receivers, [TWO, THREE, FOUR, FIVE]);
    assert!(sent.iter().all(|message| message.term == Term(7)));
    let request = Body::RequestVote { last: entry_id(5, 2), transfer: false };
    assert!(bodies(sent).iter().all(|body| *body == request));
}

/// §5.2: "A candidate wins an election if it receives votes from a majority of the servers in the
/// full cluster for the same term."
#[test]
fn a_candidate_wins_with_a_majority_and_not_before() {
    for voter_count in 1..=9 {
        let mut node = fresh(voter_count);
        node.input(Input::Campaign);
        for voter in 2..=voter_count {
            let votes = voter - 1;
            assert_eq!(node.leads(), votes > voter_count / 2, "{votes} of {voter_count}");
            node.receive(NodeId(voter), 1, vote_reply(true));
        }
        assert!(node.leads());
    }
}

/// §5.2: each server votes once, however often its reply arrives.
#[test]
fn a_vote_that_arrives_twice_counts_once() {
    let mut node = fresh(5);
    node.input(Input::Campaign);
    for _ in 0..5 {
        node.receive(TWO, 1, vote_reply(true));
    }
    assert_eq!(node.role(), RoleName::Candidate);
}

/// §5.2: votes count "for the same term".
#[test]
fn a_vote_of_an_earlier_election_does_not_count() {
    let mut node = fresh(3);
    node.input(Input::Campaign);
    node.input(Input::Campaign);
    assert_eq!(node.term(), 2);
    node.receive(TWO, 1, vote_reply(true));
    node.receive(THREE, 1, vote_reply(true));
    assert_eq!(node.role(), RoleName::Candidate);
    node.receive(TWO, 2, vote_reply(true));
    assert_eq!(node.role(), RoleName::Leader);
}

/// §5.2: "Each server will vote for at most one candidate in a given term, on a
/// first-come-first-served basis."
#[test]
fn one_vote_per_term_first_come_first_served() {
    let mut node = fresh(5);
    let request = Body::RequestVote { last: EntryId::ZERO, transfer: false };
    assert_eq!(bodies(node.receive(THREE, 1, request.clone())), [vote_reply(true)]);
    assert_eq!(bodies(node.receive(TWO, 1, request.clone())), [vote_reply(false)]);
    assert_eq!(node.core().rejected_messages().count(MessageRejectReason::AlreadyVoted), 1);
    let again = bodies(node.receive(THREE, 1, request.clone()));
    assert_eq!(again, [vote_reply(true)], "the same answer to the same candidate");
    assert_eq!(bodies(node.receive(TWO, 2, request)), [vote_reply(true)], "a new term, a new vote");
}

/// §5.2 with figure 2: a vote is persistent, so a restart cannot give it a second time.
#[test]
fn a_vote_outlives_a_crash() {
    let mut node = fresh(3);
    let request = Body::RequestVote { last: EntryId::ZERO, transfer: false };
    assert_eq!(bodies(node.receive(THREE, 1, request.clone())), [vote_reply(true)]);
    node.crash();
    node.restart();
    assert_eq!(bodies(node.receive(TWO, 1, request.clone())), [vote_reply(false)]);
    assert_eq!(bodies(node.receive(THREE, 1, request)), [vote_reply(true)]);
}

/// Figure 2: the vote is on stable storage before the reply.
#[test]
fn a_vote_is_durable_before_its_reply() {
    let mut node = fresh(3);
    node.flushes_at_once = false;
    let request = Body::RequestVote { last: EntryId::ZERO, transfer: false };
    assert_eq!(node.receive(TWO, 1, request.clone()), []);
    node.crash();
    node.restart();
    assert_eq!(node.status().vote, None, "a vote without a reply may be forgotten");
    assert_eq!(node.receive(THREE, 1, request), []);
    node.flush();
    assert_eq!(node.disk.hard_state().vote, Some(THREE));
    assert_eq!(bodies(node.take_sent()), [vote_reply(true)]);
}

/// Figure 2: a candidate's vote for itself is on stable storage before the vote counts, and before
/// the candidate asks other nodes.
#[test]
fn a_candidates_own_vote_counts_once_it_is_durable() {
    let mut node = fresh(3);
    node.flushes_at_once = false;
    node.input(Input::Campaign);
    assert_eq!(node.take_sent(), [], "no request leaves before");
    node.deliver_message(TWO, 1, vote_reply(true));
    assert_eq!(node.role(), RoleName::Candidate, "one of three is not a majority");
    node.flush_one();
    assert_eq!(node.role(), RoleName::Leader);
}

/// §5.2: a candidate that hears from a leader whose term "is at least as large as the candidate's
/// current term [...] recognizes the leader as legitimate and returns to follower state."
#[test]
fn a_candidate_returns_to_follow_a_legitimate_leader() {
    for term in [1, 2] {
        for request in [heartbeat(), append(EntryId::ZERO, &[1], 0)] {
            let mut node = fresh(3);
            node.input(Input::Campaign);
            node.receive(TWO, term, request);
            let status = node.status();
            assert_eq!((status.role, status.leader), (RoleName::Follower, Some(TWO)));
            assert_eq!(status.term.0, term);
        }
    }
}

/// §5.2: "If the term in the RPC is smaller than the candidate's current term, then the candidate
/// rejects the RPC and continues in candidate state."
#[test]
fn a_candidate_rejects_a_leader_of_an_earlier_term() {
    let mut node = fresh(3);
    node.input(Input::Campaign);
    node.input(Input::Campaign);
    node.take_sent();
    node.receive(TWO, 1, append(EntryId::ZERO, &[1], 1));
    assert_eq!((node.role(), node.term()), (RoleName::Candidate, 2));
    assert_eq!(node.last(), EntryId::ZERO);
}

/// §5.2: if "votes could be split so that no candidate obtains a majority", "each candidate will
/// time out and start a new election by incrementing its term".
#[test]
fn a_split_vote_ends_in_a_new_election_of_a_later_term() {
    let mut cluster = Cluster::new(4);
    cluster.hold();
    cluster.campaign(ONE);
    cluster.campaign(TWO);
    // Node 3 gets node 1's request first, and node 4 gets node 2's.
    cluster.deliver_where(|message| (message.from, message.to) != (ONE, FOUR));
    cluster.run();
    assert_eq!(cluster.leaders(), []);
    assert!(cluster.nodes().all(|(_, node)| node.term() == 1));
    cluster.release();
    cluster.node_mut(ONE).time_out();
    cluster.settle();
    assert_eq!(cluster.leaders(), [ONE]);
    assert_eq!(cluster.node(ONE).term(), 2);
}

/// §5.2: "election timeouts are chosen randomly from a fixed interval", again for each election.
#[test]
fn each_election_timeout_is_drawn_from_the_whole_interval() {
    let mut node = fresh(3);
    let (min, max) = (node.config().election_timeout_min, node.config().election_timeout_max);
    let mut drawn = BTreeSet::new();
    for _ in 0..500 {
        let wait = node.deadline().expect("the node is up").since(node.now());
        assert!(min <= wait && wait <= max, "{wait:?}");
        drawn.insert((wait - min).as_millis() / 25);
        node.time_out();
    }
    let width = (max - min).as_millis() / 25;
    assert!(
        (0..width).all(|part| drawn.contains(&part)),
        "every part of the interval occurs: {drawn:?}"
    );
}

/// §5.2: randomized timeouts "ensure that split votes are rare and that they are resolved
/// quickly".
#[test]
fn randomized_timeouts_elect_a_leader_soon() {
    let mut terms = Vec::new();
    for seed in 0..100 {
        let mut cluster = Cluster::empty();
        for id in voters(5).voters() {
            cluster.add_seeded(plain(id), Restored::fresh(voters(5)), seed * 10 + id.0);
        }
        cluster.pass(Duration::from_secs(5));
        let [leader] = cluster.leaders()[..] else { panic!("seed {seed} elects one leader") };
        terms.push(cluster.node(leader).term());
    }
    let first_time = terms.iter().filter(|term| **term == 1).count();
    assert!(first_time >= 80, "{first_time} of 100 elections need one round");
    assert!(terms.iter().all(|term| *term <= 4), "{terms:?}");
}

/// §5.2: the new leader "sends heartbeat messages to all of the other servers to establish its
/// authority and prevent new elections."
#[test]
fn a_new_leader_sends_heartbeats_at_once() {
    let mut node = fresh(5);
    node.input(Input::Campaign);
    node.receive(TWO, 1, vote_reply(true));
    node.deliver_message(THREE, 1, vote_reply(true));
    let mut receivers: Vec<NodeId> = Vec::new();
    for message in node.take_sent() {
        match message.body.kind() {
            MessageKind::Heartbeat => receivers.push(message.to),
            MessageKind::AppendEntries => {}
            other => panic!("a new leader sends no {other:?}"),
        }
    }
    assert_eq!(receivers, [TWO, THREE, FOUR, FIVE]);
}

/// §5.2: "Leaders send periodic heartbeats [...] to all followers in order to maintain their
/// authority."
#[test]
fn heartbeats_keep_the_leader() {
    let mut cluster = Cluster::new(5);
    cluster.elect(THREE);
    let before = cluster.network.sent().len();
    cluster.pass(Duration::from_secs(20));
    assert_eq!(cluster.leaders(), [THREE]);
    assert!(cluster.nodes().all(|(_, node)| node.term() == 1));
    let heartbeats = cluster.network.sent()[before..].iter();
    let to_one = heartbeats.filter(|m| m.to == ONE && m.body.kind() == MessageKind::Heartbeat);
    let intervals = 20_000 / TICK.as_millis() as usize;
    assert_eq!(to_one.count(), intervals, "one heartbeat per interval");
}

/// §5.2, figure 3, election safety: "at most one leader can be elected in a given term." The
/// harness checks it at every step; this test tries every order of two campaigns.
#[test]
fn at_most_one_leader_is_elected_in_a_term() {
    for order in 0..1_u32 << 8 {
        let mut cluster = Cluster::new(3);
        cluster.hold();
        cluster.campaign(ONE);
        cluster.campaign(THREE);
        for bit in 0..8 {
            // Each bit decides which candidate's message is delivered first.
            let favoured = if order >> bit & 1 == 0 { ONE } else { THREE };
            let first = cluster
                .network
                .take_first(|message| message.from == favoured || message.to == favoured);
            if let Some(message) = first {
                cluster.input(message.to, Input::Message(message));
            }
        }
        cluster.release();
        assert_eq!(cluster.leaders().len(), 1, "order {order:08b}");
    }
}

/// §5.2, §5.6: a majority elects a leader, and a minority does not.
#[test]
fn a_majority_elects_and_a_minority_does_not() {
    for (voter_count, crashed, elects) in
        [(3, 1, true), (3, 2, false), (4, 1, true), (4, 2, false), (5, 2, true), (5, 3, false)]
    {
        let mut cluster = Cluster::new(voter_count);
        for id in 0..crashed {
            cluster.crash(NodeId(voter_count - id));
        }
        cluster.pass(Duration::from_secs(10));
        assert_eq!(cluster.leaders().len(), usize::from(elects), "{crashed} of {voter_count}");
    }
}
