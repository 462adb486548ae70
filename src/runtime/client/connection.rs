//! One connection to one node: requests of many callers go out together, and replies come back in
//! any order.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::nodes::Nodes;
use crate::runtime::transport::greeting::{Reader, say};
use crate::runtime::transport::link::{Link, Security, Stream};
use crate::types::NodeId;
use crate::wire::{ClientHello, ClientRequest, Frame, Told, Versions, Wanted, pulse};

/// How many requests are written at once, at most.
const BATCH: usize = 256;
/// From how many bytes on a batch is written before more is added to it.
const BATCH_BYTES: usize = 256 << 10;

/// What came of asking one node once.
pub(super) type Asked = Result<Told, Failed>;

/// Why a node was not asked, or did not reply.
#[derive(Clone, Debug)]
pub(super) enum Failed {
    /// Nothing was sent: the node was not reached.
    Unreachable(String),
    /// It may have been sent, and the connection broke.
    Lost(String),
    /// It is too long to be sent.
    TooLarge,
}

/// A way to one node. Whoever holds one may ask; the connection ends with the last of them, or when
/// it breaks.
#[derive(Clone, Debug)]
pub(super) struct Connection(mpsc::Sender<Request>);

/// What a connection needs.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) config: Arc<ClientConfig>,
    pub(super) security: Security,
    pub(super) nodes: Arc<Mutex<Nodes>>,
    /// The node that is meant, if no other one will do.
    pub(super) node: Option<NodeId>,
}

/// Whether a request was sent: decided once, by whoever is first.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(Arc<OnceLock<bool>>);

#[derive(Debug)]
struct Request {
    wanted: Wanted,
    sent: Sent,
    asked: oneshot::Sender<Asked>,
}

/// Who waits for a reply, by the number of the request.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    callers: BTreeMap<u64, oneshot::Sender<Asked>>,
}

impl Connection {
    /// A connection to `address` that is on its way. Needs a tokio runtime.
    pub(super) fn open(address: String, dialer: Dialer) -> Connection {
        let (sender, queue) = mpsc::channel(dialer.config.requests_max);
        tokio::spawn(dialer.run(address, queue));
        Connection(sender)
    }

    /// Whether it is no use any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    /// Asks, and waits for the reply. If the future is dropped, nobody is told.
    pub(super) async fn ask(&self, wanted: Wanted, sent: &Sent) -> Asked {
        let (asked, told) = oneshot::channel();
        let over = || Failed::Unreachable("the connection is over".to_owned());
        let sent = sent.clone();
        self.0.send(Request { wanted, sent, asked }).await.map_err(|_| over())?;
        let gone = |_| Err(Failed::Lost("its task is gone".to_owned()));
        told.await.unwrap_or_else(gone)
    }
}

impl Sent {
    /// Says that it is sent now; false if it is not to be any more.
    fn send(&self) -> bool {
        *self.0.get_or_init(|| true)
    }

    /// Says that it is not to be sent any more; false if it was.
    pub(super) fn withdraw(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }
}

impl Dialer {
    async fn run(self, address: String, mut queue: Receiver<Request>) {
        let waiting = Mutex::new(Waiting::default());
        let greet = |found| self.greet(found);
        let connected = self.security.reach(&address, self.config.connect_max, greet).await;
        let ended = match connected {
            Err(error) => Err(error),
            Ok((Link { stream, mut trust, .. }, frames)) => {
                debug!(%address, "connected");
                tokio::select! {
                    biased;
                    error = trust.lost() => Err(error),
                    ended = self.talk(stream, frames, &mut queue, &waiting) => ended,
                }
            }
        };
        let error = match ended {
            Ok(()) => "it was not used for long".to_owned(),
            Err(error) => error.to_string(),
        };
        debug!(%address, error, "not connected any more");
        queue.close();
        let callers = std::mem::take(&mut lock(&waiting).callers).into_values();
        for caller in callers {
            drop(caller.send(Err(Failed::Lost(error.clone()))));
        }
        while let Ok(Request { asked, .. }) = queue.try_recv() {
            drop(asked.send(Err(Failed::Unreachable(error.clone()))));
        }
    }

    async fn greet(&self, address: SocketAddr) -> io::Result<(Link, Reader)> {
        let mut link = self.security.call(address, self.node).await?;
        let cluster = self.config.cluster.0;
        let versions = Versions::SUPPORTED;
        let hello = ClientHello { versions, cluster, node: self.node, full: false };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        say(&mut link.stream, &bytes).await?;
        let mut frames = Reader::new();
        let answer = match frames.next(&mut link.stream).await? {
            Frame::ClientHello(answer) => answer,
            _ => return Err(invalid("it answers as no node does")),
        };
        hello.check(&answer).map_err(|error| invalid(&error.to_string()))?;
        Ok((link, frames))
    }

