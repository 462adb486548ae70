//! A raw connection to a node, which can send invalid bytes.

use std::net::SocketAddr;
use std::time::Duration;

use quorate::types::{Address, Body, EntryId, Incarnation, Message, NodeId, Packet, Term};
use quorate::wire::{Frame, FrameReader, Hello, Versions, encode, encode_keepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{CLUSTER, TEST_TIMEOUT};

/// A raw connection, inbound or outbound.
pub(crate) struct Raw<S> {
    pub(crate) stream: S,
    frames: FrameReader,
}

impl Raw<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Raw<TcpStream> {
        Raw::new(TcpStream::connect(address).await.expect("the node listens"))
    }

    /// Connects as node `from`, and completes the handshake with node 1.
    pub(crate) async fn connect_as(address: SocketAddr, from: u64) -> Raw<TcpStream> {
        let mut raw = Raw::connect(address).await;
        raw.write(&hello(from, 1)).await;
        assert!(matches!(raw.read_frame().await, Some(Frame::Hello(_))), "the node replies");
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn new(stream: S) -> Raw<S> {
        Raw { stream, frames: FrameReader::new() }
    }

    /// Writes the bytes; ignores a closed connection.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Writes the packet as a frame.
    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut bytes = Vec::new();
        encode(packet, &mut bytes).expect("the packet is short");
        self.write(&bytes).await;
    }

    /// Returns the next frame; none at the end of the connection.
    pub(crate) async fn read_frame(&mut self) -> Option<Frame> {
        let mut byte = [0];
        loop {
            // Reads one byte at a time, so that no byte of the next frame is consumed.
            if !matches!(self.stream.read(&mut byte).await, Ok(1)) {
                return None;
            }
            if let Some(frame) =
                self.frames.read(&mut &byte[..]).expect("the node sends valid frames")
            {
                return Some(frame);
            }
        }
    }

    /// Reads frames until the node closes the connection.
    pub(crate) async fn read_to_end(&mut self) {
        let read = async { while self.read_frame().await.is_some() {} };
        assert!(tokio::time::timeout(TEST_TIMEOUT, read).await.is_ok(), "the connection ends");
    }

    /// Sends keepalives until the node closes the connection.
    pub(crate) async fn send_keepalives_to_end(&mut self) {
        let mut bytes = Vec::new();
        encode_keepalive(&mut bytes);
        let keepalives = async {
            while self.stream.write_all(&bytes).await.is_ok() && self.stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            tokio::time::timeout(TEST_TIMEOUT, keepalives).await.is_ok(),
            "the connection ends"
        );
    }
}

/// Returns the hello from node `from` to node `to` of the cluster.
pub(crate) fn hello(from: u64, to: u64) -> Vec<u8> {
    hello_of(CLUSTER.0, from, to)
}

/// Returns the hello of a node of any cluster.
pub(crate) fn hello_of(cluster: u128, from: u64, to: u64) -> Vec<u8> {
    let (from, to, incarnation) = (NodeId(from), NodeId(to), 7);
    let mut bytes = Vec::new();
    let (versions, start_id, address) = (Versions::SUPPORTED, 0, Address::default());
    Hello { versions, cluster, from, to, incarnation, start_id, address }.encode(&mut bytes);
    bytes
}

/// Returns a RequestVote packet.
pub(crate) fn request(from: u64, to: u64) -> Packet {
    message(from, to, Body::RequestVote { last: EntryId::ZERO, transfer: false })
}

/// Returns a message with a high term.
pub(crate) fn message(from: u64, to: u64, body: Body) -> Packet {
    let (from, to, incarnation) = (NodeId(from), NodeId(to), Incarnation(7));
    Packet::Message(Message { from, incarnation, to, term: Term(1000), body })
}
