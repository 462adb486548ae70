//! What nodes find comparing their state machines, and what becomes of those that are wrong.

use std::time::Duration;

use quorate::raft::RejectReason;
use quorate::replica::{ReplicaConfig, Standing, Verdict, Work};
use quorate::types::Index;

use crate::cluster::{Cluster, Told};

const PERIOD: Duration = Duration::from_secs(11);
const UNVERIFIED: Option<Told> = Some(Told::Rejected(RejectReason::Unverified));

fn proposes_some(cluster: &mut Cluster, count: u64) {
    (0..count).for_each(|_| cluster.proposes());
}

fn is_quarantined(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Quarantined { .. })
}

fn is_rebuilt(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Rebuilt { .. })
}

#[test]
fn nodes_that_agree_find_so_and_then_leave_each_other_alone() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 20);
    cluster.passes(PERIOD);
    for id in 1..=3 {
        assert_eq!(cluster.standing(id), Standing::Sound);
        assert!(cluster.node(id).comparisons().agreed > 0);
        assert!(cluster.verdicts(id).iter().all(|it| matches!(it, Verdict::Sound { .. })));
    }
    cluster.passes(PERIOD);
    let before = cluster.node(1).comparisons();
    cluster.passes(PERIOD * 5);
    assert_eq!(cluster.node(1).comparisons(), before, "nothing happened, nothing is asked");
}

#[test]
fn a_follower_that_errs_answers_nobody_until_it_is_rebuilt() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.errs(3, 1000);
    proposes_some(&mut cluster, 1);
    assert_eq!(cluster.sum(3), 1004);
    cluster.passes(PERIOD * 2);
    let verdicts = cluster.verdicts(3);
    assert!(verdicts.iter().any(is_quarantined), "{verdicts:?}");
    assert!(verdicts.iter().any(is_rebuilt), "{verdicts:?}");
    assert_eq!(cluster.standing(3), Standing::Sound);
    proposes_some(&mut cluster, 2);
    let sum = cluster.sum(1);
    assert_eq!((cluster.sum(2), cluster.sum(3)), (sum, sum));
    assert_eq!(cluster.reads(3), Some(Told::Answer(sum)));
    let others = [1, 2].map(|id| cluster.verdicts(id));
    assert!(!others.iter().flatten().any(is_quarantined));
}

#[test]
fn in_quarantine_a_node_acknowledges_and_neither_answers_nor_campaigns() {
    // Nobody else takes a snapshot that it could start over from, for nothing gets through.
    let mut cluster = Cluster::new(|config| config.snapshot_bytes_per_second = 1);
    proposes_some(&mut cluster, 3);
    cluster.errs(3, 1000);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD);
    assert_eq!(cluster.standing(3), Standing::Quarantined);
    assert_eq!(cluster.reads(3), UNVERIFIED);
    let applied = cluster.node(3).status().applied;
    proposes_some(&mut cluster, 2);
    let status = cluster.node(3).status();
    assert_eq!(status.durable, cluster.node(1).status().last.index, "its log is as good as any");
    assert_eq!(status.applied, applied, "and its state machine is not");
    cluster.input(3, quorate::replica::Input::Campaign);
    assert_eq!(cluster.leader(), Some(1));
    // Its vote counts: without the second node it makes a majority.
    cluster.cuts_off(2);
    proposes_some(&mut cluster, 1);
    assert!(matches!(cluster.told.last(), Some((1, Told::Reply(_)))), "{:?}", cluster.told.last());
}

#[test]
fn a_leader_that_errs_steps_down_and_is_rebuilt() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.errs(1, 1000);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD);
    assert!(cluster.verdicts(1).iter().any(is_quarantined));
    let other = cluster.leader().expect("somebody leads");
    assert_ne!(other, 1);
    cluster.passes(PERIOD);
    assert_eq!(cluster.standing(1), Standing::Sound);
    assert_eq!(cluster.sum(1), cluster.sum(2));
    assert_eq!(cluster.reads(1), Some(Told::Answer(cluster.sum(2))));
}

#[test]
fn where_all_differ_nobody_goes_on() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.errs(2, 1000);
    cluster.errs(3, 2000);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD * 2);
    for id in 1..=3 {
        assert_eq!(cluster.standing(id), Standing::Divided);
        assert_eq!(cluster.reads(id), UNVERIFIED);
    }
    assert_eq!(cluster.leader(), None);
    let applied = cluster.node(1).status().applied;
    cluster.proposes_at(1);
    cluster.passes(PERIOD);
    assert_eq!(cluster.node(1).status().applied, applied);
}

