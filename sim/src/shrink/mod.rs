//! Shrinks a failing run to the fewest scenario lines that still fail in the same way.
//!
//! The search edits lines and knows little about their meaning. It removes groups of lines (delta
//! debugging), removes nodes, and removes or rounds words, and keeps every change after which the
//! run still fails with the same fingerprint. It also tries other seeds, which draw the choices
//! that no line fixes. Candidates have a fixed order, and of the candidates that run at the same
//! time the first failing one in that order wins, so the result does not depend on the number of
//! threads.

mod lines;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::observe::fingerprint::Fingerprint;
use crate::observe::outcome::{Failure, Outcome};
use crate::run::{Case, RunOptions};
use crate::scenario::{Expect, Scenario};
use crate::values::digest::of_bytes;

/// The limits of a shrink, and its callbacks.
#[derive(Clone, Copy)]
pub struct ShrinkOptions<'a> {
    /// The number of threads that run candidates.
    pub jobs: NonZeroUsize,
    /// The maximum number of runs.
    pub runs_max: u64,
    /// Called before every batch of runs; returns true to stop with the smallest run so far.
    pub is_out_of_time: &'a (dyn Fn() -> bool + Sync),
    /// Runs one candidate and returns its outcome.
    pub run: &'a (dyn Fn(&Case, &RunOptions) -> Outcome + Sync),
    /// Called with the number of runs so far and the number of lines left.
    pub on_progress: &'a dyn Fn(u64, usize),
}

/// The result of shrinking a failing run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shrunk run, with an expectation of its failure.
    pub scenario: Scenario,
    /// The outcome of the shrunk run.
    pub outcome: Outcome,
    /// The fingerprint that both failures have in common.
    pub fingerprint: Fingerprint,
    /// The size of the original run.
    pub before: Size,
    /// The size of the shrunk run.
    pub after: Size,
    /// The number of runs that shrinking took.
    pub runs: u64,
    /// Whether the search ended by itself, and not because of the time limit or the run limit. Even
    /// then a smaller run may exist.
    pub is_smallest: bool,
}

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of lines of its scenario, including the expectations.
    pub lines: usize,
    /// The number of nodes, including spares.
    pub nodes: u8,
    /// The number of operations in its plan.
    pub planned: usize,
    /// The number of replies to commands and answers to reads that clients received.
    pub operations: u64,
    /// The number of its simulator events.
    pub events: u64,
}

/// The maximum number of rounds over all kinds of changes.
const ROUNDS_MAX: u32 = 5;
/// The number of seeds to try with a change.
const SEEDS: u64 = 6;
/// The largest numbers of lines and events for which the removal of a single line, or of nodes, is
/// also tried with other seeds.
const RESEEDED_LINES_MAX: usize = 24;
const RESEEDED_EVENTS_MAX: u64 = 20_000;

/// Shrinks a failing case; `None` if the case does not fail.
#[must_use]
pub fn shrink(case: &Case, options: &RunOptions, shrinking: ShrinkOptions<'_>) -> Option<Shrunk> {
    let outcome = (shrinking.run)(case, options);
    let failure = outcome.failure.as_ref()?;
    let expect: Vec<Expect> = Expect::of(failure).into_iter().collect();
    let whole = Scenario::of(case.clone(), expect.clone(), &options.workload);
    let before = Size::of(&whole, &outcome);
    let mut search = Search {
        shrinking,
        options: RunOptions { trace: None, ..options.clone() },
        target: Fingerprint::of(failure),
        lines: Scenario::of(case.clone(), Vec::new(), &options.workload).lines(),
        best: whole,
        outcome,
        runs: 1,
        tried: BTreeMap::new(),
    };
    search.run_rounds();
    let Search { mut best, outcome, target, runs, .. } = search;
    best.expect = expect;
    let is_smallest = !(runs >= shrinking.runs_max || (shrinking.is_out_of_time)());
    let after = Size::of(&best, &outcome);
    Some(Shrunk { scenario: best, outcome, fingerprint: target, before, after, runs, is_smallest })
}

impl Size {
    fn of(scenario: &Scenario, outcome: &Outcome) -> Size {
        Size {
            lines: scenario.lines().len(),
            nodes: scenario.case.settings.nodes(),
            planned: scenario.case.plan.ops.len(),
            operations: outcome.tally.operations_checked,
            events: outcome.tally.events,
        }
    }
}

struct Search<'a> {
    shrinking: ShrinkOptions<'a>,
    options: RunOptions,
    target: Fingerprint,
    best: Scenario,
    /// The lines of the best scenario, without its expectations.
    lines: Vec<String>,
    outcome: Outcome,
    runs: u64,
    /// The hashes of the tried texts, each with its limit of events; `u64::MAX` if the run ended
    /// below its limit.
    tried: BTreeMap<u64, u64>,
}

