//! Addresses that nodes are told of before anybody listens there.

use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports that no system hands out by itself, to who listens anywhere or to who calls.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// How many were looked at so far.
static TURN: AtomicU32 = AtomicU32::new(0);

/// An address that nobody listens at, and that this process gives once. Another process, which
/// begins elsewhere, may take it before it is used.
pub(crate) fn free_address() -> SocketAddr {
    let begin = process::id().wrapping_mul(97);
    let turns = (0..COUNT).map(|_| TURN.fetch_add(1, Ordering::Relaxed));
    let ports = turns.map(|turn| FIRST + begin.wrapping_add(turn) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    let bound = ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    bound.expect("there are ports").local_addr().expect("it is bound")
}
