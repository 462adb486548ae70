//! Complete runs: a seed has one outcome, with or without checks and traces; overrides remove
//! faults; sweeps inject faults and pass.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use quorate::machine::StateMachine;
use quorate::types::Index;

use quorate_sim::observe::coverage::MARKS;
use quorate_sim::observe::outcome::{Failure, Outcome, Tally};
use quorate_sim::observe::{OpId, Violation};
use quorate_sim::run::{RunOptions, run};
use quorate_sim::settings::profile::Profile;
use quorate_sim::values::choice::{Draw, Key, Kind, Overrides};
use quorate_sim::values::time::SimTime;
use quorate_sim::workload::kv::{Kv, Store};
use quorate_sim::workload::{AnyWorkload, Object, Workload};

fn default_run(seed: u64) -> Outcome {
    run(seed, &RunOptions::default())
}

#[test]
fn a_seed_has_one_outcome() {
    for seed in [0, 16, 17, 18, 19] {
        assert_eq!(default_run(seed), default_run(seed));
    }
}

#[test]
fn different_seeds_give_different_runs() {
    assert_ne!(default_run(1).digest, default_run(2).digest);
}

/// Returns the outcome without the marks that the checks count.
fn unchecked(mut outcome: Outcome) -> Outcome {
    for (mark, count) in MARKS.iter().zip(&mut outcome.marks) {
        if mark.name.starts_with("history/") {
            *count = 0;
        }
    }
    outcome
}

/// Checks and observers do not change a run.
#[test]
fn checks_and_traces_change_nothing() {
    for seed in 26..31 {
        let watched = default_run(seed);
        let unwatched = run(seed, &RunOptions { checks: false, ..RunOptions::default() });
        assert_eq!(unchecked(watched.clone()), unwatched, "seed {seed}");
        let lines = Arc::new(Mutex::new(0u64));
        let count = Arc::clone(&lines);
        let sink = move |_: &str| *count.lock().expect("no one panicked") += 1;
        let options = RunOptions { trace: Some(Arc::new(sink)), ..RunOptions::default() };
        assert_eq!(watched, run(seed, &options), "seed {seed}");
        assert!(*lines.lock().expect("no one panicked") > watched.tally.events / 3);
    }
}

