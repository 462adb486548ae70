//! The TLS context of connections, from the TLS files as they were last read.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tracing::{info, warn};

use crate::runtime::environment::Socket;
use crate::runtime::lock::lock;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::tls::chain::{CertificateUsage, reject_reason};
use crate::runtime::tls::config::{TlsConfig, TlsError};
use crate::runtime::tls::files::Credentials;
use crate::runtime::tls::refusals::refusal;
use crate::runtime::tls::revocation::ListExpiry;
use crate::runtime::tls::verifier::Verifier;
use crate::storage::ClusterId;
use crate::types::NodeId;

/// The TLS context of one node, client or administrator. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Tls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: TlsConfig,
    /// The node that the certificate must name; `None` for a client, whose certificate may name any
    /// principal.
    node: Option<(ClusterId, NodeId)>,
    /// Whether this context logs about revocation lists. That of a client with the certificate of a
    /// node does not, because the node logs about the same files.
    logs_lists: bool,
    current: watch::Sender<Arc<LoadedTls>>,
    /// Held while the files are read again.
    reload_lock: Mutex<()>,
}

/// The TLS configuration from one reading of the files.
#[derive(Debug)]
struct LoadedTls {
    cluster: ClusterId,
    role: Role,
    verifier: Arc<Verifier>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    has_revocation_lists: bool,
    /// The times at which newer revocation lists should be there.
    next_updates: Vec<UnixTime>,
}

impl Tls {
    /// Returns the context of a node, whose certificate must name it.
    pub(in crate::runtime) fn for_node(
        config: TlsConfig,
        cluster: ClusterId,
        node: NodeId,
    ) -> Result<Tls, TlsError> {
        Tls::load(config, Some((cluster, node)))
    }

    /// Returns the context of a client, whose certificate may be of any role and cluster.
    pub(in crate::runtime) fn for_user(config: TlsConfig) -> Result<Tls, TlsError> {
        Tls::load(config, None)
    }

    fn load(config: TlsConfig, node: Option<(ClusterId, NodeId)>) -> Result<Tls, TlsError> {
        let loaded = LoadedTls::read(&config, node, false)?;
        let logs_lists = node.is_some() || loaded.role != Role::Node;
        let current = watch::Sender::new(Arc::new(loaded));
        let shared = Shared { config, node, logs_lists, current, reload_lock: Mutex::new(()) };
        Ok(Tls { shared: Arc::new(shared) })
    }

    /// Reads the files again. New connections use them, and open connections end if their peer is
    /// no longer trusted. The certificate must be of the same cluster as before. After an error the
    /// old files stay in use. Logs whether revocation lists
    /// are used for the first time, or have to be replaced.
    pub(in crate::runtime) fn reload(&self) -> Result<(), TlsError> {
        let Shared { config, node, logs_lists, current, reload_lock } = &*self.shared;
        let _held = lock(reload_lock);
        let had_lists = current.borrow().has_revocation_lists;
        let loaded = LoadedTls::read(config, *node, had_lists)?;
        let cluster = self.cluster();
        if loaded.cluster != cluster {
            let message = format_args!(
                "the certificate is of cluster {}, but the one in use is of cluster {cluster}",
                loaded.cluster
            );
            return Err(TlsError::new(&config.certificate, message));
        }
        if *logs_lists && loaded.has_revocation_lists && !had_lists {
            info!(file = self.revocation_file(), "revocation lists are used from now on");
        }
        current.send_replace(Arc::new(loaded));
        self.warn_of_old_lists();
        Ok(())
    }

    /// Logs each revocation list that has expired, or expires soon.
    pub(in crate::runtime) fn warn_of_old_lists(&self) {
        if !self.shared.logs_lists {
            return;
        }
        let current = Arc::clone(&self.shared.current.borrow());
        let now = UnixTime::now();
        for old in current.next_updates.iter().filter_map(|next| ListExpiry::of(*next, now)) {
            warn!(file = self.revocation_file(), "{old}: replace it by a newer one, and reload");
        }
    }

    fn revocation_file(&self) -> String {
        let file = self.shared.config.revocation_lists.as_ref();
        file.map_or_else(String::new, |file| file.display().to_string())
    }

    /// Returns the cluster that the certificate belongs to.
    pub(in crate::runtime) fn cluster(&self) -> ClusterId {
        self.shared.current.borrow().cluster
    }

    /// Performs the handshake of an accepted connection, and returns the principal of the caller.
    pub(in crate::runtime) async fn accept<S: Socket>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Principal, CertificateWatch)> {
        let mut watch = self.shared.current.subscribe();
        let current = Arc::clone(&watch.borrow_and_update());
        let accepted = TlsAcceptor::from(Arc::clone(&current.server)).accept(stream).await;
        let stream = accepted.map_err(classified)?;
        let certificate = CertificateWatch::new(
            stream.get_ref().1.peer_certificates(),
            CertificateUsage::Client,
            watch,
        );
        let principal = certificate.principal(&current)?;
        Ok((stream.into(), principal, certificate))
    }

    /// Performs the handshake with a called node. Its certificate must name a node, and this must
    /// be `node` if that is given.
    pub(in crate::runtime) async fn connect<S: Socket>(
        &self,
        stream: S,
        node: Option<NodeId>,
    ) -> io::Result<(TlsStream<S>, Principal, CertificateWatch)> {
        let mut watch = self.shared.current.subscribe();
        let current = Arc::clone(&watch.borrow_and_update());
        // The host name is not sent, and certificates name no hosts.
        let host = ServerName::try_from("quorate").expect("the server name is valid");
        let connector = TlsConnector::from(Arc::clone(&current.client));
        let stream = connector.connect(host, stream).await.map_err(connect_error)?;
        let certificate = CertificateWatch::new(
            stream.get_ref().1.peer_certificates(),
            CertificateUsage::Server,
            watch,
        );
        let principal = certificate.principal(&current)?;
        if principal.role() != Role::Node {
            let message = format_args!("the called node presented a certificate of {principal}");
            return Err(reject(ConnectionRejectReason::RoleNotAllowed, message));
        }
        match node.map(Principal::Node) {
            Some(node) if node != principal => {
                let message = format_args!("called {node}, but the certificate names {principal}");
                Err(reject(ConnectionRejectReason::IdentityMismatch, message))
            }
            _ => Ok((stream.into(), principal, certificate)),
        }
    }
}