    async fn talk(
        &self,
        stream: Stream,
        frames: Reader,
        queue: &mut Receiver<Request>,
        waiting: &Mutex<Waiting>,
    ) -> io::Result<()> {
        let (read, write) = split(stream);
        tokio::select! {
            biased;
            ended = self.write(write, queue, waiting) => ended,
            ended = self.read(read, frames, waiting) => ended,
        }
    }

    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: Reader,
        waiting: &Mutex<Waiting>,
    ) -> io::Result<()> {
        loop {
            match frames.next_within(self.config.silence_max, &mut read).await? {
                Frame::Reply(reply) => {
                    if reply.number == Waiting::REPORT {
                        if let Told::Report(report) = &reply.told {
                            lock(&self.nodes).learn(report);
                        }
                        continue;
                    }
                    let caller = lock(waiting).callers.remove(&reply.number);
                    let caller = caller.ok_or_else(|| invalid("it replies to nothing"))?;
                    // Who has given up waiting is told nothing.
                    drop(caller.send(Ok(reply.told)));
                }
                Frame::Pulse => {}
                _ => return Err(invalid("it says what no node says")),
            }
        }
    }

    /// Writes requests, as many together as there are, and pulses where there are none; until
    /// nobody can ask any more, or nobody has for long. A write may take long, as long as the
    /// other side shows that it is there.
    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        queue: &mut Receiver<Request>,
        waiting: &Mutex<Waiting>,
    ) -> io::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), Vec::new());
        let report = ClientRequest { number: Waiting::REPORT, wanted: Wanted::Report };
        report.encode(&mut bytes).expect("it is short");
        let mut asked = Instant::now();
        loop {
            for request in batch.drain(..) {
                lock(waiting).encode(request, &mut bytes);
                if bytes.len() >= BATCH_BYTES {
                    send(&mut write, &mut bytes).await?;
                }
            }
            if !bytes.is_empty() {
                send(&mut write, &mut bytes).await?;
            }
            let pulse_at = Instant::now() + self.config.pulse;
            tokio::select! {
                biased;
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    asked = Instant::now();
                }
                () = sleep_until(pulse_at) => {
                    let waits = !lock(waiting).callers.is_empty();
                    if !waits && asked + self.config.idle_max <= Instant::now() {
                        return Ok(());
                    }
                    pulse(&mut bytes);
                }
            }
        }
    }
}

