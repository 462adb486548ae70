//! Chaos runs of a state machine with plain clients: determinism, liveness, linearizability.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Cursor, Read};
use std::rc::Rc;
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::raft::Suspension;
use quorate::types::{Index, ReadLevel};
use quorate_checker::history::{Client, Recorder};
use quorate_checker::model::Model;
use quorate_turmoil::{ChaosRun, Outcome, World, linearizable, sweep};

/// A state machine that counts its commands.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        self.0.to_le_bytes().to_vec()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.to_le_bytes()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// An operation of a client on the counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Count,
    Read,
}

/// The sequential specification of the counter.
struct Specification;

impl Model for Specification {
    type State = u64;
    type Op = Operation;
    type Ret = u64;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &Operation, ret: Option<&u64>) -> Option<u64> {
        let after = state + u64::from(*op == Operation::Count);
        ret.is_none_or(|ret| *ret == after).then_some(after)
    }
}

type History = Recorder<Operation, u64>;

/// Counts and reads until all faults are over. A client whose operation has an unknown outcome
/// continues as another client. With `stale`, it reads whatever its node knows.
async fn count(world: World, mut id: u32, history: History, stale: bool) -> Outcome {
    let client = world.client(|_| {})?;
    while !world.is_stable() {
        let op = if world.random_below(2) == 0 { Operation::Count } else { Operation::Read };
        let pending = history.invoke(Client(id), op.clone());
        let level = if stale { ReadLevel::Local } else { ReadLevel::Linearizable };
        let answer = match op {
            Operation::Count => client.propose(b"count").await.map(|reply| reply.to_vec()),
            Operation::Read => client.read(level, b"").await.map(|reply| reply.answer),
        };
        match answer {
            Ok(bytes) => pending.returned(number(&bytes)?),
            Err(_) => {
                drop(pending);
                id += 100;
            }
        }
        tokio::time::sleep(Duration::from_millis(world.random_below(300))).await;
    }
    Ok(())
}

fn number(bytes: &[u8]) -> Result<u64, Box<dyn Error>> {
    Ok(u64::from_le_bytes(bytes.try_into()?))
}

fn chaos_run(seed: u64, stale: bool) -> ChaosRun {
    let history = History::new();
    let mut run = ChaosRun::new(seed)
        .nodes(3, |_| Counter::default())
        .configure(|config| config.replica.snapshot_entries = 20);
    for id in 0..3 {
        let history = history.clone();
        run = run
            .client(&format!("client{id}"), move |world| count(world, id, history.clone(), stale));
    }
    run.check(move |world| {
        let history = history.clone();
        async move {
            world.client(|_| {})?.propose(b"count").await?;
            linearizable(&Specification, &history)
        }
    })
}

#[test]
fn histories_are_linearizable_in_every_chaos_run() {
    let reports =
        sweep(0..10, |seed| chaos_run(seed, false)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reports.iter().all(|report| report.events > 1_000));
}

#[test]
fn a_seed_replays_the_same_run() {
    // The digests are equal in debug and release builds. A change of messages, or of their times,
    // changes them.
    let digests = [3, 4].map(|seed| {
        let [first, second] = [(); 2].map(|()| chaos_run(seed, false).run());
        assert_eq!(first, second, "seed {seed}");
        first.unwrap_or_else(|failure| panic!("{failure}")).digest
    });
    assert_eq!(
        digests.map(|digest| format!("{digest:016x}")),
        ["eae3429b31d66427", "16ef2460e3863f65"]
    );
}

/// The hasher of a `HashMap` begins with a number that no seed determines.
#[test]
fn a_client_that_the_seed_does_not_determine_is_found() {
    let run = |seed| {
        chaos_run(seed, false).client("careless", |world| async move {
            let numbers: HashMap<u32, u32> = (0..1_000).map(|number| (number, number)).collect();
            world.note(&format!("begins with {:?}", numbers.keys().next()));
            Ok(())
        })
    };
    let failure = sweep(0..1, run).expect_err("the two runs of the first seed differ");
    assert!(failure.sentence.contains("two runs of this seed differ"), "{failure}");
    assert!(failure.sentence.contains("`careless: begins with Some("), "{failure}");
}

