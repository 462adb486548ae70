//! What is in the files of a [`TlsConfig`].

use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::tls::chain::{Trusted, Usage, whose};
use crate::runtime::tls::config::{TlsConfig, TlsError};
use crate::storage::ClusterId;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What somebody proves by who it is, and knows others by.
pub(super) struct Papers {
    pub(super) cluster: ClusterId,
    pub(super) principal: Principal,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) trusted: Trusted,
}

impl Papers {
    /// Reads all of it. Each fault is found here that others would find later.
    pub(super) fn read(config: &TlsConfig) -> Result<Papers, TlsError> {
        let file = &config.certificate;
        let certificates: Vec<CertificateDer<'static>> = items(file, "certificate")?;
        let (cluster, principal) =
            whose(&certificates[0]).map_err(|error| TlsError::new(file, error))?;
        let mut keys: Vec<PrivateKeyDer<'static>> = items(&config.key, "private key")?;
        let key = keys.swap_remove(0);
        let trusted = Trusted {
            nodes: roots(Some(&config.nodes))?,
            clients: roots(config.clients.as_deref())?,
            admins: roots(config.admins.as_deref())?,
            revoked: config.revoked.as_deref().map_or(Ok(Vec::new()), revoked)?,
        };
        let papers = Papers { cluster, principal, certificates, key, trusted };
        papers.check(config)?;
        Ok(papers)
    }

    fn check(&self, config: &TlsConfig) -> Result<(), TlsError> {
        let provider = ring::default_provider();
        let key = provider.key_provider.load_private_key(self.key.clone_key());
        let key = key.map_err(|error| TlsError::new(&config.key, error))?;
        let own = rustls::sign::CertifiedKey::new(self.certificates.clone(), key);
        own.keys_match().map_err(|error| {
            let certificate = config.certificate.display();
            TlsError::new(&config.key, format_args!("not the key of {certificate}: {error}"))
        })?;
        // Users need not have what nodes know them by.
        if self.principal.role() != Role::Node {
            return Ok(());
        }
        for usage in [Usage::Client, Usage::Server] {
            let now = UnixTime::now();
            let vouched = self.trusted.principal(self.cluster, &self.certificates, usage, now);
            vouched.map_err(|error| {
                let nodes = config.nodes.display();
                let what = format_args!("no other node will take it, by {nodes}: {error}");
                TlsError::new(&config.certificate, what)
            })?;
        }
        Ok(())
    }
}

/// The certificates in a file, each an authority; none without a file.
fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else { return Ok(roots) };
    for certificate in items::<CertificateDer<'static>>(file, "certificate")? {
        roots.add(certificate).map_err(|error| TlsError::new(file, error))?;
    }
    Ok(roots)
}

fn revoked(file: &Path) -> Result<Vec<CertRevocationList<'static>>, TlsError> {
    let lists: Vec<CertificateRevocationListDer<'static>> = items(file, "revocation list")?;
    let parsed = lists.iter().map(|list| Ok(OwnedCertRevocationList::from_der(list)?.into()));
    let parsed: Result<Vec<CertRevocationList<'static>>, webpki::Error> = parsed.collect();
    let lists = parsed.map_err(|error| TlsError::new(file, error))?;
    for (place, list) in lists.iter().enumerate() {
        // Only the first one would be looked at.
        if lists[..place].iter().any(|earlier| earlier.issuer() == list.issuer()) {
            let what = "it has two lists of one authority: keep the newer one, which has all";
            return Err(TlsError::new(file, what));
        }
    }
    Ok(lists)
}

/// Everything of one sort in a file: at least one.
fn items<T: PemObject>(file: &Path, sort: &str) -> Result<Vec<T>, TlsError> {
    let size = std::fs::metadata(file).map_err(|error| TlsError::new(file, error))?.len();
    if size > FILE_BYTES_MAX {
        let what = format_args!("{size} bytes are too much for PEM: at most {FILE_BYTES_MAX}");
        return Err(TlsError::new(file, what));
    }
    let text = std::fs::read(file).map_err(|error| TlsError::new(file, error))?;
    let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&text).collect();
    let items = items.map_err(|error| TlsError::new(file, error))?;
    if items.is_empty() {
        return Err(TlsError::new(file, format_args!("there is no {sort} in it, as PEM")));
    }
    Ok(items)
}
