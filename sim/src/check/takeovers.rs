//! Takeover by the last survivor (S76, docs/SURVIVOR.md): a voter that may continue alone has every
//! committed entry.

use quorate::types::{Body, EntryId, Index, Message};

use crate::check::finding::{CheckResult, S76};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The check of each message about the right to take over.
#[derive(Clone, Debug)]
pub(super) struct Takeovers;

impl Rule for Takeovers {
    fn new(_: &Known) -> Takeovers {
        Takeovers
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        match message.body {
            _ if known.is_late(known.model.slot(message.from)) => Ok(()),
            Body::LogIsComplete => check_complete(known, message),
            Body::TakeoverAllowed => check_allowed(known, message),
            _ => Ok(()),
        }
    }
}

/// Checks that a voter that reports a complete log has every entry that any node has committed.
fn check_complete(known: &Known, message: &Message) -> CheckResult {
    let (node, decided) = (known.model.of(message.from), known.model.committed.last_id());
    if decided == EntryId::ZERO || node.memory.log.has(decided) {
        return Ok(());
    }
    let Message { from, to, term, .. } = message;
    S76.violated(format!(
        "{from} reports to {to} in term {term} that its log is complete, but it lacks the \
         committed entry {decided}"
    ))
}

/// Checks that a leader allows a takeover only to a voter whose disk has every entry that the
/// leader has committed, or had it on a disk whose loss the leader may not know yet.
fn check_allowed(known: &Known, message: &Message) -> CheckResult {
    let [leader, voter] = [message.from, message.to].map(|id| known.model.of(id));
    let committed = leader.status.map_or(Index::ZERO, |status| status.committed);
    let decided = known.model.committed.id_at(committed).unwrap_or_default();
    if decided == EntryId::ZERO || voter.has_or_had(decided) {
        return Ok(());
    }
    let Message { from, to, term, .. } = message;
    S76.violated(format!(
        "{from} leads term {term} and allows {to} to take over as the last survivor, but {to}'s \
         disk lacks the committed entry {decided}"
    ))
}
