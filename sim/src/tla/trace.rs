//! The whole trace: its lines, and the constants of the spec that fit them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use quorate::raft::Config;
use quorate::types::{Index, Membership, NodeId, Term};

use crate::recordings::{CoreState, Event, EventKind};
use crate::tla::knowledge::LastState;
use crate::tla::line::{Line, set, truth};
use crate::tla::memberships::{casting, ids};
use crate::tla::state::{TraceState, shown};
use crate::tla::steps;

/// A trace that is being written. Events come in a causal order, those of each node in the order in
/// which they happened.
#[derive(Clone, Debug, Default)]
pub struct TlaTrace {
    state: TraceState,
    /// Whether events are in the order of one clock, so that reads can be compared with commits.
    has_one_clock: bool,
    first: Option<Membership>,
    /// The nodes that some membership of the trace names.
    members: BTreeSet<NodeId>,
    options: Option<Options>,
    term_max: Term,
    left_out: Option<String>,
}

/// The options that all nodes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    pre_vote: bool,
    stickiness: bool,
    leases: bool,
    read_leases: bool,
}

/// A trace as a module of TLA+.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlaModule {
    /// The text of the module `trace_data`.
    pub text: String,
    /// The number of lines.
    pub lines: usize,
    /// The event at which the trace ends early, because the spec has nothing like it.
    pub left_out: Option<String>,
}

impl TlaTrace {
    /// Returns an empty trace. `has_one_clock` says that the events are in the order of their
    /// times by one clock.
    #[must_use]
    pub fn new(has_one_clock: bool) -> TlaTrace {
        TlaTrace { has_one_clock, ..TlaTrace::default() }
    }

    /// Adds the lines of an event.
    pub fn observe(&mut self, event: &Event<'_>) {
        if self.left_out.is_some() {
            return;
        }
        let found = match event.kind {
            EventKind::Begins { continues: true, .. } | EventKind::Ends => return,
            EventKind::IsAhead => {
                Some("sent a message that its recording does not have".to_owned())
            }
            EventKind::Begins { header, state, .. } => {
                self.note_state(&state);
                self.absence(&state).or_else(|| self.begins(event, header.first_record, &state))
            }
            EventKind::Steps { step, before, state, .. } => {
                self.note_state(&state);
                let absent = self.absence(&state);
                self.state.known(event.node).last = Some(LastState::new(&state));
                absent.or_else(|| steps::lines(&mut self.state, event, step, before, &state))
            }
        };
        self.left_out = found.map(|what| format!("{} s: {} {what}", event.at, event.node));
    }

    /// Whether the trace has ended before the run, at something that the specification lacks.
    pub fn has_ended(&self) -> bool {
        self.left_out.is_some()
    }

    /// The nodes that are members at some point of the trace. The specification needs the steps of
    /// each of them, because otherwise no step sends the messages that others took from it.
    #[must_use]
    pub fn members(&self) -> &BTreeSet<NodeId> {
        &self.members
    }

    /// The number of lines so far.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.state.lines.len()
    }

    /// The module with the lines, and the constants that fit them.
    #[must_use]
    pub fn finish(self) -> TlaModule {
        let first = self.first.unwrap_or_default();
        let options = self.options.unwrap_or(Options {
            pre_vote: false,
            stickiness: false,
            leases: false,
            read_leases: false,
        });
        let numbers = |ids: &mut dyn Iterator<Item = u64>| set(ids.map(|id| id.to_string()));
        let mut text = String::from("---- MODULE trace_data ----\n");
        let definitions = [
            ("TraceNodes", numbers(&mut self.state.nodes.keys().map(|id| id.0))),
            ("FirstVoters", ids(first.incoming())),
            ("FirstCasting", casting(first.incoming())),
            ("TraceHasPreVote", truth(options.pre_vote).to_owned()),
            ("TraceIsSticky", truth(options.stickiness).to_owned()),
            ("TraceHasLeases", truth(options.leases).to_owned()),
            ("ReadLeases", truth(options.read_leases).to_owned()),
            ("OneClock", truth(self.has_one_clock).to_owned()),
            ("TraceMaxTerm", (self.term_max.0 + 1).to_string()),
            ("TraceMaxRound", self.state.round_max.to_string()),
            (
                "MembershipIndices",
                numbers(&mut self.state.membership_indices.iter().map(|it| it.0)),
            ),
            ("Memberships", self.state.memberships.text()),
        ];
        for (name, value) in definitions {
            let _ = writeln!(text, "{name} == {value}");
        }
        let _ = writeln!(text, "Trace == <<\n{}\n>>\n====", self.state.lines.join(",\n"));
        TlaModule { text, lines: self.state.lines.len(), left_out: self.left_out }
    }

    fn note_state(&mut self, state: &CoreState<'_>) {
        self.term_max = self.term_max.max(state.status.term);
        if !state.membership.ids().all(|id| self.members.contains(&id)) {
            self.members.extend(state.membership.ids());
        }
        let index = state.log.membership_index();
        if index > Index::ZERO {
            self.state.membership_indices.insert(index);
        } else if self.first.is_none() && !state.membership.is_empty() {
            self.first = Some(state.membership.clone());
        }
    }

    /// Adds the line of a node's start.
    fn begins(
        &mut self,
        event: &Event<'_>,
        first_record: u64,
        state: &CoreState<'_>,
    ) -> Option<String> {
        let node = event.node;
        if first_record > 0 {
            return Some("has a recording that begins later than its start".to_owned());
        }
        let is_empty = state.status.term == Term::ZERO && state.log.last().index == Index::ZERO;
        if self.state.known(node).starts == 0 && !is_empty {
            return Some("starts with a log from before the trace".to_owned());
        }
        if self.state.known(node).has_written && is_empty {
            return Some("has lost its disk".to_owned());
        }
        let last = self.state.known(node).last;
        if !self.has_one_clock && last.is_some_and(|last| last.is_before(&LastState::new(state))) {
            return Some("starts with a state that its recording does not have".to_owned());
        }
        self.state.known(node).last = Some(LastState::new(state));
        self.state.known(node).start(state.status.vote_lease);
        let mut line = Line::new("Begin", node).with("s", shown(state.status, state.log));
        line.add("at", format!("\"{}\"", event.at));
        self.state.lines.push(line.finish());
        None
    }

    /// Returns a property of a state that the spec does not have.
    fn absence(&mut self, state: &CoreState<'_>) -> Option<String> {
        let Config { pre_vote, stickiness, lease, .. } = *state.config;
        let read_leases = lease.is_some_and(|lease| lease.read_leases);
        let options = Options { pre_vote, stickiness, leases: lease.is_some(), read_leases };
        let known = *self.options.get_or_insert(options);
        let found = [
            (state.status.is_uncertain, "is uncertain"),
            (state.log.damaged_entries() > 0, "has damaged entries"),
            (state.config.survivor.is_some(), "may become a last survivor"),
            (known != options, "has options that differ from those of the other nodes"),
        ];
        found.into_iter().find(|(is_found, _)| *is_found).map(|(_, what)| what.to_owned())
    }
}