impl LoadedTls {
    fn read(
        config: &TlsConfig,
        node: Option<(ClusterId, NodeId)>,
        had_lists: bool,
    ) -> Result<LoadedTls, TlsError> {
        let credentials = Credentials::read(config, had_lists)?;
        if let Some((cluster, id)) = node
            && (credentials.cluster, &credentials.principal) != (cluster, &Principal::Node(id))
        {
            let actual = credentials.principal.uri(credentials.cluster);
            let expected = Principal::Node(id).uri(cluster);
            let message = format_args!(
                "the certificate names {actual}, but this node is {expected}: use the \
                 certificate that was issued for this node"
            );
            return Err(TlsError::new(&config.certificate, message));
        }
        let role = credentials.principal.role();
        let Credentials { cluster, certificates, key, anchors, next_updates, .. } = credentials;
        let has_revocation_lists = !anchors.revocation_lists.is_empty();
        let verifier = Verifier::new(cluster, anchors);
        let provider = Arc::new(ring::default_provider());
        let invalid = |error: rustls::Error| TlsError::new(&config.certificate, refusal(&error));

        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let mut server = server
            .with_protocol_versions(&[&TLS13])
            .map_err(invalid)?
            .with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_single_cert(certificates.clone(), key.clone_key())
            .map_err(invalid)?;
        // TLS sessions are not resumed, so that the certificate is verified on each connection.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});

        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(invalid)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_client_auth_cert(certificates, key)
            .map_err(invalid)?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(LoadedTls {
            cluster,
            role,
            verifier,
            client,
            server,
            has_revocation_lists,
            next_updates,
        })
    }
}

/// The longest interval at which a certificate is verified again, because clocks are adjusted and
/// machines sleep.
const RECHECK_INTERVAL: Duration = Duration::from_secs(3600);

/// The certificate of a remote, which is verified again when the files are reloaded, when it
/// expires, and at least every [`RECHECK_INTERVAL`]. The first of these checks after an issuer's
/// certificate has expired finds that.
#[derive(Debug)]
pub(in crate::runtime) struct CertificateWatch {
    certificates: Vec<CertificateDer<'static>>,
    usage: CertificateUsage,
    watch: watch::Receiver<Arc<LoadedTls>>,
}

impl CertificateWatch {
    fn new(
        certificates: Option<&[CertificateDer<'static>]>,
        usage: CertificateUsage,
        watch: watch::Receiver<Arc<LoadedTls>>,
    ) -> CertificateWatch {
        CertificateWatch { certificates: certificates.unwrap_or_default().to_vec(), usage, watch }
    }

    fn principal(&self, current: &LoadedTls) -> io::Result<Principal> {
        let checked = current.verifier.principal(&self.certificates, self.usage, UnixTime::now());
        checked.map_err(|error| reject(reject_reason(&error), refusal(&error)))
    }

    /// Waits until the certificate is no longer valid, and returns the reason as an error.
    pub(in crate::runtime) async fn revoked(&mut self) -> io::Error {
        let mut current = Arc::clone(&self.watch.borrow());
        loop {
            let wait = self.time_to_expiry(&current).min(RECHECK_INTERVAL);
            // The certificate is verified again after a reload, and at the end of the wait.
            let _ = timeout(wait, self.changed()).await;
            current = Arc::clone(&self.watch.borrow_and_update());
            if let Err(error) = self.principal(&current) {
                return error;
            }
        }
    }

    /// Returns the time until the second after the certificate's expiry.
    fn time_to_expiry(&self, current: &LoadedTls) -> Duration {
        let Some(expiry) = current.verifier.expiry(&self.certificates, self.usage) else {
            return Duration::MAX;
        };
        let remaining = (expiry.as_secs() + 1).saturating_sub(UnixTime::now().as_secs());
        Duration::from_secs(remaining.max(1))
    }

    async fn changed(&mut self) {
        if self.watch.changed().await.is_err() {
            // The TLS context was dropped, so the files are never read again.
            std::future::pending().await
        }
    }
}

/// Returns the error of a handshake with a called node, which says whose certificate is invalid.
fn connect_error(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner @ rustls::Error::InvalidCertificate(_)) => {
            let message = format_args!("the called node's certificate: {}", refusal(inner));
            reject(reject_reason(inner), message)
        }
        _ => classified(error),
    }
}

/// Returns the error with the reason that is counted for it.
pub(in crate::runtime) fn classified(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner) => reject(reject_reason(inner), refusal(inner)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the remote closed the connection")
        }
        None => error,
    }
}
