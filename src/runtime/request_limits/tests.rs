//! Tests of the limits of requests.

use super::*;
use crate::runtime::principal::Principal;
use crate::types::{EntryId, Freshness, Index, NodeId};

const MIB: usize = 1 << 20;

fn origin(last: u8) -> Origin {
    Origin::new(None, [127, 0, 0, last].into())
}

#[test]
fn one_client_leaves_room_for_others_and_clients_leave_room_for_administrators() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_max: 3,
        requests_per_origin_max: 2,
        requests_reserved: 1,
        requests_kib_max: 8 << 10,
        requests_kib_per_origin_max: 4 << 10,
        ..ServiceConfig::default()
    });
    for bytes in [0, MIB] {
        let (first, again) = (limits.of(&origin(1), false), limits.of(&origin(1), false));
        let held = [first.acquire(Share::Proposals, bytes), again.acquire(Share::Proposals, bytes)];
        assert!(held.iter().all(Option::is_some));
        assert!(first.acquire(Share::Proposals, bytes).is_none(), "its own limit is reached");
        assert!(again.acquire(Share::Proposals, bytes).is_none(), "connections share it");
        let other = limits.of(&origin(2), false);
        let others = other.acquire(Share::Proposals, bytes);
        assert!(others.is_some(), "another client has room");
        assert!(
            other.acquire(Share::Proposals, bytes).is_none(),
            "the limit of all clients is reached"
        );
        let admin = Principal::admin("ops").map(Origin::Principal).expect("the name is valid");
        let admin = limits.of(&admin, false);
        let request = admin.acquire(Share::Proposals, 0);
        assert!(request.is_some(), "an administrator has room");
        drop((held, others));
        assert!(first.acquire(Share::Proposals, bytes).is_some(), "the limits are free again");
    }
}

#[test]
fn proposals_without_an_outcome_leave_room_for_reads() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_max: 3,
        requests_per_origin_max: 2,
        requests_kib_max: 8 << 10,
        requests_kib_per_origin_max: 4 << 10,
        ..ServiceConfig::default()
    });
    for bytes in [0, MIB] {
        let acquire = |share, last| limits.of(&origin(last), false).acquire(share, bytes);
        let proposals: Vec<_> = [1, 1, 2].map(|last| acquire(Share::Proposals, last)).into();
        assert!(proposals.iter().all(Option::is_some));
        assert!(acquire(Share::Proposals, 3).is_none(), "the limit is reached");
        let reads: Vec<_> = [1, 1, 2].map(|last| acquire(Share::Reads, last)).into();
        assert!(reads.iter().all(Option::is_some));
        let incomplete = || limits.of(&origin(3), false).acquire_incomplete(bytes);
        assert!(incomplete().is_none(), "both limits are reached");
        drop(reads);
        assert!(incomplete().is_some(), "it may be a query");
        let longer = limits.of(&origin(3), false).acquire_incomplete(2 * MIB);
        assert!(longer.is_none(), "it may be a proposal, which leaves room for queries");
        let reads: Vec<_> = [1, 1, 2].map(|last| acquire(Share::Reads, last)).into();
        assert!(acquire(Share::Reads, 3).is_none(), "reads have a limit, too");
        drop(reads);
    }
}

#[test]
fn forwarded_requests_leave_room_for_administrators() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_reserved: 4,
        requests_per_origin_max: 5,
        ..ServiceConfig::default()
    });
    let (admin, node) = (Principal::admin("ops").expect("it is valid"), Principal::Node(NodeId(2)));
    let forwarding = limits.of(&Origin::Principal(node), true);
    let held: Vec<_> = (0..10).filter_map(|_| forwarding.acquire(Share::Proposals, 0)).collect();
    assert_eq!(held.len(), 5, "a node has the share of one client");
    let other = Principal::admin("dev").expect("it is valid");
    let requests_of = |principal| {
        let admin = limits.of(&Origin::Principal(principal), false);
        (0..10).filter_map(|_| admin.acquire(Share::Proposals, 0)).collect::<Vec<_>>()
    };
    let requests = [requests_of(admin), requests_of(other)];
    assert_eq!(requests.map(|requests| requests.len()), [2, 2], "each has half of the reserve");
}

