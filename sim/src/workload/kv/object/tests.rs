//! Compares the incremental check of client histories with a check of the whole history.

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_checker::budget::Budget;
use quorate_checker::generate::{Shape, history, random};
use quorate_checker::history::{EventIndex, Outcome, Subhistory};
use quorate_checker::model::{Effect, Model, RegisterAccess};
use quorate_checker::relaxed::Freshness;
use quorate_checker::verdict::Verdict;

use super::*;
use crate::values::choice::{Choices, Key, Kind, Overrides};
use crate::workload::contract::Workload;
use crate::workload::kv::{self, Store};
use crate::workload::request::OpId;

/// The same model without an incremental check.
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

    fn register_access(&self, op: &KvOp, ret: Option<&KvRet>) -> Option<RegisterAccess> {
        self.0.register_access(op, ret)
    }

    fn decide(&self, part: Subhistory<'_, KvOp, KvRet>, budget: &Budget<'_>) -> Option<Verdict> {
        self.0.decide(part, budget)
    }
}

fn unstreamed() -> Object {
    Object::new(
        Unstreamed(Kv::default()),
        |model, request| parse_operation(&model.0, request),
        |model, op, bytes| parse_result(&model.0, op, bytes),
    )
}

/// An operation of a client: whether it is a query, and its bytes.
type RequestData = (bool, Vec<u8>);

/// An event of an operation.
#[derive(Clone, Debug)]
enum Event {
    /// The operation starts; the flag says whether its client may resend it.
    Invoked(RequestData, bool),
    Returned(Vec<u8>),
    Failed,
    Unknown,
}

/// Returns the events of a store's clients, with some wrong results. Clients crash, operations
/// fail, and some clients that gave up receive a result later.
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
    let wrong_permille = *draw.pick(&[0, 100]);
    let mut results: Vec<Vec<u8>> = Vec::new();
    let mut events: Vec<(EventIndex, u8, OpId, Event)> = Vec::new();
    for (op, operation) in (0..).map(OpId).zip(made.operations()) {
        let begun = operation.invoked;
        let is_repeated = draw.chance(500);
        events.push((begun, 0, op, Event::Invoked(operation.op.clone(), is_repeated)));
        let later = EventIndex(begun.0 + draw.below(20) as u32);
        match &operation.outcome {
            Outcome::Returned { at, ret } => {
                // A put with a reply other than `Done` would defer the check of its key to the end.
                let decoded = Operation::decode(&operation.op.1);
                let is_put = matches!(decoded, Some(Operation::Put { .. }));
                let result = match draw.chance(wrong_permille) && !is_put && !results.is_empty() {
                    true => draw.pick(&results).clone(),
                    false => ret.clone(),
                };
                results.push(ret.clone());
                events.push((*at, 2, op, Event::Returned(result)));
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

/// Passes an event to `object`, and returns the violation that it reports, if any.
fn show(object: &mut Object, op: OpId, event: &Event) -> Result<(), String> {
    match event {
        Event::Invoked((is_query, bytes), is_repeated) => {
            let request =
                if *is_query { RequestBytes::Query(bytes) } else { RequestBytes::Command(bytes) };
            object.invoked(op, request, *is_repeated);
            Ok(())
        }
        Event::Returned(result) => object.answered(op, result, Freshness::Current),
        Event::Failed => object.failed(op),
        Event::Unknown => {
            object.unknown(op);
            Ok(())
        }
    }
}

fn is_wrong(object: &Object) -> bool {
    let ended = object.finish(&Budget::default());
    assert!(ended.is_decided);
    ended.verdict.is_err()
}

/// Whether the key of `op` also has deletes and appends, so its history is decided only at the
/// end. Only `k1` has them.
fn is_mixed(events: &[(OpId, Event)], op: OpId) -> bool {
    let invoked = |(of, event): &(OpId, Event)| match event {
        Event::Invoked((_, bytes), _) if *of == op => Some(bytes[2..].starts_with(b"k1")),
        _ => None,
    };
    events.iter().find_map(invoked).expect("it was asked for")
}

#[test]
fn the_incremental_check_agrees_with_a_full_check_and_reports_at_the_first_event() {
    let (mut at_once, mut at_the_end, mut silent) = (0, 0, 0);
    'histories: for seed in 0..2_000 {
        let events = events(seed);
        let (mut streamed, mut plain) = (object(), unstreamed());
        for (count, (op, event)) in (1..).zip(&events) {
            let reported = show(&mut streamed, *op, event);
            show(&mut plain, *op, event).expect("it has no incremental check");
            let wrong = is_wrong(&plain);
            let context = || format!("seed {seed}: {op:?} {reported:?} {:?}", &events[..count]);
            if let Err(why) = &reported {
                assert!(wrong, "a false alarm: {}", context());
                assert!(why.starts_with(&format!("operation {}, ", op.0)), "{why}");
                at_once += 1;
                continue 'histories;
            }
            assert_eq!(is_wrong(&streamed), wrong, "{}", context());
            if wrong {
                assert!(is_mixed(&events, *op), "the report is late: {}", context());
                at_the_end += 1;
                continue 'histories;
            }
        }
        silent += 1;
    }
    assert!(at_once > 100 && at_the_end > 20 && silent > 500, "{at_once} {at_the_end} {silent}");
}

#[test]
fn the_first_wrong_result_is_named_and_explained() {
    let mut object = object();
    let key = b"k0";
    let put = |value| (false, Operation::Put { key, value }.encode());
    let get = || (true, Operation::Get { key }.encode());
    let done = || Event::Returned(Reply::Done.encode());
    let value = |value| Event::Returned(Reply::Value(value).encode());
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
        "operation 9, get \"k0\", returned \"a\": get 4 returned \"a\", although get 2 returned \
         \"b\" before get 4 was invoked and after put 0 (0 is operation 3, 2 is operation 7, 4 is \
         operation 9)"
    );
}
