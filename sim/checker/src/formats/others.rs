//! The notation of counters, locks and banks, and of objects with keys.

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, Kind};
use crate::formats::notation::{
    Call, InitialState, Notation, OutputValue, Response, WrittenOp, value_of,
};
use crate::models::{Bank, BankOp, BankRet, Counter, CounterOp, Keyed, KeyedOp, Lock, LockOp};
use crate::value::{Value, ValueId, ValueTable};

const NUMBER: &str = "a whole number";

impl Notation for Counter {
    const NAME: &'static str = "counter";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Counter> {
        let init = start.init.filter(|init| !init.is_null());
        Ok(Counter { init: init.map_or(Ok(0), |init| init.integer(NUMBER))? })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<CounterOp> {
        match call.f {
            "add" => call.value()?.integer(NUMBER).map(CounterOp::Add),
            "read" => call.without_value().map(|()| CounterOp::Read),
            _ => Err(call.unknown("`add` or `read`")),
        }
    }

    fn parse_ret(&self, op: &CounterOp, response: &Response<'_, '_>) -> Parsed<Option<i64>> {
        match op {
            CounterOp::Read => response.result(NUMBER)?.integer(NUMBER).map(Some),
            CounterOp::Add(_) => response.some().map(|result| result.integer(NUMBER)).transpose(),
        }
    }

    fn acknowledged_ret(&self, op: &CounterOp) -> Option<Option<i64>> {
        matches!(op, CounterOp::Add(_)).then_some(None)
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(self.init.into())
    }

    fn write_op(&self, op: &CounterOp) -> WrittenOp {
        let (f, value) = match *op {
            CounterOp::Add(more) => ("add", Some(OutputValue::Value(more.into()))),
            CounterOp::Read => ("read", None),
        };
        WrittenOp { f, key: None, value }
    }

    fn write_ret(&self, _: &CounterOp, ret: &Option<i64>) -> Option<OutputValue> {
        ret.map(|number| OutputValue::Value(number.into()))
    }
}

impl Notation for Lock {
    const NAME: &'static str = "mutex";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Lock> {
        let init = start.init.filter(|init| !init.is_null());
        Ok(Lock { held: init.map_or(Ok(false), Form::truth)? })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<LockOp> {
        match call.f {
            "acquire" => call.without_value().map(|()| LockOp::Acquire),
            "release" => call.without_value().map(|()| LockOp::Release),
            _ => Err(call.unknown("`acquire` or `release`")),
        }
    }

    fn parse_ret(&self, _: &LockOp, response: &Response<'_, '_>) -> Parsed<()> {
        response.nothing()
    }

    fn acknowledged_ret(&self, _: &LockOp) -> Option<()> {
        Some(())
    }

    fn write_init(&self) -> OutputValue {
        OutputValue::Value(self.held.into())
    }

    fn write_op(&self, op: &LockOp) -> WrittenOp {
        let f = match op {
            LockOp::Acquire => "acquire",
            LockOp::Release => "release",
        };
        WrittenOp { f, key: None, value: None }
    }

    fn write_ret(&self, _: &LockOp, _ret: &()) -> Option<OutputValue> {
        None
    }
}

/// Parses the name of an account. JSON keys are always strings, so a string that is a number is
/// that number.
fn account(form: Form<'_, '_>, values: &ValueTable) -> Parsed<ValueId> {
    let number: Option<i64> = form.name().and_then(|name| name.parse().ok());
    match number.filter(|number| form.name() == Some(&number.to_string())) {
        Some(number) => Ok(values.intern(number)),
        None if form.is_null() => Err(form.expected("an account")),
        None => value_of(form, values),
    }
}

/// Parses the balances of all accounts, sorted by account.
fn balances(form: Form<'_, '_>, values: &ValueTable) -> Parsed<Vec<(ValueId, i64)>> {
    let mut balances = Vec::new();
    for (name, balance) in form.members("a map from accounts to balances")? {
        balances.push((account(name, values)?, balance.integer(NUMBER)?));
    }
    balances.sort_unstable();
    if balances.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(OffsetError::new(form.offset(), "an account occurs twice"));
    }
    Ok(balances)
}

