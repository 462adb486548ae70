//! Scenarios: runs in a line-based text language; `docs/SCENARIOS.md` is its reference.
//!
//! ```
//! let text = "
//!     nodes 5
//!     ## Isolates every new leader, three times.
//!     whenever any becomes leader times=3 delay 500ms, isolate it for 1s
//!     expect pass
//!     expect elections >= 3
//! ";
//! quorate_sim::scenario::run_text(text).expect("the cluster survives");
//! ```

mod defaults;
mod expect;
mod limits;
mod line_numbers;
mod rows;

use std::fmt;

use quorate::types::parse_duration;

use crate::faults::{ExpectedAnswer, Fault, Faults, ScriptedOutcome, ScriptedRequest, Verb};
use crate::observe::outcome::{Failure, Outcome};
use crate::plan::{Op, Plan, When};
use crate::run::{Case, RunOptions};
use crate::settings::Settings;
use crate::values::choice::{Key, Kind, Overrides};
use crate::values::time::SimTime;
use crate::values::words::{Exact, Words, nodes_in};
use crate::workload::{AnyWorkload, Workload};

pub use crate::values::words::SyntaxError;
pub use expect::{Count, Expect};
pub use line_numbers::LineNumbers;
pub use rows::{ROWS, Row};

/// A run and the expectations about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The seed, settings, plan and given choices of the run.
    pub case: Case,
    /// The expectations; if none of them names an outcome, the run must pass.
    pub expect: Vec<Expect>,
    /// The line numbers in the text that the scenario was read from.
    pub line_numbers: LineNumbers,
    /// The default settings of its workload.
    defaults: Settings,
}

/// The reason why a scenario text failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// The text is not a valid scenario.
    SyntaxError(SyntaxError),
    /// The expectations that were not met.
    Unmet(Vec<Unmet>),
}

/// An expectation that was not met, with the outcome of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line number of the expectation, starting at 1; `None` if the scenario was not read from
    /// a text, or if no line has the expectation: `expect pass` is the default.
    pub line: Option<usize>,
    /// The expectation as it is written.
    pub expected: String,
    /// The observation that contradicts it.
    pub observed: String,
    /// The failure of the run, if it failed and the expectation was about that: `pass`, `stall`,
    /// `panic` or a violation.
    pub failure: Option<Failure>,
}

/// Runs a scenario with the key-value workload, and returns its outcome.
///
/// # Errors
/// The syntax error of the text, or all expectations that are not met.
pub fn run_text(text: &str) -> Result<Outcome, ScenarioError> {
    let options = RunOptions::default();
    let scenario = Scenario::read(text, &options.workload).map_err(ScenarioError::SyntaxError)?;
    let outcome = scenario.case.run(&options);
    let unmet = scenario.unmet(&outcome);
    if unmet.is_empty() { Ok(outcome) } else { Err(ScenarioError::Unmet(unmet)) }
}

impl Scenario {
    /// Returns the scenario of the same run as `case`, a case of `workload`. Fault kinds that
    /// follow from other settings, such as the rate of lost messages, or from the plan are added to
    /// those of the settings.
    #[must_use]
    pub fn of(case: Case, expect: Vec<Expect>, workload: &AnyWorkload) -> Scenario {
        let defaults = defaults::defaults(workload.command_bytes_max());
        let line_numbers = LineNumbers::default();
        let mut scenario = Scenario { case, expect, line_numbers, defaults };
        scenario.derive_settings();
        scenario
    }

    /// Sets the settings that follow from the others.
    fn derive_settings(&mut self) {
        let Case { settings, plan, .. } = &mut self.case;
        settings.plan_slots = 0;
        settings.has_lasting_faults = false;
        // A drawn plan may have operations that come too late to do anything.
        let end = SimTime::default().after(settings.fault_phase);
        plan.ops.retain(|op| !op.is_never(end));
        settings.faults = settings.faults.union(faults_of(settings, plan));
        settings.storage = rows::storage_of(settings);
    }

    /// Parses a scenario for a workload.
    ///
    /// # Errors
    /// The first syntax error of the text.
    pub fn read(text: &str, workload: &AnyWorkload) -> Result<Scenario, SyntaxError> {
        let defaults = defaults::defaults(workload.command_bytes_max());
        let (settings, plan) = (defaults.clone(), Plan::default());
        let case = Case { seed: 0, settings, plan, overrides: Overrides::new() };
        let line_numbers = LineNumbers { rows: vec![0; ROWS.len()], ..LineNumbers::default() };
        let scenario = Scenario { case, expect: Vec::new(), line_numbers, defaults };
        let is_kv = workload.is_kv();
        let mut parser = Parser { scenario, is_kv, problem: None };
        for (line, number) in text.lines().zip(1..) {
            parser.line(Words::of(line, number))?;
        }
        parser.finish(text)
    }

