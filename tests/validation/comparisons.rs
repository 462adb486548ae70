//! Comparisons of state machines, and the rebuild of diverged ones.

use std::time::Duration;

use quorate::raft::RejectReason;
use quorate::replica::{ComparisonResult, ReplicaConfig, StateVerification, Work};
use quorate::types::Index;

use super::cluster::{Cluster, Event};

const PERIOD: Duration = Duration::from_secs(11);
const UNVERIFIED: Option<Event> = Some(Event::Rejected(RejectReason::Unverified));

fn propose_some(cluster: &mut Cluster, count: u64) {
    (0..count).for_each(|_| cluster.propose());
}

fn is_quarantined(result: &ComparisonResult) -> bool {
    matches!(result, ComparisonResult::Diverged { .. })
}

fn is_rebuilt(result: &ComparisonResult) -> bool {
    matches!(result, ComparisonResult::Rebuilt { .. })
}

#[test]
fn nodes_with_equal_states_are_consistent_and_stop_comparing() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 20);
    cluster.advance(PERIOD);
    for id in 1..=3 {
        assert_eq!(cluster.verification(id), StateVerification::Consistent);
        assert!(cluster.node(id).comparisons().consistent > 0);
        assert!(
            cluster.results(id).iter().all(|it| matches!(it, ComparisonResult::Consistent { .. }))
        );
    }
    cluster.advance(PERIOD);
    let before = cluster.node(1).comparisons();
    cluster.advance(PERIOD * 5);
    assert_eq!(
        cluster.node(1).comparisons(),
        before,
        "no entry was applied, so no comparison starts"
    );
}

#[test]
fn a_diverged_follower_serves_no_reads_until_it_is_rebuilt() {
    for is_durable in [false, true] {
        let mut cluster = Cluster::with_states(is_durable, |_| {});
        propose_some(&mut cluster, 3);
        cluster.inject_error(3, 1000);
        propose_some(&mut cluster, 1);
        assert_eq!(cluster.sum(3), 1004);
        cluster.advance(PERIOD * 2);
        let results = cluster.results(3);
        assert!(results.iter().any(is_quarantined), "{results:?}");
        assert!(results.iter().any(is_rebuilt), "{results:?}");
        assert_eq!(cluster.verification(3), StateVerification::Consistent);
        propose_some(&mut cluster, 2);
        let sum = cluster.sum(1);
        assert_eq!((cluster.sum(2), cluster.sum(3)), (sum, sum));
        assert_eq!(cluster.read(3), Some(Event::Answer(sum)));
        let others = [1, 2].map(|id| cluster.results(id));
        assert!(!others.iter().flatten().any(is_quarantined));
    }
}

#[test]
fn a_quarantined_node_acknowledges_but_serves_no_reads_and_starts_no_election() {
    // No snapshot for a rebuild arrives, because the rate is too low.
    let mut cluster = Cluster::new(|config| config.snapshot_bytes_per_second = 1);
    propose_some(&mut cluster, 3);
    cluster.inject_error(3, 1000);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD);
    assert_eq!(cluster.verification(3), StateVerification::Quarantined);
    assert_eq!(cluster.read(3), UNVERIFIED);
    let applied = cluster.node(3).status().applied;
    propose_some(&mut cluster, 2);
    let status = cluster.node(3).status();
    assert_eq!(status.durable, cluster.node(1).status().last.index, "its log is intact");
    assert_eq!(status.applied, applied, "it applies nothing");
    cluster.input(3, quorate::replica::Input::Campaign);
    assert_eq!(cluster.leader(), Some(1));
    // Its acknowledgement counts: without node 2 it completes a majority.
    cluster.partition(2);
    propose_some(&mut cluster, 1);
    assert!(
        matches!(cluster.events.last(), Some((1, Event::Reply(_)))),
        "{:?}",
        cluster.events.last()
    );
}

#[test]
fn a_diverged_leader_steps_down_and_is_rebuilt() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 3);
    cluster.inject_error(1, 1000);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD);
    assert!(cluster.results(1).iter().any(is_quarantined));
    let other = cluster.leader().expect("there is a leader");
    assert_ne!(other, 1);
    cluster.advance(PERIOD);
    assert_eq!(cluster.verification(1), StateVerification::Consistent);
    assert_eq!(cluster.sum(1), cluster.sum(2));
    assert_eq!(cluster.read(1), Some(Event::Answer(cluster.sum(2))));
}

