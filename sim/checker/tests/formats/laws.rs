//! What holds of every history and every text.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use quorate_checker::formats::{self, AnyHistory, Object, Of, Options};
use quorate_checker::history::{Client, History, Moment, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Bank, BankOp, BankRet, Counter, CounterOp, Keyed, KeyedOp, Kv, KvCall, KvOp, KvRet,
    List, ListOp, ListRet, Lock, LockOp, Queue, QueueOp, Register, RegisterOp, RegisterRet, Set,
    SetOp, SetRet, Stack, StackOp, Transactions,
};
use quorate_checker::value::{Datum, Value, Values};

use super::shown::{read, shown};

/// How an operation goes: its client, how many events later it ends, and how.
type Course = (u32, usize, u8);

/// The history of operations that go as `courses` say, as far as clients can.
fn history<O: Clone, R: Clone>(operations: &[(O, R)], courses: &[Course]) -> History<O, R> {
    let mut now = 0;
    let mut moment = || {
        now += 1;
        Moment(now - 1)
    };
    let mut made: Vec<Operation<O, R>> = Vec::new();
    let mut open: Vec<(usize, u32, usize, R)> = Vec::new();
    for (fresh, ((op, ret), (client, wait, end))) in (100..).zip(operations.iter().zip(courses)) {
        for waits in &mut open {
            waits.2 = waits.2.saturating_sub(1);
        }
        let busy = |client: &u32| open.iter().any(|waits| waits.1 == *client && waits.2 > 0);
        let client = if busy(client) { u32::MAX } else { *client };
        let (done, left): (Vec<_>, Vec<_>) = open.into_iter().partition(|waits| waits.2 == 0);
        open = left;
        for (id, _, _, ret) in done {
            made[id].outcome = Outcome::Returned { at: moment(), ret };
        }
        let known = *end > 2 && client != u32::MAX;
        let client = if known { client } else { fresh };
        let outcome = if *end == 0 { Outcome::Failed } else { Outcome::Unknown };
        let (op, invoked) = (op.clone(), moment());
        made.push(Operation { client: Client(client), op, invoked, outcome });
        if known {
            open.push((made.len() - 1, client, wait + 1, ret.clone()));
        }
    }
    History::new(made).expect("clients take turns")
}

fn reads_back<M: Model>(model: M, operations: &[(M::Op, M::Ret)], courses: &[Course])
where
    AnyHistory: From<Of<M>>,
{
    let history = AnyHistory::from(Of { history: history(operations, courses), model });
    let mut text = Vec::new();
    formats::write(&mut text, "a \"name\"\n", &history).expect("memory takes everything");
    let text = String::from_utf8(text).expect("it is a text");
    let again = read(&text, &Options::default());
    assert_eq!(shown(&again.history), shown(&history), "{text}");
    assert_eq!(again.name.as_deref(), Some("a \"name\"\n"));
}

fn datum() -> impl Strategy<Value = Datum> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Datum::Bool),
        any::<i64>().prop_map(Datum::Integer),
        any::<String>().prop_map(Datum::Text),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let inner = prop_oneof![4 => inner, 1 => Just(Datum::Null)];
        proptest::collection::vec(inner, 0..4).prop_map(Datum::List)
    })
}

/// Ten values, the first of them nothing.
fn values(data: &[Datum]) -> (Values, Vec<Value>) {
    let values = Values::new();
    let all = std::iter::once(Value::NULL).chain(data.iter().map(|d| values.of(d.clone())));
    let all = all.collect();
    (values, all)
}

/// What operations are drawn from: choices, and values by number.
type Draw = (u8, usize, usize, i64);

fn draws() -> impl Strategy<Value = (Vec<Datum>, Vec<Draw>, Vec<Course>)> {
    let draw = (any::<u8>(), 0..10_usize, 0..10_usize, any::<i64>());
    let course = (0..4_u32, 0..5_usize, 0..12_u8);
    (
        proptest::collection::vec(datum(), 9),
        proptest::collection::vec(draw, 0..20),
        proptest::collection::vec(course, 20),
    )
}