#[test]
fn two_that_differ_cannot_tell_without_the_third() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.crashes(2);
    cluster.errs(3, 1000);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD);
    let undecided = |verdict: &Verdict| matches!(verdict, Verdict::Undecided { .. });
    assert!(cluster.verdicts(1).iter().any(undecided), "it says that something is wrong");
    assert_eq!(cluster.standing(1), Standing::Sound);
    cluster.starts(2);
    cluster.passes(PERIOD);
    assert!(cluster.verdicts(3).iter().any(is_quarantined));
    assert_eq!(cluster.standing(3), Standing::Sound);
    assert_eq!(cluster.sum(3), cluster.sum(1));
}

#[test]
fn what_nobody_can_tell_is_no_reason_to_believe() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.cuts_off(3);
    cluster.passes(PERIOD * 3);
    proposes_some(&mut cluster, 1);
    let (before, counted) = (cluster.verdicts(1).len(), cluster.node(1).comparisons());
    cluster.cuts_off(2);
    cluster.passes(PERIOD);
    let later = &cluster.verdicts(1)[before..];
    assert!(!later.is_empty(), "it has asked");
    assert!(later.iter().all(|it| matches!(it, Verdict::Unavailable { .. })), "{later:?}");
    let now = cluster.node(1).comparisons();
    assert_eq!(now.agreed, counted.agreed, "what nobody can tell is no pass");
    assert_eq!(now.unavailable, counted.unavailable + later.len() as u64);
}

/// Node 3 crashes after it has erred and taken a snapshot of that.
fn restarts_with_a_wrong_snapshot() -> Cluster {
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 5;
        config.validation_period = Duration::from_secs(3600);
        config.validation_entries = 1000;
    });
    cluster.errs(3, 1000);
    proposes_some(&mut cluster, 12);
    cluster.passes(Duration::from_secs(1));
    assert!(cluster.node(3).status().snapshot > Index(2));
    cluster.crashes(3);
    cluster
}

#[test]
fn a_node_that_starts_compares_before_it_answers() {
    let mut cluster = restarts_with_a_wrong_snapshot();
    cluster.cuts_off(3);
    cluster.starts(3);
    assert_eq!(cluster.standing(3), Standing::Unchecked);
    assert_eq!(cluster.reads(3), UNVERIFIED);
    cluster.heals();
    cluster.passes(Duration::from_secs(2));
    proposes_some(&mut cluster, 1);
    cluster.passes(Duration::from_secs(2));
    assert!(cluster.verdicts(3).iter().any(is_quarantined), "{:?}", cluster.verdicts(3));
    proposes_some(&mut cluster, 1);
    cluster.passes(Duration::from_secs(2));
    assert_eq!(cluster.sum(3), cluster.sum(1));
    let wrong = |(by, told): &(u64, Told)| *by == 3 && matches!(told, Told::Answer(_));
    assert!(!cluster.told.iter().any(wrong));
    assert_eq!(cluster.reads(3), Some(Told::Answer(cluster.sum(1))));
}

#[test]
fn a_node_that_starts_answers_after_a_while_although_nobody_can_tell() {
    let mut cluster = Cluster::new(|config| config.snapshot_entries = 5);
    proposes_some(&mut cluster, 12);
    cluster.passes(Duration::from_secs(1));
    cluster.crashes(3);
    cluster.cuts_off(1);
    cluster.cuts_off(2);
    cluster.starts(3);
    assert_eq!(cluster.reads(3), UNVERIFIED);
    cluster.passes(Duration::from_secs(5));
    assert_eq!(cluster.standing(3), Standing::Unchecked, "it has not passed anything");
    assert_eq!(cluster.reads(3), Some(Told::Rejected(RejectReason::NoLeader)), "nobody leads");
}

/// The state machine of node 3 is damaged where no reply shows it.
fn rots(configure: fn(&mut ReplicaConfig)) -> Cluster {
    let mut cluster = Cluster::new(configure);
    proposes_some(&mut cluster, 3);
    cluster.rots(3);
    proposes_some(&mut cluster, 1);
    assert_eq!((cluster.sum(3), cluster.hidden(3)), (cluster.sum(1), cluster.hidden(1) + 1000));
    proposes_some(&mut cluster, 17);
    cluster.passes(PERIOD);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD);
    cluster
}

#[test]
fn damage_that_no_reply_shows_is_found_where_states_are_compared() {
    let cluster = rots(|config| config.validate_states = true);
    let verdicts = cluster.verdicts(3);
    assert!(verdicts.iter().any(is_quarantined), "{verdicts:?}");
    assert!(verdicts.iter().any(is_rebuilt), "{verdicts:?}");
    assert_eq!((cluster.hidden(2), cluster.hidden(3)), (cluster.hidden(1), cluster.hidden(1)));
    assert_eq!([1, 2, 3].map(|id| cluster.standing(id)), [Standing::Sound; 3]);
    let others = [1, 2].map(|id| cluster.verdicts(id));
    assert!(!others.iter().flatten().any(is_quarantined));
}

