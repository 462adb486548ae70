//! The report of the check of one history file, as text and as JSON.

use quorate_checker::formats::{Loaded, Visitor};
use quorate_checker::history::{History, OpId, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::{BudgetExhausted, Counterexample};
use serde::Serialize;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::histories::outcome::{FileOutcome, HistoryOutcome, advice};
use crate::cli::text::{duration, grouped, quantity};

/// The maximum number of operations of a counterexample that the text lists; the JSON has all.
const LISTED_MAX: usize = 40;

/// The report of one file; serialized, the JSON record.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    file: String,
    /// `linearizable`, `not linearizable`, `unknown`, `interrupted` or `unreadable`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<usize>,
    /// The time until the verdict, and the time for the minimal counterexample after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_seconds: Option<f64>,
    /// The reason for the verdict in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether the counterexample is minimal: without any one operation it is linearizable.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimal: Option<bool>,
    /// The operations that prove that the history is not linearizable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counterexample: Vec<Row>,
    /// Advice to the user if a limit was reached.
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
    /// The returned value; `null` if the outcome is unknown.
    result: Option<String>,
    invoked_on_line: Option<u32>,
    returned_on_line: Option<u32>,
}

impl FileReport {
    /// Returns the report of the file `name`.
    pub(super) fn of(name: &str, outcome: &FileOutcome) -> FileReport {
        let mut report = FileReport {
            file: name.to_owned(),
            verdict: "unreadable",
            model: None,
            operations: None,
            keys: None,
            verdict_seconds: None,
            evidence_seconds: None,
            reason: None,
            minimal: None,
            counterexample: Vec::new(),
            advice: None,
            lanes: String::new(),
            line: String::new(),
            exit: Exit::Usage,
        };
        match outcome {
            FileOutcome::Unreadable(why) => report.reason = Some(why.clone()),
            FileOutcome::Checked { loaded, outcome, times } => {
                let (operations, keys) = loaded.history.counts();
                report.model = Some(loaded.object.name());
                (report.operations, report.keys) = (Some(operations), Some(keys));
                report.verdict_seconds = Some(times.verdict.as_secs_f64());
                report.evidence_seconds = Some(times.evidence.as_secs_f64());
                report.set_outcome(loaded, outcome);
                let (operations, keys) = (quantity(operations as u64, "operation"), keys as u64);
                let (model, keys) = (loaded.object, quantity(keys, "key"));
                let (verdict, time) = (report.verdict, duration(times.verdict));
                let evidence = match report.counterexample.is_empty() {
                    true => String::new(),
                    false => format!(", and {} for the counterexample", duration(times.evidence)),
                };
                report.line =
                    format!("{name}: {verdict}: {model}, {operations}, {keys}, {time}{evidence}");
            }
        }
        report
    }

    fn set_outcome(&mut self, loaded: &Loaded, outcome: &HistoryOutcome) {
        (self.verdict, self.exit) = match outcome {
            HistoryOutcome::Linearizable => ("linearizable", Exit::Success),
            HistoryOutcome::NotLinearizable { .. } => ("not linearizable", Exit::Safety),
            HistoryOutcome::LimitReached(_) => ("unknown", Exit::LimitReached),
            HistoryOutcome::Interrupted => ("interrupted", Exit::Interrupted),
        };
        match outcome {
            HistoryOutcome::Linearizable => {}
            HistoryOutcome::NotLinearizable { counterexample: None, .. } => {}
            HistoryOutcome::NotLinearizable {
                counterexample: Some(counterexample), lanes, ..
            } => {
                self.reason = Some(counterexample.reason.clone());
                self.minimal = Some(counterexample.minimal);
                self.counterexample = loaded.history.visit(Rows { loaded, counterexample });
                self.lanes.clone_from(lanes);
            }
            HistoryOutcome::LimitReached(exhausted) => {
                self.reason = Some(search_limit(loaded, exhausted));
                self.advice = Some(advice(exhausted).1);
            }
            HistoryOutcome::Interrupted => {
                self.reason = Some("no violation found so far".to_owned());
            }
        }
    }

    /// Returns the exit code of this file.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints the report: errors on standard error, everything else on standard output.
    pub(super) fn print(&self) {
        let reason = self.reason.as_deref().unwrap_or("");
        if self.exit == Exit::Usage {
            eprintln!("error: {}: {reason}", self.file);
            return;
        }
        let mut text = self.line.clone();
        if !reason.is_empty() {
            text.push_str(&format!("\n  {reason}"));
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
        console::print_line(&text);
    }

    /// Returns the counterexample as a text table.
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
            text.push_str(&format!("\n  and {} more", quantity(more as u64, "operation")));
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

/// The visitor that builds the rows of a counterexample.
struct Rows<'a> {
    loaded: &'a Loaded,
    counterexample: &'a Counterexample,
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
                call: model.describe_op(&operation.op),
                result: operation.ret().map(|ret| model.describe_ret(&operation.op, ret)),
                invoked_on_line: self.loaded.line(operation.invoked),
                returned_on_line: returned.and_then(|at| self.loaded.line(at)),
            }
        };
        self.counterexample.operations.iter().map(row).collect()
    }
}

/// Returns in one sentence how far a search came before it reached its limit.
fn search_limit(loaded: &Loaded, exhausted: &BudgetExhausted) -> String {
    let (ordered, of) = exhausted.ordered;
    let mut text = format!(
        "{} after {} of {} were linearized",
        advice(exhausted).0,
        grouped(ordered as u64),
        quantity(of as u64, "operation")
    );
    if let Some((configurations, id)) = exhausted.widest {
        let (call, _) = loaded.history.words(id);
        text.push_str(&format!(
            "; the search was widest, with {}, when operation r{} ({call}) returned",
            quantity(configurations as u64, "configuration"),
            id.0
        ));
    }
    text
}

/// Returns the reports of all files as JSON.
pub(super) fn document(reports: &[FileReport], exit: Exit) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        exit_code: u8,
        histories: &'a [FileReport],
    }
    let document = Document { exit_code: exit as u8, histories: reports };
    serde_json::to_string_pretty(&document).expect("the report is always valid JSON")
}
