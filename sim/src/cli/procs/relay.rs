//! A TCP relay in front of a node, which applies random faults to messages between nodes.
//!
//! TCP does not lose or duplicate data. The relay decodes the frames of a connection between nodes,
//! and drops, duplicates and delays whole messages, which the protocol must tolerate, because
//! connections break. Hellos, keepalives, replies of the node and client connections are forwarded
//! unchanged.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate::wire::{Frame, FrameReader};

use crate::cli::clock::sleep;
use crate::cli::procs::random_faults::RandomFaults;

/// A relay. On drop it stops accepting connections; open ones last until one side closes them.
#[derive(Debug)]
pub(super) struct Relay {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Bytes to forward at a given time.
struct DelayedBytes {
    due: Duration,
    bytes: Vec<u8>,
}

impl DelayedBytes {
    fn at_once(bytes: Vec<u8>) -> DelayedBytes {
        DelayedBytes { due: Duration::ZERO, bytes }
    }
}

/// The interval at which the relay polls for new connections.
const ACCEPT_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The size of the read buffer, in bytes.
const READ_BYTES: usize = 64 << 10;
/// The capacity of the queue between the reader and the writer; a full queue blocks the reader.
const QUEUED_MAX: usize = 64;
/// The number of delayed bytes of a connection above which the writer takes no more from the queue.
const WAITING_BYTES_MAX: usize = 16 << 20;

impl Relay {
    /// Starts a relay thread, which calls `enter` to join the network namespace of the node, and
    /// then accepts connections at the address `at` and forwards them to the node at `node`.
    ///
    /// # Errors
    /// `enter` or the listener fails.
    pub(super) fn start(
        enter: impl FnOnce() -> Result<(), String> + Send + 'static,
        at: String,
        node: String,
        faults: Arc<RandomFaults>,
    ) -> Result<Relay, String> {
        let stopped = Arc::new(AtomicBool::new(false));
        let (report, started) = sync_channel(1);
        let is_stopped = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let listening = enter().and_then(|()| {
                let listener = TcpListener::bind(&at).and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                });
                listener.map_err(|error| format!("a relay at {at}: {error}"))
            });
            let (listener, result) = match listening {
                Ok(listener) => (Some(listener), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // The starting thread waits for this result.
            let _ = report.send(result);
            if let Some(listener) = listener {
                accept_connections(&listener, &node, &faults, &is_stopped);
            }
        });
        let relay = Relay { stopped, thread: Some(thread) };
        started.recv().unwrap_or_else(|_| Err("a relay panicked".to_owned()))?;
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "a relay panicked");
        }
    }
}

fn accept_connections(
    listener: &TcpListener,
    node: &str,
    faults: &Arc<RandomFaults>,
    stopped: &AtomicBool,
) {
    while !stopped.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((caller, _)) => {
                let (node, faults) = (node.to_owned(), Arc::clone(faults));
                // A thread inherits the network namespace of its creator.
                thread::spawn(move || {
                    // On an error the connection is closed, which the caller notices.
                    let _ = forward_connection(&caller, &node, &faults);
                });
            }
            Err(_) => sleep(ACCEPT_POLL_INTERVAL),
        }
    }
}