    /// The lines of the scenario: the seed unless it is 0, the number of voters, every other
    /// setting that is not the default, the given choices (`choose`), the plan and the
    /// expectations.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Case { seed, plan, overrides, .. } = &self.case;
        let mut lines = Vec::new();
        if *seed != 0 {
            lines.push(format!("seed {seed}"));
        }
        let printed = self.printed_settings();
        for row in ROWS {
            let value = (row.print)(&printed);
            if row.name == "nodes" || value != (row.print)(&self.defaults) {
                lines.push(format!("{} {value}", row.name));
            }
        }
        lines.extend(overrides.iter().map(|(key, value)| format!("choose {key} = {value}")));
        lines.extend(plan.ops.iter().map(Op::to_string));
        lines.extend(self.expect.iter().map(|expect| format!("expect {expect}")));
        lines
    }

    /// The line of a setting, even if it has the default value.
    #[cfg(feature = "cli")]
    pub(crate) fn setting_line(&self, row: &Row) -> String {
        format!("{} {}", row.name, (row.print)(&self.printed_settings())).trim_end().to_owned()
    }

    /// The settings with the faults that their line has.
    fn printed_settings(&self) -> Settings {
        Settings { faults: self.extra_faults(), ..self.case.settings.clone() }
    }

    /// The default settings of this scenario's workload.
    pub(crate) fn defaults(&self) -> &Settings {
        &self.defaults
    }

    /// The expectations that the outcome does not meet. If the run fails otherwise than expected,
    /// it ends early, and only its outcome is compared.
    #[must_use]
    pub fn unmet(&self, outcome: &Outcome) -> Vec<Unmet> {
        let pass = (!self.expect.iter().any(|it| it.is_outcome())).then_some(Expect::Pass);
        let first = pass.map(|expect| (expect, None));
        let all = self.expect.iter().copied();
        let all =
            all.enumerate().map(|(at, expect)| (expect, self.line_numbers.expect.get(at).copied()));
        let failure = outcome.failure.clone();
        let (outcomes, others): (Vec<_>, Vec<_>) =
            first.into_iter().chain(all).partition(|(expect, _)| expect.is_outcome());
        let unmet = |expected: Vec<(Expect, Option<usize>)>| {
            let unmet = expected.into_iter().filter_map(|(expect, line)| {
                let failure = failure.clone().filter(|_| expect.is_outcome());
                let observed = expect.unmet(outcome)?;
                Some(Unmet { line, expected: expect.to_string(), observed, failure })
            });
            unmet.collect::<Vec<_>>()
        };
        let mut all = unmet(outcomes);
        if failure.is_some() && !all.is_empty() {
            return all;
        }
        all.extend(unmet(others));
        // A failed run ends early, so later requests have no outcome to compare.
        let passed = failure.is_none();
        let requests = self.expected_requests().map(|(at, request)| {
            let answer = outcome.scripted.outcome(at).unwrap_or(&ScriptedOutcome::NoReply);
            (at, request, answer)
        });
        let unmet = requests.filter(|(_, request, it)| passed && !request.is_met_by(it));
        all.extend(unmet.map(|(at, request, answer)| self.unmet_request(at, request, answer)));
        all.sort_by_key(|unmet| unmet.line);
        all
    }

    /// The kinds of faults that may occur in the run besides those of its lines.
    pub(crate) fn extra_faults(&self) -> Faults {
        let Case { settings, plan, .. } = &self.case;
        settings.faults.without(faults_of(settings, plan))
    }

    /// The scripted requests with an expected outcome, by their positions in the plan.
    pub(crate) fn expected_requests(&self) -> impl Iterator<Item = (usize, &ScriptedRequest)> {
        let ops = self.case.plan.ops.iter().enumerate();
        ops.filter_map(|(at, op)| match &op.verb {
            Verb::ScriptedRequest(request) if request.expected != ExpectedAnswer::Unspecified => {
                Some((at, request))
            }
            _ => None,
        })
    }

    /// Reports a scripted request with an unexpected outcome.
    pub(crate) fn unmet_request(
        &self,
        at: usize,
        request: &ScriptedRequest,
        answer: &ScriptedOutcome,
    ) -> Unmet {
        let expected = self.case.plan.ops[at].to_string();
        let expected = expected.strip_prefix("expect ").unwrap_or_default().to_owned();
        let observed = answer.describe(request.key()).to_string();
        Unmet { line: self.line_numbers.ops.get(at).copied(), expected, observed, failure: None }
    }
}

