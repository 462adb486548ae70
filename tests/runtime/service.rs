//! What a node does with the bytes of clients, good and bad.

use std::time::Duration;

use quorate::runtime::{Refusal, Server, ServerConfig};
use quorate::types::{Acknowledge, Address, Change, Command, NodeId, ReadLevel};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Denial, Frame, FrameReader, Told, Versions, Wanted,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::clients::{client_of, text};
use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

/// A client's side of a connection, frame by frame.
struct Line {
    stream: TcpStream,
    frames: FrameReader,
    arrived: Vec<u8>,
}

impl Line {
    async fn open(cluster: &Cluster, id: NodeId) -> Line {
        let stream = TcpStream::connect(cluster.address(id)).await.expect("it listens");
        Line { stream, frames: FrameReader::new(), arrived: Vec::new() }
    }

    /// The same, and both have greeted.
    async fn greeted(cluster: &Cluster, id: NodeId) -> Line {
        Line::open(cluster, id).await.greeting(id).await
    }

    /// The same with little room for what arrives and is not read yet.
    async fn narrow(cluster: &Cluster, id: NodeId) -> Line {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(4096).expect("it may be as small");
        let stream = socket.connect(cluster.address(id)).await.expect("it listens");
        let line = Line { stream, frames: FrameReader::new(), arrived: Vec::new() };
        line.greeting(id).await
    }

    async fn greeting(mut self, id: NodeId) -> Line {
        self.greet(hello()).await;
        match self.next().await {
            Some(Frame::ClientHello(answer)) => assert_eq!(answer.node, Some(id)),
            other => panic!("{other:?}"),
        }
        self
    }

    async fn greet(&mut self, hello: ClientHello) {
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        self.write(&bytes).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
    }

    async fn ask(&mut self, number: u64, wanted: Wanted) {
        let mut bytes = Vec::new();
        ClientRequest { number, wanted }.encode(&mut bytes).expect("it is short");
        self.write(&bytes).await;
    }

