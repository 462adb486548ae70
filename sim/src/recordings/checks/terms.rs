//! Terms and their leaders: S1 and S7.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Message, MessageClass, NodeId, Term};

use crate::check::{S1, S7};
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::{CoreState, Event};
use crate::values::time::SimTime;

/// The leader of each term, and when it was first seen to lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    leaders: BTreeMap<Term, (NodeId, SimTime)>,
}

impl Terms {
    /// Checks the state with which a segment begins.
    pub(super) fn begins(&mut self, ledger: &mut Ledger, node: NodeId, state: CoreState<'_>) {
        if state.status.role == RoleName::Leader {
            self.leads(ledger, node, state.status.term);
        }
    }

    pub(super) fn input(&mut self, ledger: &mut Ledger, step: &Step) {
        if let Input::Message(message) = &step.input {
            self.message(ledger, message);
        }
    }

    pub(super) fn action(&mut self, ledger: &mut Ledger, action: &Action) {
        if let Action::Send(message) = action {
            self.message(ledger, message);
        }
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
