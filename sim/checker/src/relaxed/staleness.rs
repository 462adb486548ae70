//! Bounded staleness: the state that a read observes was current at some time between its response
//! and a bound before its invocation.
//!
//! A read that may be stale by `d` is an ordinary read that was invoked `d` earlier, so the history
//! is rewritten and checked for linearizability. This is Δ-atomicity (Golab, Li & Shah 2011, §3)
//! with a bound for each read.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::check;
use crate::explain::{longest_linearization, minimise};
use crate::history::{Client, EventIndex, History, OpId, Operation, Outcome};
use crate::model::Model;
use crate::relaxed::guarantee::{ReadGuarantee, SessionOrder, earliest};
use crate::relaxed::session;
use crate::verdict::{BudgetExhausted, Counterexample, Verdict};

/// A history in which every stale read is invoked at the earliest event at which it may observe the
/// state.
#[derive(Clone, Debug)]
pub struct RewrittenHistory<O, R> {
    /// The operations, in the order of their new invocations. Events have new indexes in the old
    /// order. A read that may be stale has a client of its own.
    pub history: History<O, R>,
    /// The number of each operation in the original history.
    pub origin: Vec<OpId>,
}

/// Decides whether some order of the operations explains what they returned, in which every
/// operation takes effect between its invocation and its response, or, for a stale read, not
/// earlier than `guarantee` allows.
///
/// Without a session it costs as much as [`check::check`], and keys are independent. With a session
/// it is a search over the whole history, which is fast as long as few clients are concurrent; it
/// uses the budget a second time.
///
/// The counterexample is as small as [`minimise`] makes it, which uses the budget once more.
///
/// # Panics
/// If the clock of `guarantee` decreases.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    guarantee: &ReadGuarantee<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let rewritten = rewrite(model, history, guarantee);
    let verdict = match check::check(model, &rewritten.history, budget) {
        Verdict::Linearizable => Verdict::Linearizable,
        Verdict::NotLinearizable(counterexample) => {
            let counterexample = minimise(model, &rewritten.history, &counterexample, budget);
            Verdict::NotLinearizable(rewritten.counterexample(model, counterexample))
        }
        Verdict::Unknown(exhausted) => {
            let original = |(count, id): (usize, OpId)| (count, rewritten.origin[id.0 as usize]);
            Verdict::Unknown(BudgetExhausted {
                widest: exhausted.widest.map(original),
                ..exhausted
            })
        }
    };
    match guarantee.session {
        SessionOrder::None => verdict,
        SessionOrder::MonotonicReads | SessionOrder::ProgramOrder => {
            session::check(model, history, guarantee, budget, verdict)
        }
    }
}

/// Returns `history` with every stale read invoked at the earliest event at which it may observe
/// the state.
///
/// # Panics
/// If the clock of `guarantee` decreases.
pub fn rewrite<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    guarantee: &ReadGuarantee<'_, M::Op, M::Ret>,
) -> RewrittenHistory<M::Op, M::Ret> {
    let earliest = earliest(model, history, guarantee);
    // An invocation moved to an event comes just before that event.
    let mut events: Vec<(EventIndex, bool, usize, bool)> = Vec::new();
    for (place, operation) in history.operations().iter().enumerate() {
        let from = earliest[place].unwrap_or(operation.invoked);
        events.push((from, earliest[place].is_none(), place, false));
        if let Outcome::Returned { at, .. } = operation.outcome {
            events.push((at, true, place, true));
        }
    }
    events.sort_unstable();
    let used: BTreeSet<Client> = history.operations().iter().map(|one| one.client).collect();
    let mut unused = (0..).map(Client).filter(|client| !used.contains(client));
    let mut number = vec![0; earliest.len()];
    let (mut operations, mut origin): (Vec<Operation<M::Op, M::Ret>>, _) = (Vec::new(), Vec::new());
    for (now, (_, _, place, returns)) in (0..).map(EventIndex).zip(events) {
        if returns {
            let moved = &mut operations[number[place]];
            if let Outcome::Returned { at, .. } = &mut moved.outcome {
                *at = now;
            }
            continue;
        }
        number[place] = operations.len();
        let id = OpId(u32::try_from(place).expect("a history has at most u32::MAX operations"));
        let operation = history.operation(id);
        let client = match earliest[place] {
            Some(_) => unused.next().expect("there are more clients than operations"),
            None => operation.client,
        };
        operations.push(Operation { client, invoked: now, ..operation.clone() });
        origin.push(id);
    }
    let history = History::new(operations).expect("invocations move back, each to its own client");
    RewrittenHistory { history, origin }
}

impl<O, R> RewrittenHistory<O, R> {
    /// Translates `counterexample` from the rewritten history to the original one.
    fn counterexample<M: Model<Op = O, Ret = R>>(
        &self,
        model: &M,
        counterexample: Counterexample,
    ) -> Counterexample {
        let original = |id: OpId| self.origin[id.0 as usize];
        let reason = match longest_linearization(model, &self.history, &counterexample) {
            Some(attempt) => attempt.sentence(model, &self.history, original),
            None => "no order explains these operations within the allowed staleness".to_owned(),
        };
        let mut operations: Vec<OpId> =
            counterexample.operations.into_iter().map(original).collect();
        operations.sort();
        Counterexample { operations, reason, minimal: counterexample.minimal }
    }
}
