//! The notation of operations and results: a trait for each model, and shared parsers.

use serde::{Serialize, Serializer};

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, printable};
use crate::model::Model;
use crate::value::{Value, ValueId, ValueTable};

/// A model whose operations can be read from a file and written to one.
pub(super) trait Notation: Model + Sized {
    /// The name of the model in files.
    const NAME: &'static str;
    /// Whether the operations have a key.
    const KEYS: bool = false;

    /// Creates the model with its initial state.
    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Self>;

    /// Parses the initial values of single keys: a list of pairs, key and value. The flag
    /// `nothing_is_read` is the same as [`InitialState::nothing_is_read`].
    fn parse_init_by_key(&mut self, pairs: Form<'_, '_>, nothing_is_read: bool) -> Parsed<()> {
        let _ = nothing_is_read;
        let message = "only `kv`, `multi-register` and `rw-register` have initial values of single \
                       keys";
        Err(OffsetError::new(pairs.offset(), message))
    }

    /// Parses an operation from its invocation.
    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<Self::Op>;

    /// Parses the response to `op`.
    fn parse_ret(&self, op: &Self::Op, response: &Response<'_, '_>) -> Parsed<Self::Ret>;

    /// Returns the result of `op` if only its success is known, or `None` if the result must be
    /// reported.
    fn acknowledged_ret(&self, op: &Self::Op) -> Option<Self::Ret>;

    /// Returns the result of `op` if its condition was false: `false` for a compare-and-set.
    fn failed_cas_ret(&self, op: &Self::Op) -> Option<Self::Ret> {
        let _ = op;
        None
    }

    /// Writes the initial state of the object.
    fn write_init(&self) -> OutputValue;

    /// Writes the initial values of single keys: pairs of key and value.
    fn write_init_by_key(&self) -> Vec<[Value; 2]> {
        Vec::new()
    }

    /// Writes an operation as an invocation.
    fn write_op(&self, op: &Self::Op) -> WrittenOp;

    /// Writes a response; `None` if it carries no value.
    fn write_ret(&self, op: &Self::Op, ret: &Self::Ret) -> Option<OutputValue>;
}

/// The initial state of an object, as a file or the caller states it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InitialState<'t, 'a> {
    /// The form of the initial state.
    pub(super) init: Option<Form<'t, 'a>>,
    /// The form of the initial values of single keys.
    pub(super) init_by_key: Option<Form<'t, 'a>>,
    /// Whether balances of a bank may be negative.
    pub(super) overdraft: bool,
    /// Whether keys without a stated value are initially the empty string.
    pub(super) empty_texts: bool,
    /// Whether a read of null shows that nothing was written.
    pub(super) nothing_is_read: bool,
}

/// An invocation, as a file contains it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'t, 'a> {
    /// The byte offset of the invocation.
    pub(super) at: usize,
    /// The name of the operation.
    pub(super) f: &'t str,
    /// The key that the operation accesses.
    pub(super) key: Option<Form<'t, 'a>>,
    /// The arguments of the operation.
    pub(super) value: Option<Form<'t, 'a>>,
    /// The same as [`InitialState::nothing_is_read`].
    pub(super) nothing_is_read: bool,
}

/// A response, as a file contains it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'t, 'a> {
    /// The byte offset of the response.
    pub(super) at: usize,
    /// The name of the operation that returned.
    pub(super) f: &'t str,
    /// The result of the operation.
    pub(super) result: Option<Form<'t, 'a>>,
    /// The same as [`InitialState::nothing_is_read`].
    pub(super) nothing_is_read: bool,
}

/// A value to write to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum OutputValue {
    /// A plain value or a list.
    Value(Value),
    /// An object: names, each with a value.
    #[serde(serialize_with = "object")]
    Object(Vec<(String, Value)>),
}

fn object<S: Serializer>(members: &[(String, Value)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(members.iter().map(|(name, value)| (name, value)))
}

/// An operation to write to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct WrittenOp {
    /// The name of the operation.
    pub(super) f: &'static str,
    /// The key that the operation accesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Value>,
    /// The arguments of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<OutputValue>,
}

