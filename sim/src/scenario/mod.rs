//! Scenarios: runs that a person writes and reads, line by line; `docs/SCENARIOS.md` tells how.
//!
//! ```
//! let text = "
//!     nodes 5
//!     ## Whoever leads is cut off, again and again.
//!     whenever any becomes leader times=3 later 500ms, isolate it for 1s
//!     expect pass
//!     expect elections >= 3
//! ";
//! quorate_sim::scenario::run_text(text).expect("the cluster survives");
//! ```

mod expect;
mod places;
mod plain;
mod rows;

use std::fmt;

use crate::choice::{Key, Kind, Overrides};
use crate::fault::{Fault, Faults};
use crate::outcome::{Failure, Outcome};
use crate::plan::read::VERBS;
use crate::plan::{Answer, Errand, Op, Plan, Verb};
use crate::run::{Case, RunOptions};
use crate::settings::Settings;
use crate::words::{Exact, Words, duration, nodes_in};
use crate::workload::{AnyWorkload, Workload};

pub use crate::words::Mistake;
pub use expect::{Counted, Expect};
pub use places::Places;
pub use rows::{ROWS, Row};

/// A run, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The run.
    pub case: Case,
    /// What is to come of it; if nothing here says how it ends, it passes.
    pub expect: Vec<Expect>,
    /// Where its lines stand in the text that it was read from.
    pub places: Places,
    /// The settings where nothing is said.
    plain: Settings,
}

/// Why a scenario in a text did not come out as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The text is no scenario.
    Mistake(Mistake),
    /// Something that was expected did not come true.
    Unmet(Box<Unmet>),
}

/// An expectation that did not come true, and how the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The line that says so, from 1, if the scenario was read from a text.
    pub line: Option<usize>,
    /// What was expected, as it is written.
    pub expected: String,
    /// What was seen instead.
    pub saw: String,
    /// Why the run failed, if it did.
    pub failure: Option<Failure>,
}

/// Runs a scenario with the key-value store at hand, and returns what it came to.
///
/// # Errors
/// Where the text is no scenario, or what did not come out as it expects.
pub fn run_text(text: &str) -> Result<Outcome, Trouble> {
    let options = RunOptions::default();
    let scenario = Scenario::read(text, &options.workload).map_err(Trouble::Mistake)?;
    let outcome = scenario.case.run(&options);
    match scenario.unmet(&outcome) {
        None => Ok(outcome),
        Some(unmet) => Err(Trouble::Unmet(Box::new(unmet))),
    }
}

impl Scenario {
    /// A case of `workload` as a scenario: the same run. It may meet every kind of fault that its
    /// plan has.
    #[must_use]
    pub fn of(case: Case, expect: Vec<Expect>, workload: &AnyWorkload) -> Scenario {
        let plain = plain::plain(workload.command_bytes_max());
        let places = Places::default();
        let mut scenario = Scenario { case, expect, places, plain };
        scenario.settle();
        scenario
    }

    /// Decides what follows from the rest.
    fn settle(&mut self) {
        let Case { settings, plan, .. } = &mut self.case;
        settings.plan_slots = 0;
        settings.faults = settings.faults.and(brought(settings, plan));
        let command = settings.config.command_bytes_max;
        let largest = command.max(quorate::types::Membership::BYTES_MAX);
        settings.storage.command_bytes_max = largest;
    }

