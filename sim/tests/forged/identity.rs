//! Forged disks: S24, S76, and the part of S22 about the first membership; and honest disks.

use quorate::types::{
    Body, BootstrapPeer, EntryId, Incarnation, Index, Member, Membership, MembershipSource, NodeId,
};

use crate::stage::{Stage, noop};

/// Three voters, of which the first and the third have the disk of their number, and the second has
/// the disk `other`.
fn three_with(other: u128) -> Membership {
    let three = Membership::new([1, 2, 3].map(NodeId));
    [(1, 1), (2, other), (3, 3)].into_iter().fold(three, |three, (id, disk)| {
        let incarnation = Incarnation(disk);
        three.with_member(Member { incarnation, ..Member::new(NodeId(id)) })
    })
}

/// Node 1 leads, and its first entry is committed; then node 2 loses its disk.
fn second_is_new() -> Stage {
    let mut stage = Stage::with(three_with(2));
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.acknowledges(2, 1, 1, 1);
    stage.wipes(2);
    stage.counts_as_matched(1, 2, 1);
    stage.commits(1, 1);
    stage
}

fn bootstrapped(membership: Membership) -> Body {
    Body::Bootstrapped { start_id: 7, membership, source: MembershipSource::Reply }
}

crate::forgeries! {
    S24 a_replaced_disk_grants_a_vote on second_is_new
    "n2 sends n1 a RequestVoteReply that grants the request, but it has no membership, because its \
     disk is empty"
    |stage| {
        stage.votes(2, 2, 1);
        stage.sends(2, 1, 2, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    }

    S24 a_replaced_disk_elects_a_leader on second_is_new
    "n1 becomes leader of term t2 with durable votes of n1, n2, which is not a quorum of {n1 n2 \
     n3}; a disk that replaced a lost disk does not count until the membership names it"
    |stage| {
        stage.votes(2, 2, 1);
        stage.wins(1, 2, &[]);
    }

    S24 a_replaced_disk_is_counted_as_matched on second_is_new
    "n1 leads term t1 and counts n2's log as matched up to index 2, but a different disk of n2 \
     acknowledged that index"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.enters(2, 1);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.acknowledges(2, 1, 1, 2);
        stage.counts_as_matched(1, 2, 2);
    }

    S24 a_replaced_disk_commits on second_is_new
    "n1 commits index 2, but that entry is not durable on a quorum of {n1 n2 n3}: n1 has 2@t1 on \
     disk, n2 has 2@t1 on disk, the log on n3's disk ends at index 1; a disk that replaced a lost \
     disk does not count until the membership names it"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.enters(2, 1);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.commits(1, 2);
    }

    S22 a_second_cluster_is_bootstrapped on not_bootstrapped
    "n2 bootstraps a second cluster with membership {n1 n2 n3}, but the cluster was bootstrapped \
     with {n1 n2 n3} and other disks of n2"
    |stage| {
        stage.bootstraps(1, &three_with(2));
        stage.flushes(1);
        stage.bootstraps(2, &three_with(22));
        stage.flushes(2);
    }

    S22 a_node_bootstraps_twice on not_bootstrapped
    "n1 bootstraps a cluster with membership {n1 n2 n3}, but it already has a log or the \
     membership {n1 n2 n3}"
    |stage| {
        stage.bootstraps(1, &three_with(2));
        stage.bootstraps(1, &three_with(2));
    }

    S22 a_bootstrap_is_reported_before_it_is_durable on not_bootstrapped
    "n1 reports that the cluster was bootstrapped with {n1 n2 n3}, but the first membership on \
     its disk is {}"
    |stage| {
        stage.bootstraps(1, &three_with(2));
        stage.sends(1, 2, 0, bootstrapped(three_with(2)));
    }

    S76 a_bootstrap_peer_accepts_a_second_disk on not_bootstrapped
    "n1 names disk 00000000000000000000000000000066 of n2 in a bootstrap probe, but it named disk \
     00000000000000000000000000000002 in the same attempt"
    |stage| [2, 102].into_iter().for_each(|second| probes(stage, 7, second))
}

/// Node 1 sends node 3 a bootstrap probe with the disk of node 2, and the start id of its attempt.
fn probes(stage: &mut Stage, start_id: u64, second: u128) {
    let own = BootstrapPeer { id: NodeId(1), incarnation: Incarnation(1), start_id };
    let second = BootstrapPeer { id: NodeId(2), incarnation: Incarnation(second), start_id: 5 };
    let seen = vec![own, second, BootstrapPeer::unknown(NodeId(3))];
    stage.sends(1, 3, 0, Body::BootstrapProbe { seen });
}

#[test]
fn a_new_attempt_to_bootstrap_may_name_another_disk() {
    let mut stage = Stage::not_bootstrapped();
    for (start_id, second) in [(7, 0), (7, 2), (8, 0), (8, 102)] {
        probes(&mut stage, start_id, second);
    }
    assert_eq!(stage.violation(), None);
}

fn not_bootstrapped() -> Stage {
    Stage::not_bootstrapped()
}

#[test]
fn a_durable_bootstrap_is_reported_and_a_pending_one_may_be_lost() {
    let mut stage = Stage::not_bootstrapped();
    stage.bootstraps(1, &three_with(2));
    stage.crashes(1);
    stage.starts(1);
    stage.wipes(2);
    stage.bootstraps(1, &three_with(102));
    stage.flushes(1);
    stage.sends(1, 2, 0, bootstrapped(three_with(102)));
    stage.bootstraps(2, &three_with(102));
    stage.flushes(2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn the_votes_of_a_lost_disk_still_count() {
    let mut stage = Stage::with(three_with(2));
    stage.votes(2, 1, 1);
    stage.sends(2, 1, 1, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    stage.wipes(2);
    let last = EntryId::ZERO;
    stage.wins(1, 1, &[]);
    stage.sends(1, 2, 1, Body::RequestVote { last, transfer: false });
    assert_eq!(stage.violation(), None);
}
