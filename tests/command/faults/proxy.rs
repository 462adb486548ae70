//! A TCP proxy before each node, which delays, stalls and breaks connections, and needs no root. It
//! keeps the order of bytes in one connection, but not between connections.
#![expect(clippy::disallowed_methods, reason = "its time and its threads are real")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::addresses::free_address;
use crate::faults::cluster::{Cluster, NodeLocation};
use crate::load::Rng;
use crate::nodes::pause;

/// The faults of a proxy's connections.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// The minimum and the maximum delay of bytes.
    delay: (Duration, Duration),
    /// Whether bytes are held back until this is unset.
    stalled: bool,
}

/// A proxy. Its threads end with the connections, and those with the processes.
#[derive(Clone)]
struct Proxy(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    conditions: Conditions,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy in front of `to`, and returns it with its address.
    fn start(to: SocketAddr, seed: u64) -> (Proxy, SocketAddr) {
        let listener = TcpListener::bind(free_address()).expect("there are ports");
        let address = listener.local_addr().expect("the socket is bound");
        let proxy = Proxy(Arc::default());
        let accepting = proxy.clone();
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming()) {
                // If the node is down the connection is dropped, and its peer connects again.
                let Ok(stream) = stream else { continue };
                let _ = accepting.pass(stream, to, seed << 32 | number << 1);
            }
        });
        (proxy, address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panics")
    }

    fn pass(&self, caller: TcpStream, to: SocketAddr, seed: u64) -> io::Result<()> {
        let called = TcpStream::connect(to)?;
        let ends = [(caller.try_clone()?, called.try_clone()?), (called, caller)];
        for (at, (from, to)) in (0..).zip(ends) {
            from.set_nodelay(true)?;
            self.state().connections.push(from.try_clone()?);
            let (sender, queue) = mpsc::channel();
            let (reading, writing) = (self.clone(), self.clone());
            let mut rng = Rng(seed | at);
            thread::spawn(move || reading.read(from, &mut rng, &sender));
            thread::spawn(move || writing.write(to, &queue));
        }
        Ok(())
    }

    /// Reads until the connection ends, and schedules the bytes.
    fn read(&self, mut from: TcpStream, rng: &mut Rng, queue: &mpsc::Sender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let (least, most) = self.state().conditions.delay;
            let jitter = (most - least).mul_f64(f64::from(rng.below(1000)) / 1000.0);
            if queue.send((Instant::now() + least + jitter, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    }

    fn write(&self, mut to: TcpStream, queue: &Receiver<(Instant, Vec<u8>)>) {
        for (due, bytes) in queue {
            pause(due.saturating_duration_since(Instant::now()));
            while self.state().conditions.stalled {
                pause(Duration::from_millis(5));
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn conditions(&self, conditions: Conditions) {
        self.state().conditions = conditions;
    }

    /// Breaks every open connection of the proxy.
    fn reset(&self) {
        for connection in self.state().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn run_with_faults(tls: bool, seed: u64) {
    let root = TempDir::new().expect("a temporary file can be created");
    let mut proxies = Vec::new();
    let mut location = |id: u64| {
        let (listen, directory) = (free_address(), root.path().join(format!("d{id}")));
        let (proxy, address) = Proxy::start(listen, seed << 8 | id);
        proxies.push(proxy);
        (id, NodeLocation { address, listen, directory, within: Vec::new() })
    };
    let locations: BTreeMap<u64, NodeLocation> = (1..=3).map(&mut location).collect();
    let mut cluster = Cluster::new(root, locations, tls);
    cluster.serve_all();
    let load = cluster.load(seed);
    load.answered(20);
    let milliseconds = |from, to| (Duration::from_millis(from), Duration::from_millis(to));
    for (proxy, round) in proxies.iter().cycle().zip(0..6) {
        match round % 3 {
            0 => proxy.conditions(Conditions { delay: milliseconds(5, 80), stalled: false }),
            1 => proxy.conditions(Conditions { stalled: true, ..Conditions::default() }),
            _ => proxy.reset(),
        }
        load.answered(25);
        proxy.conditions(Conditions::default());
        load.answered(10);
    }
    load.must_be_linearizable();
}

#[test]
fn slow_and_broken_connections_lose_no_acknowledged_write() {
    run_with_faults(false, 31);
}

#[test]
fn slow_and_broken_tls_connections_lose_no_acknowledged_write() {
    run_with_faults(true, 32);
}
