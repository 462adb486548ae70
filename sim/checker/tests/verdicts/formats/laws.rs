//! Properties of all histories and of all texts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use quorate_checker::formats::{self, AnyHistory, ModelHistory, Object, Options};
use quorate_checker::history::{Client, EventIndex, History, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Bank, BankOp, BankRet, Counter, CounterOp, InitialValues, Keyed, KeyedOp, Kv, KvCall,
    KvOp, KvRet, List, ListOp, ListRet, Lock, LockOp, Queue, QueueOp, Register, RegisterOp,
    RegisterRet, Set, SetOp, SetRet, Stack, StackOp, Transactions,
};
use quorate_checker::value::{Value, ValueId, ValueTable};

use super::shown::{read, shown};

/// The timing of an operation: its client, the number of invocations before its response, and a
/// number that decides whether it returns, fails or has an unknown outcome.
type Timing = (u32, usize, u8);

/// Builds the history of operations with the given timings, as far as clients allow.
fn history<O: Clone, R: Clone>(operations: &[(O, R)], timings: &[Timing]) -> History<O, R> {
    let mut now = 0;
    let mut event_index = || {
        now += 1;
        EventIndex(now - 1)
    };
    let mut made: Vec<Operation<O, R>> = Vec::new();
    let mut open: Vec<(usize, u32, usize, R)> = Vec::new();
    for (fresh, ((op, ret), (client, wait, end))) in (100..).zip(operations.iter().zip(timings)) {
        for waits in &mut open {
            waits.2 = waits.2.saturating_sub(1);
        }
        let busy = |client: &u32| open.iter().any(|waits| waits.1 == *client && waits.2 > 0);
        let client = if busy(client) { u32::MAX } else { *client };
        let (done, left): (Vec<_>, Vec<_>) = open.into_iter().partition(|waits| waits.2 == 0);
        open = left;
        for (id, _, _, ret) in done {
            made[id].outcome = Outcome::Returned { at: event_index(), ret };
        }
        let known = *end > 2 && client != u32::MAX;
        let client = if known { client } else { fresh };
        let outcome = if *end == 0 { Outcome::Failed } else { Outcome::Unknown };
        let (op, invoked) = (op.clone(), event_index());
        made.push(Operation { client: Client(client), op, invoked, outcome });
        if known {
            open.push((made.len() - 1, client, wait + 1, ret.clone()));
        }
    }
    History::new(made).expect("clients take turns")
}

fn reads_back<M: Model>(model: M, operations: &[(M::Op, M::Ret)], timings: &[Timing])
where
    AnyHistory: From<ModelHistory<M>>,
{
    let history = AnyHistory::from(ModelHistory { history: history(operations, timings), model });
    let mut text = Vec::new();
    formats::write(&mut text, "a \"name\"\n", &history).expect("memory takes everything");
    let text = String::from_utf8(text).expect("it is a text");
    let again = read(&text, &Options::default());
    assert_eq!(shown(&again.history), shown(&history), "{text}");
    assert_eq!(again.name.as_deref(), Some("a \"name\"\n"));
}

/// Checks that `history` is rejected, or reads back.
fn reads_back_or_is_rejected<M: Model>(model: M, operations: &[(M::Op, M::Ret)], timings: &[Timing])
where
    AnyHistory: From<ModelHistory<M>>,
{
    let history = AnyHistory::from(ModelHistory { history: history(operations, timings), model });
    let mut text = Vec::new();
    match formats::write(&mut text, "", &history) {
        Ok(()) => {
            let text = String::from_utf8(text).expect("it is a text");
            assert_eq!(shown(&read(&text, &Options::default()).history), shown(&history), "{text}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}"),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let inner = prop_oneof![4 => inner, 1 => Just(Value::Null)];
        proptest::collection::vec(inner, 0..4).prop_map(Value::List)
    })
}

/// Interns ten values, of which the first is null.
fn values(data: &[Value]) -> (ValueTable, Vec<ValueId>) {
    let values = ValueTable::new();
    let all = std::iter::once(ValueId::NULL).chain(data.iter().map(|d| values.intern(d.clone())));
    let all = all.collect();
    (values, all)
}

/// The numbers from which an operation is drawn: a choice, two values, and an amount.
type Draw = (u8, usize, usize, i64);

