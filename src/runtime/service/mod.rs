//! The service to clients: executes their requests concurrently, within limits, and replies to each
//! when its outcome is known, in any order.

mod accept;
mod connection;
mod pending;
mod requests;
#[cfg(test)]
mod tests;

pub(super) use accept::{AcceptedClient, Service};
pub(super) use requests::Executor;
