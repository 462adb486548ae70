//! The other end of a connection, byte by byte: it may say what no node would.

use std::net::SocketAddr;
use std::time::Duration;

use quorate::types::{Body, EntryId, Incarnation, Message, NodeId, Packet, Term};
use quorate::wire::{Frame, FrameReader, Hello, Versions, encode, pulse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{CLUSTER, PATIENCE};

/// Somebody who has called, or was called.
pub(crate) struct Raw<S> {
    pub(crate) stream: S,
    frames: FrameReader,
}

impl Raw<TcpStream> {
    pub(crate) async fn call(address: SocketAddr) -> Raw<TcpStream> {
        Raw::new(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Calls as node `from`, and hears the answer of node 1.
    pub(crate) async fn greet(address: SocketAddr, from: u64) -> Raw<TcpStream> {
        let mut raw = Raw::call(address).await;
        raw.say(&hello(from, 1)).await;
        assert!(matches!(raw.hear().await, Some(Frame::Hello(_))), "it answers");
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn new(stream: S) -> Raw<S> {
        Raw { stream, frames: FrameReader::new() }
    }

    /// Says it, if the other side still listens.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Says the packet.
    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut bytes = Vec::new();
        encode(packet, &mut bytes).expect("it is within the bounds");
        self.say(&bytes).await;
    }

    /// The next frame; none at the end of the connection.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        let mut byte = [0];
        loop {
            // One byte at a time: what is left over is of the next frame.
            if !matches!(self.stream.read(&mut byte).await, Ok(1)) {
                return None;
            }
            if let Some(frame) = self.frames.read(&mut &byte[..]).expect("nodes make sense") {
                return Some(frame);
            }
        }
    }

    /// Hears whatever comes, until the other side ends it.
    pub(crate) async fn hear_to_the_end(&mut self) {
        let heard = async { while self.hear().await.is_some() {} };
        assert!(tokio::time::timeout(PATIENCE, heard).await.is_ok(), "it never ends");
    }

    /// Shows that it is there, and says nothing else, until the other side ends it.
    pub(crate) async fn pulse_to_the_end(&mut self) {
        let mut bytes = Vec::new();
        pulse(&mut bytes);
        let pulses = async {
            while self.stream.write_all(&bytes).await.is_ok() && self.stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, pulses).await.is_ok(), "it never ends");
    }
}

/// What node `from` of the cluster says first to node `to`.
pub(crate) fn hello(from: u64, to: u64) -> Vec<u8> {
    hello_of(CLUSTER.0, from, to)
}

/// The same of any cluster.
pub(crate) fn hello_of(cluster: u128, from: u64, to: u64) -> Vec<u8> {
    let (from, to, incarnation) = (NodeId(from), NodeId(to), 7);
    let mut bytes = Vec::new();
    Hello { versions: Versions::SUPPORTED, cluster, from, to, incarnation }.encode(&mut bytes);
    bytes
}

/// What a candidate says.
pub(crate) fn request(from: u64, to: u64) -> Packet {
    message(from, to, Body::RequestVote { last: EntryId::ZERO, transfer: false })
}

/// A message of a term that is far away.
pub(crate) fn message(from: u64, to: u64, body: Body) -> Packet {
    let (from, to, incarnation) = (NodeId(from), NodeId(to), Incarnation(7));
    Packet::Message(Message { from, incarnation, to, term: Term(1000), body })
}
