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
mod plain;
mod rows;

use std::fmt;

use crate::choice::{Key, Overrides};
use crate::fault::{Fault, Faults};
use crate::outcome::{Failure, Outcome};
use crate::plan::read::VERBS;
use crate::plan::{Op, Plan};
use crate::run::{Case, RunOptions};
use crate::settings::Settings;
use crate::words::{Words, nodes_in};
use crate::workload::{AnyWorkload, Workload};

pub use crate::words::Mistake;
pub use expect::{Counted, Expect};
pub use rows::{ROWS, Row};

/// A run, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The run.
    pub case: Case,
    /// What is to come of it; if nothing here says how it ends, it passes.
    pub expect: Vec<Expect>,
    /// The settings where nothing is said.
    plain: Settings,
}

/// Why a scenario in a text did not come out as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The text is no scenario.
    Mistake(Mistake),
    /// Something that was expected did not come true.
    Unmet(Unmet),
}

/// An expectation that did not come true, and how the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The expectation.
    pub expect: Expect,
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
        Some(unmet) => Err(Trouble::Unmet(unmet)),
    }
}

impl Scenario {
    /// A case of `workload` as a scenario: the same run. It may meet every kind of fault that its
    /// plan has.
    #[must_use]
    pub fn of(case: Case, expect: Vec<Expect>, workload: &AnyWorkload) -> Scenario {
        let plain = plain::plain(workload.command_bytes_max());
        let mut scenario = Scenario { case, expect, plain };
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
        let scenario = Scenario { case, expect: Vec::new(), plain };
        let mut reading = Reading { scenario, said: vec![0; ROWS.len()], seed: 0, flaw: None };
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
        said.faults = settings.faults.without(brought(settings, plan));
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
        let all = pass.into_iter().chain(self.expect.iter().copied());
        let unmet = all.into_iter().find(|expect| !expect.holds(outcome))?;
        Some(Unmet { expect: unmet, failure: outcome.failure.clone() })
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
    by_chance.chain(plan.ops.iter().map(|op| op.verb.fault())).collect()
}

/// A scenario as far as it is read.
struct Reading {
    scenario: Scenario,
    /// On which line each row was said; 0 if it was not.
    said: Vec<usize>,
    /// And the seed.
    seed: usize,
    /// Why no run can have the settings, and after which line that was so.
    flaw: Option<Mistake>,
}

impl Reading {
    fn line(&mut self, mut words: Words<'_>) -> Result<(), Mistake> {
        let Some(first) = words.peek() else { return Ok(()) };
        let Scenario { case, expect, .. } = &mut self.scenario;
        if Op::BEGINNINGS.contains(&first) {
            case.plan.ops.push(Op::read(&mut words)?);
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
                once(&mut self.seed, &words)?;
                case.seed = words.count(0, u64::MAX)?;
            }
            "choose" => {
                let key = words.read("the name of a choice, like Latency/1.1/2/3", Key::read)?;
                words.need("=")?;
                let value = words.count(0, u64::MAX)?;
                if case.overrides.insert(key, value).is_some() {
                    return Err(words.wrong("it is chosen twice: take one of the lines out"));
                }
            }
            "expect" => expect.push(Expect::read(&mut words)?),
            _ => {
                once(&mut self.said[at], &words)?;
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
        let settings = &self.scenario.case.settings;
        let nodes = u64::from(settings.nodes());
        for (line, number) in text.lines().zip(1..) {
            let mut words = Words::of(line, number);
            if !words.peek().is_some_and(|first| Op::BEGINNINGS.contains(&first)) {
                continue;
            }
            while !words.is_empty() {
                let word = words.word("a word")?;
                if let Some(node) = nodes_in(word).find(|node| node.0 > nodes) {
                    let text = format!(
                        "there is no {node} among {nodes} nodes: name another, or write \
                         `spares {}`",
                        node.0 - nodes + u64::from(settings.spares)
                    );
                    return Err(words.wrong(text));
                }
            }
            if settings.machine_keeps_each.is_some() && settings.faults.has(Fault::Slip) {
                let text = "a machine that keeps its state has nothing to start over from when it \
                            errs: take the line `machine keeps` out";
                return Err(words.wrong(text));
            }
        }
        Ok(self.scenario)
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
        write!(f, "expected `{}`, and ", self.expect)?;
        match &self.failure {
            Some(failure) => write!(f, "saw {failure}"),
            None if self.expect.is_end() => f.write_str("nothing went wrong"),
            None => f.write_str("counted otherwise"),
        }
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