    /// The next frame; none at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut rest = &self.arrived[..];
            let frame = self.frames.read(&mut rest).expect("a node says what can be read");
            self.arrived = rest.to_vec();
            if frame.is_some() {
                return frame;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.arrived.extend_from_slice(&bytes[..count]);
        }
    }

    /// The next reply.
    async fn told(&mut self) -> ClientReply {
        loop {
            match self.next().await {
                Some(Frame::Reply(reply)) => return reply,
                Some(Frame::Pulse) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Nothing comes but pulses until the connection ends.
    async fn ends(&mut self) {
        while let Some(frame) = self.next().await {
            assert_eq!(frame, Frame::Pulse);
        }
    }
}

fn hello() -> ClientHello {
    let versions = Versions::SUPPORTED;
    ClientHello { versions, cluster: CLUSTER.0, node: None, full: false }
}

fn read(level: ReadLevel) -> Wanted {
    Wanted::Read { level, query: Vec::new() }
}

/// Of the membership: by a node that is nowhere, and never gets the log.
fn a_change_that_waits() -> Wanted {
    let nowhere = Address::new("127.0.0.1:1").expect("it is short");
    Wanted::ChangeMembership(Change::new().voter(NodeId(9)).address(NodeId(9), nowhere))
}

fn refusals(cluster: &Cluster, why: Refusal) -> u64 {
    let counts = cluster.handle(NodeId(1)).refusals();
    counts.into_iter().find(|(refusal, _)| *refusal == why).expect("every one is counted").1
}

async fn start(change: impl FnOnce(&mut ServerConfig)) -> Cluster {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    change(&mut config);
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.leader().await;
    cluster
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_is_counted() {
    let cluster = Cluster::start(1).await;
    let mut garbage = Line::open(&cluster, NodeId(1)).await;
    garbage.write(b"GET / HTTP/1.1\r\nHost: somewhere, and more than a header\r\n\r\n").await;
    garbage.ends().await;
    let mut late = Line::greeted(&cluster, NodeId(1)).await;
    late.write(&[0; 100]).await;
    late.ends().await;
    eventually("both are counted", async || refusals(&cluster, Refusal::Frame) == 2).await;
    client_of(&cluster, [1]).propose(b"one").await.expect("others are served");
}

#[tokio::test]
async fn nothing_comes_before_the_hello_and_no_second_one() {
    let cluster = Cluster::start(1).await;
    let mut early = Line::open(&cluster, NodeId(1)).await;
    early.ask(1, Wanted::Report).await;
    early.ends().await;
    let mut again = Line::greeted(&cluster, NodeId(1)).await;
    again.greet(hello()).await;
    again.ends().await;
    let mut reply = Line::greeted(&cluster, NodeId(1)).await;
    let mut bytes = Vec::new();
    ClientReply { number: 1, told: Told::Resigned }.encode(&mut bytes).expect("it is short");
    reply.write(&bytes).await;
    reply.ends().await;
    eventually("all are counted", async || refusals(&cluster, Refusal::Frame) == 3).await;
}

#[tokio::test]
async fn a_hello_that_means_others_is_answered_and_refused() {
    let cluster = Cluster::start(1).await;
    let newer = Versions { oldest: 7, newest: 9 };
    for (wrong, why) in [
        (ClientHello { cluster: 7, ..hello() }, Refusal::Cluster),
        (ClientHello { node: Some(NodeId(2)), ..hello() }, Refusal::Hello),
        (ClientHello { versions: newer, ..hello() }, Refusal::Hello),
    ] {
        let before = refusals(&cluster, why);
        let mut line = Line::open(&cluster, NodeId(1)).await;
        line.greet(wrong).await;
        let Some(Frame::ClientHello(answer)) = line.next().await else { panic!("an answer") };
        let reason = wrong.check(&answer).expect_err("the client sees it, too");
        line.ends().await;
        eventually("it is counted", async || refusals(&cluster, why) == before + 1).await;
        assert!(!reason.to_string().is_empty());
    }
}

#[tokio::test]
async fn replies_come_when_they_are_known_in_any_order() {
    let mut cluster = Cluster::start(1).await;
    cluster.add("one").await;
    let mut line = Line::greeted(&cluster, NodeId(1)).await;
    line.ask(7, a_change_that_waits()).await;
    line.ask(8, read(ReadLevel::Local)).await;
    let first = line.told().await;
    let Told::Answered { answer, .. } = first.told else { panic!("{first:?}") };
    assert_eq!((first.number, text(&answer)), (8, "one\n"));
    let server = cluster.servers.remove(&NodeId(1)).expect("it runs");
    let stopped = tokio::spawn(server.shutdown());
    let second = line.told().await;
    assert_eq!((second.number, &second.told), (7, &Told::Unknown), "it stopped meanwhile");
    drop(line);
    stopped.await.expect("no panic").expect("nothing failed");
}

#[tokio::test]
async fn what_is_beyond_the_bounds_is_refused_or_waits() {
    let cluster = start(|config| {
        config.service.requests_kib_max = 4;
        config.service.requests_per_connection_max = 2;
    })
    .await;
    let mut line = Line::greeted(&cluster, NodeId(1)).await;
    let query = vec![7; 5 << 10];
    line.ask(1, Wanted::Read { level: ReadLevel::Local, query }).await;
    assert_eq!(line.told().await.told, Told::Refused(Denial::Overloaded));
    let command = Command::from(vec![7; 5 << 10]);
    line.ask(2, Wanted::Propose { acknowledge: Acknowledge::Quorum, command }).await;
    assert_eq!(line.told().await.told, Told::Refused(Denial::Overloaded));
    for number in 0..50 {
        line.ask(number, Wanted::Report).await;
    }
    for _ in 0..50 {
        assert!(matches!(line.told().await.told, Told::Report(_)), "each has its turn");
    }
}

#[tokio::test]
async fn a_node_that_is_full_says_so() {
    let cluster = start(|config| config.network.connections_max = 1).await;
    let kept = Line::greeted(&cluster, NodeId(1)).await;
    let mut late = Line::open(&cluster, NodeId(1)).await;
    late.greet(hello()).await;
    let Some(Frame::ClientHello(answer)) = late.next().await else { panic!("an answer") };
    assert!(answer.full);
    late.ends().await;
    drop(kept);
    eventually("there is room again", async || {
        let mut line = Line::open(&cluster, NodeId(1)).await;
        line.greet(hello()).await;
        matches!(line.next().await, Some(Frame::ClientHello(answer)) if !answer.full)
    })
    .await;
}

#[tokio::test]
async fn an_answer_too_large_for_a_reply_is_not_sent() {
    let cluster = Cluster::start(1).await;
    let client = client_of(&cluster, [1]);
    for _ in 0..9 {
        client.propose(&vec![b'x'; (1 << 20) - 100]).await.expect("a command may be as long");
    }
    let mut line = Line::greeted(&cluster, NodeId(1)).await;
    line.ask(1, read(ReadLevel::Local)).await;
    assert_eq!(line.told().await.told, Told::Refused(Denial::AnswerTooLarge));
    line.ask(2, Wanted::Report).await;
    assert_eq!(line.told().await.number, 2, "the connection goes on");
}

#[tokio::test]
async fn whoever_wants_nothing_for_long_is_left() {
    let cluster = start(|config| {
        config.service.idle_max = Duration::from_millis(50);
        config.network.pulse = Duration::from_millis(10);
    })
    .await;
    let mut line = Line::greeted(&cluster, NodeId(1)).await;
    let mut pulses = Vec::new();
    quorate::wire::pulse(&mut pulses);
    eventually("the connection ends", async || {
        line.stream.write_all(&pulses).await.is_err() || {
            let mut bytes = [0; 64];
            line.stream.try_read(&mut bytes).is_ok_and(|count| count == 0)
        }
    })
    .await;
    let mut silent = Line::greeted(&cluster, NodeId(1)).await;
    silent.ends().await;
    eventually("it is counted", async || refusals(&cluster, Refusal::Silence) == 1).await;
}

/// A node with some lines, and a client whose reply of all of them is on its way, unread.
async fn unread(change: impl FnOnce(&mut ServerConfig)) -> (Cluster, Line) {
    let cluster = start(change).await;
    let client = client_of(&cluster, [1]);
    for _ in 0..2 {
        client.propose(&vec![b'x'; (1 << 20) - 100]).await.expect("a command may be as long");
    }
    let mut line = Line::narrow(&cluster, NodeId(1)).await;
    line.ask(1, read(ReadLevel::Local)).await;
    (cluster, line)
}

impl Line {
    /// The reply comes that was on its way.
    async fn read_on(&mut self) {
        let reply = self.told().await;
        assert_eq!(reply.number, 1);
        assert!(matches!(reply.told, Told::Answered { answer, .. } if answer.len() > 2_000_000));
    }
}

/// Pulses, so many that no buffer of a node takes them all.
fn pulses() -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < 512 << 10 {
        quorate::wire::pulse(&mut bytes);
    }
    bytes
}

#[tokio::test]
async fn what_was_replied_arrives_though_the_node_is_shut_down() {
    let (mut cluster, mut line) = unread(|config| {
        config.service.requests_per_connection_max = 1;
        config.service.drain_max = Duration::from_secs(30);
    })
    .await;
    // The one after that waits for a node that is nowhere, and what follows is not read.
    line.ask(2, a_change_that_waits()).await;
    eventually("it has begun", async || {
        cluster.handle(NodeId(1)).membership().borrow().is_staged()
    })
    .await;
    line.write(&pulses()).await;
    let server = cluster.servers.remove(&NodeId(1)).expect("it runs");
    let handle = server.handle();
    let stopped = tokio::spawn(server.shutdown());
    let has_stopped = async || handle.leadership().has_changed().is_err();
    eventually("it has stopped, and has its replies out", has_stopped).await;
    line.read_on().await;
    let last = line.told().await;
    assert_eq!((last.number, last.told), (2, Told::Unknown), "it stopped meanwhile");
    line.ends().await;
    drop(line);
    stopped.await.expect("no panic").expect("nothing failed");
}

#[tokio::test]
async fn what_was_replied_arrives_though_nothing_else_is_wanted() {
    let (_cluster, mut line) = unread(|config| {
        config.service.idle_max = Duration::from_millis(100);
        config.service.drain_max = Duration::from_secs(30);
    })
    .await;
    let pulses = pulses();
    for _ in 0..20 {
        line.write(&pulses).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    line.read_on().await;
    line.ends().await;
}
