//! The configuration of a client, checked before it starts.

use std::time::Duration;

use crate::machine::SessionLimits;
use crate::runtime::config::{NetworkConfig, ServerConfig, ServiceConfig, too_long};
#[cfg(feature = "tls")]
use crate::runtime::tls::{Tls, TlsConfig, TlsError};
use crate::runtime::transport::link::Security;
use crate::storage::ClusterId;
use crate::types::text::debug_as_display;
use crate::types::{Acknowledge, SessionBounds};

/// The configuration of a client. [`ClientConfig::new`] sets defaults; every field may be changed
/// before the start.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The id of the cluster. Nodes of other clusters are rejected. With
    /// [`ANY_UNNAMED_CLUSTER`](crate::runtime::ANY_UNNAMED_CLUSTER) the client uses only the first
    /// cluster without a name that it reaches.
    pub cluster: ClusterId,
    /// The addresses of nodes, each as `host:port`, resolved at each connection. Some nodes are
    /// enough: the client learns the others from the membership.
    pub addresses: Vec<String>,
    /// The time limit of a call with all its attempts; see `Client::with_deadline`.
    pub deadline: Duration,
    /// The time limit of one attempt, after which the next node is tried. It does not apply if the
    /// call names its node or must not be sent twice.
    pub attempt_max: Duration,
    /// The acknowledgement that completes a proposal of `Client::propose`. Not
    /// [`Acknowledge::LeaderOnly`], with which a proposal returns no reply of the state machine.
    pub acknowledge: Acknowledge,
    /// The limits of the client's session: the number of proposals in flight, and the replies that
    /// the nodes keep for it.
    pub session: SessionLimits,
    /// The time limit for establishing a connection, TLS and hellos included. The addresses of one
    /// host name are tried in turn and share it.
    pub connect_timeout: Duration,
    /// The interval at which an idle side of a connection sends a keepalive; at most
    /// `NetworkConfig::keepalive_interval` of the nodes.
    pub keepalive_interval: Duration,
    /// The time without a received byte after which a connection is closed. At least twice
    /// `keepalive_interval`, and twice `NetworkConfig::keepalive_interval` of the nodes, at which
    /// these send keepalives.
    pub keepalive_timeout: Duration,
    /// The time without a request after which a connection is closed; less than
    /// `ServiceConfig::idle_max` of the nodes.
    pub idle_max: Duration,
    /// The first wait of a call before a retry, once every node was tried or one could not execute
    /// the request yet; each further wait is twice as long. Each wait is shortened at random by up
    /// to a half.
    pub retry_min: Duration,
    /// The longest wait of a call before a retry. At least `retry_min`.
    pub retry_max: Duration,
    /// The maximum number of requests that wait to be written on one connection. Further callers
    /// wait.
    pub requests_max: usize,
    /// Whether plaintext connections beyond loopback are allowed. Without it, and without TLS, the
    /// client connects only to loopback addresses.
    pub plaintext: bool,
    /// The certificate of the client or administrator, and the authorities of nodes. Without it all
    /// connections are plaintext.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

