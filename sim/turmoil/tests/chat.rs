//! The chat of `examples/systems` in chaos runs: its nodes, and users who send and receive with
//! its client, whose state files outlive their crashes. Every message is shown once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use quorate::runtime::{Client, ServerConfig};
use quorate::types::NodeId;
use quorate_systems::chat::node;
use quorate_systems::common::calls::{ATTEMPT_MAX, Calls};
use quorate_systems::common::exit::{CommandError, Exit};
use quorate_systems::common::messaging::machine::MessageStore;
use quorate_systems::common::messaging::message::{Mode, Query, Reply};
use quorate_systems::common::messaging::user::{Received, User, UserComputer};
use quorate_turmoil::{ChaosRun, Outcome, World, sweep};
use tokio::time::sleep;

const NODES: u8 = 3;
/// The time limit of a command, which is the default of the chat's client.
const COMMAND_MAX: Duration = Duration::from_secs(10);
/// The interval at which the prompt of the chat polls for messages.
const RECEIVE_INTERVAL: Duration = Duration::from_millis(500);
/// The time that a terminal takes to show a line.
const TERMINAL: Duration = Duration::from_millis(200);

/// The files of a user's computer and the screen of its terminal, which no crash erases.
#[derive(Clone, Default)]
struct Computer {
    files: Rc<RefCell<BTreeMap<String, String>>>,
    locks: Rc<RefCell<BTreeSet<String>>>,
    shown: Rc<RefCell<Vec<String>>>,
}

/// The computer in one run of the client.
struct Process {
    computer: Computer,
    world: World,
    client: Client,
}

/// The texts that were sent, each with its outcome.
type Sent = Rc<RefCell<Vec<(String, Result<u64, Exit>)>>>;

/// A lock that a client at the computer holds.
struct Lock(Computer, String);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.locks.borrow_mut().remove(&self.1);
    }
}

impl UserComputer for Process {
    type Lock = Lock;

    fn read(&self, file: &str) -> Option<String> {
        self.computer.files.borrow().get(file).cloned()
    }

    fn write(&self, file: &str, text: &str) -> Result<(), CommandError> {
        self.computer.files.borrow_mut().insert(file.to_owned(), text.to_owned());
        Ok(())
    }

    fn remove(&self, file: &str) {
        self.computer.files.borrow_mut().remove(file);
    }

    fn try_lock(&self, name: &str) -> Result<Option<Lock>, CommandError> {
        let is_free = self.computer.locks.borrow_mut().insert(name.to_owned());
        Ok(is_free.then(|| Lock(self.computer.clone(), name.to_owned())))
    }

    fn random(&self) -> u64 {
        self.world.random_below(u64::MAX)
    }
}

impl Process {
    /// Starts the client; creates the account and logs in, unless the state files have a session.
    async fn start(
        world: &World,
        name: &str,
        computer: Computer,
    ) -> Result<Process, Box<dyn Error>> {
        let client = world.client(|config| {
            (config.deadline, config.attempt_max) = (COMMAND_MAX, ATTEMPT_MAX);
        })?;
        let process = Process { computer, world: world.clone(), client };
        while process.user().session().is_err() {
            // An earlier attempt may have created the account.
            let _ = process.user().create(name.to_owned()).await;
            if process.user().log_in(name).await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(process)
    }

    fn user(&self) -> User<'_, Process> {
        User::new(Calls::new(&self.client, &|| {}), self, None)
    }

    /// Receives messages once and shows them; with `buffers`, which is a planted bug, the terminal
    /// confirms a message before it shows it.
    async fn receive(&self, buffers: bool) -> Result<Received, CommandError> {
        let receiving = self.user();
        let shown = &self.computer.shown;
        receiving
            .receive(|mail| {
                let (shown, text) = (Rc::clone(shown), mail.text.clone());
                if buffers {
                    tokio::task::spawn_local(async move {
                        sleep(TERMINAL).await;
                        shown.borrow_mut().push(text);
                    });
                } else {
                    shown.borrow_mut().push(text);
                }
                Ok(())
            })
            .await
    }

