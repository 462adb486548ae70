//! How counters, locks and banks are written down, and objects of which there is one for each key.

use crate::formats::fault::Fault;
use crate::formats::form::Form;
use crate::formats::notation::{Call, Notation, Piece, Start, Told, WrittenCall, value_of};
use crate::models::{Bank, BankOp, BankRet, Counter, CounterOp, Keyed, KeyedOp, Lock, LockOp};
use crate::value::{Datum, Value, Values};

const NUMBER: &str = "a whole number";

impl Notation for Counter {
    const NAME: &'static str = "counter";

    fn start(start: &Start<'_, '_>) -> Result<Counter, Fault> {
        let init = start.init.filter(|init| !init.is_null());
        Ok(Counter { init: init.map_or(Ok(0), |init| init.integer(NUMBER))? })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<CounterOp, Fault> {
        match call.f {
            "add" => call.value()?.integer(NUMBER).map(CounterOp::Add),
            "read" => call.without_value().map(|()| CounterOp::Read),
            _ => Err(call.unknown("`add` or `read`")),
        }
    }

    fn answer(&self, op: &CounterOp, told: &Told<'_, '_>) -> Result<Option<i64>, Fault> {
        match op {
            CounterOp::Read => told.result(NUMBER)?.integer(NUMBER).map(Some),
            CounterOp::Add(_) => told.some().map(|result| result.integer(NUMBER)).transpose(),
        }
    }

    fn done(&self, op: &CounterOp) -> Option<Option<i64>> {
        matches!(op, CounterOp::Add(_)).then_some(None)
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(self.init.into())
    }

    fn written_call(&self, op: &CounterOp) -> WrittenCall {
        let (f, value) = match *op {
            CounterOp::Add(more) => ("add", Some(Piece::Datum(more.into()))),
            CounterOp::Read => ("read", None),
        };
        WrittenCall { f, key: None, value }
    }

    fn written_answer(&self, _: &CounterOp, ret: &Option<i64>) -> Option<Piece> {
        ret.map(|number| Piece::Datum(number.into()))
    }
}

impl Notation for Lock {
    const NAME: &'static str = "mutex";

    fn start(start: &Start<'_, '_>) -> Result<Lock, Fault> {
        let init = start.init.filter(|init| !init.is_null());
        Ok(Lock { held: init.map_or(Ok(false), Form::truth)? })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<LockOp, Fault> {
        match call.f {
            "acquire" => call.without_value().map(|()| LockOp::Acquire),
            "release" => call.without_value().map(|()| LockOp::Release),
            _ => Err(call.unknown("`acquire` or `release`")),
        }
    }

    fn answer(&self, _: &LockOp, told: &Told<'_, '_>) -> Result<(), Fault> {
        told.nothing()
    }

    fn done(&self, _: &LockOp) -> Option<()> {
        Some(())
    }

    fn written_start(&self) -> Piece {
        Piece::Datum(self.held.into())
    }

    fn written_call(&self, op: &LockOp) -> WrittenCall {
        let f = match op {
            LockOp::Acquire => "acquire",
            LockOp::Release => "release",
        };
        WrittenCall { f, key: None, value: None }
    }

    fn written_answer(&self, _: &LockOp, (): &()) -> Option<Piece> {
        None
    }
}

/// The name of an account. JSON has only texts before colons, so a text that is a number is that
/// number.
fn account(form: Form<'_, '_>, values: &Values) -> Result<Value, Fault> {
    let number: Option<i64> = form.name().and_then(|name| name.parse().ok());
    match number.filter(|number| form.name() == Some(&number.to_string())) {
        Some(number) => Ok(values.of(number)),
        None if form.is_null() => Err(form.expected("an account")),
        None => value_of(form, values),
    }
}

/// What every account has, by account.
fn balances(form: Form<'_, '_>, values: &Values) -> Result<Vec<(Value, i64)>, Fault> {
    let mut balances = Vec::new();
    for (name, balance) in form.members("a map of accounts and what they have")? {
        balances.push((account(name, values)?, balance.integer(NUMBER)?));
    }
    balances.sort_unstable();
    if balances.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Fault::new(form.place(), "an account is here twice"));
    }
    Ok(balances)
}