#[test]
fn a_small_sweep_passes_and_is_not_empty() {
    let outcomes: Vec<Outcome> = (100..130).map(default_run).collect();
    let decided = MARKS.iter().position(|mark| mark.name == "history/decided");
    let decided = decided.expect("the mark exists");
    for outcome in &outcomes {
        assert_eq!(outcome.failure, None, "seed {}", outcome.seed);
        assert_eq!(outcome.marks.len(), MARKS.len());
        assert_eq!(outcome.marks[decided], 1, "the history of seed {} is checked", outcome.seed);
    }
    let median = |value: fn(&Outcome) -> u64| {
        let mut values: Vec<u64> = outcomes.iter().map(value).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    assert!(median(|outcome| outcome.tally.commands_committed) >= 100);
    assert!(median(|outcome| outcome.tally.faults.values().sum()) >= 10);
    assert!(median(|outcome| outcome.tally.leader_changes) >= 1);
}

#[test]
fn no_run_reaches_a_mark_beyond_its_profile() {
    for profile in Profile::all() {
        let options = RunOptions { profile, ..RunOptions::default() };
        let outcome = run(1, &options);
        let reached = MARKS.iter().zip(&outcome.marks).filter(|(_, times)| **times > 0);
        for (mark, _) in reached {
            assert!(profile.may_reach(mark.name), "{}: {}", profile.name, mark.name);
        }
    }
}

#[test]
fn the_no_faults_profile_injects_no_fault_and_commits() {
    let profile = Profile::by_name("no-faults").expect("the profile exists");
    for seed in 15..20 {
        let outcome = run(seed, &RunOptions { profile, ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.tally.faults.is_empty(), "seed {seed}: {:?}", outcome.tally.faults);
        assert!(outcome.tally.commands_committed > 0, "seed {seed}");
    }
}

#[test]
fn a_plan_with_every_slot_empty_has_no_planned_fault() {
    let slots = 1..=200;
    let overrides: Overrides =
        slots.map(|slot| (Key { peer: slot, ..Kind::Plan.key() }, 0)).collect();
    for seed in 15..20 {
        let outcome =
            run(seed, &RunOptions { overrides: overrides.clone(), ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        for fault in
            ["partition", "pause", "clock-drift", "clock-step", "bridge", "misroute", "replay"]
        {
            assert_eq!(outcome.tally.faults.get(fault), None, "seed {seed}");
        }
    }
}

#[test]
fn a_longer_length_makes_a_longer_run() {
    let (mut short, mut long) = (Tally::default(), Tally::default());
    for seed in 16..19 {
        short.add(&default_run(seed).tally);
        let outcome = run(seed, &RunOptions { length: 3, ..RunOptions::default() });
        assert_eq!(outcome.failure, None);
        long.add(&outcome.tally);
    }
    assert!(long.simulated > 2 * short.simulated);
    assert!(long.events > 2 * short.events);
}

#[test]
fn the_error_for_an_unknown_profile_lists_the_known_profiles() {
    let error = Profile::by_name("unknown").expect_err("there is none").to_string();
    assert!(error.contains("unknown"));
    assert!(Profile::names().iter().all(|name| error.contains(name)));
}

/// A state machine that counts commands, with a bug.
#[derive(Clone)]
struct Counter {
    count: u64,
    /// The position among all counters that this thread has created.
    number: u64,
    bug: Bug,
}

/// The workload of clients of a [`Counter`].
#[derive(Clone)]
struct Counting {
    bug: Bug,
    expected: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// The counter has no bug.
    None,
    /// The reply depends on the instance.
    Instance,
    /// The reply counts the commands that all instances have executed.
    SharedCount,
    /// A snapshot does not contain the count.
    IncompleteSnapshot,
    /// Every hundredth command is counted twice.
    Hundredth,
}

thread_local! {
    static COUNTERS: Cell<u64> = const { Cell::new(0) };
    static COMMANDS: Cell<u64> = const { Cell::new(0) };
}

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        self.count += 1;
        COMMANDS.set(COMMANDS.get() + 1);
        let odd = match self.bug {
            Bug::Instance => self.number,
            Bug::SharedCount => COMMANDS.get(),
            Bug::Hundredth if self.count.is_multiple_of(100) => 1,
            _ => 0,
        };
        (self.count + odd).to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let kept = if self.bug == Bug::IncompleteSnapshot { 0 } else { self.count };
        Box::new(Cursor::new(kept.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        snapshot.read_exact(&mut count)?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }
}

impl Workload for Counting {
    type Machine = Counter;

    fn machine(&self) -> Counter {
        COUNTERS.set(COUNTERS.get() + 1);
        Counter { count: 0, number: COUNTERS.get(), bug: self.bug }
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn check_reply(&mut self, _: &[u8], reply: &[u8]) -> Result<(), String> {
        self.expected += 1;
        match self.bug {
            Bug::Instance | Bug::SharedCount => Ok(()),
            _ if *reply == self.expected.to_le_bytes() => Ok(()),
            _ => Err(format!("the count is not {}", self.expected)),
        }
    }
}

fn count_with(bug: Bug, profile: &str, seed: u64) -> Outcome {
    let workload = AnyWorkload::new(Counting { bug, expected: 0 });
    let profile = Profile::by_name(profile).expect("the profile exists");
    run(seed, &RunOptions { workload, profile, ..RunOptions::default() })
}

#[track_caller]
fn assert_detected(bug: Bug, profile: &str, id: &str, expected: &str) {
    for seed in 0..3 {
        match count_with(bug, profile, seed).failure {
            Some(Failure::Safety(Violation { id: found, finding, .. })) => {
                let matches = found == id && finding.contains(expected);
                assert!(matches, "seed {seed}: {found} {finding}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

#[test]
fn a_correct_user_machine_passes() {
    for seed in 1..4 {
        assert_eq!(count_with(Bug::None, "default", seed).failure, None, "seed {seed}");
    }
}

#[test]
fn a_machine_that_depends_on_its_instance_is_detected() {
    assert_detected(Bug::Instance, "no-faults", "S26", "but the expected outcome is");
}

#[test]
fn a_machine_that_depends_on_shared_state_is_detected() {
    assert_detected(Bug::SharedCount, "no-faults", "S26", "but the expected outcome is");
}

/// Without faults no node starts from a snapshot.
#[test]
fn an_incomplete_snapshot_is_detected_without_faults() {
    assert_detected(Bug::IncompleteSnapshot, "no-faults", "S26", "a state machine restored from");
}

#[test]
fn a_reply_that_the_workload_rejects_is_detected() {
    assert_detected(Bug::Hundredth, "default", "U1", "the count is not");
}

/// A key-value store that answers queries from an earlier state.
#[derive(Clone)]
struct Stale {
    store: Store,
    earlier: Store,
    /// The number of commands since `earlier`, below [`BEHIND_MAX`].
    behind: u32,
}

/// The workload of clients that expect a correct store from a [`Stale`] one.
#[derive(Clone)]
struct ExpectsStore(Kv);

/// The number of commands after which `earlier` catches up.
const BEHIND_MAX: u32 = 20;

impl StateMachine for Stale {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        self.behind += 1;
        if self.behind == BEHIND_MAX {
            (self.earlier, self.behind) = (self.store.clone(), 0);
        }
        self.store.apply(index, command)
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        self.earlier.query(query)
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        self.store.snapshot()
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.store.restore(snapshot)?;
        self.earlier = self.store.clone();
        Ok(())
    }
}

impl Workload for ExpectsStore {
    type Machine = Stale;

    fn machine(&self) -> Stale {
        Stale { store: Store::default(), earlier: Store::default(), behind: 0 }
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.0.command(op, draw)
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.0.query(op, draw)
    }

    fn object(&self) -> Option<Object> {
        self.0.object()
    }
}

/// The log and the states of the nodes are correct; only the clients' history is not linearizable.
#[test]
fn a_stale_reply_ends_the_run_at_once() {
    let profile = Profile::by_name("no-faults").expect("the profile exists");
    for seed in 15..20 {
        let workload = AnyWorkload::new(ExpectsStore(Kv::new(8, 24)));
        let correct = RunOptions { profile, ..RunOptions::default() };
        let outcome = run(seed, &RunOptions { workload, ..correct.clone() });
        let Some(Failure::Safety(Violation { id, finding, at, .. })) = outcome.failure else {
            panic!("seed {seed}: {:?}", outcome.failure);
        };
        assert_eq!(id, "S20", "seed {seed}: {finding}");
        assert!(
            finding.starts_with("operation ") && finding.contains(", get "),
            "seed {seed}: {finding}"
        );
        assert_eq!(outcome.tally.simulated, at.since(SimTime::default()), "the run stops there");
        let whole = run(seed, &correct).tally.simulated;
        assert!(outcome.tally.simulated * 2 < whole, "seed {seed}: {at} of {whole:?}");
    }
}

#[test]
fn a_command_that_is_longer_than_its_workload_says_is_named() {
    // The values have up to 200 bytes, and the workload keeps the default of 64.
    let workload = AnyWorkload::new(ExpectsStore(Kv::new(8, 200)));
    let outcome = run(0, &RunOptions { workload, ..RunOptions::default() });
    let Some(Failure::Panic(text)) = outcome.failure else { panic!("{:?}", outcome.failure) };
    assert!(text.contains("`Workload::command_bytes_max` is 64"), "{text}");
}
