//! Reads and checks the TLS files of a [`TlsConfig`].

use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::tls::chain::{CertificateUsage, TrustAnchors, principal_of};
use crate::runtime::tls::config::{TlsConfig, TlsError};
use crate::runtime::tls::pem_file::pem_items;
use crate::runtime::tls::refusals::refusal;
use crate::runtime::tls::revocation::RevocationLists;
use crate::storage::ClusterId;

impl TlsConfig {
    /// Reads the certificate, and returns the cluster and the principal that it names.
    ///
    /// # Errors
    /// A [`TlsError`] if the file cannot be read, or the certificate names no principal.
    pub fn principal(&self) -> Result<(ClusterId, Principal), TlsError> {
        let certificates: Vec<CertificateDer<'static>> =
            pem_items(&self.certificate, "certificate")?;
        principal_of(&certificates[0])
            .map_err(|error| TlsError::new(&self.certificate, refusal(&error)))
    }
}

/// The contents of the TLS files.
pub(super) struct Credentials {
    pub(super) cluster: ClusterId,
    pub(super) principal: Principal,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) anchors: TrustAnchors,
    /// The times at which newer revocation lists should be there.
    pub(super) next_updates: Vec<UnixTime>,
}

impl Credentials {
    /// Reads and checks all files, so that an unusable one is found before the first handshake.
    /// Revocation lists that were used before may not be missing.
    pub(super) fn read(config: &TlsConfig, had_lists: bool) -> Result<Credentials, TlsError> {
        let file = &config.certificate;
        let certificates: Vec<CertificateDer<'static>> = pem_items(file, "certificate")?;
        let (cluster, principal) =
            principal_of(&certificates[0]).map_err(|error| TlsError::new(file, refusal(&error)))?;
        let mut keys: Vec<PrivateKeyDer<'static>> = pem_items(&config.key, "private key")?;
        let key = keys.swap_remove(0);
        let revocation = RevocationLists::read(config, had_lists)?;
        let anchors = TrustAnchors {
            nodes: roots(Some(&config.node_authorities))?,
            clients: roots(config.client_authorities.as_deref())?,
            admins: roots(config.admin_authorities.as_deref())?,
            revocation_lists: revocation.lists,
        };
        let next_updates = revocation.next_updates;
        let credentials =
            Credentials { cluster, principal, certificates, key, anchors, next_updates };
        credentials.check(config)?;
        Ok(credentials)
    }

    fn check(&self, config: &TlsConfig) -> Result<(), TlsError> {
        let provider = ring::default_provider();
        let key = provider.key_provider.load_private_key(self.key.clone_key());
        let key = key.map_err(|error| {
            let refusal = refusal(&error);
            TlsError::new(&config.key, format_args!("the private key cannot be used: {refusal}"))
        })?;
        let own = rustls::sign::CertifiedKey::new(self.certificates.clone(), key);
        own.keys_match().map_err(|_| {
            let certificate = config.certificate.display();
            let message = format_args!(
                "the private key does not match the certificate {certificate}: use the key that \
                 was issued with it"
            );
            TlsError::new(&config.key, message)
        })?;
        // Clients and administrators need not have the authorities of their own role, so only a
        // node can verify its own certificate.
        if self.principal.role() != Role::Node {
            return Ok(());
        }
        for usage in [CertificateUsage::Client, CertificateUsage::Server] {
            let now = UnixTime::now();
            let verified = self.anchors.principal(self.cluster, &self.certificates, usage, now);
            verified.map_err(|error| {
                let nodes = config.node_authorities.display();
                let message = format_args!(
                    "other nodes will reject the certificate, by the authorities in {nodes}: {}",
                    refusal(&error)
                );
                TlsError::new(&config.certificate, message)
            })?;
        }
        Ok(())
    }
}

/// Reads the certificates of authorities from a file; returns an empty store without a file.
fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else { return Ok(roots) };
    for certificate in pem_items::<CertificateDer<'static>>(file, "certificate")? {
        roots.add(certificate).map_err(|error| {
            TlsError::new(file, format_args!("an authority's certificate cannot be used: {error}"))
        })?;
    }
    Ok(roots)
}
