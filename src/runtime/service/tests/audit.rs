//! Tests of the audit log of a connection.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::runtime::audit::AUDIT_TARGET;
use crate::runtime::log_limit::INTERVAL;
use crate::runtime::service::accept::Service;
use crate::runtime::tasks::Tasks;
use crate::wire::{ClientHello, Versions};

/// Counts the lines of the audit log.
#[derive(Default)]
struct AuditLines(Arc<AtomicUsize>);

impl AuditLines {
    /// Counts the lines that this thread writes before the guard is dropped. Two other subscribers
    /// stay registered: with fewer, the first thread that writes a line would decide for all
    /// threads whether `tracing` enables it, and that thread may run a test without a subscriber.
    fn count() -> (Arc<AtomicUsize>, DefaultGuard) {
        static OTHERS: LazyLock<[Dispatch; 2]> =
            LazyLock::new(|| [(); 2].map(|()| Dispatch::new(AuditLines::default())));
        LazyLock::force(&OTHERS);
        let lines = Arc::new(AtomicUsize::new(0));
        let guard = tracing::subscriber::set_default(AuditLines(Arc::clone(&lines)));
        (lines, guard)
    }
}

impl tracing::Subscriber for AuditLines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == AUDIT_TARGET
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn requests_of_administrators_that_are_not_read_are_in_the_audit_log() {
    let (lines, _counted) = AuditLines::count();
    let config = ServiceConfig { requests_kib_per_origin_max: 100, ..ServiceConfig::default() };
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    let (admin, client) = (Principal::admin("ops"), Principal::client("app"));
    for (principal, kind, written) in [
        (None, Some("plaintext_request_not_read"), 10),
        (admin, Some("admin_request_not_read"), 10),
        (client, None, 0),
    ] {
        let (handle, _requests) = Handle::for_test();
        let rights = Rights { principal: principal.clone(), forwards: false };
        let executor = Executor { handle: handle.clone(), forwarder: None, recording: None };
        let (network, limits) = (NetworkConfig::default(), ServiceLimits::new(&config));
        let origin = Origin::new(principal.as_ref(), [127, 0, 0, 1].into());
        let connection =
            TestConnection::open_for(origin, executor, rights, network, config.clone(), &limits);
        let mut connection = connection.await;
        for number in 0..12 {
            connection.send(number, propose(MIB)).await;
            assert_eq!(connection.receive().await, (number, overloaded.clone()));
        }
        assert_eq!(lines.swap(0, Ordering::Relaxed), written, "{kind:?}");
        tokio::time::advance(INTERVAL).await;
        let left_out = handle.registry.log_limit.take_left_out();
        assert_eq!(left_out, Vec::from_iter(kind.map(|kind| (kind, 2))));
    }
}

#[tokio::test]
async fn a_request_without_a_reply_is_in_the_audit_log_once_all_connections_have_ended() {
    let (lines, _counted) = AuditLines::count();
    let (handle, mut requests) = Handle::for_test();
    let (network, config) = (NetworkConfig::default(), ServiceConfig::default());
    let executor = Executor { handle, forwarder: None, recording: None };
    let service = Service::new(ClusterId(7), NodeId(1), network, config, MIB, executor);
    let (versions, cluster) = (Versions::SUPPORTED, 7);
    let hello = ClientHello { versions, cluster, node: None, full: false };
    let from = ([127, 0, 0, 1], 1).into();
    let client = service.handshake(&mut io::sink(), &hello, None, from).await;
    let client = client.expect("there is room");
    let (mut stream, remote) = duplex(64 << 10);
    let (serving, frames) = (service.clone(), ConnectionReader::after_client_hello().await);
    let mut connections = Tasks::default();
    connections.spawn(async move {
        let _ = serving.serve(client, Box::new(remote), frames).await;
    });
    let transfer = RequestBody::TransferLeadership(None);
    stream.write_all(&request(1, transfer)).await.expect("the connection is open");
    let _pending = requests.recv().await.expect("the connection passes the request on");
    drop(connections);
    assert_eq!(lines.load(Ordering::Relaxed), 0, "the task of the connection has not ended yet");
    service.all_ended().await;
    assert_eq!(lines.load(Ordering::Relaxed), 1);
}