impl Notation for Bank {
    const NAME: &'static str = "bank";

    fn start(start: &Start<'_, '_>) -> Result<Bank, Fault> {
        let values = Values::new();
        let init = start.init.map_or(Ok(Vec::new()), |init| balances(init, &values))?;
        Ok(Bank { init: init.into_iter().collect(), overdraft: start.overdraft, values })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<BankOp, Fault> {
        match call.f {
            "read" => call.without_value().map(|()| BankOp::Read),
            "transfer" => {
                let value = call.value()?;
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

    fn answer(&self, op: &BankOp, told: &Told<'_, '_>) -> Result<BankRet, Fault> {
        match op {
            BankOp::Read => {
                let result = told.result("what every account has")?;
                Ok(BankRet::Balances(balances(result, &self.values)?.into()))
            }
            BankOp::Transfer { .. } => {
                told.some().map_or(Ok(true), Form::truth).map(BankRet::Moved)
            }
        }
    }

    fn done(&self, op: &BankOp) -> Option<BankRet> {
        matches!(op, BankOp::Transfer { .. }).then_some(BankRet::Moved(true))
    }

    fn written_start(&self) -> Piece {
        self.written_balances(self.init.iter().map(|(account, balance)| (*account, *balance)))
    }

    fn written_call(&self, op: &BankOp) -> WrittenCall {
        match *op {
            BankOp::Read => WrittenCall { f: "read", key: None, value: None },
            BankOp::Transfer { from, to, amount } => {
                let datum = |account| self.values.datum(account);
                let parts = [("from", datum(from)), ("to", datum(to)), ("amount", amount.into())];
                let object = parts.map(|(name, datum)| (name.to_owned(), datum)).into();
                WrittenCall { f: "transfer", key: None, value: Some(Piece::Object(object)) }
            }
        }
    }

    fn written_answer(&self, _: &BankOp, ret: &BankRet) -> Option<Piece> {
        Some(match ret {
            BankRet::Moved(moved) => Piece::Datum((*moved).into()),
            BankRet::Balances(balances) => self.written_balances(balances.iter().copied()),
        })
    }
}

impl Bank {
    fn written_balances(&self, balances: impl Iterator<Item = (Value, i64)>) -> Piece {
        let name = |account| match self.values.datum(account) {
            Datum::Text(text) => text,
            other => other.to_string(),
        };
        Piece::Object(balances.map(|(account, has)| (name(account), has.into())).collect())
    }
}

impl<M: Notation> Notation for Keyed<M> {
    const NAME: &'static str = M::NAME;
    const KEYS: bool = true;

    fn start(start: &Start<'_, '_>) -> Result<Keyed<M>, Fault> {
        Ok(Keyed { each: M::start(start)?, keys: Values::new() })
    }

    fn call(&self, call: &Call<'_, '_>) -> Result<KeyedOp<M::Op>, Fault> {
        Ok(KeyedOp { key: call.key(&self.keys)?, op: self.each.call(call)? })
    }

    fn answer(&self, op: &KeyedOp<M::Op>, told: &Told<'_, '_>) -> Result<M::Ret, Fault> {
        self.each.answer(&op.op, told)
    }

    fn done(&self, op: &KeyedOp<M::Op>) -> Option<M::Ret> {
        self.each.done(&op.op)
    }

    fn refused(&self, op: &KeyedOp<M::Op>) -> Option<M::Ret> {
        self.each.refused(&op.op)
    }

    fn written_start(&self) -> Piece {
        self.each.written_start()
    }

    fn written_call(&self, op: &KeyedOp<M::Op>) -> WrittenCall {
        WrittenCall { key: Some(self.keys.datum(op.key)), ..self.each.written_call(&op.op) }
    }

    fn written_answer(&self, op: &KeyedOp<M::Op>, ret: &M::Ret) -> Option<Piece> {
        self.each.written_answer(&op.op, ret)
    }
}
