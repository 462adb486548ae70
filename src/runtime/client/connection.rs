//! One connection to one node: requests of many callers go out together, and replies come back in
//! any order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::net::lookup_host;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::nodes::Nodes;
use crate::runtime::transport::greeting::{Reader, say_within};
use crate::runtime::transport::link::{Security, Stream};
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
        let connected = timeout(self.config.connect_max, self.connect(&address)).await;
        let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
        let ended = match connected.unwrap_or_else(late) {
            Err(error) => Err(error),
            Ok((stream, frames)) => {
                debug!(%address, "connected");
                let (read, write) = split(stream);
                tokio::select! {
                    ended = self.read(read, frames, &waiting) => ended,
                    ended = self.write(write, &mut queue, &waiting) => ended,
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

    async fn connect(&self, address: &str) -> io::Result<(Stream, Reader)> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for found in lookup_host(address).await? {
            match self.greet(&found.to_string()).await {
                Ok(connected) => return Ok(connected),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn greet(&self, address: &str) -> io::Result<(Stream, Reader)> {
        let mut stream = self.security.call(address, None).await?.stream;
        let cluster = self.config.cluster.0;
        let versions = Versions::SUPPORTED;
        let hello = ClientHello { versions, cluster, node: None, full: false };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        say_within(self.config.connect_max, &mut stream, &bytes).await?;
        let mut frames = Reader::new();
        let answer = match frames.next(&mut stream).await? {
            Frame::ClientHello(answer) => answer,
            _ => return Err(invalid("it answers as no node does")),
        };
        hello.check(&answer).map_err(|error| invalid(&error.to_string()))?;
        Ok((stream, frames))
    }

    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: Reader,
        waiting: &Mutex<Waiting>,
    ) -> io::Result<()> {
        loop {
            let frame = timeout(self.config.silence_max, frames.next(&mut read)).await;
            let silence = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it fell silent"));
            match frame.unwrap_or_else(silence)? {
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
    /// nobody can ask any more, or nobody has for long.
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
                    self.send(&mut write, &mut bytes).await?;
                }
            }
            if !bytes.is_empty() {
                self.send(&mut write, &mut bytes).await?;
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

    /// Writes `bytes`, and keeps their memory unless it is much.
    async fn send(
        &self,
        write: &mut (impl AsyncWrite + Unpin),
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        say_within(self.config.silence_max, write, bytes).await?;
        bytes.clear();
        bytes.shrink_to(2 * BATCH_BYTES);
        Ok(())
    }
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
