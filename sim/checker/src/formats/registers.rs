//! The notation of registers: a single one, one for each key, and transactions over several.

use std::collections::BTreeMap;

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::Form;
use crate::formats::notation::{
    Call, InitialState, Notation, OutputValue, Response, Step, WrittenOp, value_of,
};
use crate::models::{
    Access, InitialValues, Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet, Transactions,
};
use crate::value::{Value, ValueId, ValueTable};

const NOT_INITIAL: &str = "a value other than the initial value";

/// Parses the initial value of a register.
fn first_value(start: &InitialState<'_, '_>, values: &ValueTable) -> Parsed<ValueId> {
    match start.init {
        Some(form) => value_of(form, values),
        None if start.empty_texts => Ok(values.intern("")),
        None => Ok(ValueId::NULL),
    }
}

/// Parses the values of single keys: a list of pairs, key and value. `value_of_key` parses a value.
fn values_by_key(
    pairs: Form<'_, '_>,
    values: &ValueTable,
    value_of_key: impl Fn(Form<'_, '_>) -> Parsed<ValueId>,
) -> Parsed<BTreeMap<ValueId, ValueId>> {
    let mut by_key = BTreeMap::new();
    for pair in pairs.items("a list of pairs: key and value")? {
        let [key, value] = pair.pair("a pair: key and value")?;
        if by_key.insert(value_of(key, values)?, value_of_key(value)?).is_some() {
            return Err(OffsetError::new(key.offset(), "this key occurs twice"));
        }
    }
    Ok(by_key)
}

/// Writes the values of single keys as pairs.
fn written_pairs(init: &InitialValues, values: &ValueTable) -> Vec<[Value; 2]> {
    init.by_key.iter().map(|(key, value)| [*key, *value].map(|id| values.resolve(id))).collect()
}

impl Notation for Register {
    const NAME: &'static str = "cas-register";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Register> {
        let values = ValueTable::new();
        Ok(Register { init: first_value(start, &values)?, values })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<RegisterOp> {
        match call.f {
            "read" => call.without_value().map(|()| RegisterOp::Read),
            "write" => call.parse_arg(&self.values).map(RegisterOp::Write),
            "cas" => call.pair(&self.values).map(|[from, to]| RegisterOp::Cas { from, to }),
            _ => Err(call.unknown("`read`, `write` or `cas`")),
        }
    }

    fn parse_ret(&self, op: &RegisterOp, response: &Response<'_, '_>) -> Parsed<RegisterRet> {
        match op {
            RegisterOp::Read => value_of(response.result("the value that was read")?, &self.values)
                .map(RegisterRet::Value),
            RegisterOp::Write(_) => response.nothing().map(|()| RegisterRet::Written),
            RegisterOp::Cas { .. } => {
                response.result("true or false")?.truth().map(RegisterRet::Swapped)
            }
        }
    }

    fn acknowledged_ret(&self, op: &RegisterOp) -> Option<RegisterRet> {
        match op {
            RegisterOp::Read => None,
            RegisterOp::Write(_) => Some(RegisterRet::Written),
            RegisterOp::Cas { .. } => Some(RegisterRet::Swapped(true)),
        }
    }

    fn failed_cas_ret(&self, op: &RegisterOp) -> Option<RegisterRet> {
        matches!(op, RegisterOp::Cas { .. }).then_some(RegisterRet::Swapped(false))
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(self.values.resolve(self.init))
    }

    fn write_op(&self, op: &RegisterOp) -> WrittenOp {
        let (f, value) = match *op {
            RegisterOp::Read => ("read", None),
            RegisterOp::Write(value) => ("write", Some(self.values.resolve(value))),
            RegisterOp::Cas { from, to } => {
                let pair = vec![self.values.resolve(from), self.values.resolve(to)];
                ("cas", Some(Value::List(pair)))
            }
        };
        WrittenOp { f, key: None, value: value.map(OutputValue::Value) }
    }

    fn write_ret(&self, _: &RegisterOp, ret: &RegisterRet) -> Option<OutputValue> {
        match *ret {
            RegisterRet::Written => None,
            RegisterRet::Value(value) => Some(OutputValue::Value(self.values.resolve(value))),
            RegisterRet::Swapped(swapped) => Some(OutputValue::Value(swapped.into())),
        }
    }
}

