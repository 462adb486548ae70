//! Makes a run that fails small: the fewest lines of a scenario that still fails alike.
//!
//! It works on the lines, and knows little of what they mean: lines are taken out in groups (delta
//! debugging), nodes go, words of the lines that are left go or become rounder, and whatever still
//! fails with the same fingerprint is kept. In between, the seed is drawn anew: what is left open
//! is as good with another. Candidates are tried in an order of their own, and of those that run at
//! once the first one counts: so the result is the same however many threads there are.

mod lines;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::digest::of_bytes;
use crate::fingerprint::Fingerprint;
use crate::outcome::{Failure, Outcome};
use crate::run::{Case, RunOptions};
use crate::scenario::{Expect, Scenario};

/// How far shrinking goes, and who watches.
#[derive(Clone, Copy)]
pub struct Shrinking<'a> {
    /// How many threads run candidates.
    pub jobs: NonZeroUsize,
    /// The most runs.
    pub runs_max: u64,
    /// Asked before every few runs: whether to make do with what there is.
    pub is_late: &'a (dyn Fn() -> bool + Sync),
    /// Runs one case.
    pub run: &'a (dyn Fn(&Case, &RunOptions) -> Outcome + Sync),
    /// Told how many runs there were, and how many lines are left.
    pub watch: &'a dyn Fn(u64, usize),
}

/// What is left of a run that fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The run, which expects its failure.
    pub scenario: Scenario,
    /// What it comes to.
    pub outcome: Outcome,
    /// What is the same about the failure before and after.
    pub fingerprint: Fingerprint,
    /// The run before.
    pub before: Size,
    /// And after.
    pub after: Size,
    /// How many runs it took.
    pub runs: u64,
    /// Whether it ended by itself, once a round left nothing less to read; else there was no time,
    /// or no run, to go on.
    pub is_smallest: bool,
}

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The lines of its scenario, those that say what is expected included.
    pub lines: usize,
    /// The nodes.
    pub nodes: u8,
    /// The operations of its plan.
    pub planned: usize,
    /// The operations of its clients whose outcome was checked.
    pub operations: u64,
    /// Its events.
    pub events: u64,
}

/// How many rounds of all there is to try.
const ROUNDS_MAX: u32 = 5;
/// How many other seeds a change is tried with that would otherwise be none.
const SEEDS: u64 = 6;
/// With how many lines, and how many events, at most other seeds are tried.
const RESEEDED_LINES_MAX: usize = 24;
const RESEEDED_EVENTS_MAX: u64 = 20_000;

/// Makes a case small that fails; none if it does not.
#[must_use]
pub fn shrink(case: &Case, options: &RunOptions, shrinking: Shrinking<'_>) -> Option<Shrunk> {
    let outcome = (shrinking.run)(case, options);
    let failure = outcome.failure.as_ref()?;
    let expect: Vec<Expect> = Expect::of(failure).into_iter().collect();
    let whole = Scenario::of(case.clone(), expect.clone(), &options.workload);
    let before = Size::of(&whole, &outcome);
    let mut search = Search {
        shrinking,
        options: RunOptions { trace: None, ..options.clone() },
        wanted: Fingerprint::of(failure),
        lines: Scenario::of(case.clone(), Vec::new(), &options.workload).lines(),
        best: whole,
        outcome,
        runs: 1,
        tried: BTreeMap::new(),
    };
    search.go();
    let Search { mut best, outcome, wanted, runs, .. } = search;
    best.expect = expect;
    let is_smallest = !(runs >= shrinking.runs_max || (shrinking.is_late)());
    let after = Size::of(&best, &outcome);
    Some(Shrunk { scenario: best, outcome, fingerprint: wanted, before, after, runs, is_smallest })
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
    shrinking: Shrinking<'a>,
    options: RunOptions,
    wanted: Fingerprint,
    best: Scenario,
    /// The lines of the best, without those that say what is expected.
    lines: Vec<String>,
    outcome: Outcome,
    runs: u64,
    /// Hashes of the texts that were tried, and within how many events: no bound for those that
    /// ended by themselves.
    tried: BTreeMap<u64, u64>,
}