#[test]
fn stale_reads_of_a_client_are_found_and_shrunk() {
    let failure = sweep(0..20, |seed| chaos_run(seed, true)).expect_err("stale reads are found");
    assert!(failure.sentence.contains("not linearizable"), "{failure}");
    let text = failure.to_string();
    assert!(text.contains("as a scenario") && text.contains("repeat it: QUORATE_SEEDS="), "{text}");
}

#[test]
fn a_scenario_of_the_simulator_runs() {
    let text = "nodes 3\nlatency 1ms..5ms\nfault phase 6s\nat 1s crash leader keep=part for 1s\n\
                at 3s isolate leader for 2s\n";
    let report =
        chaos_run(1, false).scenario(text).run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.scenario.contains("at 1s crash leader keep=part for 1s"), "{}", report.scenario);
}

/// Runs the scenario, and returns the lines of its events with their times.
fn lines(scenario: &str) -> Vec<(Duration, String)> {
    let run = chaos_run(1, false).scenario(scenario).client("last", |world| async move {
        world.stable().await;
        Err("only a failure has the lines".into())
    });
    let failure = run.run().expect_err("the last client fails");
    assert!(failure.sentence.contains("last: only a failure"), "{failure}");
    let line = |line: &String| {
        let (time, text) = line.trim().split_once("s  ").expect("a line begins with its time");
        (Duration::from_secs_f64(time.parse().expect("a number")), text.to_owned())
    };
    failure.lines.iter().map(line).collect()
}

/// Returns the nodes that began to lead between the times `from` and `to`, in seconds.
fn leaders(lines: &[(Duration, String)], from: u64, to: u64) -> Vec<&str> {
    let time = Duration::from_secs(from)..Duration::from_secs(to);
    let led = lines.iter().filter(|(at, text)| time.contains(at) && text.contains("leads in term"));
    led.map(|(_, text)| &text[..2]).collect()
}

#[test]
fn another_node_leads_while_the_leader_is_paused_or_clogged() {
    for fault in ["pause", "clog"] {
        let lines = lines(&format!(
            "nodes 3\nlatency 1ms..5ms\nfault phase 9s\nat 3s {fault} leader for 3s\n"
        ));
        let first = leaders(&lines, 0, 3);
        let then = leaders(&lines, 3, 6);
        assert!(!first.is_empty() && !then.is_empty(), "{fault}: {lines:?}");
        assert_ne!(first.last(), then.first(), "{fault}: {lines:?}");
    }
}

#[test]
fn a_trigger_fires_at_its_event() {
    let lines = lines(
        "nodes 3\nlatency 1ms..5ms\nfault phase 6s\n\
         when any becomes leader delay 100ms, crash it for 1s\n\
         whenever any restarts times=2, pause it for 500ms\n",
    );
    let led = lines.iter().find(|line| line.1.contains("leads in term"));
    let (at, leader) = led.expect("a node leads");
    let crash = format!("crash it for 1s; it is {}", &leader[..2]);
    let (crashed, _) = lines.iter().find(|line| line.1.contains(&crash)).expect("it crashes");
    let delay = crashed.saturating_sub(*at).as_millis();
    assert!((99..=103).contains(&delay), "{lines:?}");
    let pauses = lines.iter().filter(|line| line.1.contains("pause it for 500ms"));
    assert_eq!(pauses.count(), 1, "{lines:?}");
}

#[test]
fn a_node_restarts_on_a_full_disk() {
    let lines = lines(
        "nodes 3\nlatency 1ms..5ms\nfault phase 9s\nat 2s fill disk n1 for 5s\n\
         at 2s fill disk n2 free=512 for 5s\nat 4s crash n1 for 500ms\n\
         at 8s isolate leader for 500ms\n",
    );
    assert!(lines.iter().any(|line| line.1.contains("fill disk n1")), "{lines:?}");
    let starts = lines.iter().filter(|line| line.1 == "n1  started");
    assert!(starts.count() > 1, "{lines:?}");
}

