//! What stands before a node where chance has a say: it takes every call in the node's place, and
//! passes on what it hears.
//!
//! TCP loses nothing, and says nothing twice. A relay knows the frames of a connection between
//! nodes, and loses, doubles and delays whole messages: what the protocol must bear, as
//! connections break. Hellos, pulses, whatever the node answers, and connections of clients are
//! passed on as they are.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate::wire::{Frame, FrameReader};

use crate::cli::clock::pause;
use crate::cli::procs::chance::Chance;

/// A relay. It takes no more calls when this is dropped; those it has taken go on until one side
/// ends them.
#[derive(Debug)]
pub(super) struct Relay {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Bytes that are passed on once it is time.
struct Parcel {
    due: Duration,
    bytes: Vec<u8>,
}

impl Parcel {
    fn at_once(bytes: Vec<u8>) -> Parcel {
        Parcel { due: Duration::ZERO, bytes }
    }
}

/// How often it looks whether somebody calls.
const LOOK: Duration = Duration::from_millis(5);
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// How many parcels wait to be taken up; whoever speaks then waits, too.
const PARCELS_MAX: usize = 64;
/// How many bytes of a connection are on their way before no more is taken up.
const WAITING_BYTES_MAX: usize = 16 << 20;

impl Relay {
    /// Takes the calls at an address for the node that listens at another, from a thread of its
    /// own, which runs `enter` first.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn stand(
        enter: impl FnOnce() -> Result<(), String> + Send + 'static,
        (at, node): (String, String),
        chance: Arc<Chance>,
    ) -> Result<Relay, String> {
        let ended = Arc::new(AtomicBool::new(false));
        let (tell, told) = sync_channel(1);
        let is_over = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let listening = enter().and_then(|()| {
                let listener = TcpListener::bind(&at).and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                });
                listener.map_err(|error| format!("a relay at {at}: {error}"))
            });
            let (listener, stood) = match listening {
                Ok(listener) => (Some(listener), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Whoever started it waits for this.
            let _ = tell.send(stood);
            if let Some(listener) = listener {
                take_calls(&listener, &node, &chance, &is_over);
            }
        });
        let relay = Relay { ended, thread: Some(thread) };
        told.recv().unwrap_or_else(|_| Err("a relay panicked".to_owned()))?;
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "a relay panicked");
        }
    }
}

fn take_calls(listener: &TcpListener, node: &str, chance: &Arc<Chance>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((caller, _)) => {
                let (node, chance) = (node.to_owned(), Arc::clone(chance));
                // A thread has the namespace of the one that starts it.
                thread::spawn(move || {
                    // What cannot be passed on is closed: the caller sees that.
                    let _ = connect(&caller, &node, &chance);
                });
            }
            Err(_) => pause(LOOK),
        }
    }
}

