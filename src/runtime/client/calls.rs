//! The client itself: what may be asked of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::machine::Outcome;
use crate::machine::Request;
use crate::runtime::ask::{Answered, Proposed};
use crate::runtime::client::attempts::{Network, Repeats, Route};
use crate::runtime::client::config::{ClientConfig, ClientConfigError};
use crate::runtime::client::error::{ClientError, Rejection, Trouble};
use crate::runtime::client::session::Session;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsError;
#[cfg(feature = "tls")]
use crate::runtime::transport::link::Security;
use crate::types::{Acknowledge, Change, EntryId, NodeId, ReadLevel, Report};
use crate::wire::{Told, Wanted};

/// A client of a cluster. Clones share its connections and its session; each may be used by as many
/// tasks at once as there are.
///
/// It connects when it is first asked for something, to whichever node answers; it finds the
/// leader, follows it when it changes, and learns of new members. Each call ends by its deadline.
/// Must be used within a tokio runtime that has time and IO enabled; [`blocking::Client`] needs
/// none.
///
/// [`blocking::Client`]: crate::runtime::blocking::Client
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

struct Shared {
    network: Network,
    session: Session,
}

impl Client {
    /// A client that is not connected yet. Its certificates are read at once, if it has any.
    ///
    /// # Errors
    /// A [`ClientConfigError`].
    pub fn new(config: ClientConfig) -> Result<Client, ClientConfigError> {
        config.check()?;
        let security = config.security()?;
        let deadline = config.deadline;
        let session = Session::new(config.session, config.acknowledge);
        let network = Network::new(config, security);
        Ok(Client { shared: Arc::new(Shared { network, session }), deadline })
    }

