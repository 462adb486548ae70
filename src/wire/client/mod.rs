//! What clients and nodes say to each other: after one [`ClientHello`] from each side, requests
//! from the client and replies from the node, each reply with the number of its request, in any
//! order.

mod form;
mod hello;
mod reply;
mod request;

pub use hello::{ClientHello, ClientHelloError};
pub use reply::{ClientReply, Denial, LeaderHint, Told};
pub use request::{ClientRequest, Wanted};
