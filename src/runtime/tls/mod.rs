//! TLS 1.3 with certificates at both ends: who is there, and who vouches for it.
//!
//! A certificate says by one URI who it is for (a [`Principal`](crate::runtime::Principal)), and
//! counts only where an authority of that very role vouches for it: whoever makes clients makes
//! no nodes.

mod chain;
mod config;
mod context;
mod files;
mod verifier;

#[cfg(feature = "certs")]
pub(super) use chain::{check_issued, serial};
pub use config::{TlsConfig, TlsError};
pub(super) use context::{Checked, Tls};
