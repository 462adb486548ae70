//! The environment of nodes and clients: the operating system, or a simulation in its place.
//!
//! A production node takes its connections, its clock, its random numbers and the threads of its
//! lanes from the operating system, and its timers and tasks from tokio. In a simulation, a
//! [`Simulation`] provides the connections, the random numbers and the waits of the lanes; the
//! clock, the timers and the tasks come from a tokio runtime with paused time, or from a library
//! that replaces tokio. The code of the node is the same in both.
//!
//! `Environment` is an enum rather than a type parameter, because a request pays for it only with a
//! comparison in each reading of the clock and each use of a lane. `RawStream` has a variant for
//! each environment, so simulations add no wrapper around a TCP stream.

use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::recording::{Block, RecorderConfig};
use crate::runtime::name_lookup;

/// A stream of bytes in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// The future of a call to a [`Simulation`].
pub type Simulated<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// The environment that a simulation provides to nodes and clients in place of the operating
/// system, for [`Server::start_simulated`](crate::runtime::Server::start_simulated) and
/// [`Client::simulated`](crate::runtime::Client::simulated).
///
/// Such a node has no threads of its own, and its clock is that of `tokio::time`, which the
/// simulation pauses or replaces. It does not busy-poll, ignores the limit of open files, and asks
/// no other node for addresses before it listens. A simulation that gives each node and each client
/// its own `Simulation` can distinguish which of them calls a method.
pub trait Simulation: Send + Sync {
    /// Resolves `host:port` to addresses.
    fn resolve<'a>(&'a self, name: &'a str) -> Simulated<'a, Vec<SocketAddr>>;

    /// Connects to the address.
    fn connect(&self, address: SocketAddr) -> Simulated<'_, Box<dyn Socket>>;

    /// Listens at the address; port 0 stands for a port of the simulation's choice.
    fn listen(&self, address: SocketAddr) -> Simulated<'_, Box<dyn SimulatedListener>>;

    /// Returns a random number that the seed of the simulation determines.
    fn entropy(&self) -> u128;

    /// Returns the time for which the next batch of disk operations, or of calls of the state
    /// machine, waits before it is executed.
    fn lane_wait(&self) -> Duration;

    /// Waits while the node is suspended. The node takes no step meanwhile; its clock runs on.
    fn resumed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(future::ready(()))
    }

    /// Called when a node starts. Returns the configuration with which its steps are recorded;
    /// `None` if they are not.
    fn recorder(&self) -> Option<RecorderConfig> {
        None
    }

    /// Takes the next block of the recording of the node.
    fn record(&self, block: &Block) {
        let _ = block;
    }
}

/// A listener of a [`Simulation`].
pub trait SimulatedListener: Send + Sync {
    /// Returns the next connection, with the address of its other end. The future may be dropped
    /// without losing a connection.
    fn accept(&self) -> Simulated<'_, (Box<dyn Socket>, SocketAddr)>;

    /// Returns the address at which this listens.
    ///
    /// # Errors
    /// If the simulation knows no address.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// The environment in which a node or a client runs.
#[derive(Clone)]
pub(crate) enum Environment {
    /// The operating system of this machine.
    System,
    /// A simulation in its place.
    Simulated(Arc<dyn Simulation>),
}

/// A listener that is bound to its address.
pub(crate) enum Listener {
    System(TcpListener),
    Simulated(Box<dyn SimulatedListener>),
}

/// A connection before its handshake.
pub(crate) enum RawStream {
    System(TcpStream),
    Simulated(Box<dyn Socket>),
}

impl Environment {
    pub(crate) async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        match self {
            Environment::System => name_lookup::resolve(name).await,
            Environment::Simulated(simulation) => simulation.resolve(name).await,
        }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<RawStream> {
        match self {
            Environment::System => Ok(RawStream::System(TcpStream::connect(address).await?)),
            Environment::Simulated(simulation) => {
                Ok(RawStream::Simulated(simulation.connect(address).await?))
            }
        }
    }

    pub(crate) async fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        match self {
            Environment::System => Ok(Listener::System(TcpListener::bind(address).await?)),
            Environment::Simulated(simulation) => {
                Ok(Listener::Simulated(simulation.listen(address).await?))
            }
        }
    }

    /// Returns a random number.
    #[expect(clippy::disallowed_methods, reason = "each start and each client needs its own")]
    pub(crate) fn entropy(&self) -> u128 {
        match self {
            Environment::System => rand::random(),
            Environment::Simulated(simulation) => simulation.entropy(),
        }
    }

    /// Waits while a simulation has suspended the node.
    pub(crate) async fn resumed(&self) {
        if let Environment::Simulated(simulation) = self {
            simulation.resumed().await;
        }
    }

    /// Returns the simulation; `None` if the environment is the operating system.
    pub(crate) fn simulation(&self) -> Option<&Arc<dyn Simulation>> {
        match self {
            Environment::System => None,
            Environment::Simulated(simulation) => Some(simulation),
        }
    }
}

/// Returns true if only the connection that was to be accepted has failed, so that the next one can
/// be accepted at once.
pub(crate) fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Environment::System => "System",
            Environment::Simulated(_) => "Simulated",
        })
    }
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(RawStream, SocketAddr)> {
        match self {
            Listener::System(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((RawStream::System(stream), from))
            }
            Listener::Simulated(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((RawStream::Simulated(stream), from))
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::System(listener) => listener.local_addr(),
            Listener::Simulated(listener) => listener.address(),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.address().ok()).finish()
    }
}
