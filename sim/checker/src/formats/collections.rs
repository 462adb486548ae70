//! The notation of sets, queues, stacks and lists.

use crate::formats::error::Parsed;
use crate::formats::notation::{
    Call, InitialState, Notation, OutputValue, Response, WrittenOp, list, value_of, values_of,
};
use crate::models::{List, ListOp, ListRet, Queue, QueueOp, Set, SetOp, SetRet, Stack, StackOp};
use crate::value::{ValueId, ValueTable};

const NOT_NULL: &str = "a value other than null, which an empty collection returns";

/// Parses the initial content of a collection.
fn first_items(start: &InitialState<'_, '_>, values: &ValueTable) -> Parsed<Vec<ValueId>> {
    match start.init.filter(|init| !init.is_null()) {
        Some(init) => values_of(init, "a list of values", values),
        None => Ok(Vec::new()),
    }
}

/// Parses the initial content of a collection from which values are taken: values that can be
/// inserted.
fn first_insertions(start: &InitialState<'_, '_>, values: &ValueTable) -> Parsed<Vec<ValueId>> {
    let items = first_items(start, values)?;
    let forms = start.init.filter(|init| !init.is_null()).map(|init| init.elements("a list"));
    match forms.transpose()?.into_iter().flatten().find(|form| form.is_null()) {
        Some(null) => Err(null.expected(NOT_NULL)),
        None => Ok(items),
    }
}

impl Notation for Set {
    const NAME: &'static str = "set";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Set> {
        let values = ValueTable::new();
        Ok(Set { init: first_items(start, &values)?.into_iter().collect(), values })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<SetOp> {
        match call.f {
            "add" => call.parse_arg(&self.values).map(SetOp::Add),
            "remove" => call.parse_arg(&self.values).map(SetOp::Remove),
            "contains" => call.parse_arg(&self.values).map(SetOp::Contains),
            "read" => call.without_value().map(|()| SetOp::Read),
            _ => Err(call.unknown("`add`, `remove`, `contains` or `read`")),
        }
    }

    fn parse_ret(&self, op: &SetOp, response: &Response<'_, '_>) -> Parsed<SetRet> {
        match op {
            SetOp::Read => {
                let result = response.result("the elements of the set")?;
                let mut members = values_of(result, "the elements of the set", &self.values)?;
                // A set has no element twice: with a duplicate the result is wrong, not unreadable.
                members.sort_unstable();
                Ok(SetRet::Members(members.into()))
            }
            SetOp::Contains(_) => response.result("true or false")?.truth().map(SetRet::Bool),
            SetOp::Add(_) | SetOp::Remove(_) => match response.some() {
                Some(result) => result.truth().map(SetRet::Bool),
                None => Ok(SetRet::Done),
            },
        }
    }

    fn acknowledged_ret(&self, op: &SetOp) -> Option<SetRet> {
        matches!(op, SetOp::Add(_) | SetOp::Remove(_)).then_some(SetRet::Done)
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(list(&self.init, &self.values))
    }

    fn write_op(&self, op: &SetOp) -> WrittenOp {
        let (f, value) = match *op {
            SetOp::Add(value) => ("add", Some(value)),
            SetOp::Remove(value) => ("remove", Some(value)),
            SetOp::Contains(value) => ("contains", Some(value)),
            SetOp::Read => ("read", None),
        };
        written(f, value, &self.values)
    }

    fn write_ret(&self, _: &SetOp, ret: &SetRet) -> Option<OutputValue> {
        match ret {
            SetRet::Done => None,
            SetRet::Bool(truth) => Some(OutputValue::Value((*truth).into())),
            SetRet::Members(members) => Some(OutputValue::Value(list(members, &self.values))),
        }
    }
}

/// Builds an operation without a key.
fn written(f: &'static str, value: Option<ValueId>, values: &ValueTable) -> WrittenOp {
    let value = value.map(|value| OutputValue::Value(values.resolve(value)));
    WrittenOp { f, key: None, value }
}

/// Parses a value to insert: anything but null, which a removal returns from an empty collection.
fn inserted(call: &Call<'_, '_>, values: &ValueTable) -> Parsed<ValueId> {
    let form = call.value()?;
    match value_of(form, values)? {
        ValueId::NULL => Err(form.expected(NOT_NULL)),
        value => Ok(value),
    }
}

/// Parses the result of a removal.
fn taken(response: &Response<'_, '_>, values: &ValueTable) -> Parsed<ValueId> {
    value_of(response.result("the value that was removed, or null")?, values)
}

