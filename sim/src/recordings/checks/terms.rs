//! Terms and their leaders: S1 and S7.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Incarnation, Message, MessageClass, NodeId, Term};

use crate::check::{S1, S7};
use crate::recordings::checks::known::Known;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::{CoreState, Event};
use crate::values::time::SimTime;

/// The leader of each term, and when it was first seen to lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    leaders: BTreeMap<Term, (NodeId, SimTime)>,
    /// The nodes that began in an earlier term, until a message names the disk.
    reverted: BTreeMap<NodeId, Reverted>,
}

/// A start in an earlier term than the disk had.
#[derive(Clone, Debug)]
struct Reverted {
    term: Term,
    durable: Term,
    /// The disk that had the later term.
    incarnation: Option<Incarnation>,
}

/// Why a start in an earlier term may be legal.
const OTHER_DISK: &str = "a disk was emptied or is uncertain";

impl Terms {
    /// Checks the state with which a segment begins.
    pub(super) fn begins(
        &mut self,
        ledger: &mut Ledger,
        known: &Known,
        event: &Event<'_>,
        state: CoreState<'_>,
    ) {
        let (status, durable) = (state.status, known.of(event.node).durable_term);
        if status.role == RoleName::Leader {
            self.leads(ledger, event.node, status.term);
        }
        if status.term >= durable {
            return;
        }
        // A node with an emptied disk, or with an older copy of it, begins in an earlier term.
        if status.term == Term::ZERO || status.is_uncertain {
            return ledger.undecided(&S7, OTHER_DISK);
        }
        let (term, incarnation) = (status.term, known.of(event.node).incarnation);
        self.reverted.insert(event.node, Reverted { term, durable, incarnation });
    }

    pub(super) fn input(&mut self, ledger: &mut Ledger, step: &Step) {
        if let Input::Message(message) = &step.input {
            self.message(ledger, message);
        }
    }

    pub(super) fn action(&mut self, ledger: &mut Ledger, action: &Action) {
        let Action::Send(message) = action else { return };
        self.message(ledger, message);
        let id = message.from;
        let Some(Reverted { term, durable, incarnation }) = self.reverted.remove(&id) else {
            return;
        };
        if incarnation != Some(message.incarnation) {
            return ledger.undecided(&S7, OTHER_DISK);
        }
        let text = format!("{id} began in term {term}, but its disk had term {durable} before");
        ledger.violated(&S7, text);
    }

    pub(super) fn stepped(
        &mut self,
        ledger: &mut Ledger,
        event: &Event<'_>,
        before: &Status,
        state: CoreState<'_>,
    ) {
        let (id, was, is) = (event.node, before.term, state.status.term);
        let decreases = is < was;
        let text = || format!("{id}'s term decreases from {was} to {is}");
        ledger.decide(&S7, decreases.then(text));
        if state.status.role == RoleName::Leader {
            self.leads(ledger, id, is);
        }
    }

    /// A message that only a leader sends names the leader of its term.
    fn message(&mut self, ledger: &mut Ledger, message: &Message) {
        if let MessageClass::LeaderRequest | MessageClass::LeaderNotice = message.body.class() {
            self.leads(ledger, message.from, message.term);
        }
    }

    fn leads(&mut self, ledger: &mut Ledger, node: NodeId, term: Term) {
        match self.leaders.get(&term) {
            None => {
                self.leaders.insert(term, (node, ledger.at));
                ledger.holds(&S1);
            }
            Some((leader, _)) if *leader == node => {}
            Some((leader, since)) => {
                let now = ledger.at;
                ledger.violated(
                    &S1,
                    format!(
                        "term {term} has two leaders: {leader}, first seen at {since} s, and \
                         {node}, seen at {now} s"
                    ),
                );
            }
        }
    }
}
