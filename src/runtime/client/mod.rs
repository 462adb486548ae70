//! Clients of a cluster, in other processes: [`Client`] on tokio, [`blocking::Client`] without.

mod attempts;
#[cfg(not(madsim))]
pub mod blocking;
mod calls;
mod config;
mod connection;
mod error;
mod nodes;
mod relay;
mod session;

pub use calls::Client;
pub use config::{ClientConfig, ClientConfigError};
pub use error::{ClientError, Rejection, Trouble};
pub(in crate::runtime) use relay::Relay;
