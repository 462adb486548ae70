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
    /// Choices that are given instead of drawn.
    pub overrides: Overrides,
    /// Whether the checks watch. They change nothing but the failure and the marks `history/…`.
    pub checks: bool,
    /// Where to write one line per event: `time node role term last/durable/committed/applied
    /// event`.
    pub trace: Option<TraceSink>,
    /// How many times longer than usual the storm lasts; at least 1.
    pub length: u32,
    /// What the cluster replicates, and what its clients ask for.
    pub workload: AnyWorkload,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            profile: <&Profile>::default(),
            overrides: Overrides::new(),
            checks: true,
            trace: None,
            length: 1,
            workload: AnyWorkload::new(Kv::new(8, 24)),
        }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("profile", &self.profile.name)
            .field("overrides", &self.overrides)
            .field("checks", &self.checks)
            .field("trace", &self.trace.is_some())
            .field("length", &self.length)
            .finish()
    }
}

/// Runs `seed` to its end, or to the first thing that goes wrong.
#[must_use]
pub fn run(seed: u64, options: &RunOptions) -> Outcome {
    run_plan(seed, draw(seed, options), options, None).0
}

/// Runs `seed` as [`run`] does and takes down what happens: to its end, or as far as it is wanted.
///
/// # Panics
/// Never: a recorded run has a recording.
#[must_use]
pub fn record(seed: u64, options: &RunOptions, until: Until) -> Recording {
    let drawn = draw(seed, options);
    let nodes = (1..=drawn.settings.nodes()).map(|id| NodeId(id.into())).collect();
    let (membership, plan) = (drawn.settings.formatted(), drawn.plan.ops.clone());
    let recorder = Recorder::new(nodes, membership, plan, until);
    let (outcome, recorded) = run_plan(seed, drawn, options, Some(recorder));
    let (record, peers) = recorded.expect("it was recorded");
    Recording { outcome, record, peers }
}

/// What a seed comes to before anything happens.
struct Drawn {
    settings: Settings,
    plan: Plan,
    choices: Choices,
}

fn draw(seed: u64, options: &RunOptions) -> Drawn {
    let choices = Choices::new(seed, options.overrides.clone());
    let settings = Settings::draw(
        options.profile,
        &choices,
        options.length.max(1),
        options.workload.command_bytes_max(),
    );
    let plan = Plan::draw(&settings, &choices);
    Drawn { settings, plan, choices }
}

/// What was recorded, and how each leader sees its peers at the end of it.
type Recorded = (Record, Vec<(NodeId, Vec<PeerStatus>)>);

/// Runs a given plan in a given cluster.
fn run_plan(
    seed: u64,
    Drawn { settings, plan, choices }: Drawn,
    options: &RunOptions,
    recorder: Option<Recorder>,
) -> (Outcome, Option<Recorded>) {
    if let Some(trace) = &options.trace {
        trace(&settings.to_string());
        plan.ops.iter().for_each(|op| trace(&op.to_string()));
    }
    let checks = options.checks.then_some(&options.workload);
    let mut witness = Witness::new(&settings, checks, options.trace.clone(), recorder);
    let mut world = World::new(settings, options.workload.clone(), plan, choices);
    let end = catch_unwind(AssertUnwindSafe(|| world.run(&mut witness)));
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
    (Outcome { seed, digest: world.digest(), tally, marks, failure }, recorded)
}