impl Notation for Kv {
    const NAME: &'static str = "kv";
    const KEYS: bool = true;

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Kv> {
        let values = ValueTable::new();
        Ok(Kv { init: first_value(start, &values)?.into(), values })
    }

    fn parse_init_by_key(&mut self, pairs: Form<'_, '_>, _: bool) -> Parsed<()> {
        let values = &self.values;
        self.init.by_key = values_by_key(pairs, values, |value| value_of(value, values))?;
        Ok(())
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<KvOp> {
        // A transaction of one step is an operation on one key.
        if call.f == "txn" {
            let (step, nothing_is_read) = (call.only_step()?, call.nothing_is_read);
            let key = value_of(step.key, &self.values)?;
            let call = match step.f {
                "r" | "read" => KvCall::Get,
                "w" | "write" => {
                    let value = value_of(step.value, &self.values)?;
                    let is_nothing = value == ValueId::NULL && self.init.of(key) == ValueId::NULL;
                    if nothing_is_read && is_nothing {
                        return Err(step.value.expected(NOT_INITIAL));
                    }
                    KvCall::Put(value)
                }
                _ => return Err(step.unknown()),
            };
            return Ok(KvOp { key, call });
        }
        let key = call.key(&self.values)?;
        let parsed = match call.f {
            "get" | "read" => call.without_value().map(|()| KvCall::Get)?,
            "put" | "write" => KvCall::Put(call.parse_arg(&self.values)?),
            "append" => KvCall::Append(call.parse_arg(&self.values)?),
            "cas" => call.pair(&self.values).map(|[from, to]| KvCall::Cas { from, to })?,
            _ => return Err(call.unknown("`get`, `put`, `append` or `cas`")),
        };
        Ok(KvOp { key, call: parsed })
    }

    fn parse_ret(&self, op: &KvOp, response: &Response<'_, '_>) -> Parsed<KvRet> {
        let response = response.of_step(op.key, &self.values)?;
        match op.call {
            KvCall::Get => value_of(response.result("the value that was read")?, &self.values)
                .map(KvRet::Value),
            KvCall::Put(_) | KvCall::Append(_) => response.nothing().map(|()| KvRet::Written),
            KvCall::Cas { .. } => response.result("true or false")?.truth().map(KvRet::Swapped),
        }
    }

    fn acknowledged_ret(&self, op: &KvOp) -> Option<KvRet> {
        match op.call {
            KvCall::Get => None,
            KvCall::Put(_) | KvCall::Append(_) => Some(KvRet::Written),
            KvCall::Cas { .. } => Some(KvRet::Swapped(true)),
        }
    }

    fn failed_cas_ret(&self, op: &KvOp) -> Option<KvRet> {
        matches!(op.call, KvCall::Cas { .. }).then_some(KvRet::Swapped(false))
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(self.values.resolve(self.init.others))
    }

    fn write_init_by_key(&self) -> Vec<[Value; 2]> {
        written_pairs(&self.init, &self.values)
    }

    fn write_op(&self, op: &KvOp) -> WrittenOp {
        let data = |value: ValueId| self.values.resolve(value);
        let (f, value) = match op.call {
            KvCall::Get => ("get", None),
            KvCall::Put(value) => ("put", Some(data(value))),
            KvCall::Append(more) => ("append", Some(data(more))),
            KvCall::Cas { from, to } => ("cas", Some(Value::List(vec![data(from), data(to)]))),
        };
        WrittenOp { f, key: Some(data(op.key)), value: value.map(OutputValue::Value) }
    }

    fn write_ret(&self, _: &KvOp, ret: &KvRet) -> Option<OutputValue> {
        match *ret {
            KvRet::Written => None,
            KvRet::Value(value) => Some(OutputValue::Value(self.values.resolve(value))),
            KvRet::Swapped(swapped) => Some(OutputValue::Value(swapped.into())),
        }
    }
}

const NOT_UNTOUCHED: &str = "a value other than [null]";

/// The value that null stands for where a read of null shows that a key was not written. It is not
/// [`ValueId::NULL`], which means that the result of a read is not known.
fn untouched() -> Value {
    Value::List(vec![Value::Null])
}

/// Parses a value of a transaction. If a read of null shows that nothing was written, null is the
/// value [`untouched`], and that value itself is an error.
fn transaction_value(
    form: Form<'_, '_>,
    nothing_is_read: bool,
    values: &ValueTable,
) -> Parsed<ValueId> {
    match nothing_is_read {
        false => value_of(form, values),
        true if form.is_null() => Ok(values.intern(untouched())),
        true => match form.value()? {
            value if value == untouched() => Err(form.expected(NOT_UNTOUCHED)),
            value => Ok(values.intern(value)),
        },
    }
}

impl Notation for Transactions {
    const NAME: &'static str = "multi-register";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Transactions> {
        let values = ValueTable::new();
        let init = match start.init {
            Some(init) => transaction_value(init, start.nothing_is_read, &values)?,
            None if start.nothing_is_read => values.intern(untouched()),
            None => first_value(start, &values)?,
        };
        Ok(Transactions { init: init.into(), values })
    }

