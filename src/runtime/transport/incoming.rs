//! What peers say to this node.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::split;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{Counts, Open, SnapshotStep};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::greeting::{Greeting, Reader, invalid, late, say_within};
use crate::runtime::transport::lane::Lane;
use crate::types::{NodeId, Packet, Transfer, TransferBody};
use crate::wire::{Frame, pulse};

/// Where packets go that have arrived: what keeps the cluster together does not wait behind bulk.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Arrivals {
    pub(in crate::runtime) urgent: Sender<Packet>,
    pub(in crate::runtime) bulk: Sender<Packet>,
    pub(in crate::runtime) counts: Arc<Counts>,
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

/// Takes the calls of peers.
pub(in crate::runtime) struct Listener {
    listener: TcpListener,
    greeting: Greeting,
    config: NetworkConfig,
    arrivals: Arrivals,
}

impl Listener {
    pub(in crate::runtime) async fn bind(
        address: SocketAddr,
        greeting: Greeting,
        config: NetworkConfig,
        arrivals: Arrivals,
    ) -> io::Result<Listener> {
        let listener = TcpListener::bind(address).await?;
        Ok(Listener { listener, greeting, config, arrivals })
    }

    pub(in crate::runtime) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes calls until it is dropped.
    pub(in crate::runtime) async fn run(self) -> Infallible {
        let strangers = Arc::new(Semaphore::new(self.config.strangers_max));
        let mut calls = Tasks::default();
        loop {
            // Whoever has to wait here waits in the system's queue.
            let permit = Arc::clone(&strangers).acquire_owned().await;
            let permit = permit.expect("nobody closes it");
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let (greeting, config) = (self.greeting, self.config.clone());
                    let arrivals = self.arrivals.clone();
                    calls.spawn(async move {
                        let call = Called { greeting, config, arrivals };
                        call.run(stream, from, permit).await;
                    });
                }
                Err(error) => {
                    // Most often too many files are open: others have to be closed first.
                    warn!(%error, "no connection could be taken");
                    sleep(self.config.retry_max).await;
                }
            }
        }
    }
}

/// One connection.
struct Called {
    greeting: Greeting,
    config: NetworkConfig,
    arrivals: Arrivals,
}

impl Called {
    async fn run(self, mut stream: TcpStream, from: SocketAddr, stranger: impl Send) {
        let handshake = async {
            stream.set_nodelay(true)?;
            self.greeting.answer(&mut stream).await
        };
        let (peer, frames) = match timeout(self.config.handshake_max, handshake).await {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => {
                self.arrivals.counts.network.calls_refused.add(1);
                return info!(%from, %error, "refused a connection");
            }
            Err(_) => {
                self.arrivals.counts.network.calls_refused.add(1);
                return info!(%from, "refused a connection: its hello took too long");
            }
        };
        drop(stranger);
        let network = &self.arrivals.counts.network;
        network.calls_taken.add(1);
        let _open = Open::count(&network.calls_open);
        match self.listen(peer, stream, frames).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(%peer, "the peer closed its connection");
            }
            Err(error) => info!(%peer, %from, %error, "closed a connection"),
        }
    }

    async fn listen(&self, peer: NodeId, stream: TcpStream, mut frames: Reader) -> io::Result<()> {
        let own = self.arrivals.counts.network.peer(peer);
        let mut given = frames.given_bytes();
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
                    own.heard.set(self.arrivals.counts.milliseconds().max(1));
                    let before = std::mem::replace(&mut given, frames.given_bytes());
                    match frame? {
                        Frame::Packet(packet) => {
                            self.count(&packet, given - before);
                            self.take(peer, packet).await?;
                        }
                        Frame::Pulse => {}
                        Frame::Hello(_) => return Err(invalid(&"a second hello")),
                    }
                }
                () = sleep_until(end) => return Err(late("pulse")),
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

    fn count(&self, packet: &Packet, bytes: u64) {
        let counts = &self.arrivals.counts;
        counts.network.received(packet, bytes);
        if let Packet::Transfer(Transfer { body: TransferBody::Bytes(..), .. }) = packet {
            counts.events.snapshots.add(&SnapshotStep::PartReceived, 1);
        }
    }

    /// Whoever speaks, speaks for itself, and to this node.
    async fn take(&self, peer: NodeId, packet: Packet) -> io::Result<()> {
        if packet.from() != peer || packet.to() != self.greeting.node {
            let (from, to) = (packet.from(), packet.to());
            return Err(invalid(&format_args!("{peer} sends what {from} would say to {to}")));
        }
        self.arrivals.take(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