#[test]
fn without_a_majority_all_nodes_stop_applying() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 3);
    cluster.inject_error(2, 1000);
    cluster.inject_error(3, 2000);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD * 2);
    for id in 1..=3 {
        assert_eq!(cluster.verification(id), StateVerification::NoMajority);
        assert_eq!(cluster.read(id), UNVERIFIED);
    }
    assert_eq!(cluster.leader(), None);
    let applied = cluster.node(1).status().applied;
    cluster.propose_at(1);
    cluster.advance(PERIOD);
    assert_eq!(cluster.node(1).status().applied, applied);
}

#[test]
fn two_different_states_are_inconclusive_without_the_third() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 3);
    cluster.crash(2);
    cluster.inject_error(3, 1000);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD);
    let inconclusive =
        |result: &ComparisonResult| matches!(result, ComparisonResult::Inconclusive { .. });
    assert!(cluster.results(1).iter().any(inconclusive), "it reports the difference");
    assert_eq!(cluster.verification(1), StateVerification::Consistent);
    cluster.start(2);
    cluster.advance(PERIOD);
    assert!(cluster.results(3).iter().any(is_quarantined));
    assert_eq!(cluster.verification(3), StateVerification::Consistent);
    assert_eq!(cluster.sum(3), cluster.sum(1));
}

#[test]
fn unknown_digests_are_no_evidence() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 3);
    cluster.partition(3);
    cluster.advance(PERIOD * 3);
    propose_some(&mut cluster, 1);
    let (before, counted) = (cluster.results(1).len(), cluster.node(1).comparisons());
    cluster.partition(2);
    cluster.advance(PERIOD);
    let later = &cluster.results(1)[before..];
    assert!(!later.is_empty(), "it has compared");
    assert!(later.iter().all(|it| matches!(it, ComparisonResult::Unavailable { .. })), "{later:?}");
    let now = cluster.node(1).comparisons();
    assert_eq!(now.consistent, counted.consistent, "unknown digests do not count as agreement");
    assert_eq!(now.unavailable, counted.unavailable + later.len() as u64);
}

/// Crashes node 3 after its state diverged and it took a snapshot of that state.
fn crashed_with_a_diverged_snapshot() -> Cluster {
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 5;
        config.validation_period = Duration::from_secs(3600);
        config.validation_entries = 1000;
    });
    cluster.inject_error(3, 1000);
    propose_some(&mut cluster, 12);
    cluster.advance(Duration::from_secs(1));
    assert!(cluster.node(3).status().snapshot > Index(2));
    cluster.crash(3);
    cluster
}

#[test]
fn a_started_node_compares_before_it_serves_reads() {
    let mut cluster = crashed_with_a_diverged_snapshot();
    cluster.partition(3);
    cluster.start(3);
    assert_eq!(cluster.verification(3), StateVerification::Unverified);
    assert_eq!(cluster.read(3), UNVERIFIED);
    cluster.heal();
    cluster.advance(Duration::from_secs(2));
    propose_some(&mut cluster, 1);
    cluster.advance(Duration::from_secs(2));
    assert!(cluster.results(3).iter().any(is_quarantined), "{:?}", cluster.results(3));
    propose_some(&mut cluster, 1);
    cluster.advance(Duration::from_secs(2));
    assert_eq!(cluster.sum(3), cluster.sum(1));
    let wrong = |(by, event): &(u64, Event)| *by == 3 && matches!(event, Event::Answer(_));
    assert!(!cluster.events.iter().any(wrong));
    assert_eq!(cluster.read(3), Some(Event::Answer(cluster.sum(1))));
}

#[test]
fn a_started_node_waits_for_a_comparison_for_a_bounded_time_only() {
    let mut cluster = Cluster::new(|config| config.snapshot_entries = 5);
    propose_some(&mut cluster, 12);
    cluster.advance(Duration::from_secs(1));
    cluster.crash(3);
    cluster.partition(1);
    cluster.partition(2);
    cluster.start(3);
    assert_eq!(cluster.read(3), UNVERIFIED);
    cluster.advance(Duration::from_secs(5));
    assert_eq!(
        cluster.verification(3),
        StateVerification::Unverified,
        "no comparison was conclusive"
    );
    assert_eq!(
        cluster.read(3),
        Some(Event::Rejected(RejectReason::NoLeader)),
        "there is no leader"
    );
}

