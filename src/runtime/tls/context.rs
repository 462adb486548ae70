//! TLS as connections use it: with what the files said when they were last read.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::tls::chain::{Usage, reason};
use crate::runtime::tls::config::{TlsConfig, TlsError};
use crate::runtime::tls::files::Papers;
use crate::runtime::tls::verifier::Verifier;
use crate::storage::ClusterId;
use crate::types::NodeId;

/// How one node, client or administrator speaks TLS. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Tls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: TlsConfig,
    /// Whom the certificate must name; a user's may name anybody.
    node: Option<(ClusterId, NodeId)>,
    current: watch::Sender<Arc<Current>>,
    /// Held while files are read again.
    reading: Mutex<()>,
}

/// What the files said.
#[derive(Debug)]
struct Current {
    cluster: ClusterId,
    verifier: Arc<Verifier>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// For a node: its certificate must name it.
    pub(in crate::runtime) fn of_node(
        config: TlsConfig,
        cluster: ClusterId,
        node: NodeId,
    ) -> Result<Tls, TlsError> {
        Tls::of(config, Some((cluster, node)))
    }

    /// For whoever the certificate names, of whichever cluster.
    pub(in crate::runtime) fn of_user(config: TlsConfig) -> Result<Tls, TlsError> {
        Tls::of(config, None)
    }

    fn of(config: TlsConfig, node: Option<(ClusterId, NodeId)>) -> Result<Tls, TlsError> {
        let current = watch::Sender::new(Arc::new(Current::read(&config, node)?));
        Ok(Tls { shared: Arc::new(Shared { config, node, current, reading: Mutex::new(()) }) })
    }

    /// Reads the files again. New connections go by them, and open ones end whose other side is
    /// not trusted any more. After an error everything stays as it was.
    pub(in crate::runtime) fn reload(&self) -> Result<(), TlsError> {
        let Shared { config, node, current, reading } = &*self.shared;
        let _held = reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        current.send_replace(Arc::new(Current::read(config, *node)?));
        Ok(())
    }

    /// The cluster that the certificate is of.
    pub(in crate::runtime) fn cluster(&self) -> ClusterId {
        self.shared.current.borrow().cluster
    }

    /// Makes a connection that was taken safe, and says who is there.
    pub(in crate::runtime) async fn accept(
        &self,
        tcp: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Principal, Checked)> {
        let mut watch = self.shared.current.subscribe();
        let current = Arc::clone(&watch.borrow_and_update());
        let accepted = TlsAcceptor::from(Arc::clone(&current.server)).accept(tcp).await;
        let stream = accepted.map_err(explained)?;
        let checked = Checked::new(stream.get_ref().1.peer_certificates(), Usage::Client, watch);
        let principal = checked.principal(&current)?;
        Ok((stream.into(), principal, checked))
    }

    /// Makes a connection to a node safe: to `node`, if that is known.
    pub(in crate::runtime) async fn call(
        &self,
        tcp: TcpStream,
        node: Option<NodeId>,
    ) -> io::Result<(TlsStream<TcpStream>, Principal, Checked)> {
        let mut watch = self.shared.current.subscribe();
        let current = Arc::clone(&watch.borrow_and_update());
        // It is not sent, and certificates name no hosts.
        let host = ServerName::try_from("quorate").expect("it is a name");
        let connector = TlsConnector::from(Arc::clone(&current.client));
        let stream = connector.connect(host, tcp).await.map_err(explained)?;
        let checked = Checked::new(stream.get_ref().1.peer_certificates(), Usage::Server, watch);
        let principal = checked.principal(&current)?;
        if principal.role() != Role::Node {
            return Err(refused(Refusal::Role, format_args!("{principal} is no node")));
        }
        match node.map(Principal::Node) {
            Some(node) if node != principal => {
                let what = format_args!("{node} was called, and {principal} answers");
                Err(refused(Refusal::Identity, what))
            }
            _ => Ok((stream.into(), principal, checked)),
        }
    }
}

impl Current {
    fn read(config: &TlsConfig, node: Option<(ClusterId, NodeId)>) -> Result<Current, TlsError> {
        let papers = Papers::read(config)?;
        if let Some((cluster, id)) = node
            && (papers.cluster, &papers.principal) != (cluster, &Principal::Node(id))
        {
            let named = papers.principal.uri(papers.cluster);
            let expected = Principal::Node(id).uri(cluster);
            let what = format_args!("it is for {named}, and this is {expected}");
            return Err(TlsError::new(&config.certificate, what));
        }
        let Papers { cluster, certificates, key, trusted, .. } = papers;
        let verifier = Verifier::new(cluster, trusted);
        let provider = Arc::new(ring::default_provider());
        let faulty = |error: rustls::Error| TlsError::new(&config.certificate, error);

        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let mut server = server
            .with_protocol_versions(&[&TLS13])
            .map_err(faulty)?
            .with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_single_cert(certificates.clone(), key.clone_key())
            .map_err(faulty)?;
        // A connection that resumes another would not be asked for its certificate.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});

        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(faulty)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_client_auth_cert(certificates, key)
            .map_err(faulty)?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Current { cluster, verifier, client, server })
    }
}

/// After how long at the latest a certificate is looked at again: clocks are set, and machines
/// sleep.
const RECHECK: Duration = Duration::from_secs(3600);

/// Somebody whose certificate was checked, and is again whenever the files are read, and once it is
/// over.
#[derive(Debug)]
pub(in crate::runtime) struct Checked {
    certificates: Vec<CertificateDer<'static>>,
    usage: Usage,
    watch: watch::Receiver<Arc<Current>>,
}

impl Checked {
    fn new(
        certificates: Option<&[CertificateDer<'static>]>,
        usage: Usage,
        watch: watch::Receiver<Arc<Current>>,
    ) -> Checked {
        Checked { certificates: certificates.unwrap_or_default().to_vec(), usage, watch }
    }

    fn principal(&self, current: &Current) -> io::Result<Principal> {
        let checked = current.verifier.principal(&self.certificates, self.usage, UnixTime::now());
        checked.map_err(|error| refused(reason(&error), error))
    }

    /// Waits until the certificate does not count any more, and says why.
    pub(in crate::runtime) async fn lost(&mut self) -> io::Error {
        let mut current = Arc::clone(&self.watch.borrow());
        loop {
            let wait = self.left(&current).min(RECHECK);
            // At the end of the wait it is looked at all the same.
            let _ = timeout(wait, self.changed()).await;
            current = Arc::clone(&self.watch.borrow_and_update());
            if let Err(error) = self.principal(&current) {
                return error;
            }
        }
    }

    /// How long it is until the second after the certificate's last.
    fn left(&self, current: &Current) -> Duration {
        let Some(over) = current.verifier.over(&self.certificates, self.usage) else {
            return Duration::MAX;
        };
        let left = (over.as_secs() + 1).saturating_sub(UnixTime::now().as_secs());
        Duration::from_secs(left.max(1))
    }

    async fn changed(&mut self) {
        if self.watch.changed().await.is_err() {
            // Nobody reads the files any more.
            std::future::pending().await
        }
    }
}

/// The same error with the reason that it is counted for.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(inner) => refused(reason(inner), inner),
        None => error,
    }
}
