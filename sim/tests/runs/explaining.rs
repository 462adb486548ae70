//! Explanations of failures: hand-made recordings in which a check of each family is violated, and
//! the sentences that explain it.

use quorate::machine::{Outcome, Proposer, Request};
use quorate::raft::{RejectReason, RoleName, Status};
use quorate::types::{
    AppendOutcome, Body, Entry, EntryId, Freshness, HardState, Incarnation, Index, Membership,
    Message, NodeId, Payload, ReadLevel, Tag, Term, Write, WriteId,
};
use quorate_sim::explain::{Explanation, explain, why_not_committed};
use quorate_sim::observe::outcome::Failure;
use quorate_sim::observe::{OpId, Violation};
use quorate_sim::record::{
    Delivery, Event, EventId, EventKind, InputKind, Record, RecordOrigin, Sent,
};
use quorate_sim::values::time::SimTime;
use quorate_sim::workload::request::mark;

use crate::status::follower;

mod progress;

/// A hand-made recording of three voters.
struct Stage {
    record: Record,
    packets: u64,
}

fn node(id: u64) -> NodeId {
    NodeId(id)
}

fn entry(term: u64, index: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

impl Stage {
    fn new() -> Stage {
        let nodes: Vec<NodeId> = (1..=3).map(node).collect();
        let membership = Membership::new(nodes.clone());
        let (plan, events, states) = (Vec::new(), Vec::new(), Vec::new());
        let origin = RecordOrigin::Run;
        let record = Record { nodes: nodes.clone(), membership, plan, events, states, origin };
        let mut stage = Stage { record, packets: 0 };
        for id in nodes {
            stage.record.states.push(follower(id, Term(1)));
            stage.push(id.0, None, EventKind::Started { kept: Vec::new(), lost: Vec::new() });
        }
        stage
    }

    fn push(&mut self, of: u64, cause: Option<EventId>, kind: EventKind) -> EventId {
        let events = &self.record.events;
        let at = SimTime((events.len() as u64 + 1) * 1_000_000);
        let of = Some(node(of));
        let before = self.record.all().rev().find(|(_, event)| event.node == of);
        let before = before.map(|(id, _)| id);
        let first = of.map(|of| of.0 as u32 - 1);
        let state = before.map_or(first, |before| self.record.event(before).state);
        self.record.events.push(Event { at, own_at: at, node: of, kind, state, before, cause });
        EventId(self.record.events.len() as u32)
    }

    /// Records an input of a node that changes its status.
    fn takes(
        &mut self,
        of: u64,
        cause: Option<EventId>,
        taken: InputKind,
        change: impl Fn(&mut Status),
    ) -> EventId {
        let id = self.push(of, cause, EventKind::TookInput(taken));
        let mut status = *self.record.state(id).expect("the node runs");
        change(&mut status);
        self.record.states.push(status);
        self.record.events[id.0 as usize - 1].state = Some(self.record.states.len() as u32 - 1);
        id
    }

    fn sends(&mut self, from: u64, to: u64, term: u64, body: Body) -> EventId {
        self.packets += 1;
        let (from, to) = (node(from), node(to));
        let message =
            Message { from, incarnation: Incarnation::default(), to, term: Term(term), body };
        let delivery = Delivery {
            packet: self.packets,
            arrival: Some(SimTime(0)),
            copy: None,
            late: false,
            lost: None,
        };
        let message = Some(message);
        let sent = Sent { to, message, text: String::new(), delivery: Some(delivery) };
        self.push(from.0, None, EventKind::Sent(Box::new(sent)))
    }

    fn receives(&mut self, of: u64, sending: EventId, change: impl Fn(&mut Status)) -> EventId {
        self.takes(of, Some(sending), InputKind::Packet(self.packets), change)
    }

    /// Records the submission of a write with the node's vote.
    fn votes(&mut self, of: u64, write: u64, term: u64, vote: u64) -> EventId {
        let hard = HardState::new(Term(term), Some(node(vote)));
        self.submits(of, Write { hard_state: Some(hard), ..blank(write) })
    }

    fn writes(&mut self, of: u64, write: u64, ids: &[EntryId]) -> EventId {
        let entries = ids.iter().map(|id| Entry { id: *id, payload: Payload::Noop }).collect();
        self.submits(of, Write { entries, ..blank(write) })
    }

    fn submits(&mut self, of: u64, write: Write) -> EventId {
        self.push(of, None, EventKind::Submitted(Box::new(write)))
    }

    fn durable(&mut self, of: u64, submission: EventId, write: u64) {
        self.push(of, Some(submission), EventKind::Durable(WriteId(write)));
    }

    /// Explains a violation of check `id` at the last event.
    fn explained(self, id: &'static str) -> Explanation {
        self.explained_as(id, "something")
    }

    fn explained_as(mut self, id: &'static str, finding: &str) -> Explanation {
        let at = self.record.events.last().map_or(SimTime(0), |event| event.at);
        let (finding, place) = (finding.to_owned(), "check.rs:7".to_owned());
        let violation = Violation { id, check: "check", finding, at, place };
        let failure =
            if id.starts_with('L') { Failure::Liveness } else { Failure::Safety }(violation);
        let of = self.record.events.last().and_then(|event| event.node);
        self.push(of.map_or(1, |of| of.0), None, EventKind::Failed(Box::new(failure)));
        let explanation = explain(&self.record).expect("the run failed");
        assert!(
            explanation.facts.is_sorted_by_key(|fact| fact.id) && !explanation.facts.is_empty()
        );
        explanation
    }

    /// Explains a panic of node 2, in this step of the node if one is given.
    fn panics(&mut self, step: Option<EventId>, text: &str) -> Explanation {
        if let Some(step) = step {
            self.record.events[step.0 as usize - 1].state = None;
        }
        self.push(2, None, EventKind::Failed(Box::new(Failure::Panic(text.to_owned()))));
        explain(&self.record).expect("the run failed")
    }
}

fn blank(write: u64) -> Write {
    let (id, committed) = (WriteId(write), Index::ZERO);
    Write { id, hard_state: None, committed, install: None, entries: Vec::new().into() }
}

fn request_vote(last: EntryId) -> Body {
    Body::RequestVote { last, transfer: false }
}

const GRANTED: Body = Body::RequestVoteReply { granted: true, committed: Index::ZERO };

/// Returns the explanation as one text.
fn text(explanation: &Explanation) -> String {
    explanation.to_string()
}

fn becomes_candidate(status: &mut Status) {
    (status.role, status.term, status.vote) = (RoleName::Candidate, Term(2), Some(status.id));
}

#[test]
fn a_vote_that_is_sent_before_it_is_durable_is_explained() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    let request = stage.sends(2, 3, 2, request_vote(EntryId::ZERO));
    stage.receives(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(2))));
    stage.votes(3, 7, 2, 2);
    stage.sends(3, 2, 2, GRANTED);
    let explanation = stage.explained("S4");
    assert!(
        explanation.cause.starts_with("n3 sends its vote for n2 in term t2 before write w7"),
        "{}",
        text(&explanation)
    );
    assert!(
        text(&explanation)
            .contains("n3 submits its vote for n2 in term t2 to its disk as write w7")
    );
    assert!(text(&explanation).contains("n3 receives n2's RequestVote in term t2"));
}

