//! How an object's operations and answers are written down: one small trait for each object, and
//! what all of them share.

use crate::formats::fault::Fault;
use crate::formats::form::{Form, shortened};
use crate::model::Model;
use crate::value::{Datum, Value, Values};

/// An object whose operations can be read from a file and written to one.
pub(super) trait Notation: Model + Sized {
    /// What files call it.
    const NAME: &'static str;
    /// Whether its operations name a key.
    const KEYS: bool = false;

    /// The object before the first operation.
    fn start(start: &Start<'_, '_>) -> Result<Self, Fault>;

    /// What is asked.
    fn call(&self, call: &Call<'_, '_>) -> Result<Self::Op, Fault>;

    /// What is answered to `op`.
    fn answer(&self, op: &Self::Op, told: &Told<'_, '_>) -> Result<Self::Ret, Fault>;

    /// The answer to `op` where all that is told is that it took effect; none if such an answer
    /// says something that must be told.
    fn done(&self, op: &Self::Op) -> Option<Self::Ret>;

    /// The answer to `op` that says that what it expects was not so: `false` to a compare-and-set.
    fn refused(&self, op: &Self::Op) -> Option<Self::Ret> {
        let _ = op;
        None
    }

    /// The object before the first operation, to be written.
    fn written_start(&self) -> Piece;

    /// What is asked, to be written.
    fn written_call(&self, op: &Self::Op) -> WrittenCall;

    /// What is answered, to be written; nothing if the answer says nothing.
    fn written_answer(&self, op: &Self::Op, ret: &Self::Ret) -> Option<Piece>;
}

/// What a file, or its reader's caller, says of an object before the first operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start<'t, 'a> {
    /// What it is.
    pub(super) init: Option<Form<'t, 'a>>,
    /// Whether a bank's accounts may owe.
    pub(super) overdraft: bool,
    /// Whether keys of which nothing is said begin as the empty text.
    pub(super) empty_texts: bool,
    /// Whether reading nothing shows that nothing was written.
    pub(super) nothing_is_read: bool,
}

/// What a client asks, as a file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'t, 'a> {
    /// Where that stands.
    pub(super) at: usize,
    /// The name of the operation.
    pub(super) f: &'t str,
    /// The key it is for.
    pub(super) key: Option<Form<'t, 'a>>,
    /// Its arguments.
    pub(super) value: Option<Form<'t, 'a>>,
    /// As of [`Start`].
    pub(super) nothing_is_read: bool,
}

/// What a client is told, as a file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'t, 'a> {
    /// Where that stands.
    pub(super) at: usize,
    /// The name of the operation that it answers.
    pub(super) f: &'t str,
    /// The answer.
    pub(super) result: Option<Form<'t, 'a>>,
    /// As of [`Start`].
    pub(super) nothing_is_read: bool,
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Data.
    Datum(Datum),
    /// Names, each with something.
    Object(Vec<(String, Datum)>),
}

/// An operation to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenCall {
    /// The name of the operation.
    pub(super) f: &'static str,
    /// The key it is for.
    pub(super) key: Option<Datum>,
    /// Its arguments.
    pub(super) value: Option<Piece>,
}

impl<'t, 'a> Call<'t, 'a> {
    /// That it has no arguments.
    pub(super) fn without_value(&self) -> Result<(), Fault> {
        match self.value {
            Some(value) if !value.is_null() => {
                Err(value.expected(&format!("no value: `{}` has none", self.f)))
            }
            _ => Ok(()),
        }
    }

    /// Its arguments.
    pub(super) fn value(&self) -> Result<Form<'t, 'a>, Fault> {
        let missing = || Fault::new(self.at, format!("`{}` has no `value`", self.f));
        self.value.ok_or_else(missing)
    }

    /// Its argument, as data.
    pub(super) fn datum(&self, values: &Values) -> Result<Value, Fault> {
        value_of(self.value()?, values)
    }

    /// Its two arguments, as data.
    pub(super) fn pair(&self, values: &Values) -> Result<[Value; 2], Fault> {
        let [from, to] = self.value()?.pair("a list of two values, from and to")?;
        Ok([value_of(from, values)?, value_of(to, values)?])
    }

    /// Its only step, if it is a transaction.
    pub(super) fn only_step(&self) -> Result<Step<'t, 'a>, Fault> {
        match self.key {
            Some(key) => Err(key.expected("no key: the steps of a transaction have keys")),
            None => Step::only(self.value()?),
        }
    }

