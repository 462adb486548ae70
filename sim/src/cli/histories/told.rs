//! What the check of a file comes to, as people and as programs read it.

use quorate_checker::formats::{Loaded, Visitor};
use quorate_checker::history::{History, OpId, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::{Evidence, Exhausted};
use serde::Serialize;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::histories::judged::{Found, Judged, advice};
use crate::cli::text::{counted, grouped, span};

/// Operations of a counterexample that are listed at most; the whole list is in JSON.
const LISTED_MAX: usize = 40;

/// What one file comes to. Fields are only ever added.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    file: String,
    /// `linearizable`, `not linearizable`, `unknown`, `interrupted` or `unreadable`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_seconds: Option<f64>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// Whether leaving out any one of the operations would leave nothing wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimal: Option<bool>,
    /// The operations that prove it wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counterexample: Vec<Row>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    #[serde(skip)]
    lanes: String,
    #[serde(skip)]
    line: String,
    #[serde(skip)]
    exit: Exit,
}

/// One operation of a counterexample.
#[derive(Debug, Serialize)]
struct Row {
    operation: u32,
    client: u32,
    call: String,
    /// What it returned; nothing if its outcome is unknown.
    result: Option<String>,
    invoked_on_line: Option<u32>,
    returned_on_line: Option<u32>,
}

impl Told {
    /// What was found in the file `name`.
    pub(super) fn of(name: &str, found: &Found) -> Told {
        let mut told = Told {
            file: name.to_owned(),
            verdict: "unreadable",
            model: None,
            operations: None,
            keys: None,
            wall_seconds: None,
            because: None,
            minimal: None,
            counterexample: Vec::new(),
            advice: None,
            lanes: String::new(),
            line: String::new(),
            exit: Exit::Usage,
        };
        match found {
            Found::Unreadable(why) => told.because = Some(why.clone()),
            Found::Judged { loaded, judged, elapsed } => {
                let (operations, keys) = loaded.history.counts();
                told.model = Some(loaded.object.name());
                (told.operations, told.keys) = (Some(operations), Some(keys));
                told.wall_seconds = Some(elapsed.as_secs_f64());
                told.judged(loaded, judged);
                let (operations, keys) = (counted(operations as u64, "operation"), keys as u64);
                let (model, keys) = (loaded.object, counted(keys, "key"));
                let (verdict, time) = (told.verdict, span(*elapsed));
                told.line = format!("{name}: {verdict}: {model}, {operations}, {keys}, {time}");
            }
        }
        told
    }

    fn judged(&mut self, loaded: &Loaded, judged: &Judged) {
        (self.verdict, self.exit) = match judged {
            Judged::Linearizable => ("linearizable", Exit::Fine),
            Judged::NotLinearizable { .. } => ("not linearizable", Exit::Safety),
            Judged::GaveUp(_) => ("unknown", Exit::GaveUp),
            Judged::Interrupted => ("interrupted", Exit::Interrupted),
        };
        match judged {
            Judged::Linearizable => {}
            Judged::NotLinearizable { evidence, lanes, .. } => {
                self.because = Some(evidence.because.clone());
                self.minimal = Some(evidence.minimal);
                self.counterexample = loaded.history.visit(Rows { loaded, evidence });
                self.lanes.clone_from(lanes);
            }
            Judged::GaveUp(exhausted) => {
                self.because = Some(where_it_ended(loaded, exhausted));
                self.advice = Some(advice(exhausted).1);
            }
            Judged::Interrupted => {
                self.because = Some("nothing was found wrong so far".to_owned());
            }
        }
    }

    /// How the command ends, as far as this file goes.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints it: trouble on standard error, everything else on standard output.
    pub(super) fn say(&self) {
        let because = self.because.as_deref().unwrap_or("");
        if self.exit == Exit::Usage {
            eprintln!("error: {}: {because}", self.file);
            return;
        }
        let mut text = self.line.clone();
        if !because.is_empty() {
            text.push_str(&format!("\n  {because}"));
        }
        if let Some(advice) = self.advice {
            text.push_str(&format!("\n  {advice}"));
        }
        if !self.counterexample.is_empty() {
            text.push_str(&self.list());
            for line in self.lanes.lines() {
                text.push_str(format!("\n  {line}").trim_end());
            }
        }
        console::say(&text);
    }

    /// The counterexample as a table.
    fn list(&self) -> String {
        let title = ["operation", "client", "call", "result", "lines"].map(str::to_owned);
        let mut rows = vec![title];
        rows.extend(self.counterexample.iter().take(LISTED_MAX).map(Row::columns));
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        let mut text = String::new();
        for row in &rows {
            let mut line = String::from("\n ");
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!(" {cell:width$} "));
            }
            text.push_str(&format!("\n{}", line.trim_end().trim_start_matches('\n')));
        }
        if let Some(more) = self.counterexample.len().checked_sub(LISTED_MAX).filter(|m| *m > 0) {
            text.push_str(&format!("\n  and {} more", counted(more as u64, "operation")));
        }
        text
    }
}

impl Row {
    fn columns(&self) -> [String; 5] {
        let line = |line: Option<u32>| line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        let lines = match self.returned_on_line {
            Some(_) => format!("{}-{}", line(self.invoked_on_line), line(self.returned_on_line)),
            None => line(self.invoked_on_line),
        };
        let result = self.result.clone().unwrap_or_else(|| "unknown".to_owned());
        let call = self.call.clone();
        [format!("r{}", self.operation), self.client.to_string(), call, result, lines]
    }
}

/// The rows of a counterexample.
struct Rows<'a> {
    loaded: &'a Loaded,
    evidence: &'a Evidence,
}

impl Visitor for Rows<'_> {
    type Out = Vec<Row>;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Vec<Row> {
        let row = |id: &OpId| {
            let operation = history.operation(*id);
            let returned = match &operation.outcome {
                Outcome::Returned { at, .. } => Some(*at),
                Outcome::Failed | Outcome::Unknown => None,
            };
            Row {
                operation: id.0,
                client: operation.client.0,
                call: model.call_words(&operation.op),
                result: operation.ret().map(|ret| model.ret_words(&operation.op, ret)),
                invoked_on_line: self.loaded.line(operation.invoked),
                returned_on_line: returned.and_then(|at| self.loaded.line(at)),
            }
        };
        self.evidence.operations.iter().map(row).collect()
    }
}

/// Where a search ended, in a sentence.
fn where_it_ended(loaded: &Loaded, exhausted: &Exhausted) -> String {
    let (ordered, of) = exhausted.ordered;
    let mut text = format!(
        "{} when {} of {} were in order",
        advice(exhausted).0,
        grouped(ordered as u64),
        counted(of as u64, "operation")
    );
    if let Some((configurations, id)) = exhausted.widest {
        let (call, _) = loaded.history.words(id);
        text.push_str(&format!(
            "; the search was widest, {} at once, when operation r{} ({call}) returned",
            counted(configurations as u64, "configuration"),
            id.0
        ));
    }
    text
}

/// What all files come to, as JSON.
pub(super) fn document(told: &[Told], exit: Exit) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        exit_code: u8,
        histories: &'a [Told],
    }
    let document = Document { exit_code: exit as u8, histories: told };
    serde_json::to_string_pretty(&document).expect("verdicts have nothing JSON lacks")
}
