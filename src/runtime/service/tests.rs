//! Tests of the connections of clients to a simulated node.

mod audit;
mod lost_leader;
mod turns;
mod unwritten;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::machine::{Proposer, Request};
use crate::runtime::client::Forwarder;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::origin::Origin;
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::ConnectionRejectReason;
use crate::runtime::request::{DriverRequest, Operation, PendingRequests};
use crate::runtime::request_limits::{ServiceLimits, Share};
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::{Caller, Executor, Rights};
use crate::runtime::transport::handshake::ConnectionReader;
use crate::runtime::transport::link::Links;
use crate::storage::ClusterId;
use crate::types::{
    Acknowledge, Address, Change, Command, EntryId, Freshness, Index, NodeId, ReadLevel,
    RejectReason, Term,
};
use crate::wire::{
    ClientRequest, Frame, LeaderHint, ReplyBody, RequestBody, ServiceRejectReason, encode_keepalive,
};

const MIB: usize = 1 << 20;

/// Simulates a node that replies to each read with one MiB, and to each proposal with the command.
async fn simulate_node(mut requests: mpsc::Receiver<DriverRequest>) {
    while let Some(request) = requests.recv().await {
        let DriverRequest::Execute(request) = request else { continue };
        let reply = match request.body {
            RequestBody::Read { .. } => {
                let (index, applied) = (Index(1), Index(1));
                let (answer, freshness) = (vec![7; MIB], Freshness::Linearizable);
                ReplyBody::Answered { freshness, index, applied, answer }
            }
            RequestBody::ProposeFor { command, .. } => {
                ReplyBody::Replied { id: EntryId::ZERO, reply: Arc::from(&*command) }
            }
            _ => continue,
        };
        request.reply.send(reply);
    }
}

/// The connection of a client to the simulated node.
struct TestConnection {
    stream: DuplexStream,
    frames: ConnectionReader,
    served: JoinHandle<io::Result<()>>,
    _closing: watch::Sender<bool>,
}

impl TestConnection {
    async fn open(config: ServiceConfig) -> TestConnection {
        TestConnection::open_with(NetworkConfig::default(), config).await
    }

    async fn open_with(network: NetworkConfig, config: ServiceConfig) -> TestConnection {
        let (handle, requests) = Handle::for_test();
        tokio::spawn(simulate_node(requests));
        let rights = Rights { principal: Principal::client("app"), forwards: false };
        TestConnection::open_to(handle, rights, network, config).await
    }

    /// Opens the connection of a client with these rights to the node behind the handle.
    async fn open_to(
        handle: Handle,
        rights: Rights,
        network: NetworkConfig,
        config: ServiceConfig,
    ) -> TestConnection {
        let limits = ServiceLimits::new(&config);
        TestConnection::open_within(handle, rights, network, config, &limits).await
    }

    /// Opens such a connection, whose requests count against `limits`.
    async fn open_within(
        handle: Handle,
        rights: Rights,
        network: NetworkConfig,
        config: ServiceConfig,
        limits: &ServiceLimits,
    ) -> TestConnection {
        let executor = Executor { handle, forwarder: None, recording: None };
        TestConnection::open_for(origin(1), executor, rights, network, config, limits).await
    }

    /// Opens such a connection of a client from `origin`.
    async fn open_for(
        origin: Origin,
        executor: Executor,
        rights: Rights,
        network: NetworkConfig,
        config: ServiceConfig,
        limits: &ServiceLimits,
    ) -> TestConnection {
        let (stream, remote) = duplex(64 << 10);
        let (closing, closed) = watch::channel(false);
        let limits = limits.of(&origin, false);
        let from = ([127, 0, 0, 1], 1).into();
        let caller = Caller { origin, from, rights };
        let (connection, replies) = Connection::new(caller, executor, &network, &config, limits);
        let frames = ConnectionReader::after_client_hello().await;
        let served = tokio::spawn(connection.run(Box::new(remote), frames, replies, closed));
        TestConnection {
            stream,
            frames: ConnectionReader::after_client_hello().await,
            served,
            _closing: closing,
        }
    }