#[test]
fn a_second_vote_after_a_crash_lost_the_first_is_explained() {
    let mut stage = Stage::new();
    let request = stage.sends(2, 3, 2, request_vote(EntryId::ZERO));
    stage.receives(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(2))));
    stage.votes(3, 7, 2, 2);
    stage.sends(3, 2, 2, GRANTED);
    stage.push(3, None, EventKind::Crashed { not_durable: 1, kept: 0 });
    stage.push(3, None, EventKind::Started { kept: Vec::new(), lost: vec![WriteId(7)] });
    let request = stage.sends(1, 3, 2, request_vote(EntryId::ZERO));
    stage.receives(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(1))));
    let submission = stage.votes(3, 8, 2, 1);
    stage.durable(3, submission, 8);
    stage.sends(3, 1, 2, GRANTED);
    let explanation = stage.explained("S3");
    assert_eq!(explanation.cause, "n3 votes twice in term t2: for n2, and then for n1");
    assert!(
        text(&explanation).contains("n3 crashes before write w7 with the vote for n2 is durable")
    );
}

#[test]
fn a_vote_that_is_counted_twice_is_explained() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    stage.votes(2, 1, 2, 2);
    let vote = stage.votes(3, 7, 2, 2);
    stage.durable(3, vote, 7);
    let granted = stage.sends(3, 2, 2, GRANTED);
    stage.receives(2, granted, |_| {});
    stage.receives(2, granted, |now| now.role = RoleName::Leader);
    let explanation = stage.explained("S2");
    assert!(
        explanation.cause.starts_with("n2 counts n3's vote in term t2 2 times"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_vote_that_counts_for_its_sender_and_for_a_rival_is_explained() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    let granted = stage.sends(3, 2, 2, GRANTED);
    stage.receives(2, granted, |now| now.role = RoleName::Leader);
    stage.takes(1, None, InputKind::Timeout, becomes_candidate);
    let granted = stage.sends(2, 1, 2, GRANTED);
    stage.receives(1, granted, |now| now.role = RoleName::Leader);
    let explanation = stage.explained("S1");
    assert_eq!(explanation.cause, "n2's vote in term t2 is counted for both n2 and n1");
}

#[test]
fn a_reply_in_a_term_that_is_not_durable_is_explained() {
    let mut stage = Stage::new();
    let refused = stage.sends(2, 3, 2, request_vote(EntryId::ZERO));
    stage.receives(3, refused, |now| now.term = Term(2));
    stage.submits(3, Write { hard_state: Some(HardState::new(Term(2), None)), ..blank(4) });
    stage.sends(3, 2, 2, Body::RequestVoteReply { granted: false, committed: Index::ZERO });
    let explanation = stage.explained("S5");
    assert!(
        explanation.cause.contains("replies to n2 in term t2 before that term is durable"),
        "{}",
        text(&explanation)
    );
}

fn append(ids: &[EntryId]) -> Body {
    let entries = ids.iter().map(|id| Entry { id: *id, payload: Payload::Noop }).collect();
    Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO }
}

