//! What is said of clients while they use the store, held against a check of all that happened.

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_checker::budget::Budget;
use quorate_checker::generate::{Shape, history, random};
use quorate_checker::history::{Moment, Outcome, Part};
use quorate_checker::model::{Cell, Effect, Model};
use quorate_checker::relaxed::Freshness;
use quorate_checker::verdict::Verdict;

use super::*;
use crate::choice::{Choices, Key, Kind, Overrides};
use crate::request::OpId;
use crate::workload::contract::Workload;
use crate::workload::kv::{self, Store};

/// The same map, but none that is checked while it is used.
struct Unstreamed(Kv);

impl Model for Unstreamed {
    type State = <Kv as Model>::State;
    type Op = KvOp;
    type Ret = KvRet;

    fn init(&self) -> Self::State {
        self.0.init()
    }

    fn step(&self, state: &Self::State, op: &KvOp, ret: Option<&KvRet>) -> Option<Self::State> {
        self.0.step(state, op, ret)
    }

    fn key(&self, op: &KvOp) -> Option<u64> {
        self.0.key(op)
    }

    fn effect(&self, op: &KvOp, ret: Option<&KvRet>) -> Effect {
        self.0.effect(op, ret)
    }

    fn cell(&self, op: &KvOp, ret: Option<&KvRet>) -> Option<Cell> {
        self.0.cell(op, ret)
    }

    fn decide(&self, part: Part<'_, KvOp, KvRet>, budget: &Budget<'_>) -> Option<Verdict> {
        self.0.decide(part, budget)
    }
}

fn unstreamed() -> Object {
    Object::new(
        Unstreamed(Kv::default()),
        |model, question| asked(&model.0, question),
        |model, op, bytes| told(&model.0, op, bytes),
    )
}

/// What a client asks: a query, or a command.
type Asks = (bool, Vec<u8>);

/// What happens to an operation.
#[derive(Clone, Debug)]
enum Event {
    /// It is asked for; whether its client may ask again.
    Invoked(Asks, bool),
    Told(Vec<u8>),
    Failed,
    Unknown,
}

/// What happens to the clients of an honest store, and then some of them are lied to. Clients
/// crash, operations fail, and some who gave up are answered all the same.
fn events(seed: u64) -> Vec<(OpId, Event)> {
    let choices = Choices::new(seed, Overrides::new());
    let mut draw = choices.draw(Kind::Plan.key());
    let shape = Shape {
        operations: draw.between(4, 40) as u32,
        clients: draw.between(1, 5) as u32,
        unknown: *draw.pick(&[0.0, 0.1, 0.3]),
        failed: *draw.pick(&[0.0, 0.1]),
        eager: *draw.pick(&[0.9, 0.5, 0.2]),
    };
    let clients = kv::Kv::new(3, 8);
    let mut ops = (0..).map(OpId);
    let ask = |_: &mut _| {
        let op = ops.next().expect("there are enough");
        let mut draw = choices.draw(Key { counter: (op.0 as u32) << 3, ..Kind::Client.key() });
        match draw.chance(400) {
            true => (true, clients.query(op, &mut draw)),
            false => (false, clients.command(op, &mut draw)),
        }
    };
    let made =
        history(&mut random(seed), &shape, Store::default(), ask, |store, (is_query, bytes)| {
            if *is_query { store.query(bytes) } else { store.apply(Index(1), bytes) }
        });
    let lies = *draw.pick(&[0, 100]);
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut events: Vec<(Moment, u8, OpId, Event)> = Vec::new();
    for (op, operation) in (0..).map(OpId).zip(made.operations()) {
        let begun = operation.invoked;
        let is_repeated = draw.chance(500);
        events.push((begun, 0, op, Event::Invoked(operation.op.clone(), is_repeated)));
        let later = Moment(begun.0 + draw.below(20) as u32);
        match &operation.outcome {
            Outcome::Returned { at, ret } => {
                // A put that tells something else than that it is done leaves its key to the end.
                let asked = Operation::decode(&operation.op.1);
                let is_put = matches!(asked, Some(Operation::Put { .. }));
                let told = match draw.chance(lies) && !is_put && !heard.is_empty() {
                    true => draw.pick(&heard).clone(),
                    false => ret.clone(),
                };
                heard.push(ret.clone());
                events.push((*at, 2, op, Event::Told(told)));
                if is_repeated && draw.chance(200) {
                    events.push((later.min(*at), 1, op, Event::Unknown));
                }
            }
            Outcome::Failed => events.push((later, 1, op, Event::Failed)),
            Outcome::Unknown => events.push((later, 1, op, Event::Unknown)),
        }
    }
    events.sort_by_key(|(at, order, ..)| (*at, *order));
    events.into_iter().map(|(.., op, event)| (op, event)).collect()
}

