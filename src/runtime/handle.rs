//! How a program talks to the node it runs.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::machine::Request;
use crate::runtime::ask::{Answered, Ask, AskError, Proposed, Told};
use crate::runtime::metrics::Stopwatch;
use crate::runtime::refusal::Refusal;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsError;
use crate::runtime::transport::gate::Gate;
#[cfg(feature = "tls")]
use crate::runtime::transport::link::Security;
use crate::types::{
    Acknowledge, Change, Command, EntryId, Membership, NodeId, ReadLevel, Report, RoleName, Term,
};

/// A way to a node that runs in this process. Clones share it.
///
/// Everything asked ends in an answer or an [`AskError`]. Dropping a future does not take back what
/// it asked for.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) asks: Sender<Ask>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) membership: watch::Receiver<Membership>,
    pub(super) gate: Arc<Gate>,
}

/// What a node knows of who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Its own role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// The leader it follows, itself included; none if it knows none.
    pub leader: Option<NodeId>,
}

impl Handle {
    /// Has the command carried out by every node's state machine, and gives the reply of this
    /// one's. Only the leader takes commands.
    ///
    /// # Errors
    /// An [`AskError`]. After [`AskError::Unknown`] the command may have been carried out, or may
    /// be yet: who must not repeat it asks in a session, by [`Handle::request`].
    pub async fn propose(&self, command: &[u8]) -> Result<Arc<[u8]>, AskError> {
        let proposed = self.request(&Request::Plain(command), Acknowledge::Default).await?;
        proposed.reply().cloned().ok_or(AskError::Unknown)
    }

    /// The same for any request, answered once as much is known as `acknowledge` asks for.
    ///
    /// # Errors
    /// An [`AskError`].
    pub async fn request(
        &self,
        request: &Request<'_>,
        acknowledge: Acknowledge,
    ) -> Result<Proposed, AskError> {
        self.command(request.encode(), acknowledge).await
    }

    /// The same for a request as bytes, as a `ClientSession` gives it.
    ///
    /// # Errors
    /// An [`AskError`].
    pub async fn command(
        &self,
        command: Command,
        acknowledge: Acknowledge,
    ) -> Result<Proposed, AskError> {
        let since = Stopwatch::start();
        self.ask(|sender| Ask::Propose(command, acknowledge, since, sender)).await
    }

    /// Asks the state machine, on any node. `docs/READS.md` has the levels and their prices.
    ///
    /// # Errors
    /// An [`AskError`]; never [`AskError::Unknown`].
    pub async fn read(&self, level: ReadLevel, query: &[u8]) -> Result<Answered, AskError> {
        let since = Stopwatch::start();
        self.ask(|sender| Ask::Read(level, query.to_vec(), since, sender)).await
    }

    /// Changes who counts, and waits until that is complete. Only the leader can.
    ///
    /// # Errors
    /// An [`AskError`].
    pub async fn change_membership(&self, change: Change) -> Result<EntryId, AskError> {
        self.ask(|sender| Ask::Change(change, sender)).await
    }

    /// Gives up a change whose voters to come still lack the log.
    ///
    /// # Errors
    /// An [`AskError`].
    pub async fn give_up_change(&self) -> Result<EntryId, AskError> {
        self.ask(Ask::GiveUp).await
    }

    /// Hands the leadership over to a voter; to the best one if none is named.
    ///
    /// # Errors
    /// An [`AskError`]; never [`AskError::Unknown`].
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<(), AskError> {
        self.ask(|sender| Ask::Transfer(to, sender)).await
    }

    /// Has the node campaign, as if it had not heard from a leader for long.
    ///
    /// # Errors
    /// [`AskError::Stopped`].
    pub async fn campaign(&self) -> Result<(), AskError> {
        self.asks.send(Ask::Campaign).await.map_err(|_| AskError::Stopped)
    }

    /// Has the node take a snapshot of its state machine, however little was carried out since the
    /// last one; not if it is taking one already. `Status::snapshot` of a report tells when it is
    /// there.
    ///
    /// # Errors
    /// [`AskError::Stopped`].
    pub async fn snapshot(&self) -> Result<(), AskError> {
        self.asks.send(Ask::Snapshot).await.map_err(|_| AskError::Stopped)
    }

    /// How the node is doing.
    ///
    /// # Errors
    /// [`AskError::Stopped`].
    pub async fn report(&self) -> Result<Report, AskError> {
        let (sender, told) = oneshot::channel();
        self.asks.send(Ask::Report(sender)).await.map_err(|_| AskError::Stopped)?;
        told.await.map_err(|_| AskError::Stopped)
    }

    /// Who leads, as the node knows it, and whenever that changes.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Who counts, as the node knows it, and whenever that changes.
    #[must_use]
    pub fn membership(&self) -> watch::Receiver<Membership> {
        self.membership.clone()
    }

    /// How many connections were refused or closed for the other side's fault, by reason.
    #[must_use]
    pub fn refusals(&self) -> Vec<(Refusal, u64)> {
        self.gate.refusals.counts()
    }

    /// How many connections other nodes and users have open to this one.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.gate.connections()
    }

    /// Reads the files of [`TlsConfig`](crate::runtime::TlsConfig) again, at once. New connections
    /// go by them; open ones end whose other side is not trusted any more. A server without TLS
    /// has none.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file; everything stays as it was.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        match &self.gate.security {
            Security::Plaintext { .. } => Ok(()),
            Security::Tls(tls) => tls.reload(),
        }
    }

    /// What the node counts, also after it has stopped.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(&self) -> crate::runtime::metrics::Metrics {
        crate::runtime::metrics::Metrics::new(Arc::clone(&self.gate.counts))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Told<T>>) -> Ask) -> Told<T> {
        let (sender, told) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| AskError::Stopped)?;
        told.await.unwrap_or(Err(AskError::Stopped))
    }
}

#[cfg(test)]
impl Handle {
    /// One to a node that a test plays: what it is asked for comes out of the queue.
    pub(super) fn played() -> (Handle, tokio::sync::mpsc::Receiver<Ask>) {
        use crate::runtime::config::NetworkConfig;
        use crate::runtime::metrics::Counts;
        use crate::runtime::transport::link;
        use crate::storage::ClusterId;

        let (asks, asked) = tokio::sync::mpsc::channel(16);
        let leadership = Leadership { role: RoleName::Follower, term: Term(1), leader: None };
        let (_, leadership) = watch::channel(leadership);
        let (_, membership) = watch::channel(Membership::default());
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let security = link::Security::Plaintext { leaves: false };
        let gate = Arc::new(Gate::new(security, &NetworkConfig::default(), counts));
        (Handle { asks, leadership, membership, gate }, asked)
    }
}
