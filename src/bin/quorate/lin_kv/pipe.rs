//! JSON lines on standard input and output, which also carry the packets between nodes.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::thread;

use data_encoding::BASE64;
use quorate::runtime::Transport;
use quorate::types::{NodeId, Packet};
use quorate::wire;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{debug, warn};

use crate::lin_kv::messages::Message;
use crate::patient_write::write_patiently;

/// The maximum number of lines that wait to be processed or written.
const LINES_MAX: usize = 4096;

/// Reads messages from standard input on a thread, until it ends.
pub(super) fn read_messages() -> Receiver<Message> {
    let (sender, queue) = mpsc::channel(LINES_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            match serde_json::from_slice(&line) {
                Ok(message) => {
                    if sender.blocking_send(message).is_err() {
                        break;
                    }
                }
                Err(error) => warn!(%error, "ignored a line that is not a message"),
            }
        }
    });
    queue
}

/// Writes messages to standard output on a thread, until the process ends.
pub(super) fn write_messages() -> Sender<Message> {
    let (sender, mut queue) = mpsc::channel::<Message>(LINES_MAX);
    thread::spawn(move || {
        let mut output = io::stdout().lock();
        while let Some(message) = queue.blocking_recv() {
            let mut text = serde_json::to_string(&message).expect("a message is JSON");
            text.push('\n');
            if write_patiently(&mut output, text.as_bytes()).is_err() {
                // Standard output is closed: the harness has ended.
                return;
            }
        }
    });
    sender
}

/// A transport that sends packets as messages of the test harness.
pub(super) struct Pipe {
    own: String,
    names: BTreeMap<NodeId, String>,
    outgoing: Sender<Message>,
}

impl Pipe {
    pub(super) fn new(
        own: &str,
        names: BTreeMap<NodeId, String>,
        outgoing: Sender<Message>,
    ) -> Pipe {
        Pipe { own: own.to_owned(), names, outgoing }
    }
}

impl Transport for Pipe {
    fn send(&mut self, packet: Packet) {
        let Some(name) = self.names.get(&packet.to()) else { return };
        let mut bytes = Vec::new();
        if let Err(error) = wire::encode(&packet, &mut bytes) {
            return debug!(%error, "dropped a packet that is too large");
        }
        let body = Map::from_iter([
            ("type".to_owned(), Value::from("packet")),
            ("data".to_owned(), Value::from(BASE64.encode(&bytes))),
        ]);
        // A packet that does not fit in the queue is lost, as in a network.
        let _ = self.outgoing.try_send(Message { src: self.own.clone(), dest: name.clone(), body });
    }
}

/// Returns the packet that a message carries, if it is one.
pub(super) fn packet(message: &Message) -> Option<Packet> {
    let text = message.body.get("data").and_then(Value::as_str)?;
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    wire::decode(&bytes).ok()
}
