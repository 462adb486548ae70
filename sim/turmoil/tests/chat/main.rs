//! The chat of `examples/systems` in chaos runs: its state machine and its protocol, and a sender
//! and a receiver that do what its client does, with state files that outlive their crashes. Every
//! message is shown once and in order.

#[allow(dead_code, unreachable_pub, reason = "its sources are the chat's")]
#[path = "../../../../examples/systems/src/common/codec.rs"]
mod codec;
#[allow(dead_code, unreachable_pub, reason = "its sources are the chat's")]
#[path = "../../../../examples/systems/src/common/messaging/machine.rs"]
mod machine;
#[allow(dead_code, unreachable_pub, reason = "its sources are the chat's")]
#[path = "../../../../examples/systems/src/common/messaging/message.rs"]
mod message;
#[allow(dead_code, unreachable_pub, reason = "its sources are the chat's")]
#[path = "../../../../examples/systems/src/common/rows.rs"]
mod rows;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use quorate::runtime::Client;
use quorate::types::ReadLevel;
use quorate_turmoil::{ChaosRun, Outcome, World, sweep};
use tokio::time::sleep;

use crate::machine::MessageStore;
use crate::message::{Command, Query, RejectReason, Reply, Session};

/// The names under which the sources of the chat know one another.
mod common {
    pub(crate) use crate::{codec, rows};
    pub(crate) mod messaging {
        pub(crate) use crate::message;
    }
}

/// The state files of a user's machine, which its crashes do not touch, and what it has shown.
#[derive(Default)]
struct Machine {
    session: Option<Session>,
    /// The number of the last message that was shown.
    seen: u64,
    shown: Vec<String>,
}

/// The texts of the sent messages in order, and whether the chat has acknowledged each.
type Sent = Rc<RefCell<Vec<(String, bool)>>>;

/// The client of a user.
struct User {
    client: Client,
    machine: Rc<RefCell<Machine>>,
}

impl User {
    /// Starts the client; creates the account and logs in unless the state files have a session.
    async fn start(
        world: &World,
        name: &str,
        machine: Rc<RefCell<Machine>>,
    ) -> Result<User, Box<dyn Error>> {
        let user = User { client: world.client(|_| {})?, machine };
        while user.machine.borrow().session.is_none() {
            let id = world.random_below(u64::MAX);
            let session = Session { user: name.to_owned(), token: id };
            let created = user.propose(&Command::Create { user: name.to_owned(), id }).await;
            let exists = matches!(
                created,
                Some(Reply::Created | Reply::Rejected(RejectReason::Duplicate(_)))
            );
            let login = Command::Login(session.clone());
            if exists && matches!(user.propose(&login).await, Some(Reply::LoggedIn { .. })) {
                user.machine.borrow_mut().session = Some(session);
            }
        }
        Ok(user)
    }

    fn session(&self) -> Session {
        self.machine.borrow().session.clone().expect("the user is logged in")
    }

    /// Proposes the command, which takes effect once; returns none if its outcome is unknown.
    async fn propose(&self, command: &Command) -> Option<Reply> {
        codec::decode(&self.client.propose(&codec::encode(command)).await.ok()?)
    }

    async fn waiting(&self) -> Option<Reply> {
        let query = codec::encode(&Query::Waiting { session: self.session(), after: 0 });
        let reply = self.client.read(ReadLevel::Linearizable, &query).await.ok()?;
        codec::decode(&reply.answer)
    }

    /// Shows the waiting messages that were not shown before, and then acknowledges them; with
    /// `hasty`, which is a planted bug, the other way round.
    async fn receive(&self, hasty: bool) -> Option<()> {
        loop {
            let Reply::Messages(waiting, more) = self.waiting().await? else { return None };
            let upto = waiting.last()?.number;
            let acknowledge = Command::Acknowledge { session: self.session(), upto };
            if hasty {
                self.propose(&acknowledge).await?;
            }
            for mail in waiting {
                if mail.number > self.machine.borrow().seen {
                    // The terminal takes its time, and a crash may come first.
                    sleep(Duration::from_millis(20)).await;
                    let mut machine = self.machine.borrow_mut();
                    machine.shown.push(mail.text);
                    machine.seen = mail.number;
                }
            }
            self.propose(&acknowledge).await?;
            if !more {
                return Some(());
            }
        }
    }
}

