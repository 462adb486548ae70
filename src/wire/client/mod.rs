//! The client protocol: one [`ClientHello`] from each side, then requests from the client and
//! replies from the node. Each reply has the number of its request; replies come in any order.

mod hello;
mod reply;
mod request;

pub use hello::{ClientHello, ClientHelloError};
pub use reply::{ClientReply, LeaderHint, ReplyBody, ServiceRejectReason};
pub use request::{ClientRequest, RequestBody};