impl<'t, 'a> Call<'t, 'a> {
    /// Checks that the operation has no arguments.
    pub(super) fn without_value(&self) -> Parsed<()> {
        match self.value {
            Some(value) if !value.is_null() => {
                Err(value.expected(&format!("no value: `{}` has none", self.f)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the arguments of the operation.
    pub(super) fn value(&self) -> Parsed<Form<'t, 'a>> {
        let missing = || OffsetError::new(self.at, format!("`{}` has no `value`", self.f));
        self.value.ok_or_else(missing)
    }

    /// Parses the argument as a value.
    pub(super) fn parse_arg(&self, values: &ValueTable) -> Parsed<ValueId> {
        value_of(self.value()?, values)
    }

    /// Parses the two arguments as values.
    pub(super) fn pair(&self, values: &ValueTable) -> Parsed<[ValueId; 2]> {
        let [from, to] = self.value()?.pair("a list of two values, from and to")?;
        Ok([value_of(from, values)?, value_of(to, values)?])
    }

    /// Returns the only step of a transaction.
    pub(super) fn only_step(&self) -> Parsed<Step<'t, 'a>> {
        match self.key {
            Some(key) => Err(key.expected("no key: the steps of a transaction have keys")),
            None => Step::only(self.value()?),
        }
    }

    /// Parses the key of the operation.
    pub(super) fn key(&self, values: &ValueTable) -> Parsed<ValueId> {
        let missing = || OffsetError::new(self.at, format!("`{}` has no `key`", self.f));
        value_of(self.key.ok_or_else(missing)?, values)
    }

    /// Returns the error that the operation is unknown.
    pub(super) fn unknown(&self, known: &str) -> OffsetError {
        let message = format!("expected {known}, found `{}`", printable(self.f));
        OffsetError::new(self.at, message)
    }
}

impl<'t, 'a> Response<'t, 'a> {
    /// Returns the result, or an error if there is none; `expected` describes it in the error.
    pub(super) fn result(&self, expected: &str) -> Parsed<Form<'t, 'a>> {
        let missing =
            || OffsetError::new(self.at, format!("expected a result, {expected}, found none"));
        self.result.ok_or_else(missing)
    }

    /// If the operation was a transaction, returns the response to its only step, which accesses
    /// `key`; otherwise returns this response. The result of a write is dropped, because it repeats
    /// the argument.
    pub(super) fn of_step(&self, key: ValueId, values: &ValueTable) -> Parsed<Response<'t, 'a>> {
        let (Some(result), "txn") = (self.result, self.f) else { return Ok(*self) };
        let step = Step::only(result)?;
        if value_of(step.key, values)? != key {
            return Err(step.key.expected("the key of the invocation"));
        }
        let read = matches!(step.f, "r" | "read");
        Ok(Response { result: read.then_some(step.value), ..*self })
    }

    /// Checks that the response has no result.
    pub(super) fn nothing(&self) -> Parsed<()> {
        match self.result {
            Some(result) if !result.is_null() => {
                Err(result.expected("no result: the operation returns nothing"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the result unless it is null.
    pub(super) fn some(&self) -> Option<Form<'t, 'a>> {
        self.result.filter(|result| !result.is_null())
    }
}

/// Interns the value of `form`.
pub(super) fn value_of(form: Form<'_, '_>, values: &ValueTable) -> Parsed<ValueId> {
    Ok(match form.is_null() {
        true => ValueId::NULL,
        false => values.intern(form.value()?),
    })
}

/// Interns the values of a list or a set.
pub(super) fn values_of(
    form: Form<'_, '_>,
    message: &str,
    values: &ValueTable,
) -> Parsed<Vec<ValueId>> {
    form.elements(message)?.map(|element| value_of(element, values)).collect()
}

/// Builds the list of values to write.
pub(super) fn list<'v>(items: impl IntoIterator<Item = &'v ValueId>, values: &ValueTable) -> Value {
    Value::List(items.into_iter().map(|value| values.resolve(*value)).collect())
}

/// One step of a transaction: `["write", key, value]`.
#[derive(Clone, Copy)]
pub(super) struct Step<'t, 'a> {
    /// The byte offset of the step.
    pub(super) at: usize,
    /// The name of the step.
    pub(super) f: &'t str,
    /// The key that the step accesses.
    pub(super) key: Form<'t, 'a>,
    /// The value to write, or the value that was read.
    pub(super) value: Form<'t, 'a>,
}

impl<'t, 'a> Step<'t, 'a> {
    /// Parses one step of a transaction.
    pub(super) fn read(form: Form<'t, 'a>) -> Parsed<Step<'t, 'a>> {
        const WHAT: &str = "a step: a list of a name, a key and a value";
        let mut items = form.items(WHAT)?;
        let (f, key, value) = (items.next(), items.next(), items.next());
        match (f.and_then(Form::name), key, value, items.next()) {
            (Some(f), Some(key), Some(value), None) => {
                Ok(Step { at: form.offset(), f, key, value })
            }
            _ => Err(OffsetError::new(form.offset(), format!("expected {WHAT}"))),
        }
    }

    /// Parses the only step of a transaction.
    pub(super) fn only(form: Form<'t, 'a>) -> Parsed<Step<'t, 'a>> {
        let mut steps = form.items("a list of steps")?;
        match (steps.next(), steps.next()) {
            (Some(step), None) => Step::read(step),
            (Some(_), Some(_)) => Err(OffsetError::new(
                form.offset(),
                "expected a transaction of one step: lists have no transactions of several steps; \
                 use `multi-register` or `rw-register`, whose steps read and write, for strict \
                 serializability",
            )),
            _ => Err(OffsetError::new(form.offset(), "expected a transaction of one step")),
        }
    }

    /// Returns the error that the step is unknown.
    pub(super) fn unknown(&self) -> OffsetError {
        let message = format!("expected a known step, found `{}`", printable(self.f));
        OffsetError::new(self.at, message)
    }
}