/// Sends messages until all faults are over.
async fn send(world: World, sent: Sent) -> Outcome {
    let user = User::start(&world, "ann", Rc::default()).await?;
    for number in 0.. {
        if world.is_stable() {
            break;
        }
        let text = format!("message {number}");
        let (session, to) = (user.session(), "bob".to_owned());
        let reply = user.propose(&Command::Send { session, to, text: text.clone() }).await;
        // Bob may have no account yet; that message was not sent.
        if !matches!(reply, Some(Reply::Rejected(_))) {
            let is_acknowledged = matches!(reply, Some(Reply::Sent(_)));
            sent.borrow_mut().push((text, is_acknowledged));
        }
        sleep(Duration::from_millis(world.random_below(200))).await;
    }
    Ok(())
}

/// Receives messages until the host crashes.
async fn receive(world: World, machine: Rc<RefCell<Machine>>, hasty: bool) -> Outcome {
    let user = User::start(&world, "bob", machine).await?;
    loop {
        // An error is no news: the next poll tries again.
        let _ = user.receive(hasty).await;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until no message waits, and compares what bob saw with what ann sent.
async fn check(world: World, machine: Rc<RefCell<Machine>>, sent: Sent) -> Outcome {
    let user = User::start(&world, "bob", Rc::clone(&machine)).await?;
    while !matches!(user.waiting().await, Some(Reply::Messages(waiting, _)) if waiting.is_empty()) {
        sleep(Duration::from_millis(100)).await;
    }
    // The receiver may still show the last ones.
    sleep(Duration::from_secs(2)).await;
    let mut shown = BTreeMap::<String, usize>::new();
    for text in &machine.borrow().shown {
        *shown.entry(text.clone()).or_default() += 1;
    }
    for (text, is_acknowledged) in &*sent.borrow() {
        match shown.remove(text) {
            Some(1) => {}
            None if !is_acknowledged => {}
            count => {
                let count = count.unwrap_or(0);
                return Err(format!("`{text}` was sent, and shown {count} times").into());
            }
        }
    }
    if shown.is_empty() { Ok(()) } else { Err(format!("no client sent {shown:?}").into()) }
}

fn chaos_run(seed: u64, hasty: bool) -> ChaosRun {
    let (machine, sent) = (Rc::<RefCell<Machine>>::default(), Sent::default());
    let (bobs, anns) = (Rc::clone(&machine), Rc::clone(&sent));
    ChaosRun::new(seed)
        .nodes(3, |_| MessageStore::default())
        .configure(|config| {
            config.inline_machine = true;
            config.replica.snapshot_entries = 50;
        })
        .service("bob", move |world| receive(world, Rc::clone(&bobs), hasty))
        .client("ann", move |world| send(world, Rc::clone(&anns)))
        .check(move |world| check(world, Rc::clone(&machine), Rc::clone(&sent)))
}

#[test]
fn every_message_is_shown_once_in_a_chaos_run() {
    let reports =
        sweep(0..5, |seed| chaos_run(seed, false)).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reports.iter().all(|report| report.events > 1_000));
}

#[test]
fn a_client_that_acknowledges_before_it_shows_is_found() {
    let failure = sweep(0..100, |seed| chaos_run(seed, true)).expect_err("the bug is planted");
    assert!(failure.sentence.contains("shown 0 times"), "{failure}");
    let faults: Vec<&str> =
        failure.scenario.lines().filter(|line| line.starts_with("at")).collect();
    assert!(faults.iter().any(|fault| fault.contains("crash n4")), "{failure}");
    assert!(faults.len() <= 3, "{failure}");
}
