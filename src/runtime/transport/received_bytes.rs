//! The stream below TLS. It counts the received bytes, because they show the progress of a TLS
//! record, whose content cannot be read before the whole record has arrived. It keeps the first
//! bytes, which show the protocol of a remote without TLS. It also lets other tasks run.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::transport::other_protocol::FirstBytes;

/// The number of bytes after which the other tasks of the thread run, although the stream has more:
/// at most 2,500 records (`docs/SECURITY.md`). Records without content, such as key updates, take
/// far more time for each byte than content does, and TLS reads on until content arrives or the
/// stream has no more.
const TURN_BYTES: usize = 64 << 10;

/// A stream, and the count of the bytes that were read from it.
#[derive(Debug)]
pub(super) struct CountedStream<S> {
    stream: S,
    received: Arc<AtomicU64>,
    arrived: FirstBytes,
    /// The first bytes, once all of them have arrived.
    first: Arc<OnceLock<FirstBytes>>,
    /// The number of bytes since other tasks could run.
    in_turn: usize,
}

impl<S> CountedStream<S> {
    /// Returns the stream, and its count, which begins at zero.
    pub(super) fn new(stream: S) -> (CountedStream<S>, Arc<AtomicU64>) {
        let received = Arc::<AtomicU64>::default();
        let counted = CountedStream {
            stream,
            received: Arc::clone(&received),
            arrived: FirstBytes::default(),
            first: Arc::default(),
            in_turn: 0,
        };
        (counted, received)
    }

    /// Returns a handle to the first bytes, which are unset until all have arrived. It stays valid
    /// when the stream is dropped.
    pub(super) fn first_bytes(&self) -> Arc<OnceLock<FirstBytes>> {
        Arc::clone(&self.first)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.in_turn >= TURN_BYTES {
            self.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) else {
            self.in_turn = 0;
            return Poll::Pending;
        };
        let count = buffer.filled().len() - before;
        self.in_turn += count;
        if self.arrived.extend(&buffer.filled()[before..]) && self.arrived.is_complete() {
            self.first.get_or_init(|| self.arrived.clone());
        }
        self.received.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, repeat};

    use super::*;
    use crate::runtime::transport::other_protocol::OtherProtocol;

    #[tokio::test]
    async fn the_first_bytes_may_arrive_in_parts() {
        let (mut stream, _) = CountedStream::new(b"H".chain(&b"TTP/1.1"[..]));
        let first = stream.first_bytes();
        stream.read_u8().await.expect("the stream has a byte");
        assert_eq!(first.get(), None);
        stream.read_exact(&mut [0; 7]).await.expect("the stream has seven more");
        let other = first.get().and_then(FirstBytes::other_protocol);
        assert_eq!(other, Some(OtherProtocol::Http));
    }

    #[tokio::test]
    async fn other_tasks_run_although_the_stream_has_more() {
        let (mut stream, received) = CountedStream::new(repeat(7));
        let mut piece = [0; 4 << 10];
        // As TLS reads, in one turn of a task.
        let turn = poll_fn(|context| {
            loop {
                let mut buffer = ReadBuf::new(&mut piece);
                match Pin::new(&mut stream).poll_read(context, &mut buffer) {
                    Poll::Ready(read) => read.expect("it never fails"),
                    Poll::Pending => break Poll::Ready(received.load(Ordering::Relaxed)),
                }
            }
        });
        assert_eq!(turn.await, TURN_BYTES as u64);
        let mut rest = vec![0; 4 * TURN_BYTES];
        stream.read_exact(&mut rest).await.expect("the task is woken");
        assert!(rest.iter().all(|byte| *byte == 7));
    }
}
