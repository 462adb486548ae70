//! The client for programs without an async runtime.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::runtime::client::calls::Client as Inner;
use crate::runtime::client::config::{ClientConfig, ClientConfigError};
use crate::runtime::client::error::ClientError;
use crate::runtime::request::{ProposalOutcome, ReadReply};
use crate::storage::ClusterId;
use crate::types::{
    Acknowledge, Change, EntryId, MachineVersion, NodeId, ReadLevel, Report, SessionBounds,
};

/// A client whose calls block. Its clones share one background thread for their connections. See
/// [`crate::runtime::Client`] for what each call does, and for its errors.
///
/// Its calls panic within a task of an async runtime, whose thread they would block.
#[derive(Clone)]
pub struct Client {
    inner: Inner,
    thread: Arc<Thread>,
}

/// The reasons for which a client does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is invalid.
    #[error("{0}")]
    Config(ClientConfigError),
    /// The operating system cannot start a thread, or provide an event queue for sockets.
    #[error("cannot start the client: {0}")]
    System(io::Error),
}

/// The thread of the connections, which ends with the last client.
struct Thread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Returns a client that is not connected yet.
    ///
    /// # Errors
    /// A [`StartError`].
    pub fn new(config: ClientConfig) -> Result<Client, StartError> {
        let inner = Inner::new(config).map_err(StartError::Config)?;
        let thread = Arc::new(Thread::start().map_err(StartError::System)?);
        Ok(Client { inner, thread })
    }

    /// Returns the same client with another deadline for each call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        let inner = self.inner.with_deadline(deadline);
        Client { inner, thread: Arc::clone(&self.thread) }
    }

    /// Runs several calls of the async client as one that blocks.
    pub fn run<T>(&self, calls: impl AsyncFnOnce(&crate::runtime::Client) -> T) -> T {
        self.thread.wait(calls(&self.inner))
    }

    /// Returns the cluster, as [`Client::cluster`](crate::runtime::Client::cluster) does.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.inner.cluster()
    }

    /// Blocking form of [`Client::propose`](crate::runtime::Client::propose).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn propose(&self, command: &[u8]) -> Result<Arc<[u8]>, ClientError> {
        self.thread.wait(self.inner.propose(command))
    }

    /// Blocking form of
    /// [`Client::propose_at_most_once`](crate::runtime::Client::propose_at_most_once).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn propose_at_most_once(
        &self,
        command: &[u8],
        acknowledge: Acknowledge,
    ) -> Result<ProposalOutcome, ClientError> {
        self.thread.wait(self.inner.propose_at_most_once(command, acknowledge))
    }

    /// Blocking form of [`Client::administer`](crate::runtime::Client::administer).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn administer(&self, command: &[u8]) -> Result<Arc<[u8]>, ClientError> {
        self.thread.wait(self.inner.administer(command))
    }

    /// Blocking form of
    /// [`Client::set_session_bounds`](crate::runtime::Client::set_session_bounds).
    ///
    /// # Errors
    /// A [`ClientError`].
    ///
    /// # Panics
    /// If the bounds are invalid.
    pub fn set_session_bounds(&self, bounds: SessionBounds) -> Result<(), ClientError> {
        self.thread.wait(self.inner.set_session_bounds(bounds))
    }

    /// Blocking form of [`Client::raise_version`](crate::runtime::Client::raise_version).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn raise_version(&self, version: MachineVersion) -> Result<(), ClientError> {
        self.thread.wait(self.inner.raise_version(version))
    }

    /// Blocking form of [`Client::read`](crate::runtime::Client::read).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn read(&self, level: ReadLevel, query: &[u8]) -> Result<ReadReply, ClientError> {
        self.thread.wait(self.inner.read(level, query))
    }

    /// Blocking form of [`Client::read_at`](crate::runtime::Client::read_at).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn read_at(
        &self,
        address: &str,
        level: ReadLevel,
        query: &[u8],
    ) -> Result<ReadReply, ClientError> {
        self.thread.wait(self.inner.read_at(address, level, query))
    }

    /// Blocking form of [`Client::report`](crate::runtime::Client::report).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn report(&self, address: &str) -> Result<Report, ClientError> {
        self.thread.wait(self.inner.report(address))
    }

    /// Blocking form of [`Client::report_of_leader`](crate::runtime::Client::report_of_leader).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn report_of_leader(&self) -> Result<Report, ClientError> {
        self.thread.wait(self.inner.report_of_leader())
    }

    /// Blocking form of [`Client::report_of_any`](crate::runtime::Client::report_of_any).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn report_of_any(&self) -> Result<Report, ClientError> {
        self.thread.wait(self.inner.report_of_any())
    }

    /// Blocking form of [`Client::change_membership`](crate::runtime::Client::change_membership).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn change_membership(&self, change: Change) -> Result<EntryId, ClientError> {
        self.thread.wait(self.inner.change_membership(change))
    }

    /// Blocking form of
    /// [`Client::cancel_membership_change`](crate::runtime::Client::cancel_membership_change).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn cancel_membership_change(&self) -> Result<EntryId, ClientError> {
        self.thread.wait(self.inner.cancel_membership_change())
    }

    /// Blocking form of
    /// [`Client::transfer_leadership`](crate::runtime::Client::transfer_leadership).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), ClientError> {
        self.thread.wait(self.inner.transfer_leadership(to))
    }

    /// Blocking form of [`Client::campaign`](crate::runtime::Client::campaign).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn campaign(&self, address: &str) -> Result<(), ClientError> {
        self.thread.wait(self.inner.campaign(address))
    }

    /// Blocking form of [`Client::snapshot`](crate::runtime::Client::snapshot).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn snapshot(&self, address: &str) -> Result<(), ClientError> {
        self.thread.wait(self.inner.snapshot(address))
    }
}

impl Thread {
    fn start() -> io::Result<Thread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // The receive ends when the last client drops the sender.
            let _ = runtime.block_on(stopped);
            // The lookup of a host name may outlast every timeout, and is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("quorate-client".to_owned()).spawn(run)?;
        Ok(Thread { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs the call on the caller's thread; the background thread serves the connections.
    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.handle.block_on(call)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread only has to close its connections.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking {:?}", self.inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_last_client_does_not_wait_for_the_lookup_of_a_host_name() {
        let thread = Thread::start().expect("a thread can be started");
        let (release, gate) = mpsc::channel::<()>();
        thread.handle.spawn_blocking(move || gate.recv());
        let (dropped_sender, dropped) = mpsc::channel();
        std::thread::spawn(move || {
            drop(thread);
            dropped_sender.send(()).expect("the test waits");
        });
        let timeout = Duration::from_secs(60);
        dropped.recv_timeout(timeout).expect("only the connections are waited for");
        release.send(()).expect("the lookup is still waiting");
    }
}