/// Connects a caller with the node, until one of them ends it.
fn connect(caller: &TcpStream, node: &str, chance: &Chance) -> io::Result<()> {
    caller.set_nonblocking(false)?;
    let node = &TcpStream::connect(node)?;
    for stream in [caller, node] {
        stream.set_nodelay(true)?;
    }
    let (post, parcels) = sync_channel(PARCELS_MAX);
    let close = || {
        for stream in [caller, node] {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    };
    thread::scope(|scope| {
        scope.spawn(move || match deliver(&parcels, node, chance) {
            // What the caller said last is delivered before the node hears that it has ended.
            Ok(()) => drop(node.shutdown(Shutdown::Write)),
            Err(_) => close(),
        });
        scope.spawn(move || {
            let (mut from, mut to) = (node, caller);
            // However it ends, there is no answer any more.
            let _ = io::copy(&mut from, &mut to);
            close();
        });
        hear(caller, post, chance)
    })
}

/// Takes what the caller says until it ends, and decides when it goes on. Nothing comes any more
/// once `post` is dropped.
fn hear(mut caller: &TcpStream, post: SyncSender<Parcel>, chance: &Chance) -> io::Result<()> {
    let (mut reader, mut is_client) = (FrameReader::new(), false);
    let mut buffer = vec![0; READ_BYTES];
    // What has arrived of the frame under way.
    let mut frame = Vec::new();
    let over = |_| io::ErrorKind::BrokenPipe;
    loop {
        let count = caller.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut left = &buffer[..count];
        while !left.is_empty() {
            if is_client {
                post.send(Parcel::at_once(left.to_vec())).map_err(over)?;
                break;
            }
            let arrived = left;
            let whole = reader.read(&mut left).map_err(io::Error::other)?;
            frame.extend_from_slice(&arrived[..arrived.len() - left.len()]);
            let Some(whole) = whole else { continue };
            let bytes = std::mem::take(&mut frame);
            let Frame::Packet(packet) = whole else {
                is_client = matches!(whole, Frame::ClientHello(_));
                post.send(Parcel::at_once(bytes)).map_err(over)?;
                continue;
            };
            for due in chance.arrivals(packet.from(), packet.to()) {
                post.send(Parcel { due, bytes: bytes.clone() }).map_err(over)?;
            }
        }
    }
}

/// Gives the node what is due, until nothing will come any more and all of it is delivered.
fn deliver(parcels: &Receiver<Parcel>, mut node: &TcpStream, chance: &Chance) -> io::Result<()> {
    // By the time, and then in the order in which they came.
    let mut waiting: BTreeMap<(Duration, u64), Vec<u8>> = BTreeMap::new();
    let (mut count, mut waiting_bytes, mut is_open) = (0, 0, true);
    loop {
        let next = waiting.first_key_value().map(|((due, _), _)| due.saturating_sub(chance.now()));
        if next == Some(Duration::ZERO) {
            let (_, bytes) = waiting.pop_first().expect("it was just looked at");
            waiting_bytes -= bytes.len();
            node.write_all(&bytes)?;
            continue;
        }
        let taken = match next {
            None if !is_open => return Ok(()),
            None => parcels.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(span) if is_open && waiting_bytes < WAITING_BYTES_MAX => {
                parcels.recv_timeout(span)
            }
            Some(span) => {
                pause(span);
                continue;
            }
        };
        match taken {
            Ok(Parcel { due, bytes }) => {
                count += 1;
                waiting_bytes += bytes.len();
                waiting.insert((due, count), bytes);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => is_open = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::{
        Body, Command, Entry, EntryId, Incarnation, Index, Message, NodeId, Packet, Payload, Term,
    };
    use quorate::wire::{ClientHello, Hello, Versions, encode, pulse};

    use crate::run::RunOptions;
    use crate::scenario::Scenario;

    use super::*;

    /// What a node gets of what a caller says, and what was counted, if chance does so.
    fn passed_on(text: &str, said: &[u8]) -> (Vec<u8>, crate::outcome::Tally) {
        let workload = RunOptions::default().workload;
        let scenario = Scenario::read(text, &workload).unwrap_or_else(|m| panic!("{m}"));
        let chance = Arc::new(Chance::of(&scenario).expect("it is spoken of"));
        chance.work(true);
        let free = || TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let node = free();
        let address = |of: &TcpListener| of.local_addr().expect("it listens").to_string();
        let at = address(&free());
        let addresses = (at.clone(), address(&node));
        let relay = Relay::stand(|| Ok(()), addresses, Arc::clone(&chance));
        let relay = relay.expect("the port is free");
        let mut caller = TcpStream::connect(at).expect("the relay listens");
        let (mut called, _) = node.accept().expect("the relay calls");
        caller.write_all(said).expect("it is taken");
        caller.shutdown(Shutdown::Write).expect("it is open");
        let mut heard = Vec::new();
        called.read_to_end(&mut heard).expect("it ends in good order");
        drop(relay);
        (heard, chance.tally())
    }

    fn packet(number: u64) -> Packet {
        let payload = Payload::Command(Command::from(vec![7; (number * 10) as usize]));
        let entries = vec![Entry { id: EntryId::new(Term(1), Index(number)), payload }];
        let body = Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO };
        let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation::default());
        Packet::Message(Message { from, incarnation, to, term: Term(1), body })
    }

    /// What a node says that has so many messages, with a pulse at the end.
    fn spoken(messages: u64) -> Vec<u8> {
        let (from, to, versions) = (NodeId(1), NodeId(2), Versions::SUPPORTED);
        let mut bytes = Vec::new();
        Hello { versions, cluster: 7, from, to, incarnation: 1 }.encode(&mut bytes);
        for number in 1..=messages {
            encode(&packet(number), &mut bytes).expect("it is within the bounds");
        }
        pulse(&mut bytes);
        bytes
    }

    /// The numbers of the messages in what was heard, which is whole frames.
    fn numbers(mut heard: &[u8]) -> Vec<u64> {
        let (mut reader, mut numbers) = (FrameReader::new(), Vec::new());
        while let Some(frame) = reader.read(&mut heard).expect("all of it is right") {
            if let Frame::Packet(Packet::Message(Message { body, .. })) = frame {
                let Body::AppendEntries { entries, .. } = body else { panic!("nobody said this") };
                numbers.push(entries[0].id.index.0);
            }
        }
        numbers
    }

    #[test]
    fn messages_are_lost_doubled_and_late_as_often_as_is_counted() {
        let text = "nodes 2\nlatency 1ms\nloss 200 in 1000\nduplicates 200 in 1000\n\
                    delays 200 in 1000\n";
        let (heard, tally) = passed_on(text, &spoken(300));
        let heard = numbers(&heard);
        let met = |fault: &str| tally.faults.get(fault).copied().unwrap_or(0);
        assert_eq!(tally.messages, 300);
        let (lost, doubled) = (met("loss"), met("duplicate"));
        assert!([lost, doubled, met("delay")].iter().all(|count| *count > 20), "{tally:?}");
        assert_eq!(heard.len() as u64, 300 - lost + doubled);
        assert!(!heard.is_sorted(), "who is late is overtaken");
        let mut once = heard;
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len() as u64, 300 - lost);
    }

    #[test]
    fn without_faults_all_arrives_in_order_and_none_if_all_is_lost() {
        let said = spoken(200);
        let (heard, tally) = passed_on("nodes 2\nlatency 1ms..3ms\n", &said);
        assert_eq!(numbers(&heard), (1..=200).collect::<Vec<_>>());
        assert!(heard.len() == said.len() && tally.faults.is_empty(), "{tally:?}");
        let (heard, tally) = passed_on("nodes 2\nloss 1000 in 1000\n", &said);
        assert!(heard == spoken(0) && tally.faults["loss"] == 200, "{tally:?}");
    }

    #[test]
    fn a_client_is_passed_on_as_it_is() {
        let mut said = Vec::new();
        let versions = Versions::SUPPORTED;
        ClientHello { versions, cluster: 7, node: None, full: false }.encode(&mut said);
        said.extend([9; 200_000]);
        let (heard, tally) = passed_on("nodes 2\nloss 1000 in 1000\n", &said);
        assert!(heard == said && tally.messages == 0, "{tally:?}");
    }
}
