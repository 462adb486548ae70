//! What is told of failures: hand-made recordings in which each family of checks has something to
//! accuse, and the sentences that come of them.

#[path = "common/status.rs"]
mod status;

use std::time::Duration;

use quorate::raft::{RoleName, Status};
use quorate::types::{
    AppendOutcome, Body, Entry, EntryId, HardState, Incarnation, Index, Membership, Message,
    NodeId, Payload, Term, Write, WriteId,
};
use quorate_sim::explain::{Telling, explain, why_not_committed, why_not_leader};
use quorate_sim::observe::Violation;
use quorate_sim::outcome::Failure;
use quorate_sim::record::{Event, EventId, Record, Sent, Taken, Way, What};
use quorate_sim::time::SimTime;

use status::follower;

/// Three voters, and what happens to them.
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
        let record = Record { nodes: nodes.clone(), membership, plan, events, states };
        let mut stage = Stage { record, packets: 0 };
        for id in nodes {
            stage.record.states.push(follower(id, Term(1)));
            stage.push(id.0, None, What::Started { kept: Vec::new(), lost: Vec::new() });
        }
        stage
    }

    fn push(&mut self, of: u64, cause: Option<EventId>, what: What) -> EventId {
        let events = &self.record.events;
        let at = SimTime((events.len() as u64 + 1) * 1_000_000);
        let of = Some(node(of));
        let before = self.record.all().rev().find(|(_, event)| event.node == of);
        let before = before.map(|(id, _)| id);
        let first = of.map(|of| of.0 as u32 - 1);
        let state = before.map_or(first, |before| self.record.event(before).state);
        self.record.events.push(Event { at, node: of, what, state, before, cause });
        EventId(self.record.events.len() as u32)
    }

    /// The node takes something, and is other than before.
    fn takes(
        &mut self,
        of: u64,
        cause: Option<EventId>,
        taken: Taken,
        change: impl Fn(&mut Status),
    ) -> EventId {
        let id = self.push(of, cause, What::Took(taken));
        let mut status = *self.record.state(id).expect("it runs");
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
        let way = Way {
            packet: self.packets,
            arrival: Some(SimTime(0)),
            copy: None,
            late: false,
            lost: None,
        };
        let message = Some(message);
        let sent = Sent { to, message, words: String::new(), way: Some(way) };
        self.push(from.0, None, What::Sent(Box::new(sent)))
    }

    fn hears(&mut self, of: u64, sending: EventId, change: impl Fn(&mut Status)) -> EventId {
        self.takes(of, Some(sending), Taken::Packet(self.packets), change)
    }

    /// The node votes: its write is submitted.
    fn votes(&mut self, of: u64, write: u64, term: u64, vote: u64) -> EventId {
        let hard = HardState { term: Term(term), vote: Some(node(vote)), promise: Duration::ZERO };
        self.submits(of, Write { hard_state: Some(hard), ..blank(write) })
    }

    fn writes(&mut self, of: u64, write: u64, ids: &[EntryId]) -> EventId {
        let entries = ids.iter().map(|id| Entry { id: *id, payload: Payload::Noop }).collect();
        self.submits(of, Write { entries, ..blank(write) })
    }

    fn submits(&mut self, of: u64, write: Write) -> EventId {
        self.push(of, None, What::Submitted(Box::new(write)))
    }

    fn durable(&mut self, of: u64, submission: EventId, write: u64) {
        self.push(of, Some(submission), What::Durable(WriteId(write)));
    }

    /// The check of this number accuses what happened last.
    fn told(mut self, number: &'static str) -> Telling {
        let at = self.record.events.last().map_or(SimTime(0), |event| event.at);
        let (saw, place) = ("something".to_owned(), "check.rs:7".to_owned());
        let violation = Violation { number, check: "check", saw, at, place };
        let failure =
            if number.starts_with('L') { Failure::Liveness } else { Failure::Safety }(violation);
        let of = self.record.events.last().and_then(|event| event.node);
        self.push(of.map_or(1, |of| of.0), None, What::Failed(Box::new(failure)));
        let telling = explain(&self.record).expect("the run failed");
        assert!(telling.facts.is_sorted_by_key(|fact| fact.id) && !telling.facts.is_empty());
        telling
    }
}

