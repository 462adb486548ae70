//! Free addresses for nodes that start to listen later.

use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpSocket;

/// The lowest port that is tried; the range of tried ports is below the ephemeral ports of common
/// systems.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// The number of ports tried so far.
static TURN: AtomicU32 = AtomicU32::new(0);

/// The reserved ports, each bound by a socket that never listens. The system gives such a port to
/// no socket that takes any port, but a socket that asks for it by number may listen at it.
static RESERVED: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// Returns an unused address that this process returns once, and reserves it until the process
/// ends. Another process, which starts at another port, may listen at it by number.
pub(crate) fn free_address() -> SocketAddr {
    let begin = process::id().wrapping_mul(97);
    let turns = (0..COUNT).map(|_| TURN.fetch_add(1, Ordering::Relaxed));
    let ports = turns.map(|turn| FIRST + begin.wrapping_add(turn) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    let (socket, address) = ports.find_map(reserve).expect("a port is free");
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    address
}

/// Binds a port for listeners that follow, or returns none if the port is in use.
fn reserve(port: u16) -> Option<(TcpSocket, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let socket = TcpSocket::new_v4().expect("the process may open another file");
    socket.set_reuseaddr(true).expect("the option exists");
    // Fails at a port where another socket listens.
    socket.bind(address).ok()?;
    Some((socket, address))
}
