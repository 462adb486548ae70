//! Evidence as one HTML page that needs nothing else: no script, no network, light or dark.

use std::collections::BTreeMap;

use crate::explain::attempt::{Attempt, Reach, attempt};
use crate::explain::markup::escaped;
use crate::explain::object::{last_return, operations};
use crate::explain::svg::Picture;
use crate::explain::words::{label, listed, row};
use crate::history::{History, OpId};
use crate::model::Model;
use crate::verdict::Evidence;

/// Letters of a sentence, a state, and a call or a result in a table.
const SENTENCE_MAX: usize = 600;
const STATE_MAX: usize = 160;
const CELL_MAX: usize = 80;
/// Rows of a table: the last steps of an order, and the last of the evidence to return.
const STEPS_MAX: usize = 12;
const LISTED_MAX: usize = 30;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886;--bad:light-dark(#b00020,#ff8a80);\
--proof:light-dark(#0b57a4,#8ab8f0);--on:light-dark(#fff,#111);--ground:light-dark(#fff,#161616)}
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;\
background:var(--ground)}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}
.said{overflow-wrap:anywhere}.said b,b.bad{color:var(--bad)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:6px;padding:.5rem}
.note{opacity:.75;font-size:.9rem}
table{border-collapse:collapse}
td,th{border-bottom:1px solid var(--line);padding:.2rem 1rem .2rem 0;text-align:left;\
vertical-align:baseline;overflow-wrap:anywhere}
th{font-weight:600;white-space:nowrap}td.n{text-align:right}
td.code{font:13px ui-monospace,monospace}
tr.bad td{color:var(--bad);font-weight:600}
svg{display:block;font:12px ui-monospace,monospace}
svg text{fill:currentColor}svg g>text{text-anchor:middle}
.lane{stroke:var(--line)}.who{font:12px system-ui,sans-serif}
.gap line{stroke:var(--line);stroke-dasharray:2 3}\
.gap text{text-anchor:start!important;font-size:11px;opacity:.75}
.other rect{fill:var(--ground);stroke:#8889}
.proof rect{fill:var(--proof)}.bad rect{fill:var(--bad)}
.proof text,.bad text{fill:var(--on)}
.open rect{stroke-dasharray:4 3;stroke:currentColor}
g rect.badge{fill:var(--ground);stroke:currentColor;stroke-dasharray:none}
g text.place{font-size:10px;font-weight:700;fill:currentColor}";

/// Why `evidence` makes `history` wrong, on a page that stands by itself, below 200 KB for any
/// history: the sentence; the evidence, and some operations around it, as bars on the lanes of
/// their clients; the longest order that explains them, with its states, and what then fits
/// nowhere.
pub fn page<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> String {
    let attempt = attempt(model, history, evidence);
    let object = operations(model, history, evidence);
    let order = attempt.as_ref().map_or(&[][..], |attempt| &attempt.order);
    let places: BTreeMap<OpId, usize> = order.iter().copied().zip(1..).collect();
    let misfit = attempt.as_ref().map(|attempt| attempt.misfit);
    let picture = Picture { model, history, evidence, object: &object, places: &places, misfit };
    let because = escaped(&evidence.because, SENTENCE_MAX);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;\">\n\
         <title>Not linearizable</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n\
         <h1><b class=\"bad\">Not linearizable</b></h1>\n<p class=\"said\">{because}</p>\n"
    );
    if let Some(attempt) = &attempt {
        let sentence = attempt.sentence(model, history, |id| id);
        if sentence != evidence.because {
            let sentence = escaped(&sentence, SENTENCE_MAX);
            page.push_str(&format!("<p class=\"said\">{sentence}</p>\n"));
        }
    }
    page.push_str(&picture.draw());
    if let Some(attempt) = &attempt {
        page.push_str(&steps(model, history, evidence, attempt));
    }
    page.push_str(&table(model, history, evidence));
    page.push_str("</body>\n</html>\n");
    page
}

/// The longest order: each operation, and the state after it.
fn steps<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    evidence: &Evidence,
    attempt: &Attempt<M::State>,
) -> String {
    let title = match attempt.reach {
        Reach::All => "The longest order that explains what was returned",
        Reach::Alone => "The longest order of these alone that explains what was returned",
        Reach::Found => "The longest order that was found",
    };
    let mut text = format!(
        "<h2>{title}</h2>\n<table>\n<tr><th class=\"n\"></th><th>Operation</th>\
         <th>State after it</th></tr>\n"
    );
    let mut line = |class: &str, place: &str, operation: &str, state: &str| {
        let (operation, state) = (escaped(operation, CELL_MAX), escaped(state, STATE_MAX));
        text.push_str(&format!(
            "<tr{class}><td class=\"n\">{place}</td><td class=\"code\">{operation}</td>\
             <td class=\"code\">{state}</td></tr>\n"
        ));
    };
    let folded = attempt.order.len().saturating_sub(STEPS_MAX);
    let last = last_return(history, &evidence.operations);
    let mut state = model.init();
    if folded == 0 {
        line("", "", "at first", &model.state_words(&state));
    }
    for (place, id) in (1..).zip(&attempt.order) {
        let operation = history.operation(*id);
        let known = match attempt.reach {
            Reach::All => evidence.operations.binary_search(id).is_ok(),
            Reach::Alone | Reach::Found => operation.returned() <= last,
        };
        let ret = operation.ret().filter(|_| known);
        let after = model.step(&state, &operation.op, ret);
        state = after.unwrap_or_else(|| attempt.state.clone());
        if place == folded {
            let words = format!("{folded} operations before");
            line("", "", &words, &model.state_words(&state));
        } else if place > folded {
            let words = format!("{}: {}", id.0, label(model, operation));
            line("", &place.to_string(), &words, &model.state_words(&state));
        }
    }
    let operation = history.operation(attempt.misfit);
    let words = format!("{}: {}", attempt.misfit.0, label(model, operation));
    line(" class=\"bad\"", "", &words, "fits neither here nor later");
    text.push_str("</table>\n");
    text
}

/// The evidence, operation by operation.
fn table<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) -> String {
    let claim = match evidence.minimal {
        true => "Without any one of these it could be explained.",
        false => "These are enough; fewer might be.",
    };
    let listed = listed(history, evidence, LISTED_MAX);
    let folded = match evidence.operations.len() - listed.len() {
        0 => String::new(),
        folded => format!(" {folded} more returned earlier."),
    };
    let mut text = format!(
        "<h2>Evidence</h2>\n<p class=\"note\">Whatever became of all other operations, these \
         cannot be. {claim}{folded}</p>\n<table>\n<tr><th>Operation</th><th>Client</th>\
         <th>Call</th><th>Result</th><th>Invoked</th><th>Returned</th></tr>\n"
    );
    for id in listed {
        let cells = row(model, id, history.operation(id));
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let class = if column == 2 || column == 3 { "code" } else { "n" };
            format!("<td class=\"{class}\">{}</td>", escaped(cell, CELL_MAX))
        });
        text.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
    }
    text.push_str("</table>\n");
    text
}
