//! A proxy before each node, which is slow, irregular, stalls, and breaks connections: what needs
//! no rights. Bytes of one connection keep their order, and overtake those of others.
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
use crate::faults::town::{Place, Town};
use crate::load::Dice;
use crate::nodes::pause;

/// What becomes of bytes on their way to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// How much later they come, at least and at most.
    delay: (Duration, Duration),
    /// Nothing comes at all, until it clears up.
    stalled: bool,
}

/// A proxy. Its threads end with the connections, and those with the processes.
#[derive(Clone)]
struct Proxy(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    weather: Weather,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// Passes on to `to` what arrives at the address that it gives.
    fn start(to: SocketAddr, seed: u64) -> (Proxy, SocketAddr) {
        let listener = TcpListener::bind(free_address()).expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let proxy = Proxy(Arc::default());
        let accepting = proxy.clone();
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming()) {
                // Whoever is not there now is called again.
                let Ok(stream) = stream else { continue };
                let _ = accepting.pass(stream, to, seed << 32 | number << 1);
            }
        });
        (proxy, address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics")
    }

    fn pass(&self, caller: TcpStream, to: SocketAddr, seed: u64) -> io::Result<()> {
        let called = TcpStream::connect(to)?;
        let ends = [(caller.try_clone()?, called.try_clone()?), (called, caller)];
        for (at, (from, to)) in (0..).zip(ends) {
            from.set_nodelay(true)?;
            self.state().connections.push(from.try_clone()?);
            let (sender, queue) = mpsc::channel();
            let (reading, writing) = (self.clone(), self.clone());
            let mut dice = Dice(seed | at);
            thread::spawn(move || reading.read(from, &mut dice, &sender));
            thread::spawn(move || writing.write(to, &queue));
        }
        Ok(())
    }

    /// Reads until the end, and says when it is to go on.
    fn read(&self, mut from: TcpStream, dice: &mut Dice, queue: &mpsc::Sender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let (least, most) = self.state().weather.delay;
            let jitter = (most - least).mul_f64(f64::from(dice.below(1000)) / 1000.0);
            if queue.send((Instant::now() + least + jitter, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    }

    fn write(&self, mut to: TcpStream, queue: &Receiver<(Instant, Vec<u8>)>) {
        for (due, bytes) in queue {
            pause(due.saturating_duration_since(Instant::now()));
            while self.state().weather.stalled {
                pause(Duration::from_millis(5));
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Breaks every connection.
    fn reset(&self) {
        for connection in self.state().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn storms(tls: bool, seed: u64) {
    let root = TempDir::new().expect("there is room");
    let mut proxies = Vec::new();
    let mut place = |id: u64| {
        let (listen, directory) = (free_address(), root.path().join(format!("d{id}")));
        let (proxy, address) = Proxy::start(listen, seed << 8 | id);
        proxies.push(proxy);
        (id, Place { address, listen, directory, within: Vec::new() })
    };
    let places: BTreeMap<u64, Place> = (1..=3).map(&mut place).collect();
    let mut town = Town::new(root, places, tls);
    town.serve_all();
    let load = town.load(seed);
    load.answered(20);
    let milliseconds = |from, to| (Duration::from_millis(from), Duration::from_millis(to));
    for (proxy, round) in proxies.iter().cycle().zip(0..6) {
        match round % 3 {
            0 => proxy.weather(Weather { delay: milliseconds(5, 80), stalled: false }),
            1 => proxy.weather(Weather { stalled: true, ..Weather::default() }),
            _ => proxy.reset(),
        }
        load.answered(25);
        proxy.weather(Weather::default());
        load.answered(10);
    }
    load.must_be_linearizable();
}

#[test]
fn slow_irregular_and_broken_connections_lose_nothing() {
    storms(false, 31);
}

#[test]
fn slow_irregular_and_broken_connections_through_tls_lose_nothing() {
    storms(true, 32);
}
