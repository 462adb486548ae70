//! One client's connection to a node that is played, on a clock that is turned by hand.

use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::machine::Outcome;
use crate::runtime::ask::{Answered, Ask, Proposed};
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::principal::Role;
use crate::runtime::refusal::Refusal;
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::{Bounds, carry_out, may};
use crate::runtime::transport::greeting::Reader;
use crate::types::{
    Acknowledge, Change, Command, EntryId, Freshness, Index, NodeId, ReadLevel, RejectReason,
};
use crate::wire::{ClientRequest, Denial, Frame, Told, Wanted, pulse};

const MIB: usize = 1 << 20;

/// A node that answers and replies with a MiB, whatever it is asked.
async fn play(mut asked: mpsc::Receiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        match ask {
            Ask::Read(_, _, _, sender) => {
                let (index, applied) = (Index(1), Index(1));
                let (answer, freshness) = (vec![7; MIB], Freshness::Linearizable);
                let _ = sender.send(Ok(Answered { answer, freshness, index, applied }));
            }
            Ask::Propose(_, _, _, sender) => {
                let outcome = Outcome::Reply(vec![7; MIB].into());
                let _ = sender.send(Ok(Proposed::Done { id: EntryId::ZERO, outcome }));
            }
            _ => {}
        }
    }
}

/// A client of that node.
struct Line {
    stream: DuplexStream,
    frames: Reader,
    served: JoinHandle<io::Result<()>>,
    _closing: watch::Sender<bool>,
}

impl Line {
    async fn open(config: ServiceConfig) -> Line {
        let (handle, asked) = Handle::played();
        tokio::spawn(play(asked));
        let (stream, far) = duplex(64 << 10);
        let (closing, closed) = watch::channel(false);
        let (network, bounds) = (NetworkConfig::default(), Bounds::new(&config));
        let connection =
            Connection::new((Role::Client, false), (handle, None), (&network, &config), bounds);
        let served = connection.run(Box::new(far), Reader::greeted().await, closed);
        let served = tokio::spawn(served);
        Line { stream, frames: Reader::greeted().await, served, _closing: closing }
    }

    async fn ask(&mut self, number: u64, wanted: Wanted) {
        self.stream.write_all(&request(number, wanted)).await.expect("it is taken");
    }

