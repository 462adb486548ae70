//! Lines in and out: everything that a node says leaves by its standard output, its packets too.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::thread;

use data_encoding::BASE64;
use quorate::runtime::Transport;
use quorate::types::{NodeId, Packet};
use quorate::wire;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{debug, warn};

use crate::lin_kv::speech::Line;

/// How many lines wait to be read or written.
const LINES_MAX: usize = 4096;

/// The lines of the standard input, until it ends.
pub(super) fn heard() -> Receiver<Line> {
    let (sender, queue) = mpsc::channel(LINES_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(line) => {
                    if sender.blocking_send(line).is_err() {
                        break;
                    }
                }
                Err(error) => warn!(%error, "a line is no message"),
            }
        }
    });
    queue
}

/// Where lines go that are said. They end with the process.
pub(super) fn said() -> Sender<Line> {
    let (sender, mut queue) = mpsc::channel::<Line>(LINES_MAX);
    thread::spawn(move || {
        let mut output = io::stdout().lock();
        while let Some(line) = queue.blocking_recv() {
            let mut text = serde_json::to_string(&line).expect("a line is JSON");
            text.push('\n');
            if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
                // Nobody listens any more, and nobody will say anything either.
                return;
            }
        }
    });
    sender
}

/// Carries packets as lines.
pub(super) struct Pipe {
    own: String,
    names: BTreeMap<NodeId, String>,
    said: Sender<Line>,
}

impl Pipe {
    pub(super) fn new(own: &str, names: BTreeMap<NodeId, String>, said: Sender<Line>) -> Pipe {
        Pipe { own: own.to_owned(), names, said }
    }
}

impl Transport for Pipe {
    fn send(&mut self, packet: Packet) {
        let Some(name) = self.names.get(&packet.to()) else { return };
        let mut bytes = Vec::new();
        if let Err(error) = wire::encode(&packet, &mut bytes) {
            return debug!(%error, "a packet is beyond the bounds");
        }
        let body = Map::from_iter([
            ("type".to_owned(), Value::from("packet")),
            ("data".to_owned(), Value::from(BASE64.encode(&bytes))),
        ]);
        // What has no room is lost, as networks lose things.
        let _ = self.said.try_send(Line { src: self.own.clone(), dest: name.clone(), body });
    }
}

/// The packet that a line carries, if it is one.
pub(super) fn packet(line: &Line) -> Option<Packet> {
    let text = line.body.get("data").and_then(Value::as_str)?;
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    wire::decode(&bytes).ok()
}