fn blank(write: u64) -> Write {
    let (id, committed) = (WriteId(write), Index::ZERO);
    Write { id, hard_state: None, committed, install: None, entries: Vec::new() }
}

fn asks(last: EntryId) -> Body {
    Body::RequestVote { last, transfer: false }
}

const GRANTED: Body = Body::RequestVoteReply { granted: true };

/// All sentences in one text.
fn text(telling: &Telling) -> String {
    telling.to_string()
}

fn stands(status: &mut Status) {
    (status.role, status.term, status.vote) = (RoleName::Candidate, Term(2), Some(status.id));
}

#[test]
fn a_vote_that_leaves_before_it_is_durable() {
    let mut stage = Stage::new();
    stage.takes(2, None, Taken::Timeout, stands);
    let request = stage.sends(2, 3, 2, asks(EntryId::ZERO));
    stage.hears(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(2))));
    stage.votes(3, 7, 2, 2);
    stage.sends(3, 2, 2, GRANTED);
    let told = stage.told("S4");
    assert!(told.cause.starts_with("n3 sends the vote for n2 in t2 before w7"), "{}", text(&told));
    assert!(text(&told).contains("n3 gives its vote for n2 in t2 to its disk, as w7"));
    assert!(text(&told).contains("n3 takes n2's request for a vote in t2"));
}

#[test]
fn a_vote_that_is_lost_in_a_fall_and_given_again() {
    let mut stage = Stage::new();
    let request = stage.sends(2, 3, 2, asks(EntryId::ZERO));
    stage.hears(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(2))));
    stage.votes(3, 7, 2, 2);
    stage.sends(3, 2, 2, GRANTED);
    stage.push(3, None, What::Fell { at_stake: 1, kept: 0 });
    stage.push(3, None, What::Started { kept: Vec::new(), lost: vec![WriteId(7)] });
    let request = stage.sends(1, 3, 2, asks(EntryId::ZERO));
    stage.hears(3, request, |now| (now.term, now.vote) = (Term(2), Some(node(1))));
    let submission = stage.votes(3, 8, 2, 1);
    stage.durable(3, submission, 8);
    stage.sends(3, 1, 2, GRANTED);
    let told = stage.told("S3");
    assert_eq!(told.cause, "n3 has one vote in t2 and gives it twice: to n2, and then to n1");
    assert!(text(&told).contains("n3 falls before w7, with the vote for n2, is durable"));
}

#[test]
fn a_vote_that_is_counted_twice() {
    let mut stage = Stage::new();
    stage.takes(2, None, Taken::Timeout, stands);
    let own = stage.votes(2, 1, 2, 2);
    stage.durable(2, own, 1);
    let vote = stage.votes(3, 7, 2, 2);
    stage.durable(3, vote, 7);
    let granted = stage.sends(3, 2, 2, GRANTED);
    stage.hears(2, granted, |_| {});
    stage.hears(2, granted, |now| now.role = RoleName::Leader);
    let told = stage.told("S2");
    assert!(told.cause.starts_with("n2 takes n3's vote in t2 2 times"), "{}", text(&told));
}

#[test]
fn an_answer_in_a_term_that_is_not_durable() {
    let mut stage = Stage::new();
    let refused = stage.sends(2, 3, 2, asks(EntryId::ZERO));
    stage.hears(3, refused, |now| now.term = Term(2));
    stage.submits(
        3,
        Write {
            hard_state: Some(HardState { term: Term(2), vote: None, promise: Duration::ZERO }),
            ..blank(4)
        },
    );
    stage.sends(3, 2, 2, Body::RequestVoteReply { granted: false });
    let told = stage.told("S5");
    assert!(told.cause.contains("answers n2 in t2 before that term is durable"), "{}", text(&told));
}