    /// The scenario that a text is, for a workload.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read(text: &str, workload: &AnyWorkload) -> Result<Scenario, Mistake> {
        let plain = plain::plain(workload.command_bytes_max());
        let (settings, plan) = (plain.clone(), Plan::default());
        let case = Case { seed: 0, settings, plan, overrides: Overrides::new() };
        let places = Places { rows: vec![0; ROWS.len()], ..Places::default() };
        let scenario = Scenario { case, expect: Vec::new(), places, plain };
        let is_kv = workload.is_kv();
        let mut reading = Reading { scenario, is_kv, flaw: None };
        for (line, number) in text.lines().zip(1..) {
            reading.line(Words::of(line, number))?;
        }
        reading.finish(text)
    }

    /// Its lines: only what differs from a scenario that says nothing, and how many nodes vote.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Case { seed, settings, plan, overrides } = &self.case;
        let mut lines = Vec::new();
        if *seed != 0 {
            lines.push(format!("seed {seed}"));
        }
        let mut said = settings.clone();
        said.faults = self.further_faults();
        for row in ROWS {
            let value = (row.print)(&said);
            if row.name == "nodes" || value != (row.print)(&self.plain) {
                lines.push(format!("{} {value}", row.name));
            }
        }
        lines.extend(overrides.iter().map(|(key, value)| format!("choose {key} = {value}")));
        lines.extend(plan.ops.iter().map(Op::to_string));
        lines.extend(self.expect.iter().map(|expect| format!("expect {expect}")));
        lines
    }

    /// The settings of a scenario that says nothing.
    pub(crate) fn plain(&self) -> &Settings {
        &self.plain
    }

    /// The first expectation that did not come true.
    #[must_use]
    pub fn unmet(&self, outcome: &Outcome) -> Option<Unmet> {
        let pass = (!self.expect.iter().any(|it| it.is_end())).then_some(Expect::Pass);
        let first = pass.map(|expect| (expect, None));
        let all = self.expect.iter().copied();
        let all = all.enumerate().map(|(at, expect)| (expect, self.places.expect.get(at).copied()));
        let failure = outcome.failure.clone();
        for (expect, line) in first.into_iter().chain(all) {
            if let Some(saw) = expect.unmet(outcome) {
                return Some(Unmet { line, expected: expect.to_string(), saw, failure });
            }
        }
        // A run that fails ends early: what it was to come to by then is told apart.
        let told = failure.is_none();
        let errands = self.errands().map(|(at, errand)| {
            let answer = outcome.sightings.answer(at).unwrap_or(&Answer::Silence);
            (at, errand, answer)
        });
        let wrong = errands.filter(|_| told).find(|(_, errand, it)| !errand.is_met_by(it));
        wrong.map(|(at, errand, answer)| self.unmet_errand(at, errand, answer))
    }

    /// The kinds of faults that the run may meet besides those that its lines bring.
    pub(crate) fn further_faults(&self) -> Faults {
        let Case { settings, plan, .. } = &self.case;
        settings.faults.without(brought(settings, plan))
    }

    /// The errands that are expected to come to something, by their places in the plan.
    pub(crate) fn errands(&self) -> impl Iterator<Item = (usize, &Errand)> {
        let ops = self.case.plan.ops.iter().enumerate();
        ops.filter_map(|(at, op)| match &op.verb {
            Verb::Ask(errand) if errand.expected => Some((at, errand)),
            _ => None,
        })
    }

    /// That the errand at this place of the plan came to something else.
    pub(crate) fn unmet_errand(&self, at: usize, errand: &Errand, answer: &Answer) -> Unmet {
        let expected = self.case.plan.ops[at].to_string();
        let expected = expected.strip_prefix("expect ").unwrap_or_default().to_owned();
        let saw = format!("saw {}", answer.about(errand.key()));
        Unmet { line: self.places.ops.get(at).copied(), expected, saw, failure: None }
    }
}

