//! Somebody who speaks TLS to a node, with a certificate of its choice, and says what no node
//! would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use quorate::runtime::TlsConfig;
use quorate::storage::ClusterId;
use quorate::types::{Body, Incarnation, Message, NodeId, Packet, Term};
use quorate::wire::{Frame, FrameReader, Hello, Versions, encode};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::gullible::gullible;

/// How long a node may take to say something.
const PATIENCE: Duration = Duration::from_secs(30);

/// The term of all that it says: far away.
pub(crate) const FAR: Term = Term(1000);

/// A connection to a node.
pub(crate) struct Forger {
    stream: StreamOwned<ClientConnection, TcpStream>,
    frames: FrameReader,
}

impl Forger {
    /// Calls, and shows this certificate.
    pub(crate) fn call(address: SocketAddr, own: &TlsConfig) -> Forger {
        let name = ServerName::try_from("anybody").expect("it is a name");
        let session =
            ClientConnection::new(Arc::new(gullible(Some(own))), name).expect("it is right");
        let socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        Forger { stream: StreamOwned::new(session, socket), frames: FrameReader::new() }
    }

    /// Says that it is node `from`, and calls node `to`. The hello that answers, if one does.
    pub(crate) fn greet(&mut self, cluster: ClusterId, from: u64, to: u64) -> Option<Hello> {
        let (from, to, incarnation) = (NodeId(from), NodeId(to), 7);
        let versions = Versions::SUPPORTED;
        let mut bytes = Vec::new();
        Hello { versions, cluster: cluster.0, from, to, incarnation }.encode(&mut bytes);
        self.say(&bytes);
        match self.hear() {
            Some(Frame::Hello(hello)) => Some(hello),
            _ => None,
        }
    }

    /// Says it in the name of node `from`, of a term that is far away.
    pub(crate) fn send(&mut self, (from, incarnation): (u64, u128), to: u64, body: Body) {
        let (from, to, term) = (NodeId(from), NodeId(to), FAR);
        let message = Message { from, incarnation: Incarnation(incarnation), to, term, body };
        let mut bytes = Vec::new();
        encode(&Packet::Message(message), &mut bytes).expect("it is within the bounds");
        self.say(&bytes);
    }

    /// Hears whatever comes, until the node ends it.
    pub(crate) fn is_sent_away(&mut self) {
        while self.hear().is_some() {}
    }

    /// Whoever was sent away already is not heard.
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next frame; none at the end of the connection.
    fn hear(&mut self) -> Option<Frame> {
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte) {
                Ok(1) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the node says nothing, and does not end it")
                }
                _ => return None,
            }
            if let Some(frame) = self.frames.read(&mut &byte[..]).expect("nodes make sense") {
                return Some(frame);
            }
        }
    }
}
