//! Whole runs: the same seed gives the same outcome, whoever watches; overrides simplify; the
//! storms are neither empty nor failing.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use quorate::machine::StateMachine;
use quorate::types::Index;

use quorate_sim::choice::{Draw, Key, Kind, Overrides};
use quorate_sim::coverage::MARKS;
use quorate_sim::observe::{OpId, Violation};
use quorate_sim::outcome::{Failure, Outcome, Tally};
use quorate_sim::profile::Profile;
use quorate_sim::run::{RunOptions, run};
use quorate_sim::time::SimTime;
use quorate_sim::workload::kv::{Kv, Store};
use quorate_sim::workload::{AnyWorkload, Object, Workload};

fn default_run(seed: u64) -> Outcome {
    run(seed, &RunOptions::default())
}

#[test]
fn a_seed_has_one_outcome() {
    for seed in 0..10 {
        assert_eq!(default_run(seed), default_run(seed));
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(default_run(1).digest, default_run(2).digest);
}

/// The outcome without the marks of what the checks themselves came to.
fn unchecked(mut outcome: Outcome) -> Outcome {
    for (mark, count) in MARKS.iter().zip(&mut outcome.marks) {
        if mark.name.starts_with("history/") {
            *count = 0;
        }
    }
    outcome
}

/// S32: whoever watches changes nothing.
#[test]
fn checks_and_traces_change_nothing() {
    for seed in 20..30 {
        let watched = default_run(seed);
        let unwatched = run(seed, &RunOptions { checks: false, ..RunOptions::default() });
        assert_eq!(unchecked(watched.clone()), unwatched, "seed {seed}");
        let lines = Arc::new(Mutex::new(0u64));
        let count = Arc::clone(&lines);
        let sink = move |_: &str| *count.lock().expect("no one panicked") += 1;
        let options = RunOptions { trace: Some(Arc::new(sink)), ..RunOptions::default() };
        assert_eq!(watched, run(seed, &options), "seed {seed}");
        assert!(*lines.lock().expect("no one panicked") > watched.tally.events / 2);
    }
}

#[test]
fn a_small_sweep_passes_and_is_not_empty() {
    let outcomes: Vec<Outcome> = (100..160).map(default_run).collect();
    for outcome in &outcomes {
        assert_eq!(outcome.failure, None, "seed {}", outcome.seed);
        assert_eq!(outcome.marks.len(), MARKS.len());
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
fn the_calm_profile_meets_no_fault_and_keeps_its_leader() {
    let profile = Profile::by_name("calm").expect("the profile exists");
    for seed in 0..10 {
        let outcome = run(seed, &RunOptions { profile, ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.tally.faults.is_empty(), "seed {seed}: {:?}", outcome.tally.faults);
        assert!(outcome.tally.commands_committed > 0, "seed {seed}");
    }
}

#[test]
fn emptying_every_slot_of_the_plan_leaves_no_planned_fault() {
    let slots = 1..=200;
    let overrides: Overrides =
        slots.map(|slot| (Key { peer: slot, ..Kind::Plan.key() }, 0)).collect();
    for seed in 0..5 {
        let outcome =
            run(seed, &RunOptions { overrides: overrides.clone(), ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        for planned in ["partition", "pause", "drift", "jump", "bridge", "stray", "replay"] {
            assert_eq!(outcome.tally.faults.get(planned), None, "seed {seed}");
        }
    }
}

#[test]
fn a_longer_run_is_longer() {
    let (mut short, mut long) = (Tally::default(), Tally::default());
    for seed in 0..6 {
        short.add(&default_run(seed).tally);
        let outcome = run(seed, &RunOptions { length: 3, ..RunOptions::default() });
        assert_eq!(outcome.failure, None);
        long.add(&outcome.tally);
    }
    assert!(long.simulated > 2 * short.simulated);
    assert!(long.events > 2 * short.events);
}

#[test]
fn an_unknown_profile_is_named_with_those_that_exist() {
    let error = Profile::by_name("stormy").expect_err("there is none").to_string();
    assert!(error.contains("stormy"));
    assert!(Profile::names().iter().all(|name| error.contains(name)));
}

/// Counts commands; what is wrong with it is up to its clients.
#[derive(Clone)]
struct Counter {
    count: u64,
    /// Which of all the counters of this thread it is.
    number: u64,
    flaw: Flaw,
}

/// Clients of a [`Counter`].
#[derive(Clone)]
struct Counting {
    flaw: Flaw,
    followed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// All is well.
    None,
    /// The reply says which counter it is.
    Number,
    /// The reply says how many commands all counters together have carried out.
    Together,
    /// A snapshot leaves out the count.
    Forgets,
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
        let odd = match self.flaw {
            Flaw::Number => self.number,
            Flaw::Together => COMMANDS.get(),
            Flaw::Hundredth if self.count.is_multiple_of(100) => 1,
            _ => 0,
        };
        (self.count + odd).to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        let kept = if self.flaw == Flaw::Forgets { 0 } else { self.count };
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
        Counter { count: 0, number: COUNTERS.get(), flaw: self.flaw }
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn check_reply(&mut self, _: &[u8], reply: &[u8]) -> Result<(), String> {
        self.followed += 1;
        match self.flaw {
            Flaw::Number | Flaw::Together => Ok(()),
            _ if *reply == self.followed.to_le_bytes() => Ok(()),
            _ => Err(format!("the count is not {}", self.followed)),
        }
    }
}

fn count_with(flaw: Flaw, profile: &str, seed: u64) -> Outcome {
    let workload = AnyWorkload::new(Counting { flaw, followed: 0 });
    let profile = Profile::by_name(profile).expect("the profile exists");
    run(seed, &RunOptions { workload, profile, ..RunOptions::default() })
}

#[track_caller]
fn assert_finds(flaw: Flaw, profile: &str, number: &str, saw: &str) {
    for seed in 0..3 {
        match count_with(flaw, profile, seed).failure {
            Some(Failure::Safety(Violation { number: found, saw: text, .. })) => {
                assert!(found == number && text.contains(saw), "seed {seed}: {found} {text}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

#[test]
fn a_users_machine_without_a_flaw_passes() {
    for seed in 0..3 {
        assert_eq!(count_with(Flaw::None, "default", seed).failure, None, "seed {seed}");
    }
}

#[test]
fn a_machine_that_depends_on_which_one_it_is_is_found() {
    assert_finds(Flaw::Number, "calm", "S26", "where the log leads to");
}

#[test]
fn a_machine_that_depends_on_what_others_do_is_found() {
    assert_finds(Flaw::Together, "calm", "S26", "where the log leads to");
}

/// In calm weather no node ever starts from a snapshot.
#[test]
fn a_snapshot_that_leaves_something_out_is_found_in_calm_weather() {
    assert_finds(Flaw::Forgets, "calm", "S26", "restored from the snapshot");
}

#[test]
fn what_the_workload_knows_better_is_found() {
    assert_finds(Flaw::Hundredth, "default", "U1", "the count is not");
}

/// A store that answers queries from an earlier state.
#[derive(Clone)]
struct Forgetful {
    store: Store,
    earlier: Store,
    /// How many commands it is behind; then it catches up.
    behind: u32,
}

/// Clients of a [`Forgetful`] store, who believe in a store.
#[derive(Clone)]
struct Believing(Kv);

/// How many commands it may be behind at most.
const BEHIND_MAX: u32 = 20;

impl StateMachine for Forgetful {
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

impl Workload for Believing {
    type Machine = Forgetful;

    fn machine(&self) -> Forgetful {
        Forgetful { store: Store::default(), earlier: Store::default(), behind: 0 }
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

/// What the log and the nodes' states show is right; only the clients' history is not.
#[test]
fn an_answer_that_is_too_old_ends_the_run_at_once() {
    let profile = Profile::by_name("calm").expect("the profile exists");
    for seed in 0..5 {
        let believing = AnyWorkload::new(Believing(Kv::new(8, 24)));
        let honest = RunOptions { profile, ..RunOptions::default() };
        let outcome = run(seed, &RunOptions { workload: believing, ..honest.clone() });
        let Some(Failure::Safety(Violation { number, saw, at, .. })) = outcome.failure else {
            panic!("seed {seed}: {:?}", outcome.failure);
        };
        assert_eq!(number, "S20", "seed {seed}: {saw}");
        assert!(saw.starts_with("operation ") && saw.contains(", get "), "seed {seed}: {saw}");
        assert_eq!(outcome.tally.simulated, at.since(SimTime::default()), "the run stops there");
        let whole = run(seed, &honest).tally.simulated;
        assert!(outcome.tally.simulated * 2 < whole, "seed {seed}: {at} of {whole:?}");
    }
}

#[test]
fn the_clients_of_every_run_are_listened_to() {
    let place = MARKS.iter().position(|mark| mark.name == "history/streamed");
    let place = place.expect("there is such a mark");
    for seed in 0..10 {
        assert_eq!(default_run(seed).marks[place], 1, "seed {seed}");
    }
}
