//! The lines of a step, in the order in which the core does what they name.

use quorate::raft::{Action, Input, RoleCause, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Body, Entries, Entry, EntryId, Index, NodeId, Payload, Term};

use crate::recordings::{CoreState, Event};
use crate::tla::line::{Line, truth, tuple};
use crate::tla::messages::{on_message, with_last};
use crate::tla::outgoing;
use crate::tla::reads;
use crate::tla::state::{TraceState, shown};
use crate::tla::step_lines::StepLines;

/// Adds the lines of a step. If the specification lacks something that the step has, returns that
/// instead.
pub(super) fn lines(
    trace: &mut TraceState,
    event: &Event<'_>,
    step: &Step,
    before: &Status,
    state: &CoreState<'_>,
) -> Option<String> {
    if let Some(absent) = absence(step) {
        return Some(absent.to_owned());
    }
    let node = event.node;
    trace.known(node).step(step.now, before.vote_lease);
    let (lines, committed) = (Vec::new(), before.committed);
    let mut lines = StepLines { trace, node, step, before, state, lines, committed };
    on_input(&mut lines);
    on_roles(&mut lines);
    if lines.before.role == RoleName::Leader || lines.has("BecomeLeader") {
        on_leader(&mut lines);
    }
    let is_unexplained = lines.after().committed > lines.committed;
    if is_unexplained && lines.after().role == RoleName::Follower {
        let committed = lines.after().committed.0;
        lines.add(Line::new("LearnCommit", node).with("i", committed));
    }
    reads::answer(&mut lines);
    show(lines, event);
    None
}

/// Returns a part of the step that the spec does not have.
fn absence(step: &Step) -> Option<&'static str> {
    let of_input = match step.input {
        Input::Damaged(_) | Input::Repaired(_) => Some("has damaged entries"),
        Input::Rebuild { .. } => Some("starts over from another node's state"),
        _ => None,
    };
    let of_actions = step.actions.iter().find_map(|action| match action {
        Action::DivergedLog { .. } => Some("has a log that diverged"),
        Action::AdoptSnapshot(_) | Action::Repair(_) => Some("repairs its log"),
        Action::LogUncertain { .. } | Action::LogCertain => Some("is uncertain"),
        _ => None,
    });
    of_input.or(of_actions)
}

fn on_input(lines: &mut StepLines<'_>) {
    match &lines.step.input {
        Input::Message(message) => on_message(lines, message),
        Input::Persisted(write) => {
            lines.trace.known(lines.node).has_written = true;
            lines.add(Line::new("Persist", lines.node).with("i", write.0));
        }
        Input::SnapshotReceived { meta } => on_snapshot(lines, meta.last),
        Input::Read { tag, level, .. } => reads::begin(lines, *tag, *level),
        Input::Timeout => {
            let asks = lines.step.actions.iter().any(|action| {
                matches!(action, Action::Send(sent) if matches!(sent.body, Body::PreVote { .. }))
            });
            let stays = lines.before.role == RoleName::PreCandidate
                && lines.after().role == RoleName::PreCandidate;
            if asks && stays {
                lines.pass_time();
                lines.push("AskAgain");
            }
        }
        _ => {}
    }
}

fn on_snapshot(lines: &mut StepLines<'_>, last: EntryId) {
    let installs = lines.write().is_some_and(|write| write.install.is_some());
    if installs {
        lines.committed = lines.after().committed;
        lines.add(with_last(Line::new("Install", lines.node), last));
    } else if lines.before.role == RoleName::Follower && lines.state.log.has(last) {
        lines.committed = lines.committed.max(last.index);
        lines.add(with_last(Line::new("HaveSnapshot", lines.node), last));
    }
}

/// The roles that the node takes. A leader that steps down by itself does so at the end.
fn on_roles(lines: &mut StepLines<'_>) {
    let mut role = lines.before.role;
    for action in &lines.step.actions {
        let Action::RoleChanged { role: next, term, cause, .. } = action else { continue };
        on_role(lines, role, *next, *term, *cause);
        role = *next;
    }
}

fn on_role(
    lines: &mut StepLines<'_>,
    role: RoleName,
    next: RoleName,
    term: Term,
    cause: RoleCause,
) {
    let campaigns = matches!(next, RoleName::PreCandidate | RoleName::Candidate);
    match (next, cause) {
        (RoleName::PreCandidate, _) => time_out(lines, cause),
        (RoleName::Candidate, RoleCause::PreVotesGranted) => lines.push("WinPreVote"),
        (RoleName::Candidate, RoleCause::LeadershipTransfer { .. }) => lines.push("TakeOver"),
        (RoleName::Candidate, _) => time_out(lines, cause),
        (RoleName::Leader, _) => {
            lines.trace.known(lines.node).replies.clear();
            lines.push("BecomeLeader");
        }
        (RoleName::Follower, RoleCause::LeaderFound { .. }) => {}
        (RoleName::Follower, RoleCause::LaterTerm { from }) => {
            if !lines.has("Vote") {
                lines.forget();
                let line = Line::new("AdoptTerm", lines.node).with("t", term.0);
                lines.add(line.with("f", from.0));
            }
        }
        (RoleName::Follower, _) if role == RoleName::Follower => {
            if lines.trace.known(lines.node).heard.take().is_some() {
                lines.push("Forget");
            }
        }
        (RoleName::Follower, _) if role != RoleName::Leader => {
            lines.forget();
            lines.push("GiveUp");
        }
        (RoleName::Follower, _) => {}
    }
    if campaigns {
        lines.forget();
    }
}