fn append(ids: &[EntryId]) -> Body {
    let entries = ids.iter().map(|id| Entry { id: *id, payload: Payload::Noop }).collect();
    Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO }
}

#[test]
fn an_acknowledgement_of_what_is_not_durable() {
    let mut stage = Stage::new();
    let ids = [entry(1, 1), entry(1, 2)];
    let sent = stage.sends(1, 3, 1, append(&ids));
    stage.hears(3, sent, |now| now.last = entry(1, 2));
    stage.writes(3, 4, &ids);
    let matched = Index(2);
    stage.sends(3, 1, 1, Body::AppendEntriesReply(AppendOutcome::Accepted { matched }));
    let told = stage.told("S6");
    assert!(told.cause.contains("acknowledges 2@t1 to n1 before it is durable"), "{}", text(&told));
}

fn leads(now: &mut Status) {
    (now.role, now.leader) = (RoleName::Leader, Some(now.id));
}

#[test]
fn a_commit_that_too_few_have() {
    let mut stage = Stage::new();
    stage.takes(1, None, Taken::Timeout, leads);
    let own = stage.writes(1, 1, &[entry(1, 1)]);
    stage.writes(2, 1, &[entry(1, 1)]);
    stage.durable(1, own, 1);
    let step = stage.takes(1, None, Taken::Disk, |now| now.committed = Index(1));
    let record = stage.record.clone();
    let told = stage.told("S12");
    assert!(
        told.cause.contains("on the disks of n1 alone, and not of n2 and n3"),
        "{}",
        text(&told)
    );
    let line = why_not_committed(&record, Index(1), record.event(step).at).remove(0);
    assert!(line.starts_with("n1 committed 1"), "{line}");
    let lines = why_not_committed(&record, Index(1), SimTime(7_000_000)).join("\n");
    assert!(lines.contains("n2 lacks it: its disk is at work on it"), "{lines}");
}

#[test]
fn an_entry_of_an_earlier_term_that_is_counted() {
    let mut stage = Stage::new();
    stage.takes(1, None, Taken::Timeout, |now| {
        leads(now);
        now.term = Term(3);
    });
    for id in 1..=2 {
        let write = stage.writes(id, 1, &[entry(2, 1)]);
        stage.durable(id, write, 1);
    }
    stage.takes(1, None, Taken::Disk, |now| now.committed = Index(1));
    let told = stage.told("S13");
    assert!(told.cause.contains("an entry of an earlier term"), "{}", text(&told));
}

#[test]
fn a_batch_that_is_applied_again() {
    let mut stage = Stage::new();
    let (first, last) = (entry(1, 1), entry(1, 3));
    for _ in 0..2 {
        stage.push(2, None, What::Applied { first, last, executed: Vec::new() });
    }
    let told = stage.told("S15");
    assert!(told.cause.contains("is given 1@t1 to 3@t1 though it has applied"), "{}", text(&told));
}

#[test]
fn a_cluster_in_which_nobody_leads() {
    let mut stage = Stage::new();
    stage.push(1, None, What::Calm((1..=3).map(node).collect()));
    stage.takes(2, None, Taken::Timeout, |now| now.role = RoleName::PreCandidate);
    let told = stage.told("L2");
    assert!(told.cause.starts_with("nobody wins an election"), "{}", text(&told));
}

#[test]
fn guards_that_refuse_are_counted() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        let reason = quorate::raft::Refusal::LogBehind;
        stage.push(1, None, What::Refused { from: node(3), message: "RequestVote", reason });
    }
    let end = SimTime(u64::MAX);
    let lines = why_not_leader(&stage.record, node(3), SimTime(0), end);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert!(
        line.starts_with("n1 refused its RequestVote: its own log goes further (3 times"),
        "{line}"
    );
    let others = why_not_leader(&stage.record, node(2), SimTime(0), end);
    assert_eq!(others, ["n2 never asked: it was down, or had no reason to"]);
}

#[test]
fn a_run_that_does_not_fail_needs_no_explanation() {
    assert_eq!(explain(&Stage::new().record), None);
}
