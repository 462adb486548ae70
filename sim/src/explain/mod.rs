//! Explanations of failed runs: sentences from the recording, oldest first, and one with the cause.
//!
//! Each family of checks has a module that queries the history and drafts facts. Facts that several
//! families use are in `facts`.

mod acknowledgements;
mod clients;
mod cluster_state;
mod commits;
mod explanation;
mod facts;
mod history;
mod leader_changes;
mod logs;
mod machines;
mod membership;
mod named;
mod panics;
mod phrases;
mod progress;
mod silence;
mod stuck_leader;
mod terms;
mod unrecorded;
mod votes;
mod waiting_client;
mod why_not;

pub use cluster_state::cluster_state;
pub use explanation::{Explanation, Fact};
pub use leader_changes::{LeaderChange, StepFact, leader_changes};
pub use why_not::{why_not_committed, why_not_leader};

use quorate::types::NodeId;

use crate::check::Check;
use crate::explain::explanation::Draft;
use crate::explain::history::History;
use crate::observe::Violation;
use crate::observe::outcome::Failure;
use crate::record::{Event, EventId, EventKind, Record};

/// A function that adds the facts that led to the failing event and, if they show it, the cause.
type Explainer = fn(&History<'_>, &mut Draft);

/// The explainers, each with the ids of its checks. `named` explains the other checks.
const EXPLAINERS: &[(&[&str], Explainer)] = &[
    (&["S1", "S2", "S3", "S4"], votes::explain),
    (&["S5", "S7"], terms::explain),
    (&["S6", "S17", "S28"], acknowledgements::explain),
    (&["S38"], acknowledgements::explain_uncertain),
    (&["S8", "S9"], logs::explain),
    (&["S10", "S11", "S12", "S13", "S14", "S33"], commits::explain),
    (&["S15", "S25", "S26", "S31", "U1"], machines::explain),
    (&["S18", "S19", "S20", "S21"], clients::explain),
    (&["S16", "S22", "S27", "S34"], membership::explain),
    (&["S23", "S24"], explain_quorum),
    (&["L1", "L2", "L5"], progress::explain),
];

/// Explains why the recorded run failed; `None` if it did not fail.
#[must_use]
pub fn explain(record: &Record) -> Option<Explanation> {
    let last = record.last()?;
    let EventKind::Failed(failure) = &record.event(last).kind else { return None };
    let failing = EventId(last.0.checked_sub(1).filter(|id| *id > 0)?);
    let history = History::new(record, failing);
    let mut draft = Draft::default();
    match failure.as_ref() {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            match explainer_of(violation) {
                None => named::explain(&history, &mut draft, violation),
                Some(explainer) => {
                    explainer(&history, &mut draft);
                    if let Failure::Safety(_) = failure.as_ref() {
                        facts::last_taken_message(&history, &mut draft);
                    }
                }
            }
            if let Some(undecided) = unrecorded::undecided(&history) {
                // An explainer may rely on what a node did not do, but the node may have done it in
                // a step that is not recorded.
                draft.replace_cause(format!("{}; {undecided}", violation.finding));
            }
            if !draft.has_cause() {
                draft.cause(with_invariant(violation));
            }
        }
        Failure::Panic(words) | Failure::Simulator(words) => {
            panics::explain(&history, &mut draft, words);
            draft.cause(words.clone());
        }
        Failure::Nondeterminism(words) | Failure::Stalled(words) => {
            facts::last_steps(&history, &mut draft);
            draft.cause(words.clone());
        }
    }
    Some(draft.finish(phrases::without_states(&failure.to_string())))
}

/// The explainer of the violated check, if it has one of its own.
fn explainer_of(violation: &Violation) -> Option<Explainer> {
    let explainer = EXPLAINERS.iter().find(|(ids, _)| ids.contains(&violation.id));
    explainer.map(|(_, explainer)| *explainer)
}

/// The finding of a violation, with the invariant of its check.
fn with_invariant(violation: &Violation) -> String {
    let finding = phrases::without_states(&violation.finding);
    match Check::by_id(violation.id) {
        Some(check) => format!("{finding}; the violated invariant: \"{}\"", check.invariant),
        None => finding,
    }
}

/// Explains the end of a node's recording: the last steps before it, and `cause` as the cause.
/// `None` if the record has no event of the node.
#[must_use]
pub fn last_steps(
    record: &Record,
    node: NodeId,
    finding: &str,
    cause: &str,
) -> Option<Explanation> {
    let last = record.last()?;
    let of_node = |(_, event): &(EventId, &Event)| {
        event.node == Some(node) && !matches!(event.kind, EventKind::RecordingEnded)
    };
    let (id, _) = record.through(last).rev().find(of_node)?;
    let history = History::new(record, id);
    let mut draft = Draft::default();
    facts::last_steps(&history, &mut draft);
    draft.cause(cause);
    Some(draft.finish(finding.to_owned()))
}

/// Explains a quorum with a non-voter or a replaced disk, in an election or in a commit.
fn explain_quorum(history: &History<'_>, draft: &mut Draft) {
    let step = history.step_of(history.failing);
    let rises = |id: EventId| {
        let (now, before) = (history.state_after(id), history.state_before(id));
        now.zip(before).is_some_and(|(now, before)| now.committed > before.committed)
    };
    let sends = history.event(history.failing).message().is_some();
    let commits = !sends && step.is_some_and(rises);
    let explainer: Explainer = if commits { commits::explain } else { votes::explain };
    explainer(history, draft);
}