/// The kinds of faults that settings and plan bring with them.
fn brought(settings: &Settings, plan: &Plan) -> Faults {
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

/// A scenario as far as it is read.
struct Reading {
    scenario: Scenario,
    /// Whether clients can be sent on errands.
    is_kv: bool,
    /// Why no run can have the settings, and after which line that was so.
    flaw: Option<Mistake>,
}

impl Reading {
    fn line(&mut self, mut words: Words<'_>) -> Result<(), Mistake> {
        let Some(first) = words.peek() else { return Ok(()) };
        let Scenario { case, expect, places, .. } = &mut self.scenario;
        let number = words.number();
        let is_expected =
            Errand::NAMES.iter().any(|name| words.clone().accept(&format!("expect {name}")));
        if Op::BEGINNINGS.contains(&first) || is_expected {
            let op = match words.accept("expect") {
                true => Op::expected(&mut words)?,
                false => Op::read(&mut words)?,
            };
            if matches!(op.verb, Verb::Ask(_)) && !self.is_kv {
                let text = "these clients use no keys: take the line out, or run it with `Kv`";
                return Err(words.wrong(text));
            }
            case.plan.ops.push(op);
            places.ops.push(number);
            return Ok(());
        }
        if VERBS.iter().any(|usage| words.clone().accept(usage.verb)) {
            let verb = words.word("a verb")?.to_owned();
            return Err(words.wrong(format!("when? write it like `at 1s {verb} ..`")));
        }
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.extend(["seed", "choose", "expect"]);
        names.extend(Op::BEGINNINGS);
        let at = words.name("setting and no time", &names)?;
        match names[at] {
            "seed" => {
                once(&mut places.seed, &words)?;
                case.seed = words.count(0, u64::MAX)?;
            }
            "choose" => {
                let key = words.read("the name of a choice, like Latency/1.1/2/3", Key::read)?;
                let redraw = Key { counter: key.counter, ..Kind::Redraw.key() };
                if key.kind == Kind::Redraw && key != redraw {
                    return Err(words.wrong("it is nobody's: write Redraw/0.0/0/MICROSECONDS"));
                }
                words.need("=")?;
                let value = words.count(0, u64::MAX)?;
                places.choices.push(number);
                if case.overrides.insert(key, value).is_some() {
                    return Err(words.wrong("it is chosen twice: take one of the lines out"));
                }
            }
            "expect" => {
                expect.push(Expect::read(&mut words)?);
                places.expect.push(number);
            }
            _ => {
                once(&mut places.rows[at], &words)?;
                (ROWS[at].read)(&mut case.settings, &mut words)?;
                let flaw = Row::flaw(&case.settings);
                self.flaw = flaw.map(|flaw| self.flaw.take().unwrap_or(words.wrong(flaw)));
            }
        }
        words.end()
    }

    /// The whole scenario, if its lines fit together.
    fn finish(mut self, text: &str) -> Result<Scenario, Mistake> {
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        self.scenario.settle();
        for (line, number) in text.lines().zip(1..) {
            let words = Words::of(line, number);
            let names_nodes = |first| Op::BEGINNINGS.contains(&first) || first == "expect";
            if words.peek().is_some_and(names_nodes) {
                self.fits(words)?;
            }
        }
        Ok(self.scenario)
    }

    /// Whether the nodes, times and faults that a line names are those of this run.
    fn fits(&self, mut words: Words<'_>) -> Result<(), Mistake> {
        let settings = &self.scenario.case.settings;
        let nodes = u64::from(settings.nodes());
        let expects = words.peek() == Some("expect");
        let mut ahead = words.clone();
        let mut all = std::iter::from_fn(|| ahead.word("a word").ok());
        let asks = expects || all.any(|word| Errand::NAMES.contains(&word));
        let mut last = "";
        while !words.is_empty() {
            let word = words.word("a word")?;
            if let Some(node) = nodes_in(word).find(|node| node.0 > nodes) {
                let text = format!(
                    "there is no {node} among {nodes} nodes: name another, or write `spares {}`",
                    node.0 - nodes + u64::from(settings.spares)
                );
                return Err(words.wrong(text));
            }
            let is_time = asks && last == "at" || expects && last == "to";
            if duration(word).is_some_and(|time| is_time && time >= settings.storm) {
                let storm = Exact(settings.storm);
                let text = format!(
                    "the storm is over at {storm}, and with it what is asked and looked at: write \
                     an earlier time, or a longer `storm`"
                );
                return Err(words.wrong(text));
            }
            last = word;
        }
        if settings.machine_keeps_each.is_some() && settings.faults.has(Fault::Slip) {
            let text = "a machine that keeps its state has nothing to start over from when it \
                        errs: take the line `machine keeps` out";
            return Err(words.wrong(text));
        }
        Ok(())
    }
}

/// A thing that may be said on one line only.
fn once(said: &mut usize, words: &Words<'_>) -> Result<(), Mistake> {
    let mistake = words.wrong(format!("line {said} says it already: take one of them out"));
    if *said > 0 {
        return Err(mistake);
    }
    *said = mistake.line;
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
        write!(f, "expected `{}`, and {}", self.expected, self.saw)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Mistake(mistake) => write!(f, "{mistake}"),
            Trouble::Unmet(unmet) => write!(f, "{unmet}"),
        }
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests;
