//! The network between nodes: a proxy before each, which knows from the first frame of a connection
//! who calls, and loses or delays what it is told to. It needs no rights.
#![expect(clippy::disallowed_methods, reason = "its time and its threads are real")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate::types::Packet;
use quorate::wire::{Frame, FrameReader};

use crate::addresses::free_address;

/// How often somebody looks whether a wire is whole again.
const LOOK: Duration = Duration::from_millis(5);

/// Who calls a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    /// Another node.
    Node(u64),
    /// Any node that passes on what a client asked for.
    Relay,
    /// Any client.
    Client,
}

/// Every wire. Its threads end with the processes.
#[derive(Clone, Default)]
pub(crate) struct Wires(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What the first says to the second and back is lost: held back until the wire is mended, when
    /// nobody waits for it any more.
    cut: BTreeSet<(Caller, u64)>,
    /// How much later bytes come to a node.
    delay: BTreeMap<u64, Duration>,
    /// How many messages of a name nodes have said to one another.
    said: BTreeMap<&'static str, usize>,
}

impl Wires {
    /// An address before the node `id`, which listens at `to`.
    pub(crate) fn before(&self, id: u64, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(free_address()).expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let wires = self.clone();
        thread::spawn(move || {
            // Whoever is gone already is called again.
            for stream in listener.incoming().flatten() {
                let wires = wires.clone();
                thread::spawn(move || wires.pass(stream, id, to));
            }
        });
        address
    }

    /// The network splits: who is on this side hears nobody of the other one, and clients all.
    pub(crate) fn split(&self, side: &[u64], other: &[u64]) {
        for (one, two) in side.iter().flat_map(|one| other.iter().map(move |two| (*one, *two))) {
            self.cut(Caller::Node(one), two);
            self.cut(Caller::Node(two), one);
        }
        // Whose side a relay is on does not show: none reaches anybody.
        side.iter().chain(other).for_each(|id| self.cut(Caller::Relay, *id));
    }

    /// What `from` says to `to` is lost from now on, and what it is answered.
    pub(crate) fn cut(&self, from: Caller, to: u64) {
        self.state().cut.insert((from, to));
    }

    /// Nothing is lost or late any more.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.delay.clear();
    }

    /// How many messages of this name nodes have said to one another: each before it is heard.
    pub(crate) fn said(&self, name: &str) -> usize {
        self.state().said.get(name).copied().unwrap_or_default()
    }

    /// Whatever is said to the node comes so much later.
    pub(crate) fn delay(&self, to: u64, by: Duration) {
        self.state().delay.insert(to, by);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics")
    }

    fn pass(&self, mut caller: TcpStream, id: u64, to: SocketAddr) -> io::Result<()> {
        let (mut begun, mut frames) = (Vec::new(), FrameReader::new());
        let who = loop {
            let mut buffer = [0; 1024];
            let count = caller.read(&mut buffer)?;
            begun.extend_from_slice(&buffer[..count]);
            match frames.read(&mut &buffer[..count]) {
                Ok(Some(Frame::Hello(hello))) => break Caller::Node(hello.from.0),
                Ok(Some(Frame::ClientHello(hello))) if hello.node.is_some() => break Caller::Relay,
                Ok(Some(_)) | Err(_) => break Caller::Client,
                Ok(None) if count == 0 => return Ok(()),
                Ok(None) => {}
            }
        };
        self.await_whole(who, id);
        let mut called = TcpStream::connect(to)?;
        for stream in [&caller, &called] {
            stream.set_nodelay(true)?;
        }
        let mut frames = FrameReader::new();
        self.listen(&mut frames, &begun);
        called.write_all(&begun)?;
        let (back, front) = (called.try_clone()?, caller.try_clone()?);
        let wires = self.clone();
        thread::spawn(move || wires.carry(back, front, (who, id), None));
        self.carry(caller, called, (who, id), Some(frames));
        Ok(())
    }

    /// Counts the messages that end in these bytes of a connection.
    fn listen(&self, frames: &mut FrameReader, mut bytes: &[u8]) {
        while let Ok(Some(frame)) = frames.read(&mut bytes) {
            if let Frame::Packet(Packet::Message(message) | Packet::Chained(message, _)) = frame {
                *self.state().said.entry(message.body.name()).or_default() += 1;
            }
        }
    }

    /// Carries bytes as long as there are any, and the end after them; those that a caller says
    /// are `heard` on the way.
    fn carry(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        wire: (Caller, u64),
        mut heard: Option<FrameReader>,
    ) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut buffer);
            let late = self.state().delay.get(&wire.1).copied().filter(|_| heard.is_some());
            if let Some(late) = late {
                let due = Instant::now() + late;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.await_whole(wire.0, wire.1);
            if let (Some(frames), Ok(count)) = (&mut heard, &read) {
                self.listen(frames, &buffer[..*count]);
            }
            match read {
                Ok(count @ 1..) if to.write_all(&buffer[..count]).is_ok() => {}
                _ => break,
            }
        }
        // Either may be gone already.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    fn await_whole(&self, who: Caller, id: u64) {
        while self.state().cut.contains(&(who, id)) {
            thread::sleep(LOOK);
        }
    }
}
