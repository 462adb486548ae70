//! A stream between two hosts whose writes are events of the run, and may be lost and sent again.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::TcpStream;

use crate::world::{HOLD_INTERVAL, World};

/// The time after which TCP sends a lost segment again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// A stream of turmoil.
pub(crate) struct RecordedStream {
    stream: TcpStream,
    world: World,
    /// Both ends, which name the stream in an event.
    ends: String,
    /// The numbers of this host and of the other one.
    link: (u64, u64),
    /// The wait before a lost segment is sent again.
    retransmission: Option<Pin<Box<Sleep>>>,
    /// The waits while this host is paused, or the link clogged.
    read_hold: Hold,
    write_hold: Hold,
}

/// Waits while something holds.
#[derive(Default)]
struct Hold(Option<Pin<Box<Sleep>>>);

impl Hold {
    fn poll(&mut self, context: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<()> {
        while holds() {
            let wait = self.0.get_or_insert_with(|| Box::pin(sleep(HOLD_INTERVAL)));
            ready!(wait.as_mut().poll(context));
            self.0 = None;
        }
        self.0 = None;
        Poll::Ready(())
    }
}

impl RecordedStream {
    pub(crate) fn new(stream: TcpStream, world: World) -> RecordedStream {
        let ends = format!("{:?}>{:?}", stream.local_addr().ok(), stream.peer_addr().ok());
        let other = stream.peer_addr().map_or(0, |address| match address.ip() {
            // Turmoil counts the addresses of the hosts up from 192.168.0.1.
            IpAddr::V4(address) => u64::from(address.octets()[3]),
            IpAddr::V6(_) => 0,
        });
        RecordedStream {
            stream,
            ends,
            link: (world.number(), other),
            world,
            retransmission: None,
            read_hold: Hold::default(),
            write_hold: Hold::default(),
        }
    }

    fn poll_held_back(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (world, link) = (&self.world, self.link);
        self.write_hold.poll(context, || world.shared().holds_back(link))
    }
}

impl AsyncRead for RecordedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.read_hold.poll(context, || this.world.is_paused()));
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for RecordedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_held_back(context));
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
        ready!(self.poll_held_back(context));
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
