//! How sets, queues, stacks and lists are written down.

use crate::formats::fault::Fault;
use crate::formats::notation::{
    Call, Notation, Piece, Start, Told, WrittenCall, list, value_of, values_of,
};
use crate::models::{List, ListOp, ListRet, Queue, QueueOp, Set, SetOp, SetRet, Stack, StackOp};
use crate::value::{Value, Values};

/// What a collection has in it at first.
fn first_items(start: &Start<'_, '_>, values: &Values) -> Result<Vec<Value>, Fault> {
    match start.init.filter(|init| !init.is_null()) {
        Some(init) => values_of(init, "a list of values", values),
        None => Ok(Vec::new()),
    }
}

impl Notation for Set {
    const NAME: &'static str = "set";

    fn start(start: &Start<'_, '_>) -> Result<Set, Fault> {
        let values = Values::new();
        Ok(Set { init: first_items(start, &values)?.into_iter().collect(), values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<SetOp, Fault> {
        match call.f {
            "add" => call.datum(&self.values).map(SetOp::Add),
            "remove" => call.datum(&self.values).map(SetOp::Remove),
            "contains" => call.datum(&self.values).map(SetOp::Contains),
            "read" => call.without_value().map(|()| SetOp::Read),
            _ => Err(call.unknown("`add`, `remove`, `contains` or `read`")),
        }
    }

    fn answer(&self, op: &SetOp, told: &Told<'_, '_>) -> Result<SetRet, Fault> {
        match op {
            SetOp::Read => {
                let result = told.result("what is in the set")?;
                let mut members = values_of(result, "what is in the set", &self.values)?;
                members.sort_unstable();
                if let Some(twice) = members.windows(2).find(|pair| pair[0] == pair[1]) {
                    let what = format!("a set has {} twice", self.values.words(twice[0]));
                    return Err(Fault::new(result.place(), what));
                }
                Ok(SetRet::Members(members.into()))
            }
            SetOp::Contains(_) => told.result("true or false")?.truth().map(SetRet::Truth),
            SetOp::Add(_) | SetOp::Remove(_) => match told.some() {
                Some(result) => result.truth().map(SetRet::Truth),
                None => Ok(SetRet::Done),
            },
        }
    }

    fn done(&self, op: &SetOp) -> Option<SetRet> {
        matches!(op, SetOp::Add(_) | SetOp::Remove(_)).then_some(SetRet::Done)
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(list(&self.init, &self.values))
    }

    fn written_call(&self, op: &SetOp) -> WrittenCall {
        let (f, value) = match *op {
            SetOp::Add(value) => ("add", Some(value)),
            SetOp::Remove(value) => ("remove", Some(value)),
            SetOp::Contains(value) => ("contains", Some(value)),
            SetOp::Read => ("read", None),
        };
        written(f, value, &self.values)
    }

    fn written_answer(&self, _: &SetOp, ret: &SetRet) -> Option<Piece> {
        match ret {
            SetRet::Done => None,
            SetRet::Truth(truth) => Some(Piece::Datum((*truth).into())),
            SetRet::Members(members) => Some(Piece::Datum(list(members, &self.values))),
        }
    }
}

/// An operation without a key, to be written.
fn written(f: &'static str, value: Option<Value>, values: &Values) -> WrittenCall {
    let value = value.map(|value| Piece::Datum(values.datum(value)));
    WrittenCall { f, key: None, value }
}

/// What goes into a queue or onto a stack: anything but nothing, which says that it is empty.
fn inserted(call: &Call<'_, '_>, values: &Values) -> Result<Value, Fault> {
    let form = call.value()?;
    match value_of(form, values)? {
        Value::NULL => Err(form.expected("a value: nothing is the answer when it is empty")),
        value => Ok(value),
    }
}

/// What comes out of one.
fn taken(told: &Told<'_, '_>, values: &Values) -> Result<Value, Fault> {
    value_of(told.result("what was taken, or null")?, values)
}

impl Notation for Queue {
    const NAME: &'static str = "queue";

    fn start(start: &Start<'_, '_>) -> Result<Queue, Fault> {
        let values = Values::new();
        Ok(Queue { init: first_items(start, &values)?.into(), values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<QueueOp, Fault> {
        match call.f {
            "enqueue" => inserted(call, &self.values).map(QueueOp::Enqueue),
            "dequeue" => call.without_value().map(|()| QueueOp::Dequeue),
            _ => Err(call.unknown("`enqueue` or `dequeue`")),
        }
    }

    fn answer(&self, op: &QueueOp, told: &Told<'_, '_>) -> Result<Value, Fault> {
        match op {
            QueueOp::Enqueue(_) => told.nothing().map(|()| Value::NULL),
            QueueOp::Dequeue => taken(told, &self.values),
        }
    }

    fn done(&self, op: &QueueOp) -> Option<Value> {
        matches!(op, QueueOp::Enqueue(_)).then_some(Value::NULL)
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(list(&self.init, &self.values))
    }

    fn written_call(&self, op: &QueueOp) -> WrittenCall {
        match *op {
            QueueOp::Enqueue(value) => written("enqueue", Some(value), &self.values),
            QueueOp::Dequeue => written("dequeue", None, &self.values),
        }
    }

    fn written_answer(&self, op: &QueueOp, ret: &Value) -> Option<Piece> {
        matches!(op, QueueOp::Dequeue).then(|| Piece::Datum(self.values.datum(*ret)))
    }
}

impl Notation for Stack {
    const NAME: &'static str = "stack";

    fn start(start: &Start<'_, '_>) -> Result<Stack, Fault> {
        let values = Values::new();
        Ok(Stack { init: first_items(start, &values)?, values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<StackOp, Fault> {
        match call.f {
            "push" => inserted(call, &self.values).map(StackOp::Push),
            "pop" => call.without_value().map(|()| StackOp::Pop),
            _ => Err(call.unknown("`push` or `pop`")),
        }
    }

    fn answer(&self, op: &StackOp, told: &Told<'_, '_>) -> Result<Value, Fault> {
        match op {
            StackOp::Push(_) => told.nothing().map(|()| Value::NULL),
            StackOp::Pop => taken(told, &self.values),
        }
    }

    fn done(&self, op: &StackOp) -> Option<Value> {
        matches!(op, StackOp::Push(_)).then_some(Value::NULL)
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(list(&self.init, &self.values))
    }

    fn written_call(&self, op: &StackOp) -> WrittenCall {
        match *op {
            StackOp::Push(value) => written("push", Some(value), &self.values),
            StackOp::Pop => written("pop", None, &self.values),
        }
    }

    fn written_answer(&self, op: &StackOp, ret: &Value) -> Option<Piece> {
        matches!(op, StackOp::Pop).then(|| Piece::Datum(self.values.datum(*ret)))
    }
}

impl Notation for List {
    const NAME: &'static str = "list";
    const KEYS: bool = true;

    fn start(start: &Start<'_, '_>) -> Result<List, Fault> {
        let values = Values::new();
        let items = first_items(start, &values)?;
        match start.init {
            Some(init) if !items.is_empty() => Err(init.expected("an empty list")),
            _ => Ok(List { values }),
        }
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<ListOp, Fault> {
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
        let key = call.key.map_or(Ok(Value::NULL), |key| value_of(key, &self.values))?;
        match call.f {
            "append" => Ok(ListOp::Append { key, value: call.datum(&self.values)? }),
            "read" => call.without_value().map(|()| ListOp::Read { key }),
            _ => Err(call.unknown("`append`, `read` or `txn`")),
        }
    }

    fn answer(&self, op: &ListOp, told: &Told<'_, '_>) -> Result<ListRet, Fault> {
        let (ListOp::Append { key, .. } | ListOp::Read { key }) = *op;
        let told = told.of_step(key, &self.values)?;
        match op {
            ListOp::Append { .. } => told.nothing().map(|()| ListRet::Appended),
            ListOp::Read { .. } => {
                let items = told.result("what is in the list")?;
                if items.is_null() {
                    return Ok(ListRet::Items([].into()));
                }
                let items: Result<Vec<Value>, Fault> = items
                    .items("what is in the list")?
                    .map(|item| value_of(item, &self.values))
                    .collect();
                Ok(ListRet::Items(items?.into()))
            }
        }
    }

    fn done(&self, op: &ListOp) -> Option<ListRet> {
        matches!(op, ListOp::Append { .. }).then_some(ListRet::Appended)
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(list(&[], &self.values))
    }

    fn written_call(&self, op: &ListOp) -> WrittenCall {
        let (f, key, value) = match *op {
            ListOp::Append { key, value } => ("append", key, Some(value)),
            ListOp::Read { key } => ("read", key, None),
        };
        let key = (key != Value::NULL).then(|| self.values.datum(key));
        WrittenCall { key, ..written(f, value, &self.values) }
    }

    fn written_answer(&self, _: &ListOp, ret: &ListRet) -> Option<Piece> {
        match ret {
            ListRet::Appended => None,
            ListRet::Items(items) => Some(Piece::Datum(list(items, &self.values))),
        }
    }
}
