//! A TLS connection to a node, with any certificate, that sends forged messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use quorate::runtime::TlsConfig;
use quorate::storage::ClusterId;
use quorate::types::{Address, Body, Incarnation, Message, NodeId, Packet, Term};
use quorate::wire::{Frame, FrameReader, Hello, Versions, encode};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::accept_any_server::client_config;

/// The time limit for a frame from the node.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The term of all forged messages, far above the real one.
pub(crate) const FORGED_TERM: Term = Term(1000);

/// A connection to a node that sends forged messages.
pub(crate) struct Forger {
    stream: StreamOwned<ClientConnection, TcpStream>,
    frames: FrameReader,
}

impl Forger {
    /// Connects with this certificate.
    pub(crate) fn connect(address: SocketAddr, own: &TlsConfig) -> Forger {
        let name = ServerName::try_from("any-node").expect("the name is valid");
        let session = ClientConnection::new(Arc::new(client_config(Some(own))), name)
            .expect("the configuration is valid");
        let socket = TcpStream::connect(address).expect("the node listens");
        socket.set_read_timeout(Some(READ_TIMEOUT)).expect("the timeout is valid");
        Forger { stream: StreamOwned::new(session, socket), frames: FrameReader::new() }
    }

    /// Sends the hello of node `from` to node `to`, and returns the reply, if there is one.
    pub(crate) fn handshake(&mut self, cluster: ClusterId, from: u64, to: u64) -> Option<Hello> {
        let (from, to, incarnation) = (NodeId(from), NodeId(to), 7);
        let (versions, address) = (Versions::SUPPORTED, Address::default());
        let mut bytes = Vec::new();
        Hello { versions, cluster: cluster.0, from, to, incarnation, start_id: 0, address }
            .encode(&mut bytes);
        self.write(&bytes);
        match self.read_frame() {
            Some(Frame::Hello(hello)) => Some(hello),
            _ => None,
        }
    }

    /// Sends a message in the name of node `from`, with the forged term.
    pub(crate) fn send(&mut self, from: u64, incarnation: u128, to: u64, body: Body) {
        let (from, to, term) = (NodeId(from), NodeId(to), FORGED_TERM);
        let message = Message { from, incarnation: Incarnation(incarnation), to, term, body };
        let mut bytes = Vec::new();
        encode(&Packet::Message(message), &mut bytes).expect("the message is within the bounds");
        self.write(&bytes);
    }

    /// Reads until the node closes the connection.
    pub(crate) fn wait_for_disconnect(&mut self) {
        while self.read_frame().is_some() {}
    }

    /// Writes bytes; ignores errors, because the node may have closed the connection.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Reads the next frame; returns `None` at the end of the connection.
    fn read_frame(&mut self) -> Option<Frame> {
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte) {
                Ok(1) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the node neither sends a frame nor closes the connection")
                }
                _ => return None,
            }
            if let Some(frame) = self.frames.read(&mut &byte[..]).expect("the frame is valid") {
                return Some(frame);
            }
        }
    }
}
