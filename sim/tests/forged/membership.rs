//! Forged memberships: S2, S12, S22, S23, S60, L6 and L11; and honest membership changes.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{
    Body, Change, Incarnation, Index, Lineage, Member, Membership, NodeId, Readiness,
};

use crate::stage::{Stage, change, id, noop};

fn of(ids: &[u64]) -> Membership {
    Membership::new(ids.iter().copied().map(NodeId))
}

fn with(voters: &[u64], before: &[u64]) -> Membership {
    of(voters).joint_with(before.iter().copied().map(NodeId))
}

/// Three voters among six nodes; node 1 leads term 1, and its first entry is committed.
fn led() -> Stage {
    led_with(of(&[1, 2, 3]))
}

/// As [`led`], with node 6 as a learner.
fn with_learner() -> Stage {
    led_with(of(&[1, 2, 3]).with_learners([NodeId(6)]))
}

/// Four voters, of which node 4 has the casting vote; node 1 leads.
fn split() -> Stage {
    led_with(of(&[1, 2, 3, 4]).with_casting(NodeId(4)))
}

/// Like [`led`], with nodes that may continue without the others.
fn survivors() -> Stage {
    let mut stage = Stage::of_survivors();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage
}

fn led_with(membership: Membership) -> Stage {
    let mut stage = Stage::of_six(membership);
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage
}

