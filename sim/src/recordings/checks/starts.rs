//! Starts that lack what was durable on the disk before: S7 and S17.

use std::collections::BTreeMap;

use quorate::raft::Action;
use quorate::recording::Header;
use quorate::types::{Incarnation, NodeId, Term};

use crate::check::{Check, S7, S17};
use crate::recordings::checks::known::KnownNode;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::CoreState;

/// The nodes that started without what their disk had, until a message names the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Starts {
    losses: BTreeMap<NodeId, Loss>,
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

/// Why a loss of a start before is not decided.
const NO_MESSAGE: &str = "the node ended before a message named its disk";

impl Starts {
    /// Checks the state with which a segment begins that does not continue the last one. `node` is
    /// the knowledge about the node before.
    pub(super) fn begins(
        &mut self,
        ledger: &mut Ledger,
        node: &KnownNode,
        header: &Header,
        state: CoreState<'_>,
    ) {
        if let Some(loss) = self.losses.remove(&node.id) {
            ledger.undecided(loss.check, NO_MESSAGE);
        }
        let Some((check, text)) = lost(node, header, state) else { return };
        // A node with an emptied disk, or with an older copy of it, does not have it.
        if state.status.term == Term::ZERO || state.status.is_uncertain {
            return ledger.undecided(check, OTHER_DISK);
        }
        self.losses.insert(node.id, Loss { check, text, incarnation: node.incarnation });
    }

    /// Decides the losses of the sender of a message, which names the sender's disk.
    pub(super) fn action(&mut self, ledger: &mut Ledger, action: &Action) {
        let Action::Send(message) = action else { return };
        let Some(Loss { check, text, incarnation }) = self.losses.remove(&message.from) else {
            return;
        };
        if incarnation == Some(message.incarnation) {
            ledger.violated(check, text);
        } else {
            ledger.undecided(check, OTHER_DISK);
        }
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