/// Implements the notation of a collection with insertions and removals.
macro_rules! removal_notation {
    (
        $model:ident, $op:ident, $name:literal,
        $insert:ident = $insert_name:literal, $take:ident = $take_name:literal
    ) => {
        impl Notation for $model {
            const NAME: &'static str = $name;

            fn parse_init(start: &InitialState<'_, '_>) -> Parsed<$model> {
                let values = ValueTable::new();
                let init = first_insertions(start, &values)?.into_iter().collect();
                Ok($model { init, values })
            }

            fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<$op> {
                match call.f {
                    $insert_name => inserted(call, &self.values).map($op::$insert),
                    $take_name => call.without_value().map(|()| $op::$take),
                    _ => Err(call.unknown(concat!("`", $insert_name, "` or `", $take_name, "`"))),
                }
            }

            fn parse_ret(&self, op: &$op, response: &Response<'_, '_>) -> Parsed<ValueId> {
                match op {
                    $op::$insert(_) => response.nothing().map(|()| ValueId::NULL),
                    $op::$take => taken(response, &self.values),
                }
            }

            fn acknowledged_ret(&self, op: &$op) -> Option<ValueId> {
                matches!(op, $op::$insert(_)).then_some(ValueId::NULL)
            }

            fn write_init(&self) -> OutputValue {
                OutputValue::Value(list(&self.init, &self.values))
            }

            fn write_op(&self, op: &$op) -> WrittenOp {
                match *op {
                    $op::$insert(value) => written($insert_name, Some(value), &self.values),
                    $op::$take => written($take_name, None, &self.values),
                }
            }

            fn write_ret(&self, op: &$op, ret: &ValueId) -> Option<OutputValue> {
                matches!(op, $op::$take).then(|| OutputValue::Value(self.values.resolve(*ret)))
            }
        }
    };
}

removal_notation!(Queue, QueueOp, "queue", Enqueue = "enqueue", Dequeue = "dequeue");
removal_notation!(Stack, StackOp, "stack", Push = "push", Pop = "pop");

impl Notation for List {
    const NAME: &'static str = "list";
    const KEYS: bool = true;

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<List> {
        let values = ValueTable::new();
        let items = first_items(start, &values)?;
        match start.init {
            Some(init) if !items.is_empty() => Err(init.expected("an empty list")),
            _ => Ok(List { values }),
        }
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<ListOp> {
        if call.f == "txn" {
            let step = call.only_step()?;
            let key = value_of(step.key, &self.values)?;
            return match step.f {
                "append" => {
                    let value = value_of(step.value, &self.values)?;
                    Ok(ListOp::Append { key, value })
                }
                "r" | "read" => Ok(ListOp::Read { key }),
                _ => Err(step.unknown()),
            };
        }
        let key = call.key.map_or(Ok(ValueId::NULL), |key| value_of(key, &self.values))?;
        match call.f {
            "append" => Ok(ListOp::Append { key, value: call.parse_arg(&self.values)? }),
            "read" => call.without_value().map(|()| ListOp::Read { key }),
            _ => Err(call.unknown("`append`, `read` or `txn`")),
        }
    }

    fn parse_ret(&self, op: &ListOp, response: &Response<'_, '_>) -> Parsed<ListRet> {
        let (ListOp::Append { key, .. } | ListOp::Read { key }) = *op;
        let response = response.of_step(key, &self.values)?;
        match op {
            ListOp::Append { .. } => response.nothing().map(|()| ListRet::Appended),
            ListOp::Read { .. } => {
                let items = response.result("the items of the list")?;
                if items.is_null() {
                    return Ok(ListRet::Items([].into()));
                }
                let items: Parsed<Vec<ValueId>> = items
                    .items("the items of the list")?
                    .map(|item| value_of(item, &self.values))
                    .collect();
                Ok(ListRet::Items(items?.into()))
            }
        }
    }

    fn acknowledged_ret(&self, op: &ListOp) -> Option<ListRet> {
        matches!(op, ListOp::Append { .. }).then_some(ListRet::Appended)
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(list(&[], &self.values))
    }

    fn write_op(&self, op: &ListOp) -> WrittenOp {
        let (f, key, value) = match *op {
            ListOp::Append { key, value } => ("append", key, Some(value)),
            ListOp::Read { key } => ("read", key, None),
        };
        let key = (key != ValueId::NULL).then(|| self.values.resolve(key));
        WrittenOp { key, ..written(f, value, &self.values) }
    }

    fn write_ret(&self, _: &ListOp, ret: &ListRet) -> Option<OutputValue> {
        match ret {
            ListRet::Appended => None,
            ListRet::Items(items) => Some(OutputValue::Value(list(items, &self.values))),
        }
    }
}
