//! Reads that may be old: right at some moment between so long before their invocation, and their
//! return.
//!
//! A read that may be old by `d` is an ordinary read that was invoked `d` earlier, so the history
//! is rewritten and checked as ever. This is Δ-atomicity (Golab, Li & Shah 2011, §3) with a bound
//! for each read.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::check;
use crate::explain::{attempt, minimise};
use crate::history::{Client, History, Moment, OpId, Operation, Outcome};
use crate::model::Model;
use crate::relaxed::promise::{Promise, Session, earliest};
use crate::relaxed::session;
use crate::verdict::{Evidence, Exhausted, Verdict};

/// A history whose old reads are invoked as early as what they show may be.
#[derive(Clone, Debug)]
pub struct Rewritten<O, R> {
    /// The operations, in the order of their new invocations; moments are new, but in the old
    /// order. A read that may be old is by a client of its own.
    pub history: History<O, R>,
    /// For each operation its number before.
    pub origin: Vec<OpId>,
}

/// Decides whether there is an order of the operations that explains what they returned, in which
/// every operation takes effect between its invocation and its return, or for an old read, at
/// some moment not earlier than `promise` allows.
///
/// Without a session it costs what [`check::check`] costs, and keys are independent. With one it is
/// a search over the whole history, for which the orders within a client leave little choice as
/// long as few clients are at work; it uses the budget a second time.
///
/// Evidence is as small as [`minimise`] makes it; there the budget is used once more.
///
/// # Panics
/// If the clock goes back.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    promise: &Promise<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let rewritten = rewrite(model, history, promise);
    let verdict = match check::check(model, &rewritten.history, budget) {
        Verdict::Linearizable => Verdict::Linearizable,
        Verdict::NotLinearizable(evidence) => {
            let evidence = minimise(model, &rewritten.history, &evidence, budget);
            Verdict::NotLinearizable(rewritten.evidence(model, evidence))
        }
        Verdict::Unknown(exhausted) => {
            let original = |(count, id): (usize, OpId)| (count, rewritten.origin[id.0 as usize]);
            Verdict::Unknown(Exhausted { widest: exhausted.widest.map(original), ..exhausted })
        }
    };
    match promise.session {
        Session::Free => verdict,
        Session::Reads | Session::Whole => session::check(model, history, promise, budget, verdict),
    }
}

/// `history`, with every old read invoked as early as what it shows may be.
///
/// # Panics
/// If the clock goes back.
pub fn rewrite<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    promise: &Promise<'_, M::Op, M::Ret>,
) -> Rewritten<M::Op, M::Ret> {
    let earliest = earliest(model, history, promise);
    // What moved to a moment comes just before what happens at it.
    let mut events: Vec<(Moment, bool, usize, bool)> = Vec::new();
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
    for (now, (_, _, place, returns)) in (0..).map(Moment).zip(events) {
        if returns {
            let moved = &mut operations[number[place]];
            if let Outcome::Returned { at, .. } = &mut moved.outcome {
                *at = now;
            }
            continue;
        }
        number[place] = operations.len();
        let id = OpId(u32::try_from(place).expect("a history is no longer than that"));
        let operation = history.operation(id);
        let client = match earliest[place] {
            Some(_) => unused.next().expect("there are more clients than operations"),
            None => operation.client,
        };
        operations.push(Operation { client, invoked: now, ..operation.clone() });
        origin.push(id);
    }
    let history = History::new(operations).expect("invocations move back, each to its own client");
    Rewritten { history, origin }
}

impl<O, R> Rewritten<O, R> {
    /// `evidence` against the rewritten history, said of the one before.
    fn evidence<M: Model<Op = O, Ret = R>>(&self, model: &M, evidence: Evidence) -> Evidence {
        let original = |id: OpId| self.origin[id.0 as usize];
        let because = match attempt(model, &self.history, &evidence) {
            Some(attempt) => attempt.sentence(model, &self.history, original),
            None => "no order explains these operations, old as their reads may be".to_owned(),
        };
        let mut operations: Vec<OpId> = evidence.operations.into_iter().map(original).collect();
        operations.sort();
        Evidence { operations, because, minimal: evidence.minimal }
    }
}
