//! Runs one seed, from its first choice to its outcome.

pub mod redraws;
pub mod summary;
pub mod sweep;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate::raft::PeerStatus;
use quorate::types::NodeId;

use crate::observe::outcome::{Failure, Outcome};
use crate::observer::Observer;
use crate::observer::guided::{AbstractStates, Corpus, RunPoint};
use crate::picture::text;
use crate::plan::{Op, Plan};
use crate::record::{Record, RecordUntil, Recorder, Recording};
use crate::settings::Settings;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;
use crate::values::choice::{Choices, Key, Kind, Overrides};
use crate::values::digest::mix;
use crate::values::time::SimTime;
use crate::workload::kv::Kv;
use crate::workload::{AnyWorkload, Workload};
use crate::world::{Run, World};

pub use crate::observe::{CoreSink, TraceSink};

/// The options of a run besides its seed.
#[derive(Clone)]
pub struct RunOptions {
    /// The family of runs that the seed draws from.
    pub profile: &'static Profile,
    /// The search strategy that draws the run.
    pub strategy: Strategy,
    /// Choices that are set instead of drawn.
    pub overrides: Overrides,
    /// Whether the checks of observations and the assertions of the nodes run. Until one fails and
    /// ends the run, they affect only the marks `history/…`. L1 and the part of S31 about versions
    /// are always checked.
    pub checks: bool,
    /// The sink of the trace, one line per event: `time node role term
    /// last/durable/committed/applied event`.
    pub trace: Option<TraceSink>,
    /// The function that receives every start and input of the cores.
    pub cores: Option<CoreSink>,
    /// The factor by which the fault phase is longer than usual; at least 1.
    pub length: u32,
    /// Whether the disks lie about flushes: a planted bug that the checks must find.
    pub canary: bool,
    /// The maximum number of events of the run; after them the run ends without a failure.
    pub events_max: u64,
    /// The replicated state machine, and the clients' operations.
    pub workload: AnyWorkload,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            profile: <&Profile>::default(),
            strategy: Strategy::default(),
            overrides: Overrides::new(),
            checks: true,
            trace: None,
            cores: None,
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
            .field("strategy", &self.strategy)
            .field("overrides", &self.overrides)
            .field("checks", &self.checks)
            .field("trace", &self.trace.is_some())
            .field("length", &self.length)
            .field("canary", &self.canary)
            .field("events_max", &self.events_max)
            .finish()
    }
}

/// Everything that decides a run, except its workload, the planted bug and the limit of its events.
/// Two runs of the same case with the same options are identical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The seed of everything that the other fields leave open.
    pub seed: u64,
    /// The cluster, its options and its load.
    pub settings: Settings,
    /// The planned faults and scripted requests.
    pub plan: Plan,
    /// Choices that are set instead of drawn.
    pub overrides: Overrides,
}

/// The recording, and each leader's view of its peers at the end.
type Recorded = (Record, Vec<(NodeId, Vec<PeerStatus>)>);

/// The results of a run.
struct RunResult {
    outcome: Outcome,
    recorded: Option<Recorded>,
    /// The abstract states of the run, if they were recorded.
    abstract_states: AbstractStates,
}

/// The number of runs of a seed that are drawn before a run continues an earlier one.
const NEW_RUNS_FIRST: u64 = 8;
/// The interval, in runs, at which later runs are drawn too, because no corpus is complete.
const NEW_RUN_EVERY: u64 = 4;

impl Case {
    /// Draws the case of `seed`, with the profile, the strategy, the overrides, the length of the
    /// fault phase and the workload of `options`.
    #[must_use]
    pub fn draw(seed: u64, options: &RunOptions) -> Case {
        let choices = Choices::new(seed, options.overrides.clone());
        let settings = Settings::draw(
            options.profile,
            options.strategy,
            &choices,
            options.length.max(1),
            options.workload.command_bytes_max(),
        );
        let plan = Plan::draw(&settings, options.strategy, &choices);
        Case { seed, settings, plan, overrides: options.overrides.clone() }
    }

    /// Returns the case of a seed. With [`Strategy::Guided`] a seed has many cases: this is the one
    /// whose run fails, or else the first.
    #[must_use]
    pub fn of_seed(seed: u64, options: &RunOptions) -> Case {
        let failing = match options.strategy {
            Strategy::Guided => explore(seed, options).1,
            _ => None,
        };
        failing.unwrap_or_else(|| Case::draw(seed, options))
    }