#[test]
fn an_acknowledgement_of_an_entry_that_is_not_durable_is_explained() {
    let mut stage = Stage::new();
    let ids = [entry(1, 1), entry(1, 2)];
    let sent = stage.sends(1, 3, 1, append(&ids));
    stage.receives(3, sent, |now| now.last = entry(1, 2));
    stage.writes(3, 4, &ids);
    let matched = Index(2);
    stage.sends(3, 1, 1, Body::AppendEntriesReply(AppendOutcome::Accepted { matched }));
    let explanation = stage.explained("S6");
    assert!(
        explanation.cause.contains("acknowledges entry 2@t1 to n1 before the entry is durable"),
        "{}",
        text(&explanation)
    );
}

fn becomes_leader(now: &mut Status) {
    (now.role, now.leader) = (RoleName::Leader, Some(now.id));
}

#[test]
fn a_commit_without_a_quorum_is_explained() {
    let mut stage = Stage::new();
    let reason = quorate::raft::MessageRejectReason::WrongRole;
    let rejected = EventKind::MessageRejected { from: node(1), message: "ReadIndex", reason };
    stage.push(3, None, rejected);
    stage.takes(1, None, InputKind::Timeout, becomes_leader);
    let own = stage.writes(1, 1, &[entry(1, 1)]);
    stage.writes(2, 1, &[entry(1, 1)]);
    stage.durable(1, own, 1);
    let step = stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(1));
    let record = stage.record.clone();
    let explanation = stage.explained("S12");
    assert!(
        explanation.cause.contains("the entry is durable on n1 and not on n2 and n3"),
        "{}",
        text(&explanation)
    );
    let line = why_not_committed(&record, Index(1), record.event(step).at).remove(0);
    assert!(line.starts_with("n1 committed index 1"), "{line}");
    let lines = why_not_committed(&record, Index(1), SimTime(8_000_000)).join("\n");
    assert!(
        lines.contains("n2 does not have the entry on disk: its write is still pending"),
        "{lines}"
    );
    assert!(!lines.contains("rejected"), "n3 rejected a message before n1 won: {lines}");
}

