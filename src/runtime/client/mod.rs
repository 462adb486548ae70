//! Clients of a cluster in other processes: [`Client`] on tokio, [`blocking::Client`] without.

mod attempts;
#[cfg(not(madsim))]
pub mod blocking;
mod calls;
mod config;
mod connection;
mod error;
mod forwarder;
mod nodes;
mod pending_replies;
mod session;
mod typed;

pub use calls::Client;
pub use config::{ClientConfig, ClientConfigError};
pub use error::{AttemptError, ClientError, Mismatch, RejectCause};
pub(in crate::runtime) use forwarder::Forwarder;
pub use typed::{TypedClient, TypedClientError};