impl ClientConfig {
    /// Returns the configuration of a client of the cluster with nodes at these addresses: strings
    /// of the form `host:port`, or `SocketAddr`s.
    #[must_use]
    pub fn new(
        cluster: ClusterId,
        addresses: impl IntoIterator<Item = impl ToString>,
    ) -> ClientConfig {
        ClientConfig {
            cluster,
            addresses: addresses.into_iter().map(|address| address.to_string()).collect(),
            deadline: Duration::from_secs(10),
            attempt_max: Duration::from_secs(5),
            acknowledge: Acknowledge::Default,
            session: SessionLimits { window: 256, replies_bytes_max: 4 << 20 },
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_millis(500),
            keepalive_timeout: Duration::from_secs(2),
            idle_max: Duration::from_secs(30),
            retry_min: Duration::from_millis(10),
            retry_max: Duration::from_millis(500),
            requests_max: 1024,
            plaintext: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Returns the configuration of a client that acts as a node of its own cluster: it connects to
    /// its own node first, and uses the certificate of the node. With TLS it may only request
    /// reports; in plaintext it may send every request.
    #[must_use]
    pub fn of_node(node: &ServerConfig) -> ClientConfig {
        ClientConfig {
            plaintext: node.plaintext,
            #[cfg(feature = "tls")]
            tls: node.tls.clone(),
            ..ClientConfig::new(node.cluster, [node.listen])
        }
        .with_intervals_of(&node.network, &node.service)
    }

    /// Returns the configuration with the keepalives of a node, and with a shorter idle time than
    /// its service has. It suits other nodes only if they have the same intervals.
    pub(super) fn with_intervals_of(
        self,
        network: &NetworkConfig,
        service: &ServiceConfig,
    ) -> ClientConfig {
        ClientConfig {
            keepalive_interval: network.keepalive_interval,
            keepalive_timeout: network.keepalive_timeout,
            idle_max: self.idle_max.min(service.idle_max / 2),
            ..self
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// A [`ClientConfigError`] that names the invalid field.
    pub fn check(&self) -> Result<(), ClientConfigError> {
        if self.addresses.is_empty() {
            return Err(ClientConfigError::NoAddresses);
        }
        let is_valid = |address: &String| {
            address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
            })
        };
        if let Some(address) = self.addresses.iter().find(|address| !is_valid(address)) {
            return Err(ClientConfigError::InvalidAddress(address.clone()));
        }
        if self.acknowledge == Acknowledge::LeaderOnly {
            return Err(ClientConfigError::LeaderOnly);
        }
        if !self.session.is_valid() {
            return Err(ClientConfigError::InvalidSessionLimits(self.session));
        }
        let durations = [
            ("deadline", self.deadline),
            ("attempt_max", self.attempt_max),
            ("connect_timeout", self.connect_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("idle_max", self.idle_max),
            ("retry_min", self.retry_min),
        ];
        if let Some((field, _)) = durations.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ClientConfigError::Zero(field));
        }
        let more = [("keepalive_timeout", self.keepalive_timeout), ("retry_max", self.retry_max)];
        // A call with a longer deadline ends after a year.
        let bounded = durations.into_iter().filter(|(field, _)| *field != "deadline");
        if let Some((field, duration)) = too_long(bounded.chain(more)) {
            return Err(ClientConfigError::TooLong(field, duration));
        }
        if self.requests_max == 0 {
            return Err(ClientConfigError::Zero("requests_max"));
        }
        let ClientConfig { keepalive_timeout, keepalive_interval, .. } = *self;
        if keepalive_timeout < 2 * keepalive_interval {
            return Err(ClientConfigError::KeepaliveTimeoutTooShort {
                keepalive_timeout,
                keepalive_interval,
            });
        }
        let ClientConfig { retry_max, retry_min, .. } = *self;
        if retry_max < retry_min {
            return Err(ClientConfigError::RetryMaxBelowMin { retry_max, retry_min });
        }
        Ok(())
    }
}

impl ClientConfig {
    /// Returns the protection of connections. Reads the TLS files, if there are any.
    #[cfg(feature = "tls")]
    pub(super) fn security(&self) -> Result<Security, ClientConfigError> {
        let Some(files) = &self.tls else {
            return Ok(Security::Plaintext { beyond_loopback: self.plaintext });
        };
        let tls = Tls::for_user(files.clone()).map_err(ClientConfigError::Tls)?;
        match tls.cluster() {
            cluster if cluster == self.cluster => Ok(Security::Tls(tls)),
            other => Err(ClientConfigError::OtherCluster(other)),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unnecessary_wraps, reason = "files of certificates may be wrong")]
    pub(super) fn security(&self) -> Result<Security, ClientConfigError> {
        Ok(Security::Plaintext { beyond_loopback: self.plaintext })
    }
}

/// The reasons for which a [`ClientConfig`] is invalid.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientConfigError {
    /// A TLS file of the configuration cannot be used.
    #[cfg(feature = "tls")]
    #[error("{0}")]
    Tls(TlsError),
    /// The certificate belongs to this cluster, which is not the configured one.
    #[cfg(feature = "tls")]
    #[error(
        "the certificate belongs to cluster {0}: use a certificate of the \
        configured cluster"
    )]
    OtherCluster(ClusterId),
    /// The list of addresses is empty.
    #[error("no node addresses are configured")]
    NoAddresses,
    /// The address does not have the form `host:port`.
    #[error("\"{0}\" is not an address: write host:port")]
    InvalidAddress(String),
    /// `acknowledge` is [`Acknowledge::LeaderOnly`], with which a proposal returns no reply of the
    /// state machine.
    #[error("acknowledge may not be LeaderOnly: use Client::propose_at_most_once for that")]
    LeaderOnly,
    /// A limit of the session is out of its range.
    #[error(
        "session.window is {}: it must be from 1 to {}; session.replies_bytes_max is {}: it must \
        be at most {}",
        .0.window,
        SessionBounds::WINDOW_MAX,
        .0.replies_bytes_max,
        SessionBounds::REPLIES_BYTES_PER_SESSION_MAX
    )]
    InvalidSessionLimits(SessionLimits),
    /// The named field is zero, although it must be positive.
    #[error("{0} is zero: it must be positive")]
    Zero(&'static str),
    /// The named field is longer than a year.
    #[error("{0} is {1:?}, longer than a year: lower it")]
    TooLong(&'static str, Duration),
    /// `keepalive_timeout` is less than two keepalive intervals.
    #[error(
        "keepalive_timeout is {keepalive_timeout:?}: it must be at least twice keepalive_interval, \
        which is {keepalive_interval:?}"
    )]
    KeepaliveTimeoutTooShort {
        /// The time without a received byte after which a connection is closed.
        keepalive_timeout: Duration,
        /// The interval at which an idle side of a connection sends a keepalive.
        keepalive_interval: Duration,
    },
    /// `retry_max` is less than `retry_min`.
    #[error("retry_max is {retry_max:?}: it must be at least retry_min, which is {retry_min:?}")]
    RetryMaxBelowMin {
        /// The configured longest wait.
        retry_max: Duration,
        /// The configured first wait.
        retry_min: Duration,
    },
}

