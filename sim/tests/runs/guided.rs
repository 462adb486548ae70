//! The strategy `guided`: a seed is many runs that continue from rare states of earlier runs, and
//! has one outcome.

use std::io::{self, Cursor, Read};
use std::num::NonZeroUsize;
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::types::Index;

use quorate_sim::observe::OpId;
use quorate_sim::observe::outcome::Outcome;
use quorate_sim::record::{Event, RecordUntil};
use quorate_sim::run::sweep::{Seeds, Sweep};
use quorate_sim::run::{Case, RunOptions, record, run};
use quorate_sim::scenario::Scenario;
use quorate_sim::settings::strategy::Strategy;
use quorate_sim::values::choice::{Draw, Key, Kind, Overrides};
use quorate_sim::values::time::SimTime;
use quorate_sim::workload::{AnyWorkload, Workload};

/// Options for short runs, because a seed has many of them.
fn guided() -> RunOptions {
    RunOptions { strategy: Strategy::Guided, events_max: 2_000, ..RunOptions::default() }
}

#[test]
fn a_seed_has_one_outcome_and_counts_its_abstract_states() {
    for seed in 0..3 {
        let outcome = run(seed, &guided());
        assert_eq!(outcome, run(seed, &guided()), "seed {seed}");
        assert_eq!((outcome.seed, &outcome.failure), (seed, &None));
        assert!(outcome.states.count() > 100, "seed {seed}: {}", outcome.states.count());
        let nemeses = run(seed, &RunOptions { strategy: Strategy::Nemeses, ..guided() });
        assert_eq!(nemeses.states.count(), 0, "seed {seed}: states are counted for `guided` only");
        assert!(outcome.tally.events > 20 * nemeses.tally.events, "seed {seed}: not many runs");
    }
}

#[test]
fn a_sweep_is_the_same_on_any_number_of_threads() {
    let swept = |jobs| {
        let mut outcomes = Vec::new();
        let sweep = Sweep {
            seeds: &Seeds::all(10..=12),
            jobs: NonZeroUsize::new(jobs).expect("some"),
            run: &|seed| run(seed, &guided()),
            recheck_every: 100,
            failures_max: 1,
            stable_after: None,
            interrupt: &|| None,
            cpu_time: &|| Duration::ZERO,
        };
        sweep.run_all(&mut |run| outcomes.push(run.outcome.clone()));
        outcomes
    };
    let alone = swept(1);
    assert_eq!(alone.len(), 3);
    assert_eq!(alone, swept(2));
}

/// A counter with one wrong reply, late in the run.
#[derive(Clone)]
struct Late(u64);

/// The command with the wrong reply.
const LATE: u64 = 60;

impl StateMachine for Late {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        (self.0 + u64::from(self.0 == LATE)).to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        snapshot.read_exact(&mut count)?;
        self.0 = u64::from_le_bytes(count);
        Ok(())
    }
}

/// The workload of clients that count the commands themselves.
#[derive(Clone)]
struct Counting(u64);

impl Workload for Counting {
    type Machine = Late;

    fn machine(&self) -> Late {
        Late(0)
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn check_reply(&mut self, _: &[u8], reply: &[u8]) -> Result<(), String> {
        self.0 += 1;
        match *reply == self.0.to_le_bytes() {
            true => Ok(()),
            false => Err(format!("the count is not {}", self.0)),
        }
    }
}

/// Returns the outcome and the case of a seed that fails in a run that continues from another run.
fn failing(options: &RunOptions) -> (Outcome, Case) {
    let failing = |seed| {
        let case = Case::of_seed(seed, options);
        let continues = case.overrides.keys().any(|key| key.kind == Kind::Reseed);
        continues.then(|| (run(seed, options), case))
    };
    (0..40).find_map(failing).expect("one of the seeds fails late")
}

#[test]
fn a_failing_guided_run_can_be_replayed() {
    let workload = AnyWorkload::new(Counting(0));
    let options = RunOptions { workload, ..guided() };
    let (outcome, case) = failing(&options);
    let failure = outcome.failure.clone();
    assert!(failure.is_some(), "seed {} has a run that fails", outcome.seed);
    assert_eq!(case.run(&options).failure, failure);
    let recording = record(outcome.seed, &options, RecordUntil::End);
    assert_eq!(recording.outcome.failure, failure);
    let scenario = Scenario::of(case.clone(), Vec::new(), &options.workload);
    let read = Scenario::read(&scenario.to_string(), &options.workload);
    let read = read.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.case.overrides, case.overrides);
    assert_eq!(read.case.run(&options).failure, failure);
}

#[test]
fn a_reseed_changes_no_earlier_event() {
    let at_micros = 2_000_000;
    let until = RecordUntil::Time(SimTime(u64::from(at_micros) * 1_000));
    let lines_before = |seed, options: &RunOptions| -> Vec<String> {
        let record = record(seed, options, until).record;
        let before = |event: &Event| event.at.0 / 1_000 < at_micros.into();
        let earlier = record.all().take_while(|(_, event)| before(event));
        earlier.map(|(id, _)| record.line(id)).collect()
    };
    for seed in 16..20 {
        let key = Key { counter: at_micros, ..Kind::Reseed.key() };
        let overrides = |seed| Overrides::from([(key, seed)]);
        let reseeded = |to| RunOptions { overrides: overrides(to), ..RunOptions::default() };
        let (plain, redrawn) = (RunOptions::default(), reseeded(77));
        let outcome = run(seed, &plain);
        assert_eq!(run(seed, &reseeded(0)), outcome, "0 changes nothing");
        assert_ne!(run(seed, &redrawn).digest, outcome.digest, "seed {seed}");
        let lines = lines_before(seed, &plain);
        assert!(lines.len() > 100, "seed {seed}: too few events before the reseed");
        assert_eq!(lines, lines_before(seed, &redrawn), "seed {seed}");
    }
}
