//! What a client is told before it starts.

use std::fmt;
use std::time::Duration;

use crate::machine::SessionLimits;
use crate::runtime::config::ServerConfig;
#[cfg(feature = "tls")]
use crate::runtime::tls::{Tls, TlsConfig, TlsError};
use crate::runtime::transport::link::Security;
use crate::storage::ClusterId;
use crate::types::Acknowledge;

/// How a client reaches its cluster. [`ClientConfig::new`] has defaults; every field may be
/// changed before the start.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The cluster. Nodes of another one are not spoken to.
    pub cluster: ClusterId,
    /// Where nodes are, each as `host:port`, looked up when it is called. Some of them are enough:
    /// the client learns the others from the membership.
    pub addresses: Vec<String>,
    /// How long a call may take, all its attempts together; see `Client::with_deadline`.
    pub deadline: Duration,
    /// How long one node may take to reply before the next one is asked: one that is there, and yet
    /// cannot tell. Not where a call names its node, or must not be sent twice.
    pub attempt_max: Duration,
    /// When a proposal counts as done. Not [`Acknowledge::LeaderOnly`]: that has no reply.
    pub acknowledge: Acknowledge,
    /// The session that makes a proposal count once: how many proposals may be under way at the
    /// same time, and how much the nodes keep for them.
    pub session: SessionLimits,
    /// How long one connection may take to come about, hellos included. The addresses of one name
    /// are tried in turn, and share it.
    pub connect_max: Duration,
    /// How often a side that has nothing to say shows that it is there; not longer than the
    /// nodes' own.
    pub pulse: Duration,
    /// After how long without a word a connection is given up. At least twice `pulse`.
    pub silence_max: Duration,
    /// After how long without a request a connection is closed; shorter than the nodes' own.
    pub idle_max: Duration,
    /// How long to wait before all nodes are tried again, at first: each further round doubles it.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
    /// The most requests that wait to be written on one connection; whoever has more waits.
    pub requests_max: usize,
    /// Whether words may leave this machine in the clear. Without it only loopback addresses are
    /// called; with `tls` nothing is in the clear.
    pub plaintext: bool,
    /// The client's or the administrator's certificate, and who vouches for nodes. Without it
    /// everything is said in the clear.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

impl ClientConfig {
    /// A client of a cluster some of whose nodes are at these addresses.
    #[must_use]
    pub fn new(
        cluster: ClusterId,
        addresses: impl IntoIterator<Item = impl Into<String>>,
    ) -> ClientConfig {
        ClientConfig {
            cluster,
            addresses: addresses.into_iter().map(Into::into).collect(),
            deadline: Duration::from_secs(10),
            attempt_max: Duration::from_secs(5),
            acknowledge: Acknowledge::Default,
            session: SessionLimits {
                window: 256,
                replies_bytes_max: 4 << 20,
                ..SessionLimits::default()
            },
            connect_max: Duration::from_secs(2),
            pulse: Duration::from_millis(500),
            silence_max: Duration::from_secs(2),
            idle_max: Duration::from_secs(30),
            retry_min: Duration::from_millis(10),
            retry_max: Duration::from_millis(500),
            requests_max: 1024,
            plaintext: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A node as a client of its own cluster: it calls itself first, and shows the certificate that
    /// it has as a node. That is enough to ask every node for a report, and for nothing else; in
    /// the clear it may ask for everything.
    #[must_use]
    pub fn of_node(node: &ServerConfig) -> ClientConfig {
        ClientConfig {
            plaintext: node.plaintext,
            #[cfg(feature = "tls")]
            tls: node.tls.clone(),
            ..ClientConfig::new(node.cluster, [node.listen.to_string()])
        }
    }

    /// Says what is wrong with the configuration, if anything is.
    ///
    /// # Errors
    /// A [`ClientConfigError`] that names the field.
    pub fn check(&self) -> Result<(), ClientConfigError> {
        if self.addresses.is_empty() {
            return Err(ClientConfigError::NoAddress);
        }
        let has_port = |address: &String| {
            let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(_)))
        };
        if let Some(address) = self.addresses.iter().find(|address| !has_port(address)) {
            return Err(ClientConfigError::Address(address.clone()));
        }
        if self.acknowledge == Acknowledge::LeaderOnly {
            return Err(ClientConfigError::LeaderOnly);
        }
        if !self.session.is_valid() {
            return Err(ClientConfigError::Session(self.session));
        }
        let spans = [
            ("deadline", self.deadline),
            ("attempt_max", self.attempt_max),
            ("connect_max", self.connect_max),
            ("pulse", self.pulse),
            ("idle_max", self.idle_max),
            ("retry_min", self.retry_min),
        ];
        if let Some((field, _)) = spans.iter().find(|(_, span)| span.is_zero()) {
            return Err(ClientConfigError::Zero(field));
        }
        if self.requests_max == 0 {
            return Err(ClientConfigError::Zero("requests_max"));
        }
        if self.silence_max < 2 * self.pulse {
            return Err(ClientConfigError::SilenceTooShort);
        }
        if self.retry_max < self.retry_min {
            return Err(ClientConfigError::RetriesTooShort);
        }
        Ok(())
    }
}

