//! What the two ends of a connection say first.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::runtime::principal::Principal;
use crate::runtime::refusal::{Refusal, refused};
use crate::storage::ClusterId;
use crate::types::{Incarnation, NodeId};
use crate::wire::{Expected, Flaw, Frame, FrameReader, Hello, HelloError, Versions, WireError};

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
            Err(error) => Err(refused(reason(&error), error)),
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

    /// Answers the hello of whoever called, and says which node that is. Whose certificate it
    /// has, if it has one, must be that node's own.
    pub(super) async fn answer<S>(
        &self,
        stream: &mut S,
        hello: &Hello,
        principal: Option<&Principal>,
    ) -> io::Result<NodeId>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match principal {
            None => {}
            Some(Principal::Node(id)) if *id == hello.from => {}
            Some(Principal::Node(id)) => {
                let what = format_args!("the certificate of {id} says it is {}", hello.from);
                return Err(refused(Refusal::Identity, what));
            }
            Some(principal) => {
                let what = format_args!("{principal} wants to be a node, {}", hello.from);
                return Err(refused(Refusal::Role, what));
            }
        }
        // The answer tells the other side what is wrong, if anything is.
        say(stream, &self.hello(hello.from)).await?;
        self.check(hello, None)
    }
}

/// What a hello is refused for.
fn reason(error: &HelloError) -> Refusal {
    match error {
        HelloError::Cluster { .. } | HelloError::Predecessor { .. } => Refusal::Cluster,
        HelloError::Node { .. } | HelloError::Twin { .. } => Refusal::Identity,
        HelloError::Address { .. } => Refusal::Recipient,
        _ => Refusal::Hello,
    }
}

/// Reads the frames of a connection.
pub(in crate::runtime) struct Reader {
    frames: FrameReader,
    buffer: Vec<u8>,
    /// Which of the buffer's bytes have arrived and were not read.
    start: usize,
    end: usize,
}

impl Reader {
    pub(in crate::runtime) fn new() -> Reader {
        Reader { frames: FrameReader::new(), buffer: vec![0; READ_BYTES], start: 0, end: 0 }
    }

    /// How many bytes the frames had that were read.
    pub(in crate::runtime) fn given_bytes(&self) -> u64 {
        self.frames.given_bytes()
    }

    /// The next frame. Nothing is lost if the future is dropped.
    pub(in crate::runtime) async fn next<S>(&mut self, stream: &mut S) -> io::Result<Frame>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(frame) = self.arrived()? {
                return Ok(frame);
            }
            self.more(stream).await?;
        }
    }

    /// The same, if something of it arrives at least every `silence_max`.
    pub(in crate::runtime) async fn next_within<S>(
        &mut self,
        silence_max: Duration,
        stream: &mut S,
    ) -> io::Result<Frame>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(frame) = self.arrived()? {
                return Ok(frame);
            }
            let silent = |_| Err(refused(Refusal::Silence, "nothing was heard for long"));
            timeout(silence_max, self.more(stream)).await.unwrap_or_else(silent)?;
        }
    }

    /// The next frame, if all of it is here.
    fn arrived(&mut self) -> io::Result<Option<Frame>> {
        let mut bytes = &self.buffer[self.start..self.end];
        let read = self.frames.read(&mut bytes);
        self.start = self.end - bytes.len();
        read.map_err(|error| nonsense(&error))
    }

    /// Reads into the buffer, all of which was taken.
    async fn more<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let count = stream.read(&mut self.buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.start, self.end) = (0, count);
        Ok(())
    }

    async fn hello<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Hello> {
        match self.next(stream).await? {
            Frame::Hello(hello) => Ok(hello),
            // A reader of frames takes nothing else first.
            _ => Err(refused(Refusal::Frame, "no hello")),
        }
    }
}

#[cfg(test)]
impl Reader {
    /// A reader of what comes after a client's hello.
    pub(in crate::runtime) async fn greeted() -> Reader {
        let mut bytes = Vec::new();
        let versions = Versions::SUPPORTED;
        let hello = crate::wire::ClientHello { versions, cluster: 7, node: None, full: false };
        hello.encode(&mut bytes);
        let mut frames = Reader::new();
        frames.next(&mut &bytes[..]).await.expect("it is a hello");
        frames
    }
}

/// Writes all of it.
pub(in crate::runtime) async fn say<S>(stream: &mut S, bytes: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Writes all of it, if the other side takes some of it at least every `max`. What TLS holds back,
/// up to 64 KiB, must be taken in one such time at the end.
pub(in crate::runtime) async fn say_within<S>(
    max: Duration,
    stream: &mut S,
    bytes: &[u8],
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let mut left = bytes;
    while !left.is_empty() {
        let taken = timeout(max, stream.write(left)).await.unwrap_or_else(stalled)?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left = &left[taken..];
    }
    timeout(max, stream.flush()).await.unwrap_or_else(stalled)
}

fn stalled<T>(_: Elapsed) -> io::Result<T> {
    Err(refused(Refusal::Silence, "nothing was taken for long"))
}

/// The other side's bytes cannot be read.
fn nonsense(error: &WireError) -> io::Error {
    let why = match error.flaw {
        Flaw::TooLong { .. } => Refusal::FrameLength,
        _ => Refusal::Frame,
    };
    refused(why, error)
}
