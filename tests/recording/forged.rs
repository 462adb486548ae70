//! Forged events for every check over recordings: no check notices anything in an honest run, and
//! each notices one wrong fact in it.

use core::time::Duration;
use std::cell::RefCell;

use quorate::log::Log;
use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::{Contents, Step};
use quorate::types::{
    Body, Entry, EntryId, Freshness, Incarnation, Index, Message, NodeId, Payload, ReadLevel,
    Restored, Tag, Term,
};
use quorate_sim::recordings::{
    ClockOffset, CoreState, Event, EventKind, Merged, NodeRecording, RecordingChecks, merge,
};
use quorate_sim::values::time::SimTime;

use super::checks::surveyed;
use crate::harness::{Cluster, ONE, THREE, TWO};

/// A step of one node as the checks see it, to be changed by a forgery.
struct Facts {
    node: NodeId,
    at: SimTime,
    step: Step,
    before: Status,
    status: Status,
    log: Log,
}

/// Three nodes: n1 leads term 1 and commits, then n2 leads term 2 and commits.
fn recordings() -> Vec<NodeRecording> {
    let mut cluster = Cluster::new(3);
    for id in cluster.ids() {
        cluster.node_mut(id).contents = Contents::Kept;
        cluster.crash(id);
        cluster.restart(id);
    }
    cluster.elect(ONE);
    cluster.propose(ONE, "one command");
    cluster.pass(Duration::from_secs(1));
    cluster.elect(TWO);
    cluster.propose(TWO, "another command");
    cluster.pass(Duration::from_secs(1));
    [ONE, TWO, THREE].map(|id| surveyed(cluster.node_mut(id).finish_recording())).into()
}

/// Three nodes: n1 leads term 1 and commits, and n3 starts again.
fn recordings_with_a_restart() -> Vec<NodeRecording> {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.propose(ONE, "one command");
    cluster.pass(Duration::from_secs(1));
    cluster.crash(THREE);
    cluster.pass(Duration::from_secs(1));
    cluster.restart(THREE);
    cluster.pass(Duration::from_secs(1));
    [ONE, TWO, THREE].map(|id| surveyed(cluster.node_mut(id).finish_recording())).into()
}

/// The facts about the second start of n3, apart from the status.
struct Restart {
    /// The number of nodes that are recorded, from n3 downwards.
    recorded: usize,
    /// The disks of the two starts.
    incarnations: [u128; 2],
    /// Whether both starts are in one file.
    is_later: bool,
    /// Whether a node receives a request of n3 for the end of the log in between.
    asks: bool,
}

impl Default for Restart {
    fn default() -> Restart {
        Restart { recorded: 3, incarnations: [7, 7], is_later: true, asks: false }
    }
}

impl Restart {
    /// Returns the ids of the checks that notice the forged status with which n3 starts again, and
    /// the number of facts that are undecided for S7 and S17.
    fn noticed(&self, forge: impl Fn(&mut Status)) -> (Vec<&'static str>, u64) {
        let recordings = recordings_with_a_restart();
        let recorded = &recordings[3 - self.recorded..];
        let ids: Vec<NodeId> = recorded.iter().map(|recording| recording.node).collect();
        let mut checks = RecordingChecks::new(&ids);
        let mut starts = 0;
        let merged = merge(recorded, |event| {
            if matches!(event.kind, EventKind::Begins { .. }) && event.node == THREE {
                starts += 1;
            }
            self.observe(&mut checks, event, starts, &forge);
        });
        assert_eq!(starts, 2);
        let results = checks.finish(&merged);
        let starts = results.iter().filter(|checked| ["S7", "S17"].contains(&checked.check.id));
        let undecided = starts.flat_map(|checked| checked.undecided.values()).sum();
        let violated = results.iter().filter(|checked| checked.violation.is_some());
        (violated.map(|checked| checked.check.id).collect(), undecided)
    }

