//! The replies to the page.

use serde::Serialize;

use crate::catalog::Catalog;

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// The choices that the page offers.
    Catalog(Catalog),
    /// The run that was asked for, at its end.
    Run(Box<Finished>),
    /// The scenario has a line that cannot be read.
    Syntax(SyntaxProblem),
    /// The run panicked, with this message; only where panics are not caught.
    Panic(String),
    /// The reason why the request cannot be answered.
    Error(String),
}

/// A line of a scenario that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyntaxProblem {
    /// The number of the line, from 1.
    pub line: usize,
    /// The column of the first letter that does not fit, from 1.
    pub column: usize,
    /// The error, and its remedy.
    pub text: String,
}

/// A run that ended, and its drawing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// The lines of the scenario of this run.
    pub lines: Vec<String>,
    /// The digest of all events, as `cargo sim` prints it.
    pub digest: String,
    /// The counts of the run in one line.
    pub counts: String,
    /// The failure in one line, if the run failed.
    pub failure: Option<String>,
    /// The explanation of the failure, as `cargo sim explain` prints it; empty if there is none.
    pub explanation: String,
    /// Whether the run is as its scenario expects it.
    pub as_expected: bool,
    /// The expectations that are not met.
    pub unmet: Vec<UnmetLine>,
    /// The page of the run, as `cargo sim view` writes it.
    pub page: String,
}

/// An expectation that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnmetLine {
    /// The number of its line, from 1, if a line has it.
    pub line: Option<usize>,
    /// The expectation, and the observation that contradicts it.
    pub text: String,
}