fn draws() -> impl Strategy<Value = (Vec<Value>, Vec<Draw>, Vec<Timing>)> {
    let draw = (any::<u8>(), 0..10_usize, 0..10_usize, any::<i64>());
    let timing = (0..4_u32, 0..5_usize, 0..12_u8);
    (
        proptest::collection::vec(value(), 9),
        proptest::collection::vec(draw, 0..20),
        proptest::collection::vec(timing, 20),
    )
}

/// The initial value `v[3]` for every key but `v[0]`, which has `v[1]`.
fn initial(v: &[ValueId]) -> InitialValues {
    InitialValues { others: v[3], by_key: BTreeMap::from([(v[0], v[1])]) }
}

proptest! {
    #[test]
    fn registers_and_maps_read_back_or_are_rejected((data, draws, timings) in draws()) {
        let (values, v) = values(&data);
        let (mut kv, mut registers, mut transactions) = (vec![], vec![], vec![]);
        for (kind, a, b, _) in &draws {
            let (one, two) = (v[*a], v[*b]);
            let swapped = kind / 64 == 0;
            let (kv_ret, register_ret) = match kind / 16 % 4 {
                0 => (KvRet::Written, RegisterRet::Written),
                1 => (KvRet::Swapped(swapped), RegisterRet::Swapped(swapped)),
                _ => (KvRet::Value(two), RegisterRet::Value(two)),
            };
            let (call, register) = match kind % 4 {
                0 => (KvCall::Get, RegisterOp::Read),
                1 => (KvCall::Put(one), RegisterOp::Write(one)),
                2 => (KvCall::Append(one), RegisterOp::Write(two)),
                _ => (
                    KvCall::Cas { from: one, to: two },
                    RegisterOp::Cas { from: one, to: two },
                ),
            };
            kv.push((KvOp { key: two, call }, kv_ret));
            registers.push((register, register_ret));
            let access = if kind % 2 == 0 { Access::Read(one) } else { Access::Write(one, two) };
            transactions.push((Box::from([access]), Box::from([two])));
        }
        let table = || values.clone();
        reads_back_or_is_rejected(Kv { init: initial(&v), values: table() }, &kv, &timings);
        reads_back_or_is_rejected(Register { init: v[3], values: table() }, &registers, &timings);
        let model = Transactions { init: initial(&v), values: table() };
        reads_back_or_is_rejected(model, &transactions, &timings);
    }

    #[test]
    fn collections_read_back_or_are_rejected((data, draws, timings) in draws()) {
        let (values, v) = values(&data);
        let (mut sets, mut lists, mut queues, mut stacks) = (vec![], vec![], vec![], vec![]);
        for (kind, a, b, _) in &draws {
            let (one, two) = (v[*a], v[*b]);
            let (set_ret, list_ret) = match kind / 16 % 4 {
                0 => (SetRet::Done, ListRet::Appended),
                1 => (SetRet::Bool(kind / 64 == 0), ListRet::Appended),
                _ => (SetRet::Members([two].into()), ListRet::Items([one, two].into())),
            };
            let (set, list) = match kind % 4 {
                0 => (SetOp::Read, ListOp::Read { key: one }),
                1 => (SetOp::Add(one), ListOp::Append { key: one, value: two }),
                2 => (SetOp::Contains(one), ListOp::Read { key: two }),
                _ => (SetOp::Remove(one), ListOp::Append { key: two, value: one }),
            };
            sets.push((set, set_ret));
            lists.push((list, list_ret));
            let (queue, stack) = match kind % 2 {
                0 => (QueueOp::Dequeue, StackOp::Pop),
                _ => (QueueOp::Enqueue(one), StackOp::Push(one)),
            };
            queues.push((queue, two));
            stacks.push((stack, two));
        }
        let table = || values.clone();
        let init = BTreeSet::from([v[2], v[0]]);
        reads_back_or_is_rejected(Set { init, values: table() }, &sets, &timings);
        reads_back_or_is_rejected(List { values: table() }, &lists, &timings);
        let item = v[draws.len() % 3];
        let queue = Queue { init: [item].into(), values: table() };
        reads_back_or_is_rejected(queue, &queues, &timings);
        let stack = Stack { init: vec![item], values: table() };
        reads_back_or_is_rejected(stack, &stacks, &timings);
    }

    #[test]
    fn banks_and_counters_read_back_or_are_rejected((data, draws, timings) in draws()) {
        let (values, v) = values(&data);
        let (mut banks, mut counters) = (vec![], vec![]);
        for (kind, a, b, amount) in &draws {
            let (one, two) = (v[*a], v[*b]);
            let (bank, counter) = match kind % 2 {
                0 => (BankOp::Read, CounterOp::Read),
                _ => (
                    BankOp::Transfer { from: one, to: two, amount: *amount },
                    CounterOp::Add(*amount),
                ),
            };
            let bank_ret = match kind / 16 % 2 {
                0 => BankRet::Moved(kind / 64 == 0),
                _ => BankRet::Balances([(two, 1)].into()),
            };
            banks.push((bank, bank_ret));
            counters.push((counter, (kind / 16 % 2 == 0).then_some(*amount)));
        }
        let init = BTreeMap::from([(v[draws.len() % 3], 5)]);
        let bank = Bank { init, overdraft: true, values: values.clone() };
        reads_back_or_is_rejected(bank, &banks, &timings);
        reads_back_or_is_rejected(Counter { init: 3 }, &counters, &timings);
    }

    #[test]
    fn registers_maps_and_transactions_read_back((data, draws, timings) in draws()) {
        let (values, v) = values(&data);
        let made: Vec<_> = draws.iter().map(|(kind, a, b, _)| match kind % 3 {
            0 => (RegisterOp::Read, RegisterRet::Value(v[*a])),
            1 => (RegisterOp::Write(v[*a]), RegisterRet::Written),
            _ => (RegisterOp::Cas { from: v[*a], to: v[*b] }, RegisterRet::Swapped(kind % 2 == 0)),
        }).collect();
        reads_back(Register { init: v[3], values: values.clone() }, &made, &timings);
        let kv: Vec<_> = made.iter().zip(&draws).map(|((op, ret), (kind, _, key, _))| {
            let (call, ret) = match (*op, *ret) {
                (RegisterOp::Write(value), _) if kind % 2 == 0 => {
                    (KvCall::Append(value), KvRet::Written)
                }
                (RegisterOp::Write(value), _) => (KvCall::Put(value), KvRet::Written),
                (RegisterOp::Cas { from, to }, RegisterRet::Swapped(swapped)) => {
                    (KvCall::Cas { from, to }, KvRet::Swapped(swapped))
                }
                (_, RegisterRet::Value(value)) => (KvCall::Get, KvRet::Value(value)),
                other => unreachable!("{other:?}"),
            };
            (KvOp { key: v[*key], call }, ret)
        }).collect();
        reads_back(Kv { init: initial(&v), values: values.clone() }, &kv, &timings);
        let transactions: Vec<_> = draws.chunks(3).map(|steps| {
            let access = |(kind, key, value, _): &Draw| match kind % 2 {
                0 => (Access::Read(v[*key]), v[*value]),
                _ => (Access::Write(v[*key], v[*value]), ValueId::NULL),
            };
            let (op, ret): (Vec<Access>, Vec<ValueId>) = steps.iter().map(access).unzip();
            (op.into(), ret.into())
        }).collect();
        reads_back(Transactions { init: initial(&v), values }, &transactions, &timings);
    }

    #[test]
    fn collections_read_back((data, draws, timings) in draws()) {
        let (values, v) = values(&data);
        let sets: Vec<_> = draws.iter().map(|(kind, a, b, _)| {
            let written = if kind % 5 == 0 { SetRet::Bool(kind % 2 == 0) } else { SetRet::Done };
            let members: BTreeSet<ValueId> = v[*a.min(b)..*a.max(b)].iter().copied().collect();
            match kind % 4 {
                0 => (SetOp::Add(v[*a]), written),
                1 => (SetOp::Remove(v[*a]), written),
                2 => (SetOp::Contains(v[*a]), SetRet::Bool(kind % 3 == 0)),
                _ => (SetOp::Read, SetRet::Members(members.into_iter().collect())),
            }
        }).collect();
        let set = Set { init: v[2..5].iter().copied().collect(), values: values.clone() };
        // The members are sorted by ids, which differ after parsing, so reads are not compared.
        let written: Vec<_> = sets.iter().filter(|(op, _)| *op != SetOp::Read).cloned().collect();
        let empty = Set { init: BTreeSet::new(), values: values.clone() };
        reads_back(empty.clone(), &written, &timings);
        let mut text = Vec::new();
        let history = ModelHistory { model: set, history: history(&sets, &timings) }.into();
        formats::write(&mut text, "", &history).expect("memory takes everything");
        let again = formats::parse(&text, &Options::default()).expect("it was written");
        prop_assert_eq!(again.history.counts(), history.counts());

        let inserted = |a: usize| v[a.max(1)];
        let queues: Vec<_> = draws.iter().map(|(kind, a, _, _)| match kind % 2 {
            0 => (QueueOp::Enqueue(inserted(*a)), ValueId::NULL),
            _ => (QueueOp::Dequeue, v[*a]),
        }).collect();
        let queue = Queue { init: v[1..4].iter().copied().collect(), values: values.clone() };
        reads_back(queue.clone(), &queues, &timings);
        let stacks: Vec<_> = queues.iter().map(|(op, ret)| match op {
            QueueOp::Enqueue(value) => (StackOp::Push(*value), *ret),
            QueueOp::Dequeue => (StackOp::Pop, *ret),
        }).collect();
        reads_back(Stack { init: v[1..4].to_vec(), values: values.clone() }, &stacks, &timings);
        let lists: Vec<_> = draws.iter().map(|(kind, a, b, _)| match kind % 2 {
            0 => (ListOp::Append { key: v[*a], value: v[*b] }, ListRet::Appended),
            _ => (ListOp::Read { key: v[*a] }, ListRet::Items(v[*b..].into())),
        }).collect();
        reads_back(List { values: values.clone() }, &lists, &timings);
        let keyed: Vec<_> = queues.iter().zip(&draws).map(|((op, ret), (_, _, key, _))| {
            (KeyedOp { key: v[*key], op: *op }, *ret)
        }).collect();
        reads_back(Keyed { each: queue, keys: values }, &keyed, &timings);
    }

    #[test]
    fn numbers_locks_and_banks_read_back((data, draws, timings) in draws()) {
        let counters: Vec<_> = draws.iter().map(|(kind, _, _, number)| match kind % 3 {
            0 => (CounterOp::Read, Some(*number)),
            1 => (CounterOp::Add(*number), None),
            _ => (CounterOp::Add(*number), Some(number.wrapping_add(1))),
        }).collect();
        reads_back(Counter { init: 5 }, &counters, &timings);
        let locks: Vec<_> = draws.iter().map(|(kind, ..)| match kind % 2 {
            0 => (LockOp::Acquire, ()),
            _ => (LockOp::Release, ()),
        }).collect();
        reads_back(Lock { held: draws.len() % 2 == 0 }, &locks, &timings);
        let (values, _) = values(&data);
        let accounts: Vec<ValueId> = (0..5).map(|account| values.intern(account)).collect();
        let named: Vec<ValueId> = ["a", "b", "01", "+1", ""].map(|name| values.intern(name)).into();
        for accounts in [accounts, named] {
            let banks: Vec<_> = draws.iter().map(|(kind, a, b, number)| match kind % 2 {
                0 => {
                    let balances = accounts[..*a / 2].iter().map(|account| (*account, *number));
                    (BankOp::Read, BankRet::Balances(balances.collect()))
                }
                _ => {
                    let (from, to) = (accounts[*a / 2], accounts[*b / 2]);
                    (BankOp::Transfer { from, to, amount: *number }, BankRet::Moved(kind % 3 == 0))
                }
            }).collect();
            let init: BTreeMap<ValueId, i64> =
            accounts.iter().map(|account| (*account, 3)).collect();
            let bank = Bank { init, overdraft: draws.len() % 3 == 0, values: values.clone() };
            reads_back(bank, &banks, &timings);
        }
    }
}

