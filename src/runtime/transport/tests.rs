//! Connections of another node that is played, on a clock that is turned by hand.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::runtime::client::Relay;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::service::Service;
use crate::runtime::transport::greeting::{Greeting, Reader};
use crate::runtime::transport::incoming::{Arrivals, Door};
use crate::runtime::transport::link::Security;
use crate::storage::ClusterId;
use crate::types::{Body, EntryId, Incarnation, Index, Message, NodeId, Packet, Term};
use crate::wire::{Frame, Hello, Versions, encode, pulse};

/// One connection of node 2 to node 1.
struct Line {
    stream: DuplexStream,
    frames: Reader,
    served: JoinHandle<io::Result<()>>,
}

impl Line {
    async fn open(door: &Arc<Door>) -> Line {
        let (stream, far) = duplex(64 << 10);
        let (door, frames) = (Arc::clone(door), greeted().await);
        let served = async move { door.listen(NodeId(2), Box::new(far), frames).await };
        Line { stream, frames: greeted().await, served: tokio::spawn(served) }
    }

    async fn say(&mut self, body: Body) {
        let mut bytes = Vec::new();
        encode(&packet(body), &mut bytes).expect("it is short");
        self.stream.write_all(&bytes).await.expect("it is taken");
    }

    async fn pulse(&mut self) {
        let mut bytes = Vec::new();
        pulse(&mut bytes);
        self.stream.write_all(&bytes).await.expect("it is taken");
    }

    /// The other side shows that it is there, as often as it must.
    async fn is_alive(&mut self, config: &NetworkConfig) {
        let heard = self.frames.next_within(config.silence_max, &mut self.stream).await;
        assert_eq!(heard.expect("it is there"), Frame::Pulse);
        assert!(!self.served.is_finished());
    }
}

/// A reader of what comes after the hello.
async fn greeted() -> Reader {
    let (from, to, versions) = (NodeId(2), NodeId(1), Versions::SUPPORTED);
    let mut bytes = Vec::new();
    Hello { versions, cluster: 7, from, to, incarnation: 2 }.encode(&mut bytes);
    let mut frames = Reader::new();
    frames.next(&mut &bytes[..]).await.expect("it is a hello");
    frames
}

fn packet(body: Body) -> Packet {
    let (from, to, incarnation) = (NodeId(2), NodeId(1), Incarnation(2));
    Packet::Message(Message { from, incarnation, to, term: Term(1), body })
}

fn entries() -> Body {
    Body::AppendEntries { prev: EntryId::ZERO, entries: Vec::new(), committed: Index::ZERO }
}

#[tokio::test(start_paused = true)]
async fn bulk_that_waits_holds_up_neither_pulses_nor_what_is_urgent() {
    let (handle, _asked) = Handle::played();
    let config = NetworkConfig::default();
    let (urgent, mut urgent_queue) = mpsc::channel(1);
    let (bulk, mut bulk_queue) = mpsc::channel(1);
    let who = (ClusterId(7), NodeId(1));
    let relay = Relay::new(who.0, Security::Plaintext { leaves: false });
    let asked = (handle.clone(), relay);
    let service = Service::new(who, config.clone(), ServiceConfig::default(), asked);
    let (cluster, node) = who;
    let greeting = Greeting { cluster, origin: None, node, incarnation: Incarnation(1) };
    let arrivals = Arrivals { urgent, bulk };
    let door = Arc::new(Door { greeting, config: config.clone(), arrivals, handle, service });

    let (mut log, mut control) = (Line::open(&door).await, Line::open(&door).await);
    for _ in 0..3 {
        log.say(entries()).await;
    }
    // Much longer than any silence: two of the three wait for the node, and the third for them.
    for _ in 0..20 {
        sleep(config.silence_max / 2).await;
        log.pulse().await;
        log.is_alive(&config).await;
        let urgent = Body::RequestVote { last: EntryId::ZERO, transfer: false };
        control.say(urgent.clone()).await;
        let taken = timeout(config.silence_max, urgent_queue.recv()).await;
        assert_eq!(taken.expect("it does not wait"), Some(packet(urgent)));
        control.is_alive(&config).await;
    }
    assert_eq!((bulk_queue.len(), log.served.is_finished()), (1, false));
    for _ in 0..3 {
        assert_eq!(bulk_queue.recv().await, Some(packet(entries())));
    }
    log.say(entries()).await;
    assert_eq!(bulk_queue.recv().await, Some(packet(entries())), "the connection goes on");
}