#[test]
fn a_write_that_a_crash_lost_is_not_on_the_disk() {
    let mut stage = Stage::new();
    let earlier = stage.writes(2, 1, &[entry(1, 1)]);
    stage.durable(2, earlier, 1);
    stage.takes(2, None, InputKind::Disk, |now| now.last = entry(1, 1));
    stage.writes(2, 2, &[entry(2, 1)]);
    stage.push(2, None, EventKind::Crashed { not_durable: 1, kept: 0 });
    stage.push(2, None, EventKind::Started { kept: Vec::new(), lost: vec![WriteId(2)] });
    stage.takes(1, None, InputKind::Timeout, |now| {
        becomes_leader(now);
        now.term = Term(2);
    });
    let own = stage.writes(1, 1, &[entry(2, 1)]);
    stage.durable(1, own, 1);
    stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(1));
    let explanation = stage.explained("S12");
    assert!(
        explanation.cause.contains("the entry is durable on n1 and not on n2 and n3"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_commit_of_an_earlier_term_by_counting_is_explained() {
    let mut stage = Stage::new();
    stage.takes(1, None, InputKind::Timeout, |now| {
        becomes_leader(now);
        now.term = Term(3);
    });
    for id in 1..=2 {
        let write = stage.writes(id, 1, &[entry(2, 1)]);
        stage.durable(id, write, 1);
    }
    stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(1));
    let explanation = stage.explained("S13");
    assert!(
        explanation.cause.contains("of an earlier term by counting replicas"),
        "{}",
        text(&explanation)
    );
}

impl Stage {
    /// Records a read at this level on node 2, from its empty state, after the reply to operation 1
    /// as entry `reply`.
    fn reads(&mut self, reply: EntryId, level: ReadLevel, freshness: Freshness, applied: Index) {
        let (op, read) = (OpId(1), OpId(2));
        let outcome = Box::new(Outcome::Reply(Vec::new().into()));
        self.push(1, None, EventKind::Replied { op, id: reply, outcome });
        let command = Box::default();
        self.push(2, None, EventKind::Invoked { op: read, level: Some(level), command });
        let (index, answer) = (Index::ZERO, 0);
        self.push(2, None, EventKind::Served { op: read, freshness, index, applied, answer });
    }
}

#[test]
fn a_panic_is_explained_by_the_step_of_its_node() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    stage.votes(2, 7, 2, 2);
    let vote = stage.sends(3, 2, 2, GRANTED);
    let step = stage.receives(2, vote, |_| {});
    let explanation = stage.panics(Some(step), "a vote counts once");
    assert_eq!(
        explanation.cause,
        "n2, a candidate in term t2, panics in the step in which it receives n3's \
         RequestVoteReply that grants its vote in term t2, with the message \"a vote counts once\""
    );
    let lines = text(&explanation);
    assert!(lines.contains("n2 handles a timer and becomes a candidate in term t2"), "{lines}");
    assert!(lines.contains("write w7 is not durable yet"), "{lines}");
    assert!(explanation.facts.iter().any(|fact| fact.id == step), "{lines}");
}

#[test]
fn a_wrong_state_is_explained_by_the_snapshot_that_it_comes_from() {
    let applies = |finding: &str| {
        let mut stage = Stage::new();
        stage.push(2, None, EventKind::Restored(Index(4)));
        stage.takes(2, None, InputKind::Disk, |now| now.committed = Index(5));
        let (first, last, executed) = (entry(1, 5), entry(1, 5), Vec::new());
        stage.push(2, None, EventKind::Applied { first, last, executed });
        stage.explained_as("S26", finding).cause
    };
    let cause = applies("n2 replies \"1\" to the command at index 5");
    let own = "n2 applies entry 5@t1 after its state was restored from a snapshot up to index 4";
    assert!(cause.starts_with(own), "{cause}");
    let finding = "a state machine restored from n3's snapshot up to 4@t1 applies entry 5@t1";
    let cause = applies(finding);
    assert!(cause.starts_with(finding) && !cause.contains("n2"), "the other machine: {cause}");
}

#[test]
fn a_panic_of_a_state_machine_is_explained_by_its_entry() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Disk, |now| now.committed = Index(1));
    let panic = "n2's state machine panics while it applies entry 1@t1, `pay 7`".to_owned();
    let panicked = stage.push(2, None, EventKind::Panicked(panic.clone()));
    let explanation = stage.panics(Some(panicked), "the balance is negative");
    assert_eq!(explanation.cause, format!("{panic}, with the message \"the balance is negative\""));
    assert!(explanation.facts.iter().any(|fact| fact.sentence == panic), "{explanation}");
}