crate::forgeries! {
    L11 a_new_voter_that_keeps_up_gets_no_vote on led
    "n1 leads term t1 and has appended no step after the membership {n1 n2 n3} target {n1 n2 n3 \
     n4} learners {n4} at index 2 within 9.773s after 1.006600 s"
    |stage| {
        let staged = of(&[1, 2, 3]).changed(&Change::new().voter(NodeId(4)));
        let staged = staged.expect("node 4 can be added");
        stage.enters(4, 1);
        stage.holds(4, &[noop(1, 1)]);
        stage.all_hold(&[1, 2, 3, 4], &[change(2, 1, &staged)]);
        stage.commits(1, 2);
        stage.stabilizes(&[1, 2, 3, 4]);
        stage.steps(1);
        stage.advances_time(Duration::from_secs(60));
        stage.steps(1);
    }

    S60 a_leader_remembers_the_log_of_a_member_that_returns on with_learner
    "n1 leads term t1 and counts n6's log as matched up to index 1 after n6's HeartbeatReply of \
     term t1, which acknowledges index 0; until then it counted index 0"
    |stage| {
        stage.enters(6, 1);
        stage.holds(6, &[noop(1, 1)]);
        stage.acknowledges(6, 1, 1, 1);
        stage.counts_as_matched(1, 6, 1);
        stage.all_hold(&[1, 2, 3], &[change(2, 1, &of(&[1, 2, 3]))]);
        stage.commits(1, 2);
        stage.all_hold(&[1, 2, 3], &[change(3, 1, &of(&[1, 2, 3]).with_learners([NodeId(6)]))]);
        let (round, verified, matched, durable) = (1, Index::ZERO, Index::ZERO, Index(1));
        let ready = Readiness::default();
        let reply = Body::HeartbeatReply { round, verified, matched, durable, ready };
        stage.receives(1, 6, 1, reply);
        stage.steps(1);
        stage.counts_as_matched(1, 6, 1);
    }

    S22 a_node_uses_an_older_membership on led
    "n2 uses the membership {n1 n2 n3}, but the last membership in its log is {n4 n5 n6} from {n1 \
     n2 n3}"
    |stage| {
        stage.holds(2, &[change(2, 1, &with(&[4, 5, 6], &[1, 2, 3]))]);
        stage.uses_membership(2, &of(&[1, 2, 3]));
    }

    S22 a_truncation_does_not_restore_the_previous_membership on led
    "n2 uses the membership {n4 n5 n6} from {n1 n2 n3}, but the last membership in its log is {n1 \
     n2 n3}"
    |stage| {
        let lost = with(&[4, 5, 6], &[1, 2, 3]);
        stage.holds(2, &[change(2, 1, &lost)]);
        stage.wins(3, 2, &[1]);
        stage.holds(3, &[noop(2, 2)]);
        stage.holds(2, &[noop(2, 2)]);
        stage.uses_membership(2, &lost);
    }

    S22 a_second_change_begins_before_the_first_is_committed on led
    "n1 writes a membership at index 3, but its previous membership, at index 2, is not committed"
    |stage| {
        stage.holds(1, &[change(2, 1, &with(&[1, 2, 3, 4], &[1, 2, 3]))]);
        stage.takes(1, &[change(3, 1, &of(&[1, 2, 3, 4]))]);
    }

    S22 a_voter_joins_before_it_has_caught_up on led
    "n1 makes the membership {n1 n2 n3} target {n1 n2 n3 n4} learners {n4} joint, but the log of \
     the new voter n4 ends at index 0, before that membership at index 2"
    |stage| {
        let staged = of(&[1, 2, 3]).changed(&Change::new().voter(NodeId(4)));
        let staged = staged.expect("node 4 can be added");
        stage.all_hold(&[1, 2], &[change(2, 1, &staged)]);
        stage.commits(1, 2);
        stage.takes(1, &[change(3, 1, &with(&[1, 2, 3, 4], &[1, 2, 3]))]);
    }

    S22 survivors_do_not_record_that_they_continue on survivors
    "n1 changes its membership at index 2 from {n1 n2 n3} to {n1 n2}, which continues without the \
     other voters, but does not record that"
    |stage| stage.takes(1, &[change(2, 1, &of(&[1, 2]))])

    S22 a_membership_forgets_that_survivors_continued on survivors
    "n1 changes its membership at index 3 from {n1 n2} to {n1 n2} learners {n3}, but loses the \
     record of a takeover by survivors"
    |stage| {
        let lineage = Lineage { by: NodeId(1), at: id(2, 1) };
        stage.all_hold(&[1, 2], &[change(2, 1, &of(&[1, 2]).with_lineage(lineage))]);
        stage.commits(1, 2);
        stage.takes(1, &[change(3, 1, &of(&[1, 2]).with_learners([NodeId(3)]))]);
    }

    S22 the_voters_change_in_one_step on led
    "n1 changes its membership at index 2 from {n1 n2 n3} to {n1 n2 n3 n4}, which is not a single \
     step of joint consensus"
    |stage| stage.takes(1, &[change(2, 1, &of(&[1, 2, 3, 4]))])

    S22 a_joint_membership_drops_the_outgoing_voters on led
    "n1 changes its membership at index 2 from {n1 n2 n3} to {n4 n5 n6} from {n1 n2}, which is \
     not a single step of joint consensus"
    |stage| stage.takes(1, &[change(2, 1, &with(&[4, 5, 6], &[1, 2]))])

    S22 a_joint_membership_is_left_for_other_voters on led
    "n1 changes its membership at index 3 from {n1 n2 n3 n4} from {n1 n2 n3} to {n1 n2 n4}, which \
     is not a single step of joint consensus"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[change(2, 1, &with(&[1, 2, 3, 4], &[1, 2, 3]))]);
        stage.commits(1, 2);
        stage.takes(1, &[change(3, 1, &of(&[1, 2, 4]))]);
    }

    S22 a_node_without_a_vote_is_accepted_with_one_disk_only on led
    "n1 changes its membership at index 3 from {n2 n3 n4} from {n1 n2 n3} to {n2 n3 n4} learners \
     {n1}, but still accepts n1, which has lost its vote, with disk \
     00000000000000000000000000000001 only"
    |stage| {
        let first = Member { incarnation: Incarnation(1), ..Member::new(NodeId(1)) };
        let joint = with(&[2, 3, 4], &[1, 2, 3]).with_member(first.clone());
        stage.all_hold(&[1, 2, 3], &[change(2, 1, &joint)]);
        stage.commits(1, 2);
        let left = of(&[2, 3, 4]).with_learners([NodeId(1)]).with_member(first);
        stage.takes(1, &[change(3, 1, &left)]);
    }

    S22 a_staged_change_admits_other_voters on led
    "n1 changes its membership at index 3 from {n1 n2 n3} target {n1 n2 n3 n4} learners {n4} to \
     {n1 n2 n5} from {n1 n2 n3}, which is not a single step of joint consensus"
    |stage| {
        let staged = of(&[1, 2, 3]).changed(&Change::new().voter(NodeId(4)));
        let staged = staged.expect("node 4 can be added");
        stage.all_hold(&[1, 2], &[change(2, 1, &staged)]);
        stage.commits(1, 2);
        stage.takes(1, &[change(3, 1, &with(&[1, 2, 5], &[1, 2, 3]))]);
    }

    S22 the_casting_vote_moves_in_one_step on split
    "n1 changes its membership at index 2 from {n1 n2 n3 n4*} to {n1* n2 n3 n4}, which is not a \
     single step of joint consensus"
    |stage| {
        let taken = of(&[1, 2, 3, 4]).with_casting(NodeId(1));
        stage.takes(1, &[change(2, 1, &taken)]);
    }

    S22 a_change_is_reported_before_it_is_committed on led
    "n1 reports a membership change as complete with entry 2@t1, but that entry is not a \
     committed membership"
    |stage| {
        let learns = of(&[1, 2, 3]).with_learners([NodeId(4)]);
        stage.holds(1, &[change(2, 1, &learns)]);
        stage.completes(1, id(2, 1));
    }

    S22 a_change_is_reported_while_joint on led
    "n1 reports a membership change as complete with entry 2@t1, but its membership {n1 n2 n3 n4} \
     from {n1 n2 n3} is still staged or joint"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[change(2, 1, &with(&[1, 2, 3, 4], &[1, 2, 3]))]);
        stage.commits(1, 2);
        stage.completes(1, id(2, 1));
    }

    S2 the_outgoing_voters_elect_a_leader_alone on led
    "n1 becomes leader of term t2 with durable votes of n1, n2, which is not a quorum of {n4 n5 \
     n6} from {n1 n2 n3}"
    |stage| {
        stage.holds(1, &[change(2, 1, &with(&[4, 5, 6], &[1, 2, 3]))]);
        stage.wins(1, 2, &[2]);
    }

    S2 half_of_the_voters_elect_without_the_casting_vote on split
    "n1 becomes leader of term t2 with durable votes of n1, n2, which is not a quorum of {n1 n2 \
     n3 n4*}"
    |stage| stage.wins(1, 2, &[2])

    S12 the_outgoing_voters_commit_alone on led
    "n1 commits index 2, but that entry is not durable on a quorum of {n4 n5 n6} from {n1 n2 n3}: \
     n1 has 2@t1 on disk, n2 has 2@t1 on disk, n3 has 2@t1 on disk, the log on n4's disk ends at \
     index 0, the log on n5's disk ends at index 0, the log on n6's disk ends at index 0"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[change(2, 1, &with(&[4, 5, 6], &[1, 2, 3]))]);
        stage.commits(1, 2);
    }

    S12 half_of_the_voters_commit_without_the_casting_vote on split
    "n1 commits index 2, but that entry is not durable on a quorum of {n1 n2 n3 n4*}: n1 has 2@t1 \
     on disk, n2 has 2@t1 on disk, the log on n3's disk ends at index 1, the log on n4's disk \
     ends at index 0, the log on n5's disk ends at index 0, the log on n6's disk ends at index 0"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(2, 1)]);
        stage.commits(1, 2);
    }

    S23 a_non_member_elects_a_leader on led
    "n1 becomes leader of term t2 with durable votes of n1, n5, which is not a quorum of {n1 n2 n3}"
    |stage| {
        stage.enters(5, 1);
        stage.all_hold(&[5], &[noop(1, 1)]);
        stage.all_hold(&[1, 5], &[change(2, 1, &of(&[1, 2, 3]))]);
        stage.wins(1, 2, &[5]);
    }

    S23 a_removed_node_elects_a_leader on led
    "n2 becomes leader of term t2 with durable votes of n1, n2, which is not a quorum of {n2 n3 n4}"
    |stage| {
        stage.enters(4, 1);
        stage.all_hold(&[4], &[noop(1, 1)]);
        stage.all_hold(&[1, 2, 3, 4], &[change(2, 1, &with(&[2, 3, 4], &[1, 2, 3]))]);
        stage.commits(1, 2);
        stage.all_hold(&[1, 2], &[change(3, 1, &of(&[2, 3, 4]))]);
        stage.wins(2, 2, &[1]);
    }

    S23 a_learner_commits on led
    "n1 commits index 2, but that entry is not durable on a quorum of {n1 n2 n3} learners {n4}: \
     n1 has 2@t1 on disk, the log on n2's disk ends at index 1, the log on n3's disk ends at \
     index 1, n4 has 2@t1 on disk, the log on n5's disk ends at index 0, the log on n6's disk \
     ends at index 0"
    |stage| {
        let learns = of(&[1, 2, 3]).with_learners([NodeId(4)]);
        stage.enters(4, 1);
        stage.holds(4, &[noop(1, 1)]);
        stage.all_hold(&[1, 4], &[change(2, 1, &learns)]);
        stage.commits(1, 2);
    }

    L6 a_node_campaigns_after_its_known_removal on led
    "n3 is a pre-candidate but has no vote in {n1 n2 n4}"
    |stage| {
        stage.enters(4, 1);
        stage.holds(4, &[noop(1, 1)]);
        stage.all_hold(&[1, 2, 3, 4], &[change(2, 1, &with(&[1, 2, 4], &[1, 2, 3]))]);
        stage.commits(1, 2);
        stage.all_hold(&[1, 2, 4, 3], &[change(3, 1, &of(&[1, 2, 4]))]);
        stage.commits(1, 3);
        stage.commits(3, 3);
        stage.changes_status(3, |status| status.role = RoleName::PreCandidate);
    }
}

