//! TLS 1.3 with certificates on both sides.
//!
//! A certificate names a [`Principal`](crate::runtime::Principal) by one URI. Nodes, clients and
//! administrators have separate certificate authorities (CAs), and a certificate is valid only if a
//! CA of its role has issued it: a certificate that the clients' CA issued for a node is invalid.

mod chain;
mod config;
mod context;
mod files;
mod pem_file;
mod refusals;
mod revocation;
mod verifier;

#[cfg(feature = "certs")]
pub(super) use chain::{check_issued, serial};
pub use config::{TlsConfig, TlsError};
pub(super) use context::{CertificateWatch, Tls, classified};