impl Search<'_> {
    fn run_rounds(&mut self) {
        // Shorter runs come first, because they make every later step cheaper.
        self.cut_end();
        self.drop_settings();
        self.shorten_idle_time();
        self.drop_operations();
        self.fail_sooner();
        self.drop_lines(lines::is_planned);
        for _ in 0..ROUNDS_MAX {
            let before = self.text_size();
            self.shorten_idle_time();
            self.fail_sooner();
            self.rescale();
            self.drop_operations();
            self.drop_lines(|line| !lines::is_planned(line) && !lines::sets(line, "fault phase"));
            self.drop_lines(lines::is_planned);
            self.drop_with_other_seeds();
            self.drop_nodes();
            self.simplify_words();
            if self.text_size() >= before || self.is_over() {
                break;
            }
        }
        // The time after the failure does not matter, so the default fault phase may suffice.
        self.drop_lines(|line| lines::sets(line, "fault phase"));
        self.attempt(vec![lines::reseeded(&self.lines, 0)]);
        self.attempt(vec![lines::in_order(&self.lines)]);
    }

    /// The size of the text: the number of lines, then that of bytes outside the seed.
    fn text_size(&self) -> (usize, usize) {
        let counted = self.lines.iter().filter(|line| !lines::sets(line, "seed"));
        (self.lines.len(), counted.map(String::len).sum())
    }

    fn is_over(&self) -> bool {
        self.runs >= self.shrinking.runs_max || (self.shrinking.is_out_of_time)()
    }

    /// Runs candidates until one fails in the same way, makes that one the best, and returns its
    /// position. A candidate with a quarter and 1000 more events than the best is abandoned.
    fn attempt(&mut self, candidates: Vec<Vec<String>>) -> Option<usize> {
        self.attempt_within(candidates, self.outcome.tally.events / 4 * 5 + 1_000)
    }

    /// Like [`Search::attempt`], for candidates that fail within `events_max` events.
    fn attempt_within(&mut self, candidates: Vec<Vec<String>>, events_max: u64) -> Option<usize> {
        let mut next = 0;
        while next < candidates.len() && !self.is_over() {
            let mut batch = Vec::new();
            let runs_left = self.shrinking.runs_max.saturating_sub(self.runs);
            let room = runs_left.min(self.shrinking.jobs.get() as u64) as usize;
            while next < candidates.len() && batch.len() < room {
                let text = candidates[next].join("\n");
                let hash = of_bytes(text.as_bytes());
                let tried = self.tried.get(&hash).is_some_and(|within| *within >= events_max);
                let twice = batch.iter().any(|(_, other, _)| *other == hash);
                if !tried
                    && !twice
                    && let Ok(scenario) = Scenario::read(&text, &self.options.workload)
                    && scenario.case != self.best.case
                {
                    batch.push((next, hash, scenario));
                }
                next += 1;
            }
            let outcomes = self.run_all(&batch, events_max);
            for ((place, hash, scenario), outcome) in batch.into_iter().zip(outcomes) {
                let is_whole = outcome.tally.events < events_max;
                self.tried.insert(hash, if is_whole { u64::MAX } else { events_max });
                self.runs += 1;
                if self.has_same_failure(outcome.failure.as_ref()) {
                    self.lines = scenario.lines();
                    (self.best, self.outcome) = (scenario, outcome);
                    (self.shrinking.on_progress)(self.runs, self.lines.len());
                    return Some(place);
                }
            }
        }
        None
    }

    fn has_same_failure(&self, failure: Option<&Failure>) -> bool {
        failure.is_some_and(|failure| Fingerprint::of(failure) == self.target)
    }

    /// Runs the candidates, several of them each on a thread of its own.
    fn run_all(&self, batch: &[(usize, u64, Scenario)], events_max: u64) -> Vec<Outcome> {
        let options = RunOptions { events_max, ..self.options.clone() };
        let (run, options) = (self.shrinking.run, &options);
        if let [(_, _, scenario)] = batch {
            return vec![run(&scenario.case, options)];
        }
        thread::scope(|scope| {
            let threads: Vec<_> = batch
                .iter()
                .map(|(_, _, scenario)| scope.spawn(move || run(&scenario.case, options)))
                .collect();
            let outcomes = threads.into_iter();
            outcomes.map(|thread| thread.join().expect("a run keeps its panics")).collect()
        })
    }

    /// Removes the lines that start after the failure, and ends the fault phase there.
    fn cut_end(&mut self) {
        let end = self.outcome.tally.simulated;
        let fault_phase = self.best.case.settings.fault_phase.min(end + Duration::from_millis(1));
        let early = self.lines.iter().filter(|line| lines::start_time(line) <= end);
        let early: Vec<String> = early.cloned().collect();
        let shorter = early.iter().filter(|line| !lines::sets(line, "fault phase")).cloned();
        let tenths = fault_phase.as_millis().div_ceil(100);
        let fault_phase = format!("fault phase {}ms", tenths * 100);
        self.attempt(vec![std::iter::once(fault_phase).chain(shorter).collect(), early]);
    }

    /// Removes lines that `may` allows: all of them, or groups of half of them, a quarter, down to
    /// single lines.
    fn drop_lines(&mut self, may: impl Fn(&str) -> bool) {
        let line_numbers = |lines: &[String]| -> Vec<usize> {
            let may = |(at, line): (usize, &String)| may(line).then_some(at);
            lines.iter().enumerate().filter_map(may).collect()
        };
        let mut size = line_numbers(&self.lines).len();
        while size > 0 {
            let mut end = line_numbers(&self.lines).len();
            while end > 0 {
                let line_numbers = line_numbers(&self.lines);
                end = end.min(line_numbers.len());
                let starts: Vec<usize> =
                    (0..end.div_ceil(size)).map(|at| end.saturating_sub((at + 1) * size)).collect();
                let groups = starts.iter().enumerate().map(|(at, start)| {
                    let group = &line_numbers[*start..end - at * size];
                    let kept = self.lines.iter().enumerate().filter(|(at, _)| !group.contains(at));
                    kept.map(|(_, line)| line.clone()).collect()
                });
                let candidates = groups.collect();
                match self.attempt(candidates) {
                    Some(taken) => end = starts[taken],
                    None => end = 0,
                }
            }
            size /= 2;
        }
    }

    /// The seeds to try with the removal of a line or of nodes; none if the run is long.
    fn seeds(&self) -> Range<u64> {
        let few_lines = self.lines.len() <= RESEEDED_LINES_MAX;
        let few_events = self.outcome.tally.events <= RESEEDED_EVENTS_MAX;
        if few_lines && few_events { 0..SEEDS } else { 0..0 }
    }

    /// Removes single settings or operations, together with a change of the seed.
    fn drop_with_other_seeds(&mut self) {
        let mut at = self.lines.len();
        while at > 0 {
            at = (at - 1).min(self.lines.len() - 1);
            let fixed = ["seed", "nodes", "fault phase"];
            if fixed.iter().any(|setting| lines::sets(&self.lines[at], setting)) {
                continue;
            }
            let mut fewer = self.lines.clone();
            fewer.remove(at);
            let candidates = self.seeds().map(|seed| lines::reseeded(&fewer, seed)).collect();
            self.attempt(candidates);
        }
    }

    /// The lines without durations of the network, disks and timers, and with a scaled plan.
    fn rescaled(&self) -> Vec<String> {
        let from = self.best.case.settings.config.election_timeout_max;
        lines::rescaled(&self.lines, from, self.best.defaults().config.election_timeout_max)
    }

    /// Removes all settings at once, or all except those of the algorithm, or all except those and
    /// the random faults, because the plan alone may cause the failure. Another seed must fail
    /// within half of the events.
    fn drop_settings(&mut self) {
        let rescaled = self.rescaled();
        for kept in 0..=2 {
            let bare = lines::without_settings(&rescaled, kept);
            let others = (0..SEEDS).map(|seed| lines::reseeded(&bare, seed)).collect();
            let half = self.outcome.tally.events / 2;
            if self.attempt(vec![bare]).is_some() || self.attempt_within(others, half).is_some() {
                return self.cut_end();
            }
        }
    }

    /// Searches for a seed that fails within an eighth of the events, and then within half of them;
    /// the small limit costs little to try.
    fn fail_sooner(&mut self) {
        for part in [8, 2] {
            let mut seeds = 0..SEEDS * 4;
            while !seeds.is_empty() {
                let candidates = seeds.clone().map(|seed| lines::reseeded(&self.lines, seed));
                let events_max = self.outcome.tally.events / part;
                let Some(taken) = self.attempt_within(candidates.collect(), events_max) else {
                    break;
                };
                self.cut_end();
                seeds.start += taken as u64 + 1;
            }
        }
    }

    /// Removes the settings of durations, so that their defaults apply, and scales the plan
    /// accordingly or leaves it as it is.
    fn rescale(&mut self) {
        let defaults = self.best.defaults().config.election_timeout_max;
        let scaled = self.rescaled();
        let unscaled = lines::rescaled(&self.lines, defaults, defaults);
        let mut candidates = vec![scaled.clone(), unscaled];
        candidates.extend((0..SEEDS * 2).map(|seed| lines::reseeded(&scaled, seed)));
        self.attempt(candidates);
    }

    /// Shortens idle time in the plan.
    fn shorten_idle_time(&mut self) {
        let idle = [300, 1_000].map(Duration::from_millis);
        let shorter = idle.map(|idle| lines::with_idle_time_max(&self.lines, idle));
        let mut candidates = shorter.to_vec();
        for lines in &shorter {
            candidates.extend((0..SEEDS).map(|seed| lines::reseeded(lines, seed)));
        }
        if self.attempt(candidates).is_some() {
            self.cut_end();
        }
    }

    /// Removes pairs of nodes, or single nodes, as long as the run still fails.
    fn drop_nodes(&mut self) {
        loop {
            let nodes = u64::from(self.best.case.settings.nodes());
            let pairs = (1..=nodes).rev().flat_map(|one| (1..one).rev().map(move |two| (one, two)));
            let pairs = pairs.take(4).map(|(one, two)| vec![one, two]);
            let singles = (1..=nodes).rev().map(|one| vec![one]);
            let mut candidates = Vec::new();
            for gone in pairs.chain(singles) {
                let Some(fewer) = self.without_nodes(&gone) else { continue };
                candidates.push(fewer.clone());
                candidates.extend(self.seeds().take(2).map(|seed| lines::reseeded(&fewer, seed)));
            }
            if self.attempt(candidates).is_none() {
                return;
            }
        }
    }

    /// The lines without these nodes, which are given in descending order.
    fn without_nodes(&self, gone: &[u64]) -> Option<Vec<String>> {
        let mut settings = self.best.case.settings.clone();
        let mut fewer = self.lines.clone();
        for node in gone {
            let (voters, learners) = (u64::from(settings.voters), u64::from(settings.learners));
            let count = if *node <= voters {
                &mut settings.voters
            } else if *node <= voters + learners {
                &mut settings.learners
            } else {
                &mut settings.spares
            };
            *count -= 1;
            let place = (*node - 1) as usize;
            if place < settings.priorities.len() {
                settings.priorities.remove(place);
            }
            fewer = lines::without_node(&fewer, *node);
        }
        let replaced = ["nodes", "learners", "spares", "priorities"];
        fewer.retain(|line| !replaced.iter().any(|setting| lines::sets(line, setting)));
        let (learners, spares) = (settings.learners, settings.spares);
        fewer.push(format!("nodes {}", settings.voters));
        fewer.push(format!("learners {learners}"));
        fewer.push(format!("spares {spares}"));
        if !settings.priorities.is_empty() {
            let each: Vec<String> = settings.priorities.iter().map(u8::to_string).collect();
            fewer.push(format!("priorities {}", each.join(" ")));
        }
        (settings.voters > 0).then_some(fewer)
    }

    /// Reduces the number of clients and of their operations.
    fn drop_operations(&mut self) {
        let with = |lines: &[String], clients_line: String| -> Vec<String> {
            let rest = lines.iter().filter(|line| !lines::sets(line, "clients")).cloned();
            rest.chain([clients_line]).collect()
        };
        let (clients, most) =
            (self.best.case.settings.clients, self.best.case.settings.operations_max);
        let bound = |clients: u16| match most {
            u64::MAX => format!("clients {clients}"),
            most => format!("clients {clients} operations {most}"),
        };
        let fewer = (0..clients).map(|clients| with(&self.lines, bound(clients)));
        let candidates = fewer.collect();
        self.attempt(candidates);
        let (clients, begun) =
            (self.best.case.settings.clients, self.outcome.tally.operations_checked);
        let most = self.best.case.settings.operations_max.min(begun);
        let steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256];
        let steps = steps.into_iter().take_while(|step| clients > 0 && *step < most);
        let lines = steps.map(|most| format!("clients {clients} operations {most}"));
        let candidates = lines.map(|line| with(&self.lines, line)).collect();
        self.attempt(candidates);
    }

    /// Simplifies every line word by word, as long as the run still fails.
    fn simplify_words(&mut self) {
        let mut at = 0;
        while at < self.lines.len() && !self.is_over() {
            let line = &self.lines[at];
            let fixed = ["seed", "nodes", "fault phase", "clients"];
            if fixed.iter().any(|setting| lines::sets(line, setting)) {
                at += 1;
                continue;
            }
            let simpler = lines::simpler(line).into_iter().map(|line| {
                let mut lines = self.lines.clone();
                lines[at] = line;
                lines
            });
            let candidates = simpler.collect();
            if self.attempt(candidates).is_none() {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