#[test]
fn a_cause_that_no_event_shows_is_the_finding_with_the_invariant() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    let finding = format!("n2 has too many entries; {}", "n1 is a follower ".repeat(30));
    let explanation = stage.explained_as("S39", &finding);
    assert!(explanation.finding.ends_with(": n2 has too many entries; …"), "{explanation}");
    let cause = "n2 has too many entries; …; the violated invariant: \"";
    assert!(explanation.cause.starts_with(cause), "{explanation}");
}

#[test]
fn a_panic_outside_of_a_step_belongs_to_no_node() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Timeout, becomes_candidate);
    let explanation = stage.panics(None, "the simulator is wrong");
    let cause = "code outside of the steps of the nodes panics right after n2 handles a timer, ";
    assert_eq!(explanation.cause, format!("{cause}with the message \"the simulator is wrong\""));
}

#[test]
fn a_rejection_of_a_committed_command_names_the_node_and_its_step() {
    let mut stage = Stage::new();
    let op = OpId(1);
    stage.push(1, None, EventKind::Invoked { op, level: None, command: Box::default() });
    let tag = Tag(4);
    let received = EventKind::RequestReceived { client: 1, op: Some(op), tag };
    let request = stage.push(1, None, received);
    stage.takes(1, None, InputKind::Timeout, becomes_leader);
    let command = mark(Vec::new(), op, 0);
    let payload = Payload::Command(Request::Plain(&command).encode_for(Proposer::Unnamed));
    let entries = vec![Entry { id: entry(2, 1), payload }];
    stage.submits(1, Write { entries: entries.into(), ..blank(1) });
    let beat = stage.sends(2, 1, 3, request_vote(EntryId::ZERO));
    stage.receives(1, beat, |now| (now.term, now.role) = (Term(3), RoleName::Follower));
    stage.push(1, Some(request), EventKind::RequestAnswered { tag, rejected: None });
    let reason = RejectReason::Busy;
    stage.push(1, None, EventKind::Rejected { op, reason });
    stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(1));
    let explanation = stage.explained("S19");
    assert!(
        explanation.cause.starts_with(
            "n1 rejected operation 1 when it receives n2's RequestVote in term t3 with an empty \
             log and becomes a follower in term t3 (busy"
        ),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_low_read_index_is_not_called_a_wrong_state() {
    let mut stage = Stage::new();
    stage.reads(entry(1, 1), ReadLevel::Local, Freshness::Unknown, Index::ZERO);
    let finding = "n2 serves read 2 at read index 0, but an operation at index 1 was completed";
    assert_eq!(stage.explained_as("S20", finding).cause, finding);
}

#[test]
fn an_old_answer_to_a_local_read_is_not_called_stale() {
    let mut stage = Stage::new();
    stage.takes(1, None, InputKind::Timeout, becomes_leader);
    stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(1));
    stage.reads(entry(1, 1), ReadLevel::Local, Freshness::Unknown, Index::ZERO);
    let explanation = stage.explained("S20");
    assert!(
        explanation.cause.ends_with("but the expected state is a different one"),
        "{}",
        text(&explanation)
    );
    let mut stage = Stage::new();
    stage.reads(entry(1, 1), ReadLevel::Linearizable, Freshness::Linearizable, Index::ZERO);
    let explanation = stage.explained("S20");
    assert!(
        explanation.cause.contains("operation 1, completed at index 1 before the read began"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_read_misses_no_command_that_was_executed_before_its_last_attempt() {
    let mut stage = Stage::new();
    let command = mark(Vec::new(), OpId(1), 0);
    let payload = Payload::Command(Request::Plain(&command).encode_for(Proposer::Unnamed));
    let entries = [entry(1, 1), entry(1, 2)];
    let entries = entries.map(|id| Entry { id, payload: payload.clone() }).to_vec();
    stage.submits(1, Write { entries: entries.into(), ..blank(1) });
    stage.takes(1, None, InputKind::Disk, |now| now.committed = Index(2));
    stage.reads(entry(1, 2), ReadLevel::Linearizable, Freshness::Linearizable, Index(1));
    let explanation = stage.explained("S20");
    assert!(!explanation.cause.contains("is missing from that state"), "{}", text(&explanation));
}

#[test]
fn a_batch_that_is_applied_twice_is_explained() {
    let mut stage = Stage::new();
    let (first, last) = (entry(1, 1), entry(1, 3));
    for _ in 0..2 {
        stage.push(2, None, EventKind::Applied { first, last, executed: Vec::new() });
    }
    let explanation = stage.explained("S15");
    assert!(
        explanation.cause.contains("receives entries 1@t1 to 3@t1 although it has applied"),
        "{}",
        text(&explanation)
    );
}

#[test]
fn a_run_that_does_not_fail_needs_no_explanation() {
    assert_eq!(explain(&Stage::new().record), None);
}

#[test]
fn a_violation_in_a_step_that_is_not_recorded_is_explained_by_the_node_of_its_finding() {
    let mut stage = Stage::new();
    stage.takes(2, None, InputKind::Disk, |_| {});
    stage.takes(3, None, InputKind::Worker, |_| {});
    let at = SimTime(9_000_000);
    let (finding, place) = ("n2 takes a wrong snapshot".to_owned(), "check.rs:7".to_owned());
    let violation = Violation { id: "S53", check: "check", finding, at, place };
    stage.push(3, None, EventKind::Failed(Box::new(Failure::Safety(violation))));
    let explanation = explain(&stage.record).expect("the run failed");
    let last = explanation.facts.last().expect("the violation is a fact");
    assert_eq!((last.at, last.sentence.as_str()), (at, "n2 takes a wrong snapshot"));
    assert!(!text(&explanation).contains("n3"), "{}", text(&explanation));
}

#[test]
fn the_step_at_a_time_that_the_finding_names_is_a_fact() {
    let mut stage = Stage::new();
    let step = stage.takes(2, None, InputKind::Disk, |_| {});
    for _ in 0..9 {
        stage.takes(2, None, InputKind::Timeout, |_| {});
    }
    stage.takes(3, None, InputKind::Timeout, |_| {});
    let at = stage.record.event(step).at;
    let finding = format!("n2 waits for a round that it began at {at} s");
    let explanation = stage.explained_as("S55", &finding);
    assert!(explanation.facts.iter().any(|fact| fact.id == step), "{}", text(&explanation));
    assert!(!text(&explanation).contains("n3"), "{}", text(&explanation));
}

#[test]
fn a_start_that_is_uncertain_for_no_reason_is_not_called_a_second_vote() {
    let mut stage = Stage::new();
    let vote = stage.votes(1, 1, 1, 1);
    stage.durable(1, vote, 1);
    stage.push(1, None, EventKind::Crashed { not_durable: 0, kept: 0 });
    stage.takes(1, None, InputKind::Timeout, |now| {
        (now.term, now.vote, now.is_uncertain) = (Term(1), Some(node(1)), true);
    });
    stage.push(1, None, EventKind::Started { kept: Vec::new(), lost: Vec::new() });
    let cause = "n1 starts as an uncertain node with term t1 and a vote for n1 although its disk \
                 held term t1 and a vote for n1 of a certain node";
    let finding = "n1 restarts with term t1 and a vote for n1, marked as uncertain";
    assert_eq!(stage.explained_as("S17", finding).cause, cause);
}

#[test]
fn a_file_that_the_node_could_not_create_explains_its_stop() {
    let mut stage = Stage::new();
    let failed = "create log-2 of 4096: the file system is full".to_owned();
    stage.push(1, None, EventKind::DiskOperation("create log-1 of 4096".to_owned()));
    let creation = stage.push(1, None, EventKind::DiskFailed(failed));
    let at = stage.record.event(creation).own_at;
    stage.push(1, None, EventKind::Stopped("log-2 at 0: no such file".to_owned()));
    let explanation = stage.explained("S34");
    let cause = format!(
        "n1 stops although no disk fault justifies it: log-2 at 0: no such file; n1 could not \
         create log-2 at {at} s"
    );
    assert_eq!(explanation.cause, cause, "{}", text(&explanation));
}