    /// Returns a case whose run is the same up to a time, rounded up to a microsecond. From there
    /// on everything is drawn from `seed`, including the rest of the plan, but not the choices that
    /// running nodes drew at their start.
    fn redraw_from(&self, at: SimTime, seed: u64, strategy: Strategy) -> Case {
        let mut redrawn = self.clone();
        let micros = micros(at);
        redrawn.overrides.retain(|key, _| key.kind != Kind::Reseed || key.counter < micros);
        redrawn.overrides.insert(Key { counter: micros, ..Kind::Reseed.key() }, seed);
        let at = SimTime(u64::from(micros) * 1_000);
        let choices = Choices::new(seed, redrawn.overrides.clone());
        let reseeded = Plan::draw(&self.settings, strategy, &choices);
        let ops = &mut redrawn.plan.ops;
        ops.retain(|op| op.when.earliest() < at);
        ops.extend(reseeded.ops.into_iter().filter(|op| op.when.earliest() >= at));
        redrawn
    }

    /// Returns a case that is redrawn from a point on, in which the node of the point may get a
    /// fault at that time.
    fn diverge_at(&self, point: RunPoint, seed: u64, strategy: Strategy) -> Case {
        let mut diverged = self.redraw_from(point.at, seed, strategy);
        let at = SimTime(u64::from(micros(point.at)) * 1_000);
        let choices = Choices::new(seed, diverged.overrides.clone());
        diverged.plan.ops.extend(Op::single_fault(&self.settings, &choices, at, point.node));
        diverged
    }

    /// Runs the case to its end, or to the first failure, with the workload, the checks, the sinks,
    /// the planted bug and the limit of events of `options`; the case decides everything else.
    #[must_use]
    pub fn run(&self, options: &RunOptions) -> Outcome {
        self.execute(options, None, false).outcome
    }

    /// Runs the case as [`Case::run`] does, and records the run up to `until`.
    ///
    /// # Panics
    /// Never, because a recorded run has a recording.
    #[must_use]
    pub fn record(&self, options: &RunOptions, until: RecordUntil) -> Recording {
        let nodes = (1..=self.settings.nodes()).map(|id| NodeId(id.into())).collect();
        let (membership, plan) = (self.settings.formatted(), self.plan.ops.clone());
        let recorder = Recorder::new(nodes, membership, plan, until);
        let RunResult { outcome, recorded, .. } = self.execute(options, Some(recorder), false);
        let (record, peers) = recorded.expect("a recorded run has a recording");
        Recording { outcome, record, peers }
    }

    fn execute(
        &self,
        options: &RunOptions,
        recorder: Option<Recorder>,
        with_states: bool,
    ) -> RunResult {
        let Case { seed, settings, plan, overrides } = self.clone();
        if let Some(trace) = &options.trace {
            trace(&settings.to_string());
            plan.ops.iter().for_each(|op| trace(&op.to_string()));
        }
        let checks = options.checks.then_some(&options.workload);
        let mut observer = Observer::new(&settings, checks, options.trace.clone(), recorder);
        observer.set_core_sink(options.cores.clone());
        if with_states {
            observer.record_abstract_states();
        }
        let choices = Choices::new(seed, overrides);
        let mut world = World::new(settings, options.workload.clone(), plan, choices, observer);
        if options.canary {
            world.cluster.plant_canary();
        }
        let end = catch_unwind(AssertUnwindSafe(|| world.run(options.events_max)));
        let World { run: Run { scheduler, mut observer, .. }, cluster, load, .. } = world;
        let now = scheduler.now();
        observer.finish(now, scheduler.events);
        let failure = match end {
            Err(panic) => Some(Failure::panicked(panic.as_ref())),
            Ok(()) => scheduler
                .stalled()
                .map(Failure::Stalled)
                .or_else(|| Some(Failure::of(observer.violation()?.clone()))),
        };
        let describe = |command: &[u8]| options.workload.describe_command(command);
        let record = observer
            .record(now, failure.as_ref(), |node, work| text::panic_in_work(node, work, &describe));
        let recorded = record.map(|record| (record, cluster.peers()));
        let abstract_states = observer.take_abstract_states();
        let states = abstract_states.keys().copied().collect();
        let (tally, marks) = observer.results();
        let (digest, scripted) = (scheduler.digest, load.scripted.results());
        let outcome = Outcome { seed, digest, tally, marks, states, scripted, failure };
        RunResult { outcome, recorded, abstract_states }
    }
}