#[test]
fn a_node_in_the_reserve_and_its_forwarded_requests_have_separate_limits() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_reserved: 4,
        requests_per_origin_max: 5,
        ..ServiceConfig::default()
    });
    let node = Origin::Principal(Principal::Node(NodeId(2)));
    let acquired = |forwards| {
        let limits = limits.of(&node, forwards);
        (0..10).filter_map(|_| limits.acquire(Share::Reads, 0)).collect::<Vec<_>>()
    };
    let (own, forwarded) = (acquired(false), acquired(true));
    assert_eq!((own.len(), forwarded.len()), (2, 5));
}

#[test]
fn one_client_of_a_node_that_forwards_leaves_room_for_its_others() {
    let config = ServiceConfig {
        requests_per_origin_max: 8,
        requests_kib_per_origin_max: 8 << 10,
        ..ServiceConfig::default()
    };
    for bytes in [0, MIB - COMMAND_OVERHEAD_BYTES] {
        let [follower, leader] = [(); 2].map(|()| ServiceLimits::new(&config));
        let node = leader.of(&Origin::Principal(Principal::Node(NodeId(2))), true);
        let forward = |last| {
            let limits = follower.of(&origin(last), false);
            let own = limits.acquire(Share::Proposals, bytes)?;
            Some((
                own,
                limits.acquire(Share::Forwarded, bytes)?,
                node.acquire(Share::Proposals, bytes)?,
            ))
        };
        let greedy: Vec<_> = (0..10).filter_map(|_| forward(1)).collect();
        assert_eq!(greedy.len(), 2, "a quarter of what the leader accepts from this node");
        let others: Vec<_> = (2..9).filter_map(forward).collect();
        assert_eq!(others.len(), 6, "the rest is for others");
    }
}

#[test]
fn a_command_counts_with_what_the_leader_adds_to_it() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_kib_max: 16,
        requests_kib_per_origin_max: 4,
        ..ServiceConfig::default()
    });
    let acquired = |share, bytes| {
        let acquire = || limits.of(&origin(1), false).acquire(share, bytes);
        (0..10).filter_map(|_| acquire()).collect::<Vec<_>>().len()
    };
    assert_eq!(acquired(Share::Proposals, 0), 4, "also an empty command is an entry");
    assert_eq!(acquired(Share::Proposals, 1 << 10), 2);
    assert_eq!(acquired(Share::Proposals, 4 << 10), 1, "the longest command is accepted alone");
    assert_eq!(acquired(Share::Proposals, (4 << 10) + 1), 0);
    assert_eq!(acquired(Share::Reads, 0), 10);
    assert_eq!(acquired(Share::Reads, 1 << 10), 4);
}

#[test]
fn long_replies_to_proposals_are_bounded() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_kib_max: 9 << 10,
        // Four long replies, and the six other requests.
        requests_kib_per_origin_max: (4 << 10) + 6,
        ..ServiceConfig::default()
    });
    let of = |last| limits.of(&origin(last), false);
    let reply =
        |bytes: usize| ReplyBody::Replied { id: EntryId::ZERO, reply: Arc::from(vec![7; bytes]) };
    let mut held: Vec<_> = (0..10).filter_map(|_| of(1).acquire(Share::Proposals, 0)).collect();
    let replied = held.iter_mut().map(|permits| match permits.exchange_for_reply(reply(MIB)) {
        ReplyBody::Replied { .. } => true,
        ReplyBody::Unknown => false,
        other => panic!("{other:?}"),
    });
    let replied: Vec<bool> = replied.collect();
    assert_eq!(replied, [[true; 4].as_slice(), &[false; 6]].concat());
    assert_eq!(held[9].exchange_for_reply(reply(1 << 10)), reply(1 << 10), "it is short");
    let mut other = of(2).acquire(Share::Proposals, 0).expect("another client has room");
    assert!(other.exchange_for_reply(reply(MIB)) == reply(MIB));
    drop(held);
    let mut next = of(1).acquire(Share::Proposals, 0).expect("the limits are free again");
    assert!(next.exchange_for_reply(reply(MIB)) == reply(MIB));
}