/// The kinds of faults that the settings and the plan cause.
fn faults_of(settings: &Settings, plan: &Plan) -> Faults {
    let rates = [
        (settings.loss_permille, Fault::Loss),
        (settings.duplicate_permille, Fault::Duplicate),
        (settings.delay_permille, Fault::Delay),
        (settings.lag_permille, Fault::Lag),
        (settings.torn_step_ppm, Fault::Crash),
    ];
    let by_chance = rates.into_iter().filter(|(rate, _)| *rate > 0).map(|(_, fault)| fault);
    by_chance.chain(plan.ops.iter().filter_map(|op| op.verb.fault())).collect()
}

/// The state of parsing a scenario.
struct Parser {
    scenario: Scenario,
    /// Whether the clients accept scripted requests.
    is_kv: bool,
    /// The reason why the settings read so far are invalid, at the line that made them invalid.
    problem: Option<SyntaxError>,
}

impl Parser {
    fn line(&mut self, mut words: Words<'_>) -> Result<(), SyntaxError> {
        let Some(first) = words.peek() else { return Ok(()) };
        let Scenario { case, expect, line_numbers, .. } = &mut self.scenario;
        let number = words.number();
        let mut expected = words.clone();
        let is_expected = expected.accept("expect")
            && (expected.accept(Op::NO_ANSWER)
                || ScriptedRequest::NAMES.iter().any(|name| expected.accept(name)));
        if Op::BEGINNINGS.contains(&first) || is_expected {
            let reads = if words.accept("expect") { Op::expected } else { Op::read };
            let op = reads(&mut words)?;
            if matches!(op.verb, Verb::ScriptedRequest(_)) && !self.is_kv {
                let text = "the clients of this workload use no keys: remove the line, or use the \
                            workload `Kv`";
                return Err(words.error(text));
            }
            case.plan.ops.push(op);
            line_numbers.ops.push(number);
            return Ok(());
        }
        if Verb::syntax().iter().any(|syntax| words.clone().accept(syntax.verb)) {
            let verb = words.word("a verb")?.to_owned();
            return Err(words.error(format!(
                "`{verb}` needs a time or a trigger: write it like `at 1s {verb} ..`"
            )));
        }
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.extend(["seed", "choose", "expect"]);
        names.extend(Op::BEGINNINGS);
        let at = words.name("setting or time", &names)?;
        match names[at] {
            "seed" => {
                set_once(&mut line_numbers.seed, &words)?;
                case.seed = words.count(0, u64::MAX)?;
            }
            "choose" => {
                let key = words.read("the name of a choice, like Latency/1.1/2/3", Key::read)?;
                let redraw = Key { counter: key.counter, ..Kind::Reseed.key() };
                if key.kind == Kind::Reseed && key != redraw {
                    return Err(
                        words.error("a reseed belongs to no node: write Reseed/0.0/0/MICROSECONDS")
                    );
                }
                words.need("=")?;
                let value = words.count(0, u64::MAX)?;
                line_numbers.choices.push(number);
                if case.overrides.insert(key, value).is_some() {
                    return Err(words.error("the choice is given twice: remove one of the lines"));
                }
            }
            "expect" => {
                expect.push(Expect::read(&mut words)?);
                line_numbers.expect.push(number);
            }
            _ => {
                set_once(&mut line_numbers.rows[at], &words)?;
                (ROWS[at].read)(&mut case.settings, &mut words)?;
                // As long as the same problem remains, the line that caused it is named.
                let before = self.problem.take();
                let problem = Row::problem(&case.settings);
                let problem = problem.or_else(|| limits::problem(&case.settings));
                self.problem = problem.map(|problem| {
                    let is_same = |error: &SyntaxError| error.text == problem;
                    before.filter(is_same).unwrap_or_else(|| words.error(problem))
                });
            }
        }
        words.end()
    }