const TEXTS: [&str; 6] = [
    "{\"format\":\"history/1\",\"model\":\"kv\",\"init\":\"\",\"ops\":2}\n\
     {\"type\":\"invoke\",\"id\":0,\"process\":4,\"f\":\"put\",\"key\":\"k\",\
      \"value\":\"\\u00e9\"}\n\
     {\"type\":\"invoke\",\"id\":1,\"process\":3,\"f\":\"get\",\"key\":\"k\"}\n\
     {\"type\":\"ok\",\"id\":1,\"process\":3,\"f\":\"get\",\"key\":\"k\",\"result\":\"\"}\n\
     {\"type\":\"info\",\"id\":0,\"process\":4,\"f\":\"put\",\"key\":\"k\"}\n",
    "{\"format\":\"history/1\",\"model\":\"bank\",\"init\":{\"a\":1,\"b\":2}}\n\
     {\"type\":\"invoke\",\"id\":0,\"process\":4,\"f\":\"transfer\",\
      \"value\":{\"from\":\"a\",\"to\":\"b\",\"amount\":1}}\n\
     {\"type\":\"ok\",\"id\":0,\"process\":4}\n",
    "[{:index 0 :type :invoke, :process 1, :f :txn, \
      :value [[:r 1 nil] [:w 2 [3 \"a\\n\"]]]} #_ {:a 1}\n\
     #a.b{:type :ok, :process 1, :f :txn, :value [[:r 1 #{1 2}] [:w 2 3]]} ;\n]",
    "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x 0 0 y\"}\n\
     {:process 0, :type :ok, :f :append, :key \"0\", :value \"x 0 0 y\"}\n",
    "INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:fail\t:cas\t[1 2]\n",
    "[{\"ClientId\":0,\"Input\":{\"f\":\"read\"},\"Call\":5,\
      \"Output\":{\"result\":null},\"Return\":9},\n\
     {\"ClientId\":0,\"Input\":{\"f\":\"write\",\"value\":1},\"Call\":9,\
      \"Output\":{},\"Return\":9}]",
];