    /// Returns true if no message waits.
    async fn has_all(&self) -> Result<bool, CommandError> {
        let query = Query::Waiting { session: self.user().session()?, after: 0 };
        let reply = self.user().read(&query).await?;
        Ok(matches!(reply, Reply::Messages(waiting, _) if waiting.is_empty()))
    }
}

/// Sends messages until all faults are over.
async fn send(world: World, sent: Sent) -> Outcome {
    let process = Process::start(&world, "ann", Computer::default()).await?;
    for number in 0.. {
        if world.is_stable() {
            break;
        }
        let text = format!("message {number}");
        let outcome = process.user().send("bob".to_owned(), text.clone()).await;
        sent.borrow_mut().push((text, outcome.map_err(|error| error.exit)));
        sleep(Duration::from_millis(world.random_below(200))).await;
    }
    Ok(())
}

/// Receives messages until the host crashes.
async fn receive(world: World, computer: Computer, buffers: bool) -> Outcome {
    let process = Process::start(&world, "bob", computer).await?;
    loop {
        // Errors are ignored, as in the prompt: the next poll retries.
        let _ = process.receive(buffers).await;
        sleep(RECEIVE_INTERVAL).await;
    }
}

/// Waits until no message waits, and compares what bob saw with what ann sent.
async fn check(world: World, computer: Computer, sent: Sent) -> Outcome {
    let process = Process::start(&world, "bob", computer.clone()).await?;
    while !matches!(process.has_all().await, Ok(true)) {
        sleep(Duration::from_millis(100)).await;
    }
    // The terminal may still show the last ones.
    sleep(TERMINAL * 2).await;
    let mut shown = BTreeMap::<String, usize>::new();
    for text in &*computer.shown.borrow() {
        *shown.entry(text.clone()).or_default() += 1;
    }
    for (text, outcome) in &*sent.borrow() {
        let count = shown.remove(text).unwrap_or(0);
        let is_right = match outcome {
            Ok(_) => count == 1,
            Err(Exit::Unknown) => count <= 1,
            Err(_) => count == 0,
        };
        if !is_right {
            return Err(format!(
                "sending `{text}` had the outcome {outcome:?}, and it was shown {count} times"
            )
            .into());
        }
    }
    if shown.is_empty() { Ok(()) } else { Err(format!("no client sent {shown:?}").into()) }
}

/// Configures a node as the chat does, with snapshots often.
fn configure(config: &mut ServerConfig) -> MessageStore {
    config.replica.snapshot_entries = 50;
    let ids = (1..=u64::from(NODES)).map(NodeId).collect();
    node::configure(config, ids, Mode::Majority)
}

fn chaos_run(seed: u64, buffers: bool) -> ChaosRun {
    let (computer, sent) = (Computer::default(), Sent::default());
    let (bobs, anns) = (computer.clone(), Rc::clone(&sent));
    ChaosRun::new(seed)
        .nodes(NODES, |_| MessageStore::default())
        .configure(|config| drop(configure(config)))
        .service("bob", move |world| receive(world, bobs.clone(), buffers))
        .client("ann", move |world| send(world, Rc::clone(&anns)))
        .check(move |world| check(world, computer.clone(), Rc::clone(&sent)))
}

#[test]
fn every_message_is_shown_once_in_a_chaos_run() {
    let reports =
        sweep(0..5, |seed| chaos_run(seed, false)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reports.iter().all(|report| report.events > 1_000 && report.core_facts > 100));
}

#[test]
fn a_terminal_that_shows_later_than_it_says_is_found() {
    let failure = sweep(0..100, |seed| chaos_run(seed, true)).expect_err("the bug is planted");
    assert!(failure.sentence.contains("shown 0 times"), "{failure}");
    let faults: Vec<&str> = failure
        .scenario
        .lines()
        .filter(|line| line.contains(" crash ") || line.contains(" pause "))
        .collect();
    assert!(failure.scenario.contains("crash n4"), "{failure}");
    assert!(faults.len() <= 3, "{failure}");
}
