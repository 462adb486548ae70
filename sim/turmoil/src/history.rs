//! Checks a recorded history of clients.

use std::error::Error;

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::Recorder;
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

/// Checks that the history of the clients is linearizable for `model`.
///
/// # Errors
/// The history is not linearizable, or the check found no answer within its default budget.
pub fn linearizable<M: Model>(
    model: &M,
    recorder: &Recorder<M::Op, M::Ret>,
) -> Result<(), Box<dyn Error>> {
    match check(model, &recorder.history(), &Budget::default()) {
        Verdict::Linearizable => Ok(()),
        Verdict::NotLinearizable(found) => {
            Err(format!("the history is not linearizable: {}", found.reason).into())
        }
        Verdict::Unknown(exhausted) => Err(format!("the check is undecided: {exhausted:?}").into()),
    }
}
