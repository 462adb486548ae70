//! What others say to this node.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::handle::Handle;
use crate::runtime::metrics::{Open, SnapshotStep};
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::service::{Guest, Service};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::greeting::{Greeting, Reader, say_within};
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::link::{Link, Stream};
use crate::runtime::transport::strangers::{Stranger, Strangers};
use crate::types::{NodeId, Packet, Transfer, TransferBody};
use crate::wire::{Frame, pulse};

/// Where packets go that have arrived: what keeps the cluster together does not wait behind bulk.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Arrivals {
    pub(in crate::runtime) urgent: Sender<Packet>,
    pub(in crate::runtime) bulk: Sender<Packet>,
}

/// What every connection needs that is taken.
pub(in crate::runtime) struct Door {
    pub(in crate::runtime) greeting: Greeting,
    pub(in crate::runtime) config: NetworkConfig,
    pub(in crate::runtime) arrivals: Arrivals,
    pub(in crate::runtime) handle: Handle,
    pub(in crate::runtime) service: Service,
}

impl Arrivals {
    /// Waits while the packet's queue is full; an error if nobody takes anything any more.
    pub(super) async fn take(&self, packet: Packet) -> Result<(), SendError<Packet>> {
        let queue = match Lane::of(&packet) {
            Lane::Control => &self.urgent,
            Lane::Log | Lane::Snapshot => &self.bulk,
        };
        queue.send(packet).await
    }
}

/// Takes the calls of peers and clients.
pub(in crate::runtime) struct Listener(TcpListener);

impl Listener {
    pub(in crate::runtime) async fn bind(address: SocketAddr) -> io::Result<Listener> {
        Ok(Listener(TcpListener::bind(address).await?))
    }

    pub(in crate::runtime) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Takes calls until it is dropped.
    pub(in crate::runtime) async fn run(self, door: Door) -> Infallible {
        let strangers = Strangers::new(&door.config);
        let door = Arc::new(door);
        let mut calls = Tasks::default();
        loop {
            // Whoever has to wait here waits in the system's queue.
            let place = strangers.place().await;
            let pause = || sleep(door.config.retry_max);
            let (tcp, from) = next_call(|| self.0.accept(), pause).await;
            let Some(stranger) = strangers.enter(place, from.ip()) else {
                door.refuse(from, &refused(Refusal::Crowd, "too many of there say no hello"));
                continue;
            };
            let door = Arc::clone(&door);
            calls.spawn(async move { door.open(tcp, from, stranger).await });
        }
    }
}

/// The next call that can be taken, with a pause after each that cannot.
async fn next_call<T, A, P>(mut accept: impl FnMut() -> A, mut pause: impl FnMut() -> P) -> T
where
    A: Future<Output = io::Result<T>>,
    P: Future<Output = ()>,
{
    loop {
        match accept().await {
            Ok(call) => return call,
            Err(error) => {
                // Most often too many files are open: others have to be closed first.
                warn!(%error, "no connection could be taken");
                pause().await;
            }
        }
    }
}

/// What the first frame of a connection makes of it.
enum Caller {
    Peer(NodeId),
    Client(Guest),
}

