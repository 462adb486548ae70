//! An honest history with a few forged operations at its end.

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::generate::{self, Random, Shape};
use quorate_checker::history::{Client, History, Moment, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

/// What a broken system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// An answer shows a state that a completed operation had already changed.
    StaleRead,
    /// An acknowledged operation has no effect.
    LostWrite,
    /// An operation takes effect once more.
    Duplicate,
    /// While an operation is on its way, one answer shows its effect and a later one does not.
    Inversion,
}

pub(crate) const FORGERIES: [Forgery; 4] =
    [Forgery::StaleRead, Forgery::LostWrite, Forgery::Duplicate, Forgery::Inversion];

/// One operation at the end of the history: one after the other, save that a `Slow` one returns
/// after all others.
pub(crate) enum Act<M: Model> {
    Call(M::Op, M::Ret),
    Slow(M::Op, M::Ret),
}

/// An object that is put on the stage.
pub(crate) struct Stage<M: Model> {
    pub(crate) model: M,
    /// What a client asks.
    pub(crate) ask: fn(&M, &mut Random) -> M::Op,
    /// What the honest object does.
    pub(crate) apply: fn(&M, &mut M::State, &M::Op) -> M::Ret,
    /// What the broken one does from a state on. No value from 1,000 on occurs before.
    pub(crate) forge: fn(&M, &M::State, Forgery) -> Vec<Act<M>>,
}

impl<M: Model> Stage<M> {
    /// Plays every forgery after several honest histories.
    pub(crate) fn play(&self) {
        for seed in 0..5 {
            let shape = Shape { operations: 300, clients: 6, ..Shape::default() };
            let mut last = self.model.init();
            let honest = generate::history(
                &mut generate::random(seed),
                &shape,
                (),
                |random| (self.ask)(&self.model, random),
                |(), op| (self.apply)(&self.model, &mut last, op),
            );
            assert_eq!(self.verdict(&honest), Verdict::Linearizable, "seed {seed}");
            for forgery in FORGERIES {
                self.forged(&honest, &last, forgery);
            }
        }
    }

    fn forged(&self, honest: &History<M::Op, M::Ret>, last: &M::State, forgery: Forgery) {
        let acts = (self.forge)(&self.model, last, forgery);
        let forged = self.verdict(&followed(honest, &acts));
        assert!(matches!(forged, Verdict::NotLinearizable(_)), "{forgery:?}: {forged:?}");
        let mut state = last.clone();
        let truth = acts.iter().map(|act| {
            let (Act::Call(op, _) | Act::Slow(op, _)) = act;
            Act::Call(op.clone(), (self.apply)(&self.model, &mut state, op))
        });
        let truth: Vec<Act<M>> = truth.collect();
        assert_eq!(self.verdict(&followed(honest, &truth)), Verdict::Linearizable, "{forgery:?}");
    }

    fn verdict(&self, history: &History<M::Op, M::Ret>) -> Verdict {
        check(&self.model, history, &Budget::default())
    }
}

/// The acts alone.
pub(crate) fn acted<M: Model>(acts: &[Act<M>]) -> History<M::Op, M::Ret> {
    followed(&History::default(), acts)
}

/// Whether a history is linearizable.
pub(crate) fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    check(model, history, &Budget::default()) == Verdict::Linearizable
}

/// `honest`, and then the acts.
fn followed<M: Model>(honest: &History<M::Op, M::Ret>, acts: &[Act<M>]) -> History<M::Op, M::Ret> {
    let mut operations = honest.operations().to_vec();
    let mut client = 1_000;
    let mut now = 10_000;
    let slow_until = Moment(20_000);
    for act in acts {
        let (Act::Call(op, ret) | Act::Slow(op, ret)) = act;
        let at = match act {
            Act::Call(..) => Moment(now + 1),
            Act::Slow(..) => slow_until,
        };
        let (op, outcome) = (op.clone(), Outcome::Returned { at, ret: ret.clone() });
        operations.push(Operation { client: Client(client), op, invoked: Moment(now), outcome });
        (client, now) = (client + 1, now + 2);
    }
    History::new(operations).expect("a forged history is one, too")
}