    async fn send(&mut self, number: u64, body: RequestBody) {
        self.stream.write_all(&request(number, body)).await.expect("the connection is open");
    }

    async fn receive(&mut self) -> (u64, ReplyBody) {
        loop {
            match self.frames.next(&mut self.stream).await {
                Ok(Frame::Reply(reply)) => return (reply.number, reply.body),
                Ok(Frame::Keepalive) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until the node closes the connection, and returns the counted reject reason.
    async fn reject_reason(mut self) -> Option<ConnectionRejectReason> {
        let mut unread = io::sink();
        let rest = io::copy(&mut self.stream, &mut unread);
        timeout(Duration::from_secs(60), rest).await.expect("no timeout").expect("it is closed");
        let error = self.served.await.expect("no panic").expect_err("the client is rejected");
        ConnectionRejectReason::of(&error)
    }
}

fn origin(last: u8) -> Origin {
    Origin::new(None, [127, 0, 0, last].into())
}

fn request(number: u64, body: RequestBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientRequest { number, body }.encode(&mut bytes).expect("the request is short");
    bytes
}

fn read() -> RequestBody {
    RequestBody::Read { level: ReadLevel::Local, query: Vec::new() }
}

fn propose(bytes: usize) -> RequestBody {
    RequestBody::Propose {
        acknowledge: Acknowledge::Quorum,
        command: Command::from(vec![7; bytes]),
    }
}

/// Returns a request of each kind except `ReadRecording`, which the node itself does not receive.
fn all_requests() -> [RequestBody; 10] {
    [
        propose(1),
        admin_command(),
        read(),
        RequestBody::Report,
        RequestBody::ChangeMembership(Change::new().remove(NodeId(2))),
        RequestBody::CancelMembershipChange,
        RequestBody::TransferLeadership(None),
        RequestBody::Campaign,
        RequestBody::TakeSnapshot,
        forwarded(),
    ]
}

fn admin_command() -> RequestBody {
    let command = Request::Admin(b"command").encode();
    RequestBody::Propose { acknowledge: Acknowledge::Quorum, command }
}

fn forwarded() -> RequestBody {
    let command = Proposer::Client("app").stamp(b"7");
    RequestBody::ProposeFor { acknowledge: Acknowledge::Quorum, command }
}

/// Returns the connection of a client that may send every request, and the queue of the node.
async fn connection_without_node() -> (TestConnection, mpsc::Receiver<DriverRequest>) {
    let (handle, requests) = Handle::for_test();
    let (network, config) = (NetworkConfig::default(), ServiceConfig::default());
    let rights = Rights { principal: None, forwards: true };
    (TestConnection::open_to(handle, rights, network, config).await, requests)
}

#[tokio::test]
async fn a_change_at_a_node_that_stops_has_an_unknown_outcome_and_other_requests_are_rejected() {
    let stopped = ReplyBody::Rejected { reason: RejectReason::Stopped, leader: None };
    for body in all_requests() {
        let may_be_repeated = matches!(
            body,
            RequestBody::Read { .. }
                | RequestBody::Report
                | RequestBody::Campaign
                | RequestBody::TakeSnapshot
        );
        let expected = if may_be_repeated { stopped.clone() } else { ReplyBody::Unknown };
        let (mut connection, mut requests) = connection_without_node().await;
        connection.send(1, body.clone()).await;
        // The node takes the request and stops without a reply.
        drop(requests.recv().await.expect("the connection passes the request on"));
        assert_eq!(connection.receive().await, (1, expected.clone()), "{body:?}");
        drop(requests);
        connection.send(2, body.clone()).await;
        assert_eq!(connection.receive().await, (2, expected), "{body:?}, later");
    }
}

#[tokio::test]
async fn replies_in_any_order_reach_their_requests() {
    let (mut connection, mut requests) = connection_without_node().await;
    let reply = |id: u64| ReplyBody::MayBeLost { id: EntryId::new(Term(1), Index(id)) };
    let mut taken = Vec::new();
    for number in 1..=3 {
        connection.send(number, propose(1)).await;
        let Some(DriverRequest::Execute(request)) = requests.recv().await else {
            panic!("the connection passes the request on");
        };
        taken.push(request.reply);
    }
    // The slot of the second request becomes free, and the fourth one takes it.
    taken.remove(1).send(reply(2));
    assert_eq!(connection.receive().await, (2, reply(2)));
    connection.send(4, propose(1)).await;
    let Some(DriverRequest::Execute(fourth)) = requests.recv().await else {
        panic!("the connection passes the request on");
    };
    fourth.reply.send(reply(4));
    assert_eq!(connection.receive().await, (4, reply(4)));
    for (sender, number) in taken.into_iter().zip([1, 3]).rev() {
        sender.send(reply(number));
        assert_eq!(connection.receive().await, (number, reply(number)));
    }
}

#[test]
fn each_role_may_send_its_own_requests() {
    let recording = RequestBody::ReadRecording { file: 0, offset: 0 };
    let all: Vec<_> = all_requests().into_iter().chain([recording.clone()]).collect();
    let allowed_requests = |principal: Option<Principal>, forwards| -> Vec<RequestBody> {
        let rights = Rights { principal, forwards };
        let is_allowed = |body: &&RequestBody| rights.allow(Operation::of(body).access);
        all.iter().filter(is_allowed).cloned().collect()
    };
    let node = || Some(Principal::Node(NodeId(2)));
    assert_eq!(allowed_requests(node(), false), [RequestBody::Report]);
    let for_clients = allowed_requests(node(), true);
    assert_eq!(for_clients, [RequestBody::Report, forwarded()], "for the client of another node");
    let client = allowed_requests(Principal::client("app"), true);
    assert_eq!(client, [propose(1), read(), RequestBody::Report]);
    let unforwarded: Vec<_> = all.iter().filter(|&body| *body != forwarded()).cloned().collect();
    assert_eq!(allowed_requests(Principal::admin("ops"), true), unforwarded);
    assert_eq!(allowed_requests(None, false), unforwarded, "without certificates");
}

#[test]
fn a_server_writes_the_client_into_its_proposal() {
    let stamped = |principal, body| {
        let RequestBody::ProposeFor { command, .. } =
            (Rights { principal, forwards: true }).stamp(body)
        else {
            panic!("a proposal stays one");
        };
        command
    };
    let seven = [7u8];
    let app = Principal::client("app");
    assert_eq!(stamped(app, propose(1)), Proposer::Client("app").stamp(&seven));
    let ops = Principal::admin("ops");
    assert_eq!(stamped(ops, propose(1)), Proposer::Admin("ops").stamp(&seven));
    assert_eq!(stamped(None, propose(1)), Proposer::Unnamed.stamp(&seven));
    let node = Some(Principal::Node(NodeId(2)));
    assert_eq!(stamped(node, forwarded()), Proposer::Client("app").stamp(b"7"));
    assert_eq!(stamped(None, forwarded()), Proposer::Unnamed.stamp(b"7"), "it proves no name");
}

#[tokio::test(start_paused = true)]
async fn unread_replies_are_bounded() {
    let mut connection = TestConnection::open(ServiceConfig {
        requests_kib_max: 4 << 10,
        ..ServiceConfig::default()
    })
    .await;
    for number in 0..10 {
        connection.send(number, read()).await;
        // The first reply is already being written when the next request arrives.
        sleep(Duration::from_millis(1)).await;
    }
    connection.send(10, propose(0)).await;
    // All requests are executed; no reply is read meanwhile.
    sleep(Duration::from_secs(1)).await;
    let mut replies = Vec::new();
    for _ in 0..11 {
        replies.push(connection.receive().await);
    }
    replies.sort_by_key(|(number, _)| *number);
    let answered = replies.iter().filter(|(_, reply)| matches!(reply, ReplyBody::Answered { .. }));
    assert_eq!(answered.map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let rejected = replies
        .iter()
        .filter(|(_, reply)| *reply == ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded));
    assert_eq!(rejected.count(), 6);
    let proposed = &replies[10].1;
    assert!(matches!(proposed, ReplyBody::Replied { .. }), "a short reply is always sent");
    connection.send(11, read()).await;
    assert!(
        matches!(connection.receive().await, (11, ReplyBody::Answered { .. })),
        "the limit is free again"
    );
}

#[tokio::test]
async fn forwarded_proposals_count_only_against_their_own_client() {
    let (handle, mut requests) = Handle::for_test();
    // The leader accepts connections, and does not reply.
    let leader = TcpListener::bind("127.0.0.1:0").await.expect("loopback exists");
    let address = leader.local_addr().expect("it is bound").to_string();
    let address = Address::new(&address).expect("it is short");
    let leader = Some(LeaderHint { id: NodeId(2), address });
    tokio::spawn(async move {
        while let Some(DriverRequest::Execute(request)) = requests.recv().await {
            let reason = RejectReason::NotLeader { leader: Some(NodeId(2)) };
            request.reply.send(ReplyBody::Rejected { reason, leader: leader.clone() });
        }
    });
    let config = ServiceConfig { requests_per_origin_max: 8, ..ServiceConfig::default() };
    let network = NetworkConfig::default();
    let forwarder = Forwarder::new(ClusterId(7), Links::for_test(), &network, &config);
    let executor = Executor { handle, forwarder: Some(forwarder), recording: None };
    let limits = ServiceLimits::new(&config);
    let open = |last| {
        let (network, config) = (network.clone(), config.clone());
        let rights = Rights { principal: None, forwards: false };
        TestConnection::open_for(origin(last), executor.clone(), rights, network, config, &limits)
    };
    let (mut greedy, mut other) = (open(1).await, open(2).await);
    for number in 0..3 {
        greedy.send(number, propose(1)).await;
    }
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    assert_eq!(greedy.receive().await, (2, overloaded.clone()));
    // The leader still has what was forwarded for a client that is gone.
    drop(greedy);
    let mut greedy = open(1).await;
    greedy.send(3, propose(1)).await;
    assert_eq!(greedy.receive().await, (3, overloaded));
    other.send(4, propose(1)).await;
    let reply = timeout(Duration::from_millis(100), other.receive()).await;
    assert!(reply.is_err(), "it was forwarded: {reply:?}");
}

#[tokio::test]
async fn a_node_that_forwards_has_a_window_for_all_its_clients() {
    let (handle, mut requests) = Handle::for_test();
    let config = ServiceConfig {
        requests_per_connection_max: 1,
        requests_per_origin_max: 4,
        ..ServiceConfig::default()
    };
    let rights = Rights { principal: Some(Principal::Node(NodeId(2))), forwards: true };
    let network = NetworkConfig::default();
    let mut connection = TestConnection::open_to(handle, rights, network, config).await;
    for number in 0..5 {
        connection.send(number, forwarded()).await;
    }
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(requests.recv().await.expect("the connection passes the request on"));
    }
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    assert_eq!(connection.receive().await, (4, overloaded), "it does not wait for the others");
}

#[tokio::test]
async fn requests_count_while_they_arrive() {
    let (handle, requests) = Handle::for_test();
    tokio::spawn(simulate_node(requests));
    let kib_max = (3 << 10) - 1;
    let config = ServiceConfig { requests_kib_per_origin_max: kib_max, ..ServiceConfig::default() };
    let network = NetworkConfig::default();
    let limits = ServiceLimits::new(&config);
    let open = || {
        let (handle, config) = (handle.clone(), config.clone());
        let rights = Rights { principal: None, forwards: false };
        TestConnection::open_within(handle, rights, network.clone(), config, &limits)
    };
    let bytes = request(1, propose(MIB));
    let (part, rest) = bytes.split_at(MIB / 2);
    let (mut first, mut second, mut third) = (open().await, open().await, open().await);
    for connection in [&mut first, &mut second] {
        connection.stream.write_all(part).await.expect("the connection is open");
    }
    third.send(1, propose(MIB)).await;
    let overloaded = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
    assert_eq!(third.receive().await, (1, overloaded), "two others have the permits");
    first.stream.write_all(rest).await.expect("the connection is open");
    assert!(matches!(first.receive().await, (1, ReplyBody::Replied { .. })));
    drop(second);
    drop(third.stream);
    eventually_free(&limits).await;
}

#[tokio::test(start_paused = true)]
async fn a_control_request_is_not_rejected_because_of_the_one_that_it_may_end() {
    let (handle, mut requests) = Handle::for_test();
    let config = ServiceConfig { requests_per_origin_max: 1, ..ServiceConfig::default() };
    let rights = Rights { principal: None, forwards: false };
    let mut connection =
        TestConnection::open_to(handle, rights, NetworkConfig::default(), config).await;
    let mut pending = PendingRequests::default();
    for (number, body) in [
        propose(1),
        read(),
        RequestBody::ChangeMembership(Change::new().remove(NodeId(2))),
        RequestBody::CancelMembershipChange,
        RequestBody::TransferLeadership(None),
        RequestBody::Report,
    ]
    .into_iter()
    .enumerate()
    {
        connection.send(number as u64, body).await;
        let sent = timeout(Duration::from_secs(1), requests.recv()).await;
        let Ok(Some(DriverRequest::Execute(request))) = sent else { panic!("{number}: {sent:?}") };
        drop(pending.submit(request));
    }
}

/// Waits until the first origin may have another 3 MiB of proposals pending, less 1 KiB.
async fn eventually_free(limits: &ServiceLimits) {
    let acquire = || limits.of(&origin(1), false).acquire(Share::Proposals, 3 * MIB - 1024);
    while acquire().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_request_holds_its_permits_after_its_connection() {
    let (handle, mut requests) = Handle::for_test();
    let rights = Rights { principal: None, forwards: false };
    let config = ServiceConfig { requests_per_origin_max: 1, ..ServiceConfig::default() };
    let (network, limits) = (NetworkConfig::default(), ServiceLimits::new(&config));
    let connection = TestConnection::open_within(handle, rights, network, config, &limits);
    let mut connection = connection.await;
    connection.send(1, propose(1)).await;
    let request = requests.recv().await.expect("the connection passes the request on");
    drop(connection.stream);
    let _ = connection.served.await.expect("no panic");
    assert!(
        limits.of(&origin(1), false).acquire(Share::Proposals, 1).is_none(),
        "the node still has the request"
    );
    drop(request);
    assert!(limits.of(&origin(1), false).acquire(Share::Proposals, 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_the_limit_is_sent_alone() {
    let mut connection =
        TestConnection::open(ServiceConfig { requests_kib_max: 10, ..ServiceConfig::default() })
            .await;
    for number in 0..3 {
        connection.send(number, read()).await;
        assert!(matches!(connection.receive().await, (_, ReplyBody::Answered { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_requests_now_and_then_is_kept_and_gets_one_keepalive_in_each_interval() {
    let (network, config) = (NetworkConfig::default(), ServiceConfig::default());
    let (mut connection, mut keepalive) = (TestConnection::open(config.clone()).await, Vec::new());
    encode_keepalive(&mut keepalive);
    for number in 0..5 {
        let (mut rest, mut most) = (config.idle_max / 2, keepalive.len());
        while !rest.is_zero() {
            sleep(network.keepalive_interval).await;
            connection.stream.write_all(&keepalive).await.expect("the connection is open");
            (rest, most) =
                (rest.saturating_sub(network.keepalive_interval), most + keepalive.len());
        }
        let mut bytes = vec![0; 64 << 10];
        let read_bytes = connection.stream.read(&mut bytes).await.expect("the node is alive");
        assert!(read_bytes <= most, "{read_bytes} bytes of keepalives");
        connection.send(number, propose(1)).await;
        assert!(matches!(connection.receive().await, (_, ReplyBody::Replied { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_read_but_a_stalled_one_ends_the_connection() {
    let keepalive_timeout = NetworkConfig::default().keepalive_timeout;
    let mut connection = TestConnection::open(ServiceConfig::default()).await;
    for piece in request(1, propose(MIB)).chunks(64 << 10) {
        sleep(keepalive_timeout / 4 * 3).await;
        connection.stream.write_all(piece).await.expect("the connection is open");
    }
    assert!(matches!(connection.receive().await, (1, ReplyBody::Replied { .. })));
    connection
        .stream
        .write_all(&request(2, propose(MIB))[..100])
        .await
        .expect("the connection is open");
    assert_eq!(connection.reject_reason().await, Some(ConnectionRejectReason::KeepaliveTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_arrives_byte_by_byte_ends_the_connection() {
    let connection = TestConnection::open(ServiceConfig::default()).await;
    let (served, mut stream) = (connection.served, connection.stream);
    let started_at = tokio::time::Instant::now();
    for byte in request(1, propose(MIB)) {
        // Each byte arrives within keepalive_timeout.
        sleep(Duration::from_millis(1300)).await;
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
    }
    let error = served.await.expect("no panic").expect_err("the client is too slow");
    assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::TooSlow));
    let (timeout, by_size) = (NetworkConfig::default().frame_timeout, Duration::from_secs(16));
    assert!(started_at.elapsed() < timeout + by_size + Duration::from_secs(5), "it is bounded");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_read_byte_by_byte_ends_the_connection() {
    let mut connection = TestConnection::open(ServiceConfig::default()).await;
    connection.send(1, read()).await;
    let (served, mut stream) = (connection.served, connection.stream);
    let mut keepalive = Vec::new();
    encode_keepalive(&mut keepalive);
    while !served.is_finished() {
        // The remote is neither silent nor stalled.
        let _ = stream.write_all(&keepalive).await;
        let _ = stream.read(&mut [0]).await;
        sleep(Duration::from_millis(1300)).await;
    }
    let error = served.await.expect("no panic").expect_err("the client is too slow");
    assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::TooSlow));
}

#[tokio::test(start_paused = true)]
async fn a_slowly_read_reply_is_written_but_an_unread_one_ends_the_connection() {
    let config = ServiceConfig::default();
    let (stall_max, mut keepalives) = (config.stall_max, Vec::new());
    encode_keepalive(&mut keepalives);
    let network = NetworkConfig { kib_per_second_min: 8, ..NetworkConfig::default() };
    let mut connection = TestConnection::open_with(network, config).await;
    let mut piece = vec![0; 64 << 10];
    let mut arrived = 0;
    connection.send(1, read()).await;
    while arrived < MIB {
        // Keepalives of the client do not reset the limit for unwritten replies.
        for _ in 0..8 {
            connection.stream.write_all(&keepalives).await.expect("the connection is open");
            sleep(stall_max / 10).await;
        }
        arrived += connection.stream.read(&mut piece).await.expect("the reply is sent");
    }
    connection.send(2, read()).await;
    let (served, mut stream) = (connection.served, connection.stream);
    let sending_keepalives = async {
        while stream.write_all(&keepalives).await.is_ok() {
            sleep(stall_max / 10).await;
        }
    };
    sending_keepalives.await;
    let error = served.await.expect("no panic").expect_err("the write stalls");
    assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::KeepaliveTimeout));
}