    fn observe(
        &self,
        checks: &mut RecordingChecks,
        event: &Event<'_>,
        starts: usize,
        forge: &impl Fn(&mut Status),
    ) {
        let is_third = event.node == THREE;
        match event.kind {
            EventKind::Begins { header, continues, state, .. } if is_third && starts == 2 => {
                let mut status = *state.status;
                forge(&mut status);
                let (is_later, state) = (self.is_later, CoreState { status: &status, ..state });
                let kind = EventKind::Begins { header, continues, is_later, state };
                checks.observe(&Event { kind, ..*event });
            }
            EventKind::Steps { step, before, due, sent_at, state } => {
                let mut step = step.clone();
                for action in &mut step.actions {
                    if let Action::Send(message) = action
                        && is_third
                    {
                        message.incarnation = Incarnation(self.incarnations[starts - 1]);
                    }
                }
                // The last of these steps are after the crash of n3.
                if self.asks && event.node == ONE && starts == 1 && step.input == Input::Timeout {
                    let body = Body::RequestLogEnd { start_id: 7 };
                    let (from, incarnation, term) = (THREE, Incarnation(7), Term(1));
                    let message = Message { from, incarnation, to: ONE, term, body };
                    step.input = Input::Message(message);
                }
                let kind = EventKind::Steps { step: &step, before, due, sent_at, state };
                checks.observe(&Event { kind, ..*event });
            }
            _ => checks.observe(event),
        }
    }
}

/// Returns the ids of the checks that notice the forgery.
fn noticed(forge: impl FnMut(&mut Facts), clocks: Vec<ClockOffset>) -> Vec<&'static str> {
    let (recordings, forge) = (recordings(), RefCell::new(forge));
    let checks = RefCell::new(RecordingChecks::new(&[ONE, TWO, THREE]));
    let _ = merge(&recordings, |event| {
        let EventKind::Steps { step, before, due, sent_at, state } = event.kind else {
            return checks.borrow_mut().observe(event);
        };
        let mut facts = Facts {
            node: event.node,
            at: event.at,
            step: step.clone(),
            before: *before,
            status: *state.status,
            log: state.log.clone(),
        };
        (forge.borrow_mut())(&mut facts);
        let Facts { node, at, step, before, status, log } = &facts;
        let state = CoreState { status, log, ..state };
        let kind = EventKind::Steps { step, before, due, sent_at, state };
        checks.borrow_mut().observe(&Event { at: *at, node: *node, kind });
    });
    let merged = Merged { clocks, ..Merged::default() };
    let results = checks.into_inner().finish(&merged);
    let violated = results.into_iter().filter(|checked| checked.violation.is_some());
    violated.map(|checked| checked.check.id).collect()
}

/// Asserts that these checks, and no others, notice the forgery: some facts violate several.
fn notices(ids: &[&str], forge: impl FnMut(&mut Facts)) {
    assert_eq!(noticed(forge, Vec::new()), ids);
}

/// The messages that a step sends.
fn sent(facts: &mut Facts) -> impl Iterator<Item = &mut Message> {
    facts.step.actions.iter_mut().filter_map(|action| match action {
        Action::Send(message) => Some(message),
        _ => None,
    })
}

/// Returns a log with these terms, from index 1 on.
fn log_of(terms: &[u64]) -> Log {
    let ids = terms.iter().zip(1..).map(|(term, index)| EntryId::new(Term(*term), Index(index)));
    let entries = ids.map(|id| Entry { id, payload: Payload::Noop }).collect();
    let hard_state = quorate::types::HardState::default();
    let snapshot = quorate::types::SnapshotMeta::empty(EntryId::ZERO, crate::harness::voters(3));
    let restored = Restored::with_log(hard_state, Index::ZERO, snapshot, entries);
    Log::new(&restored).expect("it is consistent")
}

fn becomes_leader(facts: &Facts) -> bool {
    facts.status.role == RoleName::Leader && facts.before.role != RoleName::Leader
}

fn commits(facts: &Facts) -> bool {
    facts.status.committed > facts.before.committed
}

#[test]
fn nothing_is_noticed_without_a_forgery() {
    notices(&[], |_| {});
}

#[test]
fn a_second_leader_of_a_term_violates_s1() {
    notices(&["S1"], |facts| {
        if let Input::Message(message) = &mut facts.step.input
            && facts.node == THREE
            && message.term == Term(2)
            && matches!(message.body, Body::Heartbeat(_))
        {
            message.from = ONE;
        }
    });
}

#[test]
fn a_leader_without_durable_votes_violates_s2_s4_s5_and_s12() {
    notices(&["S2", "S4", "S5", "S12"], |facts| {
        let is_vote = facts.node != TWO && facts.status.term == Term(2);
        if is_vote && matches!(facts.step.input, Input::Persisted(_)) {
            facts.step.input = Input::Timeout;
        }
        // Without the writes of term 2, later acknowledgements would be wrong as well.
        facts.step.actions.retain(|action| {
            !matches!(action, Action::Send(message) if message.body.acknowledged() > Index::ZERO)
        });
        if facts.node != TWO && facts.status.term == Term(2) {
            facts.status.durable = Index::ZERO;
        }
    });
}