impl ClientConfig {
    /// How connections are protected: files of certificates are read now.
    #[cfg(feature = "tls")]
    pub(super) fn security(&self) -> Result<Security, ClientConfigError> {
        let Some(files) = &self.tls else {
            return Ok(Security::Plaintext { leaves: self.plaintext });
        };
        let tls = Tls::of_user(files.clone()).map_err(ClientConfigError::Tls)?;
        match tls.cluster() {
            cluster if cluster == self.cluster => Ok(Security::Tls(tls)),
            other => Err(ClientConfigError::Cluster(other)),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unnecessary_wraps, reason = "files of certificates may be wrong")]
    pub(super) fn security(&self) -> Result<Security, ClientConfigError> {
        Ok(Security::Plaintext { leaves: self.plaintext })
    }
}

/// Why a [`ClientConfig`] is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientConfigError {
    /// A file of its certificates cannot be used.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// Its certificate is of this cluster, and not of the one it is to speak to.
    #[cfg(feature = "tls")]
    Cluster(ClusterId),
    /// No address is given.
    NoAddress,
    /// The address is not of the form `host:port`.
    Address(String),
    /// A proposal that may be lost has no reply.
    LeaderOnly,
    /// A limit of the session is out of its bounds.
    Session(SessionLimits),
    /// The field is zero: nothing could ever pass it.
    Zero(&'static str),
    /// `silence_max` is less than two pulses: one that is late would end a connection.
    SilenceTooShort,
    /// `retry_max` is less than `retry_min`.
    RetriesTooShort,
}

impl fmt::Display for ClientConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "tls")]
            ClientConfigError::Tls(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            ClientConfigError::Cluster(cluster) => {
                write!(f, "the certificate is of cluster {cluster}: use one of the cluster meant")
            }
            ClientConfigError::NoAddress => f.write_str("no address of any node is given"),
            ClientConfigError::Address(address) => {
                write!(f, "\"{address}\" is no address: write host:port")
            }
            ClientConfigError::LeaderOnly => f.write_str(
                "acknowledge may not be LeaderOnly: use Client::propose_at_most_once for that",
            ),
            ClientConfigError::Session(limits) => {
                write!(f, "a limit of the session is out of its bounds: {limits:?}")
            }
            ClientConfigError::Zero(field) => write!(f, "{field} is zero: nothing could pass it"),
            ClientConfigError::SilenceTooShort => {
                f.write_str("silence_max is less than twice pulse: a late pulse would end it all")
            }
            ClientConfigError::RetriesTooShort => f.write_str("retry_max is less than retry_min"),
        }
    }
}

impl std::error::Error for ClientConfigError {}
