//! The job queue of `docs/SERVICE.md` in chaos runs: no acknowledged job is lost or doubled, and
//! every one is finished.

mod service;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_turmoil::{ChaosRun, Outcome, World, sweep};
use tokio::time::sleep;

use crate::service::{Client, Jobs, Server};

const NODES: u8 = 3;
const PORT: u16 = 8080;

/// The jobs that the clients submitted, each with its outcome: the number of an acknowledged job.
type Submitted = Rc<RefCell<BTreeMap<String, Option<String>>>>;

/// Returns a client of the queue, which asks the nodes in an order of its own.
fn client(world: &World) -> Client {
    let mut nodes: Vec<SocketAddr> =
        (1..=NODES).map(|id| SocketAddr::new(turmoil::lookup(format!("n{id}")), PORT)).collect();
    nodes.rotate_left(world.random_below(NODES.into()) as usize);
    Client { nodes }
}

/// Submits jobs until all faults are over.
async fn submit(world: World, submitted: Submitted) -> Outcome {
    let client = client(&world);
    for number in 0.. {
        if world.is_stable() {
            break;
        }
        let text = format!("{}-{number}", world.host());
        let reply = client.call(&format!("submit {text}")).await;
        submitted.borrow_mut().insert(text, reply);
        sleep(Duration::from_millis(world.random_below(400))).await;
    }
    Ok(())
}

/// Works on jobs. A crash loses what a worker knows, but not its leases.
async fn work(world: World) -> Outcome {
    let clock = || world.now().as_millis() as u64;
    let client = client(&world);
    client.work(clock, async |_| sleep(Duration::from_millis(world.random_below(300))).await).await;
    Ok(())
}

/// Waits until every job is finished, and compares the queue with what the clients know.
async fn check(world: World, submitted: Submitted) -> Outcome {
    let client = client(&world);
    let queue = loop {
        let queue = client.call("").await.ok_or("a read has an outcome")?;
        if queue.lines().all(|line| line.split(' ').nth(3) == Some("true")) {
            break queue;
        }
        sleep(Duration::from_millis(500)).await;
    };
    let mut found = BTreeMap::<&str, Vec<&str>>::new();
    for line in queue.lines() {
        let parts: Vec<&str> = line.splitn(5, ' ').collect();
        found.entry(parts[4]).or_default().push(parts[0]);
    }
    for (text, number) in &*submitted.borrow() {
        let numbers = found.remove(text.as_str()).unwrap_or_default();
        if numbers.len() > 1 {
            return Err(format!("{text} was submitted once, and is jobs {numbers:?}").into());
        }
        if let Some(number) = number
            && numbers != [number.as_str()]
        {
            return Err(format!("{text} is job {number}, but the queue has {numbers:?}").into());
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("no client submitted {found:?}").into()) }
}

fn chaos_run(seed: u64, unknown_is_busy: bool) -> ChaosRun {
    let submitted = Submitted::default();
    let mut run = ChaosRun::new(seed)
        .nodes(NODES, |_| Jobs::default())
        .configure(|config| config.replica.snapshot_entries = 50)
        .beside(move |node| async move {
            Ok(Server { handle: node.handle, unknown_is_busy }.run(PORT).await?)
        })
        .service("worker1", work)
        .service("worker2", work);
    for name in ["client1", "client2"] {
        let submitted = Rc::clone(&submitted);
        run = run.client(name, move |world| submit(world, Rc::clone(&submitted)));
    }
    run.check(move |world| check(world, Rc::clone(&submitted)))
}

#[test]
fn no_command_panics_or_makes_a_snapshot_that_cannot_be_restored() {
    let mut jobs = Jobs::default();
    let far = format!("lease {}", u64::MAX);
    for (command, reply) in [
        ("submit a\nb", "malformed"),
        ("submit a\r", "malformed"),
        ("submit a b", "1"),
        (far.as_str(), "1 1"),
        ("finish 1 1", "finished"),
    ] {
        assert_eq!(jobs.apply(Index(1), command.as_bytes()), reply.as_bytes(), "{command:?}");
    }
    let mut restored = Jobs::default();
    restored.restore(&mut jobs.snapshot()).expect("it is a snapshot");
    assert_eq!(restored.query(b""), jobs.query(b""));
}

#[test]
fn no_job_is_lost_or_doubled_in_a_chaos_run() {
    let reports =
        sweep(0..5, |seed| chaos_run(seed, false)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reports.iter().all(|report| report.events > 1_000));
}

#[test]
fn an_unknown_outcome_that_is_reported_as_rejected_is_found() {
    let failure = sweep(0..100, |seed| chaos_run(seed, true)).expect_err("the bug is planted");
    assert!(failure.sentence.contains("was submitted once"), "{failure}");
    println!("{failure}");
}
