//! What others say to this node.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::split;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::handle::Handle;
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::service::{Guest, Service};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::greeting::{Greeting, Reader, say_within};
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::link::{Link, Security, Stream};
use crate::types::{NodeId, Packet};
use crate::wire::{Frame, pulse};

/// Where packets go that have arrived: what keeps the cluster together does not wait behind bulk.
#[derive(Clone)]
pub(in crate::runtime) struct Arrivals {
    pub(in crate::runtime) urgent: Sender<Packet>,
    pub(in crate::runtime) bulk: Sender<Packet>,
}

/// What every connection needs that is taken.
pub(in crate::runtime) struct Door {
    pub(in crate::runtime) greeting: Greeting,
    pub(in crate::runtime) config: NetworkConfig,
    pub(in crate::runtime) security: Security,
    pub(in crate::runtime) arrivals: Arrivals,
    pub(in crate::runtime) handle: Handle,
    pub(in crate::runtime) service: Service,
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
        let strangers = Arc::new(Semaphore::new(door.config.strangers_max));
        let door = Arc::new(door);
        let mut calls = Tasks::default();
        loop {
            // Whoever has to wait here waits in the system's queue.
            let permit = Arc::clone(&strangers).acquire_owned().await;
            let permit = permit.expect("nobody closes it");
            match self.0.accept().await {
                Ok((tcp, from)) => {
                    let door = Arc::clone(&door);
                    calls.spawn(async move { door.open(tcp, from, permit).await });
                }
                Err(error) => {
                    // Most often too many files are open: others have to be closed first.
                    warn!(%error, "no connection could be taken");
                    sleep(door.config.retry_max).await;
                }
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
    async fn open(&self, tcp: TcpStream, from: SocketAddr, stranger: impl Send) {
        let greeted = timeout(self.config.handshake_max, self.greet(tcp)).await;
        let late = |_| Err(refused(Refusal::Late, "its hello took too long"));
        let (link, frames, caller) = match greeted.unwrap_or_else(late) {
            Ok(greeted) => greeted,
            Err(error) => {
                self.handle.refusals.count(&error);
                return info!(%from, %error, "refused a connection");
            }
        };
        drop(stranger);
        let Link { stream, mut trust, .. } = link;
        let ended = tokio::select! {
            ended = self.serve(caller, stream, frames) => ended,
            error = trust.lost() => Err(error),
        };
        match ended {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(%from, "the other side closed its connection");
            }
            Err(error) => {
                self.handle.refusals.count(&error);
                info!(%from, %error, "closed a connection");
            }
        }
    }

    /// Finds out who is there and what for. The first frame of a connection says it.
    async fn greet(&self, tcp: TcpStream) -> io::Result<(Link, Reader, Caller)> {
        let mut link = self.security.accept(tcp).await?;
        let mut frames = Reader::new();
        let first = match frames.next(&mut link.stream).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(refused(Refusal::Early, "it ended before its hello"));
            }
            first => first?,
        };
        let caller = match first {
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

    async fn listen(&self, peer: NodeId, stream: Stream, mut frames: Reader) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        let mut bytes = Vec::new();
        let mut heard = Instant::now();
        let mut pulse_at = heard + self.config.pulse;
        loop {
            let end = heard + self.config.silence_max;
            tokio::select! {
                biased;
                frame = frames.next(&mut read) => {
                    heard = Instant::now();
                    match frame? {
                        Frame::Packet(packet) => self.take(peer, packet).await?,
                        Frame::Pulse => {}
                        _ => return Err(refused(Refusal::Frame, "no node says this")),
                    }
                }
                () = sleep_until(end) => {
                    return Err(refused(Refusal::Silence, "nothing was heard for long"));
                }
                () = sleep_until(pulse_at) => {}
            }
            if Instant::now() >= pulse_at {
                pulse(&mut bytes);
                say_within(self.config.silence_max, &mut write, &bytes).await?;
                bytes.clear();
                pulse_at = Instant::now() + self.config.pulse;
            }
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
        let queue = match Lane::of(&packet) {
            Lane::Control => &self.arrivals.urgent,
            Lane::Log | Lane::Snapshot => &self.arrivals.bulk,
        };
        queue.send(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
