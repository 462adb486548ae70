//! Forged acknowledgements, commits and repairs of damaged entries: S35, S36 and S82.

use std::time::Duration;

use quorate::types::{Body, Index, NodeId, Term};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, id, noop};

/// Node 1 leads term 1, and node 2 has lost the content of the second of three entries.
fn damaged() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1), noop(3, 1)]);
    stage.commits(1, 3);
    let (node, entries) = (NodeId(2), &[id(2, 1)][..]);
    stage.observes(Observation::EntriesDamaged { node, entries });
    stage
}

/// Node 1 leads term 1 and has lost the content of the second of four entries. The last two are not
/// committed, and node 2 has them.
fn damaged_leader() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1)]);
    stage.commits(1, 2);
    stage.all_hold(&[1, 2], &[noop(3, 1), noop(4, 1)]);
    let (node, entries) = (NodeId(1), &[id(2, 1)][..]);
    stage.observes(Observation::EntriesDamaged { node, entries });
    stage.changes_status(1, |status| status.damaged_entries = 1);
    stage
}

impl Stage {
    /// Node 2 decides to acknowledge its log up to `matched`.
    fn second_acknowledges(&mut self, matched: u64) {
        let (node, term, matched) = (NodeId(2), Term(1), Index(matched));
        self.observes(Observation::Acknowledged { node, term, matched });
    }

    /// Node 2 asks another node for the content of its second entry, some time after its last
    /// request.
    fn second_asks(&mut self, other: u64, after: Duration) {
        self.advances_time(after);
        self.changes_status(2, |status| status.damaged_entries = 1);
        let body = Body::RequestEntries { first: id(2, 1), last: Index(2) };
        self.sends_at_once(2, other, 1, body);
    }

    /// Node 2 regards its second entry as repaired.
    fn second_is_repaired(&mut self, is_missing: bool) {
        let (node, entries) = (NodeId(2), &[id(2, 1)][..]);
        let missing = if is_missing { entries } else { &[] };
        self.observes(Observation::EntriesRepaired { node, entries, missing });
    }
}

#[test]
fn a_node_asks_the_other_members_in_turn_and_at_once_after_a_repair() {
    let mut stage = damaged();
    for member in [1, 3, 4, 5, 1, 3] {
        stage.second_asks(member, Duration::from_secs(1));
    }
    stage.second_is_repaired(false);
    stage.second_asks(4, Duration::ZERO);
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S82 a_node_asks_the_same_member_for_its_damaged_entries on damaged
    "n2 asks n1 4 times in a row for the contents of damaged entries, although it could ask 4 \
     members"
    |stage| (0..4).for_each(|_| stage.second_asks(1, Duration::from_secs(1)))

    S82 a_node_asks_for_its_damaged_entries_without_a_pause on damaged
    "n2 asks n3 for the contents of damaged entries within 50ms after it asked n1, and has \
     repaired no entry since"
    |stage| [1, 3].into_iter().for_each(|member| stage.second_asks(member, Duration::ZERO))

    S82 a_node_asks_for_the_end_of_the_log_without_a_pause on damaged
    "n2 asks n1 for the end of the log again within 50ms"
    |stage| {
        for _ in 0..2 {
            stage.sends_in_step(2, 1, 1, Body::RequestLogEnd { start_id: 7 });
        }
    }

    S35 a_node_acknowledges_a_damaged_entry on damaged
    "n2 acknowledges index 2, but knows that its disk has lost entry 2"
    |stage| {
        stage.second_acknowledges(1);
        stage.second_acknowledges(2);
    }

    S35 a_node_acknowledges_an_entry_after_a_damaged_one on damaged
    "n2 acknowledges index 3, but knows that its disk has lost entry 2"
    |stage| stage.second_acknowledges(3)

    S35 a_repaired_entry_is_damaged_again on damaged
    "n2 acknowledges index 3, but knows that its disk has lost entry 2"
    |stage| {
        stage.second_is_repaired(false);
        stage.second_acknowledges(3);
        let (node, entries) = (NodeId(2), &[id(2, 1)][..]);
        stage.observes(Observation::EntriesDamaged { node, entries });
        stage.second_acknowledges(3);
    }

    S35 a_leader_counts_its_damaged_entries on damaged_leader
    "n1 leads term t1 and commits index 4, but knows that its disk has lost entry 2, and no quorum \
     of {n1 n2 n3 n4 n5} without n1 has entry 4@t1"
    |stage| {
        stage.holds(3, &[noop(3, 1)]);
        stage.enters(4, 1);
        stage.holds(4, &[noop(1, 1), noop(2, 1), noop(3, 1)]);
        stage.commits(1, 3);
        stage.holds(3, &[noop(4, 1)]);
        stage.commits(1, 4);
    }

    S36 a_repaired_entry_is_not_on_the_disk on damaged
    "n2 regards its damaged entry 2@t1 as repaired, but its disk does not hold the entry"
    |stage| stage.second_is_repaired(true)
}

#[test]
fn entries_that_are_covered_absent_or_of_an_earlier_start_are_not_damaged() {
    let mut covered = damaged();
    covered.changes_status(2, |status| status.snapshot = Index(2));
    covered.second_acknowledges(3);
    assert_eq!(covered.violation(), None);

    let mut stale = Stage::new();
    let (node, entries) = (NodeId(2), &[id(2, 1)][..]);
    stale.observes(Observation::EntriesDamaged { node, entries });
    stale.second_acknowledges(3);
    assert_eq!(stale.violation(), None, "the log does not have the damaged entry");

    let mut restarted = damaged();
    restarted.crashes(2);
    restarted.starts(2);
    restarted.second_acknowledges(3);
    assert_eq!(restarted.violation(), None, "a start reports again which entries are damaged");
}

#[test]
fn a_leader_commits_entries_of_an_earlier_term_with_a_snapshot_that_covers_its_damage() {
    let mut stage = damaged();
    stage.enters(4, 1);
    stage.holds(4, &[noop(1, 1), noop(2, 1), noop(3, 1)]);
    stage.wins(2, 2, &[1, 3]);
    stage.changes_status(2, |status| status.damaged_entries = 1);
    stage.commits(2, 3);
    assert_eq!(stage.violation(), None);
}
