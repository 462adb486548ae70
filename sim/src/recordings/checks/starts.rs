//! Starts that lack what was durable on the disk before: S7 and S17.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input};
use quorate::recording::{Header, Step};
use quorate::types::{Body, Incarnation, NodeId, Term};

use crate::check::{Check, S7, S17};
use crate::recordings::checks::known::{Known, KnownNode};
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::{CoreState, Event, EventKind};

/// The nodes that started without what their disk had, until a message names the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Starts {
    losses: BTreeMap<NodeId, Loss>,
    /// The nodes that are not recorded now, each with whether it may have become certain meanwhile:
    /// with an older copy of its disk that was marked as restored. Only a leader makes a node
    /// certain, after the node has asked the leader for the end of its log.
    unrecorded: BTreeMap<NodeId, bool>,
}

/// A fact that was durable on a disk, and that a start lacks.
#[derive(Clone, Debug)]
struct Loss {
    check: &'static Check,
    text: String,
    /// The disk that had it.
    incarnation: Option<Incarnation>,
}

/// Why a start may lack what the disk had.
const OTHER_DISK: &str = "a disk was emptied or is uncertain";

/// Why a node that is certain may have an older copy of its disk.
const RESTORED: &str = "the node may have been restored, and have run without a recording";

/// Why a start need not be later than the one before it.
const NO_ORDER: &str = "only the clock of the node orders its starts in separate files";

/// Why it is unknown whether the disk is the one that had it.
const NO_MESSAGE: &str = "no message names the disk of the node before and after its start";

impl Starts {
    /// Checks the state with which a segment begins that does not continue the last one. `known` is
    /// the knowledge before.
    pub(super) fn begins(&mut self, ledger: &mut Ledger, known: &Known, event: &Event<'_>) {
        let EventKind::Begins { header, is_later, state, .. } = event.kind else { return };
        let node = known.of(event.node);
        let may_be_restored = self.unrecorded.remove(&node.id).unwrap_or(true);
        if let Some(loss) = self.losses.remove(&node.id) {
            ledger.undecided(loss.check, NO_MESSAGE);
        }
        let Some((check, text)) = lost(node, header, state) else { return };
        if header.start == node.start {
            // Steps are missing, but the process did not end.
            return ledger.violated(check, text);
        }
        // An emptied disk, or an older copy of the disk, lacks what was durable.
        let doubts = [
            (state.status.term == Term::ZERO || state.status.is_uncertain, OTHER_DISK),
            (may_be_restored, RESTORED),
            (!is_later, NO_ORDER),
        ];
        match doubts.into_iter().find(|(is_possible, _)| *is_possible) {
            Some((_, why)) => ledger.undecided(check, why),
            None => {
                let incarnation = node.incarnation;
                self.losses.insert(node.id, Loss { check, text, incarnation });
            }
        }
    }

    /// Notes that a node may do anything from here on, which `known` has noted.
    pub(super) fn ends(&mut self, known: &Known, node: NodeId) {
        let others = self.unrecorded.iter_mut().filter(|(other, _)| **other != node);
        others.for_each(|(_, may_be_restored)| *may_be_restored = true);
        let is_hidden = known.voters_seen_by(node).any(|voter| !known.is_recorded(voter));
        self.unrecorded.entry(node).or_insert(is_hidden);
    }

    /// Notes a step of a recorded node: a message in which another node asks for the end of the
    /// log, and voters that are not recorded and may lead.
    pub(super) fn stepped(&mut self, known: &Known, step: &Step, state: CoreState<'_>) {
        let asking = match &step.input {
            Input::Message(message) if matches!(message.body, Body::RequestLogEnd { .. }) => {
                Some(message.from)
            }
            _ => None,
        };
        for (node, may_be_restored) in &mut self.unrecorded {
            let is_hidden = |voter: NodeId| voter != *node && !known.is_recorded(voter);
            *may_be_restored |= asking == Some(*node) || state.membership.voters().any(is_hidden);
        }
    }

    /// Decides the losses of the sender of a message, which names the sender's disk.
    pub(super) fn action(&mut self, ledger: &mut Ledger, action: &Action) {
        let Action::Send(message) = action else { return };
        let Some(Loss { check, text, incarnation }) = self.losses.remove(&message.from) else {
            return;
        };
        match incarnation {
            Some(Incarnation(0)) | None => ledger.undecided(check, NO_MESSAGE),
            Some(before) if before == message.incarnation => ledger.violated(check, text),
            Some(_) => ledger.undecided(check, OTHER_DISK),
        }
    }

    /// Ends the check: no message names the disks of the nodes that are left.
    pub(super) fn finish(self, ledger: &mut Ledger) {
        self.losses.values().for_each(|loss| ledger.undecided(loss.check, NO_MESSAGE));
    }
}

/// Returns what the state lacks of what was durable, and the check that it violates.
fn lost(
    node: &KnownNode,
    header: &Header,
    state: CoreState<'_>,
) -> Option<(&'static Check, String)> {
    let (id, status) = (node.id, state.status);
    let (term, durable) = (status.term, node.durable_term);
    if term < durable {
        let text = format!("{id} began in term {term}, but its disk had term {durable} before");
        return Some((&S7, text));
    }
    // A segment that does not begin a start may follow steps that are missing.
    if header.first_record != 0 {
        return None;
    }
    let vote = node.hard_state.filter(|it| it.term == term).and_then(|it| it.vote);
    if let Some(vote) = vote.filter(|vote| status.vote != Some(*vote)) {
        let found = status.vote.map_or("no vote".to_owned(), |vote| format!("a vote for {vote}"));
        let text = format!(
            "{id} starts with {found} in term {term}, but its vote for {vote} in that term was \
             durable on its disk"
        );
        return Some((&S17, text));
    }
    // Steps that are not recorded may have truncated entries that were not committed.
    let (last, kept) = (status.last.index, node.durable_and_committed());
    (last < kept).then(|| {
        let text = format!(
            "{id} starts with a log that ends at index {last}, but its committed entries up to \
             index {kept} were durable on its disk"
        );
        (&S17, text)
    })
}