#[test]
fn a_quarantine_survives_a_restart() {
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 5;
        config.validation_period = Duration::from_secs(1);
    });
    propose_some(&mut cluster, 12);
    cluster.inject_error(3, 1000);
    propose_some(&mut cluster, 1);
    // No snapshot of the others reaches the node before it restarts.
    while cluster.verification(3) != StateVerification::Quarantined {
        cluster.advance(Duration::from_millis(10));
    }
    for _ in 0..2 {
        cluster.crash(3);
        cluster.partition(3);
        cluster.start(3);
        assert_eq!(cluster.verification(3), StateVerification::Quarantined);
        cluster.advance(Duration::from_secs(10));
        assert_eq!(cluster.verification(3), StateVerification::Quarantined, "it never compares");
        assert!(matches!(cluster.read(3), Some(Event::Rejected(_))));
    }
    cluster.heal();
    propose_some(&mut cluster, 1);
    cluster.advance(Duration::from_secs(5));
    assert!(cluster.results(3).iter().any(is_rebuilt), "{:?}", cluster.results(3));
    assert_eq!(cluster.sum(3), cluster.sum(1));
    // The rebuild ended the quarantine durably.
    cluster.crash(3);
    cluster.start(3);
    assert_eq!(cluster.verification(3), StateVerification::Consistent, "it compares at once");
}

/// Corrupts the state machine of node 3 in a part that no reply shows.
fn with_hidden_corruption(configure: fn(&mut ReplicaConfig)) -> Cluster {
    let mut cluster = Cluster::new(configure);
    propose_some(&mut cluster, 3);
    cluster.corrupt(3);
    propose_some(&mut cluster, 1);
    assert_eq!((cluster.sum(3), cluster.hidden(3)), (cluster.sum(1), cluster.hidden(1) + 1000));
    propose_some(&mut cluster, 17);
    cluster.advance(PERIOD);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD);
    cluster
}

#[test]
fn hidden_corruption_is_found_if_states_are_compared() {
    let cluster = with_hidden_corruption(|config| config.validate_states = true);
    let results = cluster.results(3);
    assert!(results.iter().any(is_quarantined), "{results:?}");
    assert!(results.iter().any(is_rebuilt), "{results:?}");
    assert_eq!((cluster.hidden(2), cluster.hidden(3)), (cluster.hidden(1), cluster.hidden(1)));
    assert_eq!([1, 2, 3].map(|id| cluster.verification(id)), [StateVerification::Consistent; 3]);
    let others = [1, 2].map(|id| cluster.results(id));
    assert!(!others.iter().flatten().any(is_quarantined));
}

#[test]
fn hidden_corruption_is_not_found_by_results_alone() {
    let cluster = with_hidden_corruption(|_| {});
    assert_eq!(cluster.verification(3), StateVerification::Consistent);
    assert_eq!(cluster.hidden(3), cluster.hidden(1) + 1000);
}

#[test]
fn a_majority_with_the_same_error_is_taken_for_correct() {
    let mut cluster = Cluster::new(|_| {});
    propose_some(&mut cluster, 3);
    cluster.inject_error(2, 1000);
    cluster.inject_error(3, 1000);
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD * 3);
    assert!(cluster.results(1).iter().any(is_quarantined));
    let others = [2, 3].map(|id| cluster.results(id));
    assert!(
        others.iter().flatten().all(|it| matches!(it, ComparisonResult::Consistent { .. })),
        "{others:?}"
    );
    assert_eq!([1, 2, 3].map(|id| cluster.sum(id)), [1004; 3]);
}

#[test]
fn half_of_the_voters_verify_no_started_node() {
    let mut cluster = crashed_with_a_diverged_snapshot();
    cluster.crash(2);
    cluster.start(3);
    cluster.advance(PERIOD * 3);
    let inconclusive =
        |result: &ComparisonResult| matches!(result, ComparisonResult::Inconclusive { .. });
    let results = cluster.results(3);
    assert!(!results.is_empty() && results.iter().all(inconclusive), "{results:?}");
    assert_eq!(cluster.node(3).comparisons().consistent, 0);
    assert_eq!(cluster.verification(3), StateVerification::Unverified);
    assert_eq!(cluster.read(3), UNVERIFIED, "one of the two has diverged");
    assert_eq!(cluster.read(1), Some(Event::Answer(cluster.sum(1))));
    cluster.start(2);
    cluster.advance(PERIOD * 2);
    assert!(cluster.results(3).iter().any(is_rebuilt), "{:?}", cluster.results(3));
    assert_eq!(cluster.read(3), Some(Event::Answer(cluster.sum(1))));
}

/// Node 3 was partitioned and must restore the leader's snapshot, but its worker is paused when the
/// replies to an earlier comparison arrive. `errs` are the errors of the state machines of nodes 2
/// and 3 at that comparison.
fn compared_during_a_restore(errs: [u64; 2]) -> Cluster {
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 4;
        config.trailing_entries = 0;
        config.validation_entries = 1000;
        config.validation_timeout = Duration::from_secs(3600);
    });
    propose_some(&mut cluster, 1);
    (2..).zip(errs).for_each(|(id, by)| cluster.inject_error(id, by));
    propose_some(&mut cluster, 1);
    cluster.partition(3);
    cluster.advance(PERIOD);
    propose_some(&mut cluster, 12);
    cluster.advance(Duration::from_secs(1));
    cluster.pause_worker(3);
    cluster.heal();
    cluster.advance(Duration::from_secs(1));
    let pending_work = cluster.pending_work(3);
    assert!(matches!(pending_work, [Work::Restore(_)]), "{pending_work:?}");
    assert_eq!(cluster.verification(3), StateVerification::Consistent);
    cluster.deliver_late(3);
    cluster
}

