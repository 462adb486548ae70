//! A test of the turns of a connection on the thread that it shares with others.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{self, AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::watch;
use tokio::task::yield_now;

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::request::DriverRequest;
use crate::runtime::request_limits::ServiceLimits;
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::{Caller, Executor, Rights};
use crate::runtime::service::tests::{MIB, origin, read, request};
use crate::runtime::transport::handshake::ConnectionReader;
use crate::types::{Freshness, Index};
use crate::wire::ReplyBody;

/// The stream of a client that accepts every byte at once. Each write of a MiB or more records the
/// turns that another task has had by then.
struct EagerClient {
    requests: DuplexStream,
    turns: Arc<AtomicUsize>,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for EagerClient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.requests).poll_read(context, buffer)
    }
}

impl AsyncWrite for EagerClient {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.len() >= MIB {
            let turns = self.turns.load(Ordering::Relaxed);
            self.writes.lock().expect("no panic").push(turns);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets the tasks run that are ready, and then this one. The scheduler defers a task that yields
/// until no other is ready.
async fn end_turn() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn other_tasks_run_between_two_long_replies() {
    const READS: u64 = 8;
    let (turns, writes) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
    let (mut client, requests) = duplex(64 << 10);
    let stream = EagerClient { requests, turns: Arc::clone(&turns), writes: Arc::clone(&writes) };
    let (handle, mut queue) = Handle::for_test();
    let other = Arc::clone(&turns);
    tokio::spawn(async move {
        loop {
            other.fetch_add(1, Ordering::Relaxed);
            end_turn().await;
        }
    });
    let rights = Rights { principal: None, forwards: false };
    let caller = Caller { origin: origin(1), from: ([127, 0, 0, 1], 1).into(), rights };
    let executor = Executor { handle, forwarder: None, recording: None };
    let (network, config) = (NetworkConfig::default(), ServiceConfig::default());
    let limits = ServiceLimits::new(&config).of(&origin(1), false);
    let (connection, replies) = Connection::new(caller, executor, &network, &config, limits);
    let frames = ConnectionReader::after_client_hello().await;
    let (_closing, closed) = watch::channel(false);
    tokio::spawn(connection.run(Box::new(stream), frames, replies, closed));
    let bytes: Vec<u8> = (0..READS).flat_map(|number| request(number, read())).collect();
    client.write_all(&bytes).await.expect("the connection is open");
    let mut senders = Vec::new();
    while (senders.len() as u64) < READS {
        let Some(DriverRequest::Execute(request)) = queue.recv().await else {
            panic!("the connection passes the request on")
        };
        senders.push(request.reply);
    }
    for sender in senders {
        let (index, freshness) = (Index(1), Freshness::Linearizable);
        let answer = vec![7; MIB];
        sender.send(ReplyBody::Answered { freshness, index, applied: index, answer });
    }
    while (writes.lock().expect("no panic").len() as u64) < READS {
        yield_now().await;
    }
    let writes = writes.lock().expect("no panic");
    assert!(writes.is_sorted_by(|one, next| one < next), "turns of another task: {writes:?}");
}
