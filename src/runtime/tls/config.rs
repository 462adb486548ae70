//! Where the certificates are.

use std::fmt;
use std::path::{Path, PathBuf};

/// The files that a node, a client or an administrator proves by who it is, and knows others by.
/// All are PEM. Files are read at the start, and whenever somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// Its own certificate, and the ones between that and the authority, if any.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Who vouches for nodes.
    pub nodes: PathBuf,
    /// Who vouches for clients; without it there are none. Nodes alone need it.
    pub clients: Option<PathBuf>,
    /// Who vouches for administrators; without it there are none. Nodes alone need it.
    pub admins: Option<PathBuf>,
    /// Which certificates were taken back: lists of the authorities above, one after the other.
    pub revoked: Option<PathBuf>,
}

/// What is wrong with a file of [`TlsConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    file: PathBuf,
    what: String,
}

impl TlsConfig {
    /// The least that is needed; clients and administrators are not served with it.
    #[must_use]
    pub fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        nodes: impl Into<PathBuf>,
    ) -> TlsConfig {
        TlsConfig {
            certificate: certificate.into(),
            key: key.into(),
            nodes: nodes.into(),
            clients: None,
            admins: None,
            revoked: None,
        }
    }
}

impl TlsError {
    pub(super) fn new(file: &Path, what: impl fmt::Display) -> TlsError {
        TlsError { file: file.to_owned(), what: what.to_string() }
    }

    /// The file that has to be mended.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for TlsError {}