proptest! {
    #[test]
    fn registers_read_back((data, draws, courses) in draws()) {
        let (values, v) = values(&data);
        let made: Vec<_> = draws.iter().map(|(kind, a, b, _)| match kind % 3 {
            0 => (RegisterOp::Read, RegisterRet::Value(v[*a])),
            1 => (RegisterOp::Write(v[*a]), RegisterRet::Written),
            _ => (RegisterOp::Cas { from: v[*a], to: v[*b] }, RegisterRet::Swapped(kind % 2 == 0)),
        }).collect();
        reads_back(Register { init: v[3], values: values.clone() }, &made, &courses);
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
        reads_back(Kv { init: v[3], values: values.clone() }, &kv, &courses);
        let transactions: Vec<_> = draws.chunks(3).map(|steps| {
            let access = |(kind, key, value, _): &Draw| match kind % 2 {
                0 => (Access::Read(v[*key]), v[*value]),
                _ => (Access::Write(v[*key], v[*value]), Value::NULL),
            };
            let (op, ret): (Vec<Access>, Vec<Value>) = steps.iter().map(access).unzip();
            (op.into(), ret.into())
        }).collect();
        reads_back(Transactions { init: v[3], values }, &transactions, &courses);
    }

    #[test]
    fn collections_read_back((data, draws, courses) in draws()) {
        let (values, v) = values(&data);
        let sets: Vec<_> = draws.iter().map(|(kind, a, b, _)| {
            let told = if kind % 5 == 0 { SetRet::Truth(kind % 2 == 0) } else { SetRet::Done };
            let members: BTreeSet<Value> = v[*a.min(b)..*a.max(b)].iter().copied().collect();
            match kind % 4 {
                0 => (SetOp::Add(v[*a]), told),
                1 => (SetOp::Remove(v[*a]), told),
                2 => (SetOp::Contains(v[*a]), SetRet::Truth(kind % 3 == 0)),
                _ => (SetOp::Read, SetRet::Members(members.into_iter().collect())),
            }
        }).collect();
        let set = Set { init: v[2..5].iter().copied().collect(), values: values.clone() };
        // Their members are sorted by numbers that are others after reading: those are not shown.
        let told: Vec<_> = sets.iter().filter(|(op, _)| *op != SetOp::Read).cloned().collect();
        let empty = Set { init: BTreeSet::new(), values: values.clone() };
        reads_back(empty.clone(), &told, &courses);
        let mut text = Vec::new();
        let history = Of { model: set, history: history(&sets, &courses) }.into();
        formats::write(&mut text, "", &history).expect("memory takes everything");
        let again = formats::parse(&text, &Options::default()).expect("it was written");
        prop_assert_eq!(again.history.counts(), history.counts());

        let inserted = |a: usize| v[a.max(1)];
        let queues: Vec<_> = draws.iter().map(|(kind, a, _, _)| match kind % 2 {
            0 => (QueueOp::Enqueue(inserted(*a)), Value::NULL),
            _ => (QueueOp::Dequeue, v[*a]),
        }).collect();
        let queue = Queue { init: v[1..4].iter().copied().collect(), values: values.clone() };
        reads_back(queue.clone(), &queues, &courses);
        let stacks: Vec<_> = queues.iter().map(|(op, ret)| match op {
            QueueOp::Enqueue(value) => (StackOp::Push(*value), *ret),
            QueueOp::Dequeue => (StackOp::Pop, *ret),
        }).collect();
        reads_back(Stack { init: v[1..4].to_vec(), values: values.clone() }, &stacks, &courses);
        let lists: Vec<_> = draws.iter().map(|(kind, a, b, _)| match kind % 2 {
            0 => (ListOp::Append { key: v[*a], value: v[*b] }, ListRet::Appended),
            _ => (ListOp::Read { key: v[*a] }, ListRet::Items(v[*b..].into())),
        }).collect();
        reads_back(List { values: values.clone() }, &lists, &courses);
        let keyed: Vec<_> = queues.iter().zip(&draws).map(|((op, ret), (_, _, key, _))| {
            (KeyedOp { key: v[*key], op: *op }, *ret)
        }).collect();
        reads_back(Keyed { each: queue, keys: values }, &keyed, &courses);
    }

    #[test]
    fn numbers_locks_and_banks_read_back((data, draws, courses) in draws()) {
        let counters: Vec<_> = draws.iter().map(|(kind, _, _, number)| match kind % 3 {
            0 => (CounterOp::Read, Some(*number)),
            1 => (CounterOp::Add(*number), None),
            _ => (CounterOp::Add(*number), Some(number.wrapping_add(1))),
        }).collect();
        reads_back(Counter { init: 5 }, &counters, &courses);
        let locks: Vec<_> = draws.iter().map(|(kind, ..)| match kind % 2 {
            0 => (LockOp::Acquire, ()),
            _ => (LockOp::Release, ()),
        }).collect();
        reads_back(Lock { held: draws.len() % 2 == 0 }, &locks, &courses);
        let (values, _) = values(&data);
        let accounts: Vec<Value> = (0..5).map(|account| values.of(account)).collect();
        let named: Vec<Value> = ["a", "b", "01", "+1", ""].map(|name| values.of(name)).into();
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
            let init: BTreeMap<Value, i64> = accounts.iter().map(|account| (*account, 3)).collect();
            let bank = Bank { init, overdraft: draws.len() % 3 == 0, values: values.clone() };
            reads_back(bank, &banks, &courses);
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

/// Every model, and the one that the file says.
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

/// Where to change a text, how, and to what.
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
                // A piece of it once more.
                _ => {
                    let piece = text[place.min(other)..place.max(other)].to_vec();
                    text.splice(place..place, piece);
                }
            }
        }
        let options = Options { object: Object::by_name(MODELS[model]).ok(), ..Options::default() };
        if let Err(wrong) = formats::parse(&text, &options) {
            let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            prop_assert!((1..=lines).contains(&wrong.line) && wrong.column > 0, "{}", wrong);
        }
    }
}

#[test]
fn the_texts_themselves_are_right() {
    for (text, model) in
        TEXTS.iter().zip(["kv", "bank", "multi-register", "kv", "register", "register"])
    {
        let options = Options { object: Object::by_name(model).ok(), ..Options::default() };
        let read = formats::parse(text.as_bytes(), &options);
        // In one of them a set is read where a value should be.
        assert_eq!(read.is_ok(), !text.contains("#{"), "{text}: {:?}", read.err());
    }
}