    /// The same client with another deadline for each call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client { shared: Arc::clone(&self.shared), deadline }
    }

    /// Has the command carried out by every node's state machine exactly once, and gives the reply.
    ///
    /// It is sent again, in the client's session, until there is a reply: through broken
    /// connections, and to whoever leads next. As many calls may be under way together as
    /// `ClientConfig::session` has in its window, and are not kept in any order; more wait for
    /// their turn.
    ///
    /// # Errors
    /// [`ClientError::NotProposed`] and [`ClientError::Rejected`]: it was not carried out and will
    /// not be. [`ClientError::Unknown`]: it was carried out once, or will be, or never.
    pub async fn propose(&self, command: &[u8]) -> Result<Arc<[u8]>, ClientError> {
        let Shared { network, session } = &*self.shared;
        session.propose(network, self.by(), command).await
    }

    /// Has the command carried out at most once, outside of any session: for
    /// [`Acknowledge::LeaderOnly`], or to save the cluster the memory of a session. It is not sent
    /// again once it may have happened.
    ///
    /// # Errors
    /// As [`Client::propose`]; [`ClientError::Unknown`] whenever a leader or a connection is lost.
    pub async fn propose_at_most_once(
        &self,
        command: &[u8],
        acknowledge: Acknowledge,
    ) -> Result<Proposed, ClientError> {
        let command = Request::Plain(command).encode();
        let wanted = Wanted::Propose { acknowledge, command };
        match self.ask(Route::Leader, Repeats::Never, wanted).await? {
            Told::Replied { id, reply } => {
                Ok(Proposed::Done { id, outcome: Outcome::Reply(reply) })
            }
            Told::MayBeLost { id } => Ok(Proposed::MayBeLost { id }),
            _ => Err(ClientError::Rejected(Rejection::Malformed)),
        }
    }

    /// Asks the state machine. The two linearizable levels that need the leader are asked of it;
    /// any other of the node that the client is connected to, and of the next one if that fails.
    /// `docs/READS.md` has the levels and their prices.
    ///
    /// # Errors
    /// A [`ClientError`]; never [`ClientError::Unknown`].
    pub async fn read(&self, level: ReadLevel, query: &[u8]) -> Result<Answered, ClientError> {
        let route = match level {
            ReadLevel::Linearizable | ReadLevel::Lease => Route::Leader,
            ReadLevel::Replica | ReadLevel::Bounded(_) | ReadLevel::Local => Route::Any,
        };
        self.read_by(route, level, query).await
    }

    /// Asks the state machine of the node at `address`, `host:port`, at any level, and of no other.
    ///
    /// # Errors
    /// A [`ClientError`]; never [`ClientError::Unknown`].
    pub async fn read_at(
        &self,
        address: &str,
        level: ReadLevel,
        query: &[u8],
    ) -> Result<Answered, ClientError> {
        self.read_by(Route::At(address), level, query).await
    }

    /// How the node at `address` is doing.
    ///
    /// # Errors
    /// A [`ClientError`]; never [`ClientError::Unknown`].
    pub async fn report(&self, address: &str) -> Result<Report, ClientError> {
        self.report_by(Route::At(address)).await
    }

    /// How the leader is doing, which knows how far every other node is.
    ///
    /// # Errors
    /// A [`ClientError`]; never [`ClientError::Unknown`].
    pub async fn report_of_leader(&self) -> Result<Report, ClientError> {
        let report = self.report_by(Route::Leader).await?;
        let leader = report.status.leader.and_then(|leader| report.membership.member(leader));
        match leader {
            Some(leader)
                if leader.id != report.status.id && !leader.address.as_str().is_empty() =>
            {
                self.report(leader.address.as_str()).await
            }
            _ => Ok(report),
        }
    }

    /// Changes who counts, and waits until that is complete: new voters have the log by then. For
    /// administrators.
    ///
    /// # Errors
    /// A [`ClientError`]. After [`ClientError::Unknown`] the change may go on: a report tells.
    pub async fn change_membership(&self, change: Change) -> Result<EntryId, ClientError> {
        let wanted = Wanted::ChangeMembership(change);
        self.changed(self.ask(Route::Leader, Repeats::Never, wanted).await?)
    }

    /// Gives up a change whose voters to come still lack the log. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn give_up_change(&self) -> Result<EntryId, ClientError> {
        self.changed(self.ask(Route::Leader, Repeats::Never, Wanted::GiveUpChange).await?)
    }

    /// Has the leader hand its leadership over: to `to`, or to the best voter if none is named. For
    /// administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<(), ClientError> {
        match self.ask(Route::Leader, Repeats::Never, Wanted::Transfer(to)).await? {
            Told::Resigned => Ok(()),
            _ => Err(self.nonsense()),
        }
    }

    /// Has the node at `address` campaign, as if it had not heard from a leader for long. For
    /// administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn campaign(&self, address: &str) -> Result<(), ClientError> {
        self.begun(self.ask(Route::At(address), Repeats::Once, Wanted::Campaign).await?)
    }

    /// Has the node at `address` take a snapshot of its state machine, and returns when it has
    /// begun: `Status::snapshot` of a report tells when it is there. For administrators.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub async fn snapshot(&self, address: &str) -> Result<(), ClientError> {
        self.begun(self.ask(Route::At(address), Repeats::Once, Wanted::Snapshot).await?)
    }

    /// Reads the files of `ClientConfig::tls` again, at once. New connections go by them; open
    /// ones end whose node is not trusted any more. A client without TLS has none.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file; everything stays as it was.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        match self.shared.network.security() {
            Security::Plaintext { .. } => Ok(()),
            Security::Tls(tls) => tls.reload(),
        }
    }

    fn by(&self) -> Instant {
        // Whoever does not want a deadline gets one that is far away.
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        Instant::now() + self.deadline.min(FAR)
    }

    async fn ask(
        &self,
        route: Route<'_>,
        repeats: Repeats,
        wanted: Wanted,
    ) -> Result<Told, ClientError> {
        let mut attempts = self.shared.network.attempts(self.by(), repeats);
        let told = attempts.ask(route, || Some(wanted.clone())).await?;
        told.ok_or_else(|| self.nonsense())
    }

    async fn read_by(
        &self,
        route: Route<'_>,
        level: ReadLevel,
        query: &[u8],
    ) -> Result<Answered, ClientError> {
        let wanted = Wanted::Read { level, query: query.to_vec() };
        match self.ask(route, Repeats::Harmless, wanted).await? {
            Told::Answered { freshness, index, applied, answer } => {
                Ok(Answered { answer, freshness, index, applied })
            }
            _ => Err(self.nonsense()),
        }
    }

    async fn report_by(&self, route: Route<'_>) -> Result<Report, ClientError> {
        match self.ask(route, Repeats::Harmless, Wanted::Report).await? {
            Told::Report(report) => Ok(*report),
            _ => Err(self.nonsense()),
        }
    }

    fn changed(&self, told: Told) -> Result<EntryId, ClientError> {
        match told {
            Told::Changed { id } => Ok(id),
            _ => Err(self.nonsense()),
        }
    }

    fn begun(&self, told: Told) -> Result<(), ClientError> {
        match told {
            Told::Begun => Ok(()),
            _ => Err(self.nonsense()),
        }
    }

    fn nonsense(&self) -> ClientError {
        ClientError::Unknown(Trouble::Nonsense)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.shared.network.config();
        write!(f, "client of {} at {:?}", config.cluster, config.addresses)
    }
}
