//! A stream between two hosts whose writes are events of the run, and may be lost and sent again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::TcpStream;

use crate::world::World;

/// The time after which TCP sends a lost segment again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// A stream of turmoil.
pub(crate) struct RecordedStream {
    stream: TcpStream,
    world: World,
    /// Both ends, which name the stream in an event.
    ends: String,
    /// The wait before a lost segment is sent again.
    retransmission: Option<Pin<Box<Sleep>>>,
}

impl RecordedStream {
    pub(crate) fn new(stream: TcpStream, world: World) -> RecordedStream {
        let ends = format!("{:?}>{:?}", stream.local_addr().ok(), stream.peer_addr().ok());
        RecordedStream { stream, world, ends, retransmission: None }
    }
}

impl AsyncRead for RecordedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for RecordedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.retransmission {
            Some(wait) => {
                ready!(wait.as_mut().poll(context));
            }
            None => {
                let loss = this.world.shared().loss_permille();
                if loss > 0 && this.world.draws().below(1_000) < loss {
                    let wait = this.retransmission.insert(Box::pin(sleep(RETRANSMISSION)));
                    ready!(wait.as_mut().poll(context));
                }
            }
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        this.retransmission = None;
        this.world.shared().event(this.world.host(), &this.ends, &bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
