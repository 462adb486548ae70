//! Tests that texts and pages are complete, small and well-formed.

use rand::RngExt;

use crate::budget::Budget;
use crate::explain::lanes::lanes;
use crate::explain::longest::longest_linearization;
use crate::explain::minimise::minimise;
use crate::explain::page::page;
use crate::explain::text::describe;
use crate::generate::{Random, Shape, history, random};
use crate::history::{Client, History, OpId, Outcome, Recorder};
use crate::models::{Register, RegisterOp, RegisterRet};
use crate::value::{Value, ValueId, ValueTable};
use crate::verdict::Counterexample;

/// The maximum number of bytes of a page; most of them are the script.
const PAGE_BYTES_MAX: usize = 300_000;

type Made = (Register, History<RegisterOp, RegisterRet>, Counterexample);

fn counterexample(ids: &[u32], reason: &str) -> Counterexample {
    let operations = ids.iter().copied().map(OpId).collect();
    Counterexample { operations, reason: reason.to_owned(), minimal: false }
}

/// Returns a history in which a read returns an overwritten value.
fn stale_read(words: [&str; 2]) -> Made {
    let model = Register::default();
    let [old, new] = words.map(|word| model.values.intern(word));
    let recorder = Recorder::new();
    let invoke = |client: u32, op| recorder.invoke(Client(client), op);
    let early = invoke(4, RegisterOp::Read);
    invoke(1, RegisterOp::Write(old)).returned(RegisterRet::Written);
    early.returned(RegisterRet::Value(old));
    invoke(2, RegisterOp::Write(new)).returned(RegisterRet::Written);
    invoke(5, RegisterOp::Cas { from: new, to: new }).unknown();
    invoke(3, RegisterOp::Read).returned(RegisterRet::Value(old));
    invoke(3, RegisterOp::Read).returned(RegisterRet::Value(new));
    let whole = counterexample(&[0, 1, 2, 4, 5], "it is so");
    (model, recorder.history(), whole)
}

/// Returns a history of fifty clients with two writes and a stale read that lie far apart.
fn long(operations: u32, word: &dyn Fn(i64) -> String) -> Made {
    let values = ValueTable::new();
    let mut count = 0;
    let next_op = |random: &mut Random| match random.random_bool(0.5) {
        true => RegisterOp::Read,
        false => {
            count += 1;
            RegisterOp::Write(values.intern(Value::Text(word(count))))
        }
    };
    let apply = |state: &mut ValueId, op: &RegisterOp| match *op {
        RegisterOp::Write(value) => {
            *state = value;
            RegisterRet::Written
        }
        _ => RegisterRet::Value(*state),
    };
    let shape = Shape { operations, clients: 50, unknown: 0.01, ..Shape::default() };
    let made = history(&mut random(7), &shape, ValueId::NULL, next_op, apply);
    let all = || (0..).map(OpId).zip(made.operations());
    let written =
        |op: &RegisterOp| if let RegisterOp::Write(value) = op { Some(*value) } else { None };
    let (read, reads) = all()
        .filter(|(_, one)| one.op == RegisterOp::Read && one.ret().is_some())
        .last()
        .expect("a read returned");
    let before =
        |than| move |(_, one): &(OpId, &crate::history::Operation<_, _>)| one.returned() < than;
    let (new, news) = all()
        .filter(before(reads.invoked))
        .filter(|(_, one)| written(&one.op).is_some())
        .last()
        .expect("a write returned before it");
    let (old, olds) = all()
        .filter(before(news.invoked))
        .find(|(_, one)| written(&one.op).is_some())
        .expect("a write returned before that");
    let stale_value = RegisterRet::Value(written(&olds.op).expect("it is a write"));
    let wrong = made.with_outcomes(|id, operation| match operation.outcome {
        Outcome::Returned { at, .. } if id == read => Outcome::Returned { at, ret: stale_value },
        outcome => outcome,
    });
    let proof = Counterexample {
        operations: vec![old, new, read],
        reason: format!("{} read what {} wrote, although {} came between", read.0, old.0, new.0),
        minimal: true,
    };
    (Register { init: ValueId::NULL, values }, wrong, proof)
}

/// Returns the page without the contents of its style and scripts, and the number of scripts.
fn markup(page: &str) -> (String, usize) {
    let (mut rest, mut text, mut scripts) = (page, String::new(), 0);
    while let Some(start) = rest.find("<script").into_iter().chain(rest.find("<style")).min() {
        let (before, element) = rest.split_at(start);
        let inside = element.find('>').expect("a tag is closed") + 1;
        let end = element.find("</s").expect("an element ends");
        scripts += usize::from(element.starts_with("<script"));
        text.push_str(before);
        text.push_str(&element[..inside]);
        rest = &element[end..];
    }
    (text + rest, scripts)
}