#[track_caller]
fn accepted(stage: &Stage) {
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_complete_membership_change_is_accepted() {
    let mut stage = led();
    let change_to = Change::new().voter(NodeId(4)).voter(NodeId(5)).remove(NodeId(1));
    let staged = of(&[1, 2, 3]).changed(&change_to).expect("voters remain");
    [4, 5].into_iter().for_each(|node| stage.enters(node, 1));
    stage.all_hold(&[4, 5], &[noop(1, 1)]);
    stage.all_hold(&[1, 2], &[change(2, 1, &staged)]);
    stage.commits(1, 2);
    let joint = staged.enter_joint(Some(NodeId(1)));
    stage.all_hold(&[4, 5], &[change(2, 1, &staged)]);
    stage.all_hold(&[1, 2, 4, 5], &[change(3, 1, &joint)]);
    stage.commits(1, 3);
    stage.all_hold(&[1, 2, 4, 5], &[change(4, 1, &joint.leave_joint())]);
    stage.commits(1, 4);
    stage.completes(1, id(4, 1));
    stage.wins(2, 2, &[4, 5]);
    accepted(&stage);
}

#[test]
fn a_cancelled_membership_change_is_accepted() {
    let mut stage = led();
    stage.holds(1, &[change(2, 1, &with(&[4, 5, 6], &[1, 2, 3]))]);
    stage.wins(2, 2, &[3]);
    stage.all_hold(&[2, 3], &[noop(2, 2)]);
    stage.commits(2, 2);
    stage.enters(1, 2);
    stage.holds(1, &[noop(2, 2)]);
    stage.uses_membership(1, &of(&[1, 2, 3]));
    stage.all_hold(&[2, 3], &[change(3, 2, &with(&[1, 2, 3, 4], &[1, 2, 3]))]);
    accepted(&stage);
}

#[test]
fn half_of_an_even_set_with_the_casting_vote_is_accepted() {
    let mut stage = split();
    stage.enters(4, 1);
    stage.all_hold(&[4], &[noop(1, 1)]);
    stage.all_hold(&[1, 4], &[noop(2, 1)]);
    stage.commits(1, 2);
    stage.wins(4, 2, &[1]);
    accepted(&stage);
}

#[test]
fn a_suspended_voter_may_have_caught_up_before_it_is_readmitted() {
    let mut stage = led();
    let staged = of(&[1, 2, 3]).changed(&Change::new().suspend(NodeId(3))).expect("n3 is a voter");
    let joint = staged.enter_joint(None);
    let suspended = joint.leave_joint();
    let readmitted = suspended.changed(&Change::new().voter(NodeId(3))).expect("n3 is a learner");
    for (membership, index) in [&staged, &joint, &suspended].into_iter().zip(2..) {
        stage.all_hold(&[1, 2, 3], &[change(index, 1, membership)]);
        stage.commits(1, index);
    }
    stage.all_hold(&[1, 2], &[change(5, 1, &readmitted)]);
    stage.commits(1, 5);
    stage.takes(1, &[change(6, 1, &readmitted.enter_joint(None))]);
    accepted(&stage);
}
