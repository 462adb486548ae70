//! Forged disks: S24, and the part of S22 about the first membership; and honest ones.

use quorate::types::{Body, Bringer, EntryId, Incarnation, Member, Membership, NodeId};

use crate::stage::{Stage, noop};

/// Three voters, each with the disk of its number, and a second one that is `other`.
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
    stage.counts(1, 2, 1);
    stage.commits(1, 1);
    stage
}

fn founded(membership: Membership) -> Body {
    Body::Founded { boot: 7, membership, bringer: Bringer::Answer }
}

crate::forgeries! {
    S24 a_new_disk_grants_a_vote on second_is_new
    "n2 grants n1 its RequestVoteReply, and knows no membership"
    |stage| {
        stage.votes(2, 2, 1);
        stage.sends(2, 1, 2, Body::RequestVoteReply { granted: true });
    }

    S24 a_new_disk_elects on second_is_new
    "n1 leads t2 with durable votes of n1, n2, which is no quorum of {n1 n2 n3}"
    |stage| {
        stage.votes(2, 2, 1);
        stage.wins(1, 2, &[]);
    }

    S24 a_new_disk_is_counted_on on second_is_new
    "n1 leads t1 and counts on n2 up to 2, which another disk acknowledged"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.enters(2, 1);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.acknowledges(2, 1, 1, 2);
        stage.counts(1, 2, 2);
    }

    S24 a_new_disk_commits on second_is_new
    "n1 commits 2 without the disks of a quorum of {n1 n2 n3}: n1 has 2@t1, n2 has 2@t1, n3 ends \
     at 1"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.enters(2, 1);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.commits(1, 2);
    }

    S22 a_second_cluster_is_founded on unfounded
    "n2 founds a second cluster, {n1 n2 n3}, beside {n1 n2 n3}"
    |stage| {
        stage.founds(1, &three_with(2));
        stage.flushes(1);
        stage.founds(2, &three_with(22));
        stage.flushes(2);
    }

    S22 a_node_founds_twice on unfounded
    "n1 founds {n1 n2 n3} though it goes by {n1 n2 n3}"
    |stage| {
        stage.founds(1, &three_with(2));
        stage.founds(1, &three_with(2));
    }

    S22 a_founding_is_told_before_it_is_durable on unfounded
    "n1 calls the cluster founded as {n1 n2 n3} while its disk has {}"
    |stage| {
        stage.founds(1, &three_with(2));
        stage.sends(1, 2, 0, founded(three_with(2)));
    }
}

fn unfounded() -> Stage {
    Stage::unfounded()
}

#[test]
fn an_honest_founding_is_told_once_it_is_durable_and_may_be_lost_before() {
    let mut stage = Stage::unfounded();
    stage.founds(1, &three_with(2));
    stage.crashes(1);
    stage.starts(1);
    stage.wipes(2);
    stage.founds(1, &three_with(102));
    stage.flushes(1);
    stage.sends(1, 2, 0, founded(three_with(102)));
    stage.founds(2, &three_with(102));
    stage.flushes(2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn what_a_disk_promised_before_it_was_lost_counts() {
    let mut stage = Stage::with(three_with(2));
    stage.votes(2, 1, 1);
    stage.sends(2, 1, 1, Body::RequestVoteReply { granted: true });
    stage.wipes(2);
    let last = EntryId::ZERO;
    stage.wins(1, 1, &[]);
    stage.sends(1, 2, 1, Body::RequestVote { last, transfer: false });
    assert_eq!(stage.violation(), None);
}
