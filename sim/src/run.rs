//! One seed, from its first choice to its outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate::raft::PeerStatus;
use quorate::types::NodeId;

use crate::choice::{Choices, Key, Kind, Overrides};
use crate::digest::mix;
use crate::guided::{Corpus, Moment, Shapes};
use crate::outcome::{Failure, Outcome};
use crate::plan::{Op, Plan};
use crate::profile::Profile;
use crate::record::{Record, Recorder, Recording, Until};
use crate::rung::Rung;
use crate::settings::Settings;
use crate::time::SimTime;
use crate::witness::Witness;
use crate::workload::kv::Kv;
use crate::workload::{AnyWorkload, Workload};
use crate::world::World;

pub use crate::trace::TraceSink;

/// How to run a seed.
#[derive(Clone)]
pub struct RunOptions {
    /// The family of runs that the seed draws from.
    pub profile: &'static Profile,
    /// How far the search goes.
    pub rung: Rung,
    /// Choices that are given instead of drawn.
    pub overrides: Overrides,
    /// Whether the checks watch. They change nothing but the failure and the marks `history/…`.
    pub checks: bool,
    /// Where to write one line per event: `time node role term last/durable/committed/applied
    /// event`.
    pub trace: Option<TraceSink>,
    /// How many times longer than usual the storm lasts; at least 1.
    pub length: u32,
    /// Whether the disks lie about flushes: a bug that the checks have to find.
    pub canary: bool,
    /// After how many events the run ends, whatever has come of it.
    pub events_max: u64,
    /// What the cluster replicates, and what its clients ask for.
    pub workload: AnyWorkload,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            profile: <&Profile>::default(),
            rung: Rung::default(),
            overrides: Overrides::new(),
            checks: true,
            trace: None,
            length: 1,
            canary: false,
            events_max: u64::MAX,
            workload: AnyWorkload::new(Kv::new(8, 24)),
        }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("profile", &self.profile.name)
            .field("rung", &self.rung)
            .field("overrides", &self.overrides)
            .field("checks", &self.checks)
            .field("trace", &self.trace.is_some())
            .field("length", &self.length)
            .field("canary", &self.canary)
            .field("events_max", &self.events_max)
            .finish()
    }
}

/// Everything that decides a run, save its workload. The same case is the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Draws what the rest leaves open.
    pub seed: u64,
    /// The cluster, its options and its load.
    pub settings: Settings,
    /// The faults.
    pub plan: Plan,
    /// Choices that are given instead of drawn.
    pub overrides: Overrides,
}

/// What was recorded, and how each leader sees its peers at the end of it.
type Recorded = (Record, Vec<(NodeId, Vec<PeerStatus>)>);

/// What a run came to.
struct Ran {
    outcome: Outcome,
    recorded: Option<Recorded>,
    /// Its abstract states, if they were wanted.
    shapes: Shapes,
}

/// How many runs of a seed are drawn before any goes on from another.
const DRAWN_FIRST: u64 = 8;
/// Every how many runs one is drawn later, too: no corpus has everything.
const DRAWN_EACH: u64 = 4;

impl Case {
    /// The case that `seed` draws: from the profile and on the rung, with the overrides, for a
    /// storm of the length and for commands of the workload that `options` name.
    #[must_use]
    pub fn draw(seed: u64, options: &RunOptions) -> Case {
        let choices = Choices::new(seed, options.overrides.clone());
        let settings = Settings::draw(
            (options.profile, options.rung),
            &choices,
            options.length.max(1),
            options.workload.command_bytes_max(),
        );
        let plan = Plan::draw((&settings, options.rung), &choices);
        Case { seed, settings, plan, overrides: options.overrides.clone() }
    }

    /// The run that a seed is on its rung. On [`Rung::Guided`] a seed is many: this is the one that
    /// fails, or else the first.
    #[must_use]
    pub fn of_seed(seed: u64, options: &RunOptions) -> Case {
        let failing = match options.rung {
            Rung::Guided => explore(seed, options).1,
            _ => None,
        };
        failing.unwrap_or_else(|| Case::draw(seed, options))
    }