/// The names of all models, without aliases; the empty one names none.
const MODELS: [&str; 12] = [
    "",
    "register",
    "kv",
    "multi-register",
    "rw-register",
    "list",
    "lock",
    "set",
    "counter",
    "queue",
    "stack",
    "bank",
];

/// Draws changes of a text: position, length, kind and byte.
fn changes() -> impl Strategy<Value = Vec<(Index, Index, u8, u8)>> {
    let change = (any::<Index>(), any::<Index>(), 0..6_u8, any::<u8>());
    proptest::collection::vec(change, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_text_panics(
        text in 0..TEXTS.len(),
        model in 0..MODELS.len(),
        changes in changes(),
    ) {
        let mut text = TEXTS[text].as_bytes().to_vec();
        for (place, other, kind, byte) in changes {
            if text.is_empty() {
                break;
            }
            let (place, other) = (place.index(text.len()), other.index(text.len()));
            match kind {
                0 => text[place] = byte,
                1 => text.insert(place, byte),
                2 => drop(text.remove(place)),
                3 => text.truncate(place),
                4 => text.swap(place, other),
                // Repeat a piece of the text.
                _ => {
                    let piece = text[place.min(other)..place.max(other)].to_vec();
                    text.splice(place..place, piece);
                }
            }
        }
        let options = Options { object: Object::by_name(MODELS[model]).ok(), ..Options::default() };
        if let Err(error) = formats::parse(&text, &options) {
            let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            prop_assert!((1..=lines).contains(&error.line) && error.column > 0, "{}", error);
        }
    }
}

#[test]
fn the_unchanged_texts_parse() {
    for (text, model) in
        TEXTS.iter().zip(["kv", "bank", "multi-register", "kv", "register", "register"])
    {
        let options = Options { object: Object::by_name(model).ok(), ..Options::default() };
        let read = formats::parse(text.as_bytes(), &options);
        // One of the texts has a set where a value is expected.
        assert_eq!(read.is_ok(), !text.contains("#{"), "{text}: {:?}", read.err());
    }
}

#[test]
fn results_of_a_map_without_notation_are_not_written() {
    let kv = Kv::default();
    let [key, one] = ["k", "1"].map(|text| kv.values.intern(text));
    let results = [
        (KvCall::Put(one), KvRet::Value(one)),
        (KvCall::Put(one), KvRet::Value(ValueId::NULL)),
        (KvCall::Cas { from: one, to: key }, KvRet::Value(key)),
    ];
    for (call, ret) in results {
        let operations = [(KvOp { key, call }, ret)];
        let history = history(&operations, &[(0, 0, 9)])
            .with_outcomes(|_, _| Outcome::Returned { at: EventIndex(1), ret });
        let history = AnyHistory::from(ModelHistory { model: kv.clone(), history });
        let error = formats::write(&mut Vec::new(), "", &history).expect_err("no notation");
        assert_eq!(error.to_string(), "the format has no notation for result of operation 0");
    }
}