/// Returns the time in microseconds, rounded up.
fn micros(at: SimTime) -> u32 {
    u32::try_from(at.0.div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Runs a seed with its strategy. With [`Strategy::Guided`] a seed has many runs, whose counts are
/// summed until one fails; the trace is that of the failing run, or else of the first.
/// [`RunOptions::cores`] receives that run only if it is also traced.
#[must_use]
pub fn run(seed: u64, options: &RunOptions) -> Outcome {
    if options.strategy.runs() == 1 {
        return Case::draw(seed, options).run(options);
    }
    let (outcome, failing) = explore(seed, options);
    if options.trace.is_some() {
        let _ = failing.unwrap_or_else(|| Case::draw(seed, options)).run(options);
    }
    outcome
}

/// Runs a seed with its strategy and records the run; if the seed has many runs, the failing one or
/// else the first.
#[must_use]
pub fn record(seed: u64, options: &RunOptions, until: RecordUntil) -> Recording {
    Case::of_seed(seed, options).record(options, until)
}

/// Runs a guided seed until a run fails; returns the sum of the runs, and the case of the failing
/// run, which is the last.
fn explore(seed: u64, options: &RunOptions) -> (Outcome, Option<Case>) {
    let options = &RunOptions { trace: None, cores: None, ..options.clone() };
    let mut corpus = Corpus::new();
    let mut case = Case::draw(seed, options);
    let RunResult { outcome: mut whole, abstract_states, .. } = case.execute(options, None, true);
    corpus.learn(&case, &abstract_states);
    for number in 1..options.strategy.runs() {
        if whole.failure.is_some() {
            return (whole, Some(case));
        }
        let own = mix(seed, number);
        let drawn = number < NEW_RUNS_FIRST || number % NEW_RUN_EVERY == 0;
        let from = if drawn { None } else { corpus.pick(own) };
        case = match from {
            Some((known, point)) => known.diverge_at(point, own, options.strategy),
            None => Case::draw(own, options),
        };
        let RunResult { outcome, abstract_states, .. } = case.execute(options, None, true);
        corpus.learn(&case, &abstract_states);
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
    fn a_diverged_run_keeps_the_earlier_plan_and_draws_the_rest() {
        let options = RunOptions::default();
        let at = SimTime::default().after(Duration::from_secs(4));
        let begun = |case: &Case, early: bool| -> Vec<Op> {
            let ops = case.plan.ops.iter();
            ops.filter(|op| (op.when.earliest() < at) == early).cloned().collect()
        };
        let point = RunPoint { at, node: NodeId(1) };
        let mut faults = 0;
        for seed in 0..40 {
            let case = Case::draw(seed, &options);
            let diverged = case.diverge_at(point, seed + 1_000, options.strategy);
            assert_eq!(diverged.settings, case.settings);
            assert_eq!(begun(&diverged, true), begun(&case, true), "seed {seed}");
            let drawn = case.diverge_at(point, seed + 2_000, options.strategy);
            let many = begun(&diverged, false).len() + begun(&drawn, false).len() > 4;
            assert!(!many || begun(&diverged, false) != begun(&drawn, false), "seed {seed}");
            faults += diverged.plan.ops.iter().filter(|op| op.when == When::At(at)).count();
        }
        assert!((20..40).contains(&faults), "{faults} of 40 runs have a fault at that point");
    }

    #[test]
    fn a_run_that_diverges_again_drops_later_seeds() {
        let case = Case::draw(3, &RunOptions::default());
        let part = |case: &Case, micros: u64, seed| {
            let point = RunPoint { at: SimTime(micros * 1_000), node: NodeId(1) };
            case.diverge_at(point, seed, Strategy::Guided)
        };
        let reseeded = |case: &Case| -> Vec<(u32, u64)> {
            case.overrides.iter().map(|(key, seed)| (key.counter, *seed)).collect()
        };
        let twice = part(&part(&case, 500, 7), 900, 8);
        assert_eq!(reseeded(&twice), [(500, 7), (900, 8)]);
        assert_eq!(reseeded(&part(&twice, 600, 9)), [(500, 7), (600, 9)]);
        assert_eq!(reseeded(&part(&twice, 500, 9)), [(500, 9)]);
    }
}