impl Search<'_> {
    fn go(&mut self) {
        // What makes runs short comes first: all that follows takes the less time.
        self.cut_end();
        self.leap();
        self.hasten();
        self.drop_operations();
        self.fail_sooner();
        self.drop_lines(lines::is_planned);
        for _ in 0..ROUNDS_MAX {
            let before = self.extent();
            self.hasten();
            self.fail_sooner();
            self.rescale();
            self.drop_operations();
            self.drop_lines(|line| !lines::is_planned(line) && !lines::says(line, "storm"));
            self.drop_lines(lines::is_planned);
            self.drop_with_other_seeds();
            self.drop_nodes();
            self.simplify_words();
            if self.extent() >= before || self.is_over() {
                break;
            }
        }
        // What comes after the failure does not matter, and the usual storm need not be said.
        self.drop_lines(|line| lines::says(line, "storm"));
        let same = self.lines.clone();
        self.attempt(vec![lines::reseeded(&same, 0)]);
        self.attempt(vec![lines::in_order(&self.lines)]);
    }

    /// How much there is to read: lines, and then letters, whichever the seed.
    fn extent(&self) -> (usize, usize) {
        let told = self.lines.iter().filter(|line| !lines::says(line, "seed"));
        (self.lines.len(), told.map(String::len).sum())
    }

    fn is_over(&self) -> bool {
        self.runs >= self.shrinking.runs_max || (self.shrinking.is_late)()
    }

    /// The place of the first candidate that still fails alike, which is the best one then. One
    /// that takes longer than the best so far is of no use, whatever would come of it.
    fn attempt(&mut self, candidates: Vec<Vec<String>>) -> Option<usize> {
        self.attempt_within(candidates, self.outcome.tally.events / 4 * 5 + 1_000)
    }

    /// The same, of candidates that fail within so many events.
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
                if self.is_alike(outcome.failure.as_ref()) {
                    self.lines = scenario.lines();
                    (self.best, self.outcome) = (scenario, outcome);
                    (self.shrinking.watch)(self.runs, self.lines.len());
                    return Some(place);
                }
            }
        }
        None
    }

    fn is_alike(&self, failure: Option<&Failure>) -> bool {
        failure.is_some_and(|failure| Fingerprint::of(failure) == self.wanted)
    }

    /// Runs candidates, each on a thread of its own.
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

    /// Leaves out what begins after the failure, and ends the storm there.
    fn cut_end(&mut self) {
        let end = self.outcome.tally.simulated;
        let storm = self.best.case.settings.storm.min(end + Duration::from_millis(1));
        let early = self.lines.iter().filter(|line| lines::begins(line) <= end);
        let early: Vec<String> = early.cloned().collect();
        let shorter = early.iter().filter(|line| !lines::says(line, "storm")).cloned();
        let tenths = storm.as_millis().div_ceil(100);
        let storm = format!("storm {}ms", tenths * 100);
        self.attempt(vec![std::iter::once(storm).chain(shorter).collect(), early]);
    }

    /// Takes out lines that may be, in groups of half of them, a quarter, down to one by one.
    fn drop_lines(&mut self, may: impl Fn(&str) -> bool) {
        let places = |lines: &[String]| -> Vec<usize> {
            let may = |(at, line): (usize, &String)| may(line).then_some(at);
            lines.iter().enumerate().filter_map(may).collect()
        };
        let mut size = places(&self.lines).len();
        while size > 0 {
            let mut end = places(&self.lines).len();
            while end > 0 {
                let places = places(&self.lines);
                end = end.min(places.len());
                let starts: Vec<usize> =
                    (0..end.div_ceil(size)).map(|at| end.saturating_sub((at + 1) * size)).collect();
                let groups = starts.iter().enumerate().map(|(at, start)| {
                    let group = &places[*start..end - at * size];
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

    /// The seeds that a change is tried with beside the one there is.
    fn seeds(&self) -> Range<u64> {
        let few_lines = self.lines.len() <= RESEEDED_LINES_MAX;
        let few_events = self.outcome.tally.events <= RESEEDED_EVENTS_MAX;
        if few_lines && few_events { 0..SEEDS } else { 0..0 }
    }

    /// Takes out one setting, or one operation, and lets another seed decide the rest.
    fn drop_with_other_seeds(&mut self) {
        let mut at = self.lines.len();
        while at > 0 {
            at = (at - 1).min(self.lines.len() - 1);
            let fixed = ["seed", "nodes", "storm"];
            if fixed.iter().any(|setting| lines::says(&self.lines[at], setting)) {
                continue;
            }
            let mut fewer = self.lines.clone();
            fewer.remove(at);
            let candidates = self.seeds().map(|seed| lines::reseeded(&fewer, seed)).collect();
            self.attempt(candidates);
        }
    }

    /// The lines that say nothing about how long things take, with a plan that keeps pace.
    fn rescaled(&self) -> Vec<String> {
        let from = self.best.case.settings.config.election_timeout_max;
        lines::rescaled(&self.lines, from, self.best.plain().config.election_timeout_max)
    }

    /// Takes out all settings at once, or all but those that are about the algorithm, or about
    /// chance as well: it may be the plan alone that matters. Another seed has to fail within half
    /// of the events.
    fn leap(&mut self) {
        let rescaled = self.rescaled();
        for kept in 0..=2 {
            let bare = lines::bare(&rescaled, kept);
            let others = (0..SEEDS).map(|seed| lines::reseeded(&bare, seed)).collect();
            let half = self.outcome.tally.events / 2;
            if self.attempt(vec![bare]).is_some() || self.attempt_within(others, half).is_some() {
                return self.cut_end();
            }
        }
    }

    /// Looks for a seed with which a small part of the events is enough, and then for one with
    /// which half of them are: the small part costs little to try.
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

    /// Lets everything take as long as it does where nothing is said, and the plan keep pace.
    fn rescale(&mut self) {
        let plain = self.best.plain().config.election_timeout_max;
        let slower = self.rescaled();
        let as_it_is = lines::rescaled(&self.lines, plain, plain);
        let mut candidates = vec![slower.clone(), as_it_is];
        candidates.extend((0..SEEDS * 2).map(|seed| lines::reseeded(&slower, seed)));
        self.attempt(candidates);
    }

    /// Lets nothing in the plan wait for long.
    fn hasten(&mut self) {
        let idle = [300, 1_000].map(Duration::from_millis);
        let sooner = idle.map(|idle| lines::hastened(&self.lines, idle));
        let mut candidates = sooner.to_vec();
        for lines in &sooner {
            candidates.extend((0..SEEDS).map(|seed| lines::reseeded(lines, seed)));
        }
        if self.attempt(candidates).is_some() {
            self.cut_end();
        }
    }

    /// Takes out nodes, two of them if a majority stays the same share, else one.
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

    /// The lines without these nodes, the highest first.
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
        let said = ["nodes", "learners", "spares", "priorities"];
        fewer.retain(|line| !said.iter().any(|setting| lines::says(line, setting)));
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

    /// Lets fewer clients begin fewer operations.
    fn drop_operations(&mut self) {
        let with = |lines: &[String], said: String| -> Vec<String> {
            let rest = lines.iter().filter(|line| !lines::says(line, "clients")).cloned();
            rest.chain([said]).collect()
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
        let said = steps.map(|most| format!("clients {clients} operations {most}"));
        let candidates = said.map(|said| with(&self.lines, said)).collect();
        self.attempt(candidates);
    }

    /// Makes every line simpler, word by word, as long as any gives.
    fn simplify_words(&mut self) {
        let mut at = 0;
        while at < self.lines.len() && !self.is_over() {
            let line = &self.lines[at];
            let fixed = ["seed", "nodes", "storm", "clients"];
            if fixed.iter().any(|setting| lines::says(line, setting)) {
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