#[test]
fn a_second_vote_violates_s3_and_s4() {
    notices(&["S3", "S4"], |facts| {
        for message in sent(facts).filter(|message| message.from == THREE) {
            if matches!(message.body, Body::RequestVoteReply { granted: true, .. }) {
                message.to = NodeId(if message.to == ONE { 2 } else { 1 });
            }
        }
    });
}

#[test]
fn a_vote_that_is_not_durable_violates_s4() {
    notices(&["S4"], |facts| {
        let node = facts.node;
        for action in &mut facts.step.actions {
            if let Action::Persist(write) = action
                && node == THREE
                && let Some(hard_state) = &mut write.hard_state
                && hard_state.term == Term(2)
            {
                hard_state.vote = None;
            }
        }
    });
}

#[test]
fn a_reply_of_a_later_term_violates_s5() {
    notices(&["S5"], |facts| {
        for message in sent(facts).filter(|message| message.from == THREE) {
            if matches!(message.body, Body::HeartbeatReply { .. }) {
                message.term = Term(9);
            }
        }
    });
}

#[test]
fn an_acknowledgement_beyond_the_disk_violates_s6() {
    notices(&["S6"], |facts| {
        for message in sent(facts) {
            if let Body::HeartbeatReply { matched, .. } = &mut message.body {
                *matched = Index(100);
            }
        }
    });
}

#[test]
fn a_term_that_decreases_violates_s7() {
    notices(&["S7"], |facts| {
        if facts.node == THREE && facts.status.term == Term(2) && commits(facts) {
            facts.before.term = Term(3);
        }
    });
}

#[test]
fn a_start_without_what_was_durable_violates_s5_or_s17() {
    let noticed = |forge: &dyn Fn(&mut Status)| Restart::default().noticed(forge).0;
    assert_eq!(noticed(&|_| {}), [""; 0]);
    // With term 0 the disk may have been emptied, so S7 and S17 decide nothing; but the replies of
    // the run are of term 1.
    assert_eq!(noticed(&|status| status.term = Term(0)), ["S5"]);
    assert_eq!(noticed(&|status| status.vote = None), ["S17"]);
    assert_eq!(noticed(&|status| status.vote = Some(TWO)), ["S17"]);
    let shorter = |status: &mut Status| status.last = EntryId::new(Term(1), Index(1));
    assert_eq!(noticed(&shorter), ["S17"]);
    let uncertain = |status: &mut Status| {
        shorter(status);
        status.is_uncertain = true;
    };
    assert_eq!(noticed(&uncertain), [""; 0], "an uncertain node asks its peers for what it lacks");
}

#[test]
fn a_start_without_what_was_durable_is_undecided_if_the_recordings_allow_it() {
    let undecided = |restart: Restart| {
        let honest = restart.noticed(|_| {});
        assert_eq!(honest.0, [""; 0]);
        let (violated, undecided) = restart.noticed(|status| status.vote = None);
        (violated, undecided - honest.1)
    };
    let certain = Restart::default;
    assert_eq!(undecided(certain()), (vec!["S17"], 0));
    let doubts = [
        (Restart { recorded: 1, ..certain() }, "it may have been restored, and n1 may have led"),
        (Restart { recorded: 2, ..certain() }, "n1 may have led"),
        (Restart { asks: true, ..certain() }, "only an uncertain node asks"),
        (Restart { is_later: false, ..certain() }, "its clock may have been set back"),
        (Restart { incarnations: [0, 0], ..certain() }, "its disk has no known identity"),
        (Restart { incarnations: [7, 8], ..certain() }, "it has another disk"),
    ];
    for (restart, why) in doubts {
        assert_eq!(undecided(restart), (vec![], 1), "{why}");
    }
}

#[test]
fn another_content_of_an_entry_violates_s8() {
    notices(&["S8"], |facts| {
        if let Input::Message(message) = &mut facts.step.input
            && let Body::AppendEntries { entries, .. } = &mut message.body
        {
            let changed = core::mem::take(entries).into_iter().map(|mut entry| {
                if matches!(entry.payload, Payload::Command(_)) {
                    entry.payload = Payload::Command("one c0mmand".into());
                }
                entry
            });
            *entries = changed.collect();
        }
    });
}