/// Shows `object` an event: what it says of it.
fn show(object: &mut Object, op: OpId, event: &Event) -> Result<(), String> {
    match event {
        Event::Invoked((is_query, bytes), is_repeated) => {
            let question =
                if *is_query { Question::Query(bytes) } else { Question::Command(bytes) };
            object.invoked(op, question, *is_repeated);
            Ok(())
        }
        Event::Told(told) => object.told(op, told, Freshness::Current),
        Event::Failed => object.failed(op),
        Event::Unknown => {
            object.unknown(op);
            Ok(())
        }
    }
}

fn is_wrong(object: &Object) -> bool {
    let ended = object.ended(&Budget::default());
    assert!(ended.is_decided);
    ended.verdict.is_err()
}

/// Whether the key of `op` is not plain.
fn is_mixed(events: &[(OpId, Event)], op: OpId) -> bool {
    let asks = |(of, event): &(OpId, Event)| match event {
        Event::Invoked((_, bytes), _) if *of == op => Some(bytes[2..].starts_with(b"k1")),
        _ => None,
    };
    events.iter().find_map(asks).expect("it was asked for")
}

#[test]
fn what_is_said_at_once_is_what_a_check_of_all_says_and_comes_at_the_first_event() {
    let (mut at_once, mut at_the_end, mut silent) = (0, 0, 0);
    'histories: for seed in 0..2_000 {
        let events = events(seed);
        let (mut streamed, mut plain) = (object(), unstreamed());
        for (count, (op, event)) in (1..).zip(&events) {
            let said = show(&mut streamed, *op, event);
            show(&mut plain, *op, event).expect("it says nothing at once");
            let wrong = is_wrong(&plain);
            let context = || format!("seed {seed}: {op:?} {said:?} {:?}", &events[..count]);
            if let Err(why) = &said {
                assert!(wrong, "a false alarm: {}", context());
                assert!(why.starts_with(&format!("operation {}, ", op.0)), "{why}");
                at_once += 1;
                continue 'histories;
            }
            assert_eq!(is_wrong(&streamed), wrong, "{}", context());
            if wrong {
                assert!(is_mixed(&events, *op), "it comes too late: {}", context());
                at_the_end += 1;
                continue 'histories;
            }
        }
        silent += 1;
    }
    assert!(at_once > 100 && at_the_end > 20 && silent > 500, "{at_once} {at_the_end} {silent}");
}

#[test]
fn the_first_wrong_answer_is_named_and_explained() {
    let mut object = object();
    let key = b"k0";
    let put = |value| (false, Operation::Put { key, value }.encode());
    let get = || (true, Operation::Get { key }.encode());
    let done = || Event::Told(Reply::Done.encode());
    let value = |value| Event::Told(Reply::Value(value).encode());
    let first = [
        (OpId(3), Event::Invoked(put(b"a"), true)),
        (OpId(3), done()),
        (OpId(5), Event::Invoked(put(b"b"), true)),
        (OpId(7), Event::Invoked(get(), false)),
        (OpId(7), value(b"b")),
        (OpId(8), Event::Invoked(get(), false)),
        (OpId(9), Event::Invoked(get(), false)),
        (OpId(8), value(b"b")),
    ];
    for (op, event) in &first {
        assert_eq!(show(&mut object, *op, event), Ok(()));
    }
    let why = show(&mut object, OpId(9), &value(b"a")).expect_err("it was overwritten");
    assert_eq!(
        why,
        "operation 9, get \"k0\", came to \"a\": get 4 returned \"a\", although get 2 returned \
         \"b\" before get 4 began and after put 0 (0 is operation 3, 2 is operation 7, 4 is \
         operation 9)"
    );
}
