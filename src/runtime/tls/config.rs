//! The paths of the TLS files.

use std::fmt;
use std::path::{Path, PathBuf};

/// The TLS files of a node, a client or an administrator, in PEM format. They are read at the
/// start, and again by `Handle::reload_tls` or `Client::reload_tls`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// The certificate of this node, client or administrator, followed by the intermediate
    /// certificates up to the authority, if there are any.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The certificates of the authorities that may issue certificates for nodes.
    pub node_authorities: PathBuf,
    /// The authorities of clients. Without this file no client is accepted. Only nodes need it.
    pub client_authorities: Option<PathBuf>,
    /// The authorities of administrators. Without this file no administrator is accepted. Only
    /// nodes need it.
    pub admin_authorities: Option<PathBuf>,
    /// The revocation lists of the authorities, one per authority, in one file. A list that has
    /// expired stays in use, and is logged.
    pub revocation_lists: Option<PathBuf>,
    /// Whether the file of `revocation_lists` may be missing, in which case no certificate is
    /// revoked. A reload uses it once it is there, and from then on it may not be missing.
    pub revocation_lists_optional: bool,
}

/// An error in a file of [`TlsConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", file.display())]
pub struct TlsError {
    file: PathBuf,
    message: String,
}

impl TlsConfig {
    /// Returns the minimal configuration. A node with it accepts neither clients nor
    /// administrators.
    #[must_use]
    pub fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        nodes: impl Into<PathBuf>,
    ) -> TlsConfig {
        TlsConfig {
            certificate: certificate.into(),
            key: key.into(),
            node_authorities: nodes.into(),
            client_authorities: None,
            admin_authorities: None,
            revocation_lists: None,
            revocation_lists_optional: false,
        }
    }
}

impl TlsError {
    pub(super) fn new(file: &Path, message: impl fmt::Display) -> TlsError {
        TlsError { file: file.to_owned(), message: message.to_string() }
    }

    /// Returns the path of the invalid file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}