    async fn told(&mut self) -> (u64, Told) {
        loop {
            match self.frames.next(&mut self.stream).await {
                Ok(Frame::Reply(reply)) => return (reply.number, reply.told),
                Ok(Frame::Pulse) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The reason that it is closed for; what comes before is taken.
    async fn ended(mut self) -> Option<Refusal> {
        let mut unread = io::sink();
        let rest = io::copy(&mut self.stream, &mut unread);
        timeout(Duration::from_secs(60), rest).await.expect("it ends").expect("it is closed");
        let error = self.served.await.expect("no panic").expect_err("the client is to blame");
        Refusal::of(&error)
    }
}

fn request(number: u64, wanted: Wanted) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientRequest { number, wanted }.encode(&mut bytes).expect("it is short");
    bytes
}

fn read() -> Wanted {
    Wanted::Read { level: ReadLevel::Local, query: Vec::new() }
}

fn propose(bytes: usize) -> Wanted {
    Wanted::Propose { acknowledge: Acknowledge::Quorum, command: Command::from(vec![7; bytes]) }
}

fn everything() -> [Wanted; 8] {
    [
        propose(1),
        read(),
        Wanted::Report,
        Wanted::ChangeMembership(Change::new().remove(NodeId(2))),
        Wanted::GiveUpChange,
        Wanted::Transfer(None),
        Wanted::Campaign,
        Wanted::Snapshot,
    ]
}

#[tokio::test]
async fn what_a_node_was_told_before_it_stopped_may_have_happened() {
    let gone = Told::Rejected { reason: RejectReason::Stopped, leader: None };
    for wanted in everything() {
        let begins_at_once = matches!(wanted, Wanted::Campaign | Wanted::Snapshot);
        let is_harmless = matches!(wanted, Wanted::Read { .. } | Wanted::Report);
        let (handle, mut asked) = Handle::played();
        // It takes the request, and never says what came of it.
        let stopping = tokio::spawn(async move { drop(asked.recv().await) });
        let expected = match (begins_at_once, is_harmless) {
            (true, _) => Told::Begun,
            (_, true) => gone.clone(),
            _ => Told::Unknown,
        };
        assert_eq!(carry_out(&handle, None, wanted.clone()).await, expected, "{wanted:?}");
        stopping.await.expect("no panic");
        let expected = if expected == Told::Begun { gone.clone() } else { expected };
        assert_eq!(carry_out(&handle, None, wanted.clone()).await, expected, "{wanted:?}, later");
    }
}

#[test]
fn each_role_may_ask_for_its_own() {
    let allowed = |role, relays| -> Vec<Wanted> {
        everything().into_iter().filter(|wanted| may((role, relays), wanted)).collect()
    };
    let [node, client, admin] = Role::ALL.map(|role| allowed(role, false));
    assert_eq!(node, [Wanted::Report]);
    assert_eq!(allowed(Role::Node, true), [propose(1), Wanted::Report], "on another's behalf");
    assert_eq!(client, [propose(1), read(), Wanted::Report]);
    assert_eq!(admin, everything());
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_takes_are_bounded() {
    let mut line =
        Line::open(ServiceConfig { requests_kib_max: 4 << 10, ..ServiceConfig::default() }).await;
    for number in 0..10 {
        line.ask(number, read()).await;
    }
    line.ask(10, propose(0)).await;
    // Time for all of it; nothing is read meanwhile.
    sleep(Duration::from_secs(1)).await;
    let mut told = Vec::new();
    for _ in 0..11 {
        told.push(line.told().await);
    }
    told.sort_by_key(|(number, _)| *number);
    let given = told.iter().filter(|(_, told)| matches!(told, Told::Answered { .. }));
    assert_eq!(given.map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let refused = told.iter().filter(|(_, told)| *told == Told::Refused(Denial::Overloaded));
    assert_eq!(refused.count(), 6);
    assert!(matches!(told[10].1, Told::Replied { .. }), "it is done, and so it is told");
    line.ask(11, read()).await;
    assert!(matches!(line.told().await, (11, Told::Answered { .. })), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn an_answer_longer_than_all_of_the_bound_goes_out_alone() {
    let mut line =
        Line::open(ServiceConfig { requests_kib_max: 10, ..ServiceConfig::default() }).await;
    for number in 0..3 {
        line.ask(number, read()).await;
        assert!(matches!(line.told().await, (_, Told::Answered { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_come_slowly_but_it_must_come() {
    let silence_max = NetworkConfig::default().silence_max;
    let mut line = Line::open(ServiceConfig::default()).await;
    for piece in request(1, propose(MIB)).chunks(64 << 10) {
        sleep(silence_max / 4 * 3).await;
        line.stream.write_all(piece).await.expect("it is taken");
    }
    assert!(matches!(line.told().await, (1, Told::Replied { .. })));
    line.stream.write_all(&request(2, propose(MIB))[..100]).await.expect("it is taken");
    assert_eq!(line.ended().await, Some(Refusal::Silence));
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_be_taken_slowly_but_it_must_be_taken() {
    let config = ServiceConfig::default();
    let (stall_max, mut pulses) = (config.stall_max, Vec::new());
    pulse(&mut pulses);
    let mut line = Line::open(config).await;
    let mut piece = vec![0; 64 << 10];
    let mut arrived = 0;
    line.ask(1, read()).await;
    while arrived < MIB {
        // The client shows that it is there all the time: that is not what counts.
        for _ in 0..8 {
            line.stream.write_all(&pulses).await.expect("it is taken");
            sleep(stall_max / 10).await;
        }
        arrived += line.stream.read(&mut piece).await.expect("it comes");
    }
    line.ask(2, read()).await;
    let (served, mut stream) = (line.served, line.stream);
    let pulsing = async {
        while stream.write_all(&pulses).await.is_ok() {
            sleep(stall_max / 10).await;
        }
    };
    pulsing.await;
    let error = served.await.expect("no panic").expect_err("nothing is taken");
    assert_eq!(Refusal::of(&error), Some(Refusal::Silence));
}