    /// The same run up to a moment. From then on everything is drawn from `seed`, what the plan has
    /// left included, save what a node that runs drew at its start; and the node of the moment may
    /// meet a fault just then.
    fn parted(&self, moment: Moment, seed: u64, rung: Rung) -> Case {
        let mut parted = self.clone();
        let micros = u32::try_from(moment.at.0.div_ceil(1_000)).unwrap_or(u32::MAX);
        parted.overrides.retain(|key, _| key.kind != Kind::Redraw || key.counter < micros);
        parted.overrides.insert(Key { counter: micros, ..Kind::Redraw.key() }, seed);
        let at = SimTime(u64::from(micros) * 1_000);
        let choices = Choices::new(seed, parted.overrides.clone());
        let redrawn = Plan::draw((&self.settings, rung), &choices);
        let ops = &mut parted.plan.ops;
        ops.retain(|op| op.when.begins() < at);
        ops.extend(redrawn.ops.into_iter().filter(|op| op.when.begins() >= at));
        ops.extend(Op::strike(&self.settings, &choices, at, moment.node));
        parted
    }

    /// Runs it to its end, or to the first thing that goes wrong, with the workload, the checks and
    /// the trace that `options` name; what else they name is decided.
    #[must_use]
    pub fn run(&self, options: &RunOptions) -> Outcome {
        self.go(options, None, false).outcome
    }

    /// Runs it as [`Case::run`] does and takes down what happens: to its end, or as far as it is
    /// wanted.
    ///
    /// # Panics
    /// Never: a recorded run has a recording.
    #[must_use]
    pub fn record(&self, options: &RunOptions, until: Until) -> Recording {
        let nodes = (1..=self.settings.nodes()).map(|id| NodeId(id.into())).collect();
        let (membership, plan) = (self.settings.formatted(), self.plan.ops.clone());
        let recorder = Recorder::new(nodes, membership, plan, until);
        let Ran { outcome, recorded, .. } = self.go(options, Some(recorder), false);
        let (record, peers) = recorded.expect("it was recorded");
        Recording { outcome, record, peers }
    }

    fn go(&self, options: &RunOptions, recorder: Option<Recorder>, with_shapes: bool) -> Ran {
        let Case { seed, settings, plan, overrides } = self.clone();
        if let Some(trace) = &options.trace {
            trace(&settings.to_string());
            plan.ops.iter().for_each(|op| trace(&op.to_string()));
        }
        let checks = options.checks.then_some(&options.workload);
        let mut witness = Witness::new(&settings, checks, options.trace.clone(), recorder);
        if with_shapes {
            witness.want_shapes();
        }
        let choices = Choices::new(seed, overrides);
        let mut world = World::new(settings, options.workload.clone(), plan, choices);
        if options.canary {
            world.plant_canary();
        }
        let end = catch_unwind(AssertUnwindSafe(|| world.run(&mut witness, options.events_max)));
        let (now, events) = world.position();
        witness.finish(now, events);
        let failure = match end {
            Err(panic) => Some(Failure::panicked(panic.as_ref())),
            Ok(()) => world
                .stalled()
                .map(Failure::Stalled)
                .or_else(|| Some(Failure::of(witness.violation()?.clone()))),
        };
        let record = witness.record(now, failure.as_ref());
        let recorded = record.map(|record| (record, world.peers()));
        let shapes = witness.take_shapes();
        let states = shapes.keys().copied().collect();
        let (tally, marks) = witness.results();
        let (digest, sightings) = (world.digest(), world.sightings());
        let outcome = Outcome { seed, digest, tally, marks, states, sightings, failure };
        Ran { outcome, recorded, shapes }
    }
}