/// Writes `bytes`, and keeps their memory unless it is much.
async fn send(write: &mut (impl AsyncWrite + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    say(write, bytes).await?;
    bytes.clear();
    bytes.shrink_to(2 * BATCH_BYTES);
    Ok(())
}

impl Waiting {
    /// The number of the connection's own request.
    const REPORT: u64 = 0;

    /// Gives the request a number, and appends its frame to `bytes`.
    fn encode(&mut self, Request { wanted, sent, asked }: Request, bytes: &mut Vec<u8>) {
        if asked.is_closed() || !sent.send() {
            return;
        }
        let number = self.last + 1;
        match (ClientRequest { number, wanted }).encode(bytes) {
            Err(_) => drop(asked.send(Err(Failed::TooLarge))),
            Ok(()) => {
                self.last = number;
                self.callers.insert(number, asked);
            }
        }
    }
}

/// What a lock guards here is whole between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::storage::ClusterId;
    use crate::types::{Freshness, Index, ReadLevel};
    use crate::wire::ClientReply;

    const MIB: usize = 1 << 20;

    /// A connection to a node that is played by `stream`, of which `frames` reads.
    struct Line {
        connection: Connection,
        stream: DuplexStream,
        frames: Reader,
    }

    impl Line {
        async fn open() -> Line {
            let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
            let nodes = Nodes::new(config.addresses.clone(), 0);
            let dialer = Dialer {
                config: Arc::new(config),
                security: Security::Plaintext { leaves: false },
                nodes: Arc::new(Mutex::new(nodes)),
                node: None,
            };
            let (stream, near) = duplex(64 << 10);
            let (sender, mut queue) = mpsc::channel(16);
            let frames = Reader::greeted().await;
            tokio::spawn(async move {
                let waiting = Mutex::new(Waiting::default());
                let talked = dialer.talk(Box::new(near), frames, &mut queue, &waiting);
                let error = talked.await.expect_err("it is not left alone").to_string();
                for caller in std::mem::take(&mut lock(&waiting).callers).into_values() {
                    drop(caller.send(Err(Failed::Lost(error.clone()))));
                }
            });
            Line { connection: Connection(sender), stream, frames: Reader::greeted().await }
        }

        /// Asks, and gives the request's number as the node sees it.
        async fn ask(&mut self, query: Vec<u8>) -> (u64, tokio::task::JoinHandle<Asked>) {
            let connection = self.connection.clone();
            let wanted = Wanted::Read { level: ReadLevel::Local, query };
            let asked = tokio::spawn(async move { connection.ask(wanted, &Sent::default()).await });
            (self.asked().await, asked)
        }

        /// The number of the next request that is not the connection's own.
        async fn asked(&mut self) -> u64 {
            loop {
                match self.frames.next(&mut self.stream).await {
                    Ok(Frame::Request(request)) if request.number != Waiting::REPORT => {
                        return request.number;
                    }
                    Ok(Frame::Request(_) | Frame::Pulse) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn answer(number: u64, bytes: usize) -> Vec<u8> {
        let (index, applied) = (Index(1), Index(1));
        let (answer, freshness) = (vec![7; bytes], Freshness::Unknown);
        let told = Told::Answered { freshness, index, applied, answer };
        let mut bytes = Vec::new();
        ClientReply { number, told }.encode(&mut bytes).expect("it is not too long");
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_may_come_slowly_but_it_must_come() {
        let mut line = Line::open().await;
        let silence_max = ClientConfig::new(ClusterId(7), ["x:1"]).silence_max;
        let (number, asked) = line.ask(Vec::new()).await;
        for piece in answer(number, MIB).chunks(64 << 10) {
            sleep(silence_max / 4 * 3).await;
            line.stream.write_all(piece).await.expect("it is taken");
        }
        assert!(matches!(asked.await, Ok(Ok(Told::Answered { .. }))));

        let (number, asked) = line.ask(Vec::new()).await;
        line.stream.write_all(&answer(number, MIB)[..100]).await.expect("it is taken");
        let failed = asked.await.expect("no panic").expect_err("the rest never comes");
        assert!(matches!(&failed, Failed::Lost(error) if error.contains("nothing was heard")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_be_taken_slowly_as_long_as_the_node_is_there() {
        let mut line = Line::open().await;
        let silence_max = ClientConfig::new(ClusterId(7), ["x:1"]).silence_max;
        let connection = line.connection.clone();
        let wanted = Wanted::Read { level: ReadLevel::Local, query: vec![7; MIB] };
        let asked = tokio::spawn(async move { connection.ask(wanted, &Sent::default()).await });
        let mut pulses = Vec::new();
        pulse(&mut pulses);
        for _ in 0..10 {
            sleep(silence_max / 2).await;
            line.stream.write_all(&pulses).await.expect("it is taken");
        }
        let number = line.asked().await;
        line.stream.write_all(&answer(number, 1)).await.expect("it is taken");
        assert!(matches!(asked.await, Ok(Ok(Told::Answered { .. }))));
    }

    #[test]
    fn what_was_withdrawn_is_not_sent_and_what_was_sent_is_not_withdrawn() {
        let mut waiting = Waiting::default();
        let mut bytes = Vec::new();
        let (sent, (asked, _told)) = (Sent::default(), oneshot::channel());
        assert!(sent.withdraw());
        waiting.encode(Request { wanted: Wanted::GiveUpChange, sent, asked }, &mut bytes);
        assert!(bytes.is_empty() && waiting.callers.is_empty());
        let (sent, (asked, _told)) = (Sent::default(), oneshot::channel());
        let request = Request { wanted: Wanted::GiveUpChange, sent: sent.clone(), asked };
        waiting.encode(request, &mut bytes);
        assert!(!sent.withdraw() && !bytes.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_to_no_request_ends_the_connection() {
        let mut line = Line::open().await;
        let (number, asked) = line.ask(Vec::new()).await;
        line.stream.write_all(&answer(number + 1, 1)).await.expect("it is taken");
        let failed = asked.await.expect("no panic").expect_err("it is not its reply");
        assert!(matches!(&failed, Failed::Lost(error) if error == "it replies to nothing"));
        let mut rest = Vec::new();
        line.stream.read_to_end(&mut rest).await.expect("it is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_gets_the_reply_to_its_own_request() {
        let mut line = Line::open().await;
        let (first, first_asked) = line.ask(Vec::new()).await;
        let (second, second_asked) = line.ask(Vec::new()).await;
        assert_ne!(first, second);
        for (number, bytes) in [(second, 2), (first, 1)] {
            line.stream.write_all(&answer(number, bytes)).await.expect("it is taken");
        }
        for (asked, bytes) in [(first_asked, 1), (second_asked, 2)] {
            let told = asked.await.expect("no panic").expect("it is replied to");
            assert!(matches!(told, Told::Answered { answer, .. } if answer.len() == bytes));
        }
    }
}
