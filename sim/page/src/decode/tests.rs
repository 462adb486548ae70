//! Encoding and decoding a document returns the same document.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::document::NUMBER_MAX;
use crate::encode::encoded;

const NODES: u16 = 4;
const CLIENTS: u16 = 3;
const EVENTS: u32 = 30;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-> n[1-3] AppendEntries t[0-9]{1,2} last=[0-9]{1,17}@t[0-9]",
        "\\PC{0,6}",
        Just(String::new()),
        Just("</script><!--\"'&\u{1}\0".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, 0..1_000_000_u64, Just(NUMBER_MAX)]
}

fn state() -> impl Strategy<Value = State> {
    let words = (select(&CONDITIONS[..]), select(&ROLES[..]), option::of(0..NODES), text());
    (words, proptest::array::uniform7(number())).prop_map(|(words, numbers)| {
        let (condition, role, leader, detail) = words;
        let [term, base, snapshot, applied, committed, durable, last] = numbers;
        State {
            condition,
            role,
            term,
            leader,
            base,
            snapshot,
            applied,
            committed,
            durable,
            last,
            detail,
        }
    })
}

fn log() -> impl Strategy<Value = LogChange> {
    let entry = (number(), text()).prop_map(|(term, text)| Entry { term, text });
    (number(), vec(entry, 0..4)).prop_map(|(keep, entries)| LogChange { keep, entries })
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![
        Just(Lane::Cluster),
        (0..NODES).prop_map(Lane::Node),
        (0..CLIENTS).prop_map(Lane::Client),
    ]
}

fn one_event() -> impl Strategy<Value = Event> {
    let words = (lane(), select(&KINDS[..]), text());
    let rest = (vec(0..EVENTS, 0..3), option::of(state()), option::of(log()));
    (0..1_u64 << 30, words, rest).prop_map(|(at, (lane, kind, text), (causes, state, log))| {
        let state = state.filter(|_| matches!(lane, Lane::Node(_)));
        Event { at, lane, kind, text, causes, state, log }
    })
}

fn one_message() -> impl Strategy<Value = Message> {
    let delivery = prop_oneof![
        Just(Delivery::InFlight),
        (0..EVENTS).prop_map(Delivery::Arrived),
        number().prop_map(Delivery::Lost),
    ];
    let ends = (0..EVENTS, 0..NODES, 0..NODES);
    (ends, select(&TOPICS[..]), text(), delivery).prop_map(
        |((sent, from, to), topic, text, delivery)| Message {
            sent,
            from,
            to,
            topic,
            text,
            delivery,
        },
    )
}

fn one_write() -> impl Strategy<Value = Write> {
    let ended = option::of(0..EVENTS);
    (0..NODES, text(), 0..EVENTS, ended, select(&WRITE_OUTCOMES[..])).prop_map(
        |(node, text, submitted, ended, outcome)| {
            let ended = ended.map(|ended| ended.max(submitted));
            Write { node, text, submitted, ended, outcome }
        },
    )
}

fn one_operation() -> impl Strategy<Value = Operation> {
    let times = (0..1_u64 << 40, option::of(0..1_u64 << 40));
    let sorts = (select(&OUTCOMES[..]), select(&RELEVANCES[..]));
    let rest = (option::of(0..EVENTS), option::of(0..9_u32));
    (0..CLIENTS, (text(), text()), times, sorts, rest).prop_map(
        |(client, (call, result), (invoked, took), (outcome, relevance), (event, place))| {
            Operation {
                client,
                call,
                result,
                invoked,
                returned: took.map(|took| invoked + took),
                outcome,
                event,
                relevance,
                place,
            }
        },
    )
}

fn one_fault() -> impl Strategy<Value = Fault> {
    let times = (0..1_u64 << 40, option::of(0..1_u64 << 40));
    (text(), times, vec(0..NODES, 0..3), option::of(0..EVENTS)).prop_map(
        |(text, (from, took), nodes, event)| Fault {
            text,
            from,
            until: took.map(|took| from + took),
            nodes,
            event,
        },
    )
}

fn words() -> impl Strategy<Value = Document> {
    let fact = (text(), text(), any::<bool>()).prop_map(|(label, value, code)| Fact {
        label,
        value,
        code,
    });
    let sentence =
        (text(), option::of(0..EVENTS)).prop_map(|(text, event)| Sentence { text, event });
    let violation = (0..EVENTS, text(), text()).prop_map(|(event, check, finding)| Violation {
        event,
        check,
        finding,
    });
    let table = (text(), vec(vec(text(), 2), 0..3), option::of(0..3_u32)).prop_map(
        |(title, rows, marked)| {
            let (note, columns) = (title.clone(), vec![title.clone(), String::new()]);
            Table { title, note, columns, rows, marked }
        },
    );
    let names = (text(), text(), select(&CLOCKS[..]));
    (names, vec(fact, 0..3), option::of(violation), vec(sentence, 0..3), vec(table, 0..3)).prop_map(
        |((name, title, clock), facts, violation, explanation, tables)| Document {
            name,
            title,
            clock,
            facts,
            violation,
            explanation,
            tables,
            ..Document::default()
        },
    )
}

fn document() -> impl Strategy<Value = Document> {
    let names = (vec(text(), usize::from(NODES)), vec(text(), usize::from(CLIENTS)));
    let happened = (
        vec(one_event(), EVENTS as usize),
        vec(one_message(), 0..9),
        vec(one_write(), 0..9),
        vec(one_operation(), 0..9),
        vec(one_fault(), 0..4),
    );
    (words(), names, happened).prop_map(|(words, (nodes, clients), happened)| {
        let (mut events, messages, writes, operations, faults) = happened;
        events.sort_by_key(|event| event.at);
        for (place, event) in (0..).zip(&mut events) {
            event.causes.retain(|cause| *cause < place);
        }
        Document { nodes, clients, events, messages, writes, operations, faults, ..words }
    })
}

proptest! {
    #[test]
    fn every_encoded_document_is_decoded(document in document()) {
        prop_assert_eq!(decoded(&encoded(&document)), document);
    }
}

#[test]
fn an_empty_document_is_encoded() {
    assert_eq!(decoded(&encoded(&Document::default())), Document::default());
}

#[test]
fn a_number_above_the_maximum_becomes_the_maximum() {
    let state = State { last: u64::MAX, ..State::default() };
    let event = Event {
        at: 0,
        lane: Lane::Node(0),
        kind: Kind::Other,
        text: String::new(),
        causes: Vec::new(),
        state: Some(state),
        log: None,
    };
    let nodes = vec!["n1".to_owned()];
    let document = Document { nodes, events: vec![event], ..Document::default() };
    let read = decoded(&encoded(&document));
    assert_eq!(read.events[0].state.as_ref().map(|state| state.last), Some(NUMBER_MAX));
}

#[test]
#[should_panic(expected = "no event 7")]
fn a_reference_to_a_missing_event_panics() {
    let explanation = vec![Sentence { text: "see there".to_owned(), event: Some(7) }];
    encoded(&Document { explanation, ..Document::default() });
}