    /// Its key, as data.
    pub(super) fn key(&self, values: &Values) -> Result<Value, Fault> {
        let missing = || Fault::new(self.at, format!("`{}` has no `key`", self.f));
        value_of(self.key.ok_or_else(missing)?, values)
    }

    /// That there is no such operation.
    pub(super) fn unknown(&self, known: &str) -> Fault {
        let what = format!("expected {known}, found `{}`", shortened(self.f));
        Fault::new(self.at, what)
    }
}

impl<'t, 'a> Told<'t, 'a> {
    /// The answer.
    pub(super) fn result(&self, what: &str) -> Result<Form<'t, 'a>, Fault> {
        let missing = || Fault::new(self.at, format!("expected a result, {what}; there is none"));
        self.result.ok_or_else(missing)
    }

    /// The answer to the only step of a transaction, of `key`, if it was one: nothing to a write,
    /// which is repeated.
    pub(super) fn of_step(&self, key: Value, values: &Values) -> Result<Told<'t, 'a>, Fault> {
        let (Some(result), "txn") = (self.result, self.f) else { return Ok(*self) };
        let step = Step::only(result)?;
        if value_of(step.key, values)? != key {
            return Err(step.key.expected("the key that was asked for"));
        }
        let read = matches!(step.f, "r" | "read");
        Ok(Told { result: read.then_some(step.value), ..*self })
    }

    /// That there is none.
    pub(super) fn nothing(&self) -> Result<(), Fault> {
        match self.result {
            Some(result) if !result.is_null() => {
                Err(result.expected("no result: this operation returns nothing"))
            }
            _ => Ok(()),
        }
    }

    /// The answer, if there is one that is not nothing.
    pub(super) fn some(&self) -> Option<Form<'t, 'a>> {
        self.result.filter(|result| !result.is_null())
    }
}

/// What stands for `form`.
pub(super) fn value_of(form: Form<'_, '_>, values: &Values) -> Result<Value, Fault> {
    Ok(match form.is_null() {
        true => Value::NULL,
        false => values.of(form.datum()?),
    })
}

/// What stands for the elements of a list or a set.
pub(super) fn values_of(
    form: Form<'_, '_>,
    what: &str,
    values: &Values,
) -> Result<Vec<Value>, Fault> {
    form.elements(what)?.map(|element| value_of(element, values)).collect()
}

/// Values, to be written as a list.
pub(super) fn list<'v>(items: impl IntoIterator<Item = &'v Value>, values: &Values) -> Datum {
    Datum::List(items.into_iter().map(|value| values.datum(*value)).collect())
}

/// One step of a transaction: `["write", key, value]`.
#[derive(Clone, Copy)]
pub(super) struct Step<'t, 'a> {
    /// Where it stands.
    pub(super) at: usize,
    /// Its name.
    pub(super) f: &'t str,
    /// The key it is for.
    pub(super) key: Form<'t, 'a>,
    /// What is written there, or was read.
    pub(super) value: Form<'t, 'a>,
}

impl<'t, 'a> Step<'t, 'a> {
    /// Reads one.
    pub(super) fn read(form: Form<'t, 'a>) -> Result<Step<'t, 'a>, Fault> {
        const WHAT: &str = "a step: a list of a name, a key and a value";
        let mut items = form.items(WHAT)?;
        let (f, key, value) = (items.next(), items.next(), items.next());
        match (f.and_then(Form::name), key, value, items.next()) {
            (Some(f), Some(key), Some(value), None) => Ok(Step { at: form.place(), f, key, value }),
            _ => Err(Fault::new(form.place(), format!("expected {WHAT}"))),
        }
    }

    /// Reads the only one of a transaction.
    pub(super) fn only(form: Form<'t, 'a>) -> Result<Step<'t, 'a>, Fault> {
        let mut steps = form.items("a list of steps")?;
        match (steps.next(), steps.next()) {
            (Some(step), None) => Step::read(step),
            _ => Err(Fault::new(form.place(), "expected a transaction of one step")),
        }
    }

    /// That there is no such step.
    pub(super) fn unknown(&self) -> Fault {
        let what = format!("expected a step that the object has, found `{}`", shortened(self.f));
        Fault::new(self.at, what)
    }
}