impl Door {
    /// One connection, from its first byte to its last.
    async fn open(&self, tcp: TcpStream, from: SocketAddr, stranger: Stranger) {
        let greeted = timeout(self.config.handshake_max, self.greet(tcp)).await;
        let late = |_| Err(refused(Refusal::Late, "its hello took too long"));
        let (link, frames, caller) = match greeted.unwrap_or_else(late).map_err(early) {
            Ok(greeted) => greeted,
            Err(error) => return self.refuse(from, &error),
        };
        let node = match caller {
            Caller::Peer(id) => Some(id),
            Caller::Client(_) => None,
        };
        let mut pass = match self.handle.gate.enter(node) {
            Ok(pass) => pass,
            Err(error) => return self.refuse(from, &error),
        };
        drop(stranger);
        let network = &self.handle.gate.counts.network;
        let kind = usize::from(node.is_none());
        network.calls_taken[kind].add(1);
        let _open = Open::count(&network.calls_open[kind]);
        let Link { stream, mut trust, .. } = link;
        let ended = tokio::select! {
            biased;
            error = trust.lost() => Err(error),
            error = pass.replaced() => Err(error),
            ended = self.serve(caller, stream, frames) => ended,
        };
        match ended {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(%from, "the other side closed its connection");
            }
            Err(error) => {
                self.handle.gate.refusals.count(&error);
                info!(%from, %error, "closed a connection");
            }
        }
    }

    fn refuse(&self, from: SocketAddr, error: &io::Error) {
        self.handle.gate.refusals.count(error);
        info!(%from, %error, "refused a connection");
    }

    /// Finds out who is there and what for. The first frame of a connection says it.
    async fn greet(&self, tcp: TcpStream) -> io::Result<(Link, Reader, Caller)> {
        let mut link = self.handle.gate.security.accept(tcp).await?;
        let mut frames = Reader::new();
        let caller = match frames.next(&mut link.stream).await? {
            Frame::Hello(hello) => {
                let principal = link.principal.as_ref();
                Caller::Peer(self.greeting.answer(&mut link.stream, &hello, principal).await?)
            }
            Frame::ClientHello(hello) => {
                let principal = link.principal.as_ref();
                Caller::Client(self.service.answer(&mut link.stream, &hello, principal).await?)
            }
            // A reader of frames takes nothing else first.
            _ => return Err(refused(Refusal::Frame, "no hello")),
        };
        Ok((link, frames, caller))
    }

    async fn serve(&self, caller: Caller, stream: Stream, frames: Reader) -> io::Result<()> {
        match caller {
            Caller::Peer(peer) => self.listen(peer, stream, frames).await,
            Caller::Client(guest) => self.service.serve(guest, stream, frames).await,
        }
    }

    pub(super) async fn listen(
        &self,
        peer: NodeId,
        stream: Stream,
        mut frames: Reader,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        // Whoever is slow to take what was heard is there all the same.
        tokio::select! {
            biased;
            ended = self.show(&mut write) => ended,
            ended = self.hear(peer, &mut read, &mut frames) => ended,
        }
    }

    async fn hear<R>(&self, peer: NodeId, read: &mut R, frames: &mut Reader) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
    {
        // Whoever calls ends a connection that is idle: this is for those who do not.
        let idle_max = 2 * self.config.idle_max;
        let mut spoke = Instant::now();
        let counts = &self.handle.gate.counts;
        let own = counts.network.peer(peer);
        loop {
            let before = frames.given_bytes();
            let frame = frames.next_within(self.config.silence_max, read).await?;
            own.heard.set(counts.milliseconds().max(1));
            match frame {
                Frame::Packet(packet) => {
                    self.count(&packet, frames.given_bytes() - before);
                    self.take(peer, packet).await?;
                    spoke = Instant::now();
                }
                Frame::Pulse if spoke.elapsed() < idle_max => {}
                Frame::Pulse => return Err(refused(Refusal::Idle, "it only pulsed for long")),
                _ => return Err(refused(Refusal::Frame, "no node says this")),
            }
        }
    }

    fn count(&self, packet: &Packet, bytes: u64) {
        let counts = &self.handle.gate.counts;
        counts.network.received(packet, bytes);
        if let Packet::Transfer(Transfer { body: TransferBody::Bytes(..), .. }) = packet {
            counts.events.snapshots.add(&SnapshotStep::PartReceived, 1);
        }
    }

    /// Shows that this node is there, until the other side takes nothing any more.
    async fn show<W: AsyncWrite + Unpin>(&self, write: &mut W) -> io::Result<()> {
        let mut bytes = Vec::new();
        pulse(&mut bytes);
        loop {
            sleep(self.config.pulse).await;
            say_within(self.config.silence_max, write, &bytes).await?;
        }
    }

    /// Whoever speaks, speaks for itself, and to this node.
    async fn take(&self, peer: NodeId, packet: Packet) -> io::Result<()> {
        let (from, to) = (packet.from(), packet.to());
        let what = || format!("{peer} sends what {from} would say to {to}");
        if from != peer {
            return Err(refused(Refusal::Sender, what()));
        }
        if to != self.greeting.node {
            return Err(refused(Refusal::Recipient, what()));
        }
        self.arrivals.take(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// An end that came before the other side has said who it is.
fn early(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            refused(Refusal::Early, "it ended before its hello")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn there_is_a_pause_after_each_call_that_cannot_be_taken() {
        let (mut calls, pauses) = (0, Cell::new(0));
        let accept = || {
            calls += 1;
            std::future::ready(if calls > 3 { Ok(calls) } else { Err(io::Error::other("full")) })
        };
        // It counts once it is waited for.
        let pause = || async { pauses.set(pauses.get() + 1) };
        assert_eq!(next_call(accept, pause).await, 4);
        assert_eq!(pauses.get(), 3);
    }
}