    /// Returns the whole scenario if its lines are consistent.
    fn finish(mut self, text: &str) -> Result<Scenario, SyntaxError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_times(text)?;
        self.scenario.derive_settings();
        let Scenario { case, line_numbers, .. } = &self.scenario;
        for (op, number) in case.plan.ops.iter().zip(&line_numbers.ops) {
            if let Some(problem) = limits::machine_fault_problem(&case.settings, op) {
                let line = text.lines().nth(number - 1).unwrap_or_default();
                return Err(Words::of(line, *number).last_word().error(problem));
            }
        }
        for (line, number) in text.lines().zip(1..) {
            let words = Words::of(line, number);
            let names_nodes = |first| Op::BEGINNINGS.contains(&first) || first == "expect";
            if words.peek().is_some_and(names_nodes) {
                self.check_fits(words)?;
            }
        }
        Ok(self.scenario)
    }

    /// Checks that every operation of the plan can take effect before the fault phase ends, and
    /// that a client gives up a request that must get no answer before then.
    fn check_times(&self, text: &str) -> Result<(), SyntaxError> {
        let Scenario { case, line_numbers, .. } = &self.scenario;
        let end = SimTime::default().after(case.settings.fault_phase);
        for (op, number) in case.plan.ops.iter().zip(&line_numbers.ops) {
            let timeout = case.settings.request_timeout;
            let given_up = match (op.when, &op.verb) {
                (When::At(at), Verb::ScriptedRequest(request)) => (request.expected
                    == ExpectedAnswer::NoAnswer)
                    .then(|| at.after(timeout))
                    .filter(|given_up| *given_up > end),
                _ => None,
            };
            let restored = op.restores_too_late(end);
            let (time, what) = match (op.when.too_late(end), restored, given_up) {
                (Some(due), ..) => (due, "the line takes effect"),
                (_, Some(restored), _) => (restored, "the node gets its old disk"),
                (_, _, Some(given_up)) => (given_up, "the request is given up"),
                (None, None, None) => continue,
            };
            let line = text.lines().nth(number - 1).unwrap_or_default();
            let (time, end) = (time.since(SimTime::default()), case.settings.fault_phase);
            return Err(at_time(Words::of(line, *number)).error(format!(
                "{what} at {} at the earliest, but the fault phase ends at {}: write an earlier \
                 time, or a longer `fault phase`",
                Exact(time),
                Exact(end),
            )));
        }
        Ok(())
    }

    /// Checks that the nodes of a line exist, that the times of requests and expectations are
    /// within the fault phase, and that the settings allow the faults of the run, and the drifts of
    /// its clocks.
    fn check_fits(&self, mut words: Words<'_>) -> Result<(), SyntaxError> {
        let settings = &self.scenario.case.settings;
        let nodes = u64::from(settings.nodes());
        let expects = words.peek() == Some("expect");
        let mut ahead = words.clone();
        let mut all = std::iter::from_fn(|| ahead.word("a word").ok());
        let asks = expects || all.any(|word| ScriptedRequest::NAMES.contains(&word));
        let mut last = "";
        while !words.is_empty() {
            let word = words.word("a word")?;
            if let Some(node) = nodes_in(word).find(|node| node.0 > nodes) {
                let text = format!(
                    "there is no {node} among {nodes} nodes: name another, or write `spares {}`",
                    node.0 - nodes + u64::from(settings.spares)
                );
                return Err(words.error(text));
            }
            let drift = word.strip_suffix("ppm").and_then(|drift| drift.parse::<i32>().ok());
            let most = settings.clocks.drift_ppm_max;
            if drift.is_some_and(|drift| drift.unsigned_abs() > most) {
                let text = format!(
                    "the checks allow for clocks that drift by at most {most}ppm: write a smaller \
                     drift, or a larger `drift max`"
                );
                return Err(words.error(text));
            }
            let is_time = asks && last == "at" || expects && last == "to";
            if parse_duration(word).is_some_and(|time| is_time && time >= settings.fault_phase) {
                let end = Exact(settings.fault_phase);
                let text = format!(
                    "the fault phase ends at {end}, and requests and expectations with it: write \
                     an earlier time, or a longer `fault phase`"
                );
                return Err(words.error(text));
            }
            last = word;
        }
        Ok(())
    }
}

/// Reads the words of an operation up to the last of its times.
fn at_time(words: Words<'_>) -> Words<'_> {
    let (mut ahead, mut time, mut last) = (words.clone(), words, "");
    while let Ok(word) = ahead.word("a word") {
        if ["at", "from", "delay"].contains(&last) && parse_duration(word).is_some() {
            time = ahead.clone();
        }
        last = word;
    }
    time
}

/// Records the line of an element that may occur only once.
fn set_once(line: &mut usize, words: &Words<'_>) -> Result<(), SyntaxError> {
    let error = words.error(format!("line {line} already sets this: remove one of the two lines"));
    if *line > 0 {
        return Err(error);
    }
    *line = error.line;
    Ok(())
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "expected `{}`, observed: {}", self.expected, self.observed)
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScenarioError::SyntaxError(error) => write!(f, "{error}"),
            ScenarioError::Unmet(unmet) => {
                let lines: Vec<String> = unmet.iter().map(Unmet::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for ScenarioError {}

#[cfg(test)]
mod tests;
