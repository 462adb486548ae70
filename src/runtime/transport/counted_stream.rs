//! The stream below TLS. It counts the received bytes, which shows the progress of a record, of
//! which nothing can be read until all of it has arrived; it ends a connection whose records have
//! next to no content; and it lets other tasks run.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::transport::received_bytes::ReceivedBytes;

/// The number of bytes after which the other tasks of the thread run, although the stream has more:
/// at most 2,500 records (`docs/SECURITY.md`). Records without content, such as key updates, take
/// far more time for each byte than content does, and TLS reads on until content arrives or the
/// stream has no more.
const TURN_BYTES: usize = 64 << 10;

/// The maximum number of bytes without content: those of the handshake, of a record that has not
/// arrived completely, or of records such as key updates.
const EMPTY_BYTES_MAX: u64 = 64 << 10;

/// A stream, and the count of the bytes that were read from it.
#[derive(Debug)]
pub(super) struct CountedStream<S> {
    stream: S,
    received: Arc<ReceivedBytes>,
    /// The number of bytes since other tasks could run.
    in_turn: usize,
}

impl<S> CountedStream<S> {
    /// Returns the stream, and its count, which begins at zero.
    pub(super) fn new(stream: S) -> (CountedStream<S>, Arc<ReceivedBytes>) {
        let received = Arc::<ReceivedBytes>::default();
        (CountedStream { stream, received: Arc::clone(&received), in_turn: 0 }, received)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.empty() > EMPTY_BYTES_MAX {
            let message = "the TLS records of the remote have next to no content";
            return Poll::Ready(Err(reject(ConnectionRejectReason::InvalidFrame, message)));
        }
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
        self.received.add(count as u64);
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
                    Poll::Pending => break Poll::Ready(received.count()),
                }
            }
        });
        assert_eq!(turn.await, TURN_BYTES as u64);
        let mut rest = vec![0; TURN_BYTES];
        for _ in 0..4 {
            received.content_was_read(TURN_BYTES);
            stream.read_exact(&mut rest).await.expect("the task is woken");
            assert!(rest.iter().all(|byte| *byte == 7));
        }
    }

    #[tokio::test]
    async fn records_without_content_end_the_connection() {
        let (mut stream, received) = CountedStream::new(repeat(7));
        // Each has one byte of content, after which TLS admits 32 key updates more.
        let mut records = [0; 23];
        for _ in 0..100_000 {
            stream.read_exact(&mut records).await.expect("it has content");
            received.content_was_read(1);
        }
        received.content_was_read(1 << 20);
        let mut records = [0; 23 + 32 * 27];
        let mut admitted = 0;
        let error = loop {
            match stream.read_exact(&mut records).await {
                Ok(_) => received.content_was_read(1),
                Err(error) => break error,
            }
            admitted += records.len() as u64;
        };
        assert!(admitted < 80 << 10, "{admitted} bytes: earlier content is past");
        let reason = ConnectionRejectReason::of(&error);
        assert_eq!(reason, Some(ConnectionRejectReason::InvalidFrame));
    }
}