#[test]
fn the_answers_to_an_origin_are_full_until_one_of_them_is_written() {
    let limits = ServiceLimits::new(&ServiceConfig {
        requests_kib_max: 6 << 10,
        requests_kib_per_origin_max: 4 << 10,
        ..ServiceConfig::default()
    });
    let answer = |last| {
        let mut permits = limits.of(&origin(last), false).acquire(Share::Reads, 0).expect("room");
        let (index, freshness) = (Index(1), Freshness::Linearizable);
        let body = ReplyBody::Answered { freshness, index, applied: index, answer: vec![7; MIB] };
        let is_sent = permits.exchange_for_reply(body.clone()) == body;
        (is_sent, permits)
    };
    let are_full = |last| limits.of(&origin(last), false).answers_are_full(0);
    let mut held: Vec<_> = (0..4).map(|_| answer(1)).collect();
    assert!(held.iter().all(|(is_sent, _)| *is_sent));
    assert!(!are_full(1), "none was rejected");
    let others: Vec<_> = (0..3).map(|_| answer(2)).collect();
    assert_eq!(others.iter().filter(|(is_sent, _)| *is_sent).count(), 2);
    assert!(!are_full(2), "the answers to another origin took the room");
    drop(others);
    let (is_sent, rejected) = answer(1);
    assert!(!is_sent && are_full(1));
    drop(rejected);
    assert!(are_full(1), "a rejection makes no room");
    held.pop();
    assert!(!are_full(1));
    assert!(answer(1).0, "there is room");
}

#[test]
fn a_part_of_a_recording_counts_instead_of_its_request() {
    let config = ServiceConfig { requests_kib_per_origin_max: 4, ..ServiceConfig::default() };
    let limits = ServiceLimits::new(&config).of(&origin(1), false);
    let acquire = |kib: usize| limits.acquire(Share::Reads, kib << 10);
    let (file, offset, newest, bytes) = (1, 0, 1, vec![7; 1 << 10]);
    let part = ReplyBody::RecordingPart { file, offset, newest, bytes };
    let mut first = acquire(3).expect("there is no other");
    assert_eq!(first.exchange_for_reply(part.clone()), part);
    let second = acquire(3).expect("the part is shorter than the request was");
    let mut third = acquire(0).expect("it has no bytes");
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    assert_eq!(third.exchange_for_reply(part.clone()), overloaded);
    drop(second);
    assert_eq!(third.exchange_for_reply(part.clone()), part);
}

#[test]
fn a_rejected_query_makes_no_room_for_a_long_answer() {
    let config = ServiceConfig { requests_kib_per_origin_max: 4 << 10, ..ServiceConfig::default() };
    let limits = ServiceLimits::new(&config).of(&origin(1), false);
    let answer = |bytes, permits: &mut LimitPermits| {
        let (index, freshness) = (Index(1), Freshness::Linearizable);
        let answer = vec![7; bytes];
        let body = ReplyBody::Answered { freshness, index, applied: index, answer };
        permits.exchange_for_reply(body.clone()) == body
    };
    let query = || limits.acquire(Share::Reads, 1).expect("there is room");
    let mut rejected = query();
    let mut held: Vec<_> = (0..3).map(|_| query()).collect();
    assert!(held.iter_mut().all(|permits| answer(MIB, permits)));
    assert!(!answer(2 * MIB, &mut rejected));
    drop(rejected);
    assert!(limits.answers_are_full(1));
    held.pop();
    assert!(!limits.answers_are_full(1));
    drop(held);
    let mut rejected = query();
    let held = query();
    assert!(!answer(4 * MIB, &mut rejected), "the other query holds a KiB");
    drop((rejected, held));
    let _long = limits.acquire(Share::Reads, 30 << 10).expect("there is room");
    assert!(!limits.answers_are_full(30 << 10), "there is no unwritten answer");
}
