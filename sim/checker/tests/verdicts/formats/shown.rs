//! Formats histories as text, for comparisons.

use quorate_checker::budget::Budget;
use quorate_checker::formats::{self, AnyHistory, Loaded, Options, ParseError, Visitor};
use quorate_checker::history::{History, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

struct Shown;

impl Visitor for Shown {
    type Out = Vec<String>;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Vec<String> {
        let operations = history.operations().iter();
        let line = operations.map(|operation| {
            let (client, invoked) = (operation.client.0, operation.invoked.0);
            let call = model.describe_op(&operation.op);
            let end = match &operation.outcome {
                Outcome::Failed => "failed".to_owned(),
                Outcome::Unknown => "unknown".to_owned(),
                Outcome::Returned { at, ret } => {
                    format!("{} at {}", model.describe_ret(&operation.op, ret), at.0)
                }
            };
            format!("{client} {invoked}: {call}: {end}")
        });
        let init = format!("init {}", model.describe_state(&model.init()));
        std::iter::once(init).chain(line).collect()
    }
}

/// Formats the initial state, and each operation: client, event, call, outcome.
pub(crate) fn shown(history: &AnyHistory) -> Vec<String> {
    history.visit(Shown)
}

pub(crate) fn read(text: &str, options: &Options) -> Loaded {
    let loaded = formats::parse(text.as_bytes(), options);
    loaded.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn error(text: &str, options: &Options) -> ParseError {
    match formats::parse(text.as_bytes(), options) {
        Err(error) => error,
        Ok(loaded) => panic!("parsed without an error: {:?}\n{text}", shown(&loaded.history)),
    }
}

pub(crate) fn linearizable(loaded: &Loaded) -> bool {
    match loaded.history.check(&Budget::default()) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Unknown(exhausted) => panic!("{exhausted:?}"),
    }
}

pub(crate) fn named(model: &str) -> Options {
    let object = formats::Object::by_name(model).expect("the model is known");
    Options { object: Some(object), ..Options::default() }
}
