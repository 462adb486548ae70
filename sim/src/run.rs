//! One seed, from its first choice to its outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate::raft::PeerStatus;
use quorate::types::NodeId;

use crate::choice::{Choices, Overrides};
use crate::outcome::{Failure, Outcome};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::record::{Record, Recorder, Recording, Until};
use crate::rung::Rung;
use crate::settings::Settings;
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

    /// Runs it to its end, or to the first thing that goes wrong, with the workload, the checks and
    /// the trace that `options` name; what else they name is decided.
    #[must_use]
    pub fn run(&self, options: &RunOptions) -> Outcome {
        self.go(options, None).0
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
        let (outcome, recorded) = self.go(options, Some(recorder));
        let (record, peers) = recorded.expect("it was recorded");
        Recording { outcome, record, peers }
    }

    fn go(&self, options: &RunOptions, recorder: Option<Recorder>) -> (Outcome, Option<Recorded>) {
        let Case { seed, settings, plan, overrides } = self.clone();
        if let Some(trace) = &options.trace {
            trace(&settings.to_string());
            plan.ops.iter().for_each(|op| trace(&op.to_string()));
        }
        let checks = options.checks.then_some(&options.workload);
        let mut witness = Witness::new(&settings, checks, options.trace.clone(), recorder);
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
        let (tally, marks) = witness.results();
        let (digest, sightings) = (world.digest(), world.sightings());
        (Outcome { seed, digest, tally, marks, sightings, failure }, recorded)
    }
}

/// Draws the case of `seed` and runs it.
#[must_use]
pub fn run(seed: u64, options: &RunOptions) -> Outcome {
    Case::draw(seed, options).run(options)
}

/// Draws the case of `seed` and records it.
#[must_use]
pub fn record(seed: u64, options: &RunOptions, until: Until) -> Recording {
    Case::draw(seed, options).record(options, until)
}
