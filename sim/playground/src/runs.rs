//! Runs a seed or a scenario, and draws it.

use quorate_page::document::Fact;
use quorate_page::html;
use quorate_sim::explain;
use quorate_sim::observe::outcome::Outcome;
use quorate_sim::picture;
use quorate_sim::record::{RecordUntil, Recording};
use quorate_sim::run::{Case, RunOptions};
use quorate_sim::scenario::Scenario;
use quorate_sim::settings::profile::Profile;
use quorate_sim::settings::strategy::Strategy;
use quorate_sim::workload::Workload;

use crate::reply::{Finished, Reply, SyntaxProblem, UnmetLine};
use crate::request::{Drawn, Source, Wanted};

/// A run that can begin.
struct Prepared {
    scenario: Scenario,
    options: RunOptions,
    title: String,
    /// The command line that runs the same seed or scenario.
    command: String,
}

/// Runs what the page asks for.
pub(crate) fn run(wanted: &Wanted) -> Reply {
    match prepared(wanted) {
        Ok(prepared) => Reply::Run(Box::new(finished(&prepared))),
        Err(reply) => *reply,
    }
}

fn prepared(wanted: &Wanted) -> Result<Prepared, Box<Reply>> {
    let mut options = RunOptions { canary: wanted.canary, ..RunOptions::default() };
    options.events_max = wanted.events_max.unwrap_or(u64::MAX);
    match &wanted.from {
        Source::Seed(drawn) => {
            of_seed(drawn, options).map_err(|error| Box::new(Reply::Error(error)))
        }
        Source::Scenario(text) => {
            let scenario = Scenario::read(text, &options.workload).map_err(|error| {
                let (line, column, text) = (error.line, error.column, error.text);
                Box::new(Reply::Syntax(SyntaxProblem { line, column, text }))
            })?;
            let (title, command) = ("scenario".to_owned(), "cargo sim --scenario FILE".to_owned());
            Ok(Prepared { scenario, options, title, command })
        }
    }
}

fn of_seed(drawn: &Drawn, options: RunOptions) -> Result<Prepared, String> {
    let number: Option<u64> = drawn.seed.parse().ok();
    let seed = number.ok_or_else(|| {
        format!("`{}` is not a seed: write a whole number from 0 to {}", drawn.seed, u64::MAX)
    })?;
    let profile = Profile::by_name(&drawn.profile).map_err(|error| error.to_string())?;
    let strategy = Strategy::by_name(&drawn.strategy)
        .ok_or_else(|| format!("there is no search strategy `{}`", drawn.strategy))?;
    let options = RunOptions { profile, strategy, ..options };
    let mut command = format!("cargo sim --seed {seed}");
    if profile != <&Profile>::default() {
        command.push_str(&format!(" --profile {}", profile.name));
    }
    if strategy != Strategy::default() {
        command.push_str(&format!(" --strategy {}", strategy.name()));
    }
    let case = Case::of_seed(seed, &options);
    let scenario = Scenario::of(case, Vec::new(), &options.workload);
    let title = format!("seed {seed}, profile {}", profile.name);
    Ok(Prepared { scenario, options, title, command })
}

fn finished(prepared: &Prepared) -> Finished {
    let Prepared { scenario, options, title, command } = prepared;
    let recording = scenario.case.record(options, RecordUntil::End);
    let mut document =
        picture::document(title, &recording, &|command| options.workload.describe_command(command));
    let explanation = explain::explain(&recording.record);
    document.explanation =
        explanation.as_ref().map_or(Vec::new(), explain::Explanation::page_sentences);
    let replay = match options.canary {
        // The command plants this bug only to test the checks.
        true => ("planted bug", "the disks report flushes that they did not do"),
        false => ("replay", command.as_str()),
    };
    let (label, value) = (replay.0.to_owned(), replay.1.to_owned());
    document.facts.insert(0, Fact { label, value, code: !options.canary });
    let Recording { outcome, .. } = recording;
    let unmet = scenario.unmet(&outcome).into_iter().map(|unmet| UnmetLine {
        line: unmet.line,
        text: format!("expected `{}`, observed: {}", unmet.expected, unmet.observed),
    });
    let unmet: Vec<UnmetLine> = unmet.collect();
    Finished {
        lines: scenario.lines(),
        digest: format!("{:016x}", outcome.digest),
        counts: counts(&outcome),
        as_expected: unmet.is_empty(),
        unmet,
        explanation: explanation.map_or(String::new(), |it| it.to_string().trim_end().to_owned()),
        failure: outcome.failure.as_ref().map(ToString::to_string),
        page: html::page(title, &[document]),
    }
}

/// Returns the counts of a run in one line.
fn counts(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let quantity = |count: u64, noun: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {noun}{plural}")
    };
    format!(
        "{} in {:.1} s of simulated time, {}, {} answered, {} injected",
        quantity(tally.events, "event"),
        tally.simulated.as_secs_f64(),
        quantity(tally.elections, "election"),
        quantity(tally.commands_committed, "command"),
        quantity(tally.faults.values().sum(), "fault"),
    )
}
