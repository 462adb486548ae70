//! What the two ends of a connection say first.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::storage::ClusterId;
use crate::types::{Incarnation, NodeId};
use crate::wire::{Expected, Frame, FrameReader, Hello, Versions};

/// Enough for a hello and whatever comes right behind it.
const READ_BYTES: usize = 64 << 10;

/// Who this node is.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Greeting {
    pub(in crate::runtime) cluster: ClusterId,
    /// The cluster that this one was recovered or restored from.
    pub(in crate::runtime) origin: Option<ClusterId>,
    pub(in crate::runtime) node: NodeId,
    pub(in crate::runtime) incarnation: Incarnation,
}

impl Greeting {
    fn hello(&self, to: NodeId) -> Vec<u8> {
        let hello = Hello {
            versions: Versions::SUPPORTED,
            cluster: self.cluster.0,
            from: self.node,
            to,
            incarnation: self.incarnation.0,
        };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        bytes
    }

    /// Whom the hello is from, if that node may be talked to; `peer` is the one that was called.
    fn check(&self, hello: &Hello, peer: Option<NodeId>) -> io::Result<NodeId> {
        let expected = Expected {
            cluster: self.cluster.0,
            origin: self.origin.map(|origin| origin.0),
            me: self.node,
            peer,
            incarnation: None,
        };
        match hello.check(&expected) {
            Ok(_) => Ok(hello.from),
            Err(error) => Err(invalid(&error)),
        }
    }

    /// Calls `peer`: it must answer as itself.
    pub(super) async fn call<S>(&self, stream: &mut S, peer: NodeId) -> io::Result<Reader>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        say(stream, &self.hello(peer)).await?;
        let mut reader = Reader::new();
        let hello = reader.hello(stream).await?;
        self.check(&hello, Some(peer))?;
        Ok(reader)
    }

    /// Answers whoever called, and says who that is.
    pub(super) async fn answer<S>(&self, stream: &mut S) -> io::Result<(NodeId, Reader)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut reader = Reader::new();
        let hello = reader.hello(stream).await?;
        // The answer tells the other side what is wrong, if anything is.
        say(stream, &self.hello(hello.from)).await?;
        Ok((self.check(&hello, None)?, reader))
    }
}

/// Reads the frames of a connection.
pub(super) struct Reader {
    frames: FrameReader,
    buffer: Vec<u8>,
    /// Which of the buffer's bytes have arrived and were not read.
    start: usize,
    end: usize,
}

impl Reader {
    fn new() -> Reader {
        Reader { frames: FrameReader::new(), buffer: vec![0; READ_BYTES], start: 0, end: 0 }
    }

    /// How many bytes the frames had that were read.
    pub(super) fn given_bytes(&self) -> u64 {
        self.frames.given_bytes()
    }

    /// The next frame. Nothing is lost if the future is dropped.
    pub(super) async fn next<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Frame> {
        loop {
            let mut bytes = &self.buffer[self.start..self.end];
            let read = self.frames.read(&mut bytes);
            self.start = self.end - bytes.len();
            if let Some(frame) = read.map_err(|error| invalid(&error))? {
                return Ok(frame);
            }
            let count = stream.read(&mut self.buffer).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (self.start, self.end) = (0, count);
        }
    }

    async fn hello<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Hello> {
        match self.next(stream).await? {
            Frame::Hello(hello) => Ok(hello),
            // A reader of frames takes nothing else first.
            Frame::Packet(_) | Frame::Pulse => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Writes all of it, if the other side takes it in time.
pub(super) async fn say_within<S>(max: Duration, stream: &mut S, bytes: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    timeout(max, say(stream, bytes)).await.unwrap_or_else(|_| Err(late("write")))
}

/// The other side did not do it in time.
pub(super) fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the {what} took too long"))
}

/// The other side says what nobody may say.
pub(super) fn invalid(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
