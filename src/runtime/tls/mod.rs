//! TLS 1.3 with certificates on both sides.
//!
//! A certificate names a [`Principal`](crate::runtime::Principal) by one URI, and is valid only if
//! an authority of the same role has issued it. So the authority of clients cannot issue
//! certificates of nodes.

mod chain;
mod config;
mod context;
mod files;
mod verifier;

#[cfg(feature = "certs")]
pub(super) use chain::{check_issued, serial};
pub use config::{TlsConfig, TlsError};
pub(super) use context::{CertificateWatch, Tls};
