//! A correct history with a few forged operations at its end.

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::generate::{self, Random, Shape};
use quorate_checker::history::{Client, EventIndex, History, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

/// The fault of a broken system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// A response reflects a state that a completed operation had already changed.
    StaleRead,
    /// An acknowledged operation has no effect.
    LostWrite,
    /// An operation takes effect twice.
    Duplicate,
    /// While an operation is pending, one read observes its effect and a later read does not.
    Inversion,
}

pub(crate) const FORGERIES: [Forgery; 4] =
    [Forgery::StaleRead, Forgery::LostWrite, Forgery::Duplicate, Forgery::Inversion];

/// A forged operation. Each is invoked after the one before it has returned, except that a `Slow`
/// one returns after all others.
pub(crate) enum ForgedOp<M: Model> {
    Call(M::Op, M::Ret),
    Slow(M::Op, M::Ret),
}

/// A model, with generators of correct and forged operations.
pub(crate) struct Stage<M: Model> {
    pub(crate) model: M,
    /// Draws an operation for the model.
    pub(crate) draw_op: fn(&M, &mut Random) -> M::Op,
    /// Applies an operation as the correct object does.
    pub(crate) apply: fn(&M, &mut M::State, &M::Op) -> M::Ret,
    /// Returns the operations of the broken object from a state on. The values from 1,000 to 9,999
    /// do not occur before.
    pub(crate) forge: fn(&M, &M::State, Forgery) -> Vec<ForgedOp<M>>,
}

impl<M: Model> Stage<M> {
    /// Checks every forgery after several correct histories.
    pub(crate) fn play(&self) {
        for seed in 0..5 {
            let shape = Shape { operations: 300, clients: 6, ..Shape::default() };
            let mut last = self.model.init();
            let correct = generate::history(
                &mut generate::random(seed),
                &shape,
                (),
                |random| (self.draw_op)(&self.model, random),
                |(), op| (self.apply)(&self.model, &mut last, op),
            );
            assert_eq!(self.verdict(&correct), Verdict::Linearizable, "seed {seed}");
            for forgery in FORGERIES {
                self.check_forgery(&correct, &last, forgery);
            }
        }
    }

    fn check_forgery(&self, correct: &History<M::Op, M::Ret>, last: &M::State, forgery: Forgery) {
        let forged = (self.forge)(&self.model, last, forgery);
        let verdict = self.verdict(&followed_by(correct, &forged));
        assert!(matches!(verdict, Verdict::NotLinearizable(_)), "{forgery:?}: {verdict:?}");
        let mut state = last.clone();
        let truth = forged.iter().map(|op| {
            let (ForgedOp::Call(op, _) | ForgedOp::Slow(op, _)) = op;
            ForgedOp::Call(op.clone(), (self.apply)(&self.model, &mut state, op))
        });
        let truth: Vec<ForgedOp<M>> = truth.collect();
        assert_eq!(
            self.verdict(&followed_by(correct, &truth)),
            Verdict::Linearizable,
            "{forgery:?}"
        );
    }

    fn verdict(&self, history: &History<M::Op, M::Ret>) -> Verdict {
        check(&self.model, history, &Budget::default())
    }
}

/// Returns the history of the forged operations alone.
pub(crate) fn forged_history<M: Model>(forged: &[ForgedOp<M>]) -> History<M::Op, M::Ret> {
    followed_by(&History::default(), forged)
}

/// Returns true if a history is linearizable.
pub(crate) fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    check(model, history, &Budget::default()) == Verdict::Linearizable
}

/// Returns the history `correct` followed by the forged operations.
fn followed_by<M: Model>(
    correct: &History<M::Op, M::Ret>,
    forged: &[ForgedOp<M>],
) -> History<M::Op, M::Ret> {
    let mut operations = correct.operations().to_vec();
    let mut client = 1_000;
    let mut now = 10_000;
    let slow_until = EventIndex(20_000);
    for next in forged {
        let (ForgedOp::Call(op, ret) | ForgedOp::Slow(op, ret)) = next;
        let at = match next {
            ForgedOp::Call(..) => EventIndex(now + 1),
            ForgedOp::Slow(..) => slow_until,
        };
        let (op, outcome) = (op.clone(), Outcome::Returned { at, ret: ret.clone() });
        operations.push(Operation {
            client: Client(client),
            op,
            invoked: EventIndex(now),
            outcome,
        });
        (client, now) = (client + 1, now + 2);
    }
    History::new(operations).expect("a forged history is well-formed")
}