/// The node campaigns, by itself or because a user asks for it.
fn time_out(lines: &mut StepLines<'_>, cause: RoleCause) {
    lines.pass_time();
    let is_requested = cause == RoleCause::CampaignRequested;
    lines.add(Line::new("Timeout", lines.node).with("x", truth(is_requested)));
}

/// The lines of a leader: it appends, commits, begins rounds, asks another node to take over, and
/// steps down.
fn on_leader(lines: &mut StepLines<'_>) {
    let begins = lines.has("BecomeLeader");
    let term = if begins { lines.after().term } else { lines.before.term };
    let is_deposed = lines.has("AdoptTerm") || lines.has("Vote") || lines.after().term > term;
    if is_deposed {
        return;
    }
    let written = lines.write().map_or(Entries::new(), |write| write.entries.clone());
    append(lines, &written[usize::from(begins)..]);
    commit(lines, false);
    begin_rounds(lines, term);
    let gives_up = lines.after().role != RoleName::Leader;
    for to in asked(&lines.step.actions) {
        let action = if gives_up { "Yield" } else { "Ask" };
        lines.add(Line::new(action, lines.node).with("f", to.0));
    }
    if gives_up {
        lines.forget();
        lines.push("GiveUp");
    }
}

/// Appends entries. A membership changes the quorum, so the leader commits all it can before it
/// appends one.
fn append(lines: &mut StepLines<'_>, written: &[Entry]) {
    let is_change = |entry: &Entry| matches!(entry.payload, Payload::Membership(_));
    for group in written.chunk_by(|one, next| !is_change(one) && !is_change(next)) {
        let changes = group.iter().any(is_change);
        if changes {
            commit(lines, true);
        }
        let action = if changes { "Members" } else { "Append" };
        let line = Line::new(action, lines.node).with("e", lines.entries(group));
        lines.add(line);
    }
}

fn commit(lines: &mut StepLines<'_>, as_far_as_possible: bool) {
    let committed = lines.after().committed;
    if committed > lines.before.committed {
        let line = Line::new("Commit", lines.node).with("i", committed.0);
        lines.add(line.with("x", truth(as_far_as_possible)));
        lines.committed = committed;
    }
}

/// The rounds of heartbeats that the step sends.
fn begin_rounds(lines: &mut StepLines<'_>, term: Term) {
    let (node, now) = (lines.node, lines.now());
    let drift_ppm = lines.state.config.lease.map_or(0, |lease| u128::from(lease.drift_ppm));
    for action in &lines.step.actions {
        let Action::Send(message) = action else { continue };
        let Body::Heartbeat(heartbeat) = &message.body else { continue };
        let begun = lines.trace.known(node).round(term);
        if heartbeat.round <= begun {
            continue;
        }
        // A voter's clock may run faster than the leader's.
        let (slow, fast) = (1_000_000 - drift_ppm, 1_000_000 + drift_ppm);
        let span = heartbeat.vote_lease.as_nanos() * slow / fast;
        let span = std::time::Duration::from_nanos(u64::try_from(span).unwrap_or(u64::MAX));
        lines.trace.known(node).begin_round(term, heartbeat.round, now.after(span));
        lines.trace.round_max = lines.trace.round_max.max(heartbeat.round);
        // A leader without peers begins rounds and sends no heartbeats.
        for round in begun + 1..=heartbeat.round {
            lines.add(Line::new("Round", node).with("k", round));
        }
    }
}

/// The nodes that the step asks to take over the leadership.
fn asked(actions: &[Action]) -> Vec<NodeId> {
    let asks = actions.iter().filter_map(|action| match action {
        Action::Send(message) if matches!(message.body, Body::TimeoutNow) => Some(message.to),
        _ => None,
    });
    asks.collect()
}

/// Ends the step: its last line shows the state, the messages of [`outgoing::texts`] and the write.
fn show(mut lines: StepLines<'_>, event: &Event<'_>) {
    let outgoing = outgoing::texts(&lines.step.actions);
    let written = lines.write().map(|write| {
        let first = write.entries.first().map(|entry| entry.id.index.previous());
        let installed = write.install.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
        let is_installed = installed > Index::ZERO;
        let from = if is_installed { 0 } else { first.unwrap_or(lines.after().last.index).0 };
        format!("[id |-> {}, from |-> {from}, x |-> {}]", write.id.0, truth(is_installed))
    });
    let text = shown(lines.after(), lines.state.log);
    let changes = text != shown(lines.before, lines.state.log);
    if lines.lines.is_empty() {
        if outgoing.is_empty() && written.is_none() && !changes {
            return;
        }
        lines.push("Show");
    }
    let StepLines { lines, trace, .. } = lines;
    let count = lines.len();
    for (place, mut line) in lines.into_iter().enumerate() {
        if place + 1 == count {
            line.add("s", &text);
            if !outgoing.is_empty() {
                line.add("o", tuple(outgoing.iter().cloned()));
            }
            if let Some(written) = &written {
                line.add("w", written);
            }
        }
        line.add("at", format!("\"{}\"", event.at));
        trace.lines.push(line.finish());
    }
}