impl Notation for Bank {
    const NAME: &'static str = "bank";

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Bank> {
        let values = ValueTable::new();
        let init = start.init.map_or(Ok(Vec::new()), |init| balances(init, &values))?;
        Ok(Bank { init: init.into_iter().collect(), overdraft: start.overdraft, values })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<BankOp> {
        match call.f {
            "read" => call.without_value().map(|()| BankOp::Read),
            "transfer" => {
                let value = call.value()?;
                if matches!(value.kind(), Kind::Map(_)) {
                    value.without_repeats(&["from", "to", "amount"])?;
                }
                let part = |name| {
                    let missing = || value.expected(&format!("a map with `{name}`"));
                    value.member(name).ok_or_else(missing)
                };
                Ok(BankOp::Transfer {
                    from: account(part("from")?, &self.values)?,
                    to: account(part("to")?, &self.values)?,
                    amount: part("amount")?.integer(NUMBER)?,
                })
            }
            _ => Err(call.unknown("`read` or `transfer`")),
        }
    }

    fn parse_ret(&self, op: &BankOp, response: &Response<'_, '_>) -> Parsed<BankRet> {
        match op {
            BankOp::Read => {
                let result = response.result("the balances of all accounts")?;
                Ok(BankRet::Balances(balances(result, &self.values)?.into()))
            }
            BankOp::Transfer { .. } => {
                response.some().map_or(Ok(true), Form::truth).map(BankRet::Moved)
            }
        }
    }

    fn acknowledged_ret(&self, op: &BankOp) -> Option<BankRet> {
        matches!(op, BankOp::Transfer { .. }).then_some(BankRet::Moved(true))
    }

    fn write_init(&self) -> OutputValue {
        self.written_balances(self.init.iter().map(|(account, balance)| (*account, *balance)))
    }

    fn write_op(&self, op: &BankOp) -> WrittenOp {
        match *op {
            BankOp::Read => WrittenOp { f: "read", key: None, value: None },
            BankOp::Transfer { from, to, amount } => {
                let value = |account| self.values.resolve(account);
                let parts = [("from", value(from)), ("to", value(to)), ("amount", amount.into())];
                let object = parts.map(|(name, value)| (name.to_owned(), value)).into();
                WrittenOp { f: "transfer", key: None, value: Some(OutputValue::Object(object)) }
            }
        }
    }

    fn write_ret(&self, _: &BankOp, ret: &BankRet) -> Option<OutputValue> {
        Some(match ret {
            BankRet::Moved(moved) => OutputValue::Value((*moved).into()),
            BankRet::Balances(balances) => self.written_balances(balances.iter().copied()),
        })
    }
}

impl Bank {
    fn written_balances(&self, balances: impl Iterator<Item = (ValueId, i64)>) -> OutputValue {
        let name = |account| match self.values.resolve(account) {
            Value::Text(text) => text,
            other => other.to_string(),
        };
        OutputValue::Object(balances.map(|(account, has)| (name(account), has.into())).collect())
    }
}

impl<M: Notation> Notation for Keyed<M> {
    const NAME: &'static str = M::NAME;
    const KEYS: bool = true;

    fn parse_init(start: &InitialState<'_, '_>) -> Parsed<Keyed<M>> {
        Ok(Keyed { each: M::parse_init(start)?, keys: ValueTable::new() })
    }

    fn parse_op(&self, call: &Call<'_, '_>) -> Parsed<KeyedOp<M::Op>> {
        Ok(KeyedOp { key: call.key(&self.keys)?, op: self.each.parse_op(call)? })
    }

    fn parse_ret(&self, op: &KeyedOp<M::Op>, response: &Response<'_, '_>) -> Parsed<M::Ret> {
        self.each.parse_ret(&op.op, response)
    }

    fn acknowledged_ret(&self, op: &KeyedOp<M::Op>) -> Option<M::Ret> {
        self.each.acknowledged_ret(&op.op)
    }

    fn failed_cas_ret(&self, op: &KeyedOp<M::Op>) -> Option<M::Ret> {
        self.each.failed_cas_ret(&op.op)
    }

    fn write_init(&self) -> OutputValue {
        self.each.write_init()
    }

    fn write_op(&self, op: &KeyedOp<M::Op>) -> WrittenOp {
        WrittenOp { key: Some(self.keys.resolve(op.key)), ..self.each.write_op(&op.op) }
    }

    fn write_ret(&self, op: &KeyedOp<M::Op>, ret: &M::Ret) -> Option<OutputValue> {
        self.each.write_ret(&op.op, ret)
    }
}