#[test]
fn a_node_with_a_damaged_disk_is_repaired_by_the_others() {
    let lines = lines(
        "nodes 3\nlatency 1ms..5ms\nfault phase 9s\nat 3s damage entries n1\n\
         at 4s crash n1 for 500ms\nat 7s isolate n2 for 1s\n",
    );
    let is_spared = |line: &(Duration, String)| line.1.contains("nothing on the disk");
    assert!(!lines.iter().any(is_spared), "{lines:?}");
    assert!(!lines.iter().any(|line| line.1.contains("fails because")), "{lines:?}");
    let starts = lines.iter().filter(|line| line.1 == "n1  started");
    assert_eq!(starts.count(), 2, "{lines:?}");
}

#[test]
fn no_entry_is_damaged_in_a_cluster_that_suspends_voters() {
    let after = Duration::from_secs(2);
    let run = chaos_run(1, false)
        .scenario("nodes 3\nfault phase 4s\nat 3s damage entries n1\n")
        .configure(move |config| {
            let suspension = Suspension { after, voters_min: 2, pause: after };
            config.replica.raft.suspension = Some(suspension);
        })
        .client("last", |world| async move {
            world.stable().await;
            Err("only a failure has the lines".into())
        });
    let failure = run.run().expect_err("the last client fails");
    let is_spared = |line: &String| line.contains("nothing on the disk is damaged");
    assert!(failure.lines.iter().any(is_spared), "{failure}");
}

#[test]
fn only_a_minority_of_the_disks_is_corrupt() {
    let lines = lines(
        "nodes 3\nlatency 1ms..5ms\nfault phase 9s\nat 3s corrupt headers n1\n\
         at 3s corrupt superblock n1\nat 3s corrupt headers n2\nat 4s crash n1 for 500ms\n",
    );
    let spared = lines.iter().filter(|line| line.1.contains("nothing on the disk is damaged"));
    assert_eq!(spared.count(), 1, "that of n2: {lines:?}");
}

#[test]
fn clocks_drift_apart() {
    let scenario = "nodes 3\nfault phase 6s\nat 1s clock drift n1 +50000ppm for 4s\n\
                    at 1s clock drift n2 -20000ppm for 4s\n";
    let gained = Rc::new(RefCell::new([0; 3]));
    let gains = Rc::clone(&gained);
    let run = chaos_run(1, false).scenario(scenario).beside(move |node| {
        let gains = Rc::clone(&gains);
        async move {
            let (start, began) = (tokio::time::Instant::now(), node.world.now());
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let gained = start.elapsed().saturating_sub(node.world.now() - began);
                gains.borrow_mut()[node.id.0 as usize - 1] = gained.as_millis();
            }
        }
    });
    run.run().unwrap_or_else(|failure| panic!("{failure}"));
    // Gains are relative to the slowest clock, that of n2: 70000, 0 and 20000 ppm for 4 s.
    for (gained, expected) in gained.borrow().iter().zip([280, 0, 80]) {
        assert!(gained.abs_diff(expected) <= 10, "{gained} ms, expected {expected}");
    }
}

#[test]
fn a_panic_of_a_client_is_a_failure() {
    let run = chaos_run(1, false).client("careless", |_| async { panic!("the bug is planted") });
    let failure = run.run().expect_err("a client panics");
    assert!(failure.sentence.contains("careless panicked: the bug is planted"), "{failure}");
}

#[test]
fn a_client_that_does_not_end_is_found() {
    let run = chaos_run(1, false).client("stuck", |_| std::future::pending());
    let failure = run.run().expect_err("a client does not end");
    assert!(failure.sentence.contains("stuck had not ended"), "{failure}");
}
