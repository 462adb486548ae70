//! Banks and transactions: every reported violation must be right.

use std::collections::BTreeMap;

use quorate_checker::generate::{Random, history};
use quorate_checker::history::{Client, OpId, Recorder};
use quorate_checker::models::{Access, Bank, BankOp, BankRet, Transactions};
use quorate_checker::value::ValueId;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use super::fuzz::{compare_many, decided, mutated, rounds, small_shape};

fn value(random: &mut Random, count: u32) -> ValueId {
    ValueId(random.random_range(1..=count))
}

#[test]
fn violations_of_banks_agree_with_the_definition() {
    let tally = compare_many(rounds(10_000), |random| {
        let shape = small_shape(random);
        let overdraft = random.random_bool(0.3);
        let least = if random.random_bool(0.2) { -2 } else { 0 };
        let first = random.random_range(least..3);
        let init: BTreeMap<ValueId, i64> = [(ValueId(1), first), (ValueId(2), 2)].into();
        let next_op = |random: &mut Random| match random.random_bool(0.4) {
            true => BankOp::Read,
            false => BankOp::Transfer {
                from: value(random, 3),
                to: value(random, 2),
                amount: random.random_range(least..3),
            },
        };
        let apply = |state: &mut BTreeMap<ValueId, i64>, op: &BankOp| match op {
            BankOp::Read => BankRet::Balances(state.clone().into_iter().collect()),
            BankOp::Transfer { from, to, amount } => {
                let moves = state.get(from).is_some_and(|has| *has >= *amount || overdraft);
                if moves {
                    *state.entry(*from).or_default() -= amount;
                    *state.entry(*to).or_default() += amount;
                }
                BankRet::Moved(moves)
            }
        };
        let made = history(random, &shape, init.clone(), next_op, apply);
        let made = mutated(random, &made, |random, _, ret| match ret {
            BankRet::Moved(moved) => BankRet::Moved(!moved),
            BankRet::Balances(balances) => {
                let mut balances = balances.clone();
                let more = random.random_range(-3..=3);
                balances[0].1 += more;
                balances[1].1 -= if random.random_bool(0.7) { more } else { 0 };
                BankRet::Balances(balances)
            }
        });
        (Bank { init, overdraft, ..Bank::default() }, made)
    });
    assert!(tally.wrong > 300 && tally.minimal == tally.wrong, "{tally:?}");
}

#[test]
fn violations_of_transactions_agree_with_the_definition() {
    let tally = compare_many(rounds(10_000), |random| {
        let shape = small_shape(random);
        let next_op = |random: &mut Random| {
            let access = |random: &mut Random| match random.random_bool(0.5) {
                true => Access::Read(value(random, 2)),
                false => Access::Write(value(random, 2), ValueId(random.random_range(2..5))),
            };
            (0..random.random_range(1..4)).map(|_| access(random)).collect::<Box<[Access]>>()
        };
        let apply = |state: &mut BTreeMap<ValueId, ValueId>, op: &[Access]| {
            let step = |access: &Access| match access {
                Access::Read(key) => state.get(key).copied().unwrap_or(ValueId(1)),
                Access::Write(key, value) => {
                    state.insert(*key, *value);
                    ValueId::NULL
                }
            };
            op.iter().map(step).collect::<Box<[ValueId]>>()
        };
        let made = history(random, &shape, BTreeMap::new(), next_op, |state, op| apply(state, op));
        let made = mutated(random, &made, |random, _, ret| {
            let mut ret = ret.clone();
            let place = random.random_range(0..ret.len());
            ret[place] = ValueId(random.random_range(0..6));
            ret
        });
        (Transactions { init: ValueId(1).into(), ..Transactions::default() }, made)
    });
    assert!(tally.wrong > 500 && tally.minimal == tally.wrong, "{tally:?}");
}

#[test]
fn a_value_read_before_its_write_is_found() {
    let recorder = Recorder::new();
    let (key, new) = (ValueId(1), ValueId(2));
    let early = recorder.invoke(Client(1), Box::from([Access::Read(key)]));
    early.returned(Box::from([new]));
    let write = recorder.invoke(Client(1), Box::from([Access::Write(key, new)]));
    write.returned(Box::from([ValueId::NULL]));
    let verdict = decided(&Transactions::default(), &recorder.history());
    let Some(Verdict::NotLinearizable(counterexample)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(counterexample.operations, [OpId(0)]);
    assert_eq!(
        counterexample.reason,
        "operation 0 read v1 v2, which no transaction had begun to write by then"
    );
}
