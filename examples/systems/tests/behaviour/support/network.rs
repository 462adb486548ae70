//! The network between nodes: a proxy in front of each node, which identifies the caller by the
//! first frame of a connection, and cuts or delays links. It requires no privileges. A TLS
//! connection hides its caller and counts as a client.
#![expect(clippy::disallowed_methods, reason = "the proxies use real time and threads")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate::wire::{Frame, FrameReader};

use crate::addresses::free_address;
use crate::support::traffic::{StreamCapture, Traffic};

/// The interval at which a cut link is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The caller of a connection to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    /// Another node, by its id.
    Node(u64),
    /// Any node that forwards a request of a client.
    ForwardingNode,
    /// Any client, and any TLS connection.
    Client,
}

/// The proxies of all nodes. Their threads end with the process.
#[derive(Clone, Default)]
pub(crate) struct ProxyNetwork(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The cut links. Bytes in both directions are held back until the links are healed, so the
    /// callers time out.
    cut: BTreeSet<(Caller, u64)>,
    /// The delay of bytes to each node.
    delay: BTreeMap<u64, Duration>,
    /// The captured traffic, if capturing is enabled.
    traffic: Option<Traffic>,
}

impl ProxyNetwork {
    /// Returns a network that captures its traffic.
    pub(crate) fn capturing() -> ProxyNetwork {
        let network = ProxyNetwork::default();
        network.state().traffic = Some(Traffic::default());
        network
    }

    /// Calls `look` with the traffic captured so far.
    pub(crate) fn traffic<T>(&self, look: impl FnOnce(&Traffic) -> T) -> T {
        look(self.state().traffic.as_ref().expect("the network captures traffic"))
    }

    /// Starts the proxy of the node `id`, which listens at `to`, and returns its address.
    pub(crate) fn start_proxy(&self, id: u64, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(free_address()).expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let network = self.clone();
        thread::spawn(move || {
            // Failed connections are skipped.
            for stream in listener.incoming().flatten() {
                let network = network.clone();
                thread::spawn(move || network.proxy_connection(stream, id, to));
            }
        });
        address
    }

    /// Splits the network: the sides do not reach each other; clients reach both.
    pub(crate) fn split(&self, side: &[u64], other: &[u64]) {
        for (one, two) in side.iter().flat_map(|one| other.iter().map(move |two| (*one, *two))) {
            self.cut(Caller::Node(one), two);
            self.cut(Caller::Node(two), one);
        }
        // The side of a forwarding node is unknown, so forwarding is cut everywhere.
        side.iter().chain(other).for_each(|id| self.cut(Caller::ForwardingNode, *id));
    }

    /// Cuts the link between `from` and `to`, in both directions.
    pub(crate) fn cut(&self, from: Caller, to: u64) {
        self.state().cut.insert((from, to));
    }

    /// Heals all links and removes all delays.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.delay.clear();
    }

    /// Delays all bytes to the node.
    pub(crate) fn delay(&self, to: u64, by: Duration) {
        self.state().delay.insert(to, by);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }

    fn proxy_connection(&self, mut caller: TcpStream, id: u64, to: SocketAddr) -> io::Result<()> {
        let (mut first_bytes, mut frames) = (Vec::new(), FrameReader::new());
        let caller_kind = loop {
            let mut buffer = [0; 1024];
            let count = caller.read(&mut buffer)?;
            first_bytes.extend_from_slice(&buffer[..count]);
            match frames.read(&mut &buffer[..count]) {
                Ok(Some(Frame::Hello(hello))) => break Caller::Node(hello.from.0),
                Ok(Some(Frame::ClientHello(hello))) if hello.node.is_some() => {
                    break Caller::ForwardingNode;
                }
                Ok(Some(_)) | Err(_) => break Caller::Client,
                Ok(None) if count == 0 => return Ok(()),
                Ok(None) => {}
            }
        };
        self.wait_while_cut(caller_kind, id);
        let mut node = TcpStream::connect(to)?;
        for stream in [&caller, &node] {
            stream.set_nodelay(true)?;
        }
        let mut captures = [self.start_capture(caller_kind), self.start_capture(caller_kind)];
        self.capture(&mut captures[0], &first_bytes);
        node.write_all(&first_bytes)?;
        let (back, front) = (node.try_clone()?, caller.try_clone()?);
        let network = self.clone();
        let [inward, outward] = captures;
        thread::spawn(move || network.forward(back, front, (caller_kind, id), outward, false));
        self.forward(caller, node, (caller_kind, id), inward, true);
        Ok(())
    }

    /// Forwards bytes until the end of the stream, and then closes both sides.
    fn forward(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        link: (Caller, u64),
        mut stream_capture: Option<StreamCapture>,
        inward: bool,
    ) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut buffer);
            let delay = self.state().delay.get(&link.1).copied().filter(|_| inward);
            if let Some(delay) = delay {
                let due = Instant::now() + delay;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.wait_while_cut(link.0, link.1);
            if let Ok(count) = read {
                self.capture(&mut stream_capture, &buffer[..count]);
            }
            match read {
                Ok(count @ 1..) if to.write_all(&buffer[..count]).is_ok() => {}
                _ => break,
            }
        }
        // Either side may be closed already.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    fn start_capture(&self, caller_kind: Caller) -> Option<StreamCapture> {
        self.state().traffic.as_mut().map(|traffic| traffic.start_stream(caller_kind))
    }

    fn capture(&self, stream_capture: &mut Option<StreamCapture>, bytes: &[u8]) {
        if let (Some(stream_capture), Some(traffic)) = (stream_capture, &mut self.state().traffic) {
            traffic.add(stream_capture, bytes);
        }
    }

    fn wait_while_cut(&self, caller_kind: Caller, id: u64) {
        while self.state().cut.contains(&(caller_kind, id)) {
            thread::sleep(POLL_INTERVAL);
        }
    }
}