#[test]
fn damage_that_no_reply_shows_is_not_found_elsewhere() {
    let cluster = rots(|_| {});
    assert_eq!(cluster.standing(3), Standing::Sound);
    assert_eq!(cluster.hidden(3), cluster.hidden(1) + 1000);
}

#[test]
fn a_majority_that_errs_alike_is_believed() {
    let mut cluster = Cluster::new(|_| {});
    proposes_some(&mut cluster, 3);
    cluster.errs(2, 1000);
    cluster.errs(3, 1000);
    proposes_some(&mut cluster, 1);
    cluster.passes(PERIOD * 3);
    assert!(cluster.verdicts(1).iter().any(is_quarantined));
    let others = [2, 3].map(|id| cluster.verdicts(id));
    assert!(others.iter().flatten().all(|it| matches!(it, Verdict::Sound { .. })), "{others:?}");
    assert_eq!([1, 2, 3].map(|id| cluster.sum(id)), [1004; 3]);
}

#[test]
fn half_of_the_voters_prove_nothing_to_who_starts() {
    let mut cluster = restarts_with_a_wrong_snapshot();
    cluster.crashes(2);
    cluster.starts(3);
    cluster.passes(PERIOD * 3);
    let undecided = |verdict: &Verdict| matches!(verdict, Verdict::Undecided { .. });
    let verdicts = cluster.verdicts(3);
    assert!(!verdicts.is_empty() && verdicts.iter().all(undecided), "{verdicts:?}");
    assert_eq!(cluster.node(3).comparisons().agreed, 0);
    assert_eq!(cluster.standing(3), Standing::Unchecked);
    assert_eq!(cluster.reads(3), UNVERIFIED, "one of the two is wrong, however long it takes");
    assert_eq!(cluster.reads(1), Some(Told::Answer(cluster.sum(1))));
    cluster.starts(2);
    cluster.passes(PERIOD * 2);
    assert!(cluster.verdicts(3).iter().any(is_rebuilt), "{:?}", cluster.verdicts(3));
    assert_eq!(cluster.reads(3), Some(Told::Answer(cluster.sum(1))));
}

/// Node 3, which was cut off, has to start over from the leader's snapshot, and its worker has not
/// done so, when the answers to what it had asked before come at last. `errs` says by how much the
/// state machines of nodes 2 and 3 were off then.
fn judged_while_it_starts_over(errs: [u64; 2]) -> Cluster {
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 4;
        config.trailing_entries = 0;
        config.validation_entries = 1000;
        config.validation_patience = Duration::from_secs(3600);
    });
    proposes_some(&mut cluster, 1);
    (2..).zip(errs).for_each(|(id, by)| cluster.errs(id, by));
    proposes_some(&mut cluster, 1);
    cluster.cuts_off(3);
    cluster.passes(PERIOD);
    proposes_some(&mut cluster, 12);
    cluster.passes(Duration::from_secs(1));
    cluster.sticks(3);
    cluster.heals();
    cluster.passes(Duration::from_secs(1));
    let stuck = cluster.stuck(3);
    assert!(matches!(stuck, [Work::Restore(_)]), "{stuck:?}");
    assert_eq!(cluster.standing(3), Standing::Sound);
    cluster.comes_late(3);
    cluster
}

#[test]
fn who_is_found_wrong_while_it_starts_over_is_rebuilt() {
    let mut cluster = judged_while_it_starts_over([0, 1000]);
    assert_eq!(cluster.standing(3), Standing::Quarantined);
    // A machine that keeps its state by itself has what it had.
    cluster.goes_on(3);
    assert_eq!(cluster.standing(3), Standing::Quarantined);
    assert!(!cluster.verdicts(3).iter().any(is_rebuilt));
    proposes_some(&mut cluster, 5);
    cluster.passes(Duration::from_secs(3601 * 3));
    assert!(cluster.verdicts(3).iter().any(is_rebuilt), "{:?}", cluster.verdicts(3));
    assert_eq!(cluster.standing(3), Standing::Sound);
    assert_eq!(cluster.sum(3), cluster.sum(1));
}

#[test]
fn where_all_differ_a_snapshot_on_its_way_ends_nothing() {
    let mut cluster = judged_while_it_starts_over([2000, 1000]);
    assert_eq!(cluster.standing(3), Standing::Divided);
    cluster.goes_on(3);
    assert_eq!(cluster.standing(3), Standing::Divided, "nobody has looked");
    assert_eq!(cluster.reads(3), UNVERIFIED);
}