debug_as_display!(ClientConfigError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn a_client_of_a_node_has_the_intervals_of_its_node() {
        let members = [(NodeId(1), ([127, 0, 0, 1], 1).into())];
        let node = ServerConfig::new("directory", ClusterId(7), NodeId(1), members);
        let mut node = node.expect("the node is listed");
        node.network.keepalive_interval = Duration::from_secs(3);
        node.network.keepalive_timeout = Duration::from_secs(7);
        node.service.idle_max = Duration::from_secs(8);
        let config = ClientConfig::of_node(&node);
        assert_eq!(config.keepalive_interval, Duration::from_secs(3));
        assert_eq!(config.keepalive_timeout, Duration::from_secs(7));
        assert_eq!(config.idle_max, Duration::from_secs(4));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn an_error_names_the_field_its_value_and_its_bound() {
        type Change = fn(&mut ClientConfig);
        let cases: [(Change, &str); 9] = [
            (|config| config.addresses.clear(), "no node addresses are configured"),
            (|config| config.addresses = vec!["a".into()], "\"a\" is not an address: write host"),
            (|config| config.addresses = vec![":1".into()], "\":1\" is not an address: write host"),
            (
                |config| config.addresses = vec!["http://a:80".into()],
                "\"http://a:80\" is not an address: write host",
            ),
            (|config| config.requests_max = 0, "requests_max is zero: it must be positive"),
            (|config| config.idle_max = Duration::ZERO, "idle_max is zero: it must be positive"),
            (
                |config| config.keepalive_timeout = Duration::from_secs(1) / 2,
                "keepalive_timeout is 500ms: it must be at least twice keepalive_interval, which \
                 is 500ms",
            ),
            (
                |config| config.retry_max = Duration::from_millis(1),
                "retry_max is 1ms: it must be at least retry_min, which is 10ms",
            ),
            (
                |config| config.session.window = 0,
                "session.window is 0: it must be from 1 to 1024; session.replies_bytes_max is \
                 4194304: it must be at most ",
            ),
        ];
        for (change, text) in cases {
            let mut config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
            change(&mut config);
            let error = config.check().expect_err(text).to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn only_the_deadline_may_be_longer_than_a_year() {
        let changes: [fn(&mut ClientConfig); 7] = [
            |config| config.attempt_max = Duration::MAX,
            |config| config.connect_timeout = Duration::MAX,
            |config| config.keepalive_interval = Duration::MAX,
            |config| config.keepalive_timeout = Duration::MAX,
            |config| config.idle_max = Duration::MAX,
            |config| config.retry_min = Duration::MAX,
            |config| config.retry_max = Duration::MAX,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
            change(&mut config);
            let result = config.check();
            assert!(matches!(result, Err(ClientConfigError::TooLong(..))), "{number}: {result:?}");
        }
        let mut config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        config.deadline = Duration::MAX;
        assert_eq!(config.check(), Ok(()));
    }
}