/// Forwards a connection to the node until one side closes it.
fn forward_connection(caller: &TcpStream, node: &str, faults: &RandomFaults) -> io::Result<()> {
    caller.set_nonblocking(false)?;
    let node = &TcpStream::connect(node)?;
    for stream in [caller, node] {
        stream.set_nodelay(true)?;
    }
    let (post, queue) = sync_channel(QUEUED_MAX);
    let close = || {
        for stream in [caller, node] {
            // The stream may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    };
    thread::scope(|scope| {
        scope.spawn(move || match deliver(&queue, node, faults) {
            // The last bytes are delivered before the write side is closed.
            Ok(()) => drop(node.shutdown(Shutdown::Write)),
            Err(_) => close(),
        });
        scope.spawn(move || {
            let (mut from, mut to) = (node, caller);
            // After the copy ends, for any reason, there are no more replies.
            let _ = io::copy(&mut from, &mut to);
            close();
        });
        forward_from_caller(caller, post, faults)
    })
}

/// Reads frames from the caller until it closes the connection, and queues each frame with the time
/// of its arrival: a lost message not at all, a duplicated message twice. Dropping `post` ends the
/// delivery.
fn forward_from_caller(
    mut caller: &TcpStream,
    post: SyncSender<DelayedBytes>,
    faults: &RandomFaults,
) -> io::Result<()> {
    let (mut reader, mut is_client) = (FrameReader::new(), false);
    let mut buffer = vec![0; READ_BYTES];
    // The bytes of the incomplete frame.
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
                post.send(DelayedBytes::at_once(left.to_vec())).map_err(over)?;
                break;
            }
            let arrived = left;
            let whole = reader.read(&mut left).map_err(io::Error::other)?;
            frame.extend_from_slice(&arrived[..arrived.len() - left.len()]);
            let Some(whole) = whole else { continue };
            let bytes = std::mem::take(&mut frame);
            let Frame::Packet(packet) = whole else {
                is_client = matches!(whole, Frame::ClientHello(_));
                post.send(DelayedBytes::at_once(bytes)).map_err(over)?;
                continue;
            };
            for due in faults.arrivals(packet.from(), packet.to()) {
                post.send(DelayedBytes { due, bytes: bytes.clone() }).map_err(over)?;
            }
        }
    }
}