/// Checks that every element is closed and that the browser need not guess. Everything that comes
/// from the history is inside the page's own scripts, or is text.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 1] = ["meta"];
    const ENTITIES: [&str; 5] = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    assert!(!page.chars().any(|letter| letter.is_control() && letter != '\n'));
    let (page, scripts) = markup(page);
    assert_eq!(scripts, 2, "the document and the script that draws it");
    for (place, _) in page.match_indices('&') {
        let rest = &page[place + 1..];
        assert!(ENTITIES.iter().any(|entity| rest.starts_with(entity)), "{rest:.40}");
    }
    let mut open: Vec<&str> = Vec::new();
    let body = page.strip_prefix("<!doctype html>").expect("a page has a doctype");
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag is closed");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).expect("it has a name");
        assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{tag}");
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        assert!(open.last() == Some(&"style") || !text.contains('>'), "{piece}");
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn text_has_the_unexplained_operation_and_a_table() {
    let (model, history, whole) = stale_read(["old", "new"]);
    let less = minimise(&model, &history, &whole, &Budget::default());
    assert_eq!(
        describe(&model, &history, &less),
        "\
after operations 1 and 2 the state is \"new\", but operation 4 (read) returned \"old\": no order \
of the pending operations explains it

operation  client  call         result  invoked  returned
        1       1  write \"old\"                1         2
        2       2  write \"new\"                4         5
        4       3  read         \"old\"         7         8
"
    );
}

#[test]
fn lanes_show_the_counterexample_among_nearby_operations() {
    let (model, history, whole) = stale_read(["old", "new"]);
    let less = minimise(&model, &history, &whole, &Budget::default());
    let expected = "\
client 1  |=1: write \"old\"=|
client 2                     |=2: write \"new\"=|
client 3                                        |=4: read -> \"old\"=|
client 4 |-0: read -> \"old\"-|
client 5                                       |-3: cas \"new\" -> \"new\"->
";
    assert_eq!(lanes(&model, &history, &less), expected, "\n{}", lanes(&model, &history, &less));
}

#[test]
fn a_long_history_is_folded_around_its_counterexample() {
    let (model, history, proof) = long(10_000, &|number| number.to_string());
    let drawn = lanes(&model, &history, &proof);
    assert!(drawn.lines().count() <= 20, "{drawn}");
    assert!(drawn.lines().all(|line| line.len() <= 100), "{drawn}");
    assert_eq!(drawn.matches("|=").count(), 3, "{drawn}");
    let whole = (0..).map(OpId).take(history.operations().len());
    let returned = |id: &OpId| history.operation(*id).ret().is_some();
    let whole = Counterexample { operations: whole.filter(returned).collect(), ..proof.clone() };
    for counterexample in [&proof, &whole] {
        let page = page(&model, &history, counterexample);
        assert_well_formed(&page);
        assert!(page.len() < PAGE_BYTES_MAX, "{}", page.len());
        assert!(lanes(&model, &history, counterexample).lines().all(|line| line.len() <= 100));
        assert!(describe(&model, &history, counterexample).lines().count() < 60);
    }
    let attempt = longest_linearization(&model, &history, &proof).expect("it is bad");
    assert_eq!(Some(&attempt.unexplained), proof.operations.last());
}

#[test]
fn hostile_values_are_escaped() {
    const HOSTILE: &str =
        "</title></text></svg><script>alert(\"1\")</script>&lt;'\u{202e}\0\u{1b}[2J\n";
    let (model, mut history, mut whole) = stale_read([HOSTILE, "\"><img src=x onerror=alert(1)>"]);
    whole.reason = HOSTILE.repeat(1000);
    let text = page(&model, &history, &whole);
    assert_well_formed(&text);
    assert!(!text.contains("<script>") && !text.contains("<img"), "{text}");
    assert!(text.contains("&lt;/title&gt;"), "{text}");
    assert!(lanes(&model, &history, &whole).bytes().all(|byte| byte == b'\n' || byte >= b' '));
    let (model, long_history, proof) =
        long(2_000, &|number| format!("{number}{}", "\"".repeat(999)));
    history = long_history;
    let text = page(&model, &history, &proof);
    assert_well_formed(&text);
    assert!(text.len() < PAGE_BYTES_MAX, "{}", text.len());
}