    fn parse_init_by_key(&mut self, pairs: Form<'_, '_>, nothing_is_read: bool) -> Parsed<()> {
        let values = &self.values;
        let value = |value: Form<'_, '_>| transaction_value(value, nothing_is_read, values);
        self.init.by_key = values_by_key(pairs, values, value)?;
        Ok(())
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<Box<[Access]>> {
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
                    let value = transaction_value(step.value, call.nothing_is_read, &self.values)?;
                    let is_nothing = step.value.is_null() && value == self.init.of(key);
                    if is_nothing && call.nothing_is_read {
                        return Err(step.value.expected(NOT_INITIAL));
                    }
                    Access::Write(key, value)
                }
                _ => return Err(step.unknown()),
            });
        }
        Ok(accesses.into())
    }

    fn parse_ret(&self, op: &Box<[Access]>, response: &Response<'_, '_>) -> Parsed<Box<[ValueId]>> {
        let result = response.result("the steps with the values that were read")?;
        let mut read = Vec::with_capacity(op.len());
        for step in result.items("a list of steps")? {
            let step = Step::read(step)?;
            let key = value_of(step.key, &self.values)?;
            let value = transaction_value(step.value, response.nothing_is_read, &self.values)?;
            read.push(match (op.get(read.len()), step.f) {
                (Some(Access::Read(of)), "r" | "read") if *of == key => value,
                (Some(Access::Write(of, _)), "w" | "write") if *of == key => ValueId::NULL,
                _ => {
                    let message = "this step is not the invoked one at this position";
                    return Err(OffsetError::new(step.at, message));
                }
            });
        }
        if read.len() != op.len() {
            let message = format!("expected {} steps, found {}", op.len(), read.len());
            return Err(OffsetError::new(result.offset(), message));
        }
        Ok(read.into())
    }

    fn acknowledged_ret(&self, op: &Box<[Access]>) -> Option<Box<[ValueId]>> {
        let writes = |access: &Access| matches!(access, Access::Write(..));
        op.iter().all(writes).then(|| vec![ValueId::NULL; op.len()].into())
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(self.values.resolve(self.init.others))
    }

    fn write_init_by_key(&self) -> Vec<[Value; 2]> {
        written_pairs(&self.init, &self.values)
    }

    fn write_op(&self, op: &Box<[Access]>) -> WrittenOp {
        let value = self.write_steps(op, |_| ValueId::NULL);
        WrittenOp { f: "txn", key: None, value: Some(value) }
    }

    fn write_ret(&self, op: &Box<[Access]>, ret: &Box<[ValueId]>) -> Option<OutputValue> {
        Some(self.write_steps(op, |place| ret.get(place).copied().unwrap_or_default()))
    }
}

impl Transactions {
    fn write_steps(&self, op: &[Access], read: impl Fn(usize) -> ValueId) -> OutputValue {
        let data = |value: ValueId| self.values.resolve(value);
        let step = |(place, access): (usize, &Access)| {
            let (f, key, value) = match *access {
                Access::Read(key) => ("read", key, read(place)),
                Access::Write(key, value) => ("write", key, value),
            };
            Value::List(vec![f.into(), data(key), data(value)])
        };
        OutputValue::Value(Value::List(op.iter().enumerate().map(step).collect()))
    }
}