/// Writes queued bytes to the node when they are due, until the queue is closed and empty.
fn deliver(
    queue: &Receiver<DelayedBytes>,
    mut node: &TcpStream,
    faults: &RandomFaults,
) -> io::Result<()> {
    // Ordered by time, then by arrival in the queue.
    let mut waiting: BTreeMap<(Duration, u64), Vec<u8>> = BTreeMap::new();
    let (mut count, mut waiting_bytes, mut is_open) = (0, 0, true);
    loop {
        let next = waiting.first_key_value().map(|((due, _), _)| due.saturating_sub(faults.now()));
        if next == Some(Duration::ZERO) {
            let (_, bytes) = waiting.pop_first().expect("the map is not empty");
            waiting_bytes -= bytes.len();
            node.write_all(&bytes)?;
            continue;
        }
        let received = match next {
            None if !is_open => return Ok(()),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(span) if is_open && waiting_bytes < WAITING_BYTES_MAX => queue.recv_timeout(span),
            Some(span) => {
                sleep(span);
                continue;
            }
        };
        match received {
            Ok(DelayedBytes { due, bytes }) => {
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
        Address, Body, Command, Entry, EntryId, Incarnation, Index, Message, NodeId, Packet,
        Payload, Term,
    };
    use quorate::wire::{ClientHello, Hello, Versions, encode, encode_keepalive};

    use crate::run::RunOptions;
    use crate::scenario::Scenario;

    use super::*;

    /// Sends the bytes through a relay with these scenario settings, and returns the bytes that the
    /// node receives and the counts of faults.
    fn forwarded(text: &str, sent: &[u8]) -> (Vec<u8>, crate::observe::outcome::Tally) {
        let workload = RunOptions::default().workload;
        let scenario = Scenario::read(text, &workload).unwrap_or_else(|m| panic!("{m}"));
        let faults =
            Arc::new(RandomFaults::of(&scenario).expect("the scenario configures random faults"));
        faults.set_enabled(true);
        let free = || TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let node = free();
        let address = |of: &TcpListener| of.local_addr().expect("it listens").to_string();
        let at = address(&free());
        let relay = Relay::start(|| Ok(()), at.clone(), address(&node), Arc::clone(&faults));
        let relay = relay.expect("the port is free");
        let mut caller = TcpStream::connect(at).expect("the relay listens");
        let (mut called, _) = node.accept().expect("the relay connects");
        caller.write_all(sent).expect("the relay reads");
        caller.shutdown(Shutdown::Write).expect("the connection is open");
        let mut received = Vec::new();
        called.read_to_end(&mut received).expect("the connection is closed without an error");
        drop(relay);
        (received, faults.tally())
    }

    fn packet(number: u64) -> Packet {
        let payload = Payload::Command(Command::from(vec![7; (number * 10) as usize]));
        let entries = vec![Entry { id: EntryId::new(Term(1), Index(number)), payload }];
        let body = Body::AppendEntries {
            prev: EntryId::ZERO,
            entries: entries.into(),
            committed: Index::ZERO,
        };
        let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation::default());
        Packet::Message(Message { from, incarnation, to, term: Term(1), body })
    }

    /// Returns a hello, `messages` messages and a keepalive.
    fn stream_of(messages: u64) -> Vec<u8> {
        let (from, to, versions) = (NodeId(1), NodeId(2), Versions::SUPPORTED);
        let mut bytes = Vec::new();
        let (incarnation, start_id, address) = (1, 1, Address::default());
        let hello = Hello { versions, cluster: 7, from, to, incarnation, start_id, address };
        hello.encode(&mut bytes);
        for number in 1..=messages {
            encode(&packet(number), &mut bytes).expect("the packet is within the bounds");
        }
        encode_keepalive(&mut bytes);
        bytes
    }

    /// Returns the numbers of the messages in the received frames.
    fn numbers(mut received: &[u8]) -> Vec<u64> {
        let (mut reader, mut numbers) = (FrameReader::new(), Vec::new());
        while let Some(frame) = reader.read(&mut received).expect("the frames are valid") {
            if let Frame::Packet(Packet::Message(Message { body, .. })) = frame {
                let Body::AppendEntries { entries, .. } = body else {
                    panic!("unexpected message")
                };
                numbers.push(entries[0].id.index.0);
            }
        }
        numbers
    }

    #[test]
    fn lost_duplicated_and_delayed_messages_match_the_counts() {
        let text = "nodes 2\nlatency 1ms\nloss 200 in 1000\nduplicates 200 in 1000\n\
                    delays 200 in 1000\n";
        let (received, tally) = forwarded(text, &stream_of(300));
        let received = numbers(&received);
        let met = |fault: &str| tally.faults.get(fault).copied().unwrap_or(0);
        assert_eq!(tally.messages, 300);
        let (lost, doubled) = (met("loss"), met("duplicate"));
        assert!([lost, doubled, met("delay")].iter().all(|count| *count > 20), "{tally:?}");
        assert_eq!(received.len() as u64, 300 - lost + doubled);
        assert!(!received.is_sorted(), "delayed messages are overtaken");
        let mut once = received;
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len() as u64, 300 - lost);
    }

    #[test]
    fn messages_arrive_in_order_without_faults_and_none_arrives_if_all_are_lost() {
        let sent = stream_of(200);
        let (received, tally) = forwarded("nodes 2\nlatency 1ms..3ms\n", &sent);
        assert_eq!(numbers(&received), (1..=200).collect::<Vec<_>>());
        assert!(received.len() == sent.len() && tally.faults.is_empty(), "{tally:?}");
        let (received, tally) = forwarded("nodes 2\nloss 1000 in 1000\n", &sent);
        assert!(received == stream_of(0) && tally.faults["loss"] == 200, "{tally:?}");
    }

    #[test]
    fn a_client_connection_is_forwarded_unchanged() {
        let mut sent = Vec::new();
        let versions = Versions::SUPPORTED;
        ClientHello { versions, cluster: 7, node: None, full: false }.encode(&mut sent);
        sent.extend([9; 200_000]);
        let (received, tally) = forwarded("nodes 2\nloss 1000 in 1000\n", &sent);
        assert!(received == sent && tally.messages == 0, "{tally:?}");
    }
}
