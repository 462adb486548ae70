//! Free addresses for nodes that start to listen later.

use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest port that is tried; the range of tried ports is below the ephemeral ports of common
/// systems.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// The number of ports tried so far.
static TURN: AtomicU32 = AtomicU32::new(0);

/// Returns an unused address that this process returns once. Another process, which starts at
/// another port, may take it before it is used.
pub(crate) fn free_address() -> SocketAddr {
    let begin = process::id().wrapping_mul(97);
    let turns = (0..COUNT).map(|_| TURN.fetch_add(1, Ordering::Relaxed));
    let ports = turns.map(|turn| FIRST + begin.wrapping_add(turn) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    let bound = ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    bound.expect("a port is free").local_addr().expect("the socket is bound")
}
