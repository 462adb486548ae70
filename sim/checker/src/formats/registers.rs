//! How registers are written down: one of them, one for each key, and several at once.

use crate::formats::fault::Fault;
use crate::formats::notation::{Call, Notation, Piece, Start, Step, Told, WrittenCall, value_of};
use crate::models::{
    Access, Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet, Transactions,
};
use crate::value::{Datum, Value, Values};

/// The value that a register has at first.
fn first_value(start: &Start<'_, '_>, values: &Values) -> Result<Value, Fault> {
    match start.init {
        Some(form) => value_of(form, values),
        None if start.empty_texts => Ok(values.of("")),
        None => Ok(Value::NULL),
    }
}

impl Notation for Register {
    const NAME: &'static str = "cas-register";

    fn start(start: &Start<'_, '_>) -> Result<Register, Fault> {
        let values = Values::new();
        Ok(Register { init: first_value(start, &values)?, values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<RegisterOp, Fault> {
        match call.f {
            "read" => call.without_value().map(|()| RegisterOp::Read),
            "write" => call.datum(&self.values).map(RegisterOp::Write),
            "cas" => call.pair(&self.values).map(|[from, to]| RegisterOp::Cas { from, to }),
            _ => Err(call.unknown("`read`, `write` or `cas`")),
        }
    }

    fn answer(&self, op: &RegisterOp, told: &Told<'_, '_>) -> Result<RegisterRet, Fault> {
        match op {
            RegisterOp::Read => {
                value_of(told.result("what was read")?, &self.values).map(RegisterRet::Value)
            }
            RegisterOp::Write(_) => told.nothing().map(|()| RegisterRet::Written),
            RegisterOp::Cas { .. } => {
                told.result("true or false")?.truth().map(RegisterRet::Swapped)
            }
        }
    }

    fn done(&self, op: &RegisterOp) -> Option<RegisterRet> {
        match op {
            RegisterOp::Read => None,
            RegisterOp::Write(_) => Some(RegisterRet::Written),
            RegisterOp::Cas { .. } => Some(RegisterRet::Swapped(true)),
        }
    }

    fn refused(&self, op: &RegisterOp) -> Option<RegisterRet> {
        matches!(op, RegisterOp::Cas { .. }).then_some(RegisterRet::Swapped(false))
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(self.values.datum(self.init))
    }

    fn written_call(&self, op: &RegisterOp) -> WrittenCall {
        let (f, value) = match *op {
            RegisterOp::Read => ("read", None),
            RegisterOp::Write(value) => ("write", Some(self.values.datum(value))),
            RegisterOp::Cas { from, to } => {
                let pair = vec![self.values.datum(from), self.values.datum(to)];
                ("cas", Some(Datum::List(pair)))
            }
        };
        WrittenCall { f, key: None, value: value.map(Piece::Datum) }
    }

    fn written_answer(&self, _: &RegisterOp, ret: &RegisterRet) -> Option<Piece> {
        match *ret {
            RegisterRet::Written => None,
            RegisterRet::Value(value) => Some(Piece::Datum(self.values.datum(value))),
            RegisterRet::Swapped(swapped) => Some(Piece::Datum(swapped.into())),
        }
    }
}

impl Notation for Kv {
    const NAME: &'static str = "kv";
    const KEYS: bool = true;

    fn start(start: &Start<'_, '_>) -> Result<Kv, Fault> {
        let values = Values::new();
        Ok(Kv { init: first_value(start, &values)?, values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<KvOp, Fault> {
        // Of one key: a transaction of one step.
        if call.f == "txn" {
            let step = call.only_step()?;
            let value = || value_of(step.value, &self.values);
            let call = match step.f {
                "r" | "read" => KvCall::Get,
                "w" | "write" => KvCall::Put(value()?),
                _ => return Err(step.unknown()),
            };
            return Ok(KvOp { key: value_of(step.key, &self.values)?, call });
        }
        let key = call.key(&self.values)?;
        let asked = match call.f {
            "get" | "read" => call.without_value().map(|()| KvCall::Get)?,
            "put" | "write" => KvCall::Put(call.datum(&self.values)?),
            "append" => KvCall::Append(call.datum(&self.values)?),
            "cas" => call.pair(&self.values).map(|[from, to]| KvCall::Cas { from, to })?,
            _ => return Err(call.unknown("`get`, `put`, `append` or `cas`")),
        };
        Ok(KvOp { key, call: asked })
    }

    fn answer(&self, op: &KvOp, told: &Told<'_, '_>) -> Result<KvRet, Fault> {
        let told = told.of_step(op.key, &self.values)?;
        match op.call {
            KvCall::Get => value_of(told.result("what was read")?, &self.values).map(KvRet::Value),
            KvCall::Put(_) | KvCall::Append(_) => told.nothing().map(|()| KvRet::Written),
            KvCall::Cas { .. } => told.result("true or false")?.truth().map(KvRet::Swapped),
        }
    }

    fn done(&self, op: &KvOp) -> Option<KvRet> {
        match op.call {
            KvCall::Get => None,
            KvCall::Put(_) | KvCall::Append(_) => Some(KvRet::Written),
            KvCall::Cas { .. } => Some(KvRet::Swapped(true)),
        }
    }

    fn refused(&self, op: &KvOp) -> Option<KvRet> {
        matches!(op.call, KvCall::Cas { .. }).then_some(KvRet::Swapped(false))
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(self.values.datum(self.init))
    }

    fn written_call(&self, op: &KvOp) -> WrittenCall {
        let datum = |value: Value| self.values.datum(value);
        let (f, value) = match op.call {
            KvCall::Get => ("get", None),
            KvCall::Put(value) => ("put", Some(datum(value))),
            KvCall::Append(more) => ("append", Some(datum(more))),
            KvCall::Cas { from, to } => ("cas", Some(Datum::List(vec![datum(from), datum(to)]))),
        };
        WrittenCall { f, key: Some(datum(op.key)), value: value.map(Piece::Datum) }
    }

    fn written_answer(&self, _: &KvOp, ret: &KvRet) -> Option<Piece> {
        match *ret {
            KvRet::Written => None,
            KvRet::Value(value) => Some(Piece::Datum(self.values.datum(value))),
            KvRet::Swapped(swapped) => Some(Piece::Datum(swapped.into())),
        }
    }
}

/// Stands for nothing where reading it shows that nothing was written: [`Value::NULL`] says that
/// nothing is known of a read.
fn untouched() -> Datum {
    Datum::List(vec![Datum::Null])
}

impl Notation for Transactions {
    const NAME: &'static str = "multi-register";

    fn start(start: &Start<'_, '_>) -> Result<Transactions, Fault> {
        let values = Values::new();
        let mut init = first_value(start, &values)?;
        if init == Value::NULL && start.nothing_is_read {
            init = values.of(untouched());
        }
        Ok(Transactions { init, values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<Box<[Access]>, Fault> {
        if call.f != "txn" {
            return Err(call.unknown("`txn`"));
        }
        let mut accesses = Vec::new();
        for step in call.value()?.items("a list of steps")? {
            let step = Step::read(step)?;
            let key = value_of(step.key, &self.values)?;
            accesses.push(match step.f {
                "r" | "read" => Access::Read(key),
                "w" | "write" => {
                    let value = value_of(step.value, &self.values)?;
                    let is_nothing = value == Value::NULL || value == self.init;
                    if is_nothing && self.shows_nothing(call.nothing_is_read) {
                        let other = "a value that is not there before the first write";
                        return Err(step.value.expected(other));
                    }
                    Access::Write(key, value)
                }
                _ => return Err(step.unknown()),
            });
        }
        Ok(accesses.into())
    }

    fn answer(&self, op: &Box<[Access]>, told: &Told<'_, '_>) -> Result<Box<[Value]>, Fault> {
        let result = told.result("the steps with what was read")?;
        let mut read = Vec::with_capacity(op.len());
        for step in result.items("a list of steps")? {
            let step = Step::read(step)?;
            let key = value_of(step.key, &self.values)?;
            let value = value_of(step.value, &self.values)?;
            read.push(match (op.get(read.len()), step.f) {
                (Some(Access::Read(of)), "r" | "read") if *of == key => {
                    let nothing = value == Value::NULL;
                    let shows = nothing && self.shows_nothing(told.nothing_is_read);
                    if shows { self.init } else { value }
                }
                (Some(Access::Write(of, _)), "w" | "write") if *of == key => Value::NULL,
                _ => {
                    let what = "this is not the step that was asked for at this place";
                    return Err(Fault::new(step.at, what));
                }
            });
        }
        if read.len() != op.len() {
            let what = format!("expected {} steps, found {}", op.len(), read.len());
            return Err(Fault::new(result.place(), what));
        }
        Ok(read.into())
    }

    fn done(&self, op: &Box<[Access]>) -> Option<Box<[Value]>> {
        let writes = |access: &Access| matches!(access, Access::Write(..));
        op.iter().all(writes).then(|| vec![Value::NULL; op.len()].into())
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(self.values.datum(self.init))
    }

    fn written_call(&self, op: &Box<[Access]>) -> WrittenCall {
        let value = self.written_steps(op, |_| Value::NULL);
        WrittenCall { f: "txn", key: None, value: Some(value) }
    }

    fn written_answer(&self, op: &Box<[Access]>, ret: &Box<[Value]>) -> Option<Piece> {
        Some(self.written_steps(op, |place| ret.get(place).copied().unwrap_or_default()))
    }
}

impl Transactions {
    /// Whether the state before the first operation is nothing, and reading that shows it.
    fn shows_nothing(&self, nothing_is_read: bool) -> bool {
        nothing_is_read && self.values.datum(self.init) == untouched()
    }

    fn written_steps(&self, op: &[Access], read: impl Fn(usize) -> Value) -> Piece {
        let datum = |value: Value| self.values.datum(value);
        let step = |(place, access): (usize, &Access)| {
            let (f, key, value) = match *access {
                Access::Read(key) => ("read", key, read(place)),
                Access::Write(key, value) => ("write", key, value),
            };
            Datum::List(vec![f.into(), datum(key), datum(value)])
        };
        Piece::Datum(Datum::List(op.iter().enumerate().map(step).collect()))
    }
}