#[test]
fn a_leader_that_truncates_its_log_violates_s9() {
    notices(&["S9"], |facts| {
        if facts.node == TWO && facts.before.role == RoleName::Leader {
            facts.before.last = EntryId::new(Term(2), Index(50));
        }
    });
}

#[test]
fn a_leader_without_a_committed_entry_violates_s10() {
    notices(&["S10"], |facts| {
        if facts.node == TWO && becomes_leader(facts) {
            facts.log = log_of(&[1]);
            facts.status.last = facts.log.last();
        }
    });
}

#[test]
fn another_committed_entry_violates_s10_s11_and_s18() {
    notices(&["S10", "S11", "S18"], |facts| {
        if facts.node == THREE && commits(facts) && facts.status.term == Term(1) {
            facts.log = log_of(&[3, 3]);
        }
    });
}

#[test]
fn a_commit_without_a_quorum_violates_s12() {
    notices(&["S12"], |facts| {
        let is_follower = facts.node != ONE && facts.status.term == Term(1);
        facts.step.actions.retain(|action| match action {
            Action::Persist(write) => !is_follower || write.entries.is_empty(),
            Action::Send(message) => message.body.acknowledged() == Index::ZERO,
            _ => true,
        });
        if facts.node != ONE {
            facts.status.durable = Index::ZERO;
        }
    });
}

#[test]
fn a_commit_of_an_earlier_term_violates_s13() {
    notices(&["S13"], |facts| {
        if facts.node == TWO && facts.status.role == RoleName::Leader && commits(facts) {
            facts.before.term = Term(3);
            facts.status.term = Term(3);
            facts.before.role = RoleName::Leader;
        }
    });
}

#[test]
fn a_commit_index_that_decreases_violates_s14() {
    notices(&["S14"], |facts| {
        if facts.node == THREE && facts.status.committed > Index(1) {
            facts.before.committed = Index(40);
        }
    });
}

#[test]
fn an_entry_that_is_applied_twice_violates_s15() {
    let mut is_forged = false;
    notices(&["S15"], |facts| {
        let (node, again) = (facts.node, facts.step.actions.clone());
        let applies = again.iter().find(|action| matches!(action, Action::Apply(_)));
        if let Some(applies) = applies.filter(|_| node == THREE && !is_forged) {
            facts.step.actions.push(applies.clone());
            is_forged = true;
        }
    });
}

#[test]
fn a_durable_index_beyond_the_disk_violates_s17() {
    notices(&["S17"], |facts| {
        if facts.node == THREE {
            facts.status.durable = Index(30);
        }
    });
}

#[test]
fn an_acknowledgement_to_a_user_before_the_commit_violates_s18() {
    notices(&["S18"], |facts| {
        for action in &mut facts.step.actions {
            if let Action::Committed { id, .. } = action {
                id.index = Index(id.index.0 + 7);
            }
        }
    });
}

/// n1 answers a read under its lease although n2 leads a later term and has committed more.
#[test]
fn a_stale_read_under_a_lease_violates_s21_if_the_clocks_are_close() {
    let forge = |facts: &mut Facts| {
        if facts.node == ONE && facts.at > SimTime(1_400_000_000) {
            let (tag, level) = (Tag(99), ReadLevel::Lease);
            facts.step.input = Input::Read { tag, level, conflict: Index(2) };
            let freshness = Freshness::Linearizable;
            let ready = Action::ReadReady { tag, index: Index(2), freshness };
            facts.step.actions.push(ready);
            // A status of a leader would show a second leadership: only the read is forged.
            facts.status.role = RoleName::Leader;
            facts.before.role = RoleName::Leader;
            (facts.status.term, facts.before.term) = (Term(1), Term(1));
            facts.before.last = facts.status.last;
            facts.before.committed = facts.status.committed;
        }
    };
    let found = noticed(forge, vec![ClockOffset { one: ONE, other: TWO, min: -10, max: 10 }]);
    assert!(found.contains(&"S21"), "{found:?}");
    let apart = ClockOffset { one: ONE, other: TWO, min: -9_000_000_000, max: 9_000_000_000 };
    assert!(!noticed(forge, vec![apart]).contains(&"S21"), "it cannot be decided");
}

#[test]
fn an_acknowledgement_of_an_earlier_term_violates_s45() {
    notices(&["S45"], |facts| {
        for message in sent(facts).filter(|message| message.from == THREE) {
            if message.body.acknowledged() > Index::ZERO && message.term == Term(2) {
                message.term = Term(1);
            }
        }
    });
}