#[test]
fn a_node_found_diverged_during_a_restore_is_rebuilt() {
    let mut cluster = compared_during_a_restore([0, 1000]);
    assert_eq!(cluster.verification(3), StateVerification::Quarantined);
    // A state machine with durable state of its own may have kept its state.
    cluster.resume_worker(3);
    assert_eq!(cluster.verification(3), StateVerification::Quarantined);
    assert!(!cluster.results(3).iter().any(is_rebuilt));
    propose_some(&mut cluster, 5);
    cluster.advance(Duration::from_secs(3601 * 3));
    assert!(cluster.results(3).iter().any(is_rebuilt), "{:?}", cluster.results(3));
    assert_eq!(cluster.verification(3), StateVerification::Consistent);
    assert_eq!(cluster.sum(3), cluster.sum(1));
}

#[test]
fn without_a_majority_a_restore_in_progress_ends_nothing() {
    let mut cluster = compared_during_a_restore([2000, 1000]);
    assert_eq!(cluster.verification(3), StateVerification::NoMajority);
    cluster.resume_worker(3);
    assert_eq!(
        cluster.verification(3),
        StateVerification::NoMajority,
        "no operator has intervened"
    );
    assert_eq!(cluster.read(3), UNVERIFIED);
}

/// Returns a cluster whose nodes have compacted their logs.
fn compacted() -> Cluster {
    let mut cluster = Cluster::new(|config| {
        (config.snapshot_entries, config.trailing_entries) = (10, 0);
        (config.storage.segment_bytes, config.storage.flush_bytes_max) = (64 << 10, 16 << 10);
        config.storage.command_bytes_max = 4 << 10;
        config.raft.command_bytes_max = 4 << 10;
    });
    propose_some(&mut cluster, 35);
    cluster.advance(PERIOD);
    let base = |id| cluster.node(id).raft().log().base().index;
    assert!((1..=3).all(|id| base(id) > Index::ZERO), "no log reaches back to the beginning");
    cluster
}

#[test]
fn a_node_without_a_readable_snapshot_rebuilds_its_state_from_a_peer() {
    let mut cluster = compacted();
    cluster.crash(3);
    assert!(cluster.damage_snapshots(3) > 0);
    propose_some(&mut cluster, 1);
    cluster.start(3);
    assert_eq!(cluster.verification(3), StateVerification::Quarantined);
    assert_eq!((cluster.sum(3), cluster.read(3)), (0, UNVERIFIED));
    cluster.advance(PERIOD);
    assert!(cluster.results(3).iter().any(is_rebuilt), "{:?}", cluster.results(3));
    propose_some(&mut cluster, 1);
    let sum = cluster.sum(1);
    assert_eq!((cluster.sum(3), cluster.read(3)), (sum, Some(Event::Answer(sum))));
    cluster.crash(3);
    cluster.start(3);
    cluster.advance(PERIOD);
    assert_eq!(cluster.sum(3), sum, "the new snapshot is on its disk");
}

#[test]
fn two_of_three_nodes_without_a_readable_snapshot_rebuild_from_the_third() {
    let mut cluster = compacted();
    let sum = cluster.sum(1);
    (1..=3).for_each(|id| cluster.crash(id));
    assert!([1, 3].map(|id| cluster.damage_snapshots(id)).iter().all(|files| *files > 0));
    (1..=3).for_each(|id| cluster.start(id));
    cluster.advance(PERIOD * 3);
    assert_eq!(cluster.leader(), Some(2), "only this node may lead");
    propose_some(&mut cluster, 1);
    cluster.advance(PERIOD * 3);
    assert_eq!([1, 2, 3].map(|id| cluster.sum(id)), [sum + 1; 3]);
}

#[test]
fn without_any_readable_snapshot_no_node_answers() {
    let mut cluster = compacted();
    (1..=3).for_each(|id| cluster.crash(id));
    (1..=3).for_each(|id| assert!(cluster.damage_snapshots(id) > 0));
    (1..=3).for_each(|id| cluster.start(id));
    cluster.advance(PERIOD * 3);
    assert_eq!(cluster.leader(), None);
    let reads = [1, 2, 3].map(|id| cluster.read(id));
    assert!(reads.iter().all(|read| !matches!(read, Some(Event::Answer(_)))), "{reads:?}");
}
