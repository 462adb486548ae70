//! What a node does for clients: it takes their requests, as many at once as its bounds allow, and
//! replies to each when it knows what came of it, in any order.

mod connection;
mod guest;
mod requests;
#[cfg(test)]
mod tests;

pub(super) use guest::{Guest, Service};
