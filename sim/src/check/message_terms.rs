//! The effect of a message's term on the node that takes it (S58): a later term is adopted, and a
//! message of an earlier term, a message for another node and a request for a pre-vote change
//! nothing (Raft §5.1).

use quorate::raft::{RoleName, Status};
use quorate::types::MessageKind;

use crate::check::finding::{CheckResult, S58};
use crate::check::known::{Known, TakenMessage};
use crate::check::rule::Rule;

/// The check of each step that takes a message.
#[derive(Clone, Debug)]
pub(super) struct MessageTerms;

impl Rule for MessageTerms {
    fn new(_: &Known) -> MessageTerms {
        MessageTerms
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (message, before) = (known.message.as_ref(), known.status_before(status));
        let (Some(message), Some(before)) = (message, before) else { return Ok(()) };
        check_adopted(message, &before, status)?;
        if known.changes_status && is_without_effect(message, &before) {
            check_unchanged(message, &before, status)?;
        }
        check_entered(message, &before, status)
    }
}

/// Checks that the node has adopted the term of the message, unless it may ignore it.
fn check_adopted(message: &TakenMessage, before: &Status, status: &Status) -> CheckResult {
    let is_for_node = message.to == status.id && !is_valid_in_any_term(message.kind);
    if status.term >= message.term || !is_for_node || message.may_be_ignored {
        return Ok(());
    }
    S58.violated(format!("{}, but stays in term {}", describe(message, before), status.term))
}

/// Checks that a message without effect leaves the status as it was. A leader may commit or append
/// in any step, and any node may become a follower.
fn check_unchanged(message: &TakenMessage, before: &Status, status: &Status) -> CheckResult {
    let (led, is) = (before.role == RoleName::Leader, status);
    let has_new_leader = is.leader.is_some() && is.leader != before.leader;
    let has_new_role = is.role != RoleName::Follower && is.role != before.role;
    let changes = [
        ("term", is.term != before.term),
        ("vote", is.vote != before.vote),
        ("vote lease", is.vote_lease != before.vote_lease),
        ("certainty", is.is_uncertain && !before.is_uncertain),
        ("leader", has_new_leader),
        ("role", has_new_role),
        ("log", is.last != before.last && !led),
        ("commit index", is.committed != before.committed && !led),
    ];
    let Some((changed, _)) = changes.iter().find(|(_, changes)| *changes) else { return Ok(()) };
    S58.violated(format!("{}, and changes its {changed}", describe(message, before)))
}

/// Checks the term that the node enters: the term of the message or, if the node votes for itself,
/// the one after both the message's term and the node's own.
fn check_entered(message: &TakenMessage, before: &Status, status: &Status) -> CheckResult {
    let (id, term) = (status.id, status.term);
    let campaigns = status.vote == Some(id) && term == before.term.max(message.term).next();
    if term == before.term || term == message.term || campaigns {
        return Ok(());
    }
    S58.violated(format!("{}, and enters term {term}", describe(message, before)))
}

/// Whether the message must change nothing at the node: it is for another node, asks for a
/// pre-vote, or is of an earlier term than the node.
fn is_without_effect(message: &TakenMessage, before: &Status) -> bool {
    let is_earlier = message.term < before.term && !is_valid_in_any_term(message.kind);
    message.to != before.id || message.kind == MessageKind::PreVote || is_earlier
}

/// Whether nodes handle the message whatever its term is. Of these messages, only a `PreVoteReply`
/// makes a node adopt its later term.
fn is_valid_in_any_term(kind: MessageKind) -> bool {
    matches!(
        kind,
        MessageKind::PreVote
            | MessageKind::PreVoteReply
            | MessageKind::BootstrapProbe
            | MessageKind::Bootstrapped
            | MessageKind::RequestEntries
            | MessageKind::RequestEntriesReply
    )
}

fn describe(message: &TakenMessage, before: &Status) -> String {
    let TakenMessage { from, to, term, kind, .. } = *message;
    let (id, own, name) = (before.id, before.term, kind.name());
    let to = if to == id { String::new() } else { format!(" to {to}") };
    format!("{id} in term {own} takes {from}'s {name}{to} of term {term}")
}