/// Runs what `seed` is on its rung. On [`Rung::Guided`] that is many runs, whose counts are added
/// up, until one fails; what is traced is that one, or else the first.
#[must_use]
pub fn run(seed: u64, options: &RunOptions) -> Outcome {
    if options.rung.runs() == 1 {
        return Case::draw(seed, options).run(options);
    }
    let (outcome, failing) = explore(seed, options);
    if options.trace.is_some() {
        let _ = failing.unwrap_or_else(|| Case::draw(seed, options)).run(options);
    }
    outcome
}

/// Runs what `seed` is on its rung and records it; of many runs, the one that fails, or the first.
#[must_use]
pub fn record(seed: u64, options: &RunOptions, until: Until) -> Recording {
    Case::of_seed(seed, options).record(options, until)
}

/// The runs of a seed on the highest rung, added up, and the one that failed, which is the last.
fn explore(seed: u64, options: &RunOptions) -> (Outcome, Option<Case>) {
    let options = &RunOptions { trace: None, ..options.clone() };
    let mut corpus = Corpus::new();
    let mut case = Case::draw(seed, options);
    let Ran { outcome: mut whole, shapes, .. } = case.go(options, None, true);
    corpus.learn(&case, &shapes);
    for number in 1..options.rung.runs() {
        if whole.failure.is_some() {
            return (whole, Some(case));
        }
        let own = mix(seed, number);
        let drawn = number < DRAWN_FIRST || number % DRAWN_EACH == 0;
        let from = if drawn { None } else { corpus.pick(own) };
        case = match from {
            Some((known, moment)) => known.parted(moment, own, options.rung),
            None => Case::draw(own, options),
        };
        let Ran { outcome, shapes, .. } = case.go(options, None, true);
        corpus.learn(&case, &shapes);
        whole.add(outcome);
    }
    let failing = whole.failure.is_some().then_some(case);
    (whole, failing)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::When;

    #[test]
    fn a_run_that_parts_keeps_what_was_planned_before_and_draws_the_rest() {
        let options = RunOptions::default();
        let at = SimTime::default().after(Duration::from_secs(4));
        let begun = |case: &Case, early: bool| -> Vec<Op> {
            let ops = case.plan.ops.iter();
            ops.filter(|op| (op.when.begins() < at) == early).cloned().collect()
        };
        let moment = Moment { at, node: NodeId(1) };
        let mut struck = 0;
        for seed in 0..40 {
            let case = Case::draw(seed, &options);
            let parted = case.parted(moment, seed + 1_000, options.rung);
            assert_eq!(parted.settings, case.settings);
            assert_eq!(begun(&parted, true), begun(&case, true), "seed {seed}");
            let drawn = case.parted(moment, seed + 2_000, options.rung);
            let many = begun(&parted, false).len() + begun(&drawn, false).len() > 4;
            assert!(!many || begun(&parted, false) != begun(&drawn, false), "seed {seed}");
            struck += parted.plan.ops.iter().filter(|op| op.when == When::At(at)).count();
        }
        assert!((20..40).contains(&struck), "{struck} of 40 meet a fault at that moment");
    }

    #[test]
    fn a_run_that_parts_again_forgets_how_it_went_on_after_that() {
        let case = Case::draw(3, &RunOptions::default());
        let part = |case: &Case, micros: u64, seed| {
            let moment = Moment { at: SimTime(micros * 1_000), node: NodeId(1) };
            case.parted(moment, seed, Rung::Guided)
        };
        let redrawn = |case: &Case| -> Vec<(u32, u64)> {
            case.overrides.iter().map(|(key, seed)| (key.counter, *seed)).collect()
        };
        let twice = part(&part(&case, 500, 7), 900, 8);
        assert_eq!(redrawn(&twice), [(500, 7), (900, 8)]);
        assert_eq!(redrawn(&part(&twice, 600, 9)), [(500, 7), (600, 9)]);
        assert_eq!(redrawn(&part(&twice, 500, 9)), [(500, 9)]);
    }
}
