//! The network between nodes: a proxy before each, which knows from the first frame of a connection
//! who calls, and loses or delays what it is told to. It needs no rights. Whoever speaks TLS does
//! not show who it is, and is taken for a client.
#![expect(clippy::disallowed_methods, reason = "its time and its threads are real")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate::wire::{Frame, FrameReader};

use crate::addresses::free_address;
use crate::support::heard::{Ear, Heard};

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
    /// What passes, where somebody listens.
    heard: Option<Heard>,
}

impl Wires {
    /// Wires on which somebody listens.
    pub(crate) fn listening() -> Wires {
        let wires = Wires::default();
        wires.state().heard = Some(Heard::default());
        wires
    }

    /// What has passed so far.
    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(self.state().heard.as_ref().expect("somebody listens"))
    }

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
        let mut ears = [self.listen(who), self.listen(who)];
        self.hear(&mut ears[0], &begun);
        called.write_all(&begun)?;
        let (back, front) = (called.try_clone()?, caller.try_clone()?);
        let wires = self.clone();
        let [inward, outward] = ears;
        thread::spawn(move || wires.carry(back, front, (who, id), (outward, false)));
        self.carry(caller, called, (who, id), (inward, true));
        Ok(())
    }

    /// Carries bytes as long as there are any, and the end after them.
    fn carry(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        wire: (Caller, u64),
        (mut ear, inward): (Option<Ear>, bool),
    ) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let read = from.read(&mut buffer);
            let late = self.state().delay.get(&wire.1).copied().filter(|_| inward);
            if let Some(late) = late {
                let due = Instant::now() + late;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.await_whole(wire.0, wire.1);
            if let Ok(count) = read {
                self.hear(&mut ear, &buffer[..count]);
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

    fn listen(&self, who: Caller) -> Option<Ear> {
        self.state().heard.as_mut().map(|heard| heard.begin(who))
    }

    fn hear(&self, ear: &mut Option<Ear>, bytes: &[u8]) {
        if let (Some(ear), Some(heard)) = (ear, &mut self.state().heard) {
            heard.hear(ear, bytes);
        }
    }

    fn await_whole(&self, who: Caller, id: u64) {
        while self.state().cut.contains(&(who, id)) {
            thread::sleep(LOOK);
        }
    }
}
